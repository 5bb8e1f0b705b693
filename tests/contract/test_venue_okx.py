"""CCXT, unmodified, against the venue's OKX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ccxt  # noqa: TID251
import pytest
import pytest_asyncio
from venue import Fault
from venue.server import credentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from venue import Venue
    from venue.instruments import Instrument

SPOT, LINEAR, INVERSE = "BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"
HOUR = 3_600_000

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def okx(venue: Venue) -> AsyncIterator[Any]:
    options = {"fetchMarkets": {"types": ["spot", "swap", "future", "option"]}}
    client = venue.client("okx")(credentials("okx") | {"options": options})
    client.has["fetchCurrencies"] = False
    yield client
    await client.close()


@pytest.fixture
def linear(venue: Venue) -> Instrument:
    """BTC-USDT-SWAP at 50,000; a contract is 0.01 BTC."""
    item = venue.states["okx"].instrument("BTC-USDT-SWAP")
    venue.states["okx"].pin(item, 50_000)
    return item


def calls_of(venue: Venue, path: str) -> list[dict[str, Any]]:
    """What was sent to a path."""
    return [seen.args for seen in venue.seen if seen.path.endswith(path)]


async def test_markets_of_every_kind(okx: Any) -> None:
    """Spot, perpetual and dated contracts of every settlement and options come under their unified names."""
    markets = await okx.load_markets()
    kinds = {(m["type"], m["linear"], m["inverse"]) for m in markets.values()}
    assert kinds == {
        ("spot", None, None), ("swap", True, False), ("swap", False, True), ("future", True, False),
        ("future", False, True), ("option", False, True),
    }  # fmt: skip
    assert markets["BTC/USDC:USDC"]["settle"] == "USDC"
    assert (markets[LINEAR]["contractSize"], markets[LINEAR]["precision"]["amount"]) == (0.01, 0.01)
    assert markets[INVERSE]["contractSize"] == 100.0
    option = next(m for m in markets.values() if m["type"] == "option")
    assert (option["contractSize"], option["info"]["ctMult"]) == (1.0, "0.01")  # CCXT overlooks the multiplier
    dated = [m for m in markets.values() if m["type"] == "future"]
    assert {m["symbol"] for m in dated} == {
        f"BTC/{quote}-{okx.yymmdd(dated[0]['expiry'])}" for quote in ("USDT:USDT", "USD:BTC")
    }


@pytest.mark.parametrize("symbol", [SPOT, LINEAR, INVERSE])
async def test_candles_come_in_pages(okx: Any, venue: Venue, symbol: str) -> None:
    """CCXT asks for a window of at most 300 rows from its start on, of recent candles and of old ones."""
    for back in (400, 5000):
        start = venue.now() // HOUR * HOUR - back * HOUR
        page = await okx.fetch_ohlcv(symbol, "1h", start, 1000)
        assert [row[0] for row in page] == [start + n * HOUR for n in range(300)]
    assert calls_of(venue, "history-candles")
    assert await okx.fetch_ohlcv(symbol, "1h", start + 100 * HOUR, 1) == page[100:101]


async def test_the_newest_candles_of_a_window_win(okx: Any, venue: Venue) -> None:
    """With an end that is further than a page, the older part is lost; recent candles reach 1,440 bars back."""
    now = venue.now() // HOUR * HOUR
    cut = await okx.fetch_ohlcv(SPOT, "1h", now - 1000 * HOUR, 300, {"until": now})
    assert [row[0] for row in cut] == [now - n * HOUR for n in range(300, 0, -1)]
    old = {"instId": "BTC-USDT", "bar": "1H", "before": now - 3000 * HOUR, "after": now - 1438 * HOUR}
    rows = (await okx.public_get_market_candles(old))["data"]
    assert [int(row[0]) for row in rows] == [now - 1439 * HOUR]


async def test_mark_and_index_candles(okx: Any, venue: Venue) -> None:
    """They have prices and no volume; the volume of contracts is theirs, of base and of quote."""
    for kind in ("mark", "index"):
        (row,) = await okx.fetch_ohlcv(LINEAR, "1h", venue.now() // HOUR * HOUR, 1, {"price": kind})
        assert row[2] >= row[3] > 0
    (raw,) = (await okx.public_get_market_candles({"instId": "BTC-USDT-SWAP", "bar": "1H", "limit": 1}))["data"]
    assert float(raw[6]) == pytest.approx(float(raw[5]) * 0.01)  # contracts of 0.01 BTC
    assert float(raw[7]) == pytest.approx(float(raw[6]) * float(raw[4]))
    (raw,) = (await okx.public_get_market_candles({"instId": "BTC-USD-SWAP", "bar": "1H", "limit": 1}))["data"]
    assert float(raw[6]) == pytest.approx(float(raw[5]) * 100 / float(raw[4]))  # contracts of 100 dollars


async def test_tickers_books_trades_and_funding(okx: Any, venue: Venue) -> None:
    """Every kind has a ticker and a book of its own market; funding comes newest last."""
    for symbol in (SPOT, LINEAR, INVERSE):
        ticker, book = await okx.fetch_ticker(symbol), await okx.fetch_order_book(symbol, 5)
        assert ticker["symbol"] == symbol
        assert ticker["low"] <= ticker["last"] <= ticker["high"]
        assert len(book["bids"]) == len(book["asks"]) == 5
        trades = await okx.fetch_trades(symbol, limit=10)
        assert len(trades) == 10
        assert trades[-1]["price"] == ticker["last"]
        older = await okx.fetch_trades(
            symbol, None, 5, {"method": "publicGetMarketHistoryTrades", "after": trades[0]["id"]}
        )
        assert [int(t["id"]) for t in older] == [int(trades[0]["id"]) - n for n in range(5, 0, -1)]
    start = venue.now() // (8 * HOUR) * 8 * HOUR
    history = await okx.fetch_funding_rate_history(LINEAR, start - 300 * 8 * HOUR, 100)
    assert [row["timestamp"] for row in history] == [start - n * 8 * HOUR for n in range(99, -1, -1)]
    rate = await okx.fetch_funding_rate(LINEAR)
    assert (rate["fundingTimestamp"], rate["interval"]) == (start + 8 * HOUR, "8h")
    tiers = await okx.fetch_market_leverage_tiers(LINEAR)
    assert [tier["maxLeverage"] for tier in tiers] == [100.0, 50.0, 25.0]


async def test_option_chain_and_greeks(okx: Any) -> None:
    """The chain lists the options of a coin, priced in it; a call's delta lies in (0, 1)."""
    await okx.load_markets()
    chain = await okx.fetch_option_chain("BTC")
    assert set(chain) == {s for s in okx.markets if s.startswith("BTC/USD:BTC-") and s[-1] in "CP"}
    call = next(s for s in sorted(chain) if s.endswith("-C"))
    assert 0 < chain[call]["lastPrice"] < 1
    greeks = await okx.fetch_greeks(call)
    assert 0 < float(greeks["info"]["deltaBS"]) < 1
    assert greeks["markImpliedVolatility"] == 0.6
    assert all(t["symbol"] == call for t in await okx.fetch_trades(call))


