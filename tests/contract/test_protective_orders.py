"""Stop orders from their sending to their end: what is told of them, and whose fills are theirs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import pytest_asyncio
from contract.gateways import EXCHANGES, KINDS, gateway_to, order
from contract.streaming import WAIT, instrument_of
from venue.orders import Order as Theirs

from metaexpert.errors import OrderNotFound, OrderRejected
from metaexpert.exchanges.orders import OrderRequest, Terms
from metaexpert.exchanges.private import AccountStreams
from metaexpert.models import ExitReason, MarginMode, OrderStatus, OrderType, PositionMode, Side

pytestmark = pytest.mark.asyncio

ENDED = (OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED)
SPOT = [(exchange, "spot", "oneway") for exchange in EXCHANGES]
LINEAR = [(exchange, "linear", "oneway") for exchange in EXCHANGES]
INVERSE = [(exchange, "inverse", "oneway") for exchange in EXCHANGES]
HEDGED = [
    (exchange, kind, "hedge")
    for exchange in EXCHANGES for kind in ("linear", "inverse")
    if (exchange, kind) != ("bybit", "inverse")  # which are held net
]  # fmt: skip


class Desk:
    """An account at the venue, with a price that is moved by hand, and all that its streams tell."""

    def __init__(self, venue, exchange, kind, mode):
        self.gateway, self.symbol = gateway_to(venue, exchange, kind), KINDS[kind][1]
        self.streams, self.state = AccountStreams(self.gateway), venue.states[exchange]
        self.venue, self.exchange, self.leg = venue, exchange, "long" if mode == "hedge" else None
        self.terms = Terms() if kind == "spot" else Terms(10, MarginMode.CROSS, PositionMode(mode))
        self.sent, self.told, self.fills, self.tasks = {}, [], [], []

    async def begin(self):
        self.market = await self.gateway.known(self.symbol)
        self.item = instrument_of(self.venue, self.gateway.caller.client, self.symbol)
        step = 1.0 if self.state.price(self.item) > 1 else self.market.price_tick  # an option's may be in coins
        self.first = self.price = round(float(self.state.price(self.item)) / step) * step
        self.state.pin(self.item, self.price)
        self.base = order(self.market, None, type=OrderType.MARKET, position_side=self.leg)
        await self.gateway.set_up(self.symbol, self.terms)
        self.tasks = [asyncio.ensure_future(one()) for one in (self._orders, self._fills)]
        same, feeds = 0, 0
        while same < 5 or not feeds:
            await asyncio.sleep(0.01)
            now = sum(len(one.feeds) for one in self.venue.sockets.of(self.exchange))
            feeds, same = now, same + 1 if now == feeds else 0

    async def _orders(self):
        while True:
            for one in await self.streams.watch_orders(self.symbol, self.sent):
                self.told.append(one)
                if one.id in self.sent:
                    self.sent[one.id] = one

    async def _fills(self):
        while True:
            self.fills.extend(await self.streams.watch_fills(self.symbol))

    async def send(self, name, *, last=0.0, **more):
        """An order like the basic one; `last` is the price that we believe in."""
        wanted = replace(self.base, id=name, **more)
        request = OrderRequest(order=wanted, terms=self.terms, reference_price=last or self.price, watched=True)
        self.sent[name] = await self.gateway.submit(request)
        return wanted

    async def level(self, name, factor, reason, **more):
        """A stop or a target of the long position, at `factor` times the first price."""
        closing = {"type": OrderType.STOP, "side": Side.SELL, "reduce_only": True, "reason": reason}
        return await self.send(name, stop_price=float(round(factor * self.first)), **(closing | more))

    def move(self, factor):
        self.price = float(round(factor * self.first))
        self.state.pin(self.item, self.price)

    async def until(self, fits):
        """The first that `fits` makes of what was told."""
        async with asyncio.timeout(WAIT):
            while not (found := fits()):
                for task in self.tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.005)
        return found

    async def ended(self, name):
        """The last that is told of one of our orders, once it works no more."""
        return await self.until(
            lambda: next((one for one in self.told if one.id == name and not one.is_working), None)
        )

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.streams.close()
        await self.gateway.close()


@pytest_asyncio.fixture
async def desk(venue, request):
    made = Desk(venue, *request.param)
    await made.begin()
    yield made
    await made.close()


def every(cells):
    return pytest.mark.parametrize("desk", cells, indirect=True, ids="-".join)


async def fired(desk, sent):
    """The fills that are told of a stop order which has fired, and what is found of it."""
    await desk.until(lambda: desk.fills)
    found = await desk.gateway.find(sent)
    await desk.until(lambda: any(one.order_id == found.exchange_id for one in desk.fills))
    unique = {one.id: one for one in desk.fills}.values()
    return [one for one in unique if one.order_id == found.exchange_id], found


@every([*LINEAR, *INVERSE, *HEDGED])
async def test_a_stop_fires_alone_and_its_fills_are_known_by_its_order(desk):
    """Of a position of three parts, one of them another's, it closes two; then its target is taken back."""
    await desk.send("e1", qty=1.5 * desk.base.qty)
    await desk.until(lambda: desk.fills)
    desk.fills.clear()
    stop = await desk.level("s1", 0.98, ExitReason.STOP_LOSS)
    target = await desk.level("t1", 1.02, ExitReason.TAKE_PROFIT)
    listed = {one.id: one for one in await desk.gateway.open_orders(desk.symbol)}
    for one in (stop, target):
        placed = listed[one.id]
        assert (placed.exchange_id, placed.stop_price) == (desk.sent[one.id].exchange_id, one.stop_price)
        assert (placed.side, placed.type, placed.reason) == (Side.SELL, OrderType.STOP, one.reason)
        assert placed.qty == pytest.approx(one.qty, rel=0.01)  # Bitget counts inverse ones in base
        assert (await desk.gateway.find(one)).status is OrderStatus.OPEN
    await desk.until(lambda: {"s1", "t1"} <= {one.id for one in desk.told})
    desk.move(0.979)
    fills, found = await fired(desk, stop)
    assert sum(one.qty for one in fills) == pytest.approx(stop.qty, rel=0.01)
    assert fills[0].side is Side.SELL
    assert fills[0].position_side == (None if desk.exchange == "bybit" else desk.leg)  # its fills don't tell
    assert (found.status, found.filled) == (OrderStatus.FILLED, pytest.approx(stop.qty, rel=0.01))
    recorded = [one for one in await desk.gateway.fills(desk.symbol) if one.order_id == found.exchange_id]
    assert [one.id for one in recorded] == [one.id for one in fills]
    (left,) = await desk.gateway.positions()
    assert left.qty == pytest.approx(0.5 * desk.base.qty, rel=0.05)
    assert [one.id for one in await desk.gateway.open_orders(desk.symbol)] == ["t1"]
    await desk.gateway.cancel(desk.sent["t1"])
    assert (await desk.gateway.find(target)).status is OrderStatus.CANCELED
    assert (await desk.ended("t1")).status is OrderStatus.CANCELED
    assert await desk.gateway.open_orders(desk.symbol) == ()


