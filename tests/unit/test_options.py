"""Options and dated futures in the simulated broker: premium, margin of the short side, expiry (rule 15)."""

from __future__ import annotations

import pytest
from desk import HOUR, INVERSE, LINEAR, Desk

from metaexpert import options
from metaexpert.broker.data import MarketData, Reference
from metaexpert.models import ExitReason, MarketType, OrderStatus

OPTION = {
    "type": MarketType.OPTIONS,
    "contract_type": None,
    "option_type": "call",
    "strike": 100.0,
    "price_tick": 0.01,
}


def desk(*spot, settlement=None, expiry=100 * HOUR, capital=1000.0, **rules):
    """A desk in one option; its underlying goes through `spot`: prices, or bars (open, high, low, close)."""
    bars = [one if isinstance(one, tuple) else (one,) * 4 for one in spot]
    times = [number * HOUR for number in range(len(bars))]
    underlying = Reference(HOUR, times, list(zip(*bars, strict=True))) if bars else None
    data = MarketData(underlying=underlying, settlement=settlement)
    return Desk(data={LINEAR: data}, capital=capital, **(OPTION | {"expiry": expiry} | rules))


def in_base(*spot, **options):
    """The same with an option that settles in base."""
    one = desk(*spot, **options)
    one.ledger.holdings[LINEAR].in_base = True
    return one


def flat(price):
    """A bar without a range."""
    return (price,) * 4


def end(one, hours):
    """Let the contract end; what the broker says of it goes to the desk."""
    for news in one.broker.expiry.end(hours * HOUR):
        one.hear(news)


# -- the rules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "spot", "in_base", "value"),
    [
        (True, 2200.0, False, 200.0),
        (True, 1900.0, False, 0.0),
        (False, 1900.0, False, 100.0),
        (False, 2200.0, False, 0.0),
        (True, 2500.0, True, 0.2),  # 500 / 2500
        (False, 1600.0, True, 0.25),  # 400 / 1600
    ],
)
def test_the_intrinsic_value(call, spot, in_base, value):
    assert options.intrinsic_value(call, spot, 2000.0, in_base) == pytest.approx(value)


@pytest.mark.parametrize(
    ("call", "strike", "in_base", "margin"),
    [
        (True, 60_000.0, False, 9_000.0),  # 0.15 * 60000
        (True, 62_000.0, False, 7_000.0),  # 2000 out of the money
        (True, 70_000.0, False, 6_000.0),  # at least 0.1 * 60000
        (True, 50_000.0, False, 9_000.0),
        (False, 58_000.0, False, 7_000.0),
        (False, 62_000.0, False, 9_000.0),
        (True, 63_000.0, True, 0.1),
        (False, 57_000.0, True, 0.1),
        (False, 59_400.0, True, 0.14),  # 0.15 - 0.01
    ],
)
def test_the_margin_of_a_short_option(call, strike, in_base, margin):
    assert options.initial_margin(call, 60_000.0, strike, in_base) == pytest.approx(margin)


def test_a_short_option_is_liquidated_when_its_margin_falls_to_the_maintenance():
    """Sold at 1000 on a margin of 9000, 7.5 % of 60000 kept: 9000 - (P - 1000) = 4500 at 5500."""
    kept = options.maintenance_margin(60_000.0, 0.075, in_base=False)
    assert options.liquidation_price(1_000.0, 9_000.0, kept) == pytest.approx(5_500.0)
    assert options.maintenance_margin(60_000.0, 0.075, in_base=True) == 0.075


def test_the_fee_of_an_option_is_of_its_underlying_but_capped_by_its_price():
    """min(0.03 % * 2000, 10 % * 1000) * 3 = 1.8 (Binance's example); at a price of 1 the cap: 0.1 * 3."""
    assert options.fee(3.0, 1_000.0, 2_000.0, 0.0003, in_base=False) == pytest.approx(1.8)
    assert options.fee(3.0, 1.0, 2_000.0, 0.0003, in_base=False) == pytest.approx(0.3)
    assert options.fee(3.0, 0.05, 2_000.0, 0.0003, in_base=True) == pytest.approx(0.0009)


