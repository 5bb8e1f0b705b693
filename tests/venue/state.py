"""One exchange: its market, its account and the life of its orders; all amounts in the exchange's own units."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from .account import Account, Habits
from .matching import average
from .news import Change, OrderNews, TradeNews
from .orders import LIVE, ZERO, Order, Reason, Refusal, Status
from .prices import MINUTE
from .risk import Risk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .instruments import Instrument, Kind
    from .prices import Source, Trade

__all__ = ["Account", "Habits", "State"]


class State(Risk):
    """Instruments, prices, balances, positions and orders of one exchange: what it is asked, and what time does.

    A market order takes from the book, a limit order rests in it until the tape reaches it, a conditional one
    waits for its trigger.
    """

    def __init__(
        self, instruments: Iterable[Instrument], prices: Source, now: Callable[[], int],
        wallet_of: Callable[[Instrument], str], habits: Habits = Habits(),  # noqa: B008 - a constant
    ) -> None:  # fmt: skip
        super().__init__(instruments, prices, now, wallet_of, habits)
        self._upto = now()
        self._switches: dict[str, tuple[int, Callable[[Order], bool]]] = {}

    # --- time

    def advance(self) -> None:
        """Let everything happen that was to happen up to now: public trades one by one, and what they do.

        Nothing happens in it anew while a listener is told about it.
        """
        end = self._clock()
        if self._moment is not None or end <= self._upto:
            return
        try:
            while self._upto < end and (self.watched or self.live or self.held()):
                due = min((due for due, _ in self._switches.values()), default=end)
                upto = min((self._upto // MINUTE + 1) * MINUTE, max(due, self._upto + 1), end)
                self._run(self._upto, upto)
                self._upto = upto
                self._cancel_due()
        finally:
            self._upto, self._moment = end, None
            self._seen.clear()

    def switch(self, name: str, ms: int, covers: Callable[[Order], bool]) -> int:
        """Cancel the orders that it `covers` unless this is called again within `ms`; 0 ends it, also its return.

        Otherwise the time at which it is due.
        """
        self._switches.pop(name, None)
        if not ms:
            return 0
        self._switches[name] = self.now() + ms, covers
        return self.now() + ms

    def _cancel_due(self) -> None:
        """Cancel what the switches cover that nobody has held back."""
        over = [name for name, (due, _) in self._switches.items() if due <= self._upto]
        for _, covers in [self._switches.pop(name) for name in over]:
            for order in self.open_orders():
                if covers(order):
                    self.end(order, Status.CANCELED)

    def _run(self, begin: int, end: int) -> None:
        """All that happens in (begin, end], no more than a minute, at whose end mark and index prices change."""
        self._moment = end
        tape = self._tape(begin + 1, end + 1)
        for item, trade in (one for one in tape if one[1].time < end):
            self._moment = trade.time
            self._print(item, trade)
        self._moment = end
        self._beat()
        for item, trade in (one for one in tape if one[1].time == end):
            self._print(item, trade)

    def _tape(self, start: int, end: int) -> list[tuple[Instrument, Trade]]:
        """The trades of the instruments that matter to anybody, by time."""
        matter = {*self.watched, *(one.instrument for one in (*self.live.values(), *self.held()))}
        found = [(item, trade) for item in matter for trade in self.trades(item, start, end)]
        return sorted(found, key=lambda one: (one[1].time, one[0].kind, one[0].id, one[1].id))

    def _print(self, instrument: Instrument, trade: Trade) -> None:
        """One trade of the public: it is told, fills what rests, fires what waits, and may move the mark price."""
        self._seen[instrument] = trade.price
        self.tell(TradeNews(instrument, trade))
        self.meet(instrument, trade)
        self.look(instrument)
        self.supervise(instrument)

    def _beat(self) -> None:
        """What no trade brings about."""
        self.fund(self.now())
        self.settle(self.now())
        self.look()
        self.supervise()

    def pin(self, instrument: Instrument, price: Decimal | str | float) -> None:
        """Hold the price of `instrument` until it is pinned anew, good for any amount on both sides.

        From then on its tape is told by hand: `pin` prints one trade of the least amount, `trade` one of any.
        """
        self.advance()
        self.deep.add(instrument)
        self._print(instrument, self.print(instrument, Decimal(str(price)), instrument.min_amount))

    def trade(self, instrument: Instrument, price: Decimal | str | float, amount: Decimal | str | float) -> None:
        """Print a trade of the public; the tape is told by hand from then on, but the book has depth."""
        self.advance()
        self.deep.discard(instrument)
        self._print(instrument, self.print(instrument, Decimal(str(price)), Decimal(str(amount))))

    # --- requests

    def place(self, order: Order) -> Order:
        """Take an order, and fill it as far as it can be.

        Raises:
            Refusal: it is not taken, and nothing has changed.
        """
        self.advance()
        takes = [] if order.conditional or order.price is not None else self.plan(order)
        if order.cost is not None and order.price is None:
            order.amount = sum((take.amount for take in takes), ZERO)
            if order.conditional:
                step = order.instrument.step
                order.amount = order.cost / (order.trigger or self.price(order.instrument)) // step * step
        self._check(order, average(takes))
        if order.conditional:
            order.best = None if order.activation is not None else self.price(order.instrument)
        self.accept(order)
        if order.conditional:
            return order
        if order.post_only and self.crosses(order):
            order.reason = Reason.WOULD_TAKE
            self.end(order, Status.CANCELED)
        else:
            self.enter(order)
        return order

    def find(self, order_id: str = "", client_id: str = "", *kinds: Kind) -> Order:
        """An order by its id or by ours, the newest of several."""
        self.advance()
        for order in reversed(self.orders.values()):
            if kinds and order.instrument.kind not in kinds:
                continue
            if (order_id and str(order.id) == order_id) or (
                not order_id and client_id and order.client_id == client_id
            ):
                return order
        raise Refusal(Reason.NOT_FOUND, order_id or client_id)

    def cancel(self, order: Order) -> Order:
        """Cancel an order that is open or waiting."""
        if order.status not in LIVE:
            raise Refusal(Reason.NOT_FOUND, str(order.id))
        return self.end(order, Status.CANCELED)

    def amend(
        self, order: Order, amount: Decimal | None = None, price: Decimal | None = None, **levels: Decimal | None
    ) -> Order:
        """Change an order that is open or waiting; `levels`: trigger, activation, trailing. None changes nothing.

        It keeps its place in the book only if nothing but its amount changes, to less.
        """
        if order.status not in LIVE:
            raise Refusal(Reason.NOT_FOUND, str(order.id))
        told = {"amount": amount, "price": price} | levels
        changed = replace(order, **{name: value for name, value in told.items() if value})
        if amount and amount <= order.filled:
            raise Refusal(Reason.SMALL, order.instrument.id)  # that much is filled already
        self._check(changed)
        stays = changed.price == order.price and changed.amount <= order.amount
        for name in told:
            setattr(order, name, getattr(changed, name))
        order.updated = self.now()
        self.tell(OrderNews(order, None, Change.AMENDED))
        if order.status is Status.OPEN and not stays:
            order.rank = 0
            self.enter(order)
        return order

    def _check(self, order: Order, likely: Decimal | None = None) -> None:
        """Refuse what the exchange does not take; `likely` is the price at which it would be filled."""
        item, price = order.instrument, order.price or order.trigger or likely or self.price(order.instrument)
        if item.expiry is not None and item.expiry <= self.now():
            raise Refusal(Reason.SYMBOL, item.id)
        taken = self.orders.values() if self.habits.client_ids_are_spent else self.open_orders(item)
        if order.client_id and any(one.client_id == order.client_id and one.id != order.id for one in taken):
            raise Refusal(Reason.DUPLICATE, order.client_id)
        if order.price is not None and (order.price <= 0 or order.price % item.tick):
            raise Refusal(Reason.TICK, item.id)
        self._check_side(order)
        if order.close_all:
            return
        self._check_amount(order, price)
        refuses = order.post_only and not order.conditional and not self.habits.cancels_post_only
        if refuses and self.crosses(order):
            raise Refusal(Reason.WOULD_TAKE, item.id)
        waits = not order.id or order.status is Status.WAITING
        if order.trigger is not None and waits and self.fires(order):
            raise Refusal(Reason.WOULD_TRIGGER, item.id)
        if coin := self.lacking(order, price):
            raise Refusal(Reason.FUNDS, coin)

    def _check_amount(self, order: Order, price: Decimal) -> None:
        item = order.instrument
        if order.amount % item.step:
            raise Refusal(Reason.STEP, item.id)
        if order.amount < item.min_amount:
            raise Refusal(Reason.SMALL, item.id)
        if order.amount > item.max_amount:
            raise Refusal(Reason.LARGE, item.id)
        if not order.reduce_only and item.notional(order.amount, price) < item.min_cost:
            raise Refusal(Reason.NOTIONAL, item.id)

    def _check_side(self, order: Order) -> None:
        item = order.instrument
        if not item.margined:
            return
        if (order.side == "BOTH") == self.is_hedged(item):
            raise Refusal(Reason.POSITION_SIDE, item.id)
        held = self.position(item, order.side).amount
        if self.reduces(order) and not order.conditional and (held >= 0 if order.buy else held <= 0):
            raise Refusal(Reason.REDUCE_ONLY, item.id)
