"""Markets and candles of one exchange: `MetaExchange`, the research facade.

Where candles come from is a `CandleSource`: the embedded demo exchange, or the store of imported candles. A source
that downloads joins them behind the same protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..bars import inspect, resample, to_ms
from ..config import KNOWN_EXCHANGES
from ..errors import ConfigError, DataError, did_you_mean
from ..models import ContractType, Market, MarketType
from ..store import CandleStore
from ..timeframe import floor, parse
from .demo import Demo
from .symbols import parse_symbol, resolve

if TYPE_CHECKING:
    from datetime import date, datetime

    import pandas as pd

    from ..bars import Quality

    type When = str | int | date | datetime | None

__all__ = ["CandleSource", "MetaExchange"]

_YEAR_MS = 365 * 86_400_000


class CandleSource(Protocol):
    """Where the markets and candles of one exchange come from. Times are ms UTC; spans are half open."""

    def markets(self) -> list[Market]:
        """Return all markets that are listed."""
        ...

    def market(self, symbol: str, market_type: str, contract_type: str | None) -> Market:
        """Return the one market that `symbol` names, or raise ConfigError or DataError."""
        ...

    def timeframes(self, market: Market) -> tuple[str, ...]:
        """Return the timeframes that are there, shortest first; coarser ones are resampled from them."""
        ...

    def span(self, market: Market, timeframe: str) -> tuple[int, int]:
        """Return the first open and the last close of what is served when no span is asked for."""
        ...

    def extent(self, market: Market, timeframe: str) -> tuple[int, int]:
        """Return the first open and the last close that there are."""
        ...

    def read(self, market: Market, timeframe: str, start: int, end: int) -> pd.DataFrame:
        """Return the candles with start <= open time < end, maybe none."""
        ...

    def source(self, market: Market, timeframe: str) -> str:
        """Say where the candles come from."""
        ...


class MetaExchange:
    """One exchange's markets and candles.

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
        self._source: CandleSource
        self._source = Demo() if self.exchange == "demo" else _Stored(self.exchange, store or CandleStore())

    def __repr__(self) -> str:
        kind = f", contract_type={self.contract_type.value!r}" if self.market_type is MarketType.FUTURES else ""
        return f"MetaExchange({self.exchange!r}, market_type={self.market_type.value!r}{kind})"

    def markets(self) -> list[Market]:
        """Return the markets of this kind that there are candles of."""
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
        market = self.market(symbol)
        stored = self._stored_timeframe(market, timeframe)
        first, last = self._window(market, timeframe, start, end)
        length, (oldest, newest) = parse(timeframe), self._source.extent(market, stored)
        low, high = _next_open(max(first, oldest), length), _next_open(last, length)
        candles = self._source.read(market, stored, low, high)
        if stored != timeframe:
            candles = resample(candles, timeframe, source=stored, until=min(high, newest))
        if candles.empty:
            known = _days(oldest, newest)
            raise DataError(
                f"no {timeframe} candles of {market.symbol} from {self.exchange} in {_days(first, last)}; "
                f"there are candles from {known}"
            )
        return candles

    def span(self, symbol: str, timeframe: str) -> tuple[int, int]:
        """Return the first open and the last close (ms UTC) of what `bars` returns without a span."""
        return self._default_span(self.market(symbol), timeframe)

    def quality(self, symbol: str, timeframe: str, start: When = None, end: When = None) -> Quality:
        """Count and locate what is missing or unsound in the candles that `bars` returns for these arguments."""
        candles = self.bars(symbol, timeframe, start, end)
        return inspect(
            candles, timeframe, synthetic=self.market(symbol).synthetic, source=self.source(symbol, timeframe)
        )

    def source(self, symbol: str, timeframe: str) -> str:
        """Say where the candles come from, and from which timeframe they are resampled."""
        market = self.market(symbol)
        stored = self._stored_timeframe(market, timeframe)
        origin = self._source.source(market, stored)
        return origin if stored == timeframe else f"{origin}; resampled from {stored}"

    def _stored_timeframe(self, market: Market, timeframe: str) -> str:
        """Return the coarsest timeframe there is that divides `timeframe`."""
        length, there = parse(timeframe), self._source.timeframes(market)
        usable = [name for name in there if length % parse(name) == 0]
        if not usable:
            raise DataError(
                f"no {timeframe} candles of {market.symbol} from {self.exchange}, and they can't be made from "
                f"what there is ({', '.join(there)}); use one of these or a multiple"
            )
        return usable[-1]

    def _default_span(self, market: Market, timeframe: str) -> tuple[int, int]:
        first, last = self._source.span(market, self._stored_timeframe(market, timeframe))
        length = parse(timeframe)
        return _next_open(first, length), floor(last, length)

    def _window(self, market: Market, timeframe: str, start: When, end: When) -> tuple[int, int]:
        """Return the asked span; a side not given is that of `span`, or a year away where that leaves nothing."""
        first, last = self._default_span(market, timeframe)
        low = None if start is None else to_ms(start)
        high = None if end is None else to_ms(end, end=True)
        if low is not None and high is not None and low >= high:
            raise ConfigError(f"the span starts at {_moment(low)} but ends at {_moment(high)}; swap the two")
        if high is None:
            high = last if low is None or low < last else low + _YEAR_MS
        if low is None:
            low = first if first < high else high - _YEAR_MS
        return low, high


class _Stored:
    """The candle store as the source of one exchange's candles."""

    def __init__(self, exchange: str, store: CandleStore) -> None:
        self._exchange, self._store = exchange, store

    def markets(self) -> list[Market]:
        return self._store.markets(self._exchange)

    def market(self, symbol: str, market_type: str, contract_type: str | None) -> Market:
        parsed = parse_symbol(symbol, market_type, contract_type)
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

    def timeframes(self, market: Market) -> tuple[str, ...]:
        return tuple(info.timeframe for info in self._store.series(self._exchange, market.symbol))

    def span(self, market: Market, timeframe: str) -> tuple[int, int]:
        info = self._store.info(self._exchange, market.symbol, timeframe)
        return info.start, info.end

    extent = span

    def read(self, market: Market, timeframe: str, start: int, end: int) -> pd.DataFrame:
        return self._store.read(self._exchange, market.symbol, timeframe, start, end)

    def source(self, market: Market, timeframe: str) -> str:
        info = self._store.info(self._exchange, market.symbol, timeframe)
        return ", ".join(source.name for source in info.sources)


def _one_of(setting: str, word: str, known: list[str] | tuple[str, ...]) -> str:
    if word not in known:
        raise ConfigError(f"unknown {setting} {word!r}{did_you_mean(word, known)}")
    return word


def _next_open(time_ms: int, length_ms: int) -> int:
    """Return the first open time of a candle at or after `time_ms`."""
    return floor(time_ms - 1, length_ms) + length_ms


def _moment(time_ms: int) -> str:
    import pandas as pd

    return f"{pd.Timestamp(time_ms, unit='ms'):%Y-%m-%d %H:%M}"


def _days(start: int, end: int) -> str:
    return f"{_moment(start)} to {_moment(end)}"
