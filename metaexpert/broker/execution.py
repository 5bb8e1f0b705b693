"""Executes orders at given prices: fills, liquidations and settlements go into the ledger, levels follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import risk, rules
from ..models import ExitReason, Fill, OrderStatus, TimeInForce, maker
from .book import Working
from .margin import Margin
from .protection import UNPROTECTED, Guard, Protection
from .sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..clock import Clock
    from ..models import Bar, Order
    from . import News
    from .book import Book
    from .costs import Costs
    from .holding import Holding
    from .ledger import Ledger

__all__ = ["ENDED", "NOTHING_TO_REDUCE", "Execution"]

_fill_of = maker(Fill)
NOTHING_TO_REDUCE = "reduce_only: there is no position to reduce"
ENDED = "the backtest has ended"


class Execution:
    """Fills orders and keeps the protective levels of the positions that come of it.

    Args:
        ledger: books the fills.
        book: the orders.
        clock: the run's clock.
        costs: fees, slippage and margin rates.
        default: the levels that every new position gets unless its order brings others.
    """

    def __init__(self, ledger: Ledger, book: Book, clock: Clock, costs: Costs, default: Protection) -> None:
        self.ledger = ledger
        self.book = book
        self.costs = costs
        self.margin = Margin(ledger, book)
        self.guards: dict[Holding, Guard] = {}
        self.fills = Sheet(_fill_of, len(Fill._fields))
        self.filled = 0
        """How many fills there were, those before a restart too."""
        self.moment: int | None = None
        """Open time of the bar that is being matched."""
        self.call_off: Callable[[Working, str], None] = self._drop
        """How an order that has lost its sense is cancelled, and why; at an exchange that takes its time."""
        self._clock = clock
        self._default = UNPROTECTED if default == UNPROTECTED else default
        self._volume: dict[str, float] = {}  # of the bar of each symbol that is being matched, in base units
        self._used: dict[str, float] = {}

    def begin(self, bar: Bar) -> None:
        """A bar of a symbol begins: its volume can be filled."""
        self.moment = bar.time
        if self.costs.max_fill_volume_pct is not None:
            self._volume[bar.symbol], self._used[bar.symbol] = bar.volume, 0.0

    def now(self) -> int:
        """The time of the run, ms UTC."""
        return self._clock.now()

    def arrive(self) -> int:
        """What happens from here on within the bar happens at the clock's time; returns that."""
        self.moment = self._clock.now()
        return self.moment

    # -- fills ------------------------------------------------------------------------------------------------

    def fill(
        self, working: Working, price: float, *, maker: bool, slip: bool, ambiguous: bool = False,
        most: float | None = None,
    ) -> None:  # fmt: skip
        """Fill an order at `price`, as far as volume allows; refuse it when the account can't carry it.

        Rules 10, 12 and 17. What the volume, or the `most` that is offered, leaves of an order waits.
        """
        held, side = working.held, working.side
        paid = rules.slipped(price, side, self.costs.slippage_rate) if slip else price
        rate = held.maker if maker else held.taker
        qty = self.margin.carried(working, paid, rate)
        if isinstance(qty, risk.Refusal):
            self.book.drop(working, OrderStatus.REJECTED, qty.message, qty.reason)
            return
        if qty == 0.0:
            self.book.drop(working, OrderStatus.CANCELED, NOTHING_TO_REDUCE)
            return
        if held.qty * side < 0.0 and not held.is_spot:
            paid = self.margin.bounded(held, paid)
            price = rules.better_stop(held.side, price, paid)  # what a bound gives is no slippage
        tif = working.terms.tif
        offered, whole = qty if most is None else min(qty, most), tif is TimeInForce.FOK
        part = 0.0 if whole and offered < qty else self._take(held, offered, paid, whole=whole)
        if part > 0.0:
            if qty < working.rest:
                working.shrink(qty)
            fee = held.fee(part, paid, rate)
            slippage = 0.0 if paid == price else abs(rules.pnl(held.kind, part, price, paid))
            self.enter(working, part, paid, fee=fee, slippage=slippage, maker=maker, ambiguous=ambiguous)
        if part < qty and tif is not TimeInForce.GTC:
            self.book.drop(working, OrderStatus.EXPIRED, f"{tif}: there is no volume for all of it")
        working.waits = part < qty

    def _take(self, held: Holding, qty: float, price: float, *, whole: bool) -> float:
        """Take `qty` off the bar's volume, or what there is left of it; `whole`: all or nothing (rule 10)."""
        pct, symbol = self.costs.max_fill_volume_pct, held.market.symbol
        if pct is None or self.moment is None:
            return qty
        volume, used = self._volume[symbol], self._used[symbol]
        part = min(qty, rules.volume_cap(held.kind, volume, pct, used, price, held.market.qty_step))
        if whole and part < qty:
            return 0.0
        self._used[symbol] += part / price if held.kind == rules.INVERSE else part
        return part

    def enter(
        self, working: Working, qty: float, price: float, *, fee: float, slippage: float, maker: bool,
        ambiguous: bool = False, moved: float | None = None,
    ) -> None:  # fmt: skip
        """Enter one fill in the ledger, set or lift the guard, and announce it.

        `moved` is by how much the position moves where that is not `qty`: where a fee was paid in what was traded.
        """
        order, held = working.terms, working.held
        side_before, is_first = held.side, working.filled == 0.0
        time = self._clock.now() if self.moment is None else self.moment
        profit = self.ledger.apply(
            held, order.side, qty if moved is None else moved, price, fee=fee, slippage=slippage, time=time,
            reason=order.reason, tag=order.tag, ambiguous=ambiguous, continues=not is_first,
        )  # fmt: skip
        self.filled += 1
        fill = (
            self.filled, time, order.symbol, order.id, order.side, qty, price, fee, maker, slippage,
            profit, order.reason, order.tag,
        )  # fmt: skip
        self.fills.write(fill)
        side = held.side
        self._guard(order, held, side_before, side, is_first=is_first)
        working.enter(qty, price, fee)
        if working.status is OrderStatus.FILLED:
            self.book.remove(working)
        is_told = self.book.is_heard or working.message is not None
        self.book.announce(working, _fill_of(fill) if is_told else None)
        if side != side_before and self.book.of[order.symbol]:
            self._cancel_reducing(held)
            self._cancel_building(held, side_before)

    def _cancel_reducing(self, held: Holding) -> None:
        """Cancel what can reduce the position no more; an order still on its way may belong to the next one."""
        for working in list(self.book.of[held.market.symbol]):
            if working.held is not held or not working.arrived:
                continue
            if working.terms.reduce_only and held.side * working.side >= 0:
                self.call_off(working, "reduce_only: the position is closed")

    def _cancel_building(self, held: Holding, side: int) -> None:
        """Cancel what is left of the orders that built a position on `side`: it ends with the position."""
        for working in list(self.book.of[held.market.symbol]):
            builds = working.side == side and working.filled > 0.0 and not working.terms.reduce_only
            if builds and working.held is held:
                self.call_off(working, "the position that it built is left")

    def _drop(self, working: Working, why: str) -> None:
        self.book.drop(working, OrderStatus.CANCELED, why)

    def leave(self, held: Holding, reason: ExitReason, price: float, *, ambiguous: bool) -> None:
        """Leave a position by one of its levels at `price`; what the volume does not fill goes on working."""
        working = Working(self.book.exit_order(held, reason), held)
        working.arrived = True
        guard = self.guards[held]
        self._cancel_building(held, held.side)
        self.fill(working, price, maker=False, slip=True, ambiguous=ambiguous)
        if working.is_working:
            guard.leaving = working
            self.book.add(working)
            if working.filled == 0.0:
                self.book.announce(working)

    # -- the exchange's own exits -----------------------------------------------------------------------------

    def liquidate(self, held: Holding, price: float) -> Iterator[News]:
        """Close at `price` with the liquidation fee; what is lost stays within the stake (rule 18).

        Where the market jumped past the price at which the stake is gone (the bankruptcy price), the exchange
        takes the position over at that one. In cross mode a long goes together with the short of its symbol.
        """
        price = self.margin.bounded(held, price)
        lost = self.ledger.liquidated_with(held)
        for one in lost:
            one.mark = price
        rate = self.costs.liquidation_fee(held.market)
        for one in lost:
            stake = self.ledger.stake(one, kept=False)
            share = one.liquidation_rate(price, rate)
            fee = rules.liquidation_fee(one.kind, one.qty, one.entry, price, stake, share)
            self._exit(one, ExitReason.LIQUIDATION, price, fee)
            yield from self.book.flush()

    def settle(self, held: Holding, price: float) -> Iterator[News]:
        """Settle a position whose contract has ended, at `price`, free of fees (rule 15)."""
        self._exit(held, ExitReason.EXPIRY, price, 0.0)
        yield from self.book.flush()

    def _exit(self, held: Holding, reason: ExitReason, price: float, fee: float) -> None:
        working = Working(self.book.exit_order(held, reason), held)
        self.enter(working, working.qty, price, fee=fee, slippage=0.0, maker=False)

    # -- levels -----------------------------------------------------------------------------------------------

    def levels_of(self, order: Order) -> Protection:
        """The levels of a position that `order` opens."""
        return self._default.with_order(order)

    def _guard(self, order: Order, held: Holding, side_before: int, side: int, *, is_first: bool) -> None:
        """Set, move or lift the protective levels after a fill, the first one of `order` or another."""
        if side == 0:
            self.guards.pop(held, None)
            return
        guard = self.guards.get(held)
        if guard is None or side != side_before:
            protection = self.levels_of(order)
            if held.is_spot and protection is UNPROTECTED:
                return  # there is no level to look at
            self.guards[held] = Guard(protection, side, held.entry, held.market.price_tick)
        elif side == order.side.sign:
            # the rest of an order brings no levels: they may have been changed since
            guard.regrow(guard.protection.with_order(order) if is_first else guard.protection, held.entry)
        self.relevel(held)

    def protect(self, held: Holding, protection: Protection) -> None:
        """Replace the protective levels of an open position."""
        guard = self.guards.get(held)
        if guard is None:
            guard = self.guards[held] = Guard(UNPROTECTED, held.side, held.entry, held.market.price_tick)
        if protection.follows and not guard.protection.follows:
            guard.best = held.mark  # it follows from here on, as a trailing order does
        guard.protection = protection
        guard.refresh()

    def relevel(self, held: Holding) -> None:
        """Compute the liquidation price of a position anew, and of the other leg that shares its margin."""
        for one in self.ledger.liquidated_with(held):
            guard = self.guards.get(one)
            if guard is not None:
                guard.liquidation = self.ledger.liquidation_price(one)

    def pay_funding(self, held: Holding, mark: float, rate: float) -> None:
        """Book a funding instant of a position (rule 19)."""
        if held.qty != 0.0:
            self.ledger.pay_funding(held, mark, rate)
            self.relevel(held)
