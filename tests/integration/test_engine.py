"""Whole runs through the public API: order of events, warm-up, errors, limits, stopping, and hard weather."""

from __future__ import annotations

import asyncio
import json
import signal
import threading

import pandas as pd
import pytest
from lab import HOUR, START, candles, expert, flat, keep, market

from metaexpert import ConfigError, DataError, Fill, MetaExpert, Rejection, StrategyError
from metaexpert.store import CandleStore, Source

BTC, ETH, COIN = "BTC/USDT:USDT", "ETH/USDT:USDT", "BTC/USD:BTC"
FREE = {"fee_maker": 0.0, "fee_taker": 0.0}


def at(hours, *, days=0):
    """A moment of 2024-01-01 as milliseconds."""
    return START + hours * HOUR + days * 24 * HOUR


def when(run):
    """The run's time in milliseconds."""
    return int(run.now().value // 1_000_000)


def one(prices, kind="linear", symbol=BTC, *, timeframe="1h", exchange=None, **own):
    """An expert on one symbol of given bars, without fees."""
    keep(symbol, prices, timeframe=timeframe)
    run = expert(kind, **(exchange or {}))
    run.on_init(symbol=symbol, timeframe=timeframe, **(FREE | own))(lambda: None)
    return run


# -- symbols and timeframes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("warmup", [0, 30])
def test_a_longer_timeframe_needs_no_handler_to_be_asked_for_in_on_init(warmup):
    """The same values at every bar as with @expert.on_bar(timeframe="4h"), its earlier history included."""
    keep(BTC, flat(*(100 + i % 17 for i in range(400))))

    def told(*, declared):
        run, heard = expert(), []

        @run.on_init(symbol=BTC, timeframe="1h", lookback_bars=20, warmup_bars=warmup)
        def init():
            run.long = run.indicator("ema", length=5, timeframe="4h")
            heard.append(run.rates(timeframe="4h").index.tolist())

        @run.on_bar
        def on_bar(bar):
            heard.append((bar.time, str(float(run.long)), len(run.rates(timeframe="4h"))))

        if declared:
            run.on_bar(timeframe="4h")(lambda bar: None)
        result = run.backtest(start="2024-01-08")
        return heard, result.record.time.tolist()

    assert told(declared=False) == told(declared=True)


def test_a_series_that_nobody_asked_for_in_time_is_refused():
    """Later than on_init it can't be made any more; 90 minutes or less than the run's own bars never."""
    keep(BTC, flat(*range(100, 130)))
    for timeframe, moment in (("4h", "bar"), ("30m", "init"), ("1m", "init"), ("4hh", "init")):
        run = expert()

        def ask(run=run, timeframe=timeframe):
            run.rates(timeframe=timeframe)

        run.on_init(symbol=BTC, timeframe="1h")(ask if moment == "init" else lambda: None)
        if moment == "bar":
            run.on_bar(lambda bar, ask=ask: ask())
        with pytest.raises(StrategyError, match=f"timeframe '{timeframe}' of {BTC} is not in this run"):
            run.backtest()


def test_bars_come_by_close_then_shorter_timeframe_then_declared_symbol():
    keep(ETH, flat(*range(10, 16)))
    keep(BTC, flat(*range(100, 106)))
    run, heard = expert(), []
    run.on_init(symbol=[ETH, BTC], timeframe="1h")(lambda: None)
    run.on_bar(timeframe="2h")(lambda bar: heard.append((when(run), bar.symbol, bar.timeframe, bar.close)))
    run.on_bar(lambda bar: heard.append((when(run), bar.symbol, bar.timeframe, bar.close)))
    run.backtest()
    assert heard[:6] == [
        (at(1), ETH, "1h", 10), (at(1), BTC, "1h", 100),
        (at(2), ETH, "1h", 11), (at(2), BTC, "1h", 101), (at(2), ETH, "2h", 11), (at(2), BTC, "2h", 101),
    ]  # fmt: skip
    assert len(heard) == 6 * 2 + 3 * 2


def test_orders_trade_in_the_shortest_timeframe():
    """The 2h bar from 02:00 holds the dip of 02:00 and the rise of 03:00: the 1h bars tell their order."""
    bars = [*flat(100, 100), (100, 100, 94, 96), (96, 112, 96, 110), *flat(110, 110)]
    keep(BTC, bars)
    run = expert()
    run.on_init(symbol=BTC, timeframe="2h", **FREE)(lambda: None)
    run.on_bar(timeframe="1h")(lambda bar: None)

    @run.on_bar
    def bar(rates):
        if rates.time == at(0):
            run.buy(1.0, stop_loss=90.0, take_profit=111.0)

    fills = run.backtest().record.fills
    assert [(fill.time, fill.price, fill.reason.value) for fill in fills] == [
        (at(2), 100.0, "order"),
        (at(3), 111.0, "take_profit"),
    ]


def test_a_higher_timeframe_is_known_only_once_it_has_closed():
    keep(BTC, flat(*range(100, 112)))
    run, seen = expert(), []
    run.on_init(symbol=BTC, timeframe="1h")(lambda: None)
    run.on_bar(timeframe="4h")(lambda bar: None)

    @run.on_bar
    def bar(rates):
        known = run.rates(timeframe="4h")
        seen.append((rates.close, None if known.empty else known["close"].iloc[-1]))
        assert len(run.rates()) == len(seen)

    run.backtest()
    assert seen[:5] == [(100, None), (101, None), (102, None), (103, 103), (104, 103)]
    assert seen[7] == (107, 107)


def test_a_first_coarse_bar_of_which_only_the_end_is_there_is_left_out():
    keep(BTC, candles(flat(*range(100, 110)), start=at(3)))
    run, heard = expert(), []
    run.on_init(symbol=BTC, timeframe="1h")(lambda: None)
    run.on_bar(timeframe="4h")(lambda bar: heard.append((bar.time, bar.open, bar.close)))
    run.backtest()
    assert heard == [(at(4), 101.0, 104.0), (at(8), 105.0, 108.0)]


def test_too_few_bars_for_one_of_the_strategy_s_own_is_said():
    keep(BTC, flat(*range(100, 110)))
    run = expert()
    run.on_init(symbol=BTC, timeframe="1d", warmup_bars=1)(lambda: None)
    run.on_bar(timeframe="1h")(lambda bar: None)
    with pytest.raises(DataError, match=r"10 1h bars make no whole 1d bar"):
        run.backtest()


def test_symbols_of_different_spans_share_one_account():
    keep(BTC, flat(100, 100, 100, 110, 120, 130))
    keep(ETH, candles(flat(10, 10, 11), start=at(3)))
    run = expert()
    run.on_init(symbol=[BTC, ETH], timeframe="1h", **FREE)(lambda: None)

    @run.on_bar
    def bar(rates):
        if not run.position(rates.symbol):
            run.buy(1.0 if rates.symbol == BTC else 10.0, symbol=rates.symbol)

    result = run.backtest(capital=1000.0)
    assert [(fill.symbol, fill.time, fill.price) for fill in result.record.fills] == [
        (BTC, at(1), 100.0),
        (ETH, at(4), 10.0),
    ]
    assert result.record.equity[-1] == 1000 + 30 + 10


def test_a_gap_in_the_candles_delays_what_waits_for_it():
    frame = candles(flat(100, 100, 100, 100, 90, 90)).drop(pd.Timestamp(at(2), unit="ms", tz="UTC"))
    frame = frame.drop(pd.Timestamp(at(3), unit="ms", tz="UTC"))
    run = one(frame)

    @run.on_bar
    def bar(rates):
        if rates.time == at(1):
            run.buy(1.0)

    result = run.backtest()
    assert [(fill.time, fill.price) for fill in result.record.fills] == [(at(4), 90.0)]
    assert result.quality[BTC].missing == 2


def test_one_bar_of_data_is_a_run():
    run = one(flat(100.0))
    heard = []
    run.on_bar(heard.append)
    result = run.backtest()
    assert len(heard) == 1
    assert result.record.equity.tolist() == [10_000.0]
    assert json.loads(result.to_json())["stats"]["trades"] == 0


# -- warm-up and lookback -----------------------------------------------------------------------------------------


def test_warm_up_comes_from_before_the_span_where_there_are_bars():
    run = one(flat(*range(100, 130)), warmup_bars=10, lookback_bars=5)
    seen = []
    run.on_bar(lambda bar: seen.append((bar.time, len(run.rates(count=1000)), len(run.rates()))))
    result = run.backtest(start=at(10))
    assert seen[0] == (at(10), 11, 5)
    assert not any("warm-up" in note for note in result.record.notes)
    assert result.record.bars[BTC].index[0].value // 1_000_000 == at(10)


def test_warm_up_eats_the_span_where_there_are_none_and_says_so():
    run = one(flat(*range(100, 130)), warmup_bars=10)
    seen = []
    run.on_bar(lambda bar: seen.append(bar.time))
    result = run.backtest(start=at(4))
    assert seen[0] == at(10)
    assert f"{BTC}: the first 6 bars of the span are warm-up" in result.record.notes
    assert len(result.record.time) == 20


def test_a_warm_up_longer_than_the_candles_is_refused():
    run = one(flat(100, 101, 102), warmup_bars=3)
    with pytest.raises(DataError, match="takes all 3 bars"):
        run.backtest()


def test_an_indicator_is_ready_after_the_warm_up():
    run = one(flat(*range(100, 130)), warmup_bars=5)
    seen = []
    run.on_bar(lambda bar: seen.append(run.indicator("sma", length=5)[-1]))
    run.backtest()
    assert seen[0] == pytest.approx(103.0)  # bars 1 to 5 of 100, 101, ...


def test_candles_that_do_not_cover_the_span_are_noted():
    run = one(flat(*range(100, 130)))
    notes = run.backtest(start="2023-12-31", end="2024-01-05").record.notes
    assert any("begin at 2024-01-01 00:00, later than asked" in note for note in notes)
    assert any("end at 2024-01-02 05:00, earlier than asked" in note for note in notes)


# -- timers -------------------------------------------------------------------------------------------------------


def test_timers_run_on_the_run_s_clock_and_see_only_what_was_known():
    run, heard = one(flat(100, 101, 102)), []
    run.on_timer(interval=1800)(lambda: heard.append((when(run), "timer", len(run.rates(count=9)))))
    run.on_bar(lambda bar: heard.append((when(run), "bar", len(run.rates(count=9)))))
    run.backtest()
    half = HOUR // 2
    assert heard == [
        (START + half, "timer", 0),
        (at(1), "bar", 1), (at(1), "timer", 1), (at(1) + half, "timer", 1),
        (at(2), "bar", 2), (at(2), "timer", 2), (at(2) + half, "timer", 2),
        (at(3), "bar", 3), (at(3), "timer", 3),
    ]  # fmt: skip


def test_a_timer_s_order_acts_from_the_next_bar_and_leaves_the_time_of_fills_alone():
    run = one(flat(100, 110, 120, 130), max_positions_per_symbol=2)

    @run.on_timer(interval=2700)
    def timer():
        if when(run) == START + 2700_000:
            run.buy(1.0, tag="timer")

    @run.on_bar
    def bar(rates):
        if rates.time == at(1):
            run.buy(1.0, tag="bar")

    fills = {fill.tag: fill for fill in run.backtest().record.fills}
    assert (fills["timer"].time, fills["timer"].price) == (at(1), 110.0)
    assert (fills["bar"].time, fills["bar"].price) == (at(2), 120.0)  # though a timer was due at 02:15


# -- async handlers -----------------------------------------------------------------------------------------------


def make_async(run, heard):
    """Give an expert async handlers of every kind."""

    @run.on_bar
    async def bar(rates):
        await asyncio.sleep(0)
        heard.append(rates.close)
        if len(heard) == 1:
            run.buy(1.0)

    @run.on_order
    async def order(news):
        await asyncio.sleep(0)
        heard.append(news.status.value)

    @run.on_deinit
    async def deinit(reason):
        heard.append(reason)

    @run.on_backtest
    async def criterion():
        await asyncio.sleep(0)
        return 42.0


EXPECTED = [100.0, "open", "filled", 101.0, "backtest_end"]


def test_async_handlers_run_in_order():
    run, heard = one(flat(100, 101)), []
    make_async(run, heard)
    assert run.backtest().record.criterion == 42.0
    assert heard == EXPECTED


def test_a_run_works_inside_a_running_loop_and_as_a_coroutine():
    async def inside():
        run, heard = one(flat(100, 101)), []
        make_async(run, heard)
        assert run.run().record.criterion == 42.0
        assert heard == EXPECTED
        heard.clear()
        ticks = 0

        async def tick():
            nonlocal ticks
            while len(heard) < len(EXPECTED):
                ticks += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(tick())
        assert (await run.arun()).record.criterion == 42.0
        await other
        assert heard == EXPECTED
        assert ticks > 0

    asyncio.run(inside())


# -- errors -------------------------------------------------------------------------------------------------------


def fail():
    """What a broken handler does."""
    raise ValueError("broken")


BROKEN = {
    "bar": lambda run: run.on_bar(lambda bar: fail()),
    "timer": lambda run: run.on_timer(interval=3600)(fail),
    "order": lambda run: run.on_order(lambda order: fail()),
    "transaction": lambda run: run.on_transaction(lambda order, result: fail()),
    "position": lambda run: run.on_position(lambda position: fail()),
    "account": lambda run: run.on_account(lambda account: fail()),
    "deinit": lambda run: run.on_deinit(lambda reason: fail()),
    "backtest_init": lambda run: run.on_backtest_init(fail),
    "backtest": lambda run: run.on_backtest(fail),
    "backtest_deinit": lambda run: run.on_backtest_deinit(fail),
}


@pytest.mark.parametrize("event", BROKEN)
def test_an_error_in_any_handler_stops_the_run_with_its_name_time_and_line(event):
    run = one(flat(100, 101, 102))
    BROKEN[event](run)
    run.on_bar(lambda bar: run.buy(1.0) if bar.close == 100 else None)
    with pytest.raises(
        StrategyError, match=rf"^on_{event} failed at 2024-01-01 .*: ValueError: broken \(.*:\d+\)$"
    ):
        run.backtest()


@pytest.mark.parametrize("event", [name for name in BROKEN if name != "backtest_init"])
def test_on_error_takes_errors_and_the_run_goes_on(event):
    run, errors, closes = one(flat(100, 101, 102)), [], []
    BROKEN[event](run)
    run.on_error(errors.append)

    @run.on_bar
    def bar(rates):
        closes.append(rates.close)
        if rates.close == 100:
            run.buy(1.0)

    run.backtest()
    assert closes == [100.0, 101.0, 102.0]
    assert errors
    assert all(isinstance(error, StrategyError) and f"on_{event} failed" in str(error) for error in errors)


def test_after_an_error_nothing_new_is_begun_and_on_deinit_hears_why():
    keep(ETH, flat(10, 10, 10))
    keep(BTC, flat(100, 101, 102))
    run, heard = expert(), []
    run.on_init(symbol=[BTC, ETH], timeframe="1h")(lambda: None)

    @run.on_bar
    def bar(rates):
        heard.append(rates.symbol)
        fail()

    run.on_bar(lambda rates: heard.append("second"))
    run.on_deinit(heard.append)
    with pytest.raises(StrategyError, match="on_bar failed at 2024-01-01 01:00 UTC"):
        run.backtest()
    assert heard == [BTC, "error"]


def test_an_error_in_on_init_stops_the_run_before_it_begins():
    keep(BTC, flat(100, 101))
    run, heard = expert(), []
    run.on_init(symbol=BTC, timeframe="1h")(fail)
    run.on_error(heard.append)
    run.on_bar(heard.append)
    run.on_deinit(heard.append)
    with pytest.raises(StrategyError, match="on_init failed at 2024-01-01 00:00 UTC"):
        run.backtest()
    assert heard == ["error"]


def test_an_error_in_on_error_stops_the_run():
    run = one(flat(100, 101, 102))
    run.on_bar(lambda bar: fail())
    run.on_error(lambda error: 1 / 0)
    with pytest.raises(StrategyError, match=r"on_error failed .* ZeroDivisionError"):
        run.backtest()


def test_an_error_of_many_lines_is_told_in_one():
    run = one(flat(100, 101))

    @run.on_bar
    def bar(rates):
        raise ValueError("first\n  second")

    with pytest.raises(StrategyError, match=r"ValueError: first second \(test_engine.py:\d+\)"):
        run.backtest()


def test_a_criterion_that_is_no_number_is_refused():
    run = one(flat(100, 101))
    run.on_backtest(lambda: "good")
    with pytest.raises(StrategyError, match="on_backtest must return a number or nothing, got 'good'"):
        run.backtest()


@pytest.mark.parametrize("within_a_bar", [False, True])
def test_an_order_for_every_refusal_is_stopped(within_a_bar, monkeypatch):
    """Also while a bar is being matched, where news comes from the broker."""
    monkeypatch.setattr("metaexpert.process._NEWS_PER_STEP", 1000)
    run = one(flat(100, 101, 102))

    @run.on_transaction
    def transaction(order, result):
        if isinstance(result, Rejection) or within_a_bar:
            run.buy(1e-9)

    run.on_bar(lambda bar: run.buy(1.0 if within_a_bar else 1e-9))
    heard = []
    run.on_deinit(heard.append)
    with pytest.raises(StrategyError, match="over 1000 order events at 2024-01-01 01:00 UTC"):
        run.backtest()
    assert heard == ["error"]


# -- stopping -----------------------------------------------------------------------------------------------------


def test_stop_ends_the_run_with_its_reason():
    run, heard = one(flat(100, 101, 102, 103)), []

    @run.on_bar
    def bar(rates):
        heard.append(rates.close)
        if rates.close == 101:
            run.stop()

    run.on_bar(lambda rates: heard.append(rates.close))
    run.on_deinit(heard.append)
    result = run.backtest()
    assert heard == [100.0, 100.0, 101.0, "user_stop"]
    assert (result.record.stop_reason, len(result.record.time)) == ("user_stop", 2)


def test_a_stop_before_the_first_bar_leaves_no_result_and_says_so():
    keep(BTC, flat(100, 101))
    run, heard = expert(), []
    run.on_init(symbol=BTC, timeframe="1h")(run.stop)
    run.on_deinit(heard.append)
    with pytest.raises(StrategyError, match=r"stopped before its first bar \(user_stop\)"):
        run.backtest()
    assert heard == ["user_stop"]


async def until_stopped(run):
    """Wait, but not for ever, until the run is told to stop."""
    async with asyncio.timeout(60):
        while run._process.stop_reason is None:  # noqa: ASYNC110 - the other thread sets it
            await asyncio.sleep(0)


def interrupted(run, heard):
    """The handler of the third bar presses Ctrl-C, which the main thread gets."""

    @run.on_bar
    async def bar(rates):
        heard.append(rates.close)
        if len(heard) == 3:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            await until_stopped(run)

    @run.on_deinit
    async def deinit(reason):
        heard.append(reason)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="Windows has no signals for one thread")
