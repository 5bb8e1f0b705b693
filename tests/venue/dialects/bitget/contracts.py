"""Bitget's orders of contracts, and plans: triggers, exits of a position, trailing stops."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import Kind, text
from ...orders import Order, Reason, Refusal
from .listing import PRODUCTS, contract, product, product_of
from .market import ROUTES
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
    from collections.abc import Iterable

    from ...instruments import Instrument
    from ...orders import Fill
    from ...routes import Call
    from .reading import Told

KINDS = (Kind.LINEAR, Kind.INVERSE)
EXITS = {"pos_loss": "StopLoss", "loss_plan": "StopLoss", "pos_profit": "TakeProfit", "profit_plan": "TakeProfit"}
PLANS = {"normal_plan", "track_plan"}
NAMES = {"LONG": "long", "SHORT": "short", "BOTH": "net"}
CAUSES = {"liquidation": "burst", "settlement": "delivery"}


def settled_in(item: Instrument, coin: str) -> None:
    """Refuse another margin coin than the contract's."""
    if coin.upper() != item.settle:
        raise Refusal(Reason.PARAMETER, "marginCoin")


def choose_mode(call: Call, item: Instrument, mode: str) -> None:
    """Cross or isolated: set by a request of its own, or by the first order that says another one."""
    if mode not in {"crossed", "isolated"}:
        raise Refusal(Reason.PARAMETER, "marginMode")
    key, isolated = (item.kind, item.id), mode == "isolated"
    if (key in call.state.isolated) != isolated:
        call.state.set_isolated(item, isolated)
    lever = call.state.settings.get(f"lever {product_of(item)} {item.id} {mode}", "10")
    call.state.leverages[key] = Decimal(lever)


def _told_in(call: Call, told: Told) -> Told:
    """One of a batch, whose product and symbol stand beside it."""
    return {key: value for key, value in call.args.items() if key not in {"orderList", "orderIdList"}} | told


def _item(call: Call, told: Told) -> Instrument:
    item = call.state.instrument(str(told.get("symbol", "")).upper(), *KINDS)
    if product_of(item) != product(call):
        raise Refusal(Reason.SYMBOL, item.id)
    settled_in(item, str(told.get("marginCoin", "")))
    return item


def _read(call: Call, told: Told) -> Order:
    """In hedge mode the side names the position, and `tradeSide` whether it is opened or closed."""
    item = _item(call, told)
    order = begun(told, item, needed(told, "size"))
    choose_mode(call, item, str(told.get("marginMode")))
    order.raw |= {"mode": str(told["marginMode"]), "lever": text(call.state.leverage(item))}
    if not call.state.is_hedged(item):
        order.reduce_only = str(told.get("reduceOnly", "NO")).upper() == "YES"
        return order
    doing = str(told.get("tradeSide", "")).lower()
    if doing not in {"open", "close"}:
        raise Refusal(Reason.POSITION_SIDE)
    order.side = "LONG" if order.buy else "SHORT"
    if doing == "close":
        order.buy, order.reduce_only = not order.buy, True
    return order


def _place(call: Call, told: Told) -> Order:
    order = _read(call, told)
    for name in ("presetStopLossExecutePrice", "presetStopSurplusExecutePrice"):
        if number(told, name):
            raise Refusal(Reason.PARAMETER, name)  # the venue's exits fill at the market
    order.stop_loss = number(told, "presetStopLossPrice") or None
    order.take_profit = number(told, "presetStopSurplusPrice") or None
    return call.state.place(order)


def _find(call: Call, told: Told, *, plan: bool = False) -> Order:
    kind, name = product(call), str(told.get("symbol", "")).upper()

    def fits(order: Order) -> bool:
        return product_of(order.instrument) == kind and name in {"", order.instrument.id}

    return find(call, told, fits, plan=plan)


@ROUTES.on("POST", "/api/v2/mix/order/place-order", signed=True)
def place(call: Call) -> Any:
    return placed(_place(call, call.args))


@ROUTES.on("POST", "/api/v2/mix/order/batch-place-order", signed=True)
def place_batch(call: Call) -> Any:
    return each(call, call.args["orderList"], lambda told: _place(call, _told_in(call, told)))


@ROUTES.on("POST", "/api/v2/mix/order/cancel-order", signed=True)
def cancel(call: Call) -> Any:
    call.need("symbol")
    return placed(call.state.cancel(_find(call, call.args)))


