"""The loopback KuCoin on the wire: tokens, topics, the numbers of its books, and both lives of a stop order."""

import asyncio
from decimal import Decimal

import pytest
from ccxt.base.errors import AuthenticationError  # noqa: TID251 - the tests' side of the wall
from contract.lines import PING, Line, dial, on
from contract.streaming import WAIT, client_of, subscribed
from venue import Fault
from venue.instruments import DAY, Kind
from venue.orders import Order
from venue.streams import Stream

pytestmark = pytest.mark.asyncio
MINUTE = 60_000


async def heard_of(line, ms=0):
    """Subjects and data of what is pushed."""
    return [(told["subject"], told["data"]) for told in await line.after(ms) if told["type"] == "message"]


async def test_a_token_is_welcome_and_an_old_one_is_not(venue):
    line = await dial(venue)
    async with line:
        assert await line.hear() == {"id": "mine", "type": "welcome"}
        pong = await line.ask(PING)
        assert (pong["id"], pong["type"]) == ("7", "pong")
    await venue.advance(DAY)
    async with line:
        told = await line.hear()
        assert (told["type"], told["code"], told["data"]) == ("error", 401, "token is expired")
        assert await line.hear() is None


async def test_a_token_of_spot_opens_nothing_else(venue):
    line = await dial(venue)
    async with Line(venue, line.url.replace("ws-api-spot", "ws-api-futures"), PING) as other:
        assert (await other.hear())["code"] == 401


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (on("/market/matches:BTC-USDT"), 404), (on("/market/match:BTC-USDT,BTC-EUR"), 404),
        (on("/market/candles:BTC-USDT_7min"), 404), (on("/contractMarket/execution:XBTUSDTM"), 404),
        (on("/account/balance"), 403), (on("/market/match:BTC-USDT", "listen"), 415), ("hello", 400),
    ],
)  # fmt: skip
async def test_what_cannot_be_had_is_refused(venue, said, code):
    async with await dial(venue) as line:
        await line.hear()
        told = await line.ask(said)
        assert (told["type"], told["code"]) == ("error", code)
        assert await line.heard() == []


async def test_a_wrong_secret_gets_no_token_and_a_key_that_may_read_does(venue):
    client = await client_of(venue, "kucoin", signed=True)
    venue.states["kucoin"].rights = frozenset({"read"})
    assert (await client.private_post_bullet_private())["data"]["token"]
    client.secret = "wrong"
    with pytest.raises(AuthenticationError):
        await client.futuresprivate_post_bullet_private()
    await client.close()


async def test_one_topic_lists_several_pairs_or_all(venue):
    async with await dial(venue) as line:
        await line.hear()
        assert (await line.ask(on("/market/match:BTC-USDT,ETH-USDT")))["type"] == "ack"
        names = [data["symbol"] for _, data in await heard_of(line, 15_000)]
        assert sorted(names) == ["BTC-USDT", "ETH-USDT"]
        assert (await line.ask(on("/market/match:ETH-USDT", "unsubscribe")))["type"] == "ack"
        assert [data["symbol"] for _, data in await heard_of(line, 15_000)] == ["BTC-USDT"]
        await line.ask(on("/market/match:BTC-USDT", "unsubscribe"))
        await line.ask(on("/market/ticker:all"))
        subjects = [subject for subject, _ in await heard_of(line, 15_000)]
        assert set(subjects) == {item.id for item in venue.states["kucoin"].listed(Kind.SPOT)}


async def test_a_new_candle_has_a_subject_of_its_own(venue):
    """Of the running candle at the subscription only changes are told; CCXT knows no other subject."""
    async with await dial(venue) as line:
        await line.hear()
        await line.ask(on("/market/candles:BTC-USDT_1min"))
        start = venue.clock.now() // MINUTE * 60
        told = [message for ms in (15_000,) * 4 for message in await heard_of(line, ms)]
        subjects = [(subject, int(data["candles"][0]) - start) for subject, data in told]
        assert subjects[0] == ("trade.candles.update", 0)
        assert [one for one in subjects if one[0] == "trade.candles.add"] == [("trade.candles.add", 60)]
        assert subjects.index(("trade.candles.add", 60)) < subjects.index(("trade.candles.update", 60))


