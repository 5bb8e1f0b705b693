"""One market of an exchange in our words, and quantities and prices in its.

Our `qty` counts base units, and face value in quote for inverse contracts. An exchange's `amount` counts contracts
or base units; `Market.contract_size` is how many of our units one of its units holds. Where inverse contracts are
counted in base (`Market.amount_step`) it takes a price to tell one from the other.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .. import rules
from ..errors import DataError, OrderRejected
from ..models import ContractType, Market, MarketType
from .symbols import STABLE
from .venues import venue_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..models import Tier

__all__ = ["amount_text", "digits", "market_of", "price_text", "to_amount", "to_qty"]

_TYPES = {
    "spot": MarketType.SPOT,
    "swap": MarketType.FUTURES,
    "future": MarketType.FUTURES,
    "option": MarketType.OPTIONS,
}
_FEE = 0.001  # a rate that no list tells: what most ask of a new account, and rather too much
_LEVERAGE = 125.0  # a limit that no list tells: the most that any of the five gives; margin tiers say more
_WHOLE = 1.0  # of a contract that is counted in base: our step in quote; its own step comes on top
_AT_MARKET = {
    "binance": ("limits", "market", "max"),
    "bybit": ("info", "lotSizeFilter", "maxMktOrderQty"),
    "bitget": ("info", "maxMarketOrderQty"),
    "okx": ("info", "maxMktSz"),
    "kucoin": ("info", "marketMaxOrderQty"),
}
"""Where the largest market order of contracts stands in CCXT's market."""
_SPOT_AT_MARKET = {
    "binance": ("limits", "market", "max"),
    "bybit": ("info", "lotSizeFilter", "maxMarketOrderQty"),
}
"""The same of spot; OKX counts it in quote."""
_LARGEST = {"bitget": ("info", "maxOrderQty")}
"""Where the largest order stands if CCXT has not found it."""
_NOTIONAL = {
    "bybit": ("info", "lotSizeFilter", "minNotionalValue"),
    "bitget": ("info", "minTradeUSDT"),
}
"""Where the smallest notional stands if CCXT has not found it."""
_OPTION_RATES = {"binance": (0.0003, 0.0003), "bybit": (0.0002, 0.0003), "okx": (0.0002, 0.0003)}
"""Maker and taker rates of options, of their underlying, for users of the first tier; CCXT gives those of spot.

Sources: Binance, options fees, FAQ 5326e5de61c34fed98abe28d2f175a23; OKX, "Trading Fee Rules FAQ"; Bybit, "Trading
Fee Structure".
"""
_EXTRA = {
    "binance": {"liquidation_fee_rate": ("info", "liquidationFee")},
    "kucoin": {"maintenance_margin_rate": ("info", "maintainMargin")},
}
"""What else the exchange's own answer says of a contract."""


def market_of(raw: Mapping[str, Any], exchange: str, tiers: Sequence[Tier] = ()) -> Market:
    """The market that CCXT describes by `raw`.

    Args:
        raw: CCXT's unified market, with the exchange's own answer in ``info``.
        exchange: the exchange's name here.
        tiers: its margin tiers, where they are known.

    Raises:
        DataError: it lacks what nobody can trade without.
    """
    kind = _TYPES.get(str(raw.get("type")))
    step, tick = _number(raw, "precision", "amount"), _number(raw, "precision", "price")
    if kind is None or step is None or tick is None:
        raise DataError(f"{exchange}: {raw.get('symbol')}: its type or the steps of qty and price are not known")
    future = kind is MarketType.FUTURES
    inverse = raw.get("inverse") is True
    settled = ContractType.INVERSE if inverse else ContractType.LINEAR
    in_base = future and inverse and venue_of(exchange).inverse_in_base
    rates = _rate(raw.get("maker")), _rate(raw.get("taker"))
    maker, taker = _OPTION_RATES.get(exchange, rates) if kind is MarketType.OPTIONS else rates
    return Market(
        symbol=str(raw["symbol"]),
        exchange=exchange,
        id=str(raw["id"]),
        type=kind,
        base=str(raw["base"]),
        quote=str(raw["quote"]),
        settle=str(raw.get("settle") or raw["quote"]),
        contract_type=settled if future else None,
        price_tick=tick,
        amount_step=step if in_base else None,
        min_notional=_number(raw, "limits", "cost", "min") or _number(raw, *_NOTIONAL.get(exchange, ("",))) or 0.0,
        max_notional=_max_notional(raw, exchange),
        maker=maker,
        taker=taker,
        max_leverage=(_number(raw, "limits", "leverage", "max") or _LEVERAGE) if future else 1.0,
        expiry=None if raw.get("expiry") is None else int(raw["expiry"]),
        strike=_number(raw, "strike"),
        option_type=raw.get("optionType"),
        tiers=tuple(tiers),
        **(_in_quote() if in_base else _sizes(raw, exchange, step)),
        **_extra(raw, exchange, future=future),
    )


