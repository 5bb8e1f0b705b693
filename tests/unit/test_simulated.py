"""The simulated broker, rule by rule, with the arithmetic in sight."""

from __future__ import annotations

from dataclasses import replace

import pytest
from desk import HOUR, INVERSE, LINEAR, OTHER, SPOT, Desk, market

from metaexpert.broker.ledger import Ledger
from metaexpert.broker.protection import Protection
from metaexpert.broker.simulated import SimulatedBroker
from metaexpert.clock import SimClock
from metaexpert.models import ExitReason, Fill, MarginMode, Order, OrderStatus, OrderType, Rejection, Side
from metaexpert.models import TimeInForce as Tif


def fills_of(fills):
    """What matters of fills: (side, qty, price)."""
    return [(fill.side.value, fill.qty, pytest.approx(fill.price)) for fill in fills]


def long_at_100(*symbols, **options):
    """A desk that is long 1 at 100, the bar that opened it being flat."""
    desk = Desk(*symbols, **options)
    desk.buy(1.0)
    desk.bar(100, 100, 100, 100)
    return desk


def short_at_100(*symbols, **options):
    """A desk that is short 1 at 100, the bar that opened it being flat."""
    desk = Desk(*symbols, **options)
    desk.sell(1.0)
    desk.bar(100, 100, 100, 100)
    return desk


# -- market orders (rule 4) ---------------------------------------------------------------------------------------


def test_market_orders_fill_at_the_next_open_against_the_trader_as_taker():
    desk = Desk(costs={"slippage_rate": 0.01, "fee_taker": 0.001, "fee_maker": 0.5})
    desk.bar(90, 95, 85, 92)
    desk.buy(2.0)
    (bought,) = desk.bar(100, 110, 90, 105)
    assert (bought.price, bought.qty, bought.is_maker) == (pytest.approx(101.0), 2.0, False)  # 100 * 1.01
    assert bought.fee == pytest.approx(0.202)  # 2 * 101 * 0.001
    assert bought.slippage == pytest.approx(2.0)  # 2 * (101 - 100)
    assert bought.time == HOUR
    desk.sell(2.0)
    (sold,) = desk.bar(120, 130, 110, 125)
    assert sold.price == pytest.approx(118.8)  # 120 * 0.99
    assert sold.pnl == pytest.approx(35.6)  # 2 * (118.8 - 101)
    assert desk.ledger.balance == pytest.approx(10_000 + 35.6 - 0.202 - 2 * 118.8 * 0.001)


def test_news_that_nobody_hears_is_not_made_but_for_what_carries_a_message():
    """The books are the same; refused orders are told in any case, since they are counted."""
    heard, alone = Desk(min_qty=0.1), Desk(min_qty=0.1)
    alone.broker.book.is_heard = False
    for desk in (heard, alone):
        desk.bar(100, 100, 100, 100)
        desk.buy(1.0)
        desk.buy(0.01)
        desk.bar(100, 110, 90, 105)
    assert [one.order.status for one in heard.news] == [OrderStatus.OPEN, OrderStatus.REJECTED, OrderStatus.FILLED]
    assert alone.news == [one for one in heard.news if one.order.status is OrderStatus.REJECTED]
    assert alone.broker.orders == heard.broker.orders
    assert alone.broker.fills == heard.broker.fills


def test_an_order_as_it_stood_stays_as_it_was():
    """`working` gives values: what is looked at before the fill does not change with it."""
    desk = Desk()
    desk.bar(100, 100, 100, 100)
    order = desk.buy(2.0)
    (before,) = desk.broker.working()
    desk.bar(100, 110, 90, 105)
    assert (before.status, before.filled, before.average_price) == (OrderStatus.OPEN, 0.0, None)
    after = desk.order(order)
    assert (after.status, after.filled, after.average_price) == (OrderStatus.FILLED, 2.0, 100.0)


def test_levels_can_be_set_on_a_spot_position_that_had_none():
    """Bought at 100 without a level; a stop at 95 is set, and reached by the next bar."""
    desk = long_at_100(SPOT)
    assert desk.broker.protection(SPOT) == Protection()
    assert desk.broker.position(SPOT).stop_loss is None
    assert desk.broker.protect(SPOT, Protection(stop_loss=95.0))
    assert desk.broker.position(SPOT).stop_loss == 95.0
    (fill,) = desk.bar(100, 101, 94, 96)
    assert (fill.price, fill.reason) == (95.0, ExitReason.STOP_LOSS)
    assert desk.broker.protection(SPOT) is None
    assert not desk.broker.protect(SPOT, Protection(stop_loss=90.0))


def test_an_order_for_a_symbol_whose_next_bar_comes_much_later_waits_for_it():
    desk = Desk()
    desk.bar(100, 101, 99, 100)
    order = desk.buy(1.0)
    (fill,) = desk.bar(50, 60, 40, 55, skip=1000)
    assert (fill.price, fill.time) == (50.0, 1001 * HOUR)
    assert desk.order(order).status is OrderStatus.FILLED


def test_an_order_that_becomes_active_inside_a_bar_waits_for_the_next():
    desk = Desk()
    desk.bar(100, 101, 99, 100)
    desk.buy(1.0, active_from=HOUR + 1)
    assert desk.bar(110, 120, 100, 115) == []
    assert fills_of(desk.bar(130, 130, 130, 130)) == [("buy", 1.0, 130.0)]


def test_orders_arrive_in_the_order_in_which_they_were_sent():
    desk = Desk()
    ids = [desk.buy(1.0), desk.sell(2.0), desk.buy(1.0)]
    fills = desk.bar(100, 101, 99, 100)
    assert [fill.order_id for fill in fills] == ids
    assert desk.qty == 0.0


# -- limit orders (rule 5) ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("touch", "low", "filled"),
    [(False, 95.0, False), (False, 94.99, True), (True, 95.0, True), (True, 95.01, False)],
)
def test_a_limit_buy_must_be_traded_through_or_touched(touch, low, filled):
    desk = Desk(costs={"touch": touch, "fee_maker": 0.001, "fee_taker": 0.5, "slippage_rate": 0.1})
    desk.buy(2.0, 95.0)
    fills = desk.bar(100, 101, low, 100)
    assert [(fill.price, fill.is_maker, fill.slippage) for fill in fills] == (
        [(95.0, True, 0.0)] if filled else []
    )
    if filled:
        assert fills[0].fee == pytest.approx(0.19)  # 2 * 95 * 0.001


