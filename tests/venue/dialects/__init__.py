"""The exchanges' own languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from . import binance, bitget, bybit, okx

if TYPE_CHECKING:
    from ..routes import Dialect

DIALECTS = cast("tuple[Dialect, ...]", (binance, bitget, bybit, okx))  # modules: their names are constants
