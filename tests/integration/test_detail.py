"""What happens within a bar: runs whose hours are walked by their quarters, or by recorded trades."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab import HOUR, START, SYMBOLS, candles, expert, flat, keep, market
from test_properties import COMMON, Player, fresh_home, markets, play, scripts, setups
from test_short_way import same

from metaexpert import Backtest, ConfigError, DataError, MetaExpert
from metaexpert.bars import resample, times
from metaexpert.models import ExitReason, Order
from metaexpert.process import MetaProcess
from metaexpert.series import Kind, build
from metaexpert.store import CandleStore, Source

BTC, ETH = SYMBOLS["linear"]
QUARTER = HOUR // 4
CALM = flat(100.0, 100.0, 100.0, 100.0)  # an hour of quarters


def holder(action, *, detail="15m", hours=None, at=0, **own):
    """Run `action` once, at the close of hour `at`; returns the result and what `on_order` heard, with when."""
    run, heard = expert(), []
    plain = {"leverage": 1.0, "fee_taker": 0.0, "fee_maker": 0.0, "max_positions_per_symbol": 9}
    run.on_init(symbol=BTC, timeframe="1h", detail_timeframe=detail, **(plain | own))(lambda: None)
    run.on_order(lambda order: heard.append((run.now().value // 10**6 - START, order)))
    run.on_bar(lambda bar: action(run) if bar.time == START + at * HOUR else None)
    return run.backtest(capital=1000.0), heard


def quarters(*bars):
    """A calm hour, then the quarters `bars`, in the store; the hours are made of them."""
    keep(BTC, [*CALM, *bars], timeframe="15m")


def fills(result):
    """(quarter since START, price, reason) of each fill."""
    return [((fill.time - START) / QUARTER, fill.price, fill.reason) for fill in result.record.fills]


# -- the order of things within a bar -----------------------------------------------------------------------------


def test_a_target_before_the_stop_is_taken_and_no_more_ambiguous():
    """Entry at 100; 104 in the second quarter, 96 in the fourth: the hour alone would count the stop."""
    quarters((100, 101, 100, 101), (101, 104, 101, 103), (103, 103, 100, 100), (100, 100, 96, 97))
    alone, _ = holder(lambda run: run.buy(1.0), detail=None, stop_loss_pct=3.0, take_profit_pct=3.0)
    finer, _ = holder(lambda run: run.buy(1.0), stop_loss_pct=3.0, take_profit_pct=3.0)
    assert fills(alone)[1:] == [(4.0, 97.0, ExitReason.STOP_LOSS)]
    assert fills(finer)[1:] == [(5.0, 103.0, ExitReason.TAKE_PROFIT)]
    assert [trade.ambiguous for trade in (*alone.record.trades, *finer.record.trades)] == [True, False]


def test_a_stop_before_the_target_is_certain():
    quarters((100, 101, 96, 97), (97, 104, 97, 103), (103, 103, 100, 100), (100, 100, 99, 99))
    result, _ = holder(lambda run: run.buy(1.0), stop_loss_pct=3.0, take_profit_pct=3.0)
    assert fills(result)[1:] == [(4.0, 97.0, ExitReason.STOP_LOSS)]
    assert result.record.trades[0].ambiguous is False


def test_one_quarter_that_reaches_both_stays_ambiguous_and_counts_the_stop():
    quarters((100, 101, 100, 101), (101, 104, 96, 100), *flat(100, 100))
    result, _ = holder(lambda run: run.buy(1.0), stop_loss_pct=3.0, take_profit_pct=3.0)
    assert fills(result)[1:] == [(5.0, 97.0, ExitReason.STOP_LOSS)]
    assert result.record.trades[0].ambiguous is True


def test_a_gap_between_two_quarters_fills_at_the_open_beyond_the_stop():
    """99 -> 95: the stop at 97 fills at 95, where the hour alone, which has no gap, gives 97."""
    quarters((100, 100, 99, 99), (95, 96, 94, 95), *flat(95, 95))
    assert fills(holder(lambda run: run.buy(1.0), stop_loss_pct=3.0)[0])[1:] == [(5.0, 95.0, ExitReason.STOP_LOSS)]
    alone, _ = holder(lambda run: run.buy(1.0), detail=None, stop_loss_pct=3.0)
    assert fills(alone)[1:] == [(4.0, 97.0, ExitReason.STOP_LOSS)]


def test_trailing_follows_the_finer_bars_and_leaves_in_the_same_hour():
    """Best price 110 in the second quarter: the stop is 110 x 0.95 = 104.5, reached in the third one."""
    quarters((100, 101, 100, 101), (101, 110, 101, 109), (109, 109, 103, 104), (104, 105, 104, 105), *CALM)
    result, _ = holder(lambda run: run.buy(1.0), trailing_stop_pct=5.0)
    assert fills(result)[1:] == [(6.0, 104.5, ExitReason.TRAILING_STOP)]
    alone, _ = holder(lambda run: run.buy(1.0), detail=None, trailing_stop_pct=5.0)
    assert fills(alone)[1:] == [(8.0, 100.0, ExitReason.TRAILING_STOP)]  # moved by the hour, gapped at the next


def test_trailing_by_finer_bars_can_lose_to_the_hour():
    """103 then 99 stops out at 103 x 0.97 = 99.91; the hour alone holds on and is still there at 120."""
    bars = [(100, 103, 100, 103), (103, 103, 99, 100), (100, 120, 100, 120), (120, 120, 120, 120)]
    quarters(*bars)
    result, _ = holder(lambda run: run.buy(1.0), trailing_stop_pct=3.0)
    assert fills(result)[1:] == [(5.0, 99.91, ExitReason.TRAILING_STOP)]
    alone, _ = holder(lambda run: run.buy(1.0), detail=None, trailing_stop_pct=3.0)
    assert len(alone.record.fills) == 1


def test_breakeven_moves_with_the_quarter_that_reaches_it():
    """+2 % in the first quarter moves the stop to 100, which the third one reaches."""
    quarters((100, 102, 100, 102), (102, 102, 101, 101), (101, 101, 99, 99), *flat(99))
    result, _ = holder(lambda run: run.buy(1.0), breakeven_pct=2.0)
    assert fills(result)[1:] == [(6.0, 100.0, ExitReason.BREAKEVEN)]


def test_an_entry_within_the_hour_then_its_stop():
    """A stop to buy at 103 fills in the second quarter; its stop at 103 x 0.98 = 100.94 in the fourth."""
    quarters((100, 101, 99, 101), (101, 105, 101, 104), (104, 104, 102, 102), (102, 102, 100, 100))
    result, _ = holder(lambda run: run.buy(1.0, stop_price=103.0), stop_loss_pct=2.0)
    assert fills(result) == [(5.0, 103.0, ExitReason.ORDER), (7.0, 100.94, ExitReason.STOP_LOSS)]
    alone, _ = holder(lambda run: run.buy(1.0, stop_price=103.0), detail=None, stop_loss_pct=2.0)
    assert fills(alone) == [(4.0, 103.0, ExitReason.ORDER), (4.0, 100.94, ExitReason.STOP_LOSS)]


@pytest.mark.parametrize(("fill", "count"), [("through", 0), ("touch", 1)])
def test_a_limit_that_is_only_touched_within_the_hour(fill, count):
    quarters((100, 101, 99, 100), (100, 100, 98, 99), *flat(99, 99))
    result, _ = holder(lambda run: run.buy(1.0, price=98.0), limit_fill=fill)
    assert fills(result) == [(5.0, 98.0, ExitReason.ORDER)] * count


def test_what_is_sent_at_a_close_fills_at_the_next_finer_open_which_is_the_next_bar_s():
    quarters((101, 102, 100, 101), *flat(101, 101, 101))
    assert fills(holder(lambda run: run.buy(1.0))[0]) == [(4.0, 101.0, ExitReason.ORDER)]


def test_news_are_told_at_the_finer_bar_s_time_and_an_answer_acts_from_the_next_one():
    """The stop at 97 is hit in the second quarter; a new long sent in answer fills at the open of the third."""
    quarters((100, 100, 99, 99), (99, 99, 96, 97), (98, 98, 98, 98), (99, 99, 99, 99))
    run, heard = expert(), []
    run.on_init(symbol=BTC, timeframe="1h", detail_timeframe="15m", stop_loss_pct=3.0, fee_taker=0.0)(lambda: None)
    run.on_bar(lambda bar: run.buy(1.0) if bar.time == START else None)

    @run.on_transaction
    def told(order: Order, fill) -> None:
        heard.append(((run.now().value // 10**6 - START) // QUARTER, fill.price))
        if fill.reason is ExitReason.STOP_LOSS:
            run.buy(1.0)

    result = run.backtest(capital=1000.0)
    assert heard == [(4, 100.0), (5, 97.0), (6, 98.0)]
    assert [order.created for order in result.record.orders] == [START + HOUR, *[START + 5 * QUARTER] * 2]


def test_funding_within_the_hour_is_paid_by_who_is_open_then():
    """Due half past: the long that the second quarter stopped out pays nothing, the hour alone would charge it."""
    quarters((100, 100, 99, 99), (99, 99, 96, 97), *flat(97, 97))
    time = np.array([START + HOUR + 2 * QUARTER])
    CandleStore().append(market(BTC), "funding", build(Kind.FUNDING, time, [np.array([0.01])]), source=Source("x"))
    paid = [
        holder(lambda run: run.buy(1.0), detail=detail, stop_loss_pct=3.0)[0].record.trades[0].funding
        for detail in ("15m", None)
    ]
    assert paid == [0.0, -1.0]


def test_liquidation_happens_in_its_quarter():
    """10x at 100, 0.5 % maintenance: gone at 100 x 0.9 / 0.995 = 90.45, in the third quarter."""
    quarters((100, 104, 100, 102), (102, 102, 95, 95), (95, 95, 90, 91), *flat(91))
    result, _ = holder(lambda run: run.buy(1.0), leverage=10.0, liquidation_fee_rate=0.0)
    ((_, _, _), (when, price, reason)) = fills(result)
    assert (when, reason) == (6.0, ExitReason.LIQUIDATION)
    assert price == pytest.approx(100 * 0.9 / 0.995, abs=0.01)


def test_timers_run_between_the_finer_bars():
    """One every 30 minutes sees the stop of the first quarter; what it sends fills at the open of the third."""
    quarters((100, 100, 96, 97), (97, 98, 97, 98), (99, 99, 99, 99), (98, 98, 98, 98))
    run, seen = expert(), []
    run.on_init(symbol=BTC, timeframe="1h", detail_timeframe="15m", stop_loss_pct=3.0, fee_taker=0.0)(lambda: None)
    run.on_bar(lambda bar: run.buy(1.0) if bar.time == START else None)

    @run.on_timer(interval=1800)
    def timer() -> None:
        seen.append(((run.now().value // 10**6 - START) // QUARTER, run.position().qty, len(run.rates())))
        if seen[-1][0] == 6:
            run.buy(1.0)

    result = run.backtest(capital=1000.0)
    assert seen == [(2, 0.0, 0), (4, 0.0, 1), (6, 0.0, 1), (8, 1.0, 2)]
    assert fills(result)[-1] == (6.0, 99.0, ExitReason.ORDER)


# -- what finer bars lack -----------------------------------------------------------------------------------------


def both(hours, finer):
    """Put hours and quarters of their own into the store."""
    keep(BTC, hours)
    CandleStore().append(market(BTC), "15m", finer, source=Source("finer"))


HOURS = [(100, 100, 100, 100), (100, 104, 96, 97), (97, 97, 97, 97)]
TARGET_FIRST = [(100, 104, 100, 103), (103, 103, 100, 100), (100, 100, 96, 97), (97, 97, 97, 97)]


@pytest.mark.parametrize(
    ("quarter", "bar"),
    [
        (4, None),  # its first one is missing, and with it the open
        (6, (100, 100, 95, 97)),  # its low is not that of the hour
        (4, (100, 105, 100, 103)),
        (7, (97, 97, 96.5, 96.5)),
    ],
)
def test_an_hour_that_its_quarters_do_not_make_up_is_walked_as_it_is(quarter, bar):
    bars = [*CALM, *TARGET_FIRST, *flat(97, 97, 97, 97)]
    frame = candles(bars, timeframe="15m")
    both(HOURS, frame)
    right, _ = holder(lambda run: run.buy(1.0), stop_loss_pct=3.0, take_profit_pct=3.0)
    assert fills(right)[1:] == [(4.0, 103.0, ExitReason.TAKE_PROFIT)]
    assert not [note for note in right.record.notes if "made up" in note]
    if bar is None:
        frame = frame.drop(index=frame.index[quarter])
    else:
        bars[quarter] = bar
        frame = candles(bars, timeframe="15m")
    both(HOURS, frame)
    wrong, _ = holder(lambda run: run.buy(1.0), stop_loss_pct=3.0, take_profit_pct=3.0)
    assert fills(wrong)[1:] == [(4.0, 97.0, ExitReason.STOP_LOSS)]
    assert [note for note in wrong.record.notes if "1 of 3 1h bars are not made up by their 15m bars" in note]


def test_a_quarter_in_which_nobody_traded_is_no_lack():
    """Exchanges leave out bars without trades: the hour's prices are all there."""
    frame = candles([*CALM, *TARGET_FIRST, *flat(97, 97, 97, 97)], timeframe="15m")
    both(HOURS, frame.drop(index=[frame.index[5], frame.index[9]]))
    result, _ = holder(lambda run: run.buy(1.0), stop_loss_pct=3.0, take_profit_pct=3.0)
    assert fills(result)[1:] == [(4.0, 103.0, ExitReason.TAKE_PROFIT)]