@pytest.mark.parametrize(
    ("touch", "high", "filled"), [(False, 105.0, False), (False, 105.01, True), (True, 105.0, True)]
)
def test_a_limit_sell_must_be_traded_through_or_touched(touch, high, filled):
    desk = long_at_100(costs={"touch": touch})
    desk.sell(1.0, 105.0)
    assert fills_of(desk.bar(100, high, 99, 100)) == ([("sell", 1.0, 105.0)] if filled else [])


def test_a_resting_limit_order_gets_the_better_open_of_a_gap_as_maker():
    desk = Desk()
    desk.buy(1.0, 95.0)
    desk.bar(100, 101, 99, 100)
    (fill,) = desk.bar(90, 96, 89, 95)
    assert (fill.price, fill.is_maker) == (90.0, True)


def test_a_limit_order_that_crosses_on_arrival_fills_at_the_open_as_taker():
    desk = Desk(costs={"fee_taker": 0.001, "fee_maker": 0.0, "slippage_rate": 0.1})
    desk.buy(1.0, 105.0)
    (fill,) = desk.bar(100, 110, 90, 100)
    assert (fill.price, fill.is_maker, fill.fee) == (100.0, False, pytest.approx(0.1))


def test_a_limit_at_exactly_the_open_rests_and_fills_as_maker_when_traded_through():
    desk = Desk()
    desk.buy(1.0, 100.0)
    assert desk.bar(100, 105, 100, 104) == []
    (fill,) = desk.bar(104, 105, 99, 104)
    assert (fill.price, fill.is_maker) == (100.0, True)


def test_post_only_is_refused_when_it_would_cross_and_rests_otherwise():
    desk = Desk()
    crossing, resting = desk.buy(1.0, 105.0, post_only=True), desk.buy(1.0, 95.0, post_only=True)
    assert [fill.order_id for fill in desk.bar(100, 101, 94, 100)] == [resting]
    assert desk.order(crossing).status is OrderStatus.REJECTED
    assert desk.reason(crossing) == "post_only_would_cross"


@pytest.mark.parametrize("tif", ["IOC", "FOK"])
def test_immediate_orders_fill_on_arrival_or_expire(tif):
    desk = Desk()
    crossing, waiting = desk.buy(1.0, 105.0, tif=tif), desk.buy(1.0, 95.0, tif=tif)
    assert [fill.order_id for fill in desk.bar(100, 101, 90, 100)] == [crossing]
    assert desk.order(waiting).status is OrderStatus.EXPIRED
    assert list(desk.broker.working()) == []


def test_prices_and_sizes_are_put_on_the_steps_of_the_market():
    desk = long_at_100(price_tick=0.5)
    buy = desk.order(desk.buy(1.0009, 95.7))
    sell = desk.order(desk.sell(0.5, 110.2))
    stop = desk.order(desk.sell(0.5, None, 90.7))
    assert (buy.qty, buy.price, sell.price, stop.stop_price) == (1.0, 95.5, 110.5, 90.5)


def test_orders_beyond_the_limits_of_the_market_are_refused_with_a_reason():
    desk = Desk(min_qty=0.01, max_qty=5.0, min_notional=10.0, max_notional=400.0)
    desk.bar(100, 100, 100, 100)
    reasons = [desk.reason(desk.buy(qty)) for qty in (0.005, 0.05, 4.5, 6.0)]
    assert reasons == ["below_min_qty", "below_min_notional", "above_max_notional", "above_max_qty"]


def test_an_order_without_a_price_is_held_to_the_largest_of_market_orders_and_a_limit_order_is_not():
    desk = Desk(max_qty=5.0, max_market_qty=2.0)
    desk.bar(100, 100, 100, 100)
    assert desk.reason(desk.buy(2.5)) == desk.reason(desk.buy(2.5, None, 105.0)) == "above_max_qty"
    assert desk.order(desk.buy(2.5)).message.endswith("2.5 BTC is above the maximum of market orders, 2: split it")
    assert desk.order(desk.buy(5.0, 95.0)).status is OrderStatus.OPEN
    assert desk.order(desk.buy(6.0, 95.0)).message.endswith("is above the maximum of orders, 5: split it")


# -- stop orders (rules 6, 9) -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("high", "filled"), [(104.99, False), (105.0, True)])
def test_a_stop_buy_triggers_on_the_touch_and_fills_with_slippage_as_taker(high, filled):
    desk = Desk(costs={"slippage_rate": 0.01, "fee_taker": 0.001})
    desk.buy(1.0, None, 105.0)
    fills = desk.bar(100, high, 99, 100)
    assert fills_of(fills) == ([("buy", 1.0, 106.05)] if filled else [])  # 105 * 1.01
    if filled:
        assert (fills[0].is_maker, fills[0].fee) == (False, pytest.approx(0.10605))


def test_a_stop_fills_at_the_open_where_the_bar_gaps_beyond_it():
    desk = long_at_100()
    desk.sell(1.0, None, 95.0)
    assert fills_of(desk.bar(100, 101, 96, 99)) == []
    assert fills_of(desk.bar(80, 85, 75, 82)) == [("sell", 1.0, 80.0)]


def test_a_stop_at_exactly_the_low_triggers():
    desk = long_at_100()
    desk.sell(1.0, None, 95.0)
    assert fills_of(desk.bar(100, 101, 95, 99)) == [("sell", 1.0, 95.0)]


def test_a_triggered_stop_limit_becomes_a_limit_order():
    desk = Desk()
    order = desk.buy(1.0, 104.0, 105.0)
    assert desk.bar(100, 106, 99.5, 105.5) == []  # triggered at 105 on the way up, 104 is not seen again
    assert desk.order(order).status is OrderStatus.OPEN
    (fill,) = desk.bar(105, 106, 103, 104)
    assert (fill.price, fill.is_maker) == (104.0, True)


def test_a_stop_limit_whose_limit_lies_beyond_its_stop_fills_at_the_stop_as_taker():
    desk = Desk(costs={"slippage_rate": 0.01})
    desk.buy(1.0, 106.0, 105.0)
    (fill,) = desk.bar(100, 110, 99, 108)
    assert (fill.price, fill.is_maker) == (105.0, False)


