"""A courier at the venue: each order is there once, whatever becomes of its answer, and its fate is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from contract.gateways import CELLS, EXCHANGES
from contract.posts import Post, posted
from venue.faults import Fault

from metaexpert.events import Notice
from metaexpert.models import ExitReason, OrderStatus, OrderType, Side
from metaexpert.reports import (
    AccountReport,
    Cancel,
    ChangeRefused,
    Check,
    Fetch,
    Find,
    OrderMissing,
    OrderRefused,
    OrderReport,
    Send,
)

HIDDEN = [Fault.REPLY_LOST, Fault.EMPTY, Fault.TRUNCATED, Fault.UNKNOWN]
"""The order is there, and nobody was told."""
LOST = [Fault.RESET, Fault.HTML]
"""It is not there, and nobody was told."""
every = pytest.mark.parametrize(("exchange", "kind"), CELLS)
each = pytest.mark.parametrize("exchange", EXCHANGES)


def kinds(told: list[object]) -> list[str]:
    return [type(one).__name__ for one in told if not isinstance(one, Notice)]


@every
def test_an_order_whose_answer_is_lost_is_there_once_and_found(exchange, kind):
    """A quarter of a second after it is looked up; all four faults that hide an answer, one after the other."""

    async def work(post: Post) -> None:
        for number, fault in enumerate(HIDDEN, 1):
            begun = post.clock.now()
            post.venue.faults.add(fault, method="POST")
            told = await post.asked(Send(post.resting(f"a{number}")))
            assert kinds(told) == ["OrderUnknown", "OrderReport"], fault
            assert told[-1].order.status is OrderStatus.OPEN
            assert told[-1].order.id == told[0].order_id == f"a{number}"
            assert len(post.orders()) == number
            assert 250 <= post.clock.now() - begun < 1_000

    assert posted(work, exchange, kind).failed == []


@every
def test_a_market_order_whose_answer_is_lost_is_filled_once(exchange, kind):
    async def work(post: Post) -> None:
        post.venue.faults.add(Fault.REPLY_LOST, method="POST")
        order = post.order()
        told = await post.asked(Send(order))
        assert [one.order.status for one in post.of(OrderReport, told)][-1] is OrderStatus.FILLED
        await post.asked(Fetch(post.symbol, post.clock.now() - 5_000))
        (taken,) = post.orders()
        assert sum(one.fill.qty for one in post.fills.values()) == pytest.approx(order.qty, rel=0.002)
        assert {one.fill.order_id for one in post.fills.values()} == {post.of(OrderReport)[-1].order.exchange_id}
        assert taken.filled == taken.amount

    posted(work, exchange, kind)


REQUESTS = [
    *HIDDEN, *LOST, Fault.SERVER_ERROR, Fault.MAINTENANCE, Fault.OVERLOAD, Fault.RATE_LIMIT, Fault.BAN,
    Fault.DENIED, Fault.GEO_BLOCK,
]  # fmt: skip


@each
@pytest.mark.parametrize("kind", ["linear", "inverse"])
def test_what_is_told_of_a_stop_is_what_the_exchange_has(exchange, kind):
    """Whatever befalls its request, and the look-up after it: one order at most, and its fate is told once.

    Where it is certain that nothing was done it is sent again, as it closes a position.
    """

    async def work(post: Post) -> None:
        await post.asked(Send(post.order("a0")))
        for number, fault in enumerate(REQUESTS, 1):
            post.venue.faults.add(fault, method="POST", seconds=0.1)
            post.venue.faults.add(Fault.EMPTY, method="GET")
            stop = post.order(
                f"a{number}", side=Side.SELL, type=OrderType.STOP, stop_price=float(round(0.9 * post.price)),
                reduce_only=True, reason=ExitReason.STOP_LOSS,
            )  # fmt: skip
            told = await post.asked(Send(stop))
            post.venue.faults.rules.clear()
            await asyncio.sleep(1)
            there = [one for one in post.orders() if one.client_id.endswith(f"a{number}")]
            fates = [one for one in told if isinstance(one, OrderReport | OrderMissing | OrderRefused)]
            assert int(fault in HIDDEN) <= len(there) <= 1, fault
            assert [isinstance(one, OrderReport) for one in fates] == [bool(there)], fault
            if there:
                assert fates[0].order.id == stop.id
                assert fates[0].order.exchange_id

    posted(work, exchange, kind)


@each
def test_an_order_that_never_arrived_is_missing_once_it_cannot_arrive_any_more(exchange):
    """Looked up at 0.25, 0.75, 1.75, 3.75, 7.75, 15.75 and 31.75 s: only the last is 30 s after it was sent."""

    async def work(post: Post) -> None:
        for number, fault in enumerate(LOST, 1):
            begun = post.clock.now()
            post.venue.faults.add(fault, method="POST")
            told = await post.asked(Send(post.resting(f"a{number}")))
            assert kinds(told) == ["OrderUnknown", "OrderMissing"]
            assert told[-1].time - begun == pytest.approx(31_750, abs=500)
        assert post.orders() == []

    posted(work, exchange, "linear")


@each
def test_an_order_is_looked_up_until_the_exchange_answers(exchange):
    """Ten minutes of server errors: nothing is sent again, and nothing is told that is not known."""

    async def work(post: Post) -> None:
        post.venue.faults.add(Fault.REPLY_LOST, method="POST")
        rule = post.venue.faults.add(Fault.SERVER_ERROR, method="GET", times=10_000)
        post.ask(Send(post.resting()))
        await asyncio.sleep(600)
        assert kinds(post.told) == ["OrderUnknown"]
        post.venue.faults.lift(rule)
        await asyncio.sleep(60)
        assert kinds(post.told) == ["OrderUnknown", "OrderReport"]
        assert len(post.orders()) == 1

    posted(work, exchange, "linear")


CERTAIN = [
    (Fault.RATE_LIMIT, "unavailable"), (Fault.GEO_BLOCK, "access_denied"), (Fault.DENIED, "not_allowed"),
]  # fmt: skip


@each
@pytest.mark.parametrize(("fault", "reason"), CERTAIN)
def test_an_order_that_was_certainly_not_taken_is_refused(exchange, fault, reason):
    async def work(post: Post) -> None:
        post.venue.faults.add(fault, method="POST", seconds=1)
        (told,) = await post.asked(Send(post.resting()))
        assert isinstance(told, OrderRefused)
        assert (told.order_id, told.reason) == ("a1", reason)
        assert post.orders() == []

    posted(work, exchange, "linear")


@each
def test_what_the_market_does_not_take_is_refused_with_its_reason(exchange):
    async def work(post: Post) -> None:
        small = post.order(qty=post.market.qty_step / 2)
        large = post.order("a2", qty=post.order().qty * 10_000)
        told = await post.asked(Send(small), Send(large))
        assert [(type(one), one.order_id) for one in told] == [(OrderRefused, "a1"), (OrderRefused, "a2")]
        assert told[0].reason in ("below_min_qty", "size_is_zero")

    posted(work, exchange, "linear")


@each
def test_a_closing_order_is_sent_again_where_the_exchange_had_no_time_for_it(exchange):
    """Within two seconds, and an entry is not."""

    async def work(post: Post) -> None:
        opening = post.order()
        await post.asked(Send(opening))
        post.venue.faults.add(Fault.RATE_LIMIT, method="POST", times=2, seconds=0.1)
        closing = post.order("a2", side=opening.side.opposite, reduce_only=True)
        told = await post.asked(Send(closing))
        assert post.of(OrderRefused, told) == []
        assert told[-1].order.status is OrderStatus.FILLED
        post.venue.faults.add(Fault.RATE_LIMIT, method="POST", times=99, seconds=0.1)
        begun = post.clock.now()
        (told,) = post.of(OrderRefused, await post.asked(Send(closing.changed(id="a3"))))
        assert (told.reason, told.time - begun <= 2_100) == ("unavailable", True)
        assert len(post.orders()) == 2

    posted(work, exchange, "linear")


@each
def test_orders_of_a_symbol_go_out_in_turn(exchange):
    """The second waits for the answer to the first; what is looked up does not wait."""

    async def work(post: Post) -> None:
        post.venue.faults.add(Fault.LATENCY, method="POST", seconds=3)
        post.ask(Send(post.resting("a1")), Send(post.resting("a2")))
        await post.seconds(1)
        post.ask(Find(post.resting("a9", created=0)))
        await post.courier.idle()
        taken = [one.client_id for one in post.orders()]
        assert [name.endswith(tail) for name, tail in zip(taken, ("a1", "a2"), strict=True)] == [True, True]
        assert kinds(post.told)[0] == "OrderMissing"

    posted(work, exchange, "linear")


@each
def test_a_cancellation_is_made_until_it_is_certain(exchange):
    """Its answer is lost, then it is refused for a moment: in the end it is told that the order is gone."""

    async def work(post: Post) -> None:
        await post.asked(Send(post.resting()))
        for fault in (Fault.REPLY_LOST, Fault.RESET):
            for method in ("POST", "DELETE"):
                post.venue.faults.add(fault, method=method)
        told = await post.asked(Cancel(post.resting()))
        assert "canceled" in [one.order.status.value for one in post.of(OrderReport, told)] or isinstance(
            told[-1], ChangeRefused
        )
        assert [one.status.value for one in post.orders()] == ["canceled"]

    posted(work, exchange, "linear")


@each
def test_what_works_no_more_cannot_be_cancelled(exchange):
    async def work(post: Post) -> None:
        await post.asked(Send(post.order()))
        told = await post.asked(Cancel(post.order()))
        (refused,) = post.of(ChangeRefused, told)
        assert (refused.order_id, refused.what) == ("a1", "cancel")

    posted(work, exchange, "linear")


@every
def test_an_account_is_told_as_it_stands(exchange, kind):
    async def work(post: Post) -> None:
        order = post.order()
        (before,) = post.of(AccountReport, await post.asked(Check()))
        await post.asked(Send(order), Send(post.resting("a2")))
        (report,) = post.of(AccountReport, await post.asked(Check()))
        grown = [sum(one.qty for one in told.positions if one.symbol == post.symbol) for told in (before, report)]
        assert grown[1] - grown[0] == pytest.approx(order.qty, rel=0.002)
        assert [one.id for one in report.orders] == ["a2"]
        account = await post.gateway.account(post.market.settle)
        assert replace(report.account, time=0) == replace(account, time=0)
        assert (report.time, report.others) == (post.clock.now(), ())

    posted(work, exchange, kind)


def test_an_order_that_is_asked_for_twice_at_once_is_looked_up_once():
    """What is asked before the look-up has begun is answered by it."""

    async def work(post: Post) -> None:
        await post.asked(Send(post.resting("a1")))
        order = post.resting("a1")
        told = await post.asked(Find(order), Find(order))
        assert kinds(told) == ["OrderReport"]

    assert posted(work, "bybit", "linear").failed == []
