"""What paper and live runs have in common: where their journals lie, and who may begin again."""

from __future__ import annotations

from typing import Any

import pytest

from metaexpert import MetaExpert
from metaexpert.errors import ConfigError
from metaexpert.wiring import LiveJob, journal_of, refuse_halted


def job(mode: str = "paper", **more: Any) -> LiveJob:
    keys = {"api_key": "k", "api_secret": "s"} if mode == "live" else {}
    expert = MetaExpert("binance", market_type="futures", log_to_console=False, **keys, **more)
    expert.on_init(symbol="BTCUSDT", strategy_name="bot", strategy_id=7, max_drawdown_pct=0.2)(lambda: None)
    return expert.start(mode).job


def state(stopped: str | None = None, blocked: str | None = None, qty: float = 0.0) -> dict[str, Any]:
    return {
        "trader": {"stopped": stopped, "blocked": blocked},
        "broker": {"ledger": {"holdings": [{"qty": 0.0}, {"qty": qty}]}},
    }


def test_each_mode_network_and_sub_account_has_a_journal_of_its_own(home):
    assert journal_of(job()).name == "bot-7-binance-linear-paper.db"
    assert journal_of(job("live")).name == "bot-7-binance-linear-live.db"
    assert journal_of(job("live", testnet=True)).name == "bot-7-binance-linear-live-testnet.db"
    assert journal_of(job("live", subaccount="sub")).name == "bot-7-binance-linear-live-sub.db"


@pytest.mark.parametrize("which", ["stopped", "blocked"])
def test_who_has_reached_his_drawdown_begins_again_only_if_he_is_allowed_to(which):
    with pytest.raises(ConfigError, match=r"bot was ended by max_drawdown: .* metaexpert resume .*fresh=True"):
        refuse_halted(job(), state(**{which: "max_drawdown"}))
    with pytest.raises(ConfigError, match=r"metaexpert resume \S+$"):
        refuse_halted(job("live"), state(**{which: "max_drawdown"}))


def test_who_still_has_something_to_close_may_go_on_to_do_so():
    refuse_halted(job(), state("max_drawdown", qty=-1.0))
    refuse_halted(job(), state())
    refuse_halted(job(), None)
