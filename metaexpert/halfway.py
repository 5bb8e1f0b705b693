"""What a run was in the midst of when it was killed: an order was written down, and not yet the state after it.

The event that it was handling is not handled again by the next run: whoever decided on it once would do so twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .models import Order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Halfway", "body_of", "halfway"]

_OF_ORDERS = ("OrderReport", "FillReport", "OrderRefused", "OrderMissing", "ChangeRefused")
_HEARD_AGAIN = ("Step", "PublicTrade", *_OF_ORDERS)


class Halfway(NamedTuple):
    """The orders that the last state knows nothing of, and the events that brought them, as the tape has them."""

    orders: tuple[Order, ...]
    events: tuple[tuple[str, Any], ...]

    def past(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The last state, with the bars and trades that brought an order taken as heard."""
        closes, seen = dict(state["closes"]), dict(state["seen"])
        for kind, body in self.events:
            if kind == "Step":
                closes |= {row[1]: max(body[0], closes.get(row[1], 0)) for row in body[2]}
            elif kind == "PublicTrade":
                seen[body[1]] = body
        return {**state, "closes": closes, "seen": seen}

    def has_told(self, order: Order) -> bool:
        """Was news of `order` being told?"""
        names = {order.id, order.exchange_id} - {None}
        return any(not names.isdisjoint(_names(kind, body)) for kind, body in self.events)

    def lines(self) -> list[str]:
        """For people."""
        what = {
            "Step": "a bar",
            "PublicTrade": "a trade",
            **dict.fromkeys(_OF_ORDERS, "news of an order"),
        }
        sent = ", ".join(order.id for order in self.orders)
        return [
            f"the last run was cut while it handled {what[kind]} and ordered ({sent}): that is not handled again"
            for kind in dict.fromkeys(kind for kind, _ in self.events)
        ]


def body_of(order: Order, kind: str, body: Any) -> dict[str, Any]:
    """What is written down of an order about to be sent, while the event of that `kind` is handled."""
    return {"order": order.as_dict(), "event": [kind, body] if kind in _HEARD_AGAIN else None}


def halfway(bodies: Iterable[Mapping[str, Any]]) -> Halfway:
    """What `body_of` wrote down of each order."""
    kept = list(bodies)
    events = [one["event"] for one in kept if one["event"] is not None]
    return Halfway(
        tuple(Order.from_dict(one["order"]) for one in kept),
        tuple((kind, body) for i, (kind, body) in enumerate(events) if [kind, body] not in events[:i]),
    )


def _names(kind: str, body: Any) -> set[str]:
    """Our ids and the exchange's of the orders that an event of the tape is about."""
    if kind == "OrderReport":
        return {body[1]["id"], body[1].get("exchange_id") or body[1]["id"]}
    if kind == "FillReport":
        return {body[2] or body[1][3], body[1][3]}
    return {body[2]} if kind in _OF_ORDERS else set()
