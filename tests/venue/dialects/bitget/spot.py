"""Bitget's spot orders, and plans, which send an order when they fire."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import Kind, text
from ...orders import Order, Reason, Refusal
from .market import ROUTES, pair
from .reading import (
    QUARTER,
    begun,
    by,
    cut,
    each,
    find,
    limit_of,
    needed,
    number,
    own_id,
    placed,
    status_of,
    trigger,
    wanted,
)  # fmt: skip

if TYPE_CHECKING:
    from ...orders import Fill
    from ...routes import Call
    from .reading import Told


def _find(call: Call, told: Told, *, plan: bool = False) -> Order:
    """An order is named by its id alone; a symbol that is told must be its own."""
    name = str(told.get("symbol", "")).upper()
    return find(
        call, told, lambda one: one.instrument.kind is Kind.SPOT and name in {"", one.instrument.id}, plan=plan
    )


def _place(call: Call, told: Told) -> Order:
    """A market buy is told in quote."""
    item, size = call.state.instrument(str(told.get("symbol", "")).upper(), Kind.SPOT), needed(told, "size")
    order = begun(told, item, size)
    if order.buy and order.price is None:
        order.cost, order.amount = size, Decimal(0)
    return call.state.place(order)


@ROUTES.on("POST", "/api/v2/spot/trade/place-order", signed=True)
def place(call: Call) -> Any:
    return placed(_place(call, call.args))


@ROUTES.on("POST", "/api/v2/spot/trade/batch-orders", signed=True)
def place_batch(call: Call) -> Any:
    symbol = {"symbol": call.get("symbol")}
    return each(call, call.args["orderList"], lambda told: _place(call, symbol | told))


@ROUTES.on("POST", "/api/v2/spot/trade/cancel-order", signed=True)
def cancel(call: Call) -> Any:
    call.need("symbol")
    return placed(call.state.cancel(_find(call, call.args)))


@ROUTES.on("POST", "/api/v2/spot/trade/batch-cancel-order", signed=True)
def cancel_batch(call: Call) -> Any:
    return each(call, call.args["orderList"], lambda told: call.state.cancel(_find(call, told)))


@ROUTES.on("POST", "/api/v2/spot/trade/cancel-symbol-order", signed=True)
def cancel_symbol(call: Call) -> Any:
    """All of a pair, later: which were cancelled isn't told."""
    item = pair(call)
    for order in call.state.open_orders(item):
        if not order.conditional:
            call.state.cancel(order)
    return {"symbol": item.id}


@ROUTES.on("POST", "/api/v2/spot/trade/cancel-replace-order", signed=True)
def replace(call: Call) -> Any:
    """Another order in the place of one; its client id is another one too."""
    old, price = _find(call, call.args), needed(call.args, "price")
    call.state.cancel(old)
    new = call.state.place(
        Order(
            instrument=old.instrument, buy=old.buy, amount=number(call.args, "size") or old.amount, price=price,
            client_id=call.get("newClientOid"), raw=dict(old.raw),
        )
    )  # fmt: skip
    return placed(new) | {"success": "success", "msg": ""}


@ROUTES.on("GET", "/api/v2/spot/trade/orderInfo", signed=True)
def order_info(call: Call) -> Any:
    """A list, empty where there is no such order."""
    try:
        order = _find(call, call.args)
    except Refusal as refusal:
        if refusal.reason is not Reason.NOT_FOUND:
            raise
        return []
    return [_shown(order)]


@ROUTES.on("GET", "/api/v2/spot/trade/unfilled-orders", signed=True)
def unfilled(call: Call) -> Any:
    """What is open tells its price as `priceAvg` and its average as `basePrice`."""
    rows: list[dict[str, Any]] = []
    for order in wanted(call, Kind.SPOT, live=True):
        row = _shown(order)
        del row["price"], row["feeDetail"]
        rows.append(row | {"priceAvg": text(order.price or 0), "basePrice": text(order.average)})
    return cut(call, rows)


@ROUTES.on("GET", "/api/v2/spot/trade/history-orders", signed=True)
def history(call: Call) -> Any:
    return cut(call, [_shown(order) for order in wanted(call, Kind.SPOT, live=False)])


@ROUTES.on("GET", "/api/v2/spot/trade/fills", signed=True)
def fills(call: Call) -> Any:
    pair(call)
    (begin, end), last = call.within("startTime", "endTime", QUARTER), call.whole("idLessThan", 0)
    pairs = [
        (order, fill) for order in call.state.orders.values() for fill in order.fills
        if order.instrument == pair(call) and call.get("orderId") in {"", str(order.id)}
        and begin <= fill.time <= end and (not last or fill.id < last)
    ]  # fmt: skip
    pairs.sort(key=lambda one: one[1].id, reverse=True)
    return cut(call, [_fill(*one) for one in pairs[: call.state.page]])


