"""What OKX pushes over its websockets: rows of `data`, each a function of the state or of one event in it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import LEVELS, text
from .account import account_of, position_of
from .market import trade_of
from .trading import algo_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...instruments import Instrument
    from ...market import Levels
    from ...orders import Fill, Order, Position
    from ...prices import Trade
    from ...state import State

NOT_PUSHED = ("cancelSourceReason", "linkedAlgoOrd")
ADVANCED = {
    "activePx", "callbackRatio", "callbackSpread", "chaseType", "chaseVal", "isTradeBorrowMode", "maxChaseType",
    "maxChaseVal", "moveTriggerPx", "pxLimit", "pxSpread", "pxVar", "szLimit", "timeInterval",
}  # fmt: skip
FILL = ("execType", "fillFee", "fillFeeCcy", "fillFwdPx", "fillMarkPx", "fillMarkVol", "fillNotionalUsd",
        "fillPnl", "fillPx", "fillPxUsd", "fillPxVol", "fillSz", "fillTime", "tradeId")  # fmt: skip


def trade(item: Instrument, row: Trade) -> dict[str, str]:
    """A trade of the tape, with how many of the taker's it sums up."""
    return trade_of(item, row) | {"count": "1"}


def levels(item: Instrument, side: Levels) -> list[list[str]]:
    """A side of the book: price, amount, a zero that says nothing any more, the count of orders."""
    return [[text(price, item.tick), text(size), "0", "1" if size else "0"] for price, size in side]


def order(state: State, one: Order, fill: Fill | None) -> dict[str, Any]:
    """An order after a change; the words of a fill are filled only by the fill that is the change."""
    item, row = one.instrument, shown(one)
    for name in NOT_PUSHED:
        del row[name]
    row |= dict.fromkeys(FILL, "") | {"fillFee": "0", "fillPnl": "0", "fillSz": "0"}
    if fill is not None:
        row |= {
            "execType": "M" if fill.maker else "T", "fillFee": text(-fill.fee), "fillFeeCcy": fill.fee_coin,
            "fillNotionalUsd": text(_dollars(item, fill.amount, fill.price)), "fillPnl": text(fill.profit),
            "fillPx": text(fill.price), "fillSz": text(fill.amount), "fillTime": str(fill.time),
            "tradeId": str(fill.id),
        }  # fmt: skip
    price = one.price or one.average or state.price(item)
    return row | {
        "amendResult": "", "amendSource": "", "code": "0", "lastPx": text(state.price(item), item.tick), "msg": "",
        "notionalUsd": text(_dollars(item, one.amount, price)), "reqId": "",
    }  # fmt: skip


def _dollars(item: Instrument, amount: Decimal, price: Decimal) -> Decimal:
    """About what an amount is worth in dollars."""
    return item.value(amount, price) * Decimal(str(LEVELS[item.settle]))


def algo(state: State, one: Order) -> dict[str, Any]:
    """An algo order after a change; it has no words for a trailing one, which another channel tells."""
    worth = _dollars(one.instrument, one.amount, one.price or one.trigger or state.price(one.instrument))
    row = {name: value for name, value in algo_of(state, one).items() if name not in ADVANCED}
    child = {"ordId": str(one.child), "ordIdList": [str(one.child)]} if one.child else {}  # it is told just after
    return row | child | {"amendResult": "", "notionalUsd": text(worth), "reqId": ""}


def position(state: State, held: Position) -> dict[str, Any]:
    """A position, an empty one too, and when it was pushed."""
    return position_of(state, held) | {"pTime": str(state.now())}


def account(state: State, coins: Iterable[str]) -> dict[str, Any]:
    """The account with some of its coins."""
    row = account_of(state, coins)
    for coin in row["details"]:
        coin["maxSpotInUseAmt"] = coin.pop("maxSpotInUse")
        coin["coinUsdPrice"] = text(LEVELS[coin["ccy"]])
    return row


def fill(one: Order, done: Fill) -> dict[str, str]:
    """An execution in the channel of them alone."""
    return {
        "instId": one.instrument.id, "fillSz": text(done.amount), "fillPx": text(done.price),
        "side": "buy" if one.buy else "sell", "ts": str(done.time), "ordId": str(one.id), "tradeId": str(done.id),
        "execType": "M" if done.maker else "T", "count": "1",
    }  # fmt: skip
