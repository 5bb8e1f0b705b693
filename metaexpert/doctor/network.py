"""The way to an exchange: DNS, TLS, HTTP, how long an answer takes, and how far this computer's clock is off."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit

from ..errors import ExchangeError
from ..exchanges.connection import address_of
from ..exchanges.venues import segment
from .findings import Finding, Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..clock import Clock
    from ..config import ExchangeSettings
    from ..exchanges.caller import Caller

__all__ = ["Wire", "reach"]

_ASKED = 3  # times; the quickest answer tells the latency and the clock best
_SLOW_MS = 2_000
_OFF_MS, _FAR_OFF_MS = 1_000, 5_000
_PATIENCE = 5.0  # seconds for a name, and for a connection


async def _resolve(host: str, port: int) -> int:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return len({address[4][0] for address in found})


async def _connect(host: str, port: int, context: ssl.SSLContext | None) -> None:
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    writer.close()


class Wire(NamedTuple):
    """How a name is looked up (the number of its addresses) and a connection opened; both raise `OSError`."""

    resolve: Callable[[str, int], Awaitable[int]] = _resolve
    connect: Callable[[str, int, ssl.SSLContext | None], Awaitable[None]] = _connect


async def reach(caller: Caller, context: ssl.SSLContext, clock: Clock, wire: Wire | None = None) -> list[Finding]:
    """Go the way to the exchange step by step; the first that fails is what is told.

    Args:
        caller: asks the exchange, by its settings.
        context: whose certificates are accepted.
        clock: this computer's.
        wire: the first two steps; they are left out where there is a proxy, which takes them itself.
    """
    address = urlsplit(address_of(caller.settings))
    host = str(address.hostname)
    name = f"reach {host}"
    way = "through the proxy" if caller.settings.proxy is not None else ""
    if not way:
        port = address.port or (443 if address.scheme == "https" else 80)
        trouble, way = await _dial(wire or Wire(), host, port, context if address.scheme == "https" else None)
        if trouble is not None:
            hints = [hint for hint in (trouble.advice, _unused_proxy(caller.settings)) if hint]
            return [trouble._replace(name=name, advice="; ".join(hints))]
    try:
        latency, ahead = await _ask(caller, clock)
    except ExchangeError as error:
        proxied = caller.settings.proxy is not None
        advice = "check the proxy, which everything goes through" if proxied else _unused_proxy(caller.settings)
        return [Finding(name, Status.FAIL, f"HTTP: {error}", advice)]
    status = Status.WARN if latency > _SLOW_MS else Status.OK
    advice = "a slow way: orders arrive late" if status is Status.WARN else ""
    found = Finding(name, status, f"{way}, HTTP answers in {latency:.0f} ms", advice)
    return [found, _clock(caller.venue.name, ahead, latency / 2)]


async def _dial(wire: Wire, host: str, port: int, context: ssl.SSLContext | None) -> tuple[Finding | None, str]:
    """Look the name up and open a connection: what went wrong, or how long it took."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    step, advice = "DNS", "check the internet connection and the DNS server; a firewall may block it"
    try:
        async with asyncio.timeout(_PATIENCE):
            count = await wire.resolve(host, port)
        dns, start = loop.time() - start, loop.time()
        step, advice = ("TLS" if context else "TCP"), "check firewall and internet connection"
        async with asyncio.timeout(_PATIENCE):
            await wire.connect(host, port, context)
    except TimeoutError:
        return Finding("", Status.FAIL, f"{step}: no answer from {host} within {_PATIENCE:g} s", advice), ""
    except ssl.SSLCertVerificationError as error:
        text = f"TLS: the certificate of {host} is not accepted ({error.verify_message})"
        why = "a proxy or virus scanner that reads along has its own, or this computer's date is wrong"
        return Finding("", Status.FAIL, text, why), ""
    except OSError as error:
        what = f"the name {host} is not found" if step == "DNS" else f"no connection to {host}"
        reason = error.strerror or type(error).__name__
        return Finding("", Status.FAIL, f"{step}: {what} ({reason})", advice), ""
    names = f"{count} address" if count == 1 else f"{count} addresses"
    took = f"DNS {dns * 1000:.0f} ms ({names}), {step} {(loop.time() - start) * 1000:.0f} ms"
    return None, took


async def _ask(caller: Caller, clock: Clock) -> tuple[float, float]:
    """The latency, and by how much this computer's clock is ahead of the exchange's, both in ms."""
    settings, loop = caller.settings, asyncio.get_running_loop()
    part = segment(settings.market_type, settings.contract_type)
    method = caller.venue.times.get(part, "fetch_time")
    seen: list[tuple[float, float]] = []
    for _ in range(_ASKED):
        start, began = loop.time(), clock.now()
        there = _time_of(await caller.read("ask for the time", method))
        took = (loop.time() - start) * 1000
        seen.append((took, began + took / 2 - there))
    return min(seen)


def _time_of(raw: Any) -> int:
    """The time in the answer of CCXT's `fetch_time`, or in the exchange's own."""
    if isinstance(raw, (int, float)):
        return int(raw)
    told = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
    time = told.get("serverTime", told.get("data"))
    if time is None:
        raise ExchangeError("the answer holds no time; try again")
    return int(time)


def _clock(venue: str, ahead: float, blur: float) -> Finding:
    """What the difference means; half of the latency is not certain."""
    way = "ahead of" if ahead > 0 else "behind"
    text = f"{abs(ahead):.0f} ms {way} {venue} (give or take {blur:.0f} ms)"
    sure = max(0.0, abs(ahead) - blur)
    status = Status.FAIL if sure > _FAR_OFF_MS else Status.WARN if sure > _OFF_MS else Status.OK
    advice = "" if status is Status.OK else "let this computer's clock follow a time server (NTP)"
    return Finding("clock", status, text, advice)


def _unused_proxy(settings: ExchangeSettings) -> str:
    """A hint where the system has a proxy that nobody told MetaExpert of: it uses none unasked."""
    names = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    set_ = next((name for name in names if os.environ.get(name)), None)
    if set_ is None or settings.proxy is not None:
        return ""
    return f"{set_} is set but not used: set {settings.exchange.upper()}_PROXY to it if the way out is a proxy"
