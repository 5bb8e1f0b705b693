"""Recorded trades and candles, played at the venue."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from venue.dialects import DIALECTS, binance, bitget
from venue.instruments import Instrument, Kind
from venue.news import TradeNews
from venue.orders import Order, Status
from venue.prices import Candle, Prices
from venue.state import State
from venue.tape import Recording, Tape

from metaexpert.bars import frame, resample, times
from metaexpert.clock import SimClock
from metaexpert.kinds import Kind as Series
from metaexpert.series import build

if TYPE_CHECKING:
    from pathlib import Path

    from venue.prices import Source

NOW = 1_789_948_800_000  # midnight
MINUTE = 60_000
D = Decimal
PAIR = (Kind.SPOT, "BTC", "USDT")


def minutes(rows: list[tuple[float, float, float, float, float]]) -> pd.DataFrame:
    """Candles of a minute from NOW on: open, high, low, close, volume."""
    return frame(NOW + MINUTE * np.arange(len(rows)), np.array(rows, dtype=np.float64).T)


def trades(*rows: tuple[int, float, float, int]) -> pd.DataFrame:
    """Trades: time after NOW, price, qty, side."""
    time, price, qty, side = zip(*rows, strict=True)
    return build(Series.TRADES, NOW + np.array(time), [np.array(one) for one in (price, qty, side)])


def state_of(tape: Source, clock: SimClock, dialect=binance) -> State:
    return State(dialect.instruments(NOW), tape, clock.now, dialect.wallet_of, dialect.HABITS)


def rows(candles: list[Candle]) -> list[tuple[float, ...]]:
    return [(one.time, *map(float, one[1:6])) for one in candles]


def rows_of(candles: pd.DataFrame) -> list[tuple[float, ...]]:
    return [
        (time, *values) for time, values in zip(times(candles).tolist(), candles.to_numpy().tolist(), strict=True)
    ]


PRICE = st.integers(4_000_000, 6_000_000).map(lambda cents: cents / 100)
CANDLE = st.tuples(PRICE, PRICE, PRICE, PRICE, st.integers(4, 10**7)).map(
    lambda one: (one[0], max(one[:4]), min(one[:4]), one[3], one[4] / 10**5)
)


@settings(max_examples=40)
@given(st.lists(CANDLE, min_size=1, max_size=40))
def test_candles_come_back_as_they_were_recorded(told: list[tuple[float, float, float, float, float]]) -> None:
    """To the cent and to the step, and folded as the library folds them."""
    recorded = minutes(told)
    tape = Tape({PAIR: Recording.of_candles(recorded)})
    item = state_of(tape, SimClock(NOW)).instrument("BTCUSDT", Kind.SPOT)
    end = NOW + len(told) * MINUTE
    found = rows(tape.candles(item, MINUTE, NOW, end, end))
    assert found == [(time, *map(pytest.approx, values)) for time, *values in rows_of(recorded)]
    folded = resample(recorded, "5m", source="1m", until=end)
    whole = rows(tape.candles(item, 5 * MINUTE, NOW, end // (5 * MINUTE) * 5 * MINUTE, end))
    assert whole == [(time, *map(pytest.approx, values)) for time, *values in rows_of(folded)]


def test_a_minute_is_four_trades() -> None:
    """100 -> 110 by way of 90 and 120, a quarter of a minute apart, of 2 in all: 0.5 each."""
    tape = Tape({PAIR: Recording.of_candles(minutes([(100, 120, 90, 110, 2), (110, 115, 80, 81, 4)]))})
    clock = SimClock(NOW)
    state = state_of(tape, clock)
    item = state.instrument("BTCUSDT", Kind.SPOT)
    found = [
        (one.id, one.time - NOW, one.price, one.amount, one.buy) for one in tape.trades(item, NOW, NOW + MINUTE)
    ]
    assert found == [
        (1, 0, 100, D("0.5"), True), (2, 15_000, 90, D("0.5"), False), (3, 30_000, 120, D("0.5"), True),
        (4, 45_000, 110, D("0.5"), False),
    ]  # fmt: skip
    assert [one.price for one in tape.trades(item, NOW + MINUTE, NOW + 2 * MINUTE)] == [110, 115, 80, 81]
    assert rows(state.candles(item, MINUTE, NOW, NOW + MINUTE)) == [(NOW, 100, 100, 100, 100, 0.5)]  # running
    assert tape.at(item, NOW - 1) == 100
    assert tape.at(item, NOW + 30_000) == 120
    assert tape.at(item, NOW + 3_600_000) == 81


def test_recorded_trades_fill_what_rests_one_by_one() -> None:
    """A bid at 99 behind 16.6 of the public: of trades of 10, 7 and 1 it gets 0.4 of the second, and the last."""
    tape = Tape({PAIR: Recording.of_trades(trades(
        (0, 100.0, 1.0, 1), (1_000, 99.0, 10.0, -1), (1_000, 99.0, 7.0, -1), (2_000, 99.0, 1.0, 0),
        (3_000, 98.99, 0.00001, -1),
    ))})  # fmt: skip
    clock = SimClock(NOW)
    state = state_of(tape, clock)
    item = state.instrument("BTCUSDT", Kind.SPOT)
    resting = state.place(Order(instrument=item, buy=True, amount=D(3), price=D(99)))
    resting.ahead = D("16.6")
    heard: list[tuple[int, Decimal]] = []
    state.listeners.append(
        lambda news: heard.append((state.now() - NOW, resting.filled)) if isinstance(news, TradeNews) else None
    )
    clock.advance(NOW + MINUTE)
    state.advance()
    assert heard == [
        (1_000, 0),
        (1_000, 0),
        (2_000, D("0.4")),
        (3_000, D("1.4")),
    ]  # before the trade has its effect
    assert [(fill.time - NOW, fill.amount) for fill in resting.fills] == [
        (1_000, D("0.4")), (2_000, D(1)), (3_000, D("1.6")),
    ]  # fmt: skip
    assert resting.status is Status.FILLED


def test_mark_index_and_funding_are_played_too_and_follow_the_trades_where_they_are_not_recorded() -> None:
    """A mark of 105, an index of 104, a rate of 0.0003 at its instant; other instants have made-up rates."""
    flat = minutes([(100, 100, 100, 100, 1)])
    rates = build(Series.FUNDING, np.array([NOW]), [np.array([0.0003])])
    one = Recording.of_candles(flat).beside(
        mark=minutes([(105, 106, 104, 105, 0)]), index=minutes([(104, 104, 104, 104, 0)]), funding=rates
    )
    pair = (Kind.LINEAR, "BTC", "USDT")
    for recording, mark, index in ((one, 105, 104), (Recording.of_candles(flat), 100, 100)):
        tape = Tape({pair: recording})
        state = state_of(tape, SimClock(NOW))
        item = state.instrument("BTCUSDT", Kind.LINEAR)
        assert (state.price(item), state.price(item, "mark"), state.price(item, "index")) == (100, mark, index)
    tape = Tape({pair: one})
    assert tape.fundings(item, NOW, NOW + 1) == [(NOW, D("0.0003"))]
    assert tape.funding_rate(item, NOW + 8 * 3_600_000) == Prices().funding_rate(item, NOW + 8 * 3_600_000)
    (candle,) = tape.candles(item, MINUTE, NOW, NOW + MINUTE, NOW + MINUTE, "mark")
    assert candle[1:6] == (105, 106, 104, 105, 0)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.NAME)
def test_amounts_are_counted_as_each_exchange_counts_them(dialect) -> None:
    """2 coins of a linear contract are 2 / its size; a face of 10,000 is so many contracts, or 0.2 coins."""
    linear, inverse = (trades((0, 50_000.0, qty, 1)) for qty in (2.0, 10_000.0))
    tape = Tape({
        (Kind.LINEAR, "BTC", "USDT"): Recording.of_trades(linear),
        (Kind.INVERSE, "BTC", "USD"): Recording.of_trades(inverse),
    })  # fmt: skip
    state = state_of(tape, SimClock(NOW), dialect)
    for item in state.listed(Kind.LINEAR, Kind.INVERSE):
        if not tape.has(item):
            continue
        (trade,) = state.trades(item, NOW, NOW + 1)
        worth = 2 * 50_000 if item.kind is Kind.LINEAR else 10_000
        assert item.notional(trade.amount, trade.price) == worth
    if dialect is bitget:
        assert state.trades(state.instrument("BTCUSD", Kind.INVERSE), NOW, NOW + 1)[0].amount == D("0.2")


def test_a_tape_may_be_played_later_and_all_else_is_made_up() -> None:
    """A week later the same; another pair, and a dated contract of the same, have the prices of the generator."""
    week = 7 * 86_400_000
    tape = Tape({(Kind.LINEAR, "BTC", "USDT"): Recording.of_trades(trades((0, 50_000.0, 1.0, 1)))}, shift=week)
    state = state_of(tape, SimClock(NOW + week))
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    assert [one.time for one in state.trades(item, NOW, NOW + week + 1)] == [NOW + week]
    for other in state.listed(Kind.LINEAR):
        same = state.price(other) == Prices().at(other, NOW + week)
        assert same is (other != item)


@pytest.mark.shared
def test_real_trades_make_the_real_candles(shared: Path) -> None:
    """Binance's XRP/ETH of a day: its trades, on an instrument with its tick and step, give its candles."""
    raw = pd.read_csv(shared / "data/trades/binance_spot_XRPETH_aggtrades_2019-10-11_2019-10-13.csv.gz")
    raw = raw.sort_values(["timestamp", "id"])
    told = build(
        Series.TRADES,
        raw["timestamp"].to_numpy(),
        [raw["price"], raw["amount"], np.where(raw["side"] == "buy", 1, -1)],
    )
    tape = Tape({(Kind.SPOT, "ETH", "BTC"): Recording.of_trades(told)})
    state = state_of(tape, SimClock(int(raw["timestamp"].max())))
    item: Instrument = state.relist(state.instrument("ETHBTC", Kind.SPOT), tick=D("0.00000001"), step=D(1))
    for name, interval in (("1m", MINUTE), ("5m", 5 * MINUTE)):
        real = pd.read_csv(shared / f"data/ohlcv/binance_spot_XRPETH/XRPETH-{name}-2019-10-11.csv")
        real = real[real["volume"] > 0]
        start, end = int(real["timestamp"].min()), int(real["timestamp"].max()) + 1
        wanted = [tuple(row) for row in real.to_numpy().tolist()]
        assert rows(state.candles(item, interval, start, end)) == wanted
