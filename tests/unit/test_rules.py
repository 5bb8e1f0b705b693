"""The rule book: each rule by hand, the arithmetic in sight, and properties that hold for all numbers."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert import rules
from metaexpert.rules import INVERSE, LINEAR, NONE_HIGH, NONE_LOW

KINDS = st.sampled_from([LINEAR, INVERSE])
SIDES = st.sampled_from([1, -1])
PRICES = st.floats(1e-9, 1e9)
ANY_PRICES = st.floats(1e-12, 1e12)
QTYS = st.floats(1e-6, 1e6)
LEVERAGES = st.floats(1.0, 125.0)
RATES = st.floats(0.0, 0.02)
STEPS_AS_TEXT = (
    "1e-8",
    "1e-6",
    "3e-5",
    "0.001",
    "0.01",
    "0.03",
    "0.07",
    "0.1",
    "0.25",
    "0.5",
    "1",
    "2.5",
    "5",
    "100",
)
STEPS = st.sampled_from([float(text) for text in STEPS_AS_TEXT])


def near(value: float, rel: float = 1e-12, abs_: float = 0.0):
    return pytest.approx(value, rel=rel, abs=abs_)


# --- rules 13, 14: profit -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "qty", "entry", "price", "profit"),
    [
        (LINEAR, 2.0, 100.0, 110.0, 20.0),  # 2 * (110 - 100)
        (LINEAR, 2.0, 100.0, 90.0, -20.0),
        (LINEAR, -2.0, 100.0, 110.0, -20.0),
        (LINEAR, -2.0, 100.0, 90.0, 20.0),
        (INVERSE, 1000.0, 50.0, 100.0, 10.0),  # 1000 * (1/50 - 1/100) = 20 - 10
        (INVERSE, 1000.0, 50.0, 40.0, -5.0),  # 20 - 25
        (INVERSE, -1000.0, 50.0, 100.0, -10.0),
        (INVERSE, -1000.0, 50.0, 40.0, 5.0),
    ],
)
def test_pnl_by_hand(kind, qty, entry, price, profit):
    """Linear profit is in quote, inverse profit in base."""
    assert rules.pnl(kind, qty, entry, price) == near(profit)


@given(kind=KINDS, qty=QTYS, entry=ANY_PRICES, price=ANY_PRICES)
def test_a_short_loses_what_a_long_wins(kind, qty, entry, price):
    """On the same prices profit changes its sign with the side, exactly."""
    assert rules.pnl(kind, -qty, entry, price) == -rules.pnl(kind, qty, entry, price)


@given(qty=QTYS, entry=st.floats(1.0, 1e6), share=st.floats(-0.9, 0.9))
def test_a_linear_short_wins_on_a_fall_what_a_long_wins_on_the_same_rise(qty, entry, share):
    """Mirrored prices give the mirrored profit, linear up to the rounding of the two prices."""
    up, down = entry * (1.0 + share), entry * (1.0 - share)
    long, short = rules.pnl(LINEAR, qty, entry, up), rules.pnl(LINEAR, -qty, entry, down)
    assert short == near(long, 1e-9, 1e-9 * qty * entry)


@given(qty=QTYS, entry=st.floats(1.0, 1e6), share=st.floats(1e-6, 1e-3))
def test_an_inverse_short_mirrors_a_long_to_first_order(qty, entry, share):
    """Long on a rise x wins q/e * x/(1+x), short on a fall x wins q/e * x/(1-x): they differ by 2x at most."""
    long = rules.pnl(INVERSE, qty, entry, entry * (1.0 + share))
    short = rules.pnl(INVERSE, -qty, entry, entry * (1.0 - share))
    assert 0.0 < long < short
    assert short == near(long, 2.1 * share + 1e-8)


@given(kind=KINDS, qty=QTYS, entry=PRICES, price=PRICES, part=st.floats(0.01, 0.99))
def test_split_exits_win_what_one_exit_wins(kind, qty, entry, price, part):
    """Profit is additive in quantity."""
    whole = rules.pnl(kind, qty, entry, price)
    halves = rules.pnl(kind, qty * part, entry, price) + rules.pnl(kind, qty * (1.0 - part), entry, price)
    assert halves == near(whole, 1e-9, 1e-15)


@given(kind=KINDS, side=SIDES, qty=QTYS, price=ANY_PRICES, rate=RATES)
def test_a_round_trip_at_one_price_loses_exactly_the_fees(kind, side, qty, price, rate):
    """In and out at one price: profit 0, fee twice."""
    fee = rules.fee(kind, qty, price, rate)
    assert rules.pnl(kind, side * qty, price, price) - 2.0 * fee == -2.0 * fee
    assert fee == rules.fee(kind, -qty, price, rate) >= 0.0


# --- rules 14, 16, 17: entry price, fees, margin ------------------------------------------------------------


def test_average_entry_by_hand():
    """Linear is the weighted mean, inverse the harmonic one."""
    assert rules.average_entry(LINEAR, 1.0, 100.0, 3.0, 120.0) == 115.0  # (100 + 360) / 4
    assert rules.average_entry(INVERSE, 100.0, 50.0, 300.0, 100.0) == 80.0  # 400 / (2 + 3)
    assert rules.average_entry(LINEAR, 0.0, 77.0, 3.0, 120.0) == 120.0
    assert rules.average_entry(INVERSE, 0.0, 77.0, 3.0, 120.0) == 120.0


@given(kind=KINDS, qty=QTYS, entry=PRICES, added=QTYS, price=PRICES)
def test_the_average_entry_lies_between_the_two_prices(kind, qty, entry, added, price):
    """An average can't lie outside, but for the last digit of a float."""
    average = rules.average_entry(kind, qty, entry, added, price)
    assert min(entry, price) * (1 - 1e-12) <= average <= max(entry, price) * (1 + 1e-12)


