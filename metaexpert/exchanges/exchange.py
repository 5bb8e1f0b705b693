"""Markets and candles of one exchange, what goes with them, and its account: `MetaExchange`, the research facade.

Where markets and series come from is a `CandleSource`: the embedded demo exchange, the store of imported files, or
a real exchange with the store in front of it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from .. import indicators
from ..bars import inspect, resample, to_ms
from ..config import KNOWN_EXCHANGES, ExchangeSettings, exchange_settings
from ..envfile import load_env
from ..errors import ConfigError, DataError, UnavailableError, did_you_mean
from ..kinds import Kind, as_kind, name_of
from ..models import ContractType, Market, MarketType
from ..store import CandleStore
from ..timeframe import floor, parse
from .demo import Demo
from .download import Job
from .remote import Remote
from .session import Session
from .sources import CandleSource, Stored
from .venues import VENUES

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from datetime import date, datetime

    import pandas as pd

    from ..answers import Balance, Greeks, OptionQuote
    from ..bars import Quality
    from ..models import OrderBook, Position, Ticker
    from .download import Downloaded, Progress
    from .gateway import Gateway

    type When = str | int | date | datetime | None

__all__ = ["CandleSource", "MetaExchange", "markets_of"]

_YEAR_MS = 365 * 86_400_000


class MetaExchange:
    """One exchange: its markets, candles, mark and index prices, funding rates, trades, quotes, and an account.

    Candles and what goes with them come from the store; what lacks there of a span that is asked for is downloaded
    once and kept. Markets, quotes and the account come from the exchange. With ``testnet`` quotes and the account
    are those of the test network, history and markets those of the real exchange.

    Args:
        exchange: ``demo`` (embedded), ``local`` (your own files), or a real one; settings that are complete say
            the kind of market and the account as well.
        market_type: ``spot``, ``futures`` or ``options``.
        contract_type: ``linear`` or ``inverse``; it matters for futures only.
        store: Where candles are kept; default the user's own store.
        offline: True to use no network, False to use it; None: as the environment's ``METAEXPERT_OFFLINE`` says.
        progress: Is told how far a download is.
        gateway: Makes the connection; None: the library's own.
        **account: The other keywords of `metaexpert.config.ExchangeSettings`, such as ``api_key`` and ``proxy``;
            what is not given comes from the environment or the file ``.env`` of the working directory.

    Raises:
        ConfigError: a name is unknown, or a setting is not to be had on this exchange.
    """

    def __init__(
        self,
        exchange: str | ExchangeSettings,
        *,
        market_type: str = "spot",
        contract_type: str | None = "linear",
        store: CandleStore | None = None,
        offline: bool | None = None,
        progress: Callable[[Progress], None] | None = None,
        gateway: Callable[[ExchangeSettings], Gateway] | None = None,
        **account: Any,
    ) -> None:
        settings = (
            exchange
            if isinstance(exchange, ExchangeSettings)
            else _settings(exchange, market_type, contract_type, account)
        )
        self.exchange, self.market_type = settings.exchange, settings.market_type
        self.contract_type = settings.contract_type or ContractType.LINEAR
        self._session: Session | None = None
        self._source: CandleSource
        if self.exchange in VENUES:
            self._session = Session(settings, gateway)
            history = Session(_public(settings), gateway) if settings.testnet else self._session
            self._source = Remote(history, store or CandleStore(), offline=offline, progress=progress)
        else:
            self._source = _source(self.exchange, store)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection to the exchange, if there is one; the next question opens another."""
        if self._session is not None:
            self._session.close()
        if isinstance(self._source, Remote):
            self._source.close()

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
            known = [one.symbol for one in self.markets()]
            known += [f"{one.base}{one.quote}" for one in self.markets() if not one.is_option]
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
        return self._bars(symbol, Kind.CANDLES, timeframe, start, end)

    def mark_bars(self, symbol: str, timeframe: str, start: When = None, end: When = None) -> pd.DataFrame:
        """Return candles of the mark price, by which positions are valued and liquidated; their volume is 0.

        Arguments, span and errors are those of `bars`.
        """
        return self._bars(symbol, Kind.MARK, timeframe, start, end)

    def index_bars(self, symbol: str, timeframe: str, start: When = None, end: When = None) -> pd.DataFrame:
        """Return candles of the index price, the spot price that a contract follows; their volume is 0.

        Arguments, span and errors are those of `bars`.
        """
        return self._bars(symbol, Kind.INDEX, timeframe, start, end)

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
        return self._records(symbol, Kind.FUNDING, start, end)

    def trades(self, symbol: str, start: When = None, end: When = None) -> pd.DataFrame:
        """Return the recorded trades with start <= time < end, in the order in which they were made.

        Returns:
            The columns `price`, `qty` (as in `metaexpert.models`) and `side` (1: the taker bought, -1: sold,
            0: unknown); the index `time` is UTC, and several trades may have one time.

        Raises:
            ConfigError: the symbol or span can't be read.
            DataError: no trades of it are recorded, or none in that span.
        """
        return self._records(symbol, Kind.TRADES, start, end)

    def kinds(self, symbol: str) -> tuple[Kind, ...]:
        """Return which kinds of series there are of a market: what `mark_bars`, `trades` and so on can give."""
        return self._source.kinds(self.market(symbol))

    def download(
        self, symbols: str | Iterable[str], timeframe: str | None = None, start: When = None, end: When = None,
        *, kind: str = "candles",
    ) -> list[Downloaded]:  # fmt: skip
        """Bring what the store lacks of some series, page by page; what an interruption leaves is gone on with.

        Args:
            symbols: One or several, as in `market`.
            timeframe: E.g. ``"1m"``; None for funding rates and trades, which have none.
            start: The first time, as `metaexpert.bars.to_ms` takes it; None: a year back, of trades an hour.
            end: Where to end, exclusive; a date alone includes that day; None: now.
            kind: ``candles``, ``mark``, ``index``, ``funding`` or ``trades``.

        Returns:
            What came of each symbol, in their order.

        Raises:
            ConfigError: a symbol, timeframe or span can't be read, or the exchange is no real one.
            DataError: the exchange serves no such series, or the store can't be written.
            ExchangeError: the exchange can't be asked; what came before is stored.
        """
        if not isinstance(self._source, Remote):
            raise ConfigError(f"nothing can be downloaded from {self.exchange}: name a real exchange")
        known = as_kind(kind)
        name = name_of(known, timeframe if known.has_timeframe else None)
        first, last = self._source.reach(known, *_asked(start, end))
        texts = [symbols] if isinstance(symbols, str) else list(symbols)
        return self._source.download(Job(text, name, first, last) for text in texts)

    def server_time(self) -> int:
        """Return the exchange's clock, in ms UTC."""
        return self._ask(lambda gateway: gateway.server_time())

    def ticker(self, symbol: str) -> Ticker:
        """Return the best bid and ask, the last price, and mark and index price where there are any."""
        return self._ask(lambda gateway: gateway.ticker(symbol))

    def order_book(self, symbol: str, depth: int | None = None) -> OrderBook:
        """Return the book, best prices first, to `depth` levels or as the exchange gives it."""
        return self._ask(lambda gateway: gateway.order_book(symbol, depth))

    def balance(self) -> tuple[Balance, ...]:
        """Return what the account holds, by currency; keys are needed."""
        return self._ask(lambda gateway: gateway.balances())

    def positions(self) -> tuple[Position, ...]:
        """Return the open positions of the account; keys are needed."""
        return self._ask(lambda gateway: gateway.positions())

    def option_chain(self, base: str) -> tuple[OptionQuote, ...]:
        """Return every option on `base`, such as ``"BTC"``, with its quote and greeks."""
        return self._ask(lambda gateway: gateway.option_chain(base))

    def greeks(self, symbol: str) -> Greeks:
        """Return how the price of an option moves."""
        return self._ask(lambda gateway: gateway.greeks(symbol))

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

    def _ask[T](self, question: Callable[[Gateway], Coroutine[Any, Any, T]]) -> T:
        """Ask the exchange itself.

        Raises:
            ConfigError: this one can't be asked.
            ExchangeError: it could not be asked, or said no.
        """
        if self._session is None or not isinstance(self._source, Remote):
            raise ConfigError(f"{self.exchange} has no quotes and no account: name a real exchange")
        if self._source.is_offline:
            raise UnavailableError(f"{self.exchange} can't be asked: no network is allowed (offline)")
        return self._session.ask(question)

    def _bars(self, symbol: str, kind: Kind, timeframe: str, start: When, end: When) -> pd.DataFrame:
        indicators.register()  # so that bars.ta is there
        length, asked, market = parse(timeframe), _asked(start, end), self.market(symbol)
        stored = self._source.fill(market, kind, timeframe, *asked)
        stored = stored or self._stored_timeframe(market, kind, timeframe)
        name = name_of(kind, stored)
        first, last = _window(_aligned(self._source.span(market, name), timeframe), *asked)
        oldest, newest = self._source.extent(market, name)
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

    def _records(self, symbol: str, kind: Kind, start: When, end: When) -> pd.DataFrame:
        asked, market = _asked(start, end), self.market(symbol)
        self._source.fill(market, kind, "", *asked)
        if kind not in self._source.kinds(market):
            raise DataError(self._nothing(market, kind))
        low, high = _window(self._source.span(market, kind), *asked)
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
        return f"no {kind.plural} of {market.symbol} from {self.exchange}; {self._source.advice(market, kind)}"


