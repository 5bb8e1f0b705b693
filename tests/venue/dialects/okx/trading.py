"""OKX's orders, and its algo orders, which send an ordinary one when they fire."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from ...instruments import Kind, text
from ...orders import LIVE, Order, Reason, Refusal, Status
from .codes import code_of
from .listing import type_of
from .market import ROUTES, asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...instruments import Instrument
    from ...orders import Fill
    from ...routes import Call
    from ...state import State

    type Told = dict[str, Any]

STATUS = {Status.OPEN: "live", Status.WAITING: "live", Status.FILLED: "filled", Status.TRIGGERED: "effective"}
TYPES = {"market", "limit", "post_only", "fok", "ioc", "optimal_limit_ioc"}
ALGOS = {"conditional", "trigger", "move_order_stop"}
SIDES = {"net": "BOTH", "long": "LONG", "short": "SHORT", "": "BOTH"}
NAMES = {"BOTH": "net", "LONG": "long", "SHORT": "short"}
EXITS = {"StopLoss": "sl", "TakeProfit": "tp"}
CAUSES = {"liquidation": "full_liquidation", "settlement": "delivery"}


def _each(call: Call, told: list[Told], act: Callable[[Told], Order], *, algo: bool = False) -> Any:
    """Do as each request says; one that is refused gets its code in its own row."""
    name, own = ("algoId", "algoClOrdId") if algo else ("ordId", "clOrdId")
    rows: list[dict[str, str]] = []
    for one in told:
        row = {own: str(one.get(own, "")), name: str(one.get(name, "")), "tag": str(one.get("tag", ""))}
        try:
            order = act(one)
        except Refusal as refusal:
            _, code, message = code_of(call, refusal)
            row |= {"sCode": code, "sMsg": message}
        else:
            row |= {own: order.client_id, name: str(order.id), "sCode": "0", "sMsg": ""}
        if algo:
            row["clOrdId"] = row[own]
        rows.append(row if algo else row | {"ts": str(call.now)})
    return rows


@ROUTES.on("POST", "/api/v5/trade/order", signed=True)
def create(call: Call) -> Any:
    return _each(call, [call.args], lambda told: call.state.place(_order(call, told)))


@ROUTES.on("POST", "/api/v5/trade/batch-orders", signed=True)
def create_batch(call: Call) -> Any:
    return _each(call, call.args["list"], lambda told: call.state.place(_order(call, told)))


@ROUTES.on("POST", "/api/v5/trade/order-algo", signed=True)
def create_algo(call: Call) -> Any:
    return _each(call, [call.args], lambda told: call.state.place(_algo(call, told)), algo=True)


@ROUTES.on("POST", "/api/v5/trade/cancel-order", signed=True)
def cancel(call: Call) -> Any:
    return _each(call, [call.args], lambda told: call.state.cancel(_find(call, told)))


@ROUTES.on("POST", "/api/v5/trade/cancel-batch-orders", signed=True)
def cancel_batch(call: Call) -> Any:
    return _each(call, call.args["list"], lambda told: call.state.cancel(_find(call, told)))


@ROUTES.on("POST", "/api/v5/trade/cancel-algos", signed=True)
def cancel_algos(call: Call) -> Any:
    return _each(call, call.args["list"], lambda told: call.state.cancel(_find(call, told, algo=True)), algo=True)


@ROUTES.on("POST", "/api/v5/trade/cancel-all-after", signed=True)
def cancel_after(call: Call) -> Any:
    """Of the whole account. It does not say whether it leaves algo orders: the worst is that it does not."""
    seconds = int(call.need("timeOut"))
    if seconds and not 10 <= seconds <= 120:
        raise Refusal(Reason.PARAMETER, "timeOut")
    due = call.state.switch("account", seconds * 1000, lambda _: True)
    return [{"triggerTime": str(due), "tag": "", "ts": str(call.now)}]


@ROUTES.on("POST", "/api/v5/trade/amend-order", signed=True)
def amend(call: Call) -> Any:
    def change(told: Told) -> Order:
        return call.state.amend(_find(call, told), _number(told, "newSz"), _number(told, "newPx"))

    return _each(call, [call.args], change)


@ROUTES.on("POST", "/api/v5/trade/amend-algos", signed=True)
def amend_algo(call: Call) -> Any:
    """Its amount, and the level at which it fires."""

    def change(told: Told) -> Order:
        order = _find(call, told, algo=True)
        sort = EXITS.get(order.raw.get("stop", ""))
        level = _number(told, {"sl": "newSlTriggerPx", "tp": "newTpTriggerPx"}.get(sort or "", "newTriggerPx"))
        return call.state.amend(order, _number(told, "newSz"), trigger=level)

    return _each(call, [call.args], change, algo=True)


@ROUTES.on("GET", "/api/v5/trade/order", signed=True)
def get(call: Call) -> Any:
    return [shown(_find(call, call.args))]


@ROUTES.on("GET", "/api/v5/trade/order-algo", signed=True)
def get_algo(call: Call) -> Any:
    return [algo_of(call.state, _find(call, call.args | {"instId": call.get("instId")}, algo=True))]


@ROUTES.on("GET", "/api/v5/trade/orders-pending", signed=True)
def pending(call: Call) -> Any:
    return _page(call, [shown(one) for one in _filtered(call) if one.status is Status.OPEN], "ordId")


@ROUTES.on("GET", "/api/v5/trade/orders-history", "/api/v5/trade/orders-history-archive", signed=True)
def history(call: Call) -> Any:
    call.need("instType")
    begin, end = call.whole("begin", 0), call.whole("end", call.now)
    found = [one for one in _filtered(call) if one.status not in LIVE and begin <= one.created <= end]
    rows = [row for row in map(shown, found) if call.get("state") in {"", row["state"]}]
    return _page(call, rows, "ordId")


@ROUTES.on("GET", "/api/v5/trade/orders-algo-pending", signed=True)
def algos_pending(call: Call) -> Any:
    call.need("ordType")
    found = [one for one in _filtered(call, algo=True) if one.status is Status.WAITING]
    return _page(call, [algo_of(call.state, one) for one in found], "algoId")


@ROUTES.on("GET", "/api/v5/trade/orders-algo-history", signed=True)
def algos_history(call: Call) -> Any:
    call.need("ordType")
    if not (call.get("state") or call.get("algoId")):
        raise Refusal(Reason.PARAMETER, "state or algoId")
    rows = [algo_of(call.state, one) for one in _filtered(call, algo=True) if one.status is not Status.WAITING]
    fits = [row for row in rows if all(call.get(name) in {"", row[name]} for name in ("state", "algoId"))]
    return _page(call, fits, "algoId")


@ROUTES.on("GET", "/api/v5/trade/fills", "/api/v5/trade/fills-history", signed=True)
def fills(call: Call) -> Any:
    if call.path.endswith("history"):
        call.need("instType")
    pairs = [(one, fill) for one in _filtered(call) for fill in one.fills]
    rows = [_fill(*pair) for pair in sorted(pairs, key=lambda pair: pair[1].id, reverse=True)]
    kept = (90 if call.path.endswith("history") else 3) * 86_400_000
    begin, end = max(call.whole("begin", 0), call.now - kept), call.whole("end", call.now)
    return _page(call, [row for row in rows if begin <= int(row["ts"]) <= end], "billId")[: call.state.page]


def _page(call: Call, rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The first `limit` of what is older than `after` and newer than `before`, both ids."""
    after, before = call.whole("after", 0), call.whole("before", 0)
    fits = [row for row in rows if (not after or int(row[name]) < after) and int(row[name]) > before]
    return fits[: min(call.whole("limit", 100), 100)]


