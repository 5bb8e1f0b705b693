"""Paper trading: an expert on a live market with simulated money. Wires source, feed, broker, journal and loop."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from .broker.paper import PaperBroker
from .broker.setup import costs_of, protection_of
from .clock import FastClock, SimClock, WallClock
from .errors import ConfigError
from .exchanges import MetaExchange
from .journal import Journal
from .keeper import JournalKeeper, since_of
from .live import seen_of
from .process import iso
from .wiring import (
    Closing,
    ended_of,
    feed_of,
    history_of,
    journal_of,
    ledger_of,
    manifest_of,
    named,
    refuse_halted,
    without_ended,
)
from .wiring import process_of as process_over

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .clock import LiveClock
    from .events import Source
    from .live import Keeper, LiveProcess
    from .livefeed import LiveFeed
    from .logger import MetaLogger
    from .wiring import LiveJob, Markets

__all__ = ["process_of", "trade"]


async def trade(job: LiveJob) -> str:
    """Run an expert on a live market with simulated money until something stops it; returns the reason.

    Raises:
        ConfigError: a setting can't be had, or the expert runs already.
        ExchangeError: the market can't be reached.
        StrategyError: the expert's own code failed.
        JournalError: the journal can't be read or written.
    """
    _refuse(job)
    async with AsyncExitStack() as stack:
        journal = stack.enter_context(Journal.open(journal_of(job), secrets=job.exchange.secrets))
        state = None if job.run.fresh else journal.last_state()
        refuse_halted(job, state)
        clock = job.clock or _clock(job.run.speed, 0 if state is None else state["time"])
        log = stack.enter_context(Closing(job.log(clock.now)))
        for note in job.notes:
            log.warning(note)
        markets, source = await _connect(job, clock, stack)
        if state is None:
            _refuse_ended(markets, clock.now())
        else:
            state, notes = without_ended(state, ended_of(journal.last_manifest(), clock.now()), markets)
            for note in notes:
                log.warning(note)
        feed = feed_of(job, markets, source, clock)
        stack.push_async_callback(feed.close)
        if state is None:
            await feed.open(history_of(job.strategy))
        else:
            await feed.open(history_of(job.strategy), since_of(state), seen=seen_of(state))
        process = process_of(job, markets, feed, JournalKeeper(journal, feed), log, state)
        if state is not None:
            log.info("going on where the last run stopped", equity=process.broker.ledger.equity())
        run = journal.begin(process.clock.now(), manifest_of(job, markets), state)
        if job.exchange.exchange == "demo":
            log.warning("the demo exchange's prices are synthetic: they say nothing about a market")
        log.info("paper trading", run=run, exchange=job.exchange.exchange, symbols=list(markets.by_symbol))
        stack.callback(job.bind, None)
        job.bind(process)
        reason, is_whole = "error", True
        try:
            reason = await process.stream()
        except KeyboardInterrupt:
            is_whole = False  # what is half done is not written
            raise
        finally:
            if is_whole:
                journal.end(process.clock.now(), process.stop_reason or reason)
        return reason


def process_of(
    job: LiveJob, markets: Markets, feed: LiveFeed, keeper: Keeper, log: MetaLogger,
    state: Mapping[str, Any] | None,
) -> LiveProcess:  # fmt: skip
    """The loop of a run, its account as it is at the start: as `state` told of the last run, None: a new one."""
    clock = SimClock(feed.now())
    broker = PaperBroker(
        ledger_of(job, markets, feed, job.run.initial_capital), clock, costs_of(job.strategy),
        protection_of(job.strategy), fills=job.run.paper_fills, strategy_id=job.strategy.strategy_id,
    )  # fmt: skip
    process = process_over(job, markets, feed, keeper, log, clock, broker)
    if state is not None:
        process.restore(state)
        process.begin_limits(state)
        clock.advance(max(state["time"], clock.now()))
    return process


def _refuse(job: LiveJob) -> None:
    if job.exchange.exchange == "local":
        raise ConfigError("exchange='local' holds files and has no live market: use 'demo' or a real exchange")
    if job.run.speed != 1.0 and job.exchange.exchange != "demo":
        raise ConfigError(f"speed={job.run.speed:g}: only the demo exchange can go faster than the world")
    if job.strategy.max_fill_volume_pct is not None and job.run.paper_fills != "trades":
        raise ConfigError("max_fill_volume_pct: quotes and books say how much they fill: set paper_fills='trades'")


def _refuse_ended(markets: Markets, now: int) -> None:
    for market in markets.by_symbol.values():
        if market.has_ended(now) and market.expiry is not None:
            raise ConfigError(
                f"{market.symbol} has ended ({iso(market.expiry)}) and has no live prices: name a contract that "
                "still trades"
            )


def _clock(speed: float, last: int) -> LiveClock:
    """The world's time; where a demo exchange has run ahead of it, from the `last` moment on that it came to."""
    wall = WallClock()
    return wall if speed == 1.0 and last <= wall.now() else FastClock(speed, max(last, wall.now()))


async def _connect(job: LiveJob, clock: LiveClock, stack: AsyncExitStack) -> tuple[Markets, Source]:
    """The markets of a run and their source, closed with the stack."""
    if job.exchange.exchange == "demo":
        from .exchanges.demo_stream import DemoStreams

        demo = MetaExchange(job.exchange)
        found = [demo.market(text) for text in job.strategy.symbols]
        source: Source = DemoStreams(job.exchange, clock)
    else:
        from .exchanges.gateway import Gateway
        from .exchanges.streams import MarketStreams

        gateway = await stack.enter_async_context((job.gateway or Gateway)(job.exchange))
        found = [await gateway.market(text) for text in job.strategy.symbols]
        source = MarketStreams(gateway, clock)
    stack.push_async_callback(source.close)
    return named(job, found), source