@given(kind=KINDS, side=SIDES, first=QTYS, entry=PRICES, second=QTYS, price=PRICES, now=PRICES)
def test_a_grown_position_wins_what_its_two_parts_win(kind, side, first, entry, second, price, now):
    """This is what makes the mean the right one for each kind of contract."""
    average = rules.average_entry(kind, first, entry, second, price)
    parts = rules.pnl(kind, side * first, entry, now) + rules.pnl(kind, side * second, price, now)
    scale = sum(rules.notional(kind, qty, at) for qty in (first, second) for at in (entry, price, now))
    assert rules.pnl(kind, side * (first + second), average, now) == near(parts, abs_=1e-12 * scale)


def test_notional_fee_and_margin_by_hand():
    """Linear in quote, inverse in base."""
    assert rules.notional(LINEAR, -0.5, 40_000.0) == 20_000.0
    assert rules.notional(INVERSE, -20_000.0, 40_000.0) == 0.5
    assert rules.fee(LINEAR, 0.5, 40_000.0, 0.0004) == near(8.0)
    assert rules.fee(INVERSE, 20_000.0, 40_000.0, 0.0004) == near(0.0002)  # 0.5 BTC * 0.04 %
    assert rules.fee(LINEAR, 0.5, 40_000.0, -0.0001) == near(-2.0)  # a maker's rebate
    assert rules.initial_margin(LINEAR, 0.5, 40_000.0, 10.0) == 2_000.0
    assert rules.initial_margin(INVERSE, 20_000.0, 40_000.0, 10.0) == 0.05


def test_cash_cost_is_margin_and_fee():
    """20000 of notional at leverage 10 and 0.04 %: 2000 + 8."""
    assert rules.cash_cost(LINEAR, 0.5, 40_000.0, 10.0, 0.0004) == near(2_008.0)
    assert rules.cash_cost(INVERSE, 20_000.0, 40_000.0, 10.0, 0.0004) == near(0.0502)


def test_a_rebate_does_not_make_an_opening_cheaper():
    """At leverage 125 a large rebate would otherwise make a position cost nothing, or less."""
    assert rules.cash_cost(LINEAR, 1.0, 100.0, 125.0, -0.02) == near(0.8)


# --- rule 20: what an order closes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "side", "qty", "closed"),
    [
        (0.0, 1, 2.0, 0.0),
        (3.0, 1, 2.0, 0.0),  # grows
        (3.0, -1, 2.0, 2.0),  # reduces
        (3.0, -1, 3.0, 3.0),  # closes
        (3.0, -1, 5.0, 3.0),  # reverses: 3 close, 2 open
        (-3.0, 1, 5.0, 3.0),
        (-3.0, -1, 2.0, 0.0),
    ],
)
def test_an_opposite_order_first_reduces(held, side, qty, closed):
    """The rest of the order opens."""
    assert rules.closing_qty(held, side, qty) == closed


# --- rule 18: liquidation -----------------------------------------------------------------------------------


def test_binance_usdm_isolated_example():
    """Published: LP = (WB + cum - side * qty * EP) / (qty * (MMR - side)); one-way, isolated, no other position.

    Long 1 BTC at 20000, leverage 10, MMR 0.4 %, cum 0: WB = 20000 / 10 = 2000,
    LP = (2000 - 1 * 20000) / (0.004 - 1) = 18000 / 0.996.
    """
    margin = rules.initial_margin(LINEAR, 1.0, 20_000.0, 10.0)
    assert margin == 2_000.0
    assert rules.liquidation_price(LINEAR, 1.0, 20_000.0, margin, 0.004) == near(18_000.0 / 0.996)
    assert 2_000.0 - -1.0 * 20_000.0 == 22_000.0  # over MMR - side = 0.004 + 1 for a short
    assert rules.liquidation_price(LINEAR, -1.0, 20_000.0, margin, 0.004) == near(22_000.0 / 1.004)


