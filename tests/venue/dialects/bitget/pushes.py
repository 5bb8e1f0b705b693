"""What Bitget pushes over its websockets: rows of `data`, each a function of the state or of one event in it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import LEVELS, Kind, text
from .account import mode_of
from .contracts import plan_of, sides_of
from .listing import product_of
from .market import candle_of, coming, contract_ticker_of, ticker_of
from .reading import by, own_id, status_of

if TYPE_CHECKING:
    from ...instruments import Instrument
    from ...market import Levels
    from ...orders import Fill, Order, Position
    from ...prices import Candle, Trade
    from ...state import State

PLANS = {"profit_plan": "tp", "loss_plan": "sl", "pos_profit": "ptp", "pos_loss": "psl", "track_plan": "track"}
NOT_PUSHED = ("symbol", "usdtVolume")
NOT_OF_CONTRACTS = ("changeUtc24h", "deliveryStartTime", "deliveryTime", "deliveryStatus")


def trade(item: Instrument, row: Trade) -> dict[str, str]:
    """A trade of the tape."""
    return {
        "ts": str(row.time), "price": text(row.price, item.tick), "size": text(row.amount),
        "side": "buy" if row.buy else "sell", "tradeId": str(row.id),
    }  # fmt: skip


def candle(item: Instrument, row: Candle) -> list[str]:
    """A candle: prices, then volume in base, in quote and in dollars."""
    told = candle_of(item, row)
    return told if item.kind is Kind.SPOT else [*told, told[-1]]


def ticker(state: State, item: Instrument) -> dict[str, Any]:
    """The day's figures with the best of the book; of a contract also its mark price and funding."""
    spot = item.kind is Kind.SPOT
    row: dict[str, Any] = dict((ticker_of if spot else contract_ticker_of)(state, item))
    for name in NOT_PUSHED if spot else NOT_PUSHED + NOT_OF_CONTRACTS:
        del row[name]
    row |= {"instId": item.id, "open24h": text(state.day(item).open, item.tick)}
    if spot:
        return row
    following = str(coming(state, item)[0]) if item.perpetual else ""
    return row | {
        "symbol": item.id, "symbolType": 1 if item.perpetual else 2, "nextFundingTime": following,
        "deliveryPrice": "0",
    }  # fmt: skip


def levels(item: Instrument, side: Levels) -> list[list[str]]:
    """A side of the book: price and amount."""
    return [[text(price, item.tick), text(size)] for price, size in side]


# --- orders


def order(state: State, one: Order, done: Fill | None) -> dict[str, Any]:
    """An order after a change, and the fill if that was the change."""
    return (_pair_order if one.instrument.kind is Kind.SPOT else _contract_order)(state, one, done)


def _order(one: Order) -> dict[str, Any]:
    fees = [{"feeCoin": one.fills[0].fee_coin, "fee": text(-one.fee)}] if one.fills else []
    return {
        "accBaseVolume": text(one.filled), "cTime": str(one.created), "clientOid": own_id(one), "feeDetail": fees,
        "force": one.raw.get("force", "gtc"), "instId": one.instrument.id, "orderId": str(one.id),
        "orderType": "market" if one.price is None else "limit", "enterPointSource": "API",
        "status": status_of(one), "uTime": str(one.updated),
    }  # fmt: skip


def _filled(done: Fill) -> dict[str, str]:
    return {
        "baseVolume": text(done.amount), "fillFee": text(-done.fee), "fillFeeCoin": done.fee_coin,
        "fillPrice": text(done.price), "fillTime": str(done.time), "tradeId": str(done.id),
        "tradeScope": "M" if done.maker else "T",
    }  # fmt: skip


def _pair_order(state: State, one: Order, done: Fill | None) -> dict[str, Any]:
    """`newSize` is the amount, of a market buy the cost; `size` says little."""
    price = one.price or state.price(one.instrument)
    cost = one.cost if one.cost is not None else one.amount * price
    row = _order(one) | {
        "newSize": text(one.amount if one.cost is None else one.cost), "notional": text(cost),
        "priceAvg": text(one.average), "side": "buy" if one.buy else "sell", "size": text(cost),
    }  # fmt: skip
    if one.price is not None:
        row["price"] = text(one.price, one.instrument.tick)
    return row if done is None else row | _filled(done)


def _contract_order(state: State, one: Order, done: Fill | None) -> dict[str, Any]:
    item, sides = one.instrument, sides_of(one)
    row = _order(one) | sides | {
        "leverage": one.raw.get("lever", text(state.leverage(item))), "marginCoin": item.settle,
        "marginMode": one.raw.get("mode", "crossed"), "reduceOnly": sides["reduceOnly"].lower(),
        "notionalUsd": text(dollars(item, one.amount, one.price or state.price(item))),
        "price": text(one.price, item.tick) if one.price is not None else "0", "size": text(one.amount),
    }  # fmt: skip
    if one.fills:
        row["priceAvg"] = text(one.average)
    if done is None:
        return row
    return row | _filled(done) | {
        "fillNotionalUsd": text(dollars(item, done.amount, done.price)), "pnl": text(done.profit),
    }  # fmt: skip


