"""LiveBroker: orders trade on an exchange. A state machine without input or output of its own.

Trading calls and reports go in, news and commands come out (`metaexpert.reports`); somebody carries the commands
to the exchange and brings back what it says. So what a run did can be played again from what it heard.

- Every order is written down before it is sent, and is sent once. While it is not known of one whether it arrived,
  nothing is entered in its symbol.
- Fills are the truth for quantities, prices and fees, the account for money.
- An order that can't trade yet is held back here: until its moment, or until what is under way has made room.
"""

from __future__ import annotations

from collections import deque
from math import fsum
from typing import TYPE_CHECKING, Any

from .. import risk
from ..errors import JournalError
from ..events import Notice
from ..exchanges.capabilities import Feature, Support, support
from ..exchanges.venues import segment_of
from ..models import ExitReason, OrderStatus, OrderType, Rejection
from ..reports import AccountReport, FillsFetched, Gap
from .admission import Admission, LiveBook, Pace, opens
from .base import BaseBroker
from .book import Working
from .data import FundingRate, Latest, live_data
from .dealings import Dealings
from .differences import Differences
from .errands import Errands
from .execution import NOTHING_TO_REDUCE
from .sentries import pieces
from .shield import Shield
from .state import leg_of, restore, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..clock import Clock
    from ..events import Funding, MarkPrice, PublicTrade, Quote
    from ..models import Account, Bar, Market, Order, OrderBook
    from ..reports import Command, Report
    from . import News
    from .costs import Costs
    from .holding import Holding
    from .homes import Home
    from .ledger import Ledger
    from .names import Names
    from .protection import Protection

__all__ = ["LiveBroker"]

_KEPT = 5_000  # of the fills, round trips and orders that are done, and up to twice as many
_BY_EXPERT = "canceled by the expert"


