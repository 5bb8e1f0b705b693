"""Calling indicators, reading them bar by bar, crosses, and the accessor."""

import math
import operator
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert import indicators
from metaexpert._catalogue import BOUNDS, REFUSED
from metaexpert.errors import ConfigError, DataError, StrategyError
from metaexpert.indicators import (
    Cursor,
    Indicator,
    build,
    compute,
    cross_above,
    cross_below,
    crossover,
    crossunder,
    register,
)


@pytest.fixture
def bars() -> pd.DataFrame:
    index = pd.date_range("2024-01-01", periods=60, freq="h", tz="UTC", unit="ms", name="time")
    close = 100.0 + 5.0 * np.sin(np.arange(60) / 5.0)
    return pd.DataFrame(
        {"open": close - 0.2, "high": close + 1.0, "low": close - 1.0, "close": close, "volume": 10.0}, index=index
    )


@pytest.fixture
def accessor() -> Iterator[None]:
    """Our accessor on DataFrame, and whatever was there before afterwards."""
    before = pd.DataFrame.__dict__.get("ta")
    register()
    yield
    del pd.DataFrame.ta
    if before is not None:
        pd.DataFrame.ta = before


# Calling


def test_the_name_is_read_in_any_case_and_the_result_stands_over_the_bars(bars: pd.DataFrame) -> None:
    upper, lower = compute("EMA", bars, length=5), compute("ema", bars, length=5)
    pd.testing.assert_series_equal(upper, lower)
    assert upper.name == "EMA_5"
    assert upper.dtype == np.float64
    pd.testing.assert_index_equal(upper.index, bars.index)


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("ema", (7,), ["EMA_7"]),
        ("macd", (3, 6, 2), ["MACD_3_6_2", "MACDh_3_6_2", "MACDs_3_6_2"]),
        ("bbands", (20, 2), ["BBL_20_2.0", "BBM_20_2.0", "BBU_20_2.0", "BBB_20_2.0", "BBP_20_2.0"]),
        ("alma", (9,), ["ALMA_9_6.0_0.85"]),
        ("kst", (8,), ["KST_8_15_20_30_10_10_10_15", "KSTs_9"]),
    ],
)
def test_values_by_position_go_to_length_first_then_in_order(
    bars: pd.DataFrame, name: str, args: tuple[float, ...], expected: list[str]
) -> None:
    assert indicators.columns(compute(name, bars, *args)) == expected


def test_numpy_numbers_and_none_are_taken_like_plain_numbers_and_defaults(bars: pd.DataFrame) -> None:
    result = compute("bbands", bars, length=np.int64(20), std=np.float64(2.5))
    assert result.columns[0] == "BBL_20_2.5"
    pd.testing.assert_series_equal(compute("rsi", bars, length=None), compute("rsi", bars))


