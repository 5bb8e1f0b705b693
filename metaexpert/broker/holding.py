"""The mutable state behind one position: what is held, the round trip it belongs to, and what it binds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import options, rules
from ..models import Tier
from ..tiers import tier_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..models import Market

__all__ = ["Holding", "own_tiers"]

_STATE = (
    "qty", "entry", "mark", "underlying", "opened", "tag", "entries", "max_qty", "realized", "fees", "slippage",
    "funding", "posted", "entered", "entered_value", "exited", "exited_value",
)  # fmt: skip


def own_tiers(market: Market) -> tuple[Tier, ...]:
    """The margin tiers of a market; one for all where it has none."""
    if market.tiers and not market.is_option:
        return market.tiers
    rate = options.MAINTENANCE if market.is_option else market.maintenance_margin_rate
    return (Tier(math.inf, rate, 0.0, market.max_leverage),)


class Holding:
    """The net position in one symbol, or one leg of it in hedge mode (`position_side` ``"long"`` or ``"short"``).

    In force are the margin `tiers` and the fee rates `maker` and `taker`. `underlying` is the price of an option's
    underlying (None: not known), `posted` what the short side of an option has posted as margin.
    """

    __slots__ = (
        "entered", "entered_value", "entries", "entry", "exited", "exited_value", "fees", "funding", "in_base",
        "is_option", "is_spot", "kind", "leverage", "maker", "mark", "market", "max_qty", "opened",
        "position_side", "posted", "qty", "realized", "slippage", "tag", "taker", "tiers", "underlying",
    )  # fmt: skip

    def __init__(self, market: Market, leverage: float, position_side: str | None = None) -> None:
        self.market = market
        self.kind = rules.INVERSE if market.is_inverse else rules.LINEAR
        self.is_option, self.is_spot = market.is_option, market.is_spot
        self.in_base = market.settle == market.base
        self.leverage = leverage
        self.position_side = position_side
        self.tiers = own_tiers(market)
        self.maker, self.taker = market.maker, market.taker
        self.underlying: float | None = None
        self.qty = 0.0
        self.entry = 0.0
        self.mark = 0.0
        self.begin(0, None)

    def begin(self, time: int, tag: str | None) -> None:
        """Start a new round trip."""
        self.opened = time
        self.tag = tag
        self.entries = 0
        self.max_qty = self.realized = self.fees = self.slippage = self.funding = self.posted = 0.0
        self.entered = self.entered_value = self.exited = self.exited_value = 0.0

    def state(self) -> dict[str, Any]:
        """What changes of it, as JSON can hold it."""
        return {name: getattr(self, name) for name in _STATE}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take on what `state` told."""
        for name in _STATE:
            setattr(self, name, state[name])

    @property
    def side(self) -> int:
        """+1 long, -1 short, 0 flat."""
        return 1 if self.qty > 0.0 else -1 if self.qty < 0.0 else 0

    def is_on(self, side: str) -> bool:
        """Is something held on `side`, ``"long"`` or ``"short"``?"""
        return self.side == (1 if side == "long" else -1)

    # -- worth and margin ---------------------------------------------------------------------------------

    def unrealized(self) -> float:
        """Profit of the open quantity at the last mark, before fees, in the settlement currency."""
        return rules.pnl(self.kind, self.qty, self.entry, self.mark) if self.qty != 0.0 else 0.0

    def margin(self) -> float:
        """Initial margin that the position binds, in the settlement currency."""
        if self.qty == 0.0:
            return 0.0
        if self.is_short_option:
            return self.posted
        return rules.initial_margin(self.kind, self.qty, self.entry, self.leverage)

    @property
    def is_short_option(self) -> bool:
        """True for a short position in an option, which posts margin instead of paying."""
        return self.is_option and self.qty < 0.0

    @property
    def can_be_liquidated(self) -> bool:
        """False when flat, on spot and for bought options: what was paid for can't be lost twice."""
        return self.qty != 0.0 and not self.is_spot and (self.qty < 0.0 or not self.is_option)

    def tier(self, notional: float) -> Tier:
        """The margin tier of a position of that `notional`; the last one above them all."""
        return self.tiers[tier_at(notional, self.tiers)]

    def maintenance(self) -> float:
        """Margin below which the position is liquidated, at its mark, in the settlement currency."""
        if not self.can_be_liquidated:
            return 0.0
        if self.is_short_option:
            return -self.qty * self.option_maintenance()
        worth = rules.notional(self.kind, self.qty, self.mark)
        tier = self.tier(worth)
        return rules.maintenance_margin(worth, tier.rate, tier.deduction)

    def option_maintenance(self) -> float:
        """What a short option must keep beside its value, per unit; 0 while its underlying has no price."""
        spot = self.underlying
        return 0.0 if spot is None else options.maintenance_margin(spot, self.tiers[0].rate, self.in_base)

    def room(self, side: int, free: float, price: float, fee_rate: float) -> float:
        """How much the `free` margin can open on `side` at `price`, fee included (rule 17). May be negative."""
        if not self.is_option:
            return rules.room(self.kind, free, price, self.leverage, fee_rate)
        return free / self.cost(side, 1.0, price, fee_rate)

    def cost(self, side: int, qty: float, price: float, fee_rate: float) -> float:
        """What opening `qty` on `side` at `price` takes from the free margin: margin and fee (no rebate)."""
        if not self.is_option:
            return rules.cash_cost(self.kind, qty, price, self.leverage, fee_rate)
        margin = self.short_margin() * qty if side < 0 else rules.initial_margin(self.kind, qty, price, 1.0)
        return margin + max(self.fee(qty, price, fee_rate), 0.0)

    def freed(self, closing: float, price: float, fee_rate: float, *, cross: bool) -> float:
        """What closing `closing` at `price` adds to the free margin; see `rules.freed`."""
        if not self.is_option:
            return rules.freed(
                self.kind, self.qty, self.entry, self.mark, self.leverage, cross, closing, price, fee_rate
            )
        share = closing / abs(self.qty)
        profit = rules.pnl(self.kind, self.side * closing, self.entry, price)
        counted = self.unrealized() * share if cross and self.qty < 0.0 else 0.0
        return self.margin() * share + profit - counted - self.fee(closing, price, fee_rate)

    def short_margin(self) -> float:
        """What the short side of an option posts per unit, at the underlying's price now; infinite without one."""
        strike, spot = self.market.strike, self.underlying
        if strike is None or spot is None:
            return math.inf
        return options.initial_margin(self.market.option_type == "call", spot, strike, self.in_base)

    def quote_per_settle(self) -> float:
        """What one unit of the premium's currency is worth in quote: 1, or the underlying's price."""
        return self.underlying if self.is_option and self.in_base and self.underlying is not None else 1.0

    def fee(self, qty: float, price: float, rate: float) -> float:
        """Fee of a fill (rule 16); an option's is a rate of its underlying, where that has a price."""
        if self.is_option and self.underlying is not None:
            return options.fee(qty, price, self.underlying, rate, self.in_base)
        return rules.fee(self.kind, qty, price, rate)

    def liquidation_rate(self, price: float, rate: float) -> float:
        """Fee of a liquidation at `price` over its notional; an option's is a rate of its underlying (rule 18)."""
        if self.is_option and self.underlying is not None:
            return options.liquidation_rate(price, self.underlying, rate, self.in_base)
        return rate

    # -- fills ----------------------------------------------------------------------------------------------

    def close(self, qty: float, price: float, share_of_fee: float, slippage: float) -> float:
        """Take `qty` off the position at `price`; returns the realised profit before fees."""
        signed = qty if self.qty > 0.0 else -qty
        profit = rules.pnl(self.kind, signed, self.entry, price)
        self.realized += profit
        self.fees += share_of_fee
        self.slippage += slippage
        self.exited += qty
        self.exited_value += rules.notional(self.kind, qty, price)
        if self.is_option:
            self.posted *= 1.0 - qty / abs(self.qty)
        self.qty = rules.sum_of_steps(self.qty, -signed, self.market.qty_step)
        return profit

    def open(self, side: int, qty: float, price: float, share_of_fee: float, slippage: float) -> None:
        """Add `qty` on `side` at `price`."""
        self.entry = rules.average_entry(self.kind, abs(self.qty), self.entry, qty, price)
        self.qty = rules.sum_of_steps(self.qty, side * qty, self.market.qty_step)
        if self.is_option and self.qty < 0.0:
            self.posted += qty * self.short_margin()
        self.max_qty = max(self.max_qty, abs(self.qty))
        self.fees += share_of_fee
        self.slippage += slippage
        self.entered += qty
        self.entered_value += rules.notional(self.kind, qty, price)

    def pay_funding(self, mark: float, rate: float) -> float:
        """Book a funding instant; returns what was received, negative when it was paid (rule 19)."""
        received = rules.funding(self.kind, self.qty, mark, rate) if self.qty != 0.0 else 0.0
        self.funding += received
        return received
