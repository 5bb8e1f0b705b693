"""CCXT, unmodified, against the venue's Binance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ccxt  # noqa: TID251
import pytest
import pytest_asyncio
from venue.instruments import Kind
from venue.server import credentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from venue import Venue

SPOT, LINEAR, INVERSE = "BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"
HOUR = 3_600_000

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def binance(venue: Venue) -> AsyncIterator[Any]:
    types = ["spot", "linear", "inverse", "option"]
    config = {"options": {"fetchMarkets": {"types": types}, "fetchCurrencies": False, "fetchMargins": False}}
    client = venue.client("binance")(credentials("binance") | config)
    yield client
    await client.close()


async def test_markets_of_every_kind(binance: Any) -> None:
    """Spot, perpetual and dated contracts of both margins and options come under their unified names."""
    markets = await binance.load_markets()
    kinds = {(m["type"], m["subType"]) for m in markets.values()}
    assert kinds == {
        ("spot", None), ("swap", "linear"), ("swap", "inverse"), ("future", "linear"), ("future", "inverse"),
        ("option", "linear"),
    }  # fmt: skip
    assert markets[SPOT]["precision"] == {"amount": 1e-05, "price": 0.01, "base": 1e-08, "quote": 1e-08}
    assert markets[SPOT]["limits"]["cost"]["min"] == 5.0
    assert markets[INVERSE]["contractSize"] == 100.0
    assert markets[LINEAR]["limits"]["amount"] == {"min": 0.001, "max": 1000.0}
    dated = next(m for m in markets.values() if m["type"] == "future" and m["linear"])
    assert dated["symbol"] == f"BTC/USDT:USDT-{binance.yymmdd(dated['expiry'])}"


async def test_time_and_rate_limit_header(binance: Any, venue: Venue) -> None:
    """The server's time is the venue's, and the used weight stands in a header."""
    venue.faults.skew = 5000
    assert 4000 < await binance.fetch_time() - binance.milliseconds() < 6000
    assert int(binance.last_response_headers["X-MBX-USED-WEIGHT-1M"]) >= 1


@pytest.mark.parametrize("symbol", [SPOT, LINEAR, INVERSE])
async def test_klines_begin_at_the_start_and_end_running(binance: Any, venue: Venue, symbol: str) -> None:
    """With a start the oldest rows from it come first; without one the newest, the running candle last."""
    start = venue.now() // HOUR * HOUR - 2000 * HOUR
    page = await binance.fetch_ohlcv(symbol, "1h", since=start, limit=1000)
    if symbol == INVERSE:  # CCXT adds an end to the window
        page = page[:1000]
    assert [row[0] for row in page] == [start + n * HOUR for n in range(1000)]
    latest = await binance.fetch_ohlcv(symbol, "1h", limit=3)
    assert [row[0] for row in latest] == [venue.now() // HOUR * HOUR - n * HOUR for n in (2, 1, 0)]
    again = await binance.fetch_ohlcv(symbol, "1h", since=start + 10 * HOUR, limit=5)
    assert again == page[10:15]
    for _, opened, high, low, close, volume in page:
        assert low <= min(opened, close) <= max(opened, close) <= high
        assert volume > 0


async def test_weekly_candles_open_on_mondays(binance: Any) -> None:
    """1970-01-05 was a Monday: four days after the epoch."""
    rows = await binance.fetch_ohlcv(SPOT, "1w", limit=3)
    assert [row[0] % (7 * 24 * HOUR) for row in rows] == [4 * 24 * HOUR] * 3


async def test_mark_and_index_candles(binance: Any, venue: Venue) -> None:
    """Mark and index candles are near the last price and not the same."""
    start = venue.now() - 10 * HOUR
    last, mark, index = [
        (await binance.fetch_ohlcv(LINEAR, "1h", start, 3, params=params))[0][1]
        for params in ({}, {"price": "mark"}, {"price": "index"})
    ]
    assert len({last, mark, index}) == 3
    assert mark == pytest.approx(last, rel=1e-3)
    assert index == pytest.approx(last, rel=1e-3)


async def test_trades_make_the_candles(binance: Any, venue: Venue) -> None:
    """The trades of a minute have its candle's open, extremes, close and volume."""
    minute = venue.now() // 60_000 * 60_000 - 300_000
    candle = (await binance.fetch_ohlcv(SPOT, "1m", minute, 1))[0]
    trades = await binance.fetch_trades(SPOT, minute, 4)
    prices = [trade["price"] for trade in trades]
    made = [minute, prices[0], max(prices), min(prices), prices[-1], sum(trade["amount"] for trade in trades)]
    assert made == pytest.approx(candle)


