"""An exchange of one market for a live broker: it matches, triggers, refuses and hides as it is told to."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from metaexpert.answers import ExchangeFill
from metaexpert.models import Account, Order, OrderStatus, OrderType, Position, Side
from metaexpert.reports import (
    AccountReport,
    Cancel,
    ChangeRefused,
    Check,
    Fetch,
    FillReport,
    FillsFetched,
    Find,
    OrderMissing,
    OrderRefused,
    OrderReport,
    OrderUnknown,
    Send,
)

if TYPE_CHECKING:
    from metaexpert.reports import Command, Report

__all__ = ["Bourse"]

_STEP = 0.001


class Bourse:
    """See the module's docstring. No fees; money is not looked at.

    `orders` are all that came, by our id; `position` is what the account holds by leg. What it says waits in
    `said` (orders and answers) and `filled` (fills) until somebody listens: the two come in no order of their own.
    `faults` are what befalls the next orders that come: "refuse", "reached", "hide" (it arrives, the answer does
    not) or "drop" (it does not arrive).
    """

    def __init__(self, symbol: str, price: float) -> None:
        self.symbol = symbol
        self.price = price
        self.time = 0
        self.orders: dict[str, Order] = {}
        self.position: dict[str | None, float] = {}
        self.fills: list[FillReport] = []
        self.said: deque[Report | Check] = deque()
        self.filled: deque[FillReport] = deque()
        self.faults: deque[str] = deque()
        self.is_halving = False
        """The next order that fires fills by half, and is cancelled."""

    # -- what is asked ------------------------------------------------------------------------------------------

    def take(self, command: Command) -> None:
        """Do what a command asks for."""
        if isinstance(command, Send):
            self._receive(command.order)
        elif isinstance(command, Cancel):
            self._cancel(command.order)
        elif isinstance(command, Find):
            found = self.orders.get(command.order.id)
            missing = OrderMissing(self.time, self.symbol, command.order.id)
            self.said.append(missing if found is None else OrderReport(self.time, found))
        elif isinstance(command, Fetch):
            self.said.extend(self.fills)
            self.said.append(FillsFetched(self.time, self.symbol, command.since))
        elif isinstance(command, Check):
            self.said.append(command)

    def listen(self, *, fills: bool) -> Report | None:
        """The next thing that it says, of fills or of the rest; None where there is nothing."""
        if fills:
            return self.filled.popleft() if self.filled else None
        if not self.said:
            return None
        said = self.said.popleft()
        return self._account() if isinstance(said, Check) else said

    def _account(self) -> AccountReport:
        held = tuple(
            Position(symbol=self.symbol, position_side=leg, qty=qty, entry_price=self.price, mark_price=self.price)
            for leg, qty in self.position.items()
            if qty != 0.0
        )
        return AccountReport(
            self.time, Account(currency="USDT", balance=1e6, equity=1e6), held, tuple(self.standing)
        )

    # -- orders -------------------------------------------------------------------------------------------------

    @property
    def standing(self) -> list[Order]:
        """The orders that work."""
        return [one for one in self.orders.values() if one.is_working]

    def _receive(self, order: Order) -> None:
        assert order.id not in self.orders, f"order {order.id} came twice"
        fault = self.faults.popleft() if self.faults else ""
        reason = {"refuse": "rejected", "reached": "stop_reached"}.get(fault)
        if fault in ("hide", "drop"):
            self.said.append(OrderUnknown(self.time, self.symbol, order.id, "no answer"))
        if fault == "drop":
            self.said.append(OrderMissing(self.time, self.symbol, order.id))
        elif reason is not None or (order.reduce_only and self._closable(order) == 0.0):
            self.said.append(OrderRefused(self.time, self.symbol, order.id, reason or "rejected", "no"))
        else:
            self.orders[order.id] = order.changed(status=OrderStatus.OPEN, exchange_id=f"x{order.id}")
            self._say(order.id)
            self._trigger()
            if order.type is OrderType.MARKET:
                self._fill(order.id)

    def _cancel(self, order: Order) -> None:
        known = self.orders.get(order.id)
        if known is None or not known.is_working:
            self.said.append(ChangeRefused(self.time, self.symbol, order.id, "cancel", "it works no more"))
        else:
            self._end(order.id, OrderStatus.CANCELED)

    def cancel_by_hand(self, index: int) -> None:
        """Somebody cancels one of the orders that work."""
        if self.standing:
            self._end(self.standing[index % len(self.standing)].id, OrderStatus.CANCELED)

    def _end(self, name: str, status: OrderStatus) -> None:
        self.orders[name] = self.orders[name].changed(status=status)
        self._say(name)

    def _say(self, name: str) -> None:
        self.said.append(OrderReport(self.time, self.orders[name]))

    # -- trading ------------------------------------------------------------------------------------------------

    def move(self, price: float) -> None:
        """The market is at `price` now."""
        self.price = price
        self._trigger()

    def trade_by_hand(self, qty: float, leg: str | None = None) -> None:
        """Somebody else trades signed `qty` on the account."""
        self.position[leg] = _sum(self.position.get(leg, 0.0), qty)

    def _trigger(self) -> None:
        for order in self.standing:
            level = order.stop_price
            if level is None:
                continue
            falls = (order.reason == "take_profit") == (order.side is Side.BUY)
            if self.price <= level if falls else self.price >= level:
                self._fire(order)

    def _fire(self, order: Order) -> None:
        closable = self._closable(order)
        if closable == 0.0:
            self._end(order.id, OrderStatus.CANCELED)
            return
        half = round(closable / 2, 3)
        if self.is_halving and half > 0.0:
            self.is_halving = False
            self._fill(order.id, half)
            self._end(order.id, OrderStatus.CANCELED)
        else:
            self._fill(order.id)

    def _closable(self, order: Order) -> float:
        held = self.position.get(order.position_side, 0.0)
        return min(abs(held), order.remaining) if held * order.side.sign < 0.0 else 0.0

    def _fill(self, name: str, qty: float | None = None) -> None:
        order = self.orders[name]
        most = self._closable(order) if order.reduce_only else order.remaining
        done = most if qty is None else qty
        leg = order.position_side
        self.position[leg] = _sum(self.position.get(leg, 0.0), order.side.sign * done)
        fill = ExchangeFill(
            f"f{len(self.fills)}", self.time, self.symbol, f"x{name}", order.side, done, self.price,
            position_side=leg,
        )  # fmt: skip
        report = FillReport(self.time, fill, name, 0.0)
        self.fills.append(report)
        self.filled.append(report)
        self.orders[name] = order.changed(filled=_sum(order.filled, done), average_price=self.price)
        if qty is None:
            self._end(name, OrderStatus.FILLED)


def _sum(first: float, second: float) -> float:
    return round(first + second, 3)
