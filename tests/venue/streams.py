"""What a socket can subscribe to, and what a dialect gives so that it is spoken: `Topic`, `Speech`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from decimal import Decimal

    from .instruments import Instrument
    from .prices import Candle
    from .sockets import Socket

    type Format = Callable[["Socket", "Topic", Any], Iterable[Any]]
    """Makes messages (JSON values) of what happened; the third argument depends on the stream."""


class Stream(StrEnum):
    """What a message is about; in brackets what its format is given."""

    TRADES = "trades"
    """The public tape, trade by trade (`TradeNews`)."""
    CANDLE = "candle"
    """The running candle and the last state of a closed one (`CandleNews`)."""
    TICKER = "ticker"
    """The last 24 hours, when they changed (None if it is the first message, else True)."""
    QUOTE = "quote"
    """The best bid and ask, when they changed (as above)."""
    BOOK = "book"
    """The order book (`BookChange`)."""
    MARK = "mark"
    """Mark price and funding, again and again (as above)."""
    ORDERS = "orders"
    """Our orders, with each of their changes (`OrderNews`)."""
    FILLS = "fills"
    """Our fills (`OrderNews` that has one)."""
    POSITIONS = "positions"
    """What we hold (a list of `PositionNews` that came at once)."""
    BALANCE = "balance"
    """Our money (a list of `BalanceNews` that came at once, with the `OrderNews` that lock or free some)."""
    ACCOUNT = "account"
    """Positions and money in one message (a list of all of these news that came at once)."""
    REPLY = "reply"
    """Answers to what a client said, welcomes."""
    PING = "ping"
    """Pings and pongs, as frames of the protocol."""


class Topic(NamedTuple):
    """One subscription: by the `name` that the exchange has for it, in our words.

    `interval` is the length of a candle, or the least time between two tickers, quotes or marks; ms. `depth` are
    the levels of a book, all if 0. `what` are the prices of a candle: last, mark or index. `terms` is for the
    dialect alone, such as an argument to echo.
    """

    name: str
    stream: Stream
    item: Instrument | None = None
    interval: int = 0
    depth: int = 0
    what: str = "last"
    terms: Any = None


class CandleNews(NamedTuple):
    """A candle as it stands, or as it ended."""

    candle: Candle
    closed: bool


@dataclass(slots=True)
class Feed:
    """How far a topic has been told on its socket."""

    topic: Topic
    opened: int = 0
    """The candle that runs, by its open time."""
    moved: bool = True
    """Whether something traded, or an order of ours changed, since the last pulse."""
    pinned: Decimal | None = None
    """The price that a test held at the last pulse."""
    shown: Any = None
    """What the last message told, but for its time."""
    last: int = -1
    """When that was."""


class Wrong(Exception):
    """What a client says is refused: with a code, in words, perhaps with what was said."""

    def __init__(self, code: int | str, message: str, arg: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.arg = code, message, arg


def _nothing(_: Socket) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Speech:
    """How an exchange speaks on websockets."""

    hear: Callable[[Socket, Any], None]
    """Called with each message of a client: a JSON value, or the text if it is none."""
    formats: Mapping[Stream, Format]
    connect: Callable[[Socket], None] = _nothing
    """Called when a client dials, before it is let in; raises Refusal to send it away with HTTP 400."""
    opened: Callable[[Socket], None] = _nothing
    """Called when it is in: to say welcome."""
    ping: int = 0
    """How often the server sends a ping frame, ms; 0 is never."""
    idle: int = 0
    """How long a client may be silent where `Sockets.timeouts` is set, ms; 0 is for ever."""
    lifetime: int = 0
    """How long a connection may last, likewise."""
    pulse: Callable[[Socket], None] = _nothing
    """Called at each pulse, before anything is pushed: for what time alone brings about."""
    at_once: frozenset[Stream] = field(default_factory=frozenset[Stream])
    """The streams whose state is sent with the subscription; the others begin with the next change.
    Their formats are given None then, that of a book all of it."""
