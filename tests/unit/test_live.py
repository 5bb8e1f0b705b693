"""The loop over a market that goes on: order of events, async handlers, timers, limits, stopping."""

from __future__ import annotations

import asyncio
from collections import Counter
from math import inf
from typing import Any

import numpy as np
import pytest

from metaexpert import bars as candles
from metaexpert import running
from metaexpert.broker.costs import Costs
from metaexpert.broker.ledger import Ledger
from metaexpert.broker.paper import PaperBroker
from metaexpert.broker.protection import Protection
from metaexpert.clock import SimClock
from metaexpert.config import LogSettings, StrategySettings
from metaexpert.errors import NetworkError, StrategyError
from metaexpert.events import Funding, Notice, PublicTrade, Quote
from metaexpert.feed import Series, Step
from metaexpert.handlers import Handlers
from metaexpert.live import LiveProcess
from metaexpert.logger import MetaLogger
from metaexpert.models import Bar, MarginMode, OrderBook, Side, Tick
from metaexpert.reports import Away
from metaexpert.risk import LossLimits
from metaexpert.trader import OrderTerms, Trader
from tests.clocks import StepClock
from tests.papers import follower
from tests.unit.desk import LINEAR as SYMBOL
from tests.unit.desk import market

MINUTE = 60_000


class ScriptedFeed:
    """Gives what the test has written down, each at its time."""

    offers = ()

    def __init__(self, clock: StepClock, minutes: int = 10) -> None:
        prices = np.full(minutes, 100.0)
        frame = candles.frame(np.arange(minutes, dtype=np.int64) * MINUTE, [prices] * 5)
        self.one = Series(SYMBOL, "1m", frame, first=0)
        self.one.cursor.i = -1
        self.series = {(SYMBOL, "1m"): self.one}
        self.clock = clock
        self.script: list[tuple[int, Any]] = []
        self._wake = asyncio.Event()

    def at(self, time: int, event: Any = None) -> None:
        self.script.append((time, event))

    def close_bar(self, index: int, time: int | None = None) -> None:
        close = (index + 1) * MINUTE
        self.at(close if time is None else time, Step(close, (), ((self.one, index),)))

    def is_matching(self, one: Series) -> bool:
        return one is self.one

    def matching(self, symbol: str) -> Series:
        return self.one

    def find(self, symbol: str, timeframe: str) -> Series | None:
        return self.series.get((symbol, timeframe))

    def now(self) -> int:
        return self.clock.now()

    def wake(self) -> None:
        self._wake.set()

    async def next(self, until: float = inf) -> Any:
        if self.script and self.script[0][0] <= until:
            time, event = self.script.pop(0)
            self.clock.advance(max(time, self.clock.now()))
            return event
        if until < inf:
            self.clock.advance(max(int(until), self.clock.now()))
            return None
        await self._wake.wait()
        return None


class Notes:
    """A keeper that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[int, str]] = []
        self.lines: list[Any] = []
        self.commits: list[bool] = []

    def event(self, time: int, kind: str, body: Any) -> None:
        self.events.append((time, kind))

    def log(self, time: int, kind: str, body: Any) -> None:
        self.lines.append((time, kind, body))

    def commit(self, process: LiveProcess, *, changed: bool) -> None:
        self.commits.append(changed)


class Desk:
    """One expert's handlers over a scripted feed."""

    def __init__(
        self, *, fills: str = "quotes", latency: int = 0, limits: LossLimits | None = None, **settings: Any
    ):
        self.wall, self.clock = StepClock(0), SimClock(0)
        self.feed, self.handlers, self.notes = ScriptedFeed(self.wall), Handlers(), Notes()
        strategy = StrategySettings(symbol=SYMBOL, timeframe="1m", **settings)
        self.ledger = Ledger(10_000.0, {SYMBOL: market()}, 10.0, MarginMode.ISOLATED)
        self.ledger.holdings[SYMBOL].mark = 100.0
        self.broker = PaperBroker(self.ledger, self.clock, Costs(), Protection(), fills=fills)
        self.log = MetaLogger("test", LogSettings(log_to_console=False), now=self.clock.now)
        self.trader = Trader(
            settings=strategy, feed=self.feed, broker=self.broker, clock=self.clock, costs=Costs(),
            limits=limits or LossLimits(None, None, equity=10_000.0, time=0), resolve=str, log=self.log,
            refusals=Counter(),
        )  # fmt: skip
        self.latency = latency

    def on(self, event: str) -> Any:
        def register(handler: Any) -> Any:
            if event == "bar":
                self.handlers.add_bar(None, handler)
            elif event.startswith("timer:"):
                self.handlers.add_timer(float(event[6:]), handler)
            else:
                self.handlers.add(event, handler)
            return handler

        return register

    def process(self) -> LiveProcess:
        return LiveProcess(
            handlers=self.handlers, feed=self.feed, broker=self.broker, trader=self.trader, clock=self.clock,
            log=self.log, keeper=self.notes, latency=self.latency,
        )  # fmt: skip

    def run(self) -> str:
        async def main() -> str:
            process = self.process()
            self.feed.at(max(time for time, _ in self.feed.script) + 1, Stop(process))
            return await process.stream()

        try:
            return asyncio.run(main())
        finally:
            self.log.close()


