"""The feed of a live market: closed bars, trades, quotes, books, mark prices and funding, one after the other.

What was missed while a connection was broken is fetched, and comes in its place. No event is told twice, and none
that happened at or after the close of a bar before that bar. A bar's time is the market's: a computer whose clock
is off decides on the same bars.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from . import bars as candles_
from .errors import ConfigError, MetaExpertError
from .events import Funding, MarkPrice, Notice, PublicTrade, Quote, Stream, StreamKind
from .feed import Step
from .inbox import Inbox
from .liveseries import LiveSeries
from .models import Bar, OrderBook
from .pumps import PASSING, Alarm, Backoff, Pump, ended
from .tails import Closed, Longer, Tail, Terms
from .timeframe import TIMEFRAMES, floor, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence

    import pandas as pd

    from .clock import LiveClock
    from .events import MarketEvent, Source

    type Event = Step | PublicTrade | Quote | OrderBook | MarkPrice | Funding | Notice

__all__ = ["LiveFeed", "Terms"]

_WINDOW = 2000  # bars that a series keeps at least


class _Lane:
    """One symbol of the feed: its series, shortest first, and how they go on."""

    def __init__(self, symbol: str, timeframes: Sequence[str], alarm: Alarm, backoff: Backoff) -> None:
        self.symbol = symbol
        self.timeframes = sorted(timeframes, key=parse)
        self.alarm = alarm
        self.backoff = backoff
        self.series: dict[str, LiveSeries] = {}
        self.start: float = inf
        """From here on candles are loaded, ms UTC."""
        self.until = 0
        """Up to here they are: what closes later is told."""
        self.loaded = candles_.empty()
        self.tail: Tail

    @property
    def shortest(self) -> str:
        """The timeframe that is watched, and in which orders trade."""
        return self.timeframes[0]


class LiveFeed:
    """A live market as steps and events in order, for one event loop.

    Args:
        source: the market.
        clock: ours; the market's may differ, and is measured.
        wanted: the timeframes by symbol, symbols in the order in which they were declared.
        kinds: what is watched. Bars come in any case; without candles among `kinds` by asking for them.
        lookback: how many bars a strategy looks back at; a series keeps ten times as many, and 2000 at least.
        terms: how long to wait for what.
        random: gives numbers in [0, 1), for the pauses between attempts.
        limit: how many events may wait to be taken.
    """

    def __init__(
        self, source: Source, clock: LiveClock, wanted: Mapping[str, Collection[str]],
        kinds: Collection[StreamKind] = (StreamKind.CANDLES,), *, lookback: int = 100, terms: Terms | None = None,
        random: Callable[[], float] | None = None, limit: int = 10_000,
    ) -> None:  # fmt: skip
        self.source = source
        self.clock = clock
        self.kinds = frozenset(kinds)
        self.terms = terms or Terms()
        self.series: dict[tuple[str, str], LiveSeries] = {}
        self.skew = 0
        """How far the market's clock is ahead of ours, ms."""
        self._keep = max(_WINDOW, 10 * lookback)
        self._random = random or Random().random  # noqa: S311 - it spreads attempts, it hides nothing
        self._alarm = Alarm(clock)
        self._inbox = Inbox(limit)
        self._notices: deque[Notice] = deque()
        self._lanes = {symbol: self._lane(symbol, timeframes) for symbol, timeframes in wanted.items()}
        self._ranks = {symbol: rank for rank, symbol in enumerate(self._lanes)}
        self._history = 0
        self._told = 0
        self._boundary: float = inf
        self._opened: tuple[int, int | None] = 0, None  # when, and since when an earlier run knew nothing
        self._is_open = False
        self._began = False
        self._woken = False
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None

    def _lane(self, symbol: str, timeframes: Collection[str]) -> _Lane:
        if not timeframes:
            raise ConfigError(f"{symbol}: a live feed needs at least one timeframe")
        return _Lane(symbol, tuple(timeframes), Alarm(self.clock), self._backoff())

    def _backoff(self) -> Backoff:
        return Backoff(self._random, self.terms.retry, self.terms.longest)

    # -- looking things up ------------------------------------------------------------------------------------

    def now(self) -> int:
        """The market's time now, ms UTC."""
        return self.clock.now() + self.skew

    def find(self, symbol: str, timeframe: str) -> LiveSeries | None:
        """The series of `symbol` and `timeframe`; None when there is none.

        Before the first event one is made where the timeframe is a multiple of the shortest: of the history that
        is loaded, at once, and as deep as the others by the first event.
        """
        found = self.series.get((symbol, timeframe))
        lane = self._lanes.get(symbol)
        if found is not None or lane is None or self._began or timeframe not in TIMEFRAMES:
            return found
        shortest = parse(lane.shortest)
        if parse(timeframe) < shortest or parse(timeframe) % shortest:
            return None
        lane.timeframes = sorted([*lane.timeframes, timeframe], key=parse)
        self._arrange(lane)
        return self.series.get((symbol, timeframe))

    def matching(self, symbol: str) -> LiveSeries:
        """The series in which orders of `symbol` trade: its shortest."""
        lane = self._lanes[symbol]
        return lane.series[lane.shortest]

    def is_matching(self, one: LiveSeries) -> bool:
        """Do orders of its symbol trade in `one`?"""
        return self.matching(one.symbol) is one

    # -- life -------------------------------------------------------------------------------------------------

    async def open(self, history: int, since: int | None = None) -> None:
        """Load what is known already. The first `next` begins to watch.

        Args:
            history: how many closed bars of each series are known from the start, where the exchange has them.
            since: the close (ms UTC) of the last bar that an earlier run has handled: bars that closed after it
                are delivered first, marked as backfilled.

        Raises:
            ExchangeError: the market can't be reached, or does not know what is asked for.
            ConfigError: a timeframe is not a multiple of its symbol's shortest.
        """
        for lane in self._lanes.values():
            _refuse_odd(lane)
        self._history = history
        await self._measure()
        opened = self.now()
        self._opened = opened, since
        await asyncio.gather(*(self._load(lane, opened, since) for lane in self._lanes.values()))
        self._told = min(lane.tail.settled for lane in self._lanes.values())
        self._is_open = True
        self._mark_boundary()

    def beginning(self) -> dict[str, Any]:
        """What the feed began with, as JSON can hold it: when and how it was opened, and the candles it loaded."""
        opened, since = self._opened
        candles = {
            lane.symbol: list(
                zip(candles_.times(lane.loaded).tolist(), *lane.loaded.to_numpy().T.tolist(), strict=True)
            )
            for lane in self._lanes.values()
        }
        return {"opened": opened, "since": since, "history": self._history, "candles": candles}

    async def _complete(self) -> None:
        """Complete the history of what was asked for since the feed was opened."""
        await asyncio.gather(*(self._deepen(lane) for lane in self._lanes.values()))

    async def _begin(self) -> None:
        """Watch, with the whole history."""
        await self._complete()
        for lane in self._lanes.values():
            self._start(self._settle(lane))
            for kind in sorted(self.kinds):
                self._watch(lane, kind)

    async def close(self) -> None:
        """End every task and subscription; the source stays open, it is not ours."""
        tasks, self._tasks = self._tasks, []
        await ended(tasks)
        await self._alarm.close()
        for lane in self._lanes.values():
            await lane.alarm.close()

    async def _measure(self) -> None:
        """Measure how far the market's clock is from ours."""
        before = self.clock.now()
        told = await self.source.time()
        self.skew = told - (before + self.clock.now()) // 2

    async def _load(self, lane: _Lane, opened: int, since: int | None) -> None:
        """Load the history of a symbol; its bars go on from there."""
        length = parse(lane.shortest)
        lane.until = floor(opened if since is None else min(since, opened), length)
        await self._deepen(lane)
        last = int(candles_.times(lane.loaded)[-1]) + length if len(lane.loaded) else 0
        if self._history and since is None and last < lane.until and opened < lane.until + self.terms.settle:
            lane.until -= length  # its last bar may still come
        lane.tail = Tail(
            lane.symbol, lane.shortest, lane.until, self.terms, opened=opened if since is not None else 0
        )
        self._arrange(lane)

    async def _deepen(self, lane: _Lane) -> None:
        """Load as much of the shortest timeframe as makes up the history of the longest one."""
        longest = parse(lane.timeframes[-1])
        start = floor(lane.until - self._history * longest, longest)
        if start >= lane.start:
            return
        lane.start = start
        bars = await self.source.candles(lane.symbol, lane.shortest, start, lane.until)
        lane.loaded = _frame([bar for bar in bars if start <= bar.time < lane.until])
        if lane.series:
            self._arrange(lane)

    def _arrange(self, lane: _Lane) -> None:
        """Make the series of a symbol of what is loaded of the shortest one."""
        source, loaded = lane.shortest, lane.loaded
        first = int(candles_.times(loaded)[0]) if len(loaded) else None
        longer: list[Longer] = []
        for timeframe in lane.timeframes:
            made = candles_.coarser(loaded, timeframe, source=source, until=lane.until)
            one = lane.series.get(timeframe)
            if one is None:
                one = LiveSeries(lane.symbol, timeframe, made, self._keep)
                lane.series[timeframe] = self.series[lane.symbol, timeframe] = one
            elif len(one) < len(made):
                one.load(made)
            if timeframe != source:
                begun = loaded[candles_.times(loaded) >= floor(lane.until, parse(timeframe))]
                longer.append(Longer(timeframe, source, _bars(begun, lane.symbol, source), first))
        lane.tail.longer = tuple(longer)

    # -- events -----------------------------------------------------------------------------------------------

    async def next(self, until: float = inf) -> Event | None:
        """The next event; None when our clock has come to `until` (ms) before there was one.

        Raises:
            MetaExpertError: what is to be watched can't be: no such market, no access.
        """
        if not self._is_open:
            raise MetaExpertError("a live feed is opened before its first event")
        if not self._began:
            self._began = True
            await self._begin()
        while True:
            event = self._take()
            if event is not None:
                return event
            if self._failure is not None:
                raise self._failure
            if self.clock.now() >= until or self._woken:
                self._woken = False
                return None
            await self._alarm.wait(until)

    def wake(self) -> None:
        """Have whoever waits in `next` get None."""
        self._woken = True
        self._alarm.ring()

    def _take(self) -> Event | None:
        """What is to be told now, if anything."""
        if self._notices:
            return self._notices.popleft()
        event = self._inbox.pop(self._boundary)
        if event is not None:
            return event
        closed = self._due()
        return None if closed is None else self._step(*closed)

    def _mark_boundary(self) -> None:
        """Events from the next close on have to wait for its bars."""
        self._boundary = min(lane.tail.boundary for lane in self._lanes.values())

    def _due(self) -> tuple[int, list[tuple[_Lane, Closed]]] | None:
        """The next moment at which bars close, if all is known of it, and what closes then."""
        heads = [lane.tail.ready[0].time for lane in self._lanes.values() if lane.tail.ready]
        if not heads:
            return None
        time = min(heads)
        if any(lane.tail.closes <= time for lane in self._lanes.values()):
            return None
        closing = [
            (lane, lane.tail.ready.popleft())
            for lane in self._lanes.values()
            if lane.tail.ready and lane.tail.ready[0].time == time
        ]
        self._mark_boundary()
        self._inbox.release()
        return time, closing

    def _step(self, time: int, closing: list[tuple[_Lane, Closed]]) -> Step:
        """Take the bars that close at `time` into their series."""
        self._told = max(self._told, time)
        matched: list[Bar] = []
        delivered: list[tuple[LiveSeries, int]] = []
        for lane, closed in closing:
            for bar in closed.bars:
                one = lane.series[bar.timeframe]
                delivered.append((one, one.append(bar)))
                if bar.timeframe == lane.shortest:
                    matched.append(bar)
        delivered.sort(key=lambda item: (item[0].length_ms, self._ranks[item[0].symbol]))
        return Step(self._told, tuple(matched), tuple(delivered))

    # -- tasks ------------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._over)
        self._tasks.append(task)

    def _over(self, task: asyncio.Task[None]) -> None:
        """A task has ended, which none does by itself: what it failed with is raised by `next`."""
        if not task.cancelled() and self._failure is None:
            self._failure = task.exception()
            self._alarm.ring()

    def _watch(self, lane: _Lane, kind: StreamKind) -> None:
        stream = Stream(kind, lane.symbol, lane.shortest if kind is StreamKind.CANDLES else "")
        take = self._take_candles if kind is StreamKind.CANDLES else self._take_events
        self._start(Pump(self.source, stream, self.clock, self._backoff(), take, self._broke).run())

    def _take_candles(self, pump: Pump, events: Sequence[MarketEvent]) -> None:
        lane, now = self._lanes[pump.stream.symbol], self.now()
        before = lane.tail.due(), lane.tail.settled
        for event in events:
            if isinstance(event, Bar):
                lane.tail.show(event, now)
        if before != (lane.tail.due(), lane.tail.settled):
            self._moved(lane)

    def _take_events(self, pump: Pump, events: Sequence[MarketEvent]) -> None:
        del pump
        for event in events:
            if isinstance(event, PublicTrade | Quote | OrderBook | MarkPrice):
                self._inbox.put(event)
        self._alarm.ring()

    def _broke(self, pump: Pump, error: MetaExpertError) -> None:
        """A stream has broken."""
        lane = self._lanes[pump.stream.symbol]
        if pump.stream.kind is StreamKind.CANDLES:
            lane.tail.broke()
        if pump.is_up:
            self._notices.append(Notice(self.now(), lane.symbol, f"{pump.stream.kind}: {error}", error))
            self._alarm.ring()

    def _moved(self, lane: _Lane) -> None:
        """Bars have closed, or REST is needed sooner."""
        self._mark_boundary()
        self._inbox.release()
        lane.alarm.ring()
        self._alarm.ring()

    async def _settle(self, lane: _Lane) -> None:
        """Ask REST for the bars that the stream does not show in time."""
        tail = lane.tail
        not_before = 0
        while True:
            due = max(tail.due(), not_before)
            if self.now() < due:
                await lane.alarm.wait(due - self.skew)
                continue
            asked = self.now()
            try:
                bars = await self.source.candles(
                    lane.symbol, lane.shortest, tail.settled, floor(asked, tail.length_ms)
                )
            except PASSING as error:
                not_before = self.now() + lane.backoff.pause(error)
                continue
            settled = tail.settled
            tail.answer(bars, asked, self.now())
            if tail.settled == settled:
                not_before = self.now() + lane.backoff.pause()
            else:
                lane.backoff.reset()
                self._moved(lane)


def _refuse_odd(lane: _Lane) -> None:
    shortest = lane.shortest
    for timeframe in lane.timeframes:
        if parse(timeframe) % parse(shortest):
            raise ConfigError(
                f"{lane.symbol}: {shortest} bars can't make up {timeframe} ones; ask for a multiple of {shortest}"
            )


def _frame(bars: Sequence[Bar]) -> pd.DataFrame:
    """Bars as candles."""
    values = np.array([bar[3:] for bar in bars]).reshape(-1, len(candles_.COLUMNS))
    return candles_.frame(np.array([bar.time for bar in bars], dtype=np.int64), list(values.T))


def _bars(candles: pd.DataFrame, symbol: str, timeframe: str) -> list[Bar]:
    """Candles as bars."""
    rows = zip(candles_.times(candles).tolist(), candles.to_numpy().tolist(), strict=True)
    return [Bar(time, symbol, timeframe, *values) for time, values in rows]
