"""Sizes, the market's limits, entry filters and loss limits: by hand, and properties that hold for all numbers."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert import rules
from metaexpert.models import ContractType, Market, MarketType, Order, OrderType, Side, SizeType
from metaexpert.risk import (
    EntryFilters,
    EntryState,
    LossLimits,
    Refusal,
    SizeRequest,
    conform,
    entry_refusal,
    insufficient_margin,
    size,
)
from metaexpert.timeframe import DAY_MS

HOUR_MS = 3_600_000
MONDAY = 1_704_067_200_000  # 2024-01-01 00:00 UTC

LINEAR = Market(
    symbol="BTC/USDT:USDT",
    exchange="demo",
    type=MarketType.FUTURES,
    contract_type=ContractType.LINEAR,
    base="BTC",
    quote="USDT",
    settle="USDT",
    price_tick=0.5,
    qty_step=0.01,
    min_qty=0.02,
    max_qty=50.0,
    min_notional=10.0,
    max_notional=10_000.0,
    max_leverage=125.0,
)
INVERSE = replace(
    LINEAR,
    symbol="BTC/USD:BTC",
    contract_type=ContractType.INVERSE,
    quote="USD",
    settle="BTC",
    qty_step=1.0,
    min_qty=1.0,
    max_qty=1_000_000.0,
    max_notional=None,
)


def order(side: Side = Side.BUY, qty: float = 1.0, **changes) -> Order:
    price, stop_price = changes.get("price"), changes.get("stop_price")
    kind = {
        (False, False): OrderType.MARKET,
        (True, False): OrderType.LIMIT,
        (False, True): OrderType.STOP,
        (True, True): OrderType.STOP_LIMIT,
    }[price is not None, stop_price is not None]
    return Order(id="1", symbol=LINEAR.symbol, side=side, type=kind, qty=qty, **changes)


def reason(answer: object) -> str:
    """The code of a refusal; anything else fails the test."""
    assert isinstance(answer, Refusal), answer
    assert answer.message
    assert "\n" not in answer.message
    return answer.reason


# --- rule 11: the market's steps and limits -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "asked", "rounded"),
    [
        (Side.BUY, {"price": 100.3}, {"price": 100.0}),  # a limit buy down to the tick of 0.5
        (Side.SELL, {"price": 100.3}, {"price": 100.5}),  # a limit sell up
        (Side.BUY, {"stop_price": 100.3}, {"stop_price": 100.5}),  # a stop away from the market
        (Side.SELL, {"stop_price": 100.3}, {"stop_price": 100.0}),
        (Side.BUY, {"price": 101.3, "stop_price": 100.3}, {"price": 101.0, "stop_price": 100.5}),
    ],
)
def test_orders_are_rounded_to_the_steps(side, asked, rounded):
    """Quantities down to 0.01, prices to the tick, on the side that never costs more than asked."""
    answer = conform(order(side, 1.239, **asked), LINEAR, None, 0.0)
    assert isinstance(answer, Order)
    assert answer.qty == 1.23
    assert {name: getattr(answer, name) for name in rounded} == rounded


def test_conforming_twice_changes_nothing():
    """What is conform stays as it is."""
    once = conform(order(qty=0.29, price=99.5), LINEAR, None, 0.0)
    assert isinstance(once, Order)
    assert conform(once, LINEAR, None, 0.0) == once


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"qty": 0.009}, "below_min_qty"),  # below one step
        ({"qty": 0.019}, "below_min_qty"),  # 0.01 after rounding; 0.02 is the minimum
        ({"qty": 50.01}, "above_max_qty"),
        ({"qty": 0.09}, "below_min_notional"),  # 0.09 * 100 = 9 < 10
        ({"qty": 0.1, "price": 100.4, "take_profit": 120.0}, None),  # 0.1 * 100 = 10
        ({"qty": 0.1, "price": 99.5}, "below_min_notional"),  # at its own price: 9.95
        ({"qty": 0.1, "stop_price": 99.5}, "below_min_notional"),
        ({"qty": 50.0, "price": 200.5}, "above_max_notional"),  # 10025
        ({"qty": 50.0, "price": 200.0}, None),
        ({"qty": 1e300}, "above_max_qty"),
        ({"qty": 0.02, "price": 1e12}, "above_max_notional"),
    ],
)
def test_the_markets_limits(asked, code):
    """An order below a minimum or above a maximum is refused with the reason."""
    answer = conform(order(**asked), LINEAR, 100.0, 0.0)
    assert (None if isinstance(answer, Order) else answer.reason) == code


@pytest.mark.parametrize("kind", ["qty", "notional"])
def test_limits_are_not_missed_by_the_noise_of_a_float(kind):
    """0.57 * 100 is 56.99999999999999, and 3 * 0.07 is above 0.21: neither breaks a limit that it equals."""
    if kind == "notional":
        assert 0.57 * 100.0 < 57.0
        market = replace(LINEAR, min_notional=57.0, max_notional=57.0)
        assert isinstance(conform(order(qty=0.57), market, 100.0, 0.0), Order)
    else:
        assert 3 * 0.07 > 0.21
        market = replace(LINEAR, qty_step=0.07, min_qty=0.21, max_qty=0.21)
        assert isinstance(conform(order(qty=0.21), market, 100.0, 0.0), Order)


def test_an_inverse_order_is_worth_its_face_value():
    """10 USD of contracts meet a minimum of 10 USD at any price; 9 don't."""
    assert isinstance(conform(order(qty=10.0), INVERSE, 50_000.0, 0.0), Order)
    refusal = conform(order(qty=9.0), INVERSE, 50_000.0, 0.0)
    assert reason(refusal) == "below_min_notional"
    assert "9 USD is below the minimum of 10" in refusal.message
    assert reason(conform(order(qty=0.5), INVERSE, 50_000.0, 0.0)) == "below_min_qty"


