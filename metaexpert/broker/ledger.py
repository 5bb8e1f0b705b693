"""The ledger: fills in, positions, trades and the account out. Simulated and live brokers keep the same one.

Spot is booked as a linear market at leverage 1 that can't go short: the margin of a spot position is its cost,
so free margin is cash, and ``equity = balance + unrealised pnl`` is cash plus the coins' value. A bought option is
booked likewise. A sold one posts margin; the premium that it received shows as profit when its price falls, which
comes to the same equity as cash received less what the option is worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import options, rules, tiers
from ..errors import ConfigError
from ..models import Account, ExitReason, MarginMode, Market, Position, Side, Trade, maker
from .holding import Holding
from .sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Ledger"]

_trade_of = maker(Trade)


class Ledger:
    """Balance, holdings and round trips of one account that settles in one currency.

    Args:
        capital: opening balance in the settlement currency.
        markets: the markets by unified symbol; all must settle in one currency.
        leverage: leverage of every position (spot: 1).
        margin_mode: whether unrealised profit counts as free margin (cross) or not (isolated, spot).
        hedge: hold a long and a short position of each symbol beside each other (rule 20).

    `holdings` has the net position by symbol, in hedge mode the long one; `shorts` the short one in hedge mode.

    Raises:
        ConfigError: the markets settle in different currencies.
    """

    def __init__(
        self, capital: float, markets: Mapping[str, Market], leverage: float, margin_mode: MarginMode, *,
        hedge: bool = False,
    ) -> None:  # fmt: skip
        currencies = sorted({market.settle for market in markets.values()})
        if len(currencies) != 1:
            raise ConfigError(
                f"symbols settle in different currencies ({', '.join(currencies)}); one expert has one account: "
                "choose symbols that settle in the same"
            )
        self.currency = currencies[0]
        self.balance = capital
        long = "long" if hedge else None
        self.holdings = {symbol: Holding(market, leverage, long) for symbol, market in markets.items()}
        self.shorts = {symbol: Holding(market, leverage, "short") for symbol, market in markets.items() if hedge}
        self.hedge = hedge
        self._all = (*self.holdings.values(), *self.shorts.values())
        self._legs = {
            symbol: tuple(held for held in self._all if held.market.symbol == symbol) for symbol in markets
        }
        self._has_options = any(held.is_option for held in self._all)
        self.cross = margin_mode is MarginMode.CROSS
        self.held_back = 0.0
        """Margin of the account that others than this run bind."""
        self.trades = Sheet(_trade_of, len(Trade._fields))
        """The round trips that have ended."""
        self.ended = 0
        """How many round trips have ended, those before a restart too."""

    def leg(self, symbol: str, position_side: str | None = None) -> Holding:
        """The holding of a symbol; in hedge mode the long one unless ``"short"`` is asked for."""
        return self.shorts[symbol] if self.hedge and position_side == "short" else self.holdings[symbol]

    def legs(self, symbol: str | None = None) -> tuple[Holding, ...]:
        """The one or two holdings of a symbol, or those of all."""
        return self._all if symbol is None else self._legs[symbol]

    def is_flat(self) -> bool:
        """True when nothing is held."""
        return not any(held.qty for held in self.legs())

    def state(self) -> dict[str, Any]:
        """The account as it goes on after a restart, as JSON can hold it."""
        holdings = [
            {"symbol": held.market.symbol, "position_side": held.position_side, **held.state()}
            for held in self._all
        ]
        return {"currency": self.currency, "balance": self.balance, "ended": self.ended, "holdings": holdings}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take on what `state` told.

        Raises:
            ConfigError: it is of another currency, or something is held that this account has no place for.
        """
        if state["currency"] != self.currency:
            raise ConfigError(
                f"the account was in {state['currency']} and is to be in {self.currency} now: a run goes on only "
                "with the currency that it began with"
            )
        legs = {(held.market.symbol, held.position_side): held for held in self._all}
        for one in state["holdings"]:
            held = legs.get((one["symbol"], one["position_side"]))
            if held is not None:
                held.restore(one)
            elif one["qty"] != 0.0:
                raise ConfigError(
                    f"a position of {one['qty']:.12g} in {one['symbol']} is open, for which the settings leave no "
                    "place now: give the symbols and the position_mode that the run had, such as to close it "
                    "(live: --flatten), or begin a new paper account (--fresh)"
                )
        self.balance, self.ended = state["balance"], state["ended"]

    # -- fills --------------------------------------------------------------------------------------------

    def apply(
        self, holding: Holding, side: Side, qty: float, price: float, *, fee: float, slippage: float, time: int,
        reason: ExitReason, tag: str | None, ambiguous: bool = False, continues: bool = False,
    ) -> float:  # fmt: skip
        """Book one fill; an opposite one first reduces, then reverses. Returns the realised profit before fees.

        `continues` marks a further fill of an order that has filled in part: it is no entry of its own.
        """
        sign = side.sign
        closing = rules.closing_qty(holding.qty, sign, qty)
        opening = qty - closing if closing < qty else 0.0
        share = closing / qty
        profit = 0.0
        if closing > 0.0:
            profit = holding.close(closing, price, fee * share, slippage * share)
            if holding.qty == 0.0:
                self.ended += 1
                self.trades.write(_trade(self.ended, holding, -sign, time, reason, ambiguous=ambiguous))
        if opening > 0.0:
            if holding.qty == 0.0:
                holding.begin(time, tag)
                continues = False
            holding.entries += not continues
            holding.open(sign, opening, price, fee * (1.0 - share), slippage * (1.0 - share))
        holding.mark = price
        self.balance += profit - fee
        return profit

    def pay_funding(self, holding: Holding, mark: float, rate: float) -> float:
        """Book a funding instant of a position; returns what was received, negative when it was paid (rule 19)."""
        received = holding.pay_funding(mark, rate)
        self.balance += received
        return received

    def credit(self, amount: float) -> None:
        """Money came from outside, or went there (negative): a deposit, a transfer, what others traded."""
        self.balance += amount

    def all_trades(self) -> list[Trade]:
        """Every round trip, the ones still open last, marked at the last price seen."""
        still_open = [held for held in self.legs() if held.qty != 0.0]
        marked = [
            _trade(number, held, held.side, None, None) for number, held in enumerate(still_open, self.ended + 1)
        ]
        return [*self.trades, *map(_trade_of, marked)]

    # -- the account --------------------------------------------------------------------------------------

    def unrealized(self) -> float:
        """Profit of all open positions at their marks, in the settlement currency."""
        total = 0.0  # added up one by one: `sum` rounds otherwise, from Python 3.12 on
        for held in self._all:
            if held.qty != 0.0:
                total += held.unrealized()
        return total

    def equity(self) -> float:
        """Balance + unrealised profit."""
        return self.balance + self.unrealized()

    def exposure(self) -> float:
        """Signed notional of all open positions at their marks, longs positive."""
        total = 0.0
        for held in self.legs():
            if held.qty != 0.0:
                total += held.side * rules.notional(held.kind, held.qty, held.mark)
        return total

    def margin_used(self) -> float:
        """Initial margin of all open positions."""
        return sum([held.margin() for held in self._all if held.qty != 0.0], 0.0)

    def margin_free(self) -> float:
        """What new positions can bind: balance - margins, with unrealised profit counted in cross mode only.

        What others bind of the account (`held_back`) is not free either.

        The profit of bought options is never free: it can be spent when they are sold.
        """
        counted = self.unrealized() if self.cross else 0.0
        if self._has_options:
            counted -= sum(held.unrealized() for held in self._all if held.is_option and held.qty > 0.0)
        return rules.free_margin(self.balance, counted, self.margin_used() + self.held_back, self.cross)

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

    def room(
        self, held: Holding, side: int, closing: float, price: float, *, fee_rate: float, reserved: float
    ) -> float:
        """How much more on `side` the free margin can open at `price` (rule 17), its fee included.

        `closing` of the position is closed at that price first and gives its margin and profit back; `reserved`
        is what other orders hold. May be negative.
        """
        free = self.margin_free() - reserved
        if closing > 0.0:
            free += held.freed(closing, price, fee_rate, cross=self.cross)
        return held.room(side, free, price, fee_rate)

    # -- liquidation (rule 18) --------------------------------------------------------------------------------

    def stake(self, held: Holding, *, kept: bool) -> float:
        """What a position can lose before the others are touched.

        Isolated: its own margin. Cross: the balance with the others' profit at their marks, less their maintenance
        margins where those are to be `kept`.
        """
        if not self.cross:
            return held.margin()
        others = [other for other in self.legs() if other is not held and other.qty != 0.0]
        return self.balance + sum(other.unrealized() - (other.maintenance() if kept else 0.0) for other in others)

    def liquidation_price(self, held: Holding) -> float | None:
        """Price at which a position's stake falls to its maintenance margin; None where no price liquidates it.

        The positions in other symbols stand at their marks. In cross mode a long and a short of one symbol are
        liquidated together, at a price that is given to the one that it threatens.
        """
        if not held.can_be_liquidated:
            return None
        both = self._both(held)
        if both:
            return self._hedged(held, both, kept=True)
        stake = self.stake(held, kept=True)
        if held.is_short_option:
            return options.liquidation_price(held.entry, stake / -held.qty, held.option_maintenance())
        return tiers.liquidation_over(held.kind, held.qty, held.entry, stake, held.tiers)

    def bankruptcy_price(self, held: Holding) -> float | None:
        """Price at which a position's stake is gone; None where there is no such price."""
        if not held.can_be_liquidated:
            return None
        both = self._both(held)
        if both:
            return self._hedged(held, both, kept=False)
        stake = self.stake(held, kept=False)
        if held.is_short_option:
            return options.liquidation_price(held.entry, stake / -held.qty, 0.0)
        return rules.liquidation_price(held.kind, held.qty, held.entry, stake, 0.0)

    def liquidated_with(self, held: Holding) -> tuple[Holding, ...]:
        """The positions that a liquidation of this one takes: in cross mode both of its symbol."""
        return self._both(held) or (held,)

    def _both(self, held: Holding) -> tuple[Holding, ...]:
        """The long and the short of one symbol where both are held on one margin, else nothing."""
        if not (self.hedge and self.cross):
            return ()
        both = self.legs(held.market.symbol)
        return both if all(one.qty != 0.0 for one in both) else ()

    def _hedged(self, held: Holding, both: Sequence[Holding], *, kept: bool) -> float | None:
        rest = [one for one in self.legs() if one not in both and one.qty != 0.0]
        margin = self.balance + sum(one.unrealized() - (one.maintenance() if kept else 0.0) for one in rest)
        price, threatened = both[0].mark, 0
        for _ in both[0].tiers:  # the tier at the price that was found may be another one
            at = [one.tier(rules.notional(one.kind, one.qty, price)) for one in both]
            price, threatened = rules.hedged_liquidation(
                held.kind,
                sum(one.qty for one in both),
                sum(one.qty / one.entry if held.kind == rules.INVERSE else one.qty * one.entry for one in both),
                margin + (sum(tier.deduction for tier in at) if kept else 0.0),
                sum(tier.rate * abs(one.qty) for tier, one in zip(at, both, strict=True)) if kept else 0.0,
            )
            if threatened == 0 or not rules.NONE_LOW < price < rules.NONE_HIGH:
                break
        return price if threatened == held.side else None

    def position(self, symbol: str, position_side: str | None = None) -> Position:
        """The position in `symbol` (hedge mode: its leg) without its protective levels; the broker adds those."""
        held = self.leg(symbol, position_side)
        if held.qty == 0.0:
            return Position(
                symbol=symbol,
                position_side=held.position_side,
                leverage=held.leverage,
                mark_price=held.mark or None,
            )
        return Position(
            symbol=symbol,
            position_side=held.position_side,
            qty=held.qty,
            entry_price=held.entry,
            mark_price=held.mark,
            unrealized_pnl=held.unrealized(),
            realized_pnl=held.realized,
            funding=held.funding,
            margin=held.margin(),
            leverage=held.leverage,
            opened=held.opened,
        )


def _trade(
    number: int, held: Holding, side: int, time: int | None, reason: ExitReason | None, *, ambiguous: bool = False
) -> tuple[Any, ...]:
    """The round trip of a holding: the fields of a `Trade`."""
    still_open = held.unrealized() if time is None else 0.0
    entry_price = rules.average_price(held.kind, held.entered, held.entered_value)
    exit_price = None if time is None else rules.average_price(held.kind, held.exited, held.exited_value)
    return (
        number, held.market.symbol, "long" if side > 0 else "short", held.max_qty, held.opened, entry_price, time,
        exit_price, held.realized + still_open, held.fees, held.slippage, held.funding, held.entered_value, reason,
        held.tag, ambiguous,
    )  # fmt: skip
