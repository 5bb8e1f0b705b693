"""The embedded exchange: one price path whatever is asked, and one recorded series."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaexpert.bars import inspect, resample, times
from metaexpert.exchanges.demo import Demo
from metaexpert.models import ContractType, MarketType
from metaexpert.series import Kind, inspect_series
from metaexpert.timeframe import DAY_MS, TIMEFRAMES

START = 1_704_067_200_000  # 2024-01-01
MINUTE = 60_000
MARKETS = [
    ("BTCUSDT", "spot", None),
    ("ETHBTC", "spot", None),
    ("SOLUSDT", "futures", "linear"),
    ("BTCUSD", "futures", "inverse"),
    ("NEWCOINUSDT", "spot", None),
    ("BTC/USDT:USDT-241227-60000-C", "options", None),
]


@pytest.fixture(scope="module")
def demo() -> Demo:
    return Demo()


def test_markets_of_every_kind_are_listed_once(demo):
    markets = demo.markets()
    kinds = {(market.type, market.contract_type) for market in markets}
    assert kinds == {
        (MarketType.SPOT, None),
        (MarketType.FUTURES, ContractType.LINEAR),
        (MarketType.FUTURES, ContractType.INVERSE),
        (MarketType.OPTIONS, None),
    }
    assert len({market.symbol for market in markets}) == len(markets)


@pytest.mark.parametrize(("symbol", "kind", "contract"), MARKETS)
def test_rules_are_realistic(demo, symbol, kind, contract):
    market = demo.market(symbol, kind, contract)
    assert market.exchange == "demo"
    assert market.synthetic
    assert "synthetic" in market.source
    assert 0 < market.maker <= market.taker <= 0.001
    assert market.price_tick > 0
    assert market.qty_step > 0
    assert market.max_leverage == (100.0 if kind == "futures" else 1.0)


def test_btc_has_the_rules_that_traders_know(demo):
    spot = demo.market("BTCUSDT", "spot", None)
    assert (spot.price_tick, spot.qty_step, spot.min_notional, spot.taker) == (0.01, 1e-5, 5.0, 0.001)
    swap = demo.market("BTCUSDT", "futures", "linear")
    assert (swap.price_tick, swap.qty_step, swap.taker) == (0.1, 0.001, 0.0005)
    inverse = demo.market("BTCUSD", "futures", "inverse")
    assert (inverse.qty_step, inverse.settle, inverse.is_inverse) == (1.0, "BTC", True)


@pytest.mark.parametrize(("symbol", "kind", "contract"), MARKETS)
def test_candles_are_sound_and_on_the_tick(demo, symbol, kind, contract):
    market = demo.market(symbol, kind, contract)
    first, last = demo.span(market, "1h")
    candles = demo.read(market, "1h", first, last)
    quality = inspect(candles, "1h")
    assert quality.unsound == 0
    assert quality.coverage > 0.99
    prices = candles[["open", "high", "low", "close"]].to_numpy()
    ticks = prices / market.price_tick
    assert np.allclose(ticks, np.round(ticks), rtol=0, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(
    which=st.sampled_from(MARKETS[:4]),
    timeframe=st.sampled_from(list(TIMEFRAMES)),
    offset=st.integers(-300 * 1440, 300 * 1440),
    length=st.integers(1, 4000),
)
def test_a_bar_is_the_same_whatever_span_is_asked(which, timeframe, offset, length):
    """Two instances and two spans: the shorter one is a part of the longer one, exactly."""
    one, other = Demo(), Demo()
    market = one.market(*which)
    start = START + offset * MINUTE
    end = start + length * MINUTE
    short = one.read(market, timeframe, start, end)
    long = other.read(market, timeframe, start - 40 * DAY_MS, end + 40 * DAY_MS)
    opens = times(long)
    inside = long[(opens >= start) & (opens < end)]
    pd.testing.assert_frame_equal(short, inside, check_exact=True)


@pytest.mark.parametrize("timeframe", ["5m", "1h", "4h", "1d", "1w"])
def test_every_timeframe_is_a_resample_of_the_same_minutes(demo, timeframe):
    market = demo.market("ETHUSDT", "spot", None)
    end = START + 35 * DAY_MS
    minutes = demo.read(market, "1m", START, end)
    expected = resample(minutes, timeframe, source="1m", until=end)
    pd.testing.assert_frame_equal(demo.read(market, timeframe, START, end), expected, rtol=1e-12)


def test_the_year_2024_holds_maintenance_and_jumps(demo):
    minutes = demo.read(demo.market("BTCUSDT", "spot", None), "1m", *demo.span(demo.markets()[0], "1m"))
    quality = inspect(minutes, "1m")
    assert any(count >= 60 for _, _, count in quality.gaps)
    assert 0.99 < quality.coverage < 1.0
    jumps = np.abs(np.log(minutes["open"].to_numpy()[1:] / minutes["close"].to_numpy()[:-1]))
    assert jumps.max() > 0.001


def test_returns_look_like_a_market_s(demo):
    """Fat tails, clusters of volatility, volume that goes with moves; no drift to nothing or infinity."""
    market = demo.market("BTCUSDT", "spot", None)
    days = demo.read(market, "1d", *demo.extent(market, "1d"))
    returns = np.log(days["close"]).diff().dropna()
    assert 0.3 < returns.std() * 365**0.5 < 0.9
    assert returns.kurt() > 1.0
    assert returns.abs().autocorr(1) > 0.05
    assert days["close"].between(500, 50_000_000).all()
    hours = demo.read(market, "1h", START, START + 60 * DAY_MS)
    moves = np.log(hours["close"] / hours["open"]).abs()
    assert moves.corr(hours["volume"]) > 0.2


def test_spot_and_perpetual_stay_close(demo):
    spot = demo.read(demo.market("BTCUSDT", "spot", None), "1h", START, START + 90 * DAY_MS)
    swap = demo.read(demo.market("BTCUSDT", "futures", "linear"), "1h", START, START + 90 * DAY_MS)
    basis = swap["close"] / spot["close"] - 1.0
    assert basis.abs().max() < 0.001
    assert basis.abs().max() > 0.0


def test_a_cross_is_the_ratio_of_its_currencies(demo):
    def close(symbol: str) -> pd.Series:
        return demo.read(demo.market(symbol, "spot", None), "1h", START, START + 9 * DAY_MS)["close"]

    assert (close("ETHBTC") / (close("ETHUSDT") / close("BTCUSDT")) - 1.0).abs().max() < 1e-4


def test_a_call_and_a_put_keep_parity(demo):
    """C - P = S - K with interest 0, at each minute's close, to the rounding of the prices."""

    def close(symbol: str, kind: str) -> pd.Series:
        return demo.read(demo.market(symbol, kind, "linear"), "1m", END - 3 * DAY_MS, END - 2 * DAY_MS)["close"]

    END = demo.market("BTC/USDT:USDT-241227-60000-C", "options", None).expiry
    call, put = (close(f"BTC/USDT:USDT-241227-60000-{side}", "options") for side in "CP")
    gap = (call - put) - (close("BTCUSDT", "futures") - 60_000.0)
    assert gap.abs().max() < 0.3


