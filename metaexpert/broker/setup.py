"""What a broker is set up with by a strategy's settings: costs, protective levels, a leverage that it can have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError
from .costs import Costs
from .protection import Protection

if TYPE_CHECKING:
    from ..config import StrategySettings
    from ..models import Market

__all__ = ["check_leverage", "costs_of", "protection_of"]


def costs_of(strategy: StrategySettings) -> Costs:
    """What trading costs by the settings of a strategy."""
    return Costs(
        slippage_rate=strategy.slippage_pct / 100.0,
        fee_maker=strategy.fee_maker,
        fee_taker=strategy.fee_taker,
        maintenance_margin_rate=strategy.maintenance_margin_rate,
        liquidation_fee_rate=strategy.liquidation_fee_rate,
        touch=strategy.limit_fill == "touch",
        max_fill_volume_pct=strategy.max_fill_volume_pct,
    )


def check_leverage(strategy: StrategySettings, market: Market) -> None:
    """Refuse a leverage that the market does not allow, or that would be liquidated as it opens.

    Raises:
        ConfigError: it is too high.
    """
    rate = costs_of(strategy).maintenance(market)
    if not market.is_spot and strategy.leverage * rate >= 1.0:
        raise ConfigError(
            f"leverage={strategy.leverage:g} leaves less margin than the maintenance rate of {market.symbol}, "
            f"{rate:g}: stay below {1.0 / rate:g}"
        )
    if strategy.leverage > market.max_leverage:
        raise ConfigError(
            f"leverage={strategy.leverage:g} is above what {market.symbol} allows: {market.max_leverage:g}"
        )


def protection_of(strategy: StrategySettings) -> Protection:
    """The levels that every new position gets unless its order brings others."""
    return Protection(
        stop_loss_pct=strategy.stop_loss_pct,
        take_profit_pct=strategy.take_profit_pct,
        trailing_stop_pct=strategy.trailing_stop_pct,
        trailing_activation_pct=strategy.trailing_activation_pct,
        breakeven_pct=strategy.breakeven_pct,
    )