@ROUTES.on("POST", "/api/v2/mix/order/batch-cancel-orders", signed=True)
def cancel_batch(call: Call) -> Any:
    """Those that are named, or all of a contract."""
    return _cancel_all(call, plan=False)


@ROUTES.on("POST", "/api/v2/mix/order/cancel-plan-order", signed=True)
def cancel_plans(call: Call) -> Any:
    """Those that are named, or all of a contract."""
    return _cancel_all(call, plan=True)


def _cancel_all(call: Call, *, plan: bool) -> Any:
    told = call.args.get("orderIdList")
    if not told:
        found = [one for one in wanted(call, *KINDS, plan=plan, live=True) if _same_product(call, one)]
        told = [{"orderId": str(order.id)} for order in found]
    return each(call, told, lambda one: call.state.cancel(_find(call, _told_in(call, one), plan=plan)))


def _same_product(call: Call, order: Order) -> bool:
    return product_of(order.instrument) == product(call)


@ROUTES.on("POST", "/api/v2/mix/order/modify-order", signed=True)
def modify(call: Call) -> Any:
    """The order gets another client id, which must be told."""
    order, new = _find(call, call.args), call.need("newClientOid")
    if any(one.client_id == new for one in call.state.orders.values()):
        raise Refusal(Reason.DUPLICATE, new)
    call.state.amend(order, number(call.args, "newSize"), number(call.args, "newPrice"))
    order.client_id = new
    return placed(order)


@ROUTES.on("GET", "/api/v2/mix/order/detail", signed=True)
def detail(call: Call) -> Any:
    contract(call)
    row = _shown(_find(call, call.args))
    return row | {"state": row.pop("status")}


@ROUTES.on("GET", "/api/v2/mix/order/orders-pending", signed=True)
def pending(call: Call) -> Any:
    return _list(call, "entrustedList", [_shown(one) for one in _wanted(call, live=True)])


@ROUTES.on("GET", "/api/v2/mix/order/orders-history", signed=True)
def history(call: Call) -> Any:
    return _list(call, "entrustedList", [_shown(one) for one in _wanted(call, live=False)])


@ROUTES.on("GET", "/api/v2/mix/order/fills", "/api/v2/mix/order/fill-history", signed=True)
def fills(call: Call) -> Any:
    (begin, end), last = call.within("startTime", "endTime", QUARTER), call.whole("idLessThan", 0)
    name, kind = call.get("symbol").upper(), product(call)
    pairs = [
        (order, fill) for order in call.state.orders.values() for fill in order.fills
        if product_of(order.instrument) == kind and name in {"", order.instrument.id}
        and call.get("orderId") in {"", str(order.id)} and begin <= fill.time <= end
        and (not last or fill.id < last)
    ]  # fmt: skip
    pairs.sort(key=lambda one: one[1].id, reverse=True)
    return _list(call, "fillList", [_fill(*one) for one in pairs[: call.state.page]], "tradeId")


def _wanted(call: Call, *, live: bool, plan: bool = False) -> Iterable[Order]:
    kind = product(call)
    return (
        one
        for one in wanted(call, PRODUCTS.get(kind, Kind.LINEAR), plan=plan, live=live)
        if product_of(one.instrument) == kind
    )


def _list(call: Call, name: str, rows: list[dict[str, Any]], key: str = "orderId") -> dict[str, Any]:
    shown = cut(call, rows)
    return {name: shown or None, "endId": shown[-1][key] if shown else None}


def sides_of(order: Order) -> dict[str, str]:
    """In hedge mode the side is the position's."""
    hedged, word = order.side != "BOTH", "buy" if order.buy else "sell"
    closing = hedged and order.buy != (order.side == "LONG")
    doing = ("close" if closing else "open") if hedged else f"{word}_single"
    if order.cause:  # the exchange's own
        doing = f"{CAUSES[order.cause]}_{f'close_{NAMES[order.side]}' if hedged else doing}"
    return {
        "side": ("buy" if order.side == "LONG" else "sell") if hedged else word, "posSide": NAMES[order.side],
        "tradeSide": doing,
        "posMode": "hedge_mode" if hedged else "one_way_mode",
        "reduceOnly": "YES" if order.reduce_only or closing else "NO",
    }  # fmt: skip