@pytest.mark.parametrize(
    ("qty", "entry", "rate", "cum", "others_maintenance", "others_pnl", "published"),
    [
        (109.488, 32_481.980, 0.025, 16_300.0, 356_512.508, -448_192.89, 26_316.89),  # BTCUSDT
        (3_683.979, 1_456.84, 0.1, 135_365.0, 71_200.81144, -56_354.57, 1_153.26),  # ETHUSDT
    ],
)
def test_binance_usdm_cross_examples(qty, entry, rate, cum, others_maintenance, others_pnl, published):
    """The worked example of Binance's help pages: a wallet of 1535443.01 USDT carries two longs in cross mode.

    What is at stake in one is WB - TMM1 + UPNL1 + cum; with BTC at 2.5 % for instance
    (1535443.01 - 356512.508 - 448192.89 + 16300 - 109.488 * 32481.98) / (109.488 * (0.025 - 1)) = 26316.89.
    """
    stake = 1_535_443.01 - others_maintenance + others_pnl + cum
    assert rules.liquidation_price(LINEAR, qty, entry, stake, rate) == near(published, abs_=0.01)


def test_bybit_inverse_isolated_example():
    """Published: bankrupt at EP * L / (L + 1) long, EP * L / (L - 1) short; 8000 USD at 8000, leverage 50.

    Bybit takes the maintenance margin on the value at entry, EP * L / (L + 1 - MMR * L) = 7881.77 for the long and
    EP * L / (L - 1 + MMR * L) = 8121.83 for the short at 0.5 %; rule 18 takes it at the mark, which moves the
    price by MMR / L of it: 8000 * 1.005 * 50 / 51 and 8000 * 0.995 * 50 / 49.
    """
    stake = rules.initial_margin(INVERSE, 8_000.0, 8_000.0, 50.0)
    assert stake == 0.02
    assert rules.liquidation_price(INVERSE, 8_000.0, 8_000.0, stake, 0.0) == near(8_000.0 * 50 / 51)
    assert rules.liquidation_price(INVERSE, -8_000.0, 8_000.0, stake, 0.0) == near(8_000.0 * 50 / 49)
    long = rules.liquidation_price(INVERSE, 8_000.0, 8_000.0, stake, 0.005)
    short = rules.liquidation_price(INVERSE, -8_000.0, 8_000.0, stake, 0.005)
    assert long == near(8_000.0 * 1.005 * 50 / 51)
    assert long == near(7_881.77, 0.005 / 50)
    assert short == near(8_000.0 * 0.995 * 50 / 49)
    assert short == near(8_121.83, 0.005 / 50)


def test_positions_that_no_price_liquidates():
    """A linear long and an inverse short at leverage 1 can't lose more than they bind, to the last digit."""
    for qty, entry in ((1.0, 100.0), (0.1, 33_333.33), (0.7, 1e-7), (3.0, 0.1)):
        linear = rules.initial_margin(LINEAR, qty, entry, 1.0)
        assert rules.liquidation_price(LINEAR, qty, entry, linear, 0.005) == NONE_LOW
        inverse = rules.initial_margin(INVERSE, qty, entry, 1.0)
        assert rules.liquidation_price(INVERSE, -qty, entry, inverse, 0.005) == NONE_HIGH
        assert rules.liquidation_price(INVERSE, -qty, entry, 2.0 * inverse, 0.005) == NONE_HIGH
    assert rules.liquidation_price(LINEAR, 1.0, 100.0, 250.0, 0.005) == NONE_LOW


def test_positions_that_every_price_liquidates():
    """A margin so far below zero that no profit makes up for it: in cross mode others' losses can do that."""
    assert rules.liquidation_price(INVERSE, 100.0, 50.0, -2.0, 0.005) == NONE_HIGH  # a long wins 100 / 50 at most
    assert rules.liquidation_price(INVERSE, 100.0, 50.0, -3.0, 0.005) == NONE_HIGH
    assert rules.liquidation_price(LINEAR, -2.0, 50.0, -150.0, 0.005) == NONE_LOW  # a short wins 100 at most


