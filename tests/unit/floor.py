"""A live broker to try by hand: its commands as a list, the exchange's reports as calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from desk import LINEAR, market

from metaexpert.answers import ExchangeFill
from metaexpert.broker.costs import Costs
from metaexpert.broker.homes import homes_of
from metaexpert.broker.ledger import Ledger
from metaexpert.broker.live import LiveBroker
from metaexpert.broker.names import Names
from metaexpert.broker.protection import Protection
from metaexpert.clock import SimClock
from metaexpert.events import PublicTrade, Quote
from metaexpert.models import ExitReason, Fill, MarginMode, Order, OrderStatus, OrderType, Side
from metaexpert.reports import (
    Amend,
    Cancel,
    Fetch,
    FillReport,
    FillsFetched,
    Find,
    OrderReport,
    Send,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from metaexpert.broker import News
    from metaexpert.reports import Command, Report

START = 1_700_000_000_000
OPEN, FILLED, CANCELED = OrderStatus.OPEN, OrderStatus.FILLED, OrderStatus.CANCELED
REJECTED, EXPIRED, PENDING = OrderStatus.REJECTED, OrderStatus.EXPIRED, OrderStatus.PENDING
TYPES = {(False, False): OrderType.MARKET, (True, False): OrderType.LIMIT, (False, True): OrderType.STOP}


class Floor:
    """One account on one exchange, at which the price is 100 unless told otherwise; no fees, leverage 10.

    `written` are the orders that were written down before they were sent, `news` what was told.
    """

    def __init__(
        self, *symbols: str, exchange: str = "binance", capital: float = 10_000.0, leverage: float = 10.0,
        hedge: bool = False, protection: Mapping[str, float] | None = None, run: str = "run00001",
        state: Any = None, intents: tuple[Order, ...] = (), rules: Mapping[str, Any] | None = None,
        start: int = START, **settings: Any,
    ) -> None:  # fmt: skip
        self.symbols = symbols or (LINEAR,)
        markets = {one: replace(market(one), exchange=exchange, **(rules or {})) for one in self.symbols}
        self.clock = SimClock(start)
        self.ledger = Ledger(capital, markets, leverage, MarginMode.ISOLATED, hedge=hedge)
        self.written: list[Order] = []
        self.news: list[News] = []
        self._fills = 0
        levels = Protection(**(protection or {}))
        self.broker = LiveBroker(
            self.ledger, self.clock, Costs(), levels, names=Names("floor", 1, run),
            homes=homes_of(markets.values()), intend=self.written.append, **settings,
        )  # fmt: skip
        if state is not None:
            self.broker.restore(state, intents)
        for symbol in self.symbols:
            self.trade(100.0, symbol)
            self.quote(99.9, 100.1, symbol)

    # -- the market -----------------------------------------------------------------------------------------

    def trade(self, price: float, symbol: str | None = None) -> None:
        """A public trade."""
        trade = PublicTrade(self.clock.now(), symbol or self.symbols[0], "", price, 1.0, 0)
        self._hear(self.broker.on_trade(trade))

    def quote(self, bid: float, ask: float, symbol: str | None = None) -> None:
        """The best bid and ask."""
        self._hear(self.broker.on_quote(Quote(self.clock.now(), symbol or self.symbols[0], bid, ask, 1.0, 1.0)))

    def later(self, ms: int) -> None:
        """Time passes."""
        self.clock.advance(self.clock.now() + ms)
        for symbol in self.symbols:
            self._hear(self.broker.meet(symbol))
        self.broker.guard()

    # -- the expert -----------------------------------------------------------------------------------------

    def send(self, qty: float, price: float | None = None, stop: float | None = None, **terms: Any) -> str:
        """Send an order, to sell where `qty` is negative; returns its id."""
        after, shrinkable = terms.pop("after", 0), terms.pop("shrinkable", False)
        kind = TYPES.get((price is not None, stop is not None), OrderType.STOP_LIMIT)
        order = Order(
            id=self.broker.next_id(), symbol=terms.pop("symbol", self.symbols[0]), type=kind, qty=abs(qty),
            side=Side.BUY if qty > 0 else Side.SELL, price=price, stop_price=stop, created=self.clock.now(),
            **terms,
        )  # fmt: skip
        self.broker.submit(order, active_from=self.clock.now() + after, shrinkable=shrinkable)
        self._hear(())
        return order.id

    def held(self, qty: float, price: float = 100.0, symbol: str | None = None) -> str:
        """Have a position, bought or sold at `price`, with all orders of it settled; returns the entry's id."""
        name = self.send(qty, symbol=symbol or self.symbols[0])
        self.fill(name, price=price)
        self.report(name, FILLED)
        self.new()
        return name

    # -- the exchange ---------------------------------------------------------------------------------------

    def hear(self, report: Report) -> None:
        """The exchange says something."""
        self._hear(self.broker.hear(report))
        self.broker.guard()

    def report(self, name: str, status: OrderStatus = OPEN, filled: float | None = None, **more: Any) -> None:
        """The exchange says how an order stands."""
        order = self.sent(name)
        whole = order.qty if status is FILLED else 0.0
        done = whole if filled is None else filled
        told = order.changed(status=status, filled=done, **{"exchange_id": f"x{name[-3:]}", **more})
        self.hear(OrderReport(self.clock.now(), told))

    def fill(
        self, name: str, qty: float | None = None, price: float = 100.0, *, fill_id: str | None = None,
        named: bool = True, fee: float | None = 0.0, of: str | None = None, reason: ExitReason = ExitReason.ORDER,
        paid: float = 0.0, currency: str | None = None,
    ) -> None:  # fmt: skip
        """The exchange tells of a fill, all of the order unless `qty` is given; `named`: with our id."""
        order = self.sent(name)
        self._fills += 1
        fill = ExchangeFill(
            fill_id or f"f{self._fills}", self.clock.now(), order.symbol, of or f"x{name[-3:]}", order.side,
            order.qty if qty is None else qty, price, paid, currency,
            reason=reason, position_side=order.position_side,
        )  # fmt: skip
        self.hear(FillReport(self.clock.now(), fill, name if named else "", fee))

    def fetched(self, symbol: str | None = None) -> None:
        """All fills were told."""
        self.hear(FillsFetched(self.clock.now(), symbol or self.symbols[0], 0))

    # -- looking --------------------------------------------------------------------------------------------

    def _hear(self, news: Any) -> None:
        self.news += list(news)
        while self.broker.news:
            self.news.append(self.broker.news.popleft())

    def look(self) -> None:
        """Take what the broker has to say."""
        self._hear(())

    def sent(self, name: str) -> Order:
        """What was sent under an id."""
        found = self.broker.dealings.find(name)
        assert found is not None
        return found.order

    def new(self) -> list[Command]:
        """The commands since the last look."""
        commands = list(self.broker.outbox)
        self.broker.outbox.clear()
        return commands

    def asked(self) -> list[tuple[str, str]]:
        """The same in short: what, and of which order or symbol."""
        return [
            (
                type(one).__name__,
                one.order.id
                if isinstance(one, Send | Cancel | Amend | Find)
                else one.symbol
                if isinstance(one, Fetch)
                else "",
            )
            for one in self.new()
        ]

    def told(self, name: str) -> list[OrderStatus]:
        """The states that an order was told to be in."""
        return [one.order.status for one in self.news if one.order.id == name]

    def fills(self) -> list[Fill]:
        """The fills that were told."""
        return [one.result for one in self.news if isinstance(one.result, Fill)]

    def refused(self) -> list[str]:
        """The reasons of the refusals that were told."""
        return [
            one.result.reason for one in self.news if one.result is not None and not isinstance(one.result, Fill)
        ]

    @property
    def qty(self) -> float:
        """What is held in the first symbol."""
        return self.broker.position(self.symbols[0]).qty

    def order(self, name: str) -> Order:
        """An order as the expert sees it."""
        return self.broker.orders[name]