async def test_tickers_books_and_funding(binance: Any, venue: Venue) -> None:
    """Every kind has a ticker and a book; perpetual contracts have a funding rate and its history."""
    for symbol in (SPOT, LINEAR, INVERSE):
        ticker, book = await binance.fetch_ticker(symbol), await binance.fetch_order_book(symbol, 5)
        assert ticker["low"] <= ticker["last"] <= ticker["high"]
        assert len(book["bids"]) == len(book["asks"]) == 5
        assert book["bids"][0][0] < book["asks"][0][0]
    for symbol in (LINEAR, INVERSE):
        rate = await binance.fetch_funding_rate(symbol)
        assert rate["fundingTimestamp"] % (8 * HOUR) == 0
        start = venue.now() // (8 * HOUR) * 8 * HOUR - 100 * 8 * HOUR
        history = await binance.fetch_funding_rate_history(symbol, start, 10)
        assert [row["timestamp"] for row in history] == [start + n * 8 * HOUR for n in range(10)]


async def test_options_have_greeks_and_premiums(binance: Any, venue: Venue) -> None:
    """A call's delta lies in (0, 1), a put's below zero; their mark prices obey put-call parity."""
    await binance.load_markets()
    calls = sorted(s for s in binance.markets if s.endswith("-C") and s.startswith("BTC"))
    call, put = await binance.fetch_greeks(calls[0]), await binance.fetch_greeks(calls[0][:-1] + "P")
    assert 0 < call["delta"] < 1
    assert put["delta"] == pytest.approx(call["delta"] - 1)
    state = venue.states["binance"]
    index = state.price(state.instrument("BTCUSDT", Kind.SPOT), "index")
    difference = float(index) - binance.market(calls[0])["strike"]
    assert call["markPrice"] - put["markPrice"] == pytest.approx(difference, abs=5)  # both are rounded to 5
    assert (await binance.fetch_ticker(calls[0]))["last"] > 0


async def test_spot_orders(binance: Any, venue: Venue) -> None:
    """A market order fills at once with its fee, a limit order rests until the price is there."""
    item = venue.states["binance"].instrument("BTCUSDT", Kind.SPOT)
    venue.states["binance"].pin(item, 50_000)
    bought = await binance.create_order(SPOT, "market", "buy", 0.1, params={"clientOrderId": "one"})
    assert (bought["status"], bought["filled"], bought["cost"], bought["clientOrderId"]) == (
        "closed",
        0.1,
        5000.0,
        "one",
    )
    spent = await binance.create_market_buy_order_with_cost(SPOT, 100)
    assert spent["filled"] == 0.002
    limit = await binance.create_order(SPOT, "limit", "buy", 0.1, 49_000, {"clientOrderId": "two"})
    assert limit["status"] == "open"
    assert (await binance.fetch_balance())["USDT"]["used"] == 4900.0
    venue.states["binance"].pin(item, 48_900)
    found = await binance.fetch_order(None, SPOT, {"clientOrderId": "two"})
    assert (found["status"], found["average"]) == ("closed", 49_000.0)
    fills = await binance.fetch_my_trades(SPOT)
    assert [(fill["takerOrMaker"], fill["fee"]) for fill in fills] == [
        ("taker", {"cost": 0.0001, "currency": "BTC"}), ("taker", {"cost": 2e-06, "currency": "BTC"}),
        ("maker", {"cost": 0.0001, "currency": "BTC"}),
    ]  # fmt: skip
    balance = await binance.fetch_balance()
    assert balance["BTC"]["total"] == pytest.approx(2 + 0.202 * 0.999)
    assert balance["USDT"]["total"] == pytest.approx(100_000 - 5000 - 100 - 4900)


