"""The power fails on the way of an order, everywhere on one exchange and here and there on the others."""

from __future__ import annotations

import pytest
from cuts import ACTIONS, figures_of

SOME = "open", "close"
"""What is cut on the others, at one in eight of its moments; `python tests/cuts.py` cuts all, on all of them."""


@pytest.mark.parametrize(
    ("exchange", "kind", "actions", "every"),
    [
        *[("binance", "linear", [action], 1) for action in ACTIONS],
        ("bybit", "linear", SOME, 8),
        ("okx", "inverse", SOME, 8),
        ("bitget", "linear", SOME, 8),
        ("kucoin", "linear", SOME, 8),
        ("okx", "spot", SOME, 8),
    ],
    ids=lambda one: one if isinstance(one, str) else "-".join(one) if isinstance(one, list) else "",
)
def test_nothing_is_lost_doubled_or_left_unprotected(home, record_property, exchange, kind, actions, every):
    found = figures_of(exchange, kind, actions, whole=False, every=every)
    record_property("figures", "\n  ".join([f"{exchange} {kind}, {', '.join(actions)}:", *found.lines()]))
    assert [one for one in found.crashes if one.faults] == []
    assert {"waits", "goes on", "writes"} <= set(found.moments)
    assert sum(one.moment is not None for one in found.crashes) >= 0.9 * len(found.crashes)
    assert any(not one.case.arrives for one in found.crashes) or every > 1