@given(kind=KINDS, side=SIDES, qty=QTYS, entry=PRICES, leverage=LEVERAGES, rate=st.floats(0.0, 0.1))
def test_at_the_liquidation_price_margin_and_profit_are_the_maintenance_margin(
    kind, side, qty, entry, leverage, rate
):
    """The price solves margin + pnl = rate * notional, where there is one."""
    margin = rules.initial_margin(kind, qty, entry, leverage)
    price = rules.liquidation_price(kind, side * qty, entry, margin, rate)
    if price in (NONE_LOW, NONE_HIGH):
        assert side == (1 if kind == LINEAR else -1)
        assert leverage <= 1.0 + 1e-9
        return
    assert price > 0.0
    left = margin + rules.pnl(kind, side * qty, entry, price)
    scale = rules.notional(kind, qty, price) + rules.notional(kind, qty, entry)
    assert left == near(rate * rules.notional(kind, qty, price), abs_=1e-10 * scale)


@given(kind=KINDS, side=SIDES, qty=QTYS, entry=PRICES, leverage=st.floats(1.01, 125.0))
def test_at_the_bankruptcy_price_exactly_the_stake_is_lost(kind, side, qty, entry, leverage):
    """Rate 0 gives the price at which the margin is gone; it lies beyond the liquidation price."""
    margin = rules.initial_margin(kind, qty, entry, leverage)
    bankrupt = rules.liquidation_price(kind, side * qty, entry, margin, 0.0)
    assert rules.pnl(kind, side * qty, entry, bankrupt) == near(-margin, 1e-9)
    assert side * (rules.liquidation_price(kind, side * qty, entry, margin, 0.005) - bankrupt) > 0.0


@given(kind=KINDS, side=SIDES, qty=QTYS, entry=PRICES, leverage=st.floats(1.5, 100.0))
def test_more_margin_moves_the_liquidation_price_away(kind, side, qty, entry, leverage):
    """Lower leverage is never liquidated earlier."""
    prices = [
        rules.liquidation_price(kind, side * qty, entry, rules.initial_margin(kind, qty, entry, each), 0.005)
        for each in (leverage, leverage / 1.2)
    ]
    assert side * (prices[0] - prices[1]) > 0.0


# --- rules 4, 6: slippage -----------------------------------------------------------------------------------


def test_slippage_is_against_the_trader():
    """0.5 % of 200: a buy pays 201, a sell gets 199."""
    assert rules.slipped(200.0, 1, 0.005) == near(201.0)
    assert rules.slipped(200.0, -1, 0.005) == near(199.0)
    assert rules.slipped(200.0, 1, 0.0) == 200.0


# --- rule 11: steps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "step", "down", "up"),
    [
        (1.2345, 0.01, 1.23, 1.24),
        (0.3, 0.1, 0.3, 0.3),  # 0.3 / 0.1 is 2.9999999999999996
        (0.1 + 0.2, 0.1, 0.3, 0.3),
        (0.29, 1e-8, 0.29, 0.29),  # 0.29 / 1e-8 is 28999999.999999996
        (12_345.67890123, 1e-8, 12_345.67890123, 12_345.67890123),
        (67_000.01, 0.01, 67_000.01, 67_000.01),
        (0.004, 0.01, 0.0, 0.01),  # a step larger than the size
        (7.0, 5.0, 5.0, 10.0),
        (37.0, 10.0, 30.0, 40.0),
        (0.1, 0.03, 0.09, 0.12),
        (1.3, 0.25, 1.25, 1.5),
        (123.456, 0.0, 123.456, 123.456),  # no step
        (1e12, 1e-12, 1e12, 1e12),  # more steps than a float can count
        (1e305, 1e-8, 1e305, 1e305),
        (math.inf, 0.1, math.inf, math.inf),
    ],
)
def test_rounding_by_hand(value, step, down, up):
    """Down for sizes and buys, up for sells; what is whole but for a float's last digits stays."""
    assert rules.round_down(value, step) == down
    assert rules.round_up(value, step) == up


def test_rounding_keeps_nan():
    """What is no number stays none, so that the checks behind it see it."""
    assert math.isnan(rules.round_down(math.nan, 0.1))
    assert math.isnan(rules.round_up(math.nan, 0.1))


@given(count=st.integers(0, 10**12), step=st.sampled_from(STEPS_AS_TEXT))
def test_a_multiple_of_the_step_is_left_alone(count, step):
    """The float nearest to a multiple, as a person would write it, loses no step either way."""
    value = float(count * Fraction(step))
    assert rules.round_down(value, float(step)) == near(value, 4e-16)
    assert rules.round_up(value, float(step)) == near(value, 4e-16)
    if Fraction(step).numerator == 1:
        assert rules.round_down(value, float(step)) == value


@given(value=st.floats(0.0, 1e9), step=STEPS)
def test_rounding_never_exceeds_what_was_asked_and_repeats_itself(value, step):
    """Down is not above, up not below, but for a float's noise; within a step; and doing it twice is once."""
    down, up = rules.round_down(value, step), rules.round_up(value, step)
    noise = 1e-9 * step + 4e-15 * value
    assert value - step - noise <= down <= value + noise
    assert value - noise <= up <= value + step + noise
    assert rules.round_down(down, step) == down
    assert rules.round_up(up, step) == up
    assert rules.round_up(down, step) == down


