"""The exchanges, behind one door: `MetaExchange`, which is loaded when it is asked for, and pandas with it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .exchange import CandleSource, MetaExchange

__all__ = ["CandleSource", "MetaExchange"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(".exchange", __name__), name)
    globals()[name] = value  # found without this function from now on
    return value
