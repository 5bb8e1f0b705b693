"""What a person types becomes one market."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert.errors import ConfigError
from metaexpert.exchanges.demo import Demo
from metaexpert.exchanges.symbols import BASES, expiry_ms, parse_symbol, resolve, split_pair
from metaexpert.models import ContractType, Market, MarketType


@pytest.mark.parametrize(
    ("text", "kind", "contract", "symbol"),
    [
        ("BTCUSDT", "spot", None, "BTC/USDT"),
        ("btc-usdt", "spot", None, "BTC/USDT"),
        ("BTC_USDT", "spot", None, "BTC/USDT"),
        ("BTC/USDT", "spot", None, "BTC/USDT"),
        (" ethbtc ", "spot", None, "ETH/BTC"),
        ("BNBUSD", "spot", None, "BNB/USD"),
        ("DOTUSD", "spot", None, "DOT/USD"),
        ("XBTUSDT", "spot", None, "BTC/USDT"),
        ("币安人生USDT", "spot", None, "币安人生/USDT"),
        ("BTCUSDT", "futures", "linear", "BTC/USDT:USDT"),
        ("BTC/USDT", "futures", None, "BTC/USDT:USDT"),
        ("BTC/USDT:USDT", "futures", "linear", "BTC/USDT:USDT"),
        ("BTC-USDT-SWAP", "futures", "linear", "BTC/USDT:USDT"),
        ("XBTUSDTM", "futures", "linear", "BTC/USDT:USDT"),
        ("BTCUSDT.P", "futures", "linear", "BTC/USDT:USDT"),
        ("BTCUSDT_231229", "futures", "linear", "BTC/USDT:USDT-231229"),
        ("BTCUSDT-29DEC23", "futures", "linear", "BTC/USDT:USDT-231229"),
        ("BTCUSD", "futures", "inverse", "BTC/USD:BTC"),
        ("btcusd_perp", "futures", "inverse", "BTC/USD:BTC"),
        ("BTC-USD-SWAP", "futures", "inverse", "BTC/USD:BTC"),
        ("XBTUSDM", "futures", "inverse", "BTC/USD:BTC"),
        ("BTC-30MAY25-70000-C-USDT", "options", None, "BTC/USDT:USDT-250530-70000-C"),
        ("ETH-231229-800-C", "options", None, "ETH/USDT:USDT-231229-800-C"),
        ("BTC-USD-241227-60000-P", "options", None, "BTC/USD:BTC-241227-60000-P"),
        ("BTC/USDT:USDT-251226-100000-C", "options", None, "BTC/USDT:USDT-251226-100000-C"),
    ],
)
def test_every_usual_form_is_read(text, kind, contract, symbol):
    assert parse_symbol(text, kind, contract).symbol == symbol


def test_the_parts_of_an_option_are_told():
    parsed = parse_symbol("BTC-USD-241227-60000-P", "options", None)
    assert parsed == ("BTC/USD:BTC-241227-60000-P", "BTC", "USD", "BTC", "241227", 60000.0, "put")
    assert expiry_ms("241227") == 1_735_286_400_000  # 2024-12-27 08:00 UTC


@pytest.mark.parametrize(
    ("text", "kind", "contract", "said"),
    [
        ("foo", "spot", None, "is no symbol"),
        ("", "spot", None, "is no symbol"),
        ("USDT", "spot", None, "is no symbol"),
        ("../etc/passwd", "spot", None, "is no symbol"),
        ("BTC-USDT-SWAP", "spot", None, "is a futures symbol but market_type is 'spot'"),
        ("BTC/USD:BTC", "futures", "linear", "is inverse but contract_type is 'linear'"),
        ("BTC/USDT:USDT", "futures", "inverse", "is linear but contract_type is 'inverse'"),
        ("BTCUSDT", "futures", "inverse", "inverse contracts are quoted in USD, e.g. BTC/USD:BTC"),
        ("BTCUSDT", "options", None, "is no option symbol; write it like BTC/USDT:USDT-251226-100000-C"),
        ("BTC/BTC", "spot", None, "the same currency on both sides"),
        ("BTC-99XXX25-1-C-USDT", "options", None, "is no expiry"),
    ],
)
def test_a_wrong_symbol_is_refused_with_the_reason(text, kind, contract, said):
    with pytest.raises(ConfigError, match=said):
        parse_symbol(text, kind, contract)


def test_a_date_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="is no expiry"):
        expiry_ms("251340")


@given(
    base=st.sampled_from(BASES), quote=st.sampled_from(["USDT", "USDC", "USD", "EUR"]), sep=st.sampled_from("-_/")
)
def test_all_forms_of_a_pair_mean_the_same(base, quote, sep):
    assert split_pair(f"{base}{quote}") == split_pair(f"{base}{sep}{quote}") == (base, quote)
    unified = parse_symbol(f"{base}{sep}{quote}").symbol
    assert parse_symbol(unified).symbol == parse_symbol(unified.lower()).symbol == unified


@pytest.mark.shared
@pytest.mark.parametrize("exchange", ["binance", "bybit", "okx", "bitget", "kucoin", "kucoinfutures"])
def test_ids_of_real_markets_become_their_unified_symbols(shared, exchange):
    markets = json.loads((shared / f"data/ccxt_static/markets/{exchange}.json").read_text())
    for symbol, market in markets.items():
        kind = "options" if market.get("option") else "spot" if market["spot"] else "futures"
        contract = None if kind != "futures" else "inverse" if market.get("inverse") else "linear"
        assert parse_symbol(market["id"], kind, contract).symbol == symbol
        assert parse_symbol(symbol, kind, contract).symbol == symbol


def test_resolving_finds_exactly_one_market():
    markets = Demo().markets()
    assert resolve("btcusdt", markets, "spot").symbol == "BTC/USDT"
    assert resolve("BTCUSDT", markets, "futures", "linear").symbol == "BTC/USDT:USDT"
    assert resolve("BTCUSD", markets, "futures", "inverse").symbol == "BTC/USD:BTC"
    option = resolve("BTC/USDT:USDT-241227-60000-C", markets, "options", None)
    assert (option.type, option.strike, option.option_type) == (MarketType.OPTIONS, 60000.0, "call")


def test_an_unknown_symbol_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown spot symbol 'BTCUSDC'; nearest: BTC/USD, BTC/USDT"):
        resolve("BTCUSDC", Demo().markets(), "spot")


def test_a_base_alone_is_ambiguous():
    with pytest.raises(ConfigError, match=r"'BTC' is ambiguous; use one of BTC/USDT, BTC/USD"):
        resolve("BTC", Demo().markets(), "spot")


# --- markets that are listed ----------------------------------------------------------------------------------


def listed(symbol, name, **more):
    pair, _, settle = symbol.partition(":")
    base, quote = pair.split("/")
    settle = settle.partition("-")[0]
    kind = MarketType.OPTIONS if "option_type" in more else MarketType.FUTURES if settle else MarketType.SPOT
    future = ContractType.INVERSE if settle == base else ContractType.LINEAR
    known = {"contract_type": future} if kind is MarketType.FUTURES else {}
    return Market(
        symbol=symbol, exchange="x", id=name, type=kind, base=base, quote=quote, settle=settle or quote,
        **known | more,
    )  # fmt: skip


LISTED = [
    listed("BTC/USDT", "BTCUSDT"),
    listed("BTC/USDT:USDT", "BTCUSDT"),
    listed("BTC/USDC:USDC", "BTCPERP"),
    listed("BTC/USD:BTC", "BTCUSD"),
    listed("SOL/USD:USDC", "SOL-USD_UM-SWAP"),
    listed("1000PEPE/USDT:USDT", "1000PEPEUSDT"),
    listed("BTC/USDT:USDT-261225", "BTCUSDT-25DEC26", expiry=expiry_ms("261225")),
    listed("BTC/USD:BTC-261225", "BTCUSDZ26", expiry=expiry_ms("261225")),
    listed("BTC/USDT:USDT-261225-100000-C", "BTC-25DEC26-100000-C-USDT", expiry=1, strike=1e5, option_type="call"),
]


@pytest.mark.parametrize(
    ("text", "kind", "contract", "symbol"),
    [
        ("BTCUSDT", "spot", None, "BTC/USDT"),  # one id, two markets: the kind decides
        ("BTCUSDT", "futures", "linear", "BTC/USDT:USDT"),
        ("BTCUSD", "futures", "inverse", "BTC/USD:BTC"),
        ("btcperp", "futures", "linear", "BTC/USDC:USDC"),  # ids that can't be read as a pair
        ("BTCUSDZ26", "futures", "inverse", "BTC/USD:BTC-261225"),
        ("SOL-USD_UM-SWAP", "futures", "linear", "SOL/USD:USDC"),
        ("BTCUSDT-25DEC26", "futures", "linear", "BTC/USDT:USDT-261225"),
        ("BTC-USDT-261225", "futures", "linear", "BTC/USDT:USDT-261225"),  # as another exchange writes it
        ("SOLUSD", "futures", "linear", "SOL/USD:USDC"),  # the only contract of that pair
        ("BTC-25DEC26-100000-C-USDT", "options", None, "BTC/USDT:USDT-261225-100000-C"),
        ("BTC-261225-100000-C", "options", None, "BTC/USDT:USDT-261225-100000-C"),
    ],
)
def test_a_listed_market_is_found_by_its_id_its_symbol_and_the_usual_forms(text, kind, contract, symbol):
    assert resolve(text, LISTED, kind, contract).symbol == symbol


@pytest.mark.parametrize(
    ("text", "kind", "contract", "said"),
    [
        ("PEPEUSDT", "futures", "linear", r"unknown futures symbol 'PEPEUSDT'; nearest: 1000PEPE/USDT:USDT"),
        ("BTCUSDT-25DEC27", "futures", "linear", r"unknown .* nearest: BTC/USDT:USDT-261225, "),
        (
            "BTC",
            "futures",
            "linear",
            r"'BTC' is ambiguous; use one of BTC/USDT:USDT, BTC/USDC:USDC, BTC/USDT:USDT-2",
        ),
        ("BTC-25DEC26-110000-C-USDT", "options", None, r"nearest: BTC/USDT:USDT-261225-100000-C$"),
        ("BTCPERP", "spot", None, r"unknown spot symbol 'BTCPERP'; "),
        ("BTC/USDC:USDC", "spot", None, "is a futures symbol but market_type is 'spot'"),
        ("BTC/USDT:USDT", "futures", "inverse", "is linear but contract_type is 'inverse'"),
    ],
)
def test_what_is_not_listed_is_refused_with_the_nearest(text, kind, contract, said):
    with pytest.raises(ConfigError, match=said):
        resolve(text, LISTED, kind, contract)


def test_letter_case_decides_only_between_markets_that_differ_by_it():
    markets = [listed("Hot/USDT", "HotUSDT"), listed("HOT/USDT", "HOTUSDT")]
    assert resolve("Hot/USDT", markets, "spot").symbol == "Hot/USDT"
    assert resolve("HOTUSDT", markets, "spot").symbol == "HOT/USDT"
    assert resolve("hotusdt", markets[:1], "spot").symbol == "Hot/USDT"
    with pytest.raises(ConfigError, match="'hotusdt' is ambiguous; use one of Hot/USDT, HOT/USDT"):
        resolve("hotusdt", markets, "spot")


@given(st.text(max_size=12), st.sampled_from([("spot", None), ("futures", "linear"), ("options", None)]))
def test_any_text_names_a_market_or_is_refused_in_one_line(text, kind):
    try:
        assert resolve(text, LISTED, *kind) in LISTED
    except ConfigError as error:
        assert "\n" not in str(error).replace(text, "")  # noqa: PT017
