"""Indicators: computing one over bars, reading it bar by bar, and crosses of two.

`compute` is the one door to TA-Lib and pandas-ta-classic, under the names, parameters and columns of pandas-ta.
Nothing served looks ahead. `Indicator` is a result seen through a `Cursor`: it shows what was known at that bar.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, cast, overload

from ._catalogue import NAMES
from ._compute import by_name, columns, known, parameters
from .errors import ConfigError, StrategyError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import NotImplementedType

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]
    type Result = pd.Series[float] | pd.DataFrame
    type Operand = Indicator | float | pd.Series[Any] | NDArray[Any] | Sequence[float]

__all__ = [
    "Cursor",
    "Indicator",
    "build",
    "compute",
    "cross_above",
    "cross_below",
    "crossover",
    "crossunder",
    "names",
    "parameters",
    "register",
]


_FAR = 2.0**53  # to here a float holds every int
_KEPT_CROSSINGS = 8  # from here on no more numbers: levels are few, prices are not


def names() -> tuple[str, ...]:
    """Return the names that `compute` serves, in alphabetical order."""
    return NAMES


def compute(name: str | Callable[..., object], bars: pd.DataFrame, /, *args: object, **kwargs: object) -> Result:
    """Compute an indicator over every bar.

    Args:
        name: a pandas-ta name in any case (``"ema"``, ``"macd"``, ``"supertrend"``), or a callable that takes the
            bars and `kwargs` and returns a Series, DataFrame or one-dimensional array with a value for each bar.
        bars: the candles, one row a bar, with columns `open`, `high`, `low`, `close`, `volume` as far as needed.
        args: values of the indicator's parameters in order, `length` first where it has one.
        kwargs: the parameters as pandas-ta names them. Every indicator takes `offset` (bars, >= 0: the values of
            that many bars ago), and another input in place of a column: ``close="volume"``, ``close=a_series``.
            None means the default.

    Returns:
        float64 over the index of `bars`, named as pandas-ta does: a Series, or a DataFrame where there are several
        columns. NaN until enough bars are known, all NaN when the bars are too few.

    Raises:
        ConfigError: the name, a parameter or its value is unknown or unsound.
        DataError: the bars lack a column that is needed.
        StrategyError: `bars` is no DataFrame, `name` is neither a name nor callable, or the callable failed or
            returned something else than a value for each bar.
    """
    import pandas as pd

    if not isinstance(bars, pd.DataFrame):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StrategyError(f"indicators are computed over a DataFrame of bars, not over {_a(bars)}")
    if isinstance(name, str):
        return by_name(name, bars, args, kwargs)
    if callable(name):
        return _by_callable(name, bars, args, kwargs)
    raise StrategyError(f"an indicator is a name or a callable(bars), not {_a(name)}")


def _by_callable(
    function: Callable[..., object], bars: pd.DataFrame, args: tuple[object, ...], kwargs: dict[str, object]
) -> Result:
    import numpy as np
    import pandas as pd

    label = _label(function)
    try:
        result: Any = function(bars, *args, **kwargs)
    except Exception as error:
        raise StrategyError(f"indicator {label} failed: {type(error).__name__}: {error}") from error
    if not _is_a(result, pd.Series, pd.DataFrame):
        if not _is_a(result, np.ndarray, list, tuple) or np.ndim(result) != 1:
            raise StrategyError(f"indicator {label} must return a Series, DataFrame or array, not {_a(result)}")
        result = pd.Series(result, name=label)
    if len(result) != len(bars):
        raise StrategyError(f"indicator {label} returned {len(result)} values for {len(bars)} bars")
    if not _positional(result.index) and not result.index.equals(bars.index):
        raise StrategyError(f"indicator {label} returned values with another index than that of the bars")
    try:
        made = result.astype("float64").set_axis(bars.index, axis=0)
    except (TypeError, ValueError):
        raise StrategyError(f"indicator {label} must return numbers") from None
    return made.rename(label) if made.ndim == 1 and made.name is None else made


def _label(function: Callable[..., object]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _positional(index: pd.Index[Any]) -> bool:
    """Tell whether an index merely counts 0, 1, 2, ...: the values then stand for the bars in order."""
    import pandas as pd

    return not isinstance(index, pd.DatetimeIndex) and index.equals(pd.RangeIndex(len(index)))


def _is_a(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds)


def _a(value: object) -> str:
    return f"{type(value).__name__} ({value!r:.40})"


class Cursor:
    """Where the run stands: `i` is the index of the last closed bar, -1 before there is one."""

    __slots__ = ("i",)

    def __init__(self, i: int = -1) -> None:
        self.i = i


class Indicator:
    """The values of an indicator, as far as they are known at a cursor.

    ``ind[-1]`` is the last closed bar's value, ``ind[-2]`` the one before, ``ind[0]`` the first bar's; nothing
    beyond the cursor can be reached. ``float(ind)`` and comparisons (``rsi < 30``) take the last value, NaN when
    no bar is known. An indicator of several columns gives each as an Indicator: ``macd["MACDs_12_26_9"]`` or
    ``macd.macds``, the column's name in lower case without its numbers.
    """

    __slots__ = ("_array", "_columns", "_cursor", "_index", "_over", "_size", "_under", "_values", "name")
    __array_ufunc__ = None  # numpy numbers leave comparisons to us

    def __init__(
        self,
        values: Floats | Sequence[float],
        cursor: Cursor,
        *,
        name: str = "",
        index: pd.DatetimeIndex | None = None,
    ) -> None:
        import numpy as np

        self._array: Floats = np.array(values, dtype=np.float64)
        self._array.flags.writeable = False
        self._values = cast("memoryview[float]", memoryview(self._array))  # gives plain floats, and fast
        self._over: dict[Indicator | float, memoryview[bool]] = {}
        self._under: dict[Indicator | float, memoryview[bool]] = {}
        self._size = len(self._values)
        self._cursor = cursor
        self._index = index
        self._columns: dict[str, Indicator] = {}
        self.name = name

    @classmethod
    def of_columns(cls, table: pd.DataFrame, cursor: Cursor, *, name: str = "") -> Indicator:
        """Make an indicator of several columns out of a table with a row for each bar."""
        made = cls((), cursor, name=name, index=cast("pd.DatetimeIndex", table.index))
        made._size = len(table)
        for column in table.columns:
            values = table[column].to_numpy(dtype="float64")
            made._columns[str(column)] = cls(values, cursor, name=str(column), index=made._index)
        return made

    @overload
    def __getitem__(self, key: int) -> float: ...
    @overload
    def __getitem__(self, key: slice) -> Floats: ...
    @overload
    def __getitem__(self, key: str) -> Indicator: ...
    def __getitem__(self, key: int | slice | str) -> float | Floats | Indicator:
        if isinstance(key, int):
            last = self._cursor.i
            at = last + 1 + key if key < 0 else key
            if 0 <= at <= last and at < len(self._values):
                return self._values[at]
            raise self._no_bar(key)
        if isinstance(key, str):
            return self._column(key)
        if isinstance(key, slice):  # pyright: ignore[reportUnnecessaryIsInstance]
            return self.values[key]
        return self[int(key)]  # a numpy integer

    def __getattr__(self, word: str) -> Indicator:
        if word.startswith("_"):
            raise AttributeError(word)
        found = [column for column in self._columns if _short(column) == word]
        if len(found) == 1:
            return self._columns[found[0]]
        shorts = {_short(column) for column in self._columns}
        hint = f"; {', '.join(found)} share it: use [name]" if found else did_you_mean(word, shorts)
        raise AttributeError(f"indicator {self.name!r} has no attribute {word!r}{hint}")

    def __len__(self) -> int:
        """Return how many bars are known."""
        return min(self._cursor.i + 1, self._size)

    def __bool__(self) -> bool:
        raise StrategyError(f"indicator {self.name!r} is neither true nor false: compare it, or ask for .ready")

    def __float__(self) -> float:
        """Return the last closed bar's value, NaN when no bar is known."""
        return self._values[self._cursor.i] if self._has_last() else float("nan")

    def __eq__(self, other: object) -> bool:
        right = _number(other)
        return NotImplemented if right is None else float(self) == right

    def __lt__(self, other: object) -> bool | NotImplementedType:
        right = _number(other)
        return NotImplemented if right is None else float(self) < right

    def __le__(self, other: object) -> bool | NotImplementedType:
        right = _number(other)
        return NotImplemented if right is None else float(self) <= right

    def __gt__(self, other: object) -> bool | NotImplementedType:
        right = _number(other)
        return NotImplemented if right is None else float(self) > right

    def __ge__(self, other: object) -> bool | NotImplementedType:
        right = _number(other)
        return NotImplemented if right is None else float(self) >= right

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        if self._columns:
            return f"Indicator({self.name!r}, {len(self)} bars, columns {', '.join(self._columns)})"
        return f"Indicator({self.name!r}, {len(self)} bars, last {float(self):.8g})"

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns; empty for an indicator of one."""
        return tuple(self._columns)

    @property
    def values(self) -> Floats:
        """The known values, one a bar: a float64 array that can't be written to."""
        self._refuse_columns()
        return self._array[: max(self._cursor.i + 1, 0)]

    @property
    def ready(self) -> bool:
        """True when the last closed bar's value is known and not NaN."""
        last = float(self)
        return last == last  # noqa: PLR0124 - NaN alone differs from itself

    def last_two(self) -> tuple[float, float] | None:
        """Return the values of the bar before and of the last closed one; None while fewer are known."""
        at = self._cursor.i
        if 0 < at < len(self._values):
            return self._values[at - 1], self._values[at]
        self._refuse_columns()
        return None

    def crossings(self, other: object, *, under: bool) -> memoryview[bool] | None:
        """Return at which bars this one crossed above (`under`: below) `other`, by the rules of `crossover`.

        One value a bar, and behind the last one False, where -1 finds it: before the first bar nothing crossed.
        They are found once for each operand. None where `other` is neither a number nor an indicator of one column
        over the same bars, or where there have been many numbers.
        """
        import numpy as np

        kept, mine = self._under if under else self._over, self._array
        if isinstance(other, Indicator):
            theirs, cursor = other._array, other._cursor  # noqa: SLF001 - one of its own kind
            if cursor is not self._cursor or len(theirs) != len(mine):
                return None
        elif isinstance(other, int | float) and abs(other) < _FAR and len(kept) < _KEPT_CROSSINGS:
            theirs = np.broadcast_to(float(other), mine.shape)
        else:
            return None
        high, low = (theirs, mine) if under else (mine, theirs)
        crossed = np.zeros(len(mine) + 1, dtype=np.bool_)
        crossed[1:-1] = (high[:-1] <= low[:-1]) & (high[1:] > low[1:])
        found = kept[other] = cast("memoryview[bool]", memoryview(crossed))
        return found

    def series(self) -> pd.Series[float]:
        """Return the known values over the bars' open times."""
        import pandas as pd

        values = self.values
        index = None if self._index is None else self._index[: len(values)]
        return pd.Series(values, index=index, name=self.name)

    def _has_last(self) -> bool:
        self._refuse_columns()
        return 0 <= self._cursor.i < len(self._values)

    def _column(self, name: str) -> Indicator:
        if name not in self._columns:
            raise StrategyError(
                f"indicator {self.name!r} has no column {name!r}{did_you_mean(name, self._columns)}"
            )
        return self._columns[name]

    def _refuse_columns(self) -> None:
        if self._columns:
            raise StrategyError(
                f"indicator {self.name!r} has several columns: choose one by name, "
                f"ind[{next(iter(self._columns))!r}] of {', '.join(self._columns)}"
            )

    def _no_bar(self, key: int) -> IndexError:
        self._refuse_columns()
        return IndexError(f"indicator {self.name!r} has no bar {key}: {len(self)} bars are known")


