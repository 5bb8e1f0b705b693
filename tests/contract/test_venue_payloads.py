"""The venue's payloads beside recorded and documented ones: a dialect can't drift into fantasy."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from venue import Venue
from venue.dialects import binance, bitget, bybit, kucoin, okx
from venue.instruments import Kind
from venue.orders import Order
from venue.shapes import ask, differences, listed, recorded

from metaexpert.clock import SimClock

if TYPE_CHECKING:
    from pathlib import Path

    from venue.state import State

NOW = 1_790_000_000_000
NAMES = {
    "binance": ("BTCUSDT", "BTCUSDT", "BTCUSD_PERP"),
    "bybit": ("BTCUSDT", "BTCUSDT", "BTCUSD"),
    "bitget": ("BTCUSDT", "BTCUSDT", "BTCUSD"),
    "kucoin": ("BTC-USDT", "XBTUSDTM", "XBTUSDM"),
    "okx": ("BTC-USDT", "BTC-USDT-SWAP", "BTC-USD-SWAP"),
}
"""A spot pair, a linear and an inverse contract of each."""
pytestmark = pytest.mark.shared


def lived(name: str) -> State:
    """An account with a filled, a resting and a waiting order on spot, a linear and an inverse contract."""
    state = Venue(SimClock(NOW)).states[name]
    for kind, one in zip((Kind.SPOT, Kind.LINEAR, Kind.INVERSE), NAMES[name], strict=True):
        item = state.instrument(one, kind)
        state.pin(item, 50_000)
        amount = Decimal("0.1") if item.step < 1 else Decimal(10)
        state.place(
            Order(instrument=item, buy=True, amount=amount, client_id=f"{kind} filled", raw={"type": "MARKET"})
        )
        limit = Order(instrument=item, buy=True, amount=amount, price=Decimal(40_000), client_id=f"{kind} rests")
        limit.raw["type"] = "LIMIT"
        state.place(limit)
        stop = Order(instrument=item, buy=False, amount=amount, price=Decimal(44_000), client_id=f"{kind} waits")
        stop.trigger, stop.rises, stop.raw = Decimal(45_000), False, {"type": "STOP", "stop": "Stop"}
        state.place(stop)
    return state


def only(rows: list[dict[str, Any]], **fits: Any) -> list[dict[str, Any]]:
    """The rows that have these values."""
    return [row for row in rows if all(row.get(key) == value for key, value in fits.items())]


BINANCE: list[tuple[str, tuple[str, dict[str, Any]], list[str], set[str]]] = [
    ("ticker", ("GET /api/v3/ticker/24hr", {"symbol": "BTCUSDT"}), ["fetchTicker"], set()),
    ("book", ("GET /api/v3/depth", {"symbol": "BTCUSDT"}), ["fetchOrderBook"], set()),
    ("trades", ("GET /api/v3/aggTrades", {"symbol": "BTCUSDT"}), ["fetchTrades"], set()),
    ("klines", ("GET /api/v3/klines", {"symbol": "BTCUSDT", "interval": "1h"}), ["fetchOHLCV"], set()),
    ("fills", ("GET /api/v3/myTrades", {"symbol": "BTCUSDT"}), ["fetchMyTrades"], set()),
    ("modes", ("GET /fapi/v1/symbolConfig", {}), ["fetchMarginMode"], set()),
    ("greeks", ("GET /eapi/v1/mark", {}), ["fetchAllGreeks"], set()),
    ("cancelled", ("DELETE /fapi/v1/algoOpenOrders", {"symbol": "BTCUSDT"}), ["cancelAllOrders"], set()),
]


@pytest.mark.parametrize(("request_", "methods", "known"), [c[1:] for c in BINANCE], ids=[c[0] for c in BINANCE])
def test_binance(shared: Path, request_: tuple[str, dict[str, Any]], methods: list[str], known: set[str]) -> None:
    """Binance's answers have the keys and kinds of the recorded ones."""
    method, path = request_[0].split()
    ours = ask(binance, lived("binance"), method, path, **request_[1])
    assert differences(ours, recorded(shared, "binance", *methods), known) == []


