"""The formulas: pure functions on numpy arrays, one statistic each.

Conventions. Returns are fractions (0.01 = 1 %), one a UTC day. A year has 365 trading days for ratios and
365.25 calendar days for growth. Standard deviations have ddof 1, the risk-free rate is 0, drawdowns are
negative. A statistic that is undefined (a zero denominator, too few values) is None: never inf, NaN or a
made-up number. `catalogue` says which statistic uses which, docs/guides/statistics.md gives every formula.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

__all__ = [
    "DAYS_PER_YEAR",
    "Drawdowns",
    "alpha",
    "beta",
    "cagr",
    "compound",
    "conditional_value_at_risk",
    "correlation",
    "count",
    "current_streak",
    "drawdown",
    "drawdowns",
    "excursions",
    "expectancy_ratio",
    "kelly",
    "kurtosis",
    "longest_run",
    "maximum",
    "mean",
    "median",
    "minimum",
    "omega",
    "p_value",
    "payoff",
    "probabilistic_sharpe",
    "ratio",
    "share",
    "sharpe",
    "skew",
    "sortino",
    "sqn",
    "tail_ratio",
    "ulcer",
    "value_at_risk",
    "volatility",
]

DAYS_PER_YEAR = 365
_YEAR_MS = 365.25 * 86_400_000
_ROUNDING = 1e-14  # what values that should be equal may differ by, relative to the larger of 1 and their size
_TAIL = 0.05  # both tails are the outer 5 % of days
_TAIL_DAYS = 20  # 5 % of fewer days are less than one day


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Return numerator / denominator; None when either is undefined or the denominator is 0."""
    if numerator is None or denominator is None or denominator == 0.0:
        return None
    value = numerator / denominator
    return value if math.isfinite(value) else None


def mean(values: Floats | Ints) -> float | None:
    """Return the arithmetic mean; None of nothing."""
    return float(values.mean()) if values.size else None


def median(values: Floats | Ints) -> float | None:
    """Return the median; None of nothing."""
    return float(np.median(values)) if values.size else None


def minimum(values: Floats | Ints) -> float | None:
    """Return the smallest value; None of nothing."""
    return float(values.min()) if values.size else None


def maximum(values: Floats | Ints) -> float | None:
    """Return the largest value; None of nothing."""
    return float(values.max()) if values.size else None


def count(mask: Bools) -> int:
    """Return how many elements of `mask` are True."""
    return int(np.count_nonzero(mask))


def share(mask: Bools) -> float | None:
    """Return the fraction of True in `mask`; None of nothing."""
    return count(mask) / mask.size if mask.size else None


def compound(returns: Floats) -> float | None:
    """Return the geometric mean of fractional returns; None when one of them lost everything or more."""
    if not returns.size or float(returns.min()) <= -1.0:
        return None
    return math.expm1(float(np.log1p(returns).mean()))


def cagr(initial: float, final: float, span_ms: int) -> float | None:
    """Return the compound annual growth rate, (final / initial) ** (365.25 days / span) - 1.

    None for a span under one day and for a final value below 0.
    """
    if span_ms < 86_400_000 or initial <= 0.0 or final < 0.0:
        return None
    try:
        growth = (final / initial) ** (_YEAR_MS / span_ms) - 1.0
    except OverflowError:
        return None
    return growth if math.isfinite(growth) else None


def volatility(returns: Floats) -> float | None:
    """Return the annual volatility of daily `returns`: their standard deviation x sqrt(365)."""
    deviation = _deviation(returns)
    return None if deviation is None else deviation * math.sqrt(DAYS_PER_YEAR)


def sharpe(returns: Floats) -> float | None:
    """Return mean / standard deviation x sqrt(365) of daily `returns` (Sharpe 1994, risk-free rate 0)."""
    return _annual(_daily_sharpe(returns))


