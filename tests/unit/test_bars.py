"""Candles: the schema, moments, resampling and what is found unsound."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaexpert.bars import COLUMNS, empty, frame, inspect, resample, sanitize, times, to_ms
from metaexpert.errors import ConfigError, DataError
from metaexpert.timeframe import DAY_MS, TIMEFRAMES, floor

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = 60_000
HOUR = 3_600_000
START = 1_704_067_200_000  # 2024-01-01, a Monday


def walk(count: int, step: int = MINUTE, start: int = START, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 100.0 + rng.integers(-9, 10, count).cumsum() * 0.01
    open_ = np.concatenate(([100.0], close[:-1]))
    top = np.maximum(open_, close) + rng.integers(0, 5, count) * 0.01
    bottom = np.minimum(open_, close) - rng.integers(0, 5, count) * 0.01
    opens = start + step * np.arange(count, dtype=np.int64)
    return frame(opens, (open_, top, bottom, close, rng.integers(0, 99, count).astype(float)))


def rows(*values: tuple[float, ...]) -> pd.DataFrame:
    """(time, open, high, low, close, volume) each."""
    table = np.array(values, dtype=float)
    return frame(table[:, 0].astype(np.int64), [table[:, at] for at in range(1, 6)])


def test_the_schema_is_utc_milliseconds_and_floats():
    candles = empty()
    assert str(candles.index.dtype) == "datetime64[ms, UTC]"
    assert candles.index.name == "time"
    assert tuple(candles.columns) == COLUMNS
    assert set(candles.dtypes) == {np.dtype("float64")}
    assert times(walk(3)).tolist() == [START, START + MINUTE, START + 2 * MINUTE]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-01", START),
        ("20240101", START),
        ("2024", START),
        ("2024-01", START),
        ("2024-01-01T00:00:00Z", START),
        ("2024-01-01 01:00+01:00", START),
        ("2024-01-01 00:00:00.5", START + 500),
        ("1704067200000", START),
        (START, START),
        (np.int64(START), START),
        (date(2024, 1, 1), START),
        (datetime(2024, 1, 1), START),  # noqa: DTZ001 - naive on purpose
        (datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), START),
        (pd.Timestamp("2024-01-01", tz="UTC"), START),
        (pd.Timestamp("2024-01-01"), START),
    ],
)
def test_moments_are_read_as_utc_unless_they_carry_a_zone(value, expected):
    assert to_ms(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-01", "2024-01-02"),
        (date(2024, 1, 1), "2024-01-02"),
        ("2024-12", "2025-01"),
        ("2024-02", "2024-03-01"),
        ("2024", "2025"),
        ("2024-01-01 12:00", "2024-01-01 12:00"),
        (datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01"),
        (START, "2024-01-01"),
    ],
)
def test_a_date_alone_as_the_end_includes_that_day(value, expected):
    assert to_ms(value, end=True) == to_ms(expected)


@pytest.mark.parametrize(
    "value", ["", "yesterday", "2024-13", "2024-13-01", "01.02.2024", True, None, 1.5, pd.NaT, "0000"]
)
def test_what_is_no_moment_is_refused_with_the_right_form(value):
    with pytest.raises(ConfigError, match="write 2024-01-31"):
        to_ms(value)


def test_resampling_takes_first_highest_lowest_last_and_sum():
    candles = rows(
        (START, 10, 12, 9, 11, 1),
        (START + HOUR, 11, 15, 10, 14, 2),
        (START + 2 * HOUR, 14, 14, 8, 9, 3),
        (START + 3 * HOUR, 9, 10, 9, 10, 4),
        (START + 4 * HOUR, 10, 11, 10, 11, 5),
    )
    four = resample(candles, "4h", source="1h")
    assert times(four).tolist() == [START]
    assert four.iloc[0].tolist() == [10, 15, 8, 10, 10]


def test_a_span_without_bars_gives_no_row_and_an_incomplete_last_one_is_left_out():
    candles = walk(600).drop(walk(600).index[60:120])
    hours = resample(candles.iloc[:-1], "1h", source="1m")
    assert times(hours).tolist() == [START + h * HOUR for h in (0, 2, 3, 4, 5, 6, 7, 8)]


def test_a_known_end_completes_a_bar_whose_last_minutes_are_missing():
    candles = walk(50)
    assert resample(candles, "1h", source="1m").empty
    assert len(resample(candles, "1h", source="1m", until=START + HOUR)) == 1


def test_weeks_open_on_mondays():
    weeks = resample(walk(30, DAY_MS, START - 3 * DAY_MS), "1w", source="1d")
    assert weeks.index.day_name().unique().tolist() == ["Monday"]
    assert len(weeks) == 4


@pytest.mark.parametrize(("timeframe", "source"), [("1m", "1h"), ("1w", "3d"), ("12h", "8h"), ("4h", "3d")])
def test_a_timeframe_that_the_source_does_not_divide_is_refused(timeframe, source):
    with pytest.raises(ConfigError, match=f"{timeframe} candles can't be made from {source} ones"):
        resample(walk(3, TIMEFRAMES[source]), timeframe, source=source)


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(1, 3000),
    seed=st.integers(0, 99),
    missing=st.integers(0, 40),
    steps=st.sampled_from(
        [("5m", "15m"), ("15m", "1h"), ("3m", "15m"), ("1h", "4h"), ("30m", "1d"), ("1h", "1d")]
    ),
)
def test_resampling_twice_equals_resampling_once(count, seed, missing, steps):
    """Told up to when the candles are known; a middle bar that is missing at the end can't tell it (see below)."""
    rng = np.random.default_rng(seed)
    candles = walk(count, seed=seed)
    candles = candles[np.isin(np.arange(count), rng.integers(0, count, missing), invert=True)]
    middle, last = steps
    known = int(times(candles)[-1]) + MINUTE if len(candles) else START
    once = resample(candles, last, source="1m", until=known)
    twice = resample(resample(candles, middle, source="1m", until=known), last, source=middle, until=known)
    assert all(times(once) + TIMEFRAMES[last] <= known)
    pd.testing.assert_frame_equal(once, twice)
    if len(candles):
        pd.testing.assert_frame_equal(resample(candles, last, source="1m"), once)
    pd.testing.assert_frame_equal(resample(once, last, source=last), once)


