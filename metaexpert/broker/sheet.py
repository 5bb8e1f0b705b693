"""Sheets: what a run has done with, such as its fills, kept until somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import batched
from typing import Any, overload

__all__ = ["Sheet"]


class Sheet[T](Sequence[T]):
    """Records kept as bare fields, row after row in one list; one is made of its row when somebody looks at it.

    As objects, the garbage collector would go through thousands of them again and again while a run lasts.

    Args:
        make: makes a record of the fields of a row.
        width: how many fields there are.
    """

    __slots__ = ("_fields", "_make", "_width", "write")

    def __init__(self, make: Callable[[tuple[Any, ...]], T], width: int) -> None:
        self._make = make
        self._width = width
        self._fields: list[Any] = []
        self.write = self._fields.extend
        """Adds a row: all its fields."""

    def __len__(self) -> int:
        return len(self._fields) // self._width

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        rows = range(len(self))[index]
        return self._at(rows) if isinstance(rows, int) else [self._at(row) for row in rows]

    def __iter__(self) -> Iterator[T]:
        return map(self._make, batched(self._fields, self._width))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)  # pyright: ignore[reportUnknownArgumentType]

    __hash__ = None  # type: ignore[assignment]

    def let_go(self, kept: int) -> None:
        """Forget all but the last `kept` records, once there are twice as many."""
        if len(self) > 2 * kept:
            del self._fields[: -kept * self._width]

    def _at(self, row: int) -> T:
        start = row * self._width
        return self._make(tuple(self._fields[start : start + self._width]))
