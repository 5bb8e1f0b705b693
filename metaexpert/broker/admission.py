"""Admission: whether a live order goes to the exchange now, how much of it, and in which words."""

from __future__ import annotations

import math
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from .. import risk, rules
from ..exchanges.capabilities import Feature, Support, support
from ..exchanges.venues import Segment
from ..models import OrderType, TimeInForce
from .book import Book, Working
from .execution import NOTHING_TO_REDUCE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ..clock import Clock
    from ..events import Quote
    from ..models import Market, Order
    from .execution import Execution
    from .holding import Holding

__all__ = ["Admission", "LiveBook", "Pace", "is_priced", "opens"]

_STALE_MS = 10_000  # a market of which nothing was heard for longer is not entered at market
_NO_PRICE = "no price of {} is known that is younger than 10 seconds"

_MINUTE_MS = 60_000


class LiveBook(Book):
    """The book of a live broker, in which orders bind margin as soon as they are sent.

    `held_back` has those that are not sent yet, by id.
    """

    def __init__(self, symbols: Iterable[str], clock: Clock, strategy_id: int, name: Callable[[int], str]) -> None:
        super().__init__(symbols, clock, strategy_id, name)
        self.held_back: dict[str, Working] = {}

    def resting(self) -> list[Working]:
        """What binds margin: all but stop orders, which bind it when they trigger."""
        return [one for one in self.by_age() if one.triggered or one.taking]

    def is_expecting(self, but: str) -> bool:
        """Is an order on its way that will free margin? One that is held back may wait for this one itself."""
        on_their_way = [one for one in self.by_age() if one.taking and one.terms.id not in self.held_back]
        return any(
            one.terms.id != but and rules.closing_qty(one.held.qty, one.side, one.rest) > 0.0
            for one in on_their_way
        )


class Pace:
    """How often an expert may enter, or change an entry: what asks at every tick by mistake is not sent on.

    Args:
        most: so many within any minute; 0: as many as it likes.
        now: the run's time, ms UTC.
        warn: is told when more are asked for, once a minute at most.
    """

    def __init__(self, most: int, now: Callable[[], int], warn: Callable[[str], None]) -> None:
        self._most, self._now, self._warn = most, now, warn
        self._taken = deque[int](maxlen=most)
        self._told = -_MINUTE_MS

    def refusal(self) -> risk.Refusal | None:
        """Count one more; or why it is one too many, which counts for nothing."""
        now = self._now()
        if not self._most or len(self._taken) < self._most or self._taken[0] <= now - _MINUTE_MS:
            self._taken.append(now)
            return None
        text = f"{self._most} entries within a minute are as many as max_entries_per_minute lets be made"
        if now - self._told >= _MINUTE_MS:
            self._told = now
            self._warn(f"{text}: further ones are refused")
        return risk.Refusal("too_many_entries", text)


