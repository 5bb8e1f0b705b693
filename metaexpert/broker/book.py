"""The orders of a simulated broker that can still trade."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..models import OrderType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..models import Bar, Order

__all__ = ["Book", "Working"]


class Working:
    """An order that can still trade: since when, has it `arrived` at the market, was its stop `triggered`.

    `shrinkable` marks an order that was sized by the settings and may fill smaller.
    """

    __slots__ = ("active_from", "arrived", "order", "shrinkable", "triggered")

    def __init__(self, order: Order, active_from: int, *, shrinkable: bool) -> None:
        self.order = order
        self.active_from = active_from
        self.shrinkable = shrinkable
        self.arrived = False
        self.triggered = order.type is OrderType.LIMIT


class Book:
    """Working orders by symbol, each queue in the order in which they were sent."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self.of: dict[str, list[Working]] = {symbol: [] for symbol in symbols}

    def __iter__(self) -> Iterator[Working]:
        for queue in self.of.values():
            yield from queue

    def orders(self, symbol: str | None = None) -> list[Order]:
        """The orders of one symbol or of all, oldest first."""
        if symbol is not None:
            return [working.order for working in self.of[symbol]]
        return sorted((working.order for working in self), key=lambda order: int(order.id))

    def find(self, order_id: str) -> Working | None:
        """The working order of that id."""
        return next((working for working in self if working.order.id == order_id), None)

    def active(self, bar: Bar) -> list[Working]:
        """The orders that may trade in `bar`."""
        return [working for working in self.of[bar.symbol] if working.active_from <= bar.time]

    def update(self, order: Order) -> None:
        """Let `order` replace its former value."""
        for working in self.of[order.symbol]:
            if working.order.id == order.id:
                working.order = order

    def remove(self, working: Working) -> None:
        """Take an order out, if it is in."""
        queue = self.of[working.order.symbol]
        if working in queue:
            queue.remove(working)

    def is_expecting(self, but: str) -> bool:
        """Is an order, other than the one of id `but`, still on its way to the market?"""
        return any(not working.arrived and working.order.id != but for working in self)

    def resting(self) -> Iterator[Order]:
        """The limit orders that wait in the market, stop-limits that were triggered included."""
        return (working.order for working in self if working.arrived and working.triggered)
