"""Bybit's orders; a conditional one keeps its id when it fires."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ...instruments import Kind, text
from ...news import Cause
from ...orders import LIVE, Order, Reason, Refusal, Status
from .market import ROUTES, asked, kind_of, listing

if TYPE_CHECKING:
    from ...instruments import Instrument
    from ...orders import Fill
    from ...routes import Call

STATUS = {
    Status.OPEN: "New", Status.WAITING: "Untriggered", Status.FILLED: "Filled", Status.CANCELED: "Cancelled",
    Status.EXPIRED: "Cancelled",
}  # fmt: skip
SIDES = {"0": "BOTH", "1": "LONG", "2": "SHORT"}
INDEX = {"BOTH": 0, "LONG": 1, "SHORT": 2}
FORCED = {"liquidation": "BustTrade", "settlement": "Delivery"}
CREATED = {"liquidation": "CreateByLiq", "settlement": "CreateBySettle"}
"""What is said of the exchange's own orders."""
PRICES = {"LastPrice": "last", "MarkPrice": "mark", "IndexPrice": "index"}
TIFS = {"GTC", "IOC", "FOK", "PostOnly"}


def id_of(order: Order) -> str:
    """Spot orders have numbers, others UUIDs."""
    return str(order.id) if order.instrument.kind is Kind.SPOT else str(UUID(int=order.id))


def _plain(text_: str) -> str:
    try:
        return str(UUID(text_).int) if "-" in text_ else text_
    except ValueError:
        return text_


WEEK = 7 * 86_400_000
"""The widest span of time that fills are asked for in."""


@ROUTES.on("POST", "/v5/order/create", signed=True)
def create(call: Call) -> Any:
    order = call.state.place(_order(call, asked(call), call.args))
    return {"orderId": id_of(order), "orderLinkId": order.client_id}


@ROUTES.on("POST", "/v5/order/create-batch", signed=True)
def create_batch(call: Call) -> Any:
    """Each order succeeds or fails by itself."""
    from .codes import code_of

    rows: list[dict[str, Any]] = []
    codes: list[dict[str, Any]] = []
    for told in call.args["request"]:
        item = call.state.instrument(told["symbol"], kind_of(call))
        row = {"category": item.kind.value, "symbol": item.id, "orderId": "", "orderLinkId": "", "createAt": ""}
        try:
            order = call.state.place(_order(call, item, told))
        except Refusal as refusal:
            _, code, message = code_of(call, refusal)
        else:
            code, message = 0, "OK"
            row |= {"orderId": id_of(order), "orderLinkId": order.client_id, "createAt": str(order.created)}
        rows.append(row)
        codes.append({"code": code, "msg": message})
    return {"list": rows, "retExtInfo": {"list": codes}}


@ROUTES.on("POST", "/v5/order/amend", signed=True)
def amend(call: Call) -> Any:
    order = call.state.amend(_find(call), _number(call.args, "qty"), _number(call.args, "price"))
    return {"orderId": id_of(order), "orderLinkId": order.client_id}


@ROUTES.on("POST", "/v5/order/cancel", signed=True)
def cancel(call: Call) -> Any:
    order = call.state.cancel(_find(call))
    return {"orderId": id_of(order), "orderLinkId": order.client_id}


@ROUTES.on("POST", "/v5/order/cancel-all", signed=True)
def cancel_all(call: Call) -> Any:
    orders = [order for order in call.state.open_orders(None, kind_of(call)) if _wanted(call, order)]
    rows = [{"orderId": id_of(call.state.cancel(order)), "orderLinkId": order.client_id} for order in orders]
    return {"list": rows, "success": "1"}