def _short(column: str) -> str:
    """Return a column's name in lower case without its numbers: ``MACDs_12_26_9`` -> ``macds``."""
    return re.sub(r"(_-?[\d.]+)+$", "", column).lower()


def _number(other: object) -> float | None:
    """Return the last value of an Indicator or a number as it is; None for anything else."""
    scalar = hasattr(other, "__float__") and (isinstance(other, Indicator) or not hasattr(other, "__len__"))
    return float(cast("Any", other)) if scalar else None


def build(
    name: str | Callable[..., object], bars: pd.DataFrame, cursor: Cursor, /, *args: object, **kwargs: object
) -> Indicator:
    """Compute an indicator and show it through `cursor`; the other arguments and the errors are `compute`'s."""
    result = compute(name, bars, *args, **kwargs)
    if result.ndim == 1:
        values = cast("Floats", result.to_numpy(dtype="float64"))
        return Indicator(values, cursor, name=columns(result)[0], index=cast("pd.DatetimeIndex", result.index))
    label = name.lower() if isinstance(name, str) else _label(name)
    return Indicator.of_columns(cast("pd.DataFrame", result), cursor, name=label)


def crossover(a: Operand, b: Operand) -> bool:
    """Tell whether `a` crossed above `b` at the last bar: ``a[-2] <= b[-2] and a[-1] > b[-1]``.

    Each is an Indicator of one column, a number, a Series, an array or a list. False when either has fewer than
    two values, or a NaN among the last two.

    Raises:
        StrategyError: an operand is none of these.
    """
    first: Any = a
    try:
        return first._over[b][first._cursor.i]  # noqa: SLF001 - at every bar of every run
    except (AttributeError, IndexError, KeyError, TypeError):  # not found yet, or not for these operands
        return _crossed(a, b, under=False)


