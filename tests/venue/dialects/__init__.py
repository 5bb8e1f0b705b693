"""The exchanges' own languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from . import binance, bitget, bybit, kucoin, okx

if TYPE_CHECKING:
    from ..routes import Dialect

DIALECTS = cast("tuple[Dialect, ...]", (binance, bitget, bybit, kucoin, okx))  # modules: their names are constants
