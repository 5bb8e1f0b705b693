"""The orders of a simulated broker: which of them still work, how each stands, and the news of their changes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ..models import Order, OrderStatus, OrderType, Rejection, Side
from . import News

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..clock import Clock
    from ..models import Bar, ExitReason, Fill
    from .holding import Holding

__all__ = ["Book", "Working"]


class Working:
    """An order that can still trade, and the position (`held`) that it works on, +1 or -1 its `side`.

    Since when may it trade, has it `arrived` at the market, was its stop `triggered`.

    `shrinkable` marks an order that was sized by the settings and may fill smaller; `taking` one that takes what
    the market offers, as market orders do and stop orders once triggered, and still has a rest to fill.

    One that `waits` found no volume in its bar and trades on in the next; `passed` says that the market stood
    beyond its limit as that bar ended, so that the next open is no better price for it.
    """

    __slots__ = (
        "active_from", "arrived", "held", "order", "passed", "shrinkable", "side", "taking", "triggered", "waits",
    )  # fmt: skip

    def __init__(self, order: Order, held: Holding, active_from: int = 0, *, shrinkable: bool = False) -> None:
        self.order = order
        self.held = held
        self.side = order.side.sign
        self.active_from = active_from
        self.shrinkable = shrinkable
        self.arrived = self.waits = self.passed = False
        self.triggered = order.type is OrderType.LIMIT
        self.taking = order.type is OrderType.MARKET


class Book:
    """Working orders by symbol, each queue in the order in which they were sent, and all orders by id.

    Args:
        symbols: the symbols of the run.
        clock: the run's clock.
        strategy_id: whose orders the exits of protective levels are.
    """

    def __init__(self, symbols: Iterable[str], clock: Clock, strategy_id: int = 0) -> None:
        self.of: dict[str, list[Working]] = {symbol: [] for symbol in symbols}
        self.orders: dict[str, Order] = {}
        self._working: dict[str, Working] = {}
        self.news: deque[News] = deque()
        self.stirred = False
        """Set with every piece of news; whoever wants to know of them resets it."""
        self._clock = clock
        self._strategy_id = strategy_id
        self._sent = 0

    def __iter__(self) -> Iterator[Working]:
        for queue in self.of.values():
            yield from queue

    # -- looking ------------------------------------------------------------------------------------------

    def working(self, symbol: str | None = None) -> list[Order]:
        """The orders of one symbol or of all that can still trade, oldest first."""
        if symbol is not None:
            return [working.order for working in self.of[symbol]]
        return sorted((working.order for working in self), key=lambda order: int(order.id))

    def find(self, order_id: str) -> Working | None:
        """The working order of that id."""
        return self._working.get(order_id)

    def active(self, bar: Bar) -> list[Working]:
        """The orders that may trade in `bar`."""
        return [working for working in self.of[bar.symbol] if working.active_from <= bar.time]

    def is_expecting(self, but: str) -> bool:
        """Is an order, other than the one of id `but`, still on its way to the market?"""
        return any(not working.arrived for name, working in self._working.items() if name != but)

    def resting(self) -> list[Working]:
        """The limit orders that wait in the market, stop-limits that were triggered included."""
        return [one for one in self._working.values() if one.arrived and one.triggered and not one.taking]

    # -- changing -----------------------------------------------------------------------------------------

    def next_id(self) -> str:
        """The id of the next order."""
        self._sent += 1
        return str(self._sent)

    def add(self, working: Working) -> None:
        """Take an order in."""
        self.of[working.order.symbol].append(working)
        self._working[working.order.id] = working

    def remove(self, working: Working) -> None:
        """Take an order out, if it is in."""
        if self._working.pop(working.order.id, None) is not None:
            self.of[working.order.symbol].remove(working)

    def drop(self, working: Working, status: OrderStatus, message: str, reason: str | None = None) -> None:
        """Take a working order off the market; with a `reason` it was refused. What has filled stays filled."""
        self.remove(working)
        order = working.order
        text = f"{reason}: {message}" if reason else message
        if order.filled > 0.0 and status is OrderStatus.REJECTED:
            status = OrderStatus.CANCELED
        working.order = order.changed(status=status, message=text)
        refused = Rejection(self._clock.now(), order.symbol, order.id, reason, message) if reason else None
        self.announce(working.order, refused)

    def announce(self, order: Order, result: Fill | Rejection | None = None) -> None:
        """Let `order` replace its former value, and make news of it."""
        now = self._clock.now()
        if order.updated != now:
            order = order.changed(updated=now)
        self.orders[order.id] = order
        working = self._working.get(order.id)
        if working is not None:
            working.order = order
        self.tell(order, result)

    def tell(self, order: Order, result: Fill | Rejection | None) -> None:
        """Make news of `order` without changing it."""
        self.stirred = True
        self.news.append(News(order, result))

    def flush(self) -> Iterator[News]:
        """The news that were not told yet."""
        while self.news:
            yield self.news.popleft()

    def exit_order(self, held: Holding, reason: ExitReason) -> Order:
        """The order that closes a whole position for a `reason` of its own."""
        now = self._clock.now()
        return Order(
            id=self.next_id(),
            symbol=held.market.symbol,
            side=Side.SELL if held.side > 0 else Side.BUY,
            type=OrderType.MARKET,
            qty=abs(held.qty),
            status=OrderStatus.OPEN,
            reduce_only=True,
            tag=held.tag,
            strategy_id=self._strategy_id,
            position_side=held.position_side,
            reason=reason,
            created=now,
            updated=now,
        )
