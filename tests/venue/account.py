"""One exchange's account: money, positions, margin and modes; all amounts in the exchange's own units."""

from __future__ import annotations

from collections import defaultdict, deque
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from .instruments import Instrument, Kind
from .market import Market
from .news import BalanceNews, Cause, PositionNews
from .orders import LIVE, ZERO, Fill, Order, Position, Reason, Refusal, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .news import News
    from .prices import Prices

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


class Account(Market):
    """Balances, positions and open orders, and what they need of one another.

    `wallet_of` says in which wallet an instrument settles. A test may change `rights` (of the key: read, trade,
    withdraw), `addresses` (to which the key is bound; requests come from `address`), `balances`.
    """

    def __init__(
        self, instruments: Iterable[Instrument], prices: Prices, now: Callable[[], int],
        wallet_of: Callable[[Instrument], str], habits: Habits = Habits(),  # noqa: B008 - a constant
    ) -> None:  # fmt: skip
        super().__init__(instruments, prices, now)
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
        self._seconds: deque[int] = deque()
        for wallet in {wallet_of(item) for item in self.instruments.values()}:
            for coin, amount in (("USDT", 100_000), ("USDC", 1_000), ("BTC", 2), ("ETH", 20)):
                self.balances[wallet, coin] = Decimal(amount)

    def open_orders(self, instrument: Instrument | None = None, *kinds: Kind) -> list[Order]:
        """The orders that are open or waiting, oldest first."""
        return [
            order for order in self.orders.values()
            if order.status in LIVE and (instrument is None or order.instrument == instrument)
            and (not kinds or order.instrument.kind in kinds)
        ]  # fmt: skip

    def pay(self, wallet: str, coin: str, change: Decimal, cause: Cause) -> None:
        """Change a balance, and tell."""
        if change:
            self.balances[wallet, coin] += change
            self.tell(BalanceNews(wallet, coin, change, cause))

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

    def _book(self, order: Order, fill: Fill) -> list[News]:
        """Move the money, and the position, of one fill; returns what is to be told."""
        item, wallet = order.instrument, self.wallet_of(order.instrument)
        sign = 1 if order.buy else -1
        news: list[News] = []
        if item.kind is Kind.SPOT:
            moved = [(item.base, sign * fill.amount), (item.quote, -sign * item.notional(fill.amount, fill.price))]
        else:
            position = self.position(item, order.side)
            fill.profit = self._hold(position, sign * fill.amount, fill)
            cost = -sign * item.value(fill.amount, fill.price)
            moved = [(item.settle, fill.profit if item.margined else cost)]
            news.append(PositionNews(position))
        for coin, change, cause in (*((*one, Cause.FILL) for one in moved), (fill.fee_coin, -fill.fee, Cause.FEE)):
            if change:
                self.balances[wallet, coin] += change
                news.append(BalanceNews(wallet, coin, change, cause))
        return news

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
