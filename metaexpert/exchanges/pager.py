"""How a span of history is cut into pages: pure arithmetic, no requests.

A pager says what to ask next and takes the rows that came; what it returns is known from then on. A page of
candles spans no more time than its rows can fill, so it does not matter whether the exchange serves the oldest or
the newest rows of a span: all of them fit. Of trades and rates nobody knows how many there are, so a page that is
full is not believed to be whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import DataError
from ..kinds import Kind
from ..timeframe import DAY_MS, floor, parse
from .venues import Tape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..spans import Span
    from .venues import Paging, Segment

    type Row = tuple[Any, ...]

__all__ = ["Ask", "Page", "Pager", "Rates", "Windows", "pager_of"]

_INTERVAL_MS = 8 * 3_600_000  # between two fundings, unless a page turns out to hold more
_MINUTE_MS = 60_000


class Ask(NamedTuple):
    """One page: `limit` rows of [since, until) in ms UTC; `days` where candles of a day are asked instead.

    `number` is that of a page, from 1 on, where pages are numbered.
    """

    since: int
    until: int
    limit: int
    days: bool = False
    number: int | None = None


class Page(NamedTuple):
    """Rows to keep, by time, and the span that is known whole by now, with them and without."""

    rows: list[Row]
    span: Span


class Pager(Protocol):
    """A walk through one span."""

    def ask(self) -> Ask | None:
        """What to ask now; None at the end."""
        ...

    def take(self, rows: Sequence[Row]) -> Page:
        """Take what came for the last `ask`; each row begins with its time."""
        ...


def pager_of(paging: Paging, part: Segment, kind: Kind, timeframe: str | None, span: Span) -> Pager:
    """The walk through `span` (whole candles, where there are any) on an exchange.

    Raises:
        DataError: this exchange has no such series; the message says of which kind.
    """
    if kind is Kind.FUNDING:
        return Numbered(span, paging.funding) if paging.funding_end is None else Rates(span, paging.funding)
    if kind is Kind.TRADES:
        return _tape(paging, part, span)
    rows = (paging.candles if kind is Kind.CANDLES else paging.prices).get(part)
    if rows is None or timeframe is None:
        raise DataError(f"no {kind.plural} of {part} markets are served")
    return Windows(span, parse(timeframe), rows, paging.widest_ms.get(part))


def _tape(paging: Paging, part: Segment, span: Span) -> Pager:
    tape, limit = paging.tape[part], paging.trades[part]
    if tape is Tape.FORWARD:
        return Forward(span, limit, paging.widest_tape_ms)
    return Backward(span, limit, paging.widest_tape_ms) if tape is Tape.BACKWARD else Last(span, limit)


class Windows:
    """Candles: windows that a page can fill.

    After a window without any, candles of a day tell where there are some again: a listing years after the start
    costs a few requests.
    """

    def __init__(self, span: Span, length: int, limit: int, widest: int | None = None) -> None:
        self._at, self._end = span
        self._length, self._limit, self._widest = length, limit, widest
        self._leaps = False
        self._traded_until = self._at  # the end of a day that is known to have candles

    def ask(self) -> Ask | None:
        """The next window, or the days that tell where to go on."""
        if self._at >= self._end:
            return None
        length = DAY_MS if self._leaps else self._length
        since = floor(self._at, length)
        most = self._limit if self._widest is None else max(1, min(self._limit, self._widest // length))
        limit = min(most, -(-(self._end - since) // length))
        self._asked = Ask(since, since + limit * length, limit, self._leaps)
        return self._asked

    def take(self, rows: Sequence[Row]) -> Page:
        """Keep the candles of the window, each once."""
        known = self._at
        if self._leaps:
            days = [row[0] for row in rows if self._asked.since <= row[0] < self._asked.until]
            first = min(days, default=self._asked.until)
            self._at = min(max(known, first), self._end)
            self._leaps, self._traded_until = False, first + DAY_MS if days else first
            return Page([], (known, self._at))
        until = min(self._asked.until, self._end)
        kept = _within(rows, known, until)
        self._at = until
        self._leaps = not kept and self._length < DAY_MS and self._traded_until <= until < self._end
        return Page(kept, (known, until))


class Rates:
    """Funding rates: windows that a page can fill if the interval is 8 hours; a full page proves a shorter one."""

    def __init__(self, span: Span, limit: int) -> None:
        self._at, self._end = span
        self._limit = limit
        self._width: int = max(1, limit - 1) * _INTERVAL_MS

    def ask(self) -> Ask | None:
        """The next window; it holds a rate less than a page does."""
        if self._at >= self._end:
            return None
        self._asked = Ask(self._at, min(self._at + self._width, self._end), self._limit)
        return self._asked

    def take(self, rows: Sequence[Row]) -> Page:
        """Keep the rates of the window, unless some may be missing: then it is halved."""
        if len(rows) >= self._limit:
            self._width = (self._asked.until - self._asked.since) // 2
            if self._width < _MINUTE_MS:
                raise DataError(f"{self._limit} funding rates or more within two minutes: that can't be")
            return Page([], (self._at, self._at))
        known, self._at = self._at, self._asked.until
        return Page(_within(rows, known, self._at), (known, self._at))


class Numbered:
    """Rates in numbered pages, newest first. A rate that comes up meanwhile moves the others, which loses none."""

    def __init__(self, span: Span, limit: int) -> None:
        self._start, self._until = span
        self._limit, self._number = limit, 1

    def ask(self) -> Ask | None:
        """The next page."""
        if self._until <= self._start:
            return None
        return Ask(self._start, self._until, self._limit, number=self._number)

    def take(self, rows: Sequence[Row]) -> Page:
        """Keep what is older than all before."""
        self._number += 1
        until, oldest = self._until, min((row[0] for row in rows), default=self._start)
        self._until = min(until, max(self._start, oldest))
        return Page(_within(rows, self._until, until), (self._until, until))


class Forward:
    """Trades from a time on. The last millisecond of a full page may be cut, and is asked for again."""

    def __init__(self, span: Span, limit: int, widest: int | None = None) -> None:
        self._at, self._end = span
        self._limit, self._widest = limit, widest

    def ask(self) -> Ask | None:
        """What follows on the last trade that is known."""
        if self._at >= self._end:
            return None
        self._until = self._end if self._widest is None else min(self._at + self._widest, self._end)
        return Ask(self._at, self._until, self._limit)

    def take(self, rows: Sequence[Row]) -> Page:
        """Keep the trades of whole milliseconds."""
        known, until = self._at, self._until
        if len(rows) >= self._limit:
            until = min(until, max(row[0] for row in rows))
            if until <= known:
                raise _crowd(known, self._limit)
        self._at = until
        return Page(_in_order(rows, known, until), (known, until))


class Backward:
    """Trades up to a time, newest first: a walk from the end to the start."""

    def __init__(self, span: Span, limit: int, widest: int | None = None) -> None:
        self._start, self._until = span
        self._limit, self._widest = limit, widest

    def ask(self) -> Ask | None:
        """What goes before the oldest trade that is known."""
        if self._until <= self._start:
            return None
        self._since = self._start if self._widest is None else max(self._start, self._until - self._widest)
        return Ask(self._since, self._until, self._limit)

    def take(self, rows: Sequence[Row]) -> Page:
        """Keep the trades of whole milliseconds."""
        since, until = self._since, self._until
        if len(rows) >= self._limit:
            since = max(since, min(row[0] for row in rows) + 1)
            if since >= until:
                raise _crowd(until - 1, self._limit)
        self._until = since
        return Page(_in_order(rows, since, until), (since, until))


class Last:
    """The last trades, which are all that some exchanges serve."""

    def __init__(self, span: Span, limit: int) -> None:
        self._span, self._limit, self._is_done = span, limit, False

    def ask(self) -> Ask | None:
        """The one page."""
        return None if self._is_done or self._span[0] >= self._span[1] else Ask(*self._span, self._limit)

    def take(self, rows: Sequence[Row]) -> Page:
        """Keep the trades of whole milliseconds; before them nothing is known."""
        self._is_done = True
        start, end = self._span
        since = max(start, min((row[0] for row in rows), default=end - 1) + 1)
        return Page(_in_order(rows, since, end), (min(since, end), end))


def _crowd(time: int, limit: int) -> DataError:
    return DataError(f"{limit} trades or more in one millisecond ({time} ms UTC): the exchange can't serve them")


def _within(rows: Sequence[Row], start: int, end: int) -> list[Row]:
    """The rows of a span, by time; of those with one time the last."""
    found = {row[0]: row for row in rows if start <= row[0] < end}
    return [found[time] for time in sorted(found)]


def _in_order(rows: Sequence[Row], start: int, end: int) -> list[Row]:
    """The rows of a span, by time and as they stand; several may have one time."""
    return sorted((row for row in rows if start <= row[0] < end), key=_time)


def _time(row: Row) -> int:
    return row[0]
