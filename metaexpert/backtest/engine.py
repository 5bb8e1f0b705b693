"""The backtest: wires feed, broker and loop for history, runs them, and hands over the bare record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import indicators
from ..bars import coarser, inspect, times, to_ms
from ..broker.ledger import Ledger
from ..broker.setup import check_leverage, costs_of, protection_of
from ..broker.simulated import SimulatedBroker
from ..clock import SimClock
from ..errors import ConfigError, DataError, StrategyError
from ..exchanges import MetaExchange
from ..exchanges.demo import SEED
from ..feed import HistoryFeed, Series
from ..history import HistoryProcess, RecordedHistory
from ..launch import Launch
from ..models import MarginMode, PositionMode, TradeMode
from ..risk import LossLimits
from ..signals import SignalPlan
from ..timeframe import parse
from ..trader import Trader, same_name
from .data import market_data
from .finer import check_ticks, details_of
from .manifest import data_digest
from .paths import hindrance, single_of, tell_of_limits
from .record import LazyRecord, Record, refuse_overflow
from .single import fields_of, played
from .waiting import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from ..broker.data import MarketData
    from ..config import StrategySettings
    from ..detail import Detail
    from ..logger import MetaLogger
    from ..models import Market
    from ..recorded import Recorder

__all__ = ["KERNEL_FROM", "Job", "run"]

KERNEL_FROM = 50_000
"""Bars from which a run is worth the kernel: loading it takes as long as the event engine takes for some 60,000.

The number of bars alone decides, not whether the kernel is loaded already: equal runs give equal manifests.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Launch):
    """Everything one backtest needs.

    `engine` is the one that is asked for, ``"event"`` or ``"kernel"``; None takes the kernel for long runs of
    which it can model everything. `recorder` is told every handler call and all news, as the journal of a live
    run is.
    """

    progress: Callable[[float], None] | None = None
    engine: str | None = None
    recorder: Recorder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _History:
    """The candles of a run: by symbol the market, the tested frame and its series, shortest timeframe first.

    `asked` is the open time of the first candle of the span by symbol, before warm-up moved it.
    """

    markets: dict[str, Market]
    tested: dict[str, pd.DataFrame]
    asked: dict[str, int]
    series: list[Series]
    timeframe: str
    start: int
    end: int
    typed: dict[str, str]
    data: dict[str, MarketData]
    details: dict[str, Detail]
    notes: list[str]


def run(job: Job) -> Record:
    """Run one backtest.

    Raises:
        ConfigError: a setting can't be modelled or contradicts the market.
        DataError: there are no candles for what is asked.
        StrategyError: the expert's own code failed.
    """
    _refuse_unmodelled(job)
    history = _load(job)
    clock = SimClock(history.start)
    log = job.log(clock.now)
    try:
        return _play(job, history, clock, log)
    finally:
        job.bind(None)
        log.close()


def _refuse_unmodelled(job: Job) -> None:
    if job.run.trade_mode is not TradeMode.BACKTEST:
        raise ConfigError(f"trade_mode={job.run.trade_mode.value!r} is not available yet: use 'backtest'")
    if "tick" in job.handlers:
        check_ticks(job.exchange, job.strategy)


