"""Exchange settings as CCXT's configuration. Nothing is probed: what an account is, is said here."""

from __future__ import annotations

import asyncio
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from ..errors import ConfigError
from .budget import budget_of
from .client import client_class, quiet_logger
from .venues import Segment, segment, venue_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..config import ExchangeSettings
    from ..values import Proxy

__all__ = [
    "TRADES_KEPT",
    "account_of",
    "address_of",
    "check_connection",
    "config_of",
    "connect",
    "missing_keys",
    "place_of",
    "secrets_of",
]

TRADES_KEPT = 1000
"""How many streamed trades of a market are kept for who has not asked yet."""

_TIMEOUT_MS = 10_000
_KEEP_ALIVE_MS = 15_000  # a dead websocket is noticed within twice this
_SOCKS = ("socks4", "socks5", "socks5h")


def connect(
    settings: ExchangeSettings, session: Any = None, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Any:
    """Make the CCXT client of an account. Nothing is sent yet.

    Args:
        settings: which exchange, kind of market and account.
        session: an aiohttp session to use in place of an own one; its owner closes it.
        sleep: waits, in seconds, for the room that the rate limit gives.

    Raises:
        ConfigError: a setting can't be had on this exchange.
    """
    venue, part = venue_of(settings.exchange), _segment(settings)
    check_connection(settings)
    budget = budget_of(*account_of(settings))
    config = config_of(settings) | ({} if session is None else {"session": session})
    client: Any = client_class(venue.id, budget, sleep)(config)
    if settings.testnet:
        way = venue.testnet[part]
        (client.set_sandbox_mode if way == "sandbox" else client.enable_demo_trading)(True)  # noqa: FBT003
    if settings.base_url is not None:
        _redirect(client, venue.hosts[part], settings.base_url)
    return client


def account_of(settings: ExchangeSettings) -> tuple[str, ...]:
    """What tells the account of these settings from others of this process."""
    key = "" if settings.api_key is None else settings.api_key.reveal()
    return settings.exchange, "test" if settings.testnet else "real", key


def place_of(settings: ExchangeSettings) -> str:
    """What tells the address of these settings from the exchange's own, which is "": other markets trade there."""
    if settings.testnet:
        return "testnet"
    if settings.base_url is None:
        return ""
    address = urlsplit(settings.base_url)  # without what stands before an @
    return re.sub(r"[^\w.]", "-", f"{address.hostname}-{address.port}" if address.port else str(address.hostname))


def address_of(settings: ExchangeSettings) -> str:
    """The address of the REST interface that these settings lead to: scheme, host and maybe a port."""
    venue, part = venue_of(settings.exchange), _segment(settings)
    if settings.base_url is not None:
        return settings.base_url
    return f"https://{venue.test_hosts.get(part, venue.hosts[part]) if settings.testnet else venue.hosts[part]}"


def check_connection(settings: ExchangeSettings) -> None:
    """Refuse what this exchange does not have.

    Raises:
        ConfigError: a test network that does not exist, a sub-account by name, a missing passphrase or half a key,
            a SOCKS proxy without the package that speaks to it.
    """
    venue, part = venue_of(settings.exchange), _segment(settings)
    if settings.testnet and part not in venue.testnet:
        where = f"{venue.name} has no test network" + (f" for {part} markets" if venue.testnet else "")
        raise ConfigError(f"testnet: {where}: use trade_mode='paper', which simulates on live prices")
    if settings.testnet and settings.base_url is not None:
        raise ConfigError("base_url contradicts testnet=True, which has an address of its own: leave one out")
    if settings.subaccount is not None:
        raise ConfigError(
            f"subaccount: a sub-account of {venue.name} has API keys of its own: give those as api_key and "
            "api_secret, and leave subaccount out"
        )
    missing = missing_keys(settings)
    given = [name for name in ("api_key", "api_secret", "api_passphrase") if getattr(settings, name) is not None]
    if missing and given:
        prefix = venue.id.upper()
        raise ConfigError(
            f"{venue.name} asks for {missing[0]} beside {given[0]}: set {prefix}_{missing[0].upper()}"
        )
    if {"socksProxy", "wsSocksProxy"} & _proxies(settings.proxy).keys() and find_spec("aiohttp_socks") is None:
        raise ConfigError("proxy: SOCKS needs one more package: python -m pip install 'metaexpert[socks]'")


def missing_keys(settings: ExchangeSettings) -> list[str]:
    """The names of the keys that a private request needs and that are not set."""
    needed = ["api_key", "api_secret", *(["api_passphrase"] if venue_of(settings.exchange).passphrase else [])]
    return [name for name in needed if getattr(settings, name) is None]


def config_of(settings: ExchangeSettings) -> dict[str, Any]:
    """CCXT's configuration: keys, account modes, limits, and the proxy of REST and websockets together."""
    venue, part = venue_of(settings.exchange), _segment(settings)
    options: dict[str, Any] = {
        **venue.options,
        "fetchMarkets": dict(venue.listed[part]),
        "adjustForTimeDifference": False,  # the gateway measures it when it needs to
        "maxRetriesOnFailure": 0,  # CCXT would send orders again too
        "tradesLimit": TRADES_KEPT,
        "OHLCVLimit": 100,  # streamed candles that are kept
    }
    if venue.recv_window_ms is not None:
        options["recvWindow"] = venue.recv_window_ms
    config: dict[str, Any] = {
        "enableRateLimit": True,
        "timeout": _TIMEOUT_MS,
        "timeout_on_exit": 0,
        "logger": quiet_logger(),
        "options": options,
        "streaming": {"keepAlive": _KEEP_ALIVE_MS},
        "newUpdates": True,  # a stream gives what is new, each thing once
    }
    keys = (("apiKey", "api_key"), ("secret", "api_secret"), ("password", "api_passphrase"))
    for name, setting in keys:
        secret = getattr(settings, setting)
        if secret is not None:
            config[name] = secret.reveal()
    return config | _proxies(settings.proxy)


def _segment(settings: ExchangeSettings) -> Segment:
    return segment(settings.market_type, settings.contract_type)


def _proxies(proxy: Proxy | None) -> dict[str, str]:
    """CCXT takes one proxy for REST and one for websockets; the latter defaults to the former."""
    if proxy is None:
        return {}
    rest = proxy.https or proxy.http
    found: dict[str, str] = {}
    for secret, plain, socks in (
        (rest, "httpsProxy", "socksProxy"),
        (proxy.ws or rest, "wssProxy", "wsSocksProxy"),
    ):
        if secret is not None:
            found[socks if urlsplit(secret.reveal()).scheme in _SOCKS else plain] = secret.reveal()
    return found


def _redirect(client: Any, host: str, base_url: str) -> None:
    """Send what would go to `host` to `base_url` instead, REST only."""

    def moved(urls: Any) -> Any:
        if isinstance(urls, dict):
            return {name: moved(url) for name, url in cast("dict[str, Any]", urls).items()}
        if isinstance(urls, str):
            whole = client.implode_hostname(urls)
            return whole.replace(f"https://{host}", base_url.rstrip("/"), 1)
        return urls

    client.urls["api"] = {name: url if name == "ws" else moved(url) for name, url in client.urls["api"].items()}


def secrets_of(settings: ExchangeSettings) -> tuple[str, ...]:
    """Every text that no message may show."""
    return tuple(secret.reveal() for secret in settings.secrets)
