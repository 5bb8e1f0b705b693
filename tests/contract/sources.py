"""The sources that the contract of `Source` is tested on: each a market, and a hand that lets it go on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import pytest
from clocks import StepClock
from contract.gateways import gateway_to
from contract.streaming import CELLS, quiet
from fakes import FakeMarket, Faults, idle, trade
from venue import Venue

from metaexpert.clock import SimClock
from metaexpert.config import ExchangeSettings
from metaexpert.exchanges import budget
from metaexpert.exchanges.demo_stream import DemoStreams
from metaexpert.exchanges.streams import MarketStreams

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
        await stepped(clock, ms)

    async def lose() -> None:
        faults.breaks = [(clock.now() + 1, clock.now() + 5_000)]
        market.shake()

    yield Case(source=market, clock=clock, symbol="A", go_on=go_on, lose=lose)
    await market.close()


async def stepped(clock: StepClock, ms: int) -> None:
    """Move the time on, and let everybody do what there is to do at each moment that somebody waits for."""
    end = clock.now() + ms
    await idle()
    while (wake := clock.next_wake) is not None and wake <= end:
        clock.advance(wake)
        await idle()
    clock.advance(end)
    await idle()


@asynccontextmanager
async def demo() -> AsyncIterator[Case]:
    """The embedded exchange, a perpetual contract."""
    clock = StepClock(START + 30 * MINUTE + 500)
    settings = ExchangeSettings(exchange="demo", market_type="futures")
    source = DemoStreams(settings, clock)

    async def go_on(ms: int) -> None:
        await stepped(clock, ms)

    yield Case(source=source, clock=clock, symbol="BTC/USDT:USDT", go_on=go_on)
    await source.close()


def at_venue(exchange: str) -> Callable[[], AbstractAsyncContextManager[Case]]:
    """An exchange's perpetual contract at the loopback venue, heard by CCXT."""

    @asynccontextmanager
    async def case() -> AsyncIterator[Case]:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("METAEXPERT_OFFLINE", raising=False)
            patch.setattr(budget, "_BUDGETS", WeakValueDictionary())
            async with Venue(SimClock(1_790_000_000_000)) as venue:
                gateway = gateway_to(venue, exchange, "linear")
                source = MarketStreams(gateway, venue.clock)
                await gateway.known("BTC/USDT:USDT")

                async def go_on(ms: int) -> None:
                    await venue.advance(ms)
                    await quiet()  # what was sent is read, and what was asked for is there

                async def lose() -> None:
                    venue.sockets.cut(exchange, "reset")

                yield Case(source=source, clock=venue.clock, symbol="BTC/USDT:USDT", go_on=go_on, lose=lose)
                await source.close()

    return case


CASES: dict[str, Callable[..., AbstractAsyncContextManager[Case]]] = {
    "fake": fake,
    "demo": demo,
    **{exchange: at_venue(exchange) for exchange in sorted({exchange for exchange, _ in CELLS})},
}
