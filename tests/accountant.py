"""An accountant who keeps books of its own beside every account of the suite, and audits the curves of every run.

It knows only what was filled, charged and paid, never the profit that positions claim for themselves: equity is
cash + worth of what is held, where cash = capital - buys + sells - fees + funding, at every fill, every funding
instant and every look at an account; and once more at every mark of every run, from the fills of its record.
Runs in a process of their own are out of its sight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from metaexpert.backtest import engine
from metaexpert.backtest.record import LazyRecord, Rows
from metaexpert.broker.ledger import Ledger
from metaexpert.models import ExitReason, Side
from metaexpert.timeframe import parse

if TYPE_CHECKING:
    import pytest

    from metaexpert.backtest.record import Record
    from metaexpert.models import Market

    type Floats = np.ndarray[Any, np.dtype[np.float64]]

NEAR = 1e-9  # of all money that was moved
AT_CLOSE = (ExitReason.END, ExitReason.EXPIRY)  # what is stamped with the close of its bar; all else with its open


class Book:
    """What one account paid and got; `moved` is the sum of all amounts, by which rounding is judged."""

    def __init__(self, capital: float) -> None:
        self.cash = self.moved = capital


class Accountant:
    """Watches all ledgers and records; `found` are the errors, `checks` and `audits` count what was looked at."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.checks = 0
        self.audits = {"event": 0, "kernel": 0}
        self._books: WeakKeyDictionary[Ledger, Book] = WeakKeyDictionary()

    def start(self, patch: pytest.MonkeyPatch) -> None:
        """Look over the shoulder of every ledger and of every run from now on."""
        self._watch_ledgers(patch)
        self._watch_runs(patch)

    # -- every event -----------------------------------------------------------------------------------------

    def _watch_ledgers(self, patch: pytest.MonkeyPatch) -> None:
        made, apply, pay, look = Ledger.__init__, Ledger.apply, Ledger.pay_funding, Ledger.account
        taken_on, given = Ledger.restore, Ledger.credit

        def init(ledger: Ledger, capital: float, *args: Any, **more: Any) -> None:
            made(ledger, capital, *args, **more)
            self._books[ledger] = Book(capital)

        def fill(ledger: Ledger, held: Any, side: Any, qty: float, price: float, **more: Any) -> float:
            profit = apply(ledger, held, side, qty, price, **more)
            worth = _worth(held.market, qty, price)
            self._move(ledger, (side.sign if held.market.is_inverse else -side.sign) * worth, -more["fee"])
            return profit

        def funding(ledger: Ledger, held: Any, mark: float, rate: float) -> float:
            signed = _worth(held.market, held.qty, mark) if held.qty != 0.0 else 0.0
            received = pay(ledger, held, mark, rate)
            self._move(ledger, -signed * rate)
            return received

        def restore(ledger: Ledger, state: Any) -> None:
            taken_on(ledger, state)
            book, worth = self._books[ledger], 0.0
            for one in (one for one in ledger.legs() if one.qty != 0.0):
                worth += (-1.0 if one.market.is_inverse else 1.0) * _worth(one.market, one.qty, one.mark)
            book.cash = ledger.equity() - worth  # whatever led to it was audited where it happened
            book.moved += abs(ledger.balance) + abs(worth)

        def credit(ledger: Ledger, amount: float) -> None:
            given(ledger, amount)
            self._move(ledger, amount)

        def account(ledger: Ledger, time: int) -> Any:
            seen = look(ledger, time)
            self._check(ledger)
            if seen.equity != seen.balance + seen.unrealized_pnl:
                self._fail(
                    f"the account shows equity {seen.equity!r} that is not balance + unrealised profit: {seen}"
                )
            return seen

        for name, method in (("__init__", init), ("apply", fill), ("pay_funding", funding), ("account", account)):
            patch.setattr(Ledger, name, method)
        patch.setattr(Ledger, "restore", restore)
        patch.setattr(Ledger, "credit", credit)

    def _move(self, ledger: Ledger, *amounts: float) -> None:
        book = self._books[ledger]
        for amount in amounts:
            book.cash += amount
            book.moved += abs(amount)
        self._check(ledger)

    def _check(self, ledger: Ledger) -> None:
        self.checks += 1
        book, held, entry = self._books[ledger], 0.0, 0.0
        for one in ledger.legs():
            if one.qty != 0.0:
                sign = -1.0 if one.market.is_inverse else 1.0
                held += sign * _worth(one.market, one.qty, one.mark)
                entry += sign * _worth(one.market, one.qty, one.entry)
        near = NEAR * (book.moved + abs(held) + abs(entry))
        equity = ledger.equity()
        if not abs(equity - book.cash - held) <= near:
            self._fail(f"equity {equity!r} is not cash {book.cash!r} + positions {held!r}")
        if not abs(ledger.balance - book.cash - entry) <= near:
            self._fail(f"balance {ledger.balance!r} is not cash {book.cash!r} + what positions cost {entry!r}")

    # -- every run -------------------------------------------------------------------------------------------

    def _watch_runs(self, patch: pytest.MonkeyPatch) -> None:
        ended, made = engine._record, LazyRecord.__init__

        def record(*args: Any) -> Record:
            left = ended(*args)
            self.audit(left)
            return left

        def lazy(left: LazyRecord, makers: Any = None, **ready: Any) -> None:
            made(left, makers, **ready)
            if ready.get("path") == "kernel":
                self.audit(left)

        patch.setattr(engine, "_record", record)
        patch.setattr(LazyRecord, "__init__", lazy)

    def audit(self, record: Record) -> None:
        """Make the curves of `record` anew from its fills and compare."""
        self.audits[record.path] += 1
        fills, steps = _fills(record), record.time.size
        bars = _bar_of(fills.time, fills.at_close, record.time)
        cash, moved, held = np.full(steps, record.initial_capital), np.zeros(steps), np.zeros(steps)
        for symbol, market in record.markets.items():
            mine = fills.of == symbol
            worth, fee = _worth(market, fills.qty[mine], fills.price[mine]), fills.fee[mine]
            sign = (-1.0 if market.is_inverse else 1.0) * fills.sign[mine]
            qty = _running(fills.sign[mine] * fills.qty[mine], bars[mine], steps)
            qty[np.abs(qty) < NEAR * float(fills.qty[mine].sum())] = 0.0
            cash += _running(-sign * worth - fee, bars[mine], steps)
            moved += _running(worth + np.abs(fee), bars[mine], steps)
            held += (-1.0 if market.is_inverse else 1.0) * _worth(market, qty, _closes(record, symbol))
        near = NEAR * (record.initial_capital + moved + np.abs(held))
        paid = record.equity - cash - held  # what fills don't explain must be funding
        booked = record.balance - record.initial_capital - _running(fills.pnl - fills.fee, bars, steps)
        self._compare(record, "funding in equity and in balance", paid, booked, near)
        known, is_known = _funding(record)
        loosely = np.where(is_known, near, np.inf)
        self._compare(record, "funding in equity and in trades", paid, known, loosely)
        if all(market.is_spot or market.expiry is not None for market in record.markets.values()):
            self._compare(record, "funding where there is none", paid, np.zeros(steps), near)

    def _compare(self, record: Record, what: str, one: Floats, other: Floats, near: Floats) -> None:
        wrong = ~(np.abs(one - other) <= near)
        if wrong.any():
            at = int(wrong.argmax())
            self._fail(f"{record.name}, {record.path}: {what} differ at mark {at}: {one[at]!r} and {other[at]!r}")

    def _fail(self, message: str) -> None:
        self.found.append(message)
        raise AssertionError(message)


