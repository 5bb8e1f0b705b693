"""CCXT, unmodified, against the venue's Bybit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ccxt  # noqa: TID251
import pytest
import pytest_asyncio
from venue import Fault
from venue.instruments import Kind
from venue.server import credentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from venue import Venue
    from venue.instruments import Instrument

SPOT, LINEAR, INVERSE = "BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"
HOUR = 3_600_000

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def bybit(venue: Venue) -> AsyncIterator[Any]:
    fetch = {"types": ["spot", "linear", "inverse", "option"], "options": ["BTC"]}
    options = {"fetchMarkets": fetch, "enableUnifiedMargin": False, "enableUnifiedAccount": True}
    client = venue.client("bybit")(credentials("bybit") | {"options": options})
    client.has["fetchCurrencies"] = False
    yield client
    await client.close()


@pytest.fixture
def linear(venue: Venue) -> Instrument:
    """BTCUSDT at 50,000."""
    item = venue.states["bybit"].instrument("BTCUSDT", Kind.LINEAR)
    venue.states["bybit"].pin(item, 50_000)
    return item


async def test_markets_of_every_kind(bybit: Any) -> None:
    """Spot, perpetual and dated contracts of every settlement and options come under their unified names."""
    markets = await bybit.load_markets()
    kinds = {(m["type"], m["linear"], m["inverse"]) for m in markets.values()}
    assert kinds == {
        ("spot", None, None), ("swap", True, False), ("swap", False, True), ("future", True, False),
        ("future", False, True), ("option", True, False),
    }  # fmt: skip
    assert markets["BTC/USDC:USDC"]["settle"] == "USDC"
    assert markets[LINEAR]["limits"]["cost"]["min"] == 5.0
    assert markets[SPOT]["precision"]["amount"] == 1e-6
    dated = [m for m in markets.values() if m["type"] == "future"]
    assert {m["symbol"] for m in dated} == {
        f"BTC/{quote}-{bybit.yymmdd(dated[0]['expiry'])}" for quote in ("USDT:USDT", "USD:BTC")
    }


@pytest.mark.parametrize("symbol", [SPOT, LINEAR, INVERSE])
async def test_the_newest_candles_of_a_window_win(bybit: Any, venue: Venue, symbol: str) -> None:
    """A window longer than a page loses its older part; with an end that fits it is whole."""
    start = venue.now() // HOUR * HOUR - 1500 * HOUR
    cut = await bybit.fetch_ohlcv(symbol, "1h", start, 1000)
    assert [row[0] for row in cut] == [venue.now() // HOUR * HOUR - n * HOUR for n in range(999, -1, -1)]
    page = await bybit.fetch_ohlcv(symbol, "1h", start, 1000, {"until": start + 999 * HOUR})
    assert [row[0] for row in page] == [start + n * HOUR for n in range(1000)]
    assert page[501:] == cut[:499]


async def test_mark_and_index_candles(bybit: Any, venue: Venue) -> None:
    """They have prices and no volume."""
    for kind in ("mark", "index"):
        (row,) = await bybit.fetch_ohlcv(LINEAR, "1h", venue.now() - HOUR, 1, {"price": kind})
        assert row[2] >= row[3] > 0


async def test_tickers_books_trades_and_funding(bybit: Any, venue: Venue) -> None:
    """Every kind has a ticker and a book of its own market; funding comes newest last."""
    for symbol in (SPOT, LINEAR, INVERSE):
        ticker, book = await bybit.fetch_ticker(symbol), await bybit.fetch_order_book(symbol, 5)
        assert ticker["symbol"] == symbol
        assert ticker["low"] <= ticker["last"] <= ticker["high"]
        assert len(book["bids"]) == len(book["asks"]) == 5
        trades = await bybit.fetch_trades(symbol, limit=10)
        assert len(trades) == 10
        assert trades[-1]["price"] == ticker["last"]
    start = venue.now() // (8 * HOUR) * 8 * HOUR - 20 * 8 * HOUR
    history = await bybit.fetch_funding_rate_history(LINEAR, start, 10)
    # CCXT asks for start to start + 10 intervals, both included: of these 11 the newest 10 win
    assert [row["timestamp"] for row in history] == [start + n * 8 * HOUR for n in range(1, 11)]
    rate = await bybit.fetch_funding_rate(LINEAR)
    assert rate["fundingTimestamp"] == start + 21 * 8 * HOUR
    assert (await bybit.fetch_leverage_tiers([LINEAR]))[LINEAR][0]["maxLeverage"] == 100.0


async def test_option_chain_and_greeks(bybit: Any) -> None:
    """The chain lists the options of a coin; a call's delta lies in (0, 1)."""
    await bybit.load_markets()
    chain = await bybit.fetch_option_chain("BTC")
    symbols = sorted(s for s in bybit.markets if s.endswith("-C") and s.startswith("BTC"))
    assert set(symbols) < set(chain)
    assert 0 < (await bybit.fetch_greeks(symbols[0]))["delta"] < 1


