"""Two years of a real perpetual, leveraged five times: funding and liquidations against the recorded history."""

from __future__ import annotations

import pandas as pd
import pytest
from lab import HOUR, START, candles, expert, flat, keep, market

from metaexpert import MetaExpert
from metaexpert.bars import times
from metaexpert.importer import import_file
from metaexpert.models import ExitReason
from metaexpert.series import Kind, build
from metaexpert.store import CandleStore, Source

BTC = "BTC/USDT:USDT"


@pytest.fixture
def store(home, shared):
    """The user's store with candles, mark prices and funding of Binance's BTC perpetual, 2019-09 to 2021-12."""
    made = CandleStore()
    for name in (
        "ohlcv/binance_usdm/BTCUSDT-1h.csv.gz",
        "ohlcv/binance_usdm_mark/BTCUSDT-1h-mark.csv.gz",
        "funding/binance_usdm_BTCUSDT.csv.gz",
    ):
        import_file(shared / "data" / name, made)
    return made


def run_for(**settings):
    """An expert that is always in the market: long, and after each liquidation on the other side."""
    run = MetaExpert(exchange="binance", market_type="futures", log_to_console=False)
    run.on_init(symbol=BTC, timeframe="1h", leverage=5, size_value=0.2, **settings)(lambda: None)

    @run.on_bar
    def bar(rates):
        if not run.position():
            gone = sum(order.reason is ExitReason.LIQUIDATION for order in sent)
            run.open_position("short" if gone % 2 else "long")

    sent = []
    run.on_transaction(lambda order, result: sent.append(order))
    return run


@pytest.mark.shared
def test_funding_paid_is_the_sum_of_the_history_over_the_instants_held(store):
    """What was held before each instant, times the mark price and the rate: added up here from the fills alone."""
    record = run_for().backtest(capital=10_000).record
    bars = store.read("binance", BTC, "1h")["open"]
    marks = store.read("binance", BTC, "mark-1h")["open"]
    paid, fills, held = 0.0, iter(record.fills), 0.0
    fill = next(fills, None)
    rates = store.read("binance", BTC, "funding")["rate"]
    for moment, rate in rates.items():
        while fill is not None and fill.timestamp < moment:
            held += fill.side.sign * fill.qty
            fill = next(fills, None)
        paid += held * marks.get(moment, bars.get(moment, 0.0)) * rate
    assert len(rates) == 2531
    assert sum(trade.funding for trade in record.trades) == pytest.approx(-paid, rel=1e-9)
    assert abs(paid) > 100.0
    gained = sum(trade.pnl - trade.fees + trade.funding for trade in record.trades)
    assert record.equity[-1] - 10_000 == pytest.approx(gained)
    assert [
        note for note in record.notes if "funding of 4 of 2535 instants" in note
    ]  # the two days before the first


@pytest.mark.shared
def test_liquidations_happen_where_the_mark_price_says(store):
    """Each at (1 -+ 1/5) / (1 -+ 0.5 %) of its entry, in the first bar whose mark price reaches that."""
    bars, marks = store.read("binance", BTC, "1h"), store.read("binance", BTC, "mark-1h")
    gone, elsewhere = [], 0
    for start in pd.date_range("2020-01-01", "2021-09-01", freq="10D"):
        record = run_for(fee_taker=0.0).backtest(start=start.isoformat(), end="2021-12-01").record
        gone += [trade for trade in record.trades if trade.exit_reason is ExitReason.LIQUIDATION]
    for trade in gone:
        side = 1 if trade.side == "long" else -1
        level = trade.entry_price * (1 - side / 5) / (1 - side * 0.005)
        entry, end = (pd.Timestamp(time, unit="ms", tz="UTC") for time in (trade.entry_time, trade.exit_time))
        traded, mark = bars.loc[entry:end], marks.loc[entry:end]
        assert first_beyond(mark, level, side) == end
        opened_beyond = side * (level - mark.loc[end, "open"]) >= 0
        assert trade.exit_price == pytest.approx(mark.loc[end, "open"] if opened_beyond else level)
        elsewhere += first_beyond(traded, level, side) != end
    assert len({(trade.side, trade.exit_time) for trade in gone}) >= 30
    assert elsewhere, "traded prices would have liquidated at the same bars: nothing is shown"


def first_beyond(prices, level, side):
    """The first bar that reaches the level of a position on `side`, None when none does."""
    reached = prices["low"] <= level if side > 0 else prices["high"] >= level
    return reached.idxmax() if reached.any() else None


# -- what is not known is said ------------------------------------------------------------------------------------