def test_without_a_price_the_notional_is_not_checked():
    """A market order before the first bar has nothing that values it."""
    assert isinstance(conform(order(qty=0.02), LINEAR, None, 0.0), Order)
    assert reason(conform(order(qty=0.01), LINEAR, None, 0.0)) == "below_min_qty"


def test_markets_without_limits_take_all_sizes():
    """None means: no such limit."""
    market = replace(LINEAR, min_qty=0.0, max_qty=None, min_notional=0.0, max_notional=None)
    assert isinstance(conform(order(qty=0.01), market, 1e-12, 0.0), Order)
    assert isinstance(conform(order(qty=1e15), market, 1e12, 0.0), Order)
    refusal = conform(order(qty=0.001), market, 100.0, 0.0)
    assert reason(refusal) == "below_min_qty"
    assert "0.01" in refusal.message  # the step is what is missed


def test_dust_can_be_closed():
    """An order that only closes all of a position may be below the minimums; one that leaves a rest may not."""
    assert isinstance(conform(order(Side.SELL, 0.01, reduce_only=True), LINEAR, 100.0, 0.01), Order)
    assert isinstance(conform(order(Side.BUY, 0.05, reduce_only=True), LINEAR, 100.0, -0.03), Order)
    assert reason(conform(order(Side.SELL, 0.01, reduce_only=True), LINEAR, 100.0, 0.02)) == "below_min_qty"
    assert reason(conform(order(Side.SELL, 0.01, reduce_only=True), LINEAR, 100.0, 0.0)) == "below_min_qty"
    assert reason(conform(order(Side.SELL, 0.01), LINEAR, 100.0, 0.01)) == "below_min_qty"