@given(counts=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=30), step=STEPS)
def test_a_sum_of_steps_has_no_noise(counts, step):
    """However often quantities are added and taken off, the sum is the multiple of the step that it should be."""
    held = 0.0
    for count in counts:
        held = rules.sum_of_steps(held, math.copysign(rules.round_down(abs(count) * step, step), count), step)
    total = sum(counts)
    assert held == math.copysign(rules.round_down(abs(total) * step, step), total) or held == total == 0


def test_sums_of_steps_by_hand():
    """0.1 + 0.2 - 0.3 is nothing; a large position leaves no dust; what is off the grid stays off it."""
    assert 0.1 + 0.2 - 0.3 != 0.0
    assert rules.sum_of_steps(rules.sum_of_steps(0.1, 0.2, 0.1), -0.3, 0.1) == 0.0
    assert rules.sum_of_steps(1.05, -1.05, 0.1) == 0.0
    assert rules.sum_of_steps(10_000.0, -9_999.99999999, 1e-8) == 1e-8
    assert rules.sum_of_steps(1.05, 0.1, 0.1) == 1.05 + 0.1
    assert rules.sum_of_steps(1.5, 0.25, 0.0) == 1.75
    assert rules.sum_of_steps(1e12, 1e12, 1e-12) == 2e12
    assert rules.sum_of_steps(1e305, 1e305, 1e-8) == 2e305


def test_prices_of_limit_orders():
    """Buys down, sells up, stops (asked with the opposite side) away from the market."""
    assert rules.limit_price(100.037, 1, 0.05) == 100.0
    assert rules.limit_price(100.037, -1, 0.05) == near(100.05)


# --- rules 5, 6: reaching a level ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "price", "side", "touched", "through"),
    [
        (100.0, 99.9, 1, False, False),
        (100.0, 100.0, 1, True, False),
        (100.0, 100.1, 1, True, True),
        (100.0, 100.1, -1, False, False),
        (100.0, 100.0, -1, True, False),
        (100.0, 99.9, -1, True, True),
    ],
)
def test_reaching_a_level(level, price, side, touched, through):
    """A stop is touched, a limit traded through."""
    assert rules.is_reached(level, price, side, strict=False) is touched
    assert rules.is_reached(level, price, side, strict=True) is through


@given(price=ANY_PRICES, side=SIDES)
def test_levels_that_are_not_set_are_never_reached(price, side):
    """No price lies below zero or above infinity."""
    assert not rules.is_reached(NONE_LOW, price, -1, strict=False)
    assert not rules.is_reached(NONE_HIGH, price, 1, strict=False)


# --- rule 22: sizes -----------------------------------------------------------------------------------------


def test_sizes_by_hand():
    """Each formula of rule 22, linear and inverse."""
    assert rules.qty_for_notional(LINEAR, 1_000.0, 50.0) == 20.0
    assert rules.qty_for_notional(INVERSE, 1_000.0, 50.0) == 1_000.0
    assert rules.qty_for_margin(LINEAR, 100.0, 5.0, 50.0) == 10.0  # 100 * 5 / 50
    assert rules.qty_for_margin(INVERSE, 0.1, 5.0, 50_000.0) == 25_000.0  # 0.1 BTC * 5 * 50000
    assert rules.qty_for_risk(LINEAR, 100.0, 50.0, 48.0) == 50.0  # 100 / 2
    assert rules.qty_for_risk(LINEAR, 100.0, 50.0, 52.0) == 50.0
    assert rules.qty_for_risk(INVERSE, 0.01, 50_000.0, 40_000.0) == near(2_000.0)  # 0.01 / (1/40000 - 1/50000)
    assert rules.qty_for_risk(LINEAR, 100.0, 50.0, 50.0) == 0.0


@given(kind=KINDS, side=SIDES, risk=st.floats(1e-3, 1e6), entry=st.floats(1e-6, 1e6), pct=st.floats(0.1, 50.0))
def test_a_size_by_risk_loses_the_risk_at_the_stop(kind, side, risk, entry, pct):
    """That is what risk_based promises."""
    stop = rules.stop_level(side, entry, pct, 0.0)
    qty = rules.qty_for_risk(kind, risk, entry, stop)
    assert rules.pnl(kind, side * qty, entry, stop) == near(-risk, 1e-9)


@given(kind=KINDS, margin=st.floats(1e-6, 1e6), leverage=LEVERAGES, price=PRICES)
def test_a_size_by_margin_binds_the_margin(kind, margin, leverage, price):
    """percent_equity: the initial margin of the size is what was asked."""
    qty = rules.qty_for_margin(kind, margin, leverage, price)
    assert rules.initial_margin(kind, qty, price, leverage) == near(margin, 1e-9)