def test_ctrl_c_ends_a_run_of_async_handlers_inside_a_running_loop():
    """The run is in a thread of its own there, which would go on to its end."""
    run, heard = one(flat(*range(100, 200))), []
    interrupted(run, heard)

    async def inside():
        with pytest.raises(KeyboardInterrupt):
            run.backtest()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(inside())
        loop.close()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [100.0, 101.0, 102.0, "signal"]


def test_a_coroutine_that_is_cancelled_ends_its_run():
    run, heard = one(flat(*range(100, 200))), []

    async def inside():
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(run.arun())

        @run.on_bar
        async def bar(rates):
            heard.append(rates.close)
            if len(heard) == 3:
                loop.call_soon_threadsafe(task.cancel)
                await until_stopped(run)

        run.on_deinit(heard.append)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(inside())  # waits for its threads
    assert heard == [100.0, 101.0, 102.0, "signal"]


def test_what_is_no_order_can_t_be_cancelled_or_changed():
    """As what close_position gives when there is nothing to close."""
    for call in ("cancel_order", "modify_order"):
        run = one(flat(100, 101))
        run.on_bar(lambda bar, run=run, call=call: getattr(run, call)(None))
        with pytest.raises(StrategyError, match=f"{call}: give an order or its id, not None"):
            run.backtest()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("capitol", "unknown argument 'capitol'; did you mean 'capital'"),
        ("stop_loss_pct", r"'stop_loss_pct' is a setting: give it as settings=\{'stop_loss_pct': ...\}"),
    ],
)
def test_an_unknown_argument_of_backtest_is_refused_with_a_hint(name, said):
    with pytest.raises(ConfigError, match=said):
        one(flat(100, 101)).backtest(**{name: 1})