def test_a_dated_contract_trades_only_before_its_expiry(demo):
    market = demo.market("BTC/USDT:USDT-241227-60000-C", "options", None)
    candles = demo.read(market, "1h", START, START + 700 * DAY_MS)
    assert int(times(candles)[-1]) + TIMEFRAMES["1h"] == market.expiry
    assert int(times(candles)[0]) >= market.expiry - 180 * DAY_MS


def test_the_recorded_series_is_not_synthetic_and_unchanged(demo):
    market = demo.market("BTCUSD", "spot", None)
    assert not market.synthetic
    assert "Coinbase" in market.source
    candles = demo.read(market, "1h", *demo.span(market, "1h"))
    quality = inspect(candles, "1h")
    assert (quality.rows, quality.missing, quality.unsound) == (20_111, 0, 0)
    assert candles.iloc[0].tolist() == [2505.56, 2513.38, 2495.12, 2509.17, 114.6]
    assert candles.iloc[-1].tolist() == [8051.0, 8056.83, 8021.23, 8035.88, 61.25]
    assert demo.timeframes(market, Kind.CANDLES) == ("1h",)


@pytest.mark.shared
def test_the_recorded_series_equals_its_origin(demo, shared):
    origin = pd.read_csv(shared / "data/ohlcv/from_pypi/coinbase_BTCUSD-1h.csv.gz")
    market = demo.market("BTCUSD", "spot", None)
    candles = demo.read(market, "1h", *demo.span(market, "1h"))
    assert times(candles).tolist() == origin["timestamp"].tolist()
    assert np.array_equal(candles.to_numpy(), origin[list(candles.columns)].to_numpy())


