"""Orders, fills and positions as the venue keeps them, and the reasons for which it refuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .instruments import Instrument

ZERO = Decimal(0)


class Reason(StrEnum):
    """Why a request is refused; each dialect has its own code for it."""

    SIGNATURE = "signature"
    KEY = "key"
    PASSPHRASE = "passphrase"
    LISTEN_KEY = "listen key"
    TIMESTAMP = "timestamp"
    RIGHTS = "rights"
    ADDRESS = "address"
    PARAMETER = "parameter"
    SYMBOL = "symbol"
    STEP = "step"
    TICK = "tick"
    SMALL = "small"
    LARGE = "large"
    NOTIONAL = "notional"
    FUNDS = "funds"
    DUPLICATE = "duplicate"
    NOT_FOUND = "not found"
    WOULD_TAKE = "would take"
    WOULD_TRIGGER = "would trigger"
    REDUCE_ONLY = "reduce only"
    POSITION_SIDE = "position side"
    LEVERAGE = "leverage"
    NO_CHANGE = "no change"
    BUSY = "busy"
    PATH = "path"
    MAINTENANCE = "maintenance"
    OVERLOAD = "overload"
    RATE_LIMIT = "rate limit"
    BAN = "ban"
    GEO_BLOCK = "geo block"
    UNKNOWN = "unknown"


class Refusal(Exception):
    """The venue refuses a request; nothing was changed. `what` is what was refused (mode, leverage…)."""

    def __init__(self, reason: Reason, what: str = "") -> None:
        super().__init__(f"{reason}: {what}")
        self.reason = reason
        self.what = what


class Status(StrEnum):
    """Where an order stands."""

    WAITING = "waiting"
    """For its trigger."""
    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    TRIGGERED = "triggered"
    """A conditional order whose child was sent: see `Order.child`."""


EXITS = {"StopLoss", "TakeProfit", "TrailingStop"}
"""What `raw` may say under "stop" of an order that guards a position or came with another order."""
LIVE = {Status.WAITING, Status.OPEN}


@dataclass(slots=True, kw_only=True)
class Fill:
    """One execution of an order."""

    id: int
    time: int
    price: Decimal
    amount: Decimal
    fee: Decimal
    fee_coin: str
    maker: bool
    profit: Decimal = ZERO


@dataclass(slots=True, kw_only=True)
class Order:
    """One order, as it was sent and as it stands.

    `price` None is a market order; `cost` replaces `amount` when so much quote is to be spent. A `trigger` fires
    when the price `rises` to it or falls to it; `trailing` (a share) moves it after the price from `activation`.
    `raw` is what was sent, for the words that only echo.
    """

    instrument: Instrument
    buy: bool
    amount: Decimal
    price: Decimal | None = None
    cost: Decimal | None = None
    client_id: str = ""
    tif: str = "GTC"
    expires: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    side: str = "BOTH"
    trigger: Decimal | None = None
    trigger_by: str = "last"
    rises: bool | None = None
    trailing: Decimal | None = None
    trailing_gap: Decimal | None = None
    activation: Decimal | None = None
    close_all: bool = False
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    parent: int = 0
    raw: dict[str, str] = field(default_factory=dict[str, str])
    id: int = 0
    status: Status = Status.OPEN
    filled: Decimal = ZERO
    created: int = 0
    updated: int = 0
    child: int = 0
    fired: bool = False
    """Whether its trigger was reached, after which it may be open under its own id."""
    best: Decimal | None = None
    rank: int = 0
    """Its place in time among those that rest in the book; 0 while it does not."""
    ahead: Decimal = ZERO
    """What the public has at its price that was there before it."""
    cause: str = ""
    """Why the exchange itself has sent it: liquidation or settlement."""
    reason: Reason | None = None
    """Why it was cancelled at once, where the exchange takes an order first and cancels it then."""
    fills: list[Fill] = field(default_factory=list[Fill])

    @property
    def conditional(self) -> bool:
        """Whether it waits, or waited, for a trigger."""
        return self.trigger is not None or self.trailing is not None or self.trailing_gap is not None

    @property
    def coin(self) -> str:
        """The coin that it costs, and of which it locks some until it is filled."""
        item = self.instrument
        return (item.quote if self.buy else item.base) if item.kind == "spot" else item.settle

    @property
    def guards(self) -> bool:
        """Whether it is a level of a position, with which it goes."""
        return self.instrument.margined and self.raw.get("stop") in EXITS

    @property
    def remaining(self) -> Decimal:
        """What is still to be filled."""
        return self.amount - self.filled

    @property
    def quote(self) -> Decimal:
        """What its fills were worth in quote."""
        return sum((self.instrument.notional(fill.amount, fill.price) for fill in self.fills), ZERO)

    @property
    def value(self) -> Decimal:
        """What its fills were worth in the coin of settlement."""
        return sum((self.instrument.value(fill.amount, fill.price) for fill in self.fills), ZERO)

    @property
    def average(self) -> Decimal:
        """The mean price of its fills, 0 without any."""
        return sum((fill.amount * fill.price for fill in self.fills), ZERO) / self.filled if self.fills else ZERO

    @property
    def fee(self) -> Decimal:
        """All fees paid for it."""
        return sum((fill.fee for fill in self.fills), ZERO)


@dataclass(slots=True)
class Position:
    """What is held of one instrument on one side; `amount` is signed."""

    instrument: Instrument
    side: str = "BOTH"
    amount: Decimal = ZERO
    entry: Decimal = ZERO
    realized: Decimal = ZERO
    opened: int = 0
    updated: int = 0
    margin: Decimal = ZERO
    """What an isolated one has at stake; of a cross one it is the whole balance."""
    funding: Decimal = ZERO
    """What it was paid at funding instants, negative if it has paid."""
