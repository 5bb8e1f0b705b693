"""What KuCoin pushes of an account: the `data` of a message, a function of the state or of one event in it."""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import Kind, text
from ...news import Cause, Change
from ...orders import LIVE, Status
from .account import SPOT, WALLET, position_of
from .contracts import FORCED, PRICES
from .listing import coin_id
from .pushes import NANO

if TYPE_CHECKING:
    from ...news import BalanceNews, OrderNews
    from ...orders import Fill, Order, Position
    from ...state import State

    type Row = dict[str, Any]

EVENTS = {Cause.FILL: "setted", Cause.FEE: "setted", Cause.TRANSFER: "transfer"}
NOT_PUSHED = ("id", "positionSide", "marginMode", "leverage", "isInverse", "maintainMargin", "dealComm",
              "fundingFee", "tax")  # fmt: skip


# --- orders


def pair_order(news: OrderNews, *, second: bool) -> list[Row]:
    """Of a pair: one change may be two messages, such as the match and the end of an order.

    The `second` version of the topic also tells that an order has come in, and what was asked for at first.
    """
    one, change = news.order, news.change
    if change is Change.ACCEPTED:
        received = [_received(one)] if second else []
        rests = one.price is not None and one.tif == "GTC"
        return received + ([_pair_row(one, "open", second=second)] if rests else [])
    if news.fill is not None:
        match = _pair_row(one, "match", second=second) | _match(one, news.fill)
        return [match, _pair_row(one, "filled", second=second)] if one.status is Status.FILLED else [match]
    return [_pair_row(one, "update" if change is Change.AMENDED else "canceled", second=second)]


def _named(one: Order) -> Row:
    """What every message about an order has."""
    return {
        "symbol": one.instrument.id, "orderType": "market" if one.price is None else "limit",
        "side": "buy" if one.buy else "sell", "orderId": str(one.id), "clientOid": one.client_id,
    }  # fmt: skip


def _origin(one: Order) -> Row:
    funds = one.cost if one.cost is not None else one.amount * (one.price or 0)
    return {"originSize": text(one.amount if one.cost is None else 0), "originFunds": text(funds)}


def _received(one: Order) -> Row:
    row = _named(one) | {"type": "received", "status": "new", "orderTime": one.created, "ts": one.updated * NANO}
    return row | _price(one) | _origin(one)


def _price(one: Order) -> Row:
    return {} if one.price is None else {"price": text(one.price, one.instrument.tick)}


def _pair_row(one: Order, kind: str, *, second: bool) -> Row:
    live, gone = one.status in LIVE, text(one.remaining if kind == "canceled" else 0)
    status = {"open": "open", "match": "match", "update": "open"}.get(kind, "done")
    row = _named(one) | _price(one) | {
        "type": kind, "status": status, "orderTime": one.created, "ts": one.updated * NANO,
        "size": text(one.amount), "filledSize": text(one.filled), "remainSize": text(one.remaining if live else 0),
    }  # fmt: skip
    if kind == "update":
        row["oldSize"] = text(one.amount)
    return row | _origin(one) | {"canceledSize": gone, "canceledFunds": "0"} if second else row


def _match(one: Order, done: Fill) -> Row:
    liquidity = "maker" if done.maker else "taker"
    return {
        "liquidity": liquidity, "feeType": f"{liquidity}Fee", "matchPrice": text(done.price),
        "matchSize": text(done.amount), "tradeId": str(done.id), "ts": done.time * NANO,
        "remainSize": text(one.remaining), "status": "match",
    }  # fmt: skip


def contract_order(news: OrderNews) -> list[Row]:
    """Of a contract; times are nanoseconds."""
    one, change = news.order, news.change
    if change in {Change.ACCEPTED, Change.TRIGGERED}:
        return [_contract_row(one, "open")] if one.price is not None and one.tif == "GTC" else []
    if news.fill is not None:
        sort = {"tradeType": FORCED.get(one.cause, "trade")}
        match = _contract_row(one, "match") | _match(one, news.fill) | sort
        return [match, _contract_row(one, "filled")] if one.status is Status.FILLED else [match]
    return [_contract_row(one, "update" if change is Change.AMENDED else "canceled")]


def _contract_row(one: Order, kind: str) -> Row:
    status = {"open": "open", "match": "match", "update": "open"}.get(kind, "done")
    row = _named(one) | {
        "type": kind, "status": status, "price": text(one.price or 0), "size": text(one.amount),
        "filledSize": text(one.filled), "remainSize": text(one.remaining if one.status in LIVE else 0),
        "canceledSize": text(one.remaining if kind == "canceled" else 0),
        "marginMode": one.raw.get("mode", "ISOLATED"), "positionSide": one.side,
        "orderTime": one.created * NANO, "ts": one.updated * NANO,
    }  # fmt: skip
    return row | {"oldSize": text(one.amount)} if kind == "update" else row