def sortino(returns: Floats) -> float | None:
    """Return mean / downside deviation x sqrt(365) of daily `returns` (Sortino & Price 1994, target 0).

    The downside deviation is sqrt(mean(min(r, 0) ** 2)) over all days, the good ones too.
    """
    if returns.size < 2 or not _all_finite(returns):
        return None
    downside = math.sqrt(float(np.square(np.minimum(returns, 0.0)).mean()))
    return _annual(ratio(float(returns.mean()), downside))


def omega(returns: Floats) -> float | None:
    """Return the sum of gains over the sum of losses (Keating & Shadwick 2002, threshold 0)."""
    if not _all_finite(returns):
        return None
    return ratio(float(np.maximum(returns, 0.0).sum()), -float(np.minimum(returns, 0.0).sum()))


def skew(returns: Floats) -> float | None:
    """Return the sample skewness, corrected for bias (Joanes & Gill 1998, G1); needs 3 values that differ."""
    n = returns.size
    if n < 3 or not _deviation(returns):
        return None
    g1 = _moment(returns, 3)
    return None if g1 is None else g1 * math.sqrt(n * (n - 1)) / (n - 2)


def kurtosis(returns: Floats) -> float | None:
    """Return the sample excess kurtosis, corrected for bias (Joanes & Gill 1998, G2); needs 4 values."""
    n = returns.size
    if n < 4 or not _deviation(returns):
        return None
    g2 = _moment(returns, 4)
    return None if g2 is None else ((n + 1) * (g2 - 3.0) + 6.0) * (n - 1) / ((n - 2) * (n - 3))


def probabilistic_sharpe(returns: Floats) -> float | None:
    """Return the probability that the true Sharpe ratio is above 0 (Bailey & Lopez de Prado 2012).

    Phi(SR * sqrt(n - 1) / sqrt(1 - g3 * SR + (g4 - 1) / 4 * SR ** 2)), with the daily SR and the plain skewness
    g3 and kurtosis g4 of the daily returns.
    """
    daily = _daily_sharpe(returns)
    g3, g4 = _moment(returns, 3), _moment(returns, 4)
    if daily is None or g3 is None or g4 is None:
        return None
    variance = 1.0 - g3 * daily + (g4 - 1.0) / 4.0 * daily * daily
    if variance <= 0.0:
        return None
    return 0.5 * (1.0 + math.erf(daily * math.sqrt(returns.size - 1) / math.sqrt(2.0 * variance)))


def value_at_risk(returns: Floats) -> float | None:
    """Return the 5 % quantile of daily `returns` (negative for a loss); needs 20 days."""
    if returns.size < _TAIL_DAYS or not _all_finite(returns):
        return None
    return float(np.quantile(returns, _TAIL))


def conditional_value_at_risk(returns: Floats) -> float | None:
    """Return the mean of the daily `returns` at or below the 5 % quantile; needs 20 days."""
    limit = value_at_risk(returns)
    return None if limit is None else float(returns[returns <= limit].mean())


def tail_ratio(returns: Floats) -> float | None:
    """Return the size of the 95 % quantile over that of the 5 % quantile; needs 20 days."""
    low = value_at_risk(returns)
    return None if low is None else ratio(abs(float(np.quantile(returns, 1.0 - _TAIL))), abs(low))


def beta(returns: Floats, market: Floats) -> float | None:
    """Return cov(returns, market) / var(market) of daily returns; None when the market did not move."""
    if returns.size != market.size or not _deviation(market):
        return None
    return ratio(float(((returns - returns.mean()) * (market - market.mean())).sum()), _squares(market))


def alpha(returns: Floats, market: Floats) -> float | None:
    """Return Jensen's alpha a year, 365 * (mean(returns) - beta * mean(market)), risk-free rate 0."""
    slope = beta(returns, market)
    if slope is None:
        return None
    return DAYS_PER_YEAR * (float(returns.mean()) - slope * float(market.mean()))