@pytest.mark.parametrize("symbol", [SPOT, LINEAR, INVERSE])
async def test_cancel_by_either_id(binance: Any, venue: Venue, symbol: str) -> None:
    """Open orders can be listed, looked up and cancelled by the exchange's id and by ours."""
    await binance.load_markets()
    price = 0.8 * float(
        venue.states["binance"].price(venue.states["binance"].instrument(binance.market_id(symbol)))
    )
    amount = 2 if symbol == INVERSE else 0.01
    first = await binance.create_order(symbol, "limit", "buy", amount, price, {"clientOrderId": "first"})
    await binance.create_order(symbol, "limit", "buy", amount, price, {"clientOrderId": "second"})
    assert len(await binance.fetch_open_orders(symbol)) == 2
    assert (await binance.cancel_order(first["id"], symbol))["status"] == "canceled"
    assert (await binance.cancel_order(None, symbol, {"clientOrderId": "second"}))["status"] == "canceled"
    assert (await binance.fetch_order(first["id"], symbol))["status"] == "canceled"
    assert await binance.fetch_open_orders(symbol) == []
    with pytest.raises(ccxt.OrderNotFound):
        await binance.cancel_order(first["id"], symbol)
    with pytest.raises(ccxt.OrderNotFound):
        await binance.fetch_order(None, symbol, {"clientOrderId": "third"})


async def test_linear_position(binance: Any, venue: Venue) -> None:
    """A long of 0.5 at 50,000, marked at 51,000: +500; leverage 20: margin 25,500 / 20."""
    state = venue.states["binance"]
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.pin(item, 50_000)
    await binance.set_leverage(20, LINEAR)
    await binance.create_order(LINEAR, "market", "buy", 0.5)
    state.pin(item, 51_000)
    (position,) = await binance.fetch_positions([LINEAR])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 0.5, 50_000.0)
    assert (position["unrealizedPnl"], position["notional"], position["initialMargin"]) == (
        500.0,
        25_500.0,
        1275.0,
    )
    await binance.create_order(LINEAR, "market", "sell", 0.5, params={"reduceOnly": True})
    assert await binance.fetch_positions() == []
    fees = 0.0005 * (25_000 + 25_500)
    assert (await binance.fetch_balance({"type": "swap"}))["USDT"]["total"] == pytest.approx(100_500 - fees)
    assert [fill["info"]["realizedPnl"] for fill in await binance.fetch_my_trades(LINEAR)] == [
        "0.00000000",
        "500.00000000",
    ]


async def test_inverse_position(binance: Any, venue: Venue) -> None:
    """A short of 10 contracts of 100 dollars from 50,000 to 40,000 gains 1,000 * (1/40,000 - 1/50,000) BTC."""
    state = venue.states["binance"]
    item = state.instrument("BTCUSD_PERP", Kind.INVERSE)
    state.pin(item, 50_000)
    await binance.create_order(INVERSE, "market", "sell", 10)
    state.pin(item, 40_000)
    position = next(p for p in await binance.fetch_positions(None, {"subType": "inverse"}) if p["contracts"])
    assert (position["symbol"], position["side"], position["contracts"]) == (INVERSE, "short", 10.0)
    assert position["unrealizedPnl"] == pytest.approx(1000 * (1 / 40_000 - 1 / 50_000))
    assert position["notional"] == pytest.approx(1000 / 40_000)


