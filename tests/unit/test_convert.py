"""Quotes and greeks of options in our models."""

import pytest

from metaexpert.answers import Greeks, OptionQuote
from metaexpert.errors import ExchangeError
from metaexpert.exchanges.convert import chain_of, greeks_of
from metaexpert.models import Market, MarketType

DECEMBER, MARCH = 1_735_286_400_000, 1_743_148_800_000


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