@pytest.mark.parametrize("name", ["qty", "price", "stop_price", "stop_loss", "take_profit"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_what_is_no_positive_number_is_refused(name, value):
    """The code names the argument."""
    changes = {"qty": 1.0, "price": 100.0, "stop_price": 100.0} | {name: value}
    refusal = conform(order(**changes), LINEAR, 100.0, 0.0)
    assert reason(refusal) == f"invalid_{name}"
    assert repr(value) in refusal.message


def test_prices_below_one_tick_are_refused():
    """0.3 on a tick of 0.5 would be a buy at zero."""
    market = replace(LINEAR, min_notional=0.0)
    assert reason(conform(order(price=0.3), market, 100.0, 0.0)) == "invalid_price"
    assert reason(conform(order(Side.SELL, stop_price=0.3), market, 100.0, 0.0)) == "invalid_stop_price"
    up = conform(order(Side.SELL, price=0.3), market, 100.0, 0.0)
    assert isinstance(up, Order)
    assert up.price == 0.5


@pytest.mark.parametrize(
    ("side", "asked", "code"),
    [
        (Side.BUY, {"stop_loss": 99.0, "take_profit": 101.0}, None),
        (Side.BUY, {"stop_loss": 100.0}, "invalid_stop_loss"),
        (Side.BUY, {"stop_loss": 101.0}, "invalid_stop_loss"),
        (Side.BUY, {"take_profit": 100.0}, "invalid_take_profit"),
        (Side.SELL, {"stop_loss": 101.0, "take_profit": 99.0}, None),
        (Side.SELL, {"stop_loss": 99.0}, "invalid_stop_loss"),
        (Side.SELL, {"take_profit": 101.0}, "invalid_take_profit"),
        (Side.BUY, {"price": 95.0, "stop_loss": 96.0}, "invalid_stop_loss"),  # measured at its own price
        (Side.BUY, {"stop_price": 105.0, "stop_loss": 104.0}, None),
        (Side.BUY, {"price": 106.0, "stop_price": 105.0, "take_profit": 105.5}, "invalid_take_profit"),
        (Side.SELL, {"stop_loss": 99.0, "reduce_only": True}, None),  # protects nothing: it opens nothing
    ],
)
def test_stops_and_targets_lie_on_their_side_of_the_price(side, asked, code):
    """Otherwise the position would close as it opens."""
    answer = conform(order(side, **asked), LINEAR, 100.0, 0.0)
    assert (None if isinstance(answer, Order) else answer.reason) == code


def test_levels_are_not_checked_without_a_price():
    """A market order before the first bar may carry levels."""
    assert isinstance(conform(order(stop_loss=99.0), LINEAR, None, 0.0), Order)


@given(qty=st.floats(1e-12, 1e12), price=st.floats(1e-12, 1e12), side=st.sampled_from(Side))
def test_conform_answers_every_size_and_price(qty, price, side):
    """Extreme values are rounded within what was asked, or refused: nothing else."""
    answer = conform(order(side, qty, price=price), LINEAR, None, 0.0)
    if isinstance(answer, Refusal):
        assert reason(answer)
        return
    assert answer.price is not None
    assert 0.0 < answer.qty <= qty * (1 + 1e-9)
    assert side.sign * (price - answer.price) >= -1e-9 * price
    assert LINEAR.min_qty <= answer.qty <= 50.0
    assert 10.0 * (1 - 1e-9) <= answer.qty * answer.price <= 10_000.0 * (1 + 1e-9)


# --- rules 17, 22: sizes ------------------------------------------------------------------------------------


def ask(market: Market = LINEAR, **changes) -> SizeRequest:
    values = {"market": market, "price": 100.0, "equity": 1_000.0, "leverage": 3.0, "room": 1e9} | changes
    return SizeRequest(**values)


@pytest.mark.parametrize(
    ("kind", "value", "changes", "qty"),
    [
        (SizeType.FIXED_BASE, 0.257, {}, 0.25),
        (SizeType.FIXED_QUOTE, 257.0, {}, 2.57),  # 257 / 100
        (SizeType.PERCENT_EQUITY, 0.1, {}, 3.0),  # 1000 * 0.1 * 3 / 100
        (SizeType.PERCENT_EQUITY, 0.1, {"leverage": 1.0}, 1.0),
        (SizeType.RISK_BASED, 2.0, {"stop": 96.0}, 5.0),  # 1000 * 2 % / 4
        (SizeType.RISK_BASED, 2.0, {"stop": 104.0}, 5.0),  # a short's stop
    ],
)
def test_linear_sizes_by_hand(kind, value, changes, qty):
    """In base units, rounded down to 0.01."""
    assert size(kind, value, ask(**changes), None) == (qty, None)


@pytest.mark.parametrize(
    ("kind", "value", "changes", "qty"),
    [
        (SizeType.FIXED_BASE, 0.05, {}, 2_500.0),  # 0.05 BTC at 50000 USD
        (SizeType.FIXED_QUOTE, 2_500.7, {}, 2_500.0),
        (SizeType.PERCENT_EQUITY, 0.1, {}, 30_000.0),  # 2 BTC * 0.1 * 3 * 50000
        (SizeType.RISK_BASED, 1.0, {"stop": 40_000.0}, 4_000.0),  # 0.02 BTC / (1/40000 - 1/50000 = 0.000005)
    ],
)
def test_inverse_sizes_by_hand(kind, value, changes, qty):
    """In face value (USD); equity is in BTC."""
    assert size(kind, value, ask(INVERSE, price=50_000.0, equity=2.0, **changes), None) == (qty, None)


def test_risk_based_loses_the_share_of_equity_at_the_stop():
    """5 BTC bought at 100 and stopped at 96 lose 20, 2 % of 1000."""
    answer = size(SizeType.RISK_BASED, 2.0, ask(stop=96.0), None)
    assert isinstance(answer, tuple)
    assert rules.pnl(rules.LINEAR, answer[0], 100.0, 96.0) == -20.0


def test_caps_come_in_order_and_are_named():
    """First the largest position, then the free margin, then the step."""
    assert size(SizeType.FIXED_BASE, 9.0, ask(), 450.0) == (4.5, "max_position_size_quote")
    assert size(SizeType.FIXED_BASE, 9.0, ask(held=2.5), 450.0) == (2.0, "max_position_size_quote")
    assert size(SizeType.FIXED_BASE, 9.0, ask(room=3.009), None) == (3.0, "free margin")
    assert size(SizeType.FIXED_BASE, 9.0, ask(room=3.009), 450.0) == (3.0, "free margin")
    assert size(SizeType.FIXED_BASE, 9.0, ask(room=5.0), 450.0) == (4.5, "max_position_size_quote")
    assert size(SizeType.FIXED_BASE, 4.5, ask(room=4.5), 450.0) == (4.5, None)
    inverse = ask(INVERSE, price=50_000.0, held=100.0)
    assert size(SizeType.FIXED_BASE, 1.0, inverse, 450.0) == (350.0, "max_position_size_quote")


@pytest.mark.parametrize(
    ("kind", "value", "changes", "cap", "code"),
    [
        (SizeType.RISK_BASED, 2.0, {}, None, "no_stop"),
        (SizeType.RISK_BASED, 2.0, {"stop": 100.0}, None, "no_stop"),
        (SizeType.FIXED_BASE, 0.009, {}, None, "size_is_zero"),
        (SizeType.FIXED_BASE, 1.0, {"held": 5.0}, 450.0, "size_is_zero"),  # the position is full
        (SizeType.FIXED_BASE, 1.0, {"room": -3.0}, None, "size_is_zero"),
        (SizeType.PERCENT_EQUITY, 0.5, {"equity": -10.0}, None, "size_is_zero"),
        (SizeType.RISK_BASED, 2.0, {"stop": 96.0, "equity": 0.0}, None, "size_is_zero"),  # the stop is fine
    ],
)
def test_no_size_is_a_refusal(kind, value, changes, cap, code):
    """With the reason; never a size of zero."""
    refusal = size(kind, value, ask(**changes), cap)
    assert reason(refusal) == code


def test_a_refused_size_names_the_cap():
    """A reader sees what made it so small."""
    refusal = size(SizeType.FIXED_BASE, 1.0, ask(room=0.004), None)
    assert isinstance(refusal, Refusal)
    assert "0.004 BTC, capped by free margin" in refusal.message
    refusal = size(SizeType.FIXED_QUOTE, 0.4, ask(INVERSE), None)
    assert isinstance(refusal, Refusal)
    assert "0.4 USD: below one step" in refusal.message


@given(
    kind=st.sampled_from(SizeType),
    value=st.floats(1e-6, 1e6),
    market=st.sampled_from([LINEAR, INVERSE]),
    price=st.floats(1e-12, 1e12),
    equity=st.floats(-1e3, 1e9),
    leverage=st.floats(1.0, 125.0),
    room=st.floats(-1e6, 1e12),
    held=st.floats(0.0, 1e6),
    stop=st.none() | st.floats(1e-12, 1e12),
    cap=st.none() | st.floats(1e-3, 1e9),
)
def test_a_size_exceeds_no_cap(kind, value, market, price, equity, leverage, room, held, stop, cap):
    """Whatever is asked: a positive multiple of the step within room and cap, or a refusal."""
    request = ask(market, price=price, equity=equity, leverage=leverage, room=room, held=held, stop=stop)
    answer = size(kind, value, request, cap)
    if isinstance(answer, Refusal):
        assert reason(answer)
        return
    qty, note = answer
    noise = 1e-9 * market.qty_step
    assert qty > 0.0
    assert qty == rules.round_down(qty, market.qty_step)
    assert qty <= room * (1 + 1e-12) + noise
    if cap is not None:
        worth = held + qty if market is INVERSE else (held + qty) * price
        assert worth <= cap * (1 + 1e-9) + noise * max(price, 1.0)
    assert note in (None, "max_position_size_quote", "free margin")


def test_the_refusal_for_margin_says_what_the_margin_carries():
    """Never a negative amount."""
    assert insufficient_margin(2.0, 1.5, LINEAR) == (
        "insufficient_margin",
        "2 BTC wanted, the free margin carries 1.5",
    )
    assert insufficient_margin(2.0, -1.5, INVERSE).message == "2 USD wanted, the free margin carries 0"


# --- rule 24: entry filters ---------------------------------------------------------------------------------


def state(**changes) -> EntryState:
    values = {"time": MONDAY, "volume": 10.0, "open_positions": 0, "entries": 0} | changes
    return EntryState(**values)


def code_of(seen: EntryState, **filters) -> str | None:
    refusal = entry_refusal(seen, EntryFilters(**filters))
    return None if refusal is None else reason(refusal)


def test_without_filters_entries_pass():
    """The defaults let the first entry of a symbol pass, whatever else is known."""
    assert code_of(state(volume=None, open_positions=1_000)) is None
    assert code_of(state(volume=math.nan)) is None


@pytest.mark.parametrize("hour", range(24))
def test_trade_hours_are_those_of_the_moment(hour):
    """From the first to the last millisecond of the hour, UTC."""
    for time in (MONDAY + hour * HOUR_MS, MONDAY + (hour + 1) * HOUR_MS - 1):
        assert code_of(state(time=time), trade_hours={hour}) is None
        assert code_of(state(time=time), trade_hours=set(range(24)) - {hour}) == "trade_hours"


@pytest.mark.parametrize("day", range(1, 8))
def test_allowed_days_count_from_monday(day):
    """1 is Monday, 7 Sunday; from the first to the last millisecond, before 1970 too."""
    for monday in (MONDAY, MONDAY + 52 * 7 * DAY_MS, -3 * DAY_MS):
        for time in (monday + (day - 1) * DAY_MS, monday + day * DAY_MS - 1):
            assert code_of(state(time=time), allowed_days={day}) is None
            assert code_of(state(time=time), allowed_days=set(range(1, 8)) - {day}) == "allowed_days"


@pytest.mark.parametrize(
    ("volume", "code"),
    [(10.0, None), (9.99, "min_volume"), (0.0, "min_volume"), (None, "min_volume"), (math.nan, "min_volume")],
)
def test_min_volume(volume, code):
    """The last bar has at least that much; unknown is not enough."""
    assert code_of(state(volume=volume), min_volume=10.0) == code


@pytest.mark.parametrize(
    ("spread", "code"),
    [(None, None), (0.1, None), (0.0, None), (0.11, "max_spread_pct"), (math.nan, "max_spread_pct")],
)
def test_max_spread(spread, code):
    """Without quotes, as in most backtests, there is no spread to look at."""
    assert code_of(state(spread_pct=spread), max_spread_pct=0.1) == code


def test_max_open_positions_counts_symbols():
    """Two are on: a third is refused, a second entry in this symbol is not one more."""
    assert code_of(state(open_positions=1), max_open_positions=2) is None
    assert code_of(state(open_positions=2), max_open_positions=2) == "max_open_positions"
    assert code_of(state(open_positions=2, entries=1), max_open_positions=2, max_positions_per_symbol=2) is None


def test_max_positions_per_symbol_counts_entries():
    """One by default; with three the fourth is refused."""
    assert code_of(state(entries=1)) == "max_positions_per_symbol"
    assert code_of(state(entries=2), max_positions_per_symbol=3) is None
    assert code_of(state(entries=3), max_positions_per_symbol=3) == "max_positions_per_symbol"


def test_the_first_filter_that_refuses_is_named():
    """One reason an entry, always the same one."""
    seen = state(time=MONDAY + 5 * HOUR_MS, volume=0.0, entries=1)
    assert code_of(seen, trade_hours={4}, allowed_days={2}, min_volume=1.0) == "trade_hours"
    assert code_of(seen, allowed_days={2}, min_volume=1.0) == "allowed_days"
    assert code_of(seen, min_volume=1.0) == "min_volume"


# --- rules 21, 25: loss limits ------------------------------------------------------------------------------


def limits(daily_loss: float | None = None, drawdown: float | None = None, start: int = MONDAY) -> LossLimits:
    return LossLimits(daily_loss, drawdown, equity=1_000.0, time=start)


def at(day: int, hour: float) -> int:
    return MONDAY + day * DAY_MS + round(hour * HOUR_MS)


def test_without_limits_nothing_is_reached():
    """Not even by losing everything."""
    guard = limits()
    assert guard.update(at(0, 1), -5.0) is None
    assert guard.refusal(at(0, 1)) is None


def test_the_daily_loss_blocks_entries_until_midnight():
    """100 lost from the day's start, not from its best; reached once; free again at 00:00 UTC."""
    guard = limits(daily_loss=100.0)
    assert guard.update(at(0, 1), 1_200.0) is None
    assert guard.update(at(0, 2), 900.01) is None  # 99.99 below the start, 299.99 below the best
    assert guard.refusal(at(0, 2)) is None
    assert guard.update(at(0, 3), 900.0) == "daily_loss_limit"
    assert reason(guard.refusal(at(0, 3))) == "daily_loss_limit"
    assert guard.update(at(0, 4), 800.0) is None  # said once
    assert guard.refusal(at(1, 0) - 1) is not None
    assert guard.update(at(1, 0), 800.0) is None  # midnight: still the day that ends, and still once
    assert guard.refusal(at(1, 0)) is None


def test_the_next_day_counts_from_its_own_start():
    """800 at midnight: 700.5 is within the limit, 700 is not."""
    guard = limits(daily_loss=100.0)
    assert guard.update(at(0, 3), 800.0) == "daily_loss_limit"
    assert guard.update(at(1, 0), 800.0) is None
    assert guard.update(at(1, 1), 700.5) is None
    assert guard.refusal(at(1, 1)) is None
    assert guard.update(at(1, 2), 700.0) == "daily_loss_limit"
    assert guard.refusal(at(2, 0) - 1) is not None
    assert guard.refusal(at(2, 0)) is None


def test_a_loss_that_is_marked_at_midnight_belongs_to_the_day_before():
    """It is reported, and the new day, which begins at that moment, may trade."""
    guard = limits(daily_loss=100.0)
    assert guard.update(at(0, 23), 950.0) is None
    assert guard.update(at(1, 0), 890.0) == "daily_loss_limit"
    assert guard.refusal(at(1, 0)) is None
    assert guard.update(at(1, 1), 800.0) is None  # 90 from 890
    assert guard.update(at(1, 2), 790.0) == "daily_loss_limit"


def test_a_run_that_starts_within_a_day_has_that_day():
    """The first day's loss counts from the start of the run."""
    guard = limits(daily_loss=100.0, start=at(0, 15))
    assert guard.refusal(at(0, 15)) is None
    assert guard.update(at(0, 16), 900.0) == "daily_loss_limit"
    assert guard.refusal(at(0, 17)) is not None
    assert guard.refusal(at(1, 0)) is None


def test_daily_bars_are_each_a_day_of_their_own():
    """One mark a day, at midnight: the loss since the mark before."""
    guard = limits(daily_loss=100.0)
    marks = [(1, 950.0), (2, 849.0), (3, 760.0), (4, 650.0)]  # -50, -101, -89, -110
    seen = [(guard.update(at(day, 0), equity), guard.refusal(at(day, 0))) for day, equity in marks]
    assert seen == [(None, None), ("daily_loss_limit", None), (None, None), ("daily_loss_limit", None)]


def test_a_gap_counts_for_the_day_after_it():
    """Three days without a mark: the loss since the last one belongs to the day of the next."""
    guard = limits(daily_loss=100.0)
    assert guard.update(at(0, 10), 980.0) is None
    assert guard.update(at(3, 5), 881.0) is None  # 99 since the last mark
    assert guard.update(at(3, 6), 880.0) == "daily_loss_limit"
    assert guard.refusal(at(3, 23)) is not None
    assert guard.refusal(at(4, 0)) is None
    assert guard.update(at(9, 5), 700.0) == "daily_loss_limit"  # blocked days don't add up over the next gap


def test_drawdown_counts_from_the_highest_equity():
    """20 % below 1250 is 1000; open profit counts on the way up and down."""
    guard = limits(drawdown=0.2)
    assert guard.update(at(0, 1), 1_250.0) is None
    assert guard.update(at(5, 1), 1_000.01) is None
    assert guard.update(at(9, 1), 1_000.0) == "max_drawdown"
    assert guard.peak == 1_250.0
    assert guard.refusal(at(9, 1)) is None  # the process stops the expert, not this


def test_drawdown_goes_before_the_daily_loss():
    """Both are reached: the one that ends the run counts."""
    assert limits(daily_loss=100.0, drawdown=0.2).update(at(0, 1), 700.0) == "max_drawdown"


@given(
    steps=st.lists(st.tuples(st.integers(1, 40), st.floats(0.0, 2_000.0)), min_size=1, max_size=60),
    start=st.integers(0, 23),
)
def test_the_daily_loss_is_reached_once_a_day_and_only_by_a_loss(steps, start):
    """Against a plain count over the marks: equity at the last mark before the day, less the limit."""
    guard = limits(daily_loss=150.0, start=at(0, start))
    hour, last, opening, day, reached = start, 1_000.0, 1_000.0, 0, False
    for hours, equity in steps:
        hour += hours
        today = (hour * HOUR_MS - 1) // DAY_MS
        if today != day:
            day, opening, reached = today, last, False
        expected = not reached and opening - equity >= 150.0
        reached |= expected
        assert guard.update(at(0, hour), equity) == ("daily_loss_limit" if expected else None)
        blocked = reached and hour % 24 != 0
        assert (guard.refusal(at(0, hour)) is not None) == blocked
        last = equity