async def test_spot_orders(bybit: Any, venue: Venue) -> None:
    """A market buy is told in base or in quote; balances follow, the fee is paid in what was bought."""
    state = venue.states["bybit"]
    item = state.instrument("BTCUSDT", Kind.SPOT)
    state.pin(item, 50_000)
    await bybit.create_order(SPOT, "market", "buy", 0.1)
    await bybit.create_market_buy_order_with_cost(SPOT, 100)
    await bybit.create_order(SPOT, "limit", "buy", 0.1, 49_000, {"clientOrderId": "rests"})
    balance = await bybit.fetch_balance()
    assert balance["BTC"]["total"] == pytest.approx(2 + 0.102 * 0.999)
    assert (balance["USDT"]["total"], balance["USDT"]["used"]) == (94_900.0, 4_900.0)
    state.pin(item, 48_999)
    (found,) = await bybit.fetch_canceled_and_closed_orders(SPOT, None, None, {"orderLinkId": "rests"})
    assert (found["status"], found["average"], found["clientOrderId"]) == ("closed", 49_000.0, "rests")
    fills = await bybit.fetch_my_trades(SPOT)
    assert [fill["takerOrMaker"] for fill in fills] == ["taker", "taker", "maker"]
    assert fills[0]["fee"] == {"currency": "BTC", "cost": 0.0001, "rate": 0.001}


@pytest.mark.parametrize("symbol", [SPOT, LINEAR, INVERSE])
async def test_cancel_by_either_id(bybit: Any, symbol: str) -> None:
    """Open orders can be listed, looked up and cancelled by the exchange's id and by ours."""
    amount = 10 if symbol == INVERSE else 0.01
    first = await bybit.create_order(symbol, "limit", "buy", amount, 20_000, {"clientOrderId": "first"})
    await bybit.create_order(symbol, "limit", "buy", amount, 20_000, {"clientOrderId": "second"})
    assert {o["clientOrderId"] for o in await bybit.fetch_open_orders(symbol)} == {"first", "second"}
    await bybit.cancel_order(first["id"], symbol)
    await bybit.cancel_order(None, symbol, {"orderLinkId": "second"})
    assert await bybit.fetch_open_orders(symbol) == []
    assert (await bybit.fetch_order(first["id"], symbol, {"acknowledged": True}))["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        await bybit.cancel_order(first["id"], symbol)
    await bybit.create_order(symbol, "limit", "buy", amount, 20_000)
    await bybit.cancel_all_orders(symbol)
    assert await bybit.fetch_open_orders(symbol) == []


async def test_linear_position(bybit: Any, venue: Venue, linear: Instrument) -> None:
    """A long of 0.5 at 50,000, marked at 51,000: +500; leverage 20: margin 25,500 / 20."""
    await bybit.set_leverage(20, LINEAR)
    with pytest.raises(ccxt.BadRequest, match="110043"):
        await bybit.set_leverage(20, LINEAR)
    await bybit.create_order(LINEAR, "market", "buy", 0.5)
    venue.states["bybit"].pin(linear, 51_000)
    (position,) = await bybit.fetch_positions([LINEAR])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 0.5, 50_000.0)
    assert (position["unrealizedPnl"], position["initialMargin"], position["leverage"]) == (500.0, 1275.0, 20.0)
    assert (await bybit.fetch_balance())["USDT"]["used"] == 1275.0
    await bybit.create_order(LINEAR, "market", "sell", 0.5, params={"reduceOnly": True})
    assert await bybit.fetch_positions() == []
    fees = 0.00055 * (25_000 + 25_500)
    assert (await bybit.fetch_balance())["USDT"]["total"] == pytest.approx(100_500 - fees)


async def test_inverse_position(bybit: Any, venue: Venue) -> None:
    """A short of 1,000 dollars from 50,000 to 40,000 gains 1,000 * (1/40,000 - 1/50,000) BTC."""
    state = venue.states["bybit"]
    item = state.instrument("BTCUSD", Kind.INVERSE)
    state.pin(item, 50_000)
    await bybit.create_order(INVERSE, "market", "sell", 1000)
    state.pin(item, 40_000)
    (position,) = await bybit.fetch_positions([INVERSE], {"category": "inverse"})
    assert (position["side"], position["contracts"]) == ("short", 1000.0)
    assert position["unrealizedPnl"] == pytest.approx(1000 * (1 / 40_000 - 1 / 50_000))


