"""What reading and listing orders has in common for spot and contracts."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from ...orders import LIVE, Order, Reason, Refusal, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...instruments import Instrument, Kind
    from ...routes import Call

    type Told = dict[str, Any]

STATUS = {Status.OPEN: "live", Status.FILLED: "filled"}
PLAN_STATUS = {Status.WAITING: "live", Status.TRIGGERED: "executed"}
FORCES = {"gtc", "ioc", "fok", "post_only"}
PRICES = {"fill_price": "last", "mark_price": "mark", "index_price": "index"}


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
    """Side, price, force and client id of an order."""
    side, kind = str(told.get("side", "")).lower(), str(told.get("orderType", "")).lower()
    force = str(told.get("force", "gtc")).lower()
    if side not in {"buy", "sell"} or kind not in {"limit", "market"} or force not in FORCES:
        raise Refusal(Reason.PARAMETER, "side, orderType or force")
    own = str(told.get("clientOid", ""))
    if len(own) > 50:
        raise Refusal(Reason.PARAMETER, "clientOid")
    return Order(
        instrument=item, buy=side == "buy", amount=amount, client_id=own,
        price=needed(told, "price") if kind == "limit" else None, post_only=force == "post_only",
        tif=force.upper() if force in {"ioc", "fok"} and kind == "limit" else "GTC", raw={"force": force},
    )  # fmt: skip


def trigger(call: Call, told: Told, order: Order) -> None:
    """Read the trigger of a plan, which may lie on either side of the price; its price is the order's then."""
    if (by := str(told.get("triggerType", ""))) not in PRICES:
        raise Refusal(Reason.PARAMETER, "triggerType")
    order.trigger, order.trigger_by = needed(told, "triggerPrice"), PRICES[by]
    order.rises = order.trigger > call.state.price(order.instrument, order.trigger_by)


def limit_of(told: Told, *names: str) -> Decimal | None:
    """The price at which a plan is executed; none or zero is the market."""
    for name in names:
        if price := number(told, name):
            return price
    return None


def own_id(order: Order) -> str:
    """The client id, which stays with the plan when that sends an order."""
    return "" if order.parent else order.client_id


def find(call: Call, told: Told, fits: Callable[[Order], bool], *, plan: bool = False) -> Order:
    """By its id or ours."""
    if not told.get("orderId") and not told.get("clientOid"):
        raise Refusal(Reason.PARAMETER, "orderId or clientOid")
    call.state.advance()
    for order in reversed(call.state.orders.values()):
        same = str(order.id) == str(told["orderId"]) if told.get("orderId") else own_id(order) == told["clientOid"]
        if same and order.conditional == plan and fits(order):
            return order
    raise Refusal(Reason.NOT_FOUND)


def status_of(order: Order) -> str:
    """Where an order or a plan stands."""
    if order.conditional:
        return PLAN_STATUS.get(order.status, "cancelled")
    if order.filled and order.remaining and order.status in LIVE:
        return "partially_filled"
    return STATUS.get(order.status, "cancelled" if order.instrument.kind == "spot" else "canceled")


def by(order: Order) -> str:
    """By which price a plan fires."""
    return next(name for name, what in PRICES.items() if what == order.trigger_by)


def wanted(call: Call, *kinds: Kind, plan: bool = False, live: bool | None = None) -> Iterable[Order]:
    """The orders or plans that a request filters, newest first."""
    name, last = call.get("symbol").upper(), call.whole("idLessThan", 0)
    begin, end = call.whole("startTime", 0), call.whole("endTime", call.now)
    for order in reversed(call.state.orders.values()):
        item = order.instrument
        fits = item.kind in kinds and name in {"", item.id} and order.conditional == plan
        there = live is None or (order.status in LIVE) == live
        within = begin <= order.created <= end and (not last or order.id < last)
        ids = ("orderId", str(order.id)), ("clientOid", own_id(order))
        if fits and there and within and all(call.get(key) in {"", value} for key, value in ids):
            yield order


QUARTER = 90 * 86_400_000
"""The widest span of time that fills are asked for in."""


def cut(call: Call, rows: list[Any], default: int = 100) -> list[Any]:
    """The first `limit` rows."""
    return rows[: min(call.whole("limit", default), 100)]


def placed(order: Order) -> dict[str, str]:
    """What answers a request that was done."""
    return {"orderId": str(order.id), "clientOid": own_id(order)}


def each(call: Call, told: list[Told], act: Callable[[Told], Order]) -> dict[str, Any]:
    """Do as each request says; those that are refused are listed by themselves."""
    from .codes import code_of

    done: list[dict[str, str]] = []
    failed: list[dict[str, str]] = []
    for one in told:
        try:
            done.append(placed(act(one)))
        except Refusal as refusal:
            _, code, message = code_of(call, refusal)
            row = {"orderId": str(one.get("orderId", "")), "clientOid": str(one.get("clientOid", ""))}
            failed.append(row | {"errorMsg": message, "errorCode": code})
    return {"successList": done, "failureList": failed}
