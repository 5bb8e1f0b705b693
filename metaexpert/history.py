"""HistoryProcess: the loop over stored candles. See `metaexpert.process` for what happens at each step."""

from __future__ import annotations

import inspect
from bisect import bisect_left, bisect_right
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any

from .inside import Inside, Loop
from .marks import Notes, Tally
from .models import Bar, maker
from .process import Lane, MetaProcess
from .recorded import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .broker.holding import Holding
    from .broker.simulated import SimulatedBroker
    from .clock import SimClock
    from .detail import Detail
    from .feed import HistoryFeed, Series, Step
    from .handlers import Handler, Handlers
    from .logger import MetaLogger
    from .marks import Marks
    from .signals import SignalPlan
    from .trader import Trader

__all__ = ["HistoryProcess", "RecordedHistory"]

_bar_of = maker(Bar)
_tuple: Any = tuple  # what `maker` calls, without its detour
_STEPS_BETWEEN = 1000  # two reports of progress


class _Lane(Lane):
    """A lane with its bars to come (`rows`). While no bar reaches `low` or `high`, nothing trades in it."""

    __slots__ = ("high", "index", "low", "rows")

    def __init__(self, series: Series, index: int, handlers: list[Handler], legs: Sequence[Holding]) -> None:
        super().__init__(series, handlers, legs)
        self.index = index
        self.rows = series.play(index)
        self.low, self.high = -inf, inf


class HistoryProcess(MetaProcess):
    """Runs one expert over one feed of candles.

    Steps on which the broker has nothing to do (`Quiet`) are let pass by a shorter way than `handle` that comes to
    the same.

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

    def __init__(
        self, *, handlers: Handlers, feed: HistoryFeed, broker: SimulatedBroker, trader: Trader, clock: SimClock,
        log: MetaLogger, signals: Iterable[SignalPlan] = (), details: Mapping[str, Detail] | None = None,
        tick_model: str = "ohlc",
    ) -> None:  # fmt: skip
        super().__init__(handlers=handlers, broker=broker, trader=trader, clock=clock, log=log, signals=signals)
        self.feed = feed
        self.simulated = broker
        self._clock = clock
        self.marks: Marks = (Notes if self.lets_pass else Tally)(broker.ledger)
        self._lanes: dict[Series, _Lane] = {}
        self._all = iter(feed)
        self._inside = self._insides(details or {}, tick_model)

    def _insides(self, details: Mapping[str, Detail], tick_model: str) -> Inside | None:
        """What walks bars from the inside, where there is something to see there."""
        if not details and not self._hears_ticks:
            return None
        loop = Loop(self.tell, self._hear_tick, self._run_due_timers)
        model = tick_model if self._hears_ticks else None
        return Inside(self.simulated, self.clock, self.trader, details, model, loop)

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
            self.broker.book.is_heard = self._hears_news()
            self.begin()
            self._open()
            self._play(progress)
            if self.stop_reason is None and self.broker.expiry.next_time <= ends:
                self.tell(self.broker.expiry.end(ends))
                self.marks.mark(self.steps - 1)
            if close_at_end and self.steps:
                self._close_at_mark()
            reason = self.stop_reason or self.trader.ends or "backtest_end"
        except KeyboardInterrupt:
            reason = "signal"
            raise
        finally:
            self.dispatch("deinit", reason)
        self.raise_failure()
        return reason

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
        self.tell(self.simulated.close_at_mark())
        self.marks.mark(self.steps - 1)

    def _open(self) -> None:
        """Sort the handlers by the series that they hear, and start the timers."""
        merged = self.feed.merged()
        for one, first in zip(merged.series, merged.first, strict=True):
            legs = self.broker.ledger.legs(one.symbol) if self.feed.is_matching(one) else ()
            self._lanes[one] = _Lane(one, first, self._heard(one), legs)
        self._start_timers()
        self._drain()

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
        clock, broker, trader = self._clock, self.simulated, self.trader
        if self._inside is not None:
            self._inside.walk(matched, has_timers=bool(self._timers))
            trader.active_from = None
            self._run_timers(time, before=True)
            matched = ()
        trader.active_from = time  # what a handler sends within the bar reaches the market after it
        if len(matched) > 1:  # one account: what one symbol earns within its bar comes after every open
            for bar in matched:
                clock.advance(max(bar.time, clock.time))
                self.tell(broker.on_open(bar))
        for bar in matched:
            clock.time = max(clock.time, bar.time)
            self.tell(broker.on_bar(bar))
        clock.advance(time)
        if broker.expiry.next_time <= time:
            self.tell(broker.expiry.end(time))
        trader.active_from = None
        self.marks.mark(self.steps)

    def _run_due_timers(self, moment: int) -> None:
        self._run_timers(moment, before=False)

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
        ends = self.trader.ends
        if ends is not None and self.broker.ledger.is_flat():
            self.stop(ends)
        return self.trader.stopped is None and self.stop_reason is None

    def _quiet(self, lanes: Sequence[_Lane]) -> float:
        """Ask the broker which bars it can let pass; returns until when, ms UTC."""
        self.broker.book.stirred, until = False, -inf if self._hears_ticks else inf
        for lane in lanes:
            if lane.legs:
                lane.low, lane.high, latest = self.simulated.quiet(lane.series.symbol)
                until = min(until, latest)
        for timer in self._timers:
            until = min(until, timer.due - 1)
        return until

    def _play_one(self, lane: _Lane, held: Holding, handler: Handler, end: int) -> None:
        """One series alone that one handler hears: the shortest way there is."""
        book, cursor, clock = self.broker.book, lane.series.cursor, self._clock
        watches, quiet, symbol = self._watches, self.simulated.quiet, lane.series.symbol
        length, first = lane.series.length_ms, lane.index
        new = _tuple.__new__
        book.stirred = False
        floor, ceiling, until = quiet(symbol)  # no timer comes due before `end`
        done, index = self.steps - first, first - 1
        for index, row in zip(range(first, end - done), lane.rows):  # noqa: B905 - the range ends it
            opened, _, _, _, high, low, close, _ = row
            bar, time = new(Bar, row), opened + length
            if low > floor and high < ceiling and time <= until:
                clock.time = time
                held.mark = close
                cursor.i = index
                looks = not watches or held.qty == 0.0 or self._goes_on(time)
            else:
                self.steps, self._told = done + index, 0
                self._trade(time, (bar,))
                cursor.i, book.stirred = index, True  # if only because a level has moved
                looks = self._goes_on(time) if watches else self.stop_reason is None
            if looks:
                try:
                    result = handler(bar)
                    if result is not None and inspect.iscoroutine(result):
                        self._await(result)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # noqa: BLE001 - as in `_call`
                    self._failed("on_bar", handler, error)
            if book.stirred:
                if self.stop_reason is not None:
                    break
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
                bar = _bar_of(next(lane.rows))
                closing.append((lane, lane.index, bar))
                lane.index += 1
                if bar.low <= lane.low or bar.high >= lane.high:
                    is_quiet = False
            if is_quiet and time <= until:
                self._clock.time = time
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


class RecordedHistory(Recorded, HistoryProcess):
    """A `HistoryProcess` that records every handler call and all news, step by step."""

    lets_pass = False