def test_a_stop_limit_that_is_gapped_over_rests_at_its_limit():
    desk = Desk()
    desk.buy(1.0, 106.0, 105.0)
    assert desk.bar(120, 130, 110, 125) == []
    assert fills_of(desk.bar(125, 126, 105, 110)) == [("buy", 1.0, 106.0)]


def test_a_triggered_stop_limit_that_is_moved_across_the_market_fills_as_taker():
    desk = Desk()
    order = desk.buy(1.0, 104.0, 105.0)
    desk.bar(100, 106, 99.5, 105.5)
    assert desk.broker.modify(order, price=110.0, qty=None, active_from=desk.clock.now())
    (fill,) = desk.bar(105, 106, 104.5, 105)
    assert (fill.price, fill.is_maker) == (105.0, False)


# -- protective levels (rules 7, 8, 9) ----------------------------------------------------------------------------


def test_levels_act_within_the_entry_bar():
    desk = Desk(protection={"stop_loss_pct": 5.0})
    desk.buy(1.0)
    assert fills_of(desk.bar(100, 101, 94, 99)) == [("buy", 1.0, 100.0), ("sell", 1.0, 95.0)]
    (trade,) = desk.ledger.trades
    assert (trade.exit_reason, trade.pnl, trade.ambiguous) == (ExitReason.STOP_LOSS, -5.0, False)


def test_the_stop_counts_where_one_bar_reaches_stop_and_target():
    desk = Desk(protection={"stop_loss_pct": 5.0, "take_profit_pct": 5.0})
    desk.buy(1.0)
    assert fills_of(desk.bar(100, 106, 94, 105)) == [("buy", 1.0, 100.0), ("sell", 1.0, 95.0)]
    (trade,) = desk.ledger.trades
    assert trade.ambiguous
    desk.sell(1.0)
    assert fills_of(desk.bar(100, 106, 94, 95)) == [("sell", 1.0, 100.0), ("buy", 1.0, 105.0)]
    assert desk.ledger.trades[1].ambiguous


def test_a_stop_that_is_gapped_over_at_the_open_is_not_ambiguous():
    desk = long_at_100(protection={"stop_loss_pct": 5.0, "take_profit_pct": 5.0})
    assert fills_of(desk.bar(90, 110, 85, 108)) == [("sell", 1.0, 90.0)]
    assert not desk.ledger.trades[0].ambiguous


def test_a_target_fills_at_its_level_with_slippage_and_at_the_better_open_of_a_gap():
    costs = {"slippage_rate": 0.01}
    desk = long_at_100(protection={"take_profit_pct": 10.0}, costs=costs)  # entered at 101: target 111.1
    assert fills_of(desk.bar(100, 112, 99, 105)) == [("sell", 1.0, 111.1 * 0.99)]
    desk = long_at_100(protection={"take_profit_pct": 10.0}, costs=costs)
    assert fills_of(desk.bar(120, 125, 119, 121)) == [("sell", 1.0, 120 * 0.99)]
    assert desk.ledger.trades[0].exit_reason is ExitReason.TAKE_PROFIT


def test_levels_of_the_order_win_over_those_of_the_settings():
    desk = Desk(protection={"stop_loss_pct": 5.0, "take_profit_pct": 5.0})
    desk.buy(1.0, stop_loss=90.0, take_profit=120.0)
    assert fills_of(desk.bar(100, 110, 91, 100)) == [("buy", 1.0, 100.0)]
    position = desk.broker.position(LINEAR)
    assert (position.stop_loss, position.take_profit) == (90.0, 120.0)


def test_an_entry_beyond_its_own_target_or_stop_is_left_at_once_at_the_open():
    desk = Desk()
    desk.bar(100, 100, 100, 100)
    desk.buy(1.0, take_profit=105.0)
    assert fills_of(desk.bar(110, 115, 108, 112)) == [("buy", 1.0, 110.0), ("sell", 1.0, 110.0)]
    desk.buy(1.0, stop_loss=105.0)
    assert fills_of(desk.bar(90, 95, 85, 92)) == [("buy", 1.0, 90.0), ("sell", 1.0, 90.0)]
    assert [trade.exit_reason for trade in desk.ledger.trades] == [ExitReason.TAKE_PROFIT, ExitReason.STOP_LOSS]


def test_a_limit_entry_does_not_profit_from_what_came_before_it():
    """A buy limit at 95 with a target at 99: the bar's high of 102 may have come before the fill."""
    desk = Desk()
    desk.buy(1.0, 95.0, take_profit=99.0)
    assert fills_of(desk.bar(100, 102, 94, 97)) == [("buy", 1.0, 95.0)]
    assert fills_of(desk.bar(97, 100, 96, 99)) == [("sell", 1.0, 99.0)]


def test_a_stop_entry_meets_its_stop_before_its_target():
    desk = Desk()
    desk.buy(1.0, None, 105.0, stop_loss=100.0, take_profit=110.0)
    assert fills_of(desk.bar(102, 112, 99, 111)) == [("buy", 1.0, 105.0), ("sell", 1.0, 100.0)]
    assert desk.ledger.trades[0].ambiguous


def test_trailing_uses_only_prices_seen_before_the_bar():
    desk = long_at_100(protection={"trailing_stop_pct": 10.0})
    assert desk.bar(100, 120, 91, 119) == []  # tested against 90 (10 % behind 100), though 120 * 0.9 = 108 > 91
    assert desk.broker.position(LINEAR).trailing_stop == 108.0
    assert fills_of(desk.bar(119, 130, 107, 110)) == [("sell", 1.0, 108.0)]
    assert desk.ledger.trades[0].exit_reason is ExitReason.TRAILING_STOP


def test_trailing_of_a_short_mirrors_it():
    desk = short_at_100(protection={"trailing_stop_pct": 10.0})
    assert desk.bar(100, 109, 80, 81) == []
    assert desk.broker.position(LINEAR).trailing_stop == pytest.approx(88.0)  # 80 * 1.1
    assert fills_of(desk.bar(81, 89, 70, 85)) == [("buy", 1.0, 88.0)]


def test_trailing_waits_for_its_activation():
    desk = long_at_100(protection={"trailing_stop_pct": 5.0, "trailing_activation_pct": 10.0})
    desk.bar(100, 109.9, 80, 100)
    assert desk.broker.position(LINEAR).trailing_stop is None
    desk.bar(100, 110, 80, 109)
    assert desk.broker.position(LINEAR).trailing_stop == 104.5  # 110 * 0.95
    assert fills_of(desk.bar(109, 109, 100, 101)) == [("sell", 1.0, 104.5)]