@pytest.mark.parametrize("register", ["on_bar", "on_order", "on_init"])
def test_ctrl_c_ends_the_run_and_goes_on(register):
    keep(BTC, flat(100, 101, 102))
    run, heard = expert(), []

    def interrupt(*_):
        raise KeyboardInterrupt

    run.on_init(symbol=BTC, timeframe="1h")(interrupt if register == "on_init" else lambda: None)
    if register != "on_init":
        getattr(run, register)(interrupt)
    run.on_bar(lambda bar: run.buy(1.0))
    run.on_deinit(heard.append)
    with pytest.raises(KeyboardInterrupt):
        run.backtest()
    assert heard == ["signal"]
    with pytest.raises(StrategyError, match="only while the expert runs"):
        run.buy(1.0)


def test_the_expert_runs_again_after_a_run_that_failed():
    run, broken = one(flat(100, 101)), [True]
    run.on_bar(lambda bar: fail() if broken else None)
    with pytest.raises(StrategyError):
        run.backtest()
    broken.clear()
    assert len(run.backtest().record.time) == 2


def test_close_at_end_closes_before_on_deinit_and_the_last_mark_shows_it():
    run, heard = one(flat(100, 101, 110), fee_taker=0.001), []
    run.on_bar(lambda bar: run.buy(1.0) if bar.close == 100 else None)
    run.on_position(lambda position: heard.append(position.qty))
    run.on_deinit(lambda reason: heard.append((reason, run.account.equity)))
    result = run.backtest(close_at_end=True)
    final = 10_000 + 9 - 0.101 - 0.110
    assert heard == [1.0, 0.0, ("backtest_end", pytest.approx(final))]
    assert result.record.equity[-1] == result.record.balance[-1] == pytest.approx(final)
    assert result.record.exposure[-1] == 0.0
    assert result.trades["exit_time"].notna().all()


