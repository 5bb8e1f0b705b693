"""Feeds: where market events come from. `HistoryFeed` plays stored candles in the one order of rule 3.

A `Series` is the candles of one symbol and timeframe with a cursor on the last bar that is known now. What is
behind the cursor exists; what lies ahead of it can't be reached through it.
"""

from __future__ import annotations

from bisect import bisect_right
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from . import bars as candles_
from . import indicators
from .errors import StrategyError
from .indicators import Cursor, Indicator
from .models import Bar
from .timeframe import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

__all__ = ["HistoryFeed", "Series", "Step"]


class Series:
    """The candles of one symbol and timeframe, and how many of them are known now.

    Args:
        symbol: unified symbol.
        timeframe: length of the bars.
        candles: frame in the schema of `metaexpert.bars`, warm-up included.
        first: index of the first bar of the tested span; the ones before it are its history.
    """

    def __init__(self, symbol: str, timeframe: str, candles: pd.DataFrame, first: int) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.length_ms = parse(timeframe)
        self.candles = candles
        self.first = first
        self.cursor = Cursor()
        self.cursor.i = first - 1
        self.times: list[int] = candles_.times(candles).tolist()
        self.columns: tuple[list[float], ...] = tuple(
            candles[name].to_numpy().tolist() for name in candles_.COLUMNS
        )
        self._indicators: dict[Any, Indicator] = {}

    def __len__(self) -> int:
        return len(self.times)

    @property
    def known(self) -> int:
        """How many bars are known now."""
        return self.cursor.i + 1

    def bar(self, index: int) -> Bar:
        """The bar at `index`."""
        opens, highs, lows, closes, volumes = self.columns
        return Bar(
            self.times[index], self.symbol, self.timeframe,
            opens[index], highs[index], lows[index], closes[index], volumes[index],
        )  # fmt: skip

    def last(self) -> Bar | None:
        """The last closed bar, None before the first."""
        return self.bar(self.cursor.i) if self.cursor.i >= 0 else None

    def rates(self, count: int | None = None) -> pd.DataFrame:
        """The last `count` closed bars (None: all that are known), a frame of its own.

        Raises:
            StrategyError: `count` is below 1.
        """
        if count is not None and count < 1:
            raise StrategyError(f"rates: count must be at least 1, got {count}")
        known = self.known
        start = 0 if count is None else max(0, known - count)
        return self.candles.iloc[start:known]

    def indicator(self, what: str | Callable[..., Any], **kwargs: Any) -> Indicator:
        """An indicator over these candles that follows the cursor; computed once per distinct argument."""
        key = (what.lower() if isinstance(what, str) else what, tuple(sorted(kwargs.items())))
        try:
            found = self._indicators.get(key)
        except TypeError:  # an argument can't be hashed: compute anew
            return self._build(what, kwargs)
        if found is None:
            found = self._indicators[key] = self._build(what, kwargs)
        return found

    def _build(self, what: str | Callable[..., Any], kwargs: dict[str, Any]) -> Indicator:
        """Compute an indicator; a function of the user's may write to the bars that it gets."""
        candles = self.candles if isinstance(what, str) else self.candles.copy()
        return indicators.build(what, candles, self.cursor, **kwargs)


class Step(NamedTuple):
    """All bars that close at one moment.

    `matched` are the bars of each symbol's shortest timeframe, in which orders trade; `delivered` every closing
    series in the order in which its handlers run: shorter timeframe first, then as declared.
    """

    time: int
    matched: tuple[Bar, ...]
    delivered: tuple[tuple[Series, int], ...]


class HistoryFeed:
    """Stored candles as steps in time order.

    What closed up to `start` is known from the start. A series whose own span begins later is unknown until its
    first bar is delivered, its history with it.

    Args:
        series: every series of the run, symbols in the order in which they were declared.
        start: no bar that closed at or before this moment (ms UTC) is delivered.
    """

    def __init__(self, series: Sequence[Series], start: int) -> None:
        self.series = {(one.symbol, one.timeframe): one for one in series}
        self.start = start
        self._matching: dict[str, Series] = {}
        for one in series:
            shortest = self._matching.get(one.symbol)
            if shortest is None or one.length_ms < shortest.length_ms:
                self._matching[one.symbol] = one
            one.cursor.i = min(one.first, bisect_right(one.times, start - one.length_ms)) - 1

    def matching(self, symbol: str) -> Series:
        """The series in which orders of `symbol` trade: its shortest."""
        return self._matching[symbol]

    @property
    def steps(self) -> int:
        """How many moments there are at which a bar of a symbol's shortest timeframe closes, for progress."""
        closes: set[int] = set()
        for one in self._matching.values():
            closes.update(time + one.length_ms for time in one.times[one.first :])
        return len(closes)

    def __iter__(self) -> Iterator[Step]:
        order = list(self._matching)
        events = merge(*(self._closes(one, order.index(one.symbol)) for one in self.series.values()))
        for time, group in groupby(events, key=itemgetter(0)):
            closing = [(self.series[symbol, timeframe], index) for _, _, _, symbol, timeframe, index in group]
            matched = tuple(one.bar(index) for one, index in closing if self._matching[one.symbol] is one)
            yield Step(time, matched, tuple(closing))

    def _closes(self, one: Series, order: int) -> Iterator[tuple[int, int, int, str, str, int]]:
        length, symbol, timeframe = one.length_ms, one.symbol, one.timeframe
        for index in range(one.first, len(one)):
            time = one.times[index] + length
            if time > self.start:
                yield time, length, order, symbol, timeframe, index
