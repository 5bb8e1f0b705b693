"""All five exchanges at once on this machine, each asked at its real address: by CCXT unmodified, and by us."""

import asyncio

import pytest
import pytest_asyncio
from venue import Venue
from venue.faults import Fault
from venue.routes import KEY, PASSPHRASE, SECRET
from venue.server import credentials

from metaexpert.clock import SimClock
from metaexpert.config import ExchangeSettings
from metaexpert.errors import NetworkError
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.download import Job, download
from metaexpert.exchanges.gateway import Gateway
from metaexpert.exchanges.orders import OrderRequest, Terms
from metaexpert.exchanges.venues import VENUES, Segment
from metaexpert.models import MarginMode, Order, OrderStatus, OrderType, Side
from metaexpert.store import CandleStore

pytestmark = pytest.mark.asyncio

DAY = 86_400_000
KEYS = {"api_key": KEY, "api_secret": SECRET, "api_passphrase": PASSPHRASE}
KINDS = {
    "spot": ({"market_type": "spot"}, "BTC/USDT", {"type": "spot"}),
    "linear": (
        {"market_type": "futures", "contract_type": "linear"},
        "BTC/USDT:USDT",
        {"type": "swap", "code": "USDT", "productType": "USDT-FUTURES"},
    ),
    "inverse": (
        {"market_type": "futures", "contract_type": "inverse"},
        "BTC/USD:BTC",
        {"type": "swap", "subType": "inverse", "code": "BTC", "productType": "COIN-FUTURES"},
    ),
}
OPTIONS = {"bitget": {"uta": False}, "kucoin": {"uta": False, "hf": True}}
OPTIONS["bybit"] = {"enableUnifiedMargin": False, "enableUnifiedAccount": True}


@pytest_asyncio.fixture
async def venue(monkeypatch):
    """Five exchanges, whose time stands still."""
    monkeypatch.delenv("METAEXPERT_OFFLINE")
    async with Venue(SimClock(1_790_000_000_000)) as venue:
        yield venue


async def no_sleep(_):
    return


async def by_ccxt(venue, exchange, kind):
    """Markets, an order's life, balance and positions, with CCXT as it is."""
    _, symbol, wallet = KINDS[kind]
    client = venue.client(exchange)(credentials(exchange) | {"options": OPTIONS.get(exchange, {})})
    try:
        market = (await client.load_markets())[symbol]
        price = client.price_to_precision(symbol, 0.8 * (await client.fetch_ticker(symbol))["last"])
        amount = 10 * max(market["limits"]["amount"]["min"], 0.001, market["precision"]["amount"])
        terms = {"clientOrderId": "byccxt"}
        sent = await client.create_order(symbol, "limit", "buy", amount, float(price), terms)
        (working,) = await client.fetch_open_orders(symbol)
        assert (working["id"], working["clientOrderId"]) == (sent["id"], "byccxt")
        await client.cancel_order(sent["id"], symbol)
        assert await client.fetch_open_orders(symbol) == []
        balance = await client.fetch_balance({} if exchange == "okx" else wallet)
        assert balance["BTC" if kind == "inverse" else "USDT"]["free"] > 0
        if kind != "spot":
            assert not [one for one in await client.fetch_positions([symbol]) if one["contracts"]]
        asked = {seen.host.partition(":")[0] for seen in venue.seen if seen.exchange == exchange}
        assert asked <= set(VENUES[exchange].hosts.values())
    finally:
        await client.close()


async def by_us(venue, exchange, kind):
    """The same through the gateway."""
    told, symbol, _ = KINDS[kind]
    settings = ExchangeSettings(exchange=exchange, **told, **KEYS)
    gateway = Gateway(
        settings,
        clock=venue.clock,
        sleep=no_sleep,
        client=lambda one: venue.redirect(connect(one, sleep=no_sleep)),
    )
    async with gateway:
        market, last = await gateway.market(symbol), (await gateway.ticker(symbol)).last
        await gateway.set_up(symbol, Terms(margin_mode=MarginMode.CROSS))
        qty = 20 * max(market.qty_step, 100.0 if kind == "inverse" else 0.001)
        order = Order(id="byus", symbol=symbol, side=Side.BUY, type=OrderType.LIMIT, qty=qty, price=0.8 * last)
        sent = await gateway.submit(OrderRequest(order=order, terms=Terms(), reference_price=last))
        assert (await gateway.find(order)).exchange_id == sent.exchange_id
        assert [one.id for one in await gateway.open_orders()] == ["byus"]
        await gateway.cancel(sent)
        assert (await gateway.find(order)).status is OrderStatus.CANCELED
        assert await gateway.open_orders() == ()
        assert await gateway.positions() == ()
        coin = "BTC" if kind == "inverse" else "USDT"
        assert {one.currency: one for one in await gateway.balances()}[coin].free > 0


@pytest.mark.parametrize("kind", KINDS)
async def test_all_five_at_once(venue, kind):
    """What one exchange is told reaches no other, and each ends as it began."""
    await asyncio.gather(*(by_ccxt(venue, exchange, kind) for exchange in VENUES))
    await asyncio.gather(*(by_us(venue, exchange, kind) for exchange in VENUES))
    for state in venue.states.values():
        assert len(state.orders) == 2
        assert state.open_orders() == []
        assert state.held() == []


@pytest.mark.parametrize("exchange", VENUES)
async def test_a_month_of_minutes_survives_an_interruption_in_its_middle(venue, exchange, tmp_path):
    """What came before an outage is kept, and the next call fetches the rest and no page twice."""
    start = venue.clock.now() // DAY * DAY - 31 * DAY
    job = Job("BTCUSDT", "1m", start, start + 30 * DAY)
    settings = ExchangeSettings(exchange=exchange)
    gateway = Gateway(
        settings,
        clock=venue.clock,
        sleep=no_sleep,
        client=lambda one: venue.redirect(connect(one, sleep=no_sleep)),
    )
    whole, broken = CandleStore(tmp_path / "whole"), CandleStore(tmp_path / "broken")
    async with gateway:
        smooth = await download(gateway, whole, job)
        venue.faults.add(Fault.SERVER_ERROR, times=5, after=smooth.requests // 2)
        with pytest.raises(NetworkError, match="are stored"):
            await download(gateway, broken, job)
        kept = broken.info(exchange, "BTC/USDT", "1m").rows
        resumed = await download(gateway, broken, job)
    assert smooth.rows == 30 * 1440
    assert 0 < kept < smooth.rows
    page = VENUES[exchange].paging.candles[Segment.SPOT]
    assert (resumed.rows, resumed.requests) == (smooth.rows - kept, -(-(smooth.rows - kept) // page))
    expected = whole.read(exchange, "BTC/USDT", "1m")
    assert broken.read(exchange, "BTC/USDT", "1m").equals(expected)
