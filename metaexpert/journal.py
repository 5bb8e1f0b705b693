"""The journal of one expert on one account: what it decided on, what it did, and the state that it goes on from.

It is one SQLite file (WAL), which one process at a time writes and anybody may read meanwhile. What belongs to one
event is written in one transaction, all of it or nothing: so a process that is killed at any moment leaves the
state after the last event whose `commit` returned, and everything that led to it.

    runs     each start of the expert: when, why it ended, its manifest, the state that it began from
    market   what was decided on: each event with the time of the run's clock at which it was handled
    log      what was done: handler calls, orders, fills, refusals, notices
    state    what to go on from: of the last event only
    intents  orders that were about to be sent, and that the state does not know yet
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from .errors import JournalError
from .files import claimed, home
from .journalfile import HAS_INTENTS, connected, create, told, version_of
from .logger import Redactor
from .timeframe import DAY_MS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import IO

    from .values import Secret

__all__ = ["Entry", "Journal", "JournalReader", "Run", "line_of", "path_of"]

_ROWS = 500  # market events that are held back at most, and for how many ms of the run's clock
_HELD_MS = 1000
_TIDY_ROWS = 5000  # rows between two looks at the size; a look removes twice as many
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 8  # of ms since 1970 in base 36: until the year 2059


class Run(NamedTuple):
    """One start of the expert; times are ms UTC.

    `reason` says why it ended: None while it runs, ``"killed"`` where it could not say. `first` is the state that
    it began from, None where it began afresh. Of a run that `is_trimmed` the oldest events are gone.
    """

    id: str
    started: int
    ended: int | None
    reason: str | None
    manifest: dict[str, Any]
    first: dict[str, Any] | None
    is_trimmed: bool


class Entry(NamedTuple):
    """A market event of a run: the time of the run's clock at which it was handled, its kind, and what it told."""

    time: int
    kind: str
    body: Any


def path_of(name: str, strategy_id: int, *account: str) -> Path:
    """The file of an expert on an account, such as ``path_of("my_bot", 7, "binance", "spot", "paper")``."""
    words = (_safe(name), str(strategy_id), *map(_safe, account))
    return home() / "experts" / f"{'-'.join(words)}.db"


def _safe(word: str) -> str:
    """`word` as part of a file's name; one that is changed for it gets a digest that keeps it apart."""
    safe = "".join(c if c.isalnum() or c in "._" else "_" for c in word)
    return safe if safe == word else f"{safe}_{sha256(word.encode()).hexdigest()[:6]}"


def line_of(time: int, kind: str, body: Any) -> str:
    """One entry of the log as a line of JSON: equal entries give equal bytes."""
    return f'{{"time":{time},"kind":{_text(kind)},"body":{_text(body)}}}'


