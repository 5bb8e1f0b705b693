"""The rule book: how orders fill and what they cost. Pure functions of floats, every rule written once.

Conventions, everywhere in this module:

- `kind` is `LINEAR` (spot too: `qty` in base units, money in quote) or `INVERSE` (`qty` is face value in quote,
  money in base). Prices are quote per base.
- `qty` in money formulas is signed (long > 0, short < 0); `side` is +1 (buy, long) or -1 (sell, short).
- Rates are fractions (0.001 = 0.1 %). `NONE_LOW` and `NONE_HIGH` stand for a level that is not set: no price
  reaches below the one or above the other.
- A bar is walked along straight segments between a few prices, in the order that is worst for the position
  (`plan_held`, `plan_entered`): that is how "the stop counts before the target" (rule 7) comes about.

The functions use nothing but arithmetic, so that they read like an exchange's manual and compile unchanged.
"""

import math

__all__ = [
    "ABOVE_MAX_NOTIONAL", "ABOVE_MAX_QTY", "AT_LIQUIDATION", "AT_STOP", "AT_TARGET", "BELOW_MIN_NOTIONAL",
    "BELOW_MIN_QTY", "BY_BREAKEVEN", "BY_STOP", "BY_TRAILING", "CAPPED_BY_MARGIN", "CAPPED_BY_SETTING",
    "FIXED_BASE", "FIXED_QUOTE", "INVERSE", "LINEAR", "NONE_HIGH", "NONE_LOW", "NOTHING", "NO_PRICE", "NO_QTY",
    "PERCENT_EQUITY", "RISK_BASED", "UNSET", "average_entry", "average_price", "better_stop", "breakeven_level",
    "broken_limit", "capped", "carried", "cash_cost", "closing_qty", "fee", "first_level", "first_touch",
    "free_margin", "freed", "funding", "hedged_liquidation", "in_force", "initial_margin", "is_drawn_down",
    "is_reached", "is_safe", "is_too_large", "limit_price", "liquidation_fee", "liquidation_in_tier",
    "liquidation_price", "maintenance_margin", "not_beyond", "notional", "plan_entered", "plan_flat",
    "plan_held", "pnl", "qty_for_margin", "qty_for_notional", "qty_for_risk", "rest_price", "room", "round_down",
    "round_up", "slipped", "stake", "stop_level", "sum_of_steps", "target_level", "trailing_level", "unset_stop",
    "unset_target", "volume_cap", "wanted",
]  # fmt: skip

LINEAR = 0
INVERSE = 1

NONE_LOW = 0.0
NONE_HIGH = math.inf
NO_PRICE = -1.0  # a price that is not known or not reached
NO_QTY = -1.0  # no quantity at all: what is asked for can't be had
UNSET = -1.0  # a percentage that is not set

# How `size_value` is counted, what keeps an order from being placed or makes it smaller, which stop is in force
# and what a position meets first. 0 is always "nothing".
NOTHING = 0
FIXED_BASE, FIXED_QUOTE, PERCENT_EQUITY, RISK_BASED = 1, 2, 3, 4
BELOW_MIN_QTY, ABOVE_MAX_QTY, BELOW_MIN_NOTIONAL, ABOVE_MAX_NOTIONAL = 1, 2, 3, 4
CAPPED_BY_SETTING, CAPPED_BY_MARGIN = 1, 2
BY_STOP, BY_BREAKEVEN, BY_TRAILING = 1, 2, 3
AT_LIQUIDATION, AT_STOP, AT_TARGET = 1, 2, 3

_EPSILON = 1e-9  # percent, or a part of a step: what counts as nothing
_ULPS = 8 * 2.0**-52  # and how much of a number a few operations on floats may get wrong
_COUNTABLE = 2.0**47  # more steps than this a float can't tell apart after a few operations
_NOISE = 1e-12  # of a number: what products such as 0.57 * 100 may be off by
_OVER = 1.0 + _NOISE  # times a limit: what is beyond that exceeds it


# --- money (rules 12 to 17) ---------------------------------------------------------------------------------


def notional(kind: int, qty: float, price: float) -> float:
    """Value of |`qty`| at `price` in the settlement currency: ``qty * price``, inverse ``qty / price``."""
    return abs(qty) / price if kind == INVERSE else abs(qty) * price


