"""What every contestant shares: the strategy's numbers, and the protocol by which it is timed.

A contestant is a program that is given a job as JSON and keeps ready: each line on its standard input makes one
timed run, answered by one line of JSON. So several of them, each in an environment and process of its own, take
turns within one measurement, and what slows the machine slows them all.

The strategy is the same for all: EMA(10) above EMA(30) decided at the close, a market order at the next open, a
fee on the notional of each side, one coin a trade. Each begins with much more money than the fees can take.
"""

import gc
import json
import resource
import sys
import time

import numpy as np
import pandas as pd

CASH, SIZE, FEE = 100_000_000.0, 1.0, 0.001
FAST, SLOW = 10, 30
STOP, TARGET = 0.005, 0.01
FIELDS = ("open", "high", "low", "close", "volume")


def load(job):
    """The candles of a job: `time` in int64 ms and five float columns."""
    with np.load(job["data"]) as stored:
        return {name: stored[name][: job["bars"]] for name in ("time", *FIELDS)}


def ema(close, length):
    """Exponential mean with alpha 2 / (length + 1), begun with the mean of the first `length` closes."""
    seeded = np.array(close, dtype=float)
    seeded[: length - 1], seeded[length - 1] = np.nan, seeded[:length].mean()
    return pd.Series(seeded).ewm(span=length, adjust=False, ignore_na=True).mean().to_numpy()


def crosses(close, fast=FAST, slow=SLOW):
    """(up, down): true on the bar whose close completes a cross; both means are known on it and before it."""
    quick, calm = ema(close, fast), ema(close, slow)
    up, down = np.zeros(len(close), bool), np.zeros(len(close), bool)
    up[1:] = (quick[1:] > calm[1:]) & (quick[:-1] <= calm[:-1])
    down[1:] = (quick[1:] < calm[1:]) & (quick[:-1] >= calm[:-1])
    return up, down


def delayed(signal):
    """`signal` a bar later: for tools that fill on the bar of the signal."""
    return np.append(False, signal[:-1])


def pairs(job):
    """(fast, slow) of each pass of a sweep."""
    return [(fast, slow) for fast in range(*job["fast"]) for slow in range(*job["slow"])]


def peak_mb():
    """The most memory this process has held so far, in MB (2**20 bytes)."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 1024


def serve(version, tasks):
    """Answer runs of the job in argv; `tasks` are prepare(job, candles) -> run() -> (trades, equity) by name."""
    job = json.loads(sys.argv[1])
    prepare = tasks[job["task"]]
    candles = load(job)
    few = job | {"bars": min(job["bars"], 2_000)}
    prepare(few, {name: values[: few["bars"]] for name, values in candles.items()})()
    run = prepare(job, candles)
    before = peak_mb()
    answer({"version": version, "before_mb": before})
    for _ in sys.stdin:
        gc.collect()
        began = time.perf_counter()
        trades, equity = run()
        answer(
            {
                "seconds": time.perf_counter() - began,
                "trades": int(trades),
                "equity": float(equity),
                "peak_mb": peak_mb(),
            }
        )


def answer(line):
    """Say `line` to the one who measures."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
