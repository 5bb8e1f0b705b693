"""Backtest.sweep: figures equal to those of single runs, a table that tells passes apart, plain refusals."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from desk import INVERSE, LINEAR, SPOT, market
from hypothesis import given, settings
from hypothesis import strategies as st

from metaexpert import Backtest, ConfigError, DataError, MetaExchange, MetaExpert, StrategyError
from metaexpert.backtest.summary import METRICS
from metaexpert.indicators import cross_above, cross_below

if TYPE_CHECKING:
    from collections.abc import Callable

    from metaexpert.backtest.grid import Grid

FEES = {"maker": 0.0002, "taker": 0.0005, "liquidation_fee_rate": 0.01}


def candles(seed: int, n: int = 240, *, step: str = "h", wild: float = 0.01, gaps: bool = False) -> pd.DataFrame:
    """Random candles around 100; with `gaps` some are missing."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, wild, n)))
    opens = np.roll(close, 1) * np.exp(rng.normal(0.0, wild / 4.0, n))
    opens[0] = 100.0
    reach = np.exp(np.abs(rng.normal(0.0, wild / 2.0, (2, n))))
    columns = {
        "open": opens, "high": np.maximum(opens, close) * reach[0], "low": np.minimum(opens, close) / reach[1],
        "close": close, "volume": rng.uniform(1.0, 9.0, n),
    }  # fmt: skip
    index = pd.date_range("2024-01-01", periods=n, freq=step, tz="UTC", unit="ms", name="time")
    bars = pd.DataFrame(columns, index=index)
    return bars[rng.random(n) > 0.1] if gaps else bars


def crosses(bars: pd.DataFrame, fast: int, slow: int) -> dict[str, Any] | None:
    if fast >= slow:
        return None
    quick, calm = bars.ta.sma(fast), bars.ta.sma(slow)
    return {"long_entry": cross_above(quick, calm), "long_exit": cross_below(quick, calm)}


def assert_same(stats: Any, row: pd.Series[Any]) -> None:
    """All figures of a pass against those of a `Result`, with ``==``; undefined is NaN here and None there."""
    ours = {name: None if np.isnan(row[name]) else row[name] for name in METRICS}
    assert ours == {name: stats[name] for name in METRICS}


# --- the figures ----------------------------------------------------------------------------------------------


LEVELS = st.fixed_dictionaries(
    {},
    optional={
        "stop_loss_pct": st.sampled_from([0.5, 2.0, 5.0]),
        "take_profit_pct": st.sampled_from([1.0, 4.0]),
        "trailing_stop_pct": st.sampled_from([1.0, 3.0]),
        "breakeven_pct": st.just(0.4),
        "slippage_pct": st.just(0.05),
        "max_drawdown_pct": st.sampled_from([0.05, 0.2]),
        "daily_loss_limit": st.sampled_from([50.0, 500.0]),
        "trade_hours": st.just(range(6, 22)),
    },
)
SIZES = st.sampled_from(
    [{}, {"size_type": "percent_equity", "size_value": 0.9}, {"size_type": "fixed_quote", "size_value": 3_000.0}]
)