@ROUTES.on("GET", "/v5/order/realtime", signed=True)
def realtime(call: Call) -> Any:
    """Open orders; by an id also one that was closed lately."""
    kind = kind_of(call)
    if kind is Kind.LINEAR and not any(
        call.get(name) for name in ("symbol", "baseCoin", "settleCoin", "orderId", "orderLinkId")
    ):
        raise Refusal(Reason.PARAMETER, "symbol, settleCoin or baseCoin")
    named = bool(call.get("orderId") or call.get("orderLinkId")) or call.get("openOnly") == "1"
    orders = list(call.state.orders.values()) if named else call.state.open_orders(None, kind)
    rows = [shown(order) for order in reversed(orders) if order.instrument.kind is kind and _wanted(call, order)]
    return listing(call, rows, 50)


@ROUTES.on("GET", "/v5/order/history", signed=True)
def history(call: Call) -> Any:
    kind, status = kind_of(call), call.get("orderStatus")
    orders = [
        order for order in reversed(call.state.orders.values())
        if order.instrument.kind is kind and order.status not in LIVE and _wanted(call, order)
    ]  # fmt: skip
    rows = [row for row in map(shown, orders) if status in {"", row["orderStatus"]}]
    return listing(call, rows, 50)


@ROUTES.on("GET", "/v5/execution/list", signed=True)
def executions(call: Call) -> Any:
    """Of a week at most; what was paid at funding instants is among them unless one type is asked for."""
    kind, sort, (begin, end) = kind_of(call), call.get("execType"), call.within("startTime", "endTime", WEEK)
    pairs = [
        (order, fill)
        for order in call.state.orders.values() if order.instrument.kind is kind and _wanted(call, order,
        times=False)
        for fill in order.fills if begin <= fill.time <= end
    ]  # fmt: skip
    pairs.sort(key=lambda pair: pair[1].id, reverse=True)
    rows = [execution(*pair) for pair in pairs] + _fundings(call, kind, begin, end)
    rows.sort(key=lambda row: int(row["execTime"]), reverse=True)
    fits = [row for row in rows if sort in {"", row["execType"]}]
    return listing(call, fits, min(100, call.state.page or 100))


def _fundings(call: Call, kind: Kind, begin: int, end: int) -> list[dict[str, Any]]:
    """What was paid (positive) or received at funding instants, the newest first."""
    return [
        {
            "symbol": one.instrument.id, "orderId": str(UUID(int=one.id)), "orderLinkId": "", "orderQty": "0",
            "side": "Buy" if one.amount > 0 else "Sell", "execId": str(UUID(int=one.id)), "execType": "Funding",
            "execFee": text(-one.change), "execPrice": text(one.price), "execQty": text(abs(one.amount)),
            "execValue": text(one.instrument.value(abs(one.amount), one.price)), "execTime": str(one.time),
            "feeRate": text(-one.change / one.instrument.value(one.amount, one.price)), "feeCurrency": "",
            "markPrice": text(one.price), "isMaker": False, "seq": one.id,
        }
        for one in reversed(call.state.ledger) if one.instrument is not None
        if one.cause is Cause.FUNDING and one.instrument.kind is kind and begin <= one.time <= end
        and call.get("symbol") in {"", one.instrument.id}
    ]  # fmt: skip


@ROUTES.on("POST", "/v5/position/trading-stop", signed=True)
def trading_stop(call: Call) -> Any:
    """Stop-loss, take-profit and trailing stop of a position; a zero takes one away."""
    item, side = asked(call), SIDES[call.get("positionIdx", "0")]
    held = call.state.position(item, side).amount
    if not held:
        raise Refusal(Reason.PARAMETER, "can not set tp/sl/ts for zero position")
    for name, label in (("stopLoss", "StopLoss"), ("takeProfit", "TakeProfit"), ("trailingStop", "TrailingStop")):
        level = _number(call.args, name)
        if level is None:
            continue
        for old in call.state.open_orders(item):
            if old.side == side and old.raw.get("stop") == label and call.get("tpslMode", "Full") == "Full":
                call.state.cancel(old)
        if level:
            call.state.place(_exit(call, item, side, held, label, level))
    return {}