def test_what_is_open_at_the_end_is_marked_and_reported_as_open():
    run = one(flat(100, 101, 110))
    run.on_bar(lambda bar: run.buy(1.0) if bar.close == 100 else None)
    record = run.backtest().record
    assert (record.equity[-1], record.balance[-1]) == (10_009.0, 10_000.0)
    assert [(trade.exit_time, trade.pnl) for trade in record.trades] == [(None, 9.0)]


def test_progress_ends_at_one():
    run, told = one(flat(100, 101)), []
    run.backtest(progress=told.append)
    assert told == [1.0]


# -- loss limits (rule 25) ----------------------------------------------------------------------------------------


def test_the_daily_loss_limit_closes_everything_and_resumes_the_next_day():
    keep(ETH, flat(*[10] * 30))
    falling = [*flat(100, 100, 100, 89), *flat(*[88] * 26)]
    keep(BTC, falling)
    run, refused = expert(), []
    run.on_init(symbol=[BTC, ETH], timeframe="1h", daily_loss_limit=10.0, max_positions_per_symbol=2, **FREE)(
        lambda: None
    )

    @run.on_bar
    def bar(rates):
        if not run.position(rates.symbol):
            run.buy(1.0, symbol=rates.symbol)
        if rates.time == at(2) and rates.symbol == BTC:
            run.buy(1.0, 50.0)

    run.on_transaction(lambda order, result: refused.append(result) if isinstance(result, Rejection) else None)
    result = run.backtest(capital=1000.0)
    closed = [
        (fill.symbol, fill.time, fill.price) for fill in result.record.fills if fill.reason == "daily_loss_limit"
    ]
    assert closed == [(BTC, at(4), 88.0), (ETH, at(4), 10.0)]  # 100 -> 89 at the close of 03:00: 11 lost
    entries = [fill.time for fill in result.record.fills if fill.reason == "order" and fill.symbol == BTC]
    assert entries == [at(1), at(0, days=1)]  # the bar that closes at midnight may send again
    assert {one.reason for one in refused} == {"daily_loss_limit"}
    assert result.record.refusals["daily_loss_limit"] == len(refused)
    assert [order.status.value for order in result.record.orders if order.price == 50.0] == ["canceled"]