def _shown(order: Order) -> dict[str, Any]:
    """An order in lists; its fee is negative, in the margin coin."""
    item, market = order.instrument, order.price is None
    return sides_of(order) | {
        "symbol": item.id, "size": text(order.amount), "orderId": str(order.id), "clientOid": own_id(order),
        "baseVolume": text(order.filled), "fee": text(-order.fee) if order.fills else "",
        "price": text(order.price, item.tick) if order.price is not None else "",
        "priceAvg": text(order.average) if order.fills else "", "status": status_of(order),
        "force": order.raw.get("force", "gtc"),
        "totalProfits": text(sum((fill.profit for fill in order.fills), Decimal(0))),
        "marginCoin": item.settle, "quoteVolume": text(order.quote), "leverage": order.raw.get("lever", "10"),
        "marginMode": order.raw.get("mode", "crossed"), "enterPointSource": "api",
        "orderType": "market" if market else "limit", "orderSource": "market" if market else "normal",
        "presetStopSurplusPrice": text(order.take_profit) if order.take_profit is not None else "",
        "presetStopLossPrice": text(order.stop_loss) if order.stop_loss is not None else "",
        "cTime": str(order.created), "uTime": str(order.updated),
    }  # fmt: skip


def _fill(order: Order, fill: Fill) -> dict[str, Any]:
    sides = sides_of(order)
    return {
        "tradeId": str(fill.id), "symbol": order.instrument.id, "orderId": str(order.id),
        "price": text(fill.price), "baseVolume": text(fill.amount), "side": sides["side"],
        "tradeSide": sides["tradeSide"],
        "feeDetail": [
            {"deduction": "no", "feeCoin": fill.fee_coin, "totalDeductionFee": None, "totalFee": text(-fill.fee)}
        ],
        "quoteVolume": text(order.instrument.notional(fill.amount, fill.price)), "profit": text(fill.profit),
        "enterPointSource": "api", "posMode": sides["posMode"], "marginCoin": order.instrument.settle,
        "tradeScope": "maker" if fill.maker else "taker", "cTime": str(fill.time),
    }  # fmt: skip


# --- plans


@ROUTES.on("POST", "/api/v2/mix/order/place-plan-order", signed=True)
def place_plan(call: Call) -> Any:
    """A trigger order, or a trailing one that begins to trail at its trigger, by a ratio in percent."""
    told, kind = call.args, call.need("planType")
    if kind not in PLANS or (kind == "track_plan" and call.get("orderType") != "market"):
        raise Refusal(Reason.PARAMETER, "planType or orderType")
    limit = limit_of(told, "price", "executePrice") if call.get("orderType") == "limit" else None
    order = _read(call, told | {"price": limit})
    order.raw["plan"] = kind
    trigger(call, told, order)
    if kind == "track_plan":
        ratio = needed(told, "callbackRatio")
        if not Decimal("0.01") <= ratio <= 10:
            raise Refusal(Reason.PARAMETER, "callbackRatio")
        order.trailing, order.activation, order.trigger, order.rises = ratio / 100, order.trigger, None, None
    return placed(call.state.place(order))


@ROUTES.on("POST", "/api/v2/mix/order/place-tpsl-order", signed=True)
def place_tpsl(call: Call) -> Any:
    """An exit of the whole position (`pos_…`) or of a part of it; without a position there is nothing to exit."""
    told, kind, item = call.args, call.need("planType"), _item(call, call.args)
    hold = {"buy": "BOTH", "sell": "BOTH", "long": "LONG", "short": "SHORT"}.get(call.need("holdSide"))
    if kind not in EXITS or hold is None or (hold == "BOTH") == call.state.is_hedged(item):
        raise Refusal(Reason.PARAMETER, "planType or holdSide")
    long, whole = call.get("holdSide") in {"buy", "long"}, kind.startswith("pos_")
    held = call.state.position(item, hold).amount
    if not held or (held > 0) != long:
        raise Refusal(Reason.WOULD_TRIGGER, "none")
    order = Order(
        instrument=item, buy=not long, amount=abs(held) if whole else needed(told, "size"), side=hold,
        reduce_only=True, close_all=whole, client_id=call.get("clientOid"),
        price=limit_of(told, "executePrice"), raw={"stop": EXITS[kind], "plan": kind},
    )  # fmt: skip
    trigger(call, told | {"triggerType": call.get("triggerType", "fill_price")}, order)
    loss = EXITS[kind] == "StopLoss"
    order.rises = long != loss
    price = call.state.price(item, order.trigger_by)
    if order.trigger is not None and (price >= order.trigger if order.rises else price <= order.trigger):
        sort = f"{'loss' if loss else 'profit'} {'long' if long else 'short'}"
        raise Refusal(Reason.WOULD_TRIGGER, f"{sort}@{text(price)}")
    return placed(call.state.place(order))


