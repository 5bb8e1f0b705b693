"""Prices, candles, trades and options of the exchanges in our models."""

import pytest

from metaexpert.answers import Greeks, OptionQuote
from metaexpert.errors import ExchangeError
from metaexpert.events import PublicTrade
from metaexpert.exchanges.convert import (
    book_of,
    candles_of,
    chain_of,
    funding_of,
    greeks_of,
    segment_of_raw,
    ticker_of,
    trades_of,
)
from metaexpert.models import ContractType, Market, MarketType, OrderBook, Ticker

DECEMBER, MARCH = 1_735_286_400_000, 1_743_148_800_000


def future(exchange, kind="linear", size=1.0, **more):
    quote, settle = ("USD", "BTC") if kind == "inverse" else ("USDT", "USDT")
    return Market(
        symbol=f"BTC/{quote}:{settle}", exchange=exchange, type=MarketType.FUTURES, base="BTC", quote=quote,
        settle=settle, contract_type=ContractType(kind), contract_size=size, **more,
    )  # fmt: skip


# --- prices, candles, trades ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "segment"),
    [
        ({"type": "spot"}, "spot"),
        ({"type": "swap", "inverse": False}, "linear"),
        ({"type": "future", "inverse": True}, "inverse"),
        ({"type": "option", "inverse": True}, "option"),
    ],
)
def test_the_segment_of_a_market(raw, segment):
    assert segment_of_raw(raw) == segment


def test_a_ticker_has_what_the_exchange_says():
    raw = {"timestamp": None, "bid": 1.0, "ask": None, "last": 2.0, "markPrice": 3.0}
    market = future("okx")
    assert ticker_of(raw, market) == Ticker(0, market.symbol, 1.0, None, 2.0, 3.0, None)


def test_a_book_counts_our_units():
    """13,807 contracts of 0.01 BTC are 138.07 BTC; 0.5 BTC at 40,000 are 20,000 USD."""
    raw = {"timestamp": 9, "bids": [[43466.3, 13807, 0], [43466.2, 1, 0]], "asks": [[43466.4, 100, 0]]}
    market = future("okx", size=0.01)
    assert book_of(raw, market, 1) == OrderBook(9, market.symbol, ((43466.3, 138.07),), ((43466.4, 1.0),))
    market = future("bitget", "inverse", amount_step=0.0001)
    assert book_of({"bids": [[40_000.0, 0.5]], "asks": []}, market).bids == ((40_000.0, 20_000.0),)


@pytest.mark.parametrize(
    ("market", "told", "base"),
    [
        (future("binance"), 2.0, 2.0),
        (future("binance", "inverse", 100.0), 2.0, 2.0),
        (future("okx", size=0.01), 2.0, 2.0),
        (future("bitget", "inverse", amount_step=0.0001), 80_000.0, 2.0),  # USD, at a mean of 40,000
        (future("kucoin", size=0.001), 2_000.0, 2.0),  # lots
        (future("kucoin", "inverse", 1.0), 80_000.0, 2.0),  # contracts of 1 USD
    ],
)
def test_the_volume_of_every_candle_is_in_base(market, told, base):
    rows = candles_of([[60_000, 40_100, 40_200, 39_800, 39_900, told]], market)
    assert rows == [(60_000, 40_100.0, 40_200.0, 39_800.0, 39_900.0, base)]


def test_candles_without_a_price_are_left_out_and_without_volume_have_none():
    rows = candles_of([[0, None, None, None, None, 0], [60_000, 1, 1, 1, 1, None]], future("okx"))
    assert rows == [(60_000, 1.0, 1.0, 1.0, 1.0, 0.0)]


def test_funding_is_in_the_order_of_time():
    raw = [{"timestamp": 2, "fundingRate": -0.1}, {"timestamp": 1, "fundingRate": 0.2}, {"fundingRate": None}]
    assert funding_of(raw) == [(1, 0.2), (2, -0.1)]


def test_trades_count_our_units_and_have_the_side_of_the_taker():
    raw = [
        {"timestamp": 5, "price": 50_000.0, "amount": 3.0, "side": "sell", "id": "8"},
        {"timestamp": 4, "price": 50_000.0, "amount": 1.0, "side": None, "id": None},
    ]
    market = future("binance", "inverse", 100.0)
    assert trades_of(raw, market) == [
        PublicTrade(4, market.symbol, "", 50_000.0, 100.0, 0),
        PublicTrade(5, market.symbol, "8", 50_000.0, 300.0, -1),
    ]
    with pytest.raises(ExchangeError, match="without time, price or amount"):
        trades_of([{"timestamp": None, "price": 1.0, "amount": 1.0}], future("okx"))


# --- options --------------------------------------------------------------------------------------------------


