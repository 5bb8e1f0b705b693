"""Margin tiers in the ledger and the broker: each position by its own, and no leverage above its tier's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from desk import INVERSE, LINEAR, OTHER, Desk, market

from metaexpert.broker.ledger import Ledger
from metaexpert.models import ExitReason, MarginMode, OrderStatus, Side, Tier

STEEP = (Tier(1_000.0, 0.01, 0.0, 50.0), Tier(10_000.0, 0.05, 40.0, 10.0))  # 1000 * (0.05 - 0.01) = 40
FLAT = (100, 100, 100, 100)


def test_the_worked_example_of_binance_through_the_ledger():
    """Wallet 1,535,443.01, BTC and ETH long in cross mode: liquidated at 26,316.89 and 1,153.26.

    Source: Binance, "How to Calculate Liquidation Price of USD-M Futures Contracts", FAQ
    b3c689c1f50a44cabb3a84e663b81d93. Only the tiers that the example names matter; the ones below are left out.
    """
    btc = market(LINEAR, tiers=(Tier(5e6, 0.025, 16_300.0),))
    eth = market(OTHER, tiers=(Tier(5e6, 0.1, 135_365.0),))
    book = Ledger(1_535_443.01, {LINEAR: btc, OTHER: eth}, 5.0, MarginMode.CROSS)
    for symbol, qty, entry, mark in (
        (LINEAR, 109.488, 32_481.98, 31_967.27),
        (OTHER, 3_683.979, 1_456.84, 1_335.18),
    ):
        held = book.leg(symbol)
        book.apply(held, Side.BUY, qty, entry, fee=0.0, slippage=0.0, time=0, reason=ExitReason.ORDER, tag=None)
        held.mark = mark
    assert book.liquidation_price(book.leg(LINEAR)) == pytest.approx(26_316.89, abs=0.01)
    assert book.liquidation_price(book.leg(OTHER)) == pytest.approx(1_153.26, abs=0.01)


def test_in_cross_mode_each_of_the_others_keeps_its_own_maintenance_margin():
    """1000 with BTC long 5 at 100, ETH long 10 at 50 at 1 %: 1000 - 0.01 * 500 = 995 are at BTC's stake."""
    other = replace(market(OTHER), maintenance_margin_rate=0.01)
    book = Ledger(1_000.0, {LINEAR: market(LINEAR), OTHER: other}, 10.0, MarginMode.CROSS)
    for symbol, qty, price in ((LINEAR, 5.0, 100.0), (OTHER, 10.0, 50.0)):
        book.apply(
            book.leg(symbol),
            Side.BUY,
            qty,
            price,
            fee=0.0,
            slippage=0.0,
            time=0,
            reason=ExitReason.ORDER,
            tag=None,
        )
    assert book.stake(book.leg(LINEAR), kept=True) == pytest.approx(995.0)
    assert book.stake(book.leg(OTHER), kept=True) == pytest.approx(997.5)  # BTC at 0.5 %: 2.5


def test_a_short_is_liquidated_by_the_tier_that_it_grows_into():
    """Short 9.5 at 100 on 95: 1.045 / 9.595 = 108.9 lies in tier 2, so (1045 + 40) / 9.975 = 108.77."""
    desk = Desk(leverage=10.0, tiers=STEEP)
    desk.sell(9.5)
    desk.bar(*FLAT)
    level = (950 + 95 + 40) / (9.5 * 1.05)
    assert desk.broker.position(LINEAR).liquidation_price == pytest.approx(level)
    assert desk.bar(100, 108.7, 100, 105) == []
    (fill,) = desk.bar(105, 109, 105, 108)
    assert (fill.price, fill.reason) == (pytest.approx(level), ExitReason.LIQUIDATION)


def test_an_inverse_position_counts_its_tiers_in_base():
    """Long 100 USD at 100 is 1 BTC; tier 2 begins above it: P = 100 * 1.05 / (0.1 + 0.04 + 1) = 92.105."""
    desk = Desk(INVERSE, capital=1.0, leverage=10.0, tiers=(Tier(1.0, 0.01), Tier(10.0, 0.05, 0.04)))
    desk.buy(100.0)
    desk.bar(*FLAT)
    assert desk.broker.position(INVERSE).liquidation_price == pytest.approx(105 / 1.14)


def test_a_rate_of_the_settings_stands_above_the_tiers():
    desk = Desk(leverage=10.0, tiers=STEEP, costs={"maintenance_margin_rate": 0.005})
    desk.sell(9.5)
    desk.bar(*FLAT)
    assert desk.broker.position(LINEAR).liquidation_price == pytest.approx((950 + 95) / (9.5 * 1.005))


# -- leverage above the tier's ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leverage", "qty", "refused"), [(20.0, 10.0, False), (20.0, 10.001, True), (10.0, 99.0, False)]
)
def test_a_position_above_what_its_leverage_allows_is_refused_at_submission(leverage, qty, refused):
    """Leverage 20 is allowed up to 1000: 10 at 100."""
    desk = Desk(leverage=leverage, tiers=STEEP)
    desk.bar(*FLAT)
    order = desk.buy(qty)
    assert (desk.order(order).status is OrderStatus.REJECTED) == refused
    if refused:
        assert desk.reason(order) == "leverage_above_tier"
        assert "leverage 10, not 20" in (desk.order(order).message or "")


def test_a_position_above_the_largest_tier_is_refused():
    desk = Desk(leverage=10.0, capital=1e6, tiers=STEEP)
    desk.bar(*FLAT)
    assert desk.reason(desk.buy(101.0)) == "above_max_position"


def test_what_is_held_counts_and_what_reduces_is_free():
    desk = Desk(leverage=20.0, tiers=STEEP)
    desk.bar(*FLAT)
    desk.buy(6.0)
    desk.bar(*FLAT)
    assert desk.reason(desk.buy(5.0)) == "leverage_above_tier"
    assert desk.order(desk.sell(6.0)).status is OrderStatus.OPEN
    assert desk.order(desk.sell(12.0)).status is OrderStatus.OPEN  # reverses to 6
    assert desk.reason(desk.sell(17.0)) == "leverage_above_tier"


def test_a_limit_order_counts_at_its_own_price_also_when_it_is_changed():
    desk = Desk(leverage=20.0, tiers=STEEP)
    desk.bar(*FLAT)
    order = desk.buy(12.0, 80.0)  # 960
    assert desk.order(order).status is OrderStatus.OPEN
    assert desk.broker.modify(order, price=90.0, qty=None, active_from=0)
    desk.listen()
    assert (desk.reason(order), desk.order(order).price) == ("leverage_above_tier", 80.0)