def test_binance_live_types(shared: Path) -> None:
    """Of the answers recorded in February 2026 even the types are theirs: numbers and strings."""
    state = lived("binance")
    for name, path, args in (
        ("fetch_ticker_BTC_USDT", "/api/v3/ticker/24hr", {"symbol": "BTCUSDT"}),
        ("fetch_order_book_BTC_USDT", "/api/v3/depth", {"symbol": "BTCUSDT"}),
        ("fetch_trades_BTC_USDT", "/api/v3/aggTrades", {"symbol": "BTCUSDT"}),
        ("fetch_ohlcv_BTC_USDT", "/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1h"}),
        ("fetch_markets", "/dapi/v1/exchangeInfo", {}),
    ):
        file = shared / "data/ccxt_live_2026/binance" / f"{name}.json"
        real = json.loads(file.read_text(encoding="utf-8"))["http_response"]
        assert differences(ask(binance, state, "GET", path, **args), [real]) == [], name


def test_binance_orders_and_accounts(shared: Path) -> None:
    """Orders in their several forms, balances and positions."""
    state = lived("binance")
    real = {name: recorded(shared, "binance", name) for name in
            ("createOrder", "createOrders", "fetchOrder", "fetchOpenOrders", "fetchOpenOrder", "fetchPositions",
             "fetchBalance")}  # fmt: skip
    spot, contract = (
        {"symbol": "BTCUSDT", "origClientOrderId": f"{kind} filled"} for kind in (Kind.SPOT, Kind.LINEAR)
    )
    orders = only(ask(binance, state, "GET", "/api/v3/openOrders", symbol="BTCUSDT"), clientOrderId="spot rests")
    assert differences(orders, real["fetchOpenOrders"]) == []
    assert differences(ask(binance, state, "GET", "/api/v3/order", **spot), real["fetchOrder"]) == []
    assert differences(
        ask(binance, state, "GET", "/fapi/v1/order", **contract), real["fetchOpenOrder"], {"cumQty"}
    ) == []  # fmt: skip
    told = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.1", "price": "30000", "timeInForce": "GTC"}
    fresh = ask(binance, state, "POST", "/api/v3/order", **told, type="LIMIT", newClientOrderId="n")
    assert differences(fresh, real["createOrder"], {"icebergQty"}) == []
    fresh = ask(binance, state, "POST", "/fapi/v1/order", **told, type="LIMIT", newClientOrderId="n")
    assert differences(fresh, real["createOrders"][0], {"time"}) == []
    assert differences(ask(binance, state, "GET", "/api/v3/account"), [real["fetchBalance"][0]]) == []
    linear, inverse = real["fetchPositions"]
    assert differences(ask(binance, state, "GET", "/fapi/v3/positionRisk"), [linear]) == []
    assert differences(ask(binance, state, "GET", "/dapi/v1/positionRisk"), [inverse]) == []


def test_binance_listings(shared: Path) -> None:
    """Instruments of spot and both kinds of contracts."""
    state = lived("binance")
    spot = ask(binance, state, "GET", "/api/v3/exchangeInfo")["symbols"]
    assert differences(spot, [listed(shared, "binance", "BTC/USDT", "ETH/USDT")]) == []
    linear = ask(binance, state, "GET", "/fapi/v1/exchangeInfo")["symbols"]
    assert differences(linear, [listed(shared, "binance", "BTC/USDT:USDT", "ETH/USDT:USDT")]) == []
    inverse = ask(binance, state, "GET", "/dapi/v1/exchangeInfo")["symbols"]
    assert differences(inverse, [listed(shared, "binance", "BTC/USD:BTC")]) == []


