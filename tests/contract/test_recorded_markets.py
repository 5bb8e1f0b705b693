"""Recorded markets of the five exchanges become `Market`s, field by field.

The expectations are read by hand from what each exchange itself says of the market (``info``), in our units: base,
and face value in quote for inverse contracts.
"""

import json
from pathlib import Path
from types import MappingProxyType

import ccxt  # noqa: TID251
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert import rules
from metaexpert.errors import ConfigError, DataError
from metaexpert.exchanges.markets import amount_text, market_of, price_text, to_amount, to_qty
from metaexpert.exchanges.symbols import resolve

RECORDED = ("binance", "bybit", "okx", "bitget", "kucoin", "kucoinfutures")
RAW = {"binance_coinm_2026-02-08": "binance", "bybit_options_2026-02-08": "bybit"}

EVERY = MappingProxyType({  # what holds unless a market below says otherwise
    "type": "spot", "base": "BTC", "quote": "USDT", "settle": "USDT", "contract_type": None, "contract_size": 1.0,
    "min_notional": 0.0, "max_notional": None, "max_qty": None, "max_market_qty": None, "max_leverage": 1.0,
    "maintenance_margin_rate": 0.005, "liquidation_fee_rate": 0.005, "expiry": None, "strike": None,
    "option_type": None, "synthetic": False, "tiers": (), "amount_step": None,
})  # fmt: skip
LINEAR = EVERY | {"type": "futures", "contract_type": "linear"}
INVERSE = EVERY | {"type": "futures", "contract_type": "inverse", "quote": "USD", "settle": "BTC"}
OPTION = EVERY | {"type": "options", "option_type": "put"}

