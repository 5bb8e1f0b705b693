"""The loopback Bitget on the wire, and what CCXT makes of its plans and its books."""

import asyncio
from contextlib import suppress
from decimal import Decimal

import pytest
import pytest_asyncio
from ccxt.base.errors import ChecksumError, UnsubscribeError  # noqa: TID251 - the tests' side of the wall
from contract.lines import Line, checksum, login, rebuilt, subscribe
from contract.streaming import WAIT, client_of, pushed, subscribed
from venue import Fault
from venue.instruments import Kind
from venue.orders import Order
from venue.streams import Stream

pytestmark = pytest.mark.asyncio
URL = "wss://ws.bitget.com/v2/ws/"
VERIFY = "/user/verify"
MINUTE = 60_000


@pytest_asyncio.fixture
async def private(venue):
    """A connection that is logged in."""
    async with Line(venue, f"{URL}private") as line:
        assert (await line.ask(login(venue, VERIFY)))["code"] == "0"
        yield line


def of(channel, name="BTCUSDT", product="SPOT"):
    return subscribe(instType=product, channel=channel, instId=name)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"apiKey": "other"}, 30011), ({"passphrase": "other"}, 30012), ({"timestamp": "now"}, 30013),
        ({"late": 31}, 30014), ({"sign": "other"}, 30015),
    ],
)  # fmt: skip
async def test_a_wrong_login_is_refused(venue, wrong, code):
    async with Line(venue, f"{URL}private") as line:
        told = await line.ask(login(venue, VERIFY, **wrong))
        assert (told["event"], told["code"]) == ("error", code)


@pytest.mark.parametrize(
    ("place", "said", "code"),
    [
        ("public", of("trades"), 30001), ("public", of("trade", "BTCEUR"), 30001),
        ("public", of("trade", "BTCUSD", "USDT-FUTURES"), 30001), ("public", of("trade", product="SP"), 30001),
        ("public", of("candle7m"), 30001), ("private", of("trade"), 30001), ("private", of("orders"), 30004),
        ("public", {"op": "order", "args": [{}]}, 30003), ("public", "hello", 30002),
    ],
)  # fmt: skip
async def test_what_cannot_be_had_is_refused(venue, place, said, code):
    async with Line(venue, f"{URL}{place}") as line:
        told = await line.ask(said)
        assert (told["event"], told["code"]) == ("error", code)
        assert await line.ask("ping") == "pong"


async def test_an_account_is_asked_for_by_its_coin(venue, private):
    told = await private.ask(subscribe(instType="SPOT", channel="account"))
    assert (told["event"], told["code"]) == ("error", 30016)
    assert (await private.ask(of("positions", "default")))["code"] == 30001  # there are none of spot
    await private.ask(subscribe(instType="SPOT", channel="account", coin="USDT"))
    (told,) = await private.heard()
    assert [row["coin"] for row in told["data"]] == ["USDT"]


async def test_trades_begin_with_the_last_fifty_the_newest_first(venue):
    async with Line(venue, f"{URL}public") as line:
        await line.ask(of("trade"))
        first, *rest = await line.after(MINUTE)
        times = [int(row["ts"]) for row in first["data"]]
        assert (first["action"], len(times), times) == ("snapshot", 50, sorted(times, reverse=True))
        assert [(told["action"], len(told["data"])) for told in rest] == [("update", 1)] * 4


async def test_candles_begin_with_the_last_five_hundred(venue):
    async with Line(venue, f"{URL}public") as line:
        await line.ask(of("candle1m", product="USDT-FUTURES"))
        first, *rest = await line.after(MINUTE)
        assert (first["action"], len(first["data"]), {len(row) for row in first["data"]}) == ("snapshot", 500, {8})
        assert {told["action"] for told in rest} == {"update"}
        running = first["data"][-1][0]
        assert [told["data"][0][0] for told in rest] == [running, str(int(running) + MINUTE)]


