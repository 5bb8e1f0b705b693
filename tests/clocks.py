"""Time for tests of live runs: it stands still until the test moves it, and wakes those who wait for it."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

from metaexpert.clock import SimClock


class StepClock(SimClock):
    """A `LiveClock` that the test moves: `advance` wakes every sleeper whose time has come."""

    def __init__(self, start: int = 0) -> None:
        super().__init__(start)
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._number = count()

    @property
    def next_wake(self) -> int | None:
        """When the next sleeper wants to wake."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def advance(self, time_ms: int) -> None:
        """Move to `time_ms`."""
        super().advance(time_ms)
        while self._sleepers and self._sleepers[0][0] <= time_ms:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)

    async def sleep_until(self, time_ms: int) -> None:
        """Wait until the test has moved the time to `time_ms`."""
        if time_ms <= self.now():
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (time_ms, next(self._number), future))
        await future


class SelfMovingClock(StepClock):
    """A `StepClock` that moves by itself to the next moment that anybody waits for, once all is quiet.

    So a run over hours takes as long as its work does, and comes to the same on every machine.
    """

    _TURNS = 40  # of the event loop, in which whatever was woken has done what it does

    def __init__(self, start: int = 0) -> None:
        super().__init__(start)
        self._mover: asyncio.Task[None] | None = None

    async def sleep_until(self, time_ms: int) -> None:
        """Wait until `time_ms`."""
        if self._mover is None or self._mover.done():
            self._mover = asyncio.create_task(self._move())
        await super().sleep_until(time_ms)

    async def _move(self) -> None:
        while self.next_wake is not None:
            for _ in range(self._TURNS):
                await asyncio.sleep(0)
            if self.next_wake is not None:
                self.advance(max(self.next_wake, self.now()))
