"""MetaProcess: the loop. Time moves; resting orders trade; handlers hear of it; then the strategy looks."""

from __future__ import annotations

import asyncio
import inspect
import sys
import traceback
from collections import defaultdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .broker.simulated import SHRUNK
from .errors import MetaExpertError, StrategyError
from .models import ExitReason, Fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .broker import News
    from .broker.simulated import SimulatedBroker
    from .clock import Clock
    from .feed import HistoryFeed, Series, Step
    from .logger import MetaLogger
    from .models import Order
    from .signals import SignalPlan
    from .trader import Trader

__all__ = ["Handlers", "Marks", "MetaProcess", "is_interactive"]

type Handler = Callable[..., Any]

_NEWS_PER_STEP = 100_000  # more than any strategy means: a handler that answers each refusal with a new order


class Handlers:
    """The handlers of one expert, by event. Two experts share nothing."""

    def __init__(self) -> None:
        self.by_event: dict[str, list[Handler]] = defaultdict(list)
        self.bars: list[tuple[str | None, Handler]] = []
        self.timers: list[tuple[float, Handler]] = []

    def __contains__(self, event: str) -> bool:
        return bool(self.by_event.get(event))

    def add(self, event: str, handler: Handler) -> None:
        """Register a handler of `event`."""
        _put(self.by_event[event], handler, lambda one: one)

    def add_bar(self, timeframe: str | None, handler: Handler) -> None:
        """Register a handler of the closed bars of `timeframe`."""
        _put(self.bars, (timeframe, handler), lambda one: one[1] if one[0] == timeframe else None)

    def add_timer(self, interval: float, handler: Handler) -> None:
        """Register a handler that runs every `interval` seconds."""
        _put(self.timers, (interval, handler), lambda one: one[1] if one[0] == interval else None)

    def all(self) -> Iterable[Handler]:
        """Every registered handler."""
        for handlers in self.by_event.values():
            yield from handlers
        yield from (handler for _, handler in self.bars)
        yield from (handler for _, handler in self.timers)

    @property
    def is_async(self) -> bool:
        """True when a handler is an ``async def``."""
        return any(inspect.iscoroutinefunction(handler) for handler in self.all())


def _put[T](places: list[T], new: T, handler_of: Callable[[T], Handler | None]) -> None:
    """Append `new`; in a notebook or prompt it takes the place of the handler of the same name.

    There a cell that is run again would otherwise register its handlers twice, and every order would be doubled.
    """
    handler = handler_of(new)
    if handler is not None and is_interactive():
        for at, one in enumerate(places):
            old = handler_of(one)
            if old is not None and _full_name(old) == _full_name(handler):
                places[at] = new
                return
    places.append(new)


def is_interactive() -> bool:
    """Is this a notebook or a prompt, where code is typed in and run again?"""
    return not hasattr(sys.modules["__main__"], "__file__")


def _full_name(handler: Handler) -> tuple[str, str]:
    return getattr(handler, "__module__", ""), getattr(handler, "__qualname__", repr(handler))


class Marks(NamedTuple):
    """Equity over time, one entry a step (rule 21); see `Record`."""

    time: list[int]
    equity: list[float]
    balance: list[float]
    exposure: list[float]


class _Timer:
    """A handler that runs every `interval` ms of the run's clock."""

    __slots__ = ("due", "handler", "interval")

    def __init__(self, interval: int, handler: Handler, start: int) -> None:
        self.interval = interval
        self.handler = handler
        self.due = start + interval


