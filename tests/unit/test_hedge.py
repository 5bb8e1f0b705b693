"""Hedge mode (rule 20): a long and a short of one symbol, each with its own levels, margin, orders and trades."""

from __future__ import annotations

import pytest
from desk import INVERSE, LINEAR, Desk

from metaexpert.broker.protection import Protection
from metaexpert.models import ExitReason, OrderStatus

FLAT = (100, 100, 100, 100)


def both(*symbols, long=1.0, short=1.0, **options):
    """A desk that is long and short at 100."""
    desk = Desk(*symbols, hedge=True, **options)
    desk.buy(long, position_side="long")
    desk.sell(short, position_side="short")
    desk.bar(*FLAT)
    return desk


def held(desk):
    """The quantities of the long and the short leg."""
    return tuple(desk.broker.position(desk.symbols[0], side).qty for side in ("long", "short"))


def test_a_long_and_a_short_stand_beside_each_other():
    desk = both(long=2.0)
    assert held(desk) == (2.0, -1.0)
    assert desk.ledger.exposure() == 100.0
    desk.bar(100, 110, 100, 110)
    assert desk.ledger.equity() == 10_000 + 2 * 10 - 10
    desk.sell(2.0, position_side="long", reduce_only=True)
    desk.bar(110, 110, 110, 110)
    assert held(desk) == (0.0, -1.0)
    (trade,) = desk.ledger.trades
    assert (trade.side, trade.pnl) == ("long", 20.0)
    assert [(one.side, one.pnl, one.exit_time) for one in desk.ledger.all_trades()[1:]] == [("short", -10.0, None)]


def test_a_reduce_only_order_takes_its_leg_to_flat_and_never_beyond():
    desk = both()
    order = desk.sell(5.0, position_side="long", reduce_only=True)
    desk.bar(*FLAT)
    assert held(desk) == (0.0, -1.0)
    assert (desk.order(order).status, desk.order(order).filled) == (OrderStatus.FILLED, 1.0)
    empty = desk.sell(1.0, position_side="long", reduce_only=True)
    desk.bar(*FLAT)
    assert desk.order(empty).status is OrderStatus.CANCELED


def test_each_leg_binds_its_own_margin():
    """1 long and 1 short at 100, leverage 10: 20 of 50 are bound, 3 more can be opened, not 4."""
    desk = both(leverage=10.0, capital=50.0)
    assert desk.ledger.margin_used() == 20.0
    assert desk.reason(desk.buy(4.0, position_side="long")) == "insufficient_margin"
    assert desk.order(desk.buy(3.0, position_side="long")).status is OrderStatus.OPEN


def test_each_leg_has_its_own_levels():
    desk = both()
    assert desk.broker.protect(LINEAR, Protection(stop_loss=95.0), "long")
    assert desk.broker.protect(LINEAR, Protection(take_profit=90.0), "short")
    assert desk.broker.position(LINEAR, "long").stop_loss == 95.0
    assert desk.broker.position(LINEAR, "short").stop_loss is None
    (fill,) = desk.bar(100, 101, 94, 96)
    assert (fill.price, fill.reason, held(desk)) == (95.0, ExitReason.STOP_LOSS, (0.0, -1.0))
    (fill,) = desk.bar(96, 97, 89, 90)
    assert (fill.price, fill.reason, held(desk)) == (90.0, ExitReason.TAKE_PROFIT, (0.0, 0.0))


def test_the_stop_counts_for_both_legs_in_one_bar():
    """The bar is walked for each leg in the order that is worst for it."""
    desk = both(protection={"stop_loss_pct": 5.0, "take_profit_pct": 5.0})
    fills = desk.bar(100, 106, 94, 100)
    assert {(fill.side.value, fill.price, fill.reason) for fill in fills} == {
        ("sell", 95.0, ExitReason.STOP_LOSS),
        ("buy", 105.0, ExitReason.STOP_LOSS),
    }
    assert all(trade.ambiguous for trade in desk.ledger.trades)


def test_resting_orders_work_on_their_own_leg():
    desk = both()
    desk.sell(1.0, 105.0, position_side="long", reduce_only=True)
    desk.buy(1.0, 95.0, position_side="short", reduce_only=True)
    beyond = desk.sell(1.0, 120.0, position_side="short")
    desk.bar(100, 112, 94, 100)
    assert held(desk) == (0.0, 0.0)
    assert desk.order(beyond).status is OrderStatus.OPEN
    assert [(trade.side, trade.pnl) for trade in desk.ledger.trades] == [("long", 5.0), ("short", 5.0)]