# --- rules 7, 8, 11: protective levels ----------------------------------------------------------------------


def test_stops_and_targets_by_hand():
    """2 % and 4 % from 101.5 on a tick of 0.25; never nearer than asked."""
    assert rules.stop_level(1, 101.5, 2.0, 0.25) == 99.25  # 99.47
    assert rules.stop_level(-1, 101.5, 2.0, 0.25) == 103.75  # 103.53
    assert rules.target_level(1, 101.5, 4.0, 0.25) == 105.75  # 105.56
    assert rules.target_level(-1, 101.5, 4.0, 0.25) == 97.25  # 97.44


def test_levels_below_zero_are_not_set():
    """A short can't win 150 %, a long can't lose it."""
    assert rules.target_level(-1, 100.0, 150.0, 0.01) == NONE_LOW
    assert rules.stop_level(1, 100.0, 150.0, 0.01) == NONE_LOW


@given(side=SIDES, entry=st.floats(1.0, 1e6), pct=st.floats(0.01, 99.0), tick=STEPS)
def test_rounded_levels_are_never_nearer_than_asked(side, entry, pct, tick):
    """The stop lies at least pct against, the target at least pct in favour."""
    stop, target = rules.stop_level(side, entry, pct, tick), rules.target_level(side, entry, pct, tick)
    noise = 2e-9 * tick + 1e-14 * entry
    assert side * (entry - stop) >= entry * pct / 100.0 - noise
    assert side * (target - entry) >= min(entry * pct / 100.0, entry if side < 0 else math.inf) - noise


def test_trailing_by_hand():
    """2 % behind the best price, once that was 5 % in profit."""
    assert rules.trailing_level(1, 100.0, 104.9, 2.0, 5.0, 0.01) == NONE_LOW
    assert rules.trailing_level(1, 100.0, 105.0, 2.0, 5.0, 0.01) == 102.9  # 105 * 0.98
    assert rules.trailing_level(-1, 100.0, 95.1, 2.0, 5.0, 0.01) == NONE_HIGH
    assert rules.trailing_level(-1, 100.0, 95.0, 2.0, 5.0, 0.01) == 96.9  # 95 * 1.02
    assert rules.trailing_level(1, 100.0, 100.0, 2.0, 0.0, 0.01) == 98.0  # without activation: at once
    assert rules.trailing_level(-1, 100.0, 100.0, 2.0, 0.0, 0.01) == 102.0


def test_breakeven_by_hand():
    """The stop comes to the entry price once the best price was 1 % in profit."""
    assert rules.breakeven_level(1, 100.0, 100.99, 1.0, 0.01) == NONE_LOW
    assert rules.breakeven_level(1, 100.0, 101.0, 1.0, 0.01) == 100.0
    assert rules.breakeven_level(-1, 100.0, 99.01, 1.0, 0.01) == NONE_HIGH
    assert rules.breakeven_level(-1, 100.0, 99.0, 1.0, 0.01) == 100.0


@given(side=SIDES, entry=st.floats(1.0, 1e6), moves=st.lists(st.floats(0.0, 0.5), min_size=1, max_size=20))
def test_a_trailing_stop_never_moves_back(side, entry, moves):
    """The best price only gets better, and with it the level; it stays behind the best price."""
    best, last = entry, NONE_LOW if side > 0 else NONE_HIGH
    for move in moves:
        price = entry * (1.0 + side * move)
        best = max(best, price) if side > 0 else min(best, price)
        level = rules.trailing_level(side, entry, best, 3.0, 1.0, 0.01)
        assert rules.better_stop(side, level, last) == level
        assert side * (best - level) > 0.0
        last = level


def test_the_better_stop():
    """The higher protects a long more, the lower a short."""
    assert rules.better_stop(1, 98.0, 99.0) == 99.0
    assert rules.better_stop(-1, 98.0, 99.0) == 98.0
    assert rules.better_stop(1, 98.0, NONE_LOW) == 98.0
    assert rules.better_stop(-1, 98.0, NONE_HIGH) == 98.0


# --- rules 5 to 9: the order of prices within a bar ---------------------------------------------------------


def test_a_held_position_meets_the_adverse_extreme_first():
    """Worst case: the stop counts before the target."""
    assert rules.plan_held(1, 110.0, 90.0, 105.0) == (90.0, 110.0, 105.0)
    assert rules.plan_held(-1, 110.0, 90.0, 105.0) == (110.0, 90.0, 105.0)


