"""What the gateway tells of an account: traded on exchanges that CCXT can't tell from the real ones."""

from decimal import Decimal

import pytest
import pytest_asyncio
from venue import Venue
from venue.instruments import Kind
from venue.orders import Order
from venue.routes import KEY, PASSPHRASE, SECRET

from metaexpert.config import ExchangeSettings
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.gateway import Gateway
from metaexpert.exchanges.venues import VENUES
from metaexpert.models import MarginMode, Side

pytestmark = pytest.mark.asyncio

KINDS = {
    "spot": ({"market_type": "spot"}, "BTC/USDT"),
    "linear": ({"market_type": "futures", "contract_type": "linear"}, "BTC/USDT:USDT"),
    "inverse": ({"market_type": "futures", "contract_type": "inverse"}, "BTC/USD:BTC"),
    "option": ({"market_type": "options"}, ""),
}
NAMES = {
    "binance": ("BTCUSDT", "BTCUSDT", "BTCUSD_PERP"),
    "bybit": ("BTCUSDT", "BTCUSDT", "BTCUSD"),
    "okx": ("BTC-USDT", "BTC-USDT-SWAP", "BTC-USD-SWAP"),
    "bitget": ("BTCUSDT", "BTCUSDT", "BTCUSD"),
}


@pytest_asyncio.fixture
async def venue(monkeypatch):
    monkeypatch.delenv("METAEXPERT_OFFLINE")
    async with Venue() as venue:
        yield venue


@pytest_asyncio.fixture
async def session(venue):
    session = venue.client_session()
    yield session
    await session.close()


async def no_sleep(_):
    return


def gateway(session, exchange, kind):
    keys = {"api_key": KEY, "api_secret": SECRET}
    if VENUES[exchange].passphrase:
        keys["api_passphrase"] = PASSPHRASE
    settings = ExchangeSettings(exchange=exchange, **keys, **KINDS[kind][0])
    return Gateway(settings, client=lambda one: connect(one, session), sleep=no_sleep)


def instrument(venue, exchange, kind):
    return venue.states[exchange].instrument(NAMES[exchange][list(KINDS).index(kind)], Kind(kind))


def trade(venue, exchange, kind, qty, price, side="BOTH"):
    """Buy so much base, or sell it if it is negative, at a price and as if by another program."""
    state, item = venue.states[exchange], instrument(venue, exchange, kind)
    state.pin(item, price)
    size = Decimal(str(qty)) * (price if kind == "inverse" and not item.coin_sized else 1) / item.contract
    state.place(Order(instrument=item, buy=size > 0, amount=abs(size), price=None, side=side))
    return item


@pytest.mark.parametrize("exchange", NAMES)
async def test_a_spot_wallet_and_its_fills(venue, session, exchange):
    """It begins with 2 BTC and 100,000 USDT and buys 0.5 BTC for 25,000 USDT."""
    item = trade(venue, exchange, "spot", 0.5, 50_000)
    async with gateway(session, exchange, "spot") as asked:
        (fill,) = await asked.fills("BTC/USDT")
        held = {one.currency: one for one in await asked.balances()}
        account = await asked.account("USDT")
        assert await asked.positions() == ()
    assert (fill.side, fill.qty, fill.price, fill.is_maker) == (Side.BUY, 0.5, 50_000.0, False)
    paid = {"BTC": 0.0, "USDT": 0.0} | {fill.fee_currency: fill.fee}
    assert sum(paid.values()) == pytest.approx(float(item.taker) * (0.5 if paid["BTC"] else 25_000.0))
    assert held["BTC"].total == pytest.approx(2.5 - paid["BTC"])
    assert held["USDT"].total == pytest.approx(75_000.0 - paid["USDT"])
    assert (account.equity, account.unrealized_pnl) == (held["USDT"].total, 0.0)


