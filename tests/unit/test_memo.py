"""Indicators of a sweep: computed once per distinct argument, never taken for those of other candles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from metaexpert import Backtest, ConfigError, StrategyError, _compute
from metaexpert.backtest.memo import Memo
from metaexpert.indicators import compute, register

if TYPE_CHECKING:
    from collections.abc import Callable

N = 60


def candles() -> pd.DataFrame:
    close = 100.0 + 10.0 * np.sin(np.arange(N) / 3.0)
    index = pd.date_range("2024-01-01", periods=N, freq="h", tz="UTC", unit="ms", name="time")
    columns = {"open": close, "high": close + 1.0, "low": close - 1.0, "close": close, "volume": 1.0 + close / 9.0}
    return pd.DataFrame(columns, index=index)


BARS = candles()


@pytest.fixture(autouse=True)
def accessor() -> None:
    register()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of indicators that were really computed, in order."""
    found: list[str] = []
    real = _compute.by_name

    def counted(name: str, *args: Any) -> Any:
        found.append(name)
        return real(name, *args)

    monkeypatch.setattr("metaexpert.indicators.by_name", counted)
    return found


def same(a: Any, b: Any) -> bool:
    """Equal values under equal names."""
    a, b = (one.to_frame() if one.ndim == 1 else one for one in (a, b))
    return bool(a.equals(b)) and list(a.columns) == list(b.columns)


def test_the_same_arguments_are_computed_once(computed: list[str]) -> None:
    memo = Memo(BARS)
    for _ in range(3):
        with memo.lent() as bars:
            assert same(bars.ta.ema(12), compute("ema", BARS, 12))
            assert same(bars.ta.EMA(12), compute("ema", BARS, 12))
            assert same(bars.ta("ema", 12), compute("ema", BARS, 12))
            assert same(bars.ta.ema(length=12), compute("ema", BARS, length=12))
    assert len([name for name in computed if name == "ema"]) == 3 * 4 + 2  # ours: by position, and by name


def test_different_arguments_are_different(computed: list[str]) -> None:
    with Memo(BARS).lent() as bars:
        made = [
            bars.ta.ema(3),
            bars.ta.ema(4),
            bars.ta.sma(3),
            bars.ta.ema(3, close="open"),
            bars.ta.ema(3, offset=1),
        ]
    assert computed == ["ema", "ema", "sma", "ema", "ema"]
    wanted = [
        compute("ema", BARS, 3), compute("ema", BARS, 4), compute("sma", BARS, 3),
        compute("ema", BARS, 3, close="open"), compute("ema", BARS, 3, offset=1),
    ]  # fmt: skip
    assert all(same(one, other) for one, other in zip(made, wanted, strict=True))


def test_equal_numbers_of_other_kinds_are_checked_again() -> None:
    """3 == 3.0 == 3.0 to a dict; a length is a whole number."""
    with Memo(BARS).lent() as bars:
        bars.ta.ema(3)
        with pytest.raises(ConfigError, match="whole number"):
            bars.ta.ema(3.5)
        with pytest.raises(ConfigError, match="whole number"):
            bars.ta.ema(3.0)


def test_tables_of_several_columns_are_remembered_whole(computed: list[str]) -> None:
    memo = Memo(BARS)
    for _ in range(2):
        with memo.lent() as bars:
            macd = bars.ta.macd(5, 9, 3)
            assert same(macd, compute("macd", BARS, 5, 9, 3))
            macd.iloc[:, 0] = 0.0  # the user's own copy
    assert computed.count("macd") == 1 + 2


def test_what_is_written_to_a_result_does_not_come_back() -> None:
    memo = Memo(BARS)
    with memo.lent() as bars:
        first = bars.ta.ema(3)
        first.iloc[:] = 0.0
        assert same(bars.ta.ema(3), compute("ema", BARS, 3))


def replaced(bars: pd.DataFrame) -> None:
    bars["close"] = bars["close"] * 2.0


def one_cell(bars: pd.DataFrame) -> None:
    bars.loc[bars.index[7], "close"] = 50.0


def by_place(bars: pd.DataFrame) -> None:
    bars.iloc[7, 3] = 50.0


def times_two(bars: pd.DataFrame) -> None:
    bars *= 2.0


def new_and_changed(bars: pd.DataFrame) -> None:
    bars["hl2"] = (bars["high"] + bars["low"]) / 2.0
    bars["close"] = bars["open"] + 1.0


def later(bars: pd.DataFrame) -> None:
    bars.index = bars.index + pd.Timedelta("1h")


