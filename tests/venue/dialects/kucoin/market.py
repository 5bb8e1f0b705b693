"""KuCoin's public data; of spot numbers are strings, of contracts mostly not."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from metaexpert.timeframe import TIMEFRAMES, floor

from ...instruments import Instrument, Kind, text
from ...orders import Reason, Refusal
from ...routes import Call, Routes, newest
from .codes import is_contracts
from .listing import coin_id, contract_entry, pair_entry

if TYPE_CHECKING:
    from ...prices import Candle
    from ...state import State

ROUTES = Routes()
HOUR = 3_600_000
CONTRACTS = (Kind.LINEAR, Kind.INVERSE)
TYPES = {f"{name}min": TIMEFRAMES[f"{name}m"] for name in ("1", "3", "5", "15", "30")} | {
    f"{name}hour": TIMEFRAMES[f"{name}h"] for name in ("1", "2", "4", "6", "12")
} | {"1day": TIMEFRAMES["1d"], "1week": TIMEFRAMES["1w"]}  # fmt: skip
MINUTES = {interval // 60_000: interval for interval in TYPES.values()}
PRICES = {"-mark-price": "mark", "-index-price": "index"}


def pair(call: Call) -> Instrument:
    """The pair that a request names."""
    return call.state.instrument(call.need("symbol"), Kind.SPOT)


def contract(call: Call) -> Instrument:
    """The contract that a request names."""
    return call.state.instrument(call.need("symbol"), *CONTRACTS)


@ROUTES.on("GET", "/api/v1/timestamp")
def timestamp(call: Call) -> Any:
    return call.now


@ROUTES.on("GET", "/api/v1/status")
def status(_: Call) -> Any:
    return {"status": "open", "msg": ""}


@ROUTES.on("GET", "/api/v2/symbols")
def symbols(call: Call) -> Any:
    return [pair_entry(item) for item in call.state.listed(Kind.SPOT)]


@ROUTES.on("GET", "/api/v1/contracts/active")
def contracts_active(call: Call) -> Any:
    return [contract_entry(call, item) for item in call.state.listed(*CONTRACTS)]


@ROUTES.on("GET", "/api/v1/contracts/{symbol}")
def contract_info(call: Call) -> Any:
    return contract_entry(call, contract(call))


@ROUTES.on("GET", "/api/v3/currencies")
def currencies(call: Call) -> Any:
    chain = {
        "chainName": "Venue", "withdrawalMinSize": "0.01", "withdrawMinSize": "0.01", "depositMinSize": "0.01",
        "withdrawFeeRate": "0", "withdrawalMinFee": "0.001", "withdrawMinFee": "0.001", "isWithdrawEnabled": True,
        "isDepositEnabled": True, "confirms": 3, "preConfirms": 1, "contractAddress": "", "withdrawPrecision": 8,
        "maxWithdraw": None, "maxDeposit": None, "needTag": False, "chainId": "venue",
    }  # fmt: skip
    return [
        {
            "currency": coin, "name": coin, "fullName": coin, "precision": 8, "confirms": None,
            "contractAddress": None, "isMarginEnabled": False, "isDebitEnabled": False, "chains": [chain],
        }
        for coin in call.state.coins("trade_hf")
    ]  # fmt: skip


@ROUTES.on("GET", "/api/v3/margin/symbols", signed=True)
def margin_symbols(call: Call) -> Any:
    return {"timestamp": call.now, "items": []}


@ROUTES.on("GET", "/api/v1/isolated/symbols", signed=True)
def isolated_symbols(_: Call) -> Any:
    return []


@ROUTES.on("GET", "/api/v1/market/candles")
def candles(call: Call) -> Any:
    """Of spot: the newest 1,500 of a window in seconds, its end left out, the newest first."""
    return [row_of(*one) for one in _seconds(call, pair(call), call.need("type"), "last")]


@ROUTES.on("GET", "/api/ua/v1/market/kline")
def unified_kline(call: Call) -> Any:
    """Of all kinds, and of mark and index prices by an ending of the symbol."""
    name, what = call.need("symbol"), "last"
    for ending, price in PRICES.items():
        if name.endswith(ending):
            name, what = name.removesuffix(ending), price
    kinds = (Kind.SPOT,) if call.need("tradeType") == "SPOT" else CONTRACTS
    item = call.state.instrument(name, *kinds)
    rows = [row_of(*one) for one in _seconds(call, item, call.need("interval"), what)]
    if what != "last":
        rows = [[*row[:5], "0", "0"] for row in rows]
    return {"tradeType": call.need("tradeType"), "symbol": call.need("symbol"), "list": rows}


def _seconds(call: Call, item: Instrument, name: str, what: str) -> list[tuple[Instrument, Candle]]:
    if name not in TYPES:
        raise Refusal(Reason.PARAMETER, "type")
    interval = TYPES[name]
    end = min(call.whole("endAt", 0) * 1000 or call.now + 1, call.now + 1)
    begin = max(call.whole("startAt", 0) * 1000, floor(end - 1, interval) - 1499 * interval)
    rows = newest(call.state.candles(item, interval, begin, end, what), 1500)
    return [(item, row) for row in reversed(rows)]


def row_of(item: Instrument, row: Candle) -> list[str]:
    """Open, close, high, low: the close comes second."""
    prices = (text(price, item.tick) for price in (row.open, row.close, row.high, row.low))
    return [str(row.time // 1000), *prices, text(row.volume), text(item.notional(row.volume, row.close))]


@ROUTES.on("GET", "/api/v1/kline/query")
def kline_query(call: Call) -> Any:
    """Of contracts: the oldest 500 of a window, both ends included; the volume is counted in lots."""
    item, minutes = contract(call), call.whole("granularity", 0)
    if minutes not in MINUTES:
        raise Refusal(Reason.PARAMETER, "granularity")
    interval, end = MINUTES[minutes], min(call.whole("to", call.now), call.now) + 1
    begin = call.whole("from", max(floor(end - 1, interval) - 499 * interval, 0))
    rows = call.state.candles(item, interval, begin, min(end, begin + 501 * interval))[:500]
    return [
        [
            row.time, *(float(price) for price in (row.open, row.high, row.low, row.close)), int(row.volume),
            float(item.value(row.volume, row.close)),
        ]
        for row in rows
    ]  # fmt: skip


@ROUTES.on("GET", "/api/v1/market/histories")
def histories(call: Call) -> Any:
    item = pair(call)
    rows = newest(call.state.trades(item, call.now - 108 * 15_000, call.now + 1), 100)
    return [
        {
            "sequence": str(row.id), "price": text(row.price, item.tick), "size": text(row.amount),
            "side": "buy" if row.buy else "sell", "time": row.time * 1_000_000,
        }
        for row in rows
    ]  # fmt: skip


@ROUTES.on("GET", "/api/v1/trade/history")
def trade_history(call: Call) -> Any:
    item = contract(call)
    rows = newest(call.state.trades(item, call.now - 108 * 15_000, call.now + 1), 100)
    return [
        {
            "sequence": row.id, "contractId": 101, "tradeId": str(row.id), "makerOrderId": str(row.id * 2),
            "takerOrderId": str(row.id * 2 + 1), "ts": row.time * 1_000_000, "size": int(row.amount),
            "price": text(row.price, item.tick), "side": "buy" if row.buy else "sell",
        }
        for row in reversed(rows)
    ]  # fmt: skip


def _spot_book(call: Call, depth: int) -> Any:
    item = pair(call)
    _, sequence, bids, asks = call.state.books.look(item).top(depth).whole()
    sides = {
        name: [[text(price, item.tick), text(size)] for price, size in levels]
        for name, levels in (("bids", bids), ("asks", asks))
    }
    return {"time": call.now, "sequence": str(sequence)} | sides


@ROUTES.on("GET", "/api/v1/market/orderbook/level2_20")
def book_20(call: Call) -> Any:
    return _spot_book(call, 20)


@ROUTES.on("GET", "/api/v1/market/orderbook/level2_100")
def book_100(call: Call) -> Any:
    return _spot_book(call, 100)


@ROUTES.on("GET", "/api/v3/market/orderbook/level2", signed=True)
def book_full(call: Call) -> Any:
    return _spot_book(call, 500)


def _contract_book(call: Call, depth: int) -> Any:
    item = contract(call)
    _, sequence, bids, asks = call.state.books.look(item).top(depth).whole()
    sides = {
        name: [[float(price), int(size)] for price, size in levels]
        for name, levels in (("bids", bids), ("asks", asks))
    }
    return {"sequence": sequence, "symbol": item.id, **sides, "ts": call.now * 1_000_000}


@ROUTES.on("GET", "/api/v1/level2/snapshot")
def snapshot(call: Call) -> Any:
    return _contract_book(call, 500)


@ROUTES.on("GET", "/api/v1/level2/depth20")
def depth_20(call: Call) -> Any:
    return _contract_book(call, 20)


@ROUTES.on("GET", "/api/v1/level2/depth100")
def depth_100(call: Call) -> Any:
    return _contract_book(call, 100)


@ROUTES.on("GET", "/api/v1/market/stats")
def stats(call: Call) -> Any:
    item = pair(call)
    return {"time": call.now, "symbol": item.id} | ticker_of(call.state, item)


@ROUTES.on("GET", "/api/v1/market/allTickers")
def all_tickers(call: Call) -> Any:
    rows = [
        {"symbol": item.id, "symbolName": item.id, "bestBidSize": "1", "bestAskSize": "1"}
        | ticker_of(call.state, item)
        for item in call.state.listed(Kind.SPOT)
    ]
    return {"time": call.now, "ticker": rows}


def ticker_of(state: State, item: Instrument) -> dict[str, str]:
    """The day's figures, and the best of the book."""
    day, (bids, asks) = state.day(item), state.book(item, 1)
    return {
        "buy": text(bids[0][0], item.tick) if bids else "0", "sell": text(asks[0][0], item.tick),
        "changeRate": f"{(day.close - day.open) / day.open:.4f}", "changePrice": text(day.close - day.open),
        "high": text(day.high, item.tick), "low": text(day.low, item.tick), "vol": text(day.volume),
        "volValue": text(item.notional(day.volume, day.close)), "last": text(day.close, item.tick),
        "averagePrice": text((day.high + day.low) / 2), "takerFeeRate": text(item.taker),
        "makerFeeRate": text(item.maker), "takerCoefficient": "1", "makerCoefficient": "1",
    }  # fmt: skip


