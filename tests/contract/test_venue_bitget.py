"""CCXT, unmodified, against the venue's Bitget."""

from __future__ import annotations

import json
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
DAY = 24 * HOUR

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def bitget(venue: Venue) -> AsyncIterator[Any]:
    client = venue.client("bitget")(credentials("bitget") | {"options": {"uta": False}})
    client.has["fetchCurrencies"] = False
    yield client
    await client.close()


@pytest.fixture
def linear(venue: Venue) -> Instrument:
    """BTCUSDT at 50,000."""
    item = venue.states["bitget"].instrument("BTCUSDT", Kind.LINEAR)
    venue.states["bitget"].pin(item, 50_000)
    return item


async def test_markets_of_every_kind(bitget: Any) -> None:
    """Spot, perpetual and dated contracts of every settlement come under their unified names."""
    markets = await bitget.load_markets()
    kinds = {(m["type"], m["linear"], m["inverse"]) for m in markets.values()}
    assert kinds == {
        ("spot", None, None), ("swap", True, False), ("swap", False, True), ("future", True, False),
        ("future", False, True),
    }  # fmt: skip
    assert markets["BTC/USDC:USDC"]["settle"] == "USDC"
    assert (markets[LINEAR]["precision"]["price"], markets[LINEAR]["limits"]["cost"]["min"]) == (0.1, 5.0)
    assert (markets[INVERSE]["contractSize"], markets[INVERSE]["precision"]["amount"]) == (1, 0.0001)
    assert markets[SPOT]["precision"] == markets[SPOT]["precision"] | {"amount": 1e-6, "price": 0.01}
    dated = [m for m in markets.values() if m["type"] == "future"]
    assert {m["symbol"] for m in dated} == {
        f"BTC/{quote}-{bitget.yymmdd(dated[0]['expiry'])}" for quote in ("USDT:USDT", "USD:BTC")
    }


@pytest.mark.parametrize("symbol", [SPOT, LINEAR, INVERSE])
async def test_candles_recent_and_old(bitget: Any, venue: Venue, symbol: str) -> None:
    """1,000 recent ones in a page, 200 old ones: those before the end that CCXT computes from the start."""
    now = venue.now() // HOUR * HOUR
    recent = await bitget.fetch_ohlcv(symbol, "1h", now - 1000 * HOUR, 1000)
    assert [row[0] for row in recent] == [now - n * HOUR for n in range(1000, 0, -1)]
    old = await bitget.fetch_ohlcv(symbol, "1h", now - 3000 * HOUR, 200)
    assert [row[0] for row in old] == [now - n * HOUR for n in range(3000, 2800, -1)]
    assert {seen.path.rpartition("/")[2] for seen in venue.seen if "candles" in seen.path} == {
        "candles", "history-candles",
    }  # fmt: skip


async def test_the_newest_candles_of_a_window_win(bitget: Any, venue: Venue) -> None:
    """Of a window longer than a page the older part is lost; recent candles of an hour reach 83 days back."""
    now = venue.now() // HOUR * HOUR
    cut = await bitget.fetch_ohlcv(SPOT, "1h", now - 500 * HOUR, 100, {"until": now})
    assert [row[0] for row in cut] == [now - n * HOUR for n in range(100, 0, -1)]
    asked = {"symbol": "BTCUSDT", "granularity": "1h", "limit": 1000, "endTime": now - 82 * DAY}
    rows = (await bitget.public_spot_get_v2_spot_market_candles(asked))["data"]
    assert int(rows[0][0]) == now - 83 * DAY + HOUR  # the venue's time is no whole hour