def test_macd_puts_the_shorter_average_first_as_pandas_ta_does(bars: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(compute("macd", bars, 10, 4, 3), compute("macd", bars, 4, 10, 3))
    assert compute("macd", bars, fast=5, slow=5, signal=3).columns[0] == "MACD_5_5_3"


def test_offset_gives_the_value_of_that_many_bars_ago(bars: pd.DataFrame) -> None:
    plain, late = compute("sma", bars, 5), compute("sma", bars, 5, offset=2)
    np.testing.assert_array_equal(late.to_numpy()[2:], plain.to_numpy()[:-2])
    assert late.isna().sum() == 6
    table = compute("kc", bars, offset=1)
    np.testing.assert_array_equal(table.to_numpy()[1:], compute("kc", bars).to_numpy()[:-1])


def test_an_input_can_be_another_column_or_a_series(bars: pd.DataFrame) -> None:
    ramp = pd.Series(np.arange(60.0), index=bars.index)
    bars["ramp"] = ramp
    by_column, by_series = compute("sma", bars, 3, close="ramp"), compute("sma", bars, 3, close=ramp)
    np.testing.assert_array_equal(by_column.to_numpy()[2:], np.arange(1.0, 59.0))
    pd.testing.assert_series_equal(by_column, by_series)
    from_classic = compute("vwma", bars, 3, close="ramp")
    np.testing.assert_allclose(from_classic.to_numpy()[2:], np.arange(1.0, 59.0))


def test_a_second_series_is_asked_for_by_name(bars: pd.DataFrame) -> None:
    assert compute("correl", bars, benchmark="high", length=10).iloc[-1] == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="correl needs benchmark: the name of a column of the bars, or a Series"):
        compute("correl", bars, length=10)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("emaa", {}, "unknown indicator 'emaa'; did you mean 'ema'?"),
        ("supertrand", {}, "unknown indicator 'supertrand'; did you mean 'supertrend'?"),
        ("ema", {"lenght": 5}, "ema has no parameter 'lenght'; did you mean 'length'?"),
        ("hwc", {"scaler": 2.0}, "hwc has no parameter 'scaler'; did you mean 'scalar'?"),
        ("sar", {"step": 0.1}, "sar has no parameter 'step'; use one of af, max_af, offset"),
        ("rsi", {"talib": True}, "rsi has no parameter 'talib'"),
        ("dpo", {"centered": True}, "dpo has no parameter 'centered'"),
        ("ichimoku", {"include_chikou": True}, "ichimoku has no parameter 'include_chikou'"),
        ("ema", {"fill_method": "bfill"}, "ema has no parameter 'fill_method'"),
        ("ema", {"length": 0}, "ema: length must be a whole number from 1 to 100000, got 0"),
        ("ema", {"length": -3}, "ema: length must be a whole number from 1 to 100000, got -3"),
        ("ema", {"length": 2.5}, "ema: length must be a whole number from 1 to 100000, got 2.5"),
        ("ema", {"length": "9"}, "ema: length must be a whole number from 1 to 100000, got '9'"),
        ("ema", {"length": True}, "ema: length must be a whole number from 1 to 100000, got True"),
        ("ema", {"length": 100_001}, "ema: length must be a whole number from 1 to 100000, got 100001"),
        ("ema", {"offset": -1}, "ema: offset must be a whole number from 0 to 100000, got -1"),
        ("rsi", {"length": 1}, "rsi: length must be a whole number from 2 to 100000, got 1"),
        ("alma", {"length": 0}, "alma: length must be a whole number from 1 to 100000, got 0"),
        ("bbands", {"std": 0}, "bbands: std must be a number above 0, got 0"),
        ("bbands", {"std": math.nan}, "bbands: std must be a number above 0, got nan"),
        ("bbands", {"std": math.inf}, "bbands: std must be a number above 0, got inf"),
        ("bbands", {"mamode": "emma"}, "bbands: unknown mamode 'emma'; did you mean 'ema'?"),
        ("bbands", {"ddof": 2}, "bbands: ddof must be a whole number from 0 to 1, got 2"),
        ("t3", {"a": 1.0}, "t3: a must be a number above 0 and below 1, got 1.0"),
        ("jma", {"phase": 101}, "jma: phase must be a number from -100 and up to 100, got 101"),
        ("vwap", {"anchor": "Y"}, "vwap: unknown anchor 'Y'; use one of D, M, W"),
        ("chop", {"ln": 1}, "chop: ln must be True or False, got 1"),
        ("ema", {"close": 5}, "ema: close must be the name of a column or a Series, got int"),
        (
            "ema",
            {"close": pd.Series([1.0])},
            "ema: close must have the index of the bars: a value for each of the 60",
        ),
        ("squeeze_pro", {"kc_scalar_wide": 0.5}, "squeeze_pro can't be computed with kc_scalar_wide=0.5"),
    ],
)
def test_bad_calls_say_in_one_line_what_is_wrong(
    bars: pd.DataFrame, name: str, kwargs: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        compute(name, bars, **kwargs)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_known_names_that_are_not_served_give_the_reason(bars: pd.DataFrame, name: str) -> None:
    with pytest.raises(ConfigError, match=f"indicator '{name}' is not served: ") as caught:
        compute(name, bars)
    assert REFUSED[name] in str(caught.value)


def test_too_many_values_by_position_and_a_value_given_twice_are_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(ConfigError, match=r"ema takes at most 1 values by position \(length\), got 2"):
        compute("ema", bars, 5, 6)
    with pytest.raises(ConfigError, match="ema: length is given twice"):
        compute("ema", bars, 5, length=6)


def test_a_parameter_that_ta_lib_itself_refuses_is_reported_in_one_line(
    bars: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BOUNDS, "rsi.length", (1, 10))
    with pytest.raises(ConfigError, match="rsi: TA-Lib can't work with length=1; give it other lengths"):
        compute("rsi", bars, 1)


def test_bars_that_lack_a_column_or_hold_no_numbers_are_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="obv needs the column 'volume', and the bars have close"):
        compute("obv", bars[["close"]])
    with pytest.raises(DataError, match="ema: close must hold numbers"):
        compute("ema", bars.assign(close="x"))
    with pytest.raises(DataError, match="vwap needs bars with a time index"):
        compute("vwap", bars.reset_index(drop=True))


