"""LiveBroker: what trading calls ask of an exchange, and what its reports make of them, told by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from desk import INVERSE, LINEAR, OTHER, SPOT
from floor import CANCELED, EXPIRED, FILLED, OPEN, PENDING, REJECTED, Floor

from metaexpert.answers import ExchangeFill
from metaexpert.broker.state import state_of
from metaexpert.errors import ConfigError, JournalError
from metaexpert.models import Account, ExitReason, Order, OrderType, Position, Side, TimeInForce
from metaexpert.reports import (
    AccountReport,
    Amend,
    ChangeRefused,
    FillReport,
    Gap,
    OrderMissing,
    OrderRefused,
    OrderUnknown,
    Send,
)

# -- an order's way -----------------------------------------------------------------------------------------------


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


def test_what_is_missing_of_an_inverse_order_is_priced_by_its_harmonic_average():
    """Of 300 at an average of 120 100 were filled at 100: 300 / 120 - 100 / 100 = 1.5 in base, 200 / 1.5 each."""
    floor = Floor(INVERSE)
    name = floor.send(300.0)
    floor.fill(name, 100.0, 100.0)
    floor.report(name, FILLED, average_price=120.0)
    for _ in range(3):
        floor.fetched()
        floor.later(5_000)
    assert (floor.fills()[-1].qty, floor.fills()[-1].price) == (200.0, pytest.approx(200 / 1.5))


def test_a_purchase_by_cost_is_filled_with_what_it_got():
    """Some exchanges buy for an amount of money: it may come to less than was asked for, or to more."""
    floor = Floor(SPOT, leverage=1.0)
    less, more = floor.send(1.0), floor.send(1.0)
    floor.fill(less, 0.98, 102.0)
    floor.report(less, FILLED, 0.98)
    assert (floor.told(less), floor.order(less).qty) == ([OPEN, OPEN, FILLED], 0.98)
    floor.fill(more, 1.0, 98.0)
    floor.fill(more, 0.02, 98.0)
    floor.report(more, FILLED, 1.02)
    assert floor.order(more).status is FILLED
    assert floor.qty == pytest.approx(2.0)
    floor.new()
    assert floor.broker.is_settled


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


def test_an_order_that_fills_while_it_is_cancelled_is_filled():
    floor = Floor()
    name = floor.send(1.0, price=99.0)
    floor.report(name)
    floor.broker.cancel(name)
    floor.hear(ChangeRefused(0, floor.symbols[0], name, "cancel", "it is filled"))
    assert floor.asked()[-1] == ("Find", name)
    floor.fill(name, price=99.0)
    floor.report(name, FILLED)
    assert floor.told(name) == [OPEN, FILLED]
    assert floor.broker.is_settled


def test_a_cancel_that_is_refused_while_the_order_stands_is_asked_for_again_then_given_up():
    floor = Floor()
    name = floor.send(1.0, price=99.0)
    floor.report(name)
    floor.broker.cancel(name)
    for _ in range(3):
        floor.hear(ChangeRefused(0, floor.symbols[0], name, "cancel", "no"))
        floor.report(name)
    assert [one for one in floor.asked() if one[0] == "Cancel"] == [("Cancel", name)] * 3
    assert "works on" in floor.broker.notices[-1].text
    assert floor.broker.cancel(name)
    assert floor.asked() == [("Cancel", name)]


# -- changing -----------------------------------------------------------------------------------------------------


def test_a_limit_order_is_changed_where_it_stands_if_the_exchange_can():
    floor = Floor(exchange="bybit")
    name = floor.send(1.0, price=99.0)
    floor.report(name)
    floor.new()
    assert floor.broker.modify(name, price=98.0, qty=2.0, active_from=0)
    (command,) = floor.new()
    assert isinstance(command, Amend)
    assert (command.order.id, command.price, command.qty) == (name, 98.0, 2.0)
    floor.report(name, price=99.0)  # an old report
    assert floor.order(name).price == 99.0
    floor.report(name, price=98.0, qty=2.0)
    assert (floor.order(name).price, floor.order(name).qty) == (98.0, 2.0)
    assert floor.told(name) == [OPEN, OPEN]
    assert floor.broker.is_settled


def test_a_refused_change_is_told_and_leaves_the_order_as_it_was():
    floor = Floor(exchange="bybit")
    name = floor.send(1.0, price=99.0)
    floor.report(name)
    floor.broker.modify(name, price=98.0, qty=None, active_from=0)
    floor.hear(ChangeRefused(0, floor.symbols[0], name, "amend", "no"))
    assert floor.refused() == ["not_changed"]
    assert floor.order(name).price == 99.0
    floor.report(name)
    assert floor.broker.working()[0].price == 99.0


def test_a_change_that_comes_about_after_it_was_refused_is_taken_over_once_it_is_told_twice():
    floor = Floor(exchange="bybit")
    name = floor.send(1.0, price=99.0)
    floor.report(name)
    floor.broker.modify(name, price=98.0, qty=None, active_from=0)
    floor.later(5_000)
    floor.report(name, price=99.0)
    assert floor.refused() == ["not_changed"]
    floor.new()
    floor.report(name, price=98.0)
    assert floor.order(name).price == 99.0
    assert floor.asked() == [("Find", name)]
    floor.report(name, price=98.0)
    assert floor.order(name).price == floor.broker.working()[0].price == 98.0
    assert floor.told(name) == [OPEN, OPEN, OPEN]  # it stands, with the refusal, with its new price
    assert "1 at 98.0 on the exchange and was 1 at 99.0 by our books" in floor.broker.notices[-1].text
    assert floor.broker.is_settled


def test_an_old_report_after_a_change_changes_nothing():
    floor = Floor(exchange="bybit")
    name = floor.send(1.0, price=99.0)
    floor.report(name)
    floor.broker.modify(name, price=98.0, qty=None, active_from=0)
    floor.report(name, price=98.0)
    floor.new()
    floor.report(name, price=99.0)
    assert floor.asked() == [("Find", name)]
    floor.report(name, price=98.0)
    floor.report(name, price=99.0)  # that the first was old is known: it counts no more
    assert floor.order(name).price == 98.0
    floor.report(name, price=98.0)
    assert floor.told(name) == [OPEN, OPEN]
    floor.new()
    assert floor.broker.is_settled


def test_a_quantity_that_the_exchange_has_changed_is_what_is_left_to_fill():
    """Of 3 it fills 1; at the exchange it is for 2 in all then: 1 is left."""
    floor = Floor(exchange="bybit")
    name = floor.send(3.0, price=99.0)
    floor.report(name)
    floor.fill(name, 1.0, 99.0)
    for _ in range(2):
        floor.report(name, filled=1.0, qty=2.0)
    assert (floor.order(name).qty, floor.order(name).filled) == (2.0, 1.0)
    floor.fill(name, 1.0, 99.0)
    floor.report(name, FILLED, 2.0, qty=2.0)
    assert floor.told(name)[-1] is FILLED
    floor.new()
    assert floor.broker.is_settled


def test_an_order_that_the_account_has_at_another_price_is_looked_up():
    floor = Floor(exchange="bybit")
    name = floor.send(1.0, price=99.0)
    floor.report(name)
    floor.new()
    same = floor.sent(name).changed(status=OPEN, exchange_id=f"x{name[-3:]}")
    account = Account(currency="USDT", balance=floor.ledger.balance, equity=floor.ledger.balance)
    floor.hear(AccountReport(floor.clock.now(), account, (), (same,)))
    assert floor.asked() == []
    floor.hear(AccountReport(floor.clock.now(), account, (), (same.changed(price=98.0),)))
    assert floor.asked() == [("Find", name)]


@pytest.mark.parametrize(("exchange", "stop"), [("kucoin", None), ("bybit", 105.0)])
def test_else_it_is_cancelled_and_what_is_left_goes_on_under_another_id(exchange: str, stop: float | None):
    floor = Floor(exchange=exchange)
    name = floor.send(2.0, price=None if stop else 99.0, stop=stop)
    floor.report(name)
    floor.fill(name, 0.5, 99.0)
    floor.new()
    assert floor.broker.modify(name, price=103.0 if stop else 98.0, qty=3.0, active_from=0)
    assert floor.asked() == [("Cancel", name)]
    floor.report(name, CANCELED, 0.5)
    (command,) = floor.new()
    assert isinstance(command, Send)
    new = command.order
    assert new.id != name
    assert (new.qty, new.stop_price if stop else new.price) == (2.5, 103.0 if stop else 98.0)
    assert floor.written[-1].id == new.id
    assert [one.id for one in floor.broker.working()] == [name]
    floor.report(new.id)
    floor.fill(new.id, 2.5, 98.0)
    floor.report(new.id, FILLED)
    assert floor.told(name) == [OPEN, OPEN, OPEN, FILLED]
    assert floor.told(new.id) == []
    assert (floor.order(name).qty, floor.order(name).filled, floor.qty) == (3.0, 3.0, 3.0)
    assert floor.broker.is_settled


def test_an_order_that_fills_before_it_is_replaced_is_filled_and_the_change_refused():
    floor = Floor(exchange="kucoin")
    name = floor.send(1.0, price=99.0)
    floor.report(name)
    floor.broker.modify(name, price=98.0, qty=None, active_from=0)
    floor.fill(name, price=99.0)
    floor.report(name, FILLED)
    assert floor.told(name) == [OPEN, FILLED, FILLED]  # the last with the refusal
    assert floor.refused() == ["not_changed"]
    assert [one for one in floor.asked() if one[0] == "Send"] == [("Send", name)]


def test_a_replacement_that_is_cancelled_before_it_went_is_not_sent():
    floor = Floor(exchange="kucoin")
    name = floor.send(1.0, price=99.0)
    floor.report(name)
    floor.broker.modify(name, price=98.0, qty=None, active_from=0)
    floor.broker.cancel(name)
    floor.report(name, CANCELED)
    assert floor.told(name) == [OPEN, CANCELED]
    assert [one[0] for one in floor.asked()] == ["Send", "Cancel"]


def test_a_change_that_cannot_be_is_refused_here():
    floor = Floor()
    name = floor.send(1.0, price=99.0)
    floor.report(name)
    floor.new()
    assert floor.broker.modify(name, price=None, qty=2_000.0, active_from=0)  # 198,000 at leverage 10
    floor.look()
    assert floor.refused() == ["insufficient_margin"]
    assert floor.new() == []
    assert not floor.broker.modify("nothing", price=1.0, qty=None, active_from=0)


# -- unknown, missing, late ---------------------------------------------------------------------------------------


def unknown(floor: Floor, qty: float = 1.0, **terms: Any) -> str:
    """An order of which it is not known whether it arrived."""
    name = floor.send(qty, **terms)
    floor.hear(OrderUnknown(0, floor.symbols[0], name, "no answer"))
    floor.new()
    return name


def test_while_an_order_is_unknown_nothing_is_entered_in_its_symbol_and_exits_go():
    floor = Floor(LINEAR, OTHER)
    floor.held(1.0)
    name = unknown(floor)
    assert floor.broker.unknown == {LINEAR}
    assert not floor.broker.is_settled
    floor.send(1.0)
    assert floor.refused() == ["unknown_order"]
    floor.send(-1.0)
    floor.send(1.0, symbol=OTHER)
    assert [one[0] for one in floor.asked()] == ["Send", "Send"]
    floor.report(name)
    assert floor.broker.unknown == set()
    assert floor.told(name) == [OPEN]


def test_an_order_that_never_arrived_is_rejected_and_not_sent_again():
    floor = Floor()
    name = unknown(floor)
    floor.hear(OrderMissing(0, floor.symbols[0], name))
    assert (floor.told(name), floor.refused()) == ([REJECTED], ["not_received"])
    assert floor.new() == []
    assert floor.broker.is_settled


def test_an_order_that_turns_up_late_is_cancelled_and_what_it_filled_is_booked():
    floor = Floor()
    name = unknown(floor, 2.0, price=99.0)
    floor.hear(OrderMissing(0, floor.symbols[0], name))
    floor.report(name, OPEN, 0.5)
    assert floor.asked() == [("Cancel", name), ("Fetch", floor.symbols[0])]
    floor.fill(name, 0.5, 99.0)
    floor.report(name, CANCELED, 0.5)
    floor.fetched()
    assert floor.qty == 0.5
    assert floor.told(name) == [REJECTED, CANCELED]
    assert floor.broker.is_settled


def test_a_fill_of_nobody_we_know_may_be_of_an_order_that_was_given_up():
    floor = Floor()
    name = unknown(floor, 2.0, price=99.0)
    floor.hear(OrderMissing(0, floor.symbols[0], name))
    floor.fill(name, 2.0, 99.0, named=False)
    assert floor.asked() == [("Find", name)]
    floor.report(name, FILLED)
    assert floor.qty == 2.0


def test_a_fill_of_somebody_else_waits_no_longer_than_until_that_is_known():
    floor = Floor()
    name = unknown(floor, 2.0, price=99.0)
    floor.hear(OrderMissing(0, floor.symbols[0], name))
    floor.fill(name, 2.0, 99.0, named=False, of="theirs")
    floor.new()
    floor.hear(OrderMissing(0, floor.symbols[0], name))
    assert floor.qty == 0.0
    assert floor.broker.is_settled


def test_an_order_that_was_told_filled_is_not_given_up_because_a_look_up_finds_it_no_more():
    """Its fills are fetched until they come: it never ends as cancelled."""
    floor = Floor()
    name = floor.send(2.0)
    floor.report(name, FILLED)
    floor.hear(OrderMissing(0, floor.symbols[0], name))
    floor.fetched()
    assert floor.told(name) == [OPEN]
    floor.fill(name, 2.0, 100.0)
    floor.fetched()
    assert (floor.told(name), floor.qty) == ([OPEN, FILLED], 2.0)


def test_an_order_that_the_exchange_forgot_ends_with_what_its_fills_tell():
    floor = Floor()
    name = floor.send(2.0, price=99.0)
    floor.report(name)
    floor.hear(OrderMissing(0, floor.symbols[0], name))
    assert floor.asked()[-1] == ("Fetch", floor.symbols[0])
    floor.fill(name, 0.5, 99.0)
    floor.fetched()
    assert floor.told(name) == [OPEN, OPEN, CANCELED]
    assert floor.qty == 0.5


def test_after_a_gap_everything_is_asked_for():
    floor = Floor()
    works = floor.send(1.0, price=99.0)
    floor.report(works)
    floor.new()
    floor.hear(Gap(0, "the connection was lost"))
    assert floor.asked() == [("Find", works), ("Fetch", floor.symbols[0]), ("Check", "")]


# -- what is checked here -----------------------------------------------------------------------------------------


def test_reduce_only_with_nothing_to_reduce_is_cancelled_here():
    floor = Floor()
    name = floor.send(-1.0, reduce_only=True)
    assert floor.told(name) == [CANCELED]
    assert floor.new() == []


def test_reduce_only_is_cut_to_what_no_other_order_closes_yet():
    floor = Floor()
    floor.held(1.0)
    first = floor.send(-0.4, reduce_only=True)
    second = floor.send(-3.0, reduce_only=True)
    third = floor.send(-1.0, reduce_only=True)
    assert [floor.sent(first).qty, floor.sent(second).qty] == [0.4, 0.6]
    assert floor.told(third) == [CANCELED]


def test_dust_that_is_left_of_a_sale_on_its_way_is_not_sold_again():
    """Of 0.9995 bought net of its fee 0.999 are being sold: 0.0005 is half a step."""
    floor = Floor(SPOT, leverage=1.0)
    name = floor.send(1.0)
    floor.fill(name, paid=0.0005, currency="BTC")
    floor.report(name, FILLED)
    first = floor.send(-floor.qty, reduce_only=True)
    assert floor.sent(first).qty == 0.999
    second = floor.send(-floor.qty, reduce_only=True)
    assert floor.told(second) == [CANCELED]


def test_an_exit_of_a_position_on_its_way_waits_for_it():
    floor = Floor()
    entry = floor.send(1.0)
    exit_ = floor.send(-1.0, price=110.0, reduce_only=True)
    assert floor.asked() == [("Send", entry)]
    assert not floor.broker.is_settled
    floor.fill(entry)
    floor.later(0)
    assert floor.asked() == [("Send", exit_)]


def test_a_position_that_is_left_has_the_orders_cancelled_that_reduce_it():
    floor = Floor()
    floor.held(1.0)
    target = floor.send(-1.0, price=110.0, reduce_only=True)
    floor.report(target)
    leaves = floor.send(-1.0, reduce_only=True)
    floor.new()
    floor.fill(leaves, price=101.0)
    assert floor.asked() == [("Cancel", target)]
    floor.report(target, CANCELED)
    assert floor.told(target) == [OPEN, CANCELED]
    assert floor.order(target).message == "reduce_only: the position is closed"


def test_a_size_by_the_settings_shrinks_to_the_free_margin_as_it_is_sent():
    floor = Floor(capital=1_000.0)  # at leverage 10 and the ask of 100.1: 1,000 * 10 / 100.1 = 99.9000
    name = floor.send(150.0, shrinkable=True)
    assert floor.sent(name).qty == 99.9
    assert floor.order(name).message == "shrunk to the free margin"
    other = floor.send(1.0)
    assert floor.refused() == ["insufficient_margin"]
    assert floor.told(other) == [REJECTED]


def test_an_entry_waits_for_a_close_that_makes_room_for_it():
    floor = Floor(LINEAR, OTHER, capital=1_000.0)
    floor.held(90.0)
    close = floor.send(-90.0, reduce_only=True)
    entry = floor.send(90.0, symbol=OTHER)
    assert floor.asked() == [("Send", close)]
    floor.fill(close)
    floor.later(0)
    assert floor.asked() == [("Send", entry)]


def test_orders_that_are_held_back_do_not_wait_for_one_another():
    """Of 1,000 at leverage 10: two reversals of one position, of which the first is too large in any case."""
    floor = Floor(LINEAR, OTHER, capital=1_000.0)
    floor.held(60.0)
    floor.held(10.0, symbol=OTHER)
    close = floor.send(-60.0, reduce_only=True)
    too_large, fits = floor.send(-120.0, symbol=OTHER), floor.send(-20.0, symbol=OTHER)
    assert floor.asked() == [("Send", close)]
    floor.fill(close)
    floor.later(0)
    assert floor.asked() == [("Send", fits)]
    assert (floor.told(too_large), floor.refused()) == ([REJECTED], ["insufficient_margin"])


def test_a_market_entry_needs_a_price_of_the_last_ten_seconds_and_an_exit_does_not():
    floor = Floor()
    floor.held(1.0)
    floor.clock.advance(floor.clock.now() + 10_001)
    floor.send(1.0)
    assert floor.refused() == ["stale_price"]
    assert floor.broker.working() == []
    leaves = floor.send(-1.0)
    rests = floor.send(1.0, price=99.0)
    floor.quote(99.9, 100.1)
    enters = floor.send(0.5, price=None)
    assert floor.asked() == [("Send", leaves), ("Send", rests), ("Send", enters)]
    floor.broker.forget_offers(floor.symbols[0])
    floor.send(1.0)
    assert floor.refused() == ["stale_price"] * 2


def test_no_more_entries_are_sent_within_a_minute_than_may_be():
    """Two at 0 s, a third is refused until 60 s; what leaves a position, and what is cancelled, is never held."""
    floor = Floor(max_entries_per_minute=2)
    first = floor.send(1.0, 90.0)
    floor.report(first)
    floor.held(1.0)
    floor.later(59_999)
    refused = floor.send(1.0, 90.0)
    assert floor.order(refused).message == (
        "too_many_entries: 2 entries within a minute are as many as max_entries_per_minute lets be made"
    )
    assert floor.refused()[-1] == "too_many_entries"
    for _ in range(3):
        leaving = floor.send(-0.1)
        assert floor.order(leaving).status is PENDING
    assert floor.broker.cancel(first)
    floor.later(1)
    assert floor.order(floor.send(1.0, 90.0)).status is PENDING


def test_a_change_of_an_entry_counts_as_one_and_is_refused_as_one():
    floor = Floor(max_entries_per_minute=2)
    name = floor.send(1.0, 90.0)
    floor.report(name)
    assert floor.broker.modify(name, price=91.0, qty=None, active_from=floor.clock.now())
    floor.new()
    assert floor.broker.modify(name, price=92.0, qty=None, active_from=floor.clock.now())
    floor.look()
    assert (floor.refused()[-1], floor.new()) == ("too_many_entries", [])


def test_entries_that_are_held_are_warned_of_once_a_minute():
    floor = Floor(max_entries_per_minute=1)
    told = []
    for _ in range(3):
        for _ in range(5):
            floor.send(1.0, 90.0)
        told.append([one.warns for one in floor.broker.notices])
        floor.broker.notices.clear()
        floor.later(60_000)
    assert told == [[True], [True], [True]]


def test_without_a_bound_any_number_of_entries_is_sent():
    floor = Floor(capital=1e9)
    assert {floor.order(floor.send(0.1, 90.0)).status for _ in range(400)} == {PENDING}


@pytest.mark.parametrize(("qty", "price"), [(1.0, 101.1), (-1.0, 99.0)])  # 100.1 * 1.01 = 101.101; 98.901
def test_a_market_entry_goes_no_further_than_its_slippage_allows(qty: float, price: float):
    floor = Floor(max_slippage_pct=1.0, rules={"price_tick": 0.1})
    name = floor.send(qty)
    order = floor.sent(name)
    assert (order.type, order.price, order.tif) == (OrderType.LIMIT, pytest.approx(price), TimeInForce.IOC)
    assert (floor.order(name).type, floor.order(name).price) == (OrderType.MARKET, None)
    assert floor.written[-1].type is OrderType.MARKET
    floor.fill(name, 0.5)
    floor.report(name, CANCELED, 0.5)
    assert floor.told(name) == [OPEN, OPEN, EXPIRED]
    leaves = floor.send(-qty / 2)
    assert floor.sent(leaves).type is OrderType.MARKET


def test_an_order_of_a_later_moment_is_held_back_and_can_be_changed_and_cancelled_here():
    floor = Floor()
    name = floor.send(1.0, price=99.0, after=50)
    dropped = floor.send(1.0, price=99.0, after=50)
    assert floor.new() == []
    assert floor.broker.next_arrival == floor.clock.now() + 50
    assert floor.broker.modify(name, price=98.0, qty=None, active_from=floor.clock.now() + 50)
    assert floor.broker.cancel(dropped)
    floor.later(50)
    (command,) = floor.new()
    assert isinstance(command, Send)
    assert (command.order.id, command.order.price) == (name, 98.0)
    floor.look()
    assert floor.told(dropped) == [CANCELED]


# -- fees, slippage, forced fills ---------------------------------------------------------------------------------


def test_a_fee_in_what_was_bought_leaves_less_of_it():
    floor = Floor(SPOT, leverage=1.0)
    name = floor.send(1.0)
    floor.fill(name, price=100.0, fee=0.1, paid=0.001, currency="BTC")
    floor.report(name, FILLED)
    assert floor.qty == pytest.approx(0.999)
    assert (floor.order(name).filled, floor.order(name).status) == (1.0, FILLED)
    assert floor.ledger.balance == pytest.approx(10_000.0 - 0.1)
    assert floor.ledger.equity() == pytest.approx(10_000.0 - 0.1)  # 9,900 in cash, 0.999 worth 99.9


def test_a_rest_that_no_order_can_sell_is_no_position():
    """1 bought, 0.999 of it got; 0.99 can be sold in steps of 0.01: the other 0.009 are nobody's from then on."""
    floor = Floor(SPOT, leverage=1.0, rules={"qty_step": 0.01, "min_qty": 0.01})
    name = floor.send(1.0)
    floor.fill(name, price=100.0, fee=0.1, paid=0.001, currency="BTC")
    floor.report(name, FILLED)
    name = floor.send(-0.99)
    floor.fill(name, 0.5, 100.0)
    assert floor.qty == pytest.approx(0.499)
    floor.fill(name, 0.49, 100.0)
    floor.report(name, FILLED)
    assert (floor.qty, floor.ledger.is_flat()) == (0.0, True)
    assert floor.ledger.balance == pytest.approx(10_000.0 - 100.0 + 99.0)


