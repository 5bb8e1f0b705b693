"""What Bybit lists, and how its instruments look."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ...instruments import Instrument, Kind, Tiers, day_code, even, quarters, strikes, text

MONTHS = {3: "H", 6: "M", 9: "U", 12: "Z"}
"""The letters of quarterly inverse contracts."""
TIERS = Tiers(even(2_000_000, "0.005", 100), sliced=True)


def instruments(now: int) -> list[Instrument]:
    """Spot pairs, contracts settled in USDT, USDC and coins, options of the next quarter."""
    number, expiry = Decimal, quarters(now)[0]
    day = day_code(expiry, "%-d%b%y")
    spot = [
        Instrument(
            id=base + quote, kind=Kind.SPOT, base=base, quote=quote, settle=quote, tick=number(tick),
            step=number(step), min_amount=number(step), max_amount=number(1000), min_cost=number(cost),
            maker=number("0.001"), taker=number("0.001"),
        )
        for base, quote, tick, step, cost in (
            ("BTC", "USDT", "0.1", "0.000001", "5"), ("ETH", "USDT", "0.01", "0.00001", "5"),
            ("ETH", "BTC", "0.00001", "0.0001", "0.0001"), ("DOGE", "USDT", "0.00001", "0.1", "5"),
        )
    ]  # fmt: skip
    linear = [
        Instrument(
            id=name, kind=Kind.LINEAR, base=base, quote=quote, settle=quote, tick=number(tick), step=number(step),
            min_amount=number(step), max_amount=number(1500), min_cost=number(5), expiry=ends,
            taker=number("0.00055"), tiers=TIERS,
        )
        for name, base, quote, ends, tick, step in (
            ("BTCUSDT", "BTC", "USDT", None, "0.1", "0.001"), ("ETHUSDT", "ETH", "USDT", None, "0.01", "0.01"),
            (f"BTCUSDT-{day}", "BTC", "USDT", expiry, "0.1", "0.001"),
            ("BTCPERP", "BTC", "USDC", None, "0.1", "0.001"),
        )
    ]  # fmt: skip
    month = datetime.fromtimestamp(expiry / 1000, UTC)
    inverse = [
        Instrument(
            id=name, kind=Kind.INVERSE, base=base, quote="USD", settle=base, tick=number(tick), step=number(1),
            min_amount=number(1), max_amount=number(25_000_000), expiry=ends, taker=number("0.00055"),
            tiers=TIERS,
        )
        for name, base, ends, tick in (
            ("BTCUSD", "BTC", None, "0.1"), ("ETHUSD", "ETH", None, "0.01"),
            (f"BTCUSD{MONTHS[month.month]}{month:%y}", "BTC", expiry, "0.1"),
        )
    ]  # fmt: skip
    options = [
        Instrument(
            id=f"{base}-{day}-{text(strike)}-{'C' if call else 'P'}-USDT", kind=Kind.OPTION, base=base,
            quote="USDT",
            settle="USDT", tick=number(tick), step=number(step), min_amount=number(step), max_amount=number(500),
            expiry=expiry, strike=strike, call=call, maker=number("0.0002"), taker=number("0.0003"),
        )
        for base, tick, step in (("BTC", "5", "0.01"), ("ETH", "0.1", "0.1"))
        for strike in strikes(base)
        for call in (True, False)
    ]  # fmt: skip
    return spot + linear + inverse + options


def entry_of(item: Instrument) -> dict[str, Any]:
    """An instrument in instruments-info."""
    return {Kind.SPOT: _spot, Kind.OPTION: _option}.get(item.kind, _contract)(item)


def _spot(item: Instrument) -> dict[str, Any]:
    most = text(item.max_amount)
    return {
        "symbol": item.id, "symbolId": 9, "baseCoin": item.base, "quoteCoin": item.quote, "innovation": "0",
        "status": "Trading", "marginTrading": "utaOnly", "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": text(item.step), "quotePrecision": "0.0000001", "minOrderQty": text(item.min_amount),
            "maxOrderQty": most, "minOrderAmt": text(item.min_cost), "maxOrderAmt": "8000000",
            "maxLimitOrderQty": most, "maxMarketOrderQty": text(item.max_amount / 2),
            "postOnlyMaxLimitOrderSize": most,
        },
        "priceFilter": {"tickSize": text(item.tick)},
        "riskParameters": {"priceLimitRatioX": "0.005", "priceLimitRatioY": "0.01"}, "symbolType": "",
        "xstockMultiplier": "1",
    }  # fmt: skip


def _contract(item: Instrument) -> dict[str, Any]:
    side = "Inverse" if item.kind is Kind.INVERSE else "Linear"
    return {
        "symbol": item.id, "contractType": side + ("Futures" if item.expiry else "Perpetual"), "status": "Trading",
        "baseCoin": item.base, "quoteCoin": item.quote, "launchTime": str(item.listed),
        "deliveryTime": str(item.expiry or 0), "deliveryFeeRate": "0.0005" if item.expiry else "",
        "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": f"{item.max_leverage}.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": text(item.tick), "maxPrice": "1999999.80", "tickSize": text(item.tick)},
        "lotSizeFilter": {
            "maxOrderQty": text(item.max_amount), "minOrderQty": text(item.min_amount), "qtyStep": text(item.step),
            "postOnlyMaxOrderQty": text(item.max_amount), "maxMktOrderQty": text(item.max_amount / 10),
            "minNotionalValue": text(item.min_cost) if item.min_cost else "",
        },
        "unifiedMarginTrade": True, "fundingInterval": 0 if item.expiry else item.funding_hours * 60,
        "settleCoin": item.settle, "copyTrading": "none", "upperFundingRate": "0.005",
        "lowerFundingRate": "-0.005",
        "isPreListing": False, "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"}, "displayName": "",
        "symbolType": "", "forbidUplWithdrawal": False, "symbolId": 5,
    }  # fmt: skip


def _option(item: Instrument) -> dict[str, Any]:
    return {
        "symbol": item.id, "status": "Trading", "baseCoin": item.base, "quoteCoin": item.quote,
        "settleCoin": item.settle, "optionsType": "Call" if item.call else "Put", "launchTime": str(item.listed),
        "deliveryTime": str(item.expiry), "deliveryFeeRate": "0.0002",
        "priceFilter": {"minPrice": text(item.tick), "maxPrice": "1110000", "tickSize": text(item.tick)},
        "lotSizeFilter": {
            "maxOrderQty": text(item.max_amount), "minOrderQty": text(item.min_amount), "qtyStep": text(item.step),
        },
        "displayName": item.id,
    }  # fmt: skip
