"""Margin tiers: how the rules of `metaexpert.rules` change with the size of a position (rules 17, 18).

`tiers` are rows (max_notional, rate, deduction, max_leverage) that ascend: `metaexpert.models.Tier`s, or the rows
of an array. The last one holds for everything above the one before it. Pure functions of floats, as the rules are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .rules import NOTHING, better_stop, liquidation_in_tier, liquidation_price, unset_stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    type Tiers = Sequence[tuple[float, float, float, float]] | NDArray[np.float64]

__all__ = ["ABOVE_LAST_TIER", "ABOVE_TIER_LEVERAGE", "broken_tier", "liquidation_over", "tier_at"]

ABOVE_LAST_TIER, ABOVE_TIER_LEVERAGE = 1, 2
_NOISE = 1e-12


def tier_at(notional: float, tiers: Tiers) -> int:
    """Which tier a position of that `notional` (settlement currency) is in."""
    for k in range(len(tiers)):
        if notional <= tiers[k][0]:
            return k
    return len(tiers) - 1


def broken_tier(notional: float, leverage: float, tiers: Tiers) -> int:
    """What keeps a position of that `notional` from having that `leverage`; `NOTHING` when it may."""
    tier = tiers[tier_at(notional, tiers)]
    if notional > tier[0] * (1.0 + _NOISE):
        return ABOVE_LAST_TIER
    return ABOVE_TIER_LEVERAGE if leverage > tier[3] else NOTHING


def liquidation_over(kind: int, qty: float, entry: float, margin: float, tiers: Tiers) -> float:
    """Price at which `margin` + profit falls to the maintenance margin of the tier that the position is in there.

    The one that a market coming from the entry price meets first; see `metaexpert.rules.liquidation_price`.
    """
    if len(tiers) == 1:
        return liquidation_price(kind, qty, entry, margin + tiers[0][2], tiers[0][1])
    side = 1 if qty > 0.0 else -1
    price, low = unset_stop(side), 0.0
    for k in range(len(tiers)):
        high = math.inf if k == len(tiers) - 1 else tiers[k][0]
        level = liquidation_in_tier(kind, qty, entry, margin, tiers[k][1], tiers[k][2], low, high)
        price, low = better_stop(side, price, level), high
    return price
