"""A real exchange as a source: what is stored first, and what lacks is downloaded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..clock import WallClock
from ..errors import ConfigError, DataError, NetworkError, UnavailableError
from ..kinds import Kind, name_of, parse_name
from ..timeframe import floor, parse
from . import listing
from .caller import is_offline
from .connection import place_of
from .download import Job, download_all, served
from .sources import Stored
from .symbols import resolve
from .venues import segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..clock import Clock
    from ..models import Market
    from ..store import CandleStore
    from .download import Downloaded, Progress
    from .session import Session

__all__ = ["Remote"]

_YEAR_MS, _HOUR_MS = 365 * 86_400_000, 3_600_000


class Remote(Stored):
    """The store, filled from the exchange when something lacks.

    Args:
        session: asks the exchange.
        store: keeps what came.
        offline: True to ask nothing; None: as ``METAEXPERT_OFFLINE`` says.
        progress: is told how far a download is.
        clock: tells the time.
    """

    def __init__(
        self, session: Session, store: CandleStore, *, offline: bool | None = None,
        progress: Callable[[Progress], None] | None = None, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        super().__init__(session.settings.exchange, store)
        self._session, self._offline, self._progress = session, offline, progress
        self._clock = clock or WallClock()
        settings = session.settings
        self._part = segment(settings.market_type, settings.contract_type)

    @property
    def is_offline(self) -> bool:
        """May nothing be asked?"""
        return is_offline() if self._offline is None else self._offline

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        self._session.close()

    def markets(self) -> list[Market]:
        """Those that the exchange lists, and those that only the store knows, by symbol."""
        listed = self._listed() if self.is_offline else self._session.ask(lambda gateway: gateway.markets())
        known = {market.symbol: market for market in (*super().markets(), *listed)}
        return [known[symbol] for symbol in sorted(known)]

    def market(self, symbol: str, market_type: str, contract_type: str | None) -> Market:
        """As the kept list of the exchange has it, then as the store has it; only then the exchange is asked."""
        listed = self._listed()
        if listed:
            try:
                return resolve(symbol, listed, market_type, contract_type)
            except ConfigError:
                return self._stored_market(symbol, market_type, contract_type)
        return self._stored_market(symbol, market_type, contract_type)

    def kinds(self, market: Market) -> tuple[Kind, ...]:
        """What is stored of a market, and what the exchange serves."""
        stored = super().kinds(market)
        if self.is_offline:
            return stored
        return tuple(kind for kind in Kind if kind in stored or served(market, kind))

    def fill(self, market: Market, kind: Kind, timeframe: str, start: int | None, end: int | None) -> str | None:
        """Download what lacks, in the coarsest timeframe that the exchange has and `timeframe` is made of."""
        stored = self._store.series(self._exchange, market.symbol, kind)
        usable = [info for info in stored if _makes(info.timeframe or "", timeframe)]
        if self.is_offline or (start is None and end is None and usable):
            return None
        first, last = self.reach(kind, start, end, min((info.start for info in usable), default=None))
        for info in reversed(usable):
            low, high = _whole(first, last, timeframe)
            if not self._store.missing(self._exchange, market.symbol, info.name, low, high):
                return info.timeframe
        wanted = [name for name in served(market, kind) if _makes(name, timeframe)]
        if not wanted or not self._lists(market):
            return None
        name = name_of(kind, wanted[-1] or None)
        self.download([Job(market.symbol, name, first, last)])
        return wanted[-1] or None if self._has(market, name) else None

    def download(self, jobs: Iterable[Job]) -> list[Downloaded]:
        """Bring what the store lacks of each.

        Raises:
            ExchangeError: the exchange can't be asked; what came before is stored.
        """
        if self.is_offline:
            raise UnavailableError(
                f"nothing can be downloaded from {self._exchange}: no network is allowed (offline)"
            )
        work = list(jobs)
        try:
            return self._session.ask(lambda gateway: download_all(gateway, self._store, work, self._progress))
        except (NetworkError, UnavailableError) as error:
            error.args = (f"{error}; what is stored serves with METAEXPERT_OFFLINE=1", *error.args[1:])
            raise

    def reach(self, kind: Kind, start: int | None, end: int | None, known: int | None = None) -> tuple[int, int]:
        """The span that is meant: up to now; from what is `known` on, else a year back, of trades an hour."""
        now = self._clock.now()
        last = now if end is None else min(end, now)
        back = _HOUR_MS if kind is Kind.TRADES else _YEAR_MS
        if start is not None:
            return start, last
        return (known if known is not None and known < last else last - back), last

    def _listed(self) -> tuple[Market, ...]:
        kept = listing.load(self._exchange, self._part, place=place_of(self._session.settings))
        return () if kept is None else kept.markets

    def _lists(self, market: Market) -> bool:
        """Does the exchange know the market, or is it of a file alone, or delisted?"""
        try:
            return self._session.ask(lambda gateway: gateway.market(market.symbol)).symbol == market.symbol
        except ConfigError:
            return False

    def _stored_market(self, symbol: str, market_type: str, contract_type: str | None) -> Market:
        try:
            return super().market(symbol, market_type, contract_type)
        except DataError:
            if self.is_offline:
                raise
        return self._session.ask(lambda gateway: gateway.market(symbol))

    def _has(self, market: Market, name: str) -> bool:
        kind, timeframe = parse_name(name)
        there = self._store.series(self._exchange, market.symbol, kind)
        return any(info.timeframe == timeframe for info in there)


def _makes(finer: str, timeframe: str) -> bool:
    """Can bars of `timeframe` be made of those of `finer`? "" stands for what has none."""
    return finer == timeframe or (bool(finer and timeframe) and parse(timeframe) % parse(finer) == 0)


def _whole(start: int, end: int, timeframe: str) -> tuple[int, int]:
    """The bars that are over."""
    if not timeframe:
        return start, end
    length = parse(timeframe)
    low = floor(start + length - 1, length)
    return low, max(low, floor(end, length))
