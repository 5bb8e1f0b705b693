"""Risk: sizes, the market's limits, entry filters and loss limits. Pure: values in, an answer out.

Refusals carry a stable `reason` code (counted in reports) and a `message` for people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from . import rules, tiers
from .models import ExitReason, SizeType
from .timeframe import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .models import Market, Order, Tier

__all__ = [
    "CAPS",
    "DAY_IS_LOST",
    "SIZE_TYPES",
    "EntryFilters",
    "EntryState",
    "LossLimits",
    "Refusal",
    "SizeRequest",
    "bad_number",
    "conform",
    "entry_refusal",
    "insufficient_margin",
    "largest_qty",
    "limit_refusal",
    "no_stop",
    "size",
    "size_is_zero",
    "tier_refusal",
    "wrong_side",
]

_NUMBERS = ("qty", "price", "stop_price", "stop_loss", "take_profit")  # of an order
_NO_PRICES = (None, None, None, None)
_HOUR_MS = 3_600_000
_LIMITS_STATE = ("_day", "_day_start", "_last", "blocked_until", "peak")
_THURSDAY = 3  # 1970-01-01, counted from Monday = 0

SIZE_TYPES = {
    SizeType.FIXED_BASE: rules.FIXED_BASE,
    SizeType.FIXED_QUOTE: rules.FIXED_QUOTE,
    SizeType.PERCENT_EQUITY: rules.PERCENT_EQUITY,
    SizeType.RISK_BASED: rules.RISK_BASED,
}
"""The size types as `rules` counts them."""
CAPS = {
    rules.NOTHING: None,
    rules.CAPPED_BY_SETTING: "max_position_size_quote",
    rules.CAPPED_BY_MARGIN: "free margin",
}
"""What can make a size smaller, as `rules` counts it, in words."""


class Refusal(NamedTuple):
    """Why something was not done."""

    reason: str
    message: str


DAY_IS_LOST = Refusal("daily_loss_limit", "the day's loss limit was reached: no entries until 00:00 UTC")
"""The refusal of an entry on a day on which the loss limit was reached (rule 25)."""


# --- the market's rules (rule 11) ---------------------------------------------------------------------------


def conform(order: Order, market: Market, reference: float | None, held: float) -> Order | Refusal:
    """Round `order` to the market's steps and check its limits; the same in every mode (rule 11).

    Args:
        order: what is asked for.
        market: the market's rules.
        reference: the price that values a market order, None if unknown; others are valued at their own.
        held: the signed quantity held now. An order that only closes all of it may be below the minimums, so
            that dust can be got rid of.

    Returns:
        The rounded order, or the reason why it can't be placed.
    """
    prices = order.price, order.stop_price, order.stop_loss, order.take_profit
    is_plain = prices == _NO_PRICES
    if not (is_plain and 0.0 < order.qty < math.inf):
        bad = _bad_number(order.qty, *prices)
        if bad is not None:
            return bad
    qty = rules.round_down(order.qty, market.qty_step)
    if qty != order.qty:
        order = order.changed(qty=qty)
    if not is_plain:
        order = _on_ticks(order, market.price_tick)
        own = order.stop_price if order.price is None else order.price
        reference = reference if own is None else own
        bad = _bad_levels(order, reference, market.price_tick)
        if bad is not None:
            return bad
    closes_all = order.reduce_only and qty >= abs(held) > 0.0
    return order if closes_all else _within_limits(order, market, reference)


def _on_ticks(order: Order, tick: float) -> Order:
    """`order` with its price and stop price on the market's tick."""
    side, price, stop_price = order.side.sign, order.price, order.stop_price
    if price is not None:
        price = rules.limit_price(price, side, tick)
    if stop_price is not None:
        away = side if order.reason is ExitReason.TAKE_PROFIT else -side
        stop_price = rules.limit_price(stop_price, away, tick)
    is_same = price == order.price and stop_price == order.stop_price
    return order if is_same else order.changed(price=price, stop_price=stop_price)


def _bad_number(*numbers: float | None) -> Refusal | None:
    for name, value in zip(_NUMBERS, numbers, strict=True):
        if value is not None and not 0.0 < value < math.inf:
            return bad_number(name, value)
    return None


def bad_number(name: str, value: float) -> Refusal:
    """The refusal of an order whose quantity or price is no positive number."""
    return Refusal(f"invalid_{name}", f"{name} must be a positive number, got {value!r}")


