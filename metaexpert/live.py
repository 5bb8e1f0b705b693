"""LiveProcess: the loop over a market that goes on, in one event loop. See `metaexpert.process`.

Time stands still within one event: it is moved to the market's as the event is taken up. So what a run did can be
played again from what it heard.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from greenlet import getcurrent, greenlet

from .broker import News
from .closer import Closer
from .errors import JournalError, MetaExpertError
from .events import Funding, MarkPrice, Notice, PublicTrade, Quote
from .feed import Feed, Step
from .models import ExitReason, OrderBook, OrderStatus, OrderType, Tick
from .process import Lane
from .recorded import Recorded, Recorder
from .reports import Away
from .tape import END, FAILURE, LEAVE, START, STOP, error_row, row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .broker import LiveMarket
    from .clock import SimClock
    from .feed import Series
    from .handlers import Handler, Handlers
    from .livefeed import Event
    from .logger import MetaLogger
    from .models import Order
    from .process import Timer
    from .signals import SignalPlan
    from .trader import Trader

__all__ = ["Keeper", "LiveProcess", "seen_of"]

_BLOCKS_S = 0.5  # a handler that keeps the event loop for longer than this is named
_LATE_MS = 10_000  # older trades are what was missed
_LEAVE_MS = 30_000  # how long the end of a run waits for what is still under way


class LiveFeed(Feed, Protocol):
    """What the loop asks of a feed that goes on."""

    def is_matching(self, one: Any) -> bool:
        """Do orders of its symbol trade in this series?"""
        ...

    def now(self) -> int:
        """The market's time now, ms UTC."""
        ...

    @property
    def offers(self) -> tuple[Quote, ...]:
        """The quotes that are known before the first event."""
        ...

    async def next(self, until: float = inf) -> Event | None:
        """The next event; None when the clock came to `until` (ms UTC) first, or `wake` was called."""
        ...

    def wake(self) -> None:
        """Have whoever waits in `next` get None."""
        ...


class Keeper(Recorder, Protocol):
    """Where a run is recorded, and what it goes on from after a restart."""

    def commit(self, process: LiveProcess, *, changed: bool) -> None:
        """An event is through; `changed`: what a restart needs has changed by it."""
        ...


