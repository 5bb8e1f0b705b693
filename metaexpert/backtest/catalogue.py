"""Every statistic, declared as one row: key, label with its convention, unit, and how it is computed.

docs/guides/statistics.md gives the formula and the source of each key; a test keeps the two together.
"""

# ruff: noqa: RUF001 -- the labels are meant to hold the multiplication sign and sigma

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import did_you_mean
from ..models import OrderStatus
from ..timeframe import DAY_MS
from . import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .sample import Sample

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["CATALOGUE", "Stat", "Statistics", "Unit", "Value"]

Value = float | int | datetime | None
Unit = Literal["%", "currency", "days", "count", "ratio", "time", "bps"]


@dataclass(frozen=True, slots=True)
class Stat:
    """One statistic; `rests_on` is the key of the count of values that it was computed from, if it is an estimate.

    `compute` returns a fraction for "%", milliseconds for "days" and for "time"; `Statistics` converts them.
    """

    key: str
    label: str
    unit: Unit
    compute: Callable[[Sample], float | None]
    rests_on: Literal["days", "trades", ""] = ""


class Statistics(Mapping[str, Value]):
    """The statistics of one run by key, each computed when first read; None where undefined."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._values: dict[str, Value] = {}

    def __getitem__(self, key: str) -> Value:
        if key not in self._values:
            row = CATALOGUE.get(key)
            if row is None:
                raise KeyError(f"no statistic {key!r}{did_you_mean(key, CATALOGUE)}")
            self._values[key] = _in_unit(row.compute(self._sample), row.unit)
        return self._values[key]

    def __contains__(self, key: object) -> bool:
        return key in CATALOGUE

    def __iter__(self) -> Iterator[str]:
        return iter(CATALOGUE)

    def __len__(self) -> int:
        return len(CATALOGUE)

    def __repr__(self) -> str:
        width = max(map(len, CATALOGUE))
        return "\n".join(f"{key:<{width}}  {self[key]}" for key in self)


def _in_unit(value: float | None, unit: Unit) -> Value:
    """Turn what `compute` returned into a Python value of the unit that is shown; inf and NaN into None."""
    if value is None or not math.isfinite(value):
        return None
    if unit == "count":
        return int(value)
    if unit == "time":
        return datetime.fromtimestamp(value / 1000.0, UTC)
    return float(value) * {"%": 100.0, "days": 1.0 / DAY_MS}.get(unit, 1.0)


def _wins(s: Sample) -> Floats:
    return s.closed.net[s.closed.net > 0.0]


def _losses(s: Sample) -> Floats:
    return s.closed.net[s.closed.net < 0.0]


def _win_returns(s: Sample) -> Floats:
    return s.closed.returns[s.closed.net > 0.0]


def _loss_returns(s: Sample) -> Floats:
    return s.closed.returns[s.closed.net < 0.0]


def _win_ms(s: Sample) -> Ints:
    return s.held_ms[s.closed.net > 0.0]


def _loss_ms(s: Sample) -> Ints:
    return s.held_ms[s.closed.net < 0.0]


def _open_profit(s: Sample) -> float:
    return float(s.trades.net[s.trades.exit_time < 0].sum())


def _peak(s: Sample) -> int | None:
    """The point from which the deepest drawdown fell."""
    return None if s.deepest is None else int(s.spells.peak[s.deepest])


def _trough(s: Sample) -> int | None:
    return None if s.deepest is None else s.trough


def _recovery(s: Sample) -> int | None:
    return int(s.spells.end[s.deepest]) if s.deepest is not None and s.spells.recovered[s.deepest] else None


def _time(s: Sample, point: int | None) -> float | None:
    return None if point is None else float(s.time_of(np.array([point]))[0])


def _equity(s: Sample, point: int | None) -> float | None:
    return None if point is None else float(s.path[point])


def _calmar(s: Sample) -> float | None:
    return stats.ratio(_growth(s), -float(s.below.min()))


def _growth(s: Sample) -> float | None:
    return stats.cagr(float(s.path[0]), float(s.path[-1]), s.span)


def _common_sense(s: Sample) -> float | None:
    tail, gain = stats.tail_ratio(s.returns), stats.omega(s.returns)
    return None if tail is None or gain is None else tail * gain


def _outperformance(s: Sample) -> float:
    return float(s.path[-1] / s.path[0] - s.market_path[-1] / s.market_path[0])


def _buy_hold(s: Sample) -> float:
    return float(s.market_path[-1] / s.market_path[0]) - 1.0


def _turnover_rate(s: Sample) -> float | None:
    years = s.span / (stats.DAYS_PER_YEAR * DAY_MS)
    return stats.ratio(stats.ratio(s.costs.turnover, stats.mean(s.record.equity)), years)


def _straightness(s: Sample) -> float | None:
    return stats.correlation(s.daily_path, np.arange(s.daily_path.size, dtype=np.float64))


def _edge(s: Sample) -> float | None:
    worst = stats.mean(s.closed.mae)
    return stats.ratio(stats.mean(s.closed.mfe), None if worst is None else -worst)


_RUN = (
    Stat("start", "Start", "time", lambda s: s.start),
    Stat("end", "End", "time", lambda s: s.end),
    Stat("duration_days", "Duration", "days", lambda s: s.span),
    Stat("bars", "Bars tested", "count", lambda s: max(len(bars) for bars in s.record.bars.values())),
    Stat("warmup_bars", "Warm-up bars before the start", "count", lambda s: s.record.warmup_bars),
    Stat("days", "UTC days (n of the daily figures)", "count", lambda s: s.returns.size),
    Stat("orders", "Orders", "count", lambda s: len(s.record.orders)),
    Stat("orders_filled", "Orders filled", "count", lambda s: s.orders_with(OrderStatus.FILLED)),
    Stat("orders_rejected", "Orders rejected", "count", lambda s: s.orders_with(OrderStatus.REJECTED)),
    Stat("orders_canceled", "Orders cancelled", "count", lambda s: s.orders_with(OrderStatus.CANCELED)),
    Stat("orders_expired", "Orders expired", "count", lambda s: s.orders_with(OrderStatus.EXPIRED)),
    Stat(
        "entries_refused", "Entries refused (limits, filters)", "count", lambda s: sum(s.record.refusals.values())
    ),
    Stat("fills", "Fills", "count", lambda s: len(s.record.fills)),
    Stat("criterion", "Criterion of on_backtest", "ratio", lambda s: s.record.criterion),
)

_RESULT = (
    Stat("initial_capital", "Initial capital", "currency", lambda s: float(s.path[0])),
    Stat("final_equity", "Final equity", "currency", lambda s: float(s.path[-1])),
    Stat("final_balance", "Final balance (realised)", "currency", lambda s: float(s.balances[-1])),
    Stat("equity_peak", "Equity peak", "currency", lambda s: float(s.path.max())),
    Stat("equity_low", "Equity low", "currency", lambda s: float(s.path.min())),
    Stat("balance_peak", "Balance peak", "currency", lambda s: float(s.balances.max())),
    Stat("balance_low", "Balance low", "currency", lambda s: float(s.balances.min())),
    Stat("net_profit", "Net profit (open PnL included)", "currency", lambda s: s.costs.net),
    Stat("total_return_pct", "Total return", "%", lambda s: float(s.path[-1] / s.path[0]) - 1.0),
    Stat("buy_hold_return_pct", "Buy & hold return (equal split, no costs)", "%", _buy_hold),
    Stat("outperformance_pct", "Total return less buy & hold", "%", _outperformance),
    Stat("cagr_pct", "CAGR (365.25 days a year)", "%", _growth, "days"),
    Stat("avg_daily_profit", "Average daily profit", "currency", lambda s: stats.ratio(s.costs.net, s.days.size)),
    Stat("avg_daily_return_pct", "Average daily return", "%", lambda s: stats.mean(s.returns), "days"),
    Stat("best_day_pct", "Best day", "%", lambda s: stats.maximum(s.returns), "days"),
    Stat("worst_day_pct", "Worst day", "%", lambda s: stats.minimum(s.returns), "days"),
    Stat("best_day", "Best day, in money", "currency", lambda s: float(np.diff(s.daily_path).max())),
    Stat("worst_day", "Worst day, in money", "currency", lambda s: float(np.diff(s.daily_path).min())),
    Stat("days_win", "Days won", "count", lambda s: stats.count(s.returns > 0.0)),
    Stat("days_draw", "Days at 0", "count", lambda s: stats.count(s.returns == 0.0)),
    Stat("days_lose", "Days lost", "count", lambda s: stats.count(s.returns < 0.0)),
    Stat("best_month_pct", "Best month", "%", lambda s: stats.maximum(s.month_returns)),
    Stat("worst_month_pct", "Worst month", "%", lambda s: stats.minimum(s.month_returns)),
    Stat("months_won_pct", "Months won", "%", lambda s: stats.share(s.month_returns > 0.0)),
    Stat("open_trades", "Trades still open", "count", lambda s: stats.count(s.trades.exit_time < 0)),
    Stat("open_profit", "Profit of open trades, net", "currency", _open_profit),
)

_RISK = (
    Stat(
        "volatility_pct", "Volatility (daily equity, σ×√365)", "%", lambda s: stats.volatility(s.returns), "days"
    ),
    Stat("sharpe", "Sharpe (daily equity, ×√365, rf 0)", "ratio", lambda s: stats.sharpe(s.returns), "days"),
    Stat(
        "sortino", "Sortino (daily equity, all days, ×√365)", "ratio", lambda s: stats.sortino(s.returns), "days"
    ),
    Stat("calmar", "Calmar (CAGR / |max drawdown|)", "ratio", _calmar, "days"),
    Stat("omega", "Omega (daily equity, threshold 0)", "ratio", lambda s: stats.omega(s.returns), "days"),
    Stat(
        "probabilistic_sharpe_pct",
        "Probability that Sharpe > 0",
        "%",
        lambda s: stats.probabilistic_sharpe(s.returns),
        "days",
    ),
    Stat("max_drawdown_pct", "Max. drawdown (equity, every bar)", "%", lambda s: float(s.below.min())),
    Stat("max_drawdown", "Max. drawdown in money (equity)", "currency", lambda s: s.fall),
    Stat(
        "max_drawdown_balance_pct",
        "Max. drawdown (balance, closed trades)",
        "%",
        lambda s: s.balance_drop[0],
    ),
    Stat(
        "max_drawdown_balance",
        "Max. drawdown in money (balance)",
        "currency",
        lambda s: s.balance_drop[1],
    ),
    Stat("avg_drawdown_pct", "Average drawdown", "%", lambda s: stats.mean(s.spells.depth)),
    Stat("max_drawdown_days", "Longest drawdown (peak to recovery)", "days", lambda s: stats.maximum(s.spell_ms)),
    Stat("avg_drawdown_days", "Average drawdown duration", "days", lambda s: stats.mean(s.spell_ms)),
    Stat("drawdowns", "Drawdowns", "count", lambda s: s.spells.peak.size),
    Stat("drawdowns_recovered", "Drawdowns recovered", "count", lambda s: stats.count(s.spells.recovered)),
    Stat("current_drawdown_pct", "Drawdown at the end", "%", lambda s: float(s.below[-1])),
    Stat("drawdown_start", "Max. drawdown: peak", "time", lambda s: _time(s, _peak(s))),
    Stat("drawdown_trough", "Max. drawdown: trough", "time", lambda s: _time(s, _trough(s))),
    Stat("drawdown_end", "Max. drawdown: recovered", "time", lambda s: _time(s, _recovery(s))),
    Stat("drawdown_start_equity", "Equity at its peak", "currency", lambda s: _equity(s, _peak(s))),
    Stat("drawdown_trough_equity", "Equity at its trough", "currency", lambda s: _equity(s, _trough(s))),
    Stat("time_underwater_pct", "Bars below the peak", "%", lambda s: stats.share(s.below[1:] < 0.0)),
    Stat("ulcer_index_pct", "Ulcer index (daily equity)", "%", lambda s: stats.ulcer(s.daily_path), "days"),
    Stat(
        "ulcer_performance",
        "Ulcer performance (CAGR / ulcer index)",
        "ratio",
        lambda s: stats.ratio(_growth(s), stats.ulcer(s.daily_path)),
        "days",
    ),
    Stat(
        "recovery_factor",
        "Recovery factor (net / |max drawdown|)",
        "ratio",
        lambda s: stats.ratio(s.costs.net, -s.fall),
    ),
    Stat("skew", "Skew of daily returns", "ratio", lambda s: stats.skew(s.returns), "days"),
    Stat("kurtosis", "Excess kurtosis of daily returns", "ratio", lambda s: stats.kurtosis(s.returns), "days"),
    Stat(
        "tail_ratio",
        "Tail ratio (95 % / 5 % quantile, daily)",
        "ratio",
        lambda s: stats.tail_ratio(s.returns),
        "days",
    ),
    Stat("common_sense_ratio", "Common sense ratio (tail × omega)", "ratio", _common_sense, "days"),
    Stat(
        "value_at_risk_pct", "Value at risk (daily, 95 %)", "%", lambda s: stats.value_at_risk(s.returns), "days"
    ),
    Stat(
        "conditional_value_at_risk_pct",
        "Conditional value at risk (daily, 95 %)",
        "%",
        lambda s: stats.conditional_value_at_risk(s.returns),
        "days",
    ),
    Stat(
        "alpha_pct",
        "Alpha vs buy & hold (daily, a year)",
        "%",
        lambda s: stats.alpha(s.returns, s.market_returns),
        "days",
    ),
    Stat("beta", "Beta vs buy & hold (daily)", "ratio", lambda s: stats.beta(s.returns, s.market_returns), "days"),
    Stat(
        "buy_hold_correlation",
        "Correlation with buy & hold (daily)",
        "ratio",
        lambda s: stats.correlation(s.returns, s.market_returns),
        "days",
    ),
    Stat("straightness", "Straightness (equity vs time, daily)", "ratio", _straightness, "days"),
    Stat("exposure_time_pct", "Time in the market", "%", lambda s: stats.share(s.record.exposure != 0.0)),
    Stat("long_time_pct", "Time net long", "%", lambda s: stats.share(s.record.exposure > 0.0)),
    Stat("short_time_pct", "Time net short", "%", lambda s: stats.share(s.record.exposure < 0.0)),
    Stat(
        "max_exposure_pct", "Largest exposure (of equity)", "%", lambda s: stats.maximum(np.abs(s.record.exposure))
    ),
    Stat("avg_exposure_pct", "Average exposure (of equity)", "%", lambda s: stats.mean(np.abs(s.record.exposure))),
)

_TRADES = (
    Stat("trades", "Closed trades", "count", lambda s: s.closed.net.size),
    Stat("trades_long", "Long trades", "count", lambda s: stats.count(s.closed.sign > 0)),
    Stat("trades_short", "Short trades", "count", lambda s: stats.count(s.closed.sign < 0)),
    Stat(
        "trades_per_day", "Closed trades a day", "ratio", lambda s: stats.ratio(s.closed.net.size, s.span / DAY_MS)
    ),
    Stat("wins", "Trades won (net > 0)", "count", lambda s: _wins(s).size),
    Stat("losses", "Trades lost (net < 0)", "count", lambda s: _losses(s).size),
    Stat("draws", "Trades at 0", "count", lambda s: stats.count(s.closed.net == 0.0)),
    Stat("win_rate_pct", "Win rate (net > 0)", "%", lambda s: stats.share(s.closed.net > 0.0), "trades"),
    Stat("win_rate_long_pct", "Win rate, long", "%", lambda s: stats.share(s.closed.net[s.closed.sign > 0] > 0.0)),
    Stat(
        "win_rate_short_pct", "Win rate, short", "%", lambda s: stats.share(s.closed.net[s.closed.sign < 0] > 0.0)
    ),
    Stat("closed_profit", "Profit of closed trades, net", "currency", lambda s: float(s.closed.net.sum())),
    Stat("gross_profit", "Sum of winning trades, net", "currency", lambda s: float(_wins(s).sum())),
    Stat("gross_loss", "Sum of losing trades, net", "currency", lambda s: float(_losses(s).sum())),
    Stat("profit_long", "Net profit, long", "currency", lambda s: float(s.closed.net[s.closed.sign > 0].sum())),
    Stat("profit_short", "Net profit, short", "currency", lambda s: float(s.closed.net[s.closed.sign < 0].sum())),
    Stat("profit_factor", "Profit factor (money, net)", "ratio", lambda s: stats.omega(s.closed.net), "trades"),
    Stat(
        "profit_factor_pct",
        "Profit factor (trade returns)",
        "ratio",
        lambda s: stats.omega(s.closed.returns),
        "trades",
    ),
    Stat(
        "expectancy", "Expectancy (money a trade, net)", "currency", lambda s: stats.mean(s.closed.net), "trades"
    ),
    Stat(
        "expectancy_pct",
        "Expectancy (trade return, arithmetic)",
        "%",
        lambda s: stats.mean(s.closed.returns),
        "trades",
    ),
    Stat(
        "expectancy_ratio",
        "Expectancy ratio (profit a unit lost)",
        "ratio",
        lambda s: stats.expectancy_ratio(s.closed.net),
        "trades",
    ),
    Stat("avg_trade_pct", "Average trade (geometric)", "%", lambda s: stats.compound(s.closed.returns), "trades"),
    Stat("median_trade_pct", "Median trade", "%", lambda s: stats.median(s.closed.returns), "trades"),
    Stat(
        "payoff_ratio",
        "Payoff (average win / average loss)",
        "ratio",
        lambda s: stats.payoff(s.closed.net),
        "trades",
    ),
    Stat("avg_win", "Average win", "currency", lambda s: stats.mean(_wins(s))),
    Stat("avg_loss", "Average loss", "currency", lambda s: stats.mean(_losses(s))),
    Stat("avg_win_pct", "Average win (trade return)", "%", lambda s: stats.mean(_win_returns(s))),
    Stat("avg_loss_pct", "Average loss (trade return)", "%", lambda s: stats.mean(_loss_returns(s))),
    Stat("best_trade", "Best trade, in money", "currency", lambda s: stats.maximum(s.closed.net)),
    Stat("worst_trade", "Worst trade, in money", "currency", lambda s: stats.minimum(s.closed.net)),
    Stat("best_trade_pct", "Best trade", "%", lambda s: stats.maximum(s.closed.returns)),
    Stat("worst_trade_pct", "Worst trade", "%", lambda s: stats.minimum(s.closed.returns)),
    Stat("avg_stake", "Average notional at entry", "currency", lambda s: stats.mean(s.closed.notional)),
    Stat("avg_trade_days", "Average trade duration", "days", lambda s: stats.mean(s.held_ms)),
    Stat("median_trade_days", "Median trade duration", "days", lambda s: stats.median(s.held_ms)),
    Stat("min_trade_days", "Shortest trade", "days", lambda s: stats.minimum(s.held_ms)),
    Stat("max_trade_days", "Longest trade", "days", lambda s: stats.maximum(s.held_ms)),
    Stat("avg_win_days", "Average duration of wins", "days", lambda s: stats.mean(_win_ms(s))),
    Stat("min_win_days", "Shortest win", "days", lambda s: stats.minimum(_win_ms(s))),
    Stat("max_win_days", "Longest win", "days", lambda s: stats.maximum(_win_ms(s))),
    Stat("avg_loss_days", "Average duration of losses", "days", lambda s: stats.mean(_loss_ms(s))),
    Stat("min_loss_days", "Shortest loss", "days", lambda s: stats.minimum(_loss_ms(s))),
    Stat("max_loss_days", "Longest loss", "days", lambda s: stats.maximum(_loss_ms(s))),
    Stat("max_win_streak", "Most wins in a row", "count", lambda s: stats.longest_run(s.closed.net > 0.0)),
    Stat("max_loss_streak", "Most losses in a row", "count", lambda s: stats.longest_run(s.closed.net < 0.0)),
    Stat(
        "current_streak", "Streak at the end (losses < 0)", "count", lambda s: stats.current_streak(s.closed.net)
    ),
    Stat("first_entry", "First entry", "time", lambda s: stats.minimum(s.trades.entry_time)),
    Stat("last_exit", "Last exit", "time", lambda s: stats.maximum(s.closed.exit_time)),
    Stat("sqn", "SQN (√n × mean / σ of trade profits)", "ratio", lambda s: stats.sqn(s.closed.net), "trades"),
    Stat("kelly_pct", "Kelly criterion", "%", lambda s: stats.kelly(s.closed.net), "trades"),
    Stat("p_value", "p-value that the mean profit is 0", "ratio", lambda s: stats.p_value(s.closed.net), "trades"),
    Stat("avg_mae_pct", "Average adverse excursion (MAE)", "%", lambda s: stats.mean(s.closed.mae), "trades"),
    Stat("worst_mae_pct", "Worst adverse excursion", "%", lambda s: stats.minimum(s.closed.mae)),
    Stat("avg_mfe_pct", "Average favourable excursion (MFE)", "%", lambda s: stats.mean(s.closed.mfe), "trades"),
    Stat("best_mfe_pct", "Best favourable excursion", "%", lambda s: stats.maximum(s.closed.mfe)),
    Stat("edge_ratio", "Edge ratio (average MFE / |MAE|)", "ratio", _edge, "trades"),
    Stat(
        "ambiguous_trades",
        "Trades: stop and target in one bar",
        "count",
        lambda s: stats.count(s.trades.ambiguous),
    ),
    Stat(
        "fills_at_extreme",
        "Fills at the bar's best price",
        "count",
        lambda s: stats.count(s.fills.at_extreme),
    ),
    Stat(
        "fills_over_volume",
        "Fills larger than the bar's volume",
        "count",
        lambda s: stats.count(s.fills.volume_share > 1.0),
    ),
)

_COSTS = (
    Stat("gross", "Gross profit, before costs", "currency", lambda s: s.costs.gross),
    Stat("fees", "Fees", "currency", lambda s: s.costs.fees),
    Stat("fees_maker", "Fees, maker", "currency", lambda s: s.costs.fees_maker),
    Stat("fees_taker", "Fees, taker", "currency", lambda s: s.costs.fees_taker),
    Stat("fees_liquidation", "Fees, liquidation", "currency", lambda s: s.costs.fees_liquidation),
    Stat("slippage", "Slippage", "currency", lambda s: s.costs.slippage),
    Stat("funding", "Funding (received > 0)", "currency", lambda s: s.costs.funding),
    Stat("turnover", "Turnover (notional of all fills)", "currency", lambda s: s.costs.turnover),
    Stat("turnover_per_year", "Turnover a year / average equity", "ratio", _turnover_rate),
    Stat("maker_share_pct", "Maker share of turnover", "%", lambda s: s.costs.maker_share),
    Stat("cost_bps", "Fees and slippage, of turnover", "bps", lambda s: s.costs.paid_bps),
    Stat("break_even_bps", "Break-even cost, of turnover", "bps", lambda s: s.costs.break_even_bps),
)

CATALOGUE: Mapping[str, Stat] = MappingProxyType(
    {row.key: row for row in (*_RUN, *_RESULT, *_RISK, *_TRADES, *_COSTS)}
)
"""Every statistic by key, in the order of the tables above."""
