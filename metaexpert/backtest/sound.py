"""What is looked at in all candles before they are played; `metaexpert.backtest.kernel` compiles it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .column import Floats, Ints

__all__ = ["survey"]


def survey(time: Ints, open_: Floats, high: Floats, low: Floats, close: Floats, volume: Floats) -> tuple[int, int]:
    """The shortest distance between two times, and the first row that is no candle (-1: none).

    The distance is 0 or negative where times don't ascend, and the largest integer for a single row.
    """
    n, shortest, unsound = len(time), 2**63 - 1, 0
    for k in range(n - 1):
        shortest = min(shortest, time[k + 1] - time[k])
    for k in range(n):  # counting all, without a way out, is several times as fast
        unsound += int(not _is_candle(open_[k], high[k], low[k], close[k], volume[k]))
    first = 0
    while unsound > 0 and _is_candle(open_[first], high[first], low[first], close[first], volume[first]):
        first += 1
    return shortest, first if unsound > 0 else -1


def _is_candle(open_: float, high: float, low: float, close: float, volume: float) -> bool:
    """Do low and high span open and close, are all prices positive, and is the volume a number from 0 on?"""
    spans = (low <= open_) & (low <= close) & (open_ <= high) & (close <= high)
    return spans & (low > 0.0) & (high < math.inf) & (volume >= 0.0) & (volume < math.inf)
