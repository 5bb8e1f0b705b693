"""Columns of a table -> sound candles, with everything that was recognised, mended and left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ..bars import COLUMNS, Quality, frame, sanitize
from ..errors import DataError
from ..exchanges.symbols import STABLE
from ..timeframe import floor, parse
from .moments import NAT, read_moments, when
from .table import read_table
from .volumes import from_quote, unswapped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from .table import Table

    type Floats = npt.NDArray[np.float64]
    type Times = npt.NDArray[np.int64]

__all__ = ["Recognised", "read_candles"]

_PRICES = {
    "open": ("open", "o", "open_price", "price_open", "opening_price"),
    "high": ("high", "h", "max", "high_price", "price_high"),
    "low": ("low", "l", "min", "low_price", "price_low"),
    "close": ("close", "c", "last", "close_price", "price_close", "closing_price"),
}
_TIME = (  # in this order: numbers say more than text, and a time more than a date
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
    *(
        "datetime",
        "date_time",
        "gmt_time",
        "local_time",
        "utc_time",
        "time_period_start",
        "start_time",
        "start",
        "begin",
    ),
    *("time", "date", "t", "utc", "date_utc", "open_date", "candle_begin_time", "bar_time", "index", ""),
)
_CLOSE_TIME = ("close_time", "closetime", "time_close", "end_time", "end", "time_period_end", "close_date")
_VOLUME = (
    "volume",
    "vol",
    "v",
    "base_volume",
    "volume_base",
    "volumefrom",
    "volume_from",
    "volume_traded",
    "amount",
)
_VOLUME_QUOTE = (
    *("quote_volume", "volume_quote", "quote_asset_volume", "quotevolume", "volumeto", "volume_to", "turnover"),
    *("quote_vol", "vol_quote", "volccyquote", "volume_notional", "qv", "q"),
)
_TICKS = ("tickvol", "tick_volume", "ticks")
_SYMBOL = ("symbol", "pair", "ticker", "instrument", "inst_id", "market")
_ORDERS = {  # headerless files put their prices in one of these orders
    "open, high, low, close": (0, 1, 2, 3),
    "open, close, high, low": (0, 2, 3, 1),
    "low, high, open, close": (2, 1, 0, 3),
}
_QUOTES = (*STABLE, "EUR", "GBP", "JPY", "TRY", "BRL", "AUD", "KRW")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """The candles of one file. `symbol` is what a column of it says; `price_decimals` those of its prices."""

    candles: pd.DataFrame
    quality: Quality
    name: str
    digest: str
    rows_read: int
    price_decimals: int
    symbol: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    mended: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def read_candles(path: Path, *, timeframe: str | None = None, date_format: str | None = None) -> Recognised:
    """Recognise the candles in a CSV or Parquet file.

    Args:
        path: The file; gzip and zip are unpacked.
        timeframe: The candles' timeframe; None takes the most common distance between two of them.
        date_format: A strptime format for its dates, needed only where they can be read in two ways.

    Raises:
        ConfigError: no such file, or its dates can be read in two ways.
        DataError: no candles can be recognised in it.
    """
    table = read_table(path)
    columns = _Columns(table, path)
    notes = _Notes([*table.facts], [])
    roles = columns.roles()
    time, unit = read_moments(columns.time_cells(roles), path, date_format)
    prices = [columns.numbers(roles[name]) for name in COLUMNS[:4]]
    if table.names is None:
        prices = _ordered(prices, path, notes.mended)
    volume = columns.volume(roles, prices, time, notes)
    notes.facts.append(("columns", ", ".join(f"{role}: {columns.label(at)}" for role, at in roles.items())))
    notes.facts.append(("time", unit))
    time, *values = _ascending([time, *prices, volume], notes.facts)
    if "close time" in roles:
        time = _opens(time, timeframe, path, notes.mended)
    try:
        candles, quality = sanitize(frame(time, values), timeframe, source=path.name)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    if candles.empty:
        raise DataError(f"{path}: none of its {time.size} rows is a sound candle of {quality.timeframe}")
    return Recognised(
        candles=candles,
        quality=quality,
        name=path.name,
        digest=table.digest,
        rows_read=int(time.size),
        price_decimals=_price_decimals(candles),
        symbol=columns.symbol(roles),
        facts=tuple(notes.facts),
        mended=tuple(notes.mended),
        left_out=(*table.left_out, *_left_out(quality)),
    )


class _Notes(NamedTuple):
    """What is to be reported, as it grows."""

    facts: list[tuple[str, str]]
    mended: list[str]


class _Columns:
    """The columns of a table by what they hold."""

    def __init__(self, table: Table, path: Path) -> None:
        self._table, self._path = table, path
        names = table.names or ()
        self._names = [re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_") for name in names]

    def label(self, at: int) -> str:
        """Name column `at` as the file does, or by its number from 1."""
        return (self._table.names[at] or "(unnamed)") if self._table.names else f"#{at + 1}"

    def roles(self) -> dict[str, int]:
        """Map what is needed to the number of the column that holds it."""
        if self._table.names is None:
            return self._roles_by_place()
        found = self._time_roles() | {
            name: at for name, aliases in _PRICES.items() if (at := self._first(aliases)) is not None
        }
        missing = [name for name in _PRICES if name not in found]
        missing += [] if "time" in found or "close time" in found else ["time"]
        if missing:
            said = ", ".join(self._table.names)
            raise DataError(f"{self._path}: no column for {', '.join(missing)} among {said}; rename the columns")
        return found | self._volume_roles()

    def _time_roles(self) -> dict[str, int]:
        time, closing, date = self._first(_TIME), self._first(_CLOSE_TIME), self._first(("date", "day"))
        if time is None:
            return {} if closing is None else {"close time": closing}
        if self._names[time] == "time" and date is not None:
            return {"date": date, "time": time}
        return {"time": time}

    def _roles_by_place(self) -> dict[str, int]:
        """Headerless files: time, four prices, volume; with twelve columns also the quote volume (Binance)."""
        columns = self._table.columns
        split = len(columns) > 6 and all(":" in cell for cell in columns[1][:20])  # a column for the time of day
        start = 2 if split else 1
        found = {"date": 0, "time": 1} if split else {"time": 0}
        found |= {name: start + at for at, name in enumerate(_PRICES)}
        if len(columns) > start + 4:
            found["volume"] = start + 4
        if len(columns) == 12:
            found["quote volume"] = 7
        return found

    def _volume_roles(self) -> dict[str, int]:
        base, quote = self._first(_VOLUME), self._first(_VOLUME_QUOTE)
        for at, name in enumerate(self._names):
            match = re.fullmatch(r"(?:volume|vol)_([a-z0-9]+)|([a-z0-9]+)_(?:volume|vol)", name)
            currency = (match[1] or match[2]).upper() if match else None
            if currency in _QUOTES and quote is None:
                quote = at
            elif currency and currency.lower() not in ("base", "quote", "tick", "adj", *("from", "to")):
                if base is not None and quote is None and currency not in _QUOTES:
                    quote = base  # "volume_btc" beside a plain "volume": the plain one counts in quote
                base = at if currency not in _QUOTES else base
        if base is None and quote is None:
            base = self._first(_TICKS)
        return {role: at for role, at in (("volume", base), ("quote volume", quote)) if at is not None}

    def _first(self, aliases: tuple[str, ...]) -> int | None:
        return next((self._names.index(alias) for alias in aliases if alias in self._names), None)

    def time_cells(self, roles: dict[str, int]) -> Any:
        """Return the column of times; a date and a time of day are joined."""
        columns = self._table.columns
        if "date" in roles:
            return [
                f"{day} {clock}" for day, clock in zip(columns[roles["date"]], columns[roles["time"]], strict=True)
            ]
        return columns[roles.get("time", roles.get("close time", 0))]

    def numbers(self, at: int) -> Floats:
        """Read a column as float64; what is no number becomes NaN."""
        cells = self._table.columns[at]
        if not isinstance(cells, list):
            import pandas as pd

            converted = cast("Any", pd.to_numeric)(cells, errors="coerce")
            return cast("Floats", converted.to_numpy(dtype=np.float64, na_value=np.nan))
        return _numbers(cast("list[str]", cells))

    def volume(self, roles: dict[str, int], prices: Sequence[Floats], time: Times, notes: _Notes) -> Floats:
        """Return the volume in base units: as it stands, mended where two columns swap, or made from quote."""
        base = self.numbers(roles["volume"]) if "volume" in roles else None
        quote = self.numbers(roles["quote volume"]) if "quote volume" in roles else None
        if base is not None and quote is not None:
            names = self.label(roles["volume"]), self.label(roles["quote volume"])
            return unswapped(base, quote, prices, time, self._table.lines, names, notes.mended)
        if base is not None:
            return base
        if quote is not None:
            return from_quote(quote, prices[3], notes.mended)
        notes.facts.append(("volume", "none in the file: 0 for every candle"))
        return np.zeros(prices[0].size)

    def symbol(self, roles: dict[str, int]) -> str | None:
        """Return what the symbol column says, if there is one and it says one thing throughout."""
        at = self._first(_SYMBOL)
        if at is None or at in roles.values():
            return None
        said = {str(cell).strip() for cell in self._table.columns[at]}
        if len(said) > 1:
            raise DataError(
                f"{self._path} holds {len(said)} symbols ({', '.join(sorted(said)[:4])}); split the file"
            )
        return said.pop() or None


def _numbers(cells: list[str]) -> Floats:
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


def _ordered(prices: list[Floats], path: Path, mended: list[str]) -> list[Floats]:
    """Find the order of a headerless file's prices: the first one in which the highs and lows span the rest."""
    for name, places in _ORDERS.items():
        o, h, low, c = (prices[at] for at in places)
        with np.errstate(invalid="ignore"):
            fits = (h >= np.maximum(o, c)) & (low <= np.minimum(o, c))
        if fits.mean() >= 0.9:
            if places != (0, 1, 2, 3):
                mended.append(f"without a header, the prices were found in the order {name}: no other one fits")
            return [o, h, low, c]
    raise DataError(f"{path} has no header, and its prices are in no known order; add a header line")