def crossunder(a: Operand, b: Operand) -> bool:
    """Tell whether `a` crossed below `b` at the last bar: ``a[-2] >= b[-2] and a[-1] < b[-1]``.

    See `crossover` for the operands.
    """
    first: Any = a
    try:
        return first._under[b][first._cursor.i]  # noqa: SLF001 - as above
    except (AttributeError, IndexError, KeyError, TypeError):
        return _crossed(a, b, under=True)


def _crossed(a: Operand, b: Operand, *, under: bool) -> bool:
    """`crossover` or `crossunder`, found from the last two values; they are kept for the next bars if need be."""
    if isinstance(a, Indicator) and not a.columns:
        a.crossings(b, under=under)
    high, low = (_last_two(b), _last_two(a)) if under else (_last_two(a), _last_two(b))
    return high is not None and low is not None and high[0] <= low[0] and high[1] > low[1]


def cross_above(a: Operand, b: Operand) -> pd.Series[bool]:
    """Tell at which bars `a` crossed above `b`, by the rule of `crossover` at every bar.

    At least one operand is a series; two of them have the same length, and where both carry an index, the same.

    Returns:
        booleans over the index of the first operand that has one; False at the first bar.

    Raises:
        StrategyError: neither is a series, or they don't match.
    """
    import numpy as np
    import pandas as pd

    (left, own), (right, other) = _whole(a), _whole(b)
    lengths = [len(side) for side in (left, right) if not isinstance(side, float | int)]
    if not lengths:
        raise StrategyError("a cross needs at least one series; both operands are numbers")
    if lengths[0] != lengths[-1]:
        raise StrategyError(f"a cross needs series of one length, got {lengths[0]} and {lengths[1]} values")
    if own is not None and other is not None and not own.equals(other):
        raise StrategyError("a cross needs series over the same bars; these have different indexes")
    first, second = (
        np.broadcast_to(side, lengths[0]) if isinstance(side, float | int) else side for side in (left, right)
    )
    crossed = np.zeros(lengths[0], dtype=np.bool_)
    np.less_equal(first[:-1], second[:-1], out=crossed[1:])
    crossed[1:] &= first[1:] > second[1:]
    index = own if own is not None else other
    return pd.Series(crossed, index=index, copy=False)


