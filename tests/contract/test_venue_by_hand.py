"""`python -m tests.venue`."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from venue.__main__ import main, serve, source
from venue.clock import FastClock
from venue.instruments import Kind
from venue.prices import Prices
from venue.tape import Tape

from metaexpert.clock import WallClock

DAY = 86_400_000
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.asyncio
async def test_the_program_that_it_prints_reaches_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hears a trade from its stream; the requests that came in are shown, and it stops when it is told to."""
    monkeypatch.delenv("METAEXPERT_OFFLINE", raising=False)
    stop = asyncio.Event()
    venue = asyncio.create_task(serve(0, 600, ["okx", "binance"], Prices(), stop))
    told = ""
    while "asyncio.run(main())" not in told:
        await asyncio.sleep(0)
        told += capsys.readouterr().out
    assert re.match(r"okx, binance at 127\.0\.0\.1:\d+, time 600 times as fast; \d+ instruments at okx", told)
    names: dict[str, Any] = {}
    program = told[told.index("import asyncio") : told.index("asyncio.run(main())")]
    exec(program, names)
    await names["main"]()
    stop.set()
    await venue
    told = capsys.readouterr().out
    assert "'symbol': 'BTC/USDT'" in told
    assert "okx GET www.okx.com/api/v5/public/instruments" in told
    assert told.endswith("stopped\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_stops_it_cleanly() -> None:
    """No traceback, and an exit code of 0."""
    command = [sys.executable, "-m", "tests.venue", "--exchange", "kucoin"]
    told = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("kucoin at 127.0.0.1:")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.endswith("stopped\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--speed", "0"], "--speed 0: at least 1"), (["--exchange", "kraken"], "invalid choice: 'kraken'")],
)
def test_what_it_is_told_wrongly(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and code 2."""
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_recorded_file_is_played_from_today_on(tmp_path: Path) -> None:
    """Two minutes of 2024, whole days later: at the same time of the day, the first one in the day before now."""
    file, begin = tmp_path / "BTCUSDT-1m.csv", 1_704_103_200_000  # 10:00
    rows = [f"{begin + n * 60_000},100,120,90,{110 + n},4" for n in range(2)]
    file.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]))
    now = 1_790_000_000_000
    tape = source([file], ["binance"], Prices(), now)
    assert isinstance(tape, Tape)
    assert now - DAY < begin + tape.shift <= now
    assert tape.shift % DAY == 0
    recording = tape.recordings[Kind.SPOT, "BTC", "USDT"]
    assert recording.price.tolist() == [100, 90, 120, 110, 100, 90, 120, 111]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "BTCUSDC.csv"),
        (
            "timestamp,open,high,low,close,volume\n1704067200000,1,1,1,1,1\n1704067260000,1,1,1,1,1\n",
            "--play: BTC/USDC (spot) is not listed at binance",
        ),
        ("timestamp,funding_rate\n1704067200000,0.0001\n1704096000000,0.0001\n", "it holds funding rates"),
    ],
)
def test_what_cannot_be_played(tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says why."""
    (tmp_path / "BTCUSDC.csv").write_text(text)
    with pytest.raises(SystemExit):
        main(["--exchange", "binance", "--play", str(tmp_path / "BTCUSDC.csv")])
    assert said in capsys.readouterr().err


def test_fast_time_is_the_same_everywhere() -> None:
    """Begun 1,000 s ago at 3 times the speed it is 2,000 s ahead; before it begins it is the system's."""
    now = WallClock().now()
    past = FastClock(now - 1_000_000, 3).now()
    assert 0 <= past - (now + 2_000_000) <= 3 * 60_000
    assert 0 <= FastClock(now + 1_000_000, 3).now() - now <= 60_000
