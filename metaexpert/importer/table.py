"""A file of candles, rates or trades -> columns of text or values, whatever its packing and separators."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, DataError
from ..series import Kind

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Table", "is_number", "read_table"]

_SEPARATORS = (";", "\t", "|", ",", " ")  # a comma may be the decimal sign of the others, so it comes after them
_NAMES = {";": "semicolon", "\t": "tab", "|": "|", ",": "comma", " ": "space"}
_NEEDED = {
    Kind.FUNDING: ("time", "rate"),
    Kind.TRADES: ("time", "price", "quantity"),
}
_CANDLE = ("time", "open", "high", "low", "close")  # and volume, where there is one
_SAMPLE = 200
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length: lists of text (from CSV) or arrays (from Parquet), with what was seen on the way.

    `names` is None where the file has no header. `lines` holds each row's line in the file (empty for Parquet).
    """

    digest: str
    names: tuple[str, ...] | None
    columns: tuple[Any, ...]
    lines: tuple[int, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()


def read_table(path: Path, kind: Kind = Kind.CANDLES) -> Table:
    """Read a CSV or Parquet file, packed with gzip or zip or not.

    Args:
        path: The file.
        kind: What it is to hold: it tells how many columns a row has at least.

    Raises:
        ConfigError: there is no such file, or it is a folder.
        DataError: it is empty, binary, damaged, or holds no table.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name one file of {kind.plural}")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; check the name") from None
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror or error}") from error
    data, packing, cut = _unpack(raw, path)
    if not data.split():
        raise DataError(f"{path} is empty")
    digest = hashlib.sha256(raw).hexdigest()
    if data.startswith(b"PAR1"):
        return _parquet(data, path, digest, packing)
    return _text(_decode(data, path), path, kind, digest, packing, cut)


def _unpack(raw: bytes, path: Path) -> tuple[bytes, str, str | None]:
    """Return the content, how it was packed, and what is missing at its end."""
    try:
        if raw.startswith(b"\x1f\x8b"):
            return gzip.decompress(raw), ", gzip", None
        if raw.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                members = [name for name in archive.namelist() if not name.endswith("/")]
                if len(members) != 1:
                    raise DataError(f"{path} holds {len(members)} files; unpack it and import them one by one")
                return archive.read(members[0]), ", zip", None
    except EOFError:
        head = zlib.decompressobj(wbits=31).decompress(raw)
        return head, ", gzip", "the gzip file ends too early: the rows at its end are lost"
    except (OSError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        raise DataError(f"{path} is a damaged archive ({error}); fetch it again") from error
    return raw, "", None


def _decode(data: bytes, path: Path) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\x00" in data[:4096]:
        raise DataError(f"{path} is neither CSV nor Parquet; convert it to one of them")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _parquet(data: bytes, path: Path, digest: str, packing: str) -> Table:
    import pandas as pd

    try:
        content = pd.read_parquet(io.BytesIO(data))
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        raise DataError(f"{path} is a damaged Parquet file ({str(error).splitlines()[0][:80]})") from error
    if content.index.name is not None or not isinstance(content.index, pd.RangeIndex):
        content = content.reset_index()
    if content.empty:
        raise DataError(f"{path} has columns but no rows")
    names = tuple(str(name) for name in content.columns)
    columns = tuple(content.iloc[:, at] for at in range(len(names)))
    return Table(digest, names, columns, facts=(("format", f"Parquet{packing}"),))


def _text(text: str, path: Path, kind: Kind, digest: str, packing: str, cut: str | None) -> Table:
    lines, least = text.splitlines(), len(_NEEDED.get(kind, _CANDLE))
    separator, width = _layout(lines, path, kind)
    try:
        rows = [_cells(line, separator) for line in lines]
    except csv.Error as error:
        raise DataError(f"{path} is no CSV file ({error})") from error
    if cut is not None:
        rows[-1] = []  # the line at which the file was cut may hold half a number
    full = [at for at, row in enumerate(rows) if len(row) == width]
    if not full:
        raise DataError(f"{path} ends within its first line; fetch it again")
    header = rows[full[0]] if _is_header(rows[full[0]]) else None
    before = [row for row in rows[: full[0]] if sum(cell.strip().isalpha() for cell in row) >= max(2, least - 1)]
    if before:
        raise DataError(
            f"{path}: the header has {len(before[0])} columns but the rows have {width}; mend the header"
        )
    body = [at for at in full if rows[at] != header]
    if not body:
        raise DataError(f"{path} has a header but no rows")
    odd = [at + 1 for at, row in enumerate(rows) if at > full[0] and row and len(row) != width and any(row)]
    facts = [("format", f"CSV{packing}"), ("separator", _NAMES[separator])]
    facts.append(("header", ", ".join(header) if header is not None else "none"))
    facts += [("skipped before it", f"{full[0]} line(s)")] if full[0] and any(rows[: full[0]]) else []
    left_out = [f"{len(odd)} line(s) with another number of columns than {width}: {_where(odd)}"] if odd else []
    left_out += [cut] if cut is not None else []
    again = [at + 1 for at in full[1:] if rows[at] == header]
    left_out += [f"{len(again)} line(s) that repeat the header: {_where(again)}"] if again else []
    return Table(
        digest,
        tuple(header) if header is not None else None,
        tuple(map(list, zip(*(rows[at] for at in body), strict=True))),
        tuple(at + 1 for at in body),
        tuple(facts),
        tuple(left_out),
    )


def _cells(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    if '"' not in line:
        return line.split(separator) if line else []
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True), list[str]())


def _layout(lines: list[str], path: Path, kind: Kind) -> tuple[str, int]:
    """Return the separator and the number of columns that most lines of the sample agree on."""
    needed = _NEEDED.get(kind, _CANDLE)
    sample = [line for line in lines[: 2 * _SAMPLE] if line.strip()][:_SAMPLE]
    for separator in _SEPARATORS:
        widths = Counter(len(_cells(line, separator)) for line in sample)
        width, count = widths.most_common(1)[0] if sample else (0, 0)
        glued = (
            separator == "," and len(re.findall(r"\d \d", "".join(sample[-1:]))) > 2
        )  # commas are the decimal sign here
        if width >= len(needed) and count >= 0.5 * len(sample) and not glued:
            return separator, width
    volume = ", volume" if kind is Kind.CANDLES else ""
    raise DataError(
        f"{path} holds no {kind.plural} that can be recognised; it needs rows of {', '.join(needed)}{volume}"
    )


def _is_header(row: list[str]) -> bool:
    return sum(is_number(cell) for cell in row) == 0


def is_number(cell: str) -> bool:
    """Tell whether `cell` reads as a number, with a decimal point or a decimal comma."""
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _where(lines: list[int]) -> str:
    return f"line {', '.join(map(str, lines[:_SHOWN]))}{', ...' if len(lines) > _SHOWN else ''}"
