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
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .bars import times
from .errors import ConfigError, DataError, did_you_mean
from .files import discard_drafts, home, locked, replacing
from .models import Market, MarketType
from .parquet import Origin, Source, damage_named, read_footer, read_rows, read_times, spans_of, write_merged
from .series import Kind, as_kind, inspect_series, known_spans, parse_name
from .spans import joined, without
from .timeframe import parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from dataclasses import Field

    import numpy.typing as npt
    import pandas as pd

    from .bars import Quality
    from .spans import Span

__all__ = ["CandleStore", "SeriesInfo", "Source", "Verdict"]

_ABOVE_ZERO = ("price_tick", "qty_step", "contract_size", "max_leverage")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesInfo:
    """One stored series: `start` is its first time, `end` (exclusive, ms UTC) the close of its last candle.

    `name` is that of `metaexpert.series`; `timeframe` None for what has none. `sources` stand oldest first.
    `covered` are the spans (ms UTC) that are known whole: an exchange was asked for all of them.
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
    covered: tuple[Span, ...]
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

    def append(
        self,
        market: Market,
        name: str,
        rows: pd.DataFrame,
        *,
        source: Source,
        covered: Sequence[Span] | None = None,
    ) -> int:
        """Merge `rows` (sound, in the schema of their kind) into a series and return how many of them are new.

        Where a candle or rate of that time is there already, the new one wins; a trade that is there already is
        not added again. The market's rules replace the stored ones.

        Args:
            market: whose rows they are.
            name: of the series.
            rows: none of a series that is not stored yet do nothing, whatever they cover.
            source: what they were made from.
            covered: the spans (ms UTC) in which nothing is missing now, because an exchange was asked for all of
                them; None: as `metaexpert.series.known_spans` tells from the rows of a file.

        Raises:
            ConfigError: a rule of the market is none, such as a tick of 0.
            DataError: the rows are not sound or contradict the stored ones, or the folder can't be written.
        """
        kind, _ = parse_name(name)
        path = self._series_path(market.exchange, market.symbol, name)
        if not len(rows) and not (covered and path.is_file()):
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
        known = known_spans(kind, times(rows)) if covered is None else covered
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(path.parent / ".lock"):
                return self._merge(path, market, rows, source, known)
        except OSError as error:
            raise DataError(f"can't write {path}: {error.strerror or error}") from error

    def _merge(
        self, path: Path, market: Market, rows: pd.DataFrame, source: Source, covered: Sequence[Span]
    ) -> int:
        there, before, sources, known = None, 0, (), ()
        if path.exists():
            old, footer = read_footer(path)
            there, before, sources, known = path, footer.num_rows, old.sources, old.covered
        sources = (*(one for one in sources if one != source), source)
        rules = json.dumps(market.as_dict(), indent=1)
        spans = joined((*known, *covered))
        origin = Origin(market.exchange, market.symbol, market.type, path.stem, sources, spans)
        discard_drafts(path.parent)
        with replacing(path) as table, replacing(path.parent / "market.json") as beside:
            count = write_merged(table, there, rows, origin)
            beside.write_text(rules + "\n", encoding="utf-8")
        return count - before

    def missing(self, exchange: str, symbol: str, name: str, start: int, end: int) -> tuple[Span, ...]:
        """Return the spans of [start, end) that the store doesn't know: no exchange was asked, no candle is there.

        Raises:
            DataError: the file of the series is damaged.
        """
        path = self._series_path(exchange, symbol, name)
        if not path.is_file():
            return without((start, end), ())
        _, timeframe = parse_name(name)
        holes = without((start, end), read_footer(path)[0].covered)
        if timeframe is None or not holes:
            return holes
        length = parse(timeframe)
        time = read_times(path, start - length + 1, end)
        runs = _runs(time, length)
        return tuple(part for hole in holes for part in without(hole, runs))

    def read(
        self, exchange: str, symbol: str, name: str, start: int | None = None, end: int | None = None
    ) -> pd.DataFrame:
        """Return the stored rows with start <= time < end (ms UTC; None: no bound), maybe none.

        Raises:
            DataError: there is no such series, or its file is damaged (the file is named).
        """
        rows = read_rows(self._existing(exchange, symbol, name), parse_name(name)[0], start, end)
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
        market, origin = _read_market(path.parent / "market.json"), read_footer(path)[0]
        names = ", ".join(source.name for source in origin.sources)
        rows = read_rows(path, parse_name(name)[0])
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


def _runs(time: npt.NDArray[Any], length: int) -> list[Span]:
    """The spans that candles of `length` fill without a gap."""
    if not time.size:
        return []
    breaks = (time[1:] - time[:-1] > length).nonzero()[0]
    firsts = [int(time[0]), *time[breaks + 1].tolist()]
    lasts = [*time[breaks].tolist(), int(time[-1])]
    return [(first, last + length) for first, last in zip(firsts, lasts, strict=True)]


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


def _info(path: Path) -> SeriesInfo:
    origin, footer = read_footer(path)
    with damage_named(path):
        kind, timeframe = parse_name(origin.name)
        spans = spans_of(footer)
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
            covered=origin.covered,
            path=path,
        )


def _read_market(path: Path) -> Market:
    with damage_named(path):
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
