"""What trading costs in a simulation: fees, slippage and margin rates (rules 4, 16, 18)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..models import Market

__all__ = ["Costs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What trading costs in a simulation; None takes the market's own. Rates are fractions."""

    slippage_rate: float = 0.0
    fee_maker: float | None = None
    fee_taker: float | None = None
    maintenance_margin_rate: float | None = None
    liquidation_fee_rate: float | None = None
    touch: bool = False

    def maker(self, market: Market) -> float:
        """Maker fee rate."""
        return market.maker if self.fee_maker is None else self.fee_maker

    def taker(self, market: Market) -> float:
        """Taker fee rate."""
        return market.taker if self.fee_taker is None else self.fee_taker

    def maintenance(self, market: Market) -> float:
        """Maintenance margin rate."""
        rate = self.maintenance_margin_rate
        return market.maintenance_margin_rate if rate is None else rate

    def liquidation_fee(self, market: Market) -> float:
        """Fee rate of a liquidation."""
        return market.liquidation_fee_rate if self.liquidation_fee_rate is None else self.liquidation_fee_rate
