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

from math import inf
from typing import TYPE_CHECKING

from .. import risk
from ..models import ExitReason, OrderStatus, Rejection
from .base import BaseBroker
from .book import SHRUNK, Book, Working
from .costs import Costs
from .execution import ENDED, NOTHING_TO_REDUCE
from .matching import Matching, Reached
from .protection import Protection
from .quiet import ALWAYS, NEVER, Quiet, between

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..clock import Clock
    from ..models import Bar, Order
    from . import News
    from .data import MarketData
    from .ledger import Ledger

__all__ = ["ENDED", "NOTHING_TO_REDUCE", "SHRUNK", "Reached", "SimulatedBroker"]


class SimulatedBroker(BaseBroker):
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
        known: Mapping[str, MarketData] = {} if data is None else data
        super().__init__(
            ledger, Book(ledger.holdings, clock, strategy_id), clock, Costs() if costs is None else costs,
            Protection() if protection is None else protection, known,
        )  # fmt: skip
        self._matching = Matching(self.execution, known)

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
        if guard is None and not queue and until == inf:
            return ALWAYS
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
