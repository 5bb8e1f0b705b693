"""What the indicators say: hand-computed values, TA-Lib, pandas-ta-classic, causality, and the guide."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from metaexpert._catalogue import BOUNDS, CLASSIC, NAMES, REFUSED, ROWS
from metaexpert._compute import _parameters
from metaexpert.indicators import columns, compute, names, parameters

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "indicators.md"
COLUMNS = ["open", "high", "low", "close", "volume"]


def walk(rows: int, seed: int = 1, start: float = 100.0) -> pd.DataFrame:
    """Sound candles of a random walk, hourly."""
    rng = np.random.default_rng(seed)
    close = start * np.exp(np.cumsum(rng.normal(0.0, 0.01, rows)))
    opened = np.concatenate([[start], close[:-1]])[:rows] * (1.0 + rng.normal(0.0, 0.002, rows))
    high = np.maximum(opened, close) * (1.0 + np.abs(rng.normal(0.0, 0.004, rows)))
    low = np.minimum(opened, close) * (1.0 - np.abs(rng.normal(0.0, 0.004, rows)))
    index = pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC", unit="ms", name="time")
    table = np.column_stack([opened, high, low, close, rng.lognormal(3.0, 1.0, rows)])
    return pd.DataFrame(table, index=index, columns=COLUMNS)


def candles(*rows: tuple[float, float, float]) -> pd.DataFrame:
    """Bars out of (high, low, close), a day apart, volume 1."""
    index = pd.date_range("2024-01-01", periods=len(rows), freq="D", tz="UTC", unit="ms")
    return pd.DataFrame([(c, h, lo, c, 1.0) for h, lo, c in rows], index=index, columns=COLUMNS)


def closes(*prices: float) -> pd.DataFrame:
    return candles(*((price, price, price) for price in prices))


def table_of(name: str, bars: pd.DataFrame, /, **kwargs: Any) -> pd.DataFrame:
    """The result of an indicator as a table, with the second series that some need."""
    extra: dict[str, object] = {"beta": {"benchmark": "open"}, "correl": {"benchmark": "open"}}.get(name, {})
    if name == "mavp":
        extra = {"periods": pd.Series(2.0 + np.arange(len(bars)) % 20, index=bars.index)}
    result = compute(name, bars, **extra, **kwargs)
    return result.to_frame() if result.ndim == 1 else result


def warm_up(series: "pd.Series[float]") -> int:
    """How many values come before the first known one."""
    return int(np.argmax(series.notna()))


# By hand


def test_sma_is_the_mean_of_the_last_bars() -> None:
    np.testing.assert_allclose(compute("sma", closes(1, 2, 3, 4, 6), 3), [np.nan, np.nan, 2, 3, 13 / 3])


def test_ema_starts_from_the_mean_of_its_first_bars() -> None:
    np.testing.assert_allclose(compute("ema", closes(2, 4, 6, 8, 12), 3), [np.nan, np.nan, 4, 6, 9])


def test_rsi_smooths_as_wilder_does() -> None:
    # gains 2 0 2 0, losses 0 1 0 1; averages 1 and 1/2, then (1 + 2) / 2 and 1/4, then 3/4 and 5/8
    expected = [np.nan, np.nan, 100 * 1 / 1.5, 100 * 1.5 / 1.75, 100 * 0.75 / 1.375]
    np.testing.assert_allclose(compute("rsi", closes(10, 12, 11, 13, 12), 2), expected)


def test_macd_starts_both_averages_at_the_slow_ones_first_bar() -> None:
    # slow: 7/3, 14/3, 47/6; fast, begun with the mean of 2 and 4: 3, 17/3, 83/9; their difference: 2/3, 1, 25/18
    table = compute("macd", closes(1, 2, 4, 7, 11), 2, 3, 2)
    nan = np.nan
    np.testing.assert_allclose(table["MACD_2_3_2"], [nan, nan, nan, 1, 25 / 18])
    np.testing.assert_allclose(table["MACDs_2_3_2"], [nan, nan, nan, 5 / 6, 65 / 54])
    np.testing.assert_allclose(table["MACDh_2_3_2"], [nan, nan, nan, 1 / 6, 5 / 27])


RANGES = [(11, 9, 10), (12, 10, 11), (15, 11, 14), (14, 12, 13), (11, 7, 8), (10, 8, 9), (14, 9, 13)]


def test_atr_starts_from_the_mean_of_the_true_ranges_and_smooths_as_wilder_does() -> None:
    expected = [np.nan, np.nan, 3, 2.5, 4.25, 3.125, 4.0625]  # true ranges 2 4 2 6 2 5
    np.testing.assert_allclose(compute("atr", candles(*RANGES), 2), expected)


def test_supertrend_turns_where_the_close_leaves_the_bands() -> None:
    table = compute("supertrend", candles(*RANGES), length=2, multiplier=1)
    nan = np.nan
    # bands 16/10, 15.5/10.5; the close 8 is below 10.5: down; 13.25, 12.125; the close 13 is above 12.125: up
    np.testing.assert_allclose(table["SUPERT_2_1.0"], [nan, nan, 10, 10.5, 13.25, 12.125, 7.4375])
    np.testing.assert_allclose(table["SUPERTd_2_1.0"], [nan, nan, 1, 1, -1, -1, 1])
    np.testing.assert_allclose(table["SUPERTl_2_1.0"], [nan, nan, 10, 10.5, nan, nan, 7.4375])
    np.testing.assert_allclose(table["SUPERTs_2_1.0"], [nan, nan, nan, nan, 13.25, 12.125, nan])


def test_supertrend_bands_only_tighten_while_the_direction_lasts() -> None:
    table = compute("supertrend", walk(3000)).dropna(subset=["SUPERTd_7_3.0"])
    same = table["SUPERTd_7_3.0"].diff() == 0.0
    assert (table["SUPERTl_7_3.0"].diff()[same].dropna() >= 0.0).all()
    assert (table["SUPERTs_7_3.0"].diff()[same].dropna() <= 0.0).all()
    assert (~same).sum() > 20


def test_bbands_use_the_population_deviation() -> None:
    last = compute("bbands", closes(2, 4, 4, 6), 4, 2.0).iloc[-1]
    deviation = 2**0.5
    expected = [4 - 2 * deviation, 4, 4 + 2 * deviation, 100 * deviation, (2 + 2 * deviation) / (4 * deviation)]
    np.testing.assert_allclose(last, expected)
    sample = compute("bbands", closes(2, 4, 4, 6), 4, 2.0, ddof=1).iloc[-1]
    np.testing.assert_allclose(sample.iloc[2], 4 + 2 * (8 / 3) ** 0.5)


def test_vwap_begins_anew_at_midnight_utc() -> None:
    index = pd.date_range("2024-01-01 22:00", periods=4, freq="h", tz="UTC")
    bars = pd.DataFrame({"high": [2.0, 4.0, 8.0, 10.0], "low": [2.0, 4.0, 8.0, 10.0]}, index=index)
    bars = bars.assign(close=bars["high"], volume=[1.0, 3.0, 0.0, 2.0])
    expected = [2.0, 3.5, np.nan, 10.0]  # nothing had traded in the first hour of the second day
    np.testing.assert_allclose(compute("vwap", bars), expected)
    for same in (bars.tz_localize(None), bars.tz_convert("Asia/Tokyo")):
        np.testing.assert_allclose(compute("vwap", same), expected)
    np.testing.assert_allclose(compute("vwap", bars, anchor="M"), [2.0, 3.5, 3.5, 34 / 6])


def test_hma_is_hulls_combination_of_weighted_averages() -> None:
    close = walk(80)["close"]
    raw = 2 * talib.WMA(close, 4) - talib.WMA(close, 9)
    np.testing.assert_allclose(compute("hma", walk(80), 9), talib.WMA(raw, 3))


def test_a_flat_market_gives_no_infinities_where_ta_lib_serves() -> None:
    bars = closes(*[5.0] * 120).assign(volume=0.0)
    for name in ROWS:
        assert not np.isinf(table_of(name, bars).to_numpy()).any(), name
    assert compute("bbands", bars)["BBP_5_2.0"].isna().all()


def test_what_is_written_into_a_result_reaches_neither_the_bars_nor_its_other_columns() -> None:
    for name in ROWS:
        bars = walk(60)
        result, before = table_of(name, bars), bars.copy(deep=True)
        rest = result.iloc[:, 1:].copy(deep=True)
        result.iloc[:, 0] = -1.0
        pd.testing.assert_frame_equal(bars, before, obj=name)
        pd.testing.assert_frame_equal(result.iloc[:, 1:], rest, obj=name)


# TA-Lib


def talib_values(bars: pd.DataFrame) -> dict[str, tuple[np.ndarray, ...]]:
    """What TA-Lib itself says for the default parameters, column by column."""
    o, h, lo, c, v = (bars[column].to_numpy() for column in COLUMNS)
    macd, signal, histogram = talib.MACD(c, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(c, 5, 2.0, 2.0)
    ppo = talib.PPO(c, 12, 26, 0)
    ppo_signal = talib.EMA(ppo, 9)
    rsi = talib.RSI(c, 14)
    return {
        "ad": (talib.AD(h, lo, c, v),),
        "adosc": (talib.ADOSC(h, lo, c, v, 3, 10),),
        "adx": (talib.ADX(h, lo, c, 14), talib.PLUS_DI(h, lo, c, 14), talib.MINUS_DI(h, lo, c, 14)),
        "apo": (talib.APO(c, 12, 26, 0),),
        "aroon": (*talib.AROON(h, lo, 14), talib.AROONOSC(h, lo, 14)),
        "atr": (talib.ATR(h, lo, c, 14),),
        "bbands": (lower, middle, upper, 100 * (upper - lower) / middle, (c - lower) / (upper - lower)),
        "bop": (talib.BOP(o, h, lo, c),),
        "cci": (talib.CCI(h, lo, c, 14),),
        "cmo": (talib.CMO(c, 14),),
        "dema": (talib.DEMA(c, 10),),
        "ema": (talib.EMA(c, 10),),
        "kama": (talib.KAMA(c, 10),),
        "linreg": (talib.LINEARREG(c, 14),),
        "macd": (macd, histogram, signal),
        "mfi": (talib.MFI(h, lo, c, v, 14),),
        "midpoint": (talib.MIDPOINT(c, 2),),
        "midprice": (talib.MIDPRICE(h, lo, 2),),
        "mom": (talib.MOM(c, 10),),
        "natr": (talib.NATR(h, lo, c, 14),),
        "obv": (talib.OBV(c, v),),
        "ppo": (ppo, ppo - ppo_signal, ppo_signal),
        "roc": (talib.ROC(c, 10),),
        "rsi": (rsi,),
        "sar": (talib.SAR(h, lo, 0.02, 0.2),),
        "sma": (talib.SMA(c, 10),),
        "stdev": (talib.STDDEV(c, 30),),
        "stoch": talib.STOCH(h, lo, c, 14, 3, 0, 3, 0),
        "stochf": talib.STOCHF(h, lo, c, 5, 3, 0),
        "stochrsi": talib.STOCH(rsi, rsi, rsi, 14, 3, 0, 3, 0),
        "t3": (talib.T3(c, 10, 0.7),),
        "tema": (talib.TEMA(c, 10),),
        "trima": (talib.TRIMA(c, 10),),
        "trix": (talib.TRIX(c, 30), talib.SMA(talib.TRIX(c, 30), 9)),
        "true_range": (talib.TRANGE(h, lo, c),),
        "uo": (talib.ULTOSC(h, lo, c, 7, 14, 28),),
        "variance": (talib.VAR(c, 30),),
        "willr": (talib.WILLR(h, lo, c, 14),),
        "wma": (talib.WMA(c, 10),),
    }


@pytest.mark.parametrize("start", [100.0, 60_000.0, 1e-5])
def test_the_common_indicators_are_ta_libs_to_the_last_bit(start: float) -> None:
    bars = walk(500, seed=3, start=start)
    for name, expected in talib_values(bars).items():
        result = table_of(name, bars)
        assert result.shape == (500, len(expected)), name
        for column, values in zip(result.columns, expected, strict=True):
            np.testing.assert_array_equal(result[column], values, err_msg=f"{name} {column}")


# pandas-ta-classic, with every known difference

OTHER_VALUES = {
    "cmo": "Wilder's smoothing, as TA-Lib has it; pandas-ta-classic sums the last bars",
    "macd": "the fast average starts at the slow one's first bar, not at its own",
    "trima": "the weights of an even length are those of TA-Lib",
}
OTHER_WARM_UP = {
    "ht_trendmode": "NaN until known, where pandas-ta-classic says 0",
    "kama": "one bar later",
    "macd": "the line is given from where its signal is known",
    "mfi": "one bar later",
    "stoch": "k is given from where d is known",
    "stochf": "k is given from where d is known",
    "stochrsi": "k is given from where d is known",
    "supertrend": "NaN until the ATR is known, where pandas-ta-classic says 0 and +1",
    "trima": "one bar sooner for an even length",
    "uo": "one bar later",
}
SHARED = sorted(name for name in ROWS if name != "sar")


def classic_table(name: str, bars: pd.DataFrame) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas_ta_classic as classic

        series = {("open_" if word == "open" else word): bars[word] for word in ROWS[name].inputs.split()}
        if name.startswith("cdl_"):
            return classic.cdl_pattern(**series, name=name.removeprefix("cdl_"))
        result = getattr(classic, name)(**series)
    return result.to_frame() if result.ndim == 1 else result


@pytest.mark.parametrize("name", SHARED)
def test_values_and_names_are_those_of_pandas_ta_classic_but_for_the_known_differences(name: str) -> None:
    bars = walk(600, seed=5)
    ours, theirs = table_of(name, bars), classic_table(name, bars)
    assert list(ours.columns) == list(theirs.columns)
    known = ours.notna().to_numpy() & theirs.notna().to_numpy()
    assert known.any(axis=0).all()
    same = np.allclose(ours.to_numpy()[known], theirs.to_numpy()[known], rtol=1e-8, atol=1e-9)
    assert same == (name not in OTHER_VALUES)
    begins = [warm_up(ours[column]) for column in ours] == [warm_up(theirs[column]) for column in theirs]
    assert begins == (name not in OTHER_WARM_UP)


def test_macd_comes_together_with_pandas_ta_classic() -> None:
    bars = walk(600, seed=5)
    apart = (table_of("macd", bars) - classic_table("macd", bars)).abs().max(axis=1) / bars["close"]
    assert apart.iloc[150:].max() < 1e-6


def test_supertrend_turns_at_the_same_bars_as_pandas_ta_classic() -> None:
    bars = walk(2000, seed=5)
    ours, theirs = table_of("supertrend", bars), classic_table("supertrend", bars)
    np.testing.assert_allclose(ours.iloc[7:], theirs.iloc[7:])


def test_psar_is_sar_on_two_sides_once_the_start_is_forgotten() -> None:
    bars = walk(2000, seed=5)
    both = compute("psar", bars)
    line = both["PSARl_0.02_0.2"].fillna(both["PSARs_0.02_0.2"])
    assert both["PSARr_0.02_0.2"].iloc[1:100].any()
    np.testing.assert_allclose(line.iloc[100:], compute("sar", bars).iloc[100:], rtol=1e-9)


# Causality, shape and parameters, for every name

VARIED: dict[str, tuple[Any, ...]] = {
    "int": (0, 1, 2, 3, 7, 41, 55),
    "float": (0.05, 0.3, 1.5, 2.5, 40.0),
    "bool": (True, False),
}


def in_order(name: str, word: str) -> bool:
    """The widths of squeeze_pro have an order, so that they can't be varied one by one."""
    return name == "squeeze_pro" and word.startswith("kc_scalar")