@given(
    seed=st.integers(0, 2**32 - 1), symbol=st.sampled_from([SPOT, LINEAR, INVERSE]), levels=LEVELS, size=SIZES,
    leverage=st.sampled_from([1, 5, 20]), cross=st.booleans(), funding=st.sampled_from([None, 0.001, -0.003]),
    step=st.sampled_from(["h", "4h", "D"]), wild=st.sampled_from([0.002, 0.02, 0.06]), gaps=st.booleans(),
    at_end=st.booleans(), density=st.sampled_from([0.0, 0.02, 0.2]), capital=st.sampled_from([100.0, 10_000.0]),
)  # fmt: skip
@settings(max_examples=50)
def test_every_figure_equals_that_of_the_single_run(
    seed: int, symbol: str, levels: dict[str, Any], size: dict[str, Any], leverage: int, *, cross: bool,
    funding: float | None, step: str, wild: float, gaps: bool, at_end: bool, density: float, capital: float,
) -> None:  # fmt: skip
    bars = candles(seed, step=step, wild=wild, gaps=gaps)
    chance = np.random.default_rng(seed).random((4, len(bars)))
    wish = chance < density
    wish[2] &= ~wish[0]

    def signals(_bars: pd.DataFrame, shorts: bool) -> dict[str, Any]:
        sides = {"long_entry": wish[0], "long_exit": wish[1]}
        return sides | ({"short_entry": wish[2], "short_exit": wish[3]} if shorts else {})

    same: dict[str, Any] = {"market": market(symbol, **FEES), "initial_capital": capital, "close_at_end": at_end}
    same |= levels | size
    if symbol != SPOT:
        same |= {"leverage": leverage, "margin_mode": "cross" if cross else "isolated", "funding": funding}
    grid = Backtest.sweep(bars, signals, shorts=[False, True], **same)
    for (shorts,), row in zip([(False,), (True,)], grid.stats.itertuples(index=False), strict=True):
        single = Backtest.from_signals(bars, **signals(bars, shorts), **same)
        assert_same(single.stats, pd.Series(row._asdict()))


def test_the_scenarios_meet_what_matters() -> None:
    """Figures that never occur would prove nothing: liquidation, funding, limits, refusals and open trades do."""
    wish = np.random.default_rng(3).random((2, 240)) < 0.2
    wish[1] &= ~wish[0]

    def signals(_bars: pd.DataFrame) -> dict[str, Any]:
        return {"long_entry": wish[0], "short_entry": wish[1]}

    grid = Backtest.sweep(
        candles(3, wild=0.03), signals, market=market(LINEAR, **FEES), leverage=[1, 5, 20], funding=0.001,
        max_drawdown_pct=[None, 0.05], size_type="percent_equity", size_value=0.9,
    )  # fmt: skip
    passes = [grid.result(leverage=one, max_drawdown_pct=limit) for one in (1, 5, 20) for limit in (None, 0.05)]
    reasons = {str(trade.exit_reason) for one in passes for trade in one.record.trades}
    assert {"liquidation", "max_drawdown", "order", "None"} <= reasons
    assert (grid.stats["funding"] != 0.0).any()
    assert (grid.stats["orders_rejected"] > 0).any()
    assert (grid.stats["open_trades"] == 1).any()


def test_hand_computed_money_of_two_sizes() -> None:
    """In at 110, out at 130: a coin makes 20, less 0.1 % of 240; two coins twice that."""
    closes = [100.0, 110.0, 120.0, 130.0, 140.0]
    opens = [100.0, *closes[:-1]]
    index = pd.date_range("2024-01-01", periods=5, freq="h", tz="UTC", unit="ms", name="time")
    bars = pd.DataFrame({"open": opens, "high": closes, "low": opens, "close": closes, "volume": 1.0}, index=index)

    def signals(_bars: pd.DataFrame, coins: float) -> dict[str, Any]:
        return {
            "long_entry": [False, True, False, False, False], "long_exit": [False, False, False, True, False],
            "size": [coins] * 5,
        }  # fmt: skip

    grid = Backtest.sweep(bars, signals, coins=[1.0, 2.0], fee_taker=0.001)
    assert grid.stats["final_equity"].tolist() == pytest.approx([10_019.76, 10_039.52])
    assert grid.stats["trades"].tolist() == [1, 1]
    assert grid.best("net_profit") == {"coins": 2.0}


def test_settings_change_what_happens() -> None:
    """A swept setting is that of its pass, and one that is given once holds for all."""
    bars = candles(1)
    grid = Backtest.sweep(bars, crosses, fast=[3], slow=[10], stop_loss_pct=[None, 0.5, 5.0], slippage_pct=0.1)
    for stop, trades in zip([None, 0.5, 5.0], grid.stats["trades"], strict=True):
        single = Backtest.from_signals(
            bars, **crosses(bars, 3, 10), stop_loss_pct=stop, slippage_pct=0.1, margin_mode="isolated"
        )
        assert single.stats["trades"] == trades
    reasons = {trade.exit_reason for trade in grid.result(fast=3, slow=10, stop_loss_pct=0.5).record.trades}
    assert "stop_loss" in reasons
    assert (grid.stats["slippage"] > 0.0).all()