class Stop(Away):
    """An event that tells nothing: it stops the run when it is written down."""

    def __new__(cls, process: LiveProcess) -> Stop:
        made = super().__new__(cls, 0, ())
        made.process = process  # type: ignore[attr-defined]
        return made

    def __iter__(self) -> Any:
        self.process.stop("user_stop")  # type: ignore[attr-defined]
        return super().__iter__()


def trade(time: int, price: float) -> PublicTrade:
    return PublicTrade(time, SYMBOL, str(time), price, 1.0, 1)


def quote(time: int, bid: float, ask: float) -> Quote:
    return Quote(time, SYMBOL, bid, ask, 1.0, 1.0)


def test_handlers_are_called_in_the_order_of_events():
    desk, heard = Desk(), list[Any]()
    desk.on("init")(lambda: heard.append("init"))
    desk.on("tick")(heard.append)
    desk.on("bar")(heard.append)
    desk.on("book")(heard.append)
    desk.on("deinit")(heard.append)
    book = OrderBook(6, SYMBOL, ((99.0, 1.0),), ((101.0, 1.0),))
    desk.feed.at(5, trade(4, 100.0))
    desk.feed.at(6, book)
    desk.feed.at(7, quote(6, 99.0, 101.0))
    desk.feed.close_bar(0)
    assert desk.run() == "user_stop"
    assert heard == [
        "init",
        Tick(4, SYMBOL, 100.0, 100.0, 100.0, 1.0),
        book,
        Tick(6, SYMBOL, 99.0, 101.0, 100.0, 0.0),
        Bar(0, SYMBOL, "1m", 100.0, 100.0, 100.0, 100.0, 100.0),
        "user_stop",
    ]


def test_a_coroutine_is_waited_for_while_the_event_loop_goes_on():
    desk, heard = Desk(), list[str]()

    async def other() -> None:
        heard.append("other")

    @desk.on("bar")
    async def bar(_: Bar) -> None:
        task = asyncio.create_task(other())
        heard.append("begins")
        await task
        heard.append("ends")

    desk.feed.close_bar(0)
    desk.feed.close_bar(1)
    desk.run()
    assert heard == ["begins", "other", "ends"] * 2


def test_an_order_sent_by_a_coroutine_that_answers_a_fill_is_told_after_it():
    desk, heard = Desk(), list[Any]()

    @desk.on("transaction")
    async def transaction(order: Any, result: Any) -> None:
        await asyncio.sleep(0)
        heard.append((order.side, result.price))
        if len(heard) == 1:
            desk.trader.close(None, None, None)

    desk.on("bar")(lambda _: desk.trader.open("long", 1.0, None, OrderTerms()))
    desk.feed.at(5, quote(5, 99.0, 101.0))
    desk.feed.close_bar(0)
    desk.run()
    assert heard == [("buy", 101.0), ("sell", 99.0)]


def test_an_order_is_on_its_way_for_as_long_as_latency_says():
    desk, heard = Desk(latency=250), list[Any]()
    desk.on("transaction")(lambda order, fill: heard.append((desk.clock.now(), fill.price)))
    desk.on("bar")(lambda _: desk.trader.open("long", 1.0, None, OrderTerms()))
    desk.feed.at(5, quote(5, 99.0, 101.0))
    desk.feed.close_bar(0)
    desk.feed.at(MINUTE + 100, quote(MINUTE + 100, 101.0, 102.0))
    desk.feed.at(MINUTE + 1_000, trade(MINUTE + 1_000, 100.0))
    desk.run()
    assert heard == [(MINUTE + 250, 102.0)]


