"""Binance's orders: spot, contracts, conditional ones of contracts (algoOrder), options."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from ...instruments import DAY, Kind, fixed, text
from ...orders import LIVE, Order, Reason, Refusal, Status
from .listing import kind_of
from .market import ROUTES

if TYPE_CHECKING:
    from ...routes import Call

STATUS = {
    Status.OPEN: "NEW", Status.WAITING: "NEW", Status.FILLED: "FILLED", Status.CANCELED: "CANCELED",
    Status.EXPIRED: "EXPIRED", Status.TRIGGERED: "FINISHED",
}  # fmt: skip
ORDER = ("/api/v3/order", "/fapi/v1/order", "/dapi/v1/order", "/eapi/v1/order")
ALGO = ("/fapi/v1/algoOrder", "/dapi/v1/algoOrder")
DONE = {"code": 200, "msg": "success"}


@ROUTES.on("POST", *ORDER, signed=True)
def create(call: Call) -> Any:
    order = call.state.place(_order(call))
    return _shown(order, fresh=True)


@ROUTES.on("POST", "/api/v3/order/test", signed=True)
def test(call: Call) -> Any:
    _order(call)
    return {}


@ROUTES.on("POST", *ALGO, signed=True)
def create_algo(call: Call) -> Any:
    return _algo(call.state.place(_order(call)))


@ROUTES.on("GET", *ORDER, signed=True)
@ROUTES.on("GET", "/fapi/v1/openOrder", "/dapi/v1/openOrder", signed=True)
def fetch(call: Call) -> Any:
    order = _find(call)
    if order.status is not Status.OPEN and call.path.endswith("openOrder"):
        raise Refusal(Reason.NOT_FOUND)
    return _shown(order)


@ROUTES.on("GET", *ALGO, signed=True)
def fetch_algo(call: Call) -> Any:
    return _algo(_find_algo(call))


@ROUTES.on("DELETE", *ORDER, signed=True)
def cancel(call: Call) -> Any:
    order = _find(call, "cancel")
    if order.status not in LIVE:
        raise Refusal(Reason.NOT_FOUND, "cancel")
    return _shown(call.state.cancel(order), canceled=True)


@ROUTES.on("DELETE", *ALGO, signed=True)
def cancel_algo(call: Call) -> Any:
    order = _find_algo(call, "cancel")
    if order.status not in LIVE:
        raise Refusal(Reason.NOT_FOUND, "cancel")
    call.state.cancel(order)
    return {"algoId": order.id, "clientAlgoId": order.client_id, "code": "200", "msg": "success"}


@ROUTES.on("PUT", "/fapi/v1/order", "/dapi/v1/order", signed=True)
def amend(call: Call) -> Any:
    order = _find(call)
    return _shown(call.state.amend(order, _number(call, "quantity"), _number(call, "price")))


@ROUTES.on("POST", "/api/v3/order/cancelReplace", signed=True)
def replace(call: Call) -> Any:
    old = call.state.find(call.get("cancelOrderId"), call.get("cancelOrigClientOrderId"), Kind.SPOT)
    gone = _shown(call.state.cancel(old), canceled=True)
    new = _shown(call.state.place(_order(call)), fresh=True)
    return {
        "cancelResult": "SUCCESS",
        "newOrderResult": "SUCCESS",
        "cancelResponse": gone,
        "newOrderResponse": new,
    }


@ROUTES.on(
    "GET", "/api/v3/openOrders", "/fapi/v1/openOrders", "/dapi/v1/openOrders", "/eapi/v1/openOrders", signed=True
)
def open_orders(call: Call) -> Any:
    return [_shown(order) for order in _open(call) if not is_algo(order)]


@ROUTES.on("GET", "/fapi/v1/openAlgoOrders", "/dapi/v1/openAlgoOrders", signed=True)
def open_algos(call: Call) -> Any:
    return [_algo(order) for order in _open(call) if is_algo(order)]


@ROUTES.on("DELETE", "/api/v3/openOrders", signed=True)
def cancel_spot(call: Call) -> Any:
    orders = _open(call)
    if not orders:
        raise Refusal(Reason.NOT_FOUND, "cancel")
    return [_shown(call.state.cancel(order), canceled=True) for order in orders]


@ROUTES.on("DELETE", "/fapi/v1/allOpenOrders", "/dapi/v1/allOpenOrders", "/eapi/v1/allOpenOrders", signed=True)
def cancel_contracts(call: Call) -> Any:
    return _cancel_all(call, algo=False)


@ROUTES.on("DELETE", "/fapi/v1/algoOpenOrders", "/dapi/v1/algoOpenOrders", signed=True)
def cancel_algos(call: Call) -> Any:
    return _cancel_all(call, algo=True)


@ROUTES.on("POST", "/fapi/v1/countdownCancelAll", "/dapi/v1/countdownCancelAll", signed=True)
def countdown(call: Call) -> Any:
    """It does not say whether it leaves algo orders: the worst is that it does not."""
    item = call.state.instrument(call.need("symbol"), kind_of(call.path))
    call.state.switch(
        f"{item.kind} {item.id}", int(call.need("countdownTime")), lambda one: one.instrument == item
    )
    return {"symbol": item.id, "countdownTime": call.need("countdownTime")}


def _cancel_all(call: Call, *, algo: bool) -> Any:
    for order in _open(call):
        if is_algo(order) is algo:
            call.state.cancel(order)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


@ROUTES.on(
    "GET", "/api/v3/allOrders", "/fapi/v1/allOrders", "/dapi/v1/allOrders", "/eapi/v1/historyOrders", signed=True
)
def all_orders(call: Call) -> Any:
    return [_shown(order) for order in _history(call) if not is_algo(order)]


@ROUTES.on("GET", "/fapi/v1/allAlgoOrders", "/dapi/v1/allAlgoOrders", signed=True)
def all_algos(call: Call) -> Any:
    return [_algo(order) for order in _history(call) if is_algo(order)]


@ROUTES.on(
    "GET", "/api/v3/myTrades", "/fapi/v1/userTrades", "/dapi/v1/userTrades", "/eapi/v1/userTrades", signed=True
)
def my_trades(call: Call) -> Any:
    """Of contracts no more than a week at a time; from an id on without any."""
    kind = kind_of(call.path)
    item = call.state.instrument(call.get("symbol"), kind) if call.get("symbol") else None
    week = 7 * 86_400_000 if kind in {Kind.LINEAR, Kind.INVERSE} else call.now
    start, end = call.within("startTime", "endTime", week)
    first = call.whole("fromId", 0)
    if first and (call.get("startTime") or call.get("endTime")):
        raise Refusal(Reason.PARAMETER, "fromId")
    asked, limit = call.get("orderId"), call.rows("limit", 500, 1000)
    rows = [
        (order, fill)
        for order in call.state.orders.values() for fill in order.fills
        if order.instrument.kind is kind and item in {None, order.instrument} and start <= fill.time <= end
        and asked in {"", str(order.id)} and fill.id >= first
    ]  # fmt: skip
    rows.sort(key=lambda row: row[1].id)
    return [_trade(*row) for row in (rows[:limit] if start or first else rows[-limit:])]


@ROUTES.on("GET", "/fapi/v1/forceOrders", "/dapi/v1/forceOrders", signed=True)
def forced(call: Call) -> Any:
    """The exchange's own liquidations, the newest 50 of seven days."""
    kind, name = kind_of(call.path), call.get("symbol")
    since, until = call.within("startTime", "endTime", 7 * DAY)
    since = since or until - 7 * DAY
    rows = [
        _contract(order) for order in call.state.orders.values()
        if order.cause == "liquidation" and order.instrument.kind is kind and name in {"", order.instrument.id}
        and since <= order.created <= until
    ]  # fmt: skip
    return rows[-min(call.whole("limit", 50), 100) :]


