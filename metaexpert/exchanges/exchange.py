"""Markets and candles of one exchange, and what goes with them: `MetaExchange`, the research facade.

Where they come from is a `CandleSource`: the embedded demo exchange, or the store of imported files. A source that
downloads joins them behind the same protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .. import indicators
from ..bars import inspect, resample, to_ms
from ..config import KNOWN_EXCHANGES
from ..errors import ConfigError, DataError, did_you_mean
from ..models import ContractType, Market, MarketType
from ..series import Kind, name_of
from ..store import CandleStore
from ..timeframe import floor, parse
from .demo import Demo
from .symbols import parse_symbol, resolve

if TYPE_CHECKING:
    from datetime import date, datetime

    import pandas as pd

    from ..bars import Quality

    type When = str | int | date | datetime | None

__all__ = ["CandleSource", "MetaExchange", "markets_of"]

_YEAR_MS = 365 * 86_400_000


class CandleSource(Protocol):
    """Where the markets and series of one exchange come from. Times are ms UTC; spans are half open.

    `name` is that of a series, as in `metaexpert.series`: ``1h``, ``mark-1h``, ``funding``.
    """

    def markets(self) -> list[Market]:
        """Return all markets that are listed."""
        ...

    def market(self, symbol: str, market_type: str, contract_type: str | None) -> Market:
        """Return the one market that `symbol` names, or raise ConfigError or DataError."""
        ...

    def kinds(self, market: Market) -> tuple[Kind, ...]:
        """Return which kinds of series there are of a market."""
        ...

    def timeframes(self, market: Market, kind: Kind) -> tuple[str, ...]:
        """Return the timeframes that are there, shortest first; coarser ones are resampled from them."""
        ...

    def span(self, market: Market, name: str) -> tuple[int, int]:
        """Return the first time and the end of what is served when no span is asked for."""
        ...

    def extent(self, market: Market, name: str) -> tuple[int, int]:
        """Return the first time and the end of what there is: the first open and the last close of candles."""
        ...

    def read(self, market: Market, name: str, start: int, end: int) -> pd.DataFrame:
        """Return the rows with start <= time < end, maybe none."""
        ...

    def source(self, market: Market, name: str) -> str:
        """Say where the rows come from."""
        ...


class MetaExchange:
    """One exchange's markets, candles, mark and index prices, funding rates and trades.

    Args:
        exchange: ``demo`` (embedded), ``local`` (your own files), or an exchange whose candles you imported.
        market_type: ``spot``, ``futures`` or ``options``.
        contract_type: ``linear`` or ``inverse``; it matters for futures only.
        store: Where imported candles are; default the user's own store.

    Raises:
        ConfigError: a name is unknown.
    """

    def __init__(
        self,
        exchange: str,
        *,
        market_type: str = "spot",
        contract_type: str | None = "linear",
        store: CandleStore | None = None,
    ) -> None:
        self.exchange = _one_of("exchange", exchange, KNOWN_EXCHANGES)
        self.market_type = MarketType(_one_of("market_type", market_type, [kind.value for kind in MarketType]))
        contracts = [kind.value for kind in ContractType]
        self.contract_type = ContractType(_one_of("contract_type", contract_type or "linear", contracts))
        self._source = _source(self.exchange, store)

    def __repr__(self) -> str:
        kind = f", contract_type={self.contract_type.value!r}" if self.market_type is MarketType.FUTURES else ""
        return f"MetaExchange({self.exchange!r}, market_type={self.market_type.value!r}{kind})"

    def markets(self) -> list[Market]:
        """Return the markets of this kind that something is known of."""
        inverse = self.contract_type is ContractType.INVERSE
        is_future = self.market_type is MarketType.FUTURES
        kind = (market for market in self._source.markets() if market.type is self.market_type)
        return [market for market in kind if not is_future or market.is_inverse == inverse]

    def market(self, symbol: str) -> Market:
        """Return the one market that `symbol` names, written as the exchange does or as CCXT does.

        Raises:
            ConfigError: the symbol can't be read, or names another kind of market.
            DataError: nothing is known of it here; what there is, is named.
        """
        try:
            return self._source.market(symbol, self.market_type, self.contract_type)
        except ConfigError as error:
            known = [name for one in self.markets() for name in (one.symbol, f"{one.base}{one.quote}")]
            hint = did_you_mean(symbol, known) if "did you mean" not in str(error) and len(known) > 12 else ""
            raise ConfigError(f"{error}{hint}") from None

    def bars(self, symbol: str, timeframe: str, start: When = None, end: When = None) -> pd.DataFrame:
        """Return the candles with start <= open time < end, in the schema of `metaexpert.bars`.

        A timeframe that is not there is resampled from the coarsest one that divides it; a candle at the edge that
        is not complete is left out. Without `start` and `end` all there is is returned (synthetic candles: the
        calendar year 2024).

        Args:
            symbol: As in `market`.
            timeframe: E.g. ``"1h"``.
            start: The first open time, as `metaexpert.bars.to_ms` takes it.
            end: Where to end, exclusive; a date alone includes that day.

        Raises:
            ConfigError: the symbol, timeframe or span can't be read.
            DataError: there are no such candles; the message says which there are.
        """
        return self._bars(self.market(symbol), Kind.CANDLES, timeframe, start, end)

    def mark_bars(self, symbol: str, timeframe: str, start: When = None, end: When = None) -> pd.DataFrame:
        """Return candles of the mark price, by which positions are valued and liquidated; their volume is 0.

        Arguments, span and errors are those of `bars`.
        """
        return self._bars(self.market(symbol), Kind.MARK, timeframe, start, end)

    def index_bars(self, symbol: str, timeframe: str, start: When = None, end: When = None) -> pd.DataFrame:
        """Return candles of the index price, the spot price that a contract follows; their volume is 0.

        Arguments, span and errors are those of `bars`.
        """
        return self._bars(self.market(symbol), Kind.INDEX, timeframe, start, end)

    def funding_rates(self, symbol: str, start: When = None, end: When = None) -> pd.DataFrame:
        """Return the funding rates with start <= time < end.

        Args:
            symbol: As in `market`.
            start: The first instant, as `metaexpert.bars.to_ms` takes it; None: as for `bars`.
            end: Where to end, exclusive; a date alone includes that day.

        Returns:
            The column `rate`, what a long pays to a short at that instant as a fraction of the notional
            (0.0001 = 0.01 %); the index `time` is UTC.

        Raises:
            ConfigError: the symbol or span can't be read.
            DataError: there are no funding rates of it, or none in that span.
        """
        return self._records(self.market(symbol), Kind.FUNDING, start, end)

    def trades(self, symbol: str, start: When = None, end: When = None) -> pd.DataFrame:
        """Return the recorded trades with start <= time < end, in the order in which they were made.

        Returns:
            The columns `price`, `qty` (as in `metaexpert.models`) and `side` (1: the taker bought, -1: sold,
            0: unknown); the index `time` is UTC, and several trades may have one time.

        Raises:
            ConfigError: the symbol or span can't be read.
            DataError: no trades of it are recorded, or none in that span.
        """
        return self._records(self.market(symbol), Kind.TRADES, start, end)

    def kinds(self, symbol: str) -> tuple[Kind, ...]:
        """Return which kinds of series there are of a market: what `mark_bars`, `trades` and so on can give."""
        return self._source.kinds(self.market(symbol))

    def span(self, symbol: str, timeframe: str) -> tuple[int, int]:
        """Return the first open and the last close (ms UTC) of what `bars` returns without a span."""
        market = self.market(symbol)
        stored = self._stored_timeframe(market, Kind.CANDLES, timeframe)
        return _aligned(self._source.span(market, stored), timeframe)

    def quality(self, symbol: str, timeframe: str, start: When = None, end: When = None) -> Quality:
        """Count and locate what is missing or unsound in the candles that `bars` returns for these arguments."""
        candles = self.bars(symbol, timeframe, start, end)
        return inspect(
            candles, timeframe, synthetic=self.market(symbol).synthetic, source=self.source(symbol, timeframe)
        )

    def source(self, symbol: str, timeframe: str) -> str:
        """Say where the candles come from, and from which timeframe they are resampled."""
        market = self.market(symbol)
        stored = self._stored_timeframe(market, Kind.CANDLES, timeframe)
        origin = self._source.source(market, stored)
        return origin if stored == timeframe else f"{origin}; resampled from {stored}"

    def _bars(self, market: Market, kind: Kind, timeframe: str, start: When, end: When) -> pd.DataFrame:
        indicators.register()  # so that bars.ta is there
        stored = self._stored_timeframe(market, kind, timeframe)
        name = name_of(kind, stored)
        first, last = _window(_aligned(self._source.span(market, name), timeframe), start, end)
        length, (oldest, newest) = parse(timeframe), self._source.extent(market, name)
        low, high = _next_open(max(first, oldest), length), _next_open(last, length)
        candles = self._source.read(market, name, low, high)
        if stored != timeframe:
            candles = resample(candles, timeframe, source=stored, until=min(high, newest))
        if candles.empty:
            raise DataError(
                f"no {timeframe} {kind.plural} of {market.symbol} from {self.exchange} in {_days(first, last)}; "
                f"there are {kind.plural} from {_days(oldest, newest)}"
            )
        return candles

    def _records(self, market: Market, kind: Kind, start: When, end: When) -> pd.DataFrame:
        if kind not in self._source.kinds(market):
            raise DataError(self._nothing(market, kind))
        low, high = _window(self._source.span(market, kind), start, end)
        rows = self._source.read(market, kind, low, high)
        if rows.empty:
            known = _days(*self._source.extent(market, kind))
            raise DataError(
                f"no {kind.plural} of {market.symbol} from {self.exchange} in {_days(low, high)}; "
                f"there are {kind.plural} from {known}"
            )
        return rows

    def _stored_timeframe(self, market: Market, kind: Kind, timeframe: str) -> str:
        """Return the coarsest timeframe there is that divides `timeframe`."""
        length, there = parse(timeframe), self._source.timeframes(market, kind)
        if not there:
            raise DataError(self._nothing(market, kind))
        usable = [name for name in there if length % parse(name) == 0]
        if not usable:
            raise DataError(
                f"no {timeframe} {kind.plural} of {market.symbol} from {self.exchange}, and they can't be made "
                f"from what there is ({', '.join(there)}); use one of these or a multiple"
            )
        return usable[-1]

    def _nothing(self, market: Market, kind: Kind) -> str:
        missing = f"no {kind.plural} of {market.symbol} from {self.exchange}"
        if self.exchange == "demo":
            return f"{missing}: it has {'none' if kind is Kind.TRADES else 'them of perpetual contracts only'}"
        advice = f"--kind {kind} --exchange {self.exchange} --symbol {market.symbol}"
        return f"{missing}; import them: metaexpert data import FILE {advice}"


def markets_of(exchange: str, store: CandleStore | None = None) -> list[Market]:
    """Every market, of every kind, that can be read here: of ``demo``, or of imported files."""
    return _source(exchange, store).markets()


def _source(exchange: str, store: CandleStore | None) -> CandleSource:
    return Demo() if exchange == "demo" else _Stored(exchange, store or CandleStore())


class _Stored:
    """The candle store as the source of one exchange's candles."""

    def __init__(self, exchange: str, store: CandleStore) -> None:
        self._exchange, self._store = exchange, store

    def markets(self) -> list[Market]:
        return self._store.markets(self._exchange)

    def market(self, symbol: str, market_type: str, contract_type: str | None) -> Market:
        parsed = parse_symbol(symbol, market_type, contract_type)
        self._store.markets(self._exchange, parsed.symbol)  # if its rules are damaged, that is what is wrong
        markets = self.markets()
        try:
            return resolve(symbol, markets, market_type, contract_type)
        except ConfigError:
            advice = f"metaexpert data import FILE --exchange {self._exchange} --symbol {parsed.symbol}"
            here = [market.symbol for market in markets]
            known = f"; there are {', '.join(here[:8])}{', ...' if len(here) > 8 else ''}" if here else ""
            others = {info.exchange for info in self._store.series(symbol=parsed.symbol)} - {self._exchange}
            elsewhere = f"; there are some from {', '.join(sorted(others))}" if others else ""
            raise DataError(
                f"no candles of {parsed.symbol} from {self._exchange}{known}{elsewhere}; import them: {advice}"
            ) from None

    def kinds(self, market: Market) -> tuple[Kind, ...]:
        stored = {info.kind for info in self._store.series(self._exchange, market.symbol)}
        return tuple(kind for kind in Kind if kind in stored)

    def timeframes(self, market: Market, kind: Kind) -> tuple[str, ...]:
        stored = self._store.series(self._exchange, market.symbol, kind)
        return tuple(info.timeframe for info in stored if info.timeframe is not None)

    def span(self, market: Market, name: str) -> tuple[int, int]:
        info = self._store.info(self._exchange, market.symbol, name)
        return info.start, info.end

    extent = span

    def read(self, market: Market, name: str, start: int, end: int) -> pd.DataFrame:
        return self._store.read(self._exchange, market.symbol, name, start, end)

    def source(self, market: Market, name: str) -> str:
        info = self._store.info(self._exchange, market.symbol, name)
        return ", ".join(source.name for source in info.sources)


