"""How an account stands, all of it: money, positions, working orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..models import Position
from .account import account_of
from .venues import Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..answers import Balance
    from ..clock import Clock
    from ..models import Account, Market, Order
    from .gateway import Gateway

__all__ = ["standing"]


async def standing(
    gateway: Gateway, symbols: Sequence[str], clock: Clock
) -> tuple[Account, tuple[Position, ...], tuple[Order, ...]]:
    """The account in the currency that `symbols` settle in, and all positions and orders of the segment.

    On spot a position is what is held of the base currency of one of `symbols`, what works in orders included;
    its entry price is not known.

    Raises:
        ExchangeError: as in `Gateway.positions` and `Gateway.open_orders`.
    """
    orders = await gateway.open_orders()
    balances = await gateway.balances()
    positions = await gateway.positions()
    markets = {market.symbol: market for market in await gateway.markets()}
    own = [await gateway.market(symbol) for symbol in symbols]
    account = account_of(own[0].settle, balances, positions, markets, clock.now())
    if gateway.segment is Segment.SPOT:
        positions = tuple(_held(market, balances) for market in own)
    return account, positions, orders


def _held(market: Market, balances: Sequence[Balance]) -> Position:
    held = sum(one.total for one in balances if one.currency == market.base)
    return Position(symbol=market.symbol, qty=held)
