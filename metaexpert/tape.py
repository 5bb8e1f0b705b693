"""What a live run heard, as lists, words and numbers, and back: so it is kept, and so it is played again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import errors
from .errors import JournalError, MetaExpertError
from .events import Funding, MarkPrice, Notice, PublicTrade, Quote
from .feed import Step
from .models import BackfilledBar, Bar, OrderBook

if TYPE_CHECKING:
    from collections.abc import Callable

    from .events import MarketEvent
    from .feed import Series
    from .livefeed import Event

__all__ = ["BEGINNING", "END", "START", "STOP", "WAKE", "event_of", "row_of"]

START, BEGINNING, STOP, WAKE, END = "Start", "Beginning", "Stop", "Wake", "End"
"""What is kept beside the market's events: a run begins; what its feed began with; it was told to stop; nothing
but time has passed; it ends."""

_PLAIN: dict[str, Callable[..., Any]] = {one.__name__: one for one in (PublicTrade, Quote, MarkPrice, Funding)}


def row_of(event: Step | MarketEvent | Notice | None) -> tuple[str, Any]:
    """The kind of an event and what it tells; None is that time has passed."""
    if event is None:
        return WAKE, None
    if isinstance(event, Step):
        bars = [_row(series.bar(index)) for series, index in event.delivered]
        return "Step", [event.time, [_row(bar) for bar in event.matched], bars]
    if isinstance(event, Notice):
        error = None if event.error is None else [type(event.error).__name__, str(event.error)]
        return "Notice", [event.time, event.symbol, event.text, error]
    return type(event).__name__, list(event)


def event_of(kind: str, body: Any, take: Callable[[Bar], tuple[Series, int]]) -> Event | None:
    """The event that `row_of` described.

    Args:
        kind: of event.
        body: what it tells.
        take: takes a bar that has closed into its series; returns that and the bar's index there.

    Raises:
        JournalError: no event is of that kind.
    """
    if kind == WAKE:
        return None
    if kind == "Step":
        time, matched, closed = body
        return Step(time, tuple(map(_bar, matched)), tuple(take(_bar(row)) for row in closed))
    if kind == "Notice":
        *rest, error = body
        return Notice(*rest, error=None if error is None else _error(*error))
    if kind == "OrderBook":
        time, symbol, bids, asks = body
        return OrderBook(time, symbol, _levels(bids), _levels(asks))
    if kind not in _PLAIN:
        raise JournalError(f"events of the kind {kind!r} are of a newer metaexpert: update it")
    return _PLAIN[kind](*body)


def _row(bar: Bar) -> list[Any]:
    return [*bar, True] if bar.is_backfilled else [*bar]


def _bar(row: list[Any]) -> Bar:
    return Bar(*row) if len(row) == len(Bar._fields) else BackfilledBar(*row[:-1])


def _levels(rows: list[list[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((price, qty) for price, qty in rows)


def _error(name: str, text: str) -> MetaExpertError:
    kind = getattr(errors, name, MetaExpertError)
    return kind(text)
