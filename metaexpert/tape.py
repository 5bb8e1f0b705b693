"""What a live run heard, as lists, words and numbers, and back: so it is kept, and so it is played again."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from . import errors
from .answers import ExchangeFill
from .errors import JournalError, MetaExpertError
from .events import Funding, MarkPrice, Notice, PublicTrade, Quote
from .feed import Step
from .models import (
    Account,
    BackfilledBar,
    Bar,
    ExitReason,
    Fill,
    MarginMode,
    Order,
    OrderBook,
    Position,
    Rejection,
    Side,
)
from .reports import (
    AccountReport,
    Away,
    ChangeRefused,
    FillReport,
    FillsFetched,
    Gap,
    HeldByOther,
    OrderMissing,
    OrderRefused,
    OrderReport,
    OrderUnknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .feed import Series
    from .livefeed import Event

__all__ = [
    "BEGINNING",
    "END",
    "FAILURE",
    "LEAVE",
    "START",
    "STOP",
    "WAKE",
    "error_of",
    "error_row",
    "event_of",
    "row_of",
]

START, BEGINNING, STOP, WAKE = "Start", "Beginning", "Stop", "Wake"
LEAVE, FAILURE, END = "Leave", "Failure", "End"
"""What is kept beside the events: a run begins; what its feed began with; it was told to stop; nothing but time
has passed; it puts its orders in order; its feed failed; it ends."""

_PLAIN: dict[str, Callable[..., Any]] = {
    one.__name__: one
    for one in (
        *(PublicTrade, Quote, MarkPrice, Funding),
        *(OrderRefused, OrderUnknown, OrderMissing, ChangeRefused, FillsFetched, Gap),
    )
}


def row_of(event: Event | None) -> tuple[str, Any]:
    """The kind of an event and what it tells; None is that time has passed."""
    if event is None:
        return WAKE, None
    row = _ROWS.get(type(event))
    return type(event).__name__, list(event) if row is None else row(event)


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
    if kind in _PLAIN:
        return _PLAIN[kind](*body)
    if kind not in _MADE:
        raise JournalError(f"events of the kind {kind!r} are of a newer metaexpert: update it")
    return _MADE[kind](*body)


def error_row(error: BaseException | None) -> list[str] | None:
    """An error by name and text."""
    return None if error is None else [type(error).__name__, str(error)]


def error_of(name: str, text: str) -> MetaExpertError:
    """The error that `error_row` described."""
    kind = getattr(errors, name, MetaExpertError)
    return kind(text)


# --- how those are told that are not plain lists of words and numbers


def _step_row(step: Step) -> list[Any]:
    delivered = [_row(series.bar(index)) for series, index in step.delivered]
    return [step.time, [_row(bar) for bar in step.matched], delivered]


def _row(bar: Bar) -> list[Any]:
    return [*bar, True] if bar.is_backfilled else [*bar]


def _notice_row(notice: Notice) -> list[Any]:
    row = [notice.time, notice.symbol, notice.text, error_row(notice.error)]
    return [*row, True] if notice.is_of_account else row


def _order_row(report: OrderReport) -> list[Any]:
    return [report.time, report.order.as_dict()]


def _account_row(report: AccountReport) -> list[Any]:
    time, account, positions, orders, others = report
    return [time, asdict(account), [asdict(one) for one in positions], [one.as_dict() for one in orders], others]


def _away_row(away: Away) -> list[Any]:
    return [away.time, *([_news_row(*one) for one in news] for news in (away.news, away.heard))]


def _news_row(order: Order, result: Fill | Rejection | None) -> list[Any]:
    return [order.as_dict(), None if result is None else list(result)]


_ROWS: dict[type, Callable[[Any], list[Any]]] = {
    Step: _step_row,
    Notice: _notice_row,
    OrderReport: _order_row,
    AccountReport: _account_row,
    Away: _away_row,
}


# --- and back


def _bar(row: list[Any]) -> Bar:
    return Bar(*row) if len(row) == len(Bar._fields) else BackfilledBar(*row[:-1])


def _notice(time: int, symbol: str, text: str, error: list[str] | None, is_of_account: bool = False) -> Notice:
    return Notice(time, symbol, text, None if error is None else error_of(*error), is_of_account)


def _book(time: int, symbol: str, bids: list[list[float]], asks: list[list[float]]) -> OrderBook:
    return OrderBook(time, symbol, _levels(bids), _levels(asks))


def _levels(rows: list[list[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((price, qty) for price, qty in rows)


def _order_report(time: int, order: dict[str, Any]) -> OrderReport:
    return OrderReport(time, Order.from_dict(order))


def _fill_report(time: int, fill: list[Any], order_id: str, fee: float | None) -> FillReport:
    made = ExchangeFill(*fill)
    return FillReport(time, made._replace(side=Side(made.side), reason=ExitReason(made.reason)), order_id, fee)


def _account_report(
    time: int, account: dict[str, Any], positions: list[dict[str, Any]], orders: list[dict[str, Any]],
    others: list[list[Any]],
) -> AccountReport:  # fmt: skip
    return AccountReport(
        time, Account(**account), tuple(map(_position, positions)), tuple(map(Order.from_dict, orders)),
        tuple(HeldByOther(*one) for one in others),
    )  # fmt: skip


def _position(row: dict[str, Any]) -> Position:
    values = dict(row)
    mode = values.pop("margin_mode")
    return Position(**values, margin_mode=None if mode is None else MarginMode(mode))


def _away(time: int, *rows: list[list[Any]]) -> Away:
    return Away(
        time, *(tuple((Order.from_dict(order), _result(result)) for order, result in news) for news in rows)
    )


def _result(row: list[Any] | None) -> Fill | Rejection | None:
    if row is None:
        return None
    if len(row) == len(Rejection._fields):
        return Rejection(*row)
    made = Fill(*row)
    return made._replace(side=Side(made.side), reason=ExitReason(made.reason))


_MADE: dict[str, Callable[..., Event]] = {
    "Notice": _notice,
    "OrderBook": _book,
    "OrderReport": _order_report,
    "FillReport": _fill_report,
    "AccountReport": _account_report,
    "Away": _away,
}