def variants(name: str) -> list[dict[str, Any]]:
    """The default call and, for each parameter, calls with other values."""
    calls: list[dict[str, Any]] = [{}]
    for word, wanted in _parameters(name).items():
        found = VARIED[wanted.kind] if wanted.kind != "word" else wanted.words
        sound = [v for v in found if wanted.kind in ("bool", "word") or wanted.low <= v <= wanted.high]
        assert len(sound) > 1, (name, word)
        calls += [
            {word: value} for value in sound[:20] if not (name == "squeeze_pro" and word.startswith("kc_scalar"))
        ]
    return [*calls, {"offset": 3}]


@pytest.mark.parametrize("name", NAMES)
def test_no_value_depends_on_a_later_bar_for_any_parameter(name: str) -> None:
    bars = walk(330, seed=7)
    wild = bars.copy()
    wild.iloc[240:] = walk(90, seed=8, start=300.0).to_numpy()
    for kwargs in variants(name):
        full = table_of(name, bars, **kwargs)
        other = table_of(name, wild, **kwargs)
        assert full.dtypes.eq("float64").all()
        pd.testing.assert_index_equal(full.index, bars.index)
        np.testing.assert_allclose(
            other.iloc[:240], full.iloc[:240], rtol=1e-9, atol=1e-9, err_msg=f"{name}({kwargs}) looks ahead"
        )
        cut = table_of(name, bars.iloc[:201], **kwargs)
        assert list(cut.columns) == list(full.columns)
        if cut.notna().any(axis=None):
            np.testing.assert_allclose(cut, full.iloc[:201], rtol=1e-9, atol=1e-9, err_msg=f"{name}({kwargs})")


