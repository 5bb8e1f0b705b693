"""What KuCoin lists, and how its instruments look; contracts are counted in lots of `multiplier`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import Instrument, Kind, Tiers, even, quarters, text

if TYPE_CHECKING:
    from ...routes import Call

MONTHS = {3: "H", 6: "M", 9: "U", 12: "Z"}
"""The letters of delivery contracts."""
HOUR = 3_600_000


def instruments(now: int) -> list[Instrument]:
    """Spot pairs, and contracts settled in USDT, USDC and coins."""
    number, expiry = Decimal, quarters(now)[0]
    month = datetime.fromtimestamp(expiry / 1000, UTC)
    day = f"M{MONTHS[month.month]}{month:%y}"
    spot = [
        Instrument(
            id=f"{base}-{quote}", kind=Kind.SPOT, base=base, quote=quote, settle=quote, tick=number(tick),
            step=number(step), min_amount=number(least), max_amount=number(10_000_000_000),
            min_cost=number(cost), maker=number("0.001"), taker=number("0.001"),
        )
        for base, quote, tick, step, least, cost in (
            ("BTC", "USDT", "0.1", "0.00000001", "0.00001", "0.1"),
            ("ETH", "USDT", "0.01", "0.0000001", "0.0001", "0.1"),
            ("ETH", "BTC", "0.00001", "0.0000001", "0.0001", "0.000001"),
            ("DOGE", "USDT", "0.00001", "0.0001", "1", "0.1"),
        )
    ]  # fmt: skip
    contracts = [
        Instrument(
            id=name, kind=Kind.INVERSE if quote == "USD" else Kind.LINEAR, base=base, quote=quote,
            settle=base if quote == "USD" else quote, tick=number(tick), step=number(1), min_amount=number(1),
            max_amount=number(1_000_000), contract=number(lot), expiry=ends, taker=number("0.0006"),
            max_leverage=75 if quote == "USD" else 125,
            tiers=Tiers(even(250_000, "0.004", 75 if quote == "USD" else 125)),
        )
        for name, base, quote, ends, tick, lot in (
            ("XBTUSDTM", "BTC", "USDT", None, "0.1", "0.001"), ("ETHUSDTM", "ETH", "USDT", None, "0.01", "0.01"),
            (f"XBTUSDT{day}", "BTC", "USDT", expiry, "0.1", "0.001"),
            ("XBTUSDCM", "BTC", "USDC", None, "0.1", "0.001"), ("XBTUSDM", "BTC", "USD", None, "0.1", 1),
            ("ETHUSDM", "ETH", "USD", None, "0.01", 1), (f"XBT{day}", "BTC", "USD", expiry, "0.1", 1),
        )
    ]  # fmt: skip
    return spot + contracts


def wallet_of(item: Instrument) -> str:
    """Spot is traded from one account, contracts from another."""
    return "trade_hf" if item.kind is Kind.SPOT else "contract"


def coin_id(coin: str) -> str:
    """At contracts bitcoin has another name."""
    return "XBT" if coin == "BTC" else coin


def coin_of(name: str) -> str:
    """A coin by either name."""
    return "BTC" if name == "XBT" else name


def pair_entry(item: Instrument) -> dict[str, Any]:
    """A pair in v2/symbols."""
    return {
        "symbol": item.id, "name": item.id, "baseCurrency": item.base, "quoteCurrency": item.quote,
        "feeCurrency": item.quote, "market": "USDS" if item.quote == "USDT" else item.quote,
        "baseMinSize": text(item.min_amount), "quoteMinSize": text(item.min_cost),
        "baseMaxSize": text(item.max_amount), "quoteMaxSize": "99999999", "baseIncrement": text(item.step),
        "quoteIncrement": "0.000001", "priceIncrement": text(item.tick), "priceLimitRate": "0.1",
        "minFunds": text(item.min_cost), "isMarginEnabled": False, "enableTrading": True, "feeCategory": 1,
        "makerFeeCoefficient": "1.00", "takerFeeCoefficient": "1.00", "st": False,
        "callauctionIsEnabled": False, "callauctionPriceFloor": None, "callauctionPriceCeiling": None,
        "callauctionFirstStageStartTime": None, "callauctionSecondStageStartTime": None,
        "callauctionThirdStageStartTime": None, "tradingStartTime": None,
    }  # fmt: skip


def contract_entry(call: Call, item: Instrument) -> dict[str, Any]:
    """A contract in contracts/active, with its prices of now; an inverse one has a negative multiplier."""
    inverse, perpetual, every = item.kind is Kind.INVERSE, item.perpetual, item.funding_hours * HOUR
    day, coming = call.state.day(item), call.now // every * every + every
    base, mark = coin_id(item.base), call.state.price(item, "mark")
    index = f".BXBT{'' if inverse else item.quote}" if base == "XBT" else f".K{base}{item.quote}"
    turnover = item.notional(day.volume, day.close)
    rate = call.state.prices.funding_rate(item, coming) if perpetual else None
    name = f".{item.id}" if perpetual else None
    return {
        "symbol": item.id, "displaySymbol": item.id, "rootSymbol": coin_id(item.settle),
        "firstOpenDate": item.listed, "type": "FFWCSX" if perpetual else "FFICSX",
        "expireDate": item.expiry, "settleDate": item.expiry,
        "baseCurrency": base, "displayBaseCurrency": base, "quoteCurrency": item.quote,
        "settleCurrency": coin_id(item.settle), "maxOrderQty": int(item.max_amount),
        "marketMaxOrderQty": int(item.max_amount), "maxPrice": 1_000_000, "lotSize": int(item.step),
        "tickSize": float(item.tick), "indexPriceTickSize": 0.01,
        "multiplier": -int(item.contract) if inverse else float(item.contract),
        "initialMargin": 0.014 if inverse else 0.008, "maintainMargin": 0.007 if inverse else 0.004,
        "maxRiskLimit": 250_000, "minRiskLimit": 250_000, "riskStep": 125_000,
        "makerFeeRate": float(item.maker), "takerFeeRate": float(item.taker), "takerFixFee": 0, "makerFixFee": 0,
        "settlementFee": None, "isDeleverage": True, "isQuanto": not inverse, "isInverse": inverse,
        "markMethod": "FairPrice", "fairMethod": "FundingRate", "fundingBaseSymbol": f".{base}INT8H",
        "fundingQuoteSymbol": f".{item.quote}INT8H", "fundingRateSymbol": f"{name}FPI8H" if name else None,
        "indexSymbol": index, "settlementSymbol": "", "status": "Open",
        "fundingFeeRate": float(rate) if rate is not None else None, "predictedFundingFeeRate": None,
        "dailyInterestRate": 0.0003, "fundingRateGranularity": every if perpetual else None,
        "fundingRateCap": 0.003, "fundingRateFloor": -0.003, "period": 1,
        "effectiveFundingRateCycleStartTime": item.listed,
        "currentFundingRateGranularity": every if perpetual else None, "openInterest": "5815990",
        "turnoverOf24h": float(turnover / day.close if inverse else turnover),
        "volumeOf24h": float(day.volume if inverse else day.volume * item.contract), "markPrice": float(mark),
        "indexPrice": float(call.state.price(item, "index")), "lastTradePrice": float(day.close),
        "nextFundingRateTime": coming - call.now if perpetual else None,
        "nextFundingRateDateTime": coming if perpetual else None, "maxLeverage": item.max_leverage,
        "sourceExchanges": ["okex", "binance"], "premiumsSymbol1M": f"{name}PI" if name else None,
        "premiumsSymbol8H": f"{name}PI8H" if name else None, "fundingBaseSymbol1M": f".{base}INT",
        "fundingQuoteSymbol1M": f".{item.quote}INT", "lowPrice": float(day.low), "highPrice": float(day.high),
        "priceChgPct": float(round((day.close - day.open) / day.open, 4)),
        "priceChg": float(day.close - day.open), "k": 490, "m": 300, "f": 1.3, "mmrLimit": 0.3,
        "mmrLevConstant": item.max_leverage, "supportCross": True, "buyLimit": float(mark * Decimal("1.05")),
        "sellLimit": float(mark * Decimal("0.95")), "adjustK": None, "adjustM": None,
        "adjustMmrLevConstant": None, "adjustActiveTime": None, "crossRiskLimit": 1_500_000_000,
        "marketStage": "NORMAL", "preMarketToPerpDate": None, "orderPriceRange": 0.05,
    }  # fmt: skip
