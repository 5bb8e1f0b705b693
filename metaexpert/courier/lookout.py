"""What happens on the account: heard from its streams, and looked at from time to time."""

from __future__ import annotations

from functools import partial
from math import inf
from random import Random
from typing import TYPE_CHECKING

from ..errors import MetaExpertError
from ..events import Notice
from ..exchanges.standing import standing
from ..exchanges.venues import Segment
from ..pumps import Alarm, Backoff, ended
from ..reports import AccountReport, Gap
from .desk import line

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from ..answers import ExchangeFill
    from ..exchanges.private import AccountStreams
    from ..models import Order
    from ..reports import HeldByOther
    from .desk import Desk

    type Others = Callable[[], tuple[HeldByOther, ...]]

__all__ = ["Lookout"]

_FIRST_MS = 1_000  # before a stream that broke is watched again
_TOGETHER_MS = 250  # gaps that begin within it are one


class Lookout:
    """Listens to an account, and looks at it.

    Args:
        desk: what is shared.
        streams: what happens on the account.
        symbols: the markets of the run.
        others: what the other experts on the account hold, as `AccountReport.others`.
        hear_fills: takes the fills of a stream.
        is_moving: is a request of ours under way?
        looked: is given each look at the account before it is told.
        random: gives numbers in [0, 1).
    """

    def __init__(
        self, desk: Desk, streams: AccountStreams, symbols: Sequence[str], others: Others, *,
        hear_fills: Callable[[Sequence[ExchangeFill]], Awaitable[None]], is_moving: Callable[[], bool],
        looked: Callable[[AccountReport], None], random: Callable[[], float] | None = None,
    ) -> None:  # fmt: skip
        self._desk, self._streams, self._symbols, self._others = desk, streams, tuple(symbols), others
        self._hear_fills, self._is_moving, self._looked = hear_fills, is_moving, looked
        self._random = random or Random().random  # noqa: S311 - nothing secret
        self._alarm = Alarm(desk.clock)
        self._pumps = set["asyncio.Task[None]"]()
        self._checking: asyncio.Task[None] | None = None
        self._checked = desk.clock.now()
        self._check_at = inf
        self._gaps: dict[int, str] = {}

    def open(self) -> None:
        """Begin."""
        for symbol in self._symbols:
            self._watch(partial(self._streams.watch_orders, symbol, self._desk.orders(symbol)), self._hear)
            self._watch(partial(self._streams.watch_fills, symbol), self._hear_fills)
        if self._desk.gateway.segment is not Segment.SPOT:
            self._watch(partial(self._streams.position_change, self._symbols), self._changed)
        self._watch(self._streams.balance_change, self._changed)
        self._checked = self._desk.clock.now()
        self._check_at = self._checked + self._desk.patience.check
        self._desk.start(self._tend(), self._pumps)

    async def close(self) -> None:
        """End every task but a look that is under way."""
        await ended(self._pumps)
        await self._alarm.close()

    async def _tend(self) -> None:
        """What is due by the clock."""
        desk = self._desk
        while True:
            await self._alarm.wait(min(self._check_at, *self._gaps, inf))
            now = desk.clock.now()
            for due in [due for due in self._gaps if now >= due]:
                desk.tell(Gap(now, self._gaps.pop(due)))
            if now >= self._check_at:
                self._check_at = now + desk.patience.after_push if self._is_checking else inf
                self.check()

    # -- looking -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Look at the account, as soon as nothing moves."""
        if not self._is_checking:
            self._checking = self._desk.start(self._check(), self._desk.work)

    @property
    def _is_checking(self) -> bool:
        return self._checking is not None and not self._checking.done()

    async def _check(self) -> None:
        """Until nothing of ours has moved beside it."""
        desk, backoff = self._desk, self._desk.backoff()
        while True:
            self._check_at = inf
            begun, others = desk.moves, self._others()
            try:
                found = await standing(desk.gateway, self._symbols, desk.clock)
            except MetaExpertError as error:
                desk.trouble("", "the account can't be looked at yet", error)
            else:
                desk.count("read")
                if begun == desk.moves and not self._is_moving():
                    break
            await desk.pause(backoff.pause())
        self._checked = desk.clock.now()
        self._check_at = min(self._check_at, self._checked + desk.patience.check)
        self._alarm.ring()
        report = AccountReport(self._checked, *found, others)
        self._looked(report)
        desk.tell(report)

    def look_after(self, ms: int) -> None:
        """Look at the account in `ms`, later where more follows, but no later than on the slow timer."""
        now, latest = self._desk.clock.now(), self._checked + self._desk.patience.check
        pending = self._check_at if self._check_at < latest else now
        self._check_at = min(max(now + ms, pending), max(latest, now))
        self._alarm.ring()

    # -- listening ---------------------------------------------------------------------------------------------

    def _watch[T](self, watch: Callable[[], Awaitable[T]], take: Callable[[T], Awaitable[None]]) -> None:
        self._desk.start(self._pump(watch, take, f"stream {len(self._pumps)}"), self._pumps)

    async def _pump[T](
        self, watch: Callable[[], Awaitable[T]], take: Callable[[T], Awaitable[None]], name: str
    ) -> None:
        """Pass on what a stream tells.

        When it breaks, and a moment after it was watched again, something may have gone unheard: nobody tells when
        a subscription has begun.
        """
        desk, backoff = self._desk, Backoff(self._random, _FIRST_MS, self._desk.patience.longest)
        self._suspect("the account is listened to from now on", desk.patience.joining)
        while True:
            try:
                await take(await watch())
            except MetaExpertError as error:
                desk.count(name, error)
                self._suspect(str(error))
                pause = backoff.pause(error)
            except Exception as error:  # noqa: BLE001 - a push that can't be read: what it told is looked up
                desk.tell(Notice(desk.clock.now(), "", f"a message of the account can't be read: {line(error)}"))
                self._suspect(line(error))
                pause = backoff.pause()
            else:
                backoff.reset()
                desk.count(name)
                continue
            await desk.pause(pause)
            self._suspect("the account is listened to again", desk.patience.joining)

    def _suspect(self, text: str, ms: int = 0) -> None:
        """Tell of a gap in `ms`; those of about the same time are told as one."""
        due = -(-(self._desk.clock.now() + ms) // _TOGETHER_MS) * _TOGETHER_MS
        self._gaps[due] = text
        self._alarm.ring()

    async def _hear(self, orders: Iterable[Order]) -> None:
        for order in orders:
            self._desk.report(order)

    async def _changed(self, _: object) -> None:
        self.look_after(self._desk.patience.after_push)
