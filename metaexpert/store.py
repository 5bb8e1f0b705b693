"""The candle store: one Parquet file per exchange, symbol and timeframe, with the market's rules beside it.

    <home>/candles/<exchange>/<symbol>/market.json
                                       1h.parquet     time int64 ms, five float64 columns; zstd

A file is replaced as a whole or not at all, so a writer that is killed leaves the old one. What a file was made
from stands in its own metadata, so candles and their origin can't part.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .bars import COLUMNS, empty, frame, inspect, times
from .errors import ConfigError, DataError, did_you_mean
from .models import ContractType, Market, MarketType
from .timeframe import TIMEFRAMES, parse

if TYPE_CHECKING:
    from collections.abc import Generator

    import pandas as pd

    from .bars import Quality

__all__ = ["CandleStore", "SeriesInfo", "Source", "Verdict", "home"]

_META = b"metaexpert"
_DRAFT = ".tmp"


def home() -> Path:
    """Return the folder of the user's data: ``METAEXPERT_HOME``, else the platform's place for it.

    Raises:
        ConfigError: ``METAEXPERT_HOME`` begins with a ``~`` that means nobody.
    """
    override = os.environ.get("METAEXPERT_HOME")
    if override:
        try:
            return Path(override).expanduser()
        except RuntimeError:  # no such user
            raise ConfigError(f"METAEXPERT_HOME={override}: ~ means no folder; write the whole path") from None
    import platformdirs

    return Path(platformdirs.user_data_dir("metaexpert", appauthor=False))


@dataclass(frozen=True, slots=True)
class Source:
    """What candles were made from: the name of a file or feed, and the SHA-256 hex digest of its bytes, if any."""

    name: str
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesInfo:
    """One stored series: `start` is the first open time, `end` the last close (ms UTC); `sources` oldest first."""

    exchange: str
    symbol: str
    type: MarketType
    timeframe: str
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
    """Candles and market rules on disk.

    Args:
        root: The store's folder; default ``home() / "candles"``. It is made when something is written.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = home() / "candles" if root is None else root

    def append(self, market: Market, timeframe: str, candles: pd.DataFrame, *, source: Source) -> int:
        """Merge `candles` (in the schema, sound) into the market's series and return how many open times are new.

        Where a candle is there already, the new one wins. The market's rules replace the stored ones.

        Raises:
            DataError: the candles are not sound, or the folder can't be written.
        """
        parse(timeframe)
        quality = inspect(candles, timeframe)
        if quality.unsound:
            raise DataError(f"{market.symbol} {timeframe}: {quality.unsound} unsound candles; sanitize them first")
        path = self._series_path(market.exchange, market.symbol, timeframe)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(path.parent / ".lock"):
                return self._merge(path, market, timeframe, candles, source)
        except OSError as error:
            raise DataError(f"can't write {path}: {error.strerror or error}") from error

    def _merge(self, path: Path, market: Market, timeframe: str, candles: pd.DataFrame, source: Source) -> int:
        import pandas as pd

        old, sources = empty(), ()
        if path.exists():
            old, sources = _read_table(path), _origin(path).sources
        merged = pd.concat([old, candles]) if len(old) else candles
        merged = merged[~merged.index.duplicated(keep="last")].sort_index()
        sources = (*(known for known in sources if known != source), source)
        rules = json.dumps({k: v for k, v in asdict(market).items() if k != "source"}, indent=1, allow_nan=False)
        origin = _Origin(market.exchange, market.symbol, market.type, timeframe, sources)
        _discard_drafts(path.parent)
        with _replacing(path) as table, _replacing(path.parent / "market.json") as beside:
            _write_table(table, merged, origin)
            beside.write_text(rules + "\n", encoding="utf-8")
        return len(merged) - len(old)

    def read(
        self, exchange: str, symbol: str, timeframe: str, start: int | None = None, end: int | None = None
    ) -> pd.DataFrame:
        """Return the stored candles with start <= open time < end (ms UTC; None: no bound), maybe none.

        Raises:
            DataError: there is no such series, or its file is damaged (the file is named).
        """
        candles = _read_table(self._existing(exchange, symbol, timeframe))
        if start is None and end is None:
            return candles
        time = times(candles)
        low = 0 if start is None else int(time.searchsorted(start))
        high = len(time) if end is None else int(time.searchsorted(end))
        return candles.iloc[low:high]

    def info(self, exchange: str, symbol: str, timeframe: str) -> SeriesInfo:
        """Describe one series from its file's footer, without reading the candles.

        Raises:
            DataError: there is no such series, or its file is damaged.
        """
        return _info(self._existing(exchange, symbol, timeframe))

    def series(self, exchange: str | None = None, symbol: str | None = None) -> list[SeriesInfo]:
        """Describe every stored series (of `exchange`, of unified `symbol`), by exchange, symbol and timeframe.

        Raises:
            DataError: a file is damaged (it is named).
        """
        found = (_info(path) for path in self._paths(exchange, symbol))
        kept = (info for info in found if symbol is None or info.symbol == symbol)
        return sorted(kept, key=lambda info: (info.exchange, info.symbol, parse(info.timeframe)))

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

    def markets(self, exchange: str) -> list[Market]:
        """Return all stored markets of `exchange`, by symbol."""
        folders = {path.parent for path in self._paths(exchange)}
        return sorted((_read_market(folder / "market.json") for folder in folders), key=lambda m: m.symbol)

    def verify(self, exchange: str, symbol: str, timeframe: str) -> Quality:
        """Read the whole series, check its bytes against their checksums, and count what is unsound in it.

        Raises:
            DataError: there is no such series, or its file or its market's rules are damaged.
        """
        path = self._existing(exchange, symbol, timeframe)
        market, origin = _read_market(path.parent / "market.json"), _origin(path)
        names = ", ".join(source.name for source in origin.sources)
        return inspect(_read_table(path), timeframe, synthetic=market.synthetic, source=names)

    def verify_all(
        self, exchange: str | None = None, symbol: str | None = None, timeframe: str | None = None
    ) -> list[Verdict]:
        """Verify every series (of `exchange`, `symbol`, `timeframe`); a damaged file is a verdict, not an error.

        `symbol` may be written as the exchange does (``BTCUSDT``): then it means every kind of that market.

        Raises:
            DataError: no series is meant.
        """
        if timeframe is not None:
            parse(timeframe)
        verdicts = [_verdict(self, path) for path in self._paths(exchange)]
        meant = [verdict for verdict in verdicts if _is_meant(verdict, symbol, timeframe)]
        if not meant:
            said = (timeframe, "candles", symbol and f"of {symbol}", exchange and f"from {exchange}")
            asked = " ".join(word for word in said if word)
            known = {verdict.info.symbol for verdict in verdicts if verdict.info is not None}
            hint = did_you_mean(symbol or "", known) if known else "; import some: metaexpert data import FILE"
            raise DataError(f"no {asked} in {self.root}{hint}")
        return meant

    def _folder(self, exchange: str, symbol: str) -> Path:
        _check_exchange(exchange)
        return self.root / exchange / _slug(symbol)

    def _series_path(self, exchange: str, symbol: str, timeframe: str) -> Path:
        return self._folder(exchange, symbol) / f"{timeframe}.parquet"

    def _existing(self, exchange: str, symbol: str, timeframe: str) -> Path:
        path = self._series_path(exchange, symbol, timeframe)
        if not path.is_file():
            raise DataError(
                f"no {timeframe} candles of {symbol} from {exchange} in {self.root}; import them first"
            )
        return path

    def _paths(self, exchange: str | None, symbol: str | None = None) -> list[Path]:
        if exchange is not None:
            _check_exchange(exchange)
        folder = "*" if symbol is None else _slug(symbol)
        found = self.root.glob(f"{exchange or '*'}/{folder}/*.parquet")
        return sorted(path for path in found if path.stem in TIMEFRAMES)


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a Parquet file says of itself."""

    exchange: str
    symbol: str
    type: str
    timeframe: str
    sources: tuple[Source, ...]


def _check_exchange(exchange: str) -> None:
    if not re.fullmatch(r"[a-z0-9_]+", exchange):
        raise ConfigError(f"{exchange!r} is no exchange name; use lower-case letters and digits")


def _slug(symbol: str) -> str:
    """Return a folder's name for a symbol that every file system takes: ``BTC/USDT:USDT`` -> ``BTC-USDT_USDT``."""
    slug = quote(symbol.replace("/", "-").replace(":", "_"), safe="")
    if not slug.strip("."):
        raise ConfigError(f"{symbol!r} is no symbol; write it like BTC/USDT")
    return slug


