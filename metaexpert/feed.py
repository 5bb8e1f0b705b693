"""Feeds: where market events come from. `HistoryFeed` plays stored candles in the one order of rule 3.

A `Series` is the candles of one symbol and timeframe with a cursor on the last bar that is known now. What is
behind the cursor exists; what lies ahead of it can't be reached through it.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from . import bars as candles_
from . import indicators
from .errors import StrategyError
from .indicators import Cursor, Indicator
from .models import Bar
from .timeframe import TIMEFRAMES, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    type Row = tuple[int, str, str, float, float, float, float, float]

__all__ = ["Feed", "HistoryFeed", "Merged", "Series", "Step"]


class Series:
    """The candles of one symbol and timeframe, and how many of them are known now.

    Args:
        symbol: unified symbol.
        timeframe: length of the bars.
        candles: frame in the schema of `metaexpert.bars`, warm-up included.
        first: index of the first bar of the tested span; the ones before it are its history.
    """

    def __init__(self, symbol: str, timeframe: str, candles: pd.DataFrame, first: int) -> None:
        import numpy as np

        self.symbol = symbol
        self.timeframe = timeframe
        self.length_ms = parse(timeframe)
        self.candles = candles
        self.first = first
        self.cursor = Cursor()
        self.cursor.i = first - 1
        # Memoryviews give plain numbers, which is what handlers get, and are made when they are read.
        self.times = memoryview(np.ascontiguousarray(candles_.times(candles)))
        self.columns = tuple(
            cast("memoryview[float]", memoryview(np.ascontiguousarray(candles[name].to_numpy(dtype=np.float64))))
            for name in candles_.COLUMNS
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

    def play(self, index: int) -> Iterator[Row]:
        """The bars from `index` on as bare fields, of which a `Bar` can be made, each when its turn comes."""
        columns: Any = (column[index:] for column in self.columns)
        return zip(self.times[index:], repeat(self.symbol), repeat(self.timeframe), *columns)

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


class Merged(NamedTuple):
    """The bars of all series in the order of rule 3.

    Step number k is at `time[k]` (ms UTC) and is made of the bars ``begin[k]`` to ``begin[k + 1] - 1``, each the
    next one of the series ``series[which[n]]``, whose first one is the bar `first` of that series. Up to step
    ``turns[0]``, from ``turns[1]`` to ``turns[2]`` and so on it is the first series alone whose bars close.
    """

    series: tuple[Series, ...]
    first: tuple[int, ...]
    time: memoryview[int]
    begin: Sequence[int]
    which: Sequence[int]
    turns: Sequence[int]


class Feed(Protocol):
    """What the trading calls ask of a feed, of history or live."""

    @property
    def series(self) -> Mapping[tuple[str, str], Series]:
        """Every series of the run by symbol and timeframe."""
        ...

    def find(self, symbol: str, timeframe: str) -> Series | None:
        """The series of `symbol` and `timeframe`; None when there is none."""
        ...

    def matching(self, symbol: str) -> Series:
        """The series in which orders of `symbol` trade: its shortest."""
        ...


class HistoryFeed:
    """Stored candles as steps in time order.

    What closed up to `start` is known from the start. A series whose own span begins later is unknown until its
    first bar is delivered, its history with it.

    Args:
        series: every series of the run, symbols in the order in which they were declared.
        start: no bar that closed at or before this moment (ms UTC) is delivered.
        make: makes the series of a symbol in a longer timeframe, for those who ask before the first step.
    """

    def __init__(
        self, series: Sequence[Series], start: int, *, make: Callable[[str, str], Series] | None = None
    ) -> None:
        self.series: dict[tuple[str, str], Series] = {}
        self.start = start
        self._make = make
        self._matching: dict[str, Series] = {}
        self._merged: Merged | None = None
        for one in series:
            self.add(one)

    def add(self, one: Series) -> None:
        """Take one more series in, before the first step."""
        self.series[one.symbol, one.timeframe] = one
        shortest = self._matching.get(one.symbol)
        if shortest is None or one.length_ms < shortest.length_ms:
            self._matching[one.symbol] = one
        one.cursor.i = min(one.first, self._started(one)) - 1
        self._merged = None

    def find(self, symbol: str, timeframe: str) -> Series | None:
        """The series of `symbol` and `timeframe`; None when there is none.

        Before the first step one is made where the timeframe is a multiple of the shortest.
        """
        found = self.series.get((symbol, timeframe))
        if found is not None or self._merged is not None or self._make is None or timeframe not in TIMEFRAMES:
            return found
        shortest = self._matching[symbol].length_ms
        if parse(timeframe) < shortest or parse(timeframe) % shortest:
            return None
        self.add(self._make(symbol, timeframe))
        return self.series[symbol, timeframe]

    def _started(self, one: Series) -> int:
        """The index of the first bar of `one` that closes after the start."""
        return bisect_right(one.times, self.start - one.length_ms)

    def matching(self, symbol: str) -> Series:
        """The series in which orders of `symbol` trade: its shortest."""
        return self._matching[symbol]

    def is_matching(self, one: Series) -> bool:
        """Do orders of its symbol trade in `one`?"""
        return self._matching[one.symbol] is one

    @property
    def steps(self) -> int:
        """How many moments there are at which a bar closes."""
        return len(self.merged().time)

    def __iter__(self) -> Iterator[Step]:
        merged = self.merged()
        at = [*merged.first]
        for number, time in enumerate(merged.time):
            closing: list[tuple[Series, int]] = []
            for which in merged.which[merged.begin[number] : merged.begin[number + 1]]:
                closing.append((merged.series[which], at[which]))
                at[which] += 1
            yield self.step(time, closing)

    def step(self, time: int, closing: Sequence[tuple[Series, int]]) -> Step:
        """The step at which the bars `closing`, each by series and index, close."""
        matched = tuple(one.bar(index) for one, index in closing if self._matching[one.symbol] is one)
        return Step(time, matched, tuple(closing))

    def merged(self) -> Merged:
        """All bars in order; sorted once."""
        if self._merged is None:
            self._merged = self._merge()
        return self._merged

    def _merge(self) -> Merged:
        import numpy as np

        symbols = list(self._matching)
        series = sorted(self.series.values(), key=lambda one: (one.length_ms, symbols.index(one.symbol)))
        first = [max(one.first, self._started(one)) for one in series]
        closes = [np.asarray(one.times)[at:] + one.length_ms for one, at in zip(series, first, strict=True)]
        if len(series) == 1:  # nothing to merge, and nothing to hold in memory for it
            count = len(closes[0])
            nowhere = memoryview(np.broadcast_to(np.int16(0), count))
            return Merged(tuple(series), tuple(first), memoryview(closes[0]), range(count + 1), nowhere, ())
        sizes = [len(close) for close in closes]
        time = np.concatenate([np.empty(0, dtype=np.int64), *closes])
        which = np.repeat(np.arange(len(series), dtype=np.int16), sizes)
        order = np.argsort(time, kind="stable")  # at one moment in the order of `series`
        time, which = time[order], which[order]
        is_new = np.ones(len(time) + 1, dtype=np.bool_)
        np.not_equal(time[1:], time[:-1], out=is_new[1:-1])
        begin = np.flatnonzero(is_new)
        return Merged(
            series=tuple(series),
            first=tuple(first),
            time=memoryview(time[begin[:-1]]),
            begin=memoryview(begin),
            which=memoryview(which),
            turns=_turns(begin, which),
        )

    # -- after the run --------------------------------------------------------------------------------------

    def times(self, steps: int) -> NDArray[np.int64]:
        """The times (ms UTC) of the first `steps` steps."""
        import numpy as np

        return np.asarray(self.merged().time[:steps], dtype=np.int64)

    def closes(self, symbol: str, steps: int) -> NDArray[np.float64]:
        """The last close of `symbol` at each of the first `steps` steps; 1 before there is one."""
        import numpy as np

        merged, one = self.merged(), self._matching[symbol]
        place = merged.series.index(one)
        first, values = merged.first[place], np.asarray(one.columns[candles_.COLUMNS.index("close")])
        if len(merged.series) == 1:
            return values[first : first + steps]
        events = np.flatnonzero(np.asarray(merged.which) == place)
        of_step = np.searchsorted(np.asarray(merged.begin), events, "right") - 1
        known = np.searchsorted(of_step, np.arange(steps), "right")
        return np.where(known > 0, values[np.maximum(first + known - 1, 0)], 1.0)


def _turns(begin: NDArray[np.int64], which: NDArray[np.int16]) -> Sequence[int]:
    """The steps from which on the first series is no longer alone, or alone again; see `Merged`."""
    import numpy as np

    shared = (np.diff(begin) != 1) | (which[begin[:-1]] != 0)
    return memoryview(np.flatnonzero(np.diff(shared, prepend=False)))
