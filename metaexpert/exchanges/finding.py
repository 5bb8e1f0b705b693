"""Orders looked up by our id, and the orders that stops have become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import OrderNotFound
from ..models import OrderType
from . import account, orders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ..models import Market, Order
    from .caller import Caller

__all__ = ["find"]


async def find(caller: Caller, order: Order, market: Market) -> Order | None:
    """The order as the exchange knows it by our id, of a stop that was reached what it has become; None: no such.

    Args:
        caller: who asks; CCXT knows the market.
        order: what was sent: its terms hold.
        market: where.
    """
    fired: Mapping[str, Any] | None = None
    async for found in _places(caller, order, market, order.id):
        if account.child_of(found, market) is None:
            return account.order_of(found, market, order)
        fired = found  # what it has become may have our id as well
    return None if fired is None else await _become(caller, fired, order, market)


async def _places(caller: Caller, order: Order, market: Market, name: str) -> AsyncIterator[Mapping[str, Any]]:
    """What the exchange has of an order, in each place where it may be."""
    for call in orders.lookups_of(order, market):
        try:
            raw = await caller.read(f"look order {name} up", call.method, *call.arguments, private=True)
        except OrderNotFound:
            continue
        found = orders.picked(raw, order)
        if found is not None:
            yield found


async def _become(caller: Caller, fired: Mapping[str, Any], order: Order, market: Market) -> Order:
    """The order that a stop has become, or the stop as long as that can't be found."""
    stop = account.order_of(fired, market, order)
    name, call = account.child_of(fired, market), orders.child_of(fired, market)
    if not name and call is not None:
        raw = await caller.read(f"look order {order.id} up", call.method, *call.arguments, private=True)
        name = next((str(one["orderId"]) for one in raw["data"] if one.get("orderId")), "")
    if not name:
        return stop
    child = order.changed(id=name, exchange_id=name, type=OrderType.MARKET)
    async for found in _places(caller, child, market, order.id):
        return account.order_of(found, market, order)
    return stop.changed(exchange_id=name)
