"""Dealings: the orders that went to the exchange, from the intent to the last fill: reports in, commands out.

Fills are the truth for quantity, price and fee, reports for how an order stands; an end is told once the fills
that were reported with it are booked. What is not heard of in time is asked for, nothing is ever sent twice.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from ..events import Notice
from ..models import ExitReason, OrderStatus, OrderType, Rejection, TimeInForce
from ..reports import (
    Amend,
    Cancel,
    ChangeRefused,
    FillReport,
    FillsFetched,
    OrderMissing,
    OrderRefused,
    OrderReport,
    OrderUnknown,
    Send,
)
from .book import Working
from .booking import Booking
from .claims import Claims
from .sent import FIRES, Change, Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..answers import ExchangeFill
    from ..models import Order
    from ..reports import Report
    from .errands import Errands
    from .execution import Execution
    from .names import Names

__all__ = ["Dealings"]

_FETCHES = 3  # without finding what a report says is filled; then the report is believed
_MARGIN_MS = 10_000  # by how much the exchange's clock may be behind ours
_PATIENCE_MS = 3_000  # for a change to come about
_LATE_MS = 600_000  # for so long an order that was given up may turn up yet
_AT_ONCE_MS = 2_000  # a post-only order that ends so soon by itself would have crossed
_KEPT = 500  # of the orders that have ended: a fill of one may still come
_CANCELS = 3  # of an order that stands on: then somebody has to look


class Dealings:
    """See the module's docstring.

    Args:
        execution: books the fills.
        names: gives ids, and knows ours.
        errands: asks the exchange.
        intend: writes an order down before it is sent; what it raises keeps the order from being sent.
        notify: tells of what people should know.
        protective: the order in the book's terms behind one of the protective orders, by our or the exchange's id.
    """

    def __init__(
        self, execution: Execution, names: Names, errands: Errands, *, intend: Callable[[Order], None],
        notify: Callable[[Notice], None], protective: Callable[[str], Working | None],
    ) -> None:  # fmt: skip
        self._execution = execution
        self._book = execution.book
        self._names = names
        self._errands = errands
        self._intend = intend
        self._notify = notify
        self._protective = protective
        self._sent: dict[str, Sent] = {}  # by our id
        self._carrying: dict[str, Sent] = {}  # by the id of the order in the book, while it works
        self._by_exchange: dict[tuple[str, str], Sent] = {}
        self._booking = Booking(execution, notify)
        self.claims = Claims(execution.now())

    # -- looking ----------------------------------------------------------------------------------------------

    @property
    def open(self) -> list[Sent]:
        """What may still trade, or lacks fills; protective orders too."""
        return [sent for sent in self._sent.values() if not sent.has_ended]

    @property
    def _unsure(self) -> list[Sent]:
        """What may still trade, as far as we know, or turn up though it was given up."""
        since = self._execution.now() - _LATE_MS
        return [
            one
            for one in self._sent.values()
            if not one.has_ended or (one.is_lost and (one.cancels or one.at > since))
        ]

    def find(self, order_id: str) -> Sent | None:
        """The order that was sent under that id of ours."""
        sent = self._sent.get(order_id)
        if sent is None and (working := self._protective(order_id)) is not None:
            known = self._sent.get(working.terms.id)  # it may be asked for by what the exchange calls it
            sent = known or self._take(Sent(working.order, working, working.terms.created))
        return sent

    def knows(self, order: Order) -> bool:
        """Is it an order of ours that may still trade, by our id or the exchange's?"""
        sent = self._sent.get(order.id) or self._by_id(order)
        return sent is not None and not sent.has_ended

    def standing(self) -> list[tuple[Order, list[str]]]:
        """What stands on the exchange as far as we know, with what that calls it."""
        return [(sent.order, sent.ids) for sent in self.open if sent.status is OrderStatus.OPEN]

    def carrier(self, working: Working) -> Sent | None:
        """What carries out an order of the book now."""
        return self._carrying.get(working.terms.id)

    @property
    def unknown(self) -> set[str]:
        """The symbols in which it is not known of an order whether it arrived."""
        return {sent.order.symbol for sent in self.open if sent.is_unknown}

    @property
    def is_settled(self) -> bool:
        """Is nothing on its way, unknown, or short of fills?"""
        calm = all(sent.status is OrderStatus.OPEN and not self._is_moving(sent) for sent in self.open)
        return calm and not self.claims.are_waiting

    @staticmethod
    def _is_moving(sent: Sent) -> bool:
        return sent.is_unknown or sent.cancels > 0 or sent.change is not None or sent.lacks > 0.0 or sent.is_gone

    # -- asking -----------------------------------------------------------------------------------------------

    def send(self, working: Working, order: Order, reference: float | None = None) -> None:
        """Write an order down, then send it. `order` may differ from `working` in how it is to trade."""
        self._intend(working.order if order.id == working.terms.id else order)
        self._take(Sent(order, working, self._execution.now(), reference))
        self._errands.put(Send(order))

    def _take(self, sent: Sent) -> Sent:
        self._sent[sent.order.id] = sent
        if self._book.find(sent.working.terms.id) is sent.working:
            self._carrying[sent.working.terms.id] = sent
        return sent

    def cancel(self, sent: Sent, why: str) -> None:
        """Have an order cancelled; that it is will be told once the exchange has said so."""
        if sent.change is not None and sent.change.id is not None:
            sent.change = None  # it is cancelled already, and nothing follows it now
        sent.why = why
        if sent.cancels == 0 and not sent.is_final:
            sent.cancels = 1
            self._errands.put(Cancel(sent.order))

    def change(self, sent: Sent, price: float | None, qty: float | None, *, in_place: bool) -> None:
        """Change an order where it stands, or by cancelling it and sending what is left as another one."""
        before = sent.change
        if in_place and before is None:
            sent.change, sent.changed = Change(price, qty), self._execution.now()
            self._errands.put(Amend(sent.order, price, qty))
            return
        if before is not None:
            price, qty = before.price if price is None else price, before.qty if qty is None else qty
        fresh = self._book.next_id() if before is None or before.id is None else before.id
        sent.change = Change(price, qty, fresh)
        sent.why = "it is replaced by one with other terms"
        if sent.cancels == 0 and not sent.is_final:
            sent.cancels = 1
            self._errands.put(Cancel(sent.order))

    # -- what is heard ------------------------------------------------------------------------------------------

    def hear(self, report: Report) -> None:
        """Take in a report about an order or a fill; of protective orders the fills alone are followed here."""
        if isinstance(report, FillReport):
            self._hear_fill(report)
        elif isinstance(report, FillsFetched):
            self._fetched(report.symbol)
        elif isinstance(report, OrderReport):
            self._errands.found(report.order.id)
            sent = self.find(report.order.id) or self._by_id(report.order)
            if sent is not None:
                self._reported(sent, report.order)
                self._heard(sent)
                self._settle(sent)
        elif isinstance(report, OrderRefused | OrderUnknown | OrderMissing | ChangeRefused):
            if isinstance(report, OrderMissing):
                self._errands.found(report.order_id)
            sent = self.find(report.order_id)
            if sent is not None:
                if not sent.has_ended or isinstance(report, ChangeRefused):
                    self._trouble(sent, report)
                self._heard(sent)

    def _by_id(self, order: Order) -> Sent | None:
        return None if order.exchange_id is None else self._by_exchange.get((order.symbol, order.exchange_id))

    def _heard(self, sent: Sent) -> None:
        """Something is known of an order: fills that waited for that are claimed, or are nobody's."""
        if sent.status is OrderStatus.PENDING:
            return
        for report, was_last in self.claims.heard(sent.order.id):
            if self._owner(report) is not None or was_last:
                self.claims.taken(report)
                self._hear_fill(report, is_settled=was_last)

    def _reported(self, sent: Sent, order: Order) -> None:
        """The exchange says how an order stands."""
        self._errands.found(sent.order.id)
        sent.hear(order)
        for name in sent.ids:
            self._by_exchange[order.symbol, name] = sent
        self._note_id(sent)
        sent.is_lost = sent.is_lost and (order.is_working or sent.cancels == 0)
        if sent.is_lost and order.is_working and sent.cancels == 0:
            sent.cancels = 1
            self._say(order.symbol, f"order {order.id} turned up late: it is cancelled")
            self._errands.put(Cancel(sent.order))
        elif order.is_working:
            self._press(sent)
        if not sent.has_ended:
            self._changed(sent, order)

    def _note_id(self, sent: Sent) -> None:
        """The expert sees what the exchange calls its order."""
        working = sent.working
        if sent.ids and working.terms.exchange_id != sent.ids[-1]:
            working.terms = working.terms.changed(exchange_id=sent.ids[-1])

    def _press(self, sent: Sent) -> None:
        """An order whose cancelling was refused stands on: it is asked for again, a few times."""
        if sent.cancels < 0 and (not sent.is_final or sent.is_lost):
            sent.cancels = 1 - sent.cancels
            if sent.cancels <= _CANCELS:
                self._errands.put(Cancel(sent.order))
            else:
                sent.cancels, sent.change = 0, None
                self._say(sent.order.symbol, f"order {sent.order.id} can't be cancelled: it works on")

    def _trouble(self, sent: Sent, report: OrderRefused | OrderUnknown | OrderMissing | ChangeRefused) -> None:
        if isinstance(report, OrderUnknown):
            sent.is_unknown = sent.status is OrderStatus.PENDING
            self._say(report.symbol, f"whether order {report.order_id} arrived is not known: {report.message}")
        elif isinstance(report, OrderRefused):
            self._close(sent, OrderStatus.REJECTED, report.message, report.reason)
        elif isinstance(report, ChangeRefused):
            self._change_refused(sent, report)
        elif sent.status is OrderStatus.PENDING:
            sent.is_lost = True
            self._close(sent, OrderStatus.REJECTED, "it did not reach the exchange", "not_received")
        else:
            sent.is_gone, sent.fetches = True, 0
            self._errands.fetch(sent.order.symbol, sent.at - _MARGIN_MS)

    def _change_refused(self, sent: Sent, report: ChangeRefused) -> None:
        if report.what == "amend":
            self._not_changed(sent, report.message)
        else:
            sent.cancels = -abs(sent.cancels)
        self._errands.find(sent.order, again=True)

    def _not_changed(self, sent: Sent, why: str) -> None:
        sent.change, terms = None, sent.working.terms
        refusal = Rejection(self._execution.now(), terms.symbol, terms.id, "not_changed", why)
        self._book.tell(sent.working, refusal)

    def _changed(self, sent: Sent, order: Order) -> None:
        """Has the change of an order where it stands come about, or one that nobody waits for?"""
        change = sent.change
        if change is None or change.id is not None:
            self._follow(sent, order)
        elif sent.is_told(order, change.price, change.qty):
            sent.change = None
            self._take_over(sent, change)
        elif self._execution.now() >= sent.changed + _PATIENCE_MS:  # no report of before can be so late
            self._not_changed(sent, "the exchange has not done it")
            self._follow(sent, order)

    def _follow(self, sent: Sent, order: Order) -> None:
        """An order has the terms that it has at the exchange; as a report may be an old one, two have to agree."""
        before, doubt, sent.doubt = sent.order, sent.doubt, None
        if not self._carries(sent) or not sent.differs(order):
            return
        if doubt is None or not sent.is_told(order, *doubt):
            sent.doubt = order.price, order.qty
            self._errands.find(before)
            return
        self._say(
            order.symbol,
            f"order {before.id} is {order.qty:.12g} at {order.price} on the exchange and was "
            f"{before.qty:.12g} at {before.price} by our books: the exchange's counts",
        )
        self._take_over(sent, Change(order.price, order.qty))

    def _take_over(self, sent: Sent, change: Change) -> None:
        """An order stands with other terms now: that is told."""
        before, working = sent.order, sent.working
        sent.doubt = None
        sent.order = before.changed(
            price=before.price if change.price is None else change.price,
            qty=before.qty if change.qty is None else change.qty,
        )
        self._apply(working, change, sent.order.qty + working.filled - sent.filled)
        self._book.announce(working)

    def compare(self, orders: Iterable[Order]) -> None:
        """Look up those of our orders that the account has with other terms."""
        for order in orders:
            sent = self._sent.get(order.id) or self._by_id(order)
            if sent is not None and not sent.has_ended and self._carries(sent) and sent.differs(order):
                self._errands.find(sent.order)

    @staticmethod
    def _apply(working: Working, change: Change, qty: float) -> None:
        """An order of the book takes on its new terms."""
        working.qty, working.is_changed = qty, True
        if change.price is not None and working.terms.type is OrderType.STOP:
            working.stop_price = change.price
        elif change.price is not None:
            working.price = change.price

    # -- how an order ends ----------------------------------------------------------------------------------------

    def _settle(self, sent: Sent) -> None:
        """Tell how an order stands, as far as its fills are booked."""
        if sent.status is not OrderStatus.REJECTED or sent.reported > 0.0:
            self._stands(sent)
        if sent.lacks > 0.0:
            self._miss(sent)
        elif sent.is_final and not sent.has_ended:
            self._end(sent)

    def _stands(self, sent: Sent) -> None:
        """An order stands at the exchange: that is told once."""
        working = sent.working
        if working.status is OrderStatus.PENDING and self._carries(sent):
            working.status, working.arrived = OrderStatus.OPEN, True
            self._book.announce(working)

    def _carries(self, sent: Sent) -> bool:
        return self._carrying.get(sent.working.terms.id) is sent

    def _end(self, sent: Sent) -> None:
        """An order works no more, and all its fills are booked."""
        order, status = sent.order, sent.status
        why = sent.why or f"{status} by the exchange"
        if status is OrderStatus.REJECTED:
            self._close(sent, status, order.message or "the exchange refused it", "rejected")
        elif order.post_only and sent.cancels == 0 and sent.filled == 0.0 and self._is_young(sent):
            self._close(sent, OrderStatus.REJECTED, "it would cross on arrival", "post_only_would_cross")
        elif order.tif is not TimeInForce.GTC and sent.cancels == 0 and status is not OrderStatus.FILLED:
            self._close(sent, OrderStatus.EXPIRED, f"{order.tif}: there was nothing to fill all of it with")
        else:
            self._close(sent, status, why)

    def _is_young(self, sent: Sent) -> bool:
        return self._execution.now() - sent.at < _AT_ONCE_MS

    def _close(self, sent: Sent, status: OrderStatus, message: str, reason: str | None = None) -> None:
        """The end of a sent order is the end of the order of the book, unless another one carries that on."""
        sent.has_ended, sent.is_unknown, sent.is_gone, sent.status = True, False, False, status
        working, change = sent.working, sent.change
        if not self._carries(sent):
            return
        was_cut = status in (OrderStatus.CANCELED, OrderStatus.EXPIRED) and working.is_working
        if was_cut and change is not None and change.id is not None:
            self._replace(change, change.id, working)
            return
        del self._carrying[working.terms.id]
        if change is not None:
            self._not_changed(sent, "it worked no more when the change came")
        if not working.is_working:
            self._book.remove(working)
        elif status is OrderStatus.FILLED:  # for a little less than was asked, as where a cost is filled
            working.qty, working.status = working.filled, status
            self._book.remove(working)
            self._book.announce(working)
        else:
            self._book.drop(working, status, message, reason)

    def _replace(self, change: Change, name: str, working: Working) -> None:
        """What is left of an order goes on under another id, with other terms."""
        self._apply(working, change, working.qty if change.qty is None else change.qty)
        if working.rest <= 0.0 or working.filled >= working.qty:
            del self._carrying[working.terms.id]
            self._book.drop(working, OrderStatus.CANCELED, "what it was changed to is filled already")
            return
        self._book.announce(working)
        order = working.order.changed(
            id=name, qty=working.rest, filled=0.0, average_price=None, fee=0.0, exchange_id=None,
            status=OrderStatus.PENDING,
        )  # fmt: skip
        self.send(working, order)

    # -- fills ------------------------------------------------------------------------------------------------

    def _hear_fill(self, report: FillReport, *, is_settled: bool = False) -> None:
        """Book a fill that is ours; one of which that is not known yet waits (not where `is_settled`)."""
        fill = report.fill
        if fill.symbol not in self._execution.ledger.holdings or self.claims.has(fill):
            return
        sent = self._owner(report)
        if sent is not None:
            self.claims.taken(report)
            self._claim(sent, report)
            return
        is_anothers = report.order_id != "" and not self._names.is_mine(report.order_id)
        maybe = [] if is_settled or is_anothers else [one for one in self._unsure if self._may_own(one, fill)]
        if not maybe:
            if fill.reason in (ExitReason.LIQUIDATION, ExitReason.EXPIRY):
                self.claims.note(fill)
                self._booking.force(report)
            return
        self.claims.wait(report, [one.order.id for one in maybe])
        for one in maybe:
            if one.status is not OrderStatus.PENDING:  # else an answer is on its way
                self._errands.find(one.order)

    def _owner(self, report: FillReport) -> Sent | None:
        fill = report.fill
        by_name = self.find(report.order_id) if report.order_id else None
        known = by_name or self._by_exchange.get((fill.symbol, fill.order_id))
        if known is None and fill.order_id and (working := self._protective(fill.order_id)) is not None:
            known = self.find(working.terms.id)
        return known if known is None or known.order.symbol == fill.symbol else None

    @staticmethod
    def _may_own(sent: Sent, fill: ExchangeFill) -> bool:
        """Could a fill whose order is not known be one of this order?"""
        order = sent.order
        legs = None in (fill.position_side, order.position_side) or fill.position_side == order.position_side
        fits = order.symbol == fill.symbol and order.side is fill.side and legs
        return fits and (not sent.ids or order.type in FIRES)

    def _claim(self, sent: Sent, report: FillReport) -> None:
        """Book a fill of an order of ours, unless it was booked on the word of a report."""
        fill = report.fill
        self.claims.note(fill)
        if sent.assumed > 0.0 and sent.filled + fill.qty > sent.reported + 0.5 * sent.held.market.qty_step:
            return
        self._stands(sent)
        working = sent.working
        if working.status is OrderStatus.REJECTED:
            working.status, working.message = OrderStatus.CANCELED, "it came late"
        self._booking.fill(sent, report)
        self._settle(sent)

    def _miss(self, sent: Sent) -> None:
        """Fetch the fills that an order lacks, the longer waited the later."""
        now = self._execution.now()
        at = now + 1_000 * sent.fetches if sent.fetches else None
        self._errands.fetch(sent.order.symbol, sent.at - _MARGIN_MS, at=at)

    def _fetched(self, symbol: str) -> None:
        """All fills of a symbol were told: what is missing still is asked for again, or taken from the report."""
        self._errands.fetched(symbol)
        for sent in [one for one in self._sent.values() if one.order.symbol == symbol]:
            if sent.lacks > 0.0:
                sent.fetches += 1
                if sent.fetches >= _FETCHES:
                    self._booking.assume(sent)
                self._settle(sent)
            elif sent.is_gone:
                self._close(sent, OrderStatus.CANCELED, sent.why or "the exchange knows it no more")

    # -- a restart --------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What it goes on from, as JSON can hold it: what may still trade, and what may turn up yet."""
        lacking = [one for one in self._sent.values() if one.has_ended and one.lacks > 0.0]
        kept = {one.order.id: one for one in (*self._unsure, *lacking)}
        return {"sent": [one.state() for one in kept.values()], "claims": self.claims.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take on what `state` told, once the book and the protective orders are there again."""
        self.claims.restore(state["claims"])
        for one in state["sent"]:
            working = self._book.find(one["of"]) or self._protective(one["of"])
            if working is None and one["working"] is not None:
                order = one["order"]
                held = self._execution.ledger.leg(order["symbol"], order.get("position_side"))
                working = Working.restored(one["working"], held)
            if working is not None:
                sent = self._take(Sent.restored(one, working))
                for name in sent.ids:
                    self._by_exchange[sent.order.symbol, name] = sent

    def expect(self, order: Order) -> None:
        """Take in an order that was written down, and perhaps sent, after the last state."""
        if self.find(order.id) is not None:
            return
        before = next((one for one in self.open if one.change is not None and one.change.id == order.id), None)
        if before is None or before.change is None:
            working = Working(order, self._execution.ledger.leg(order.symbol, order.position_side))
            self._book.add(working)
        else:  # it carries on one that was cancelled for it
            before.has_ended, working = True, before.working
            self._apply(working, before.change, working.qty if before.change.qty is None else before.change.qty)
        self._take(Sent(order, working, order.created)).is_unknown = True

    # -- the rest ---------------------------------------------------------------------------------------------

    def _say(self, symbol: str, text: str) -> None:
        self._notify(Notice(self._execution.now(), symbol, text, warns=True))

    @property
    def next_time(self) -> float:
        """When a change is to be asked after, ms UTC; infinite where none is."""
        dues = (sent.changed + _PATIENCE_MS for sent in self._changing())
        return min((due for due in dues if due > self._execution.now()), default=inf)

    def run(self) -> None:
        """Ask for the orders whose change did not come about in time."""
        for sent in self._changing():
            if sent.changed + _PATIENCE_MS <= self._execution.now():
                self._errands.find(sent.order)

    def _changing(self) -> list[Sent]:
        return [sent for sent in self.open if sent.change is not None and sent.change.id is None]

    def look(self) -> None:
        """Something may have been missed: ask for every order that works, and for all fills since the last one."""
        for sent in self._unsure:
            if not sent.is_final or sent.is_lost:
                self._errands.find(sent.order, again=True)
        for symbol in self._execution.ledger.holdings:
            self._errands.fetch(symbol, self.claims.since(symbol))

    def let_go(self) -> None:
        """Forget what has ended long ago."""
        if len(self._sent) <= 2 * _KEPT:
            return
        ended = [name for name, sent in self._sent.items() if sent.has_ended]
        for name in ended[:-_KEPT]:
            sent = self._sent.pop(name)
            for one in sent.ids:
                self._by_exchange.pop((sent.order.symbol, one), None)