def test_breakeven_moves_the_stop_to_the_entry_once_the_profit_was_seen():
    desk = long_at_100(protection={"breakeven_pct": 5.0, "stop_loss_pct": 20.0})
    assert desk.bar(100, 105, 90, 104) == []
    assert fills_of(desk.bar(104, 106, 99, 101)) == [("sell", 1.0, 100.0)]
    assert desk.ledger.trades[0].exit_reason is ExitReason.BREAKEVEN


def test_a_limit_entry_does_not_trail_from_a_high_that_may_lie_before_it():
    desk = Desk(protection={"trailing_stop_pct": 10.0})
    desk.buy(1.0, 95.0)
    desk.bar(100, 130, 94, 97)
    assert desk.broker.position(LINEAR).trailing_stop == pytest.approx(87.3)  # 97 * 0.9: the close is certain


def test_the_liquidation_comes_before_a_stop_that_lies_beyond_it():
    """Leverage 10, 0.5 %: a long from 100 is gone at (100 - 10) / 0.995 = 90.452, before its stop at 85."""
    desk = long_at_100(leverage=10.0, protection={"stop_loss_pct": 15.0})
    assert fills_of(desk.bar(100, 101, 80, 99)) == [("sell", 1.0, 90 / 0.995)]
    assert desk.ledger.trades[0].exit_reason is ExitReason.LIQUIDATION


def test_a_protective_stop_goes_before_a_stop_order_at_the_same_price():
    desk = long_at_100()
    desk.broker.protect(LINEAR, Protection(stop_loss=95.0))
    plain, reducing = desk.sell(1.0, None, 95.0), desk.sell(1.0, None, 95.0, reduce_only=True)
    fills = desk.bar(100, 101, 95, 96)
    assert [fill.reason for fill in fills] == [ExitReason.STOP_LOSS, ExitReason.ORDER]
    assert desk.order(reducing).status is OrderStatus.CANCELED
    assert (desk.order(plain).status, desk.qty) == (OrderStatus.FILLED, -1.0)  # it was not reduce_only


def test_a_new_trailing_stop_follows_the_price_from_where_it_was_set():
    desk = long_at_100()
    desk.bar(100, 200, 100, 150)
    assert desk.broker.protect(LINEAR, Protection(trailing_stop_pct=10.0))
    assert desk.broker.position(LINEAR).trailing_stop == 135.0  # 150 * 0.9
    assert fills_of(desk.bar(150, 151, 130, 140)) == [("sell", 1.0, 135.0)]


def test_levels_can_be_changed_and_taken_away():
    desk = long_at_100(protection={"stop_loss_pct": 5.0})
    assert desk.broker.protect(LINEAR, Protection(stop_loss=80.0))
    assert desk.bar(100, 101, 90, 99) == []
    assert desk.broker.protect(LINEAR, Protection())
    assert desk.bar(99, 101, 50, 60) == []
    assert not desk.broker.protect(OTHER, Protection())


def test_levels_set_while_a_bar_is_matched_act_at_once():
    desk = Desk()

    def hear(news):
        if isinstance(news.result, Fill) and desk.qty:
            desk.broker.protect(LINEAR, Protection(stop_loss=97.0))

    desk.hear = hear
    desk.buy(1.0)
    assert fills_of(desk.bar(100, 101, 96, 100)) == [("buy", 1.0, 100.0), ("sell", 1.0, 97.0)]


def test_a_grown_position_keeps_its_levels_relative_to_the_new_entry():
    desk = long_at_100(protection={"stop_loss_pct": 10.0})
    desk.buy(1.0)
    desk.bar(120, 120, 120, 120)  # entry (100 + 120) / 2 = 110
    assert desk.broker.position(LINEAR).stop_loss == pytest.approx(99.0)
    assert fills_of(desk.bar(120, 120, 98, 100)) == [("sell", 2.0, 99.0)]


# -- reduce_only and reversal (rule 20) ---------------------------------------------------------------------------


def test_reduce_only_never_reverses_and_is_cancelled_when_flat():
    desk = long_at_100()
    big, other = desk.sell(5.0, reduce_only=True), desk.sell(1.0, 110.0, reduce_only=True)
    desk.bar(100, 100, 100, 100)
    assert (desk.qty, desk.order(big).filled) == (0.0, 1.0)
    assert desk.order(other).status is OrderStatus.OPEN  # it had not arrived when the position was closed
    late = desk.sell(1.0, reduce_only=True)
    desk.bar(100, 111, 100, 110)
    assert {desk.order(other).status, desk.order(late).status} == {OrderStatus.CANCELED}
    assert desk.qty == 0.0


def test_reduce_only_orders_are_cancelled_when_the_position_is_closed():
    desk = long_at_100()
    resting = desk.sell(1.0, 110.0, reduce_only=True)
    desk.bar(100, 100, 100, 100)
    desk.sell(1.0)
    desk.bar(100, 100, 100, 100)
    assert desk.order(resting).status is OrderStatus.CANCELED


def test_reduce_only_orders_of_a_reversed_position_are_cancelled():
    desk = long_at_100()
    target = desk.sell(1.0, 110.0, reduce_only=True)
    desk.bar(100, 100, 100, 100)
    desk.sell(2.0)
    cover = desk.buy(1.0, None, 105.0, reduce_only=True)  # sent with the reversal, for the new short
    desk.bar(100, 100, 100, 100)
    assert (desk.qty, desk.order(target).status) == (-1.0, OrderStatus.CANCELED)
    assert desk.order(cover).status is OrderStatus.OPEN
    assert fills_of(desk.bar(100, 106, 100, 104)) == [("buy", 1.0, 105.0)]


def test_a_stop_sent_with_a_flip_protects_the_new_position():
    """close_position(), sell(), buy(stop, reduce_only) in one handler: the stop belongs to the short."""
    desk = long_at_100()
    desk.sell(1.0, reduce_only=True)
    desk.sell(1.0)
    stop = desk.buy(1.0, None, 105.0, reduce_only=True)
    assert fills_of(desk.bar(100, 106, 99, 104)) == [
        ("sell", 1.0, 100.0),
        ("sell", 1.0, 100.0),
        ("buy", 1.0, 105.0),
    ]
    assert (desk.order(stop).status, desk.qty) == (OrderStatus.FILLED, 0.0)


