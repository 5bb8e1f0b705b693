"""Steps on which nothing trades take a short way through the loop, and news that nobody hears isn't made.

Everything must be as on the long way, on which all news is made.
"""

from __future__ import annotations

from dataclasses import fields, replace
from math import inf

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab import HOUR, START, SYMBOLS, candles, expert, flat, keep
from test_properties import COMMON, SHARES, Player, fresh_home, markets, scripts, setups

from metaexpert import StrategyError, crossover, crossunder
from metaexpert.broker.simulated import SimulatedBroker
from metaexpert.history import HistoryProcess
from metaexpert.process import MetaProcess

BTC, ETH = SYMBOLS["linear"]


def both_ways(play):
    """What `play` returns when all steps may take the short way, and when none does."""
    shorts = []
    handle = HistoryProcess.handle

    def counted(self, step):
        shorts.append(step.time)
        handle(self, step)

    with pytest.MonkeyPatch.context() as patch:
        short = play()
        patch.setattr(MetaProcess, "lets_pass", False)
        patch.setattr(MetaProcess, "_hears_news", lambda self: True)
        patch.setattr(HistoryProcess, "handle", counted)
        long = play()
    assert shorts, "the long way was not taken"
    return short, long


def same(first, second):
    """Are two records equal, with ==, in everything?"""
    for field in fields(first):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype, field.name
            assert np.array_equal(one, other), field.name
        elif field.name == "bars":
            assert all(one[symbol].equals(other[symbol]) for symbol in one)
        else:
            assert one == other, field.name


def matched_bars(monkeypatch):
    """The open times of the bars that the broker is shown from now on."""
    shown, on_bar = [], SimulatedBroker.on_bar
    monkeypatch.setattr(
        SimulatedBroker, "on_bar", lambda self, bar: (shown.append(bar.time), on_bar(self, bar))[1]
    )
    return shown


def watched(run, heard):
    """A handler that notes all that an expert can see."""

    def look(bar):
        seen = (run.account, run.positions, run.orders, len(run.rates()))
        heard.append((run.now(), bar, seen))

    return look


