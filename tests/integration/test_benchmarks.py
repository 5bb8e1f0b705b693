"""The benchmarks run, tiny and without peers, and their figures reach the pages. No test looks at times."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
FIGURES = BENCHMARKS / "figures.json"
TINY = ("--bars", "2000", "--rounds", "1", "--no-peers")

posix = pytest.mark.skipif(sys.platform == "win32", reason="the benchmarks ask POSIX for the memory of a process")


def run(script, *options):
    command = [sys.executable, str(BENCHMARKS / script), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


@posix
def test_callbacks_run_and_agree_with_the_bare_loop(tmp_path):
    """The benchmark itself fails when trades or money differ."""
    figures = tmp_path / "figures.json"
    done = run("engine.py", "--only", "event", *TINY, "--json", str(figures))
    assert done.returncode == 0, done.stderr
    rows = json.loads(figures.read_text(encoding="utf-8"))["rows"]
    assert {row["of"] for row in rows} == {"callback"}
    assert {row["who"] for row in rows} == {"metaexpert", "bare"}
    assert all(row["trades"] > 0 and row["seconds"] > 0.0 for row in rows)


@posix
def test_the_sweep_runs_and_agrees_with_the_bare_loop(tmp_path):
    """Trades and the highest final equity of all pairs; the benchmark itself fails when they differ."""
    figures = tmp_path / "figures.json"
    done = run("sweep.py", *TINY, "--json", str(figures))
    assert done.returncode == 0, done.stderr
    rows = json.loads(figures.read_text(encoding="utf-8"))["rows"]
    assert {(row["of"], row["who"], row["passes"]) for row in rows} == {
        ("sweep", "metaexpert", 1_000), ("sweep", "bare", 1_000),
        ("sweep, fewer", "metaexpert", 100), ("sweep, fewer", "bare", 100),
    }  # fmt: skip
    assert all(row["trades"] > 0 and row["peak_mb"] > 0.0 for row in rows)


@posix
def test_ready_signals_run_and_agree_with_the_bare_loop(tmp_path):
    """Long only and both sides, with and without levels."""
    figures = tmp_path / "figures.json"
    done = run("engine.py", "--only", "vector", *TINY, "--json", str(figures))
    assert done.returncode == 0, done.stderr
    rows = json.loads(figures.read_text(encoding="utf-8"))["rows"]
    assert {(row["who"], row["both"], row["stops"]) for row in rows} == {
        (who, both, stops) for who in ("metaexpert", "bare") for both in (False, True) for stops in (False, True)
    }
    assert all(row["trades"] > 0 and row["seconds"] > 0.0 for row in rows)


@posix
def test_components_run():
    done = run("components.py", "--runs", "1", "--bars", "2000")
    assert done.returncode == 0, done.stderr
    assert "all statistics" in done.stdout


@posix
def test_the_live_market_runs_and_is_shown(tmp_path, monkeypatch):
    """Each contestant hears every message of its turns, or the benchmark ends with an error."""
    figures = tmp_path / "figures.json"
    done = run("stream.py", "--messages", "120", "--rounds", "1", "--json", str(figures))
    assert done.returncode == 0, done.stderr
    rows = json.loads(figures.read_text(encoding="utf-8"))["rows"]
    who = ("bare", "LiveFeed", "metaexpert")
    assert [(row["stream"], row["who"]) for row in rows] == [
        (kind, one) for kind in ("trades", "quotes") for one in who
    ]
    assert all(0.0 < row["p50"] <= row["p99"] for row in rows)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import report

    rows[0]["seconds"], rows[1]["seconds"], rows[1]["p50"] = 30e-6, 33e-6, 1e-4
    figures.write_text(json.dumps({"about": {}, "rows": rows}))
    assert "| trades, LiveFeed | 33 us | +10% | 100 us |" in report.live(report.Figures(figures))


@posix
def test_orders_run_and_are_shown(tmp_path, monkeypatch):
    """A live run and bare CCXT send what they were told to, or the benchmark ends with an error."""
    figures = tmp_path / "figures.json"
    done = run("orders.py", "--orders", "2", "--json", str(figures))
    assert done.returncode == 0, done.stderr
    rows = json.loads(figures.read_text(encoding="utf-8"))["rows"]
    assert [(row["who"], row["orders"], row["disk"] > 0.0) for row in rows] == [
        ("bare", 2, False), ("metaexpert", 2, True),
    ]  # fmt: skip
    assert all(0.0 < row["p50"] <= row["p99"] for row in rows)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import report

    rows[1] |= {"p50": 0.0042, "disk": 0.003, "p99": 0.0151}
    figures.write_text(json.dumps({"about": {}, "rows": rows}))
    assert "| a live run | 4.2 ms | 3 ms | 15.1 ms |" in report.orders(report.Figures(figures))


@pytest.mark.skipif(not FIGURES.exists(), reason="benchmarks/run has not been run")
def test_the_pages_show_the_measured_figures():
    done = run("report.py", "--check")
    assert done.returncode == 0, done.stderr


def row(who, seconds, **fields):
    plain = {"of": "signals", "version": "1.0", "bars": 1000, "both": False, "stops": False}
    return plain | {"who": who, "seconds": seconds, "peak_mb": 50.0, "before_mb": 40.0} | fields


def test_a_report_of_given_figures_shows_their_ratios(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import report

    rows = [row("bare", 0.005), row("metaexpert", 0.01), row("slow", 0.5), row("quick", 0.25)]
    sweep = {"of": "sweep", "passes": 1000}
    rows += [row("metaexpert", 0.5, **sweep), row("metaexpert", 0.05, of="sweep, fewer", passes=100)]
    rows += [row("slow", 1.0, of="sweep, fewer", passes=100, peak_mb=900.0)]
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"about": {"python": "3", "cores": 2, "machine": "any"}, "rows": rows}))
    figures = report.Figures(file)
    page = report.page(figures)
    assert "| 1,000 bars, long only | 0.01 s | 0.005 s | 0.5 s | 0.25 s | 25x | 2x |" in page
    assert "| slow 1.0 | 10.0 s (measured 100 pairs, times 10) | 20x | 900 MB | 100 |" in page
    assert "trades of 1,000 one-minute bars in 0.01 s, 25x as fast as quick 1.0" in report.line(figures)
    text = "before\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\nafter\n"
    assert report.written(text, "new\n") == text.replace("old\n", "new\n")
