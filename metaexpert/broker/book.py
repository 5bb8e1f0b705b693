"""The orders of a broker: which of them still work, how each stands, and the news of their changes."""

from __future__ import annotations

from collections import deque
from dataclasses import fields
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from .. import rules
from ..models import Order, OrderStatus, OrderType, Rejection, Side
from . import News
from .sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..clock import Clock
    from ..models import Bar, ExitReason, Fill
    from .holding import Holding

__all__ = ["SHRUNK", "Book", "Working"]

SHRUNK = "shrunk to the free margin"
"""The message of an order that was sized by the settings and filled smaller (rule 17)."""

_CHANGING = (
    "average_price", "fee", "filled", "message", "price", "qty", "status", "stop_price", "updated",
)  # fmt: skip
_FIELDS = tuple(one.name for one in fields(Order))
_STATE = (*_CHANGING, "active_from", "arrived", "passed", "shrinkable", "taking", "triggered", "waits")


class Working:
    """An order in the book, as it stands now: its quantity and prices, and what became of it so far.

    What it was sent with and never changes is read from `terms` (id, side, type, reduce_only, tag ...); what can
    change stands in fields of its own. `order` is the whole as a value, made when somebody looks.

    It works on the position `held`; `side` is +1 or -1. Since when may it trade, has it `arrived` at the market,
    was its stop `triggered`? `shrinkable` marks an order that was sized by the settings and may fill smaller;
    `taking` one that takes what the market offers, as market orders do and stop orders once triggered, and still
    has a rest to fill.

    One that `waits` found no volume in its bar and trades on in the next; `passed` says that the market stood
    beyond its limit as that bar ended, so that the next open is no better price for it. `number` counts the orders
    that came into the book, from 1: the older of two has the lower one.
    """

    __slots__ = (
        "active_from", "arrived", "average_price", "fee", "filled", "held", "is_changed", "message", "number",
        "passed", "price", "qty", "shrinkable", "side", "status", "stop_price", "taking", "terms", "triggered",
        "updated", "waits",
    )  # fmt: skip

    def __init__(self, order: Order, held: Holding, active_from: int = 0, *, shrinkable: bool = False) -> None:
        self.terms = order
        self.held = held
        self.side = order.side.sign
        self.qty, self.price, self.stop_price = order.qty, order.price, order.stop_price
        self.status, self.message, self.updated = order.status, order.message, order.updated
        self.filled, self.average_price, self.fee = order.filled, order.average_price, order.fee
        self.active_from = active_from
        self.shrinkable = shrinkable
        self.arrived = self.waits = self.passed = self.is_changed = False
        self.number = 0
        kind = order.type
        self.taking = kind is OrderType.MARKET
        self.triggered = kind is OrderType.LIMIT

    @property
    def order(self) -> Order:
        """The order as a value, as it stood at the last news of it."""
        if self.is_changed:
            self.is_changed = False
            made = self.terms.fields()
            for name in _CHANGING:
                made[name] = getattr(self, name)
            self.terms = Order.of(made)
        return self.terms

    @property
    def is_working(self) -> bool:
        """True while it can still trade."""
        return self.status is OrderStatus.OPEN or self.status is OrderStatus.PENDING

    @property
    def rest(self) -> float:
        """What is not filled yet, without the noise of floats."""
        if self.filled == 0.0:
            return self.qty
        return rules.sum_of_steps(self.qty, -self.filled, self.held.market.qty_step)

    def shrink(self, rest: float) -> None:
        """No more than `rest` is left to fill."""
        self.qty = rules.sum_of_steps(self.filled, rest, self.held.market.qty_step)
        if not self.terms.reduce_only:
            self.message = SHRUNK

    def enter(self, qty: float, price: float, fee: float) -> None:
        """Enter a fill."""
        if self.filled == 0.0:
            self.filled, self.average_price = qty, price
        else:
            before = price if self.average_price is None else self.average_price
            self.average_price = rules.average_entry(self.held.kind, self.filled, before, qty, price)
            self.filled = rules.sum_of_steps(self.filled, qty, self.held.market.qty_step)
        self.fee += fee
        if self.filled >= self.qty:
            self.status = OrderStatus.FILLED
        elif self.status is OrderStatus.PENDING:
            self.status = OrderStatus.OPEN

    def row(self) -> tuple[Any, ...]:
        """Its number and the fields of its order as it stands."""
        terms = self.terms
        return (
            self.number, terms.id, terms.symbol, terms.side, terms.type, self.qty, self.price, self.stop_price,
            self.status, self.filled, self.average_price, self.fee, terms.reduce_only, terms.post_only, terms.tif,
            terms.stop_loss, terms.take_profit, terms.tag, terms.strategy_id, terms.position_side, terms.reason,
            self.message, terms.created, self.updated, terms.exchange_id,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Everything that decides what becomes of it, as JSON can hold it."""
        return {"order": self.order.as_dict(), **{name: getattr(self, name) for name in _STATE}}

    @classmethod
    def restored(cls, state: Mapping[str, Any], held: Holding) -> Working:
        """The order that `state` told of."""
        made = cls(Order.from_dict(state["order"]), held)
        for name in _STATE:
            setattr(made, name, state[name])
        made.status = OrderStatus(state["status"])
        return made


def _numbered(row: tuple[Any, ...]) -> tuple[int, Order]:
    return row[0], Order.of(dict(zip(_FIELDS, row[1:], strict=True)))


class Book:
    """Working orders by symbol, each queue in the order in which they were sent, and all orders by id.

    Args:
        symbols: the symbols of the run.
        clock: the run's clock.
        strategy_id: whose orders the exits of protective levels are.
        name: the id of the order of a number, counted from 1.
    """

    def __init__(
        self, symbols: Iterable[str], clock: Clock, strategy_id: int = 0, name: Callable[[int], str] = str
    ) -> None:
        self.of: dict[str, list[Working]] = {symbol: [] for symbol in symbols}
        self.ended = Sheet(_numbered, 1 + len(_FIELDS))
        """The orders that work no more, those that were refused too, each with its number."""
        self._working: dict[str, Working] = {}
        self.news: deque[News] = deque()
        self.is_heard = True
        """False where nobody hears of orders: then only those with a message are told of, such as refused ones."""
        self.stirred = False
        """Set with every change of an order; whoever wants to know of them resets it."""
        self._clock = clock
        self._exit = Order(
            id="", symbol="", side=Side.SELL, type=OrderType.MARKET, qty=0.0, status=OrderStatus.OPEN,
            reduce_only=True, strategy_id=strategy_id,
        )  # fmt: skip
        self.sent = 0
        """How many orders have got an id."""
        self._name = name
        self._enrolled = 0

    def __iter__(self) -> Iterator[Working]:
        for queue in self.of.values():
            yield from queue

    # -- looking ------------------------------------------------------------------------------------------

    def orders(self) -> dict[str, Order]:
        """All orders by id as they stand now, in the order in which they came."""
        known = [*self.ended, *((working.number, working.order) for working in self._working.values())]
        return {order.id: order for _, order in sorted(known, key=itemgetter(0))}

    def working(self, symbol: str | None = None) -> list[Order]:
        """The orders of one symbol or of all that can still trade, oldest first."""
        if symbol is not None:
            return [working.order for working in self.of[symbol]]
        return [working.order for working in self._working.values()]

    def by_age(self) -> list[Working]:
        """All working orders, oldest first."""
        return list(self._working.values())

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
        self.sent += 1
        return self._name(self.sent)

    def add(self, working: Working) -> None:
        """Take an order in."""
        self._enrol(working)
        self.of[working.held.market.symbol].append(working)
        self._working[working.terms.id] = working

    def remove(self, working: Working) -> None:
        """Take an order out, if it is in."""
        if self._working.pop(working.terms.id, None) is not None:
            self.of[working.held.market.symbol].remove(working)

    def drop(self, working: Working, status: OrderStatus, message: str, reason: str | None = None) -> None:
        """Take a working order off the market; with a `reason` it was refused. What has filled stays filled."""
        self.remove(working)
        if working.filled > 0.0 and status is OrderStatus.REJECTED:
            status = OrderStatus.CANCELED
        working.status, working.message = status, f"{reason}: {message}" if reason else message
        refused = None
        if reason:
            terms = working.terms
            refused = Rejection(self._clock.now(), terms.symbol, terms.id, reason, message)
        self.announce(working, refused)

    def announce(self, working: Working, result: Fill | Rejection | None = None) -> None:
        """Make news of an order that has changed."""
        working.updated = self._clock.now()
        working.is_changed = self.stirred = True
        if not working.number:
            self._enrol(working)
        if not working.is_working:
            self.ended.write(working.row())
        if self.is_heard or working.message is not None:
            self.news.append(News(working.order, result))

    def _enrol(self, working: Working) -> None:
        self._enrolled += 1
        working.number = self._enrolled

    def tell(self, working: Working, result: Rejection) -> None:
        """Make news of an order that has not changed."""
        self.stirred = True
        if self.is_heard:
            self.news.append(News(working.order, result))

    def flush(self) -> Iterator[News]:
        """The news that were not told yet."""
        while self.news:
            yield self.news.popleft()

    def exit_order(self, held: Holding, reason: ExitReason) -> Order:
        """The order that closes a whole position for a `reason` of its own."""
        now = self._clock.now()
        return self._exit.changed(
            id=self.next_id(),
            symbol=held.market.symbol,
            side=Side.SELL if held.qty > 0.0 else Side.BUY,
            qty=abs(held.qty),
            tag=held.tag,
            position_side=held.position_side,
            reason=reason,
            created=now,
            updated=now,
        )
