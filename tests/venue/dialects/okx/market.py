"""OKX's public data; numbers are strings, and lists begin with the newest."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from metaexpert.timeframe import TIMEFRAMES, floor

from ...instruments import Instrument, Kind, fixed, text
from ...orders import Reason, Refusal
from ...prices import VOLATILITY, greeks
from ...routes import Call, Routes, newest
from .listing import TIERS, entry_of, family_of, type_of

if TYPE_CHECKING:
    from ...prices import Candle, Trade
    from ...state import State

ROUTES = Routes()
HOUR = 3_600_000
RECENT = 1440
"""How many bars back the recent candles reach."""
BARS = {name: TIMEFRAMES[name] for name in ("1m", "3m", "5m", "15m", "30m")} | {
    "1H": TIMEFRAMES["1h"], "2H": TIMEFRAMES["2h"], "4H": TIMEFRAMES["4h"], "6Hutc": TIMEFRAMES["6h"],
    "12Hutc": TIMEFRAMES["12h"], "1Dutc": TIMEFRAMES["1d"], "1Wutc": TIMEFRAMES["1w"],
}  # fmt: skip
"""Without `utc` the longer ones begin at midnight in Hong Kong; these are not offered here."""


def asked(call: Call) -> Instrument:
    """The instrument that a request names."""
    return call.state.instrument(call.need("instId"))


def wanted(call: Call) -> list[Instrument]:
    """The instruments that a request filters by type, index, name."""
    kind, index, name = call.get("instType"), call.get("instFamily") or call.get("uly"), call.get("instId")
    found = call.state.listed(*Kind)
    if name and name not in {item.id for item in found}:
        raise Refusal(Reason.SYMBOL, name)
    return [
        item for item in found
        if kind in {"", type_of(item)} and index in {"", family_of(item)} and name in {"", item.id}
    ]  # fmt: skip


def base_of(item: Instrument, amount: Decimal, price: Decimal) -> Decimal:
    """An amount in base coins."""
    return item.value(amount, price) if item.kind is Kind.INVERSE else amount * item.contract


@ROUTES.on("GET", "/api/v5/public/time")
def time(call: Call) -> Any:
    return [{"ts": str(call.now)}]


@ROUTES.on("GET", "/api/v5/system/status")
def status(_: Call) -> Any:
    return []


@ROUTES.on("GET", "/api/v5/public/instruments")
def instruments_info(call: Call) -> Any:
    """Options only of one index."""
    if call.need("instType") == "OPTION" and not (call.get("uly") or call.get("instFamily")):
        raise Refusal(Reason.PARAMETER, "uly or instFamily")
    return [entry_of(item) for item in wanted(call)]


@ROUTES.on("GET", "/api/v5/market/candles")
def candles(call: Call) -> Any:
    return _candles(call, asked(call), "last", 300, recent=True)


@ROUTES.on("GET", "/api/v5/market/history-candles")
def history_candles(call: Call) -> Any:
    return _candles(call, asked(call), "last", 300)


@ROUTES.on("GET", "/api/v5/market/mark-price-candles")
def mark_candles(call: Call) -> Any:
    return _candles(call, asked(call), "mark", 100, recent=True)


@ROUTES.on("GET", "/api/v5/market/history-mark-price-candles")
def history_mark_candles(call: Call) -> Any:
    return _candles(call, asked(call), "mark", 100)


@ROUTES.on("GET", "/api/v5/market/index-candles")
def index_candles(call: Call) -> Any:
    return _candles(call, _under(call), "index", 100, recent=True)


@ROUTES.on("GET", "/api/v5/market/history-index-candles")
def history_index_candles(call: Call) -> Any:
    return _candles(call, _under(call), "index", 100)


@ROUTES.on("GET", "/api/v5/market/index-tickers")
def index_tickers(call: Call) -> Any:
    """The one that is named."""
    item, day = _under(call), call.state.day(_under(call))
    price = call.state.price(item, "index")
    return [{
        "instId": family_of(item), "idxPx": text(price), "high24h": text(day.high), "low24h": text(day.low),
        "open24h": text(day.open), "sodUtc0": text(day.open), "sodUtc8": text(day.open), "ts": str(call.now),
    }]  # fmt: skip


def _under(call: Call) -> Instrument:
    """An instrument of the index that a request names."""
    name = call.need("instId")
    for item in call.state.listed(Kind.SPOT, Kind.LINEAR, Kind.INVERSE):
        if family_of(item) == name:
            return item
    raise Refusal(Reason.SYMBOL, name)


def _candles(call: Call, item: Instrument, what: str, most: int, *, recent: bool = False) -> Any:
    """The newest `limit` rows between `before` and `after`, both left out."""
    if (bar := call.get("bar", "1m")) not in BARS:
        raise Refusal(Reason.PARAMETER, "bar")
    interval, limit = BARS[bar], min(call.whole("limit", 100), most)
    end = min(call.whole("after", call.now + 1), call.now + 1)
    begin = max(call.whole("before", -1) + 1, floor(end - 1, interval) - (limit - 1) * interval)
    if recent:
        begin = max(begin, floor(call.now, interval) - (RECENT - 1) * interval)
    rows = newest(call.state.candles(item, interval, begin, end, what), limit)
    return [candle_of(item, row, interval, call.now, what) for row in reversed(rows)]


def candle_of(item: Instrument, row: Candle, interval: int, now: int, what: str = "last") -> list[str]:
    """A candle's row; its last column tells whether it is closed."""
    return [
        str(row.time), *(text(price, item.tick) for price in (row.open, row.high, row.low, row.close)),
        *(_volumes(item, row.volume, row.close) if what == "last" else ()),
        "1" if row.time + interval <= now else "0",
    ]  # fmt: skip


