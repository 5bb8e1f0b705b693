"""What a live run heard is kept as JSON and is the same when it is read back."""

from __future__ import annotations

import json

import pytest

from metaexpert.answers import ExchangeFill
from metaexpert.errors import JournalError, NetworkError
from metaexpert.events import Notice, Quote
from metaexpert.models import (
    Account,
    ExitReason,
    Fill,
    MarginMode,
    Order,
    OrderBook,
    OrderStatus,
    OrderType,
    Position,
    Rejection,
    Side,
)
from metaexpert.reports import (
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
from metaexpert.tape import event_of, row_of

ORDER = Order(
    id="me1", symbol="BTC/USDT:USDT", side=Side.SELL, type=OrderType.STOP, qty=0.1 + 0.2, stop_price=99.5,
    status=OrderStatus.OPEN, reduce_only=True, position_side="long", reason=ExitReason.STOP_LOSS, exchange_id="7",
)  # fmt: skip
FORCED = ExitReason.LIQUIDATION
FILL = ExchangeFill("9", 1, "BTC/USDT:USDT", "77", Side.SELL, 0.3, 99.0, 0.01, "BNB", reason=FORCED)
DONE = Fill(3, 1, "BTC/USDT:USDT", "me1", Side.SELL, 0.3, 99.0, 0.01, False, 0.0, -1.5, FORCED, "tag")
HELD = Position(symbol="A", qty=-1.0, entry_price=0.1 + 0.2, margin_mode=MarginMode.CROSS)
EVENTS = [
    OrderReport(1, ORDER),
    OrderRefused(1, "A", "me1", "insufficient_margin", "the account is short of 3"),
    OrderUnknown(1, "A", "me1", "no answer"),
    OrderMissing(1, "A", "me1"),
    ChangeRefused(1, "A", "me1", "cancel", "it works no more"),
    FillReport(1, FILL, "me1", 0.02),
    FillReport(1, FILL),
    FillsFetched(1, "A", 0),
    AccountReport(
        1, Account(currency="USDT", balance=10.0, equity=11.0, margin_used=2.0),
        (HELD, Position(symbol="B")), (ORDER,),
        (HeldByOther("A", None, 1.5), HeldByOther("A", "short", -2.0, is_first=True)),
    ),
    Gap(1, "the connection was lost"),
    Away(1, ((ORDER, DONE), (ORDER, Rejection(1, "A", "me1", "not_received", "it never arrived")), (ORDER, None))),
    Quote(1, "A", 1.0, 2.0, 3.0, 4.0),
    OrderBook(1, "A", ((1.0, 2.0),), ((3.0, 4.0), (5.0, 6.0))),
]  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_what_is_kept_is_read_back(event):
    kind, body = row_of(event)
    read = event_of(kind, json.loads(json.dumps(body)), take=None)
    assert read == event
    assert type(read) is type(event)
    assert repr(read) == repr(event)  # words are the enums again, not only equal to them


def test_an_error_is_read_back_by_its_name():
    kind, body = row_of(Notice(1, "A", "quotes have stopped", NetworkError("no answer")))
    notice = event_of(kind, json.loads(json.dumps(body)), take=None)
    assert (type(notice.error), str(notice.error)) == (NetworkError, "no answer")


def test_what_a_newer_version_kept_is_refused():
    with pytest.raises(JournalError, match=r"the kind 'Novelty' are of a newer metaexpert: update it"):
        event_of("Novelty", [1], take=None)