@every([*LINEAR, *INVERSE, *HEDGED])
async def test_a_target_fires_where_the_price_goes_for_the_position(desk):
    await desk.send("e1")
    await desk.until(lambda: desk.fills)
    desk.fills.clear()
    await desk.level("s1", 0.98, ExitReason.STOP_LOSS)
    target = await desk.level("t1", 1.02, ExitReason.TAKE_PROFIT)
    desk.move(1.019)
    assert (await desk.gateway.find(target)).status is OrderStatus.OPEN
    desk.move(1.021)
    fills, _ = await fired(desk, target)
    assert sum(one.qty for one in fills) == pytest.approx(target.qty, rel=0.01)


@every(LINEAR)
async def test_the_levels_of_a_short_lie_the_other_way(desk):
    await desk.send("e1", side=Side.SELL)
    await desk.until(lambda: desk.fills)
    desk.fills.clear()
    stop = await desk.level("s1", 1.02, ExitReason.TRAILING_STOP, side=Side.BUY)
    target = await desk.level("t1", 0.98, ExitReason.TAKE_PROFIT, side=Side.BUY)
    desk.move(0.979)
    assert len((await fired(desk, target))[0]) == 1
    assert (await desk.gateway.find(stop)).filled == 0.0


@every([*LINEAR, *HEDGED])
async def test_levels_that_are_reached_already_are_refused_by_the_exchange(desk):
    await desk.send("e1")
    for name, factor, reason in (("s1", 1.01, ExitReason.STOP_LOSS), ("t1", 0.99, ExitReason.TAKE_PROFIT)):
        with pytest.raises(OrderRejected) as refusal:
            await desk.level(name, factor, reason, last=desk.first * (1.02 if name == "s1" else 0.98))
        assert refusal.value.reason == "stop_reached"
    assert await desk.gateway.open_orders(desk.symbol) == ()


