"""The feed of a live market: closed bars, trades, quotes, books, mark prices and funding, one after the other.

What was missed while a connection was broken is fetched, and comes in its place. No event is told twice, and none
that happened at or after the close of a bar before that bar. A bar's time is the market's: a computer whose clock
is off decides on the same bars.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from random import Random
from typing import TYPE_CHECKING, Any

from .errors import MetaExpertError, NetworkError, RequestError
from .events import Funding, MarkPrice, Notice, PublicTrade, Quote, Stream, StreamKind
from .feed import Step
from .gaps import Tape
from .inbox import Inbox
from .lanes import Lane, Link, refuse_odd
from .models import Bar, OrderBook
from .pumps import PASSING, Pump, ended
from .tails import Terms
from .timeframe import TIMEFRAMES, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Sequence

    from .clock import LiveClock
    from .events import MarketEvent, Source
    from .liveseries import LiveSeries
    from .reports import Away, Report

    type Event = Step | PublicTrade | Quote | OrderBook | MarkPrice | Funding | Notice | Report | Away

__all__ = ["LiveFeed", "Terms"]

_WINDOW = 2000  # bars that a series keeps at least
_SKEW_MS = 1000  # more is told
_SLOW_MS = 2000  # an answer that takes longer says nothing about the clock


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

    Raises:
        ConfigError: a timeframe is not a multiple of its symbol's shortest.
    """

    def __init__(
        self, source: Source, clock: LiveClock, wanted: Mapping[str, Collection[str]],
        kinds: Collection[StreamKind] = (StreamKind.CANDLES,), *, lookback: int = 100, terms: Terms | None = None,
        random: Callable[[], float] | None = None, limit: int = 10_000,
    ) -> None:  # fmt: skip
        self.clock = clock
        self.kinds = frozenset(kinds)
        self.offers: tuple[Quote, ...] = ()
        """The quotes that are known before the first event."""
        self.terms = terms or Terms()
        self.series: dict[tuple[str, str], LiveSeries] = {}
        self._link = Link(source, clock, self.terms, random or Random().random)  # noqa: S311 - nothing secret
        self._inbox = Inbox(limit)
        self._reports: deque[Report | Away | Notice] = deque()
        keep = max(_WINDOW, 10 * lookback)
        self._lanes: dict[str, Lane] = {}
        for symbol, timeframes in wanted.items():
            refuse_odd(symbol, tuple(timeframes))
            self._lanes[symbol] = Lane(
                symbol, tuple(timeframes), self._link, keep, self._mark_boundary, self._inbox.put
            )
        self._ranks = {symbol: rank for rank, symbol in enumerate(self._lanes)}
        self._history = 0
        self._told = 0
        self._opened = 0
        self._since: dict[str, int] = {}
        self._boundary: float = inf
        self._look_at: float = inf
        self._blocked_since: int | None = None
        self._is_open = self._began = self._woken = False
        self._down: set[Stream] = set()
        self._pumps: dict[Pump, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None

    # -- looking things up ------------------------------------------------------------------------------------

    @property
    def skew(self) -> int:
        """How far the market's clock is ahead of ours, ms."""
        return self._link.skew

    @property
    def dropped(self) -> int:
        """How many quotes, books and mark prices were not told, since later ones came before they were taken."""
        return self._inbox.dropped

    def now(self) -> int:
        """The market's time now, ms UTC."""
        return self._link.now()

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
        if not self._is_open or parse(timeframe) < shortest or parse(timeframe) % shortest:
            return None
        lane.timeframes = sorted([*lane.timeframes, timeframe], key=parse)
        lane.arrange()
        self._list(lane)
        return self.series[symbol, timeframe]

    def _list(self, lane: Lane) -> None:
        self.series |= {(lane.symbol, timeframe): one for timeframe, one in lane.series.items()}

    def matching(self, symbol: str) -> LiveSeries:
        """The series in which orders of `symbol` trade: its shortest."""
        lane = self._lanes[symbol]
        return lane.series[lane.shortest]

    def is_matching(self, one: LiveSeries) -> bool:
        """Do orders of its symbol trade in `one`?"""
        return self.matching(one.symbol) is one

    # -- life -------------------------------------------------------------------------------------------------

    async def open(
        self,
        history: int,
        since: int | Mapping[str, int] | None = None,
        *,
        seen: Mapping[str, PublicTrade] | None = None,
    ) -> None:
        """Load what is known already. The first `next` begins to watch.

        Args:
            history: how many closed bars of each series are known from the start, where the exchange has them.
            since: the close (ms UTC) of the last bar that an earlier run has handled, of all symbols or of each:
                bars, trades and funding after it are told first, marked as backfilled. A symbol that the earlier
                run had not begins now.
            seen: the last trade of each symbol that the earlier run has handled.

        Raises:
            ExchangeError: the market can't be reached, or does not know what is asked for.
        """
        self._history = history
        await self._link.ask(self._link.measure)
        opened = self.now()
        left = since if isinstance(since, Mapping) else dict.fromkeys(self._lanes, since)
        self._since = {symbol: one for symbol, one in left.items() if one is not None and symbol in self._lanes}
        self._opened = opened
        self._warn_of_skew(0)
        await asyncio.gather(*(self._load(lane, (seen or {}).get(lane.symbol)) for lane in self._lanes.values()))
        self._told = min(lane.tail.settled for lane in self._lanes.values())
        self._is_open = True

    async def _load(self, lane: Lane, seen: PublicTrade | None) -> None:
        since = self._since.get(lane.symbol)
        await lane.load(self._opened, since, self._history)
        await lane.load_funding(since)
        self._list(lane)
        if StreamKind.TRADES in self.kinds:
            lane.tape = Tape(
                self._opened if since is None else since, lane.tail.length_ms, seen, is_joined=since is None,
                is_inverse=_is_inverse(lane.symbol),
            )  # fmt: skip

    def beginning(self) -> dict[str, Any]:
        """What the feed began with, as JSON can hold it: when and how it was opened, and the candles it loaded."""
        candles = {lane.symbol: lane.rows() for lane in self._lanes.values()}
        return {"opened": self._opened, "since": self._since, "history": self._history, "candles": candles}

    async def await_offers(self, until: int) -> list[str]:
        """Begin to watch quotes, and put the first of each symbol into `offers`; they come as events, too.

        Args:
            until: the market's time (ms UTC) from which on nobody waits for more.

        Returns:
            The symbols of which none has come.
        """
        self._watch_all({StreamKind.QUOTES})
        while True:
            found = {symbol: self._inbox.last(Quote, symbol) for symbol in self._lanes}
            lacking = [symbol for symbol, one in found.items() if one is None]
            if not lacking or self._failure is not None or self.now() >= until:
                self.offers = tuple(one for one in found.values() if isinstance(one, Quote))
                return lacking
            await self._link.alarm.wait(until - self.skew)

    async def _complete(self) -> None:
        """Complete the history of what was asked for since the feed was opened."""
        await asyncio.gather(*(lane.deepen(self._history) for lane in self._lanes.values()))

    async def _begin(self) -> None:
        """Watch, with the whole history."""
        await self._complete()
        self._mark_boundary()
        for lane in self._lanes.values():
            self._start(lane.settle())
            if lane.is_funded:
                self._start(lane.fund())
            if lane.tape is not None:
                self._start(lane.join())
        self._watch_all(self.kinds - {pump.stream.kind for pump in self._pumps})
        self._start(self._guard())

    async def close(self) -> None:
        """End every task; the source stays open, it is not ours."""
        tasks, self._tasks, self._pumps = [*self._tasks, *self._pumps.values()], [], {}
        await ended(tasks)
        await self._link.alarm.close()
        for lane in self._lanes.values():
            await lane.close()

    # -- events -----------------------------------------------------------------------------------------------

    async def next(self, until: float = inf) -> Event | None:
        """The next event; None when the market's clock has come to `until` (ms UTC) first, or `wake` was called.

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
            if self.now() >= until or self._woken:
                self._woken = False
                return None
            await self._link.alarm.wait(min(until, self._look_at) - self.skew)

    def wake(self) -> None:
        """Have whoever waits in `next` get None."""
        self._woken = True
        self._link.alarm.ring()

    def tell(self, report: Report | Away | Notice) -> None:
        """Have `next` give `report`, of the account, before everything that the market tells.

        Reports wait for no bar: what was filled, and whether a stop stands, is known at once.
        """
        self._reports.append(report._replace(is_of_account=True) if isinstance(report, Notice) else report)
        self._link.alarm.ring()

    def fail(self, error: BaseException) -> None:
        """Have `next` raise `error`, once it has given all that was told: nothing can be done about it."""
        if self._failure is None:
            self._failure = error
            self._link.alarm.ring()

    def _take(self) -> Event | None:
        """What is to be told now, if anything."""
        for waiting in (self._reports, self._link.notices):
            if waiting:
                return waiting.popleft()
        event = self._inbox.pop(self._boundary)
        if event is not None:
            return event
        lanes = self._lanes.values()
        self._look_at, now = inf, self.now()
        funding = min((lane.funding[0] for lane in lanes if lane.funding), default=None)
        closing = min((lane.tail.ready[0].time for lane in lanes if lane.tail.ready), default=None)
        if closing is not None and (funding is None or closing <= funding.time):
            return self._step(closing) if self._is_complete(closing, now) else None
        if funding is None:
            return None
        if now < funding.time:
            self._look_at = funding.time
        elif self._is_complete(funding.time, now):
            self._lanes[funding.symbol].funding.popleft()
            self._mark_boundary()
            return funding
        return None

    def _mark_boundary(self) -> None:
        """Something has closed, was told, or is to come: events have to wait for what comes before them."""
        for lane in self._lanes.values():
            if lane.is_out and lane.tail.closes > self.now():
                lane.is_out = False
                self._link.tell(lane.symbol, "its market answers again")
        waited = [lane.tail.boundary for lane in self._lanes.values() if not lane.is_out or lane.tail.ready]
        waited += [lane.funding[0].time for lane in self._lanes.values() if lane.funding]
        self._boundary = min(waited, default=inf)
        self._inbox.release()
        self._link.alarm.ring()

    def _is_complete(self, time: int, now: int) -> bool:
        """Is all known that happened before `time`, and which bars close at it? Nobody waits for ever."""
        lacking = [
            lane
            for lane in self._lanes.values()
            if not lane.is_out and (lane.tail.closes <= time or not lane.knows_trades_to(time))
        ]
        if not lacking:
            self._blocked_since = None
            return True
        if self._blocked_since is None:
            self._blocked_since = now
        gives_up = self._blocked_since + self.terms.patience
        if now < gives_up:
            last_trades = time + self.terms.close_delay
            self._look_at = last_trades if now < last_trades else gives_up
            return False
        for lane in lacking:
            lane.is_out = True
            text = "its market does not answer: the others wait for it no more"
            self._link.tell(lane.symbol, text, NetworkError(f"{lane.symbol}: {text}"))
        self._mark_boundary()
        return True

    def _step(self, time: int) -> Step:
        """Take the bars that close at `time` into their series."""
        self._told = max(self._told, time)
        matched: list[Bar] = []
        delivered: list[tuple[LiveSeries, int]] = []
        for lane in self._lanes.values():
            if not lane.tail.ready or lane.tail.ready[0].time != time:
                continue
            for bar in lane.tail.ready.popleft().bars:
                one = lane.series[bar.timeframe]
                delivered.append((one, one.append(bar)))
                if bar.timeframe == lane.shortest:
                    stretch = bar if lane.tape is None else lane.tape.stretch(bar)
                    matched += [] if stretch is None else [stretch]
        delivered.sort(key=lambda item: (item[0].length_ms, self._ranks[item[0].symbol]))
        self._mark_boundary()
        return Step(self._told, tuple(matched), tuple(delivered))

    # -- streams ----------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._over)
        self._tasks.append(task)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        """A task has ended: what it failed with is raised by `next`."""
        if not task.cancelled() and self._failure is None:
            self._failure = task.exception()
            self._link.alarm.ring()

    def _watch_all(self, kinds: Collection[StreamKind]) -> None:
        for lane in self._lanes.values():
            for kind in sorted(kinds):
                self._watch(Stream(kind, lane.symbol, lane.shortest if kind is StreamKind.CANDLES else ""))

    def _watch(self, stream: Stream, *, is_up: bool = True) -> None:
        pump = Pump(self._link.source, stream, self.clock, self._link.backoff(), self._hear, self._broke)
        pump.is_up = is_up
        task = asyncio.create_task(pump.run())
        task.add_done_callback(self._over)
        self._pumps[pump] = task

    def _hear(self, pump: Pump, events: Sequence[MarketEvent]) -> None:
        """A stream has told something."""
        lane, kind = self._lanes[pump.stream.symbol], pump.stream.kind
        if not pump.is_up:
            self._up(pump)
        events = self._link.sound(lane.symbol, events)
        if kind is StreamKind.CANDLES:
            lane.show([event for event in events if isinstance(event, Bar)])
        elif kind is StreamKind.TRADES:
            lane.hear([event for event in events if isinstance(event, PublicTrade)])
        else:
            for event in events:
                if isinstance(event, Quote | OrderBook | MarkPrice):
                    self._inbox.put(event)
            self._link.alarm.ring()

    def _broke(self, pump: Pump, error: MetaExpertError) -> None:
        """A stream has broken."""
        lane, kind = self._lanes[pump.stream.symbol], pump.stream.kind
        if kind is StreamKind.CANDLES:
            lane.tail.broke()
        if kind is StreamKind.TRADES and lane.tape is not None:
            lane.tape.broke()
            lane.trades_alarm.ring()
        if pump.stream not in self._down:
            self._link.tell(lane.symbol, f"{kind} have stopped: {error}", error)
        self._down.add(pump.stream)

    def _up(self, pump: Pump) -> None:
        """A stream is well again."""
        pump.is_up = True
        self._down.discard(pump.stream)
        if not self._down:
            self._link.tell("", "all streams are well again")

    # -- watching over it ---------------------------------------------------------------------------------------

    async def _guard(self) -> None:
        """Look now and then whether streams that say nothing have nothing to say, and what the clocks show."""
        measured = self.clock.now()
        while True:
            await self.clock.sleep_until(self.clock.now() + self.terms.guard)
            now = self.clock.now()
            for pump in list(self._pumps):
                if not pump.is_up and pump.is_trying and now - pump.heard >= self.terms.settle:
                    self._up(pump)  # it waits, and nothing is wrong
                if pump.is_up and now - pump.heard >= self.terms.stale[pump.stream.kind]:
                    await self._doubt(pump)
            if now - measured >= self.terms.measure:
                before = self.skew
                with suppress(*PASSING):
                    if await self._link.measure() > _SLOW_MS:
                        self._link.skew = before
                    measured = now
                self._warn_of_skew(before)

    async def _doubt(self, pump: Pump) -> None:
        """A stream is silent: begin anew if the market has traded meanwhile, else believe it."""
        stream, heard = pump.stream, pump.heard + self.skew
        silent = self.clock.now() - pump.heard
        try:
            trades = await self._link.source.trades(stream.symbol, heard)
        except (*PASSING, RequestError):
            return
        if not any(heard < one.time <= self.now() - _SLOW_MS for one in trades):
            pump.heard = max(pump.heard, self.clock.now())
            return
        await ended([self._pumps.pop(pump)])
        with suppress(*PASSING):
            await self._link.source.unwatch(stream)
        self._broke(pump, NetworkError(f"silent for {silent // 1000} s while the market traded"))
        self._watch(stream, is_up=False)

    def _warn_of_skew(self, before: int) -> None:
        """Say it when the clocks begin to differ."""
        if abs(self.skew) > _SKEW_MS >= abs(before):
            way = "behind" if self.skew > 0 else "ahead of"
            self._link.tell(
                "", f"this computer's clock is {abs(self.skew) / 1000:.1f} s {way} the market's: set it"
            )


def _is_inverse(symbol: str) -> bool:
    """Is it the unified symbol of a future that settles in its base, and so counts in quote?"""
    pair, _, settle = symbol.partition(":")
    return "-" not in settle.partition("-")[2] and settle.partition("-")[0] == pair.partition("/")[0]