class Admission:
    """Decides over orders that passed the checks which are the same in every mode.

    Args:
        execution: has the positions, the book and the margins.
        quotes: the best bids and asks as far as they are known.
        alive: when each symbol was heard of last, ms UTC.
        unknown: the symbols in which it is not known of an order whether it arrived.
        barred: why a position may not be opened or added to because it could not be left again; None: it may.
        max_slippage_pct: market entries trade no further than this from the best price, in percent; None: at any.
    """

    def __init__(
        self, execution: Execution, quotes: Mapping[str, Quote], alive: Mapping[str, int], *,
        unknown: Callable[[], Collection[str]], barred: Callable[[Order], risk.Refusal | None],
        max_slippage_pct: float | None,
    ) -> None:  # fmt: skip
        self._execution = execution
        self._book = execution.book
        self._quotes = quotes
        self._alive = alive
        self._unknown = unknown
        self._barred = barred
        self._max_slippage_pct = max_slippage_pct

    def refusal(self, working: Working) -> risk.Refusal | None:
        """Why an entry is not made now that could be made else; exits always are."""
        order, symbol = working.terms, working.terms.symbol
        if not opens(working):
            return None
        if symbol in self._unknown():
            return risk.Refusal(
                "unknown_order", f"whether an order in {symbol} arrived is not known yet: no entries until it is"
            )
        refusal = self._barred(order)
        if refusal is None and order.type is OrderType.MARKET and self.best(symbol, working.side) is None:
            return risk.Refusal("stale_price", _NO_PRICE.format(symbol))
        return refusal

    def best(self, symbol: str, side: int) -> float | None:
        """The best price for an order of `side` (+1 buys); None where it is not known for certain."""
        quote = self._quotes.get(symbol)
        if quote is None or self._execution.now() - self._alive.get(symbol, 0) > _STALE_MS:
            return None
        price = quote.ask if side > 0 else quote.bid
        return price if 0.0 < price < inf else None

    def can_leave(self, held: Holding) -> bool:
        """Is there a price, if it takes one, at which a position could be closed at market now?"""
        return not is_priced(held.market) or self.best(held.market.symbol, -held.side) is not None

    def waits(self, working: Working) -> bool:
        """Is something under way that makes sense or room of it?"""
        if working.terms.reduce_only:
            return self._left_to_reduce(working) <= 0.0 and any(
                one.taking and one.held is working.held and one.side == -working.side and opens(one)
                for one in self._book.of[working.terms.symbol]
            )
        if not opens(working) or not self._book.is_expecting(but=working.terms.id):
            return False
        carried = self._carried(working)
        return isinstance(carried, risk.Refusal) or carried < working.rest

    def _carried(self, working: Working) -> float | risk.Refusal:
        """What the free margin carries of it now, at the worst price that it may trade at where that is known."""
        own = working.stop_price if working.price is None else working.price
        best = self._limit(working) or self.best(working.terms.symbol, working.side) if own is None else own
        price = working.held.mark if best is None else best
        return working.rest if price <= 0.0 else self._execution.margin.carried(working, price, working.held.taker)

    def _left_to_reduce(self, working: Working) -> float:
        """What of the position no other order on its way closes yet."""
        others = [
            one.rest
            for one in self._book.of[working.terms.symbol]
            if one is not working and one.taking and one.held is working.held and one.side == working.side
        ]
        left = rules.closing_qty(working.held.qty, working.side, inf) - math.fsum(others)
        return rules.round_down(max(left, 0.0), working.held.market.qty_step)

    def fit(self, working: Working, *, again: bool) -> risk.Refusal | None:
        """Cut an order to what there is to reduce, or to the free margin if it may shrink; or why it can't go."""
        if working.terms.reduce_only:
            left = self._left_to_reduce(working)
            if left <= 0.0:
                return risk.Refusal("nothing_to_reduce", NOTHING_TO_REDUCE)
            if left < working.rest:
                _shrink(working, left)
            return None
        if again:
            refusal = self.refusal(working) or self._execution.margin.shortfall(working)
            if refusal is not None:
                return refusal
        if working.shrinkable and opens(working):
            carried = self._carried(working)
            if isinstance(carried, risk.Refusal):
                return carried
            if carried < working.rest:
                _shrink(working, carried)
        return None

    def bounded(self, working: Working) -> Order | risk.Refusal:
        """The order as it is sent, or why it can't be.

        A market order becomes an immediate-or-cancel one with a limit: an entry where a bound is set, and any
        where the exchange has limit orders only. There the limit is the best price, or that far beyond it.
        """
        order, limit = working.order, self._limit(working)
        if limit is not None:
            return order.changed(type=OrderType.LIMIT, price=limit, tif=TimeInForce.IOC)
        if order.type is OrderType.MARKET and is_priced(working.held.market):
            return risk.Refusal("stale_price", _NO_PRICE.format(order.symbol))
        return order

    def _limit(self, working: Working) -> float | None:
        """The price beyond which a market order may not trade; None where there is no bound, or no price."""
        pct, market = self._max_slippage_pct, working.held.market
        is_bounded = is_priced(market) or (pct is not None and opens(working))
        best = self.best(market.symbol, working.side)
        if working.terms.type is not OrderType.MARKET or not is_bounded or best is None:
            return None
        furthest = best * (1.0 + working.side * (pct or 0.0) / 100.0)
        return max(rules.limit_price(furthest, working.side, market.price_tick), market.price_tick)


def opens(working: Working) -> bool:
    """May an order open or grow a position?"""
    rest = working.rest
    return not working.terms.reduce_only and rest > rules.closing_qty(working.held.qty, working.side, rest)


def is_priced(market: Market) -> bool:
    """Are there limit orders only, of which market orders have to be made?"""
    return market.is_option and support(market.exchange, Segment.OPTION, Feature.MARKET)[0] is not Support.NATIVE


def _shrink(working: Working, rest: float) -> None:
    working.shrink(rest)
    working.is_changed = True