def _order(call: Call) -> Order:
    """Read an order; its type says what its stop price is."""
    item = call.state.instrument(call.need("symbol"), kind_of(call.path))
    kind, side = call.need("type").upper(), call.need("side").upper()
    if side not in {"BUY", "SELL"}:
        raise Refusal(Reason.PARAMETER, "side")
    quantity, cost = _number(call, "quantity"), _number(call, "quoteOrderQty")
    closes = call.get("closePosition") == "true"
    if quantity is None and cost is None and not closes:
        raise Refusal(Reason.PARAMETER, "quantity")
    limit = kind in {"LIMIT", "LIMIT_MAKER", "STOP", "TAKE_PROFIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"}
    if item.kind is Kind.SPOT and kind == "TAKE_PROFIT":
        limit = False
    order = Order(
        instrument=item, buy=side == "BUY", amount=quantity or Decimal(0), cost=cost,
        price=_required(call, "price") if limit and not call.get("priceMatch") else None,
        client_id=call.get("newClientOrderId") or call.get("clientAlgoId") or call.get("clientOrderId"),
        tif=call.get("timeInForce", "GTC"), reduce_only=call.get("reduceOnly") == "true", close_all=closes,
        side=call.get("positionSide", "BOTH"),
        raw={"type": kind, "workingType": call.get("workingType", "CONTRACT_PRICE")},
    )  # fmt: skip
    if order.tif == "GTD":
        order.expires = int(call.need("goodTillDate"))
    order.post_only = kind == "LIMIT_MAKER" or order.tif == "GTX" or call.get("postOnly") == "true"
    if kind in {"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"} and item.kind is not Kind.OPTION:
        call.need("timeInForce")
    _condition(call, order, kind)
    return order


