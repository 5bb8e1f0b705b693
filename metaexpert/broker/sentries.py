"""The protective orders of live positions: each as it stands on the exchange, and those of one together."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from .. import risk, rules
from ..models import ExitReason, Order, OrderStatus, OrderType
from ..reports import AccountReport, FillsFetched
from .book import Working
from .exits import Closing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .holding import Holding

__all__ = ["PATIENCE_MS", "Cover", "Part", "Protected", "Sentry", "Standing", "Ward", "is_protective", "pieces"]

PATIENCE_MS = 5_000
"""For fills and account to be told before a refusal is judged without them."""
_REASONS = (ExitReason.STOP_LOSS, ExitReason.TRAILING_STOP, ExitReason.BREAKEVEN, ExitReason.TAKE_PROFIT)


def is_protective(order: Order) -> bool:
    """Is it an order that stands on the exchange for a level of a position?"""
    return order.type is OrderType.STOP and order.reduce_only and order.reason in _REASONS


def pieces(held: Holding) -> list[float]:
    """The quantities of the orders that stand for a whole position: one, unless the market takes less at once."""
    step, left = held.market.qty_step, abs(held.qty)
    most, found = rules.round_down(risk.largest_qty(held.market, at_market=True), step), list[float]()
    while left > most > 0.0:
        found.append(most)
        left = rules.sum_of_steps(left, -most, step)
    return [*found, left]


class Part(StrEnum):
    """What a protective order is for."""

    STOP = "stop"
    TARGET = "target"


class Standing(StrEnum):
    """How a protective order stands with the exchange, as far as we know."""

    SENT = "sent"
    UNKNOWN = "unknown"
    STANDS = "stands"
    LEAVING = "leaving"
    SOUGHT = "sought"
    """Its cancelling was refused: what became of it is asked for."""
    ENDED = "ended"


class Protected(NamedTuple):
    """How one level of a position is protected.

    `status`: it "stands", is "sent", "unknown" or "missing" on the exchange, is "watched", or is "closing"; or
    "moving": what stands for all of the position is at another level still.
    """

    symbol: str
    position_side: str | None
    qty: float
    part: Part
    level: float
    home: str
    status: str
    order_id: str | None


class Sentry:
    """One protective order. `told` is what the exchange says it filled, `working.filled` what is booked of it.

    `ids` has what the exchange called it: an order that fires may go on under another id. `is_asked` says that we
    asked for its end. Its cancelling is asked for again from `due` (ms UTC) on.
    """

    __slots__ = (
        "average",
        "due",
        "end",
        "ids",
        "is_asked",
        "part",
        "since",
        "standing",
        "told",
        "tries",
        "working",
    )

    def __init__(self, working: Working, part: Part, now: int, standing: Standing = Standing.SENT) -> None:
        self.working = working
        self.part = part
        self.standing = standing
        self.since = now
        self.told = working.filled
        self.average: float | None = None
        self.end = OrderStatus.OPEN
        self.ids = [] if working.terms.exchange_id is None else [working.terms.exchange_id]
        self.is_asked = False
        self.due = self.tries = 0

    @property
    def id(self) -> str:
        """Our id of it."""
        return self.working.terms.id

    @property
    def is_live(self) -> bool:
        """Can it still trade, as far as we know?"""
        return self.standing is not Standing.ENDED

    @property
    def reduces(self) -> bool:
        """Is what is held now on the side that it would leave, and not closed or reversed meanwhile?"""
        return self.working.held.side == -self.working.side

    @property
    def is_on_its_way(self) -> bool:
        """Is it not certain yet whether it stands?"""
        return self.standing is Standing.SENT or self.standing is Standing.UNKNOWN

    @property
    def lacks(self) -> bool:
        """Has the exchange told of fills that are not booked yet?"""
        return self.told - self.working.filled > self.working.held.market.qty_step / 2

    @property
    def fires(self) -> bool:
        """Has it begun to fill, and is not through with it?"""
        return self.lacks or (self.is_live and self.working.filled > 0.0)

    def is_at(self, side: int, level: float) -> bool:
        """Is it at the `level` of a position on `side`, and there to stay?"""
        stop = self.working.stop_price
        if self.standing in _GOING or self.working.side != -side or stop is None:
            return False
        return abs(stop - level) <= self.working.held.market.price_tick / 2

    def is_of(self, qty: float) -> bool:
        """Is it of that quantity?"""
        return abs(self.working.qty - qty) <= self.working.held.market.qty_step / 2

    def resize(self, qty: float) -> None:
        """The exchange has made it of `qty`."""
        self.working.qty, self.working.is_changed = qty, True

    def hear(self, order: Order, now: int) -> None:
        """Take in what the exchange says of it; an end is for good."""
        if order.exchange_id is not None and order.exchange_id not in self.ids:
            self.ids.append(order.exchange_id)
            self.working.terms = self.working.terms.changed(exchange_id=order.exchange_id)
        whole = order.filled or self.working.qty if order.status is OrderStatus.FILLED else order.filled
        if whole > self.told:
            self.told, self.average = whole, order.average_price
        if not self.is_live or (order.is_working and self.standing is Standing.LEAVING):
            return
        if order.is_working:
            self.is_asked = False
        else:
            self.end = order.status
        self.become(Standing.STANDS if order.is_working else Standing.ENDED, now)

    def become(self, standing: Standing, now: int) -> None:
        """Stand otherwise than before."""
        if standing is not self.standing:
            self.standing, self.since = standing, now

    def state(self) -> dict[str, Any]:
        """What it goes on from after a restart, as JSON can hold it."""
        own = {name: getattr(self, name) for name in _SENTRY_STATE}
        return {"working": self.working.state(), **own, "ids": list(self.ids)}

    @classmethod
    def restored(cls, state: Mapping[str, Any], held: Holding, now: int) -> Self:
        """The order that `state` told of; how it stands now is not known."""
        made = cls(Working.restored(state["working"], held), Part(state["part"]), now)
        for name in _SENTRY_STATE:
            setattr(made, name, state[name])
        made.part, made.end, made.ids = Part(state["part"]), OrderStatus(state["end"]), list(state["ids"])
        ended = state["standing"] == Standing.ENDED
        made.standing = Standing.ENDED if ended else Standing.UNKNOWN
        return made


_GOING = (Standing.LEAVING, Standing.SOUGHT, Standing.ENDED)
_SENTRY_STATE = ("average", "end", "is_asked", "part", "since", "standing", "told")


class Cover:
    """One part of a position's protection, stop or target, with its orders: the one that fits and those that go.

    `sent` is when the last one was sent. `failures` counts refusals in a row, `losses` those that ended unasked
    soon after one another; `due` is when the next may be sent. `given_up`: (side, level, qty) of what is not tried
    again.

    Exchanges shrink an order with its position. `short` tells of one that is too small by now, until it has been
    replaced; `shrinks` counts them, those soon after one another.

    `trouble` is the refusal that is not judged yet, `lost` the loss that is not told yet. A position that was
    closed loses its stop as well, or gets none: so the `answers` of fills and account that were `asked` for come
    first; the account's before a refusal is judged only where this `names_position`.
    """

    __slots__ = (
        "answers",
        "asked",
        "due",
        "failures",
        "given_up",
        "losses",
        "lost",
        "names_position",
        "part",
        "sent",
        "sentries",
        "short",
        "shrinks",
        "trouble",
    )

    def __init__(self, part: Part) -> None:
        self.part = part
        self.sentries: list[Sentry] = []
        self.sent = self.due = self.failures = self.losses = self.shrinks = 0
        self.trouble: str | None = None
        self.lost: str | None = None
        self.short: str | None = None
        self.names_position = False
        self.answers: set[type] = set()
        self.asked = 0
        self.given_up: tuple[int, float, float] | None = None

    @property
    def live(self) -> list[Sentry]:
        """The orders that can still trade, as far as we know."""
        return [one for one in self.sentries if one.is_live]

    @property
    def fires(self) -> bool:
        """Is one of them filling?"""
        return any(one.fires for one in self.sentries)

    def covers(self, held: Holding) -> bool:
        """Do they stand for all of a position, be it at another level?"""
        standing = (one.working for one in self.sentries if one.standing is Standing.STANDS)
        return sum(one.rest for one in standing if one.side == -held.side) >= abs(held.qty)

    def match(self, held: Holding, level: float) -> tuple[list[Sentry], list[float]]:
        """The orders that a position needs at `level`, what stands first, and the quantities that lack one."""
        fits = [one for one in self.sentries if one.is_at(held.side, level)]
        fits.sort(key=lambda one: one.standing is not Standing.STANDS)
        found: list[Sentry] = []
        lacking: list[float] = []
        for qty in pieces(held):
            fit = next((one for one in fits if one not in found and one.is_of(qty)), None)
            if fit is None:
                lacking.append(qty)
            else:
                found.append(fit)
        return found, lacking

    def ask(self, now: int) -> None:
        """Fills and account are asked for."""
        self.asked, self.answers = now, {FillsFetched, AccountReport}

    def forget(self) -> None:
        """The position has ended: what went wrong with it counts no more."""
        self.due = self.failures = self.losses = self.shrinks = 0
        self.trouble = self.lost = self.short = self.given_up = None

    @property
    def is_open(self) -> bool:
        """Is a loss or refusal not told and judged yet?"""
        return self.trouble is not None or self.lost is not None

    def is_clear(self, now: int) -> bool:
        """Is what was asked for known, as far as it matters, or has that taken too long?"""
        needs_account = self.trouble is None or self.names_position
        waits = bool(self.answers) if needs_account else FillsFetched in self.answers
        return not waits or now >= self.asked + PATIENCE_MS

    def state(self) -> dict[str, Any]:
        """What it goes on from after a restart, as JSON can hold it."""
        return {"sentries": [one.state() for one in self.sentries]}

    def restore(self, state: Mapping[str, Any], held: Holding, now: int) -> None:
        """Take on what `state` told. What was refused before is tried anew."""
        self.sentries = [Sentry.restored(one, held, now) for one in state["sentries"]]


class Ward:
    """A position that is protected: its stop and its target, or its closing where a level was reached.

    `is_blocked`: it could not be protected, so nothing is added to it. `side` is that of the position when it was
    looked at last, 0 before.
    """

    __slots__ = ("closing", "held", "is_blocked", "side", "stop", "target")

    def __init__(self, held: Holding) -> None:
        self.held = held
        self.stop, self.target = Cover(Part.STOP), Cover(Part.TARGET)
        self.closing: Closing | None = None
        self.is_blocked = False
        self.side = 0

    @property
    def covers(self) -> tuple[Cover, Cover]:
        """Stop and target."""
        return self.stop, self.target

    def cover(self, part: Part) -> Cover:
        """The one of the two."""
        return self.stop if part is Part.STOP else self.target

    @property
    def sentries(self) -> Iterator[Sentry]:
        """The orders of both."""
        yield from self.stop.sentries
        yield from self.target.sentries

    @property
    def fires(self) -> bool:
        """Is the position being left by one of its orders?"""
        return self.stop.fires or self.target.fires

    @property
    def is_settled(self) -> bool:
        """Does all that there is stand, with nothing to judge and nothing to close that could be closed now?"""
        stand = all(one.standing is Standing.STANDS and not one.fires for one in self.sentries)
        rests = self.closing is None or self.closing.waits
        return stand and rests and not any(cover.is_open for cover in self.covers)

    @property
    def dues(self) -> Iterator[int]:
        """When something of it is or was due, ms UTC."""
        if self.closing is not None:
            yield self.closing.due
        for cover in self.covers:
            yield cover.due
            if cover.is_open:
                yield cover.asked + PATIENCE_MS
        yield from (one.due for one in self.sentries if one.standing is Standing.STANDS)

    def answered(self, kind: type) -> None:
        """What was asked for was told: `FillsFetched` or an `AccountReport`."""
        for cover in self.covers:
            cover.answers.discard(kind)

    def forget(self) -> None:
        """The position has ended."""
        self.closing, self.is_blocked = None, False
        self.stop.forget()
        self.target.forget()

    def state(self) -> dict[str, Any]:
        """What it goes on from after a restart, as JSON can hold it."""
        return {
            "symbol": self.held.market.symbol,
            "position_side": self.held.position_side,
            "stop": self.stop.state(),
            "target": self.target.state(),
            "closing": None if self.closing is None else self.closing.state(),
            "is_blocked": self.is_blocked,
        }

    def restore(self, state: Mapping[str, Any], now: int) -> None:
        """Take on what `state` told."""
        self.stop.restore(state["stop"], self.held, now)
        self.target.restore(state["target"], self.held, now)
        self.is_blocked, closing = state["is_blocked"], state["closing"]
        if closing is not None:
            self.closing = Closing.restored(closing)
