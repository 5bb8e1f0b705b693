"""The accountant of the suite sees every kind of run, and finds what is wrong with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lab import HOUR, START, expert, flat, keep, market

from metaexpert import Backtest
from metaexpert.backtest.record import LazyRecord
from metaexpert.broker.holding import Holding
from metaexpert.series import Kind, build
from metaexpert.store import CandleStore, Source

BTC = "BTC/USDT:USDT"


def bought(**settings):
    """A run that buys 1 at 100, pays funding at 08:00 and holds."""
    keep(BTC, flat(*[100.0] * 5, *[110.0] * 10))
    rates = build(Kind.FUNDING, np.array([START + 8 * HOUR]), [[0.01]])
    CandleStore().append(market(BTC), "funding", rates, source=Source("hand"))
    run = expert("linear")
    run.on_init(symbol=BTC, timeframe="1h", warmup_bars=0, fee_taker=0.001, **settings)(lambda: None)
    run.on_bar(lambda bar: None if run.position() else run.buy(1.0))
    return run.backtest(capital=1_000.0).record


def test_every_event_and_every_run_is_looked_at(accountant, cli, home):
    """One fill, one funding instant and the close at the end; then a run of the kernel and one of the command."""
    checks, events, kernels = accountant.checks, accountant.audits["event"], accountant.audits["kernel"]
    bought()
    assert accountant.checks >= checks + 2
    assert accountant.audits["event"] == events + 1
    bars = CandleStore().read("local", BTC, "1h")
    Backtest.from_signals(bars, [True] + [False] * 14)
    assert accountant.audits["kernel"] == kernels + 1
    assert cli("demo").code == 0
    assert accountant.audits["event"] > events + 1


def test_a_profit_that_was_not_made_is_found(accountant, monkeypatch):
    """A short that gains a cent too much when it is closed."""
    close = Holding.close
    monkeypatch.setattr(Holding, "close", lambda held, *given: close(held, *given) + 0.01)
    keep(BTC, flat(*[100.0] * 5))
    run = expert("linear")
    run.on_init(symbol=BTC, timeframe="1h", warmup_bars=0)(lambda: None)
    run.on_bar(lambda bar: run.close_position() if run.position() else run.sell(1.0))
    with pytest.raises(AssertionError, match="is not cash"):
        run.backtest()
    assert accountant.found.pop().startswith("equity")
    accountant.found.clear()


def test_funding_that_was_paid_twice_is_found(accountant, monkeypatch):
    pay = Holding.pay_funding
    monkeypatch.setattr(Holding, "pay_funding", lambda held, mark, rate: 2.0 * pay(held, mark, rate))
    with pytest.raises(AssertionError, match="equity"):
        bought()
    accountant.found.clear()


@pytest.mark.parametrize("what", ["equity", "balance"])
def test_a_curve_that_is_off_at_one_bar_is_found(accountant, what):
    record = bought()
    wrong = getattr(record, what).copy()
    wrong[7] += 1e-3
    with pytest.raises(AssertionError, match="funding in equity and in balance differ at mark 7"):
        accountant.audit(replace(record, **{what: wrong}))
    accountant.found.clear()


def test_funding_that_trades_lack_is_found(accountant):
    """1 % of 110 is in the balance; a trade that knows nothing of it."""
    record = bought()
    assert record.balance[-1] == pytest.approx(1_000.0 - 0.1 - 1.1)
    with pytest.raises(AssertionError, match=r"funding in equity and in trades differ at mark 14: .*-1\.1"):
        accountant.audit(replace(record, trades=[record.trades[0]._replace(funding=0.0)]))
    accountant.found.clear()


def test_a_wrong_curve_of_the_kernel_is_found(accountant):
    keep(BTC, flat(*[100.0] * 15))
    bars = CandleStore().read("local", BTC, "1h")
    right = Backtest.from_signals(bars, [True] + [False] * 14).record
    ready = {name: getattr(right, name) for name in right.__dataclass_fields__}
    LazyRecord(**ready)
    with pytest.raises(AssertionError, match="mark 3"):
        LazyRecord(**ready | {"equity": right.equity + 1e-3 * (np.arange(15) == 3)})
    accountant.found.clear()