def _exit(call: Call, item: Instrument, side: str, held: Decimal, label: str, level: Decimal) -> Order:
    short = {"StopLoss": "sl", "TakeProfit": "tp", "TrailingStop": ""}[label]
    size, long = _number(call.args, f"{short}Size"), held > 0
    order = Order(
        instrument=item, buy=not long, amount=size or abs(held), reduce_only=True, close_all=size is None,
        side=side,
        raw={"stop": label}, price=_number(call.args, f"{short}LimitPrice"),
        trigger_by=PRICES[call.get(f"{short}TriggerBy", "LastPrice")],
    )  # fmt: skip
    if label == "TrailingStop":
        order.trailing_gap, order.activation = level, _number(call.args, "activePrice")
    else:
        order.trigger, order.rises = level, long == (label == "TakeProfit")
    return order


def _order(call: Call, item: Instrument, told: dict[str, Any]) -> Order:
    """Read an order; a market buy of spot is told in quote unless `marketUnit` says otherwise."""
    side, limit = str(told.get("side")), told.get("orderType") == "Limit"
    qty, tif = _number(told, "qty"), str(told.get("timeInForce", "GTC" if limit else "IOC"))
    if side not in {"Buy", "Sell"} or tif not in TIFS or qty is None:
        raise Refusal(Reason.PARAMETER, "side, timeInForce or qty")
    if item.kind is Kind.OPTION and not told.get("orderLinkId"):
        raise Refusal(Reason.PARAMETER, "orderLinkId")
    unit = told.get("marketUnit", "quoteCoin" if side == "Buy" else "baseCoin")
    in_quote = item.kind is Kind.SPOT and not limit and unit == "quoteCoin"
    order = Order(
        instrument=item, buy=side == "Buy", amount=Decimal(0) if in_quote else qty, cost=qty if in_quote else None,
        price=_number(told, "price") if limit else None, client_id=str(told.get("orderLinkId", "")), tif=tif,
        post_only=tif == "PostOnly", reduce_only=bool(told.get("reduceOnly")),
        close_all=not qty and bool(told.get("closeOnTrigger")), side=SIDES[str(told.get("positionIdx", 0))],
        stop_loss=_number(told, "stopLoss"), take_profit=_number(told, "takeProfit"),
    )  # fmt: skip
    if limit and order.price is None:
        raise Refusal(Reason.PARAMETER, "price")
    order.trigger = _number(told, "triggerPrice")
    if order.trigger is not None:
        order.trigger_by = PRICES[str(told.get("triggerBy", "LastPrice"))]
        order.raw["stop"] = "tpslOrder" if item.kind is Kind.SPOT else "Stop"
        direction = told.get("triggerDirection")
        above = order.trigger > call.state.price(item, order.trigger_by)
        order.rises = above if direction is None else str(direction) == "1"
    return order


def _number(told: dict[str, Any], name: str) -> Decimal | None:
    try:
        return Decimal(str(told[name])) if told.get(name) not in {None, ""} else None
    except InvalidOperation:
        raise Refusal(Reason.PARAMETER, name) from None


def _find(call: Call) -> Order:
    if not call.get("orderId") and not call.get("orderLinkId"):
        raise Refusal(Reason.PARAMETER, "orderId or orderLinkId")
    order = call.state.find(_plain(call.get("orderId")), call.get("orderLinkId"), kind_of(call))
    if order.instrument.id != call.need("symbol"):
        raise Refusal(Reason.NOT_FOUND)
    return order


def _wanted(call: Call, order: Order, *, times: bool = True) -> bool:
    """Whether an order fits what a request filters by."""
    item = order.instrument
    fits = (
        ("symbol", item.id), ("baseCoin", item.base), ("settleCoin", item.settle), ("orderId", id_of(order)),
        ("orderLinkId", order.client_id),
    )  # fmt: skip
    kinds = {"Order": not order.conditional, "StopOrder": order.conditional, "tpslOrder": order.conditional}
    within = call.whole("startTime", 0) <= order.created <= call.whole("endTime", call.now)
    return (
        all(call.get(name) in {"", value} for name, value in fits)
        and kinds.get(call.get("orderFilter"), True)
        and (within or not times)
    )


