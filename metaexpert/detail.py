"""Finer prices of one symbol: the shorter bars, or the single trades, that its bars are made of."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, cast

from .bars import COLUMNS, times
from .models import Bar
from .timeframe import TRADES, length_of, parse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

__all__ = ["Detail"]

_LOOK = 256  # bars looked at together


class Detail:
    """The finer bars of one symbol.

    They stand for a bar only where they make it up: where their first open, highest high, lowest low and last
    close are its own. Elsewhere something is missing or comes from another source: the bar is walked as it is.

    Args:
        symbol: unified symbol.
        timeframe: of the finer bars, or ``"trades"``.
        finer: candles in the schema of `metaexpert.bars`, or trades as `metaexpert.series` has them.
        bars: the bars that are to be walked, candles too.
        bars_timeframe: their timeframe.
    """

    def __init__(
        self, symbol: str, timeframe: str, finer: pd.DataFrame, bars: pd.DataFrame, bars_timeframe: str
    ) -> None:
        import numpy as np

        self.symbol = symbol
        self.timeframe = timeframe
        names = ("price", "price", "price", "price", "qty") if timeframe == TRADES else COLUMNS
        self._time = np.ascontiguousarray(times(finer))
        self._values = [np.ascontiguousarray(finer[name].to_numpy(dtype=np.float64)) for name in names]
        self._times = memoryview(self._time)
        self._columns = tuple(cast("memoryview[float]", memoryview(one)) for one in self._values)
        self._length, self._bars_length = length_of(timeframe), parse(bars_timeframe)
        opened = times(bars)
        made_up = self._made_up(opened, [bars[name].to_numpy() for name in COLUMNS[:4]])
        self._left_out = frozenset(opened[~made_up].tolist())

    def _made_up(self, opened: NDArray[np.int64], prices: list[Any]) -> NDArray[np.bool_]:
        """Which of the bars that opened at `opened`, ms, with `prices` (open, high, low, close) it makes up."""
        import numpy as np

        first = np.searchsorted(self._time, opened)
        last = np.searchsorted(self._time, opened + self._bars_length)
        found = np.flatnonzero(last > first)
        made_up = np.zeros(opened.size, dtype=np.bool_)
        if not found.size:
            return made_up
        bounds = np.column_stack((first[found], last[found])).ravel()
        opens, highs, lows, closes = (
            np.append(one, one[-1]) for one in self._values[:4]
        )  # a bound may lie beyond
        made = (
            opens[first[found]],
            np.maximum.reduceat(highs, bounds)[::2],
            np.minimum.reduceat(lows, bounds)[::2],
            closes[last[found] - 1],
        )
        same = [one == price[found] for one, price in zip(made, prices, strict=True)]
        made_up[found] = np.logical_and.reduce(same)
        return made_up

    @property
    def left_out(self) -> int:
        """How many of the bars it does not make up."""
        return len(self._left_out)

    def within(self, bar: Bar) -> range:
        """The numbers of the finer bars that make up `bar`; none where they don't."""
        if bar.time in self._left_out:
            return range(0)
        first = bisect_left(self._times, bar.time)
        return range(first, bisect_left(self._times, bar.time + self._bars_length, lo=first))

    def bar(self, number: int) -> Bar:
        """The finer bar of that number."""
        open_, high, low, close, volume = (column[number] for column in self._columns)
        return Bar(self._times[number], self.symbol, self.timeframe, open_, high, low, close, volume)

    def is_last_of_moment(self, number: int) -> bool:
        """Does the next finer bar begin later? Of trades several may have one time."""
        return number + 1 == len(self._times) or self._times[number + 1] != self._times[number]

    def first_beyond(self, within: range, low: float, high: float, until: float) -> int:
        """The number of the first finer bar that reaches `low` or `high`, or ends after `until` (ms).

        ``within.stop`` when none does.
        """
        _, highs, lows, _, _ = self._values
        for start in range(within.start, within.stop, _LOOK):
            part = slice(start, min(start + _LOOK, within.stop))
            busy = (lows[part] <= low) | (highs[part] >= high) | (self._time[part] + self._length > until)
            if busy.any():
                return start + int(busy.argmax())
        return within.stop

    def fingerprint(self) -> bytes:
        """All finer bars as bytes, to tell one run's data from another's."""
        return b"|".join([self.timeframe.encode(), self._time.tobytes(), *(one.tobytes() for one in self._values)])