def test_a_fee_that_nobody_can_value_counts_nothing_and_is_told_once():
    floor = Floor()
    name = floor.send(1.0, price=99.0)
    for _ in range(2):
        floor.fill(name, 0.5, 99.0, fee=None, paid=0.01, currency="BNB")
    assert floor.ledger.balance == 10_000.0
    assert [one.text for one in floor.broker.notices] == ["a fee of 0.01 BNB can't be valued: it counts as 0"]


def test_a_market_order_slips_against_the_price_that_was_offered():
    floor = Floor()
    name = floor.send(2.0)
    floor.fill(name, 1.0, 100.6)
    floor.fill(name, 1.0, 99.0)
    assert [one.slippage for one in floor.fills()] == [pytest.approx(0.5), 0.0]  # the ask was 100.1


def test_a_liquidation_is_an_exit_of_ours_as_far_as_it_is_ours():
    floor = Floor()
    floor.held(1.0)
    theirs = ExchangeFill(
        "liq", floor.clock.now(), LINEAR, "liq", Side.SELL, 3.0, 91.0, reason=ExitReason.LIQUIDATION
    )
    floor.hear(FillReport(0, theirs, "", 0.6))
    fill = floor.fills()[-1]
    assert (fill.qty, fill.price, fill.fee, fill.reason) == (1.0, 91.0, pytest.approx(0.2), ExitReason.LIQUIDATION)
    assert floor.qty == 0.0


