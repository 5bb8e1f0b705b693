"""Leverage and modes on all five exchanges: read, changed where they differ, read back, or refused in one line."""

from decimal import Decimal

import pytest
import pytest_asyncio
from gateways import EXCHANGES, KINDS, gateway_to
from venue.faults import Fault
from venue.instruments import Kind
from venue.orders import Order

from metaexpert.errors import ConfigError
from metaexpert.exchanges.orders import Terms
from metaexpert.models import MarginMode, PositionMode

pytestmark = pytest.mark.asyncio

ISOLATED, CROSS = MarginMode.ISOLATED, MarginMode.CROSS
ONEWAY, HEDGE = PositionMode.ONEWAY, PositionMode.HEDGE
CELLS = [(exchange, kind) for exchange in EXCHANGES for kind in ("linear", "inverse")]
HEDGED = [cell for cell in CELLS if cell != ("bybit", "inverse")]
WHOLE = ("binance", "bitget", "kucoin")


@pytest_asyncio.fixture
async def asked(venue):
    made = []

    def make(exchange, kind="linear"):
        made.append(gateway_to(venue, exchange, kind))
        return made[-1]

    yield make
    for gateway in made:
        await gateway.close()


def changes(venue, since):
    return [one.path for one in venue.seen[since:] if one.method == "POST"]


async def hold(venue, gateway, symbol, side="BOTH"):
    """Buy some of it, as if by another program."""
    market = await gateway.market(symbol)
    state = venue.states[market.exchange]
    item = state.instrument(market.id, Kind("inverse" if market.is_inverse else "linear"))
    if market.exchange == "okx":  # there an order brings its margin mode along
        state.isolated.add((item.kind, item.id))
    if market.exchange == "kucoin":  # and there the leverage of isolated margin
        state.put_leverage(item, Decimal(5))
    buy, amount = side != "SHORT", 100 * item.step
    state.place(Order(instrument=item, buy=buy, amount=amount, side=side, raw={"mode": "ISOLATED"}))
    return state, item


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_what_differs_is_changed_and_read_back_and_nothing_is_changed_twice(venue, asked, exchange, kind):
    gateway, symbol = asked(exchange, kind), KINDS[kind][1]
    for wanted in (Terms(5.0, ISOLATED, ONEWAY), Terms(7.0, CROSS, ONEWAY)):
        assert await gateway.set_up(symbol, wanted) == wanted
        assert await gateway.terms(symbol, carried=wanted) == wanted
        seen = len(venue.seen)
        assert await gateway.set_up(symbol, wanted) == wanted
        assert changes(venue, seen) == []


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_only_the_leverage_is_asked_for(venue, asked, exchange, kind):
    """Modes that are None stay, whatever they are."""
    gateway, symbol = asked(exchange, kind), KINDS[kind][1]
    before = await gateway.terms(symbol)
    after = await gateway.set_up(symbol, Terms(3.0))
    assert (after.margin_mode, after.position_mode) == (before.margin_mode, before.position_mode)
    assert after.leverage == 3.0


@pytest.mark.parametrize(("exchange", "kind"), HEDGED)
@pytest.mark.parametrize("margin", [CROSS, ISOLATED])
async def test_hedge_mode_and_back(asked, exchange, kind, margin):
    gateway, symbol = asked(exchange, kind), KINDS[kind][1]
    for mode in (HEDGE, ONEWAY):
        wanted = Terms(4.0, margin, mode)
        assert await gateway.set_up(symbol, wanted) == wanted
        for side in ("long", "short"):
            assert await gateway.terms(symbol, side, carried=wanted) == wanted


@pytest.mark.parametrize("exchange", ["bybit", "okx", "bitget"])
async def test_legs_with_leverages_of_their_own(asked, exchange):
    """The short leg was set to 8 by hand: it is asked for by its name, and `set_up` brings both to one."""
    gateway, symbol, wanted = asked(exchange), "BTC/USDT:USDT", Terms(4.0, ISOLATED, HEDGE)
    await gateway.set_up(symbol, wanted)
    client = gateway.caller.client
    if exchange == "bybit":
        more = {"category": "linear", "symbol": "BTCUSDT", "buyLeverage": "4", "sellLeverage": "8"}
        await client.privatePostV5PositionSetLeverage(more)
    elif exchange == "okx":
        await client.set_leverage(8, symbol, {"marginMode": "isolated", "posSide": "short"})
    else:
        await client.set_leverage(8, symbol, {"holdSide": "short"})
    assert (await gateway.terms(symbol, "long", carried=wanted)).leverage == 4.0
    assert (await gateway.terms(symbol, "short", carried=wanted)).leverage == 8.0
    with pytest.raises(ConfigError, match="its legs have the leverages 4 and 8: ask for one of them"):
        await gateway.terms(symbol, carried=wanted)
    assert await gateway.set_up(symbol, wanted) == wanted
    assert (await gateway.terms(symbol, "short", carried=wanted)).leverage == 4.0


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_fraction_of_leverage(venue, asked, exchange):
    gateway, wanted = asked(exchange), Terms(2.5, CROSS)
    await gateway.market("BTC/USDT:USDT")
    if exchange in WHOLE:
        seen = len(venue.seen)
        with pytest.raises(ConfigError, match=r"whole numbers, not 2\.5"):
            await gateway.set_up("BTC/USDT:USDT", wanted)
        assert changes(venue, seen) == []
    else:
        assert (await gateway.set_up("BTC/USDT:USDT", wanted)).leverage == 2.5


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_a_margin_mode_stays_while_a_position_is_open(venue, asked, exchange, kind):
    gateway, symbol = asked(exchange, kind), KINDS[kind][1]
    now = await gateway.set_up(symbol, Terms(5.0, ISOLATED, ONEWAY))
    state, item = await hold(venue, gateway, symbol)
    assert await gateway.set_up(symbol, now) == now  # what is so already needs no change
    before = state.is_isolated(item), dict(state.settings)
    with pytest.raises(ConfigError, match="its margin mode is isolated, not cross as asked") as caught:
        await gateway.set_up(symbol, Terms(5.0, CROSS, ONEWAY))
    assert "write margin_mode='isolated'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (state.is_isolated(item), state.settings) == before


