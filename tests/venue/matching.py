"""The order books, and what happens in them to the orders of the account: price first, then time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from .account import Account
from .books import Books
from .instruments import Kind
from .news import Change, OrderNews
from .orders import LIVE, ZERO, Fill, Order, Reason, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .account import Habits
    from .instruments import Instrument
    from .market import Levels
    from .orders import Position
    from .prices import Source, Trade

OPTION_FEE_CAP = Decimal("0.1")
ENDS = {
    Status.CANCELED: Change.CANCELED, Status.EXPIRED: Change.EXPIRED, Status.TRIGGERED: Change.TRIGGERED,
}  # fmt: skip


class Level(NamedTuple):
    """One price of a book: what the public offers there, and before whom our own `orders` stand behind it."""

    price: Decimal
    public: Decimal
    orders: list[Order]

    @property
    def size(self) -> Decimal:
        """All that is shown there."""
        return self.public + sum((order.remaining for order in self.orders), ZERO)


class Take(NamedTuple):
    """What an order takes at one price: from the public, or from our own order `maker`."""

    price: Decimal
    amount: Decimal
    maker: Order | None


def average(takes: list[Take]) -> Decimal | None:
    """The mean price of what is taken."""
    amount = sum((take.amount for take in takes), ZERO)
    return sum((take.price * take.amount for take in takes), ZERO) / amount if amount else None


class Matching(Account):
    """Books in which the orders of the account rest among those of the public.

    An order that would trade at once walks the other side level by level. What is left of it rests behind what the
    public shows at its price: a public trade there eats that first, then fills it; a trade beyond fills it whole.
    """

    def __init__(
        self, instruments: Iterable[Instrument], prices: Source, clock: Callable[[], int],
        wallet_of: Callable[[Instrument], str], habits: Habits,
    ) -> None:  # fmt: skip
        super().__init__(instruments, prices, clock, wallet_of, habits)
        self.books = Books(self.book)
        """The same books as `book` has, numbered; what answers and messages show."""
        self._last_id = 1_000_000
        self._last_fill = 5_000_000
        self._last_rank = 0

    # --- the book

    def book(self, instrument: Instrument, depth: int) -> tuple[Levels, Levels]:
        """Bids and asks, best first, our own orders among them."""
        bids, asks = (
            [(level.price, level.size) for level in islice(self.side(instrument, asks=asks), depth)]
            for asks in (False, True)
        )
        return bids, asks

    def resting(self, instrument: Instrument, *, buy: bool) -> list[Order]:
        """Our own orders in the book, the first to be filled first."""
        found = [one for one in self.open_orders(instrument) if one.rank and one.buy == buy]
        sign = -1 if buy else 1
        return sorted(found, key=lambda one: (sign * (one.price or ZERO), one.rank))

    def side(self, instrument: Instrument, *, asks: bool) -> Iterator[Level]:
        """One side of a book, best first; the public offers nothing beyond what we offer on the other side."""
        sign = 1 if asks else -1
        own: dict[Decimal, list[Order]] = defaultdict(list)
        for order in self.resting(instrument, buy=not asks):
            own[order.price or ZERO].append(order)
        prices = list(own)
        facing = self.resting(instrument, buy=asks)
        for price, public in self.levels(instrument, asks=asks):
            while prices and sign * (price - prices[0]) > 0:
                yield Level(prices[0], ZERO, own[prices.pop(0)])
            if prices and prices[0] == price:
                yield Level(price, public, own[prices.pop(0)])
            elif not facing or sign * (price - (facing[0].price or ZERO)) > 0:
                yield Level(price, public, [])
        for price in prices:
            yield Level(price, ZERO, own[price])

    def crosses(self, order: Order) -> bool:
        """Whether an order would trade at once."""
        best = next(self.side(order.instrument, asks=order.buy), None)
        if best is None or order.price is None:
            return best is not None
        return best.price <= order.price if order.buy else best.price >= order.price

    def plan(self, order: Order) -> list[Take]:
        """What an order would take now; by its cost, if it has one and no price."""
        item, left, found = order.instrument, self.allowed(order), list[Take]()
        money = None if order.cost is None or order.price is not None else order.cost - order.quote
        for price, size, maker in self._offers(order):
            if maker is not None and not self.habits.self_trades:
                found.append(Take(price, ZERO, maker))
                continue
            worth = item.notional(Decimal(1), price)
            most = left if money is None else (money / worth).quantize(item.step, rounding=ROUND_DOWN)
            if most <= 0:
                break
            found.append(Take(price, min(size, most), maker))
            left -= found[-1].amount
            money = None if money is None else money - worth * found[-1].amount
        return found

    def _offers(self, order: Order) -> Iterator[tuple[Decimal, Decimal, Order | None]]:
        """What stands against an order, within its price."""
        for level in self.side(order.instrument, asks=order.buy):
            if order.price is not None and (level.price > order.price if order.buy else level.price < order.price):
                return
            if level.public:
                yield level.price, level.public, None
            for maker in level.orders:
                yield level.price, maker.remaining, maker

    def allowed(self, order: Order) -> Decimal:
        """What of an order may be filled: no more than there is to reduce."""
        if not self.reduces(order):
            return order.remaining
        held = self.position(order.instrument, order.side).amount
        there = max(-held if order.buy else held, ZERO)
        if order.close_all and there:
            order.amount = order.filled + there
        return min(order.remaining, there)

    # --- orders

    def accept(self, order: Order, order_id: int | None = None) -> None:
        """Give an order its id and its place among the live ones."""
        order.id = order_id or self.next_id()
        order.created = order.updated = self.now()
        order.status = Status.WAITING if order.conditional else Status.OPEN
        self.orders[order.id] = self.live[order.id] = order
        self.tell(OrderNews(order, None, Change.ACCEPTED))

    def next_id(self) -> int:
        """An id for an order."""
        self._last_id += 1
        return self._last_id

    def enter(self, order: Order) -> None:
        """Bring an open order into the book: it takes what it can, and rests with what is left."""
        allowed, before = self.allowed(order), order.filled
        takes = self.plan(order) if allowed else []
        if not allowed:
            self.end(order, Status.CANCELED)
        elif order.tif == "FOK" and sum(take.amount for take in takes) < order.remaining:
            self.end(order, Status.EXPIRED)
        else:
            while order.status in LIVE and not all(self._take(order, take) for take in takes):
                takes = self.plan(order)  # an own order had less to give
            if order.status not in LIVE:
                return
            if order.filled - before == allowed:
                self.end(order, Status.CANCELED)  # there was no more to reduce
            elif order.price is None or order.tif in {"IOC", "FOK"}:
                self.end(order, Status.EXPIRED)
            else:
                self._rest(order)

    def _take(self, order: Order, take: Take) -> bool:
        """Take as planned; false if there was less."""
        amount = take.amount
        if take.maker is None:
            self.take(order.instrument, take.price, amount)
        elif take.maker.status is not Status.OPEN:
            return False
        elif not self.habits.self_trades:
            self.end(take.maker, Status.EXPIRED)
            return True
        else:
            amount = self._give(take.maker, amount)
        amount = min(amount, self.allowed(order))
        if amount:
            self.fill(order, amount, take.price, maker=False)
        return amount == take.amount

    def _rest(self, order: Order) -> None:
        self._last_rank += 1
        order.rank = self._last_rank
        if order.price is not None:
            order.ahead = self.queue(order.instrument, order.price, asks=not order.buy)

    def end(self, order: Order, status: Status) -> Order:
        """An order is canceled, has expired, or was triggered; exits of what it has filled are sent."""
        order.status, order.updated = status, self.now()
        self.live.pop(order.id, None)
        self.tell(OrderNews(order, None, ENDS[status]))
        self._attach(order)
        return order

    def meet(self, instrument: Instrument, trade: Trade) -> None:
        """Let a public trade fill what rests."""
        self._taken.pop(instrument, None)
        for buy in (True, False):
            self._meet(self.resting(instrument, buy=buy), trade)

    def _meet(self, queue: list[Order], trade: Trade) -> None:
        left = trade.amount
        for place, order in enumerate(queue):
            price = order.price or ZERO
            beyond = price - trade.price if order.buy else trade.price - price
            if beyond < 0 or order.status is not Status.OPEN:
                continue
            if beyond > 0 or order.instrument in self.deep:
                self._give(order, order.remaining)
                continue
            eaten = min(left, order.ahead)
            for behind in queue[place:]:
                behind.ahead = max(behind.ahead - eaten, ZERO) if behind.price == price else behind.ahead
            left -= eaten
            if left:
                left -= self._give(order, left)

    def _give(self, order: Order, amount: Decimal) -> Decimal:
        """Fill a resting order at its price; returns how much of it."""
        allowed = self.allowed(order)
        amount = min(amount, allowed)
        if amount:
            self.fill(order, amount, order.price or ZERO, maker=True)
        if amount == allowed and order.status in LIVE:
            self.end(order, Status.CANCELED)
        return amount

    def fill(
        self, order: Order, amount: Decimal, price: Decimal, *, maker: bool, fee: Decimal | None = None
    ) -> Fill:
        """Fill `amount` of an order at `price`; the engine does so, and a test may. `fee` replaces the usual."""
        item = order.instrument
        self._last_fill += 1
        worth = item.value(amount, price) if item.kind is not Kind.SPOT else item.notional(amount, price)
        rate, coin = item.maker if maker else item.taker, item.settle
        paid = self._charged(item, amount, worth, rate) if fee is None else fee
        if item.kind is Kind.SPOT and order.buy and not self.habits.fee_in_quote:
            paid, coin = paid / price, item.base
        fill = Fill(
            id=self._last_fill, time=self.now(), price=price, amount=amount, fee=paid, fee_coin=coin, maker=maker
        )
        order.filled += amount
        order.updated = fill.time
        order.fills.append(fill)
        if not order.remaining:
            order.status = Status.FILLED
            self.live.pop(order.id, None)
        news = self.booked(order, fill)
        for one in (OrderNews(order, fill, Change.FILLED), *news):
            self.tell(one)
        self._attach(order, fresh=True)
        if item.margined:
            self._mind(self.position(item, order.side))
        return fill

    def _charged(self, item: Instrument, amount: Decimal, worth: Decimal, rate: Decimal) -> Decimal:
        """The fee of a fill: a part of its worth; of an option a part of its underlying, a tenth of it at most."""
        if item.kind is not Kind.OPTION:
            return worth * rate
        underlying = amount * item.contract * (1 if item.settle == item.base else self.underlying(item))
        return min(underlying * rate, worth * OPTION_FEE_CAP)

    # --- conditions

    def look(self, instrument: Instrument | None = None) -> None:
        """Fire what its price has reached, and let go what has had its time."""
        for order in self.open_orders(instrument):
            if order.status not in LIVE:
                continue  # another one has just taken it along
            if order.expires is not None and order.expires <= self.now():
                self.end(order, Status.EXPIRED)
            elif order.status is Status.WAITING and self.fires(order):
                self._fire(order)

    def fires(self, order: Order) -> bool:
        """Whether the price has reached the trigger; a trailing one follows the price."""
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
        """Send what waited: under its own id or as another order; without the money for it, not at all."""
        for other in self.open_orders(order.instrument):
            if order.parent and other.parent == order.parent and other is not order:
                self.end(other, Status.CANCELED)
        if self.lacking(order):
            order.reason = Reason.FUNDS
            self.end(order, Status.CANCELED)
            return
        order.fired = True
        if order.instrument.kind in self.habits.keeps_id:
            order.status, order.updated = Status.OPEN, self.now()
            self.tell(OrderNews(order, None, Change.TRIGGERED))
            self.enter(order)
            return
        child = replace(
            order, trigger=None, trailing=None, trailing_gap=None, parent=order.id, fills=[], fired=False
        )
        order.child = self.next_id()
        self.end(order, Status.TRIGGERED)
        self.accept(child, order.child)
        self.enter(child)

    def lacking(self, order: Order, price: Decimal | None = None) -> str | None:
        """The coin of which an order needs more than is free, if it were to be filled at `price`."""
        item, trial = order.instrument, replace(order, status=Status.OPEN)
        wallet = self.wallet_of(item)
        for coin in {item.base, item.quote, item.settle}:
            wanted = self.reserve(trial, wallet, coin, price)
            if wanted > max(self.free(wallet, coin, besides=order), ZERO):
                return coin
        return None

    # --- the levels of positions

    def _attach(self, order: Order, *, fresh: bool = False) -> None:
        """Send the stop-loss and take-profit that came with an order; one cancels the other."""
        item, levels = order.instrument, {"StopLoss": order.stop_loss, "TakeProfit": order.take_profit}
        whole = self.habits.exits_of_positions and item.margined
        due = fresh and len(order.fills) == 1 if whole else order.filled and order.status not in LIVE
        for name, trigger in levels.items():
            if trigger is None or not due:
                continue
            for old in self.open_orders(item):
                if whole and old.guards and (old.side, old.raw.get("stop")) == (order.side, name):
                    self.end(old, Status.CANCELED)
            self.accept(Order(
                instrument=item, buy=not order.buy, amount=order.filled, side=order.side, trigger=trigger,
                rises=order.buy == (name == "TakeProfit"), reduce_only=item.margined, close_all=whole,
                parent=order.id, raw={"stop": name},
            ))  # fmt: skip

    def _mind(self, position: Position) -> None:
        """Let the levels of a position follow its amount, and go with it."""
        held = position.amount
        for order in self.open_orders(position.instrument):
            if order.status is not Status.WAITING or order.side != position.side or not order.guards:
                continue
            if not held or (held > 0) == order.buy:
                self.end(order, Status.CANCELED)
            elif order.close_all:
                order.amount = abs(held)
            elif order.amount > abs(held):
                order.amount, order.updated = abs(held), self.now()
                self.tell(OrderNews(order, None, Change.AMENDED))
