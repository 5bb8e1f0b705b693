"""SimulatedBroker: orders trade against bars by the rule book. Backtests and paper trading run on it.

How one bar of a symbol is matched (`on_bar`):

1. At the open: funding that is due at that instant is paid by what was held before; a position that the gap
   liquidates goes; then orders that have just arrived, in the order in which they were sent (market orders fill,
   limit orders that cross fill as taker or are refused by post_only, limit orders that will rest bind their
   margin); then funding due within the bar. With several symbols `on_open` does this for all of them first.
2. Within the bar: prices are walked from the open over the corners that `rules.plan_*` gives, worst for the
   position first. On each straight segment the nearest resting order or protective level trades next; a gap
   over one trades at the open. When a position is opened inside the bar the rest of the bar is planned anew.
   In hedge mode the long and the short leg are walked one after the other, each with its own orders.
3. Only after the walk the bar's extreme moves trailing and breakeven levels.

Where mark prices are known they decide on liquidation. Where a bar's volume limits fills (rule 10), what is left
of an order waits for the next bar: one that rests in the market for its price, all others for the open.
Liquidation, expiry and the end of a backtest are not limited.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from .. import risk
from ..models import ExitReason, OrderStatus, OrderType, Rejection
from .book import SHRUNK, Book, Working
from .costs import Costs
from .execution import ENDED, NOTHING_TO_REDUCE, Execution
from .expiry import CONTRACT_ENDED, Expiry
from .matching import Matching, Reached
from .protection import UNPROTECTED, Protection
from .quiet import NEVER, Quiet, between

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..clock import Clock
    from ..models import Account, Bar, Fill, Order, Position
    from . import News
    from .data import MarketData
    from .holding import Holding
    from .ledger import Ledger

__all__ = ["ENDED", "NOTHING_TO_REDUCE", "SHRUNK", "Reached", "SimulatedBroker"]


class SimulatedBroker:
    """See the module's docstring; the contract is `metaexpert.broker.Broker`.

    Args:
        ledger: books the fills.
        clock: the run's clock.
        costs: fees, slippage and margin rates.
        protection: the levels that every new position gets unless its order brings others.
        data: what is known of each market beside its candles, by symbol.
        strategy_id: whose orders the exits of protective levels are.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, costs: Costs | None = None, protection: Protection | None = None, *,
        data: Mapping[str, MarketData] | None = None, strategy_id: int = 0,
    ) -> None:  # fmt: skip
        self.ledger = ledger
        self.clock = clock
        self.costs = Costs() if costs is None else costs
        self.book = Book(ledger.holdings, clock, strategy_id)
        self.news = self.book.news
        default = Protection() if protection is None else protection
        self.execution = Execution(ledger, self.book, clock, self.costs, default)
        self.fills: list[Fill] = self.execution.fills
        self._guards = self.execution.guards
        self.data: Mapping[str, MarketData] = {} if data is None else data
        self._matching = Matching(self.execution, self.data)
        self.expiry = Expiry(self.execution, self.data, clock)
        for held in ledger.legs():
            held.tiers = self.costs.tiers(held.market)
            held.maker, held.taker = self.costs.maker(held.market), self.costs.taker(held.market)

    @property
    def orders(self) -> dict[str, Order]:
        """All orders by id as they stand now, in the order in which they were sent."""
        return {name: working.order for name, working in self.book.all.items()}

    # -- the trader's side ----------------------------------------------------------------------------------

    def submit(self, order: Order, *, active_from: int, shrinkable: bool = False) -> None:
        """Queue `order`; see `Broker.submit`."""
        held = self.ledger.leg(order.symbol, order.position_side)
        working = self._checked(order, held, active_from, shrinkable=shrinkable)
        if isinstance(working, risk.Refusal):
            self.reject(order, working.reason, working.message)
            return
        working.status = OrderStatus.OPEN
        self.book.add(working)
        self.book.announce(working)

    def _checked(
        self, order: Order, held: Holding, active_from: int, *, shrinkable: bool = False
    ) -> Working | risk.Refusal:
        """What works for `order`, on the market's steps; or why it can't be placed."""
        if (order.position_side is not None) != self.ledger.hedge:
            mode = "needs" if self.ledger.hedge else "has no"
            return risk.Refusal("wrong_position_side", f"position_mode={self._mode!r} {mode} position_side")
        if held.market.expiry is not None and self.expiry.has_ended(order.symbol):
            return risk.Refusal("expired", CONTRACT_ENDED)
        checked = risk.conform(order, held.market, held.mark or None, held.qty)
        if isinstance(checked, risk.Refusal):
            return checked
        working, margin = Working(checked, held, active_from, shrinkable=shrinkable), self.execution.margin
        short = None if shrinkable else margin.shortfall(working)
        return short or margin.above_tier(working) or working

    @property
    def _mode(self) -> str:
        return "hedge" if self.ledger.hedge else "oneway"

    def next_id(self) -> str:
        """The id of the next order."""
        return self.book.next_id()

    def reject(self, order: Order, reason: str, message: str) -> None:
        """Book `order` as refused."""
        working = Working(order, self.ledger.leg(order.symbol, order.position_side))
        working.status, working.message = OrderStatus.REJECTED, f"{reason}: {message}"
        self.book.announce(working, Rejection(self.clock.now(), order.symbol, order.id, reason, message))

    def cancel(self, order_id: str) -> bool:
        """Cancel a working order; see `Broker.cancel`."""
        working = self.book.find(order_id)
        if working is None:
            return False
        self.book.drop(working, OrderStatus.CANCELED, "canceled by the expert")
        return True

    def modify(self, order_id: str, *, price: float | None, qty: float | None, active_from: int) -> bool:
        """Change price or quantity of a working order, which then arrives anew; see `Broker.modify`."""
        working = self.book.find(order_id)
        if working is None:
            return False
        changed = self._changed(working, price, qty, active_from)
        if isinstance(changed, risk.Refusal):
            order = working.terms
            result = Rejection(self.clock.now(), order.symbol, order.id, changed.reason, changed.message)
            self.book.tell(working, result)
        else:
            working.qty, working.price, working.stop_price = changed.qty, changed.price, changed.stop_price
            working.arrived, working.active_from = False, active_from
            self.book.announce(working)
        return True

    def _changed(
        self, working: Working, price: float | None, qty: float | None, active_from: int
    ) -> Working | risk.Refusal:
        """A working order with another price or quantity, on the market's steps; or why it can't have it."""
        old = working.order
        new = old.changed(qty=old.qty if qty is None else qty)
        if price is not None:
            if working.taking:
                return risk.Refusal("invalid_price", "an order that takes the market's price has none to change")
            new = new.changed(stop_price=price) if old.type is OrderType.STOP else new.changed(price=price)
        if new.qty <= new.filled:
            return risk.Refusal("invalid_qty", f"{new.filled:.12g} are filled already, more than {new.qty:.12g}")
        return self._checked(new, working.held, active_from)

    def protect(self, symbol: str, protection: Protection, position_side: str | None = None) -> bool:
        """Replace the protective levels of a position; see `Broker.protect`."""
        held = self._open_leg(symbol, position_side)
        if held is None:
            return False
        self.execution.protect(held, protection)
        self.book.stirred = True
        return True

    def protection(self, symbol: str, position_side: str | None = None) -> Protection | None:
        """The protective levels of the position in `symbol`, None when it is flat."""
        held = self._open_leg(symbol, position_side)
        if held is None:
            return None
        guard = self._guards.get(held)
        return UNPROTECTED if guard is None else guard.protection

    def _open_leg(self, symbol: str, position_side: str | None) -> Holding | None:
        """The position in `symbol`, None when it is flat."""
        held = self.ledger.leg(symbol, position_side) if symbol in self.ledger.holdings else None
        return None if held is None or held.qty == 0.0 else held

    def working(self, symbol: str | None = None) -> Sequence[Order]:
        """The orders that can still trade, oldest first."""
        return self.book.working(symbol)

    def position(self, symbol: str, position_side: str | None = None) -> Position:
        """The position in `symbol` (hedge mode: its leg) with its protective levels."""
        position = self.ledger.position(symbol, position_side)
        guard = self._guards.get(self.ledger.leg(symbol, position_side))
        if guard is None:
            return position
        return replace(
            position,
            stop_loss=guard.stop_price,
            take_profit=guard.target_price,
            trailing_stop=guard.trailing,
            liquidation_price=guard.liquidation_price,
        )

    def account(self) -> Account:
        """The account now."""
        return self.ledger.account(self.clock.now())

    def close_at_mark(self) -> Iterator[News]:
        """Close every position at its last mark (the end of a backtest, rule 26): no slippage, taker fee."""
        for held in self.ledger.legs():
            if held.qty != 0.0:
                working = Working(self.book.exit_order(held, ExitReason.END), held)
                self.execution.fill(working, held.mark, maker=False, slip=False)
                yield from self.book.flush()
        for working in list(self.book):
            self.book.drop(working, OrderStatus.EXPIRED, ENDED)
        yield from self.book.flush()

    # -- the market's side ----------------------------------------------------------------------------------

    def on_open(self, bar: Bar) -> Iterator[News]:
        """Do what happens at the open of `bar`; `on_bar` does it where this was not called before."""
        return self._matching.on_open(bar)

    def on_bar(self, bar: Bar) -> Iterable[News]:
        """Match one bar; see the module's docstring."""
        return self._matching.on_bar(bar)

    def stroll(self, bar: Bar) -> Iterator[News | Reached]:
        """Match one bar, stopping at its prices; see `Matching.stroll`."""
        return self._matching.stroll(bar)

    def quiet(self, symbol: str) -> Quiet:
        """Which bars of `symbol` do nothing but move its mark, as things stand now.

        True until `book.stirred` is set, and until a bar of any symbol that isn't quiet is matched.
        """
        held, queue = self.ledger.holdings[symbol], self.book.of[symbol]
        if (queue and not queue[-1].arrived) or self.ledger.hedge or held.is_option:
            return NEVER
        guard, until = self._guards.get(held), self.expiry.next_time - 1
        low, high = between(queue, guard)
        if guard is None or low >= high:
            return Quiet(low, high, until)
        data = self.data.get(symbol)
        if self.ledger.cross and (
            len(self._guards) > 1 or guard.liquidation != self.ledger.liquidation_price(held)
        ):
            return NEVER  # the next bar moves its liquidation price, which is not for this call to do
        if data is not None and data.funding is not None:
            until = min(until, data.funding.next_time or inf)
        level = guard.liquidation_price
        if data is not None and data.marks is not None and level is not None:
            until = min(until, data.marks.first_reach(level, -guard.side, self.clock.now()) or inf)
        return Quiet(low, high, until)
