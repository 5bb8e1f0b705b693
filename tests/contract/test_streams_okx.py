"""The loopback OKX on the wire, and what CCXT makes of its algo orders and its books."""

import asyncio
from decimal import Decimal

import pytest
import pytest_asyncio
from ccxt.base.errors import InvalidNonce  # noqa: TID251 - the tests' side of the wall
from contract.lines import Line, checksum, login, rebuilt, subscribe
from contract.streaming import WAIT, client_of, subscribed
from venue import Fault
from venue.orders import Order
from venue.streams import Stream

pytestmark = pytest.mark.asyncio
URL = "wss://ws.okx.com:8443/ws/v5/"
VERIFY = "/users/self/verify"
MINUTE = 60_000


@pytest_asyncio.fixture
async def private(venue):
    """A connection that is logged in."""
    async with Line(venue, f"{URL}private") as line:
        assert (await line.ask(login(venue, VERIFY)))["code"] == "0"
        yield line


@pytest.mark.parametrize(
    ("place", "wrong", "code"),
    [
        ("private", {"apiKey": "other"}, "60005"), ("private", {"late": 31}, "60006"),
        ("private", {"sign": "other"}, "60007"), ("private", {"passphrase": "other"}, "60024"),
        ("public", {}, "60008"),
    ],
)  # fmt: skip
async def test_a_wrong_login_is_refused(venue, place, wrong, code):
    async with Line(venue, f"{URL}{place}") as line:
        told = await line.ask(login(venue, VERIFY, **wrong))
        assert (told["event"], told["code"]) == ("error", code)


@pytest.mark.parametrize(
    ("place", "said", "code"),
    [
        ("public", subscribe(channel="trade", instId="BTC-USDT"), "60018"),
        ("public", subscribe(channel="trades", instId="BTC-EUR"), "60018"),
        ("public", subscribe(channel="funding-rate", instId="BTC-USDT"), "60018"),
        ("public", subscribe(channel="orders", instType="ANY"), "60018"),
        ("private", subscribe(channel="trades", instId="BTC-USDT"), "60018"),
        ("private", subscribe(channel="orders", instType="ANY"), "60011"),
        ("public", subscribe(channel="candle1m", instId="BTC-USDT"), "64001"),
        ("business", subscribe(channel="candle7m", instId="BTC-USDT"), "60018"),
        ("business", subscribe(channel="tickers", instId="BTC-USDT"), "64002"),
        ("public", subscribe(channel="books-l2-tbt", instId="BTC-USDT"), "64003"),
        ("public", {"op": "order", "args": [{}]}, "60019"), ("public", {"op": "subscribe"}, "60012"),
        ("public", "hello", "60012"),
    ],
)  # fmt: skip
async def test_what_cannot_be_had_is_refused(venue, place, said, code):
    async with Line(venue, f"{URL}{place}") as line:
        told = await line.ask(said)
        assert (told["event"], told["code"]) == ("error", code)
        assert await line.ask("ping") == "pong"


async def test_a_book_is_a_snapshot_and_numbered_changes_with_a_checksum(venue):
    state = venue.states["okx"]
    item = state.instrument("BTC-USDT")
    async with Line(venue, f"{URL}public") as line:
        assert (await line.ask(subscribe(channel="books", instId=item.id)))["event"] == "subscribe"
        (whole,) = await line.heard()
        book, last = rebuilt({"asks": {}, "bids": {}}, whole["data"][0]), whole["data"][0]["seqId"]
        assert (whole["action"], whole["data"][0]["prevSeqId"]) == ("snapshot", -1)
        for step in (1, -3, 200):
            state.trade(item, state.price(item) + step * item.tick, item.min_amount)
            (change,) = await line.after(1000)
            (row,) = change["data"]
            assert (change["action"], row["prevSeqId"]) == ("update", last)
            assert row["checksum"] == checksum(rebuilt(book, row))
            last = row["seqId"]


async def test_short_books_are_whole_each_time(venue):
    state = venue.states["okx"]
    item = state.instrument("BTC-USDT-SWAP")
    async with Line(venue, f"{URL}public") as line:
        for channel in ("books5", "bbo-tbt"):
            await line.ask(subscribe(channel=channel, instId=item.id))
        await line.heard()
        state.trade(item, state.price(item) + item.tick, item.min_amount)
        five, one = await line.after(1000)
        assert [len(told["data"][0]["asks"]) for told in (five, one)] == [5, 1]
        assert "action" not in five


