"""Where the markets and series of an exchange come from: `CandleSource`; and `Stored`, files on this computer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..errors import ConfigError, DataError
from ..kinds import Kind
from .symbols import parse_symbol, resolve
from .venues import VENUES

if TYPE_CHECKING:
    import pandas as pd

    from ..models import Market
    from ..store import CandleStore

__all__ = ["CandleSource", "Stored"]


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

    def fill(self, market: Market, kind: Kind, timeframe: str, start: int | None, end: int | None) -> str | None:
        """Bring what lacks in a span, where that can be done.

        Args:
            market: whose rows.
            kind: of the series.
            timeframe: that of the bars to come, "" where the kind has none.
            start: ms UTC; None: as far back as there is something, or a year where there is nothing.
            end: ms UTC, exclusive; None: now, and as it is where `start` is None too and there is something.

        Returns:
            The timeframe to make these bars from; None for the coarsest that there is.
        """
        ...

    def advice(self, market: Market, kind: Kind) -> str:
        """Say how to get what is not there."""
        ...

    def source(self, market: Market, name: str) -> str:
        """Say where the rows come from."""
        ...


class Stored:
    """The candle store as the source of one exchange's candles."""

    def __init__(self, exchange: str, store: CandleStore) -> None:
        self._exchange, self._store = exchange, store

    def markets(self) -> list[Market]:
        """All whose rules are stored, by symbol."""
        return self._store.markets(self._exchange)

    def market(self, symbol: str, market_type: str, contract_type: str | None) -> Market:
        """The one that `symbol` names, with its stored rules."""
        parsed = parse_symbol(symbol, market_type, contract_type)
        self._store.markets(self._exchange, parsed.symbol)  # if its rules are damaged, that is what is wrong
        markets = self._store.markets(self._exchange)
        try:
            return resolve(symbol, markets, market_type, contract_type)
        except ConfigError:
            here = [market.symbol for market in markets]
            known = f"; there are {', '.join(here[:8])}{', ...' if len(here) > 8 else ''}" if here else ""
            others = {info.exchange for info in self._store.series(symbol=parsed.symbol)} - {self._exchange}
            elsewhere = f"; there are some from {', '.join(sorted(others))}" if others else ""
            raise DataError(
                f"no candles of {parsed.symbol} from {self._exchange}{known}{elsewhere}; "
                f"{self._advice(parsed.symbol)}"
            ) from None

    def kinds(self, market: Market) -> tuple[Kind, ...]:
        """Which kinds of series are stored."""
        stored = {info.kind for info in self._store.series(self._exchange, market.symbol)}
        return tuple(kind for kind in Kind if kind in stored)

    def timeframes(self, market: Market, kind: Kind) -> tuple[str, ...]:
        """The stored timeframes, shortest first."""
        stored = self._store.series(self._exchange, market.symbol, kind)
        return tuple(info.timeframe for info in stored if info.timeframe is not None)

    def span(self, market: Market, name: str) -> tuple[int, int]:
        """The first time and the end of what is stored."""
        info = self._store.info(self._exchange, market.symbol, name)
        return info.start, info.end

    extent = span

    def read(self, market: Market, name: str, start: int, end: int) -> pd.DataFrame:
        """The stored rows with start <= time < end."""
        return self._store.read(self._exchange, market.symbol, name, start, end)

    def source(self, market: Market, name: str) -> str:
        """The names of the files and feeds, oldest first."""
        info = self._store.info(self._exchange, market.symbol, name)
        return ", ".join(source.name for source in info.sources)

    def fill(self, market: Market, kind: Kind, timeframe: str, start: int | None, end: int | None) -> str | None:
        """Do nothing: all there is is here."""
        del market, kind, timeframe, start, end
        return None

    def advice(self, market: Market, kind: Kind) -> str:
        """Say how to import or download it."""
        return self._advice(market.symbol, f"--kind {kind} ")

    def _advice(self, symbol: str, kind: str = "") -> str:
        """How to import, and to download, where there is somebody to download from."""
        file = f"import them: metaexpert data import FILE {kind}--exchange {self._exchange} --symbol {symbol}"
        if self._exchange not in VENUES:
            return file
        return f"{file}; or download them: metaexpert data download {self._exchange} {symbol} {kind}".rstrip()
