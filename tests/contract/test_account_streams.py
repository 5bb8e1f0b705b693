"""The private streams of each exchange: what they tell, in our words, equals what a request tells."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import pytest_asyncio
from contract.gateways import KINDS, gateway_to, order
from contract.streaming import CELLS, WAIT, instrument_of

from metaexpert.errors import NetworkError
from metaexpert.exchanges.orders import OrderRequest, Terms
from metaexpert.exchanges.private import AccountStreams
from metaexpert.models import MarginMode, OrderStatus, OrderType, Side

pytestmark = pytest.mark.asyncio
CELLS = [cell for cell in CELLS if cell[1] != "option"]
CONTRACTS = [cell for cell in CELLS if cell[1] != "spot"]
LINEAR = [cell for cell in CELLS if cell[1] == "linear"]


class Trading:
    """An account at the venue, its streams, and a price that stands still."""

    def __init__(self, venue, exchange, kind):
        self.venue, self.exchange, self.symbol = venue, exchange, KINDS[kind][1]
        self.gateway = gateway_to(venue, exchange, kind)
        self.streams = AccountStreams(self.gateway)
        self.terms = Terms() if kind == "spot" else Terms(margin_mode=MarginMode.CROSS, leverage=10)

    async def begin(self):
        self.market = await self.gateway.known(self.symbol)
        state = self.venue.states[self.exchange]
        item = instrument_of(self.venue, self.gateway.caller.client, self.symbol)
        self.price = float(state.price(item))
        state.pin(item, state.price(item))
        await self.gateway.set_up(self.symbol, self.terms)

    async def send(self, name="a1b2c3", **more):
        plain = {"id": name, "type": OrderType.MARKET}
        request = order(self.market, more.pop("price", None), **(plain | more))
        await self.gateway.submit(OrderRequest(order=request, terms=self.terms, reference_price=self.price))
        return request

    async def subscribed(self):
        """Once the exchange knows what is watched, and what it tells at once has come."""
        feeds, same = -1, 0
        while same < 5:
            await asyncio.sleep(0.01)
            now = sum(len(one.feeds) for one in self.venue.sockets.of(self.exchange))
            feeds, same = now, same + 1 if now == feeds and now else 0

    async def hears(self, watch, act=None, fits=bool):
        """What is told in the end, once it `fits`; `act` after the subscription and what comes with it."""
        task = asyncio.ensure_future(watch())
        await self.subscribed()
        acted = None if act is None else await act
        async with asyncio.timeout(WAIT):
            while not fits(told := await task):
                task = asyncio.ensure_future(watch())
        return told, acted


@pytest_asyncio.fixture
async def trading(venue, request):
    made = Trading(venue, *request.param)
    await made.begin()
    yield made
    await made.streams.close()
    await made.gateway.close()


def every(cells):
    return pytest.mark.parametrize("trading", cells, indirect=True, ids="-".join)


def known(order):
    """What is sure of an order: some exchanges leave fees and times to the record of fills."""
    return replace(order, fee=0.0, created=0, updated=0, message=None)


@every(CELLS)
async def test_an_order_is_told_as_it_is_when_it_is_looked_up(trading):
    """By our id, through to its end; with the order that was sent, its terms hold."""

    def is_filled(told):
        return any(one.status is OrderStatus.FILLED for one in told)

    def watch():
        return trading.streams.watch_orders(trading.symbol)

    told, sent = await trading.hears(watch, trading.send(), is_filled)
    asked = await trading.gateway.find(sent)
    assert told[-1].id == sent.id == "a1b2c3"
    assert known(told[-1]) == known(replace(asked, qty=told[-1].qty, filled=told[-1].filled))
    assert told[-1].filled == told[-1].qty == pytest.approx(asked.filled, rel=0.001)


@every(CELLS)
async def test_a_resting_order_is_told_and_its_end(trading):
    """Its own terms are told where ours are not known."""
    below = round(trading.price * 0.9)
    ours = {}

    def watch():
        return trading.streams.watch_orders(trading.symbol, ours)

    told, sent = await trading.hears(watch, trading.send("z9y8", type=OrderType.LIMIT, price=float(below)))
    assert (told[-1].id, told[-1].status, told[-1].price) == ("z9y8", OrderStatus.OPEN, float(below))
    placed = await trading.gateway.find(sent)
    ours[sent.id] = replace(sent, tag="mine")
    gone, _ = await trading.hears(watch, trading.gateway.cancel(placed), lambda told: not told[-1].is_working)
    assert (gone[-1].id, gone[-1].status, gone[-1].tag) == ("z9y8", OrderStatus.CANCELED, "mine")
    assert gone[-1].exchange_id == placed.exchange_id


@every(CELLS)
async def test_a_fill_is_the_one_on_record(trading):
    """Its fee as well, above zero where it is paid, where the exchange tells of it at once."""
    told, _ = await trading.hears(lambda: trading.streams.watch_fills(trading.symbol), trading.send())
    (recorded,) = await trading.gateway.fills(trading.symbol)
    assert [one._replace(fee=0.0, fee_currency=None, pnl=None) for one in told] == [
        recorded._replace(fee=0.0, fee_currency=None, pnl=None)
    ]
    if trading.exchange == "kucoin":
        assert (told[0].fee, told[0].fee_currency) == (0.0, None)
    else:
        assert told[0].fee == pytest.approx(recorded.fee, abs=1e-8)
        assert (told[0].fee > 0.0, told[0].fee_currency) == (True, recorded.fee_currency)


@every(CONTRACTS)
async def test_a_position_is_told_as_it_stands_and_when_it_is_gone(trading):
    def watch():
        return trading.streams.watch_positions([trading.symbol])

    told, sent = await trading.hears(watch, trading.send(), any)
    assert told == await trading.gateway.positions()
    assert told[0].qty == pytest.approx(sent.qty, rel=0.001)
    rather = 1.01 if trading.market.amount_step else 1.0  # its amount in base is rounded
    closing = trading.send("c1", side=Side.SELL, qty=told[0].qty * rather, reduce_only=True)
    gone, _ = await trading.hears(watch, closing, lambda told: told and not any(told))
    assert [(one.symbol, one.qty) for one in gone] == [(trading.symbol, 0.0)]


@every(CELLS)
async def test_balances_are_told_when_money_moves(trading):
    before = await trading.gateway.balances()
    told, _ = await trading.hears(trading.streams.watch_balances, trading.send(), lambda told: told != before)
    assert told == await trading.gateway.balances()


@every(LINEAR)
async def test_a_stop_order_is_told(trading):
    stop = float(round(trading.price * 0.9))
    act = trading.send("s1", type=OrderType.STOP, side=Side.SELL, stop_price=stop)
    told, _ = await trading.hears(lambda: trading.streams.watch_orders(trading.symbol), act)
    (placed,) = await trading.gateway.open_orders(trading.symbol)
    assert (told[-1].type, told[-1].stop_price) == (OrderType.STOP, stop)
    assert told[-1].id == ("s1" if trading.exchange != "kucoin" else placed.exchange_id)


@every(LINEAR)
async def test_a_break_is_told_and_the_streams_come_back(trading):
    def watch():
        return trading.streams.watch_fills(trading.symbol)

    task = asyncio.ensure_future(watch())
    await trading.subscribed()
    trading.venue.sockets.cut(trading.exchange)
    with pytest.raises(NetworkError, match="watch the fills of"):
        await asyncio.wait_for(task, WAIT)
    told, _ = await trading.hears(watch, trading.send())
    assert len(told) == 1


@every(LINEAR[:1])
async def test_closing_wakes_who_waits(trading):
    task = asyncio.ensure_future(trading.streams.watch_fills(trading.symbol))
    await asyncio.sleep(0.1)
    await trading.streams.close()
    with pytest.raises(NetworkError, match="closed"):
        await asyncio.wait_for(task, WAIT)


@every([("binance", "linear")])
async def test_what_was_to_be_done_later_goes_with_the_client(trading):
    """Such as the renewal of a listen key, which would be asked for without a session."""
    await trading.hears(lambda: trading.streams.watch_fills(trading.symbol), trading.send())
    client = trading.gateway.caller.client
    timers = list(client._timers)
    assert [one.cancelled() for one in timers] == [False]
    await trading.streams.close()
    await trading.gateway.close()
    assert (client._timers, [one.cancelled() for one in timers]) == ([], [True])