@pytest.mark.parametrize("name", ["dpo", "ichimoku", "tos_stdevall"])
def test_what_is_refused_as_looking_ahead_does_look_ahead(name: str) -> None:
    bars = walk(200, seed=7)

    def call(frame: pd.DataFrame) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pandas_ta_classic as classic

            if name == "ichimoku":
                result = classic.ichimoku(frame["high"], frame["low"], frame["close"], as_dataframe=True)
            else:
                result = getattr(classic, name)(frame["close"])
        return result.to_numpy()

    assert not np.allclose(call(bars)[:150], call(bars.iloc[:150]), equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
def test_too_few_bars_give_nan_under_the_right_names(name: str) -> None:
    bars = walk(300, seed=9)
    full = table_of(name, bars)
    for rows in (0, 1, 2, 5, 12, 30, 60):
        short = table_of(name, bars.iloc[:rows])
        assert list(short.columns) == list(full.columns)
        assert short.shape == (rows, full.shape[1])
        assert short.dtypes.eq("float64").all()
        if short.notna().any(axis=None):
            np.testing.assert_allclose(short, full.iloc[:rows], rtol=1e-9, atol=1e-9, err_msg=f"{rows} bars")


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_does_something(name: str) -> None:
    bars = walk(400, seed=11)
    default = table_of(name, bars)
    for word in [word for word in _parameters(name) if not in_order(name, word)]:
        calls = [call for call in variants(name) if word in call]
        results = [table_of(name, bars, **call) for call in calls]
        changed = [
            list(result.columns) != list(default.columns) or not np.allclose(result, default, equal_nan=True)
            for result in results
        ]
        assert any(changed), f"{name}: {word} is ignored"
        assert changed.count(False) <= 1, f"{name}: several values of {word} mean the same"


def test_squeeze_pro_takes_its_three_widths_in_order() -> None:
    bars = walk(200)
    wider = compute("squeeze_pro", bars, kc_scalar_wide=3.0, kc_scalar_normal=2.0, kc_scalar_narrow=1.5)
    assert wider.columns[0] == "SQZPRO_20_2.0_20_3.0_2.0_1.5"


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(ROWS)), st.integers(0, 2**31), st.integers(1, 250))
def test_truncated_bars_give_the_prefix_exactly_where_ta_lib_or_our_code_serves(
    name: str, seed: int, cut: int
) -> None:
    bars = walk(250, seed=seed)
    np.testing.assert_array_equal(table_of(name, bars.iloc[:cut]), table_of(name, bars).iloc[:cut])