def _volumes(item: Instrument, amount: Decimal, price: Decimal) -> tuple[str, str, str]:
    """In contracts, in base and in quote; of spot in base and twice in quote."""
    quote = text(item.notional(amount, price))
    return text(amount), quote if item.kind is Kind.SPOT else text(base_of(item, amount, price)), quote


@ROUTES.on("GET", "/api/v5/market/trades")
def trades(call: Call) -> Any:
    item, limit = asked(call), min(call.whole("limit", 100), 500)
    rows = newest(call.state.trades(item, call.now - (limit + 8) * 15_000, call.now + 1), limit)
    return [trade_of(item, row) for row in reversed(rows)]


@ROUTES.on("GET", "/api/v5/market/history-trades")
def history_trades(call: Call) -> Any:
    """Older than `after`: a trade's id, or with type 2 a time."""
    item, limit, after = asked(call), min(call.whole("limit", 100), 100), call.whole("after", 0)
    end = call.now + 1
    if after:
        end = after if call.get("type") == "2" else after * 15_000  # ids count the quarters of minutes
    rows = newest(call.state.trades(item, end - (limit + 8) * 15_000, end), limit)
    return [trade_of(item, row) for row in reversed(rows)]


def trade_of(item: Instrument, row: Trade) -> dict[str, str]:
    """A trade of the tape."""
    return {
        "instId": item.id, "side": "buy" if row.buy else "sell", "sz": text(row.amount),
        "px": text(row.price, item.tick), "tradeId": str(row.id), "ts": str(row.time),
    }  # fmt: skip


@ROUTES.on("GET", "/api/v5/public/option-trades")
def option_trades(call: Call) -> Any:
    if not (call.get("instId") or call.get("instFamily")):
        raise Refusal(Reason.PARAMETER, "instId or instFamily")
    rows: list[dict[str, str]] = []
    for item in wanted(call):
        if item.kind is Kind.OPTION:
            index = text(underlying(call, item))
            more = {
                "fillVol": text(VOLATILITY), "fwdPx": index, "idxPx": index, "instFamily": family_of(item),
                "markPx": text(call.state.price(item, "mark")), "optType": "C" if item.call else "P",
            }  # fmt: skip
            found = newest(call.state.trades(item, call.now - 500_000, call.now + 1), 20)
            rows += [trade_of(item, row) | more for row in found]
    return sorted(rows, key=lambda row: int(row["ts"]), reverse=True)[:100]


