"""Clients of the venue's websockets: which exchanges speak what, and how a test waits for a push."""

import asyncio
import json

from aiohttp import WSMsgType
from venue.instruments import Kind
from venue.server import credentials
from venue.streams import Stream

SYMBOLS = {"spot": "BTC/USDT", "linear": "BTC/USDT:USDT", "inverse": "BTC/USD:BTC"}
WAIT = 60
"""Seconds after which a test gives up: far more than anything takes on a busy machine."""
CELLS = [
    *(("binance", kind) for kind in ("spot", "linear", "inverse", "option")),
    *(("bybit", kind) for kind in ("spot", "linear", "inverse", "option")),
    *(("okx", kind) for kind in ("spot", "linear", "inverse", "option")),
    *(("bitget", kind) for kind in ("spot", "linear", "inverse")),
    *(("kucoin", kind) for kind in ("spot", "linear", "inverse")),
]
"""The markets of exchanges that stream."""
OPTIONS = {
    "bybit": {
        "fetchMarkets": {"types": ["spot", "linear", "inverse", "option"], "options": ["BTC"]},
        "enableUnifiedMargin": False,
        "enableUnifiedAccount": True,
        "watchPositions": {"fetchPositionsSnapshot": False},
    },
    "okx": {"fetchMarkets": {"types": ["spot", "swap", "option"]}},
    "bitget": {"uta": False},
    "kucoin": {"uta": False, "hf": True},
    "binance": {
        "fetchMarkets": {"types": ["spot", "linear", "inverse", "option"]},
        "watchPositions": {"fetchPositionsSnapshot": False},
    },
}

_CALM = 20  # turns of the loop without anything to do

TICKERS = {("binance", "option"): {"name": "ticker"}}
"""What CCXT must be told so that it recognises the ticker: it waits for another one otherwise."""

ELSEWHERE = {
    ("binance", Stream.FILLS): Stream.ORDERS, ("binance", Stream.POSITIONS): Stream.ACCOUNT,
    ("binance", Stream.BALANCE): Stream.ACCOUNT, ("okx", Stream.FILLS): Stream.ORDERS,
    ("okx", Stream.QUOTE): Stream.BOOK, ("bitget", Stream.QUOTE): Stream.TICKER,
    ("kucoin", Stream.FILLS): Stream.ORDERS, ("bybit", Stream.QUOTE): Stream.BOOK,
}  # fmt: skip
"""Where an exchange, or what CCXT takes of it, has no stream of its own for something."""


async def client_of(venue, exchange, *, signed=False, **more):
    """CCXT's own client with its markets loaded, which fetches nothing but them."""
    config = {"options": OPTIONS.get(exchange, {})} | (credentials(exchange) if signed else {}) | more
    client = venue.client(exchange)(config)
    client.has["fetchCurrencies"] = False
    await client.load_markets()
    return client


def symbol_of(client, kind):
    """The symbol of the instrument that tests watch."""
    if kind != "option":
        return SYMBOLS[kind]
    return min(symbol for symbol, market in client.markets.items() if market["option"])


def instrument_of(venue, client, symbol):
    market = client.markets[symbol]
    name = "linear" if market["linear"] else "inverse"
    kind = Kind(market["type"] if market["type"] in {"spot", "option"} else name)
    return venue.states[client.id].instrument(market["id"], kind)


async def alone(client):
    """Wait until a client knows that its connections have ended."""
    while client.clients:  # noqa: ASYNC110 - CCXT tells nobody
        await asyncio.sleep(0)


async def subscribed(venue, exchange, call, stream):
    """A task that watches, once the venue knows what it watches."""
    task = asyncio.ensure_future(call)
    wanted = ELSEWHERE.get((exchange, stream), stream)
    there = asyncio.ensure_future(venue.sockets.until(lambda: venue.sockets.listens(exchange, wanted)))
    await asyncio.wait([task, there], return_when=asyncio.FIRST_COMPLETED, timeout=WAIT)
    there.cancel()
    return task


async def quiet():
    """Wait until nothing is under way: client and venue share the loop, which is idle then.

    However slow the machine is: what one of them sends is there for the other at once, and turns of the loop are
    counted, not time. A moment is left to the kernel nevertheless.
    """
    loop = asyncio.get_running_loop()
    for moment in (0, 0.002):
        await asyncio.sleep(moment)
        calm = 0
        while calm < _CALM:
            await asyncio.sleep(0)
            calm = 0 if loop._ready else calm + 1


async def pushed(venue, exchange, call, stream, ms=15_000):
    """What a call of `watch_...` gives, as time goes on at the venue."""
    task = await subscribed(venue, exchange, call, stream)
    for _ in range(20):
        await venue.advance(ms)
        await asyncio.wait([task], timeout=0.2)
        if task.done():
            return task.result()
    task.cancel()
    raise AssertionError("nothing was pushed")


async def settled(venue, exchange, watch, stream, fits):
    """What `watch` gives in the end: how things stood with the subscription may come before it."""
    for _ in range(5):
        heard = await pushed(venue, exchange, watch(), stream)
        if fits(heard):
            break
    return heard


async def caught_up(venue, client, symbol, item):
    """Wait until a client has heard the last trade of now."""
    told = venue.states[client.id].trades(item, venue.clock.now() - 120_000, venue.clock.now() + 1)[-1]
    while client.trades[symbol][-1]["timestamp"] != told.time:  # noqa: ASYNC110 - CCXT tells nobody
        await asyncio.sleep(0)


class Wire:
    """A bare connection to the loopback Binance, for what is on the wire: `async with Wire(venue) as wire`."""

    def __init__(self, venue, path="/ws/0", host="stream.binance.com:9443"):
        self.venue, self.url, self.last = venue, f"wss://{host}{path}", 0
        self.frames = []
        """The pings and pongs that came."""

    async def __aenter__(self):
        self.session = self.venue.client_session()
        self.socket = await self.session.ws_connect(self.url, autoping=False)
        return self

    async def __aexit__(self, *_):
        await self.socket.close()
        await self.session.close()

    async def ask(self, method, *params):
        """Send a request; returns what came before its answer, which must be good."""
        self.last += 1
        await self.socket.send_json({"method": method, "params": list(params), "id": self.last})
        heard = []
        async with asyncio.timeout(WAIT):
            while (told := await self.hear()) is not None:
                if isinstance(told, dict) and told.get("id") == self.last:
                    assert "error" not in told
                    break
                heard.append(told)
        return heard

    async def hear(self):
        """The next message: a JSON value, or the text if it is none; None at the end."""
        while (message := await self.socket.receive()).type in {WSMsgType.PING, WSMsgType.PONG}:
            self.frames.append(message.type.name)
        if message.type is not WSMsgType.TEXT:
            return None
        try:
            return json.loads(message.data)
        except ValueError:
            return message.data

    async def pass_time(self, *steps):
        """Let the venue's time pass by steps of ms; returns what was pushed meanwhile."""
        for ms in steps:
            await self.venue.advance(ms)
        return await self.ask("LIST_SUBSCRIPTIONS")


def account_terms(exchange, kind):
    """What CCXT must be told to watch the money of one kind of market."""
    if exchange in {"okx", "bybit"}:
        return {}
    if exchange == "bitget" and kind == "inverse":
        return {"type": "swap", "instType": "COIN-FUTURES"}
    return {"type": {"linear": "swap", "inverse": "swap"}.get(kind, kind)} | (
        {"subType": kind} if kind in {"linear", "inverse"} else {}
    )
