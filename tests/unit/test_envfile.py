"""The file of keys: how it is read, and who else may see it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from metaexpert.envfile import exposures, load_env
from metaexpert.errors import ConfigError

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
needs_posix = pytest.mark.skipif(os.name != "posix", reason="rights of files are those of POSIX")


def test_load_env_reads_the_file_and_leaves_the_process_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BINANCE_API_KEY", raising=False)
    text = "\ufeff# keys\nexport BINANCE_API_KEY='a${HOME}b' # mine\n\nEMPTY=\nBARE\nBINANCE_API_SECRET=\"x y\"\n"
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    found = load_env(tmp_path)
    assert found == {"BINANCE_API_KEY": "a${HOME}b", "EMPTY": "", "BINANCE_API_SECRET": "x y"}
    assert "BINANCE_API_KEY" not in __import__("os").environ


def test_load_env_without_a_file_is_empty(tmp_path: Path):
    assert load_env(tmp_path) == {}


def test_a_broken_env_file_is_refused_by_line_without_its_content(tmp_path: Path):
    (tmp_path / ".env").write_text("A=1\n'hunter2 is my password\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2: write NAME=value") as caught:
        load_env(tmp_path)
    assert "hunter2" not in str(caught.value)


def test_an_env_file_that_is_no_text_is_refused(tmp_path: Path):
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe\x00")
    with pytest.raises(ConfigError, match="can't be read as UTF-8 text"):
        load_env(tmp_path)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A file of keys that nobody else can read."""
    path = tmp_path / ".env"
    path.write_text("BINANCE_API_KEY=hunter2\n")
    path.chmod(0o600)
    return path


def test_a_private_file_or_none_is_exposed_to_nobody(private: Path, tmp_path: Path):
    assert exposures(tmp_path) == ()
    private.unlink()
    assert exposures(tmp_path) == ()


@needs_posix
@pytest.mark.parametrize("rights", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read_is_exposed(private: Path, tmp_path: Path, rights: int):
    private.chmod(rights)
    ((text, advice),) = exposures(tmp_path)
    assert (text, advice) == (f"{private} can be read by other users of this computer", f"chmod 600 {private}")


@needs_git
def test_a_file_is_exposed_from_the_moment_on_that_git_tracks_it(private: Path, tmp_path: Path):
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)

    git("init", "--quiet")
    assert exposures(tmp_path) == ()
    git("add", ".env")
    ((text, advice),) = exposures(tmp_path)
    assert "is tracked by git" in text
    assert advice.startswith(f"git rm --cached {private}")
    git("rm", "--cached", "--quiet", ".env")
    assert exposures(tmp_path) == ()
