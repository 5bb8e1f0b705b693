"""Where the protective levels of positions have their home: on the exchange, or with the running expert."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import ConfigError
from ..exchanges.capabilities import Feature, Support, support
from ..exchanges.venues import Segment, segment_of, venue_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..models import Market

__all__ = ["Home", "home_at", "home_of", "homes_of"]

_NATIVE = "stop and target stand on the exchange as reduce-only orders, also while the expert does not run"
_WATCHED = "the expert watches the price and closes at market when a level is reached: only while it runs"


class Home(NamedTuple):
    """Who keeps the protective levels of a market, and what that means, in words."""

    place: Support
    why: str

    @property
    def is_native(self) -> bool:
        """Do the levels stand on the exchange?"""
        return self.place is Support.NATIVE


def home_of(market: Market) -> Home:
    """The home of the levels of `market`'s positions.

    Raises:
        ConfigError: the exchange is unknown.
    """
    return home_at(market.exchange, segment_of(market))


def home_at(exchange: str, segment: Segment) -> Home:
    """The home of the levels of positions in a segment of an exchange.

    A spot position is a balance: no order that waits for a price could be told to close no more than it, and one
    that sells at a stop would bind the coins that a target sells. So there, and in options, the expert watches.

    Raises:
        ConfigError: the exchange is unknown.
    """

    def is_native(feature: Feature) -> bool:
        return support(exchange, segment, feature)[0] is Support.NATIVE

    if is_native(Feature.STOP) and is_native(Feature.TAKE_PROFIT):
        return Home(Support.NATIVE, _NATIVE)
    return Home(Support.EMULATED, _WATCHED)


def homes_of(markets: Iterable[Market]) -> dict[str, Home]:
    """The homes by symbol.

    Raises:
        ConfigError: the positions of a market can't be closed to the last bit.
    """
    found = {market.symbol: market for market in markets}
    for market in found.values():
        if market.amount_step is not None:
            name = venue_of(market.exchange).name
            raise ConfigError(
                f"{market.symbol}: {name} counts its inverse contracts in {market.base}, whose worth in "
                f"{market.quote} moves, so no order could close just what is held: trade them on paper, or on an "
                f"exchange that counts them in {market.quote}"
            )
    return {symbol: home_of(market) for symbol, market in found.items()}
