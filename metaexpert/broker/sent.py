"""An order of ours as it went to the exchange, and what is known of it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .. import rules
from ..models import Order, OrderStatus, OrderType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .book import Working
    from .holding import Holding

__all__ = ["FIRES", "Change", "Sent"]

FIRES = (OrderType.STOP, OrderType.STOP_LIMIT)
"""Orders that wait for a price; the exchange may go on with another one of another id."""
_STATE = (
    "average", "assumed", "at", "cancels", "changed", "fetches", "filled", "has_ended", "is_gone", "is_lost",
    "reported", "value", "why",
)  # fmt: skip


class Change(NamedTuple):
    """How a working order is to be changed: in its place, or by cancelling it and sending another one of `id`."""

    price: float | None
    qty: float | None
    id: str | None = None


class Sent:
    """One order at the exchange; it carries out `working`, which may be carried on by another one after it.

    `order` is what was sent, with our id. The exchange says its `status` (PENDING: nothing yet), that `reported`
    of it is filled at `average`, and knows it by `ids`. `filled` is what was booked, worth `value` (in the
    settlement currency), of which `assumed` on the word of a report, without a fill. It was sent `at` (ms UTC)
    while the market stood at `reference`. `is_unknown`: whether it arrived is not known; `is_lost`: it did not;
    `is_gone`: it was there, and is no more. `cancels` counts how often its cancelling was asked for, below 0 while
    a refusal of that is looked into; `why` says why. Its `change` where it stands was asked for at `changed`. In
    `doubt` are a price and a quantity that it was told to have and ours has not.
    """

    __slots__ = (
        "assumed", "at", "average", "cancels", "change", "changed", "doubt", "fetches", "filled", "has_ended",
        "ids", "is_gone", "is_lost", "is_unknown", "order", "reference", "reported", "status", "value", "why",
        "working",
    )  # fmt: skip

    def __init__(self, order: Order, working: Working, at: int, reference: float | None = None) -> None:
        self.order = order
        self.working = working
        self.at = at
        self.reference = reference
        self.status = OrderStatus.PENDING
        self.ids: list[str] = []
        self.filled = self.value = self.assumed = self.reported = 0.0
        self.average: float | None = None
        self.is_unknown = self.is_lost = self.is_gone = self.has_ended = False
        self.cancels = self.changed = self.fetches = 0
        self.why: str | None = None
        self.change: Change | None = None
        self.doubt: tuple[float | None, float] | None = None

    @property
    def held(self) -> Holding:
        """The position that it works on."""
        return self.working.held

    @property
    def is_final(self) -> bool:
        """Has the exchange said that it works no more?"""
        return self.status not in (OrderStatus.PENDING, OrderStatus.OPEN)

    @property
    def lacks(self) -> float:
        """What the exchange says is filled, and is not booked yet; 0 for less than half a step."""
        missing = self.reported - self.filled
        return missing if missing > 0.5 * self.held.market.qty_step else 0.0

    @property
    def missing_price(self) -> float | None:
        """The average price of what lacks, by the average that was reported; None where there was none."""
        if self.average is None or self.lacks == 0.0:
            return None
        if self.filled == 0.0:
            return self.average
        missing = self.reported - self.filled
        if self.held.kind == rules.INVERSE:
            worth = self.reported / self.average - self.value
            return missing / worth if worth > 0.0 else self.average
        worth = self.reported * self.average - self.value
        return worth / missing if worth > 0.0 else self.average

    def is_told(self, order: Order, price: float | None, qty: float | None) -> bool:
        """Does the exchange say that it has this price and quantity? None is any."""
        market = self.held.market
        has_price = price is None or (
            order.price is not None and abs(order.price - price) < 0.5 * market.price_tick
        )
        return has_price and (qty is None or abs(order.qty - qty) < 0.5 * market.qty_step)

    def differs(self, order: Order) -> bool:
        """Does it rest at the exchange with another price or quantity than ours?"""
        is_limit = self.order.type is OrderType.LIMIT and self.working.terms.type is OrderType.LIMIT
        rests = is_limit and order.is_working and order.price is not None and order.qty > self.filled
        return rests and not self.is_told(order, self.order.price, self.order.qty)

    def hear(self, order: Order) -> None:
        """Take in what the exchange says of it; the end that it told first is for good."""
        if order.exchange_id is not None and order.exchange_id not in self.ids:
            self.ids.append(order.exchange_id)
        is_whole = order.status is OrderStatus.FILLED and order.filled == 0.0
        whole = order.qty if is_whole else order.filled
        if whole > self.reported:
            self.reported, self.average = whole, order.average_price
        self.is_unknown = self.is_gone = False
        if not self.is_final:
            self.status = OrderStatus.OPEN if order.is_working else order.status

    def enter(self, qty: float, price: float) -> None:
        """Note a fill that was booked."""
        self.filled = rules.sum_of_steps(self.filled, qty, self.held.market.qty_step)
        self.value += qty / price if self.held.kind == rules.INVERSE else qty * price

    def state(self) -> dict[str, Any]:
        """Everything that decides what becomes of it, as JSON can hold it; a finished `working` with it."""
        return {
            **{name: getattr(self, name) for name in _STATE},
            "order": self.order.as_dict(),
            "status": self.status,
            "ids": list(self.ids),
            "change": self.change,
            "of": self.working.terms.id,
            "working": None if self.working.is_working else self.working.state(),
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any], working: Working) -> Sent:
        """The order that `state` told of; how it stands now is not known."""
        made = cls(Order.from_dict(state["order"]), working, state["at"])
        for name in _STATE:
            setattr(made, name, state[name])
        made.status, made.ids = OrderStatus(state["status"]), list(state["ids"])
        made.change = None if state["change"] is None else Change(*state["change"])
        made.is_unknown = not made.has_ended and made.status is OrderStatus.PENDING
        made.cancels = -abs(made.cancels)  # whether it was asked for is not known
        return made
