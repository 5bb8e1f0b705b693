"""The exchanges' own languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import binance, bybit

if TYPE_CHECKING:
    from ..routes import Dialect

DIALECTS: tuple[Dialect, ...] = (binance, bybit)
