"""Indicators that are computed once: what `bars.ta` is during a sweep."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, override

from ..bars import detached
from ..indicators import Accessor

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

__all__ = ["Memo", "with_memo"]

_FLOAT = 8  # bytes
_MOST_BYTES = 128 * 2**20  # of remembered values; the least recently used go first


class Memo(Accessor):
    """Indicators over one frame, each computed once per distinct argument.

    It looks at the candles as they were given, whatever is written to a copy of them.
    """

    def __init__(self, bars: pd.DataFrame) -> None:
        super().__init__(bars)
        self._known: dict[Any, Any] = {}
        self._bytes = 0

    @override
    def __call__(self, name: str | Callable[..., object], /, *args: object, **kwargs: object) -> Any:
        """Compute indicator `name` over the bars, or remember it."""
        return self._once(name, super().__call__, args, kwargs)

    @override
    def __getattr__(self, name: str) -> Callable[..., Any]:
        compute = super().__getattr__(name)
        return lambda *args, **kwargs: self._once(name, partial(_ignoring_name, compute), args, kwargs)

    def _once(
        self, name: Any, compute: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Any:
        key = (name.lower() if isinstance(name, str) else name, args, tuple(sorted(kwargs.items())))
        try:
            found = self._known.pop(key, None)
        except TypeError:  # an argument can't be hashed: compute anew
            return compute(name, *args, **kwargs)
        if found is None:
            found = compute(name, *args, **kwargs)
            self._bytes += found.size * _FLOAT
        self._known[key] = found  # the most recent stands last
        while self._bytes > _MOST_BYTES and len(self._known) > 1:
            oldest = self._known.pop(next(iter(self._known)))
            self._bytes -= oldest.size * _FLOAT
        return detached(found)


def _ignoring_name(compute: Callable[..., Any], _name: object, *args: object, **kwargs: object) -> Any:
    return compute(*args, **kwargs)


def with_memo(bars: pd.DataFrame, memo: Memo) -> pd.DataFrame:
    """A copy of `bars` whose accessor `ta` is `memo`."""
    copy = detached(bars)
    object.__setattr__(copy, "ta", memo)  # as pandas keeps its own accessors
    return copy
