"""The kinds of series that are recorded of a market, and the frames of those that are not candles.

A series has a name that is unique within its market: ``1h`` (candles), ``mark-1h``, ``index-1h``, ``funding``,
``trades``. Mark and index prices are candles in the schema of `metaexpert.bars`, without volume. Funding rates and
trades have an index `time` of ``datetime64[ms, UTC]``, ascending, and these columns:

- funding: `rate` float64, what a long pays at that instant as a fraction of the notional (0.0001 = 0.01 %);
- trades: `price` and `qty` float64 (`qty` as in `metaexpert.models`), `side` int8: 1 the taker bought, -1 the
  taker sold, 0 unknown. Several trades may have one time; their order is that of the exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .bars import COLUMNS, Quality, inspect, times
from .errors import DataError
from .kinds import Kind, as_kind, name_of, parse_name
from .timeframe import TIMEFRAMES, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    type Times = npt.NDArray[np.int64]
    type Floats = npt.NDArray[np.float64]
    type Mask = npt.NDArray[np.bool_]

__all__ = [
    "Kind",
    "as_kind",
    "build",
    "columns_of",
    "empty",
    "inspect_series",
    "known_spans",
    "merge",
    "name_of",
    "on_the_hour",
    "parse_name",
    "sanitize_funding",
    "sanitize_trades",
]

_NAT = np.iinfo(np.int64).min
_EXAMPLES = 5
_LONGEST_INTERVAL = parse("8h")  # between two funding instants, on every exchange
_HOUR_MS, _JITTER_MS = 3_600_000, 60_000  # exchanges note a funding some milliseconds after the hour


def columns_of(kind: Kind) -> dict[str, type[np.generic]]:
    """Return the columns of a kind of series, with the type of each."""
    if kind is Kind.FUNDING:
        return {"rate": np.float64}
    if kind is Kind.TRADES:
        return {"price": np.float64, "qty": np.float64, "side": np.int8}
    return dict.fromkeys(COLUMNS, np.float64)


def build(kind: Kind, time: Times, values: Sequence[npt.NDArray[Any]]) -> pd.DataFrame:
    """Build the frame of a series from times (int64 ms UTC, shape (n,)) and its columns, (n,) each."""
    moments = pd.DatetimeIndex(np.asarray(time, dtype=np.int64).view("datetime64[ms]"), name="time")
    columns = {
        name: np.asarray(column, dtype=dtype)
        for (name, dtype), column in zip(columns_of(kind).items(), values, strict=True)
    }
    return pd.DataFrame(columns, index=moments.tz_localize("UTC"))


def empty(kind: Kind) -> pd.DataFrame:
    """A series without rows."""
    return build(kind, np.empty(0, dtype=np.int64), [np.empty(0)] * len(columns_of(kind)))


def inspect_series(name: str, frame: pd.DataFrame, *, synthetic: bool = False, source: str = "") -> Quality:
    """Count and locate what is unsound or missing in a series, without mending it.

    Raises:
        DataError: the candles lie closer together than the timeframe that `name` says.
    """
    kind, timeframe = parse_name(name)
    if timeframe is not None:
        return inspect(frame, timeframe, synthetic=synthetic, source=source)
    time = times(frame)
    if kind is Kind.FUNDING:
        return sanitize_funding(time, frame["rate"].to_numpy(), synthetic=synthetic, source=source)[1]
    values = [frame[column].to_numpy() for column in ("price", "qty", "side")]
    return sanitize_trades(time, *values, synthetic=synthetic, source=source)[1]


def sanitize_funding(
    time: Times, rate: Floats, *, synthetic: bool = False, source: str = ""
) -> tuple[pd.DataFrame, Quality]:
    """Return the sound rates, ascending, and what was found. Of rows with one time the last one is kept.

    A rate of 1 (100 %) or more is impossible. Exchanges change a contract's interval now and then, so a rate is
    missing only where two lie more than 8 hours apart, or further apart than both their neighbours do.
    """
    no_number = (time == _NAT) | ~np.isfinite(rate)
    impossible = ~no_number & (np.abs(rate) >= 1.0)
    sound = np.flatnonzero(~(no_number | impossible))
    kept = sound[np.argsort(time[sound], kind="stable")]
    repeated = np.append(time[kept][1:] == time[kept][:-1], np.zeros(min(kept.size, 1), dtype=np.bool_))
    found = {"not_a_number": no_number, "impossible": impossible, "disordered": _backwards(time)}
    examples = [*_located(time, found), *(("duplicate", int(t)) for t in time[kept][repeated][:_EXAMPLES])]
    kept = kept[~repeated]
    interval, gaps = _missing_rates(time[kept])
    quality = _quality(time[kept], found, int(repeated.sum()), examples)
    clean = build(Kind.FUNDING, time[kept], [rate[kept]])
    return clean, Quality(**quality, timeframe=interval, gaps=gaps, synthetic=synthetic, source=source)


def sanitize_trades(
    time: Times,
    price: Floats,
    qty: Floats,
    side: npt.NDArray[Any],
    ids: Sequence[Any] | None = None,
    *,
    synthetic: bool = False,
    source: str = "",
) -> tuple[pd.DataFrame, Quality]:
    """Return the sound trades by time, in their given order within one time, and what was found.

    A price or quantity that is not positive is impossible. `ids` are the exchange's: a second row with an id that
    was there already is left out. Without them no row is a duplicate: two trades may be alike.
    """
    no_number = (time == _NAT) | ~np.isfinite(price) | ~np.isfinite(qty)
    impossible = ~no_number & ((price <= 0.0) | (qty <= 0.0))
    repeated = np.zeros(time.size, dtype=np.bool_)
    if ids is not None:
        repeated = pd.Series(ids).duplicated().to_numpy() & ~no_number & ~impossible
    found = {"not_a_number": no_number, "impossible": impossible, "disordered": _backwards(time)}
    examples = _located(time, found | {"duplicate": repeated})
    kept = np.flatnonzero(~(no_number | impossible | repeated))
    kept = kept[np.argsort(time[kept], kind="stable")]
    quality = _quality(time[kept], found, int(repeated.sum()), examples)
    clean = build(Kind.TRADES, time[kept], [price[kept], qty[kept], side[kept]])
    return clean, Quality(**quality, timeframe="", synthetic=synthetic, source=source)


def merge(kind: Kind, old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Join two sound frames of one series.

    Of candles and rates with one time the new one is kept. Trades carry no key of their own: of those that are in
    both, one is kept, so that importing a file twice, or two files that overlap, adds nothing twice.

    Raises:
        DataError: trades of one millisecond differ: one of the two is aggregated, and would count twice.
    """
    if not len(old) or not len(new):
        return new if len(new) else old
    if kind is Kind.TRADES:
        return _merge_trades(old, new)
    merged = pd.concat([old, new])
    return merged[~merged.index.duplicated(keep="last")].sort_index()