async def test_spot_orders(okx: Any, venue: Venue) -> None:
    """A market buy is told in base or in quote; balances follow, the fee is paid in what was bought."""
    state = venue.states["okx"]
    item = state.instrument("BTC-USDT")
    state.pin(item, 50_000)
    await okx.create_order(SPOT, "market", "buy", 0.1)
    await okx.create_market_buy_order_with_cost(SPOT, 100)
    await okx.create_order(SPOT, "limit", "buy", 0.1, 49_000, {"clientOrderId": "rests"})
    balance = await okx.fetch_balance()
    assert balance["BTC"]["total"] == pytest.approx(2 + 0.102 * 0.999)
    assert (balance["USDT"]["total"], balance["USDT"]["used"]) == (94_900.0, 4_900.0)
    state.pin(item, 48_999)
    found = await okx.fetch_order(None, SPOT, {"clientOrderId": "rests"})
    assert (found["status"], found["average"], found["clientOrderId"]) == ("closed", 49_000.0, "rests")
    fills = await okx.fetch_my_trades(SPOT)
    assert [fill["takerOrMaker"] for fill in fills] == ["taker", "taker", "maker"]
    assert fills[0]["fee"] == {"currency": "BTC", "cost": 0.0001}
    assert fills[0]["info"]["fee"] == "-0.0001"


