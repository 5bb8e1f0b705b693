"""Bars of trades: by hand, one by one as all at once, and as an exchange builds them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert import BarBuilder
from metaexpert.bars import COLUMNS, times
from metaexpert.errors import ConfigError, DataError
from metaexpert.events import PublicTrade
from metaexpert.models import Bar
from metaexpert.timeframe import duration

SECOND, MINUTE = 1_000, 60_000


def trade(second: float, price: float, qty: float = 1.0) -> PublicTrade:
    return PublicTrade(round(second * SECOND), "A", "", price, qty, 1)


TRADES = [trade(0, 100.0), trade(4, 102.0, 2.0), trade(9.999, 98.0), trade(10, 101.0), trade(31, 99.0, 3.0)]


def rows(frame: pd.DataFrame) -> list[tuple[float, ...]]:
    return [(time, *values) for time, values in zip(times(frame).tolist(), frame.to_numpy().tolist(), strict=True)]


def streamed(builder: BarBuilder, trades: list[PublicTrade], until: int | None = None) -> list[Bar]:
    bars = [bar for one in trades for bar in builder.add(one)]
    return bars if until is None else bars + builder.close(until)


@pytest.mark.parametrize(
    ("by", "bars"),
    [
        # [0, 10): open 100, high 102, low 98, close 98, 1 + 2 + 1; [10, 20): 101 alone; that of 31 has not ended
        ("10s", [(0, 100.0, 102.0, 98.0, 98.0, 4.0), (10_000, 101.0, 101.0, 101.0, 101.0, 1.0)]),
        ("2 ticks", [(0, 100.0, 102.0, 100.0, 102.0, 3.0), (9_999, 98.0, 101.0, 98.0, 101.0, 2.0)]),
        # 1 + 2 = 3 reaches 3; 1 + 1 + 3 = 5 does, and is not split
        ("3 volume", [(0, 100.0, 102.0, 100.0, 102.0, 3.0), (9_999, 98.0, 101.0, 98.0, 99.0, 5.0)]),
        # 100 + 204 = 304 reaches 300; 98 + 101 + 297 = 496 does
        ("300 value", [(0, 100.0, 102.0, 100.0, 102.0, 3.0), (9_999, 98.0, 101.0, 98.0, 99.0, 5.0)]),
        ("1m", []),
    ],
)
def test_bars_by_hand(by, bars):
    assert rows(BarBuilder(by).build(TRADES)) == bars
    assert streamed(BarBuilder(by, "A"), TRADES) == [(time, "A", by, *values) for time, *values in bars]


def test_an_interval_without_trades_has_a_flat_bar_where_that_is_wanted():
    """Nothing in [20, 30): all prices 101, the last close; nothing before the first trade."""
    builder = BarBuilder("10s", "A", fill="previous")
    assert rows(builder.build(TRADES))[2:] == [(20_000, 101.0, 101.0, 101.0, 101.0, 0.0)]
    assert streamed(builder, TRADES)[2:] == [(20_000, "A", "10s", 101.0, 101.0, 101.0, 101.0, 0.0)]
    assert builder.running == (30_000, "A", "10s", 99.0, 99.0, 99.0, 99.0, 3.0)
    assert [bar.time for bar in builder.close(55 * SECOND)] == [30_000, 40_000]
    assert builder.running is None
    assert BarBuilder("10s", fill="previous").close(55 * SECOND) == []


def test_time_that_passes_ends_bars_of_time_alone():
    """At 40 s the bar of [30, 40) has ended; one of trades goes on."""
    builder = BarBuilder("10s")
    streamed(builder, TRADES)
    assert builder.close(39_999) == []
    assert [bar.time for bar in builder.close(40_000)] == [30_000]
    ticks = BarBuilder("2 ticks")
    streamed(ticks, TRADES)
    assert ticks.close(10**9) == []
    assert ticks.running.close == 99.0


def test_volume_of_inverse_contracts_is_in_base():
    """200 USD at 100 are 2 of the base, 306 USD at 102 are 3; by value they are 506."""
    trades = [trade(0, 100.0, 200.0), trade(1, 102.0, 306.0)]
    expected = [(0, 100.0, 102.0, 100.0, 102.0, 5.0)]
    assert rows(BarBuilder("5 volume", inverse=True).build(trades)) == expected
    assert rows(BarBuilder("506 value", inverse=True).build(trades)) == expected
    assert rows(BarBuilder("507 value", inverse=True).build(trades)) == []


@pytest.mark.parametrize("text", ["10", "0s", "1.5m", "ten", "10 S", "", "-1m"])
def test_what_is_no_length_is_refused(text):
    with pytest.raises(ConfigError, match="unknown length of bars"):
        BarBuilder(text)


@pytest.mark.parametrize(
    ("by", "options", "message"),
    [
        ("100 tick", {}, "did you mean 'ticks'"),
        ("1.5 ticks", {}, "whole number above zero"),
        ("0 volume", {}, "a number above zero"),
        ("1m", {"fill": "previus"}, "did you mean 'previous'"),
        ("9 ticks", {"fill": "previous"}, "bars of ticks have no empty ones"),
    ],
)
def test_what_makes_no_sense_is_refused(by, options, message):
    with pytest.raises(ConfigError, match=message):
        BarBuilder(by, **options)


@pytest.mark.parametrize("bad", [trade(3, 100.0), trade(9, 0.0), trade(9, float("nan")), trade(9, 1.0, -1.0)])
def test_trades_out_of_order_and_impossible_ones_change_nothing(bad):
    builder = BarBuilder("10s")
    streamed(builder, TRADES[:2])
    before = builder.running
    with pytest.raises(DataError):
        builder.add(bad)
    assert builder.running == before
    with pytest.raises(DataError):
        BarBuilder("10s").build([*TRADES[:2], bad])


def test_a_trade_of_a_bar_that_was_closed_is_refused():
    builder = BarBuilder("10s")
    builder.add(trade(3, 100.0))
    builder.close(10 * SECOND)
    with pytest.raises(DataError, match="after its bar"):
        builder.add(trade(9, 100.0))


def test_a_gap_that_needs_too_many_bars_is_refused():
    """A time in microseconds by mistake."""
    with pytest.raises(DataError, match="look at the times"):
        BarBuilder("1s", fill="previous").build([trade(1, 1.0), trade(1_704_067_200, 1.0)])


def test_lengths_of_any_number():
    assert [duration(text) for text in ("10s", "7m", "1h", "36h", "3d", "1w")] == [
        10_000, 420_000, 3_600_000, 129_600_000, 259_200_000, 604_800_000,
    ]  # fmt: skip


@given(
    steps=st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 50), st.integers(0, 9)), max_size=60),
    by=st.sampled_from(["1s", "7s", "1m", "1w", "1 ticks", "3 ticks", "2.5 volume", "120 value"]),
    fill=st.booleans(),
    inverse=st.booleans(),
    later=st.integers(0, 100_000),
)
def test_one_by_one_gives_what_all_at_once_gives(steps, by, fill, inverse, later):
    """To the last bit, whatever the trades are; the sum of the volumes is that of the trades."""
    time, trades = 1_704_067_200_000, []
    for step, price, qty in steps:
        time += step
        trades.append(PublicTrade(time, "A", "", price * 1.1, qty * 0.1, 0))
    options = {"fill": "previous"} if fill and by[-1] in "smw" and " " not in by else {}
    builder = BarBuilder(by, "A", inverse=inverse, **options)
    until = time + later
    bars = streamed(builder, trades, until)
    index = pd.DatetimeIndex(np.array([one.time for one in trades], dtype="datetime64[ms]"), name="time")
    frame = pd.DataFrame(
        {"price": [one.price for one in trades], "qty": [one.qty for one in trades]},
        index=index.tz_localize("UTC"), dtype=np.float64,
    )  # fmt: skip
    for given_trades in (trades, frame):
        made = builder.build(given_trades, until=until)
        assert list(made.columns) == list(COLUMNS)
        assert [bar[:1] + bar[3:] for bar in bars] == rows(made)
    rest = [] if builder.running is None else [builder.running]
    total = sum(one.qty / one.price if inverse else one.qty for one in trades)
    assert sum(bar.volume for bar in [*bars, *rest]) == pytest.approx(total)


@pytest.mark.shared
@pytest.mark.parametrize("timeframe", ["1m", "5m"])
def test_bars_of_recorded_trades_equal_the_candles_beside_them(shared, timeframe):
    """All of them, built by another implementation."""
    raw = pd.read_csv(shared / "data/trades/binance_spot_XRPETH_aggtrades_2019-10-11_2019-10-13.csv.gz")
    trades = pd.DataFrame(
        {"price": raw["price"].to_numpy(), "qty": raw["amount"].to_numpy()},
        index=pd.to_datetime(raw["timestamp"], unit="ms", utc=True).rename("time"),
    )
    theirs = pd.read_csv(shared / f"data/ohlcv/binance_spot_XRPETH/XRPETH-{timeframe}-2019-10-11.csv")
    ours = BarBuilder(timeframe).build(trades, until=int(theirs["timestamp"].iloc[-1]) + duration(timeframe))
    assert len(ours) > 700
    assert list(times(ours)) == list(theirs["timestamp"])
    np.testing.assert_array_equal(ours[list(COLUMNS[:4])], theirs[list(COLUMNS[:4])])
    np.testing.assert_allclose(ours["volume"], theirs["volume"], rtol=1e-12)