class JournalReader:
    """A journal as anybody may read it, while an expert writes it or after; use it as a context manager."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the journal at `path` for reading.

        Raises:
            JournalError: there is none, or it can't be read.
        """
        if not path.exists():
            raise JournalError(f"there is no journal at {path}")
        return cls(path, connected(path, mode="ro"))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def runs(self) -> list[Run]:
        """Every run that is kept, oldest first."""
        rows = self._rows("SELECT id, started, ended, reason, manifest, first, is_trimmed FROM runs ORDER BY id")
        return [
            Run(run, started, ended, why, json.loads(manifest), first and json.loads(first), bool(is_trimmed))
            for run, started, ended, why, manifest, first, is_trimmed in rows
        ]

    def last_manifest(self) -> dict[str, Any] | None:
        """The manifest of the last run; None before the first."""
        manifest = self._one("SELECT manifest FROM runs ORDER BY id DESC LIMIT 1")
        return None if manifest is None else json.loads(manifest)

    def last_run(self) -> tuple[str, str | None] | None:
        """The id of the last run, and why it ended (None: it did not say); None before the first."""
        return next(self._rows("SELECT id, reason FROM runs ORDER BY id DESC LIMIT 1"), None)

    def last_state(self) -> dict[str, Any] | None:
        """The state after the last event that was brought to its end; None where nothing is to be gone on from."""
        body = self._one("SELECT body FROM state")
        return None if body is None else json.loads(body)

    def intents(self) -> list[Any]:
        """What was about to be sent and stands in no state yet, as `Journal.intent` was given it, oldest first."""
        if version_of(self._db) < HAS_INTENTS:
            return []
        return [json.loads(body) for (body,) in self._rows("SELECT body FROM intents ORDER BY id")]

    def events(self, run: str) -> Iterator[Entry]:
        """The market events of a run, in the order in which they were handled."""
        for time, kind, body in self._rows("SELECT time, kind, body FROM market WHERE run = ? ORDER BY seq", run):
            yield Entry(time, kind, json.loads(body))

    def lines(self, run: str) -> Iterator[str]:
        """What a run did, one line of JSON an entry, byte-equal for equal runs; see `line_of`."""
        for time, kind, body in self._rows("SELECT time, kind, body FROM log WHERE run = ? ORDER BY seq", run):
            yield f'{{"time":{time},"kind":{_text(kind)},"body":{body}}}'

    def tail(self, table: Literal["market", "log"], rows: int = 20_000) -> Iterator[Entry]:
        """The last entries of all runs, newest first: what was heard (`market`) or done (`log`)."""
        query = f"SELECT time, kind, body FROM {table} ORDER BY run DESC, seq DESC LIMIT ?"  # noqa: S608
        for time, kind, body in self._rows(query, rows):
            yield Entry(time, kind, json.loads(body))

    def _rows(self, query: str, *values: Any) -> Iterator[Any]:
        with told(self.path):
            cursor = self._db.execute(query, values)
        while True:
            with told(self.path):  # not around the yield: whoever reads may stop in the middle
                rows = cursor.fetchmany(_ROWS)
            if not rows:
                return
            yield from rows

    def _one(self, query: str, *values: Any) -> Any:
        """The one value that a query asks for; None when there is no row."""
        with told(self.path):
            row = self._db.execute(query, values).fetchone()
        return None if row is None else row[0]


