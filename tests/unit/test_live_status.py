"""How a live expert stands, by its journal: what protects it, what is unknown, how near its limits are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from floor import START, Floor

from metaexpert.cli.resume import resume as allow
from metaexpert.config import RunSettings, StrategySettings
from metaexpert.errors import ConfigError
from metaexpert.journal import Journal, path_of
from metaexpert.reports import OrderUnknown
from metaexpert.resume import resume
from metaexpert.risk import LossLimits
from metaexpert.status import status_of

LIMITS = {"daily_loss_limit": 400.0, "max_drawdown_pct": 0.1}


def journal_with(floor: Floor, *, equity: float = 10_000.0, account: float | None = None, **more: Any) -> Journal:
    """The journal of the floor's live run as it stands now, its limits counted from `equity` on; still open."""
    strategy = StrategySettings(symbol=list(floor.symbols), leverage=10.0, **LIMITS)
    run = RunSettings(trade_mode="live", account_daily_loss_limit=None if account is None else 1_000.0)  # pyright: ignore[reportArgumentType]
    manifest = {
        "name": "floor",
        "mode": "live",
        "file": None,
        "exchange": {"exchange": "binance", "testnet": True, "market_type": "futures", "contract_type": "linear",
                     "margin_mode": "isolated", "position_mode": "oneway"},
        "strategy": strategy.as_dict(),
        "run": run.as_dict(),
        "markets": [held.market.as_dict() for held in floor.ledger.holdings.values()],
    }  # fmt: skip
    own = LossLimits(*LIMITS.values(), equity=equity, time=START)
    whole = None if account is None else LossLimits(1_000.0, None, equity=account, time=START).state()
    trader = {"stopped": None, "blocked": None, "limits": own.state(), "account_limits": whole} | more
    state: dict[str, Any] = {"time": floor.clock.now(), "broker": floor.broker.state(), "trader": trader}
    journal = Journal.open(path_of("floor", 1, "binance", "linear", "live", "testnet"))
    journal.begin(START, manifest)
    journal.commit(state)
    return journal


def stood(floor: Floor, *, running: bool = True, **more: Any) -> tuple[Any, str]:
    """How it stands, and the same as text."""
    journal = journal_with(floor, **more)
    if not running:
        journal.close()
    found = status_of(_only_run(journal.path))
    journal.close()
    return found, "\n".join(found.lines())


def _only_run(path: Any) -> str:
    from metaexpert.journal import JournalReader

    with JournalReader.open(path) as kept:
        return kept.runs()[-1].id


def test_a_stop_is_told_by_how_it_stands_on_the_exchange(home):
    floor = Floor(protection={"stop_loss_pct": 2.0, "take_profit_pct": 5.0})
    name = floor.send(1.0)
    floor.fill(name, price=100.0)  # from here on both levels are on their way
    found, text = stood(floor)
    assert [(one.part, one.status) for one in found.protection] == [("stop", "sent"), ("target", "sent")]
    assert "stop 98 (on its way to the exchange), target 105 (on its way to the exchange)" in text
    assert text.startswith("floor: live on binance testnet linear futures, running (process ")


def test_stops_that_stand_that_are_missing_and_that_are_watched(home):
    floor = Floor(protection={"stop_loss_pct": 2.0})
    floor.held(1.0)
    (stop,) = floor.broker.shield.orders
    floor.report(stop.id)
    assert "stop 98 (on the exchange)" in stood(floor)[1]
    spot = Floor("BTC/USDT", protection={"stop_loss_pct": 2.0}, leverage=1.0)
    spot.held(1.0)
    assert "stop 98 (watched by the expert)" in stood(spot)[1]
    assert "stop 98 (NOT watched while the expert does not run)" in stood(spot, running=False)[1]
    bare = Floor()
    bare.held(1.0)
    assert "NO stop" in stood(bare)[1]


def test_an_order_of_which_nothing_is_known_is_named(home):
    floor = Floor()
    name = floor.send(1.0, price=99.0)
    assert f"{name}  BTC/USDT:USDT  limit buy 1 at 99, on its way" in stood(floor)[1]
    floor.hear(OrderUnknown(floor.clock.now(), floor.symbols[0], name, "no answer"))
    found, text = stood(floor)
    assert found.unknown == (name,)
    assert f"{name}  BTC/USDT:USDT  limit buy 1 at 99, UNKNOWN whether it arrived" in text
    assert json.loads(json.dumps(found.as_dict()))["unknown"] == [name]


def test_limits_count_what_the_expert_has_done_not_what_others_have_paid_in(home):
    floor = Floor()
    floor.held(10.0)
    floor.trade(90.0)  # 100 lost
    floor.broker.differences.external = 50.0  # somebody has paid in: it makes up for no loss
    floor.ledger.balance += 50.0
    found, text = stood(floor, account=10_000.0)
    assert [(one.name, one.limit) for one in found.limits] == [
        ("daily_loss_limit", 400.0), ("max_drawdown_pct", 0.1), ("account_daily_loss_limit", 1_000.0)
    ]  # fmt: skip
    day, fall, account = found.limits
    assert (day.used, day.share) == (100.0, 0.25)
    assert fall.used == pytest.approx(0.01)
    assert account.used == 50.0  # the whole account has lost less, since somebody has paid in
    assert "daily_loss_limit  100 of 400 used (25%)" in text
    assert "max_drawdown_pct  1.00% of 10.00% used (10%)" in text


@pytest.mark.parametrize("whose", ["", "account_"])
def test_a_day_that_is_lost_is_told_and_nobody_has_to_allow_the_next_one(home, capsys, whose):
    floor = Floor()
    floor.send(1.0, price=99.0)
    lost = LossLimits(400.0, 0.1, equity=10_000.0, time=START)
    assert lost.update(START + 1, 9_500.0) == "daily_loss_limit"
    journal = journal_with(floor, account=10_000.0, **{f"{whose}limits": lost.state()})
    run = _only_run(journal.path)
    journal.close()
    found = status_of(run)
    assert found.halted == f"{whose}daily_loss_limit"
    assert f"HALTED   {whose}daily_loss_limit was reached: it opens nothing until 00:00 UTC" in [
        line.strip() for line in found.lines()
    ]
    allow(run)
    assert capsys.readouterr().out == (
        f"floor (live) had reached {whose}daily_loss_limit, which ends by itself at 00:00 UTC: "
        "nothing was changed.\n"
    )
    assert status_of(run).halted == found.halted
    allow(run, anew=True)
    assert capsys.readouterr().out == "floor (live): its limits count anew from its next start on.\n"
    assert status_of(run).halted is None


def test_what_a_limit_has_ended_is_told_and_may_trade_again_once_it_is_allowed_to(home):
    floor = Floor()
    floor.send(1.0, price=99.0)
    journal = journal_with(floor, equity=12_000.0, stopped="max_drawdown")
    journal.intent("later", {"id": "later"})
    run = _only_run(journal.path)
    with pytest.raises(ConfigError, match="is run by another process"):
        resume(run)
    journal.close()
    found = status_of(run)
    assert found.halted == "max_drawdown"
    assert "metaexpert resume" in "\n".join(found.lines())
    before = found.orders
    assert resume(run).limits == ("max_drawdown",)
    found = status_of(run)
    assert (found.halted, found.orders) == (None, before)
    assert [one.used for one in found.limits] == [0.0, 0.0]  # they count anew
    with Journal.open(journal.path) as again:
        assert again.intents() == [{"id": "later"}]
    assert resume(run).limits == ()
