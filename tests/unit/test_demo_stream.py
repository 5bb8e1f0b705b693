"""The demo exchange live: its trades make up its candles, and streams agree with what is asked afterwards."""

from __future__ import annotations

import asyncio
from itertools import chain, pairwise
from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaexpert.bars import times
from metaexpert.config import ExchangeSettings
from metaexpert.errors import ConfigError, DataError, NetworkError
from metaexpert.events import MarkPrice, PublicTrade, Quote, Stream, StreamKind
from metaexpert.exchanges.demo import MINUTE_MS, Demo
from metaexpert.exchanges.demo_stream import DemoStreams
from metaexpert.models import Bar, OrderBook
from metaexpert.timeframe import DAY_MS, floor, parse
from tests.clocks import StepClock

START = 1_790_000_040_000  # 2026-09-21 14:14
HOUR = 60 * MINUTE_MS
LINEAR = {"market_type": "futures", "contract_type": "linear"}
INVERSE = {"market_type": "futures", "contract_type": "inverse"}
KINDS = [("BTC/USDT", {}), ("BTC/USDT:USDT", LINEAR), ("BTC/USD:BTC", INVERSE), ("NEWCOIN/USDT", {})]
DEMO = Demo()


def source(clock: StepClock, **kind) -> DemoStreams:
    return DemoStreams(ExchangeSettings(exchange="demo", **kind), clock, DEMO)


async def drain(streams: DemoStreams, clock: StepClock, stream: Stream, until: int) -> list:
    """All that one stream tells up to `until`, the clock moved from one thing to the next."""
    found = []
    waiting = asyncio.create_task(streams.watch(stream))
    while True:
        for _ in range(8):  # whatever is to be done now
            await asyncio.sleep(0)
        if waiting.done():
            found += waiting.result()
            waiting = asyncio.create_task(streams.watch(stream))
        elif clock.next_wake is not None and clock.next_wake <= until:
            clock.advance(clock.next_wake)
        else:
            waiting.cancel()
            await asyncio.wait({waiting})
            return found


def built(trades: list[PublicTrade], timeframe: str, *, inverse: bool) -> dict[int, tuple[float, ...]]:
    """Candles of trades by open time: four prices and the volume in base."""
    found: dict[int, list[PublicTrade]] = {}
    for one in trades:
        found.setdefault(floor(one.time, parse(timeframe)), []).append(one)
    return {
        time: (
            own[0].price,
            max(one.price for one in own),
            min(one.price for one in own),
            own[-1].price,
            sum(one.qty / one.price if inverse else one.qty for one in own),
        )
        for time, own in found.items()
    }


@settings(deadline=None, max_examples=40)
@given(which=st.sampled_from(KINDS), offset=st.integers(-500_000, 500_000))
def test_the_trades_of_a_minute_make_up_its_candle(which, offset):
    """Open, high, low and close are equal; the volume is, to the rounding of a sum."""
    (symbol, kind), start = which, START + offset * MINUTE_MS
    clock = StepClock(start + 10 * MINUTE_MS)
    streams = source(clock, **kind)
    trades = asyncio.run(streams.trades(symbol, start))
    candles = asyncio.run(streams.candles(symbol, "1m", start, clock.now()))
    made = built([one for one in trades if one.time < clock.now()], "1m", inverse=kind is INVERSE)
    assert list(made) == [bar.time for bar in candles]
    for bar in candles:
        *prices, volume = made[bar.time]
        assert prices == [bar.open, bar.high, bar.low, bar.close]
        assert isclose(volume, bar.volume, rel_tol=1e-9)


def test_trades_are_in_order_have_ids_of_their_own_and_lie_on_the_grid():
    """Of BTC/USDT: price on a cent, quantity on 1e-5, more than five trades a minute."""
    clock = StepClock(START + HOUR)
    trades = asyncio.run(source(clock).trades("BTC/USDT", START))
    assert trades == sorted(trades, key=lambda one: (one.time, int(one.id)))
    assert len({one.id for one in trades}) == len(trades) > 5 * 60
    assert all(one.price == round(one.price, 2) and one.qty == round(one.qty, 5) > 0.0 for one in trades)
    assert {one.side for one in trades} == {1, -1}
    assert not any(one.is_backfilled for one in trades)