def test_something_else_than_bars_or_an_indicator_is_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(StrategyError, match="over a DataFrame of bars, not over list"):
        compute("ema", [1.0, 2.0])
    with pytest.raises(StrategyError, match=r"a name or a callable\(bars\), not int"):
        compute(5, bars)


# The user's own indicators


def test_a_callable_gets_the_bars_and_its_arguments(bars: pd.DataFrame) -> None:
    def spread(frame: pd.DataFrame, times: float = 1.0) -> pd.Series:
        return (frame["high"] - frame["low"]) * times

    result = compute(spread, bars, times=3.0)
    assert result.name == "spread"
    np.testing.assert_allclose(result, 6.0)


@pytest.mark.parametrize("convert", [np.asarray, list, tuple, lambda x: pd.Series(list(x))])
def test_a_callable_may_return_an_array_a_list_or_a_series_without_times(
    bars: pd.DataFrame, convert: Callable[[pd.Series], object]
) -> None:
    result = compute(lambda frame: convert(frame["close"] > 100.0), bars)
    pd.testing.assert_index_equal(result.index, bars.index)
    np.testing.assert_array_equal(result, (bars["close"] > 100.0).astype(float))


def test_a_callable_may_return_several_columns(bars: pd.DataFrame) -> None:
    result = compute(lambda frame: frame[["high", "low"]], bars)
    assert list(result.columns) == ["high", "low"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, r"must return a Series, DataFrame or array, not NoneType"),
        (3.0, r"must return a Series, DataFrame or array, not float"),
        (np.zeros((60, 2)), r"must return a Series, DataFrame or array, not ndarray"),
        (np.zeros(59), r"returned 59 values for 60 bars"),
        (["a"] * 60, r"must return numbers"),
        (pd.Series(np.zeros(60), index=range(59, -1, -1)), r"returned values with another index than that of the"),
        (pd.Series(np.zeros(60), index=range(1, 61)), r"returned values with another index than that of the bars"),
    ],
)
def test_a_callable_that_returns_something_else_is_refused(
    bars: pd.DataFrame, answer: object, message: str
) -> None:
    def odd(_frame: pd.DataFrame) -> object:
        return answer

    with pytest.raises(StrategyError, match=f"indicator odd {message}"):
        compute(odd, bars)


def test_a_callable_that_fails_is_named_with_its_error(bars: pd.DataFrame) -> None:
    def broken(_frame: pd.DataFrame) -> object:
        raise KeyError("vwap")

    with pytest.raises(StrategyError, match="indicator broken failed: KeyError: 'vwap'") as caught:
        compute(broken, bars)
    assert isinstance(caught.value.__cause__, KeyError)


# Reading bar by bar


def test_an_indicator_shows_what_is_known_at_the_cursor_and_no_more() -> None:
    cursor = Cursor()
    ind = Indicator([1.0, 2.0, 3.0, 4.0], cursor, name="x")
    assert len(ind) == 0
    with pytest.raises(IndexError, match="indicator 'x' has no bar -1: 0 bars are known"):
        _ = ind[-1]
    cursor.i = 1
    assert (len(ind), ind[-1], ind[-2], ind[0], ind[1]) == (2, 2.0, 1.0, 1.0, 2.0)
    assert type(ind[-1]) is float
    assert ind[np.int64(-1)] == 2.0
    for beyond in (2, 3, -3):
        with pytest.raises(IndexError, match=f"has no bar {beyond}: 2 bars are known"):
            _ = ind[beyond]
    assert ind.last_two() == (1.0, 2.0)
    cursor.i = 9  # more bars than values
    assert ind.last_two() is None
    assert len(ind) == 4
    with pytest.raises(IndexError):
        _ = ind[-1]


