"""Files of funding rates and of trades, and what tells them from files of candles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..errors import DataError
from ..series import Kind, on_the_hour, sanitize_funding, sanitize_trades
from .columns import TIME, Columns, Notes, Recognised, as_numbers, ascending, decimals_of, left_out
from .moments import read_moments
from .recognise import PRICES
from .table import is_number

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from ..bars import Quality
    from .table import Table

    type Floats = npt.NDArray[np.float64]
    type Times = npt.NDArray[np.int64]

__all__ = ["kind_by_columns", "read_funding", "read_trades"]

_RATE = (  # what was charged says more than what was foretold
    *("realized_rate", "realizedrate", "real_funding_rate", "settled_funding_rate", "last_funding_rate"),
    *("lastfundingrate", "funding_rate", "fundingrate"),
)
_RATE_TIME = (
    "calc_time",
    "calctime",
    "funding_time",
    "fundingtime",
    "funding_rate_timestamp",
    "fundingratetimestamp",
)
_PRICE = ("price", "p", "px", "trade_price", "last_price", "last")
_QTY = ("qty", "quantity", "amount", "size", "sz", "q", "base_qty", "volume", "vol", "v")
_TRADE_TIME = ("transact_time", "trade_time", "tradetime", "created_time", "createdtime", "exec_time")
_ID = ("id", "trade_id", "tradeid", "agg_trade_id", "aggtradeid", "trdmatchid", "exec_id", "execid", "tid", "a")
_SIDE = ("side", "taker_side", "takerside", "direction")
_BUYER_IS_MAKER = ("is_buyer_maker", "isbuyermaker", "buyer_maker", "m")
_SIDES = {"buy": 1, "b": 1, "bid": 1, "1": 1, "sell": -1, "s": -1, "ask": -1, "-1": -1}
_MAKERS = {"true": -1, "1": -1, "t": -1, "false": 1, "0": 1, "f": 1}  # a buyer who waited: the taker sold
_LIKELY = 0.005  # half of a contract's rates lie below this, by far


def kind_by_columns(table: Table, path: Path) -> Kind | None:
    """Return what a table holds for certain: funding rates or trades; None for candles and what can't be told."""
    columns = Columns(table, path)
    if table.names is None:
        return Kind.TRADES if _maker_by_place(table) is not None else None
    if all(columns.first(aliases) is not None for aliases in PRICES.values()):
        return None
    if _rate_column(columns) is not None:
        return Kind.FUNDING
    has_trades = columns.first(_PRICE) is not None and columns.first(_QTY) is not None
    return Kind.TRADES if has_trades and columns.first((*_TRADE_TIME, *TIME)) is not None else None


def read_funding(path: Path, table: Table, *, date_format: str | None = None) -> Recognised:
    """Recognise the funding rates in a table.

    Raises:
        ConfigError: its dates can be read in two ways.
        DataError: there is no column of times or rates, no sound rate, or the rates are no fractions.
    """
    columns, notes = Columns(table, path), Notes([*table.facts], [])
    roles = _funding_roles(columns)
    time, unit = read_moments(columns.cells(roles["time"]), path, date_format)
    rate = _fractions(columns, roles["rate"], notes.mended)
    notes.facts.append(("columns", ", ".join(f"{role}: {columns.label(at)}" for role, at in roles.items())))
    notes.facts.append(("time", unit))
    time, rate = ascending([_on_the_hour(time, notes.mended), rate], notes.facts)
    rows, quality = sanitize_funding(time, rate, source=path.name)
    if rows.empty:
        raise DataError(f"{path}: none of its {time.size} rows is a sound funding rate")
    if float(np.median(np.abs(rows["rate"]))) > _LIKELY:
        raise DataError(
            f"{path}: half of its rates are above {_LIKELY:.1%}, so they seem to be in percent; "
            "write fractions (0.0001 = 0.01 %) or put % behind each"
        )
    return _recognised(Kind.FUNDING, path, columns, roles, notes, rows, quality, time.size)


def read_trades(path: Path, table: Table, *, date_format: str | None = None) -> Recognised:
    """Recognise the trades in a table.

    Raises:
        ConfigError: its dates can be read in two ways.
        DataError: there is no column of times, prices or quantities, or no sound trade.
    """
    columns, notes = Columns(table, path), Notes([*table.facts], [])
    roles = _trade_roles(columns)
    time, unit = read_moments(columns.cells(roles["time"]), path, date_format)
    price, qty = columns.numbers(roles["price"]), columns.numbers(roles["quantity"])
    side = _sides(columns, roles, notes.facts)
    ids: Any = np.asarray(columns.cells(roles["id"])) if "id" in roles else np.zeros(0)
    notes.facts.append(("columns", ", ".join(f"{role}: {columns.label(at)}" for role, at in roles.items())))
    notes.facts.append(("time", unit))
    time, price, qty, side, ids = ascending([time, price, qty, side, ids], notes.facts)
    rows, quality = sanitize_trades(time, price, qty, side, ids if "id" in roles else None, source=path.name)
    if rows.empty:
        raise DataError(f"{path}: none of its {time.size} rows is a sound trade")
    return _recognised(Kind.TRADES, path, columns, roles, notes, rows, quality, time.size)