BYBIT: list[tuple[str, tuple[str, dict[str, Any]], list[str], set[str]]] = [
    ("wallet", ("GET /v5/account/wallet-balance", {"accountType": "UNIFIED"}), ["fetchBalance"], {"spotBorrow"}),
    ("open", ("GET /v5/order/realtime", {"category": "linear", "symbol": "BTCUSDT"}), ["fetchOpenOrder"], set()),
    ("past", ("GET /v5/order/history", {"category": "spot"}), ["fetchOrder"],
     {"createType", "cumFeeDetail", "tpslMode", "nextPageCursor"}),
    ("positions", ("GET /v5/position/list", {"category": "linear", "settleCoin": "USDT"}),
     ["fetchPositions"], set()),
    ("fills", ("GET /v5/execution/list", {"category": "linear"}), ["fetchMyTrades"], {"nextPageCursor"}),
    ("cancelled", ("POST /v5/order/cancel-all", {"category": "linear"}), ["cancelAllOrders"], set()),
    ("klines", ("GET /v5/market/kline", {"category": "linear", "symbol": "BTCUSDT", "interval": "60"}),
     ["fetchOHLCV"], set()),
    ("book", ("GET /v5/market/orderbook", {"category": "linear", "symbol": "BTCUSDT"}),
     ["fetchOrderBook"], {"cts"}),
    ("trades", ("GET /v5/market/recent-trade", {"category": "linear", "symbol": "BTCUSDT"}), ["fetchTrades"],
     {"isRPITrade", "seq"}),
    ("ticker", ("GET /v5/market/tickers", {"category": "linear", "symbol": "BTCUSDT"}),
     ["fetchTicker", "fetchFundingRate"], set()),
    ("options", ("GET /v5/market/tickers", {"category": "option", "baseCoin": "BTC"}),
     ["fetchTickers", "fetchAllGreeks"], set()),
    ("funding", ("GET /v5/market/funding/history", {"category": "linear", "symbol": "BTCUSDT"}),
     ["fetchFundingRateHistory"], set()),
    ("account", ("GET /v5/account/info", {}), ["fetchMarginMode"], {"retExtInfo", "time"}),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "methods", "known"), [c[1:] for c in BYBIT], ids=[c[0] for c in BYBIT])
def test_bybit(shared: Path, request_: tuple[str, dict[str, Any]], methods: list[str], known: set[str]) -> None:
    """Bybit's answers have the keys and kinds of the recorded ones."""
    method, path = request_[0].split()
    ours = ask(bybit, lived("bybit"), method, path, **request_[1])
    assert differences(ours, recorded(shared, "bybit", *methods), known) == []


def test_bybit_listings(shared: Path) -> None:
    """Instruments of every category."""
    state = lived("bybit")
    for category, symbols in (
        ("spot", ["BTC/USDT", "ETH/USDT"]), ("linear", ["BTC/USDT:USDT", "ETH/USDT:USDT"]),
        ("inverse", ["BTC/USD:BTC", "LTC/USD:LTC"]), ("option", ["SOL/USDT:USDT-250530-90-P"]),
    ):  # fmt: skip
        ours = ask(bybit, state, "GET", "/v5/market/instruments-info", category=category)["result"]["list"]
        assert differences(ours, [listed(shared, "bybit", *symbols)]) == [], category


DOCUMENTED = [
    ("ExchangeData/GetTradeHistory", "/v5/market/recent-trade", {"category": "spot", "symbol": "BTCUSDT"}),
    ("Account/GetFeeRate", "/v5/account/fee-rate", {"category": "linear", "symbol": "BTCUSDT"}),
    ("Account/GetApiKeyInfo", "/v5/user/query-api", {}),
    ("Account/GetAssetInfo", "/v5/asset/coin/query-info", {}),
    ("Trading/GetPositions", "/v5/position/list", {"category": "inverse"}),
    ("Trading/GetUserTrades", "/v5/execution/list", {"category": "linear"}),
    ("Trading/GetOrders", "/v5/order/realtime", {"category": "linear", "symbol": "BTCUSDT"}),
]