def test_no_finer_bars_at_all_are_an_error():
    keep(BTC, HOURS)
    with pytest.raises(DataError, match="no 15m candles"):
        holder(lambda run: None)
    with pytest.raises(DataError, match="no trades of BTC/USDT:USDT from local; import them"):
        holder(lambda run: None, detail="trades")


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"detail_timeframe": "1h"}, "does not divide 1h bars"),
        ({"detail_timeframe": "2h"}, "does not divide 1h bars"),
        ({"detail_timeframe": "8h", "timeframe": "12h"}, "does not divide 12h bars"),
        ({"detail_timeframe": "1 minute"}, "did you mean '1m'"),
        ({"tick_model": "ticks"}, "use one of detail, ohlc, open, trades"),
        ({"tick_model": "detail"}, "needs finer bars"),
        ({"tick_model": "detail", "detail_timeframe": "trades"}, "needs finer bars"),
        ({"tick_model": "trades", "detail_timeframe": "1m"}, "needs the recorded trades"),
        ({"tick_model": "ohlc", "detail_timeframe": "1m"}, "leave tick_model out"),
    ],
)
def test_settings_that_can_t_work_are_refused(own, said):
    with pytest.raises(ConfigError, match=said):
        MetaExpert("demo").on_init(symbol="BTCUSDT", **({"timeframe": "1h"} | own))(lambda: None)


