"""What a run leaves behind: plain arrays and records, nothing derived. `Result` derives the rest, lazily.

`Rows` and `LazyRecord` are for runs that keep arrays: a million bars leave thousands of fills, and seldom does
somebody look at one of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from ..bars import Quality
    from ..models import Fill, Market, Order, Trade

__all__ = [
    "Coded", "Column", "LazyRecord", "Numbered", "Optional", "Record", "Rows", "refuse_overflow",
]  # fmt: skip


class Coded(NamedTuple):
    """A column of words: ``words[code]`` for each of `codes`."""

    codes: NDArray[np.integer]
    words: tuple[Any, ...]


class Numbered(NamedTuple):
    """A column of whole numbers as text; those that count up are a range."""

    numbers: NDArray[np.int64] | range


class Optional(NamedTuple):
    """A column of numbers, some of which are missing: None in a row, whatever stands in `values` in the array."""

    values: NDArray[Any]
    present: NDArray[np.bool_]


type Column = NDArray[Any] | Coded | Numbered | Optional | str | float | None
"""Values of shape (n,), or one value that all rows share."""


class Rows[T](Sequence[T]):
    """Records kept as columns; one becomes an object when somebody looks at it.

    Args:
        make: makes a record from its fields in the order of `columns`.
        columns: the fields by name.
        n: how many rows there are.
    """

    __slots__ = ("_columns", "_made", "_make", "_n")

    def __init__(self, make: Callable[..., T], columns: Mapping[str, Column], n: int) -> None:
        self._make = make
        self._columns = columns
        self._n = n
        self._made: list[T] | None = None

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._all()[index]

    def __iter__(self) -> Iterator[T]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == list(other)  # pyright: ignore[reportUnknownArgumentType]

    __hash__ = None  # type: ignore[assignment]

    def column(self, name: str) -> Column:
        """One field of all rows as it is kept."""
        return self._columns[name]

    def array(self, name: str) -> NDArray[Any]:
        """One field of all rows, shape (n,); words as plain text."""
        column = self._columns[name]
        if isinstance(column, Coded):
            words = np.empty(len(column.words), dtype=np.object_)
            words[:] = [str(word) if isinstance(word, str) else word for word in column.words]
            return words[column.codes]
        if isinstance(column, Optional):
            return column.values
        if isinstance(column, np.ndarray):
            return column
        return np.array(self._values(name), dtype=np.object_)

    def is_word(self, name: str, word: object) -> NDArray[np.bool_]:
        """Which rows hold `word` in a field."""
        column = self._columns[name]
        if isinstance(column, Coded):
            same = np.array([one == word for one in column.words], dtype=np.bool_)
            return same[column.codes]
        return self.array(name) == word

    def _all(self) -> list[T]:
        if self._made is None:
            self._made = [self._make(*row) for row in zip(*map(self._values, self._columns), strict=True)]
        return self._made

    def _values(self, name: str) -> list[Any]:
        column = self._columns[name]
        if isinstance(column, Coded):
            return [column.words[code] for code in column.codes.tolist()]
        if isinstance(column, Numbered):
            return list(map(str, np.asarray(column.numbers).tolist()))
        if isinstance(column, Optional):
            pairs = zip(column.values.tolist(), column.present.tolist(), strict=True)
            return [value if there else None for value, there in pairs]
        return column.tolist() if isinstance(column, np.ndarray) else [column] * self._n


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The bare outcome of one backtest, as the engine hands it over.

    `time` (int64 ms, the close times at which equity was marked, ascending), `equity` (balance + unrealised pnl),
    `balance` (realised) and `exposure` (signed notional over equity) have one shape, (n,), `drawdown` (a fraction
    <= 0) too where it is known already. `bars` holds for each
    symbol the candles of the tested span (schema of `metaexpert.bars`), warm-up excluded; `orders` the last state
    of every order in order of creation; `refusals` how often each reason kept an entry from being made.
    `code` and `data` are SHA-256 hex digests of the expert's file and of all candles used; `seed` is what
    synthetic prices grew from, None where nothing was made up; `path` is ``"event"`` or ``"kernel"``, by which the
    run was played (the outcome is the same).
    """

    name: str
    exchange: str
    timeframe: str
    currency: str
    initial_capital: float
    markets: Mapping[str, Market]
    settings: Mapping[str, Any]
    inputs: Mapping[str, Any]
    time: np.ndarray
    equity: np.ndarray
    balance: np.ndarray
    exposure: np.ndarray
    fills: Sequence[Fill]
    orders: Sequence[Order]
    trades: Sequence[Trade]
    bars: Mapping[str, pd.DataFrame]
    quality: Mapping[str, Quality]
    refusals: Mapping[str, int] = field(default_factory=dict[str, int])
    notes: tuple[str, ...] = ()
    stop_reason: str = "backtest_end"
    warmup_bars: int = 0
    code: str = ""
    data: str = ""
    seed: int | None = None
    criterion: float | None = None
    path: str = "event"
    drawdown: np.ndarray | None = None


def refuse_overflow(equity: NDArray[np.float64], moments: Any) -> None:
    """Raise DataError where equity, marked at `moments`, is no number any more."""
    with np.errstate(all="ignore"):
        if math.isfinite(equity.sum()):  # then so is each, and no array of answers is made
            return
    wrong = ~np.isfinite(equity)
    if wrong.any():
        raise DataError(f"equity overflows at {moments[int(wrong.argmax())]}: prices or sizes are too large")


class LazyRecord(Record):
    """A record of which some fields are made when they are first read.

    Args:
        makers: how to make those fields, by name.
        **ready: the other fields.
    """

    __slots__ = ("_makers",)

    def __init__(self, makers: Mapping[str, Callable[[], Any]] | None = None, **ready: Any) -> None:
        object.__setattr__(self, "_makers", makers or {})
        for one in fields(Record):
            if one.name in ready:
                object.__setattr__(self, one.name, ready[one.name])
            elif one.name not in self._makers:
                default = one.default if one.default_factory is MISSING else one.default_factory()
                object.__setattr__(self, one.name, default)

    def __getattr__(self, name: str) -> Any:
        """Make a field that is not there yet."""
        makers: Mapping[str, Callable[[], Any]] = object.__getattribute__(self, "_makers")
        if name not in makers:
            raise AttributeError(name)
        value = makers[name]()
        object.__setattr__(self, name, value)
        return value
