"""The line that tells why a backtest has not begun yet: its candles are being downloaded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..exchanges.download import Progress

__all__ = ["show"]


def show(told: Progress) -> None:
    """Write how far a download is over the line before, on a terminal only; the last one is wiped."""
    if not sys.stderr.isatty():
        return
    share = told.done / told.total if told.total else 1.0
    line = f"downloading {told.symbol} {told.name}: {share:.0%}, {told.rows:,} rows"
    sys.stderr.write(f"\r{line:<79}" if share < 1.0 else f"\r{'':<79}\r")
    sys.stderr.flush()
