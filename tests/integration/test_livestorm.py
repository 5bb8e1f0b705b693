"""Live trading through faults by chance: cash, positions, orders and fills equal the exchange's in the end."""

from __future__ import annotations

import pytest
from livestorm import storm


@pytest.mark.parametrize(
    ("exchange", "kind", "first"),
    [
        ("binance", "linear", 100), ("bybit", "linear", 110), ("okx", "inverse", 120), ("bitget", "linear", 130),
        ("kucoin", "spot", 140),
    ],
)  # fmt: skip
def test_books_are_equal_after_a_storm(home, capsys, exchange, kind, first):
    """Three schedules each; `python -m tests.livestorm --schedules 1000` sails through more."""
    found = storm(exchange, kind, range(first, first + 3))
    with capsys.disabled():
        print(f"\n{exchange} {kind}: {found.line()}")
    assert found.faults == []
    assert found.schedules == 3
    assert found.orders >= 3
    assert sum(found.struck.values()) >= 1
