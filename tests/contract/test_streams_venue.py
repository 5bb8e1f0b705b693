"""The venue's websockets, heard by CCXT as it is: every public stream of every exchange and kind."""

import asyncio

import pytest
import pytest_asyncio
from ccxt.base.errors import NetworkError  # noqa: TID251 - the tests' side of the wall
from contract.streaming import CELLS, TICKERS, alone, client_of, instrument_of, pushed, subscribed, symbol_of
from venue.streams import Stream

pytestmark = pytest.mark.asyncio
WAIT = 5
"""Seconds after which a push is given up."""
MINUTE = 60_000
MARKED = [cell for cell in CELLS if cell[1] in {"linear", "inverse"}]
"""Where a mark price can be watched by CCXT."""


@pytest_asyncio.fixture(params=CELLS, ids="-".join)
async def watched(venue, request):
    """A client, the symbol that is watched, and the instrument that this is at the venue."""
    exchange, kind = request.param
    client = await client_of(venue, exchange)
    symbol = symbol_of(client, kind)
    yield client, symbol, instrument_of(venue, client, symbol)
    await client.close()


async def test_trades_are_those_of_the_tape(venue, watched):
    """Each public trade is heard once, in order, as a request for trades tells it too."""
    client, symbol, item = watched
    task = await subscribed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
    start = venue.clock.now()
    await venue.advance(MINUTE)
    heard = await asyncio.wait_for(task, WAIT)
    told = venue.states[client.id].trades(item, start + 1, start + MINUTE + 1)
    assert len(told) == 4
    assert [(row["timestamp"], row["price"]) for row in heard] == [(row.time, float(row.price)) for row in told]
    assert [row["side"] for row in heard] == ["buy" if row.buy else "sell" for row in told]


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
    terms = TICKERS.get((client.id, item.kind), {})
    heard = await pushed(venue, client.id, client.watch_ticker(symbol, terms), Stream.TICKER)
    day = venue.states[client.id].day(item)
    assert [heard[name] for name in ("symbol", "last", "high", "low")] == [
        symbol, float(day.close), float(day.high), float(day.low),
    ]  # fmt: skip


async def test_the_best_bid_and_ask_follow_the_price(venue, watched):
    client, symbol, item = watched
    heard = (await pushed(venue, client.id, client.watch_bids_asks([symbol]), Stream.QUOTE))[symbol]
    bids, asks = venue.states[client.id].book(item, 1)
    assert [heard["bid"], heard["ask"]] == [float(bids[0][0]), float(asks[0][0])]
    assert [heard["bidVolume"], heard["askVolume"]] == [float(bids[0][1]), float(asks[0][1])]


async def test_a_book_stays_the_venues_book(venue, watched):
    """Snapshot and deltas make the same book as a request, through jumps of the price and our own orders."""
    client, symbol, item = watched
    state = venue.states[client.id]
    price = state.price(item)
    await asyncio.wait_for(
        await subscribed(venue, client.id, client.watch_order_book(symbol, 20), Stream.BOOK), WAIT
    )
    for step in (3, -50, 7, 400, -1):
        price = max(price + step * item.tick, item.tick)
        task = await subscribed(venue, client.id, client.watch_order_book(symbol, 20), Stream.BOOK)
        state.pin(item, price)
        await venue.advance(1000)
        await asyncio.wait_for(task, WAIT)
        heard, told = client.orderbooks[symbol], state.book(item, 10)
        for side, levels in zip(("bids", "asks"), told, strict=True):
            assert heard[side][:10] == [[float(at), float(size)] for at, size in levels]


@pytest.mark.parametrize(("exchange", "kind"), MARKED)
async def test_a_mark_price_is_told_again_and_again(venue, exchange, kind):
    client = await client_of(venue, exchange)
    symbol = symbol_of(client, kind)
    item = instrument_of(venue, client, symbol)
    for _ in range(2):
        heard = await pushed(venue, exchange, client.watch_mark_price(symbol), Stream.MARK)
        assert heard["markPrice"] == pytest.approx(float(venue.states[exchange].price(item, "mark")))
    await client.close()


async def test_who_unsubscribes_hears_no_more(venue, watched):
    client, symbol, _ = watched
    await pushed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
    await asyncio.wait_for(client.un_watch_trades(symbol), WAIT)
    assert not venue.sockets.listens(client.id, Stream.TRADES)
    sent = [socket.sent[Stream.TRADES] for socket in venue.sockets.of(client.id)]
    await venue.advance(MINUTE)
    assert [socket.sent[Stream.TRADES] for socket in venue.sockets.of(client.id)] == sent


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_waits_learns_of_the_end_and_comes_back(venue, watched, how):
    client, symbol, _ = watched
    task = await subscribed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
    assert venue.sockets.cut(client.id, how) == 1
    with pytest.raises(NetworkError):
        await asyncio.wait_for(task, WAIT)
    assert await pushed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
    assert len(venue.sockets.of(client.id)) == 1


async def test_a_client_that_is_cut_off_while_idle_comes_back(venue, watched):
    client, symbol, _ = watched
    await pushed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
    venue.sockets.cut(client.id, "reset")
    await asyncio.wait_for(alone(client), WAIT)
    assert not venue.sockets.listens(client.id, Stream.TRADES)
    assert await pushed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
