"""The Shield: each live position has the stop and the target that it needs, whatever happens to them."""

import json
from math import inf
from typing import Any

import pytest
from keep import Keep

from metaexpert.broker.exits import backoff_ms
from metaexpert.broker.protection import Protection
from metaexpert.broker.sentries import Standing
from metaexpert.broker.shield import NO_POSITION, STOP_REACHED
from metaexpert.errors import UnprotectedError
from metaexpert.exchanges.capabilities import Support
from metaexpert.models import ExitReason, OrderStatus, OrderType
from metaexpert.reports import Cancel, Check, Fetch, Find, Gap, OrderMissing

LEVELS = {"stop_loss_pct": 2.0, "take_profit_pct": 5.0}  # of an entry at 100: 98 and 105; of a short 102 and 95


def long(**more: Any) -> Keep:
    """A long position of 1 from 100 whose stop at 98 and target at 105 stand."""
    keep = Keep(**(LEVELS | more))
    keep.trade(1.0, 100.0)
    keep.stands()
    keep.new()
    return keep


# --- armed and lifted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("qty", "side", "stop", "target"), [(1.0, "sell", 98.0, 105.0), (-1.0, "buy", 102.0, 95.0)]
)
def test_a_position_gets_its_stop_and_its_target_in_the_event_of_its_fill(qty, side, stop, target):
    keep = Keep(**LEVELS)
    keep.trade(qty, 100.0, tag="mine")
    first, second = keep.new()
    assert keep.standing == [("stop", side, 1.0, stop), ("target", side, 1.0, target)]
    assert (first.type, first.reduce_only, first.reason) == (OrderType.STOP, True, ExitReason.STOP_LOSS)
    assert (second.type, second.reduce_only, second.reason) == (OrderType.STOP, True, ExitReason.TAKE_PROFIT)
    assert (first.status, first.tag, first.position_side) == (OrderStatus.PENDING, "mine", None)
    assert not keep.shield.is_settled
    keep.stands()
    assert keep.shield.is_settled
    assert keep.new() == []


def test_protective_orders_are_not_in_the_book_and_make_no_news():
    keep = long()
    assert keep.book.working() == []
    assert [one.order.type for one in keep.book.news] == [OrderType.MARKET]


def test_a_position_without_levels_gets_none():
    keep = Keep()
    keep.trade(1.0, 100.0)
    assert keep.standing == []
    assert keep.shield.is_settled


def test_a_flat_position_loses_its_orders():
    keep = long()
    keep.trade(-1.0, 101.0)
    assert len(keep.cancelled) == 2
    keep.cancels()
    assert keep.standing == []
    assert keep.shield.is_settled


def test_when_the_stop_fills_the_target_is_cancelled():
    keep = long()
    keep.fires(keep.shield.sentries[0], 97.5)
    assert keep.ledger.is_flat()
    fill = keep.execution.fills[-1]
    assert (fill.reason, fill.qty, fill.price) == (ExitReason.STOP_LOSS, 1.0, 97.5)
    (asked,) = [one for one in keep.asked if isinstance(one, Cancel)]
    assert asked.order.reason is ExitReason.TAKE_PROFIT
    keep.cancels()
    assert keep.standing == []
    assert keep.new() == []
    assert keep.alerts == []


def test_an_order_that_is_on_its_way_is_cancelled_once_it_stands():
    keep = Keep(**LEVELS)
    keep.trade(1.0, 100.0)
    keep.trade(-1.0, 101.0)
    assert keep.cancelled == []
    keep.stands()
    assert len(keep.cancelled) == 2


def test_each_leg_of_a_hedge_has_its_own():
    keep = Keep(hedge=True, **LEVELS)
    keep.trade(1.0, 100.0, "long")
    keep.trade(-2.0, 100.0, "short")
    assert [(one.position_side, one.side, one.qty, one.stop_price) for one in keep.new()] == [
        ("long", "sell", 1.0, 98.0),
        ("long", "sell", 1.0, 105.0),
        ("short", "buy", 2.0, 102.0),
        ("short", "buy", 2.0, 95.0),
    ]


# --- growth, partial exits, reversals ------------------------------------------------------------------------


def test_a_position_that_grows_gets_new_orders_before_the_old_ones_go():
    keep = long(stop_loss=98.0, take_profit=105.0)
    old = [one.id for one in keep.shield.sentries]
    keep.trade(0.5, 100.0)
    assert [(one.qty, one.stop_price) for one in keep.new()] == [(1.5, 98.0), (1.5, 105.0)]
    assert keep.cancelled == []
    keep.stands()
    assert sorted(keep.cancelled) == sorted(old)
    keep.cancels()
    assert keep.standing == [("stop", "sell", 1.5, 98.0), ("target", "sell", 1.5, 105.0)]


