"""Clocks: the only readers of time. Everything else is told the time by one of these."""

import time
from typing import Protocol

from .errors import MetaExpertError

__all__ = ["Clock", "SimClock", "WallClock"]


class Clock(Protocol):
    """Time in int milliseconds UTC."""

    def now(self) -> int:
        """The time now."""
        ...

    def advance(self, time_ms: int) -> None:
        """Move to `time_ms`, where time is moved by events."""
        ...


class SimClock:
    """Time that stands still until an event moves it, and never goes back."""

    __slots__ = ("_now",)

    def __init__(self, start: int = 0) -> None:
        self._now = start

    def now(self) -> int:
        """The time of the last event."""
        return self._now

    def advance(self, time_ms: int) -> None:
        """Move to `time_ms`.

        Raises:
            MetaExpertError: `time_ms` lies in the past, which means that events came out of order.
        """
        if time_ms < self._now:
            raise MetaExpertError(f"time can't go back from {self._now} to {time_ms} ms: events are out of order")
        self._now = time_ms


class WallClock:
    """The system's time; events don't move it."""

    __slots__ = ()

    def now(self) -> int:
        """The system's time."""
        return time.time_ns() // 1_000_000  # noqa: TID251 - the one place that may

    def advance(self, time_ms: int) -> None:
        """Do nothing: the world moves by itself."""