@pytest.mark.parametrize("symbol", [SPOT, LINEAR, INVERSE])
async def test_cancel_by_either_id(okx: Any, symbol: str) -> None:
    """Open orders can be listed, looked up and cancelled by the exchange's id and by ours."""
    first = await okx.create_order(symbol, "limit", "buy", 0.1, 20_000, {"clientOrderId": "first"})
    await okx.create_order(symbol, "limit", "buy", 0.1, 20_000, {"clientOrderId": "second"})
    assert {o["clientOrderId"] for o in await okx.fetch_open_orders(symbol)} == {"first", "second"}
    await okx.cancel_order(first["id"], symbol)
    await okx.cancel_order(None, symbol, {"clientOrderId": "second"})
    assert await okx.fetch_open_orders(symbol) == []
    assert (await okx.fetch_order(first["id"], symbol))["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound, match="51400"):
        await okx.cancel_order(first["id"], symbol)
    with pytest.raises(ccxt.OrderNotFound, match="51603"):
        await okx.fetch_order(None, symbol, {"clientOrderId": "never"})
    third = await okx.create_order(symbol, "limit", "buy", 0.1, 20_000)
    await okx.edit_order(third["id"], symbol, "limit", "buy", 0.2, 19_000)
    (amended,) = await okx.fetch_open_orders(symbol)
    assert (amended["amount"], amended["price"]) == (0.2, 19_000.0)
    await okx.cancel_orders([third["id"]], symbol)
    assert {o["id"] for o in await okx.fetch_canceled_orders(symbol)} == {o["id"] for o in (first, third)} | {
        str(int(first["id"]) + 1)
    }


async def test_linear_position(okx: Any, venue: Venue, linear: Instrument) -> None:
    """A long of 50 contracts (0.5 BTC) at 50,000, marked at 51,000: +500; leverage 20: margin 25,500 / 20."""
    await okx.set_leverage(20, LINEAR)
    await okx.create_order(LINEAR, "market", "buy", 50)
    venue.states["okx"].pin(linear, 51_000)
    (position,) = await okx.fetch_positions([LINEAR])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 50.0, 50_000.0)
    assert (position["unrealizedPnl"], position["initialMargin"], position["leverage"]) == (500.0, 1275.0, 20.0)
    assert (position["notional"], position["hedged"]) == (25_500.0, False)
    assert (await okx.fetch_balance())["USDT"]["used"] == 1275.0
    await okx.create_order(LINEAR, "market", "sell", 50, params={"reduceOnly": True})
    assert await okx.fetch_positions() == []
    fees = 0.0005 * (25_000 + 25_500)
    assert (await okx.fetch_balance())["USDT"]["total"] == pytest.approx(100_500 - fees)


async def test_inverse_position(okx: Any, venue: Venue) -> None:
    """A short of 10 contracts of 100 dollars from 50,000 to 40,000 gains 1,000 * (1/40,000 - 1/50,000) BTC."""
    state = venue.states["okx"]
    item = state.instrument("BTC-USD-SWAP")
    state.pin(item, 50_000)
    await okx.create_order(INVERSE, "market", "sell", 10)
    state.pin(item, 40_000)
    (position,) = await okx.fetch_positions()
    assert (position["side"], position["contracts"], position["info"]["pos"]) == ("short", 10.0, "-10")
    assert position["unrealizedPnl"] == pytest.approx(1000 * (1 / 40_000 - 1 / 50_000))


async def test_hedged_position(okx: Any, linear: Instrument) -> None:
    """In hedge mode both sides are held at once, and a side must be named."""
    await okx.set_position_mode(True)
    await okx.set_position_mode(True)  # no error
    await okx.create_order(LINEAR, "market", "buy", 10, params={"hedged": True})
    await okx.create_order(LINEAR, "market", "sell", 20, params={"posSide": "short"})
    held = {p["side"]: (p["contracts"], p["info"]["pos"]) for p in await okx.fetch_positions([LINEAR])}
    assert held == {"long": (10.0, "10"), "short": (20.0, "20")}
    with pytest.raises(ccxt.BadRequest, match="posSide"):
        await okx.create_order(LINEAR, "market", "buy", 10)
    with pytest.raises(ccxt.ExchangeError, match="59000"):
        await okx.set_position_mode(False)
    await okx.create_order(LINEAR, "market", "sell", 10, params={"hedged": True, "reduceOnly": True})
    assert [p["side"] for p in await okx.fetch_positions()] == ["short"]
    assert (await okx.fetch_position_mode())["hedged"] is True


