"""What the account can carry: free margin, what resting orders bind of it, and how far a loss can go.

Rules 12, 17 and 18 for the simulated broker.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .. import risk, rules, tiers
from ..models import Side

if TYPE_CHECKING:
    from ..models import Order
    from .book import Book, Working
    from .costs import Costs
    from .holding import Holding
    from .ledger import Ledger

__all__ = ["Margin"]


class Margin:
    """Decides how much of an order the account can carry.

    Args:
        ledger: the account.
        book: the working orders; limit orders that rest in it bind margin.
        costs: fee rates.
    """

    def __init__(self, ledger: Ledger, book: Book, costs: Costs) -> None:
        self.ledger = ledger
        self.book = book
        self.costs = costs

    def carried(self, working: Working, price: float, fee_rate: float) -> float | risk.Refusal:
        """How much of the rest of an order the account carries at `price`; or why it can't.

        An order that was sized by the settings shrinks to what is free, but closes an opposite position in any
        case. A `reduce_only` order comes to what there is to reduce, 0 when there is nothing.
        """
        order, held = working.order, working.held
        market, rest = held.market, rest_of(order, held)
        closing = rules.closing_qty(held.qty, working.side, rest)
        if order.reduce_only or closing == rest:
            return closing
        room = self._room(order, held, closing, price, fee_rate)
        qty = rules.carried(
            held.kind, rest, closing, room, working.shrinkable, price, market.qty_step, market.min_qty,
            market.min_notional,
        )  # fmt: skip
        return _too_large(order, held, rest - closing, room) if qty == rules.NO_QTY else qty

    def shortfall(self, order: Order, held: Holding) -> risk.Refusal | None:
        """Why the account can't carry `order` as it stands now; None when it can, or when that is not known yet.

        What orders on their way will leave is known at the open, the margin of a stop order is asked for when it
        triggers: such orders are refused there if need be.
        """
        price = held.mark if order.price is None else order.price
        if order.reduce_only or order.stop_price is not None or price == 0.0:
            return None
        rest = rest_of(order, held)
        closing = held.closing_qty(order.side.sign, rest)
        if closing == rest or self.book.is_expecting(but=order.id):
            return None
        room = self._room(order, held, closing, price, self.costs.taker(held.market))
        opening = rest - closing
        return _too_large(order, held, opening, room) if rules.is_too_large(opening, room) else None

    def above_tier(self, order: Order, held: Holding) -> risk.Refusal | None:
        """Why the position that `order` makes is too large for its leverage; None when it is not (rule 18)."""
        if order.reduce_only or not held.market.tiers:
            return None
        own = order.stop_price if order.price is None else order.price
        price = held.mark if own is None else own
        after = abs(held.qty + order.side.sign * rest_of(order, held))
        if price <= 0.0 or after <= abs(held.qty):
            return None
        worth = rules.notional(held.kind, after, price)
        broken = tiers.broken_tier(worth, held.leverage, held.tiers)
        if broken == rules.NOTHING:
            return None
        return risk.tier_refusal(broken, worth, held.leverage, held.tier(worth), held.market)

    def bounded(self, held: Holding, price: float) -> float:
        """`price`, but not beyond the one at which the stake of the position is gone (rule 18)."""
        bankrupt = self.ledger.bankruptcy_price(held)
        return price if bankrupt is None else rules.not_beyond(held.side, price, bankrupt)

    def _room(self, order: Order, held: Holding, closing: float, price: float, fee_rate: float) -> float:
        """How much `order` can open at `price` once `closing` is closed there: 0 for a short on spot."""
        if held.is_spot and order.side is Side.SELL:
            return 0.0
        reserved = math.fsum([self._bound(one) for one in self.book.resting() if one.order.id != order.id])
        side = order.side.sign
        return self.ledger.room(held, side, closing, price, fee_rate=fee_rate, reserved=reserved)

    def _bound(self, working: Working) -> float:
        """What a resting limit order binds: margin and fee of what it would open."""
        order, held = working.order, working.held
        rest = rest_of(order, held)
        opening = rest - held.closing_qty(working.side, rest)
        if order.reduce_only or opening <= 0.0 or order.price is None:
            return 0.0
        return held.cost(working.side, opening, order.price, self.costs.taker(held.market))


def rest_of(order: Order, held: Holding) -> float:
    """What of an order is not filled yet, without the noise of floats."""
    return order.qty if order.filled == 0.0 else rules.sum_of_steps(order.qty, -order.filled, held.market.qty_step)


def _too_large(order: Order, held: Holding, opening: float, room: float) -> risk.Refusal:
    market = held.market
    if market.is_spot and order.side is Side.SELL:
        return risk.Refusal(
            "insufficient_base", f"spot can't go short: {max(held.qty, 0.0):.12g} {market.base} held"
        )
    if market.is_option and order.side is Side.SELL and held.underlying is None:
        return risk.Refusal(
            "no_underlying", f"no price of the underlying of {market.symbol} is known for its margin"
        )
    return risk.insufficient_margin(opening, room, market)