def test_whoever_asks_later_or_elsewhere_is_told_the_same():
    late = asyncio.run(source(StepClock(START + HOUR)).trades("BTC/USDT", START))
    early = asyncio.run(source(StepClock(START + 90_500)).trades("BTC/USDT", START))
    assert 0 < len(early) < len(late)
    assert early == [one for one in late if one.time <= START + 90_500]


def test_trades_of_the_last_day_are_served():
    clock = StepClock(START)
    trades = asyncio.run(source(clock).trades("BTC/USDT", START - 3 * DAY_MS))
    assert START - DAY_MS <= trades[0].time < START - DAY_MS + HOUR


@pytest.mark.parametrize(("symbol", "kind"), KINDS[:3])
def test_the_streams_tell_what_is_served_afterwards(symbol, kind):
    """Every trade once; each closed candle as the exchange has it, and the running one as it stands."""

    async def run() -> None:
        clock = StepClock(START + 12_345)
        streams, until = source(clock, **kind), START + 5 * MINUTE_MS
        trades = await drain(streams, clock, Stream(StreamKind.TRADES, symbol), until)
        assert trades == [one for one in await streams.trades(symbol, START) if one.time > START + 12_345]
        clock = StepClock(START + 12_345)
        streams = source(clock, **kind)
        told = await drain(streams, clock, Stream(StreamKind.CANDLES, symbol, "1m"), until)
        assert all(isinstance(one, Bar) for one in told)
        assert [one.time for one in told] == sorted(one.time for one in told)
        last = {one.time: one for one in told}
        assert [last[time] for time in sorted(last)] == await streams.candles(symbol, "1m", START, until)
        assert len(told) > 3 * len(last)

    asyncio.run(run())


def test_a_longer_candle_runs_with_the_minutes_before_it():
    """An hour that is 20 minutes old when it is first watched counts them in; it closes as it is served."""

    async def run() -> None:
        hour = floor(START, HOUR)
        clock = StepClock(hour + 20 * MINUTE_MS + 30_000)
        streams = source(clock)
        told = await drain(streams, clock, Stream(StreamKind.CANDLES, "BTC/USDT", "1h"), hour + HOUR + 30_000)
        trades = built(await streams.trades("BTC/USDT", hour), "1h", inverse=False)
        served = await streams.candles("BTC/USDT", "1h", hour, hour + 2 * HOUR)
        running = [one for one in told if one.time == hour + HOUR]
        assert {one.time for one in told} == {hour, hour + HOUR}
        assert [one for one in told if one.time == hour][-1:] == served
        assert running[-1][3:7] == trades[hour + HOUR][:4]
        assert isclose(running[-1].volume, trades[hour + HOUR][4], rel_tol=1e-9)

    asyncio.run(run())


def test_only_closed_candles_are_served():
    clock = StepClock(START + MINUTE_MS - 1)
    streams = source(clock)
    assert asyncio.run(streams.candles("BTC/USDT", "1m", START, START + HOUR)) == []
    clock.advance(START + MINUTE_MS)
    assert [bar.time for bar in asyncio.run(streams.candles("BTC/USDT", "1m", START, START + HOUR))] == [START]


@pytest.mark.parametrize(("symbol", "kind"), KINDS)
def test_quotes_stand_around_the_trades_and_on_the_tick(symbol, kind):
    """A buyer pays the ask and a seller gets the bid; the spread is 1 tick to 2 basis points."""

    async def run() -> None:
        clock = StepClock(START)
        streams = source(clock, **kind)
        market = DEMO.market(symbol, **(kind or {"market_type": "spot", "contract_type": None}))
        quotes = await drain(streams, clock, Stream(StreamKind.QUOTES, symbol), START + 3 * MINUTE_MS)
        trades = await streams.trades(symbol, START + 1)
        assert [one.time for one in quotes] == [one.time for one in trades]
        for quote, trade in zip(quotes, trades, strict=True):
            assert isinstance(quote, Quote)
            assert trade.price == (quote.ask if trade.side > 0 else quote.bid)
            spread = quote.ask - quote.bid
            assert market.price_tick * 0.99 < spread < max(2.0 * market.price_tick, 2.1e-4 * quote.ask)
            assert round(quote.bid / market.price_tick, 4) % 1 == 0
            assert min(quote.bid_qty, quote.ask_qty) >= market.qty_step

    asyncio.run(run())


