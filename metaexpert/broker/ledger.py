"""The ledger: fills in, positions, trades and the account out. Simulated and live brokers keep the same one.

Spot is booked as a linear market at leverage 1 that can't go short: the margin of a spot position is its cost,
so free margin is cash, and ``equity = balance + unrealised pnl`` is cash plus the coins' value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import rules
from ..errors import ConfigError
from ..models import Account, ExitReason, MarginMode, Market, Position, Side, Trade

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Holding", "Ledger"]


class Holding:
    """The mutable state behind one `Position`: the net quantity in one symbol and the round trip it belongs to."""

    __slots__ = (
        "entered",
        "entered_value",
        "entries",
        "entry",
        "exited",
        "exited_value",
        "fees",
        "kind",
        "leverage",
        "mark",
        "market",
        "max_qty",
        "opened",
        "qty",
        "realized",
        "slippage",
        "tag",
    )

    def __init__(self, market: Market, leverage: float) -> None:
        self.market = market
        self.kind = rules.INVERSE if market.is_inverse else rules.LINEAR
        self.leverage = leverage
        self.qty = 0.0
        self.entry = 0.0
        self.mark = 0.0
        self.begin(0, None)

    def begin(self, time: int, tag: str | None) -> None:
        """Start a new round trip."""
        self.opened = time
        self.tag = tag
        self.entries = 0
        self.max_qty = self.realized = self.fees = self.slippage = 0.0
        self.entered = self.entered_value = self.exited = self.exited_value = 0.0

    @property
    def side(self) -> int:
        """+1 long, -1 short, 0 flat."""
        return 1 if self.qty > 0.0 else -1 if self.qty < 0.0 else 0

    def unrealized(self) -> float:
        """Profit of the open quantity at the last mark, before fees, in the settlement currency."""
        return rules.pnl(self.kind, self.qty, self.entry, self.mark) if self.qty != 0.0 else 0.0

    def margin(self) -> float:
        """Initial margin that the position binds, in the settlement currency."""
        return rules.initial_margin(self.kind, self.qty, self.entry, self.leverage) if self.qty != 0.0 else 0.0

    def close(self, qty: float, price: float, share_of_fee: float, slippage: float) -> float:
        """Take `qty` off the position at `price`; returns the realised profit before fees."""
        profit = rules.pnl(self.kind, self.side * qty, self.entry, price)
        self.realized += profit
        self.fees += share_of_fee
        self.slippage += slippage
        self.exited += qty
        self.exited_value += rules.notional(self.kind, qty, price)
        self.qty = rules.sum_of_steps(self.qty, -self.side * qty, self.market.qty_step)
        return profit

    def open(self, side: int, qty: float, price: float, share_of_fee: float, slippage: float) -> None:
        """Add `qty` on `side` at `price`."""
        self.entry = rules.average_entry(self.kind, abs(self.qty), self.entry, qty, price)
        self.qty = rules.sum_of_steps(self.qty, side * qty, self.market.qty_step)
        self.entries += 1
        self.max_qty = max(self.max_qty, abs(self.qty))
        self.fees += share_of_fee
        self.slippage += slippage
        self.entered += qty
        self.entered_value += rules.notional(self.kind, qty, price)

    def average(self, qty: float, value: float) -> float:
        """The average price of fills of `qty` together worth `value` in the settlement currency."""
        return rules.average_price(self.kind, qty, value)


class Ledger:
    """Balance, holdings and round trips of one account that settles in one currency.

    Args:
        capital: opening balance in the settlement currency.
        markets: the markets by unified symbol; all must settle in one currency.
        leverage: leverage of every position (spot: 1).
        margin_mode: whether unrealised profit counts as free margin (cross) or not (isolated, spot).

    Raises:
        ConfigError: the markets settle in different currencies.
    """

    def __init__(
        self, capital: float, markets: Mapping[str, Market], leverage: float, margin_mode: MarginMode
    ) -> None:
        currencies = sorted({market.settle for market in markets.values()})
        if len(currencies) != 1:
            raise ConfigError(
                f"symbols settle in different currencies ({', '.join(currencies)}); one expert has one account: "
                "choose symbols that settle in the same"
            )
        self.currency = currencies[0]
        self.balance = capital
        self.holdings = {symbol: Holding(market, leverage) for symbol, market in markets.items()}
        self.cross = margin_mode is MarginMode.CROSS
        self.trades: list[Trade] = []

    # -- fills --------------------------------------------------------------------------------------------

    def apply(
        self, symbol: str, side: Side, qty: float, price: float, *, fee: float, slippage: float, time: int,
        reason: ExitReason, tag: str | None, ambiguous: bool = False,
    ) -> float:  # fmt: skip
        """Book one fill; an opposite one first reduces, then reverses. Returns the realised profit before fees."""
        holding = self.holdings[symbol]
        closing = rules.closing_qty(holding.qty, side.sign, qty)
        opening = qty - closing if closing < qty else 0.0
        share = closing / qty
        profit = 0.0
        if closing > 0.0:
            profit = holding.close(closing, price, fee * share, slippage * share)
            if holding.qty == 0.0:
                self.trades.append(self._trade(symbol, -side.sign, time, reason, ambiguous=ambiguous))
        if opening > 0.0:
            if holding.qty == 0.0:
                holding.begin(time, tag)
            holding.open(side.sign, opening, price, fee * (1.0 - share), slippage * (1.0 - share))
        holding.mark = price
        self.balance += profit - fee
        return profit

    def _trade(
        self, symbol: str, side: int, time: int | None, reason: ExitReason | None, *, ambiguous: bool = False
    ) -> Trade:
        held = self.holdings[symbol]
        still_open = held.unrealized() if time is None else 0.0
        return Trade(
            id=len(self.trades) + 1,
            symbol=symbol,
            side="long" if side > 0 else "short",
            qty=held.max_qty,
            entry_time=held.opened,
            entry_price=held.average(held.entered, held.entered_value),
            exit_time=time,
            exit_price=held.average(held.exited, held.exited_value) if time is not None else None,
            pnl=held.realized + still_open,
            fees=held.fees,
            slippage=held.slippage,
            funding=0.0,
            entry_notional=held.entered_value,
            exit_reason=reason,
            tag=held.tag,
            ambiguous=ambiguous,
        )

    def all_trades(self) -> list[Trade]:
        """Every round trip, the ones still open last, marked at the last price seen."""
        trades = list(self.trades)
        for symbol, held in self.holdings.items():
            if held.qty != 0.0:
                trades.append(self._trade(symbol, held.side, None, None)._replace(id=len(trades) + 1))
        return trades

    # -- the account --------------------------------------------------------------------------------------

    def unrealized(self) -> float:
        """Profit of all open positions at their marks, in the settlement currency."""
        total = 0.0  # added up one by one: `sum` rounds otherwise, from Python 3.12 on
        for held in self.holdings.values():
            total += held.unrealized()
        return total

    def equity(self) -> float:
        """Balance + unrealised profit."""
        return self.balance + self.unrealized()

    def exposure(self) -> float:
        """Signed notional of all open positions at their marks, longs positive."""
        total = 0.0
        for held in self.holdings.values():
            if held.qty != 0.0:
                total += held.side * rules.notional(held.kind, held.qty, held.mark)
        return total

    def margin_used(self) -> float:
        """Initial margin of all open positions."""
        return sum(held.margin() for held in self.holdings.values())

    def margin_free(self) -> float:
        """What new positions can bind: balance - margins, with unrealised profit counted in cross mode only."""
        return rules.free_margin(self.balance, self.unrealized(), self.margin_used(), self.cross)

    def account(self, time: int) -> Account:
        """The account as a value."""
        unrealized = self.unrealized()
        return Account(
            currency=self.currency,
            balance=self.balance,
            equity=self.balance + unrealized,
            unrealized_pnl=unrealized,
            margin_used=self.margin_used(),
            margin_free=self.margin_free(),
            time=time,
        )

    def room(self, symbol: str, closing: float, price: float, *, fee_rate: float, reserved: float) -> float:
        """How much of `symbol` the free margin can open at `price` (rule 17), its fee included.

        `closing` of the position is closed at that price first and gives its margin and profit back; `reserved`
        is what other orders hold. May be negative.
        """
        held = self.holdings[symbol]
        free = self.margin_free() - reserved
        if closing > 0.0:
            free += rules.freed(
                held.kind, held.qty, held.entry, held.mark, held.leverage, self.cross, closing, price, fee_rate
            )
        return rules.room(held.kind, free, price, held.leverage, fee_rate)

    def stake(self, symbol: str, rate: float) -> float:
        """What a position in `symbol` can lose before the others are touched (rule 18).

        Isolated: its own margin. Cross: the balance with the others' profit at their marks, less their
        maintenance margins at `rate`.
        """
        held = self.holdings[symbol]
        others = [other for other in self.holdings.values() if other is not held and other.qty != 0.0]
        rest = self.balance + sum(
            other.unrealized() - rate * rules.notional(other.kind, other.qty, other.mark) for other in others
        )
        return rules.stake(held.kind, held.qty, held.entry, held.leverage, self.cross, rest)

    def liquidation_price(self, symbol: str, rate: float) -> float | None:
        """Price of `symbol` at which its stake falls to the maintenance margin; None when flat or on spot.

        The other positions stand at their marks. `rate` 0 gives the bankruptcy price, where the stake is gone.
        """
        held = self.holdings[symbol]
        if held.qty == 0.0 or held.market.is_spot:
            return None
        return rules.liquidation_price(held.kind, held.qty, held.entry, self.stake(symbol, rate), rate)

    def position(self, symbol: str) -> Position:
        """The net position in `symbol` without its protective levels (the broker adds those)."""
        held = self.holdings[symbol]
        if held.qty == 0.0:
            return Position(symbol=symbol, leverage=held.leverage, mark_price=held.mark or None)
        return Position(
            symbol=symbol,
            qty=held.qty,
            entry_price=held.entry,
            mark_price=held.mark,
            unrealized_pnl=held.unrealized(),
            realized_pnl=held.realized,
            margin=held.margin(),
            leverage=held.leverage,
            opened=held.opened,
        )