def correlation(a: Floats, b: Floats) -> float | None:
    """Return Pearson's correlation of two series of one length; None when either does not vary."""
    if not _deviation(a) or not _deviation(b):
        return None
    return float(((a - a.mean()) * (b - b.mean())).sum()) / math.sqrt(_squares(a) * _squares(b))


def drawdown(path: Floats, peak: Floats | None = None) -> Floats:
    """Return path / peak - 1 at each point: 0 at a peak, negative under it.

    `peak` is the running maximum of `path`, made here when it is not given. path[0] must be > 0.
    """
    below = path / (np.maximum.accumulate(path) if peak is None else peak)
    below -= 1.0
    return below


class Drawdowns(NamedTuple):
    """The spells under a peak, as indices into the path: `peak`, `end`; `depth` is a fraction < 0.

    `end` is the first point at or above the old peak, or the last point of a spell that goes on.
    """

    peak: Ints
    end: Ints
    depth: Floats
    recovered: Bools


def drawdowns(below: Floats) -> Drawdowns:
    """Find the spells of `below`, the output of `drawdown`."""
    under = below < 0.0
    edges = np.flatnonzero(under[1:] != under[:-1])
    peak, last = edges[0::2], edges[1::2]
    recovered = np.ones(peak.size, dtype=np.bool_)
    if last.size < peak.size:
        recovered[-1] = False
        last = np.append(last, below.size - 2)
    end = last + 1
    bounds = np.column_stack((peak, end)).ravel()
    goes_on = peak.size > 0 and not recovered[-1]  # then its last point is in it: the span is left open
    depth = np.minimum.reduceat(below, bounds[:-1] if goes_on else bounds)[0::2]
    return Drawdowns(peak, end, depth, recovered)


def ulcer(path: Floats) -> float | None:
    """Return the Ulcer index of a daily `path`: sqrt(mean(drawdown ** 2)), a fraction (Martin & McCann 1989)."""
    return math.sqrt(float(np.square(drawdown(path)).mean())) if path.size > 1 else None


def sqn(profits: Floats) -> float | None:
    """Return the system quality number, sqrt(n) * mean / standard deviation of trade profits (Van Tharp)."""
    return _t_statistic(profits)


def p_value(profits: Floats) -> float | None:
    """Return the two-sided p-value of Student's t-test that the mean trade profit is 0."""
    t = _t_statistic(profits)
    if t is None:
        return None
    freedom = profits.size - 1
    return _incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t))


def kelly(profits: Floats) -> float | None:
    """Return the Kelly fraction W - (1 - W) / (mean win / mean loss), W being the share of wins."""
    rate = share(profits > 0.0)
    odds = payoff(profits)
    if rate is None or odds is None or odds == 0.0:
        return None
    return rate - (1.0 - rate) / odds


def payoff(profits: Floats) -> float | None:
    """Return mean win / mean loss; None without a win or without a loss."""
    win, loss = mean(profits[profits > 0.0]), mean(profits[profits < 0.0])
    return ratio(win, None if loss is None else -loss)


def expectancy_ratio(profits: Floats) -> float | None:
    """Return (1 + mean win / mean loss) * W - 1: the expected profit for each unit at risk."""
    rate, odds = share(profits > 0.0), payoff(profits)
    return None if rate is None or odds is None else (1.0 + odds) * rate - 1.0


def longest_run(mask: Bools) -> int:
    """Return the length of the longest run of True."""
    padded = np.concatenate(([False], mask, [False]))
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return int((edges[1::2] - edges[0::2]).max()) if edges.size else 0


def current_streak(profits: Floats) -> int:
    """Return how many trades in a row, up to the last one, were won (> 0) or lost (< 0)."""
    if not profits.size or profits[-1] == 0.0:
        return 0
    sign = 1 if profits[-1] > 0.0 else -1
    other = np.flatnonzero(np.sign(profits) != sign)
    return sign * int(profits.size - 1 - other[-1] if other.size else profits.size)


