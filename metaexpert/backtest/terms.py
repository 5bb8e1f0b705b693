"""What the bar loop is given: settings, candles, signals and funding as bare numbers, refused where unsound."""

from __future__ import annotations

import math
import reprlib
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from .. import rules
from ..bars import COLUMNS, times
from ..broker.setup import costs_of
from ..errors import ConfigError, DataError
from ..risk import SIZE_TYPES, largest_qty
from ..timeframe import TIMEFRAMES, parse, timeframe_of
from ..trader import first_stop_pct
from . import column, kernel
from .column import Bars, Funding, Signals, Terms
from .kernel import fixed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from ..broker.data import FundingRate, Reference
    from ..config import StrategySettings
    from ..models import Market

    type Floats = NDArray[np.float64]
    type Ints = NDArray[np.int64]

__all__ = [
    "Candles",
    "candles_of",
    "funding_of",
    "numbers_of",
    "signals_of",
    "terms_of",
    "times_of",
    "uncountable",
    "with_marks",
]

_LEAST_STEP = 1e-18
_NUMBERS = "iuf"  # the kinds of dtypes that are real numbers


class Candles(NamedTuple):
    """Candles as the loop takes them, with their timeframe and its length."""

    bars: Bars
    timeframe: str
    bar_ms: int


def uncountable(market: Market) -> str | None:
    """Why the loop can't count in the market's steps; None when it can."""
    for name in ("price_tick", "qty_step"):
        if 0.0 < getattr(market, name) < _LEAST_STEP:
            return f"{name} of {market.symbol} is below {_LEAST_STEP:g}"
    return None


