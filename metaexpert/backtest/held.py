"""How far prices went while each trade was held; `metaexpert.backtest.kernel` compiles it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .column import Floats, Ints

__all__ = ["extremes"]


def extremes(low: Floats, high: Floats, first: Ints, last: Ints, lowest: Floats, highest: Floats) -> None:
    """Lower each of `lowest` and raise each of `highest` to the prices of the candles `first` to `last` - 1."""
    for i in range(len(first)):
        least, most = lowest[i], highest[i]
        for k in range(first[i], last[i]):
            least, most = min(least, low[k]), max(most, high[k])
        lowest[i], highest[i] = least, most
