"""The feed: what is delivered when (rules 1 to 3), and that nothing later can be seen before."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert import bars as candles_
from metaexpert.errors import StrategyError
from metaexpert.feed import HistoryFeed, Series
from metaexpert.timeframe import DAY_MS, parse

HOUR = 3_600_000
MONDAY = 1_704_067_200_000  # 2024-01-01 00:00 UTC


def candles(opens: list[int]) -> pd.DataFrame:
    """One candle at each open time, its prices telling its place: open n, high n + 1, low n - 1, close n + 0.5."""
    n = np.arange(10.0, 10.0 + len(opens))
    return candles_.frame(np.array(opens, dtype=np.int64), [n, n + 1.0, n - 1.0, n + 0.5, n * 100.0])


def hours(*numbers: int) -> list[int]:
    return [MONDAY + number * HOUR for number in numbers]


def series(symbol: str, timeframe: str, opens: list[int], first: int = 0) -> Series:
    return Series(symbol, timeframe, candles(opens), first)


def said(feed: HistoryFeed) -> list[tuple[int, list[str], list[str]]]:
    """Each step in hours after Monday, what is matched (with its open hour) and delivered (with its index)."""
    steps: list[tuple[int, list[str], list[str]]] = []
    for step in feed:
        matched = [f"{bar.symbol} {bar.timeframe} {(bar.time - MONDAY) // HOUR}" for bar in step.matched]
        delivered = [f"{one.symbol} {one.timeframe} {index}" for one, index in step.delivered]
        steps.append(((step.time - MONDAY) // HOUR, matched, delivered))
    return steps


# --- rules 1 to 3: order of delivery ------------------------------------------------------------------------


def test_a_bar_is_delivered_at_its_close():
    """The bar of 00:00 comes at 01:00."""
    assert said(HistoryFeed([series("A", "1h", hours(0, 1))], MONDAY)) == [
        (1, ["A 1h 0"], ["A 1h 0"]),
        (2, ["A 1h 1"], ["A 1h 1"]),
    ]


def test_shorter_timeframes_come_first_then_symbols_as_declared():
    """At 04:00 both symbols close 1h and 4h: first the two 1h, then the two 4h; B was declared before A."""
    feed = HistoryFeed(
        [
            series("B", "4h", hours(0)),
            series("B", "1h", hours(0, 1, 2, 3)),
            series("A", "1h", hours(0, 1, 2, 3)),
            series("A", "4h", hours(0)),
        ],
        MONDAY,
    )
    steps = said(feed)
    assert [time for time, _, _ in steps] == [1, 2, 3, 4]
    assert steps[0] == (1, ["B 1h 0", "A 1h 0"], ["B 1h 0", "A 1h 0"])
    assert steps[3] == (4, ["B 1h 3", "A 1h 3"], ["B 1h 3", "A 1h 3", "B 4h 0", "A 4h 0"])


def test_orders_trade_in_the_shortest_timeframe_of_their_symbol():
    """B has no 1h bars: its 4h bars are matched."""
    feed = HistoryFeed(
        [series("A", "4h", hours(0)), series("A", "1h", hours(3)), series("B", "4h", hours(0))], MONDAY
    )
    assert (feed.matching("A").timeframe, feed.matching("B").timeframe) == ("1h", "4h")
    assert feed.steps == 1
    assert said(feed) == [(4, ["A 1h 3", "B 4h 0"], ["A 1h 0", "A 4h 0", "B 4h 0"])]


def test_gaps_give_no_steps():
    """A missing hour is not made up, and a longer bar closes on time although its last hour is missing."""
    feed = HistoryFeed([series("A", "1h", hours(0, 2, 4)), series("A", "4h", hours(0))], MONDAY)
    assert said(feed) == [
        (1, ["A 1h 0"], ["A 1h 0"]),
        (3, ["A 1h 2"], ["A 1h 1"]),
        (4, [], ["A 4h 0"]),
        (5, ["A 1h 4"], ["A 1h 2"]),
    ]


def test_weeks_close_on_mondays():
    """A week opened on Monday closes on the next, after the day and the hour that end with it."""
    last = 7 * 24 - 1
    feed = HistoryFeed(
        [
            series("A", "1w", [MONDAY]),
            series("A", "1d", [MONDAY + day * DAY_MS for day in range(7)]),
            series("A", "1h", hours(*range(7 * 24))),
        ],
        MONDAY,
    )
    steps = said(feed)
    assert len(steps) == feed.steps == 7 * 24
    assert steps[-1] == (7 * 24, [f"A 1h {last}"], [f"A 1h {last}", "A 1d 6", "A 1w 0"])
    assert not any("1w" in each for _, _, delivered in steps[:-1] for each in delivered)


def test_symbols_of_different_spans():
    """One ends before the other begins, with an hour in common."""
    feed = HistoryFeed([series("A", "1h", hours(0, 1)), series("B", "1h", hours(1, 5))], MONDAY)
    assert said(feed) == [
        (1, ["A 1h 0"], ["A 1h 0"]),
        (2, ["A 1h 1", "B 1h 1"], ["A 1h 1", "B 1h 0"]),
        (6, ["B 1h 5"], ["B 1h 1"]),
    ]
    assert feed.steps == 3


def test_nothing_that_closed_by_the_start_is_delivered():
    """Rule: the run begins at the start; what closed then is history."""
    feed = HistoryFeed([series("A", "1h", hours(0, 1, 2))], MONDAY + HOUR)
    assert [time for time, _, _ in said(feed)] == [2, 3]


def test_an_empty_feed_has_no_steps():
    """No bars at all, or all of them history."""
    assert list(HistoryFeed([], MONDAY)) == []
    assert HistoryFeed([], MONDAY).steps == 0
    only_history = HistoryFeed([series("A", "1h", hours(0, 1), first=2)], MONDAY + 2 * HOUR)
    assert list(only_history) == []
    assert only_history.steps == 0


def test_bars_are_the_candles_in_order():
    """Each value in its place, as plain numbers."""
    one = series("A", "1h", hours(0, 1))
    assert one.bar(1) == (MONDAY + HOUR, "A", "1h", 11.0, 12.0, 10.0, 11.5, 1_100.0)
    assert [type(value) for value in one.bar(1)] == [int, str, str, *[float] * 5]
    assert len(one) == 2


# --- rule 2: nothing later is seen --------------------------------------------------------------------------


def test_history_before_the_span_is_known_from_the_start():
    """Two bars of warm-up: known, never delivered."""
    one = series("A", "1h", hours(0, 1, 2, 3), first=2)
    assert one.known == 2
    feed = HistoryFeed([one], MONDAY + 2 * HOUR)
    assert one.known == 2
    assert one.last() == one.bar(1)
    assert list(one.rates()["open"]) == [10.0, 11.0]
    assert said(feed) == [(3, ["A 1h 2"], ["A 1h 2"]), (4, ["A 1h 3"], ["A 1h 3"])]


def test_before_the_first_bar_nothing_is_known():
    """No last bar, no rates, no values."""
    one = series("A", "1h", hours(0, 1))
    HistoryFeed([one], MONDAY)
    assert (one.known, one.last(), len(one.rates())) == (0, None, 0)
    average = one.indicator("sma", length=2)
    assert len(average) == 0
    with pytest.raises(IndexError):
        average[-1]


def test_the_history_of_a_symbol_that_begins_later_is_not_known_earlier():
    """B's warm-up lies a hundred hours ahead of the start: at the start nothing of B is known."""
    early = series("A", "1h", hours(0, 1))
    late = series("B", "1h", hours(*range(100, 110)), first=5)
    feed = HistoryFeed([early, late], MONDAY)
    assert (late.known, late.last(), len(late.rates())) == (0, None, 0)
    for step in feed:
        for one, index in step.delivered:
            one.cursor.i = index
        assert all(one.times[one.known - 1] + HOUR <= step.time for one in (early, late) if one.known)
    assert late.known == 10


