"""Timeframes: names, lengths, and where their bars open and close."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert.errors import ConfigError
from metaexpert.timeframe import DAY_MS, TIMEFRAMES, floor, next_close, parse, timeframe_of

lengths = st.sampled_from(sorted(TIMEFRAMES.values()))
times = st.integers(min_value=-(10**12), max_value=4 * 10**12)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(("name", "length"), list(TIMEFRAMES.items()))
def test_a_name_and_its_length_give_each_other(name, length):
    assert parse(name) == length
    assert timeframe_of(length) == name


def test_lengths_are_what_the_names_say():
    minutes = {"m": 1, "h": 60, "d": 1440, "w": 10080}
    assert {name: int(name[:-1]) * minutes[name[-1]] * 60_000 for name in TIMEFRAMES} == TIMEFRAMES


def test_timeframes_are_listed_shortest_first():
    assert list(TIMEFRAMES.values()) == sorted(TIMEFRAMES.values())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("60m", "1h"),
        ("1H", "1h"),
        ("24h", "1d"),
        ("1D", "1d"),
        ("7d", "1w"),
        ("15min", "15m"),
        (" 1h", "1h"),
        ("1440m", "1d"),
    ],
)
def test_another_spelling_is_refused_with_the_right_one(text, meant):
    with pytest.raises(ConfigError, match=rf"^unknown timeframe {text!r}; did you mean '{meant}'\?$"):
        parse(text)


@pytest.mark.parametrize("text", ["10m", "45m", "1M", "1y", "0m", "h", "1", "", "1.5h", "-1h", "1h1h", "tick"])
def test_what_is_no_timeframe_is_refused_and_never_rounded(text):
    with pytest.raises(ConfigError, match=r"use one of 1m, 3m, .*, 1w$") as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 600_000, 30 * DAY_MS, -60_000])
def test_a_length_without_a_name_is_refused(length):
    with pytest.raises(ConfigError, match=f"no timeframe is {length} ms long; use one of 1m"):
        timeframe_of(length)


@pytest.mark.parametrize(
    ("time", "name", "opens", "closes"),
    [
        ("2024-02-29 23:59:59", "1m", "2024-02-29 23:59:00", "2024-03-01 00:00:00"),
        ("2024-01-01 13:37:00", "4h", "2024-01-01 12:00:00", "2024-01-01 16:00:00"),
        ("2024-01-01 00:00:00", "1d", "2024-01-01 00:00:00", "2024-01-02 00:00:00"),
        ("2024-01-07 23:59:59", "1w", "2024-01-01 00:00:00", "2024-01-08 00:00:00"),
        ("2024-01-08 00:00:00", "1w", "2024-01-08 00:00:00", "2024-01-15 00:00:00"),
        ("1970-01-04 12:00:00", "1w", "1969-12-29 00:00:00", "1970-01-05 00:00:00"),
    ],
)
def test_bars_open_on_the_utc_grid_and_weeks_on_mondays(time, name, opens, closes):
    assert floor(ms(time), parse(name)) == ms(opens)
    assert next_close(ms(time), parse(name)) == ms(closes)


@given(time=times, length=lengths)
def test_a_bar_covers_the_moment_it_was_found_for(time, length):
    assert floor(time, length) <= time < next_close(time, length)
    assert next_close(time, length) - floor(time, length) == length


@given(time=times, length=lengths)
def test_an_open_time_is_its_own_floor(time, length):
    assert floor(floor(time, length), length) == floor(time, length)


@given(time=times, length=lengths)
def test_bars_tile_the_time_without_gap(time, length):
    assert floor(next_close(time, length), length) == next_close(time, length)
    assert floor(floor(time, length) - 1, length) == floor(time, length) - length


def test_a_month_is_not_taken_for_a_minute() -> None:
    for text in ("1M", "1mo", "1month"):
        with pytest.raises(ConfigError, match="use one of 1m, 3m"):
            parse(text)
