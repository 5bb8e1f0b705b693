"""What a backtest knows of each market beside its candles: funding rates and mark prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..bars import times
from ..broker.data import FundingRate, FundingRates, MarketData, Reference
from ..errors import DataError
from ..models import MarketType
from ..series import Kind
from ..timeframe import parse

if TYPE_CHECKING:
    import pandas as pd

    from ..config import StrategySettings
    from ..exchanges import MetaExchange
    from ..models import Market

__all__ = ["market_data"]


def market_data(
    source: MetaExchange, market: Market, tested: pd.DataFrame, timeframe: str, strategy: StrategySettings,
    notes: list[str],
) -> MarketData:  # fmt: skip
    """Read what there is for the `tested` candles of `market`; what is missing, or made up, is said in `notes`."""
    if market.type is not MarketType.FUTURES:
        return MarketData()
    start, end = int(times(tested)[0]), int(times(tested)[-1]) + parse(timeframe)
    marks = _marks(source, market, timeframe, start, end)
    if market.expiry is not None:
        return MarketData(marks=marks)
    return MarketData(funding=_funding(source, market, start, end, strategy.funding_rate, notes), marks=marks)


def reference(candles: pd.DataFrame, timeframe: str) -> Reference:
    """Candles as the broker reads them."""
    columns = [candles[name].to_numpy().tolist() for name in ("open", "high", "low", "close")]
    return Reference(parse(timeframe), times(candles).tolist(), columns)


def _marks(source: MetaExchange, market: Market, timeframe: str, start: int, end: int) -> Reference | None:
    if Kind.MARK not in source.kinds(market.symbol):
        return None
    try:
        return reference(source.mark_bars(market.symbol, timeframe, start, end), timeframe)
    except DataError:  # none of this timeframe, or none of this span
        return None


def _funding(
    source: MetaExchange, market: Market, start: int, end: int, constant: float | None, notes: list[str]
) -> FundingRates:
    """The history where there is one, the constant of the settings where there is none."""
    symbol, rate = market.symbol, constant or 0.0
    known: list[FundingRate] = []
    if Kind.FUNDING in source.kinds(symbol):
        try:
            rows = source.funding_rates(symbol, start, end)
            known = [
                FundingRate(time, value, None)
                for time, value in zip(times(rows).tolist(), rows["rate"].tolist(), strict=True)
            ]
        except DataError:  # none of this span
            known = []
    first, last = (known[0].time, known[-1].time) if known else (end, start)
    made_up = [one for one in FundingRates.constant(rate, start, end) if not first <= one.time <= last]
    if made_up:
        notes.append(_missing(symbol, constant, len(known), len(made_up)))
    return FundingRates(sorted(known + made_up) if constant else known)


def _missing(symbol: str, constant: float | None, known: int, missing: int) -> str:
    share = f"of {missing} of {known + missing} instants" if known else "that is due"
    if constant is None:
        return (
            f"{symbol}: the funding {share} is not known and left out: import the history "
            "(metaexpert data import FILE --kind funding), or set funding_rate"
        )
    return f"{symbol}: the funding {share} is not known and taken to be {constant:g}, as funding_rate says"
