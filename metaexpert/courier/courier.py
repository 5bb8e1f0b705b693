"""Carries a broker's commands to the exchange, and brings back what became of them. It decides nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..events import Notice
from ..exchanges.capabilities import why_unarmed
from ..pumps import ended
from ..reports import Check, Fetch, Find
from .deadman import DeadMan
from .desk import Desk, Patience
from .lookout import Lookout
from .lookups import Lookups
from .requests import Requests

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Sequence

    from ..clock import LiveClock
    from ..exchanges.gateway import Gateway
    from ..exchanges.orders import Terms
    from ..exchanges.private import AccountStreams
    from ..reports import AccountReport, Command, Report
    from .lookout import Others

__all__ = ["Courier"]


class Courier:
    """Between a broker and one account of an exchange; use it within one event loop.

    The requests of a symbol go out one after the other, in the order of the commands; those of different symbols,
    and all that is looked up, at the same time. An order whose outcome is not known is never sent again: it is
    looked up until it is.

    Args:
        gateway: asks the exchange; its owner closes it.
        streams: what happens on the account; their owner closes them.
        symbols: the markets of the run, all of one settlement currency.
        clock: the run's.
        tell: gets what comes back: reports, and notices of what is tried again. It and `fail` may be exchanged.
        outbox: the broker's commands, taken by `wake`.
        terms: what positions are held on.
        price_of: the last known price of a symbol, None where none is known.
        others: what the other experts on the account hold, as `AccountReport.others`.
        fail: is told what nothing can be done about: keys that are refused for ten seconds, a fault of ours.
        dead_man_s: after how many seconds without a sign of life the exchange cancels what rests; 0: never.
        is_mine: is that the id of an order of this expert?
        patience: how long to wait for what.
        random: gives numbers in [0, 1), for the pauses between attempts to listen.
    """

    def __init__(
        self, gateway: Gateway, streams: AccountStreams, symbols: Sequence[str], clock: LiveClock, *,
        tell: Callable[[Report | Notice], None], outbox: deque[Command], terms: Terms,
        price_of: Callable[[str], float | None], fail: Callable[[BaseException], None],
        others: Others = tuple, dead_man_s: int = 0, is_mine: Callable[[str], bool] = lambda _: False,
        patience: Patience | None = None, random: Callable[[], float] | None = None,
    ) -> None:  # fmt: skip
        self._desk = desk = Desk(gateway, clock, tell, fail, patience or Patience())
        self._outbox, self._is_closed = outbox, False
        self._lookups = Lookups(desk, lambda: self._lookout.look_after(desk.patience.after_fill))
        self._requests = Requests(desk, self._lookups, terms, price_of)
        self._lookout = Lookout(
            desk, streams, symbols, others, hear_fills=self._lookups.hear,
            is_moving=lambda: self._requests.are_under_way, looked=self._looked, random=random,
        )  # fmt: skip
        why = why_unarmed(gateway.settings.exchange, gateway.segment)
        self._unarmed = why if dead_man_s else ""
        is_used = dead_man_s > 0 and not why
        self._dead_man = DeadMan(desk, symbols, dead_man_s, is_mine) if is_used else None

    @property
    def tell(self) -> Callable[[Report | Notice], None]:
        """Gets what comes back."""
        return self._desk.tell

    @tell.setter
    def tell(self, tell: Callable[[Report | Notice], None]) -> None:
        self._desk.tell = tell

    @property
    def fail(self) -> Callable[[BaseException], None]:
        """Is told what nothing can be done about."""
        return self._desk.fail

    @fail.setter
    def fail(self, fail: Callable[[BaseException], None]) -> None:
        self._desk.fail = fail

    def open(self) -> None:
        """Listen to the account from now on, and look at it from time to time."""
        self._lookout.open()
        if self._unarmed:
            text = f"the exchange will not cancel resting orders when this run dies: {self._unarmed}"
            self._desk.tell(Notice(self._desk.clock.now(), "", text))

    async def close(self, *, at_once: bool = False) -> None:
        """Take no more commands, bring the requests under way to their end, and give up what is looked up.

        What became of a request is told before this returns, unless it is not known: then the journal has it.
        `at_once` gives up the requests too.
        """
        self._is_closed = True
        self._requests.stop()
        if self._dead_man is not None:
            await self._dead_man.close()
        await self._lookout.close()
        try:
            if self._desk.requests and not at_once:
                await asyncio.wait(set(self._desk.requests))
        finally:
            await ended({*self._desk.requests, *self._desk.work})

    def _looked(self, report: AccountReport) -> None:
        if self._dead_man is not None:
            self._dead_man.look(report)

    def wake(self) -> None:
        """Take what stands in the outbox."""
        while self._outbox and not self._is_closed:
            command = self._outbox.popleft()
            if isinstance(command, Find):
                self._lookups.seek(command.order)
            elif isinstance(command, Fetch):
                self._lookups.fetch(command.symbol, command.since)
            elif isinstance(command, Check):
                self._lookout.check()
            else:
                self._requests.add(command)

    @property
    def is_idle(self) -> bool:
        """Is nothing under way, and nothing to be taken?"""
        return not (self._outbox or self._desk.requests or self._desk.work)

    async def idle(self) -> None:
        """Wait until nothing is under way. What is looked up may take as long as the exchange is away."""
        self.wake()
        while not (self.is_idle or self._is_closed):
            await asyncio.wait({*self._desk.requests, *self._desk.work}, return_when=asyncio.FIRST_COMPLETED)
            self.wake()
