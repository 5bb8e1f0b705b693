"""History from an exchange into the candle store: page by page, only what is missing, never the running candle.

What came is stored in blocks and when anything ends the download, together with the spans that were asked for: the
next one goes on where this one was. A page that the exchange answered without rows means that nothing was traded
there; a request that failed means nothing, and ends the download.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ..bars import sanitize
from ..errors import ConfigError, DataError, ExchangeError
from ..models import MarketType
from ..parquet import Source
from ..series import Kind, build, empty, name_of, on_the_hour, parse_name, sanitize_funding, sanitize_trades
from ..spans import joined
from ..timeframe import TIMEFRAMES, floor, parse
from .pager import pager_of
from .venues import Tape, segment_of, venue_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pandas as pd

    from ..events import PublicTrade
    from ..models import Market
    from ..spans import Span
    from ..store import CandleStore
    from .pager import Ask, Page, Row

__all__ = ["Downloaded", "Feed", "Job", "Progress", "download", "download_all", "page_of", "served"]

_BLOCK_PAGES = 64  # what a power failure may cost
_DOUBT_MS = 3_600_000  # younger than this, missing rows may still come
_AT_ONCE = 4


class Feed(Protocol):
    """What is needed of a `Gateway`."""

    async def server_time(self) -> int:
        """The exchange's clock, in ms UTC."""
        ...

    async def market(self, symbol: str) -> Market:
        """The market that `symbol` names."""
        ...

    async def candles(
        self, symbol: str, timeframe: str, since: int, limit: int, kind: Kind = Kind.CANDLES
    ) -> Sequence[Row]:
        """A page of candles."""
        ...

    async def funding_page(
        self, symbol: str, since: int, until: int, limit: int, number: int | None = None
    ) -> Sequence[Row]:
        """A page of funding rates."""
        ...

    async def trades_page(
        self, symbol: str, since: int | None, limit: int, until: int | None = None
    ) -> Sequence[PublicTrade]:
        """A page of trades."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One series of one market over one span; `end` None means now. Times are ms UTC, the end is exclusive."""

    symbol: str
    name: str
    start: int
    end: int | None = None


class Progress(NamedTuple):
    """How far a download is: `done` of `total` ms of history, with `rows` rows so far."""

    symbol: str
    name: str
    done: int
    total: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """What a download did: its span (ms UTC), rows that came and that were new, requests, and what to know."""

    symbol: str
    name: str
    start: int
    end: int
    rows: int
    added: int
    requests: int
    notes: tuple[str, ...]


def served(market: Market, kind: Kind) -> tuple[str, ...]:
    """The timeframes in which an exchange serves candles of a market, shortest first; none where it serves none.

    For funding rates and trades, which have none: ``("",)`` where they are served.
    """
    paging, part = venue_of(market.exchange).paging, segment_of(market)
    if kind is Kind.FUNDING:
        return ("",) if market.type is MarketType.FUTURES and market.expiry is None else ()
    if kind is Kind.TRADES:
        return ("",) if part in paging.tape else ()
    if part not in (paging.candles if kind is Kind.CANDLES else paging.prices):
        return ()
    return tuple(name for name in TIMEFRAMES if name not in paging.lacking.get(part, ()))


async def download_all(
    feed: Feed, store: CandleStore, jobs: Iterable[Job], progress: Callable[[Progress], None] | None = None
) -> list[Downloaded]:
    """Do several downloads, some of them at once; what one of them fails with ends all. See `download`."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(job: Job) -> Downloaded:
        async with room:
            return await download(feed, store, job, progress)

    tasks = [asyncio.ensure_future(one(job)) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, ExchangeError, DataError):
                await task


async def download(
    feed: Feed, store: CandleStore, job: Job, progress: Callable[[Progress], None] | None = None
) -> Downloaded:
    """Bring what the store lacks of a series; the running candle is left for the next time.

    Raises:
        ConfigError: the symbol or timeframe is none of this exchange.
        DataError: the exchange has no such series, or the store can't be written.
        ExchangeError: it could not be asked; what came before is stored.
    """
    market = await feed.market(job.symbol)
    kind, timeframe = parse_name(job.name)
    _check(market, kind, timeframe)
    now = await feed.server_time()
    start, end, notes = _span(market, kind, timeframe, job, now)
    block = _Block(store, market, job.name, now - _DOUBT_MS)
    holes = store.missing(market.exchange, market.symbol, job.name, start, end) if start < end else ()
    walk = _Walk(feed, market, kind, timeframe, block, sum(last - first for first, last in holes), progress)
    try:
        for hole in holes:
            await walk.through(hole)
    except ExchangeError as error:
        error.args = (f"{error}; {_kept(block.rows)}", *error.args[1:])
        raise
    finally:
        block.flush()
    notes += [*walk.notes, *([f"{block.unsound} unsound rows were left out"] if block.unsound else [])]
    return Downloaded(
        symbol=market.symbol, name=job.name, start=start, end=end, rows=block.rows, added=block.added,
        requests=walk.requests, notes=tuple(notes),
    )  # fmt: skip


def _check(market: Market, kind: Kind, timeframe: str | None) -> None:
    known, name = served(market, kind), venue_of(market.exchange).name
    if not known:
        raise DataError(f"{name} serves no {kind.plural} of {market.symbol}")
    if timeframe is not None and timeframe not in known:
        raise ConfigError(
            f"{name} has no {timeframe} {kind.plural} of {market.symbol}; use one of {', '.join(known)}: longer "
            "ones are made from shorter ones"
        )


def _span(market: Market, kind: Kind, timeframe: str | None, job: Job, now: int) -> tuple[int, int, list[str]]:
    """What of the job there can be: whole candles that are over, nothing from before the exchange's memory."""
    start, end = job.start, now if job.end is None else min(job.end, now)
    notes: list[str] = []
    if timeframe is not None:
        length = parse(timeframe)
        return floor(start + length - 1, length), floor(end, length), notes
    venue, part = venue_of(market.exchange), segment_of(market)
    reach = venue.paging.reach_ms.get(kind)
    if reach is not None and start < now - reach:
        start = now - reach
        notes.append(f"{venue.name} serves {kind.plural} of the last {reach // 86_400_000} days only")
    if kind is Kind.TRADES and venue.paging.tape[part] is Tape.LAST:
        notes.append(f"{venue.name} serves the last {venue.paging.trades[part]} trades only; import older ones")
    return start, end, notes


