"""MetaExchange: the one door to markets and candles."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from metaexpert.bars import frame, resample, times
from metaexpert.errors import ConfigError, DataError
from metaexpert.exchanges import MetaExchange
from metaexpert.models import Market, MarketType
from metaexpert.series import Kind, build
from metaexpert.store import CandleStore, Source
from metaexpert.timeframe import DAY_MS

HOUR = 3_600_000
START = 1_704_067_200_000
SPOT = Market(symbol="BTC/USDT", exchange="binance", type=MarketType.SPOT, base="BTC", quote="USDT", settle="USDT")


def candles(first: int, count: int):
    close = 100.0 + np.arange(count)
    return frame(START + HOUR * (first + np.arange(count)), (close, close + 1, close - 1, close, close))


@pytest.fixture
def store(tmp_path) -> CandleStore:
    store = CandleStore(tmp_path)
    store.append(SPOT, "1h", candles(5, 100), source=Source("BTCUSDT-1h.csv"))
    return store


def test_the_demo_exchange_serves_2024_without_a_span():
    demo = MetaExchange("demo")
    bars = demo.bars("BTCUSDT", "1d")
    assert (int(times(bars)[0]), len(bars)) == (START, 366)
    assert demo.span("BTCUSDT", "1d") == (START, START + 366 * DAY_MS)
    assert demo.source("BTCUSDT", "1d").startswith("synthetic")


def test_a_side_of_the_span_that_is_not_given_is_a_year_away_at_most():
    demo = MetaExchange("demo")
    assert times(demo.bars("BTCUSDT", "1d", "2024-12-30")).tolist() == [START + d * DAY_MS for d in (364, 365)]
    assert len(demo.bars("BTCUSDT", "1d", "2030-01-01")) == 365
    assert len(demo.bars("BTCUSDT", "1d", end="2019-12-31")) == 365


def test_dates_include_the_last_day():
    bars = MetaExchange("demo").bars("ETHUSDT", "1h", "2024-01-02", "2024-01-03")
    assert times(bars)[[0, -1]].tolist() == [START + 24 * HOUR, START + 71 * HOUR]


@pytest.mark.parametrize(
    ("kind", "contract"), [("spot", None), ("futures", "linear"), ("futures", "inverse"), ("options", None)]
)
def test_markets_are_of_the_asked_kind(kind, contract):
    exchange = MetaExchange("demo", market_type=kind, contract_type=contract)
    markets = exchange.markets()
    assert markets
    assert {market.type.value for market in markets} == {kind}
    assert {market.is_inverse for market in markets} == {contract == "inverse"}
    assert exchange.market(markets[0].symbol) == markets[0]


def test_the_recorded_series_refuses_finer_bars_and_resamples_coarser_ones():
    demo = MetaExchange("demo")
    with pytest.raises(DataError, match=r"no 5m candles of BTC/USD from demo, and they can't be made .*\(1h\)"):
        demo.bars("BTCUSD", "5m")
    days = demo.bars("BTCUSD", "1d")
    assert demo.source("BTCUSD", "1d").endswith("resampled from 1h")
    assert not demo.quality("BTCUSD", "1d").synthetic
    assert f"{days.index[0]:%Y-%m-%d %H}" == "2017-07-02 00"  # the recorded first day is not whole
    assert demo.span("BTCUSD", "1d") == (int(times(days)[0]), int(times(days)[-1]) + DAY_MS)


def test_imported_candles_are_read_from_the_store(store):
    exchange = MetaExchange("binance", store=store)
    assert exchange.markets() == [SPOT]
    assert exchange.market("btc-usdt") == SPOT
    assert len(exchange.bars("BTCUSDT", "1h")) == 100
    assert exchange.span("BTCUSDT", "1h") == (START + 5 * HOUR, START + 105 * HOUR)
    quality = exchange.quality("BTCUSDT", "1h", "2024-01-02", "2024-01-02")
    assert (quality.rows, quality.source, quality.synthetic) == (24, "BTCUSDT-1h.csv", False)


def test_damaged_rules_of_one_market_are_named_for_it_and_leave_the_others_be(store):
    other = replace(SPOT, symbol="ETH/USDT", base="ETH")
    store.append(other, "1h", candles(0, 10), source=Source("ETH.csv"))
    (store.info("binance", "BTC/USDT", "1h").path.parent / "market.json").write_text("{")
    exchange = MetaExchange("binance", store=store)
    assert len(exchange.bars("ETHUSDT", "1h")) == 10
    with pytest.raises(DataError, match=r"BTC.*market.json is damaged"):
        exchange.bars("BTCUSDT", "1h")


def test_bars_are_resampled_from_the_coarsest_stored_timeframe_that_divides(store):
    exchange = MetaExchange("binance", store=store)
    four = exchange.bars("BTCUSDT", "4h")
    expected = resample(candles(8, 96), "4h", source="1h")
    assert times(four).tolist() == times(expected).tolist()
    store.append(SPOT, "2h", candles(0, 1), source=Source("two.csv"))
    assert exchange.source("BTCUSDT", "4h") == "two.csv; resampled from 2h"
    assert exchange.source("BTCUSDT", "1h") == "BTCUSDT-1h.csv"


def test_a_cut_span_does_not_change_a_bar(store):
    exchange = MetaExchange("binance", store=store)
    whole = exchange.bars("BTCUSDT", "1d")
    assert times(whole).tolist() == [START + d * DAY_MS for d in (1, 2, 3)]
    part = exchange.bars("BTCUSDT", "1d", "2024-01-02 05:00", "2024-01-03 01:00")
    assert part.equals(whole.iloc[1:2])


def test_a_span_without_candles_says_which_there_is(store):
    exchange = MetaExchange("binance", store=store)
    with pytest.raises(
        DataError, match="in 2020-01-01 00:00 to 2021-01-01 00:00; there are candles from 2024-01-01 05:00"
    ):
        exchange.bars("BTCUSDT", "1h", "2020", "2020")
    with pytest.raises(ConfigError, match="starts at 2024-02-01 00:00 but ends at 2024-01-02 00:00"):
        exchange.bars("BTCUSDT", "1h", "2024-02-01", "2024-01-01")


def test_a_symbol_that_was_never_imported_says_how_to(store):
    with pytest.raises(
        DataError,
        match=r"no candles of ETH/USDT from binance; there are BTC/USDT; import them: metaexpert data import FILE",
    ):
        MetaExchange("binance", store=store).bars("ETHUSDT", "1h")
    with pytest.raises(
        DataError, match=r"from okx; there are some from binance; import them: .*--exchange okx --symbol BTC/USDT"
    ):
        MetaExchange("okx", store=store).bars("BTCUSDT", "1h")


def test_finer_bars_than_the_stored_ones_are_refused(store):
    with pytest.raises(
        DataError, match=r"no 15m candles of BTC/USDT from binance, and they can't be made from .*\(1h\)"
    ):
        MetaExchange("binance", store=store).bars("BTCUSDT", "15m")


def test_spot_and_futures_of_one_pair_are_apart(store):
    swap = replace(SPOT, symbol="BTC/USDT:USDT", type=MarketType.FUTURES, contract_type="linear")
    store.append(swap, "1h", candles(0, 3), source=Source("swap.csv"))
    assert len(MetaExchange("binance", store=store).bars("BTCUSDT", "1h")) == 100
    assert len(MetaExchange("binance", market_type="futures", store=store).bars("BTCUSDT", "1h")) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"exchange": "binence"}, "unknown exchange 'binence'; did you mean 'binance'"),
        ({"exchange": "demo", "market_type": "future"}, "unknown market_type 'future'; did you mean 'futures'"),
        (
            {"exchange": "demo", "contract_type": "invers"},
            "unknown contract_type 'invers'; did you mean 'inverse'",
        ),
    ],
)
def test_unknown_words_are_refused_with_the_nearest(arguments, said):
    with pytest.raises(ConfigError, match=said):
        MetaExchange(**arguments)


def test_unknown_timeframes_and_symbols_are_refused():
    demo = MetaExchange("demo")
    with pytest.raises(ConfigError, match="unknown timeframe '10m'"):
        demo.bars("BTCUSDT", "10m")
    with pytest.raises(ConfigError, match="'nothing' is no symbol"):
        demo.bars("nothing", "1h")


def test_the_default_store_is_the_user_s_own(home):
    CandleStore().append(replace(SPOT, exchange="local"), "1h", candles(0, 2), source=Source("a.csv"))
    assert len(MetaExchange("local").bars("BTCUSDT", "1h")) == 2
    assert repr(MetaExchange("local")) == "MetaExchange('local', market_type='spot')"


SWAP = replace(SPOT, symbol="BTC/USDT:USDT", type=MarketType.FUTURES, contract_type="linear")


@pytest.fixture
def perpetual(store) -> MetaExchange:
    """A perpetual with candles of 1h from 05:00 on, mark prices a tenth higher, three rates and three trades."""
    store.append(SWAP, "1h", candles(5, 100), source=Source("candles.csv"))
    mark = candles(5, 100).add(0.1).assign(volume=0.0)
    store.append(SWAP, "mark-1h", mark, source=Source("mark.csv"))
    store.append(SWAP, "index-4h", resample(mark.iloc[3:], "4h", source="1h"), source=Source("index.csv"))
    time = START + 8 * HOUR * np.arange(1, 4)
    store.append(
        SWAP, "funding", build(Kind.FUNDING, time, [np.array([1e-4, 2e-4, -3e-4])]), source=Source("f.csv")
    )
    moments = START + np.array([7, 7, 8])
    tape = build(Kind.TRADES, moments, [np.array([1.0, 2.0, 3.0]), np.ones(3), np.array([1, -1, 0])])
    store.append(SWAP, "trades", tape, source=Source("t.csv"))
    return MetaExchange("binance", market_type="futures", store=store)


def test_what_goes_with_candles_is_read_from_the_store(perpetual):
    assert perpetual.kinds("BTCUSDT") == tuple(Kind)
    assert perpetual.mark_bars("BTCUSDT", "1h")["close"].iloc[0] == 100.1
    assert len(perpetual.bars("BTCUSDT", "1h")) == len(perpetual.mark_bars("BTCUSDT", "1h")) == 100
    assert perpetual.funding_rates("BTCUSDT")["rate"].tolist() == [1e-4, 2e-4, -3e-4]
    assert perpetual.trades("BTCUSDT")["price"].tolist() == [1.0, 2.0, 3.0]


def test_coarser_mark_and_index_prices_are_resampled(perpetual):
    four = perpetual.mark_bars("BTCUSDT", "4h")
    assert times(four)[0] == START + 8 * HOUR
    assert four.equals(perpetual.index_bars("BTCUSDT", "4h"))
    assert len(perpetual.index_bars("BTCUSDT", "8h")) == 12
    with pytest.raises(DataError, match=r"no 1h index-price candles of BTC/USDT:USDT from binance, and .*\(4h\)"):
        perpetual.index_bars("BTCUSDT", "1h")


def test_spans_of_rates_and_trades_are_half_open_and_dates_include_their_day(perpetual):
    assert len(perpetual.funding_rates("BTCUSDT", START + 8 * HOUR, START + 16 * HOUR)) == 1
    assert len(perpetual.funding_rates("BTCUSDT", "2024-01-01", "2024-01-01")) == 2
    assert len(perpetual.trades("BTCUSDT", end=START + 8)) == 2
    with pytest.raises(
        DataError, match=r"no trades of .* in 2023-01-01 00:00 to .*; there are trades from 2024-01-01"
    ):
        perpetual.trades("BTCUSDT", "2023", "2023")
    with pytest.raises(ConfigError, match="swap the two"):
        perpetual.funding_rates("BTCUSDT", "2024-02-01", "2024-01-01")


def test_what_was_never_imported_says_how_to(store):
    spot = MetaExchange("binance", store=store)
    assert spot.kinds("BTCUSDT") == (Kind.CANDLES,)
    for call, kind in ((spot.funding_rates, "funding"), (spot.trades, "trades")):
        with pytest.raises(DataError, match=f"import them: metaexpert data import FILE --kind {kind} --exchange"):
            call("BTCUSDT")
    with pytest.raises(
        DataError, match=r"no mark-price candles of BTC/USDT from binance; import them: .*--kind mark"
    ):
        spot.mark_bars("BTCUSDT", "1h")


def test_a_market_with_funding_alone_is_known_but_has_no_candles(store):
    rates = build(Kind.FUNDING, np.array([START]), [np.array([1e-4])])
    store.append(SWAP, "funding", rates, source=Source("f.csv"))
    exchange = MetaExchange("binance", market_type="futures", store=store)
    assert len(exchange.funding_rates("BTCUSDT")) == 1
    with pytest.raises(DataError, match="no candles of BTC/USDT:USDT from binance; import them"):
        exchange.bars("BTCUSDT", "1h")


@pytest.mark.parametrize("contract", ["linear", "inverse"])
def test_the_demo_exchange_has_mark_prices_and_funding_of_perpetuals_only(contract):
    demo = MetaExchange("demo", market_type="futures", contract_type=contract)
    symbol = demo.markets()[0].symbol
    assert demo.kinds(symbol) == (Kind.CANDLES, Kind.MARK, Kind.INDEX, Kind.FUNDING)
    assert len(demo.funding_rates(symbol)) == 366 * 3
    with pytest.raises(DataError, match=r"no trades of .* from demo; it has none"):
        demo.trades(symbol)
    with pytest.raises(
        DataError, match="no funding rates of BTC/USDT from demo; it has them of perpetual contracts"
    ):
        MetaExchange("demo").funding_rates("BTCUSDT")
    dated = "BTCUSDT_241227" if contract == "linear" else "BTCUSD_241227"
    with pytest.raises(DataError, match="perpetual contracts only"):
        demo.mark_bars(dated, "1h")


def test_a_symbol_that_is_no_option_is_not_suggested_again():
    with pytest.raises(ConfigError) as caught:
        MetaExchange("demo", market_type="options").market("BTCUSDT")
    assert str(caught.value).endswith("write it like BTC/USDT:USDT-251226-100000-C")


def test_bars_of_an_exchange_have_indicators_in_a_fresh_process():
    code = (
        "from metaexpert import MetaExchange;"
        "bars = MetaExchange('demo').bars('BTCUSDT', '1d', '2024-01-01', '2024-01-31');"
        "print(bars.ta.sma(5).notna().sum())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "27", done.stderr
