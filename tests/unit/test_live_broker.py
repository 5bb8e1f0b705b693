"""LiveBroker: what trading calls ask of an exchange, and what its reports make of them, told by hand."""

from __future__ import annotations

import pytest
from floor import CANCELED, EXPIRED, FILLED, OPEN, PENDING, REJECTED, Floor

from metaexpert.models import Order, TimeInForce
from metaexpert.reports import OrderRefused, Send

# -- an order's way ---------------------------------------------------------------------------------------------


def test_an_order_is_written_down_then_sent_and_open_once_the_exchange_says_so():
    floor = Floor()
    name = floor.send(1.0)
    (command,) = floor.new()
    assert isinstance(command, Send)
    assert [one.id for one in floor.written] == [name] == [command.order.id]
    assert floor.told(name) == []
    assert [(one.id, one.status) for one in floor.broker.working()] == [(name, PENDING)]
    floor.report(name)
    assert floor.told(name) == [OPEN]
    floor.fill(name, price=101.0, fee=0.5)
    floor.report(name, FILLED)
    assert floor.told(name) == [OPEN, FILLED]
    assert (floor.qty, floor.ledger.balance) == (1.0, 10_000.0 - 0.5)
    assert (floor.order(name).average_price, floor.order(name).fee) == (101.0, 0.5)
    assert floor.broker.is_settled
    assert floor.new() == []


def test_what_cannot_be_written_down_is_not_sent():
    floor = Floor()

    def full(order: Order) -> None:
        raise OSError("the disk is full")

    floor.broker.dealings._intend = full
    with pytest.raises(OSError, match="full"):
        floor.send(1.0)
    assert floor.new() == []


def test_a_fill_before_any_report_opens_the_order_first():
    floor = Floor()
    name = floor.send(2.0, price=99.0)
    floor.fill(name, 0.5, 99.0)
    floor.fill(name, 1.5, 98.0)
    floor.report(name, FILLED)
    floor.report(name, OPEN)  # told late
    assert floor.told(name) == [OPEN, OPEN, FILLED]
    assert floor.order(name).average_price == (0.5 * 99 + 1.5 * 98) / 2


def test_a_fill_that_is_told_twice_is_booked_once():
    floor = Floor()
    name = floor.send(2.0, price=99.0)
    floor.report(name)
    for _ in range(3):
        floor.fill(name, 0.5, 99.0, fill_id="same")
    assert floor.qty == 0.5
    assert len(floor.fills()) == 1


def test_an_end_is_told_once_its_fills_are_booked():
    floor = Floor()
    name = floor.send(2.0, price=99.0)
    floor.report(name)
    floor.new()
    floor.report(name, CANCELED, 0.5)
    assert floor.told(name) == [OPEN]
    assert floor.asked() == [("Fetch", floor.symbols[0])]
    floor.fill(name, 0.5, 99.0)
    assert floor.told(name) == [OPEN, OPEN, CANCELED]
    assert (floor.order(name).filled, floor.qty) == (0.5, 0.5)
    floor.fetched()
    assert floor.broker.is_settled


def test_fills_that_are_never_told_are_taken_from_the_report_after_three_fetches():
    floor = Floor(rules={"taker": 0.001})
    name = floor.send(2.0)
    floor.fill(name, 0.5, 100.0, fee=0.05)
    floor.new()
    floor.report(name, FILLED, average_price=101.0)  # 2 * 101 - 0.5 * 100 = 152 for 1.5: 101.333 each
    asked = []
    for _ in range(3):
        asked += floor.asked()
        floor.fetched()
        floor.later(5_000)
    assert asked == [("Fetch", floor.symbols[0])] * 3
    last = floor.fills()[-1]
    assert (last.qty, last.price) == (1.5, pytest.approx(152 / 1.5))
    assert last.fee == pytest.approx(152 * 0.001)
    assert floor.told(name)[-1] is FILLED
    assert "no fills are told" in floor.broker.notices[-1].text
    floor.fill(name, 1.5, 101.0)  # it turns up after all
    assert floor.qty == 2.0


def test_a_fill_is_claimed_by_the_exchanges_id_and_waits_until_that_is_known():
    floor = Floor()
    name = floor.send(1.0)
    floor.fill(name, named=False)
    assert floor.qty == 0.0
    assert not floor.broker.is_settled
    assert [one[0] for one in floor.asked()] == ["Send"]  # its answer is on the way: there is nothing to ask
    floor.report(name)
    assert floor.qty == 1.0


def test_a_fill_of_a_stop_that_fired_is_found_by_asking_for_the_stop():
    floor = Floor()
    name = floor.send(1.0, stop=105.0)
    floor.report(name)
    floor.new()
    floor.fill(name, named=False, price=105.5, of="child")
    assert floor.asked() == [("Find", name)]
    floor.report(name, exchange_id="child")
    assert floor.qty == 1.0
    assert floor.fills()[0].slippage == 0.5  # of 1 at 105.5 instead of 105


def test_a_fill_of_nobody_of_ours_is_left_alone():
    floor = Floor()
    name = floor.send(1.0, price=99.0)
    floor.report(name)
    floor.new()
    floor.fill(name, named=False, of="theirs")
    assert floor.qty == 0.0
    assert floor.new() == []
    assert floor.broker.is_settled


def test_a_refused_order_is_rejected_with_the_exchanges_reason():
    floor = Floor()
    name = floor.send(1.0, price=99.0)
    floor.new()
    floor.hear(OrderRefused(0, floor.symbols[0], name, "price_out_of_band", "too far"))
    assert (floor.told(name), floor.refused()) == ([REJECTED], ["price_out_of_band"])
    assert floor.order(name).message == "price_out_of_band: too far"
    assert floor.broker.is_settled


def test_a_post_only_order_that_ends_at_once_would_have_crossed():
    floor = Floor()
    name = floor.send(1.0, price=101.0, post_only=True)
    floor.report(name, CANCELED)
    assert floor.refused() == ["post_only_would_cross"]


def test_what_an_immediate_order_leaves_expires():
    floor = Floor()
    name = floor.send(2.0, price=101.0, tif=TimeInForce.IOC)
    floor.fill(name, 0.5)
    floor.report(name, CANCELED, 0.5)
    assert floor.told(name) == [OPEN, OPEN, EXPIRED]


# -- cancelling ---------------------------------------------------------------------------------------------------


def test_a_cancel_is_news_once_the_exchange_has_confirmed_it():
    floor = Floor()
    name = floor.send(1.0, price=99.0)
    floor.report(name)
    floor.new()
    assert floor.broker.cancel(name)
    assert floor.broker.cancel(name)
    assert floor.asked() == [("Cancel", name)]
    assert floor.told(name) == [OPEN]
    floor.report(name, CANCELED)
    assert floor.told(name) == [OPEN, CANCELED]
    assert floor.order(name).message == "canceled by the expert"
    assert not floor.broker.cancel(name)
