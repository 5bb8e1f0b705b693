"""The facade over a real exchange: what is stored first, then what is downloaded, with and without a network."""

from dataclasses import replace

import pandas as pd
import pytest
from test_download import DAY, HOUR, MINUTE, SPOT, START, SWAP, Cut, Exchange

from metaexpert.bars import times
from metaexpert.config import ExchangeSettings
from metaexpert.errors import ConfigError, DataError, NetworkError, UnavailableError
from metaexpert.exchanges import MetaExchange, listing
from metaexpert.exchanges import remote as module
from metaexpert.models import MarketType
from metaexpert.series import Kind
from metaexpert.store import CandleStore, Source
from metaexpert.timeframe import TIMEFRAMES

NOW = START + 10 * DAY + 90_000


class Door(Exchange):
    """A gateway to the exchange of the download tests, in any timeframe."""

    def __init__(self, settings, market=SPOT, **more):
        super().__init__(market, now=NOW, **more)
        self.settings, self.asked, self.closed = settings, [], 0

    async def candles(self, symbol, timeframe, since, limit, kind=Kind.CANDLES):
        self.turned(symbol, timeframe, since, limit, kind)
        length = TIMEFRAMES[timeframe]
        return [
            (at, *[float(at // MINUTE % 977 + 1)] * 4, 2.0)
            for at in range(max(since, START), min(since + limit * length, NOW), length)
        ]

    async def market(self, symbol):
        self.asked.append("market")
        if symbol not in ("BTCUSDT", "BTC/USDT", self.one.symbol):
            raise ConfigError(f"no market {symbol}; did you mean BTC/USDT?")
        return self.one

    async def markets(self):
        self.asked.append("markets")
        return (self.one,)

    async def ticker(self, symbol):
        return f"the ticker of {symbol}"

    async def close(self):
        self.closed += 1


class Still:
    """A clock that stands."""

    def now(self):
        return NOW


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.delenv("METAEXPERT_OFFLINE")
    monkeypatch.setattr(module, "WallClock", Still)


@pytest.fixture
def doors():
    return []


@pytest.fixture
def exchange(doors):
    def make(market=SPOT, name="binance", cut=None, **more):
        def door(settings):
            doors.append(Door(settings, market, cut=cut))
            return doors[-1]

        return MetaExchange(name, gateway=door, **more)

    return make


def pages(doors):
    return [page for door in doors for page in door.pages]


def test_bars_are_downloaded_once_and_come_from_the_store_then(exchange, doors):
    with exchange() as source:
        bars = source.bars("BTCUSDT", "1h", START, START + 2 * DAY)
        assert times(bars).tolist() == list(range(START, START + 2 * DAY, HOUR))
        assert len(pages(doors)) == 1
        assert source.bars("BTCUSDT", "1h", START, START + 2 * DAY).equals(bars)
        assert source.bars("BTCUSDT", "4h", START, START + DAY)["open"].tolist() == bars["open"].tolist()[:24:4]
        assert len(pages(doors)) == 1
    assert [door.closed for door in doors] == [1]
    assert len(exchange(offline=True).bars("BTCUSDT", "1h")) == 48


def test_a_span_that_ends_with_now_goes_on_where_it_was(exchange, doors, monkeypatch):
    source, since = exchange(), START + 10 * DAY - HOUR
    assert times(source.bars("BTCUSDT", "1m", since)).tolist() == list(
        range(since, START + 10 * DAY + MINUTE, MINUTE)
    )
    assert len(source.bars("BTCUSDT", "1m", since)) == 61
    assert len(pages(doors)) == 1
    monkeypatch.setattr("test_remote.NOW", NOW + 5 * MINUTE)
    later = exchange()
    doors.clear()
    assert len(later.bars("BTCUSDT", "1m", since)) == 66
    assert [page[2:4] for page in pages(doors)] == [(START + 10 * DAY + MINUTE, 5)]


def test_without_a_span_what_is_stored_is_returned_and_a_year_where_there_is_nothing(exchange, doors):
    source = exchange()
    first = source.bars("BTCUSDT", "1d")
    assert times(first).tolist() == list(range(START, START + 10 * DAY, DAY))
    assert pages(doors)[0][2] == NOW // DAY * DAY - 364 * DAY
    assert len(source.bars("BTCUSDT", "1d")) == 10
    assert len(pages(doors)) == 1


def test_a_timeframe_that_the_exchange_lacks_is_made_from_one_that_it_has(exchange, doors):
    bars = exchange(replace(SPOT, exchange="bybit"), "bybit").bars("BTCUSDT", "8h", START, START + DAY)
    assert len(bars) == 3
    assert {page[1] for page in pages(doors)} == {"4h"}


def test_imported_candles_that_are_whole_ask_nobody(exchange, doors):
    store = CandleStore()
    source = exchange(offline=True)
    store.append(SPOT, "1m", frame(START, 600), source=Source("mine.csv"))
    assert len(source.bars("BTCUSDT", "1h", START, START + 600 * MINUTE)) == 10
    online = exchange()
    assert len(online.bars("BTCUSDT", "1h", START, START + 600 * MINUTE)) == 10
    assert online.market("BTCUSDT") == SPOT
    assert doors == []


def frame(start, count):
    index = pd.date_range(
        pd.Timestamp(start, unit="ms", tz="UTC"), periods=count, freq="min", name="time", unit="ms"
    )
    return pd.DataFrame(dict.fromkeys(("open", "high", "low", "close", "volume"), 7.0), index=index)


def test_a_market_that_only_a_file_knows_is_read_as_it_is(exchange):
    own = replace(SPOT, symbol="OLD/USDT", base="OLD")
    CandleStore().append(own, "1m", frame(START, 10), source=Source("old.csv"))
    source = exchange()
    assert len(source.bars("OLDUSDT", "1m", START, START + DAY)) == 10
    assert {market.symbol for market in source.markets()} == {"BTC/USDT", "OLD/USDT"}


def test_the_rules_of_the_exchange_come_before_those_of_a_file(exchange, monkeypatch):
    CandleStore().append(replace(SPOT, price_tick=5.0), "1m", frame(START, 10), source=Source("old.csv"))
    assert exchange().market("BTCUSDT").price_tick == 5.0
    monkeypatch.setattr(listing, "load", lambda *_, **__: listing.Listing((SPOT,), NOW, {}))
    assert exchange().market("BTCUSDT").price_tick == SPOT.price_tick


def test_the_kinds_are_what_is_stored_and_what_is_served(exchange):
    assert exchange().kinds("BTCUSDT") == (Kind.CANDLES, Kind.TRADES)
    swap = replace(SWAP, exchange="binance")
    futures = exchange(swap, market_type="futures")
    assert futures.kinds("BTCUSDT") == tuple(Kind)
    assert futures.funding_rates("BTCUSDT", START, START + DAY)["rate"].size == 3
    assert futures.mark_bars("BTCUSDT", "1h", START, START + DAY)["volume"].eq(0).all()
    assert len(futures.trades("BTCUSDT", START, START + 10 * MINUTE)) == 10
    assert exchange(swap, market_type="futures", offline=True).kinds("BTCUSDT") == tuple(
        kind for kind in Kind if kind not in (Kind.INDEX, Kind.CANDLES)
    )


def test_an_outage_is_one_line_that_says_what_to_do(exchange):
    source = exchange(cut=Cut(1, NetworkError("no certain answer")))
    with pytest.raises(NetworkError, match=r"no certain answer; nothing came before; what is stored .*OFFLINE=1"):
        source.bars("BTCUSDT", "1h", START, START + DAY)


def test_offline_nothing_is_asked_and_the_advice_is_to_download(exchange, doors, monkeypatch):
    said = (
        r"import them: metaexpert data import FILE .*; or download them: metaexpert data download binance BTC/USDT"
    )
    with pytest.raises(DataError, match=said):
        exchange(offline=True).bars("BTCUSDT", "1h", START, START + DAY)
    monkeypatch.setenv("METAEXPERT_OFFLINE", "1")
    with pytest.raises(DataError, match=said):
        exchange().bars("BTCUSDT", "1h")
    for ask in (lambda one: one.ticker("BTCUSDT"), lambda one: one.download("BTCUSDT", "1h", START)):
        with pytest.raises(UnavailableError, match="no network is allowed"):
            ask(exchange())
    assert doors == []


def test_quotes_come_from_the_exchange_and_demo_has_none(exchange, doors):
    source = exchange()
    assert source.ticker("BTCUSDT") == "the ticker of BTCUSDT"
    assert source.server_time() == NOW
    source.close()
    assert source.server_time() == NOW  # another connection
    assert [door.closed for door in doors] == [1, 0]
    source.close()
    with pytest.raises(ConfigError, match="demo has no quotes and no account"):
        MetaExchange("demo").ticker("BTCUSDT")
    with pytest.raises(ConfigError, match="nothing can be downloaded from local"):
        MetaExchange("local").download("BTCUSDT", "1h")


def test_every_setting_of_an_account_is_taken_and_checked(exchange, monkeypatch):
    monkeypatch.setenv("BINANCE_API_SECRET", "hidden")
    source = exchange(api_key="shown", testnet=True)
    settings = source._session.settings
    assert (settings.api_key.reveal(), settings.api_secret.reveal(), settings.testnet) == ("shown", "hidden", True)
    assert "shown" not in repr(source) + repr(settings)
    with pytest.raises(ConfigError, match=r"MetaExchange.*api_kee.*did you mean 'api_key'"):
        exchange(api_kee="x")
    given = ExchangeSettings(exchange="binance", market_type=MarketType.FUTURES)
    assert repr(MetaExchange(given)) == "MetaExchange('binance', market_type='futures', contract_type='linear')"


def test_history_beside_a_test_network_is_that_of_the_real_exchange(exchange, doors):
    with exchange(testnet=True, api_key="k", api_secret="s") as source:
        source.bars("BTCUSDT", "1d", START, START + DAY)
        source.ticker("BTCUSDT")
    history, account = (door.settings for door in doors)
    assert (history.testnet, history.api_key, account.testnet, account.api_key.reveal()) == (
        False,
        None,
        True,
        "k",
    )
    assert [door.closed for door in doors] == [1, 1]


def test_several_symbols_are_downloaded_with_progress(exchange):
    told = []
    with exchange(progress=told.append) as source:
        done = source.download(["BTCUSDT"], "1m", START, START + DAY)
        assert [(one.symbol, one.rows) for one in done] == [("BTC/USDT", 1440)]
        source.download("BTCUSDT", kind="trades", end=START + 10 * DAY)
    assert [one.rows for one in told if one.name == "1m"] == [1000, 1440]
    assert {one.name for one in told} == {"1m", "trades"}
    with pytest.raises(ConfigError, match="candles have a timeframe; say which, such as 1h"):
        exchange().download("BTCUSDT")
    with pytest.raises(ConfigError, match="swap the two"):
        exchange().download("BTCUSDT", "1h", START + DAY, START)