async def test_every_settlement_is_asked_for_by_itself(bybit: Any) -> None:
    """Positions settled in USDC are listed under USDC alone."""
    await bybit.create_order("BTC/USDC:USDC", "market", "buy", 0.01)
    assert await bybit.fetch_positions() == []
    (position,) = await bybit.fetch_positions(None, {"settleCoin": "USDC"})
    assert position["symbol"] == "BTC/USDC:USDC"


async def test_hedged_position(bybit: Any, linear: Instrument) -> None:
    """In hedge mode both sides are held at once, and a side must be named."""
    await bybit.set_position_mode(True, LINEAR)
    await bybit.create_order(LINEAR, "market", "buy", 0.1, params={"positionIdx": 1})
    await bybit.create_order(LINEAR, "market", "sell", 0.2, params={"positionIdx": 2})
    held = {p["side"]: p["contracts"] for p in await bybit.fetch_positions([LINEAR])}
    assert held == {"long": 0.1, "short": 0.2}
    with pytest.raises(ccxt.BadRequest, match="position idx"):
        await bybit.create_order(LINEAR, "market", "buy", 0.1)
    with pytest.raises(ccxt.ExchangeError, match="110024"):
        await bybit.set_position_mode(False, LINEAR)
    with pytest.raises(ccxt.NoChange):
        await bybit.set_position_mode(True, LINEAR)


async def test_margin_mode_is_the_accounts(bybit: Any) -> None:
    """Isolated margin is a setting of the whole account."""
    await bybit.set_margin_mode("isolated")
    assert (await bybit.fetch_margin_mode(LINEAR))["marginMode"] == "isolated"


async def test_a_stop_keeps_its_id(bybit: Any, venue: Venue, linear: Instrument) -> None:
    """A stop waits, fires at its price under the same id, and closes the position."""
    state = venue.states["bybit"]
    await bybit.create_order(LINEAR, "market", "buy", 1)
    params = {"stopLossPrice": 49_000, "reduceOnly": True, "clientOrderId": "stop"}
    stop = await bybit.create_order(LINEAR, "market", "sell", 1, params=params)
    (waiting,) = await bybit.fetch_open_orders(LINEAR, params={"trigger": True})
    assert (waiting["id"], waiting["triggerPrice"], waiting["status"]) == (stop["id"], 49_000.0, "open")
    state.pin(linear, 48_900)
    fired = await bybit.fetch_order(stop["id"], LINEAR, {"acknowledged": True})
    assert (fired["status"], fired["average"]) == ("closed", 48_900.0)
    assert state.held() == []


async def test_attached_exits(bybit: Any, venue: Venue, linear: Instrument) -> None:
    """A stop-loss and a take-profit that come with an order wait once it is filled."""
    params = {"stopLoss": {"triggerPrice": 49_000}, "takeProfit": {"triggerPrice": 52_000}}
    await bybit.create_order(LINEAR, "market", "buy", 1, params=params)
    waiting = await bybit.fetch_open_orders(LINEAR, params={"trigger": True})
    assert {(o["info"]["stopOrderType"], o["triggerPrice"]) for o in waiting} == {
        ("StopLoss", 49_000.0), ("TakeProfit", 52_000.0),
    }  # fmt: skip
    assert (await bybit.fetch_position(LINEAR))["stopLossPrice"] == 49_000.0
    venue.states["bybit"].pin(linear, 52_100)
    assert venue.states["bybit"].held() == []


async def test_trailing_stop_of_a_position(bybit: Any, venue: Venue, linear: Instrument) -> None:
    """A trailing stop of 1,000 dollars follows from 50,000 to 52,000 and fires at 51,000."""
    state = venue.states["bybit"]
    await bybit.create_order(LINEAR, "market", "buy", 0.1)
    await bybit.create_order(LINEAR, "market", "sell", 0.1, params={"trailingAmount": 1000})
    for price in (52_000, 51_001):
        state.pin(linear, price)
        assert state.held()
    state.pin(linear, 51_000)
    assert state.held() == []


async def test_post_only_that_would_take_is_cancelled(bybit: Any, linear: Instrument) -> None:
    """It is accepted, and cancelled with a reason."""
    order = await bybit.create_order(LINEAR, "limit", "buy", 0.1, 60_000, {"postOnly": True})
    found = await bybit.fetch_order(order["id"], LINEAR, {"acknowledged": True})
    assert (found["status"], found["filled"]) == ("canceled", 0.0)
    assert found["info"]["rejectReason"] == "EC_PostOnlyWillTakeLiquidity"


