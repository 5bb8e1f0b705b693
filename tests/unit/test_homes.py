"""Where protective levels have their home, by exchange and kind of market."""

from dataclasses import replace

import pytest
from desk import INVERSE, LINEAR, SPOT, market

from metaexpert.broker.homes import home_of, homes_of
from metaexpert.errors import ConfigError
from metaexpert.exchanges.capabilities import Support
from metaexpert.models import MarketType

EXCHANGES = ("binance", "bybit", "okx", "bitget", "kucoin")
OPTION = "BTC/USDT:USDT-261225-60000-C"


def on(exchange, symbol=LINEAR, **more):
    return replace(market(symbol), exchange=exchange, **more)


def option(exchange):
    return replace(
        on(exchange),
        symbol=OPTION,
        type=MarketType.OPTIONS,
        contract_type=None,
        option_type="call",
        strike=60_000.0,
    )


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_contracts_are_protected_on_the_exchange_and_spot_by_the_expert(exchange):
    assert home_of(on(exchange)).place is Support.NATIVE
    assert home_of(on(exchange, INVERSE)).is_native
    spot = home_of(on(exchange, SPOT))
    assert spot.place is Support.EMULATED
    assert "only while it runs" in spot.why


@pytest.mark.parametrize("exchange", ["binance", "bybit", "okx"])
def test_options_are_watched_by_the_expert(exchange):
    assert home_of(option(exchange)).place is Support.EMULATED


def test_the_homes_of_several_markets_are_told_by_symbol():
    homes = homes_of([on("okx"), option("okx")])
    assert {symbol: home.is_native for symbol, home in homes.items()} == {LINEAR: True, OPTION: False}


def test_contracts_that_are_counted_in_coins_are_not_traded_live():
    """1,000 USD bought at 50,000 are 0.02 BTC; 1,000 USD sold at 55,000 are 0.0182, which would leave a rest."""
    with pytest.raises(ConfigError, match="Bitget counts its inverse contracts in BTC, whose worth in USD moves"):
        homes_of([on("bitget", INVERSE, amount_step=0.0001)])


def test_an_exchange_that_nobody_knows_is_named():
    with pytest.raises(ConfigError, match="demo"):
        home_of(market(LINEAR))