@ROUTES.on("GET", "/api/v5/market/books", "/api/v5/market/books-full")
def books(call: Call) -> Any:
    """A level is price, amount, and the count of its orders, once with a zero that says nothing any more."""
    item, full = asked(call), call.path.endswith("full")
    _, _, bids, asks = call.state.books.look(item).top(min(call.whole("sz", 1), 5000 if full else 400)).whole()
    middle = () if full else ("0",)
    sides = {
        name: [[text(price, item.tick), text(size), *middle, "1"] for price, size in levels]
        for name, levels in (("asks", asks), ("bids", bids))
    }
    return [sides | {"ts": str(call.now)}]


@ROUTES.on("GET", "/api/v5/market/ticker")
def ticker(call: Call) -> Any:
    return [ticker_of(call.state, asked(call))]


@ROUTES.on("GET", "/api/v5/market/tickers")
def tickers(call: Call) -> Any:
    call.need("instType")
    return [ticker_of(call.state, item) for item in wanted(call)]


def ticker_of(state: State, item: Instrument) -> dict[str, str]:
    """The day's figures, and the best of the book."""
    day, (bids, asks) = state.day(item), state.book(item, 1)
    bid, size = bids[0] if bids else (Decimal(0), Decimal(0))
    amount, other, _ = _volumes(item, day.volume, day.close)
    return {
        "instType": type_of(item), "instId": item.id, "last": text(day.close, item.tick),
        "lastSz": text(item.min_amount), "askPx": text(asks[0][0], item.tick), "askSz": text(asks[0][1]),
        "bidPx": text(bid, item.tick), "bidSz": text(size), "open24h": text(day.open, item.tick),
        "high24h": text(day.high, item.tick), "low24h": text(day.low, item.tick), "volCcy24h": other,
        "vol24h": amount, "ts": str(state.now()), "sodUtc0": text(day.open, item.tick),
        "sodUtc8": text(day.open, item.tick),
    }  # fmt: skip


@ROUTES.on("GET", "/api/v5/public/mark-price")
def mark_price(call: Call) -> Any:
    call.need("instType")
    return [mark_of(call.state, item) for item in wanted(call) if item.kind is not Kind.SPOT]


def mark_of(state: State, item: Instrument) -> dict[str, str]:
    """The mark price."""
    return {
        "instType": type_of(item), "instId": item.id, "ts": str(state.now()),
        "markPx": text(state.price(item, "mark"), item.tick),
    }  # fmt: skip


@ROUTES.on("GET", "/api/v5/public/open-interest")
def open_interest(call: Call) -> Any:
    call.need("instType")
    rows: list[dict[str, str]] = []
    for item in wanted(call):
        if item.kind is not Kind.SPOT:
            amount, price = item.step * 1_000_000, call.state.price(item, "mark")
            rows.append({
                "instId": item.id, "instType": type_of(item), "oi": text(amount), "ts": str(call.now),
                "oiCcy": text(base_of(item, amount, price)), "oiUsd": text(item.notional(amount, price)),
            })  # fmt: skip
    return rows


@ROUTES.on("GET", "/api/v5/public/funding-rate")
def funding_rate(call: Call) -> Any:
    return [funding_of(call.state, _perpetual(call))]


