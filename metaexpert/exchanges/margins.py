"""Margin tiers of contracts, as CCXT hands them over -> `Tier`s in the settlement currency. A pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import rules
from ..errors import DataError
from ..models import Tier
from .markets import to_qty
from .venues import Bound, segment_of, venue_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..models import Market

__all__ = ["tiers_of"]

_DEDUCTIONS = ("cum", "mmDeduction")  # Binance's and Bybit's own words


def tiers_of(raw: Sequence[Mapping[str, Any]], market: Market, price: float | None = None) -> tuple[Tier, ...]:
    """The margin tiers of `market`, ascending.

    Where an exchange charges each slice of a position by its own rate (`Venue.sliced_tiers`), the deduction makes
    the margin continuous from tier to tier: ``deduction + bound * (rate - rate below)``, with the `bound` at which
    the tier begins. Source: Binance, "How to Calculate Liquidation Price of USD-M Futures Contracts", FAQ
    b3c689c1f50a44cabb3a84e663b81d93; it is taken from the exchange's answer where that has it. Elsewhere the rate
    holds for the whole position and nothing is deducted.

    Args:
        raw: CCXT's leverage tiers of that market.
        market: whose they are, a contract.
        price: quote per base; needed where tiers end at a number of contracts or a value in quote.

    Raises:
        DataError: a tier lacks a number, or the price is not known.
    """
    venue = venue_of(market.exchange)
    bound_by = venue.tier_bounds[segment_of(market)]
    tiers: list[Tier] = []
    for one in sorted(raw, key=lambda one: _told(one, "maxNotional", market)):
        edge, leverage = _told(one, "maxNotional", market), _told(one, "maxLeverage", market)
        rate = _fraction(_told(one, "maintenanceMarginRate", market), leverage)
        bound = edge if bound_by is Bound.VALUE else _value(edge, bound_by, market, price)
        tiers.append(Tier(bound, rate, _deduction(one, tiers, rate) if venue.sliced_tiers else 0.0, leverage))
    return tuple(tiers)


def _told(one: Mapping[str, Any], name: str, market: Market) -> float:
    if one.get(name) is None:
        raise DataError(f"{market.symbol}: a margin tier has no {name}")
    return float(one[name])


def _fraction(rate: float, leverage: float) -> float:
    """The rate as a fraction: what would exceed the initial margin, 1 / leverage, is told in percent."""
    return rate / 100.0 if rate * leverage >= 1.0 else rate


def _value(edge: float, counts: Bound, market: Market, price: float | None) -> float:
    """An edge in the settlement currency."""
    if price is None or not price > 0.0:
        what = "a value in quote" if counts is Bound.QUOTE else "a number of contracts"
        raise DataError(f"{market.symbol}: its margin tiers end at {what}: its price must be known")
    kind = rules.INVERSE if market.is_inverse else rules.LINEAR
    qty = edge if counts is Bound.QUOTE else to_qty(market, edge)  # face values are quote
    return rules.notional(kind, qty, price)


def _deduction(one: Mapping[str, Any], below: Sequence[Tier], rate: float) -> float:
    info: Mapping[str, Any] = one.get("info") or {}
    told = next((info[name] for name in _DEDUCTIONS if info.get(name) not in (None, "")), None)
    if told is not None:
        return float(told)
    return below[-1].deduction + below[-1].max_notional * (rate - below[-1].rate) if below else 0.0
