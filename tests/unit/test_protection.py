"""Protective levels of a position: which stand, which counts, and how they move (rules 7, 8, 11)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert import rules
from metaexpert.broker.protection import Guard, Protection
from metaexpert.models import ExitReason, Order, OrderType, Side


def guard(side: int = 1, entry: float = 100.0, tick: float = 0.5, **levels) -> Guard:
    return Guard(Protection(**levels), side, entry, tick)


def order(**levels) -> Order:
    return Order(id="1", symbol="BTC/USDT", side=Side.BUY, type=OrderType.MARKET, qty=1.0, **levels)


def test_nothing_protects_what_has_no_levels():
    """No price is unsafe, and none is shown."""
    for side in (1, -1):
        bare = guard(side)
        assert (bare.stop_price, bare.target_price, bare.trailing, bare.liquidation_price) == (None,) * 4
        assert bare.is_safe(1e-12, 1e12)
        assert not bare.saw(1e9 if side > 0 else 1e-9)


@pytest.mark.parametrize(("side", "stop", "target"), [(1, 97.0, 105.0), (-1, 103.0, 95.0)])
def test_levels_in_percent_by_hand(side, stop, target):
    """2.75 % and 4.75 % from 100 are 97.25 and 104.75: on a tick of 0.5 never nearer."""
    one = guard(side, stop_loss_pct=2.75, take_profit_pct=4.75)
    assert (one.stop_price, one.target_price, one.reason) == (stop, target, ExitReason.STOP_LOSS)


@pytest.mark.parametrize(("side", "stop", "target"), [(1, 98.0, 104.5), (-1, 104.5, 98.0)])
def test_prices_are_rounded_away_from_the_market(side, stop, target):
    """Rule 11 holds for levels that are given as prices too."""
    levels = {"stop_loss": 98.3, "take_profit": 104.2} if side > 0 else {"stop_loss": 104.2, "take_profit": 98.3}
    one = guard(side, **levels)
    assert (one.stop_price, one.target_price) == (stop, target)


def test_a_price_wins_over_its_percentage():
    """Of the settings, or of the order."""
    one = guard(stop_loss=90.0, stop_loss_pct=2.0, take_profit=120.0, take_profit_pct=2.0)
    assert (one.stop_price, one.target_price) == (90.0, 120.0)


def test_an_order_brings_its_own_levels():
    """What it leaves out stays as it was."""
    default = Protection(stop_loss_pct=2.0, take_profit=130.0)
    assert default.with_order(order()) is default
    assert default.with_order(order(stop_loss=95.0)) == Protection(
        stop_loss=95.0, stop_loss_pct=2.0, take_profit=130.0
    )
    assert default.with_order(order(take_profit=140.0)) == Protection(stop_loss_pct=2.0, take_profit=140.0)


def test_a_target_that_no_price_reaches_is_none():
    """A short's 150 %."""
    assert guard(-1, take_profit_pct=150.0).target_price is None


@pytest.mark.parametrize("side", [1, -1])
def test_trailing_follows_the_best_price_once_activated(side):
    """2 % behind, from 5 % of profit on, and never back."""
    one = guard(side, tick=0.01, stop_loss_pct=3.0, trailing_stop_pct=2.0, trailing_activation_pct=5.0)
    assert (one.stop_price, one.trailing, one.reason) == (100 - side * 3.0, None, ExitReason.STOP_LOSS)
    assert not one.saw(100 + side * 4.99)
    assert one.saw(100 + side * 5.0)
    best = 100 + side * 5.0
    assert one.stop_price == one.trailing == pytest.approx(best * (1 - side * 0.02))  # 102.9, 96.9
    assert one.reason is ExitReason.TRAILING_STOP
    assert not one.saw(100 + side * 4.0)  # a worse price
    assert one.saw(100 + side * 10.0)
    assert one.stop_price == pytest.approx((100 + side * 10.0) * (1 - side * 0.02))  # 107.8, 91.8


@pytest.mark.parametrize(("side", "level"), [(1, 98.0), (-1, 102.0)])
def test_trailing_without_activation_stands_from_the_entry(side, level):
    """2 % behind the entry price at once."""
    one = guard(side, trailing_stop_pct=2.0)
    assert (one.stop_price, one.trailing, one.reason) == (level, level, ExitReason.TRAILING_STOP)


