"""A sweep beside its peers: 1,000 EMA pairs over 100 thousand bars, indicators included, and the memory it takes.

Run it as `.venv/bin/python benchmarks/sweep.py [--bars N] [--no-peers] [--full] [--json FILE]`. vectorbt plays a
tenth of the pairs unless `--full`, and its time is multiplied up; the figures say so.
"""

from __future__ import annotations

from common import BARE, OURS, Bench, agree, bench

FAST, SLOW = (5, 30, 1), (30, 230, 5)  # 25 x 40 pairs
FEWER_FAST, FEWER_SLOW = (5, 30, 5), (30, 230, 10)  # 5 x 20, spread over the same ranges
PASSES, FEWER = 1_000, 100
SAME = (0.0, 1e-9)
OWN_SEED = (0.001, 0.01)  # its means begin with the first close
OWN_SIZE = (0.001, None)  # and it has no fixed number of coins


def main() -> None:
    """Measure all pairs, the peers that take long on fewer, and ours on few pairs for its memory."""
    extra = {"full": {"action": "store_true", "help": "vectorbt plays all pairs too"}}
    with bench(__doc__.splitlines()[0], **extra) as run:
        bars = run.options.bars or 100_000
        every = {"task": "sweep", "bars": bars, "fast": FAST, "slow": SLOW, "passes": PASSES}
        fewer = every | {"fast": FEWER_FAST, "slow": FEWER_SLOW, "passes": FEWER}
        full = ("vectorbt",) if run.options.full else ()
        rows = run.compare((OURS, BARE, "raptorbt", *full), every, rounds=run.options.rounds, of="sweep")
        agree(rows, {BARE: SAME, "raptorbt": OWN_SIZE, "vectorbt": OWN_SEED})
        rows = run.compare((OURS, BARE, "vectorbt"), fewer, rounds=run.options.rounds, of="sweep, fewer")
        agree(rows, {BARE: SAME, "vectorbt": OWN_SEED})
        memory(run)


def memory(run: Bench) -> None:
    """Say what each took at most, data and imports included, and what ours took for a tenth of the pairs."""
    print("\npeak memory of the process, MB:")
    for row in run.rows:
        before = f"(before the sweep {row['before_mb']:.0f})"
        print(f"  {row['who']:14}{row['passes']:6,} pairs{row['peak_mb']:9.0f} {before}")


if __name__ == "__main__":
    main()
