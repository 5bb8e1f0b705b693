"""The loopback Bybit on the wire: answers, refusals, tickers and books in deltas."""

import hashlib
import hmac
from decimal import Decimal

import pytest
from contract.lines import Line
from venue.orders import Order
from venue.routes import KEY, SECRET

pytestmark = pytest.mark.asyncio
URL = "wss://stream.bybit.com/v5/"
PING = {"op": "ping", "req_id": "7"}
LINEAR = "public/linear"


def line(venue, place):
    return Line(venue, f"{URL}{place}", ping=PING)


def auth(venue, key=KEY, secret=SECRET, ms=10_000):
    """A login that holds for `ms`."""
    until = str(venue.clock.now() + ms)
    sign = hmac.new(secret.encode(), f"GET/realtime{until}".encode(), hashlib.sha256).hexdigest()
    return {"op": "auth", "args": [key, until, sign]}


def subscribe(*names, number="1", op="subscribe"):
    return {"op": op, "req_id": number, "args": list(names)}


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("public/spot", {"success": True, "ret_msg": "pong", "req_id": "7", "op": "ping"}),
        (LINEAR, {"success": True, "ret_msg": "pong", "req_id": "7", "op": "ping"}),
        ("public/option", {"op": "pong", "args": ["1790000000000"]}),
        ("private", {"req_id": "7", "op": "pong", "args": ["1790000000000"]}),
    ],
)
async def test_a_ping_is_answered_in_the_words_of_the_address(venue, place, told):
    async with line(venue, place) as one:
        answer = await one.ask(PING)
        answer.pop("conn_id", None)
        assert answer == told


@pytest.mark.parametrize("wrong", [{"key": "other"}, {"secret": "other"}, {"ms": -1}])
async def test_a_wrong_login_is_refused_and_opens_nothing(venue, wrong):
    async with line(venue, "private") as one:
        told = await one.ask(auth(venue, **wrong))
        assert (told["success"], told["op"]) == (False, "auth")
        told = await one.ask(subscribe("order"))
        assert (told["success"], told["ret_msg"]) == (False, "Request not authorized")


@pytest.mark.parametrize(
    ("place", "names", "words"),
    [
        (LINEAR, ["publicTrade.BTCUSDT", "trades.BTCUSDT"], "handler not found,topic:trades.BTCUSDT"),
        (LINEAR, ["publicTrade.BTCEUR"], "Invalid symbol :[publicTrade.BTCEUR]"),
        (LINEAR, ["orderbook.20.BTCUSDT"], "handler not found"),
        (LINEAR, ["kline.7.BTCUSDT"], "handler not found"),
        (LINEAR, ["order"], "handler not found"), ("public/spot", ["tickers.BTCUSD"], "Invalid symbol"),
        (LINEAR, ["tickers.ETHUSDT"], "already subscribed,topic:tickers.ETHUSDT"),
    ],
)  # fmt: skip
async def test_one_wrong_topic_spoils_the_whole_request(venue, place, names, words):
    async with line(venue, place) as one:
        assert (await one.ask(subscribe("tickers.ETHUSDT")))["success"]
        await one.heard()
        told = await one.ask(subscribe(*names, number="2"))
        assert (told["success"], told["req_id"], told["op"]) == (False, "2", "subscribe")
        assert words in told["ret_msg"]
        (socket,) = venue.sockets.of("bybit")
        assert list(socket.feeds) == ["tickers.ETHUSDT"]


async def test_options_are_taken_topic_by_topic(venue):
    """The trades of all options on a coin are one topic; those of one option are none."""
    state = venue.states["bybit"]
    item = next(one for one in state.instruments.values() if one.id.startswith("BTC-"))
    async with line(venue, "public/option") as one:
        wrong = f"publicTrade.{item.id}"
        told = await one.ask(subscribe("publicTrade.BTC", wrong))
        assert told["type"] == "COMMAND_RESP"
        assert told["data"] == {"successTopics": ["publicTrade.BTC"], "failTopics": [wrong]}
        heard = await one.after(15_000)
        assert {row["topic"] for row in heard} == {"publicTrade.BTC"}
        assert {row["data"][0]["s"] for row in heard} == {
            option.id for option in state.instruments.values() if option.id.startswith("BTC-") and option.strike
        }


async def test_a_ticker_is_whole_at_first_and_then_what_changed(venue):
    state = venue.states["bybit"]
    item = state.instrument("BTCUSD")
    async with line(venue, "public/inverse") as one:
        await one.ask(subscribe("tickers.BTCUSD"))
        (whole,) = await one.heard()
        assert whole["type"] == "snapshot"
        state.pin(item, 50_000)
        (change,) = await one.after(1000)
        assert change["type"] == "delta"
        assert change["data"]["lastPrice"] == "50000.0"
        assert all(whole["data"].get(name) != value for name, value in change["data"].items() if name != "symbol")
        assert await one.after(1000) == []
        await one.ask(subscribe("tickers.BTCUSD", op="unsubscribe"))
        await one.ask(subscribe("tickers.BTCUSD"))
        assert [row["type"] for row in await one.heard()] == ["snapshot"]


async def test_a_book_is_a_snapshot_and_numbered_deltas_of_its_levels(venue):
    state = venue.states["bybit"]
    item = state.instrument("BTCUSDT")
    async with line(venue, "public/spot") as one:
        await one.ask(subscribe("orderbook.50.BTCUSDT"))
        (whole,) = await one.heard()
        book = {side: dict(whole["data"][side]) for side in "ba"}
        last = whole["data"]["u"]
        assert (whole["type"], len(book["b"]), len(book["a"])) == ("snapshot", 50, 50)
        for step in (1, -3, 200):
            state.pin(item, state.price(item) + step * item.tick)
            (change,) = await one.after(1000)
            assert change["type"] == "delta"
            assert change["data"]["u"] > last
            last = change["data"]["u"]
            for side in "ba":
                book[side] |= dict(change["data"][side])
                book[side] = {price: size for price, size in book[side].items() if Decimal(size)}
            for side, levels in zip("ba", state.book(item, 50), strict=True):
                assert {Decimal(price): Decimal(size) for price, size in book[side].items()} == dict(levels)


async def test_topics_of_an_account_may_be_of_one_category_or_short(venue):
    """`order.spot` hears of spot alone, and `execution.fast` has what matters of a fill."""
    state = venue.states["bybit"]
    async with line(venue, "private") as one:
        assert (await one.ask(auth(venue)))["success"]
        await one.ask(subscribe("order.spot", "execution.fast"))
        for kind, amount in (("linear", "0.01"), ("spot", "0.01")):
            item = next(one for one in state.instruments.values() if one.kind == kind and one.id == "BTCUSDT")
            state.place(Order(instrument=item, buy=True, amount=Decimal(amount), client_id=kind))
        heard = await one.heard()
    assert [(row["topic"], row["data"][0]["orderLinkId"]) for row in heard] == [
        ("execution.fast", "linear"), ("order.spot", "spot"), ("execution.fast", "spot"),
    ]  # fmt: skip
    assert heard[1]["data"][0]["orderStatus"] == "Filled"
    assert set(heard[0]["data"][0]) == {
        "category", "symbol", "execId", "execPrice", "execQty", "orderId", "isMaker", "orderLinkId", "side",
        "execTime", "seq",
    }  # fmt: skip
