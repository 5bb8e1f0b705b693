"""PaperBroker: the simulated broker in a market that goes on. Same rules, same account; only what matches differs.

Limit and stop orders trade by the public trades, each of which is a bar of one price to the rule book. A market
order, and a limit order that crosses when it arrives, takes what is offered: the best bid or ask (`quotes`) or the
levels of the book (`book`). With `trades` it takes the next public trade's price, as in a backtest over recorded
trades. Until a first quote is known it takes the next public trade as well.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

from .. import rules
from ..models import Bar
from ..timeframe import TRADES
from .data import FundingRate, live_data
from .offer import Offer
from .simulated import SimulatedBroker
from .state import restore, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from ..clock import Clock
    from ..events import Funding, MarkPrice, Notice, PublicTrade, Quote
    from ..models import Order, OrderBook
    from ..reports import Report
    from . import News
    from .costs import Costs
    from .ledger import Ledger
    from .protection import Protection

__all__ = ["PaperBroker"]

_KEPT = 5_000  # of the fills, round trips and orders that are done, and up to twice as many


class PaperBroker(SimulatedBroker):
    """See the module's docstring.

    Args:
        ledger: books the fills.
        clock: the run's clock.
        costs: fees, slippage and margin rates.
        protection: the levels that every new position gets unless its order brings others.
        fills: what market orders take: ``quotes``, ``book`` or ``trades``.
        strategy_id: whose orders the exits of protective levels are.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, costs: Costs, protection: Protection, *, fills: str = "quotes",
        strategy_id: int = 0,
    ) -> None:  # fmt: skip
        self.live = {symbol: live_data(held.market) for symbol, held in ledger.holdings.items()}
        super().__init__(ledger, clock, costs, protection, data=self.live, strategy_id=strategy_id)
        self.fills_by = fills
        self.quotes: dict[str, Quote] = {}
        self.notices: deque[Notice] = deque()
        self._offers: dict[str, Offer] = {}

    # -- the market's side ----------------------------------------------------------------------------------

    def on_trade(self, trade: PublicTrade) -> Iterable[News]:
        """Let what rests trade by a public trade."""
        price, kind = trade.price, self.ledger.holdings[trade.symbol].kind
        volume = trade.qty / price if kind == rules.INVERSE else trade.qty
        return self.on_bar(Bar(trade.time, trade.symbol, TRADES, price, price, price, price, volume))

    def on_quote(self, quote: Quote) -> Iterator[News]:
        """The best bid and ask have changed."""
        self.quotes[quote.symbol] = quote
        if self.fills_by == "quotes":
            self._offers[quote.symbol] = Offer.of_quote(quote)
        return self.meet(quote.symbol)

    def on_book(self, book: OrderBook) -> Iterator[News]:
        """The book has changed."""
        if self.fills_by == "book":
            self._offers[book.symbol] = Offer.of_book(book)
        return self.meet(book.symbol)

    def meet(self, symbol: str) -> Iterator[News]:
        """Let the orders of `symbol` that have come to the market by now take what it offers."""
        offer = self._offers.get(symbol)
        if offer is not None and self.book.of[symbol]:
            yield from self._matching.meet(symbol, self.clock.now(), offer)

    def on_mark(self, mark: MarkPrice) -> Iterator[News]:
        """The mark price has changed, and with it what is liquidated; the underlying's price too."""
        self.note_mark(mark)
        return self._matching.on_mark(mark.symbol)

    def on_funding(self, funding: Funding) -> None:
        """A funding instant has come: it is paid at once by what is held (rule 19)."""
        data = self.live[funding.symbol]
        if data.funding is not None:
            data.funding.add(FundingRate(funding.time, funding.rate, funding.mark))
            self._matching.pay_funding(funding.symbol, funding.time)

    def let_go(self) -> None:
        """Forget what was done long ago, which stands in the journal: a run may go on for months."""
        for done in (self.execution.fills, self.ledger.trades, self.book.ended):
            done.let_go(_KEPT)

    def forget_offers(self, symbol: str) -> None:
        """What was offered is not known any more: orders wait for the next quote or book."""
        self._offers.pop(symbol, None)
        self.quotes.pop(symbol, None)

    def best_prices(self) -> tuple[float, ...]:
        """What the levels that follow the market stand on, position by position."""
        return tuple(guard.best for guard in self._guards.values())

    @property
    def next_arrival(self) -> float:
        """When the next order that is still on its way comes to the market, ms UTC."""
        now = self.clock.now()
        return min((one.active_from for one in self.book if one.active_from > now), default=inf)

    # -- what an exchange would tell ------------------------------------------------------------------------

    @property
    def account_equity(self) -> float:
        """The equity: nobody else is on the account."""
        return self.ledger.equity()

    @property
    def is_settled(self) -> bool:
        """True: nothing is ever unknown here."""
        return True

    def hear(self, report: Report) -> Iterator[News]:
        """Refuse it: no exchange tells anything of a simulated account."""
        raise TypeError(f"a paper account hears no {type(report).__name__}")

    def guard(self) -> None:
        """Do nothing: what protects a position stands in the matching."""

    # -- restarts -------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What a restart goes on from; see `metaexpert.broker.state`."""
        return state_of(self)

    def restore(self, state: Mapping[str, Any], intents: Iterable[Order] = ()) -> None:
        """Go on from what `state` told of another broker; see `metaexpert.broker.state`. Nothing is ever sent."""
        del intents
        restore(self, state)
