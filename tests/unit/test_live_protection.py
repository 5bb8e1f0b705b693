"""The live broker with its Shield and its comparison of books: protected, watched, reconciled, restarted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from desk import LINEAR, SPOT
from floor import CANCELED, FILLED, OPEN, REJECTED, Floor

from metaexpert.broker.differences import RECONCILED
from metaexpert.models import Account, ExitReason, Order, OrderType, Position
from metaexpert.reports import (
    AccountReport,
    Cancel,
    Check,
    Fetch,
    Find,
    Gap,
    OrderMissing,
    OrderRefused,
    OrderReport,
    Send,
)

if TYPE_CHECKING:
    from metaexpert.reports import Command

LEVELS = {"stop_loss_pct": 2.0, "take_profit_pct": 5.0}  # of an entry at 100: 98 and 105


def protective(commands: list[Command]) -> list[Order]:
    """The protective orders among what is sent."""
    return [one.order for one in commands if isinstance(one, Send) and one.order.type is OrderType.STOP]


def guarded(**more: Any) -> tuple[Floor, Order, Order]:
    """A long position of 1 from 100 whose stop and target stand."""
    floor = Floor(protection=LEVELS, **more)
    entry = floor.send(1.0)
    floor.fill(entry)
    stop, target = protective(floor.new())
    floor.report(entry, FILLED)
    floor.report(stop.id)
    floor.report(target.id)
    assert floor.new() == []
    assert floor.broker.is_settled
    floor.news.clear()
    return floor, stop, target


def account(floor: Floor, qty: float, *orders: Order) -> None:
    """The exchange tells of the account."""
    held = floor.ledger.balance
    told = Account(currency="USDT", balance=held, equity=held, margin_used=floor.ledger.margin_used())
    positions = (Position(symbol=LINEAR, qty=qty, entry_price=100.0, mark_price=100.0),) if qty else ()
    floor.hear(AccountReport(floor.clock.now(), told, positions, orders))


def test_a_fill_arms_its_position_in_the_same_event_and_each_order_is_written_down_first():
    floor = Floor(protection=LEVELS)
    entry = floor.send(1.0)
    floor.fill(entry)
    stop, target = protective(floor.new())
    assert [(one.stop_price, one.qty, one.reduce_only) for one in (stop, target)] == [
        (98.0, 1.0, True),
        (105.0, 1.0, True),
    ]
    assert [one.id for one in floor.written] == [entry, stop.id, target.id]
    assert [one.id for one in floor.broker.working()] == []
    assert floor.broker.position(LINEAR).stop_loss == 98.0


def test_a_stop_that_fires_is_an_exit_by_its_reason_and_the_target_goes():
    floor, stop, target = guarded()
    floor.fill(stop.id, named=False, price=97.5, of="child")
    assert floor.asked()[0] == ("Find", stop.id)
    floor.report(stop.id, FILLED, exchange_id="child", average_price=97.5)
    (fill,) = floor.fills()
    assert (fill.reason, fill.pnl, floor.qty) == (ExitReason.STOP_LOSS, -2.5, 0.0)
    assert floor.told(stop.id) == [FILLED]
    assert [one.order.id for one in floor.new() if isinstance(one, Cancel)] == [target.id]
    floor.report(target.id, CANCELED)
    assert floor.told(target.id) == []
    floor.fetched()
    assert floor.broker.is_settled
    assert floor.broker.execution.guards == {}


def test_what_a_fired_stop_has_become_tells_of_it_once():
    """Also where that is told under the exchange's own id, after the fill: nothing is booked a second time."""
    floor, stop, _ = guarded()
    floor.fill(stop.id, named=False, price=97.5, of="child")
    floor.report(stop.id, FILLED, exchange_id="child", average_price=97.5)
    (sent,) = [one for one in floor.broker.dealings._sent.values() if one.order.id == stop.id]
    child = stop.changed(id="child", exchange_id="child", type=OrderType.MARKET, status=FILLED, filled=1.0)
    floor.hear(OrderReport(floor.clock.now(), child))
    for _ in range(4):
        floor.fetched()
    assert [(fill.order_id, fill.qty) for fill in floor.fills()] == [(stop.id, 1.0)]
    assert floor.broker.dealings.find("child") is sent
    assert floor.qty == 0.0


def test_the_report_of_the_fired_stop_comes_before_its_fill():
    floor, stop, target = guarded()
    floor.report(stop.id, FILLED, average_price=97.5)
    assert floor.asked() == [("Fetch", LINEAR)]
    floor.fill(stop.id, price=97.5)
    floor.new()
    floor.report(target.id, CANCELED)
    floor.fetched()
    assert (floor.qty, floor.broker.is_settled) == (0.0, True)
    assert not floor.broker.notices