def _filtered(call: Call, *, algo: bool = False) -> Iterable[Order]:
    """The orders that a request asks for, newest first."""
    kind, name, sort = call.get("instType"), call.get("instId"), call.get("ordType")
    if name:
        asked(call)
    for order in reversed(call.state.orders.values()):
        fits = kind in {"", type_of(order.instrument)} and name in {"", order.instrument.id}
        if fits and order.conditional == algo and (not sort or sort_of(order) in sort.split(",")):
            yield order


def _order(call: Call, told: Told) -> Order:
    """Read an order; a market buy of spot is told in quote unless `tgtCcy` says otherwise."""
    order, kind = _begun(call, told), str(told.get("ordType"))
    if kind not in TYPES:
        raise Refusal(Reason.PARAMETER, "ordType")
    market = kind in {"market", "optimal_limit_ioc"}
    if not market:
        order.price = _needed(told, "px")
    if kind in {"ioc", "fok"}:
        order.tif = kind.upper()
    order.post_only = kind == "post_only"
    spot = order.instrument.kind is Kind.SPOT
    if market and spot and order.buy and told.get("tgtCcy", "quote_ccy") == "quote_ccy":
        order.cost, order.amount = order.amount, Decimal(0)
    for exit_ in told.get("attachAlgoOrds") or ():
        for name in ("slOrdPx", "tpOrdPx"):
            if exit_.get(name) not in {None, "", "-1"}:
                raise Refusal(Reason.PARAMETER, name)  # the venue's exits fill at the market
        order.stop_loss = _number(exit_, "slTriggerPx") or order.stop_loss
        order.take_profit = _number(exit_, "tpTriggerPx") or order.take_profit
    return order