EXPECTED = {
    ("binance", "BTC/USDT"): EVERY | {  # LOT_SIZE, NOTIONAL, MARKET_LOT_SIZE
        "id": "BTCUSDT", "price_tick": 0.01, "qty_step": 0.00001, "min_qty": 0.00001, "max_qty": 9_000.0,
        "min_notional": 5.0, "max_notional": 9_000_000.0, "max_market_qty": 162.41903995,
        "maker": 0.001, "taker": 0.001,
    },
    ("binance", "BTC/USDT:USDT"): LINEAR | {
        "id": "BTCUSDT", "price_tick": 0.1, "qty_step": 0.001, "min_qty": 0.001, "max_qty": 1_000.0,
        "min_notional": 50.0, "max_market_qty": 120.0, "maker": 0.0002, "taker": 0.0005, "max_leverage": 125.0,
        "liquidation_fee_rate": 0.0125,
    },
    ("binance", "BTC/USD:BTC"): INVERSE | {  # contracts of 100 USD
        "id": "BTCUSD_PERP", "contract_size": 100.0, "price_tick": 0.1, "qty_step": 100.0, "min_qty": 100.0,
        "max_qty": 100_000_000.0, "max_market_qty": 6_000_000.0, "maker": 0.0001, "taker": 0.0005,
        "max_leverage": 125.0, "liquidation_fee_rate": 0.015,
    },
    ("binance_coinm_2026-02-08", "BTC/USD:BTC-260327"): INVERSE | {
        "id": "BTCUSD_260327", "contract_size": 100.0, "price_tick": 0.1, "qty_step": 100.0, "min_qty": 100.0,
        "max_qty": 100_000_000.0, "max_market_qty": 100_000.0, "maker": 0.0001, "taker": 0.0005,
        "max_leverage": 125.0, "liquidation_fee_rate": 0.01, "expiry": 1_774_598_400_000,
    },
    ("bybit", "BTC/USDT"): EVERY | {
        "id": "BTCUSDT", "price_tick": 0.1, "qty_step": 0.000001, "min_qty": 0.000001, "max_qty": 230.0,
        "min_notional": 5.0, "max_notional": 8_000_000.0, "max_market_qty": 120.0, "maker": 0.001, "taker": 0.001,
    },
    ("bybit", "BTC/USDT:USDT"): LINEAR | {
        "id": "BTCUSDT", "price_tick": 0.1, "qty_step": 0.001, "min_qty": 0.001, "max_qty": 1_500.0,
        "min_notional": 5.0, "max_market_qty": 150.0, "maker": 0.0001, "taker": 0.0006, "max_leverage": 100.0,
    },
    ("bybit", "BTC/USD:BTC"): INVERSE | {  # counted in USD
        "id": "BTCUSD", "price_tick": 0.1, "qty_step": 1.0, "min_qty": 1.0, "max_qty": 25_000_000.0,
        "min_notional": 5.0, "max_market_qty": 5_000_000.0, "maker": 0.0001, "taker": 0.0006,
        "max_leverage": 100.0,
    },
    ("bybit_options_2026-02-08", "DOGE/USDT:USDT-260327-0.22-P"): OPTION | {
        "id": "DOGE-27MAR26-0.22-P-USDT", "base": "DOGE", "price_tick": 0.00001, "qty_step": 100.0,
        "min_qty": 100.0,
        "max_qty": 4_000_000.0, "maker": 0.0002, "taker": 0.0003, "expiry": 1_774_598_400_000, "strike": 0.22,
    },
    ("okx", "BTC/USDT"): EVERY | {  # the largest cost of a limit order; market orders may cost 1,000,000
        "id": "BTC-USDT", "price_tick": 0.1, "qty_step": 0.00000001, "min_qty": 0.00001,
        "max_notional": 20_000_000.0, "maker": 0.001, "taker": 0.0015,
    },
    ("okx", "BTC/USDT:USDT"): LINEAR | {  # contracts of 0.01 BTC in steps of 0.01; 35,000 of them at market
        "id": "BTC-USDT-SWAP", "contract_size": 0.01, "price_tick": 0.1, "qty_step": 0.0001, "min_qty": 0.0001,
        "max_market_qty": 350.0, "maker": 0.0002, "taker": 0.0005, "max_leverage": 100.0,
    },
    ("okx", "BTC/USD:BTC"): INVERSE | {  # contracts of 100 USD in steps of 0.1; 49,000 of them at market
        "id": "BTC-USD-SWAP", "contract_size": 100.0, "price_tick": 0.1, "qty_step": 10.0, "min_qty": 10.0,
        "max_market_qty": 4_900_000.0, "maker": 0.0002, "taker": 0.0005, "max_leverage": 100.0,
    },
    ("okx", "BTC/USD:BTC-241227-60000-P"): OPTION | {  # ctVal 1 BTC * ctMult 0.01; 5,000 of them at market
        "id": "BTC-USD-241227-60000-P", "quote": "USD", "settle": "BTC", "contract_size": 0.01,
        "price_tick": 0.0001,
        "qty_step": 0.01, "min_qty": 0.01, "max_market_qty": 50.0, "maker": 0.0002, "taker": 0.0003,
        "expiry": 1_735_286_400_000, "strike": 60_000.0,
    },
    ("bitget", "BTC/USDT"): EVERY | {
        "id": "BTCUSDT", "price_tick": 0.01, "qty_step": 0.000001, "min_qty": 0.0, "max_qty": 9e20,
        "min_notional": 1.0, "maker": 0.002, "taker": 0.002,
    },
    ("bitget", "BTC/USDT:USDT"): LINEAR | {
        "id": "BTCUSDT", "price_tick": 0.1, "qty_step": 0.0001, "min_qty": 0.0001, "max_qty": 1_200.0,
        "min_notional": 5.0, "max_market_qty": 220.0, "maker": 0.0002, "taker": 0.0006, "max_leverage": 125.0,
    },
    ("bitget", "BTC/USD:BTC"): INVERSE | {  # counted in BTC there
        "id": "BTCUSD", "price_tick": 0.1, "qty_step": 1.0, "min_qty": 0.0, "min_notional": 5.0, "maker": 0.0002,
        "taker": 0.0006, "max_leverage": 125.0, "amount_step": 0.0001,
    },
    ("kucoin", "BTC/USDT"): EVERY | {
        "id": "BTC-USDT", "price_tick": 0.1, "qty_step": 0.00000001, "min_qty": 0.00001,
        "max_qty": 10_000_000_000.0,
        "min_notional": 0.1, "max_notional": 99_999_999.0, "maker": 0.001, "taker": 0.001,
    },
    ("kucoin", "BTC/USDT:USDT"): LINEAR | {  # lots of 0.001 BTC, at most 1,000,000
        "id": "XBTUSDTM", "contract_size": 0.001, "price_tick": 0.1, "qty_step": 0.001, "min_qty": 0.001,
        "max_qty": 1_000.0, "max_market_qty": 1_000.0, "maker": 0.0002, "taker": 0.0006, "max_leverage": 125.0,
        "maintenance_margin_rate": 0.004,
    },
    ("kucoin", "BTC/USD:BTC"): INVERSE | {  # lots of 1 USD
        "id": "XBTUSDM", "price_tick": 0.1, "qty_step": 1.0, "min_qty": 1.0, "max_qty": 1_000_000.0,
        "max_market_qty": 1_000_000.0, "maker": 0.0002, "taker": 0.0006, "max_leverage": 75.0,
        "maintenance_margin_rate": 0.007,
    },
    ("kucoinfutures", "OMNI/USDT:USDT"): LINEAR | {  # a perpetual that is about to be settled for good
        "id": "OMNIUSDTM", "base": "OMNI", "contract_size": 0.1, "price_tick": 0.001, "qty_step": 0.1,
        "min_qty": 0.1,
        "max_qty": 100_000.0, "maker": 0.0002, "taker": 0.0006, "max_leverage": 30.0, "expiry": 1_758_528_000_000,
        "maintenance_margin_rate": 0.017,
    },
}  # fmt: skip