@pytest.mark.parametrize("own", [{"detail_timeframe": "15m"}, {"tick_model": "open"}])
def test_the_kernel_refuses_what_happens_within_a_bar(own):
    with pytest.raises(ConfigError, match=f"{next(iter(own))} is modelled by the event path alone"):
        Backtest.from_signals(candles(flat(*[100.0] * 9)), [True] * 9, **own)


def test_a_handler_s_shorter_bars_must_be_divided_too():
    keep(BTC, [*CALM, *CALM], timeframe="15m")
    run = expert()
    run.on_init(symbol=BTC, timeframe="1h", detail_timeframe="30m")(lambda: None)
    run.on_bar(timeframe="15m")(lambda bar: None)
    with pytest.raises(ConfigError, match="does not divide 15m bars"):
        run.backtest()


def test_coarser_mark_prices_leave_liquidation_to_the_finer_prices_and_say_so():
    quarters((100, 100, 90, 95), *flat(95, 95, 95))
    marks = candles([(100, 100, 99, 100), (100, 100, 98, 99)], volume=0.0)
    CandleStore().append(market(BTC), "mark-1h", marks, source=Source("x"))
    result, _ = holder(lambda run: run.buy(1.0), leverage=10.0)
    assert fills(result)[1][2] is ExitReason.LIQUIDATION
    assert [note for note in result.record.notes if "mark prices are known by 1h alone" in note]
    fine = candles([*CALM, *flat(100, 100, 100, 100)], timeframe="15m", volume=0.0)
    CandleStore().append(market(BTC), "mark-15m", fine, source=Source("x"))
    result, _ = holder(lambda run: run.buy(1.0), leverage=10.0)
    assert (len(result.record.fills), [note for note in result.record.notes if "mark prices" in note]) == (1, [])