def _condition(call: Call, order: Order, kind: str) -> None:
    """Read the trigger: a stop fires against the position's side of the price, a take-profit on the other."""
    if "STOP" not in kind and "TAKE_PROFIT" not in kind:
        return
    order.trigger_by = "mark" if order.raw["workingType"] == "MARK_PRICE" else "last"
    contract = order.instrument.margined
    if contract and not call.path.endswith("algoOrder"):
        raise Refusal(Reason.PARAMETER, "type")
    if kind == "TRAILING_STOP_MARKET":
        order.trailing = _required(call, "callbackRate") / 100
        order.activation = _number(call, "activatePrice") or _number(call, "activationPrice")
    elif (delta := _number(call, "trailingDelta")) is not None:
        order.trailing, order.activation = delta / 10_000, _number(call, "stopPrice")
    else:
        order.trigger = _required(call, "triggerPrice" if contract else "stopPrice")
        order.rises = order.buy == ("STOP" in kind)


def _number(call: Call, name: str) -> Decimal | None:
    try:
        return Decimal(call.get(name)) if call.get(name) else None
    except InvalidOperation:
        raise Refusal(Reason.PARAMETER, name) from None


def _required(call: Call, name: str) -> Decimal:
    call.need(name)
    return _number(call, name) or Decimal(0)


def status_of(order: Order) -> str:
    """The word for how an order stands."""
    if order.status is Status.OPEN and order.filled:
        return "PARTIALLY_FILLED"
    word = STATUS[order.status]
    if order.instrument.kind is Kind.OPTION:
        return {"NEW": "ACCEPTED", "CANCELED": "CANCELLED"}.get(word, word)
    return word


def client_id_of(order: Order) -> str:
    """Ours, or what Binance gives an order of its own."""
    prefix = {"liquidation": "autoclose-", "settlement": "settlement_autoclose-"}.get(order.cause)
    return order.client_id if prefix is None else f"{prefix}{order.created}{order.id}"


def is_algo(order: Order) -> bool:
    return order.conditional and order.instrument.margined


def _find(call: Call, doing: str = "") -> Order:
    name = call.get("origClientOrderId") or call.get("clientOrderId")
    try:
        order = call.state.find(call.get("orderId"), name, kind_of(call.path))
    except Refusal:
        raise Refusal(Reason.NOT_FOUND, doing) from None
    if order.instrument.id != call.need("symbol") or is_algo(order):
        raise Refusal(Reason.NOT_FOUND, doing)
    return order


