"""The columns of a table by name, and what is told of a file once its rows are recognised."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ..errors import DataError
from ..series import Kind
from .moments import NAT, when

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from ..bars import Quality
    from .table import Table

    type Floats = npt.NDArray[np.float64]

__all__ = ["TIME", "Columns", "Notes", "Recognised", "as_numbers", "ascending", "decimals_of", "left_out"]

TIME = (  # in this order: numbers say more than text, and a time more than a date
    *(
        "unix",
        "unix_timestamp",
        "unix_time",
        "open_time",
        "opentime",
        "timestamp",
        "timestamp_ms",
        "ts",
        "time_open",
    ),
    *("datetime", "date_time", "gmt_time", "local_time", "utc_time", "time_period_start", "start_time", "start"),
    *("begin", "time", "date", "t", "utc", "date_utc", "open_date", "candle_begin_time", "bar_time", "index", ""),
)
"""What a column of times is called."""

_SYMBOL = ("symbol", "pair", "ticker", "instrument", "instrument_name", "inst_id", "instid", "market")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """The sound rows of one file, in the schema of their kind.

    `symbol` is what a column of the file says; `price_decimals` those of its prices, None where it has none.
    """

    kind: Kind
    rows: pd.DataFrame
    quality: Quality
    name: str
    digest: str
    rows_read: int
    price_decimals: int | None = None
    symbol: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    mended: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


class Notes(NamedTuple):
    """What is to be reported, as it grows."""

    facts: list[tuple[str, str]]
    mended: list[str]


class Columns:
    """The columns of a table; names are compared in lower case, with one underscore for all that is no letter."""

    def __init__(self, table: Table, path: Path) -> None:
        self.table, self.path = table, path
        names = table.names or ()
        self.names = [re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_") for name in names]

    def label(self, at: int) -> str:
        """Name column `at` as the file does, or by its number from 1."""
        return (self.table.names[at] or "(unnamed)") if self.table.names else f"#{at + 1}"

    def first(self, aliases: tuple[str, ...]) -> int | None:
        """Return the number of the column that bears the first of these names, if any."""
        return next((self.names.index(alias) for alias in aliases if alias in self.names), None)

    def numbers(self, at: int) -> Floats:
        """Read a column as float64; what is no number becomes NaN."""
        cells = self.table.columns[at]
        if not isinstance(cells, list):
            import pandas as pd

            converted = cast("Any", pd.to_numeric)(cells, errors="coerce")
            return cast("Floats", converted.to_numpy(dtype=np.float64, na_value=np.nan))
        return as_numbers(cast("list[str]", cells))

    def cells(self, at: int) -> Any:
        """Return a column as it was read: a list of text, or a pandas Series."""
        return self.table.columns[at]

    def symbol(self, roles: dict[str, int]) -> str | None:
        """Return what the symbol column says, if there is one and it says one thing throughout."""
        at = self.first(_SYMBOL)
        if at is None or at in roles.values():
            return None
        said = {str(cell).strip() for cell in self.table.columns[at]}
        if len(said) > 1:
            raise DataError(
                f"{self.path} holds {len(said)} symbols ({', '.join(sorted(said)[:4])}); split the file"
            )
        return said.pop() or None


def decimals_of(prices: Floats) -> int:
    """Return the fewest decimals (at most 10) that write 99.5 % of the prices exactly."""
    return next((d for d in range(10) if (np.round(prices, d) == prices).mean() >= 0.995), 10)


def left_out(kind: Kind, quality: Quality) -> list[str]:
    """Count and locate the rows that were dropped."""
    again = "id of an earlier" if kind is Kind.TRADES else "time of a later"
    kinds = {
        "not_a_number": ("not_a_number", "row(s) with a value that is no number"),
        "impossible": ("impossible", f"impossible {kind.noun}(s)"),
        "duplicates": ("duplicate", f"row(s) with the {again} row"),
        "misaligned": ("misaligned", f"candle(s) whose time is no open time of {quality.timeframe}"),
    }
    found: list[str] = []
    for field, (word, said) in kinds.items():
        count = int(getattr(quality, field))
        if count:
            places = [when(time) for name, time in quality.examples if name == word]
            where = f": {', '.join(places)}{', ...' if count > len(places) else ''}" if places else ""
            found.append(f"{count} {said}{where}")
    return found


def as_numbers(cells: list[str]) -> Floats:
    """Read text as float64, with a decimal point or comma; what is no number becomes NaN."""
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        return np.array([_number(cell) for cell in cells], dtype=np.float64)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        pass
    try:
        return float(cell.replace(",", ".")) if cell.count(",") == 1 and "." not in cell else np.nan
    except ValueError:
        return np.nan


def ascending(columns: list[Any], facts: list[tuple[str, str]]) -> list[Any]:
    """Turn a file that is newest first round; what is still out of order is for `sanitize` to sort and count."""
    time = columns[0]
    steps = np.diff(time[time != NAT])
    if (steps < 0).sum() > (steps > 0).sum():
        facts.append(("order", "newest first: turned round"))
        return [column[::-1] for column in columns]
    facts.append(("order", "oldest first" if not (steps < 0).any() else "mixed: sorted"))
    return columns