async def test_hedged_position(binance: Any, venue: Venue) -> None:
    """In hedge mode both sides are held at once, and a side must be named."""
    await binance.load_markets()
    await binance.set_position_mode(True, LINEAR)
    assert (await binance.fetch_position_mode(LINEAR))["hedged"]
    await binance.create_order(LINEAR, "market", "buy", 0.1, params={"positionSide": "LONG"})
    await binance.create_order(LINEAR, "market", "sell", 0.2, params={"positionSide": "SHORT"})
    held = {p["side"]: p["contracts"] for p in await binance.fetch_positions([LINEAR])}
    assert held == {"long": 0.1, "short": 0.2}
    with pytest.raises(ccxt.OperationRejected, match="-4061"):
        await binance.create_order(LINEAR, "market", "buy", 0.1)
    with pytest.raises(ccxt.OperationRejected, match="-4068"):
        await binance.set_position_mode(False, LINEAR)


async def test_margin_mode(binance: Any) -> None:
    """Isolated margin is set once; setting it again is an answer of its own."""
    await binance.set_margin_mode("isolated", LINEAR)
    assert (await binance.fetch_margin_mode(LINEAR))["marginMode"] == "isolated"
    with pytest.raises(ccxt.MarginModeAlreadySet, match="-4046"):
        await binance.set_margin_mode("isolated", LINEAR)


@pytest.mark.parametrize("symbol", [LINEAR, INVERSE])
async def test_conditional_orders_of_contracts(binance: Any, venue: Venue, symbol: str) -> None:
    """A stop waits among the conditional orders, fires at its price, and closes the position."""
    await binance.load_markets()
    state = venue.states["binance"]
    item = state.instrument(binance.market_id(symbol), Kind.LINEAR, Kind.INVERSE)
    state.pin(item, 50_000)
    await binance.create_order(symbol, "market", "buy", 1)
    stop = await binance.create_order(
        symbol, "market", "sell", 1, params={"stopLossPrice": 49_000, "reduceOnly": True, "clientOrderId": "stop"}
    )
    target = await binance.create_order(
        symbol, "limit", "sell", 1, 52_000, {"takeProfitPrice": 51_000, "reduceOnly": True}
    )  # fmt: skip
    assert await binance.fetch_open_orders(symbol) == []
    waiting = await binance.fetch_open_orders(symbol, params={"trigger": True})
    assert [(one["id"], one["triggerPrice"]) for one in waiting] == [
        (stop["id"], 49_000.0),
        (target["id"], 51_000.0),
    ]
    await binance.cancel_order(target["id"], symbol, {"trigger": True})
    state.pin(item, 48_900)
    fired = await binance.fetch_order(None, symbol, {"trigger": True, "clientAlgoId": "stop"})
    assert fired["info"]["algoStatus"] == "FINISHED"
    child = await binance.fetch_order(fired["info"]["actualOrderId"], symbol)
    assert (child["status"], child["average"]) == ("closed", 48_900.0)
    assert state.held() == []


async def test_trailing_stop(binance: Any, venue: Venue) -> None:
    """A trailing stop of 1 % follows from 50,000 to 52,000 and fires at 51,480."""
    state = venue.states["binance"]
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.pin(item, 50_000)
    await binance.create_order(LINEAR, "market", "buy", 0.1)
    await binance.create_order(LINEAR, "market", "sell", 0.1, params={"trailingPercent": 1, "reduceOnly": True})
    for price in (52_000, 51_481):
        state.pin(item, price)
        assert state.held()
    state.pin(item, 51_480)
    assert state.held() == []


async def test_spot_stop_limit(binance: Any, venue: Venue) -> None:
    """A stop-limit of spot waits among the ordinary open orders."""
    state = venue.states["binance"]
    item = state.instrument("BTCUSDT", Kind.SPOT)
    state.pin(item, 50_000)
    order = await binance.create_order(SPOT, "limit", "sell", 0.1, 48_500, {"triggerPrice": 49_000})
    assert [one["id"] for one in await binance.fetch_open_orders(SPOT)] == [order["id"]]
    state.pin(item, 48_900)
    fired = await binance.fetch_order(order["id"], SPOT)
    assert (fired["status"], fired["average"]) == ("closed", 48_900.0)
    assert (await binance.fetch_balance())["BTC"]["total"] == 1.9


