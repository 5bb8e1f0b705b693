"""What `metaexpert doctor` finds: this computer, the way to an exchange, its keys and what it can do with orders.

Nothing is changed anywhere, and no order is sent.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..clock import WallClock
from ..config import exchange_settings
from ..envfile import load_env
from ..errors import ConfigError, did_you_mean
from ..exchanges.bridge import Bridge
from ..exchanges.caller import Caller, is_offline
from ..exchanges.capabilities import Feature, support
from ..exchanges.connection import check_connection, missing_keys
from ..exchanges.lookup import KINDS, keywords_of
from ..exchanges.venues import VENUES, Segment, venue_of
from ..values import KNOWN_EXCHANGES
from .account import examine_account
from .findings import Finding, Status, checked
from .machine import machine
from .network import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..clock import Clock
    from ..config import ExchangeSettings
    from ..exchanges.capabilities import Support
    from .network import Wire

__all__ = [
    "Ability",
    "Checkup",
    "ExchangeCheckup",
    "Finding",
    "SettingLine",
    "Status",
    "examine",
    "examine_exchange",
]

_SHOWN = ("api_key", "api_secret", "api_passphrase", "subaccount", "base_url", "testnet", "proxy")


class SettingLine(NamedTuple):
    """A connection setting: its value, ``***`` for a secret and "" where there is none, and where it came from.

    `variable` is the name that sets it in the environment or in ``.env``.
    """

    name: str
    value: str
    source: str
    variable: str


class Ability(NamedTuple):
    """What an exchange can do with an order in one segment, and why it is so ("" if there is nothing to say)."""

    segment: Segment
    feature: Feature
    support: Support
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeCheckup:
    """One exchange: its connection settings, what was found, and what it can do with orders."""

    exchange: str
    settings: tuple[SettingLine, ...]
    findings: tuple[Finding, ...]
    abilities: tuple[Ability, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """This computer, and the exchanges that were looked at."""

    machine: tuple[Finding, ...]
    exchanges: tuple[ExchangeCheckup, ...]

    @property
    def is_well(self) -> bool:
        """Whether nothing that could be checked is wrong; a warning is not wrong."""
        every = [*self.machine, *(one for exchange in self.exchanges for one in exchange.findings)]
        return not any(one.status is Status.FAIL for one in every)

    def as_dict(self) -> dict[str, Any]:
        """What JSON can hold; no secret is in it."""
        return {
            "well": self.is_well,
            "machine": [one._asdict() for one in self.machine],
            "exchanges": [
                {
                    "exchange": one.exchange,
                    "settings": [line._asdict() for line in one.settings],
                    "findings": [found._asdict() for found in one.findings],
                    "capabilities": [ability._asdict() for ability in one.abilities],
                }
                for one in self.exchanges
            ],
        }


def examine(
    exchange: str | None = None, kind: str | None = None, *,
    keywords: Mapping[str, object] | None = None, folder: Path | None = None,
) -> Checkup:  # fmt: skip
    """Check this computer, and an exchange or, without its name, every one whose API key is set.

    Args:
        exchange: its name; ``demo`` and ``local`` need nothing.
        kind: one of `metaexpert.exchanges.lookup.KINDS`; None: all that the exchange has.
        keywords: keywords of `MetaExpert` that concern the connection, which win over the environment.
        folder: where the file ``.env`` is; None: the current folder.

    Raises:
        ConfigError: there is no such exchange or kind, or the exchange has no markets of that kind.
    """
    if exchange is not None and exchange not in KNOWN_EXCHANGES:
        raise ConfigError(f"unknown exchange {exchange!r}{did_you_mean(exchange, KNOWN_EXCHANGES)}")
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"unknown kind of market {kind!r}{did_you_mean(kind, KINDS)}")
    place = folder or Path()
    found = machine(place)
    try:
        dotenv = load_env(place)
    except ConfigError as error:
        dotenv = {}
        found.append(Finding("env file", Status.FAIL, str(error)))
    names = _with_keys(dotenv, kind) if exchange is None else [exchange]
    if not names:
        advice = "to check the way to an exchange, name it: metaexpert doctor binance"
        found.append(Finding("exchanges", Status.SKIPPED, "no API key is set for any", advice))
    bridge = Bridge()
    try:
        checkups = bridge.run(_each(names, kind, keywords or {}, dotenv))
    finally:
        bridge.close()
    return Checkup(machine=tuple(found), exchanges=checkups)


async def _each(
    names: Sequence[str], kind: str | None, keywords: Mapping[str, object], dotenv: Mapping[str, str]
) -> tuple[ExchangeCheckup, ...]:
    return tuple([await examine_exchange(name, kind, keywords=keywords, dotenv=dotenv) for name in names])


def _with_keys(dotenv: Mapping[str, str], kind: str | None) -> list[str]:
    """The exchanges that have markets of that kind and for which somebody has set a key."""
    found: list[str] = []
    for name, venue in VENUES.items():
        if kind is not None and not set(KINDS[kind]) & set(venue.segments):
            continue
        try:
            settings = exchange_settings({"exchange": name}, dotenv=dotenv)
        except ConfigError:
            found.append(name)  # what is wrong with its settings is worth telling
            continue
        if settings.api_key is not None or settings.api_secret is not None:
            found.append(name)
    return found


async def examine_exchange(
    exchange: str, kind: str | None = None, *,
    keywords: Mapping[str, object], dotenv: Mapping[str, str], clock: Clock | None = None,
    client: Callable[[ExchangeSettings], Any] | None = None, wire: Wire | None = None,
) -> ExchangeCheckup:  # fmt: skip
    """Check one exchange; all at once where that can be.

    Args:
        exchange: its name.
        kind: as in `examine`.
        keywords: as in `examine`.
        dotenv: what `metaexpert.envfile.load_env` returned.
        clock: this computer's.
        client: makes the CCXT client; None: `metaexpert.exchanges.connection.connect`.
        wire: how names are looked up and connections opened.

    Raises:
        ConfigError: the exchange has no markets of that kind.
    """
    if exchange not in VENUES:
        found = Finding("network", Status.OK, "it needs no network and no keys")
        return ExchangeCheckup(exchange=exchange, settings=(), findings=(found,), abilities=())
    venue = venue_of(exchange)
    parts = [part for part in venue.segments if kind is None or part in KINDS[kind]]
    if not parts:
        raise ConfigError(f"{venue.name} has no {kind} markets: use one of {', '.join(venue.segments)}")
    lines, settings, refused = _settings(exchange, parts, keywords, dotenv)
    callers = {part: Caller(one, client=client, tries=1) for part, one in settings.items()}
    try:
        found = refused + await _connections(callers, wire, clock or WallClock())
    finally:
        await asyncio.gather(*(caller.close() for caller in callers.values()))
    return ExchangeCheckup(
        exchange=exchange, settings=lines, findings=tuple(found), abilities=_abilities(exchange, parts)
    )


def _settings(
    exchange: str, parts: Sequence[Segment], keywords: Mapping[str, object], dotenv: Mapping[str, str]
) -> tuple[tuple[SettingLine, ...], dict[Segment, ExchangeSettings], list[Finding]]:
    """What to show, the settings by segment, and why some have none; where all have none, that is wrong."""
    found: dict[Segment, ExchangeSettings] = {}
    lines: tuple[SettingLine, ...] = ()
    refused: dict[str, list[str]] = {}
    for part in parts:
        told = {**keywords, "exchange": exchange, **keywords_of(part)}
        try:
            settings = exchange_settings(told, where=exchange, dotenv=dotenv)
            lines = lines or _lines(settings)
            check_connection(settings)
        except ConfigError as error:
            refused.setdefault(str(error), []).append(part)
        else:
            found[part] = settings
    status = Status.SKIPPED if found else Status.FAIL
    return lines, found, [Finding(f"settings: {', '.join(names)}", status, why) for why, names in refused.items()]


async def _connections(callers: Mapping[Segment, Caller], wire: Wire | None, clock: Clock) -> list[Finding]:
    """The way to each of the exchange's hosts, then the account."""
    if not callers:
        return []
    if is_offline():
        advice = "unset METAEXPERT_OFFLINE to check it"
        return [Finding("reach, clock, key, modes", Status.SKIPPED, "METAEXPERT_OFFLINE is set", advice)]
    first = next(iter(callers.values()))
    venue, secrets = first.venue, first.settings.secrets
    broken = await checked("client", _prepared(callers.values()), secrets)
    if broken:
        return broken
    context = ssl.create_default_context(cafile=first.client.cafile)
    hosts: dict[str, Caller] = {}
    for part, caller in callers.items():
        hosts.setdefault(venue.hosts[part], caller)
    ways = [checked(f"reach {host}", reach(one, context, clock, wire), secrets) for host, one in hosts.items()]
    told = await asyncio.gather(*ways)
    found = [one for some in told for one in some if one.name != "clock"]
    found += [one for some in told for one in some if one.name == "clock"][:1]
    missing = missing_keys(first.settings)
    if missing:
        names = ", ".join(f"{venue.id.upper()}_{name.upper()}" for name in missing)
        text = f"no API key: {venue.name} gives data without one, but no account"
        advice = f"to trade, put {names} into the environment or into the file .env in the expert's folder"
        return [*found, Finding("key, modes", Status.SKIPPED, text, advice)]
    if all(any(one.status is Status.FAIL for one in some) for some in told):
        return [*found, Finding("key, modes", Status.SKIPPED, f"{venue.name} is not reached")]
    return found + await examine_account(callers, clock)


async def _prepared(callers: Iterable[Caller]) -> list[Finding]:
    """Make the clients, which takes the processor a while, before anything is timed."""
    for caller in callers:
        _ = caller.client
    return []


def _lines(settings: ExchangeSettings) -> tuple[SettingLine, ...]:
    """Every connection setting with its source; of a secret only that it is set."""
    found: list[SettingLine] = []
    for name in _SHOWN:
        if (
            name == "api_passphrase"
            and settings.api_passphrase is None
            and not VENUES[settings.exchange].passphrase
        ):
            continue
        value = getattr(settings, name)
        told = "" if value is None else "***" if name.startswith("api_") or name == "proxy" else str(value)
        found.append(SettingLine(name, told, settings.sources[name], f"{settings.exchange}_{name}".upper()))
    return tuple(found)


def _abilities(exchange: str, parts: Sequence[Segment]) -> tuple[Ability, ...]:
    return tuple(
        Ability(part, feature, *support(exchange, part, feature)) for feature in Feature for part in parts
    )