def test_a_gap_at_the_end_hides_from_coarser_bars_up_to_when_they_are_known():
    """Minutes 0 and 16: the quarter of minute 0 is over, but of the five-minute bars only the first is there."""
    candles = walk(17).iloc[[0, 16]]
    middle = resample(candles, "5m", source="1m")
    assert times(middle).tolist() == [START]
    assert times(resample(candles, "15m", source="1m")).tolist() == [START]
    assert resample(middle, "15m", source="5m").empty
    assert times(resample(middle, "15m", source="5m", until=START + 17 * MINUTE)).tolist() == [START]


@settings(deadline=None, max_examples=30)
@given(count=st.integers(1, 2000), timeframe=st.sampled_from(["5m", "1h", "4h", "1d"]), seed=st.integers(0, 9))
def test_resampling_agrees_with_pandas(count, timeframe, seed):
    candles = walk(count, seed=seed)
    rule = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    pandas_rule = timeframe.replace("m", "min").replace("d", "D")
    theirs = candles.resample(pandas_rule).agg(rule)
    theirs = theirs[times(theirs) + TIMEFRAMES[timeframe] <= START + count * MINUTE]
    pd.testing.assert_frame_equal(resample(candles, timeframe, source="1m"), theirs, check_freq=False)


def oracle(folder: Path, timeframe: str) -> pd.DataFrame:
    with (folder / f"ETHBTC_{timeframe}.csv").open() as file:
        table = np.array([[float(cell) for cell in row] for row in list(csv.reader(file))[1:]])
    return frame(table[:, 0].astype(np.int64), [table[:, at] for at in range(1, 6)])


@pytest.mark.shared
@pytest.mark.parametrize(
    ("source", "timeframe"),
    [("1m", "5m"), ("1m", "15m"), ("1m", "1h"), ("5m", "15m"), ("15m", "4h"), ("1h", "4h")],
)
def test_resampling_gives_the_exchange_s_own_candles(shared, source, timeframe):
    folder = shared / "data/ohlcv/binance_spot_ETHBTC_multi_tf"
    fine, theirs = oracle(folder, source).iloc[:-1], oracle(folder, timeframe)
    ours = resample(fine, timeframe, source=source)
    ours = ours[times(ours) >= floor(int(times(fine)[0]) - 1, TIMEFRAMES[timeframe]) + TIMEFRAMES[timeframe]]
    same = theirs.loc[theirs.index.isin(ours.index)]
    assert len(same) >= 7
    pd.testing.assert_frame_equal(ours.loc[same.index], same, rtol=1e-12)


def test_a_clean_series_is_returned_as_it_is():
    candles = walk(100)
    clean, quality = sanitize(candles, "1m", source="a.csv")
    pd.testing.assert_frame_equal(clean, candles)
    assert (quality.rows, quality.start, quality.end) == (100, START, START + 99 * MINUTE)
    assert (quality.unsound, quality.gaps, quality.coverage, quality.source) == (0, (), 1.0, "a.csv")


