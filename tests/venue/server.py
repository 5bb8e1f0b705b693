"""The server: TLS on this machine's loopback, each exchange's real host names led to it at the transport."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractResolver
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from metaexpert.clock import WallClock

from .dialects import DIALECTS
from .faults import DONE, Fault, Plan, Rule
from .orders import Reason, Refusal
from .prices import Prices
from .routes import KEY, PASSPHRASE, SECRET, Answer, Call, Dialect, answer
from .sockets import Sockets
from .state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from metaexpert.clock import Clock

    from .prices import Source

PAGE = "<html><head><title>502 Bad Gateway</title></head><body><center>cloudflare</center></body></html>"
CODES = {
    Fault.RATE_LIMIT: Reason.RATE_LIMIT,
    Fault.BAN: Reason.BAN,
    Fault.MAINTENANCE: Reason.MAINTENANCE,
    Fault.OVERLOAD: Reason.OVERLOAD,
    Fault.UNKNOWN: Reason.UNKNOWN,
    Fault.GEO_BLOCK: Reason.GEO_BLOCK,
    Fault.DENIED: Reason.RIGHTS,
}


class Seen(NamedTuple):
    """One request that came in."""

    exchange: str
    host: str
    method: str
    path: str
    args: dict[str, Any]
    headers: Mapping[str, str]


class Venue:
    """Five exchanges behind one port; `async with Venue() as venue`, in the event loop of the test.

    Args:
        clock: Its time; the system's unless told. With a SimClock, the clients that `client` makes read it too.
        faults: What goes wrong; nothing unless told. More can be added at any time to `venue.faults`.
        prices: Where prices come from: made up unless told, or a `Tape`.
        exchanges: Which ones there are; all unless told.
        port: Where they listen; any free one unless told.
    """

    def __init__(
        self, clock: Clock | None = None, faults: Plan | None = None, prices: Source | None = None, *,
        exchanges: Collection[str] = (), port: int = 0,
    ) -> None:  # fmt: skip
        self.clock = clock or WallClock()
        self.faults = faults or Plan()
        self.prices: Source = prices or Prices()
        self.port = port
        self.seen: list[Seen] = []
        self.broken: list[Exception] = []
        start = self.clock.now()
        self.states: dict[str, State] = {
            dialect.NAME: State(
                dialect.instruments(start), self.prices, self.now, dialect.wallet_of, dialect.HABITS
            )
            for dialect in DIALECTS if not exchanges or dialect.NAME in exchanges
        }  # fmt: skip
        self.sockets = Sockets(self.states, self.faults, self.broken)
        self._runner: web.AppRunner | None = None
        self._sessions: list[aiohttp.ClientSession] = []
        self._answering: set[asyncio.Task[Any] | None] = set()

    async def __aenter__(self) -> Self:
        """Open the port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=_certificate())
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the sessions and the port.

        Raises:
            ExceptionGroup: the venue itself was at fault in some answer, which no test may overlook.
        """
        for session in self._sessions:
            await session.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for late in filter(None, set(self._answering)):  # to clients that have gone
            late.cancel()
            await asyncio.wait([late])
        if self.broken:
            raise ExceptionGroup("the venue broke down", self.broken)

    def now(self) -> int:
        """The venue's time, ms, its skew included."""
        return self.clock.now() + self.faults.skew

    def pulse(self) -> None:
        """Let everything happen, at all exchanges, that was to happen up to now."""
        for state in self.states.values():
            state.advance()
        self.sockets.pulse()

    async def advance(self, ms: int) -> None:
        """Move a clock that stands still by `ms`, pulse, and wait until what is to be pushed has left."""
        self.clock.advance(self.clock.now() + ms)
        self.pulse()
        await self.sockets.drain()

    def client_session(self) -> aiohttp.ClientSession:
        """A session for which every host name is this venue; the venue closes it."""
        session = _session(self.port)
        self._sessions.append(session)
        return session

    def client(self, exchange: str) -> Callable[[dict[str, Any]], Any]:
        """A function that makes CCXT's own client for `exchange` from a configuration, redirected to the venue."""

        def make(config: dict[str, Any]) -> Any:
            import ccxt.pro  # noqa: TID251 - the tests' side of the wall

            return self.redirect(getattr(ccxt.pro, exchange)({"enableRateLimit": False} | config))

        return make

    def redirect(self, client: Any) -> Any:
        """Lead a CCXT client to the venue, in the event loop that runs: its urls stay what they are."""
        lead(client, self.port, None if isinstance(self.clock, WallClock) else self.clock)
        self._sessions.append(client.session)
        return client

    def dialect_of(self, host: str) -> Dialect | None:
        """The dialect that is spoken at `host`."""
        name = host.partition(":")[0].lower()
        return next((one for one in DIALECTS if one.NAME in self.states and name.endswith(one.HOSTS)), None)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        self._answering.add(task)
        try:
            return await self._reply(request)
        except Exception as error:
            self.broken.append(error)
            raise
        finally:
            self._answering.discard(task)

    async def _reply(self, request: web.Request) -> web.StreamResponse:
        dialect = self.dialect_of(request.host)
        if dialect is None:
            return web.Response(status=404, text=f"no exchange at {request.host}")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._connect(request, dialect)
        call = Call(
            state=self.states[dialect.NAME], method=request.method, host=request.host, path=request.path,
            query=request.raw_path.partition("?")[2], body=(await request.read()).decode(),
            headers=request.headers,
            now=self.now(),
        )  # fmt: skip
        self.seen.append(
            Seen(dialect.NAME, call.host, call.method, call.path, dict(call.args), dict(call.headers))
        )
        rule = self.faults.take(call.method, call.path)
        if rule is None:
            return _response(answer(dialect, call))
        done = answer(dialect, call) if rule.fault in DONE else None
        return await _spoil(request, dialect, call, rule, done)

    async def _connect(self, request: web.Request, dialect: Dialect) -> web.StreamResponse:
        path, args = request.path, dict(request.query)
        self.seen.append(Seen(dialect.NAME, request.host, "WS", path, args, dict(request.headers)))
        if not hasattr(dialect, "SPEECH"):
            return web.Response(status=404, text=f"{dialect.NAME} has no websockets here")
        return await self.sockets.serve(request, dialect.NAME, dialect.SPEECH, self.states[dialect.NAME])