def test_rates_end_at_the_cursor():
    """Whatever is asked for; fewer where there are fewer."""
    one = series("A", "1h", hours(0, 1, 2, 3, 4))
    HistoryFeed([one], MONDAY)
    one.cursor.i = 0
    assert one.last() == one.bar(0)
    one.cursor.i = 2
    assert list(one.rates()["open"]) == [10.0, 11.0, 12.0]
    assert list(one.rates(2)["open"]) == [11.0, 12.0]
    assert list(one.rates(100)["open"]) == [10.0, 11.0, 12.0]
    assert one.rates(1).index[0] == pd.Timestamp(MONDAY + 2 * HOUR, unit="ms", tz="UTC")


@pytest.mark.parametrize("count", [0, -1])
def test_rates_of_no_bars_are_refused(count):
    """A count below 1 is a mistake of the expert's."""
    with pytest.raises(StrategyError, match="count must be at least 1"):
        series("A", "1h", hours(0, 1)).rates(count)


def test_writing_to_rates_changes_nothing_else():
    """The frame is the expert's own, columns and values."""
    one = series("A", "1h", hours(0, 1, 2))
    one.cursor.i = 2
    mine = one.rates(2)
    mine.loc[mine.index[-1], "close"] = -1.0
    mine["mine"] = 1.0
    assert list(one.candles.columns) == list(candles_.COLUMNS)
    assert one.candles["close"].iloc[-1] == one.bar(2).close == 12.5