def test_the_drawdown_limit_closes_everything_and_stops_the_expert():
    bars = [*flat(100, 100, 120, 95, 94, 93, 92)]
    run, heard = one(bars, max_drawdown_pct=0.2), []

    @run.on_bar
    def bar(rates):
        heard.append(rates.close)
        if rates.close == 100 and not run.position():
            run.buy(1.0)

    run.on_deinit(heard.append)
    result = run.backtest(capital=100.0)
    assert heard == [100.0, 100.0, 120.0, "max_drawdown"]  # peak 120; 95 is 20.8 % below it
    assert result.record.stop_reason == "max_drawdown"
    assert [(fill.price, fill.reason.value) for fill in result.record.fills][-1] == (94.0, "max_drawdown")
    assert len(result.record.time) == 5


def test_a_drawdown_at_the_last_bar_is_the_reason_too():
    run = one(flat(100, 100, 70), max_drawdown_pct=0.2)
    run.on_bar(lambda bar: run.buy(1.0) if not run.position() else None)
    result = run.backtest(capital=100.0)
    assert result.record.stop_reason == "max_drawdown"


# -- experts apart ------------------------------------------------------------------------------------------------


def test_two_experts_in_one_process_share_nothing():
    first, second = one(flat(100, 101, 102)), one(flat(100, 101, 102))
    inner = []

    @first.on_bar
    def bar(rates):
        first.buy(1.0)
        if rates.close == 101:
            inner.append(second.backtest())

    second.on_bar(lambda rates: second.sell(2.0))
    result = first.backtest()
    assert [fill.qty for fill in result.record.fills] == [1.0]  # one entry a symbol
    assert [fill.side.value for fill in inner[0].record.fills] == ["sell"]