def terms_of(settings: StrategySettings, market: Market, *, cross: bool, bar_ms: int, close_at_end: bool) -> Terms:
    """The numbers that a run is played by.

    Raises:
        ConfigError: the loop can't count in steps as small as the market's.
    """
    costs = costs_of(settings)
    why = uncountable(market)
    if why is not None:
        raise ConfigError(f"{why}, which only the event path can count in: use expert.backtest()")
    return Terms(
        kind=rules.INVERSE if market.is_inverse else rules.LINEAR,
        spot=market.is_spot,
        cross=cross,
        leverage=float(settings.leverage),
        tick=float(market.price_tick),
        step=float(market.qty_step),
        min_qty=float(market.min_qty),
        max_qty=largest_qty(market, at_market=True),  # it sends nothing else
        min_notional=float(market.min_notional),
        max_notional=_or(market.max_notional, math.inf),
        taker=float(costs.taker(market)),
        slippage=float(costs.slippage_rate),
        liquidation_fee=float(costs.liquidation_fee(market)),
        tiers=fixed(np.array(costs.tiers(market), dtype=np.float64)),
        has_tiers=bool(market.tiers),
        size_type=SIZE_TYPES[settings.size_type],
        size_value=float(settings.size_value),
        cap_quote=_or(settings.max_position_size_quote, math.inf),
        stop_loss_pct=_or(settings.stop_loss_pct, rules.UNSET),
        take_profit_pct=_or(settings.take_profit_pct, rules.UNSET),
        trailing_pct=_or(settings.trailing_stop_pct, rules.UNSET),
        activation_pct=_or(settings.trailing_activation_pct, 0.0),
        breakeven_pct=_or(settings.breakeven_pct, rules.UNSET),
        first_stop_pct=_or(first_stop_pct(settings), rules.UNSET),
        daily_loss=_or(settings.daily_loss_limit, math.inf),
        drawdown=_or(settings.max_drawdown_pct, rules.UNSET),
        bar_ms=bar_ms,
        close_at_end=close_at_end,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else float(value)


def candles_of(frame: pd.DataFrame, timeframe: str | None = None, *, name: str = "bars") -> Candles:
    """The candles of a frame in the schema of `metaexpert.bars`.

    Args:
        frame: the candles.
        timeframe: theirs; None takes the shortest distance between two of them.
        name: how a message calls the frame.

    Raises:
        DataError: the frame holds no candles, or times, numbers or volumes that are unsound.
    """
    _refuse_columns(frame, name)
    time = times_of(frame, name)
    prices = [numbers_of(frame[column], f"{name}: column {column!r}") for column in COLUMNS]
    shortest, flaw = kernel.compiled().survey(*map(fixed, (time, *prices)))
    if shortest <= 0:
        at = int((np.diff(time) <= 0).argmax()) + 1
        what = "repeats" if time[at] == time[at - 1] else "is earlier than"
        raise DataError(f"{name}: row {at}, {frame.index[at]}, {what} the one before: sort the candles, each once")
    bar_ms = _length(shortest, len(time), timeframe, name)
    if flaw >= 0:
        row = {column: float(values[flaw]) for column, values in zip(COLUMNS, prices, strict=True)}
        raise _flawed(row, f"{name}: row {flaw}, {frame.index[flaw]}")
    first, last = (int(time[place] + bar_ms - 1) // column.DAY_MS for place in (0, -1))
    closes_by = (
        np.arange(first + 1, last + 1) * column.DAY_MS - bar_ms
    )  # the last open of each day but the last one
    day_ends = np.append(np.unique(np.searchsorted(time, closes_by, side="right")) - 1, time.size - 1)
    bars = Bars(*map(fixed, (time, *prices[:4], day_ends, np.empty((3, 0)))))
    return Candles(bars, timeframe_of(bar_ms), bar_ms)


def _refuse_columns(frame: pd.DataFrame, name: str) -> None:
    """Refuse what is no table of candles at all."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):  # pyright: ignore[reportUnnecessaryIsInstance] - what users give
        raise DataError(f"{name}: give a DataFrame of candles, not {type(frame).__name__}")
    names = list(frame.columns)
    for one in COLUMNS:
        if one not in names:
            raise DataError(f"{name}: column {one!r} is missing; candles have {', '.join(COLUMNS)}")
        if names.count(one) > 1:
            raise DataError(f"{name}: column {one!r} is there twice: drop one of them")
    if not len(frame):
        raise DataError(f"{name}: there are no candles")


def times_of(frame: pd.DataFrame, name: str) -> Ints:
    """The times of the rows, ms UTC.

    Raises:
        DataError: the index holds something else than times.
    """
    import pandas as pd

    if not isinstance(frame.index, pd.DatetimeIndex):
        raise DataError(f"{name}: the index must be times (a DatetimeIndex), not {type(frame.index).__name__}")
    if frame.index.hasnans:
        raise DataError(f"{name}: row {int(frame.index.isna().argmax())} has no time")
    return times(frame)


def numbers_of(values: pd.Series[Any], name: str) -> Floats:
    """A column as float64, missing values as NaN.

    Raises:
        DataError: it holds something else than numbers.
    """
    if values.dtype.kind not in _NUMBERS:
        row = next((at for at, one in enumerate(values) if not _is_number(one)), 0)
        shown = reprlib.repr(values.iloc[row : row + 1].tolist()[0])
        raise DataError(
            f"{name} holds {values.dtype}, not numbers: {shown} in row {row}, "
            f"{values.index[row]}; mend it, then .astype(float)"
        )
    if isinstance(values.dtype, np.dtype):
        return np.ascontiguousarray(values.to_numpy(dtype=np.float64))
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _length(shortest: int, bars: int, timeframe: str | None, name: str) -> int:
    """The length of a bar in ms."""
    if timeframe is not None:
        length = parse(timeframe)
        if shortest < length:
            raise DataError(f"{name}: candles lie closer together than {timeframe}: say which timeframe they have")
        return length
    if bars < 2:
        raise DataError(f"{name}: one candle does not tell the timeframe; give timeframe='1h' or so")
    if shortest not in TIMEFRAMES.values():
        raise DataError(
            f"{name}: candles lie {shortest} ms apart, which is no timeframe; give timeframe='1h' or so"
        )
    return shortest


def _flawed(row: Mapping[str, float], where: str) -> DataError:
    """The error that says that a row is no candle."""
    shown = ", ".join(f"{name}={value:g}" for name, value in row.items())
    return DataError(
        f"{where}, is no candle ({shown}): prices must be positive, high and low span open and close, and volume "
        "not be negative; mend or drop it"
    )


def signals_of(columns: Mapping[str, Any]) -> Signals:
    """The signals as the loop takes them, from the columns of `metaexpert.signals.columns_of`."""
    bits = {
        "long_entry": column.LONG_ENTRY, "long_exit": column.LONG_EXIT, "short_entry": column.SHORT_ENTRY,
        "short_exit": column.SHORT_EXIT,
    }  # fmt: skip
    given = [(columns[name], np.uint8(bit)) for name, bit in bits.items() if columns[name].any()]
    at = np.flatnonzero(reduce(np.logical_or, (values for values, _ in given))) if given else np.empty(0, np.int64)
    wish = np.zeros(len(at), dtype=np.uint8)
    for values, bit in given:
        wish |= values[at] * bit
    size = np.empty(0) if columns["size"] is None else columns["size"][at]
    return Signals(fixed(at), fixed(wish), fixed(size), fixed(np.empty(0, dtype=np.uint8)))


def with_marks(candles: Candles, marks: Reference | None) -> Candles:
    """The same candles with the mark prices within each of them."""
    if marks is None:
        return candles
    opened, *prices = (cast("Floats", np.asarray(values)) for values in marks.columns)
    time = cast("Ints", candles.bars.time)
    first = cast("Ints", np.searchsorted(opened, time))
    last = cast("Ints", np.searchsorted(opened, time + candles.bar_ms - marks.length, side="right"))
    known = np.flatnonzero(last > first)
    bounds = np.column_stack((first[known], last[known])).ravel()
    made = np.full((3, len(time)), np.nan)
    if bounds.size:
        opens, highs, lows = (np.append(values, values[-1]) for values in prices)  # a bound may lie one beyond
        made[0, known] = opens[first[known]]
        made[1, known] = np.maximum.reduceat(highs, bounds)[0::2]
        made[2, known] = np.minimum.reduceat(lows, bounds)[0::2]
    return candles._replace(bars=candles.bars._replace(marks=fixed(made)))


def funding_of(rates: Sequence[FundingRate], marks: Reference | None, candles: Candles) -> Funding:
    """Funding instants, ascending in time, set against the bars.

    An instant belongs to the bar that covers it; one in a gap to the next bar, before anything happens there. Its
    mark price is its own, else the open of the mark candle that opens then.
    """
    time: Any = candles.bars.time
    inside = [one for one in rates if time[0] <= one.time < time[-1] + candles.bar_ms]
    at = np.array([one.time for one in inside], dtype=np.int64)
    bar = np.searchsorted(time, at, side="right") - 1
    is_gap = at >= time[bar] + candles.bar_ms
    prices = [one.mark if one.mark is not None or marks is None else marks.opening(one.time) for one in inside]
    return Funding(
        fixed(bar + is_gap),
        fixed(is_gap | (at == time[bar])),
        fixed(np.array([rules.NO_PRICE if price is None else price for price in prices], dtype=np.float64)),
        fixed(np.array([one.rate for one in inside], dtype=np.float64)),
    )
