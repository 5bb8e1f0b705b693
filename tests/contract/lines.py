"""Bare connections to the venue's websockets, for what is on the wire of Bybit, OKX, Bitget and KuCoin."""

import asyncio
import base64
import hashlib
import hmac
import json
import zlib

from aiohttp import WSMsgType
from contract.streaming import WAIT
from venue.routes import KEY, PASSPHRASE, SECRET
from venue.server import credentials

PING = {"id": "7", "type": "ping"}
"""KuCoin's ping."""


class Line:
    """One connection: `async with Line(venue, url) as line`; `ping` is what the exchange answers by a pong."""

    def __init__(self, venue, url, ping="ping"):
        self.venue, self.url, self.ping = venue, url, ping

    async def __aenter__(self):
        self.socket = await self.venue.client_session().ws_connect(self.url)
        return self

    async def __aexit__(self, *_):
        await self.socket.close()

    async def say(self, told):
        """Send a JSON value, or a text as it is."""
        await self.socket.send_str(told if isinstance(told, str) else json.dumps(told))

    async def hear(self):
        """The next message: a JSON value, or the text if it is none; None at the end."""
        message = await asyncio.wait_for(self.socket.receive(), WAIT)
        if message.type is not WSMsgType.TEXT:
            return None
        try:
            return json.loads(message.data)
        except ValueError:
            return message.data

    async def ask(self, told):
        """Send something; returns what comes next."""
        await self.say(told)
        return await self.hear()

    async def heard(self):
        """All that has come by now: what comes before the answer to a ping."""
        await self.say(self.ping)
        told = []
        while (message := await self.hear()) != "pong" and not is_pong(message):
            assert message is not None
            told.append(message)
        return told

    async def after(self, ms=0):
        """All that comes while the venue's time goes on."""
        await self.venue.advance(ms)
        return await self.heard()


def is_pong(message):
    """Whether a message is KuCoin's or Bybit's answer to a ping."""
    return isinstance(message, dict) and "pong" in {message.get(name) for name in ("type", "op", "ret_msg")}


def login(venue, path, **wrong):
    """The login of OKX and of Bitget, whose paths differ; with what is wrong about it."""
    stamp = str(venue.clock.now() // 1000 - wrong.pop("late", 0))
    digest = hmac.new(SECRET.encode(), f"{stamp}GET{path}".encode(), hashlib.sha256).digest()
    sign = base64.b64encode(digest).decode()
    arg = {"apiKey": KEY, "passphrase": PASSPHRASE, "timestamp": stamp, "sign": sign}
    return {"op": "login", "args": [arg | wrong]}


def subscribe(**arg):
    """A subscription at OKX and at Bitget."""
    return {"op": "subscribe", "args": [arg]}


async def dial(venue, access="public", place="spot"):
    """A connection to KuCoin with a token of its own."""
    client = venue.client("kucoin")(credentials("kucoin"))
    prefix = "futures" if place == "futures" else ""
    told = (await getattr(client, f"{prefix}{access}_post_bullet_{access}")())["data"]
    server = told["instanceServers"][0]
    await client.close()
    return Line(venue, f"{server['endpoint']}?token={told['token']}&connectId=mine", PING)


def on(topic, kind="subscribe"):
    """A subscription at KuCoin."""
    return {"id": "1", "type": kind, "topic": topic, "response": True}


def rebuilt(book, row):
    """A book of texts, after a message of levels."""
    for side in ("asks", "bids"):
        for price, size, *_ in row[side]:
            book[side].pop(price, None)
            if float(size):
                book[side][price] = size
    return book


def checksum(book):
    """What the documentations of OKX and Bitget say: 25 levels, bid and ask in turn, as signed CRC-32."""
    best = [sorted(book[side].items(), key=lambda level: float(level[0]), reverse=side == "bids")[:25]
            for side in ("bids", "asks")]  # fmt: skip
    words = [f"{price}:{size}" for place in range(25) for side in best for price, size in side[place : place + 1]]
    value = zlib.crc32(":".join(words).encode())
    return value - 2**32 if value >= 2**31 else value