@st.composite
def quiet_markets(draw, least=30, most=90):
    """Mostly quiet bars; every so often a stretch of wild ones."""
    bars, price = [], 100.0
    for _ in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.integers(least // 3, most // 3))):
            move = draw(st.sampled_from([-0.04, -0.01, 0.0, 0.0, 0.01, 0.03]))
            bars.append((price, price + 0.05, price - 0.05, price + move))
            price = round(price + move, 2)
        scale = price / 100.0
        bars += [tuple(round(each * scale, 4) for each in bar) for bar in draw(markets(1, 6))]
        price = bars[-1][3]
    return bars


@settings(COMMON, max_examples=150)
@given(
    setups(),
    quiet_markets(),
    quiet_markets(),
    scripts(15),
    st.sampled_from([1, 4, 9]),
    st.sampled_from([(), (), ("2h",), ("4h", "2h")]),
    st.sampled_from(["", "", "account", "order", "timer", "twice", "longer"]),
    st.sampled_from([None, 0.001, -0.005]),
    st.booleans(),
    SHARES,
)
def test_the_short_way_is_the_long_way(setup, bars, other, script, spacing, timeframes, more, funding, two, share):
    """The same fills, orders, trades and curves, with ==, and at every bar the same sights."""
    kind, exchange, own, close_at_end = setup
    own["max_fill_volume_pct"] = share
    symbols = SYMBOLS[kind][: 2 if two and kind != "inverse" else 1]
    script = [replace(action, bar=action.bar * spacing) for action in script]
    capital = 10.0 if kind == "inverse" else 1000.0
    if kind in ("linear", "inverse"):
        own["funding_rate"] = funding

    def play():
        run, heard = expert(kind, **exchange), []
        longer = "4h" if more == "longer" else None
        run.on_init(symbol=list(symbols), **own)(lambda: run.rates(timeframe=longer))
        player = Player(run, script, capital)
        run.on_bar(player.on_bar)
        look = watched(run, heard)
        if more == "account":
            run.on_account(look)
        elif more == "order":
            run.on_order(look)
        elif more == "timer":
            run.on_timer(interval=7.5 * 3600)(lambda: look("timer"))
        elif more == "twice":
            run.on_bar(look)
        for timeframe in timeframes:
            run.on_bar(timeframe=timeframe)(look)
        return run.backtest(capital=capital, close_at_end=close_at_end), heard

    with fresh_home():
        for symbol, prices in zip(symbols, (bars, other), strict=False):
            keep(symbol, prices)
        (short, seen), (long, sights) = both_ways(play)
    same(short.record, long.record)
    for one, other in zip(seen, sights, strict=True):
        assert one == other
    assert short.to_json() == long.to_json()


def test_what_is_let_pass_is_not_matched(monkeypatch):
    """Of 100 bars the broker sees the one that fills the entry, and the one that reaches its stop."""
    bars = [*flat(*[100.0] * 60), (100.0, 100.0, 94.0, 96.0), *flat(*[96.0] * 39)]
    keep(BTC, bars)
    run = expert()

    @run.on_init(symbol=BTC, timeframe="1h", stop_loss_pct=5.0)
    def init(): ...

    @run.on_bar
    def on_bar(bar):
        if bar.time == START + 9 * HOUR:
            run.open_position("long")

    matched = matched_bars(monkeypatch)
    result = run.backtest()
    assert [(time - START) // HOUR for time in matched] == [10, 60]
    assert [fill.price for fill in result.record.fills] == [100.0, 95.0]


@pytest.mark.parametrize("following", [{"breakeven_pct": 2.0}, {"trailing_stop_pct": 2.0}])
def test_a_level_that_a_bar_moves_counts_from_the_next_one_on(following):
    """A bar in which nothing trades moves the stop to 100, or to 101.92; the next but one falls through it."""
    bars = [*flat(100.0, 100.0), (100.0, 104.0, 100.0, 104.0), *flat(104.0, 99.0, 99.0)]
    keep(BTC, bars)

    def play():
        run = expert()

        @run.on_init(symbol=BTC, timeframe="1h", **following)
        def init(): ...

        run.on_bar(lambda bar: run.open_position("long", 1.0) if bar.time == START else None)
        return run.backtest()

    short, long = both_ways(play)
    same(short.record, long.record)
    assert [fill.price for fill in short.record.fills] == [100.0, 99.0]


def test_a_limit_order_far_away_keeps_nothing_awake(monkeypatch):
    """It is looked at when it arrives and when its price is reached: above the limit nothing is done."""
    keep(BTC, [*flat(*[100.0] * 50), (100.0, 100.0, 89.9, 95.0), *flat(*[95.0] * 10)])
    run = expert()
    run.on_init(symbol=BTC, timeframe="1h", max_positions_per_symbol=9)(lambda: run.buy(0.1, price=90.0))
    matched = matched_bars(monkeypatch)
    result = run.backtest()
    assert [(time - START) // HOUR for time in matched] == [0, 50]
    assert [fill.price for fill in result.record.fills] == [90.0]


def test_signals_take_the_short_way_too():
    prices = [100.0 + 5.0 * np.sin(i / 4.0) for i in range(200)]

    def play():
        run = expert()
        run.on_init(symbol=BTC, timeframe="1h", max_drawdown_pct=0.5)(lambda: None)

        @run.signals
        def signals(bars):
            return {"long_entry": bars["close"] < 96.0, "short_entry": bars["close"] > 104.0}

        return run.backtest(engine="event")

    keep(BTC, flat(*prices))
    short, long = both_ways(play)
    same(short.record, long.record)
    assert len(short.record.trades) > 5


def test_symbols_of_different_spans_and_timeframes():
    """One begins later, with gaps; a 4h series beside: at every bar the same values of every indicator."""
    early = candles(flat(*(100.0 + i % 13 for i in range(120))))
    late = candles(flat(*(50.0 + i % 7 for i in range(60))), start=START + 40 * HOUR).drop(
        index=pd.date_range("2024-01-03", periods=5, freq="h", tz="UTC")
    )
    keep(BTC, early)
    keep(ETH, late)

    def play():
        run, heard = expert(), []

        @run.on_init(symbol=[BTC, ETH], timeframe="1h", max_open_positions=2, size_value=0.1)
        def init():
            run.fast, run.slow = (run.indicator("ema", length=length) for length in (3, 8))
            run.other = run.indicator("sma", length=4, symbol=ETH)
            run.long = run.indicator("sma", length=2, timeframe="4h")

        @run.on_bar(timeframe="4h")
        @run.on_bar
        def on_bar(bar):
            heard.append((run.now(), bar, [str(float(one)) for one in (run.fast, run.other, run.long)]))
            if crossover(run.fast, run.slow):
                run.open_position("long", symbol=bar.symbol)
            elif crossunder(run.fast, run.slow):
                run.close_position(bar.symbol)

        return run.backtest(), heard

    (short, seen), (long, sights) = both_ways(play)
    same(short.record, long.record)
    assert seen == sights
    assert {trade.symbol for trade in short.record.trades} == {BTC, ETH}


@pytest.mark.parametrize("catches", [True, False])
def test_errors_and_coroutines_are_dealt_with_on_the_short_way(catches):
    """Every third bar fails; the handler is a coroutine."""
    keep(BTC, flat(*range(100, 130)))

    def play():
        run, heard = expert(), []
        run.on_init(symbol=BTC, timeframe="1h")(lambda: None)

        @run.on_bar
        async def on_bar(bar):
            heard.append((run.now(), bar))
            if bar.close % 3 == 0:
                raise ValueError(bar.close)

        if catches:
            run.on_error(lambda error: heard.append(str(error)))
            return run.backtest().record.stop_reason, heard
        with pytest.raises(StrategyError) as failure:
            run.backtest()
        return str(failure.value), heard

    short, long = both_ways(play)
    assert short == long
    assert len(short[1]) == (30 + 10 if catches else 3)


def test_a_run_that_is_stopped_ends_at_that_bar():
    keep(BTC, flat(*range(100, 130)))

    def play():
        run = expert()
        run.on_init(symbol=BTC, timeframe="1h")(lambda: None)
        run.on_bar(lambda bar: run.stop("enough") if bar.close == 110 else None)
        return run.backtest()

    short, long = both_ways(play)
    same(short.record, long.record)
    assert (len(short.record.time), short.record.stop_reason) == (11, "enough")


@pytest.mark.parametrize("ways", [True, False])
def test_news_of_many_steps_are_not_taken_for_those_of_one(monkeypatch, ways):
    """A refusal at every bar: ten are too many within a step, not within a run."""
    monkeypatch.setattr("metaexpert.process._NEWS_PER_STEP", 10)
    monkeypatch.setattr(MetaProcess, "lets_pass", ways)
    keep(BTC, flat(*[100.0] * 50))
    run = expert()
    run.on_init(symbol=BTC, timeframe="1h")(lambda: None)
    run.on_bar(lambda bar: run.buy(1e-9))
    assert len(run.backtest().record.orders) == 50
    run.on_bar(lambda bar: [run.buy(1e-9) for _ in range(10)])
    with pytest.raises(StrategyError, match="over 10 order events at"):
        run.backtest()


def test_progress_reaches_the_end():
    keep(BTC, flat(*[100.0] * 2500))
    run, told = expert(), []
    run.on_init(symbol=BTC, timeframe="1h")(lambda: None)
    run.on_bar(lambda bar: None)
    run.backtest(progress=told.append)
    assert told == [0.4, 0.8, 1.0]


def test_quiet_says_what_reaches_an_order_or_a_level():
    """The bounds of a resting order of each kind, and of a position's levels; an order on its way allows none."""
    keep(BTC, flat(*[100.0] * 12))
    run, told = expert(), []

    @run.on_init(symbol=BTC, timeframe="1h", max_positions_per_symbol=9, leverage=2.0)
    def init(): ...

    def quiet():
        return run._process.broker.quiet(BTC)

    steps = [
        lambda: None,
        lambda: run.buy(1.0, price=90.0),
        lambda: run.sell(1.0, price=111.0),
        lambda: run.buy(1.0, stop_price=109.0),
        lambda: run.sell(1.0, stop_price=92.0),
        lambda: (run.cancel_all_orders(), run.buy(1.0, stop_loss=95.0, take_profit=120.0)),
        lambda: run.modify_position(stop_loss=None, take_profit=None),
        lambda: run.modify_position(trailing_stop=3.0),
    ]

    @run.on_bar
    def on_bar(bar):
        told.append(quiet()[:2])
        if steps:
            steps.pop(0)()
            told.append(quiet()[:2])

    run.backtest(capital=1000.0)
    never = (inf, -inf)
    assert told[:13] == [
        (-inf, inf), (-inf, inf),
        (-inf, inf), never,
        (90.0, inf), never,
        (90.0, 111.0), never,
        (90.0, 109.0), never,
        (92.0, 109.0), never,
        (95.0, 120.0),
    ]  # fmt: skip
    assert told[13] == (pytest.approx(100.0 / 2.0 / (1.0 - 0.005)), inf)  # without levels, the liquidation price
    assert told[15] == (97.0, 100.0)  # the trailing stop, and the price from which it moves
