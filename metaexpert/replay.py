"""Play a run again from its journal: what it heard then goes through the same loop, and has to do the same."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import zip_longest
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from .clock import SimClock
from .errors import JournalError, MetaExpertError
from .events import Quote
from .journal import line_of
from .livefeed import LiveFeed
from .logger import Redactor
from .models import Bar
from .tape import BEGINNING, END, FAILURE, LEAVE, START, STOP, error_of, event_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

    from .events import Funding, MarketEvent, PublicTrade, Stream
    from .journal import Entry, JournalReader, Run
    from .live import LiveProcess
    from .livefeed import Event
    from .liveseries import LiveSeries
    from .values import Secret

__all__ = ["Comparison", "Lines", "Recording", "ReplayFeed", "compared", "replay"]


class Comparison(NamedTuple):
    """A run beside its replay: `lines` is how many entries its log has, `number` the first that differs (from 1).

    `recorded` and `replayed` are that entry in both, "" where one of them has no more. All is equal where `number`
    is None.
    """

    run: str
    lines: int
    number: int | None = None
    recorded: str = ""
    replayed: str = ""

    @property
    def is_equal(self) -> bool:
        """Did the replay do what the run did?"""
        return self.number is None


class Recording:
    """What a run heard, to be played from its first entry on.

    Args:
        run: the run.
        entries: its market events in order.

    Raises:
        JournalError: there is no whole record of it.
    """

    def __init__(self, run: Run, entries: Iterable[Entry]) -> None:
        if run.is_trimmed:
            raise JournalError(f"run {run.id} can't be replayed: its first events were let go, it grew too large")
        self.run = run
        self._entries = iter(entries)
        self.start, _, offers = self._take(START)
        self.offers = tuple(Quote(*one) for one in offers or ())
        self.beginning: dict[str, Any] = self._take(BEGINNING).body
        self.upcoming = next(self._entries, None)
        """The entry that comes next."""

    def _take(self, kind: str) -> Entry:
        entry = next(self._entries, None)
        if entry is None or entry.kind != kind:
            raise JournalError(f"run {self.run.id} can't be replayed: it ended before the market told it anything")
        return entry

    def take(self) -> Entry | None:
        """The next entry, None at the end."""
        taken, self.upcoming = self.upcoming, next(self._entries, None)
        return taken


class ReplayFeed(LiveFeed):
    """The feed of a run that is played again: nobody waits, and time is that of the record.

    Args:
        recording: what the run heard.
        wanted: the timeframes by symbol, as the run had them.
        lookback: as the run had it.
    """

    def __init__(
        self, recording: Recording, wanted: Mapping[str, Collection[str]], *, lookback: int = 100
    ) -> None:
        self.time = _Time(recording.beginning["opened"])
        super().__init__(_Known(recording, self.time), self.time, wanted, (), lookback=lookback)
        self.recording = recording
        self.offers = recording.offers
        self.on_stop: Callable[[str], None] | None = None
        """Told why, where the run was told to stop."""

    async def open(
        self, history: int, since: int | Mapping[str, int] | None = None, *,
        seen: Mapping[str, PublicTrade] | None = None,
    ) -> None:  # fmt: skip
        """Begin with what the run began with, whatever is asked for now."""
        del history, since, seen
        beginning = self.recording.beginning
        await super().open(beginning["history"], beginning["since"])
        self.time.advance(max(self.recording.start, self.time.now()))

    async def next(self, until: float = inf) -> Event | None:
        """The next event that the run took; None where it took none.

        Raises:
            asyncio.CancelledError: here the run was interrupted.
            MetaExpertError: here its feed failed.
            JournalError: here the record ends.
        """
        del until
        if not self._began:
            self._began = True
            await self._complete()
        entry = self.recording.take()
        while entry is not None and entry.kind in (STOP, LEAVE):
            if entry.kind == STOP and self.on_stop is not None:
                self.on_stop(entry.body)
            entry = self.recording.take()
        if entry is None or entry.kind == END:
            if entry is not None and entry.body == "signal":
                raise asyncio.CancelledError
            raise JournalError(f"run {self.recording.run.id} went no further")
        self.time.advance(max(entry.time, self.time.now()))
        if entry.kind == FAILURE:
            raise error_of(*entry.body)
        return event_of(entry.kind, entry.body, self._append)

    def through(self) -> None:
        """An event is through: where the run came to its end then, time goes on to that."""
        upcoming = self.recording.upcoming
        if upcoming is not None and upcoming.kind in (LEAVE, END):
            self.time.advance(max(upcoming.time, self.time.now()))

    def _append(self, bar: Bar) -> tuple[LiveSeries, int]:
        one = self.series[bar.symbol, bar.timeframe]
        return one, one.append(bar)


class _Time(SimClock):
    """Time that only the record moves."""

    async def sleep_until(self, time_ms: int) -> None:
        """Nobody waits in a replay."""
        del time_ms


class _Known:
    """The source of a replay: it has the candles that the run began with, and nothing else."""

    def __init__(self, recording: Recording, clock: _Time) -> None:
        self._candles = recording.beginning["candles"]
        self._clock = clock

    async def watch(self, stream: Stream) -> Sequence[MarketEvent]:
        """Nothing is watched."""
        raise MetaExpertError(f"a replay watches nothing: {stream}")

    async def unwatch(self, stream: Stream) -> None:
        """Nothing is watched."""

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> list[Bar]:
        """The candles that the run loaded."""
        rows = self._candles.get(symbol, ())
        return [Bar(row[0], symbol, timeframe, *row[1:]) for row in rows if start <= row[0] < end]

    async def trades(self, symbol: str, start: int) -> list[PublicTrade]:
        """None: what the run fetched stands in its record."""
        del symbol, start
        return []

    async def funding(self, symbol: str) -> Funding | None:
        """None, as with trades."""
        del symbol

    async def paid(self, symbol: str, start: int, end: int) -> list[Funding]:
        """None, as with trades."""
        del symbol, start, end
        return []

    async def time(self) -> int:
        """The time of the record."""
        return self._clock.now()

    async def close(self) -> None:
        """Nothing is open."""


class Lines:
    """A keeper that collects the lines of a log instead of writing a journal; see `live.Keeper`.

    Args:
        feed: is told when an event is through.
        secrets: are masked, as in a journal.
    """

    def __init__(self, feed: ReplayFeed | None = None, secrets: Iterable[Secret | str] = ()) -> None:
        self.lines: list[str] = []
        self._feed = feed
        self._redactor = Redactor(secrets)

    def event(self, time: int, kind: str, body: Any) -> None:
        """The events are known."""

    def log(self, time: int, kind: str, body: Any) -> None:
        """Keep the line that a journal would have."""
        line = line_of(time, kind, body)
        if self._redactor.knows(line):
            line = line_of(time, kind, self._redactor.value(body))
        self.lines.append(line)

    def commit(self, process: LiveProcess, *, changed: bool) -> None:
        """Nothing is written."""
        del process, changed
        if self._feed is not None:
            self._feed.through()


async def replay(
    journal: JournalReader, run: Run, rebuild: Callable[[Recording], Awaitable[tuple[LiveProcess, Lines]]]
) -> Comparison:
    """Play `run` again and compare.

    Args:
        journal: holds it.
        run: one of its runs.
        rebuild: makes the process, restored to the run's first state, over an open `ReplayFeed`.

    Raises:
        JournalError: there is no whole record of the run.
    """
    recorded = list(journal.lines(run.id))  # before the events: a run that goes on may write both meanwhile
    process, lines = await rebuild(Recording(run, journal.events(run.id)))
    with suppress(asyncio.CancelledError, MetaExpertError):  # the run may have ended so too
        await process.stream()
    return compared(run, recorded, lines.lines)


def compared(run: Run, recorded: Iterable[str], replayed: Iterable[str]) -> Comparison:
    """Compare two logs; what comes after the last line of a run that was killed, or goes on, does not count."""
    count, first = 0, Comparison(run.id, 0)
    for number, (one, other) in enumerate(zip_longest(recorded, replayed), 1):
        if one is None and run.reason in (None, "killed"):
            break
        count += one is not None
        if first.is_equal and one != other:
            first = Comparison(run.id, 0, number, one or "", other or "")
    return first._replace(lines=count)
