"""What must never happen with money: an order sent twice, a position left bare unseen, an order sent late."""

import asyncio

import pytest
import pytest_asyncio
from aiohttp import web
from venue.faults import Fault
from venue.server import credentials

from metaexpert.config import ExchangeSettings
from metaexpert.errors import NetworkError, OrderRejected, UnprotectedError
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.gateway import Gateway
from metaexpert.exchanges.orders import OrderRequest, Terms
from metaexpert.models import Order, OrderType, Side

pytestmark = pytest.mark.asyncio

KEYS = dict(zip(("api_key", "api_secret", "api_passphrase"), credentials("okx").values(), strict=True))
LINEAR = {"market_type": "futures", "contract_type": "linear"}
SWAP = "BTC/USDT:USDT"


@pytest_asyncio.fixture
async def asked(venue):
    """Makes gateways to the venue and closes them."""
    made = []

    def make(exchange, symbol=SWAP):
        kind = LINEAR if ":" in symbol else {"market_type": "spot"}
        settings = ExchangeSettings(exchange=exchange, **kind, **KEYS)
        made.append(
            Gateway(settings, client=lambda told: venue.redirect(connect(told)), sleep=no_sleep, clock=venue.clock)
        )
        return made[-1]

    yield make
    for gateway in made:
        await gateway.close()


async def no_sleep(_):
    return


async def entry(gateway, symbol=SWAP, **more):
    """A purchase at market with a stop, and the gateway ready to send it."""
    market = await gateway.market(symbol)
    last = (await gateway.ticker(symbol)).last
    order = Order(
        **{"id": "a1", "symbol": symbol, "side": Side.BUY, "type": OrderType.MARKET, "qty": 0.1}
        | ({"stop_loss": 0.9 * last} if not market.is_spot else {})
        | more
    )
    await gateway.find(order)  # so that the clock is known
    return OrderRequest(order=order, terms=Terms(), reference_price=last)


def sent(venue, word="order"):
    return [one for one in venue.seen if one.method != "GET" and word in one.path.lower()]


async def begun(venue, count=1):
    """Until `count` orders have come in."""
    while len(sent(venue)) < count:  # noqa: ASYNC110 - the venue has no event for it
        await asyncio.sleep(0.001)


async def stops(gateway):
    return [one.stop_price for one in await gateway.open_orders() if one.stop_price is not None]


async def test_who_is_cancelled_while_an_order_is_under_way_leaves_no_position_bare(venue, asked):
    gateway = asked("binance")
    request = await entry(gateway)
    venue.faults.add(Fault.LATENCY, method="POST", seconds=0.05)
    task = asyncio.ensure_future(gateway.submit(request))
    await begun(venue)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # by somebody who can't wait
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await gateway.positions()) == 1
    assert await stops(gateway) == [pytest.approx(request.order.stop_loss, rel=1e-3)]


async def test_who_is_cancelled_hears_of_a_position_that_is_bare(venue, asked):
    gateway = asked("binance")
    request = await entry(gateway)
    venue.faults.add(Fault.LATENCY, method="POST", seconds=0.05)
    venue.faults.add(Fault.MAINTENANCE, method="POST")
    task = asyncio.ensure_future(gateway.submit(request))
    await begun(venue)
    task.cancel()
    with pytest.raises(UnprotectedError, match="stands without its stop"):
        await task


async def test_closing_waits_for_the_order_that_is_under_way(venue, asked):
    gateway = asked("binance")
    request = await entry(gateway)
    venue.faults.add(Fault.LATENCY, method="POST", seconds=0.05)
    task = asyncio.ensure_future(gateway.submit(request))
    await begun(venue)
    await gateway.close()
    assert (await task).exchange_id
    assert len(await stops(gateway)) == 1


async def test_an_answer_that_can_not_be_read_leaves_no_position_bare(venue, asked, monkeypatch):
    gateway = asked("binance")
    request = await entry(gateway)
    told = gateway._caller.client
    parse = told.parse_order

    def odd(*args):
        return parse(*args) | {"status": "a word of tomorrow"}

    monkeypatch.setattr(told, "parse_order", odd)
    with pytest.raises(NetworkError, match=r"a1 .* can't be read .*: look it up"):
        await gateway.submit(request)
    monkeypatch.setattr(told, "parse_order", parse)
    assert len(await stops(gateway)) == 1


