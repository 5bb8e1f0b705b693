"""What Binance lists, and how its instruments look."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ...instruments import Instrument, Kind, Tier, Tiers, day_code, decimals_of, quarters, strikes, text

PERPETUAL = 4_133_404_800_000
"""The delivery date of what is never delivered."""
PARTS = {"api": Kind.SPOT, "sapi": Kind.SPOT, "fapi": Kind.LINEAR, "dapi": Kind.INVERSE, "eapi": Kind.OPTION}


def kind_of(path: str) -> Kind:
    """The kind of instrument that a part of the interface is about."""
    return PARTS[path.split("/")[1]]


def instruments(now: int) -> list[Instrument]:
    """Spot pairs, perpetual and quarterly contracts of both margins, options of the next quarter."""
    number = Decimal
    spot = [
        Instrument(
            id=base + quote, kind=Kind.SPOT, base=base, quote=quote, settle=quote, tick=number(tick),
            step=number(step),
            min_amount=number(step), max_amount=number(9000), min_cost=number(cost),
            maker=number("0.001"), taker=number("0.001"),
        )
        for base, quote, tick, step, cost in (
            ("BTC", "USDT", "0.01", "0.00001", "5"), ("ETH", "USDT", "0.01", "0.0001", "5"),
            ("ETH", "BTC", "0.00001", "0.0001", "0.0001"), ("DOGE", "USDT", "0.00001", "1", "1"),
        )
    ]  # fmt: skip
    linear = [
        Instrument(
            id=f"{base}USDT" + (f"_{day_code(expiry)}" if expiry else ""), kind=Kind.LINEAR, base=base,
            quote="USDT",
            settle="USDT", tick=number(tick), step=number(step), min_amount=number(step), max_amount=number(1000),
            min_cost=number(cost), expiry=expiry, max_leverage=125,
            tiers=_tiers(125, 50_000, 500_000, 50_000_000),
        )
        for base, expiry, tick, step, cost in (
            ("BTC", None, "0.1", "0.001", "50"), ("ETH", None, "0.01", "0.001", "20"),
            ("BTC", quarters(now)[0], "0.1", "0.001", "50"),
        )
    ]  # fmt: skip
    inverse = [
        Instrument(
            id=f"{base}USD_{day_code(expiry) if expiry else 'PERP'}", kind=Kind.INVERSE, base=base, quote="USD",
            settle=base, tick=number(tick), step=number(1), min_amount=number(1), max_amount=number(1_000_000),
            contract=number(face), expiry=expiry, maker=number("0.0001"), tiers=_tiers(100, 50, 500, 5_000),
        )
        for base, expiry, tick, face in (
            ("BTC", None, "0.1", 100), ("ETH", None, "0.01", 10), ("BTC", quarters(now)[0], "0.1", 100),
        )
    ]  # fmt: skip
    return spot + linear + inverse + _options(now)


def _tiers(leverage: int, *caps: int) -> Tiers:
    """Each slice of a position has its own rate."""
    rates = (Decimal("0.004"), Decimal("0.01"), Decimal("0.025"))
    steps = (
        Tier(Decimal(cap), rate, Decimal(leverage // 2**place))
        for place, (cap, rate) in enumerate(zip(caps, rates, strict=True))
    )
    return Tiers(tuple(steps), sliced=True)


def _options(now: int) -> list[Instrument]:
    expiry = quarters(now)[0]
    return [
        Instrument(
            id=f"{base}-{day_code(expiry)}-{text(strike)}-{'C' if call else 'P'}", kind=Kind.OPTION, base=base,
            quote="USDT", settle="USDT", tick=Decimal(tick), step=Decimal("0.01"), min_amount=Decimal("0.01"),
            max_amount=Decimal(1000), expiry=expiry, strike=strike, call=call, maker=Decimal("0.00024"),
            taker=Decimal("0.00024"),
        )
        for base, tick in (("BTC", "5"), ("ETH", "0.2"))
        for strike in strikes(base)
        for call in (True, False)
    ]  # fmt: skip


def entry_of(item: Instrument) -> dict[str, Any]:
    """An instrument in exchangeInfo."""
    return {Kind.SPOT: _spot, Kind.LINEAR: _contract, Kind.INVERSE: _contract, Kind.OPTION: _option}[item.kind](
        item
    )


def _spot(item: Instrument) -> dict[str, Any]:
    return {
        "symbol": item.id, "status": "TRADING", "baseAsset": item.base, "baseAssetPrecision": 8,
        "quoteAsset": item.quote, "quotePrecision": 8, "quoteAssetPrecision": 8, "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": [
            "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT",
        ],
        "icebergAllowed": True, "ocoAllowed": True, "otoAllowed": True, "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True, "allowTrailingStop": True, "cancelReplaceAllowed": True,
        "amendAllowed": True, "pegInstructionsAllowed": True, "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER", "minPrice": text(item.tick, Decimal("1e-8")),
                "maxPrice": "1000000.00000000", "tickSize": text(item.tick, Decimal("1e-8")),
            },
            {
                "filterType": "LOT_SIZE", "minQty": text(item.min_amount, Decimal("1e-8")),
                "maxQty": text(item.max_amount, Decimal("1e-8")), "stepSize": text(item.step, Decimal("1e-8")),
            },
            {"filterType": "ICEBERG_PARTS", "limit": 100},
            {
                "filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "162.41903995",
                "stepSize": "0.00000000",
            },
            {
                "filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000,
                "minTrailingBelowDelta": 10, "maxTrailingBelowDelta": 2000,
            },
            {
                "filterType": "NOTIONAL", "minNotional": text(item.min_cost, Decimal("1e-8")),
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000", "applyMaxToMarket": False, "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        ],
        "permissions": [], "permissionSets": [["SPOT", "TRD_GRP_004"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }  # fmt: skip


def _contract(item: Instrument) -> dict[str, Any]:
    inverse = item.kind is Kind.INVERSE
    entry: dict[str, Any] = {
        "symbol": item.id, "pair": item.base + item.quote,
        "contractType": "CURRENT_QUARTER" if item.expiry else "PERPETUAL",
        "deliveryDate": item.expiry or PERPETUAL,
        "onboardDate": item.listed, "contractStatus" if inverse else "status": "TRADING",
        "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000", "baseAsset": item.base,
        "quoteAsset": item.quote, "marginAsset": item.settle, "pricePrecision": 2,
        "quantityPrecision": decimals_of(item.step), "baseAssetPrecision": 8, "quotePrecision": 8,
        "underlyingType": "COIN", "underlyingSubType": ["PoW"], "triggerProtect": "0.0500",
        "liquidationFee": "0.012500", "marketTakeBound": "0.05", "maxMoveOrderLimit": 10000,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": text(item.tick), "maxPrice": "4529764",
            "minPrice": "556.80"},
            {
                "filterType": "LOT_SIZE", "stepSize": text(item.step), "maxQty": text(item.max_amount),
                "minQty": text(item.min_amount),
            },
            {
                "filterType": "MARKET_LOT_SIZE", "stepSize": text(item.step), "maxQty": text(item.max_amount / 8),
                "minQty": text(item.min_amount),
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "PERCENT_PRICE", "multiplierDown": "0.9500", "multiplierUp": "1.0500",
            "multiplierDecimal": "4"},
        ],
        "orderTypes": [
            "LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET",
        ],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"] if inverse else ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID"],
    }  # fmt: skip
    if inverse:
        return entry | {"contractSize": int(item.contract), "equalQtyPrecision": 4}
    entry["filters"].append({"filterType": "MIN_NOTIONAL", "notional": text(item.min_cost)})
    return entry


def _option(item: Instrument) -> dict[str, Any]:
    return {
        "expiryDate": item.expiry, "symbol": item.id, "side": "CALL" if item.call else "PUT",
        "strikePrice": text(item.strike or Decimal(0), Decimal("1e-8")), "underlying": item.base + item.quote,
        "unit": 1,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": text(item.tick), "maxPrice": "99999",
            "tickSize": text(item.tick)},
            {
                "filterType": "LOT_SIZE", "minQty": text(item.min_amount), "maxQty": text(item.max_amount),
                "stepSize": text(item.step),
            },
        ],
        "minQty": text(item.min_amount), "maxQty": text(item.max_amount), "initialMargin": "0.15000000",
        "maintenanceMargin": "0.07500000", "minInitialMargin": "0.10000000", "minMaintenanceMargin": "0.05000000",
        "priceScale": decimals_of(item.tick), "quantityScale": 2, "quoteAsset": item.quote, "status": "TRADING",
        "contractId": 2, "id": 1000,
    }  # fmt: skip
