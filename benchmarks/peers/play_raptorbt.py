"""raptorbt: its array API for signals, its class API for a callback a bar, its batch for the sweep.

The array API knows one side and no fixed number of coins: each trade is allotted about the price of one, so that
trade counts can be compared and equities can't. A stop keeps it out until the next exit signal.
"""

import os

os.environ["RAPTORBT_NO_VERSION_CHECK"] = "1"

import numpy as np
import raptorbt
from serve import CASH, FAST, FEE, FIELDS, SLOW, STOP, TARGET, crosses, pairs, serve

ALLOTTED = 30_000.0
PASSES_AT_ONCE = 100  # their results are kept until the batch is done


def arrays(candles):
    return candles["time"] * 1_000_000, *(np.ascontiguousarray(candles[name]) for name in FIELDS)


def settings(job):
    config = raptorbt.BacktestConfig(initial_capital=CASH, fees=FEE, fill_timing="next_bar_open")
    if job.get("stops"):
        config.set_fixed_stop(STOP)
        config.set_fixed_target(TARGET)
    return config


def vector(job, candles):
    bars, (up, down) = arrays(candles), crosses(candles["close"])
    config, stake = settings(job), raptorbt.InstrumentConfig(alloted_capital=ALLOTTED)

    def run():
        played = raptorbt.run_single_backtest(*bars, up, down, 1, 1.0, "BTC", config, None, stake)
        curve, trades = played.equity_curve(), played.trades()
        return len(trades), curve[-1]

    return run


def cross(fast, slow):
    """Its own way: means by its own function, compared as arrays."""
    up, down = np.zeros(len(fast), bool), np.zeros(len(fast), bool)
    up[1:] = (fast[1:] > slow[1:]) & (fast[:-1] <= slow[:-1])
    down[1:] = (fast[1:] < slow[1:]) & (fast[:-1] >= slow[:-1])
    return up, down


def sweep(job, candles):
    bars, every = arrays(candles), pairs(job)
    config, stake = settings(job), raptorbt.InstrumentConfig(alloted_capital=ALLOTTED)
    close = bars[4]

    def chunk(part):
        items = [
            raptorbt.BatchSingleItem(
                f"{fast}/{slow}",
                *cross(raptorbt.ema(close, fast), raptorbt.ema(close, slow)),
                instrument_config=stake,
            )
            for fast, slow in part
        ]
        played = [one for _, one in raptorbt.batch_single_backtest(*bars, items, config)]
        return sum(one.metrics.total_trades for one in played), max(one.equity_curve()[-1] for one in played)

    def run():
        done = [chunk(every[first : first + PASSES_AT_ONCE]) for first in range(0, len(every), PASSES_AT_ONCE)]
        return sum(trades for trades, _ in done), max(equity for _, equity in done)

    return run


class Cross(raptorbt.Strategy):
    """Acts on crosses, one intent a bar. An intent is carried out late, so it remembers itself what it holds."""

    both = False

    def on_start(self, ctx):
        self.fast, self.slow = raptorbt.ema(ctx.close, FAST), raptorbt.ema(ctx.close, SLOW)
        self.side, self.next = 0, 0

    def on_bar(self, ctx):
        i = ctx.idx
        if i < SLOW:
            return
        fast, slow = self.fast, self.slow
        if fast[i] > slow[i] and fast[i - 1] <= slow[i - 1]:
            self.turn(1)
        elif fast[i] < slow[i] and fast[i - 1] >= slow[i - 1]:
            self.turn(-1 if self.both else 0)
        elif self.next and ctx.position is None:
            self.open()

    def turn(self, side):
        if self.side:
            self.close_position()
            self.side, self.next = 0, side
        elif side:
            self.next = side
            self.open()

    def open(self):
        if not self.both:
            self.enter(size_frac=ALLOTTED / CASH)  # its quick way, where there is one side only
        else:
            (self.enter_long if self.next > 0 else self.enter_short)(size_frac=ALLOTTED / CASH)
        self.side, self.next = self.next, 0


def event(job, candles):
    bars, config = arrays(candles), settings(job)
    more = {"account_type": "margin"} if job["both"] else {}

    def run():
        strategy = Cross()
        strategy.both = job["both"]
        played = raptorbt.run_strategy_backtest(strategy, *bars, symbol="BTC", config=config, **more)
        curve, trades = played.equity_curve(), played.trades()
        return len(trades), curve[-1]

    return run


serve(raptorbt.__version__, {"vector": vector, "event": event, "sweep": sweep})