def shown(order: Order) -> dict[str, Any]:
    """An order in lists."""
    item, waiting = order.instrument, order.status is Status.WAITING
    left = order.remaining if order.status in LIVE else Decimal(0)
    status = STATUS[order.status]
    if order.filled and order.remaining:
        status = "PartiallyFilled" if order.status in LIVE else "PartiallyFilledCanceled"
    if order.conditional and order.status is Status.CANCELED and not order.fills:
        status = "Deactivated"
    reason = "EC_PostOnlyWillTakeLiquidity" if order.reason is Reason.WOULD_TAKE else "EC_NoError"
    fees = {fill.fee_coin: text(order.fee) for fill in order.fills}
    mode = {} if item.kind is Kind.SPOT else {"tpslMode": ""}
    return mode | {
        "orderId": id_of(order), "orderLinkId": order.client_id, "blockTradeId": "", "symbol": item.id,
        "price": text(order.price or 0, item.tick),
        "qty": text(order.amount if order.cost is None else order.cost),
        "side": "Buy" if order.buy else "Sell", "isLeverage": "0" if item.kind is Kind.SPOT else "",
        "positionIdx": INDEX[order.side], "orderStatus": status,
        "createType": CREATED.get(order.cause, "CreateByUser"),
        "cancelType": "CancelByUser" if order.status is Status.CANCELED else "UNKNOWN", "rejectReason": reason,
        "avgPrice": text(order.average) if order.fills else "", "leavesQty": text(left),
        "leavesValue": text(item.value(left, order.price or order.trigger or Decimal(1))),
        "cumExecQty": text(order.filled), "cumExecValue": text(order.value), "cumExecFee": text(order.fee),
        "cumFeeDetail": fees, "timeInForce": order.tif, "orderType": "Market" if order.price is None else "Limit",
        "stopOrderType": order.raw.get("stop", ""), "orderIv": "",
        "triggerPrice": text(order.trigger, item.tick) if order.trigger is not None else "",
        "takeProfit": text(order.take_profit or 0) if order.take_profit else "",
        "stopLoss": text(order.stop_loss) if order.stop_loss else "", "tpTriggerBy": "",
        "slTriggerBy": "", "tpLimitPrice": "0", "slLimitPrice": "0",
        "triggerDirection": 0 if order.rises is None else 1 if order.rises else 2,
        "triggerBy": "LastPrice" if waiting else "", "lastPriceOnCreated": "", "reduceOnly": order.reduce_only,
        "closeOnTrigger": order.close_all, "placeType": "", "smpType": "None", "smpGroup": 0, "smpOrderId": "",
        "marketUnit": "quoteCoin" if order.cost is not None else "", "createdTime": str(order.created),
        "updatedTime": str(order.updated),
    }  # fmt: skip


def execution(order: Order, fill: Fill) -> dict[str, Any]:
    item = order.instrument
    rate = item.maker if fill.maker else item.taker
    return {
        "symbol": item.id, "orderId": id_of(order), "orderLinkId": order.client_id,
        "side": "Buy" if order.buy else "Sell", "orderPrice": text(order.price or fill.price),
        "orderQty": text(order.amount), "leavesQty": text(order.remaining),
        "createType": CREATED.get(order.cause, "CreateByUser"),
        "orderType": "Market" if order.price is None else "Limit",
        "stopOrderType": order.raw.get("stop", "UNKNOWN"),
        "execFee": text(fill.fee), "feeCurrency": fill.fee_coin if item.kind is Kind.SPOT else "",
        "execId": str(UUID(int=fill.id)), "execPrice": text(fill.price), "execQty": text(fill.amount),
        "execType": FORCED.get(order.cause, "Trade"),
        "execValue": text(item.value(fill.amount, fill.price)), "execTime": str(fill.time),
        "isMaker": fill.maker, "feeRate": text(rate), "tradeIv": "", "markIv": "", "markPrice": text(fill.price),
        "indexPrice": "", "underlyingPrice": "", "blockTradeId": "", "closedSize": "0", "seq": fill.id,
        "marketUnit": "",
    }  # fmt: skip
