"""One expert on paper, from its handlers to its journal, in a scripted market whose time the test moves."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from metaexpert.broker.costs import Costs
from metaexpert.broker.ledger import Ledger
from metaexpert.broker.paper import PaperBroker
from metaexpert.broker.protection import Protection
from metaexpert.clock import SimClock
from metaexpert.config import LogSettings, StrategySettings
from metaexpert.events import StreamKind
from metaexpert.handlers import Handlers
from metaexpert.journal import Journal
from metaexpert.keeper import JournalKeeper, since_of
from metaexpert.live import LiveProcess
from metaexpert.livefeed import LiveFeed
from metaexpert.logger import MetaLogger
from metaexpert.models import MarginMode, Side
from metaexpert.replay import Lines, Recording, ReplayFeed
from metaexpert.risk import LossLimits
from metaexpert.trader import OrderTerms, Trader
from tests.fakes import FakeMarket, Faults, idle, trade
from tests.unit.desk import LINEAR, market

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from metaexpert.events import PublicTrade, Source
    from metaexpert.models import Bar
    from tests.clocks import StepClock

__all__ = ["LINEAR", "MINUTE", "Papers", "follower", "scripted", "walk"]

MINUTE = 60_000
KINDS = (StreamKind.CANDLES, StreamKind.TRADES, StreamKind.QUOTES)


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
    """Builds a paper run of one symbol, live or replayed.

    Args:
        expert: registers the handlers of an expert, given them and the trader.
        settings: of the strategy.
    """

    def __init__(self, expert: Callable[[Handlers, Trader], None], **settings: Any) -> None:
        self.expert = expert
        self.settings = StrategySettings(**({"symbol": LINEAR, "timeframe": "1m", "lookback_bars": 5} | settings))
        self.process: LiveProcess | None = None

    def build(self, feed: LiveFeed, keeper: Any, state: Mapping[str, Any] | None) -> LiveProcess:
        """The process over a feed that is open, restored to `state`."""
        clock, own = SimClock(0), self.settings
        ledger = Ledger(1_000.0, {LINEAR: market()}, 5.0, MarginMode.ISOLATED)
        costs = Costs(fee_taker=0.001, fee_maker=0.0002)
        protection = Protection(stop_loss_pct=own.stop_loss_pct, trailing_stop_pct=own.trailing_stop_pct)
        broker = PaperBroker(ledger, clock, costs, protection)
        last = feed.matching(LINEAR).last()
        ledger.holdings[LINEAR].mark = 0.0 if last is None else last.close
        log = MetaLogger("papers", LogSettings(log_to_console=False), now=clock.now)
        limits = LossLimits(own.daily_loss_limit, own.max_drawdown_pct, equity=1_000.0, time=feed.now())
        trader = Trader(
            settings=own, feed=feed, broker=broker, clock=clock, costs=costs, limits=limits, resolve=str, log=log,
            refusals=Counter(),
        )  # fmt: skip
        handlers = Handlers()
        self.expert(handlers, trader)
        process = self.process = LiveProcess(
            handlers=handlers, feed=feed, broker=broker, trader=trader, clock=clock, log=log, keeper=keeper,
            latency=50,
        )  # fmt: skip
        if state is not None:
            process.restore(state)
        return process

    def close(self) -> None:
        """Close the log of the last run."""
        if self.process is not None:
            self.process.log.close()

    async def stream(
        self, source: Source, clock: StepClock, path: Path, until: int, reason: str = "user_stop"
    ) -> str:
        """Run until `until` by `clock`, which is moved from one wake to the next; returns the id of the run."""
        feed = LiveFeed(source, clock, {LINEAR: ("1m",)}, KINDS, lookback=5, random=lambda: 0.5)
        with Journal.open(path) as journal:
            state = journal.last_state()
            await feed.open(5, None if state is None else since_of(state))
            run = journal.begin(feed.now(), {"name": "papers"}, state)
            process = self.build(feed, JournalKeeper(journal, feed), state)
            running = asyncio.create_task(process.stream())
            try:
                await drive(running, clock, until)
                if not running.done():
                    process.stop(reason)
                ended = await running
            finally:
                await feed.close()
                self.close()
            journal.end(process.clock.now(), ended)
        return run

    async def rebuild(self, recording: Recording) -> tuple[LiveProcess, Lines]:
        """The same run to be played again."""
        feed = ReplayFeed(recording, {LINEAR: ("1m",)}, lookback=5)
        await feed.open(5)
        lines = Lines(feed)
        process = self.build(feed, lines, recording.run.first)
        feed.on_stop = process.stop
        return process, lines


async def drive(task: asyncio.Task[Any], clock: StepClock, until: int) -> None:
    """Move the clock from one wake to the next, up to `until`, while `task` runs."""
    await idle()
    while not task.done() and clock.now() < until:
        wake = clock.next_wake
        assert wake is not None, "all wait, and nobody for the clock"
        clock.advance(max(clock.now(), min(wake, until)))
        await idle()


def follower(handlers: Handlers, trader: Trader) -> None:
    """An expert that uses much: an indicator, market and limit orders, ticks, a timer, a memory of its own."""
    seen: dict[str, Any] = {"bars": 0}

    def init() -> None:
        seen["sma"] = trader.series(None, None).indicator("sma", length=3)

    def on_bar(bar: Bar) -> None:
        seen["bars"] += 1
        held = trader.held(LINEAR)
        if held == 0.0 and bar.close > seen["sma"][-1]:
            trader.open("long", 1.0, None, OrderTerms(tag=f"bar {seen['bars']}"))
        elif held > 0.0 and bar.close < seen["sma"][-1]:
            trader.close(None, None, None)
        if seen["bars"] % 4 == 0:
            trader.send(Side.BUY, 0.5, None, OrderTerms(price=round(bar.close * 0.99, 2)))

    async def on_tick(tick: Any) -> None:
        await asyncio.sleep(0)
        if tick.last > 104.8 and trader.held(LINEAR) > 0.0:
            trader.protect(None, {"stop_loss": round(tick.last * 0.98, 2)})

    def on_timer() -> None:
        for order in trader.broker.working()[:1]:
            trader.cancel(order)

    handlers.add("init", init)
    handlers.add_bar(None, on_bar)
    handlers.add("tick", on_tick)
    handlers.add_timer(150.0, on_timer)
    handlers.add("deinit", lambda reason: None)
