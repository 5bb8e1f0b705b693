"""Time that runs faster than the world's."""

from __future__ import annotations

from metaexpert.clock import WallClock


class FastClock:
    """The system's time since `begin` (ms UTC), so many times as fast; the same in every process."""

    def __init__(self, begin: int, speed: float) -> None:
        self.begin = begin
        self.speed = speed
        self._wall = WallClock()

    def now(self) -> int:
        """Milliseconds UTC; the system's own before `begin`."""
        wall = self._wall.now()
        return wall if wall < self.begin else self.begin + int((wall - self.begin) * self.speed)

    def advance(self, time_ms: int) -> None:
        """Do nothing: it moves by itself."""
