"""What differs between the exchanges, as data. The code beside it asks here and names no exchange.

A segment is what an exchange keeps apart: its own addresses, wallets, units and rules. Perpetuals and dated
futures share one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigError, did_you_mean
from ..models import ContractType, MarketType
from ..timeframe import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..models import Market

__all__ = ["VENUES", "Bound", "Paging", "Segment", "Tape", "Venue", "segment", "segment_of", "venue_of"]


class Segment(StrEnum):
    """A part of an exchange: spot, contracts settled in quote (linear) or in base (inverse), options."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"
    OPTION = "option"


class Bound(StrEnum):
    """What the bounds of margin tiers count: value in the settlement currency or in quote, or contracts."""

    VALUE = "value"
    QUOTE = "quote"
    CONTRACTS = "contracts"


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


class Tape(StrEnum):
    """How the trades of the past are served."""

    FORWARD = "forward"
    """From a time on, oldest first."""
    BACKWARD = "backward"
    """Up to a time, the newest ones."""
    LAST = "last"
    """The last ones, whatever is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How an exchange serves its history: how many rows a page holds, and how far back it goes.

    Args:
        candles: rows in a page of candles, by segment; a segment that is missing has none.
        prices: the same of mark and index candles.
        lacking: timeframes of ours that it doesn't have, by segment.
        widest_ms: the longest span that a page of candles may have, by segment; what is missing has no bound.
        until: True where a page of candles is told its end; the others find it from its start.
        funding: rates in a page.
        funding_end: the parameter that ends a page of rates; None where pages of rates are numbered, newest first.
        tape: how trades are served, by segment.
        trades: trades in a page, by segment.
        tape_params: what else a page of trades is asked with; ``"{end}"`` stands for its end.
        widest_tape_ms: the longest span that a page of trades may have; None: it has no bound.
        reach_ms: how far back funding rates and trades are served, where that has an end.
    """

    candles: Mapping[Segment, int]
    prices: Mapping[Segment, int]
    lacking: Mapping[Segment, tuple[str, ...]]
    widest_ms: Mapping[Segment, int] = field(default_factory=dict["Segment", int])
    until: bool = True
    funding: int
    funding_end: str | None = "until"
    tape: Mapping[Segment, Tape]
    trades: Mapping[Segment, int]
    tape_params: Mapping[str, str] = field(default_factory=dict[str, str])
    widest_tape_ms: int | None = None
    reach_ms: Mapping[str, int] = field(default_factory=dict[str, int])