def test_each_fault_is_counted_and_located_and_nothing_else_is_dropped():
    good = [(START + at * HOUR, 10.0, 12.0, 9.0, 11.0, float(at)) for at in range(10)]
    impossible = (START + 10 * HOUR, 10.0, 9.5, 9.0, 9.2, 1.0)
    negative = (START + 11 * HOUR, -1.0, 12.0, -2.0, 11.0, 1.0)
    no_number = (START + 12 * HOUR, 10.0, np.nan, 9.0, 11.0, 1.0)
    infinite = (START + 13 * HOUR, 10.0, np.inf, 9.0, 11.0, 1.0)
    off_grid = (START + 14 * HOUR + 7, 10.0, 12.0, 9.0, 11.0, 1.0)
    again = (START + 3 * HOUR, 10.0, 13.0, 9.0, 12.5, 9.0)
    raw = rows(
        *good, impossible, negative, no_number, infinite, off_grid, again, (START + 20 * HOUR, *good[0][1:])
    )
    clean, quality = sanitize(raw)
    assert len(clean) == quality.rows == 11
    assert quality.impossible == 2
    assert quality.not_a_number == 2
    assert quality.misaligned == 1
    assert quality.duplicates == 1
    assert quality.disordered == 1
    assert quality.zero_volume == 2
    assert quality.timeframe == "1h"
    assert quality.gaps == ((START + 10 * HOUR, START + 19 * HOUR, 10),)
    assert quality.missing == 10
    assert clean.loc[pd.Timestamp(again[0], unit="ms", tz="UTC"), "close"] == 12.5
    assert set(quality.examples) == {
        ("impossible", impossible[0]),
        ("impossible", negative[0]),
        ("not_a_number", no_number[0]),
        ("not_a_number", infinite[0]),
        ("misaligned", off_grid[0]),
        ("duplicate", again[0]),
        ("disordered", again[0]),
    }
    assert (
        len(raw)
        == quality.rows + quality.impossible + quality.not_a_number + quality.misaligned + quality.duplicates
    )


def test_a_sound_row_wins_over_an_unsound_one_of_the_same_time():
    raw = rows((START, 10, 12, 9, 11, 1), (START, 10, 5, 9, 11, 2), (START + HOUR, 10, 12, 9, 11, 1))
    clean, quality = sanitize(raw, "1h")
    assert clean["volume"].tolist() == [1.0, 1.0]
    assert (quality.duplicates, quality.impossible) == (0, 1)


def test_a_missing_time_is_not_a_number():
    raw = walk(5)
    raw.index = pd.DatetimeIndex([*raw.index[:2], pd.NaT, *raw.index[3:]])
    clean, quality = sanitize(raw, "1m")
    assert len(clean) == 4
    assert quality.not_a_number == 1
    assert quality.gaps == ((START + 2 * MINUTE, START + 2 * MINUTE, 1),)


@settings(deadline=None, max_examples=50)
@given(order=st.permutations(range(30)), repeated=st.lists(st.integers(0, 29), max_size=10))
def test_order_and_repetition_never_change_the_sound_candles(order, repeated):
    candles = walk(30)
    clean, quality = sanitize(candles.iloc[[*order, *repeated]], "1m")
    pd.testing.assert_frame_equal(clean, candles)
    assert quality.duplicates == len(repeated)


def test_weeks_that_do_not_open_on_monday_are_misaligned():
    assert inspect(walk(5, 7 * DAY_MS), "1w").misaligned == 0
    assert inspect(walk(5, 7 * DAY_MS, START + DAY_MS), "1w").misaligned == 5


def test_the_timeframe_must_fit_the_candles():
    with pytest.raises(DataError, match=r"0:01:00 apart: they are not 1h candles"):
        sanitize(walk(50), "1h")
    with pytest.raises(DataError, match="no timeframe we know"):
        sanitize(walk(50, 7 * MINUTE))
    with pytest.raises(DataError, match=r"1 sound candle\(s\) don't tell the timeframe"):
        sanitize(walk(1))
    assert sanitize(walk(1), "1h")[1].rows == 1
    assert sanitize(empty(), "1h")[1].coverage == 0.0


def test_a_million_rows_are_inspected_and_resampled():
    candles = walk(1_000_000)
    assert inspect(candles, "1m").rows == 1_000_000
    assert len(resample(candles, "1h", source="1m")) == 1_000_000 // 60