# --- the table ------------------------------------------------------------------------------------------------


def test_passes_stand_in_the_order_of_their_ranges() -> None:
    """The last parameter changes fastest; passes that the signals leave out are missing."""
    grid = Backtest.sweep(candles(1), crosses, slow=[5, 20], fast=range(4, 8))
    assert grid.stats.index.names == ["slow", "fast"]
    assert grid.stats.index.tolist() == [(5, 4), (20, 4), (20, 5), (20, 6), (20, 7)]
    assert len(grid) == 5
    assert repr(grid) == "<Grid of 5 passes over slow, fast>"
    assert list(grid.stats.columns) == list(METRICS)


def test_many_passes_keep_their_rows() -> None:
    """Lots are played by threads at once: each row is still that of its parameters."""
    bars = candles(2)
    grid = Backtest.sweep(bars, crosses, fast=range(2, 15), slow=range(10, 60, 3))
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(grid), 12):
        chosen = dict(zip(("fast", "slow"), grid.stats.index[at], strict=True))
        assert_same(grid.result(**chosen).stats, grid.stats.iloc[at])


def test_one_parameter_makes_a_plain_index() -> None:
    grid = Backtest.sweep(candles(1), lambda bars, fast: crosses(bars, fast, 30), fast=[2, 4])
    assert grid.stats.index.tolist() == [2, 4]
    with pytest.raises(ConfigError, match="two parameters, this sweep has 'fast' alone"):
        grid.pivot()


def test_symbols_are_traded_one_by_one() -> None:
    frames = {"AAA": candles(1), "BBB": candles(2, 300)}
    grid = Backtest.sweep(frames, crosses, fast=[3, 5], slow=[20])
    assert grid.stats.index.tolist() == [("AAA", 3, 20), ("AAA", 5, 20), ("BBB", 3, 20), ("BBB", 5, 20)]
    alone = Backtest.sweep(frames["BBB"], crosses, fast=[3, 5], slow=[20])
    pd.testing.assert_frame_equal(grid.stats.loc["BBB"], alone.stats)
    assert grid.best("final_equity")["symbol"] in frames
    assert_same(grid.result(symbol="BBB", fast=5, slow=20).stats, grid.stats.loc[("BBB", 5, 20)])
    assert grid.pivot("trades").index.tolist() == ["AAA", "BBB"]


def test_each_symbol_has_its_market() -> None:
    frames = {"AAA": candles(1), "BBB": candles(1)}
    markets = {"AAA": market(LINEAR, taker=0.0), "BBB": market(LINEAR, taker=0.01), "CCC": market(SPOT)}
    grid = Backtest.sweep(frames, crosses, market=markets, fast=[3], slow=[20])
    assert grid.stats["fees"].tolist()[0] == 0.0 < grid.stats["fees"].tolist()[1]


@pytest.fixture(scope="module")
def grid() -> Grid:
    return Backtest.sweep(
        candles(4), crosses, fast=[3, 5, 40], slow=[30, 20], stop_loss_pct=[None, 1.0], market=market(LINEAR)
    )


def test_the_best_pass_is_the_first_of_the_highest(grid: Grid) -> None:
    values = grid.stats["sharpe"]
    best = grid.best()
    assert values[tuple(best.values())] == values.max()
    low = grid.best("max_drawdown", lowest=True)
    assert grid.result(**low).stats["max_drawdown"] == grid.stats["max_drawdown"].min()


def test_a_parameter_that_is_none_comes_back_as_none(grid: Grid) -> None:
    """The table shows it as NaN, which no setting takes."""
    passes = [grid.result(fast=3, slow=20, stop_loss_pct=stop) for stop in (None, 1.0)]
    assert [one.record.settings["stop_loss_pct"] for one in passes] == [None, 1.0]
    assert grid.pivot("trades", index="fast", columns="stop_loss_pct").shape == (2, 2)
    only = Backtest.sweep(candles(4), crosses, fast=[3], slow=[20], stop_loss_pct=[None])
    assert only.best("trades") == {"fast": 3, "slow": 20, "stop_loss_pct": None}


