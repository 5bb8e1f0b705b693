"""Candles that grow while a live market goes on, in a window that does not; indicators that grow with them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

import numpy as np

from . import bars as candles_
from .errors import MetaExpertError, StrategyError
from .feed import Series
from .indicators import Cursor, Indicator
from .models import BackfilledBar, Bar

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

__all__ = ["LiveIndicator", "LiveSeries"]

_CONTENT = ("_array", "_index", "_over", "_size", "_under", "_values")
"""The slots of an `Indicator` that hold what was computed."""


class LiveSeries(Series):
    """The closed bars of a live market: a window of the last `keep` to twice as many.

    Indexes count within the window. When it is full its older half is let go, and `cursor` moves with the rest.

    Args:
        symbol: unified symbol.
        timeframe: length of the bars.
        candles: the history that is known from the start, a frame in the schema of `metaexpert.bars`.
        keep: how many bars are there at least, as soon as there have been so many.
    """

    def __init__(self, symbol: str, timeframe: str, candles: pd.DataFrame, keep: int) -> None:
        super().__init__(symbol, timeframe, candles.iloc[-keep:], first=0)
        self.keep = keep
        self.dropped = 0
        """How many bars the window has let go."""
        self._made: WeakValueDictionary[int, LiveIndicator] = WeakValueDictionary()
        self.load(candles)

    def load(self, candles: pd.DataFrame) -> None:
        """Begin with the last `keep` bars of `candles`, all of them known; whatever was there is forgotten."""
        candles = candles.iloc[-self.keep :]
        size = self.first = len(candles)
        self.cursor.i = size - 1
        self._backfilled: set[int] = set()
        self._times = np.empty(2 * self.keep, dtype=np.int64)
        self._rows = np.empty((len(candles_.COLUMNS), 2 * self.keep))
        self._times[:size] = candles_.times(candles)
        for row, name in zip(self._rows, candles_.COLUMNS, strict=True):
            row[:size] = candles[name].to_numpy()
        self._show(size)

    def append(self, bar: Bar) -> int:
        """Take in the next closed bar; returns its index. It is known once the cursor is on it.

        Raises:
            MetaExpertError: it does not come after the last one.
        """
        size = len(self)
        if size and bar.time <= self._times[size - 1]:
            raise MetaExpertError(f"{self.symbol} {self.timeframe}: bar {bar.time} is not after the last one")
        if size == 2 * self.keep:
            self._halve()
            size = self.keep
        self._times[size] = bar.time
        self._rows[:, size] = bar[3:]
        if bar.is_backfilled:
            self._backfilled.add(bar.time)
        self._show(size + 1)
        return size

    def _halve(self) -> None:
        """Let the older half go. What others hold of the old arrays stays as it is."""
        self._times = np.concatenate((self._times[self.keep :], np.empty(self.keep, dtype=np.int64)))
        newer = self._rows[:, self.keep :]
        self._rows = np.concatenate((newer, np.empty_like(newer)), axis=1)
        self.cursor.i -= self.keep
        self.first = max(0, self.first - self.keep)
        self.dropped += self.keep
        self._backfilled = {time for time in self._backfilled if time >= self._times[0]}

    def _show(self, size: int) -> None:
        """Set what readers see to the first `size` bars; indicators are made again when they are read."""
        times, rows = self._times[:size], self._rows[:, :size]
        self.times = memoryview(times)
        self.columns = tuple(cast("memoryview[float]", memoryview(row)) for row in rows)
        self.candles = candles_.frame(times, list(rows))
        for made in list(self._made.values()):
            made.forget()

    def bar(self, index: int) -> Bar:
        """The bar at `index`."""
        bar = super().bar(index)
        return BackfilledBar(*bar) if bar.time in self._backfilled else bar

    def _build(self, what: str | Callable[..., Any], kwargs: dict[str, Any]) -> Indicator:
        made = LiveIndicator(lambda: super(LiveSeries, self)._build(what, kwargs), self.cursor)
        self._made[id(made)] = made
        return made


class LiveIndicator(Indicator):
    """An `Indicator` of a window that grows: `forget` empties it, and whoever reads it next fills it again.

    Args:
        make: computes it over the window as it is.
        cursor: that of the window.
    """

    __slots__ = ("__weakref__", "_fill", "_is_filled")

    def __init__(self, make: Callable[[], Indicator], cursor: Cursor) -> None:
        super().__init__((), cursor)
        self._is_filled = True
        self._fill: Callable[[], None] = lambda: self.take(make())
        self._fill()

    def forget(self) -> None:
        """Empty it, its columns too."""
        if self._is_filled:
            self._is_filled = False
            for slot in _CONTENT:
                delattr(self, slot)
        for column in self._columns.values():
            cast("LiveIndicator", column).forget()

    def take(self, made: Indicator) -> None:
        """Show what `made` does. Columns that were read before stay the same objects."""
        if self._columns and self._columns.keys() != set(made.columns):
            raise StrategyError(
                f"indicator {self.name!r} had the columns {', '.join(self._columns)}, and now has "
                f"{', '.join(made.columns) or 'none'}: it has to give the same ones for any number of bars"
            )
        for slot in _CONTENT:
            setattr(self, slot, getattr(made, slot))
        self.name, self._is_filled = made.name, True
        for name in made.columns:
            column = self._columns.get(name)
            if column is None:
                column = self._columns[name] = LiveIndicator(partial(made.__getitem__, name), self._cursor)
                column._fill = self._fill
            cast("LiveIndicator", column).take(made[name])

    def __getattr__(self, word: str) -> Any:
        if word not in _CONTENT:
            return super().__getattr__(word)
        self._fill()
        return getattr(self, word)
