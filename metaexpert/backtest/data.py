"""What a backtest knows of each market beside its candles: funding rates, mark prices, the underlying's price."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..bars import times
from ..broker.data import FundingRate, FundingRates, MarketData, Reference
from ..errors import ConfigError, DataError
from ..exchanges import MetaExchange
from ..models import MarketType
from ..series import Kind
from ..timeframe import TRADES, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    import pandas as pd

    from ..config import StrategySettings
    from ..models import Market

__all__ = ["market_data", "reference", "unmarked"]

_FINE_FIRST = ("1m", "5m", "15m", "30m", "1h")


def market_data(
    source: MetaExchange, market: Market, tested: pd.DataFrame, timeframe: str, strategy: StrategySettings,
    notes: list[str],
) -> MarketData:  # fmt: skip
    """Read what there is for the `tested` candles of `market`; what is missing, or made up, is said in `notes`.

    Mark prices and those of an option's underlying are read as fine as the bars are walked.
    """
    start, end = int(times(tested)[0]), int(times(tested)[-1]) + parse(timeframe)
    fine = strategy.detail_timeframe
    if market.is_option:
        return _option_data(source, market, fine or timeframe, start, end, notes)
    if market.type is not MarketType.FUTURES:
        return MarketData()
    marks = None if fine in (None, TRADES) else _marks(source, market, fine, start, end)
    if marks is None:
        marks = _marks(source, market, timeframe, start, end, notes)
        if marks is not None and fine is not None:
            notes.append(
                f"{market.symbol}: mark prices are known by {timeframe} alone: where a bar is walked by its "
                f"{fine}, its own prices decide on liquidation"
            )
    if marks is not None:
        notes += unmarked(market.symbol, marks, times(tested), parse(timeframe))
    if market.expiry is None:
        return MarketData(funding=_funding(source, market, start, end, strategy.funding_rate, notes), marks=marks)
    return MarketData(marks=marks, settlement=_settlement(source, market, market.expiry))


def _settlement(source: MetaExchange, market: Market, expiry: int) -> float | None:
    """What a dated future is settled at: its index where that is known, else its mark price.

    Source: Binance, "Delivery & Settlement of Quarterly Futures", FAQ a3401595e1734084959c61491bc0dbe3, where
    it is the mean of the index before the delivery.
    """
    kinds = source.kinds(market.symbol)
    for kind, read in ((Kind.INDEX, source.index_bars), (Kind.MARK, source.mark_bars)):
        price = _closing(partial(read, market.symbol), expiry) if kind in kinds else None
        if price is not None:
            return price
    return None


def reference(candles: pd.DataFrame, timeframe: str) -> Reference:
    """Candles as the broker reads them."""
    columns = [candles[name].to_numpy().tolist() for name in ("open", "high", "low", "close")]
    return Reference(parse(timeframe), times(candles).tolist(), columns)


def unmarked(symbol: str, marks: Reference, time: npt.NDArray[np.int64], bar_ms: int) -> list[str]:
    """A note of the bars, by their open times, within which no mark price is known; none where all have one."""
    at = np.asarray(marks.columns[0], dtype=np.int64)
    known = np.searchsorted(at, time) < np.searchsorted(at, time + bar_ms - marks.length, side="right")
    missing = int((~known).sum())
    if not missing:
        return []
    return [
        f"{symbol}: {missing} of {len(time)} bars have no mark price: their own prices decide on liquidation, and "
        "their opens value funding"
    ]


def _marks(
    source: MetaExchange, market: Market, timeframe: str, start: int, end: int, notes: list[str] | None = None
) -> Reference | None:
    """The mark prices of a span by `timeframe`; None where there are none, and `notes` say why."""
    if Kind.MARK not in source.kinds(market.symbol):
        return None
    try:
        return reference(source.mark_bars(market.symbol, timeframe, start, end), timeframe)
    except DataError as error:  # none of this timeframe, or none of this span
        if notes is not None:
            notes.append(f"{market.symbol}: its own prices decide on liquidation, and value funding: {error}")
        return None


def _option_data(
    source: MetaExchange, market: Market, timeframe: str, start: int, end: int, notes: list[str]
) -> MarketData:
    """The price of an option's underlying; its index first, then spot, then the index of the perpetual."""
    length = parse(timeframe)
    for name, read in _underlying(source, market):
        try:
            candles = read(timeframe, start - length, end)
        except (ConfigError, DataError):  # none of that kind here, or none of this span
            continue
        notes.append(f"{market.symbol}: the price of its underlying is that of {name}")
        expiry = market.expiry
        return MarketData(
            underlying=reference(candles, timeframe),
            settlement=_closing(read, expiry) if expiry is not None and expiry <= end + length else None,
        )
    notes.append(
        f"{market.symbol}: no price of its underlying is known: selling to open is refused, and fees are of the "
        f"premium; import candles of {market.base}/{market.quote}"
    )
    return MarketData()


type _Read = Callable[[str, int, int], pd.DataFrame]


def _underlying(source: MetaExchange, market: Market) -> Iterator[tuple[str, _Read]]:
    """Where the underlying's price may be, as (name, what reads candles of a timeframe, start and end)."""
    pair = f"{market.base}/{market.quote}"
    yield f"its index on {source.exchange}", partial(source.index_bars, market.symbol)
    yield f"{pair} on spot", partial(MetaExchange(source.exchange).bars, pair)
    kind = "inverse" if market.settle == market.base else "linear"
    futures = MetaExchange(source.exchange, market_type="futures", contract_type=kind)
    yield f"the index of {pair}:{market.settle}", partial(futures.index_bars, f"{pair}:{market.settle}")


def _closing(read: _Read, time: int) -> float | None:
    """The close of the finest candle that ends at `time`; None when there is none."""
    for timeframe in _FINE_FIRST:
        try:
            candles = read(timeframe, time - parse(timeframe), time)
        except (ConfigError, DataError):
            continue
        return float(candles["close"].iloc[-1])
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