# -- protection ---------------------------------------------------------------------------------------------------


def test_a_position_is_protected_in_the_event_of_its_fill_and_its_stop_leaves_it():
    floor = Floor(protection={"stop_loss_pct": 5.0})
    entry = floor.send(1.0)
    floor.new()
    floor.fill(entry)
    (command,) = floor.new()
    assert isinstance(command, Send)
    stop = command.order
    assert (stop.type, stop.stop_price, stop.qty, stop.reduce_only) == (OrderType.STOP, 95.0, 1.0, True)
    assert floor.written[-1].id == stop.id
    assert stop.id not in [one.id for one in floor.broker.working()]
    floor.report(entry, FILLED)
    floor.report(stop.id)
    assert floor.broker.is_settled
    floor.fill(stop.id, price=94.5, named=False, of="child")
    assert floor.asked() == [("Find", stop.id)]
    floor.report(stop.id, FILLED, exchange_id="child")
    fill = floor.fills()[-1]
    assert (fill.qty, fill.price, fill.reason, fill.slippage) == (1.0, 94.5, ExitReason.STOP_LOSS, 0.5)
    assert floor.qty == 0.0
    assert floor.broker.is_settled


def test_a_watched_level_of_a_spot_position_closes_it_at_market():
    floor = Floor(SPOT, leverage=1.0, protection={"stop_loss_pct": 5.0})
    floor.held(1.0)
    floor.trade(94.9)
    floor.broker.guard()
    (command,) = floor.new()
    assert isinstance(command, Send)
    assert (command.order.type, command.order.side, command.order.reason) == (
        OrderType.MARKET, Side.SELL, ExitReason.STOP_LOSS,
    )  # fmt: skip
    floor.fill(command.order.id, price=94.8)
    floor.report(command.order.id, FILLED)
    assert floor.fills()[-1].reason is ExitReason.STOP_LOSS
    assert floor.qty == 0.0


