"""How the candles of one symbol go on in a live market: which bars have closed, and which longer ones with them.

Pure: what the stream shows and what REST answers come in, closed bars come out; the time is an argument.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .bars import frame, resample, times
from .events import StreamKind
from .models import BackfilledBar, Bar
from .timeframe import floor, next_close, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["Closed", "Longer", "Tail", "Terms"]


_STALE = {
    StreamKind.TRADES: 60_000, StreamKind.CANDLES: 60_000, StreamKind.QUOTES: 30_000, StreamKind.BOOK: 30_000,
    StreamKind.MARKS: 30_000,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a live feed waits; all in ms.

    Args:
        close_delay: how long after a close REST is asked for the bar, unless the stream has shown a later one. As
            long, at most, are the last trades of the interval waited for.
        quiet: how long after its close an interval has no bar, if neither the unbroken stream nor REST knows one.
        settle: how long after a close a bar that exists may come at the latest: an interval of which nothing is
            known by then has no bar. A bar that comes later than that is backfilled.
        patience: how long the others wait for a symbol whose market can't be reached.
        retry: the first pause after a failure; it doubles up to `longest`.
        longest: the longest pause.
        stale: by kind, how long a stream may say nothing before the market is asked whether it trades.
        guard: how often that is looked at.
        measure: how often the market's clock is.
    """

    close_delay: int = 1_000
    quiet: int = 3_000
    settle: int = 10_000
    patience: int = 60_000
    retry: int = 500
    longest: int = 30_000
    stale: Mapping[StreamKind, int] = field(default_factory=lambda: dict(_STALE))
    guard: int = 5_000
    measure: int = 600_000

    def at(self, speed: float) -> Terms:
        """The same for a market whose time goes `speed` times as fast: pauses take as long as ever."""
        kept = ("settle", "patience", "retry", "longest", "guard", "measure")
        return replace(
            self,
            **{name: round(getattr(self, name) * speed) for name in kept},
            stale={kind: round(length * speed) for kind, length in self.stale.items()},
        )


class Closed(NamedTuple):
    """What closed at `time`: the bar of the shortest timeframe where there is one, and longer ones after it."""

    time: int
    bars: tuple[Bar, ...]


class Longer:
    """Makes the bars of a longer timeframe of those of the shortest, as backtests do.

    Args:
        timeframe: of what is made.
        source: the shortest timeframe.
        bars: those of the shortest that are known already, from the open of the interval on that is not closed.
        first: the open time of the first bar that was known of the symbol; None: none was. An interval that opened
            before it is not whole, and gives no bar.
    """

    def __init__(self, timeframe: str, source: str, bars: Iterable[Bar] = (), first: int | None = None) -> None:
        self.timeframe = timeframe
        self.length_ms = parse(timeframe)
        self._source = source
        self._bars = list(bars)
        self._first = first

    def add(self, bar: Bar) -> None:
        """A bar of the shortest timeframe has closed."""
        if self._first is None:
            self._first = bar.time
        self._bars.append(bar)

    def close(self, time: int) -> Bar | None:
        """The bar that closes at `time`; None when none does, or when nothing was traded in it."""
        if not self._bars or floor(time, self.length_ms) != time:
            return None
        bars, self._bars = self._bars, []
        columns = np.array([bar[3:] for bar in bars]).T
        shorter = frame(np.array([bar.time for bar in bars], dtype=np.int64), list(columns))
        made = resample(shorter, self.timeframe, source=self._source, until=time)
        opened, values = int(times(made)[0]), made.iloc[0].tolist()
        if self._first is not None and opened < self._first:
            return None
        kind = BackfilledBar if bars[-1].is_backfilled else Bar
        return kind(opened, bars[0].symbol, self.timeframe, *values)


