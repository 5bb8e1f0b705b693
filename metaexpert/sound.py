"""Can what a market tells be true? What can't be is left out: a price of nothing would spoil an account."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from .events import Funding, MarkPrice, PublicTrade, Quote
from .models import Bar
from .timeframe import DAY_MS

if TYPE_CHECKING:
    from .events import MarketEvent
    from .models import OrderBook

__all__ = ["is_sound"]


def is_sound(event: MarketEvent, now: int) -> bool:
    """Prices are positive and finite, quantities finite and not negative; and they don't contradict each other.

    A bid above the ask, a book out of order, a candle whose high is not its highest price, and what happened over
    a day after `now` (ms UTC) can't be. NaN compares as false, and so is never sound.
    """
    match event:
        case PublicTrade():
            can_be = 0.0 < event.price < inf and 0.0 <= event.qty < inf
        case Quote():
            can_be = (
                0.0 < event.bid <= event.ask < inf and 0.0 <= event.bid_qty < inf and 0.0 <= event.ask_qty < inf
            )
        case MarkPrice():
            can_be = 0.0 < event.mark < inf and (event.index_price is None or 0.0 < event.index_price < inf)
        case Bar():
            low, high = event.low, event.high
            can_be = (
                0.0 < low <= event.open <= high < inf and low <= event.close <= high and 0.0 <= event.volume < inf
            )
        case Funding():
            can_be = -1.0 < event.rate < 1.0
        case _:
            can_be = _is_in_order(event)
    return can_be and event.time <= now + DAY_MS


def _is_in_order(book: OrderBook) -> bool:
    """Do prices rise from the lowest bid to the highest ask?"""
    levels = (*reversed(book.bids), *book.asks)
    if not levels:
        return True
    if not (levels[0][0] > 0.0 and levels[-1][0] < inf and all(0.0 <= qty < inf for _, qty in levels)):
        return False
    return all(one[0] < other[0] for one, other in pairwise(levels))