def test_one_order_first_reduces_then_reverses():
    desk = long_at_100(costs={"fee_taker": 0.001})
    desk.sell(3.0)
    (fill,) = desk.bar(110, 110, 110, 110)
    assert (fill.qty, fill.pnl, fill.fee) == (3.0, pytest.approx(10.0), pytest.approx(0.33))
    assert (desk.qty, desk.ledger.holdings[LINEAR].entry) == (-2.0, 110.0)
    (trade,) = desk.ledger.trades
    assert (trade.side, trade.pnl) == ("long", pytest.approx(10.0))
    assert trade.fees == pytest.approx(0.1 + 0.11)  # entry 1 * 100, and its third of the exit's 0.33


# -- margin (rules 12, 17) ----------------------------------------------------------------------------------------


def test_an_order_that_needs_more_margin_than_is_free_is_refused():
    desk = Desk(capital=100.0, leverage=2.0)
    desk.bar(100, 100, 100, 100)
    order = desk.buy(2.001)
    assert desk.reason(order) == "insufficient_margin"
    desk.buy(2.0)
    assert fills_of(desk.bar(100, 100, 100, 100)) == [("buy", 2.0, 100.0)]
    assert desk.ledger.margin_free() == 0.0


def test_a_market_order_that_the_open_made_too_dear_is_refused_there():
    desk = Desk(capital=100.0)
    desk.bar(100, 100, 100, 100)
    order = desk.buy(1.0)
    assert desk.bar(101, 101, 101, 101) == []
    assert (desk.order(order).status, desk.reason(order)) == (OrderStatus.REJECTED, "insufficient_margin")


def test_an_order_sized_by_the_settings_shrinks_to_what_is_free():
    desk = Desk(capital=100.0, costs={"fee_taker": 0.01})
    desk.bar(100, 100, 100, 100)
    order = desk.buy(1.0, shrinkable=True)
    (fill,) = desk.bar(110, 110, 110, 110)
    assert fill.qty == 0.9  # 100 / (110 * 1.01) = 0.90009, on steps of 0.001
    assert desk.order(order).message == "shrunk to the free margin"


def test_a_shrunk_order_below_the_minimum_is_refused():
    desk = Desk(capital=100.0, min_qty=0.95)
    desk.bar(100, 100, 100, 100)
    order = desk.buy(1.0, shrinkable=True)
    assert desk.bar(110, 110, 110, 110) == []
    assert desk.reason(order) == "insufficient_margin"
    desk = Desk(capital=100.0, min_notional=50.0)
    desk.bar(10, 10, 10, 10)
    big, small = desk.buy(6.0), desk.buy(6.0, shrinkable=True)
    desk.bar(10, 10, 10, 10)
    assert (desk.order(big).filled, desk.reason(small)) == (6.0, "insufficient_margin")  # 4 * 10 < 50


@pytest.mark.parametrize(("min_qty", "filled", "held"), [(0.1, 1.333, -0.333), (0.5, 1.0, 0.0)])
def test_a_sized_reversal_opens_what_the_margin_carries_and_closes_in_any_case(min_qty, filled, held):
    """Long 1 at 100, leverage 2, balance 50: closed at 60, 10 are left, which carry 20 / 60 = 0.333."""
    desk = long_at_100(capital=50.0, leverage=2.0, min_qty=min_qty)
    order = desk.sell(2.0, shrinkable=True)
    (fill,) = desk.bar(60, 60, 60, 60)
    assert (fill.qty, desk.qty, desk.order(order).filled) == (filled, held, filled)
    assert desk.order(order).message == "shrunk to the free margin"


def test_a_reversal_of_a_given_quantity_is_refused_whole():
    desk = long_at_100(capital=50.0, leverage=2.0)
    order = desk.sell(2.0)
    assert desk.bar(60, 60, 60, 60) == []
    assert (desk.qty, desk.reason(order)) == (1.0, "insufficient_margin")


def test_resting_limit_orders_reserve_margin_in_the_order_in_which_they_came():
    desk = Desk(capital=100.0)
    first, second = desk.buy(0.6, 90.0), desk.buy(0.6, 95.0)  # 54 + 57 > 100
    desk.bar(100, 100, 99, 100)
    assert (desk.order(first).status, desk.reason(second)) == (OrderStatus.OPEN, "insufficient_margin")
    third = desk.buy(0.6, 95.0)
    assert desk.reason(third) == "insufficient_margin"  # 100 - 54 = 46 < 57: known at once
    desk.broker.cancel(first)
    desk.buy(0.6, 95.0)
    assert fills_of(desk.bar(100, 100, 90, 95)) == [("buy", 0.6, 95.0)]


def test_a_sized_limit_order_shrinks_when_it_comes_to_rest():
    desk = Desk(capital=100.0)
    desk.buy(0.6, 100.0)
    order = desk.buy(0.6, 100.0, shrinkable=True)
    desk.bar(101, 102, 100.5, 101)
    assert (desk.order(order).qty, desk.order(order).status) == (0.4, OrderStatus.OPEN)
    assert fills_of(desk.bar(101, 102, 99, 101)) == [("buy", 0.6, 100.0), ("buy", 0.4, 100.0)]


def test_margin_that_an_order_sent_before_sets_free_carries_the_next():
    desk = Desk(capital=100.0)
    desk.buy(1.0)
    desk.bar(100, 100, 100, 100)
    desk.sell(1.0, reduce_only=True)
    desk.buy(1.0)
    assert len(desk.bar(100, 100, 100, 100)) == 2
    assert desk.qty == 1.0


def test_the_margin_of_a_stop_is_asked_for_when_it_triggers():
    desk = Desk(capital=100.0)
    desk.bar(100, 100, 100, 100)
    order = desk.buy(2.0, None, 105.0)
    assert desk.order(order).status is OrderStatus.OPEN
    desk.bar(100, 110, 100, 108)
    assert desk.reason(order) == "insufficient_margin"


