"""A real exchange as a live market: CCXT's websockets in our words, and by requests what was missed of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ..events import Quote, StreamKind
from ..models import OrderBook
from ..timeframe import parse
from . import missed
from .channels import channel_of, events_of
from .connection import TRADES_KEPT
from .lines import Line, Waiters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..clock import LiveClock
    from ..events import Funding, MarketEvent, PublicTrade, Stream
    from ..models import Bar, Market
    from .gateway import Gateway

__all__ = ["MarketStreams"]

_FIRST_BOOK = 30.0  # seconds to wait for a book, which may begin with a request
_CLOCK_MS = 600_000  # for how long a measured difference of the clocks holds
_MEASURES, _SWIFT_MS = 3, 500  # how often it is measured until an answer is swift enough to tell
_EARLY_MS = 1000  # the trades of a subscription begin; Bitget tells older ones first
_INDEX_MS = 5_000  # for so long the index under an option is taken to hold where no stream tells it
_NAMES = 4 * TRADES_KEPT  # of the trades that were told last


class MarketStreams:
    """The streams of one exchange, for one kind of market; a `metaexpert.events.Source`.

    Args:
        gateway: asks the exchange; `close` closes it.
        clock: our clock.
    """

    def __init__(self, gateway: Gateway, clock: LiveClock) -> None:
        self._gateway, self._clock = gateway, clock
        self._watched: dict[Stream, _Subscription] = {}
        self._waiters = Waiters()
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
        return await self._waiters.wait(f"watch the {stream.kind} of {stream.symbol}", self._next(stream))

    async def _next(self, stream: Stream) -> Sequence[MarketEvent]:
        watched = self._watched.get(stream) or await self._begin(stream)
        while True:
            found = watched.fresh(await self._answer(watched), self._clock.now() + self._ahead)
            if watched.is_short:  # what is there is fetched together with what went before it
                watched.is_short = False
                watched.line.fail("more came than is kept")
            if any(map(_is_crossed, found)):
                watched.line.renew("its best bid is above its best ask: a change of the book was lost")
            if found:
                return await self._indexed(found, watched) if watched.lacks_index else found

    async def _indexed(self, marks: Sequence[Any], watched: _Subscription) -> Sequence[MarketEvent]:
        """Mark prices with the index, which is asked for every few seconds."""
        now = self._clock.now()
        if watched.asked is None or now - watched.asked >= _INDEX_MS:
            watched.index = await missed.index(self._gateway, watched.market)
            watched.asked = now
        return [one._replace(index_price=watched.index) for one in marks]

    async def _begin(self, stream: Stream) -> _Subscription:
        market = await self._gateway.known(stream.symbol)
        line = Line(
            self._gateway.caller, f"watch the {stream.kind} of {market.symbol}", channel_of(stream, market)
        )
        await self._now()
        watched = self._watched[stream] = _Subscription(stream, market, line)
        return watched

    async def _answer(self, watched: _Subscription) -> Any:
        if not watched.line.is_new:
            return await watched.line.answer()
        watched.begun = self._clock.now() + self._ahead
        return await watched.line.answer(_FIRST_BOOK if watched.stream.kind is StreamKind.BOOK else None)

    async def unwatch(self, stream: Stream) -> None:
        """End a subscription, within seconds; one that another stream is part of goes on."""
        watched = self._watched.pop(stream, None)
        others = [one.line.channel for one in self._watched.values()]
        if watched is not None and watched.line.channel not in others:
            await watched.line.end()

    async def close(self) -> None:
        """End every subscription and close the gateway; who waits in `watch` gets a `NetworkError`."""
        self._watched.clear()
        self._waiters.wake()
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

    def __init__(self, stream: Stream, market: Market, line: Line) -> None:
        self.stream, self.market, self.line = stream, market, line
        self.begun = 0  # when it was subscribed to, by the exchange's clock
        self.is_short = False  # CCXT may have forgotten some
        self._names: set[str] = set()  # of the trades that were told last
        self._latest: deque[str] = deque()  # the same in their order
        self._last: MarketEvent | None = None
        self.lacks_index = stream.kind is StreamKind.MARKS and market.is_option and market.exchange == "okx"
        self.index: float | None = None
        self.asked: int | None = None  # when that was asked for, by our clock

    def fresh(self, raw: Any, now: int) -> Sequence[MarketEvent]:
        """What of an answer was not told before."""
        found = events_of(self.stream, self.market, raw, now)
        if self.stream.kind is StreamKind.TRADES:
            self.is_short = len(raw) >= TRADES_KEPT
            return self._unheard(found)
        if self.stream.kind is StreamKind.CANDLES:
            first = self._last[0] if self._last is not None else now - 2 * parse(self.stream.timeframe)
            found = [one for one in found if one[0] >= first and one != self._last]
        elif found and self._last is not None and found[-1][1:] == self._last[1:]:
            return []
        self._last = found[-1] if found else self._last
        return found

    def _unheard(self, trades: Sequence[MarketEvent]) -> list[MarketEvent]:
        """Those that were not told yet, and not made before the stream was watched. One without a name was not."""
        first, names = self.begun - _EARLY_MS, self._names
        found: list[MarketEvent] = []
        for one in trades:
            name: Any = one[2]
            if one[0] < first or name in names:
                continue
            found.append(one)
            if name:
                names.add(name)
                self._latest.append(name)
        while len(self._latest) > _NAMES:
            names.discard(self._latest.popleft())
        return found


def _is_crossed(event: MarketEvent) -> bool:
    """Would who buys pay less than who sells gets? No market stands so."""
    if isinstance(event, Quote):
        return event.bid > event.ask
    return isinstance(event, OrderBook) and bool(event.bids and event.asks) and event.bids[0][0] > event.asks[0][0]
