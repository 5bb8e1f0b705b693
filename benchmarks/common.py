"""What the benchmarks share: candles, contestants that take turns, medians, checks, the file of figures."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from peers.serve import CASH

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
PEERS_PYTHON = CHECKOUT / ".venv-peers" / "bin" / "python"
MINUTE = 60_000
START = 1_672_531_200_000  # 2023-01-01
OURS, BARE = "metaexpert", "bare"
NO_LIBRARY = (OURS, BARE)
QUICK = 2.0  # seconds: a run that takes less is repeated once before it counts

Row = dict[str, Any]


# --- candles --------------------------------------------------------------------------------------------------


def candles(bars: int) -> dict[str, np.ndarray]:
    """Seeded one-minute candles: fat tails, volatility that clusters, gaps, and a path that ends where it began.

    About 50 % volatility a year around 30,000, in ticks of 0.01; ten million bars stay within what one coin costs.
    """
    rng = np.random.default_rng(7)
    calm = pd.Series(rng.normal(size=bars)).ewm(span=1_000, adjust=False).mean().to_numpy() * np.sqrt(500.0)
    sigma = 0.0007 * np.exp(0.5 * calm - 0.125)
    move = sigma * rng.standard_t(5, bars) / np.sqrt(5.0 / 3.0)
    gap = rng.normal(0.0, 3e-5, bars)
    gap[0] = 0.0
    log_close = np.cumsum(move + gap)
    log_close -= np.linspace(0.0, log_close[-1], bars)
    close = np.round(30_000.0 * np.exp(log_close), 2)
    opens = np.round(30_000.0 * np.exp(log_close - move), 2)
    reach = np.exp(np.abs(rng.normal(0.0, 0.4, (2, bars))) * sigma)
    return {
        "time": START + MINUTE * np.arange(bars, dtype=np.int64),
        "open": opens,
        "high": np.maximum(np.round(np.maximum(opens, close) * reach[0], 2), np.maximum(opens, close)),
        "low": np.minimum(np.round(np.minimum(opens, close) / reach[1], 2), np.minimum(opens, close)),
        "close": close,
        "volume": np.round(np.exp(rng.normal(2.0, 0.8, bars)), 3) + 0.001,
    }


class Bench:
    """One run of a benchmark: its folder of candles, its options, and the rows it has measured."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.rows: list[Row] = []

    def data(self, bars: int) -> str:
        """The path of a file with `bars` candles."""
        path = self.folder / f"{bars}.npz"
        if not path.exists():
            np.savez(path, **candles(bars))
        return str(path)

    def compare(self, names: Iterable[str], job: Row, *, rounds: int, of: str) -> list[Row]:
        """Let contestants take turns at `job`; returns a row each, checked against each other.

        Args:
            names: the contestants; peers are left out with `--no-peers`.
            job: the task and its settings; `bars` says how many candles.
            rounds: timed runs each; one whose runs took its share of `--budget` sits the rest out.
            of: what is measured, a heading of the report.
        """
        names = [name for name in names if name in NO_LIBRARY or not self.options.no_peers]
        job = job | {"data": self.data(job["bars"])}
        with ExitStack() as stack:
            players = [stack.enter_context(contestant(name, job, self.folder)) for name in names]
            for number in range(rounds + 1):
                for player in players:
                    player.turn(warming=number == 0, budget=self.options.budget)
            rows = [player.row(of, job) for player in players]
        self.rows += rows
        show(rows)
        return rows