def test_spot_sells_only_what_is_held():
    desk = Desk(SPOT)
    desk.bar(100, 100, 100, 100)
    assert desk.reason(desk.sell(1.0)) == "insufficient_base"
    desk.buy(1.0)
    desk.bar(100, 100, 100, 100)
    assert desk.reason(desk.sell(1.5)) == "insufficient_base"
    both = desk.sell(1.0), desk.sell(1.0, 110.0)
    desk.bar(120, 120, 120, 120)
    assert [desk.order(order).status for order in both] == [OrderStatus.FILLED, OrderStatus.REJECTED]
    assert desk.ledger.balance == 10_020.0


def test_spot_needs_the_whole_price_and_its_fee():
    desk = Desk(SPOT, capital=100.0, costs={"fee_taker": 0.01})
    desk.bar(100, 100, 100, 100)
    assert desk.reason(desk.buy(1.0)) == "insufficient_margin"
    desk.buy(0.99)
    (fill,) = desk.bar(100, 100, 100, 100)
    assert (fill.fee, desk.ledger.margin_free()) == (pytest.approx(0.99), pytest.approx(0.01))


def test_what_was_bought_in_pieces_can_be_sold_whole():
    desk = Desk(SPOT)
    for qty in (0.1, 0.2, 0.7, 0.1):
        desk.buy(qty)
        desk.bar(100, 100, 100, 100)
    order = desk.sell(1.1)
    desk.bar(100, 100, 100, 100)
    assert (desk.order(order).status, desk.qty, len(desk.ledger.trades)) == (OrderStatus.FILLED, 0.0, 1)


# -- liquidation (rule 18) ----------------------------------------------------------------------------------------


def test_an_isolated_position_is_liquidated_at_its_level_with_the_fee():
    """Long 1 at 100, leverage 10, 0.5 %: P = (100 - 10) / 0.995; 0.4523 of the margin of 10 are left for fees."""
    desk = long_at_100(leverage=10.0, capital=50.0, liquidation_fee_rate=0.003)
    price = 90 / 0.995
    (fill,) = desk.bar(100, 101, 90, 95)
    assert (fill.price, fill.reason) == (pytest.approx(price), ExitReason.LIQUIDATION)
    assert fill.fee == pytest.approx(price * 0.003)
    assert desk.ledger.balance == pytest.approx(50 - (100 - price) - price * 0.003)


def test_an_isolated_loss_over_a_gap_stops_at_the_margin():
    desk = long_at_100(leverage=10.0, capital=50.0, liquidation_fee_rate=0.003)
    (fill,) = desk.bar(10, 12, 5, 11)  # a gap of 90 %
    assert (fill.price, fill.pnl, fill.fee) == (90.0, -10.0, 0.0)
    assert desk.ledger.balance == 40.0


def test_a_gap_between_liquidation_and_bankruptcy_fills_at_the_open():
    desk = long_at_100(leverage=10.0, capital=50.0, liquidation_fee_rate=0.01)
    (fill,) = desk.bar(90.2, 91, 89, 90)
    assert (fill.price, fill.fee) == (90.2, pytest.approx(0.2))  # 0.902 is more than the 0.2 that are left
    assert desk.ledger.balance == pytest.approx(40.0)


def test_a_short_is_liquidated_above():
    """Short 1 at 100, leverage 10: P = (100 + 10) / 1.005 = 109.4527."""
    desk = short_at_100(leverage=10.0, capital=50.0)
    assert desk.bar(100, 109.4, 99, 100) == []
    assert fills_of(desk.bar(100, 109.5, 99, 100)) == [("buy", 1.0, 110 / 1.005)]
    desk = short_at_100(leverage=10.0, capital=50.0)
    (fill,) = desk.bar(1000, 1000, 1000, 1000)
    assert (fill.price, desk.ledger.balance) == (110.0, 40.0)


def test_a_cross_position_stakes_the_balance():
    """Long 1 at 100 with a balance of 50: P = (100 - 50) / 0.995 = 50.2513."""
    desk = long_at_100(leverage=10.0, capital=50.0, cross=True)
    assert desk.bar(100, 100, 51, 60) == []
    assert fills_of(desk.bar(60, 60, 50, 55)) == [("sell", 1.0, 50 / 0.995)]
    desk = long_at_100(leverage=10.0, capital=50.0, cross=True)
    (fill,) = desk.bar(10, 10, 10, 10)
    assert (fill.price, desk.ledger.balance) == (50.0, 0.0)


def test_a_cross_level_follows_the_balance_also_where_orders_rest():
    """A resting order must not keep the level of yesterday: ETH loses 20 of the 50 that BTC stands on."""
    desk = Desk(LINEAR, OTHER, leverage=10.0, capital=50.0, cross=True)
    desk.buy(1.0)
    desk.buy(1.0, symbol=OTHER)
    desk.together(BTC=(100, 100, 100, 100), ETH=(100, 100, 100, 100))
    desk.buy(0.001, 1.0)
    desk.sell(1.0, symbol=OTHER)
    desk.together(BTC=(100, 100, 100, 100), ETH=(80, 80, 80, 80))
    assert desk.ledger.balance == 30.0
    fills = desk.together(BTC=(100, 100, 70, 100), ETH=(80, 80, 80, 80))
    assert fills_of(fills) == [("sell", 1.0, 70 / 0.995)]  # (100 - 30) / 0.995


def test_inverse_liquidation_is_in_base():
    """Long 100 USD at 100, leverage 10, margin 0.1 BTC: P = 100 * 1.005 / (0.1 + 1) = 91.3636."""
    desk = Desk(INVERSE, capital=1.0, leverage=10.0)
    desk.buy(100.0)
    desk.bar(100, 100, 100, 100)
    assert desk.bar(100, 100, 91.4, 95) == []
    (fill,) = desk.bar(95, 95, 91, 92)
    assert fill.price == pytest.approx(100.5 / 1.1)
    desk = Desk(INVERSE, capital=1.0, leverage=10.0)
    desk.buy(100.0)
    desk.bar(100, 100, 100, 100)
    desk.bar(10, 10, 10, 10)
    assert desk.ledger.balance == pytest.approx(0.9)  # the margin of 0.1, no more


def test_at_leverage_100_slippage_alone_may_liquidate_at_the_open():
    """Bought at 101 for an open of 100: 101 * 0.99 / 0.995 = 100.49 lies above the market already."""
    desk = Desk(leverage=100.0, capital=50.0, costs={"slippage_rate": 0.01})
    desk.buy(1.0)
    fills = desk.bar(100, 110, 99, 105)
    assert [fill.reason for fill in fills] == [ExitReason.ORDER, ExitReason.LIQUIDATION]
    assert desk.ledger.balance == pytest.approx(50 - 1.0)  # 100 lies above the bankruptcy price, 99.99