def cross_below(a: Operand, b: Operand) -> pd.Series[bool]:
    """Tell at which bars `a` crossed below `b`, by the rule of `crossunder` at every bar; see `cross_above`."""
    return cross_above(b, a)


def _last_two(operand: object) -> tuple[float, float] | None:
    if isinstance(operand, Indicator):
        return operand.last_two()
    if isinstance(operand, int | float):
        return operand, operand
    values, _ = _whole(operand)
    if isinstance(values, float | int):
        return values, values
    return (float(values[-2]), float(values[-1])) if len(values) > 1 else None


def _whole(operand: object) -> tuple[Floats | float, pd.Index[Any] | None]:
    """Return an operand of a cross as float64, a number as a float; and its index, None where it merely counts."""
    import numpy as np
    import pandas as pd

    given: Any = operand.series() if isinstance(operand, Indicator) else operand
    try:
        if _is_a(given, pd.Series):
            index: Any = None if _positional(given.index) else given.index
            return (given if given.dtype == np.float64 else given.astype("float64")).to_numpy(), index
        if _is_a(given, np.ndarray, list, tuple) and np.ndim(given) == 1:
            return np.asarray(pd.Series(given).astype("float64")), None
        if np.isscalar(given) and not _is_a(given, str):
            return float(cast("Any", given)), None
    except (TypeError, ValueError):
        raise StrategyError(f"a cross needs numbers, got {_a(given)}") from None
    raise StrategyError(f"a cross needs an indicator, a series or a number, not {_a(given)}")


class Accessor:
    """Indicators as methods of the bars: ``bars.ta.ema(12)``, ``bars.ta("ema", length=12)``; see `compute`."""

    def __init__(self, bars: pd.DataFrame) -> None:
        self._bars = bars

    def __call__(self, name: str | Callable[..., object], /, *args: object, **kwargs: object) -> Result:
        """Compute indicator `name` over the bars."""
        return compute(name, self._bars, *args, **kwargs)

    def __getattr__(self, name: str) -> Callable[..., Result]:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return partial(self, known(name))
        except ConfigError as error:
            raise AttributeError(str(error)) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *NAMES]


def register() -> None:
    """Give every DataFrame the accessor `ta`, in place of another package's; calling it again does nothing."""
    import pandas as pd

    frame: Any = pd.DataFrame
    if getattr(frame, "ta", None) is not Accessor:
        if hasattr(frame, "ta"):
            del frame.ta  # pandas would warn that the name is taken
        pd.api.extensions.register_dataframe_accessor("ta")(Accessor)
