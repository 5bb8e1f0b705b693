"""What the contract tests share: the venue."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest
    from venue import Venue


@pytest_asyncio.fixture
async def venue(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Venue]:
    """The loopback exchanges, whose time stands still; the library may dial, since every name leads to them."""
    from venue import Venue

    from metaexpert.clock import SimClock
    from metaexpert.exchanges import budget, connection, fees, lines

    monkeypatch.delenv("METAEXPERT_OFFLINE", raising=False)
    monkeypatch.setattr(budget, "_BUDGETS", WeakValueDictionary())  # no test waits for what another has sent
    monkeypatch.setattr(connection, "_TIMEOUT_MS", 60_000)  # on a busy machine an answer takes its time
    monkeypatch.setattr(fees, "_PATIENCE", 60.0)
    monkeypatch.setattr(lines, "_UNWATCH", 60.0)
    async with Venue(SimClock(1_790_000_000_000)) as venue:
        yield venue
