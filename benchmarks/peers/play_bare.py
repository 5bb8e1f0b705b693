"""No library: the least that a compiled loop, and a Python loop, take for the same fills and equity curve.

They know nothing but this strategy, so they are what a machine could do at best, not contestants.
"""

import numba
import numpy as np
from numba import njit, prange
from serve import CASH, FAST, FEE, SIZE, SLOW, STOP, TARGET, crosses, ema, pairs, serve


@njit(cache=True)
def loop(opens, close, up, down, both, equity, bars, prices, sides):
    """Signals to fills and equity; returns the number of fills."""
    cash, held, fills = CASH, 0.0, 0
    for i in range(close.size):
        if i > 0 and (up[i - 1] or down[i - 1]):
            target = SIZE if up[i - 1] else -SIZE if both else 0.0
            if target != held:
                moved = target - held
                cash -= moved * opens[i] + abs(moved) * opens[i] * FEE
                held = target
                bars[fills], prices[fills], sides[fills] = i, opens[i], moved
                fills += 1
        equity[i] = cash + held * close[i]
    return fills


@njit(cache=True)
def guarded(opens, high, low, close, up, down, both, equity, bars, prices, sides):
    """The same with a stop and a target, shares of the entry's price; the stop counts where a bar holds both."""
    cash, held, entry, fills = CASH, 0.0, 0.0, 0
    for i in range(close.size):
        if i > 0 and (up[i - 1] or down[i - 1]):
            target = SIZE if up[i - 1] else -SIZE if both else 0.0
            if target != held:
                moved = target - held
                cash -= moved * opens[i] + abs(moved) * opens[i] * FEE
                held, entry = target, opens[i]
                bars[fills], prices[fills], sides[fills] = i, opens[i], moved
                fills += 1
        if held != 0.0:
            price = 0.0
            if held > 0.0:
                stop, goal = entry * (1.0 - STOP), entry * (1.0 + TARGET)
                if low[i] <= stop:
                    price = min(opens[i], stop)
                elif high[i] > goal:
                    price = max(opens[i], goal)
            else:
                stop, goal = entry * (1.0 + STOP), entry * (1.0 - TARGET)
                if high[i] >= stop:
                    price = max(opens[i], stop)
                elif low[i] < goal:
                    price = min(opens[i], goal)
            if price > 0.0:
                cash += held * price - abs(held) * price * FEE
                bars[fills], prices[fills], sides[fills] = i, price, -held
                held = 0.0
                fills += 1
        equity[i] = cash + held * close[i]
    return fills


def vector(job, candles):
    opens, high, low, close = (candles[name] for name in ("open", "high", "low", "close"))
    up, down = crosses(close)

    def run():
        equity, room = np.empty(close.size), np.count_nonzero(up | down) * 2
        fills = np.empty(room, np.int64), np.empty(room), np.empty(room)
        if job["stops"]:
            made = guarded(opens, high, low, close, up, down, job["both"], equity, *fills)
        else:
            made = loop(opens, close, up, down, job["both"], equity, *fills)
        return trades(fills[2][:made]), equity[-1]

    return run


def trades(moved):
    """Round trips of signed fills, one still open counted."""
    return int(np.count_nonzero(np.cumsum(moved) != 0.0))


@njit(cache=True)
def one_pass(opens, close, fast, slow):
    """Both means, crosses, fills and equity without a curve: (trades, final equity)."""
    step_fast, step_slow = 2.0 / (fast + 1.0), 2.0 / (slow + 1.0)
    quick = calm = 0.0
    cash, held, count, signal = CASH, 0.0, 0, 0
    above = below = False
    for i in range(close.size):
        if signal > 0 and held == 0.0:
            held = SIZE
            cash -= held * opens[i] * (1.0 + FEE)
            count += 1
        elif signal < 0 and held > 0.0:
            cash += held * opens[i] * (1.0 - FEE)
            held = 0.0
        quick = quick + close[i] / fast if i < fast else quick + step_fast * (close[i] - quick)
        calm = calm + close[i] / slow if i < slow else calm + step_slow * (close[i] - calm)
        is_above, is_below = quick > calm, quick < calm
        signal = 0
        if i >= slow:
            signal = 1 if is_above and not above else -1 if is_below and not below else 0
        above, below = is_above, is_below
    return count, cash + held * close[-1]


@njit(cache=True, parallel=True)
def all_passes(opens, close, fasts, slows, counts, finals):
    for k in prange(fasts.size):
        counts[k], finals[k] = one_pass(opens, close, fasts[k], slows[k])


def sweep(job, candles):
    fasts, slows = (np.array(lengths) for lengths in zip(*pairs(job), strict=True))
    opens, close = candles["open"].copy(), candles["close"].copy()

    def run():
        counts, finals = np.empty(fasts.size, np.int64), np.empty(fasts.size)
        all_passes(opens, close, fasts, slows, counts, finals)
        return counts.sum(), finals.max()

    return run


class Strategy:
    """A callback that reads two means as lists and orders by appending to a list."""

    def __init__(self, fast, slow, both):
        self.fast, self.slow, self.both, self.orders, self.held = fast, slow, both, [], 0.0

    def on_bar(self, i):
        fast, slow = self.fast, self.slow
        if fast[i] > slow[i]:
            if i and fast[i - 1] <= slow[i - 1]:
                self.orders.append(SIZE - self.held)
        elif fast[i] < slow[i] and fast[i - 1] >= slow[i - 1]:
            self.orders.append((-SIZE if self.both else 0.0) - self.held)


def event(job, candles):
    """Market orders only: with stops asked for, there is nothing to compare."""
    opens, close = candles["open"].tolist(), candles["close"]

    def run():
        strategy = Strategy(ema(close, FAST).tolist(), ema(close, SLOW).tolist(), job["both"])
        on_bar, orders, fills, cash = strategy.on_bar, strategy.orders, [], CASH
        for i, price in enumerate(opens):
            if orders:
                for qty in orders:
                    if qty:
                        cash -= qty * price + abs(qty) * price * FEE
                        strategy.held += qty
                        fills.append((i, qty, -qty * price - abs(qty) * price * FEE))
                orders.clear()
            on_bar(i)
        at, moved, paid = (np.array(column) for column in zip(*fills, strict=True))
        held, flow = np.zeros(close.size), np.zeros(close.size)
        held[at], flow[at] = moved, paid
        equity = CASH + np.cumsum(flow) + np.cumsum(held) * close
        return trades(moved), equity[-1]

    return run


serve(numba.__version__, {"vector": vector, "event": event, "sweep": sweep})
