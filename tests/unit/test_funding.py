"""Funding and mark prices in the simulated broker: who pays when, at which price, and what liquidates."""

from __future__ import annotations

import pytest
from desk import HOUR, INVERSE, LINEAR, OTHER, Desk

from metaexpert.broker.data import FundingRate, FundingRates, MarketData, Reference
from metaexpert.errors import DataError
from metaexpert.models import ExitReason

MINUTE = 60_000
FLAT = (100, 100, 100, 100)


def rates(*instants):
    """Funding at (hours after the start, rate, mark price or None)."""
    return FundingRates([FundingRate(int(hours * HOUR), rate, mark) for hours, rate, mark in instants])


def marks(*bars, first=0):
    """Mark candles of an hour each, from hour `first` on."""
    times = [(first + number) * HOUR for number in range(len(bars))]
    return Reference(HOUR, times, list(zip(*bars, strict=True)))


def desk(*instants, symbol=LINEAR, **options):
    """A desk in one symbol with funding at `instants`."""
    return Desk(symbol, data={symbol: MarketData(funding=rates(*instants))}, **options)


# -- who pays (rule 19) -------------------------------------------------------------------------------------------


def test_a_long_pays_a_positive_rate_on_its_notional_at_the_mark_price():
    """2 * 110 * 0.1 % = 0.22."""
    one = desk((1, 0.001, 110.0))
    one.buy(2.0)
    one.bar(*FLAT)
    one.bar(100, 101, 99, 100)
    assert one.ledger.balance == pytest.approx(10_000 - 0.22)
    assert one.broker.position(LINEAR).funding == pytest.approx(-0.22)
    one.sell(2.0)
    one.bar(105, 105, 105, 105)
    (trade,) = one.ledger.trades
    assert (trade.pnl, trade.funding, trade.net_pnl) == (10.0, pytest.approx(-0.22), pytest.approx(9.78))
    assert one.ledger.balance == pytest.approx(10_000 + 9.78)


def test_the_exchange_s_own_example_of_a_linear_perpetual():
    """A long of 10 BTC at a mark price of 8,000 and a rate of 0.01 %: 10 * 8000 * 0.0001 = 8 USDT are paid.

    Source: Bybit, "Funding Fee Calculation", help center (position value = qty * mark price; fee = value * rate).
    """
    one = desk((1, 0.0001, 8_000.0), capital=1_000_000.0)
    one.buy(10.0)
    one.bar(8_100, 8_100, 8_100, 8_100)
    one.bar(8_100, 8_100, 8_100, 8_100)
    assert one.ledger.balance == pytest.approx(1_000_000 - 8.0)


def test_the_exchange_s_own_example_of_an_inverse_perpetual():
    """A short of 10,000 USD at 8,000 and 0.01 %: 10,000 / 8,000 = 1.25 BTC of value; 0.000125 BTC are received.

    Source: Bybit, "Funding Fee Calculation", help center (position value = qty / mark price; fee = value * rate).
    """
    one = desk((1, 0.0001, 8_000.0), symbol=INVERSE, capital=100.0)
    one.sell(10_000.0)
    one.bar(8_100, 8_100, 8_100, 8_100)
    one.bar(8_100, 8_100, 8_100, 8_100)
    assert one.ledger.balance == pytest.approx(100.0 + 0.000125, abs=1e-12)


@pytest.mark.parametrize(
    ("side", "rate", "received"), [("sell", 0.001, 0.2), ("buy", -0.001, 0.2), ("sell", -0.001, -0.2)]
)
def test_a_short_receives_and_a_negative_rate_turns_it_around(side, rate, received):
    one = desk((1, rate, 100.0))
    getattr(one, side)(2.0)
    one.bar(*FLAT)
    one.bar(*FLAT)
    assert one.ledger.balance == pytest.approx(10_000 + received)


def test_inverse_funding_is_in_base():
    """1000 USD at a mark of 50 are 20 BTC: 1 % of them is 0.2 BTC."""
    one = desk((1, 0.01, 50.0), symbol=INVERSE, capital=100.0)
    one.buy(1000.0)
    one.bar(*FLAT)
    one.bar(*FLAT)
    assert one.ledger.balance == pytest.approx(99.8)


def test_without_a_mark_price_the_open_of_the_bar_counts():
    one = desk((1, 0.01, None))
    one.buy(1.0)
    one.bar(*FLAT)
    one.bar(120, 130, 110, 125)
    assert one.ledger.balance == pytest.approx(10_000 - 1.2)


