"""Expiry: what becomes of orders and positions when a contract ends (rule 15)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from .. import options
from ..models import OrderStatus
from .data import Latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..clock import Clock
    from . import News
    from .data import MarketData
    from .execution import Execution
    from .holding import Holding

__all__ = ["CONTRACT_ENDED", "Expiry", "settlement_price"]

CONTRACT_ENDED = "the contract has ended"


class Expiry:
    """Ends contracts: their orders expire, their positions are settled in cash.

    A future is settled at its index or mark price, an option at its intrinsic value; where that is not known, at
    the last price, which a note says.

    Args:
        execution: settles.
        data: what is known of each market beside its candles.
        clock: the run's clock.
    """

    def __init__(self, execution: Execution, data: Mapping[str, MarketData], clock: Clock) -> None:
        self.notes: list[str] = []
        self.next_time = inf
        """When the next contract ends, ms UTC."""
        self.ask: Callable[[str], None] | None = None
        """Asks an exchange what it has settled, where that settles the positions of a symbol; else this does."""
        self._execution = execution
        self._data = data
        self._clock = clock
        self._due: dict[str, int] = {}
        for symbol, held in execution.ledger.holdings.items():
            if held.market.expiry is not None and not held.market.is_spot:
                self._due[symbol] = held.market.expiry
        self._look()

    def _look(self) -> None:
        self.next_time = min(self._due.values(), default=inf)

    def state(self) -> list[str]:
        """The contracts that are not settled yet."""
        return list(self._due)

    def restore(self, state: Iterable[str]) -> None:
        """Only what `state` told of is still to be settled."""
        left = set(state)
        self._due = {symbol: expiry for symbol, expiry in self._due.items() if symbol in left}
        self._look()

    def has_ended(self, symbol: str) -> bool:
        """Has the contract of `symbol` expired?"""
        return self._execution.ledger.holdings[symbol].market.has_ended(self._clock.now())

    def end(self, until: float) -> Iterator[News]:
        """End the contracts that expire up to `until`, in the order in which they do."""
        book, ledger = self._execution.book, self._execution.ledger
        for symbol, expiry in sorted(self._due.items(), key=lambda one: one[1]):
            if expiry > until:
                break
            del self._due[symbol]
            self._clock.advance(max(expiry, self._clock.now()))
            for working in list(book.of[symbol]):
                book.drop(working, OrderStatus.EXPIRED, CONTRACT_ENDED)
            yield from book.flush()
            open_legs = [held for held in ledger.legs(symbol) if held.qty != 0.0]
            if open_legs and self.ask is not None:
                self.ask(symbol)
                continue
            for held in open_legs:
                price = self.settlement(held)
                self._execution.moment = expiry
                yield from self._execution.settle(held, price)
                self._execution.moment = None
        self._look()

    def settlement(self, held: Holding) -> float:
        """The price at which a position is settled, as far as it is known here."""
        market, data = held.market, self._data.get(held.market.symbol)
        known = None if data is None else data.settlement
        going_on = None if data is None else data.underlying if market.is_option else data.marks
        if known is None and isinstance(going_on, Latest):
            known = going_on.price
        if known is None:
            what = "the price of its underlying" if market.is_option else "its index or mark price"
            note = f"{market.symbol}: {what} at expiry is not known: settled at its last price, {held.mark:g}"
            self.notes += [note] if note not in self.notes else []
            return held.mark
        return settlement_price(held, known)


def settlement_price(held: Holding, known: float) -> float:
    """What a position is settled at (rule 15).

    Args:
        held: the position.
        known: the price of an option's underlying; of a future its index or mark price.
    """
    market = held.market
    if not market.is_option or market.strike is None:
        return known
    return options.intrinsic_value(market.option_type == "call", known, market.strike, held.in_base)
