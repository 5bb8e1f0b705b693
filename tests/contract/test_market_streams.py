"""Each exchange as a live market: what its websockets push, in our words, equals what it is asked for."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
import pytest_asyncio
from contract.gateways import KINDS, gateway_to
from contract.streaming import CELLS, WAIT
from venue.faults import Fault
from venue.instruments import Kind

from metaexpert.errors import ConfigError, NetworkError
from metaexpert.events import MarkPrice, PublicTrade, Quote, Stream, StreamKind
from metaexpert.exchanges.streams import MarketStreams
from metaexpert.models import Bar, OrderBook

pytestmark = pytest.mark.asyncio
MINUTE = 60_000
HEARD = [cell for cell in CELLS if cell != ("bybit", "option")]
"""Of Bybit's options there are neither candles nor streams of trades."""
CONTRACTS = [cell for cell in CELLS if cell[1] != "spot"]
LINEAR = [cell for cell in CELLS if cell[1] == "linear"]


class Fast:
    """Our clock, which is ahead of the venue's."""

    def __init__(self, clock):
        self._clock = clock

    def now(self) -> int:
        return self._clock.now() + 777


class Watched:
    """One exchange's market, its source, and a venue whose time the test moves."""

    def __init__(self, venue, exchange, kind, symbol):
        self.venue, self.exchange, self.kind, self.symbol = venue, exchange, kind, symbol
        clock = Fast(venue.clock)
        self.gateway = gateway_to(venue, exchange, kind, clock=clock)
        self.source = MarketStreams(self.gateway, clock)

    def stream(self, kind: StreamKind, timeframe: str = "") -> Stream:
        return Stream(kind, self.symbol, timeframe)

    async def next(self, stream: Stream, ms: int = 15_000) -> list:
        """What the source tells next of a stream, while time goes on at the venue."""
        return await self.wait(asyncio.ensure_future(self.source.watch(stream)), ms)

    async def wait(self, task: asyncio.Task, ms: int = 15_000) -> list:
        for attempt in range(100):
            await asyncio.wait({task}, timeout=0.01 if attempt else 0.05)
            if task.done():
                return list(task.result())
            await self.venue.advance(ms)
            await self.venue.sockets.drain()
        task.cancel()
        raise AssertionError("nothing came")

    async def subscribed(self, stream: Stream) -> asyncio.Task:
        """A task that waits for what comes next, once the exchange knows."""
        before = len(self.feeds())
        task = asyncio.ensure_future(self.source.watch(stream))
        there = asyncio.ensure_future(self.venue.sockets.until(lambda: len(self.feeds()) > before))
        await asyncio.wait([task, there], return_when=asyncio.FIRST_COMPLETED, timeout=WAIT)
        there.cancel()
        return task

    async def gone(self) -> None:
        """Once the client knows that its connections are gone."""
        for _ in range(100):
            if not self.gateway.caller.client.clients:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the connection is still there")

    def feeds(self) -> list[str]:
        return [name for one in self.venue.sockets.of(self.exchange) for name in one.feeds]


async def symbol_of(venue, exchange, kind) -> str:
    if kind != "option":
        return KINDS[kind][1]
    gateway = gateway_to(venue, exchange, kind)
    symbol = min(market.symbol for market in await gateway.markets())
    await gateway.close()
    return symbol


@pytest_asyncio.fixture
async def live(venue, request):
    exchange, kind = request.param
    watched = Watched(venue, exchange, kind, await symbol_of(venue, exchange, kind))
    await watched.gateway.known(watched.symbol)
    yield watched
    await watched.source.close()


def every(cells):
    return pytest.mark.parametrize("live", cells, indirect=True, ids="-".join)


