"""The path of an expert's run: what keeps the kernel from playing it, and what it is given where nothing does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..config import StrategySettings
from ..models import MarketType
from . import column
from .desk import SignalSettings
from .gates import Gates
from .single import Single
from .terms import candles_of, funding_of, signals_of, uncountable, with_marks

if TYPE_CHECKING:
    import pandas as pd

    from ..broker.data import MarketData
    from ..history import HistoryProcess
    from ..models import Market
    from .logbook import Logbook

__all__ = ["hindrance", "single_of", "tell_of_limits"]

_MODELLED = frozenset(SignalSettings.__annotations__) | {
    *("symbol", "timeframe", "warmup_bars", "funding_rate"),  # they say what is read
    *("max_spread_pct", "max_open_positions", "max_positions_per_symbol"),  # they refuse nothing here; see `Gates`
}
"""The settings that the kernel knows, or that mean nothing to one symbol that signals trade on candles."""


def hindrance(process: HistoryProcess, ends: int) -> str | None:
    """Why the kernel can't play a run; None when it can.

    Args:
        process: the run, wired and not yet begun, or with no more than `on_init` behind it.
        ends: the end of the run, ms UTC: contracts that expire up to it are settled.
    """
    if not process.signals:
        return "the expert has no @expert.signals"
    return _unheard(process) or _unmodelled(process) or _of_market(process, ends) or _begun(process)


def _unheard(process: HistoryProcess) -> str | None:
    """Whoever hears of what happens may act on it."""
    handlers, log = process.handlers, process.log
    heard = [f"on_{event}" for event in handlers.by_event if event in handlers and event != "init"]
    heard += ["on_bar"] if handlers.bars else []
    heard += ["on_timer"] if handlers.timers else []
    if heard:
        return f"@expert.{heard[0]} hears of what happens"
    return "the log tells of each trade as it happens" if log.is_enabled("INFO") else None


def _unmodelled(process: HistoryProcess) -> str | None:
    """Settings that the kernel does not know."""
    settings, defaults = process.trader.settings, StrategySettings.defaults()
    for name, default in defaults.items():
        if name not in _MODELLED and getattr(settings, name) != default:
            return f"{name} is set"
    for name in ("trend_filter", "volatility_filter"):
        if callable(getattr(settings, name)):
            return f"{name} is a function"
    return None


def _of_market(process: HistoryProcess, ends: int) -> str | None:
    """Accounts and markets that are more than one position in one contract that goes on."""
    ledger = process.broker.ledger
    if len(ledger.holdings) > 1:
        return "several symbols share one account"
    if ledger.hedge:
        return "position_mode='hedge'"
    market = _market(process)
    if market.type is MarketType.OPTIONS:
        return f"{market.symbol} is an option"
    if market.expiry is not None and market.expiry <= ends:
        return f"{market.symbol} expires within the run"
    return uncountable(market)


def _begun(process: HistoryProcess) -> str | None:
    """What `on_init` may have set going."""
    if len(process.feed.series) > 1:
        return "there are bars of several timeframes"
    is_under_way = process.simulated.book.sent or process.stop_reason is not None
    return "on_init has sent orders or stopped the run" if is_under_way else None


def _market(process: HistoryProcess) -> Market:
    (held,) = process.broker.ledger.holdings.values()
    return held.market


def single_of(process: HistoryProcess, frame: pd.DataFrame, data: MarketData, *, close_at_end: bool) -> Single:
    """What the kernel plays of a run.

    Args:
        process: the run.
        frame: the candles of the tested span, schema of `metaexpert.bars`.
        data: what is known of the market beside them.
        close_at_end: close what is open at the end.
    """
    (plan,), settings = process.signals, process.trader.settings
    series = plan.series
    columns: dict[str, Any] = {
        name: None if values is None else values[series.first :] for name, values in plan.columns.items()
    }
    gates = Gates(settings, lambda: series)
    candles = candles_of(frame, series.timeframe)
    rates = () if data.funding is None else data.funding.all
    ledger = process.broker.ledger
    return Single(
        market=_market(process),
        settings=settings,
        frame=frame,
        candles=with_marks(candles, data.marks),
        signals=gates.kept(signals_of(columns)),
        funding=funding_of(rates, data.marks, candles),
        capital=ledger.balance,
        cross=ledger.cross,
        close_at_end=close_at_end,
        gate=gates.why,
    )


def tell_of_limits(process: HistoryProcess, book: Logbook) -> None:
    """Log the loss limits that were reached, as the event engine does."""
    state = book.played.state
    opening = column.opening_state(0.0, int(book.times[0]))
    if state[column.S_BLOCKED] == opening[column.S_BLOCKED] and not state[column.S_STOPPED]:
        return
    closes = book.times[: int(state[column.S_BARS])] + book.bar_ms
    for time, equity in zip(closes.tolist(), book.played.curves[0].tolist(), strict=True):
        breach = process.trader.limits.update(time, equity)
        if breach is not None:
            process.clock.advance(time)
            process.warn_of_limit(breach)
