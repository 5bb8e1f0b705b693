"""Between a live broker and its exchange: what is asked for, and what comes back.

Commands go out, reports come in, each a value. So the broker, which takes the decisions, does no input or output,
a run can be played again from the reports that it heard, and whoever carries the commands decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .answers import ExchangeFill
    from .models import Account, Fill, Order, Position, Rejection

__all__ = [
    "AccountReport",
    "Amend",
    "Away",
    "Cancel",
    "ChangeRefused",
    "Check",
    "Command",
    "Fetch",
    "FillReport",
    "FillsFetched",
    "Find",
    "Gap",
    "HeldByOther",
    "OrderMissing",
    "OrderRefused",
    "OrderReport",
    "OrderUnknown",
    "Report",
    "Send",
]

# --- commands: what the broker asks for ------------------------------------------------------------------------


class Send(NamedTuple):
    """Send an order, once. It stands in the journal already."""

    order: Order


class Cancel(NamedTuple):
    """Cancel an order. May be asked for again."""

    order: Order


class Amend(NamedTuple):
    """Give a resting limit order another price or quantity, where it stands; None leaves it."""

    order: Order
    price: float | None = None
    qty: float | None = None


class Find(NamedTuple):
    """Look an order up: an `OrderReport` or an `OrderMissing` comes of it, whatever it takes."""

    order: Order


class Fetch(NamedTuple):
    """Fetch the account's fills in a market from `since` (ms UTC) on: `FillReport`s, then a `FillsFetched`."""

    symbol: str
    since: int


class Check(NamedTuple):
    """Ask how the account stands: an `AccountReport` comes of it."""


type Command = Send | Cancel | Amend | Find | Fetch | Check

# --- reports: what comes back; `time` is ms UTC ----------------------------------------------------------------


class OrderReport(NamedTuple):
    """An order as the exchange has it: `order.id` is our id of it, `order.filled` what the exchange says."""

    time: int
    order: Order


class OrderRefused(NamedTuple):
    """An order was not taken, and nothing was traded: that is certain."""

    time: int
    symbol: str
    order_id: str
    reason: str
    message: str


class OrderUnknown(NamedTuple):
    """Whether an order arrived is not known; it is being looked up."""

    time: int
    symbol: str
    order_id: str
    message: str


class OrderMissing(NamedTuple):
    """The exchange knows no such order, and it can't arrive any more."""

    time: int
    symbol: str
    order_id: str


class ChangeRefused(NamedTuple):
    """`what` ("cancel" or "amend") was refused: the order is as it was, or works no more."""

    time: int
    symbol: str
    order_id: str
    what: str
    message: str


class FillReport(NamedTuple):
    """An execution of the account, ours or not; it may be told more than once.

    `order_id` is our id of its order where that is known, else "". `fee` is what was paid, in the settlement
    currency: None where it was paid in a currency whose price is not known.
    """

    time: int
    fill: ExchangeFill
    order_id: str = ""
    fee: float | None = None


class FillsFetched(NamedTuple):
    """Every fill of a market since a time was told."""

    time: int
    symbol: str
    since: int


class HeldByOther(NamedTuple):
    """What another expert on the account holds by its own record, signed.

    `is_first`: where something is missing of what it and we hold on one side, it is missing of its part first.
    """

    symbol: str
    position_side: str | None
    qty: float
    is_first: bool = False


class AccountReport(NamedTuple):
    """How the account stands in the markets of the run, asked for while nothing moved.

    `positions` and `orders` are all of the account, whoever's they are. On spot a position is what is held of the
    base currency of a market of the run, what works in orders included, without an entry price. `others` has what
    the other experts on the account hold by their own record.
    """

    time: int
    account: Account
    positions: tuple[Position, ...]
    orders: tuple[Order, ...]
    others: tuple[HeldByOther, ...] = ()


class Gap(NamedTuple):
    """Something of what happened on the account may not have been told."""

    time: int
    text: str


class Away(NamedTuple):
    """What became of orders while the expert did not run, as its handlers are told of it when it does.

    The broker knows it already; `news` is each change in order, with the fill or refusal behind it. `heard` is
    what they were being told of as the last run was cut: it is written down, and not told again.
    """

    time: int
    news: tuple[tuple[Order, Fill | Rejection | None], ...]
    heard: tuple[tuple[Order, Fill | Rejection | None], ...] = ()


type Report = (
    OrderReport
    | OrderRefused
    | OrderUnknown
    | OrderMissing
    | ChangeRefused
    | FillReport
    | FillsFetched
    | AccountReport
    | Gap
)
