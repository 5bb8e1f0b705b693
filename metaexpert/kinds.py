"""What is recorded of a market, and how a stored series is called. Words only: nothing heavy is loaded here."""

from __future__ import annotations

from enum import StrEnum

from .errors import ConfigError, did_you_mean
from .timeframe import TIMEFRAMES, parse

__all__ = ["Kind", "as_kind", "name_of", "parse_name"]


class Kind(StrEnum):
    """What a series holds."""

    CANDLES = "candles"
    MARK = "mark"
    INDEX = "index"
    FUNDING = "funding"
    TRADES = "trades"

    @property
    def has_timeframe(self) -> bool:
        """True when the series is made of candles, traded or not."""
        return self not in (Kind.FUNDING, Kind.TRADES)

    @property
    def noun(self) -> str:
        """What one row is called, to be counted: ``candle``, ``rate``, ``trade``."""
        return "rate" if self is Kind.FUNDING else "trade" if self is Kind.TRADES else "candle"

    @property
    def plural(self) -> str:
        """What the rows are called: ``candles``, ``mark-price candles``, ``funding rates``."""
        price = f"{self}-price " if self in (Kind.MARK, Kind.INDEX) else ""
        return "funding rates" if self is Kind.FUNDING else f"{price}{self.noun}s"


def as_kind(word: str) -> Kind:
    """Return the kind that `word` names.

    Raises:
        ConfigError: there is none of that name.
    """
    known = [kind.value for kind in Kind]
    if word not in known:
        raise ConfigError(f"unknown kind {word!r}{did_you_mean(word, known)}")
    return Kind(word)


def name_of(kind: str, timeframe: str | None = None) -> str:
    """Return the name of a series: ``name_of("mark", "1h")`` is ``"mark-1h"``.

    Raises:
        ConfigError: the kind or the timeframe is unknown, or the timeframe is missing.
    """
    known = as_kind(kind)
    if not known.has_timeframe:
        return known.value
    if timeframe is None:
        raise ConfigError(f"{known.plural} have a timeframe; say which, such as 1h")
    parse(timeframe)
    return timeframe if known is Kind.CANDLES else f"{known}-{timeframe}"


def parse_name(name: str) -> tuple[Kind, str | None]:
    """Return the kind and the timeframe that the `name` of a series stands for.

    Raises:
        ConfigError: no series has such a name.
    """
    if name in (Kind.FUNDING, Kind.TRADES):
        return Kind(name), None
    prefix, _, rest = name.rpartition("-")
    if prefix in (Kind.MARK, Kind.INDEX) and rest in TIMEFRAMES:
        return Kind(prefix), rest
    parse(name)
    return Kind.CANDLES, name