def _algo(call: Call, told: Told) -> Order:
    """Read an algo order: with a trigger on either side of the price, an exit on its own side, or trailing."""
    order, kind = _begun(call, told), str(told.get("ordType"))
    if kind not in ALGOS:
        raise Refusal(Reason.PARAMETER, "ordType")
    if kind == "trigger":
        order.trigger, order.price = _needed(told, "triggerPx"), _limit(told, "orderPx")
        order.trigger_by = str(told.get("triggerPxType") or "last")
        order.rises = order.trigger > call.state.price(order.instrument, order.trigger_by)
    elif kind == "conditional":
        _exit(call, told, order)
    else:
        order.trailing, order.trailing_gap = _number(told, "callbackRatio"), _number(told, "callbackSpread")
        order.activation = _number(told, "activePx")
        if (order.trailing is None) == (order.trailing_gap is None):
            raise Refusal(Reason.PARAMETER, "callbackRatio or callbackSpread")
    return order


def _exit(call: Call, told: Told, order: Order) -> None:
    sort, label = ("sl", "StopLoss") if _number(told, "slTriggerPx") is not None else ("tp", "TakeProfit")
    if sort == "sl" and _number(told, "tpTriggerPx") is not None:
        raise Refusal(Reason.PARAMETER, "tpTriggerPx")  # both at once are an order of type oco
    order.trigger, order.price = _needed(told, f"{sort}TriggerPx"), _limit(told, f"{sort}OrdPx")
    order.trigger_by = str(told.get(f"{sort}TriggerPxType") or "last")
    order.rises, order.raw["stop"] = order.buy == (sort == "sl"), label
    price = call.state.price(order.instrument, order.trigger_by)
    if price >= order.trigger if order.rises else price <= order.trigger:
        raise Refusal(Reason.WOULD_TRIGGER, f"{sort} {told['side']}")


def _begun(call: Call, told: Told) -> Order:
    """What all orders have in common."""
    item, mode = call.state.instrument(str(told.get("instId"))), str(told.get("tdMode"))
    side, whole = str(told.get("side")), told.get("closeFraction") == "1"
    if side not in {"buy", "sell"} or told.get("posSide", "") not in SIDES:
        raise Refusal(Reason.PARAMETER, "side" if side not in {"buy", "sell"} else "posSide")
    own = str(told.get("algoClOrdId") or told.get("clOrdId") or "")
    if own and not (own.isalnum() and own.isascii() and len(own) <= 32):
        raise Refusal(Reason.PARAMETER, "clOrdId")
    _choose_mode(call, item, mode)
    return Order(
        instrument=item, buy=side == "buy", amount=Decimal(0) if whole else _needed(told, "sz"),
        client_id=own, reduce_only=str(told.get("reduceOnly", "")).lower() == "true", close_all=whole,
        side=SIDES[str(told.get("posSide", ""))],
        raw={name: str(told.get(name, "")) for name in ("ordType", "tdMode", "tgtCcy", "tag")}
        | {"lever": text(call.state.leverage(item))},
    )  # fmt: skip


def _choose_mode(call: Call, item: Instrument, mode: str) -> None:
    """The margin mode is a matter of each order; the venue holds a position in one of them at a time."""
    state, key = call.state, (item.kind, item.id)
    if not item.margined:
        if mode not in ({"cash"} if item.kind is Kind.SPOT else {"cross", "isolated"}):
            raise Refusal(Reason.BUSY, "account mode")
        return
    if mode not in {"cross", "isolated"}:
        raise Refusal(Reason.PARAMETER, "tdMode")
    if (key in state.isolated) != (mode == "isolated"):
        if state.held(item) or state.open_orders(item):
            raise Refusal(Reason.PARAMETER, "tdMode")
        (state.isolated.add if mode == "isolated" else state.isolated.discard)(key)
    state.leverages[key] = Decimal(state.settings.get(f"lever {item.id} {mode}", "10"))
    for side in ("long", "short"):
        own = state.settings.get(f"lever {item.id} {mode} {side}")
        if own is None:
            state.legs.pop((*key, side.upper()), None)
        else:
            state.legs[*key, side.upper()] = Decimal(own)


def _number(told: Told, name: str) -> Decimal | None:
    try:
        return Decimal(str(told[name])) if told.get(name) not in {None, ""} else None
    except InvalidOperation:
        raise Refusal(Reason.PARAMETER, name) from None


