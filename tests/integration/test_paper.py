"""Paper trading on the demo exchange: whole runs, restarts, stopping, the handle, the command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from metaexpert import MetaExchange, MetaExpert
from metaexpert.errors import ConfigError, StrategyError
from metaexpert.journal import JournalReader
from tests.clocks import SelfMovingClock

if TYPE_CHECKING:
    from pathlib import Path

PAPER: dict[str, Any] = {"trade_mode": "paper"}
START = 1_735_689_600_000  # 2025-01-01 00:00 UTC


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time goes on when all is quiet, from where the last run stopped."""
    monkeypatch.setattr("metaexpert.paper._clock", lambda _, last: SelfMovingClock(max(START, last)))


def expert(bars: int = 5, **settings: Any) -> MetaExpert:
    """An expert that buys at its first bar and stops after so many."""
    made = MetaExpert(exchange="demo", market_type="futures", contract_type="linear", log_to_console=False)
    made.heard = []

    @made.on_init(symbol="BTCUSDT", timeframe="1m", strategy_name="paper_test", **settings)
    def init() -> None:
        made.heard.append("init")

    @made.on_bar
    def bar(rates: Any) -> None:
        made.heard.append(rates)
        if not made.position():
            made.buy(0.01)
        if sum(one != "init" for one in made.heard) >= bars:
            made.stop()

    return made


def bars_of(made: MetaExpert) -> list[int]:
    return [one.time for one in made.heard if one != "init"]


def test_a_run_hears_every_bar_once_fills_its_orders_and_ends_when_it_is_told_to(home):
    made = expert()
    run = made.run(**PAPER)
    times = bars_of(made)
    assert times == list(range(times[0], times[0] + 5 * 60_000, 60_000))
    assert run.reason == "user_stop"
    assert run.summary()["positions"] == {"BTC/USDT:USDT": 0.01}
    with JournalReader.open(run.journal) as journal:
        (record,) = journal.runs()
        lines = [json.loads(line) for line in journal.lines(record.id)]
    assert (record.reason, record.manifest["mode"]) == ("user_stop", "paper")
    assert [line["body"][0] for line in lines if line["kind"] == "call"] == ["on_init", *["on_bar"] * 5]
    assert sum(line["kind"] == "fill" for line in lines) == 1


def test_a_restarted_expert_goes_on_where_it_was_and_misses_no_bar(home):
    first = expert()
    run = first.run(**PAPER)
    second = expert()
    again = second.run(**PAPER)
    assert again.summary()["fills"] == 1  # it holds what the first one bought, and buys nothing
    assert again.summary()["positions"] == {"BTC/USDT:USDT": 0.01}
    assert bars_of(second)[0] == bars_of(first)[-1] + 60_000
    fresh = expert()
    assert fresh.run(**PAPER, fresh=True, initial_capital=2_000.0).summary()["fills"] == 1
    assert 9_900.0 < run.summary()["equity"] < 10_100.0


def test_inside_a_running_loop_run_returns_at_once_and_can_be_stopped(home):
    made = expert(bars=10_000)

    async def notebook() -> Any:
        heard = asyncio.Event()
        made.on_bar(lambda _: heard.set() if len(made.heard) >= 4 else None)
        run = made.run(**PAPER)
        assert run.is_running
        with pytest.raises(ConfigError, match="running"):
            await made.arun(**PAPER)
        await heard.wait()
        assert "running, equity" in repr(run)
        assert run.account is not None
        run.stop()
        assert await run == "user_stop"
        return run

    run = asyncio.run(notebook())
    assert not run.is_running
    assert repr(run) == "<Run paper_test: ended (user_stop)>"


def test_arun_ends_with_the_run_and_async_handlers_share_its_loop(home):
    made, loops = expert(bars=3), []

    @made.on_timer(30)
    async def timer() -> None:
        loops.append(asyncio.get_running_loop())

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        run = await made.arun(**PAPER)
        assert set(loops) == {loop}
        return run

    assert asyncio.run(main()).reason == "user_stop"
    assert len(loops) >= 4