@pytest.mark.parametrize(("case", "path", "args"), DOCUMENTED, ids=[case[0] for case in DOCUMENTED])
def test_bybit_documented(shared: Path, case: str, path: str, args: dict[str, str]) -> None:
    """Where only documentation shows a payload, at least no key of it is missing and no kind differs."""
    file = shared / "data/wire_examples/jkorf/bybit_rest.json"
    cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    real = [one["response"] for one in cases if one["case"] == f"V5Api/{case}"]
    found = differences(
        ask(bybit, lived("bybit"), "GET", path, **args), real, {"mmrSysUpdateTime"}
    )  # misspelt there
    assert [line for line in found if "no real payload has it" not in line] == []


SWAP = {"instType": "SWAP", "instId": "BTC-USDT-SWAP"}
OKX: list[tuple[str, tuple[str, dict[str, Any]], list[str], set[str]]] = [
    ("balance", ("GET /api/v5/account/balance", {}), ["fetchBalance"], set()),
    ("config", ("GET /api/v5/account/config", {}), ["fetchAccounts"], set()),
    ("positions", ("GET /api/v5/account/positions", SWAP), ["fetchPositions", "fetchPosition"], set()),
    ("past", ("GET /api/v5/trade/orders-history", SWAP), ["fetchClosedOrders", "fetchOrder"], set()),
    ("order", ("GET /api/v5/trade/order", {"instId": "BTC-USDT", "clOrdId": "spot rests"}),
     ["fetchClosedOrders", "fetchOrder"], set()),
    ("waiting", ("GET /api/v5/trade/orders-algo-pending", SWAP | {"ordType": "conditional"}),
     ["fetchOpenOrders"], set()),
    ("fills", ("GET /api/v5/trade/fills-history", {"instType": "SPOT"}), ["fetchMyTrades"], {"subType"}),
    ("fresh", ("POST /api/v5/trade/order", {
        "instId": "BTC-USDT", "side": "buy", "ordType": "market", "sz": "100", "tdMode": "cash"}),
     ["createOrder"], set()),
    ("candles", ("GET /api/v5/market/candles", {"instId": "BTC-USDT"}), ["fetchOHLCV"], set()),
    ("book", ("GET /api/v5/market/books", {"instId": "BTC-USDT-SWAP"}), ["fetchOrderBook"], set()),
    ("trades", ("GET /api/v5/market/trades", {"instId": "BTC-USDT"}), ["fetchTrades"], set()),
    ("ticker", ("GET /api/v5/market/ticker", {"instId": "BTC-USDT"}), ["fetchTicker"], set()),
    ("interest", ("GET /api/v5/public/open-interest", SWAP), ["fetchOpenInterest"], set()),
    ("coins", ("GET /api/v5/asset/currencies", {}), ["fetchCurrencies"], set()),
    ("time", ("GET /api/v5/public/time", {}), ["fetchTime"], set()),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "methods", "known"), [c[1:] for c in OKX], ids=[c[0] for c in OKX])
def test_okx(shared: Path, request_: tuple[str, dict[str, Any]], methods: list[str], known: set[str]) -> None:
    """OKX's answers have the keys and kinds of the recorded ones."""
    method, path = request_[0].split()
    state = lived("okx")
    for order in state.orders.values():
        order.raw["stop"] = "StopLoss"  # the recorded one is an exit
    assert (
        differences(ask(okx, state, method, path, **request_[1]), recorded(shared, "okx", *methods), known) == []
    )


def test_okx_listings(shared: Path) -> None:
    """Instruments of every type; the recorded option is older than some fields."""
    state = lived("okx")
    for kind, symbols in (
        ("SPOT", ["BTC/USDT", "ETH/USDT"]), ("SWAP", ["BTC/USDT:USDT", "BTC/USD:BTC"]),
        ("OPTION", ["BTC/USD:BTC-241227-60000-P"]),
    ):  # fmt: skip
        ours = ask(
            okx, state, "GET", "/api/v5/public/instruments", instType=kind, uly="BTC-USD" * (kind == "OPTION")
        )
        assert differences(ours["data"], [listed(shared, "okx", *symbols)]) == [], kind