async def test_option_order(bybit: Any, venue: Venue) -> None:
    """A bought option is paid for and held."""
    await bybit.load_markets()
    symbol = next(s for s in bybit.markets if s.endswith("-C") and s.startswith("BTC"))
    await bybit.create_order(symbol, "limit", "buy", 0.5, 20_000)
    (position,) = await bybit.fetch_positions([symbol], {"category": "option"})
    assert (position["side"], position["contracts"]) == ("long", 0.5)
    assert venue.states["bybit"].balances["unified", "USDT"] < 100_000


async def test_a_batch_fails_one_by_one(bybit: Any, linear: Instrument) -> None:
    """Of several orders one is taken and one refused."""
    told = {"symbol": LINEAR, "type": "limit", "side": "buy", "price": 40_000}
    orders = await bybit.create_orders([told | {"amount": 0.1}, told | {"amount": 900}])
    assert [bool(order["id"]) for order in orders] == [True, False]


@pytest.mark.parametrize(
    ("symbol", "type_", "amount", "price", "params", "error", "code"),
    [
        (SPOT, "limit", 100, 50_000, {}, ccxt.InsufficientFunds, "170131"),
        (SPOT, "limit", 0.00002, 50_000, {}, ccxt.InvalidOrder, "170140"),
        (LINEAR, "limit", 900, 50_000, {}, ccxt.InsufficientFunds, "110007"),
        (LINEAR, "limit", 0.001, 4000, {}, ccxt.InvalidOrder, "110094"),
        (LINEAR, "market", 0.1, None, {"reduceOnly": True}, ccxt.ExchangeError, "110017"),
    ],
)
async def test_refused_orders(
    bybit: Any, venue: Venue, symbol: str, type_: str, amount: float, price: float | None,
    params: dict[str, Any], error: type[Exception], code: str,
) -> None:  # fmt: skip
    """A refused order has the exchange's own code, by which CCXT files it, and changes nothing."""
    state = venue.states["bybit"]
    for kind in (Kind.SPOT, Kind.LINEAR):
        state.pin(state.instrument("BTCUSDT", kind), 50_000)
    with pytest.raises(error, match=code):
        await bybit.create_order(symbol, type_, "buy", amount, price, params)
    assert state.orders == {}


async def test_duplicate_client_id(bybit: Any, linear: Instrument) -> None:
    """A client id is taken once, also after its order was cancelled."""
    order = (LINEAR, "limit", "buy", 0.1, 10_000, {"clientOrderId": "same"})
    await bybit.create_order(*order)
    await bybit.cancel_all_orders(LINEAR)
    with pytest.raises(ccxt.InvalidOrder, match="110072"):
        await bybit.create_order(*order)


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ({"secret": "wrong"}, ccxt.AuthenticationError, "10004"),
        ({"apiKey": "wrong"}, ccxt.AuthenticationError, "10003"),
    ],
)
async def test_wrong_keys(bybit: Any, change: dict[str, str], error: type[Exception], code: str) -> None:
    """A wrong key and a wrong signature each have their code."""
    for name, value in change.items():
        setattr(bybit, name, value)
    with pytest.raises(error, match=code):
        await bybit.fetch_balance()


async def test_clock_and_rights(bybit: Any, venue: Venue) -> None:
    """A clock that is off and a key that may not trade are refused, each in its way."""
    venue.faults.skew = 60_000
    with pytest.raises(ccxt.InvalidNonce, match="10002"):
        await bybit.fetch_balance()
    await bybit.load_time_difference()
    venue.states["bybit"].rights = frozenset({"read"})
    with pytest.raises(ccxt.PermissionDenied, match="10005"):
        await bybit.create_order(LINEAR, "limit", "buy", 0.1, 10_000)
    assert (await bybit.private_get_v5_user_query_api())["result"]["readOnly"] == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.RATE_LIMIT, ccxt.RateLimitExceeded), (Fault.BAN, ccxt.RateLimitExceeded),
        (Fault.MAINTENANCE, ccxt.ExchangeError), (Fault.OVERLOAD, ccxt.ExchangeError),
        (Fault.UNKNOWN, ccxt.ExchangeError), (Fault.GEO_BLOCK, ccxt.RateLimitExceeded),
        (Fault.DENIED, ccxt.PermissionDenied),
    ],
)  # fmt: skip
async def test_faults_have_their_codes(bybit: Any, venue: Venue, fault: Fault, error: type[Exception]) -> None:
    """Every fault of the plan has the code and status by which CCXT files it."""
    venue.faults.add(fault, "*/wallet-balance", seconds=2)
    with pytest.raises(error):
        await bybit.fetch_balance()
    if fault is Fault.RATE_LIMIT:
        reset = int(bybit.last_response_headers["X-Bapi-Limit-Reset-Timestamp"])
        assert 0 < reset - venue.now() <= 2000
    assert (await bybit.fetch_balance())["USDT"]["total"] == 100_000.0