def test_without_a_position_a_bar_goes_against_its_direction_first():
    """A rising bar dips, a falling one peaks; one that ends where it began counts as rising."""
    assert rules.plan_flat(100.0, 110.0, 90.0, 105.0) == (90.0, 110.0, 105.0)
    assert rules.plan_flat(100.0, 110.0, 90.0, 95.0) == (110.0, 90.0, 95.0)
    assert rules.plan_flat(100.0, 110.0, 90.0, 100.0) == (90.0, 110.0, 100.0)


@pytest.mark.parametrize(
    ("side", "towards", "plan"),
    [
        (1, 1, (90.0, 110.0, 105.0)),  # a buy stop: the rise that triggered it may go on
        (1, -1, (90.0, 105.0, 105.0)),  # a buy limit: after the fall only the close is certain
        (-1, -1, (110.0, 90.0, 105.0)),
        (-1, 1, (110.0, 105.0, 105.0)),
    ],
)
def test_after_an_entry_within_the_bar(side, towards, plan):
    """The adverse extreme always comes, the favourable one only where it certainly lies behind the entry."""
    assert rules.plan_entered(side, towards, 110.0, 90.0, 105.0) == plan


# --- rule 18: margin tiers ----------------------------------------------------------------------------------

STEEP = ((1_000.0, 0.01, 0.0), (math.inf, 0.05, 40.0))  # 1000 * (0.05 - 0.01) = 40


def level(kind, qty, entry, margin, tiers):
    """The liquidation price over all tiers."""
    found, low = rules.unset_stop(1 if qty > 0.0 else -1), 0.0
    for high, rate, deduction in tiers:
        one = rules.liquidation_in_tier(kind, qty, entry, margin, rate, deduction, low, high)
        found, low = rules.better_stop(1 if qty > 0.0 else -1, found, one), high
    return found


def test_the_worked_example_of_binance():
    """Cross, BTC and ETH: wallet 1,535,443.01; the liquidation prices are 26,316.89 and 1,153.26.

    Source: Binance, "How to Calculate Liquidation Price of USD-M Futures Contracts", FAQ
    b3c689c1f50a44cabb3a84e663b81d93, with the tiers of its time.
    """
    wallet, btc, eth = 1_535_443.01, (109.488, 32_481.98, 31_967.27), (3_683.979, 1_456.84, 1_335.18)
    kept = {
        "btc": rules.maintenance_margin(btc[0] * btc[2], 0.025, 16_300.0),
        "eth": rules.maintenance_margin(eth[0] * eth[2], 0.1, 135_365.0),
    }
    assert kept == {"btc": near(71_200.81144, 1e-6), "eth": near(356_512.508, 1e-6)}
    rest_of_btc = wallet - kept["eth"] + rules.pnl(LINEAR, eth[0], eth[1], eth[2])
    rest_of_eth = wallet - kept["btc"] + rules.pnl(LINEAR, btc[0], btc[1], btc[2])
    found = (
        rules.liquidation_in_tier(LINEAR, btc[0], btc[1], rest_of_btc, 0.025, 16_300.0, 1e6, 5e6),
        rules.liquidation_in_tier(LINEAR, eth[0], eth[1], rest_of_eth, 0.1, 135_365.0, 2e6, 5e6),
    )
    assert found[0] == pytest.approx(26_316.89, abs=0.01)
    assert found[1] == pytest.approx(1_153.26, abs=0.01)


def test_the_maintenance_margin_of_coin_margined_contracts():
    """100 contracts of 100 USD at 25,000 are 0.4 BTC: 0.4 * 0.4 % = 0.0016 BTC.

    Source: Binance, "How to Calculate Liquidation Price of COIN-M Futures Contracts", FAQ
    ceccfcfb4e3a45e3b48b0b1bb1a8ae46.
    """
    assert rules.maintenance_margin(rules.notional(INVERSE, 10_000.0, 25_000.0), 0.004, 0.0) == near(0.0016)


def test_a_short_that_grows_into_the_next_tier_is_liquidated_by_its_rules():
    """Short 10 at 95, margin 95: tier 1 would say 103.47, where 1034.65 is above 1000; tier 2: 1085 / 10.5."""
    assert level(LINEAR, -10.0, 95.0, 95.0, STEEP) == near(1085 / 10.5)
    left, kept = 95.0 - 10 * (1085 / 10.5 - 95), 10 * 1085 / 10.5 * 0.05 - 40
    assert left == near(kept)


def test_an_inverse_long_grows_into_the_next_tier_as_the_price_falls():
    """Long 100 USD at 100, margin 0.1 BTC, tier 2 above 1 BTC: P = 100 * 1.05 / (0.1 + 0.04 + 1) = 92.105."""
    tiers = ((1.0, 0.01, 0.0), (math.inf, 0.05, 0.04))
    assert level(INVERSE, 100.0, 100.0, 0.1, tiers) == near(105 / 1.14)


