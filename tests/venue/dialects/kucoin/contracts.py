"""KuCoin's orders of contracts; a stop order keeps its id when it fires."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import Kind, text
from ...orders import LIVE, Order, Reason, Refusal, Status
from .market import CONTRACTS, ROUTES, contract, settlement, value_of
from .reading import WEEK, begun, find, needed, number, page

if TYPE_CHECKING:
    from ...instruments import Instrument
    from ...orders import Fill
    from ...routes import Call
    from ...state import State
    from .reading import Told

FORCED = {"liquidation": "liquid", "settlement": "settlement"}
"""What a fill is called that the exchange itself has ordered."""
PRICES = {"TP": "last", "MP": "mark", "IP": "index"}
SIDES = {"": "BOTH", "BOTH": "BOTH", "LONG": "LONG", "SHORT": "SHORT"}


def margin_mode(state: State, item: Instrument) -> str:
    """The margin mode that is chosen for a contract."""
    return "ISOLATED" if state.is_isolated(item) else "CROSS"


def _read(call: Call, told: Told) -> Order:
    """An order, whose margin mode must be the chosen one; an isolated one brings its leverage."""
    item = call.state.instrument(str(told.get("symbol")), *CONTRACTS)
    if (mode := str(told.get("marginMode", "ISOLATED"))) not in {"ISOLATED", "CROSS"}:
        raise Refusal(Reason.PARAMETER, "marginMode")
    if mode != margin_mode(call.state, item):
        raise Refusal(Reason.BUSY, "order")
    whole = bool(told.get("closeOrder"))
    order = begun(told, item, Decimal(0) if whole else _size(call, item, told))
    order.close_all, order.reduce_only = whole, bool(told.get("reduceOnly")) or whole
    if (side := str(told.get("positionSide", ""))) not in SIDES:
        raise Refusal(Reason.PARAMETER, "positionSide")
    order.side = SIDES[side]
    if mode == "ISOLATED" and not order.reduce_only:
        leverage = needed(told, "leverage")
        if not 1 <= leverage <= item.max_leverage:
            raise Refusal(Reason.LEVERAGE)
        order.raw["leverage"] = text(leverage)
    order.raw = {"mode": mode, "leverage": text(call.state.leverage(item))} | order.raw
    if told.get("stop"):
        _stop(told, order)
    return order


def _size(call: Call, item: Instrument, told: Told) -> Decimal:
    """In lots, or of linear contracts in base (`qty`) or in quote (`valueQty`)."""
    size, base, value = (number(told, name) for name in ("size", "qty", "valueQty"))
    if size is None and item.kind is Kind.INVERSE:
        raise Refusal(Reason.PARAMETER, "size")
    if base is not None:
        size = base / item.contract
    elif value is not None:
        price = number(told, "price") or call.state.price(item)
        size = (value / price / item.contract).quantize(item.step, rounding=ROUND_DOWN)
    if size is None:
        raise Refusal(Reason.PARAMETER, "size")
    return size


def _stop(told: Told, order: Order) -> None:
    if told["stop"] not in {"up", "down"} or told.get("stopPriceType") not in PRICES:
        raise Refusal(Reason.PARAMETER, "stop or stopPriceType")
    order.trigger, order.rises = needed(told, "stopPrice"), told["stop"] == "up"
    order.trigger_by = PRICES[told["stopPriceType"]]


def _place(call: Call, order: Order) -> Order:
    """Take an order and, with it, its leverage."""
    state, key = call.state, (order.instrument.kind, order.instrument.id)
    before = state.leverage(order.instrument)
    state.leverages[key] = Decimal(order.raw["leverage"])
    try:
        return state.place(order)
    except Refusal:
        state.leverages[key] = before
        raise


def _told(order: Order) -> dict[str, str]:
    return {"orderId": str(order.id), "clientOid": order.client_id}


@ROUTES.on("POST", "/api/v1/orders", signed=True)
def place(call: Call) -> Any:
    return _told(_place(call, _read(call, call.args)))


@ROUTES.on("POST", "/api/v1/st-orders", signed=True)
def place_with_exits(call: Call) -> Any:
    """One exit fires above and one below; which of them loses follows from the side."""
    order, item = _read(call, call.args), contract(call)
    above, below = number(call.args, "triggerStopUpPrice"), number(call.args, "triggerStopDownPrice")
    price = call.state.price(item, PRICES.get(call.get("stopPriceType", "TP"), "last"))
    if (above is not None and above <= price) or (below is not None and below >= price):
        raise Refusal(Reason.WOULD_TRIGGER)
    order.stop_loss, order.take_profit = (below, above) if order.buy else (above, below)
    return _told(_place(call, order))


@ROUTES.on("POST", "/api/v1/orders/multi", signed=True)
def place_batch(call: Call) -> Any:
    """Each order succeeds or fails by itself."""
    from .codes import code_of

    rows: list[dict[str, Any]] = []
    for told in call.args["list"]:
        row = {"orderId": "", "clientOid": str(told.get("clientOid")), "symbol": str(told.get("symbol"))}
        try:
            row["orderId"] = str(_place(call, _read(call, told)).id)
        except Refusal as refusal:
            _, code, message = code_of(call, refusal)
            rows.append(row | {"code": code, "msg": message})
        else:
            rows.append(row | {"code": "200000", "msg": "success"})
    return rows


def _find(call: Call) -> Order:
    return find(call, lambda one: one.instrument.margined)


@ROUTES.on("DELETE", "/api/v1/orders/client-order/{clientOid}", signed=True)
def cancel_own(call: Call) -> Any:
    contract(call)
    return {"clientOid": call.state.cancel(_find(call)).client_id}


@ROUTES.on("DELETE", "/api/v1/orders/multi-cancel", signed=True)
def cancel_batch(call: Call) -> Any:
    """Each by itself, by our ids or by theirs."""
    rows: list[dict[str, Any]] = []
    told = [{"orderId": str(one)} for one in call.args.get("orderIdsList") or ()]
    told += [{"clientOid": one["clientOid"]} for one in call.args.get("clientOidsList") or ()]
    for one in told:
        call.args = one
        row = {"orderId": one.get("orderId"), "clientOid": one.get("clientOid")}
        try:
            call.state.cancel(_find(call))
        except Refusal:
            rows.append(row | {"code": "100004", "msg": "The order cannot be canceled."})
        else:
            rows.append(row | {"code": "200", "msg": "success"})
    return rows


@ROUTES.on("DELETE", "/api/v1/orders/{orderId}", signed=True)
def cancel(call: Call) -> Any:
    return {"cancelledOrderIds": [str(call.state.cancel(_find(call)).id)]}


@ROUTES.on("DELETE", "/api/v1/orders", "/api/v3/orders", signed=True)
def cancel_all(call: Call) -> Any:
    return _cancel_all(call, waiting=False)


@ROUTES.on("DELETE", "/api/v1/stopOrders", signed=True)
def cancel_stops(call: Call) -> Any:
    return _cancel_all(call, waiting=True)


def _cancel_all(call: Call, *, waiting: bool) -> Any:
    found = [
        one for one in call.state.open_orders(None, *CONTRACTS)
        if (one.status is Status.WAITING) == waiting and call.get("symbol") in {"", one.instrument.id}
    ]  # fmt: skip
    return {"cancelledOrderIds": [str(call.state.cancel(one).id) for one in found]}


@ROUTES.on("GET", "/api/v1/orders/byClientOid", "/api/v1/orders/{orderId}", signed=True)
def get(call: Call) -> Any:
    return _shown(_find(call))


@ROUTES.on("GET", "/api/v1/orders", signed=True)
def orders(call: Call) -> Any:
    """Open or closed ones; stop orders that wait are listed by themselves."""
    live = call.get("status", "done") == "active"
    return page(call, [_shown(one) for one in _listed(call) if (one.status in LIVE) == live])


@ROUTES.on("GET", "/api/v1/stopOrders", signed=True)
def stop_orders(call: Call) -> Any:
    return page(call, [_shown(one) for one in _listed(call, waiting=True)])


def _listed(call: Call, *, waiting: bool = False) -> list[Order]:
    if call.get("symbol"):
        contract(call)
    begin, end = call.whole("startAt", 0), call.whole("endAt", call.now)
    return [
        one for one in reversed(call.state.orders.values())
        if one.instrument.margined and (one.status is Status.WAITING) == waiting and begin <= one.created <= end
        and call.get("symbol") in {"", one.instrument.id}
    ]  # fmt: skip


@ROUTES.on("GET", "/api/v1/fills", signed=True)
def fills(call: Call) -> Any:
    begin, end = call.within("startAt", "endAt", WEEK)
    pairs = [
        (order, fill) for order in call.state.orders.values() for fill in order.fills
        if order.instrument.margined and call.get("symbol") in {"", order.instrument.id}
        and call.get("orderId") in {"", str(order.id)} and begin <= fill.time <= end
    ]  # fmt: skip
    pairs.sort(key=lambda one: one[1].id, reverse=True)
    return page(call, [_fill(*one) for one in pairs], call.state.page or 1000)


def _shown(order: Order) -> dict[str, Any]:
    """An order in lists; values are in the coin of settlement."""
    item, live, waiting = order.instrument, order.status in LIVE, order.status is Status.WAITING
    stop = ("up" if order.rises else "down") if order.trigger is not None else ""
    price = order.price or order.average
    return {
        "id": str(order.id), "symbol": item.id, "type": "market" if order.price is None else "limit",
        "side": "buy" if order.buy else "sell", "price": text(order.price or 0), "size": int(order.amount),
        "value": value_of(item, order.amount, price), "dealValue": text(order.value),
        "dealSize": int(order.filled), "stp": "", "stop": stop,
        "stopPriceType": next(name for name, what in PRICES.items() if what == order.trigger_by) if stop else "",
        "stopTriggered": bool(stop) and not waiting and order.status is not Status.CANCELED,
        "stopPrice": text(order.trigger) if order.trigger is not None else None,
        "timeInForce": order.raw.get("tif", "GTC"), "postOnly": order.post_only, "hidden": False, "iceberg": False,
        "leverage": order.raw.get("leverage", "10"), "forceHold": False, "closeOrder": order.close_all,
        "visibleSize": 0, "clientOid": order.client_id, "remark": None, "tags": "", "isActive": live,
        "cancelExist": order.status in {Status.CANCELED, Status.EXPIRED}, "createdAt": order.created,
        "updatedAt": order.updated, "endAt": None if live else order.updated,
        "orderTime": order.created * 1_000_000, "settleCurrency": settlement(item),
        "status": "open" if live else "done", "filledValue": text(order.value), "filledSize": int(order.filled),
        "reduceOnly": order.reduce_only, "marginMode": order.raw.get("mode", "ISOLATED"),
        "avgDealPrice": text(order.average), "positionSide": order.side,
    }  # fmt: skip


def _fill(order: Order, fill: Fill) -> dict[str, Any]:
    item = order.instrument
    return {
        "symbol": item.id, "tradeId": str(fill.id), "orderId": str(order.id),
        "side": "buy" if order.buy else "sell", "liquidity": "maker" if fill.maker else "taker",
        "forceTaker": False, "price": text(fill.price), "size": int(fill.amount),
        "value": value_of(item, fill.amount, fill.price),
        "feeRate": text(item.maker if fill.maker else item.taker), "fixFee": "0",
        "feeCurrency": settlement(item), "stop": "", "tradeTime": fill.time * 1_000_000, "fee": text(fill.fee),
        "settleCurrency": settlement(item), "orderType": "market" if order.price is None else "limit",
        "tradeType": FORCED.get(order.cause, "trade"), "createdAt": fill.time,
        "marginMode": order.raw.get("mode", "ISOLATED"),
    }  # fmt: skip
