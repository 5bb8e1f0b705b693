"""SimulatedBroker: orders trade against bars by the rule book. Backtests and paper trading run on it.

How one bar of a symbol is matched (`on_bar`):

1. At the open: a position that the gap liquidates goes first; then orders that have just arrived, in the order
   in which they were sent (market orders fill, limit orders that cross fill as taker or are refused by post_only,
   limit orders that will rest bind their margin). With several symbols `on_open` does this for all of them first.
2. Within the bar: prices are walked from the open over the corners that `rules.plan_*` gives, worst for the
   position first. On each straight segment the nearest resting order or protective level trades next; a gap
   over one trades at the open. When a position is opened inside the bar the rest of the bar is planned anew.
3. Only after the walk the bar's extreme moves trailing and breakeven levels.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from .. import risk, rules
from ..models import ExitReason, Fill, Order, OrderStatus, OrderType, Rejection, Side, TimeInForce
from . import News
from .book import Book, Working
from .costs import Costs
from .margin import Margin
from .protection import Guard, Protection
from .quiet import NEVER, Quiet, quiet

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from ..clock import Clock
    from ..models import Account, Bar, Position
    from .ledger import Holding, Ledger

__all__ = ["ENDED", "NOTHING_TO_REDUCE", "SHRUNK", "SimulatedBroker"]

SHRUNK = "shrunk to the free margin"
"""The message of an order that was sized by the settings and filled smaller (rule 17)."""
NOTHING_TO_REDUCE = "reduce_only: there is no position to reduce"
ENDED = "the backtest has ended"

_LIQUIDATION, _STOP, _STOP_ORDER, _LIMIT_ORDER, _TARGET = range(5)  # who goes first at one price
_RANKS = {rules.AT_LIQUIDATION: _LIQUIDATION, rules.AT_STOP: _STOP, rules.AT_TARGET: _TARGET}


class _Hit(NamedTuple):
    """What trades next on a segment: nearest first, then by rank, then by age."""

    distance: float
    rank: int
    age: int
    price: float
    order: Working | None


class SimulatedBroker:
    """See the module's docstring; the contract is `metaexpert.broker.Broker`.

    Args:
        ledger: books the fills.
        clock: the run's clock.
        costs: fees, slippage and margin rates.
        protection: the levels that every new position gets unless its order brings others.
        strategy_id: whose orders the exits of protective levels are.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, costs: Costs | None = None, protection: Protection | None = None, *,
        strategy_id: int = 0,
    ) -> None:  # fmt: skip
        self.ledger = ledger
        self.clock = clock
        self.costs = Costs() if costs is None else costs
        self.default = Protection() if protection is None else protection
        self.news: deque[News] = deque()
        self.orders: dict[str, Order] = {}
        self.fills: list[Fill] = []
        self.stirred = False
        """Set by whatever may have made news or changed what `quiet` says; whoever asked for that resets it."""
        self._book = Book(ledger.holdings)
        self._margin = Margin(ledger, self._book, self.costs)
        self._guards: dict[str, Guard] = {}
        self._strategy_id = strategy_id
        self._sent = 0
        self._moment: int | None = None  # open time of the bar that is being matched

    # -- the trader's side ----------------------------------------------------------------------------------

    def submit(self, order: Order, *, active_from: int, shrinkable: bool = False) -> None:
        """Queue `order`; see `Broker.submit`."""
        held = self.ledger.holdings[order.symbol]
        checked = risk.conform(order, held.market, held.mark or None, held.qty)
        if isinstance(checked, risk.Refusal):
            self.reject(order, checked.reason, checked.message)
            return
        short = None if shrinkable else self._margin.shortfall(checked)
        if short is not None:
            self.reject(checked, short.reason, short.message)
            return
        self._book.of[order.symbol].append(Working(checked, active_from, shrinkable=shrinkable))
        self._announce(checked.changed(status=OrderStatus.OPEN, updated=self.clock.now()))

    def reject(self, order: Order, reason: str, message: str) -> None:
        """Book `order` as refused."""
        self._announce(
            order.changed(status=OrderStatus.REJECTED, message=f"{reason}: {message}"),
            Rejection(self.clock.now(), order.symbol, order.id, reason, message),
        )

    def cancel(self, order_id: str) -> bool:
        """Cancel a working order; see `Broker.cancel`."""
        working = self._book.find(order_id)
        if working is None:
            return False
        self._drop(working, OrderStatus.CANCELED, "canceled by the expert")
        return True

    def modify(self, order_id: str, *, price: float | None, qty: float | None, active_from: int) -> bool:
        """Change price or quantity of a working order, which then arrives anew; see `Broker.modify`."""
        working = self._book.find(order_id)
        if working is None:
            return False
        old = working.order
        new = old.changed(qty=old.qty if qty is None else qty)
        if price is not None:
            new = new.changed(stop_price=price) if old.type is OrderType.STOP else new.changed(price=price)
        changed = self._checked(new)
        if isinstance(changed, risk.Refusal):
            result = Rejection(self.clock.now(), old.symbol, old.id, changed.reason, changed.message)
            self._tell(old, result)
        else:
            working.arrived, working.active_from = False, active_from
            self._announce(changed)
        return True

    def _checked(self, new: Order) -> Order | risk.Refusal:
        """`new`, which is to replace a working order, on the market's steps; or why it can't."""
        if new.type is OrderType.MARKET and new.price is not None:
            return risk.Refusal("invalid_price", "a market order has no price to change")
        held = self.ledger.holdings[new.symbol]
        checked = risk.conform(new, held.market, held.mark or None, held.qty)
        if isinstance(checked, risk.Refusal):
            return checked
        return self._margin.shortfall(checked) or checked

    def protect(self, symbol: str, protection: Protection) -> bool:
        """Replace the protective levels of a position; see `Broker.protect`."""
        guard = self._guards.get(symbol)
        if guard is None:
            return False
        if protection.follows and not guard.protection.follows:
            guard.best = self.ledger.holdings[symbol].mark  # it follows from here on, as a trailing order does
        guard.protection = protection
        guard.refresh()
        self.stirred = True
        return True

    def protection(self, symbol: str) -> Protection | None:
        """The protective levels of the position in `symbol`, None when it is flat."""
        guard = self._guards.get(symbol)
        return None if guard is None else guard.protection

    def working(self, symbol: str | None = None) -> Sequence[Order]:
        """The orders that can still trade, oldest first."""
        return self._book.orders(symbol)

    def position(self, symbol: str) -> Position:
        """The position in `symbol` with its protective levels."""
        position = self.ledger.position(symbol)
        guard = self._guards.get(symbol)
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
        for symbol, held in self.ledger.holdings.items():
            if held.qty != 0.0:
                order = self._exit_order(held, ExitReason.END)
                yield from self._fill(
                    Working(order, self.clock.now(), shrinkable=False), held.mark, maker=False, slip=False
                )
            for working in list(self._book.of[symbol]):
                self._drop(working, OrderStatus.EXPIRED, ENDED)
            yield from self._flush()

    # -- the market's side ----------------------------------------------------------------------------------

    def on_open(self, bar: Bar) -> Iterator[News]:
        """Do what happens at the open of `bar`; `on_bar` does it where this was not called before."""
        held = self.ledger.holdings[bar.symbol]
        held.mark, self._moment = bar.open, bar.time
        yield from self._sweep(held, bar.open)
        for working in self._book.active(bar):
            yield from self._arrive(working, bar)
            yield from self._sweep(held, bar.open)

    def on_bar(self, bar: Bar) -> Iterator[News]:
        """Match one bar; see the module's docstring."""
        symbol = bar.symbol
        held = self.ledger.holdings[symbol]
        guard = self._guards.get(symbol)
        if guard is not None and self.ledger.cross:
            self._relevel(guard, held)
        if self._book.of[symbol] or (guard is not None and not guard.is_safe(bar.low, bar.high)):
            yield from self._match(bar, held)
        elif guard is not None:
            guard.saw(bar.high if guard.side > 0 else bar.low)
        held.mark, self._moment = bar.close, None

    def quiet(self, symbol: str) -> Quiet:
        """Which bars of `symbol` do nothing but move its mark, as things stand now.

        True until `stirred` is set, and until a bar of any symbol that isn't quiet is matched.
        """
        guard = self._guards.get(symbol)
        if guard is not None and self.ledger.cross:
            moves = len(self._guards) > 1 or guard.liquidation != self._liquidation_of(
                self.ledger.holdings[symbol]
            )
            if moves:  # what happened elsewhere in the account moves the level at the next bar
                return NEVER
        return quiet(self._book.of[symbol], guard)

    def _match(self, bar: Bar, held: Holding) -> Iterator[News]:
        active = self._book.active(bar)
        yield from self.on_open(bar)
        low, high, _ = quiet((one for one in active if one.order.is_working), self._guards.get(bar.symbol))
        if low < bar.low and bar.high < high:
            return  # after its open nothing more is reached
        best = yield from self._walk(bar, held, active)
        guard = self._guards.get(bar.symbol)
        if guard is not None:
            guard.saw(best)

    def _walk(self, bar: Bar, held: Holding, active: Sequence[Working]) -> Generator[News, None, float]:
        """Walk the bar; returns the best price that the position at its end certainly saw."""
        at, side = bar.open, held.side
        if side:
            corners = deque(rules.plan_held(side, bar.high, bar.low, bar.close))
        else:
            corners = deque(rules.plan_flat(bar.open, bar.high, bar.low, bar.close))
        best = corners[1]
        while corners:
            to = corners[0]
            hit = self._next_hit(at, to, held, active)
            if hit is None:
                at = corners.popleft()
                continue
            towards = 1 if to > at else -1
            at = hit.price
            yield from self._trade(hit, held, bar)
            if held.side not in (0, side):
                planned = (
                    rules.plan_held(held.side, bar.high, bar.low, bar.close)
                    if at == bar.open
                    else rules.plan_entered(held.side, towards, bar.high, bar.low, bar.close)
                )
                corners, best = deque(planned), planned[1]
            side = held.side
        return best

    def _next_hit(self, at: float, to: float, held: Holding, active: Sequence[Working]) -> _Hit | None:
        """The order or level that trades next between `at` and `to`, None when nothing does."""
        hits: list[_Hit] = []
        level_hit = self._level_hit(at, to, held)
        if level_hit is not None:
            hits.append(level_hit)
        for working in active:
            order = working.order
            if not order.is_working or not working.arrived:
                continue
            if working.triggered:
                level, side, strict, rank = order.price, -order.side.sign, not self.costs.touch, _LIMIT_ORDER
            else:
                level, side, strict, rank = order.stop_price, order.side.sign, False, _STOP_ORDER
            price = rules.NO_PRICE if level is None else rules.first_touch(level, at, to, side, strict)
            if price != rules.NO_PRICE:
                hits.append(_Hit(abs(price - at), rank, int(order.id), price, working))
        return min(hits, default=None, key=lambda hit: hit[:3])

    def _level_hit(self, at: float, to: float, held: Holding) -> _Hit | None:
        guard = self._guards.get(held.market.symbol)
        if guard is None:
            return None
        liquidation = guard.unset if guard.liquidation is None else guard.liquidation
        which, price = rules.first_level(guard.side, at, to, guard.stop, guard.target, liquidation)
        return None if which == rules.NOTHING else _Hit(abs(price - at), _RANKS[which], 0, price, None)

    def _trade(self, hit: _Hit, held: Holding, bar: Bar) -> Iterator[News]:
        working = hit.order
        if working is None:
            yield from self._leave(hit, held, bar)
        elif working.triggered:
            yield from self._fill(working, hit.price, maker=True, slip=False)
        elif working.order.type is OrderType.STOP:
            yield from self._fill(working, hit.price, maker=False, slip=True)
        else:
            working.triggered = True
            yield from self._arrive_limit(working, hit.price)

    def _arrive(self, working: Working, bar: Bar) -> Iterator[News]:
        """An order reaches the market at the open of its first bar."""
        if working.arrived or not working.order.is_working:
            return
        working.arrived = True
        if working.order.type is OrderType.MARKET:
            yield from self._fill(working, bar.open, maker=False, slip=True)
        elif working.triggered:
            yield from self._arrive_limit(working, bar.open)

    def _arrive_limit(self, working: Working, price: float) -> Iterator[News]:
        """A limit order meets the market at `price`: it crosses (taker), rests (maker), or is refused (rule 5)."""
        order = working.order
        limit = price if order.price is None else order.price
        if rules.is_reached(limit, price, -order.side.sign, not self.costs.touch):
            if order.post_only:
                self._drop(working, OrderStatus.REJECTED, "it would cross on arrival", "post_only_would_cross")
            else:
                yield from self._fill(working, price, maker=False, slip=False)
        elif order.tif is not TimeInForce.GTC:
            self._drop(working, OrderStatus.EXPIRED, f"{order.tif}: nothing to fill it with on arrival")
        else:
            self._bind(working, limit)
        yield from self._flush()

    def _bind(self, working: Working, limit: float) -> None:
        """A limit order that will rest binds its margin; what the account can't carry is refused (rule 17)."""
        order = working.order
        held = self.ledger.holdings[order.symbol]
        qty = self._margin.carried(working, limit, self.costs.taker(held.market))
        if isinstance(qty, risk.Refusal):
            self._drop(working, OrderStatus.REJECTED, qty.message, qty.reason)
        elif qty < order.qty and not order.reduce_only:
            self._announce(order.changed(qty=qty, message=SHRUNK))

    # -- exits of the position's own ------------------------------------------------------------------------

    def _leave(self, hit: _Hit, held: Holding, bar: Bar) -> Iterator[News]:
        guard = self._guards[held.market.symbol]
        if hit.rank == _LIQUIDATION:
            yield from self._liquidate(held, hit.price)
            return
        reason = guard.reason if hit.rank == _STOP else ExitReason.TAKE_PROFIT
        ambiguous = hit.rank == _STOP and hit.price != bar.open and self._reaches_target(guard, bar)
        order = self._exit_order(held, reason)
        working = Working(order, bar.time, shrinkable=False)
        yield from self._fill(working, hit.price, maker=False, slip=True, ambiguous=ambiguous)

    def _reaches_target(self, guard: Guard, bar: Bar) -> bool:
        return bar.high >= guard.target if guard.side > 0 else bar.low <= guard.target

    def _sweep(self, held: Holding, price: float) -> Iterator[News]:
        """Liquidate the position when the market, at `price`, stands beyond its level."""
        guard = self._guards.get(held.market.symbol)
        if guard is None:
            return
        if self.ledger.cross:
            self._relevel(guard, held)
        level = guard.liquidation
        if level is not None and rules.is_reached(level, price, -guard.side, strict=False):
            yield from self._liquidate(held, price)

    def _liquidate(self, held: Holding, price: float) -> Iterator[News]:
        """Close at `price` with the liquidation fee; what is lost stays within the stake (rule 18).

        Where the market jumped past the price at which the stake is gone (the bankruptcy price), the exchange
        takes the position over at that one.
        """
        stake = self.ledger.stake(held.market.symbol, 0.0)
        price = self._margin.bounded(held, price)
        rate = self.costs.liquidation_fee(held.market)
        fee = rules.liquidation_fee(held.kind, held.qty, held.entry, price, stake, rate)
        order = self._exit_order(held, ExitReason.LIQUIDATION)
        self._enter(order, held, order.qty, price, fee=fee, slippage=0.0, maker=False)
        yield from self._flush()

    def _exit_order(self, held: Holding, reason: ExitReason) -> Order:
        return Order(
            id=self.next_id(),
            symbol=held.market.symbol,
            side=Side.SELL if held.side > 0 else Side.BUY,
            type=OrderType.MARKET,
            qty=abs(held.qty),
            status=OrderStatus.OPEN,
            reduce_only=True,
            tag=held.tag,
            strategy_id=self._strategy_id,
            reason=reason,
            created=self.clock.now(),
            updated=self.clock.now(),
        )

    # -- fills ------------------------------------------------------------------------------------------------

    def _fill(
        self, working: Working, price: float, *, maker: bool, slip: bool, ambiguous: bool = False
    ) -> Iterator[News]:
        """Fill an order whole at `price`, or refuse it when the account can't carry it (rules 12, 17)."""
        order = working.order
        held = self.ledger.holdings[order.symbol]
        side, market = order.side.sign, held.market
        paid = rules.slipped(price, side, self.costs.slippage_rate) if slip else price
        rate = self.costs.maker(market) if maker else self.costs.taker(market)
        qty = self._margin.carried(working, paid, rate)
        if isinstance(qty, risk.Refusal):
            self._drop(working, OrderStatus.REJECTED, qty.message, qty.reason)
        elif qty == 0.0:
            self._drop(working, OrderStatus.CANCELED, NOTHING_TO_REDUCE)
        else:
            if held.side == -side:
                paid = self._margin.bounded(held, paid)
                price = rules.better_stop(held.side, price, paid)  # what a bound gives is no slippage
            if qty < order.qty and not order.reduce_only:
                order = order.changed(message=SHRUNK)
            fee = rules.fee(held.kind, qty, paid, rate)
            slippage = abs(rules.pnl(held.kind, qty, price, paid))
            self._book.remove(working)
            working.order = self._enter(
                order, held, qty, paid, fee=fee, slippage=slippage, maker=maker, ambiguous=ambiguous
            )
        yield from self._flush()

    def _enter(
        self, order: Order, held: Holding, qty: float, price: float, *, fee: float, slippage: float, maker: bool,
        ambiguous: bool = False,
    ) -> Order:  # fmt: skip
        """Enter one fill in the ledger, set or lift the guard, and announce it; returns the filled order."""
        now, side_before = self.clock.now(), held.side
        time = now if self._moment is None else self._moment
        profit = self.ledger.apply(
            order.symbol, order.side, qty, price, fee=fee, slippage=slippage, time=time,
            reason=order.reason, tag=order.tag, ambiguous=ambiguous,
        )  # fmt: skip
        fill = Fill(
            len(self.fills) + 1, time, order.symbol, order.id, order.side, qty, price, fee, maker, slippage,
            profit, order.reason, order.tag,
        )  # fmt: skip
        self.fills.append(fill)
        self._guard(order, held, side_before)
        done = order.changed(
            status=OrderStatus.FILLED, qty=qty, filled=qty, average_price=price, fee=fee, updated=now
        )
        self._announce(done, fill)
        if held.side != side_before:
            self._cancel_reducing(held)
        return done

    def _guard(self, order: Order, held: Holding, side_before: int) -> None:
        """Set, move or lift the protective levels after a fill."""
        symbol = order.symbol
        if held.side == 0:
            self._guards.pop(symbol, None)
            return
        guard = self._guards.get(symbol)
        if guard is None or held.side != side_before:
            guard = Guard(self.default.with_order(order), held.side, held.entry, held.market.price_tick)
            self._guards[symbol] = guard
        elif held.side == order.side.sign:
            guard.regrow(guard.protection.with_order(order), held.entry)
        self._relevel(guard, held)

    def _relevel(self, guard: Guard, held: Holding) -> None:
        guard.liquidation = self._liquidation_of(held)

    def _liquidation_of(self, held: Holding) -> float | None:
        rate = self.costs.maintenance(held.market)
        return self.ledger.liquidation_price(held.market.symbol, rate)

    def _cancel_reducing(self, held: Holding) -> None:
        """Cancel what can reduce the position no more; an order still on its way may belong to the next one."""
        for working in list(self._book.of[held.market.symbol]):
            order = working.order
            if order.reduce_only and working.arrived and held.side * order.side.sign >= 0:
                self._drop(working, OrderStatus.CANCELED, "reduce_only: the position is closed")

    # -- bookkeeping of orders --------------------------------------------------------------------------------

    def next_id(self) -> str:
        """The id of the next order."""
        self._sent += 1
        return str(self._sent)

    def _drop(self, working: Working, status: OrderStatus, message: str, reason: str | None = None) -> None:
        """Take a working order off the market without a fill."""
        self._book.remove(working)
        now, order = self.clock.now(), working.order
        working.order = order.changed(status=status, message=f"{reason}: {message}" if reason else message)
        result = Rejection(now, order.symbol, order.id, reason, message) if reason else None
        self._announce(working.order, result)

    def _announce(self, order: Order, result: Fill | Rejection | None = None) -> None:
        now = self.clock.now()
        if order.updated != now:
            order = order.changed(updated=now)
        self.orders[order.id] = order
        self._book.update(order)
        self._tell(order, result)

    def _tell(self, order: Order, result: Fill | Rejection | None) -> None:
        self.stirred = True
        self.news.append(News(order, result))

    def _flush(self) -> Iterator[News]:
        while self.news:
            yield self.news.popleft()
