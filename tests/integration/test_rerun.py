"""A kept run is found, its expert loaded, and played again: by the library and by the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from metaexpert.cli import main
from metaexpert.errors import JournalError
from metaexpert.journal import JournalReader
from metaexpert.kept import find
from metaexpert.loading import load_expert
from metaexpert.rerun import rerun
from tests.clocks import SelfMovingClock

if TYPE_CHECKING:
    from pathlib import Path

START = 1_735_689_600_000  # 2025-01-01 00:00 UTC

FILE = """
from metaexpert import MetaExpert
expert = MetaExpert(exchange="demo", market_type="futures", contract_type="linear", log_to_console=False)
inputs = expert.inputs(length=3)

@expert.on_init(symbol=["BTCUSDT", "ETHUSDT"], timeframe="1m", stop_loss_pct=0.1, size_value=0.02)
def init():
    expert.bars = 0
    expert.sma = expert.indicator("sma", length=inputs.length)

@expert.on_bar
def bar(now):
    expert.bars += 1
    if now.symbol == expert.symbols[0] and not expert.position(now.symbol) and now.close > expert.sma[-1]:
        expert.buy(symbol=now.symbol, price=now.close)
    elif now.symbol == expert.symbols[0] and now.close < expert.sma[-1]:
        expert.close_position(symbol=now.symbol)
    if expert.bars == 24:
        expert.stop()

@expert.on_timer(90)
async def timer():
    expert.sell(0.01, symbol="ETHUSDT") if expert.bars % 2 else expert.buy(0.01, symbol="ETHUSDT")
"""


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time goes on when all is quiet, from where the last run stopped."""
    monkeypatch.setattr("metaexpert.paper._clock", lambda _, last: SelfMovingClock(max(START, last)))


@pytest.fixture
def file(home, tmp_path: Path) -> Path:
    (tmp_path / "my_bot.py").write_text(FILE)
    return tmp_path / "my_bot.py"


def ran(file: Path, **changes) -> str:
    """Run the expert to its end; returns the id of the run."""
    run = load_expert(file).start("paper", **changes).begin()
    assert run.reason == "user_stop"
    with JournalReader.open(run.journal) as journal:
        return journal.runs()[-1].id


def test_an_expert_s_last_run_is_found_and_its_replay_is_equal(file):
    first, second = ran(file), ran(file, inputs={"length": 7}, settings={"stop_loss_pct": 0.3})
    assert first < second
    made = rerun(str(file))
    assert (made.found.run.id, made.comparison.is_equal, made.notes) == (second, True, ())
    assert made.comparison.lines > 50
    assert made.found.run.first is not None  # it went on from what the first one had left
    assert rerun(first).comparison.is_equal


def test_a_changed_file_is_told_and_what_it_does_otherwise_is_shown(file):
    run = ran(file)
    file.write_text(FILE.replace("now.close > expert.sma[-1]", "now.close < expert.sma[-1]"))
    made = rerun(run)
    assert not made.comparison.is_equal
    assert made.notes == (f"{file.resolve()} has changed since the run",)
    assert json.loads(made.comparison.recorded)["time"] >= START


def test_what_means_no_run_or_several_is_refused(file):
    with pytest.raises(JournalError, match=r"my_bot.py has not run yet: there is nothing to look at or to replay"):
        find(str(file))
    run = ran(file)
    again = ran(file)
    assert find(run).run.id == run
    with pytest.raises(
        JournalError, match=f"2 runs begin with '{run[:2]}': {run} .my_bot., {again} .my_bot.; write more"
    ):
        find(run[:2])
    with pytest.raises(JournalError, match=f"no run {run[:-1] + '!'!r}; did you mean '{run[:7]}"):
        find(run[:-1] + "!")


def test_the_command_tells_what_differs_and_exits_with_1(file, capsys):
    run = ran(file)

    def command(*words):
        with pytest.raises(SystemExit) as ended:
            main(("replay", run, *words))
        return int(ended.value.code or 0), capsys.readouterr().out

    code, told = command()
    assert code == 0
    assert told.startswith(f"run {run} of my_bot (user_stop): the replay is equal in all ")
    code, told = command("--json")
    shown = json.loads(told)
    assert (code, shown["run"], shown["equal"], shown["expert"]) == (0, run, True, "my_bot")
    file.write_text(FILE.replace("== 24", "== 20"))
    code, told = command()
    assert code == 1
    assert "the replay differs, first in entry" in told.splitlines()[0]
    assert told.splitlines()[-1] == f"note: {file.resolve()} has changed since the run"


SIGNALS = """
from metaexpert import MetaExpert, cross_above, cross_below
expert = MetaExpert(exchange="demo", log_to_console=False)

@expert.on_init(symbol="BTCUSDT", timeframe="1m", take_profit_pct=0.05)
def init():
    pass

@expert.signals
def signals(bars):
    fast, slow = bars["close"].rolling(2).mean(), bars["close"].rolling(5).mean()
    return {"long_entry": cross_above(fast, slow), "long_exit": cross_below(fast, slow)}

@expert.on_timer(2400)
def timer():
    expert.stop()
"""


def test_signals_are_replayed_over_restarts(file):
    file.write_text(SIGNALS)
    runs = [ran(file) for _ in range(3)]
    shown = [rerun(run).comparison for run in runs]
    assert [one.is_equal for one in shown] == [True] * 3
    assert sum(one.lines for one in shown) > 30
