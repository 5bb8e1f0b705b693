"""How `metaexpert.indicators.compute` turns a name and its arguments into columns over the bars.

The arguments are checked against the catalogue first, so that TA-Lib and pandas-ta-classic only see sound ones:
the latter would replace a bad value by its default and swallow an unknown name without a word.
"""

from __future__ import annotations

import inspect
import math
import sys
import warnings
from importlib import import_module
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ._catalogue import BOUNDS, CHOICES, CLASSIC, FIXED, HIDDEN, NAMES, REFUSED, ROWS, SERIES
from .errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from ._catalogue import Row

__all__ = ["by_name", "columns", "known", "parameters"]

_SOURCES = {"open": "open", "open_": "open", "high": "high", "low": "low", "close": "close", "volume": "volume"}
_MAX_LENGTH = 100_000  # TA-Lib's own limit
_LEAST = math.nextafter(0.0, 1.0)  # as a lower bound it means: above 0
_SAMPLE_ROWS = (1_024, 16_384)


class _Parameter(NamedTuple):
    """What one parameter takes: a kind ("int", "float", "bool" or "word"), its bounds or its words."""

    kind: str
    low: float = 0.0
    high: float = math.inf
    words: tuple[str, ...] = ()


def known(name: str) -> str:
    """Return `name` as the catalogue spells it.

    Raises:
        ConfigError: nothing is served under that name; the reason or the nearest name follows.
    """
    key = name.lower()
    if key in REFUSED:
        raise ConfigError(f"indicator {name!r} is not served: {REFUSED[key]}")
    if key not in ROWS and key not in CLASSIC:
        raise ConfigError(f"unknown indicator {name!r}{did_you_mean(name, NAMES)}")
    return key


def parameters(name: str) -> tuple[str, ...]:
    """Return the names of the parameters that indicator `name` takes, `length` first, `offset` last."""
    key = known(name)
    return (*SERIES.get(key, ()), *_parameters(key), "offset")


