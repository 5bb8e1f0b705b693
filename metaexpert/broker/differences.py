"""The account as the exchange tells of it against our own books: what differs is told, and brought to the truth.

Nothing is overwritten silently. A difference in a position is acted on only when it was seen twice, two seconds
apart at least, with nothing of ours under way and every fill of the time between fetched. Then one that lies
against our position is taken from what others hold on that side, from that of the experts that come before us
(`HeldByOther.is_first`), and from ours where that is not enough; any other is somebody else's doing. Where the
account nets, what it does not hold on our side is no position any more, whatever the books of others say. Money
that moved by no fill and no funding of ours is counted apart as `external`.
"""

from __future__ import annotations

from math import fsum, inf
from typing import TYPE_CHECKING, Any

from .. import risk, rules
from ..events import Notice
from ..models import ExitReason, Order, OrderType, Side
from ..reports import Cancel, Check, Fetch, Find
from .book import Working
from .sentries import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..models import Position
    from ..reports import AccountReport, Command, HeldByOther
    from .execution import Execution
    from .holding import Holding
    from .shield import Shield

    type Key = tuple[str, str | None]

__all__ = ["ADOPTED", "RECONCILED", "Differences"]

RECONCILED = "reconciled"
"""The tag of what was booked because the exchange holds less than our books did."""
ADOPTED = "adopted"
"""The tag of a position that was there before, and was made ours."""
_AGAIN_MS = 2_000
_AGAIN_SHARED_MS = 30_000  # where another expert may be about to hear that it was his
_REACH_MS = 600_000  # how far back fills are fetched before a difference is believed
_NOISE = 1e-6  # of equity: money that moves by less is not worth a notice


class _Seen:
    """A difference that was seen once: of how much, until when it is doubted, and whether fills were fetched."""

    __slots__ = ("is_asked", "is_fetched", "qty", "until")

    def __init__(self, qty: float, until: int) -> None:
        self.qty = qty
        self.until = until
        self.is_fetched = self.is_asked = False


