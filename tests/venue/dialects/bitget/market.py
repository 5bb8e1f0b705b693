"""Bitget's public data; numbers are strings, and candles begin with the oldest."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from metaexpert.timeframe import TIMEFRAMES, floor

from ...instruments import DAY, LEVELS, Instrument, Kind, text
from ...orders import Reason, Refusal
from ...routes import Call, Routes, newest
from .listing import DEMO, contract, contract_entry, pair_entry, product, product_of

if TYPE_CHECKING:
    from ...prices import Candle, Trade
    from ...state import State

ROUTES = Routes()
HOUR = 3_600_000
SPAN = 90 * DAY
"""The longest window of a request for candles."""
MINUTES = ("1", "3", "5", "15", "30")
UTC = {"6Hutc": "6h", "12Hutc": "12h", "1Dutc": "1d", "1Wutc": "1w"}
PAIR_BARS = {f"{name}min": TIMEFRAMES[f"{name}m"] for name in MINUTES} | {
    name: TIMEFRAMES[name] for name in ("1h", "2h", "4h")
}
BARS = {f"{name}m": TIMEFRAMES[f"{name}m"] for name in MINUTES} | {
    f"{hours}H": TIMEFRAMES[f"{hours}h"] for hours in (1, 2, 4)
}
"""Without `utc` the longer ones begin at midnight in Hong Kong; these are not offered here."""
REACH = {"1m": 30, "3m": 30, "5m": 30, "15m": 52, "30m": 62, "1h": 83, "2h": 120, "4h": 240, "6h": 360}
"""How many days back the recent candles reach."""


def pair(call: Call) -> Instrument:
    """The pair that a request names."""
    return call.state.instrument(call.need("symbol").upper(), Kind.SPOT)


def asked(call: Call) -> Instrument:
    """The pair or the contract that a request names, by the part of the interface that it came to."""
    return pair(call) if "/spot/" in call.path else contract(call)


@ROUTES.on("GET", "/api/v2/public/time")
def time(call: Call) -> Any:
    return {"serverTime": str(call.now)}


@ROUTES.on("GET", "/api/v2/spot/public/symbols")
def symbols(call: Call) -> Any:
    items = [pair(call)] if call.get("symbol") else call.state.listed(Kind.SPOT)
    return [pair_entry(item) for item in items]


@ROUTES.on("GET", "/api/v2/mix/market/contracts")
def contracts(call: Call) -> Any:
    if (kind := product(call)) in DEMO:
        return []
    items = [contract(call)] if call.get("symbol") else call.state.listed(Kind.LINEAR, Kind.INVERSE)
    return [contract_entry(item) for item in items if product_of(item) == kind]


@ROUTES.on("GET", "/api/v2/margin/currencies")
def margin_currencies(call: Call) -> Any:
    """None of the pairs is traded on margin here."""
    return [
        {
            "symbol": item.id, "baseCoin": item.base, "quoteCoin": item.quote, "maxCrossedLeverage": "3",
            "maxIsolatedLeverage": "10", "warningRiskRatio": "0.8", "liquidationRiskRatio": "1",
            "minTradeAmount": text(item.min_amount), "maxTradeAmount": "10000", "takerFeeRate": text(item.taker),
            "makerFeeRate": text(item.maker), "pricePrecision": "2", "quantityPrecision": "6",
            "minTradeUSDT": "5", "isBorrowable": False, "userMinBorrow": "0.00000001", "status": "1",
            "isIsolatedBaseBorrowable": False, "isIsolatedQuoteBorrowable": False, "isCrossBorrowable": False,
        }
        for item in call.state.listed(Kind.SPOT)
    ]  # fmt: skip


@ROUTES.on("GET", "/api/v2/spot/public/coins")
def coins(call: Call) -> Any:
    chain = {
        "chain": "Venue", "needTag": "false", "withdrawable": "true", "rechargeable": "true",
        "withdrawFee": "0.001", "extraWithdrawFee": "0", "depositConfirm": "6", "withdrawConfirm": "12",
        "minDepositAmount": "0.01", "minWithdrawAmount": "0.1", "browserUrl": "", "contractAddress": "",
        "withdrawStep": "0", "withdrawMinScale": "8", "congestion": "normal",
    }  # fmt: skip
    return [
        {"coinId": str(place), "coin": coin, "transfer": "true", "chains": [chain], "areaCoin": "no"}
        for place, coin in enumerate(call.state.coins("SPOT"), 1)
    ]


@ROUTES.on("GET", "/api/v2/spot/market/candles", "/api/v2/mix/market/candles")
def candles(call: Call) -> Any:
    kinds = {"MARKET": "last", "MARK": "mark", "INDEX": "index"}
    if (what := call.get("kLineType", "MARKET").upper()) not in kinds:
        raise Refusal(Reason.PARAMETER, "kLineType")
    return _candles(call, kinds[what], 1000)


@ROUTES.on("GET", "/api/v2/spot/market/history-candles", "/api/v2/mix/market/history-candles")
def history_candles(call: Call) -> Any:
    return _candles(call, "last", 200, old=True)


@ROUTES.on("GET", "/api/v2/mix/market/history-mark-candles")
def history_mark_candles(call: Call) -> Any:
    return _candles(call, "mark", 200, old=True)


@ROUTES.on("GET", "/api/v2/mix/market/history-index-candles")
def history_index_candles(call: Call) -> Any:
    return _candles(call, "index", 200, old=True)


def _candles(call: Call, what: str, most: int, *, old: bool = False) -> Any:
    """The newest `limit` rows before `endTime`; recent ones reach only some days back, old ones need an end."""
    item, name = asked(call), call.need("granularity")
    told = UTC.get(name)
    interval = TIMEFRAMES[told] if told else (PAIR_BARS if item.kind is Kind.SPOT else BARS).get(name)
    if interval is None:
        raise Refusal(Reason.PARAMETER, "granularity")
    limit = min(call.whole("limit", 100), most)
    if old and item.kind is Kind.SPOT:
        call.need("endTime")
    end = min(call.whole("endTime", call.now + 1), call.now + 1)
    if call.get("startTime") and call.get("endTime") and end - call.whole("startTime", 0) > SPAN and not told:
        raise Refusal(Reason.PARAMETER, "startTime and endTime interval cannot be greater than 90 days")
    begin = floor(end - 1, interval) - (limit - 1) * interval
    if not old:
        begin = max(begin, call.whole("startTime", 0), call.now - _reach(interval))
    rows = newest(call.state.candles(item, interval, begin, end, what), limit)
    return [candle_of(item, row) for row in rows]


def candle_of(item: Instrument, row: Candle) -> list[str]:
    """A candle's row."""
    prices = (text(price, item.tick) for price in (row.open, row.high, row.low, row.close))
    return [str(row.time), *prices, *_volumes(item, row.volume, row.close)]


