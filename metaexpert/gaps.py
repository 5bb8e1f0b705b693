"""The public trades of one symbol, each once and in order, whatever becomes of the connection.

Pure: what the stream tells and what REST answers come in, trades to be told come out.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from .models import Bar
from .timeframe import floor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .events import PublicTrade

__all__ = ["Tape"]

_IDS = 20_000  # trades that are remembered: more than an exchange tells at once
_WAITING = 20_000


class _Span:
    """What the trades of one interval came to."""

    __slots__ = ("high", "last", "low", "volume")

    def __init__(self, price: float) -> None:
        self.high = self.low = self.last = price
        self.volume = 0.0


class _Hole(NamedTuple):
    """Trades that can't be had: after the one at `since` (ms) and `price`, None: not known; up to `until`."""

    since: int
    until: float
    price: float | None


class Tape:
    """See the module's docstring. A tape is joined while the stream continues what is known.

    Args:
        begun: from this moment (ms UTC) on trades are wanted.
        length_ms: of the bars that trades are counted by.
        last: the last trade that an earlier run has handled.
        is_joined: False where there are trades since `begun` that the stream won't tell.
        is_inverse: quantities are face values in quote, while the volume of bars is in base.
    """

    def __init__(
        self, begun: int, length_ms: int, last: PublicTrade | None = None, *, is_joined: bool = True,
        is_inverse: bool = False,
    ) -> None:  # fmt: skip
        self.last = last
        """The last trade that was told."""
        self.is_joined = is_joined
        self.known_to: float = inf if is_joined else begun
        """Up to here (ms UTC) every trade is known that can be had."""
        self.missed = 0
        """How often trades could not be had."""
        self._begun = begun
        self._length = length_ms
        self._is_inverse = is_inverse
        self._ids: set[str] = set() if last is None else {last.id}
        self._order: deque[str] = deque(self._ids)
        self._waiting: deque[PublicTrade] = deque(maxlen=_WAITING)
        self._spans: dict[int, _Span] = {}
        self._holes: list[_Hole] = []

    @property
    def start(self) -> int:
        """From when on REST is to be asked for what is missing."""
        return self._begun if self.last is None else self.last.time

    @property
    def waits(self) -> bool:
        """Has the stream told trades since the gap, which wait for what is missing?"""
        return bool(self._waiting)

    def broke(self) -> None:
        """The stream has broken, or a trade of it could not be kept."""
        if self.is_joined:
            self.is_joined = False
            self.known_to = self.start
        self._waiting.clear()

    def hear(self, trades: Sequence[PublicTrade]) -> Sequence[PublicTrade]:
        """The stream tells `trades`; returns those that need not wait. Some may be known already."""
        if self.is_joined:
            return trades
        self._waiting.extend(trades)
        return ()

    def is_known(self, one: PublicTrade) -> bool:
        """Was it told already? Where the exchange gives no ids: is it no later than the last one?"""
        if one.id:
            return one.id in self._ids
        return self.last is not None and one.time <= self.last.time

    def note(self, one: PublicTrade) -> None:
        """It is told now."""
        if self.last is None or one.time >= self.last.time:
            self.last = one
        if one.id:
            if len(self._order) == _IDS:
                self._ids.discard(self._order.popleft())
            self._ids.add(one.id)
            self._order.append(one.id)
        opened = floor(one.time, self._length)
        span = self._spans.get(opened)
        if span is None:
            span = self._spans[opened] = _Span(one.price)
        elif one.price > span.high:
            span.high = one.price
        elif one.price < span.low:
            span.low = one.price
        span.last = one.price
        span.volume += one.qty / one.price if self._is_inverse else one.qty

    def has_traded(self, opened: int) -> bool:
        """Were there trades in the interval that opened at `opened`?"""
        return opened in self._spans

    def learn(self, answer: Sequence[PublicTrade], known_to: float, *, is_final: bool) -> list[PublicTrade]:
        """REST has answered what was asked from `start` on; returns what may be told now.

        Args:
            answer: oldest first.
            known_to: the answer holds what happened up to this moment.
            is_final: no better answer will come: what is missing is given up.
        """
        fresh = [one._replace(is_backfilled=True) for one in answer if not self.is_known(one)]
        if not answer and self.last is not None and not is_final:
            return []  # it lacks the one that it was asked from: it is not up to date
        if len(fresh) == len(answer) and (fresh or is_final):
            self._miss(fresh[0].time if fresh else known_to)
        if not self._waiting:
            self.known_to = max(self.known_to, known_to)
            return fresh
        first = self._waiting[0]
        came = {one.id for one in self._waiting if one.id}
        reaches = any(one.id == first.id if first.id else one.time >= first.time for one in answer)
        fresh = [one for one in fresh if one.id not in came and one.time <= first.time - (not one.id)]
        if reaches or is_final:
            if not reaches:
                self._miss(first.time, fresh[-1] if fresh else None)
            fresh += self._join()
        return fresh

    def _join(self) -> list[PublicTrade]:
        """The stream continues what is known from here on; returns what has waited."""
        self.is_joined, self.known_to = True, inf
        waited = list(self._waiting)
        self._waiting.clear()
        return waited

    def _miss(self, until: float, last: PublicTrade | None = None) -> None:
        """What happened between the last trade and `until` can't be had."""
        self.missed += 1
        last = last or self.last
        self._holes.append(_Hole(self._begun if last is None else last.time, until, last and last.price))

    def stretch(self, bar: Bar) -> Bar | None:
        """The part of a closed bar that has to be walked as a bar, because its trades are not known; None: none.

        It begins at the last trade that is known before what is missing. Its high and low are the bar's where no
        known trade accounts for them.
        """
        closes = bar.time + self._length
        span = self._spans.get(bar.time)
        hole = next((one for one in self._holes if one.since < closes and one.until > bar.time), None)
        self._forget(closes)
        if hole is None:
            return None
        if span is not None and span.high >= bar.high and span.low <= bar.low and span.last == bar.close:
            return None
        opened = bar.open if hole.since < bar.time or hole.price is None else hole.price
        high, low = max(opened, bar.close), min(opened, bar.close)
        if span is None or bar.high > span.high:
            high = bar.high
        if span is None or bar.low < span.low:
            low = bar.low
        volume = bar.volume if span is None else max(0.0, bar.volume - span.volume)
        return Bar(max(hole.since, bar.time), bar.symbol, bar.timeframe, opened, high, low, bar.close, volume)

    def _forget(self, until: int) -> None:
        """Nobody asks for what was before `until` any more."""
        self._spans = {opened: span for opened, span in self._spans.items() if opened >= until}
        self._holes = [hole for hole in self._holes if hole.until > until]
