"""Live trading through faults by chance: cash, positions, orders and fills equal the exchange's each time."""

from __future__ import annotations

import pytest
from livestorm import CELLS, schedules_of, through

ROW = 3


@pytest.mark.parametrize(("number", "exchange", "kind"), [(n, *one) for n, one in enumerate(CELLS)])
def test_books_are_equal_after_every_storm(record_property, number, exchange, kind):
    """A row of schedules in every cell; `python tests/livestorm.py --schedules 1000` lives through more."""
    found = through(exchange, kind, schedules_of(ROW * number, ROW))
    record_property("figures", f"{exchange} {kind}: {found.line()}")
    assert found.faults == []
    assert found.counts["schedules"] == ROW
    assert found.counts["orders"] >= 1
    assert found.struck.total() >= 1