def test_fills_of_a_stop_that_are_never_told_are_taken_from_its_report():
    floor, stop, _ = guarded()
    floor.report(stop.id, FILLED, average_price=97.5)
    for _ in range(3):
        floor.fetched()
        floor.later(5_000)
    (fill,) = floor.fills()
    assert (fill.reason, fill.price, floor.qty) == (ExitReason.STOP_LOSS, 97.5, 0.0)


def test_a_stop_that_is_refused_closes_the_position_at_market():
    floor = Floor(protection={"stop_loss_pct": 2.0})
    entry = floor.send(1.0)
    floor.fill(entry)
    floor.report(entry, FILLED)
    (stop,) = protective(floor.new())
    floor.hear(OrderRefused(0, LINEAR, stop.id, "rejected", "no"))
    floor.new()
    floor.fetched()
    (closing,) = [one.order for one in floor.new() if isinstance(one, Send)]
    assert (closing.type, closing.qty, closing.reduce_only) == (OrderType.MARKET, 1.0, True)
    assert floor.told(stop.id) == []
    (alert,) = [one for one in floor.broker.notices if one.error is not None]
    assert alert.is_of_account  # the market's quotes are as good as before
    again = floor.send(1.0)
    assert floor.told(again) == [REJECTED]
    assert floor.refused() == ["unprotected"]
    floor.fill(closing.id, price=99.0)
    floor.report(closing.id, FILLED)
    assert floor.broker.is_settled
    assert floor.told(floor.send(1.0)) == []


def test_a_stop_that_did_not_arrive_is_sent_under_another_id_and_cancelled_should_it_turn_up():
    floor = Floor(protection={"stop_loss_pct": 2.0})
    entry = floor.send(1.0)
    floor.fill(entry)
    floor.report(entry, FILLED)
    (stop,) = protective(floor.new())
    floor.hear(OrderMissing(0, LINEAR, stop.id))
    (again,) = protective(floor.new())
    assert again.id != stop.id
    floor.report(again.id)
    floor.report(stop.id)
    assert ("Cancel", stop.id) in floor.asked()
    floor.report(stop.id, CANCELED)
    floor.fetched()
    account(floor, 1.0, again)
    assert floor.broker.is_settled
    assert [one.id for one in floor.broker.shield.sentries] == [again.id]
    assert floor.told(stop.id) == []


# --- watched ---------------------------------------------------------------------------------------------------


def test_spot_levels_are_watched_which_is_said_once_and_with_each_order():
    floor = Floor(SPOT, leverage=1.0, protection=LEVELS)
    first, second = floor.send(1.0), floor.send(0.5)
    assert "only while it runs" in (floor.order(first).message or "")
    assert floor.order(first).message == floor.order(second).message
    assert [one.text for one in floor.broker.notices if "protective levels" in one.text] == [
        f"{SPOT}: protective levels: the expert watches the price and closes at market when a level is reached: "
        "only while it runs"
    ]
    floor.fill(first)
    floor.report(first, FILLED)
    floor.fill(second)
    floor.report(second, FILLED)
    floor.new()
    floor.trade(98.0)
    floor.broker.guard()
    (closing,) = [one.order for one in floor.new() if isinstance(one, Send)]
    assert (closing.type, closing.qty, closing.reason) == (OrderType.MARKET, 1.5, ExitReason.STOP_LOSS)
    floor.trade(97.0)
    floor.broker.guard()
    assert floor.new() == []
    floor.fill(closing.id, price=97.0)
    floor.report(closing.id, FILLED)
    assert (floor.qty, floor.broker.is_settled) == (0.0, True)


def test_orders_without_levels_say_nothing_of_them():
    floor = Floor(SPOT, leverage=1.0)
    name = floor.send(1.0)
    assert (floor.order(name).message, list(floor.broker.notices)) == (None, [])


# --- reconciled ------------------------------------------------------------------------------------------------


def test_a_position_that_was_closed_by_hand_is_booked_as_left_and_its_orders_go():
    floor, stop, target = guarded()
    account(floor, 1.0, stop, target)
    assert floor.new() == []
    account(floor, 0.0, stop, target)
    assert {type(one) for one in floor.new()} == {Find, Fetch}
    assert not floor.broker.is_settled
    floor.report(stop.id)
    floor.report(target.id)
    floor.fetched()
    floor.later(2_000)
    assert floor.new() == [Check()]
    account(floor, 0.0, stop, target)
    (fill,) = floor.fills()
    assert (fill.tag, fill.qty, floor.qty) == (RECONCILED, 1.0, 0.0)
    assert sorted(one.order.id for one in floor.new() if isinstance(one, Cancel)) == sorted([stop.id, target.id])
    floor.report(stop.id, CANCELED)
    floor.report(target.id, CANCELED)
    assert floor.broker.is_settled


def test_while_an_order_is_on_its_way_no_difference_is_believed():
    floor, stop, target = guarded()
    account(floor, 1.0, stop, target)
    floor.send(1.0)
    floor.new()
    account(floor, 2.0, stop, target)
    assert (floor.new(), floor.broker.differences.is_settled) == ([], True)


