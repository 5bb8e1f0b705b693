"""A real exchange as a live market: CCXT's websockets in our words, and by requests what was missed of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, MetaExpertError, NetworkError, RequestError
from ..events import StreamKind
from ..timeframe import parse
from . import missed
from .channels import channel_of, events_of
from .connection import TRADES_KEPT
from .demo_stream import DemoStreams
from .gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..clock import LiveClock
    from ..config import ExchangeSettings
    from ..events import Funding, MarketEvent, PublicTrade, Source, Stream
    from ..models import Bar, Market
    from .channels import Channel

__all__ = ["MarketStreams", "open_source"]

_FIRST_BOOK = 30.0  # seconds to wait for a book, which may begin with a request
_UNWATCH = 5.0  # seconds to wait until the exchange says that a subscription has ended
_CLOCK_MS = 600_000  # for how long a measured difference of the clocks holds
_MEASURES, _SWIFT_MS = 3, 500  # how often it is measured until an answer is swift enough to tell
_EARLY_MS = 1000  # the trades of a subscription begin; Bitget tells older ones first
_NAMES = 4 * TRADES_KEPT  # of the trades that were told last


def open_source(settings: ExchangeSettings, clock: LiveClock) -> Source:
    """The live market of these settings; the demo exchange runs as fast as `clock`. Nothing is sent yet.

    Raises:
        ConfigError: the exchange has none.
    """
    if settings.exchange == "local":
        raise ConfigError("exchange='local' is history alone and has no live market: name an exchange, or demo")
    if settings.exchange == "demo":
        return DemoStreams(settings, clock)
    return MarketStreams(Gateway(settings, clock=clock), clock)


class MarketStreams:
    """The streams of one exchange, for one kind of market; a `metaexpert.events.Source`.

    Args:
        gateway: asks the exchange; `close` closes it.
        clock: our clock.
    """

    def __init__(self, gateway: Gateway, clock: LiveClock) -> None:
        self._gateway, self._clock = gateway, clock
        self._watched: dict[Stream, _Subscription] = {}
        self._waiting: set[asyncio.Timeout] = set()
        self._ahead = 0  # ms by which the exchange's clock is ahead of ours
        self._measured: int | None = None

    # -- streams -------------------------------------------------------------------------------------------------

    async def watch(self, stream: Stream) -> Sequence[MarketEvent]:
        """Wait for what is new since the last answer; see `Source.watch`. What only repeats is left out.

        Raises:
            ConfigError: there is no such stream there.
            NetworkError: the connection broke, now or since the last answer, or more came than is kept.
            MetaExpertError: the exchange refused it.
        """
        limit = asyncio.timeout(None)  # which `close` sets
        self._waiting.add(limit)
        try:
            async with limit:
                return await self._next(stream)
        except TimeoutError:
            name = self._gateway.caller.venue.name
            raise NetworkError(f"{name}: could not watch {stream.symbol}: the connection was closed") from None
        finally:
            self._waiting.discard(limit)

    async def _next(self, stream: Stream) -> Sequence[MarketEvent]:
        market = await self._gateway.known(stream.symbol)
        watched = self._watched.get(stream)
        if watched is None:
            watched = self._watched[stream] = _Subscription(stream, market, channel_of(stream, market))
            await self._now()
        while True:
            self._check(watched)
            found = watched.fresh(await self._answer(watched), self._clock.now() + self._ahead)
            if found:
                return found

    def _check(self, watched: _Subscription) -> None:
        """Tell of what went unseen because nobody waited when it happened."""
        connection = watched.connection
        is_gone = connection is not None and not self._gateway.caller.client.is_open(connection)
        if is_gone or watched.is_short:
            watched.connection, watched.is_short = None, False
            what = "the connection was lost" if is_gone else "more came than is kept"
            raise NetworkError(f"{self._gateway.caller.venue.name}: could not {watched.doing}: {what}; try again")

    async def _answer(self, watched: _Subscription) -> Any:
        """CCXT's next answer; `watched` remembers the connection that it came by."""
        caller, channel = self._gateway.caller, watched.channel
        is_new = watched.connection is None
        if is_new:
            watched.begun = self._clock.now() + self._ahead
        is_book = channel.watch == "watch_order_book"
        try:
            async with asyncio.timeout(_FIRST_BOOK if is_new and is_book else None):
                raw = await caller.watch(watched.doing, channel.watch, *channel.args)
        except TimeoutError:
            caller.client.drop(caller.client.connection)
            raise NetworkError(
                f"{caller.venue.name}: could not {watched.doing}: none came within {_FIRST_BOOK:g} s; try again"
            ) from None
        except MetaExpertError:
            watched.connection = None
            raise
        watched.connection = caller.client.connection
        return raw

    async def unwatch(self, stream: Stream) -> None:
        """End a subscription, within seconds: where the exchange does not say that it has, with its connection."""
        watched = self._watched.pop(stream, None)
        shared = watched is None or any(one.channel == watched.channel for one in self._watched.values())
        if watched is None or watched.connection is None or shared:
            return
        caller, channel = self._gateway.caller, watched.channel
        try:
            async with asyncio.timeout(_UNWATCH):
                await caller.watch(f"end to {watched.doing}", channel.unwatch, *channel.unwatch_args)
        except RequestError:
            return  # CCXT has no such call: what comes goes unheard
        except (TimeoutError, MetaExpertError):
            caller.client.drop(watched.connection)

    async def close(self) -> None:
        """End every subscription and close the gateway; who waits in `watch` gets a `NetworkError`."""
        self._watched.clear()
        for limit in self._waiting:
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time())
        await self._gateway.close()

    # -- what was before ---------------------------------------------------------------------------------------

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> list[Bar]:
        """The candles that open within [start, end) ms UTC and have closed by the exchange's clock."""
        market, now = await self._gateway.known(symbol), await self._now()
        return await missed.candles(self._gateway, market, timeframe, start, min(end + parse(timeframe) - 1, now))

    async def trades(self, symbol: str, start: int) -> list[PublicTrade]:
        """The public trades from `start` on, as far as the exchange serves them, those of an hour at most."""
        return await missed.trades(self._gateway, await self._gateway.known(symbol), start, await self._now())

    async def funding(self, symbol: str) -> Funding | None:
        """The next funding instant with the rate as it is known now; None of what is no perpetual."""
        return await missed.funding(self._gateway, await self._gateway.known(symbol))

    async def paid(self, symbol: str, start: int, end: int) -> list[Funding]:
        """The funding that was paid within [start, end) ms UTC, oldest first; none of what is no perpetual."""
        return await missed.paid(self._gateway, await self._gateway.known(symbol), start, end)

    async def time(self) -> int:
        """The exchange's clock, ms UTC, asked for now."""
        told, before, after = 0, 0, 0
        for _ in range(_MEASURES):
            before = self._clock.now()
            told = await self._gateway.server_time()
            after = self._clock.now()
            if after - before <= _SWIFT_MS:
                break
        self._ahead, self._measured = told - (before + after) // 2, after
        return told

    async def _now(self) -> int:
        """The exchange's clock as it was measured within the last minutes."""
        now = self._clock.now()
        if self._measured is None or now - self._measured > _CLOCK_MS:
            await self.time()
        return self._clock.now() + self._ahead


