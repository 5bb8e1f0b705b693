"""Whole runs in hedge mode, through what an expert calls."""

from __future__ import annotations

import pytest
from lab import HOUR, START, expert, flat, keep

from metaexpert import StrategyError

BTC = "BTC/USDT:USDT"
FREE = {"fee_maker": 0.0, "fee_taker": 0.0}


def hedged(prices, **settings):
    """An expert in hedge mode without fees."""
    keep(BTC, prices)
    run = expert("linear", position_mode="hedge")
    run.on_init(symbol=BTC, timeframe="1h", **(FREE | settings))(lambda: None)
    return run


def scripted(run, *steps):
    """Do one of `steps` a bar."""

    @run.on_bar
    def bar(rates):
        number = (rates.time - START) // HOUR
        if number < len(steps):
            steps[number]()

    return run


def test_buying_opens_the_long_and_selling_the_short():
    run = hedged(flat(100, 100, 110, 120, 120))
    seen = []
    scripted(
        run,
        lambda: (run.buy(1.0), run.sell(2.0)),
        lambda: seen.append([(one.side, one.qty) for one in run.positions]),
        lambda: (run.sell(1.0, reduce_only=True), run.close_position(side="short")),
    )
    record = run.backtest().record
    assert seen == [[("long", 1.0), ("short", -2.0)]]
    assert [(trade.side, trade.pnl) for trade in record.trades] == [("long", 20.0), ("short", -40.0)]
    assert {order.position_side for order in record.orders} == {"long", "short"}


def test_open_position_does_not_reverse():
    run = hedged(flat(100, 100, 100, 100), size_type="fixed_base", size_value=1.0)
    seen = []
    scripted(
        run,
        lambda: run.open_position("long"),
        lambda: run.open_position("short", 3.0),
        lambda: seen.append((run.position(side="long").qty, run.position(side="short").qty)),
    )
    run.backtest()
    assert seen == [(1.0, -3.0)]


def test_what_could_mean_either_leg_asks_which():
    run = hedged(flat(100, 100, 100, 100))
    said = []

    def ask():
        for call in (run.position, run.close_position, lambda: run.modify_position(stop_loss=50.0)):
            with pytest.raises(StrategyError, match="say side='long' or side='short'") as error:
                call()
            said.append(str(error.value).split(":")[0])

    scripted(run, lambda: (run.buy(1.0), run.sell(1.0)), ask)
    run.backtest()
    assert said == ["position", "close_position", "modify_position"]


def test_one_open_leg_needs_no_side():
    run = hedged(flat(100, 100, 100, 100, 100))
    seen = []
    scripted(
        run,
        lambda: run.sell(1.0),
        lambda: seen.append((run.position().side, run.modify_position(stop_loss=120.0).stop_loss)),
        run.close_position,
        lambda: seen.append(bool(run.position())),
    )
    run.backtest()
    assert seen == [("short", 120.0), False]


def test_entries_are_counted_by_leg():
    """max_positions_per_symbol=1 lets one long and one short stand; the second long is refused."""
    run = hedged(flat(100, 100, 100, 100))
    scripted(run, lambda: (run.buy(1.0), run.sell(1.0)), lambda: run.buy(1.0))
    record = run.backtest().record
    assert [order.status.value for order in record.orders] == ["filled", "filled", "rejected"]
    assert record.refusals == {"max_positions_per_symbol": 1}


def test_max_open_positions_counts_legs():
    run = hedged(flat(100, 100, 100, 100), max_open_positions=1)
    scripted(run, lambda: run.buy(1.0), lambda: run.sell(1.0))
    assert run.backtest().record.refusals == {"max_open_positions": 1}


def test_signals_enter_and_leave_each_leg_for_itself():
    run = hedged(flat(100, 100, 110, 110, 120, 120), size_type="fixed_base", size_value=1.0)

    @run.signals
    def signals(bars):
        number = range(len(bars))
        return {
            "long_entry": [one == 0 for one in number],
            "short_entry": [one == 1 for one in number],
            "long_exit": [one == 3 for one in number],
            "short_exit": [False for _ in number],
        }

    trades = run.backtest().record.trades
    assert [(trade.side, trade.pnl, trade.exit_time is None) for trade in trades] == [
        ("long", 20.0, False),
        ("short", -10.0, True),
    ]


def test_handlers_hear_which_leg_has_changed():
    run = hedged(flat(100, 100, 100, 100))
    heard = []
    run.on_position(lambda position: heard.append((position.position_side, position.qty)))
    scripted(run, lambda: (run.buy(1.0), run.sell(1.0)), lambda: run.close_position(side="long"))
    run.backtest()
    assert heard == [("long", 1.0), ("short", -1.0), ("long", 0.0)]


def test_a_loss_limit_closes_both_legs():
    run = hedged(flat(100, 100, 100, 90, 90, 90), max_drawdown_pct=0.001)
    scripted(run, lambda: (run.buy(3.0), run.sell(1.0)))
    record = run.backtest().record
    assert record.stop_reason == "max_drawdown"
    assert [trade.exit_reason.value for trade in record.trades] == ["max_drawdown"] * 2


def test_close_at_end_closes_both_legs():
    run = hedged(flat(100, 100, 100))
    scripted(run, lambda: (run.buy(3.0), run.sell(1.0)))
    record = run.backtest(close_at_end=True).record
    assert [trade.exit_reason.value for trade in record.trades] == ["end", "end"]


def test_in_one_way_mode_a_side_only_filters():
    keep(BTC, flat(100, 100, 100, 100))
    run = expert("linear")
    run.on_init(symbol=BTC, timeframe="1h", **FREE)(lambda: None)
    seen = []
    scripted(
        run,
        lambda: run.buy(1.0),
        lambda: seen.append((run.position(side="long").qty, run.position(side="short").qty)),
        lambda: seen.append((run.close_position(side="short"), run.position(side="short").entry_price)),
    )
    run.backtest()
    assert seen == [(1.0, 0.0), (None, None)]
