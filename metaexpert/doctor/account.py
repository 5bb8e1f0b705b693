"""The account: what the key may do and from where, and how the account is set up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..exchanges.keys import HINTS, ask_rights
from ..exchanges.modes import modes_of, modes_requests
from ..timeframe import DAY_MS
from .findings import Finding, Status, attempted, checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..clock import Clock
    from ..config import ExchangeSettings
    from ..exchanges.caller import Caller
    from ..exchanges.keys import KeyRights
    from ..exchanges.venues import Segment

__all__ = ["examine_account"]

_SOON_MS = 14 * DAY_MS


async def examine_account(callers: Mapping[Segment, Caller], clock: Clock) -> list[Finding]:
    """Look at the key, then at the modes of what it may trade.

    Args:
        callers: who asks, by segment; all of one exchange and key.
        clock: tells how long a key still lives.
    """
    first = next(iter(callers.values()))
    secrets = first.settings.secrets
    rights = await attempted("key", ask_rights(first), secrets)
    if isinstance(rights, Finding):
        skipped = Finding("modes", Status.SKIPPED, "they are asked for with a key that is accepted")
        return [_hinted(rights), skipped]
    asked, elsewhere = _environments(callers)
    found = [*_key(rights, first.settings, asked, clock), *elsewhere]
    parts = [part for part in asked if rights.trades is None or part in rights.trades]
    every = [checked(f"modes: {part}", _modes(callers[part], part), secrets) for part in parts]
    return found + _merged([one for some in await asyncio.gather(*every) for one in some])


def _environments(callers: Mapping[Segment, Caller]) -> tuple[list[Segment], list[Finding]]:
    """The segments that share keys with the first; of others, whose test environment stands apart, a finding."""
    first = next(iter(callers.values()))
    if not first.settings.testnet:
        return list(callers), []
    ways = {part: first.venue.testnet[part] for part in callers}
    same = [part for part in callers if ways[part] == next(iter(ways.values()))]
    others = [part for part in callers if part not in same]
    if not others:
        return same, []
    text = f"{', '.join(others)} have another test environment, with keys of its own"
    advice = f"to check it: metaexpert doctor {first.venue.id} --type {others[0]}"
    return same, [Finding("key: elsewhere", Status.SKIPPED, text, advice)]


def _key(rights: KeyRights, settings: ExchangeSettings, asked: Sequence[Segment], clock: Clock) -> list[Finding]:
    """What the key may do: trade what is `asked` for, never withdraw, from which addresses, until when."""
    found = [Finding("key", Status.OK, "accepted"), _trading(rights, asked)]
    if not settings.testnet:
        found += [_withdrawals(rights), _addresses(rights)]
    return found if rights.expires is None else [*found, _expiry(rights.expires, clock.now())]


def _hinted(found: Finding) -> Finding:
    return found._replace(advice=next((hint for sign, hint in HINTS.items() if sign in found.text), found.advice))


def _trading(rights: KeyRights, asked: Sequence[Segment]) -> Finding:
    name = "key: trading"
    if rights.trades is None:
        return Finding(name, Status.SKIPPED, _unclear(rights), "look at the key on the exchange's site")
    may = [part for part in asked if part in rights.trades]
    if not may:
        advice = "live trading needs the right to trade: give it to the key on the exchange's site"
        return Finding(name, Status.WARN, f"it may not trade {', '.join(asked)}, only read", advice)
    lacks = [part for part in asked if part not in may]
    text = f"it may trade {', '.join(may)}" + (f", not {', '.join(lacks)}" if lacks else "")
    return Finding(name, Status.OK, text)


def _withdrawals(rights: KeyRights) -> Finding:
    name = "key: withdrawals"
    if rights.withdraws is None:
        return Finding(name, Status.SKIPPED, _unclear(rights), "see to it that it may never withdraw")
    if rights.withdraws:
        advice = "take that right away: no expert needs it, and whoever finds the key can empty the account"
        return Finding(name, Status.FAIL, "it may withdraw funds", advice)
    return Finding(name, Status.OK, "it can't withdraw")


def _addresses(rights: KeyRights) -> Finding:
    name = "key: addresses"
    if rights.addresses is None:
        return Finding(name, Status.SKIPPED, "the exchange doesn't say from where it may be used")
    if not rights.addresses:
        advice = "bind it to the address of the computer that trades: then it is of no use to a thief"
        return Finding(name, Status.WARN, "it may be used from anywhere", advice)
    some = (
        "addresses that the exchange doesn't tell"
        if rights.addresses == ("some",)
        else ", ".join(rights.addresses)
    )
    return Finding(name, Status.OK, f"only from {some}")


def _expiry(time_ms: int, now_ms: int) -> Finding:
    days = (time_ms - now_ms) // DAY_MS
    text = f"it ends on {datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d}, in {days} days"
    soon = time_ms - now_ms < _SOON_MS
    advice = "make a new one, or bind it to an address, which some exchanges then let live on" if soon else ""
    return Finding("key: end", Status.WARN if soon else Status.OK, text, advice)


def _unclear(rights: KeyRights) -> str:
    return f"the exchange calls its rights {rights.words}" if rights.words else "the exchange doesn't say"


async def _modes(caller: Caller, part: Segment) -> list[Finding]:
    """How the account is set up in one segment."""
    found: list[Finding] = []
    for request in modes_requests(caller.settings.exchange, part):
        doing = f"ask for the modes of {part} markets"
        raw = await caller.read(doing, request.method, *request.arguments, private=True)
        for mode in modes_of(request.reader, raw, part):
            status = Status.WARN if mode.hindrance else Status.OK
            found.append(Finding(part.value, status, mode.hindrance or mode.text, mode.advice))
    return found


def _merged(found: Sequence[Finding]) -> list[Finding]:
    """What holds of several segments, once."""
    names: dict[Finding, list[str]] = {}
    for one in found:
        names.setdefault(one._replace(name=""), []).append(one.name.removeprefix("modes: "))
    return [one._replace(name=f"modes: {', '.join(parts)}") for one, parts in names.items()]