def test_a_pivot_has_the_best_of_the_passes_that_share_both(grid: Grid) -> None:
    table = grid.pivot("net_profit")
    assert (table.index.name, table.columns.name) == ("fast", "slow")
    assert (table.index.tolist(), table.columns.tolist()) == ([3, 5], [30, 20])
    both = grid.stats["net_profit"].to_numpy()[:2]
    assert table.loc[3, 30] == both.max()
    assert grid.pivot("net_profit", lowest=True).loc[3, 30] == both.min()
    assert grid.pivot("net_profit", columns="fast").index.name == "slow"
    assert grid.pivot("net_profit", index="slow").columns.name == "fast"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda grid: grid.best("sharp"), "did you mean 'sharpe'"),
        (lambda grid: grid.pivot("trades", index="fst"), "did you mean 'fast'"),
        (lambda grid: grid.pivot("trades", index="fast", columns="fast"), "given for both"),
        (lambda grid: grid.result(fast=3, slow=20), "a value for each of fast, slow, stop_loss_pct"),
        (lambda grid: grid.result(fast=4, slow=20, stop_loss_pct=1.0), "no such pass"),
        (lambda grid: grid.result(fast=40, slow=20, stop_loss_pct=1.0), "no such pass"),
    ],
)
def test_questions_that_have_no_answer(grid: Grid, call: Callable[[Grid], Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        call(grid)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_metric_that_is_undefined_everywhere_has_no_best() -> None:
    nothing = {"long_entry": np.zeros(240, dtype=bool)}
    grid = Backtest.sweep(candles(1), lambda _bars, n: nothing, n=[1, 2])
    assert grid.stats["win_rate_pct"].isna().all()
    with pytest.raises(ConfigError, match="win_rate_pct is undefined in all 2 passes"):
        grid.best("win_rate_pct")


# --- the heat map ---------------------------------------------------------------------------------------------


def test_a_heat_map_shows_the_pivot(grid: Grid) -> None:
    figure = grid.heatmap("trades", index="slow")
    table = grid.pivot("trades", index="slow")
    shown = figure.data[0]
    assert np.array_equal(shown.z, table.to_numpy())
    assert (list(shown.x), list(shown.y)) == (["3", "5"], ["30", "20"])
    assert figure.layout.xaxis.title.text == "fast"
    assert figure.layout.yaxis.title.text == "slow"


def test_a_heat_map_without_plotly_says_what_to_install(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ConfigError, match=r"a heat map needs plotly: pip install 'metaexpert\[plot\]'"):
        grid.heatmap()


# --- an expert ------------------------------------------------------------------------------------------------


def expert_of(symbol: Any = "BTCUSDT", **more: Any) -> MetaExpert:
    expert = MetaExpert("demo", market_type="futures", contract_type="linear", log_to_console=False, **more)
    inputs = expert.inputs(fast=5, slow=20)
    expert.on_init(symbol=symbol, timeframe="1h", leverage=3, stop_loss_pct=2.0)(lambda: None)
    expert.signals(lambda bars: crosses(bars, inputs.fast, inputs.slow))
    return expert


def test_an_expert_is_swept_under_its_own_settings() -> None:
    """Its stop, leverage and market hold unless they are given; its inputs are as before afterwards."""
    expert, demo = expert_of(), MetaExchange("demo", market_type="futures", contract_type="linear")
    bars = demo.bars("BTCUSDT", "1h", "2024-01-01", "2024-02-01")
    grid = Backtest.sweep(bars, expert, fast=[3, 5], slow=[20, 30])
    own = {"market": demo.market("BTCUSDT"), "leverage": 3, "stop_loss_pct": 2.0}
    for fast, slow in grid.stats.index:
        single = Backtest.from_signals(bars, **crosses(bars, fast, slow), **own)
        assert_same(single.stats, grid.stats.loc[(fast, slow)])
    theirs = expert.backtest("2024-01-01", "2024-02-01", inputs={"fast": 3, "slow": 30}, capital=10_000.0)
    assert theirs.stats["trades"] > 0
    assert_same(grid.result(fast=5, slow=20).stats, grid.stats.loc[(5, 20)])
    tighter = Backtest.sweep(bars, expert, fast=[3], stop_loss_pct=[0.2, 2.0])
    assert tighter.stats["trades"].iloc[1] == grid.stats["trades"].loc[(3, 20)]
    assert tighter.stats["final_equity"].nunique() == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda bars: Backtest.sweep(bars, expert_of(), fats=[1]), "did you mean 'fast'"),
        (lambda bars: Backtest.sweep(bars, expert_of(), fast=["x"]), "fast='x': input fast is int"),
        (lambda bars: Backtest.sweep(bars, expert_of(["BTCUSDT", "ETHUSDT"]), fast=[3]), "no single symbol"),
        (lambda bars: Backtest.sweep(bars, expert_of(position_mode="hedge"), fast=[3]), "hedge mode"),
        (lambda bars: Backtest.sweep(bars, MetaExpert("demo"), fast=[3]), "has no @expert.signals"),
    ],
)
def test_experts_that_can_t_be_swept(call: Callable[[pd.DataFrame], Any], said: str) -> None:
    with pytest.raises((ConfigError, StrategyError)) as raised:
        call(candles(1))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


