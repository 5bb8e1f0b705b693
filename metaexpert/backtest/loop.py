"""The bar loop over one column: signals and candles in, orders, fills, trades and an equity curve out.

It is what `SignalPlan`, `Trader`, `SimulatedBroker` and `Ledger` do together for one symbol in one-way mode
without resting orders, on bare numbers: it decides nothing itself but calls the functions of `metaexpert.rules`.
Python runs it as it stands here, `metaexpert.backtest.kernel` compiles it; both give equal results, with ``==``,
and equal those of the event engine.

Bars of which nothing comes are passed over together (`metaexpert.backtest.quiet`). Another one goes like this:
funding due at its open; liquidation by the gap; the orders of the last close arrive; funding due within it;
protective levels, worst first (`_play`). Then the loss limits are looked at, and the signals send orders
for the next bar (`_heed`). The account is marked at the closes of all bars between two changes at once.

Everywhere `t` are the terms, `s` the state, `log` the log, `i` a bar, `now` a time (ms) and `k` an order; what
they hold stands in `metaexpert.backtest.column`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

# isort: off
from ..rules import (
    AT_STOP, BY_STOP, NOTHING, NO_PRICE, NO_QTY, UNSET, average_entry, better_stop, broken_limit, capped,
    carried, closing_qty, fee, first_level, first_touch, free_margin, freed, funding, in_force,
    initial_margin, is_drawn_down, is_reached, is_too_large, liquidation_fee, liquidation_price,
    not_beyond, notional, plan_held, pnl, room, round_down, slipped, stake, stop_level, sum_of_steps,
    target_level, unset_stop, unset_target, wanted,
)  # fmt: skip
from ..tiers import broken_tier, liquidation_over
from .column import (
    CANCELED, DAILY_LOSS, DAY_MS, DRAWDOWN, END, EXPIRED, FILLED, F_FEE, F_NUMBER, F_PNL, F_PRICE, F_SLIPPAGE,
    LIQUIDATION, LONG_ENTRY, LONG_EXIT, OPEN, ORDER, O_A, O_B, O_CREATED, O_QTY, O_REASON, O_REDUCE,
    O_SHRINKABLE, O_SIDE, O_STATUS, O_UPDATED, O_WHY, REJECTED, SHORT_ENTRY, SHORT_EXIT, STOP_LOSS,
    S_BALANCE, S_BEST, S_BLOCKED, S_BY, S_CAPPED_BY_SETTING, S_DAY, S_DAYS, S_DAY_START, S_DUE, S_ENTERED,
    S_ENTERED_VALUE, S_ENTRY, S_EXITED, S_EXITED_VALUE, S_FEES, S_FILLS, S_FUNDED, S_FUNDING, S_LAST,
    S_LIQUIDATION, S_MARK, S_MAX_QTY, S_OPENED, S_ORDERS, S_PEAK, S_QTY, S_REALIZED, S_SLIPPAGE, S_STOP,
    S_STOPPED, S_TARGET, S_TRADES, S_WAITING, TAKE_PROFIT, T_AMBIGUOUS, T_LEFT, T_OPENED, T_REASON, T_SIDE,
    WHY_DAY, WHY_ENDED, WHY_GATE, WHY_MARGIN, WHY_NOTHING_LEFT, WHY_NO_STOP, WHY_QTY, WHY_SHRUNK, WHY_TIER,
    WHY_ZERO,
)  # fmt: skip
from .quiet import expect, has_level, is_quiet, mark, next_event, said, worst_price
# isort: on

if TYPE_CHECKING:
    from .column import Bars, Books, Floats, Funding, Log, Signals, Terms

__all__ = ["run_column"]

_MOST = 6  # orders that one bar may add to the log
_AT_OPEN, _WITHIN = 1, 0  # where funding is due in a bar
_AHEAD = 2  # signals: how soon their bars are asked for


# --- the loop -------------------------------------------------------------------------------------------------


def run_column(t: Terms, bars: Bars, signals: Signals, funds: Funding, books: Books, first: int) -> int:
    """Play the bars from `first` on; returns the next bar to play: the number of bars when all is done.

    It returns early where the log is nearly full. A run ends before its last bar where a limit stops it
    (`S_STOPPED`).
    """
    n, i, marked = len(bars.close), first, first
    s, log = books.state, books.log
    full, follows = log.shape[1] - _MOST, _follows(t)
    has_limits = t.daily_loss < math.inf or t.drawdown != UNSET
    end, by_day = n - 1 if t.close_at_end else n, len(books.daily) > 0
    while True:
        is_full = s[S_ORDERS] > full and s[S_WAITING] < s[S_ORDERS]
        ends = i >= n or is_full or (s[S_STOPPED] != NOTHING and s[S_QTY] == 0.0)
        moves = not ends and (i == end or _moves(bars, s, i))
        if ends or moves or (by_day and i > bars.day_ends[int(s[S_DAYS])]):
            marked = mark(t, s, bars, books, marked, i)
        if ends:
            return i if is_full else n
        if not (moves or has_limits):
            last = end if not by_day else min(end, bars.day_ends[int(s[S_DAYS])] + 1)
            until = next_event(t, bars, signals, s, i, last, follows)
            if until > i:
                i = until
                continue
        if moves:
            _play(t, bars, funds, s, log, i, follows)
        elif follows and s[S_QTY] != 0.0:
            _follow(t, s, bars.high[i] if s[S_QTY] > 0.0 else bars.low[i])
        s[S_MARK] = bars.close[i]
        if has_limits:
            _look_at_limits(t, s, log, bars.time[i] + t.bar_ms)
        if s[S_STOPPED] == NOTHING:
            _heed(t, bars, signals, s, log, i)
        if i == end:
            _close_at_mark(t, s, log, bars.time[i] + t.bar_ms)
        i += 1


def _moves(bars: Bars, s: Floats, i: int) -> bool:
    """May the balance or the position change within bar `i`?"""
    if s[S_WAITING] < s[S_ORDERS]:
        return True
    if s[S_QTY] == 0.0 or s[S_DUE] <= i:
        return s[S_QTY] != 0.0
    if not has_level(s):
        return False
    side, high, low = _side(s), bars.high[i], bars.low[i]
    return not is_quiet(s, side, high, low, worst_price(bars.marks, i, side, high, low))


def _heed(t: Terms, bars: Bars, signals: Signals, s: Floats, log: Log, i: int) -> None:
    """Do what the signals of bar `i` say, if they say anything."""
    k = said(signals, s, i)
    if k < len(signals.at) and signals.at[k] == i:
        expect(bars, signals, k + _AHEAD)
        size = signals.size[k] if len(signals.size) > 0 else math.nan
        gate = signals.gate[k] if len(signals.gate) > 0 else NOTHING
        _act(t, s, log, bars.time[i] + t.bar_ms, signals.wish[k], size, gate)


def _look_at_limits(t: Terms, s: Floats, log: Log, now: int) -> None:
    """Mark the account `now` and close everything when a loss limit is reached (rules 21, 25)."""
    equity = s[S_BALANCE]
    if s[S_QTY] != 0.0:
        equity += pnl(t.kind, s[S_QTY], s[S_ENTRY], s[S_MARK])
    day = (now - 1) // DAY_MS
    if day > s[S_DAY]:
        s[S_DAY], s[S_DAY_START] = day, s[S_LAST]
    s[S_LAST] = equity
    s[S_PEAK] = max(s[S_PEAK], equity)
    reached = NOTHING
    if t.drawdown != UNSET and is_drawn_down(equity, s[S_PEAK], t.drawdown):
        reached = DRAWDOWN
    elif s[S_DAY_START] - equity >= t.daily_loss and s[S_BLOCKED] <= day * DAY_MS:
        s[S_BLOCKED] = (day + 1) * DAY_MS
        reached = DAILY_LOSS
    if reached == NOTHING or s[S_STOPPED] != NOTHING:
        return
    _close(t, s, log, now, reached)
    if reached == DRAWDOWN:
        s[S_STOPPED] = DRAWDOWN


# --- within a bar ---------------------------------------------------------------------------------------------


def _play(t: Terms, bars: Bars, funds: Funding, s: Floats, log: Log, i: int, follows: bool) -> None:
    """Everything that happens between the open and the close of bar `i`."""
    open_, marks, now = bars.open[i], bars.marks, bars.time[i]
    has_mark = marks.shape[1] > 0 and not math.isnan(marks[0, i])
    mark = marks[0, i] if has_mark else open_
    if s[S_DUE] <= i:
        _fund(t, funds, s, i, open_, _AT_OPEN)
    s[S_MARK] = open_
    _sweep(t, s, log, now, mark)
    for k in range(int(s[S_WAITING]), int(s[S_ORDERS])):
        if log[O_STATUS, k] == OPEN:
            _arrive(t, s, log, now, k, open_)
            _sweep(t, s, log, now, mark)
    if s[S_DUE] <= i:
        _fund(t, funds, s, i, open_, _WITHIN)
    if s[S_QTY] != 0.0 and (follows or has_level(s)):
        side, high, low = _side(s), bars.high[i], bars.low[i]
        worst = worst_price(marks, i, side, high, low)
        if not is_quiet(s, side, high, low, worst):
            _leave(t, s, log, now, side, open_, high, low, worst, has_mark)
        elif follows:
            _follow(t, s, high if side > 0 else low)
    s[S_WAITING] = s[S_ORDERS]


def _sweep(t: Terms, s: Floats, log: Log, now: int, mark: float) -> None:
    """Liquidate the position when the market stands beyond its level, at `mark`."""
    if s[S_QTY] != 0.0 and is_reached(s[S_LIQUIDATION], mark, -_side(s), strict=False):
        _liquidate(t, s, log, now, mark)


def _side(s: Floats) -> int:
    return 1 if s[S_QTY] > 0.0 else -1


def _fund(t: Terms, funds: Funding, s: Floats, i: int, open_: float, at_open: int) -> None:
    """Pay or receive funding of the instants at the open of bar `i`, or of those within it (rule 19)."""
    k, n = int(s[S_FUNDED]), len(funds.bar)
    while k < n and (funds.bar[k] < i or (funds.bar[k] == i and funds.at_open[k] == at_open)):
        if s[S_QTY] != 0.0 and funds.bar[k] == i:
            mark = open_ if funds.mark[k] == NO_PRICE else funds.mark[k]
            received = funding(t.kind, s[S_QTY], mark, funds.rate[k])
            s[S_BALANCE] += received
            s[S_FUNDING] += received
            _relevel(t, s)
        k += 1
    s[S_FUNDED] = k
    s[S_DUE] = funds.bar[k] if k < n else math.inf


def _leave(
    t: Terms, s: Floats, log: Log, now: int, side: int, open_: float, high: float, low: float, worst: float,
    has_mark: bool,
) -> None:  # fmt: skip
    """Leave the position at the level that the bar reaches first.

    `worst` decides on liquidation. A mark price that reaches its level does so on the way to the adverse extreme.
    """
    stop, target, gone = s[S_STOP], s[S_TARGET], s[S_LIQUIDATION]
    adverse, favourable, _ = plan_held(side, high, low, open_)
    which, price = first_level(side, open_, adverse, stop, target, unset_stop(side))
    if is_reached(gone, worst, -side, strict=False):
        at = gone if has_mark else first_touch(gone, open_, adverse, -side, strict=False)
        if which == NOTHING or abs(at - open_) <= abs(price - open_):
            _liquidate(t, s, log, now, at)
            return
    if which == NOTHING:
        which, price = first_level(side, adverse, favourable, stop, target, unset_stop(side))
    reason = TAKE_PROFIT if which != AT_STOP else STOP_LOSS + int(s[S_BY]) - BY_STOP
    k = _new_order(s, log, now, -side, abs(s[S_QTY]), reason, reduces=True)
    _fill(t, s, log, now, k, abs(s[S_QTY]), price, slipped(price, -side, t.slippage))
    if which == AT_STOP and price != open_ and (high >= target if side > 0 else low <= target):
        log[T_AMBIGUOUS, int(s[S_TRADES]) - 1] = 1.0


def _liquidate(t: Terms, s: Floats, log: Log, now: int, price: float) -> None:
    """Close at `price`, or where the stake is gone, with the liquidation fee (rule 18)."""
    at_stake = _stake(t, s)
    price = _bounded(t, s, price)
    cost = liquidation_fee(t.kind, s[S_QTY], s[S_ENTRY], price, at_stake, t.liquidation_fee)
    k = _new_order(s, log, now, -_side(s), abs(s[S_QTY]), LIQUIDATION, reduces=True)
    _book(t, s, log, now, k, abs(s[S_QTY]), price, cost, 0.0)


def _arrive(t: Terms, s: Floats, log: Log, now: int, k: int, open_: float) -> None:
    """The market order `k` meets the market at the open of bar `i` (rules 4, 17)."""
    side, wished = int(log[O_SIDE, k]), log[O_QTY, k]
    paid = slipped(open_, side, t.slippage)
    qty = closing = closing_qty(s[S_QTY], side, wished)
    if log[O_REDUCE, k] == 0.0 and closing != wished:
        shrinkable, space = log[O_SHRINKABLE, k] != 0.0, _room(t, s, closing, paid)
        qty = carried(t.kind, wished, closing, space, shrinkable, paid, t.step, t.min_qty, t.min_notional)
        if qty == NO_QTY:
            _drop(log, k, now, REJECTED, WHY_MARGIN, wished - closing, space)
            return
    if qty == 0.0:
        _drop(log, k, now, CANCELED, WHY_NOTHING_LEFT, 0.0, 0.0)
    else:
        _fill(t, s, log, now, k, qty, open_, paid)


def _close_at_mark(t: Terms, s: Floats, log: Log, now: int) -> None:
    """Close what is open at the last mark, without slippage, and let waiting orders expire (rule 26)."""
    last = int(s[S_ORDERS])
    if s[S_QTY] != 0.0:
        k = _new_order(s, log, now, -_side(s), abs(s[S_QTY]), END, reduces=True)
        _fill(t, s, log, now, k, abs(s[S_QTY]), s[S_MARK], s[S_MARK])
    for k in range(int(s[S_WAITING]), last):
        if log[O_STATUS, k] == OPEN:
            _drop(log, k, now, EXPIRED, WHY_ENDED, 0.0, 0.0)


# --- fills ----------------------------------------------------------------------------------------------------


def _fill(t: Terms, s: Floats, log: Log, now: int, k: int, qty: float, price: float, paid: float) -> None:
    """Fill the order `k` with `qty` at `paid`, matched at `price`: taker fee, and never beyond bankruptcy."""
    if s[S_QTY] * log[O_SIDE, k] < 0.0:
        paid = _bounded(t, s, paid)
        price = better_stop(_side(s), price, paid)  # what a bound gives is no slippage
    if qty < log[O_QTY, k] and log[O_REDUCE, k] == 0.0:
        log[O_WHY, k] = WHY_SHRUNK
    slippage = abs(pnl(t.kind, qty, price, paid))
    _book(t, s, log, now, k, qty, paid, fee(t.kind, qty, paid, t.taker), slippage)


def _book(
    t: Terms, s: Floats, log: Log, now: int, k: int, qty: float, price: float, cost: float, slippage: float
) -> None:  # fmt: skip
    """Enter a fill of the order `k`: an opposite one first reduces, then reverses; then set the levels anew."""
    side, held = int(log[O_SIDE, k]), s[S_QTY]
    closing = closing_qty(held, side, qty)
    opening = qty - closing if closing < qty else 0.0
    share, profit = closing / qty, 0.0
    if closing > 0.0:
        profit = _reduce(t, s, closing, price, cost * share, slippage * share)
        if s[S_QTY] == 0.0:
            _write_trade(s, log, now, k, -side)
    if opening > 0.0:
        _open(t, s, now, side, opening, price, cost * (1.0 - share), slippage * (1.0 - share))
    s[S_MARK] = price
    s[S_BALANCE] += profit - cost
    if s[S_QTY] != 0.0:
        if held * s[S_QTY] <= 0.0:
            s[S_BEST] = s[S_ENTRY]
            _set_levels(t, s)
        _relevel(t, s)
    s[S_FILLS] += 1.0
    log[O_STATUS, k], log[O_QTY, k], log[O_UPDATED, k] = FILLED, qty, now
    log[F_NUMBER, k], log[F_PRICE, k], log[F_FEE, k] = s[S_FILLS], price, cost
    log[F_SLIPPAGE, k], log[F_PNL, k] = slippage, profit


def _reduce(t: Terms, s: Floats, qty: float, price: float, cost: float, slippage: float) -> float:
    """Take `qty` off the position at `price`; returns the realised profit before fees."""
    side = _side(s)
    profit = pnl(t.kind, side * qty, s[S_ENTRY], price)
    s[S_REALIZED] += profit
    s[S_FEES] += cost
    s[S_SLIPPAGE] += slippage
    s[S_EXITED] += qty
    s[S_EXITED_VALUE] += notional(t.kind, qty, price)
    s[S_QTY] = sum_of_steps(s[S_QTY], -side * qty, t.step)
    return profit


def _open(
    t: Terms, s: Floats, now: int, side: int, qty: float, price: float, cost: float, slippage: float
) -> None:
    """Add `qty` on `side` at `price`; from flat a new round trip begins."""
    if s[S_QTY] == 0.0:
        for slot in range(S_MAX_QTY, S_FUNDING + 1):
            s[slot] = 0.0
        s[S_OPENED] = now
    s[S_ENTRY] = average_entry(t.kind, abs(s[S_QTY]), s[S_ENTRY], qty, price)
    s[S_QTY] = sum_of_steps(s[S_QTY], side * qty, t.step)
    s[S_MAX_QTY] = max(s[S_MAX_QTY], abs(s[S_QTY]))
    s[S_FEES] += cost
    s[S_SLIPPAGE] += slippage
    s[S_ENTERED] += qty
    s[S_ENTERED_VALUE] += notional(t.kind, qty, price)


def _write_trade(s: Floats, log: Log, now: int, k: int, side: int) -> None:
    """Write the round trip that the order `k` has ended."""
    n = int(s[S_TRADES])
    log[T_SIDE, n], log[T_AMBIGUOUS, n], log[T_REASON, n] = side, 0.0, log[O_REASON, k]
    log[T_LEFT, n] = now
    for column in range(S_FUNDING + 1 - S_OPENED):
        log[T_OPENED + column, n] = s[S_OPENED + column]
    s[S_TRADES] += 1.0


# --- the levels of the position -------------------------------------------------------------------------------


def _set_levels(t: Terms, s: Floats) -> None:
    """Stop and target of the position from its entry price and the best price seen (rules 7, 8)."""
    side, entry, best = _side(s), s[S_ENTRY], s[S_BEST]
    fixed = unset_stop(side) if t.stop_loss_pct == UNSET else stop_level(side, entry, t.stop_loss_pct, t.tick)
    s[S_STOP], s[S_BY] = in_force(
        side, fixed, entry, best, t.breakeven_pct, t.trailing_pct, t.activation_pct, t.tick
    )
    no_target = t.take_profit_pct == UNSET
    s[S_TARGET] = unset_target(side) if no_target else target_level(side, entry, t.take_profit_pct, t.tick)


def _follows(t: Terms) -> bool:
    """Is there a level that moves with the price?"""
    return t.trailing_pct != UNSET or t.breakeven_pct != UNSET


def _follow(t: Terms, s: Floats, price: float) -> None:
    """Let the stop follow the best price seen."""
    if _side(s) * (price - s[S_BEST]) > 0.0:
        s[S_BEST] = price
        _set_levels(t, s)


def _relevel(t: Terms, s: Floats) -> None:
    """Set the price of liquidation."""
    s[S_LIQUIDATION] = unset_stop(_side(s))
    if not t.spot:
        s[S_LIQUIDATION] = liquidation_over(t.kind, s[S_QTY], s[S_ENTRY], _stake(t, s), t.tiers)


def _bounded(t: Terms, s: Floats, price: float) -> float:
    """`price`, but not beyond the one at which the stake is gone (rule 18)."""
    if t.spot:
        return price
    return not_beyond(_side(s), price, liquidation_price(t.kind, s[S_QTY], s[S_ENTRY], _stake(t, s), 0.0))


def _stake(t: Terms, s: Floats) -> float:
    return stake(t.kind, s[S_QTY], s[S_ENTRY], t.leverage, t.cross, s[S_BALANCE])


def _room(t: Terms, s: Floats, closing: float, price: float) -> float:
    """How much the account can open at `price` once `closing` is closed there (rule 17)."""
    held, used, unrealized = s[S_QTY], 0.0, 0.0
    if held != 0.0:
        used = initial_margin(t.kind, held, s[S_ENTRY], t.leverage)
        unrealized = pnl(t.kind, held, s[S_ENTRY], s[S_MARK])
    free = free_margin(s[S_BALANCE], unrealized, used, t.cross)
    if closing > 0.0:
        free += freed(t.kind, held, s[S_ENTRY], s[S_MARK], t.leverage, t.cross, closing, price, t.taker)
    return room(t.kind, free, price, t.leverage, t.taker)


# --- what the signals ask for ---------------------------------------------------------------------------------


def _act(t: Terms, s: Floats, log: Log, now: int, wish: int, size: float, gates: int) -> None:
    """Do what the signals of bar `i` say; an exit is made also where the entry that would reverse is refused."""
    held = s[S_QTY]
    leaves = (held > 0.0 and wish & LONG_EXIT != 0) or (held < 0.0 and wish & SHORT_EXIT != 0)
    side = 0
    if wish & LONG_ENTRY != 0 and held <= 0.0:
        side = 1
    elif wish & SHORT_ENTRY != 0 and held >= 0.0:
        side = -1
    if side < 0 and t.spot:
        leaves = True
    elif side != 0:
        gate = gates % 10 if side > 0 else gates // 10
        leaves = not _enter(t, s, log, now, side, size, gate) and leaves
    if leaves:
        _close(t, s, log, now, ORDER)


def _close(t: Terms, s: Floats, log: Log, now: int, reason: int) -> None:
    """Send an order that closes the position, if there is one."""
    held = s[S_QTY]
    if held != 0.0:
        k = _new_order(s, log, now, -_side(s), abs(held), reason, reduces=True)
        qty = round_down(abs(held), t.step)
        if qty >= abs(held):
            log[O_QTY, k] = qty
        else:
            _place(t, s, log, now, k, qty)


def _enter(
    t: Terms, s: Floats, log: Log, now: int, side: int, size: float, gate: int
) -> bool:  # fmt: skip
    """Send an order that opens a position on `side`, reversing an opposite one; False when it was refused.

    `size` is its quantity, or NaN: sized by the settings. `gate` is the filter that keeps it from being made.
    """
    closing = closing_qty(s[S_QTY], side, math.inf)
    k = _new_order(s, log, now, side, 0.0 if math.isnan(size) else size + closing, ORDER, reduces=False)
    if t.daily_loss < math.inf and now < s[S_BLOCKED]:
        _drop(log, k, now, REJECTED, WHY_DAY, 0.0, 0.0)
    elif gate != 0:
        _drop(log, k, now, REJECTED, WHY_GATE + gate, 0.0, 0.0)
    elif not math.isnan(size):
        _submit(t, s, log, now, k)
    elif _size(t, s, log, now, k, side, closing):
        log[O_SHRINKABLE, k] = 1.0
        _submit(t, s, log, now, k)
    return log[O_STATUS, k] == OPEN


def _size(t: Terms, s: Floats, log: Log, now: int, k: int, side: int, closing: float) -> bool:
    """Size an entry by the settings (rule 22); False when that comes to nothing."""
    price, equity = slipped(s[S_MARK], side, t.slippage), s[S_BALANCE]
    stop = NO_PRICE if t.first_stop_pct == UNSET else stop_level(side, price, t.first_stop_pct, t.tick)
    if s[S_QTY] != 0.0:
        equity += pnl(t.kind, s[S_QTY], s[S_ENTRY], s[S_MARK])
    asked = wanted(t.kind, t.size_type, t.size_value, price, equity, t.leverage, stop)
    if asked == NO_QTY:
        _drop(log, k, now, REJECTED, WHY_NO_STOP, stop, 0.0)
        return False
    asked, by = capped(t.kind, asked, price, t.cap_quote, 0.0, _room(t, s, closing, price))
    qty = round_down(asked, t.step)
    if not qty > 0.0:
        _drop(log, k, now, REJECTED, WHY_ZERO, asked, by)
        return False
    if by != NOTHING:
        s[S_CAPPED_BY_SETTING + by - 1] += 1.0
    log[O_QTY, k] = qty + closing
    return True


def _submit(t: Terms, s: Floats, log: Log, now: int, k: int) -> None:
    """Check an entry against the market's limits, its tiers and, when its size was given, the free margin."""
    asked, held = log[O_QTY, k], s[S_QTY]
    if not (math.isfinite(asked) and asked > 0.0):
        _drop(log, k, now, REJECTED, WHY_QTY, asked, 0.0)
        return
    qty = round_down(asked, t.step)
    _place(t, s, log, now, k, qty)
    is_alone = s[S_WAITING] == s[S_ORDERS] - 1.0  # what another order will leave is known only when both arrive
    if log[O_STATUS, k] == OPEN and log[O_SHRINKABLE, k] == 0.0 and is_alone:
        closing = closing_qty(held, int(log[O_SIDE, k]), qty)
        space = _room(t, s, closing, s[S_MARK])
        if closing != qty and is_too_large(qty - closing, space):
            _drop(log, k, now, REJECTED, WHY_MARGIN, qty - closing, space)
    if log[O_STATUS, k] == OPEN and t.has_tiers:
        after = abs(held + log[O_SIDE, k] * qty)
        worth = notional(t.kind, after, s[S_MARK])
        broken = broken_tier(worth, t.leverage, t.tiers)
        if after > abs(held) and broken != NOTHING:
            _drop(log, k, now, REJECTED, WHY_TIER, worth, broken)
    if log[O_STATUS, k] == REJECTED:
        log[O_QTY, k] = asked