class LiveProcess(Recorded):
    """Runs one expert over one live feed.

    Args:
        handlers: the expert's handlers.
        feed: gives the events, in order, and the market's time.
        broker: matches and books.
        trader: the trading calls.
        clock: the run's time, moved to the market's with every event.
        log: the expert's logger.
        keeper: records the run.
        signals: the vectorised strategy, if there is one.
        latency: how long an order is on its way, ms.
        flattens: close every position when the run ends, whatever the cause.
    """

    def __init__(
        self, *, handlers: Handlers, feed: LiveFeed, broker: LiveMarket, trader: Trader, clock: SimClock,
        log: MetaLogger, keeper: Keeper, signals: Iterable[SignalPlan] = (), latency: int = 0,
        flattens: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(handlers=handlers, broker=broker, trader=trader, clock=clock, log=log, signals=signals)
        self.feed = feed
        self.market = broker
        self.keeper = self.recorder = keeper
        self.latency = latency
        self._by_trades = broker.fills_by == "trades"  # all is as in a backtest over recorded trades
        self._is_real = broker.fills_by == "exchange"
        self._flattens = flattens
        self.closer = Closer(trader, clock)
        self._lanes: dict[Series, Lane] = {}
        self._best: tuple[float, ...] = ()
        self._changed = False
        self._closes: dict[str, int] = {}
        self._seen: dict[str, PublicTrade] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- the run ------------------------------------------------------------------------------------------------

    async def stream(self) -> str:
        """Play the feed until something stops it; returns the reason.

        Raises:
            StrategyError: a handler failed and no `on_error` is there to take it.
            MetaExpertError: the feed can't go on.
            JournalError: the run can't be recorded, and so not go on.
        """
        self._loop, self.thread = asyncio.get_running_loop(), threading.get_ident()
        reason, is_whole = "error", True
        try:
            await self._run(self._start)
            while self.stop_reason is None:
                await self._step()
            reason = self.stop_reason
            if self._is_real or self._flattens:
                await self._leave()
        except asyncio.CancelledError:
            reason = "signal"
            raise
        except KeyboardInterrupt:
            is_whole = False  # in the midst of an event: a restart goes on from the one before, as after a kill
            raise
        finally:
            if is_whole:
                await self._run(partial(self._end, reason))
        self.raise_failure()
        return reason

    async def _step(self, until: float = inf) -> None:
        """One event, or what is due by `until` without one."""
        try:
            event = await self.feed.next(min(until, self._until()))
        except MetaExpertError as error:
            await self._run(partial(self._feed_failed, error))
            raise
        if event is None:
            await asyncio.sleep(0)  # what is due may wait for an answer, which has to come in meanwhile
        await self._run(partial(self._take, event))

    async def _leave(self) -> None:
        """Put the orders in order before the end, and wait a while until that is done."""
        await self._run(self._put_in_order)
        until = self.clock.now() + _LEAVE_MS
        while not self._is_in_order() and self.clock.now() < until:
            await self._step(until)

    def stop(self, reason: str) -> None:
        """Stop: what is going on comes to its end, nothing new is begun. The first reason counts.

        May be called from any thread.
        """
        is_first = self.stop_reason is None
        super().stop(reason)
        if is_first and self._loop is not None:  # said again it must not keep the loop from waiting
            self._loop.call_soon_threadsafe(self.feed.wake)

    # -- what a restart goes on from ------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What a restart goes on from, between two events, as JSON can hold it.

        `time` is that of the last event (ms UTC); by symbol `closes` has the close of the last bar that was heard,
        or where there was none the start of the run, and `seen` the last trade.
        """
        return {
            "time": self.clock.now(),
            "closes": dict(self._closes),
            "seen": {symbol: list(trade) for symbol, trade in self._seen.items()},
            "equity": self._equity,
            "closing": self.closer.reason,
            "broker": self.market.state(),
            "trader": self.trader.state(),
            "plans": {plan.series.symbol: plan.state() for plan in self.signals},
        }

    def restore(self, state: Mapping[str, Any], intents: Iterable[Order] = ()) -> None:
        """Go on from what `state` told of another run, before this one begins.

        Args:
            state: what another process told.
            intents: orders that were written down after it, and perhaps sent.

        Raises:
            ConfigError: the settings have no place for what is held or works.
            JournalError: another version has written it.
        """
        self.market.restore(state["broker"], intents)
        self.trader.restore(state["trader"])
        for plan in self.signals:
            plan.restore(state["plans"].get(plan.series.symbol, {}))
        self._equity, self._closes = state["equity"], dict(state["closes"])
        closing = state.get("closing") or self.trader.stopped
        self.closer.reason = None if closing is None else ExitReason(closing)
        self._seen = seen_of(state)

    def begin_limits(self, state: Mapping[str, Any] | None) -> None:
        """Let loss limits count from the equity now where `state`, of the last run, says nothing of them."""
        trader, now = self.trader, self.clock.now()
        kept: Mapping[str, Any] = {} if state is None else state["trader"]
        if kept.get("limits") is None:
            trader.limits.begin(self.market.strategy_equity, now)
        if trader.account_limits is not None and kept.get("account_limits") is None:
            trader.account_limits.begin(self.market.account_equity, now)

    # -- the parts of a run ---------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._move()
        self.keeper.event(self.clock.now(), START, [list(one) for one in self.feed.offers] or None)
        for quote in self.feed.offers:
            self.tell(self.market.on_quote(quote))
        self.begin()
        for one in self.feed.series.values():
            legs = self.broker.ledger.legs(one.symbol) if self.feed.is_matching(one) else ()
            self._lanes[one] = Lane(one, self._heard(one), legs)
            if legs:
                self._closes.setdefault(one.symbol, _close_of(one) or self.clock.now())
        self._start_timers()
        self._drain()
        self._changed = True
        self._settle()

    def _end(self, reason: str) -> None:
        self._move()
        try:
            self.keeper.event(self.clock.now(), END, reason)
        finally:  # a disk that is full keeps no expert from its goodbye
            self.dispatch("deinit", reason)
        self._changed = True
        self._settle()
        self._name_loose_ends()

    def _feed_failed(self, error: MetaExpertError) -> None:
        """Nothing more can be heard: whoever wants to know is told, before the run ends."""
        self._move()
        self.keeper.event(self.clock.now(), FAILURE, error_row(error))
        self.log.critical(f"the run can't go on: {error}")
        self.dispatch("error", error)
        self._changed = True
        self._settle()

    # -- before the end -------------------------------------------------------------------------------------------

    def _put_in_order(self) -> None:
        """Entries are cancelled; what protects a position stays, and so does the position unless it is to go."""
        self._move()
        self.keeper.event(self.clock.now(), LEAVE, None)
        self.trader.leaving = self.stop_reason
        for order in list(self.broker.working()):
            if not order.reduce_only or (self._flattens and order.type is not OrderType.MARKET):
                self.broker.cancel(order.id)
        if self._flattens:
            self.closer.want(self.closer.reason or ExitReason.ORDER)
        self.closer.run()
        self._drain()
        self._changed = True
        self._settle()

    def _is_in_order(self) -> bool:
        return self.market.is_settled and not (self._flattens and not self.broker.ledger.is_flat())

    def _name_loose_ends(self) -> None:
        """Say what is left open: the next start sees to it, and whoever reads this may do so before."""
        for order in self.broker.working():
            if order.status is OrderStatus.PENDING:
                self.log.warning("what became of an order is not known yet", order=order.id, symbol=order.symbol)
        if self.closer.reason is not None:
            for held in self.broker.ledger.legs():
                if held.qty != 0.0:
                    self.log.warning("a position is left that had to go", symbol=held.market.symbol, qty=held.qty)

    def _until(self) -> float:
        """When something is due even if the market is silent."""
        running = self._timers if self.stop_reason is None else ()
        timers = min((timer.due for timer in running), default=inf)
        return min(timers, self.closer.due, self.market.next_arrival, self.broker.expiry.next_time)

    def _move(self) -> None:
        """Time moves to the market's; orders that are sent now are on their way for as long as latency lasts."""
        self.clock.advance(max(self.feed.now(), self.clock.now()))
        self.trader.active_from = self.clock.now() + self.latency

    async def _run(self, part: Callable[[], None]) -> None:
        """Run a part of the loop's body; while a handler that is a coroutine waits, the event loop goes on."""
        body = greenlet(part)
        body.gr_context = contextvars.copy_context()
        coroutine = body.switch()
        while not body.dead:
            try:
                answer = await coroutine
            except BaseException as error:  # noqa: BLE001 - it belongs to the handler, who may take it
                coroutine = body.throw(error)
            else:
                coroutine = body.switch(answer)

    def _await(self, coroutine: Any) -> Any:
        parent = getcurrent().parent
        if parent is None:  # outside of `stream`
            return super()._await(coroutine)
        return parent.switch(coroutine)

    # -- one event ----------------------------------------------------------------------------------------------

    def _take(self, event: Event | None) -> None:
        """Everything that one event brings about."""
        self._move()
        now, self._told = self.clock.now(), 0
        if self.stop_reason is not None and self.trader.leaving is None:
            self.keeper.event(now, STOP, self.stop_reason)
        self.keeper.event(now, *row_of(event))
        self._drain()  # of what was asked for between two events
        if self.broker.expiry.next_time <= now:
            self.tell(self.broker.expiry.end(now))
            for note in self.broker.expiry.notes:
                self.log.log_once(f"expiry:{note}", note)
        self.trader.is_late = self._is_real and _is_late(event, now)
        if event is not None:
            self.handle(event)
        self.trader.is_late = False
        for symbol, waiting in self.broker.book.of.items():
            if waiting:
                self.tell(self.market.meet(symbol))
        self._run_timers(now, before=False)
        self.closer.run()
        ends = self.trader.ends
        if ends is not None and self.broker.ledger.is_flat():
            self.stop(ends)
        self._settle()

    def _bars(self, step: Step) -> None:
        """Bars are closed: stretches of them that nobody saw are walked, then the strategy looks."""
        for bar in step.matched:
            self.tell(self.broker.on_bar(bar))
        for series, index in step.delivered:
            if self._lanes[series].legs:
                self._closes[series.symbol] = series.times[index] + series.length_ms
        self._changed = True
        self._close(step.time, [(self._lanes[series], index, None) for series, index in step.delivered])

    def handle(self, event: Event) -> None:
        """Hear one event of the market, or of the account."""
        if isinstance(event, Step):
            self._bars(event)
        elif isinstance(event, PublicTrade):
            self._hear_trade(event)
        elif isinstance(event, Quote):
            self.tell(self.market.on_quote(event))
            if not self._by_trades:
                last = self.broker.ledger.holdings[event.symbol].mark
                self._hear_tick(Tick(event.time, event.symbol, event.bid, event.ask, last, 0.0))
        elif isinstance(event, OrderBook):
            self.tell(self.market.on_book(event))
            self.dispatch("book", event)
        elif isinstance(event, MarkPrice):
            self.tell(self.market.on_mark(event))
            self._watch_price()
        elif isinstance(event, Funding):
            self.market.on_funding(event)
            self._changed = True
        elif isinstance(event, Notice):
            self._notice(event)
        elif isinstance(event, Away):
            for one in event.heard:
                self._record(News(*one))
            self.tell(News(*one) for one in event.news)
        else:
            self._changed = True
            self.tell(self.market.hear(event))
            self._watch_price()

    def _hear_trade(self, trade: PublicTrade) -> None:
        self._seen[trade.symbol] = trade
        if not self._is_real:  # where the exchange fills, orders go at once
            self.trader.active_from = max(self.clock.now() + self.latency, trade.time + 1)
        self.tell(self.market.on_trade(trade))
        quote = None if self._by_trades else self.market.quotes.get(trade.symbol)
        bid, ask = (trade.price, trade.price) if quote is None else (quote.bid, quote.ask)
        self._hear_tick(Tick(trade.time, trade.symbol, bid, ask, trade.price, trade.qty))
        self._watch_price()

    def _watch_price(self) -> None:
        """Look at equity between two closes too, where loss limits are set and quotes decide."""
        if self.trader.is_limited and not self._by_trades:
            self._watch(self.clock.now())

    def _watch(self, time: int) -> None:
        super()._watch(time)
        limits = self.trader.account_limits
        if limits is not None:
            self._breached(limits.update(time, self.market.account_equity), "account_")

    def _breached(self, limit: str | None, whose: str = "") -> None:
        acts = limit is not None and self.trader.ends is None
        super()._breached(limit, whose)
        if acts and self.trader.settings.limit_action == "flatten":
            self.closer.watch(ExitReason(limit))

    def _notice(self, notice: Notice) -> None:
        if notice.error is None:
            told = self.log.warning if notice.warns else self.log.info
            told(notice.text, **_whose(notice))
            return
        if not notice.is_of_account:
            for symbol in [notice.symbol] if notice.symbol else self.broker.ledger.holdings:
                self.market.forget_offers(symbol)
        self.log.warning(notice.text, **_whose(notice), error=str(notice.error))
        self.dispatch("error", notice.error)
        self._drain()

    def _settle(self) -> None:
        """Protect what is held, and record what the event has changed, so that a restart goes on from here."""
        self.market.guard()
        while self.market.notices:
            notice = self.market.notices.popleft()
            self.keeper.log(self.clock.now(), "notice", row_of(notice)[1])
            self._notice(notice)
            self.market.guard()
        self._drain()
        best = (self.trader.limits.peak, *self.market.best_prices())
        changed = self._changed or self._told > 0 or self.broker.book.stirred or best != self._best
        self._best, self._changed, self.broker.book.stirred = best, False, False
        self.keeper.commit(self, changed=changed)
        if changed:
            self.market.let_go()

    def _due_again(self, timer: Timer, time: int) -> int:
        """What was due several times while nothing could run does so once."""
        return timer.due + timer.interval * max(1, -((timer.due - time - 1) // timer.interval))

    # -- handlers -----------------------------------------------------------------------------------------------

    def _call(self, event: str, handler: Handler, args: tuple[Any, ...]) -> Any:
        loop = self._loop
        begun = 0.0 if loop is None else loop.time()
        result = super()._call(event, handler, args)
        if loop is not None and not inspect.iscoroutinefunction(handler) and loop.time() - begun > _BLOCKS_S:
            name = getattr(handler, "__name__", repr(handler))
            self.log.log_once(
                f"blocks:{name}", "a handler keeps everything else waiting: make it shorter, or async",
                handler=name, seconds=round(loop.time() - begun, 3),
            )  # fmt: skip
        return result

    def _failed(self, event: str, handler: Handler, error: BaseException) -> None:
        task = None if self._loop is None else asyncio.current_task(self._loop)
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise error  # else it is of something that the handler has waited for
        if isinstance(error, JournalError):
            raise error  # what can't be recorded is not done, and nobody may overlook it
        super()._failed(event, handler, error)


def _whose(notice: Notice) -> dict[str, str]:
    """Whom it is about, for the log; a notice of the whole run names no symbol."""
    return {"symbol": notice.symbol} if notice.symbol else {}


def _is_late(event: Event | None, now: int) -> bool:
    """Is it what was missed: a bar after which another one has closed, a trade of some time ago?"""
    if isinstance(event, PublicTrade):
        return event.is_backfilled and now - event.time > _LATE_MS
    return isinstance(event, Step) and any(
        series.times[index] + 2 * series.length_ms <= now for series, index in event.delivered
    )


def seen_of(state: Mapping[str, Any]) -> dict[str, PublicTrade]:
    """The last trade of each symbol that a run which left `state` had heard."""
    return {symbol: PublicTrade(*fields) for symbol, fields in state["seen"].items()}


def _close_of(series: Series) -> int | None:
    """When the last bar closed that is known; None where none is."""
    last = series.last()
    return None if last is None else last.time + series.length_ms
