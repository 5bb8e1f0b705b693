"""The list of markets of one exchange and segment, kept on disk with its age, usable without a network.

    <home>/markets/<exchange>-<segment>.json          our markets, and when the exchange told of them
                                       .raw.json.gz   the same as CCXT wants them

Both are written at once. Whoever only looks a market up reads the first, who sends requests the second. A test
network and other addresses of an exchange (a `place`) list other markets: ``okx-spot@testnet.json``.
"""

from __future__ import annotations

import gzip
import json
import logging
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigError, DataError, MetaExpertError
from ..files import home, replacing
from ..models import ContractType, Market, MarketType
from .markets import market_of
from .symbols import parse_symbol
from .venues import Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Listing", "is_settled_otherwise", "load", "load_raw", "save"]

_log = logging.getLogger(__name__)
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zlib.error, MetaExpertError)


class Listing(NamedTuple):
    """The `markets`, when they were `fetched` (ms UTC), and the symbols that were `left_out` with the reason."""

    markets: tuple[Market, ...]
    fetched: int
    left_out: Mapping[str, str]

    def age(self, now: int) -> int:
        """How old it is, in ms."""
        return now - self.fetched


def load(exchange: str, part: Segment, folder: Path | None = None, place: str = "") -> Listing | None:
    """The kept list; None where there is none, or it is damaged (which is logged) and has to be fetched again."""
    path = _path(exchange, part, folder, place)
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        markets = tuple(Market.from_dict(values) for values in found["markets"])
        return Listing(markets, int(found["fetched"]), dict(found["left_out"]))
    except FileNotFoundError:
        return None
    except _DAMAGE:
        _log.warning("the market list %s is damaged; it has to be fetched again", path)
        return None


def load_raw(
    exchange: str, part: Segment, folder: Path | None = None, place: str = ""
) -> list[dict[str, Any]] | None:
    """The kept list as CCXT's `set_markets` takes it; None where there is none or it is damaged."""
    try:
        with gzip.open(_raw_path(exchange, part, folder, place), "rt", encoding="utf-8") as file:
            found: list[dict[str, Any]] = json.load(file)
        return [one for one in found if one["symbol"] and one["id"]] or None
    except _DAMAGE:
        return None


def save(
    exchange: str,
    part: Segment,
    raw: Iterable[Mapping[str, Any]],
    now: int,
    folder: Path | None = None,
    place: str = "",
) -> Listing:
    """Keep what the exchange told `now` (ms UTC) and return it in our words.

    Markets that are not traded are left out, and those that lack what nobody can trade without.

    Raises:
        DataError: the files can't be written.
    """
    kept: list[Mapping[str, Any]] = []
    markets: list[Market] = []
    left_out: dict[str, str] = {}
    for one in raw:
        try:
            if one.get("active") is False:
                continue
            markets.append(market_of(one, exchange))
        except DataError as error:
            left_out[str(one.get("symbol"))] = str(error)
        else:
            kept.append(one)
    path, beside = _path(exchange, part, folder, place), _raw_path(exchange, part, folder, place)
    told = {"fetched": now, "left_out": left_out, "markets": [market.as_dict() for market in markets]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as light, replacing(beside) as whole:
            light.write_text(json.dumps(told), encoding="utf-8")
            whole.write_bytes(gzip.compress(json.dumps(kept).encode(), compresslevel=3, mtime=0))
    except OSError as error:
        raise DataError(f"can't write {path}: {error.strerror or error}") from error
    return Listing(tuple(markets), now, left_out)


def _path(exchange: str, part: Segment, folder: Path | None, place: str) -> Path:
    name = f"{exchange}-{part}{'@' if place else ''}{place}"
    return (folder or home()) / "markets" / f"{name}.json"


def _raw_path(exchange: str, part: Segment, folder: Path | None, place: str) -> Path:
    light = _path(exchange, part, folder, place)
    return light.with_name(f"{light.name.removesuffix('.json')}.raw.json.gz")


def is_settled_otherwise(name: str, part: Segment) -> bool:
    """Is `name`, an exchange's or CCXT's, a contract of the other kind, linear or inverse?"""
    other = {Segment.LINEAR: ContractType.INVERSE, Segment.INVERSE: ContractType.LINEAR}.get(part)
    if other is None:
        return False
    try:
        quote = parse_symbol(name, MarketType.FUTURES, other).quote
    except ConfigError:
        return False
    return (quote == "USD") == (other is ContractType.INVERSE)
