"""The rule book of options (rules 15, 16, 18): pure functions of floats, as in `metaexpert.rules`.

Premiums and margins are per underlying unit in the settlement currency: quote, or base where `in_base`, which
divides by the price `spot` of the underlying.
"""

__all__ = [
    "MAINTENANCE",
    "fee",
    "initial_margin",
    "intrinsic_value",
    "liquidation_price",
    "liquidation_rate",
    "maintenance_margin",
]

MAINTENANCE = 0.075
"""Maintenance margin of the short side as a share of its underlying; see `maintenance_margin`."""

_MARGIN, _LEAST_MARGIN = 0.15, 0.1  # of the underlying
_FEE_CAP, _LIQUIDATION_FEE_CAP = 0.1, 0.25  # of the premium


def intrinsic_value(call: bool, spot: float, strike: float, in_base: bool) -> float:
    """What an option pays at expiry: call ``max(0, S - K)``, put ``max(0, K - S)``; over S where `in_base`."""
    value = max(0.0, spot - strike if call else strike - spot)
    return value / spot if in_base else value


def initial_margin(call: bool, spot: float, strike: float, in_base: bool) -> float:
    """What the short side posts beside the premium that it received: ``max(0.15 * S - OTM, 0.1 * S)``.

    OTM is how far the option is out of the money. Sources: OKX, "Option Margin" (a = 0.1, b = 0.15, margin factor
    1); Deribit, "Margin requirements: options". Both add the mark price, which the received premium covers.
    """
    out = max(0.0, strike - spot if call else spot - strike)
    margin = max(_MARGIN * spot - out, _LEAST_MARGIN * spot)
    return margin / spot if in_base else margin


def maintenance_margin(spot: float, rate: float, in_base: bool) -> float:
    """Maintenance margin of the short side beside the option's own value, ``rate * S``.

    Source of the rate 0.075: Deribit, as above; OKX asks 0.03 for BTC and 0.05 for ETH. Both ask more for puts
    that are worth more than their underlying, which is left out.
    """
    return rate if in_base else rate * spot


def liquidation_price(entry: float, margin: float, maintenance: float) -> float:
    """Premium at which a short is liquidated: ``margin - (P - entry) = maintenance``, all per unit (rule 18)."""
    return max(entry + margin - maintenance, 0.0)


def fee(qty: float, premium: float, spot: float, rate: float, in_base: bool) -> float:
    """Fee of a fill: ``min(rate * S, 0.1 * premium) * qty`` (rule 16).

    Source: Binance, options fees, FAQ 5326e5de61c34fed98abe28d2f175a23: at most 10 % of the price.
    """
    return min(rate if in_base else rate * spot, _FEE_CAP * premium) * qty


def liquidation_rate(premium: float, spot: float, rate: float, in_base: bool) -> float:
    """Fee of a liquidation as a share of the `premium`: that of ``rate * S``, at most 0.25 (rule 18).

    Source: as of `fee`.
    """
    return min((rate if in_base else rate * spot) / premium, _LIQUIDATION_FEE_CAP)