def test_money_that_was_put_in_moves_equity_and_not_what_the_strategy_made():
    floor = Floor()
    before = floor.broker.strategy_equity
    floor.hear(AccountReport(0, Account(currency="USDT", balance=15_000.0, equity=15_000.0), (), ()))
    assert (floor.ledger.equity(), floor.broker.external) == (15_000.0, 5_000.0)
    assert floor.broker.strategy_equity == before
    assert floor.broker.account_equity == 15_000.0


def test_no_position_is_opened_against_what_others_hold_where_it_would_net():
    """A reduce-only stop of ours could not reduce what is a short on the account."""
    floor = Floor()
    account(floor, -2.0)
    buy, sell = floor.send(1.0), floor.send(-1.0)
    assert (floor.told(buy), floor.refused(), floor.told(sell)) == ([REJECTED], ["netted"], [])
    floor = Floor(hedge=True)
    told = Account(currency="USDT", balance=10_000.0, equity=10_000.0)
    shorts = (Position(symbol=LINEAR, position_side="short", qty=-2.0),)
    floor.hear(AccountReport(0, told, shorts, ()))
    floor.send(1.0, position_side="long")
    assert floor.refused() == []


def test_what_was_there_before_is_adopted_and_protected():
    floor = Floor(protection=LEVELS)
    account(floor, 2.0)
    floor.broker.adopt(LINEAR)
    floor.later(0)
    assert (floor.qty, floor.broker.position(LINEAR).entry_price) == (2.0, 100.0)
    assert [one.stop_price for one in protective(floor.new())] == [98.0, 105.0]


# --- restarted -------------------------------------------------------------------------------------------------


def restarted(floor: Floor, *intents: Order) -> Floor:
    """The process was killed, and another run goes on from its state."""
    saved = json.loads(json.dumps(floor.broker.state()))
    return Floor(protection=LEVELS, run="run00002", state=saved, intents=intents)


def test_after_a_restart_every_order_is_looked_for_and_a_missing_stop_is_armed_anew():
    floor, stop, target = guarded()
    floor = restarted(floor)
    floor.hear(Gap(0, "a restart"))
    asked = floor.asked()
    assert sorted(asked) == sorted([
        ("Find", stop.id), ("Find", target.id), ("Fetch", LINEAR), ("Check", ""),
    ])  # fmt: skip
    floor.hear(OrderMissing(0, LINEAR, stop.id))
    floor.report(target.id, exchange_id="xt")
    (again,) = protective(floor.new())
    assert (again.stop_price, again.qty) == (98.0, 1.0)
    assert again.id not in (stop.id, target.id)
    floor.fetched()
    floor.report(again.id)
    assert floor.asked() == [("Fetch", LINEAR)]  # once more, as two had reason to ask
    floor.fetched()
    account(floor, 1.0, again, target)
    assert floor.broker.is_settled
    assert [one.status for one in floor.broker.shield.report()] == ["stands", "stands"]


def test_a_protective_order_that_was_only_written_down_is_looked_for_too():
    """Killed after the intent of the stop, before the state that knows it."""
    floor = Floor(protection={"stop_loss_pct": 2.0})
    entry = floor.send(1.0)
    saved = json.loads(json.dumps(floor.broker.state()))
    floor.fill(entry)
    (stop,) = protective(floor.new())
    floor = Floor(protection={"stop_loss_pct": 2.0}, run="run00002", state=saved, intents=(stop,))
    floor.broker.hear(Gap(0, ""))
    assert {one for one in floor.asked() if one[0] == "Find"} == {("Find", entry), ("Find", stop.id)}
    floor.broker.hear(_found(floor, stop))
    floor.fill(entry)
    floor.report(entry, FILLED)
    assert protective(floor.new()) == []
    assert [one.id for one in floor.broker.shield.sentries] == [stop.id]


def _found(floor: Floor, order: Order) -> Any:
    return OrderReport(floor.clock.now(), order.changed(status=OPEN, exchange_id="xs"))


@pytest.mark.parametrize("late", [False, True])
def test_a_stop_that_filled_while_away_is_an_exit_by_its_reason(late):
    floor, stop, target = guarded()
    floor = restarted(floor)
    floor.hear(Gap(0, "a restart"))
    floor.new()
    if not late:
        floor.fill(stop.id, price=97.0, fill_id="away")
    floor.broker.hear(_end(floor, stop))
    if late:
        floor.fill(stop.id, price=97.0, fill_id="away")
    floor.report(target.id)
    (fill,) = floor.fills()
    assert (fill.reason, fill.price, floor.qty) == (ExitReason.STOP_LOSS, 97.0, 0.0)
    assert [one.order.id for one in floor.new() if isinstance(one, Cancel)] == [target.id]


def _end(floor: Floor, order: Order) -> Any:
    return OrderReport(floor.clock.now(), order.changed(status=FILLED, filled=1.0, exchange_id="xs"))