def exchange_of(file):
    return RAW.get(file, file.removesuffix("futures"))


def recorded(shared: Path, file):
    if file in RAW:
        return json.loads((shared / f"data/markets_from_raw/{file}.json").read_text())["markets"]
    return list(json.loads((shared / f"data/ccxt_static/markets/{file}.json").read_text()).values())


def markets_of(shared, file):
    """Every recorded market that can be traded; those cut down to a name are refused."""
    found = []
    for raw in recorded(shared, file):
        if raw.get("precision", {}).get("amount") is None:
            with pytest.raises(DataError, match=raw["symbol"]):
                market_of(raw, exchange_of(file))
        else:
            found.append(market_of(raw, exchange_of(file)))
    return found


@pytest.mark.shared
@pytest.mark.parametrize(("file", "symbol"), EXPECTED, ids=lambda part: part)
def test_every_field_of_a_recorded_market(shared, file, symbol):
    raw = next(one for one in recorded(shared, file) if one["symbol"] == symbol)
    expected = EXPECTED[file, symbol] | {"symbol": symbol, "exchange": exchange_of(file)}
    assert market_of(raw, exchange_of(file)).as_dict() == expected


@pytest.mark.shared
@pytest.mark.parametrize("file", [*RECORDED, *RAW])
def test_every_recorded_market_is_found_by_its_id_and_its_symbol(shared, file):
    markets = markets_of(shared, file)
    assert len(markets) > 5
    for market in markets:
        for text in (market.id, market.id.lower(), market.symbol, market.symbol.lower()):
            assert resolve(text, markets, market.type, market.contract_type) == market
    for market in markets[::25]:
        with pytest.raises(ConfigError):
            resolve(f"{market.id}X", markets, market.type, market.contract_type)