def _reach(interval: int) -> int:
    name = next(name for name, length in TIMEFRAMES.items() if length == interval)
    return REACH.get(name, 1440) * DAY


def _volumes(item: Instrument, amount: Decimal, price: Decimal) -> tuple[str, ...]:
    """In base and in quote, of inverse contracts too; of spot in dollars between them."""
    quote = text(item.notional(amount, price))
    return (text(amount), quote, quote) if item.kind is Kind.SPOT else (text(amount), quote)


@ROUTES.on("GET", "/api/v2/spot/market/fills", "/api/v2/mix/market/fills")
def fills(call: Call) -> Any:
    item, limit = asked(call), min(call.whole("limit", 100), 500 if "/spot/" in call.path else 100)
    rows = newest(call.state.trades(item, call.now - (limit + 8) * 15_000, call.now + 1), limit)
    return [_trade(item, row) for row in reversed(rows)]


@ROUTES.on("GET", "/api/v2/spot/market/fills-history", "/api/v2/mix/market/fills-history")
def fills_history(call: Call) -> Any:
    """The newest `limit` of a window of at most a week, older than an id."""
    item, limit = asked(call), min(call.whole("limit", 500), 1000)
    end = min(call.whole("endTime", call.now), call.now) + 1
    if last := call.whole("idLessThan", 0):
        end = min(end, last * 15_000)  # ids count the quarters of minutes
    if call.get("startTime") and end - call.whole("startTime", 0) > 7 * DAY + 1:
        raise Refusal(Reason.PARAMETER, "startTime and endTime interval cannot be greater than 7 days")
    begin = max(call.whole("startTime", 0), end - (limit + 8) * 15_000)
    return [_trade(item, row) for row in reversed(newest(call.state.trades(item, begin, end), limit))]


def _trade(item: Instrument, row: Trade) -> dict[str, str]:
    return {
        "tradeId": str(row.id), "symbol": item.id, "side": "Buy" if row.buy else "Sell",
        "price": text(row.price, item.tick), "size": text(row.amount), "ts": str(row.time),
    }  # fmt: skip


@ROUTES.on("GET", "/api/v2/spot/market/orderbook", "/api/v2/mix/market/merge-depth")
def book(call: Call) -> Any:
    spot, limit = "/spot/" in call.path, call.get("limit")
    if not spot and limit not in {"", "1", "5", "15", "50", "max"}:
        raise Refusal(Reason.PARAMETER, "limit")
    item = asked(call)
    depth = 150 if limit == "max" else min(int(limit or 100), 150)
    _, _, bids, asks = call.state.books.look(item).top(depth).whole()
    number: Any = str if spot else float  # contracts' levels are the only numbers that are no strings
    sides: dict[str, Any] = {
        name: [[number(text(price, item.tick)), number(text(size))] for price, size in levels]
        for name, levels in (("asks", asks), ("bids", bids))
    }
    more = {} if spot else {"precision": "scale0", "scale": text(item.tick), "isMaxPrecision": "NO"}
    return sides | {"ts": str(call.now)} | more


@ROUTES.on("GET", "/api/v2/spot/market/tickers")
def spot_tickers(call: Call) -> Any:
    items = [pair(call)] if call.get("symbol") else call.state.listed(Kind.SPOT)
    state = call.state
    return [ticker_of(state, item) | {"open": text(state.day(item).open, item.tick)} for item in items]