# -- restarts -----------------------------------------------------------------------------------------------------


def again(floor: Floor, *intents: Order, run: str = "run00002", **settings: Any) -> Floor:
    """The broker of a run that goes on where `floor` stands, through JSON."""
    state = json.loads(json.dumps(floor.broker.state()))
    return Floor(*floor.symbols, state=state, intents=intents, run=run, **settings)


def test_a_restart_goes_on_with_what_stands_and_asks_for_all_of_it():
    floor = Floor(protection={"stop_loss_pct": 5.0})
    entry = floor.send(1.0)
    floor.fill(entry, fee=0.5)
    floor.report(entry, FILLED)
    stop = floor.broker.shield.sentries[0].id
    rests = floor.send(1.0, price=99.0)
    floor.report(stop)
    floor.report(rests, filled=0.25)
    floor.fill(rests, 0.25, 99.0)
    after = again(floor, protection={"stop_loss_pct": 5.0})
    assert (after.qty, after.ledger.balance) == (1.25, 9_999.5)
    assert [(one.id, one.filled) for one in after.broker.working()] == [(rests, 0.25)]
    after.hear(Gap(0, "restart"))
    asked = after.asked()
    assert ("Find", stop) in asked
    assert ("Find", rests) in asked
    assert asked.count(("Fetch", LINEAR)) == 1
    after.fill(rests, 0.25, 99.0, fill_id="f2")  # told before the restart
    assert after.qty == 1.25
    after.fill(rests, 0.75, 99.0, fill_id="f3")
    assert (after.qty, after.told(rests)) == (2.0, [FILLED])
    assert after.send(1.0, price=80.0) not in (entry, rests, stop)


