"""What a fee is worth in the currency of settlement, by hand."""

from __future__ import annotations

import asyncio

import pytest

from metaexpert.answers import ExchangeFill
from metaexpert.clock import SimClock
from metaexpert.errors import ConfigError, NetworkError
from metaexpert.exchanges.fees import Fees, usual
from metaexpert.models import Side, Ticker
from tests.unit.desk import INVERSE, LINEAR, market


class Desk:
    """A gateway whose tickers are scripted: a price or an error."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    async def market(self, symbol):
        return market(symbol)

    async def ticker(self, symbol):
        self.asked.append(symbol)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Ticker(0, symbol, None, None, answer)


def fill(fee, currency, **more):
    plain = {"id": "1", "time": 0, "symbol": LINEAR, "order_id": "9", "side": Side.BUY, "qty": 0.5, "price": 100.0}
    return ExchangeFill(**(plain | {"fee": fee, "fee_currency": currency} | more))


def values(desk, *fills, clock=None):
    async def work():
        fees = Fees(desk, clock or SimClock())
        return [await fees.value(one) for one in fills]

    return asyncio.run(work())


def test_a_fee_in_the_settlement_currency_is_worth_itself_and_one_in_base_its_price():
    """0.001 BTC at 100 are 0.1 USDT; a rebate stays one; nothing is asked for."""
    told = values(Desk(), fill(0.05, "USDT"), fill(-0.02, "USDT"), fill(0.001, "BTC"), fill(0.0, None))
    assert told == [0.05, -0.02, pytest.approx(0.1), 0.0]


def test_a_fee_in_a_third_currency_is_worth_its_last_price():
    """0.0001 BNB at 600 are 0.06 USDT."""
    desk = Desk(600.0)
    assert values(desk, fill(0.0001, "BNB")) == [pytest.approx(0.06)]
    assert desk.asked == ["BNB/USDT"]


def test_the_price_of_a_third_currency_is_asked_for_once_a_minute():
    clock, desk = SimClock(), Desk(600.0, 700.0)

    async def work():
        fees, told = Fees(desk, clock), []
        for time in (0, 30_000, 59_999, 60_000):
            clock.time = time
            told.append(await fees.value(fill(0.001, "BNB")))
        return told

    assert asyncio.run(work()) == [pytest.approx(one) for one in (0.6, 0.6, 0.6, 0.7)]


@pytest.mark.parametrize("answer", [NetworkError("away"), ConfigError("no such market")])
def test_a_currency_without_a_known_price_has_no_value_and_one_that_had_a_price_keeps_it(answer):
    clock, desk = SimClock(), Desk(answer, 600.0, answer)

    async def work():
        fees, told = Fees(desk, clock), []
        for time in (0, 60_000, 120_000):
            clock.time = time
            told.append(await fees.value(fill(0.001, "BNB")))
        return told

    assert asyncio.run(work()) == [None, pytest.approx(0.6), pytest.approx(0.6)]


def test_what_nobody_tells_the_currency_of_has_no_value():
    assert values(Desk(), fill(0.1, None)) == [None]


def test_the_usual_fee_is_the_market_s_own_rate_of_maker_or_taker():
    """Linear: 0.5 at 100 are 50, of which 0.05 % are 0.025. Inverse: 500 USD at 100 are 5 BTC: 0.0025."""
    rates = {"maker": 0.0002, "taker": 0.0005}
    assert usual(fill(0.0, None), market(LINEAR, **rates)) == pytest.approx(0.025)
    assert usual(fill(0.0, None, is_maker=True), market(LINEAR, **rates)) == pytest.approx(0.01)
    assert usual(fill(0.0, None, qty=500.0), market(INVERSE, **rates)) == pytest.approx(0.0025)
