"""KuCoin's spot orders, and stop orders, which are kept apart and send an order when they fire."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import Kind, text
from ...orders import LIVE, Order, Reason, Refusal, Status
from .market import ROUTES, pair
from .reading import WEEK, begun, find, needed, number, page

if TYPE_CHECKING:
    from ...orders import Fill
    from ...routes import Call
    from .reading import Told


def _read(call: Call, told: Told) -> Order:
    """An order; a market one is told by size or by funds."""
    item = call.state.instrument(str(told.get("symbol")), Kind.SPOT)
    funds = number(told, "funds") if told.get("type") == "market" else None
    order = begun(told, item, Decimal(0) if funds is not None else needed(told, "size"))
    order.cost = funds
    if funds is not None and not order.buy:
        order.amount, order.cost = (funds / call.state.price(item)).quantize(item.step), None
    return order


def _find(call: Call, *, stop: bool = False) -> Order:
    return find(call, lambda one: one.instrument.kind is Kind.SPOT and one.conditional == stop)


@ROUTES.on("POST", "/api/v1/hf/orders", "/api/v1/hf/orders/sync", signed=True)
def place(call: Call) -> Any:
    return _told(call.state.place(_read(call, call.args)))


def _told(order: Order) -> dict[str, str]:
    return {"orderId": str(order.id), "clientOid": order.client_id}


@ROUTES.on("POST", "/api/v1/hf/orders/multi", "/api/v1/hf/orders/multi/sync", signed=True)
def place_batch(call: Call) -> Any:
    """Each order succeeds or fails by itself."""
    from .codes import code_of

    rows: list[dict[str, Any]] = []
    for told in call.args["orderList"]:
        try:
            rows.append({"orderId": str(call.state.place(_read(call, told)).id), "success": True})
        except Refusal as refusal:
            rows.append({"success": False, "failMsg": code_of(call, refusal)[2]})
    return rows


@ROUTES.on("DELETE", "/api/v1/hf/orders/client-order/{clientOid}", signed=True)
def cancel_own(call: Call) -> Any:
    pair(call)
    return {"clientOid": call.state.cancel(_find(call)).client_id}


@ROUTES.on("DELETE", "/api/v1/hf/orders/cancelAll", signed=True)
def cancel_everything(call: Call) -> Any:
    found = [one for one in call.state.open_orders(None, Kind.SPOT) if not one.conditional]
    return {"succeedSymbols": sorted({call.state.cancel(one).instrument.id for one in found}), "failedSymbols": []}


@ROUTES.on("DELETE", "/api/v1/hf/orders/{orderId}", signed=True)
def cancel(call: Call) -> Any:
    pair(call)
    return {"orderId": str(call.state.cancel(_find(call)).id)}


@ROUTES.on("DELETE", "/api/v1/hf/orders", signed=True)
def cancel_pair(call: Call) -> Any:
    for order in call.state.open_orders(pair(call)):
        if not order.conditional:
            call.state.cancel(order)
    return "success"


@ROUTES.on("POST", "/api/v1/hf/orders/dead-cancel-all", signed=True)
def cancel_after(call: Call) -> Any:
    """Of some pairs, or of all; stop orders are no orders of this kind. -1 ends it."""
    seconds, names = int(call.need("timeout")), [one for one in call.get("symbols").split(",") if one]
    if seconds != -1 and not 5 <= seconds <= 86_400:
        raise Refusal(Reason.PARAMETER, "timeout")
    pairs = {call.state.instrument(name, Kind.SPOT).id for name in names}

    def covers(one: Order) -> bool:
        return (
            one.instrument.kind is Kind.SPOT and not one.conditional and (not pairs or one.instrument.id in pairs)
        )

    due = call.state.switch("spot", max(seconds, 0) * 1000, covers)
    return {"currentTime": call.now // 1000, "triggerTime": due // 1000}


@ROUTES.on("POST", "/api/v1/hf/orders/alter", signed=True)
def alter(call: Call) -> Any:
    """Another order in the place of one, with the same client id."""
    pair(call)
    old = _find(call)
    call.state.cancel(old)
    new = call.state.place(
        Order(
            instrument=old.instrument, buy=old.buy, amount=number(call.args, "newSize") or old.amount,
            price=number(call.args, "newPrice") or old.price, raw=dict(old.raw),
        )
    )  # fmt: skip
    new.client_id = old.client_id
    return {"newOrderId": str(new.id), "clientOid": new.client_id}


@ROUTES.on("GET", "/api/v1/hf/orders/active", signed=True)
def active(call: Call) -> Any:
    return [_shown(one) for one in call.state.open_orders(pair(call)) if not one.conditional]


@ROUTES.on("GET", "/api/v1/hf/orders/active/symbols", signed=True)
def active_symbols(call: Call) -> Any:
    """The pairs with open orders."""
    found = {one.instrument.id for one in call.state.open_orders(None, Kind.SPOT) if not one.conditional}
    return {"symbols": sorted(found)}


@ROUTES.on("GET", "/api/v1/hf/orders/done", signed=True)
def done(call: Call) -> Any:
    item, begin, end = pair(call), call.whole("startAt", 0), call.whole("endAt", call.now)
    found = [
        _shown(one) for one in reversed(call.state.orders.values())
        if one.instrument == item and not one.conditional and one.status not in LIVE
        and begin <= one.created <= end
    ]  # fmt: skip
    rows = found[: min(call.whole("limit", 20), 100)]
    return {"lastId": int(rows[-1]["id"]) if rows else 0, "items": rows}


@ROUTES.on("GET", "/api/v1/hf/orders/client-order/{clientOid}", "/api/v1/hf/orders/{orderId}", signed=True)
def get(call: Call) -> Any:
    pair(call)
    return _shown(_find(call))


@ROUTES.on("GET", "/api/v1/hf/fills", signed=True)
def fills(call: Call) -> Any:
    item, (begin, end), last = pair(call), call.within("startAt", "endAt", WEEK), call.whole("lastId", 0)
    pairs = [
        (order, fill) for order in call.state.orders.values() if order.instrument == item for fill in order.fills
        if begin <= fill.time <= end and call.get("orderId") in {"", str(order.id)}
        and (not last or fill.id < last)
    ]  # fmt: skip
    pairs.sort(key=lambda one: one[1].id, reverse=True)
    rows = [_fill(*one) for one in pairs[: call.rows("limit", 20, 100)]]
    return {"items": rows, "lastId": rows[-1]["id"] if rows else 0}


def _shown(order: Order) -> dict[str, Any]:
    item, live = order.instrument, order.status in LIVE
    left = order.remaining if live else Decimal(0)
    ended = order.status in {Status.CANCELED, Status.EXPIRED}
    return {
        "id": str(order.id), "symbol": item.id, "opType": "DEAL",
        "type": "market" if order.price is None else "limit", "side": "buy" if order.buy else "sell",
        "price": text(order.price or 0), "size": text(order.amount if order.cost is None else 0),
        "funds": text(order.cost if order.cost is not None else order.amount * (order.price or 0)),
        "dealSize": text(order.filled), "dealFunds": text(order.quote), "fee": text(order.fee),
        "feeCurrency": item.quote, "stp": "", "timeInForce": order.raw.get("tif", "GTC"),
        "postOnly": order.post_only, "hidden": False, "iceberg": False, "visibleSize": "0", "cancelAfter": 0,
        "channel": "API", "clientOid": order.client_id, "remark": "", "tags": "", "cancelExist": ended,
        "createdAt": order.created, "lastUpdatedAt": order.updated, "tradeType": "TRADE", "inOrderBook": live,
        "active": live, "cancelledSize": text(order.remaining if ended else 0), "cancelledFunds": "0",
        "remainSize": text(left), "remainFunds": text(left * (order.price or 0)), "tax": "0",
    }  # fmt: skip


def _fill(order: Order, fill: Fill) -> dict[str, Any]:
    item = order.instrument
    return {
        "id": fill.id, "symbol": item.id, "tradeId": fill.id, "orderId": str(order.id),
        "counterOrderId": str(fill.id), "side": "buy" if order.buy else "sell",
        "liquidity": "maker" if fill.maker else "taker", "forceTaker": False, "price": text(fill.price),
        "size": text(fill.amount), "funds": text(item.notional(fill.amount, fill.price)), "fee": text(fill.fee),
        "feeRate": text(item.maker if fill.maker else item.taker), "feeCurrency": fill.fee_coin, "stop": "",
        "tradeType": "TRADE", "type": "market" if order.price is None else "limit", "createdAt": fill.time,
        "tax": "0", "taxRate": "0",
    }  # fmt: skip


# --- stop orders


@ROUTES.on("POST", "/api/v1/stop-order", signed=True)
def place_stop(call: Call) -> Any:
    """It fires when the price rises to it (entry) or falls to it (loss); untold, from where the price is."""
    order = _read(call, call.args)
    order.trigger = needed(call.args, "stopPrice")
    told = call.get("stop")
    if told not in {"", "entry", "loss"}:
        raise Refusal(Reason.PARAMETER, "stop")
    order.rises = told == "entry" if told else order.trigger > call.state.price(order.instrument)
    placed = call.state.place(order)
    return {"orderId": str(placed.id), "clientOid": placed.client_id}


@ROUTES.on("DELETE", "/api/v1/stop-order/cancelOrderByClientOid", signed=True)
def cancel_own_stop(call: Call) -> Any:
    order = call.state.cancel(_find(call, stop=True))
    return {"cancelledOrderId": str(order.id), "clientOid": order.client_id}


@ROUTES.on("DELETE", "/api/v1/stop-order/cancel", signed=True)
def cancel_stops(call: Call) -> Any:
    name = call.get("symbol")
    found = [
        one for one in call.state.open_orders(None, Kind.SPOT)
        if one.conditional and name in {"", one.instrument.id}
    ]  # fmt: skip
    return {"cancelledOrderIds": [str(call.state.cancel(one).id) for one in found]}


@ROUTES.on("DELETE", "/api/v1/stop-order/{orderId}", signed=True)
def cancel_stop(call: Call) -> Any:
    return {"cancelledOrderIds": [str(call.state.cancel(_find(call, stop=True)).id)]}


@ROUTES.on("GET", "/api/v1/stop-order", signed=True)
def stops(call: Call) -> Any:
    """Those that wait."""
    name = call.get("symbol")
    found = [
        _stop(one) for one in reversed(call.state.open_orders(None, Kind.SPOT))
        if one.conditional and name in {"", one.instrument.id}
    ]  # fmt: skip
    return page(call, found)


@ROUTES.on("GET", "/api/v1/stop-order/queryOrderByClientOid", signed=True)
def own_stop(call: Call) -> Any:
    """A list: a client id may have been used for several pairs."""
    return [_stop(_find(call, stop=True))]


@ROUTES.on("GET", "/api/v1/stop-order/{orderId}", signed=True)
def get_stop(call: Call) -> Any:
    return _stop(_find(call, stop=True))


def _stop(order: Order) -> dict[str, Any]:
    item = order.instrument
    status = {Status.WAITING: "NEW", Status.TRIGGERED: "TRIGGERED"}.get(order.status, "CANCELLED")
    return {
        "id": str(order.id), "symbol": item.id, "userId": "1001", "status": status,
        "type": "market" if order.price is None else "limit", "side": "buy" if order.buy else "sell",
        "price": text(order.price) if order.price is not None else None,
        "size": text(order.amount) if order.cost is None else None,
        "funds": text(order.cost) if order.cost is not None else None, "stp": None,
        "timeInForce": order.raw.get("tif", "GTC"), "cancelAfter": -1, "postOnly": order.post_only,
        "hidden": False, "iceberg": False, "visibleSize": None, "channel": "API", "clientOid": order.client_id,
        "remark": None, "tags": None, "orderTime": order.created * 1_000_000, "domainId": "kucoin",
        "tradeSource": "USER", "tradeType": "TRADE", "feeCurrency": item.quote, "takerFeeRate": text(item.taker),
        "makerFeeRate": text(item.maker), "createdAt": order.created, "stop": "entry" if order.rises else "loss",
        "stopTriggerTime": order.updated if order.status is Status.TRIGGERED else None,
        "stopPrice": text(order.trigger or 0),
    }  # fmt: skip