def test_what_was_written_down_after_the_last_state_is_unknown_until_it_is_found():
    floor = Floor()
    before = floor.broker.state()
    lost, sent = floor.send(1.0), floor.send(2.0, price=99.0)
    after = Floor(state=json.loads(json.dumps(before)), intents=tuple(floor.written), run="run00002")
    assert after.broker.unknown == {LINEAR}
    assert [(one.id, one.status) for one in after.broker.working()] == [(lost, PENDING), (sent, PENDING)]
    after.report(sent)
    after.hear(OrderMissing(0, LINEAR, lost))
    assert (after.told(sent), after.told(lost), after.refused()) == ([OPEN], [REJECTED], ["not_received"])
    assert after.broker.unknown == set()
    assert all(one[0] != "Send" for one in after.asked())


def test_the_ids_of_one_run_are_not_given_again_after_a_restart():
    floor = Floor()
    before = floor.broker.state()
    names = [floor.send(1.0), floor.send(1.0)]
    after = Floor(state=before, intents=tuple(floor.written))
    assert after.send(1.0, price=99.0) not in names


def test_a_protective_order_that_was_written_down_is_taken_in_by_a_restart():
    floor = Floor(protection={"stop_loss_pct": 5.0})
    entry = floor.send(1.0)
    before = floor.broker.state()
    floor.fill(entry)
    stop = floor.written[-1]
    after = Floor(state=before, intents=(floor.written[0], stop), protection={"stop_loss_pct": 5.0})
    after.fill(entry)
    assert all(one[0] != "Send" for one in after.asked())  # nothing is armed beside what may stand
    after.report(stop.id)
    assert [(one.id, one.standing) for one in after.broker.shield.sentries] == [(stop.id, "stands")]


