"""All fills since a time, on all five exchanges, however many pages and weeks they are spread over."""

from decimal import Decimal

import pytest
import pytest_asyncio
from gateways import CELLS, KINDS, gateway_to
from venue.instruments import Kind
from venue.news import Cause
from venue.orders import Order

from metaexpert.models import ExitReason

pytestmark = pytest.mark.asyncio

DAY = 86_400_000


@pytest_asyncio.fixture
async def asked(venue):
    made = []

    def make(exchange, kind):
        made.append(gateway_to(venue, exchange, kind))
        return made[-1]

    yield make
    for gateway in made:
        await gateway.close()


async def filled(venue, gateway, kind, times):
    """One order for each time, filled in two parts then, as if by another program; returns the fills."""
    market = await gateway.market(KINDS[kind][1])
    state = venue.states[market.exchange]
    item, found = state.instrument(market.id, Kind(kind)), []
    price = state.price(item)
    for time in times:
        order = Order(instrument=item, buy=True, amount=2 * item.step, price=price)
        state.accept(order)
        for _ in range(2):
            fill = state.fill(order, item.step, price, maker=True)
            fill.time = time
            found.append(fill)
    return state, item, found


def ids(exchange, found):
    """The ids of fills, as numbers: Bybit writes them as UUIDs."""
    return [int(one.id.replace("-", ""), 16) if exchange == "bybit" else int(one.id) for one in found]


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_every_page_of_every_week_comes_once_and_in_order(venue, asked, exchange, kind):
    """60 fills, two every 32 hours from 40 days ago on, in pages of seven."""
    gateway, now = asked(exchange, kind), venue.now()
    times = [now - 40 * DAY + number * 32 * 3_600_000 for number in range(30)]
    state, _, fills = await filled(venue, gateway, kind, times)
    state.page = 7
    found = await gateway.fills(KINDS[kind][1], now - 40 * DAY)
    assert ids(exchange, found) == [one.id for one in fills]
    assert [one.time for one in found] == [one.time for one in fills]
    later = await gateway.fills(KINDS[kind][1], times[20])
    assert ids(exchange, later) == [one.id for one in fills[40:]]


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_fills_of_one_moment_are_told_apart(venue, asked, exchange, kind):
    """Sixteen at once, at the very end of a week, in pages of five: no edge loses or doubles one."""
    gateway, now = asked(exchange, kind), venue.now()
    since = now - 10 * DAY
    state, _, fills = await filled(venue, gateway, kind, [since + 7 * DAY] * 8)
    state.page = 5
    assert sorted(ids(exchange, await gateway.fills(KINDS[kind][1], since))) == [one.id for one in fills]
    assert await gateway.fills(KINDS[kind][1], since + 7 * DAY + 1) == ()


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_fills_of_the_last_minutes_take_two_requests(venue, asked, exchange, kind):
    """Binance is asked for its liquidations besides."""
    gateway, now = asked(exchange, kind), venue.now()
    _, _, fills = await filled(venue, gateway, kind, [now - 60_000])
    await gateway.balances()  # the clock is known by now
    seen = len(venue.seen)
    assert ids(exchange, await gateway.fills(KINDS[kind][1], now - 120_000)) == [one.id for one in fills]
    assert len(venue.seen) - seen <= (3 if (exchange, kind != "spot") == ("binance", True) else 2)


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_no_fill_is_no_answer_in_between(venue, asked, exchange, kind):
    """A month without any, then one today."""
    gateway, now = asked(exchange, kind), venue.now()
    assert await gateway.fills(KINDS[kind][1], now - 30 * DAY) == ()
    _, _, fills = await filled(venue, gateway, kind, [now - 1000])
    assert ids(exchange, await gateway.fills(KINDS[kind][1], now - 30 * DAY)) == [one.id for one in fills]


@pytest.mark.parametrize("kind", ["linear", "inverse"])
async def test_what_binance_liquidated_three_weeks_ago_is_told_as_such(venue, asked, kind):
    """Its list of liquidations covers a week at a time."""
    gateway, now = asked("binance", kind), venue.now()
    state, _, fills = await filled(venue, gateway, kind, [now - 21 * DAY, now - DAY])
    first = min(state.orders)
    state.orders[first].cause, state.orders[first].created = "liquidation", now - 21 * DAY - 1000
    found = await gateway.fills(KINDS[kind][1], now - 30 * DAY)
    assert ids("binance", found) == [one.id for one in fills]
    assert [one.reason for one in found] == [ExitReason.LIQUIDATION] * 2 + [ExitReason.ORDER] * 2


async def test_what_bybit_liquidated_is_a_fill_and_what_it_paid_as_funding_is_none(venue, asked):
    gateway, now = asked("bybit", "linear"), venue.now()
    state, item, fills = await filled(venue, gateway, "linear", [now - 5000])
    state.orders[max(state.orders)].cause = "liquidation"
    state.pay(item, "USDT", Decimal(-1), Cause.FUNDING, Decimal(1), state.price(item))
    found = await gateway.fills("BTC/USDT:USDT", now - 10_000)
    assert ids("bybit", found) == [one.id for one in fills]
    assert {one.reason for one in found} == {ExitReason.LIQUIDATION}


async def test_a_clock_that_is_behind_loses_no_fill(venue, asked):
    """Our clock only decides how many steps the walk has; its last one has no end."""
    gateway, now = asked("kucoin", "linear"), venue.now()
    _, _, fills = await filled(venue, gateway, "linear", [now])
    gateway._clock = type("Behind", (), {"now": lambda _: now - 3_600_000})()
    assert ids("kucoin", await gateway.fills("BTC/USDT:USDT", now - 8 * DAY + 60_000)) == [one.id for one in fills]