def test_a_failing_handler_ends_the_run_with_its_error(home):
    made = expert()
    made.on_bar(lambda _: 1 / 0)
    with pytest.raises(StrategyError, match="ZeroDivisionError"):
        made.run(**PAPER)


def test_what_can_not_be_had_is_refused_in_one_line(home):
    made = expert()
    with pytest.raises(ConfigError, match="speed"):
        made.start(exchange="binance", speed=10.0).begin()
    with pytest.raises(ConfigError, match="live"):
        made.run(trade_mode="live")
    with pytest.raises(ConfigError, match="holds files"):
        made.start(exchange="local").begin()
    with pytest.raises(ConfigError, match="latency_ms"):
        made.run(**PAPER, latency_ms=-1)
    with pytest.raises(ConfigError, match="paper_fills"):
        made.run(**PAPER, paper_fills="quote")

    gone = MetaExpert(exchange="demo", market_type="options", log_to_console=False)
    gone.on_init(symbol="BTC/USDT:USDT-241227-72000-C", timeframe="1m")(lambda: None)
    gone.on_bar(lambda rates: None)
    with pytest.raises(ConfigError, match=r"72000-C has ended \(2024-12-27 08:00.* name a contract that still"):
        gone.run(**PAPER)


def test_an_option_of_the_embedded_exchange_is_sold_against_its_margin(home):
    """A call of 20,000, in the money: 15 % of the underlying for each, its spot price."""
    made = MetaExpert(exchange="demo", market_type="options", log_to_console=False)
    made.on_init(
        symbol="BTC/USDT:USDT-250328-20000-C", timeframe="1m", strategy_name="paper_option", stop_loss_pct=50.0
    )(lambda: None)
    made.margins = []

    @made.on_bar
    def bar(rates: Any) -> None:
        if made.position():
            made.margins.append(made.account.margin_used)
            made.stop()
        else:
            made.sell(0.1)

    made.run(**PAPER)
    spot = MetaExchange("demo").bars("BTC/USDT", "1m", "2025-01-01T00:00", "2025-01-01T00:04")
    (margin,) = made.margins
    assert 0.1 * 0.15 * spot["low"].min() <= margin <= 0.1 * 0.15 * spot["high"].max()


def test_every_handler_of_a_live_market_is_heard(home):
    made, heard = expert(bars=2, size_value=0.1), set[str]()
    made.on_tick(lambda tick: heard.add("tick" if tick.qty else "quote"))
    made.on_book(lambda book: heard.add("book" if book.bids and book.asks else "empty book"))
    made.on_order(lambda order: heard.add("order"))
    made.on_transaction(lambda order, result: heard.add("transaction"))
    made.on_position(lambda position: heard.add("position"))
    made.on_account(lambda account: heard.add("account"))
    made.on_deinit(heard.add)
    made.run(**PAPER, paper_fills="book", latency_ms=50)
    assert heard == {"tick", "quote", "book", "order", "transaction", "position", "account", "user_stop"}


SCRIPT = """
from metaexpert import MetaExpert
expert = MetaExpert(exchange="demo", market_type="spot")

@expert.on_init(symbol="BTCUSDT", timeframe="1m")
def init(): pass

@expert.on_bar
def bar(rates):
    if not expert.position():
        expert.buy(0.01)
    print("bar", rates.time, flush=True)

@expert.on_deinit
def bye(reason): print("bye", reason, flush=True)

if __name__ == "__main__":
    expert.run(trade_mode="paper", speed=5000)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a process of its own")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_in_order(home, tmp_path: Path, number: signal.Signals):
    (tmp_path / "main.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "metaexpert", "run", str(tmp_path), "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy()
    )
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(3)]
    process.send_signal(number)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert [line.split()[0] for line in told] == ["bar"] * 3
    *lines, summary = rest.splitlines()
    assert lines[-1] == "bye signal"
    assert json.loads(summary)["reason"] == "signal"
    path = json.loads(summary)["journal"]
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT reason FROM runs").fetchall() == [("signal",)]
    db.close()
