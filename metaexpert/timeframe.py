"""Timeframes: parse, align, next close. Time is UTC, int64 milliseconds since the epoch."""

import re

from .errors import ConfigError

__all__ = [
    "DAY_MS",
    "TIMEFRAMES",
    "TRADES",
    "duration",
    "floor",
    "length_of",
    "next_close",
    "parse",
    "timeframe_of",
]

DAY_MS = 86_400_000
TRADES = "trades"
"""Stands for a timeframe where bars are single trades."""
_WEEK_OFFSET_MS = 4 * DAY_MS  # 1970-01-05 was the first Monday: weeks open on Mondays, 00:00 UTC

TIMEFRAMES: dict[str, int] = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
}
"""The timeframes that the exchanges offer, each with its length in milliseconds, shortest first."""

_UNITS = {
    word: length
    for words, length in (
        ("m min mins minute minutes t", 60_000),
        ("h hr hrs hour hours", 3_600_000),
        ("d day days", DAY_MS),
        ("w wk week weeks", 7 * DAY_MS),
    )
    for word in words.split()
}


def parse(text: str) -> int:
    """Return the length of timeframe `text` in milliseconds, e.g. ``"1h"`` -> 3_600_000.

    Raises:
        ConfigError: `text` is no timeframe. ``"10m"`` is refused, never rounded to another one.
    """
    length = TIMEFRAMES.get(text)
    if length is not None:
        return length
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - it comes from the outside
        raise ConfigError(f"unknown timeframe {text!r}: it is a text such as '1h'")
    hint = ""
    match = re.fullmatch(r"(\d+)\s*([A-Za-z]+)", str(text).strip())
    if match:
        unit = 0 if match[2] == "M" else _UNITS.get(match[2].lower(), 0)  # M is a month
        wanted = int(match[1]) * unit
        same = [name for name, ms in TIMEFRAMES.items() if ms == wanted]
        hint = f"; did you mean {same[0]!r}?" if same else ""
    raise ConfigError(f"unknown timeframe {text!r}{hint or _all()}")


def duration(text: str) -> int:
    """Return the length of ``"10s"``, ``"7m"``, ``"90m"`` or any timeframe in milliseconds.

    Raises:
        ConfigError: `text` is no whole number of seconds, minutes, hours, days or weeks above zero.
    """
    match = re.fullmatch(r"([1-9]\d*)([smhdw])", text)
    if match is None:
        raise ConfigError(f"unknown length of bars {text!r}: write a number of s, m, h, d or w, such as '10s'")
    return int(match[1]) * (1000 if match[2] == "s" else _UNITS[match[2]])


def _all() -> str:
    return f"; use one of {', '.join(TIMEFRAMES)}"


def length_of(timeframe: str) -> int:
    """Return how many milliseconds a bar lasts: those of its timeframe, one for a single trade."""
    return 1 if timeframe == TRADES else parse(timeframe)


def floor(time_ms: int, length_ms: int) -> int:
    """Return the open time of the bar of `length_ms` that covers `time_ms`. Weekly bars open on Mondays."""
    offset = _WEEK_OFFSET_MS if length_ms == TIMEFRAMES["1w"] else 0
    return (time_ms - offset) // length_ms * length_ms + offset


def next_close(time_ms: int, length_ms: int) -> int:
    """Return the first close of a bar of `length_ms` that lies after `time_ms`."""
    return floor(time_ms, length_ms) + length_ms


def timeframe_of(length_ms: int) -> str:
    """Return the name of the timeframe that is `length_ms` long.

    Raises:
        ConfigError: no timeframe has that length.
    """
    for name, ms in TIMEFRAMES.items():
        if ms == length_ms:
            return name
    raise ConfigError(f"no timeframe is {length_ms} ms long{_all()}")