def test_timers_run_by_the_wall_and_do_not_pile_up():
    desk, heard = Desk(), list[int]()
    desk.on("timer:10")(lambda: heard.append(desk.clock.now()))
    desk.feed.at(35_000, trade(35_000, 100.0))
    desk.feed.script[0] = (5_000, trade(5_000, 100.0))
    desk.feed.at(12_000, trade(12_000, 100.0))
    desk.feed.at(47_000, trade(47_000, 100.0))
    desk.feed.at(48_000, trade(48_000, 100.0))
    jump = desk.feed.next

    async def suspended(until: float = inf) -> Any:
        if desk.wall.now() == 12_000:  # the machine sleeps
            desk.wall.advance(47_000)
        return await jump(until)

    desk.feed.next = suspended  # type: ignore[method-assign]
    desk.feed.at(61_000, trade(61_000, 100.0))
    desk.run()
    assert heard[:4] == [10_000, 47_000, 50_000, 60_000]


def test_a_failing_handler_stops_the_run_and_is_told():
    desk, heard = Desk(), list[str]()
    desk.on("bar")(lambda _: 1 / 0)
    desk.on("deinit")(heard.append)
    desk.feed.close_bar(0)
    with pytest.raises(StrategyError, match="ZeroDivisionError"):
        desk.run()
    assert heard == ["error"]


def test_trouble_of_the_feed_goes_to_on_error_and_makes_quotes_unknown():
    desk, heard = Desk(), list[Any]()
    desk.on("error")(lambda error: heard.append(str(error)))
    desk.on("transaction")(lambda order, fill: heard.append(fill.price))
    desk.on("bar")(lambda _: desk.trader.open("long", 1.0, None, OrderTerms()))
    desk.feed.at(5, quote(5, 99.0, 101.0))
    desk.feed.at(6, Notice(6, SYMBOL, "the stream is silent", NetworkError("no answer")))
    desk.feed.close_bar(0)
    desk.feed.at(MINUTE + 5, quote(MINUTE + 5, 89.0, 90.0))
    desk.run()
    assert heard == ["no answer", 90.0]


def test_limits_are_watched_between_closes():
    limits = LossLimits(50.0, None, equity=10_000.0, time=0)
    desk, heard = Desk(limits=limits), list[Any]()
    desk.on("transaction")(lambda order, fill: heard.append((order.reason, fill.price)))
    desk.on("bar")(lambda _: desk.trader.open("long", 10.0, None, OrderTerms()))
    desk.feed.at(5, quote(5, 100.0, 100.0))
    desk.feed.close_bar(0)
    desk.feed.at(MINUTE + 5, quote(MINUTE + 5, 94.9, 95.0))
    desk.feed.at(MINUTE + 6, trade(MINUTE + 6, 95.0))
    desk.run()
    assert heard == [("order", 100.0), ("daily_loss_limit", 94.9)]


def test_a_new_peak_of_equity_between_closes_is_committed():
    """Drawdown counts from it after a restart too: 10 held, from 100 to 101 and 102, and back."""
    desk = Desk(limits=LossLimits(None, 0.5, equity=10_000.0, time=0))
    desk.on("bar")(lambda _: desk.trader.open("long", 10.0, None, OrderTerms()))
    desk.feed.at(5, quote(5, 100.0, 100.0))
    desk.feed.close_bar(0)
    for after, price in ((5, 101.0), (6, 100.5), (7, 102.0), (8, 102.0)):
        desk.feed.at(MINUTE + after, trade(MINUTE + after, price))
    desk.run()
    assert desk.notes.commits[3:7] == [True, False, True, False]
    assert desk.trader.limits.peak == 10_020.0


def test_what_changes_is_committed_and_what_does_not_is_not_said_to():
    desk = Desk()
    desk.feed.at(5, trade(5, 100.0))
    desk.feed.close_bar(0)
    desk.run()
    assert desk.notes.commits[:3] == [True, False, True]  # the start, a trade that moved nothing, a bar
    assert [kind for _, kind in desk.notes.events[:3]] == ["Start", "PublicTrade", "Step"]