async def test_option_order(binance: Any, venue: Venue) -> None:
    """A bought option is paid for and held."""
    await binance.load_markets()
    symbol = next(s for s in binance.markets if s.endswith("-C") and s.startswith("BTC"))
    ask = (await binance.fetch_ticker(symbol))["info"]["askPrice"]
    order = await binance.create_order(symbol, "limit", "buy", 0.5, float(ask) * 2)
    assert (await binance.fetch_order(order["id"], symbol))["status"] == "closed"
    (position,) = await binance.fetch_option_positions([symbol])
    assert (position["side"], position["contracts"]) == ("long", 0.5)
    (fill,) = await binance.fetch_my_trades(symbol)
    assert fill["amount"] == 0.5


@pytest.mark.parametrize(
    ("symbol", "type_", "amount", "price", "params", "error", "code"),
    [
        (SPOT, "limit", 100, 50_000, {}, ccxt.InsufficientFunds, "insufficient balance"),
        (SPOT, "limit", 0.00002, 50_000, {}, ccxt.BadRequest, "-1013"),
        (SPOT, "limit", 0.1, 60_000, {"postOnly": True}, ccxt.OrderImmediatelyFillable, "immediately match"),
        (LINEAR, "limit", 100, 50_000, {}, ccxt.InsufficientFunds, "-2019"),
        (LINEAR, "limit", 0.0009, 50_000, {}, ccxt.InvalidOrder, "minimum amount precision"),
        (LINEAR, "limit", 0.001, 40_000, {}, ccxt.InvalidOrder, "-4164"),
        (LINEAR, "limit", 0.1, 60_000, {"postOnly": True}, ccxt.OrderNotFillable, "-5022"),
        (LINEAR, "market", 0.1, None, {"reduceOnly": True}, ccxt.InvalidOrder, "-2022"),
        (LINEAR, "market", 0.1, None, {"stopLossPrice": 49_000}, ccxt.OrderImmediatelyFillable, "-2021"),
    ],
)
async def test_refused_orders(
    binance: Any, venue: Venue, symbol: str, type_: str, amount: float, price: float | None,
    params: dict[str, Any], error: type[Exception], code: str,
) -> None:  # fmt: skip
    """A refused order has the exchange's own code, by which CCXT files it, and changes nothing."""
    state = venue.states["binance"]
    for kind in (Kind.SPOT, Kind.LINEAR):
        state.pin(state.instrument("BTCUSDT", kind), 50_000)
    with pytest.raises(error, match=code):
        await binance.create_order(symbol, type_, "buy", amount, price, params)
    assert state.orders == {}


async def test_duplicate_client_id(binance: Any) -> None:
    """A client id is taken once while its order is open, and free again when that is closed."""
    await binance.create_order(SPOT, "limit", "buy", 0.1, 1000, {"clientOrderId": "same"})
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate"):
        await binance.create_order(SPOT, "limit", "buy", 0.1, 1000, {"clientOrderId": "same"})
    await binance.cancel_all_orders(SPOT)
    again = await binance.create_order(SPOT, "limit", "buy", 0.1, 1000, {"clientOrderId": "same"})
    assert again["status"] == "open"


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ({"secret": "wrong"}, ccxt.AuthenticationError, -1022),
        ({"apiKey": "wrong"}, ccxt.AuthenticationError, -2015),
    ],
)
async def test_wrong_keys(binance: Any, change: dict[str, str], error: type[Exception], code: int) -> None:
    """A wrong key and a wrong signature each have their code."""
    for name, value in change.items():
        setattr(binance, name, value)
    with pytest.raises(error, match=str(code)):
        await binance.fetch_balance()


