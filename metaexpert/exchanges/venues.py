"""What differs between the exchanges, as data. The code beside it asks here and names no exchange.

A segment is what an exchange keeps apart: its own addresses, wallets, units and rules. Perpetuals and dated
futures share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, did_you_mean
from ..models import ContractType, MarketType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..models import Market

__all__ = ["VENUES", "Segment", "Venue", "segment", "segment_of", "venue_of"]


class Segment(StrEnum):
    """A part of an exchange: spot, contracts settled in quote (linear) or in base (inverse), options."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"
    OPTION = "option"


def segment(market_type: MarketType, contract_type: ContractType | None) -> Segment:
    """The segment of what a person asks for."""
    if market_type is MarketType.FUTURES:
        return Segment.INVERSE if contract_type is ContractType.INVERSE else Segment.LINEAR
    return Segment.SPOT if market_type is MarketType.SPOT else Segment.OPTION


def segment_of(market: Market) -> Segment:
    """The segment that a market belongs to."""
    if market.is_option:
        return Segment.OPTION
    return segment(market.type, market.contract_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One exchange.

    Args:
        id: its name here and in CCXT.
        name: its name for people.
        segments: what it has.
        listed: by segment, what CCXT's `fetchMarkets` option is told to load no other markets.
        options: CCXT options that are always set, so that it probes nothing: account modes above all.
        passphrase: True where keys have one.
        testnet: how its test environment is entered: ``"sandbox"`` or ``"demo"`` (CCXT's two ways), None: none.
        recv_window_ms: how old a request may be when it arrives; None where the exchange fixes it.
    """

    id: str
    name: str
    segments: tuple[Segment, ...]
    listed: Mapping[Segment, Mapping[str, Any]]
    options: Mapping[str, Any]
    passphrase: bool
    testnet: str | None
    recv_window_ms: int | None = None


_FUTURES = (Segment.SPOT, Segment.LINEAR, Segment.INVERSE)
_ALL = (*_FUTURES, Segment.OPTION)


def _types(**segments: list[str]) -> dict[Segment, dict[str, Any]]:
    return {Segment(name): {"types": types} for name, types in segments.items()}


VENUES: Mapping[str, Venue] = {
    "binance": Venue(
        id="binance",
        name="Binance",
        segments=_ALL,
        listed=_types(spot=["spot"], linear=["linear"], inverse=["inverse"], option=["option"]),
        options={"fetchMargins": False, "fetchPositions": {"method": "positionRisk"}},
        passphrase=False,
        testnet="sandbox",
        recv_window_ms=10_000,
    ),
    "bybit": Venue(
        id="bybit",
        name="Bybit",
        segments=_ALL,
        listed=_types(spot=["spot"], linear=["linear"], inverse=["inverse"], option=["option"]),
        options={"enableUnifiedMargin": False, "enableUnifiedAccount": True},
        passphrase=False,
        testnet="sandbox",
        recv_window_ms=5_000,
    ),
    "okx": Venue(
        id="okx",
        name="OKX",
        segments=_ALL,
        listed=_types(spot=["spot"], linear=["swap", "future"], inverse=["swap", "future"], option=["option"]),
        options={},
        passphrase=True,
        testnet="sandbox",
    ),
    "bitget": Venue(
        id="bitget",
        name="Bitget",
        segments=_FUTURES,
        listed=_types(spot=["spot"], linear=["swap"], inverse=["swap"]),
        options={"uta": False},
        passphrase=True,
        testnet="sandbox",
    ),
    "kucoin": Venue(
        id="kucoin",
        name="KuCoin",
        segments=_FUTURES,
        listed=_types(spot=["spot"], linear=["swap", "future"], inverse=["swap", "future"]),
        options={"uta": False, "hf": True},
        passphrase=True,
        testnet=None,
    ),
}


def venue_of(exchange: str) -> Venue:
    """The venue called `exchange`.

    Raises:
        ConfigError: there is none.
    """
    if exchange not in VENUES:
        raise ConfigError(f"unknown exchange {exchange!r}{did_you_mean(exchange, VENUES)}")
    return VENUES[exchange]