# --- what is refused ------------------------------------------------------------------------------------------


BARS = candles(1)


def short_of(bars: pd.DataFrame, fast: int, slow: int) -> dict[str, Any]:
    return {"long_entry": [True] * (len(bars) - fast)}


def broken(bars: pd.DataFrame, fast: int, slow: int) -> dict[str, Any]:
    return {"long_entry": bars["close"] > bars["nothing"] if fast == 3 else bars["close"] > slow}


def at(row: int, name: str, value: float) -> pd.DataFrame:
    bars = BARS.copy()
    bars.loc[bars.index[row], name] = value
    return bars


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Backtest.sweep(BARS, crosses), "there is nothing to sweep"),
        (lambda: Backtest.sweep(BARS, crosses, stop_loss_pct=1.0), "there is nothing to sweep"),
        (lambda: Backtest.sweep(BARS, crosses, fast=[], slow=[20]), "fast has no values"),
        (lambda: Backtest.sweep(BARS, crosses, fast=[3], slow=(n for n in ())), "slow has no values"),
        (lambda: Backtest.sweep(BARS, crosses, fast=[3], slow=[20], stop_loss_pct=[]), "stop_loss_pct has no"),
        (lambda: Backtest.sweep(BARS, crosses, fast={3, 5}, slow=[20]), "fast is a set, which has no order"),
        (lambda: Backtest.sweep(BARS, crosses, fast={3: 5}, slow=[20]), "fast is a dict, which has no order"),
        (lambda: Backtest.sweep(BARS, crosses, fast=[[3, 5]], slow=[20]), "fast can't take [3, 5]"),
        (lambda: Backtest.sweep(BARS, crosses, fast=[3]), "signals need a value of 'slow'"),
        (lambda: Backtest.sweep(BARS, crosses, fats=[3], slow=[20]), "did you mean 'fast'"),
        (lambda: Backtest.sweep(BARS, crosses, fast=[3], slow=[9], stop_los_pct=[1]), "mean 'stop_loss_pct'"),
        (lambda: Backtest.sweep(BARS, crosses, fast=[3], slow=[9], stop_loss_pct=[1, -1]), "stop_loss_pct"),
        (lambda: Backtest.sweep(BARS, crosses, fast=[3], slow=[9], leverage=[1, 1_000]), "leverage"),
        (lambda: Backtest.sweep(BARS, crosses, fast=[3], slow=[9], position_mode="hedge"), "event path alone"),
        (lambda: Backtest.sweep(BARS, "crosses", fast=[3]), "must be a function of the bars, or an expert"),
        (lambda: Backtest.sweep(BARS, crosses, fast=[30], slow=[3]), "every pass was left out"),
        (lambda: Backtest.sweep(None, crosses, fast=[3], slow=[9]), "give a DataFrame of candles"),
        (lambda: Backtest.sweep({}, crosses, fast=[3], slow=[9]), "at least one symbol"),
        (lambda: Backtest.sweep({"A": BARS, "B": None}, crosses, fast=[3], slow=[9]), "bars of B"),
        (lambda: Backtest.sweep({"A": BARS, "B": BARS}, crosses, fast=[3], slow=[9], funding=0.1), "one symbol"),
        (lambda: Backtest.sweep({"A": BARS}, crosses, fast=[3], slow=[9], market={}), "has none"),
        (lambda: Backtest.sweep({"A": BARS}, crosses, fast=[3], slow=[9], market={"B": market()}), "has B"),
        (lambda: Backtest.sweep({"A": BARS, "B": BARS}, crosses, fast=[3], slow=[9], market=market()),
            "one market can't be that of several symbols"),
        (lambda: Backtest.sweep(BARS, crosses, fast=[3], slow=[9], market={"A": market()}), "no market for one"),
        (lambda: Backtest.sweep(BARS, broken, fast=[5, 3], slow=[9]), "the pass fast=3, slow=9: signals failed"),
        (lambda: Backtest.sweep(BARS, crosses, fast=[3, 0], slow=[9]), "the pass fast=0, slow=9: sma: length"),
        (lambda: Backtest.sweep(BARS, short_of, fast=[0, 7], slow=[9]), "the pass fast=7, slow=9: signals: long_"),
        (lambda: Backtest.sweep({"A": BARS}, short_of, fast=[7], slow=[9]), "the pass fast=7, slow=9 of A: "),
        (lambda: Backtest.sweep(at(5, "high", 1.0), crosses, fast=[3], slow=[9]), "row 5, 2024-01-01 05:00"),
    ],
)  # fmt: skip
def test_what_it_can_t_take_is_refused_with_the_place(call: Callable[[], Any], said: str) -> None:
    with pytest.raises((ConfigError, DataError, StrategyError)) as raised:
        call()
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_numbers_that_overflow_are_refused_with_the_place() -> None:
    bars = BARS.copy()
    bars[["open", "high", "low", "close"]] *= np.where(np.arange(len(bars)) < 50, 1.0, 1e300)[:, None]
    entry = np.arange(len(bars)) == 0
    with pytest.raises(DataError, match="overflows at 2024-01-03 02:00"):
        Backtest.sweep(
            bars, lambda _bars, coins: {"long_entry": entry, "size": np.full(len(bars), coins)}, coins=[1e10],
            initial_capital=1e15, size_type="fixed_base", market=replace(market(SPOT), qty_step=0.0),
        )  # fmt: skip


