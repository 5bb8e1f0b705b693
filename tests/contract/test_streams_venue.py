"""The venue's websockets, heard by CCXT as it is: every public stream of every exchange and kind."""

import asyncio
from contextlib import suppress

import pytest
import pytest_asyncio
from ccxt.base.errors import NetworkError  # noqa: TID251 - the tests' side of the wall
from contract.streaming import (
    CELLS,
    TICKERS,
    WAIT,
    alone,
    caught_up,
    client_of,
    instrument_of,
    pushed,
    settled,
    subscribed,
    symbol_of,
)
from venue.streams import Stream

pytestmark = pytest.mark.asyncio
MINUTE = 60_000
MARKED = [cell for cell in CELLS if cell[1] in {"linear", "inverse"} and cell[0] not in {"bitget", "bybit"}]
"""Where a mark price can be watched by CCXT."""
HEARD = [cell for cell in CELLS if cell != ("bybit", "option")]
"""Bybit tells the trades of all options on a coin in one stream, and no candles; CCXT asks for those of each."""
DAYLESS = {("kucoin", "linear"), ("kucoin", "inverse")}
"""Where the ticker tells the last trade and not the day."""


@pytest_asyncio.fixture(params=CELLS, ids="-".join)
async def watched(venue, request):
    """A client, the symbol that is watched, and the instrument that this is at the venue."""
    exchange, kind = request.param
    client = await client_of(venue, exchange)
    symbol = symbol_of(client, kind)
    yield client, symbol, instrument_of(venue, client, symbol)
    await client.close()


@pytest.mark.parametrize("watched", HEARD, indirect=True, ids="-".join)
async def test_trades_are_those_of_the_tape(venue, watched):
    """Each public trade is heard, in order, as a request for trades tells it too; some bring older ones first."""
    client, symbol, item = watched
    start, heard = venue.clock.now(), {}
    for _ in range(5):
        for row in await pushed(venue, client.id, client.watch_trades(symbol), Stream.TRADES):
            assert heard.setdefault(row["id"], row) == row
    fresh = [row for row in heard.values() if row["timestamp"] > start]
    told = venue.states[client.id].trades(item, start + 1, venue.clock.now() + 1)[: len(fresh)]
    assert len(told) >= 4
    assert [(row["timestamp"], row["price"]) for row in fresh] == [(row.time, float(row.price)) for row in told]
    assert [row["side"] for row in fresh] == ["buy" if row.buy else "sell" for row in told]


@pytest.mark.parametrize("watched", HEARD, indirect=True, ids="-".join)
async def test_a_candle_is_told_as_it_runs_and_as_it_ended(venue, watched):
    """What was told last of each minute equals the candle that a request tells."""
    client, symbol, item = watched
    heard = {}
    for _ in range(12):
        rows = await pushed(venue, client.id, client.watch_ohlcv(symbol, "1m"), Stream.CANDLE)
        heard |= {row[0]: row[1:5] for row in rows}
    start = venue.clock.now() // MINUTE * MINUTE - 2 * MINUTE
    for row in venue.states[client.id].candles(item, MINUTE, start, start + 2 * MINUTE):
        assert heard[row.time] == [float(number) for number in (row.open, row.high, row.low, row.close)]


async def test_a_ticker_has_the_price_of_now(venue, watched):
    client, symbol, item = watched
    terms, state = TICKERS.get((client.id, item.kind), {}), venue.states[client.id]
    names = ["last"] if (client.id, item.kind) in DAYLESS else ["last", "high", "low"]

    def told():
        day = state.day(item)
        return [float(value) for value in (day.close, day.high, day.low)][: len(names)]

    heard = await settled(
        venue, client.id, lambda: client.watch_ticker(symbol, terms), Stream.TICKER,
        lambda heard: [heard[name] for name in names] == told(),
    )  # fmt: skip
    assert heard["symbol"] == symbol
    assert [heard[name] for name in names] == told()


@pytest.mark.parametrize("watched", HEARD, indirect=True, ids="-".join)
async def test_the_best_bid_and_ask_follow_the_price(venue, watched):
    client, symbol, item = watched

    def told():
        return [[float(number) for number in side[0]] for side in venue.states[client.id].book(item, 1)]

    def best(heard):
        return [[heard[symbol][side], heard[symbol][f"{side}Volume"]] for side in ("bid", "ask")]

    heard = await settled(
        venue, client.id, lambda: client.watch_bids_asks([symbol]), Stream.QUOTE,
        lambda heard: best(heard) == told(),
    )  # fmt: skip
    assert best(heard) == told()


