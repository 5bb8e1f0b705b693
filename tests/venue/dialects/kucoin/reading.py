"""What reading and listing orders has in common for spot and contracts."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from ...orders import Order, Reason, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...instruments import Instrument
    from ...routes import Call

    type Told = dict[str, Any]

OWN_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")


def number(told: Told, name: str) -> Decimal | None:
    """A number that may be absent."""
    try:
        return Decimal(str(told[name])) if told.get(name) not in {None, ""} else None
    except InvalidOperation:
        raise Refusal(Reason.PARAMETER, name) from None


def needed(told: Told, name: str) -> Decimal:
    """A number that must be there."""
    value = number(told, name)
    if value is None:
        raise Refusal(Reason.PARAMETER, name)
    return value


def begun(told: Told, item: Instrument, amount: Decimal) -> Order:
    """Side, price, time in force and client id of an order."""
    side, kind, tif = told.get("side"), told.get("type", "limit"), told.get("timeInForce", "GTC")
    own = str(told.get("clientOid", ""))
    if side not in {"buy", "sell"} or kind not in {"limit", "market"} or tif not in {"GTC", "GTT", "IOC", "FOK"}:
        raise Refusal(Reason.PARAMETER, "side, type or timeInForce")
    if not OWN_ID.fullmatch(own):
        raise Refusal(Reason.PARAMETER, "clientOid")
    limit = kind == "limit"
    return Order(
        instrument=item, buy=side == "buy", amount=amount, client_id=own,
        price=needed(told, "price") if limit else None, tif=str(tif) if limit else "GTC",
        post_only=bool(told.get("postOnly")), raw={"tif": str(tif)},
    )  # fmt: skip


def find(call: Call, fits: Callable[[Order], bool]) -> Order:
    """By its id or ours."""
    call.state.advance()
    for order in reversed(call.state.orders.values()):
        same = str(order.id) == call.get("orderId") or (
            not call.get("orderId") and order.client_id == call.get("clientOid")
        )
        if same and fits(order) and call.get("symbol") in {"", order.instrument.id}:
            return order
    raise Refusal(Reason.NOT_FOUND)


WEEK = 7 * 86_400_000
"""The widest span of time that fills are asked for in."""


def page(call: Call, rows: list[Any], most: int = 1000) -> dict[str, Any]:
    """One page of `rows`."""
    size, at = min(call.whole("pageSize", 50), most), max(call.whole("currentPage", 1), 1)
    return {
        "currentPage": at, "pageSize": size, "totalNum": len(rows), "totalPage": -(-len(rows) // size),
        "items": rows[(at - 1) * size : at * size],
    }  # fmt: skip
