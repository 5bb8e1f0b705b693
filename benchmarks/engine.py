"""The engine beside its peers: an EMA(10)/EMA(30) cross on seeded one-minute bars, as signals and as a callback.

Run it as `.venv/bin/python benchmarks/engine.py [--bars N] [--no-peers] [--long] [--json FILE]`; `benchmarks/run`
does all. `peers/play_*.py` say what each contestant does within the time that is measured.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from common import BARE, OURS, Bench, Row, agree, bench, environment

if TYPE_CHECKING:
    from pathlib import Path

HUNDRED_THOUSAND, MILLION, TEN_MILLION = 100_000, 1_000_000, 10_000_000
GROWTH = (10_000, HUNDRED_THOUSAND, MILLION, TEN_MILLION)
SLOW_PEER_ROUNDS = 3  # a callback in Python over a million bars

# How far trades and profit may be from ours, and why.
SAME = (0.0, 1e-9)  # the same rules
ONE_A_BAR = (0.02, 0.02)  # one order a bar: levels wait a bar, and a stop takes the place of that bar's signal
OF_SIGNAL = (0.001, 0.01)  # stop and target are shares of the signal's close
OWN_SEED = (0.01, None)  # its mean begins otherwise; another size, so money can't be compared
OWN_TURN = (0.1, None)  # can't turn in one bar: it closes, and opens when it sees that it is flat


def vector(run: Bench) -> None:
    """Ready signals to equity, orders and trades."""
    for bars in sizes(run):
        for stops in (False, True):
            for both in (False, True):
                job = {"task": "vector", "bars": bars, "both": both, "stops": stops}
                names = (OURS, BARE, "vectorbt", *(() if both else ("raptorbt",)))
                rows = run.compare(names, job, rounds=run.options.rounds, of="signals")
                agree(rows, {BARE: SAME, "vectorbt": ONE_A_BAR if stops else SAME, "raptorbt": OWN_SEED})


def event(run: Bench) -> None:
    """A callback in Python a bar, with two indicators."""
    for bars in sizes(run):
        for stops in (False, True):
            for both in (False, True):
                if bars == MILLION and both and stops and not run.options.long:
                    continue  # half a minute a run, to say the same again
                job = {"task": "event", "bars": bars, "both": both, "stops": stops}
                bare = () if stops else (BARE,)
                slow = () if both and bars == MILLION and not run.options.long else ("raptorbt",)
                rounds = run.options.rounds if bars < MILLION else min(run.options.rounds, SLOW_PEER_ROUNDS)
                rows = run.compare((OURS, *bare, "backtesting", *slow), job, rounds=rounds, of="callback")
                agree(
                    rows,
                    {
                        BARE: SAME,
                        "backtesting": OF_SIGNAL if stops else SAME,
                        "raptorbt": OWN_TURN if both else OWN_SEED,
                    },
                )


def sizes(run: Bench) -> tuple[int, ...]:
    return (HUNDRED_THOUSAND, MILLION) if run.options.bars is None else (run.options.bars,)


def growth(run: Bench) -> None:
    """Ours alone, from ten thousand bars to ten million: the cost of a bar, and the memory."""
    lengths = GROWTH if run.options.bars is None else (run.options.bars, 2 * run.options.bars)
    for task, most in (("vector", TEN_MILLION), ("event", TEN_MILLION if run.options.long else MILLION)):
        for bars in (length for length in lengths if length <= most):
            job = {"task": task, "bars": bars, "both": False, "stops": False}
            rounds = run.options.rounds if bars < MILLION else min(run.options.rounds, SLOW_PEER_ROUNDS)
            rows = run.compare((OURS, BARE), job, rounds=rounds, of=f"growth, {task}")
            agree(rows, {BARE: SAME})
    print("\ncost of a bar, ns:")
    for row in run.rows:
        if row["of"].startswith("growth") and row["who"] == OURS:
            print(f"  {row['of']:18}{row['bars']:12,} bars{row['seconds'] / row['bars'] * 1e9:10.1f} ns")


FIRST_RESULT = """
import numpy as np
import pandas as pd
from metaexpert import Backtest
close = 100.0 + np.sin(np.arange({bars}) / 50.0)
frame = {{name: close for name in ("open", "high", "low", "close", "volume")}}
bars = pd.DataFrame(frame, index=pd.date_range("2024-01-01", periods={bars}, freq="min", tz="UTC", name="time"))
up = bars["close"] > 100.5
print(len(Backtest.from_signals(bars, long_entry=up, long_exit=~up).trades))
"""
ONLY_IMPORTS = "import numpy, pandas, numba"


def cold(run: Bench) -> None:
    """Whole processes: from `python` to the first result, with a cold and with a warm cache of the kernel."""
    script = FIRST_RESULT.format(bars=run.options.bars or HUNDRED_THOUSAND)
    colds = [process(script, run.folder / f"cold{number}") for number in range(min(run.options.rounds, 3))]
    warms: list[float] = []
    imports: list[float] = []
    for _ in range(run.options.rounds):  # the caches of cold0 are filled by now
        warms.append(process(script, run.folder / "cold0"))
        imports.append(process(ONLY_IMPORTS, run.folder / "cold0"))
    print("\nwhole processes, wall time:")
    for who, seconds in (("cold cache", colds), ("warm cache", warms), ("imports alone", imports)):
        print(f"  {who:14}{median(seconds):8.3f} s ({min(seconds):.3f} to {max(seconds):.3f}, n {len(seconds)})")
        row: Row = {"of": "first result", "who": who, "seconds": median(seconds), "runs": len(seconds)}
        run.rows.append(row | {"fastest": min(seconds), "slowest": max(seconds)})


def process(script: str, folder: Path) -> float:
    """Wall time of a Python process that runs `script` with its data and caches in `folder`."""
    env, command = environment(folder), (sys.executable, "-c", script)
    began = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    spent = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"the first result failed:\n{done.stderr}")
    return spent


PARTS = {"vector": vector, "event": event, "growth": growth, "cold": cold}


def main() -> None:
    """Measure the parts asked for."""
    extra = {
        "long": {"action": "store_true", "help": "the slow cases too: callbacks over ten million bars"},
        "only": {"choices": PARTS, "nargs": "+", "default": list(PARTS), "help": "some parts of it"},
    }
    with bench(__doc__.splitlines()[0], **extra) as run:
        for name in run.options.only:
            PARTS[name](run)


if __name__ == "__main__":
    main()