def test_the_fee_of_a_liquidation_is_of_the_underlying_but_at_most_a_quarter_of_the_premium():
    """0.19 % * 2000 = 3.8 of 100 (Binance's example: 11.4 for three contracts); at a premium of 10 the cap."""
    assert options.liquidation_rate(100.0, 2_000.0, 0.0019, in_base=False) * 100.0 * 3.0 == pytest.approx(11.4)
    assert options.liquidation_rate(10.0, 2_000.0, 0.0019, in_base=False) == 0.25
    assert options.liquidation_rate(0.05, 2_000.0, 0.0019, in_base=True) == pytest.approx(0.038)


# -- bought options -----------------------------------------------------------------------------------------------


def test_a_bought_option_costs_its_premium_and_no_more():
    """2 at 5: 10 are paid; at 8 they are worth 16."""
    one = desk(100, 100, 100, capital=10.0)
    one.buy(2.0)
    one.bar(*flat(5))
    assert (one.ledger.margin_used(), one.ledger.margin_free()) == (10.0, 0.0)
    one.bar(5, 8, 5, 8)
    assert one.ledger.equity() == 16.0
    assert one.ledger.margin_free() == 0.0  # a profit that is not sold can't be spent
    one.sell(2.0)
    one.bar(*flat(8))
    assert one.ledger.balance == 16.0


def test_a_bought_option_is_never_liquidated():
    one = desk(100, 100, capital=10.0)
    one.buy(2.0)
    one.bar(*flat(5))
    assert one.bar(5, 5, 0.01, 0.01) == []
    assert one.broker.position(LINEAR).liquidation_price is None


def test_the_whole_premium_and_its_fee_must_be_there():
    """0.03 % of 100 are 0.03 an option."""
    one = desk(100, 100, capital=10.0, taker=0.0003)
    one.bar(*flat(5))
    assert one.reason(one.buy(2.0)) == "insufficient_margin"
    one.buy(1.98)
    (fill,) = one.bar(*flat(5))
    assert fill.fee == pytest.approx(1.98 * 0.03)


def test_the_fee_is_of_the_underlying_but_at_most_a_tenth_of_the_premium():
    one = desk(100, 100, taker=0.0003)
    one.buy(1.0)
    (fill,) = one.bar(*flat(0.1))
    assert fill.fee == pytest.approx(0.01)


# -- sold options -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "strike", "margin"),
    [
        ("call", 100.0, 15.0),
        ("call", 103.0, 12.0),
        ("call", 120.0, 10.0),
        ("put", 98.0, 13.0),
        ("put", 110.0, 15.0),
    ],
)
def test_a_sold_option_posts_margin(kind, strike, margin):
    """15 % of 100, less what it is out of the money, at least 10 %."""
    one = desk(100, 100, option_type=kind, strike=strike)
    one.sell(1.0)
    one.bar(*flat(5))
    assert one.ledger.margin_used() == margin
    assert one.ledger.margin_free() == 1000.0 - margin


def test_a_sold_option_that_the_account_can_not_carry_is_refused():
    one = desk(100, 100, capital=14.0)
    one.bar(*flat(5))
    assert one.reason(one.sell(1.0)) == "insufficient_margin"
    assert one.order(one.sell(0.9)).status is OrderStatus.OPEN


def test_closing_a_part_gives_its_part_of_the_margin_back():
    one = desk(100, 120, 120)
    one.sell(2.0)
    one.bar(*flat(5))
    one.buy(0.5)
    (fill,) = one.bar(*flat(4))
    assert (fill.pnl, one.ledger.margin_used()) == (0.5, pytest.approx(22.5))  # 30 * 1.5 / 2


