"""Ticks in a backtest: which are told, when, what is known at each, and from when an order acts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab import HOUR, START, SYMBOLS, candles, expert, flat, keep, market
from test_detail import BTC, ETH, QUARTER, quarters, trades
from test_properties import COMMON, Player, fresh_home, markets, scripts, setups

from metaexpert import ConfigError
from metaexpert.models import ExitReason
from metaexpert.store import CandleStore, Source


def listening(act=lambda run, tick: None, *, symbol=BTC, on_bar=lambda run, bar: None, **own):
    """Run an expert that hears ticks; returns the result and ((minutes since START, price), ...) of all ticks."""
    run, heard = expert(), []
    plain = {"fee_taker": 0.0, "fee_maker": 0.0, "max_positions_per_symbol": 9, "max_open_positions": 9}
    run.on_init(symbol=symbol, timeframe="1h", **(plain | own))(lambda: None)
    run.on_bar(lambda bar: on_bar(run, bar))

    @run.on_tick
    def tick(one) -> None:
        heard.append(((one.time - START) / 60_000, one.last))
        act(run, one)

    return run.backtest(capital=1000.0), heard


def minutes(result):
    """(minutes since START, price) of each fill."""
    return [((fill.time - START) / 60_000, fill.price) for fill in result.record.fills]


# -- which ticks are told -----------------------------------------------------------------------------------------


def test_the_four_prices_of_a_bar_at_its_quarters():
    """Without a position a rising bar dips first, a falling one peaks first."""
    keep(BTC, [(100, 110, 90, 105), (105, 110, 90, 95)])
    assert listening()[1] == [
        (0, 100), (15, 90), (30, 110), (45, 105),
        (60, 105), (75, 110), (90, 90), (105, 95),
    ]  # fmt: skip


@pytest.mark.parametrize(("side", "prices"), [("long", [105, 90, 110, 95]), ("short", [105, 110, 90, 95])])
def test_the_worst_price_for_the_position_comes_first(side, prices):
    keep(BTC, [*flat(105.0), (105, 110, 90, 95)])
    _, heard = listening(on_bar=lambda run, bar: None if run.position() else run.open_position(side))
    assert [price for _, price in heard[2:]] == prices


def test_a_price_at_which_the_market_stands_already_is_not_told_again():
    keep(BTC, [(100, 100, 100, 100), (100, 110, 100, 110), (110, 110, 100, 105)])
    assert [price for _, price in listening()[1]] == [100, 100, 100, 110, 110, 100, 105]


def test_behind_an_entry_within_the_bar_the_better_extreme_is_not_told():
    """The limit at 95 fills on the way down; whether 110 came before it is not known: the worst is that it did."""
    keep(BTC, [*flat(100.0), (100, 110, 90, 105)])
    result, heard = listening(on_bar=lambda run, bar: run.buy(1.0, price=95.0), take_profit_pct=12.0)
    assert heard[2:] == [(60, 100), (75, 90), (90, 105)]
    assert minutes(result) == [(60, 95)]


def test_one_tick_a_bar_at_its_open():
    keep(BTC, [(100, 110, 90, 105), (105, 110, 90, 95)])
    assert listening(tick_model="open")[1] == [(0, 100), (60, 105)]


def test_the_four_prices_of_each_finer_bar():
    quarters((100, 104, 98, 101), *flat(101, 102, 103))
    heard = listening(detail_timeframe="15m")[1][8:]
    assert heard[:6] == [(60, 100), (63.75, 98), (67.5, 104), (71.25, 101), (75, 101), (78.75, 101)]
    assert [price for _, price in heard[6:]] == [102, 102, 103, 103]
    assert listening(detail_timeframe="15m", tick_model="detail")[1][8:] == heard
    assert listening(detail_timeframe="15m", tick_model="open")[1] == [(0, 100), (60, 100)]


def test_trades_of_one_moment_are_one_tick():
    trades((0, 100), (2, 101), (2, 102), (2, 103), (9, 96))
    qty = []
    _, heard = listening(lambda run, tick: qty.append(tick.qty), detail_timeframe="trades")
    assert heard == [(0, 100), (60, 100), (62, 103), (69, 96)]
    assert qty == [1, 1, 3, 1]
    assert listening(detail_timeframe="trades", tick_model="open")[1] == [(0, 100), (60, 100)]


def test_a_tick_says_what_a_candle_knows():
    """No spread is known: bid and ask are the price; a price of a candle has no quantity."""
    keep(BTC, [(100, 110, 90, 105)])
    seen = []
    listening(lambda run, tick: seen.append(tick))
    assert {(one.bid == one.ask == one.last, one.qty, one.symbol) for one in seen} == {(True, 0.0, BTC)}


def test_ticks_of_several_symbols_come_in_the_order_of_time():
    keep(BTC, [(100, 110, 90, 105)] * 2)
    keep(ETH, [(10, 11, 9, 9.5)] * 2)
    order = []
    listening(lambda run, tick: order.append((tick.time, tick.symbol)), symbol=[BTC, ETH])
    assert order == [(START + number * QUARTER, symbol) for number in range(8) for symbol in (BTC, ETH)]


# -- what is known, and from when an order acts -------------------------------------------------------------------


def test_an_order_of_a_tick_fills_at_the_next_tick_s_price():
    """Sent at the open, 100, it arrives at the low, 90; sent at the close it fills at the next open."""
    keep(BTC, [(100, 110, 90, 105), (107, 107, 107, 107)])

    def act(run, tick):
        if (tick.time - START) / 60_000 in (0, 45):
            run.buy(1.0)

    assert minutes(listening(act)[0]) == [(15, 90), (60, 107)]


def test_a_stop_of_a_tick_is_not_filled_on_the_way_to_the_next_one():
    """A stop to sell at 95, sent at 100, meets the market at 90: it is beyond it there, as behind a gap."""
    keep(BTC, [*flat(100.0), (100, 110, 90, 105)])

    def act(run, tick):
        if tick.time == START + HOUR:
            run.sell(1.0, stop_price=95.0)

    assert minutes(listening(act)[0]) == [(75, 90)]


def test_a_limit_of_a_tick_takes_what_is_better_on_arrival_and_rests_otherwise():
    keep(BTC, [*flat(100.0), (100, 110, 90, 105)])

    def act(run, tick):
        if tick.time == START + HOUR:
            run.buy(1.0, price=95.0)
            run.sell(2.0, price=108.0)

    result, _ = listening(act)
    assert minutes(result) == [(75, 90), (75, 108)]
    assert [fill.is_maker for fill in result.record.fills] == [False, True]


def test_levels_changed_by_a_tick_hold_from_there_on():
    """Long from 100: at the low, 90, the target is set to 106, which the way to the high reaches."""
    keep(BTC, [*flat(100.0), (100, 110, 90, 105)])

    def act(run, tick):
        if tick.last == 90:
            run.modify_position(take_profit=106.0)

    result, _ = listening(act, on_bar=lambda run, bar: None if run.position() else run.buy(1.0))
    assert minutes(result)[:2] == [(60, 100), (75, 106)]


def test_cancelling_at_a_tick_keeps_an_order_from_the_rest_of_the_bar():
    keep(BTC, [*flat(100.0), (100, 110, 90, 105)])

    def act(run, tick):
        if tick.last == 90:
            run.cancel_all_orders()

    result, _ = listening(act, on_bar=lambda run, bar: run.sell(1.0, price=108.0))
    assert result.record.fills == []


def test_a_position_of_a_tick_is_protected_at_once():
    """Bought on arrival at 90 with a stop 5 % below and a target 10 % above: 99, on the way to the high."""
    keep(BTC, [*flat(100.0), (100, 110, 90, 105), *flat(105)])

    def act(run, tick):
        if tick.time == START + HOUR:
            run.buy(1.0)

    result, _ = listening(act, stop_loss_pct=5.0, take_profit_pct=10.0)
    assert minutes(result) == [(75, 90), (75, 99)]
    assert result.record.fills[1].reason is ExitReason.TAKE_PROFIT


def test_trailing_of_a_position_of_a_tick_begins_at_what_comes_after_it():
    """Falling bar: 110 before 90. Bought at the low, it has seen 95 at best: the stop is 95 x 0.98, not 107.8."""
    keep(BTC, [*flat(100.0), (100, 110, 90, 95), (94, 94, 94, 94), (93, 93, 93, 93)])

    def act(run, tick):
        if tick.last == 110:
            run.buy(1.0)

    result, _ = listening(act, trailing_stop_pct=2.0)
    assert minutes(result) == [(90, 90), (180, 93)]


def test_at_a_tick_the_bar_it_lies_in_is_not_known():
    """Rates, indicators, the mark, the account and the clock: at each tick only what was told so far."""
    keep(BTC, [*flat(100.0), (100, 110, 90, 105), (105, 120, 80, 100)])
    run, seen = expert(), []

    @run.on_init(symbol=BTC, timeframe="1h", fee_taker=0.0)
    def init():
        run.high = run.indicator(lambda bars: bars["high"])

    run.on_bar(lambda bar: None if run.position() else run.buy(1.0))

    @run.on_tick
    def tick(one) -> None:
        known = run.rates()
        assert run.now().value // 10**6 == one.time
        assert all(time.value // 10**6 + HOUR <= one.time for time in known.index)
        if run.position():
            assert run.position().mark_price == one.last
            assert run.account.equity == 1000.0 + one.last - 100.0
        if len(known):
            assert run.high[-1] == known["high"].iloc[-1]
        seen.append((one.last, len(known)))

    run.backtest(capital=1000.0)
    assert seen == [(100, 0)] * 2 + [(p, 1) for p in (100, 90, 110, 105)] + [(p, 2) for p in (105, 80, 120, 100)]


def test_a_tick_sees_nothing_of_an_option_s_underlying_but_its_open():
    """The margin of a sold call rises with S, whose high of 150 comes within the hour: no tick may tell it."""
    call = SYMBOLS["option"][0]
    keep("BTC/USDT", [(100, 150, 100, 100)] * 4)
    keep(call, flat(10, 10, 10, 10))
    run, margins = expert("option"), []
    run.on_init(symbol=call, timeframe="1h", fee_taker=0.0)(lambda: None)
    run.on_bar(lambda bar: None if run.position() else run.sell(1.0))
    run.on_tick(lambda tick: margins.append(run._process.broker.ledger.holdings[call].maintenance()))
    run.backtest(capital=1000.0)
    assert [round(one, 6) for one in margins] == [0.0] * 2 + [7.5] * 6  # 7.5 % of an S of 100


def test_no_more_ticks_once_the_run_is_stopped():
    keep(BTC, [(100, 110, 90, 105)] * 3)
    result, heard = listening(lambda run, tick: run.stop("enough"))
    assert (heard, result.record.stop_reason) == ([(0, 100)], "enough")


def test_an_error_in_a_tick_goes_to_on_error():
    keep(BTC, [(100, 110, 90, 105)])
    run, errors = expert(), []
    run.on_init(symbol=BTC, timeframe="1h")(lambda: None)
    run.on_error(lambda error: errors.append(str(error)))

    @run.on_tick
    async def tick(one) -> None:
        raise ValueError(one.last)

    run.backtest()
    assert len(errors) == 4
    assert errors[1].startswith("on_tick failed at 2024-01-01 00:15 UTC: ValueError: 90.0")


def test_hedge_mode_needs_ticks_that_have_one_order():
    """Two positions have no common worst order of prices; trades and opens have one."""
    trades((0, 100), (2, 96), (9, 97))
    CandleStore().append(market(BTC), "30m", candles([*flat(100, 100)], timeframe="30m"), source=Source("x"))

    def hear(**own):
        run, heard = expert(position_mode="hedge"), []
        run.on_init(symbol=BTC, timeframe="1h", **own)(lambda: None)
        run.on_tick(lambda tick: heard.append(tick.last))
        run.on_bar(lambda bar: (run.buy(1.0), run.sell(1.0)))
        run.backtest()
        return heard

    for own in ({}, {"detail_timeframe": "30m"}):
        with pytest.raises(ConfigError, match="set tick_model='open', or detail_timeframe='trades'"):
            hear(**own)
    assert hear(tick_model="open") == [100, 100]
    assert hear(detail_timeframe="trades") == [100, 100, 96, 97]


# -- properties ---------------------------------------------------------------------------------------------------


@settings(COMMON, max_examples=40)
@given(setups(), markets(8, 40), scripts(20), st.sampled_from([None, "15m"]))
def test_a_handler_of_ticks_that_does_nothing_changes_nothing(setup, bars, script, detail):
    """But for the moments of fills within a bar, which become finer (and which put several symbols in order)."""
    kind, exchange, own, close = setup
    ticks = "open" if exchange.get("position_mode") == "hedge" else None

    def once(*, hears):
        run = expert(kind, **exchange)
        settings_ = own | {"detail_timeframe": detail, "tick_model": ticks}
        run.on_init(symbol=SYMBOLS[kind][0], **settings_)(lambda: None)
        player = Player(run, [one for one in script if not one.on_fill], 1000.0)
        run.on_bar(player.on_bar)
        if hears:
            run.on_tick(lambda tick: None)
        record = run.backtest(capital=10.0 if kind == "inverse" else 1000.0, close_at_end=close).record
        fills = [
            fill._replace(time=fill.time // QUARTER if detail else fill.time // HOUR) for fill in record.fills
        ]
        trades_ = [trade._replace(entry_time=0, exit_time=None) for trade in record.trades]
        return fills, trades_, record.equity.tolist(), record.notes, record.stop_reason

    with fresh_home():
        keep(SYMBOLS[kind][0], bars[: len(bars) // 4 * 4], timeframe="15m")
        if kind == "option":
            keep("BTC/USDT", bars, timeframe="15m")
        assert once(hears=True) == once(hears=False)


@settings(COMMON, max_examples=30)
@given(setups(), markets(4, 12), markets(4, 12), scripts(15), st.sampled_from([None, "open", "15m"]), st.data())
def test_the_future_is_not_known_at_a_tick(setup, bars, future, script, how, data):
    """Runs over the same prices up to a quarter, any others after it: ticks up to there are told the same account.

    The script acts at ticks. Within the bar that is cut only its open is common to both, or its finer bars.
    """
    kind, exchange, own, _ = setup
    if exchange.get("position_mode") == "hedge":
        how = "open"
    fine = {"detail_timeframe": "15m"} if how == "15m" else {"tick_model": how}
    split = data.draw(st.integers(1, len(bars) // 4 * 4))

    def told(prices):
        run, heard = expert(kind, **exchange), []
        run.on_init(symbol=SYMBOLS[kind][0], **(own | fine))(lambda: None)
        player = Player(run, script, 1000.0)
        ticks = []

        @run.on_tick
        def tick(one) -> None:
            ticks.append(one)
            heard.append((one, run.account, run.positions, run.orders, len(run.rates())))
            player.bar = len(ticks) % 8
            for action in script:
                if action.bar == player.bar:
                    player.do(action)

        keep(SYMBOLS[kind][0], prices[: len(prices) // 4 * 4], timeframe="15m")
        run.backtest(capital=10.0 if kind == "inverse" else 1000.0)
        cut = START + (split * QUARTER if how == "15m" else split // 4 * HOUR)
        return [one for one in heard if one[0].time < cut]

    with fresh_home():
        if kind == "option":
            keep("BTC/USDT", bars, timeframe="15m")
        assert told(bars) == told([*bars[:split], *future])


def test_recorded_trades_make_the_same_run_twice():
    trades(*((minute, 100 + minute % 7) for minute in range(0, 60, 3)))

    def once():
        return listening(lambda run, tick: run.buy(0.1), detail_timeframe="trades", stop_loss_pct=2.0)

    (first, heard), (second, again) = once(), once()
    assert first.to_json() == second.to_json()
    assert heard == again
    assert len(heard) == 21
