"""Vectorised strategies in event form: what the function may say, and what is done about it."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from desk import HOUR, INVERSE, LINEAR, SPOT, Desk

from metaexpert import bars as candles_
from metaexpert.broker.costs import Costs
from metaexpert.config import StrategySettings, build
from metaexpert.errors import ConfigError, StrategyError
from metaexpert.feed import HistoryFeed, Series
from metaexpert.liveseries import LiveSeries
from metaexpert.models import Fill, Order
from metaexpert.risk import LossLimits
from metaexpert.signals import LivePlan, SignalPlan
from metaexpert.trader import Trader

CLOSES = [100.0, 101.0, 102.0, 103.0, 104.0]


class Silence:
    """A logger that nobody reads."""

    def debug(self, *args, **kwargs) -> None: ...
    def log_once(self, *args, **kwargs) -> None: ...


def series(symbol: str = LINEAR) -> Series:
    close = np.array(CLOSES)
    values = [close, close + 1.0, close - 1.0, close, np.full(close.size, 50.0)]
    return Series(symbol, "1h", candles_.frame(np.arange(close.size) * HOUR, values), first=0)


def plan(answer: object, symbol: str = LINEAR) -> SignalPlan:
    return SignalPlan(lambda bars: answer, series(symbol))


def marks(text: str) -> list[bool]:
    """Read ``..x.x`` as booleans."""
    return [letter == "x" for letter in text]


def trader_of(one: Series, desk: Desk, **settings) -> Trader:
    """A trader without fees on a desk."""
    chosen = {"symbol": one.symbol, "size_type": "fixed_quote", "size_value": 1_000.0} | settings
    return Trader(
        settings=build(StrategySettings, chosen),
        feed=HistoryFeed([one], 0),
        broker=desk.broker,
        clock=desk.clock,
        costs=Costs(),
        limits=LossLimits(None, None, equity=10_000.0, time=0),
        resolve=lambda text: text,
        log=Silence(),
        refusals=Counter(),
    )


def play(answer: object, symbol: str = LINEAR, **settings) -> tuple[list[Fill], list[Order], Counter[str]]:
    """Run signals over five bars without slippage or fees; returns fills, orders and refusals."""
    one, desk = series(symbol), Desk(symbol, capital=10_000.0)
    trader = trader_of(one, desk, **settings)
    acting = SignalPlan(lambda bars: answer, one)
    for step in trader.feed:
        for bar in step.matched:
            desk.bar(bar.open, bar.high, bar.low, bar.close)
        for _, index in step.delivered:
            one.cursor.i = index
            acting.act(index, trader)
    return desk.broker.fills, list(desk.broker.orders.values()), trader.refusals


def told(fills: list[Fill]) -> list[tuple[str, float, float]]:
    return [(fill.side.value, fill.qty, fill.price) for fill in fills]


# --- what is done about signals -----------------------------------------------------------------------------


def test_a_signal_is_acted_on_at_the_next_open():
    """Entry at the close of bar 0, filled at 101; exit at the close of bar 2, filled at 103."""
    fills, _, _ = play({"long_entry": marks("x...."), "long_exit": marks("..x..")}, size_value=1_010.0)
    assert told(fills) == [("buy", 10.1, 101.0), ("sell", 10.1, 103.0)]


def test_entries_on_the_side_that_is_held_are_ignored():
    """Bars 1 to 3 repeat what bar 0 said, one of them with an exit: that is done, no new entry with it."""
    fills, orders, _ = play({"long_entry": marks("xxxx."), "long_exit": marks("..x..")})
    assert [fill.side for fill in fills] == ["buy", "sell", "buy"]
    assert len(orders) == 3


def test_exits_of_the_other_side_and_of_nothing_are_ignored():
    """A short's exit leaves a long alone, and a flat book has nothing to leave."""
    _, orders, _ = play({"long_entry": marks(".x..."), "long_exit": marks("x...."), "short_exit": marks("..xx.")})
    assert len(orders) == 1


def test_an_opposite_entry_reverses_in_one_order():
    """10 long at 101 (1010 quote at 101), then 1010 quote short: sold together at 103."""
    fills, _, _ = play(
        {"long_entry": marks("x...."), "long_exit": marks("..x.."), "short_entry": marks("..x..")},
        size_type="fixed_base",
        size_value=10.0,
    )
    assert told(fills) == [("buy", 10.0, 101.0), ("sell", 20.0, 103.0)]


def test_a_short_is_left_and_reversed_like_a_long():
    """The mirror."""
    fills, _, _ = play(
        {"short_entry": marks("x...."), "short_exit": marks(".x..."), "long_entry": marks("..x..")},
        size_type="fixed_base",
        size_value=10.0,
    )
    assert told(fills) == [("sell", 10.0, 101.0), ("buy", 10.0, 102.0), ("buy", 10.0, 103.0)]