async def test_volumes_of_candles(bitget: Any, venue: Venue) -> None:
    """Base, then quote, of inverse contracts too (CCXT takes the quote for their volume); mark has its prices."""
    for product, symbol in (("USDT-FUTURES", "BTCUSDT"), ("COIN-FUTURES", "BTCUSD")):
        asked = {"symbol": symbol, "productType": product, "granularity": "1H", "limit": 1}
        (row,) = (await bitget.public_mix_get_v2_mix_market_candles(asked))["data"]
        assert float(row[6]) == pytest.approx(float(row[5]) * float(row[4]))
    for kind in ("mark", "index"):
        (row,) = await bitget.fetch_ohlcv(LINEAR, "1h", venue.now() // HOUR * HOUR, 1, {"price": kind})
        assert row[2] >= row[3] > 0


async def test_tickers_books_trades_and_funding(bitget: Any, venue: Venue) -> None:
    """Every kind has a ticker and a book of its own market; funding comes in pages from the newest."""
    for symbol in (SPOT, LINEAR, INVERSE):
        ticker, book = await bitget.fetch_ticker(symbol), await bitget.fetch_order_book(symbol, 5)
        assert ticker["symbol"] == symbol
        assert ticker["low"] <= ticker["last"] <= ticker["high"]
        assert len(book["bids"]) == len(book["asks"]) == 5
        trades = await bitget.fetch_trades(symbol, limit=10)
        assert len(trades) == 10
        assert trades[-1]["price"] == ticker["last"]
        older = await bitget.fetch_trades(symbol, None, 5, {"idLessThan": trades[0]["id"]})
        assert [int(t["id"]) for t in older] == [int(trades[0]["id"]) - n for n in range(5, 0, -1)]
    start = venue.now() // (8 * HOUR) * 8 * HOUR
    for page in (1, 2):
        history = await bitget.fetch_funding_rate_history(LINEAR, None, 100, {"pageNo": page})
        first = start - (page * 100 - 1) * 8 * HOUR
        assert [row["timestamp"] for row in history] == [first + n * 8 * HOUR for n in range(100)]
    rate = await bitget.fetch_funding_rate(LINEAR)
    assert (rate["fundingTimestamp"], rate["interval"]) == (start + 8 * HOUR, "8h")
    tiers = await bitget.fetch_market_leverage_tiers(LINEAR)
    assert [tier["maxLeverage"] for tier in tiers] == [125.0, 62.0, 41.0]


async def test_spot_orders(bitget: Any, venue: Venue) -> None:
    """A market buy is told in quote; balances follow, the fee is paid in what was bought."""
    state = venue.states["bitget"]
    item = state.instrument("BTCUSDT", Kind.SPOT)
    state.pin(item, 50_000)
    bought = await bitget.create_market_buy_order_with_cost(SPOT, 5100)
    await bitget.create_order(SPOT, "limit", "buy", 0.1, 49_000, {"clientOrderId": "rests"})
    balance = await bitget.fetch_balance()
    assert balance["BTC"]["total"] == pytest.approx(2 + 0.102 * 0.999)
    assert (balance["USDT"]["total"], balance["USDT"]["used"]) == (94_900.0, 4_900.0)
    (resting,) = await bitget.fetch_open_orders(SPOT)
    assert (resting["price"], resting["clientOrderId"], resting["status"]) == (49_000.0, "rests", "open")
    state.pin(item, 48_999)
    found = await bitget.fetch_order(None, SPOT, {"clientOrderId": "rests"})
    assert (found["status"], found["average"], found["filled"]) == ("closed", 49_000.0, 0.1)
    first = await bitget.fetch_order(bought["id"], SPOT)
    assert (first["cost"], first["filled"], first["fee"]) == (
        5100.0, 0.102, {"currency": "BTC", "cost": 0.000102},
    )  # fmt: skip
    fills = await bitget.fetch_my_trades(SPOT)
    assert [fill["takerOrMaker"] for fill in fills] == ["taker", "maker"]
    assert fills[0]["fee"]["cost"] == pytest.approx(0.000102)


@pytest.mark.parametrize("symbol", [SPOT, LINEAR, INVERSE])
async def test_cancel_by_either_id(bitget: Any, symbol: str) -> None:
    """Open orders can be listed, looked up and cancelled by the exchange's id and by ours."""
    first = await bitget.create_order(symbol, "limit", "buy", 0.1, 20_000, {"clientOrderId": "first"})
    await bitget.create_order(symbol, "limit", "buy", 0.1, 20_000, {"clientOrderId": "second"})
    assert {o["clientOrderId"] for o in await bitget.fetch_open_orders(symbol)} == {"first", "second"}
    await bitget.cancel_order(first["id"], symbol)
    await bitget.cancel_order(None, symbol, {"clientOrderId": "second"})
    assert await bitget.fetch_open_orders(symbol) == []
    assert (await bitget.fetch_order(first["id"], symbol))["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound, match="43001" if symbol == SPOT else "40768"):
        await bitget.cancel_order(first["id"], symbol)
    with pytest.raises(ccxt.OrderNotFound, match="could not find" if symbol == SPOT else "40109"):
        await bitget.fetch_order("0", symbol, {"clientOrderId": "never"})
    third = await bitget.create_order(symbol, "limit", "buy", 0.1, 20_000)
    await bitget.edit_order(third["id"], symbol, "limit", "buy", 0.2, 19_000)
    (amended,) = await bitget.fetch_open_orders(symbol)
    assert (amended["amount"], amended["price"]) == (0.2, 19_000.0)
    await bitget.cancel_all_orders(symbol)
    assert await bitget.fetch_open_orders(symbol) == []
    assert {o["status"] for o in await bitget.fetch_canceled_orders(symbol)} == {"canceled"}


async def test_linear_position(bitget: Any, venue: Venue, linear: Instrument) -> None:
    """A long of 0.5 at 50,000, marked at 51,000: +500; leverage 20: margin 25,500 / 20."""
    await bitget.set_leverage(20, LINEAR)
    await bitget.create_order(LINEAR, "market", "buy", 0.5)
    venue.states["bitget"].pin(linear, 51_000)
    (position,) = await bitget.fetch_positions([LINEAR])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 0.5, 50_000.0)
    assert (position["unrealizedPnl"], position["initialMargin"], position["leverage"]) == (500.0, 1275.0, 20.0)
    assert (await bitget.fetch_leverage(LINEAR))["longLeverage"] == 20
    fee = 15.0  # 0.06 % of 25,000
    balance = (await bitget.fetch_balance({"type": "swap", "productType": "USDT-FUTURES"}))["USDT"]
    assert (balance["total"], balance["free"]) == (100_500 - fee, 100_000 - fee - 1275)
    await bitget.create_order(LINEAR, "market", "sell", 0.5, params={"reduceOnly": True})
    assert await bitget.fetch_positions([LINEAR]) == []
    (opened, closed) = await bitget.fetch_my_trades(LINEAR)
    assert opened["fee"] == {"currency": "USDT", "cost": fee}
    assert (closed["amount"], closed["cost"], closed["info"]["profit"]) == (0.5, 25_500.0, "500")


async def test_inverse_position(bitget: Any, venue: Venue) -> None:
    """A short of 0.02 BTC from 50,000 to 40,000, whose face is 1,000 dollars, gains 1,000 * (1/40k - 1/50k)."""
    state = venue.states["bitget"]
    item = state.instrument("BTCUSD", Kind.INVERSE)
    state.pin(item, 50_000)
    await bitget.create_order(INVERSE, "market", "sell", 0.02)
    state.pin(item, 40_000)
    (position,) = await bitget.fetch_positions([INVERSE])
    assert (position["side"], position["contracts"]) == ("short", 0.02)
    assert position["unrealizedPnl"] == pytest.approx(1000 * (1 / 40_000 - 1 / 50_000))
    balance = await bitget.fetch_balance({"type": "swap", "productType": "COIN-FUTURES"})
    assert set(balance["total"]) == {"BTC", "ETH"}


async def test_every_settlement_is_asked_for_by_itself(bitget: Any) -> None:
    """Positions settled in USDC are listed under their product type alone."""
    await bitget.create_order("BTC/USDC:USDC", "market", "buy", 0.01)
    assert await bitget.fetch_positions(None, {"productType": "USDT-FUTURES"}) == []
    (position,) = await bitget.fetch_positions(None, {"productType": "USDC-FUTURES"})
    assert position["symbol"] == "BTC/USDC:USDC"


async def test_hedged_position(bitget: Any, linear: Instrument) -> None:
    """In hedge mode both sides are held at once, the side names the position, and the trade side what is done."""
    await bitget.set_position_mode(True, LINEAR)
    await bitget.set_position_mode(True, LINEAR)  # no error
    await bitget.create_order(LINEAR, "market", "buy", 0.1, params={"hedged": True})
    await bitget.create_order(LINEAR, "market", "sell", 0.2, params={"hedged": True})
    held = {p["side"]: (p["contracts"], p["hedged"]) for p in await bitget.fetch_positions([LINEAR])}
    assert held == {"long": (0.1, True), "short": (0.2, True)}
    with pytest.raises(ccxt.InvalidOrder, match="40774"):
        await bitget.create_order(LINEAR, "market", "buy", 0.1)
    with pytest.raises(ccxt.ExchangeError, match="40920"):
        await bitget.set_position_mode(False, LINEAR)
    closing = await bitget.create_order(LINEAR, "market", "sell", 0.1, params={"hedged": True, "reduceOnly": True})
    found = await bitget.fetch_order(closing["id"], LINEAR)
    assert (found["side"], found["info"]["side"], found["info"]["tradeSide"]) == ("sell", "buy", "close")
    assert [p["side"] for p in await bitget.fetch_positions([LINEAR])] == ["short"]


async def test_each_margin_mode_has_its_leverage(bitget: Any, linear: Instrument) -> None:
    """The mode is chosen before, with its leverage: 25,000 at 5 needs 5,000; a position holds the mode fast."""
    await bitget.set_margin_mode("isolated", LINEAR)
    await bitget.set_leverage(5, LINEAR)
    await bitget.create_order(LINEAR, "market", "buy", 0.5, params={"marginMode": "isolated"})
    (position,) = await bitget.fetch_positions([LINEAR])
    assert (position["marginMode"], position["leverage"]) == ("isolated", 5.0)
    assert position["initialMargin"] == 5000.0
    with pytest.raises(ccxt.ExchangeError, match="45117"):
        await bitget.set_margin_mode("cross", LINEAR)
    with pytest.raises(ccxt.ExchangeError, match="40797"):
        await bitget.set_leverage(126, LINEAR)
    assert (await bitget.fetch_margin_mode(LINEAR))["marginMode"] == "isolated"


async def test_an_exit_closes_the_whole_position(bitget: Any, venue: Venue, linear: Instrument) -> None:
    """A stop of the position waits among the plans, fires, and the order that it sent has its own id."""
    state = venue.states["bitget"]
    stop = (LINEAR, "market", "sell", 0.4, None, {"stopLossPrice": 49_000, "clientOrderId": "stop"})
    with pytest.raises(ccxt.ExchangeError, match="43023"):
        await bitget.create_order(*stop)
    await bitget.create_order(LINEAR, "market", "buy", 1)
    placed = await bitget.create_order(*stop)
    asked = {"planType": "profit_loss", "clientOid": "stop"}
    (waiting,) = await bitget.fetch_open_orders(LINEAR, params=asked)
    assert (waiting["id"], waiting["triggerPrice"]) == (placed["id"], 49_000.0)
    assert waiting["info"]["planStatus"] == "live"
    state.pin(linear, 48_900)
    assert state.held() == []  # all of it, though CCXT sent 0.4: Bitget overlooks the size of such a plan
    (fired,) = await bitget.fetch_canceled_and_closed_orders(LINEAR, params=asked)
    assert (fired["average"], fired["filled"], fired["info"]["planStatus"]) == (48_900.0, 1.0, "executed")
    sent = await bitget.fetch_order(fired["info"]["executeOrderId"], LINEAR)
    assert (sent["status"], sent["average"]) == ("closed", 48_900.0)


async def test_exits_on_the_wrong_side_are_refused(bitget: Any, linear: Instrument) -> None:
    """Each with its code."""
    await bitget.create_order(LINEAR, "market", "buy", 1)
    with pytest.raises(ccxt.InvalidOrder, match="40917"):
        await bitget.create_order(LINEAR, "market", "sell", 1, params={"stopLossPrice": 51_000})
    with pytest.raises(ccxt.ExchangeError, match="40915"):
        await bitget.create_order(LINEAR, "market", "sell", 1, params={"takeProfitPrice": 49_000})


@pytest.mark.parametrize("symbol", [SPOT, LINEAR])
async def test_trigger_orders_of_both_directions(bitget: Any, venue: Venue, symbol: str) -> None:
    """A trigger may lie on either side of the price."""
    state = venue.states["bitget"]
    item = state.instrument("BTCUSDT", Kind.SPOT if symbol == SPOT else Kind.LINEAR)
    state.pin(item, 50_000)
    for price in (51_000, 49_000):
        await bitget.create_order(symbol, "limit", "buy", 0.01, price, {"triggerPrice": price})
    waiting = await bitget.fetch_open_orders(symbol, params={"trigger": True})
    assert [(o["triggerPrice"], o["price"]) for o in waiting] == [(49_000.0, 49_000.0), (51_000.0, 51_000.0)]
    await bitget.cancel_order(waiting[0]["id"], symbol, {"trigger": True})
    state.pin(item, 51_000)
    assert await bitget.fetch_open_orders(symbol, params={"trigger": True}) == []
    (fill,) = await bitget.fetch_my_trades(symbol)
    assert (fill["price"], fill["amount"]) == (51_000.0, 0.01)


async def test_attached_exits(bitget: Any, venue: Venue, linear: Instrument) -> None:
    """A stop-loss and a take-profit that come with an order wait once it is filled."""
    params = {"stopLoss": {"triggerPrice": 49_000}, "takeProfit": {"triggerPrice": 52_000}}
    order = await bitget.create_order(LINEAR, "market", "buy", 1, params=params)
    found = await bitget.fetch_order(order["id"], LINEAR)
    assert (found["stopLossPrice"], found["takeProfitPrice"]) == (49_000.0, 52_000.0)
    waiting = await bitget.fetch_open_orders(LINEAR, params={"planType": "profit_loss"})
    assert {(o["info"]["planType"], o["triggerPrice"]) for o in waiting} == {
        ("loss_plan", 49_000.0), ("profit_plan", 52_000.0),
    }  # fmt: skip
    venue.states["bitget"].pin(linear, 52_100)
    assert venue.states["bitget"].held() == []


async def test_trailing_stop(bitget: Any, venue: Venue, linear: Instrument) -> None:
    """It begins to trail by 2 % at 51,000, follows to 52,000 and fires at 50,960."""
    state = venue.states["bitget"]
    await bitget.create_order(LINEAR, "market", "buy", 0.1)
    params = {"trailingPercent": "2", "trailingTriggerPrice": 51_000, "reduceOnly": True}
    await bitget.create_order(LINEAR, "market", "sell", 0.1, params=params)
    for price in (50_000, 49_000, 51_000, 52_000, 50_961):
        state.pin(linear, price)
        assert state.held()
    (waiting,) = await bitget.fetch_open_orders(LINEAR, params={"trailing": True})
    assert (waiting["triggerPrice"], waiting["info"]["callbackRatio"]) == (51_000.0, "2")
    state.pin(linear, 50_960)
    assert state.held() == []


async def test_post_only_that_would_take_is_cancelled(bitget: Any, linear: Instrument) -> None:
    """It is accepted, and cancelled."""
    order = await bitget.create_order(LINEAR, "limit", "buy", 0.1, 60_000, {"postOnly": True})
    found = await bitget.fetch_order(order["id"], LINEAR)
    assert (found["status"], found["filled"], found["postOnly"]) == ("canceled", 0.0, True)


@pytest.mark.parametrize("tif", ["IOC", "FOK"])
async def test_what_can_not_fill_at_once_is_cancelled(bitget: Any, linear: Instrument, tif: str) -> None:
    """An order that would rest and may not."""
    order = await bitget.create_order(LINEAR, "limit", "buy", 0.1, 40_000, {"timeInForce": tif})
    found = await bitget.fetch_order(order["id"], LINEAR)
    assert (found["status"], found["timeInForce"]) == ("canceled", tif)


@pytest.mark.parametrize(("symbol", "large"), [(SPOT, 100), (LINEAR, 900)])
async def test_a_batch_fails_one_by_one(bitget: Any, linear: Instrument, symbol: str, large: float) -> None:
    """Of several orders one is taken and one refused, which CCXT leaves out."""
    told = {"symbol": symbol, "type": "limit", "side": "buy", "price": 40_000}
    (order,) = await bitget.create_orders([told | {"amount": 0.1}, told | {"amount": large}])
    data = json.loads(bitget.last_http_response)["data"]
    assert [row["orderId"] for row in data["successList"]] == [order["id"]]
    assert [row["errorCode"] for row in data["failureList"]] == ["43012" if symbol == SPOT else "40762"]


@pytest.mark.parametrize(
    ("symbol", "type_", "amount", "price", "params", "error", "code"),
    [
        (SPOT, "limit", 100, 50_000, {}, ccxt.InsufficientFunds, "43012"),
        (SPOT, "limit", 0.00001, 50_000, {}, ccxt.InvalidOrder, "45110"),
        (LINEAR, "limit", 900, 50_000, {}, ccxt.InsufficientFunds, "40762"),
        (LINEAR, "limit", 0.001, 4000, {}, ccxt.InvalidOrder, "45110"),
        (LINEAR, "market", 0.1, None, {"reduceOnly": True}, ccxt.ExchangeError, "22002"),
        (LINEAR, "market", 1300, None, {}, ccxt.ExchangeError, "45112"),
    ],
)
async def test_refused_orders(
    bitget: Any, venue: Venue, symbol: str, type_: str, amount: float, price: float | None,
    params: dict[str, Any], error: type[Exception], code: str,
) -> None:  # fmt: skip
    """A refused order has the exchange's own code, by which CCXT files it, and changes nothing."""
    state = venue.states["bitget"]
    for kind in (Kind.SPOT, Kind.LINEAR):
        state.pin(state.instrument("BTCUSDT", kind), 50_000)
    with pytest.raises(error, match=code):
        await bitget.create_order(symbol, type_, "buy", amount, price, params)
    assert state.orders == {}


async def test_duplicate_client_id(bitget: Any, linear: Instrument) -> None:
    """A client id is taken once, also after its order was cancelled."""
    order = (LINEAR, "limit", "buy", 0.1, 10_000, {"clientOrderId": "same"})
    await bitget.create_order(*order)
    await bitget.cancel_all_orders(LINEAR)
    with pytest.raises(ccxt.ExchangeError, match="40786"):
        await bitget.create_order(*order)


@pytest.mark.parametrize(
    ("change", "code"),
    [({"secret": "wrong"}, "40009"), ({"apiKey": "wrong"}, "40037"), ({"password": "wrong"}, "40012")],
)
async def test_wrong_keys(bitget: Any, change: dict[str, str], code: str) -> None:
    """A wrong key, a wrong signature and a wrong passphrase each have their code."""
    for name, value in change.items():
        setattr(bitget, name, value)
    with pytest.raises(ccxt.AuthenticationError, match=code):
        await bitget.fetch_balance()


async def test_clock_and_rights(bitget: Any, venue: Venue) -> None:
    """A clock that is off, an address and a key that may not trade are refused, each in its way."""
    venue.faults.skew = 60_000
    with pytest.raises(ccxt.InvalidNonce, match="40008"):
        await bitget.fetch_balance()
    await bitget.load_time_difference()
    state = venue.states["bitget"]
    state.rights, state.addresses = frozenset({"read"}), (state.address,)
    with pytest.raises(ccxt.PermissionDenied, match="40014"):
        await bitget.create_order(LINEAR, "limit", "buy", 0.1, 10_000)
    info = (await bitget.private_spot_get_v2_spot_account_info())["data"]
    assert (info["authorities"], info["ips"]) == (["coor", "cpor", "stor"], state.address)
    state.addresses = ("203.0.113.9",)
    with pytest.raises(ccxt.PermissionDenied, match="40018"):
        await bitget.fetch_balance()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.RATE_LIMIT, ccxt.DDoSProtection), (Fault.BAN, ccxt.DDoSProtection),
        (Fault.MAINTENANCE, ccxt.OnMaintenance), (Fault.OVERLOAD, ccxt.ExchangeError),
        (Fault.UNKNOWN, ccxt.AuthenticationError), (Fault.GEO_BLOCK, ccxt.ExchangeNotAvailable),
        (Fault.DENIED, ccxt.PermissionDenied),
    ],
)  # fmt: skip
async def test_faults_have_their_codes(bitget: Any, venue: Venue, fault: Fault, error: type[Exception]) -> None:
    """Every fault of the plan has the code and status by which CCXT files it, wrongly at times."""
    venue.faults.add(fault, "*/account/assets", seconds=2)
    with pytest.raises(error):
        await bitget.fetch_balance()
    assert (await bitget.fetch_balance())["USDT"]["total"] == 100_000.0
