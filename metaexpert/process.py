"""MetaProcess: the loop. Time moves; resting orders trade; handlers hear of it; then the strategy looks."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from bisect import bisect_left, bisect_right
from itertools import islice
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .broker.simulated import SHRUNK
from .errors import MetaExpertError, StrategyError
from .feed import bar_of
from .inside import Inside, Loop
from .marks import Journal, Tally
from .models import Bar, ExitReason, Fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .broker import News
    from .broker.holding import Holding
    from .broker.simulated import SimulatedBroker
    from .clock import Clock
    from .detail import Detail
    from .feed import HistoryFeed, Series, Step
    from .handlers import Handler, Handlers
    from .logger import MetaLogger
    from .marks import Marks
    from .models import Order, Tick
    from .signals import SignalPlan
    from .trader import Trader

__all__ = ["MetaProcess"]

_NEWS_PER_STEP = 100_000  # more than any strategy means: a handler that answers each refusal with a new order
_STEPS_BETWEEN = 1000  # two reports of progress


class _Lane:
    """One series as the loop plays it: its bars to come (`rows`), who hears them, and whose marks they move.

    While no bar reaches `low` or `high`, nothing trades in it.
    """

    __slots__ = ("handlers", "high", "index", "legs", "low", "rows", "series")

    def __init__(self, series: Series, index: int, handlers: list[Handler], legs: Sequence[Holding]) -> None:
        self.series = series
        self.index = index
        self.rows = series.play(index)
        self.handlers = handlers
        self.legs = legs
        self.low, self.high = -inf, inf


class _Timer:
    """A handler that runs every `interval` ms of the run's clock."""

    __slots__ = ("due", "handler", "interval")

    def __init__(self, interval: int, handler: Handler, start: int) -> None:
        self.interval = interval
        self.handler = handler
        self.due = start + interval