class LiveBroker(BaseBroker):
    """See the module's docstring; the contract is `metaexpert.broker.LiveMarket`.

    Args:
        ledger: books the fills.
        clock: the run's clock.
        costs: fees and margin rates, as far as they are not told.
        protection: the levels that every new position gets unless its order brings others.
        names: gives orders their ids.
        homes: by symbol, who keeps the levels of its positions.
        strategy_id: whose orders these are.
        on_stop_failure: what follows where a stop is refused: ``close``, ``retry`` or ``alert``.
        max_slippage_pct: market entries trade no further than this from the best price, in percent; None: at any.
        max_entries_per_minute: so many entries, and changes of them, are taken within any minute; 0: all.
        intend: writes an order down before it is sent; what it raises goes to the caller, and nothing is sent.
    """

    fills_by = "exchange"

    def __init__(
        self, ledger: Ledger, clock: Clock, costs: Costs, protection: Protection, *, names: Names,
        homes: Mapping[str, Home], strategy_id: int = 0, on_stop_failure: str = "close",
        max_slippage_pct: float | None = None, max_entries_per_minute: int = 0, intend: Callable[[Order], None],
    ) -> None:  # fmt: skip
        book = LiveBook(ledger.holdings, clock, strategy_id, names.name)
        known = {symbol: live_data(held.market) for symbol, held in ledger.holdings.items()}
        super().__init__(ledger, book, clock, costs, protection, known)
        self.names = names
        self.outbox: deque[Command] = deque()
        self.on_command: Callable[[], None] = _nothing
        """Called when there is something in `outbox`."""
        self.notices: deque[Notice] = deque()
        """What people should know, to be taken by whoever logs it; those with an error are the expert's too."""
        self.reported: Account | None = None
        """The account as the exchange told it last."""
        self.quotes: dict[str, Quote] = {}
        self._equity_then = 0.0  # our own at that report
        self._alive: dict[str, int] = {}  # when each symbol was heard of last, ms UTC
        self._held_back = book.held_back
        self.errands = Errands(clock, self._put)
        self.shield = Shield(
            self.execution, homes, clock, send=self._send_protective, ask=self._ask, notify=self._note,
            close=self._close, doubts=self._doubts, is_priced=self._is_priced, on_stop_failure=on_stop_failure,
        )  # fmt: skip
        self.dealings = Dealings(
            self.execution, names, self.errands, intend=intend, notify=self._note,
            protective=self._protective,
        )  # fmt: skip
        self.differences = Differences(
            self.execution, self.shield, is_mine=names.is_mine, knows=self.dealings.knows,
            standing=self.dealings.standing, ask=self._ask, notify=self._note,
            settlement=self.expiry.settlement,
        )  # fmt: skip
        self.admission = Admission(
            self.execution, self.quotes, self._alive, unknown=lambda: self.unknown,
            barred=self._barred, max_slippage_pct=max_slippage_pct,
        )  # fmt: skip
        self._pace = Pace(max_entries_per_minute, clock.now, self._warn)
        self.execution.call_off = self._cancel
        self.expiry.ask = self.differences.inquire

    # -- the trader's side ----------------------------------------------------------------------------------

    def submit(self, order: Order, *, active_from: int, shrinkable: bool = False) -> None:
        """Check an order, write it down and have it sent; it is PENDING until the exchange has told of it."""
        held = self.ledger.leg(order.symbol, order.position_side)
        working = self._checked(order, held, active_from, shrinkable=shrinkable)
        if not isinstance(working, risk.Refusal):
            working = self.admission.refusal(working) or self._haste(working) or working
        if isinstance(working, risk.Refusal):
            self.reject(order, working.reason, working.message)
            return
        if opens(working):
            working.message, working.is_changed = self.shield.note(working.terms), True
        self._add(working)
        self._go(working)

    def _haste(self, working: Working) -> risk.Refusal | None:
        return self._pace.refusal() if opens(working) else None

    def _add(self, working: Working) -> None:
        self.book.add(working)
        self.book.stirred = True

    def _go(self, working: Working) -> None:
        """Send an order, or hold it back where its moment is still to come."""
        if working.active_from > self.clock.now() or self.admission.waits(working):
            self._held_back[working.terms.id] = working
            return
        was_held = self._held_back.pop(working.terms.id, None) is not None
        order = self.admission.fit(working, again=was_held) or self.admission.bounded(working)
        if isinstance(order, risk.Refusal):
            status = OrderStatus.CANCELED if order.message == NOTHING_TO_REDUCE else OrderStatus.REJECTED
            reason = None if status is OrderStatus.CANCELED else order.reason
            self.book.drop(working, status, order.message, reason)
            return
        self.dealings.send(working, order, self.admission.best(working.terms.symbol, working.side))

    def cancel(self, order_id: str) -> bool:
        """Have a working order cancelled; that it is will be news once the exchange has said so."""
        working = self.book.find(order_id)
        if working is None:
            return False
        self._cancel(working, _BY_EXPERT)
        return True

    def _cancel(self, working: Working, why: str) -> None:
        """Cancel an order here or, once it was sent, at the exchange."""
        sent = self.dealings.carrier(working)
        if sent is None:
            self._held_back.pop(working.terms.id, None)
            self.book.drop(working, OrderStatus.CANCELED, why)
        else:
            self.book.stirred = True
            self.dealings.cancel(sent, why)

    def modify(self, order_id: str, *, price: float | None, qty: float | None, active_from: int) -> bool:
        """Change a working order where it stands, or replace it where the exchange can't do that."""
        working = self.book.find(order_id)
        if working is None:
            return False
        changed = self._changed(working, price, qty, active_from)
        if not isinstance(changed, risk.Refusal):
            changed = self._haste(changed) or changed
        sent = self.dealings.carrier(working)
        if isinstance(changed, risk.Refusal):
            terms = working.terms
            result = Rejection(self.clock.now(), terms.symbol, terms.id, changed.reason, changed.message)
            self.book.tell(working, result)
        elif sent is None:
            working.qty, working.price, working.stop_price = changed.qty, changed.price, changed.stop_price
            working.active_from = active_from
            self.book.announce(working)
        else:
            self.book.stirred = True
            new_price = changed.stop_price if working.terms.type is OrderType.STOP else changed.price
            in_place = (
                sent.order.type is OrderType.LIMIT
                and sent.status is OrderStatus.OPEN
                and _can_amend(working.held.market)
            )
            self.dealings.change(
                sent, None if price is None else new_price, None if qty is None else changed.qty, in_place=in_place
            )
        return True

    # -- what is asked for --------------------------------------------------------------------------------------

    def _barred(self, order: Order) -> risk.Refusal | None:
        return self.shield.refusal(order) or self.differences.refusal(order)

    def _note(self, notice: Notice) -> None:
        self.notices.append(notice._replace(is_of_account=True))

    def _warn(self, text: str) -> None:
        self._note(Notice(self.clock.now(), "", text, warns=True))

    def _put(self, command: Command) -> None:
        self.outbox.append(command)
        self.book.stirred = True
        self.on_command()

    def _ask(self, command: Command) -> None:
        """What is under way already is not asked for twice."""
        self.errands.ask(command)

    def _protective(self, order_id: str) -> Working | None:
        sentry = self.shield.find(order_id)
        return None if sentry is None else sentry.working

    def _send_protective(self, order: Order) -> None:
        working = self._protective(order.id)
        if working is not None:
            self.dealings.send(working, order)

    def _close(self, held: Holding, reason: ExitReason, message: str) -> Working:
        """Close a position at market, as far as the market takes that in one order."""
        order = self.book.exit_order(held, reason).changed(
            qty=pieces(held)[0], status=OrderStatus.PENDING, message=message
        )
        working = Working(order, held, self.clock.now())
        self._add(working)
        self._go(working)
        return working

    def _doubts(self, held: Holding) -> bool:
        return self.differences.doubts(held)

    def _is_priced(self, held: Holding) -> bool:
        return self.admission.can_leave(held)

    # -- the exchange's side --------------------------------------------------------------------------------------

    def hear(self, report: Report) -> Iterator[News]:
        """Take in what the exchange says; yields what comes of it for our orders."""
        self.book.stirred = True
        if isinstance(report, AccountReport):
            self._settle_accounts(report)
        elif isinstance(report, Gap):
            self.dealings.look()
            self.errands.check()
        else:
            self.dealings.hear(report)
            self.shield.hear(report)
            if isinstance(report, FillsFetched):
                self.differences.fetched(report.symbol)
        return self.book.flush()

    def _settle_accounts(self, report: AccountReport) -> None:
        is_calm = self.dealings.is_settled and not self.outbox
        self.differences.hear(report, is_calm=is_calm)
        self.dealings.compare(report.orders)
        if is_calm:
            self.shield.hear(report)
        self.reported = report.account
        self._equity_then = self.ledger.equity() - self._worth_of_coins(report)

    def _worth_of_coins(self, report: AccountReport) -> float:
        """What the spot coins of our symbols are worth, whoever's: no exchange counts them among its money."""
        spots = {held.market.symbol: held for held in self.ledger.legs() if held.is_spot}
        return fsum(one.qty * spots[one.symbol].mark for one in report.positions if one.symbol in spots)

    def adopt(self, symbol: str) -> None:
        """Make ours what the account holds in `symbol` beside it, as it was told last."""
        self.differences.adopt(symbol)

    def inquire(self) -> None:
        """Ask for what is due by now."""
        self.errands.run()
        self.dealings.run()
        self.differences.run()

    def guard(self) -> None:
        """Bring the protective orders to what the positions need, and ask for what is due; after every event."""
        self.inquire()
        self.shield.sync()

    @property
    def unknown(self) -> set[str]:
        """The symbols in which it is not known of an order whether it arrived."""
        return self.dealings.unknown

    @property
    def is_settled(self) -> bool:
        """Is nothing pending, unknown or on its way, nor held back?"""
        return self.is_informed and not self._held_back and self.shield.is_settled

    @property
    def is_informed(self) -> bool:
        """Is everything answered that was asked, and does the account agree with our books?"""
        calm = not self.outbox and self.errands.are_done
        return calm and self.differences.is_settled and self.dealings.is_settled

    @property
    def external(self) -> float:
        """The sum of what moved the account's balance and was not ours."""
        return self.differences.external

    @property
    def strategy_equity(self) -> float:
        """Equity without what others have added to the account or taken from it."""
        return self.ledger.equity() - self.external

    @property
    def account_equity(self) -> float:
        """Equity of the whole account: as it was told last, with what is ours moved on since.

        On spot that is its money and the coins of our symbols.
        """
        if self.reported is None:
            return self.ledger.equity()
        return self.reported.equity + self.ledger.equity() - self._equity_then

    # -- the market's side ----------------------------------------------------------------------------------

    def on_trade(self, trade: PublicTrade) -> Iterable[News]:
        """Somebody has traded: positions are worth its price, levels move with it, watched ones may be reached."""
        self._alive[trade.symbol] = self.clock.now()
        self._mark(trade.symbol, trade.price)
        self.shield.on_trade(trade.symbol, trade.price)
        return self.book.flush()

    def on_quote(self, quote: Quote) -> Iterable[News]:
        """The best bid and ask have changed."""
        self._alive[quote.symbol] = self.clock.now()
        self.quotes[quote.symbol] = quote
        self.shield.on_quote(quote.symbol, quote.bid, quote.ask)
        return self.meet(quote.symbol)

    def on_book(self, book: OrderBook) -> Iterable[News]:
        """The book has changed: the market is alive."""
        self._alive[book.symbol] = self.clock.now()
        return self.meet(book.symbol)

    def on_mark(self, mark: MarkPrice) -> Iterable[News]:
        """The mark price has changed, and with it what an option binds."""
        self._alive[mark.symbol] = self.clock.now()
        self.note_mark(mark)
        for held in self.ledger.legs(mark.symbol):
            self.execution.relevel(held)
        return self.book.flush()

    def on_funding(self, funding: Funding) -> None:
        """A funding instant has come: what is held pays it, or gets it, at once; the account tells the rest."""
        data = self.data[funding.symbol]
        if data.funding is None:
            return
        data.funding.add(FundingRate(funding.time, funding.rate, funding.mark))
        for one in data.funding.take(funding.time):
            told = data.marks.price if isinstance(data.marks, Latest) else None
            for held in self.ledger.legs(funding.symbol):
                mark = told if one.mark is None else one.mark
                self.execution.pay_funding(held, held.mark if mark is None else mark, one.rate)

    def on_bar(self, bar: Bar) -> Iterable[News]:
        """A stretch of the market that nobody saw: levels move by its best price, watched ones may be reached."""
        for price in (bar.low, bar.high) if self._is_long(bar.symbol) else (bar.high, bar.low):
            self.shield.on_trade(bar.symbol, price)
        self._mark(bar.symbol, bar.close)
        return self.book.flush()

    def _is_long(self, symbol: str) -> bool:
        return self.ledger.holdings[symbol].qty > 0.0

    def _mark(self, symbol: str, price: float) -> None:
        for held in self.ledger.legs(symbol):
            held.mark = price

    def meet(self, symbol: str) -> Iterator[News]:
        """Orders of `symbol` that were held back go now, if they may."""
        for working in [one for one in self._held_back.values() if one.terms.symbol == symbol]:
            self._go(working)
        return self.book.flush()

    def forget_offers(self, symbol: str) -> None:
        """What is offered is not known any more: nothing is entered at market until it is."""
        self.quotes.pop(symbol, None)

    def best_prices(self) -> tuple[float, ...]:
        """What the levels that follow the market stand on, position by position."""
        return tuple(guard.best for guard in self._guards.values())

    @property
    def next_arrival(self) -> float:
        """When something is due by the clock alone, ms UTC."""
        now = self.clock.now()
        moments = (one.active_from for one in self._held_back.values() if one.active_from > now)
        parts = (self.errands, self.dealings, self.differences, self.shield)
        return min(*(part.next_time for part in parts), *moments)

    def let_go(self) -> None:
        """Forget what was done long ago, which stands in the journal: a run may go on for months."""
        for done in (self.execution.fills, self.ledger.trades, self.book.ended):
            done.let_go(_KEPT)
        self.dealings.let_go()

    # -- restarts -------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What a restart goes on from, between two events, as JSON can hold it."""
        own = {
            "run": self.names.run,
            "differences": self.differences.state(),
            "held_back": list(self._held_back),
            "dealings": self.dealings.state(),
            "shield": self.shield.state(),
            "shown": self._shown(),
        }
        return {**state_of(self), "live": own}

    def _shown(self) -> dict[str, Any]:
        """What whoever looks at the state wants to know, and a restart finds out anew."""
        return {
            "unknown": [one.order.id for one in self.dealings.open if one.is_unknown],
            "protected": [list(one) for one in self.shield.report()],
            "account_equity": self.account_equity,
            "external": self.external,
        }

    def restore(self, state: Mapping[str, Any], intents: Iterable[Order] = ()) -> None:
        """Go on from `state`, and from the orders that were written down after it.

        What became of the orders is not known then: `hear` of a `Gap` asks for all of them.

        Raises:
            ConfigError: the settings have no place for what is held or works.
            JournalError: it is no state of a live run, or was written by another version.
        """
        own = state.get("live")
        if own is None:
            raise JournalError("the state is one of a run on paper: a live run can't go on from it")
        restore(self, state)
        self.differences.restore(own["differences"])
        self.shield.restore(own["shield"])
        self.dealings.restore(own["dealings"])
        for name in own["held_back"]:
            working = self.book.find(name)
            if working is not None:
                self.book.drop(working, OrderStatus.CANCELED, "it was not sent before the run ended")
        for order in intents:
            leg_of(self, order.id, order.symbol, order.position_side)
            if not self.shield.expect(order):
                self.dealings.expect(order)
            self.dealings.find(order.id)  # a protective one is followed from here on
            self.book.sent = max(self.book.sent, self.names.number(order.id))


def _can_amend(market: Market) -> bool:
    return support(market.exchange, segment_of(market), Feature.AMEND)[0] is Support.NATIVE


def _nothing() -> None:
    """Nobody carries the commands away."""