def test_the_book_begins_with_the_quote_and_gets_deeper():
    async def run() -> None:
        clock = StepClock(START)
        streams = source(clock, **LINEAR)
        symbol = "BTC/USDT:USDT"
        books = await drain(streams, clock, Stream(StreamKind.BOOK, symbol), START + MINUTE_MS)
        again = source(StepClock(START), **LINEAR)
        quotes = {
            one.time: one
            for one in await drain(again, again._clock, Stream(StreamKind.QUOTES, symbol), START + MINUTE_MS)
        }
        assert len(books) > 5
        for book in books:
            assert isinstance(book, OrderBook)
            quote = quotes[book.time]
            assert (book.bids[0], book.asks[0]) == ((quote.bid, quote.bid_qty), (quote.ask, quote.ask_qty))
            assert [price for price, _ in book.bids] == sorted({price for price, _ in book.bids}, reverse=True)
            assert [price for price, _ in book.asks] == sorted({price for price, _ in book.asks})
            assert len(book.bids) == len(book.asks) == 20

    asyncio.run(run())


def test_mark_prices_make_up_the_mark_candle():
    """One every three seconds; over a whole minute they open, reach and close as the candle of mark prices."""

    async def run() -> None:
        clock = StepClock(START - 1)
        streams = source(clock, **LINEAR)
        marks = await drain(streams, clock, Stream(StreamKind.MARKS, "BTC/USDT:USDT"), START + MINUTE_MS - 1)
        assert all(isinstance(one, MarkPrice) for one in marks)
        assert [one.time for one in marks] == list(range(START, START + MINUTE_MS, 3_000))
        market = DEMO.market("BTC/USDT:USDT", "futures", "linear")
        for name, prices in (
            ("mark-1m", [one.mark for one in marks]),
            ("index-1m", [one.index_price for one in marks]),
        ):
            candle = DEMO.read(market, name, START, START + MINUTE_MS).iloc[0]
            assert [prices[0], max(prices), min(prices), prices[-1]] == candle.tolist()[:4]

    asyncio.run(run())


def test_funding_is_that_of_the_next_instant():
    clock = StepClock(START)
    found = asyncio.run(source(clock, **LINEAR).funding("BTC/USDT:USDT"))
    market = DEMO.market("BTC/USDT:USDT", "futures", "linear")
    rates = DEMO.read(market, "funding", START, START + DAY_MS)
    assert (found.time, found.rate) == (int(times(rates)[0]), rates["rate"].iloc[0])
    assert found.time % (8 * HOUR) == 0
    clock.advance(found.time)
    assert asyncio.run(source(clock, **LINEAR).funding("BTC/USDT:USDT")).time == found.time + 8 * HOUR
    assert asyncio.run(source(clock).funding("BTC/USDT")) is None


@pytest.mark.parametrize(
    ("symbol", "kind"),
    [
        ("BTC/USDT:USDT-261225-60000-C", {"market_type": "options"}),
        ("BTC/USD:BTC-261225-60000-P", {"market_type": "options"}),
        ("BTC/USDT:USDT-261225", LINEAR),
    ],
)
def test_contracts_that_end_have_their_own_price_as_mark_and_the_price_under_them_as_index(symbol, kind):
    async def run() -> None:
        clock = StepClock(START - 1)
        streams = source(clock, **kind)
        marks = await drain(streams, clock, Stream(StreamKind.MARKS, symbol), START + MINUTE_MS - 1)
        assert [one.time for one in marks] == list(range(START, START + MINUTE_MS, 3_000))
        market = DEMO.market(symbol, kind["market_type"], kind.get("contract_type"))
        spot = DEMO.market("BTC/USDT", "spot", None), "1m"
        index = DEMO.market("BTC/USD:BTC", "futures", "inverse"), "index-1m"
        for (held, name), prices in (
            ((market, "1m"), [one.mark for one in marks]),
            (spot if "USDT" in symbol else index, [one.index_price for one in marks]),
        ):
            candle = DEMO.read(held, name, START, START + MINUTE_MS).iloc[0]
            assert [prices[0], max(prices), min(prices), prices[-1]] == candle.tolist()[:4]

    asyncio.run(run())


