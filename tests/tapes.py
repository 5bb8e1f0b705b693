"""Cassettes: what exchanges answered, on disk; recorded through the gateway, played again without a network.

Each holds one call of the gateway, in `cassettes/<exchange>/<kind>-<call>.yaml`, with the real addresses.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import aiohttp
import vcr
from aiohttp.abc import AbstractResolver
from venue import Venue
from venue.routes import KEY, PASSPHRASE, SECRET

from metaexpert.clock import SimClock, WallClock
from metaexpert.config import ExchangeSettings
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.gateway import Gateway
from metaexpert.exchanges.orders import OrderRequest, Terms
from metaexpert.exchanges.venues import VENUES
from metaexpert.kinds import Kind
from metaexpert.models import MarginMode, Order, OrderType, Side

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    type Ask = Callable[[Gateway, str, int], Awaitable[Any]]

FOLDER = Path(__file__).resolve().parents[1] / "cassettes"
NOW = 1_790_000_000_000
"""When those from the venue were recorded."""
MINUTE = 60_000
DAY = 86_400_000
KINDS: dict[str, tuple[dict[str, str], str]] = {
    "spot": ({"market_type": "spot"}, "BTC/USDT"),
    "linear": ({"market_type": "futures", "contract_type": "linear"}, "BTC/USDT:USDT"),
    "inverse": ({"market_type": "futures", "contract_type": "inverse"}, "BTC/USD:BTC"),
    "option": ({"market_type": "options"}, ""),
}
CELLS = [(name, str(kind)) for name, venue in VENUES.items() for kind in venue.segments]


# --- what is asked


async def _candles(gateway: Gateway, symbol: str, now: int) -> Any:
    return await gateway.candles(symbol, "1m", now // MINUTE * MINUTE - 10 * MINUTE, 5)


async def _mark(gateway: Gateway, symbol: str, now: int) -> Any:
    return await gateway.candles(symbol, "1m", now // MINUTE * MINUTE - 10 * MINUTE, 5, Kind.MARK)


async def _funding(gateway: Gateway, symbol: str, now: int) -> Any:
    return await gateway.funding_page(symbol, now - 3 * DAY, now, 20)


async def _greeks(gateway: Gateway, _: str, __: int) -> Any:
    return await gateway.greeks((await gateway.option_chain("BTC"))[0].symbol)


def _wanted(symbol: str, market: Any, price: float | None) -> Order:
    qty = 20 * max(market.qty_step, 100.0 if market.is_inverse else 0.001)
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    name = "tapemarket" if price is None else "tapelimit"
    return Order(id=name, symbol=symbol, side=Side.BUY, type=kind, qty=qty, price=price)


async def _orders(gateway: Gateway, symbol: str, _: int) -> Any:
    """A limit order is sent, looked up, listed, cancelled and looked up again."""
    market, last = await gateway.market(symbol), (await gateway.ticker(symbol)).last
    await gateway.set_up(symbol, Terms(margin_mode=MarginMode.CROSS))
    order = _wanted(symbol, market, 0.8 * last)
    sent = await gateway.submit(OrderRequest(order=order, terms=Terms(), reference_price=last))
    working = await gateway.find(order), await gateway.open_orders(symbol)
    await gateway.cancel(sent)
    return sent, *working, await gateway.find(order)


async def _trading(gateway: Gateway, symbol: str, _: int) -> Any:
    """A market order is sent; what it did shows in fills, positions and balances."""
    market, last = await gateway.market(symbol), (await gateway.ticker(symbol)).last
    await gateway.set_up(symbol, Terms(margin_mode=MarginMode.CROSS))
    order = _wanted(symbol, market, None)
    await gateway.submit(OrderRequest(order=order, terms=Terms(), reference_price=last))
    filled = await gateway.find(order)
    return filled, await gateway.fills(symbol), await gateway.positions(), await gateway.balances()


_QUOTES: dict[str, Ask] = {
    "markets": lambda gateway, _, __: gateway.markets(refresh=True),
    "ticker": lambda gateway, symbol, _: gateway.ticker(symbol),
    "order_book": lambda gateway, symbol, _: gateway.order_book(symbol, 20),
    "candles": _candles,
    "trades": lambda gateway, symbol, _: gateway.trades_page(symbol, None, 20),
}
_CONTRACTS: dict[str, Ask] = {"mark_candles": _mark, "funding": _funding}
_OPTIONS: dict[str, Ask] = {
    "markets": _QUOTES["markets"],
    "option_chain": lambda gateway, _, __: gateway.option_chain("BTC"),
    "greeks": _greeks,
}
_ACCOUNT: dict[str, Ask] = {
    "account_markets": _QUOTES["markets"],  # of the same time as what follows
    "balances": lambda gateway, _, __: gateway.balances(),
}


def public(kind: str) -> dict[str, Ask]:
    """What everybody may ask; the markets come first, since all others need them."""
    return _OPTIONS if kind == "option" else _QUOTES if kind == "spot" else _QUOTES | _CONTRACTS


def private(kind: str) -> dict[str, Ask]:
    """What needs a key; recorded from the venue alone."""
    return _ACCOUNT if kind == "option" else _ACCOUNT | {"orders": _orders, "trading": _trading}


# --- what a cassette holds

HEADERS = [
    "X-MBX-APIKEY", "Cookie", "User-Agent", "Referer", "X-CHANNEL-API-CODE",
    *(f"OK-ACCESS-{name}" for name in ("KEY", "SIGN", "TIMESTAMP", "PASSPHRASE")),
    *(f"ACCESS-{name}" for name in ("KEY", "SIGN", "TIMESTAMP", "PASSPHRASE")),
    *(f"X-BAPI-{name}" for name in ("API-KEY", "SIGN", "TIMESTAMP", "RECV-WINDOW")),
    *(f"KC-API-{name}" for name in ("KEY", "SIGN", "TIMESTAMP", "PASSPHRASE", "PARTNER", "PARTNER-SIGN",
                                    "PARTNER-VERIFY", "KEY-VERSION")),
]  # fmt: skip
KEPT = re.compile(r"content-type|retry-after|x-mbx-.*|x-bapi-limit.*|gw-ratelimit.*", re.IGNORECASE)
STAMPS = {"timestamp", "signature", "recvWindow"}
PERSONAL = re.compile(rb'"(uid|mainUid|userId|userID|accountId|email|apiKey|ips?|ipWhitelist)":\s*("[^"]*"|\d+)')
MOST = 100
"""How many entries of a list are kept, of those that name bitcoin."""


def _asked(request: Any) -> Any:
    """A request as it is kept: no websocket, no signature."""
    if request.uri.startswith(("ws:", "wss:")):
        return None
    mask = re.compile(r"(signature|timestamp)=[^&]*")
    if isinstance(request.body, bytes) and b"signature=" in request.body:
        request.body = mask.sub(r"\1=X", request.body.decode()).encode()
    request.uri = mask.sub(r"\1=X", request.uri)
    return request


def _answered(response: dict[str, Any]) -> dict[str, Any]:
    """An answer as it is kept: few headers, nothing personal, long lists cut to what is asked for."""
    response["headers"] = {key: value for key, value in response["headers"].items() if KEPT.fullmatch(key)}
    body = response["body"].get("string")
    if body:
        response["body"]["string"] = PERSONAL.sub(rb'"\1":"X"', _cut(body))
    return response


def _cut(body: bytes) -> bytes:
    try:
        told = json.loads(body)
    except ValueError:
        return body
    cut = _shorter(told)
    return body if cut == told else json.dumps(cut, separators=(",", ":")).encode()


def _shorter(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: _shorter(value) for key, value in told.items()}
    if isinstance(told, list):
        entries = len(told) > MOST and all(isinstance(one, dict) for one in told)
        kept = [one for one in told if re.search("BTC|XBT", json.dumps(one))][:MOST] if entries else told
        return [_shorter(one) for one in kept]
    return told


def _fields(body: Any) -> Any:
    text = body.decode() if isinstance(body, bytes) else body or ""
    try:
        return json.loads(text)
    except ValueError:
        return sorted(pair for pair in parse_qsl(text) if pair[0] not in STAMPS)


def _same_body(one: Any, other: Any) -> None:
    assert _fields(one.body) == _fields(other.body)


def _same_query(one: Any, other: Any) -> None:
    mine, theirs = (sorted(pair for pair in told.query if pair[0] not in STAMPS) for told in (one, other))
    assert mine == theirs


def recorder(mode: str) -> vcr.VCR:
    """Records anew (`all`) or plays alone (`none`): then a request that isn't there is an error."""
    made = vcr.VCR(
        record_mode=vcr.mode(mode), filter_headers=HEADERS, before_record_request=_asked,
        before_record_response=_answered, decode_compressed_response=True,
        match_on=["method", "scheme", "host", "path", "same_query", "same_body"],
    )  # fmt: skip
    made.register_matcher("same_body", _same_body)
    made.register_matcher("same_query", _same_query)
    return made