def _find_algo(call: Call, doing: str = "") -> Order:
    asked, name = call.get("algoId"), call.get("clientAlgoId")
    for order in reversed(call.state.orders.values()):
        if is_algo(order) and (str(order.id) == asked or (name and order.client_id == name)):
            return order
    raise Refusal(Reason.NOT_FOUND, doing)


def _open(call: Call) -> list[Order]:
    item = call.state.instrument(call.get("symbol"), kind_of(call.path)) if call.get("symbol") else None
    return call.state.open_orders(item, kind_of(call.path))


def _history(call: Call) -> list[Order]:
    kind, start = kind_of(call.path), call.whole("startTime", 0)
    item = call.state.instrument(call.get("symbol"), kind) if call.get("symbol") else None
    rows = [
        order for order in call.state.orders.values()
        if order.instrument.kind is kind and item in {None, order.instrument} and order.created >= start
    ]  # fmt: skip
    limit = min(call.whole("limit", 500), 1000)
    return rows[:limit] if start else rows[-limit:]


def _shown(order: Order, *, fresh: bool = False, canceled: bool = False) -> dict[str, Any]:
    if order.instrument.kind is Kind.SPOT:
        return _spot(order, fresh=fresh, canceled=canceled)
    return _option(order) if order.instrument.kind is Kind.OPTION else _contract(order)


def _spot(order: Order, *, fresh: bool, canceled: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "symbol": order.instrument.id, "orderId": order.id, "orderListId": -1, "clientOrderId": order.client_id,
        "price": fixed(order.price or 0), "origQty": fixed(order.amount), "executedQty": fixed(order.filled),
        "origQuoteOrderQty": fixed(order.cost or 0), "cummulativeQuoteQty": fixed(order.quote),
        "status": "NEW" if order.status is Status.TRIGGERED else status_of(order), "timeInForce": order.tif,
        "type": order.raw.get("type", "MARKET"), "side": "BUY" if order.buy else "SELL",
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }  # fmt: skip
    if order.trigger is not None:
        row["stopPrice"] = fixed(order.trigger)
    if canceled:
        return row | {
            "origClientOrderId": order.client_id,
            "clientOrderId": f"c{order.id}",
            "transactTime": order.updated,
        }
    if fresh:
        fills = [
            {
                "price": fixed(fill.price), "qty": fixed(fill.amount), "commission": fixed(fill.fee),
                "commissionAsset": fill.fee_coin, "tradeId": fill.id,
            }
            for fill in order.fills
        ]  # fmt: skip
        return row | {"transactTime": order.created, "workingTime": order.created, "fills": fills}
    return row | {
        "stopPrice": fixed(order.trigger or 0), "icebergQty": "0.00000000", "time": order.created,
        "updateTime": order.updated, "isWorking": True, "workingTime": order.created,
    }  # fmt: skip


def _contract(order: Order) -> dict[str, Any]:
    item, inverse = order.instrument, order.instrument.kind is Kind.INVERSE
    row: dict[str, Any] = {
        "orderId": order.id, "symbol": item.id, "status": status_of(order), "clientOrderId": client_id_of(order),
        "price": text(order.price or 0, item.tick), "avgPrice": fixed(order.average, 5 if not inverse else 1),
        "origQty": text(order.amount, item.step), "executedQty": text(order.filled, item.step),
        "cumQty": text(order.filled, item.step), "cumBase" if inverse else "cumQuote": fixed(order.value),
        "timeInForce": order.tif, "type": "MARKET" if order.price is None else "LIMIT",
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_all, "side": "BUY" if order.buy else "SELL", "positionSide": order.side,
        "stopPrice": text(order.trigger or 0, item.tick),
        "workingType": order.raw.get("workingType", "CONTRACT_PRICE"),
        "priceProtect": False, "origType": order.raw.get("type", "MARKET"), "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER", "goodTillDate": order.expires or 0, "time": order.created,
        "updateTime": order.updated,
    }  # fmt: skip
    return row | {"pair": item.base + item.quote} if inverse else row