def test_slices_and_values_hold_known_values_only_and_cannot_be_written() -> None:
    ind = Indicator([1.0, 2.0, 3.0, 4.0, 5.0], Cursor(2))
    np.testing.assert_array_equal(ind[-2:], [2.0, 3.0])
    np.testing.assert_array_equal(ind[-99:], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(ind.values, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(ind[1:5], [2.0, 3.0])
    assert list(ind) == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="read-only"):
        ind.values[0] = 9.0


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=30), st.data())
def test_every_index_agrees_with_a_list_of_the_known_values(values: list[float], data: st.DataObject) -> None:
    at = data.draw(st.integers(-1, len(values) - 1))
    ind, known = Indicator(values, Cursor(at)), values[: at + 1]
    for key in range(-len(values) - 2, len(values) + 2):
        if -len(known) <= key < len(known):
            assert ind[key] == known[key]
        else:
            with pytest.raises(IndexError):
                _ = ind[key]
    assert list(ind[:]) == known


def test_the_series_carries_the_times(bars: pd.DataFrame) -> None:
    ind = build("ema", bars, Cursor(9), 3)
    pd.testing.assert_series_equal(ind.series(), compute("ema", bars, 3).iloc[:10], check_freq=False)


def test_comparisons_and_float_take_the_last_value() -> None:
    cursor = Cursor(1)
    rsi, line = Indicator([50.0, 25.0, 80.0], cursor), Indicator([30.0, 30.0, 30.0], cursor)
    assert float(rsi) == 25.0
    assert rsi < 30
    assert np.float64(30.0) > rsi
    assert rsi < line
    assert rsi <= 25
    assert rsi >= np.float64(25.0)
    assert rsi == 25
    assert rsi != 26
    assert not rsi > line
    cursor.i = 2
    assert rsi > line
    assert rsi != line
    with pytest.raises(TypeError):
        operator.lt(rsi, "30")
    assert rsi != "30"
    assert len({rsi, line}) == 2


def test_before_any_bar_and_in_the_warm_up_comparisons_are_false() -> None:
    cursor = Cursor()
    ind = Indicator([math.nan, 1.0], cursor)
    for at, ready in ((-1, False), (0, False), (1, True)):
        cursor.i = at
        assert ind.ready is ready
        assert (ind < 5) is ready
        assert (ind > 5) is False


def test_an_indicator_is_neither_true_nor_false() -> None:
    with pytest.raises(StrategyError, match="indicator 'x' is neither true nor false: compare it"):
        bool(Indicator([1.0], Cursor(0), name="x"))


def test_columns_are_reached_by_name_and_by_their_short_name(bars: pd.DataFrame) -> None:
    cursor = Cursor(59)
    macd = build("MACD", bars, cursor, fast=3, slow=6, signal=2)
    assert macd.columns == ("MACD_3_6_2", "MACDh_3_6_2", "MACDs_3_6_2")
    assert macd["MACDs_3_6_2"] is macd.macds
    assert macd.macd[-1] == compute("macd", bars, 3, 6, 2)["MACD_3_6_2"].iloc[-1]
    assert (len(macd), macd.name, macd.macds.ready) == (60, "macd", True)
    cursor.i = 5
    assert (len(macd), len(macd.macds), macd.macds.ready) == (6, 6, False)
    assert repr(macd) == "Indicator('macd', 6 bars, columns MACD_3_6_2, MACDh_3_6_2, MACDs_3_6_2)"


def test_an_indicator_of_several_columns_has_no_single_value(bars: pd.DataFrame) -> None:
    macd = build("macd", bars, Cursor(59), 3, 6, 2)
    wanted = r"indicator 'macd' has several columns: choose one by name, ind\['MACD_3_6_2'\] of MACD_3_6_2, MACDh"
    uses: list[Callable[[], object]] = [
        lambda: macd[-1],
        lambda: macd[-2:],
        lambda: float(macd),
        lambda: macd < 1,
        lambda: macd.values,
        lambda: macd.ready,
        macd.series,
        lambda: crossover(macd, 0),
        lambda: cross_above(macd, 0),
    ]
    for use in uses:
        with pytest.raises(StrategyError, match=wanted):
            use()