def test_a_sold_option_is_liquidated_where_its_margin_falls_to_the_maintenance():
    """Sold at 5 on 15, 7.5 kept: 15 - (P - 5) = 7.5 at 12.5; with the underlying up to 120, 9 kept: at 11."""
    one = desk(100, 100, (100, 120, 100, 100), liquidation_fee_rate=0.0)
    one.sell(1.0)
    one.bar(*flat(5))
    assert one.bar(5, 12, 5, 6) == []
    (fill,) = one.bar(6, 11.5, 6, 7)
    assert (fill.price, fill.reason) == (pytest.approx(11.0), ExitReason.LIQUIDATION)
    assert one.ledger.balance == pytest.approx(1000 - 6)


def test_a_sold_option_loses_no_more_than_its_margin_over_a_gap():
    one = desk(100, 100)
    one.sell(1.0)
    one.bar(*flat(5))
    (fill,) = one.bar(*flat(50))
    assert (fill.price, one.ledger.balance) == (20.0, 985.0)


def test_a_liquidated_option_pays_its_fee_of_the_underlying():
    """Sold at 5 on 15, liquidated at 12.5: 0.19 % of 100 are 0.19, with 15 - 7.5 left to pay it from."""
    one = desk(100, 100, liquidation_fee_rate=0.0019)
    one.sell(2.0)
    one.bar(*flat(5))
    (fill,) = one.bar(5, 14, 5, 6)
    assert (fill.price, fill.fee) == (pytest.approx(12.5), pytest.approx(0.38))


def test_in_cross_mode_a_sold_option_stakes_the_balance():
    """50 - (P - 5) = 7.5 at 47.5."""
    one = desk(100, 100, capital=50.0, cross=True)
    one.sell(1.0)
    one.bar(*flat(5))
    assert one.broker.position(LINEAR).liquidation_price == pytest.approx(47.5)


def test_options_in_base_post_and_payin_base():
    """Sold at 0.05 BTC: 0.15 posted, 0.075 kept: 0.15 - (P - 0.05) = 0.075 at 0.125."""
    one = in_base(100, 100)
    one.sell(1.0)
    one.bar(*flat(0.05))
    assert one.ledger.margin_used() == pytest.approx(0.15)
    assert one.broker.position(LINEAR).liquidation_price == pytest.approx(0.125)


def test_without_the_underlying_nothing_is_sold_to_open():
    one = desk()
    one.bar(*flat(5))
    assert one.reason(one.sell(1.0)) == "no_underlying"
    one.buy(1.0)
    assert len(one.bar(*flat(5))) == 1


# -- expiry -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "spot", "worth"),
    [("call", 130.0, 30.0), ("call", 90.0, 0.0), ("put", 90.0, 10.0), ("put", 130.0, 0.0)],
)
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_options_are_settled_at_their_intrinsic_value(kind, spot, worth, side):
    one = desk(100, settlement=spot, option_type=kind, expiry=HOUR)
    getattr(one, side)(2.0)
    one.bar(*flat(5))
    end(one, 1)
    (trade,) = one.ledger.trades
    sign = 1 if side == "buy" else -1
    assert (trade.exit_price, trade.exit_reason, trade.exit_time) == (worth, ExitReason.EXPIRY, HOUR)
    assert trade.pnl == pytest.approx(sign * 2 * (worth - 5))
    assert one.ledger.equity() == one.ledger.balance == pytest.approx(1000 + sign * 2 * (worth - 5))
    assert one.broker.expiry.notes == []


@pytest.mark.parametrize(
    ("kind", "spot", "worth"),
    [
        ("call", 125.0, 25 / 125),
        ("call", 80.0, 0.0),
        ("put", 80.0, 20 / 80),
        ("put", 125.0, 0.0),
        ("put", 100.0, 0.0),
    ],
)
@pytest.mark.parametrize(("side", "sign"), [("buy", 1), ("sell", -1)])
def test_options_in_base_pay_their_intrinsic_value_in_base(kind, spot, worth, side, sign):
    """2 at 0.05 BTC: the call at 125 pays 25 / 125 = 0.2 BTC each, the put at 80 pays 20 / 80 = 0.25."""
    one = in_base(100, settlement=spot, option_type=kind, expiry=HOUR)
    getattr(one, side)(2.0)
    one.bar(*flat(0.05))
    end(one, 1)
    assert one.ledger.equity() == one.ledger.balance == pytest.approx(1000 + sign * 2 * (worth - 0.05))


