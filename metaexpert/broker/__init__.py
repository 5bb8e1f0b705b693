"""The Broker: the one door through which orders leave and news of them comes back.

The contract, which `tests/contract/test_broker.py` runs on every implementation:

- `submit`, `cancel`, `modify` and `protect` queue and return at once; nothing fills inside the call.
- Every change of an order appears exactly once in `news`, in the order in which it happened, as the order's
  value after the change, with the `Fill` or `Rejection` that caused it.
- An order that breaks the market's rules or that the account can't carry is rejected with a reason; it is never
  shrunk silently.
- `reduce_only` never opens or grows a position.
- A position's protective levels act from the instant after its entry until it is flat.
- In hedge mode a symbol has a long and a short position, and every order names the one that it works on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from ..events import Funding, MarkPrice, Notice, PublicTrade, Quote
    from ..models import Account, Bar, Fill, Order, OrderBook, Position, Rejection
    from ..reports import Report
    from .book import Book
    from .execution import Execution
    from .expiry import Expiry
    from .ledger import Ledger
    from .protection import Protection

__all__ = ["Broker", "LiveMarket", "News"]


class News(NamedTuple):
    """One change of an order: its value afterwards, and the fill or refusal behind it if there was one."""

    order: Order
    result: Fill | Rejection | None = None


class Broker(Protocol):
    """What the loop and the trading calls ask of a broker, simulated or live."""

    ledger: Ledger
    book: Book
    execution: Execution
    expiry: Expiry
    news: deque[News]

    def submit(self, order: Order, *, active_from: int, shrinkable: bool = False) -> None:
        """Queue `order`. It can trade from `active_from` (ms) on; `shrinkable`: sized by us, may fill smaller."""
        ...

    def next_id(self) -> str:
        """An id for the next order."""
        ...

    def reject(self, order: Order, reason: str, message: str) -> None:
        """Book `order` as refused before it was sent."""
        ...

    def cancel(self, order_id: str) -> bool:
        """Queue the cancelling of a working order; False when there is none of that id."""
        ...

    def modify(self, order_id: str, *, price: float | None, qty: float | None, active_from: int) -> bool:
        """Queue a new price (stop orders: stop price) or quantity; False when no such order works."""
        ...

    def protect(self, symbol: str, protection: Protection, position_side: str | None = None) -> bool:
        """Replace the protective levels of a position (hedge mode: of a leg); False when it is flat."""
        ...

    def protection(self, symbol: str, position_side: str | None = None) -> Protection | None:
        """The protective levels of the position in `symbol`, None when it is flat."""
        ...

    def on_bar(self, bar: Bar) -> Iterable[News]:
        """Let resting orders and protective levels trade within `bar`; yields each change as it happens."""
        ...

    def position(self, symbol: str, position_side: str | None = None) -> Position:
        """The position in `symbol` with its protective levels; a flat one when there is none."""
        ...

    def working(self, symbol: str | None = None) -> Sequence[Order]:
        """The orders that can still trade, oldest first."""
        ...

    def account(self) -> Account:
        """The account now."""
        ...

    @property
    def strategy_equity(self) -> float:
        """What loss limits look at: equity without what others have added to the account or taken from it."""
        ...


class LiveMarket(Broker, Protocol):
    """A broker in a market that goes on, on paper or live: it is told what happens there.

    What comes of an event is yielded change by change. `quotes` has the best bids and asks as far as they are
    known; `fills_by` says by what market orders are filled: ``quotes``, ``book``, ``trades`` or the ``exchange``.
    `notices` are what it has to say beside news of orders; whoever tells them on takes them out.
    """

    fills_by: str
    quotes: dict[str, Quote]
    notices: deque[Notice]

    def on_trade(self, trade: PublicTrade) -> Iterable[News]:
        """Somebody has traded."""
        ...

    def on_quote(self, quote: Quote) -> Iterable[News]:
        """The best bid and ask have changed."""
        ...

    def on_book(self, book: OrderBook) -> Iterable[News]:
        """The book has changed."""
        ...

    def on_mark(self, mark: MarkPrice) -> Iterable[News]:
        """The mark price has changed."""
        ...

    def on_funding(self, funding: Funding) -> None:
        """A funding instant has come."""
        ...

    def meet(self, symbol: str) -> Iterable[News]:
        """Orders of `symbol` whose moment has come go to the market."""
        ...

    def forget_offers(self, symbol: str) -> None:
        """What is offered in `symbol` is not known any more."""
        ...

    def best_prices(self) -> tuple[float, ...]:
        """What the levels that follow the market stand on, position by position."""
        ...

    @property
    def next_arrival(self) -> float:
        """When something is due by the clock alone, such as the next order that is still held back; ms UTC."""
        ...

    @property
    def account_equity(self) -> float:
        """The equity of the whole account, whoever's it is."""
        ...

    @property
    def is_settled(self) -> bool:
        """Is nothing on its way to the exchange, and nothing unknown of what is there?"""
        ...

    def hear(self, report: Report) -> Iterable[News]:
        """The exchange has told something of the account."""
        ...

    def guard(self) -> None:
        """Have what protects the positions be as it has to be, now that an event is through."""
        ...

    def let_go(self) -> None:
        """Forget what was done long ago."""
        ...

    def state(self) -> dict[str, Any]:
        """What a restart goes on from, between two events, as JSON can hold it."""
        ...

    def restore(self, state: Mapping[str, Any], intents: Iterable[Order] = ()) -> None:
        """Give a broker that has done nothing yet the `state` of another one, and what was to be sent after it."""
        ...