def dollars(item: Instrument, amount: Decimal, price: Decimal) -> Decimal:
    """About what an amount is worth in dollars."""
    return item.value(amount, price) * Decimal(str(LEVELS[item.settle]))


def plan(one: Order) -> dict[str, Any]:
    """A plan after a change; its `price` is its trigger."""
    item, spot = one.instrument, one.instrument.kind is Kind.SPOT
    level = text(one.trigger if one.trigger is not None else one.activation or Decimal(0))
    row = {
        "instId": item.id, "orderId": str(one.id), "clientOid": own_id(one), "triggerPrice": level,
        "triggerType": by(one), "price": level, "size": text(one.amount), "actualSize": text(one.amount),
        "orderType": "market" if one.price is None else "limit", "enterPointSource": "API",
        "status": status_of(one), "cTime": str(one.created), "uTime": str(one.updated),
    }  # fmt: skip
    if spot:
        more = {"planType": "amount", "side": "buy" if one.buy else "sell", "executePrice": text(one.price or 0)}
        return row | more
    sides = sides_of(one)
    del sides["reduceOnly"]
    return row | sides | {
        "planType": PLANS.get(plan_of(one), "pl"), "triggerTime": str(one.updated), "marginCoin": item.settle,
        "stopSurplusTriggerType": "fill_price", "stopLossTriggerType": "fill_price",
    }  # fmt: skip


def fill(one: Order, done: Fill) -> dict[str, Any]:
    """An execution; the fee of a contract is negative, that of a pair is not."""
    item, spot = one.instrument, one.instrument.kind is Kind.SPOT
    fee = {
        "feeCoin": done.fee_coin, "deduction": "no", "totalDeductionFee": "0",
        "totalFee": text(done.fee if spot else -done.fee),
    }  # fmt: skip
    row = {
        "orderId": str(one.id), "tradeId": str(done.id), "symbol": item.id, "feeDetail": [fee],
        "orderType": "market" if one.price is None else "limit", "tradeScope": "maker" if done.maker else "taker",
        "cTime": str(done.time), "uTime": str(done.time),
    }  # fmt: skip
    worth = text(item.notional(done.amount, done.price))
    if spot:
        return row | {
            "side": "buy" if one.buy else "sell", "priceAvg": text(done.price), "size": text(done.amount),
            "amount": worth,
        }  # fmt: skip
    sides = sides_of(one)
    return row | {name: sides[name] for name in ("side", "posMode", "tradeSide")} | {
        "price": text(done.price), "baseVolume": text(done.amount), "quoteVolume": worth,
        "profit": text(done.profit),
    }  # fmt: skip


# --- the account


def position(state: State, held: Position) -> dict[str, Any]:
    """A position; one that is closed is not told any more."""
    item, size, margin, gain = held.instrument, abs(held.amount), state.margin(held), state.profit(held)
    isolated = (item.kind, item.id) in state.isolated
    return {
        "posId": f"{item.id}{held.side}", "instId": item.id, "marginCoin": item.settle,
        "marginSize": text(margin), "marginMode": "isolated" if isolated else "crossed",
        "holdSide": "long" if held.amount > 0 else "short", "posMode": mode_of(state, product_of(item)),
        "total": text(size), "available": text(size), "frozen": "0", "openPriceAvg": text(held.entry),
        "leverage": int(state.leverage(item)), "achievedProfits": text(held.realized),
        "unrealizedPL": text(gain), "unrealizedPLR": text(gain / margin if margin else 0),
        "liquidationPrice": text(state.liquidation(held)), "keepMarginRate": text(state.maintenance_rate(held)),
        "marginRate": "0.001", "cTime": str(held.opened), "breakEvenPrice": text(held.entry), "totalFee": "0",
        "deductedFee": "0", "uTime": str(held.updated), "autoMargin": "off",
    }  # fmt: skip


def money(state: State, wallet: str, coin: str) -> dict[str, str]:
    """A coin of a wallet: the spot wallet's, or that of a product type."""
    frozen = text(state.locked(wallet, coin))
    if wallet == "SPOT":
        return {
            "coin": coin, "available": text(state.free(wallet, coin)), "frozen": frozen, "locked": "0",
            "limitAvailable": "0", "uTime": str(state.now()),
        }  # fmt: skip
    cash, gains = state.balances[wallet, coin], state.gains(wallet, coin)
    free = text(max(state.free(wallet, coin), Decimal(0)))
    return {
        "marginCoin": coin, "frozen": frozen, "available": text(cash), "maxOpenPosAvailable": free,
        "maxTransferOut": free, "equity": text(cash + gains),
        "usdtEquity": text((cash + gains) * Decimal(str(LEVELS[coin]))),
    }  # fmt: skip