def test_unknown_columns_are_named_with_the_nearest(bars: pd.DataFrame) -> None:
    macd = build("macd", bars, Cursor(59), 3, 6, 2)
    with pytest.raises(
        StrategyError, match="indicator 'macd' has no column 'MACDs_3_6_3'; did you mean 'MACDs_3_6_2'"
    ):
        _ = macd["MACDs_3_6_3"]
    with pytest.raises(AttributeError, match="indicator 'macd' has no attribute 'macdss'; did you mean 'macds'"):
        _ = macd.macdss
    assert not hasattr(macd, "_secret")


def test_a_short_name_that_two_columns_share_is_refused(bars: pd.DataFrame) -> None:
    twins = build(lambda frame: pd.DataFrame({"A_1": frame["high"], "A_2": frame["low"]}), bars, Cursor(59))
    with pytest.raises(AttributeError, match="A_1, A_2 share it"):
        _ = twins.a


def test_repr_shows_the_last_value() -> None:
    assert repr(Indicator([1.0, 2.5], Cursor(1), name="RSI_14")) == "Indicator('RSI_14', 2 bars, last 2.5)"
    assert repr(Indicator([1.0], Cursor(), name="RSI_14")) == "Indicator('RSI_14', 0 bars, last nan)"


# Crosses


def test_a_cross_needs_to_come_from_at_or_below() -> None:
    assert crossover([1.0, 3.0], [2.0, 2.0])
    assert crossover([2.0, 3.0], 2)
    assert not crossover([3.0, 3.0], 2)
    assert not crossover([1.0, 2.0], 2)
    assert crossunder([3.0, 1.0], 2)
    assert crossunder(2, pd.Series([1.0, 3.0]))
    assert not crossunder([1.0, 1.0], 2)


@given(
    a=st.lists(st.sampled_from([1.0, 2.0, 3.0, math.nan]), max_size=6),
    b=st.lists(st.sampled_from([1.0, 2.0, 3.0, math.nan]), max_size=6),
    shared=st.booleans(),
)
def test_crosses_of_indicators_are_told_bar_by_bar(a: list[float], b: list[float], shared: bool) -> None:
    """At every place of the cursor, before the first bar and behind the last too, as of lists cut there."""
    ours = Cursor()
    theirs = ours if shared else Cursor()
    first, second = Indicator(a, ours), Indicator(b, theirs)
    for i in range(-1, 8):
        ours.i = theirs.i = i
        one, two = (list(each[: i + 1] if i < len(each) else []) for each in (a, b))
        assert crossover(first, second) is crossunder(second, first) is crossover(one, two)
        assert crossunder(first, second) is crossover(second, first) is crossunder(one, two)
        for level in (2, 2.0, 2.0**60, math.inf, math.nan):
            assert crossover(first, level) is crossunder(level, first) is crossover(one, level)
            assert crossunder(first, level) is crossover(level, first) is crossunder(one, level)


def test_a_level_that_moves_with_the_price_is_looked_at_anew_every_bar() -> None:
    """As many levels as there are bars; each cross is of that level."""
    values = [float(i % 7) for i in range(100)]
    cursor = Cursor()
    one = Indicator(values, cursor)
    for i in range(1, 100):
        cursor.i, level = i, i % 5 + i / 1000.0
        assert crossover(one, level) == (values[i - 1] <= level < values[i])
        assert crossunder(one, level) == (values[i - 1] >= level > values[i])


@pytest.mark.parametrize("a", [[], [3.0], [math.nan, 3.0], [1.0, math.nan]])
def test_too_few_values_or_a_nan_are_no_cross(a: list[float]) -> None:
    assert crossover(a, 2.0) is False
    assert crossunder(2.0, a) is False
    assert crossover(Indicator(a, Cursor(len(a) - 1)), 2.0) is False


def test_something_that_is_no_series_cannot_cross() -> None:
    for operand in ("fast", None, np.zeros((2, 2)), ["a", "b"]):
        with pytest.raises(StrategyError, match="a cross needs"):
            crossover(operand, 1.0)
        with pytest.raises(StrategyError, match="a cross needs"):
            cross_above([1.0, 2.0], operand)