def _algo(order: Order) -> dict[str, Any]:
    item = order.instrument
    row: dict[str, Any] = {
        "algoId": order.id, "clientAlgoId": order.client_id, "algoType": "CONDITIONAL",
        "orderType": order.raw.get("type", "STOP_MARKET"), "symbol": item.id,
        "side": "BUY" if order.buy else "SELL",
        "positionSide": order.side, "timeInForce": order.tif, "quantity": text(order.amount, item.step),
        "algoStatus": STATUS[order.status], "triggerPrice": text(order.trigger or 0, item.tick),
        "price": text(order.price or 0, item.tick), "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": order.raw.get("workingType", "CONTRACT_PRICE"), "priceMatch": "NONE",
        "closePosition": order.close_all, "priceProtect": False, "reduceOnly": order.reduce_only,
        "createTime": order.created, "updateTime": order.updated,
        "triggerTime": order.updated if order.child else 0, "goodTillDate": 0,
    }  # fmt: skip
    if order.trailing is not None:
        row |= {"callbackRate": text(order.trailing * 100), "activatePrice": text(order.activation or 0)}
    return row | {"actualOrderId": str(order.child) if order.child else ""}


def _option(order: Order) -> dict[str, Any]:
    item = order.instrument
    return {
        "orderId": order.id, "symbol": item.id, "price": text(order.price or 0), "quantity": text(order.amount),
        "executedQty": text(order.filled), "fee": text(order.fee), "side": "BUY" if order.buy else "SELL",
        "type": order.raw.get("type", "LIMIT"), "timeInForce": order.tif, "reduceOnly": order.reduce_only,
        "postOnly": order.post_only, "createTime": order.created, "updateTime": order.updated,
        "status": status_of(order),
        "avgPrice": text(order.average), "source": "API", "clientOrderId": order.client_id,
        "priceScale": 1, "quantityScale": 2, "optionSide": "CALL" if item.call else "PUT",
        "quoteAsset": item.quote,
        "mmp": False,
    }  # fmt: skip


def _trade(order: Order, fill: Any) -> dict[str, Any]:
    item = order.instrument
    row: dict[str, Any] = {
        "symbol": item.id, "id": fill.id, "orderId": order.id, "price": fixed(fill.price),
        "qty": fixed(fill.amount),
        "time": fill.time,
    }  # fmt: skip
    if item.kind is Kind.OPTION:
        row |= {"tradeId": fill.id, "quantity": text(fill.amount if order.buy else -fill.amount),
                "fee": text(fill.fee),
        "realizedProfit": text(fill.profit),
                "side": "BUY" if order.buy else "SELL", "type": "LIMIT", "volatility": "0.6",
                "liquidity": "MAKER" if fill.maker else "TAKER", "quoteAsset": item.quote, "priceScale": 1,
                "quantityScale": 2, "optionSide": "CALL" if item.call else "PUT"}  # fmt: skip
        del row["qty"]
        return row
    money = {"commission": fixed(fill.fee), "commissionAsset": fill.fee_coin}
    if item.kind is Kind.SPOT:
        quote = fixed(item.notional(fill.amount, fill.price))
        return row | money | {
            "orderListId": -1, "quoteQty": quote, "isBuyer": order.buy, "isMaker": fill.maker, "isBestMatch": True,
        }  # fmt: skip
    row |= money | {
        "side": "BUY" if order.buy else "SELL", "positionSide": order.side, "buyer": order.buy,
        "maker": fill.maker,
        "realizedPnl": fixed(fill.profit), "marginAsset": item.settle,
        "baseQty" if item.kind is Kind.INVERSE else "quoteQty": fixed(item.value(fill.amount, fill.price)),
    }  # fmt: skip
    return row | {"pair": item.base + item.quote} if item.kind is Kind.INVERSE else row