def _bad_levels(order: Order, entry: float | None, tick: float) -> Refusal | None:
    """A stop or target on the wrong side of the entry price would close the position as it opens."""
    if order.price == 0.0 or order.stop_price == 0.0:
        name = "price" if order.price == 0.0 else "stop_price"
        return Refusal(f"invalid_{name}", f"{name} is below one tick of the market, {tick:.12g}")
    if entry is None or order.reduce_only or (order.stop_loss is None and order.take_profit is None):
        return None
    return wrong_side(order.side.sign, entry, order.stop_loss, order.take_profit, f"a {order.side}")


def wrong_side(
    side: int, price: float, stop_loss: float | None, take_profit: float | None, whose: str
) -> Refusal | None:
    """The refusal of a level that a position on `side` has reached already at `price`; None when there is none."""
    for name, level, wanted in (("stop_loss", stop_loss, -side), ("take_profit", take_profit, side)):
        if level is not None and (level - price) * wanted <= 0.0:
            where = "below" if wanted < 0 else "above"
            text = f"{name} {level:.12g} of {whose} must lie {where} its price {price:.12g}"
            return Refusal(f"invalid_{name}", text)
    return None


def _within_limits(order: Order, market: Market, reference: float | None) -> Order | Refusal:
    price, at_market = rules.NO_PRICE if reference is None else reference, order.price is None
    broken = rules.broken_limit(
        _kind(market), order.qty, price, market.min_qty, largest_qty(market, at_market=at_market),
        market.min_notional, math.inf if market.max_notional is None else market.max_notional,
    )  # fmt: skip
    if broken == rules.NOTHING:
        return order
    return limit_refusal(broken, order.qty, price, market, at_market=at_market)


def largest_qty(market: Market, *, at_market: bool) -> float:
    """The largest quantity of one order, infinite where there is no limit; `at_market`: of one without a price."""
    most, own = market.max_qty, market.max_market_qty
    if at_market and own is not None and (most is None or own < most):
        most = own
    return math.inf if most is None else most


def limit_refusal(broken: int, qty: float, price: float, market: Market, *, at_market: bool) -> Refusal:
    """The refusal of an order of `qty` at `price` that breaks a limit of the market (`rules.broken_limit`)."""
    unit = market.quote if market.is_inverse else market.base
    worth = qty if market.is_inverse else qty * price
    if broken == rules.BELOW_MIN_QTY:
        least = market.min_qty or market.qty_step
        return Refusal("below_min_qty", f"{qty:.12g} {unit} is below the market's minimum of {least:.12g}")
    if broken == rules.ABOVE_MAX_QTY:
        most = largest_qty(market, at_market=at_market)
        whose = "market orders" if most < largest_qty(market, at_market=False) else "orders"
        return Refusal(
            "above_max_qty", f"{qty:.12g} {unit} is above the maximum of {whose}, {most:.12g}: split it"
        )
    word, limit = ("below", "min") if broken == rules.BELOW_MIN_NOTIONAL else ("above", "max")
    most = market.min_notional if limit == "min" else market.max_notional
    return Refusal(
        f"{word}_{limit}_notional", f"{worth:.12g} {market.quote} is {word} the {limit}imum of {most:.12g}"
    )


def insufficient_margin(wanted: float, room: float, market: Market) -> Refusal:
    """The refusal of an order that the free margin can't carry (rule 17)."""
    unit = market.quote if market.is_inverse else market.base
    return Refusal(
        "insufficient_margin", f"{wanted:.12g} {unit} wanted, the free margin carries {max(room, 0.0):.12g}"
    )


def tier_refusal(broken: int, worth: float, leverage: float, tier: Tier, market: Market) -> Refusal:
    """The refusal of a position of notional `worth` that `tier` does not allow (`tiers.broken_tier`)."""
    if broken == tiers.ABOVE_LAST_TIER:
        return Refusal(
            "above_max_position",
            f"a position worth {worth:.12g} {market.settle} is above the largest tier, {tier.max_notional:.12g}",
        )
    return Refusal(
        "leverage_above_tier",
        f"a position worth {worth:.12g} {market.settle} may have leverage {tier.max_leverage:g}, not {leverage:g}",
    )


# --- sizes (rule 22) ----------------------------------------------------------------------------------------


