"""The statistics of one pass of a sweep: the formulas of `catalogue` over what the kernel has summed up.

No curve is kept: falls, the last equity of each day and the time held come from the kernel's counters
(`column.S_...`), trades and costs from its log. The values equal those of `Result.stats` of the same run.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, override

import numpy as np

from .. import rules
from ..timeframe import DAY_MS
from . import column
from .catalogue import Statistics, Value
from .logbook import filled_of
from .sample import Costs, Sample, TradeArrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .kernel import Played
    from .terms import Candles

    type Floats = NDArray[np.float64]
    type Ints = NDArray[np.int64]

__all__ = ["METRICS", "Days", "Summary", "days_of"]

METRICS = (
    "final_equity", "net_profit", "total_return_pct", "cagr_pct", "volatility_pct", "sharpe", "sortino", "calmar",
    "max_drawdown_pct", "max_drawdown", "recovery_factor", "exposure_time_pct", "trades", "trades_long",
    "trades_short", "open_trades", "win_rate_pct", "profit_factor", "expectancy", "expectancy_pct",
    "best_trade_pct", "worst_trade_pct", "avg_trade_days", "sqn", "orders", "orders_rejected", "fills", "fees",
    "slippage", "funding", "turnover",
)  # fmt: skip
"""The statistics that a sweep keeps of every pass."""


class Days(NamedTuple):
    """The UTC days of some candles, as numbers since the epoch: `marked` those with a close, `all` of them."""

    marked: Ints
    all: Ints


def days_of(candles: Candles) -> Days:
    """The days of the candles."""
    time, ends = np.asarray(candles.bars.time), np.asarray(candles.bars.day_ends)
    closes = time[ends] + candles.bar_ms
    every = np.arange(int(time[0]) // DAY_MS, (int(time[-1]) + candles.bar_ms - 1) // DAY_MS + 1)
    return Days(marked=(closes - 1) // DAY_MS, all=every)


class Summary(Sample):
    """What the statistics of one pass are computed from.

    Args:
        played: the last state and the log.
        daily: equity at the last close of each marked day.
        days: the days of the candles.
        candles: the candles.
        capital: balance at the start.
        inverse: True for a contract that settles in base.
    """

    def __init__(
        self, played: Played, daily: Floats, days: Days, candles: Candles, capital: float, *, inverse: bool
    ) -> None:
        self._state, self._daily, self._all_days = played.state, daily, days
        self._orders, self._trades = played.orders, played.trades
        self._times, self._bar_ms = np.asarray(candles.bars.time), candles.bar_ms
        self._kind = rules.INVERSE if inverse else rules.LINEAR
        self._capital = capital
        self.start = int(self._times[0])
        self.end = int(self._times[int(self._state[column.S_BARS]) - 1]) + self._bar_ms
        self.span = self.end - self.start

    @property
    def is_finite(self) -> bool:
        """Did no equity overflow?"""
        curve = (self.path[1], self.fall, float(self._daily.sum()))
        return all(map(math.isfinite, curve))

    def values(self) -> dict[str, Value]:
        """The statistics in `METRICS`; None where undefined."""
        state, known = self._state, Statistics(self)
        counted: dict[str, Value] = {
            "exposure_time_pct": 100.0 * float(state[column.S_HELD_BARS] / state[column.S_BARS]),
            "open_trades": int(state[column.S_QTY] != 0.0),
            "orders": int(state[column.S_ORDERS]),
            "orders_rejected": int(np.count_nonzero(self._orders[column.O_STATUS] == column.REJECTED)),
            "fills": int(state[column.S_FILLS]),
        }
        return {name: counted[name] if name in counted else known[name] for name in METRICS}

    # -- equity ---------------------------------------------------------------------------------------------

    @cached_property
    def path(self) -> Floats:
        """Equity at the start and at the end."""
        state = self._state
        qty, entry, mark = (float(state[slot]) for slot in (column.S_QTY, column.S_ENTRY, column.S_MARK))
        open_profit = rules.pnl(self._kind, qty, entry, mark) if qty != 0.0 else 0.0
        return np.array([self._capital, float(state[column.S_BALANCE]) + open_profit])

    @property
    @override
    def below(self) -> Floats:
        """The deepest drawdown of equity."""
        return self._state[column.S_DROP : column.S_DROP + 1]

    @property
    @override
    def fall(self) -> float:
        """Largest fall of equity under its running peak, in money, <= 0."""
        return float(self._state[column.S_FALL])

    @cached_property
    def days(self) -> Ints:
        """Number of each UTC day of the run since the epoch."""
        every = self._all_days.all
        return every[: np.searchsorted(every, (self.end - 1) // DAY_MS, side="right")]

    @cached_property
    def daily_path(self) -> Floats:
        """The initial capital and the last equity of each UTC day, shape (days + 1,)."""
        last = np.searchsorted(self._all_days.marked, self.days, side="right")
        return np.concatenate(([self._capital], self._daily))[np.concatenate(([0], last))]

    # -- trades and costs -----------------------------------------------------------------------------------

    @cached_property
    def closed(self) -> TradeArrays:
        """The closed trades, without their excursions."""
        log, unknown = self._trades, np.empty(0)
        net = log[column.T_PNL] - log[column.T_FEES] + log[column.T_FUNDING]
        notional = log[column.T_ENTERED_VALUE]
        return TradeArrays(
            net=net,
            returns=np.divide(net, notional, out=np.zeros_like(net), where=notional != 0.0),
            notional=notional,
            sign=log[column.T_SIDE].astype(np.int64),
            entry_time=log[column.T_OPENED].astype(np.int64),
            exit_time=log[column.T_LEFT].astype(np.int64),
            mae=unknown,
            mfe=unknown,
            ambiguous=log[column.T_AMBIGUOUS] != 0.0,
        )

    @cached_property
    def costs(self) -> Costs:
        """The cost chain."""
        log = self._orders[:, filled_of(self._orders)]
        notional: Any = rules.notional  # plain arithmetic: it takes arrays as well
        liquidated = log[column.O_REASON] == column.LIQUIDATION
        fee, slippage = log[column.F_FEE], float(log[column.F_SLIPPAGE].sum())
        funding, net = self._funding(), float(self.path[-1] - self.path[0])
        return Costs(
            gross=net + float(fee.sum()) + slippage - funding,
            fees_maker=0.0,
            fees_taker=float(fee[~liquidated].sum()),
            fees_liquidation=float(fee[liquidated].sum()),
            slippage=slippage,
            funding=funding,
            net=net,
            turnover=float(notional(self._kind, log[column.O_QTY], log[column.F_PRICE]).sum()),
            maker_turnover=0.0,
        )

    def _funding(self) -> float:
        """Funding of all round trips, the one that is still open included."""
        values = self._trades[column.T_FUNDING]
        paid: list[float] = values.tolist() if values.any() else []
        if self._state[column.S_QTY] != 0.0:
            paid.append(float(self._state[column.S_FUNDING]))
        return float(sum(paid))
