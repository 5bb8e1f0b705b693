"""Live series: a window that grows bar by bar, and is the same to an expert as the candles of a backtest."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert import bars as candles_
from metaexpert.errors import MetaExpertError, StrategyError
from metaexpert.feed import Series
from metaexpert.indicators import crossover, crossunder
from metaexpert.liveseries import LiveSeries
from metaexpert.models import BackfilledBar, Bar

MINUTE = 60_000


def candle(place: int, close: float | None = None) -> Bar:
    price = 100.0 + (place * 7 % 13) if close is None else close
    return Bar(place * MINUTE, "A", "1m", price, price + 1.0, price - 1.0, price, 10.0 + place)


def frame(bars: list[Bar]) -> pd.DataFrame:
    values = np.array([bar[3:] for bar in bars]).reshape(-1, 5)
    return candles_.frame(np.array([bar.time for bar in bars], dtype=np.int64), list(values.T))


def grown(count: int, keep: int, history: int = 0) -> LiveSeries:
    one = LiveSeries("A", "1m", frame([candle(n) for n in range(history)]), keep)
    for place in range(history, count):
        one.cursor.i = one.append(candle(place))
    return one


def test_history_is_known_and_bars_become_known_with_the_cursor():
    """As in a backtest: what is appended exists, what is behind the cursor is known."""
    one = grown(3, 10, history=3)
    assert (len(one), one.known, one.first) == (3, 3, 3)
    index = one.append(candle(3))
    assert (index, one.known, one.last()) == (3, 3, candle(2))
    one.cursor.i = index
    assert (one.known, one.last()) == (4, candle(3))
    assert [type(value) for value in one.last()] == [int, str, str, *[float] * 5]
    assert list(one.rates(2)["close"]) == [candle(2).close, candle(3).close]


def test_a_full_window_lets_its_older_half_go():
    """keep=4: the ninth bar drops the first four; the cursor moves with the rest."""
    one = grown(8, 4)
    assert (len(one), one.cursor.i, one.dropped) == (8, 7, 0)
    index = one.append(candle(8))
    assert (index, len(one), one.cursor.i, one.dropped) == (4, 5, 3, 4)
    assert [one.bar(n) for n in range(5)] == [candle(n) for n in range(4, 9)]
    assert list(one.candles["close"]) == [candle(n).close for n in range(4, 9)]


def test_only_the_end_of_a_long_history_is_kept():
    """Ten bars of history, keep=4: the last four."""
    one = grown(10, 4, history=10)
    assert [one.bar(n).time // MINUTE for n in range(len(one))] == [6, 7, 8, 9]
    assert one.known == 4


def test_what_was_read_before_stays_as_it_was():
    """Frames and arrays handed out are the reader's: neither new bars nor the cut change them."""
    one = grown(8, 4)
    rates, closes, average = one.rates(), one.columns[3], one.indicator("sma", length=2)
    values = average.values
    before = (rates.copy(), closes.tolist(), values.copy())
    for place in range(8, 30):
        one.cursor.i = one.append(candle(place))
    pd.testing.assert_frame_equal(rates, before[0])
    assert closes.tolist() == before[1]
    np.testing.assert_array_equal(values, before[2])


def test_bars_that_are_not_later_are_refused():
    """The same bar twice, or an older one, is a mistake of the feed's."""
    one = grown(3, 10)
    for place in (2, 1):
        with pytest.raises(MetaExpertError, match="is not after the last one"):
            one.append(candle(place))
    assert len(one) == 3


def test_backfilled_bars_stay_marked():
    """A bar that was fetched afterwards says so for as long as the window holds it, and equals a plain one."""
    one = grown(2, 2)
    one.cursor.i = one.append(BackfilledBar(*candle(2)))
    assert [one.bar(n).is_backfilled for n in range(3)] == [False, False, True]
    assert one.bar(2) == candle(2)
    assert isinstance(one.bar(2), Bar)
    for place in range(3, 9):
        one.cursor.i = one.append(candle(place))
    assert not any(one.bar(n).is_backfilled for n in range(len(one)))


