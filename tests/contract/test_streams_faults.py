"""What the venue's websockets do when all is well, and when something is planned to go wrong; on the wire."""

import asyncio

import pytest
import pytest_asyncio
from aiohttp import WSServerHandshakeError
from contract.streaming import WAIT, Wire
from venue import Fault, Plan, Venue, VenueThread
from venue.faults import STREAM
from venue.instruments import Kind
from venue.prices import Prices
from venue.streams import Stream

from metaexpert.clock import SimClock

pytestmark = pytest.mark.asyncio
MINUTE = 60_000
START = 29_833_333 * MINUTE + 1000
"""A second after a whole minute, so that the trades of a pulse of a minute are those after 15, 30, 45 and 60 s."""
PULSES = (14_000, 15_000, 15_000, 15_000)


@pytest_asyncio.fixture
async def venue():
    async with Venue(SimClock(START)) as venue:
        yield venue


async def trades(wire, *steps):
    """The places of the trades that were heard, counted from the first after the start."""
    first, told = START // MINUTE * 4 + 1, await wire.pass_time(*steps)
    return [row["t"] - first if isinstance(row, dict) and "t" in row else row for row in told]


async def test_trades_are_told_one_by_one(venue):
    async with Wire(venue) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@trade")
        assert await trades(wire, *PULSES) == [0, 1, 2, 3]
        assert await trades(wire, MINUTE) == [4, 5, 6, 7]


@pytest.mark.parametrize(
    ("fault", "terms", "heard"),
    [
        (Fault.DROP, {"after": 1}, [0, 2, 3]),
        (Fault.DROP, {"times": 2}, [2, 3]),
        (Fault.DUPLICATE, {"after": 2}, [0, 1, 2, 2, 3]),
        (Fault.REORDER, {"after": 1}, [0, 2, 1, 3]),
        (Fault.MALFORMED, {"how": "shape"}, [{"e": "trade"}, 1, 2, 3]),
        (Fault.SILENCE, {"seconds": 20}, [2, 3]),  # of 20 s that begin with the first, in which the second falls
        (Fault.SILENCE, {"after": 1}, [0]),
    ],
)
async def test_what_is_planned_befalls_the_messages(venue, fault, terms, heard):
    venue.faults.add(fault, "trades", **terms)
    async with Wire(venue) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@trade")
        assert await trades(wire, *PULSES) == heard


async def test_a_message_that_breaks_off_is_no_json(venue):
    venue.faults.add(Fault.MALFORMED, "binance/trades/BTCUSDT")
    async with Wire(venue) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@trade")
        broken, *rest = await trades(wire, *PULSES)
        assert isinstance(broken, str)
        assert broken.startswith('{"e":"trade"')
        assert rest == [1, 2, 3]


async def test_only_the_stream_that_is_named_goes_wrong(venue):
    venue.faults.add(Fault.DROP, "binance/trades/ETHUSDT", times=4)
    async with Wire(venue) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@trade", "ethusdt@trade")
        assert await trades(wire, *PULSES) == [0, 1, 2, 3]


async def test_what_comes_late_keeps_its_turn(venue):
    """The second is 40 s late, and the third and fourth wait behind it."""
    venue.faults.add(Fault.SLOW, "trades", after=1, seconds=40)
    async with Wire(venue) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@trade")
        for ms in (*PULSES, 9_000):
            await venue.advance(ms)
        assert len(venue.sockets.of()[0].late) == 3
        assert await trades(wire, 1_000) == [0, 1, 2, 3]


async def test_a_silence_ends_when_it_is_lifted_and_swallows_pongs(venue):
    rule = venue.faults.add(Fault.SILENCE)
    async with Wire(venue) as wire:
        await wire.socket.ping()
        await wire.socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
        await venue.sockets.until(lambda: bool(venue.sockets.of()[0].feeds))
        await venue.advance(30_000)
        venue.faults.lift(rule)
        await wire.socket.ping()
        assert await trades(wire, 15_000) == [2]
        assert wire.frames == ["PONG"]


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_connection_ends_in_place_of_a_message(venue, how):
    venue.faults.add(Fault.DISCONNECT, "trades", after=1, how=how)
    async with Wire(venue) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@trade")
        await venue.advance(14_000)
        assert (await wire.hear())["e"] == "trade"
        await venue.advance(15_000)
        assert await wire.hear() is None
        assert wire.socket.close_code == (1001 if how == "close" else 1006)
    assert venue.sockets.of() == []
    assert not venue.states["binance"].watched


async def test_who_dials_is_sent_away_and_comes_again(venue):
    venue.faults.add(Fault.HANDSHAKE, "/ws/*", status=429, seconds=7)
    with pytest.raises(WSServerHandshakeError) as error:
        async with Wire(venue):
            pass
    assert (error.value.status, error.value.headers["Retry-After"]) == (429, "7")
    async with Wire(venue) as wire:
        assert await wire.ask("LIST_SUBSCRIPTIONS") == []


async def test_who_takes_too_little_is_thrown_out(venue):
    venue.sockets.limit = 3
    async with Wire(venue) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@trade")
        await venue.advance(MINUTE)  # four trades at once
        assert venue.sockets.of() == []


async def test_who_is_silent_for_too_long_is_thrown_out_where_that_is_on(venue):
    async with Wire(venue) as wire:
        await wire.pass_time(MINUTE)
        venue.sockets.timeouts = True
        await venue.advance(59_999)
        assert len(venue.sockets.of()) == 1
        await venue.advance(1)
        async with asyncio.timeout(WAIT):
            while await wire.hear() is not None:
                pass
        assert wire.socket.close_code == 1001


