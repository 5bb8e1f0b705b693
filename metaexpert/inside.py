"""What happens inside a bar: the finer bars that it is walked by, and the ticks that are told on the way.

Each symbol has a course: what is to be done within its bar, one thing after the other. The courses of all symbols
are played together in the order of time, and at one moment in the order of `_WALKS`, `_OPENS`, `_LOOKS`.
"""

from __future__ import annotations

import heapq
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from .broker.quiet import NEVER
from .broker.simulated import Reached
from .models import Bar, Tick
from .timeframe import TRADES, length_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .broker import News
    from .broker.simulated import SimulatedBroker
    from .clock import Clock
    from .detail import Detail
    from .trader import Trader

    type Course = Iterator[tuple[int, int]]  # when, and which of the three, comes next

__all__ = ["Inside", "Loop"]

_WALKS, _OPENS, _LOOKS = range(3)  # prices up to a moment; what arrives at it; handlers that see it
_TICKS = 4  # of a bar, at most


class Loop(NamedTuple):
    """What the loop does when it is asked to: tell news, tell a tick, run the timers that are due by a moment."""

    tell: Callable[[Iterable[News]], None]
    hear: Callable[[Tick], None]
    run_timers: Callable[[int], None]


class Inside:
    """Walks the bars that close at one moment.

    Args:
        broker: matches.
        clock: the run's clock.
        trader: told when orders may act: from the next finer bar or tick on.
        details: the finer bars by symbol.
        tick_model: which ticks are told, as the setting says; None where nobody hears them.
        loop: the loop that it works for.
    """

    def __init__(
        self, broker: SimulatedBroker, clock: Clock, trader: Trader, details: Mapping[str, Detail],
        tick_model: str | None, loop: Loop,
    ) -> None:  # fmt: skip
        self.broker = broker
        self.clock = clock
        self.trader = trader
        self.details = details
        self.tick_model = tick_model
        self._loop = loop
        self._underlying: dict[str, list[float | None]] = {}  # what a tick may know of an option's underlying

    def walk(self, matched: Sequence[Bar], *, has_timers: bool) -> None:
        """Everything that happens inside the bars `matched`, which close at one moment."""
        skips = len(matched) == 1 and not has_timers and self.tick_model is None
        queue: list[tuple[int, int, int, Course]] = []
        for place, bar in enumerate(matched):
            course = self._course(bar, skips=skips)
            begun = next(course, None)
            if begun is not None:  # a bar that only another symbol keeps from being quiet may do nothing inside
                heapq.heappush(queue, (*begun, place, course))
        while queue:
            moment, kind, place, course = heapq.heappop(queue)
            if kind == _OPENS:
                self._move(moment)
            following = next(course, None)
            if following is not None:
                heapq.heappush(queue, (*following, place, course))
        for bar in matched:
            for held in self.broker.ledger.legs(bar.symbol):
                held.mark = bar.close

    def _move(self, moment: int) -> None:
        """Time moves to `moment`, and what is due by then happens."""
        self.trader.active_from = None
        self._loop.run_timers(moment)
        if self.broker.expiry.next_time <= moment:
            self._loop.tell(self.broker.expiry.end(moment))
        self.clock.advance(max(moment, self.clock.now()))

    # -- the course of one symbol ---------------------------------------------------------------------------------

    def _course(self, bar: Bar, *, skips: bool) -> Course:
        """Do what is to be done within `bar`; yields before each part when its turn is."""
        told, qty = 0, 0.0
        for piece, is_last_of_moment in self._pieces(bar, skips=skips):
            end = piece.time + length_of(piece.timeframe)
            tells = self.tick_model is not None and (self.tick_model != "open" or not told)
            moments = self._moments(piece, end) if tells else [piece.time, end]
            yield piece.time, _OPENS
            self._tell(self.broker.on_open(piece), moments[1])
            self._underlying[bar.symbol] = [held.underlying for held in self.broker.ledger.legs(bar.symbol)]
            if not tells:
                yield end, _WALKS
                self._tell(self.broker.on_bar(piece), end)
            elif piece.timeframe == TRADES:
                yield piece.time, _LOOKS
                self._tell(self.broker.on_bar(piece), end)
                qty += piece.volume
                if is_last_of_moment:
                    self._look(bar.symbol, piece.close, qty, end)
                    told, qty = told + 1, 0.0
            else:
                told += 1
                yield from self._stroll(piece, moments)

    def _pieces(self, bar: Bar, *, skips: bool) -> Iterator[tuple[Bar, bool]]:
        """The finer bars of `bar`, or `bar` itself where there are none; with `skips` not those that do nothing.

        Each with whether it is the last one of its moment: several trades may have one.
        """
        detail = self.details.get(bar.symbol)
        numbers = range(0) if detail is None else detail.within(bar)
        if detail is None or not numbers:
            yield bar, True
            return
        number = numbers.start
        while number < numbers.stop:
            quiet = self.broker.quiet(bar.symbol) if skips else NEVER
            if quiet is not NEVER:
                number = detail.first_beyond(range(number, numbers.stop), *quiet)
            if number < numbers.stop:
                yield detail.bar(number), detail.is_last_of_moment(number)
            number += 1

    def _moments(self, piece: Bar, end: int) -> list[int]:
        """When the prices of a bar are told, its quarters, and its `end`."""
        if piece.timeframe == TRADES or self.tick_model == "open":
            return [piece.time, end]
        return [piece.time + (end - piece.time) * number // _TICKS for number in range(_TICKS)] + [end]

    def _stroll(self, piece: Bar, moments: Sequence[int]) -> Course:
        """Walk a bar from price to price, and tell a tick at each of `moments` but the last, which is its end."""
        walk = self.broker.stroll(piece)
        for moment, after in pairwise(moments):
            is_open = moment == piece.time
            yield moment, _LOOKS if is_open else _WALKS
            if self._tell_until_stop(walk, after if is_open else moment) is None:
                return
            if not is_open:
                yield moment, _OPENS
            price = self._tell_until_stop(walk, after)
            yield moment, _LOOKS
            if price is not None:
                self._look(piece.symbol, price, 0.0, after)
        yield moments[-1], _WALKS
        while self._tell_until_stop(walk, moments[-1]) is not None:
            continue

    # -- telling --------------------------------------------------------------------------------------------------

    def _tell(self, news: Iterable[News], after: int) -> None:
        """Tell news; orders that answer them act from `after` on."""
        self.trader.active_from = after
        self._loop.tell(news)

    def _tell_until_stop(self, walk: Iterator[News | Reached], after: int) -> float | None:
        """Tell the news up to the next stop of `walk`; returns its price, None at the end."""
        stops: list[float] = []

        def news() -> Iterator[News]:
            for one in walk:
                if isinstance(one, Reached):
                    stops.append(one.price)
                    return
                yield one

        self._tell(news(), after)
        return stops[0] if stops else None

    def _look(self, symbol: str, price: float, qty: float, after: int) -> None:
        """Tell a tick. The position stands at its price meanwhile; the walk goes on with what it knows itself."""
        legs = self.broker.ledger.legs(symbol)
        walked = [(held.mark, held.underlying) for held in legs]
        for held, underlying in zip(legs, self._underlying[symbol], strict=True):
            held.mark, held.underlying = price, underlying
        self.trader.active_from = after
        self._loop.hear(Tick(self.clock.now(), symbol, price, price, price, qty))
        for held, (mark, underlying) in zip(legs, walked, strict=True):
            held.mark, held.underlying = mark, underlying
