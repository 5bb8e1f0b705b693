"""What every `Source` has to do: one suite, run on each of them (tests/contract/sources.py)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise

import pytest
import pytest_asyncio
from sources import CASES

from metaexpert.errors import NetworkError
from metaexpert.events import Funding, MarkPrice, PublicTrade, Quote, Stream, StreamKind
from metaexpert.models import Bar, OrderBook
from metaexpert.timeframe import floor, parse

TYPES = {
    StreamKind.TRADES: PublicTrade,
    StreamKind.QUOTES: Quote,
    StreamKind.BOOK: OrderBook,
    StreamKind.CANDLES: Bar,
    StreamKind.MARKS: MarkPrice,
}
KINDS = pytest.mark.parametrize("kind", list(StreamKind), ids=str)


@pytest_asyncio.fixture(params=list(CASES))
async def case(request):
    """One source after the other."""
    async with CASES[request.param]() as case:
        yield case


def stream_of(case, kind) -> Stream:
    if kind in case.lacks:
        pytest.skip(f"it has no {kind}")
    return Stream(kind, case.symbol, case.timeframe if kind is StreamKind.CANDLES else "")


def refuse_odd_numbers(event) -> None:
    """Times are ints of this century, numbers plain floats that are finite."""
    assert type(event.time) is int
    assert 1_000_000_000_000 < event.time < 4_000_000_000_000
    for value in event:
        assert isinstance(value, str | int | float | tuple | None), event
        assert value == value


# --- asking ---------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_clock_goes_on(case):
    """A minute of the market's is a minute."""
    before = await case.source.time()
    await case.go_on(60_000)
    assert abs(await case.source.time() - before - 60_000) < 5_000


@pytest.mark.asyncio
async def test_candles_are_closed_aligned_and_within_what_is_asked(case):
    """The last ten minutes up to far beyond now: none of an interval that is not over."""
    length = parse(case.timeframe)
    now = await case.source.time()
    start = floor(now, length) - 10 * length
    bars = await case.source.candles(case.symbol, case.timeframe, start, now + 10 * length)
    assert 5 <= len(bars) <= 10
    for bar in bars:
        assert (bar.symbol, bar.timeframe) == (case.symbol, case.timeframe)
        assert start <= bar.time == floor(bar.time, length) <= now - length
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.volume >= 0.0
        refuse_odd_numbers(bar)
    assert all(one.time < other.time for one, other in pairwise(bars))
    assert await case.source.candles(case.symbol, case.timeframe, start, start + 2 * length) == [
        bar for bar in bars if bar.time < start + 2 * length
    ]
    assert await case.source.candles(case.symbol, case.timeframe, start, start) == []


@pytest.mark.asyncio
async def test_trades_come_oldest_first_from_the_moment_that_is_asked_for(case):
    """Each with an id of its own."""
    start = await case.source.time()
    await case.go_on(30_000)
    trades = await case.source.trades(case.symbol, start)
    assert trades
    assert all(start <= one.time <= other.time for one, other in pairwise(trades))
    assert len({one.id for one in trades}) == len(trades)
    for one in trades:
        assert one.symbol == case.symbol
        assert one.price > 0.0
        assert one.qty > 0.0
        assert one.side in (-1, 0, 1)
        refuse_odd_numbers(one)


@pytest.mark.asyncio
async def test_funding_is_the_next_instant(case):
    """It lies ahead, and once it is past it was paid, and another one is next; spot has none."""
    coming, now = await case.source.funding(case.symbol), await case.source.time()
    if coming is None:
        assert await case.source.paid(case.symbol, 0, now) == []
        return
    assert isinstance(coming, Funding)
    assert coming.symbol == case.symbol
    assert now <= coming.time <= now + 8 * 3_600_000
    assert abs(coming.rate) < 0.1
    paid = await case.source.paid(case.symbol, now - 24 * 3_600_000, now + 24 * 3_600_000)
    assert all(isinstance(one, Funding) and one.time <= now for one in paid)
    assert all(one.time < other.time for one, other in pairwise(paid))


# --- streams --------------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.asyncio
async def test_a_stream_tells_what_it_is_of(case, kind):
    """Records of its own kind and symbol, oldest first, never nothing."""
    for _ in range(3):
        events = await case.told(stream_of(case, kind))
        assert events
        for event in events:
            assert type(event) is TYPES[kind]
            assert event.symbol == case.symbol
            refuse_odd_numbers(event)
        assert all(one.time <= other.time for one, other in pairwise(events))


