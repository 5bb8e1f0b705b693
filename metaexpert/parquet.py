"""One series in one Parquet file: its rows, and what the file says of itself.

Rows stand by time in groups of equal size, so a span is read, and rows are merged in, without holding the whole
file: memory stays flat however long the series is.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .bars import times
from .errors import ConfigError, DataError
from .series import Kind, build, columns_of, empty, merge, parse_name

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from .spans import Span

__all__ = [
    "Origin",
    "Source",
    "damage_named",
    "read_footer",
    "read_rows",
    "read_times",
    "spans_of",
    "write_merged",
]

_META = b"metaexpert"
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError)  # ArrowInvalid is a ValueError
_GROUP_ROWS = 1 << 18  # what is read at once at least when a span is asked for


@dataclass(frozen=True, slots=True)
class Source:
    """What candles were made from: the name of a file or feed, and the SHA-256 hex digest of its bytes, if any."""

    name: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a file says of itself; `covered` are the spans in which nothing is missing, whatever stands there."""

    exchange: str
    symbol: str
    type: str
    name: str
    sources: tuple[Source, ...]
    covered: tuple[Span, ...] = ()


def read_footer(path: Path) -> tuple[Origin, Any]:
    """What the file says of itself, and pyarrow's metadata.

    Raises:
        DataError: the file is damaged.
    """
    with damage_named(path):
        with _arrow("pyarrow.parquet").ParquetFile(path) as file:
            footer = file.metadata
        stated = json.loads(footer.metadata[_META])
        sources = tuple(Source(**source) for source in stated.pop("sources"))
        covered = tuple((int(start), int(end)) for start, end in stated.pop("covered", ()))
        return Origin(**stated, sources=sources, covered=covered), footer


def spans_of(footer: Any) -> list[Span]:
    """The first and the last time of each group of rows."""
    found = [footer.row_group(at).column(0).statistics for at in range(footer.num_row_groups)]
    return [(group.min, group.max) for group in found]


def read_rows(path: Path, kind: Kind, start: int | None = None, end: int | None = None) -> pd.DataFrame:
    """Read the rows of a file, but not the groups of rows that lie wholly before `start` or from `end` on.

    Raises:
        DataError: the file is damaged.
    """
    with damage_named(path):
        with _arrow("pyarrow.parquet").ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read_row_groups(_within(file, start, end), columns=["time", *columns_of(kind)])
        rows = _frame(kind, table)
        del table
        _arrow("pyarrow").default_memory_pool().release_unused()  # it would keep more than the rows themselves
        return rows


def read_times(path: Path, start: int, end: int) -> npt.NDArray[Any]:
    """The times of the rows with start <= time < end, int64.

    Raises:
        DataError: the file is damaged.
    """
    with damage_named(path):
        with _arrow("pyarrow.parquet").ParquetFile(path, page_checksum_verification=True) as file:
            time = file.read_row_groups(_within(file, start, end), columns=["time"])["time"].to_numpy()
        return time[time.searchsorted(start) : time.searchsorted(end)]


def write_merged(target: Path, old: Path | None, rows: pd.DataFrame, origin: Origin) -> int:
    """Write the rows of the file `old` with `rows` merged in to `target`; return how many there are then.

    Groups that `rows` don't touch are copied one by one.

    Raises:
        DataError: the old file is damaged, or trades of both can't be told apart.
        OSError: the new one can't be written.
    """
    kind, _ = parse_name(origin.name)
    with _Groups(target, kind, origin) as groups:
        if old is None:
            groups.add(_table(kind, rows))
            return groups.rows
        with damage_named(old):
            file = _arrow("pyarrow.parquet").ParquetFile(old, page_checksum_verification=True)
        with file:
            before, touched, after = _parted(spans_of(file.metadata), times(rows))
            for at in before:
                groups.add(_group(old, file, kind, [at]))
            there = _frame(kind, _group(old, file, kind, touched)) if touched else rows[:0]
            groups.add(_table(kind, _merged(old, kind, there, rows)))
            for at in after:
                groups.add(_group(old, file, kind, [at]))
        return groups.rows


class _Groups:
    """A file in the making, in groups of `_GROUP_ROWS` rows whatever the pieces are that it is made from."""

    def __init__(self, path: Path, kind: Kind, origin: Origin) -> None:
        said = {_META: json.dumps(asdict(origin)).encode()}
        self._schema = _table(kind, empty(kind)).schema.with_metadata(said)
        self._writer = _arrow("pyarrow.parquet").ParquetWriter(
            path, self._schema, compression="zstd", write_page_checksum=True
        )
        self._waiting: Any = self._schema.empty_table()
        self.rows = 0

    def __enter__(self) -> _Groups:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed is None and self._waiting.num_rows:
            self._write(self._waiting)
        self._writer.close()

    def add(self, table: Any) -> None:
        """Take rows that come after all before."""
        self.rows += table.num_rows
        self._waiting = _arrow("pyarrow").concat_tables([self._waiting, table.cast(self._schema)])
        while self._waiting.num_rows >= _GROUP_ROWS:
            self._write(self._waiting.slice(0, _GROUP_ROWS))
            self._waiting = self._waiting.slice(_GROUP_ROWS)

    def _write(self, table: Any) -> None:
        self._writer.write_table(table, row_group_size=_GROUP_ROWS)


def _arrow(module: str) -> Any:
    """Import a module of pyarrow when it is needed. It carries no types, so none are pretended."""
    return import_module(module)


def _within(file: Any, start: int | None, end: int | None) -> list[int]:
    """The groups of rows that `start` and `end` leave."""
    spans = enumerate(spans_of(file.metadata))
    return [
        at
        for at, (first, last) in spans
        if (start is None or last >= start) and (end is None or first < end)
    ]  # fmt: skip


def _parted(spans: Sequence[Span], time: npt.NDArray[Any]) -> tuple[list[int], list[int], list[int]]:
    """Which groups lie before all of `time`, which among it, which after."""
    if not time.size:
        return [*range(len(spans))], [], []
    first, last = int(time[0]), int(time[-1])
    before = [at for at, span in enumerate(spans) if span[1] < first]
    after = [at for at, span in enumerate(spans) if span[0] > last]
    return before, list(range(len(before), len(spans) - len(after))), after


def _group(path: Path, file: Any, kind: Kind, groups: Sequence[int]) -> Any:
    with damage_named(path):
        return file.read_row_groups(groups, columns=["time", *columns_of(kind)])


def _merged(path: Path, kind: Kind, old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    try:
        return merge(kind, old, new)
    except DataError as error:
        raise DataError(f"{error}; to begin anew, delete {path}") from None


def _table(kind: Kind, rows: pd.DataFrame) -> Any:
    columns: dict[str, Any] = {"time": times(rows), **{name: rows[name].to_numpy() for name in columns_of(kind)}}
    return _arrow("pyarrow").table(columns)


def _frame(kind: Kind, table: Any) -> pd.DataFrame:
    return build(kind, table["time"].to_numpy(), [table[name].to_numpy() for name in columns_of(kind)])


@contextmanager
def damage_named(path: Path) -> Generator[None]:
    """Turn whatever a damaged file makes its reader say into one line that names the file."""
    try:
        yield
    except _DAMAGE as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataError(f"{path} is damaged ({reason}); delete it and import its candles again") from error