def stop_order(news: OrderNews) -> Row:
    """A stop order that waits, has fired or was cancelled before."""
    one, change = news.order, news.change
    kind = {Change.ACCEPTED: "open", Change.AMENDED: "open", Change.TRIGGERED: "triggered"}.get(change, "cancel")
    row = {
        "createdAt": one.created, "orderId": str(one.id), "orderType": "stop", "size": text(one.amount),
        "orderPrice": text(one.price or 0), "side": "buy" if one.buy else "sell", "symbol": one.instrument.id,
        "stopPrice": text(one.trigger or 0), "ts": one.updated * NANO, "type": kind,
    }  # fmt: skip
    if change is Change.TRIGGERED:
        row["triggerSuccess"] = True
    if one.instrument.kind is Kind.SPOT:
        return row | {"stop": "entry" if one.rises else "loss", "tradeType": "TRADE"}
    by = next(name for name, what in PRICES.items() if what == one.trigger_by)
    return row | {"stop": "up" if one.rises else "down", "stopPriceType": by}


# --- the account


def balance(state: State, coin: str, news: BalanceNews | None) -> Row:
    """A coin of the account for spot after a change; without news another part of it is held for orders."""
    change, event = (text(news.change), EVENTS.get(news.cause, "other")) if news else ("0", "hold")
    return {
        "accountId": str(zlib.crc32(coin.encode())), "available": text(state.free(SPOT, coin)),
        "availableChange": change, "currency": coin, "hold": text(state.locked(SPOT, coin)), "holdChange": "0",
        "relationContext": {}, "relationEvent": f"{SPOT}.{event}",
        "relationEventId": str(state.now()), "time": str(state.now()),
        "total": text(state.balances[SPOT, coin]),
    }  # fmt: skip


def wallet(state: State, coin: str) -> Row:
    """A coin of the account for contracts; margin is counted by its mode."""
    cash, gains = state.balances[WALLET, coin], state.gains(WALLET, coin)
    free, ordered = state.free(WALLET, coin), state.locked(WALLET, coin)
    held = [one for one in state.held() if one.instrument.settle == coin and one.instrument.margined]
    alone = [one for one in held if not _crossed(state, one)]
    margin = sum((state.margin(one) for one in alone), Decimal(0))
    gain = sum((state.profit(one) for one in alone), Decimal(0))
    crossed = text(state.used(WALLET, coin) - margin)
    return {
        "currency": coin_id(coin), "walletBalance": text(cash), "availableBalance": text(free),
        "holdBalance": "0", "isolatedOrderMargin": text(ordered), "isolatedPosMargin": text(margin),
        "isolatedUnPnl": text(gain), "isolatedFundingFeeMargin": "0", "crossOrderMargin": "0",
        "crossPosMargin": crossed, "crossUnPnl": text(gains - gain), "equity": text(cash + gains),
        "totalCrossMargin": text(cash - margin), "availableMargin": text(free), "maxWithdrawAmount": text(free),
        "version": str(state.now()), "timestamp": str(state.now()),
    }  # fmt: skip


def _crossed(state: State, held: Position) -> bool:
    return bool(position_of(state, held)["crossMode"])


def position(state: State, held: Position) -> Row:
    """A position, an empty one too, and why it is told."""
    row = position_of(state, held)
    margin, worth = state.margin(held), abs(row["markValue"])
    for name in NOT_PUSHED:
        del row[name]
    return row | {
        "posLoss": 0.0, "maintMargin": float(margin + state.profit(held)), "changeReason": "positionChange",
        "realLeverage": round(worth / float(margin), 2) if margin else 0.0, "autoDeposit": False,
        "riskLimit": 250_000, "posCross": 0.0, "posComm": 0.0, "posMaint": float(state.maintenance(held)),
        "openingTimestamp": held.opened,
    }  # fmt: skip


def unified_position(state: State, held: Position) -> Row:
    """A position on the unified account's feed; times are nanoseconds."""
    row = position_of(state, held)
    return {
        "O": held.opened * NANO, "U": held.updated * NANO, "l": text(state.leverage(held.instrument)),
        "q": text(held.amount), "s": held.instrument.id, "bP": text(held.entry), "eP": text(held.entry),
        "iM": text(row["posInit"]), "lP": text(row["liquidationPrice"]), "mM": row["marginMode"],
        "mP": text(row["markPrice"]), "pV": text(abs(row["markValue"])), "pi": row["id"],
        "mmr": text(row["maintMarginReq"]),
        "mtM": text(row["posMaint"]), "rPL": text(held.realized), "uPL": text(row["unrealisedPnl"]),
    }  # fmt: skip