@every(HEARD)
async def test_trades_are_those_that_are_served_afterwards(live):
    """Each once, with the same id, price, quantity and side."""
    start = live.venue.clock.now()
    task = await live.subscribed(live.stream(StreamKind.TRADES))
    found = await live.wait(task)
    while len(found) < 6:
        found += await live.next(live.stream(StreamKind.TRADES))
    served = {one.id: one for one in await live.source.trades(live.symbol, start)}
    assert len({one.id for one in found} - {""}) == len(found)
    for one in found:
        assert isinstance(one, PublicTrade)
        assert served[one.id] == one


@every(HEARD)
async def test_a_closed_candle_is_the_one_that_is_served(live):
    """Of each minute the last state that is told, its volume in base too."""
    stream = live.stream(StreamKind.CANDLES, "1m")
    told = {}
    for _ in range(12):
        told |= {bar.time: bar for bar in await live.next(stream, 15_000)}
    closed = sorted(told)[1:-1]
    served = await live.source.candles(live.symbol, "1m", closed[0], closed[-1] + MINUTE)
    assert [told[time] for time in closed] == served
    assert len(served) >= 2
    assert all(isinstance(bar, Bar) and bar.volume > 0.0 for bar in served)


@every(CELLS)
async def test_quotes_are_the_best_prices_with_their_quantities(live):
    """As in the ticker that is asked for; a quote that is told again is none."""
    stream, market = live.stream(StreamKind.QUOTES), await live.gateway.market(live.symbol)
    quotes = []
    for _ in range(3):
        quotes += await live.next(stream)
    ticker = await live.gateway.ticker(live.symbol)
    assert all(isinstance(one, Quote) and one.symbol == live.symbol for one in quotes)
    assert (quotes[-1].bid, quotes[-1].ask) == (ticker.bid, ticker.ask)
    assert abs(quotes[-1].time - live.venue.clock.now()) <= MINUTE
    assert min(min(one.bid_qty, one.ask_qty) for one in quotes) >= market.qty_step
    assert all(one[2:] != after[2:] for one, after in pairwise(quotes))


@every(CELLS)
async def test_the_book_is_the_one_that_is_asked_for(live):
    """Best first, in our quantities, and a copy: what is told later does not change it."""
    stream = live.stream(StreamKind.BOOK)
    first = (await live.next(stream))[-1]
    kept = OrderBook(*first)
    book = (await live.next(stream))[-1]
    asked = await live.gateway.order_book(live.symbol)
    assert first == kept
    assert book[2:] != first[2:]
    for told, known in ((book.bids, asked.bids), (book.asks, asked.asks)):
        count = min(5, len(told))
        assert told[:count] == known[:count]
        assert len(told) <= 50


@every(CONTRACTS)
async def test_mark_prices_are_those_of_the_ticker(live):
    stream = live.stream(StreamKind.MARKS)
    found = (await live.next(stream))[-1]
    assert isinstance(found, MarkPrice)
    assert abs(found.mark / (await live.gateway.ticker(live.symbol)).last - 1.0) < 0.2
    assert abs(found.time - live.venue.clock.now()) <= MINUTE
    later = (await live.next(stream))[-1]
    assert (later.time > found.time, later[2:] != found[2:]) == (True, True)


@every([cell for cell in CELLS if cell[1] == "option"])
async def test_mark_prices_of_options_tell_what_lies_under_them(live):
    market = await live.gateway.market(live.symbol)
    item = live.venue.states[live.exchange].instrument(market.id, Kind.OPTION)
    stream = live.stream(StreamKind.MARKS)
    (found, *_) = await live.next(stream)
    underlying = float(live.venue.states[live.exchange].underlying(item))
    assert found.index_price == pytest.approx(underlying, rel=2e-3)
    live.venue.states[live.exchange].pin(live.venue.states[live.exchange].followed(item), 2 * underlying)
    await live.next(stream)
    assert (await live.next(stream))[-1].index_price == 2 * underlying


