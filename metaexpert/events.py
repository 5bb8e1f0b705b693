"""What a live market tells, one thing after another, and where it comes from."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from .models import Bar, OrderBook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .errors import MetaExpertError

__all__ = [
    "Funding",
    "MarkPrice",
    "MarketEvent",
    "Notice",
    "PublicTrade",
    "Quote",
    "Source",
    "Stream",
    "StreamKind",
]


class PublicTrade(NamedTuple):
    """A trade of the public tape: `qty` as in `metaexpert.models`, `side` 1 the taker bought, -1 sold, 0 unknown.

    `time` is the exchange's, ms UTC; `id` is unique within the symbol, "" where the exchange gives none.
    `is_backfilled`: it was missed live, and fetched afterwards.
    """

    time: int
    symbol: str
    id: str
    price: float
    qty: float
    side: int
    is_backfilled: bool = False


class Quote(NamedTuple):
    """The best bid and ask, with the quantities that are offered there."""

    time: int
    symbol: str
    bid: float
    ask: float
    bid_qty: float
    ask_qty: float


class MarkPrice(NamedTuple):
    """The mark price of a contract, by which it is liquidated and funded, and the price of what lies under it."""

    time: int
    symbol: str
    mark: float
    index_price: float | None = None


class Funding(NamedTuple):
    """One funding instant (ms UTC): what a long pays as a fraction of its notional at `mark` (None: not known)."""

    time: int
    symbol: str
    rate: float
    mark: float | None = None


class Notice(NamedTuple):
    """What the feed of a live market says of itself: trouble (`error`), a gap, a recovery; `symbol` "" for all.

    `is_of_account`: it is the account, or its orders, of which something is said, and not the market. `warns`:
    somebody should look at it, though nothing has failed.
    """

    time: int
    symbol: str
    text: str
    error: MetaExpertError | None = None
    is_of_account: bool = False
    warns: bool = False


type MarketEvent = PublicTrade | Quote | OrderBook | MarkPrice | Funding | Bar
"""A `Bar` is the candle of an interval as it stands: running or closed."""


class StreamKind(StrEnum):
    """What can be watched."""

    TRADES = "trades"
    QUOTES = "quotes"
    BOOK = "book"
    CANDLES = "candles"
    MARKS = "marks"


class Stream(NamedTuple):
    """One thing that is watched; `timeframe` of candles only."""

    kind: StreamKind
    symbol: str
    timeframe: str = ""


class Source(Protocol):
    """A live market: streams, and what was missed of them. The exchanges' gateway and the demo exchange have one.

    Use it within one event loop. Every method raises `NetworkError` or `UnavailableError` when the market can't be
    reached: then nothing is known of what happened until the next answer, and whoever watches fetches it. The
    next `watch` after a connection was lost while nobody waited does so. No call but `watch` waits for ever.
    """

    async def watch(self, stream: Stream) -> Sequence[MarketEvent]:
        """Wait for what is new in `stream` since the last answer, oldest first; subscribes by the first call."""
        ...

    async def unwatch(self, stream: Stream) -> None:
        """End a subscription."""
        ...

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> list[Bar]:
        """The closed candles that open within [start, end) ms UTC, oldest first; empty intervals are left out."""
        ...

    async def trades(self, symbol: str, start: int) -> list[PublicTrade]:
        """The public trades from `start` (ms UTC) on as far as the exchange still has them, oldest first."""
        ...

    async def funding(self, symbol: str) -> Funding | None:
        """The next funding instant with the rate as it is known now; None where none is paid."""
        ...

    async def paid(self, symbol: str, start: int, end: int) -> list[Funding]:
        """The funding that was paid within [start, end) ms UTC, oldest first; empty where none is."""
        ...

    async def time(self) -> int:
        """The market's clock, ms UTC."""
        ...

    async def close(self) -> None:
        """End every subscription and connection; who waits in `watch` gets a `NetworkError`."""
        ...
