"""History into the store: interruptions, empty spans, the newest rows."""

import asyncio
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from metaexpert.bars import times
from metaexpert.errors import ConfigError, DataError, NetworkError, UnavailableError
from metaexpert.events import PublicTrade
from metaexpert.exchanges import download as module
from metaexpert.exchanges.download import Job, download, download_all, served
from metaexpert.models import Market, MarketType
from metaexpert.series import Kind, build
from metaexpert.store import CandleStore, Source

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_704_067_200_000  # 2024-01-01
SPOT = Market(
    exchange="binance", symbol="BTC/USDT", type=MarketType.SPOT, contract_type=None, base="BTC", quote="USDT",
    settle=None, price_tick=0.01, qty_step=1e-5, min_qty=1e-5, min_notional=5.0, contract_size=1.0,
    maker=0.001, taker=0.001,
)  # fmt: skip
SWAP = replace(
    SPOT, symbol="BTC/USDT:USDT", type=MarketType.FUTURES, contract_type="linear", settle="USDT", exchange="bitget"
)


class Cut(NamedTuple):
    """What befalls the page of this number."""

    page: int
    error: BaseException


class Exchange:
    """An exchange of candles of a minute, rates of 8 hours and a trade in each second minute."""

    def __init__(self, market=SPOT, *, now=START + 10 * DAY, opens=None, cut=None):
        self.one, self.now, self.cut = market, now, cut
        self.opens = range(START, now + 1, MINUTE) if opens is None else opens
        self.pages = []

    async def server_time(self):
        return self.now

    async def market(self, symbol):
        assert symbol in ("BTCUSDT", self.one.symbol)
        return self.one

    def turned(self, *asked):
        self.pages.append(asked)
        if self.cut is not None and len(self.pages) == self.cut.page:
            raise self.cut.error

    async def candles(self, symbol, timeframe, since, limit, kind=Kind.CANDLES):
        self.turned(symbol, timeframe, since, limit, kind)
        length = DAY if timeframe == "1d" else MINUTE
        inside = [at for at in self.opens if since <= at < since + limit * length and at <= self.now]
        found = sorted({at // length * length for at in inside})
        return [(at, *[float(at % 977 + 1)] * 4, 2.0) for at in found]

    async def funding_page(self, symbol, since, until, limit, number=None):
        self.turned(symbol, since, until, limit, number)
        rates = [(at + 7, at / 1e20) for at in range(START, self.now, 8 * HOUR)]
        if number is not None:
            return rates[::-1][(number - 1) * limit :][:limit]
        return [row for row in rates if since <= row[0] < until][:limit]

    async def trades_page(self, symbol, since, limit, until=None):
        self.turned(symbol, since, limit, until)
        times = [at + n for at in range(START, self.now, 2 * MINUTE) for n in range(2)]
        tape = [PublicTrade(time, symbol, str(time), 5.0, 1.0, 1) for time in times]
        if since is None:
            return tape[-limit:]
        return [row for row in tape if since <= row[0] < until][:limit]


@pytest.fixture
def store(tmp_path):
    return CandleStore(tmp_path / "candles")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_PAGES", 3)


def run(exchange, store, name="1m", start=START, end=None, told=None):
    job = Job("BTCUSDT", name, start, end)
    return asyncio.run(download(exchange, store, job, None if told is None else told.append))


def state(store, market=SPOT, name="1m"):
    info = store.info(market.exchange, market.symbol, name)
    rows = store.read(market.exchange, market.symbol, name)
    return rows.reset_index().to_numpy().tolist(), info.covered, info.sources


def test_all_that_is_asked_for_comes_and_is_not_asked_for_again(store):
    exchange, told = Exchange(), []
    done = run(exchange, store, end=START + 3 * DAY, told=told)
    assert (done.rows, done.added, done.requests) == (4320, 4320, 5)  # pages of 1000
    assert times(store.read("binance", SPOT.symbol, "1m")).tolist() == list(range(START, START + 3 * DAY, MINUTE))
    assert [one.rows for one in told] == [1000, 2000, 3000, 4000, 4320]
    assert (told[-1].done, told[-1].total) == (3 * DAY, 3 * DAY)
    again = Exchange()
    assert run(again, store, end=START + 3 * DAY).requests == len(again.pages) == 0
    more = Exchange()
    run(more, store, start=START + DAY, end=START + 4 * DAY)
    assert [page[2] for page in more.pages] == [START + 3 * DAY, START + 3 * DAY + 1000 * MINUTE]


def test_the_running_candle_is_never_stored(store):
    now = START + 10 * MINUTE + 59_999
    run(Exchange(now=now), store)
    stored = store.info("binance", SPOT.symbol, "1m")
    assert (stored.rows, stored.end) == (10, START + 10 * MINUTE)
    run(Exchange(now=now + 1), store)
    assert store.info("binance", SPOT.symbol, "1m").end == START + 11 * MINUTE


def test_rows_that_come_late_are_not_missed(store):
    """What lacks within the last hour is asked for again; what lacked before that is known to be nothing."""
    now = START + 5 * HOUR
    late = [at for at in range(START, now, MINUTE) if at not in (START + HOUR, now - 2 * MINUTE, now - MINUTE)]
    run(Exchange(now=now, opens=late), store)
    assert store.missing("binance", SPOT.symbol, "1m", START, now) == ((now - 2 * MINUTE, now),)
    run(Exchange(now=now), store)
    assert store.missing("binance", SPOT.symbol, "1m", START, now) == ()
    assert store.info("binance", SPOT.symbol, "1m").rows == 299


ERRORS = (
    UnavailableError("too many requests", retry_after=9.0),
    asyncio.CancelledError(),
    KeyboardInterrupt(),
)


@pytest.mark.parametrize(
    ("error", "page"),
    [(NetworkError("no answer"), page) for page in range(1, 11)] + [(error, 5) for error in ERRORS],
    ids=lambda value: value if isinstance(value, int) else type(value).__name__,
)
def test_an_interruption_loses_nothing_and_the_next_call_goes_on(store, tmp_path, page, error):
    quiet = (START + 2 * DAY, START + 3 * DAY + 5 * HOUR)  # a day and a bit without trades
    opens = [at for at in range(START, START + 10 * DAY, MINUTE) if not quiet[0] <= at < quiet[1]]
    end = START + 7 * DAY
    whole = CandleStore(tmp_path / "whole")
    undisturbed = Exchange(opens=opens)
    run(undisturbed, whole, end=end)
    cut = Exchange(opens=opens, cut=Cut(page, type(error)(*error.args)))
    with pytest.raises(type(error)):
        run(cut, store, end=end)
    resumed = Exchange(opens=opens)
    run(resumed, store, end=end)
    assert state(store) == state(whole)
    path = [one.info("binance", SPOT.symbol, "1m").path for one in (store, whole)]
    assert path[0].read_bytes() == path[1].read_bytes()
    assert len(cut.pages) - 1 + len(resumed.pages) <= len(undisturbed.pages) + 1


def test_a_killed_process_loses_a_block_at_most(store, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    cut = Exchange(cut=Cut(6, Killed()))
    flush = module._Block.flush
    calls = []

    def flush_once(self):
        calls.append(self.rows)
        return flush(self) if len(calls) == 1 else die()

    monkeypatch.setattr(module._Block, "flush", flush_once)
    with pytest.raises(Killed):
        run(cut, store, end=START + 7 * DAY)
    monkeypatch.setattr(module._Block, "flush", flush)
    assert store.info("binance", SPOT.symbol, "1m").rows == 3000  # a block of three pages
    run(Exchange(), store, end=START + 7 * DAY)
    assert store.info("binance", SPOT.symbol, "1m").rows == 7 * 1440


def test_an_outage_says_what_is_stored_and_stays_what_it_is(store):
    cut = Exchange(cut=Cut(3, UnavailableError("too many requests", retry_after=9.0)))
    with pytest.raises(UnavailableError, match="too many requests; the 2000 rows that came before") as found:
        run(cut, store, end=START + 7 * DAY)
    assert found.value.retry_after == 9.0
    with pytest.raises(NetworkError, match="gone; nothing came before"):
        run(Exchange(cut=Cut(1, NetworkError("gone"))), CandleStore(store.root.parent / "other"))


def test_a_symbol_that_never_traded_leaves_nothing_behind(store):
    exchange = Exchange(opens=[])
    done = run(exchange, store, end=START + 9 * DAY)
    assert (done.rows, done.added) == (0, 0)
    assert done.requests == 2  # a page of minutes, a page of days
    assert not store.root.exists()


def test_a_listing_after_the_start_is_found_and_the_time_before_it_is_known(store):
    listed = START + 6 * DAY + 14 * HOUR
    exchange = Exchange(opens=range(listed, START + 10 * DAY, MINUTE))
    done = run(exchange, store, start=START - 900 * DAY, end=START + 8 * DAY)
    assert done.rows == (10 + 24) * 60
    assert store.missing("binance", SPOT.symbol, "1m", START - 900 * DAY, START + 8 * DAY) == ()
    assert done.requests <= 7


def test_a_delisted_symbol_costs_a_few_requests(store):
    exchange = Exchange(now=START + 800 * DAY, opens=range(START, START + DAY, MINUTE))
    done = run(exchange, store)
    assert (done.rows, done.requests <= 5) == (1440, True)


def test_holes_of_an_imported_file_are_filled_and_its_rows_are_not_asked_for(store):
    at = START + MINUTE * np.array([n for n in range(600) if n not in (100, 101, 400)])
    rows = build(Kind.CANDLES, at, [np.full(at.size, 7.0)] * 5)
    store.append(SPOT, "1m", rows, source=Source("mine.csv"))
    exchange = Exchange()
    run(exchange, store, end=START + 600 * MINUTE)
    assert [(page[2], page[3]) for page in exchange.pages] == [
        (START + 100 * MINUTE, 2),
        (START + 400 * MINUTE, 1),
    ]
    info = store.info("binance", SPOT.symbol, "1m")
    assert (info.rows, [source.name for source in info.sources]) == (600, ["mine.csv", "Binance API"])


def test_a_hole_without_trades_is_asked_for_once(store):
    opens = [at for at in range(START, START + 600 * MINUTE, MINUTE) if at != START + 300 * MINUTE]
    at = np.array(opens)
    store.append(SPOT, "1m", build(Kind.CANDLES, at, [np.full(at.size, 7.0)] * 5), source=Source("mine.csv"))
    assert run(Exchange(opens=opens), store, end=START + 600 * MINUTE).requests == 1
    assert run(Exchange(opens=opens), store, end=START + 600 * MINUTE).requests == 0


def test_unsound_rows_are_left_out_and_counted(store):
    class Odd(Exchange):
        async def candles(self, *args):
            rows = await super().candles(*args)
            return [(at, *([float("nan")] * 4 if at == START else prices), 1.0) for at, *prices, _ in rows]

    done = run(Odd(), store, end=START + HOUR)
    assert (done.rows, done.added, done.notes) == (60, 59, ("1 unsound rows were left out",))


def test_rates_come_from_numbered_pages_and_are_set_to_the_hour(store):
    now = START + 150 * DAY
    done = run(Exchange(SWAP, now=now), store, "funding", START + DAY, START + 50 * DAY)
    assert (done.rows, done.requests) == (147, 5)  # 450 rates, the newest first, in pages of 100
    stored = times(store.read("bitget", SWAP.symbol, "funding"))
    assert stored.tolist() == list(range(START + DAY, START + 50 * DAY, 8 * HOUR))
    assert run(Exchange(SWAP, now=now), store, "funding", START + DAY, START + 50 * DAY).requests == 0


def test_trades_are_walked_and_those_that_are_not_served_are_told(store):
    done = run(Exchange(), store, "trades", START, START + DAY)
    assert (done.rows, done.notes) == (1440, ())
    assert done.requests == 24  # an hour each
    bybit = replace(SPOT, exchange="bybit")
    last = run(Exchange(bybit), store, "trades", START, None)
    assert last.rows == 59  # the first of the 60 may have had company in its millisecond
    assert last.notes == ("Bybit serves the last 60 trades only; import older ones",)
    okx = replace(SPOT, exchange="okx")
    old = run(Exchange(okx, now=START + 100 * DAY), store, "trades", START, START + 9 * DAY)
    assert (old.rows, old.notes) == (0, ("OKX serves trades of the last 90 days only",))


def test_what_an_exchange_has_not_is_refused_before_anything_is_asked(store):
    bybit = replace(SPOT, exchange="bybit")
    for name, error, said in (
        ("8h", ConfigError, "Bybit has no 8h candles of BTC/USDT; use one of 1m, 3m"),
        ("mark-1h", DataError, "Bybit serves no mark-price candles of BTC/USDT"),
        ("funding", DataError, "Bybit serves no funding rates of BTC/USDT"),
    ):
        exchange = Exchange(bybit)
        with pytest.raises(error, match=said):
            run(exchange, store, name)
        assert exchange.pages == []
    assert served(SWAP, Kind.FUNDING) == ("",)
    assert served(replace(SWAP, expiry=START), Kind.FUNDING) == ()


def test_several_series_at_once_and_one_that_fails_ends_all_without_loss(store):
    jobs = [Job("BTCUSDT", name, START, START + DAY) for name in ("1m", "1d", "trades")]
    done = asyncio.run(download_all(Exchange(), store, jobs))
    assert [one.name for one in done] == ["1m", "1d", "trades"]
    assert [info.name for info in store.series("binance")] == ["1m", "1d", "trades"]
    with pytest.raises(NetworkError):
        asyncio.run(
            download_all(Exchange(cut=Cut(1, NetworkError("gone"))), store, [*jobs, Job("BTCUSDT", "1d", 0)])
        )
