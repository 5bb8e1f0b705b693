"""The gateway against exchanges on this machine that CCXT can't tell from the real ones."""

import pytest
import pytest_asyncio
from venue import Venue

from metaexpert.clock import SimClock
from metaexpert.config import ExchangeSettings
from metaexpert.errors import ConfigError, UnavailableError
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.gateway import Gateway
from metaexpert.exchanges.venues import VENUES
from metaexpert.series import Kind

pytestmark = pytest.mark.asyncio

EXCHANGES = [name for name in VENUES if name in ("binance", "bybit")]
KINDS = {
    "spot": ({"market_type": "spot"}, "BTC/USDT"),
    "linear": ({"market_type": "futures", "contract_type": "linear"}, "BTC/USDT:USDT"),
    "inverse": ({"market_type": "futures", "contract_type": "inverse"}, "BTC/USD:BTC"),
}
CELLS = [(exchange, kind) for exchange in EXCHANGES for kind in KINDS]
MINUTE = 60_000
DAY = 86_400_000


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.delenv("METAEXPERT_OFFLINE")


@pytest_asyncio.fixture
async def venue():
    async with Venue() as venue:
        yield venue


@pytest_asyncio.fixture
async def session(venue):
    session = venue.client_session()
    yield session
    await session.close()


async def no_sleep(_):
    return


def gateway(session, exchange, kind, **more):
    settings = ExchangeSettings(exchange=exchange, **KINDS[kind][0])
    return Gateway(settings, client=lambda one: connect(one, session), sleep=no_sleep, **more)


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_the_markets_of_one_kind_are_listed_once_and_kept(venue, session, exchange, kind):
    async with gateway(session, exchange, kind) as asked:
        markets = await asked.markets()
        assert KINDS[kind][1] in {market.symbol for market in markets}
        assert all(market.id and market.price_tick > 0 and market.exchange == exchange for market in markets)
        sent = len(venue.seen)
    async with gateway(session, exchange, kind) as again:
        assert await again.markets() == markets
    assert len(venue.seen) == sent


async def test_a_list_of_yesterday_is_fetched_again_and_serves_where_that_fails(venue, session, monkeypatch):
    clock = SimClock(10 * DAY)
    async with gateway(session, "binance", "spot", clock=clock) as asked:
        markets = await asked.markets()
    clock.advance(12 * DAY)
    async with gateway(session, "binance", "spot", clock=clock) as again:
        await again.markets()
        assert await again.listed() == 12 * DAY
    clock.advance(20 * DAY)
    monkeypatch.setenv("METAEXPERT_OFFLINE", "1")
    async with gateway(session, "binance", "spot", clock=clock) as offline:
        assert await offline.markets() == markets
        assert await offline.listed() == 12 * DAY
        with pytest.raises(UnavailableError, match="METAEXPERT_OFFLINE"):
            await offline.markets(refresh=True)


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_candles_of_every_price(session, exchange, kind):
    async with gateway(session, exchange, kind) as asked:
        now = await asked.server_time()
        since = now // MINUTE * MINUTE - 10 * MINUTE
        rows = await asked.candles(KINDS[kind][1], "1m", since, 5)
        assert [row[0] for row in rows] == [since + n * MINUTE for n in range(5)]
        assert all(
            low <= min(opened, close) and high >= max(opened, close) for _, opened, high, low, close, _ in rows
        )
        if kind != "spot":
            for price in (Kind.MARK, Kind.INDEX):
                found = await asked.candles(KINDS[kind][1], "1m", since, 5, price)
                assert [row[0] for row in found] == [since + n * MINUTE for n in range(5)]


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_quotes_books_and_trades(session, exchange, kind):
    async with gateway(session, exchange, kind) as asked:
        ticker = await asked.ticker(KINDS[kind][1])
        book = await asked.order_book(KINDS[kind][1], 5)
        assert ticker.bid <= ticker.ask
        assert (book.bids[0][0], len(book.asks)) == (max(price for price, _ in book.bids), 5)
        assert book.bids[0][0] < book.asks[0][0]
        trades = await asked.trades_page(KINDS[kind][1], None, 10)
        assert trades == sorted(trades, key=lambda row: row[0])
        assert all(price > 0 and qty > 0 and side in (1, -1) for _, price, qty, side in trades)


@pytest.mark.parametrize(("exchange", "kind"), [cell for cell in CELLS if cell[1] != "spot"])
async def test_funding_rates(session, exchange, kind):
    async with gateway(session, exchange, kind) as asked:
        since = await asked.server_time() - 3 * DAY
        rates = await asked.funding_page(KINDS[kind][1], since, 100)
        assert 8 <= len(rates) <= 10
        assert all(time >= since and abs(rate) < 0.01 for time, rate in rates)


async def test_a_symbol_that_is_none_is_refused_with_the_nearest(session):
    async with gateway(session, "binance", "spot") as asked:
        with pytest.raises(ConfigError, match="BTC/USDT"):
            await asked.market("BTCUSTD")
        assert (await asked.market("BTCUSDT")).symbol == "BTC/USDT"
