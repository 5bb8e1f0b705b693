"""One rule book, two drivers: the event engine, the bar loop and the compiled kernel do the same, with ``==``."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenarios import as_dict, by_engine, by_loop, difference, play, scenario

from metaexpert import rules, tiers
from metaexpert.backtest import column, kernel, loop, quiet

SEEDS = st.integers(0, 2**32 - 1)
MANY = settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.fixture(scope="module")
def compiled():
    return kernel.compiled().run_column


@given(seed=SEEDS)
@MANY
def test_engine_loop_and_kernel_are_equal(compiled, seed):
    """Orders with their messages, fills, trades, curves and refusals of a thousand random scenarios."""
    one = scenario(seed)
    expected = as_dict(by_engine(one))
    assert difference(expected, by_loop(one, loop.run_column)) is None
    assert difference(expected, by_loop(one, compiled)) is None


@given(seed=SEEDS)
@settings(MANY, max_examples=300)
def test_what_is_summed_up_equals_the_curve(compiled, seed):
    """Equity at the end of each day, the deepest fall, the time held: the same with and without a curve."""
    one = scenario(seed)
    drawn, _, made, _ = play(one, compiled)
    summed, daily, _, _ = play(one, compiled, curves=False)
    bars = int(drawn.state[column.S_BARS])
    equity, _, exposure, below = drawn.curves[:, :bars]
    ends = [end for end in made.bars.day_ends.tolist() if end < bars]
    assert daily[: len(ends)].tolist() == equity[ends].tolist()
    assert summed.state[column.S_DROP] == below.min(initial=0.0)
    assert summed.state[column.S_HELD_BARS] == (exposure != 0.0).sum()
    assert summed.state[column.S_LONG_BARS] == (exposure > 0.0).sum()
    slots = slice(column.S_DAYS)
    assert summed.state[slots].tolist() == drawn.state[slots].tolist()


def test_the_scenarios_meet_every_rule():
    """Fuzzing proves nothing of what never happens."""
    reasons: set[str] = set()
    for seed in range(200):
        answer = by_loop(scenario(seed), loop.run_column)
        reasons |= {fill.reason.value for fill in answer["fills"]}
        reasons |= {(order.message or "").partition(":")[0] for order in answer["orders"]}
        reasons |= {"ambiguous" for trade in answer["trades"] if trade.ambiguous}
        reasons |= {"funding" for trade in answer["trades"] if trade.funding}
        reasons |= {"open" for trade in answer["trades"] if trade.exit_time is None}
        reasons |= set(answer["refusals"])
    missing = {
        "order", "stop_loss", "take_profit", "trailing_stop", "breakeven", "liquidation", "end",
        "daily_loss_limit", "max_drawdown", "ambiguous", "funding", "open", "insufficient_margin", "below_min_qty",
        "above_max_qty",
        "below_min_notional", "above_max_notional", "size_is_zero", "no_stop", "leverage_above_tier",
        "above_max_position", "reduce_only", "the backtest has ended", "shrunk to the free margin",
        "size capped by free margin", "size capped by max_position_size_quote",
    } - reasons  # fmt: skip
    assert not missing


def later_fee(kind, qty, price, rate):
    return rules.notional(kind, qty, price) * (rate + 1e-15)


def kinder_stop(side, low, high, stop, target, liquidation):
    if side > 0:
        return low >= stop and high < target and low > liquidation
    return high <= stop and low > target and high < liquidation


def best_first(side, high, low, close):
    return (high, low, close) if side > 0 else (low, high, close)


def other_way_slipped(price, side, rate):
    return price * (1.0 - side * rate)


def funding_paid_by_shorts(kind, qty, mark, rate):
    return -rules.funding(kind, qty, mark, rate)


def rounded_up(value, step):
    return rules.round_up(value, step)


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ("fee", later_fee),
        ("is_safe", kinder_stop),
        ("plan_held", best_first),
        ("slipped", other_way_slipped),
        ("funding", funding_paid_by_shorts),
        ("round_down", rounded_up),
        (
            "capped",
            lambda kind, qty, price, cap, held, room: rules.capped(kind, qty, price, cap, held, 0.9 * room),
        ),
        ("liquidation_over", lambda *args: tiers.liquidation_over(*args[:-1], args[-1][:1])),
    ],
)
def test_a_planted_difference_of_one_line_is_found(monkeypatch, rule, wrong):
    """A rule that is another one in the loop alone shows within a few hundred scenarios."""
    monkeypatch.setattr(loop if hasattr(loop, rule) else quiet, rule, wrong)
    found = (seed for seed in range(400) if _differs(scenario(seed)))
    assert next(found, None) is not None


def _differs(one):
    return difference(as_dict(by_engine(one)), by_loop(one, loop.run_column)) is not None