def keep_funding(*rates, first=0, **rules):
    """Put a funding history, every 8 hours, beside the candles."""
    times_ms = pd.Index([START + (first + number) * 8 * HOUR for number in range(len(rates))], dtype="int64")
    CandleStore().append(
        market(BTC, **rules),
        "funding",
        build(Kind.FUNDING, times_ms.to_numpy(), [list(rates)]),
        source=Source("hand"),
    )


def holder(**settings):
    """An expert that buys 1 on the first bar and holds it."""
    run = expert("linear")
    run.on_init(symbol=BTC, timeframe="1h", fee_taker=0.0, **settings)(lambda: None)
    run.on_bar(lambda bar: None if run.position() else run.buy(1.0))
    return run


def test_without_a_history_funding_is_left_out_and_that_is_said():
    keep(BTC, flat(*[100.0] * 30))
    result = holder().backtest()
    assert result.record.trades[0].funding == 0.0
    assert [note for note in result.record.notes if "is not known and left out" in note]


def test_without_a_history_the_rate_of_the_settings_is_paid_every_eight_hours():
    keep(BTC, flat(*[100.0] * 30))
    result = holder(funding_rate=0.001).backtest()
    assert result.record.trades[0].funding == pytest.approx(-0.3)  # at 08:00, 16:00 and 24:00, 0.1 each
    assert result.costs.funding == pytest.approx(-0.3)
    assert [note for note in result.record.notes if "taken to be 0.001" in note]
    assert holder(funding_rate=-0.001).backtest().costs.funding == pytest.approx(0.3)


def test_a_history_wins_over_the_rate_of_the_settings_where_it_reaches():
    keep(BTC, flat(*[100.0] * 30))
    keep_funding(0.01, first=1)
    result = holder(funding_rate=0.001).backtest()
    assert result.record.trades[0].funding == pytest.approx(-1.2)  # 1 at 08:00, then 0.1 at 16:00 and 24:00
    assert [note for note in result.record.notes if "3 of 4 instants" in note]


@pytest.mark.parametrize(("kind", "rules"), [("spot", {}), ("linear", {"expiry": START + 999 * HOUR})])
def test_spot_and_dated_futures_have_no_funding(kind, rules):
    symbol = "BTC/USDT" if kind == "spot" else BTC
    keep(symbol, flat(*[100.0] * 30), **rules)
    run = expert(kind)
    run.on_init(symbol=symbol, timeframe="1h")(lambda: None)
    run.on_bar(lambda bar: None if run.position() else run.buy(1.0))
    record = run.backtest().record
    assert (record.trades[0].funding, [note for note in record.notes if "funding" in note]) == (0.0, [])


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (range(30), []),
        (range(10, 25), ["15 of 30 bars have no mark price: their own prices decide on liquidation, and"]),
        (
            range(99, 101),
            ["its own prices decide on liquidation, and value funding: no 1h mark-price candles"],
        ),
    ],
)
def test_mark_prices_that_are_not_there_for_all_bars_are_noted(hours, said):
    keep(BTC, flat(*[100.0] * 30))
    marks = candles(flat(*[100.0] * len(hours)), start=START + hours[0] * HOUR, volume=0.0)
    CandleStore().append(market(BTC), "mark-1h", marks, source=Source("hand"))
    notes = [note for note in holder(funding_rate=0.0).backtest().record.notes if "mark" in note]
    assert len(notes) == len(said)
    assert all(part in note for part, note in zip(said, notes, strict=True))


def test_funding_and_marks_come_the_same_in_the_short_and_the_long_way_through_the_loop(monkeypatch):
    """The loop lets bars pass in which nothing happens: funding and mark prices must stop it."""
    prices = [100.0, 101.0, 99.0, 102.0, 100.0] * 20
    keep(BTC, [(price, price + 1, price - 1, price) for price in prices])
    keep_funding(*[0.001 * (-1) ** number for number in range(13)])
    frame = candles([(price, price + 1, price - 1, price) for price in prices])
    low = frame["low"].to_numpy().copy()
    low[70] = 80.0
    frame["low"], frame["volume"] = low, 0.0
    CandleStore().append(market(BTC), "mark-1h", frame, source=Source("hand"))
    records = []
    for short in (True, False):
        monkeypatch.setattr("metaexpert.process.MetaProcess.lets_pass", short)
        records.append(holder(leverage=10).backtest().record)
    one, other = records
    assert one.fills == other.fills
    assert one.equity.tolist() == other.equity.tolist()
    assert [trade.funding for trade in one.trades] == [trade.funding for trade in other.trades]
    (gone,) = [fill for fill in one.fills if fill.reason is ExitReason.LIQUIDATION]
    assert gone.time == times(frame)[70]