def _place(t: Terms, s: Floats, log: Log, now: int, k: int, qty: float) -> None:
    """Give the order `k` its rounded `qty`, or refuse it (rule 11)."""
    broken = broken_limit(t.kind, qty, s[S_MARK], t.min_qty, t.max_qty, t.min_notional, t.max_notional)
    if broken == NOTHING:
        log[O_QTY, k] = qty
    else:
        _drop(log, k, now, REJECTED, broken, qty, s[S_MARK])


def _new_order(
    s: Floats, log: Log, now: int, side: int, qty: float, reason: int, reduces: bool
) -> int:  # fmt: skip
    """Write an order that is sent `now` into the log; returns its number."""
    k = int(s[S_ORDERS])
    s[S_ORDERS] += 1.0
    log[O_STATUS, k], log[O_SHRINKABLE, k], log[O_WHY, k], log[O_A, k], log[O_B, k] = OPEN, 0.0, NOTHING, 0.0, 0.0
    log[F_NUMBER, k], log[F_PRICE, k], log[F_FEE, k] = 0.0, math.nan, 0.0
    log[O_CREATED, k], log[O_UPDATED, k], log[O_SIDE, k], log[O_QTY, k] = now, now, side, qty
    log[O_REDUCE, k], log[O_REASON, k] = 1.0 if reduces else 0.0, reason
    return k


def _drop(log: Log, k: int, now: int, status: int, why: int, a: float, b: float) -> None:
    """Take the order `k` off the market without a fill."""
    log[O_STATUS, k], log[O_WHY, k], log[O_A, k], log[O_B, k] = status, why, a, b
    log[O_UPDATED, k] = now