def test_fills_that_come_one_after_another_are_covered_by_one_order_a_round_trip():
    keep = Keep(stop_loss=98.0)
    keep.trade(0.1, 100.0)
    for _ in range(9):
        keep.trade(0.1, 100.0)
    assert [one.qty for one in keep.sent] == [0.1]
    keep.stands()
    assert [one.qty for one in keep.sent] == [0.1, 1.0]
    keep.stands()
    keep.cancels()
    assert keep.standing == [("stop", "sell", 1.0, 98.0)]


def test_a_partial_exit_leaves_orders_of_what_is_left():
    keep = long()
    keep.trade(-0.4, 101.0)
    keep.stands()
    keep.cancels()
    assert keep.standing == [("stop", "sell", 0.6, 98.0), ("target", "sell", 0.6, 105.0)]


def test_a_reversal_changes_sides():
    """Long 1, sold 3: short 2 from 100."""
    keep = long()
    keep.trade(-3.0, 100.0)
    keep.stands()
    keep.cancels()
    assert keep.standing == [("stop", "buy", 2.0, 102.0), ("target", "buy", 2.0, 95.0)]


@pytest.mark.parametrize("what", ["cancelled before", "cancelled after", "refused"])
def test_what_becomes_of_the_stop_of_a_position_that_was_reversed_says_nothing_of_the_new_one(what):
    """Exchanges end reduce-only orders on the wrong side: three reversals in a minute are no three lost stops."""
    keep = Keep(stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    for side in (-1, 1, -1, 1):
        stop = keep.new()[-1]
        if what != "refused":
            keep.stands()
        if what == "cancelled before":
            keep.says(stop, OrderStatus.CANCELED)
        keep.trade(2.0 * side, 100.0)
        if what == "cancelled after":
            keep.says(stop, OrderStatus.CANCELED)
        elif what == "refused":
            keep.refuses(stop, STOP_REACHED)
    keep.agrees()
    for _ in range(2):  # what was sent for the side before is answered first
        keep.stands()
        keep.cancels()
    assert (keep.alerts, keep.closings) == ([], [])
    assert [line[:3] for line in keep.standing] == [("stop", "sell", 1.0)]


def test_while_a_stop_fills_nothing_is_sent_and_what_it_leaves_is_covered_anew():
    """0.4 of 1 filled at 97.5, the rest was cancelled by the exchange at once, and the price is back at 99."""
    keep = long()
    stop = keep.shield.sentries[0]
    keep.fires(stop, 97.5, 0.4)
    assert (keep.new(), keep.closings, keep.cancelled) == ([], [], [])
    keep.price(99.0)
    keep.says(stop.working.order, OrderStatus.CANCELED, 0.4)
    keep.stands()
    keep.cancels()
    assert keep.standing == [("stop", "sell", 0.6, 98.0), ("target", "sell", 0.6, 105.0)]
    ended = keep.book.orders()[stop.id]
    assert (ended.status, ended.filled) == (OrderStatus.CANCELED, 0.4)


def test_fills_that_are_told_of_but_not_booked_are_waited_for():
    """The report of the fired stop comes before its fill: nothing is armed anew."""
    keep = long()
    stop = keep.shield.sentries[0]
    keep.says(stop.working.order, OrderStatus.FILLED, 1.0, average_price=97.5)
    assert keep.new() == []
    assert not keep.shield.is_settled
    keep.fill(stop.working, 1.0, 97.5)
    keep.cancels()
    assert keep.standing == []
    assert keep.shield.is_settled


def test_a_fill_finds_its_order_by_every_id_that_it_had_also_afterwards():
    """An order that fires may go on under another id of the exchange's."""
    keep = long()
    stop = keep.shield.sentries[0]
    keep.says(stop.working.order, OrderStatus.OPEN, exchange_id="child")
    keep.fires(stop, 97.5)
    assert {keep.shield.find(name) for name in (stop.id, f"x{stop.id}", "child")} == {stop}
    assert keep.shield.find("") is None
    assert stop.standing is Standing.ENDED


def test_a_position_that_is_larger_than_one_order_may_be_has_several_of_each():
    """At most 0.4 in an order without a price: 0.4, 0.4 and 0.2 of a position of 1, then 0.4 and 0.1 of 0.5."""
    keep = Keep(most=0.4, stop_loss=98.0)
    keep.trade(1.0, 100.0)
    assert [one.qty for one in keep.new()] == [0.4, 0.4, 0.2]
    keep.stands()
    assert keep.shield.is_settled
    assert [one.status for one in keep.shield.report()] == ["stands"]
    keep.says(keep.shield.sentries[1].working.order, OrderStatus.CANCELED)
    assert [one.qty for one in keep.new()] == [0.4]
    keep.stands()
    keep.agrees()
    keep.trade(-0.5, 101.0)
    assert [one.qty for one in keep.new()] == [0.1]
    keep.stands()
    keep.cancels()
    assert [qty for _, _, qty, _ in keep.standing] == [0.1, 0.4]
    keep.fires(keep.shield.sentries[0], 97.5)
    keep.fires(keep.shield.sentries[0], 97.5)
    assert (keep.ledger.is_flat(), keep.standing, keep.new()) == (True, [], [])


def test_a_position_that_is_larger_than_one_order_may_be_is_closed_by_several():
    keep = Keep(most=0.4, home=Support.EMULATED, stop_loss=98.0)
    keep.trade(1.0, 100.0)
    keep.price(98.0)
    for count, qty in enumerate((0.4, 0.4, 0.2), 1):
        assert (len(keep.closings), keep.closings[-1].qty) == (count, qty)
        keep.fill(keep.closings[-1], qty, 97.5)
    assert (keep.ledger.is_flat(), keep.alerts, len(keep.closings)) == (True, [], 3)


# --- levels that move ----------------------------------------------------------------------------------------


def test_a_trailing_stop_moves_at_most_once_a_second_and_the_old_one_goes_last():
    """2 % behind the best price: 98 at 100, 99.5 at 101.9 (99.862 down to the tick of 0.5), 100 at 102.5."""
    keep = Keep(trailing_stop_pct=2.0)
    keep.trade(1.0, 100.0)
    (first,) = keep.new()
    assert (first.stop_price, first.reason) == (98.0, ExitReason.TRAILING_STOP)
    keep.stands()
    keep.price(101.9)
    assert keep.new() == []
    assert keep.shield.next_time == keep.clock.now() + 1_000
    keep.price(102.5)
    keep.wait(999)
    assert keep.new() == []
    keep.wait(1)
    assert [(one.status, one.level, one.order_id) for one in keep.shield.report()] == [("moving", 100.0, first.id)]
    (second,) = keep.new()
    assert second.stop_price == 100.0
    assert keep.cancelled == []
    assert [one.status for one in keep.shield.report()] == ["moving"]
    keep.stands()
    assert [(one.status, one.order_id) for one in keep.shield.report()] == [("stands", second.id)]
    assert keep.cancelled == [first.id]
    keep.cancels()
    assert keep.shield.is_settled


def test_a_price_that_moves_no_level_sends_nothing():
    keep = Keep(trailing_stop_pct=2.0)
    keep.trade(1.0, 100.0)
    keep.stands()
    keep.new()
    keep.wait(5_000)
    for price in (100.2, 99.0, 100.4):  # 100.4 less 2 % is 98.392: the tick below is 98 still
        keep.price(price)
    assert keep.new() == []


def test_breakeven_brings_the_stop_to_the_entry():
    keep = Keep(stop_loss_pct=2.0, breakeven_pct=1.0)
    keep.trade(1.0, 100.0)
    keep.stands()
    keep.wait(2_000)
    keep.new()
    keep.price(101.0)
    (moved,) = keep.new()
    assert (moved.stop_price, moved.reason) == (100.0, ExitReason.BREAKEVEN)


def test_a_market_that_falls_through_a_level_that_was_not_moved_yet_closes_the_position():
    """The trailing stop is at 100 for us and still at 98 on the exchange."""
    keep = Keep(trailing_stop_pct=2.0)
    keep.trade(1.0, 100.0)
    keep.stands()
    keep.price(102.5)
    keep.price(100.0)
    (closing,) = keep.closings
    assert (closing.terms.reason, closing.qty) == (ExitReason.TRAILING_STOP, 1.0)
    keep.fill(closing, 1.0, 99.5)
    keep.cancels()
    assert keep.standing == []


def test_levels_that_the_expert_changes_are_changed_at_once():
    keep = long()
    held = keep.ledger.leg(keep.symbol)
    keep.execution.protect(held, Protection(stop_loss=99.0))
    keep.shield.sync()
    assert [(one.reason, one.stop_price) for one in keep.new()] == [(ExitReason.STOP_LOSS, 99.0)]
    assert len(keep.cancelled) == 1  # of the target, which is not wanted any more
    keep.stands()
    keep.cancels()
    assert keep.standing == [("stop", "sell", 1.0, 99.0)]
    keep.execution.protect(held, Protection())
    keep.shield.sync()
    keep.cancels()
    assert keep.standing == []


# --- what the exchange makes of them --------------------------------------------------------------------------


def test_a_stop_that_shrank_with_its_position_is_replaced_when_that_has_grown_again():
    """Before the smaller one that was sent for it stands, so that the old one seemed to do."""
    keep = Keep(stop_loss=102.0)
    keep.trade(-2.0, 100.0)
    keep.stands()
    (first,) = keep.new()
    keep.trade(1.0, 100.0)
    (second,) = keep.new()
    keep.says(first, OrderStatus.OPEN, qty=1.0)
    keep.trade(-1.0, 100.0)
    keep.stands(second)
    assert keep.cancelled == []
    assert [(one.qty, one.stop_price) for one in keep.new()] == [(2.0, 102.0)]
    keep.stands()
    assert sorted(keep.cancelled) == sorted([first.id, second.id])
    keep.cancels()
    assert keep.standing == [("stop", "buy", 2.0, 102.0)]
    assert keep.alerts == []


def test_a_stop_that_is_too_small_on_the_exchange_is_replaced_a_second_later_and_told_of():
    """A fill that explains it may be told within that second."""
    keep = long()
    stop = keep.shield.orders[0]
    keep.says(stop, OrderStatus.OPEN, qty=0.5)
    assert (keep.new(), keep.alerts, keep.shield.next_time) == ([], [], keep.clock.now() + 1_000)
    assert keep.shield.report()[0].status == "missing"
    keep.wait(1_000)
    assert [(one.qty, one.stop_price) for one in keep.new()] == [(1.0, 98.0)]
    assert keep.alerts == [
        f"{keep.symbol}: the exchange made the stop {stop.id} of 1 one of 0.5, while 1 is held: a new one is sent"
    ]
    assert keep.cancelled == []
    keep.stands()
    assert keep.cancelled == [stop.id]


def test_a_stop_that_shrinks_before_the_fill_is_told_is_left_as_it_is():
    keep = long()
    keep.says(keep.shield.orders[0], OrderStatus.OPEN, qty=0.5)
    keep.trade(-0.5, 101.0)
    keep.wait(1_000)
    assert [one.reason for one in keep.new()] == [ExitReason.TAKE_PROFIT]
    assert keep.alerts == []


def test_a_report_that_repeats_what_was_sent_does_not_make_a_shrunk_stop_whole():
    keep = Keep(stop_loss=98.0)
    keep.trade(1.0, 100.0)
    keep.stands()
    (stop,) = keep.new()
    keep.says(stop, OrderStatus.OPEN, qty=0.5)
    keep.says(stop, OrderStatus.OPEN, qty=1.0)
    assert keep.standing == [("stop", "sell", 0.5, 98.0)]


def test_an_exchange_that_shrinks_every_stop_is_asked_with_patience():
    """After 1, 2, 4 and 8 seconds: they follow one another within a minute."""
    keep = Keep(stop_loss=98.0)
    keep.trade(1.0, 100.0)
    for wait in (1_000, 2_000, 4_000, 8_000):
        (stop,) = keep.new()
        keep.stands(stop)
        keep.says(stop, OrderStatus.OPEN, qty=0.25)
        keep.cancels()
        keep.wait(wait - 1)
        assert keep.new() == []
        keep.wait(1)
    assert len(keep.alerts) == 4


# --- refused, lost, unknown ------------------------------------------------------------------------------------


def test_a_stop_that_is_refused_closes_the_position_once_the_fills_are_known():
    keep = Keep(stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    (stop,) = keep.new()
    keep.refuses(stop)
    assert keep.closings == []
    keep.fetched()
    (closing,) = keep.closings
    assert (closing.terms.reason, closing.qty, closing.terms.reduce_only) == (ExitReason.ORDER, 1.0, True)
    assert closing.message == "closed by on_stop_failure: its stop was refused (rejected: no)"
    assert keep.alerts == [f"{keep.symbol}: the stop at 98 was refused (rejected: no): the position is closed"]
    assert isinstance(keep.notices[0].error, UnprotectedError)
    assert keep.refusal == "unprotected"
    keep.fill(closing, 1.0, 99.0)
    assert keep.refusal is None
    assert keep.shield.is_settled


def test_a_stop_that_was_refused_because_the_position_had_ended_is_no_trouble():
    """The fill of the exit comes with the fills that are fetched."""
    keep = Keep(stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    keep.refuses(keep.new()[0])
    keep.trade(-1.0, 101.0)
    keep.fetched()
    assert (keep.closings, keep.alerts, keep.new()) == ([], [], [])
    assert keep.shield.is_settled


def test_a_stop_that_has_nothing_to_reduce_is_judged_once_the_account_was_looked_at():
    """Most likely the position was closed by somebody else, and what is there now is not ours to close."""
    keep = Keep(stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    keep.refuses(keep.new()[0], NO_POSITION)
    keep.fetched()
    assert keep.closings == []
    keep.agrees()
    assert len(keep.closings) == 1


def test_fills_that_nobody_tells_are_not_waited_for_for_ever():
    keep = Keep(stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    keep.refuses(keep.new()[0])
    assert keep.shield.next_time == keep.clock.now() + 5_000
    keep.wait(5_000)
    assert len(keep.closings) == 1


def test_a_closing_that_is_refused_is_tried_again_and_told_each_time():
    """After 1, 2 and 4 seconds."""
    keep = Keep(stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    keep.refuses(keep.new()[0])
    keep.fetched()
    for count, seconds in enumerate((1, 2, 4), 1):
        keep.book.drop(keep.closings[-1], OrderStatus.REJECTED, "no", "rejected")
        keep.wait(0)
        keep.wait(seconds * 1_000 - 1)
        assert (len(keep.closings), len(keep.alerts)) == (count, count + 1)
        keep.wait(1)
        assert (len(keep.closings), len(keep.alerts)) == (count + 1, count + 1)
    assert not keep.shield.is_settled


def test_what_the_account_does_not_seem_to_hold_is_not_closed():
    """It may have been closed by hand, and what is there then is somebody else's."""
    keep = Keep(stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    keep.is_doubted = True
    keep.refuses(keep.new()[0])
    assert [type(one) for one in keep.asked] == [Fetch, Check]
    keep.fetched()
    keep.wait(60_000)
    assert (keep.closings, keep.alerts, keep.shield.is_settled) == ([], [], False)
    keep.is_doubted = False
    keep.wait(0)
    assert len(keep.closings) == 1
    keep.book.drop(keep.closings[0], OrderStatus.REJECTED, "no", "rejected")
    keep.is_doubted = True
    keep.wait(0)
    keep.wait(60_000)
    assert len(keep.closings) == 1
    keep.is_doubted = False
    keep.wait(0)
    assert len(keep.closings) == 2


def test_retry_tries_again_with_patience():
    """After 1, 2, 4, 8, 16, 30 and 30 seconds; then one stands, and the count begins anew."""
    keep = Keep(rule="retry", stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    for seconds in (1, 2, 4, 8, 16, 30, 30):
        keep.refuses(keep.new()[0])
        keep.fetched()
        keep.wait(seconds * 1_000 - 1)
        assert keep.sent == []
        keep.wait(1)
        assert len(keep.sent) == 1
    assert len(keep.alerts) == 7
    assert keep.closings == []
    keep.stands()
    keep.new()
    keep.trade(1.0, 100.0)
    keep.refuses(keep.new()[0])
    keep.fetched()
    keep.wait(1_000)
    assert len(keep.sent) == 1


def test_alert_tells_once_and_goes_on():
    keep = Keep(rule="alert", stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    keep.refuses(keep.new()[0])
    keep.fetched()
    keep.wait(600_000)
    assert (len(keep.alerts), keep.new(), keep.closings) == (1, [], [])
    assert keep.shield.is_settled
    assert [one.status for one in keep.shield.report()] == ["missing"]
    keep.trade(1.0, 100.0)  # another quantity is another question
    assert [one.qty for one in keep.new()] == [2.0]


@pytest.mark.parametrize("rule", ["close", "retry", "alert"])
def test_a_target_that_is_refused_is_tried_again_whatever_the_rule(rule):
    keep = Keep(rule=rule, **LEVELS)
    keep.trade(1.0, 100.0)
    stop, target = keep.new()
    keep.stands(stop)
    keep.refuses(target)
    keep.fetched()
    keep.wait(1_000)
    assert [one.reason for one in keep.new()] == [ExitReason.TAKE_PROFIT]
    assert (len(keep.alerts), keep.closings) == (1, [])


def test_a_move_that_is_refused_leaves_the_old_stop_and_closes_nothing():
    keep = Keep(trailing_stop_pct=2.0)
    keep.trade(1.0, 100.0)
    keep.stands()
    keep.wait(1_000)
    keep.new()
    keep.price(102.5)
    keep.refuses(keep.new()[0])
    keep.fetched()
    assert (keep.closings, keep.standing) == ([], [("stop", "sell", 1.0, 98.0)])
    keep.wait(1_000)
    assert [one.stop_price for one in keep.new()] == [100.0]


@pytest.mark.parametrize(("index", "reason"), [(0, ExitReason.STOP_LOSS), (1, ExitReason.TAKE_PROFIT)])
def test_a_level_that_the_market_has_reached_already_closes_the_position(index, reason):
    """What the order would have done; it is no failure."""
    keep = Keep(**LEVELS)
    keep.trade(1.0, 100.0)
    keep.refuses(keep.new()[index], STOP_REACHED)
    (closing,) = keep.closings
    assert (closing.terms.reason, keep.alerts, keep.refusal) == (reason, [], None)


def test_a_level_that_is_known_to_be_reached_is_not_sent():
    keep = Keep(stop_loss=98.0)
    keep.trade(1.0, 97.0)
    assert keep.new() == []
    assert [one.terms.reason for one in keep.closings] == [ExitReason.STOP_LOSS]


def test_a_stop_that_was_cancelled_by_hand_is_sent_anew_at_once_and_told_of():
    keep = long()
    stop = keep.shield.sentries[0]
    keep.says(stop.working.order, OrderStatus.CANCELED)
    (again,) = keep.new()
    assert (again.qty, again.stop_price) == (1.0, 98.0)
    assert again.id != stop.id
    assert keep.alerts == []  # the position may have been closed by hand as well
    keep.stands()
    keep.agrees()
    assert keep.alerts == [f"{keep.symbol}: stop {stop.id} at 98 was canceled on the exchange: a new one is sent"]
    assert keep.shield.is_settled


def test_a_target_that_the_exchange_cancels_because_the_position_is_closed_is_no_loss():
    """The stop has filled; that is heard after the target's end."""
    keep = long()
    stop, target = keep.shield.sentries
    keep.says(target.working.order, OrderStatus.CANCELED)
    keep.fires(stop, 97.5)
    keep.fetched()
    keep.stands()
    keep.cancels()
    assert (keep.alerts, keep.standing, keep.closings) == ([], [], [])


def test_an_exchange_that_cancels_every_stop_closes_the_position_by_the_rule():
    keep = Keep(stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    for _ in range(3):
        assert keep.closings == []
        (stop,) = keep.new()
        keep.stands()
        keep.says(stop, OrderStatus.CANCELED)
        keep.agrees()
    assert len(keep.closings) == 1


def test_an_order_that_did_not_arrive_is_sent_under_a_new_id():
    keep = Keep(stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    (stop,) = keep.new()
    keep.hides(stop)
    keep.wait(10_000)
    assert keep.new() == []  # it may have arrived
    keep.misses(stop)
    (again,) = keep.new()
    assert again.id != stop.id


def test_a_position_whose_only_stop_may_not_have_arrived_is_told_of_at_once():
    """Its target, or a stop that is to be moved while the old one stands, leaves nothing bare."""
    keep = Keep(stop_loss_pct=2.0, take_profit_pct=5.0)
    keep.trade(1.0, 100.0)
    stop, target = keep.new()
    keep.hides(target)
    assert keep.alerts == []
    keep.hides(stop)
    keep.hides(stop)
    assert keep.alerts == [f"{keep.symbol}: the stop at 98 may not have arrived: it is looked up"]
    keep.stands(stop, target)
    keep.execution.protect(keep.ledger.leg(keep.symbol), Protection(stop_loss=99.0, take_profit=105.0))
    keep.shield.sync()
    (moved,) = keep.new()
    keep.hides(moved)
    assert (moved.stop_price, len(keep.alerts)) == (99.0, 1)


def test_an_order_whose_fate_is_unknown_protects_nobody():
    """The market reaches the level meanwhile: whether the order is there or not, the position is closed."""
    keep = Keep(stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    keep.hides(keep.new()[0])
    keep.price(97.0)
    assert [one.terms.reason for one in keep.closings] == [ExitReason.STOP_LOSS]


def test_a_cancellation_that_is_refused_is_looked_up_and_asked_again_later():
    keep = long()
    keep.trade(-1.0, 101.0)
    target = keep.shield.sentries[1].working.order
    keep.asked.clear()
    keep.keeps(target)
    assert [one.order.id for one in keep.asked if isinstance(one, Find)] == [target.id]
    keep.says(target, OrderStatus.OPEN)
    assert keep.cancelled == []
    keep.wait(1_000)
    assert keep.cancelled == [target.id]


def test_an_order_that_can_not_be_cancelled_because_it_is_gone_is_gone():
    keep = long()
    keep.trade(-1.0, 101.0)
    for sentry in list(keep.shield.sentries):
        keep.keeps(sentry.working.order)
        keep.misses(sentry.working.order)
    assert (keep.standing, keep.alerts, keep.new()) == ([], [], [])


def test_reports_of_other_orders_are_not_its_own():
    keep = long()
    other = keep.shield.sentries[0].working.order.changed(id="7777", exchange_id="other")
    assert keep.hear(Gap(0, "")) is False
    assert keep.shield.hear(Gap(0, "")) is False
    keep.shield.sync()
    assert keep.says(other, OrderStatus.CANCELED) is False
    assert len(keep.standing) == 2


# --- watched ---------------------------------------------------------------------------------------------------


def watched(**levels: float) -> Keep:
    """A long position of 1 from 100 in a market whose levels the expert watches."""
    keep = Keep(home=Support.EMULATED, **levels)
    keep.trade(1.0, 100.0)
    return keep


def test_a_watched_level_is_closed_at_market_when_a_trade_reaches_it():
    for price, reason in ((98.0, ExitReason.STOP_LOSS), (105.0, ExitReason.TAKE_PROFIT)):
        keep = watched(**LEVELS)
        keep.price(98.5)
        keep.price(104.5)
        assert (keep.new(), keep.closings) == ([], [])
        assert [one.status for one in keep.shield.report()] == ["watched", "watched"]
        keep.price(price)
        (closing,) = keep.closings
        assert (closing.terms.reason, closing.qty) == (reason, 1.0)
        keep.price(90.0)
        assert len(keep.closings) == 1
        keep.fill(closing, 1.0, price)
        assert keep.shield.is_settled


def test_a_watched_trailing_stop_is_tested_before_the_price_moves_it():
    """Rule 8. 2 % behind 105 is 102.5 (102.9 down to the tick of 0.5)."""
    keep = watched(trailing_stop_pct=2.0)
    keep.price(105.0)
    keep.price(103.0)
    assert keep.closings == []
    keep.price(102.5)
    assert [one.terms.reason for one in keep.closings] == [ExitReason.TRAILING_STOP]


def test_a_watched_closing_that_is_refused_is_tried_again():
    keep = watched(stop_loss_pct=2.0)
    keep.price(98.0)
    keep.book.drop(keep.closings[0], OrderStatus.REJECTED, "no", "rejected")
    keep.wait(0)
    keep.wait(999)
    assert len(keep.closings) == 1
    keep.price(99.0)  # the price has come back: it was reached all the same
    keep.wait(1)
    assert len(keep.closings) == 2
    assert len(keep.alerts) == 1


def test_a_closing_waits_for_a_price_where_it_takes_one_and_goes_at_once_when_there_is_one():
    """It is told when it begins to wait and 30 s later; nothing is sent, asked or due meanwhile."""
    keep = watched(stop_loss_pct=2.0)
    keep.is_priced = False
    keep.price(98.0)
    for _ in range(40):
        keep.wait(1_000)
    assert (keep.closings, keep.asked, keep.shield.next_time) == ([], [], inf)
    assert keep.shield.is_settled
    assert [one.status for one in keep.shield.report()] == ["closing"]
    told = f"{keep.symbol}: no price is known to close the position at (the stop 98 was reached): it waits for one"
    assert keep.alerts == [told, told]
    keep.is_priced = True
    keep.wait(0)
    assert len(keep.closings) == 1
    assert not keep.shield.is_settled


def test_quotes_tell_what_is_reached_where_nothing_trades():
    """A long's stop at 98 once the ask is there: any trade would be at or below it."""
    keep = watched(stop_loss_pct=2.0)
    keep.price(99.0)
    keep.shield.on_quote(keep.symbol, 97.0, 97.5)
    assert keep.closings == []  # a trade was heard just now
    keep.clock.advance(keep.clock.now() + 10_000)
    for bid, ask in ((90.0, 98.5), (0.0, 97.0), (98.0, 97.0)):
        keep.shield.on_quote(keep.symbol, bid, ask)
        assert keep.closings == []
    keep.shield.on_quote(keep.symbol, 90.0, 98.0)
    assert len(keep.closings) == 1


def test_quotes_reach_the_target_of_a_short_by_its_ask():
    keep = Keep(home=Support.EMULATED, **LEVELS)
    keep.trade(-1.0, 100.0)  # 102 and 95
    keep.shield.on_quote(keep.symbol, 94.0, 95.5)
    assert keep.closings == []
    keep.shield.on_quote(keep.symbol, 94.0, 95.0)
    assert [one.terms.reason for one in keep.closings] == [ExitReason.TAKE_PROFIT]


# --- a restart -------------------------------------------------------------------------------------------------


def restarted(keep: Keep) -> None:
    """The process was killed and begins anew from what was saved."""
    saved = json.loads(json.dumps(keep.shield.state()))
    keep.shield = keep.make()
    keep.shield.restore(saved)


def test_after_a_restart_orders_are_unknown_until_they_are_found():
    keep = long()
    restarted(keep)
    assert [one.standing for one in keep.shield.sentries] == [Standing.UNKNOWN] * 2
    assert [one.status for one in keep.shield.report()] == ["unknown", "unknown"]
    assert not keep.shield.is_settled
    keep.stands()
    assert keep.shield.is_settled
    assert keep.new() == []


def test_after_a_restart_a_stop_that_is_gone_is_missing_and_armed_anew():
    keep = long()
    restarted(keep)
    stop, target = keep.shield.sentries
    keep.shield.hear(OrderMissing(0, keep.symbol, stop.id))
    assert [(one.part, one.status) for one in keep.shield.report()] == [("stop", "missing"), ("target", "unknown")]
    keep.stands(target.working.order)
    assert [(one.reason, one.stop_price) for one in keep.new()] == [(ExitReason.STOP_LOSS, 98.0)]
    keep.agrees()
    assert keep.alerts == [f"{keep.symbol}: stop {stop.id} at 98 is not on the exchange: a new one is sent"]


def test_a_restart_keeps_closing_what_was_being_closed():
    keep = Keep(stop_loss_pct=2.0)
    keep.trade(1.0, 100.0)
    keep.refuses(keep.new()[0])
    keep.fetched()
    keep.book.drop(keep.closings[0], OrderStatus.REJECTED, "no", "rejected")
    restarted(keep)
    assert keep.refusal is not None
    keep.shield.sync()
    assert len(keep.closings) == 2


def test_an_order_that_was_written_down_but_not_in_the_state_is_expected():
    keep = long()
    stop = keep.shield.sentries[0].working.order
    keep.shield = keep.make()
    assert keep.shield.expect(stop)
    assert keep.shield.expect(stop)
    assert not keep.shield.expect(stop.changed(id="7", reason=ExitReason.ORDER))
    assert [one.standing for one in keep.shield.sentries] == [Standing.UNKNOWN]
    keep.stands(stop)
    assert [one.reason for one in keep.new()] == [ExitReason.TAKE_PROFIT]


def test_an_order_of_ours_that_is_found_is_taken_over_where_it_fits():
    keep = long()
    stop, target = [one.working.order for one in keep.shield.sentries]
    keep.shield = keep.make()
    assert not keep.shield.take_over(stop.changed(stop_price=97.0))
    assert not keep.shield.take_over(stop.changed(qty=2.0))
    assert not keep.shield.take_over(stop.changed(type=OrderType.LIMIT, price=105.0))
    assert keep.shield.take_over(stop.changed(reason=ExitReason.ORDER, qty=1.0 + 1e-12))
    assert keep.shield.take_over(target.changed(reason=ExitReason.ORDER))
    assert not keep.shield.take_over(stop.changed(id="7"))
    keep.shield.sync()
    assert (keep.new(), keep.cancelled) == ([], [])
    assert [one.working.terms.reason for one in keep.shield.sentries] == [
        ExitReason.STOP_LOSS,
        ExitReason.TAKE_PROFIT,
    ]


def test_how_long_is_waited_between_attempts():
    assert [backoff_ms(n) for n in (0, 1, 2, 3, 4, 5, 6, 7, 99)] == [
        1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
    ]  # fmt: skip