def test_two_numbers_or_unlike_series_cannot_cross(bars: pd.DataFrame) -> None:
    with pytest.raises(StrategyError, match="at least one series"):
        cross_above(1.0, 2.0)
    with pytest.raises(StrategyError, match="one length, got 2 and 3 values"):
        cross_above([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(StrategyError, match="different indexes"):
        cross_above(bars["close"], bars["close"].shift(1, freq="h"))


prices = st.one_of(st.integers(-3, 3).map(float), st.just(math.nan))


@given(st.lists(st.tuples(prices, prices), max_size=25))
def test_the_vectorised_form_is_the_same_rule_at_every_bar(pairs: list[tuple[float, float]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    index = pd.date_range("2024-01-01", periods=len(pairs), freq="h", tz="UTC")
    above, below = cross_above(pd.Series(a, index=index), b), cross_below(np.array(a, dtype=float), b)
    level = cross_above(a, 0.0)
    assert above.dtype == np.bool_
    pd.testing.assert_index_equal(above.index, index)
    cursor = Cursor()
    left, right = Indicator(a, cursor), Indicator(b, cursor)
    for i in range(len(pairs)):
        cursor.i = i
        assert above.iloc[i] == crossover(left, right) == crossover(a[: i + 1], b[: i + 1])
        assert below.iloc[i] == crossunder(left, right) == crossunder(np.array(a[: i + 1]), pd.Series(b[: i + 1]))
        assert level.iloc[i] == crossover(left, 0.0) == crossunder(0, left)
    np.testing.assert_array_equal(cross_above(left, right) if pairs else [], above)


# The accessor


@pytest.mark.usefixtures("accessor")
def test_indicators_are_methods_of_the_bars(bars: pd.DataFrame) -> None:
    pd.testing.assert_series_equal(bars.ta.ema(12), compute("ema", bars, length=12))
    pd.testing.assert_series_equal(bars.ta.rsi(length=14), compute("rsi", bars))
    pd.testing.assert_frame_equal(bars.ta("macd", 3, 6, 2), compute("macd", bars, 3, 6, 2))
    pd.testing.assert_series_equal(bars.ta(lambda frame: frame["close"]), bars["close"])


@pytest.mark.usefixtures("accessor")
def test_the_accessor_lists_the_names_and_refuses_others(bars: pd.DataFrame) -> None:
    assert {"ema", "supertrend", "vwap"} <= set(dir(bars.ta))
    assert "vp" not in dir(bars.ta)
    with pytest.raises(AttributeError, match="unknown indicator 'emaa'; did you mean 'ema'"):
        _ = bars.ta.emaa
    with pytest.raises(AttributeError, match="it looks ahead"):
        bars.ta.vp(5)
    assert not hasattr(bars.ta, "_nothing")


@pytest.mark.usefixtures("accessor")
def test_registering_again_changes_nothing_and_takes_the_name_back_from_others(bars: pd.DataFrame) -> None:
    ours = pd.DataFrame.__dict__["ta"]
    register()
    assert pd.DataFrame.__dict__["ta"] is ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pd.api.extensions.register_dataframe_accessor("ta")(object)
    register()
    assert bars.ta.ema(3).name == "EMA_3"


def test_loading_pandas_ta_classic_leaves_the_accessor_as_it_was() -> None:
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "import pandas as pd\n"
        "from metaexpert.indicators import compute, register\n"
        "bars = pd.DataFrame({'close': [1.0] * 30})\n"
        "compute('rma', bars, 3)\n"
        "assert not hasattr(pd.DataFrame, 'ta')\n"
        "register()\n"
        "assert bars.ta.rma(3).iloc[-1] == 1.0 and type(bars.ta).__name__ == 'Accessor'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    first = code.replace("compute('rma', bars, 3)\nassert not hasattr(pd.DataFrame, 'ta')\n", "")
    subprocess.run([sys.executable, "-c", first + "assert type(bars.ta).__name__ == 'Accessor'"], check=True)


def test_importing_the_module_loads_nothing_heavy() -> None:
    code = (
        "import sys, metaexpert.indicators\n"
        "heavy = {'numpy', 'pandas', 'talib', 'pandas_ta_classic', 'numba'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