def test_an_expert_that_runs_can_not_be_run_again_meanwhile():
    run = one(flat(100, 101))
    run.on_bar(lambda bar: run.backtest())
    with pytest.raises(StrategyError, match="the expert is running"):
        run.backtest()


def test_symbols_that_settle_differently_are_refused():
    keep(COIN, flat(100, 101))
    CandleStore().append(market("ETH/USD:ETH"), "1h", candles(flat(10, 11)), source=Source("by hand"))
    run = expert("inverse")
    run.on_init(symbol=[COIN, "ETH/USD:ETH"], timeframe="1h")(lambda: None)
    with pytest.raises(ConfigError, match="settle in different currencies"):
        run.backtest()


def test_a_symbol_given_twice_is_refused():
    keep(BTC, flat(100, 101))
    run = expert()
    run.on_init(symbol=["BTCUSDT", BTC], timeframe="1h")(lambda: None)
    with pytest.raises(ConfigError, match=r"symbol 'BTC/USDT:USDT' is given twice"):
        run.backtest()


def test_more_leverage_than_the_market_has_is_refused():
    run = one(flat(100, 101), leverage=126)
    with pytest.raises(ConfigError, match=r"leverage=126 is above what BTC/USDT:USDT allows: 125"):
        run.backtest()


# -- hard weather -------------------------------------------------------------------------------------------------