PUSHED = [
    ("FundingRate", "/api/v5/public/funding-rate", SWAP, {"formulaType", "impactValue", "interestRate"}),
    ("MarkPrice", "/api/v5/public/mark-price", SWAP, set[str]()),
    ("OptionSummary", "/api/v5/public/opt-summary", {"uly": "BTC-USD"}, set[str]()),
]


@pytest.mark.parametrize(("case", "path", "args", "known"), PUSHED, ids=[case[0] for case in PUSHED])
def test_okx_pushed(shared: Path, case: str, path: str, args: dict[str, str], known: set[str]) -> None:
    """What is documented only as a push has the same rows there."""
    file = shared / "data/wire_examples/jkorf/okx_ws.json"
    cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    (steps,) = [one["steps"] for one in cases if one["case"].endswith(f"ExchangeData/{case}")]
    real = [step["data"] for sort, step in steps if sort == "server_data"]
    assert differences(ask(okx, lived("okx"), "GET", path, **args)["data"], real, known) == []


USDT = {"productType": "USDT-FUTURES", "symbol": "BTCUSDT", "marginCoin": "USDT"}
PAIR = {"symbol": "BTCUSDT"}
BITGET: list[tuple[str, tuple[str, dict[str, Any]], list[str], set[str]]] = [
    ("coins", ("GET /api/v2/spot/public/coins", {}), ["fetchCurrencies"], set()),
    ("candles", ("GET /api/v2/mix/market/candles", USDT | {"granularity": "1m"}), ["fetchOHLCV"], set()),
    ("book", ("GET /api/v2/spot/market/orderbook", PAIR), ["fetchOrderBook"], set()),
    ("trades", ("GET /api/v2/spot/market/fills", PAIR), ["fetchTrades"], set()),
    ("ticker", ("GET /api/v2/spot/market/tickers", PAIR), ["fetchTicker"], set()),
    ("rate", ("GET /api/v2/mix/market/current-fund-rate", USDT), ["fetchFundingRate"], set()),
    ("funding", ("GET /api/v2/mix/market/history-fund-rate", USDT), ["fetchFundingRateHistory"], set()),
    ("account", ("GET /api/v2/mix/account/account", USDT), ["fetchLeverage"], set()),
    ("positions", ("GET /api/v2/mix/position/all-position", USDT), ["fetchPositions"], {
        "assetMode", "autoMargin", "breakEvenPrice", "deductedFee", "grant", "stopLoss", "stopLossId",
        "takeProfit", "takeProfitId", "totalFee", "uTime"}),
    ("past", ("GET /api/v2/mix/order/orders-history", USDT), ["fetchClosedOrders"], set()),
    ("detail", ("GET /api/v2/mix/order/detail", USDT | {"clientOid": "linear filled"}), ["fetchOrder"], set()),
    ("open", ("GET /api/v2/spot/trade/unfilled-orders", PAIR), ["fetchOpenOrders"], set()),
    ("order", ("GET /api/v2/spot/trade/orderInfo", {"clientOid": "spot filled"}), ["fetchOrder"], set()),
    ("fills", ("GET /api/v2/spot/trade/fills", PAIR), ["fetchMyTrades"], set()),
    ("fresh", ("POST /api/v2/spot/trade/place-order", PAIR | {
        "side": "buy", "orderType": "limit", "size": "0.1", "price": "30000"}), ["createOrder"], set()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "methods", "known"), [case[1:] for case in BITGET], ids=[case[0] for case in BITGET]
)
def test_bitget(shared: Path, request_: tuple[str, dict[str, Any]], methods: list[str], known: set[str]) -> None:
    """Bitget's answers have the keys and kinds of the recorded ones of classic accounts."""
    method, path = request_[0].split()
    real = recorded(shared, "bitget", *methods, without='"uta": true')
    kind = list if path.endswith("orderInfo") else dict if path.endswith("detail") else object
    real = [one for one in real if isinstance(one["data"], kind)]
    assert differences(ask(bitget, lived("bitget"), method, path, **request_[1]), real, known) == []