def by_name(
    name: str, bars: pd.DataFrame, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> pd.Series[float] | pd.DataFrame:
    """Compute a served indicator over `bars`; see `metaexpert.indicators.compute`."""
    key = known(name)
    given = {word: value for word, value in kwargs.items() if value is not None}
    offset = given.pop("offset", 0)
    _check(key, "offset", offset, _parameter(key, "offset", "int"))
    row = ROWS.get(key)
    if row is not None and all(word in row.params or word in row.inputs.split() for word in given):
        accepted = _row_parameters(key, row)
        serve: Callable[..., pd.DataFrame] = _serve_row
        inputs = _inputs(key, bars, row.inputs.split(), given)
    else:
        accepted = _parameters(key)
        serve = _serve_classic
        inputs = _inputs(key, bars, _classic_inputs(key), given)
    given = _bound(key, accepted, args, given)
    for word, value in given.items():
        _check(key, word, value, accepted[word])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = serve(key, bars, inputs, given)
    if offset:
        table = table.shift(cast("int", offset))
    return table.iloc[:, 0] if table.shape[1] == 1 else table


def columns(result: pd.Series[float] | pd.DataFrame) -> list[str]:
    """Return the names of the columns of a result."""
    table: Any = result
    return [str(table.name)] if table.ndim == 1 else [str(name) for name in table.columns]


def _bound(
    key: str, accepted: Mapping[str, _Parameter], args: tuple[object, ...], given: dict[str, object]
) -> dict[str, object]:
    """Give positional values to the parameters in order, and refuse unknown names."""
    if len(args) > len(accepted):
        raise ConfigError(
            f"{key} takes at most {len(accepted)} values by position ({', '.join(accepted)}), got {len(args)}"
        )
    named = dict(zip(accepted, args, strict=False))
    for word in given:
        if word in named:
            raise ConfigError(f"{key}: {word} is given twice, by position and by name")
        if word not in accepted:
            raise ConfigError(f"{key} has no parameter {word!r}{did_you_mean(word, (*accepted, 'offset'))}")
    return {**{word: value for word, value in named.items() if value is not None}, **given}


def _check(key: str, word: str, value: object, wanted: _Parameter) -> None:
    """Refuse a value that the parameter can't take."""
    if wanted.kind == "bool":
        if not isinstance(value, bool):
            raise ConfigError(f"{key}: {word} must be True or False, got {value!r}")
        return
    if wanted.kind == "word":
        if value not in wanted.words:
            raise ConfigError(f"{key}: unknown {word} {value!r}{did_you_mean(str(value), wanted.words)}")
        return
    whole = wanted.kind == "int"
    sound = not isinstance(value, bool) and isinstance(value, Integral if whole else Real)
    if not (sound and wanted.low <= float(cast("float", value)) <= wanted.high and value != math.inf):
        raise ConfigError(f"{key}: {word} must be {_wanted(wanted)}, got {value!r}")


def _wanted(wanted: _Parameter) -> str:
    if wanted.kind == "int":
        return f"a whole number from {wanted.low:.0f} to {wanted.high:.0f}"
    low = "above 0" if wanted.low == _LEAST else f"from {wanted.low:g}"
    if wanted.high == math.inf:
        return f"a number {low}"
    high = "below 1" if wanted.high == math.nextafter(1.0, 0.0) else f"up to {wanted.high:g}"
    return f"a number {low} and {high}"


def _parameter(key: str, word: str, kind: str) -> _Parameter:
    words = CHOICES.get(f"{key}.{word}", CHOICES.get(word, ()))
    default = (1, _MAX_LENGTH) if kind == "int" else (_LEAST, math.inf)
    low, high = BOUNDS.get(f"{key}.{word}", BOUNDS.get(word, default))
    return _Parameter(kind, low, high, words)


def _row_parameters(key: str, row: Row) -> dict[str, _Parameter]:
    kinds = {int: "int", float: "float", str: "word"}
    return {word: _parameter(key, word, kinds[type(default)]) for word, default in row.params.items()}


def _parameters(key: str) -> dict[str, _Parameter]:
    """Return every parameter of `key`: those of its row, then those that only pandas-ta-classic has."""
    row = ROWS.get(key)
    found = _row_parameters(key, row) if row is not None else {}
    for word, declared in _signature(key).items():
        kind = _kind(str(declared.annotation))
        hidden = {word, f"{key}.{word}"} & HIDDEN or word in FIXED.get(key, {})
        if kind and not hidden and declared.kind is not declared.VAR_KEYWORD:
            found.setdefault(word, _parameter(key, word, kind))
    return dict(sorted(found.items(), key=lambda item: item[0] != "length")) if row is None else found


def _signature(key: str) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function of pandas-ta-classic, none where it has no such function."""
    function = _classic(key)
    return {} if function is None else inspect.signature(function).parameters


def _kind(annotation: str) -> str:
    """Return the kind of parameter that an annotation of pandas-ta-classic means, "" for a series."""
    if "Series" in annotation:
        return ""
    return next((kind for mark, kind in _MARKS if mark in annotation), "")


_MARKS = (("bool", "bool"), ("float", "float"), ("int", "int"), ("str", "word"))


def _inputs(
    key: str, bars: pd.DataFrame, words: list[str], given: dict[str, object]
) -> dict[str, pd.Series[float]]:
    """Take the series that an indicator reads out of the bars, or out of `given` where the caller names others."""
    extra = SERIES.get(key, ())
    found: dict[str, pd.Series[float]] = {}
    for word in words:
        source = given.pop(word, given.pop(_SOURCES.get(word, word), None))
        if source is None and word in extra:
            raise ConfigError(
                f"{key} needs {word}: the name of a column of the bars, or a Series over the same bars"
            )
        found[word] = _series(key, word, bars, _SOURCES.get(word, word) if source is None else source)
    return found


def _series(key: str, word: str, bars: pd.DataFrame, source: object) -> pd.Series[float]:
    import pandas as pd

    if isinstance(source, str):
        if source not in bars.columns:
            raise DataError(
                f"{key} needs the column {source!r}, and the bars have {', '.join(map(str, bars.columns))}"
            )
        source = bars[source]
    if not isinstance(source, pd.Series):
        raise ConfigError(f"{key}: {word} must be the name of a column or a Series, got {type(source).__name__}")
    series = cast("pd.Series[float]", source)
    if not series.index.equals(bars.index):
        raise ConfigError(f"{key}: {word} must have the index of the bars: a value for each of the {len(bars)}")
    try:
        return series.astype("float64")
    except (TypeError, ValueError):
        raise DataError(f"{key}: {word} must hold numbers, got {series.dtype}") from None


def _serve_row(
    key: str, bars: pd.DataFrame, inputs: dict[str, pd.Series[float]], given: dict[str, Any]
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    row = ROWS[key]
    ta: Any = import_module("talib")
    values = {word: _plain(default, given.get(word, default)) for word, default in row.params.items()}
    if row.swaps and values["fast"] > values["slow"]:
        values["fast"], values["slow"] = values["slow"], values["fast"]
    arrays = [np.ascontiguousarray(series.to_numpy(), dtype=np.float64) for series in inputs.values()]
    try:
        result: Any
        if isinstance(row.run, str):
            result = getattr(ta, row.run)(*arrays, *values.values())
        else:
            result = row.run(ta, bars, *arrays, *values.values())
    except Exception as error:
        if "TA_BAD_PARAM" not in str(error):
            raise
        raise ConfigError(f"{key}: TA-Lib can't work with {_shown(values)}; give it other lengths") from None
    outputs: Sequence[Any] = [result] if isinstance(result, np.ndarray) else result
    names = row.columns.format(**values).split()
    columns = dict(zip(names, outputs, strict=True))  # arrays of their own: nobody else holds them
    return pd.DataFrame(columns, index=bars.index, dtype=np.float64, copy=False)


def _plain(default: Any, value: Any) -> Any:
    """Return `value` as a plain int, float or str, as the default is one: ``std=2`` names a column ``..._2.0``."""
    return type(default)(value)


def _serve_classic(
    key: str, bars: pd.DataFrame, inputs: dict[str, pd.Series[float]], given: dict[str, Any]
) -> pd.DataFrame:
    import pandas as pd

    settings = {**given, **FIXED.get(key, {})}
    table, _ = _attempt(key, inputs, settings)
    if table is None:  # too short a series, unless the same call fails on a long one too
        names = _classic_columns(key, list(inputs), settings)
        table = pd.DataFrame(math.nan, index=bars.index, columns=pd.Index(names))
    return table.set_axis(bars.index, axis=0)


def _attempt(
    key: str, inputs: Mapping[str, pd.Series[float]], settings: Mapping[str, Any]
) -> tuple[pd.DataFrame | None, str]:
    """Call pandas-ta-classic: the table of float64, or None and why there is none."""
    import numpy as np

    try:
        with np.errstate(all="ignore"):
            result = _classic(key)(**inputs, **settings)
    except Exception as error:  # noqa: BLE001 - on short series it raises whatever its arithmetic meets
        return None, f"{type(error).__name__}: {error}"
    if result is None:
        return None, "it gives no answer for them"
    table = result.to_frame() if result.ndim == 1 else result
    table.columns = [str(name) for name in table.columns]
    return table.astype("float64"), ""


def _classic_columns(key: str, words: list[str], settings: Mapping[str, Any]) -> list[str]:
    """Learn the names of the columns from a series that is long enough."""
    reason = ""
    for rows in _SAMPLE_ROWS:
        table, reason = _attempt(key, _sample(words, rows), settings)
        if table is not None:
            return list(table.columns)
    raise ConfigError(f"{key} can't be computed with {_shown(settings)}: {reason}")


def _shown(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{word}={value}" for word, value in settings.items()) or "its defaults"


def _sample(words: list[str], rows: int) -> dict[str, pd.Series[float]]:
    """Return smooth series with sound candles, enough to make any indicator name its columns."""
    import numpy as np
    import pandas as pd

    index = pd.date_range("2000-01-01", periods=rows, freq="h", tz="UTC")
    middle = 100.0 + 10.0 * np.sin(np.arange(rows) / 9.0)
    shift = {"open_": -0.3, "high": 1.0, "low": -1.0}
    made = {word: pd.Series(middle + shift.get(word, 0.0), index=index) for word in words}
    if "periods" in made:
        made["periods"] = pd.Series(5.0, index=index)
    return made


def _classic_inputs(key: str) -> list[str]:
    """Return the series that a call reads which pandas-ta-classic serves (or would, were its parameters sound)."""
    extra = SERIES.get(key, ())
    found = [
        word
        for word, declared in _signature(key).items()
        if word in extra or (word in _SOURCES and (word != "open_" or declared.default is declared.empty))
    ]
    return found or ROWS[key].inputs.split()


def _classic(key: str) -> Any:
    """Return the function of pandas-ta-classic, None if it has none of that name."""
    if "pandas_ta_classic" not in sys.modules:
        _load_classic()
    found = getattr(import_module("pandas_ta_classic"), key, None)
    return found if inspect.isfunction(found) else None


def _load_classic() -> None:
    """Import pandas-ta-classic and undo what it does to DataFrame: it takes the name `ta` for its own accessor."""
    import pandas as pd

    frame: Any = pd.DataFrame
    before = frame.__dict__.get("ta")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_module("pandas_ta_classic")
    if before is None:
        del frame.ta
    else:
        frame.ta = before
