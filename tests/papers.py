"""One expert on paper, wired as users' are, in a scripted market whose time the test moves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from metaexpert import MetaExpert, paper, wiring
from metaexpert.journal import JournalReader
from metaexpert.rerun import Rebuilt
from tests.fakes import FakeMarket, Faults, idle, trade
from tests.unit.desk import LINEAR, OTHER, market

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from metaexpert.events import PublicTrade, Source
    from metaexpert.models import Bar, Tick
    from metaexpert.process import MetaProcess
    from metaexpert.replay import Comparison
    from tests.clocks import StepClock

__all__ = ["LINEAR", "MINUTE", "OTHER", "Papers", "follower", "scripted", "walk"]

MINUTE = 60_000


def walk(minutes: int, start: int, symbol: str = LINEAR) -> list[PublicTrade]:
    """Six trades a minute, around a price that goes up and down with a period of 22 minutes."""
    made = []
    for number in range(minutes * 6):
        price = 100.0 + 4.0 * abs((number % 132) / 66.0 - 1.0) + 0.3 * (number * 7 % 5)
        made.append(trade(start + number * 10_000 + 137, round(price, 2), 1.0 + number % 3, symbol))
    return made


def scripted(clock: StepClock, trades: Iterable[PublicTrade], **faults: Any) -> FakeMarket:
    """The market in which `trades` happen."""
    return FakeMarket(clock, list(trades), Faults(**faults))


class Papers:
    """Runs an expert on paper, and plays its runs again.

    Args:
        make: makes the expert.
    """

    def __init__(self, make: Callable[[], MetaExpert]) -> None:
        self.make = make

    def job(self, clock: StepClock | None = None) -> tuple[wiring.LiveJob, list[MetaProcess]]:
        """What a run is given, and where its process stands while it runs."""
        own, running = (
            self.make().start("paper", initial_capital=1_000.0, latency_ms=50).job,
            list["MetaProcess"](),
        )

        def bind(process: MetaProcess | None) -> None:
            running[:] = [] if process is None else [process]
            own.bind(process)

        return replace(own, clock=clock, bind=bind), running

    @property
    def path(self) -> Path:
        """The journal."""
        return wiring.journal_of(self.job()[0])

    async def stream(
        self, source: Source, clock: StepClock, *moments: int, look: Callable[[MetaProcess], None] | None = None
    ) -> str:
        """Run until the last of `moments` by `clock`, moved from one wake to the next, and `look` at each.

        Returns the id of the run.
        """
        job, running = self.job(clock)

        async def connect(job: wiring.LiveJob, *_: Any) -> Any:
            return wiring.named(job, [market(symbol) for symbol in job.strategy.symbols]), source

        with patch.object(paper, "_connect", connect):
            task = asyncio.create_task(paper.trade(job))
            for moment in moments:
                await drive(task, clock, moment)
                if look is not None and running:
                    look(running[0])
            if running:
                running[0].stop("user_stop")
            await task
        with JournalReader.open(self.path) as journal:
            return journal.runs()[-1].id

    def replay(self, run: str) -> Comparison:
        """Play a run again."""
        with JournalReader.open(self.path) as journal:
            kept = next(one for one in journal.runs() if one.id == run)
            return asyncio.run(Rebuilt(self.job()[0], kept).replay(journal))


async def drive(task: asyncio.Task[Any], clock: StepClock, until: int) -> None:
    """Move the clock from one wake to the next, up to `until`, while `task` runs."""
    await idle()
    while not task.done() and clock.now() < until:
        wake = clock.next_wake
        assert wake is not None, "all wait, and nobody for the clock"
        clock.advance(max(clock.now(), min(wake, until)))
        await idle()


def follower(**more: Any) -> MetaExpert:
    """An expert that uses much: an indicator, market and limit orders, ticks, a timer, a memory of its own."""
    expert = MetaExpert(exchange="demo", market_type="futures", contract_type="linear", log_to_console=False)
    seen: dict[str, Any] = {"bars": 0}
    settings: dict[str, Any] = {"timeframe": "1m", "stop_loss_pct": 3.0, "max_positions_per_symbol": 3}
    settings |= {"leverage": 5.0, "fee_taker": 0.001} | more

    @expert.on_init(symbol=LINEAR, lookback_bars=5, strategy_name="papers", **settings)
    def init() -> None:
        seen["sma"] = expert.indicator("sma", length=3)

    @expert.on_bar
    def on_bar(bar: Bar) -> None:
        seen["bars"] += 1
        is_held = bool(expert.position())
        if not is_held and bar.close > seen["sma"][-1]:
            expert.buy(1.0, tag=f"bar {seen['bars']}")
        elif is_held and bar.close < seen["sma"][-1]:
            expert.close_position()
        if seen["bars"] % 4 == 0:
            expert.buy(0.5, price=round(bar.close * 0.99, 2))

    @expert.on_tick
    async def on_tick(tick: Tick) -> None:
        await asyncio.sleep(0)
        if tick.last > 104.8 and expert.position():
            expert.modify_position(stop_loss=round(tick.last * 0.98, 2))

    @expert.on_timer(150.0)
    def on_timer() -> None:
        for order in expert.orders[:1]:
            expert.cancel_order(order)

    return expert