def on_the_hour(time: Times) -> Times:
    """Move instants that lie up to a minute after a full hour to it: funding is due on the hour."""
    late = np.where(time == _NAT, 0, time % _HOUR_MS)
    return np.where(late <= _JITTER_MS, time - late, time)


def known_spans(kind: Kind, time: Times) -> tuple[tuple[int, int], ...]:
    """The spans [start, end) in ms UTC that a file with rows at `time` (ascending) tells everything of.

    Trades: from the first to the last. Funding rates: the same, but no gap longer than 8 hours. Candles: none,
    since each stands for its own span.
    """
    if kind.has_timeframe or not time.size:
        return ()
    gaps = (
        np.flatnonzero(np.diff(time) > _LONGEST_INTERVAL) if kind is Kind.FUNDING else np.empty(0, dtype=np.int64)
    )
    firsts, lasts = time[np.append(0, gaps + 1)], time[np.append(gaps, time.size - 1)]
    return tuple((first, last + 1) for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True))


def _merge_trades(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    first, last = max(old.index[0], new.index[0]), min(old.index[-1], new.index[-1])
    if first > last:
        return pd.concat([old, new] if old.index[0] < new.index[0] else [new, old])
    common = [part.loc[first:last] for part in (old, new)]
    _check_same_grain(*common)
    both = pd.concat(common).reset_index()
    keys = [*both.columns]
    both["nth"] = np.concatenate([part.reset_index().groupby(keys).cumcount().to_numpy() for part in common])
    once = both.drop_duplicates().set_index("time")[keys[1:]].sort_index(kind="stable")
    outside: list[pd.DataFrame] = [part[(part.index < first) | (part.index > last)] for part in (old, new)]
    return pd.concat([*outside, once]).sort_index(kind="stable")


def _check_same_grain(old: pd.DataFrame, new: pd.DataFrame) -> None:
    """Refuse trades that differ within a millisecond of both; the first and the last one may be cut."""
    (at, many), (at_new, many_new) = (np.unique(times(part), return_counts=True) for part in (old, new))
    shared, mine, its = np.intersect1d(at[1:-1], at_new[1:-1], assume_unique=True, return_indices=True)
    differ = np.flatnonzero(many[1:-1][mine] != many_new[1:-1][its])
    if differ.size:
        where = differ[0]
        moment = str(np.datetime64(int(shared[where]), "ms")).replace("T", " ")
        raise DataError(
            f"at {moment} there are {many[1:-1][mine[where]]} trades in the store and "
            f"{many_new[1:-1][its[where]]} in the file: one of the two is aggregated, and they would count twice"
        )


def _missing_rates(time: Times) -> tuple[str, tuple[tuple[int, int, int], ...]]:
    """Return the most common interval as a timeframe's name ("" for none), and the gaps as `Quality` has them."""
    steps = np.diff(time)
    if not steps.size:
        return "", ()
    values, counts = np.unique(steps, return_counts=True)
    common = int(values[counts.argmax()])
    name = next((name for name, length in TIMEFRAMES.items() if length == common), f"{common / 3_600_000:g}h")
    padded = np.concatenate((steps[:1], steps, steps[-1:]))
    near = np.minimum(np.maximum(padded[:-2], padded[2:]), _LONGEST_INTERVAL)
    gaps: list[tuple[int, int, int]] = []
    for at in np.flatnonzero(steps > near).tolist():
        step, start, end = int(near[at]), int(time[at]), int(time[at + 1])
        count = round((end - start) / step) - 1
        if count > 0:
            gaps.append((start + step, end - step, count))
    return name, tuple(gaps)


def _backwards(time: Times) -> Mask:
    backwards = np.zeros(time.size, dtype=np.bool_)
    dated = np.flatnonzero(time != _NAT)
    backwards[dated[1:]] = np.diff(time[dated]) < 0
    return backwards


def _located(time: Times, found: dict[str, Mask]) -> list[tuple[str, int]]:
    return [(kind, int(t)) for kind, mask in found.items() for t in time[mask & (time != _NAT)][:_EXAMPLES]]


def _quality(
    time: Times, found: dict[str, Mask], duplicates: int, examples: list[tuple[str, int]]
) -> dict[str, Any]:
    """Return the fields of `Quality` that funding rates and trades share; `time` is that of the rows kept."""
    counts: dict[str, Any] = {name: int(mask.sum()) for name, mask in found.items()}
    span = {"start": int(time[0]), "end": int(time[-1])} if time.size else {}
    return counts | span | {"rows": int(time.size), "duplicates": duplicates, "examples": tuple(examples)}
