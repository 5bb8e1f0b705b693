"""Live trading: an expert with real orders. Wires gateway, feed, broker, courier, journal and loop."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from .broker.homes import homes_of
from .broker.live import LiveBroker
from .broker.names import Names
from .broker.setup import costs_of, protection_of
from .clock import SimClock, WallClock
from .courier import Courier
from .errors import ClockError, ConfigError, DataError, ExchangeError, JournalError, MetaExpertError
from .exchanges.caller import is_offline
from .exchanges.gateway import Gateway
from .exchanges.orders import why_no_legs
from .exchanges.private import AccountStreams
from .exchanges.streams import MarketStreams
from .halfway import halfway
from .handlers import Handlers
from .journal import Journal
from .keeper import JournalKeeper, since_of
from .live import seen_of
from .models import PositionMode
from .plan import survey
from .pumps import PASSING, Backoff
from .recovery import recover
from .reports import Away
from .siblings import Siblings, account_mark
from .trader import first_stop_pct
from .wiring import (
    Closing,
    ended_of,
    feed_of,
    history_of,
    journal_of,
    ledger_of,
    manifest_of,
    market_of,
    named,
    process_of,
    refuse_halted,
    terms_of,
    without_ended,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .clock import LiveClock
    from .events import Notice
    from .journal import Run as Kept
    from .live import Keeper, LiveProcess
    from .livefeed import LiveFeed
    from .logger import MetaLogger
    from .models import Market, Order
    from .plan import Plan
    from .recovery import Recovery
    from .wiring import LiveJob, Markets

__all__ = ["rebuilt", "trade"]

_FIRST_MS, _LONGEST_MS = 1_000, 30_000  # between two attempts to begin again
_FLUSH_S = 10.0  # how long what on_deinit has asked for may take to be sent
_OFFERS_MS = 10_000  # how long a run waits for prices before it decides anything


async def trade(job: LiveJob) -> str:
    """Run an expert with real orders until something stops it; returns the reason.

    Raises:
        ConfigError: a setting can't be had, the expert runs already, or a loss limit has ended it.
        ExchangeError: the exchange can't be reached, which a run that goes on waits for, or refuses the keys.
        StrategyError: the expert's own code failed.
        JournalError: the journal can't be read or written.
    """
    async with AsyncExitStack() as stack:
        journal = stack.enter_context(Journal.open(journal_of(job), secrets=job.exchange.secrets, durable=True))
        state = journal.last_state()
        refuse_halted(job, state)
        clock = job.clock or WallClock()
        log = stack.enter_context(Closing(job.log(clock.now)))
        for note in job.notes:
            log.warning(note)
        gateway = await stack.enter_async_context((job.gateway or Gateway)(job.exchange))
        asked = partial(_asked, clock, log, waits=state is not None)
        ended = ended_of(journal.last_manifest(), clock.now())
        markets = await asked(partial(_markets, job, gateway, log, ended))
        _tell(job, await asked(partial(survey, job, gateway, tuple(markets.by_symbol.values()))), log)
        if not job.run.flatten:
            for symbol in markets.by_symbol:
                await asked(partial(gateway.set_up, symbol, terms_of(job.exchange, job.strategy)))
        source = MarketStreams(gateway, clock)
        stack.push_async_callback(source.close)
        feed = feed_of(job, markets, source, clock)
        stack.push_async_callback(feed.close)
        return await _Live(job, journal, clock, log, gateway, markets, feed, ended).run(stack)


async def _asked[T](clock: LiveClock, log: MetaLogger, doing: Callable[[], Awaitable[T]], *, waits: bool) -> T:
    """Do something at the exchange; a run that goes on `waits` while that is away, for there may be positions."""
    backoff = Backoff(lambda: 0.0, _FIRST_MS, _LONGEST_MS)
    while True:
        try:
            return await doing()
        except (*PASSING, ClockError) as error:
            if not waits or is_offline():
                raise
            pause = backoff.pause(error)
            log.warning("the run can't begin yet: it is tried again", why=str(error), seconds=pause / 1000)
            await clock.sleep_until(clock.now() + pause)


def _tell(job: LiveJob, plan: Plan, log: MetaLogger) -> None:
    """Log what the run is about to do, before it does anything.

    Raises:
        ConfigError: the key may not trade.
    """
    if plan.rights is not None and "trade" not in plan.rights:
        where = job.exchange.exchange
        raise ConfigError(
            f"the key may not trade on {where}: give it that right on its site; see metaexpert doctor {where}"
        )
    for line in () if job.is_shown else plan.rows():
        log.info(line)
    for text in plan.warnings:
        if text not in job.notes:  # those are told already
            log.warning(text)


async def _markets(job: LiveJob, gateway: Gateway, log: MetaLogger, ended: Mapping[str, Market]) -> Markets:
    """The markets of a run with their margin tiers; `ended` are contracts that are perhaps not listed any more.

    Raises:
        ConfigError: one has ended, or it has no legs and the run is to be in hedge mode.
    """
    found = [await market_of(job, gateway, text, ended) for text in job.strategy.symbols]
    for market in found:
        why = why_no_legs(market) if job.exchange.position_mode is PositionMode.HEDGE else None
        if why is not None:
            raise ConfigError(f"{market.symbol}: position_mode='hedge' can't be had: {why}; write 'oneway'")
    return named(job, [await _tiered(market, gateway, log) for market in found])


async def _tiered(market: Market, gateway: Gateway, log: MetaLogger) -> Market:
    try:
        return replace(market, tiers=await gateway.tiers(market.symbol)) if market.contract_type else market
    except DataError as error:
        log.warning("its margin tiers are not known: the market's own rate counts", why=str(error))
        return market


def _broker_of(
    job: LiveJob, markets: Markets, feed: LiveFeed, clock: SimClock, run: str, capital: float,
    intend: Callable[[Order], None],
) -> LiveBroker:  # fmt: skip
    """The broker of the run `run`, on whose account nothing has happened yet."""
    strategy = job.strategy
    protection = protection_of(strategy)
    return LiveBroker(
        ledger_of(job, markets, feed, capital), clock, costs_of(strategy), protection,
        names=Names(job.name, strategy.strategy_id, run), homes=homes_of(markets.by_symbol.values()),
        strategy_id=strategy.strategy_id, on_stop_failure=job.run.on_stop_failure,
        max_slippage_pct=job.run.max_slippage_pct, max_entries_per_minute=job.run.max_entries_per_minute,
        intend=intend,
    )  # fmt: skip


def rebuilt(
    job: LiveJob, markets: Markets, feed: LiveFeed, keeper: Keeper, log: MetaLogger, run: Kept
) -> LiveProcess:
    """The loop of a run that is played again: nobody carries its commands, and it hears what it heard then.

    Raises:
        JournalError: it ended before its first event.
    """
    if run.first is None:
        raise JournalError(f"run {run.id} can't be replayed: it ended before the market told it anything")
    job = _without_strategy(job) if job.run.flatten else job
    clock = SimClock(feed.now())
    broker = _broker_of(job, markets, feed, clock, run.id, 0.0, lambda _: None)
    broker.on_command = broker.outbox.clear
    process = process_of(job, markets, feed, keeper, log, clock, broker)
    process.restore(run.first)
    clock.advance(max(run.first["time"], clock.now()))
    return process


def _without_strategy(job: LiveJob) -> LiveJob:
    """The same job, in which nobody decides anything."""
    return replace(job, handlers=Handlers(), signals=None)


class _Live:
    """One run, once its markets are known."""

    def __init__(
        self, job: LiveJob, journal: Journal, clock: LiveClock, log: MetaLogger, gateway: Gateway,
        markets: Markets, feed: LiveFeed, ended: Mapping[str, Market],
    ) -> None:  # fmt: skip
        self.job = _without_strategy(job) if job.run.flatten else job
        self.journal, self.clock, self.log = journal, clock, log
        self.gateway, self.markets, self.feed = gateway, markets, feed
        self.halfway = halfway(journal.intents())
        state = journal.last_state()
        self.state, notes = None, list[str]()
        if state is not None:
            self.state, notes = without_ended(self.halfway.past(state), ended, markets)
        gone = ended.keys() - markets.by_symbol.keys()
        self.intents = tuple(one for one in self.halfway.orders if one.symbol not in gone)
        for note in notes:
            log.warning(note)

    async def run(self, stack: AsyncExitStack) -> str:
        """From the journal's state to the end; what has to be closed afterwards goes on the stack."""
        job, journal, feed = self.job, self.journal, self.feed
        if self.state is None:
            await feed.open(history_of(job.strategy))
        else:
            await feed.open(history_of(job.strategy), since_of(self.state), seen=seen_of(self.state))
        currency = next(iter(self.markets.by_symbol.values())).settle
        account = partial(self.gateway.account, currency)
        capital = (await _asked(self.clock, self.log, account, waits=self.state is not None)).balance
        manifest = {**manifest_of(job, self.markets), "account": account_mark(job.exchange)}
        number = journal.begin(feed.now(), manifest, self.state)
        reason, is_whole = "error", True
        process: LiveProcess | None = None
        try:
            clock, keeper = SimClock(feed.now()), JournalKeeper(journal, feed)
            broker = _broker_of(job, self.markets, feed, clock, number, capital, keeper.intent)
            process = process_of(job, self.markets, feed, keeper, self.log, clock, broker)
            if self.state is not None:
                process.restore(self.state, self.intents)
            courier = await self._courier(process, broker, manifest, stack)
            await self._recover(process, broker, courier)
            self.log.info("live trading", run=number, exchange=job.exchange.exchange, testnet=job.exchange.testnet)
            reason = await self._stream(process, broker, courier)
        except KeyboardInterrupt:
            is_whole = False  # what is half done is not written
            raise
        except asyncio.CancelledError:
            reason = "signal"
            raise
        finally:
            if is_whole:
                stopped = None if process is None else process.stop_reason
                journal.end(feed.now(), stopped or reason)
        return reason

    async def _courier(
        self, process: LiveProcess, broker: LiveBroker, manifest: dict[str, Any], stack: AsyncExitStack
    ) -> Courier:
        """What carries the broker's commands, listening to the account already."""
        streams = AccountStreams(self.gateway)
        stack.push_async_callback(streams.close)
        courier = Courier(
            self.gateway, streams, tuple(self.markets.by_symbol), self.clock, tell=self.feed.tell,
            outbox=broker.outbox, terms=terms_of(self.job.exchange, self.job.strategy),
            price_of=lambda symbol: broker.ledger.holdings[symbol].mark or None,
            others=Siblings(self.journal.path, broker.names.run, manifest), fail=self._fail,
            dead_man_s=self.job.run.dead_man_s, is_mine=broker.names.is_mine,
        )  # fmt: skip
        stack.push_async_exit(partial(_closed, courier, process))
        broker.on_command = courier.wake
        courier.open()
        return courier

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, MetaExpertError):
            told = MetaExpertError(f"a fault of the library ({type(error).__name__}: {error}): please report it")
            told.__cause__ = error
            error = told
        self.feed.fail(error)

    async def _recover(self, process: LiveProcess, broker: LiveBroker, courier: Courier) -> None:
        """Bring the books to what the exchange says, and let the run begin from there."""
        run = self.job.run
        moving = _Moving(self.clock, self.feed, process.clock)
        found = await recover(broker, courier, moving, log=self._note, adopt=run.adopt, protect=not run.flatten)
        self._report(found)
        for line in self.halfway.lines():
            self.log.warning(line)
        process.begin_limits(self.state)
        away = (*found.away.news, *((one.order, one.result) for one in broker.book.flush()))
        heard, news = self.halfway.told(away)
        self.journal.begin_from(process.state())
        if away:
            self.feed.tell(Away(found.time, news, heard))
        lacking = [] if run.flatten else await self.feed.await_offers(moving.now() + _OFFERS_MS)
        if lacking:
            self.log.warning("no quote has come in 10 seconds: nothing is entered at market until one does",
                             symbols=", ".join(lacking))  # fmt: skip

    def _note(self, notice: Notice) -> None:
        told = self.log.warning if notice.warns or notice.error is not None else self.log.info
        told(notice.text, symbol=notice.symbol)

    def _report(self, found: Recovery) -> None:
        for line in found.lines():
            if line not in found.notices:  # those are logged as they come
                self.log.info(line)
        for one in found.positions if first_stop_pct(self.job.strategy) is not None else ():
            if one.stop_loss is None:
                self.log.warning(
                    "a position has no stop though the settings give one: it keeps what it was opened with; "
                    "modify_position gives it another",
                    symbol=one.symbol, qty=one.qty,
                )  # fmt: skip

    async def _stream(self, process: LiveProcess, broker: LiveBroker, courier: Courier) -> str:
        self.job.bind(process)
        try:
            if self.job.run.flatten:
                process.stop("flattened")
            try:
                reason = await process.stream()
            except Exception:  # with nobody there to protect what they open, entries must not rest on
                process.trader.cancel_all(entries_only=True)
                await _flushed(courier)
                raise
            finally:
                self._warn_of_bare_positions(broker)
            await _flushed(courier)
        finally:
            self.job.bind(None)
        if self.job.run.flatten and not process.broker.ledger.is_flat():
            held = ", ".join(one.market.symbol for one in process.broker.ledger.legs() if one.qty != 0.0)
            raise ExchangeError(f"not everything could be closed, {held} is left: look why, and try it again")
        return reason

    def _warn_of_bare_positions(self, broker: LiveBroker) -> None:
        """Say which levels nobody keeps now: those that this run has watched, and those it could not place."""
        bare = [one for one in broker.shield.report() if one.status not in ("stands", "moving")]
        for symbol, leg, qty in dict.fromkeys(one[:3] for one in bare):
            watched = any(one[:2] == (symbol, leg) and one.status == "watched" for one in bare)
            where = ", which act only while the expert runs" if watched else " on the exchange"
            self.log.warning(f"a position is left without its stop or target{where}", symbol=symbol, qty=qty)


async def _flushed(courier: Courier) -> None:
    """Have what was asked for sent, as far as that is done in a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_FLUSH_S):
            await courier.idle()


async def _closed(courier: Courier, process: LiveProcess, kind: type[BaseException] | None, *_: object) -> None:
    """Close it; whoever cancels a run that was stopped already does not wait for answers."""
    is_cut = kind is not None and issubclass(kind, asyncio.CancelledError)
    await courier.close(at_once=is_cut and process.stop_reason is not None)


class _Moving:
    """The run's time before its first event: it goes with the market's whenever somebody looks."""

    def __init__(self, clock: LiveClock, feed: LiveFeed, own: Any) -> None:
        self._clock, self._feed, self._own = clock, feed, own

    def now(self) -> int:
        """Milliseconds UTC."""
        self._own.advance(max(self._feed.now(), self._own.now()))
        return self._own.now()

    def advance(self, time_ms: int) -> None:
        """Move the run's time."""
        self._own.advance(time_ms)

    async def sleep_until(self, time_ms: int) -> None:
        """Wait until the market's clock is there."""
        await self._clock.sleep_until(time_ms - self._feed.skew)