def _max_notional(raw: Mapping[str, Any], exchange: str) -> float | None:
    """The largest notional of an order in quote; of OKX's spot CCXT has that of market orders, in USD."""
    if exchange != "okx" or raw.get("type") != "spot":
        return _number(raw, "limits", "cost", "max")
    return _number(raw, "info", "maxLmtAmt") if raw.get("quote") in STABLE else None


def _sizes(raw: Mapping[str, Any], exchange: str, step: float) -> dict[str, Any]:
    """Contract size, and steps and limits of quantity, in our unit."""
    size = _contract_size(raw, exchange)
    at_market = _SPOT_AT_MARKET if raw.get("type") == "spot" else _AT_MARKET
    most = _number(raw, "limits", "amount", "max") or _number(raw, *_LARGEST.get(exchange, ("",)))
    return {
        "contract_size": size,
        "qty_step": _times(step, size),
        "min_qty": _times(_number(raw, "limits", "amount", "min") or 0.0, size),
        "max_qty": _scaled(most, size),
        "max_market_qty": _scaled(_number(raw, *at_market.get(exchange, ("",))), size),
    }


def _contract_size(raw: Mapping[str, Any], exchange: str) -> float:
    size = _number(raw, "contractSize") or 1.0
    if exchange == "bybit":
        return 1.0  # it counts base, and USD if inverse; CCXT takes the smallest order for the size
    if exchange == "okx" and raw.get("type") != "spot":
        told = raw.get("info", {}).get("ctValCcy")
        ours = raw["quote"] if raw.get("inverse") is True and raw.get("type") != "option" else raw["base"]
        if told and told != ours:
            raise DataError(f"{exchange}: {raw.get('symbol')}: its contracts are worth {told}, not {ours}")
        size = _times(size, _number(raw, "info", "ctMult") or 1.0)  # CCXT leaves the multiplier out
    return size


def _in_quote() -> dict[str, Any]:
    return {"contract_size": 1.0, "qty_step": _WHOLE}


def _extra(raw: Mapping[str, Any], exchange: str, *, future: bool) -> dict[str, Any]:
    if not future:
        return {}
    found = {name: _number(raw, *path) for name, path in _EXTRA.get(exchange, {}).items()}
    return {name: value for name, value in found.items() if value is not None}


# --- our units and theirs -------------------------------------------------------------------------------------


def to_amount(market: Market, qty: float, price: float | None = None) -> float:
    """Our `qty` in the exchange's unit, not rounded to its step.

    Args:
        market: where.
        qty: base units; face value in quote for inverse contracts.
        price: quote per base; needed where inverse contracts are counted in base.

    Raises:
        OrderRejected: a price is needed and not given.
    """
    if market.amount_step is not None:
        return qty / _needed(market, price)
    return float(Decimal(repr(float(qty))) / Decimal(repr(market.contract_size)))


def to_qty(market: Market, amount: float, price: float | None = None) -> float:
    """The exchange's `amount` in our unit: the reverse of `to_amount`."""
    if market.amount_step is not None:
        return amount * _needed(market, price)
    return amount if market.contract_size == 1.0 else _times(amount, market.contract_size)


def amount_text(market: Market, qty: float, price: float | None = None) -> str:
    """Our `qty` as an exchange reads an amount: rounded down to its step, in plain digits.

    Raises:
        OrderRejected: less than one step is left, or a price is needed and not given.
    """
    step = market.amount_step or to_amount(market, market.qty_step)
    amount = rules.round_down(to_amount(market, qty, price), step)
    if not amount > 0.0:
        raise OrderRejected(
            f"{market.symbol}: qty {qty:g} is less than one step of {market.qty_step:g}", "below_min_qty"
        )
    return digits(amount)


def price_text(market: Market, price: float, side: int = 1) -> str:
    """A price on the market's tick, in plain digits: down for `side` +1 (a buy limit), up for -1.

    Raises:
        OrderRejected: it is less than one tick.
    """
    on_tick = rules.limit_price(price, side, market.price_tick)
    if not on_tick > 0.0:
        raise OrderRejected(
            f"{market.symbol}: price {price:g} is less than one tick of {market.price_tick:g}", "invalid_price"
        )
    return digits(on_tick)


def _needed(market: Market, price: float | None) -> float:
    if price is None or not price > 0.0:
        raise OrderRejected(
            f"{market.symbol} is counted in {market.base} there: its price must be known", "no_price"
        )
    return price


# --- numbers --------------------------------------------------------------------------------------------------


def _number(raw: Mapping[str, Any], *path: str) -> float | None:
    """The number at `path`; None where there is none, or 0, which exchanges write for "no limit"."""
    found: Any = raw
    for name in path:
        found = found.get(name) if hasattr(found, "get") else None
    try:
        return float(found) or None if found is not None else None
    except (TypeError, ValueError):
        return None


def _rate(value: Any) -> float:
    return _FEE if value is None else float(value)


def _times(value: float, size: float) -> float:
    """Their product without the noise of binary fractions: 3 contracts of 0.1 are 0.3."""
    return float(Decimal(repr(float(value))) * Decimal(repr(float(size))))


def _scaled(value: float | None, size: float) -> float | None:
    return None if value is None else _times(value, size)


def digits(value: float) -> str:
    """Plain digits, as no exchange reads 1e-07."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
