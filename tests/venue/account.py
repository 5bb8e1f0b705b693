"""One exchange's account: money, positions, margin and modes; all amounts in the exchange's own units."""

from __future__ import annotations

from collections import defaultdict, deque
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from .instruments import Instrument, Kind
from .market import Market
from .news import BalanceNews, Cause, PositionNews
from .orders import ZERO, Fill, Order, Position, Reason, Refusal, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .news import News, OrderNews
    from .prices import Source

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
    self_trades: bool = False
    """An order may fill another one of the same account; else that one expires."""
    exits_of_positions: bool = False
    """The levels that come with an order are those of the whole position, from its first fill."""
    isolated_at_first: bool = False
    """Margin is isolated until cross is chosen."""


class Entry(NamedTuple):
    """One line of the ledger: why a balance has changed by `change`."""

    id: int
    time: int
    instrument: Instrument | None
    wallet: str
    coin: str
    change: Decimal
    cause: Cause
    amount: Decimal = ZERO
    """Of what position, and at which mark price: of funding alone."""
    price: Decimal = ZERO


class Account(Market):
    """Balances, positions and open orders, and what they need of one another.

    `wallet_of` says in which wallet an instrument settles. A test may change `rights` (of the key: read, trade,
    withdraw), `addresses` (to which the key is bound; requests come from `address`), `balances`.
    """

    def __init__(
        self, instruments: Iterable[Instrument], prices: Source, now: Callable[[], int],
        wallet_of: Callable[[Instrument], str], habits: Habits = Habits(),  # noqa: B008 - a constant
    ) -> None:  # fmt: skip
        super().__init__(instruments, prices, now)
        self.wallet_of = wallet_of
        self.habits = habits
        self.rights: frozenset[str] = RIGHTS
        self.addresses: tuple[str, ...] = ()
        self.address = "198.51.100.7"
        self.page: int | None = None
        """No page of fills has more rows than this, whatever was asked for."""
        self.balances: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.positions: dict[tuple[Kind, str, str], Position] = {}
        self.orders: dict[int, Order] = {}
        self.live: dict[int, Order] = {}
        """Those of `orders` that are open or waiting."""
        self.ledger: list[Entry] = []
        self.hedged: set[str] = set()
        self.settings: dict[str, str] = {}
        self.leverages: dict[tuple[Kind, str], Decimal] = {}
        self.legs: dict[tuple[Kind, str, str], Decimal] = {}
        """Leverages of single legs, LONG or SHORT, that differ from it."""
        self.isolated: set[tuple[Kind, str]] = set()
        if habits.isolated_at_first:
            self.isolated |= {key for key, item in self.instruments.items() if item.margined}
        self._seconds: deque[int] = deque()
        for wallet in {wallet_of(item) for item in self.instruments.values()}:
            for coin, amount in (("USDT", 100_000), ("USDC", 1_000), ("BTC", 2), ("ETH", 20)):
                self.balances[wallet, coin] = Decimal(amount)

    def open_orders(self, instrument: Instrument | None = None, *kinds: Kind) -> list[Order]:
        """The orders that are open or waiting, oldest first."""
        return [
            order for order in self.live.values()
            if (instrument is None or order.instrument == instrument)
            and (not kinds or order.instrument.kind in kinds)
        ]  # fmt: skip

    def pay(
        self, item: Instrument, coin: str, change: Decimal, cause: Cause, amount: Decimal = ZERO,
        price: Decimal = ZERO,
    ) -> None:  # fmt: skip
        """Change a balance on account of an instrument, and tell; see `Entry`."""
        for news in self._moved(item, coin, change, cause):
            self.ledger[-1] = self.ledger[-1]._replace(amount=amount, price=price)
            self.tell(news)

    def transfer(self, wallet: str, coin: str, change: Decimal) -> None:
        """Bring money into a wallet, or take it out."""
        for news in self._enter(None, wallet, coin, change, Cause.TRANSFER):
            self.tell(news)

    def _moved(self, item: Instrument, coin: str, change: Decimal, cause: Cause) -> list[News]:
        return self._enter(item, self.wallet_of(item), coin, change, cause)

    def _enter(
        self, item: Instrument | None, wallet: str, coin: str, change: Decimal, cause: Cause
    ) -> list[News]:  # fmt: skip
        """Change a balance and enter it into the ledger; returns what is to be told."""
        if not change:
            return []
        self.balances[wallet, coin] += change
        self.ledger.append(Entry(len(self.ledger) + 1, self.now(), item, wallet, coin, change, cause))
        return [BalanceNews(wallet, coin, change, cause)]

    def count(self) -> tuple[int, int]:
        """Count one request; returns how many there were in this second and in this minute."""
        second = self.now() // 1000
        self._seconds.append(second)
        while self._seconds[0] // 60 < second // 60:
            self._seconds.popleft()
        return sum(one == second for one in self._seconds), len(self._seconds)

    def leverage(self, instrument: Instrument, side: str = "BOTH") -> Decimal:
        """The leverage that is set, of a leg or of all."""
        own = self.legs.get((instrument.kind, instrument.id, side))
        return self.leverages.get((instrument.kind, instrument.id), Decimal(10)) if own is None else own

    def set_leverage(self, instrument: Instrument, leverage: Decimal) -> None:
        """Set it; changing nothing is refused as such."""
        if not 1 <= leverage <= instrument.max_leverage:
            raise Refusal(Reason.LEVERAGE, instrument.id)
        if leverage == self.leverage(instrument):
            raise Refusal(Reason.NO_CHANGE, "leverage")
        self.put_leverage(instrument, leverage)

    def put_leverage(self, instrument: Instrument, leverage: Decimal, *sides: str) -> None:
        """Set it, as it may be; an isolated position has the margin then that it would have been opened with.

        `sides`: of these legs alone.
        """
        both = ("BOTH", "LONG", "SHORT")
        if all(leverage == self.leverage(instrument, side) for side in sides or both):
            return
        for side in sides or both:
            self.legs.pop((instrument.kind, instrument.id, side), None)
            if sides:
                self.legs[instrument.kind, instrument.id, side] = leverage
        if not sides:
            self.leverages[instrument.kind, instrument.id] = leverage
        for position in self.held(instrument):
            if self.is_isolated(instrument) and position.side in (sides or both):
                position.margin = instrument.value(abs(position.amount), position.entry) / leverage
                self.tell(PositionNews(position))

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

    def is_isolated(self, item: Instrument) -> bool:
        """Whether positions in `item` have a margin of their own."""
        return (item.kind, item.id) in self.isolated

    def profit(self, position: Position) -> Decimal:
        """What a position has gained at the mark price."""
        item = position.instrument
        return item.profit(position.amount, position.entry, self.price(item, "mark")) if position.amount else ZERO

    def margin(self, position: Position) -> Decimal:
        """The margin of a position: its own if it is isolated, else the initial one at the mark price.

        That of a sold option is what it is worth, and its collateral.
        """
        item, size = position.instrument, max(-position.amount, ZERO)
        if item.kind is Kind.OPTION:
            return item.value(size, self.price(item, "mark")) + self.collateral(item, size) if size else ZERO
        if not item.margined or self.is_isolated(item):
            return position.margin
        return item.value(abs(position.amount), self.price(item, "mark")) / self.leverage(item, position.side)

    def collateral(self, option: Instrument, amount: Decimal) -> Decimal:
        """What selling so much of an option binds beside its premium.

        A unit: 15 % of the underlying less what it is out of the money, a tenth at least.
        """
        spot, strike = self.underlying(option), option.strike or ZERO
        out = max(strike - spot if option.call else spot - strike, ZERO)
        unit = max(Decimal("0.15") * spot - out, Decimal("0.1") * spot)
        return amount * option.contract * (unit / spot if option.settle == option.base else unit)

    def maintenance(self, position: Position) -> Decimal:
        """The margin below which a position is liquidated, at the mark price."""
        item, size = position.instrument, abs(position.amount)
        if not item.margined or not size:
            return ZERO
        return item.tiers.maintenance(size, item.value(size, self.price(item, "mark")))

    def maintenance_rate(self, position: Position) -> Decimal:
        """The rate of the tier that a position is in, at the mark price."""
        item, size = position.instrument, abs(position.amount)
        return item.tiers.at(size if item.tiers.by_amount else item.value(size, self.price(item, "mark")))[0]

    def stake(self, position: Position) -> Decimal:
        """What a position can lose: its own margin, or all that the rest of a cross account leaves to it."""
        item = position.instrument
        if self.is_isolated(item):
            return position.margin
        rest = [one for one in self.crossed(self.wallet_of(item), item.settle) if one is not position]
        others = sum((self.profit(one) - self.maintenance(one) for one in rest), ZERO)
        return self.cross_balance(self.wallet_of(item), item.settle) + others

    def liquidation(self, position: Position) -> Decimal:
        """The mark price at which a position is liquidated while everything else stays; 0 where there is none.

        Where ``S + profit(P) = rate * value(P)``, S being the stake and what the tier deducts, in the tier that
        the position is in at the mark price. With q base coins (inverse: a face of q, or, counted in coins, q of
        them) and the entry price E: linear ``(q E - S) / (q - rate |q|)``,
        inverse ``(q + rate |q|) / (S + q / E)``, counted in coins ``q E / (q + S - rate |q|)``.
        """
        item, size = position.instrument, abs(position.amount)
        if not item.margined or not size:
            return ZERO
        value = item.value(size, self.price(item, "mark"))
        rate, deduction = item.tiers.at(size if item.tiers.by_amount else value)
        quantity, entry, stake = position.amount * item.contract, position.entry, self.stake(position) + deduction
        part = rate * abs(quantity)
        if item.kind is Kind.LINEAR:
            above, below = quantity * entry - stake, quantity - part
        elif item.coin_sized:
            above, below = quantity * entry, quantity + stake - part
        else:
            above, below = quantity + part, stake + quantity / entry
        return max((above / below).quantize(item.tick), ZERO) if below else ZERO

    def locked(self, wallet: str, coin: str, *kinds: Kind, besides: Order | None = None) -> Decimal:
        """What open orders (of these kinds, but for one) reserve of a coin."""
        orders = [one for one in self.open_orders(None, *kinds) if besides is None or one.id != besides.id]
        return sum((self.reserve(order, wallet, coin) for order in orders), ZERO)

    def used(self, wallet: str, coin: str) -> Decimal:
        """What positions need as margin in a coin."""
        held = (*self.margined(wallet, coin), *self.options(wallet, coin))
        return sum((self.margin(item) for item in held), ZERO)

    def needed(self, wallet: str, coin: str) -> Decimal:
        """The maintenance margin of all positions that settle in a coin."""
        return sum((self.maintenance(item) for item in self.margined(wallet, coin)), ZERO)

    def gains(self, wallet: str, coin: str) -> Decimal:
        """The open profit of margined positions that settle in a coin."""
        return sum((self.profit(item) for item in self.margined(wallet, coin)), ZERO)

    def worth(self, wallet: str, coin: str) -> Decimal:
        """What the options that settle in a coin are worth at their marks; sold ones are debts."""
        held = self.options(wallet, coin)
        return sum((one.instrument.value(one.amount, self.price(one.instrument, "mark")) for one in held), ZERO)

    def options(self, wallet: str, coin: str) -> list[Position]:
        """The options that settle in a coin."""
        held = [item for item in self.held() if item.instrument.kind is Kind.OPTION]
        return [
            one for one in held
            if one.instrument.settle == coin and self.wallet_of(one.instrument) == wallet
        ]  # fmt: skip

    def margined(self, wallet: str, coin: str) -> list[Position]:
        """The positions on margin that settle in a coin."""
        held = [item for item in self.held() if item.instrument.margined and item.instrument.settle == coin]
        return [item for item in held if self.wallet_of(item.instrument) == wallet]

    def crossed(self, wallet: str, coin: str) -> list[Position]:
        """Those of them that stand on the whole balance."""
        return [item for item in self.margined(wallet, coin) if not self.is_isolated(item.instrument)]

    def cross_balance(self, wallet: str, coin: str) -> Decimal:
        """The balance without what isolated positions have at stake."""
        return self.balances[wallet, coin] - sum((item.margin for item in self.margined(wallet, coin)), ZERO)

    def free(self, wallet: str, coin: str, besides: Order | None = None) -> Decimal:
        """What can still be spent; `besides` leaves out what one order reserves."""
        losses = min(sum((self.profit(item) for item in self.crossed(wallet, coin)), ZERO), ZERO)
        locked = self.locked(wallet, coin, besides=besides)
        return self.balances[wallet, coin] + losses - locked - self.used(wallet, coin)

    def coins(self, wallet: str) -> list[str]:
        """The coins that a wallet has or had."""
        return [coin for name, coin in self.balances if name == wallet]

    def purse(self, news: BalanceNews | OrderNews) -> tuple[str, str]:
        """The wallet and the coin of which there is more or less after some news, or another part is free."""
        if isinstance(news, BalanceNews):
            return news.wallet, news.coin
        return self.wallet_of(news.order.instrument), news.order.coin

    def position(self, item: Instrument, side: str) -> Position:
        """The position of one side, empty perhaps."""
        return self.positions.setdefault((item.kind, item.id, side), Position(item, side))

    def reduces(self, order: Order) -> bool:
        """Whether an order may only close: so it was told, or so the side says whose position it trades."""
        if order.instrument.kind is Kind.SPOT:
            return False
        closes = (order.side == "LONG" and not order.buy) or (order.side == "SHORT" and order.buy)
        return order.reduce_only or order.close_all or closes

    def reserve(self, order: Order, wallet: str, coin: str, price: Decimal | None = None) -> Decimal:
        """What an order takes of a coin until it is filled, at `price` if it has none of its own."""
        item = order.instrument
        if self.wallet_of(item) != wallet or self.reduces(order):
            return ZERO
        price = order.price or order.trigger or price or self.price(item)
        if item.kind is Kind.SPOT:
            amount = item.notional(order.remaining, price) if order.buy else order.remaining
            return amount if coin == order.coin else ZERO
        if order.status is Status.WAITING or coin != item.settle:
            return ZERO  # a conditional order of a margined contract needs no money before it fires
        held = self.position(item, order.side).amount
        same = held * (1 if order.buy else -1) >= 0
        opened = order.remaining if same else max(order.remaining - abs(held), ZERO)
        if item.kind is Kind.OPTION:  # what is sold brings its premium, and binds as much
            return item.value(opened, price) if order.buy else self.collateral(item, opened)
        return item.value(opened, price) / self.leverage(item, order.side)

    def booked(self, order: Order, fill: Fill) -> list[News]:
        """Move the money, and the position, of one fill; returns what is to be told."""
        item, sign = order.instrument, 1 if order.buy else -1
        news: list[News] = []
        if item.kind is Kind.SPOT:
            moved = [(item.base, sign * fill.amount), (item.quote, -sign * item.notional(fill.amount, fill.price))]
        else:
            position = self.position(item, order.side)
            fill.profit = self._hold(position, sign * fill.amount, fill)
            cost = -sign * item.value(fill.amount, fill.price)
            moved = [(item.settle, fill.profit if item.margined else cost)]
            news.append(PositionNews(position))
        for coin, change in moved:
            news += self._moved(item, coin, change, Cause.FILL)
        return news + self._moved(item, fill.fee_coin, -fill.fee, Cause.FEE)

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
        self._stake(position, left, fill)
        position.amount, position.updated = left, fill.time
        position.realized = position.realized + profit if left else ZERO
        return profit

    def _stake(self, position: Position, left: Decimal, fill: Fill) -> None:
        """Put up the margin of what a fill opens of an isolated position, and release that of what it closes."""
        item, held = position.instrument, position.amount
        if not item.margined or not self.is_isolated(item):
            return
        kept = ZERO if left * held <= 0 else min(abs(left), abs(held))
        position.margin *= kept / abs(held) if held else ZERO
        position.margin += item.value(abs(left) - kept, fill.price) / self.leverage(item, position.side)
        if not left:
            position.funding = ZERO
