"""What the contract tests share: the venue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest
    from venue import Venue


@pytest_asyncio.fixture
async def venue(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Venue]:
    """The loopback exchanges; the library may dial, since every name leads to them."""
    from venue import Venue

    monkeypatch.delenv("METAEXPERT_OFFLINE", raising=False)
    async with Venue() as venue:
        yield venue