def test_the_mark_candle_that_opens_at_the_instant_gives_the_mark_price():
    data = MarketData(funding=rates((1, 0.01, None)), marks=marks(FLAT, (90, 95, 85, 91)))
    one = Desk(data={LINEAR: data})
    one.buy(1.0)
    one.bar(*FLAT)
    one.bar(120, 130, 110, 125)
    assert one.ledger.balance == pytest.approx(10_000 - 0.9)


# -- when ---------------------------------------------------------------------------------------------------------


def test_what_is_bought_at_the_open_of_the_instant_does_not_pay_and_what_is_sold_there_does():
    one = desk((0, 0.01, None), (1, 0.01, None))
    one.buy(1.0)
    one.bar(*FLAT)
    assert one.ledger.balance == 10_000.0
    one.sell(1.0)
    one.bar(*FLAT)
    assert one.ledger.balance == 9_999.0
    assert one.ledger.trades[0].funding == -1.0


def test_an_instant_within_a_bar_finds_the_position_as_it_stands_after_the_open():
    one = desk((0.5, 0.01, None), (1.5, 0.01, None))
    one.buy(1.0)
    one.bar(100, 110, 90, 100)
    assert one.ledger.balance == 9_999.0  # 1 % of 100, the open
    one.sell(1.0)
    one.bar(100, 110, 90, 100)
    assert one.ledger.balance == 9_999.0


def test_a_position_that_is_stopped_out_within_the_bar_has_paid_for_the_instant_in_it():
    one = desk((1.5, 0.01, None), protection={"stop_loss": 95.0})
    one.buy(1.0)
    one.bar(*FLAT)
    one.bar(100, 100, 90, 92)
    assert one.ledger.balance == 10_000 - 5 - 1


def test_instants_in_a_gap_of_the_candles_are_paid_by_what_was_held_over_it():
    one = desk((3, 0.01, 80.0), (5, 0.01, None))
    one.buy(1.0)
    one.bar(*FLAT)
    one.sell(1.0)
    one.bar(90, 90, 90, 90, skip=9)
    assert one.ledger.balance == pytest.approx(10_000 - 10 - 0.8 - 0.9)


def test_instants_while_nothing_was_held_cost_nothing():
    one = desk(*((hour, 0.01, None) for hour in range(5)))
    for _ in range(3):
        one.bar(*FLAT)
    one.buy(1.0)
    one.bar(*FLAT)
    assert one.ledger.balance == 10_000.0


def test_each_round_trip_carries_its_own_funding():
    one = desk((1, 0.01, None), (3, 0.02, None))
    for _ in range(2):
        one.buy(1.0)
        one.bar(*FLAT)
        one.sell(1.0)
        one.bar(*FLAT)
    assert [trade.funding for trade in one.ledger.trades] == [-1.0, -2.0]


def test_funding_in_cross_mode_brings_the_liquidation_nearer():
    """Long 1 at 100 on 50: 50.2513; after a payment of 10: (100 - 40) / 0.995 = 60.3015."""
    one = desk((1, 0.1, None), cross=True, capital=50.0, leverage=10.0)
    one.buy(1.0)
    one.bar(*FLAT)
    assert one.broker.position(LINEAR).liquidation_price == pytest.approx(50 / 0.995)
    one.bar(*FLAT)
    assert one.broker.position(LINEAR).liquidation_price == pytest.approx(60 / 0.995)


def test_a_symbol_pays_its_own_funding():
    data = {OTHER: MarketData(funding=rates((1, 0.01, None)))}
    one = Desk(LINEAR, OTHER, data=data)
    one.buy(1.0)
    one.buy(2.0, symbol=OTHER)
    one.together(BTC=FLAT, ETH=(50, 50, 50, 50))
    one.together(BTC=FLAT, ETH=(50, 50, 50, 50))
    assert one.ledger.balance == 9_999.0
    assert one.broker.position(OTHER).funding == -1.0


def test_rates_must_ascend():
    with pytest.raises(DataError, match="must ascend"):
        rates((1, 0.01, None), (1, 0.01, None))


