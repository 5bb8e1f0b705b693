"""The result's tables: DataFrames for people, rows of plain values for files."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..models import Fill, Order, Trade
from ..timeframe import DAY_MS
from . import stats
from .record import Coded, Numbered, Optional, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from .record import Column
    from .sample import Sample

__all__ = ["Group", "Month", "daily_equity", "equity", "fills", "frame", "groups", "months", "orders", "trades"]


_TIMES = frozenset({"time", "entry_time", "exit_time", "created", "updated"})
_FLOATS = frozenset({
    "qty", "price", "stop_price", "filled", "average_price", "fee", "stop_loss", "take_profit", "entry_price",
    "exit_price", "pnl", "fees", "slippage", "funding", "entry_notional",
})  # fmt: skip

_TEXTS = frozenset({"id", "order_id", "exchange_id", "message"})  # seldom the same twice


_MOST_IN_BYTES = 127  # categories that one byte tells apart
_FEW = 16  # words: looked for one by one
_MOST_COUNTED = 2**17  # numbers that are kept as text from one table to the next


class Group(NamedTuple):
    """The closed trades that have one thing in common; money in the settlement currency.

    `open_trades` and `open_profit` (net, at the last price) are those still open; they count in
    `fees` and `funding`, which are paid already, and in no other column.
    """

    name: str
    trades: int
    win_rate_pct: float | None
    net_profit: float
    avg_return_pct: float | None
    profit_factor: float | None
    avg_days: float | None
    fees: float
    funding: float
    open_trades: int
    open_profit: float


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
        "drawdown": s.below[1:] if record.drawdown is None else record.drawdown,
        "exposure": record.exposure,
    }
    shown = {name: values.view() for name, values in columns.items()}
    for values in shown.values():
        values.flags.writeable = False  # the record's own, not copies
    return pd.DataFrame(shown, index=_utc(record.time).rename("time"), copy=False)


def trades(s: Sample) -> pd.DataFrame:
    """All trades with net_pnl, return_pct, mae_pct, mfe_pct and duration beside their own fields."""
    import pandas as pd

    columns, every = _columns(s.record.trades, Trade._fields), s.trades
    columns["duration"] = columns["exit_time"] - columns["entry_time"]
    columns |= {
        "net_pnl": every.net,
        "return_pct": 100.0 * every.returns,
        "mae_pct": 100.0 * every.mae,
        "mfe_pct": 100.0 * every.mfe,
        "duration": columns.pop("duration"),
    }
    return pd.DataFrame(columns)


def fills(s: Sample) -> pd.DataFrame:
    """All fills, with their notional in the settlement currency."""
    import pandas as pd

    return pd.DataFrame(_columns(s.record.fills, Fill._fields) | {"notional": s.fills.notional})


def orders(s: Sample) -> pd.DataFrame:
    """The last state of every order, in order of creation."""
    import pandas as pd

    names = [field.name for field in dataclasses.fields(Order)]
    return pd.DataFrame(_columns(s.record.orders, names))


def groups(s: Sample, by: Literal["symbol", "side", "exit_reason", "tag"]) -> list[Group]:
    """The trades by one of their fields, in order of first appearance; every symbol of the run has its row."""
    members: dict[str, list[int]] = {symbol: [] for symbol in s.record.markets} if by == "symbol" else {}
    opened: dict[str, list[Trade]] = {}
    for i, trade in enumerate(s.closed_trades):
        members.setdefault(_named(trade, by), []).append(i)
    for trade in s.open_trades if by != "exit_reason" else ():
        opened.setdefault(_named(trade, by), []).append(trade)
    return [_group(s, name, members.get(name, []), opened.get(name, [])) for name in members | opened]


def _named(trade: Trade, by: str) -> str:
    value = getattr(trade, by)
    return "" if value is None else str(value)


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


def _group(s: Sample, name: str, members: list[int], opened: list[Trade]) -> Group:
    net, returns, held = s.closed.net[members], s.closed.returns[members], s.held_ms[members]
    paid = [*(s.closed_trades[i] for i in members), *opened]
    wins, average, days = stats.share(net > 0.0), stats.mean(returns), stats.mean(held)
    return Group(
        name=name,
        trades=len(members),
        win_rate_pct=None if wins is None else 100.0 * wins,
        net_profit=float(net.sum()),
        avg_return_pct=None if average is None else 100.0 * average,
        profit_factor=stats.omega(net),
        avg_days=None if days is None else days / DAY_MS,
        fees=float(sum(trade.fees for trade in paid)),
        funding=float(sum(trade.funding for trade in paid)),
        open_trades=len(opened),
        open_profit=float(sum(trade.net_pnl for trade in opened)),
    )


def _utc(time_ms: Any) -> pd.DatetimeIndex:
    """Times in UTC, which share the memory of `time_ms`; the smallest integer is no time."""
    import pandas as pd

    return pd.DatetimeIndex(np.asarray(time_ms, dtype=np.int64), dtype=pd.DatetimeTZDtype("ms", "UTC"), copy=False)


def _columns(rows: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    """The fields `names` of all `rows` as pandas shows them."""
    columns: dict[str, Any] = {}
    for name in names:
        column = rows.column(name) if isinstance(rows, Rows) else _column(rows, name)
        columns[name] = _shown(name, column, len(rows))
    return columns


def _column(rows: Sequence[Any], name: str) -> Column:
    """One field of all `rows`; what is missing is NaN, a time -1."""
    values = [getattr(row, name) for row in rows]
    if name in _TIMES:
        return np.array([-1 if value is None else value for value in values], dtype=np.int64)
    if name in _FLOATS:
        return np.array(values, dtype=np.float64)
    if values and all(isinstance(value, bool | int) for value in values):
        return np.array(values)
    words = tuple(dict.fromkeys(values))
    codes = {word: code for code, word in enumerate(words)}
    return Coded(np.array([codes[value] for value in values], dtype=np.int64), words)


def _shown(name: str, column: Column, n: int) -> Any:
    """Numbers as they are, times in UTC, texts, and categories where words repeat."""
    if isinstance(column, Optional):
        column = column.values
    if isinstance(column, np.ndarray):
        return _utc(_with_gaps(column)) if name in _TIMES else column
    if isinstance(column, Numbered):
        return _texts(_numbered(column.numbers))
    if not isinstance(column, Coded):
        return _repeated(name, column, n)
    words = [None if word is None else str(word) for word in column.words]
    return _texts(words, column.codes) if name in _TEXTS else _categories(words, column.codes)


def _with_gaps(times: Any) -> Any:
    """Times of which the negative ones are the smallest integer: no time."""
    missing = times < 0
    return np.where(missing, np.iinfo(np.int64).min, times) if missing.any() else times


def _numbered(numbers: Any) -> Any:
    """Whole numbers as text."""
    if isinstance(numbers, range) and numbers.step == 1 and 0 <= numbers.start <= numbers.stop <= _MOST_COUNTED:
        return _counted(1 << numbers.stop.bit_length()).slice(numbers.start, len(numbers))
    return _arrow().array(np.asarray(numbers)).cast(_arrow().large_string())


@lru_cache(maxsize=_MOST_COUNTED.bit_length())
def _counted(n: int) -> Any:
    """The numbers from 0 to `n` - 1 as text: the ids of most runs, kept because writing them takes so long."""
    return _arrow().array(np.arange(n)).cast(_arrow().large_string())


def _repeated(name: str, value: Any, n: int) -> Any:
    """One text, category or missing value that all rows share."""
    import pandas as pd

    word = None if value is None else str(value)
    if name in _TEXTS:
        return _texts(_arrow().repeat(_arrow().scalar(word, _arrow().large_string()), n))
    code, names = (-1, ()) if word is None or not n else (0, (word,))
    return pd.Categorical.from_codes(np.full(n, code, dtype=np.int8), dtype=_category(names), validate=False)


def _texts(values: Any, codes: Any = None) -> Any:
    """Text as pandas keeps it: of each value, or of the value that each code stands for."""
    import pandas as pd

    pa = _arrow()
    texts = values if isinstance(values, pa.Array) else pa.array(values).cast(pa.large_string())
    if codes is not None:
        texts = texts.take(pa.array(codes))
    made: Any = pd.arrays.ArrowStringArray
    return made(texts, dtype=pd.StringDtype("pyarrow", na_value=np.nan))


def _arrow() -> Any:
    return import_module("pyarrow")


def _categories(words: Sequence[str | None], codes: Any) -> pd.Categorical:
    """Words that repeat: the categories are those that occur, in the order of the alphabet."""
    import pandas as pd

    there = {words[code] for code in _occurring(codes, len(words))}
    names = tuple(sorted(word for word in there if word is not None))
    place = [names.index(word) if word in names else -1 for word in words]
    kind = np.int8 if len(names) <= _MOST_IN_BYTES else np.int64
    placed: Any = np.array(place, dtype=kind)[codes]
    return pd.Categorical.from_codes(placed, dtype=_category(names), validate=False)


def _occurring(codes: Any, n: int) -> list[int]:
    """Which of the codes from 0 to `n` - 1 there are."""
    if n <= _FEW:
        return [code for code in range(n) if (codes == code).any()]
    return np.flatnonzero(np.bincount(codes, minlength=n)).tolist()


@lru_cache(maxsize=64)
def _category(names: tuple[str, ...]) -> pd.CategoricalDtype:
    """The type of a column of these words; making one takes longer than filling the column."""
    import pandas as pd

    return pd.CategoricalDtype(pd.Index(names, dtype="str"))
