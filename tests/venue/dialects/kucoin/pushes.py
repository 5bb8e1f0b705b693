"""What KuCoin pushes of its markets: the `data` of a message, a function of the state or of one event in it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import Kind, text
from .market import HOUR, row_of, ticker_of

if TYPE_CHECKING:
    from ...instruments import Instrument
    from ...market import Levels
    from ...prices import Candle, Trade
    from ...state import State

NANO = 1_000_000
"""Nanoseconds of a millisecond."""
DAY = (
    "buy", "sell", "changeRate", "changePrice", "high", "low", "vol", "volValue", "averagePrice", "takerFeeRate",
    "makerFeeRate", "takerCoefficient", "makerCoefficient",
)  # fmt: skip


def trade(item: Instrument, row: Trade) -> dict[str, Any]:
    """A trade of the tape; of contracts numbers are numbers."""
    side, price = "buy" if row.buy else "sell", text(row.price, item.tick)
    told = {
        "symbol": item.id, "side": side, "price": price, "tradeId": str(row.id),
        "takerOrderId": str(row.id * 2 + 1), "makerOrderId": str(row.id * 2),
    }  # fmt: skip
    if item.kind is Kind.SPOT:
        more = {"sequence": str(row.id), "type": "match", "size": text(row.amount), "time": str(row.time * NANO)}
        return told | more
    return told | {"sequence": row.id, "size": int(row.amount), "ts": row.time * NANO}


def candle(item: Instrument, row: Candle, now: int) -> dict[str, Any]:
    """A candle: open, close, high, low; of contracts the first volume is wrong and the second counts lots."""
    told = row_of(item, row)
    if item.kind is Kind.SPOT:
        return {"symbol": item.id, "candles": told, "time": now * NANO}
    lots = text(row.volume)
    return {"symbol": item.id, "candles": [*told[:5], f"{float(row.volume)}", lots], "time": now}


def ticker(state: State, item: Instrument, sequence: int) -> dict[str, Any]:
    """Of a pair: the last trade and the best of the book."""
    (last,) = state.trades(item, state.now() - 8 * 15_000, state.now() + 1)[-1:]
    bids, asks = state.book(item, 1)
    bid, size = bids[0] if bids else (Decimal(0), Decimal(0))
    return {
        "sequence": str(sequence), "price": text(state.price(item), item.tick), "size": text(last.amount),
        "bestAsk": text(asks[0][0], item.tick), "bestAskSize": text(asks[0][1]),
        "bestBid": text(bid, item.tick), "bestBidSize": text(size), "time": state.now(),
    }  # fmt: skip


def snapshot(state: State, item: Instrument, sequence: int) -> dict[str, Any]:
    """The day of a pair, as numbers, beside its last hour and its last four."""
    told, day = ticker_of(state, item), _span(state, item, 24)
    bids, asks = state.book(item, 1)
    last = float(told["last"])
    return {
        "sequence": sequence,
        "data": {name: float(told[name]) for name in DAY} | {
            "askSize": float(asks[0][1]), "bidSize": float(bids[0][1]) if bids else 0.0, "board": 1,
            "baseCurrency": item.base, "quoteCurrency": item.quote, "symbol": item.id, "symbolCode": item.id,
            "close": last, "lastTradedPrice": last, "open": day["open"], "datetime": state.now(),
            "marginTrade": False, "mark": 0, "market": "USDS" if item.quote == "USDT" else item.quote,
            "markets": [item.quote], "marketChange1h": _span(state, item, 1),
            "marketChange4h": _span(state, item, 4), "marketChange24h": day, "sort": 100, "trading": True,
        },
    }  # fmt: skip


def _span(state: State, item: Instrument, hours: int) -> dict[str, float]:
    rows = state.candles(item, HOUR // 4, state.now() - hours * HOUR, state.now() + 1)
    opened, closed = rows[0].open, rows[-1].close
    volume = sum((row.volume for row in rows), Decimal(0))
    return {
        "changePrice": float(closed - opened), "changeRate": round(float((closed - opened) / opened), 4),
        "high": float(max(row.high for row in rows)), "low": float(min(row.low for row in rows)),
        "open": float(opened), "vol": float(volume), "volValue": float(item.notional(volume, closed)),
    }  # fmt: skip


def quote(state: State, item: Instrument) -> dict[str, Any]:
    """The best bid and ask."""
    bids, asks = state.book(item, 1)
    bid, size = bids[0] if bids else (Decimal(0), Decimal(0))
    ask, other = asks[0]
    if item.kind is Kind.SPOT:
        return {
            "asks": [text(ask, item.tick), text(other)], "bids": [text(bid, item.tick), text(size)],
            "timestamp": state.now(),
        }  # fmt: skip
    return {
        "symbol": item.id, "bestBidSize": int(size), "bestBidPrice": float(bid), "bestAskPrice": float(ask),
        "bestAskSize": int(other), "ts": state.now() * NANO,
    }  # fmt: skip


def depth(item: Instrument, bids: Levels, asks: Levels, sequence: int, now: int) -> dict[str, Any]:
    """The best levels."""
    sides = {
        name: [[text(price, item.tick), text(size)] for price, size in side]
        for name, side in (("asks", asks), ("bids", bids))
    }
    if item.kind is Kind.SPOT:
        return sides | {"timestamp": now}
    return sides | {"sequence": sequence, "timestamp": now, "ts": now * NANO}


def changes(item: Instrument, bids: Levels, asks: Levels, before: int, now: int) -> dict[str, Any]:
    """Levels of a pair that changed, each with a number of its own: those that follow `before`."""
    sides: dict[str, list[list[str]]] = {"asks": [], "bids": []}
    number = before
    for name, side in (("asks", asks), ("bids", bids)):
        for price, size in side:
            number += 1
            sides[name].append([text(price, item.tick), text(size), str(number)])
    return {
        "changes": sides, "sequenceStart": before + 1, "sequenceEnd": number, "symbol": item.id, "time": now,
    }  # fmt: skip


def change(item: Instrument, side: str, level: tuple[Decimal, Decimal], sequence: int, now: int) -> dict[str, Any]:
    """One level of a contract that changed; the side is that of an order: buy or sell."""
    price, size = level
    told = f"{text(price, item.tick)},{side},{text(size)}"
    return {"sequence": sequence, "change": told, "timestamp": now}


def mark(state: State, item: Instrument) -> dict[str, Any]:
    """Mark and index price of a contract."""
    return {
        "granularity": 1000, "indexPrice": float(state.price(item, "index")),
        "markPrice": float(state.price(item, "mark")), "timestamp": state.now(),
    }  # fmt: skip


def funding(state: State, item: Instrument) -> dict[str, Any]:
    """The rate of the coming funding."""
    rate = float(state.prices.funding_rate(item, coming(state, item)))
    return {"granularity": 60_000, "fundingRate": rate, "timestamp": state.now()}


def coming(state: State, item: Instrument) -> int:
    """When the next funding is, ms."""
    every = item.funding_hours * HOUR
    return state.now() // every * every + every


def unified_mark(state: State, item: Instrument) -> dict[str, Any]:
    """Mark and index price on the unified account's feed."""
    return {
        "s": item.id, "mp": text(state.price(item, "mark"), item.tick),
        "ip": text(state.price(item, "index"), item.tick), "oi": "5815990", "ts": state.now(),
    }  # fmt: skip


def unified_funding(state: State, item: Instrument) -> dict[str, Any]:
    """The coming funding and the last one on the unified account's feed."""
    at, every = coming(state, item), item.funding_hours * HOUR
    return {
        "s": item.id, "fr": text(state.prices.funding_rate(item, at)), "ft": at - every, "nt": at, "gl": every,
        "fc": "0.003", "ff": "-0.003",
    }  # fmt: skip