@pytest.mark.parametrize("write", [replaced, one_cell, by_place, times_two, new_and_changed, later])
def test_candles_that_were_written_to_have_indicators_of_their_own(write: Callable[[pd.DataFrame], None]) -> None:
    """And those of the next pass are as they were."""
    memo, changed = Memo(BARS), candles()
    write(changed)
    with memo.lent() as bars:
        assert same(bars.ta.ema(5), compute("ema", BARS, 5))
        write(bars)
        assert same(bars.ta.ema(5), compute("ema", changed, 5))
    with memo.lent() as bars:
        assert same(bars.ta.ema(5), compute("ema", BARS, 5))
    assert same(BARS, candles())


def test_a_column_that_a_pass_adds_is_its_own(computed: list[str]) -> None:
    """Other indicators are still remembered beside it."""
    memo = Memo(BARS)
    for factor in (1.0, 2.0):
        with memo.lent() as bars:
            bars["mine"] = bars["close"] * factor
            assert same(bars.ta.ema(5, close="mine"), compute("ema", bars, 5, close="mine"))
            bars.ta.sma(5)
    assert computed.count("sma") == 1


def test_arguments_that_can_t_be_hashed_are_computed_anew() -> None:
    with Memo(BARS).lent() as bars:
        for source in (BARS["open"], BARS["high"]):
            assert same(bars.ta.ema(5, close=source), compute("ema", BARS, 5, close=source))


def test_callables_are_asked_each_time() -> None:
    """What a function looks at beside the bars may have changed: a remembered value would be a wrong one."""
    lengths = {"now": 3}

    def mean(bars: pd.DataFrame) -> pd.Series[float]:
        return bars["close"].rolling(lengths["now"]).mean()

    with Memo(BARS).lent() as bars:
        first = bars.ta(mean)
        lengths["now"] = 9
        assert not same(first, bars.ta(mean))
        for n in (4, 5):
            made = bars.ta(lambda known: known["close"].rolling(n).mean())  # noqa: B023 - as people write it
            assert made.equals(BARS["close"].rolling(n).mean().rename(made.name))


def test_the_least_recently_used_go_first(computed: list[str]) -> None:
    memo = Memo(BARS, most=3 * N * 8)
    with memo.lent() as bars:
        for length in (2, 3, 4, 2, 5, 2, 3):  # 3 goes when 5 comes, since 2 was used after it
            bars.ta.ema(length)
    assert len(computed) == 5
    with Memo(BARS, most=1).lent() as bars:  # the last one is kept in any case
        bars.ta.sma(2), bars.ta.sma(2), bars.ta.sma(3), bars.ta.sma(2)
    assert computed.count("sma") == 3


def test_unknown_names_fail_as_they_do_elsewhere() -> None:
    with Memo(BARS).lent() as bars:
        with pytest.raises(AttributeError, match="did you mean 'ema'"):
            bars.ta.emaa(3)
        with pytest.raises(ConfigError, match="did you mean 'ema'"):
            bars.ta("emaa", 3)
        with pytest.raises(StrategyError, match="a name or a callable"):
            bars.ta(5)


def test_candles_with_columns_of_other_kinds() -> None:
    extra = candles().assign(trades=np.arange(N), note="x")
    memo = Memo(extra)
    with memo.lent() as bars:
        assert same(bars.ta.ema(5), compute("ema", BARS, 5))
        assert same(bars.ta.ema(5, close="trades"), compute("ema", extra, 5, close="trades"))
        bars["trades"] = 1
        assert same(bars.ta.ema(5, close="trades"), compute("ema", bars, 5, close="trades"))


def test_a_sweep_whose_signals_write_to_the_bars_equals_single_runs() -> None:
    def signals(bars: pd.DataFrame, n: int, scale: float) -> dict[str, Any]:
        bars["close"] = bars["close"].rolling(n, min_periods=1).mean() * scale
        mean = bars.ta.sma(5)
        return {"long_entry": bars["close"] > mean, "long_exit": bars["open"] < mean}

    grid = Backtest.sweep(BARS, signals, n=[1, 2, 3], scale=[1.0, 2.0])
    for n, scale in grid.stats.index:
        single = Backtest.from_signals(BARS, **signals(candles(), n, scale), margin_mode="isolated")
        assert single.stats["final_equity"] == grid.stats.loc[(n, scale), "final_equity"]
    assert grid.stats["final_equity"].nunique() > 3


def test_a_lambda_over_a_changing_variable_is_not_taken_for_the_last() -> None:
    def signals(bars: pd.DataFrame, n: int) -> dict[str, Any]:
        mean = bars.ta(lambda known: known["close"].rolling(n).mean())
        return {"long_entry": bars["close"] > mean, "long_exit": bars["close"] < mean}

    grid = Backtest.sweep(BARS, signals, n=[2, 8, 20])
    single = [
        Backtest.from_signals(BARS, **signals(candles(), n), margin_mode="isolated").stats["orders"]
        for n in (2, 8, 20)
    ]
    assert grid.stats["orders"].tolist() == single