def test_an_exit_is_made_although_the_reversing_entry_is_refused():
    """Rule 24: filters refuse entries, never exits. Bar 2 closes at 03:00, when nothing may be opened."""
    answer = {"long_entry": marks("x...."), "long_exit": marks("..x.."), "short_entry": marks("..x..")}
    fills, _, refusals = play(answer, size_type="fixed_base", size_value=10.0, trade_hours={1})
    assert told(fills) == [("buy", 10.0, 101.0), ("sell", 10.0, 103.0)]
    assert refusals == {"trade_hours": 1}


def test_a_refused_reversal_without_an_exit_leaves_the_position():
    """Nothing said that it should be left."""
    answer = {"long_entry": marks("x...."), "short_entry": marks("..x..")}
    fills, _, refusals = play(answer, size_type="fixed_base", size_value=10.0, trade_hours={1})
    assert told(fills) == [("buy", 10.0, 101.0)]
    assert refusals == {"trade_hours": 1}


def test_on_spot_a_short_entry_closes():
    """With or without an exit beside it, and it opens nothing when flat."""
    for exits in (marks("....."), marks("..x..")):
        answer = {"long_entry": marks("x...."), "long_exit": exits, "short_entry": marks("..x.x")}
        fills, orders, refusals = play(answer, SPOT, size_type="fixed_base", size_value=10.0)
        assert told(fills) == [("buy", 10.0, 101.0), ("sell", 10.0, 103.0)]
        assert len(orders) == 2
        assert not refusals


def test_on_a_live_window_the_last_row_acts_at_each_close():
    """Entry on closes above 101, exit above 103: bought at the open after 102, sold at the one after 104.

    The window keeps three bars, and is cut once; the function is asked once a bar, and sees no other bars.
    """
    seen: list[list[float]] = []

    def rule(bars: pd.DataFrame) -> dict[str, pd.Series]:
        seen.append(bars["close"].tolist())
        return {"long_entry": bars["close"] > 101.0, "long_exit": bars["close"] > 103.0}

    whole, desk = series(), Desk(LINEAR, capital=10_000.0)
    one = LiveSeries(LINEAR, "1h", whole.candles.iloc[:1], 2)
    trader, plan = trader_of(one, desk), LivePlan(rule, one)
    for place in range(1, 5):
        bar = whole.bar(place)
        desk.bar(bar.open, bar.high, bar.low, bar.close)
        one.cursor.i = one.append(bar)
        plan.act(one.cursor.i, trader)
    desk.bar(105.0, 106.0, 104.0, 105.0)
    assert seen == [[100.0, 101.0], [100.0, 101.0, 102.0], [100.0, 101.0, 102.0, 103.0], [102.0, 103.0, 104.0]]
    assert [(fill.side.value, fill.price) for fill in desk.broker.fills] == [("buy", 103.0), ("sell", 105.0)]


def test_a_size_of_ones_own():
    """NaN leaves it to the settings; what stands on other bars is not looked at."""
    answer = {"long_entry": marks("x.x.."), "long_exit": marks(".x.x."), "size": [2.5, -1.0, np.nan, 0.0, 0.0]}
    fills, _, _ = play(answer, size_type="fixed_base", size_value=7.0)
    assert [fill.qty for fill in fills] == [2.5, 2.5, 7.0, 7.0]


def test_an_inverse_strategy():
    """1000 USD of contracts, long and out."""
    fills, _, _ = play({"long_entry": marks("x...."), "long_exit": marks("..x..")}, INVERSE)
    assert told(fills) == [("buy", 1_000.0, 101.0), ("sell", 1_000.0, 103.0)]


# --- what a function may return -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [
        list,
        np.array,
        pd.Series,
        lambda values: pd.Series(values, index=series().candles.index),
        lambda values: pd.Series(values, index=series().candles.index.tz_localize(None)),
        lambda values: pd.Series(values, index=series().candles.index.tz_convert("Asia/Tokyo").as_unit("ns")),
        lambda values: pd.Series(values, dtype="boolean"),
        lambda values: np.array(values, dtype=object),
    ],
)
def test_columns_in_every_shape(shape):
    """Lists, arrays, Series with or without the bars' index, nullable and object booleans."""
    fills, _, _ = play({"long_entry": shape(marks("x....")), "long_exit": shape(marks("..x.."))})
    assert [fill.side for fill in fills] == ["buy", "sell"]


