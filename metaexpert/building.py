"""Bars of trades: by time, by number of trades, by volume, by value; one trade after the other, or all at once."""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .bars import frame as candles_of
from .errors import ConfigError, DataError, did_you_mean
from .models import Bar
from .timeframe import duration, floor

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from .events import PublicTrade

    type Floats = npt.NDArray[np.float64]
    type Ints = npt.NDArray[np.int64]

__all__ = ["BarBuilder"]

_MEASURES = ("ticks", "volume", "value")
_LONGEST_FILL = 10_000_000  # bars: a gap that needs more comes of a wrong time


class BarBuilder:
    """Builds bars of trades that come oldest first.

    `add` and `close` take the trades one by one, as they come from a live market; `build` takes all of them at
    once. Both give the same bars, to the last bit.

    Bars of time cover [open, open + length) and are aligned to 1970-01-01 00:00 UTC, those of one week to Mondays;
    a bar's time is its open. All other bars begin with a trade and bear its time, and two may have the same;
    they end with the trade by which the measure is reached, which is never split.

    The volume of a bar is in base units.

    Args:
        by: what makes up one bar: ``"1m"``, ``"10s"``, ``"7m"`` (time); ``"100 ticks"`` (trades); ``"50 volume"``
            (in base units); ``"1e6 value"`` (price times quantity, in quote).
        symbol: unified symbol, that of the bars.
        fill: what stands for an interval of time without trades: ``"none"``: no bar, as exchanges have it;
            ``"previous"``: one whose prices are all the last close, without volume.
        inverse: quantities are face values in quote, as those of inverse contracts are.

    Raises:
        ConfigError: `by` or `fill` is none of these.
    """

    def __init__(self, by: str, symbol: str = "", *, fill: str = "none", inverse: bool = False) -> None:
        if fill not in ("none", "previous"):
            raise ConfigError(f"unknown fill {fill!r}{did_you_mean(str(fill), ('none', 'previous'))}")
        self.by = by
        self.symbol = symbol
        self.inverse = inverse
        self._measure, self._size = _parsed(by)
        if fill == "previous" and self._measure != "time":
            raise ConfigError(f"fill='previous' is for bars of time; bars of {self._measure} have no empty ones")
        self._fills = fill == "previous"
        self._last = -(2**62)  # the time of the last trade
        self._settled: int | None = None  # up to here bars of time are done
        self._close = 0.0
        self._open: list[Any] | None = None  # time, open, high, low, close, volume of the running bar
        self._sum = 0.0

    @property
    def running(self) -> Bar | None:
        """The bar that has begun and not ended."""
        return None if self._open is None else self._bar(self._open)

    def add(self, trade: PublicTrade) -> list[Bar]:
        """Take the next trade; returns the bars that have ended by it or before it, oldest first.

        Raises:
            DataError: it is older than the last one, or its price or quantity is impossible; nothing is changed.
        """
        time, price, qty = trade.time, trade.price, trade.qty
        if not (0.0 < price < inf and 0.0 <= qty < inf):
            raise DataError(
                f"trade at {time} has the price {price:g} and the quantity {qty:g}: both must be sound"
            )
        if time < self._last or (self._settled is not None and time < self._settled):
            raise DataError(
                f"trade at {time} comes after one at {self._last}, or after its bar: sort them by time"
            )
        self._last = time
        if self._measure == "time":
            done = self._until(time)
            self._extend(floor(time, int(self._size)), price, qty)
            return done
        self._extend(time, price, qty)
        if self._sum < self._size:
            return []
        return self._end()

    def close(self, until: int) -> list[Bar]:
        """Time has come to `until` (ms UTC); returns the bars of time that have ended, oldest first.

        Other bars end by trades alone.

        Raises:
            DataError: `until` lies so far ahead that too many empty bars would be needed.
        """
        return self._until(until) if self._measure == "time" else []

    def build(self, trades: pd.DataFrame | Iterable[PublicTrade], until: int | None = None) -> pd.DataFrame:
        """Build the bars of `trades`, whatever was added before.

        Args:
            trades: oldest first; a frame with an index of times and the columns `price` and `qty` (the schema of
                recorded trades), or any iterable.
            until: bars of time that end up to here (ms UTC) are there; None: up to the last trade.

        Returns:
            the bars that have ended, in the schema of `metaexpert.bars`.

        Raises:
            DataError: a trade is older than the one before it, or impossible.
        """
        time, price, qty = _columns(trades)
        bad = ~((price > 0.0) & (price < inf) & (qty >= 0.0) & (qty < inf))
        bad[1:] |= time[1:] < time[:-1]
        if bad.any():
            at = int(time[bad.argmax()])
            raise DataError(
                f"trade at {at} is out of order or impossible: sort trades by time, leave out bad ones"
            )
        volume = qty / price if self.inverse else qty
        opens, first, ended = self._groups(time, price, qty, until)
        last = np.append(first[1:], time.size) - 1
        group = np.repeat(np.arange(first.size), last - first + 1)
        columns = [
            price[first],
            np.maximum.reduceat(price, first) if first.size else price[:0],
            np.minimum.reduceat(price, first) if first.size else price[:0],
            price[last] if first.size else price[:0],
            np.bincount(group, weights=volume, minlength=first.size),  # adds in order, as `add` does
        ]
        made = candles_of(opens[:ended], [column[:ended] for column in columns])
        return self._filled(made, time, until) if self._fills else made

    def _groups(self, time: Ints, price: Floats, qty: Floats, until: int | None) -> tuple[Ints, Ints, int]:
        """The times of the bars, the number of the first trade of each, and how many bars have ended."""
        if self._measure == "time":
            length = int(self._size)
            offset = floor(0, length)
            opens = (time - offset) // length * length + offset
            first = np.flatnonzero(np.append(True, opens[1:] != opens[:-1])[: time.size])
            known = (int(time[-1]) if time.size else 0) if until is None else until
            return opens[first], first, int((opens[first] + length <= known).sum())
        first, total, is_new = list[int](), 0.0, True
        for number, amount in enumerate(self._amounts(price, qty).tolist()):
            if is_new:
                first.append(number)
                total = 0.0
            total += amount
            is_new = total >= self._size
        starts = np.array(first, dtype=np.int64)
        return time[starts], starts, len(first) - (bool(first) and not is_new)

    def _amounts(self, price: Any, qty: Any) -> Any:
        """How much trades count by the builder's measure."""
        if self._measure == "ticks":
            return qty * 0.0 + 1.0
        if self._measure == "volume":
            return qty / price if self.inverse else qty
        return qty if self.inverse else qty * price

    def _filled(self, made: pd.DataFrame, time: Ints, until: int | None) -> pd.DataFrame:
        """The bars with flat ones where there are none."""
        if not time.size:
            return made
        length = int(self._size)
        end = floor(int(time[-1]) if until is None else until, length)
        start = floor(int(time[0]), length)
        _refuse_many(start, end, length)
        opens = np.arange(start, end, length, dtype=np.int64)
        index = pd.DatetimeIndex(opens.view("datetime64[ms]"), name="time").tz_localize("UTC")
        whole = made.reindex(index)
        close = whole["close"].ffill()
        for name in ("open", "high", "low"):
            whole[name] = whole[name].fillna(close)
        return whole.assign(close=close, volume=whole["volume"].fillna(0.0))

    def _extend(self, time: int, price: float, qty: float) -> None:
        bar = self._open
        if bar is None:
            bar = self._open = [time, price, price, price, price, 0.0]
            self._sum = 0.0
        bar[2], bar[3], bar[4] = max(bar[2], price), min(bar[3], price), price
        bar[5] += qty / price if self.inverse else qty
        self._sum += self._amounts(price, qty)

    def _end(self) -> list[Bar]:
        bar, self._open = self._open, None
        if bar is None:
            return []
        self._close = bar[4]
        return [self._bar(bar)]

    def _until(self, time: int) -> list[Bar]:
        """The bars of time that have ended at `time`."""
        length = int(self._size)
        reached = floor(time, length)
        done: list[Bar] = []
        if self._open is not None and self._open[0] < reached:
            self._settled = self._open[0] + length
            done = self._end()
        if self._settled is None or self._settled >= reached:
            return done
        if self._fills:
            _refuse_many(self._settled, reached, length)
            flat = [self._close] * 4
            done += [self._bar([opened, *flat, 0.0]) for opened in range(self._settled, reached, length)]
        self._settled = reached
        return done

    def _bar(self, values: list[Any]) -> Bar:
        return Bar(values[0], self.symbol, self.by, *values[1:])


