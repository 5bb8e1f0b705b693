"""The sources that the contract of `Source` is tested on: each a market, and a hand that lets it go on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clocks import StepClock
from fakes import FakeMarket, Faults, idle, trade

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from metaexpert.clock import Clock
    from metaexpert.events import Source, Stream, StreamKind

__all__ = ["CASES", "Case"]

MINUTE = 60_000
START = 1_704_067_200_000


@dataclass(frozen=True, kw_only=True)
class Case:
    """A source under test.

    `go_on` lets the market's time pass by some ms: it trades meanwhile, at least once in ten seconds, and who
    waits is served. `lose` breaks its connections, from which it recovers within a minute; None: it has none.
    `lacks` are the kinds of streams that it has not.
    """

    source: Source
    clock: Clock
    symbol: str
    go_on: Callable[[int], Awaitable[None]]
    lose: Callable[[], Awaitable[None]] | None = None
    timeframe: str = "1m"
    lacks: frozenset[StreamKind] = frozenset()

    async def told(self, stream: Stream) -> list:
        """What the next `watch` of `stream` says, while time passes."""
        task = asyncio.create_task(self.source.watch(stream))
        try:
            for _ in range(200):
                await self.go_on(1_000)
                if task.done():
                    return list(task.result())
            raise AssertionError(f"{stream} tells nothing for 200 seconds")
        finally:
            task.cancel()


@asynccontextmanager
async def fake() -> AsyncIterator[Case]:
    """The scripted market of the unit tests: a trade every seven seconds for some hours."""
    clock = StepClock(START + 30 * MINUTE + 500)
    trades = [trade(START + n * 7_000, 100.0 + n * 7 % 13) for n in range(3_000)]
    faults = Faults()
    funding = [(START + n * 60 * MINUTE, 0.0001) for n in range(10)]
    market = FakeMarket(clock, trades, faults, funding=funding)

    async def go_on(ms: int) -> None:
        end = clock.now() + ms
        await idle()
        while (wake := clock.next_wake) is not None and wake <= end:
            clock.advance(wake)
            await idle()
        clock.advance(end)
        await idle()

    async def lose() -> None:
        faults.breaks = [(clock.now() + 1, clock.now() + 5_000)]
        market.shake()

    yield Case(source=market, clock=clock, symbol="A", go_on=go_on, lose=lose)
    await market.close()


CASES: dict[str, Callable[..., AbstractAsyncContextManager[Case]]] = {"fake": fake}
