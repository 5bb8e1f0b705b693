"""A Shield to try by hand: positions that fill, an exchange that says what it is told to, and what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from desk import LINEAR, market

from metaexpert.broker.book import Book, Working
from metaexpert.broker.costs import Costs
from metaexpert.broker.execution import Execution
from metaexpert.broker.homes import Home
from metaexpert.broker.ledger import Ledger
from metaexpert.broker.protection import Protection
from metaexpert.broker.sentries import pieces
from metaexpert.broker.shield import Shield
from metaexpert.clock import SimClock
from metaexpert.exchanges.capabilities import Support
from metaexpert.models import Account, ExitReason, MarginMode, Order, OrderStatus, OrderType, Side
from metaexpert.reports import (
    AccountReport,
    Cancel,
    ChangeRefused,
    Command,
    Fetch,
    FillsFetched,
    OrderMissing,
    OrderRefused,
    OrderReport,
    OrderUnknown,
)

if TYPE_CHECKING:
    from metaexpert.broker.sentries import Sentry
    from metaexpert.events import Notice

START = 1_000_000


class Keep:
    """One account and its shield. `sent`, `asked`, `notices` and `closings` have what came of it, oldest first."""

    def __init__(
        self, *, rule: str = "close", home: Support = Support.NATIVE, hedge: bool = False,
        symbol: str = LINEAR, most: float | None = None, **levels: float,
    ) -> None:  # fmt: skip
        self.symbol = symbol
        markets = {symbol: market(symbol, price_tick=0.5, max_market_qty=most)}
        self.clock = SimClock(START)
        self.ledger = Ledger(1e9, markets, 1.0, MarginMode.ISOLATED, hedge=hedge)
        self.book = Book(markets, self.clock)
        self.execution = Execution(self.ledger, self.book, self.clock, Costs(), Protection(**levels))
        self.sent: list[Order] = []
        self.asked: list[Command] = []
        self.notices: list[Notice] = []
        self.closings: list[Working] = []
        self.rule, self.home = rule, home
        self.is_doubted, self.is_priced = False, True
        self.shield = self.make()

    def make(self) -> Shield:
        """A shield that knows nothing yet."""
        return Shield(
            self.execution, {self.symbol: Home(self.home, "")}, self.clock, send=self.sent.append,
            ask=self.asked.append, notify=self.notices.append, close=self._close, doubts=lambda _: self.is_doubted,
            is_priced=lambda _: self.is_priced, on_stop_failure=self.rule,
        )  # fmt: skip

    def _close(self, held: Any, reason: ExitReason, message: str) -> Working:
        working = Working(self.book.exit_order(held, reason).changed(qty=pieces(held)[0]), held)
        working.message = message
        self.book.add(working)
        self.closings.append(working)
        return working

    # -- what happens -------------------------------------------------------------------------------------------

    def trade(self, qty: float, price: float, leg: str | None = None, **terms: Any) -> None:
        """An order of the expert's over signed `qty` has filled at `price`; the event ends."""
        side = Side.BUY if qty > 0.0 else Side.SELL
        order = Order(
            id=self.book.next_id(), symbol=self.symbol, side=side, type=OrderType.MARKET, qty=abs(qty),
            position_side=leg, **terms,
        )  # fmt: skip
        self.fill(Working(order, self.ledger.leg(self.symbol, leg)), abs(qty), price)

    def fill(self, working: Working, qty: float, price: float) -> None:
        """An order has filled by `qty` at `price`; the event ends."""
        self.execution.enter(working, qty, price, fee=0.0, slippage=0.0, maker=False)
        self.shield.sync()

    def price(self, price: float) -> None:
        """A public trade; the event ends."""
        for held in self.ledger.legs(self.symbol):
            held.mark = price
        self.shield.on_trade(self.symbol, price)
        self.shield.sync()

    def wait(self, ms: int) -> None:
        """Time passes; the event ends."""
        self.clock.advance(self.clock.now() + ms)
        self.shield.sync()

    def hear(self, report: Any) -> bool:
        """A report comes; the event ends."""
        heard = self.shield.hear(report)
        self.shield.sync()
        return heard

    # -- what the exchange says ---------------------------------------------------------------------------------

    def stands(self, *orders: Order) -> None:
        """Orders are on the exchange: those that were sent last and not answered, unless others are named."""
        for order in orders or [one.working.order for one in self.shield.sentries if one.is_on_its_way]:
            self.says(order, OrderStatus.OPEN)

    def says(self, order: Order, status: OrderStatus, filled: float = 0.0, **more: Any) -> bool:
        """The exchange tells of an order."""
        values = {"status": status, "filled": filled, "exchange_id": f"x{order.id}"} | more
        changed = order.changed(**values)
        return self.hear(OrderReport(self.clock.now(), changed))

    def refuses(self, order: Order, reason: str = "rejected") -> None:
        """The exchange refuses an order."""
        self.hear(OrderRefused(self.clock.now(), self.symbol, order.id, reason, "no"))

    def hides(self, order: Order) -> None:
        """Whether an order arrived is not known."""
        self.hear(OrderUnknown(self.clock.now(), self.symbol, order.id, "no answer"))

    def misses(self, order: Order) -> None:
        """The exchange knows no such order."""
        self.hear(OrderMissing(self.clock.now(), self.symbol, order.id))

    def keeps(self, order: Order) -> None:
        """The exchange refuses to cancel an order."""
        self.hear(ChangeRefused(self.clock.now(), self.symbol, order.id, "cancel", "no"))

    def cancels(self) -> None:
        """The exchange does all that was asked: cancellations."""
        while any(isinstance(one, Cancel) for one in self.asked):
            index = next(i for i, one in enumerate(self.asked) if isinstance(one, Cancel))
            asked = self.asked.pop(index)
            assert isinstance(asked, Cancel)
            self.says(asked.order, OrderStatus.CANCELED)

    def fetched(self) -> None:
        """The fills that were asked for are told: none that were not told before."""
        self.asked[:] = [one for one in self.asked if not isinstance(one, Fetch)]
        self.hear(FillsFetched(self.clock.now(), self.symbol, 0))

    def agrees(self) -> None:
        """The account is told as well: it holds what we think."""
        self.fetched()
        account = Account(currency=self.ledger.currency, balance=0.0, equity=0.0)
        self.hear(AccountReport(self.clock.now(), account, (), ()))

    def fires(self, sentry: Sentry, price: float, qty: float | None = None) -> None:
        """A protective order fills, wholly unless `qty` says otherwise."""
        working = sentry.working
        self.fill(working, working.rest if qty is None else qty, price)
        status = OrderStatus.OPEN if working.is_working else OrderStatus.FILLED
        self.says(working.order, status, working.filled)

    # -- what there is ------------------------------------------------------------------------------------------

    @property
    def standing(self) -> list[tuple[str, str, float, float | None]]:
        """(part, side, qty, level) of each order that may be on the exchange, sorted."""
        return sorted(
            (one.part.value, one.working.terms.side.value, one.working.qty, one.working.stop_price)
            for one in self.shield.sentries
            if one.is_live
        )

    def new(self) -> list[Order]:
        """What was sent since this was asked last."""
        found = list(self.sent)
        self.sent.clear()
        return found

    @property
    def refusal(self) -> str | None:
        """Why no entry is made now."""
        order = Order(id="", symbol=self.symbol, side=Side.BUY, type=OrderType.MARKET, qty=1.0)
        found = self.shield.refusal(order)
        return None if found is None else found.reason

    @property
    def cancelled(self) -> list[str]:
        """The ids whose cancelling is asked for."""
        return [one.order.id for one in self.asked if isinstance(one, Cancel)]

    @property
    def alerts(self) -> list[str]:
        """What `on_error` is told."""
        return [one.text for one in self.notices if one.error is not None]
