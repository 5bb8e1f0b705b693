"""The folder of the user's data; files replaced as a whole or not at all; locks that end with their holder."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from .errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import IO

__all__ = ["claimed", "discard_drafts", "holder", "home", "locked", "replacing"]

_DRAFT = ".tmp"
_BEYOND = 1 << 30  # the byte that Windows locks: others can read what stands before it
_MOMENT = 0.001  # seconds


def home() -> Path:
    """Return the folder of the user's data: ``METAEXPERT_HOME``, else the platform's place for it.

    Raises:
        ConfigError: ``METAEXPERT_HOME`` begins with a ``~`` that means nobody.
    """
    override = os.environ.get("METAEXPERT_HOME")
    if override:
        try:
            return Path(override).expanduser()
        except RuntimeError:  # no such user
            raise ConfigError(f"METAEXPERT_HOME={override}: ~ means no folder; write the whole path") from None
    import platformdirs

    return Path(platformdirs.user_data_dir("metaexpert", appauthor=False))


def discard_drafts(folder: Path) -> None:
    """Remove what writers that were killed left behind; the caller holds the folder's lock, so none is at work."""
    for draft in folder.glob(f".*{_DRAFT}"):
        draft.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Give a file beside `path` to write; what is written is brought to disk and takes the place of `path`."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_DRAFT, dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        with suppress(OSError):  # some file systems can't sync a folder; the rename itself is done
            os.fsync(folder)
        os.close(folder)


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the lock file `path`; a second writer waits. The system frees it when its holder dies."""
    with path.open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # gives up after ten seconds, as OSError
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def claimed(path: Path, refusal: str) -> IO[bytes]:
    """Hold the lock file `path` until what is returned is closed, or this process ends; nobody waits for it.

    Raises:
        ConfigError: another process holds it: `refusal`, with its number and computer.
    """
    file = path.open("a+b", buffering=0)
    while not _is_taken(file):
        if not _is_taken(file, shared=True):
            other = _text(file)
            file.close()
            raise ConfigError(f"{refusal} ({other}): stop that one first")
        _let_go(file)  # nobody holds it: it is only being looked at, for a moment
        sleep(_MOMENT)
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
    return file


def holder(path: Path) -> str | None:
    """Which process holds the lock file `path` by `claimed`, with its number and computer; None: none does."""
    if not path.exists():
        return None
    with path.open("rb", buffering=0) as file:  # what is taken here for a moment is free again with its end
        return None if _is_taken(file, shared=True) else _text(file)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _is_taken(file: IO[bytes], *, shared: bool = False) -> bool:
    """Take the lock of an open file, unless another process has it; Windows has no `shared` ones."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_BEYOND)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl

            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the latter is what Windows says
        return False
    return True


def _let_go(file: IO[bytes]) -> None:
    """Free the lock of an open file."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(_BEYOND)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)
