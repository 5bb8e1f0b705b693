"""What the parts of a courier share: the exchange, the time, the tasks, and what is known of our own orders."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from ..errors import AccessDenied, AuthenticationError, MetaExpertError
from ..events import Notice
from ..pumps import Backoff
from ..reports import OrderReport

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ..clock import LiveClock
    from ..exchanges.gateway import Gateway
    from ..models import Order
    from ..reports import Report

__all__ = ["BARRED", "Desk", "Patience", "line"]

BARRED = (AuthenticationError, AccessDenied)
"""Errors of the account itself."""
_REFUSALS = 3  # of the keys, one after the other
_REFUSED_MS = 10_000  # and for so long, before they are believed: what holds a position is not given up lightly
_KNOWN = 500  # orders of a symbol of which it is remembered that they are ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a courier waits for what, in ms.

    Args:
        first: before the first look-up of an order whose outcome is not known; then twice as long each time.
        longest: between two attempts.
        arrival: how long an order may be on its way: only then is it missing where it is not found.
        closing: how long a closing order that the exchange has no time for is tried again.
        confirm: how long a stream may take to tell what became of a request, before that is looked up.
        check: between two looks at the account.
        after_fill: from a fill of ours to the next look.
        after_push: from the news that a position or a balance has changed to the next look.
        joining: how long a subscription may take: until then something may go unheard.
        record: how long the record of fills is waited for where the news of a fill has no fee.
    """

    first: int = 250
    longest: int = 30_000
    arrival: int = 30_000
    closing: int = 2_000
    confirm: int = 1_000
    check: int = 30_000
    after_fill: int = 2_000
    after_push: int = 1_000
    joining: int = 3_000
    record: int = 1_000


class Desk:
    """What the parts of a courier share.

    Args:
        gateway: asks the exchange.
        clock: the run's.
        tell: gets what comes back.
        fail: is told what nothing can be done about.
        patience: how long to wait for what.
    """

    def __init__(
        self, gateway: Gateway, clock: LiveClock, tell: Callable[[Report | Notice], None],
        fail: Callable[[BaseException], None], patience: Patience,
    ) -> None:  # fmt: skip
        self.gateway, self.clock, self.patience = gateway, clock, patience
        self.tell, self.fail = tell, fail
        self.work: set[asyncio.Task[None]] = set()
        """What is under way and may be given up."""
        self.requests: set[asyncio.Task[None]] = set()
        """What is under way and changes something at the exchange."""
        self.moves = 0
        """Counts what we do and hear of our own orders: a look at the account beside it is worthless."""
        self._orders = defaultdict[str, dict[str, "Order"]](dict)
        self._refusals = Counter[str]()
        self._refused: dict[str, float] = {}  # since when they are, ms UTC; infinite once that was told

    # -- our own orders ----------------------------------------------------------------------------------------

    def orders(self, symbol: str) -> dict[str, Order]:
        """Those of a symbol by id, as they were told last; the same dictionary each time."""
        return self._orders[symbol]

    def keep(self, order: Order) -> Order:
        """What is known of one of ours; `order` itself where that is all."""
        return self._orders[order.symbol].setdefault(order.id, order)

    def report(self, order: Order) -> None:
        """Tell how an order stands, ours or not."""
        known = self._orders[order.symbol]
        if known.pop(order.id, None) is not None:
            self.moves += 1
            known[order.id] = order
            if len(known) > _KNOWN:
                del known[next((one.id for one in known.values() if not one.is_working), order.id)]
        self.tell(OrderReport(self.clock.now(), order))

    def is_ours(self, exchange_id: str, symbol: str) -> bool:
        """Is it the exchange's id of one of our orders?"""
        return any(one.exchange_id == exchange_id for one in self._orders[symbol].values())

    # -- trouble -----------------------------------------------------------------------------------------------

    def count(self, what: str, error: Exception | None = None) -> None:
        """Count how often in a row the keys were refused for `what`: a few times may be a fault in passing."""
        if not isinstance(error, BARRED):
            self._refusals[what] = 0
            self._refused.pop(what, None)
            return
        self._refusals[what] += 1
        now = self.clock.now()
        since = self._refused.setdefault(what, now)
        if self._refusals[what] >= _REFUSALS and now >= since + _REFUSED_MS:
            self._refused[what] = inf
            self.fail(error)

    def trouble(self, symbol: str, text: str, error: MetaExpertError) -> None:
        """Tell of a read that did not succeed and is tried again."""
        self.count("read", error)
        self.tell(Notice(self.clock.now(), symbol, f"{text}: {error}", error))

    # -- tasks and time ----------------------------------------------------------------------------------------

    def start(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        """Begin a task; what it fails with ends the run."""

        def over(task: asyncio.Task[None]) -> None:
            among.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self.fail(error)

        task = asyncio.create_task(work)
        among.add(task)
        task.add_done_callback(over)
        return task

    def backoff(self) -> Backoff:
        """Pauses that double, from the first of a look-up to the longest."""
        return Backoff(lambda: 0.0, self.patience.first, self.patience.longest)

    async def pause(self, ms: int) -> None:
        """Wait."""
        await self.clock.sleep_until(self.clock.now() + ms)


def line(error: BaseException) -> str:
    """An error in one line, a fault of ours by its kind as well."""
    return str(error) if isinstance(error, MetaExpertError) else f"{type(error).__name__}: {error}"
