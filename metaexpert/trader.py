"""Trader: what an expert's trading calls do. A wish becomes a sized, filtered order and goes to the broker."""

from __future__ import annotations

import math
import reprlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from . import risk, rules
from .errors import ConfigError, StrategyError, did_you_mean
from .filters import entry_filters, filter_refusal, looks_at_candles
from .models import ExitReason, Order, OrderType, Side, TimeInForce, maker

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from .broker import Broker
    from .broker.costs import Costs
    from .broker.holding import Holding
    from .clock import Clock
    from .config import StrategySettings
    from .events import Quote
    from .feed import Feed, Series
    from .logger import MetaLogger
    from .models import Account, Market, Position

__all__ = ["UNSET", "OrderTerms", "Trader", "first_stop_pct"]


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()
"""Stands for an argument that was not given, where None means: none."""


class OrderTerms(NamedTuple):
    """The optional terms of an order: prices, flags and protection (see `MetaExpert.buy`)."""

    price: float | None = None
    stop_price: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    reduce_only: bool = False
    post_only: bool = False
    tif: str = "GTC"
    tag: str | None = None


_PLAIN = OrderTerms()
_REDUCES = OrderTerms(reduce_only=True)
_entry_state, _size_request = maker(risk.EntryState), maker(risk.SizeRequest)
_SIDES = {"long": Side.BUY, "short": Side.SELL}
_KINDS = {
    (False, False): OrderType.MARKET, (True, False): OrderType.LIMIT,
    (False, True): OrderType.STOP, (True, True): OrderType.STOP_LIMIT,
}  # fmt: skip
"""The type of an order by what it has: a price, a stop price."""
_TIFS = dict(TimeInForce.__members__)


