"""Candles as DataFrames: one schema, resampling, and what is wrong with a series.

The schema, everywhere in the library: an index `time` of ``datetime64[ms, UTC]`` holding open times, strictly
ascending, and float64 columns `open`, `high`, `low`, `close`, `volume`. The volume is in base units, of inverse
contracts too (as CCXT has it); of an option in units of its underlying.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .errors import ConfigError, DataError
from .timeframe import TIMEFRAMES, floor, parse, timeframe_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    type Times = npt.NDArray[np.int64]
    type Floats = npt.NDArray[np.float64]
    type Mask = npt.NDArray[np.bool_]
    type Rows = npt.NDArray[np.int64]

__all__ = [
    "COLUMNS",
    "Quality",
    "coarser",
    "detached",
    "empty",
    "frame",
    "inspect",
    "resample",
    "sanitize",
    "times",
    "to_ms",
]

COLUMNS = ("open", "high", "low", "close", "volume")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_NAT = np.iinfo(np.int64).min
_EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What is sound and unsound in one series of candles; times are open times, int ms UTC.

    `gaps` holds (first missing open time, last missing open time, number of missing bars). `duplicates`,
    `disordered`, `not_a_number`, `impossible` and `misaligned` count rows of the raw input (0 for a clean
    series), with the open times of the first few in `examples`. A candle is impossible when its high or low does
    not span its open and close, or a price is not positive, or its volume is negative; misaligned when its open
    time is not one that its timeframe has in UTC (weeks open on Mondays, 3d counts from 1970-01-01).
    """

    rows: int
    timeframe: str
    start: int | None = None
    end: int | None = None
    gaps: tuple[tuple[int, int, int], ...] = ()
    duplicates: int = 0
    disordered: int = 0
    not_a_number: int = 0
    impossible: int = 0
    misaligned: int = 0
    zero_volume: int = 0
    examples: tuple[tuple[str, int], ...] = ()
    synthetic: bool = False
    source: str = ""

    @property
    def missing(self) -> int:
        """How many bars are missing between the first and the last."""
        return sum(count for _, _, count in self.gaps)

    @property
    def coverage(self) -> float:
        """Bars present as a fraction of the bars expected between the first and the last (1.0 = complete)."""
        return self.rows / (self.rows + self.missing) if self.rows else 0.0

    @property
    def unsound(self) -> int:
        """How many rows of the raw input were left out or stood in the wrong place; gaps are not counted."""
        return self.duplicates + self.disordered + self.not_a_number + self.impossible + self.misaligned


def frame(time: Times, values: Sequence[Floats]) -> pd.DataFrame:
    """Build a frame in the schema from open times (int64 ms UTC, shape (n,)) and five float64 columns of (n,)."""
    index = pd.DatetimeIndex(np.asarray(time, dtype=np.int64).view("datetime64[ms]"), name="time").tz_localize(
        "UTC"
    )
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)), index=index)


def empty() -> pd.DataFrame:
    """Return a frame of the schema without rows."""
    nothing = np.empty(0)
    return frame(np.empty(0, dtype=np.int64), (nothing,) * len(COLUMNS))


def detached[T: (pd.DataFrame, pd.Series)](values: T) -> T:
    """A copy that nothing written to `values` reaches, and the other way round; pandas 3 makes it for nothing."""
    return values.copy(deep=int(pd.__version__.partition(".")[0]) < 3)  # which copies when something is written


def times(candles: pd.DataFrame) -> Times:
    """Return the open times of `candles` as int64 milliseconds UTC, shape (n,)."""
    index = candles.index if isinstance(candles.index, pd.DatetimeIndex) else pd.DatetimeIndex(candles.index)
    return (index if index.unit == "ms" else index.as_unit("ms")).asi8