@every([("bybit", "option")])
async def test_what_can_not_be_heard_is_refused(live):
    with pytest.raises(ConfigError, match="Bybit streams those of all options of a coin"):
        await live.source.watch(live.stream(StreamKind.TRADES))
    with pytest.raises(ConfigError, match="Bybit has no 1m candles"):
        await live.source.watch(live.stream(StreamKind.CANDLES, "1m"))


@every([cell for cell in CELLS if cell[1] == "spot"][:1])
async def test_what_is_never_told_is_refused(live):
    with pytest.raises(ConfigError, match="no mark price: contracts have"):
        await live.source.watch(live.stream(StreamKind.MARKS))
    with pytest.raises(ConfigError, match="unknown timeframe"):
        await live.source.watch(live.stream(StreamKind.CANDLES, "7m"))


@every(LINEAR)
async def test_a_connection_that_breaks_while_nobody_waits_is_told_once(live):
    stream = live.stream(StreamKind.TRADES)
    await live.next(stream)
    live.venue.sockets.cut(live.exchange)
    await live.gone()
    with pytest.raises(NetworkError, match="the connection was lost"):
        await live.source.watch(stream)
    assert await live.next(stream)


@every(LINEAR)
@pytest.mark.parametrize("how", ["", "shape"])
async def test_a_message_that_can_not_be_read_ends_nothing_for_long(live, how):
    """Broken off midway it ends the connection; whole but of the wrong shape it is passed over, or does so too."""
    stream = live.stream(StreamKind.TRADES)
    await live.next(stream)
    rule = live.venue.faults.add(Fault.MALFORMED, f"{live.exchange}/trades/*", how=how)
    try:
        await live.next(stream)
    except NetworkError:
        assert await live.next(stream)
    assert rule.times == 0


@every(LINEAR)
async def test_a_source_that_was_closed_can_be_used_again(live):
    stream = live.stream(StreamKind.TRADES)
    await live.next(stream)
    await live.source.close()
    assert await live.next(stream)


@every(LINEAR)
async def test_who_is_cancelled_is_cancelled(live):
    task = await live.subscribed(live.stream(StreamKind.TRADES))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await live.next(live.stream(StreamKind.TRADES))


@every(LINEAR)
async def test_a_subscription_ends_and_begins_again(live):
    """Of each kind; what CCXT can't end goes unheard. Another stream of the market goes on."""
    kinds = [StreamKind.QUOTES, StreamKind.BOOK, *([StreamKind.MARKS] if live.kind != "spot" else [])]
    await live.next(live.stream(StreamKind.TRADES))
    for stream in (*map(live.stream, kinds), live.stream(StreamKind.CANDLES, "1m")):
        await live.next(stream)
        before = len(live.feeds())
        await live.source.unwatch(stream)
        assert len(live.feeds()) in (before, before - 1)
        assert await live.next(stream)
    assert await live.next(live.stream(StreamKind.TRADES))


@every(CONTRACTS)
async def test_funding_is_told_before_and_after(live):
    """The next instant lies within 8 hours; those of a day before were paid."""
    now = live.venue.clock.now()
    found = await live.source.funding(live.symbol)
    paid = await live.source.paid(live.symbol, now - 24 * 60 * MINUTE, now)
    if live.kind == "option":
        assert (found, paid) == (None, [])
        return
    assert now < found.time <= now + 8 * 60 * MINUTE
    assert found.time % (60 * MINUTE) == 0
    assert [one.time for one in paid] == [found.time - 8 * 60 * MINUTE * count for count in (3, 2, 1)]


@every(LINEAR)
async def test_the_exchange_s_clock_decides_what_has_closed(live):
    """Ours is 777 ms ahead; the candle of the minute that runs there is not served."""
    now = live.venue.clock.now()
    assert await live.source.time() == now
    bars = await live.source.candles(live.symbol, "1m", now // MINUTE * MINUTE - 5 * MINUTE, now + MINUTE)
    assert bars[-1].time == now // MINUTE * MINUTE - MINUTE
    assert len(bars) == 5