def test_an_isolated_leg_is_liquidated_alone():
    """Leverage 10: the long at 90 / 0.995 = 90.45, the short at 110 / 1.005 = 109.45."""
    desk = both(leverage=10.0, capital=50.0)
    assert desk.broker.position(LINEAR, "short").liquidation_price == pytest.approx(110 / 1.005)
    (fill,) = desk.bar(100, 101, 90, 95)
    assert (fill.price, fill.reason) == (pytest.approx(90 / 0.995), ExitReason.LIQUIDATION)
    assert held(desk) == (0.0, -1.0)


def test_in_cross_mode_both_are_liquidated_together():
    """Long 2 and short 1 at 100 on 60: 60 - (100 - P) = 0.005 * 3 * P at 40 / 0.985 = 40.609."""
    desk = both(long=2.0, leverage=10.0, capital=60.0, cross=True)
    level = 40 / 0.985
    assert desk.broker.position(LINEAR, "long").liquidation_price == pytest.approx(level)
    assert desk.broker.position(LINEAR, "short").liquidation_price is None
    assert desk.bar(100, 100, 41, 50) == []
    fills = desk.bar(50, 50, 40, 45)
    assert [(fill.side.value, fill.reason) for fill in fills] == [
        ("sell", ExitReason.LIQUIDATION),
        ("buy", ExitReason.LIQUIDATION),
    ]
    assert [fill.price for fill in fills] == [pytest.approx(level)] * 2
    assert desk.ledger.balance == pytest.approx(60 - (100 - level))


def test_in_cross_mode_a_gap_takes_both_at_the_price_at_which_the_balance_is_gone():
    desk = both(long=2.0, leverage=10.0, capital=60.0, cross=True)
    fills = desk.bar(10, 10, 10, 10)
    assert {fill.price for fill in fills} == {40.0}
    assert desk.ledger.balance == 0.0


def test_a_pair_that_is_net_short_is_liquidated_above_before_the_target_of_the_long():
    """Long 1, short 2 at 100 on 20: 20 - (P - 100) = 0.015 * P at 120 / 1.015 = 118.2; the target waits at 125."""
    desk = both(short=2.0, leverage=10.0, capital=35.0, cross=True)
    desk.broker.protect(LINEAR, Protection(take_profit=140.0), "long")
    level = 135 / 1.015
    fills = desk.bar(100, 150, 100, 145)
    assert [fill.reason for fill in fills] == [ExitReason.LIQUIDATION] * 2
    assert [fill.price for fill in fills] == [pytest.approx(level)] * 2


def test_when_one_leg_is_closed_the_other_stands_alone():
    """Long 2 at 100 on 60 after the short has gone at 100: (200 - 60) / (2 * 0.995) = 70.35."""
    desk = both(long=2.0, leverage=10.0, capital=60.0, cross=True)
    desk.buy(1.0, position_side="short", reduce_only=True)
    desk.bar(*FLAT)
    assert desk.broker.position(LINEAR, "long").liquidation_price == pytest.approx(140 / 1.99)


def test_inverse_legs():
    """Long 200 and short 100 USD at 100 on 0.5 BTC: 0.5 + 1 - 100 / P = 1.5 / P at 101.5 / 1.5 = 67.67."""
    desk = both(INVERSE, long=200.0, short=100.0, leverage=10.0, capital=0.5, cross=True)
    assert desk.broker.position(INVERSE, "long").liquidation_price == pytest.approx(101.5 / 1.5)
    desk.bar(100, 125, 100, 125)
    assert desk.ledger.equity() == pytest.approx(0.5 + 100 * (1 / 100 - 1 / 125))


def test_orders_must_name_their_leg_and_only_in_hedge_mode():
    desk = Desk(hedge=True)
    desk.bar(*FLAT)
    assert desk.reason(desk.buy(1.0)) == "wrong_position_side"
    desk = Desk()
    desk.bar(*FLAT)
    assert desk.reason(desk.buy(1.0, position_side="long")) == "wrong_position_side"