def _kept(rows: int) -> str:
    return f"the {rows} rows that came before are stored: do it again to go on" if rows else "nothing came before"


async def page_of(feed: Feed, market: Market, kind: Kind, timeframe: str | None, ask: Ask) -> Sequence[Row]:
    """Ask for one page of a series; its trades are `PublicTrade`s."""
    if kind is Kind.FUNDING:
        return await feed.funding_page(market.symbol, ask.since, ask.until, ask.limit, ask.number)
    if kind is Kind.TRADES:
        is_last = venue_of(market.exchange).paging.tape[segment_of(market)] is Tape.LAST
        since, until = (None, None) if is_last else (ask.since, ask.until)
        return await feed.trades_page(market.symbol, since, ask.limit, until)
    return await feed.candles(market.symbol, "1d" if ask.days else str(timeframe), ask.since, ask.limit, kind)


class _Walk:
    """Page after page of one series."""

    def __init__(
        self, feed: Feed, market: Market, kind: Kind, timeframe: str | None, block: _Block, total: int,
        progress: Callable[[Progress], None] | None,
    ) -> None:  # fmt: skip
        self._feed, self._market, self._kind, self._timeframe = feed, market, kind, timeframe
        self._block, self._total, self._progress = block, total, progress
        self._done = self.requests = 0
        self.notes: list[str] = []

    async def through(self, hole: Span) -> None:
        """Fill one hole of the series."""
        paging = venue_of(self._market.exchange).paging
        pager = pager_of(paging, segment_of(self._market), self._kind, self._timeframe, hole)
        while (ask := pager.ask()) is not None:
            rows = await page_of(self._feed, self._market, self._kind, self._timeframe, ask)
            self.requests += 1
            page = pager.take(rows)
            self._block.add(page)
            self._done += page.span[1] - page.span[0]
            if self._progress is not None:
                name = name_of(self._kind, self._timeframe)
                told = Progress(self._market.symbol, name, self._done, self._total, self._block.rows)
                self._progress(told)


class _Block:
    """Rows and spans on their way into the store."""

    def __init__(self, store: CandleStore, market: Market, name: str, doubted: int) -> None:
        self._store, self._market, self._name, self._doubted = store, market, name, doubted
        self._kind, timeframe = parse_name(name)
        self._length = 1 if timeframe is None else parse(timeframe)
        self._rows: list[Row] = []
        self._spans: list[Span] = []
        self._pages = 0
        self.rows = self.added = self.unsound = 0

    def add(self, page: Page) -> None:
        """Take a page, and write what is enough for a block."""
        self._rows += page.rows
        self.rows += len(page.rows)
        start, end = page.span
        if end > self._doubted:  # the newest rows may be late: what follows the last one is asked for again
            last = page.rows[-1][0] + self._length if page.rows else start
            end = min(end, max(self._doubted, last))
        self._spans.append((start, end))
        self._pages += 1
        if self._pages >= _BLOCK_PAGES and self._rows:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting; spans alone wait until there is a row, where nothing is stored yet."""
        if not self._spans:
            return
        rows, unsound = _sound(self._kind, self._name, self._rows)
        source = Source(f"{venue_of(self._market.exchange).name} API")
        self.added += self._store.append(
            self._market, self._name, rows, source=source, covered=joined(self._spans)
        )
        self.unsound += unsound
        self._pages, self._rows = 0, []
        if len(rows):
            self._spans = []


def _sound(kind: Kind, name: str, rows: Sequence[Row]) -> tuple[pd.DataFrame, int]:
    """The rows as a frame, and how many were left out because they can't be true."""
    time = np.array([row[0] for row in rows], dtype=np.int64)
    if kind is Kind.TRADES:
        rows = [(one[0], *one[3:6]) for one in rows]  # of a PublicTrade its price, quantity and side
    columns: list[Any] = [np.array(column) for column in zip(*rows, strict=True)][1:]
    if not rows:
        return empty(kind), 0
    if kind is Kind.FUNDING:
        frame, quality = sanitize_funding(on_the_hour(time), columns[0])
    elif kind is Kind.TRADES:
        frame, quality = sanitize_trades(time, *columns)
    else:
        if kind is not Kind.CANDLES:
            columns[-1] = np.zeros(len(rows))
        frame, quality = sanitize(build(kind, time, columns), parse_name(name)[1])
    return frame, quality.not_a_number + quality.impossible + quality.misaligned