def _ascending(columns: list[Any], facts: list[tuple[str, str]]) -> list[Any]:
    """Turn a file that is newest first round; what is still out of order is for `sanitize` to sort and count."""
    time = columns[0]
    steps = np.diff(time[time != NAT])
    if steps.size and (steps < 0).mean() > 0.5:
        facts.append(("order", "newest first: turned round"))
        return [column[::-1] for column in columns]
    facts.append(("order", "oldest first" if not (steps < 0).any() else "mixed: sorted"))
    return columns


def _opens(time: Times, timeframe: str | None, path: Path, mended: list[str]) -> Times:
    """Turn close times (the next open, or up to a second short of it) into open times."""
    known = time[time != NAT]
    if timeframe is None and known.size < 2:
        raise DataError(f"{path} gives one close time, which does not tell the timeframe; say which one it is")
    distances, counts = np.unique(np.abs(np.diff(known)), return_counts=True)
    length = parse(timeframe) if timeframe is not None else int(distances[counts.argmax()])
    mended.append("the file gives close times: each candle was moved back to its open time")
    offset = floor(0, length)
    return np.where(time == NAT, NAT, (time - 1 - offset) // length * length + offset)


def _price_decimals(candles: pd.DataFrame) -> int:
    """Return the fewest decimals (at most 10) that write 99.5 % of the prices exactly."""
    prices = candles[["open", "high", "low", "close"]].to_numpy(dtype=np.float64)
    return next((d for d in range(10) if (np.round(prices, d) == prices).mean() >= 0.995), 10)


def _left_out(quality: Quality) -> list[str]:
    """Count and locate the rows that were dropped."""
    kinds = {
        "not_a_number": ("not_a_number", "row(s) with a value that is no number"),
        "impossible": ("impossible", "impossible candle(s)"),
        "duplicates": ("duplicate", "row(s) with the time of a later row"),
        "misaligned": ("misaligned", f"candle(s) whose time is no open time of {quality.timeframe}"),
    }
    found: list[str] = []
    for field, (kind, said) in kinds.items():
        count = int(getattr(quality, field))
        if count:
            places = [when(time) for name, time in quality.examples if name == kind]
            found.append(
                f"{count} {said}"
                + (f": {', '.join(places)}{', ...' if count > len(places) else ''}" if places else "")
            )
    return found