def test_every_name_has_one_source_or_a_reason() -> None:
    assert names() == tuple(sorted(set(ROWS) | CLASSIC))
    assert not CLASSIC & ROWS.keys()
    assert not REFUSED.keys() & set(NAMES)
    for bound in BOUNDS:  # a bound of a parameter that does not exist would never be looked at
        name, _, word = bound.rpartition(".")
        assert any(word in parameters(other) for other in ([name] if name else NAMES)), bound


# The guide


def guide_rows(section: str) -> dict[str, list[str]]:
    """The table of a section of the guide: first cell -> the others, without their code marks."""
    text = GUIDE.read_text(encoding="utf-8").split(f"## {section}\n", 1)[1].split("\n## ", 1)[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    return {re.sub("`", "", first): others for first, *others in rows}


def test_the_guide_tells_the_parameters_columns_and_warm_up_of_every_name() -> None:
    rows = guide_rows("Every name")
    assert list(rows) == list(NAMES)
    bars = walk(1000, seed=1)
    for name, (shown_parameters, shown_columns, shown_warm_up, source) in rows.items():
        result = table_of(name, bars)
        head = list(result.columns)[:12]
        assert shown_parameters.replace("`", "") == ", ".join(parameters(name)[:-1]), name
        assert shown_columns.replace("`", "") == ", ".join(head) + (", ..." if result.shape[1] > 12 else ""), name
        assert shown_warm_up == str(max(warm_up(result[column]) for column in always_known(result))), name
        assert source == ("pandas-ta-classic" if name in CLASSIC else "ours" if name in OURS else "TA-Lib"), name


OURS = {"hma", "supertrend", "vwap"}


def always_known(result: pd.DataFrame) -> list[str]:
    """The columns that stay known once they are; the others (one side of a stop, ...) come and go."""
    steady = [column for column in result if result[column].iloc[warm_up(result[column]) :].notna().all()]
    return steady or list(result)


def test_the_guide_lists_every_difference_and_everything_refused() -> None:
    shown = guide_rows("Differences from pandas-ta-classic")
    assert set(shown) == OTHER_VALUES.keys() | OTHER_WARM_UP.keys()
    assert list(guide_rows("Not served")) == sorted(REFUSED)
    for name, (reason,) in guide_rows("Not served").items():
        assert reason.replace("`", "") == REFUSED[name]


def test_columns_names_those_of_a_result() -> None:
    assert columns(compute("ema", walk(30))) == ["EMA_10"]
