"""`metaexpert run --mode live`: what it shows, when it asks, when it refuses; and how a halted expert goes on."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from metaexpert.cli.run import _status
from metaexpert.models import Account
from tests.clocks import SelfMovingClock

if TYPE_CHECKING:
    from pathlib import Path

    from metaexpert.wiring import LiveJob

START = 1_735_689_600_000  # 2025-01-01 00:00 UTC
EXPERT = """
from metaexpert import MetaExpert

expert = MetaExpert(exchange="bybit", market_type="futures", log_to_console=False)


@expert.on_init(symbol="BTCUSDT", timeframe="1m", strategy_name="cautious", LIMITS)
def init():
    pass


if __name__ == "__main__":
    expert.run(trade_mode="live", on_stop="flatten")
"""
PLAN = ["cautious trades with REAL MONEY on Bybit, linear markets", "  stands now  nothing"]


class Terminal(io.StringIO):
    """A standard input that somebody sits at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def file(home: Path, tmp_path: Path) -> Path:
    return written(tmp_path, "daily_loss_limit=50.0")


def written(folder: Path, limits: str) -> Path:
    """An expert with its keys beside it."""
    (folder / ".env").write_text("BYBIT_API_KEY=k\nBYBIT_API_SECRET=s\n")
    (folder / ".env").chmod(0o600)
    made = folder / "cautious.py"
    made.write_text(EXPERT.replace("LIMITS", limits))
    return made


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[LiveJob]:
    """The live runs that are begun; nothing is asked of an exchange."""
    jobs: list[LiveJob] = []

    async def trade(job: LiveJob) -> str:
        jobs.append(job)
        return "user_stop"

    monkeypatch.setattr("metaexpert.liverun.trade", trade)
    monkeypatch.setattr("metaexpert.plan.plan_of", lambda _: SimpleNamespace(lines=lambda: PLAN))
    return jobs


def test_where_nobody_can_be_asked_it_refuses_and_asks_no_exchange(file, cli, begun, monkeypatch):
    monkeypatch.setattr("metaexpert.plan.plan_of", lambda _: pytest.fail("the exchange was asked"))
    outcome = cli("run", str(file), "--mode", "live")
    assert outcome == (2, "", "error: a live run begins with your word, and nobody is there to ask: give --yes\n")
    assert begun == []


@pytest.mark.parametrize(("answer", "begins"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_the_plan_is_shown_and_a_yes_begins_the_run(file, cli, begun, monkeypatch, answer, begins):
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    outcome = cli("run", str(file), "--mode", "live")
    for line in (*PLAN, "Begin? [y/N]"):
        assert line in outcome.err
    assert [job.is_shown for job in begun] == [True] * begins
    assert outcome.code == (0 if begins else 1)
    assert ("Not begun; nothing was sent or changed." in outcome.err) is not begins


def test_with_yes_nobody_is_asked_and_the_plan_is_shown_all_the_same(file, cli, begun):
    outcome = cli("run", str(file), "--mode", "live", "--yes", "--json")
    assert outcome.code == 0
    assert outcome.err.splitlines() == PLAN
    (job,) = begun
    assert (job.run.on_stop, job.exchange.testnet) == ("flatten", False)  # as the file says


def test_the_options_are_the_settings_of_the_run(file, cli, begun):
    options = ("--testnet", "--adopt", "--no-limits", "--on-stop", "leave", "--on-stop-failure", "retry")
    more = ("--max-slippage", "0.5", "--account-daily-loss", "80", "--account-drawdown", "0.3", "--dead-man", "0")
    more += ("--max-entries", "60")
    assert cli("run", str(file), "--mode", "live", "--yes", *options, *more).code == 0
    (job,) = begun
    run = job.run
    assert job.exchange.testnet
    assert (run.adopt, run.no_limits, run.flatten, run.on_stop, run.on_stop_failure) == (
        True, True, False, "leave", "retry"
    )  # fmt: skip
    assert (run.max_slippage_pct, run.account_daily_loss_limit, run.account_max_drawdown_pct, run.dead_man_s) == (
        0.5, 80.0, 0.3, 0
    )  # fmt: skip
    assert run.max_entries_per_minute == 60


def test_without_a_limit_it_is_refused_unless_none_is_wanted(home, tmp_path, cli, begun):
    bare = written(tmp_path, "")
    refused = cli("run", str(bare), "--mode", "live", "--yes")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "without a loss limit" in refused.err
    assert "(--no-limits)" in refused.err
    assert begun == []
    for option in ("--no-limits", "--flatten"):
        assert cli("run", str(bare), "--mode", "live", "--yes", option).code == 0
    assert len(begun) == 2


def test_no_command_takes_a_key(file, cli, begun):
    for words in (("--api-key", "k"), ("--set", "api_key=k")):
        outcome = cli("run", str(file), "--mode", "live", "--yes", *words)
        assert outcome.code == 2
        assert begun == []


def test_the_status_line_begins_with_what_is_wrong():
    run: Any = SimpleNamespace(
        account=Account(currency="USDT", balance=100.0, equity=99.0), positions=[], orders=[], unknown=[],
        unprotected=[], time="2025-01-01 00:00 UTC",
    )  # fmt: skip
    assert str(_status(run)) == "2025-01-01 00:00 UTC  |  equity 99.00 USDT  |  flat  |  0 orders"
    run.unknown, run.unprotected = ["BTC/USDT:USDT"], ["ETH/USDT:USDT", "XRP/USDT:USDT"]
    told = str(_status(run))
    assert told.startswith("UNKNOWN orders: BTC/USDT:USDT  |  NO stop: ETH/USDT:USDT, XRP/USDT:USDT  |  2025")


LOSER = """
from metaexpert import MetaExpert

expert = MetaExpert(exchange="demo", market_type="futures", contract_type="linear", log_to_console=False)
expert.bars = 0


@expert.on_init(symbol="BTCUSDT", timeframe="1m", leverage=20, size_value=0.9, max_drawdown_pct=0.001,
                strategy_name="loser")
def init():
    pass


@expert.on_bar
def bar(rates):
    expert.bars += 1
    if expert.bars == 1:
        expert.open_position("long")  # its fees alone are more than the limit
    elif expert.bars == 3:
        expert.stop()
"""


def test_an_expert_that_a_limit_has_ended_begins_again_only_when_it_is_allowed_to(
    home, tmp_path, cli, monkeypatch
):
    monkeypatch.setattr("metaexpert.paper._clock", lambda _, last: SelfMovingClock(max(START, last)))
    file = tmp_path / "loser.py"
    file.write_text(LOSER)
    assert cli("resume", str(file)).code == 1  # it has not run
    assert '"reason": "max_drawdown"' in cli("run", str(file), "--json").out
    assert "HALTED" in cli("status", str(file)).out
    refused = cli("run", str(file), "--json")
    assert refused.code == 2
    assert f"metaexpert resume {file}" in refused.err
    allowed = cli("resume", str(file))
    assert (allowed.code, allowed.out) == (
        0, "loser (paper) was ended by max_drawdown and may trade again when it is next started.\n"
    )  # fmt: skip
    assert cli("resume", str(file)).out == "loser (paper) is not held back by any limit: nothing was changed.\n"
    again = cli("run", str(file), "--json")
    assert (
        again.code == 0
    )  # its limits count from what it has now, or it would have been ended before its first bar
    assert '"bars": 0' not in again.out
