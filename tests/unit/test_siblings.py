"""What the other experts on an account hold, as their journals tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from metaexpert.config import ExchangeSettings
from metaexpert.journal import Journal
from metaexpert.siblings import Siblings, account_mark

if TYPE_CHECKING:
    from pathlib import Path

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def settings(**more: Any) -> ExchangeSettings:
    plain = {"exchange": "binance", "market_type": "futures", "api_key": "key-of-the-account", "api_secret": "s"}
    return ExchangeSettings(**(plain | more))


def manifest(mode: str = "live", **more: Any) -> dict[str, Any]:
    exchange = settings(**more)
    public = ("exchange", "testnet", "market_type", "contract_type")
    return {
        "mode": mode, "account": account_mark(exchange), "exchange": {n: getattr(exchange, n) for n in public},
    }  # fmt: skip


def kept(home: Path, name: str, told: dict[str, Any], *held: tuple[str, str | None, float]) -> Path:
    """A journal whose expert holds something."""
    path = home / "experts" / f"{name}.db"
    rows = [{"symbol": symbol, "position_side": side, "qty": qty} for symbol, side, qty in held]
    with Journal.open(path) as journal:
        journal.begin(1_000, told)
        journal.commit({"broker": {"ledger": {"holdings": rows}, "working": []}})
        journal.end(2_000, "user_stop")
    return path


def held(own: Path) -> list[tuple[str, str | None, float]]:
    """What the others hold for the expert with the journal `own`."""
    return [(one.symbol, one.position_side, one.qty) for one in Siblings(own, "zzzzzzzz", manifest())()]


def test_experts_with_the_same_key_and_kind_of_market_are_siblings(home):
    own = kept(home, "own", manifest(), (BTC, None, 9.0))
    kept(home, "one", manifest(), (BTC, None, 0.5), (ETH, None, 0.0))
    kept(home, "two", manifest(), (BTC, None, -0.2))
    kept(home, "paper", manifest("paper"), (BTC, None, 7.0))
    assert held(own) == [(BTC, None, 0.5), (BTC, None, -0.2)]


@pytest.mark.parametrize(
    "more",
    [{"api_key": "another-key"}, {"testnet": True}, {"subaccount": "sub"}, {"contract_type": "inverse"}],
    ids=lambda more: next(iter(more)),
)
def test_who_trades_elsewhere_is_none(home, more):
    own = kept(home, "own", manifest())
    kept(home, "other", manifest(**more), (BTC, None, 0.5))
    assert held(own) == []


def test_the_mark_of_an_account_does_not_tell_its_key():
    mark = account_mark(settings())
    assert len(mark) == 16
    assert "key" not in mark
    assert mark == account_mark(settings(api_secret="changed"))


def test_a_damaged_journal_of_another_keeps_nobody_from_trading(home):
    own = kept(home, "own", manifest())
    (home / "experts" / "broken.db").write_bytes(b"no journal")
    kept(home, "one", manifest(), (BTC, "long", 0.5))
    assert held(own) == [(BTC, "long", 0.5)]
