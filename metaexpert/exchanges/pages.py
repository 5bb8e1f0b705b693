"""What an account has in pages: its open orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..models import Market
    from .caller import Caller
    from .venues import Segment

__all__ = ["active", "open_orders"]


async def open_orders(caller: Caller, name: str | None, asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every page of the open orders that one query shows, of one market by its `name` or of all.

    Raises:
        ExchangeError: there may be more than the exchange tells.
    """
    pages, found, cursor = caller.venue.order_pages, list[Any](), dict[str, str]()
    while True:
        arguments = name, None, pages and pages.size, {**asked, **cursor}
        raw = await caller.read("fetch the open orders", "fetch_open_orders", *arguments, private=True)
        found += raw
        if pages is None or len(raw) < pages.size:
            return found
        last = raw[0]["info"].get("nextPageCursor") if pages.has_token else raw[-1]["id"]
        if not pages.cursor:
            raise ExchangeError(f"{caller.venue.name}: there may be more open orders than the {len(raw)} it tells")
        if not last or cursor.get(pages.cursor) == last:
            return found
        cursor = {pages.cursor: last}


async def active(caller: Caller, part: Segment, markets: Mapping[str, Market]) -> list[str]:
    """The markets with open orders, where the exchange lists them by market alone."""
    doing = "ask for the markets with open orders"
    raw = await caller.read(doing, caller.venue.active[part], private=True)
    ids = {market.id: market.symbol for market in markets.values()}
    return [ids[name] for name in raw["data"]["symbols"] or () if name in ids]
