"""The candle store: one Parquet file per series, in a folder per market with the market's rules beside them.

    <home>/candles/<exchange>/<symbol>/market.json
                                       1h.parquet        time int64 ms, five float64 columns; zstd
                                       mark-1h.parquet   the same of the mark price; index-1h of the index
                                       funding.parquet   time, rate
                                       trades.parquet    time, price, qty, side

A file is replaced as a whole or not at all, so a writer that is killed leaves the old one. What a file was made
from stands in its own metadata, so candles and their origin can't part.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .bars import times
from .errors import ConfigError, DataError, did_you_mean
from .files import discard_drafts, home, locked, replacing
from .models import Market, MarketType
from .series import Kind, as_kind, build, columns_of, inspect_series, merge, parse_name
from .timeframe import parse

if TYPE_CHECKING:
    from collections.abc import Generator
    from dataclasses import Field

    import pandas as pd

    from .bars import Quality

__all__ = ["CandleStore", "SeriesInfo", "Source", "Verdict"]

_META = b"metaexpert"
_ABOVE_ZERO = ("price_tick", "qty_step", "contract_size", "max_leverage")
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError)  # ArrowInvalid is a ValueError
_GROUP_ROWS = 1 << 18  # what is read at once at least when a span is asked for


@dataclass(frozen=True, slots=True)
class Source:
    """What candles were made from: the name of a file or feed, and the SHA-256 hex digest of its bytes, if any."""

    name: str
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesInfo:
    """One stored series: `start` is its first time, `end` (exclusive, ms UTC) the close of its last candle.

    `name` is that of `metaexpert.series`; `timeframe` None for what has none. `sources` stand oldest first.
    """

    exchange: str
    symbol: str
    type: MarketType
    name: str
    kind: Kind
    timeframe: str | None
    rows: int
    start: int
    end: int
    sources: tuple[Source, ...]
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What `CandleStore.verify_all` found in one file: its series and quality, or why it can't be read."""

    path: Path
    info: SeriesInfo | None = None
    quality: Quality | None = None
    error: str | None = None

    @property
    def is_sound(self) -> bool:
        """True when the file can be read and no row of it is unsound; missing bars are no fault of the file."""
        return self.quality is not None and self.quality.unsound == 0


