"""Backtest.from_signals: equal to an expert with the same signals, and plain about what it can't take."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from metaexpert import Backtest, MetaExchange, MetaExpert, MetaExpertError
from metaexpert.indicators import cross_above, cross_below
from metaexpert.store import CandleStore, Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from metaexpert.models import Market

type Kind = tuple[str, str | None, str]

KINDS: list[Kind] = [("spot", None, "BTCUSDT"), ("futures", "linear", "BTCUSDT"), ("futures", "inverse", "BTCUSD")]


def candles_of(kind: Kind) -> tuple[pd.DataFrame, Market]:
    """A quarter of hourly candles, and their market as if they had been imported."""
    exchange = MetaExchange("demo", market_type=kind[0], contract_type=kind[1])
    bars = exchange.bars(kind[2], "1h", "2024-01-01", "2024-03-31")
    return bars, replace(exchange.market(kind[2]), exchange="local", synthetic=False)


def crosses(bars: pd.DataFrame, *, shorts: bool) -> dict[str, Any]:
    fast, slow = bars["close"].rolling(10).mean(), bars["close"].rolling(30).mean()
    up, down = cross_above(fast, slow), cross_below(fast, slow)
    return {"long_entry": up, "long_exit": down} | ({"short_entry": down, "short_exit": up} if shorts else {})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("levels", [{}, {"stop_loss_pct": 2.0, "take_profit_pct": 3.0, "slippage_pct": 0.05}])
def test_it_equals_an_expert_with_the_same_signals(kind: Kind, levels: dict[str, Any]) -> None:
    bars, market = candles_of(kind)
    CandleStore().append(market, "1h", bars, source=Source(name="test"))
    shorts = kind[0] == "futures"
    settings = {"size_value": 0.3, **levels} | ({"leverage": 3} if shorts else {})
    expert = MetaExpert("local", market_type=kind[0], contract_type=kind[1], log_to_console=False)
    expert.on_init(symbol=kind[2], timeframe="1h", **settings)(lambda: None)
    expert.signals(lambda known: crosses(known, shorts=shorts))
    theirs = expert.backtest()
    ours = Backtest.from_signals(bars, **crosses(bars, shorts=shorts), market=market, **settings)
    assert len(ours.trades) > 20
    assert ours.record.fills == theirs.record.fills
    assert ours.record.trades == theirs.record.trades
    for name in ("equity", "orders", "trades", "fills"):
        pd.testing.assert_frame_equal(getattr(ours, name), getattr(theirs, name))
    assert ours.stats["sharpe"] == theirs.stats["sharpe"]


def test_a_plain_market_and_hand_computed_money() -> None:
    """In at 110, out at 130, one unit: 20, less 0.1 % of 110 and of 130, 0.24."""
    closes = [100.0, 110.0, 120.0, 130.0, 140.0]
    bars = frame_of(closes)
    result = Backtest.from_signals(
        bars, [False, True, False, False, False], [False, False, False, True, False], size=[1.0] * 5
    )
    assert [(fill.side, fill.price) for fill in result.record.fills] == [("buy", 110.0), ("sell", 130.0)]
    assert result.stats["final_equity"] == pytest.approx(10_000 + 20 - 0.24)


def test_one_size_holds_for_all_bars() -> None:
    one = Backtest.from_signals(BARS, UP, size=0.25)
    assert one.record.fills == Backtest.from_signals(BARS, UP, size=[0.25] * 4).record.fills
    assert [fill.qty for fill in one.record.fills] == [0.25]


def test_a_result_says_that_no_funding_was_given_for_a_perpetual() -> None:
    (note,) = Backtest.from_signals(BARS, UP, leverage=2).record.notes
    assert note.startswith("ASSET/QUOTE:QUOTE: no funding was given and none is paid")
    assert Backtest.from_signals(BARS, UP, leverage=2, funding=0.0).record.notes == ()
    assert Backtest.from_signals(BARS, UP).record.notes == ()


def test_a_result_says_which_bars_have_no_mark_price() -> None:
    """Of four bars the second and third have one."""
    said = "2 of 4 bars have no mark price: their own prices decide on liquidation, and their opens value funding"
    (note,) = Backtest.from_signals(BARS, UP, leverage=2, funding=0.0, mark=BARS.iloc[1:3]).record.notes
    assert note == f"ASSET/QUOTE:QUOTE: {said}"
    assert Backtest.from_signals(BARS, UP, leverage=2, funding=0.0, mark=BARS).record.notes == ()


def test_an_expert_is_told_which_bars_have_no_mark_price() -> None:
    bars, market = candles_of(("futures", "linear", "BTCUSDT"))
    for name, rows in (("1h", bars), ("mark-1h", bars.iloc[5:])):
        CandleStore().append(market, name, rows, source=Source(name="test"))
    expert = MetaExpert("local", market_type="futures", log_to_console=False)
    expert.on_init(symbol="BTCUSDT", timeframe="1h", funding_rate=0.0)(lambda: None)
    expert.on_bar(lambda rates: None)
    notes = expert.backtest().record.notes
    assert any(f"5 of {len(bars)} bars have no mark price" in note for note in notes)


def test_what_is_written_to_a_table_changes_no_record() -> None:
    result = Backtest.from_signals(BARS, UP, [False, False, True, False])
    before = [fill.qty for fill in result.record.fills], [order.qty for order in result.record.orders]
    for table in (result.trades, result.orders, result.fills):
        table["qty"] = -1.0
        table.loc[0, "qty"] = -2.0
        table.loc[:, "qty"] = -3.0
    assert ([fill.qty for fill in result.record.fills], [order.qty for order in result.record.orders]) == before


def test_words_are_categories_and_texts() -> None:
    """The categories are the words that occur; a word that is missing is NaN."""
    orders = Backtest.from_signals(BARS, UP, [False, False, True, False]).orders
    assert orders["side"].cat.categories.tolist() == ["buy", "sell"]
    assert orders["type"].value_counts().to_dict() == {"market": 2}
    assert orders["id"].tolist() == ["1", "2"]
    assert orders["message"].isna().all()
    assert str(orders["message"].dtype) == "str"
    assert orders["tag"].isna().all()
    assert orders["tag"].cat.categories.tolist() == []


def test_ids_in_tables_are_those_of_the_records() -> None:
    """The first of three orders can't be paid; the fills are of the others. A change of a table stays in it."""
    bars = frame_of([100.0] * 6)
    size = [1e6, 1.0, 1.0, 1.0, 1.0, 1.0]
    for _ in range(2):
        result = Backtest.from_signals(
            bars, [True, True, False, False, False, False], [False] * 3 + [True] + [False] * 2, size=size
        )
        assert result.orders["id"].tolist() == [order.id for order in result.record.orders] == ["1", "2", "3"]
        assert result.fills["order_id"].tolist() == [fill.order_id for fill in result.record.fills] == ["2", "3"]
        result.orders.loc[0, "id"] = "mine"  # reaches neither the record nor the tables of the next run
        assert result.record.orders[0].id == "1"


