"""Binance's public data."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from metaexpert.timeframe import floor, parse

from ...instruments import Instrument, Kind, fixed, text
from ...orders import Reason, Refusal
from ...prices import VOLATILITY, Candle, Trade, greeks
from ...routes import Call, Routes
from .listing import entry_of, kind_of

if TYPE_CHECKING:
    from ...state import State

ROUTES = Routes()
LIMITS = {Kind.SPOT: 1000, Kind.LINEAR: 1500, Kind.INVERSE: 1500, Kind.OPTION: 1500}
"""The most candles of one answer; 500 unless asked."""


@ROUTES.on("GET", "/api/v3/time", "/fapi/v1/time", "/dapi/v1/time", "/eapi/v1/time")
def time(call: Call) -> Any:
    return {"serverTime": call.now}


@ROUTES.on("GET", "/api/v3/ping", "/fapi/v1/ping", "/dapi/v1/ping", "/eapi/v1/ping")
def ping(_: Call) -> Any:
    return {}


@ROUTES.on("GET", "/sapi/v1/system/status")
def status(_: Call) -> Any:
    return {"status": 0, "msg": "normal"}


@ROUTES.on(
    "GET", "/api/v3/exchangeInfo", "/fapi/v1/exchangeInfo", "/dapi/v1/exchangeInfo", "/eapi/v1/exchangeInfo"
)  # fmt: skip
def exchange_info(call: Call) -> Any:
    kind = kind_of(call.path)
    entries = [entry_of(item) for item in call.state.listed(kind)]
    limits = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
    ]
    told = {"timezone": "UTC", "serverTime": call.now, "rateLimits": limits}
    if kind is Kind.OPTION:
        contracts = [
            {"baseAsset": base, "quoteAsset": "USDT", "underlying": f"{base}USDT", "settleAsset": "USDT"}
            for base in ("BTC", "ETH")
        ]
        return told | {"optionContracts": contracts, "optionAssets": [{"name": "USDT"}], "optionSymbols": entries}
    return told | {"exchangeFilters": [], "symbols": entries}


@ROUTES.on("GET", "/api/v3/klines", "/fapi/v1/klines", "/dapi/v1/klines", "/eapi/v1/klines")
def klines(call: Call) -> Any:
    return _klines(call, call.state.instrument(call.need("symbol"), kind_of(call.path)), "last")


@ROUTES.on("GET", "/fapi/v1/markPriceKlines", "/dapi/v1/markPriceKlines")
def mark_klines(call: Call) -> Any:
    return _klines(call, call.state.instrument(call.need("symbol"), kind_of(call.path)), "mark")


@ROUTES.on("GET", "/fapi/v1/indexPriceKlines", "/dapi/v1/indexPriceKlines")
def index_klines(call: Call) -> Any:
    name = call.need("pair")
    return _klines(
        call, call.state.instrument(name + ("_PERP" if "dapi" in call.path else ""), kind_of(call.path)), "index"
    )


def _klines(call: Call, item: Instrument, what: str) -> Any:
    """With a start, the oldest rows from it on; without, the newest."""
    interval = interval_of(call.need("interval"))
    limit = min(call.whole("limit", 500), LIMITS[item.kind])
    end = call.whole("endTime", call.now) + 1
    if start := call.whole("startTime", 0):
        ends = min(end, floor(start + interval - 1, interval) + limit * interval)
        return [kline(item, row, interval, what) for row in call.state.candles(item, interval, start, ends, what)]
    rows = call.state.candles(item, interval, end - limit * interval, end, what)
    return [kline(item, row, interval, what) for row in rows]


def interval_of(name: str) -> int:
    try:
        return parse(name)
    except Exception:  # noqa: BLE001 - whatever it is, the exchange knows no such interval
        raise Refusal(Reason.PARAMETER, "interval") from None


def kline(item: Instrument, row: Candle, interval: int, what: str) -> list[Any]:
    """Volume in amount, then in quote; a coin-margined contract has its second volume in base coins."""
    prices = [price_text(item, price) for price in (row.open, row.high, row.low, row.close)]
    volume = row.volume if what == "last" else Decimal(0)
    worth = item.value(volume, row.close)
    half, other = (volume / 2).quantize(item.step), fixed(worth / 2)
    return [row.time, *prices, amount_text(item, volume), row.time + interval - 1, fixed(worth), row.trades,
            amount_text(item, half), other, "0"]  # fmt: skip


def amount_text(item: Instrument, amount: Decimal) -> str:
    return text(amount, Decimal("1e-8") if item.kind is Kind.SPOT else item.step)


def price_text(item: Instrument, price: Decimal) -> str:
    return fixed(price) if item.kind is Kind.SPOT else text(price, item.tick)


@ROUTES.on("GET", "/fapi/v1/fundingRate", "/dapi/v1/fundingRate")
def funding_rate(call: Call) -> Any:
    item = call.state.instrument(call.need("symbol"), kind_of(call.path))
    limit, end = min(call.whole("limit", 100), 1000), min(call.whole("endTime", call.now), call.now) + 1
    start = call.whole("startTime", 0)
    rows = call.state.prices.fundings(item, start or end - limit * item.funding_hours * 3_600_000, end)
    return [
        {
            "symbol": item.id, "fundingTime": at, "fundingRate": fixed(rate),
            "markPrice": fixed(call.state.prices.at(item, at, "mark")),
        }
        for at, rate in rows[:limit]
    ]  # fmt: skip


@ROUTES.on("GET", "/fapi/v1/fundingInfo", "/dapi/v1/fundingInfo")
def funding_info(call: Call) -> Any:
    return [
        {
            "symbol": item.id, "adjustedFundingRateCap": "0.02000000", "adjustedFundingRateFloor": "-0.02000000",
            "fundingIntervalHours": item.funding_hours, "disclaimer": False,
        }
        for item in call.state.listed(kind_of(call.path)) if item.perpetual
    ]  # fmt: skip


@ROUTES.on("GET", "/fapi/v1/premiumIndex", "/dapi/v1/premiumIndex")
def premium_index(call: Call) -> Any:
    kind = kind_of(call.path)
    name = call.get("symbol")
    asked = [call.state.instrument(name, kind)] if name else call.state.listed(kind)
    rows = [premium(call.state, item, call.now) for item in asked]
    return rows[0] if name and kind is Kind.LINEAR else rows


def premium(state: State, item: Instrument, now: int) -> dict[str, Any]:
    every = item.funding_hours * 3_600_000
    coming = now // every * every + every
    row: dict[str, Any] = {
        "symbol": item.id, "markPrice": fixed(state.price(item, "mark")),
        "indexPrice": fixed(state.price(item, "index")),
        "estimatedSettlePrice": fixed(state.price(item, "index")),
        "lastFundingRate": fixed(state.prices.funding_rate(item, coming)) if item.perpetual else "",
        "interestRate": "0.00010000" if item.perpetual else "", "nextFundingTime": coming if item.perpetual else 0,
        "time": now,
    }  # fmt: skip
    return row if item.kind is Kind.LINEAR else row | {"pair": item.base + item.quote}


@ROUTES.on("GET", "/api/v3/aggTrades", "/fapi/v1/aggTrades", "/dapi/v1/aggTrades")
def agg_trades(call: Call) -> Any:
    item = call.state.instrument(call.need("symbol"), kind_of(call.path))
    limit, start = min(call.whole("limit", 500), 1000), call.whole("startTime", 0)
    end = min(call.whole("endTime", call.now), call.now) + 1
    rows = (
        call.state.trades(item, start, min(end, start + 3_600_000)) if start else _latest(call, item, limit, end)
    )
    return [agg_trade(item, row) for row in rows[:limit]]


def _latest(call: Call, item: Instrument, limit: int, end: int) -> list[Trade]:
    return call.state.trades(item, end - (limit + 8) * 15_000, end)[-limit:]


def agg_trade(item: Instrument, row: Trade) -> dict[str, Any]:
    told = {
        "a": row.id, "p": price_text(item, row.price), "q": amount_text(item, row.amount), "f": row.id,
        "l": row.id, "T": row.time, "m": not row.buy,
    }  # fmt: skip
    return told | {"M": True} if item.kind is Kind.SPOT else told


@ROUTES.on("GET", "/api/v3/trades", "/fapi/v1/trades", "/dapi/v1/trades")
def trades(call: Call) -> Any:
    item = call.state.instrument(call.need("symbol"), kind_of(call.path))
    return [
        {
            "id": row.id, "price": price_text(item, row.price), "qty": amount_text(item, row.amount),
            "baseQty" if item.kind is Kind.INVERSE else "quoteQty": fixed(item.value(row.amount, row.price)),
            "time": row.time, "isBuyerMaker": not row.buy,
        } | ({"isBestMatch": True} if item.kind is Kind.SPOT else {})
        for row in _latest(call, item, min(call.whole("limit", 500), 1000), call.now + 1)
    ]  # fmt: skip


@ROUTES.on("GET", "/eapi/v1/trades")
def option_trades(call: Call) -> Any:
    item = call.state.instrument(call.need("symbol"), Kind.OPTION)
    return [
        {
            "id": row.id, "tradeId": row.id, "symbol": item.id, "price": text(row.price, item.tick),
            "qty": text(row.amount, item.step), "quoteQty": text(row.amount * row.price),
            "side": 1 if row.buy else -1, "time": row.time,
        }
        for row in _latest(call, item, min(call.whole("limit", 100), 500), call.now + 1)
    ]  # fmt: skip


@ROUTES.on("GET", "/api/v3/ticker/24hr", "/fapi/v1/ticker/24hr", "/dapi/v1/ticker/24hr", "/eapi/v1/ticker")
def tickers(call: Call) -> Any:
    kind = kind_of(call.path)
    name = call.get("symbol")
    asked = [call.state.instrument(name, kind)] if name else call.state.listed(kind)
    rows = [ticker_row(call.state, item, call.now) for item in asked]
    return rows[0] if name and kind in {Kind.SPOT, Kind.LINEAR} else rows


def ticker_row(state: State, item: Instrument, now: int) -> dict[str, Any]:
    day = state.day(item)
    change = day.close - day.open
    row: dict[str, Any] = {
        "symbol": item.id, "priceChange": price_text(item, change),
        "priceChangePercent": fixed(change / day.open * 100, 3),
        "weightedAvgPrice": price_text(item, (day.high + day.low) / 2),
        "lastPrice": price_text(item, day.close), "lastQty": amount_text(item, item.step),
        "openPrice": price_text(item, day.open), "highPrice": price_text(item, day.high),
        "lowPrice": price_text(item, day.low),
        "volume": amount_text(item, day.volume), "openTime": day.time, "closeTime": now, "firstId": 1,
        "lastId": day.trades, "count": day.trades,
    }  # fmt: skip
    bids, asks = state.book(item, 1)
    if item.kind is Kind.SPOT:
        row |= {
            "prevClosePrice": price_text(item, day.open), "bidPrice": price_text(item, bids[0][0]),
            "bidQty": fixed(bids[0][1]),
            "askPrice": price_text(item, asks[0][0]), "askQty": fixed(asks[0][1]),
        }  # fmt: skip
    if item.kind is Kind.INVERSE:
        return row | {"pair": item.base + item.quote, "baseVolume": fixed(item.value(day.volume, day.close))}
    if item.kind is Kind.OPTION:
        return _option_ticker(state, item, row)
    return row | {"quoteVolume": fixed(item.notional(day.volume, day.close))}


def _option_ticker(state: State, item: Instrument, day: dict[str, Any]) -> dict[str, Any]:
    bids, asks = state.book(item, 1)
    kept = (
        "symbol",
        "priceChange",
        "priceChangePercent",
        "lastPrice",
        "lastQty",
        "volume",
        "openTime",
        "closeTime",
    )
    return {name: day[name] for name in kept} | {
        "open": day["openPrice"], "high": day["highPrice"], "low": day["lowPrice"],
        "amount": fixed(Decimal(day["volume"]) * Decimal(day["lastPrice"])),
        "bidPrice": text(bids[0][0] if bids else Decimal(0), item.tick), "askPrice": text(asks[0][0], item.tick),
        "firstTradeId": 1, "tradeCount": day["count"], "strikePrice": text(item.strike or Decimal(0)),
        "exercisePrice": text(underlying(state, item)),
    }  # fmt: skip


@ROUTES.on(
    "GET", "/api/v3/ticker/price", "/fapi/v1/ticker/price", "/fapi/v2/ticker/price", "/dapi/v1/ticker/price"
)
def ticker_price(call: Call) -> Any:
    item = call.state.instrument(call.need("symbol"), kind_of(call.path))
    row = {"symbol": item.id, "price": price_text(item, call.state.price(item))}
    return [row] if item.kind is Kind.INVERSE else row


@ROUTES.on("GET", "/api/v3/ticker/bookTicker", "/fapi/v1/ticker/bookTicker", "/dapi/v1/ticker/bookTicker")
def book_tickers(call: Call) -> Any:
    kind, name = kind_of(call.path), call.get("symbol")
    asked = [call.state.instrument(name, kind)] if name else call.state.listed(kind)
    rows: list[dict[str, Any]] = []
    for item in asked:
        bids, asks = call.state.book(item, 1)
        rows.append({
            "symbol": item.id, "bidPrice": price_text(item, bids[0][0]), "bidQty": amount_text(item, bids[0][1]),
            "askPrice": price_text(item, asks[0][0]), "askQty": amount_text(item, asks[0][1]),
        })  # fmt: skip
    return rows[0] if name and kind is not Kind.INVERSE else rows


@ROUTES.on("GET", "/api/v3/depth", "/fapi/v1/depth", "/dapi/v1/depth", "/eapi/v1/depth")
def depth(call: Call) -> Any:
    item = call.state.instrument(call.need("symbol"), kind_of(call.path))
    book = call.state.books.look(item)
    top, number = book.top(min(call.whole("limit", 100), 1000)), book.sequence
    sides = {
        name: [[price_text(item, price), amount_text(item, size)] for price, size in levels.items()]
        for name, levels in (("bids", top.bids), ("asks", top.asks))
    }
    if item.kind is Kind.SPOT:
        return {"lastUpdateId": number, **sides}
    if item.kind is Kind.OPTION:
        return {"T": call.now, "u": number, **sides}
    told = {"lastUpdateId": number, "E": call.now, "T": call.now, **sides}
    return told | {"symbol": item.id, "pair": item.base + item.quote} if item.kind is Kind.INVERSE else told


@ROUTES.on("GET", "/eapi/v1/mark")
def option_marks(call: Call) -> Any:
    name = call.get("symbol")
    asked = [call.state.instrument(name, Kind.OPTION)] if name else call.state.listed(Kind.OPTION)
    return [greeks_row(call.state, item, call.now) for item in asked]


def greeks_row(state: State, item: Instrument, now: int) -> dict[str, Any]:
    told, mark = greeks(item, float(underlying(state, item)), now), state.price(item, "mark")
    return {
        "symbol": item.id, "markPrice": text(mark), "bidIV": fixed(VOLATILITY - 0.01),
        "askIV": fixed(VOLATILITY + 0.01), "markIV": fixed(VOLATILITY), "delta": fixed(told.delta),
        "theta": fixed(told.theta), "gamma": fixed(told.gamma), "vega": fixed(told.vega),
        "highPriceLimit": text(mark + item.tick * 100), "lowPriceLimit": text(item.tick), "riskFreeInterest": "0",
    }  # fmt: skip


@ROUTES.on("GET", "/eapi/v1/index")
def option_index(call: Call) -> Any:
    price = call.state.price(call.state.instrument(call.need("underlying"), Kind.SPOT), "index")
    return {"time": call.now, "indexPrice": text(price)}


def underlying(state: State, item: Instrument) -> Decimal:
    return state.price(state.instrument(item.base + item.quote, Kind.SPOT), "index")


@ROUTES.on("GET", "/fapi/v1/openInterest", "/dapi/v1/openInterest")
def open_interest(call: Call) -> Any:
    item = call.state.instrument(call.need("symbol"), kind_of(call.path))
    row = {"symbol": item.id, "openInterest": text(item.step * 100_000), "time": call.now}
    return row if item.kind is Kind.LINEAR else row | {"pair": item.base + item.quote, "contractType": "PERPETUAL"}
