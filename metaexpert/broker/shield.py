"""Shield: sees to it that every live position has its stop and its target, or is closed.

Declarative. A position's `Guard` says which levels it needs; `sync`, called after every event, compares with that
the protective orders that stand on the exchange, asks for what is missing and has cancelled what is too much. So
an entry, a further one, a partial exit, a level that moved, a stop that was cancelled by hand or refused, and a
restart are all one case. Where the exchange can't keep the levels (`homes`), the Shield watches the price itself.

- A position has one stop and one target of its exact quantity, as the exchange tells of it: some shrink an order
  with its position. A new one is sent first, and the one that it replaces is cancelled once the new one stands.
- While one of a position's orders fills, none is sent for it; what is left of the position then is compared anew.
- Levels that follow the price are moved once a second at most.
- Where the market has reached a level at which no order stands, the position is closed at market.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from .. import risk, rules
from ..errors import UnprotectedError
from ..events import Notice
from ..models import ExitReason, OrderStatus, OrderType
from ..reports import (
    AccountReport,
    Cancel,
    ChangeRefused,
    Check,
    Fetch,
    FillsFetched,
    Find,
    OrderMissing,
    OrderRefused,
    OrderReport,
    OrderUnknown,
)
from .book import Working
from .exits import Closing, Exits, backoff_ms
from .protection import UNPROTECTED
from .sentries import Part, Protected, Sentry, Standing, Ward, is_protective

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..clock import Clock
    from ..models import Order
    from ..reports import Command, Report
    from .execution import Execution
    from .holding import Holding
    from .homes import Home
    from .protection import Guard
    from .sentries import Cover

__all__ = ["NO_POSITION", "STOP_REACHED", "Shield"]

STOP_REACHED = "stop_reached"
"""The reason of a refusal because the market stands beyond the level already."""
NO_POSITION = "reduce_only"
"""The reason of a refusal because the account holds nothing that the order could reduce."""
_PACE_MS = 1_000  # at most one move of a level that follows the price in this time
_QUIET_MS = 10_000  # without a trade for so long, quotes tell what is reached
_REACH_MS = 60_000  # how far back fills are fetched, and how long a loss counts
_LOSSES = 3  # so many orders that ended unasked within that time count as a refusal
_KEPT = 50  # of the orders that have ended: a fill of one may still come


class Shield:
    """See the module's docstring.

    Args:
        execution: has the positions, their guards and the book.
        homes: who keeps the levels, by symbol.
        clock: the run's clock.
        send: journals an order and has it sent.
        ask: asks for `Cancel`, `Find` or `Fetch`.
        notify: logs a notice, and tells the expert of its error.
        close: closes a position at market for a reason, with a message, by an order of the book.
        doubts: does the account seem to hold something else than a position of ours? Then nothing is closed.
        is_priced: is there a price to close a position at, where an order needs one? Else its closing waits.
        on_stop_failure: what follows on a stop that is refused: ``close``, ``retry`` or ``alert``.
    """

    def __init__(
        self, execution: Execution, homes: Mapping[str, Home], clock: Clock, *, send: Callable[[Order], None],
        ask: Callable[[Command], None], notify: Callable[[Notice], None],
        close: Callable[[Holding, ExitReason, str], Working], doubts: Callable[[Holding], bool],
        is_priced: Callable[[Holding], bool], on_stop_failure: str = "close",
    ) -> None:  # fmt: skip
        self._execution = execution
        self._homes = homes
        self._clock = clock
        self._send = send
        self._ask = ask
        self._notify = notify
        self._doubts = doubts
        self._exits = Exits(clock.now, close, doubts, is_priced, self._unclosed, self._unpriced)
        self._rule = on_stop_failure
        self._wards: dict[Holding, Ward] = {}
        self._past: list[Sentry] = []
        self._noted: set[str] = set()
        self._traded: dict[str, int] = {}  # when each symbol's last trade was heard

    # -- looking ----------------------------------------------------------------------------------------------

    @property
    def sentries(self) -> list[Sentry]:
        """The protective orders that may still trade or lack fills."""
        return [one for ward in self._wards.values() for one in ward.sentries]

    @property
    def orders(self) -> list[Order]:
        """The same as orders."""
        return [one.working.order for one in self.sentries]

    def find(self, name: str) -> Sentry | None:
        """The protective order of that id, ours or the exchange's, also one that has ended not long ago."""
        known = (*self.sentries, *self._past)
        return next((one for one in known if one.id == name or name in one.ids), None) if name else None

    @property
    def is_settled(self) -> bool:
        """Is nothing on its way, and nothing left to do now or later?"""
        return self.next_time == inf and all(ward.is_settled for ward in self._wards.values())

    @property
    def next_time(self) -> float:
        """When something is due though nothing is heard (ms UTC), infinite where nothing is."""
        now = self._clock.now()
        return min((due for ward in self._wards.values() for due in ward.dues if due > now), default=inf)

    def refusal(self, order: Order) -> risk.Refusal | None:
        """Why an order may not open or add to a position; None when it may."""
        if any(ward.is_blocked for held, ward in self._wards.items() if held.market.symbol == order.symbol):
            return risk.Refusal("unprotected", "the position can't be protected and is being closed")
        return None

    def note(self, order: Order) -> str | None:
        """What to say with an order whose levels the exchange does not keep; once by symbol it is a notice too."""
        home, symbol = self._homes[order.symbol], order.symbol
        if home.is_native or self._execution.levels_of(order) == UNPROTECTED:
            return None
        if symbol not in self._noted:
            self._noted.add(symbol)
            self._notify(Notice(self._clock.now(), symbol, f"{symbol}: protective levels: {home.why}"))
        return f"its levels: {home.why}"

    def report(self) -> list[Protected]:
        """How each level of each position is protected now."""
        return [
            self._told(held, part, level)
            for held, guard in self._execution.guards.items()
            if held.qty != 0.0
            for part, level in ((Part.STOP, guard.stop_price), (Part.TARGET, guard.target_price))
            if level is not None
        ]

    def _told(self, held: Holding, part: Part, level: float) -> Protected:
        home, ward = self._homes[held.market.symbol], self._wards.get(held)
        fits, lacking = ([], [held.qty]) if ward is None else ward.cover(part).match(held, level)
        fit = fits[-1] if fits else None  # the one that stands least
        status = "missing" if fit is None or lacking else fit.standing.value
        if ward is not None and ward.closing is not None:
            status = "closing"
        elif not home.is_native:
            status = "watched"
        elif status != Standing.STANDS and ward is not None and ward.cover(part).covers(held):
            status = "moving"
            fit = next(one for one in ward.cover(part).sentries if one.standing is Standing.STANDS)
        name = None if fit is None else fit.id
        return Protected(
            held.market.symbol, held.position_side, held.qty, part, level, home.place.value, status, name
        )

    # -- the market -------------------------------------------------------------------------------------------

    def on_trade(self, symbol: str, price: float) -> None:
        """A trade: levels that are watched may be reached, and those that follow the price move (rule 8)."""
        self._traded[symbol] = self._clock.now()
        for held in self._execution.ledger.legs(symbol):
            self._look(held, price, price)

    def on_quote(self, symbol: str, bid: float, ask: float) -> None:
        """The best prices, which count where nothing trades: any trade now would lie between them."""
        if self._clock.now() - self._traded.get(symbol, 0) >= _QUIET_MS and 0.0 < bid <= ask < inf:
            for held in self._execution.ledger.legs(symbol):
                self._look(held, *((ask, bid) if held.qty > 0.0 else (bid, ask)))

    def _look(self, held: Holding, adverse: float, favourable: float) -> None:
        """The market is at `adverse` or better for a position, and at `favourable` or worse."""
        guard = self._execution.guards.get(held)
        if guard is None or held.market.has_ended(self._clock.now()):
            return
        side = guard.side
        if not self._homes[held.market.symbol].is_native and self._ward(held).closing is None:
            if rules.is_reached(guard.stop, adverse, -side, strict=False):
                self._leave(held, guard.reason, f"the stop {guard.stop:.12g} was reached")
            elif rules.is_reached(guard.target, favourable, side, strict=False):
                self._leave(held, ExitReason.TAKE_PROFIT, f"the target {guard.target:.12g} was reached")
        guard.saw(favourable)

    # -- what is heard ----------------------------------------------------------------------------------------

    def hear(self, report: Report) -> bool:
        """Take in a report; True when it was of a protective order. Fills are booked by whoever claims them.

        Reports of the account are to be told while nothing of ours is under way, after they were compared.
        """
        if isinstance(report, FillsFetched | AccountReport):
            for held, ward in self._wards.items():
                if isinstance(report, AccountReport) or held.market.symbol == report.symbol:
                    ward.answered(type(report))
        if isinstance(report, OrderReport):
            sentry = self.find(report.order.id) or self.find(report.order.exchange_id or "")
        elif isinstance(report, OrderRefused | OrderUnknown | OrderMissing | ChangeRefused):
            sentry = self.find(report.order_id)
        else:
            return False
        if sentry is None:
            return False
        if sentry.is_live or isinstance(report, OrderReport):
            self._hear(sentry, report)
        return True

    def _hear(
        self, sentry: Sentry, report: OrderReport | OrderRefused | OrderUnknown | OrderMissing | ChangeRefused
    ) -> None:
        now, was = self._clock.now(), sentry.standing
        if isinstance(report, OrderReport):
            sentry.hear(report.order, now)
            self._followed(sentry, was, report.order)
            if report.order.qty < sentry.working.qty:  # one that says nothing of it repeats what was sent
                self._resize(sentry, report.order.qty)
        elif isinstance(report, OrderRefused):
            self._end(sentry)
            self._refused(sentry, report.reason, report.message)
        elif isinstance(report, OrderUnknown):
            self._doubt(sentry)
        elif isinstance(report, OrderMissing):
            self._end(sentry)
            if not sentry.is_asked:
                self._lose(sentry, "is not on the exchange")
        elif report.what == "cancel":
            sentry.become(Standing.SOUGHT, now)
            sentry.tries += 1
            sentry.due = now + backoff_ms(sentry.tries)
            self._ask(Find(sentry.working.order))

    def listed(self, order: Order) -> None:
        """A protective order stands among the orders of the account: its quantity there is the true one."""
        sentry = self.find(order.id) or self.find(order.exchange_id or "")
        if sentry is not None:
            self._resize(sentry, order.qty)

    def _resize(self, sentry: Sentry, qty: float) -> None:
        """The exchange has an order at `qty`: if that is too little, after a fill that is not told yet perhaps."""
        if qty <= 0.0 or sentry.is_of(qty) or sentry.standing is not Standing.STANDS or sentry.fires:
            return
        held, cover, now, before = sentry.working.held, self._cover(sentry), self._clock.now(), sentry.working.qty
        sentry.resize(qty)
        if sentry.reduces and qty < before and not cover.covers(held):
            cover.shrinks = cover.shrinks + 1 if now - cover.sent < _REACH_MS else 1
            cover.due = max(cover.due, now + backoff_ms(cover.shrinks))
            cover.short = f"the exchange made the {sentry.part} {sentry.id} of {before:.12g} one of {qty:.12g}"

    def _followed(self, sentry: Sentry, was: Standing, order: Order) -> None:
        """What follows from an order's report, where it stood as it `was` before."""
        if was is Standing.ENDED:
            return
        if sentry.is_live:
            if was is not Standing.STANDS and sentry.standing is Standing.STANDS:
                cover = self._cover(sentry)
                cover.failures, cover.given_up = 0, None
        elif order.status is OrderStatus.REJECTED and was is not Standing.STANDS:
            self._refused(sentry, "rejected", order.message or "the exchange refused it")
        elif order.status is not OrderStatus.FILLED and not sentry.is_asked and sentry.told == 0.0:
            self._lose(sentry, f"was {order.status} on the exchange")

    def _end(self, sentry: Sentry) -> None:
        sentry.end = OrderStatus.CANCELED
        sentry.become(Standing.ENDED, self._clock.now())

    def _doubt(self, sentry: Sentry) -> None:
        """Whether an order arrived is not known: a position that has no other stop may have none."""
        if sentry.standing is not Standing.SENT:
            return
        sentry.become(Standing.UNKNOWN, self._clock.now())
        held = sentry.working.held
        is_bare = not self._cover(sentry).covers(held)
        if sentry.part is Part.STOP and sentry.reduces and not sentry.is_asked and is_bare:
            self._alert(
                held, f"the stop at {sentry.working.stop_price:.12g} may not have arrived: it is looked up"
            )

    def _refused(self, sentry: Sentry, reason: str, message: str) -> None:
        """An order was not taken: because its level is reached, or for a reason that is judged later."""
        held, cover = sentry.working.held, self._cover(sentry)
        if not sentry.reduces or sentry.is_asked:
            return
        if reason == STOP_REACHED:
            exit_by = sentry.working.terms.reason
            self._leave(
                held, exit_by, f"the market had reached the {sentry.part} {sentry.working.stop_price:.12g}"
            )
            return
        cover.failures += 1
        cover.trouble, cover.names_position = f"{reason}: {message}", reason == NO_POSITION
        self._inquire(held, cover)

    def _lose(self, sentry: Sentry, what: str) -> None:
        """An order has ended unasked. It is sent anew at once, and told of once it is known what was filled."""
        cover, now = self._cover(sentry), self._clock.now()
        if not sentry.reduces:
            return
        cover.losses = cover.losses + 1 if now - cover.sent < _REACH_MS else 1
        cover.lost = f"{sentry.part} {sentry.id} at {sentry.working.stop_price:.12g} {what}"
        self._inquire(sentry.working.held, cover)
        if cover.losses >= _LOSSES:
            cover.failures, cover.trouble, cover.losses = cover.failures + 1, cover.lost, 0
            cover.names_position = True

    def _inquire(self, held: Holding, cover: Cover | None = None) -> None:
        """Was the position closed by fills that were not told yet, or by somebody else?"""
        now = self._clock.now()
        if cover is not None:
            cover.ask(now)
        self._ask(Fetch(held.market.symbol, now - _REACH_MS))
        self._ask(Check())

    # -- bringing about ---------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Bring the protective orders to what the positions need."""
        guards = self._execution.guards
        for held in guards.keys() - self._wards.keys():
            if self._homes[held.market.symbol].is_native:
                self._ward(held)
        for held, ward in list(self._wards.items()):
            self._bury(ward)
            guard = None if held.qty == 0.0 else guards.get(held)
            if guard is None or held.market.has_ended(self._clock.now()):  # the exchange settles it
                self._disarm(ward)
            else:
                self._protect(ward, guard)

    def _disarm(self, ward: Ward) -> None:
        """The position has ended."""
        ward.forget()
        for sentry in ward.sentries:
            self._lift(sentry)
        if not any(ward.sentries):
            del self._wards[ward.held]

    def _protect(self, ward: Ward, guard: Guard) -> None:
        closing = ward.closing
        is_reversed = ward.side == -guard.side or (closing is not None and closing.side == -guard.side)
        ward.side = guard.side
        if is_reversed:  # that position has ended, this is the opposite one
            ward.forget()
        elif closing is not None:
            self._exits.press(ward.held, closing, guard)
            return
        if self._homes[ward.held.market.symbol].is_native:
            self._converge(ward, ward.stop, guard, guard.stop_price)
            if ward.closing is None:
                self._converge(ward, ward.target, guard, guard.target_price)

    def _converge(self, ward: Ward, cover: Cover, guard: Guard, level: float | None) -> None:
        """Bring one part of a position's protection to its `level`, as far as it can be brought now."""
        held, now = ward.held, self._clock.now()
        if level is None:
            cover.forget()
            for sentry in cover.live:
                self._lift(sentry)
            return
        self._judge(ward, cover, guard, level)
        if ward.fires or ward.closing is not None:
            return
        fits, lacking = cover.match(held, level)
        standing = {one.standing for one in fits}
        if not lacking:
            cover.short = None
        if not lacking and Standing.UNKNOWN not in standing:
            for sentry in cover.live if standing == {Standing.STANDS} else ():
                if sentry not in fits:
                    self._lift(sentry)
        elif self._is_reached(cover.part, held, guard, level):
            self._leave(held, _reason(cover, guard), f"the market had reached the {cover.part} {level:.12g}")
        elif self._may_send(cover, held, guard, level, now):
            if cover.short is not None:
                self._alert(held, f"{cover.short}, while {abs(held.qty):.12g} is held: a new one is sent")
            cover.sent, cover.due, cover.short = now, 0, None
            for qty in lacking:
                self._arm(held, cover, guard, level, qty)

    def _may_send(self, cover: Cover, held: Holding, guard: Guard, level: float, now: int) -> bool:
        """Is nothing of the part on its way or being judged, and is it not too soon?"""
        if cover.trouble is not None or any(one.is_on_its_way for one in cover.sentries):
            return False
        if cover.given_up == (guard.side, level, abs(held.qty)):
            return False
        if guard.protection.follows and cover.covers(held):
            cover.due = max(cover.due, cover.sent + _PACE_MS)
        return cover.due <= now

    def _is_reached(self, part: Part, held: Holding, guard: Guard, level: float) -> bool:
        towards = -guard.side if part is Part.STOP else guard.side
        return held.mark > 0.0 and rules.is_reached(level, held.mark, towards, strict=False)

    def _arm(self, held: Holding, cover: Cover, guard: Guard, level: float, qty: float) -> None:
        order = self._execution.book.exit_order(held, _reason(cover, guard)).changed(
            type=OrderType.STOP, qty=qty, stop_price=level, status=OrderStatus.PENDING
        )
        cover.sentries.append(Sentry(Working(order, held), cover.part, self._clock.now()))
        self._send(order)

    def _lift(self, sentry: Sentry) -> None:
        """Have an order cancelled once it is known to stand."""
        now = self._clock.now()
        if sentry.standing is Standing.STANDS and sentry.due <= now:
            sentry.is_asked = True
            sentry.become(Standing.LEAVING, now)
            self._ask(Cancel(sentry.working.order))

    def _bury(self, ward: Ward) -> None:
        """Put away the orders that have ended and lack nothing; tell of what one leaves that filled in part."""
        for sentry in ward.sentries:
            if not sentry.working.is_working:  # its fills came before the report of its end
                sentry.become(Standing.ENDED, self._clock.now())
        for cover in ward.covers:
            for sentry in [one for one in cover.sentries if not one.is_live and not one.lacks]:
                cover.sentries.remove(sentry)
                self._past.append(sentry)
                del self._past[:-_KEPT]
                working = sentry.working
                if working.filled > 0.0 and working.is_working:
                    self._execution.book.drop(working, OrderStatus.CANCELED, "what is left of it was cancelled")

    # -- trouble ----------------------------------------------------------------------------------------------

    def _judge(self, ward: Ward, cover: Cover, guard: Guard, level: float) -> None:
        """Tell of what was lost, and act on what was refused, once it is known what was filled meanwhile."""
        now, held = self._clock.now(), ward.held
        if not cover.is_open or not cover.is_clear(now) or self._doubts(held):
            return
        lost, trouble, cover.lost, cover.trouble = cover.lost, cover.trouble, None, None
        if trouble is None:
            self._alert(held, f"{lost}: a new one is sent")
            return
        cover.due = now + backoff_ms(cover.failures)
        if cover.part is Part.TARGET or cover.covers(held):
            self._alert(held, f"the {cover.part} at {level:.12g} was refused ({trouble}): it is tried again")
        elif self._rule == "close":
            self._alert(held, f"the stop at {level:.12g} was refused ({trouble}): the position is closed")
            ward.is_blocked = True
            self._leave(held, ExitReason.ORDER, f"closed by on_stop_failure: its stop was refused ({trouble})")
        elif self._rule == "retry":
            self._alert(held, f"the stop at {level:.12g} was refused ({trouble}): it is tried again")
        else:
            cover.given_up = guard.side, level, abs(held.qty)
            self._alert(held, f"the stop at {level:.12g} was refused ({trouble}): the position has none now")

    def _leave(self, held: Holding, reason: ExitReason, message: str) -> None:
        """Close a position at market, and try again until it is."""
        ward, guard = self._ward(held), self._execution.guards.get(held)
        if guard is not None and ward.closing is None:
            ward.closing = Closing(guard.side, reason, message)
            self._exits.press(held, ward.closing, guard)

    def _unclosed(self, held: Holding, why: str) -> None:
        self._alert(held, f"the position could not be closed ({why}): it is tried again")
        self._inquire(held)

    def _unpriced(self, held: Holding, why: str) -> None:
        self._alert(held, f"no price is known to close the position at ({why}): it waits for one")

    def _alert(self, held: Holding, text: str) -> None:
        symbol = held.market.symbol
        message = f"{symbol}: {text}"
        self._notify(Notice(self._clock.now(), symbol, message, UnprotectedError(message)))

    # -- a restart --------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What it goes on from after a restart, as JSON can hold it."""
        since = self._clock.now() - _REACH_MS
        return {
            "wards": [ward.state() for ward in self._wards.values()],
            "past": [self._past_state(one) for one in self._past if one.since >= since],
        }

    def _past_state(self, sentry: Sentry) -> dict[str, Any]:
        held = sentry.working.held
        return {"symbol": held.market.symbol, "position_side": held.position_side, **sentry.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take on what `state` told: what its orders are now is not known until each was found."""
        leg, now = self._execution.ledger.leg, self._clock.now()
        for one in state["wards"]:
            self._ward(leg(one["symbol"], one["position_side"])).restore(one, now)
        self._past = [Sentry.restored(one, leg(one["symbol"], one["position_side"]), now) for one in state["past"]]

    def expect(self, order: Order) -> bool:
        """Take in a protective order that was written down and perhaps sent; False when `order` is none."""
        if not is_protective(order) or self.find(order.id) is not None:
            return is_protective(order)
        part = Part.TARGET if order.reason is ExitReason.TAKE_PROFIT else Part.STOP
        held = self._execution.ledger.leg(order.symbol, order.position_side)
        sentry = Sentry(Working(order, held), part, self._clock.now(), Standing.UNKNOWN)
        self._ward(held).cover(part).sentries.append(sentry)
        return True

    def take_over(self, order: Order) -> bool:
        """Take in an order that was found on the exchange, where it is just what a position lacks."""
        held = self._execution.ledger.leg(order.symbol, order.position_side)
        guard = self._execution.guards.get(held)
        if guard is None or order.type is not OrderType.STOP or not self._homes[order.symbol].is_native:
            return False
        for cover, level, reason in (
            (self._ward(held).stop, guard.stop_price, guard.reason),
            (self._ward(held).target, guard.target_price, ExitReason.TAKE_PROFIT),
        ):
            working = Working(order.changed(reason=reason, reduce_only=True), held)
            sentry = Sentry(working, cover.part, self._clock.now(), Standing.STANDS)
            if level is None or not sentry.is_at(guard.side, level):
                continue
            if any(sentry.is_of(qty) for qty in cover.match(held, level)[1]):
                cover.sentries.append(sentry)
                return True
        return False

    # -- the rest ---------------------------------------------------------------------------------------------

    def _ward(self, held: Holding) -> Ward:
        ward = self._wards.get(held)
        if ward is None:
            ward = self._wards[held] = Ward(held)
        return ward

    def _cover(self, sentry: Sentry) -> Cover:
        return self._ward(sentry.working.held).cover(sentry.part)


def _reason(cover: Cover, guard: Guard) -> ExitReason:
    return guard.reason if cover.part is Part.STOP else ExitReason.TAKE_PROFIT