def _needed(told: Told, name: str) -> Decimal:
    number = _number(told, name)
    if number is None:
        raise Refusal(Reason.PARAMETER, name)
    return number


def _limit(told: Told, name: str) -> Decimal | None:
    """The price of an order that fires; -1 is the market."""
    number = _needed(told, name)
    return None if number == -1 else number


def _find(call: Call, told: Told, *, algo: bool = False) -> Order:
    """By its id or ours; an order that an algo sent has none of ours."""
    name, own = ("algoId", "algoClOrdId") if algo else ("ordId", "clOrdId")
    if not told.get(name) and not told.get(own):
        raise Refusal(Reason.PARAMETER, f"{name} or {own}")
    call.state.advance()
    for order in reversed(call.state.orders.values()):
        same = str(order.id) == str(told[name]) if told.get(name) else own_id(order) == told[own]
        if order.conditional == algo and same and told.get("instId") in {None, "", order.instrument.id}:
            return order
    raise Refusal(Reason.NOT_FOUND)


def own_id(order: Order) -> str:
    """The client id, which stays with the algo order when that sends another one."""
    return "" if order.parent else order.client_id


def sort_of(order: Order) -> str:
    """Its type in OKX's words."""
    told = order.raw.get("ordType", "")
    if not order.conditional:
        return told if told in TYPES else "market" if order.price is None else "limit"
    if order.trigger is None:
        return "move_order_stop"
    return "conditional" if order.raw.get("stop") in EXITS else "trigger"


def _state(order: Order) -> str:
    if order.filled and order.remaining:
        return "partially_filled" if order.status in LIVE else "canceled"
    return STATUS.get(order.status, "canceled")


def shown(order: Order) -> dict[str, Any]:
    """An order in lists; its fee is negative."""
    item, last = order.instrument, order.fills[-1] if order.fills else None
    spot, would_take = item.kind is Kind.SPOT, order.reason is Reason.WOULD_TAKE
    exits = [exit_ for exit_ in (("sl", order.stop_loss), ("tp", order.take_profit)) if exit_[1] is not None]
    attached = {key: value for sort, level in exits for key, value in _level(sort, level).items()}
    return {
        "accFillSz": text(order.filled), "algoClOrdId": order.client_id if order.parent else "",
        "algoId": str(order.parent or ""), "attachAlgoClOrdId": "",
        "attachAlgoOrds": [attached | {"attachAlgoId": "", "attachAlgoClOrdId": ""}] if attached else [],
        "avgPx": text(order.average) if last else "", "cTime": str(order.created),
        "cancelSource": "" if order.status is not Status.CANCELED else "31" if would_take else "1",
        "cancelSourceReason": "The post-only order will take liquidity" if would_take else "",
        "category": CAUSES.get(order.cause, "normal"), "ccy": "", "clOrdId": own_id(order),
        "fee": text(-order.fee) if last else "0",
        "feeCcy": last.fee_coin if last else item.base if spot and order.buy else item.settle,
        "fillPx": text(last.price) if last else "", "fillSz": text(last.amount) if last else "0",
        "fillTime": str(last.time) if last else "", "instId": item.id, "instType": type_of(item),
        "isTpLimit": "false", "lever": "" if not item.margined else order.raw.get("lever", "10"),
        "linkedAlgoOrd": {"algoId": ""}, "ordId": str(order.id), "ordType": sort_of(order),
        "pnl": text(sum((fill.profit for fill in order.fills), Decimal(0))), "posSide": NAMES[order.side],
        "px": text(order.price, item.tick) if order.price is not None else "", "pxType": "", "pxUsd": "",
        "pxVol": "", "quickMgnType": "", "rebate": "0", "rebateCcy": item.quote,
        "reduceOnly": str(order.reduce_only).lower(), "side": "buy" if order.buy else "sell", "slOrdPx": "",
        "slTriggerPx": "", "slTriggerPxType": "", "source": "7" if order.parent else "", "state": _state(order),
        "stpId": "", "stpMode": "cancel_maker", "sz": text(order.amount if order.cost is None else order.cost),
        "tag": order.raw.get("tag", ""), "tdMode": order.raw.get("tdMode", "cash" if spot else "cross"),
        "tgtCcy": ("base_ccy" if order.cost is None else "quote_ccy") if spot else "", "tpOrdPx": "",
        "tpTriggerPx": "", "tpTriggerPxType": "", "tradeId": str(last.id) if last else "",
        "uTime": str(order.updated),
    }  # fmt: skip