def test_an_inverse_round_trip_by_hand():
    """Short 1000 USD from 100 to 80: 1000 * (1/80 - 1/100) = 2.5 BTC, fees 0.001 * (10 + 12.5)."""
    run = one(flat(100, 100, 80), "inverse", COIN, fee_taker=0.001)

    @run.on_bar
    def bar(rates):
        if rates.time == at(0):
            run.sell(1000.0)
        if rates.time == at(1):
            run.close_position()

    record = run.backtest(capital=20.0).record
    assert record.currency == "BTC"
    assert record.equity[-1] == pytest.approx(20 + 2.5 - 0.0225)


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
def test_a_market_that_loses_nearly_everything_wipes_out_no_more_than_there_is(margin_mode):
    run = one(
        flat(100, 100, 10, 0.01, 0.01), exchange={"margin_mode": margin_mode}, leverage=100, fee_taker=0.0005
    )

    @run.on_bar
    def bar(rates):
        if not run.position():
            run.open_position("long", stop_loss=1.0 if rates.close > 1.0 else None)

    result = run.backtest(capital=1000.0)
    assert (result.record.equity > -1e-9).all()
    assert [fill.reason.value for fill in result.record.fills][1] == "liquidation"
    stats = json.loads(result.to_json())["stats"]
    assert stats["final_equity"] == pytest.approx(result.record.equity[-1])
    assert str(result)