def save(rows: list[Row], path: Path | None) -> None:
    """Put `rows` into the file of figures, where they replace those of the same headings; None: nowhere."""
    if path is None:
        return
    figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": []}
    fresh = {row["of"] for row in rows}
    rows = [row for row in figures["rows"] if row["of"] not in fresh] + rows
    about = {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
    text = json.dumps({"about": about, "rows": rows}, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


@contextmanager
def bench(description: str, **extra: dict[str, Any]) -> Generator[Bench]:
    """Parse the options that all benchmarks have and the `extra` ones; the `Bench` saves at its end."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--bars", type=int, help="one size in place of those of the full comparison")
    parser.add_argument("--rounds", type=int, default=7, help="timed runs of each contestant (default: 7)")
    parser.add_argument("--budget", type=float, default=15.0, help="seconds a contestant may run (default: 15)")
    parser.add_argument("--no-peers", action="store_true", help="only ours and the bare loops")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    for name, keywords in extra.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **keywords)
    options = parser.parse_args()
    if not options.no_peers and not PEERS_PYTHON.exists():
        parser.error("the peers are not installed: run benchmarks/peers/install, or give --no-peers")
    with tempfile.TemporaryDirectory() as folder:
        one = Bench(options, Path(folder))
        yield one
        save(one.rows, options.json)


# --- contestants ----------------------------------------------------------------------------------------------


class Player:
    """One contestant in a process of its own; see peers/serve.py for what is said."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self.process = process
        self.about = self._heard()
        self.runs: list[Row] = []
        self.spent = 0.0

    def turn(self, *, warming: bool, budget: float) -> None:
        """Make one run, unless the time is used up. A quick first run only warms up."""
        if self.spent > budget:
            return
        assert self.process.stdin is not None
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        run = self._heard()
        self.spent += run["seconds"]
        if not (warming and run["seconds"] < QUICK):
            self.runs.append(run)

    def row(self, of: str, job: Row) -> Row:
        """The figures of all its runs."""
        seconds = [run["seconds"] for run in self.runs]
        settings = {name: job[name] for name in ("bars", "both", "stops", "passes") if name in job}
        return {
            "of": of,
            "who": self.name,
            "version": self.about["version"],
            **settings,
            "seconds": median(seconds),
            "fastest": min(seconds),
            "slowest": max(seconds),
            "runs": len(seconds),
            "trades": self.runs[-1]["trades"],
            "equity": self.runs[-1]["equity"],
            "before_mb": self.about["before_mb"],
            "peak_mb": self.runs[-1]["peak_mb"],
        }

    def _heard(self) -> Row:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} failed: see above")
        return json.loads(line)


@contextmanager
def contestant(name: str, job: Row, folder: Path) -> Generator[Player]:
    """Start a contestant, ready for its turns, and end it."""
    ours = name in NO_LIBRARY
    python, env = (sys.executable, environment(folder)) if ours else (str(PEERS_PYTHON), os.environ)
    command = [python, str(HERE / "peers" / f"play_{name}.py"), json.dumps(job)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        yield Player(name, process)
        assert process.stdin is not None
        process.stdin.close()


def environment(folder: Path) -> dict[str, str]:
    """The environment of our processes: data and compiled code in `folder`, the package from the checkout."""
    places = {"METAEXPERT_HOME": "home", "NUMBA_CACHE_DIR": "numba"}
    env = os.environ | {name: str(folder / place) for name, place in places.items()}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # or nothing would ever be warm
    return env | {"PYTHONPATH": str(CHECKOUT)}


# --- what is printed and checked ------------------------------------------------------------------------------


def show(rows: Sequence[Row]) -> None:
    """Print the rows of one comparison."""
    job = rows[0]
    side = "" if "both" not in job else ", long and short" if job["both"] else ", long only"
    stops = ", stop and target" if job.get("stops") else ""
    print(f"\n{job['of']}: {job['bars']:,} bars{side}{stops}")
    own = rows[0]["seconds"]
    for row in rows:
        spread = f"({row['fastest']:.4f} to {row['slowest']:.4f}, n {row['runs']})"
        print(
            f"  {row['who']:14}{row['seconds']:11.4f} s {spread}"
            f"{row['seconds'] / own:9.2f} x{row['trades']:10,} trades  equity {row['equity']:.2f}"
            f"  peak {row['peak_mb']:.0f} MB (before: {row['before_mb']:.0f})",
            flush=True,
        )


def agree(rows: Sequence[Row], tolerances: dict[str, tuple[float, float | None]]) -> None:
    """Check the trades and the final equity of each contestant against ours.

    Args:
        rows: one comparison.
        tolerances: by contestant, how far its number of trades and its profit may be from ours, each a fraction of
            ours; None where the rules differ so that money can't be compared.

    Raises:
        SystemExit: they differ by more; figures of runs that do different work are worth nothing.
    """
    ours = next(row for row in rows if row["who"] == OURS)
    profit = ours["equity"] - CASH
    for row in rows:
        of_trades, of_profit = tolerances[row["who"]] if row is not ours else (0.0, 0.0)
        if abs(row["trades"] - ours["trades"]) > 1 + of_trades * ours["trades"]:
            raise SystemExit(f"{row['who']} made {row['trades']} trades, {OURS} {ours['trades']}")
        if of_profit is not None and abs(row["equity"] - ours["equity"]) > 0.01 + of_profit * abs(profit):
            raise SystemExit(f"{row['who']} ended with {row['equity']}, {OURS} with {ours['equity']}")
