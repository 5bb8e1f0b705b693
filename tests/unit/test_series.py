"""Series that are no candles: names, frames, what is unsound or missing in them, and how two are joined."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert.bars import times
from metaexpert.errors import ConfigError, DataError
from metaexpert.series import (
    Kind,
    as_kind,
    build,
    columns_of,
    inspect_series,
    merge,
    name_of,
    parse_name,
    sanitize_funding,
    sanitize_trades,
)

HOUR = 3_600_000
START = 1_704_067_200_000
NAT = np.iinfo(np.int64).min


def rates(hours: list[float], values: list[float] | None = None) -> pd.DataFrame:
    time = START + np.array([int(hour * HOUR) for hour in hours], dtype=np.int64)
    return build(Kind.FUNDING, time, [np.full(len(hours), 1e-4) if values is None else np.array(values)])


def trades(rows: list[tuple[int, float, float, int]]) -> pd.DataFrame:
    """Trades of (ms after the start, price, quantity, side)."""
    time, price, qty, side = (np.array(column) for column in zip(*rows, strict=True))
    return build(Kind.TRADES, START + time.astype(np.int64), [price, qty, side])


@pytest.mark.parametrize("kind", list(Kind))
def test_every_series_has_a_name_that_tells_its_kind_and_timeframe(kind):
    timeframe = "4h" if kind.has_timeframe else None
    assert parse_name(name_of(kind, timeframe)) == (kind, timeframe)
    assert as_kind(kind.value) is kind


def test_names_are_those_of_the_files():
    assert [name_of("candles", "1h"), name_of("mark", "1h"), name_of("funding")] == ["1h", "mark-1h", "funding"]


@pytest.mark.parametrize("name", ["mark", "mark-", "mark-7m", "funding-1h", "trades-1h", "spot-1h", "", "1H"])
def test_what_names_no_series_is_refused(name):
    with pytest.raises(ConfigError, match="unknown timeframe"):
        parse_name(name)


def test_a_kind_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown kind 'fundings'; did you mean 'funding'"):
        as_kind("fundings")
    with pytest.raises(ConfigError, match="mark-price candles have a timeframe; say which"):
        name_of("mark")


def test_a_frame_has_the_columns_and_types_of_its_kind():
    frame = trades([(0, 100, 2, 1), (0, 101, 1, -1)])
    assert {name: frame[name].dtype.type for name in frame} == columns_of(Kind.TRADES)
    assert str(frame.index.dtype) == "datetime64[ms, UTC]"
    assert frame.index.name == "time"


def test_unsound_rates_are_left_out_counted_and_located():
    time = START + HOUR * np.array([8, 0, 16, 16, 24, 32])
    time[4] = NAT
    values = np.array([1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 1.0])
    clean, quality = sanitize_funding(time, values)
    assert times(clean).tolist() == [START, START + 8 * HOUR, START + 16 * HOUR]
    assert clean["rate"].tolist() == [2e-4, 1e-4, 4e-4]  # of two rates with one time the later row counts
    found = (quality.rows, quality.not_a_number, quality.impossible, quality.duplicates, quality.disordered)
    assert found == (3, 1, 1, 1, 1)
    assert quality.timeframe == "8h"
    assert set(quality.examples) == {
        ("disordered", START),
        ("duplicate", START + 16 * HOUR),
        ("impossible", START + 32 * HOUR),
    }


@pytest.mark.parametrize(
    ("hours", "gaps"),
    [
        ([0, 8, 16, 24], []),
        ([0, 8, 24, 32], [(16, 16, 1)]),
        ([0, 8, 40, 48], [(16, 32, 3)]),
        ([0, 8, 16, 20, 24, 28], []),  # the contract's interval was shortened
        ([0, 4, 8, 16, 24], []),  # and lengthened
        ([0, 4, 8, 16, 20, 24], [(12, 12, 1)]),  # longer than both its neighbours
        ([0, 1, 2, 4, 5], [(3, 3, 1)]),
        ([0, 16], [(8, 8, 1)]),  # no exchange waits longer than 8 hours
        ([0], []),
    ],
)
def test_missing_rates_are_told_from_changed_intervals(hours, gaps):
    expected = tuple((START + first * HOUR, START + last * HOUR, count) for first, last, count in gaps)
    assert inspect_series("funding", rates(hours)).gaps == expected


def test_unsound_trades_are_left_out_counted_and_located():
    time = START + np.array([5, 1, 1, 1, 9, 9])
    price = np.array([10.0, 11.0, 12.0, 12.0, 0.0, np.nan])
    clean, quality = sanitize_trades(time, price, np.ones(6), np.ones(6), ["a", "b", "c", "c", "d", "e"])
    assert clean["price"].tolist() == [11.0, 12.0, 10.0]  # by time, and as given within one time
    found = (quality.rows, quality.impossible, quality.not_a_number, quality.duplicates, quality.disordered)
    assert found == (3, 1, 1, 1, 1)
    assert ("duplicate", START + 1) in quality.examples


def test_trades_without_ids_may_be_alike():
    clean, quality = sanitize_trades(np.full(3, START), np.ones(3), np.ones(3), np.zeros(3))
    assert (len(clean), quality.duplicates, quality.gaps) == (3, 0, ())


def test_candles_are_inspected_as_their_name_says():
    ones = np.ones(3)
    frame = build(Kind.MARK, START + HOUR * np.array([0, 1, 4]), [ones, ones, ones, ones, ones])
    assert inspect_series("mark-1h", frame).missing == 2


def test_of_two_rates_with_one_time_the_new_one_is_kept():
    joined = merge(Kind.FUNDING, rates([0, 8], [1e-4, 2e-4]), rates([8, 16], [9e-4, 3e-4]))
    assert joined["rate"].tolist() == [1e-4, 9e-4, 3e-4]


moments = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([10.0, 11.0]), st.sampled_from([1.0, 2.0])), min_size=1
)


@given(rows=moments, cuts=st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_files_of_one_record_join_to_the_record_however_they_overlap(rows, cuts):
    whole = trades([(time, price, qty, 1) for time, price, qty in sorted(rows, key=lambda row: row[0])])
    low, high = sorted(cuts)
    parts = [
        whole[whole.index <= whole.index[0].floor("s") + pd.Timedelta(high, "ms")],
        whole[times(whole) >= START + low],
    ]
    parts = [part for part in parts if len(part)]
    joined = parts[0]
    for part in [*parts[1:], *parts]:
        joined = merge(Kind.TRADES, joined, part)
    pd.testing.assert_frame_equal(joined, whole)


def test_files_cut_within_a_millisecond_join_whole():
    first = trades([(0, 10, 1, 1), (5, 11, 1, 1), (5, 12, 1, 1)])
    second = trades([(5, 13, 1, 1), (9, 14, 1, 1)])
    for joined in (merge(Kind.TRADES, first, second), merge(Kind.TRADES, second, first)):
        assert sorted(joined["price"]) == [10, 11, 12, 13, 14]
        assert times(joined).tolist() == [START, START + 5, START + 5, START + 5, START + 9]


def test_a_gap_between_stored_trades_is_filled():
    stored = trades([(0, 10, 1, 1), (9, 14, 1, 1)])
    joined = merge(Kind.TRADES, stored, trades([(3, 11, 1, 1), (4, 12, 1, 1)]))
    assert joined["price"].tolist() == [10, 11, 12, 14]


def test_aggregated_and_single_trades_are_not_mixed():
    single = trades([(0, 10, 1, 1), (5, 10, 1, 1), (5, 10, 2, 1), (9, 10, 1, 1)])
    aggregated = trades([(0, 10, 1, 1), (5, 10, 3, 1), (9, 10, 1, 1)])
    with pytest.raises(
        DataError, match=r"at 2024-01-01 00:00:00.005 there are 2 trades in the store and 1 in the file"
    ):
        merge(Kind.TRADES, single, aggregated)