def _one_of(setting: str, word: str, known: list[str] | tuple[str, ...]) -> str:
    if word not in known:
        raise ConfigError(f"unknown {setting} {word!r}{did_you_mean(word, known)}")
    return word


def _aligned(span: tuple[int, int], timeframe: str) -> tuple[int, int]:
    """Return the whole candles of `timeframe` within a span."""
    length = parse(timeframe)
    return _next_open(span[0], length), floor(span[1], length)


def _window(known: tuple[int, int], start: When, end: When) -> tuple[int, int]:
    """Return the asked span; a side not given is that of `known`, or a year away where that leaves nothing."""
    first, last = known
    low = None if start is None else to_ms(start)
    high = None if end is None else to_ms(end, end=True)
    if low is not None and high is not None and low >= high:
        raise ConfigError(f"the span starts at {_moment(low)} but ends at {_moment(high)}; swap the two")
    if high is None:
        high = last if low is None or low < last else low + _YEAR_MS
    if low is None:
        low = first if first < high else high - _YEAR_MS
    return low, high


def _next_open(time_ms: int, length_ms: int) -> int:
    """Return the first open time of a candle at or after `time_ms`."""
    return floor(time_ms - 1, length_ms) + length_ms


def _moment(time_ms: int) -> str:
    import pandas as pd

    return f"{pd.Timestamp(time_ms, unit='ms'):%Y-%m-%d %H:%M}"


def _days(start: int, end: int) -> str:
    return f"{_moment(start)} to {_moment(end)}"