def pnl(kind: int, qty: float, entry: float, price: float) -> float:
    """Profit of signed `qty` from `entry` to `price`, in the settlement currency (rules 13, 14).

    Linear ``qty * (price - entry)``; inverse ``qty * (1 / entry - 1 / price)``.
    """
    if kind == INVERSE:
        return qty * (1.0 / entry - 1.0 / price)
    return qty * (price - entry)


def fee(kind: int, qty: float, price: float, rate: float) -> float:
    """Fee of a fill in the settlement currency: notional * `rate` (rule 16)."""
    return notional(kind, qty, price) * rate


def average_entry(kind: int, qty: float, entry: float, added: float, price: float) -> float:
    """Entry price after `added` more at `price`; both quantities unsigned (rule 14).

    Linear: the mean weighted by quantity. Inverse: the harmonic mean weighted by quantity.
    """
    if qty == 0.0:
        return price
    total = qty + added
    if kind == INVERSE:
        return total / (qty / entry + added / price)
    return (qty * entry + added * price) / total


def initial_margin(kind: int, qty: float, price: float, leverage: float) -> float:
    """Margin that `qty` binds at `price`: notional / `leverage` (rule 17)."""
    return notional(kind, qty, price) / leverage


def cash_cost(kind: int, qty: float, price: float, leverage: float, fee_rate: float) -> float:
    """What opening `qty` takes from the free margin: its initial margin and its fee; a rebate gives nothing."""
    return notional(kind, qty, price) * (1.0 / leverage + (fee_rate if fee_rate > 0.0 else 0.0))


def liquidation_price(kind: int, qty: float, entry: float, margin: float, rate: float) -> float:
    """Price at which `margin` + profit falls to the maintenance margin, `rate` * notional (rule 18).

    Solves ``margin + pnl(P) = rate * notional(P)`` for P with signed `qty`. Linear:
    ``P = (qty * entry - margin) / (qty - rate * |qty|)``; inverse:
    ``P = (qty + rate * |qty|) / (margin + qty / entry)``. A long that no price above zero liquidates gives
    `NONE_LOW`, a short that none liquidates `NONE_HIGH`; the other way round where a `margin` far below zero
    leaves no price that does not. Excludes fees and funding.
    """
    if kind == INVERSE:
        below = margin + qty / entry
        if below * qty <= 0.0:
            return NONE_HIGH
        return (qty + rate * abs(qty)) / below
    level = (qty * entry - margin) / (qty - rate * abs(qty))
    return level if level > NONE_LOW else NONE_LOW


def maintenance_margin(notional: float, rate: float, deduction: float) -> float:
    """Margin below which a position is liquidated: ``notional * rate - deduction`` of its tier, never below 0.

    Source: Binance, "How to Calculate Liquidation Price of USD-M Futures Contracts", FAQ
    b3c689c1f50a44cabb3a84e663b81d93.
    """
    return max(notional * rate - deduction, 0.0)


def liquidation_in_tier(
    kind: int, qty: float, entry: float, margin: float, rate: float, deduction: float, low: float, high: float
) -> float:
    """Price of the first liquidation of signed `qty` at a notional within (`low`, `high`], where a tier holds.

    As `liquidation_price`, with the tier's `deduction`; where the whole tier liquidates, its near edge. A tier
    that begins beyond the entry price on the favourable side counts as unset. The level of a position is the
    `better_stop` over all tiers: the one that a market coming from the entry price meets first.
    """
    level = liquidation_price(kind, qty, entry, margin + deduction, rate)
    if kind == INVERSE:
        floor, ceiling = abs(qty) / high, (abs(qty) / low if low > 0.0 else NONE_HIGH)
    else:
        floor, ceiling = low / abs(qty), high / abs(qty)
    if qty > 0.0:
        return min(level, ceiling) if floor < min(level, entry) else NONE_LOW
    return max(level, floor) if ceiling > max(level, entry) else NONE_HIGH