def test_tables_of_nothing_have_the_same_columns_and_types() -> None:
    """No order and no trade: what is concatenated with another run's tables fits."""
    some, none = (Backtest.from_signals(BARS, entry, [False, False, True, False]) for entry in (UP, UP & False))
    for name in ("orders", "trades", "fills"):
        assert len(getattr(none, name)) == 0
        kinds = [getattr(one, name).dtypes.astype(str).tolist() for one in (some, none)]
        assert kinds[0] == kinds[1]
        assert len(pd.concat([getattr(none, name), getattr(some, name)])) == len(getattr(some, name))


def frame_of(closes: list[float]) -> pd.DataFrame:
    opens = [closes[0], *closes[:-1]]
    return pd.DataFrame(
        {"open": opens, "high": np.maximum(opens, closes), "low": np.minimum(opens, closes), "close": closes,
         "volume": 1.0},
        index=pd.date_range("2024-01-01", periods=len(closes), freq="h", tz="UTC", unit="ms", name="time"),
    )  # fmt: skip


BARS = frame_of([100.0, 110.0, 120.0, 130.0])
UP = pd.Series([True, False, False, False], index=BARS.index)


def test_a_signal_that_was_not_heard_in_a_position_is_heard_on_the_bar_that_ends_it() -> None:
    """In at the open of bar 1 (100), stopped in bar 3 (95), in again at the open of bar 4 (90)."""
    bars, says = frame_of([100.0, 100.0, 100.0, 90.0, 90.0, 90.0]), [True, True, True, True, False, False]
    result = Backtest.from_signals(
        bars, says, stop_loss_pct=5.0, fee_taker=0.0, size_type="fixed_base", size_value=1.0
    )
    assert result.fills["price"].tolist() == [100.0, 95.0, 90.0]
    assert result.equity["equity"].tolist() == [10_000.0] * 3 + [9_995.0] * 3


def plain(**rules: float) -> Market:
    return replace(MetaExchange("demo").market("BTC/USDT"), **rules)


def at(row: int, name: str, value: float) -> pd.DataFrame:
    bars = BARS.copy()
    bars.loc[bars.index[row], name] = value
    return bars


def word() -> pd.DataFrame:
    bars = BARS.astype({"close": object})
    bars.loc[bars.index[2], "close"] = "120"
    return bars