def _shown(order: Order) -> dict[str, Any]:
    """An order; a market buy's size is what it may cost."""
    return {
        "userId": "1001", "symbol": order.instrument.id, "orderId": str(order.id), "clientOid": own_id(order),
        "price": text(order.price or 0), "size": text(order.amount if order.cost is None else order.cost),
        "orderType": "market" if order.price is None else "limit", "side": "buy" if order.buy else "sell",
        "status": status_of(order), "priceAvg": text(order.average), "baseVolume": text(order.filled),
        "quoteVolume": text(order.quote), "enterPointSource": "API", "feeDetail": _fees(order),
        "orderSource": "market" if order.price is None else "normal", "cTime": str(order.created),
        "uTime": str(order.updated),
    }  # fmt: skip


def _fees(order: Order) -> str:
    """JSON within JSON, and nothing while nothing was paid."""
    if not order.fills:
        return ""
    coin, paid = order.fills[0].fee_coin, -float(order.fee)
    fresh = {"c": 0, "d": 0, "deduction": False, "r": paid, "t": paid, "totalDeductionFee": 0}
    old = {"deduction": False, "feeCoinCode": coin, "totalDeductionFee": 0, "totalFee": paid}
    return json.dumps({"newFees": fresh, coin: old}, separators=(",", ":"))


def _fill(order: Order, fill: Fill) -> dict[str, Any]:
    return {
        "userId": "1001", "symbol": order.instrument.id, "orderId": str(order.id), "tradeId": str(fill.id),
        "orderType": "market" if order.price is None else "limit", "side": "buy" if order.buy else "sell",
        "priceAvg": text(fill.price), "size": text(fill.amount), "amount": text(fill.amount * fill.price),
        "feeDetail": {
            "deduction": "no", "feeCoin": fill.fee_coin, "totalDeductionFee": "", "totalFee": text(-fill.fee),
        },
        "tradeScope": "maker" if fill.maker else "taker", "cTime": str(fill.time), "uTime": str(fill.time),
    }  # fmt: skip


# --- plans


@ROUTES.on("POST", "/api/v2/spot/trade/place-plan-order", signed=True)
def place_plan(call: Call) -> Any:
    """By amount, or by total in quote."""
    item, size = pair(call), needed(call.args, "size")
    limit = limit_of(call.args, "executePrice") if call.get("orderType") == "limit" else None
    order = begun(call.args | {"price": limit}, item, size)
    trigger(call, call.args, order)
    if call.get("planType", "amount") == "total":
        price = order.price or order.trigger or Decimal(1)
        order.amount = (size / price).quantize(item.step)
    return placed(call.state.place(order))


@ROUTES.on("POST", "/api/v2/spot/trade/modify-plan-order", signed=True)
def modify_plan(call: Call) -> Any:
    order = _find(call, call.args, plan=True)
    call.state.amend(order, number(call.args, "size"), limit_of(call.args, "executePrice"))
    order.trigger = needed(call.args, "triggerPrice")
    return placed(order)


@ROUTES.on("POST", "/api/v2/spot/trade/cancel-plan-order", signed=True)
def cancel_plan(call: Call) -> Any:
    call.state.cancel(_find(call, call.args, plan=True))
    return {"result": "success"}


@ROUTES.on("POST", "/api/v2/spot/trade/batch-cancel-plan-order", signed=True)
def cancel_plans(call: Call) -> Any:
    names = call.args.get("symbolList") or []
    found = [one for one in wanted(call, Kind.SPOT, plan=True, live=True) if one.instrument.id in names]
    return {"successList": [placed(call.state.cancel(one)) for one in found], "failureList": []}


@ROUTES.on("GET", "/api/v2/spot/trade/current-plan-order", signed=True)
def plans(call: Call) -> Any:
    return _plans(call, live=True)


@ROUTES.on("GET", "/api/v2/spot/trade/history-plan-order", signed=True)
def past_plans(call: Call) -> Any:
    if call.whole("endTime", call.now) < call.whole("startTime", 0):
        raise Refusal(Reason.PARAMETER, "startTime")
    return _plans(call, live=False)


@ROUTES.on("GET", "/api/v2/spot/trade/plan-sub-order", signed=True)
def sub_orders(call: Call) -> Any:
    """The order that a plan has sent; none before it has fired."""
    plan = _find(call, {"orderId": call.need("planOrderId")}, plan=True)
    child = call.state.orders.get(plan.child)
    if child is None:
        return []
    kind = "market" if child.price is None else "limit"
    return [{"orderId": str(child.id), "price": text(child.price or 0), "type": kind, "status": "success"}]


def _plans(call: Call, *, live: bool) -> Any:
    rows = cut(call, [_plan(one) for one in wanted(call, Kind.SPOT, plan=True, live=live)], 20)
    return {"nextFlag": False, "idLessThan": rows[-1]["orderId"] if rows else "0", "orderList": rows}


def _plan(order: Order) -> dict[str, Any]:
    return placed(order) | {
        "symbol": order.instrument.id, "size": text(order.amount), "executePrice": text(order.price or 0),
        "triggerPrice": text(order.trigger or 0), "status": status_of(order), "planType": "amount",
        "orderType": "market" if order.price is None else "limit", "side": "buy" if order.buy else "sell",
        "triggerType": by(order), "enterPointSource": "API",
        "cTime": str(order.created), "uTime": str(order.updated),
    }  # fmt: skip