def to_ms(value: str | int | date | datetime, *, end: bool = False) -> int:
    """Return a moment as int ms UTC: ISO text, ms, a date, a datetime or a pandas Timestamp.

    Without a zone the time is UTC. The end of a span is exclusive; given as a date alone (``"2024-12-31"``,
    ``"2024-12"``, ``"2024"``) with `end=True` it includes that whole day, month or year.

    Raises:
        ConfigError: `value` is no moment.
    """
    if isinstance(value, datetime) and value == value:  # noqa: PLR0124 - NaT is a datetime that differs from itself
        return _datetime_ms(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return _datetime_ms(datetime(value.year, value.month, value.day, tzinfo=UTC) + timedelta(days=int(end)))
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        return _text_ms(value.strip(), end=end)
    raise ConfigError(f"{value!r} is no time; write 2024-01-31, '2024-01-31 12:00' (UTC) or milliseconds")


def _datetime_ms(moment: datetime) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int((aware - _EPOCH) // _MS)


def _text_ms(text: str, *, end: bool) -> int:
    if re.fullmatch(r"\d{12,14}", text):
        return int(text)
    try:
        part = re.fullmatch(r"(\d{4})(?:-(\d{1,2}))?", text)
        if part:
            year, month = int(part[1]), int(part[2] or 1)
            months = year * 12 + month - 1 + (int(end) * (1 if part[2] else 12))
            datetime(year, month, 1, tzinfo=UTC)
            return _datetime_ms(datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC))
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}|\d{8}", text):
            return to_ms(date.fromisoformat(text), end=end)
        return _datetime_ms(datetime.fromisoformat(text))
    except ValueError:
        raise ConfigError(
            f"{text!r} is no time; write 2024-01-31, '2024-01-31 12:00' (UTC) or milliseconds"
        ) from None


def resample(candles: pd.DataFrame, timeframe: str, *, source: str, until: int | None = None) -> pd.DataFrame:
    """Build coarser candles: first open, highest high, lowest low, last close, summed volume.

    Bars are aligned as `metaexpert.timeframe.floor` says (UTC; weeks open on Mondays). A span without any bar
    gives no row; a bar that closes after `until` (ms; default: the close of the last source bar) is left out,
    because it is not complete.

    Raises:
        ConfigError: `source` does not divide `timeframe`.
    """
    length, step = parse(timeframe), parse(source)
    if length % step:
        raise ConfigError(
            f"{timeframe} candles can't be made from {source} ones; use a timeframe that {source} divides"
        )
    time = times(candles)
    if length == step or time.size == 0:
        return candles.copy()
    opens = _floor(time, length)
    first = np.flatnonzero(np.concatenate(([True], opens[1:] != opens[:-1])))
    last = np.append(first[1:], time.size) - 1
    o, h, low, c, v = (_column(candles, name) for name in COLUMNS)
    columns = (
        o[first],
        np.maximum.reduceat(h, first),
        np.minimum.reduceat(low, first),
        c[last],
        np.add.reduceat(v, first),
    )
    known = int(time[-1]) + step if until is None else until
    whole = opens[first] + length <= known
    return frame(opens[first][whole], [column[whole] for column in columns])


def coarser(candles: pd.DataFrame, timeframe: str, *, source: str, until: int | None = None) -> pd.DataFrame:
    """`candles` in `timeframe` as `resample` builds them, without a first bar of which only the end is there."""
    made = resample(candles, timeframe, source=source, until=until)
    return made.iloc[1:] if len(made) and times(made)[0] < times(candles)[0] else made


def inspect(candles: pd.DataFrame, timeframe: str, *, synthetic: bool = False, source: str = "") -> Quality:
    """Count and locate what is unsound in `candles` (a frame as `sanitize` takes it), without mending it."""
    return _sift(candles, timeframe, synthetic=synthetic, source=source)[1]


def sanitize(
    raw: pd.DataFrame, timeframe: str | None = None, *, synthetic: bool = False, source: str = ""
) -> tuple[pd.DataFrame, Quality]:
    """Return the sound part of `raw` in the schema, and what was found.

    `raw` has the schema's columns and a datetime index (naive means UTC), in any order. Rows that are not a
    number or impossible are dropped, then the rest is sorted, of rows with one time the last one is kept, and
    rows off the grid of the timeframe are dropped:
    len(raw) = rows + not_a_number + impossible + duplicates + misaligned.

    Args:
        raw: The candles as they came.
        timeframe: Theirs; None takes the most common distance between two of them.
        synthetic: Passed on to the result.
        source: Passed on to the result.

    Raises:
        DataError: the timeframe can't be told, or the candles lie closer together than `timeframe`.
    """
    kept, quality = _sift(raw, timeframe, synthetic=synthetic, source=source)
    return frame(times(raw)[kept], [_column(raw, name)[kept] for name in COLUMNS]), quality