def option(exchange="bybit", strike=60_000.0, kind="call", expiry=DECEMBER):
    return Market(
        symbol=f"BTC/USDT:USDT-{expiry}-{strike:g}-{kind[0].upper()}", exchange=exchange, type=MarketType.OPTIONS,
        base="BTC", quote="USDT", settle="USDT", expiry=expiry, strike=strike, option_type=kind,
    )  # fmt: skip


def told(market, **more):
    return {
        "symbol": market.symbol, "timestamp": 1_000, "delta": 0.5, "gamma": 0.00004, "theta": -24.9, "vega": 69.1,
        "markImpliedVolatility": 0.55, "bidImpliedVolatility": 0.0, "askImpliedVolatility": 0.56,
        "markPrice": 3273.0, "underlyingPrice": 61_000.0, "info": {},
    } | more  # fmt: skip


def test_greeks_as_they_are_told():
    market = option()
    assert greeks_of(told(market), market) == Greeks(
        time=1_000, symbol=market.symbol, delta=0.5, gamma=0.00004, theta=-24.9, vega=69.1, mark_iv=0.55,
        bid_iv=None, ask_iv=0.56, mark_price=3273.0, underlying_price=61_000.0,
    )  # fmt: skip


def test_okx_greeks_are_those_in_quote():
    """CCXT takes the ones in BTC: a delta that the premium is part of, a theta of -0.00042 BTC."""
    market = option("okx")
    info = {
        "deltaBS": "0.7325",
        "gammaBS": "0.0000241",
        "thetaBS": "-18.52",
        "vegaBS": "74.44",
        "fwdPx": "37675.8",
    }
    raw = told(market, delta=0.51, gamma=-0.13, theta=-0.00042, vega=0.002, underlyingPrice=None, info=info)
    found = greeks_of(raw, market)
    assert (found.delta, found.gamma, found.theta, found.vega) == (0.7325, 0.0000241, -18.52, 74.44)
    assert found.underlying_price == 37675.8


@pytest.mark.parametrize(("exchange", "change"), [("bybit", {"vega": None}), ("okx", {"info": {"deltaBS": ""}})])
def test_greeks_that_are_not_all_there_are_refused(exchange, change):
    market = option(exchange)
    with pytest.raises(ExchangeError, match="tells no greeks of BTC/USDT:USDT"):
        greeks_of(told(market, **change), market)


def test_a_chain_is_in_the_order_of_expiry_strike_call_and_put():
    markets = [option(expiry=MARCH), option(strike=70_000.0), option(kind="put"), option()]
    found = chain_of({}, {}, markets)
    assert [(one.expiry, one.strike, one.option_type) for one in found] == [
        (DECEMBER, 60_000.0, "call"),
        (DECEMBER, 60_000.0, "put"),
        (DECEMBER, 70_000.0, "call"),
        (MARCH, 60_000.0, "call"),
    ]
    assert found[0] == OptionQuote(
        time=0, symbol=markets[3].symbol, expiry=DECEMBER, strike=60_000.0, option_type="call"
    )


@pytest.mark.parametrize(
    ("exchange", "quote", "volume"),
    [
        ("binance", {"bid": 3205.0, "ask": 0.0, "last": 3230.0, "info": {"volume": "12.5"}}, 12.5),
        (
            "bybit",  # CCXT takes the volume of all time
            {"bidPrice": 3205.0, "askPrice": 0.0, "lastPrice": 3230.0, "baseVolume": 22.0,
             "openInterest": 19.67, "info": {"volume24h": "4.56", "totalVolume": "22"}},
            4.56,
        ),
        ("okx", {"bidPrice": 3205.0, "askPrice": None, "lastPrice": 3230.0, "info": {"volCcy24h": "3"}}, 3.0),
    ],
)  # fmt: skip
def test_a_quote_with_its_greeks(exchange, quote, volume):
    market = option(exchange)
    own = {f"{name}BS": 1.0 for name in ("delta", "gamma", "theta", "vega")}
    greeks = told(market, info=own)
    (found,) = chain_of({market.symbol: {"timestamp": 2_000} | quote}, {market.symbol: greeks}, [market])
    assert (found.time, found.bid, found.ask, found.last, found.volume) == (2_000, 3205.0, None, 3230.0, volume)
    assert (found.mark_price, found.underlying_price) == (3273.0, 61_000.0)
    assert found.open_interest == quote.get("openInterest")
    assert found.greeks == greeks_of(greeks, market)


def test_an_option_without_greeks_still_has_its_prices():
    market = option()
    (found,) = chain_of({market.symbol: {"bidPrice": 5.0}}, {market.symbol: told(market, delta=None)}, [market])
    assert (found.bid, found.greeks, found.mark_price) == (5.0, None, 3273.0)
