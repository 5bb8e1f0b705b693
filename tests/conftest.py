"""What every test shares: an accountant, a data folder of its own, and the shared folder where there is one."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from accountant import Accountant
from hypothesis import HealthCheck, settings

settings.register_profile(  # a slow machine is no failure
    "suite", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

if not hasattr(sys.modules["__main__"], "__file__"):  # a worker of pytest-xdist, which is no prompt
    sys.modules["__main__"].__file__ = __file__

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of whatever a shell has put into the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def watching() -> Iterator[Accountant]:
    """The one accountant of the whole suite."""
    with pytest.MonkeyPatch.context() as patch:
        made = Accountant()
        made.start(patch)
        yield made


@pytest.fixture(autouse=True)
def accountant(watching: Accountant) -> Iterator[Accountant]:
    """Books of its own beside every account and every run of a test: what they find fails it."""
    yield watching
    found, watching.found = watching.found, []
    assert not found, found[0]


@pytest.fixture(autouse=True)
def graves() -> Iterator[None]:
    """Processes of a test whose power has failed are put away with it."""
    yield
    if "power" in sys.modules:
        sys.modules["power"].put_away()


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests have recorded, which the workers of a parallel run can't do themselves."""
    told = [
        text
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        for name, text in getattr(report, "user_properties", ())
        if name == "figures" and report.when == "call"
    ]
    if told:
        terminalreporter.section("figures")
    for text in told:
        terminalreporter.write_line(str(text))
