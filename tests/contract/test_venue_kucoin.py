"""CCXT, unmodified, against the venue's KuCoin."""

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
async def kucoin(venue: Venue) -> AsyncIterator[Any]:
    client = venue.client("kucoin")(credentials("kucoin") | {"options": {"uta": False, "hf": True}})
    client.has["fetchCurrencies"] = False
    yield client
    await client.close()


@pytest.fixture
def linear(venue: Venue) -> Instrument:
    """XBTUSDTM at 50,000; a lot is 0.001 BTC."""
    item = venue.states["kucoin"].instrument("XBTUSDTM")
    venue.states["kucoin"].pin(item, 50_000)
    return item


async def test_markets_of_every_kind(kucoin: Any) -> None:
    """Spot, perpetual and dated contracts of every settlement come under their unified names."""
    markets = await kucoin.load_markets()
    kinds = {(m["type"], m["linear"], m["inverse"]) for m in markets.values()}
    assert kinds == {
        ("spot", None, None), ("swap", True, False), ("swap", False, True), ("future", True, False),
        ("future", False, True),
    }  # fmt: skip
    assert markets["BTC/USDC:USDC"]["settle"] == "USDC"
    assert (markets[LINEAR]["id"], markets[LINEAR]["contractSize"]) == ("XBTUSDTM", 0.001)
    assert (markets[INVERSE]["id"], markets[INVERSE]["contractSize"]) == ("XBTUSDM", 1.0)
    assert (markets[SPOT]["precision"]["amount"], markets[SPOT]["limits"]["cost"]["min"]) == (1e-8, 0.1)
    assert markets[SPOT]["taker"] == 0.001
    dated = [m for m in markets.values() if m["type"] == "future"]
    assert {m["symbol"] for m in dated} == {
        f"BTC/{quote}-{kucoin.yymmdd(dated[0]['expiry'])}" for quote in ("USDT:USDT", "USD:BTC")
    }


