"""A live broker against an exchange that loses, repeats and reorders: when all is said, both agree."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from desk import SPOT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from unreliable import Unreliable

from metaexpert.models import Fill, OrderStatus, Side

ENDS = {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED}


def play(seed: int, steps: int, *symbols: str, crashes: bool, **more: Any) -> Unreliable:
    """An expert that acts at random at an exchange that answers at random."""
    random = Random(seed)
    exchange = Unreliable(
        random, *symbols, exchange=("binance", "kucoin")[seed % 2], **more
    )  # changes in place, or anew
    for _ in range(steps):
        exchange.floor.clock.advance(exchange.now + random.randint(1, 500))
        what = random.randrange(12)
        if what < 3:
            exchange.act()
        elif what < 6:
            exchange.carry()
        elif what < 9:
            exchange.deliver()
        elif what < 11:
            exchange.trade()
        elif crashes and random.random() < 0.3:
            exchange.crash()
        if random.random() < 0.8:
            exchange.save()
    exchange.settle()
    return exchange


def agree(exchange: Unreliable) -> None:
    """Positions, fees, money and orders are as the exchange has them."""
    floor = exchange.floor
    broker, ledger = floor.broker, floor.ledger
    assert broker.is_settled
    worth = lost = 0.0
    for leg in exchange.legs:
        held = ledger.leg(exchange.symbol, leg)
        dust = exchange.qty(leg) - held.qty if held.is_spot else 0.0  # what no order can sell is nobody's
        sold = sum(one.fill.side is Side.SELL for one in exchange.fills) if held.is_spot else 0
        least = sold * max(held.market.qty_step, held.market.min_qty)
        assert -1e-9 <= dust <= least + 1e-9
        assert held.qty == pytest.approx(exchange.qty(leg) - dust, abs=1e-9)
        worth += held.qty * held.mark
        lost += least
    assert ledger.equity() == pytest.approx(exchange.cash + worth, abs=1e-6)
    assert 0.0 <= sum(broker.differences.foreign.values()) <= lost
    assert broker.external == pytest.approx(0.0, abs=1e-6 + 200.0 * lost)
    known = {one.id: one for one in broker.working()} | {one.id: one for one in broker.shield.orders}
    standing = {name for name, one in exchange.orders.items() if one.works}
    carriers = {sent.order.id for sent in broker.dealings.open if sent.status is OrderStatus.OPEN}
    assert carriers == standing
    assert len(known) == len(standing)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
@example(6676)  # what carries on an order that is filled in part is given up, and turns up late
def test_without_a_restart_everything_is_told_once_and_agrees_in_the_end(seed: int) -> None:
    exchange = play(seed, 60, crashes=False)
    agree(exchange)
    news = exchange.floor.news
    fills = [one.result for one in news if isinstance(one.result, Fill)]
    assert len(fills) == len(exchange.fills)
    for name in {one.order.id for one in news}:
        told = [one.order.status for one in news if one.order.id == name]
        told = [status for status in told if status is not OrderStatus.PENDING]  # changed before it went
        ends = [status for status in told if status in ENDS]
        assert told.count(OrderStatus.OPEN) == 0 or told[0] is OrderStatus.OPEN
        was_given_up = any("not_received" in (one.order.message or "") for one in news if one.order.id == name)
        assert len(set(ends)) <= 1 or was_given_up  # unless it turned up late


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_with_restarts_out_of_the_blue_both_agree_in_the_end(seed: int) -> None:
    agree(play(seed, 60, crashes=True))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_protected_positions_agree_too_and_have_their_stop(seed: int) -> None:
    exchange = play(seed, 60, crashes=True, protection={"stop_loss_pct": 10.0})
    agree(exchange)
    sentries, qty = exchange.floor.broker.shield.sentries, exchange.qty()
    assert [one.working.qty for one in sentries] == ([abs(qty)] if qty else [])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_the_legs_of_hedge_mode_agree_too(seed: int) -> None:
    exchange = play(seed, 60, crashes=True, protection={"stop_loss_pct": 10.0}, hedge=True)
    agree(exchange)
    sentries = exchange.floor.broker.shield.sentries
    wanted = {leg: abs(exchange.qty(leg)) for leg in exchange.legs if exchange.qty(leg)}
    assert {one.working.terms.position_side: one.working.qty for one in sentries} == wanted


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_what_spot_is_paid_for_with_what_was_bought_agrees_too(seed: int) -> None:
    agree(play(seed, 60, SPOT, crashes=True, leverage=1.0))