def test_slippage_takes_no_more_than_the_margin():
    """Entered at 101, leverage 20: bankrupt at 95.95; a close at an open of 96.5 would slip to 95.535."""
    desk = Desk(leverage=20.0, capital=50.0, costs={"slippage_rate": 0.01})
    desk.buy(1.0)
    desk.bar(100, 100, 100, 100)
    desk.sell(1.0, reduce_only=True)
    (fill,) = desk.bar(96.5, 96.5, 96.5, 96.5)
    assert (fill.price, fill.reason) == (pytest.approx(95.95), ExitReason.ORDER)
    assert fill.pnl == pytest.approx(-5.05)  # 101 / 20
    assert fill.slippage == pytest.approx(0.55)


def test_a_position_that_is_liquidated_as_it_opens_is_gone_before_the_next_order():
    """Sold at 99 for an open of 100 at leverage 100: gone at 99 * 1.01 / 1.005 = 99.49, so the buy opens anew."""
    desk = Desk(leverage=100.0, capital=50.0, costs={"slippage_rate": 0.01})
    desk.sell(1.0)
    desk.buy(0.1)
    fills = desk.bar(100, 100, 100, 100)
    assert [(fill.side.value, fill.reason) for fill in fills[:3]] == [
        ("sell", ExitReason.ORDER),
        ("buy", ExitReason.LIQUIDATION),
        ("buy", ExitReason.ORDER),
    ]
    assert fills[1].price == pytest.approx(99.99)  # the bankruptcy price


def test_spot_is_never_liquidated():
    desk = long_at_100(SPOT)
    assert desk.bar(0.01, 0.01, 0.01, 0.01) == []
    assert desk.broker.position(SPOT).liquidation_price is None


# -- the walk through a bar ---------------------------------------------------------------------------------------


def test_a_bar_without_range_fills_only_what_its_price_reaches():
    desk = Desk()
    above, below = desk.buy(1.0, None, 101.0), desk.buy(1.0, 99.0)
    assert desk.bar(100, 100, 100, 100) == []
    at = desk.buy(1.0, None, 100.0)
    assert [fill.order_id for fill in desk.bar(100, 100, 100, 100)] == [at]
    assert {desk.order(above).status, desk.order(below).status} == {OrderStatus.OPEN}


def test_a_bar_without_a_position_dips_first_when_it_rises_and_peaks_first_when_it_falls():
    for close, sides in ((101.0, ["sell", "buy"]), (99.0, ["buy", "sell"])):
        desk = Desk()
        desk.sell(1.0, None, 95.0)
        desk.buy(2.0, None, 105.0)
        assert [fill.side.value for fill in desk.bar(100, 106, 94, close)] == sides


def test_nearer_orders_fill_first_and_older_ones_first_at_one_price():
    desk = Desk()
    far, near, same = desk.buy(1.0, 95.0), desk.buy(1.0, 98.0), desk.buy(1.0, 95.0)
    assert [fill.order_id for fill in desk.bar(100, 100, 90, 95)] == [near, far, same]


def test_a_gap_beyond_several_orders_fills_all_at_the_open():
    desk = Desk()
    desk.buy(1.0, None, 105.0)
    desk.buy(1.0, None, 110.0)
    desk.bar(100, 100, 100, 100)
    assert fills_of(desk.bar(120, 121, 119, 120)) == [("buy", 1.0, 120.0)] * 2


# -- cancel and modify --------------------------------------------------------------------------------------------


def test_a_cancelled_order_never_fills_and_is_cancelled_once():
    desk = Desk()
    order = desk.buy(1.0, 95.0)
    assert desk.broker.cancel(order)
    assert not desk.broker.cancel(order)
    assert desk.bar(100, 100, 90, 95) == []
    assert [news.order.status for news in desk.news] == [OrderStatus.OPEN, OrderStatus.CANCELED]
    assert not desk.broker.cancel("99")


def test_an_order_cancelled_while_its_bar_is_matched_does_not_fill_later_in_it():
    desk = Desk()
    second = desk.buy(1.0, 94.0)

    def hear(news):
        if isinstance(news.result, Fill):
            assert desk.broker.cancel(second)

    desk.buy(1.0, 97.0)
    desk.hear = hear
    assert fills_of(desk.bar(100, 100, 90, 95)) == [("buy", 1.0, 97.0)]
    assert desk.order(second).status is OrderStatus.CANCELED


def test_an_order_sent_while_a_bar_is_matched_acts_from_the_next():
    desk = Desk()
    sent = []

    def hear(news):
        if isinstance(news.result, Fill) and not sent:
            sent.append(desk.sell(1.0, 101.0, active_from=2 * HOUR))

    desk.bar(100, 100, 100, 100)
    desk.buy(1.0)
    desk.hear = hear
    assert fills_of(desk.bar(100, 120, 99, 110)) == [("buy", 1.0, 100.0)]
    assert fills_of(desk.bar(100, 102, 99, 110)) == [("sell", 1.0, 101.0)]


def test_a_modified_order_arrives_anew():
    desk = Desk()
    limit, stop = desk.buy(1.0, 90.0), desk.buy(1.0, None, 120.0)
    desk.bar(100, 100, 100, 100)
    for order, price in ((limit, 101.005), (stop, 110.005)):
        assert desk.broker.modify(order, price=price, qty=0.5, active_from=desk.clock.now())
    (fill,) = desk.bar(100, 100, 100, 100)
    assert (fill.price, fill.qty, fill.is_maker) == (100.0, 0.5, False)  # the limit crosses now
    assert (desk.order(stop).stop_price, desk.order(stop).qty) == (110.01, 0.5)
    assert not desk.broker.modify(limit, price=90.0, qty=None, active_from=0)


def test_an_order_modified_while_its_bar_is_matched_trades_no_more_in_it():
    desk = Desk()
    second = desk.buy(1.0, 94.0)
    desk.buy(1.0, 97.0)

    def hear(news):
        if isinstance(news.result, Fill):
            desk.broker.modify(second, price=96.0, qty=None, active_from=HOUR)

    desk.hear = hear
    assert fills_of(desk.bar(100, 100, 90, 95)) == [("buy", 1.0, 97.0)]
    desk.hear = desk.news.append
    assert fills_of(desk.bar(97, 98, 95, 96)) == [("buy", 1.0, 96.0)]


