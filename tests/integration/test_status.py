"""How an expert stands, by its journal: while it runs, after its end, after a kill."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from metaexpert.errors import JournalError
from metaexpert.journal import Journal, JournalReader
from metaexpert.loading import load_expert
from metaexpert.status import status_of
from tests.clocks import SelfMovingClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from metaexpert.models import Order, Position

START = 1_735_689_600_000  # 2025-01-01 00:00 UTC
EXPERT = """
from metaexpert import MetaExpert

expert = MetaExpert(exchange="demo", market_type="futures", contract_type="linear", log_to_console=False)
expert.bars = 0


@expert.on_init(symbol="BTCUSDT", timeframe="1m", leverage=5, stop_loss_pct=2.0, take_profit_pct=5.0,
                daily_loss_limit=1_000.0, max_drawdown_pct=0.2, strategy_name="lookout")
def init():
    pass


@expert.on_bar
def bar(rates):
    expert.bars += 1
    if expert.bars == 1:
        expert.buy(0.01)
    elif expert.bars == 2:
        expert.rest = expert.sell(0.01, price=round(rates.close * 1.5), reduce_only=True)
        expert.buy(0.01)  # more entries than the settings let stand
    elif expert.bars == 4:
        expert.stop()
"""


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time goes on when all is quiet, from where the last run stopped."""
    monkeypatch.setattr("metaexpert.paper._clock", lambda _, last: SelfMovingClock(max(START, last)))


@pytest.fixture
def file(home: Path, tmp_path: Path) -> Path:
    made = tmp_path / "lookout.py"
    made.write_text(EXPERT)
    return made


def played(file: Path, look: Callable[[Any], None] | None = None) -> tuple[Position, Order]:
    """Run the expert to its end, and `look` at its third bar; its position and resting order at the end."""
    loaded, seen = load_expert(file), list[Any]()
    expert: Any = loaded.expert
    if look is not None:
        expert.on_bar(lambda _: look(expert) if expert.bars == 3 else None)
    expert.on_deinit(lambda _: seen.extend((expert.position(), *expert.orders)))
    loaded.start("paper").begin()
    return seen[0], seen[1]


def test_an_ended_run_stands_as_its_expert_saw_it_last(file):
    position, order = played(file)
    found = status_of(str(file))
    assert (found.name, found.mode, found.market) == ("lookout", "paper", "demo linear futures")
    assert (found.is_running, found.reason, found.holder, found.halted) == (False, "user_stop", None, None)
    assert found.positions == (position,)
    assert position.stop_loss is not None
    assert position.liquidation_price is not None
    assert found.orders == (order,)
    assert found.account is not None
    assert found.account.equity == pytest.approx(found.account.balance + position.unrealized_pnl)
    assert [entry.body[2] for entry in found.fills] == ["BTC/USDT:USDT"]
    assert [entry.body[3] for entry in found.refusals] == ["max_positions_per_symbol"]


def test_limits_tell_how_near_they_are(file):
    played(file)
    found = status_of(str(file))
    daily, drawdown = found.limits
    assert found.account is not None
    lost = 10_000.0 - found.account.equity  # it has lost since it began with that much
    assert lost > 0.0
    assert (daily.name, daily.limit, daily.used) == ("daily_loss_limit", 1_000.0, pytest.approx(lost))
    assert daily.share == pytest.approx(lost / 1_000.0)
    assert (drawdown.name, drawdown.limit) == ("max_drawdown_pct", 0.2)
    assert drawdown.used >= lost / 10_000.0 - 1e-12  # the peak may have been higher


def test_while_it_runs_the_process_that_does_so_is_named(file):
    looks: list[Any] = []
    played(file, lambda _: looks.append(status_of(str(file))))
    (found,) = looks
    assert found.is_running
    assert found.reason is None
    assert found.holder.startswith("process ")
    assert "running (process " in found.lines()[0]
    assert found.orders[0].is_working


def test_a_run_that_was_killed_is_not_running_though_nothing_says_that_it_ended(file):
    played(file)
    path = status_of(str(file)).journal
    with Journal.open(path) as journal:
        journal.begin(START, journal.runs()[-1].manifest, journal.last_state())  # and no more is heard of it
    found = status_of(str(file))
    assert (found.is_running, found.reason) == (False, None)
    assert "NOT running" in found.lines()[0]
    assert found.positions  # what it had is still known


def test_the_look_changes_nothing_and_lets_the_next_run_begin(file):
    played(file)
    path = status_of(str(file)).journal
    with JournalReader.open(path) as journal:
        before = journal.runs(), journal.last_state()
    status_of(str(file))
    with JournalReader.open(path) as journal:
        assert (journal.runs(), journal.last_state()) == before
    played(file)
    assert len(status_of(str(file)).fills) == 1  # it went on with what it held


def test_a_run_is_found_by_its_id_and_by_its_mode(file):
    played(file)
    found = status_of(str(file))
    assert status_of(found.run) == found
    assert status_of(str(file), "paper") == found
    with pytest.raises(JournalError, match="has not run in live mode yet"):
        status_of(str(file), "live")


def test_a_damaged_journal_of_another_expert_is_in_nobodys_way(file, home):
    played(file)
    (home / "experts" / "other-0-demo-spot-paper.db").write_bytes(b"nonsense" * 1000)
    assert status_of(str(file)).name == "lookout"
    with pytest.raises(JournalError, match=r"other-0-demo-spot-paper\.db"):
        status_of("zzz")


def test_the_command_prints_lines_or_json(file, cli):
    played(file)
    shown = cli("status", str(file))
    assert (shown.code, shown.err) == (0, "")
    for word in ("lookout: paper on demo linear futures, ended", "long 0.01 at", "stop ", "limit sell 0.01 at",
                 "daily_loss_limit  ", "max_positions_per_symbol: "):  # fmt: skip
        assert word in shown.out
    told = json.loads(cli("status", str(file), "--json").out)
    assert told["positions"][0]["qty"] == 0.01
    assert told["orders"][0]["side"] == "sell"
    assert told["running"] is False
    missing = cli("status", "nowhere.py")
    assert (missing.code, missing.err.count("\n")) == (1, 1)
