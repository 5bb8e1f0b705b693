"""One exchange: its market, its account and the life of its orders; all amounts in the exchange's own units."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from .account import Account, Habits
from .instruments import Instrument, Kind
from .news import Change, OrderNews, TradeNews
from .orders import LIVE, ZERO, Fill, Order, Reason, Refusal, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .prices import Prices, Trade

ENDS = {
    Status.CANCELED: Change.CANCELED, Status.EXPIRED: Change.EXPIRED, Status.TRIGGERED: Change.TRIGGERED,
}  # fmt: skip
__all__ = ["Habits", "State"]


class State(Account):
    """Instruments, prices, balances, positions and orders of one exchange.

    A market order fills at once at the price, a limit order rests until the price reaches it, a conditional one
    until its trigger.
    """

    def __init__(
        self, instruments: Iterable[Instrument], prices: Prices, now: Callable[[], int],
        wallet_of: Callable[[Instrument], str], habits: Habits = Habits(),  # noqa: B008 - a constant
    ) -> None:  # fmt: skip
        super().__init__(instruments, prices, now, wallet_of, habits)
        self._last_id = 1_000_000
        self._last_fill = 5_000_000
        self._upto = now()

    def pin(self, instrument: Instrument, price: Decimal | str | float) -> None:
        """Hold the price of `instrument` until it is pinned anew, good for any amount on both sides.

        From then on its tape is told by hand: `pin` prints one trade of the least amount, `trade` one of any.
        """
        self.advance()
        self.deep.add(instrument)
        self._look_at(instrument, self.print(instrument, Decimal(str(price)), instrument.min_amount))

    def trade(self, instrument: Instrument, price: Decimal | str | float, amount: Decimal | str | float) -> None:
        """Print a trade of the public; the tape is told by hand from then on, but the book has depth."""
        self.advance()
        self.deep.discard(instrument)
        self._look_at(instrument, self.print(instrument, Decimal(str(price)), Decimal(str(amount))))

    def place(self, order: Order) -> Order:
        """Take an order, and fill it if it can be.

        Raises:
            Refusal: it is not taken, and nothing has changed.
        """
        self.advance()
        if order.cost is not None and order.price is None:
            price, step = self.price(order.instrument), order.instrument.step
            order.amount = (order.cost / price).quantize(step, rounding=ROUND_DOWN)
        self._check(order)
        if order.conditional:
            order.best = None if order.activation is not None else self.price(order.instrument)
        self._accept(order)
        if order.conditional:
            return order
        if order.post_only and self._reaches(order):
            order.reason = Reason.WOULD_TAKE
            self._end(order, Status.CANCELED)
        else:
            self._match(order, fresh=True)
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
        return self._end(order, Status.CANCELED)

    def amend(self, order: Order, amount: Decimal | None = None, price: Decimal | None = None) -> Order:
        """Change the amount or the price of an order that is open or waiting."""
        if order.status not in LIVE:
            raise Refusal(Reason.NOT_FOUND, str(order.id))
        changed = replace(order, amount=amount or order.amount, price=price or order.price, client_id="")
        order.status = Status.EXPIRED  # what it reserves itself is no obstacle
        try:
            self._check(changed)
        finally:
            order.status = Status.WAITING if order.conditional else Status.OPEN
        order.amount, order.price, order.updated = changed.amount, changed.price, self.now()
        self.tell(OrderNews(order, None, Change.AMENDED))
        if order.status is Status.OPEN:
            self._match(order)
        return order

    def advance(self) -> None:
        """Let everything happen that was to happen up to now: public trades one by one, and what they do.

        Nothing happens in it anew while a listener is told about it.
        """
        if self._moment is not None:
            return
        begin, end = self._upto, self.now()
        self._upto = max(begin, end)
        try:
            for item, trade in self._tape(begin + 1, end + 1):
                self._moment = trade.time
                self._look_at(item, trade)
            self._moment = end
            self._look()
        finally:
            self._moment = None

    def _tape(self, start: int, end: int) -> list[tuple[Instrument, Trade]]:
        """The trades of the instruments that matter to anybody, by time."""
        matter = {*self.watched, *(one.instrument for one in (*self.open_orders(), *self.held()))}
        found = [(item, trade) for item in matter for trade in self.trades(item, start, end)]
        return sorted(found, key=lambda one: (one[1].time, one[0].kind, one[0].id))

    def _look_at(self, instrument: Instrument, trade: Trade) -> None:
        self.tell(TradeNews(instrument, trade))
        self._look(instrument)

    def _look(self, instrument: Instrument | None = None) -> None:
        """Let the price fill what rests and fire what waits."""
        for order in self.open_orders(instrument):
            if order.expires is not None and order.expires <= self.now():
                self._end(order, Status.EXPIRED)
            elif order.status is Status.OPEN:
                self._match(order)
            elif order.status is Status.WAITING and self._fires(order):
                self._fire(order)

    def fill(self, order: Order, amount: Decimal, price: Decimal, *, maker: bool) -> Fill:
        """Fill `amount` of an order at `price`; the engine does so, and a test may."""
        item = order.instrument
        self._last_fill += 1
        worth = item.value(amount, price) if item.kind is not Kind.SPOT else item.notional(amount, price)
        fee, coin = worth * (item.maker if maker else item.taker), item.settle
        if item.kind is Kind.SPOT and order.buy and not self.habits.fee_in_quote:
            fee, coin = fee / price, item.base
        fill = Fill(
            id=self._last_fill, time=self.now(), price=price, amount=amount, fee=fee, fee_coin=coin, maker=maker
        )
        order.filled += amount
        order.updated = fill.time
        order.fills.append(fill)
        if not order.remaining:
            order.status = Status.FILLED
        news = self._book(order, fill)
        for one in (OrderNews(order, fill, Change.FILLED), *news):
            self.tell(one)
        if order.status is Status.FILLED:
            self._attach(order)
        return fill

    # --- inside

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _accept(self, order: Order, order_id: int | None = None) -> None:
        order.id = order_id or self._next_id()
        order.created = order.updated = self.now()
        order.status = Status.WAITING if order.conditional else Status.OPEN
        self.orders[order.id] = order
        self.tell(OrderNews(order, None, Change.ACCEPTED))

    def _check(self, order: Order) -> None:
        item, price = order.instrument, order.price or order.trigger or self.price(order.instrument)
        taken = self.orders.values() if self.habits.client_ids_are_spent else self.open_orders(item)
        if order.client_id and any(one.client_id == order.client_id for one in taken):
            raise Refusal(Reason.DUPLICATE, order.client_id)
        if order.price is not None and (order.price <= 0 or order.price % item.tick):
            raise Refusal(Reason.TICK, item.id)
        self._check_side(order)
        if order.close_all:
            return
        if order.amount % item.step:
            raise Refusal(Reason.STEP, item.id)
        if order.amount < item.min_amount:
            raise Refusal(Reason.SMALL, item.id)
        if order.amount > item.max_amount:
            raise Refusal(Reason.LARGE, item.id)
        if not order.reduce_only and item.notional(order.amount, price) < item.min_cost:
            raise Refusal(Reason.NOTIONAL, item.id)
        taker = order.post_only and not order.conditional and self._reaches(order)
        if taker and not self.habits.cancels_post_only:
            raise Refusal(Reason.WOULD_TAKE, item.id)
        if order.trigger is not None and self._fires(order):
            raise Refusal(Reason.WOULD_TRIGGER, item.id)
        wallet = self.wallet_of(item)
        trial = replace(order, status=Status.OPEN)
        for coin in {item.base, item.quote, item.settle}:
            if sum(self._reserve(trial, wallet, coin), ZERO) > self.free(wallet, coin):
                raise Refusal(Reason.FUNDS, coin)

    def _check_side(self, order: Order) -> None:
        item = order.instrument
        if not item.margined:
            return
        if (order.side == "BOTH") == self.is_hedged(item):
            raise Refusal(Reason.POSITION_SIDE, item.id)
        held = self.position(item, order.side).amount
        closes = (
            order.reduce_only or (order.side == "LONG" and not order.buy) or (order.side == "SHORT" and order.buy)
        )
        if closes and not order.conditional and (held <= 0 if not order.buy else held >= 0):
            raise Refusal(Reason.REDUCE_ONLY, item.id)

    def _reaches(self, order: Order) -> bool:
        price = self.price(order.instrument)
        return order.price is None or (price <= order.price if order.buy else price >= order.price)

    def _match(self, order: Order, *, fresh: bool = False) -> None:
        """The seam for a matching engine: fill a fresh order at the price of now, a resting one at its own."""
        if self._reaches(order):
            resting = order.price is not None and not fresh
            amount = self._allowed(order)
            if not amount:
                self._end(order, Status.CANCELED)
                return
            price = order.price if resting and order.price is not None else self.price(order.instrument)
            self.fill(order, amount, price, maker=resting)
            if order.remaining:
                self._end(order, Status.CANCELED)
        elif order.tif in {"IOC", "FOK"}:
            self._end(order, Status.EXPIRED)

    def _allowed(self, order: Order) -> Decimal:
        """What of an order may be filled: no more than there is to reduce."""
        if not (order.reduce_only or order.close_all) or not order.instrument.margined:
            return order.remaining
        held = self.position(order.instrument, order.side).amount
        there = max(-held if order.buy else held, ZERO)
        if order.close_all:
            order.amount = there
        return min(order.remaining, there)

    def _fires(self, order: Order) -> bool:
        price = self.price(order.instrument, order.trigger_by)
        if order.trigger is not None:
            return price >= order.trigger if order.rises else price <= order.trigger
        if order.best is None:
            reached = order.activation is None or (
                price <= order.activation if order.buy else price >= order.activation
            )
            order.best = price if reached else None
            return False
        order.best = min(order.best, price) if order.buy else max(order.best, price)
        gap = order.trailing_gap if order.trailing_gap is not None else order.best * (order.trailing or ZERO)
        return price >= order.best + gap if order.buy else price <= order.best - gap

    def _fire(self, order: Order) -> None:
        order.fired = True
        if order.instrument.kind in self.habits.keeps_id:
            order.status, order.updated = Status.OPEN, self.now()
            self.tell(OrderNews(order, None, Change.TRIGGERED))
            self._match(order, fresh=True)
            return
        child = replace(
            order, trigger=None, trailing=None, trailing_gap=None, parent=order.id, fills=[], fired=False
        )
        order.child = self._next_id()
        self._end(order, Status.TRIGGERED)
        self._accept(child, order.child)
        self._match(child, fresh=True)

    def _attach(self, order: Order) -> None:
        """Send the stop-loss and take-profit that came with an order, once it is filled."""
        for trigger, loss in ((order.stop_loss, True), (order.take_profit, False)):
            if trigger is not None:
                exit_ = Order(
                    instrument=order.instrument, buy=not order.buy, amount=order.amount, side=order.side,
                    reduce_only=order.instrument.margined, trigger=trigger, rises=order.buy != loss,
                    parent=order.id, raw={"stop": "StopLoss" if loss else "TakeProfit"},
                )  # fmt: skip
                self._accept(exit_)

    def _end(self, order: Order, status: Status) -> Order:
        order.status, order.updated = status, self.now()
        self.tell(OrderNews(order, None, ENDS[status]))
        return order
