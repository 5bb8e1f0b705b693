"""An expert on paper that is killed fifty times, anywhere between two statements to its journal, goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.papers import MINUTE

KILLS = 50
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
def test_a_run_that_is_killed_fifty_times_loses_nothing_and_does_nothing_twice(home):
    """Each child checks that what it restored is what the journal says; here all runs together are looked at."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("kills.py")), str(KILLS), "1"],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["told"] == ["here"] * KILLS + ["end"]
    assert found["reasons"] == ["killed", "user_stop"]
    assert found["runs"] > KILLS / 2  # a start that is killed before it is written leaves no run

    bars = found["bars"]
    assert bars == list(range(bars[0], bars[0] + len(bars) * MINUTE, MINUTE)), "a bar is missing, or came twice"
    assert list(found["closed"].values()) == [bars[-1] + MINUTE]

    fills = found["fills"]
    assert [fill[0] for fill in fills] == list(range(1, len(fills) + 1))
    assert len(fills) > KILLS
    signed = [fill[5] if fill[4] == "buy" else -fill[5] for fill in fills]
    assert found["qty"] == pytest.approx(sum(signed), abs=1e-9)
    assert found["balance"] == pytest.approx(1_000.0 + sum(fill[10] - fill[7] for fill in fills), abs=1e-9)

    assert set(found["replays"]) == {"equal", "nothing"}
    assert found["replays"].count("equal") > found["runs"] / 3
