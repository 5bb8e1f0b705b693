"""Prices of any instrument over any span: a function of the seed, the instrument and the minute alone.

A minute consists of four trades, at its open, its two extremes and its close, so candles of every length, trades
and the price at a moment agree with one another.
"""

from __future__ import annotations

import math
import zlib
from bisect import bisect_left
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from metaexpert.timeframe import floor

from .instruments import LEVELS, Instrument, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    type Ints = npt.NDArray[np.int64]
    type Floats = npt.NDArray[np.float64]

MINUTE = 60_000
HOUR = 60 * MINUTE
BLOCK = 10 * MINUTE
KEPT = 1024
TRADES = 4
"""Trades in a minute, 15 seconds apart."""
VOLATILITY = 0.6
"""Of options, a year."""
YEAR = 365 * 86_400_000
_WAVES = ((0.25, 400.0), (0.08, 61.0), (0.03, 9.3), (0.012, 1.31), (0.004, 0.17), (0.0015, 0.021))  # height, days
_NOISE = 2e-4
_WICK = 3e-4


class Minutes(NamedTuple):
    """Minutes that traded: `minute` since the epoch, prices in ticks, volume in steps."""

    minute: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints


class Candle(NamedTuple):
    """One candle, of `trades` trades."""

    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int


class Trade(NamedTuple):
    """One trade of the public tape."""

    id: int
    time: int
    price: Decimal
    amount: Decimal
    buy: bool


class Source(Protocol):
    """Where prices come from: `Prices`, which makes them up, or a `Tape`."""

    def at(self, instrument: Instrument, now: int, what: str = "last") -> Decimal:
        """The price at a moment: of the last trade, or the mark or index price."""
        ...

    def trades(self, instrument: Instrument, start: int, end: int) -> Sequence[Trade]:
        """The trades of [start, end) in ms, oldest first."""
        ...

    def candles(
        self, instrument: Instrument, interval: int, start: int, end: int, now: int, what: str = "last"
    ) -> list[Candle]:
        """The candles that open in [start, end), the running one included; `interval` in ms."""
        ...

    def funding_rate(self, instrument: Instrument, time: int) -> Decimal:
        """The rate paid at `time`."""
        ...

    def fundings(self, instrument: Instrument, start: int, end: int) -> list[tuple[int, Decimal]]:
        """The fundings paid in [start, end), oldest first."""
        ...