def _play(job: Job, history: _History, clock: SimClock, log: MetaLogger) -> Record:
    strategy, capital = job.strategy, job.run.initial_capital
    ledger = Ledger(
        capital, history.markets, strategy.leverage, job.exchange.margin_mode or MarginMode.ISOLATED,
        hedge=job.exchange.position_mode is PositionMode.HEDGE,
    )  # fmt: skip
    feed = HistoryFeed(history.series, history.start, make=partial(_longer, job, history))
    for symbol in history.markets:
        last = feed.matching(symbol).last()
        for held in ledger.legs(symbol):
            held.mark = 0.0 if last is None else last.close
            underlying = history.data[symbol].underlying
            held.underlying = None if underlying is None else underlying.closing(history.start)
    costs = costs_of(strategy)
    broker = SimulatedBroker(
        ledger, clock, costs, protection_of(strategy), data=history.data, strategy_id=strategy.strategy_id
    )
    refusals: Counter[str] = Counter()
    trader = Trader(
        settings=strategy,
        feed=feed,
        broker=broker,
        clock=clock,
        costs=costs,
        limits=LossLimits(
            strategy.daily_loss_limit, strategy.max_drawdown_pct, equity=capital, time=history.start
        ),
        resolve=lambda text: same_name(text, history.typed),
        log=log,
        refusals=refusals,
    )
    plans = _plans(job.signals, feed, history, strategy.timeframe)
    process = (HistoryProcess if job.recorder is None else RecordedHistory)(
        handlers=job.handlers, feed=feed, broker=broker, trader=trader, clock=clock, log=log, signals=plans,
        details=history.details, tick_model=strategy.ticks,
    )  # fmt: skip
    if isinstance(process, RecordedHistory):
        process.recorder = job.recorder
    job.bind(process)
    try:
        if _takes_kernel(job, history, process):
            return _kernel_record(job, history, process)
        process.dispatch("backtest_init")
        process.raise_failure()
        reason = process.run(job.progress, close_at_end=job.run.close_at_end, ends=history.end)
        if not process.steps:
            raise StrategyError(f"the expert stopped before its first bar ({reason}): there is no result")
        criterion = _criterion(process.dispatch("backtest"))
        process.dispatch("backtest_deinit")
        process.raise_failure()
    finally:
        process.close()
    return _record(job, history, process, reason, criterion)


def _takes_kernel(job: Job, history: _History, process: HistoryProcess) -> bool:
    """Can the kernel play the run? Where that is not so from the start, `on_init` has not run yet.

    Raises:
        ConfigError: it can't, and nothing else is asked for.
        StrategyError: `on_init` failed.
    """
    bars = sum(map(len, history.tested.values()))
    if (
        job.engine == "event"
        or job.recorder is not None
        or (job.engine is None and (not process.signals or bars < KERNEL_FROM))
    ):
        return False
    why = hindrance(process, history.end)
    if why is None:
        process.begin()
        process.raise_failure()
        why = hindrance(process, history.end)
    if why is None:
        return True
    if job.engine == "kernel":
        raise ConfigError(f"the kernel can't play this: {why}; expert.backtest() takes the event path")
    history.notes.append(f"played by the event engine, not by the kernel: {why}")
    return False


def _criterion(value: object) -> float | None:
    """What `on_backtest` returned, as a number; None when it returned nothing."""
    if value is None:
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise StrategyError(f"on_backtest must return a number or nothing, got {value!r}") from None


def _plans(
    function: Callable[[Any], Any] | None, feed: HistoryFeed, history: _History, timeframe: str
) -> list[SignalPlan]:
    if function is None:
        return []
    return [SignalPlan(function, feed.series[symbol, timeframe]) for symbol in history.markets]


# --- candles --------------------------------------------------------------------------------------------------


def _load(job: Job) -> _History:
    """Read the candles of every symbol, with the history before the span that indicators need."""
    indicators.register()
    source = MetaExchange(job.exchange, progress=show)
    wanted = {job.strategy.timeframe} | {timeframe for timeframe, _ in job.handlers.bars if timeframe is not None}
    timeframes = sorted(wanted, key=parse)
    markets, typed = _markets(job, source)
    notes = list(job.notes)
    tested: dict[str, pd.DataFrame] = {}
    asked: dict[str, int] = {}
    series: list[Series] = []
    for symbol in markets:
        frame = source.bars(symbol, timeframes[0], job.run.backtest_start, job.run.backtest_end)
        notes.extend(_shorter_than_asked(job, symbol, frame, timeframes[0]))
        asked[symbol] = int(times(frame)[0])
        before = _before(source, symbol, timeframes, asked[symbol], job.strategy)
        loaded = _series(symbol, frame, before, timeframes, job.strategy, notes)
        first = next(one for one in loaded if one.timeframe == timeframes[0])
        tested[symbol] = first.candles.iloc[first.first :]
        if tested[symbol].empty:
            raise DataError(
                f"{symbol}: warmup_bars={job.strategy.warmup_bars} takes all {len(frame)} bars of the span: "
                "choose a longer span or fewer warm-up bars"
            )
        series.extend(loaded)
    if job.strategy.max_fill_volume_pct is not None:
        notes.extend(_without_volume(tested))
    start = int(min(times(frame)[0] for frame in tested.values()))
    details = details_of(source, markets, tested, timeframes[0], job.strategy.detail_timeframe, notes)
    data = {
        symbol: market_data(source, market, tested[symbol], timeframes[0], job.strategy, notes)
        for symbol, market in markets.items()
    }
    last = max(int(times(frame)[-1]) for frame in tested.values()) + 2 * parse(timeframes[0]) - 1
    asked_end = job.run.backtest_end
    return _History(
        markets=markets,
        tested=tested,
        asked=asked,
        series=series,
        timeframe=timeframes[0],
        start=start,
        end=last if asked_end is None else to_ms(asked_end, end=True),
        typed=typed,
        data=data,
        details=details,
        notes=notes,
    )