def test_the_data_digest_tells_the_finer_bars():
    quarters(*TARGET_FIRST)
    digests = {holder(lambda run: None, detail=detail)[0].record.data for detail in (None, "15m", "30m")}
    assert len(digests) == 3


# -- recorded trades ----------------------------------------------------------------------------------------------


def trades(*rows):
    """Hours made of trades (minute within the second hour, price), after one calm hour with one trade; stored."""
    when = np.array([START, *(START + HOUR + int(minute * 60_000) for minute, _ in rows)])
    price = np.array([100.0, *(price for _, price in rows)])
    made = build(Kind.TRADES, when, [price, np.ones(price.size), np.zeros(price.size, dtype=np.int8)])
    prices = [price for _, price in rows]
    keep(BTC, [*flat(100.0), (prices[0], max(prices), min(prices), prices[-1])])
    CandleStore().append(market(BTC), "trades", made, source=Source("trades"))


def minutes(result):
    """(minute within the second hour, price, reason) of each fill."""
    return [((fill.time - START - HOUR) / 60_000, fill.price, fill.reason) for fill in result.record.fills]


def test_trades_are_walked_one_by_one():
    """The target at 103 is traded through at minute 7, before the stop."""
    trades((0, 100), (2, 101), (7, 103.5), (9, 96), (50, 97))
    result, _ = holder(lambda run: run.buy(1.0), detail="trades", stop_loss_pct=3.0, take_profit_pct=3.0)
    assert minutes(result) == [(0.0, 100.0, ExitReason.ORDER), (7.0, 103.5, ExitReason.TAKE_PROFIT)]
    assert result.record.trades[0].ambiguous is False