@pytest.mark.parametrize("side", [1, -1])
def test_breakeven_brings_the_stop_to_the_entry(side):
    """At 1 % of profit; a stop that is already better stays."""
    one = guard(side, stop_loss_pct=3.0, breakeven_pct=1.0)
    assert not one.saw(100 + side * 0.99)
    assert one.saw(100 + side * 1.0)
    assert (one.stop_price, one.reason) == (100.0, ExitReason.BREAKEVEN)
    better = guard(side, stop_loss=100 + side * 0.5, breakeven_pct=1.0)
    assert not better.saw(100 + side * 2.0)
    assert (better.stop_price, better.reason) == (100 + side * 0.5, ExitReason.STOP_LOSS)


def test_the_best_of_all_stops_counts():
    """Fixed 97, breakeven 100, trailing 4 % behind: as the price rises each takes over."""
    one = guard(tick=0.01, stop_loss_pct=3.0, breakeven_pct=1.0, trailing_stop_pct=4.0)
    assert (one.stop_price, one.reason) == (97.0, ExitReason.STOP_LOSS)
    assert one.trailing == 96.0
    one.saw(102.0)
    assert (one.stop_price, one.reason, one.trailing) == (100.0, ExitReason.BREAKEVEN, 97.92)
    one.saw(110.0)
    assert (one.stop_price, one.reason) == (105.6, ExitReason.TRAILING_STOP)


def test_without_following_levels_the_best_price_is_not_kept():
    """There is nothing to move."""
    one = guard(stop_loss_pct=3.0, take_profit_pct=3.0)
    assert not one.protection.follows
    assert not one.saw(200.0)
    assert one.best == 100.0


def test_a_grown_position_has_new_levels():
    """Entry 100 grows to 102: the percentages start from there, a price stays."""
    one = guard(tick=0.01, stop_loss_pct=2.0, take_profit=120.0)
    one.regrow(one.protection.with_order(order(take_profit=125.0)), 102.0)
    assert (one.entry, one.stop_price, one.target_price) == (102.0, 99.96, 125.0)


@pytest.mark.parametrize(
    ("low", "high", "safe"),
    [(97.01, 104.99, True), (97.0, 104.99, False), (97.01, 105.0, False), (90.0, 110.0, False)],
)
def test_a_long_is_safe_between_its_levels(low, high, safe):
    """A touch is not safe; liquidation counts like a stop."""
    assert guard(stop_loss=97.0, take_profit=105.0).is_safe(low, high) is safe
    liquidated = guard(take_profit=105.0)
    liquidated.liquidation = 97.0
    assert liquidated.is_safe(low, high) is safe
    assert liquidated.liquidation_price == 97.0


@pytest.mark.parametrize(
    ("low", "high", "safe"),
    [(95.01, 102.99, True), (95.0, 102.99, False), (95.01, 103.0, False), (90.0, 110.0, False)],
)
def test_a_short_is_safe_between_its_levels(low, high, safe):
    """The mirror."""
    assert guard(-1, stop_loss=103.0, take_profit=95.0).is_safe(low, high) is safe
    liquidated = guard(-1, take_profit=95.0)
    liquidated.liquidation = 103.0
    assert liquidated.is_safe(low, high) is safe


@pytest.mark.parametrize("side", [1, -1])
def test_a_position_that_no_price_liquidates_shows_no_price(side):
    """The rule book's marks for that are none of the user's."""
    one = guard(side)
    one.liquidation = rules.NONE_LOW if side > 0 else rules.NONE_HIGH
    assert one.liquidation_price is None
    assert one.is_safe(1e-12, 1e12)


@given(
    side=st.sampled_from([1, -1]),
    prices=st.lists(st.floats(60.0, 140.0), min_size=1, max_size=30),
    trailing=st.none() | st.floats(0.5, 20.0),
    breakeven=st.none() | st.floats(0.5, 20.0),
    fixed=st.none() | st.floats(0.5, 20.0),
)
def test_stops_only_ever_move_in_favour(side, prices, trailing, breakeven, fixed):
    """Whatever prices are seen, in whatever order; and `saw` tells when they moved."""
    one = guard(side, tick=0.01, trailing_stop_pct=trailing, breakeven_pct=breakeven, stop_loss_pct=fixed)
    for price in prices:
        before = one.stop
        moved = one.saw(price)
        assert rules.better_stop(side, before, one.stop) == one.stop
        assert moved == (before != one.stop)
        assert side * (one.best - one.stop) > -1e-9