@ROUTES.on("GET", "/api/v1/ticker")
def ticker(call: Call) -> Any:
    return contract_ticker_of(call.state, contract(call))


@ROUTES.on("GET", "/api/v1/allTickers")
def contract_tickers(call: Call) -> Any:
    return [contract_ticker_of(call.state, item) for item in call.state.listed(*CONTRACTS)]


def contract_ticker_of(state: State, item: Instrument) -> dict[str, Any]:
    """The last trade and the best of the book."""
    trade = state.trades(item, state.now() - 8 * 15_000, state.now() + 1)[-1]
    bids, asks = state.book(item, 1)
    bid, size = bids[0] if bids else (Decimal(0), Decimal(0))
    return {
        "sequence": trade.id, "symbol": item.id, "side": "buy" if trade.buy else "sell", "size": int(trade.amount),
        "tradeId": str(trade.id), "price": text(state.price(item), item.tick),
        "bestBidPrice": text(bid, item.tick), "bestBidSize": int(size),
        "bestAskPrice": text(asks[0][0], item.tick), "bestAskSize": int(asks[0][1]), "ts": trade.time * 1_000_000,
    }  # fmt: skip


@ROUTES.on("GET", "/api/v1/mark-price/{symbol}/current")
def mark_price(call: Call) -> Any:
    """Of a contract, with its index; of a pair alone."""
    if not is_contracts(call):
        item = pair(call)
        value = float(call.state.price(item, "mark"))
        return {"symbol": item.id, "timePoint": call.now, "value": value, "granularity": 1000}
    item = contract(call)
    return {
        "symbol": item.id, "granularity": 1000, "timePoint": call.now,
        "value": float(call.state.price(item, "mark")), "indexPrice": float(call.state.price(item, "index")),
    }  # fmt: skip