def test_trades_of_options_are_refused():
    call = SYMBOLS["option"][0]
    keep(call, flat(10, 10, 10, 10))
    run = expert("option")
    run.on_init(symbol=call, timeframe="1h", detail_timeframe="trades")(lambda: None)
    with pytest.raises(ConfigError, match="detail_timeframe='trades' can't walk options"):
        run.backtest()


def test_a_stop_fills_at_the_first_trade_beyond_it():
    """Nobody traded at 97: from 99 the market jumped to 96."""
    trades((0, 100), (2, 99), (2, 98.5), (2, 96), (9, 103), (50, 97))
    result, _ = holder(lambda run: run.buy(1.0), detail="trades", stop_loss_pct=3.0, take_profit_pct=3.0)
    assert minutes(result)[1:] == [(2.0, 96.0, ExitReason.STOP_LOSS)]


@pytest.mark.parametrize(("fill", "minute"), [("through", 12.0), ("touch", 5.0)])
def test_a_limit_among_trades(fill, minute):
    """98 is touched at minute 5 and traded through, at 97.5, at minute 12: what rested at 98 was taken first."""
    trades((0, 100), (5, 98), (12, 97.5), (50, 99))
    result, _ = holder(lambda run: run.buy(1.0, price=98.0), detail="trades", limit_fill=fill)
    assert minutes(result) == [(minute, 98.0, ExitReason.ORDER)]