async def test_one_id_is_one_order_however_many_send_it(venue, asked):
    """An exchange forgets the id of an order that has filled, and would fill another."""
    gateway = asked("binance")
    request = await entry(gateway, stop_loss=None)
    results = await asyncio.gather(*(gateway.submit(request) for _ in range(3)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in results) == ["Order", "OrderRejected", "OrderRejected"]
    with pytest.raises(OrderRejected, match="a1 was sent already"):
        await gateway.submit(request)
    assert len(sent(venue)) == 1


async def test_an_id_may_be_sent_again_once_it_is_known_that_nothing_was_done(venue, asked):
    gateway = asked("binance")
    request = await entry(gateway, stop_loss=None)
    venue.faults.add(Fault.RESET, method="POST")
    with pytest.raises(NetworkError):
        await gateway.submit(request)
    with pytest.raises(OrderRejected, match="sent already"):
        await gateway.submit(request)
    assert await gateway.find(request.order) is None
    await gateway.submit(request)
    assert len(sent(venue)) == 2


@pytest.mark.parametrize("exchange", ["binance", "bybit", "okx", "bitget"])
async def test_all_orders_are_cancelled_those_of_other_hands_too(venue, asked, exchange):
    gateway = asked(exchange)
    request = await entry(gateway)
    last, market = request.reference_price, await gateway.market(SWAP)
    await gateway.submit(request)
    resting = Order(id="b2", symbol=SWAP, side=Side.BUY, type=OrderType.LIMIT, qty=0.1, price=0.8 * last)
    await gateway.submit(OrderRequest(order=resting, terms=Terms()))
    client = venue.client(exchange)(credentials(exchange))
    try:
        amount = 0.1 / market.contract_size
        await client.create_order(SWAP, "limit", "buy", amount, 0.7 * last)
    finally:
        await client.close()
    listed = await gateway.open_orders(SWAP)
    assert len(listed) >= 2
    for one in listed:
        assert (await gateway.find(one)).exchange_id == one.exchange_id
    await gateway.cancel_all(SWAP)
    assert await gateway.open_orders(SWAP) == ()


async def test_an_order_that_fills_meanwhile_does_not_save_the_others(venue, asked):
    gateway = asked("okx")
    request = await entry(gateway)
    for number in range(3):
        resting = Order(
            id=f"b{number}", symbol=SWAP, side=Side.BUY, type=OrderType.LIMIT, qty=0.1,
            price=(0.8 - 0.01 * number) * request.reference_price,
        )  # fmt: skip
        await gateway.submit(OrderRequest(order=resting, terms=Terms()))
    listed = gateway.open_orders

    async def late(symbol):
        found = await listed(symbol)
        await gateway.cancel(found[0])
        return found

    gateway.open_orders = late
    await gateway.cancel_all(SWAP)
    assert await listed(SWAP) == ()


class Counted:
    """A server that redirects, or hangs up on the second request of a connection, and counts."""

    def __init__(self, answer):
        self.answer, self.came = answer, []

    async def __aenter__(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.serve)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def __aexit__(self, *_):
        await self.runner.cleanup()

    async def serve(self, request):
        self.came.append((request.method, request.path))
        return await self.answer(request)


@pytest.mark.parametrize(("method", "status"), [("GET", 301), ("POST", 302), ("POST", 307), ("DELETE", 308)])
async def test_no_redirect_is_followed_with_keys_and_orders(monkeypatch, method, status):
    monkeypatch.delenv("METAEXPERT_OFFLINE")

    async def elsewhere(request):
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    server = Counted(elsewhere)
    async with server as url:
        client = connect(ExchangeSettings(exchange="binance", base_url=url))
        try:
            with pytest.raises(Exception, match="a redirect, which is not followed"):
                await client.fetch(f"{url}/api/v3/order", method)
        finally:
            await client.close()
    assert server.came == [(method, "/api/v3/order")]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
async def test_no_write_is_sent_again_where_a_connection_breaks(monkeypatch, method):
    """Of a connection that was open already aiohttp takes it for stale, and repeats what it thinks harmless."""
    monkeypatch.delenv("METAEXPERT_OFFLINE")

    async def hang_up(request):
        if request.method != "GET":
            request.transport.abort()
        return web.json_response({})

    server = Counted(hang_up)
    async with server as url:
        client = connect(ExchangeSettings(exchange="binance", base_url=url))
        try:
            await client.fetch(f"{url}/api/v3/time")
            with pytest.raises(Exception, match="binance"):
                await client.fetch(f"{url}/api/v3/order", method)
        finally:
            await client.close()
    assert [one for one, _ in server.came] == ["GET", method]
