"""MetaProcess: the loop. Time moves; resting orders trade; handlers hear of it; then the strategy looks.

What all modes share is here. `metaexpert.history` plays stored candles through it, `metaexpert.live` what a market
tells as it goes.
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .broker.simulated import SHRUNK
from .errors import MetaExpertError, StrategyError
from .models import ExitReason, Fill

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .broker import Broker, News
    from .broker.holding import Holding
    from .clock import Clock
    from .feed import Series
    from .handlers import Handler, Handlers
    from .logger import MetaLogger
    from .models import Bar, Order, Tick
    from .signals import SignalPlan
    from .trader import Trader

__all__ = ["Lane", "MetaProcess", "Timer", "iso"]

_ACTIONS = {
    "flatten": "closing everything",
    "reduce": "halving every position, entries are refused",
    "block": "entries are refused",
}
_NEWS_PER_STEP = 100_000  # more than any strategy means: a handler that answers each refusal with a new order


class Lane:
    """One series as the loop plays it: who hears its bars, and whose marks they move."""

    __slots__ = ("handlers", "legs", "series")

    def __init__(self, series: Series, handlers: list[Handler], legs: Sequence[Holding]) -> None:
        self.series = series
        self.handlers = handlers
        self.legs = legs


class Timer:
    """A handler that runs every `interval` ms of the run's clock."""

    __slots__ = ("due", "handler", "interval")

    def __init__(self, interval: int, handler: Handler, start: int) -> None:
        self.interval = interval
        self.handler = handler
        self.due = start + interval