def test_an_answer_to_news_of_a_trade_acts_from_the_next_moment():
    """Two more trades have the time of the one that stopped it out: the new order waits for the next one."""
    trades((0, 100), (2, 96), (2, 95), (2, 94), (3, 93), (50, 94))
    run = expert()
    own = {"stop_loss_pct": 3.0, "fee_taker": 0.0, "detail_timeframe": "trades"}
    run.on_init(symbol=BTC, timeframe="1h", **own)(lambda: None)
    run.on_bar(lambda bar: run.buy(1.0) if bar.time == START else None)
    run.on_transaction(lambda order, fill: run.sell(1.0) if fill.reason is ExitReason.STOP_LOSS else None)
    assert [row[:2] for row in minutes(run.backtest(capital=1000.0))] == [(0.0, 100.0), (2.0, 96.0), (3.0, 93.0)]


def test_a_bar_that_another_symbol_keeps_from_being_quiet_may_do_nothing_inside():
    """BTC's candles end while it is held, short and in cross mode, and what ETH loses moves its level."""
    keep(BTC, flat(*[100.0] * 8), timeframe="15m")
    keep(ETH, flat(*[100.0] * 16), timeframe="15m")
    run, heard = expert(margin_mode="cross"), []
    run.on_init(symbol=[BTC, ETH], timeframe="1h", leverage=2.0, detail_timeframe="15m")(lambda: None)

    @run.on_bar
    def bar(rates):
        heard.append((rates.symbol[:3], rates.time - START))
        if rates.time == START:
            run.sell(1.0, symbol=BTC)
            run.buy(1.0, symbol=ETH)
        elif rates.time == START + HOUR and rates.symbol == ETH:
            run.sell(1.0, symbol=ETH)

    run.backtest(capital=1000.0)
    assert heard[-2:] == [("ETH", 2 * HOUR), ("ETH", 3 * HOUR)]


# -- properties ---------------------------------------------------------------------------------------------------


def acts(run, script):
    """Let a random script act at the closes of the hours, and only there."""
    player = Player(run, [one for one in script if not one.on_fill], 1000.0)
    run.on_bar(player.on_bar)


def walked(kind, exchange, own, script, symbols, *, detail):
    """Run a script on hours; walked by the quarters, or on the quarters themselves."""
    run = expert(kind, **exchange)
    settings = own | {"detail_timeframe": "15m" if detail else None}
    run.on_init(symbol=list(symbols), **settings)(lambda: None)
    acts(run, script)
    if not detail:
        run.on_bar(timeframe="15m")(lambda bar: None)
    return run.backtest(capital=10.0 if kind == "inverse" else 1000.0)


LIMITS = ("max_drawdown_pct", "daily_loss_limit")  # looked at with every bar of a run, finer ones in the other