class OrderPages(NamedTuple):
    """Open orders come `size` at a time.

    The next page is asked for by the parameter `cursor`: the last order's id, or the token that came along with
    the page if `has_token`. "" where there is no such parameter: then a full page can't be told from all.
    """

    size: int
    cursor: str = ""
    has_token: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One exchange.

    Args:
        id: its name here and in CCXT.
        name: its name for people.
        segments: what it has.
        listed: by segment, what CCXT's `fetchMarkets` option is told to load no other markets.
        listing: parameters of CCXT's `fetch_markets`, so that it lists without keys.
        options: CCXT options that are always set, so that it probes nothing: account modes above all.
        passphrase: True where keys have one.
        testnet: by segment how its test environment is entered: ``"sandbox"`` or ``"demo"``, CCXT's two ways.
        hosts: by segment the host of its REST interface.
        test_hosts: the same of its test environment, where that has others.
        times: by segment CCXT's method that asks its own host for the time, where `fetch_time` asks another one.
        balances: by segment the parameters of each call of CCXT's `fetch_balance` that together show all of it.
            ``"{settle}"`` stands for every settlement currency of the segment.
            ``"method"`` is CCXT's method, if it is another.
        positions: the same of `fetch_positions`.
        open_orders: the same of `fetch_open_orders`, stop orders included; with ``"each"`` one market a call.
        order_pages: how open orders come in pages; None: all at once.
        active: by segment CCXT's method that names the markets with open orders, where ``"each"`` asks for it.
        depths: by segment how many levels of the book can be asked for; any number where it is missing.
        chain: the two calls of CCXT that show the options of one underlying, ``"{base}"``: prices, and greeks.
        inverse_in_base: True where an amount of inverse contracts counts base, not face value.
        volumes: by segment what the volume of candles counts where it is not base: ``"amount"``, as orders do, or
            ``"quote"``.
        paging: how it serves its history.
        tier_bounds: by segment of contracts what the bounds of margin tiers count.
        sliced_tiers: True where each slice of a position has its tier's rate, False where the whole position has.
        private_tiers: True where margin tiers are told to account holders only.
        forced: by segment the call that lists the account's liquidations, where its record of fills does not tell.
        recv_window_ms: how old a request may be when it arrives; None where the exchange fixes it.
    """

    id: str
    name: str
    segments: tuple[Segment, ...]
    listed: Mapping[Segment, Mapping[str, Any]]
    options: Mapping[str, Any]
    passphrase: bool
    testnet: Mapping[Segment, str]
    hosts: Mapping[Segment, str]
    balances: Mapping[Segment, tuple[Mapping[str, Any], ...]]
    positions: Mapping[Segment, tuple[Mapping[str, Any], ...]]
    open_orders: Mapping[Segment, tuple[Mapping[str, Any], ...]]
    order_pages: OrderPages | None = None
    active: Mapping[Segment, str] = field(default_factory=dict[Segment, str])
    paging: Paging
    listing: Mapping[str, Any] = field(default_factory=dict[str, Any])
    depths: Mapping[Segment, tuple[int, ...]] = field(default_factory=dict[Segment, tuple[int, ...]])
    chain: tuple[tuple[Any, ...], ...] = ()
    inverse_in_base: bool = False
    volumes: Mapping[Segment, str] = field(default_factory=dict[Segment, str])
    tier_bounds: Mapping[Segment, Bound] = field(default_factory=dict[Segment, Bound])
    sliced_tiers: bool = False
    private_tiers: bool = False
    forced: Mapping[Segment, str] = field(default_factory=dict[Segment, str])
    recv_window_ms: int | None = None
    test_hosts: Mapping[Segment, str] = field(default_factory=dict[Segment, str])
    times: Mapping[Segment, str] = field(default_factory=dict[Segment, str])


_CONTRACTS = (Segment.LINEAR, Segment.INVERSE)
_FUTURES = (Segment.SPOT, *_CONTRACTS)
_ALL = (*_FUTURES, Segment.OPTION)


def _types(**segments: list[str]) -> dict[Segment, dict[str, Any]]:
    return {Segment(name): {"types": types} for name, types in segments.items()}


def _with_each(params: Mapping[str, Any], *more: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    return tuple({**params, **one} for one in more)


_NO_SNAPSHOT = {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False}
"""Streams of positions begin without a request, for which CCXT would wait for ever if it failed."""
_MOST = {"limit": 50}  # on a page; the default is 20
_OKX_STOPS = (
    {"trigger": True},
    {"trigger": True, "ordType": "conditional,oco"},
    {"trailing": True},
)
_BITGET_STOPS = ({"trigger": True}, {"trigger": True, "planType": "profit_loss"}, {"trailing": True})

VENUES: Mapping[str, Venue] = {
    "binance": Venue(
        id="binance",
        name="Binance",
        segments=_ALL,
        listed=_types(spot=["spot"], linear=["linear"], inverse=["inverse"], option=["option"]),
        options={
            "fetchMargins": False,
            "fetchPositions": {"method": "positionRisk"},
            "fetchOpenOrders": {"warnWithoutSymbol": False},  # CCXT's warning is an error
            "watchPositions": _NO_SNAPSHOT,
        },
        passphrase=False,
        testnet={Segment.SPOT: "sandbox", **dict.fromkeys(_CONTRACTS, "demo")},
        hosts={
            Segment.SPOT: "api.binance.com",
            Segment.LINEAR: "fapi.binance.com",
            Segment.INVERSE: "dapi.binance.com",
            Segment.OPTION: "eapi.binance.com",
        },
        balances={
            Segment.SPOT: ({"type": "spot"},),
            Segment.LINEAR: ({"type": "swap", "subType": "linear"},),
            Segment.INVERSE: ({"type": "swap", "subType": "inverse"},),
            Segment.OPTION: ({"method": "eapiPrivateGetMarginAccount"},),  # CCXT would show the spot wallet
        },
        positions={
            Segment.LINEAR: ({"subType": "linear"},),
            Segment.INVERSE: ({"subType": "inverse"},),
            Segment.OPTION: ({"method": "option"},),
        },
        open_orders={
            Segment.SPOT: ({"type": "spot"},),
            **{
                one: _with_each({"type": "swap", "subType": str(one)}, {}, {"trigger": True}) for one in _CONTRACTS
            },
            Segment.OPTION: ({"type": "option"},),
        },
        chain=(("fetch_tickers", None, {"type": "option"}), ("fetch_all_greeks",)),
        depths={
            **dict.fromkeys(_CONTRACTS, (5, 10, 20, 50, 100, 500, 1000)),
            Segment.OPTION: (10, 20, 50, 100, 500, 1000),
        },
        paging=Paging(
            candles=dict.fromkeys(_ALL, 1000),
            prices=dict.fromkeys(_CONTRACTS, 1000),
            lacking={},
            widest_ms={Segment.INVERSE: 200 * DAY_MS},
            funding=1000,
            tape={**dict.fromkeys(_FUTURES, Tape.FORWARD), Segment.OPTION: Tape.LAST},
            trades={**dict.fromkeys(_FUTURES, 1000), Segment.OPTION: 500},
            widest_tape_ms=3_600_000,
        ),
        recv_window_ms=10_000,
        tier_bounds=dict.fromkeys(_CONTRACTS, Bound.VALUE),
        sliced_tiers=True,
        private_tiers=True,
        forced={
            Segment.LINEAR: "fapiPrivateGetForceOrders",
            Segment.INVERSE: "dapiPrivateGetForceOrders",
        },
        test_hosts={
            Segment.SPOT: "testnet.binance.vision",
            Segment.LINEAR: "demo-fapi.binance.com",
            Segment.INVERSE: "demo-dapi.binance.com",
        },
        times={
            Segment.LINEAR: "fapiPublicGetTime",
            Segment.INVERSE: "dapiPublicGetTime",
            Segment.OPTION: "eapiPublicGetTime",
        },
    ),
    "bybit": Venue(
        id="bybit",
        name="Bybit",
        segments=_ALL,
        listed=_types(spot=["spot"], linear=["linear"], inverse=["inverse"], option=["option"]),
        options={
            "enableUnifiedMargin": False,
            "enableUnifiedAccount": True,
            "watchPositions": _NO_SNAPSHOT,
        },
        passphrase=False,
        testnet=dict.fromkeys(_ALL, "sandbox"),
        hosts=dict.fromkeys(_ALL, "api.bybit.com"),
        balances=dict.fromkeys(_ALL, ({"type": "spot"},)),  # one unified account; "spot" is how CCXT finds it
        positions={
            Segment.LINEAR: (
                {"subType": "linear", "settleCoin": "USDT"},
                {"subType": "linear", "settleCoin": "USDC"},
            ),
            Segment.INVERSE: ({"subType": "inverse"},),
            Segment.OPTION: ({"type": "option"},),
        },
        order_pages=OrderPages(50, "cursor", has_token=True),
        open_orders={
            Segment.SPOT: ({"type": "spot", **_MOST},),
            Segment.LINEAR: _with_each(
                {"type": "swap", "subType": "linear", **_MOST}, {"settleCoin": "USDT"}, {"settleCoin": "USDC"}
            ),
            Segment.INVERSE: ({"type": "swap", "subType": "inverse", "settleCoin": "{settle}", **_MOST},),
            Segment.OPTION: ({"type": "option", **_MOST},),
        },
        chain=(("fetch_option_chain", "{base}"), ("fetch_all_greeks", None, {"baseCoin": "{base}"})),
        paging=Paging(
            candles=dict.fromkeys(_FUTURES, 1000),
            prices=dict.fromkeys(_CONTRACTS, 1000),
            lacking=dict.fromkeys(_FUTURES, ("8h", "3d")),
            funding=200,
            tape=dict.fromkeys(_ALL, Tape.LAST),
            trades={Segment.SPOT: 60, **dict.fromkeys((*_CONTRACTS, Segment.OPTION), 1000)},
        ),
        recv_window_ms=5_000,
        tier_bounds=dict.fromkeys(_CONTRACTS, Bound.VALUE),
        sliced_tiers=True,
        test_hosts=dict.fromkeys(_ALL, "api-testnet.bybit.com"),
    ),
    "okx": Venue(
        id="okx",
        name="OKX",
        segments=_ALL,
        listed=_types(spot=["spot"], linear=["swap", "future"], inverse=["swap", "future"], option=["option"]),
        options={"brokerId": None},  # CCXT would put an id of its own beside ours of a stop order
        passphrase=True,
        testnet=dict.fromkeys(_ALL, "sandbox"),
        hosts=dict.fromkeys(_ALL, "www.okx.com"),
        balances=dict.fromkeys(_ALL, ({},)),
        positions={**dict.fromkeys(_CONTRACTS, ({},)), Segment.OPTION: ({"instType": "OPTION"},)},
        order_pages=OrderPages(100, "after"),
        open_orders={
            Segment.SPOT: _with_each({"instType": "SPOT"}, {}, *_OKX_STOPS),
            **dict.fromkeys(_CONTRACTS, _with_each({}, {}, *_OKX_STOPS)),
            Segment.OPTION: ({"instType": "OPTION"},),
        },
        chain=(("fetch_option_chain", "{base}"), ("fetch_all_greeks", None, {"uly": "{base}-USD"})),
        paging=Paging(
            candles=dict.fromkeys(_ALL, 300),
            prices=dict.fromkeys(_CONTRACTS, 100),
            lacking=dict.fromkeys(_ALL, ("8h", "3d")),
            funding=100,
            funding_end="after",
            tape={**dict.fromkeys(_FUTURES, Tape.BACKWARD), Segment.OPTION: Tape.LAST},
            trades=dict.fromkeys(_ALL, 100),
            tape_params={"method": "publicGetMarketHistoryTrades", "type": "2", "after": "{end}"},
            reach_ms={"funding": 90 * DAY_MS, "trades": 90 * DAY_MS},
        ),
        tier_bounds=dict.fromkeys(_CONTRACTS, Bound.CONTRACTS),
    ),
    "bitget": Venue(
        id="bitget",
        name="Bitget",
        segments=_FUTURES,
        listed=_types(spot=["spot"], linear=["swap"], inverse=["swap"]),
        options={"uta": False},
        passphrase=True,
        testnet=dict.fromkeys(_FUTURES, "sandbox"),
        hosts=dict.fromkeys(_FUTURES, "api.bitget.com"),
        balances={
            Segment.SPOT: ({"type": "spot"},),
            Segment.LINEAR: (
                {"type": "swap", "productType": "USDT-FUTURES"},
                {"type": "swap", "productType": "USDC-FUTURES"},
            ),
            Segment.INVERSE: ({"type": "swap", "productType": "COIN-FUTURES"},),
        },
        positions={
            Segment.LINEAR: ({"productType": "USDT-FUTURES"}, {"productType": "USDC-FUTURES"}),
            Segment.INVERSE: ({"productType": "COIN-FUTURES", "marginCoin": "{settle}"},),
        },
        order_pages=OrderPages(100, "idLessThan"),
        open_orders={
            Segment.SPOT: _with_each({"type": "spot"}, {}, {"trigger": True}),
            Segment.LINEAR: (
                *_with_each({"type": "swap", "productType": "USDT-FUTURES"}, {}, *_BITGET_STOPS),
                *_with_each({"type": "swap", "productType": "USDC-FUTURES"}, {}, *_BITGET_STOPS),
            ),
            Segment.INVERSE: _with_each({"type": "swap", "productType": "COIN-FUTURES"}, {}, *_BITGET_STOPS),
        },
        depths=dict.fromkeys(_CONTRACTS, (1, 5, 15, 50)),
        paging=Paging(
            candles=dict.fromkeys(_FUTURES, 200),
            prices=dict.fromkeys(_CONTRACTS, 200),
            lacking={Segment.SPOT: ("2h", "8h"), **dict.fromkeys(_CONTRACTS, ("8h",))},
            widest_ms={Segment.SPOT: 300 * DAY_MS, **dict.fromkeys(_CONTRACTS, 90 * DAY_MS)},
            funding=100,
            funding_end=None,
            tape=dict.fromkeys(_FUTURES, Tape.BACKWARD),
            trades=dict.fromkeys(_FUTURES, 1000),
            tape_params={"until": "{end}"},
            widest_tape_ms=7 * DAY_MS,
            reach_ms={"trades": 90 * DAY_MS},
        ),
        inverse_in_base=True,
        volumes={Segment.INVERSE: "quote"},
        tier_bounds={Segment.LINEAR: Bound.VALUE, Segment.INVERSE: Bound.QUOTE},
    ),
    "kucoin": Venue(
        id="kucoin",
        name="KuCoin",
        segments=_FUTURES,
        listed=_types(spot=["spot"], linear=["swap", "future"], inverse=["swap", "future"]),
        listing={"marginables": False},
        options={
            "uta": False,
            "hf": True,
            "watchBalance": {"fetchBalanceSnapshot": False, "awaitBalanceSnapshot": False},
            "watchPositions": _NO_SNAPSHOT,
        },
        passphrase=True,
        testnet={},
        hosts={Segment.SPOT: "api.kucoin.com", **dict.fromkeys(_CONTRACTS, "api-futures.kucoin.com")},
        balances={
            Segment.SPOT: ({"type": "spot"},),
            **dict.fromkeys(_CONTRACTS, ({"type": "swap", "code": "{settle}"},)),
        },
        positions=dict.fromkeys(_CONTRACTS, ({},)),
        order_pages=OrderPages(500),
        active={Segment.SPOT: "privateGetHfOrdersActiveSymbols"},
        open_orders={
            # "hf" is not asked for with stops, or CCXT would want a market too
            Segment.SPOT: ({"type": "spot", "each": True}, {"type": "spot", "trigger": True, "hf": False}),
            **dict.fromkeys(_CONTRACTS, ({"type": "swap"}, {"type": "swap", "trigger": True})),
        },
        depths=dict.fromkeys(_FUTURES, (20, 100)),
        volumes=dict.fromkeys(_CONTRACTS, "amount"),
        paging=Paging(
            candles={Segment.SPOT: 1499, **dict.fromkeys(_CONTRACTS, 499)},  # a row less: its end is inclusive
            prices=dict.fromkeys(_CONTRACTS, 1499),
            lacking={Segment.SPOT: ("3d",), **dict.fromkeys(_CONTRACTS, ("3m", "6h", "3d"))},
            until=False,
            funding=100,
            tape=dict.fromkeys(_FUTURES, Tape.LAST),
            trades=dict.fromkeys(_FUTURES, 100),
        ),
        tier_bounds=dict.fromkeys(_CONTRACTS, Bound.VALUE),
        times=dict.fromkeys(_CONTRACTS, "futuresPublicGetTimestamp"),
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
