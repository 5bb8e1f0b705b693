"""An exchange that answers a live broker as real ones do: late, twice, out of order, or not at all.

What it fills is the truth that the broker has to come to. Everything is decided by one `Random`.
"""

from __future__ import annotations

import json
from math import floor
from typing import TYPE_CHECKING, Any

from floor import CANCELED, FILLED, OPEN, Floor

from metaexpert.answers import ExchangeFill
from metaexpert.models import Account, Order, OrderType, Position, Side
from metaexpert.reports import (
    AccountReport,
    Amend,
    Cancel,
    ChangeRefused,
    Check,
    Fetch,
    FillReport,
    FillsFetched,
    Find,
    Gap,
    OrderMissing,
    OrderRefused,
    OrderReport,
    OrderUnknown,
    Send,
)

if TYPE_CHECKING:
    from random import Random

    from metaexpert.reports import Command, Report

FEE = 0.0005


class Held:
    """An order as the exchange has it."""

    def __init__(self, order: Order, number: int) -> None:
        self.order = order.changed(status=OPEN, filled=0.0, exchange_id=f"x{number}")
        self.worth = 0.0

    @property
    def works(self) -> bool:
        return self.order.is_working

    @property
    def rest(self) -> float:
        return round(self.order.qty - self.order.filled, 3)


