"""What is known of the exchanges agrees with the settings and with CCXT."""

import pytest

from metaexpert.config import ExchangeSettings
from metaexpert.errors import ConfigError
from metaexpert.exchanges.venues import VENUES, Segment, segment, venue_of
from metaexpert.models import ContractType, MarketType
from metaexpert.values import KNOWN_EXCHANGES


def test_every_exchange_of_the_settings_is_described():
    assert set(VENUES) == set(KNOWN_EXCHANGES) - {"demo", "local"}


@pytest.mark.parametrize("venue", VENUES.values(), ids=VENUES)
def test_options_are_offered_where_the_settings_allow_them(venue):
    try:
        ExchangeSettings(exchange=venue.id, market_type="options")
    except ConfigError:
        offered = False
    else:
        offered = True
    assert offered == (Segment.OPTION in venue.segments)
    assert set(venue.listed) == set(venue.segments)


@pytest.mark.parametrize("venue", VENUES.values(), ids=VENUES)
def test_passphrase_and_test_network_are_as_ccxt_has_them(venue):
    import ccxt.pro  # noqa: TID251

    client = getattr(ccxt.pro, venue.id)()
    assert client.requiredCredentials["password"] == venue.passphrase
    if not venue.testnet:
        with pytest.raises((TypeError, KeyError)):
            client.set_sandbox_mode(True)
    else:
        client.set_sandbox_mode(True)


def test_segments_of_what_a_person_asks_for():
    asked = [
        (MarketType.SPOT, None, Segment.SPOT),
        (MarketType.FUTURES, None, Segment.LINEAR),
        (MarketType.FUTURES, ContractType.LINEAR, Segment.LINEAR),
        (MarketType.FUTURES, ContractType.INVERSE, Segment.INVERSE),
        (MarketType.OPTIONS, None, Segment.OPTION),
    ]
    assert [segment(kind, contract) for kind, contract, _ in asked] == [answer for *_, answer in asked]


def test_an_unknown_exchange_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'binance'"):
        venue_of("binanse")