def tape(exchange: str, kind: str, call: str) -> Path:
    """The file of a cassette."""
    return FOLDER / exchange / f"{kind}-{call}.yaml"


# --- what none may hold

LEAKS = {
    "a header that signs": re.compile(
        r"(?im)^\s*-?\s*(X-MBX-APIKEY|X-BAPI-(API-KEY|SIGN)|(OK-)?ACCESS-(KEY|SIGN|PASSPHRASE)|KC-API-[\w-]+"
        r"|Authorization|Cookie|Set-Cookie):"
    ),
    "a signature": re.compile(r"signature=(?!X\b)[^&\s'\"]"),
    "a field that is secret": re.compile(
        r'(?i)"(api_?key|api_?secret|secret_?key|secret|passphrase|password|token|listenKey)\\?"\s*:\s*'
        r'\\?"(?!X*\\?")[^"]'
    ),
    "a field that is personal": re.compile(
        r'"(uid|mainUid|userId|userID|accountId|email)\\?"\s*:\s*(?!\\?"X\\?"|\\?"\\?"|null)'
    ),
    "a long key": re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{40,}(?![A-Za-z0-9])"),
    "a digest": re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=(?!=)"),
    "a key of the venue": re.compile("|".join((KEY, SECRET, PASSPHRASE))),
}