@pytest.mark.parametrize(("exchange", "kind"), HEDGED)
async def test_a_position_mode_stays_while_a_position_is_open(venue, asked, exchange, kind):
    gateway, symbol = asked(exchange, kind), KINDS[kind][1]
    await gateway.set_up(symbol, Terms(5.0, ISOLATED, ONEWAY))
    await hold(venue, gateway, symbol)
    with pytest.raises(ConfigError, match="its position mode is oneway, not hedge as asked") as caught:
        await gateway.set_up(symbol, Terms(5.0, ISOLATED, HEDGE))
    assert "write position_mode='oneway'" in str(caught.value)


async def test_the_margin_mode_of_a_whole_account_stays_while_another_market_is_held(venue, asked):
    """Bybit would change it: a position in another contract would be at stake otherwise than it was opened."""
    linear, inverse = asked("bybit"), asked("bybit", "inverse")
    await hold(venue, inverse, "BTC/USD:BTC")
    with pytest.raises(ConfigError, match="it holds for the whole account, and there is a position in BTCUSD"):
        await linear.set_up("BTC/USDT:USDT", Terms(5.0, ISOLATED))
    assert "margin mode" not in venue.states["bybit"].settings


async def test_a_portfolio_account_is_refused(venue, asked):
    venue.states["bybit"].settings["margin mode"] = "PORTFOLIO_MARGIN"
    with pytest.raises(ConfigError, match="margin mode 'PORTFOLIO_MARGIN', which isn't traded in here"):
        await asked("bybit").terms("BTC/USDT:USDT")


async def test_an_isolated_position_of_kucoin_has_the_leverage_that_opened_it(venue, asked):
    gateway, symbol = asked("kucoin"), "BTC/USDT:USDT"
    await gateway.set_up(symbol, Terms(5.0, ISOLATED, ONEWAY))
    state, item = await hold(venue, gateway, symbol)
    state.put_leverage(item, Decimal(9))
    with pytest.raises(ConfigError, match="its leverage is 9, not 5 as asked"):
        await gateway.set_up(symbol, Terms(5.0, ISOLATED, ONEWAY))
    assert (await gateway.terms(symbol)).leverage == 9.0


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("fault", [Fault.REPLY_LOST, Fault.EMPTY])
async def test_a_change_whose_answer_was_lost_is_read_back(venue, asked, exchange, fault):
    gateway, symbol, wanted = asked(exchange), "BTC/USDT:USDT", Terms(6.0, CROSS, ONEWAY)
    await gateway.terms(symbol)
    venue.faults.add(fault, method="POST")
    assert await gateway.set_up(symbol, wanted) == wanted


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_change_that_never_arrived_is_told(venue, asked, exchange):
    gateway, symbol = asked(exchange), "BTC/USDT:USDT"
    now = await gateway.set_up(symbol, Terms(6.0, CROSS, ONEWAY))
    venue.faults.add(Fault.RESET, method="POST")
    with pytest.raises(ConfigError, match="its leverage is 6, not 7 as asked"):
        await gateway.set_up(symbol, Terms(7.0, CROSS, ONEWAY))
    assert await gateway.terms(symbol, carried=now) == now


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_leverage_that_the_exchange_refuses_is_told_with_its_reason(asked, exchange):
    """125 is the most."""
    gateway, symbol = asked(exchange), "BTC/USDT:USDT"
    await gateway.set_up(symbol, Terms(6.0, CROSS, ONEWAY))
    with pytest.raises(ConfigError, match=r"its leverage is 6, not 500 as asked, and can't be changed now \(.+\)"):
        await gateway.set_up(symbol, Terms(500.0, CROSS, ONEWAY))


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_spot_has_no_terms(venue, asked, exchange):
    gateway = asked(exchange, "spot")
    await gateway.known("BTC/USDT")
    seen = len(venue.seen)
    for wanted in (Terms(1.0), Terms(1.0, ISOLATED, HEDGE)):
        assert await gateway.set_up("BTC/USDT", wanted) == Terms()
    with pytest.raises(ConfigError, match="spot is traded without leverage: write leverage=1, not 3"):
        await gateway.set_up("BTC/USDT", Terms(3.0))
    assert len(venue.seen) == seen


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_the_rights_of_a_key(venue, asked, exchange):
    gateway, state = asked(exchange), venue.states[exchange]
    assert await gateway.rights() == {"read", "trade"}
    state.rights = frozenset({"read"})
    assert await gateway.rights() == {"read"}
    state.rights = frozenset({"read", "trade", "withdraw"})
    assert await gateway.rights() == {"read", "trade", "withdraw"}
