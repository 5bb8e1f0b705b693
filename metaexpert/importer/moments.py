"""A column of times in any unit or notation -> int64 milliseconds UTC."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    type Times = npt.NDArray[np.int64]

__all__ = ["NAT", "read_moments", "when"]

NAT = np.iinfo(np.int64).min
"""What stands for a moment that could not be read."""
_UNITS = {"seconds": 1e-3, "milliseconds": 1.0, "microseconds": 1e3, "nanoseconds": 1e6}  # units in a millisecond
_EARLIEST, _LATEST = 1.0e12, 4.2e12  # ms: 2001 to 2103, so that every unit has a range of its own
_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_NOTATIONS = (
    *("%Y-%m-%d %I-%p", "%Y.%m.%d %H:%M:%S", "%Y.%m.%d %H:%M", "%Y.%m.%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M"),
    *(
        "%Y/%m/%d",
        "%Y%m%d %H%M%S",
        "%Y%m%d %H:%M:%S",
        "%Y%m%d %H%M",
        "%Y%m%d",
        "%b %d, %Y",
        "%d %b %Y",
        "%d-%b-%Y",
    ),
)
_DAY_OR_MONTH_FIRST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(.*)")
_CLOCKS = ("", " %H:%M:%S", " %H:%M", " %H:%M:%S.%f", " %I:%M:%S %p", " %I:%M %p")
_SAMPLE = 20


def when(time_ms: int) -> str:
    """Write a moment for people, to the minute: ``2024-01-31 12:00``."""
    return str(np.datetime64(time_ms, "ms").astype("datetime64[m]")).replace("T", " ")


def read_moments(cells: Any, path: Path, date_format: str | None) -> tuple[Times, str]:
    """Read a column of times; a cell that is none becomes NaT (the smallest int64).

    Args:
        cells: A list of text, or a pandas Series.
        path: The file, for messages.
        date_format: A strptime format, or None to recognise the notation.

    Returns:
        The times, and in words what they were recognised as.

    Raises:
        ConfigError: the dates can be read in two ways, or do not match `date_format`.
        DataError: the column holds no times.
    """
    if not isinstance(cells, list):
        series = cast("pd.Series[Any]", cells)
        if series.dtype.kind == "M" or hasattr(series.dtype, "tz"):
            return _from_pandas(series), "timestamps (UTC)"
        cells = [str(cell) for cell in series.tolist()]
    words = cast("list[str]", cells)
    if date_format is not None:
        return _by_format(words, date_format, path), f"{date_format} (UTC unless it says a zone)"
    numbers = _numbers(words)
    if np.isfinite(numbers).mean() > 0.5:
        return _epochs(words, numbers, path)
    return _notation(words, path)


def _numbers(words: list[str]) -> npt.NDArray[np.float64]:
    try:
        return np.array(words, dtype=np.float64)
    except ValueError:
        return np.array([float(word) if re.fullmatch(r"\s*\d+(\.\d*)?\s*", word) else np.nan for word in words])


def _epochs(words: list[str], numbers: npt.NDArray[np.float64], path: Path) -> tuple[Times, str]:
    """Read numbers since 1970, each in the unit whose range it lies in, or digits of a date."""
    lengths = {len(word.strip()) for word in words[:_SAMPLE]}
    digits = _DIGITS.get(lengths.pop()) if len(lengths) == 1 else None
    if digits is not None and words[0].strip()[:2] in ("19", "20"):
        read = _strptime(words, digits)
        if (read != NAT).mean() > 0.5:
            return read, f"{digits} (UTC)"
    time = np.full(numbers.size, NAT, dtype=np.int64)
    seen: list[str] = []
    for name, scale in _UNITS.items():
        mine = (numbers >= _EARLIEST * scale) & (numbers < _LATEST * scale)
        if mine.any():
            time[mine] = np.rint(numbers[mine] / scale).astype(np.int64)
            seen.append(f"{name} since 1970" + ("" if mine.all() else f" ({int(mine.sum())} rows)"))
    if not seen:
        raise DataError(
            f"{path}: {words[0]!r} is no time between 2001 and 2100 in any unit; check the time column"
        )
    return time, ", ".join(seen)


def _notation(words: list[str], path: Path) -> tuple[Times, str]:
    import pandas as pd

    words = [re.sub(r"\s*GMT([+-]\d{4})?$", r"\1", word.strip()) for word in words]
    sample = pd.Series(words[:_SAMPLE] + words[-_SAMPLE:])
    iso = pd.to_datetime(sample, format="ISO8601", utc=True, errors="coerce")
    if iso.notna().mean() > 0.5:
        zoned = bool(re.search(r"(Z|[+-]\d{2}:?\d{2})$", words[0])) and ":" in words[0]
        return _from_pandas(pd.to_datetime(pd.Series(words), format="ISO8601", utc=True, errors="coerce")), (
            "ISO 8601 with a zone" if zoned else "ISO 8601 without a zone: taken as UTC"
        )
    for notation in (*_NOTATIONS, *_slashed(words, path)):
        if (_strptime(sample.tolist(), notation) != NAT).mean() > 0.5:
            zone = "with its zone" if notation.endswith("%z") else "taken as UTC"
            return _strptime(words, notation), f"{notation}, {zone}"
    raise DataError(
        f"{path}: {words[0]!r} is no time that can be recognised; say how to read it, e.g. --date-format %d.%m.%Y"
    )


def _slashed(words: list[str], path: Path) -> list[str]:
    """Return the formats of dates such as 31/12/2024, after proving which number is the day."""
    matches = [match for word in words if (match := _DAY_OR_MONTH_FIRST.match(word))]
    if len(matches) < 0.5 * len(words):
        return []
    first, second = max(int(match[1]) for match in matches), max(int(match[3]) for match in matches)
    if first > 12 and second > 12:
        raise DataError(f"{path} mixes day-first and month-first dates; write them as 2024-12-31")
    if first <= 12 and second <= 12:
        raise ConfigError(
            f"{path}: {words[0]!r} can be day or month first, and no date in the file proves which; "
            f"add --date-format, e.g. %d{matches[0][2]}%m{matches[0][2]}%Y"
        )
    mark = matches[0][2]
    day = f"%d{mark}%m{mark}%Y" if first > 12 else f"%m{mark}%d{mark}%Y"
    return [day + clock + zone for clock in _CLOCKS for zone in ("", "%z")]


def _by_format(words: list[str], date_format: str, path: Path) -> Times:
    time = _strptime(words, date_format)
    if (time == NAT).mean() > 0.5:
        raise ConfigError(f"{path}: {words[0]!r} does not match --date-format {date_format!r}")
    return time


def _strptime(words: list[str], notation: str) -> Times:
    import pandas as pd

    try:
        return _from_pandas(pd.to_datetime(pd.Series(words), format=notation, utc=True, errors="coerce"))
    except ValueError as error:  # a format that Python does not know
        raise ConfigError(f"{notation!r} is no date format ({error}); write it like %d.%m.%Y %H:%M") from None


def _from_pandas(series: pd.Series[Any]) -> Times:
    import pandas as pd

    index = pd.DatetimeIndex(series)
    return (index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")).as_unit("ms").asi8
