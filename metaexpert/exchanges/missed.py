"""What a live market has not told, asked for: closed candles, public trades, funding, the index of options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..events import Funding
from ..kinds import Kind
from ..models import Bar
from ..series import on_the_hour
from ..timeframe import floor, parse
from .convert import next_funding_of
from .download import page_of, served
from .fields import positive
from .pager import pager_of
from .venues import segment_of, venue_of

if TYPE_CHECKING:
    from ..events import PublicTrade
    from ..models import Market
    from .gateway import Gateway

__all__ = ["candles", "funding", "index", "paid", "trades"]

TAPE_MS = 3_600_000
"""How far back trades are asked for: what is further back is told by candles."""


async def candles(gateway: Gateway, market: Market, timeframe: str, start: int, end: int) -> list[Bar]:
    """The candles that open at or after `start` and close by `end` (ms UTC), oldest first."""
    length = parse(timeframe)
    rows = await _walk(
        gateway, market, Kind.CANDLES, timeframe, floor(start + length - 1, length), floor(end, length)
    )
    return [Bar(int(row[0]), market.symbol, timeframe, *row[1:]) for row in rows]


async def trades(gateway: Gateway, market: Market, start: int, now: int) -> list[PublicTrade]:
    """The public trades from `start` on, as far as the exchange serves them and `TAPE_MS` back, oldest first."""
    return await _walk(gateway, market, Kind.TRADES, None, max(start, now - TAPE_MS), now + 1)


async def paid(gateway: Gateway, market: Market, start: int, end: int) -> list[Funding]:
    """The funding that was paid within [start, end) ms UTC, oldest first; none of what is no perpetual."""
    if not served(market, Kind.FUNDING):
        return []
    rows = await _walk(gateway, market, Kind.FUNDING, None, start, end)
    due = on_the_hour(np.array([row[0] for row in rows], dtype=np.int64)).tolist()
    return [Funding(time, market.symbol, row[1]) for time, row in zip(due, rows, strict=True)]


async def funding(gateway: Gateway, market: Market) -> Funding | None:
    """The next payment; None of what is no perpetual."""
    if not served(market, Kind.FUNDING):
        return None
    doing = f"ask for the next funding of {market.symbol}"
    return next_funding_of(await gateway.caller.read(doing, "fetch_funding_rate", market.symbol), market)


async def index(gateway: Gateway, market: Market) -> float | None:
    """The index price under an option of OKX, which its streams of mark prices leave out; None: not known.

    Raises:
        MetaExpertError: it was not told.
    """
    name, doing = f"{market.base}-{market.quote}", f"ask for the index under {market.symbol}"
    raw = await gateway.caller.read(doing, "publicGetMarketIndexTickers", {"instId": name})
    rows: list[dict[str, Any]] = raw.get("data") or []
    return next((positive(row, "idxPx") for row in rows if row.get("instId") == name), None)


async def _walk(
    gateway: Gateway, market: Market, kind: Kind, timeframe: str | None, start: int, end: int
) -> list[Any]:
    """All pages of a span."""
    found: list[Any] = []
    pager = pager_of(venue_of(market.exchange).paging, segment_of(market), kind, timeframe, (start, end))
    while (ask := pager.ask()) is not None:
        found.append(pager.take(await page_of(gateway, market, kind, timeframe, ask)).rows)
    return sorted((row for rows in found for row in rows), key=_time)


def _time(row: tuple[Any, ...]) -> int:
    return row[0]
