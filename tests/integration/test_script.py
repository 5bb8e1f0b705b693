"""An expert run as a program: ``python main.py``."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
from metaexpert import MetaExpert
expert = MetaExpert("demo")
@expert.on_init(symbol="BTCUSDT", timeframe="1d")
def init(): ...
@expert.on_bar
def bar(rates):
    {body}
if __name__ == "__main__":
    result = expert.run(backtest_start="2024-01-01", backtest_end="2024-01-31")
    print("returned", result.stats["final_equity"])
"""


def run(folder: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    file = folder / "main.py"
    file.write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(file), *words], capture_output=True, text=True, check=False, timeout=120
    )


def test_a_script_prints_its_result_keeps_it_and_gets_it_back(tmp_path: Path, home: Path) -> None:
    done = run(tmp_path, GOOD.format(body="expert.buy() if not expert.position() else None"))
    assert done.returncode == 0, done.stderr
    assert "Final equity" in done.stdout
    assert "returned" in done.stdout
    assert list((home / "runs").iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'from metaexpert import MetaExpert\nMetaExpert(exchnage="demo")',
            "main.py:2: MetaExpert(...): unknown setting",
        ),
        (GOOD.format(body="1 / 0"), "ZeroDivisionError: division by zero (main.py:8)"),
        (GOOD.format(body="expert.stop()").replace("BTCUSDT", "BTC!"), "BTC!"),
    ],
)
def test_an_error_is_one_line_and_with_debug_a_traceback(text: str, said: str, tmp_path: Path) -> None:
    done = run(tmp_path, text)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert "Traceback" in run(tmp_path, text, "--debug").stderr


def test_a_fault_of_another_kind_keeps_its_traceback(tmp_path: Path) -> None:
    text = 'from metaexpert import MetaExpert\nMetaExpert("demo")\n1 / 0'
    assert "Traceback" in run(tmp_path, text).stderr
