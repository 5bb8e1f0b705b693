"""What starting costs: medians of CPU and wall time, with `import pandas` as the yardstick of the same run.

Run it as `.venv/bin/python benchmarks/startup.py [--runs N]`. CPU time is user and system time of the child and
all its threads, as the system accounts for it; so this runs on POSIX systems only.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

CHECKOUT = Path(__file__).resolve().parent.parent
METAEXPERT = (sys.executable, "-m", "metaexpert")
EXAMPLE = str(CHECKOUT / "examples" / "expert_binance_ema")
YEAR = ("--exchange", "demo", "--start", "2024-01-01", "--end", "2024-12-31")

CASES = {
    "import pandas (yardstick)": (sys.executable, "-c", "import pandas"),
    "import metaexpert": (sys.executable, "-c", "import metaexpert"),
    "metaexpert --help": (*METAEXPERT, "--help"),
    "metaexpert backtest, 1 year of 1h": (*METAEXPERT, "backtest", EXAMPLE, *YEAR),
}


def measure(command: tuple[str, ...], env: dict[str, str]) -> tuple[float, float]:
    """Run `command` once and return its CPU and wall time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, wall


def main() -> None:
    """Measure each case in turn, `--runs` times after one warm-up, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="measurements of each command (default: 7)")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {"METAEXPERT_HOME": home}
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # or nothing would ever be warm
        env.pop("PYTHONPATH", None)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
        for turn in range(runs + 1):
            for name, command in CASES.items():
                spent = measure(command, env)
                if turn:
                    times[name].append(spent)
    yardstick = median(cpu for cpu, _ in times["import pandas (yardstick)"])
    print(f"medians of {runs} runs, Python {sys.version.split()[0]}")
    print(f"{'':36}{'CPU s':>8}{'wall s':>8}{'CPU / yardstick':>18}")
    for name, spent in times.items():
        cpu, wall = median(c for c, _ in spent), median(w for _, w in spent)
        print(f"{name:36}{cpu:8.3f}{wall:8.3f}{cpu / yardstick:18.2f}")


if __name__ == "__main__":
    main()
