"""Clocks: the only readers of time. Everything else is told the time by one of these."""

import asyncio
import time
from typing import Protocol

from .errors import MetaExpertError

__all__ = ["Clock", "FastClock", "LiveClock", "SimClock", "WallClock"]

_STEP_NS = 1_000_000_000  # less is the drift of clocks, which is followed
_NAP = 30.0  # seconds: how late one wakes at most when the system's clock is set forward


class Clock(Protocol):
    """Time in int milliseconds UTC."""

    def now(self) -> int:
        """The time now."""
        ...

    def advance(self, time_ms: int) -> None:
        """Move to `time_ms`, where time is moved by events."""
        ...


class LiveClock(Clock, Protocol):
    """Time that goes by itself."""

    async def sleep_until(self, time_ms: int) -> None:
        """Wait until `time_ms`; returns at once when it is past."""
        ...


class SimClock:
    """Time that stands still until an event moves it, and never goes back.

    `time` is the time of the last event, ms UTC; a loop whose events are sorted sets it, all others `advance` it.
    """

    __slots__ = ("time",)

    def __init__(self, start: int = 0) -> None:
        self.time = start

    def now(self) -> int:
        """The time of the last event."""
        return self.time

    def advance(self, time_ms: int) -> None:
        """Move to `time_ms`.

        Raises:
            MetaExpertError: `time_ms` lies in the past, which means that events came out of order.
        """
        if time_ms < self.time:
            raise MetaExpertError(f"time can't go back from {self.time} to {time_ms} ms: events are out of order")
        self.time = time_ms


class WallClock:
    """The system's time; events don't move it.

    Where the system's clock is set back, this one goes on: whoever waits does not wait that much longer. Where it
    is set forward, as after a sleep of the computer, this one follows.
    """

    __slots__ = ("_ahead", "_run", "_wall")

    def __init__(self) -> None:
        self._wall, self._run = _times()
        self._ahead = 0

    def now(self) -> int:
        """The system's time, and what it was set back by since this clock began."""
        wall, run = _times()
        lost = (run - self._run) - (wall - self._wall)
        if lost > _STEP_NS:
            self._ahead += lost
        self._wall, self._run = wall, run
        return (wall + self._ahead) // 1_000_000

    def advance(self, time_ms: int) -> None:
        """Do nothing: the world moves by itself."""

    async def sleep_until(self, time_ms: int) -> None:
        """Wait until `time_ms`."""
        while (left := time_ms - self.now()) > 0:  # noqa: ASYNC110 - the system's clock may be set meanwhile
            await asyncio.sleep(min(left / 1000, _NAP))


def _times() -> tuple[int, int]:
    """The system's time, which may be set, and one that only goes on, in ns."""
    return time.time_ns(), time.monotonic_ns()  # noqa: TID251 - the one place that may


class FastClock:
    """The system's time, going `speed` times as fast from `start` (ms UTC; None: from now) on."""

    __slots__ = ("_begun", "_start", "speed")

    def __init__(self, speed: float, start: int | None = None) -> None:
        self.speed = speed
        self._start = WallClock().now() if start is None else start
        self._begun = time.monotonic()

    def now(self) -> int:
        """The time now."""
        return self._start + int((time.monotonic() - self._begun) * 1000 * self.speed)

    def advance(self, time_ms: int) -> None:
        """Do nothing: time moves by itself."""

    async def sleep_until(self, time_ms: int) -> None:
        """Wait until `time_ms`."""
        while (left := time_ms - self.now()) > 0:  # noqa: ASYNC110 - a timer may fire a moment early
            await asyncio.sleep(left / 1000 / self.speed)
