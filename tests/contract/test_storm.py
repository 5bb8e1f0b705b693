"""A paper run over the loopback exchanges while they break: every fault alone, and many at once by chance."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from storm import ALONE, TERMS, Voyage, check, random_strikes, sail, trading
from warp import warped

CELLS = [(exchange, *terms) for exchange, terms in TERMS.items()]


@pytest.mark.parametrize(("place", "exchange", "kind", "fills"), [(n, *one) for n, one in enumerate(CELLS)])
def test_each_fault_alone_costs_no_bar_and_no_trade(place, exchange, kind, fills):
    """Half of the faults at each exchange; ``python tests/storm.py`` has all at all."""
    log = warped(sail(Voyage(exchange, kind, fills, ALONE[place % 2 :: 2])))
    check(log)
    assert sum(log.struck.values()) >= len(ALONE) // 2 - 4  # they have befallen something


@pytest.mark.parametrize(("exchange", "kind", "fills"), CELLS)
def test_faults_between_orders_change_nothing_of_what_is_traded(exchange, kind, fills):
    """Seven schedules of random faults, and the same tape without any."""
    voyage = Voyage(exchange, kind, fills, [random_strikes(Random(seed)) for seed in range(7)], seed=2)
    log, calm = warped(sail(voyage)), replace(voyage, cycles=[()] * 7, strategy="calm")
    check(log)
    assert trading(log) == trading(warped(sail(calm)))


@pytest.mark.parametrize(("exchange", "kind", "fills"), CELLS)
def test_faults_while_orders_are_on_their_way_leave_all_in_order(exchange, kind, fills):
    """Seven schedules more, that begin just before the close at which orders are sent."""
    cycles = [random_strikes(Random(seed)) for seed in range(100, 107)]
    check(warped(sail(Voyage(exchange, kind, fills, cycles, seed=3, is_rough=True))))
