"""One stream of CCXT: what is missed is told, nothing waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from metaexpert.config import ExchangeSettings
from metaexpert.errors import NetworkError, RequestError
from metaexpert.events import PublicTrade, Stream, StreamKind
from metaexpert.exchanges import lines
from metaexpert.exchanges.caller import Caller
from metaexpert.exchanges.connection import TRADES_KEPT
from metaexpert.exchanges.lines import Channel, Line, Waiters
from metaexpert.exchanges.streams import _Subscription
from metaexpert.models import Market, MarketType

MARKET = Market(symbol="A/B", exchange="binance", type=MarketType.SPOT, base="A", quote="B", settle="B")


class Fake:
    """CCXT's client: one connection, and answers as the test says."""

    def __init__(self, *answers):
        self.answers, self.connection, self.open, self.dropped = list(answers), object(), True, []

    async def watch(self, *_):
        found = self.answers.pop(0)
        if found is None:
            await asyncio.get_running_loop().create_future()
        if isinstance(found, BaseException):
            raise found
        return found

    unwatch = watch

    def is_open(self, connection):
        return self.open and connection is self.connection

    def drop(self, connection):
        self.dropped.append(connection)


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.delenv("METAEXPERT_OFFLINE")


def line(*answers):
    fake = Fake(*answers)
    caller = Caller(ExchangeSettings(exchange="binance"), client=lambda _: fake)
    return Line(caller, "watch it", Channel("watch", (), "unwatch", ())), fake


def test_a_connection_that_was_lost_in_between_is_told_once():
    one, fake = line(1, 2)
    assert (one.is_new, asyncio.run(one.answer()), one.is_new) == (True, 1, False)
    fake.open = False
    with pytest.raises(NetworkError, match="Binance: could not watch it: the connection was lost; try again"):
        asyncio.run(one.answer())
    assert (one.is_new, asyncio.run(one.answer())) == (True, 2)


def test_what_does_not_come_in_time_ends_its_connection():
    one, fake = line(None)
    with pytest.raises(NetworkError, match=r"nothing came within 0\.01 s"):
        asyncio.run(one.answer(0.01))
    assert fake.dropped == [fake.connection]


def test_an_end_that_is_not_confirmed_ends_the_connection(monkeypatch):
    monkeypatch.setattr(lines, "_UNWATCH", 0.01)
    one, fake = line(1, None)
    asyncio.run(one.answer())
    asyncio.run(one.end())
    assert (fake.dropped, one.is_new) == ([fake.connection], True)
    asyncio.run(one.end())  # nothing is subscribed any more


def test_what_ccxt_can_not_end_goes_unheard():
    one, fake = line(1, RequestError("no such call"))
    asyncio.run(one.answer())
    asyncio.run(one.end())
    assert fake.dropped == []


def test_a_close_by_ccxt_is_an_error_and_a_cancellation_is_one():
    """CCXT cancels what waits for a closed connection: only who is cancelled himself is."""
    one, _ = line(asyncio.CancelledError(), None)
    with pytest.raises(NetworkError, match="the connection was closed"):
        asyncio.run(one.answer())

    async def cancelled() -> None:
        task = asyncio.ensure_future(one.answer())
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())


def test_waiters_are_woken_by_a_close():
    async def run() -> None:
        waiters = Waiters()
        task = asyncio.ensure_future(waiters.wait("watch it", asyncio.sleep(60)))
        await asyncio.sleep(0)
        waiters.wake()
        with pytest.raises(NetworkError, match="could not watch it: the connection was closed"):
            await task

    asyncio.run(run())


def raw(number, **more):
    return {"timestamp": 10_000 + number, "price": 1.0, "amount": 2.0, "side": "buy", "id": str(number)} | more


def test_trades_are_told_once_and_none_from_before_the_subscription():
    one = _Subscription(Stream(StreamKind.TRADES, "A/B"), MARKET, line()[0])
    one.begun = 10_000
    old, nameless = raw(-2_000), raw(3, id=None)
    assert one.fresh([old, raw(1), raw(2), nameless], 0) == [
        PublicTrade(10_001, "A/B", "1", 1.0, 2.0, 1),
        PublicTrade(10_002, "A/B", "2", 1.0, 2.0, 1),
        PublicTrade(10_003, "A/B", "", 1.0, 2.0, 1),
    ]
    assert [trade.id for trade in one.fresh([raw(2), raw(4), nameless], 0)] == ["", "4"]
    assert not one.is_short


def test_more_trades_than_are_kept_may_lack_some():
    one = _Subscription(Stream(StreamKind.TRADES, "A/B"), MARKET, line()[0])
    assert len(one.fresh([raw(number) for number in range(TRADES_KEPT)], 0)) == TRADES_KEPT
    assert one.is_short
    for start in range(1, 9):  # the names of the last few thousand are remembered
        one.fresh([raw(start * TRADES_KEPT + number) for number in range(TRADES_KEPT)], 0)
    assert one.fresh([raw(9 * TRADES_KEPT - 1)], 0) == []
    assert len(one._names) == len(one._latest) == 4 * TRADES_KEPT


def test_candles_that_are_over_are_not_told_again():
    """Of the first answer the last two, then what changed: history comes along on some exchanges."""
    one = _Subscription(Stream(StreamKind.CANDLES, "A/B", "1m"), MARKET, line()[0])
    minute = 60_000
    rows = [[number * minute, 1, 1, 1, 1, number] for number in range(10)]
    assert [bar.time for bar in one.fresh(rows, 9 * minute + 5)] == [8 * minute, 9 * minute]
    assert one.fresh(rows[-1:], 9 * minute + 6) == []
    grown = [[9 * minute, 1, 2, 1, 2, 11], [10 * minute, 2, 2, 2, 2, 1]]
    assert [(bar.time, bar.close) for bar in one.fresh([rows[8], *grown], 10 * minute)] == [
        (9 * minute, 2.0),
        (10 * minute, 2.0),
    ]