@pytest.mark.parametrize(("place", "name"), [("spot", "BTC-USDT"), ("futures", "XBTUSDTM")])
async def test_the_changes_of_a_book_follow_the_snapshot_by_their_numbers(venue, place, name):
    """Of pairs many levels a message, of contracts one each; each level has a number."""
    state, client = venue.states["kucoin"], venue.client("kucoin")({})
    item, spot = state.instrument(name), place == "spot"
    async with await dial(venue, place=place) as line:
        await line.hear()
        await line.ask(on(f"/{'market' if spot else 'contractMarket'}/level2:{name}"))
        fetch = client.public_get_market_orderbook_level2_100 if spot else client.futurespublic_get_level2_snapshot
        last = int((await fetch({"symbol": name}))["data"]["sequence"])
        for _ in range(2):
            state.trade(item, state.price(item) + 3 * item.tick, item.min_amount)
            for _, data in await heard_of(line, 1000):
                assert data["sequenceStart" if spot else "sequence"] == last + 1
                last = data["sequenceEnd" if spot else "sequence"]
        assert last == state.books.look(item).sequence
    await client.close()


async def test_marks_come_each_second_and_funding_each_minute(venue):
    async with await dial(venue, place="futures") as line:
        await line.hear()
        await line.ask(on("/contract/instrument:XBTUSDM"))
        first, *_ = await heard_of(line, 1000)
        assert first[0] == "mark.index.price"
        assert [subject for subject, _ in await heard_of(line, MINUTE)] == ["mark.index.price", "funding.rate"]


async def test_the_unified_feed_has_marks_and_funding_for_everybody(venue):
    async with Line(venue, "wss://x-push-futures.kucoin.com", PING) as line:
        assert (await line.hear())["message"] == "welcome"
        said = {"id": "1", "action": "subscribe", "tradeType": "FUTURES", "symbol": "XBTUSDTM"}
        for channel in ("mark-price", "funding-fee"):
            assert (await line.ask(said | {"channel": channel}))["result"] is True
        assert {told["T"] for told in await line.after(MINUTE)} == {"mark-price", "funding-fee"}
        assert (await line.ask(said | {"channel": "positionAll"}))["result"] is False
        assert (await line.ask(said | {"channel": "mark-price", "action": "unsubscribe"}))["result"] is True
        assert {told["T"] for told in await line.after(MINUTE)} == {"funding-fee"}


async def test_the_second_version_of_orders_tells_how_they_come_in(venue):
    state = venue.states["kucoin"]
    item = state.instrument("BTC-USDT")
    state.pin(item, 50_000)
    async with await dial(venue, "private") as line:
        await line.hear()
        for topic in ("/spotMarket/tradeOrders", "/spotMarket/tradeOrdersV2"):
            await line.ask(on(topic))
        order = state.place(Order(instrument=item, buy=True, amount=Decimal("0.1"), price=Decimal(49_000)))
        state.cancel(order)
        told = [(one["topic"][-2:], one["data"]["type"]) for one in await line.heard()]
        assert told == [("rs", "open"), ("V2", "received"), ("V2", "open"), ("rs", "canceled"), ("V2", "canceled")]


@pytest.mark.parametrize(
    ("place", "name", "market"), [("spot", "BTC-USDT", "spotMarket"), ("futures", "XBTUSDTM", "contractMarket")]
)
async def test_a_stop_order_is_told_by_itself_until_it_fires(venue, place, name, market):
    """Of pairs it sends another order then; of contracts it goes on under its id among the orders."""
    state = venue.states["kucoin"]
    item = state.instrument(name)
    state.pin(item, 50_000)
    async with await dial(venue, "private", place) as line:
        await line.hear()
        for topic in (f"/{market}/advancedOrders", f"/{market}/tradeOrders"):
            await line.ask(on(topic))
        amount = Decimal("0.1") if place == "spot" else Decimal(10)
        stop = Order(instrument=item, buy=True, amount=amount, trigger=Decimal(51_000), rises=True)
        for order in (stop, Order(instrument=item, buy=True, amount=amount, trigger=Decimal(52_000), rises=True)):
            state.place(order)
        state.cancel(order)
        state.pin(item, 51_001)
        told = [(subject, data["type"], data["orderId"]) for subject, data in await heard_of(line)]
        stopped, gone = str(stop.id), str(order.id)
        assert [one[1:] for one in told if one[0] == "stopOrder"] == [
            ("open", stopped), ("open", gone), ("cancel", gone), ("triggered", stopped),
        ]  # fmt: skip
        orders = [one[1:] for one in told if one[0] == "orderChange"]
        assert [kind for kind, _ in orders] == ["match", "filled"]
        assert {number == stopped for _, number in orders} == {place == "futures"}


