"""History from exchanges on this machine that CCXT takes for the real ones, with what goes wrong on the way."""

import pytest
from venue.faults import Fault
from venue.server import DIALECTS

from metaexpert.bars import times
from metaexpert.config import ExchangeSettings
from metaexpert.errors import NetworkError, UnavailableError
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.download import Job, download
from metaexpert.exchanges.gateway import Gateway
from metaexpert.exchanges.venues import VENUES, Segment
from metaexpert.store import CandleStore

pytestmark = pytest.mark.asyncio

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
KINDS = {
    "spot": ({"market_type": "spot"}, "BTC/USDT"),
    "linear": ({"market_type": "futures", "contract_type": "linear"}, "BTC/USDT:USDT"),
    "inverse": ({"market_type": "futures", "contract_type": "inverse"}, "BTC/USD:BTC"),
}
EXCHANGES = sorted(dialect.NAME for dialect in DIALECTS if dialect.NAME in VENUES)
CELLS = [(exchange, kind) for exchange in EXCHANGES for kind in KINDS]
CONTRACTS = [cell for cell in CELLS if cell[1] != "spot"]


async def no_sleep(_):
    return


def gateway(venue, exchange, kind):
    settings = ExchangeSettings(exchange=exchange, **KINDS[kind][0])
    return Gateway(settings, client=lambda told: venue.redirect(connect(told)), sleep=no_sleep, clock=venue.clock)


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_candles_of_two_days_come_whole_without_the_running_one(venue, exchange, kind):
    now, store = venue.clock.now(), CandleStore()
    start = now // MINUTE * MINUTE - 2 * DAY
    async with gateway(venue, exchange, kind) as asked:
        done = await download(asked, store, Job(KINDS[kind][1], "1m", start))
        again = await download(asked, store, Job(KINDS[kind][1], "1m", start))
    page = VENUES[exchange].paging.candles[Segment(kind)]
    assert (done.rows, done.requests, again.requests) == (2880, -(-2880 // page), 0)
    rows = store.read(exchange, KINDS[kind][1], "1m")
    assert times(rows).tolist() == list(range(start, now // MINUTE * MINUTE, MINUTE))


@pytest.mark.parametrize("name", ["mark-5m", "index-5m"])
@pytest.mark.parametrize(("exchange", "kind"), CONTRACTS)
async def test_mark_and_index_candles(venue, exchange, kind, name):
    now, store = venue.clock.now(), CandleStore()
    start = now // DAY * DAY - 5 * DAY
    async with gateway(venue, exchange, kind) as asked:
        done = await download(asked, store, Job(KINDS[kind][1], name, start, start + 4 * DAY))
    page = VENUES[exchange].paging.prices[Segment(kind)]
    assert (done.rows, done.requests) == (4 * 288, -(-4 * 288 // page))
    assert store.read(exchange, KINDS[kind][1], name)["volume"].eq(0.0).all()


@pytest.mark.parametrize(("exchange", "kind"), CONTRACTS)
async def test_no_funding_rate_is_lost(venue, exchange, kind):
    store = CandleStore()
    start = venue.clock.now() // DAY * DAY - 80 * DAY  # OKX has no more than 90
    async with gateway(venue, exchange, kind) as asked:
        done = await download(asked, store, Job(KINDS[kind][1], "funding", start))
    stored = times(store.read(exchange, KINDS[kind][1], "funding")).tolist()
    assert stored == list(range(start, venue.clock.now() + 1, 8 * HOUR))
    assert done.requests == -(-242 // VENUES[exchange].paging.funding)  # 80 days and two rates of the last one


@pytest.mark.parametrize("exchange", sorted({"binance", "okx", "bitget"} & {*EXCHANGES}))
async def test_trades_of_an_hour_and_a_half_from_either_end(venue, exchange):
    store, end = CandleStore(), venue.clock.now() // HOUR * HOUR
    async with gateway(venue, exchange, "spot") as asked:
        done = await download(asked, store, Job("BTCUSDT", "trades", end - 90 * MINUTE, end))
    assert done.rows == 360  # four a minute
    stored = times(store.read(exchange, "BTC/USDT", "trades"))
    assert (stored[0], stored[-1]) == (end - 90 * MINUTE, end - 15_000)


async def test_the_last_trades_are_all_that_some_serve(venue):
    store = CandleStore()
    async with gateway(venue, "bybit", "spot") as asked:
        done = await download(asked, store, Job("BTCUSDT", "trades", venue.clock.now() - DAY))
    assert done.rows == 59
    assert done.notes == ("Bybit serves the last 60 trades only; import older ones",)


@pytest.mark.parametrize("fault", [Fault.RATE_LIMIT, Fault.TRUNCATED, Fault.HTML, Fault.RESET, Fault.SERVER_ERROR])
@pytest.mark.parametrize("exchange", ["binance", "bybit"])
async def test_a_fault_in_the_middle_passes_unseen(venue, exchange, fault):
    start, store = venue.clock.now() // DAY * DAY - 3 * DAY, CandleStore()
    rule = venue.faults.add(fault, "*kline*", times=2, after=1)
    async with gateway(venue, exchange, "spot") as asked:
        done = await download(asked, store, Job("BTCUSDT", "1m", start, start + 2 * DAY))
    assert (done.rows, rule.times) == (2880, 0)


@pytest.mark.parametrize(("fault", "error"), [(Fault.HTML, NetworkError), (Fault.RATE_LIMIT, UnavailableError)])
async def test_an_outage_keeps_what_came_and_the_next_call_goes_on(venue, fault, error):
    start, store = venue.clock.now() // DAY * DAY - 3 * DAY, CandleStore()
    job = Job("BTCUSDT", "1m", start, start + 2 * DAY)
    venue.faults.add(fault, "*kline*", times=5, after=2)
    async with gateway(venue, "bybit", "spot") as asked:
        with pytest.raises(error, match="the 2000 rows that came before are stored"):
            await download(asked, store, job)
        assert store.info("bybit", "BTC/USDT", "1m").rows == 2000
        resumed = await download(asked, store, job)
    assert (resumed.rows, resumed.requests) == (880, 1)


async def test_maintenance_of_hours_is_a_gap_and_no_outage(venue):
    start, store = venue.clock.now() // DAY * DAY - 3 * DAY, CandleStore()
    quiet = (start + 6 * HOUR, start + 30 * HOUR)
    object.__setattr__(venue.states["binance"].prices, "gaps", (quiet,))
    job = Job("BTCUSDT", "1m", start, start + 2 * DAY)
    async with gateway(venue, "binance", "spot") as asked:
        done = await download(asked, store, job)
        assert done.rows == 24 * 60
        assert (await download(asked, store, job)).requests == 0
    (gap,) = store.verify("binance", "BTC/USDT", "1m").gaps
    assert gap == (quiet[0], quiet[1] - MINUTE, 24 * 60)
