"""How a live run begins, at the venue: what is told, what is put in order, what is left alone."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from contract.gateways import CELLS, EXCHANGES, request
from contract.posts import Post, posted
from venue.faults import Fault

from metaexpert.errors import AuthenticationError, ExchangeError
from metaexpert.models import ExitReason, Fill, OrderStatus, Side
from metaexpert.recovery import Recovery, recover

if TYPE_CHECKING:
    from metaexpert.broker.live import LiveBroker
    from metaexpert.events import Notice

each = pytest.mark.parametrize("exchange", EXCHANGES)


async def recovered(post: Post, broker: LiveBroker, **more: object) -> Recovery:
    """A run begins, a minute after the one before has ended."""
    await asyncio.sleep(60)
    heard: list[Notice] = []
    found = await recover(broker, post.courier, post.clock, log=heard.append, **more)
    json.dumps(found.as_dict())
    return found


async def entered(post: Post, **levels: float) -> LiveBroker:
    """A broker with a position, bought at market, as protected as it shall be."""
    broker = post.broker(**(levels or {"stop_loss_pct": 5.0, "take_profit_pct": 10.0}))
    await recover(broker, post.courier, post.clock, log=lambda _: None)
    post.courier.open()
    await post.seconds(4)
    post.trade(broker)
    broker.submit(post.order(broker.next_id()), active_from=post.clock.now())
    await post.calm(broker)
    assert [one.status for one in broker.shield.report()] == ["stands"] * (2 if not levels else len(levels))
    return broker


def stops(post: Post) -> list[str]:
    return sorted(one.client_id for one in post.orders() if one.conditional and one.status.value == "waiting")


@each
def test_an_empty_account_is_told_and_nothing_is_sent(exchange):
    async def work(post: Post) -> None:
        sent = len([one for one in post.venue.seen if one.method != "GET"])
        found = await recovered(post, post.broker())
        assert (found.positions, found.orders, found.foreign, found.found) == ((), (), (), ())
        assert len([one for one in post.venue.seen if one.method != "GET"]) == sent
        assert found.lines()[0].startswith(f"account: equity {found.account.equity:,.8g} {post.market.settle}")
        assert post.told == []

    posted(work, exchange, "linear")


@each
def test_what_is_not_ours_is_told_and_left_alone(exchange):
    async def work(post: Post) -> None:
        await post.gateway.submit(request(post.order("x1"), post.price))
        await post.gateway.submit(request(post.resting("x2"), post.price))
        sent = len([one for one in post.venue.seen if one.method != "GET"])
        broker = post.broker(stop_loss_pct=5.0)
        found = await recovered(post, broker)
        (held,) = found.foreign
        assert (held.symbol, held.qty) == (post.symbol, pytest.approx(post.order().qty, rel=0.002))
        assert [one.id for one in found.foreign_orders] == ["x2"]
        assert found.positions == () == found.found
        assert broker.ledger.leg(post.symbol, None).qty == 0.0
        assert len([one for one in post.venue.seen if one.method != "GET"]) == sent
        assert sum(line.startswith("not ours, left alone: ") for line in found.lines()) == 2

    posted(work, exchange, "linear")


@each
def test_what_is_not_ours_is_adopted_where_that_is_asked_for(exchange):
    """At the price that the account has entered it at, and under protection of ours."""

    async def work(post: Post) -> None:
        await post.gateway.submit(request(post.order("x1"), post.price))
        broker = post.broker(stop_loss_pct=5.0)
        found = await recovered(post, broker, adopt=True)
        (held,) = found.positions
        assert held.qty == pytest.approx(post.order().qty, rel=0.002)
        assert held.entry_price == pytest.approx(post.price, rel=0.001)
        assert [(one.status, one.level) for one in found.protected] == [
            ("stands", pytest.approx(0.95 * held.entry_price, rel=1e-4))
        ]
        assert len(stops(post)) == 1

    posted(work, exchange, "linear")


@each
def test_a_stop_that_was_cancelled_by_hand_is_named_and_stands_again_before_anything_is_decided(exchange):
    async def work(post: Post) -> None:
        broker = await entered(post)
        (stop,) = [one for one in broker.shield.orders if one.reason is ExitReason.STOP_LOSS]
        state = broker.state()
        (there,) = [
            one for one in await post.gateway.open_orders(post.symbol) if one.stop_price == stop.stop_price
        ]
        await post.gateway.cancel(there)
        before = stops(post)
        restarted = post.broker(state, stop_loss_pct=5.0, take_profit_pct=10.0)
        found = await recovered(post, restarted)
        assert [(one.part, one.status) for one in found.found] == [("stop", "missing"), ("target", "stands")]
        assert [(one.part, one.status) for one in found.protected] == [("stop", "stands"), ("target", "stands")]
        fresh = found.protected[0]
        assert fresh.level == stop.stop_price
        assert fresh.order_id != stop.id
        assert len(stops(post)) == len(before) + 1
        (line,) = [line for line in found.lines() if line.startswith("stop of ")]
        assert line.endswith(f"missing, now stands as order {fresh.order_id}")

    posted(work, exchange, "linear")


@each
def test_a_stop_that_fired_while_away_is_booked_and_told_and_its_target_goes(exchange):
    async def work(post: Post) -> None:
        broker = await entered(post)
        state = broker.state()
        post.state.pin(post.item, 0.94 * post.price)
        await post.seconds(1)
        restarted = post.broker(state, stop_loss_pct=5.0, take_profit_pct=10.0)
        found = await recovered(post, restarted)
        assert found.positions == () == found.protected
        (fill,) = [result for _, result in found.away.news if isinstance(result, Fill)]
        assert (fill.side, fill.reason) == (Side.SELL, ExitReason.STOP_LOSS)
        assert fill.qty == pytest.approx(post.order().qty, rel=0.002)
        assert stops(post) == []
        assert restarted.is_settled

    posted(work, exchange, "linear")


@each
def test_an_order_that_was_written_down_and_sent_is_found_filled_and_its_position_protected(exchange):
    """The process died before it heard the answer."""

    async def work(post: Post) -> None:
        broker = post.broker(stop_loss_pct=5.0)
        await recover(broker, post.courier, post.clock, log=lambda _: None)
        state = broker.state()
        post.trade(broker)
        broker.submit(post.order(broker.next_id()), active_from=post.clock.now())
        await post.courier.idle()
        (intent,) = post.written
        post.told.clear()
        restarted = post.broker(state, (intent,), stop_loss_pct=5.0)
        found = await recovered(post, restarted)
        assert [held.qty for held in found.positions] == [pytest.approx(post.order().qty, rel=0.002)]
        assert found.away.news[-1][0].status is OrderStatus.FILLED
        assert [one.status for one in found.protected] == ["stands"]
        assert len([one for one in post.orders() if not one.conditional]) == 1
        assert len(stops(post)) == 1

    posted(work, exchange, "linear")


@each
def test_an_order_that_was_written_down_and_never_sent_is_refused_and_not_sent(exchange):
    async def work(post: Post) -> None:
        broker = post.broker(stop_loss_pct=5.0)
        await recover(broker, post.courier, post.clock, log=lambda _: None)
        intent = post.order(broker.next_id())
        restarted = post.broker(broker.state(), (intent,), stop_loss_pct=5.0)
        found = await recovered(post, restarted)
        ((order, result),) = found.away.news
        assert (order.id, order.status, result.reason) == (intent.id, OrderStatus.REJECTED, "not_received")
        assert post.orders() == []
        assert restarted.working() == []

    posted(work, exchange, "linear")


@each
def test_a_position_that_was_closed_by_hand_is_booked_as_gone(exchange):
    """With its stop and target still there: they go."""

    async def work(post: Post) -> None:
        broker = await entered(post)
        state = broker.state()
        closing = post.order("x1", side=Side.SELL, reduce_only=True)
        await post.gateway.submit(request(closing, post.price))
        restarted = post.broker(state, stop_loss_pct=5.0, take_profit_pct=10.0)
        found = await recovered(post, restarted)
        assert found.positions == () == found.protected
        assert any("closed by somebody else" in line for line in found.lines())
        assert stops(post) == []

    posted(work, exchange, "linear")


def test_it_waits_while_the_exchange_is_away_and_says_so():
    async def work(post: Post) -> None:
        rule = post.venue.faults.add(Fault.SERVER_ERROR, times=10_000)
        heard: list[Notice] = []
        task = asyncio.ensure_future(recover(post.broker(), post.courier, post.clock, log=heard.append))
        await asyncio.sleep(300)
        assert not task.done()
        assert {one.text.partition(":")[0] for one in heard} == {
            "its fills can't be fetched yet", "the account can't be looked at yet",
        }  # fmt: skip
        post.venue.faults.lift(rule)
        assert (await task).positions == ()

    posted(work, "binance", "linear")


def test_keys_that_are_refused_end_it():
    async def work(post: Post) -> None:
        post.venue.faults.add(Fault.DENIED, times=10_000)
        with pytest.raises(AuthenticationError):
            await recover(post.broker(), post.courier, post.clock, log=lambda _: None)
        assert post.failed == []

    posted(work, "binance", "linear")


def test_an_account_that_cannot_be_told_in_full_ends_it():
    """As where there is an order in a market that stands on no list."""

    async def work(post: Post) -> None:
        lost = ExchangeError("there is an open order in XYZ, which is not in its list")

        async def refused() -> None:
            raise lost

        post.gateway.open_orders = refused
        with pytest.raises(ExchangeError) as caught:
            await recover(post.broker(), post.courier, post.clock, log=lambda _: None)
        assert caught.value is lost

    posted(work, "binance", "linear")


@pytest.mark.parametrize(
    ("exchange", "kind"), [cell for cell in CELLS if cell[1] != "linear" and cell != ("bitget", "inverse")]
)
def test_what_was_done_by_hand_while_away_is_booked_on_spot_and_inverse_as_well(exchange, kind):
    """Half of what was bought is sold, and the account held nothing else: the other half stays ours."""

    async def work(post: Post) -> None:
        if kind == "spot":
            post.state.balances |= {key: Decimal(0) for key in post.state.balances if key[1] == post.market.base}
        broker = post.broker(stop_loss_pct=5.0)
        await recover(broker, post.courier, post.clock, log=lambda _: None)
        post.courier.open()
        await post.seconds(4)
        post.trade(broker)
        broker.submit(post.order(broker.next_id(), qty=2 * post.order().qty), active_from=post.clock.now())
        await post.calm(broker)
        held = broker.ledger.leg(post.symbol, None).qty
        assert held == pytest.approx(2 * post.order().qty, rel=0.01)
        state = broker.state()
        sale = post.order("x1", side=Side.SELL, reduce_only=kind == "inverse")
        await post.gateway.submit(request(sale, post.price))
        restarted = post.broker(state, stop_loss_pct=5.0)
        found = await recovered(post, restarted)
        left = restarted.ledger.leg(post.symbol, None).qty
        assert left == pytest.approx(held - sale.qty, rel=0.01)
        assert [one.qty for one in found.positions] == [left]
        assert [one.status for one in found.protected] == ["watched" if kind == "spot" else "stands"]
        assert restarted.is_settled

    posted(work, exchange, kind)
