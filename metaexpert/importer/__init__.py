"""Import a file of candles, funding rates or trades: recognise it, say what it is, and keep what is sound."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import KNOWN_EXCHANGES
from ..errors import ConfigError, DataError, did_you_mean
from ..series import Kind, as_kind, name_of
from ..store import Source
from ..timeframe import parse
from .columns import Recognised
from .market import MarketRules, check_rules, is_inverse, market_of, told, with_rules
from .moments import when
from .names import read_names
from .recognise import read_candles
from .records import kind_by_columns, read_funding, read_trades
from .table import read_table

if TYPE_CHECKING:
    from ..bars import Quality
    from ..models import Market
    from ..store import CandleStore
    from .names import Named
    from .table import Table

__all__ = ["ImportReport", "MarketRules", "Recognised", "import_file", "read_candles", "when"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import recognised, mended, left out and stored.

    `facts` holds (what, value) pairs of the file; `rules` (name, value, why) of the market. `added` counts the
    rows that were not in the store before, `total` those that are there now. `timeframe` is that of candles.
    """

    file: str
    digest: str
    market: Market
    kind: Kind
    timeframe: str | None
    rows_read: int
    quality: Quality
    facts: tuple[tuple[str, str], ...]
    mended: tuple[str, ...]
    left_out: tuple[str, ...]
    rules: tuple[tuple[str, float, str], ...]
    added: int
    total: int

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        report = asdict(self)
        report["quality"] |= {"missing": self.quality.missing, "coverage": self.quality.coverage}
        report["facts"] = dict(self.facts)
        return report


def import_file(
    path: Path | str,
    store: CandleStore,
    *,
    kind: str | None = None,
    exchange: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
    market_type: str | None = None,
    contract_type: str | None = None,
    date_format: str | None = None,
    rules: MarketRules | None = None,
) -> ImportReport:
    """Import one file of candles, mark or index prices, funding rates or trades.

    What is not given is taken from the file: its kind from its columns or name, the timeframe from its times, the
    symbol from a column or its name, exchange and kind of market from its name and folders. Without any it holds
    candles of a spot market (mark and index prices and funding: of a linear one), and the exchange is ``local``.

    Args:
        path: A CSV or Parquet file, packed with gzip or zip or not.
        store: Where to keep what is sound.
        kind: A word of `metaexpert.series.Kind`.
        exchange: Whose market it is.
        symbol: As the exchange or CCXT writes it.
        timeframe: That of candles.
        market_type: ``spot``, ``futures`` or ``options``.
        contract_type: ``linear`` or ``inverse``, of futures.
        date_format: A strptime format for its dates, needed only where they can be read in two ways.
        rules: Rules of the market, which an import of candles or trades sets.

    Raises:
        ConfigError: an argument is wrong, or the symbol or what the file holds can't be told.
        DataError: nothing can be recognised in the file, or the store can't be written.
    """
    path = Path(path)
    given = rules or MarketRules()
    check_rules(given)
    if timeframe is not None:
        parse(timeframe)
    if exchange is not None and (exchange not in KNOWN_EXCHANGES or exchange == "demo"):
        importable = [name for name in KNOWN_EXCHANGES if name != "demo"]
        raise ConfigError(f"can't import for exchange {exchange!r}{did_you_mean(exchange, importable)}")
    named = read_names(path)
    inverse = is_inverse(named, symbol, market_type, contract_type)
    read, who = _read(path, named, kind, timeframe, date_format, inverse=inverse)
    facts = [("kind", f"{read.kind.plural} ({who})"), *read.facts]
    exchange = told(
        facts, "exchange", (exchange, "given"), (named.exchange, "its name or folder"), ("local", "default")
    )
    market = market_of(read, named, exchange, symbol, market_type, contract_type, facts)
    market, shown = with_rules(market, given, read, store)
    name = _series_name(read, named, timeframe, facts)
    facts += _replaced(store, market, name, read)
    added = store.append(market, name, read.rows, source=Source(read.name, read.digest))
    return ImportReport(
        file=read.name,
        digest=read.digest,
        market=market,
        kind=read.kind,
        timeframe=read.quality.timeframe if read.kind.has_timeframe else None,
        rows_read=read.rows_read,
        quality=read.quality,
        facts=tuple(facts),
        mended=read.mended,
        left_out=read.left_out,
        rules=shown,
        added=added,
        total=store.info(exchange, market.symbol, name).rows,
    )


def _read(
    path: Path, named: Named, kind: str | None, timeframe: str | None, date_format: str | None, *, inverse: bool
) -> tuple[Recognised, str]:
    """Read a file as what it is, and say who told that."""
    given = None if kind is None else as_kind(kind)
    table, by_columns = _table(path, given or named.series)
    offers = ((given, "given"), (by_columns, "its columns"), (named.series, "its name or folder"))
    found, who = next((offer for offer in offers if offer[0] is not None), (Kind.CANDLES, "default"))
    if who == "default" and named.doubt is not None:
        raise ConfigError(
            f"{path}: the word {named.doubt!r} in its name or folder leaves open whether it holds traded candles; "
            f"say it: --kind {' or --kind '.join(kind for kind in Kind if kind.has_timeframe)}"
        )
    found = found or Kind.CANDLES
    if timeframe is not None and not found.has_timeframe:
        raise ConfigError(f"{path.name} holds {found.plural}, which have no timeframe: leave --timeframe out")
    if found is Kind.FUNDING:
        return read_funding(path, table, date_format=date_format), who
    if found is Kind.TRADES:
        return read_trades(path, table, date_format=date_format), who
    candles = read_candles(
        path, timeframe=timeframe, date_format=date_format, kind=found, table=table, inverse=inverse
    )
    return candles, who


def _table(path: Path, expected: Kind | None) -> tuple[Table, Kind | None]:
    """Read the table and say what its columns prove. What is narrower than candles counts only with such proof."""
    try:
        table = read_table(path, expected or Kind.CANDLES)
    except DataError:
        if expected is not None:
            raise
        narrow = _narrow_table(path)
        if narrow is None:
            raise
        return narrow
    return table, kind_by_columns(table, path)


def _narrow_table(path: Path) -> tuple[Table, Kind] | None:
    try:
        table = read_table(path, Kind.FUNDING)
    except DataError:
        return None
    kind = kind_by_columns(table, path)
    return None if kind is None else (table, kind)


def _series_name(read: Recognised, named: Named, timeframe: str | None, facts: list[tuple[str, str]]) -> str:
    found = read.quality.timeframe
    if read.kind.has_timeframe:
        said = "given" if timeframe is not None else "its times"
        differs = f"; its name says {named.timeframe}" if named.timeframe not in (None, found) else ""
        facts.append(("timeframe", f"{found} ({said}{differs})"))
    elif read.kind is Kind.FUNDING and found:
        facts.append(("interval", f"{found} (its times)"))
    return name_of(read.kind, found)


def _replaced(store: CandleStore, market: Market, name: str, read: Recognised) -> list[tuple[str, str]]:
    """Say how many stored rows this import overwrites with other values, and where those came from."""
    stored = [info for info in store.series(market.exchange, market.symbol, read.kind) if info.name == name]
    if not stored or read.kind is Kind.TRADES:
        return []
    old, new = store.read(market.exchange, market.symbol, name).align(read.rows, join="inner")
    differ = int((old != new).any(axis=1).sum())
    names = ", ".join(source.name for source in stored[0].sources)
    return [("replaced", f"{differ} {read.kind.plural} with other values, from {names}")] if differ else []
