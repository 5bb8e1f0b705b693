"""The file of a journal: made whole, examined before it is read, brought to the newest version."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from .errors import JournalError
from .files import replacing

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["HAS_INTENTS", "connected", "create", "told", "version_of"]

_APPLICATION = 0x4D455850  # "MEXP": whose file it is
_SCHEMA = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, started INTEGER NOT NULL, ended INTEGER, reason TEXT, manifest TEXT NOT NULL,
        first TEXT, is_trimmed INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE market (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, seq INTEGER NOT NULL, time INTEGER NOT NULL,
        kind TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, seq)
    ) WITHOUT ROWID;
    CREATE TABLE log (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, seq INTEGER NOT NULL, time INTEGER NOT NULL,
        kind TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, seq)
    ) WITHOUT ROWID;
    CREATE TABLE state (only INTEGER PRIMARY KEY CHECK (only = 0), body TEXT NOT NULL);
    """,
    """
    CREATE TABLE intents (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    """,
)
"""What brings a file from version n to n + 1; a version is the number of these."""

HAS_INTENTS = 2
"""The version from which on a journal holds intents."""

_BUSY_SECONDS = 5.0
_MEND = "nothing is begun anew in its place; put a copy back, or move it away to begin with a new account"
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def create(path: Path) -> None:
    """Put an empty journal in place, whole: a file that is there and empty is a damaged one."""
    left = [one for one in (path.with_name(path.name + end) for end in ("-wal", "-shm")) if one.exists()]
    if left:
        raise JournalError(f"{left[0]} lies there without {path.name}: put that back, or move the former away too")
    with told(path), replacing(path) as draft, closing(sqlite3.connect(draft, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        _migrate(db, 0)


def _migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring a file of `version` to the newest, in one transaction."""
    steps = "".join(_SCHEMA[version:])
    db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {len(_SCHEMA)}; COMMIT;")


def version_of(db: sqlite3.Connection) -> int:
    """The version of an open file."""
    return db.execute("PRAGMA user_version").fetchone()[0]


def connected(path: Path, *, mode: str, durable: bool = False) -> sqlite3.Connection:
    """Open a journal that is there, once it is certain that it is one and whole.

    `durable`: what is written there outlasts a power cut.

    Raises:
        JournalError: it is not.
    """
    with told(path):
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=_BUSY_SECONDS
        )
        try:
            _examine(db, path)
            if mode == "rw":
                _prepare(db, path, durable=durable)
        except BaseException:
            db.close()
            raise
    return db


def _examine(db: sqlite3.Connection, path: Path) -> None:
    """Refuse what is no journal, or of another version than this library can read."""
    application, version = db.execute("PRAGMA application_id").fetchone()[0], version_of(db)
    if application != _APPLICATION or not version:
        raise JournalError(f"{path} is no journal of an expert, or a damaged one: {_MEND}")
    if version > len(_SCHEMA):
        raise JournalError(
            f"{path} was written by a newer metaexpert (version {version} of the journal, this one reads "
            f"{len(_SCHEMA)}): update metaexpert"
        )


def _prepare(db: sqlite3.Connection, path: Path, *, durable: bool) -> None:
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise JournalError(f"{path} is damaged ({' '.join(found.split())}): {_MEND}")
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise JournalError(
            f"{path}: this drive can't hold a journal: set METAEXPERT_HOME to a folder on a local disk"
        )
    db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    db.execute("PRAGMA foreign_keys = ON")
    version = version_of(db)
    if version < len(_SCHEMA):
        _migrate(db, version)


@contextmanager
def told(path: Path) -> Generator[None]:
    """Say in one line what SQLite or the disk refuses."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(_DAMAGED):
            raise JournalError(f"{path} is damaged ({error}): {_MEND}") from error
        if name.startswith("SQLITE_CANTOPEN"):
            raise JournalError(
                f"{path} can't be opened: that takes the right to write in its folder, also to look; do it as the "
                "user who runs the expert"
            ) from error
        if name.startswith("SQLITE_BUSY"):
            raise JournalError(f"{path} is held by another program: close that") from error
        raise JournalError(
            f"{path} can't be kept ({error}): what was written before is whole; see to the disk and start again"
        ) from error
    except OSError as error:
        raise JournalError(f"{path} can't be kept: {error.strerror or error}") from error