@pytest.mark.shared
@pytest.mark.parametrize("file", [*RECORDED, *RAW])
@given(share=st.floats(1e-6, 1.0), price=st.floats(1e-3, 1e6))
def test_quantities_and_prices_of_every_recorded_market_survive_the_way_there_and_back(shared, file, share, price):
    for market in markets_of(shared, file)[::7]:
        tick = market.price_tick
        on_tick = rules.limit_price(max(price, tick), 1, tick)
        assert float(price_text(market, on_tick)) == on_tick
        steps = max(1, int(share * 1e7))
        qty = rules.round_down(steps * market.qty_step, market.qty_step)
        if market.amount_step is None:
            text = amount_text(market, qty)
            assert "e" not in text
            assert to_qty(market, float(text)) == qty
            assert to_amount(market, qty) == pytest.approx(qty / market.contract_size, rel=1e-12)
        else:
            wanted = max(qty, 2.0 * market.amount_step * on_tick)
            back = to_qty(market, float(amount_text(market, wanted, on_tick)), on_tick)
            assert wanted - back + 1e-6 * wanted >= 0.0
            assert wanted - back <= market.amount_step * on_tick * (1 + 1e-6)


# --- dated futures that nobody recorded: what the exchange documents, read by CCXT -----------------------------

OKX_DATED = {
    "instType": "FUTURES", "instId": "BTC-USD-261225", "uly": "BTC-USD", "baseCcy": "", "quoteCcy": "",
    "settleCcy": "BTC", "ctVal": "100", "ctMult": "1", "ctValCcy": "USD", "ctType": "inverse", "stk": "",
    "optType": "", "expTime": "1798185600000", "lever": "20", "tickSz": "0.1", "lotSz": "1", "minSz": "1",
    "maxLmtSz": "1000000", "maxMktSz": "3000", "state": "live",
}  # fmt: skip
BYBIT_DATED = {
    "symbol": "BTCUSDT-25DEC26", "contractType": "LinearFutures", "status": "Trading", "baseCoin": "BTC",
    "quoteCoin": "USDT", "settleCoin": "USDT", "deliveryTime": "1798185600000", "deliveryFeeRate": "0.0002",
    "leverageFilter": {"minLeverage": "1", "maxLeverage": "50.00", "leverageStep": "0.01"},
    "priceFilter": {"minPrice": "0.5", "maxPrice": "999999.0", "tickSize": "0.5"},
    "lotSizeFilter": {
        "maxOrderQty": "119.000", "minOrderQty": "0.001", "qtyStep": "0.001", "maxMktOrderQty": "20.000",
        "minNotionalValue": "5",
    },
}  # fmt: skip
BITGET_DATED = {
    "symbol": "BTCUSDZ26", "baseCoin": "BTC", "quoteCoin": "USD", "makerFeeRate": "0.0002",
    "takerFeeRate": "0.0006",
    "supportMarginCoins": ["BTC"], "minTradeNum": "0.001", "priceEndStep": "5", "volumePlace": "3",
    "pricePlace": "1",
    "sizeMultiplier": "0.001", "symbolType": "delivery", "minTradeUSDT": "5", "symbolStatus": "normal",
    "deliveryTime": "1798185600000", "launchTime": "", "minLever": "1", "maxLever": "50",
}  # fmt: skip
KUCOIN_DATED = {
    "symbol": "XBTMZ26", "rootSymbol": "XBT", "type": "FFICSX", "baseCurrency": "XBT", "quoteCurrency": "USD",
    "settleCurrency": "XBT", "expireDate": 1_798_185_600_000, "settleDate": 1_798_185_600_000,
    "maxOrderQty": 10_000_000,
    "marketMaxOrderQty": 1_000_000, "maxPrice": 1_000_000, "lotSize": 1, "tickSize": 0.1, "multiplier": -1,
    "initialMargin": 0.05, "maintainMargin": 0.025, "makerFeeRate": 0.0002, "takerFeeRate": 0.0006,
    "isInverse": True,
    "status": "Open", "maxLeverage": 20,
}  # fmt: skip