async def test_a_book_is_a_snapshot_and_changes_with_a_checksum(venue):
    state = venue.states["bitget"]
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    async with Line(venue, f"{URL}public") as line:
        for channel in ("books", "books15"):
            await line.ask(of(channel, product="USDT-FUTURES"))
            (whole,) = await line.heard()
            assert whole["action"] == "snapshot"
            assert len(whole["data"][0]["bids"]) == (15 if channel == "books15" else 100)
            if channel == "books":
                book = rebuilt({"asks": {}, "bids": {}}, whole["data"][0])
        for step in (1, -3, 200):
            state.trade(item, state.price(item) + step * item.tick, item.min_amount)
            change, short = await line.after(1000)
            assert (change["action"], short["action"]) == ("update", "snapshot")
            assert change["data"][0]["checksum"] == checksum(rebuilt(book, change["data"][0]))


async def test_positions_are_told_all_at_once_until_none_is_left(venue, private):
    state = venue.states["bitget"]
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.pin(item, 50_000)
    await private.ask(of("positions", "default", "USDT-FUTURES"))
    state.place(Order(instrument=item, buy=True, amount=Decimal("0.1")))
    none, one = await private.after()
    assert (none["data"], one["data"][0]["total"], one["data"][0]["holdSide"]) == ([], "0.1", "long")
    state.place(Order(instrument=item, buy=False, amount=Decimal("0.1"), reduce_only=True))
    (gone,) = await private.after()
    assert (gone["action"], gone["data"]) == ("snapshot", [])


@pytest.mark.parametrize(
    ("name", "product", "kinds"),
    [
        ("default", "SPOT", ["orders", "orders", "fill"]), ("ETHUSDT", "SPOT", []),
        ("default", "COIN-FUTURES", []), ("BTCUSDT", "SPOT", ["orders", "orders", "fill"]),
    ],
)  # fmt: skip
async def test_orders_are_told_to_who_asks_for_their_product(venue, private, name, product, kinds):
    state = venue.states["bitget"]
    item = state.instrument("BTCUSDT", Kind.SPOT)
    state.pin(item, 50_000)
    for channel in ("orders", "fill"):
        await private.ask(of(channel, name, product))
    state.place(Order(instrument=item, buy=True, amount=Decimal("0.1")))
    assert [told["arg"]["channel"] for told in await private.heard()] == kinds


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:USDT"])
async def test_a_plan_is_told_by_itself_until_it_is_executed(venue, symbol):
    state = venue.states["bitget"]
    item = state.instrument("BTCUSDT", Kind.SPOT if symbol == "BTC/USDT" else Kind.LINEAR)
    state.pin(item, 50_000)
    client = await client_of(venue, "bitget", signed=True)
    told = []
    for act in ("send", "fire"):
        watching = client.watch_orders(symbol, params={"trigger": True})
        task = await subscribed(venue, "bitget", watching, Stream.ORDERS)
        if act == "send":
            await client.create_order(symbol, "limit", "buy", 0.1, 51_500, {"triggerPrice": 51_000})
        else:
            state.pin(item, 51_001)
        told += [dict(order) for order in await asyncio.wait_for(task, WAIT)]
    assert [order["info"]["status"] for order in told] == ["live", "executed"]
    assert {order["triggerPrice"] for order in told} == {51_000.0}
    await client.close()


async def test_a_lost_change_of_a_book_is_noticed(venue):
    """CCXT unsubscribes, which its caller learns first; then it raises until it is subscribed anew."""
    state = venue.states["bitget"]
    item = state.instrument("BTCUSDT", Kind.SPOT)
    client = await client_of(venue, "bitget")
    await client.watch_order_book("BTC/USDT")
    task = asyncio.ensure_future(client.watch_order_book("BTC/USDT"))
    venue.faults.add(Fault.DROP, "bitget/book/*")
    for _ in range(2):
        await venue.advance(15_000)
    with pytest.raises(UnsubscribeError):
        await asyncio.wait_for(task, WAIT)
    with pytest.raises(ChecksumError):
        await asyncio.wait_for(client.watch_order_book("BTC/USDT"), WAIT)
    heard = None
    for _ in range(20):
        with suppress(ChecksumError):
            heard = await pushed(venue, "bitget", client.watch_order_book("BTC/USDT"), Stream.BOOK)
            break
    assert heard is not None
    assert heard["bids"][0][0] == float(state.book(item, 1)[0][0][0])
    await client.close()
