"""Indicators that are computed once: what `bars.ta` is during a sweep."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, override

import numpy as np
import pandas as pd

from ..bars import detached
from ..indicators import Accessor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["Memo"]

_FLOAT = 8  # bytes
_MOST_BYTES = 128 * 2**20  # of remembered values; the least recently used go first


class Memo:
    """Indicators over some candles, each computed once per distinct argument.

    Remembered are those that are asked for by name. A callable is asked again each time: what else it looks at,
    inputs or variables around it, may be another in the next pass.

    Args:
        bars: the candles.
        most: bytes of values that are kept at most, one indicator being kept in any case.
    """

    def __init__(self, bars: pd.DataFrame, *, most: int = _MOST_BYTES) -> None:
        if (bars.dtypes == np.float64).all():  # one block of memory tells quickly whether it was written to
            values = np.asfortranarray(bars.to_numpy())
            bars = pd.DataFrame(values, index=bars.index, columns=bars.columns, copy=False)
            self._place: int | None = _place(bars)
        else:
            self._place = None
        self._bars = bars
        self._places = {str(name): _place(bars[name]) for name in bars.columns}
        self._known: dict[Any, Any] = {}
        self._most, self._bytes = most, 0

    @contextmanager
    def lent(self) -> Generator[pd.DataFrame]:
        """A copy of the candles that may be written to, and whose `ta` remembers as long as this lasts."""
        copy = detached(self._bars)
        object.__setattr__(copy, "ta", _Remembering(copy, self))  # as pandas keeps its own accessors
        try:
            yield copy
        finally:
            object.__delattr__(copy, "ta")  # the two hold each other

    def holds(self, copy: pd.DataFrame, words: set[str]) -> bool:
        """Are the candles in `copy` still those that were lent, and do `words` name no column written since?"""
        if not copy.index.is_(self._bars.index):
            return False
        if self._place is not None and copy.columns.is_(self._bars.columns):
            return _place(copy) == self._place
        if any(word in copy.columns and word not in self._places for word in words):
            return False
        return all(name in copy.columns and _place(copy[name]) == at for name, at in self._places.items())

    def once(self, key: Any, compute: Callable[[], Any]) -> Any:
        """What is remembered under `key`, computed the first time; a copy, safe to be written to."""
        found = self._known.pop(key, None)
        if found is None:
            found = compute()
            self._bytes += found.size * _FLOAT
        self._known[key] = found  # the most recent stands last
        while self._bytes > self._most and len(self._known) > 1:
            oldest = self._known.pop(next(iter(self._known)))
            self._bytes -= oldest.size * _FLOAT
        return detached(found)


class _Remembering(Accessor):
    """The accessor of a lent copy."""

    def __init__(self, bars: pd.DataFrame, memo: Memo) -> None:
        super().__init__(bars)
        self._memo = memo

    @override
    def __call__(self, name: str | Callable[..., object], /, *args: object, **kwargs: object) -> Any:
        """Compute indicator `name` over the bars, or remember it."""
        compute = super().__call__
        given = (*args, *(kwargs[word] for word in sorted(kwargs)))
        words = {value for value in given if isinstance(value, str)}
        if not isinstance(name, str) or not _can_be_hashed(given) or not self._memo.holds(self._bars, words):
            return compute(name, *args, **kwargs)
        key = (name.lower(), len(args), *sorted(kwargs), *given, *map(type, given))  # 14, 14.0 and True differ
        return self._memo.once(key, lambda: compute(name, *args, **kwargs))


def _can_be_hashed(values: tuple[object, ...]) -> bool:
    try:
        hash(values)
    except TypeError:
        return False
    return True


def _place(values: pd.DataFrame | pd.Series[Any]) -> int:
    """Where the values lie in memory: pandas puts them elsewhere when they are written to."""
    array: Any = values.to_numpy()  # pyright: ignore[reportUnknownMemberType]
    return array.__array_interface__["data"][0]