@pytest.mark.parametrize("exchange", NAMES)
async def test_a_linear_short(venue, session, exchange):
    """0.5 BTC sold at 50,000 and marked at 48,000: 1,000 USDT up."""
    item = trade(venue, exchange, "linear", -0.5, 50_000)
    venue.states[exchange].pin(item, 48_000)
    async with gateway(session, exchange, "linear") as asked:
        (position,) = await asked.positions()
        (fill,) = await asked.fills("BTC/USDT:USDT")
        account = await asked.account("USDT")
    assert (position.symbol, position.qty, position.entry_price) == ("BTC/USDT:USDT", -0.5, 50_000.0)
    assert position.mark_price == pytest.approx(48_000.0)
    assert position.unrealized_pnl == pytest.approx(1_000.0)
    assert position.margin * position.leverage == pytest.approx(24_000.0)
    assert (position.position_side, position.is_short) == (None, True)
    assert position.margin_mode in (MarginMode.CROSS, None)
    fee = 25_000.0 * float(item.taker)
    assert (fill.side, fill.qty, fill.fee_currency) == (Side.SELL, 0.5, "USDT")
    assert fill.fee == pytest.approx(fee)
    assert account.unrealized_pnl == pytest.approx(1_000.0)
    assert account.equity == pytest.approx(100_000.0 - fee + 1_000.0)
    assert account.balance == pytest.approx(100_000.0 - fee)
    assert account.margin_used == pytest.approx(position.margin)
    assert account.margin_free == pytest.approx(
        account.balance - position.margin, abs=1_000.0
    )  # with profit, or not


@pytest.mark.parametrize("exchange", NAMES)
async def test_an_inverse_long_counts_face_value(venue, session, exchange):
    """10,000 USD bought at 50,000 and marked at 40,000: 10,000 * (1/50,000 - 1/40,000) = -0.05 BTC."""
    item = trade(venue, exchange, "inverse", 0.2, 50_000)
    venue.states[exchange].pin(item, 40_000)
    async with gateway(session, exchange, "inverse") as asked:
        (position,) = await asked.positions()
        (fill,) = await asked.fills("BTC/USD:BTC")
        account = await asked.account("BTC")
    assert (position.qty, fill.qty, fill.side) == (10_000.0, 10_000.0, Side.BUY)
    assert position.unrealized_pnl == pytest.approx(-0.05)
    assert (fill.fee, fill.fee_currency) == (pytest.approx(0.2 * float(item.taker)), "BTC")
    assert account.equity == pytest.approx(2.0 - fill.fee - 0.05)


@pytest.mark.parametrize("exchange", NAMES)
async def test_legs_of_hedge_mode_are_two_positions(venue, session, exchange):
    state, item = venue.states[exchange], instrument(venue, exchange, "linear")
    own = {"binance": "linear", "bybit": state.scope_of(item)}
    state.set_hedged(own.get(exchange, state.wallet_of(item)), hedged=True)
    trade(venue, exchange, "linear", 0.2, 50_000, "LONG")
    trade(venue, exchange, "linear", -0.3, 50_000, "SHORT")
    async with gateway(session, exchange, "linear") as asked:
        found = {one.position_side: one.qty for one in await asked.positions()}
    assert found == {"long": 0.2, "short": -0.3}


@pytest.mark.parametrize("exchange", ["binance", "bybit", "okx"])
async def test_the_balance_counts_what_was_paid_for_options_as_still_there(venue, session, exchange):
    """Equity has an option's value, and its open profit is value less price: what is left is cash and price."""
    state = venue.states[exchange]
    item = next(one for one in state.instruments.values() if one.kind is Kind.OPTION)
    async with gateway(session, exchange, "option") as asked:
        before = await asked.account(item.settle)
        state.pin(item, price := state.price(item, "mark"))
        amount = item.step
        state.place(Order(instrument=item, buy=True, amount=amount, price=None))
        state.pin(item, 2 * price)
        (held,) = await asked.positions()
        fee = sum(one.fee for one in await asked.fills(held.symbol))
        after = await asked.account(item.settle)
        assert held.unrealized_pnl > 0.0
        assert after.balance == pytest.approx(before.balance - fee)
        assert after.equity == pytest.approx(before.equity - fee + held.unrealized_pnl)