def hedged_liquidation(kind: int, net: float, basis: float, margin: float, weight: float) -> tuple[float, int]:
    """Price at which a long and a short of one symbol fall to their maintenance margins together (rules 18, 20).

    In cross mode both stand on one `margin` (deductions of their tiers added). `net` is their signed sum; `basis`
    the sum of ``qty * entry`` (inverse ``qty / entry``) with signed quantities; `weight` that of ``rate * |qty|``.
    Linear ``P = (basis - margin) / (net - weight)``, inverse ``P = (net + weight) / (margin + basis)``. Source:
    the hedge-mode terms of the formula in Binance's FAQ b3c689c1f50a44cabb3a84e663b81d93.

    Returns the price and the side that it threatens: +1 when they are liquidated at or below it, -1 at or above,
    0 when no price liquidates them.
    """
    if kind == INVERSE:
        slope, below = net + weight, margin + basis
        if below * slope > 0.0:
            return slope / below, 1 if slope > 0.0 else -1
        return (NONE_HIGH, 1) if below < 0.0 or (below == 0.0 and slope > 0.0) else (NO_PRICE, 0)
    slope = net - weight
    if slope == 0.0:
        return (NONE_HIGH, 1) if margin <= basis else (NO_PRICE, 0)
    price = (basis - margin) / slope
    if slope > 0.0:
        return (price, 1) if price > 0.0 else (NO_PRICE, 0)
    return max(price, NONE_LOW), -1


def stake(kind: int, qty: float, entry: float, leverage: float, cross: bool, rest: float) -> float:
    """What a position can lose before anything else is touched (rule 18), in the settlement currency.

    Isolated: its own initial margin. `cross`: `rest`, which is the balance with the profit of the other positions
    less their maintenance margins.
    """
    return rest if cross else initial_margin(kind, qty, entry, leverage)


def not_beyond(side: int, price: float, bankrupt: float) -> float:
    """`price`, but not beyond `bankrupt`, where the stake of a position on `side` is gone (rule 18)."""
    if bankrupt in (NONE_LOW, NONE_HIGH):
        return price
    return better_stop(side, price, bankrupt)


def liquidation_fee(kind: int, qty: float, entry: float, price: float, stake: float, rate: float) -> float:
    """Fee of a liquidation at `price`: notional * `rate`, but at most what is left of the `stake` (rule 18)."""
    left = max(0.0, stake + pnl(kind, qty, entry, price))
    return min(left, fee(kind, qty, price, rate))


def funding(kind: int, qty: float, mark: float, rate: float) -> float:
    """What signed `qty` receives at a funding instant, negative when it pays (rule 19).

    ``-side * notional(mark) * rate``: a long pays a positive rate.
    """
    paid = notional(kind, qty, mark) * rate
    return -paid if qty > 0.0 else paid


def average_price(kind: int, qty: float, value: float) -> float:
    """The average price of fills of `qty` together worth `value` in the settlement currency."""
    return qty / value if kind == INVERSE else value / qty


# --- what the account can carry (rules 12, 17) --------------------------------------------------------------


def free_margin(balance: float, unrealized: float, used: float, cross: bool) -> float:
    """What new positions can bind: `balance` less the margin `used`; `unrealized` profit counts if `cross`."""
    return balance + (unrealized if cross else 0.0) - used


def freed(
    kind: int, held: float, entry: float, mark: float, leverage: float, cross: bool, closing: float, price: float,
    fee_rate: float,
) -> float:  # fmt: skip
    """What closing `closing` of the signed position `held` at `price` adds to the free margin.

    Its share of the margin and the profit come back, the fee goes; in cross mode the profit at `mark` was free.
    """
    side, share = 1 if held > 0.0 else -1, closing / abs(held)
    profit = pnl(kind, side * closing, entry, price)
    counted = pnl(kind, held, entry, mark) * share if cross else 0.0
    margin = initial_margin(kind, held, entry, leverage)
    return margin * share + profit - counted - fee(kind, closing, price, fee_rate)


def room(kind: int, free: float, price: float, leverage: float, fee_rate: float) -> float:
    """How much the `free` margin can open at `price`, its fee included (rule 17). May be negative."""
    return free / cash_cost(kind, 1.0, price, leverage, fee_rate)


def is_too_large(opening: float, room: float) -> bool:
    """Does `opening` need more than there is `room` for, by more than the noise of floats (rule 17)?"""
    return opening > room * _OVER


def carried(
    kind: int, qty: float, closing: float, room: float, shrinkable: bool, price: float, step: float,
    min_qty: float, min_notional: float,
) -> float:  # fmt: skip
    """How much of an order of `qty`, `closing` of it off an opposite position, is filled at `price` (rule 17).

    An order that was sized by the settings is `shrinkable`: it opens what there is `room` for, as far as the
    market takes that little, and closes in any case. `NO_QTY` when the order is refused.
    """
    if not is_too_large(qty - closing, room):
        return qty
    if not shrinkable:
        return NO_QTY
    shrunk = round_down(room, step)
    worth = shrunk if kind == INVERSE else shrunk * price
    if shrunk > 0.0 and shrunk >= min_qty and worth >= min_notional:
        return sum_of_steps(closing, shrunk, step)
    return closing if closing > 0.0 else NO_QTY