@dataclass(frozen=True)
class Prices:
    """The source of prices; `gaps` are spans [start, end) in ms in which nothing traded on any instrument."""

    seed: int = 7
    gaps: Sequence[tuple[int, int]] = ()
    _blocks: dict[tuple[Instrument, int], list[Trade]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _marks: dict[tuple[Instrument, str, int], Decimal] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What was asked for last, since whoever follows the tape asks for little and often."""

    def path(self, instrument: Instrument, minutes: Ints, what: str = "last") -> Floats:
        """The price at the start of each minute, before it is rounded to a tick; `what`: last, mark or index."""
        if instrument.kind is Kind.OPTION:
            return self._premium(instrument, minutes)
        price = self._dollars(instrument.base, minutes) / self._dollars(instrument.quote, minutes)
        if instrument.kind is Kind.SPOT or what == "index":
            return price
        noise = _noise(self.seed, f"{instrument.id}/{what}", minutes) * 1e-4
        if instrument.expiry is not None:
            noise += 0.05 * np.maximum(instrument.expiry - minutes * MINUTE, 0) / YEAR
        return price * (1.0 + noise)

    def minutes(self, instrument: Instrument, start: int, end: int, what: str = "last") -> Minutes:
        """The whole minutes of [start, end), both counted in minutes; none before listing or after expiry."""
        first = max(start, -(-instrument.listed // MINUTE))
        last = end if instrument.expiry is None else min(end, instrument.expiry // MINUTE)
        span = np.arange(first, max(first, last) + 1, dtype=np.int64)
        ticks = np.maximum(np.rint(self.path(instrument, span, what) / float(instrument.tick)), 1).astype(np.int64)
        at, opened, closed = span[:-1], ticks[:-1], ticks[1:]
        wick = _WICK * opened
        high = np.maximum(opened, closed) + (wick * np.abs(_noise(self.seed, f"{instrument.id}/high", at))).astype(
            np.int64
        )
        low = np.minimum(opened, closed) - (wick * np.abs(_noise(self.seed, f"{instrument.id}/low", at))).astype(
            np.int64
        )
        volume = TRADES * (1 + (400 * np.abs(_noise(self.seed, f"{instrument.id}/volume", at))).astype(np.int64))
        rows = Minutes(at, opened, high, np.maximum(low, 1), closed, volume)
        return Minutes(*(column[self._traded(at)] for column in rows)) if self.gaps else rows

    def candles(
        self, instrument: Instrument, interval: int, start: int, end: int, now: int, what: str = "last"
    ) -> list[Candle]:
        """The candles that open in [start, end), the running one included; `interval` in ms."""
        first = floor(max(start, floor(instrument.listed, interval)) + interval - 1, interval)
        minutes = self.minutes(instrument, first // MINUTE, min(end + interval, now) // MINUTE, what)
        shift = floor(0, interval)
        bucket = (minutes.minute * MINUTE - shift) // interval * interval + shift
        found = [] if not len(bucket) else _folded(instrument, bucket, minutes)
        running = self._running(instrument, now, what)
        if running is not None:
            join(found, running, interval)
        return [candle for candle in found if start <= candle.time < end]

    def trades(self, instrument: Instrument, start: int, end: int) -> list[Trade]:
        """The trades of [start, end) in ms, oldest first; ids grow by one with every trade."""
        if end - start > BLOCK:
            return _within(self._trades(instrument, start // MINUTE, -(-end // MINUTE)), start, end)
        found: list[Trade] = []
        for block in range(start // BLOCK, -(-end // BLOCK)):
            if (instrument, block) not in self._blocks:
                if len(self._blocks) >= KEPT:
                    self._blocks.clear()
                first = block * BLOCK // MINUTE
                self._blocks[instrument, block] = self._trades(instrument, first, first + BLOCK // MINUTE)
            found += _within(self._blocks[instrument, block], start, end)
        return found

    def _trades(self, instrument: Instrument, start: int, end: int) -> list[Trade]:
        """The trades of [start, end) in minutes."""
        found: list[Trade] = []
        for row in zip(*(column.tolist() for column in self.minutes(instrument, start, end)), strict=True):
            found += _trades_of(instrument, *row)
        return found

    def at(self, instrument: Instrument, now: int, what: str = "last") -> Decimal:
        """The price at a moment: of the last trade, or the mark or index price."""
        if what != "last":
            return self._mark(instrument, now // MINUTE, what)
        back = MINUTE
        while back <= 4096 * MINUTE:
            if trades := self.trades(instrument, max(now - back, 0), now + 1):
                return trades[-1].price
            back *= 4
        return self.at(instrument, now, "mark")

    def _mark(self, instrument: Instrument, minute: int, what: str) -> Decimal:
        key = (instrument, what, minute)
        if key not in self._marks:
            if len(self._marks) >= KEPT:
                self._marks.clear()
            price = float(self.path(instrument, np.array([minute]), what)[0])
            self._marks[key] = max(round(price / float(instrument.tick)), 1) * instrument.tick
        return self._marks[key]

    def funding_rate(self, instrument: Instrument, time: int) -> Decimal:
        """The rate paid at `time`: a hundredth of a percent and a bit."""
        noise = _noise(self.seed, f"{instrument.id}/funding", np.array([time // MINUTE]))[0]
        return Decimal(round(1e4 + 1e4 * float(noise))).scaleb(-8)

    def fundings(self, instrument: Instrument, start: int, end: int) -> list[tuple[int, Decimal]]:
        """The fundings paid in [start, end), oldest first."""
        return paid_at(self, instrument, start, end)

    def _premium(self, instrument: Instrument, minutes: Ints) -> Floats:
        """The price of an option in the coin that it settles in."""
        prices = self._dollars(instrument.base, minutes)
        pairs = zip(prices.tolist(), minutes.tolist(), strict=True)
        worth = np.array([premium(instrument, price, minute * MINUTE) for price, minute in pairs])
        return worth / prices if instrument.settle == instrument.base else worth

    def _dollars(self, coin: str, minutes: Ints) -> Floats:
        days = minutes / 1440.0
        total = np.zeros(len(minutes))
        if LEVELS[coin] == 1.0:
            return total + 1.0
        for order, (height, period) in enumerate(_WAVES):
            phase = zlib.crc32(f"{self.seed}/{coin}/{order}".encode()) / 2**32
            total += height * np.sin(2 * math.pi * (days / period + phase))
        return LEVELS[coin] * np.exp(total + _NOISE * _noise(self.seed, coin, minutes))

    def _traded(self, minutes: Ints) -> npt.NDArray[np.bool_]:
        traded = np.ones(len(minutes), dtype=bool)
        for start, end in self.gaps:
            traded &= (minutes * MINUTE < start) | (minutes * MINUTE >= end)
        return traded

    def _running(self, instrument: Instrument, now: int, what: str) -> Candle | None:
        minutes = self.minutes(instrument, now // MINUTE, now // MINUTE + 1, what)
        if not len(minutes.minute):
            return None
        trades = [
            trade for trade in _trades_of(instrument, *(int(column[0]) for column in minutes)) if trade.time <= now
        ]
        prices = [trade.price for trade in trades]
        volume = sum((trade.amount for trade in trades), Decimal(0))
        return Candle(now // MINUTE * MINUTE, prices[0], max(prices), min(prices), prices[-1], volume, len(prices))


def paid_at(source: Source, instrument: Instrument, start: int, end: int) -> list[tuple[int, Decimal]]:
    """The instants of funding of [start, end) with their rates."""
    every = instrument.funding_hours * HOUR
    first = -(-max(start, instrument.listed) // every) * every
    return [(time, source.funding_rate(instrument, time)) for time in range(first, end, every)]


def premium(instrument: Instrument, price: float, now: int) -> float:
    """What an option is worth while its underlying costs `price` (Black and Scholes 1973, no interest)."""
    years = max((instrument.expiry or 0) - now, 0) / YEAR
    first, second = d1_d2(instrument, price, years)
    strike = float(instrument.strike or 0)
    call = price * normal(first) - strike * normal(second)
    return call if instrument.call else call - price + strike


def d1_d2(instrument: Instrument, price: float, years: float) -> tuple[float, float]:
    """The two arguments of the formula of Black and Scholes."""
    spread = VOLATILITY * math.sqrt(max(years, 1e-9))
    first = math.log(price / float(instrument.strike or 1)) / spread + spread / 2
    return first, first - spread


class Greeks(NamedTuple):
    """How an option's value moves: by its underlying (twice), by a percent of volatility, and in a day."""

    delta: float
    gamma: float
    vega: float
    theta: float


def greeks(instrument: Instrument, price: float, now: int) -> Greeks:
    """The Greeks while the underlying costs `price` (Black and Scholes 1973, no interest)."""
    years = max((instrument.expiry or 0) - now, 1) / YEAR
    first, _ = d1_d2(instrument, price, years)
    density = math.exp(-first * first / 2) / math.sqrt(2 * math.pi)
    return Greeks(
        delta=normal(first) - (0.0 if instrument.call else 1.0),
        gamma=density / (price * VOLATILITY * math.sqrt(years)),
        vega=price * density * math.sqrt(years) / 100,
        theta=-price * density * VOLATILITY / (2 * math.sqrt(years)) / 365,
    )


def normal(value: float) -> float:
    """The normal distribution."""
    return (1 + math.erf(value / math.sqrt(2))) / 2


def _noise(seed: int, name: str, minutes: Ints) -> Floats:
    """A number in [-1, 1) for each minute: the mixing function of SplitMix64 (Steele, Lea and Flood 2014)."""
    salt = np.uint64(zlib.crc32(f"{seed}/{name}".encode())) << np.uint64(32)
    mixed = (minutes.astype(np.uint64) + salt) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))).astype(np.float64) / 2**63 - 1.0