class CandleStore:
    """Candles, what goes with them, and market rules on disk.

    A series of a market is meant by its name, as `metaexpert.series` has it: ``1h``, ``mark-1h``, ``funding``.

    Args:
        root: The store's folder; default ``home() / "candles"``. It is made when something is written.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = home() / "candles" if root is None else root

    def append(self, market: Market, name: str, rows: pd.DataFrame, *, source: Source) -> int:
        """Merge `rows` (sound, in the schema of their kind) into a series and return how many of them are new.

        Where a candle or rate of that time is there already, the new one wins; a trade that is there already is
        not added again. The market's rules replace the stored ones.

        Raises:
            ConfigError: a rule of the market is none, such as a tick of 0.
            DataError: the rows are not sound or contradict the stored ones, or the folder can't be written.
        """
        kind, _ = parse_name(name)
        if not len(rows):
            return 0
        quality = inspect_series(name, rows)
        if quality.unsound:
            raise DataError(
                f"{market.symbol} {name}: {quality.unsound} unsound {kind.plural}; sanitize them first"
            )
        try:
            _check_rules(market)
        except ValueError as error:
            raise ConfigError(f"{market.symbol}: {error}, which is no rule of a market") from None
        path = self._series_path(market.exchange, market.symbol, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(path.parent / ".lock"):
                return self._merge(path, market, kind, rows, source)
        except OSError as error:
            raise DataError(f"can't write {path}: {error.strerror or error}") from error

    def _merge(self, path: Path, market: Market, kind: Kind, rows: pd.DataFrame, source: Source) -> int:
        merged, before, sources = rows, 0, ()
        if path.exists():
            old, sources = _read_table(path, kind), _origin(path).sources
            merged, before = _merged(path, kind, old, rows), len(old)
        sources = (*(known for known in sources if known != source), source)
        rules = json.dumps(market.as_dict(), indent=1)
        origin = _Origin(market.exchange, market.symbol, market.type, path.stem, sources)
        discard_drafts(path.parent)
        with replacing(path) as table, replacing(path.parent / "market.json") as beside:
            _write_table(table, merged, origin)
            beside.write_text(rules + "\n", encoding="utf-8")
        return len(merged) - before

    def read(
        self, exchange: str, symbol: str, name: str, start: int | None = None, end: int | None = None
    ) -> pd.DataFrame:
        """Return the stored rows with start <= time < end (ms UTC; None: no bound), maybe none.

        Raises:
            DataError: there is no such series, or its file is damaged (the file is named).
        """
        rows = _read_table(self._existing(exchange, symbol, name), parse_name(name)[0], start, end)
        if start is None and end is None:
            return rows
        time = times(rows)
        low = 0 if start is None else int(time.searchsorted(start))
        high = len(time) if end is None else int(time.searchsorted(end))
        return rows.iloc[low:high]

    def info(self, exchange: str, symbol: str, name: str) -> SeriesInfo:
        """Describe one series from its file's footer, without reading its rows.

        Raises:
            DataError: there is no such series, or its file is damaged.
        """
        return _info(self._existing(exchange, symbol, name))

    def series(
        self, exchange: str | None = None, symbol: str | None = None, kind: str | None = None
    ) -> list[SeriesInfo]:
        """Describe every stored series (of `exchange`, of unified `symbol`, of `kind`).

        They stand by exchange, symbol, kind and timeframe.

        Raises:
            DataError: a file is damaged (it is named).
        """
        found = (_info(path) for path in self._paths(exchange, symbol))
        kept = (info for info in found if symbol in (None, info.symbol) and kind in (None, info.kind))
        return sorted(kept, key=_place)

    def market(self, exchange: str, symbol: str) -> Market:
        """Return the stored rules of the unified `symbol`.

        Raises:
            DataError: none are stored, or their file is damaged.
        """
        path = self._folder(exchange, symbol) / "market.json"
        if not path.is_file():
            known = [market.symbol for market in self.markets(exchange)]
            raise DataError(f"no market {symbol} of {exchange} in {self.root}{did_you_mean(symbol, known)}")
        return _read_market(path)

    def markets(self, exchange: str, symbol: str | None = None) -> list[Market]:
        """Return all stored markets of `exchange` (of unified `symbol`), by symbol; none where the rules are lost.

        A market whose rules are damaged stands in no other's way: it is left out, unless it is the `symbol` asked
        for. `verify_all` and `market` name the file.

        Raises:
            DataError: the file of the rules of `symbol` is damaged (it is named).
        """
        files = {path.parent / "market.json" for path in self._paths(exchange, symbol)}
        found: list[Market] = []
        for file in filter(Path.is_file, files):
            try:
                found.append(_read_market(file))
            except DataError:
                if symbol is not None:
                    raise
        return sorted(found, key=lambda market: market.symbol)

    def verify(self, exchange: str, symbol: str, name: str) -> Quality:
        """Read the whole series, check its bytes against their checksums, and count what is unsound in it.

        Raises:
            DataError: there is no such series, or its file or its market's rules are damaged.
        """
        path = self._existing(exchange, symbol, name)
        market, origin = _read_market(path.parent / "market.json"), _origin(path)
        names = ", ".join(source.name for source in origin.sources)
        rows = _read_table(path, parse_name(name)[0])
        return inspect_series(name, rows, synthetic=market.synthetic, source=names)

    def verify_all(
        self,
        exchange: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        kind: str | None = None,
    ) -> list[Verdict]:
        """Verify every series (of `exchange`, `symbol`, `timeframe`, `kind`).

        A damaged file is a verdict, not an error.

        `symbol` may be written as the exchange does (``BTCUSDT``): then it means every kind of that market.

        Raises:
            ConfigError: there is no such timeframe or kind.
            DataError: no series is meant.
        """
        if timeframe is not None:
            parse(timeframe)
        wanted = None if kind is None else as_kind(kind)
        verdicts = [_verdict(self, path) for path in self._paths(exchange)]
        meant = [verdict for verdict in verdicts if _is_meant(verdict, symbol, timeframe, wanted)]
        if not meant:
            what = "candles" if wanted is None else wanted.plural
            said = (timeframe, what, symbol and f"of {symbol}", exchange and f"from {exchange}")
            asked = " ".join(word for word in said if word)
            known = {verdict.info.symbol for verdict in verdicts if verdict.info is not None}
            advice = "; import some: metaexpert data import FILE"
            hint = did_you_mean(symbol, known) if symbol and known else advice
            raise DataError(f"no {asked} in {self.root}{hint}")
        return meant

    def _folder(self, exchange: str, symbol: str) -> Path:
        _check_exchange(exchange)
        return self.root / exchange / _slug(symbol)

    def _series_path(self, exchange: str, symbol: str, name: str) -> Path:
        parse_name(name)
        return self._folder(exchange, symbol) / f"{name}.parquet"

    def _existing(self, exchange: str, symbol: str, name: str) -> Path:
        path = self._series_path(exchange, symbol, name)
        if not path.is_file():
            kind, timeframe = parse_name(name)
            what = kind.plural if timeframe is None else f"{timeframe} {kind.plural}"
            raise DataError(f"no {what} of {symbol} from {exchange} in {self.root}; import them first")
        return path

    def _paths(self, exchange: str | None, symbol: str | None = None) -> list[Path]:
        if exchange is not None:
            _check_exchange(exchange)
        folder = "*" if symbol is None else _slug(symbol)
        found = self.root.glob(f"{exchange or '*'}/{folder}/*.parquet")
        return sorted(path for path in found if _is_name(path.stem))


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a Parquet file says of itself."""

    exchange: str
    symbol: str
    type: str
    name: str
    sources: tuple[Source, ...]