def broken_limit(
    kind: int, qty: float, price: float, min_qty: float, max_qty: float, min_notional: float, max_notional: float
) -> int:
    """Which of the market's limits an order of `qty` breaks at `price`, `NOTHING` when none (rule 11).

    Quantities that are no multiple of the step were rounded down before. Limits on the notional, in quote, are
    left out where the price is not known (`NO_PRICE`).
    """
    if qty <= 0.0 or min_qty > qty * _OVER:
        return BELOW_MIN_QTY
    if qty > max_qty * _OVER:
        return ABOVE_MAX_QTY
    if price <= 0.0:
        return NOTHING
    worth = qty if kind == INVERSE else qty * price
    if min_notional > worth * _OVER:
        return BELOW_MIN_NOTIONAL
    return ABOVE_MAX_NOTIONAL if worth > max_notional * _OVER else NOTHING


def closing_qty(held: float, side: int, qty: float) -> float:
    """How much of an order of `qty` on `side` closes the signed position `held`; the rest opens."""
    if held * side >= 0.0:
        return 0.0
    whole = abs(held)
    return qty if qty < whole else whole


# --- prices and steps (rules 4, 6, 11) ----------------------------------------------------------------------


def slipped(price: float, side: int, rate: float) -> float:
    """`price` moved against the trader by `rate`: a buy pays more, a sell gets less (rules 4, 6)."""
    return price * (1.0 + side * rate)


def round_down(value: float, step: float) -> float:
    """The largest multiple of `step` not above `value`; a float's last digits don't cost a whole step.

    `value` itself where there is no step, or it holds more of them than a float can count.
    """
    if step <= 0.0:
        return value
    count = value / step
    if not -_COUNTABLE < count < _COUNTABLE:
        return value
    return _steps(math.floor(count + _noise(count)), step)


def round_up(value: float, step: float) -> float:
    """The smallest multiple of `step` not below `value`; see `round_down`."""
    if step <= 0.0:
        return value
    count = value / step
    if not -_COUNTABLE < count < _COUNTABLE:
        return value
    return _steps(math.ceil(count - _noise(count)), step)


def sum_of_steps(first: float, second: float, step: float) -> float:
    """``first + second``, both multiples of `step`, without the noise of 0.1 + 0.2 - 0.3.

    A sum that is no multiple of `step`, because one of the two is none, stays as it is.
    """
    total = first + second
    if total == 0.0:
        return 0.0
    scale = abs(first) + abs(second)
    if step <= 0.0 or not scale / step < _COUNTABLE:
        return total
    count = total / step
    whole = math.floor(count + 0.5)
    return _steps(whole, step) if abs(count - whole) <= _noise(scale / step) else total


def _noise(count: float) -> float:
    """How far off a whole number of steps `count` may be and still stand for it."""
    return _EPSILON + _ULPS * abs(count)


def _steps(count: float, step: float) -> float:
    """``count * step`` without the noise of 3 * 0.1: a step of one over a whole number divides instead."""
    inverse = math.floor(1.0 / step + 0.5)
    if inverse > 0 and abs(inverse * step - 1.0) < _ULPS:
        return count / inverse
    return count * step


def first_touch(level: float, at: float, to: float, side: int, strict: bool) -> float:
    """Where a market that goes from `at` straight to `to` first reaches `level`; `NO_PRICE` when it doesn't.

    See `is_reached` for `side` and `strict`. A level behind `at` is reached there: gaps fill at the open (rule 9).
    """
    if is_reached(level, at, side, strict):
        return at
    return level if is_reached(level, to, side, strict) else NO_PRICE


def is_reached(level: float, price: float, side: int, strict: bool) -> bool:
    """Has the market, at `price`, come to `level` from the far side?

    `side` is +1 for levels that lie above (stop buys, limit sells, targets of longs) and -1 for those below.
    `strict` asks for a price beyond the level, not only at it (limit orders that must be traded through, rule 5).
    """
    if side > 0:
        return price > level if strict else price >= level
    return price < level if strict else price <= level


def limit_price(price: float, side: int, tick: float) -> float:
    """A limit price on the market's tick: buys down, sells up (rule 11)."""
    return round_down(price, tick) if side > 0 else round_up(price, tick)