class Trader:
    """Turns wishes into orders: resolves the symbol, sizes, filters, protects, submits.

    Args:
        settings: the strategy's settings.
        feed: the series that are known.
        broker: takes the orders.
        clock: the run's clock.
        costs: fee and slippage rates, for sizing.
        resolve: what a person types to the unified symbol.
        log: the expert's logger.
        refusals: counts why entries were not made.
    """

    def __init__(
        self, *, settings: StrategySettings, feed: Feed, broker: Broker, clock: Clock, costs: Costs,
        limits: risk.LossLimits, resolve: Callable[[str], str], log: MetaLogger, refusals: Counter[str],
    ) -> None:  # fmt: skip
        self.settings = settings
        self.feed = feed
        self.broker = broker
        self.clock = clock
        self.costs = costs
        self.limits = limits
        self.account_limits: risk.LossLimits | None = None
        """Those on the equity of the whole account, where there are some."""
        self.resolve = resolve
        self.log = log
        self.refusals = refusals
        self.stopped: str | None = None
        """Why the expert ends, and hears nothing more meanwhile."""
        self.blocked: str | None = None
        """Why it enters nothing more, and ends once it is flat."""
        self.leaving: str | None = None
        """Why the run ends, while it puts its orders in order."""
        self.is_late = False
        """Is what is heard now long past? Then nothing is entered on it."""
        self.active_from: int | None = None
        self.quotes: Mapping[str, Quote] | None = None
        """The best bids and asks as far as they are known; None where there are none to be had."""
        self._symbols = tuple(broker.ledger.holdings)
        self._filters = entry_filters(settings)
        self._looks_at_candles = looks_at_candles(settings)
        self._stop_pct = first_stop_pct(settings)
        self._draft = Order(
            id="", symbol="", side=Side.BUY, type=OrderType.MARKET, qty=0.0, tag=settings.comment or None,
            strategy_id=settings.strategy_id,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """What it goes on from after a restart, with the loss limits, as JSON can hold it."""
        return {
            "stopped": self.stopped,
            "blocked": self.blocked,
            "refusals": dict(self.refusals),
            "limits": self.limits.state(),
            "account_limits": None if self.account_limits is None else self.account_limits.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take on what `state` told."""
        self.stopped, self.blocked = state["stopped"], state["blocked"]
        self.refusals.update(state["refusals"])
        for limits, kept in ((self.limits, state["limits"]), (self.account_limits, state.get("account_limits"))):
            if limits is not None and kept is not None:
                limits.restore(kept)

    # -- looking things up ------------------------------------------------------------------------------------

    def symbol(self, text: str | None) -> str:
        """The unified symbol for `text`; None is the first of the strategy's symbols."""
        return self._symbols[0] if text is None else self.resolve(text)

    def market(self, symbol: str | None = None) -> Market:
        """The market of `symbol`."""
        return self.broker.ledger.holdings[self.symbol(symbol)].market

    def position(self, symbol: str | None = None, side: str | None = None) -> Position:
        """The position in `symbol`, flat when there is none; with `side` only one on that side.

        Raises:
            StrategyError: there is a long and a short one, and `side` is not given.
        """
        name = self.symbol(symbol)
        held = self._held("position", name, side)
        if not self.hedge and side is not None and not held.is_on(side):
            return replace(self.broker.position(name), **_FLAT)
        return self.broker.position(name, held.position_side)

    def positions(self) -> list[Position]:
        """The open positions, in the order of the strategy's symbols, the long one first."""
        legs = (held for symbol in self._symbols for held in self.broker.ledger.legs(symbol))
        return [self.broker.position(held.market.symbol, held.position_side) for held in legs if held.qty != 0.0]

    @property
    def hedge(self) -> bool:
        """True when a symbol may have a long and a short position at once (rule 20)."""
        return self.broker.ledger.hedge

    def held(self, symbol: str, side: str | None = None) -> float:
        """The signed quantity held in a unified symbol; in hedge mode by its `side`, or the sum of both."""
        if not self.hedge:
            return self.broker.ledger.holdings[symbol].qty
        if side is not None:
            return self.broker.ledger.leg(symbol, side).qty
        return sum(held.qty for held in self.broker.ledger.legs(symbol))

    def _held(self, call: str, symbol: str, side: str | None) -> Holding:
        """The holding that a call means: of `side` in hedge mode, else the one that is open."""
        if side is not None:
            _side_of(call, side)
        ledger = self.broker.ledger
        if not ledger.hedge:
            return ledger.holdings[symbol]
        if side is not None:
            return ledger.leg(symbol, side)
        legs = ledger.legs(symbol)
        is_open = [held for held in legs if held.qty != 0.0]
        if len(is_open) > 1:
            raise StrategyError(
                f"{call}: {symbol} has a long and a short position: say side='long' or side='short'"
            )
        return is_open[0] if is_open else legs[0]

    def _leg(self, symbol: str | None, side: Side, *, reduces: bool) -> Holding:
        """The holding that an order works on: buying opens longs and reduces shorts (rule 20)."""
        name = self._symbols[0] if symbol is None else self.resolve(symbol)
        ledger = self.broker.ledger
        if not ledger.hedge:
            return ledger.holdings[name]
        return ledger.leg(name, "long" if (side is Side.BUY) != reduces else "short")

    def account(self) -> Account:
        """The account now."""
        return self.broker.account()

    def series(self, symbol: str | None, timeframe: str | None) -> Series:
        """The candles of `symbol` and `timeframe`; None is the strategy's own."""
        key = (self.symbol(symbol), timeframe or self.settings.timeframe)
        found = self.feed.find(*key)
        if found is None:
            known = [name for one, name in self.feed.series if one == key[0]]
            raise StrategyError(
                f"timeframe {timeframe!r} of {key[0]} is not in this run{did_you_mean(str(timeframe), known)}; "
                "declare it with @expert.on_bar(timeframe=...), or ask for a longer one in on_init"
            )
        return found

    # -- orders -----------------------------------------------------------------------------------------------

    def send(self, side: Side, qty: float | None, symbol: str | None, terms: OrderTerms) -> Order:
        """Send an order; without `qty` an entry is sized by the strategy's settings (see `MetaExpert.buy`)."""
        held = self._leg(symbol, side, reduces=terms.reduce_only)
        closing, terms = rules.closing_qty(held.qty, side.sign, math.inf), _checked(terms)
        only_closes = terms.reduce_only or (held.is_spot and side is Side.SELL)
        if qty is None and not only_closes:
            return self._enter(side, held, terms, 0.0)
        if qty is None and closing == 0.0:
            why = f"there is no position in {held.market.symbol} to reduce"
            return self._refuse(self._order(side, held, terms), risk.Refusal("nothing_to_reduce", why))
        order = self._order(side, held, terms, closing if qty is None else _number("qty", qty))
        refusal = None if only_closes or order.qty <= closing else self._refusal(side, held)
        return self._submit(order) if refusal is None else self._refuse(order, refusal)

    def open(self, direction: str, qty: float | None, symbol: str | None, terms: OrderTerms) -> Order:
        """Open a long or short position, in one-way mode reversing an opposite one; see `MetaExpert`."""
        side = _side_of("open_position", direction)
        held = self._leg(symbol, side, reduces=False)
        closing, terms = rules.closing_qty(held.qty, side.sign, math.inf), _checked(terms)
        if qty is None:
            return self._enter(side, held, terms, closing)
        order = self._order(side, held, terms, _number("qty", qty) + closing)
        refusal = self._refusal(side, held)
        return self._submit(order) if refusal is None else self._refuse(order, refusal)

    def close(
        self, symbol: str | None, direction: str | None, qty: float | None, reason: ExitReason = ExitReason.ORDER
    ) -> Order | None:
        """Close all or `qty` of the position in `symbol` at market; None when there is nothing to close."""
        name = self.symbol(symbol)
        held = self._held("close_position", name, direction)
        if held.qty == 0.0 or (direction is not None and not held.is_on(direction)):
            self.log.debug("nothing to close", symbol=name)
            return None
        amount = abs(held.qty) if qty is None else min(_number("qty", qty), abs(held.qty))
        side = Side.SELL if held.qty > 0.0 else Side.BUY
        return self._submit(self._order(side, held, _REDUCES, amount, reason))

    def close_all(self, reason: ExitReason = ExitReason.ORDER) -> list[Order]:
        """Close every position at market."""
        orders = [self.close(position.symbol, position.side, None, reason) for position in self.positions()]
        return [order for order in orders if order is not None]

    def cancel(self, order: Order | str) -> bool:
        """Cancel a working order, by value or id; False when it works no more."""
        return self.broker.cancel(_id_of("cancel_order", order))

    @property
    def ends(self) -> str | None:
        """Why the expert ends once it is flat; None while it goes on."""
        return self.stopped or self.blocked or self.leaving

    @property
    def is_limited(self) -> bool:
        """Is there any loss limit to look at?"""
        return self.limits.are_set or (self.account_limits is not None and self.account_limits.are_set)

    def _limit_refusal(self, now: int) -> risk.Refusal | None:
        own = self.limits.refusal(now)
        return own if own is not None or self.account_limits is None else self.account_limits.refusal(now)

    def halve_all(self, reason: ExitReason) -> None:
        """Close half of every position at market, all of one that can't be halved."""
        for position in self.positions():
            step = self.broker.ledger.holdings[position.symbol].market.qty_step
            half = rules.round_down(abs(position.qty) / 2.0, step)
            self.close(position.symbol, position.side, half if half > 0.0 else None, reason)

    def cancel_all(self, symbol: str | None = None, *, entries_only: bool = False) -> int:
        """Cancel all working orders, of one symbol or of all, or the entries among them; returns how many."""
        name = None if symbol is None else self.symbol(symbol)
        orders = [one for one in self.broker.working(name) if not (entries_only and one.reduce_only)]
        return sum(self.broker.cancel(order.id) for order in orders)

    def modify(self, order: Order | str, price: float | None, qty: float | None) -> bool:
        """Change price or quantity of a working order; False when it works no more."""
        order_id = _id_of("modify_order", order)
        price = None if price is None else _number("price", price)
        qty = None if qty is None else _number("qty", qty)
        return self.broker.modify(order_id, price=price, qty=qty, active_from=self._from())

    def protect(self, symbol: str | None, levels: Mapping[str, float | None], side: str | None = None) -> bool:
        """Change protective levels (fields of `Protection`, None removes one).

        False when there is no position, or a level lies where the market has reached it already: that would close
        the position, and is refused as exchanges do.
        """
        name = self.symbol(symbol)
        held = self._held("modify_position", name, side)
        leg = held.position_side
        now = self.broker.protection(name, leg)
        if now is None:
            self.log.warning("no position to modify", symbol=name)
            return False
        checked = {key: None if value is None else _number(key, value) for key, value in levels.items()}
        stop, target = checked.get("stop_loss"), checked.get("take_profit")
        refusal = risk.wrong_side(held.side, held.mark, stop, target, "the position")
        if refusal is not None:
            self.refusals[refusal.reason] += 1
            self.log.warning("position not modified", symbol=name, reason=refusal.reason, why=refusal.message)
            return False
        for price, pct in (("stop_loss", "stop_loss_pct"), ("take_profit", "take_profit_pct")):
            if price in checked:
                checked[pct] = None
        if checked.get("trailing_stop_pct", 0.0) is None:
            checked["trailing_activation_pct"] = None
        return self.broker.protect(name, replace(now, **checked), leg)

    # -- the way of an order ----------------------------------------------------------------------------------

    def _order(
        self, side: Side, held: Holding, terms: OrderTerms, qty: float = 0.0, reason: ExitReason = ExitReason.ORDER
    ) -> Order:
        """The order that `terms`, which were checked, ask for; one that is refused before it has a size has 0."""
        fields = self._draft.fields()
        fields["id"] = self.broker.next_id()
        fields["symbol"] = held.market.symbol
        fields["side"] = side
        fields["qty"] = qty
        fields["reduce_only"] = terms.reduce_only
        fields["position_side"] = held.position_side
        fields["reason"] = reason
        fields["created"] = fields["updated"] = self.clock.now()
        order = Order.of(fields)
        if terms is _PLAIN or terms is _REDUCES:
            return order
        return order.changed(
            type=_KINDS[terms.price is not None, terms.stop_price is not None],
            price=terms.price,
            stop_price=terms.stop_price,
            stop_loss=terms.stop_loss,
            take_profit=terms.take_profit,
            post_only=terms.post_only,
            tif=_TIFS[terms.tif],
            tag=order.tag if terms.tag is None else terms.tag,
        )

    def _enter(self, side: Side, held: Holding, terms: OrderTerms, closing: float) -> Order:
        """Size an entry by the settings; `closing` of an opposite position is closed by the same order."""
        sized = self._refusal(side, held) or self._size(side, held, terms)
        if isinstance(sized, risk.Refusal):
            return self._refuse(self._order(side, held, terms), sized)
        qty, note = sized
        if note is not None:
            self.log.log_once(f"size:{note}", "sizes are capped", level="INFO", by=note, symbol=held.market.symbol)
            self.refusals[f"size capped by {note}"] += 1
        return self._submit(self._order(side, held, terms, qty + closing), shrinkable=True)

    def _size(self, buys: Side, held: Holding, terms: OrderTerms) -> tuple[float, str | None] | risk.Refusal:
        own = terms.stop_price if terms.price is None else terms.price
        price, side, market = held.mark if own is None else own, buys.sign, held.market
        if price <= 0.0:
            return risk.Refusal("no_price", f"no price of {market.symbol} is known yet")
        expected = price if terms.price is not None else rules.slipped(price, side, self.costs.slippage_rate)
        sells_option = held.is_option and side < 0
        if held.is_option and held.underlying is None and (sells_option or held.in_base):
            return risk.Refusal("no_underlying", f"no price of the underlying of {market.symbol} is known")
        ledger, closing = self.broker.ledger, rules.closing_qty(held.qty, side, math.inf)
        ask = _size_request((
            market,
            expected,
            ledger.equity(),
            held.leverage,
            ledger.room(held, side, closing, expected, fee_rate=held.taker, reserved=0.0),
            self._stop(terms, expected, side, market.price_tick),
            abs(held.qty) if held.qty * side > 0.0 else 0.0,
            held.short_margin() if sells_option else None,
            held.quote_per_settle() if held.is_option else 1.0,
        ))  # fmt: skip
        settings = self.settings
        return risk.size(settings.size_type, settings.size_value, ask, settings.max_position_size_quote)

    def _stop(self, terms: OrderTerms, price: float, side: int, tick: float) -> float | None:
        """The price at which a position from an order of `terms` would be stopped out at first."""
        if terms.stop_loss is not None:
            return terms.stop_loss
        pct = self._stop_pct
        return None if pct is None else rules.stop_level(side, price, pct, tick)

    def _submit(self, order: Order, *, shrinkable: bool = False) -> Order:
        active_from = order.created if self.active_from is None else self.active_from
        self.broker.submit(order, active_from=active_from, shrinkable=shrinkable)
        return order

    def _from(self) -> int:
        return self.clock.now() if self.active_from is None else self.active_from

    # -- filters ----------------------------------------------------------------------------------------------

    def _refusal(self, side: Side, held: Holding) -> risk.Refusal | None:
        """Why an entry is kept from being made; None when it is not."""
        if self.ends is not None:
            return risk.Refusal(self.ends, "the expert is stopping")
        if self.is_late:
            return risk.Refusal("late", "what the market tells is of the past: only exits are made on that")
        if side is Side.SELL and held.is_spot:
            return risk.Refusal("spot_short", "spot can't go short")
        now = self.clock.now()
        state = self._entry_state(side, held, now)
        refusal = self._limit_refusal(now) or risk.entry_refusal(state, self._filters)
        if refusal is None and self._looks_at_candles:
            refusal = filter_refusal(self.series(held.market.symbol, None), self.settings, side.sign)
        return refusal

    def _entry_state(self, side: Side, held: Holding, now: int) -> risk.EntryState:
        """What the filters look at; what none of them asks for is left out."""
        filters, symbol, last = self._filters, held.market.symbol, None
        if filters.min_volume is not None:
            last = self.feed.matching(symbol).last()
        is_held = held.qty * side.sign > 0.0
        waiting = [
            one for one in self.broker.book.of[symbol]
            if not one.terms.reduce_only and one.terms.side is side and not (is_held and one.filled > 0.0)
        ]  # fmt: skip
        return _entry_state((
            now,
            None if last is None else last.volume,
            0 if filters.max_open_positions is None else self._busy_beside(held),
            (held.entries if is_held else 0) + len(waiting),
            None if filters.max_spread_pct is None else self._spread_pct(symbol),
        ))  # fmt: skip

    def _spread_pct(self, symbol: str) -> float | None:
        """The spread in percent of the mid price; inf while it is not known, None where nobody can know it."""
        if self.quotes is None:
            return None
        quote = self.quotes.get(symbol)
        return math.inf if quote is None else 200.0 * (quote.ask - quote.bid) / (quote.ask + quote.bid)

    def _busy_beside(self, held: Holding) -> int:
        """How many positions are held or on their way beside `held`."""
        busy = {(one.symbol, one.position_side) for one in self.broker.working() if not one.reduce_only}
        busy |= {(one.market.symbol, one.position_side) for one in self.broker.ledger.legs() if one.qty != 0.0}
        return len(busy - {(held.market.symbol, held.position_side)})

    def _refuse(self, order: Order, refusal: risk.Refusal) -> Order:
        """Book an entry as rejected, log it once and count it."""
        self.refusals[refusal.reason] += 1
        self.log.log_once(
            f"refused:{refusal.reason}", "entry refused", level="INFO", reason=refusal.reason, why=refusal.message
        )
        self.broker.reject(order, refusal.reason, refusal.message)
        return order


def first_stop_pct(settings: StrategySettings) -> float | None:
    """The distance, in percent, of the stop that a new position has at once; None when it has none."""
    if settings.stop_loss_pct is None and not settings.trailing_activation_pct:
        return settings.trailing_stop_pct
    return settings.stop_loss_pct


_FLAT: dict[str, Any] = {
    "qty": 0.0, "entry_price": None, "unrealized_pnl": 0.0, "realized_pnl": 0.0, "funding": 0.0, "margin": 0.0,
    "liquidation_price": None, "stop_loss": None, "take_profit": None, "trailing_stop": None, "opened": None,
}  # fmt: skip


def _id_of(call: str, order: Order | str) -> str:
    if isinstance(order, Order):
        return order.id
    if not isinstance(order, str):  # pyright: ignore[reportUnnecessaryIsInstance] - what users give
        raise StrategyError(f"{call}: give an order or its id, not {reprlib.repr(order)}")
    return order


def _side_of(call: str, word: object) -> Side:
    """The side of the orders that open a position.

    Raises:
        StrategyError: the word is none of the two.
    """
    side = _SIDES.get(word) if isinstance(word, str) else None
    if side is None:
        raise StrategyError(f"{call}: unknown side {word!r}{did_you_mean(str(word), _SIDES)}")
    return side


def _checked(terms: OrderTerms) -> OrderTerms:
    """`terms` with prices that are positive floats and a `tif` as `TimeInForce` spells it.

    Raises:
        StrategyError: a price is no price, or the terms contradict each other.
    """
    price, stop_price, stop_loss, take_profit, reduces, post_only, tif, tag = terms
    has_prices = not (price is None and stop_price is None and stop_loss is None and take_profit is None)
    if not has_prices and tag is None and tif == "GTC" and not post_only:
        return _REDUCES if reduces else _PLAIN
    tif = str(terms.tif).upper()
    if tif not in _TIFS:
        raise StrategyError(f"unknown tif {terms.tif!r}{did_you_mean(str(terms.tif), _TIFS)}")
    if post_only and price is None:
        raise StrategyError("post_only needs a price: only limit orders can wait as maker")
    if post_only and tif != "GTC":
        raise StrategyError(f"post_only contradicts tif={tif}: an order that waits can't be immediate")
    prices = {
        name: None if value is None else _number(name, value)
        for name, value in zip(OrderTerms._fields[:4], terms[:4], strict=True)
    }
    return terms._replace(tif=tif, **prices)


def _number(name: str, value: object) -> float:
    """`value` as a positive finite float.

    Raises:
        StrategyError: it is none.
    """
    try:
        number = math.nan if isinstance(value, str) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number <= 0.0:
        raise StrategyError(f"{name} must be a positive number, got {reprlib.repr(value)}")
    return number


def same_name(text: str, known: Mapping[str, str]) -> str:
    """The unified symbol for `text` among the run's, as typed by a person.

    Raises:
        ConfigError: it is none of them.
    """
    found = known.get(text) or known.get(text.upper())
    if found is None:
        raise ConfigError(f"symbol {text!r} is not in this run{did_you_mean(text, known)}")
    return found
