"""What a market offers at a moment: the best bid and ask, or the whole book, and what an order gets of it."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from .. import rules

if TYPE_CHECKING:
    from ..events import Quote
    from ..models import OrderBook

    type Levels = tuple[tuple[float, float], ...]

__all__ = ["Offer", "Share"]


class Share(NamedTuple):
    """What an order gets: `qty` of it at the average `price`."""

    price: float
    qty: float


class Offer(NamedTuple):
    """Bids and asks as (price, qty), best first."""

    bids: Levels
    asks: Levels

    @classmethod
    def of_quote(cls, quote: Quote) -> Offer:
        """The best prices, taken to hold for any quantity."""
        return cls(((quote.bid, inf),), ((quote.ask, inf),))

    @classmethod
    def of_book(cls, book: OrderBook) -> Offer:
        """The levels of a book, with what each can fill."""
        return cls(book.bids, book.asks)

    def best(self, side: int) -> float | None:
        """The first price that an order of `side` (+1 buys) meets; None where nothing is offered."""
        levels = self.asks if side > 0 else self.bids
        return levels[0][0] if levels else None

    def share(self, kind: int, side: int, qty: float, limit: float | None = None) -> Share:
        """What an order of `side` gets of `qty`, level by level and none beyond `limit` (rule 14's average)."""
        price, filled = 0.0, 0.0
        for level, there in self.asks if side > 0 else self.bids:
            left = qty - filled
            if left <= 0.0 or (limit is not None and rules.is_reached(limit, level, side, strict=True)):
                break
            part = min(left, there)
            if part > 0.0:
                price = rules.average_entry(kind, filled, price, part, level)
                filled += part
        return Share(price, filled)