@ROUTES.on("GET", "/api/v2/mix/market/ticker")
def ticker(call: Call) -> Any:
    return [contract_ticker_of(call.state, contract(call))]


@ROUTES.on("GET", "/api/v2/mix/market/tickers")
def tickers(call: Call) -> Any:
    kind = product(call)
    items = [item for item in call.state.listed(Kind.LINEAR, Kind.INVERSE) if product_of(item) == kind]
    return [contract_ticker_of(call.state, item) for item in items]


def ticker_of(state: State, item: Instrument) -> dict[str, str]:
    """The day's figures, and the best of the book."""
    day, (bids, asks) = state.day(item), state.book(item, 1)
    bid, size = bids[0] if bids else (Decimal(0), Decimal(0))
    change = f"{(day.close - day.open) / day.open:.5f}"
    quote = text(item.notional(day.volume, day.close))
    return {
        "symbol": item.id, "high24h": text(day.high, item.tick), "low24h": text(day.low, item.tick),
        "lastPr": text(day.close, item.tick), "quoteVolume": quote, "baseVolume": text(day.volume),
        "usdtVolume": quote, "ts": str(state.now()), "bidPr": text(bid, item.tick),
        "askPr": text(asks[0][0], item.tick), "bidSz": text(size), "askSz": text(asks[0][1]),
        "openUtc": text(day.open, item.tick), "changeUtc24h": change, "change24h": change,
    }  # fmt: skip


def contract_ticker_of(state: State, item: Instrument) -> dict[str, str]:
    """The same of a contract, with its mark, index and funding."""
    rate = coming(state, item)[1] if item.perpetual else Decimal(0)
    return ticker_of(state, item) | {
        "indexPrice": text(state.price(item, "index"), item.tick), "fundingRate": text(rate),
        "holdingAmount": text(item.step * 1_000_000),
        "deliveryStartTime": "" if item.perpetual else str(item.listed),
        "deliveryTime": str(item.expiry or ""), "deliveryStatus": "" if item.perpetual else "delivery_normal",
        "open24h": text(state.day(item).open, item.tick),
        "markPrice": text(state.price(item, "mark"), item.tick),
    }  # fmt: skip


def coming(state: State, item: Instrument) -> tuple[int, Decimal]:
    """When the next funding is, and its rate."""
    every = item.funding_hours * HOUR
    at = state.now() // every * every + every
    return at, state.prices.funding_rate(item, at)


@ROUTES.on("GET", "/api/v2/mix/market/symbol-price")
def symbol_price(call: Call) -> Any:
    item, last = contract(call), call.state.price(contract(call))
    mark, index = call.state.price(item, "mark"), call.state.price(item, "index")
    return [{
        "symbol": item.id, "price": text(last, item.tick), "indexPrice": text(index, item.tick),
        "markPrice": text(mark, item.tick), "ts": str(call.now),
    }]  # fmt: skip


@ROUTES.on("GET", "/api/v2/mix/market/current-fund-rate")
def current_fund_rate(call: Call) -> Any:
    item = _perpetual(call)
    at, rate = coming(call.state, item)
    return [{
        "symbol": item.id, "fundingRate": text(rate), "fundingRateInterval": str(item.funding_hours),
        "nextUpdate": str(at), "minFundingRate": "-0.003", "maxFundingRate": "0.003",
    }]  # fmt: skip


@ROUTES.on("GET", "/api/v2/mix/market/history-fund-rate")
def history_fund_rate(call: Call) -> Any:
    """Page by page from the newest; a time can't be asked for."""
    item, size = _perpetual(call), min(call.whole("pageSize", 20), 100)
    every, page = item.funding_hours * HOUR, max(call.whole("pageNo", 1), 1)
    end = (call.now // every - (page - 1) * size) * every + 1
    rows = call.state.prices.fundings(item, end - size * every, end)
    return [{"symbol": item.id, "fundingRate": text(rate), "fundingTime": str(at)} for at, rate in reversed(rows)]


def _perpetual(call: Call) -> Instrument:
    item = contract(call)
    if not item.perpetual:
        raise Refusal(Reason.SYMBOL, item.id)
    return item


@ROUTES.on("GET", "/api/v2/mix/market/open-interest")
def open_interest(call: Call) -> Any:
    item = contract(call)
    return {
        "openInterestList": [{"symbol": item.id, "size": text(item.step * 1_000_000)}], "ts": str(call.now),
    }  # fmt: skip


@ROUTES.on("GET", "/api/v2/mix/market/query-position-lever")
def position_lever(call: Call) -> Any:
    """Bounds are worth in dollars, of inverse contracts too."""
    item = contract(call)
    level = Decimal(str(LEVELS[item.base])) if item.kind is Kind.INVERSE else 1
    edges = [Decimal(0), *(step.cap * level for step in item.tiers.steps)]
    return [
        {
            "symbol": item.id, "level": str(number), "startUnit": text(least), "endUnit": text(most),
            "leverage": str(int(step.leverage)), "keepMarginRate": text(step.rate),
        }
        for number, (least, most, step) in enumerate(zip(edges, edges[1:], item.tiers.steps, strict=False), 1)
    ]  # fmt: skip
