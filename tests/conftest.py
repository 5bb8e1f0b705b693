"""What every test shares: a data folder of its own, and the shared folder where there is one."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("suite", deadline=None)  # a slow machine is no failure
settings.load_profile("suite")

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder in place of the user's own."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("METAEXPERT_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test dials an exchange by accident."""
    monkeypatch.setenv("METAEXPERT_OFFLINE", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded real data; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("METAEXPERT_SHARED", CHECKOUT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no recorded data in {folder}: set METAEXPERT_SHARED to the folder that holds data/")
    return folder
