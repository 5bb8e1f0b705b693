"""A courier that listens: fills, breaks, looks at the account, and its end."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from unittest.mock import AsyncMock

import pytest
from contract.gateways import CELLS, EXCHANGES
from contract.posts import Post, posted
from venue.faults import Fault

from metaexpert.errors import AuthenticationError
from metaexpert.events import Notice
from metaexpert.exchanges.fees import usual
from metaexpert.models import OrderStatus
from metaexpert.reports import (
    AccountReport,
    Check,
    Fetch,
    FillReport,
    FillsFetched,
    Gap,
    OrderReport,
    OrderUnknown,
    Send,
)

every = pytest.mark.parametrize(("exchange", "kind"), CELLS)
each = pytest.mark.parametrize("exchange", EXCHANGES)


@every
def test_fills_are_told_with_what_was_paid_for_them(exchange, kind):
    """By the stream, each in the currency of settlement; and the account is looked at two seconds later."""

    async def work(post: Post) -> None:
        begun, order = post.clock.now(), post.order()
        post.ask(Send(order))
        await post.seconds(4)
        assert post.of(OrderReport)[-1].order.status is OrderStatus.FILLED
        recorded = {fill.id: fill for fill in await post.gateway.fills(post.symbol)}
        assert post.fills.keys() == recorded.keys()
        for name, told in post.fills.items():
            price = recorded[name].price if recorded[name].fee_currency == post.market.base else 1.0
            paid = recorded[name].fee * (1.0 if kind == "inverse" else price)
            assert told.fee == pytest.approx(paid, rel=1e-6)
            assert told.fee != 0.0
        looks = [one.time - begun for one in post.of(AccountReport)]
        assert [2_000 <= one < 4_000 for one in looks[-1:]] == [True]

    assert posted(work, exchange, kind, is_open=True).failed == []


def test_a_fill_that_stands_on_no_record_yet_costs_what_the_market_takes():
    """KuCoin's news of a fill leave its fee to the record, and that does not answer."""

    async def work(post: Post) -> None:
        post.venue.faults.add(Fault.SERVER_ERROR, "*fills*", method="GET", times=99)
        post.ask(Send(post.order()))
        await post.seconds(3)
        (told,) = post.fills.values()
        assert told.fee == pytest.approx(usual(told.fill, post.market))
        assert told.fee == pytest.approx(told.fill.qty * told.fill.price * post.market.taker)

    posted(work, "kucoin", "linear", is_open=True)


@each
def test_what_happens_while_streams_are_broken_is_told_by_who_asks_after_the_gap(exchange):
    """A gap is told at the break, and again once the streams can be heard anew."""

    async def work(post: Post) -> None:
        begun = len(post.told)
        post.venue.sockets.cut(exchange, "reset")
        await post.seconds(0.5)
        assert post.of(Gap, post.told[begun:])
        post.ask(Send(post.order()))
        await post.seconds(8)
        gaps = post.of(Gap, post.told[begun:])
        assert gaps[-1].time - gaps[0].time >= 3_000
        await post.asked(Fetch(post.symbol, post.clock.now() - 60_000))
        assert sum(one.fill.qty for one in post.fills.values()) == pytest.approx(post.order().qty, rel=0.002)
        heard = len(post.told)
        post.ask(Send(post.order("a2")))
        await post.seconds(3)
        assert [one.fill.qty for one in post.of(FillReport, post.told[heard:])]

    assert posted(work, exchange, "linear", is_open=True).failed == []


@each
def test_streams_that_repeat_or_garble_what_they_tell_lose_nothing(exchange):
    async def work(post: Post) -> None:
        post.venue.faults.add(Fault.DUPLICATE, "*", times=9)
        post.ask(Send(post.order()))
        await post.seconds(4)
        assert len(post.fills) == len(await post.gateway.fills(post.symbol))
        begun = len(post.told)
        post.venue.faults.add(Fault.MALFORMED, "*", times=3, how="shape")
        post.ask(Send(post.order("a2")))
        await post.seconds(8)
        await post.asked(Fetch(post.symbol, post.clock.now() - 60_000))
        assert len(post.fills) == len(await post.gateway.fills(post.symbol))
        assert post.of(OrderReport, post.told[begun:])[-1].order.status is OrderStatus.FILLED

    assert posted(work, exchange, "linear", is_open=True).failed == []


@each
def test_the_account_is_looked_at_every_half_minute(exchange):
    async def work(post: Post) -> None:
        begun = post.clock.now()
        await asyncio.sleep(100)
        looks = [one.time for one in post.of(AccountReport) if one.time > begun]
        assert len(looks) == 3
        assert all(30_000 <= after - before < 31_000 for before, after in pairwise(looks))

    posted(work, exchange, "linear", is_open=True)