def rest_price(side: int, limit: float, low: float, high: float) -> float:
    """What the rest of a limit order gets in a bar, once an earlier bar has traded through its `limit` (rule 10).

    Not the better open (rule 5): the market was there before and had no volume for it. The limit itself, or the
    nearest price to it that the bar has.
    """
    return min(limit, high) if side > 0 else max(limit, low)


def volume_cap(kind: int, volume: float, pct: float, used: float, price: float, step: float) -> float:
    """The most that a bar may still fill: `pct` percent of its `volume` less what it has `used` (rule 10).

    Both in base units; the result is a quantity at `price`, on the step.
    """
    left = max(volume * pct / 100.0 - used, 0.0)
    return round_down(left * price if kind == INVERSE else left, step)


# --- sizes (rule 22) ----------------------------------------------------------------------------------------


def qty_for_notional(kind: int, value: float, price: float) -> float:
    """Quantity whose value in quote is `value`: ``value / price``, inverse `value` itself (face value)."""
    return value if kind == INVERSE else value / price


def qty_for_margin(kind: int, margin: float, leverage: float, price: float) -> float:
    """Quantity that binds `margin` (settlement currency) at `leverage` and `price`."""
    return margin * leverage * price if kind == INVERSE else margin * leverage / price


def qty_for_risk(kind: int, risk: float, entry: float, stop: float) -> float:
    """Quantity that loses `risk` (settlement currency) between `entry` and `stop`; 0 where they are equal."""
    loss = abs(pnl(kind, 1.0, entry, stop))
    return risk / loss if loss > 0.0 else 0.0


def wanted(
    kind: int, size_type: int, value: float, price: float, equity: float, leverage: float, stop: float
) -> float:
    """Quantity that `size_type` and `value` ask for at `price`, before caps and rounding (rule 22).

    `NO_QTY` for `RISK_BASED` without a `stop` (`NO_PRICE`), or with one at the entry price.
    """
    if size_type == FIXED_BASE:
        return value * price if kind == INVERSE else value
    if size_type == FIXED_QUOTE:
        return qty_for_notional(kind, value, price)
    if size_type == PERCENT_EQUITY:
        return qty_for_margin(kind, max(0.0, equity) * value, leverage, price)
    if stop in (NO_PRICE, price):
        return NO_QTY
    return qty_for_risk(kind, max(0.0, equity) * value / 100.0, price, stop)


def capped(kind: int, qty: float, price: float, cap_quote: float, held: float, room: float) -> tuple[float, int]:
    """`qty` capped by `cap_quote` (of the whole position, `held` included), then by `room`.

    Returns the quantity and what capped it: `NOTHING`, `CAPPED_BY_SETTING` or `CAPPED_BY_MARGIN` (rule 22).
    """
    by, cap = NOTHING, qty_for_notional(kind, cap_quote, price) - held
    if cap < 0.0:
        cap = 0.0
    if qty > cap:
        qty, by = cap, CAPPED_BY_SETTING
    if qty > room:
        qty, by = room if room > 0.0 else 0.0, CAPPED_BY_MARGIN
    return qty, by


# --- protective levels (rules 7, 8, 11) ---------------------------------------------------------------------


def stop_level(side: int, entry: float, pct: float, tick: float) -> float:
    """Stop-loss of a position on `side`, `pct` percent from `entry`, never nearer than asked (rule 11)."""
    level = entry * (1.0 - side * pct / 100.0)
    if level < NONE_LOW:
        level = NONE_LOW
    return round_down(level, tick) if side > 0 else round_up(level, tick)


def target_level(side: int, entry: float, pct: float, tick: float) -> float:
    """Take-profit of a position on `side`, `pct` percent from `entry`, never nearer than asked (rule 11)."""
    level = entry * (1.0 + side * pct / 100.0)
    if level < NONE_LOW:
        level = NONE_LOW
    return round_up(level, tick) if side > 0 else round_down(level, tick)


def trailing_level(side: int, entry: float, best: float, pct: float, activation: float, tick: float) -> float:
    """Trailing stop `pct` percent behind `best`, the best price seen since entry (rule 8).

    Not set (`NONE_LOW` for longs, `NONE_HIGH` for shorts) before `best` is `activation` percent in profit.
    """
    if side * (best / entry - 1.0) * 100.0 < activation - _EPSILON:
        return NONE_LOW if side > 0 else NONE_HIGH
    return stop_level(side, best, pct, tick)