def _parsed(by: str) -> tuple[str, float]:
    """The measure and how much of it makes up a bar; of time in ms."""
    match = re.fullmatch(r"([\d.]+(?:e\d+)?)\s+([a-z]+)", by)
    if match is None:
        return "time", duration(by)
    measure = match[2]
    if measure not in _MEASURES:
        raise ConfigError(f"unknown measure in {by!r}{did_you_mean(measure, _MEASURES)}")
    try:
        size = float(match[1])
    except ValueError:
        size = 0.0
    if not 0.0 < size < inf or (measure == "ticks" and size != int(size)):
        raise ConfigError(f"{by!r}: a bar is made up of a {'whole ' * (measure == 'ticks')}number above zero")
    return measure, size


def _refuse_many(start: int, end: int, length: int) -> None:
    count = (end - start) // length
    if count > _LONGEST_FILL:
        raise DataError(f"from {start} to {end} there would be {count} bars: look at the times of the trades")


def _columns(trades: pd.DataFrame | Iterable[PublicTrade]) -> tuple[Ints, Floats, Floats]:
    """Times (ms UTC), prices and quantities of trades."""
    if isinstance(trades, pd.DataFrame):
        missing = {"price", "qty"} - set(trades.columns)
        if missing:
            raise DataError(f"trades need the columns price and qty; {', '.join(sorted(missing))} is missing")
        index = pd.DatetimeIndex(trades.index)
        time = (index if index.unit == "ms" else index.as_unit("ms")).asi8
        return time, trades["price"].to_numpy(dtype=np.float64), trades["qty"].to_numpy(dtype=np.float64)
    rows = [(one.time, one.price, one.qty) for one in trades]
    time, price, qty = zip(*rows, strict=True) if rows else ((), (), ())
    return (
        np.array(time, dtype=np.int64), np.array(price, dtype=np.float64), np.array(qty, dtype=np.float64),
    )  # fmt: skip