def test_levels_that_were_changed_are_committed_though_no_order_changes():
    desk = Desk()
    desk.on("bar")(lambda _: desk.trader.open("long", 10.0, None, OrderTerms()))
    desk.on("tick")(lambda tick: tick.last == 101.0 and desk.trader.protect(None, {"stop_loss": 90.0}))
    desk.feed.at(5, quote(5, 100.0, 100.0))
    desk.feed.close_bar(0)
    for after, price in ((5, 100.5), (6, 101.0), (7, 101.0)):
        desk.feed.at(MINUTE + after, trade(MINUTE + after, price))
    desk.run()
    assert desk.notes.commits[3:5] == [False, True]
    assert desk.ledger.holdings[SYMBOL].qty == 10.0


def test_stopping_from_another_thread_wakes_the_loop():
    desk = Desk()

    async def main() -> str:
        process = desk.process()
        running = asyncio.create_task(process.stream())
        await asyncio.sleep(0)
        await asyncio.to_thread(process.stop, "user_stop")
        return await running

    assert asyncio.run(main()) == "user_stop"
    desk.log.close()


def test_a_cancelled_run_says_goodbye():
    desk, heard = Desk(), list[str]()
    desk.on("deinit")(heard.append)

    async def main() -> None:
        process = desk.process()
        running = asyncio.create_task(process.stream())
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert heard == ["signal"]
    desk.log.close()


def test_a_cancelled_task_of_a_handler_is_its_own_failure():
    """Waiting for a task that somebody has cancelled is a bug of the handler: the run hears of it and goes on."""
    desk, heard = Desk(), list[str]()
    desk.feed.close_bar(0)
    desk.on("error")(lambda error: heard.append(str(error)))

    @desk.on("bar")
    async def on_bar(_: Bar) -> None:
        task = asyncio.create_task(asyncio.sleep(10))
        task.cancel()
        await task

    assert desk.run() == "user_stop"
    assert len(heard) == 1
    assert "on_bar failed at 1970-01-01 00:01 UTC: CancelledError" in heard[0]


def test_a_run_that_is_cancelled_while_a_handler_waits_ends():
    """The handler gets it, and may tidy up; its own timeouts are nothing to the run."""
    desk, heard, waits = Desk(), list[str](), asyncio.Event()
    desk.feed.close_bar(0)
    desk.on("deinit")(heard.append)

    @desk.on("bar")
    async def on_bar(_: Bar) -> None:
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(10)
        except TimeoutError:
            heard.append("timeout")
        try:
            waits.set()
            await asyncio.sleep(10)
        finally:
            heard.append("tidy")

    async def main() -> None:
        running = asyncio.create_task(desk.process().stream())
        await waits.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert heard == ["timeout", "tidy", "signal"]
    desk.log.close()


def test_what_on_error_has_asked_for_is_told_at_once():
    """An order that is refused leaves nothing in the book: its news is told all the same."""
    desk, heard = Desk(), list[str]()
    desk.feed.at(10, Notice(10, SYMBOL, "lost", NetworkError("lost")))
    desk.on("order")(lambda order: heard.append(f"{order.status} at {desk.clock.now()}"))
    desk.on("error")(lambda _: desk.trader.send(Side.SELL, None, None, OrderTerms(reduce_only=True)))
    assert desk.run() == "user_stop"
    assert heard == ["rejected at 10"]


def test_what_a_task_has_asked_for_between_two_events_is_told_with_the_next_one():
    """Before anything that the event brings about, so that the state after it can be kept."""
    desk, heard = Desk(), list[str]()
    desk.feed.at(20, Funding(20, SYMBOL, 0.0))
    desk.on("order")(lambda order: heard.append(f"{order.status} at {desk.clock.now()}"))
    take = desk.feed.next

    async def next_after_a_task(until: float = inf) -> Any:
        event = await take(until)
        if isinstance(event, Funding):
            desk.trader.send(Side.SELL, None, None, OrderTerms(reduce_only=True))
        return event

    desk.feed.next = next_after_a_task
    desk.notes.commit = lambda process, *, changed: changed and process.state()
    assert desk.run() == "user_stop"
    assert heard == ["rejected at 20"]


def test_a_run_that_is_cancelled_says_so_afterwards(monkeypatch: pytest.MonkeyPatch):
    """Not that it is starting still."""

    async def trade(_: Any) -> str:
        await asyncio.Event().wait()
        return "never"

    monkeypatch.setattr(running, "_trade", trade)
    run = follower().start("paper")

    async def main() -> None:
        run.begin()

        async def wait() -> None:
            await run

        waiting = asyncio.create_task(wait())
        for _ in range(3):
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert (run.reason, run.error, run.is_running) == ("signal", None, False)
    assert "ended (signal)" in repr(run)