def test_indicators_follow_the_cursor():
    """The same object at every bar; a value is there once its bar has closed."""
    one = series("A", "1h", hours(0, 1, 2, 3))
    feed = HistoryFeed([one], MONDAY)
    average = one.indicator("sma", length=2)
    assert one.indicator("SMA", length=2) is average
    assert one.indicator("sma", length=3) is not average
    seen = []
    for step in feed:
        ((_, index),) = step.delivered
        one.cursor.i = index
        seen.append(float(average))
        with pytest.raises(IndexError):
            average[index + 1]
        assert len(average) == len(average.values) == index + 1
    assert math.isnan(seen[0])
    assert seen[1:] == [11.0, 12.0, 13.0]  # closes 10.5, 11.5, 12.5, 13.5


def test_an_indicator_of_ones_own_may_write_to_its_bars():
    """What it does there, others don't see."""
    one = series("A", "1h", hours(0, 1, 2))

    def greedy(bars: pd.DataFrame) -> pd.Series:
        bars["close"] = bars["close"].shift(-1)
        bars["more"] = 1.0
        return bars["open"] * 2.0

    one.cursor.i = 1
    assert one.indicator(greedy)[-1] == 22.0
    assert one.indicator(greedy) is one.indicator(greedy)
    assert list(one.candles.columns) == list(candles_.COLUMNS)
    assert list(one.candles["close"]) == [10.5, 11.5, 12.5]


def test_arguments_that_can_not_be_hashed_are_computed_anew():
    """They can't be remembered, and give the same values."""
    one = series("A", "1h", hours(0, 1, 2))
    one.cursor.i = 2

    def scaled(bars: pd.DataFrame, by: list[float]) -> pd.Series:
        return bars["open"] * by[0]

    first, second = one.indicator(scaled, by=[2.0]), one.indicator(scaled, by=[2.0])
    assert first is not second
    assert first[-1] == second[-1] == 24.0


TIMEFRAMES = ("1h", "4h", "1d", "1w")


@given(
    spans=st.lists(
        st.tuples(
            st.sampled_from(TIMEFRAMES),
            st.lists(st.integers(0, 40), max_size=15, unique=True).map(sorted),
            st.integers(0, 5),
        ),
        min_size=1,
        max_size=6,
    ),
    start=st.integers(0, 60),
)
def test_steps_come_in_order_complete_and_never_early(spans, start):
    """Against a plain sort of all closes: each bar of the span once, at its close, in the order of rule 3."""
    declared = [
        series(f"S{number // 2}", timeframe, [MONDAY + place * parse(timeframe) for place in places], first)
        for number, (timeframe, places, first) in enumerate(spans)
    ]
    chosen = list({(one.symbol, one.timeframe): one for one in declared}.values())
    begin = MONDAY + start * HOUR
    feed = HistoryFeed(chosen, begin)
    rank = {symbol: number for number, symbol in enumerate(dict.fromkeys(one.symbol for one in chosen))}
    expected = sorted(
        (one.times[index] + one.length_ms, one.length_ms, rank[one.symbol], index)
        for one in chosen
        for index in range(one.first, len(one))
        if one.times[index] + one.length_ms > begin
    )
    steps = list(feed)
    delivered = [
        (step.time, one.length_ms, rank[one.symbol], index) for step in steps for one, index in step.delivered
    ]
    assert delivered == expected
    assert all(earlier.time < later.time for earlier, later in pairwise(steps))
    for step in steps:
        shortest = [(one, index) for one, index in step.delivered if feed.matching(one.symbol) is one]
        assert list(step.matched) == [one.bar(index) for one, index in shortest]
    for one in chosen:
        assert one.known <= one.first
        assert one.known == 0 or one.times[one.known - 1] + one.length_ms <= begin