class MetaProcess:
    """Runs one expert over one feed and one broker.

    `handle` is the only loop body. Handlers run one at a time, in event order. A handler that fails is reported to
    `on_error`; without one the run stops (``on_deinit("error")``) and raises.

    Args:
        handlers: the expert's handlers.
        feed: brings the steps.
        broker: matches and books.
        trader: the trading calls, told when orders may act.
        clock: moved by the steps.
        log: the expert's logger.
        signals: the vectorised strategy, if there is one.
    """

    def __init__(
        self, *, handlers: Handlers, feed: HistoryFeed, broker: SimulatedBroker, trader: Trader, clock: Clock,
        log: MetaLogger, signals: Iterable[SignalPlan] = (),
    ) -> None:  # fmt: skip
        self.handlers = handlers
        self.feed = feed
        self.broker = broker
        self.trader = trader
        self.clock = clock
        self.log = log
        self.signals = tuple(signals)
        self.marks = Marks([], [], [], [])
        self.stop_reason: str | None = None
        self.failure: MetaExpertError | None = None
        self._bars: dict[tuple[str, str], list[Handler]] = {}
        self._timers: list[_Timer] = []
        self._runner: asyncio.Runner | None = None
        self._told = 0
        self._hears_account = "account" in handlers

    # -- the run ------------------------------------------------------------------------------------------------

    def run(self, progress: Callable[[float], None] | None = None, *, close_at_end: bool = False) -> str:
        """Play the feed to its end or until something stops it; returns the reason.

        Args:
            progress: called with the share done, 0 to 1, now and then.
            close_at_end: close what is still open at its last price, before `on_deinit` (rule 26).

        Raises:
            StrategyError: a handler failed and no `on_error` is there to take it.
        """
        reason = "error"
        try:
            self.dispatch("init")
            self._open()
            self._play(progress)
            if close_at_end and self.marks.time:
                self._close_at_mark()
            reason = self.stop_reason or self.trader.stopped or "backtest_end"
        except KeyboardInterrupt:
            reason = "signal"
            raise
        finally:
            self.dispatch("deinit", reason)
        self.raise_failure()
        return reason

    def close(self) -> None:
        """Release the event loop of ``async def`` handlers, when none will run again."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _play(self, progress: Callable[[float], None] | None) -> None:
        total = max(self.feed.steps, 1)
        for number, step in zip(count(1), self.feed, strict=False):
            if self.stop_reason is not None:
                return
            self.handle(step)
            if progress is not None and number % 1000 == 0:
                progress(min(number / total, 1.0))
        if progress is not None:
            progress(1.0)

    def _close_at_mark(self) -> None:
        """Close everything, and mark the account again as it stands then."""
        self.tell(self.broker.close_at_mark())
        ledger, marks = self.broker.ledger, self.marks
        marks.equity[-1], marks.balance[-1], marks.exposure[-1] = ledger.equity(), ledger.balance, 0.0

    def _open(self) -> None:
        """Sort the handlers by the series that they hear, and start the timers."""
        own = self.trader.settings.timeframe
        for symbol, timeframe in self.feed.series:
            heard = [handler for wanted, handler in self.handlers.bars if (wanted or own) == timeframe]
            if heard:
                self._bars[symbol, timeframe] = heard
        start = self.clock.now()
        self._timers = [
            _Timer(round(interval * 1000), handler, start) for interval, handler in self.handlers.timers
        ]
        self._drain()

    def stop(self, reason: str) -> None:
        """Stop: what is going on comes to its end, nothing new is begun. The first reason counts."""
        if self.stop_reason is None:
            self.stop_reason = reason

    # -- one step -----------------------------------------------------------------------------------------------

    def handle(self, step: Step) -> None:
        """Everything that happens up to and at one moment."""
        self._told = 0
        self._run_timers(step.time, before=True)
        trader = self.trader
        trader.active_from = step.time  # what a handler sends within the bar reaches the market after it
        if len(step.matched) > 1:  # one account: what one symbol earns within its bar comes after every open
            for bar in step.matched:
                self.clock.advance(max(bar.time, self.clock.now()))
                self.tell(self.broker.on_open(bar))
        for bar in step.matched:
            self.clock.advance(max(bar.time, self.clock.now()))
            self.tell(self.broker.on_bar(bar))
        self.clock.advance(step.time)
        trader.active_from = None
        for series, index in step.delivered:
            series.cursor.i = index
        self._mark(step.time)
        if trader.stopped is None:
            self._deliver(step)
        self._run_timers(step.time, before=False)
        if trader.stopped is not None and not any(held.qty for held in self.broker.ledger.holdings.values()):
            self.stop(trader.stopped)

    def _deliver(self, step: Step) -> None:
        for series, index in step.delivered:
            handlers = self._bars.get((series.symbol, series.timeframe))
            if handlers:
                bar = series.bar(index)
                for handler in handlers:
                    if self.stop_reason is not None:
                        return
                    self._call("on_bar", handler, (bar,))
                    self._drain()
            self._act(series, index)

    def _act(self, series: Series, index: int) -> None:
        for plan in self.signals:
            if plan.series is series and self.stop_reason is None:
                plan.act(index, self.trader)
                self._drain()

    def _mark(self, time: int) -> None:
        """Mark the account at a close and look at the loss limits (rules 21, 25)."""
        ledger = self.broker.ledger
        equity = ledger.equity()
        marks = self.marks
        marks.time.append(time)
        marks.equity.append(equity)
        marks.balance.append(ledger.balance)
        marks.exposure.append(ledger.exposure() / equity if equity > 0.0 else 0.0)
        if self._hears_account and len(marks.equity) > 1 and equity != marks.equity[-2]:
            self.dispatch("account", self.broker.account())
        breach = self.trader.limits.update(time, equity)
        if breach is not None and self.trader.stopped is None:
            self._breach(breach)

    def _breach(self, limit: str) -> None:
        self.log.log_once(f"limit:{limit}", "loss limit reached: closing everything", limit=limit)
        self.trader.cancel_all()
        self.trader.close_all(ExitReason(limit))
        if limit == "max_drawdown":
            self.trader.stopped = limit
        self._drain()

    def _run_timers(self, time: int, *, before: bool) -> None:
        """Timers due before this step's close see nothing of it; those due at it run after the bars."""
        while self._timers and self.stop_reason is None:
            timer = min(self._timers, key=lambda one: one.due)
            if timer.due > time or (before and timer.due == time):
                return
            self.clock.advance(max(timer.due, self.clock.now()))
            timer.due += timer.interval
            self._call("on_timer", timer.handler, ())
            self._drain()

    def tell(self, news: Iterable[News]) -> None:
        """Tell the handlers `news` one by one, as it is made."""
        for one in news:
            self._tell(one)
        self._drain()

    def raise_failure(self) -> None:
        """Raise what a handler failed with and nothing took.

        Raises:
            StrategyError: a handler failed.
        """
        if self.failure is not None:
            raise self.failure

    # -- handlers -----------------------------------------------------------------------------------------------

    def dispatch(self, event: str, *args: Any) -> Any:
        """Run the handlers of `event`; returns what the last one returned."""
        result = None
        for handler in self.handlers.by_event.get(event, ()):
            result = self._call(f"on_{event}", handler, args)
            if event != "error":
                self._drain()
        return result

    def _drain(self) -> None:
        """Tell the handlers what the broker has to say about what they have just asked for."""
        while self.broker.news:
            self._tell(self.broker.news.popleft())

    def _tell(self, news: News) -> None:
        order, result = news
        handlers = self.handlers
        self._told += 1
        if self._told > _NEWS_PER_STEP:
            self._told = 0
            self.broker.news.clear()
            raise StrategyError(
                f"over {_NEWS_PER_STEP} order events at {_iso(self.clock.now())}: a handler answers each with "
                "another order; let it look at why the last one was refused"
            )
        if isinstance(result, Fill):
            self._log_fill(order, result)
        if "order" in handlers:
            self.dispatch_quietly("order", order)
        if result is not None and "transaction" in handlers:
            self.dispatch_quietly("transaction", order, result)
        if isinstance(result, Fill):
            if "position" in handlers:
                self.dispatch_quietly("position", self.broker.position(order.symbol))
            if self._hears_account:
                self.dispatch_quietly("account", self.broker.account())

    def dispatch_quietly(self, event: str, *args: Any) -> None:
        """Run the handlers of `event`; what they cause is told after what is being told now."""
        for handler in self.handlers.by_event.get(event, ()):
            self._call(f"on_{event}", handler, args)

    def _log_fill(self, order: Order, fill: Fill) -> None:
        if order.message == SHRUNK:
            self.log.log_once("shrunk", "sizes shrink to the free margin", level="INFO", symbol=order.symbol)
            self.trader.refusals["size shrunk to the free margin at the fill"] += 1
        self.log.trade(
            fill.side, symbol=fill.symbol, qty=fill.qty, price=fill.price, fee=fill.fee, reason=fill.reason
        )

    def _call(self, event: str, handler: Handler, args: tuple[Any, ...]) -> Any:
        try:
            result = handler(*args)
            return self._await(result) if inspect.iscoroutine(result) else result
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is the expert's, not ours
            self._failed(event, handler, error)
        return None

    def _await(self, coroutine: Any) -> Any:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(coroutine)

    def _failed(self, event: str, handler: Handler, error: Exception) -> None:
        failure = StrategyError(f"{event} failed at {_iso(self.clock.now())}: {_describe(error, handler)}")
        failure.__cause__ = error
        if event == "on_error" or "error" not in self.handlers or event == "on_init":
            self.failure = self.failure or failure  # raised at the end, to be told by whoever runs this
            self.stop("error")
        else:
            self.log.error(str(failure))
            self.dispatch_quietly("error", failure)


def _describe(error: Exception, handler: Handler) -> str:
    """The error and the line of the expert's own file that raised it."""
    text = str(error) if isinstance(error, MetaExpertError) else f"{type(error).__name__}: {error}"
    text = " ".join(text.split())
    code = getattr(handler, "__code__", None)
    if code is None:
        return text
    file = code.co_filename
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{text} ({Path(file).name}:{lines[-1] if lines else code.co_firstlineno})"


def _iso(time_ms: int) -> str:
    import pandas as pd

    return pd.Timestamp(time_ms, unit="ms", tz="UTC").strftime("%Y-%m-%d %H:%M UTC")
