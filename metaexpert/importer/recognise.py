"""Columns of a table -> sound candles, with everything that was recognised, mended and left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bars import COLUMNS, frame, sanitize
from ..errors import DataError
from ..exchanges.symbols import STABLE
from ..series import Kind
from ..timeframe import floor, parse
from .columns import TIME, Columns, Notes, Recognised, ascending, decimals_of, left_out
from .moments import NAT, read_moments
from .table import read_table
from .volumes import contract_size, from_quote, unswapped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from .table import Table

    type Floats = npt.NDArray[np.float64]
    type Times = npt.NDArray[np.int64]

__all__ = ["PRICES", "read_candles"]

PRICES = {
    "open": ("open", "o", "open_price", "price_open", "opening_price"),
    "high": ("high", "h", "max", "high_price", "price_high"),
    "low": ("low", "l", "min", "low_price", "price_low"),
    "close": ("close", "c", "last", "close_price", "price_close", "closing_price"),
}
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
_ORDERS = {  # headerless files put their prices in one of these orders
    "open, high, low, close": (0, 1, 2, 3),
    "open, close, high, low": (0, 2, 3, 1),
    "low, high, open, close": (2, 1, 0, 3),
}
_QUOTES = (*STABLE, "EUR", "GBP", "JPY", "TRY", "BRL", "AUD", "KRW")


def read_candles(
    path: Path,
    *,
    timeframe: str | None = None,
    date_format: str | None = None,
    kind: Kind = Kind.CANDLES,
    table: Table | None = None,
    inverse: bool = False,
) -> Recognised:
    """Recognise the candles in a CSV or Parquet file.

    Args:
        path: The file; gzip and zip are unpacked.
        timeframe: The candles' timeframe; None takes the most common distance between two of them.
        date_format: A strptime format for its dates, needed only where they can be read in two ways.
        kind: Of which price they are; those of mark and index prices have no volume, whatever the file says.
        table: The file's content, where it has been read already.
        inverse: They are of a future that settles in base, whose volume may count contracts.

    Raises:
        ConfigError: no such file, or its dates can be read in two ways.
        DataError: no candles can be recognised in it.
    """
    table = table or read_table(path, kind)
    columns = _Candles(table, path)
    notes = Notes([*table.facts], [])
    roles = columns.roles()
    time, unit = read_moments(columns.time_cells(roles), path, date_format)
    prices = [columns.numbers(roles[name]) for name in COLUMNS[:4]]
    if table.names is None:
        prices = _ordered(prices, path, notes.mended)
    if kind is Kind.CANDLES:
        volume = columns.volume(roles, prices, time, notes, inverse=inverse)
    else:
        volume = np.zeros(time.size)
        roles = {role: at for role, at in roles.items() if "volume" not in role}
    notes.facts.append(("columns", ", ".join(f"{role}: {columns.label(at)}" for role, at in roles.items())))
    notes.facts.append(("time", unit))
    time, *values = ascending([time, *prices, volume], notes.facts)
    if "close time" in roles:
        time = _opens(time, timeframe, path, notes.mended)
    try:
        candles, quality = sanitize(frame(time, values), timeframe, source=path.name)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    if candles.empty:
        raise DataError(f"{path}: none of its {time.size} rows is a sound candle of {quality.timeframe}")
    return Recognised(
        kind=kind,
        rows=candles,
        quality=quality,
        name=path.name,
        digest=table.digest,
        rows_read=int(time.size),
        price_decimals=decimals_of(candles[["open", "high", "low", "close"]].to_numpy(dtype=np.float64)),
        symbol=columns.symbol(roles),
        facts=tuple(notes.facts),
        mended=tuple(notes.mended),
        left_out=(*table.left_out, *left_out(kind, quality)),
    )


class _Candles(Columns):
    """The columns of a table of candles by what they hold."""

    def roles(self) -> dict[str, int]:
        """Map what is needed to the number of the column that holds it."""
        if self.table.names is None:
            return self._roles_by_place()
        found = self._time_roles() | {
            name: at for name, aliases in PRICES.items() if (at := self.first(aliases)) is not None
        }
        missing = [name for name in PRICES if name not in found]
        missing += [] if "time" in found or "close time" in found else ["time"]
        if missing:
            said = ", ".join(self.table.names)
            raise DataError(f"{self.path}: no column for {', '.join(missing)} among {said}; rename the columns")
        return found | self._volume_roles()

    def _time_roles(self) -> dict[str, int]:
        time, closing, date = self.first(TIME), self.first(_CLOSE_TIME), self.first(("date", "day"))
        if time is None:
            return {} if closing is None else {"close time": closing}
        if self.names[time] == "time" and date is not None:
            return {"date": date, "time": time}
        return {"time": time}

    def _roles_by_place(self) -> dict[str, int]:
        """Headerless files: time, four prices, volume; with twelve columns also the quote volume (Binance)."""
        columns = self.table.columns
        split = len(columns) > 6 and all(":" in cell for cell in columns[1][:20])  # a column for the time of day
        start = 2 if split else 1
        found = {"date": 0, "time": 1} if split else {"time": 0}
        found |= {name: start + at for at, name in enumerate(PRICES)}
        if len(columns) > start + 4:
            found["volume"] = start + 4
        if len(columns) == 12:
            found["quote volume"] = 7
        return found

    def _volume_roles(self) -> dict[str, int]:
        base, quote = self.first(_VOLUME), self.first(_VOLUME_QUOTE)
        for at, name in enumerate(self.names):
            match = re.fullmatch(r"(?:volume|vol)_([a-z0-9]+)|([a-z0-9]+)_(?:volume|vol)", name)
            currency = (match[1] or match[2]).upper() if match else None
            if currency in _QUOTES and quote is None:
                quote = at
            elif currency and currency.lower() not in ("base", "quote", "tick", "adj", *("from", "to")):
                if base is not None and quote is None and currency not in _QUOTES:
                    quote = base  # "volume_btc" beside a plain "volume": the plain one counts in quote
                base = at if currency not in _QUOTES else base
        if base is None and quote is None:
            base = self.first(_TICKS)
        return {role: at for role, at in (("volume", base), ("quote volume", quote)) if at is not None}

    def time_cells(self, roles: dict[str, int]) -> Any:
        """Return the column of times; a date and a time of day are joined."""
        columns = self.table.columns
        if "date" in roles:
            return [
                f"{day} {clock}" for day, clock in zip(columns[roles["date"]], columns[roles["time"]], strict=True)
            ]
        return columns[roles.get("time", roles.get("close time", 0))]

    def volume(
        self, roles: dict[str, int], prices: Sequence[Floats], time: Times, notes: Notes, *, inverse: bool
    ) -> Floats:
        """Return the volume in base units: as it stands, mended where two columns swap, or made from quote."""
        base = self.numbers(roles["volume"]) if "volume" in roles else None
        quote = self.numbers(roles["quote volume"]) if "quote volume" in roles else None
        if base is not None and quote is not None:
            names = self.label(roles["volume"]), self.label(roles["quote volume"])
            size = contract_size(base, quote, prices) if inverse else None
            if size is not None:
                notes.mended.append(
                    f"{names[0]!r} counts contracts of {size:g} USD: the volume in base is {names[1]!r}"
                )
                return quote
            return unswapped(base, quote, prices, time, self.table.lines, names, notes.mended)
        if base is not None:
            return base
        if quote is not None:
            return from_quote(quote, prices[3], notes.mended)
        notes.facts.append(("volume", "none in the file: 0 for every candle"))
        return np.zeros(prices[0].size)


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
