"""Ctrl-C and SIGTERM, as a paper run in a process of its own hears them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from metaexpert import ConfigError, MetaExpert

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")

EXPERT = """
import asyncio
import signal
from threading import Thread, main_thread
from metaexpert import MetaExpert

expert = MetaExpert(exchange="demo", log_to_console=False)

def press():
    for number in (signal.SIGINT, signal.SIGTERM):  # two of one kind might be told as one
        signal.pthread_kill(main_thread().ident, number)  # Python notices late what the system gives to another

@expert.on_init(symbol="BTCUSDT", timeframe="1m")
def init():
    pass

@expert.on_tick
{tick}

@expert.on_deinit
def deinit(reason):
    print("deinit", reason, flush=True)
"""
ENDLESS = """def tick(tick):
    Thread(target=press).start()
    while True:
        pass"""
WAITING = """async def tick(tick):
    asyncio.get_running_loop().call_soon(press)  # runs once the handler waits
    await asyncio.sleep(1000)"""


def interrupted(folder: Path, tick: str) -> tuple[int, str, str]:
    """A run whose handler is told to end by two signals, once it has begun: exit code, output, errors."""
    file = folder / "stuck.py"
    file.write_text(EXPERT.format(tick=tick), encoding="utf-8")
    command = [sys.executable, "-m", "metaexpert", "run", str(file), "--speed", "60", "--json"]
    env = os.environ | {"METAEXPERT_HOME": str(folder)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=600)
    return done.returncode, done.stdout, done.stderr


def test_a_second_signal_ends_a_handler_that_never_returns(tmp_path: Path) -> None:
    """The first one can't: the handler has to come to its end for it. Nothing half done is kept."""
    code, out, errors = interrupted(tmp_path, ENDLESS)
    assert (code, out, errors) == (130, "", "error: interrupted\n")


def test_a_second_signal_cuts_a_handler_that_waits(tmp_path: Path) -> None:
    """It ends in order, and no traceback or cancellation is shown."""
    code, out, errors = interrupted(tmp_path, WAITING)
    assert (code, errors) == (0, "")
    assert out.startswith("deinit signal\n{")
    assert '"reason": "signal"' in out


def test_a_backtest_is_no_live_run() -> None:
    """`start` would play the market of now and call it a backtest."""
    expert = MetaExpert(exchange="demo")
    expert.on_init(symbol="BTCUSDT", timeframe="1h")(lambda: None)
    with pytest.raises(ConfigError, match="goes over history"):
        expert.start("backtest")