class Fills(NamedTuple):
    """The fills of a run as columns; `of` are their symbols."""

    time: Any
    of: Any
    sign: Any
    qty: Any
    price: Any
    fee: Any
    pnl: Any
    at_close: Any


def _fills(record: Record) -> Fills:
    names = ("time", "symbol", "side", "qty", "price", "fee", "pnl", "reason")
    time, symbol, side, qty, price, fee, pnl, reason = (_column(record.fills, name) for name in names)
    numbers = (column.astype(np.float64) for column in (qty, price, fee, pnl))
    sign = np.where(side == Side.BUY, 1.0, -1.0)
    return Fills(time.astype(np.int64), symbol, sign, *numbers, at_close=np.isin(reason, AT_CLOSE))


def _column(rows: Any, name: str) -> Any:
    """One field of all rows, without making objects where there are columns."""
    if isinstance(rows, Rows):
        return rows.array(name)
    return np.array([getattr(row, name) for row in rows], dtype=np.object_)


def _worth(market: Market, qty: Any, price: Any) -> Any:
    """Notional in the settlement currency."""
    return qty / price if market.is_inverse else qty * price


def _bar_of(time: Any, at_close: Any, marks: Any) -> Any:
    """The mark that is the first to know of what happened at `time`; a contract may end after the last one."""
    bar = np.searchsorted(marks, np.where(at_close, time - 1, time), "right")
    return np.where(at_close, np.minimum(bar, marks.size - 1), bar)


def _running(amounts: Any, bars: Any, steps: int) -> Floats:
    """The sum of all amounts up to each mark."""
    return np.cumsum(np.bincount(bars, weights=amounts, minlength=steps)[:steps], dtype=np.float64)


def _closes(record: Record, symbol: str) -> Floats:
    """The last close of a symbol at each mark; 1 before there is one."""
    bars = record.bars[symbol]
    ends = bars.index.as_unit("ms").asi8 + parse(record.timeframe)
    known = np.searchsorted(ends, record.time, "right")
    return np.where(known > 0, bars["close"].to_numpy()[np.maximum(known - 1, 0)], 1.0)


def _funding(record: Record) -> tuple[Floats, Any]:
    """The funding of all trades that were over at each mark, and at which marks no other one counts."""
    names = ("entry_time", "exit_time", "funding", "exit_reason")
    entry, left, funding, reason = (_column(record.trades, name) for name in names)
    steps, over = record.time.size, np.array([time is not None and time >= 0 for time in left], dtype=np.bool_)
    entered = _bar_of(entry.astype(np.int64), np.zeros(entry.size, dtype=np.bool_), record.time)
    ended = _bar_of(left[over].astype(np.int64), np.isin(reason[over], AT_CLOSE), record.time)
    open_ = _running(np.ones(entered.size), entered, steps) - _running(np.ones(ended.size), ended, steps)
    known = _running(funding[over].astype(np.float64), ended, steps)
    known[-1] = float(funding.sum())
    is_known = open_ == 0.0
    is_known[-1] = True
    return known, is_known