@pytest.mark.parametrize(("symbol", "most"), [(SPOT, 1500), (LINEAR, 500), (INVERSE, 500)])
async def test_a_window_of_candles(kucoin: Any, venue: Venue, symbol: str, most: int) -> None:
    """The window that CCXT asks for is a page, whose prices agree with those of the book."""
    start = venue.now() // HOUR * HOUR - 2000 * HOUR
    page = await kucoin.fetch_ohlcv(symbol, "1h", start, most)
    assert [row[0] for row in page] == [start + n * HOUR for n in range(most)]
    (last,) = await kucoin.fetch_ohlcv(symbol, "1h", venue.now() // HOUR * HOUR, 1)
    assert last[4] == (await kucoin.fetch_ticker(symbol))["last"]
    assert all(row[3] <= min(row[1], row[4]) and row[2] >= max(row[1], row[4]) for row in page)


async def test_windows_longer_than_a_page(kucoin: Any, venue: Venue) -> None:
    """Of spot the newest 1,500 rows win, of contracts the oldest 500."""
    now = venue.now() // HOUR * HOUR
    start, end = (now - 3000 * HOUR) // 1000, now // 1000
    asked = {"symbol": "BTC-USDT", "type": "1hour", "startAt": start, "endAt": end}
    rows = (await kucoin.public_get_market_candles(asked))["data"]
    assert [int(row[0]) for row in rows] == [end - n * 3600 for n in range(1, 1501)]
    asked = {"symbol": "XBTUSDTM", "granularity": 60, "from": start * 1000, "to": end * 1000}
    rows = (await kucoin.futurespublic_get_kline_query(asked))["data"]
    assert [int(row[0]) // 1000 for row in rows] == [start + n * 3600 for n in range(500)]
    assert len((await kucoin.futurespublic_get_kline_query(asked | {"from": now - HOUR}))["data"]) == 2


async def test_mark_and_index_candles(kucoin: Any, venue: Venue) -> None:
    """They come from the unified interface and have no volume; that of contracts counts lots."""
    now = venue.now() // HOUR * HOUR
    for kind in ("mark", "index"):
        (row,) = await kucoin.fetch_ohlcv(LINEAR, "1h", now, 1, {"price": kind})
        assert row[2] >= row[3] > 0
        assert row[5] == 0
    asked = {"symbol": "XBTUSDTM", "granularity": 60, "from": now, "to": now}
    (raw,) = (await kucoin.futurespublic_get_kline_query(asked))["data"]
    assert float(raw[6]) == pytest.approx(float(raw[5]) * 0.001 * float(raw[4]))


async def test_tickers_books_trades_and_funding(kucoin: Any, venue: Venue) -> None:
    """Every kind has a ticker and a book of its own market; funding comes newest last."""
    for symbol in (SPOT, LINEAR, INVERSE):
        ticker, book = await kucoin.fetch_ticker(symbol), await kucoin.fetch_order_book(symbol, 20)
        assert ticker["symbol"] == symbol
        assert ticker["bid"] <= ticker["last"] <= ticker["ask"]
        assert len(book["bids"]) == len(book["asks"]) == 20
        assert len((await kucoin.fetch_order_book(symbol))["bids"]) == 100  # all that there are
        trades = await kucoin.fetch_trades(symbol)
        assert len(trades) == 100
        assert trades[-1]["price"] == ticker["last"]
    start = venue.now() // (8 * HOUR) * 8 * HOUR
    history = await kucoin.fetch_funding_rate_history(LINEAR, start - 300 * 8 * HOUR)
    assert [row["timestamp"] for row in history] == [start - n * 8 * HOUR for n in range(99, -1, -1)]
    rate = await kucoin.fetch_funding_rate(LINEAR)
    assert (rate["fundingTimestamp"], rate["interval"]) == (start + 8 * HOUR, "8h")
    tiers = await kucoin.fetch_market_leverage_tiers(LINEAR)
    assert [tier["maxLeverage"] for tier in tiers] == [125.0, 62.0, 41.0]


async def test_spot_orders(kucoin: Any, venue: Venue) -> None:
    """A market buy is told in base or in quote; balances follow, the fee is paid in quote."""
    state = venue.states["kucoin"]
    item = state.instrument("BTC-USDT")
    state.pin(item, 50_000)
    await kucoin.create_order(SPOT, "market", "buy", 0.1)
    await kucoin.create_market_buy_order_with_cost(SPOT, 100)
    await kucoin.create_order(SPOT, "limit", "buy", 0.1, 49_000, {"clientOrderId": "rests"})
    balance = await kucoin.fetch_balance()
    assert balance["BTC"]["total"] == 2.102
    assert (balance["USDT"]["total"], balance["USDT"]["used"]) == (94_894.9, 4_900.0)  # fees: 5 and 0.1
    (resting,) = await kucoin.fetch_open_orders(SPOT)
    assert (resting["status"], resting["clientOrderId"]) == ("open", "rests")
    state.pin(item, 48_999)
    found = await kucoin.fetch_order(None, SPOT, {"clientOrderId": "rests"})
    assert (found["status"], found["average"], found["clientOrderId"]) == ("closed", 49_000.0, "rests")
    assert found["fee"] == {"currency": "USDT", "cost": 4.9}
    fills = await kucoin.fetch_my_trades(SPOT)
    assert [fill["takerOrMaker"] for fill in fills] == ["taker", "taker", "maker"]
    assert fills[0]["fee"] == {"currency": "USDT", "cost": 5.0, "rate": 0.001}


@pytest.mark.parametrize("symbol", [SPOT, LINEAR, INVERSE])
async def test_cancel_by_either_id(kucoin: Any, symbol: str) -> None:
    """Open orders can be listed, looked up and cancelled by the exchange's id and by ours."""
    amount = 0.1 if symbol == SPOT else 100
    first = await kucoin.create_order(symbol, "limit", "buy", amount, 20_000, {"clientOrderId": "first"})
    await kucoin.create_order(symbol, "limit", "buy", amount, 20_000, {"clientOrderId": "second"})
    assert {o["clientOrderId"] for o in await kucoin.fetch_open_orders(symbol)} == {"first", "second"}
    assert (await kucoin.fetch_order(None, symbol, {"clientOrderId": "second"}))["amount"] == amount
    await kucoin.cancel_order(first["id"], symbol)
    await kucoin.cancel_order(None, symbol, {"clientOrderId": "second"})
    assert await kucoin.fetch_open_orders(symbol) == []
    assert (await kucoin.fetch_order(first["id"], symbol))["status"] == "canceled"
    with pytest.raises(ccxt.ExchangeError, match="order_not_exist" if symbol == SPOT else "100004"):
        await kucoin.cancel_order(first["id"], symbol)
    with pytest.raises(ccxt.OrderNotFound):
        await kucoin.fetch_order(None, symbol, {"clientOrderId": "never"})
    await kucoin.create_order(symbol, "limit", "buy", amount, 20_000)
    await kucoin.cancel_all_orders(symbol)
    assert await kucoin.fetch_open_orders(symbol) == []
    assert {o["status"] for o in await kucoin.fetch_closed_orders(symbol)} == {"canceled"}


async def test_spot_orders_can_be_changed(kucoin: Any) -> None:
    """Another order takes the place of one, under the same client id."""
    first = await kucoin.create_order(SPOT, "limit", "buy", 0.1, 20_000, {"clientOrderId": "mine"})
    new = await kucoin.edit_order(first["id"], SPOT, "limit", "buy", 0.2, 19_000)
    (found,) = await kucoin.fetch_open_orders(SPOT)
    assert (found["id"], found["amount"], found["price"]) == (new["id"], 0.2, 19_000.0)
    assert found["clientOrderId"] == "mine"


async def test_linear_position(kucoin: Any, venue: Venue, linear: Instrument) -> None:
    """A long of 500 lots (0.5 BTC) at 50,000, marked at 51,000: +500; isolated at 20: margin 25,000 / 20."""
    params = {"leverage": 20}
    await kucoin.create_order(LINEAR, "market", "buy", 500, params=params)
    venue.states["kucoin"].pin(linear, 51_000)
    (position,) = await kucoin.fetch_positions([LINEAR])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 500.0, 50_000.0)
    assert (position["unrealizedPnl"], position["initialMargin"], position["leverage"]) == (500.0, 1250.0, 20.0)
    assert position["marginMode"] == "isolated"
    balance = (await kucoin.fetch_balance({"type": "swap", "code": "USDT"}))["USDT"]
    assert (balance["total"], balance["free"]) == (100_485.0, 98_735.0)  # fee 15, margin 1,250, gain 500
    await kucoin.create_order(LINEAR, "market", "sell", 500, params=params | {"reduceOnly": True})
    assert await kucoin.fetch_positions() == []
    (opened, closed) = await kucoin.fetch_my_trades(LINEAR)
    assert (opened["cost"], opened["fee"]["cost"], opened["fee"]["currency"]) == (25_000.0, 15.0, "USDT")
    assert (closed["side"], closed["amount"]) == ("sell", 500.0)


async def test_inverse_position(kucoin: Any, venue: Venue) -> None:
    """A short of 1,000 dollars from 50,000 to 40,000 gains 1,000 * (1/40,000 - 1/50,000) BTC."""
    state = venue.states["kucoin"]
    item = state.instrument("XBTUSDM")
    state.pin(item, 50_000)
    order = await kucoin.create_order(INVERSE, "market", "sell", 1000)
    found = await kucoin.fetch_order(order["id"], INVERSE)
    assert (found["average"], found["filled"], found["cost"]) == (50_000.0, 1000.0, 0.02)
    state.pin(item, 40_000)
    (position,) = await kucoin.fetch_positions([INVERSE])
    assert (position["side"], position["contracts"]) == ("short", 1000.0)
    assert position["unrealizedPnl"] == pytest.approx(1000 * (1 / 40_000 - 1 / 50_000))
    assert (await kucoin.fetch_balance({"type": "swap", "code": "BTC"}))["BTC"]["total"] == pytest.approx(
        2 - 0.02 * 0.0006 + 0.005
    )


async def test_hedged_position(kucoin: Any, linear: Instrument) -> None:
    """In hedge mode both sides are held at once, and a side must be named."""
    await kucoin.set_position_mode(True)
    await kucoin.set_position_mode(True)  # no error
    await kucoin.create_order(LINEAR, "market", "buy", 10, params={"hedged": True})
    await kucoin.create_order(LINEAR, "market", "sell", 20, params={"hedged": True})
    held = {p["side"]: (p["contracts"], p["info"]["positionSide"]) for p in await kucoin.fetch_positions([LINEAR])}
    assert held == {"long": (10.0, "LONG"), "short": (20.0, "SHORT")}
    with pytest.raises(ccxt.InvalidOrder, match="330012"):
        await kucoin.create_order(LINEAR, "market", "buy", 10)
    with pytest.raises(ccxt.BadRequest, match="position mode"):
        await kucoin.set_position_mode(False)
    await kucoin.create_order(LINEAR, "market", "sell", 10, params={"hedged": True, "reduceOnly": True})
    assert [p["side"] for p in await kucoin.fetch_positions()] == ["short"]
    assert (await kucoin.fetch_position_mode())["hedged"] is True


async def test_the_margin_mode_must_be_the_chosen_one(kucoin: Any, linear: Instrument) -> None:
    """Cross has a leverage of its own, isolated orders bring theirs: 25,000 at 5 needs 5,000."""
    with pytest.raises(ccxt.InvalidOrder, match="330005"):
        await kucoin.create_order(LINEAR, "market", "buy", 500, params={"marginMode": "cross"})
    await kucoin.set_margin_mode("cross", LINEAR)
    await kucoin.set_leverage(5, LINEAR)
    await kucoin.create_order(LINEAR, "market", "buy", 500, params={"marginMode": "cross"})
    (position,) = await kucoin.fetch_positions([LINEAR])
    assert (position["marginMode"], position["leverage"], position["initialMargin"]) == ("cross", 5.0, 5000.0)
    assert (await kucoin.fetch_leverage(LINEAR))["longLeverage"] == 5
    assert (await kucoin.fetch_margin_mode(LINEAR))["marginMode"] == "cross"
    with pytest.raises(ccxt.BadRequest, match="margin mode"):
        await kucoin.set_margin_mode("isolated", LINEAR)
    with pytest.raises(ccxt.BadRequest, match="Leverage"):
        await kucoin.set_leverage(126, LINEAR)


async def test_a_refused_order_leaves_the_leverage(kucoin: Any, linear: Instrument) -> None:
    """The leverage of an isolated order is taken with it alone."""
    await kucoin.create_order(LINEAR, "market", "buy", 100, params={"leverage": 4})
    with pytest.raises(ccxt.InsufficientFunds):
        await kucoin.create_order(LINEAR, "limit", "buy", 900_000, 50_000, {"leverage": 8})
    (position,) = await kucoin.fetch_positions([LINEAR])
    assert position["leverage"] == 4.0


async def test_a_stop_of_contracts_keeps_its_id(kucoin: Any, venue: Venue, linear: Instrument) -> None:
    """It waits apart from the others, fires at its price under the same id, and closes the position."""
    state = venue.states["kucoin"]
    await kucoin.create_order(LINEAR, "market", "buy", 100)
    params = {"stopLossPrice": 49_000, "clientOrderId": "stop"}
    stop = await kucoin.create_order(LINEAR, "market", "sell", 100, params=params)
    assert await kucoin.fetch_open_orders(LINEAR) == []
    (waiting,) = await kucoin.fetch_open_orders(LINEAR, params={"trigger": True})
    assert (waiting["id"], waiting["triggerPrice"], waiting["status"]) == (stop["id"], 49_000.0, "open")
    assert (waiting["reduceOnly"], waiting["info"]["stop"]) == (True, "down")
    state.pin(linear, 48_900)
    fired = await kucoin.fetch_order(None, LINEAR, {"clientOrderId": "stop"})
    assert (fired["id"], fired["status"], fired["average"]) == (stop["id"], "closed", 48_900.0)
    assert state.held() == []


async def test_a_stop_of_spot_sends_an_order(kucoin: Any, venue: Venue) -> None:
    """It waits in a list of its own; the order that it sends has its client id and another id."""
    state = venue.states["kucoin"]
    item = state.instrument("BTC-USDT")
    state.pin(item, 50_000)
    stop = await kucoin.create_order(
        SPOT, "limit", "sell", 0.1, 48_000, {"stopLossPrice": 49_000, "clientOrderId": "stop"}
    )
    other = await kucoin.create_order(SPOT, "market", "buy", 0.1, None, {"triggerPrice": 51_000})
    waiting = await kucoin.fetch_open_orders(SPOT, params={"trigger": True})
    assert [(o["id"], o["triggerPrice"], o["info"]["stop"]) for o in waiting] == [
        (other["id"], 51_000.0, "entry"), (stop["id"], 49_000.0, "loss"),
    ]  # fmt: skip
    assert (await kucoin.fetch_order(stop["id"], SPOT, {"trigger": True}))["status"] == "open"
    await kucoin.cancel_order(other["id"], SPOT, {"trigger": True})
    state.pin(item, 48_900)
    fired = await kucoin.fetch_order(None, SPOT, {"clientOrderId": "stop"})
    assert (fired["status"], fired["average"]) == ("closed", 48_900.0)
    assert fired["id"] != stop["id"]


async def test_attached_exits(kucoin: Any, venue: Venue, linear: Instrument) -> None:
    """A stop-loss and a take-profit that come with an order wait once it is filled."""
    params = {"stopLoss": {"triggerPrice": 49_000}, "takeProfit": {"triggerPrice": 52_000}}
    await kucoin.create_order(LINEAR, "market", "buy", 100, params=params)
    waiting = await kucoin.fetch_open_orders(LINEAR, params={"trigger": True})
    assert {(o["info"]["stop"], o["triggerPrice"]) for o in waiting} == {("down", 49_000.0), ("up", 52_000.0)}
    venue.states["kucoin"].pin(linear, 52_100)
    assert venue.states["kucoin"].held() == []


async def test_exits_of_a_short_lie_the_other_way_round(kucoin: Any, venue: Venue, linear: Instrument) -> None:
    """CCXT always sends the stop-loss as the lower level, which a short's is not."""
    params = {"stopLoss": {"triggerPrice": 51_000}}
    with pytest.raises(ccxt.BadRequest, match="stop price"):
        await kucoin.create_order(LINEAR, "market", "sell", 100, params=params)
    raw = {
        "clientOid": "short", "side": "sell", "symbol": "XBTUSDTM", "type": "market", "leverage": 5, "size": 100,
        "triggerStopUpPrice": "51000", "triggerStopDownPrice": "48000", "stopPriceType": "TP",
    }  # fmt: skip
    await kucoin.futuresprivate_post_st_orders(raw)
    venue.states["kucoin"].pin(linear, 51_000)
    assert venue.states["kucoin"].held() == []


async def test_post_only_that_would_take_is_cancelled(kucoin: Any, linear: Instrument) -> None:
    """It is accepted, and cancelled."""
    order = await kucoin.create_order(LINEAR, "limit", "buy", 10, 60_000, {"postOnly": True})
    found = await kucoin.fetch_order(order["id"], LINEAR)
    assert (found["status"], found["filled"], found["postOnly"]) == ("canceled", 0.0, True)


@pytest.mark.parametrize(("symbol", "tif"), [(SPOT, "IOC"), (SPOT, "FOK"), (LINEAR, "IOC")])
async def test_what_can_not_fill_at_once_is_cancelled(kucoin: Any, symbol: str, tif: str) -> None:
    """An order that would rest and may not."""
    amount = 0.1 if symbol == SPOT else 100
    order = await kucoin.create_order(symbol, "limit", "buy", amount, 20_000, {"timeInForce": tif})
    found = await kucoin.fetch_order(order["id"], symbol)
    assert (found["status"], found["timeInForce"], found["filled"]) == ("canceled", tif, 0.0)


async def test_a_batch_fails_one_by_one(kucoin: Any, venue: Venue, linear: Instrument) -> None:
    """Of several orders one is taken and one refused."""
    told = {"symbol": LINEAR, "type": "limit", "side": "buy", "price": 40_000}
    orders = await kucoin.create_orders([told | {"amount": 10}, told | {"amount": 900_000}])
    assert [order["info"]["code"] for order in orders] == ["200000", "300003"]
    assert len(venue.states["kucoin"].open_orders()) == 1


@pytest.mark.parametrize(
    ("symbol", "type_", "amount", "price", "params", "error", "code"),
    [
        (SPOT, "limit", 100, 50_000, {}, ccxt.InsufficientFunds, "200004"),
        (SPOT, "limit", 0.000001, 50_000, {}, ccxt.InvalidOrder, "below the minimum"),
        (SPOT, "limit", 0.00001, 1000, {}, ccxt.InvalidOrder, "600101"),
        (LINEAR, "limit", 900_000, 50_000, {}, ccxt.InsufficientFunds, "300003"),
        (LINEAR, "market", 10, None, {"reduceOnly": True}, ccxt.InvalidOrder, "300009"),
    ],
)
async def test_refused_orders(
    kucoin: Any, venue: Venue, symbol: str, type_: str, amount: float, price: float | None,
    params: dict[str, Any], error: type[Exception], code: str,
) -> None:  # fmt: skip
    """A refused order has the exchange's own code or words, by which CCXT files it, and changes nothing."""
    state = venue.states["kucoin"]
    for name, kind in (("BTC-USDT", Kind.SPOT), ("XBTUSDTM", Kind.LINEAR)):
        state.pin(state.instrument(name, kind), 50_000)
    with pytest.raises(error, match=code):
        await kucoin.create_order(symbol, type_, "buy", amount, price, params)
    assert state.orders == {}


async def test_duplicate_client_id(kucoin: Any) -> None:
    """A client id is taken once, also after its order was cancelled."""
    order = (SPOT, "limit", "buy", 0.1, 10_000, {"clientOrderId": "same"})
    await kucoin.create_order(*order)
    await kucoin.cancel_all_orders(SPOT)
    with pytest.raises(ccxt.InvalidOrder, match="126044"):
        await kucoin.create_order(*order)


@pytest.mark.parametrize(
    ("change", "code"),
    [({"secret": "wrong"}, "400005"), ({"apiKey": "wrong"}, "400003"), ({"password": "wrong"}, "400004")],
)
async def test_wrong_keys(kucoin: Any, change: dict[str, str], code: str) -> None:
    """A wrong key, a wrong signature and a wrong passphrase each have their code."""
    for name, value in change.items():
        setattr(kucoin, name, value)
    with pytest.raises(ccxt.AuthenticationError, match=code):
        await kucoin.fetch_balance()


async def test_clock_and_rights(kucoin: Any, venue: Venue) -> None:
    """A clock that is off, an address and a key that may not trade are refused, each in its way."""
    await kucoin.load_markets()
    venue.faults.skew = 60_000
    with pytest.raises(ccxt.InvalidNonce, match="400002"):
        await kucoin.fetch_balance()
    await kucoin.load_time_difference()
    state = venue.states["kucoin"]
    state.rights, state.addresses = frozenset({"read"}), (state.address,)
    with pytest.raises(ccxt.AuthenticationError, match="400007"):
        await kucoin.create_order(LINEAR, "limit", "buy", 1, 10_000)
    key = (await kucoin.private_get_user_api_key())["data"]
    assert (key["permission"], key["ipWhitelist"]) == ("General", state.address)
    state.addresses = ("203.0.113.9",)
    with pytest.raises(ccxt.AuthenticationError, match="400006"):
        await kucoin.fetch_balance()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.RATE_LIMIT, ccxt.RateLimitExceeded), (Fault.BAN, ccxt.RateLimitExceeded),
        (Fault.MAINTENANCE, ccxt.ExchangeNotAvailable), (Fault.OVERLOAD, ccxt.ExchangeNotAvailable),
        (Fault.UNKNOWN, ccxt.BadRequest), (Fault.GEO_BLOCK, ccxt.RestrictedLocation),
        (Fault.DENIED, ccxt.AuthenticationError),
    ],
)  # fmt: skip
async def test_faults_have_their_codes(kucoin: Any, venue: Venue, fault: Fault, error: type[Exception]) -> None:
    """Every fault of the plan has the code and status by which CCXT files it, wrongly at times."""
    venue.faults.add(fault, "*/accounts", seconds=2)
    with pytest.raises(error):
        await kucoin.fetch_balance()
    if fault is Fault.RATE_LIMIT:
        assert kucoin.last_response_headers["gw-ratelimit-reset"] == "2000"
    assert (await kucoin.fetch_balance())["USDT"]["total"] == 100_000.0