async def test_a_clock_that_is_off(binance: Any, venue: Venue) -> None:
    """A timestamp outside of the window is refused until CCXT has measured the difference."""
    venue.faults.skew = 60_000
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        await binance.fetch_balance()
    await binance.load_time_difference()
    assert (await binance.fetch_balance())["USDT"]["free"] == 100_000.0


async def test_rights_of_the_key(binance: Any, venue: Venue) -> None:
    """A key that may only read says so, and cannot trade."""
    venue.states["binance"].rights = frozenset({"read"})
    rights = await binance.sapi_get_account_apirestrictions()
    assert (rights["enableReading"], rights["enableSpotAndMarginTrading"], rights["ipRestrict"]) == (
        True,
        False,
        False,
    )
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        await binance.create_order(SPOT, "limit", "buy", 0.1, 1000)
    assert (await binance.fetch_leverage_tiers([LINEAR]))[LINEAR][0]["maxLeverage"] == 125.0
    venue.states["binance"].addresses = ("203.0.113.1",)
    with pytest.raises(ccxt.AuthenticationError, match=r"request ip: 198\.51\.100\.7"):
        await binance.fetch_balance()


async def test_currencies_and_margin_pairs(venue: Venue) -> None:
    """CCXT's own way to load markets, currencies and margin pairs included, finds what it asks for."""
    client = venue.client("binance")(credentials("binance"))
    await client.load_markets()
    assert {"BTC", "USDT"} <= set(client.currencies)
    assert client.markets[LINEAR]["swap"]
    await client.close()


@pytest.mark.parametrize("settle", ["USDT:USDT", "USD:BTC"])
async def test_dated_contracts_trade(binance: Any, settle: str) -> None:
    """A quarterly contract has candles, takes an order, shows its position, and pays no funding."""
    await binance.load_markets()
    symbol = next(m["symbol"] for m in binance.markets.values() if m["future"] and f"/{settle}" in m["symbol"])
    assert len(await binance.fetch_ohlcv(symbol, "1m", limit=10)) == 10
    await binance.create_order(symbol, "market", "buy", 1)
    sub_type = {"subType": binance.market(symbol)["subType"]}
    held = [p for p in await binance.fetch_positions(None, sub_type) if p["contracts"]]
    assert [p["symbol"] for p in held] == [symbol]
    assert (await binance.fetch_funding_rate(symbol))["fundingRate"] is None


@pytest.mark.parametrize(
    ("symbol", "params", "price", "status", "filled"),
    [
        (LINEAR, {"timeInForce": "IOC"}, 49_000, "expired", 0.0),
        (LINEAR, {"timeInForce": "FOK"}, 51_000, "closed", 0.1),
        (SPOT, {"timeInForce": "IOC"}, 49_000, "expired", 0.0),
        (SPOT, {"postOnly": True}, 49_000, "open", 0.0),
        (LINEAR, {"postOnly": True}, 49_000, "open", 0.0),
    ],
)
async def test_time_in_force(
    binance: Any, venue: Venue, symbol: str, params: dict[str, Any], price: float, status: str, filled: float
) -> None:
    """An order that must fill at once does or expires; a post-only one rests."""
    state = venue.states["binance"]
    for kind in (Kind.SPOT, Kind.LINEAR):
        state.pin(state.instrument("BTCUSDT", kind), 50_000)
    order = await binance.create_order(symbol, "limit", "buy", 0.1, price, params)
    assert (order["status"], order["filled"]) == (status, filled)


async def test_an_order_expires_at_its_date(binance: Any, venue: Venue) -> None:
    """GTD: after its date it is gone."""
    params = {"timeInForce": "GTD", "goodTillDate": venue.now() + 700_000}
    order = await binance.create_order(LINEAR, "limit", "buy", 0.1, 20_000, params)
    assert order["status"] == "open"
    venue.faults.skew = 700_001
    await binance.load_time_difference()
    assert (await binance.fetch_order(order["id"], LINEAR))["status"] == "expired"