def _verdict(store: CandleStore, path: Path) -> Verdict:
    try:
        info = _info(path)
        return Verdict(path=path, info=info, quality=store.verify(info.exchange, info.symbol, info.timeframe))
    except DataError as error:
        return Verdict(path=path, error=str(error))


def _is_meant(verdict: Verdict, symbol: str | None, timeframe: str | None) -> bool:
    """Tell whether a filter means this file; one that can't be read is always shown."""
    info = verdict.info
    if info is None:
        return True
    pair = info.symbol.split(":")[0].replace("/", "")
    wanted = None if symbol is None else symbol.strip().upper()
    said = wanted is None or wanted == info.symbol.upper() or re.sub("[-_/]", "", wanted) == pair
    return said and timeframe in (None, info.timeframe)


def _arrow(module: str) -> Any:
    """Import a module of pyarrow when it is needed. It carries no types, so none are pretended."""
    return import_module(module)


def _write_table(path: Path, candles: pd.DataFrame, origin: _Origin) -> None:
    columns: dict[str, Any] = {"time": times(candles), **{name: candles[name].to_numpy() for name in COLUMNS}}
    table = _arrow("pyarrow").table(columns).replace_schema_metadata({_META: json.dumps(asdict(origin)).encode()})
    _arrow("pyarrow.parquet").write_table(table, path, compression="zstd", write_page_checksum=True)