async def test_a_connection_ends_after_a_day_where_that_is_on(venue):
    async with Wire(venue) as wire:
        await wire.pass_time(23 * 60 * MINUTE)
        venue.sockets.timeouts = True
        assert await wire.pass_time(59 * MINUTE) == []
        await venue.advance(MINUTE)
        assert venue.sockets.of() == []


async def test_the_server_pings_every_20_seconds(venue):
    async with Wire(venue) as wire:
        await wire.pass_time(*[10_000] * 6)
        assert wire.frames == ["PING"] * 3


async def test_each_candle_ends_once_between_the_trades_around_its_end(venue):
    """A pulse of three minutes tells what three pulses of a minute tell, in the order of time."""
    async with Wire(venue) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@trade", "btcusdt@kline_1m")
        told = await wire.pass_time(3 * MINUTE)
    order = [
        row["T"] if row["e"] == "trade" else row["k"]["T"] for row in told if row["e"] == "trade" or row["k"]["x"]
    ]
    assert order == sorted(order)
    ended = [row["k"]["t"] - START // MINUTE * MINUTE for row in told if row["e"] == "kline" and row["k"]["x"]]
    assert ended == [0, MINUTE, 2 * MINUTE]
    assert [row["k"]["x"] for row in told if row["e"] == "kline"] == [True] * 3 + [False]


async def test_a_candle_ends_without_a_trade_that_would_show_its_end():
    """Nothing trades in the second minute: the first candle ends at its time, and no second one is told."""
    quiet = Prices(gaps=[(START // MINUTE * MINUTE + MINUTE, START // MINUTE * MINUTE + 2 * MINUTE)])
    async with Venue(SimClock(START), prices=quiet) as venue, Wire(venue) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@kline_1m")
        told = [row["k"] for row in await wire.pass_time(50_000, 9_000, MINUTE, MINUTE)]
        minutes = [((row["t"] - START) // MINUTE + 1, row["x"]) for row in told]
        assert minutes == [(0, False), (0, True), (2, False), (2, True), (3, False)]


async def test_nothing_is_told_twice_or_to_nobody(venue):
    """A ticker is told when it has changed; who has left costs nothing."""
    async with Wire(venue) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@ticker", "btcusdt@bookTicker")
        first = await wire.pass_time(1000)
        assert sorted(row.get("e", "quote") for row in first) == ["24hrTicker", "quote"]
        assert await wire.pass_time(1000, 1000) == []
        assert venue.states["binance"].watched
    await venue.sockets.until(lambda: not venue.sockets.of())
    assert not venue.states["binance"].watched


async def test_a_random_plan_comes_from_its_seed():
    plans = [Plan.random(seed, 8, seconds=10.0) for seed in (1, 1, 2)]
    assert plans[0].rules == plans[1].rules != plans[2].rules
    assert all(rule.fault in STREAM and rule.seconds <= 10 and rule.after < 40 for rule in plans[0].rules)
    assert {rule.fault for seed in range(20) for rule in Plan.random(seed).rules} == set(STREAM)


async def test_a_venue_in_a_thread_pushes_what_another_thread_does():
    """A price that is held from here reaches the book of a client here, through the venue's own loop there."""
    with VenueThread(Venue(SimClock(START))) as venue:
        async with Wire(venue) as wire:
            await wire.ask("SUBSCRIBE", "btcusdt@bookTicker")
            state = venue.states["binance"]
            item = state.instrument("BTCUSDT", Kind.SPOT)
            state.pin(item, 50_000)
            venue.clock.advance(START + 1000)
            venue.pulse()
            async with asyncio.timeout(WAIT):
                told = await wire.hear()
            assert float(told["b"]) == 50_000
            await venue.sockets.until(lambda: venue.sockets.listens("binance", Stream.QUOTE))


async def listen(venue, heard):
    """Dial again and again, and hear the trades of one instrument by their numbers."""
    while True:
        async with Wire(venue) as wire:
            await wire.socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
            while (told := await wire.hear()) is not None:
                if isinstance(told, dict) and "t" in told:
                    heard.append(told["t"])


@pytest.mark.parametrize("seed", range(12))
async def test_all_is_well_again_after_a_random_plan(venue, seed):
    """Whatever a plan has done, all of it, each trade after it is heard once and in order."""
    venue.faults.rules += Plan.random(seed, 8, streams=["trades"], span=8, seconds=60.0).rules
    heard = []
    task = asyncio.create_task(listen(venue, heard))
    for _ in range(400):
        await venue.sockets.until(lambda: venue.sockets.listens("binance", Stream.TRADES))
        if all(rule.times <= 0 and (rule.until or 0) <= venue.now() for rule in venue.faults.rules):
            break
        await venue.advance(15_000)
    else:
        raise AssertionError("the plan goes on")
    await venue.advance(MINUTE)  # what was late has come
    state = venue.states["binance"]
    start, item = venue.now() + 1, state.instrument("BTCUSDT", Kind.SPOT)
    await venue.advance(5 * MINUTE)
    told = [trade.id for trade in state.trades(item, start, venue.now() + 1)]
    async with asyncio.timeout(WAIT):
        while told[-1] not in heard:  # noqa: ASYNC110 - it hears as it can
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(told) == 20
    assert [number for number in heard if number >= told[0]] == told