async def test_each_margin_mode_has_its_leverage(okx: Any, linear: Instrument) -> None:
    """The mode comes with an order, its leverage was set before: 25,000 at 5 needs 5,000."""
    await okx.set_margin_mode("isolated", LINEAR, {"leverage": 5})
    await okx.create_order(LINEAR, "market", "buy", 50, params={"marginMode": "isolated"})
    (position,) = await okx.fetch_positions([LINEAR])
    assert (position["marginMode"], position["leverage"]) == ("isolated", 5.0)
    assert position["initialMargin"] == 5000.0
    assert (await okx.fetch_leverage(LINEAR, {"marginMode": "isolated"}))["longLeverage"] == 5
    assert (await okx.fetch_leverage(LINEAR))["longLeverage"] == 10
    with pytest.raises(ccxt.ExchangeError, match="59102"):
        await okx.set_leverage(120, LINEAR)


async def test_a_trigger_order_sends_another(okx: Any, venue: Venue, linear: Instrument) -> None:
    """An exit waits among the algo orders, fires at its price, and the order that it sent has its own id."""
    state = venue.states["okx"]
    await okx.create_order(LINEAR, "market", "buy", 100)
    params = {"stopLossPrice": 49_000, "reduceOnly": True, "clientOrderId": "stop"}
    stop = await okx.create_order(LINEAR, "market", "sell", 100, params=params)
    assert await okx.fetch_open_orders(LINEAR) == []
    (waiting,) = await okx.fetch_open_orders(LINEAR, params={"trigger": True, "ordType": "conditional"})
    assert (waiting["id"], waiting["stopLossPrice"], waiting["status"]) == (stop["id"], 49_000.0, "open")
    state.pin(linear, 48_900)
    fired = await okx.fetch_order(None, LINEAR, {"trigger": True, "clientOrderId": "stop"})
    assert (fired["status"], fired["info"]["actualPx"]) == ("closed", "48900")
    (child,) = fired["info"]["ordIdList"]
    sent = await okx.fetch_order(child, LINEAR)
    assert (sent["average"], sent["filled"], sent["clientOrderId"]) == (48_900.0, 100.0, None)
    assert sent["info"]["algoId"] == stop["id"]
    with pytest.raises(ccxt.OrderNotFound):
        await okx.fetch_order(None, LINEAR, {"clientOrderId": "stop"})
    assert state.held() == []


async def test_trigger_orders_of_both_directions(okx: Any, venue: Venue, linear: Instrument) -> None:
    """A trigger may lie on either side of the price; an exit on the wrong side is refused with its code."""
    for price, type_ in ((51_000, "market"), (49_000, "limit")):
        await okx.create_order(LINEAR, type_, "buy", 1, price, {"triggerPrice": price})
    waiting = await okx.fetch_open_orders(LINEAR, params={"trigger": True})
    assert [(o["triggerPrice"], o["price"]) for o in waiting] == [(49_000.0, 49_000.0), (51_000.0, -1.0)]
    await okx.cancel_order(waiting[0]["id"], LINEAR, {"trigger": True})
    venue.states["okx"].pin(linear, 51_000)
    assert (await okx.fetch_position(LINEAR))["contracts"] == 1.0
    with pytest.raises(ccxt.InvalidOrder, match="51280"):
        await okx.create_order(LINEAR, "market", "sell", 1, params={"stopLossPrice": 52_000})
    with pytest.raises(ccxt.InvalidOrder, match="51279"):
        await okx.create_order(LINEAR, "market", "sell", 1, params={"takeProfitPrice": 50_000})


async def test_exits_of_spot_must_say_cash(okx: Any) -> None:
    """CCXT would make it an order on margin, which an account in futures mode does not take."""
    exit_ = (SPOT, "market", "sell", 0.1, None)
    with pytest.raises(ccxt.AccountNotEnabled, match="51010"):
        await okx.create_order(*exit_, {"stopLossPrice": 10_000})
    order = await okx.create_order(*exit_, {"stopLossPrice": 10_000, "tdMode": "cash"})
    (waiting,) = await okx.fetch_open_orders(SPOT, params={"trigger": True, "ordType": "conditional"})
    assert waiting["id"] == order["id"]


