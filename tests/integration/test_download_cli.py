"""`metaexpert data download` and backtests that fetch their candles, against exchanges on this machine."""

import _thread
import asyncio
import json

import pytest
from venue import Venue
from venue.faults import Fault
from venue.server import VenueThread

from metaexpert import MetaExchange, MetaExpert
from metaexpert.bars import times
from metaexpert.clock import SimClock
from metaexpert.exchanges import gateway, remote
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.gateway import Gateway
from metaexpert.store import CandleStore

NOW = 1_790_000_000_000  # 2026-09-21 14:13:20
MINUTE, DAY = 60_000, 86_400_000


@pytest.fixture
def venue(monkeypatch):
    """The loopback exchanges, to which every connection of the library leads; time stands still."""
    monkeypatch.delenv("METAEXPERT_OFFLINE")
    with VenueThread(Venue(SimClock(NOW))) as venue:

        async def no_sleep(_):
            return

        def door(settings):
            return Gateway(
                settings, client=lambda told: venue.redirect(connect(told)), sleep=no_sleep, clock=SimClock(NOW)
            )

        monkeypatch.setattr("metaexpert.exchanges.session.Gateway", door)
        monkeypatch.setattr(remote, "WallClock", lambda: SimClock(NOW))
        yield venue


SPAN = ("--start", "2026-09-10", "--end", "2026-09-11")


def test_candles_are_downloaded_once_and_listed(cli, venue):
    done = cli("data", "download", "binance", "BTCUSDT", "ETHUSDT", "--timeframe", "1m", *SPAN)
    assert (done.code, done.err) == (0, "")
    span = "2026-09-10 00:00 to 2026-09-12 00:00 UTC"
    assert f"BTC/USDT 1m: 2880 new candles, {span} (3 requests)" in done.out
    assert f"ETH/USDT 1m: 2880 new candles, {span} (3 requests)" in done.out
    asked = len(venue.seen)
    again = cli("data", "download", "binance", "BTCUSDT", "--timeframe", "1m", *SPAN)
    assert f"BTC/USDT 1m: no new candles, {span} (0 requests)" in again.out
    assert len(venue.seen) == asked + 1  # the time
    assert "Binance API" in cli("data", "list").out
    assert cli("data", "verify").code == 0


def test_rates_and_mark_prices_of_a_contract_as_json(cli, venue):
    words = ("bybit", "BTCUSD", "--type", "futures", "--contract", "inverse", "--json")
    (rates,) = json.loads(cli("data", "download", *words, "--kind", "funding", *SPAN).out)
    assert (rates["symbol"], rates["name"], rates["rows"], rates["requests"]) == ("BTC/USD:BTC", "funding", 6, 1)
    (marks,) = json.loads(cli("data", "download", *words, "--kind", "mark", "--timeframe", "1h", *SPAN).out)
    assert (marks["name"], marks["rows"]) == ("mark-1h", 48)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("binance", "BTCUSDT"), 2, "candles have a timeframe; say which"),
        (("binance", "BTCUSDT", "--timeframe", "10m"), 2, "unknown timeframe '10m'"),
        (("binance", "BTCUSDT", "--timeframe", "1h", "--kind", "candle"), 2, "did you mean 'candles'"),
        (("binence", "BTCUSDT", "--timeframe", "1h"), 2, "did you mean 'binance'"),
        (("demo", "BTCUSDT", "--timeframe", "1h"), 2, "nothing can be downloaded from demo"),
        (("binance", "BTCUSTD", "--timeframe", "1h"), 2, "BTC/USDT"),
        (("bybit", "BTCUSDT", "--timeframe", "8h"), 2, "Bybit has no 8h candles of BTC/USDT"),
        (("binance", "BTCUSDT", "--kind", "funding"), 1, "Binance serves no funding rates of BTC/USDT"),
        (("binance", "BTCUSDT", "--timeframe", "1h", "--start", "soon"), 2, "'soon' is no time"),
        (("binance", "BTCUSDT", "--timeframe", "1h", "--start", "2026-02", "--end", "2026-01"), 2, "swap the two"),
    ],
)
def test_bad_input_gets_one_line_and_nothing_is_stored(cli, venue, words, code, said):
    done = cli("data", "download", *words)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert said in done.err
    assert CandleStore().series() == []


def test_an_outage_in_the_middle_is_one_line_and_the_same_command_goes_on(cli, venue):
    venue.faults.add(Fault.HTML, "*klines*", times=5, after=1)
    words = ("data", "download", "binance", "BTCUSDT", "--timeframe", "1m", *SPAN)
    cut = cli(*words)
    assert (cut.code, cut.err.count("\n")) == (1, 1)
    assert "a web page instead of data" in cut.err
    assert "the 1000 rows that came before are stored: do it again to go on" in cut.err
    assert "1880 new candles" in cli(*words).out
    (quality,) = [verdict.quality for verdict in CandleStore().verify_all()]
    assert (quality.rows, quality.missing) == (2880, 0)


def test_ctrl_c_is_one_line_and_what_came_is_stored(cli, venue, monkeypatch):
    pages = []
    fetch = Gateway.candles

    async def interrupted(self, *asked):
        pages.append(asked)
        if len(pages) == 3:
            _thread.interrupt_main()
            await asyncio.Event().wait()
        return await fetch(self, *asked)

    monkeypatch.setattr(gateway.Gateway, "candles", interrupted)
    span = ("--start", "2026-09-01", "--end", "2026-09-18")
    words = ("data", "download", "bybit", "BTCUSDT", "--timeframe", "1m", *span)
    cut = cli(*words)
    assert (cut.code, cut.err.count("\n")) == (130, 1)
    assert "interrupted: what came is stored; the same command goes on from there" in cut.err
    stored = CandleStore().info("bybit", "BTC/USDT", "1m").rows
    assert stored == 2000
    assert f"{18 * 1440 - stored} new candles" in cli(*words).out


def test_without_a_network_it_is_one_line(cli):
    done = cli("data", "download", "binance", "BTCUSDT", "--timeframe", "1h")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert "no network is allowed" in done.err


def test_a_backtest_downloads_its_candles_once(venue):
    expert = MetaExpert(exchange="binance")

    @expert.on_init(symbol="BTCUSDT", timeframe="1h")
    def init():
        pass

    @expert.on_bar
    def bar(rates):
        pass

    first = expert.backtest(start="2026-09-01", end="2026-09-07")
    asked = len([one for one in venue.seen if "klines" in str(one)])
    assert asked > 0
    second = expert.backtest(start="2026-09-01", end="2026-09-07")
    assert len([one for one in venue.seen if "klines" in str(one)]) == asked
    assert first.equity.equals(second.equity)
    assert len(first.equity) >= 7 * 24


def test_the_facade_asks_what_is_not_stored(venue):
    with MetaExchange("bybit", market_type="futures") as source:
        bars = source.bars("BTCUSDT", "1h", "2026-09-01", "2026-09-02")
        assert len(bars) == 48
        assert times(bars)[0] == NOW // DAY * DAY - 20 * DAY
        assert source.ticker("BTCUSDT").bid < source.ticker("BTCUSDT").ask
        assert len(source.order_book("BTCUSDT", 5).bids) == 5
        assert source.server_time() == NOW
        assert "BTC/USDT:USDT" in {market.symbol for market in source.markets()}
