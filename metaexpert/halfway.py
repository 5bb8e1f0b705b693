"""What a run was in the midst of when it was killed: an order was written down, and not yet the state after it.

The event that it was handling is not handled again by the next run: whoever decided on it once would do so twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .models import Fill, Order, OrderStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .models import Rejection

    type Change = tuple[Order, Fill | Rejection | None]

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

    def told(self, news: Iterable[Change]) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
        """Divide news of orders into those that were being told as the run was cut, and those that came later.

        What came of an order before the change that was being told was told before it.
        """
        kept = list(news)
        cut = {number for kind, body in self.events for number in _told_by(kind, body, kept)}
        heard = tuple(one for number, one in enumerate(kept) if number in cut)
        return heard, tuple(one for number, one in enumerate(kept) if number not in cut)

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


def _told_by(kind: str, body: Any, news: list[Change]) -> list[int]:
    """The numbers of the news that an event of the tape had brought, and of those before it of the same order."""
    if kind not in _OF_ORDERS:
        return []
    names = _names(kind, body)
    own = [number for number, (order, _) in enumerate(news) if names & {order.id, order.exchange_id}]
    last = next((count for count, number in enumerate(own, 1) if _is_it(kind, body, *news[number])), len(own))
    return own[:last]


def _names(kind: str, body: Any) -> set[str | None]:
    """Our id of the order that an event is about, and the exchange's, as far as it tells them."""
    if kind == "OrderReport":
        return {body[1]["id"], body[1].get("exchange_id", body[1]["id"])}
    if kind == "FillReport":
        return {body[2] or body[1][3], body[1][3]}
    return {body[2]}


def _is_it(kind: str, body: Any, order: Order, result: Fill | Rejection | None) -> bool:
    """Is this the change that the event has brought?"""
    if kind == "FillReport":
        return isinstance(result, Fill) and (result.price, result.time) == (body[1][6], body[1][1])
    return kind == "OrderReport" and order.status == body[1].get("status", OrderStatus.PENDING)