@pytest.mark.parametrize(
    "fast",
    [[3, 5], (3, 5), range(3, 7, 2), np.array([3, 5]), pd.Series([3, 5]), pd.Index([3, 5]), (n for n in (3, 5))],
)  # fmt: skip
def test_any_ordered_values_make_a_range(fast: Any) -> None:
    grid = Backtest.sweep(BARS, crosses, fast=fast, slow=20)
    assert grid.stats.index.tolist() == [(3, 20), (5, 20)]
    assert type(grid.best("trades")["fast"]) is int


def test_words_and_defaults_are_parameters_too() -> None:
    """A word is one value, not its letters; a parameter with a default may be left out."""

    def signals(bars: pd.DataFrame, /, kind: str, *, length: int = 10, **_others: Any) -> dict[str, Any]:
        mean = bars.ta(kind, length=length)
        return {"long_entry": cross_above(bars["close"], mean), "long_exit": cross_below(bars["close"], mean)}

    grid = Backtest.sweep(BARS, signals, kind=["sma", "ema"])
    assert grid.stats.index.tolist() == ["sma", "ema"]
    assert Backtest.sweep(BARS, signals, kind="sma").stats["trades"].iloc[0] == grid.stats["trades"].iloc[0]
    assert Backtest.sweep(BARS, signals, kind="sma", other=[1]).stats.index.names == ["kind", "other"]
