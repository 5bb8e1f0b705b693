"""The venue's websockets, heard by CCXT as it is: every stream of every exchange and kind."""

import asyncio

import pytest
import pytest_asyncio
from contract.streaming import CELLS, client_of, instrument_of, pushed, subscribed, symbol_of
from venue.streams import Stream

pytestmark = pytest.mark.asyncio
WAIT = 5
"""Seconds after which a push is given up."""


@pytest_asyncio.fixture(params=CELLS, ids="-".join)
async def watched(venue, request):
    """A client, the symbol that is watched, and the instrument that this is at the venue."""
    exchange, kind = request.param
    client = await client_of(venue, exchange)
    symbol = symbol_of(venue, client, kind)
    yield client, symbol, instrument_of(venue, client, symbol)
    await client.close()


async def test_trades_are_those_of_the_tape(venue, watched):
    """Each public trade is heard once, in order, as a request for trades tells it too."""
    client, symbol, item = watched
    task = await subscribed(venue, client.id, client.watch_trades(symbol), Stream.TRADES)
    start = venue.clock.now()
    await venue.advance(60_000)
    heard = await asyncio.wait_for(task, WAIT)
    told = venue.states[client.id].trades(item, start + 1, start + 60_001)
    assert len(told) == 4
    assert [(row["timestamp"], row["price"]) for row in heard] == [(row.time, float(row.price)) for row in told]
    assert [row["side"] for row in heard] == ["buy" if row.buy else "sell" for row in told]


async def test_a_candle_is_told_as_it_runs_and_once_when_it_ends(venue, watched):
    """The last candle of each minute equals the one that a request tells."""
    client, symbol, item = watched
    minutes, state = 60_000, venue.states[client.id]
    heard = {}
    for _ in range(12):
        rows = await pushed(venue, client.id, client.watch_ohlcv(symbol, "1m"), Stream.CANDLE)
        heard |= {row[0]: row[1:] for row in rows}
    start = venue.clock.now() // minutes * minutes - 2 * minutes
    for row in state.candles(item, minutes, start, start + 2 * minutes):
        told = [float(number) for number in (row.open, row.high, row.low, row.close, row.volume)]
        assert heard[row.time] == told