class MetaProcess:
    """Runs one expert over one feed and one broker.

    `handle` is the only loop body; steps on which the broker has nothing to do (`Quiet`) are let pass by a shorter
    one that comes to the same. Handlers run one at a time, in event order. A handler that fails is reported to
    `on_error`; without one the run stops (``on_deinit("error")``) and raises.

    Args:
        handlers: the expert's handlers.
        feed: brings the steps.
        broker: matches and books.
        trader: the trading calls, told when orders may act.
        clock: moved by the steps.
        log: the expert's logger.
        signals: the vectorised strategy, if there is one.
        details: the finer bars by symbol that bars are walked by.
        tick_model: which ticks `on_tick` is told.
    """

    lets_pass = True
    """False takes every step through `handle`: what tests compare the short way with."""

    def __init__(
        self, *, handlers: Handlers, feed: HistoryFeed, broker: SimulatedBroker, trader: Trader, clock: Clock,
        log: MetaLogger, signals: Iterable[SignalPlan] = (), details: Mapping[str, Detail] | None = None,
        tick_model: str = "ohlc",
    ) -> None:  # fmt: skip
        self.handlers = handlers
        self.feed = feed
        self.broker = broker
        self.trader = trader
        self.clock = clock
        self.log = log
        self.signals = tuple(signals)
        self.steps = 0
        """How many steps are done."""
        self.marks: Marks = (Journal if self.lets_pass else Tally)(broker.ledger)
        self.stop_reason: str | None = None
        self.failure: MetaExpertError | None = None
        self._lanes: dict[Series, _Lane] = {}
        self._timers: list[_Timer] = []
        self._runner: asyncio.Runner | None = None
        self._has_begun = False
        self._told = 0
        self._all = iter(feed)
        self._hears_account = "account" in handlers
        self._watches = self._hears_account or trader.limits.are_set
        self._hears_ticks = "tick" in handlers
        self._inside = self._insides(details or {}, tick_model)
        self._equity = broker.ledger.equity()  # at the last mark, where it is watched

    def _insides(self, details: Mapping[str, Detail], tick_model: str) -> Inside | None:
        """What walks bars from the inside, where there is something to see there."""
        if not details and not self._hears_ticks:
            return None
        loop = Loop(self.tell, self._hear_tick, self._run_due_timers)
        model = tick_model if self._hears_ticks else None
        return Inside(self.broker, self.clock, self.trader, details, model, loop)

    # -- the run ------------------------------------------------------------------------------------------------

    def run(
        self, progress: Callable[[float], None] | None = None, *, close_at_end: bool = False,
        ends: float = -inf,
    ) -> str:  # fmt: skip
        """Play the feed to its end or until something stops it; returns the reason.

        Args:
            progress: called with the share done, 0 to 1, now and then.
            ends: contracts that expire up to this moment (ms UTC) are settled even if their candles end before.
            close_at_end: close what is still open at its last price, before `on_deinit` (rule 26).

        Raises:
            StrategyError: a handler failed and no `on_error` is there to take it.
        """
        reason = "error"
        try:
            self.begin()
            self._open()
            self._play(progress)
            if self.stop_reason is None and self.broker.expiry.next_time <= ends:
                self.tell(self.broker.expiry.end(ends))
                self.marks.mark(self.steps - 1)
            if close_at_end and self.steps:
                self._close_at_mark()
            reason = self.stop_reason or self.trader.stopped or "backtest_end"
        except KeyboardInterrupt:
            reason = "signal"
            raise
        finally:
            self.dispatch("deinit", reason)
        self.raise_failure()
        return reason

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

    def _play(self, progress: Callable[[float], None] | None) -> None:
        total = self.feed.steps
        while self.steps < total and self.stop_reason is None:
            end = total if progress is None else min(total, self.steps + _STEPS_BETWEEN)
            if self.lets_pass:
                self._play_to(end)
            else:
                for step in islice(self._all, end - self.steps):
                    self.handle(step)
                    if self.stop_reason is not None:
                        break
            if progress is not None:
                progress(self.steps / total)

    def _close_at_mark(self) -> None:
        """Close everything, and mark the account again as it stands then."""
        self.tell(self.broker.close_at_mark())
        self.marks.mark(self.steps - 1)

    def _open(self) -> None:
        """Sort the handlers by the series that they hear, and start the timers."""
        own, merged = self.trader.settings.timeframe, self.feed.merged()
        for one, first in zip(merged.series, merged.first, strict=True):
            heard = [handler for wanted, handler in self.handlers.bars if (wanted or own) == one.timeframe]
            legs = self.broker.ledger.legs(one.symbol) if self.feed.is_matching(one) else ()
            self._lanes[one] = _Lane(one, first, heard, legs)
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
        closing = [(self._lanes[series], index, None) for series, index in step.delivered]
        self._step(step.time, step.matched, closing)

    def _step(self, time: int, matched: Sequence[Bar], closing: Iterable[tuple[_Lane, int, Bar | None]]) -> None:
        self._told = 0
        if self._inside is None:
            self._run_timers(time, before=True)
        self._trade(time, matched)
        self._close(time, closing)

    def _trade(self, time: int, matched: Sequence[Bar]) -> None:
        """Orders and levels trade within the bars that close at `time`; then the account is marked."""
        clock, broker, trader = self.clock, self.broker, self.trader
        if self._inside is not None:
            self._inside.walk(matched, has_timers=bool(self._timers))
            trader.active_from = None
            self._run_timers(time, before=True)
            matched = ()
        trader.active_from = time  # what a handler sends within the bar reaches the market after it
        if len(matched) > 1:  # one account: what one symbol earns within its bar comes after every open
            for bar in matched:
                clock.advance(max(bar.time, clock.now()))
                self.tell(broker.on_open(bar))
        for bar in matched:
            clock.advance(max(bar.time, clock.now()))
            self.tell(broker.on_bar(bar))
        clock.advance(time)
        if broker.expiry.next_time <= time:
            self.tell(broker.expiry.end(time))
        trader.active_from = None
        self.marks.mark(self.steps)

    def _close(self, time: int, closing: Iterable[tuple[_Lane, int, Bar | None]]) -> None:
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
        stopped = self.trader.stopped
        if stopped is not None and self.broker.ledger.is_flat():
            self.stop(stopped)

    def _hear(self, lane: _Lane, index: int, bar: Bar | None) -> None:
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
        equity, before = self.broker.ledger.equity(), self._equity
        self._equity = equity
        if self._hears_account and equity != before:
            self.dispatch("account", self.broker.account())
        breach = self.trader.limits.update(time, equity)
        if breach is not None and self.trader.stopped is None:
            self._breach(breach)

    def warn_of_limit(self, limit: str) -> None:
        """Log, once, that a loss limit was reached."""
        self.log.log_once(f"limit:{limit}", "loss limit reached: closing everything", limit=limit)

    def _breach(self, limit: str) -> None:
        self.warn_of_limit(limit)
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

    def _run_due_timers(self, moment: int) -> None:
        self._run_timers(moment, before=False)

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

    # -- steps on which nothing trades ------------------------------------------------------------------------

    def _play_to(self, end: int) -> None:
        """Play the steps up to number `end`; those on which the broker has nothing to do take a shorter way."""
        lanes, merged = tuple(self._lanes.values()), self.feed.merged()
        lane = lanes[0]
        if self.signals or self._hears_ticks or len(lane.handlers) != 1 or len(lane.legs) != 1:
            self._play_many(lanes, end)
            return
        while self.steps < end and self.stop_reason is None:
            turn = bisect_right(merged.turns, self.steps)
            to = min(end, merged.turns[turn]) if turn < len(merged.turns) else end
            for timer in self._timers:
                to = min(to, bisect_left(merged.time, timer.due))
            if turn % 2 == 0 and to > self.steps:
                self._play_one(lane, lane.legs[0], lane.handlers[0], to)
            else:
                self._play_many(lanes, max(to, self.steps + 1))

    def _goes_on(self, time: int) -> bool:
        """Watch equity; False when a loss limit has stopped the strategy."""
        self._watch(time)
        stopped = self.trader.stopped
        if stopped is not None and self.broker.ledger.is_flat():
            self.stop(stopped)
        return stopped is None

    def _quiet(self, lanes: Sequence[_Lane]) -> float:
        """Ask the broker which bars it can let pass; returns until when, ms UTC."""
        self.broker.book.stirred, until = False, -inf if self._hears_ticks else inf
        for lane in lanes:
            if lane.legs:
                lane.low, lane.high, latest = self.broker.quiet(lane.series.symbol)
                until = min(until, latest)
        for timer in self._timers:
            until = min(until, timer.due - 1)
        return until

    def _play_one(self, lane: _Lane, held: Holding, handler: Handler, end: int) -> None:
        """One series alone that one handler hears: the shortest way there is."""
        book, cursor, advance = self.broker.book, lane.series.cursor, self.clock.advance
        watches, quiet, symbol = self._watches, self.broker.quiet, lane.series.symbol
        length, first = lane.series.length_ms, lane.index
        book.stirred = False
        floor, ceiling, until = quiet(symbol)  # no timer comes due before `end`
        done, index = self.steps - first, first - 1
        for index, row in zip(range(first, end - done), lane.rows):  # noqa: B905 - the range ends it
            opened, _, _, _, high, low, close, _ = row
            bar, time, looks = bar_of(row), opened + length, True
            if low > floor and high < ceiling and time <= until:
                advance(time)
                held.mark = close
                moved = watches and held.qty != 0.0
            else:
                self.steps, self._told, moved = done + index, 0, watches
                self._trade(time, (bar,))
                book.stirred = True  # if only because a level has moved
                looks = self.stop_reason is None
            cursor.i = index
            if moved:
                looks = self._goes_on(time) and self.stop_reason is None
            if looks:
                try:
                    result = handler(bar)
                    if result is not None and inspect.iscoroutine(result):
                        self._await(result)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # noqa: BLE001 - as in `_call`
                    self._failed("on_bar", handler, error)
            if self.stop_reason is not None:
                break
            if book.stirred:
                self._drain()
                self._told = 0
                book.stirred = False
                floor, ceiling, until = quiet(symbol)
        lane.index = index + 1
        self.steps = done + lane.index
        self._drain()

    def _play_many(self, lanes: Sequence[_Lane], end: int) -> None:
        """Any number of series and handlers."""
        book, (_, _, times, begin, series, _) = self.broker.book, self.feed.merged()
        until = self._quiet(lanes)
        while self.steps < end and self.stop_reason is None:
            closing: list[tuple[_Lane, int, Bar]] = []
            time, is_quiet = times[self.steps], True
            for which in series[begin[self.steps] : begin[self.steps + 1]]:
                lane = lanes[which]
                bar = bar_of(next(lane.rows))
                closing.append((lane, lane.index, bar))
                lane.index += 1
                if bar.low <= lane.low or bar.high >= lane.high:
                    is_quiet = False
            if is_quiet and time <= until:
                self.clock.advance(time)
                for lane, _, bar in closing:
                    for held in lane.legs:
                        held.mark = bar.close
                self._told = 0
                self._close(time, closing)
                if not book.stirred:
                    continue
            else:
                self._step(time, [bar for lane, _, bar in closing if lane.legs], closing)
            until = self._quiet(lanes)

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
        heard = self.handlers.by_event
        self._told += 1
        if self._told > _NEWS_PER_STEP:
            self._told = 0
            self.broker.news.clear()
            raise StrategyError(
                f"over {_NEWS_PER_STEP} order events at {_iso(self.clock.now())}: a handler answers each with "
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
        failure = StrategyError(f"{event} failed at {_iso(self.clock.now())}: {told}")
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


def _iso(time_ms: int) -> str:
    import pandas as pd

    return pd.Timestamp(time_ms, unit="ms", tz="UTC").strftime("%Y-%m-%d %H:%M UTC")