@pytest.mark.parametrize(("side", "sign"), [("buy", 1), ("sell", -1)])
def test_an_inverse_dated_future_is_settled_in_base(side, sign):
    """1000 USD from 100 to 125: 1000 * (1 / 100 - 1 / 125) = 2 BTC."""
    data = {INVERSE: MarketData(settlement=125.0)}
    one = Desk(INVERSE, data=data, expiry=HOUR, costs={"fee_taker": 0.0}, capital=100.0)
    getattr(one, side)(1000.0)
    one.bar(*flat(100))
    end(one, 1)
    (trade,) = one.ledger.trades
    assert (trade.pnl, trade.exit_reason) == (pytest.approx(sign * 2.0), ExitReason.EXPIRY)
    assert one.ledger.balance == pytest.approx(100.0 + sign * 2.0)


def test_a_stop_on_the_premium_leaves_before_the_expiry():
    """Bought at 5, stopped 20 % below at 4."""
    one = desk(100, 100, protection={"stop_loss_pct": 20.0})
    one.buy(2.0)
    one.bar(*flat(5))
    (fill,) = one.bar(5, 5, 3, 3)
    assert (fill.price, fill.reason, one.ledger.balance) == (4.0, ExitReason.STOP_LOSS, 998.0)
    end(one, 100)
    assert len(one.ledger.trades) == 1


def test_options_in_base_are_settled_over_the_price_of_the_underlying():
    """(130 - 100) / 130 = 0.2308 BTC, bought for 0.05."""
    one = in_base(100, settlement=130.0, expiry=HOUR)
    one.buy(1.0)
    one.bar(*flat(0.05))
    end(one, 1)
    assert one.ledger.trades[0].pnl == pytest.approx(30 / 130 - 0.05)


def test_a_settlement_price_that_is_not_known_is_not_guessed():
    one = desk(100, expiry=HOUR)
    one.buy(1.0)
    one.bar(5, 7, 5, 6)
    end(one, 1)
    assert one.ledger.trades[0].exit_price == 6.0
    assert one.broker.expiry.notes == [
        f"{LINEAR}: the price of its underlying at expiry is not known: settled at its last price, 6"
    ]


@pytest.mark.parametrize(("settlement", "price"), [(107.0, 107.0), (None, 105.0)])
def test_a_dated_future_is_settled_at_its_mark_price_else_at_its_last(settlement, price):
    one = Desk(data={LINEAR: MarketData(settlement=settlement)}, expiry=HOUR, costs={"fee_taker": 0.0})
    one.buy(1.0)
    one.bar(100, 106, 100, 105)
    end(one, 1)
    (trade,) = one.ledger.trades
    assert (trade.pnl, trade.exit_reason) == (price - 100, ExitReason.EXPIRY)
    assert len(one.broker.expiry.notes) == (settlement is None)


def test_with_the_contract_its_orders_end():
    one = desk(100, expiry=HOUR, settlement=100.0)
    order = one.buy(1.0, 1.0)
    one.bar(*flat(5))
    assert one.broker.expiry.next_time == HOUR
    end(one, 1)
    assert one.order(order).status is OrderStatus.EXPIRED
    assert one.reason(one.buy(1.0)) == "expired"
    assert one.broker.expiry.next_time == float("inf")


def test_both_legs_are_settled():
    one = desk(100, expiry=HOUR, settlement=120.0, hedge=True)
    one.buy(1.0, position_side="long")
    one.sell(1.0, position_side="short")
    one.bar(*flat(5))
    end(one, 1)
    assert sorted(trade.pnl for trade in one.ledger.trades) == [-15.0, 15.0]