async def test_positions_and_money_of_contracts_are_told_as_they_change(venue):
    state = venue.states["kucoin"]
    item = state.instrument("XBTUSDTM")
    state.pin(item, 50_000)
    async with await dial(venue, "private", "futures") as line:
        await line.hear()
        for topic in ("/contract/positionAll", "/contract/position:XBTUSDM", "/contractAccount/wallet"):
            assert (await line.ask(on(topic)))["type"] == "ack"
        state.place(Order(instrument=item, buy=True, amount=Decimal(10)))
        position, wallet = await heard_of(line)
        assert (position[0], position[1]["currentQty"], position[1]["avgEntryPrice"]) == (
            "position.change", 10, 50_000.0,
        )  # fmt: skip
        assert (wallet[0], wallet[1]["currency"], wallet[1]["walletBalance"]) == (
            "walletBalance.change", "USDT", "99999.7",  # 10 lots of 0.001 BTC at 50,000, of which 0.06 %
        )  # fmt: skip
        assert (await line.ask(on("/contract/position:XBTEUR")))["code"] == 404


# --- where CCXT stumbles: who uses it must know


async def test_ccxt_does_not_notice_a_lost_change_of_a_book(venue):
    """The numbers have a gap, which it doesn't look at: asks that are gone stay in its book."""
    state, symbol = venue.states["kucoin"], "BTC/USDT"
    item = state.instrument("BTC-USDT")
    client = await client_of(venue, "kucoin")

    async def change():
        task = await subscribed(venue, "kucoin", client.watch_order_book(symbol), Stream.BOOK)
        state.trade(item, state.price(item) + 3 * item.tick, item.min_amount)
        await venue.advance(1000)
        await asyncio.wait([task], timeout=0.05)
        return task

    while not (await change()).done():
        pass
    venue.faults.add(Fault.DROP, "kucoin/book/*")
    await change()
    await (await change())
    heard, (_, asks) = client.orderbooks[symbol], state.book(item, 1)
    assert heard["nonce"] == state.books.look(item).sequence
    assert heard["asks"][0][0] < float(asks[0][0])
    await client.close()


async def test_ccxt_hears_no_candle_that_has_one_trade(venue):
    """Its subject is that of a new candle; with the second trade the candle is known."""
    client = await client_of(venue, "kucoin")
    begin = venue.clock.now() // MINUTE * MINUTE + MINUTE
    task = await subscribed(venue, "kucoin", client.watch_ohlcv("BTC/USDT"), Stream.CANDLE)
    await venue.advance(begin - venue.clock.now() - 1)
    await asyncio.wait_for(task, WAIT)
    task = await subscribed(venue, "kucoin", client.watch_ohlcv("BTC/USDT"), Stream.CANDLE)
    await venue.advance(1)  # the first trade of a minute
    rows = await asyncio.wait_for(task, WAIT)
    assert rows[-1][0] == begin - MINUTE  # how the last one ended
    task = await subscribed(venue, "kucoin", client.watch_ohlcv("BTC/USDT"), Stream.CANDLE)
    await venue.advance(15_000)
    rows = await asyncio.wait_for(task, WAIT)
    assert rows[-1][0] == begin
    await client.close()


async def test_ccxt_breaks_down_over_the_first_position_of_a_contract(venue, caplog):
    """It merges it into the one that it knows, which is none; what it knew from the beginning it follows."""
    state = venue.states["kucoin"]
    known, fresh = state.instrument("XBTUSDTM"), state.instrument("ETHUSDTM")
    for item, price in ((known, 50_000), (fresh, 3_000)):
        state.pin(item, price)
    state.place(Order(instrument=known, buy=True, amount=Decimal(10)))
    client = await client_of(venue, "kucoin", signed=True)
    assert [held["symbol"] for held in await client.watch_positions()] == ["BTC/USDT:USDT"]
    task = await subscribed(venue, "kucoin", client.watch_positions(), Stream.POSITIONS)
    state.place(Order(instrument=fresh, buy=True, amount=Decimal(10)))
    await venue.advance(0)
    done, _ = await asyncio.wait([task], timeout=0.1)
    assert not done
    assert "Exception in callback" in caplog.text
    task.cancel()
    await client.close()
