"""Bars that pass quietly: which they are, and what they leave in the curves. A part of `metaexpert.backtest.loop`.

On most bars nothing happens but that the price moves. They are found first, in a loop that only looks, and marked
after, in loops that only write: both are quick because they do nothing else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..rules import is_reached, is_safe, notional, pnl, unset_stop, unset_target
from .column import (
    LONG_ENTRY,
    LONG_EXIT,
    S_BALANCE,
    S_BARS,
    S_BEST,
    S_DAYS,
    S_DROP,
    S_DUE,
    S_ENTRY,
    S_FALL,
    S_HELD_BARS,
    S_HIGHEST,
    S_LIQUIDATION,
    S_LONG_BARS,
    S_LOW,
    S_LOWEST,
    S_MARK,
    S_QTY,
    S_SAID,
    S_STOP,
    S_TARGET,
    S_TOP,
    SHORT_ENTRY,
    SHORT_EXIT,
)  # fmt: skip

if TYPE_CHECKING:
    from .column import Bars, Books, Floats, Ints, Log, Signals, Terms

__all__ = ["ahead", "expect", "has_level", "is_quiet", "mark", "next_event", "said", "settle", "worst_price"]


# --- which bars they are --------------------------------------------------------------------------------------


def next_event(t: Terms, bars: Bars, signals: Signals, s: Floats, i: int, until: int, follows: bool) -> int:
    """The first bar from `i` on that may do more than move the mark, `until` when there is none before it.

    There must be no waiting order. `follows`: a level moves with the price.
    """
    asked, n, k = _heard(t, s), len(signals.at), said(signals, s, i)
    if s[S_QTY] != 0.0:
        until = int(max(i, min(until, s[S_DUE])))
        if follows or has_level(s):
            return _next_move(bars, signals, s, i, until, k, asked, follows)
    while k < n and signals.at[k] < until and signals.wish[k] & asked == 0:
        k += 1
    return min(until, signals.at[k]) if k < n else until


def said(signals: Signals, s: Floats, i: int) -> int:
    """The first of the signals that is not of a bar before `i`."""
    k = int(s[S_SAID])
    while k < len(signals.at) and signals.at[k] < i:
        k += 1
    s[S_SAID] = k
    return k


def _heard(t: Terms, s: Floats) -> int:
    """The signals that are not ignored now."""
    if s[S_QTY] > 0.0:
        return LONG_EXIT | SHORT_ENTRY
    if s[S_QTY] < 0.0:
        return SHORT_EXIT | LONG_ENTRY
    return LONG_ENTRY if t.spot else LONG_ENTRY | SHORT_ENTRY


def has_level(s: Floats) -> bool:
    """Is there a price at which the position is left?"""
    side = 1 if s[S_QTY] > 0.0 else -1
    nowhere = unset_stop(side)
    return s[S_STOP] != nowhere or s[S_LIQUIDATION] != nowhere or s[S_TARGET] != unset_target(side)


def _next_move(
    bars: Bars, signals: Signals, s: Floats, first: int, until: int, k: int, asked: int, follows: bool
) -> int:
    """Like `next_event`, for a position that has levels; `k` is the first of the signals that may be heard."""
    side, n = 1 if s[S_QTY] > 0.0 else -1, len(signals.at)
    for i in range(first, until):
        if k < n and signals.at[k] == i:
            if signals.wish[k] & asked != 0:
                return i
            k += 1
        high, low = bars.high[i], bars.low[i]
        if not is_quiet(s, side, high, low, worst_price(bars.marks, i, side, high, low)):
            return i
        if follows and side * ((high if side > 0 else low) - s[S_BEST]) > 0.0:
            return i
    return until


def is_quiet(s: Floats, side: int, high: float, low: float, worst: float) -> bool:
    """Does a bar reach no level, `worst` being the price that decides on liquidation?"""
    if is_reached(s[S_LIQUIDATION], worst, -side, strict=False):
        return False
    return is_safe(side, low, high, s[S_STOP], s[S_TARGET], unset_stop(side))


def worst_price(marks: Log, i: int, side: int, high: float, low: float) -> float:
    """The worst price of bar `i` for a position on `side`: the mark's where it is known, else the bar's own."""
    own = low if side > 0 else high
    if marks.shape[1] == 0:
        return own
    mark = marks[2, i] if side > 0 else marks[1, i]
    return own if math.isnan(mark) else mark


def ahead(values: Floats | Ints, i: int) -> None:
    """Say that `values[i]` will soon be looked at.

    Bars on which something happens lie far apart in memory: waiting for one takes about as long as playing it. The
    kernel puts the processor's instruction for this in its place; it changes no result.
    """


def expect(bars: Bars, signals: Signals, k: int) -> None:
    """Ask for what will be looked at when signal `k` is heard, and filled at the bar after it."""
    if k < len(signals.at):
        i = signals.at[k] + 1
        ahead(bars.time, i)
        ahead(bars.open, i)
        ahead(bars.close, i)


# --- what they leave ------------------------------------------------------------------------------------------


def mark(t: Terms, s: Floats, bars: Bars, books: Books, i: int, until: int) -> int:
    """Mark the account at the closes of the bars `i` to `until` - 1, under which nothing changed (rule 21).

    Returns `until`, the first bar that is not marked.
    """
    if until == i:
        return until
    close = bars.close[i:until]
    if s[S_QTY] != 0.0:
        s[S_MARK] = close[-1]
    s[S_BARS] += until - i
    if books.curves.shape[1] > 0:
        equity, balance, exposure, below = (
            books.curves[0, i:until], books.curves[1, i:until], books.curves[2, i:until],
            books.curves[3, i:until],
        )  # fmt: skip
        if s[S_QTY] == 0.0:
            _draw_flat(s, equity, balance, exposure, below)
        else:
            _draw(t, s, close, equity, balance, exposure)
            _draw_below(s, equity, below)
    if len(books.daily) > 0:
        _sum_up(t, s, close)
        day = int(s[S_DAYS])
        books.daily[day] = _equity(t, s, close[-1])
        if until - 1 == bars.day_ends[day]:
            s[S_DAYS] += 1.0
    return until


def _equity(t: Terms, s: Floats, close: float) -> float:
    return s[S_BALANCE] if s[S_QTY] == 0.0 else s[S_BALANCE] + pnl(t.kind, s[S_QTY], s[S_ENTRY], close)


def _draw_flat(s: Floats, equity: Floats, balance: Floats, exposure: Floats, below: Floats) -> None:
    """Fill the curves without a position: nothing changes."""
    money = s[S_BALANCE]
    s[S_HIGHEST] = max(s[S_HIGHEST], money)
    fall = money / s[S_HIGHEST] - 1.0
    for k in range(len(equity)):
        equity[k], balance[k] = money, money
    for k in range(len(equity)):
        exposure[k], below[k] = 0.0, fall


def _draw(t: Terms, s: Floats, close: Floats, equity: Floats, balance: Floats, exposure: Floats) -> None:
    """Fill three curves; exposure is signed notional over equity, 0 where equity is not above 0."""
    money, held, entry = s[S_BALANCE], s[S_QTY], s[S_ENTRY]
    side = 1.0 if held > 0.0 else -1.0
    for k in range(len(balance)):
        balance[k] = money
    for k in range(len(equity)):
        now = money + pnl(t.kind, held, entry, close[k])
        equity[k] = now
        exposure[k] = side * notional(t.kind, held, close[k]) / now if now > 0.0 else 0.0


def _draw_below(s: Floats, equity: Floats, below: Floats) -> None:
    """Fill the drawdowns, fractions of the highest equity so far."""
    highest = s[S_HIGHEST]
    for k in range(len(equity)):
        highest = max(highest, equity[k])
        below[k] = equity[k] / highest - 1.0
    s[S_HIGHEST] = highest


def _sum_up(t: Terms, s: Floats, close: Floats) -> None:
    """Keep what statistics need of the curve: the deepest falls and the time held."""
    if s[S_QTY] == 0.0:
        _rank(s, s[S_BALANCE])
        return
    lowest, highest, held = math.inf, -math.inf, 0
    for k in range(len(close)):  # all three at once, which `min` and `max` would not be: they look for NaN
        equity = _equity(t, s, close[k])
        lowest = equity if equity < lowest else lowest  # noqa: FURB136
        highest = equity if equity > highest else highest  # noqa: FURB136
        held += 1 if equity > 0.0 else 0
    s[S_HELD_BARS] += held
    s[S_LONG_BARS] += held if s[S_QTY] > 0.0 else 0
    if highest > s[S_TOP]:  # then the order of the bars counts
        for k in range(len(close)):
            _rank(s, _equity(t, s, close[k]))
    else:
        s[S_LOW] = min(s[S_LOW], lowest)


def _rank(s: Floats, equity: float) -> None:
    """Set `equity` against the highest so far, and against the lowest since.

    Falls under one peak are deepest where equity is lowest, so that division waits for the next peak.
    """
    if equity > s[S_TOP]:
        settle(s)
        s[S_TOP] = s[S_LOW] = equity
    elif equity < s[S_LOW]:
        s[S_LOW] = equity


def settle(s: Floats) -> None:
    """Count the fall from the last peak to the lowest equity since: a fraction, and in money (both <= 0)."""
    s[S_DROP] = min(s[S_DROP], s[S_LOW] / s[S_TOP] - 1.0)
    s[S_FALL] = min(s[S_FALL], s[S_LOW] - s[S_TOP])
    s[S_LOWEST] = min(s[S_LOWEST], s[S_LOW])