async def test_a_candle_is_confirmed_when_it_has_ended(venue):
    async with Line(venue, f"{URL}business") as line:
        await line.ask(subscribe(channel="candle1m", instId="BTC-USDT-SWAP"))
        rows = [told["data"][0] for told in await line.after(2 * MINUTE)]
        ended = [row[0] for row in rows if row[8] == "1"]
        assert len(ended) == len(set(ended)) == 2
        assert rows[-1][8] == "0"


async def test_mark_prices_and_funding_come_in_their_rhythm(venue):
    async with Line(venue, f"{URL}public") as line:
        await line.ask(subscribe(channel="mark-price", instId="BTC-USD-SWAP"))
        await line.heard()
        await line.ask(subscribe(channel="funding-rate", instId="BTC-USD-SWAP"))
        assert [told["arg"]["channel"] for told in await line.heard()] == ["funding-rate"]
        assert [told["arg"]["channel"] for told in await line.after(1000)] == ["mark-price"]
        assert [told["arg"]["channel"] for told in await line.after(MINUTE)] == ["mark-price", "funding-rate"]


async def test_positions_and_money_begin_with_how_they_stand(venue, private):
    await private.ask(subscribe(channel="positions", instType="ANY"))
    (told,) = await private.heard()
    assert (told["eventType"], told["data"]) == ("snapshot", [])
    await private.ask(subscribe(channel="account", ccy="USDT"))
    (told,) = await private.heard()
    assert [coin["ccy"] for coin in told["data"][0]["details"]] == ["USDT"]


@pytest.mark.parametrize("kind", ["SPOT", "SWAP"])
async def test_orders_are_told_to_who_asks_for_their_type(venue, private, kind):
    state = venue.states["okx"]
    await private.ask(subscribe(channel="orders", instType=kind))
    await private.ask(subscribe(channel="fills"))
    for name in ("BTC-USDT", "BTC-USDT-SWAP"):
        item = state.instrument(name)
        state.pin(item, 50_000)
        state.place(Order(instrument=item, buy=True, amount=Decimal("0.1")))
    heard = [(told["arg"]["channel"], told["data"][0]["instId"]) for told in await private.heard()]
    mine = "BTC-USDT" if kind == "SPOT" else "BTC-USDT-SWAP"
    assert [name for channel, name in heard if channel == "orders"] == [mine, mine]  # live, filled
    assert [name for channel, name in heard if channel == "fills"] == ["BTC-USDT", "BTC-USDT-SWAP"]


async def test_an_algo_order_is_told_by_itself_until_it_sends_another(venue):
    state = venue.states["okx"]
    item = state.instrument("BTC-USDT-SWAP")
    state.pin(item, 50_000)
    client = await client_of(venue, "okx", signed=True)
    symbol, told = "BTC/USDT:USDT", []
    for act in ("send", "fire"):
        task = await subscribed(venue, "okx", client.watch_orders(symbol, params={"trigger": True}), Stream.ORDERS)
        if act == "send":
            await client.create_order(symbol, "market", "sell", 0.1, params={"triggerPrice": 49_000})
        else:
            state.pin(item, 48_999)
        told += [dict(order) for order in await asyncio.wait_for(task, WAIT)]
    first, second = told
    assert (first["status"], first["triggerPrice"], first["info"]["ordId"]) == ("open", 49_000.0, "")
    (child,) = [order for order in state.orders.values() if not order.conditional]
    assert (second["id"], second["info"]["state"], second["info"]["ordId"]) == (
        first["id"], "effective", str(child.id),
    )  # fmt: skip
    await client.close()


async def test_a_lost_change_of_a_book_is_noticed(venue):
    """CCXT raises, and gets a new snapshot with the next call."""
    state = venue.states["okx"]
    item = state.instrument("BTC-USDT")
    client = await client_of(venue, "okx")
    await client.watch_order_book("BTC/USDT")
    task = asyncio.ensure_future(client.watch_order_book("BTC/USDT"))
    venue.faults.add(Fault.DROP, "okx/book/*")
    for step in (1, 2):
        state.trade(item, state.price(item) + step * item.tick, item.min_amount)
        await venue.advance(1000)
    with pytest.raises(InvalidNonce):
        await asyncio.wait_for(task, WAIT)
    book = await asyncio.wait_for(client.watch_order_book("BTC/USDT"), WAIT)
    assert book["bids"][0][0] == float(state.book(item, 1)[0][0][0])
    await client.close()