class SizeRequest(NamedTuple):
    """What sizing looks at. `price` is the expected entry; `stop` its stop-loss, None when there is none.

    `held` is the quantity that already stands on the side of the entry, `room` what the free margin still
    carries (both unsigned, in the unit of `Order.qty`); `equity` is in the settlement currency. `margin_of_one` is
    what one unit binds where that is not price / leverage, `quote_per_settle` what values in quote are divided by:
    both are for options.
    """

    market: Market
    price: float
    equity: float
    leverage: float
    room: float
    stop: float | None = None
    held: float = 0.0
    margin_of_one: float | None = None
    quote_per_settle: float = 1.0


def size(
    size_type: SizeType, value: float, ask: SizeRequest, cap_quote: float | None
) -> tuple[float, str | None] | Refusal:
    """Quantity to open by `size_type` and `value` (rule 22), rounded down to the market's step.

    Capped by `cap_quote` (the position's largest notional in quote), then by the free margin.

    Returns:
        The quantity and, when a cap made it smaller, which; or the reason why there is none.
    """
    kind, market = _kind(ask.market), ask.market
    stop = rules.NO_PRICE if ask.stop is None else ask.stop
    if size_type is SizeType.FIXED_QUOTE:
        value /= ask.quote_per_settle
    if size_type is SizeType.PERCENT_EQUITY and ask.margin_of_one is not None:
        qty = max(0.0, ask.equity) * value / ask.margin_of_one
    else:
        qty = rules.wanted(kind, SIZE_TYPES[size_type], value, ask.price, ask.equity, ask.leverage, stop)
    if qty == rules.NO_QTY:
        return no_stop(stop)
    cap = math.inf if cap_quote is None else cap_quote / ask.quote_per_settle
    qty, by = rules.capped(kind, qty, ask.price, cap, ask.held, ask.room)
    rounded = rules.round_down(qty, market.qty_step)
    return (rounded, CAPS[by]) if rounded > 0.0 else size_is_zero(qty, by, market)


def no_stop(stop: float) -> Refusal:
    """The refusal of a size by risk where the `stop` defines none."""
    if stop == rules.NO_PRICE:
        return Refusal("no_stop", "size_type='risk_based' needs a stop: give stop_loss or set stop_loss_pct")
    return Refusal("no_stop", "the stop equals the entry price: the risk is not defined")


def size_is_zero(qty: float, by: int, market: Market) -> Refusal:
    """The refusal of a size below one step, `by` being what capped it."""
    why = f", capped by {CAPS[by]}" if CAPS[by] else ""
    unit = market.quote if market.is_inverse else market.base
    return Refusal("size_is_zero", f"the size comes to {qty:.6g} {unit}{why}: below one step")


def _kind(market: Market) -> int:
    return rules.INVERSE if market.is_inverse else rules.LINEAR


# --- entry filters (rule 24) --------------------------------------------------------------------------------


