"""A scripted market for tests of what watches one: trades that are known beforehand, and faults on the way."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from metaexpert.errors import NetworkError, RequestError
from metaexpert.events import Funding, MarkPrice, PublicTrade, Quote, Stream, StreamKind
from metaexpert.models import Bar, OrderBook
from metaexpert.pumps import Alarm
from metaexpert.timeframe import floor, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from clocks import StepClock

    from metaexpert.events import MarketEvent
    from metaexpert.livefeed import Event, LiveFeed

__all__ = ["FakeMarket", "Faults", "candles_of", "drive", "idle", "play", "trade"]


def trade(
    time: int, price: float, qty: float = 1.0, symbol: str = "A", *, number: str | None = None
) -> PublicTrade:
    """A trade; its id is its time unless said otherwise."""
    return PublicTrade(time, symbol, str(time) if number is None else number, price, qty, 1)


def candles_of(trades: Iterable[PublicTrade], timeframe: str) -> list[Bar]:
    """The candles that `trades` of one symbol, oldest first, make up: none for an interval without trades."""
    made: dict[int, Bar] = {}
    for one in trades:
        opened = floor(one.time, parse(timeframe))
        old = made.get(opened)
        made[opened] = (
            Bar(opened, one.symbol, timeframe, one.price, one.price, one.price, one.price, one.qty)
            if old is None
            else old._replace(
                high=max(old.high, one.price), low=min(old.low, one.price), close=one.price,
                volume=old.volume + one.qty,
            )
        )  # fmt: skip
    return list(made.values())


@dataclass(kw_only=True)
class Faults:
    """What goes wrong, by the market's time (ms).

    `breaks`: (start, end): connections are lost, and none can be made until the end. `silences`: messages are lost
    and nobody is told. `delays`: (start, end, ms): what is published then arrives later. `twice`: after every how
    many messages the last one comes again; 0 never. `rest_failures`: how many calls fail from each moment on.
    `rest_delay`: how long after its close REST knows a candle. `kept`: how many of the last trades REST tells; 0:
    it is not made for that.
    """

    breaks: Sequence[tuple[int, int]] = ()
    silences: Sequence[tuple[int, int]] = ()
    delays: Sequence[tuple[int, int, int]] = ()
    twice: int = 0
    rest_failures: dict[int, int] = field(default_factory=dict)
    rest_delay: int = 0
    kept: int = 1_000_000


class FakeMarket:
    """A `Source` whose every trade is written down beforehand; candles, quotes and books follow from them.

    Args:
        clock: moved by the test.
        trades: of all symbols, oldest first.
        faults: what goes wrong.
        skew: how far the market's clock is ahead of `clock`, ms.
        funding: (time, rate) of every instant, of all symbols alike.
    """

    def __init__(
        self, clock: StepClock, trades: Sequence[PublicTrade], faults: Faults | None = None, *, skew: int = 0,
        funding: Sequence[tuple[int, float]] = (),
    ) -> None:  # fmt: skip
        self.clock = clock
        self.faults = faults or Faults()
        self.skew = skew
        self.fundings = list(funding)
        self.asked: list[tuple[str, int]] = []
        """Every REST call: its name, when."""
        self.watched: list[Stream] = []
        """Every subscription, in order."""
        self._of: dict[str, list[PublicTrade]] = {}
        for one in trades:
            self._of.setdefault(one.symbol, []).append(one)
        self._since: dict[Stream, int] = {}
        self._begun: dict[Stream, int] = {}
        self._messages: dict[Stream, list[tuple[int, int, MarketEvent]]] = {}
        self._at: dict[Stream, int] = {}
        self._alarms: dict[Stream, Alarm] = {}
        self._is_closed = False

    def now(self) -> int:
        """The market's time."""
        return self.clock.now() + self.skew

    # -- streams ------------------------------------------------------------------------------------------------

    async def watch(self, stream: Stream) -> Sequence[MarketEvent]:
        """See `Source.watch`."""
        messages = self._published(stream)
        while True:
            now = self.now()
            self._refuse_broken(stream, now)
            if stream not in self._since:
                self.watched.append(stream)
                self._since[stream] = self._begun[stream] = now
                self._at[stream] = bisect_left(messages, now, key=lambda one: one[0])
            at = self._at[stream]
            end = bisect_left(messages, now + 1, key=lambda one: one[0])
            self._at[stream] = end
            found = [event for _, told, event in messages[at:end] if self._begun[stream] <= told]
            if found:
                return found
            wakes = [messages[end][0]] if end < len(messages) else []
            wakes += [start for start, _ in self.faults.breaks if start > now]
            await self._alarms.setdefault(stream, Alarm(self.clock)).wait(min(wakes) - self.skew if wakes else inf)

    async def unwatch(self, stream: Stream) -> None:
        """See `Source.unwatch`."""
        self._since.pop(stream, None)

    async def close(self) -> None:
        """See `Source.close`."""
        self._is_closed = True
        self.shake()
        for alarm in self._alarms.values():
            await alarm.close()

    def shake(self) -> None:
        """Wake who waits in `watch`: the faults have changed."""
        for alarm in self._alarms.values():
            alarm.ring()

    def _refuse_broken(self, stream: Stream, now: int) -> None:
        """Raise for a break that goes on, or that has come since the last answer."""
        since = self._since.get(stream, now)
        if self._is_closed:
            raise NetworkError("the market was closed")
        if any(start <= now < end or since < start <= now for start, end in self.faults.breaks):
            self._since.pop(stream, None)
            raise NetworkError("the connection was lost")
        if stream in self._since:
            self._since[stream] = now

    def _published(self, stream: Stream) -> list[tuple[int, int, MarketEvent]]:
        """All messages of a stream: when they arrive, when they were sent, and what they say."""
        if stream not in self._messages:
            arrived, made = 0, []
            for one, event in self._told(stream):
                if any(start <= one < end for start, end in self.faults.silences):
                    continue
                late = max((ms for start, end, ms in self.faults.delays if start <= one < end), default=0)
                arrived = max(arrived, one + late)
                made.append((arrived, one, event))
                if self.faults.twice and len(made) % self.faults.twice == 0:
                    made.append((arrived, one, event))
            self._messages[stream] = made
        return self._messages[stream]

    def _told(self, stream: Stream) -> list[tuple[int, MarketEvent]]:
        trades = self._of.get(stream.symbol, [])
        if stream.kind is StreamKind.CANDLES:
            return [(one.time, bar) for one, bar in zip(trades, _running(trades, stream.timeframe), strict=True)]
        make = _MAKERS[stream.kind]
        return [(one.time, make(one)) for one in trades]

    # -- REST ---------------------------------------------------------------------------------------------------

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> list[Bar]:
        """See `Source.candles`."""
        await self._call("candles")
        known = self.now() - parse(timeframe) - self.faults.rest_delay
        made = candles_of(self._between(symbol, start, min(end, known + 1) + parse(timeframe)), timeframe)
        return [bar for bar in made if start <= bar.time < end and bar.time <= known]

    def _between(self, symbol: str, start: int, end: int) -> list[PublicTrade]:
        """The trades within [start, end)."""
        trades = self._of.get(symbol, [])
        first, last = (bisect_left(trades, time, key=lambda one: one.time) for time in (start, end))
        return trades[first:last]

    async def trades(self, symbol: str, start: int) -> list[PublicTrade]:
        """See `Source.trades`."""
        await self._call("trades")
        if not self.faults.kept:
            raise RequestError("it tells no trades of the past")
        return self._between(symbol, start, self.now() + 1)[-self.faults.kept :]

    async def funding(self, symbol: str) -> Funding | None:
        """See `Source.funding`."""
        await self._call("funding")
        coming = [Funding(time, symbol, rate) for time, rate in self.fundings if time > self.now()]
        return coming[0] if coming else None

    async def paid(self, symbol: str, start: int, end: int) -> list[Funding]:
        """See `Source.paid`."""
        await self._call("paid")
        now = self.now()
        return [Funding(time, symbol, rate) for time, rate in self.fundings if start <= time < end and time <= now]

    async def time(self) -> int:
        """See `Source.time`."""
        await self._call("time")
        return self.now()

    async def _call(self, name: str) -> None:
        now = self.now()
        self.asked.append((name, now))
        await asyncio.sleep(0)
        for moment, left in self.faults.rest_failures.items():
            if moment <= now and left > 0:
                self.faults.rest_failures[moment] -= 1
                raise NetworkError("no answer came")


