"""Clocks: the only readers of time. Everything else is told the time by one of these."""

import asyncio
import time
from typing import Protocol

from .errors import MetaExpertError

__all__ = ["Clock", "FastClock", "LiveClock", "SimClock", "WallClock"]

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
    """The system's time; events don't move it."""

    __slots__ = ()

    def now(self) -> int:
        """The system's time."""
        return time.time_ns() // 1_000_000  # noqa: TID251 - the one place that may

    def advance(self, time_ms: int) -> None:
        """Do nothing: the world moves by itself."""

    async def sleep_until(self, time_ms: int) -> None:
        """Wait until `time_ms`."""
        while (left := time_ms - self.now()) > 0:  # noqa: ASYNC110 - the system's clock may be set meanwhile
            await asyncio.sleep(min(left / 1000, _NAP))


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