def leaks(text: str) -> list[str]:
    """What in a cassette looks like a secret."""
    return [what for what, pattern in LEAKS.items() if pattern.search(text)]


# --- recording and playing


class _Nowhere(AbstractResolver):
    """No name is known: what is not on the tape is an error at once."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> Any:
        raise OSError(f"a tape asked for {host}:{port}")

    async def close(self) -> None:
        pass


def _settings(exchange: str, kind: str, *, keys: bool) -> ExchangeSettings:
    told = dict(zip(("api_key", "api_secret", "api_passphrase"), (KEY, SECRET, PASSPHRASE), strict=True))
    return ExchangeSettings(exchange=exchange, **KINDS[kind][0], **(told if keys else {}))


async def _no_sleep(_: float) -> None:
    return


@asynccontextmanager
async def player(exchange: str, kind: str, home: Path, *, keys: bool) -> AsyncIterator[Gateway]:
    """A gateway that can reach nothing, at the time of the recording."""
    clock = SimClock(times()[exchange]["private" if keys else "public"])
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=_Nowhere()))

    def client(told: ExchangeSettings) -> Any:
        made = connect(told, session, _no_sleep)
        made.milliseconds = clock.now
        return made

    gateway = Gateway(_settings(exchange, kind, keys=keys), clock=clock, home=home, client=client, sleep=_no_sleep)
    try:
        yield gateway
    finally:
        await gateway.close()
        await session.close()


def times() -> dict[str, dict[str, int]]:
    """When the cassettes of each exchange were recorded, ms UTC."""
    return json.loads((FOLDER / "times.json").read_text(encoding="utf-8"))


async def play(exchange: str, kind: str, call: str, ask: Ask, gateway: Gateway, now: int, mode: str) -> Any:
    """One call, recorded or played."""
    with recorder(mode).use_cassette(str(tape(exchange, kind, call))):
        return await ask(gateway, KINDS[kind][1], now)


async def _record(
    exchange: str, kind: str, calls: dict[str, Ask], make: Callable[[Path], Gateway], now: int
) -> None:
    """The calls of one kind, each with the market list of the first."""
    with tempfile.TemporaryDirectory() as home:
        gateway = make(Path(home))
        try:
            for call, ask in calls.items():
                tape(exchange, kind, call).unlink(missing_ok=True)
                await play(exchange, kind, call, ask, gateway, now, "all")
        finally:
            await gateway.close()


async def record_from_venue() -> None:
    """All cassettes, from the exchanges on this machine."""
    clock = SimClock(NOW)
    for exchange, kind in CELLS:
        async with Venue(clock) as venue:

            def make(home: Path, exchange: str = exchange, kind: str = kind, venue: Venue = venue) -> Gateway:
                return Gateway(
                    _settings(exchange, kind, keys=True), clock=clock, home=home, sleep=_no_sleep,
                    client=lambda told: venue.redirect(connect(told, sleep=_no_sleep)),
                )  # fmt: skip

            for calls in (public(kind), private(kind)):
                await _record(exchange, kind, calls, make, NOW)
    _stamp({exchange: {"public": NOW, "private": NOW} for exchange in VENUES})


async def record_live(client: Callable[[ExchangeSettings], Any] | None = None) -> None:
    """The public cassettes, from the real exchanges, at the time of this computer; `client` leads elsewhere."""
    told, clocks = times(), {exchange: SimClock(WallClock().now()) for exchange in VENUES}
    for exchange, kind in CELLS:
        clock = clocks[exchange]

        def make(home: Path, exchange: str = exchange, kind: str = kind, clock: SimClock = clock) -> Gateway:
            return Gateway(_settings(exchange, kind, keys=False), clock=clock, home=home, client=client)

        await _record(exchange, kind, public(kind), make, clock.now())
        told[exchange]["public"] = clock.now()
    _stamp(told)


def _stamp(told: dict[str, dict[str, int]]) -> None:
    (FOLDER / "times.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def main(*, live: bool) -> None:
    """Record them all anew."""
    FOLDER.mkdir(exist_ok=True)
    asyncio.run(record_live() if live else record_from_venue())
