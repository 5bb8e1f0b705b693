"""What trading costs in a simulation: fees, slippage, margin rates, volume (rules 4, 10, 16, 18)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..models import Tier
from .holding import own_tiers

if TYPE_CHECKING:
    from ..models import Market

__all__ = ["Costs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What trading costs in a simulation; None takes the market's own. Rates are fractions.

    `max_fill_volume_pct` is the share of a bar's volume that it can fill; None: any.
    """

    slippage_rate: float = 0.0
    fee_maker: float | None = None
    fee_taker: float | None = None
    maintenance_margin_rate: float | None = None
    liquidation_fee_rate: float | None = None
    touch: bool = False
    max_fill_volume_pct: float | None = None

    def maker(self, market: Market) -> float:
        """Maker fee rate."""
        return market.maker if self.fee_maker is None else self.fee_maker

    def taker(self, market: Market) -> float:
        """Taker fee rate."""
        return market.taker if self.fee_taker is None else self.fee_taker

    def tiers(self, market: Market) -> tuple[Tier, ...]:
        """Margin tiers: one for all where the settings have a rate, else the market's own."""
        rate = self.maintenance_margin_rate
        return own_tiers(market) if rate is None else (Tier(math.inf, rate, 0.0, market.max_leverage),)

    def maintenance(self, market: Market) -> float:
        """Maintenance margin rate of a small position."""
        return self.tiers(market)[0].rate

    def liquidation_fee(self, market: Market) -> float:
        """Fee rate of a liquidation."""
        return market.liquidation_fee_rate if self.liquidation_fee_rate is None else self.liquidation_fee_rate
