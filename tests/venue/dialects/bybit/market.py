"""Bybit's public data; numbers are strings, and lists begin with the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from metaexpert.timeframe import TIMEFRAMES, floor

from ...instruments import Instrument, Kind, fixed, text
from ...orders import Reason, Refusal
from ...prices import VOLATILITY, greeks
from ...routes import Call, Routes, newest
from .listing import entry_of

if TYPE_CHECKING:
    from decimal import Decimal

    from ...books import BookChange
    from ...prices import Greeks, Trade
    from ...state import State

ROUTES = Routes()
HOUR = 3_600_000
INTERVALS = {
    str(TIMEFRAMES[name] // 60_000): TIMEFRAMES[name]
    for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h")
} | {"D": TIMEFRAMES["1d"], "W": TIMEFRAMES["1w"]}  # fmt: skip


def kind_of(call: Call) -> Kind:
    """The category that every request names."""
    try:
        return Kind(call.need("category"))
    except ValueError:
        raise Refusal(Reason.PARAMETER, "category") from None


def asked(call: Call) -> Instrument:
    """The instrument that a request names."""
    return call.state.instrument(call.need("symbol"), kind_of(call))


def listing(call: Call, rows: list[Any], most: int, **more: Any) -> dict[str, Any]:
    """One page of `rows`; the cursor is where the next one begins."""
    begin, limit = call.whole("cursor", 0), min(call.whole("limit", most), most)
    cursor = str(begin + limit) if begin + limit < len(rows) else ""
    return {"category": call.get("category"), "list": rows[begin : begin + limit], "nextPageCursor": cursor} | more


@ROUTES.on("GET", "/v5/market/time")
def time(call: Call) -> Any:
    return {"timeSecond": str(call.now // 1000), "timeNano": str(call.now * 1_000_000)}


@ROUTES.on("GET", "/v5/system/status")
def status(_: Call) -> Any:
    return {"list": []}


@ROUTES.on("GET", "/v5/market/instruments-info")
def instruments_info(call: Call) -> Any:
    name, base = call.get("symbol"), call.get("baseCoin")
    items = [call.state.instrument(name, kind_of(call))] if name else call.state.listed(kind_of(call))
    if call.get("status") == "PreLaunch":
        items = []
    return listing(call, [entry_of(item) for item in items if base in {"", item.base}], 1000)


@ROUTES.on("GET", "/v5/market/kline")
def kline(call: Call) -> Any:
    return _klines(call, "last")


@ROUTES.on("GET", "/v5/market/mark-price-kline")
def mark_kline(call: Call) -> Any:
    return _klines(call, "mark")


@ROUTES.on("GET", "/v5/market/index-price-kline")
def index_kline(call: Call) -> Any:
    return _klines(call, "index")


def _klines(call: Call, what: str) -> Any:
    """The newest `limit` rows of the window."""
    item, name = asked(call), call.need("interval")
    if name not in INTERVALS:
        raise Refusal(Reason.PARAMETER, "interval")
    interval, limit = INTERVALS[name], min(call.whole("limit", 200), 1000)
    end = min(call.whole("end", call.now), call.now) + 1
    begin = max(call.whole("start", 0), floor(end - 1, interval) - (limit - 1) * interval)
    rows = newest(call.state.candles(item, interval, begin, end, what), limit)
    table = [
        [str(row.time), *(text(price, item.tick) for price in (row.open, row.high, row.low, row.close))]
        + ([text(row.volume), text(item.value(row.volume, row.close))] if what == "last" else [])
        for row in reversed(rows)
    ]  # fmt: skip
    return {"symbol": item.id, "category": call.get("category"), "list": table}


@ROUTES.on("GET", "/v5/market/funding/history")
def funding_history(call: Call) -> Any:
    item, end = asked(call), min(call.whole("endTime", call.now), call.now) + 1
    if call.get("startTime") and not call.get("endTime"):
        raise Refusal(Reason.PARAMETER, "endTime")
    limit = min(call.whole("limit", 200), 200)
    begin = max(call.whole("startTime", 0), end - (limit + 1) * item.funding_hours * HOUR)
    rows = newest(call.state.prices.fundings(item, begin, end), limit)
    table = [
        {"symbol": item.id, "fundingRate": text(rate), "fundingRateTimestamp": str(at)}
        for at, rate in reversed(rows)
    ]
    return {"category": call.get("category"), "list": table}


@ROUTES.on("GET", "/v5/market/recent-trade")
def recent_trade(call: Call) -> Any:
    item = asked(call)
    most = 60 if item.kind is Kind.SPOT else 1000
    limit = min(call.whole("limit", min(most, 500)), most)
    rows = newest(call.state.trades(item, call.now - (limit + 8) * 15_000, call.now + 1), limit)
    table = [
        {
            "execId": trade_id(item, row), "symbol": item.id, "price": text(row.price, item.tick),
            "size": text(row.amount),
            "side": "Buy" if row.buy else "Sell", "time": str(row.time), "isBlockTrade": False,
            "isRPITrade": False,
            "seq": str(row.id),
        }
        for row in reversed(rows)
    ]  # fmt: skip
    return {"category": call.get("category"), "list": table}


def trade_id(item: Instrument, row: Trade) -> str:
    """Trades of spot have numbers, others UUIDs."""
    return str(row.id) if item.kind is Kind.SPOT else str(UUID(int=row.id))


@ROUTES.on("GET", "/v5/market/orderbook")
def orderbook(call: Call) -> Any:
    item = asked(call)
    whole = call.state.books.look(item)
    told = levels(item, whole.top(min(call.whole("limit", 25), 500)).whole())
    return told | {"ts": call.now, "cts": call.now}


def levels(item: Instrument, change: BookChange) -> dict[str, Any]:
    """A book, or what changed in it."""
    sides = {
        name: [[text(price, item.tick), text(size)] for price, size in rows]
        for name, rows in (("b", change.bids), ("a", change.asks))
    }
    return {"s": item.id, **sides, "u": change.sequence, "seq": change.sequence}


@ROUTES.on("GET", "/v5/market/tickers")
def tickers(call: Call) -> Any:
    kind, name, base = kind_of(call), call.get("symbol"), call.get("baseCoin")
    if kind is Kind.OPTION and not name and not base:
        raise Refusal(Reason.PARAMETER, "baseCoin")
    items = [call.state.instrument(name, kind)] if name else call.state.listed(kind)
    rows = [ticker(call.state, item, call.now) for item in items if base in {"", item.base}]
    return {"category": kind.value, "list": rows}


def ticker(state: State, item: Instrument, now: int) -> dict[str, Any]:
    """The last 24 hours of an instrument, in the words of its category."""
    return {Kind.SPOT: _spot, Kind.OPTION: _option}.get(item.kind, _contract)(state, item, now)


def _spot(state: State, item: Instrument, _: int) -> dict[str, Any]:
    row = _top(state, item)
    index = state.price(item, "index")
    return row | {"usdIndexPrice": fixed(index)} if item.quote == "USDT" else row


def _top(state: State, item: Instrument) -> dict[str, Any]:
    day, (bids, asks) = state.day(item), state.book(item, 1)
    return {
        "symbol": item.id, "bid1Price": text(bids[0][0], item.tick) if bids else "0",
        "bid1Size": text(bids[0][1]) if bids else "0", "ask1Price": text(asks[0][0], item.tick),
        "ask1Size": text(asks[0][1]), "lastPrice": text(day.close, item.tick),
        "prevPrice24h": text(day.open, item.tick), "price24hPcnt": fixed((day.close - day.open) / day.open, 6),
        "highPrice24h": text(day.high, item.tick), "lowPrice24h": text(day.low, item.tick),
        "turnover24h": fixed(item.value(day.volume, day.close)), "volume24h": text(day.volume),
    }  # fmt: skip


def _contract(state: State, item: Instrument, now: int) -> dict[str, Any]:
    """The open interest of an inverse contract is counted in dollars, its value in coins."""
    every = item.funding_hours * HOUR
    coming, open_interest = now // every * every + every, item.step * 1_000_000
    mark, index = state.price(item, "mark"), state.price(item, "index")
    return _top(state, item) | {
        "indexPrice": text(index, item.tick), "markPrice": text(mark, item.tick),
        "prevPrice1h": text(mark, item.tick), "openInterest": text(open_interest),
        "openInterestValue": fixed(item.value(open_interest, mark)),
        "fundingRate": text(state.prices.funding_rate(item, coming)) if item.perpetual else "",
        "nextFundingTime": str(coming) if item.perpetual else "0", "predictedDeliveryPrice": "",
        "basisRate": "" if item.perpetual else fixed(mark / index - 1), "deliveryFeeRate": "",
        "deliveryTime": str(item.expiry or 0), "basis": "" if item.perpetual else fixed(mark - index),
        "preOpenPrice": "", "preQty": "", "curPreListingPhase": "",
    }  # fmt: skip


def _option(state: State, item: Instrument, now: int) -> dict[str, Any]:
    row = _top(state, item)
    change = row.pop("price24hPcnt")
    del row["prevPrice24h"]
    price = underlying(state, item)
    told: Greeks = greeks(item, float(price), now)
    return row | {
        "bid1Iv": text(VOLATILITY - 0.01), "ask1Iv": text(VOLATILITY + 0.01), "markIv": text(VOLATILITY),
        "markPrice": fixed(state.price(item, "mark")), "indexPrice": fixed(price),
        "underlyingPrice": fixed(price), "openInterest": "11.35", "totalVolume": row["volume24h"],
        "totalTurnover": row["turnover24h"], "delta": fixed(told.delta), "gamma": fixed(told.gamma),
        "vega": fixed(told.vega), "theta": fixed(told.theta), "predictedDeliveryPrice": "0", "change24h": change,
    }  # fmt: skip


def underlying(state: State, item: Instrument) -> Decimal:
    """The index under an option."""
    return state.price(state.instrument(item.base + "USDT", Kind.SPOT), "index")


@ROUTES.on("GET", "/v5/market/risk-limit")
def risk_limit(call: Call) -> Any:
    items = [asked(call)] if call.get("symbol") else call.state.listed(kind_of(call))
    rows = [
        {
            "id": place, "symbol": item.id, "riskLimitValue": text(step.cap),
            "maintenanceMargin": text(step.rate), "initialMargin": text(step.rate * 2),
            "isLowestRisk": int(place == 1), "maxLeverage": f"{step.leverage:.2f}", "mmDeduction": "",
        }
        for item in items for place, step in enumerate(item.tiers.steps, 1)
    ]  # fmt: skip
    return listing(call, rows, 1000)


@ROUTES.on("GET", "/v5/market/open-interest")
def open_interest(call: Call) -> Any:
    item = asked(call)
    rows = [{"openInterest": text(item.step * 1_000_000), "timestamp": str(call.now // HOUR * HOUR)}]
    return {"symbol": item.id, "category": call.get("category"), "list": rows, "nextPageCursor": ""}
