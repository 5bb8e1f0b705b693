"""The result's tables: DataFrames for people, rows of plain values for files."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..models import Fill, Order, Trade
from ..timeframe import DAY_MS
from . import stats
from .record import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from .sample import Sample

__all__ = ["Group", "Month", "daily_equity", "equity", "fills", "frame", "groups", "months", "orders", "trades"]


class Group(NamedTuple):
    """The closed trades that have one thing in common; money in the settlement currency."""

    name: str
    trades: int
    win_rate_pct: float | None
    net_profit: float
    avg_return_pct: float | None
    profit_factor: float | None
    avg_days: float | None
    fees: float


class Month(NamedTuple):
    """One UTC month: `name` is ``2024-01``, `profit` the change of equity in the settlement currency."""

    name: str
    return_pct: float | None
    profit: float


def equity(s: Sample) -> pd.DataFrame:
    """Equity, balance, drawdown (a fraction <= 0) and exposure at each bar close; index `time`, UTC."""
    import pandas as pd

    record = s.record
    columns = {
        "equity": record.equity,
        "balance": record.balance,
        "drawdown": s.below[1:],
        "exposure": record.exposure,
    }
    return pd.DataFrame(columns, index=pd.DatetimeIndex(_utc(record.time), name="time"))


def trades(s: Sample) -> pd.DataFrame:
    """All trades with net_pnl, return_pct, mae_pct, mfe_pct and duration beside their own fields."""
    frame = _frame(s.record.trades, Trade._fields)
    every = s.trades
    frame["net_pnl"] = every.net
    frame["return_pct"] = 100.0 * every.returns
    frame["mae_pct"] = 100.0 * every.mae
    frame["mfe_pct"] = 100.0 * every.mfe
    frame["entry_time"] = _utc(every.entry_time)
    frame["exit_time"] = _utc(np.where(every.exit_time < 0, np.iinfo(np.int64).min, every.exit_time))
    frame["duration"] = frame["exit_time"] - frame["entry_time"]
    for name in ("exit_price", "pnl", "fees", "slippage", "funding"):
        frame[name] = frame[name].astype(np.float64)
    return _worded(frame, "exit_reason")


def fills(s: Sample) -> pd.DataFrame:
    """All fills, with their notional in the settlement currency."""
    frame = _frame(s.record.fills, Fill._fields)
    frame["notional"] = s.fills.notional
    frame["time"] = _utc(frame["time"].to_numpy(dtype=np.int64))
    return _worded(frame, "side", "reason")


def orders(s: Sample) -> pd.DataFrame:
    """The last state of every order, in order of creation."""
    frame = _frame(s.record.orders, [field.name for field in dataclasses.fields(Order)])
    for name in ("qty", "price", "stop_price", "filled", "average_price", "fee", "stop_loss", "take_profit"):
        frame[name] = frame[name].astype(np.float64)
    for name in ("created", "updated"):
        frame[name] = _utc(frame[name].to_numpy(dtype=np.int64))
    return _worded(frame, "side", "type", "status", "tif", "reason")


def groups(s: Sample, by: Literal["symbol", "side", "exit_reason", "tag"]) -> list[Group]:
    """The closed trades by one of their fields, in order of first appearance."""
    members: dict[str, list[int]] = {}
    for i, trade in enumerate(s.closed_trades):
        value = getattr(trade, by)
        members.setdefault("" if value is None else str(value), []).append(i)
    return [_group(s, name, of) for name, of in members.items()]


def months(s: Sample) -> list[Month]:
    """The UTC months of the run."""
    names, path = s.months
    return [
        Month(name, None if start <= 0.0 else 100.0 * (end / start - 1.0), end - start)
        for name, start, end in zip(names, path[:-1].tolist(), path[1:].tolist(), strict=True)
    ]


def frame(rows: list[Group] | list[Month]) -> pd.DataFrame:
    """Return plain rows as a DataFrame, indexed by their name."""
    import pandas as pd

    fields = rows[0]._fields if rows else Group._fields
    return pd.DataFrame(rows, columns=list(fields)).set_index("name")


def daily_equity(s: Sample) -> dict[str, float]:
    """Return the last equity of each UTC day by date, ``2024-01-31``."""
    dates = np.datetime_as_string(s.days.astype("datetime64[D]")).tolist()
    return dict(zip(dates, s.daily_path[1:].tolist(), strict=True))


def _group(s: Sample, name: str, members: list[int]) -> Group:
    net, returns, held = s.closed.net[members], s.closed.returns[members], s.held_ms[members]
    wins, average, days = stats.share(net > 0.0), stats.mean(returns), stats.mean(held)
    return Group(
        name=name,
        trades=len(members),
        win_rate_pct=None if wins is None else 100.0 * wins,
        net_profit=float(net.sum()),
        avg_return_pct=None if average is None else 100.0 * average,
        profit_factor=stats.omega(net),
        avg_days=None if days is None else days / DAY_MS,
        fees=float(sum(s.closed_trades[i].fees for i in members)),
    )


def _utc(time_ms: Any) -> pd.DatetimeIndex:
    import pandas as pd

    return pd.DatetimeIndex(np.asarray(time_ms, dtype=np.int64).astype("datetime64[ms]")).tz_localize("UTC")


def _frame(rows: Sequence[Any], names: Sequence[str]) -> pd.DataFrame:
    """The fields `names` of all `rows`, one column each."""
    import pandas as pd

    if isinstance(rows, Rows):
        return pd.DataFrame({name: rows.array(name) for name in names})
    return pd.DataFrame([tuple(getattr(row, name) for name in names) for row in rows], columns=list(names))


def _worded(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Turn enum words of the columns `names` into plain strings, None staying None."""
    import pandas as pd

    for name in names:
        frame[name] = pd.Series(
            [str(word) if isinstance(word, str) else None for word in frame[name]], dtype=object
        )
    return frame
