"""Whole runs in which bars fill only their share of volume (rule 10)."""

from __future__ import annotations

from lab import HOUR, START, candles, expert, flat, keep

SYMBOL = "BTC/USDT:USDT"
SHARE = {"max_fill_volume_pct": 50.0, "fee_taker": 0.0, "size_type": "fixed_base", "size_value": 1.2}


def run_of(prices, **settings):
    """An expert on hourly bars without a range and a volume of one."""
    keep(SYMBOL, flat(*prices))
    run = expert("linear")
    run.on_init(symbol=SYMBOL, timeframe="1h", **(SHARE | settings))(lambda: None)
    return run


def test_an_expert_hears_of_every_part():
    """1.2 wanted, 0.5 a bar: 0.5, 0.5, 0.2."""
    run, heard = run_of([100.0, 101.0, 102.0, 103.0, 104.0]), []
    run.on_bar(lambda bar: run.buy() if bar.time == START else None)
    run.on_order(lambda order: heard.append((order.status.value, order.filled, order.average_price)))
    record = run.backtest().record
    assert heard == [
        ("open", 0.0, None),
        ("open", 0.5, 101.0),
        ("open", 1.0, 101.5),
        ("filled", 1.2, (0.5 * 101 + 0.5 * 102 + 0.2 * 103) / 1.2),
    ]
    assert [fill.time for fill in record.fills] == [START + hour * HOUR for hour in (1, 2, 3)]
    assert len(record.trades) == 1


def test_one_entry_in_parts_counts_as_one():
    """Two entries are allowed; the first still waits for its rest when the second is sent."""
    run, sent = run_of([100.0] * 8, max_positions_per_symbol=2), []
    run.on_bar(lambda bar: sent.append(run.buy()) if bar.time in (START, START + HOUR) else None)
    record = run.backtest().record
    assert record.refusals == {}
    assert [order.status.value for order in record.orders] == ["filled", "filled"]


def test_signals_give_the_rest_of_an_entry_up_with_its_exit():
    """Entered at the close of the first bar, left at that of the second, when 0.5 of 1.2 are filled."""
    run = run_of([100.0] * 6)

    @run.signals
    def signals(bars):
        first = bars.index == bars.index[0]
        second = bars.index == bars.index[1]
        return {"long_entry": first, "long_exit": second}

    record = run.backtest().record
    assert [(fill.side.value, fill.qty) for fill in record.fills] == [("buy", 0.5), ("sell", 0.5)]
    assert [order.status.value for order in record.orders] == ["canceled", "filled"]


def test_signals_do_not_enter_again_while_an_entry_waits():
    run = run_of([100.0] * 6, max_positions_per_symbol=5)
    keep(SYMBOL, candles(flat(*[100.0] * 6), volume=0.0))
    run.signals(lambda bars: {"long_entry": bars["close"] > 0.0})
    record = run.backtest().record
    assert [order.status.value for order in record.orders] == ["open"]
    assert any("no volume" in note for note in record.notes)


def test_bars_without_volume_are_said_only_where_they_matter():
    run = run_of([100.0] * 6, max_fill_volume_pct=None)
    keep(SYMBOL, candles(flat(*[100.0] * 6), volume=0.0))
    run.on_bar(lambda bar: None)
    assert not any("no volume" in note for note in run.backtest().record.notes)