def _recognised(
    kind: Kind,
    path: Path,
    columns: Columns,
    roles: dict[str, int],
    notes: Notes,
    rows: pd.DataFrame,
    quality: Quality,
    rows_read: int,
) -> Recognised:
    return Recognised(
        kind=kind,
        rows=rows,
        quality=quality,
        name=path.name,
        digest=columns.table.digest,
        rows_read=rows_read,
        price_decimals=decimals_of(rows["price"].to_numpy()) if kind is Kind.TRADES else None,
        symbol=columns.symbol(roles),
        facts=tuple(notes.facts),
        mended=tuple(notes.mended),
        left_out=(*columns.table.left_out, *left_out(kind, quality)),
    )


def _rate_column(columns: Columns) -> int | None:
    """Return the column of a funding rate: by a name in the list, or one such as ``Funding Rate (%)``."""
    known = columns.first(_RATE)
    if known is not None:
        return known
    return next((at for at, name in enumerate(columns.names) if re.search("funding_?rate(?!.*time)", name)), None)


def _funding_roles(columns: Columns) -> dict[str, int]:
    if columns.table.names is None:
        if len(columns.table.columns) == 2:
            return {"time": 0, "rate": 1}
        raise DataError(f"{columns.path} has no header, and more columns than time and rate; add a header line")
    rate = _rate_column(columns)
    found = {
        "time": columns.first((*_RATE_TIME, *TIME)),
        "rate": columns.first(("rate",)) if rate is None else rate,
    }
    return _complete(columns, found, ("time", "rate"))


def _trade_roles(columns: Columns) -> dict[str, int]:
    if columns.table.names is None:
        at = _maker_by_place(columns.table)
        if at is None:
            raise DataError(f"{columns.path} has no header, and its columns are not those of an archive; add one")
        return {"time": at - 1, "price": 1, "quantity": 2, "id": 0, "buyer is maker": at}
    found = {
        "time": columns.first((*_TRADE_TIME, *TIME)),
        "price": columns.first(_PRICE),
        "quantity": columns.first(_QTY),
        "id": columns.first(_ID),
        "side": columns.first(_SIDE),
    }
    if found["side"] is None:
        found["buyer is maker"] = columns.first(_BUYER_IS_MAKER)
    return _complete(columns, found, ("time", "price", "quantity"))


def _complete(columns: Columns, found: dict[str, int | None], needed: tuple[str, ...]) -> dict[str, int]:
    missing = [role for role in needed if found[role] is None]
    if missing:
        said = ", ".join(columns.table.names or ())
        raise DataError(f"{columns.path}: no column for {', '.join(missing)} among {said}; rename the columns")
    return {role: at for role, at in found.items() if at is not None}


def _maker_by_place(table: Table) -> int | None:
    """Return the column that says "buyer is maker" in a headerless archive of Binance's; the time precedes it.

    Such a row is id, price, quantity, one to three more numbers, time, True or False.
    """
    first = [str(column[0]).strip().lower() for column in table.columns]
    words = [at for at, cell in enumerate(first) if cell in ("true", "false")]
    return words[0] if words and words[0] in (5, 6) and all(map(is_number, first[: words[0]])) else None


def _fractions(columns: Columns, at: int, mended: list[str]) -> Floats:
    """Read rates; those in percent, as their name or each of them says, become fractions."""
    cells = columns.cells(at)
    label = columns.label(at).lower()
    if isinstance(cells, list):
        words = [word.strip() for word in cast("list[str]", cells)]
        marked = [word.endswith("%") for word in words]
        if any(marked):
            mended.append(f"{sum(marked)} rates were written in percent: divided by 100")
            values = as_numbers([word.rstrip("% ") for word in words])
            return np.where(marked, values / 100.0, values)
    rate = columns.numbers(at)
    if "%" in label or re.search("pct|percent", label):
        mended.append(f"the column {columns.label(at)!r} says percent: divided by 100")
        return rate / 100.0
    return rate


def _on_the_hour(time: Times, mended: list[str]) -> Times:
    moved = on_the_hour(time)
    late = time - moved
    if late.any():
        mended.append(
            f"{np.count_nonzero(late)} times up to {late.max()} ms after the full hour were set to the hour"
        )
    return moved


def _sides(columns: Columns, roles: dict[str, int], facts: list[tuple[str, str]]) -> npt.NDArray[np.int8]:
    """Return who took each trade: 1 the buyer, -1 the seller, 0 unknown."""
    import pandas as pd

    at = roles.get("side", roles.get("buyer is maker"))
    if at is None:
        facts.append(("side", "none in the file: unknown for every trade"))
        return np.zeros(len(columns.cells(0)), dtype=np.int8)
    meaning = _SIDES if "side" in roles else _MAKERS
    words, place = np.unique(pd.Series(columns.cells(at)).astype(str).to_numpy(dtype=str), return_inverse=True)
    side = np.array([meaning.get(word.strip().lower(), 0) for word in words], dtype=np.int8)[place]
    unknown = int((side == 0).sum())
    if unknown:
        facts.append(("side", f"unknown for {unknown} trades"))
    return side