DATED = {
    "okx": (OKX_DATED, "BTC/USD:BTC-261225", INVERSE | {
        "id": "BTC-USD-261225", "contract_size": 100.0, "price_tick": 0.1, "qty_step": 100.0, "min_qty": 100.0,
        "max_qty": 100_000_000.0, "max_market_qty": 300_000.0, "maker": 0.0002, "taker": 0.0005,
        "max_leverage": 20.0,
    }),
    "bybit": (BYBIT_DATED, "BTC/USDT:USDT-261225", LINEAR | {
        "id": "BTCUSDT-25DEC26", "price_tick": 0.5, "qty_step": 0.001, "min_qty": 0.001, "max_qty": 119.0,
        "max_market_qty": 20.0, "min_notional": 5.0, "maker": 0.0001, "taker": 0.0006, "max_leverage": 50.0,
    }),
    "bitget": (BITGET_DATED, "BTC/USD:BTC-261225", INVERSE | {
        "id": "BTCUSDZ26", "price_tick": 0.5, "qty_step": 1.0, "min_qty": 0.0, "amount_step": 0.001,
        "min_notional": 5.0, "maker": 0.0002, "taker": 0.0006, "max_leverage": 50.0,
    }),
    "kucoin": (KUCOIN_DATED, "BTC/USD:BTC-261225", INVERSE | {
        "id": "XBTMZ26", "price_tick": 0.1, "qty_step": 1.0, "min_qty": 1.0, "max_qty": 10_000_000.0,
        "max_market_qty": 1_000_000.0, "maker": 0.0002, "taker": 0.0006, "max_leverage": 20.0,
        "maintenance_margin_rate": 0.025,
    }),
}  # fmt: skip


def parsed(exchange, answer):
    """What the installed CCXT makes of one market that the exchange lists."""
    client = getattr(ccxt, exchange)()
    body = {"okx": {"data": [answer]}, "kucoin": {"data": [answer]}, "bitget": {"data": [answer]}}
    client.request = lambda *_, **__: body.get(exchange, {"result": {"list": [answer], "category": "linear"}})
    if exchange == "okx":
        return client.parse_market(answer)
    if exchange == "bybit":
        return client.fetch_future_markets({"category": "linear"})[0]
    if exchange == "kucoin":
        return client.fetch_contract_markets()[0]
    client.options["fetchMarkets"] = {"types": ["swap"]}
    return client.fetch_default_markets({})[0]


@pytest.mark.parametrize("exchange", DATED)
def test_every_field_of_a_documented_dated_future(exchange):
    answer, symbol, fields = DATED[exchange]
    expected = fields | {"symbol": symbol, "exchange": exchange, "expiry": 1_798_185_600_000}
    market = market_of(parsed(exchange, answer), exchange)
    assert market.as_dict() == expected
    assert resolve(market.id.lower(), [market], "futures", market.contract_type) == market


def test_contracts_of_okx_that_are_worth_another_currency_are_refused():
    with pytest.raises(DataError, match="its contracts are worth BTC, not USD"):
        market_of(parsed("okx", OKX_DATED | {"ctValCcy": "BTC"}), "okx")


def test_the_smallest_order_of_bybits_inverse_contracts_is_not_their_size():
    answer = {**BYBIT_DATED, "contractType": "InverseFutures", "quoteCoin": "USD", "settleCoin": "BTC"}
    answer["lotSizeFilter"] = {"maxOrderQty": "1000000", "minOrderQty": "10", "qtyStep": "1"}
    raw = parsed("bybit", answer) | {"inverse": True, "linear": False, "contractSize": 10.0}
    market = market_of(raw, "bybit")
    assert (market.contract_size, market.qty_step, market.min_qty) == (1.0, 1.0, 10.0)
    assert amount_text(market, 250.0) == "250"