def breakeven_level(side: int, entry: float, best: float, pct: float, tick: float) -> float:
    """Stop at `entry` once `best` was `pct` percent in profit, else not set (rule 8)."""
    if side * (best / entry - 1.0) * 100.0 < pct - _EPSILON:
        return NONE_LOW if side > 0 else NONE_HIGH
    return stop_level(side, entry, 0.0, tick)


def better_stop(side: int, first: float, second: float) -> float:
    """The one of two stops that protects more: the higher for longs, the lower for shorts."""
    if side > 0:
        return second if second > first else first
    return second if second < first else first


def unset_stop(side: int) -> float:
    """The stop that no price reaches."""
    return NONE_LOW if side > 0 else NONE_HIGH


def unset_target(side: int) -> float:
    """The target that no price reaches."""
    return NONE_HIGH if side > 0 else NONE_LOW


def in_force(
    side: int, fixed: float, entry: float, best: float, breakeven: float, trailing: float, activation: float,
    tick: float,
) -> tuple[float, int]:  # fmt: skip
    """The best of a `fixed` stop, breakeven and trailing stop, and which it is: `BY_STOP`, `BY_BREAKEVEN` ...

    `breakeven`, `trailing` (`UNSET` when there is none) and `activation` are in percent; see their functions.
    """
    level, by = fixed, BY_STOP
    if breakeven != UNSET:
        better = better_stop(side, level, breakeven_level(side, entry, best, breakeven, tick))
        if better != level:
            level, by = better, BY_BREAKEVEN
    if trailing != UNSET:
        better = better_stop(side, level, trailing_level(side, entry, best, trailing, activation, tick))
        if better != level:
            level, by = better, BY_TRAILING
    return level, by


# --- the walk through a bar (rules 5 to 9) ------------------------------------------------------------------


def plan_held(side: int, high: float, low: float, close: float) -> tuple[float, float, float]:
    """Corner prices after the open while a position on `side` is held: the adverse extreme comes first."""
    return (low, high, close) if side > 0 else (high, low, close)


def plan_flat(open_: float, high: float, low: float, close: float) -> tuple[float, float, float]:
    """Corner prices after the open without a position: a rising bar dips first, a falling one peaks first."""
    return (low, high, close) if close >= open_ else (high, low, close)


def plan_entered(side: int, towards: int, high: float, low: float, close: float) -> tuple[float, float, float]:
    """Corner prices after a position on `side` was opened inside the bar, the market moving `towards`.

    The adverse extreme comes first, also where it may lie before the entry. The favourable one counts only if
    it certainly lies after it: when the market was moving that way (a stop entry); behind a limit entry
    nothing better than the close is known.
    """
    adverse, favourable = (low, high) if side > 0 else (high, low)
    return adverse, favourable if towards == side else close, close


def is_safe(side: int, low: float, high: float, stop: float, target: float, liquidation: float) -> bool:
    """Does a bar between `low` and `high` reach no level of a position on `side`?"""
    if side > 0:
        return low > stop and high < target and low > liquidation
    return high < stop and low > target and high < liquidation


def first_level(
    side: int, at: float, to: float, stop: float, target: float, liquidation: float
) -> tuple[int, float]:
    """Which level of a position on `side` a market that goes from `at` straight to `to` reaches first, and where.

    `AT_LIQUIDATION`, `AT_STOP` or `AT_TARGET`, in this order where they are equally near; `NOTHING` when none.
    """
    which, price, nearest = NOTHING, NO_PRICE, math.inf
    touch = first_touch(liquidation, at, to, -side, strict=False)
    if touch != NO_PRICE:
        which, price, nearest = AT_LIQUIDATION, touch, abs(touch - at)
    touch = first_touch(stop, at, to, -side, strict=False)
    if touch != NO_PRICE and abs(touch - at) < nearest:
        which, price, nearest = AT_STOP, touch, abs(touch - at)
    touch = first_touch(target, at, to, side, strict=False)
    if touch != NO_PRICE and abs(touch - at) < nearest:
        which, price = AT_TARGET, touch
    return which, price


# --- loss limits (rules 21, 25) -----------------------------------------------------------------------------


def is_drawn_down(equity: float, peak: float, limit: float) -> bool:
    """Has `equity` fallen from its `peak` by the fraction `limit`?"""
    return equity <= peak * (1.0 - limit)