def _without_volume(tested: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Say which bars can fill nothing where fills are held to the volume (rule 10)."""
    for symbol, frame in tested.items():
        empty = int((frame["volume"] == 0.0).sum())
        if empty:
            yield f"{symbol}: {empty} of {len(frame)} bars have no volume and fill nothing (max_fill_volume_pct)"


def _markets(job: Job, source: MetaExchange) -> tuple[dict[str, Market], dict[str, str]]:
    """The markets by unified symbol, and what a person may call each."""
    markets: dict[str, Market] = {}
    typed: dict[str, str] = {}
    for text in job.strategy.symbols:
        market = source.market(text)
        if market.symbol in markets:
            raise ConfigError(f"symbol {text!r} is given twice: it is {market.symbol}, as another one")
        check_leverage(job.strategy, market)
        markets[market.symbol] = market
        typed |= dict.fromkeys((text, text.upper(), market.symbol, f"{market.base}{market.quote}"), market.symbol)
    return markets, typed


def _shorter_than_asked(job: Job, symbol: str, frame: pd.DataFrame, timeframe: str) -> list[str]:
    """Say it when the candles begin later or end earlier than the run was told."""
    notes: list[str] = []
    first, last = int(times(frame)[0]), int(times(frame)[-1]) + parse(timeframe)
    start, end, slack = job.run.backtest_start, job.run.backtest_end, parse(timeframe)
    if start is not None and first - to_ms(start) >= slack:
        notes.append(f"{symbol}: the candles begin at {frame.index[0]:%Y-%m-%d %H:%M}, later than asked ({start})")
    if end is not None and to_ms(end, end=True) - last >= slack:
        notes.append(f"{symbol}: the candles end at {frame.index[-1]:%Y-%m-%d %H:%M}, earlier than asked ({end})")
    return notes


def _before(
    source: MetaExchange, symbol: str, timeframes: Sequence[str], first: int, strategy: StrategySettings
) -> pd.DataFrame | None:
    """The candles before the span: enough of each timeframe for lookback and warm-up, or what there is."""
    bars = max(strategy.lookback_bars, strategy.warmup_bars)
    try:
        return source.bars(symbol, timeframes[0], int(first) - bars * parse(timeframes[-1]), int(first))
    except DataError:
        return None


def _series(
    symbol: str, frame: pd.DataFrame, before: pd.DataFrame | None, timeframes: Sequence[str],
    strategy: StrategySettings, notes: list[str],
) -> list[Series]:  # fmt: skip
    """One series a timeframe; the tested span begins where `warmup_bars` of the strategy's own are known."""
    import pandas as pd

    whole = frame if before is None else pd.concat([before, frame])
    start = int(times(frame)[0])
    frames = {name: coarser(whole, name, source=timeframes[0]) for name in timeframes}
    own, length = times(frames[strategy.timeframe]), parse(strategy.timeframe)
    if own.size == 0:
        raise DataError(
            f"{symbol}: {len(whole)} {timeframes[0]} bars make no whole {strategy.timeframe} bar: "
            "choose a longer span"
        )
    known = int((own + length <= start).sum())
    if known < strategy.warmup_bars:
        start = int(own[min(strategy.warmup_bars, own.size) - 1]) + length
        notes.append(f"{symbol}: the first {strategy.warmup_bars - known} bars of the span are warm-up")
    return [
        Series(symbol, name, one, first=int((times(one) + parse(name) <= start).sum()))
        for name, one in frames.items()
    ]


def _longer(job: Job, history: _History, symbol: str, timeframe: str) -> Series:
    """A series in a longer timeframe that is asked for in `on_init`, with as much history as a declared one."""
    import pandas as pd

    shortest = next(one for one in history.series if (one.symbol, one.timeframe) == (symbol, history.timeframe))
    frame = shortest.candles[times(shortest.candles) >= history.asked[symbol]]
    before = _before(
        MetaExchange(job.exchange), symbol, (history.timeframe, timeframe), history.asked[symbol], job.strategy
    )
    whole = frame if before is None else pd.concat([before, frame])
    start = shortest.times[shortest.first]
    candles = coarser(whole, timeframe, source=history.timeframe)
    made = Series(symbol, timeframe, candles, first=int((times(candles) + parse(timeframe) <= start).sum()))
    history.series.append(made)
    return made


# --- the record -----------------------------------------------------------------------------------------------


def _record(job: Job, history: _History, process: HistoryProcess, reason: str, criterion: float | None) -> Record:
    broker, curves = process.simulated, process.marks.curves(process.feed, process.steps)
    refuse_overflow(curves.equity, process.feed.times(process.steps).astype("datetime64[ms]"))
    if "book" in job.handlers:
        history.notes.append("@expert.on_book was not called: candles hold no order books")
    examined = _examined(job, history)
    return LazyRecord(
        {
            "orders": lambda: list(broker.orders.values()),
            "fills": lambda: list(broker.fills),
            "trades": broker.ledger.all_trades,
            "data": examined["data"],
        },
        **_particulars(job, history, process),
        quality=examined["quality"](),
        time=process.feed.times(process.steps),
        equity=curves.equity,
        balance=curves.balance,
        exposure=curves.exposure,
        refusals=dict(sorted(process.trader.refusals.items())),
        notes=(*history.notes, *broker.expiry.notes),
        stop_reason=reason,
        criterion=criterion,
    )


def _kernel_record(job: Job, history: _History, process: HistoryProcess) -> Record:
    """Play the kernel; what nobody looks at is not made."""
    particulars = _particulars(job, history, process)
    ((symbol, frame),) = history.tested.items()
    book = played(single_of(process, frame, history.data[symbol], close_at_end=job.run.close_at_end))
    ready, makers = fields_of(book)
    tell_of_limits(process, book)
    if job.progress is not None:
        job.progress(1.0)
    return LazyRecord(
        makers | _examined(job, history), **particulars, **ready, notes=tuple(history.notes), path="kernel"
    )


def _particulars(job: Job, history: _History, process: HistoryProcess) -> dict[str, Any]:
    """What was played, whatever came of it."""
    return {
        "name": job.name,
        "exchange": job.exchange.exchange,
        "timeframe": history.timeframe,
        "currency": process.broker.ledger.currency,
        "initial_capital": job.run.initial_capital,
        "markets": history.markets,
        "settings": {**job.exchange.as_dict(), **job.strategy.as_dict(), **job.run.as_dict()},
        "inputs": dict(job.inputs),
        "bars": history.tested,
        "warmup_bars": job.strategy.warmup_bars,
        "code": job.code,
        "seed": SEED if any(market.synthetic for market in history.markets.values()) else None,
    }


def _examined(job: Job, history: _History) -> dict[str, Callable[[], Any]]:
    """How the fields are made that every candle is looked at for."""
    source = MetaExchange(job.exchange, progress=show)
    return {
        "quality": lambda: {
            symbol: inspect(
                frame,
                history.timeframe,
                synthetic=history.markets[symbol].synthetic,
                source=source.source(symbol, history.timeframe),
            )
            for symbol, frame in history.tested.items()
        },
        "data": lambda: data_digest(
            ((one.symbol, one.timeframe, one.candles) for one in history.series),
            (
                symbol.encode() + known.fingerprint()
                for part in (history.data, history.details)
                for symbol, known in part.items()
            ),
        ),
    }