class Differences:
    """See the module's docstring.

    Args:
        execution: has the positions and the account.
        shield: has the protective orders.
        is_mine: is that the id of an order of this expert?
        knows: is it an order of the book's that may still trade, by our id or the exchange's?
        standing: the book's orders that stand on the exchange as far as we know, with its names of them.
        ask: asks for `Cancel`, `Find`, `Fetch` or `Check`.
        notify: tells of what people should know.
        settlement: the price at which a contract that has ended was settled, as far as it is known here.
    """

    def __init__(
        self, execution: Execution, shield: Shield, *, is_mine: Callable[[str], bool],
        knows: Callable[[Order], bool], standing: Callable[[], Iterable[tuple[Order, Sequence[str]]]],
        ask: Callable[[Command], None], notify: Callable[[Notice], None],
        settlement: Callable[[Holding], float],
    ) -> None:  # fmt: skip
        self._execution = execution
        self._settlement = settlement
        self._ledger = execution.ledger
        self._shield = shield
        self._is_mine = is_mine
        self._knows = knows
        self._standing = standing
        self._ask = ask
        self._notify = notify
        self._positions: dict[Key, Position] = {}
        self._others: dict[Key, float] = {}
        self._first: dict[Key, float] = {}  # of that: what is missed before ours
        self._seen: dict[Key, _Seen] = {}
        self._left: list[str] = []  # orders with ids of ours that were there first, and protect what is not ours
        self._is_first = True
        self.foreign: dict[Key, float] = {}
        """What others hold on the account, by symbol and leg: the signed quantity that nobody accounts for."""
        self.external = 0.0
        """The sum of what moved the balance and was no fill or funding of ours."""

    @property
    def is_settled(self) -> bool:
        """Is no difference left to act on?"""
        return not self._seen

    def doubts(self, held: Holding) -> bool:
        """Does the account seem to hold something else than our books say?"""
        return (held.market.symbol, held.position_side) in self._seen

    @property
    def next_time(self) -> float:
        """When the account is to be looked at again because of a difference, ms UTC; infinite where it isn't."""
        waiting = (one for one in self._seen.values() if one.is_fetched and not one.is_asked)
        return min((one.until for one in waiting), default=inf)

    def run(self) -> None:
        """Look again at what differs, once that is due."""
        now = self._execution.now()
        due = [one for one in self._seen.values() if one.is_fetched and not one.is_asked]
        if any(one.until <= now for one in due):
            for one in due:
                one.is_asked = True
            self._ask(Check())

    def inquire(self, symbol: str) -> None:
        """Something has happened to our positions in a symbol by no order of ours: ask what."""
        self._ask(Fetch(symbol, self._execution.now() - _REACH_MS))
        self._ask(Check())

    def fetched(self, symbol: str) -> None:
        """Every fill of a symbol was told."""
        for key, seen in self._seen.items():
            if key[0] == symbol:
                seen.is_fetched = True

    def refusal(self, order: Order) -> risk.Refusal | None:
        """Why an order may not open a position against what others hold; None when it may.

        Where positions of one symbol net on the account, one that lies against theirs could neither be protected
        nor closed for itself: reduce-only orders reduce the whole.
        """
        key = order.symbol, None
        theirs = self.foreign.get(key, 0.0) + self._others.get(key, 0.0)
        held = self._ledger.leg(order.symbol, order.position_side)
        if order.position_side is not None or held.is_spot or theirs * order.side.sign >= 0.0:
            return None
        return risk.Refusal(
            "netted", f"others hold {theirs:+.12g} on the account, against which a position here would be netted"
        )

    def hear(self, report: AccountReport, *, is_calm: bool) -> None:
        """Compare; `is_calm`: nothing of ours was under way.

        Orders are looked at in any case, positions and money only while all is calm.
        """
        self._positions = {(one.symbol, one.position_side): one for one in report.positions}
        self._others = _sums(report.others)
        self._first = _sums(one for one in report.others if one.is_first)
        self._compare_orders(report.orders)
        if not is_calm:
            self._seen.clear()
            return
        for held in self._ledger.legs():
            self._compare_position(held)
        if not self._seen:
            self._compare_money(report)
        self._is_first = False

    # -- orders -------------------------------------------------------------------------------------------------

    def _compare_orders(self, orders: Iterable[Order]) -> None:
        """Orders of ours that nobody knows go, or protect what lacks it; those that are missing are looked up."""
        there: set[str] = set()
        for order in orders:
            there |= {order.id, order.exchange_id or ""}
            if self._is_protecting(order):
                self._shield.listed(order)
                continue
            if self._knows(order) or order.symbol not in self._ledger.holdings or not self._is_mine(order.id):
                continue
            if self._shield.take_over(order):
                self._say(order.symbol, f"{_described(order)} is ours and protects our position")
            elif not self._is_left(order):
                self._say(order.symbol, f"{_described(order)} is ours and nothing needs it: it is cancelled")
                self._ask(Cancel(order))
        for order, ids in self._all_standing():
            if there.isdisjoint((order.id, *ids)):
                self._ask(Find(order))

    def _is_left(self, order: Order) -> bool:
        """Is it from before this journal, and only reduces what nobody accounts for?

        Both were ours perhaps, and their journal is lost: without the order that position had no stop.
        """
        key, held = (order.symbol, order.position_side), self._ledger.leg(order.symbol, order.position_side)
        position = self._positions.get(key)
        theirs = (0.0 if position is None else position.qty) - held.qty - self._others.get(key, 0.0)
        if not _closes(order) or order.side.sign * theirs > -held.market.qty_step / 2:
            return False
        if self._is_first and order.id not in self._left:
            self._left.append(order.id)
            self._say(
                order.symbol,
                f"{_described(order)} has an id of ours, and reduces a position that our journal does not know: "
                "both are left alone (adopt=True, --adopt, takes the position over)",
                warns=True,
            )
        return order.id in self._left

    def _is_protecting(self, order: Order) -> bool:
        names = (order.id, order.exchange_id or "")
        return any((found := self._shield.find(name)) is not None and found.is_live for name in names)

    def _all_standing(self) -> Iterable[tuple[Order, Sequence[str]]]:
        """Our orders that stand as far as we know, those that protect positions too."""
        yield from self._standing()
        for sentry in self._shield.sentries:
            if sentry.standing is Standing.STANDS:
                yield sentry.working.order, sentry.ids

    # -- positions ----------------------------------------------------------------------------------------------

    def _compare_position(self, held: Holding) -> None:
        key, step = (held.market.symbol, held.position_side), held.market.qty_step
        position = self._positions.get(key)
        total = 0.0 if position is None else position.qty
        more = total - held.qty - self._others.get(key, 0.0) - self.foreign.get(key, 0.0)
        if max(abs(more), _netted(held, total)) <= step / 2:
            self._seen.pop(key, None)
            return
        if self._is_first and held.qty == 0.0 and key not in self.foreign:
            self.foreign[key] = more
            self._say(key[0], f"{_leg(key)}{more:+.12g} on the account is not ours: it is left alone")
            return
        now, seen = self._execution.now(), self._seen.get(key)
        if seen is None or abs(seen.qty - more) > step / 2:
            later = self._others.get(key, 0.0) - self._first.get(key, 0.0)
            is_shared = held.side * more < 0.0 and held.side * later > 0.0
            self._seen[key] = _Seen(more, now + (_AGAIN_SHARED_MS if is_shared else _AGAIN_MS))
            self._look(held)
        elif seen.is_fetched and now >= seen.until:
            del self._seen[key]
            self._resolve(held, key, total, more)
        else:
            seen.is_asked = False

    def _look(self, held: Holding) -> None:
        """Before a difference is believed: have all fills told, and how our orders stand."""
        symbol = held.market.symbol
        for order, _ in self._all_standing():
            if order.symbol == symbol:
                self._ask(Find(order))
        self._ask(Fetch(symbol, self._execution.now() - _REACH_MS))

    def _resolve(self, held: Holding, key: Key, total: float, more: float) -> None:
        """Take a difference from those whose it is."""
        before, mine, step = self.foreign.get(key, 0.0), held.qty, held.market.qty_step
        side, lost = held.side, 0.0
        if side * more < 0.0:
            theirs = max(0.0, side * (before + self._first.get(key, 0.0)))
            lost = min(max(0.0, abs(more) - theirs), abs(mine))
        lost = rules.sum_of_steps(0.0, max(lost, _netted(held, total)), step)
        after = rules.sum_of_steps(before, more + side * lost, step)
        self.foreign[key] = after
        if after != before:
            self._say(
                key[0],
                f"{_leg(key)}others held {before:.12g} by our books and hold {after:.12g}: {total:.12g} in all",
            )
        if lost > 0.0:
            self._lose(held, key, lost, total)

    def _lose(self, held: Holding, key: Key, qty: float, total: float) -> None:
        """Part of our position is gone: book it as left at the mark, or as settled if its contract has ended."""
        position = self._positions.get(key)
        told = None if position is None else position.mark_price
        price, mine = held.mark if told is None else told, held.qty
        reason, whose = ExitReason.ORDER, "closed by somebody else"
        if held.market.has_ended(self._execution.now()):
            reason, whose, price = ExitReason.EXPIRY, "settled when the contract ended", self._settlement(held)
        order = self._execution.book.exit_order(held, reason).changed(
            qty=qty, tag=RECONCILED, message="the exchange holds less than we did"
        )
        self._execution.enter(Working(order, held), qty, price, fee=0.0, slippage=0.0, maker=False)
        self._say(
            key[0],
            f"{_leg(key)}we held {mine:.12g} by our books and the account has {total:.12g} in all: {qty:.12g} of "
            f"ours were {whose}, and are booked as left at {price:.12g} ({RECONCILED})",
            warns=reason is ExitReason.ORDER,
        )

    def adopt(self, symbol: str) -> None:
        """Make what others hold in `symbol` ours, at its entry price; its profit so far counts as external."""
        for held in self._ledger.legs(symbol):
            key = symbol, held.position_side
            qty = self.foreign.get(key, 0.0)
            if qty * (qty + self._others.get(key, 0.0)) <= 0.0:  # nothing, or what another expert is to miss
                continue
            del self.foreign[key]
            position = self._positions.get(key)
            entry = None if position is None else position.entry_price
            mark = held.mark if position is None or position.mark_price is None else position.mark_price
            price = mark if entry is None else entry
            order = Order(
                id=self._execution.book.next_id(), symbol=symbol, side=Side.BUY if qty > 0.0 else Side.SELL,
                type=OrderType.MARKET, qty=abs(qty), position_side=held.position_side, tag=ADOPTED,
                created=self._execution.now(),
            )  # fmt: skip
            self._execution.enter(Working(order, held), abs(qty), price, fee=0.0, slippage=0.0, maker=False)
            held.mark = mark
            self.external += rules.pnl(held.kind, qty, price, mark)
            self._say(
                symbol, f"{_leg(key)}{qty:+.12g} of the account is ours from now on, entered at {price:.12g}"
            )

    # -- money --------------------------------------------------------------------------------------------------

    def _compare_money(self, report: AccountReport) -> None:
        """Our balance follows the exchange's; what of the change is none of our doing is counted apart."""
        ledger, account = self._ledger, report.account
        balance = account.balance + self._bought()
        moved, is_alone = balance - ledger.balance, self._is_alone(report.orders)
        if abs(moved) > self._tolerance():
            self._say(
                "",
                f"the balance is {balance:.12g} {ledger.currency} and was {ledger.balance:.12g} by our books: "
                f"{moved:+.12g} moved by no fill or funding of ours",
                warns=is_alone,
            )
        self.external += moved
        ledger.credit(moved)
        bound = 0.0 if is_alone else account.margin_used - self._own_margin()
        ledger.held_back = max(0.0, bound)

    def _is_alone(self, orders: Iterable[Order]) -> bool:
        """Is all ours that binds margin? Exchanges count that of positions by other prices than we do."""
        ours = {(held.market.symbol, held.position_side): held.qty for held in self._ledger.legs()}
        if any(abs(one.qty - ours.get(key, 0.0)) > abs(one.qty) * _NOISE for key, one in self._positions.items()):
            return False
        return all(self._is_mine(one.id) or self._knows(one) or self._is_protecting(one) for one in orders)

    def _bought(self) -> float:
        """What was paid for coins: our balance counts it as still there, as exchanges do of options."""
        return fsum(held.qty * held.entry for held in self._ledger.legs() if held.is_spot)

    def _own_margin(self) -> float:
        """What of the margin in use is ours: of positions that are not paid for, and of resting orders.

        Exchanges count what a sold option is worth as well, as they do its premium among the money.
        """
        posted = [
            held.margin() - (held.qty * held.mark if held.is_option else 0.0)
            for held in self._ledger.legs()
            if not held.is_spot and (held.qty < 0.0 or not held.is_option)
        ]
        return fsum(posted) + self._execution.margin.reserved()

    def _tolerance(self) -> float:
        """The noise of money: a millionth of equity, or what a tick is worth to what we hold."""
        ticks = (
            abs(rules.pnl(held.kind, held.qty, held.mark, held.mark + held.market.price_tick))
            for held in self._ledger.legs()
            if held.qty != 0.0 and held.mark > 0.0
        )
        return max(_NOISE * abs(self._ledger.equity()), fsum(ticks))

    # -- the rest -----------------------------------------------------------------------------------------------

    def _say(self, symbol: str, text: str, *, warns: bool = False) -> None:
        where = f"{symbol}: " if symbol else ""
        self._notify(Notice(self._execution.now(), symbol, f"{where}{text}", warns=warns))

    def state(self) -> dict[str, Any]:
        """What it goes on from after a restart, as JSON can hold it."""
        return {
            "foreign": [[*key, qty] for key, qty in self.foreign.items()],
            "external": self.external,
            "is_first": self._is_first,
            "left": list(self._left),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take on what `state` told."""
        self.foreign = {(symbol, leg): qty for symbol, leg, qty in state["foreign"]}
        self.external, self._is_first = state["external"], state["is_first"]
        self._left = list(state.get("left", ()))  # older states have none


def _sums(others: Iterable[HeldByOther]) -> dict[Key, float]:
    found: dict[Key, float] = {}
    for symbol, leg, qty, _ in others:
        found[symbol, leg] = found.get((symbol, leg), 0.0) + qty
    return found


def _netted(held: Holding, total: float) -> float:
    """How much of a position is not on the account, which nets all that is held of a symbol."""
    if held.position_side is not None or held.is_spot:
        return 0.0
    return min(abs(held.qty), max(0.0, abs(held.qty) - held.side * total))


def _closes(order: Order) -> bool:
    """Can it only reduce? In hedge mode its leg says so."""
    leaves = {"long": Side.SELL, "short": Side.BUY}
    return order.reduce_only or (order.position_side is not None and leaves[order.position_side] is order.side)


def _leg(key: Key) -> str:
    return "" if key[1] is None else f"{key[1]} leg: "


def _described(order: Order) -> str:
    price = order.price if order.stop_price is None else order.stop_price
    at = "" if price is None else f" at {price:.12g}"
    return f"{order.type} order {order.id} to {order.side} {order.qty:.12g}{at}"
