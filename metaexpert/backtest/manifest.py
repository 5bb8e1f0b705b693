"""What identifies a run: digests of code, data, settings and result, and the versions that made it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..__version__ import __version__
from ..bars import COLUMNS, times

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from .record import Record

__all__ = ["canonical", "data_digest", "iso", "manifest", "outcome_digest", "plain"]

_PACKAGES = ("numba", "numpy", "pandas", "pyarrow", "TA-Lib", "pandas-ta-classic")


def plain(value: Any) -> Any:
    """Turn `value` into what JSON can hold, the same every time.

    Enum words become text, tuples lists, sets sorted lists, times ISO 8601, inf and NaN None. Of an object that
    JSON does not know only the qualified name is kept: its repr could hold an address or a secret.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, int | str):
        return value
    return _plain_parts(value)


def _plain_parts(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, Set):
        return sorted((plain(item) for item in cast("Set[Any]", value)), key=str)
    if isinstance(value, Sequence):
        return [plain(item) for item in cast("Sequence[Any]", value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    written = getattr(value, "isoformat", None)
    return written() if callable(written) else _name_of(value)


def _name_of(value: Any) -> str:
    named = value if hasattr(value, "__qualname__") else cast("Any", type(value))
    return f"{named.__module__}.{named.__qualname__}"


def canonical(value: Any) -> str:
    """Return `value` as JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, default=plain, sort_keys=True, separators=(",", ":"))


def iso(time_ms: int | None) -> str | None:
    """Return the moment as ISO 8601 in UTC; None stays None."""
    return None if time_ms is None else datetime.fromtimestamp(time_ms / 1000.0, UTC).isoformat()


def outcome_digest(record: Record) -> str:
    """Return the SHA-256 hex digest of what the run did: fills, trades, orders and the marked paths."""
    digest = hashlib.sha256(canonical([record.fills, record.trades, record.orders, record.stop_reason]).encode())
    digest.update(np.ascontiguousarray(record.time, dtype="<i8").tobytes())
    for path in (record.equity, record.balance, record.exposure):
        digest.update(np.ascontiguousarray(path, dtype="<f8").tobytes())
    return digest.hexdigest()


def data_digest(parts: Iterable[tuple[str, str, pd.DataFrame]], beside: Iterable[bytes] = ()) -> str:
    """Return the SHA-256 hex digest of candles, each part with its symbol and timeframe: times and values.

    What else a run knew (funding, mark prices) comes as bytes in `beside`.
    """
    digest = hashlib.sha256()
    for data in beside:
        digest.update(data)
    for symbol, timeframe, candles in parts:
        digest.update(f"{symbol} {timeframe}\n".encode())
        digest.update(np.ascontiguousarray(times(candles), dtype="<i8").data)
        for name in COLUMNS:
            digest.update(np.ascontiguousarray(candles[name].to_numpy(), dtype="<f8").data)
    return digest.hexdigest()


def manifest(record: Record, *, start: int, end: int) -> dict[str, Any]:
    """Return what identifies the run of `record` from `start` to `end` (int ms); no wall-clock time is in it."""
    outcome = outcome_digest(record)
    settings = {
        "exchange": record.exchange,
        "timeframe": record.timeframe,
        "initial_capital": record.initial_capital,
        "settings": record.settings,
        "inputs": record.inputs,
        "markets": record.markets,
    }
    digest = hashlib.sha256(canonical(settings).encode()).hexdigest()
    return plain(
        {
            "id": f"{record.name}-{outcome[:12]}",
            "name": record.name,
            "start": iso(start),
            "end": iso(end),
            "bars": len(record.time),
            "warmup_bars": record.warmup_bars,
            "currency": record.currency,
            "seed": record.seed,
            "path": record.path,
            **settings,
            "data": {
                symbol: {"source": q.source, "synthetic": q.synthetic, "rows": q.rows, "missing": q.missing}
                for symbol, q in record.quality.items()
            },
            "digests": {"code": record.code, "data": record.data, "settings": digest, "result": outcome},
            "versions": {"metaexpert": __version__, "python": platform.python_version(), **_versions()},
        }
    )


def _versions() -> dict[str, str | None]:
    return {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