def test_funding_that_was_paid_is_told_with_its_mark_price():
    """Two instants lie between 15 hours ago and now; the third is the next one, which nobody has paid yet."""
    instant = START // (8 * HOUR) * 8 * HOUR
    streams = source(StepClock(instant), **LINEAR)
    found = asyncio.run(streams.paid("BTC/USDT:USDT", instant - 15 * HOUR, instant + DAY_MS))
    market = DEMO.market("BTC/USDT:USDT", "futures", "linear")
    assert [one.time for one in found] == [instant - 8 * HOUR, instant]
    rates = DEMO.read(market, "funding", instant - 15 * HOUR, instant + 1)["rate"]
    assert [one.rate for one in found] == rates.tolist()
    assert found[1].mark == DEMO.read(market, "mark-1m", instant, instant + MINUTE_MS)["open"].iloc[0]
    assert asyncio.run(source(StepClock(instant)).paid("BTC/USDT", 0, instant)) == []


def test_nothing_happens_while_the_exchange_rests():
    """The first longer maintenance after the start: no trade, no mark price, no candle, and then it goes on."""
    market = DEMO.market("BTC/USDT:USDT", "futures", "linear")
    opens = times(DEMO.read(market, "1m", START, START + 300 * DAY_MS)).tolist()
    before, after = next((a, b) for a, b in pairwise(opens) if b - a > HOUR)

    async def run() -> None:
        for kind in (StreamKind.TRADES, StreamKind.MARKS, StreamKind.QUOTES):
            clock = StepClock(before + MINUTE_MS)
            told = await drain(source(clock, **LINEAR), clock, Stream(kind, market.symbol), after + 30_000)
            assert told
            assert after <= told[0].time < after + 30_000

    asyncio.run(run())


def test_who_falls_behind_is_told_all_of_it_hour_by_hour():
    async def run() -> None:
        clock = StepClock(START)
        streams, stream = source(clock), Stream(StreamKind.TRADES, "BTC/USDT")
        waiting = asyncio.create_task(streams.watch(stream))
        await asyncio.sleep(0)
        clock.advance(START + 3 * HOUR)
        found = [list(await waiting)]
        found += [list(await streams.watch(stream)) for _ in range(2)]
        assert [one[-1].time < START + (number + 1) * HOUR for number, one in enumerate(found)] == [True] * 3
        assert list(chain(*found)) == await streams.trades("BTC/USDT", START + 1)

    asyncio.run(run())


def test_closing_wakes_who_waits_and_a_cancelled_one_leaves_nothing():
    async def run() -> None:
        streams = source(StepClock(START))
        stream = Stream(StreamKind.TRADES, "BTC/USDT")
        waiting = [asyncio.create_task(streams.watch(stream)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        await streams.close()
        with pytest.raises(NetworkError, match="closed"):
            await waiting[1]
        assert waiting[0].cancelled()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_what_is_never_told_is_refused():
    streams = source(StepClock(START))

    def refused(symbol: str, kind: StreamKind, timeframe: str, error: type[Exception], match: str) -> None:
        with pytest.raises(error, match=match):
            asyncio.run(streams.watch(Stream(kind, symbol, timeframe)))

    refused("BTC/USDT", StreamKind.MARKS, "", ConfigError, "no mark price")
    refused("BTC/USDT", StreamKind.CANDLES, "10m", ConfigError, "unknown timeframe")
    refused("BTC/USD", StreamKind.TRADES, "", DataError, "recording")
    refused("BTC/USDT:USDT", StreamKind.TRADES, "", ConfigError, "spot")