class _Subscription:
    """One stream and what was told of it last."""

    def __init__(self, stream: Stream, market: Market, channel: Channel) -> None:
        self.stream, self.market, self.channel = stream, market, channel
        self.doing = f"watch the {stream.kind} of {market.symbol}"
        self.connection: Any = None  # CCXT's, by which the last answer came
        self.begun = 0  # when it was subscribed to, by the exchange's clock
        self.is_short = False  # CCXT may have forgotten some
        self._names: dict[str, None] = {}
        self._last: MarketEvent | None = None

    def fresh(self, raw: Any, now: int) -> Sequence[MarketEvent]:
        """What of an answer was not told before."""
        found = events_of(self.stream, self.market, raw, now)
        if self.stream.kind is StreamKind.TRADES:
            self.is_short = len(raw) >= TRADES_KEPT
            first = self.begun - _EARLY_MS
            return [one for one in found if one[0] >= first and self._is_new(one[2])]
        if self.stream.kind is StreamKind.CANDLES:
            first = self._last[0] if self._last is not None else now - 2 * parse(self.stream.timeframe)
            found = [one for one in found if one[0] >= first and one != self._last]
        elif found and self._last is not None and found[-1][1:] == self._last[1:]:
            return []
        self._last = found[-1] if found else self._last
        return found

    def _is_new(self, name: Any) -> bool:
        """Was this trade not told yet? One without a name is."""
        if not name:
            return True
        if name in self._names:
            return False
        self._names[name] = None
        if len(self._names) > _NAMES:
            del self._names[next(iter(self._names))]
        return True
