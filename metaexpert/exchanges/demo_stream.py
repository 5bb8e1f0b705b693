"""The demo exchange as a live market: what `Demo` has of each minute, told as a clock goes by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..bars import COLUMNS, times
from ..errors import ConfigError, DataError, NetworkError
from ..events import Funding, PublicTrade, StreamKind
from ..kinds import Kind
from ..models import Bar
from ..timeframe import DAY_MS, floor, parse
from .demo import MINUTE_MS, Demo, volume_decimals
from .demo_tape import MARK_MS, Tape, book_of, mark_prices, tape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ..clock import LiveClock
    from ..config import ExchangeSettings
    from ..events import MarketEvent, Stream
    from ..models import Market

    type _Minute = tuple[float, float, float, float, float]

__all__ = ["DemoStreams"]

_TAPE_MS = DAY_MS
"""How far back trades are served."""
_LONGEST_MS = 3_600_000  # that one answer covers: who fell behind is told the rest by the next ones
_TAPES, _DAYS = 512, 256  # minutes and days that are kept, of all symbols together


class _Day(NamedTuple):
    """The minutes that a day has: open times (n,) in ms UTC, and columns (5, n) as in `bars.COLUMNS`."""

    time: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


class DemoStreams:
    """The demo exchange's streams; a `metaexpert.events.Source`.

    Everything is a function of (symbol, minute): REST and streams agree, and so does a backtest over the same
    span. With a `FastClock` the market runs as fast as that. Nothing happens in the minutes that have no candle.

    Args:
        settings: the kind of market.
        clock: tells what has happened by now.
        demo: makes the prices; None: one of its own.
    """

    def __init__(self, settings: ExchangeSettings, clock: LiveClock, demo: Demo | None = None) -> None:
        self._kind = settings.market_type, settings.contract_type
        self._clock, self._demo = clock, demo or Demo()
        self._markets: dict[str, Market] = {}
        self._told: dict[Stream, int] = {}
        self._days: dict[tuple[str, Kind, int], _Day] = {}
        self._tapes: dict[tuple[str, int], Tape] = {}
        self._asleep: set[asyncio.Task[None]] = set()

    # -- streams -------------------------------------------------------------------------------------------------

    async def watch(self, stream: Stream) -> Sequence[MarketEvent]:
        """Wait for what is new since the last answer; see `Source.watch`.

        Of books and mark prices the latest is told, of candles every one that has closed and the running one.

        Raises:
            ConfigError: there is no such stream.
            DataError: the market is a recorded one, which has no present.
            NetworkError: the source was closed meanwhile.
        """
        market = self._market(stream.symbol)
        _check(stream, market)
        while True:
            now = self._clock.now()
            told = self._told.setdefault(stream, now)
            until = min(now, told + _LONGEST_MS)
            found = self._between(stream, market, told, until)
            self._told[stream] = until
            if found:
                await asyncio.sleep(0)
                return found
            if until == now:
                await self._sleep(self._next(stream, market, now))

    async def unwatch(self, stream: Stream) -> None:
        """End a subscription."""
        self._told.pop(stream, None)

    async def close(self) -> None:
        """End every subscription; who waits in `watch` gets a `NetworkError`."""
        self._told.clear()
        for task in self._asleep:
            task.cancel()

    async def _sleep(self, until: int) -> None:
        task = asyncio.ensure_future(self._clock.sleep_until(until))
        self._asleep.add(task)
        try:
            await asyncio.wait({task})
        finally:
            self._asleep.discard(task)
            task.cancel()
        if task.cancelled():
            raise NetworkError("the demo exchange was closed")
        task.result()

    def _between(self, stream: Stream, market: Market, after: int, until: int) -> Sequence[MarketEvent]:
        """What `stream` tells of (after, until]."""
        match stream.kind:
            case StreamKind.TRADES:
                return self._trades(market, after + 1, until)
            case StreamKind.CANDLES:
                return self._candles(market, stream.timeframe, after, until)
            case StreamKind.MARKS:
                return self._marks(market, after, until)
            case StreamKind.QUOTES | StreamKind.BOOK:
                tapes = self._between_minutes(market, after + 1, until)
                quotes = [one for tape in tapes for one in tape.quotes if after < one.time <= until]
                return (
                    quotes if stream.kind is StreamKind.QUOTES else [book_of(market, one) for one in quotes[-1:]]
                )

    def _next(self, stream: Stream, market: Market, now: int) -> int:
        """When to look again: at the next thing that happens, or later when that is far."""
        if stream.kind is StreamKind.MARKS:
            return floor(now, MARK_MS) + MARK_MS
        minute = floor(now, MINUTE_MS)
        ahead = self._between_minutes(market, now + 1, minute + 2 * MINUTE_MS - 1)
        times = (trade.time for tape in ahead for trade in tape.trades if trade.time > now)
        found = next(times, minute + 2 * MINUTE_MS)
        closes = stream.kind is StreamKind.CANDLES
        return min(found, floor(now, parse(stream.timeframe)) + parse(stream.timeframe)) if closes else found

    # -- what was before ---------------------------------------------------------------------------------------

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> list[Bar]:
        """The closed candles that open within [start, end) ms UTC, oldest first."""
        return self._closed(self._market(symbol), timeframe, start, min(end, self._clock.now()))

    async def trades(self, symbol: str, start: int) -> list[PublicTrade]:
        """The trades from `start` (ms UTC) on, those of the last day at most, oldest first."""
        now = self._clock.now()
        return self._trades(self._market(symbol), max(start, now - _TAPE_MS), now)

    async def funding(self, symbol: str) -> Funding | None:
        """The next funding instant with its rate; None of what is no perpetual contract."""
        market, now = self._market(symbol), self._clock.now()
        if Kind.FUNDING not in self._demo.kinds(market):
            return None
        rates = self._demo.read(market, Kind.FUNDING, now + 1, now + DAY_MS)
        if rates.empty:
            return None
        return Funding(int(times(rates)[0]), market.symbol, float(rates["rate"].iloc[0]))

    async def paid(self, symbol: str, start: int, end: int) -> list[Funding]:
        """The funding that was paid within [start, end) ms UTC by now, oldest first, with the mark price then."""
        market = self._market(symbol)
        if Kind.FUNDING not in self._demo.kinds(market):
            return []
        rates = self._demo.read(market, Kind.FUNDING, start, min(end, self._clock.now() + 1))
        found: list[Funding] = []
        for time, rate in zip(times(rates).tolist(), rates["rate"].tolist(), strict=True):
            mark = self._minute(market, Kind.MARK, time)
            found.append(Funding(time, market.symbol, rate, None if mark is None else mark[0]))
        return found

    async def time(self) -> int:
        """The clock, ms UTC."""
        return self._clock.now()

    # -- how it is made ----------------------------------------------------------------------------------------

    def _market(self, symbol: str) -> Market:
        if symbol not in self._markets:
            market = self._demo.market(symbol, *self._kind)
            if not market.synthetic:
                raise DataError(
                    f"{market.symbol} on demo is a recording: it has no live prices; take another market, such as "
                    "BTC/USDT"
                )
            self._markets[symbol] = market
        return self._markets[symbol]

    def _trades(self, market: Market, start: int, until: int) -> list[PublicTrade]:
        tapes = self._between_minutes(market, start, until)
        return [trade for tape in tapes for trade in tape.trades if start <= trade.time <= until]

    def _candles(self, market: Market, timeframe: str, after: int, until: int) -> list[Bar]:
        """Those that closed within (after, until], then the running one if it was traded in there."""
        length = parse(timeframe)
        begun = floor(until, length)
        found = self._closed(market, timeframe, floor(after, length), until)
        fresh = self._trades(market, max(after + 1, begun), until)
        return [*found, self._running(market, timeframe, begun, until)] if fresh else found

    def _closed(self, market: Market, timeframe: str, start: int, until: int) -> list[Bar]:
        """The candles from `start` on that are over at `until`."""
        end = floor(until, parse(timeframe))
        if start >= end:
            return []
        rows = self._demo.read(market, timeframe, start, end)
        table = zip(times(rows).tolist(), *(rows[name].tolist() for name in COLUMNS), strict=True)
        return [Bar(time, market.symbol, timeframe, *values) for time, *values in table]

    def _running(self, market: Market, timeframe: str, begun: int, until: int) -> Bar:
        """The candle that opened at `begun` as it stands at `until`."""
        minute = floor(until, MINUTE_MS)
        days = [self._day(market, Kind.CANDLES, day) for day in range(begun // DAY_MS, minute // DAY_MS + 1)]
        parts = [day.values[:, slice(*day.time.searchsorted([begun, minute]))] for day in days]
        fresh = self._trades(market, minute, until)
        if fresh:
            paid = [trade.price for trade in fresh]
            traded = sum(trade.qty / trade.price if market.is_inverse else trade.qty for trade in fresh)
            parts.append(np.array([[paid[0]], [max(paid)], [min(paid)], [paid[-1]], [traded]]))
        o, h, low, c, v = np.concatenate(parts, axis=1)
        volume = round(float(v.sum()), volume_decimals(market))
        first, last, highest, lowest = float(o[0]), float(c[-1]), float(h.max()), float(low.min())
        return Bar(begun, market.symbol, timeframe, first, highest, lowest, last, volume)

    def _marks(self, market: Market, after: int, until: int) -> list[MarketEvent]:
        """The last mark price of (after, until]."""
        minute = floor(until, MINUTE_MS)
        for begun in (minute, minute - MINUTE_MS):
            mark, index = self._marked(market, begun)
            if mark is not None and index is not None:
                told = mark_prices(market, begun, mark[:4], index[:4])
                found = [one for one in told if after < one.time <= until]
                if found:
                    return [found[-1]]
        return []

    def _marked(self, market: Market, minute: int) -> tuple[_Minute | None, _Minute | None]:
        """Mark price and index of a minute: of contracts that end their own price, and the price under them.

        That is the spot price, or where it is in US dollars the index of the perpetual.
        """
        if Kind.MARK in self._demo.kinds(market):
            return self._minute(market, Kind.MARK, minute), self._minute(market, Kind.INDEX, minute)
        pair = f"{market.base}/{market.quote}"
        if market.quote == "USD":
            under, kind = self._demo.market(f"{pair}:{market.base}", "futures", "inverse"), Kind.INDEX
        else:
            under, kind = self._demo.market(pair, "spot", None), Kind.CANDLES
        return self._minute(market, Kind.CANDLES, minute), self._minute(under, kind, minute)

    def _between_minutes(self, market: Market, start: int, until: int) -> list[Tape]:
        """The tapes of the minutes that [start, until] touches."""
        minutes = range(floor(start, MINUTE_MS), until + 1, MINUTE_MS)
        return [tape for minute in minutes if (tape := self._tape(market, minute)) is not None]

    def _tape(self, market: Market, minute: int) -> Tape | None:
        key = market.symbol, minute
        if key not in self._tapes:
            candle = self._minute(market, Kind.CANDLES, minute)
            if candle is None:
                return None
            self._tapes[key] = tape_of(market, minute, candle[:4], candle[4])
            _forget(self._tapes, _TAPES)
        return self._tapes[key]

    def _minute(self, market: Market, kind: Kind, minute: int) -> _Minute | None:
        """Open, high, low, close and volume of a minute; None where there is none."""
        day = self._day(market, kind, minute // DAY_MS)
        at = int(day.time.searchsorted(minute))
        if at == day.time.size or day.time[at] != minute:
            return None
        o, h, low, c, v = day.values[:, at].tolist()
        return o, h, low, c, v

    def _day(self, market: Market, kind: Kind, day: int) -> _Day:
        key = market.symbol, kind, day
        if key not in self._days:
            name = "1m" if kind is Kind.CANDLES else f"{kind}-1m"
            rows = self._demo.read(market, name, day * DAY_MS, (day + 1) * DAY_MS)
            self._days[key] = _Day(times(rows), np.array([rows[column].to_numpy() for column in COLUMNS]))
            _forget(self._days, _DAYS)
        return self._days[key]


def _forget[K, V](kept: dict[K, V], most: int) -> None:
    """Drop what was made first."""
    while len(kept) > most:
        del kept[next(iter(kept))]


def _check(stream: Stream, market: Market) -> None:
    """Refuse what will never be told."""
    if stream.kind is StreamKind.CANDLES:
        parse(stream.timeframe)
    if stream.kind is StreamKind.MARKS and market.is_spot:
        raise ConfigError(f"{market.symbol} has no mark price: contracts have")