@ROUTES.on("POST", "/api/v2/mix/order/modify-plan-order", signed=True)
def modify_plan(call: Call) -> Any:
    order = _find(call, call.args, plan=True)
    level, ratio = number(call.args, "newTriggerPrice"), number(call.args, "newCallbackRatio")
    levels = {"trigger": level}
    if order.trailing is not None:
        levels = {"activation": level, "trailing": None if ratio is None else ratio / 100}
    call.state.amend(order, number(call.args, "newSize"), limit_of(call.args, "newPrice"), **levels)
    return placed(order)


@ROUTES.on("POST", "/api/v2/mix/order/modify-tpsl-order", signed=True)
def modify_tpsl(call: Call) -> Any:
    order = _find(call, call.args, plan=True)
    order.price = limit_of(call.args, "executePrice")
    call.state.amend(order, number(call.args, "size"), trigger=needed(call.args, "triggerPrice"))
    return placed(order)


@ROUTES.on("GET", "/api/v2/mix/order/orders-plan-pending", signed=True)
def plans(call: Call) -> Any:
    return _list(call, "entrustedList", [_plan(one) for one in _plans(call, live=True)])


@ROUTES.on("GET", "/api/v2/mix/order/orders-plan-history", signed=True)
def past_plans(call: Call) -> Any:
    rows: list[dict[str, Any]] = []
    for one in _plans(call, live=False):
        child = call.state.orders.get(one.child)
        rows.append(
            _plan(one)
            | {
                "executeOrderId": str(child.id) if child else "",
                "priceAvg": text(child.average) if child else "",
                "baseVolume": text(child.filled) if child else "",
            }
        )
    return _list(call, "entrustedList", [row for row in rows if call.get("planStatus") in {"", row["planStatus"]}])


def plan_of(order: Order) -> str:
    """The type of a plan; the exits that came with an order are those of an amount."""
    told = order.raw.get("plan")
    return told or {"StopLoss": "loss_plan", "TakeProfit": "profit_plan"}.get(
        order.raw.get("stop", ""), "normal_plan"
    )


def _plans(call: Call, *, live: bool) -> list[Order]:
    """Of one type; all exits are one type here."""
    kind = call.need("planType")
    sorts = set(EXITS) | {"moving_plan"} if kind == "profit_loss" else {kind}
    if not sorts & (set(EXITS) | PLANS):
        raise Refusal(Reason.PARAMETER, "planType")
    return [one for one in _wanted(call, live=live, plan=True) if plan_of(one) in sorts]


def _plan(order: Order) -> dict[str, Any]:
    sides, kind = sides_of(order), plan_of(order)
    price = text(order.price) if order.price is not None else "0" if kind in EXITS else ""
    level = order.trigger if order.trigger is not None else order.activation or Decimal(0)
    reduce_only = sides.pop("reduceOnly")
    row = sides | placed(order) | {
        "planType": kind, "symbol": order.instrument.id, "size": "" if order.close_all else text(order.amount),
        "price": price, "executePrice": price, "triggerPrice": text(level, order.instrument.tick),
        "callbackRatio": text(order.trailing * 100) if order.trailing is not None else "",
        "triggerType": by(order), "planStatus": status_of(order), "marginCoin": order.instrument.settle,
        "marginMode": order.raw.get("mode", "crossed"), "enterPointSource": "API",
        "orderType": "market" if order.price is None else "limit", "orderSource": "normal",
        "cTime": str(order.created), "uTime": str(order.updated),
    }  # fmt: skip
    empty = dict.fromkeys(
        (f"stop{sort}{what}" for sort in ("Surplus", "Loss") for what in
         ("ExecutePrice", "TriggerPrice", "TriggerType")), "",
    )  # fmt: skip
    return row | empty | {"reduceOnly": reduce_only}
