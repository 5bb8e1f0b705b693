"""What a state tells its listeners: orders, positions, money, and the trades of the public."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from decimal import Decimal

    from .instruments import Instrument
    from .orders import Fill, Order, Position
    from .prices import Trade


class Change(StrEnum):
    """What has happened to an order."""

    ACCEPTED = "accepted"
    """It is open, or waits for its trigger."""
    FILLED = "filled"
    """In part or in whole: `Order.status` tells."""
    AMENDED = "amended"
    CANCELED = "canceled"
    EXPIRED = "expired"
    TRIGGERED = "triggered"
    """Its trigger was reached: it is open itself now, or has sent its child (`Order.child`), told just after."""


class OrderNews(NamedTuple):
    """One change of an order, which stands as it is just after; `fill` is told with a change `FILLED` alone."""

    order: Order
    fill: Fill | None
    change: Change


class PositionNews(NamedTuple):
    """A position has another amount, entry price or margin."""

    position: Position


class Cause(StrEnum):
    """Why money has moved."""

    FILL = "fill"
    """What a fill has cost, brought in or realised."""
    FEE = "fee"
    FUNDING = "funding"
    LIQUIDATION = "liquidation"
    SETTLEMENT = "settlement"
    TRANSFER = "transfer"


class BalanceNews(NamedTuple):
    """A balance has changed by `change`."""

    wallet: str
    coin: str
    change: Decimal
    cause: Cause


class TradeNews(NamedTuple):
    """A trade of the public tape, of an instrument that somebody follows."""

    instrument: Instrument
    trade: Trade


type News = OrderNews | PositionNews | BalanceNews | TradeNews