def test_bitget_listings(shared: Path) -> None:
    """Pairs, and contracts of two product types."""
    state = lived("bitget")
    ours = ask(bitget, state, "GET", "/api/v2/spot/public/symbols")["data"]
    assert differences(ours, [listed(shared, "bitget", "BTC/USDT", "ETH/USDT")]) == []
    for product, symbol in (("USDT-FUTURES", "BTC/USDT:USDT"), ("COIN-FUTURES", "BTC/USD:BTC")):
        ours = ask(bitget, state, "GET", "/api/v2/mix/market/contracts", productType=product)["data"]
        assert differences(ours, [listed(shared, "bitget", symbol)]) == [], product


LOTS = {"symbol": "XBTUSDTM"}
TRADED = {"symbol": "BTC-USDT"}
LATER = {"avgDealPrice", "marginMode", "positionSide"}
KUCOIN: list[tuple[str, str, tuple[str, dict[str, Any]], str, set[str]]] = [
    ("ticker", "kucoin", ("GET /api/v1/market/stats", TRADED), "fetchTicker", set()),
    ("last", "kucoinfutures", ("GET /api/v1/ticker", LOTS), "fetchTicker", set()),
    ("trades", "kucoin", ("GET /api/v1/trade/history", LOTS), "fetchTrades", set()),
    ("candles", "kucoin", ("GET /api/v1/kline/query", LOTS | {"granularity": 60}), "fetchOHLCV", set()),
    ("book", "kucoin", ("GET /api/v1/level2/depth20", LOTS), "fetchOrderBook", set()),
    ("rate", "kucoinfutures", ("GET /api/v1/funding-rate/XBTUSDTM/current", LOTS), "fetchFundingRate", set()),
    ("funding", "kucoin", ("GET /api/v1/contract/funding-rates", LOTS | {"from": 0}), "fetchFundingRateHistory",
     set()),
    ("coins", "kucoin", ("GET /api/v3/currencies", {}), "fetchCurrencies", set()),
    ("status", "kucoin", ("GET /api/v1/status", {}), "fetchStatus", set()),
    ("contracts", "kucoin", ("GET /api/v1/account-overview", {"currency": "USDT"}), "fetchBalance", set()),
    ("positions", "kucoin", ("GET /api/v1/positions", {}), "fetchPositions",
     {"autoDeposit", "riskLimit", "posCross", "posComm"}),
    ("fresh", "kucoinfutures", ("POST /api/v1/orders", LOTS | {
        "clientOid": "fresh", "side": "buy", "type": "limit", "size": 1, "price": "30000", "leverage": 3}),
     "createOrder", set()),
    ("open", "kucoinfutures", ("GET /api/v1/orders", LOTS | {"status": "active"}), "fetchOpenOrders", LATER),
    ("order", "kucoinfutures", ("GET /api/v1/orders/byClientOid", {"clientOid": "linear filled"}), "fetchOrder",
     LATER),
    ("fills", "kucoinfutures", ("GET /api/v1/fills", LOTS), "fetchMyTrades", LATER),
    ("mode", "kucoin", ("GET /api/v2/position/getMarginMode", LOTS), "fetchMarginMode", set()),
    ("sides", "kucoin", ("GET /api/v2/position/getPositionMode", {}), "fetchPositionMode", set()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "request_", "method", "known"), [case[1:] for case in KUCOIN], ids=[case[0] for case in KUCOIN]
)
def test_kucoin(
    shared: Path, name: str, request_: tuple[str, dict[str, Any]], method: str, known: set[str]
) -> None:
    """KuCoin's answers have the keys and kinds of the recorded ones of classic accounts."""
    verb, path = request_[0].split()
    real = recorded(shared, name, method, without='"uta": true')
    if method == "fetchBalance":
        real = [one for one in real if "accountEquity" in one["data"]]
    ours = ask(kucoin, lived("kucoin"), verb, path, **request_[1])
    assert differences(ours, real, known) == []


