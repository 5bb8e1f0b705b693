"""What the account can carry: free margin, what resting orders bind of it, and how far a loss can go.

Rules 12, 17 and 18 for the simulated broker.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .. import risk, rules, tiers

if TYPE_CHECKING:
    from .book import Book, Working
    from .holding import Holding
    from .ledger import Ledger

__all__ = ["Margin"]


class Margin:
    """Decides how much of an order the account can carry.

    Args:
        ledger: the account.
        book: the working orders; limit orders that rest in it bind margin.
    """

    def __init__(self, ledger: Ledger, book: Book) -> None:
        self.ledger = ledger
        self.book = book

    def carried(self, working: Working, price: float, fee_rate: float) -> float | risk.Refusal:
        """How much of the rest of an order the account carries at `price`; or why it can't.

        An order that was sized by the settings shrinks to what is free, but closes an opposite position in any
        case. A `reduce_only` order comes to what there is to reduce, 0 when there is nothing.
        """
        held, rest = working.held, working.rest
        closing = rules.closing_qty(held.qty, working.side, rest)
        if working.terms.reduce_only or closing == rest:
            return closing
        market, room = held.market, self._room(working, closing, price, fee_rate)
        qty = rules.carried(
            held.kind, rest, closing, room, working.shrinkable, price, market.qty_step, market.min_qty,
            market.min_notional,
        )  # fmt: skip
        return _too_large(working, rest - closing, room) if qty == rules.NO_QTY else qty

    def shortfall(self, working: Working) -> risk.Refusal | None:
        """Why the account can't carry an order as it stands now; None when it can, or that is not known yet.

        What orders on their way will leave is known at the open, the margin of a stop order is asked for when it
        triggers: such orders are refused there if need be.
        """
        held = working.held
        price = held.mark if working.price is None else working.price
        if working.terms.reduce_only or working.stop_price is not None or price == 0.0:
            return None
        rest = working.rest
        closing = rules.closing_qty(held.qty, working.side, rest)
        if closing == rest or self.book.is_expecting(but=working.terms.id):
            return None
        room = self._room(working, closing, price, held.taker)
        opening = rest - closing
        return _too_large(working, opening, room) if rules.is_too_large(opening, room) else None

    def above_tier(self, working: Working) -> risk.Refusal | None:
        """Why the position that an order makes is too large for its leverage; None when it is not (rule 18)."""
        held = working.held
        if working.terms.reduce_only or not held.market.tiers:
            return None
        own = working.stop_price if working.price is None else working.price
        price = held.mark if own is None else own
        after = abs(held.qty + working.side * working.rest)
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

    def _room(self, working: Working, closing: float, price: float, fee_rate: float) -> float:
        """How much an order can open at `price` once `closing` is closed there: 0 for a short on spot."""
        held, side = working.held, working.side
        if held.is_spot and side < 0:
            return 0.0
        reserved = self.reserved(but=working.terms.id)  # one that is checked anew is another `Working`
        return self.ledger.room(held, side, closing, price, fee_rate=fee_rate, reserved=reserved)

    def reserved(self, but: str = "") -> float:
        """What all resting orders bind, other than the one of id `but`."""
        resting = self.book.resting()
        return math.fsum([self._bound(one) for one in resting if one.terms.id != but]) if resting else 0.0

    def _bound(self, working: Working) -> float:
        """What an order binds: margin and fee of what it would open, at the mark where it has no price."""
        held, rest = working.held, working.rest
        opening = rest - rules.closing_qty(held.qty, working.side, rest)
        if working.terms.reduce_only or opening <= 0.0:
            return 0.0
        return held.cost(working.side, opening, held.mark if working.price is None else working.price, held.taker)


def _too_large(working: Working, opening: float, room: float) -> risk.Refusal:
    held, market = working.held, working.held.market
    if market.is_spot and working.side < 0:
        return risk.Refusal(
            "insufficient_base", f"spot can't go short: {max(held.qty, 0.0):.12g} {market.base} held"
        )
    if market.is_option and working.side < 0 and held.underlying is None:
        return risk.Refusal(
            "no_underlying", f"no price of the underlying of {market.symbol} is known for its margin"
        )
    return risk.insufficient_margin(opening, room, market)