def missing() -> pd.DataFrame:
    bars = BARS.astype("Float64")
    bars.loc[bars.index[2], "close"] = pd.NA
    return bars


def moved(freq: str, start: str = "2024-01-01") -> pd.DataFrame:
    return BARS.set_index(pd.date_range(start, periods=len(BARS), freq=freq, tz="UTC"))


def futures(**given: Any) -> Any:
    return Backtest.from_signals(BARS, UP, leverage=2, **given)


@pytest.mark.parametrize("index", [BARS.index.tz_localize(None), BARS.index.tz_convert("America/New_York")])
def test_signals_of_bars_in_another_zone_are_theirs(index: pd.DatetimeIndex) -> None:
    """Naive times are UTC; a time is the same moment in every zone."""
    result = Backtest.from_signals(BARS.set_index(index), UP.set_axis(index))
    assert result.record.fills == Backtest.from_signals(BARS, UP).record.fills
    assert result.equity.index.equals(BARS.index + pd.Timedelta("1h"))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Backtest.from_signals(BARS), "at least long_entry or short_entry"),
        (lambda: Backtest.from_signals(BARS, [True]), "long_entry has shape"),
        (lambda: Backtest.from_signals(BARS, [True] * 9), "long_entry has shape"),
        (lambda: Backtest.from_signals(BARS, UP.shift(1, freq="h")), "another index"),
        (lambda: Backtest.from_signals(BARS, [1.5, 0.0, 0.0, 0.0]), "must be boolean"),
        (lambda: Backtest.from_signals(BARS, [True, float("nan"), False, False]), "boolean"),
        (lambda: Backtest.from_signals(BARS, UP, short_entry=UP), "both true at 2024-01-01 00:00"),
        (lambda: Backtest.from_signals(BARS, UP, size=[-1.0] * 4), "size"),
        (lambda: Backtest.from_signals(BARS.iloc[::-1], UP), "2024-01-01 02:00"),
        (lambda: Backtest.from_signals(BARS.iloc[[0, 1, 1, 2]], [False] * 4), "2024-01-01 01:00"),
        (lambda: Backtest.from_signals(at(2, "close", float("nan")), UP), "2024-01-01 02:00"),
        (lambda: Backtest.from_signals(at(2, "low", 0.0), UP), "2024-01-01 02:00"),
        (lambda: Backtest.from_signals(at(2, "high", 1.0), UP), "2024-01-01 02:00"),
        (lambda: Backtest.from_signals(BARS.iloc[:0], []), "bar"),
        (lambda: Backtest.from_signals(BARS[["open", "close"]], UP), "high"),
        (lambda: Backtest.from_signals(at(3, "volume", -1.0), UP), "2024-01-01 03:00"),
        (lambda: Backtest.from_signals(BARS, UP, leverage=2, mark=at(1, "low", 0.0)), "mark: row 1, 2024"),
        (lambda: Backtest.from_signals(BARS["close"], UP), "bars: give a DataFrame of candles, not Series"),
        (lambda: Backtest.from_signals(pd.concat([BARS, BARS[["low"]]], axis=1), UP), "'low' is there twice"),
        (lambda: Backtest.from_signals(BARS.reset_index(drop=True), UP), "must be times"),
        (lambda: Backtest.from_signals(BARS.astype(object), UP), "'open' holds object, not numbers"),
        (lambda: Backtest.from_signals(word(), UP), "holds object, not numbers: '120' in row 2, 2024-01-01 02"),
        (lambda: Backtest.from_signals(BARS.astype(complex), UP), "holds complex128, not numbers"),
        (lambda: Backtest.from_signals(BARS.assign(close=True), UP), "'close' holds bool, not numbers: True"),
        (lambda: Backtest.from_signals(missing(), UP), "row 2, 2024-01-01 02:00:00+00:00, is no candle"),
        (lambda: Backtest.from_signals(at(1, "high", float("inf")), UP), "row 1, 2024-01-01 01:00:00+00:00"),
        (lambda: Backtest.from_signals(at(1, "volume", float("inf")), UP), "row 1, 2024-01-01 01:00:00+00:00"),
        (lambda: Backtest.from_signals(at(1, "volume", -1.0), UP), "volume=-1"),
        (lambda: Backtest.from_signals(BARS.iloc[:1], [True]), "one candle does not tell the timeframe"),
        (lambda: Backtest.from_signals(BARS, UP, timeframe="4h"), "closer together than 4h"),
        (lambda: Backtest.from_signals(BARS, UP, symbol="BTCUSDT"), "symbol is no setting here: give market=..."),
        (lambda: Backtest.from_signals(BARS, UP, funding_rate=0.1), "funding_rate is no setting here"),
        (lambda: Backtest.from_signals(BARS, UP, warmup_bars=3), "event path alone"),
        (lambda: futures(funding=pd.Series(["0.1"], index=BARS.index[:1])), "not numbers: '0.1'"),
        (lambda: futures(funding=pd.Series(0.1, index=pd.DatetimeIndex(["NaT"]))), "funding: row 0 has no time"),
        (lambda: futures(funding=pd.Series(0.1, index=BARS.index[[0, 0]])), "funding: row 1, 2024-01-01 00:00"),
        (lambda: futures(mark=[1.0]), "mark: give a DataFrame of candles, not list"),
        (lambda: futures(mark=at(2, "low", float("nan"))), "mark: row 2, 2024-01-01 02:00"),
        (lambda: futures(mark=moved("D")), "mark: its candles of 1d do not tell"),
        (lambda: futures(mark=moved("h", "2020-01-01")), "mark: none of its candles lies within the bars"),
        (lambda: Backtest.from_signals(BARS, UP, levrage=2), "did you mean 'leverage'"),
        (lambda: Backtest.from_signals(BARS, UP, trend_filter=lambda bars: True), "event path alone"),
        (lambda: Backtest.from_signals(BARS, UP, position_mode="hedge"), "event path alone"),
        (lambda: Backtest.from_signals(BARS, UP, limit_fill="touch"), "event path alone"),
        (lambda: Backtest.from_signals(BARS, UP, max_fill_volume_pct=10.0), "event path alone"),
        (lambda: Backtest.from_signals(BARS, UP, funding=0.0001), "funding contradicts"),
        (lambda: Backtest.from_signals(BARS, UP, leverage=2, funding=2.0), "funding must be a rate"),
        (lambda: futures(funding=BARS), "Series of rates by time, got DataFrame"),
        (lambda: Backtest.from_signals(BARS, UP, initial_capital=-1), "initial_capital"),
        (lambda: Backtest.from_signals([1.0], UP), "bars: give a DataFrame of candles, not list"),
        (lambda: Backtest.from_signals(BARS, UP, leverage=2, mark=1.0), "mark: give a DataFrame"),
        (lambda: Backtest.from_signals(BARS, UP, leverage=2, mark=BARS.iloc[::2]), "mark: its candles of 2h"),
        (lambda: Backtest.from_signals(BARS, UP, leverage=2, mark=BARS.shift(9, freq="h")), "lies within"),
        (lambda: Backtest.from_signals(BARS, UP, market="BTCUSDT"), "must be a Market"),
        (lambda: Backtest.from_signals(BARS, UP, market=plain(qty_step=-1.0)), "qty_step of BTC/USDT must be"),
        (lambda: Backtest.from_signals(BARS, UP, market=plain(price_tick=float("nan"))), "price_tick of BTC/USDT"),
        (lambda: Backtest.from_signals(BARS, UP, timeframe=60), "unknown timeframe 60"),
        (lambda: Backtest.from_signals(frame_of([9.0, 9.0, 9.0, 1e300]), UP, initial_capital=1e15, size_value=1.0),
            "equity overflows at 2024-01-01 03:00"),
    ],
)  # fmt: skip
def test_what_it_can_t_take_is_refused_with_the_place(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(MetaExpertError) as raised:
        call()
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", [{"type": "options", "option_type": "call"}, {"expiry": 1_704_070_800_000}])
def test_what_is_not_modelled_at_all_is_said_so(kind: dict[str, Any]) -> None:
    market = MetaExchange("demo", market_type="futures", contract_type="linear").market("BTCUSDT")
    with pytest.raises(MetaExpertError, match="event path alone"):
        Backtest.from_signals(BARS, UP, market=replace(market, **kind))


def test_what_is_not_looked_at_is_not_computed() -> None:
    """No statistic before it is read, nothing of trades for one of equity, and no object for any of them."""
    bars = MetaExchange("demo").bars("BTCUSDT", "1h", "2024-01-01", "2024-01-31").iloc[:40]
    result = Backtest.from_signals(bars, [True, False, False, False] * 10, [False, False, True, False] * 10)
    sample, record = result._sample, result.record
    known = set(vars(sample))
    assert known == {"record", "start", "end", "span", "_length"}
    assert result.stats["total_return_pct"] is not None
    assert set(vars(sample)) - known == {"path"}
    assert list(result.stats._values) == ["total_return_pct"]
    assert dict(result.stats)["trades"] == 10
    for rows in (record.trades, record.fills, record.orders):
        assert len(rows) >= 10
        assert rows._made is None, "objects were made for a number"
    assert result.trades.shape[0] == 10
    assert record.trades._made is None, "objects were made for a table"