def test_the_synthetic_path_does_not_change_between_versions(demo):
    """Users compare results across versions: whoever changes the path must mean it."""
    candles = demo.read(demo.market("BTCUSDT", "spot", None), "1d", START, START + 366 * DAY_MS)
    text = ",".join(f"{price:.0f}" for price in candles["close"])
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == "c8a502c5db87"


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "DOGEUSDT"])
def test_funding_is_charged_every_eight_hours_at_about_a_hundredth_of_a_percent(demo, symbol):
    market = demo.market(symbol, "futures", "linear")
    first, last = demo.extent(market, "funding")
    rates = demo.read(market, "funding", first, last)
    assert (np.diff(times(rates)) == 8 * 3_600_000).all()
    assert times(rates)[0] % DAY_MS == 0
    assert inspect_series("funding", rates).unsound == 0
    assert 0.00008 < rates["rate"].mean() < 0.00012
    assert rates["rate"].abs().max() <= 0.003
    assert 0.02 < (rates["rate"] < 0).mean() < 0.2
    assert rates["rate"].autocorr() > 0.5


def test_funding_is_the_same_whatever_span_is_asked_for(demo):
    market = demo.market("BTCUSDT", "futures", "linear")
    start = 19_723 * DAY_MS
    whole = demo.read(market, "funding", start, start + 10 * DAY_MS)
    assert len(whole) == 30
    part = Demo().read(market, "funding", start + DAY_MS + 1, start + 2 * DAY_MS)
    assert part.equals(whole.iloc[4:6])
    inverse = demo.market("BTCUSD", "futures", "inverse")
    assert not demo.read(inverse, "funding", start, start + 10 * DAY_MS).equals(whole)


def test_mark_and_index_prices_follow_the_contract_closely_and_calmly(demo):
    market = demo.market("BTCUSDT", "futures", "linear")
    start = 19_723 * DAY_MS
    traded, mark, index = (
        demo.read(market, name, start, start + 30 * DAY_MS) for name in ("1h", "mark-1h", "index-1h")
    )
    assert times(traded).tolist() == times(mark).tolist() == times(index).tolist()
    for prices, most in ((mark, 0.0003), (index, 0.0006)):
        assert inspect_series("mark-1h", prices).unsound == 0
        assert (prices["volume"] == 0.0).all()
        apart = (prices["close"] / traded["close"] - 1.0).abs()
        assert 0.0 < apart.max() < most
        assert (np.log(prices["high"] / prices["low"])).sum() < (np.log(traded["high"] / traded["low"])).sum()
    spot = demo.read(demo.market("BTCUSDT", "spot", None), "1h", start, start + 30 * DAY_MS)
    assert (index["close"] / spot["close"] - 1.0).abs().max() < 1e-5


def test_the_volume_of_every_kind_of_contract_is_in_base(demo):
    """A perpetual of either kind trades four times the value of spot: about 8e9 USD a day at 60,000."""
    start = 19_723 * DAY_MS
    linear, inverse = (
        demo.read(demo.market(symbol, "futures", kind), "1d", start, start + 30 * DAY_MS)["volume"]
        for symbol, kind in (("BTCUSDT", "linear"), ("BTCUSD", "inverse"))
    )
    assert (inverse / linear).between(0.99, 1.01).all()
    assert 10_000 < inverse.median() < 1_000_000