def test_a_table_of_columns():
    """A DataFrame is a dict of its columns."""
    table = pd.DataFrame({"long_entry": marks("x...."), "long_exit": marks("..x..")}, index=series().candles.index)
    assert len(play(table)[0]) == 2


INDEX = series().candles.index


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "return a dict or DataFrame of boolean columns, not NoneType"),
        (marks("x...."), "not list"),
        ({}, "return at least long_entry or short_entry"),
        ({"long_exit": marks("x....")}, "return at least long_entry or short_entry"),
        ({"long_enter": marks("x....")}, "unknown column 'long_enter'; did you mean 'long_entry'?"),
        ({"long_entry": marks("x...")}, r"long_entry has shape \(4,\), the bars have \(5,\)"),
        ({"long_entry": True}, r"long_entry has shape \(\)"),
        ({"long_entry": [1, 0, 0, 0, 0]}, "long_entry must be boolean, not int64"),
        ({"long_entry": [1.0, np.nan, 0, 0, 0]}, "long_entry must be boolean, not float64"),
        (
            {"long_entry": pd.Series([True, None, True, True, True], dtype="boolean")},
            "fill missing ones with False",
        ),
        ({"long_entry": pd.Series(marks("x....")).shift(1)}, "fill missing ones with False"),
        (
            {"long_entry": pd.Series(marks("x...."), index=INDEX[[0, 1, 1, 3, 4]])},
            r"another index than the bars: 1970-01-01 01:00:00\+00:00 at 1970-01-01 02:00:00\+00:00 \(row 2\)",
        ),
        ({"long_entry": pd.Series(marks("x...."), index=INDEX[::-1])}, "another index than the bars"),
        (
            {"long_entry": pd.Series(marks("x...."), index=INDEX + pd.Timedelta("1h"))},
            "another index than the bars",
        ),
        ({"long_entry": marks("x...."), "size": ["a"] * 5}, r"\(row 0\) is 'a': size must be numbers"),
        ({"long_entry": marks("x...."), "size": [1.0, None, "2", 1.0, 1.0]}, r"\(row 2\) is '2': size must be"),
        ({"long_entry": marks("x...."), "size": [True] * 5}, "is True: size must be numbers"),
        ({"long_entry": marks("x...."), "size": [1j] * 5}, "size must be numbers"),
        (
            {"long_entry": marks(".x..."), "size": [0.0] * 5},
            r"01:00:00\+00:00 \(row 1\) must be a positive",
        ),
        ({"long_entry": marks(".x..."), "size": [-1.0] * 5}, "positive number, got -1; NaN where"),
        ({"long_entry": marks(".x..."), "size": [np.inf] * 5}, "positive number, got inf"),
        ({"long_entry": marks("x...."), "size": -1.0}, "positive number, got -1"),
        ({"long_entry": marks("x...."), "size": True}, "is True: size must be numbers"),
        (
            {"long_entry": np.array([True, None, False, False, False])},
            r"\(row 1\) is None, not True",
        ),
        ({"long_entry": marks("..x.."), "short_entry": marks("..x..")}, "both true at 1970-01-01 02:00"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(answer, message):
    """What is wrong, and what to do."""
    with pytest.raises(StrategyError, match=message) as caught:
        plan(answer)
    assert str(caught.value).startswith("signals: ")
    assert "\n" not in str(caught.value)


def test_a_function_that_fails_is_named_with_its_line():
    """An error of the expert's own code, in one line."""

    def broken(bars: pd.DataFrame) -> object:
        return {"long_entry": bars["closed"] > 1}

    line = broken.__code__.co_firstlineno + 1
    with pytest.raises(StrategyError, match=rf"signals failed: KeyError: 'closed' \(test_signals\.py:{line}\)"):
        SignalPlan(broken, series())
    with pytest.raises(StrategyError, match=r"signals failed: TypeError: .*not callable"):
        SignalPlan(3, series())


def test_errors_of_our_own_pass():
    """They say already what is wrong."""

    def broken(bars: pd.DataFrame) -> object:
        raise ConfigError("unknown indicator 'emma'")

    with pytest.raises(ConfigError, match=r"^unknown indicator 'emma'$"):
        SignalPlan(broken, series())


def test_a_function_may_write_to_its_bars():
    """The candles that are traded stay as they are."""
    one = series()

    def greedy(bars: pd.DataFrame) -> dict[str, pd.Series]:
        bars["close"] = bars["close"].shift(-1)
        bars["up"] = bars["close"] > 102.0
        return {"long_entry": bars["up"]}

    SignalPlan(greedy, one)
    assert list(one.candles.columns) == list(candles_.COLUMNS)
    assert list(one.candles["close"]) == CLOSES
