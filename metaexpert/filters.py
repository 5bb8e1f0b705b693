"""Entry filters by the settings of a strategy (rule 24): the plain ones, and those that look at the candles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .risk import EntryFilters, Refusal

if TYPE_CHECKING:
    from .config import StrategySettings
    from .feed import Series

__all__ = ["entry_filters", "filter_refusal", "looks_at_candles"]

_ATR_LENGTH = 14
_CALM, _WILD = 0.5, 2.0


def entry_filters(settings: StrategySettings) -> EntryFilters:
    """The filters that look at the moment, the volume and what is on already."""
    return EntryFilters(
        trade_hours=settings.trade_hours,
        allowed_days=settings.allowed_days,
        min_volume=settings.min_volume,
        max_spread_pct=settings.max_spread_pct,
        max_open_positions=settings.max_open_positions,
        max_positions_per_symbol=settings.max_positions_per_symbol,
    )


def looks_at_candles(settings: StrategySettings) -> bool:
    """Is a trend or volatility filter set?"""
    return settings.trend_filter is not False or settings.volatility_filter is not False


def filter_refusal(series: Series, settings: StrategySettings, side: int) -> Refusal | None:
    """Why the trend or volatility filter (built-in or the user's own) keeps an entry on `side` from being made."""
    for name in ("trend_filter", "volatility_filter"):
        rule = getattr(settings, name)
        if rule is False:
            continue
        if callable(rule):
            passed = bool(rule(series.rates(settings.lookback_bars)))
        elif name == "trend_filter":
            passed = _trend_passes(series, settings.lookback_bars, side)
        else:
            passed = _volatility_passes(series, settings.lookback_bars)
        if not passed:
            return Refusal(name, f"the {name.replace('_', ' ')} says no")
    return None


def _trend_passes(series: Series, length: int, side: int) -> bool:
    """Built-in trend filter: longs above the simple average of the last `length` closes, shorts below it."""
    last = series.last()
    average = series.indicator("sma", length=length)
    if last is None or not average.ready:
        return False
    return last.close > average[-1] if side > 0 else last.close < average[-1]


def _volatility_passes(series: Series, length: int) -> bool:
    """Built-in volatility filter: ATR(14) is between half and twice its median over the last `length` bars."""
    atr = series.indicator("atr", length=_ATR_LENGTH)
    if series.known < length or not atr.ready:
        return False
    recent = sorted(value for value in atr[-length:].tolist() if not math.isnan(value))
    middle = len(recent) // 2
    median = recent[middle] if len(recent) % 2 else (recent[middle - 1] + recent[middle]) / 2.0
    return _CALM * median <= atr[-1] <= _WILD * median