def test_a_replacement_that_was_written_down_carries_on_its_order_after_a_restart():
    floor = Floor(exchange="kucoin")
    name = floor.send(2.0, price=99.0)
    floor.report(name)
    floor.broker.modify(name, price=98.0, qty=None, active_from=0)
    before = floor.broker.state()
    floor.report(name, CANCELED)
    new = floor.written[-1]
    after = Floor(state=json.loads(json.dumps(before)), intents=(new,), exchange="kucoin", run="run00002")
    assert [(one.id, one.price) for one in after.broker.working()] == [(name, 98.0)]
    after.report(new.id)
    after.fill(new.id, price=98.0)
    assert after.told(name) == [FILLED]
    assert after.qty == 2.0


def test_what_was_held_back_is_not_sent_after_a_restart():
    floor = Floor()
    name = floor.send(1.0, price=99.0, after=50)
    after = again(floor)
    after.later(100)
    assert after.broker.working() == []
    assert after.told(name) == [CANCELED]
    assert after.new() == []


def test_a_restart_needs_the_symbols_that_it_had_and_a_state_of_its_own_kind():
    floor = Floor(LINEAR, OTHER)
    before = floor.broker.state()
    floor.send(1.0, price=99.0, symbol=OTHER)
    with pytest.raises(ConfigError, match=f"{floor.written[0].id} in {OTHER} still works"):
        Floor(LINEAR, state=before, intents=tuple(floor.written))
    with pytest.raises(JournalError, match="on paper"):
        Floor(state=state_of(floor.broker))