@settings(COMMON, max_examples=40)
@given(setups(kinds=("spot", "linear", "inverse")), markets(8, 60), markets(8, 60), scripts(20))
def test_hours_walked_by_quarters_equal_a_run_on_the_quarters(setup, bars, other, script):
    """Same fills at the same moments, same trades, same equity at the closes of the hours."""
    kind, exchange, own, _ = setup
    own = {name: value for name, value in own.items() if name not in LIMITS}
    symbols = SYMBOLS[kind]
    with fresh_home():
        for symbol, prices in zip(symbols, (bars, other), strict=False):
            whole = prices[: len(prices) // 4 * 4]
            keep(symbol, whole, timeframe="15m")
        one = walked(kind, exchange, own, script, symbols, detail=True).record
        two = walked(kind, exchange, own, script, symbols, detail=False).record
    assert one.fills == two.fills
    assert [(order.id, order.status, order.filled) for order in one.orders] == [
        (order.id, order.status, order.filled) for order in two.orders
    ]
    assert one.trades == two.trades
    at = np.searchsorted(two.time, one.time)
    assert np.array_equal(two.time[at], one.time)
    assert np.array_equal(two.equity[at], one.equity)


@settings(COMMON, max_examples=30)
@given(setups(), markets(8, 40), markets(8, 40), scripts(20), st.sampled_from([None, "15m"]), st.booleans())
def test_the_short_way_skips_only_what_it_may(setup, bars, other, script, detail, has_timer):
    """Quiet hours, and quiet quarters, are let pass: everything is as if each had been walked."""
    kind, exchange, own, close = setup

    def once():
        run = expert(kind, **exchange)
        run.on_init(symbol=list(SYMBOLS[kind]), **(own | {"detail_timeframe": detail}))(lambda: None)
        player = Player(run, script, 1000.0)
        run.on_bar(player.on_bar)
        run.on_transaction(player.on_transaction)
        if has_timer:
            run.on_timer(interval=1000)(lambda: None)
        return run.backtest(capital=10.0 if kind == "inverse" else 1000.0, close_at_end=close).record

    with fresh_home(), pytest.MonkeyPatch.context() as patch:
        for symbol, prices in zip(SYMBOLS[kind], (bars, other), strict=False):
            keep(symbol, prices[: len(prices) // 4 * 4], timeframe="15m")
        if kind == "option":
            keep("BTC/USDT", bars, timeframe="15m")
        short = once()
        patch.setattr(MetaProcess, "lets_pass", False)
        patch.setattr("metaexpert.detail.Detail.first_beyond", lambda self, within, *bounds: within.start)
        same(short, once())


@settings(COMMON, max_examples=25)
@given(setups(), markets(8, 40), markets(8, 40), scripts())
def test_the_books_agree_at_every_event_within_the_bar(setup, bars, other, script):
    """Cash + positions - fees + funding = equity, at the finer moments too; fills lie in their hour."""
    kind, exchange, own, close = setup
    setup = kind, exchange, own | {"detail_timeframe": "15m"}, close
    frames = {}

    def keep_quarters(symbol, prices):
        frames[symbol] = resample(candles(prices[: len(prices) // 4 * 4], timeframe="15m"), "1h", source="15m")
        keep(symbol, prices[: len(prices) // 4 * 4], timeframe="15m")

    with fresh_home(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("test_properties.keep", keep_quarters)
        patch.setattr("lab.Auditor.sent", lambda self, order: None)  # orders sent within the hour act within it
        result, auditor = play(setup, bars, script, other=other, auditor=True)
    hourly = {symbol: Hourly(frame) for symbol, frame in frames.items()}
    auditor.conclude(result, hourly)


class Hourly:
    """Looks an hour up by any moment within it."""

    def __init__(self, frame):
        self.index = frame.index
        self.loc = self
        self._frame = frame

    def __getitem__(self, moment):
        return self._frame.loc[pd.Timestamp(moment).floor("h")]


def test_the_demo_exchange_has_minutes_within_its_days():
    """Two years would be long; a month of days, walked by minutes, twice: the same bytes, and other exits."""

    def once(detail):
        run = MetaExpert("demo", market_type="futures", log_to_console=False)
        own = {"stop_loss_pct": 1.0, "take_profit_pct": 1.0, "leverage": 2}
        run.on_init(symbol="BTCUSDT", timeframe="1d", detail_timeframe=detail, **own)(lambda: None)
        run.on_bar(lambda bar: None if run.position() else run.open_position("long"))
        return run.backtest("2024-01-01", "2024-01-31")

    first, second, alone = once("1m"), once("1m"), once(None)
    assert first.to_json() == second.to_json()
    won = [sum(trade.net_pnl > 0 for trade in result.record.trades) for result in (first, alone)]
    assert won[0] > won[1]
    assert sum(trade.ambiguous for trade in alone.record.trades) > 0
    assert sum(trade.ambiguous for trade in first.record.trades) == 0
    assert {fill.time % 86_400_000 for fill in first.record.fills} - {0}
    assert times(first.record.bars["BTC/USDT:USDT"]).size == len(first.record.time)
