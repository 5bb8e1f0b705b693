"""What keeps a live feed going: an alarm to wait with, pauses between attempts, and the pumps of its streams."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from .errors import MetaExpertError, NetworkError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .clock import LiveClock
    from .events import MarketEvent, Source, Stream

__all__ = ["PASSING", "Alarm", "Backoff", "Pump", "ended"]

PASSING = (NetworkError, UnavailableError)
"""Errors that pass: the same may be asked again."""

_ODD_MS = 60_000  # for how long a stream may fail as no stream should


class Alarm:
    """Waits until a moment of `clock`, or until somebody rings; one waiter at a time."""

    def __init__(self, clock: LiveClock) -> None:
        self._clock = clock
        self._waiter: asyncio.Future[None] | None = None
        self._rang = False
        self._until = inf
        self._sleeper: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """Wake who waits, or who waits next."""
        self._rang = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, until: float = inf) -> None:
        """Return when the clock is at `until` (ms) or somebody has rung since the last return."""
        if until != self._until:
            self._cancel()
            self._until = until
        if not self._rang and self._clock.now() < until:
            if self._sleeper is None and until < inf:
                self._sleeper = asyncio.create_task(self._sleep(int(until)))
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._rang = False

    async def _sleep(self, until: int) -> None:
        await self._clock.sleep_until(until)
        self._sleeper, self._until = None, inf
        self.ring()

    def _cancel(self) -> None:
        if self._sleeper is not None:
            self._sleeper.cancel()
            self._sleeper = None

    async def close(self) -> None:
        """End what sleeps."""
        sleeper = self._sleeper
        self._cancel()
        await ended([] if sleeper is None else [sleeper])


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel `tasks` and wait for their end; how they end does not matter any more."""
    own = asyncio.current_task()
    running = [task for task in tasks if task is not own]
    for task in running:
        task.cancel()
    for task in running:
        with suppress(asyncio.CancelledError, Exception):
            await task


class Backoff:
    """How long to wait before the next attempt: twice as long each time, and by chance up to half of it less.

    Args:
        random: gives numbers in [0, 1).
        first: the first pause, ms.
        longest: the longest one, ms.
    """

    def __init__(self, random: Callable[[], float], first: int, longest: int) -> None:
        self._random = random
        self._first, self._longest = first, longest
        self.failures = 0
        """How many attempts in a row have failed."""

    def pause(self, error: MetaExpertError | None = None) -> int:
        """Count one more failure; returns the pause in ms, no less than what the exchange asks for in `error`."""
        grown = min(self._longest, self._first * 2 ** min(self.failures, 30))
        self.failures += 1
        asked = getattr(error, "retry_after", None) or 0.0
        return max(int(grown * (1.0 - self._random() / 2.0)), int(asked * 1000))

    def reset(self) -> None:
        """An attempt has succeeded."""
        self.failures = 0


class Pump:
    """Takes what one stream tells, the moment it does; begins anew after every break.

    Args:
        source: where the stream comes from.
        stream: what is watched.
        clock: to wait by.
        backoff: of this pump alone.
        take: gets what came, oldest first.
        broke: is told of every break.
    """

    def __init__(
        self, source: Source, stream: Stream, clock: LiveClock, backoff: Backoff,
        take: Callable[[Pump, Sequence[MarketEvent]], None], broke: Callable[[Pump, MetaExpertError], None],
    ) -> None:  # fmt: skip
        self.stream = stream
        self.heard = clock.now()
        """When something came last, or the last attempt began (ms by our clock)."""
        self.is_up = True
        """False from a break until something comes."""
        self.is_trying = True
        """False while it pauses after a break."""
        self._source, self._clock, self._backoff = source, clock, backoff
        self._take, self._broke = take, broke
        self._odd_since: int | None = None

    async def run(self) -> None:
        """Watch for ever.

        Raises:
            MetaExpertError: the stream can't be watched at all, or what it tells can't be read for a minute.
        """
        while True:
            try:
                events = await self._source.watch(self.stream)
            except PASSING as error:
                await self._pause(error)
            except MetaExpertError:
                raise
            except Exception as error:  # noqa: BLE001 - an answer that nobody has foreseen: others may be well
                await self._pause(self._unforeseen(error))
            else:
                self.heard, self._odd_since = self._clock.now(), None
                self._backoff.reset()
                self._take(self, events)
                self.is_up = True

    async def _pause(self, error: MetaExpertError) -> None:
        self._broke(self, error)
        self.is_up = self.is_trying = False
        await self._clock.sleep_until(self._clock.now() + self._backoff.pause(error))
        self.heard, self.is_trying = self._clock.now(), True

    def _unforeseen(self, error: Exception) -> MetaExpertError:
        """What stands for an error that no stream should raise; raises it once that has gone on for a minute."""
        now = self._clock.now()
        self._odd_since = now if self._odd_since is None else self._odd_since
        told = " ".join(f"{type(error).__name__}: {error}".split())
        if now - self._odd_since >= _ODD_MS:
            raise MetaExpertError(
                f"{self.stream.symbol}: what its {self.stream.kind} tell can't be read for a minute ({told}): "
                "update ccxt, or report it"
            ) from error
        return NetworkError(f"what its {self.stream.kind} tell can't be read ({told})")