def _within(trades: list[Trade], start: int, end: int) -> list[Trade]:
    """Those of [start, end)."""
    first = bisect_left(trades, start, key=lambda one: one.time)
    return trades[first : bisect_left(trades, end, key=lambda one: one.time)]


def _folded(instrument: Instrument, bucket: Ints, minutes: Minutes) -> list[Candle]:
    first = np.flatnonzero(np.r_[True, bucket[1:] != bucket[:-1]])
    last = np.r_[first[1:], len(bucket)] - 1
    columns = (
        bucket[first], minutes.open[first], np.maximum.reduceat(minutes.high, first),
        np.minimum.reduceat(minutes.low, first), minutes.close[last], np.add.reduceat(minutes.volume, first),
        (last - first + 1) * TRADES,
    )  # fmt: skip
    tick, step = instrument.tick, instrument.step
    return [
        Candle(time, o * tick, h * tick, low * tick, c * tick, v * step, count)
        for time, o, h, low, c, v, count in zip(*(column.tolist() for column in columns), strict=True)
    ]


def join(found: list[Candle], minute: Candle, interval: int) -> None:
    """Put the running minute into the last candle, or begin a new one."""
    time = floor(minute.time, interval)
    if not found or found[-1].time != time:
        found.append(minute._replace(time=time))
        return
    last = found[-1]
    found[-1] = Candle(
        time, last.open, max(last.high, minute.high), min(last.low, minute.low), minute.close,
        last.volume + minute.volume, last.trades + minute.trades,
    )  # fmt: skip


def _trades_of(
    instrument: Instrument, minute: int, opened: int, high: int, low: int, closed: int, volume: int
) -> list[Trade]:
    path = (opened, low, high, closed) if closed >= opened else (opened, high, low, closed)
    share = volume // TRADES
    return [
        Trade(
            minute * TRADES + place, minute * MINUTE + place * MINUTE // TRADES, ticks * instrument.tick,
            share * instrument.step, ticks >= path[max(place - 1, 0)],
        )
        for place, ticks in enumerate(path)
    ]  # fmt: skip
