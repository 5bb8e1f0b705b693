"""The dead man's switch: when nothing is heard of the run any more, the exchange cancels what still rests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import MetaExpertError
from ..events import Notice
from ..pumps import ended

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from ..reports import AccountReport
    from .desk import Desk

__all__ = ["DeadMan"]

_BEATS = 3  # within the time after which the exchange acts: two may be lost
_AGAIN_MS = 5_000  # after a beat that the exchange did not hear


class DeadMan:
    """Beats while the orders that the exchange would cancel are all ours, and stops when others have some.

    Args:
        desk: what is shared.
        symbols: the markets of the run.
        seconds: after how long without a beat the exchange acts.
        is_mine: is that the id of an order of this expert?
    """

    def __init__(
        self, desk: Desk, symbols: Sequence[str], seconds: int, is_mine: Callable[[str], bool]
    ) -> None:  # fmt: skip
        self._desk, self._symbols, self._seconds = desk, tuple(symbols), seconds
        self._is_mine = is_mine
        self._beats = set["asyncio.Task[None]"]()
        self._why: str | None = None
        self._is_heard, self._is_closed = True, False

    @property
    def is_armed(self) -> bool:
        """Does it beat?"""
        return bool(self._beats)

    def look(self, report: AccountReport) -> None:
        """See whose orders the exchange would cancel."""
        if self._is_closed:
            return
        why = self._objection(report)
        if why is None and not self._beats:
            self._desk.start(self._beat(), self._beats)
            self._say(f"armed: {self._seconds} s after the last sign of life the exchange cancels resting orders")
        elif why is not None and why != self._why:
            self._say(f"off: {why}")
            self._stop()
        self._why = why

    def _objection(self, report: AccountReport) -> str | None:
        for order in report.orders:
            if order.symbol in self._symbols and not self._is_mine(order.id):
                return f"it would cancel order {order.id} in {order.symbol}, which is not ours"
        return "other experts trade on the account" if report.others else None

    def _stop(self) -> None:
        if self._beats:
            for task in self._beats:
                task.cancel()
            self._desk.start(self._end(), self._desk.requests)

    async def _end(self) -> None:
        await self._set(0)

    async def _beat(self) -> None:
        while True:
            is_heard = await self._set(self._seconds)
            await self._desk.pause(self._seconds * 1_000 // _BEATS if is_heard else _AGAIN_MS)

    async def _set(self, seconds: int) -> bool:
        """Tell the exchange; False where it is not certain that it has heard, which is said once."""
        try:
            await self._desk.gateway.dead_man(self._symbols, seconds)
        except MetaExpertError as error:
            if self._is_heard:
                self._say(f"the exchange did not take the sign of life: {error}", error)
            self._is_heard = False
        else:
            self._is_heard = True
        return self._is_heard

    def _say(self, text: str, error: MetaExpertError | None = None) -> None:
        self._desk.tell(Notice(self._desk.clock.now(), "", f"dead man's switch: {text}", error))

    async def close(self) -> None:
        """Switch it off: an orderly end leaves orders as they are."""
        self._is_closed = True
        self._stop()
        await ended(self._beats)