def lead(client: Any, port: int, clock: Clock | None = None) -> Any:
    """Lead a CCXT client to the venue at `port`, in the event loop that runs; it reads `clock` if there is one."""
    session = _session(port)
    client.session, client.own_session, client.verify, client.timeout_on_exit = session, False, False, 0
    client.close = partial(_close, client.close, session)
    if clock is not None:
        client.milliseconds = clock.now
        client.seconds = lambda: clock.now() // 1000
    return client


class VenueThread:
    """A venue in a thread with its own event loop, for callers without one: `with VenueThread() as venue`."""

    def __init__(self, venue: Venue | None = None) -> None:
        self.venue = venue or Venue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="venue", daemon=True)

    def __enter__(self) -> Venue:
        """Open the port; clients of the venue are to be used in event loops of their own."""
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self.venue.__aenter__(), self._loop).result()

    def __exit__(self, *_: object) -> None:
        """Close the port and end the thread."""
        asyncio.run_coroutine_threadsafe(self.venue.__aexit__(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Resolver(AbstractResolver):
    """Every name is this machine, every port the venue's: no packet can leave."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        return [
            {
                "hostname": host,
                "host": "127.0.0.1",
                "port": self._port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self) -> None:
        pass


def _session(port: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=_Resolver(port), ssl=False))


async def _close(close: Callable[..., Any], session: aiohttp.ClientSession, *args: Any) -> None:
    """Close a client and the session that CCXT, since it was given it, leaves open; in the client's event loop."""
    await close(*args)
    await session.close()


def credentials(exchange: str) -> dict[str, str]:
    """The key that the venue knows, in CCXT's words."""
    told = {"apiKey": KEY, "secret": SECRET}
    return told if exchange in {"binance", "bybit"} else told | {"password": PASSPHRASE}


def _response(given: Answer) -> web.Response:
    kind = "text/html" if isinstance(given.payload, str) else "application/json"
    headers = {"Content-Type": kind} | given.headers
    return web.Response(status=given.status, body=given.body().encode(), headers=headers)


async def _spoil(
    request: web.Request, dialect: Dialect, call: Call, rule: Rule, done: Answer | None
) -> web.StreamResponse:
    """Answer as the rule has it; `done` is the true answer where the request has had its effect."""
    if rule.fault in CODES:
        given = dialect.refuse(call, Refusal(CODES[rule.fault], f"{rule.seconds:g}"))
        if rule.status:
            given.status = rule.status
        if rule.fault in {Fault.RATE_LIMIT, Fault.BAN}:
            given.headers["Retry-After"] = f"{rule.seconds:g}"
        return _response(given)
    if rule.fault is Fault.SERVER_ERROR:
        return web.Response(status=rule.status or 503, text=PAGE, content_type="text/html")
    if rule.fault is Fault.HTML:
        return web.Response(text=PAGE, content_type="text/html")
    if done is None or rule.fault is Fault.REPLY_LOST:
        return _cut(request)
    if rule.fault is Fault.LATENCY:
        await asyncio.sleep(rule.seconds)
        return _response(done)
    if rule.fault is Fault.EMPTY:
        return web.Response(body=b"", content_type="application/json")
    return await _truncated(request, done)


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _truncated(request: web.Request, done: Answer) -> web.StreamResponse:
    body = done.body().encode()
    half = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return half


def _certificate() -> ssl.SSLContext:
    """A self-signed certificate of this moment; the clients don't look at it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=36_500)).add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "venue.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(path)
    return context