def _running(trades: Sequence[PublicTrade], timeframe: str) -> list[Bar]:
    """The candle that is running after each trade."""
    made: list[Bar] = []
    begun = 0
    for number, one in enumerate(trades):
        opened = floor(one.time, parse(timeframe))
        if not made or made[-1].time != opened:
            begun = number
        made += candles_of(trades[begun : number + 1], timeframe)[-1:]
    return made


_MAKERS: dict[StreamKind, Callable[[PublicTrade], MarketEvent]] = {
    StreamKind.TRADES: lambda one: one,
    StreamKind.QUOTES: lambda one: Quote(one.time, one.symbol, one.price - 0.5, one.price + 0.5, 1.0, 1.0),
    StreamKind.BOOK: lambda one: OrderBook(
        one.time, one.symbol, ((one.price - 0.5, 1.0),), ((one.price + 0.5, 1.0),)
    ),
    StreamKind.MARKS: lambda one: MarkPrice(one.time, one.symbol, one.price, one.price),
}


async def idle() -> None:
    """Let every task run until all of them wait."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    for _ in range(10_000):
        if not loop._ready:
            return
        await asyncio.sleep(0)
    raise AssertionError("a task goes on and on while the clock stands still")


async def drive[T](work: Coroutine[object, object, T], clock: StepClock, end: float = inf) -> T:
    """Do `work` while `clock` is moved from one wake to the next, no further than `end`."""
    task = asyncio.create_task(work)
    await idle()
    while not task.done():
        wake = clock.next_wake
        assert wake is not None, "all wait, and nobody for the clock"
        clock.advance(max(clock.now(), int(min(wake, end))))
        await idle()
    return task.result()


async def play(feed: LiveFeed, clock: StepClock, end: int) -> list[Event]:
    """Take every event until `clock`, moved from one wake to the next, is at `end`."""

    async def take() -> list[Event]:
        taken: list[Event] = []
        while (event := await feed.next(end)) is not None:
            taken.append(event)
        return taken

    return await drive(take(), clock, end - feed.skew)