@pytest.mark.asyncio
async def test_quotes_and_books_are_sound(case):
    """A bid below the ask, quantities above zero, levels from the best on."""
    for quote in await case.told(stream_of(case, StreamKind.QUOTES)):
        assert 0.0 < quote.bid < quote.ask
        assert min(quote.bid_qty, quote.ask_qty) > 0.0
    for book in await case.told(stream_of(case, StreamKind.BOOK)):
        assert book.bids[0][0] < book.asks[0][0]
        assert all(one[0] > other[0] for one, other in pairwise(book.bids))
        assert all(one[0] < other[0] for one, other in pairwise(book.asks))
        assert all(qty > 0.0 for _, qty in (*book.bids, *book.asks))


@pytest.mark.asyncio
async def test_no_trade_is_told_twice_and_asking_tells_the_same(case):
    """What was watched is what is asked for afterwards: the same ids, prices and quantities, none missing."""
    stream = stream_of(case, StreamKind.TRADES)
    told = [one for _ in range(5) for one in await case.told(stream)]
    assert len({one.id for one in told}) == len(told)
    asked = await case.source.trades(case.symbol, told[0].time)
    first = next(number for number, one in enumerate(asked) if one.id == told[0].id)
    assert asked[first : first + len(told)] == told
    assert not any(one.is_backfilled for one in told)


@pytest.mark.asyncio
async def test_the_last_that_is_shown_of_a_candle_is_the_closed_one(case):
    """Watched from before its open on until a later one is shown."""
    stream, shown = stream_of(case, StreamKind.CANDLES), {}
    length = parse(case.timeframe)
    begun = await case.source.time()
    for _ in range(200):
        for bar in await case.told(stream):
            shown[bar.time] = bar
        whole = sorted(time for time in shown if time > begun)
        if len(whole) > 1:
            break
    await case.go_on(5_000)
    assert await case.source.candles(case.symbol, case.timeframe, whole[0], whole[0] + length) == [shown[whole[0]]]


@pytest.mark.asyncio
async def test_streams_do_not_disturb_each_other(case):
    """Trades and candles watched at once: both go on, and the results are the caller's own."""
    trades = asyncio.create_task(case.source.watch(stream_of(case, StreamKind.TRADES)))
    candles = asyncio.create_task(case.source.watch(stream_of(case, StreamKind.CANDLES)))
    for _ in range(100):
        await case.go_on(1_000)
        if trades.done() and candles.done():
            break
    kept = list(trades.result()), list(candles.result())
    await case.told(stream_of(case, StreamKind.TRADES))
    assert (list(trades.result()), list(candles.result())) == kept


@pytest.mark.asyncio
async def test_a_stream_that_was_left_can_be_watched_again(case):
    """And brings nothing of the time between."""
    stream = stream_of(case, StreamKind.TRADES)
    await case.told(stream)
    await case.source.unwatch(stream)
    await case.go_on(30_000)
    before = await case.source.time()
    assert min(one.time for one in await case.told(stream)) >= before - 2_000


@pytest.mark.asyncio
async def test_who_waits_may_be_cancelled(case):
    """And the stream is watched again as if nothing had been."""
    stream = stream_of(case, StreamKind.TRADES)
    await case.told(stream)
    waiting = asyncio.create_task(case.source.watch(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert waiting.done()
    await case.source.unwatch(stream)
    assert await case.told(stream)


@pytest.mark.asyncio
async def test_a_lost_connection_is_told_and_the_stream_comes_back(case):
    """To who waits; and the next attempts succeed within a minute."""
    if case.lose is None:
        pytest.skip("it has no connection to lose")
    stream = stream_of(case, StreamKind.TRADES)
    await case.told(stream)
    waiting, begun = asyncio.create_task(case.source.watch(stream)), await case.source.time()
    await case.go_on(0)
    await case.lose()
    for _ in range(60):
        await case.go_on(1_000)
        if waiting.done():
            break
    with pytest.raises(NetworkError):
        list(waiting.result())
    found = []
    while not found:
        with suppress(NetworkError):
            found = await case.told(stream)
        await case.go_on(1_000)
        assert await case.source.time() < begun + 120_000


@pytest.mark.asyncio
async def test_closing_wakes_who_waits(case):
    """With an error, not by being cancelled."""
    waiting = asyncio.create_task(case.source.watch(stream_of(case, StreamKind.TRADES)))
    await case.go_on(0)
    if waiting.done():
        waiting = asyncio.create_task(case.source.watch(stream_of(case, StreamKind.TRADES)))
        await case.go_on(0)
    await case.source.close()
    await case.go_on(0)
    with pytest.raises(NetworkError):
        await waiting
