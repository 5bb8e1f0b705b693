"""What runs on a live market have in common, on paper or with real orders: job, markets, feed, loop, record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .backtest.manifest import plain
from .broker.ended import settled
from .broker.ledger import Ledger
from .broker.setup import check_leverage, costs_of
from .errors import ConfigError
from .events import StreamKind
from .exchanges.orders import Terms
from .exchanges.symbols import parse_symbol
from .journal import path_of
from .launch import Launch
from .live import LiveProcess
from .livefeed import LiveFeed
from .livefeed import Terms as Waits
from .models import MarginMode, Market, MarketType, PositionMode, TradeMode
from .process import iso
from .risk import LossLimits
from .signals import LivePlan
from .timeframe import parse
from .trader import Trader, same_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from .broker import LiveMarket
    from .clock import LiveClock, SimClock
    from .config import ExchangeSettings, StrategySettings
    from .events import Source
    from .exchanges.gateway import Gateway
    from .live import Keeper
    from .logger import MetaLogger

__all__ = [
    "Closing", "LiveJob", "Markets", "ended_of", "feed_of", "history_of", "journal_of", "ledger_of", "manifest_of",
    "market_of", "named", "process_of", "refuse_halted", "terms_of", "wanted_of", "without_ended",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJob(Launch):
    """Everything one run on a live market needs, on paper or with real orders.

    `gateway` makes the exchange's gateway (None: by the settings), `clock` is the run's time (None: the system's),
    `terms` say how long the feed waits. `is_shown`: somebody has seen the plan of it and agreed.
    """

    gateway: Callable[[ExchangeSettings], Gateway] | None = None
    clock: LiveClock | None = None
    terms: Waits | None = None
    is_shown: bool = False


class Markets(NamedTuple):
    """The markets of a run by unified symbol, and what a person may call each."""

    by_symbol: dict[str, Market]
    typed: dict[str, str]


def journal_of(job: LiveJob) -> Path:
    """Where the run's journal lies: one file an expert and account."""
    exchange = job.exchange
    words = [exchange.exchange, str(exchange.contract_type or exchange.market_type), str(job.run.trade_mode)]
    if exchange.subaccount is not None and job.run.trade_mode is TradeMode.LIVE:
        words.append(exchange.subaccount)
    if exchange.testnet:
        words.append("testnet")
    return path_of(job.name, job.strategy.strategy_id, *words)


def refuse_halted(job: LiveJob, state: Mapping[str, Any] | None) -> None:
    """Refuse a run that a loss limit has ended, unless it still has something to close.

    Raises:
        ConfigError: somebody has to allow it first.
    """
    if state is None or any(one["qty"] for one in state["broker"]["ledger"]["holdings"]):
        return
    why = state["trader"]["stopped"] or state["trader"]["blocked"]
    if why is not None:
        file = "PATH" if job.file is None else job.file
        anew = (
            "" if job.run.trade_mode is TradeMode.LIVE else ", or begin with a new account: fresh=True (--fresh)"
        )
        raise ConfigError(
            f"{job.name} was ended by {why}: find out why, then allow it to trade again with "
            f"metaexpert resume {file}{anew}"
        )


def ended_of(manifest: Mapping[str, Any] | None, time: int) -> dict[str, Market]:
    """The markets of the last run, by symbol, whose contracts have ended by `time` (ms UTC)."""
    told = () if manifest is None else manifest["markets"]
    markets = (Market.from_dict(one) for one in told)
    return {market.symbol: market for market in markets if market.has_ended(time)}


async def market_of(job: LiveJob, gateway: Gateway, text: str, ended: Mapping[str, Market]) -> Market:
    """The market that `text` names.

    Raises:
        ConfigError: there is none, or it is one of `ended` and not listed any more.
    """
    exchange = job.exchange
    try:
        found = await gateway.market(text)
        if found.symbol not in ended:
            return found
        await gateway.markets(refresh=True)  # the list that is kept may be older than its end
        return await gateway.market(text)
    except ConfigError as error:
        gone = ended.get(parse_symbol(text, exchange.market_type, exchange.contract_type).symbol)
        if gone is None or gone.expiry is None:
            raise
        raise ConfigError(
            f"{gone.symbol} has ended ({iso(gone.expiry)}) and is not listed any more: name the contract that "
            "comes next; what the last run held of this one is settled then"
        ) from error


def without_ended(
    state: Mapping[str, Any], ended: Mapping[str, Market], markets: Markets
) -> tuple[dict[str, Any], list[str]]:
    """The state of the last run without the contracts that have ended and are traded no more, and what to say."""
    gone = {symbol: market for symbol, market in ended.items() if symbol not in markets.by_symbol}
    broker, notes = settled(state["broker"], gone)
    return {**state, "broker": broker}, notes


def terms_of(exchange: ExchangeSettings, strategy: StrategySettings) -> Terms:
    """What positions are to be held on, as the exchange is told it."""
    return Terms(strategy.leverage, exchange.margin_mode, exchange.position_mode)


def feed_of(job: LiveJob, markets: Markets, source: Source, clock: LiveClock) -> LiveFeed:
    """The feed of a run, with what its handlers and fills need of the market."""
    terms = job.terms or Waits().at(job.run.speed)
    return LiveFeed(
        source, clock, wanted_of(job, markets), _kinds(job), lookback=job.strategy.lookback_bars, terms=terms
    )


def ledger_of(job: LiveJob, markets: Markets, feed: LiveFeed, capital: float) -> Ledger:
    """An account that nothing has happened on, with the last known prices."""
    ledger = Ledger(
        capital, markets.by_symbol, job.strategy.leverage, job.exchange.margin_mode or MarginMode.ISOLATED,
        hedge=job.exchange.position_mode is PositionMode.HEDGE,
    )  # fmt: skip
    for symbol in markets.by_symbol:
        last = feed.matching(symbol).last()
        for held in ledger.legs(symbol):
            held.mark = 0.0 if last is None else last.close
    return ledger


def process_of(
    job: LiveJob, markets: Markets, feed: LiveFeed, keeper: Keeper, log: MetaLogger, clock: SimClock,
    broker: LiveMarket,
) -> LiveProcess:  # fmt: skip
    """The loop of a run over `broker`, at the start of `clock`."""
    strategy, run, start = job.strategy, job.run, clock.now()
    limits = LossLimits(
        strategy.daily_loss_limit, strategy.max_drawdown_pct, equity=broker.strategy_equity, time=start
    )
    trader = Trader(
        settings=strategy, feed=feed, broker=broker, clock=clock, costs=costs_of(strategy), limits=limits,
        resolve=lambda text: same_name(text, markets.typed), log=log, refusals=Counter(),
    )  # fmt: skip
    trader.quotes = broker.quotes
    if run.account_daily_loss_limit is not None or run.account_max_drawdown_pct is not None:
        trader.account_limits = LossLimits(
            run.account_daily_loss_limit, run.account_max_drawdown_pct, equity=broker.account_equity, time=start
        )
    function = job.signals
    plans = [] if function is None else [
        LivePlan(function, feed.series[symbol, strategy.timeframe]) for symbol in markets.by_symbol
    ]  # fmt: skip
    return LiveProcess(
        handlers=job.handlers, feed=feed, broker=broker, trader=trader, clock=clock, log=log, keeper=keeper,
        signals=plans, latency=run.latency_ms, flattens=run.on_stop == "flatten" or run.flatten,
    )  # fmt: skip


def manifest_of(job: LiveJob, markets: Markets) -> dict[str, Any]:
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


class Closing:
    """A logger that is closed, its queue emptied, when the run is over."""

    def __init__(self, log: MetaLogger) -> None:
        self._log = log

    def __enter__(self) -> MetaLogger:
        return self._log

    def __exit__(self, *_: object) -> None:
        self._log.close()


def wanted_of(job: LiveJob, markets: Markets) -> dict[str, list[str]]:
    """The timeframes that a run hears of, by symbol."""
    wanted = {job.strategy.timeframe} | {name for name, _ in job.handlers.bars if name is not None}
    return dict.fromkeys(markets.by_symbol, sorted(wanted, key=parse))


def _kinds(job: LiveJob) -> Collection[StreamKind]:
    """What is watched: by the handlers that there are, the fills, and what liquidation goes by."""
    kinds, is_live = {StreamKind.CANDLES, StreamKind.TRADES}, job.run.trade_mode is TradeMode.LIVE
    fills = "quotes" if is_live else job.run.paper_fills
    hears_quotes = "tick" in job.handlers and fills != "trades"
    if fills == "quotes" or hears_quotes or job.strategy.max_spread_pct is not None:
        kinds.add(StreamKind.QUOTES)
    if fills == "book" or "book" in job.handlers:
        kinds.add(StreamKind.BOOK)
    if job.exchange.market_type is not MarketType.SPOT:
        kinds.add(StreamKind.MARKS)
    return kinds


def history_of(strategy: StrategySettings) -> int:
    """How many bars are known when a run begins."""
    return max(strategy.lookback_bars, strategy.warmup_bars)


def named(job: LiveJob, found: Sequence[Market]) -> Markets:
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