def _read_table(path: Path) -> pd.DataFrame:
    with _damage_named(path):
        with _arrow("pyarrow.parquet").ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read(columns=["time", *COLUMNS])
        return frame(table["time"].to_numpy(), [table[name].to_numpy() for name in COLUMNS])


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
        groups = [footer.row_group(i).column(0).statistics for i in range(footer.num_row_groups)]
        return SeriesInfo(
            exchange=origin.exchange,
            symbol=origin.symbol,
            type=MarketType(origin.type),
            timeframe=origin.timeframe,
            rows=footer.num_rows,
            start=min(group.min for group in groups),
            end=max(group.max for group in groups) + parse(origin.timeframe),
            sources=origin.sources,
            path=path,
        )


def _read_market(path: Path) -> Market:
    with _damage_named(path):
        values = json.loads(path.read_text(encoding="utf-8"))
        values["type"] = MarketType(values["type"])
        kind = values["contract_type"]
        values["contract_type"] = None if kind is None else ContractType(kind)
        if set(values) != {field.name for field in fields(Market)} - {"source"}:
            raise ValueError("not the fields of a market")
        return Market(**values)


@contextmanager
def _damage_named(path: Path) -> Generator[None]:
    """Turn whatever a damaged file makes its reader say into one line that names the file."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # ArrowInvalid is a ValueError
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataError(f"{path} is damaged ({reason}); delete it and import its candles again") from error


def _discard_drafts(folder: Path) -> None:
    """Remove what writers that were killed left behind; the caller holds the folder's lock, so none is at work."""
    for draft in folder.glob(f".*{_DRAFT}"):
        draft.unlink(missing_ok=True)


@contextmanager
def _replacing(path: Path) -> Generator[Path]:
    """Give a file beside `path` to write; what is written is brought to disk and takes the place of `path`."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_DRAFT, dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        with suppress(OSError):  # some file systems can't sync a folder; the rename itself is done
            os.fsync(folder)
        os.close(folder)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Hold the lock file `path`; a second writer waits. The system frees it when its holder dies."""
    with path.open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # gives up after ten seconds, as OSError
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
            yield