def _level(sort: str, level: Decimal | None, price: Decimal | None = None, by: str = "last") -> dict[str, str]:
    return {
        f"{sort}TriggerPx": text(level or 0), f"{sort}OrdPx": text(price) if price is not None else "-1",
        f"{sort}TriggerPxType": by,
    }  # fmt: skip


def algo_of(state: State, order: Order) -> dict[str, Any]:
    """An algo order in lists."""
    item, kind, child = order.instrument, sort_of(order), state.orders.get(order.child)
    levels = dict.fromkeys(
        ("slTriggerPx", "slOrdPx", "slTriggerPxType", "tpTriggerPx", "tpOrdPx", "tpTriggerPxType", "triggerPx",
         "triggerPxType", "ordPx"), "",
    )  # fmt: skip
    if kind == "conditional":
        levels |= _level(EXITS[order.raw["stop"]], order.trigger, order.price, order.trigger_by)
    elif order.trigger is not None:
        price = text(order.price) if order.price is not None else "-1"
        levels |= {"triggerPx": text(order.trigger), "triggerPxType": order.trigger_by, "ordPx": price}
    moved = ""
    if order.best is not None and kind == "move_order_stop":
        gap = order.trailing_gap if order.trailing_gap is not None else order.best * (order.trailing or 0)
        moved = text(order.best + gap if order.buy else order.best - gap)
    return levels | {
        "activePx": text(order.activation) if order.activation is not None else "",
        "actualPx": text(child.average) if child else "", "actualSide": _actual(order) if child else "",
        "actualSz": text(child.filled) if child else "0", "algoClOrdId": order.client_id,
        "algoId": str(order.id), "amendPxOnTriggerType": "0", "attachAlgoOrds": [],
        "cTime": str(order.created), "callbackRatio": text(order.trailing) if order.trailing is not None else "",
        "callbackSpread": text(order.trailing_gap) if order.trailing_gap is not None else "", "ccy": "",
        "chaseType": "", "chaseVal": "", "clOrdId": order.client_id,
        "closeFraction": "1" if order.close_all else "", "failCode": "0",
        "instId": item.id, "instType": type_of(item), "isTradeBorrowMode": "",
        "last": text(state.price(item), item.tick), "lever": order.raw.get("lever", "10"),
        "linkedOrd": {"ordId": ""}, "maxChaseType": "", "maxChaseVal": "", "moveTriggerPx": moved,
        "ordId": str(child.id) if child else "", "ordIdList": [str(child.id)] if child else [],
        "ordType": kind, "posSide": NAMES[order.side], "pxLimit": "", "pxSpread": "", "pxVar": "",
        "quickMgnType": "", "reduceOnly": str(order.reduce_only).lower(), "side": "buy" if order.buy else "sell",
        "state": STATUS.get(order.status, "canceled"), "sz": text(order.amount), "szLimit": "",
        "tag": order.raw.get("tag", ""), "tdMode": order.raw.get("tdMode", "cross"), "tgtCcy": "",
        "timeInterval": "", "triggerTime": str(child.created) if child else "", "uTime": str(order.updated),
    }  # fmt: skip


def _actual(order: Order) -> str:
    return EXITS.get(order.raw.get("stop", ""), "")


def _fill(order: Order, fill: Fill) -> dict[str, str]:
    item = order.instrument
    rate = item.maker if fill.maker else item.taker
    return {
        "side": "buy" if order.buy else "sell", "fillSz": text(fill.amount), "fillPx": text(fill.price),
        "fillPxVol": "", "fillFwdPx": "", "fee": text(-fill.fee), "fillPnl": text(fill.profit),
        "ordId": str(order.id), "feeRate": text(-rate), "instType": type_of(item), "fillPxUsd": "",
        "instId": item.id, "clOrdId": own_id(order), "posSide": NAMES[order.side], "billId": str(fill.id),
        "fillMarkVol": "", "tag": order.raw.get("tag", ""), "fillTime": str(fill.time),
        "execType": "M" if fill.maker else "T", "fillIdxPx": "", "tradeId": str(fill.id), "fillMarkPx": "",
        "feeCcy": fill.fee_coin, "ts": str(fill.time), "subType": sub_type(order),
    }  # fmt: skip


def sub_type(order: Order) -> str:
    """What a fill was: bought or sold, or of a position that was liquidated or has expired."""
    long = not order.buy
    if order.cause == "liquidation":
        return "104" if long else "105"
    if order.cause == "settlement":
        return "112" if long else "113"
    return "1" if order.buy else "2"
