"""What all brokers have in common: the account, the book of orders, and the checks that these pass first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import risk
from ..exchanges.orders import NO_SUCH, kinds_of, lacking_of
from ..models import OrderStatus, OrderType, Rejection
from .book import Working
from .data import Latest
from .execution import Execution
from .expiry import CONTRACT_ENDED, Expiry
from .protection import UNPROTECTED, Protection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..clock import Clock
    from ..events import MarkPrice
    from ..models import Account, Fill, Order, Position
    from .book import Book
    from .costs import Costs
    from .data import MarketData
    from .holding import Holding
    from .ledger import Ledger

__all__ = ["BaseBroker"]


class BaseBroker:
    """The part of `metaexpert.broker.Broker` that is the same wherever orders trade.

    Args:
        ledger: books the fills.
        book: the orders.
        clock: the run's clock.
        costs: fees, slippage and margin rates.
        protection: the levels that every new position gets unless its order brings others.
        data: what is known of each market beside its prices, by symbol.
    """

    def __init__(
        self, ledger: Ledger, book: Book, clock: Clock, costs: Costs, protection: Protection,
        data: Mapping[str, MarketData],
    ) -> None:  # fmt: skip
        self.ledger = ledger
        self.clock = clock
        self.costs = costs
        self.book = book
        self.news = book.news
        self.execution = Execution(ledger, book, clock, costs, protection)
        self.fills: Sequence[Fill] = self.execution.fills
        self.data = data
        self.expiry = Expiry(self.execution, data, clock)
        self._guards = self.execution.guards
        self._lacking = {symbol: lacking_of(held.market) for symbol, held in ledger.holdings.items()}
        for held in ledger.legs():
            held.tiers = costs.tiers(held.market)
            held.maker, held.taker = costs.maker(held.market), costs.taker(held.market)

    @property
    def orders(self) -> dict[str, Order]:
        """All orders by id as they stand now, in the order in which they were sent."""
        return self.book.orders()

    # -- orders -----------------------------------------------------------------------------------------------

    def _checked(
        self, order: Order, held: Holding, active_from: int, *, shrinkable: bool = False
    ) -> Working | risk.Refusal:
        """What works for `order`, on the market's steps; or why it can't be placed."""
        if (order.position_side is not None) != self.ledger.hedge:
            mode = "needs" if self.ledger.hedge else "has no"
            return risk.Refusal("wrong_position_side", f"position_mode={self._mode!r} {mode} position_side")
        if held.market.expiry is not None and self.expiry.has_ended(order.symbol):
            return risk.Refusal("expired", CONTRACT_ENDED)
        lacking = self._lacking[order.symbol]
        if lacking:
            why = next((lacking[one] for one in kinds_of(order) if one in lacking), None)
            if why is not None:
                return risk.Refusal(NO_SUCH, why)
        checked = risk.conform(order, held.market, held.mark or None, held.qty)
        if isinstance(checked, risk.Refusal):
            return checked
        working, margin = Working(checked, held, active_from, shrinkable=shrinkable), self.execution.margin
        short = None if shrinkable else margin.shortfall(working)
        return short or margin.above_tier(working) or working

    @property
    def _mode(self) -> str:
        return "hedge" if self.ledger.hedge else "oneway"

    def next_id(self) -> str:
        """The id of the next order."""
        return self.book.next_id()

    def reject(self, order: Order, reason: str, message: str) -> None:
        """Book `order` as refused."""
        working = Working(order, self.ledger.leg(order.symbol, order.position_side))
        working.status, working.message = OrderStatus.REJECTED, f"{reason}: {message}"
        self.book.announce(working, Rejection(self.clock.now(), order.symbol, order.id, reason, message))

    def _changed(
        self, working: Working, price: float | None, qty: float | None, active_from: int
    ) -> Working | risk.Refusal:
        """A working order with another price or quantity, on the market's steps; or why it can't have it."""
        old = working.order
        new = old.changed(qty=old.qty if qty is None else qty)
        if price is not None:
            if working.taking:
                return risk.Refusal("invalid_price", "an order that takes the market's price has none to change")
            new = new.changed(stop_price=price) if old.type is OrderType.STOP else new.changed(price=price)
        if new.qty <= new.filled:
            return risk.Refusal("invalid_qty", f"{new.filled:.12g} are filled already, more than {new.qty:.12g}")
        return self._checked(new, working.held, active_from)

    def protect(self, symbol: str, protection: Protection, position_side: str | None = None) -> bool:
        """Replace the protective levels of a position; see `Broker.protect`."""
        held = self._open_leg(symbol, position_side)
        if held is None:
            return False
        self.execution.protect(held, protection)
        self.book.stirred = True
        return True

    def protection(self, symbol: str, position_side: str | None = None) -> Protection | None:
        """The protective levels of the position in `symbol`, None when it is flat."""
        held = self._open_leg(symbol, position_side)
        if held is None:
            return None
        guard = self._guards.get(held)
        return UNPROTECTED if guard is None else guard.protection

    def _open_leg(self, symbol: str, position_side: str | None) -> Holding | None:
        """The position in `symbol`, None when it is flat."""
        held = self.ledger.leg(symbol, position_side) if symbol in self.ledger.holdings else None
        return None if held is None or held.qty == 0.0 else held

    def working(self, symbol: str | None = None) -> Sequence[Order]:
        """The orders that can still trade, oldest first."""
        return self.book.working(symbol)

    def position(self, symbol: str, position_side: str | None = None) -> Position:
        """The position in `symbol` (hedge mode: its leg) with its protective levels."""
        position = self.ledger.position(symbol, position_side)
        guard = self._guards.get(self.ledger.leg(symbol, position_side))
        return position if guard is None else guard.on(position)

    def note_mark(self, mark: MarkPrice) -> None:
        """Take in a mark price, and that of what lies under it, in a market that goes on."""
        data = self.data[mark.symbol]
        if isinstance(data.marks, Latest):
            data.marks.price = mark.mark
        if isinstance(data.underlying, Latest) and mark.index_price is not None:
            data.underlying.price = mark.index_price
            for held in self.ledger.legs(mark.symbol):
                held.underlying = mark.index_price

    def account(self) -> Account:
        """The account now."""
        return self.ledger.account(self.clock.now())

    @property
    def strategy_equity(self) -> float:
        """What loss limits look at: equity without what others have added to the account or taken from it."""
        return self.ledger.equity()
