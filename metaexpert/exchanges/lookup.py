"""Market lists for people: every segment of an exchange at once, and what of it a few words mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..config import KNOWN_EXCHANGES, exchange_settings
from ..errors import ConfigError, ExchangeError, did_you_mean
from ..models import MarketType
from .bridge import Bridge
from .gateway import Gateway
from .venues import Segment, segment_of, venue_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..models import Market

__all__ = ["KINDS", "Lookup", "keywords_of", "look_up", "search"]

KINDS: Mapping[str, tuple[Segment, ...]] = {
    **{part.value: (part,) for part in Segment},
    "futures": (Segment.LINEAR, Segment.INVERSE),
}
"""What a person may ask for, and the segments that it means."""

_OWN = ("demo", "local")


class Lookup(NamedTuple):
    """The `markets` of an exchange, and how much they can be trusted.

    `fetched` (ms UTC) and the symbols that were `left_out`, with the reason, stand by segment; `missing` holds why
    there is no list of a segment. The exchanges ``demo`` and ``local`` fetch nothing.
    """

    markets: tuple[Market, ...]
    fetched: Mapping[Segment, int]
    left_out: Mapping[Segment, Mapping[str, str]]
    missing: Mapping[Segment, str]


def look_up(
    exchange: str, kind: str | None = None, *, refresh: bool = False, dotenv: Mapping[str, str] | None = None
) -> Lookup:
    """The markets of `exchange` that are of `kind`: from disk where the list is no older than a day.

    Args:
        exchange: its name.
        kind: one of `KINDS`; None: all that it has.
        refresh: fetch the list anew, whatever its age.
        dotenv: what `metaexpert.envfile.load_env` returned; proxies and other addresses may stand there.

    Raises:
        ConfigError: there is no such exchange or kind, or nothing to refresh.
        ExchangeError: no list is there and none can be fetched.
    """
    if exchange not in KNOWN_EXCHANGES:
        raise ConfigError(f"unknown exchange {exchange!r}{did_you_mean(exchange, KNOWN_EXCHANGES)}")
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"unknown kind of market {kind!r}{did_you_mean(kind, KINDS)}")
    if exchange in _OWN:
        if refresh:
            raise ConfigError(f"the markets of {exchange} can't be refreshed: they come from no network")
        return _own(exchange, tuple(Segment) if kind is None else KINDS[kind])
    venue = venue_of(exchange)
    parts = [part for part in venue.segments if kind is None or part in KINDS[kind]]
    if not parts:
        raise ConfigError(f"{venue.name} has no {kind} markets: use one of {', '.join(venue.segments)}")
    bridge = Bridge()
    try:
        return bridge.run(_listed(exchange, parts, dotenv or {}, refresh=refresh))
    finally:
        bridge.close()


def _own(exchange: str, parts: Sequence[Segment]) -> Lookup:
    """The embedded exchange's markets, or those of imported files."""
    from .exchange import markets_of  # loads pandas

    return Lookup(tuple(one for one in markets_of(exchange) if segment_of(one) in parts), {}, {}, {})


async def _listed(exchange: str, parts: Sequence[Segment], dotenv: Mapping[str, str], *, refresh: bool) -> Lookup:
    markets: list[Market] = []
    fetched: dict[Segment, int] = {}
    left_out: dict[Segment, Mapping[str, str]] = {}
    missing: dict[Segment, str] = {}
    for part in parts:
        settings = exchange_settings({"exchange": exchange, **keywords_of(part)}, dotenv=dotenv)
        async with Gateway(settings) as gateway:
            try:
                found = await gateway.listing(refresh=refresh)
            except ExchangeError as error:
                if len(missing) == len(parts) - 1:
                    raise
                missing[part] = str(error)
                continue
        markets.extend(found.markets)
        fetched[part], left_out[part] = found.fetched, found.left_out
    return Lookup(tuple(markets), fetched, left_out, missing)


def keywords_of(part: Segment) -> dict[str, object]:
    """The keywords of `MetaExpert` that mean a segment."""
    if part is Segment.SPOT:
        return {"market_type": MarketType.SPOT}
    if part is Segment.OPTION:
        return {"market_type": MarketType.OPTIONS}
    return {"market_type": MarketType.FUTURES, "contract_type": part.value}


def search(markets: Iterable[Market], text: str) -> list[Market]:
    """Those whose symbol or id has every word of `text`, separators aside; those of that very base come first."""
    words = [_glued(word) for word in text.split()]
    found = [
        market
        for market in markets
        if all(word in _glued(market.symbol) or word in _glued(market.id) for word in words)
    ]
    return sorted(found, key=lambda market: market.base.upper() not in text.upper().split())


def _glued(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).upper()
