"""Which bars a broker can let pass: the ones in which no order and no protective level can be reached."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .book import Working
    from .protection import Guard

__all__ = ["ALWAYS", "NEVER", "Quiet", "between"]


class Quiet(NamedTuple):
    """A bar does nothing but move the mark when its low is above `low` and its high below `high`.

    It must have closed by `until`, ms UTC, as well: what is due later may happen within it.
    """

    low: float
    high: float
    until: float


NEVER = Quiet(inf, -inf, -inf)
"""No bar is quiet."""
ALWAYS = Quiet(-inf, inf, inf)
"""Every bar is."""


def between(orders: Iterable[Working], guard: Guard | None) -> tuple[float, float]:
    """Above and below which prices none of `orders` trades and no level of `guard` is reached or moved."""
    low, high = -inf, inf
    for working in orders:
        level = working.price if working.triggered else working.stop_price
        if not working.arrived or working.taking or level is None:
            return inf, -inf
        if (working.side > 0) == working.triggered:
            low = max(low, level)  # a limit to buy, a stop to sell
        else:
            high = min(high, level)
    if guard is None:
        return low, high
    best = guard.best if guard.protection.follows else guard.target
    if guard.side > 0:
        return max(low, guard.nearest_stop), min(high, guard.target, best)
    return max(low, guard.target, best), min(high, guard.nearest_stop)