def _check_exchange(exchange: str) -> None:
    if not re.fullmatch(r"[a-z0-9_]+", exchange):
        raise ConfigError(f"{exchange!r} is no exchange name; use lower-case letters and digits")


def _is_name(text: str) -> bool:
    try:
        parse_name(text)
    except ConfigError:
        return False
    return True


def _place(info: SeriesInfo) -> tuple[str, str, int, int]:
    length = 0 if info.timeframe is None else parse(info.timeframe)
    return info.exchange, info.symbol, list(Kind).index(info.kind), length


def _merged(path: Path, kind: Kind, old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    try:
        return merge(kind, old, new)
    except DataError as error:
        raise DataError(f"{error}; to begin anew, delete {path}") from None


def _slug(symbol: str) -> str:
    """Return a folder's name for a symbol that every file system takes: ``BTC/USDT:USDT`` -> ``BTC-USDT_USDT``."""
    slug = quote(symbol.replace("/", "-").replace(":", "_"), safe="")
    if not slug.strip("."):
        raise ConfigError(f"{symbol!r} is no symbol; write it like BTC/USDT")
    return slug


def _verdict(store: CandleStore, path: Path) -> Verdict:
    try:
        info = _info(path)
        return Verdict(path=path, info=info, quality=store.verify(info.exchange, info.symbol, info.name))
    except DataError as error:
        return Verdict(path=path, error=str(error))


def _is_meant(verdict: Verdict, symbol: str | None, timeframe: str | None, kind: Kind | None) -> bool:
    """Tell whether a filter means this file; one that can't be read is always shown."""
    info = verdict.info
    if info is None:
        return True
    pair = info.symbol.split(":")[0].replace("/", "")
    wanted = None if symbol is None else symbol.strip().upper()
    said = wanted is None or wanted == info.symbol.upper() or re.sub("[-_/]", "", wanted) == pair
    return said and timeframe in (None, info.timeframe) and kind in (None, info.kind)


def _arrow(module: str) -> Any:
    """Import a module of pyarrow when it is needed. It carries no types, so none are pretended."""
    return import_module(module)


def _write_table(path: Path, rows: pd.DataFrame, origin: _Origin) -> None:
    names = columns_of(parse_name(origin.name)[0])
    columns: dict[str, Any] = {"time": times(rows), **{name: rows[name].to_numpy() for name in names}}
    table = _arrow("pyarrow").table(columns).replace_schema_metadata({_META: json.dumps(asdict(origin)).encode()})
    _arrow("pyarrow.parquet").write_table(
        table, path, compression="zstd", write_page_checksum=True, row_group_size=_GROUP_ROWS
    )


def _read_table(path: Path, kind: Kind, start: int | None = None, end: int | None = None) -> pd.DataFrame:
    """Read the rows of a file, but not the groups of rows that lie wholly before `start` or from `end` on."""
    names = [*columns_of(kind)]
    with _damage_named(path):
        with _arrow("pyarrow.parquet").ParquetFile(path, page_checksum_verification=True) as file:
            spans = _spans(file.metadata)
            wanted = [
                at
                for at, (first, last) in enumerate(spans)
                if (start is None or last >= start) and (end is None or first < end)
            ]
            table = file.read_row_groups(wanted, columns=["time", *names])
        rows = build(kind, table["time"].to_numpy(), [table[name].to_numpy() for name in names])
        del table
        _arrow("pyarrow").default_memory_pool().release_unused()  # it would keep more than the rows themselves
        return rows


def _spans(footer: Any) -> list[tuple[int, int]]:
    """Return the first and last time of each group of rows."""
    found = [footer.row_group(at).column(0).statistics for at in range(footer.num_row_groups)]
    return [(group.min, group.max) for group in found]


def _footer(path: Path) -> tuple[_Origin, Any]:
    with _damage_named(path):
        with _arrow("pyarrow.parquet").ParquetFile(path) as file:
            footer = file.metadata
        stated = json.loads(footer.metadata[_META])
        sources = tuple(Source(**source) for source in stated.pop("sources"))
        return _Origin(**stated, sources=sources), footer


def _origin(path: Path) -> _Origin:
    return _footer(path)[0]


def _info(path: Path) -> SeriesInfo:
    origin, footer = _footer(path)
    with _damage_named(path):
        kind, timeframe = parse_name(origin.name)
        spans = _spans(footer)
        return SeriesInfo(
            exchange=origin.exchange,
            symbol=origin.symbol,
            type=MarketType(origin.type),
            name=origin.name,
            kind=kind,
            timeframe=timeframe,
            rows=footer.num_rows,
            start=min(first for first, _ in spans),
            end=max(last for _, last in spans) + (1 if timeframe is None else parse(timeframe)),
            sources=origin.sources,
            path=path,
        )


def _read_market(path: Path) -> Market:
    with _damage_named(path):
        market = Market.from_dict(json.loads(path.read_text(encoding="utf-8")))
        _check_rules(market)
        return market


def _check_rules(market: Market) -> None:
    """Raise ValueError where a rule is none; the last margin tier may well end at infinity."""
    for field in fields(Market):
        value = getattr(market, field.name)
        if not _is_fit(field, value):
            raise ValueError(f"{field.name} is {value!r}")


def _is_fit(field: Field[Any], value: object) -> bool:
    """Tell whether a rule that should be a number is one, and a step one above 0."""
    if "float" not in str(field.type) or (value is None and "None" in str(field.type)):
        return True
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        return False
    return field.name not in _ABOVE_ZERO or value > 0


@contextmanager
def _damage_named(path: Path) -> Generator[None]:
    """Turn whatever a damaged file makes its reader say into one line that names the file."""
    try:
        yield
    except _DAMAGE as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataError(f"{path} is damaged ({reason}); delete it and import its candles again") from error
