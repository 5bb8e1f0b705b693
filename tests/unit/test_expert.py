"""MetaExpert: settings, decorators, trading calls, sizing and filters, as a person uses them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from metaexpert import Bar, ConfigError, Fill, Input, MetaExpert, Order, Rejection, StrategyError
from metaexpert.expert import HANDLERS
from metaexpert.models import ContractType, Market, MarketType
from metaexpert.running import Run
from metaexpert.store import CandleStore, Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from metaexpert import Result

SPOT = Market(
    symbol="ABC/USDT", exchange="local", type=MarketType.SPOT, base="ABC", quote="USDT", settle="USDT",
    price_tick=0.01, qty_step=0.001, min_qty=0.001, min_notional=1.0, maker=0.0, taker=0.0,
)  # fmt: skip
LINEAR = Market(
    symbol="ABC/USDT:USDT", exchange="local", type=MarketType.FUTURES, contract_type=ContractType.LINEAR,
    base="ABC", quote="USDT", settle="USDT", price_tick=0.01, qty_step=0.001, min_qty=0.001, min_notional=1.0,
    maker=0.0, taker=0.0, max_leverage=50.0,
)  # fmt: skip


def put(market: Market, closes: list[float], *, start: str = "2024-01-01", volume: float = 10.0) -> None:
    """Store one hourly candle a close; each opens at the close before it."""
    opens = [closes[0], *closes[:-1]]
    frame = pd.DataFrame(
        {
            "open": opens,
            "high": [max(pair) for pair in zip(opens, closes, strict=True)],
            "low": [min(pair) for pair in zip(opens, closes, strict=True)],
            "close": closes,
            "volume": volume,
        },
        index=pd.date_range(start, periods=len(closes), freq="h", tz="UTC", unit="ms", name="time"),
    )
    CandleStore().append(market, "1h", frame, source=Source(name="test", digest="0"))


def play(
    closes: list[float], script: Callable[[MetaExpert, int], Any], market: Market = LINEAR,
    capital: float = 10_000.0, **settings: Any,
) -> tuple[Result, list[tuple[Order, Fill | Rejection]]]:  # fmt: skip
    """Run `script(expert, number of the closed bar)` over `closes`; returns the result and all transactions."""
    put(market, closes)
    kind = {"market_type": "spot"} if market.is_spot else {"market_type": "futures", "contract_type": "linear"}
    expert = MetaExpert("local", log_to_console=False, **kind)
    heard: list[tuple[Order, Fill | Rejection]] = []
    seen: list[Bar] = []

    @expert.on_init(symbol="ABCUSDT", timeframe="1h", **{"size_type": "fixed_base", "size_value": 1.0, **settings})
    def init() -> None: ...

    @expert.on_bar
    def bar(rates: Bar) -> None:
        seen.append(rates)
        script(expert, len(seen) - 1)

    @expert.on_transaction
    def transaction(request: Order, result: Fill | Rejection) -> None:
        heard.append((request, result))

    return expert.run(initial_capital=capital), heard


def at(when: int, do: Callable[[MetaExpert], Any]) -> Callable[[MetaExpert, int], None]:
    """A script that acts once."""
    return lambda expert, number: do(expert) if number == when else None


# --- decorators and settings -----------------------------------------------------------------------------


def test_every_decorator_returns_its_function_untouched() -> None:
    expert = MetaExpert()

    def handler() -> None: ...

    made = {
        "on_init": expert.on_init(symbol="BTCUSDT"),
        "on_timer": expert.on_timer(interval=60),
        "on_bar": expert.on_bar(timeframe="4h"),
    }
    for name in HANDLERS:
        assert made.get(name, getattr(expert, name))(handler) is handler, name
    assert expert.is_ready


@pytest.mark.parametrize("name", ["on_init", "on_deinit", "signals"])
def test_what_an_expert_has_once_can_t_be_given_twice(name: str) -> None:
    expert = MetaExpert()

    def register() -> None:
        decorator = getattr(expert, name)
        (decorator(symbol="BTCUSDT") if name == "on_init" else decorator)(lambda *_: None)

    register()
    with pytest.raises(ConfigError, match=f"{name} is used twice"):
        register()


def test_settings_are_checked_where_they_are_written() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'exchnage'; did you mean 'exchange'"):
        MetaExpert(exchnage="demo")
    with pytest.raises(ConfigError, match="leverage"):
        MetaExpert("demo", market_type="spot").on_init(symbol="BTCUSDT", leverage=3)
    with pytest.raises(ConfigError, match="unknown timeframe '7m'"):
        MetaExpert().on_bar(timeframe="7m")
    with pytest.raises(ConfigError, match="interval must be seconds"):
        MetaExpert().on_timer(interval=0)
    with pytest.raises(ConfigError, match="needs its interval"):
        MetaExpert().on_timer(lambda: None)
    with pytest.raises(ConfigError, match="decorates a function"):
        MetaExpert().on_order("no function")


def test_a_name_of_the_library_can_t_be_shadowed() -> None:
    expert = MetaExpert()
    expert.fast = 1
    with pytest.raises(AttributeError, match=r"expert\.position is the library's own"):
        expert.position = 2


@pytest.mark.parametrize(
    "call",
    [lambda e: e.buy(1), lambda e: e.position(), lambda e: e.rates(), lambda e: e.account, lambda e: e.stop(),
     lambda e: e.now(), lambda e: e.log, lambda e: e.indicator("ema")],
)  # fmt: skip
def test_trading_calls_outside_a_run_say_so(call: Callable[[MetaExpert], Any]) -> None:
    with pytest.raises(StrategyError, match="works only while the expert runs"):
        call(MetaExpert())


def test_a_live_run_without_a_limit_is_refused_before_anything_is_sent() -> None:
    expert = MetaExpert("binance", api_key="k", api_secret="s")
    expert.on_init(symbol="BTCUSDT")(lambda: None)
    with pytest.raises(ConfigError, match="trade_mode='live' without a loss limit"):
        expert.run(trade_mode="live")


def test_an_expert_without_on_init_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has no @expert\.on_init"):
        MetaExpert().run()


# --- inputs ----------------------------------------------------------------------------------------------


def test_inputs_are_read_as_attributes_and_changed_only_by_a_run() -> None:
    expert = MetaExpert()
    inputs = expert.inputs(fast=12, slow=Input(26, low=20, high=40, step=2))
    assert (inputs.fast, inputs.slow, expert.input_names) == (12, 26, ("fast", "slow"))
    with pytest.raises(AttributeError, match="stays as the run was told"):
        inputs.fast = 3
    with pytest.raises(AttributeError, match="no input 'fats'; did you mean 'fast'"):
        _ = inputs.fats
    seen: list[int] = []
    expert.on_init(symbol="BTCUSDT", timeframe="1d")(lambda: seen.append(inputs.fast))
    expert.backtest("2024-01-01", "2024-01-03", inputs={"fast": 5.0})
    assert seen == [5]
    assert isinstance(seen[0], int)
    assert inputs.fast == 12
    for wrong in ({"fats": 1}, {"fast": "a"}, {"fast": True}, {"fast": 1.5}):
        with pytest.raises(ConfigError):
            expert.backtest("2024-01-01", "2024-01-03", inputs=wrong)


@pytest.mark.parametrize("args", [(1, 2, 3), (1, 0, None), (1, 0, 2, 0)])
def test_an_input_s_range_must_hold_its_default(args: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError, match="Input"):
        Input(*args)


# --- orders ----------------------------------------------------------------------------------------------


def test_a_market_order_fills_at_the_next_open_and_the_result_counts_it() -> None:
    result, heard = play([100, 101, 103, 104], at(0, lambda e: e.buy(2)))
    order, fill = heard[0]
    assert isinstance(fill, Fill)
    assert (fill.price, fill.qty, fill.timestamp) == (100, 2, pd.Timestamp("2024-01-01 01:00", tz="UTC"))
    assert order.status == "filled"
    assert result.equity["equity"].tolist() == [10_000, 10_002, 10_006, 10_008]


def test_the_call_returns_a_pending_order_at_once() -> None:
    returned: list[Order] = []
    play([100, 101, 102], at(0, lambda e: returned.append(e.buy(1, price=90))))
    assert (returned[0].status, returned[0].type, returned[0].price) == ("pending", "limit", 90)


@pytest.mark.parametrize(
    ("terms", "kind"),
    [({}, "market"), ({"price": 99}, "limit"), ({"stop_price": 105}, "stop"),
     ({"price": 106, "stop_price": 105}, "stop_limit")],
)  # fmt: skip
def test_prices_make_the_type(terms: dict[str, float], kind: str) -> None:
    seen: list[Order] = []
    play([100, 100], at(0, lambda e: seen.append(e.buy(1, **terms))))
    assert seen[0].type == kind


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (lambda e: e.buy(-1), "qty must be a positive number, got -1"),
        (lambda e: e.buy(float("nan")), "qty must be a positive number"),
        (lambda e: e.buy("much"), "qty must be a positive number, got 'much'"),
        (lambda e: e.buy("1"), "qty must be a positive number, got '1'"),
        (lambda e: e.buy(10**400), "qty must be a positive number, got 1000"),
        (lambda e: e.stop(5), "stop: reason must be a word, got 5"),
        (lambda e: e.buy(1, price=0), "price must be a positive number"),
        (lambda e: e.buy(1, post_only=True), "post_only needs a price"),
        (lambda e: e.buy(1, price=9, post_only=True, tif="IOC"), "post_only contradicts tif=IOC"),
        (lambda e: e.buy(1, tif="GTX"), "unknown tif 'GTX'"),
        (lambda e: e.open_position("lnog"), "did you mean 'long'"),
        (lambda e: e.close_position(side="up"), "unknown side 'up'"),
        (lambda e: e.buy(1, symbol="XYZUSDT"), "symbol 'XYZUSDT' is not in this run"),
        (lambda e: e.rates(timeframe="4h"), "timeframe '4h' of ABC/USDT:USDT is not in this run"),
    ],
)
def test_a_senseless_call_stops_the_expert_with_the_line(do: Callable[[MetaExpert], Any], said: str) -> None:
    with pytest.raises(StrategyError) as raised:
        play([100, 100, 100], at(1, do))
    assert said in str(raised.value)
    assert "on_bar failed at 2024-01-01 02:00 UTC" in str(raised.value)
    assert "test_expert.py:" in str(raised.value)


def test_a_stop_on_the_wrong_side_is_rejected_with_a_reason() -> None:
    _, heard = play([100, 100, 100], at(0, lambda e: e.buy(1, stop_loss=101)))
    assert isinstance(heard[0][1], Rejection)
    assert heard[0][1].reason == "invalid_stop_loss"


def test_close_position_closes_all_or_part_and_says_when_there_is_nothing() -> None:
    closed: list[Order | None] = []

    def script(expert: MetaExpert, number: int) -> None:
        if number == 0:
            closed.append(expert.close_position())
            expert.buy(3)
        if number == 1:
            closed.append(expert.close_position(side="short"))
            expert.close_position(qty=1)
        if number == 2:
            assert expert.position().qty == 2
            expert.close_all_positions()

    result, heard = play([100, 100, 100, 100, 100], script)
    assert closed == [None, None]
    assert [(fill.side, fill.qty) for _, fill in heard if isinstance(fill, Fill)] == [
        ("buy", 3), ("sell", 1), ("sell", 2),
    ]  # fmt: skip
    assert len(result.trades) == 1


def test_open_position_reverses_an_opposite_one_in_one_order() -> None:
    def script(expert: MetaExpert, number: int) -> None:
        if number in (0, 2):
            expert.open_position("long" if number == 0 else "short")

    result, heard = play([100, 100, 110, 110, 120], script)
    assert [(fill.side, fill.qty) for _, fill in heard if isinstance(fill, Fill)] == [("buy", 1), ("sell", 2)]
    assert result.trades["side"].tolist() == ["long", "short"]
    assert result.equity["equity"].iloc[-1] == 10_000 + 10 - 10


def test_spot_can_t_open_a_short_and_sells_what_it_holds() -> None:
    def script(expert: MetaExpert, number: int) -> None:
        if number == 0:
            expert.open_position("short")
            expert.sell()
            expert.buy(2)
        if number == 2:
            expert.sell()

    result, heard = play([100, 100, 110, 110], script, SPOT)
    assert [reply.reason if isinstance(reply, Rejection) else reply.qty for _, reply in heard] == [
        "spot_short", "nothing_to_reduce", 2, 2,
    ]  # fmt: skip
    assert result.stats["final_equity"] == 10_020


def test_orders_are_cancelled_and_modified() -> None:
    def script(expert: MetaExpert, number: int) -> None:
        if number == 0:
            expert.low, expert.high = expert.buy(1, price=50), expert.buy(1, price=60)
        if number == 1:
            assert [order.price for order in expert.orders] == [50, 60]
            assert expert.cancel_order(expert.low)
            assert not expert.cancel_order(expert.low)
            assert expert.modify_order(expert.high, price=95, qty=2)
        if number == 3:
            assert expert.position().qty == 2
            expert.buy(1, price=1)
            assert expert.cancel_all_orders() == 1

    _, heard = play([100, 100, 90, 90, 90], script, max_positions_per_symbol=9)
    fills = [fill for _, fill in heard if isinstance(fill, Fill)]
    assert [(fill.qty, fill.price, fill.is_maker) for fill in fills] == [(2, 95, True)]


def test_protective_levels_are_modified_and_removed() -> None:
    def script(expert: MetaExpert, number: int) -> None:
        if number == 0:
            assert not expert.modify_position(stop_loss=90)
            expert.buy(1)
        if number == 1:
            assert expert.position().stop_loss == 95
            assert expert.modify_position(stop_loss=80, take_profit=150).take_profit == 150
        if number == 2:
            assert expert.modify_position(take_profit=None).take_profit is None

    result, _ = play([100, 100, 100, 170, 60, 60], script, stop_loss_pct=5)
    assert result.trades["exit_reason"].tolist() == ["stop_loss"]
    assert result.trades["exit_price"].tolist() == [80]


@pytest.mark.parametrize(
    ("side", "wrong", "right"),
    [
        ("long", {"stop_loss": 110}, {"stop_loss": 109}),  # the market is at 110: a stop there closes at once
        ("long", {"stop_loss": 105, "take_profit": 109}, {"take_profit": 111}),
        ("short", {"stop_loss": 110}, {"stop_loss": 111}),
        ("short", {"take_profit": 111, "trailing_stop": 1}, {"take_profit": 109}),
    ],
)
def test_a_level_that_the_market_has_reached_already_is_refused(side, wrong, right) -> None:
    """All levels stay as they were, the position stays open, and the reason is counted."""
    seen = []

    def script(expert: MetaExpert, number: int) -> None:
        if number == 0:
            expert.open_position(side, 1)
        if number == 1:
            before = expert.position()
            seen.append((before, expert.modify_position(**wrong)))
            now = expert.modify_position(**right)
            assert {name: getattr(now, name) for name in right} == right

    result, _ = play([100, 110, 110], script)
    ((before, after),) = seen
    assert before == after
    assert after.qty != 0
    (reason,) = result.record.refusals
    assert reason == ("invalid_stop_loss" if wrong == {"stop_loss": 110} else "invalid_take_profit")


# --- sizing (rule 22) ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "qty"),
    [
        ({"size_type": "fixed_base", "size_value": 1.2345}, 1.234),
        ({"size_type": "fixed_quote", "size_value": 1000}, 10),  # 1000 / 100
        ({"size_type": "percent_equity", "size_value": 0.1}, 10),  # 10 % of 10,000 at 100
        ({"size_type": "percent_equity", "size_value": 0.1, "leverage": 3}, 30),  # three times as much
        ({"size_type": "risk_based", "size_value": 1.0, "stop_loss_pct": 2.0}, 50),  # 100 / (100 * 2 %)
        ({"size_type": "risk_based", "size_value": 1.0, "trailing_stop_pct": 5.0}, 20),
        ({"size_type": "fixed_quote", "size_value": 5000, "max_position_size_quote": 2000}, 20),
        ({"size_type": "fixed_base", "size_value": 500}, 100),  # all that 10,000 carry
    ],
)
def test_sizes(settings: dict[str, Any], qty: float) -> None:
    _, heard = play([100, 100, 100], at(0, lambda e: e.open_position("long")), **settings)
    assert isinstance(heard[0][1], Fill)
    assert heard[0][1].qty == pytest.approx(qty, rel=1e-12)


def test_a_sized_order_shrinks_when_the_open_is_dearer_and_a_given_one_is_rejected() -> None:
    closes = [100.0, 100.0, 100.0]
    put(LINEAR, closes)
    frame = CandleStore().read("local", LINEAR.symbol, "1h")
    frame.loc[frame.index[1], ["open", "high"]] = 125.0
    CandleStore().append(LINEAR, "1h", frame, source=Source(name="test", digest="1"))
    for qty, expected in ((None, 80.0), (100.0, "insufficient_margin")):
        expert = MetaExpert("local", market_type="futures", contract_type="linear", log_to_console=False)
        expert.on_init(symbol="ABCUSDT", timeframe="1h", size_type="percent_equity", size_value=1.0)(lambda: None)
        replies: list[Any] = []
        expert.on_transaction(lambda _, reply, replies=replies: replies.append(reply))
        expert.on_bar(
            lambda rates, expert=expert, qty=qty: expert.open_position("long", qty) if rates.open == 100 else None
        )
        expert.run()
        first = replies[0]
        assert (first.qty if isinstance(first, Fill) else first.reason) == expected


# --- filters (rule 24) -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"trade_hours": {5}}, "trade_hours"),
        ({"allowed_days": {2}}, "allowed_days"),  # 2024-01-01 was a Monday
        ({"min_volume": 11}, "min_volume"),
        ({"trend_filter": lambda bars: len(bars) > 99}, "trend_filter"),
        ({"volatility_filter": lambda bars: bars["close"].iloc[-1] > 999}, "volatility_filter"),
        ({"trend_filter": True}, "trend_filter"),
        ({"volatility_filter": True}, "volatility_filter"),
    ],
)
def test_filters_refuse_entries_never_exits(settings: dict[str, Any], reason: str) -> None:
    result, heard = play([100, 100, 100], at(0, lambda e: e.open_position("long")), **settings)
    assert isinstance(heard[0][1], Rejection)
    assert heard[0][1].reason == reason
    assert result.record.refusals == {reason: 1}
    assert result.trades.empty


def test_an_exit_passes_when_the_filter_says_no() -> None:
    def script(expert: MetaExpert, number: int) -> None:
        if number == 0:
            expert.open_position("long")
        if number == 1:
            expert.close_position()

    result, _ = play([100, 100, 100, 100], script, trade_hours={1})
    assert result.trades["exit_reason"].tolist() == ["order"]


def test_the_built_in_trend_filter_lets_longs_pass_above_the_average_only() -> None:
    rising, falling = [float(x) for x in range(100, 140)], [float(x) for x in range(140, 100, -1)]
    for closes, reply in ((rising, Fill), (falling, Rejection)):
        _, heard = play(closes, at(20, lambda e: e.open_position("long")), trend_filter=True, lookback_bars=10)
        assert isinstance(heard[0][1], reply)


def test_entries_do_not_stack_beyond_the_limit() -> None:
    result, _ = play([100, 100, 100, 100], lambda e, _: e.open_position("long"), max_positions_per_symbol=2)
    assert result.trades["qty"].tolist() == [2]
    assert result.record.refusals == {"max_positions_per_symbol": 2}


# --- signals ---------------------------------------------------------------------------------------------


def test_signals_and_the_same_logic_by_handler_give_the_same_trades() -> None:
    closes = [100 + 10 * ((i // 7) % 3) + i % 5 for i in range(120)]

    def by_handler(expert: MetaExpert, _: int) -> None:
        bars = expert.rates(count=2)
        if len(bars) < 2:
            return
        before, now = bars["close"]
        if now > before + 5:
            expert.open_position("long")
        elif now < before - 5:
            expert.close_position()

    one, _ = play([float(x) for x in closes], by_handler)
    expert = MetaExpert("local", market_type="futures", contract_type="linear", log_to_console=False)
    expert.on_init(symbol="ABCUSDT", timeframe="1h", size_type="fixed_base", size_value=1.0)(lambda: None)

    @expert.signals
    def signals(bars: pd.DataFrame) -> dict[str, pd.Series]:
        change = bars["close"].diff()
        return {"long_entry": change > 5, "long_exit": change < -5}

    two = expert.run()
    assert len(one.trades) > 5
    pd.testing.assert_frame_equal(one.trades, two.trades)


# --- notebooks -------------------------------------------------------------------------------------------


def test_a_cell_that_is_run_again_does_not_double_its_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("__main__.__file__", raising=False)
    expert = MetaExpert("demo")
    calls: list[str] = []

    def cell() -> None:
        expert.inputs(length=3)
        expert.on_init(symbol="BTCUSDT", timeframe="1d")(lambda: calls.append("init"))

        @expert.on_bar
        def bar(_: Bar) -> None:
            calls.append("bar")

        @expert.on_bar(timeframe="1w")
        def week(_: Bar) -> None:
            calls.append("week")

        @expert.on_timer(interval=86_400)
        def timer() -> None:
            calls.append("timer")

        @expert.on_deinit
        def deinit(_: str) -> None:
            calls.append("deinit")

    cell()
    cell()
    expert.backtest("2024-01-01", "2024-01-07")
    assert {name: calls.count(name) for name in calls} == {"init": 1, "bar": 7, "week": 1, "timer": 7, "deinit": 1}


def test_two_handlers_of_one_name_in_a_file_are_two() -> None:
    expert = MetaExpert("demo")
    expert.on_init(symbol="BTCUSDT", timeframe="1d")(lambda: None)
    calls: list[int] = []
    for number in (1, 2):

        @expert.on_bar
        def bar(_: Bar, number: int = number) -> None:
            calls.append(number)

    expert.backtest("2024-01-01", "2024-01-02")
    assert calls == [1, 2, 1, 2]


def test_a_mistyped_name_gets_the_nearest() -> None:
    expert = MetaExpert("demo")
    with pytest.raises(AttributeError, match="expert has no 'open_positon'; did you mean 'open_position'"):
        _ = expert.open_positon
    expert.slow_average = 1
    with pytest.raises(AttributeError, match="did you mean 'slow_average'"):
        _ = expert.slow_avrage


def test_orders_carry_the_strategy_s_number_and_protective_exits_too() -> None:
    result, heard = play([100, 100, 100, 50], at(0, lambda e: e.buy(1)), strategy_id=7, stop_loss_pct=5.0)
    assert [order.strategy_id for order, _ in heard] == [7, 7]
    assert set(result.orders["strategy_id"]) == {7}


def test_a_handler_that_a_backtest_can_t_feed_is_named_in_the_result() -> None:
    expert = MetaExpert("demo")
    expert.on_init(symbol="BTCUSDT", timeframe="1d")(lambda: None)
    expert.on_book(lambda book: None)
    result = expert.backtest("2024-01-01", "2024-01-02")
    assert any("on_book was not called" in note for note in result.record.notes)


def test_leverage_that_the_maintenance_margin_eats_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves less margin than the maintenance rate"):
        play([100, 100], lambda e, n: None, replace(LINEAR, maintenance_margin_rate=0.05), leverage=20)


# --- what attacks found ---------------------------------------------------------------------------------------


def test_keys_are_hidden_from_the_moment_they_are_given() -> None:
    expert = MetaExpert(
        "okx", api_key="K3Y-abc", api_secret="S3C-abc", api_passphrase="P4S-abc", proxy="http://u:W0RD@h:1"
    )
    assert not any(word in repr(vars(expert)) for word in ("K3Y", "S3C", "P4S", "W0RD"))
    expert.on_init(symbol="BTCUSDT")(lambda: None)


def test_an_error_that_tells_a_key_is_masked() -> None:
    expert = MetaExpert("demo", api_key="K3Y-abcdef", api_secret="S3C-abcdef")

    @expert.on_init(symbol="BTCUSDT", timeframe="1d")
    def init() -> None:
        raise ValueError("refused: K3Y-abcdef")

    with pytest.raises(StrategyError) as raised:
        expert.backtest("2024-01-01", "2024-01-03")
    assert "K3Y" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("error", [SystemExit(0), GeneratorExit(), MemoryError("all gone")])
def test_whatever_a_handler_raises_is_told_with_its_place(error: BaseException) -> None:
    def script(expert: MetaExpert, number: int) -> None:
        raise error

    with pytest.raises(StrategyError, match=rf"on_bar failed at 2024-01-01 01:00 UTC: {type(error).__name__}"):
        play([100, 100], script)


def test_a_handler_that_yields_is_refused() -> None:
    expert = MetaExpert("demo")

    def bar(_: Bar) -> Any:
        yield 1

    async def tick(_: Any) -> Any:
        yield 1

    for register, handler in ((expert.on_bar, bar), (expert.on_tick, tick)):
        with pytest.raises(ConfigError, match="with yield in it never runs"):
            register(handler)


def test_a_run_that_begins_at_the_moment_of_a_cut_is_stopped():
    """Between the cut's look for a process and its end another thread binds one."""
    stopped = []

    class Process:
        stop = stopped.append

    class Meddled(MetaExpert):
        @property
        def _process(self):
            found = self.__dict__.get("bound")
            if self.__dict__.pop("is_late", False):
                self._bind(Process)
            return found

        @_process.setter
        def _process(self, process):
            self.__dict__["bound"] = process

    expert = Meddled(exchange="demo")
    expert.__dict__["is_late"] = True
    expert._cut()
    assert stopped == ["signal"]


def test_a_live_run_that_ends_at_the_moment_of_a_stop_has_nothing_to_stop():
    """Between the look whether there is a process and the word to it, in another thread, it is gone."""
    begun = MetaExpert(exchange="demo")
    begun.on_init(symbol="BTCUSDT", timeframe="1h")(lambda: None)
    run, stopped = begun.start("paper"), []

    class Process:
        stop = stopped.append

    looks = iter([Process])

    class Meddled(Run):
        _process = property(lambda _: next(looks, None), lambda *_: None)

    Meddled(run.job, run.inputs).stop()
    assert stopped == ["user_stop"]
