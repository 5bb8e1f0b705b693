"""What the exchange itself does to an account: liquidation, funding payments, settlement at expiry."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from .instruments import Kind
from .matching import Matching
from .news import Cause, PositionNews
from .orders import ZERO, Order, Status

if TYPE_CHECKING:
    from .instruments import Instrument
    from .orders import Position

HOUR = 3_600_000
PENALTY = Decimal("0.005")
"""The fee of a liquidation, of what is closed."""


class Risk(Matching):
    """Positions are watched at the mark price, paid at funding instants, and settled at expiry.

    A position is liquidated whole, at the mark price. It costs no more than its stake: the exchange's own fund
    bears what is lost beyond.
    """

    def supervise(self, instrument: Instrument | None = None) -> None:
        """Liquidate what has too little margin: isolated positions by themselves, cross ones the worst first."""
        for position in self.held(instrument):
            item = position.instrument
            if not item.margined or not position.amount:
                continue
            if self.is_isolated(item):
                if position.margin + self.profit(position) <= self.maintenance(position):
                    self._liquidate(position)
            else:
                self._supervise_cross(self.wallet_of(item), item.settle)

    def _supervise_cross(self, wallet: str, coin: str) -> None:
        while held := self.crossed(wallet, coin):
            equity = self.cross_balance(wallet, coin) + sum((self.profit(one) for one in held), ZERO)
            if equity > sum((self.maintenance(one) for one in held), ZERO):
                return
            self._liquidate(min(held, key=self.profit))

    def _liquidate(self, position: Position) -> None:
        item, isolated = position.instrument, self.is_isolated(position.instrument)
        wallet = self.wallet_of(item)
        for order in self.open_orders(item) if isolated else self.open_orders():
            same = order.instrument.settle == item.settle and self.wallet_of(order.instrument) == wallet
            if order.instrument.margined and same:
                self.end(order, Status.CANCELED)
        price = self.price(item, "mark")
        others = ZERO if isolated else sum(
            (self.profit(one) for one in self.crossed(wallet, item.settle) if one is not position), ZERO
        )  # fmt: skip
        stake = position.margin if isolated else self.cross_balance(wallet, item.settle) + others
        left = stake + self.profit(position)
        fee = min(item.value(abs(position.amount), price) * PENALTY, max(left, ZERO))
        self._close(position, price, fee, Cause.LIQUIDATION)
        self.pay(item, item.settle, max(-left, ZERO), Cause.LIQUIDATION)

    def _close(self, position: Position, price: Decimal, fee: Decimal, cause: Cause) -> None:
        """Close a position by an order of the exchange's own."""
        order = Order(
            instrument=position.instrument, buy=position.amount < 0, amount=abs(position.amount),
            side=position.side, reduce_only=True, cause=cause.value,
        )  # fmt: skip
        self.accept(order)
        self.fill(order, order.amount, price, maker=False, fee=fee)

    def fund(self, now: int) -> None:
        """Pay what is due at this instant: a long pays a positive rate on its worth at the mark price."""
        for position in self.held():
            item = position.instrument
            if not item.perpetual or now % (item.funding_hours * HOUR):
                continue
            rate = self.prices.funding_rate(item, now)
            price = self.price(item, "mark")
            paid = -item.value(position.amount, price) * rate
            position.funding += paid
            if self.is_isolated(item):
                position.margin += paid
            self.pay(item, item.settle, paid, Cause.FUNDING, position.amount, price)
            self.tell(PositionNews(position))

    def settle(self, now: int) -> None:
        """Close what has expired, at the index price or what an option is worth then, without a fee."""
        for order in self.open_orders():
            if _expired(order.instrument, now):
                self.end(order, Status.EXPIRED)
        for position in self.held():
            if _expired(position.instrument, now):
                self._close(position, self._worth(position.instrument), ZERO, Cause.SETTLEMENT)

    def _worth(self, item: Instrument) -> Decimal:
        if item.kind is not Kind.OPTION:
            return self.price(item, "index")
        spot = self.underlying(item)
        gain = spot - (item.strike or ZERO) if item.call else (item.strike or ZERO) - spot
        return max(gain, ZERO) / (spot if item.settle == item.base else 1)


def _expired(item: Instrument, now: int) -> bool:
    return item.expiry is not None and item.expiry <= now
