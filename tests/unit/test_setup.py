"""What the setting up of a market believes, on answers written down here."""

import asyncio

import pytest

from metaexpert.errors import AuthenticationError, ConfigError
from metaexpert.exchanges.keys import KeyRights
from metaexpert.exchanges.plans import Terms
from metaexpert.exchanges.setup import set_up, terms_of
from metaexpert.exchanges.venues import VENUES, Segment
from metaexpert.models import ContractType, MarginMode, Market, MarketType, PositionMode

MARKET = Market(
    symbol="BTC/USDT:USDT", exchange="binance", type=MarketType.FUTURES, contract_type=ContractType.LINEAR,
    base="BTC", quote="USDT", settle="USDT", id="BTCUSDT", qty_step=0.001, price_tick=0.1,
)  # fmt: skip


class Scripted:
    """A caller that tells one leverage after the other, the last one for ever."""

    def __init__(self, *leverages, failure=None):
        self.venue, self.leverages, self.failure = VENUES["binance"], list(leverages), failure
        self.made, self.pauses = [], []

    async def read(self, doing, method, *arguments, private=False):
        if method == "fetch_position_mode":
            return {"hedged": False}
        told = self.leverages.pop(0) if len(self.leverages) > 1 else self.leverages[0]
        return [{"symbol": "BTCUSDT", "marginType": "CROSSED", "leverage": told}]

    async def set(self, doing, method, *arguments):
        self.made.append((method, *arguments))
        if self.failure is not None:
            raise self.failure

    async def sleep(self, seconds):
        self.pauses.append(seconds)


def test_a_change_may_be_told_a_moment_late():
    """10 before, 10 still when it is read back at once, then 5."""
    caller = Scripted(10, 10, 5)
    found = asyncio.run(set_up(caller, MARKET, Terms(5.0)))
    assert found == Terms(5.0, MarginMode.CROSS, PositionMode.ONEWAY)
    assert caller.made == [("set_leverage", 5, "BTC/USDT:USDT")]
    assert caller.pauses == [0.5]


def test_a_change_that_is_never_told_of_has_not_come_about():
    caller = Scripted(10)
    with pytest.raises(ConfigError) as caught:
        asyncio.run(set_up(caller, MARKET, Terms(5.0)))
    assert str(caught.value) == (
        "Binance BTC/USDT:USDT: its leverage is 10, not 5 as asked, and can't be changed now: "
        "close the positions and orders there, or write leverage=10"
    )
    assert caller.pauses == [0.5, 0.5]


def test_a_key_without_the_right_to_change_is_no_matter_of_settings():
    caller = Scripted(10, failure=AuthenticationError("no right"))
    with pytest.raises(AuthenticationError, match="no right"):
        asyncio.run(set_up(caller, MARKET, Terms(5.0)))


def test_terms_are_read_without_a_change():
    caller = Scripted(10)
    assert asyncio.run(terms_of(caller, MARKET, None, Terms())).leverage == 10.0
    assert caller.made == []


@pytest.mark.parametrize(
    ("rights", "words"),
    [
        (KeyRights(None, None, None), None),
        (KeyRights(None, True, None), None),
        (KeyRights(frozenset(), False, None), {"read"}),
        (KeyRights(frozenset({Segment.SPOT}), None, None), {"read"}),
        (KeyRights(frozenset({Segment.LINEAR}), True, None), {"read", "trade", "withdraw"}),
    ],
)
def test_the_rights_of_a_key_within_linear_contracts(rights, words):
    assert rights.inside(Segment.LINEAR) == words