class Unreliable:
    """The exchange, with the expert at it. `fills` are all that it made; `mail` is what it has to say."""

    def __init__(self, random: Random, *symbols: str, **settings: Any) -> None:
        self.random = random
        self.symbols, self.settings = symbols, settings
        self.floor = Floor(*symbols, **settings)
        self.is_spot = self.floor.ledger.holdings[self.floor.symbols[0]].is_spot
        self.legs = ("long", "short") if self.floor.ledger.hedge else (None,)
        self.symbol = self.floor.symbols[0]
        self.orders: dict[str, Held] = {}
        self.limbo: dict[str, Order] = {}  # what was sent and did not arrive, yet
        self.fills: list[FillReport] = []
        self.mail: list[tuple[Report | Check, ...]] = []
        self.sent: list[str] = []
        self.runs = 1
        self.is_calm = False
        self.save()

    def chance(self, share: float) -> bool:
        """Does what happens in that share of all cases happen? Once it is calm nothing does."""
        return not self.is_calm and self.random.random() < share

    def qty(self, leg: str | None = None) -> float:
        """What the account holds, of a leg in hedge mode; fees of spot purchases were paid in what was bought."""
        fills = [one.fill for one in self.fills if one.fill.position_side == leg]
        return round(
            sum(one.side.sign * one.qty - (one.fee if one.fee_currency == "BTC" else 0.0) for one in fills), 9
        )

    @property
    def cash(self) -> float:
        """The money that all fills have left."""
        spent = (
            one.fill.side.sign * one.fill.qty * one.fill.price + (0.0 if one.fee is None else one.fee)
            for one in self.fills
        )
        return 10_000.0 - sum(spent)

    # -- what is asked of it --------------------------------------------------------------------------------

    def carry(self) -> None:
        """Take the next command."""
        if self.floor.broker.outbox:
            self.take(self.floor.broker.outbox.popleft())

    def take(self, command: Command) -> None:
        if isinstance(command, Send):
            self._send(command.order)
        elif isinstance(command, Cancel):
            self._cancel(command.order)
        elif isinstance(command, Amend):
            self._amend(command)
        elif isinstance(command, Find):
            self.mail.append((self._found(command.order),))
        elif isinstance(command, Fetch):
            known = tuple(self._twisted(one) for one in self.fills if one.fill.time >= command.since)
            self.mail.append((*known, FillsFetched(self.now, command.symbol, command.since)))
        elif isinstance(command, Check):
            self.mail.append((command,))

    @property
    def now(self) -> int:
        return self.floor.clock.now()

    def _send(self, order: Order) -> None:
        assert order.id not in self.sent, "sent twice"
        self.sent.append(order.id)
        if self.chance(0.05):
            self.mail.append((OrderRefused(self.now, order.symbol, order.id, "rejected", "no"),))
        elif self.chance(0.1):
            self.limbo[order.id] = order
            self.mail.append((OrderUnknown(self.now, order.symbol, order.id, "no answer"),))
            self.mail.append((OrderMissing(self.now, order.symbol, order.id),))
        else:
            if self.chance(0.1):
                self.mail.append((OrderUnknown(self.now, order.symbol, order.id, "no answer"),))
            self._arrive(order)
            self.mail.append((self._found(order),))

    def _arrive(self, order: Order) -> None:
        held = self.orders[order.id] = Held(order, len(self.orders))
        if order.type is OrderType.MARKET:
            while held.works:
                self.fill(held)

    def _found(self, order: Order) -> Report:
        held = self.orders.get(order.id)
        if held is not None:
            return OrderReport(self.now, held.order)
        return OrderMissing(self.now, order.symbol, order.id)

    def _cancel(self, order: Order) -> None:
        held = self.orders.get(order.id)
        if held is None or not held.works or self.chance(0.1):
            self.mail.append((ChangeRefused(self.now, order.symbol, order.id, "cancel", "no"),))
            return
        held.order = held.order.changed(status=CANCELED)
        self.mail.append((self._found(order),))

    def _amend(self, command: Amend) -> None:
        order, held = command.order, self.orders.get(command.order.id)
        qty = command.qty
        if held is None or not held.works or self.chance(0.2) or (qty is not None and qty <= held.order.filled):
            self.mail.append((ChangeRefused(self.now, order.symbol, order.id, "amend", "no"),))
            return
        held.order = held.order.changed(
            price=held.order.price if command.price is None else command.price,
            qty=held.order.qty if qty is None else qty,
        )
        self.mail.append((self._found(order),))

    # -- what happens at it -----------------------------------------------------------------------------------

    def fill(self, held: Held) -> None:
        """Fill a part of an order, as far as it may; a stop becomes another order first."""
        order, rest = held.order, held.rest
        if order.reduce_only:
            rest = min(rest, max(0.0, -order.side.sign * self.qty(order.position_side)))
            rest = floor(1_000 * rest + 1e-6) / 1_000
        if rest <= 0.0:
            held.order = order.changed(status=CANCELED)
            self._say(OrderReport(self.now, held.order))
            return
        if order.stop_price is not None and not str(order.exchange_id).startswith("c"):
            order = order.changed(exchange_id=f"c{order.exchange_id}")
        part = rest if self.chance(0.5) or self.is_calm else round(rest * self.random.choice((0.25, 0.5)), 3)
        qty = part if part > 0.0 else rest
        price = 100.0 + self.random.randint(-20, 20) / 10
        in_base = self.is_spot and order.side is Side.BUY
        fee, currency = (qty * FEE, "BTC") if in_base else (qty * price * FEE, "USDT")
        fill = ExchangeFill(
            f"f{len(self.fills)}", self.now, order.symbol, str(order.exchange_id), order.side, qty, price, fee,
            currency, position_side=order.position_side,
        )  # fmt: skip
        report = FillReport(self.now, fill, order.id, None if in_base else fee)
        self.fills.append(report)
        held.worth += qty * price
        filled = round(order.filled + qty, 3)
        held.order = order.changed(
            filled=filled, average_price=held.worth / filled, status=FILLED if filled >= order.qty else OPEN
        )
        self._say(self._twisted(report))
        self._say(OrderReport(self.now, held.order))

    def _twisted(self, report: FillReport) -> FillReport:
        """Sometimes a fill is told without our id."""
        return report._replace(order_id="") if self.chance(0.5) else report

    def _say(self, report: Report) -> None:
        """By a stream: perhaps never, perhaps twice."""
        if not self.chance(0.2):
            self.mail += [(report,)] * (2 if self.chance(0.2) else 1)

    def trade(self) -> None:
        """Something happens to one of the working orders, or to one that was on its way all the time."""
        if self.limbo and self.chance(0.1):
            name, order = self.limbo.popitem()
            self._arrive(order)
            self._say(OrderReport(self.now, self.orders[name].order))
        working = [one for one in self.orders.values() if one.works]
        if working:
            held = self.random.choice(working)
            if held.order.type is not OrderType.MARKET and self.chance(0.1) and not held.order.reduce_only:
                held.order = held.order.changed(status=CANCELED)  # by hand
                self._say(OrderReport(self.now, held.order))
            else:
                self.fill(held)

    def deliver(self) -> None:
        """One thing is told; of several mostly the oldest."""
        if self.mail:
            at = self.random.randrange(len(self.mail)) if self.chance(0.3) else 0
            for report in self.mail.pop(at):
                self.floor.hear(self.report() if isinstance(report, Check) else report)

    # -- the expert ---------------------------------------------------------------------------------------------

    def act(self) -> None:
        """The expert asks for something."""
        floor, broker = self.floor, self.floor.broker
        kind, side, leg = self.random.randrange(7), self.random.choice((1, -1)), self.random.choice(self.legs)
        side = side if leg is None else 1 if leg == "long" else -1
        qty = self.random.randint(1, 8) / 4
        working, held = broker.working(), broker.position(self.symbol, leg).qty
        if kind == 0:
            floor.send(side * qty, position_side=leg)
        elif kind == 1:
            floor.send(side * qty, price=100.0 - side, position_side=leg)
        elif kind == 2:
            floor.send(side * qty, stop=100.0 + 5 * side, position_side=leg)
        elif kind == 3 and held:
            floor.send(-held, reduce_only=True, position_side=leg)
        elif kind == 4 and held:
            floor.send(-held, price=103.0 if held > 0 else 97.0, reduce_only=True, position_side=leg)
        elif kind == 5 and working:
            broker.cancel(self.random.choice(working).id)
        elif working:
            one = self.random.choice(working)
            new = None if one.type is OrderType.MARKET else self.random.choice((None, 90.0 + side, 110.0 - side))
            broker.modify(one.id, price=new, qty=round(one.qty + 0.5, 3), active_from=0)
        broker.guard()
        floor.look()

    # -- restarts -----------------------------------------------------------------------------------------------

    def save(self) -> None:
        """The state is written, and with it all news of before."""
        self.floor.look()
        self.saved = json.dumps(self.floor.broker.state()), len(self.floor.written)

    def crash(self) -> None:
        """The power fails: what was asked for since has gone out or not; a new run begins with the last state."""
        for command in list(self.floor.broker.outbox):
            if isinstance(command, Send) and self.chance(0.5):
                self.take(command)
        self.floor.broker.outbox.clear()
        self.mail.clear()
        state, written = self.saved
        intents = tuple(Order.from_dict(one.as_dict()) for one in self.floor.written[written:])
        self.runs += 1
        time = self.now
        self.floor = Floor(
            *self.symbols,
            **self.settings,
            state=json.loads(state),
            intents=intents,
            run=f"run{self.runs:05}",
            start=time,
        )
        self.floor.hear(Gap(time, "restart"))
        self.save()

    def settle(self) -> None:
        """From now on everything is told, once and in order, until nothing is left to say."""
        self.is_calm = True
        self.limbo.clear()
        for held in self.orders.values():  # what has fired is at market
            while held.works and str(held.order.exchange_id).startswith("c"):
                self.fill(held)
        for _ in range(3):
            self.floor.hear(Gap(self.now, "at last"))
            for _ in range(400):
                if not (self.mail or self.floor.broker.outbox):
                    if self.floor.broker.is_settled:
                        break
                    self.floor.later(1_000)
                self.carry()
                self.deliver()
            self.floor.later(30_000)

    def report(self) -> AccountReport:
        """How the account stands."""
        positions, cost, worth = list[Position](), 0.0, 0.0
        for leg in self.legs:
            qty, held = self.qty(leg), self.floor.ledger.leg(self.symbol, leg)
            cost, worth = cost + qty * held.entry, worth + qty * 100.0
            if qty:
                positions.append(
                    Position(
                        symbol=self.symbol, position_side=leg, qty=qty, entry_price=held.entry, mark_price=100.0
                    )
                )
        balance = self.cash if self.is_spot else self.cash + cost
        account = Account(currency="USDT", balance=balance, equity=self.cash + worth)
        working = tuple(one.order for one in self.orders.values() if one.works)
        return AccountReport(self.now, account, tuple(positions), working)
