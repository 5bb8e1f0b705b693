"""What the name of a file and its folders say: exchange, kind of market, symbol, timeframe."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config import KNOWN_EXCHANGES
from ..exchanges.symbols import BASES, QUOTES, split_pair
from ..models import ContractType, MarketType
from ..series import Kind
from ..timeframe import TIMEFRAMES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Named", "kind_of_symbol", "read_names"]

_EXCHANGES = tuple(name for name in KNOWN_EXCHANGES if name not in ("demo", "local"))
_SPOT = (MarketType.SPOT, None)
_LINEAR = (MarketType.FUTURES, ContractType.LINEAR)
_INVERSE = (MarketType.FUTURES, ContractType.INVERSE)
_KINDS: dict[str, tuple[MarketType, ContractType | None]] = {
    "spot": _SPOT,
    **dict.fromkeys(("usdm", "um", "linear", "futures", "future", "swap", "perp", "perpetual"), _LINEAR),
    **dict.fromkeys(("coinm", "cm", "inverse"), _INVERSE),
}
_FRAME_WORDS = {
    "minute": "1m",
    "hour": "1h",
    "hourly": "1h",
    "daily": "1d",
    "day": "1d",
    "weekly": "1w",
    "d": "1d",
}
_UNIT_MS = {"m": 60_000, "min": 60_000, "h": 3_600_000, "hour": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SERIES = {
    **dict.fromkeys(("mark", "markprice", "markpriceklines"), Kind.MARK),
    **dict.fromkeys(("index", "indexprice", "indexpriceklines"), Kind.INDEX),
    **dict.fromkeys(("funding", "fundingrate", "fundingrates"), Kind.FUNDING),
}
_PREMIUM = ("premium", "premiumindex", "premiumindexklines")  # no price, no rate: nothing here can use it
_LONE = ("mark", "index")  # as the whole name of a folder they may mean something else


@dataclass(frozen=True, slots=True)
class Named:
    """What names say; None where they say nothing.

    `pair` is (base, quote), `series` what the rows are, `doubt` a word that may say what they are.
    """

    exchange: str | None = None
    market_type: MarketType | None = None
    contract_type: ContractType | None = None
    pair: tuple[str, str] | None = None
    timeframe: str | None = None
    series: Kind | None = None
    doubt: str | None = None


def read_names(path: Path) -> Named:
    """Read ``.../binance_spot/BTCUSDT-1h.csv.gz`` and the like; the file's name counts before its two folders."""
    stem = re.sub(r"(\.(csv|txt|tsv|parquet|pq|gz|zip))+$", "", path.name, flags=re.IGNORECASE)
    words = [word for word in re.split(r"[^0-9A-Za-z]+", stem) if word]
    folders = [re.split(r"[^0-9a-z]+", parent.name.lower()) for parent in path.absolute().parents[:2]]
    everything = [word.lower() for word in words] + [word for folder in folders for word in folder]
    exchange = next((word for word in everything if word in _EXCHANGES), None)
    kind = next((_KINDS[word] for word in everything if word in _KINDS), None)
    series, doubt = _series([word.lower() for word in words], folders)
    frames = (_timeframe(word) for word in words)
    pair, kind_by_pair = _pair(words)
    if kind_by_pair is not None:
        kind = kind_by_pair
    elif kind == _LINEAR and pair is not None and pair[1] == "USD" and "linear" not in everything:
        kind = _INVERSE  # futures quoted in plain USD settle in the coin
    market_type, contract_type = kind if kind is not None else (None, None)
    return Named(exchange, market_type, contract_type, pair, next(filter(None, frames), None), series, doubt)


def _series(words: list[str], folders: list[list[str]]) -> tuple[Kind | None, str | None]:
    """Return the kind of series that the words of a name and its folders say, and a word that is no proof."""
    lone = [folder[0] for folder in folders if len(folder) == 1 and folder[0] in _LONE]
    said = [*words, *(word for folder in folders if folder not in ([name] for name in _LONE) for word in folder)]
    premium = [word for word in said if word in _PREMIUM]
    kind = next((_SERIES[word] for word in said if word in _SERIES), None)
    return (None, premium[0]) if premium else (kind, None) if kind or not lone else (None, lone[0])


def _timeframe(word: str) -> str | None:
    match = re.fullmatch(r"(\d+)(m|min|h|hour|d|w)", word if word.endswith("M") else word.lower())
    if match is None:
        return _FRAME_WORDS.get(word.lower())
    length = int(match[1]) * _UNIT_MS[match[2]]
    return next((name for name, ms in TIMEFRAMES.items() if ms == length), None)


def _pair(words: list[str]) -> tuple[tuple[str, str] | None, tuple[MarketType, ContractType | None] | None]:
    """Find a pair in the words of a name, and the kind where the words prove it (BTC_USDT_USDT is linear)."""
    skipped = {*_EXCHANGES, *_KINDS, *_FRAME_WORDS}
    for at, word in enumerate(words):
        if word.lower() in skipped or _timeframe(word) or not re.search("[A-Za-z]", word):
            continue
        following = words[at + 1].upper() if at + 1 < len(words) else ""
        if following in QUOTES and _is_base(word):
            base, settle = word.upper(), words[at + 2].upper() if at + 2 < len(words) else ""
            return (base, following), _LINEAR if settle == following else _INVERSE if settle == base else None
        futures = re.fullmatch(r"(.+(?:USDT|USDC|USD))M", word.upper())
        pair = split_pair(futures[1] if futures else word.upper())
        if pair is not None and (word.isupper() or pair[0] in BASES):
            return pair, (_INVERSE if pair[1] == "USD" else _LINEAR) if futures else None
    return None, None


def _is_base(word: str) -> bool:
    return word.isupper() or word.upper() in BASES


def kind_of_symbol(symbol: str) -> tuple[MarketType, ContractType | None] | None:
    """Return the kind that a unified symbol's own form tells (``BTC/USDT:USDT`` is linear), or None."""
    match = re.fullmatch(r"([^/]+)/([^:]+):([^-]+)(?:-\d{6})?(-.+)?", symbol.strip().upper())
    if match is None:
        return None
    if match[4]:
        return MarketType.OPTIONS, None
    return _INVERSE if match[3] == match[1] else _LINEAR
