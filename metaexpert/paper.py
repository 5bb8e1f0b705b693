"""Paper trading: an expert on a live market with simulated money. Wires source, feed, broker, journal and loop."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .backtest.manifest import plain
from .broker.ledger import Ledger
from .broker.paper import PaperBroker
from .broker.setup import check_leverage, costs_of, protection_of
from .clock import FastClock, SimClock, WallClock
from .errors import ConfigError
from .events import StreamKind
from .exchanges import MetaExchange
from .journal import Journal, path_of
from .keeper import JournalKeeper, since_of
from .launch import Launch
from .live import LiveProcess, seen_of
from .livefeed import LiveFeed, Terms
from .models import MarginMode, MarketType, PositionMode
from .risk import LossLimits
from .signals import LivePlan
from .timeframe import parse
from .trader import Trader, same_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from .clock import LiveClock
    from .config import ExchangeSettings, StrategySettings
    from .events import Source
    from .exchanges.gateway import Gateway
    from .live import Keeper
    from .logger import MetaLogger
    from .models import Market

__all__ = ["Markets", "PaperJob", "feed_of", "journal_of", "named", "process_of", "trade", "wanted_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperJob(Launch):
    """Everything one paper run needs.

    `gateway` makes the exchange's gateway (None: by the settings), `clock` is the run's time (None: the system's),
    `terms` say how long the feed waits.
    """

    gateway: Callable[[ExchangeSettings], Gateway] | None = None
    clock: LiveClock | None = None
    terms: Terms | None = None


class Markets(NamedTuple):
    """The markets of a run by unified symbol, and what a person may call each."""

    by_symbol: dict[str, Market]
    typed: dict[str, str]


async def trade(job: PaperJob) -> str:
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
        clock = job.clock or _clock(job.run.speed, 0 if state is None else state["time"])
        log = stack.enter_context(_Closing(job.log(clock.now)))
        for note in job.notes:
            log.warning(note)
        markets, source = await _connect(job, clock, stack)
        feed = feed_of(job, markets, source, clock)
        stack.push_async_callback(feed.close)
        if state is None:
            await feed.open(_history(job.strategy))
        else:
            await feed.open(_history(job.strategy), since_of(state), seen=seen_of(state))
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


def journal_of(job: PaperJob) -> Any:
    """Where the run's journal lies: one file an expert and account."""
    exchange = job.exchange
    kind = exchange.contract_type or exchange.market_type
    return path_of(job.name, job.strategy.strategy_id, exchange.exchange, str(kind), str(job.run.trade_mode))


def feed_of(job: PaperJob, markets: Markets, source: Source, clock: LiveClock) -> LiveFeed:
    """The feed of a run, with what its handlers and fills need of the market."""
    terms = job.terms or Terms().at(job.run.speed)
    return LiveFeed(
        source, clock, wanted_of(job, markets), _kinds(job), lookback=job.strategy.lookback_bars, terms=terms
    )


def process_of(
    job: PaperJob, markets: Markets, feed: LiveFeed, keeper: Keeper, log: MetaLogger,
    state: Mapping[str, Any] | None,
) -> LiveProcess:  # fmt: skip
    """The loop of a run, its account as it is at the start: as `state` told of the last run, None: a new one."""
    strategy, capital, start = job.strategy, job.run.initial_capital, feed.now()
    clock = SimClock(start)
    ledger = Ledger(
        capital, markets.by_symbol, strategy.leverage, job.exchange.margin_mode or MarginMode.ISOLATED,
        hedge=job.exchange.position_mode is PositionMode.HEDGE,
    )  # fmt: skip
    for symbol in markets.by_symbol:
        last = feed.matching(symbol).last()
        for held in ledger.legs(symbol):
            held.mark = 0.0 if last is None else last.close
    costs = costs_of(strategy)
    broker = PaperBroker(
        ledger, clock, costs, protection_of(strategy), fills=job.run.paper_fills,
        strategy_id=strategy.strategy_id,
    )  # fmt: skip
    limits = LossLimits(strategy.daily_loss_limit, strategy.max_drawdown_pct, equity=capital, time=start)
    trader = Trader(
        settings=strategy, feed=feed, broker=broker, clock=clock, costs=costs, limits=limits,
        resolve=lambda text: same_name(text, markets.typed), log=log, refusals=Counter(),
    )  # fmt: skip
    trader.quotes = broker.quotes
    function = job.signals
    plans = [] if function is None else [
        LivePlan(function, feed.series[symbol, strategy.timeframe]) for symbol in markets.by_symbol
    ]  # fmt: skip
    process = LiveProcess(
        handlers=job.handlers, feed=feed, broker=broker, trader=trader, clock=clock, log=log, keeper=keeper,
        signals=plans, latency=job.run.latency_ms,
    )  # fmt: skip
    if state is not None:
        process.restore(state)
        clock.advance(max(state["time"], start))
    return process


def manifest_of(job: PaperJob, markets: Markets) -> dict[str, Any]:
    """What identifies a run; secrets are left out by the journal."""
    from .__version__ import __version__

    return {
        "name": job.name,
        "mode": str(job.run.trade_mode),
        "metaexpert": __version__,
        "file": None if job.file is None else str(job.file.resolve()),
        "code": job.code,
        "exchange": plain({name: getattr(job.exchange, name) for name in _PUBLIC}),
        "strategy": job.strategy.as_dict(),
        "run": job.run.as_dict(),
        "inputs": plain(job.inputs),
        "markets": [market.as_dict() for market in markets.by_symbol.values()],
    }


_PUBLIC = ("exchange", "testnet", "market_type", "contract_type", "margin_mode", "position_mode")


class _Closing:
    """A logger that is closed, its queue emptied, when the run is over."""

    def __init__(self, log: MetaLogger) -> None:
        self._log = log

    def __enter__(self) -> MetaLogger:
        return self._log

    def __exit__(self, *_: object) -> None:
        self._log.close()


def _refuse(job: PaperJob) -> None:
    if job.exchange.exchange == "local":
        raise ConfigError("exchange='local' holds files and has no live market: use 'demo' or a real exchange")
    if job.run.speed != 1.0 and job.exchange.exchange != "demo":
        raise ConfigError(f"speed={job.run.speed:g}: only the demo exchange can go faster than the world")
    if job.strategy.max_fill_volume_pct is not None and job.run.paper_fills != "trades":
        raise ConfigError("max_fill_volume_pct: quotes and books say how much they fill: set paper_fills='trades'")


def _clock(speed: float, last: int) -> LiveClock:
    """The world's time; where a demo exchange has run ahead of it, from the `last` moment on that it came to."""
    wall = WallClock()
    return wall if speed == 1.0 and last <= wall.now() else FastClock(speed, max(last, wall.now()))


def wanted_of(job: PaperJob, markets: Markets) -> dict[str, list[str]]:
    """The timeframes that a run hears of, by symbol."""
    wanted = {job.strategy.timeframe} | {name for name, _ in job.handlers.bars if name is not None}
    return dict.fromkeys(markets.by_symbol, sorted(wanted, key=parse))


def _kinds(job: PaperJob) -> Collection[StreamKind]:
    """What is watched: by the handlers that there are, the fills, and what liquidation goes by."""
    kinds, fills = {StreamKind.CANDLES, StreamKind.TRADES}, job.run.paper_fills
    hears_quotes = "tick" in job.handlers and fills != "trades"
    if fills == "quotes" or hears_quotes or job.strategy.max_spread_pct is not None:
        kinds.add(StreamKind.QUOTES)
    if fills == "book" or "book" in job.handlers:
        kinds.add(StreamKind.BOOK)
    if job.exchange.market_type is not MarketType.SPOT:
        kinds.add(StreamKind.MARKS)
    return kinds


def _history(strategy: StrategySettings) -> int:
    return max(strategy.lookback_bars, strategy.warmup_bars)


async def _connect(job: PaperJob, clock: LiveClock, stack: AsyncExitStack) -> tuple[Markets, Source]:
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


def named(job: PaperJob, found: Sequence[Market]) -> Markets:
    """The markets of a run, in the order of its symbols, with what a person may call them.

    Raises:
        ConfigError: two symbols mean the same market, or it does not allow the leverage.
    """
    markets = Markets({}, {})
    for text, market in zip(job.strategy.symbols, found, strict=True):
        if market.symbol in markets.by_symbol:
            raise ConfigError(f"symbol {text!r} is given twice: it is {market.symbol}, as another one")
        check_leverage(job.strategy, market)
        markets.by_symbol[market.symbol] = market
        names = (text, text.upper(), market.symbol, f"{market.base}{market.quote}")
        markets.typed.update(dict.fromkeys(names, market.symbol))
    return markets