def funding_of(state: State, item: Instrument) -> dict[str, str]:
    """The rate of the coming funding, and when that and the one after it are."""
    now, every = state.now(), item.funding_hours * HOUR
    coming = now // every * every + every
    return {
        "fundingRate": text(state.prices.funding_rate(item, coming)), "fundingTime": str(coming),
        "instId": item.id, "instType": "SWAP", "method": "current_period", "maxFundingRate": "0.00375",
        "minFundingRate": "-0.00375", "nextFundingRate": "", "nextFundingTime": str(coming + every),
        "premium": "0.0001", "settState": "settled", "ts": str(now), "formulaType": "noRate",
        "settFundingRate": text(state.prices.funding_rate(item, coming - every)), "impactValue": "",
        "interestRate": "",
    }  # fmt: skip


@ROUTES.on("GET", "/api/v5/public/funding-rate-history")
def funding_rate_history(call: Call) -> Any:
    """The newest `limit` between `before` and `after`, both left out."""
    item, limit = _perpetual(call), min(call.whole("limit", 100), 100)
    end = min(call.whole("after", call.now + 1), call.now + 1)
    begin = max(call.whole("before", -1) + 1, end - (limit + 1) * item.funding_hours * HOUR)
    rows = newest(call.state.prices.fundings(item, begin, end), limit)
    return [
        {
            "formulaType": "noRate", "fundingRate": text(rate), "fundingTime": str(at), "instId": item.id,
            "instType": "SWAP", "method": "current_period", "realizedRate": text(rate),
        }
        for at, rate in reversed(rows)
    ]  # fmt: skip


def _perpetual(call: Call) -> Instrument:
    item = asked(call)
    if not item.perpetual:
        raise Refusal(Reason.PARAMETER, "instId")
    return item


@ROUTES.on("GET", "/api/v5/public/position-tiers")
def position_tiers(call: Call) -> Any:
    call.need("instType")
    family = call.get("instFamily") or call.get("uly") or call.get("instId")
    edges = [Decimal(0), *(step.cap + 1 for step in TIERS.steps)]
    return [
        {
            "baseMaxLoan": "", "imr": text(1 / step.leverage), "instFamily": family, "instId": "",
            "maxLever": text(step.leverage), "maxSz": text(step.cap), "minSz": text(least),
            "mmr": text(step.rate), "optMgnFactor": "0", "quoteMaxLoan": "", "tier": str(place), "uly": family,
        }
        for place, (least, step) in enumerate(zip(edges, TIERS.steps, strict=False), 1)
    ]  # fmt: skip


@ROUTES.on("GET", "/api/v5/public/opt-summary")
def opt_summary(call: Call) -> Any:
    """Greeks in dollars (BS) and in coins (PA), of one index and perhaps one expiry."""
    if not (call.get("uly") or call.get("instFamily")):
        raise Refusal(Reason.PARAMETER, "uly or instFamily")
    day = call.get("expTime")
    return [
        _summary(call, item)
        for item in wanted(call) if item.kind is Kind.OPTION and day in {"", item.id.split("-")[2]}
    ]  # fmt: skip


def _summary(call: Call, item: Instrument) -> dict[str, str]:
    price = float(underlying(call, item))
    told = greeks(item, price, call.now)
    premium = float(call.state.price(item, "mark"))
    return {
        "askVol": text(VOLATILITY + 0.01), "bidVol": text(VOLATILITY - 0.01), "delta": fixed(told.delta - premium),
        "deltaBS": fixed(told.delta), "fwdPx": fixed(price), "gamma": fixed(told.gamma * price),
        "gammaBS": fixed(told.gamma, 12), "instId": item.id, "instType": "OPTION",
        "lever": fixed(1 / max(premium, 1e-4), 4), "markVol": text(VOLATILITY), "realVol": "0",
        "theta": fixed(told.theta / price, 12), "thetaBS": fixed(told.theta), "ts": str(call.now),
        "uly": family_of(item), "vega": fixed(told.vega / price, 12), "vegaBS": fixed(told.vega),
        "volLv": text(VOLATILITY),
    }  # fmt: skip


def underlying(call: Call, item: Instrument) -> Decimal:
    """The index under an option."""
    return call.state.price(call.state.instrument(f"{family_of(item)}-SWAP", Kind.INVERSE), "index")