class MetaProcess:
    """Runs one expert over one feed and one broker; the base of every mode.

    Handlers run one at a time, in event order. A handler that fails is reported to `on_error`; without one the run
    stops (``on_deinit("error")``) and raises.

    Args:
        handlers: the expert's handlers.
        broker: matches and books.
        trader: the trading calls.
        clock: the run's time.
        log: the expert's logger.
        signals: the vectorised strategy, if there is one.
    """

    lets_pass = True
    """False takes every step of history through `handle`: what tests compare the short way with."""

    def __init__(
        self, *, handlers: Handlers, broker: Broker, trader: Trader, clock: Clock, log: MetaLogger,
        signals: Iterable[SignalPlan] = (),
    ) -> None:  # fmt: skip
        self.handlers = handlers
        self.broker = broker
        self.trader = trader
        self.clock = clock
        self.log = log
        self.signals = tuple(signals)
        self.steps = 0
        """How many steps are done."""
        self.stop_reason: str | None = None
        self.failure: MetaExpertError | None = None
        self.thread: int | None = None
        """The one that orders have to come from; None: any."""
        self._timers: list[Timer] = []
        self._runner: asyncio.Runner | None = None
        self._has_begun = False
        self._told = 0
        self._hears_account = "account" in handlers
        self._watches = self._hears_account or trader.is_limited
        self._hears_ticks = "tick" in handlers
        self._equity = broker.strategy_equity  # at the last mark, where it is watched

    def begin(self) -> None:
        """Let `on_init` run, once; a run begins with it."""
        if not self._has_begun:
            self._has_begun = True
            self.dispatch("init")

    def close(self) -> None:
        """Release the event loop of ``async def`` handlers, when none will run again."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def stop(self, reason: str) -> None:
        """Stop: what is going on comes to its end, nothing new is begun. The first reason counts."""
        if self.stop_reason is None:
            self.stop_reason = reason
            self.broker.book.stirred = True  # who lets bars pass looks up

    def _start_timers(self) -> None:
        start = self.clock.now()
        self._timers = [
            Timer(round(interval * 1000), handler, start) for interval, handler in self.handlers.timers
        ]

    def _heard(self, series: Series) -> list[Handler]:
        """The handlers that hear the bars of `series`."""
        own = self.trader.settings.timeframe
        return [handler for wanted, handler in self.handlers.bars if (wanted or own) == series.timeframe]

    # -- one step -----------------------------------------------------------------------------------------------

    def _close(self, time: int, closing: Iterable[tuple[Lane, int, Bar | None]]) -> None:
        """Bars are closed and marked: they are known from now on, and the strategy looks; timers come last."""
        self.steps += 1
        for lane, index, _ in closing:
            lane.series.cursor.i = index
        if self._watches:
            self._watch(time)
        if self.trader.stopped is None:
            for lane, index, bar in closing:
                self._hear(lane, index, bar)
        if self._timers:
            self._run_timers(time, before=False)
        ends = self.trader.ends
        if ends is not None and self.broker.ledger.is_flat():
            self.stop(ends)

    def _hear(self, lane: Lane, index: int, bar: Bar | None) -> None:
        """Tell everybody who hears it of a bar, made here where it is not yet; signals come last."""
        for handler in lane.handlers:
            if self.stop_reason is not None:
                return
            bar = lane.series.bar(index) if bar is None else bar
            self._call("on_bar", handler, (bar,))
            if self.broker.news:
                self._drain()
        for plan in self.signals:
            if plan.series is lane.series and self.stop_reason is None:
                plan.act(index, self.trader)
                self._drain()

    def _hear_tick(self, tick: Tick) -> None:
        if self.stop_reason is None and self.trader.stopped is None:
            self.dispatch("tick", tick)

    def _watch(self, time: int) -> None:
        """Look at equity where somebody cares: handlers of the account, loss limits (rules 21, 25)."""
        equity, before = self.broker.strategy_equity, self._equity
        self._equity = equity
        if self._hears_account and equity != before:
            self.dispatch("account", self.broker.account())
        self._breached(self.trader.limits.update(time, equity))

    def warn_of_limit(self, limit: str) -> None:
        """Log, once, that a loss limit was reached."""
        what = _ACTIONS[self.trader.settings.limit_action]
        self.log.log_once(f"limit:{limit}", f"loss limit reached: {what}", limit=limit)

    def _breached(self, limit: str | None, whose: str = "") -> None:
        """A loss limit is reached, if one is (rule 25): entries are cancelled, positions go by `limit_action`."""
        trader, action = self.trader, self.trader.settings.limit_action
        if limit is None or trader.ends is not None:
            return
        self.warn_of_limit(whose + limit)
        trader.cancel_all(entries_only=action != "flatten")
        if action == "flatten":
            trader.close_all(ExitReason(limit))
        elif action == "reduce":
            trader.halve_all(ExitReason(limit))
        if limit == "max_drawdown":
            if action == "flatten":
                trader.stopped = limit
            else:
                trader.blocked = limit
        self._drain()

    def _run_timers(self, time: int, *, before: bool) -> None:
        """Timers due before this step's close see nothing of it; those due at it run after the bars."""
        while self._timers and self.stop_reason is None:
            timer = min(self._timers, key=lambda one: one.due)
            if timer.due > time or (before and timer.due == time):
                return
            self.clock.advance(max(timer.due, self.clock.now()))
            timer.due = self._due_again(timer, time)
            self._call("on_timer", timer.handler, ())
            self._drain()

    def _due_again(self, timer: Timer, time: int) -> int:
        """When a timer that runs now, at `time` or before, is due again."""
        del time
        return timer.due + timer.interval

    def tell(self, news: Iterable[News]) -> None:
        """Tell the handlers `news` one by one, as it is made."""
        for one in news:
            self._tell(one)
        if self.broker.news:
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

    def _hears_news(self) -> bool:
        """Does anybody want to know what becomes of orders?"""
        heard = any(event in self.handlers for event in ("order", "transaction", "position", "account"))
        return heard or self.log.is_enabled("TRADE")

    def _drain(self) -> None:
        """Tell the handlers what the broker has to say about what they have just asked for."""
        while self.broker.news:
            self._tell(self.broker.news.popleft())

    def _tell(self, news: News) -> None:
        order, result = news
        heard = self.handlers.by_event
        self._told += 1
        if self._told > _NEWS_PER_STEP:
            self._told = 0
            self.broker.news.clear()
            raise StrategyError(
                f"over {_NEWS_PER_STEP} order events at {iso(self.clock.now())}: a handler answers each with "
                "another order; let it look at why the last one was refused"
            )
        is_fill = isinstance(result, Fill)
        if is_fill:
            self._log_fill(order, result)
        if "order" in heard:
            self.dispatch_quietly("order", order)
        if "transaction" in heard and result is not None:
            self.dispatch_quietly("transaction", order, result)
        if is_fill:
            if "position" in heard:
                self.dispatch_quietly("position", self.broker.position(order.symbol, order.position_side))
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
            return self._await(result) if result is not None and inspect.iscoroutine(result) else result
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises is the expert's, not ours
            self._failed(event, handler, error)
        return None

    def _await(self, coroutine: Any) -> Any:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(coroutine)

    def _failed(self, event: str, handler: Handler, error: BaseException) -> None:
        """Report what a handler raised; an error that tells a secret is not passed on as the cause."""
        what = _describe(error, handler)
        told = self.log.redact(what)
        failure = StrategyError(f"{event} failed at {iso(self.clock.now())}: {told}")
        if told == what:
            failure.__cause__ = error
        if event == "on_error" or "error" not in self.handlers or event == "on_init":
            self.failure = self.failure or failure  # raised at the end, to be told by whoever runs this
            self.stop("error")
        else:
            self.log.error(str(failure))
            self.dispatch_quietly("error", failure)


def _describe(error: BaseException, handler: Handler) -> str:
    """The error and the line of the expert's own file that raised it."""
    text = str(error) if isinstance(error, MetaExpertError) else f"{type(error).__name__}: {error}"
    text = " ".join(text.split())
    code = getattr(handler, "__code__", None)
    if code is None:
        return text
    file = code.co_filename
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{text} ({Path(file).name}:{lines[-1] if lines else code.co_firstlineno})"


def iso(time_ms: int) -> str:
    """A time, ms UTC, as people read it."""
    import pandas as pd

    return pd.Timestamp(time_ms, unit="ms", tz="UTC").strftime("%Y-%m-%d %H:%M UTC")