def test_a_late_order_is_still_cancelled_after_a_restart():
    floor = Floor()
    name = unknown(floor, 2.0, price=99.0)
    floor.hear(OrderMissing(0, LINEAR, name))
    after = again(floor)
    after.report(name, OPEN, 0.5)
    assert ("Cancel", name) in after.asked()
    after.fill(name, 0.5, 99.0)
    assert after.qty == 0.5


# -- money --------------------------------------------------------------------------------------------------------


def test_equity_of_the_account_is_as_told_and_moves_with_what_is_ours():
    floor = Floor()
    floor.held(1.0)
    told = Account(currency="USDT", balance=10_500.0, equity=10_700.0, margin_used=60.0)
    ours, theirs = (Position(symbol=name, qty=1.0, entry_price=100.0) for name in (LINEAR, "ETH/USDT:USDT"))
    floor.hear(AccountReport(floor.clock.now(), told, (ours, theirs), ()))
    floor.trade(110.0)
    assert floor.broker.account_equity == 10_700.0 + 10.0
    assert floor.broker.external == 500.0
    assert floor.broker.strategy_equity == pytest.approx(10_000.0 + 10.0)
    assert floor.ledger.held_back == 60.0 - 10.0


def test_coins_that_were_bought_are_no_loss_of_a_spot_account():
    """10,000 less 1,000 for 10 coins are 10,000 still; 2 coins of others make it 10,200, and 10 count as ours."""
    floor = Floor(SPOT, leverage=1.0)
    floor.held(10.0)
    told = Account(currency="USDT", balance=9_000.0, equity=9_000.0, margin_free=9_000.0)
    floor.hear(AccountReport(floor.clock.now(), told, (Position(symbol=SPOT, qty=12.0, entry_price=0.0),), ()))
    assert floor.broker.account_equity == 10_200.0
    floor.trade(110.0)
    assert floor.broker.account_equity == 10_200.0 + 10.0 * 10.0