class Journal(JournalReader):
    """The journal as the one process that runs its expert writes it.

    Args:
        path: the file.
        db: the open connection.
        lock: what keeps a second process out.
        redactor: knows the secrets of the settings, none of which gets in.
        keep_days: an ended run goes this many days after its end.
        max_bytes: above this size the oldest events go, in a long run its own.
    """

    def __init__(
        self, path: Path, db: sqlite3.Connection, lock: IO[bytes], redactor: Redactor, keep_days: float,
        max_bytes: int,
    ) -> None:  # fmt: skip
        super().__init__(path, db)
        self.run: str | None = None
        """The run that is being written."""
        self._lock = lock
        self._file = path.stat()
        self._redactor = redactor
        self._keep_ms = round(keep_days * DAY_MS)
        self._max_bytes = max_bytes
        self._market: list[tuple[Any, ...]] = []
        self._log: list[tuple[Any, ...]] = []
        self._seq = self._looked = 0

    @classmethod
    def open(
        cls, path: Path, *, secrets: Iterable[Secret | str] = (), keep_days: float = 30.0,
        max_bytes: int = 512_000_000, durable: bool = False,
    ) -> Self:  # fmt: skip
        """Open the journal at `path` for writing, making it where there is none.

        What was written outlasts the process; where it is `durable`, a power cut too, for the price of waiting for
        the disk with each transaction.

        Raises:
            ConfigError: another process writes it.
            JournalError: it is damaged, of a newer version, or can't be written; nothing was changed.
        """
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = claimed(path.with_suffix(".lock"), f"{path.stem} is run by another process")
        try:
            if not path.exists():
                create(path)
            db = connected(path, mode="rw", durable=durable)
        except BaseException:
            lock.close()
            raise
        return cls(path, db, lock, Redactor(secrets), keep_days, max_bytes)

    def close(self) -> None:
        """Close the file and let others in; what was not committed is dropped."""
        super().close()
        self._lock.close()

    # -- a run --------------------------------------------------------------------------------------------------

    def begin(self, time: int, manifest: Mapping[str, Any], first: Mapping[str, Any] | None = None) -> str:
        """Begin a run at `time` (ms UTC) and return its id: 8 letters and digits that sort by time.

        Args:
            time: the clock's.
            manifest: what identifies the run: settings, digest of the code, versions.
            first: the state that it goes on from, which `last_state` gave; None begins afresh.

        Raises:
            JournalError: it can't be written, or a secret stands in `first`.
        """
        state = None if first is None else self._state(first)
        with self._transaction():
            self._bury()
            last = self._one("SELECT max(id) FROM runs")
            run = _id(time if last is None else max(time, int(last, 36) + 1))
            self._db.execute("DELETE FROM runs WHERE ended < ?", (time - self._keep_ms,))
            self._db.execute(
                "INSERT INTO runs (id, started, manifest, first) VALUES (?, ?, ?, ?)",
                (run, time, self._masked(manifest), state),
            )
            self._put_state(state)
        self.run = run
        self._market.clear()
        self._log.clear()
        self._seq = self._looked = 0
        self._trim()
        return run

    def begin_from(self, state: Mapping[str, Any]) -> None:
        """Before the first event of a run: it goes on from `state` instead, in which every intent stands.

        Raises:
            JournalError: it can't be written, or a secret stands in `state`.
        """
        text = self._state(state)
        with self._transaction():
            self._db.execute("UPDATE runs SET first = ? WHERE id = ?", (text, self.run))
            self._put_state(text)
            self._db.execute("DELETE FROM intents")

    def intent(self, name: str, body: Any) -> None:
        """Write, before it returns, what is about to be sent under the id `name`; the next state replaces it.

        Raises:
            JournalError: it can't be written, or a secret stands in it: then it must not be sent.
        """
        text = self._state(body)
        with self._transaction():
            self._db.execute("INSERT INTO intents VALUES (?, ?)", (name, text))

    def revise(self, state: Mapping[str, Any]) -> None:
        """Between two runs: let the next one go on from `state` instead; what was about to be sent is kept.

        Raises:
            JournalError: it can't be written, or a secret stands in `state`.
        """
        text = self._state(state)
        with self._transaction():
            self._put_state(text)

    def event(self, time: int, kind: str, body: Any) -> None:
        """Note a market event that is about to be handled at `time`; it is written with what comes of it.

        Of many events that nothing comes of the older ones are written now and then.

        Raises:
            JournalError: it can't be written.
        """
        if self._market and (len(self._market) >= _ROWS or time - self._market[0][2] >= _HELD_MS):
            self.commit()
        self._market.append(self._row(time, kind, body))

    def log(self, time: int, kind: str, body: Any) -> None:
        """Note what was done at `time`; it is written with the next `commit`. Secrets are masked."""
        self._log.append(self._row(time, kind, body))

    def commit(self, state: Mapping[str, Any] | None = None) -> None:
        """Write everything that was noted, and the state after it where it has changed: all of it or nothing.

        Raises:
            JournalError: it can't be written, or a secret stands in `state`; all is as it was before.
        """
        text = None if state is None else self._state(state)
        if text is None and not self._market and not self._log:
            return
        with self._transaction():
            self._db.executemany("INSERT INTO market VALUES (?, ?, ?, ?, ?)", self._market)
            self._db.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?)", self._log)
            if text is not None:
                self._put_state(text)
                self._db.execute("DELETE FROM intents")
        self._market.clear()
        self._log.clear()
        if self._seq - self._looked >= _TIDY_ROWS:
            self._looked = self._seq
            self._trim()

    def end(self, time: int, reason: str) -> None:
        """End the run at `time`: write what was noted, and why it ends.

        Raises:
            JournalError: it can't be written.
        """
        self.commit()
        with self._transaction():
            self._db.execute("UPDATE runs SET ended = ?, reason = ? WHERE id = ?", (time, reason, self.run))
        self.run = None

    def _row(self, time: int, kind: str, body: Any) -> tuple[Any, ...]:
        if self.run is None:
            raise JournalError(f"{self.path}: nothing can be noted before a run has begun, or after its end")
        self._seq += 1
        return self.run, self._seq, time, kind, self._masked(body)

    def _masked(self, body: Any) -> str:
        """`body` as text in which no secret stands."""
        text = _text(body)
        return _text(self._redactor.value(body)) if self._redactor.knows(text) else text

    def _state(self, state: Mapping[str, Any]) -> str:
        text = _text(state)
        if self._redactor.knows(text):
            raise JournalError(
                f"{self.path}: a key or secret of the settings stands in the state, such as in an order's tag: "
                "it is not written; take it out there"
            )
        return text

    def _put_state(self, text: str | None) -> None:
        if text is None:
            self._db.execute("DELETE FROM state")
        else:
            self._db.execute("INSERT OR REPLACE INTO state VALUES (0, ?)", (text,))

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._look_for_file()
        with told(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled it back already
                    self._db.execute("ROLLBACK")
                raise

    def _look_for_file(self) -> None:
        """What is written into a file that nobody finds again is lost: that must not go unnoticed."""
        try:
            is_there = os.path.samestat(self.path.stat(), self._file)
        except OSError:
            is_there = False
        if not is_there:
            raise JournalError(
                f"{self.path} was moved, replaced or deleted while it was written: put it back, with the files "
                "beside it, before you begin again"
            )

    # -- what goes ----------------------------------------------------------------------------------------------

    def _bury(self) -> None:
        """Runs whose process was killed have ended with the last thing that they wrote."""
        for (run,) in self._db.execute("SELECT id FROM runs WHERE reason IS NULL").fetchall():
            self._db.execute(
                "UPDATE runs SET reason = 'killed', ended = coalesce("
                "(SELECT time FROM market WHERE run = id ORDER BY seq DESC LIMIT 1), started) WHERE id = ?",
                (run,),
            )

    def _trim(self) -> None:
        """Above the largest size the oldest rows of the oldest run go, a part at a time: nobody waits for long."""
        if self._size() > self._max_bytes:
            with self._transaction():
                self._remove(2 * _TIDY_ROWS)
        with told(self.path):
            self._db.execute("PRAGMA incremental_vacuum(1000)").fetchall()

    def _remove(self, rows: int) -> None:
        """Remove that many rows of the oldest run that has some; an ended one that has no more goes whole."""
        for run, ended in self._db.execute("SELECT id, ended FROM runs ORDER BY id").fetchall():
            first = self._first(run)
            if first is not None:
                self._db.execute("DELETE FROM market WHERE run = ? AND seq < ?", (run, first + rows))
                self._db.execute("DELETE FROM log WHERE run = ? AND seq < ?", (run, first + rows))
                self._db.execute("UPDATE runs SET is_trimmed = 1 WHERE id = ?", (run,))
            if ended is not None and self._first(run) is None:
                self._db.execute("DELETE FROM runs WHERE id = ?", (run,))
            if first is not None:
                return

    def _first(self, run: str) -> int | None:
        """The number of the first row of a run that is still there."""
        seqs = (
            self._one("SELECT min(seq) FROM market WHERE run = ?", run),
            self._one("SELECT min(seq) FROM log WHERE run = ?", run),
        )
        return min((seq for seq in seqs if seq is not None), default=None)

    def _size(self) -> int:
        """How many bytes of the file are in use."""
        pages, free = self._one("PRAGMA page_count"), self._one("PRAGMA freelist_count")
        return (pages - free) * self._one("PRAGMA page_size")


def _text(value: Any) -> str:
    """`value` as JSON, the same every time; floats as they are to the last bit."""
    try:
        return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    except TypeError as error:
        raise JournalError(f"the journal can't hold this: {error}") from None


def _id(time: int) -> str:
    """A moment as letters and digits that sort."""
    text = ""
    while time:
        time, digit = divmod(time, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text.rjust(_ID_LENGTH, "0")