async def test_attached_exits(okx: Any, venue: Venue, linear: Instrument) -> None:
    """A stop-loss and a take-profit that come with an order wait once it is filled."""
    params = {"stopLoss": {"triggerPrice": 49_000}, "takeProfit": {"triggerPrice": 52_000}}
    order = await okx.create_order(LINEAR, "limit", "buy", 10, 50_000, params)
    found = await okx.fetch_order(order["id"], LINEAR)
    assert (found["stopLossPrice"], found["takeProfitPrice"]) == (49_000.0, 52_000.0)
    waiting = await okx.fetch_open_orders(LINEAR, params={"trigger": True, "ordType": "conditional"})
    assert {(o["stopLossPrice"], o["takeProfitPrice"]) for o in waiting} == {(49_000.0, None), (None, 52_000.0)}
    venue.states["okx"].pin(linear, 52_100)
    assert venue.states["okx"].held() == []


@pytest.mark.parametrize("gap", [{"trailingPercent": 2}, {"trailingAmount": 1040}])
async def test_trailing_stop(okx: Any, venue: Venue, linear: Instrument, gap: dict[str, float]) -> None:
    """A stop that trails by 2 % follows from 50,000 to 52,000 and fires at 50,960."""
    state = venue.states["okx"]
    await okx.create_order(LINEAR, "market", "buy", 10)
    await okx.create_order(LINEAR, "market", "sell", 10, params=gap | {"reduceOnly": True})
    for price in (52_000, 50_961):
        state.pin(linear, price)
        assert state.held()
    (waiting,) = await okx.fetch_open_orders(LINEAR, params={"trailing": True})
    assert waiting["triggerPrice"] == 50_960.0
    state.pin(linear, 50_960)
    assert state.held() == []


async def test_post_only_that_would_take_is_cancelled(okx: Any, linear: Instrument) -> None:
    """It is accepted, and cancelled with a reason."""
    order = await okx.create_order(LINEAR, "limit", "buy", 10, 60_000, {"postOnly": True})
    found = await okx.fetch_order(order["id"], LINEAR)
    assert (found["status"], found["filled"], found["postOnly"]) == ("canceled", 0.0, True)
    assert found["info"]["cancelSource"] == "31"


@pytest.mark.parametrize("tif", ["IOC", "FOK"])
async def test_what_can_not_fill_at_once_is_cancelled(okx: Any, linear: Instrument, tif: str) -> None:
    """An order that would rest and may not."""
    order = await okx.create_order(LINEAR, "limit", "buy", 10, 40_000, {"timeInForce": tif})
    found = await okx.fetch_order(order["id"], LINEAR)
    assert (found["status"], found["timeInForce"]) == ("canceled", tif)


async def test_option_order(okx: Any, venue: Venue) -> None:
    """A bought option is paid for in coins and held: 2 contracts of 0.01 BTC at its price."""
    await okx.load_markets()
    symbol = next(s for s in okx.markets if s.endswith("-C") and s.startswith("BTC/USD:BTC"))
    await okx.create_order(symbol, "limit", "buy", 2, 0.9)
    (position,) = await okx.fetch_positions([symbol], {"instType": "OPTION"})
    assert (position["side"], position["contracts"]) == ("long", 2.0)
    paid = 2 * 0.01 * position["entryPrice"]
    fee = 0.0003 * 2 * 0.01  # of the underlying, here less than a tenth of the premium
    assert fee < paid / 10
    assert float(venue.states["okx"].balances["trading", "BTC"]) == pytest.approx(2 - paid - fee)


async def test_a_batch_fails_one_by_one(okx: Any, linear: Instrument) -> None:
    """Of several orders one is taken and one refused."""
    told = {"symbol": LINEAR, "type": "limit", "side": "buy", "price": 40_000}
    orders = await okx.create_orders([told | {"amount": 10}, told | {"amount": 90_000}])
    assert [(order["status"], order["info"]["sCode"]) for order in orders] == [(None, "0"), ("rejected", "51008")]


