"""Fields of CCXT's answers, and of the exchange's own that CCXT keeps in `info`.

Of several names the first counts whose field holds something; exchanges write an empty text for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    type Raw = Mapping[str, Any]

__all__ = ["filled_in", "info_of", "number", "positive", "said"]


def info_of(raw: Raw) -> Raw:
    """The exchange's own answer; empty where CCXT keeps none."""
    found = raw.get("info")
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def said(raw: Raw, *names: str) -> str | None:
    """What the exchange itself answered."""
    found = info_of(raw)
    return next((str(found[name]) for name in names if found.get(name) not in (None, "")), None)


def number(raw: Raw, *names: str) -> float | None:
    """The number in a field."""
    return next((float(raw[name]) for name in names if raw.get(name) not in (None, "")), None)


def positive(raw: Raw, *names: str) -> float | None:
    """A price, or a volatility: exchanges write 0, or OKX -1, for none."""
    value = number(raw, *names)
    return value if value is not None and value > 0.0 else None


def filled_in[T](value: T, **words: str) -> T:
    """The same with ``{word}`` replaced by its word wherever it stands."""
    found: Any = value
    if isinstance(found, str):
        found = found.format(**words)
    elif isinstance(found, dict):
        found = {name: filled_in(one, **words) for name, one in cast("dict[str, Any]", found).items()}
    elif isinstance(found, tuple):
        found = tuple(filled_in(one, **words) for one in cast("tuple[Any, ...]", found))
    return found
