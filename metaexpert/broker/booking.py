"""Booking: the fills that an exchange tells of, in the ledger: what they cost, and by how much they slipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import rules
from ..events import Notice
from ..models import OrderStatus
from .book import Working

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..reports import FillReport
    from .execution import Execution
    from .holding import Holding
    from .sent import Sent

__all__ = ["Booking"]


class Booking:
    """See the module's docstring.

    Args:
        execution: enters fills.
        notify: tells of what people should know.
    """

    def __init__(self, execution: Execution, notify: Callable[[Notice], None]) -> None:
        self._execution = execution
        self._notify = notify
        self._warned: set[str | None] = set()

    def fill(self, sent: Sent, report: FillReport) -> None:
        """Book a fill of an order."""
        fill, held, base = report.fill, sent.held, 0.0
        if held.is_spot and fill.fee_currency == held.market.base:
            base = fill.fee  # paid in what was traded: that much less of it is held
        sent.enter(fill.qty, fill.price)
        if sent.filled >= sent.order.qty and not sent.is_final:
            sent.status, sent.reported = OrderStatus.FILLED, sent.filled
        fee = base * fill.price if base != 0.0 else self._fee(report)
        moved = fill.qty - sent.order.side.sign * base
        dust = _dust(held, sent.order.side.sign, moved)
        moved, fee = moved + dust, fee + dust * fill.price  # no money came for it
        self._enter(sent, fill.qty, fill.price, fee, maker=fill.is_maker, time=fill.time, moved=moved)

    def _fee(self, report: FillReport) -> float:
        """What was paid, in the settlement currency."""
        fill = report.fill
        if report.fee is None and fill.fee != 0.0 and fill.fee_currency not in self._warned:
            self._warned.add(fill.fee_currency)
            self._say(fill.symbol, f"a fee of {fill.fee:.12g} {fill.fee_currency} can't be valued: it counts as 0")
        return 0.0 if report.fee is None else report.fee

    def _enter(
        self, sent: Sent, qty: float, price: float, fee: float, *, maker: bool, time: int, moved: float
    ) -> None:
        execution, held, side = self._execution, sent.held, sent.order.side.sign
        slippage, expected = 0.0, sent.reference if sent.order.stop_price is None else sent.order.stop_price
        if expected is not None and not maker and (price - expected) * side > 0.0:
            slippage = abs(rules.pnl(held.kind, qty, expected, price))
        execution.moment = time
        execution.enter(sent.working, qty, price, fee=fee, slippage=slippage, maker=maker, moved=moved)
        execution.moment = None

    def assume(self, sent: Sent) -> None:
        """Book what the exchange says is filled and tells no fills of."""
        qty, held = sent.lacks, sent.held
        known = sent.missing_price, sent.reference, sent.order.price
        price = next((one for one in known if one is not None), held.mark)
        self._say(
            sent.order.symbol,
            f"order {sent.order.id}: no fills are told for {qty:.12g} of it that are reported filled: they are "
            f"booked at {price:.12g} with the taker's fee",
        )
        sent.assumed += qty
        sent.enter(qty, price)
        fee, now = held.fee(qty, price, held.taker), self._execution.now()
        self._enter(sent, qty, price, fee, maker=False, time=now, moved=qty)

    def force(self, report: FillReport) -> None:
        """Book what the exchange has closed by itself, as far as it was ours."""
        fill, ledger = report.fill, self._execution.ledger
        held = ledger.leg(fill.symbol, fill.position_side)
        qty = rules.closing_qty(held.qty, fill.side.sign, fill.qty)
        if qty == 0.0:
            return
        fee = self._fee(report) * qty / fill.qty
        working = Working(self._execution.book.exit_order(held, fill.reason).changed(qty=qty), held)
        self._execution.moment = fill.time
        self._execution.enter(working, qty, fill.price, fee=fee, slippage=0.0, maker=fill.is_maker)
        self._execution.moment = None

    def _say(self, symbol: str, text: str) -> None:
        self._notify(Notice(self._execution.now(), symbol, text, warns=True))


def _dust(held: Holding, side: int, qty: float) -> float:
    """What a sale of `qty` leaves of a spot position, where that can never be sold; else 0.

    Fees that are paid in what was bought leave such rests. They stay on the account, and are nobody's.
    """
    left, market = held.qty - qty, held.market
    is_dust = held.is_spot and side < 0 and 0.0 < left < max(market.qty_step, market.min_qty)
    return left if is_dust else 0.0
