"""The dead man's switch, where an exchange has one: whose orders it cancels, and which it leaves."""

import pytest
from gateways import EXCHANGES, gateway_to
from venue.instruments import Kind
from venue.orders import Order, Status

from metaexpert import errors
from metaexpert.exchanges.capabilities import DeadMan, Feature, Support, dead_man_scope, support, why_unarmed
from metaexpert.exchanges.venues import VENUES, Segment

pytestmark = pytest.mark.asyncio

PARTS = ("spot", "linear", "inverse")
SYMBOLS = {"spot": "BTC/USDT", "linear": "BTC/USDT:USDT", "inverse": "BTC/USD:BTC"}
NATIVE = [(name, part) for name in EXCHANGES for part in PARTS if dead_man_scope(name, Segment(part)) is not None]


async def test_the_scope_is_told_of_every_switch_and_of_nothing_else():
    for exchange, venue in VENUES.items():
        for part in venue.segments:
            has_one = support(exchange, part, Feature.DEAD_MAN)[0] is Support.NATIVE
            assert (dead_man_scope(exchange, part) is not None) == has_one, (exchange, part)
    assert dead_man_scope("binance", Segment.LINEAR) == DeadMan("market", leaves_stops=False)
    assert dead_man_scope("okx", Segment.INVERSE) == DeadMan("account", leaves_stops=False)
    assert dead_man_scope("kucoin", Segment.SPOT) == DeadMan("market", leaves_stops=True)
    assert dead_man_scope("bybit", Segment.LINEAR) is None


def resting(state, market, kind, *, stop=False, buy=True):
    """An order far below the price, which rests or waits."""
    item = state.instrument(market.id, Kind(kind))
    price = (state.price(item) / 2) // item.tick * item.tick
    told = {"trigger": price, "rises": False} if stop else {"price": price}
    order = Order(instrument=item, buy=buy and not stop, amount=100 * item.step, **told)
    state.accept(order)
    return order


async def others(gateway, market):
    """Another market of the same kind."""
    listed = await gateway.markets()
    return next(one for one in listed if one.symbol != market.symbol and one.base == "ETH" and one.expiry is None)


@pytest.mark.parametrize(("exchange", "kind"), NATIVE)
async def test_it_cancels_what_it_reaches_when_nothing_is_heard(venue, exchange, kind):
    """Armed for 30 s, heard again after 20, then silent: 29 s later all is there, a second later it acts."""
    scope, state = dead_man_scope(exchange, Segment(kind)), venue.states[exchange]
    async with gateway_to(venue, exchange, kind) as gateway:
        market = await gateway.market(SYMBOLS[kind])
        limit, stop = resting(state, market, kind), resting(state, market, kind, stop=True)
        other = resting(state, await others(gateway, market), kind)
        await gateway.dead_man([market.symbol], 30)
        await venue.advance(20_000)
        await gateway.dead_man([market.symbol], 30)
        await venue.advance(29_000)
        assert (limit.status, stop.status, other.status) == (Status.OPEN, Status.WAITING, Status.OPEN)
        await venue.advance(1_000)
    assert limit.status is Status.CANCELED
    assert (stop.status is Status.WAITING) == scope.leaves_stops
    assert (other.status is Status.CANCELED) == (scope.scope == "account")


@pytest.mark.parametrize(("exchange", "kind"), NATIVE)
async def test_it_watches_several_markets(venue, exchange, kind):
    state = venue.states[exchange]
    async with gateway_to(venue, exchange, kind) as gateway:
        first = await gateway.market(SYMBOLS[kind])
        both = [first, await others(gateway, first)]
        placed = [resting(state, market, kind) for market in both]
        for _ in range(2):
            await gateway.dead_man([market.symbol for market in both], 30)
        await venue.advance(30_000)
    assert [one.status for one in placed] == [Status.CANCELED] * 2


@pytest.mark.parametrize(
    ("exchange", "part", "why"),
    [
        ("binance", Segment.LINEAR, "Binance does not say that it leaves stop orders, which protect positions"),
        ("okx", Segment.INVERSE, "OKX does not say that it leaves stop orders, which protect positions"),
        ("bybit", Segment.LINEAR, "it cancels only when a websocket breaks"),
        ("okx", Segment.SPOT, "OKX would cancel the orders of the whole account, whoever's they are"),
        ("kucoin", Segment.SPOT, ""),
    ],
)
async def test_it_stays_off_where_it_may_take_protection_away(exchange, part, why):
    assert why_unarmed(exchange, part).startswith(why)
    assert bool(why_unarmed(exchange, part)) == bool(why)


@pytest.mark.parametrize(("exchange", "kind"), NATIVE)
async def test_it_ends_with_a_zero(venue, exchange, kind):
    state = venue.states[exchange]
    async with gateway_to(venue, exchange, kind) as gateway:
        market = await gateway.market(SYMBOLS[kind])
        limit = resting(state, market, kind)
        await gateway.dead_man([market.symbol], 30)
        await gateway.dead_man([market.symbol], 0)
        await venue.advance(120_000)
    assert limit.status is Status.OPEN


@pytest.mark.parametrize("exchange", ["bybit", "bitget"])
async def test_where_there_is_none_it_is_refused_before_anything_is_sent(venue, exchange):
    async with gateway_to(venue, exchange, "linear") as gateway:
        await gateway.known("BTC/USDT:USDT")
        seen = len(venue.seen)
        with pytest.raises(errors.OrderRejected, match="cancel") as caught:
            await gateway.dead_man(["BTC/USDT:USDT"], 30)
        assert caught.value.reason == "not_supported"
        assert len(venue.seen) == seen
