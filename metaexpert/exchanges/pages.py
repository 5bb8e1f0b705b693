"""What an account has in pages: its open orders, and its fills since a time.

Fills are asked for in the exchanges' own words: CCXT's walks through pages end too early or cut a week out, and it
leaves out what Bybit liquidated. A walk ends with an empty page, not with a short one: no exchange promises that a
page is full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from ..errors import ExchangeError
from ..timeframe import DAY_MS
from .plans import CONTRACTS
from .venues import Segment, segment_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from ..models import Market
    from .caller import Caller

__all__ = ["active", "fills", "liquidations", "open_orders"]

type Row = Mapping[str, Any]

_HOUR_MS = 3_600_000
_WEEK_MS = 7 * DAY_MS
_QUARTER_MS = 89 * DAY_MS  # a little less than the 90 days, or three months, that some allow for
_RECENT_MS = 3 * DAY_MS - _HOUR_MS  # what OKX tells at once; the hour is for clocks that differ


class Ask(Protocol):
    """Asks by a method of CCXT; what comes back is the exchange's own answer."""

    async def __call__(self, method: str, params: Mapping[str, Any]) -> Any:
        """Ask once."""
        ...


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


async def fills(caller: Caller, market: Market, since: int, now: int) -> list[Mapping[str, Any]]:
    """Every fill of the account in a market since a time, as CCXT's trades; some may be there twice.

    Args:
        caller: who asks; CCXT knows the market.
        market: where.
        since: ms UTC.
        now: ms UTC; it only decides in how many steps the time is walked through.

    Returns:
        Those of one moment in the order in which they happened.
    """

    async def ask(method: str, params: Mapping[str, Any]) -> Any:
        return await caller.read(f"fetch the fills of {market.symbol}", method, dict(params), private=True)

    theirs = caller.client.market(market.symbol)
    rows = await _WALKS[market.exchange](ask, market, since, now)
    return [caller.client.parse_trade(row, theirs) for row in rows]


async def liquidations(caller: Caller, market: Market, since: int, now: int) -> list[Row]:
    """The exchange's own orders that liquidated the account since a fill, where its fills don't tell of them."""
    method, found = caller.venue.forced.get(segment_of(market)), list[Row]()
    if method is None:
        return found
    doing, whose = f"fetch the liquidations of {market.symbol}", {"symbol": market.id, "limit": 100}
    for start, end in _windows(since - _HOUR_MS, now, _WEEK_MS):  # an order is older than its fills
        found += await caller.read(doing, method, whose | _named(startTime=start, endTime=end), private=True)
    return found


def _windows(since: int, now: int, width: int) -> Iterator[tuple[int, int | None]]:
    """Windows no wider than `width` that follow each other; the last one has no end, whatever our clock says."""
    while since + width < now:
        yield since, since + width
        since += width
    yield since, None


def _named(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


async def _binance(ask: Ask, market: Market, since: int, now: int) -> list[Row]:
    """Oldest first: from the first fill on by their ids, a thousand at a time."""
    methods = {
        Segment.SPOT: "privateGetMyTrades",
        Segment.LINEAR: "fapiPrivateGetUserTrades",
        Segment.INVERSE: "dapiPrivateGetUserTrades",
        Segment.OPTION: "eapiPrivateGetUserTrades",
    }
    part, found = segment_of(market), list[Row]()
    whose = {"symbol": market.id, "limit": 1000}
    width = _WEEK_MS if part in CONTRACTS else now  # elsewhere no end is asked for
    rows: list[Row] = []
    for start, end in _windows(since, now, width):
        rows = await ask(methods[part], whose | _named(startTime=start, endTime=end))
        if rows:
            break
    while rows:
        found += rows
        after = max(int(row["id"]) for row in rows)
        rows = await ask(methods[part], whose | {"fromId": after + 1})
    return found


async def _bybit(ask: Ask, market: Market, since: int, now: int) -> list[Row]:
    """What was paid at funding instants is among them."""
    whose, found = {"category": segment_of(market).value, "symbol": market.id, "limit": 100}, list[Row]()
    for start, end in _windows(since, now, _WEEK_MS):
        newest, cursor = list[Row](), dict[str, Any]()
        while True:
            asked = whose | _named(startTime=start, endTime=end) | cursor
            told = (await ask("privateGetV5ExecutionList", asked))["result"]
            newest += [row for row in told["list"] if row.get("execType") != "Funding"]
            cursor = {"cursor": told.get("nextPageCursor")}
            if not told["list"] or not cursor["cursor"]:
                break
        found += reversed(newest)
    return found


async def _okx(ask: Ask, market: Market, since: int, now: int) -> list[Row]:
    """Those of three days have an endpoint of their own, beside that of three months."""
    recent = since > now - _RECENT_MS
    method = "privateGetTradeFills" if recent else "privateGetTradeFillsHistory"
    kind = "SPOT" if market.is_spot else "OPTION" if market.is_option else "SWAP"
    if kind == "SWAP" and market.expiry is not None:
        kind = "FUTURES"
    asked = {"instType": kind, "instId": market.id, "begin": since, "limit": 100}
    newest, more = list[Row](), dict[str, Any]()
    while rows := _listed(await ask(method, asked | more)):
        newest += rows
        more = {"after": rows[-1]["billId"]}
    return newest[::-1]


async def _bitget(ask: Ask, market: Market, since: int, now: int) -> list[Row]:
    whose, found = {"symbol": market.id, "limit": 100}, list[Row]()
    if not market.is_spot:
        kinds = {"USDT": "USDT-FUTURES", "USDC": "USDC-FUTURES"}
        whose["productType"] = kinds.get(market.settle, "COIN-FUTURES")
    method = "privateSpotGetV2SpotTradeFills" if market.is_spot else "privateMixGetV2MixOrderFills"
    for start, end in _windows(since, now, _QUARTER_MS):
        asked, newest, more = whose | _named(startTime=start, endTime=end), list[Row](), dict[str, Any]()
        while rows := _listed(await ask(method, asked | more), "fillList"):
            newest += rows
            more = {"idLessThan": rows[-1]["tradeId"]}
        found += reversed(newest)
    return found


async def _kucoin(ask: Ask, market: Market, since: int, now: int) -> list[Row]:
    """Contracts have numbered pages, spot has them by the id of the last row."""
    spot, found = market.is_spot, list[Row]()
    method = "privateGetHfFills" if spot else "futuresPrivateGetFills"
    for start, end in _windows(since, now, _WEEK_MS):
        asked = _named(symbol=market.id, startAt=start, endAt=end) | {"limit" if spot else "pageSize": 100}
        number, newest, more = 1, list[Row](), dict[str, Any]()
        while rows := _listed(await ask(method, asked | more), "items"):
            newest += rows
            number += 1
            more = {"lastId": rows[-1]["id"]} if spot else {"currentPage": number}
        found += reversed(newest)
    return found


def _listed(raw: Any, name: str = "") -> list[Row]:
    """The rows of an answer whose data is a list, or has one under a name."""
    data: Any = raw["data"]
    if isinstance(data, dict):
        data = cast("dict[str, Any]", data).get(name)
    return data or []


_WALKS: Mapping[str, Callable[[Ask, Market, int, int], Awaitable[list[Row]]]] = {
    "binance": _binance,
    "bybit": _bybit,
    "okx": _okx,
    "bitget": _bitget,
    "kucoin": _kucoin,
}
