"""One exchange's account and the life of its orders; all amounts in the exchange's own units."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, NamedTuple

from .instruments import DAY, Instrument, Kind
from .orders import LIVE, ZERO, Fill, Order, Position, Reason, Refusal, Status
from .prices import Candle, Prices, Trade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    type Levels = list[tuple[Decimal, Decimal]]

RIGHTS = frozenset({"read", "trade"})


class Habits(NamedTuple):
    """In what exchanges differ beyond words."""

    fee_in_quote: bool = False
    """The fee of a spot purchase is paid in quote, not in what was bought."""
    keeps_id: frozenset[Kind] = frozenset()
    """A conditional order of these kinds lives on under its id once it fires; else it sends another one."""
    cancels_post_only: bool = False
    """A post-only order that would take is accepted, then cancelled; else it is refused."""
    client_ids_are_spent: bool = False
    """A client id is never taken twice; else it is free again once its order is closed."""


class State:
    """Instruments, prices, balances, positions and orders of one exchange.

    A market order fills at once at the price, a limit order rests until the price reaches it, a conditional one
    until its trigger. `wallet_of` says in which wallet an instrument settles. A test may change `rights` (of the
    key: read, trade, withdraw), `addresses` (to which the key is bound; requests come from `address`), `balances`.
    """

    def __init__(
        self, instruments: Iterable[Instrument], prices: Prices, now: Callable[[], int],
        wallet_of: Callable[[Instrument], str], habits: Habits = Habits(),  # noqa: B008 - a constant
    ) -> None:  # fmt: skip
        self.instruments = {(item.kind, item.id): item for item in instruments}
        self.prices = prices
        self.now = now
        self.wallet_of = wallet_of
        self.habits = habits
        self.rights: frozenset[str] = RIGHTS
        self.addresses: tuple[str, ...] = ()
        self.address = "198.51.100.7"
        self.balances: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.positions: dict[tuple[Kind, str, str], Position] = {}
        self.orders: dict[int, Order] = {}
        self.hedged: set[str] = set()
        self.settings: dict[str, str] = {}
        self.leverages: dict[tuple[Kind, str], Decimal] = {}
        self.isolated: set[tuple[Kind, str]] = set()
        self.pinned: dict[tuple[Kind, str], Decimal] = {}
        self._seconds: deque[int] = deque()
        self._last_id = 1_000_000
        self._last_fill = 5_000_000
        for wallet in {wallet_of(item) for item in self.instruments.values()}:
            for coin, amount in (("USDT", 100_000), ("USDC", 1_000), ("BTC", 2), ("ETH", 20)):
                self.balances[wallet, coin] = Decimal(amount)

    # --- what is traded, and what it costs

    def instrument(self, name: str, *kinds: Kind) -> Instrument:
        """The instrument of that name.

        Raises:
            Refusal: there is none of these kinds.
        """
        for kind in kinds or tuple(Kind):
            if found := self.instruments.get((kind, name)):
                return found
        raise Refusal(Reason.SYMBOL, name)

    def listed(self, *kinds: Kind) -> list[Instrument]:
        """All instruments of these kinds."""
        return [item for item in self.instruments.values() if item.kind in kinds]

    def price(self, instrument: Instrument, what: str = "last") -> Decimal:
        """The price now: last, mark or index."""
        pinned = self.pinned.get((instrument.kind, instrument.id))
        return pinned if pinned is not None else self.prices.at(instrument, self.now(), what)

    def pin(self, instrument: Instrument, price: Decimal | str | float) -> None:
        """Hold the price of `instrument` until it is pinned anew, and let resting orders see it."""
        self.pinned[instrument.kind, instrument.id] = Decimal(str(price))
        self.settle()

    def candles(
        self, instrument: Instrument, interval: int, start: int, end: int, what: str = "last"
    ) -> list[Candle]:
        """The candles that open in [start, end) ms, oldest first, the running one included."""
        return self.prices.candles(instrument, interval, start, min(end, self.now() + 1), self.now(), what)

    def trades(self, instrument: Instrument, start: int, end: int) -> list[Trade]:
        """The public trades of [start, end) ms."""
        return self.prices.trades(instrument, start, min(end, self.now() + 1))

    def day(self, instrument: Instrument) -> Candle:
        """The last 24 hours as one candle."""
        rows = self.candles(instrument, 3_600_000, self.now() - DAY + 1, self.now() + 1)
        price = self.price(instrument)
        if not rows:
            return Candle(self.now() - DAY, price, price, price, price, ZERO, 0)
        return Candle(
            self.now() - DAY, rows[0].open, max(price, *(row.high for row in rows)),
            min(price, *(row.low for row in rows)), price,
            sum((row.volume for row in rows), ZERO), sum(row.trades for row in rows),
        )  # fmt: skip

    def book(self, instrument: Instrument, depth: int) -> tuple[Levels, Levels]:
        """Bids and asks around the price, best first, one tick apart."""
        price, tick, size = self.price(instrument), instrument.tick, instrument.step * 50
        bids = [(price - tick * level, size * (level + 1)) for level in range(depth) if price > tick * level]
        asks = [(price + tick * (level + 1), size * (level + 1)) for level in range(depth)]
        return bids, asks

    # --- the account

    def count(self) -> tuple[int, int]:
        """Count one request; returns how many there were in this second and in this minute."""
        second = self.now() // 1000
        self._seconds.append(second)
        while self._seconds[0] // 60 < second // 60:
            self._seconds.popleft()
        return sum(one == second for one in self._seconds), len(self._seconds)

    def leverage(self, instrument: Instrument) -> Decimal:
        """The leverage that is set."""
        return self.leverages.get((instrument.kind, instrument.id), Decimal(10))

    def set_leverage(self, instrument: Instrument, leverage: Decimal) -> None:
        """Set it; changing nothing is refused as such."""
        if not 1 <= leverage <= instrument.max_leverage:
            raise Refusal(Reason.LEVERAGE, instrument.id)
        if leverage == self.leverage(instrument):
            raise Refusal(Reason.NO_CHANGE, "leverage")
        self.leverages[instrument.kind, instrument.id] = leverage

    def set_isolated(self, instrument: Instrument, isolated: bool) -> None:
        """Choose isolated or cross margin; refused with a position or an open order."""
        key = (instrument.kind, instrument.id)
        if (key in self.isolated) == isolated:
            raise Refusal(Reason.NO_CHANGE, "margin mode")
        if self.held(instrument) or self.open_orders(instrument):
            raise Refusal(Reason.BUSY, "margin mode")
        (self.isolated.add if isolated else self.isolated.discard)(key)

    def set_hedged(self, scope: str, hedged: bool) -> None:
        """Choose the position mode of a scope: of a wallet, or of one instrument (see `scope_of`)."""
        if (scope in self.hedged) == hedged:
            raise Refusal(Reason.NO_CHANGE, "position mode")
        if any(scope in self._scopes(item.instrument) for item in self.held()):
            raise Refusal(Reason.BUSY, "position mode")
        (self.hedged.add if hedged else self.hedged.discard)(scope)

    @staticmethod
    def scope_of(item: Instrument) -> str:
        """The name under which the position mode of one instrument alone is set."""
        return f"{item.kind}/{item.id}"

    def is_hedged(self, item: Instrument) -> bool:
        """Whether both sides of `item` can be held at once."""
        return not self.hedged.isdisjoint(self._scopes(item))

    def _scopes(self, item: Instrument) -> set[str]:
        return {self.wallet_of(item), self.scope_of(item)}

    def held(self, instrument: Instrument | None = None) -> list[Position]:
        """The positions that are not empty."""
        return [
            item for item in self.positions.values()
            if item.amount and (instrument is None or item.instrument == instrument)
        ]  # fmt: skip

    def profit(self, position: Position) -> Decimal:
        """What a position has gained at the mark price."""
        item = position.instrument
        return item.profit(position.amount, position.entry, self.price(item, "mark")) if position.amount else ZERO

    def margin(self, position: Position) -> Decimal:
        """The initial margin of a position at the mark price."""
        item = position.instrument
        if not item.margined:
            return ZERO
        return item.value(abs(position.amount), self.price(item, "mark")) / self.leverage(item)

    def liquidation(self, position: Position) -> Decimal:
        """About where it is liquidated: when its initial margin is lost but for half a percent."""
        share = 1 / self.leverage(position.instrument) - Decimal("0.005")
        edge = 1 - share if position.amount > 0 else 1 + share
        return (position.entry * edge).quantize(position.instrument.tick)

    def locked(self, wallet: str, coin: str, *kinds: Kind) -> Decimal:
        """What open orders (of these kinds) reserve of a coin."""
        orders = self.open_orders(None, *kinds)
        return sum((amount for order in orders for amount in self._reserve(order, wallet, coin)), ZERO)

    def used(self, wallet: str, coin: str) -> Decimal:
        """What positions need as margin in a coin."""
        return sum((self.margin(item) for item in self._margined(wallet, coin)), ZERO)

    def gains(self, wallet: str, coin: str) -> Decimal:
        """The open profit of margined positions that settle in a coin."""
        return sum((self.profit(item) for item in self._margined(wallet, coin)), ZERO)

    def _margined(self, wallet: str, coin: str) -> list[Position]:
        held = [item for item in self.held() if item.instrument.margined and item.instrument.settle == coin]
        return [item for item in held if self.wallet_of(item.instrument) == wallet]

    def free(self, wallet: str, coin: str) -> Decimal:
        """What can still be spent."""
        losses = min(self.gains(wallet, coin), ZERO)
        return self.balances[wallet, coin] + losses - self.locked(wallet, coin) - self.used(wallet, coin)

    def coins(self, wallet: str) -> list[str]:
        """The coins that a wallet has or had."""
        return [coin for name, coin in self.balances if name == wallet]

    # --- orders

    def place(self, order: Order) -> Order:
        """Take an order, and fill it if it can be.

        Raises:
            Refusal: it is not taken, and nothing has changed.
        """
        self.settle()
        if order.cost is not None and order.price is None:
            price, step = self.price(order.instrument), order.instrument.step
            order.amount = (order.cost / price).quantize(step, rounding=ROUND_DOWN)
        self._check(order)
        self._accept(order)
        if order.conditional:
            order.status = Status.WAITING
            order.best = None if order.activation is not None else self.price(order.instrument)
        elif order.post_only and self._reaches(order):
            order.reason = Reason.WOULD_TAKE
            self._end(order, Status.CANCELED)
        else:
            self._match(order, fresh=True)
        return order

    def find(self, order_id: str = "", client_id: str = "", *kinds: Kind) -> Order:
        """An order by its id or by ours, the newest of several."""
        self.settle()
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
        if order.status is Status.OPEN:
            self._match(order)
        return order

    def open_orders(self, instrument: Instrument | None = None, *kinds: Kind) -> list[Order]:
        """The orders that are open or waiting, oldest first."""
        return [
            order for order in self.orders.values()
            if order.status in LIVE and (instrument is None or order.instrument == instrument)
            and (not kinds or order.instrument.kind in kinds)
        ]  # fmt: skip

    def settle(self) -> None:
        """Let the price of now fill what rests and fire what waits."""
        for order in self.open_orders():
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
        self._book(order, fill)
        if not order.remaining:
            order.status = Status.FILLED
            self._attach(order)
        return fill

    # --- inside

    def _accept(self, order: Order) -> None:
        self._last_id += 1
        order.id, order.created, order.updated = self._last_id, self.now(), self.now()
        self.orders[order.id] = order

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

    def position(self, item: Instrument, side: str) -> Position:
        """The position of one side, empty perhaps."""
        return self.positions.setdefault((item.kind, item.id, side), Position(item, side))

    def _reserve(self, order: Order, wallet: str, coin: str) -> list[Decimal]:
        """What an order takes of a coin until it is filled."""
        item = order.instrument
        if self.wallet_of(item) != wallet or order.reduce_only or order.close_all:
            return []
        price = order.price or order.trigger or self.price(item)
        if item.kind in {Kind.SPOT, Kind.OPTION}:
            wanted = (item.quote if order.buy else item.base) if item.kind is Kind.SPOT else item.settle
            amount = (
                item.notional(order.remaining, price) if order.buy or item.kind is Kind.OPTION else order.remaining
            )
            return [amount] if coin == wanted else []
        if order.status is Status.WAITING or coin != item.settle:
            return []  # a conditional order of a margined contract needs no money before it fires
        held = self.position(item, order.side).amount
        opened = (
            order.remaining if held * (1 if order.buy else -1) >= 0 else max(order.remaining - abs(held), ZERO)
        )
        return [item.value(opened, price) / self.leverage(item)]

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
        if order.instrument.kind in self.habits.keeps_id:
            order.status, order.updated = Status.OPEN, self.now()
            self._match(order, fresh=True)
            return
        child = replace(
            order, trigger=None, trailing=None, trailing_gap=None, parent=order.id, fills=[], status=Status.OPEN
        )  # fmt: skip
        self._end(order, Status.TRIGGERED)
        self._accept(child)
        order.child = child.id
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
                exit_.status = Status.WAITING

    def _end(self, order: Order, status: Status) -> Order:
        order.status, order.updated = status, self.now()
        return order

    def _book(self, order: Order, fill: Fill) -> None:
        """Move the money, and the position, of one fill."""
        item, wallet = order.instrument, self.wallet_of(order.instrument)
        sign = 1 if order.buy else -1
        if item.kind is Kind.SPOT:
            self.balances[wallet, item.base] += sign * fill.amount
            self.balances[wallet, item.quote] -= sign * item.notional(fill.amount, fill.price)
        elif item.kind is Kind.OPTION:
            self.balances[wallet, item.settle] -= sign * item.value(fill.amount, fill.price)
        self.balances[wallet, fill.fee_coin] -= fill.fee
        if item.kind is not Kind.SPOT:
            fill.profit = self._hold(self.position(item, order.side), sign * fill.amount, fill)
            if item.margined:
                self.balances[wallet, item.settle] += fill.profit

    def _hold(self, position: Position, amount: Decimal, fill: Fill) -> Decimal:
        """Change a position by the signed `amount`; returns the profit that this realises."""
        item, held = position.instrument, position.amount
        closed = min(abs(held), abs(amount)) if held * amount < 0 else ZERO
        profit = item.profit(closed.copy_sign(held), position.entry, fill.price) if closed else ZERO
        left = held + amount
        if held * amount >= 0:
            position.entry = (
                item.average(abs(held), position.entry, abs(amount), fill.price) if held else fill.price
            )
            position.opened = position.opened if held else fill.time
        elif left * held < 0:
            position.entry, position.opened = fill.price, fill.time
        elif not left:
            position.entry = ZERO
        position.amount, position.updated = left, fill.time
        position.realized = position.realized + profit if left else ZERO
        return profit
