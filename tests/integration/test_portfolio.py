"""Several symbols on one account: in cross margin they carry one another, and their sums are the whole."""

from __future__ import annotations

import pytest
from lab import expert, flat, keep

from metaexpert import MetaExpert
from metaexpert.models import ExitReason

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def holder(margin_mode, btc, eth):
    """The result of buying 30 of each at 100, with 1,000, at leverage 10: 300 of margin each; no fees."""
    keep(BTC, btc)
    keep(ETH, eth)
    run = expert("linear", margin_mode=margin_mode)
    settings = {"fee_taker": 0.0, "liquidation_fee_rate": 0.0, "maintenance_margin_rate": 0.005, "warmup_bars": 0}
    run.on_init(symbol=[BTC, ETH], timeframe="1h", leverage=10, **settings)(lambda: None)
    sent = set()

    @run.on_bar
    def bar(rates):
        if rates.symbol not in sent:
            sent.add(rates.symbol)
            run.buy(30.0, symbol=rates.symbol)

    return run.backtest(capital=1_000.0)


def test_the_profit_of_one_symbol_carries_another_in_cross_margin_only():
    """BTC falls to 88, 360 under its entry, when ETH has won 600.

    Isolated: its 300 of margin end at (100 - 10) / (1 - 0.005) = 90.4523, so it goes at the open of 88, but at the
    price where the margin is gone, 90: -300. Cross: 1,000 + 600 - 360 = 1,240 carry it.
    """
    falls, rises = flat(100.0, 100.0, 100.0, 88.0, 88.0), flat(100.0, 100.0, 120.0, 120.0, 120.0)
    isolated = holder("isolated", falls, rises)
    assert isolated.by_symbol["net_profit"].to_dict() == {BTC: pytest.approx(-300.0), ETH: 0.0}
    assert isolated.record.trades[0].exit_reason is ExitReason.LIQUIDATION
    assert isolated.stats["final_equity"] == pytest.approx(1_000.0 - 300.0 + 600.0)
    cross = holder("cross", falls, rises)
    assert cross.by_symbol["open_profit"].to_dict() == {BTC: pytest.approx(-360.0), ETH: pytest.approx(600.0)}
    assert cross.stats["final_equity"] == pytest.approx(1_240.0)


def test_the_loss_of_one_symbol_brings_another_s_liquidation_nearer_in_cross_margin():
    """ETH at 85 has lost 450 and keeps 30 x 85 x 0.5 % = 12.75, which leaves BTC 1,000 - 450 - 12.75 = 537.25.

    Its stake ends at (100 - 537.25 / 30) / (1 - 0.005) = 82.5042: a low of 83 does not get there, one of 82 does.
    """
    falls, eth = flat(100.0, 100.0, 100.0, 84.0), flat(100.0, 100.0, 85.0, 85.0, 85.0)
    held = holder("cross", [*falls, (84.0, 84.0, 83.0, 83.0)], eth)
    assert not [fill for fill in held.record.fills if fill.reason is ExitReason.LIQUIDATION]
    gone = holder("cross", [*falls, (84.0, 84.0, 82.0, 82.0)], eth)
    fill = next(fill for fill in gone.record.fills if fill.reason is ExitReason.LIQUIDATION)
    assert (fill.symbol, fill.price) == (BTC, pytest.approx((100.0 - 537.25 / 30.0) / 0.995))


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
def test_the_sums_over_symbols_are_the_account_s(margin_mode):
    """Profit, fees and funding of three perpetuals that trade by turns on the embedded exchange."""
    run = MetaExpert(exchange="demo", market_type="futures", margin_mode=margin_mode, log_to_console=False)
    symbols = [BTC, ETH, "SOL/USDT:USDT"]
    run.on_init(symbol=symbols, timeframe="1h", leverage=3, size_value=0.1)(lambda: None)

    @run.on_bar
    def bar(rates):
        side = "long" if (rates.time // 3_600_000) % 20 < 10 else "short"
        run.open_position(side, symbol=rates.symbol)

    result = run.backtest("2024-01-01", "2024-01-31", capital=10_000.0)
    table, stats = result.by_symbol, result.stats
    assert table.index.tolist() == symbols
    assert (table["trades"] > 20).all()
    assert table["open_trades"].sum() == stats["open_trades"] == 3
    for name in ("fees", "funding"):
        assert table[name].sum() == pytest.approx(stats[name])
        assert stats[name] != 0.0
    assert (table["net_profit"] + table["open_profit"]).sum() == pytest.approx(stats["net_profit"])