class EntryState(NamedTuple):
    """What entry filters look at: the moment (ms UTC), the last closed bar's volume, what is already on.

    `open_positions` counts symbols with a position or a working entry, this one excluded; `entries` the entries
    stacked in this symbol on this side, working ones included. `spread_pct` is None where there are no quotes.
    """

    time: int
    volume: float | None
    open_positions: int
    entries: int
    spread_pct: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilters:
    """The settings that keep entries from being made (rule 24); None switches one off.

    `checks` are those that are set, in the order in which they are asked.
    """

    trade_hours: Collection[int] | None = None
    allowed_days: Collection[int] | None = None
    min_volume: float | None = None
    max_spread_pct: float | None = None
    max_open_positions: int | None = None
    max_positions_per_symbol: int = 1
    checks: tuple[Callable[[EntryState], Refusal | None], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        checks = [partial(check, limit) for name, check in _CHECKS if (limit := getattr(self, name)) is not None]
        object.__setattr__(self, "checks", tuple(checks))


def entry_refusal(state: EntryState, filters: EntryFilters) -> Refusal | None:
    """The first filter that keeps an entry from being made, None when all let it pass (rule 24)."""
    for check in filters.checks:
        refusal = check(state)
        if refusal is not None:
            return refusal
    return None


def _hours(allowed: Collection[int], state: EntryState) -> Refusal | None:
    hour = state.time % DAY_MS // _HOUR_MS
    return None if hour in allowed else Refusal("trade_hours", f"no entries in hour {hour} UTC")


def _days(allowed: Collection[int], state: EntryState) -> Refusal | None:
    day = (state.time // DAY_MS + _THURSDAY) % 7 + 1
    return None if day in allowed else Refusal("allowed_days", f"no entries on day {day} of the week")


def _volume(least: float, state: EntryState) -> Refusal | None:
    volume = state.volume
    if volume is not None and volume >= least:  # NaN is not enough either
        return None
    return Refusal("min_volume", f"volume of the last bar {volume} is below {least:g}")


def _spread(widest: float, state: EntryState) -> Refusal | None:
    spread = state.spread_pct
    if spread is None or spread <= widest:
        return None
    return Refusal("max_spread_pct", f"spread {spread:.4g} % is above {widest:g} %")


def _positions(most: int, state: EntryState) -> Refusal | None:
    if state.entries or state.open_positions < most:
        return None
    return Refusal("max_open_positions", f"positions that are open already: {state.open_positions}")


def _entries(most: int, state: EntryState) -> Refusal | None:
    if state.entries < most:
        return None
    return Refusal("max_positions_per_symbol", f"entries that stand in this symbol already: {state.entries}")


_CHECKS: tuple[tuple[str, Callable[[Any, EntryState], Refusal | None]], ...] = (
    ("trade_hours", _hours), ("allowed_days", _days), ("min_volume", _volume), ("max_spread_pct", _spread),
    ("max_open_positions", _positions), ("max_positions_per_symbol", _entries),
)  # fmt: skip


# --- loss limits (rules 21, 25) -----------------------------------------------------------------------------


class LossLimits:
    """Daily loss and drawdown on equity, open profit included. The day starts at 00:00 UTC.

    A day's loss counts from the last mark before it: over a gap, or with bars longer than a day, what was lost
    since that mark counts for the day of the next one.

    Args:
        daily_loss: loss since the day's start, in the settlement currency, that stops entries for the day.
        drawdown: loss from the highest equity, as a fraction of it, that stops the expert.
        equity: equity at the start.
        time: the start, ms UTC.
    """

    __slots__ = ("_day", "_day_start", "_last", "blocked_until", "daily_loss", "drawdown", "peak")

    def __init__(self, daily_loss: float | None, drawdown: float | None, *, equity: float, time: int) -> None:
        self.daily_loss = daily_loss
        self.drawdown = drawdown
        self.begin(equity, time)

    def begin(self, equity: float, time: int) -> None:
        """Count from `equity` at `time` (ms UTC) on, whatever was before."""
        self.peak = self._day_start = self._last = equity
        self._day = time // DAY_MS
        self.blocked_until = self._day * DAY_MS

    def state(self) -> dict[str, Any]:
        """What it goes on from after a restart, as JSON can hold it; the limits themselves are the settings'."""
        return {name.lstrip("_"): getattr(self, name) for name in _LIMITS_STATE}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take on what `state` told."""
        for name in _LIMITS_STATE:
            setattr(self, name, state[name.lstrip("_")])

    @property
    def are_set(self) -> bool:
        """Is there any limit to look at?"""
        return self.daily_loss is not None or self.drawdown is not None

    def update(self, time: int, equity: float) -> str | None:
        """Mark `equity` at `time`; returns ``"max_drawdown"`` or ``"daily_loss_limit"`` when one is reached.

        A mark at midnight still belongs to the day that ends there. A day's loss limit is reached once.
        """
        day = (time - 1) // DAY_MS
        if day > self._day:
            self._day, self._day_start = day, self._last
        self._last = equity
        self.peak = max(self.peak, equity)
        if self.drawdown is not None and rules.is_drawn_down(equity, self.peak, self.drawdown):
            return "max_drawdown"
        if (
            self.daily_loss is not None
            and self._day_start - equity >= self.daily_loss
            and self.blocked_until <= day * DAY_MS
        ):
            self.blocked_until = (day + 1) * DAY_MS
            return "daily_loss_limit"
        return None

    def used(self, time: int, equity: float) -> dict[str, tuple[float, float]]:
        """How much of each limit that is set is used up at `equity`, and the limit, by its setting's name.

        The day's loss in the settlement currency, the drawdown as a fraction; a profit uses nothing.
        """
        start = self._last if (time - 1) // DAY_MS > self._day else self._day_start
        found: dict[str, tuple[float, float]] = {}
        if self.daily_loss is not None:
            found["daily_loss_limit"] = max(start - equity, 0.0), self.daily_loss
        if self.drawdown is not None:
            peak = max(self.peak, equity)
            found["max_drawdown_pct"] = (1.0 - equity / peak if peak > 0.0 else 0.0), self.drawdown
        return found

    def refusal(self, time: int) -> Refusal | None:
        """Why no entry is made at `time`, None when one may be."""
        if self.daily_loss is not None and time < self.blocked_until:
            return DAY_IS_LOST
        return None