def _sift(raw: pd.DataFrame, timeframe: str | None, *, synthetic: bool, source: str) -> tuple[Rows, Quality]:
    """Which rows of `raw` are sound, in order, and what was found; see `sanitize`."""
    time = times(raw)
    values = [_column(raw, name) for name in COLUMNS]
    dated = time != _NAT
    no_number = ~dated
    for column in values:
        no_number |= ~np.isfinite(column)
    impossible = ~no_number & _impossible(values)
    known = _without(time, ~dated)
    backwards = known[1:][known[1:] < known[:-1]]
    found = [
        ("not_a_number", time[no_number & dated]),
        ("impossible", time[impossible]),
        ("disordered", backwards),
    ]
    examples = [(kind, int(t)) for kind, where in found for t in where[:_EXAMPLES]]

    kept = _without(np.arange(time.size), no_number | impossible)
    if backwards.size:
        kept = kept[np.argsort(time[kept], kind="stable")]
    sound = time[kept]
    repeated = np.append(sound[1:] == sound[:-1], False) if kept.size else np.zeros(0, dtype=np.bool_)
    examples += [("duplicate", int(t)) for t in sound[repeated][:_EXAMPLES]]
    kept, sound = _without(kept, repeated), _without(sound, repeated)
    length = _length(sound, timeframe)
    off_grid = _floor(sound, length) != sound
    examples += [("misaligned", int(t)) for t in sound[off_grid][:_EXAMPLES]]
    kept, sound = _without(kept, off_grid), _without(sound, off_grid)
    quality = Quality(
        rows=kept.size,
        timeframe=timeframe_of(length),
        start=int(sound[0]) if kept.size else None,
        end=int(sound[-1]) if kept.size else None,
        gaps=_gaps(sound, length),
        duplicates=int(np.count_nonzero(repeated)),
        disordered=backwards.size,
        not_a_number=int(np.count_nonzero(no_number)),
        impossible=int(np.count_nonzero(impossible)),
        misaligned=int(np.count_nonzero(off_grid)),
        zero_volume=int(np.count_nonzero((values[-1] == 0.0)[kept])),
        examples=tuple(examples),
        synthetic=synthetic,
        source=source,
    )
    return kept, quality


def _without(rows: Rows, unwanted: Mask) -> Rows:
    """`rows` but the unwanted ones; the same array, not a copy, where there are none."""
    return rows[~unwanted] if unwanted.any() else rows


def _column(candles: pd.DataFrame, name: str) -> Floats:
    return candles[name].to_numpy(dtype=np.float64)


def _impossible(values: Sequence[Floats]) -> Mask:
    o, h, low, c, v = values
    with np.errstate(invalid="ignore"):
        return (h < np.maximum(o, c)) | (low > np.minimum(o, c)) | (low <= 0.0) | (v < 0.0)


def _floor(time: Times, length: int) -> Times:
    offset = floor(0, length)  # of the weeks, which open on Mondays; 0 for every other timeframe
    return (time - offset) // length * length + offset


def _length(time: Times, timeframe: str | None) -> int:
    """Return the timeframe's length in ms: as said, else the most common distance of the sorted times."""
    wanted = parse(timeframe) if timeframe is not None else None
    if time.size < 2:
        if wanted is None:
            raise DataError(f"{time.size} sound candle(s) don't tell the timeframe; say which one it is")
        return wanted
    distances = np.diff(time)
    common = int(distances[0])
    if (distances != common).any():
        found, counts = np.unique(distances, return_counts=True)
        common = int(found[counts.argmax()])
    if wanted is None and common not in TIMEFRAMES.values():
        raise DataError(f"most candles lie {timedelta(milliseconds=common)} apart, which is no timeframe we know")
    if wanted is not None and common < wanted:
        raise DataError(
            f"most candles lie {timedelta(milliseconds=common)} apart: they are not {timeframe} candles"
        )
    return common if wanted is None else wanted


def _gaps(time: Times, length: int) -> tuple[tuple[int, int, int], ...]:
    where = np.flatnonzero(np.diff(time) > length)
    before, after = time[where].tolist(), time[where + 1].tolist()
    return tuple((a + length, b - length, (b - a) // length - 1) for a, b in zip(before, after, strict=True))