def test_dust_is_sold_with_the_rest():
    run = one(flat(*[100] * 12), max_positions_per_symbol=20)
    sizes = iter([0.1, 0.2, 0.7, 0.1, 0.0003])

    @run.on_bar
    def bar(rates):
        size = next(sizes, None)
        if size is not None:
            run.buy(size)
        elif run.position():
            run.close_position()

    record = run.backtest().record
    assert [trade.qty for trade in record.trades] == [1.1003]
    assert record.trades[0].exit_time is not None
    assert len(record.fills) == 6


def test_a_size_that_the_next_open_made_too_dear_is_shrunk_and_said_once():
    run = one(flat(100, 101, 102), size_value=1.0)
    filled = []
    run.on_bar(lambda bar: run.open_position("long") if not run.position() else None)
    run.on_transaction(lambda order, result: filled.append((order.message, isinstance(result, Fill))))
    result = run.backtest(capital=1000.0)
    assert filled == [("shrunk to the free margin", True)]
    assert result.record.fills[0].qty == 9.9009  # 1000 / 101, not 1000 / 100
    assert result.record.refusals == {"size shrunk to the free margin at the fill": 1}


def test_close_and_open_in_one_handler_is_carried_by_what_the_close_sets_free():
    run = one(flat(100, 100, 100, 100), max_positions_per_symbol=5)

    @run.on_bar
    def bar(rates):
        if rates.time == at(0):
            run.buy(10.0)
        if rates.time == at(1):
            run.close_position()
            run.buy(10.0)

    record = run.backtest(capital=1000.0).record
    assert [order.status.value for order in record.orders] == ["filled"] * 3


def test_the_demo_exchange_runs_every_kind_of_market():
    for kind, symbol in (("spot", "BTCUSDT"), ("linear", "BTCUSDT"), ("inverse", "BTCUSD")):
        keywords = {"market_type": "spot"} if kind == "spot" else {"market_type": "futures", "contract_type": kind}
        run = MetaExpert("demo", log_to_console=False, **keywords)
        run.on_init(symbol=symbol, timeframe="4h", lookback_bars=20)(lambda: None)

        @run.on_bar
        def bar(rates, run=run):
            (run.close_position if run.position() else run.buy)()

        result = run.backtest("2024-01-01", "2024-01-10", capital=10.0 if kind == "inverse" else 10_000.0)
        assert len(result.record.time) == 60
        assert len(result.record.trades) == 30
        assert result.record.quality[next(iter(result.record.markets))].synthetic


def test_an_equity_that_no_number_holds_is_refused_with_the_moment():
    """1e14 coins at 1e300 each."""
    keep("BTC/USDT:USDT", flat(10.0, 10.0, 10.0, 1e300, 1e300))
    run = expert("linear")
    run.on_init(symbol="BTC/USDT:USDT", timeframe="1h", warmup_bars=0, size_value=1.0)(lambda: None)
    run.on_bar(lambda bar: None if run.position() else run.open_position("long"))
    with pytest.raises(DataError, match=r"equity overflows at 2024-01-01T04:00.*: prices or sizes are too large"):
        run.backtest(capital=1e15)


@pytest.mark.parametrize(("action", "sold"), [("reduce", 1.0), ("block", 0.0)])
def test_at_a_drawdown_positions_are_halved_or_kept_and_nothing_is_opened(action, sold):
    """2 are bought at 100 and fall to 70, 30 % of 200 lost: halved or kept at the next open, and it goes on."""
    run, heard = one(flat(100, 100, 70, 70, 70), max_drawdown_pct=0.2, limit_action=action), []
    refused = []
    run.on_transaction(lambda order, result: refused.append(getattr(result, "reason", None)))

    @run.on_bar
    def bar(rates):
        heard.append((run.position().qty, rates.close))
        run.buy(2.0 if len(heard) == 1 else 0.1)

    result = run.backtest(capital=200.0)
    assert heard[-1] == (2.0 - sold, 70.0)
    assert refused[-1] == "max_drawdown"
    assert (result.record.stop_reason, len(heard)) == ("max_drawdown", 5)
    assert sum(fill.qty for fill in result.record.fills if fill.side == "sell") == sold