@each
def test_a_look_at_the_account_is_worth_nothing_while_orders_move(exchange):
    """The answer to the second order takes three seconds: only what is asked for after that is told."""

    async def work(post: Post) -> None:
        await post.asked(Send(post.order()))
        post.venue.faults.add(Fault.LATENCY, method="POST", seconds=3)
        post.ask(Send(post.order("a2")))
        begun = post.clock.now()
        told = await post.asked(Check())
        (report,) = post.of(AccountReport, told)
        assert report.time - begun >= 3_000
        (held,) = [one for one in report.positions if one.symbol == post.symbol]
        assert held.qty == pytest.approx(2 * post.order().qty, rel=0.002)

    posted(work, exchange, "linear")


def test_each_who_asks_for_fills_is_answered():
    """Those who ask together by one request, that reaches back as far as any of them asks."""

    async def work(post: Post) -> None:
        begun = post.clock.now()
        asked = len(post.venue.seen)
        told = await post.asked(*(Fetch(post.symbol, begun - back) for back in (1_000, 9_000, 5_000)))
        assert [one.since - begun for one in post.of(FillsFetched, told)] == [-1_000, -9_000, -5_000]
        assert len([one for one in post.venue.seen[asked:] if "trades" in one.path.lower()]) == 1

    posted(work, "binance", "linear")


@each
def test_closing_waits_for_what_was_sent_and_gives_up_what_is_looked_up(exchange):
    """What became of an order under way is told before the close is done; one not begun yet stays away."""

    async def work(post: Post) -> None:
        post.venue.faults.add(Fault.REPLY_LOST, method="POST")
        rule = post.venue.faults.add(Fault.SERVER_ERROR, method="GET", times=10_000)
        post.ask(Send(post.resting("a0")))
        await asyncio.sleep(1)
        assert post.of(OrderUnknown)
        post.venue.faults.lift(rule)
        post.venue.faults.add(Fault.LATENCY, method="POST", seconds=2)
        post.ask(Send(post.resting("a1")), Send(post.resting("a2")))
        await asyncio.sleep(0.5)
        await post.courier.close()
        assert post.of(OrderReport)[-1].order.id == "a1"
        told = len(post.told)
        post.ask(Check(), Send(post.resting("a3")))
        await asyncio.sleep(60)
        assert len(post.told) == told
        assert len(post.orders()) == 2

    posted(work, exchange, "linear", is_open=True)


def test_a_close_that_is_cancelled_leaves_no_task_behind():
    """And tells nothing of an order whose outcome it does not wait for: the journal has it."""

    async def work(post: Post) -> None:
        post.venue.faults.add(Fault.LATENCY, method="POST", seconds=5)
        post.ask(Send(post.resting()))
        await asyncio.sleep(0.5)
        closing = asyncio.create_task(post.courier.close())
        await asyncio.sleep(0.5)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert post.of(OrderReport) == post.of(OrderUnknown) == []
        assert len(post.orders()) == 1

    posted(work, "binance", "linear")


@each
def test_keys_that_are_refused_again_and_again_are_told_of_once(exchange):
    """For a few seconds it may be a fault in passing."""

    async def work(post: Post) -> None:
        post.venue.faults.add(Fault.DENIED, method="GET", times=4)
        await post.asked(Check())
        assert post.failed == []
        post.venue.faults.add(Fault.DENIED, method="GET", times=99)
        post.ask(Check())
        await asyncio.sleep(20)
        (error,) = post.failed
        assert isinstance(error, AuthenticationError)

    posted(work, exchange, "linear")


@pytest.mark.parametrize("is_orderly", [True, False])
def test_the_exchange_cancels_what_rests_when_a_run_dies_and_leaves_it_when_it_ends(is_orderly):
    """The run of an expert that is heard of every 20 s dies: a minute later its entry is gone."""

    async def work(post: Post) -> None:
        await post.asked(Send(post.resting("me1")))
        await post.seconds(90)
        (order,) = post.orders()
        assert order.status.value == "open"
        if is_orderly:
            await post.courier.close()
        else:
            post.gateway.dead_man = AsyncMock()  # nothing of it is heard any more
        await post.seconds(90)
        assert order.status.value == ("open" if is_orderly else "canceled")

    posted(work, "kucoin", "spot", is_open=True, dead_man_s=60, is_mine=lambda name: name.startswith("me"))


def test_that_the_exchange_will_not_cancel_what_rests_is_said():
    async def work(post: Post) -> None:
        (said,) = [one.text for one in post.of(Notice) if "resting orders" in one.text]
        assert "Binance does not say that it leaves stop orders" in said

    posted(work, "binance", "linear", is_open=True, dead_man_s=60)