@every([*LINEAR, *INVERSE])
async def test_a_stop_that_fires_with_nothing_left_to_close_ends_unfilled(desk):
    await desk.send("e1")
    stop = await desk.level("s1", 0.98, ExitReason.STOP_LOSS)
    rather = 1.01 if desk.market.amount_step else 1.0  # its amount in base is rounded
    await desk.send("x1", side=Side.SELL, qty=rather * desk.base.qty, reduce_only=True)
    assert await desk.gateway.positions() == ()
    desk.move(0.97)
    found = await desk.gateway.find(stop)
    assert (found.filled, len(await desk.gateway.open_orders(desk.symbol))) == (0.0, 0)


@every([*LINEAR, *SPOT])
async def test_stops_that_enter_fire_upwards_for_a_buy_and_downwards_for_a_sale(desk):
    await desk.send("e1")
    await desk.until(lambda: desk.fills)
    for name, side, factor, past in (("b1", Side.BUY, 1.02, 1.021), ("s1", Side.SELL, 1.0, 0.999)):
        desk.fills.clear()
        qty = desk.base.qty * (1.0 if side is Side.BUY else 0.9)  # less the fee in base
        sent = await desk.level(name, factor, ExitReason.ORDER, side=side, qty=qty, reduce_only=False)
        assert (await desk.gateway.find(sent)).status is OrderStatus.OPEN
        desk.move(past)
        fills, _ = await fired(desk, sent)
        assert sum(one.qty for one in fills) == pytest.approx(sent.qty, rel=0.01)
        assert {one.side for one in fills} == {side}


@every([*LINEAR, *SPOT])
async def test_a_stop_is_taken_back_by_our_id_alone_or_by_both(desk):
    """It has no fills then, and fires no more."""
    await desk.send("e1")
    for name, names_both in (("s1", False), ("s2", True)):
        sent = await desk.level(name, 0.98, ExitReason.ORDER, qty=0.9 * desk.base.qty, reduce_only=False)
        await desk.gateway.cancel(desk.sent[name] if names_both else sent)
        assert (await desk.gateway.find(sent)).status is OrderStatus.CANCELED
        assert (await desk.ended(name)).status is OrderStatus.CANCELED
    with pytest.raises(OrderNotFound):
        await desk.gateway.cancel(sent)
    desk.move(0.97)
    assert len(await desk.gateway.fills(desk.symbol)) == 1


@every(LINEAR)
async def test_a_liquidation_is_told_as_one(desk):
    """Of one coin with its own margin of a tenth; at four fifths of the price it is gone."""
    desk.state.set_isolated(desk.item, True)
    desk.state.place(Theirs(instrument=desk.item, buy=True, amount=1 / desk.item.contract))
    await desk.until(lambda: desk.fills)
    assert {one.reason for one in desk.fills} == {ExitReason.ORDER}
    desk.move(0.8)
    sold = await desk.until(lambda: [one for one in desk.fills if one.side is Side.SELL])
    assert (sold[0].reason, sold[0].qty) == (ExitReason.LIQUIDATION, 1.0)
    (order,) = await desk.until(lambda: [one for one in desk.told if one.side is Side.SELL and not one.is_working])
    assert (order.exchange_id, order.filled) == (sold[0].order_id, 1.0)


@pytest.mark.parametrize("exchange", ["binance", "bybit", "okx"])
async def test_fills_of_options_are_told_as_they_are_on_record(venue, exchange):
    """Two orders: the second comes when the first one's fee is known already."""
    desk = Desk(venue, exchange, "option", "oneway")
    desk.symbol, desk.terms = (await desk.gateway.markets())[0].symbol, Terms()
    await desk.begin()
    dear = 2 * desk.price
    for name in ("a1", "a2"):
        await desk.send(name, type=OrderType.LIMIT, price=dear, qty=10 * desk.market.qty_step)
        await desk.ended(name)
    await desk.until(lambda: len({one.id for one in desk.fills}) == 2)
    told = {one.id: one for one in desk.fills}
    for recorded in await desk.gateway.fills(desk.symbol):
        same = told.pop(recorded.id)
        assert (same.order_id, same.qty, same.price) == (recorded.order_id, recorded.qty, recorded.price)
        assert same.fee == pytest.approx(recorded.fee)
        assert (same.fee > 0.0, same.fee_currency) == (True, recorded.fee_currency)
    assert told == {}
    await desk.close()
