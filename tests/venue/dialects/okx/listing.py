"""What OKX lists, and how its instruments look; contracts are counted in contracts of `ctVal`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ...instruments import Instrument, Kind, Tiers, day_code, even, quarters, strikes, text

SPOT = (
    ("BTC", "USDT", "0.1", "0.00000001", "0.00001"), ("ETH", "USDT", "0.01", "0.000001", "0.001"),
    ("ETH", "BTC", "0.00001", "0.000001", "0.001"), ("DOGE", "USDT", "0.00001", "0.000001", "10"),
)  # fmt: skip
TIERS = Tiers(even(2_000, "0.004", 100, (1, 2, 4)), by_amount=True)
NUMBERS = {"SPOT": "3", "SWAP": "10459", "FUTURES": "20111", "OPTION": "30001"}


def instruments(now: int) -> list[Instrument]:
    """Spot pairs, contracts settled in USDT, USDC and coins, coin-settled options of the next quarter."""
    number, expiry = Decimal, quarters(now)[0]
    day = day_code(expiry)
    spot = [
        Instrument(
            id=f"{base}-{quote}", kind=Kind.SPOT, base=base, quote=quote, settle=quote, tick=number(tick),
            step=number(step), min_amount=number(least), max_amount=number(1_000_000), maker=number("0.0008"),
            taker=number("0.001"),
        )
        for base, quote, tick, step, least in SPOT
    ]  # fmt: skip
    linear = [
        Instrument(
            id=name, kind=Kind.LINEAR, base=base, quote=quote, settle=quote, tick=number(tick),
            step=number("0.01"), min_amount=number("0.01"), max_amount=number(100_000_000),
            contract=number(value), expiry=ends, tiers=TIERS,
        )
        for name, base, quote, ends, tick, value in (
            ("BTC-USDT-SWAP", "BTC", "USDT", None, "0.1", "0.01"),
            ("ETH-USDT-SWAP", "ETH", "USDT", None, "0.01", "0.1"),
            (f"BTC-USDT-{day}", "BTC", "USDT", expiry, "0.1", "0.01"),
            ("BTC-USDC-SWAP", "BTC", "USDC", None, "0.1", "0.0001"),
        )
    ]  # fmt: skip
    inverse = [
        Instrument(
            id=name, kind=Kind.INVERSE, base=base, quote="USD", settle=base, tick=number(tick),
            step=number(step), min_amount=number(step), max_amount=number(100_000_000), contract=number(value),
            expiry=ends, tiers=TIERS,
        )
        for name, base, ends, tick, step, value in (
            ("BTC-USD-SWAP", "BTC", None, "0.1", "0.1", 100), ("ETH-USD-SWAP", "ETH", None, "0.01", "0.1", 10),
            (f"BTC-USD-{day}", "BTC", expiry, "0.1", "0.1", 100),
        )
    ]  # fmt: skip
    options = [
        Instrument(
            id=f"{base}-USD-{day}-{text(strike)}-{'C' if call else 'P'}", kind=Kind.OPTION, base=base,
            quote="USD", settle=base, tick=number("0.0001"), step=number(1), min_amount=number(1),
            max_amount=number(1_000_000), contract=number(value), expiry=expiry, strike=strike, call=call,
            maker=number("0.0002"), taker=number("0.0003"),
        )
        for base, value in (("BTC", "0.01"), ("ETH", "0.1"))
        for strike in strikes(base)
        for call in (True, False)
    ]  # fmt: skip
    return spot + linear + inverse + options


def type_of(item: Instrument) -> str:
    """OKX's word for an instrument's kind, which tells dated contracts and not how they settle."""
    if item.margined:
        return "FUTURES" if item.expiry else "SWAP"
    return item.kind.value.upper()


def family_of(item: Instrument) -> str:
    """The index that an instrument follows."""
    return f"{item.base}-{item.quote}"


def entry_of(item: Instrument) -> dict[str, Any]:
    """An instrument in public/instruments; an option's real size is `ctVal` times `ctMult`."""
    spot, option = item.kind is Kind.SPOT, item.kind is Kind.OPTION
    sizes = {"ctMult": "", "ctVal": "", "ctValCcy": "", "ctType": ""}
    if item.margined:
        face = item.quote if item.kind is Kind.INVERSE else item.base
        sizes = {"ctMult": "1", "ctVal": text(item.contract), "ctValCcy": face, "ctType": item.kind.value}
    elif option:
        sizes = {"ctMult": text(item.contract), "ctVal": "1", "ctValCcy": item.base, "ctType": ""}
    most = text(item.max_amount)
    row = {
        "alias": "quarter" if item.margined and item.expiry else "", "auctionEndTime": "",
        "baseCcy": item.base if spot else "",
        "category": "1", "expTime": str(item.expiry or ""), "instFamily": "" if spot else family_of(item),
        "instId": item.id, "instType": type_of(item), "lever": "" if option else "10" if spot else "100",
        "listTime": str(item.listed), "lotSz": text(item.step), "maxIcebergSz": most, "maxLmtAmt": "20000000",
        "maxLmtSz": most, "maxMktAmt": "1000000" if spot else "", "maxMktSz": text(item.max_amount / 100),
        "maxStopSz": text(item.max_amount / 100), "maxTriggerSz": most, "maxTwapSz": most,
        "minSz": text(item.min_amount), "optType": ("C" if item.call else "P") if option else "",
        "quoteCcy": item.quote if spot else "", "ruleType": "normal", "settleCcy": "" if spot else item.settle,
        "state": "live", "stk": text(item.strike) if item.strike is not None else "", "tickSz": text(item.tick),
        "uly": "" if spot else family_of(item),
    }  # fmt: skip
    return row | sizes | ({} if option else _newer(item, spot=spot))


def _newer(item: Instrument, *, spot: bool) -> dict[str, Any]:
    """Fields of later years; the recorded options are older than they."""
    return {
        "contTdSwTime": "" if spot else str(item.listed), "freq": "",
        "futureSettlement": False, "groupId": "12" if spot else "4", "instCategory": "1",
        "instIdCode": NUMBERS[type_of(item)], "longPosRemainingQuota": "", "maxPlatOICoinLmt": "",
        "maxPlatOILmt": "", "method": "", "openType": "fix_price" if spot else "call_auction",
        "posLmtAmt": "" if spot else "250000", "posLmtPct": "" if spot else "30", "preMktSwTime": "",
        "seriesId": "", "shortPosRemainingQuota": "", "tradeQuoteCcyList": [item.quote] if spot else [],
        "upcChg": [],
    }  # fmt: skip