@ROUTES.on("GET", "/api/v1/funding-rate/{symbol}/current")
def funding_rate(call: Call) -> Any:
    """The rate of the coming funding; `timePoint` was the last one."""
    item = _perpetual(call)
    every = item.funding_hours * HOUR
    last = call.now // every * every
    return {
        "symbol": f".{item.id}FPI8H", "granularity": every, "timePoint": last,
        "value": float(call.state.prices.funding_rate(item, last + every)), "dailyInterestRate": 0.0003,
        "fundingRateCap": 0.003, "fundingRateFloor": -0.003, "period": 1, "fundingTime": last + every,
    }  # fmt: skip


@ROUTES.on("GET", "/api/v1/contract/funding-rates")
def funding_rates(call: Call) -> Any:
    """The newest 100 of a window, the newest first."""
    item, end = _perpetual(call), min(call.whole("to", call.now), call.now) + 1
    call.need("from")
    begin = max(call.whole("from", 0), end - 101 * item.funding_hours * HOUR)
    rows = newest(call.state.prices.fundings(item, begin, end), 100)
    return [{"symbol": item.id, "fundingRate": float(rate), "timepoint": at} for at, rate in reversed(rows)]


def _perpetual(call: Call) -> Instrument:
    item = contract(call)
    if not item.perpetual:
        raise Refusal(Reason.SYMBOL, item.id)
    return item


@ROUTES.on("GET", "/api/v1/contracts/risk-limit/{symbol}")
def risk_limit(call: Call) -> Any:
    item = contract(call)
    edges = [0, *(int(step.cap) for step in item.tiers.steps)]
    return [
        {
            "symbol": item.id, "level": level, "maxRiskLimit": int(step.cap), "minRiskLimit": least,
            "maxLeverage": int(step.leverage), "initialMargin": float(step.rate * 2),
            "maintainMargin": float(step.rate),
        }
        for level, (least, step) in enumerate(zip(edges, item.tiers.steps, strict=False), 1)
    ]  # fmt: skip


def value_of(item: Instrument, amount: Decimal, price: Decimal) -> str:
    """What an amount is worth in the coin of settlement."""
    return text(item.value(amount, price)) if price else "0"


def settlement(item: Instrument) -> str:
    """The coin of settlement, by KuCoin's name."""
    return coin_id(item.settle)
