"""The models of what only an exchange can tell: balances, its own record of fills, greeks and option quotes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .models import ExitReason

if TYPE_CHECKING:
    from .models import Side

__all__ = ["Balance", "ExchangeFill", "Greeks", "OptionQuote"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What an account holds of one `currency`: `total` with open profit, what is `free` and what `used`.

    Exchanges may count no open profit as free, and then `free` and `used` are less than `total`.
    """

    currency: str
    free: float
    used: float
    total: float


class ExchangeFill(NamedTuple):
    """One execution as the exchange has it on record.

    `id` and `order_id` are the exchange's (`Order.exchange_id`). `qty` is in base units (inverse: face value in
    quote), `price` in quote per base. `fee` is in `fee_currency`, which may be any (BNB, KCS, the base of a spot
    market); it is negative where the exchange pays, and 0 with no currency where it tells of none. `pnl` is the
    profit of the part that closed a position, before fees, in the settlement currency; None: not told.
    """

    id: str
    time: int
    symbol: str
    order_id: str
    side: Side
    qty: float
    price: float
    fee: float = 0.0
    fee_currency: str | None = None
    is_maker: bool = False
    pnl: float | None = None
    reason: ExitReason = ExitReason.ORDER
    position_side: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeks:
    """How the price of an option moves, per unit of its underlying, in quote (Black-Scholes), at `time` (ms UTC).

    `delta`: with the underlying, by 1. `gamma`: delta with the underlying, by 1. `theta`: with a day. `vega`: with
    the volatility, by 0.01. Volatilities are fractions a year: 0.6 is 60 %. `time` is 0 and a value None where the
    exchange does not say.
    """

    time: int
    symbol: str
    delta: float
    gamma: float
    theta: float
    vega: float
    mark_iv: float | None = None
    bid_iv: float | None = None
    ask_iv: float | None = None
    mark_price: float | None = None
    underlying_price: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionQuote:
    """An option with its prices, per unit of the underlying in the currency that it settles in.

    `underlying_price` is the forward or index that it follows, in quote. `volume` (of 24 hours) and
    `open_interest` are in units of the underlying. None: there is no such order, or the exchange does not say.
    """

    time: int
    symbol: str
    expiry: int
    strike: float
    option_type: str
    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    mark_price: float | None = None
    underlying_price: float | None = None
    volume: float | None = None
    open_interest: float | None = None
    greeks: Greeks | None = None
