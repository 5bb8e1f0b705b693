"""Matching: how the orders and levels of one symbol trade within one bar. See `metaexpert.broker.simulated`."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from .. import risk, rules
from ..models import ExitReason, OrderStatus, OrderType, TimeInForce
from ..timeframe import TRADES, length_of
from .data import MarketData
from .quiet import between

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence

    from ..models import Bar
    from . import News
    from .book import Book, Working
    from .data import Reference, Span
    from .execution import Execution
    from .holding import Holding
    from .ledger import Ledger
    from .offer import Offer
    from .protection import Guard

__all__ = ["Matching", "Reached"]

_LIQUIDATION, _STOP, _STOP_ORDER, _LIMIT_ORDER, _TARGET = range(5)  # who goes first at one price
_NOTHING = MarketData()
_RANKS = {rules.AT_STOP: _STOP, rules.AT_TARGET: _TARGET}


class _Hit(NamedTuple):
    """What trades next on a segment: nearest first, then by rank, then by age."""

    distance: float
    rank: int
    age: int
    price: float
    order: Working | None


class Reached(NamedTuple):
    """The market has come to one of the prices of a bar; see `Matching.stroll`."""

    price: float


class _Walk(NamedTuple):
    """One position on its way through a bar: the bar, the mark prices in it, the orders that work on it.

    `told` are the prices at which it has stopped, the open first; None where it goes through without stopping.
    """

    bar: Bar
    held: Holding
    marks: Span | None
    orders: Sequence[Working]
    told: list[float] | None


class Matching:
    """Walks bars.

    Args:
        execution: fills what trades.
        data: what is known of each market beside its candles.
    """

    def __init__(self, execution: Execution, data: Mapping[str, MarketData]) -> None:
        self.execution = execution
        self.ledger: Ledger = execution.ledger
        self.book: Book = execution.book
        self._touch = execution.costs.touch
        known = {symbol: data.get(symbol, _NOTHING) for symbol in self.ledger.holdings}
        self._data = {symbol: _NOTHING if one == _NOTHING else one for symbol, one in known.items()}
        self._opened: dict[str, Bar] = {}
        self._liquidates = not all(held.is_spot for held in self.ledger.legs())

    # -- the open ---------------------------------------------------------------------------------------------

    def on_open(self, bar: Bar) -> Iterator[News]:
        """Do what happens at the open of `bar`, once."""
        symbol, price, book = bar.symbol, bar.open, self.book
        if self._opened.get(symbol) is bar:
            return
        self._opened[symbol] = bar
        legs, data, guards = self.ledger.legs(symbol), self._data[symbol], self.execution.guards
        self.execution.begin(bar)
        funding = data.funding
        if funding is not None and funding.is_due(bar.time):
            self.pay_funding(symbol, bar.time, price)
        last = legs[0].mark
        for held in legs:
            held.mark = price
        mark = price if data is _NOTHING else _known_at_open(bar, data, legs)
        if guards and self._liquidates:
            yield from self._sweep(legs, mark)
        for working in book.active(bar):
            self._arrive(working, price, last)
            if book.news:
                yield from book.flush()
            if guards and self._liquidates:
                yield from self._sweep(legs, mark)
        if funding is not None and funding.is_due(end := bar.time + length_of(bar.timeframe) - 1):
            self.pay_funding(symbol, end, price)

    def pay_funding(self, symbol: str, until: int, price: float | None = None) -> None:
        """Charge the funding instants up to `until` to the positions of `symbol` as they stand (rule 19).

        Where no mark price is known it is `price`; None: the last one.
        """
        data, legs = self._data[symbol], self.ledger.legs(symbol)
        for one in () if data.funding is None else data.funding.take(until):
            mark = one.mark
            if mark is None and data.marks is not None:
                mark = data.marks.opening(one.time)
            if mark is None:
                mark = legs[0].mark if price is None else price
            for held in legs:
                self.execution.pay_funding(held, mark, one.rate)

    def _sweep(self, legs: Sequence[Holding], mark: float) -> Iterator[News]:
        """Liquidate the positions whose level the market stands beyond, at `mark`."""
        for held in legs:
            guard = self.execution.guards.get(held)
            if guard is None:
                continue
            if self.ledger.cross or held.is_short_option:
                self.execution.relevel(held)
            level = guard.liquidation
            if level is not None and rules.is_reached(level, mark, -guard.side, strict=False):
                yield from self.execution.liquidate(held, mark)

    def meet(self, symbol: str, now: int, offer: Offer) -> Iterator[News]:
        """The orders of `symbol` that have come to the market by `now` take what it offers, or begin to rest."""
        for working in list(self.book.of[symbol]):
            rests = working.arrived and not working.taking and not working.waits
            price = offer.best(working.side)
            if rests or working.active_from > now or price is None:
                continue
            limit = working.price if working.triggered else None
            share = offer.share(working.held.kind, working.side, working.rest, limit)
            self._arrive(working, share.price if share.qty > 0.0 else price, price, share.qty)
            yield from self.book.flush()
            if self._liquidates:
                yield from self.on_mark(symbol)

    def on_mark(self, symbol: str) -> Iterator[News]:
        """Liquidate what the mark price of now reaches; the last price where there is no other."""
        legs, marks = self.ledger.legs(symbol), self._data[symbol].marks
        price = None if marks is None else marks.opening(self.execution.now())
        yield from self._sweep(legs, legs[0].mark if price is None else price)

    def _arrive(self, working: Working, price: float, last: float, most: float | None = None) -> None:
        """An order reaches the market at `price`, or goes on at a new bar's open; `last` is the price before.

        `most` of it is offered there; None: any quantity.
        """
        if not working.is_working:  # an order before it closed what it worked on
            return
        if working.waits or working.passed:
            limit = working.price
            working.passed = working.waits and limit is not None and self._reaches(working, limit, last)
            working.waits = False
        if working.taking:
            working.arrived = True
            self.execution.fill(working, price, maker=False, slip=True, most=most)
        elif not working.arrived:
            working.arrived = True
            if working.triggered:
                self._arrive_limit(working, price, most)

    def _arrive_limit(self, working: Working, price: float, most: float | None = None) -> None:
        """A limit order meets the market at `price`: it crosses (taker), rests (maker), or is refused (rule 5).

        It crosses where `most` of it is offered; where that is not known, where the price lies beyond its limit.
        """
        terms, limit = working.terms, price if working.price is None else working.price
        if not (self._reaches(working, limit, price) if most is None else most > 0.0):
            if terms.tif is not TimeInForce.GTC:
                self.book.drop(working, OrderStatus.EXPIRED, f"{terms.tif}: nothing to fill it with on arrival")
            else:
                self._bind(working, limit)
        elif terms.post_only:
            self.book.drop(working, OrderStatus.REJECTED, "it would cross on arrival", "post_only_would_cross")
        else:
            self.execution.fill(working, price, maker=False, slip=False, most=most)
            working.arrived = not working.waits  # what is left of it meets the next open as a new order does

    def _reaches(self, working: Working, limit: float, price: float) -> bool:
        """Does a limit order fill where the market stands at `price` (rule 5)?"""
        return rules.is_reached(limit, price, -working.side, not self._touch)

    def _bind(self, working: Working, limit: float) -> None:
        """A limit order that will rest binds its margin; what the account can't carry is refused (rule 17)."""
        qty = self.execution.margin.carried(working, limit, working.held.taker)
        if isinstance(qty, risk.Refusal):
            self.book.drop(working, OrderStatus.REJECTED, qty.message, qty.reason)
        elif qty < working.rest and not working.terms.reduce_only:
            working.shrink(qty)
            self.book.announce(working)

    # -- the bar ----------------------------------------------------------------------------------------------

    def on_bar(self, bar: Bar) -> Iterable[News]:
        """Match one bar."""
        legs = self.ledger.legs(bar.symbol)
        if self.book.of[bar.symbol] or not all(self._passes(bar, held) for held in legs):
            return self._match(bar, legs)  # pyright: ignore[reportReturnType] - it does not stop
        for held in legs:
            guard = self.execution.guards.get(held)
            if guard is not None:
                guard.saw(bar.high if guard.side > 0 else bar.low)
        self._end(bar, legs)
        return ()

    def stroll(self, bar: Bar) -> Iterator[News | Reached]:
        """Match one bar, stopping at its open, where the walk comes to its low and its high, and at its close.

        An extreme at which the market stands already is left out, and so is one that the walk does not come to:
        behind an entry within the bar the better extreme may lie before it. At each stop `Reached` comes twice: so
        that the clock can be moved, and when the orders that arrive at that moment have arrived.
        """
        return self._match(bar, self.ledger.legs(bar.symbol), stops=True)

    def _end(self, bar: Bar, legs: Sequence[Holding]) -> None:
        """The prices at the bar's close, an option's underlying's too, are the ones that are known from now on."""
        self.execution.moment = None
        for held in legs:
            held.mark = bar.close
        underlying = self._data[bar.symbol].underlying
        if underlying is not None:
            price = underlying.closing(bar.time + length_of(bar.timeframe))
            for held in legs:
                held.underlying = price or held.underlying

    def _passes(self, bar: Bar, held: Holding) -> bool:
        """Does nothing happen to a position within `bar`?"""
        guard = self.execution.guards.get(held)
        if guard is None:
            return True
        data = self._data[bar.symbol]
        due = None if data.funding is None else data.funding.next_time
        if (due is not None and due < bar.time + length_of(bar.timeframe)) or data.underlying is not None:
            return False
        if self.ledger.cross:
            self.execution.relevel(held)
        marks = _within(bar, data.marks)
        return guard.is_safe(bar.low, bar.high) and (marks is None or guard.is_safe(marks.low, marks.high))

    def _match(self, bar: Bar, legs: Sequence[Holding], *, stops: bool = False) -> Iterator[News | Reached]:
        self.execution.moment = bar.time
        yield from self.on_open(bar)
        underlying = self._data[bar.symbol].underlying  # it has its own course within the bar
        if stops or self.book.of[bar.symbol] or self.execution.guards or underlying is not None:
            yield from self._within_bar(bar, legs, stops=stops)
        self._end(bar, legs)

    def _within_bar(self, bar: Bar, legs: Sequence[Holding], *, stops: bool) -> Iterator[News | Reached]:
        """What happens after the open, to one position after the other."""
        active, data = self.book.active(bar), self._data[bar.symbol]
        if self.ledger.cross:  # the open of another symbol may have moved the account
            for held in legs:
                self.execution.relevel(held)
        marks, spot = _within(bar, data.marks), _within(bar, data.underlying)
        if len(legs) > 1:
            legs = sorted(legs, key=lambda one: -abs(one.qty))  # the larger leg decides over the account
        for held in legs:
            if spot is not None:
                held.underlying = spot.high if held.market.option_type == "call" else spot.low
                self.execution.relevel(held)
            orders = [one for one in active if one.held is held and one.is_working]
            if not stops and _reaches_nothing(bar, self.execution.guards.get(held), marks, orders):
                continue
            walk = _Walk(bar, held, marks, orders, [] if stops else None)
            best = yield from self._walk(walk)
            guard = self.execution.guards.get(held)
            if guard is not None:
                guard.saw(best)

    def _walk(self, walk: _Walk) -> Generator[News | Reached, None, float]:
        """Walk the bar; returns the best price that the position at its end certainly saw."""
        bar, held = walk.bar, walk.held
        at, side, towards = bar.open, held.side, 0
        corners, best = self._corners(bar, side)
        if walk.told is not None:
            corners.appendleft(bar.open)
        while corners:
            to = corners[0]
            hit = self._next_hit(at, to, walk)
            reached = to if hit is None else min(max(hit.price, bar.low), bar.high)  # marks may lie beyond
            if reached != at:  # what trades at one price, one after the other, leaves the direction as it was
                towards = 1 if reached > at else -1
            at = reached
            if hit is None:
                corners.popleft()
                if _stops(walk, at, corners):
                    walk = yield from self._stop(walk, at)
                    if held.side != side:  # entered here by an order that has just arrived
                        side, best = held.side, (max if held.side > 0 else min)((at, *corners))
                continue
            yield from self._trade(hit, walk)
            if held.side not in (0, side):
                planned = (
                    rules.plan_held(held.side, bar.high, bar.low, bar.close)
                    if at == bar.open
                    else rules.plan_entered(held.side, towards, bar.high, bar.low, bar.close)
                )
                corners, best = deque(planned), planned[1]
                if walk.told == []:
                    corners.appendleft(bar.open)
            side = held.side
        return best

    def _stop(self, walk: _Walk, price: float) -> Generator[News | Reached, None, _Walk]:
        """Stop at `price`; the orders that were sent since the last stop arrive there."""
        symbol = walk.bar.symbol
        yield Reached(price)
        now = self.execution.arrive()
        for working in list(self.book.of[symbol]):
            if not working.arrived and working.active_from <= now:
                self._arrive(working, price, price)
                yield from self.book.flush()
        yield Reached(price)
        self.execution.arrive()  # other symbols have been matched in between
        orders = [one for one in self.book.of[symbol] if one.arrived and one.held is walk.held]
        return walk._replace(orders=orders)

    def _corners(self, bar: Bar, side: int) -> tuple[deque[float], float]:
        """The prices that the bar goes to after its open, and the best of them for the position."""
        if side:
            planned = rules.plan_held(side, bar.high, bar.low, bar.close)
        else:
            planned = rules.plan_flat(bar.open, bar.high, bar.low, bar.close)
        return deque(planned), planned[1]

    def _next_hit(self, at: float, to: float, walk: _Walk) -> _Hit | None:
        """The order or level that trades next between `at` and `to`, None when nothing does."""
        hits = self._level_hits(at, to, walk)
        for working in walk.orders:
            if not working.is_working or not working.arrived or working.taking or working.waits:
                continue
            if working.triggered:
                level, side, strict, rank = working.price, -working.side, not self._touch, _LIMIT_ORDER
            else:
                level, side, strict, rank = working.stop_price, working.side, False, _STOP_ORDER
            price = rules.NO_PRICE if level is None else rules.first_touch(level, at, to, side, strict)
            if price != rules.NO_PRICE:
                hits.append(_Hit(abs(price - at), rank, working.number, price, working))
        return min(hits, default=None, key=lambda hit: hit[:3])

    def _level_hits(self, at: float, to: float, walk: _Walk) -> list[_Hit]:
        """The levels of the position that are reached: the liquidation price, and the nearest of the others."""
        guard = self.execution.guards.get(walk.held)
        if guard is None:
            return []
        hits: list[_Hit] = []
        side, gone = guard.side, guard.liquidation
        if gone is not None:
            price = self._liquidation(gone, at, to, side, walk.marks)
            if price != rules.NO_PRICE:
                hits.append(_Hit(abs(price - at), _LIQUIDATION, 0, price, None))
        if not guard.is_leaving:
            unset = guard.unset
            which, price = rules.first_level(side, at, to, guard.stop, guard.target, unset)
            if which != rules.NOTHING:
                hits.append(_Hit(abs(price - at), _RANKS[which], 0, price, None))
        return hits

    def _liquidation(self, level: float, at: float, to: float, side: int, marks: Span | None) -> float:
        """Where a position is liquidated between `at` and `to`; `NO_PRICE` when it is not.

        Where mark prices are known they decide: one that reaches the level does so on the way to the bar's adverse
        extreme, after everything that trades there.
        """
        if marks is None:
            return rules.first_touch(level, at, to, -side, strict=False)
        worst = marks.low if side > 0 else marks.high
        reached = (at - to) * side >= 0.0 and rules.is_reached(level, worst, -side, strict=False)
        return level if reached else rules.NO_PRICE

    def _trade(self, hit: _Hit, walk: _Walk) -> Iterator[News]:
        working = hit.order
        if working is None:
            yield from self._leave(hit, walk)
        elif working.triggered:
            bar, price = walk.bar, hit.price
            if working.price is not None and bar.timeframe == TRADES:
                price = working.price  # whoever trades beyond it has taken what rested there first
            elif working.passed and working.price is not None:
                price = rules.rest_price(working.side, working.price, bar.low, bar.high)
            self.execution.fill(working, price, maker=True, slip=False)
        elif working.terms.type is OrderType.STOP:
            working.triggered = working.taking = True
            self.execution.fill(working, hit.price, maker=False, slip=True)
        else:
            working.triggered = True
            self._arrive_limit(working, hit.price)
        yield from self.book.flush()

    def _leave(self, hit: _Hit, walk: _Walk) -> Iterator[News]:
        bar, held = walk.bar, walk.held
        guard = self.execution.guards[held]
        if hit.rank == _LIQUIDATION:
            yield from self.execution.liquidate(held, hit.price)
            return
        reason = guard.reason if hit.rank == _STOP else ExitReason.TAKE_PROFIT
        ambiguous = hit.rank == _STOP and hit.price != bar.open and _reaches_target(guard, bar)
        self.execution.leave(held, reason, hit.price, ambiguous=ambiguous)