class Tail:
    """The candles of one symbol's shortest timeframe from `settled` on.

    Intervals are settled one after the other: each has a bar, or is known to have none. A bar is closed when the
    stream, unbroken, shows a later one, or when REST says so.

    Args:
        symbol: unified symbol.
        timeframe: the shortest of the symbol.
        settled: the close of the last interval that is known already, ms UTC.
        terms: how long to wait.
        opened: when the feed was opened: what closed before it is backfilled.
        has_traded: tells whether trades were seen in the interval that opened at a moment.
    """

    def __init__(
        self, symbol: str, timeframe: str, settled: int, terms: Terms, *, opened: int = 0,
        has_traded: Callable[[int], bool] = lambda _: False,
    ) -> None:  # fmt: skip
        self.symbol = symbol
        self.timeframe = timeframe
        self.length_ms = parse(timeframe)
        self.settled = settled
        """Up to here (ms UTC) every bar is known."""
        self.ready: deque[Closed] = deque()
        """What has closed and was not delivered yet."""
        self.held_since: float = inf
        """Since when the stream has been unbroken, as far as is known (ms UTC by the market's clock)."""
        self.longer: Sequence[Longer] = ()
        """What is made of its bars, shorter timeframes first."""
        self._terms = terms
        self._opened = opened
        self._has_traded = has_traded
        self._shown: dict[int, Bar] = {}
        self._skipped: set[int] = set()
        self.late: list[Bar] = []
        """Bars that came after it was settled that there are none; they are told no more."""

    @property
    def closes(self) -> int:
        """When the interval closes that is not settled yet."""
        return self.settled + self.length_ms

    @property
    def boundary(self) -> int:
        """The next moment at which bars close: nothing that happened at or after it comes before them."""
        return self.ready[0].time if self.ready else self.closes

    def due(self) -> int:
        """When REST has to be asked for the next bar at the latest."""
        later = any(time >= self.closes for time in self._shown)
        return self.closes + (0 if later else self._terms.close_delay)

    def verdict(self, now: int) -> float:
        """When the next time comes at which it counts that REST knows no bar (ms UTC)."""
        moments = (self.closes + self._terms.quiet, self.closes + self._terms.settle)
        return min((one for one in moments if one > now), default=inf)

    def show(self, bar: Bar, now: int) -> None:
        """The stream shows the candle of an interval, running or closed."""
        self.held_since = min(self.held_since, now)
        known = self._shown.get(bar.time)
        if bar.time < self.settled or (known is not None and known.volume > bar.volume):
            return  # an old message, late or twice
        self._shown[bar.time] = bar
        while self.settled < bar.time and self.settled in self._shown:
            self._settle(self._shown[self.settled], now)

    def broke(self) -> None:
        """The stream has broken: what it has shown of running candles is no longer all."""
        self.held_since = inf
        self._shown.clear()

    def answer(self, bars: Iterable[Bar], asked: int, now: int) -> None:
        """REST has told the `bars` that were closed at `asked` (ms UTC), from the interval before `settled` on."""
        for bar in bars:
            if bar.time in self._skipped:
                self._skipped.discard(bar.time)
                self.late.append(bar)
            if self.settled <= bar.time and bar.time + self.length_ms <= asked:
                self._skip(bar.time)
                self._settle(bar, now)
        while self._is_over(asked):
            shown = self._shown.get(self.settled)
            if shown is None:
                self._skipped = {self.settled}
                self._skip(self.closes)
            else:
                self._settle(shown, now)

    def _is_over(self, asked: int) -> bool:
        """Is the interval settled although REST knew of no bar at `asked`?"""
        if asked >= self.closes + self._terms.settle:
            return True
        was_held = self.held_since <= self.settled and asked >= self.closes + self._terms.quiet
        return was_held and self.settled not in self._shown and not self._has_traded(self.settled)

    def _settle(self, bar: Bar, now: int) -> None:
        """`bar` is the closed one of the interval that was open."""
        self._shown.pop(bar.time, None)
        self.settled = next_close(bar.time, self.length_ms)
        if self.settled <= self._opened or now > self.settled + self._terms.settle:
            bar = BackfilledBar(*bar)
        for longer in self.longer:
            longer.add(bar)
        self._close([bar])

    def _skip(self, until: int) -> None:
        """There are no bars before `until`."""
        while self.settled < until:
            self._shown.pop(self.settled, None)
            self.settled += self.length_ms
            self._close([])

    def _close(self, bars: list[Bar]) -> None:
        made = [longer.close(self.settled) for longer in self.longer]
        bars += [bar for bar in made if bar is not None]
        if bars:
            self.ready.append(Closed(self.settled, tuple(bars)))
