"""Recorded trades or candles as the venue's prices, played as its clock runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from metaexpert.bars import times
from metaexpert.errors import DataError
from metaexpert.importer import import_file
from metaexpert.kinds import Kind as Series
from metaexpert.store import CandleStore
from metaexpert.timeframe import floor

from .instruments import Kind
from .prices import TRADES, Candle, Prices, Trade, paid_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import pandas as pd

    from .instruments import Instrument

    type Ints = npt.NDArray[np.int64]
    type Floats = npt.NDArray[np.float64]
    type Bools = npt.NDArray[np.bool_]
    type Pair = tuple[Kind, str, str]


@dataclass(frozen=True, slots=True)
class Recording:
    """The trades of one market: times (ms UTC, ascending), prices, amounts, whether the taker bought; (n,) each.

    Amounts are counted as the library counts them: base coins, of inverse contracts the face in quote. `mark` and
    `index` are the moments and values of those prices, `funding` the rates by their instants.
    """

    time: Ints
    price: Floats
    amount: Floats
    buy: Bools
    mark: tuple[Ints, Floats] | None = None
    index: tuple[Ints, Floats] | None = None
    funding: Mapping[int, float] = field(default_factory=dict[int, float])

    @classmethod
    def of_trades(cls, frame: pd.DataFrame) -> Self:
        """Of a frame of trades (see `metaexpert.series`); a side that is not known follows from the price."""
        price, side = frame["price"].to_numpy(np.float64), frame["side"].to_numpy()
        return cls(
            times(frame), price, frame["qty"].to_numpy(np.float64), np.where(side == 0, _rising(price), side > 0)
        )

    @classmethod
    def of_candles(cls, frame: pd.DataFrame) -> Self:
        """Of candles (see `metaexpert.bars`), of which each becomes four trades: open, the extremes, close.

        They lie a quarter of a candle apart and have a quarter of its volume each; candles without volume have no
        trades.
        """
        frame = frame[frame["volume"] > 0]
        time, price = _path(frame)
        amount = np.repeat(frame["volume"].to_numpy(np.float64) / TRADES, TRADES)
        return cls(time, price, amount, _rising(price))

    def beside(
        self, mark: pd.DataFrame | None = None, index: pd.DataFrame | None = None,
        funding: pd.DataFrame | None = None,
    ) -> Self:  # fmt: skip
        """The same with candles of the mark and index price, and a frame of funding rates."""
        rates = (
            {} if funding is None else dict(zip(times(funding).tolist(), funding["rate"].tolist(), strict=True))
        )
        return replace(
            self, mark=None if mark is None else _path(mark), index=None if index is None else _path(index),
            funding=rates,
        )  # fmt: skip


class Points(NamedTuple):
    """A recording in one instrument's units, at the venue's time: prices in ticks, amounts in steps."""

    time: Ints
    ticks: Ints
    steps: Ints
    buy: Bools


@dataclass(frozen=True)
class Tape:
    """Prices as they were recorded, for every perpetual or spot instrument of a pair, on all exchanges.

    Prices are rounded to an instrument's tick, amounts to its step, and to one step at least. What was recorded at
    t happens at t + `shift` ms; before the first trade its price holds, after the last one that of the last. Mark
    and index price follow the trades where they were not recorded. All else comes from `rest`.
    """

    recordings: Mapping[Pair, Recording]
    shift: int = 0
    rest: Prices = field(default_factory=Prices)
    _points: dict[tuple[Instrument, str], Points] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # fmt: skip

    def has(self, instrument: Instrument) -> bool:
        """Whether an instrument is on the tape."""
        return instrument.expiry is None and _pair(instrument) in self.recordings

    def at(self, instrument: Instrument, now: int, what: str = "last") -> Decimal:
        """The price at a moment: of the last trade, or the mark or index price."""
        if not self.has(instrument):
            return self.rest.at(instrument, now, what)
        points = self._of(instrument, what)
        place = max(int(np.searchsorted(points.time, now, side="right")) - 1, 0)
        return int(points.ticks[place]) * instrument.tick

    def trades(self, instrument: Instrument, start: int, end: int) -> Sequence[Trade]:
        """The trades of [start, end) in ms, oldest first; ids count them."""
        if not self.has(instrument):
            return self.rest.trades(instrument, start, end)
        points = self._of(instrument)
        first, last = np.searchsorted(points.time, (start, end)).tolist()
        rows = zip(*(column[first:last].tolist() for column in points), strict=True)
        tick, step = instrument.tick, instrument.step
        return [
            Trade(place, time, ticks * tick, steps * step, buy)
            for place, (time, ticks, steps, buy) in enumerate(rows, first + 1)
        ]

    def candles(
        self, instrument: Instrument, interval: int, start: int, end: int, now: int, what: str = "last"
    ) -> list[Candle]:
        """The candles that open in [start, end), the running one included; `interval` in ms."""
        if not self.has(instrument):
            return self.rest.candles(instrument, interval, start, end, now, what)
        points, shift = self._of(instrument, what), floor(0, interval)
        begin = floor(start + interval - 1, interval)
        until = min(floor(end + interval - 1, interval), now + 1)
        first, last = np.searchsorted(points.time, (begin, max(until, begin))).tolist()
        time, ticks, steps, _ = (column[first:last] for column in points)
        if not len(time):
            return []
        bucket = (time - shift) // interval * interval + shift
        heads = np.flatnonzero(np.r_[True, bucket[1:] != bucket[:-1]])
        ends = np.r_[heads[1:], len(bucket)]
        columns = (
            bucket[heads], ticks[heads], np.maximum.reduceat(ticks, heads), np.minimum.reduceat(ticks, heads),
            ticks[ends - 1], np.add.reduceat(steps, heads), ends - heads,
        )  # fmt: skip
        tick, step = instrument.tick, instrument.step
        return [
            Candle(at, o * tick, h * tick, low * tick, c * tick, v * step, count)
            for at, o, h, low, c, v, count in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def funding_rate(self, instrument: Instrument, time: int) -> Decimal:
        """The rate paid at `time`."""
        rates = self.recordings[_pair(instrument)].funding if self.has(instrument) else {}
        told = rates.get(time - self.shift)
        return self.rest.funding_rate(instrument, time) if told is None else Decimal(str(told))

    def fundings(self, instrument: Instrument, start: int, end: int) -> list[tuple[int, Decimal]]:
        """The fundings paid in [start, end), oldest first."""
        return paid_at(self, instrument, start, end)

    def _of(self, instrument: Instrument, what: str = "last") -> Points:
        if (instrument, what) not in self._points:
            self._points[instrument, what] = self._converted(instrument, what)
        return self._points[instrument, what]

    def _converted(self, instrument: Instrument, what: str) -> Points:
        told = self.recordings[_pair(instrument)]
        other = {"mark": told.mark, "index": told.index}.get(what)
        if other is not None:
            nothing = np.zeros(len(other[0]), dtype=np.int64)
            return Points(other[0] + self.shift, _rounded(other[1], instrument.tick), nothing, nothing > 0)
        amount = told.amount / float(instrument.contract)
        if instrument.coin_sized:
            amount /= told.price
        whole = _rounded(np.cumsum(amount), instrument.step)  # so that what is rounded off is not lost
        steps = np.maximum(np.diff(whole, prepend=0), 1)
        return Points(told.time + self.shift, _rounded(told.price, instrument.tick), steps, told.buy)


def read(path: Path) -> tuple[Pair, Recording]:
    """What a file of candles or trades holds, as `metaexpert data import` reads it, and of which pair.

    Raises:
        DataError: it holds something else, or nothing that can be recognised.
        ConfigError: its name does not tell the pair.
    """
    with TemporaryDirectory() as folder:
        store = CandleStore(Path(folder))
        told = import_file(path, store)
        market = told.market
        (series,) = store.series(market.exchange, market.symbol)
        frame = store.read(market.exchange, market.symbol, series.name)
    if told.kind not in {Series.CANDLES, Series.TRADES}:
        raise DataError(f"{path}: it holds {told.kind.plural}; what can be played are candles and trades")
    kind = Kind.SPOT if market.is_spot else Kind.INVERSE if market.is_inverse else Kind.LINEAR
    recording = Recording.of_trades(frame) if told.kind is Series.TRADES else Recording.of_candles(frame)
    return (kind, market.base, market.quote), recording


def _pair(instrument: Instrument) -> Pair:
    return instrument.kind, instrument.base, instrument.quote


def _rounded(values: Floats, unit: Decimal) -> Ints:
    return np.rint(values / float(unit)).astype(np.int64)


def _rising(price: Floats) -> Bools:
    """Whether each trade was no lower than the one before it."""
    return np.r_[True, price[1:] >= price[:-1]] if len(price) else np.zeros(0, dtype=bool)


def _path(frame: pd.DataFrame) -> tuple[Ints, Floats]:
    """Four moments of each candle: open, the extremes in the order in which its direction has them, close."""
    opened, high, low, close = (frame[name].to_numpy(np.float64) for name in ("open", "high", "low", "close"))
    up, time = close >= opened, times(frame)
    length = int(np.diff(time).min()) if len(time) > 1 else 60_000
    price = np.stack([opened, np.where(up, low, high), np.where(up, high, low), close], axis=1)
    return (time[:, None] + np.arange(TRADES) * length // TRADES).ravel(), price.ravel()