def _known_at_open(bar: Bar, data: MarketData, legs: Sequence[Holding]) -> float:
    """Note what the underlying of an option costs as `bar` opens; returns the mark price then."""
    if data.underlying is not None:
        for held in legs:
            held.underlying = data.underlying.opening(bar.time) or held.underlying
    marks = _within(bar, data.marks)
    return bar.open if marks is None else marks.open


def _within(bar: Bar, prices: Reference | None) -> Span | None:
    """The prices of a reference while `bar` lasts."""
    return None if prices is None else prices.within(bar.time, bar.time + length_of(bar.timeframe))


def _reaches_nothing(bar: Bar, guard: Guard | None, marks: Span | None, orders: Sequence[Working]) -> bool:
    """Is no order and no level reached after the open, and none moved?"""
    low, high = between(orders, guard)
    calm = low < bar.low and bar.high < high
    return calm and (guard is None or marks is None or guard.is_safe(marks.low, marks.high))


def _stops(walk: _Walk, price: float, ahead: Collection[float]) -> bool:
    """Does a walk that has come to `price`, with corners `ahead`, stop there? Notes it if so."""
    told = walk.told
    if told is None:
        return False
    if told and ahead and (price in told[1:] or price in ahead or price == told[-1]):
        return False
    told.append(price)
    return True


def _reaches_target(guard: Guard, bar: Bar) -> bool:
    return bar.high >= guard.target if guard.side > 0 else bar.low <= guard.target