def test_indicators_show_the_grown_window_and_stay_the_same_objects():
    """sma(2) of closes 100, 107: 103.5; after 101: 104."""
    one = grown(0, 10)
    average = one.indicator("sma", length=2)
    assert len(average) == 0
    for place in range(3):
        one.cursor.i = one.append(candle(place))
    assert one.indicator("SMA", length=2) is average
    assert [float(value) for value in average[-2:]] == [103.5, 104.0]
    assert (len(average), average[-1], average.last_two()) == (3, 104.0, (103.5, 104.0))
    assert list(average.series().index) == list(one.candles.index)


def test_columns_that_were_read_before_grow_too():
    """macd.macds taken at the start is the same object, and its last value the one of a fresh computation."""
    one = grown(40, 100)
    signal = one.indicator("macd").macds
    for place in range(40, 60):
        one.cursor.i = one.append(candle(place))
    assert one.indicator("macd").macds is signal
    whole = Series("A", "1m", one.candles, first=60)
    assert signal[-1] == whole.indicator("macd").macds[-1]
    assert len(one.indicator("macd")) == 60


def test_an_indicator_is_computed_when_it_is_read_and_once_a_bar():
    """Three bars and two reads: one computation at the start, one for the reads."""
    calls: list[int] = []

    def counted(bars: pd.DataFrame) -> pd.Series:
        calls.append(len(bars))
        return bars["close"]

    one = grown(2, 10)
    made = one.indicator(counted)
    for place in range(2, 5):
        one.cursor.i = one.append(candle(place))
    assert calls == [2]
    assert (made[-1], made[-2], float(made)) == (candle(4).close, candle(3).close, candle(4).close)
    assert calls == [2, 5]


def test_crossings_are_found_in_the_grown_window():
    """Closes 1, 2, 1, 3 against 1.5: above at the second, below at the third, above at the fourth."""
    one = grown(0, 4)
    close = one.indicator(lambda bars: bars["close"])
    found = []
    for place, price in enumerate((1.0, 2.0, 1.0, 3.0, 3.0, 1.0, 3.0, 1.0, 2.0, 1.0)):
        one.cursor.i = one.append(candle(place, price))
        found.append((crossover(close, 1.5), crossunder(close, 1.5)))
    up, down, none = (True, False), (False, True), (False, False)
    assert found == [none, up, down, up, none, down, up, down, up, down]


def test_an_indicator_that_fails_on_more_bars_says_so():
    """A callable of the user's that breaks later fails at the read, in one line."""

    def fragile(bars: pd.DataFrame) -> pd.Series:
        if len(bars) > 2:
            raise ValueError("too many")
        return bars["close"]

    one = grown(2, 10)
    made = one.indicator(fragile)
    one.cursor.i = one.append(candle(2))
    with pytest.raises(StrategyError, match="indicator fragile failed: ValueError: too many"):
        float(made)


def test_an_indicator_whose_columns_change_says_so():
    """Columns that were read can't vanish."""
    one = grown(1, 10)
    made = one.indicator(lambda bars: pd.DataFrame({f"c{len(bars)}": bars["close"], "x": bars["open"]}))
    one.cursor.i = one.append(candle(1))
    with pytest.raises(StrategyError, match="had the columns c1, x, and now has c2, x"):
        float(made.x)


@given(count=st.integers(1, 60), history=st.integers(0, 30), keep=st.integers(5, 40))
def test_a_window_shows_what_a_series_of_the_same_bars_shows(count, history, keep):
    """Bars, rates and an indicator of bounded memory equal those of the whole, wherever the window was cut."""
    one = grown(history + count, keep, history=history)
    bars = [candle(n) for n in range(history + count)]
    whole = Series("A", "1m", frame(bars), first=len(bars))
    shown = min(len(one), keep)
    assert keep <= len(one) <= 2 * keep or len(one) == len(bars)
    assert one.last() == whole.last()
    assert len(one) + one.dropped == len(bars) - max(0, history - keep)
    pd.testing.assert_frame_equal(one.rates(shown), whole.rates(shown), check_freq=False)
    assert one.indicator("sma", length=3)[-1:].tolist() == pytest.approx(
        whole.indicator("sma", length=3)[-1:].tolist(), nan_ok=True
    )