def extremes(  # one pass over the candles of one symbol
    low: Floats, high: Floats, first: Ints, last: Ints, lowest: Floats, highest: Floats
) -> tuple[Floats, Floats]:
    """The lowest and highest price of each of some spans of candles, and of two prices that belong to it.

    Args:
        low: Lowest price of each candle, shape (n,).
        high: Highest price of each candle, shape (n,).
        first: Index of the first candle of each span, shape (m,).
        last: Index after its last candle, shape (m,).
        lowest: The lower one of the two prices, shape (m,).
        highest: The higher one, shape (m,).
    """
    if not first.size:
        return lowest, highest
    held, to_the_end = last > first, last == low.size
    bounds = np.column_stack((first, np.minimum(last, low.size - 1))).ravel()  # each must lie in the array
    spans_low, spans_high = np.minimum.reduceat(low, bounds)[0::2], np.maximum.reduceat(high, bounds)[0::2]
    spans_low = np.where(to_the_end, np.minimum(spans_low, low[-1]), spans_low)
    spans_high = np.where(to_the_end, np.maximum(spans_high, high[-1]), spans_high)
    lowest = np.where(held, np.minimum(lowest, spans_low), lowest)
    return lowest, np.where(held, np.maximum(highest, spans_high), highest)


def excursions(lowest: Floats, highest: Floats, entry: Floats, sign: Ints) -> tuple[Floats, Floats]:
    """Return (MAE, MFE): the worst and best move of the price during each trade, fractions of the entry price.

    MAE is <= 0, MFE >= 0 (Sweeney 1997).

    Args:
        lowest: Lowest price while the trade was held, that of its entry and exit included, shape (m,).
        highest: Highest one, shape (m,).
        entry: Entry prices, shape (m,).
        sign: +1 for a long trade, -1 for a short one, shape (m,).
    """
    down, up = lowest / entry - 1.0, highest / entry - 1.0
    return np.where(sign > 0, down, -up), np.where(sign > 0, up, -down)


def _all_finite(values: Floats) -> bool:
    return bool(np.isfinite(values).all())


def _squares(values: Floats) -> float:
    return float(np.square(values - values.mean()).sum())


def _deviation(values: Floats) -> float | None:
    """Standard deviation with ddof 1, 0 when values differ by rounding only; None for under 2 values or a NaN."""
    if values.size < 2 or not _all_finite(values):
        return None
    low, high = float(values.min()), float(values.max())
    if high - low <= _ROUNDING * max(1.0, abs(low), abs(high)):
        return 0.0
    return math.sqrt(_squares(values) / (values.size - 1))


def _daily_sharpe(returns: Floats) -> float | None:
    deviation = _deviation(returns)
    return None if deviation is None else ratio(float(returns.mean()), deviation)


def _annual(daily: float | None) -> float | None:
    return None if daily is None else daily * math.sqrt(DAYS_PER_YEAR)


def _moment(values: Floats, order: int) -> float | None:
    """Standardised central moment, without correction for bias."""
    if not _deviation(values):
        return None
    centred = values - values.mean()
    spread = float(np.square(centred).mean())
    return ratio(float((centred**order).mean()), spread ** (order / 2.0))


def _t_statistic(values: Floats) -> float | None:
    deviation = _deviation(values)
    return None if deviation is None else ratio(math.sqrt(values.size) * float(values.mean()), deviation)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b), by Lentz's continued fraction (DLMF 8.17.22)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    tiny = 1e-300
    c, d, fraction = 1.0, 0.0, 1.0
    for i in range(500):
        m = i // 2
        if i == 0:
            step = 1.0
        elif i % 2 == 0:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / (1.0 + step * d or tiny)
        c = 1.0 + step / c or tiny
        fraction *= c * d
        if abs(1.0 - c * d) < 1e-15:
            break
    front = a * math.log(x) + b * math.log1p(-x) - math.lgamma(a) - math.lgamma(b) + math.lgamma(a + b)
    return math.exp(front) * (fraction - 1.0) / a
