"""The words of the bar loop: its constants, what it is given and what it writes.

What happens to a column is written into its log, a matrix with a place for each order in some of its rows, and one
for each round trip in the others; `O_...`, `F_...` and `T_...` name the rows. `S_...` name the slots of the state
between two bars. All are floats, so that one array holds them; times are exact in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence

    import numpy as np
    from numpy.typing import NDArray

    type Floats = MutableSequence[float] | NDArray[np.float64]
    type Log = NDArray[np.float64]
    type Ints = Sequence[int] | NDArray[np.integer]

__all__ = ["Bars", "Books", "Funding", "Signals", "Terms", "opening_state"]

DAY_MS = 86_400_000

LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT = 1, 2, 4, 8  # the bits of `Signals.wish`

# Why an order came to nothing (or fills smaller); 1 to 4 are the market's limits, as in `rules`.
WHY_QTY, WHY_MARGIN, WHY_NO_STOP, WHY_ZERO, WHY_DAY, WHY_NOTHING_LEFT, WHY_SHRUNK, WHY_ENDED, WHY_TIER = range(
    5, 14
)
WHY_GATE = 20  # and above: an entry filter, its number in `Signals.gate` added

# Why a position was left; see `metaexpert.models.ExitReason`.
ORDER, STOP_LOSS, BREAKEVEN, TRAILING, TAKE_PROFIT, LIQUIDATION, DAILY_LOSS, DRAWDOWN, END = range(9)

OPEN, FILLED, CANCELED, REJECTED, EXPIRED = range(5)  # where an order stands

(
    O_CREATED, O_UPDATED, O_SIDE, O_QTY, O_STATUS, O_REDUCE, O_SHRINKABLE, O_REASON, O_WHY, O_A, O_B, F_NUMBER,
    F_PRICE, F_FEE, F_SLIPPAGE, F_PNL, T_SIDE, T_LEFT, T_REASON, T_AMBIGUOUS, T_OPENED, T_QTY, T_ENTERED,
    T_ENTERED_VALUE, T_EXITED, T_EXITED_VALUE, T_PNL, T_FEES, T_SLIPPAGE, T_FUNDING, WIDTH,
) = range(31)  # fmt: skip
"""The rows of the log.

`O_...`, of each order: when it was sent and last changed (ms), side, quantity, status, flags, exit reason; why it
came to nothing, with two numbers for the message. `F_...`, of the same, where it was filled: the number of the
fill (else 0), price (else NaN), fee (else 0), slippage and profit. `T_...`, of each round trip that has ended:
side, when it was left (ms) and why, if the bar reached stop and target both; then, as in the state, when it was
entered (ms), its largest quantity, quantities and values that were entered and left, and sums.
"""
(
    S_BALANCE, S_QTY, S_ENTRY, S_MARK, S_BEST, S_STOP, S_BY, S_TARGET, S_LIQUIDATION, S_ORDERS, S_WAITING,
    S_FILLS, S_TRADES, S_FUNDED, S_DUE, S_OPENED, S_MAX_QTY, S_ENTERED, S_ENTERED_VALUE, S_EXITED,
    S_EXITED_VALUE, S_REALIZED, S_FEES, S_SLIPPAGE, S_FUNDING, S_PEAK, S_DAY, S_DAY_START, S_LAST, S_BLOCKED,
    S_STOPPED, S_BARS, S_CAPPED_BY_SETTING, S_CAPPED_BY_MARGIN, S_DAYS, S_TOP, S_LOW, S_DROP, S_FALL, S_LOWEST,
    S_HELD_BARS, S_LONG_BARS, S_HIGHEST, S_SAID, STATE_WIDTH,
) = range(45)  # fmt: skip
"""The slots of the state.

`S_WAITING` is the first order that has not met the market, `S_FUNDED` the next funding instant, `S_DUE` its bar,
`S_STOPPED` the limit that ended the run, `S_BARS` how many bars were played, `S_SAID` the next of the signals.
`S_OPENED` to `S_FUNDING` belong to the round trip, `S_DAYS` to `S_LONG_BARS` sum up the curve.
"""


class Terms(NamedTuple):
    """What stays the same over a run: the market, its costs, and the strategy's settings.

    Rates are fractions, `..._pct` percent (`UNSET`: none), limits that don't exist infinite (`drawdown`: `UNSET`).
    `first_stop_pct` is the stop that sizing by risk counts with. `bar_ms` is the length of a bar. `tiers` (k, 4)
    are the margin tiers in force (`metaexpert.tiers`), `has_tiers` says that the market limits leverage by them.
    """

    kind: int
    spot: bool
    cross: bool
    leverage: float
    tick: float
    step: float
    min_qty: float
    max_qty: float
    min_notional: float
    max_notional: float
    taker: float
    slippage: float
    liquidation_fee: float
    tiers: Log
    has_tiers: bool
    size_type: int
    size_value: float
    cap_quote: float
    stop_loss_pct: float
    take_profit_pct: float
    trailing_pct: float
    activation_pct: float
    breakeven_pct: float
    first_stop_pct: float
    daily_loss: float
    drawdown: float
    bar_ms: int
    close_at_end: bool


class Bars(NamedTuple):
    """Candles: open times (ms) and prices, each of shape (n,), and the index of the last bar of each UTC day.

    `marks` (3, n) holds open, high and low of the mark price within each bar, NaN where none is known; (3, 0)
    where none is known at all.
    """

    time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    day_ends: Ints
    marks: Log


class Signals(NamedTuple):
    """What the strategy wants, at the close of each bar where it wants anything; each of shape (m,).

    `at` are those bars, ascending; `wish` holds the bits `LONG_ENTRY` ... of each, `size` a quantity (NaN: sized
    by the settings), `gate` the number of the entry filter that keeps entries from being made (0: none) for longs
    and, in tens, for shorts. `size` and `gate` may be empty.
    """

    at: Ints
    wish: Ints
    size: Floats
    gate: Ints


class Funding(NamedTuple):
    """Funding instants in order: the bar of each, if at its open, mark price (`rules.NO_PRICE`: none) and rate."""

    bar: Ints
    at_open: Sequence[bool] | NDArray[np.bool_]
    mark: Floats
    rate: Floats


class Books(NamedTuple):
    """What a run writes: its state, the log (shape (`WIDTH`, room)), and the curves.

    `curves` (4, n) holds equity, balance, exposure (signed notional over equity) and drawdown (a fraction <= 0) at
    each bar's close, `daily` (days,) equity at each day's last; what has no room is not kept.
    """

    state: Floats
    log: Log
    curves: Log
    daily: Floats


def opening_state(capital: float, first_time: int) -> list[float]:
    """The state of an account with `capital` and nothing traded, at the open of the first bar."""
    state = [0.0] * STATE_WIDTH
    for slot in (S_BALANCE, S_PEAK, S_DAY_START, S_LAST, S_TOP, S_LOW, S_LOWEST, S_HIGHEST):
        state[slot] = capital
    state[S_DAY] = float(first_time // DAY_MS)
    state[S_BLOCKED] = state[S_DAY] * DAY_MS
    return state