def test_where_the_requirement_jumps_the_edge_of_the_tier_liquidates():
    """Without a deduction tier 2 asks for 50 at 1000; of the margin of 95 there are 45 left at 100."""
    jump = ((1_000.0, 0.01, 0.0), (math.inf, 0.05, 0.0))
    assert level(LINEAR, -10.0, 95.0, 95.0, jump) == 100.0
    assert level(LINEAR, 10.0, 95.0, 95.0, jump) == near(855 / 9.9)  # falling, it stays in tier 1


@given(kind=KINDS, side=SIDES, entry=PRICES, leverage=st.floats(1.0, 90.0), size=st.floats(1e-3, 1e3))
def test_at_its_level_a_position_has_just_its_maintenance_margin(kind, side, entry, leverage, size):
    """With tiers that join without a jump, whatever the tier is."""
    notional = size * 1_000.0
    qty = side * (notional * entry if kind == INVERSE else notional / entry)
    margin = notional / leverage
    found = level(kind, qty, entry, margin, ((1_000.0, 0.01, 0.0), (50_000.0, 0.02, 10.0), (math.inf, 0.05, 1510)))
    if NONE_LOW < found < NONE_HIGH and side * (entry - found) > 0.0:
        worth = rules.notional(kind, qty, found)
        rate, deduction = (0.01, 0) if worth <= 1e3 else (0.02, 10) if worth <= 5e4 else (0.05, 1510)
        left = margin + rules.pnl(kind, qty, entry, found)
        assert left == near(rules.maintenance_margin(worth, rate, deduction), abs_=1e-6 * max(notional, worth))


# --- rule 20: a long and a short on one margin --------------------------------------------------------------


def test_two_legs_are_liquidated_together():
    """Long 2 at 100, short 1 at 110, margin 50, 0.5 %: P - 40 = 0.015 * P."""
    assert rules.hedged_liquidation(LINEAR, 1.0, 90.0, 50.0, 0.015) == (near(40 / 0.985), 1)


def test_two_legs_that_are_net_short_are_liquidated_above():
    """Long 1 at 100, short 2 at 110, margin 50: 50 + 120 - P = 0.015 * P."""
    assert rules.hedged_liquidation(LINEAR, -1.0, -120.0, 50.0, 0.015) == (near(170 / 1.015), -1)


def test_two_equal_legs_are_liquidated_by_their_growing_requirement():
    """Long 1 at 100, short 1 at 110, margin 5: 15 = 0.01 * P at 1500."""
    assert rules.hedged_liquidation(LINEAR, 0.0, -10.0, 5.0, 0.01) == (near(1500.0), -1)


def test_two_inverse_legs():
    """Long 200 USD at 100, short 100 at 125, margin 0.5: 0.5 + 1.2 - 100 / P = 1.5 / P."""
    assert rules.hedged_liquidation(INVERSE, 100.0, 1.2, 0.5, 1.5) == (near(101.5 / 1.7), 1)


@pytest.mark.parametrize(
    ("kind", "net", "basis", "margin", "weight", "found"),
    [
        (LINEAR, 1.0, 90.0, 100.0, 0.015, (rules.NO_PRICE, 0)),  # more margin than it can lose
        (LINEAR, -1.0, -100.0, -200.0, 0.01, (NONE_LOW, -1)),  # lost at any price
        (LINEAR, 0.01, 10.0, 50.0, 0.01, (rules.NO_PRICE, 0)),  # what it loses and what it needs stay apart
        (LINEAR, 0.01, 90.0, 50.0, 0.01, (NONE_HIGH, 1)),
        (INVERSE, -100.0, 0.0, 5.0, 1.0, (rules.NO_PRICE, 0)),  # a short on more coins than it is worth
        (INVERSE, -100.0, -10.0, 5.0, 1.0, (near(19.8), -1)),  # 99 / 5
        (INVERSE, 100.0, 0.0, -1.0, 1.0, (NONE_HIGH, 1)),
    ],
)
def test_two_legs_that_no_price_or_any_price_liquidates(kind, net, basis, margin, weight, found):
    assert rules.hedged_liquidation(kind, net, basis, margin, weight) == found


# --- rule 10: volume ----------------------------------------------------------------------------------------


def test_a_bar_fills_at_most_its_share_of_volume():
    """10 % of 123.45 coins less the 2 used before; face value at 100 for an inverse contract."""
    assert rules.volume_cap(LINEAR, 123.45, 10.0, 0.0, 100.0, 0.01) == 12.34
    assert rules.volume_cap(LINEAR, 123.45, 10.0, 2.0, 100.0, 0.01) == 10.34
    assert rules.volume_cap(LINEAR, 123.45, 10.0, 12.3451, 100.0, 0.01) == 0.0
    assert rules.volume_cap(INVERSE, 1.2345, 10.0, 0.0, 100.0, 1.0) == 12.0
