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
    "INVERSE",
    "LINEAR",
    "NONE_HIGH",
    "NONE_LOW",
    "average_entry",
    "better_stop",
    "breakeven_level",
    "cash_cost",
    "closing_qty",
    "fee",
    "initial_margin",
    "is_reached",
    "limit_price",
    "liquidation_price",
    "notional",
    "plan_entered",
    "plan_flat",
    "plan_held",
    "pnl",
    "qty_for_margin",
    "qty_for_notional",
    "qty_for_risk",
    "round_down",
    "round_up",
    "slipped",
    "stop_level",
    "sum_of_steps",
    "target_level",
    "trailing_level",
]

LINEAR = 0
INVERSE = 1

NONE_LOW = 0.0
NONE_HIGH = math.inf

_EPSILON = 1e-9  # percent, or a part of a step: what counts as nothing
_ULPS = 8 * 2.0**-52  # and how much of a number a few operations on floats may get wrong
_COUNTABLE = 2.0**47  # more steps than this a float can't tell apart after a few operations


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
    return notional(kind, qty, price) * (1.0 / leverage + max(fee_rate, 0.0))


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
    return max((qty * entry - margin) / (qty - rate * abs(qty)), NONE_LOW)


def closing_qty(held: float, side: int, qty: float) -> float:
    """How much of an order of `qty` on `side` closes the signed position `held`; the rest opens."""
    if held * side >= 0.0:
        return 0.0
    return min(abs(held), qty)


# --- prices and steps (rules 4, 6, 11) ----------------------------------------------------------------------


def slipped(price: float, side: int, rate: float) -> float:
    """`price` moved against the trader by `rate`: a buy pays more, a sell gets less (rules 4, 6)."""
    return price * (1.0 + side * rate)


def round_down(value: float, step: float) -> float:
    """The largest multiple of `step` not above `value`; a float's last digits don't cost a whole step.

    `value` itself where there is no step, or it holds more of them than a float can count.
    """
    if step <= 0.0 or not abs(value / step) < _COUNTABLE:
        return value
    count = value / step
    return _steps(math.floor(count + _noise(count)), step)


def round_up(value: float, step: float) -> float:
    """The smallest multiple of `step` not below `value`; see `round_down`."""
    if step <= 0.0 or not abs(value / step) < _COUNTABLE:
        return value
    count = value / step
    return _steps(math.ceil(count - _noise(count)), step)


def sum_of_steps(first: float, second: float, step: float) -> float:
    """``first + second``, both multiples of `step`, without the noise of 0.1 + 0.2 - 0.3.

    A sum that is no multiple of `step`, because one of the two is none, stays as it is.
    """
    total, scale = first + second, abs(first) + abs(second)
    if step <= 0.0 or not scale / step < _COUNTABLE:
        return total
    whole = math.floor(total / step + 0.5)
    return _steps(whole, step) if abs(total / step - whole) <= _noise(scale / step) else total


def _noise(count: float) -> float:
    """How far off a whole number of steps `count` may be and still stand for it."""
    return _EPSILON + _ULPS * abs(count)


def _steps(count: float, step: float) -> float:
    """``count * step`` without the noise of 3 * 0.1: a step of one over a whole number divides instead."""
    inverse = math.floor(1.0 / step + 0.5)
    if inverse > 0 and abs(inverse * step - 1.0) < _ULPS:
        return count / inverse
    return count * step


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


# --- protective levels (rules 7, 8, 11) ---------------------------------------------------------------------


def stop_level(side: int, entry: float, pct: float, tick: float) -> float:
    """Stop-loss of a position on `side`, `pct` percent from `entry`, never nearer than asked (rule 11)."""
    level = max(entry * (1.0 - side * pct / 100.0), NONE_LOW)
    return round_down(level, tick) if side > 0 else round_up(level, tick)


def target_level(side: int, entry: float, pct: float, tick: float) -> float:
    """Take-profit of a position on `side`, `pct` percent from `entry`, never nearer than asked (rule 11)."""
    level = max(entry * (1.0 + side * pct / 100.0), NONE_LOW)
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
    return max(first, second) if side > 0 else min(first, second)


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
