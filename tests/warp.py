"""An event loop whose time goes on when nothing is under way: a session of hours takes as long as its work does.

Client and server share the loop and speak over sockets of this machine, so nothing can be on its way between them
that the loop does not see. Pauses and time limits, whoever waits for them, are of the loop's time.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

from metaexpert.clock import SimClock

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["WarpClock", "WarpLoop", "warped"]

_TURNS = 200_000  # at one moment: more is a task that goes on and on
_GRACE = 0.0005  # seconds of the world's time for what the kernel still carries
_DEAD = 60.0


class _Selector(selectors.DefaultSelector):
    """Never waits: moves `time` on instead (seconds)."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; where nothing is, the time is moved to the next moment that anybody waits for."""
        self._turns += 1
        assert self._turns < _TURNS, "a task goes on and on while time stands still"
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        found = super().select(_GRACE if timeout is not None else _DEAD)
        assert found or timeout is not None, "all wait, and nothing is due"
        if not found and timeout is not None:
            self.time += timeout
            self._turns = 0
        return found


class WarpLoop(asyncio.SelectorEventLoop):
    """Time goes on in it when nothing is under way."""

    def __init__(self) -> None:
        self._warp = _Selector()
        super().__init__(self._warp)

    def time(self) -> float:
        return self._warp.time


class WarpClock(SimClock):
    """The time of the loop that runs, `start` (ms UTC) at its beginning; a `LiveClock`."""

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self._start = start
        self._loop = asyncio.get_running_loop()

    def now(self) -> int:
        """Milliseconds UTC."""
        return self._start + round(self._loop.time() * 1000)

    async def sleep_until(self, time_ms: int) -> None:
        """Wait until `time_ms`."""
        await asyncio.sleep(max(0, time_ms - self.now()) / 1000)


def warped[T](work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end in a loop of its own, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=WarpLoop) as runner:
        return runner.run(work)
