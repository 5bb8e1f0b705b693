"""Protective levels of one position: stop-loss, take-profit, trailing stop and breakeven (rules 7, 8)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import rules
from ..models import ExitReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..models import Order, Position
    from .book import Working

__all__ = ["UNPROTECTED", "Guard", "Protection"]

_REASONS = {
    rules.BY_STOP: ExitReason.STOP_LOSS,
    rules.BY_BREAKEVEN: ExitReason.BREAKEVEN,
    rules.BY_TRAILING: ExitReason.TRAILING_STOP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What protects a position: prices, or percent from its entry price. A price wins over its percentage."""

    stop_loss: float | None = None
    take_profit: float | None = None
    stop_loss_pct: float | None = None
    take_profit_pct: float | None = None
    trailing_stop_pct: float | None = None
    trailing_activation_pct: float | None = None
    breakeven_pct: float | None = None

    def with_order(self, order: Order) -> Protection:
        """The same with the prices that `order` carries."""
        if order.stop_loss is None and order.take_profit is None:
            return self
        return replace(
            self,
            stop_loss=self.stop_loss if order.stop_loss is None else order.stop_loss,
            take_profit=self.take_profit if order.take_profit is None else order.take_profit,
        )

    @property
    def follows(self) -> bool:
        """True when a level moves with the price."""
        return self.trailing_stop_pct is not None or self.breakeven_pct is not None


UNPROTECTED = Protection()


class Guard:
    """The levels in force for a position: `stop` (the best of all stops, why in `reason`) and `target`."""

    __slots__ = (
        "best",
        "entry",
        "leaving",
        "liquidation",
        "protection",
        "reason",
        "side",
        "stop",
        "target",
        "tick",
    )

    def __init__(self, protection: Protection, side: int, entry: float, tick: float) -> None:
        self.protection = protection
        self.side = side
        self.entry = entry
        self.tick = tick
        self.best = entry
        self.liquidation: float | None = None
        self.leaving: Working | None = None
        self.refresh()

    def state(self) -> dict[str, Any]:
        """What it goes on from after a restart, as JSON can hold it."""
        leaving = self.leaving if self.is_leaving else None
        return {
            "protection": asdict(self.protection),
            "side": self.side,
            "entry": self.entry,
            "best": self.best,
            "liquidation": self.liquidation,
            "leaving": None if leaving is None else leaving.order.id,
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any], tick: float, leaving: Working | None) -> Guard:
        """The levels that `state` told of."""
        made = cls(Protection(**state["protection"]), state["side"], state["entry"], tick)
        made.best, made.liquidation, made.leaving = state["best"], state["liquidation"], leaving
        made.refresh()
        return made

    @property
    def is_leaving(self) -> bool:
        """True while an order that one of the levels has sent still works: no other level sends one."""
        return self.leaving is not None and self.leaving.is_working

    @property
    def unset(self) -> float:
        """The stop that no price reaches."""
        return rules.unset_stop(self.side)

    def regrow(self, protection: Protection, entry: float) -> None:
        """The position has grown: its entry price, and with it the levels in percent, have moved."""
        self.protection, self.entry = protection, entry
        self.refresh()

    def refresh(self) -> None:
        """Compute the levels from the protection, the entry price and the best price seen so far."""
        p, side, entry, tick = self.protection, self.side, self.entry, self.tick
        trailing, activation = _or(p.trailing_stop_pct, rules.UNSET), _or(p.trailing_activation_pct, 0.0)
        breakeven = _or(p.breakeven_pct, rules.UNSET)
        self.stop, by = rules.in_force(
            side, self._fixed_stop(), entry, self.best, breakeven, trailing, activation, tick
        )
        self.reason = _REASONS[by]
        if p.take_profit is not None:
            self.target = rules.target_level(side, p.take_profit, 0.0, tick)
        elif p.take_profit_pct is not None:
            self.target = rules.target_level(side, entry, p.take_profit_pct, tick)
        else:
            self.target = rules.unset_target(side)

    def _fixed_stop(self) -> float:
        if self.protection.stop_loss is not None:
            return rules.stop_level(self.side, self.protection.stop_loss, 0.0, self.tick)
        if self.protection.stop_loss_pct is not None:
            return rules.stop_level(self.side, self.entry, self.protection.stop_loss_pct, self.tick)
        return self.unset

    def saw(self, price: float) -> bool:
        """Note the most favourable price seen; True when a level moved with it."""
        if not self.protection.follows or self.side * (price - self.best) <= 0.0:
            return False
        self.best, before = price, self.stop
        self.refresh()
        return self.stop != before

    @property
    def nearest_stop(self) -> float:
        """The stop or the liquidation price, whichever the price reaches first."""
        return self.stop if self.liquidation is None else rules.better_stop(self.side, self.stop, self.liquidation)

    def is_safe(self, low: float, high: float) -> bool:
        """True when a bar between `low` and `high` reaches no level."""
        liquidation = self.unset if self.liquidation is None else self.liquidation
        return rules.is_safe(self.side, low, high, self.stop, self.target, liquidation)

    @property
    def trailing(self) -> float | None:
        """The trailing stop, None when there is none or it is not active yet."""
        p = self.protection
        if p.trailing_stop_pct is None:
            return None
        activation = _or(p.trailing_activation_pct, 0.0)
        level = rules.trailing_level(self.side, self.entry, self.best, p.trailing_stop_pct, activation, self.tick)
        return None if level == self.unset else level

    @property
    def stop_price(self) -> float | None:
        """The stop in force, None when there is none."""
        return None if self.stop == self.unset else self.stop

    @property
    def target_price(self) -> float | None:
        """The target in force, None when there is none."""
        return None if self.target in (rules.NONE_LOW, rules.NONE_HIGH) else self.target

    @property
    def liquidation_price(self) -> float | None:
        """The price at which the position is liquidated, None when none is."""
        return None if self.liquidation in (None, rules.NONE_LOW, rules.NONE_HIGH) else self.liquidation

    def on(self, position: Position) -> Position:
        """`position`, the one that is guarded, with its levels."""
        return replace(
            position,
            stop_loss=self.stop_price,
            take_profit=self.target_price,
            trailing_stop=self.trailing,
            liquidation_price=self.liquidation_price,
        )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