async def test_a_book_stays_the_venues_book(venue, watched):
    """Snapshot and deltas make the same book as a request, through jumps of the price and our own orders."""
    client, symbol, item = watched
    state = venue.states[client.id]
    price = state.price(item)
    task = await subscribed(venue, client.id, client.watch_order_book(symbol), Stream.BOOK)
    for turn in range(12):  # some fetch the snapshot after several changes
        if turn and task.done():
            break
        state.trade(item, price + turn % 2 * item.tick, item.min_amount)
        await venue.advance(1000)
        await asyncio.wait([task], timeout=0.05)
    await task
    for step in (3, -50, 7, 400, -1):
        price = max(price + step * item.tick, item.tick)
        task = await subscribed(venue, client.id, client.watch_order_book(symbol), Stream.BOOK)
        state.trade(item, price, item.min_amount)
        await venue.advance(1000)
        await asyncio.wait_for(task, WAIT)
        told = [[[float(at), float(size)] for at, size in side] for side in state.book(item, 10)]
        with suppress(TimeoutError):
            await asyncio.wait_for(book_of(client, symbol, told), WAIT)
        assert levels(client, symbol) == told
        assert len(told[0]) == len(told[1]) == 10


def levels(client, symbol):
    """The best ten levels that a client knows; some have a third part, the message's own words."""
    book = client.orderbooks[symbol]
    return [[list(level[:2]) for level in book[side][:10]] for side in ("bids", "asks")]


async def book_of(client, symbol, told):
    """Wait until a client's book is as told: some send each level by itself."""
    while levels(client, symbol) != told:  # noqa: ASYNC110 - CCXT tells nobody
        await asyncio.sleep(0)


@pytest.mark.parametrize(("exchange", "kind"), MARKED)
async def test_a_mark_price_is_told_again_and_again(venue, exchange, kind):
    client = await client_of(venue, exchange)
    symbol = symbol_of(client, kind)
    item = instrument_of(venue, client, symbol)
    for _ in range(2):
        heard = await settled(
            venue, exchange, lambda: client.watch_mark_price(symbol), Stream.MARK,
            lambda heard: heard["markPrice"] == float(venue.states[exchange].price(item, "mark")),
        )  # fmt: skip
        assert heard["markPrice"] == pytest.approx(float(venue.states[exchange].price(item, "mark")))
    await client.close()


@pytest.mark.parametrize("watched", HEARD, indirect=True, ids="-".join)
async def test_who_unsubscribes_hears_no_more(venue, watched):
    client, symbol, _ = watched
    await pushed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
    await asyncio.wait_for(client.un_watch_trades(symbol), WAIT)
    assert not venue.sockets.listens(client.id, Stream.TRADES)
    sent = [socket.sent[Stream.TRADES] for socket in venue.sockets.of(client.id)]
    await venue.advance(MINUTE)
    assert [socket.sent[Stream.TRADES] for socket in venue.sockets.of(client.id)] == sent


@pytest.mark.parametrize(("what", "stream"), [("ticker", Stream.TICKER), ("ohlcv", Stream.CANDLE)])
@pytest.mark.parametrize("exchange", sorted({exchange for exchange, _ in CELLS}))
async def test_each_stream_can_be_left(venue, exchange, what, stream):
    client = await client_of(venue, exchange)
    symbol = symbol_of(client, "linear")
    assert await pushed(venue, exchange, getattr(client, f"watch_{what}")(symbol), stream)
    await asyncio.wait_for(getattr(client, f"un_watch_{what}")(symbol), WAIT)
    assert not venue.sockets.listens(exchange, stream)
    await client.close()


@pytest.mark.parametrize("exchange", ["okx", "bitget", "kucoin"])
async def test_several_symbols_are_watched_by_one_request(venue, exchange):
    """CCXT gives what came first, and keeps the others for later calls."""
    client, symbols = await client_of(venue, exchange), ["BTC/USDT", "ETH/USDT"]
    for watch, stream in ((client.watch_trades_for_symbols, Stream.TRADES), (client.watch_tickers, Stream.TICKER)):
        for _ in range(2):
            assert await pushed(venue, exchange, watch(symbols), stream)
    assert set(client.trades) == set(client.tickers) == set(symbols)
    await client.close()


@pytest.mark.parametrize("watched", HEARD, indirect=True, ids="-".join)
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_waits_learns_of_the_end_and_comes_back(venue, watched, how):
    client, symbol, item = watched
    await pushed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
    await asyncio.wait_for(caught_up(venue, client, symbol, item), WAIT)
    task = await subscribed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
    assert venue.sockets.cut(client.id, how) == 1
    with pytest.raises(NetworkError):
        await asyncio.wait_for(task, WAIT)
    assert await pushed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
    assert len(venue.sockets.of(client.id)) == 1


@pytest.mark.parametrize("watched", HEARD, indirect=True, ids="-".join)
async def test_a_client_that_is_cut_off_while_idle_comes_back(venue, watched):
    client, symbol, _ = watched
    await pushed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
    venue.sockets.cut(client.id, "reset")
    await asyncio.wait_for(alone(client), WAIT)
    assert not venue.sockets.listens(client.id, Stream.TRADES)
    assert await pushed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