def test_a_constant_rate_is_due_every_eight_hours():
    made = FundingRates.constant(0.0001, 3 * HOUR, 24 * HOUR)
    assert [one.time // HOUR for one in made] == [8, 16]
    assert {one.rate for one in made} == {0.0001}


# -- mark prices liquidate (rule 18) ------------------------------------------------------------------------------


def marked(*bars, side="buy", **options):
    """A desk that is long (short) 1 at 100 at leverage 10, liquidated at 90.4523 (109.4527), with mark candles."""
    one = Desk(data={LINEAR: MarketData(marks=marks(FLAT, *bars))}, leverage=10.0, capital=50.0, **options)
    getattr(one, side)(1.0)
    one.bar(*FLAT)
    return one


def test_a_traded_price_beyond_the_level_does_not_liquidate_while_the_mark_price_stays():
    one = marked((100, 100, 95, 96))
    assert one.bar(100, 101, 80, 95) == []


def test_the_mark_price_liquidates_where_the_traded_price_stays():
    one = marked((100, 100, 90, 96))
    (fill,) = one.bar(100, 101, 99, 100)
    assert (fill.price, fill.reason) == (pytest.approx(90 / 0.995), ExitReason.LIQUIDATION)


def test_a_short_is_liquidated_by_the_mark_price_above():
    one = marked((100, 110, 100, 100), side="sell")
    (fill,) = one.bar(100, 101, 99, 100)
    assert (fill.price, fill.reason) == (pytest.approx(110 / 1.005), ExitReason.LIQUIDATION)


def test_a_stop_that_was_traded_goes_before_the_liquidation_by_mark():
    one = marked((100, 100, 80, 96), protection={"stop_loss": 95.0})
    (fill,) = one.bar(100, 101, 94, 100)
    assert (fill.price, fill.reason) == (95.0, ExitReason.STOP_LOSS)


def test_the_liquidation_by_mark_goes_before_a_target():
    one = marked((100, 130, 80, 96), protection={"take_profit": 110.0})
    (fill,) = one.bar(100, 120, 99, 100)
    assert fill.reason is ExitReason.LIQUIDATION


def test_after_a_liquidation_by_mark_orders_trade_at_traded_prices_only():
    """The mark price was at 90, but nothing was traded below 99: a buy at 95 rests on."""
    one = marked((100, 100, 90, 96))
    one.buy(0.1, 95.0)
    assert [fill.reason for fill in one.bar(100, 101, 99, 100)] == [ExitReason.LIQUIDATION]


def test_a_mark_price_that_opens_beyond_the_level_liquidates_there_within_the_stake():
    one = marked((90.2, 95, 90, 94))
    (fill,) = one.bar(100, 101, 99, 100)
    assert fill.price == 90.2
    one = marked((80, 95, 80, 94))
    (fill,) = one.bar(100, 101, 99, 100)
    assert (fill.price, one.ledger.balance) == (90.0, 40.0)


def test_without_a_mark_candle_the_bar_itself_counts():
    one = marked()
    assert [fill.reason for fill in one.bar(100, 101, 90, 95)] == [ExitReason.LIQUIDATION]


# -- reading beside the candles -----------------------------------------------------------------------------------


def test_a_reference_gives_the_extremes_of_the_candles_within_a_span():
    fine = Reference(
        15 * MINUTE,
        [0, 15 * MINUTE, 30 * MINUTE, 60 * MINUTE],
        [(1, 2, 3, 4), (5, 9, 6, 7), (1, 0.5, 2, 3), (2, 3, 4, 5)],
    )
    assert fine.within(0, HOUR) == (1, 9, 0.5, 4)
    assert fine.within(HOUR, 2 * HOUR) == (4, 7, 3, 5)
    assert fine.within(2 * HOUR, 3 * HOUR) is None
    assert fine.within(0, 10 * MINUTE) is None  # a candle longer than the span says nothing about it
    assert (fine.opening(15 * MINUTE), fine.opening(16 * MINUTE)) == (2, None)
    assert (fine.closing(HOUR), fine.closing(45 * MINUTE), fine.closing(HOUR + 15 * MINUTE)) == (None, 4, 5)


def test_a_reference_finds_the_first_candle_that_reaches_a_level():
    lows = [100.0] * 5000
    lows[4000] = 89.0
    many = Reference(HOUR, [number * HOUR for number in range(5000)], [lows, [101.0] * 5000, lows, lows])
    assert many.first_reach(90.0, -1, 0) == 4000 * HOUR
    assert many.first_reach(90.0, -1, 4001 * HOUR) is None
    assert many.first_reach(101.0, 1, 17 * HOUR) == 17 * HOUR
    assert many.first_reach(102.0, 1, 0) is None
