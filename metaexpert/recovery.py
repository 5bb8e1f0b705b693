"""How a live run begins: what the journal knows is compared with the exchange, told, and put in order.

Before anything is decided every order that may work is looked up, every fill since the last one fetched, and the
account compared with our books; then positions get the protection that they lack.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from .errors import ClockError, NetworkError, UnavailableError
from .events import Notice
from .models import Fill
from .pumps import Alarm
from .reports import AccountReport, Away, Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .broker import News
    from .broker.live import LiveBroker
    from .broker.sentries import Protected
    from .clock import LiveClock
    from .courier import Courier
    from .errors import MetaExpertError
    from .models import Account, Order, Position, Rejection
    from .reports import Report

__all__ = ["Held", "Recovery", "recover"]

_PASSING = (NetworkError, UnavailableError, ClockError)
_REFUSALS = 3  # of what is asked for, one after the other
_BEAT_MS = 250
_PATIENCE_MS = 30_000  # for protection to stand; what does not by then is seen to while the run goes on


@dataclass(frozen=True, slots=True)
class Held:
    """A quantity (signed) in a market or one of its legs that is not ours."""

    symbol: str
    position_side: str | None
    qty: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How a live run begins.

    `found` is how the levels of our positions were protected before anything was done about it, `protected` how
    they are now. `away` is what became of our orders since the last run, as handlers are told of it.
    """

    time: int
    account: Account
    positions: tuple[Position, ...]
    orders: tuple[Order, ...]
    foreign: tuple[Held, ...]
    foreign_orders: tuple[Order, ...]
    found: tuple[Protected, ...]
    protected: tuple[Protected, ...]
    away: Away
    notices: tuple[str, ...]

    def lines(self) -> list[str]:
        """The report for people, a line each."""
        one = self.account
        return [
            f"account: equity {one.equity:,.8g} {one.currency}, margin used {one.margin_used:,.8g}, free "
            f"{one.margin_free:,.8g}",
            *(f"ours: {_position(one)}" for one in self.positions),
            *(f"ours: {_order(one)}" for one in self.orders),
            *(self._protection(one) for one in self.found),
            *(
                f"not ours, left alone: {_where(one.symbol, one.position_side)} {one.qty:+.12g}"
                for one in self.foreign
            ),
            *(f"not ours, left alone: {_order(one)}" for one in self.foreign_orders),
            *(f"while away: {_change(order, result)}" for order, result in self.away.news),
            *self.notices,
        ]

    def _protection(self, one: Protected) -> str:
        told = f"{one.part} of {_where(one.symbol, one.position_side)} at {one.level:.12g}: {_told(one)}"
        for now in self.protected:
            if now[:2] == one[:2] and now.part is one.part:
                return told if now.status == one.status else f"{told}, now {_told(now)}"
        return f"{told}, now its position has ended"

    def as_dict(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        return {
            "time": self.time,
            "account": {name: getattr(self.account, name) for name in self.account.__slots__},
            "positions": [[one.symbol, one.position_side, one.qty, one.entry_price] for one in self.positions],
            "orders": [one.as_dict() for one in self.orders],
            "foreign": [[one.symbol, one.position_side, one.qty] for one in self.foreign],
            "foreign_orders": [one.as_dict() for one in self.foreign_orders],
            "found": [one._asdict() for one in self.found],
            "protected": [one._asdict() for one in self.protected],
            "lines": self.lines(),
        }


async def recover(
    broker: LiveBroker, courier: Courier, clock: LiveClock, *, log: Callable[[Notice], None],
    adopt: bool = False, protect: bool = True,
) -> Recovery:  # fmt: skip
    """Bring a broker, new or restored, to what the exchange says, and its positions under protection.

    While the exchange is away it waits, and `log` is told why. What the courier tells meanwhile goes nowhere else.

    Args:
        broker: knows what the journal knew.
        courier: not open yet, or open: then nothing is missed between this and the first event.
        clock: the run's.
        log: gets each notice as it comes.
        adopt: make ours what others hold in the run's symbols.
        protect: have missing protection sent, and wait for it, for half a minute.

    Raises:
        ExchangeError: the keys are refused, or the account can't be told in full.
    """
    return await _Recovery(broker, courier, clock, log).run(adopt=adopt, protect=protect)


class _Recovery:
    def __init__(
        self, broker: LiveBroker, courier: Courier, clock: LiveClock, log: Callable[[Notice], None]
    ) -> None:
        self._broker, self._courier, self._clock, self._log = broker, courier, clock, log
        self._alarm = Alarm(clock)
        self._reports = deque["Report"]()
        self._failure: BaseException | None = None
        self._news: list[News] = []
        self._notices: list[str] = []
        self._account: AccountReport | None = None
        self._was_calm = False
        self._refusals = 0

    async def run(self, *, adopt: bool, protect: bool) -> Recovery:
        broker, courier = self._broker, self._courier
        tell, courier.tell = courier.tell, self._tell
        fail, courier.fail = courier.fail, self._fail
        try:
            self._hear(Gap(self._clock.now(), "the run begins"))
            account = await self._look()
            for symbol in broker.ledger.holdings if adopt else ():
                broker.adopt(symbol)
            found = tuple(broker.shield.report())
            if protect:
                until = self._clock.now() + _PATIENCE_MS
                await self._until(broker.guard, lambda: broker.is_settled, until)
        finally:
            courier.tell, courier.fail = tell, fail
            await self._alarm.close()
        return self._told(account, found)

    async def _look(self) -> AccountReport:
        """Until all is known, and the account agrees with our books."""
        broker = self._broker
        while True:
            await self._until(broker.inquire, lambda: broker.is_informed)
            if self._account is not None and self._was_calm:
                return self._account
            broker.errands.check()  # the account was told while something moved

    async def _until(self, act: Callable[[], None], is_done: Callable[[], bool], end: float = inf) -> None:
        """Carry and hear, calling `act` after each report, until nothing is under way and it `is_done`."""
        while True:
            act()
            self._courier.wake()
            self._pass_on()
            if self._reports:
                self._hear(self._reports.popleft())
                continue
            if self._failure is not None:
                raise self._failure
            if (is_done() and self._courier.is_idle) or self._clock.now() >= end:
                return
            await self._alarm.wait(self._clock.now() + _BEAT_MS)

    def _hear(self, report: Report) -> None:
        if isinstance(report, AccountReport):
            self._account = report
            self._was_calm = self._broker.dealings.is_settled and not self._broker.outbox
        self._news.extend(self._broker.hear(report))

    def _pass_on(self) -> None:
        while self._broker.notices:
            self._note(self._broker.notices.popleft())

    def _note(self, notice: Notice) -> None:
        self._notices.append(notice.text)
        self._log(notice)

    def _tell(self, told: Report | Notice) -> None:
        if isinstance(told, Notice):
            self._log(told)
            self._weigh(told.error)
        else:
            self._reports.append(told)
        self._alarm.ring()

    def _weigh(self, error: MetaExpertError | None) -> None:
        """What does not pass by itself ends it: nothing is decided on an account that can't be told in full."""
        self._refusals = 0 if error is None or isinstance(error, _PASSING) else self._refusals + 1
        if error is not None and self._refusals == _REFUSALS:
            self._failure = error

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._alarm.ring()

    def _told(self, report: AccountReport, found: tuple[Protected, ...]) -> Recovery:
        broker = self._broker
        is_mine = broker.names.is_mine
        positions = [held for held in broker.ledger.legs() if held.qty != 0.0]
        return Recovery(
            time=self._clock.now(),
            account=report.account,
            positions=tuple(broker.position(one.market.symbol, one.position_side) for one in positions),
            orders=tuple(broker.working()),
            foreign=tuple(self._foreign(report)),
            foreign_orders=tuple(one for one in report.orders if not is_mine(one.id)),
            found=found,
            protected=tuple(broker.shield.report()),
            away=Away(self._clock.now(), tuple((one.order, one.result) for one in self._news)),
            notices=tuple(self._notices),
        )

    def _foreign(self, report: AccountReport) -> Iterator[Held]:
        """What of the account is neither ours nor that of the other experts."""
        ours = {(one.market.symbol, one.position_side): one for one in self._broker.ledger.legs()}
        for one in report.positions:
            held = ours.get((one.symbol, one.position_side))
            step = 0.0 if held is None else held.market.qty_step
            mine = 0.0 if held is None else held.qty
            others = sum(other.qty for other in report.others if other[:2] == (one.symbol, one.position_side))
            left = one.qty - mine - others
            if abs(left) > step / 2:
                yield Held(one.symbol, one.position_side, left)


def _where(symbol: str, position_side: str | None) -> str:
    return symbol if position_side is None else f"{symbol} {position_side}"


def _position(one: Position) -> str:
    return f"{_where(one.symbol, one.position_side)} {one.qty:+.12g} entered at {one.entry_price:.12g}"


def _order(one: Order) -> str:
    price = one.stop_price if one.price is None else one.price
    at = "" if price is None else f" at {price:.12g}"
    return f"order {one.id}: {one.type} {one.side} {one.qty:.12g} {one.symbol}{at}, {one.filled:.12g} filled"


def _told(one: Protected) -> str:
    return one.status if one.order_id is None else f"{one.status} as order {one.order_id}"


def _change(order: Order, result: Fill | Rejection | None) -> str:
    if isinstance(result, Fill):
        return f"{result.side} {result.qty:.12g} {result.symbol} at {result.price:.12g} ({result.reason})"
    why = "" if not order.message else f": {order.message}"
    return f"order {order.id} {order.status}{why}"
