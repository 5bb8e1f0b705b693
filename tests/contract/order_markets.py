"""One market of each segment of five exchanges as CCXT describes it, as small as orders need it, by hand."""

from __future__ import annotations

from typing import Any

from metaexpert.exchanges.venues import Segment

SPOT, LINEAR, INVERSE, OPTION = Segment.SPOT, Segment.LINEAR, Segment.INVERSE, Segment.OPTION

EXPIRY = 1_798_185_600_000  # 2026-12-25 08:00 UTC
SYMBOLS = {
    SPOT: "BTC/USDT",
    LINEAR: "BTC/USDT:USDT",
    INVERSE: "BTC/USD:BTC",
    OPTION: "BTC/USDT:USDT-261225-50000-C",
}
IDS = {
    "binance": ("BTCUSDT", "BTCUSDT", "BTCUSD_PERP", "BTC-261225-50000-C"),
    "bybit": ("BTCUSDT", "BTCUSDT", "BTCUSD", "BTC-25DEC26-50000-C-USDT"),
    "okx": ("BTC-USDT", "BTC-USDT-SWAP", "BTC-USD-SWAP", "BTC-USD-261225-50000-C"),
    "bitget": ("BTCUSDT", "BTCUSDT", "BTCUSD"),
    "kucoin": ("BTC-USDT", "XBTUSDTM", "XBTUSDM"),
}
"""What the exchange calls them: spot, linear, inverse, option."""
CONTRACTS = {
    ("binance", INVERSE): 100.0,  # USD
    ("okx", LINEAR): 0.01,  # BTC
    ("okx", INVERSE): 100.0,  # USD
    ("okx", OPTION): 1.0,  # CCXT's, with a multiplier of 0.01 in `info`
    ("kucoin", LINEAR): 0.001,  # BTC
}
"""What one contract holds, where it is not 1."""
AMOUNT_STEPS = {
    ("binance", INVERSE): 1.0,
    ("bybit", INVERSE): 1.0,
    ("okx", LINEAR): 0.01,
    ("okx", INVERSE): 1.0,
    ("okx", OPTION): 1.0,
    ("bitget", INVERSE): 0.0001,
    ("kucoin", LINEAR): 1.0,
    ("kucoin", INVERSE): 1.0,
}
"""In the exchange's own unit, where it is not 0.001 (options: 0.01)."""
BINANCE_TYPES = {
    SPOT: ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"],
    LINEAR: [
        "LIMIT",
        "MARKET",
        "STOP",
        "STOP_MARKET",
        "TAKE_PROFIT",
        "TAKE_PROFIT_MARKET",
        "TRAILING_STOP_MARKET",
    ],
}


def symbol_of(exchange: str, segment: Segment) -> str:
    """The unified symbol; OKX settles options in coin."""
    return "BTC/USD:BTC-261225-50000-C" if (exchange, segment) == ("okx", OPTION) else SYMBOLS[segment]


def raw_market(exchange: str, segment: Segment) -> dict[str, Any]:
    """CCXT's description of the market."""
    symbol = symbol_of(exchange, segment)
    quote = "USDT" if "USDT" in symbol else "USD"
    settle = None if segment is SPOT else symbol.partition(":")[2].partition("-")[0]
    kind = {SPOT: "spot", OPTION: "option"}.get(segment, "swap")
    contract = segment is not SPOT
    return {
        "id": IDS[exchange][list(Segment).index(segment)],
        "symbol": symbol,
        "base": "BTC", "quote": quote, "settle": settle,
        "baseId": "BTC", "quoteId": quote, "settleId": settle,
        "type": kind,
        "spot": not contract, "margin": False, "swap": kind == "swap", "future": False, "option": kind == "option",
        "contract": contract, "active": True,
        "linear": quote == "USDT" if contract else None,
        "inverse": quote == "USD" if contract else None,
        "contractSize": CONTRACTS.get((exchange, segment), 1.0) if contract else None,
        "expiry": EXPIRY if segment is OPTION else None,
        "strike": 50_000.0 if segment is OPTION else None,
        "optionType": "call" if segment is OPTION else None,
        "taker": 0.001, "maker": 0.001,
        "precision": {
            "amount": AMOUNT_STEPS.get((exchange, segment), 0.01 if segment is OPTION else 0.001),
            "price": 5.0 if segment is OPTION else 0.1,
        },
        "limits": {
            "amount": {"min": None, "max": None}, "price": {"min": None, "max": None},
            "cost": {"min": None, "max": None}, "leverage": {"min": 1.0, "max": 100.0},
        },
        "info": {
            "orderTypes": BINANCE_TYPES.get(segment, BINANCE_TYPES[LINEAR]),
            "ctMult": "0.01" if segment is OPTION else "1",
            "quoteIncrement": "0.000001",
        },
    }  # fmt: skip