def markets_of(exchange: str, store: CandleStore | None = None) -> list[Market]:
    """Every market, of every kind, that can be read here: of ``demo``, or of imported files."""
    return _source(exchange, store).markets()


def _settings(
    exchange: str, market_type: str, contract_type: str | None, account: Mapping[str, object]
) -> ExchangeSettings:
    _one_of("exchange", exchange, KNOWN_EXCHANGES)
    kind = MarketType(_one_of("market_type", market_type, [kind.value for kind in MarketType]))
    contracts = [kind.value for kind in ContractType]
    contract = ContractType(_one_of("contract_type", contract_type or "linear", contracts))
    words = {"exchange": exchange, "market_type": kind, **account}
    if kind is MarketType.FUTURES:
        words["contract_type"] = contract
    dotenv = load_env(Path()) if exchange in VENUES else {}
    return exchange_settings(words, where="MetaExchange", dotenv=dotenv)


def _public(settings: ExchangeSettings) -> ExchangeSettings:
    """The real exchange beside a test network, whose prices are not worth keeping; the keys are not for it."""
    return replace(settings, testnet=False, api_key=None, api_secret=None, api_passphrase=None)


def _source(exchange: str, store: CandleStore | None) -> CandleSource:
    return Demo() if exchange == "demo" else Stored(exchange, store or CandleStore())


def _one_of(setting: str, word: str, known: list[str] | tuple[str, ...]) -> str:
    if word not in known:
        raise ConfigError(f"unknown {setting} {word!r}{did_you_mean(word, known)}")
    return word


def _aligned(span: tuple[int, int], timeframe: str) -> tuple[int, int]:
    """Return the whole candles of `timeframe` within a span."""
    length = parse(timeframe)
    return _next_open(span[0], length), floor(span[1], length)


def _asked(start: When, end: When) -> tuple[int | None, int | None]:
    """Return the two ends of a span, in ms."""
    low = None if start is None else to_ms(start)
    high = None if end is None else to_ms(end, end=True)
    if low is not None and high is not None and low >= high:
        raise ConfigError(f"the span starts at {_moment(low)} but ends at {_moment(high)}; swap the two")
    return low, high


def _window(known: tuple[int, int], low: int | None, high: int | None) -> tuple[int, int]:
    """Return the asked span; a side not given is that of `known`, or a year away where that leaves nothing."""
    first, last = known
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