DOCUMENTED_KUCOIN = [
    ("Spot/HfTrading/GetOrder", "/api/v1/hf/orders/client-order/spot rests", TRADED),
    ("Spot/HfTrading/GetClosedOrders", "/api/v1/hf/orders/done", TRADED),
    ("Spot/HfTrading/GetUserTrades", "/api/v1/hf/fills", TRADED),
    ("Spot/Trading/GetStopOrders", "/api/v1/stop-order", {}),
    ("Spot/Account/GetAccounts", "/api/v1/accounts", {}),
    ("Spot/ExchangeData/GetTradeHistory", "/api/v1/market/histories", TRADED),
    ("Spot/ExchangeData/GetKlines", "/api/v1/market/candles", TRADED | {"type": "1hour"}),
    ("Spot/ExchangeData/GetAggregatedFullOrderBook", "/api/v3/market/orderbook/level2", TRADED),
    ("Spot/ExchangeData/GetTickers", "/api/v1/market/allTickers", {}),
    ("Futures/Account/GetRiskLimitLevel", "/api/v1/contracts/risk-limit/XBTUSDTM", LOTS),
    ("Futures/Account/GetCrossMarginLeverage", "/api/v2/getCrossUserLeverage", LOTS),
    ("Futures/Trading/GetUntriggeredStopOrders", "/api/v1/stopOrders", {}),
]


@pytest.mark.parametrize(
    ("case", "path", "args"), DOCUMENTED_KUCOIN, ids=[case[0].rpartition("/")[2] for case in DOCUMENTED_KUCOIN]
)
def test_kucoin_documented(shared: Path, case: str, path: str, args: dict[str, Any]) -> None:
    """Where only documentation shows a payload, at least no key of it is missing and no kind differs."""
    file = shared / "data/wire_examples/jkorf/kucoin_rest.json"
    cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    real = [one["response"] for one in cases if one["case"] == case]
    found = differences(ask(kucoin, lived("kucoin"), "GET", path, **args), real)
    assert [line for line in found if "no real payload has it" not in line] == []


def test_kucoin_listings(shared: Path) -> None:
    """Pairs and contracts."""
    state = lived("kucoin")
    ours = ask(kucoin, state, "GET", "/api/v2/symbols")["data"]
    assert differences(ours, [listed(shared, "kucoin", "BTC/USDT", "ETH/USDT")]) == []
    ours = ask(kucoin, state, "GET", "/api/v1/contracts/active")["data"]
    real = [listed(shared, "kucoin", "BTC/USDT:USDT", "BTC/USD:BTC")]
    assert differences([one for one in ours if not one["expireDate"]], real) == []


def test_differences_are_seen() -> None:
    """A missing key, an invented one, another kind and another width of a row are each reported."""
    real = [{"a": 1, "b": "x", "rows": [[1, "2", "x"], [3, "4", "y"]]}]
    assert differences({"a": 2, "b": "y", "rows": [[5, "6", "z"]]}, real) == []
    assert differences({"a": 2, "rows": []}, real) == [".b: missing"]
    assert differences({"a": 2, "b": "y", "rows": [], "c": 1}, real) == [".c: no real payload has it"]
    assert differences({"a": "2", "b": True, "rows": []}, real) == [
        ".a: number as text ('2') where the real one has number",
        ".b: yes or no (True) where the real one has text",
    ]  # fmt: skip
    assert differences({"a": 2, "b": "y", "rows": [[5, "6"]]}, real) == [
        ".rows[]: 2 columns where the real one has 3",
    ]  # fmt: skip