@pytest.mark.parametrize(
    ("symbol", "type_", "amount", "price", "params", "error", "code"),
    [
        (SPOT, "limit", 100, 50_000, {}, ccxt.InsufficientFunds, "51008"),
        (SPOT, "limit", 0.000001, 50_000, {}, ccxt.InvalidOrder, "51020"),
        (LINEAR, "limit", 90_000, 50_000, {}, ccxt.InsufficientFunds, "51008"),
        (LINEAR, "market", 10, None, {"reduceOnly": True}, ccxt.ExchangeError, "51169"),
        (LINEAR, "market", 10, None, {"clientOrderId": "with-dash"}, ccxt.BadRequest, "clOrdId"),
        (LINEAR, "market", 10, None, {"posSide": "long"}, ccxt.BadRequest, "posSide"),
    ],
)
async def test_refused_orders(
    okx: Any, venue: Venue, symbol: str, type_: str, amount: float, price: float | None,
    params: dict[str, Any], error: type[Exception], code: str,
) -> None:  # fmt: skip
    """A refused order has the exchange's own code, by which CCXT files it, and changes nothing."""
    state = venue.states["okx"]
    for name in ("BTC-USDT", "BTC-USDT-SWAP"):
        state.pin(state.instrument(name), 50_000)
    with pytest.raises(error, match=code):
        await okx.create_order(symbol, type_, "buy", amount, price, params)
    assert state.orders == {}


async def test_duplicate_client_id(okx: Any, linear: Instrument) -> None:
    """A client id is taken again only once its order is closed."""
    order = (LINEAR, "limit", "buy", 1, 10_000, {"clientOrderId": "same"})
    first = await okx.create_order(*order)
    with pytest.raises(ccxt.InvalidOrder, match="51016"):
        await okx.create_order(*order)
    await okx.cancel_order(first["id"], LINEAR)
    await okx.create_order(*order)


@pytest.mark.parametrize(
    ("change", "code"),
    [({"secret": "wrong"}, "50113"), ({"apiKey": "wrong"}, "50111"), ({"password": "x"}, "50105")],
)
async def test_wrong_keys(okx: Any, change: dict[str, str], code: str) -> None:
    """A wrong key, a wrong signature and a wrong passphrase each have their code."""
    for name, value in change.items():
        setattr(okx, name, value)
    with pytest.raises(ccxt.AuthenticationError, match=code):
        await okx.fetch_balance()


async def test_clock_and_rights(okx: Any, venue: Venue) -> None:
    """A clock that is off, an address and a key that may not trade are refused, each in its way."""
    venue.faults.skew = 60_000
    with pytest.raises(ccxt.InvalidNonce, match="50102"):
        await okx.fetch_balance()
    await okx.load_time_difference()
    state = venue.states["okx"]
    state.rights, state.addresses = frozenset({"read"}), (state.address,)
    with pytest.raises(ccxt.ExchangeError, match="50120"):
        await okx.create_order(LINEAR, "limit", "buy", 1, 10_000)
    (account,) = await okx.fetch_accounts()
    assert (account["info"]["perm"], account["info"]["ip"]) == ("read_only", state.address)
    state.addresses = ("203.0.113.9",)
    with pytest.raises(ccxt.PermissionDenied, match="50110"):
        await okx.fetch_balance()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.RATE_LIMIT, ccxt.RateLimitExceeded), (Fault.BAN, ccxt.RateLimitExceeded),
        (Fault.MAINTENANCE, ccxt.OnMaintenance), (Fault.OVERLOAD, ccxt.ExchangeNotAvailable),
        (Fault.UNKNOWN, ccxt.RequestTimeout), (Fault.GEO_BLOCK, ccxt.ExchangeNotAvailable),
        (Fault.DENIED, ccxt.ExchangeError),
    ],
)  # fmt: skip
async def test_faults_have_their_codes(okx: Any, venue: Venue, fault: Fault, error: type[Exception]) -> None:
    """Every fault of the plan has the code and status by which CCXT files it."""
    venue.faults.add(fault, "*/account/balance", seconds=2)
    with pytest.raises(error):
        await okx.fetch_balance()
    assert (await okx.fetch_balance())["USDT"]["total"] == 100_000.0
