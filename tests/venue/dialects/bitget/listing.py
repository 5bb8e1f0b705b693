"""What Bitget lists, and how its instruments look; all amounts count base coins, of inverse contracts too."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import LEVELS, Instrument, Kind, Tiers, decimals_of, even, quarters, text
from ...orders import Reason, Refusal

if TYPE_CHECKING:
    from ...routes import Call

MONTHS = {3: "H", 6: "M", 9: "U", 12: "Z"}
"""The letters of delivery contracts."""
PRODUCTS = {"USDT-FUTURES": Kind.LINEAR, "USDC-FUTURES": Kind.LINEAR, "COIN-FUTURES": Kind.INVERSE}
DEMO = {"SUSDT-FUTURES", "SUSDC-FUTURES", "SCOIN-FUTURES"}
"""Product types of paper trading, which list nothing any more."""


def instruments(now: int) -> list[Instrument]:
    """Spot pairs, and contracts margined in USDT, USDC and coins."""
    number, expiry = Decimal, quarters(now)[0]
    month = datetime.fromtimestamp(expiry / 1000, UTC)
    day = f"{MONTHS[month.month]}{month:%y}"
    spot = [
        Instrument(
            id=base + quote, kind=Kind.SPOT, base=base, quote=quote, settle=quote, tick=number(tick),
            step=number(step), min_amount=number(step), max_amount=number(900_000_000), min_cost=number(cost),
            maker=number("0.001"), taker=number("0.001"),
        )
        for base, quote, tick, step, cost in (
            ("BTC", "USDT", "0.01", "0.000001", 1), ("ETH", "USDT", "0.01", "0.0001", 1),
            ("ETH", "BTC", "0.00001", "0.0001", 0), ("DOGE", "USDT", "0.00001", "0.01", 1),
        )
    ]  # fmt: skip
    contracts = [
        Instrument(
            id=name, kind=Kind.INVERSE if quote == "USD" else Kind.LINEAR, base=base, quote=quote,
            settle=base if quote == "USD" else quote, tick=number(tick), step=number(step),
            min_amount=number(step), max_amount=number(1200), coin_sized=quote == "USD", expiry=ends,
            min_cost=number(0 if quote == "USD" else 5), taker=number("0.0006"), max_leverage=125,
            tiers=Tiers(even(round(150_000 / LEVELS[base]) if quote == "USD" else 150_000, "0.004", 125)),
        )
        for name, base, quote, ends, tick, step in (
            ("BTCUSDT", "BTC", "USDT", None, "0.1", "0.0001"), ("ETHUSDT", "ETH", "USDT", None, "0.01", "0.01"),
            (f"BTCUSDT{day}", "BTC", "USDT", expiry, "0.1", "0.0001"),
            ("BTCPERP", "BTC", "USDC", None, "0.1", "0.0001"), ("BTCUSD", "BTC", "USD", None, "0.1", "0.0001"),
            ("ETHUSD", "ETH", "USD", None, "0.01", "0.001"),
            (f"BTCUSD{day}", "BTC", "USD", expiry, "0.1", "0.0001"),
        )
    ]  # fmt: skip
    return spot + contracts


def product_of(item: Instrument) -> str:
    """The product type of a contract; "SPOT" of a pair."""
    if item.kind is Kind.SPOT:
        return "SPOT"
    return "COIN-FUTURES" if item.kind is Kind.INVERSE else f"{item.settle}-FUTURES"


def product(call: Call) -> str:
    """The product type that a request names, however it is spelt."""
    name = call.need("productType").upper()
    if name not in PRODUCTS and name not in DEMO:
        raise Refusal(Reason.PARAMETER, "productType")
    return name


def contract(call: Call) -> Instrument:
    """The contract that a request names, which must be of its product type."""
    name, kind = call.need("symbol").upper(), product(call)
    item = call.state.instrument(name, PRODUCTS.get(kind, Kind.LINEAR))
    if product_of(item) != kind:
        raise Refusal(Reason.SYMBOL, name)
    return item


def pair_entry(item: Instrument) -> dict[str, Any]:
    """A pair in spot/public/symbols."""
    return {
        "symbol": item.id, "baseCoin": item.base, "quoteCoin": item.quote, "minTradeAmount": "0",
        "maxTradeAmount": "900000000000000000000", "takerFeeRate": text(item.taker),
        "makerFeeRate": text(item.maker), "pricePrecision": str(decimals_of(item.tick)),
        "quantityPrecision": str(decimals_of(item.step)), "quotePrecision": "8", "status": "online",
        "minTradeUSDT": "1", "buyLimitPriceRatio": "0.05", "sellLimitPriceRatio": "0.05", "areaSymbol": "no",
        "orderQuantity": "200", "openTime": str(item.listed), "offTime": "",
    }  # fmt: skip


def contract_entry(item: Instrument) -> dict[str, Any]:
    """A contract in mix/market/contracts; a price is a multiple of `priceEndStep` in its last place."""
    places, expiry = decimals_of(item.tick), str(item.expiry or "")
    return {
        "symbol": item.id, "baseCoin": item.base, "quoteCoin": item.quote, "buyLimitPriceRatio": "0.05",
        "sellLimitPriceRatio": "0.05", "feeRateUpRatio": "0.005", "makerFeeRate": text(item.maker),
        "takerFeeRate": text(item.taker), "openCostUpRatio": "0.01", "supportMarginCoins": [item.settle],
        "minTradeNum": text(item.min_amount), "priceEndStep": text(item.tick.scaleb(places)),
        "volumePlace": str(decimals_of(item.step)), "pricePlace": str(places), "sizeMultiplier": text(item.step),
        "symbolType": "delivery" if item.expiry else "perpetual", "minTradeUSDT": "5", "maxSymbolOrderNum": "200",
        "maxProductOrderNum": "1000", "maxPositionNum": "150", "symbolStatus": "normal", "offTime": "-1",
        "limitOpenTime": "-1", "deliveryTime": expiry, "deliveryStartTime": str(item.listed) if expiry else "",
        "deliveryPeriod": "this_quarter" if expiry else "", "launchTime": "",
        "fundInterval": "" if expiry else str(item.funding_hours), "minLever": "1",
        "maxLever": str(item.max_leverage), "posLimit": "0.1", "maintainTime": "", "openTime": "",
        "maxMarketOrderQty": "220", "maxOrderQty": text(item.max_amount),
    }  # fmt: skip