def test_a_modification_that_can_not_be_leaves_the_order_as_it_was():
    desk = Desk(capital=1000.0, min_qty=0.1)
    order, market = desk.buy(1.0, 95.0), desk.buy(1.0)
    for order_id, price, qty, reason in (
        (order, None, 0.01, "below_min_qty"),
        (market, 90.0, None, "invalid_price"),
    ):
        assert desk.broker.modify(order_id, price=price, qty=qty, active_from=0)
        desk.listen()
        assert desk.reason(order_id) == reason
    assert (desk.order(order).qty, desk.order(order).status) == (1.0, OrderStatus.OPEN)
    desk.bar(100, 100, 96, 100)
    assert desk.broker.modify(order, price=None, qty=100.0, active_from=desk.clock.now())
    desk.listen()
    assert isinstance(desk.news[-1].result, Rejection)
    assert desk.news[-1].result.reason == "insufficient_margin"
    assert fills_of(desk.bar(100, 100, 90, 95)) == [("buy", 1.0, 95.0)]


# -- several symbols ----------------------------------------------------------------------------------------------


def test_symbols_share_one_account():
    desk = Desk(LINEAR, OTHER, capital=100.0)
    desk.buy(0.6)
    order = desk.buy(0.6, symbol=OTHER)
    desk.together(BTC=(100, 100, 100, 100), ETH=(100, 100, 100, 100))
    assert (desk.qty, desk.reason(order)) == (0.6, "insufficient_margin")
    desk.sell(0.6)
    desk.together(BTC=(200, 200, 200, 200), ETH=(100, 100, 100, 100))
    desk.buy(1.6, symbol=OTHER)
    assert len(desk.together(BTC=(200, 200, 200, 200), ETH=(100, 100, 100, 100))) == 1  # 160 now


def test_what_one_symbol_earns_within_its_bar_does_not_pay_for_an_open_before():
    """BTC reaches its target some time after the open at which the ETH order arrives."""
    desk = Desk(LINEAR, OTHER, capital=100.0)
    desk.buy(1.0, take_profit=110.0)
    desk.together(BTC=(100, 100, 100, 100), ETH=(100, 100, 100, 100))
    order = desk.buy(1.0, symbol=OTHER, shrinkable=True)
    fills = desk.together(BTC=(100, 111, 99, 110), ETH=(100, 100, 100, 100))
    assert [fill.symbol for fill in fills] == [LINEAR]
    assert desk.reason(order) == "insufficient_margin"


# -- the end ------------------------------------------------------------------------------------------------------


def test_close_at_end_closes_at_the_last_price_with_the_fee_and_ends_every_order():
    desk = long_at_100(costs={"fee_taker": 0.001, "slippage_rate": 0.01})
    order = desk.buy(1.0, 50.0)
    desk.bar(100, 121, 100, 120)
    news = list(desk.broker.close_at_mark())
    fill = next(one.result for one in news if isinstance(one.result, Fill))
    assert (fill.price, fill.fee, fill.reason) == (120.0, pytest.approx(0.12), ExitReason.END)
    assert desk.order(order).status is OrderStatus.EXPIRED
    assert (desk.qty, list(desk.broker.working())) == (0.0, [])


def test_every_change_of_an_order_is_news_once_and_in_order():
    desk = Desk(protection={"stop_loss_pct": 5.0})
    limit, gone = desk.buy(1.0, 99.0), desk.buy(1.0, 90.0)
    desk.broker.cancel(gone)
    desk.bar(100, 100, 94, 96)
    told = [(news.order.id, news.order.status.value, news.order.reason.value) for news in desk.news]
    assert told == [
        (limit, "open", "order"),
        (gone, "open", "order"),
        (gone, "canceled", "order"),
        (limit, "filled", "order"),
        ("3", "filled", "stop_loss"),
    ]
    assert all(desk.broker.orders[news.order.id].updated >= news.order.updated for news in desk.news)


def test_pieces_of_an_order_that_trade_at_one_price_leave_the_market_going_where_it_went():
    """A stop-limit whose stop-loss lies above its fill goes in and out at 985.75, on the way up to the other stop.

    Bar 978.25, 992, 972, 985.75: down to 972, then up. Whole or in two pieces, the buy stop at 991.75 trades too,
    and its stop-loss at 982.5 counts: 982.5 - 991.75 = -9.25.
    """
    for pieces in (1, 2):
        desk = Desk(LINEAR, capital=100_000.0)
        for _ in range(pieces):
            desk.buy(1.0 / pieces, price=998.0, stop=985.75, stop_loss=993.25)
        desk.buy(1.0, stop=991.75, stop_loss=982.5)
        desk.bar(978.25, 992.0, 972.0, 985.75)
        assert desk.ledger.balance == pytest.approx(100_000.0 - 9.25)


@pytest.mark.parametrize(
    ("exchange", "terms", "why"),
    [
        (
            "kucoin",
            {"type": OrderType.LIMIT, "price": 90.0, "tif": Tif.FOK},
            "its contracts know GTC and IOC only",
        ),
        ("kucoin", {"type": OrderType.LIMIT, "price": 90.0, "tif": Tif.IOC}, None),
        ("binance", {"type": OrderType.LIMIT, "price": 90.0, "tif": Tif.FOK}, None),
        ("demo", {"type": OrderType.LIMIT, "price": 90.0, "tif": Tif.FOK}, None),
    ],
)
def test_an_order_that_the_exchange_does_not_take_is_refused_as_it_is_live(exchange, terms, why):
    ledger = Ledger(10_000.0, {LINEAR: replace(market(), exchange=exchange)}, 1.0, MarginMode.ISOLATED)
    broker = SimulatedBroker(ledger, SimClock(0))
    order = Order(id="1", symbol=LINEAR, side=Side.BUY, qty=1.0, **terms)
    broker.submit(order, active_from=0)
    (news,) = broker.news
    if why is None:
        assert news.order.status is OrderStatus.OPEN
    else:
        assert (news.result.reason, news.result.message) == (
            "not_supported", f"KuCoin {LINEAR}: no fok: {why}",
        )  # fmt: skip
