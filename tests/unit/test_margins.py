"""Margin tiers of five exchanges in one form."""

from itertools import pairwise

import pytest

from metaexpert.errors import DataError
from metaexpert.exchanges.margins import tiers_of
from metaexpert.models import ContractType, Market, MarketType, Tier


def market(exchange, size=1.0, *, inverse=False):
    quote, settle = ("USD", "BTC") if inverse else ("USDT", "USDT")
    return Market(
        symbol=f"BTC/{quote}:{settle}", exchange=exchange, type=MarketType.FUTURES, base="BTC", quote=quote,
        settle=settle, contract_type=ContractType.INVERSE if inverse else ContractType.LINEAR, contract_size=size,
    )  # fmt: skip


def tier(edge, rate, leverage, **info):
    return {"maxNotional": edge, "maintenanceMarginRate": rate, "maxLeverage": leverage, "info": info}


BRACKETS = [tier(50_000, 0.004, 125), tier(500_000, 0.01, 50), tier(50_000_000, 0.025, 20)]


@pytest.mark.parametrize("exchange", ["binance", "bybit"])
def test_deductions_keep_the_margin_continuous_where_each_slice_has_its_rate(exchange):
    # 50,000 * (0.01 - 0.004) = 300; 300 + 500,000 * (0.025 - 0.01) = 7,800
    found = tiers_of(BRACKETS[::-1], market(exchange))
    assert [one[:2] for one in found] == [(50_000.0, 0.004), (500_000.0, 0.01), (50_000_000.0, 0.025)]
    assert [one.deduction for one in found] == pytest.approx([0.0, 300.0, 7_800.0])
    assert [one.max_leverage for one in found] == [125.0, 50.0, 20.0]
    for lower, upper in pairwise(found):
        edge = lower.max_notional
        assert edge * lower.rate - lower.deduction == pytest.approx(edge * upper.rate - upper.deduction)


def test_the_exchanges_own_deduction_comes_first():
    told = [tier(50_000, 0.004, 125, cum="0"), tier(500_000, 0.01, 50, cum="301.5")]
    assert [one.deduction for one in tiers_of(told, market("binance"))] == [0.0, 301.5]
    empty = [tier(50_000, 0.004, 125, mmDeduction=""), tier(500_000, 0.01, 50, mmDeduction="")]
    assert [one.deduction for one in tiers_of(empty, market("bybit"))] == pytest.approx([0.0, 300.0])


@pytest.mark.parametrize("exchange", ["bitget", "kucoin"])
def test_nothing_is_deducted_where_the_rate_holds_for_the_whole_position(exchange):
    assert [one.deduction for one in tiers_of(BRACKETS, market(exchange))] == [0.0, 0.0, 0.0]


def test_a_rate_in_percent_is_told_by_being_above_the_initial_margin():
    assert tiers_of([tier(150, 0.5, 100)], market("bybit", inverse=True)) == (Tier(150.0, 0.005, 0.0, 100.0),)
    assert tiers_of([tier(1_000, 0.25, 2)], market("kucoin")) == (Tier(1_000.0, 0.25, 0.0, 2.0),)


def test_bounds_in_contracts_become_value_in_the_settlement_currency():
    # 2,000 contracts of 0.01 BTC at 50,000 are 1,000,000 USDT; of 100 USD they are 200,000 USD, 4 BTC
    linear = tiers_of([tier(2_000, 0.004, 100)], market("okx", 0.01), 50_000.0)
    inverse = tiers_of([tier(2_000, 0.004, 100)], market("okx", 100.0, inverse=True), 50_000.0)
    assert (linear[0].max_notional, inverse[0].max_notional) == (1_000_000.0, 4.0)
    with pytest.raises(DataError, match="its price must be known"):
        tiers_of([tier(2_000, 0.004, 100)], market("okx", 0.01))


def test_bounds_in_quote_become_value_in_the_settlement_currency():
    """Bitget counts dollars: 150,000 USD at 50,000 are 3 BTC."""
    (found,) = tiers_of([tier(150_000, 0.004, 125)], market("bitget", 0.001, inverse=True), 50_000.0)
    assert found.max_notional == 3.0


def test_what_is_not_known_is_refused():
    with pytest.raises(DataError, match="its margin tiers end at a value in quote: its price must be known"):
        tiers_of(BRACKETS, market("bitget", inverse=True))
    with pytest.raises(DataError, match="a margin tier has no maintenanceMarginRate"):
        tiers_of([tier(1_000, None, 2)], market("kucoin"))


def test_no_tiers_are_none():
    assert tiers_of([], market("kucoin")) == ()
