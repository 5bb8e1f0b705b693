"""Orders on their way out: what is asked for, what was made out about it, and the calls that it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..models import ExitReason, MarginMode, OrderType, Side
from .markets import amount_text, digits, price_text
from .venues import Segment, segment_of

if TYPE_CHECKING:
    from ..models import Market, Order, PositionMode

__all__ = ["CONTRACTS", "TRIGGERED", "Call", "OrderRequest", "Plan", "Terms", "is_target", "is_trailing"]

TRIGGERED = (OrderType.STOP, OrderType.STOP_LIMIT)
"""The types of orders that wait for a price."""
CONTRACTS = (Segment.LINEAR, Segment.INVERSE)
"""The segments in which positions are held on margin, with legs."""


class Call(NamedTuple):
    """A method of CCXT and its positional arguments."""

    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a position is held on: `margin_mode` and `position_mode` None leave the account as it is."""

    leverage: float = 1.0
    margin_mode: MarginMode | None = None
    position_mode: PositionMode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order with what goes beyond it.

    Args:
        order: the order, in our units. A trailing stop is one of type STOP without a stop price. A stop fires when
            the price moves against it, upwards for a buy; with the reason TAKE_PROFIT the other way.
        terms: what its position is held on.
        trailing_stop_pct: how far the stop trails behind the best price, in percent.
        trailing_activation_price: from which price on it trails; None: at once.
        cost: what a spot purchase at market may cost, in quote, in place of `order.qty`.
        reference_price: the last price, where it is known. Some sizes can't be told without one.
        watched: True where the caller itself sees to what the exchange can't: that stops and targets act, and that
            a reduce-only order is no larger than the position.
    """

    order: Order
    terms: Terms
    trailing_stop_pct: float | None = None
    trailing_activation_price: float | None = None
    cost: float | None = None
    reference_price: float | None = None
    watched: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A request that was rounded and checked, and its market."""

    request: OrderRequest
    market: Market

    @property
    def order(self) -> Order:
        """The order."""
        return self.request.order

    @property
    def segment(self) -> Segment:
        """The segment of its market."""
        return segment_of(self.market)

    @property
    def is_contract(self) -> bool:
        """Does it trade swaps or dated futures?"""
        return self.segment in CONTRACTS

    @property
    def is_limit(self) -> bool:
        """Has it a limit price?"""
        return self.order.price is not None

    @property
    def is_triggered(self) -> bool:
        """Does it wait for a price, be it fixed or trailing?"""
        return self.order.type in TRIGGERED

    @property
    def is_trailing(self) -> bool:
        """Is it a trailing stop?"""
        return is_trailing(self.order)

    @property
    def is_target(self) -> bool:
        """Is it a take-profit that stands by itself?"""
        return is_target(self.order)

    @property
    def rises(self) -> bool:
        """Does it fire when the price rises to its stop price?"""
        return (self.order.side is Side.BUY) is not self.is_target

    @property
    def closes(self) -> bool:
        """Can it only close: by its word, or as the counter side of its leg in hedge mode?"""
        leg = self.order.position_side
        return self.order.reduce_only if leg is None else (leg == "long") is (self.order.side is Side.SELL)

    @property
    def margin_mode(self) -> MarginMode:
        """The margin mode, cross where none is asked for."""
        return self.request.terms.margin_mode or MarginMode.CROSS

    @property
    def priced_at(self) -> float | None:
        """The price that its size is reckoned at: its own, else the last one."""
        own = self.order.stop_price if self.order.price is None else self.order.price
        return self.request.reference_price if own is None else own

    def amount(self) -> str:
        """Its quantity in the exchange's unit."""
        return amount_text(self.market, self.order.qty, self.priced_at)

    def stop(self) -> str:
        """Its stop price on the tick, never nearer to the market than asked."""
        return price_text(self.market, cast("float", self.order.stop_price), -1 if self.rises else 1)

    def percent(self) -> str:
        """How far it trails, in percent."""
        return digits(cast("float", self.request.trailing_stop_pct))

    def cost_text(self, cost: float) -> str:
        """A cost in quote, rounded down to what prices are counted in, as exchanges do."""
        return price_text(self.market, cost)

    def protective(self, name: str) -> str:
        """`stop_loss` or `take_profit` of the order on the tick, never nearer to the entry than asked."""
        level = cast("float", getattr(self.order, name))
        away = self.order.side.sign if name == "stop_loss" else -self.order.side.sign
        return price_text(self.market, level, away)


def is_trailing(order: Order) -> bool:
    """Is this a trailing stop: one without a price of its own?"""
    return order.type is OrderType.STOP and order.stop_price is None


def is_target(order: Order) -> bool:
    """Is this a take-profit that stands by itself: one that waits for the price to move in its favour?"""
    return order.type in TRIGGERED and order.reason is ExitReason.TAKE_PROFIT
