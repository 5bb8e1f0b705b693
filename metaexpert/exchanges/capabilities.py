"""What each exchange can do with an order, by kind of market: our own table, checked request by request in tests.

CCXT's `features` is not asked: it is empty for options and wrong in places, and what an exchange does not know is
sent all the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

from .venues import Segment, venue_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DeadMan", "Feature", "Support", "dead_man_scope", "support", "why_unarmed"]


class Support(StrEnum):
    """Who does it: the exchange itself, we with what the exchange has, or nobody: then it is refused."""

    NATIVE = "native"
    EMULATED = "emulated"
    REFUSED = "refused"


class Feature(StrEnum):
    """What may be asked of an order, or done with orders."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TAKE_PROFIT = "take_profit"
    POST_ONLY = "post_only"
    IOC = "ioc"
    FOK = "fok"
    REDUCE_ONLY = "reduce_only"
    HEDGE = "hedge"
    ATTACHED_STOP = "attached_stop"
    ATTACHED_TARGET = "attached_target"
    TRAILING = "trailing"
    CLIENT_ID = "client_id"
    MARKET_BY_COST = "market_by_cost"
    AMEND = "amend"
    CANCEL_ALL = "cancel_all"
    DEAD_MAN = "dead_man"


_SPOT, _LINEAR, _INVERSE, _OPTION = Segment.SPOT, Segment.LINEAR, Segment.INVERSE, Segment.OPTION
_CONTRACTS = (_LINEAR, _INVERSE)
_NATIVE, _EMULATED, _REFUSED = Support.NATIVE, Support.EMULATED, Support.REFUSED
_LEVELS = (Feature.ATTACHED_STOP, Feature.ATTACHED_TARGET)

type _Cells = dict[tuple[Segment, Feature], tuple[Support, str]]
_STOPS_UNTOLD = "it does not say that stop orders stay, so that they must be taken for cancelled"
_WATCHED = (_EMULATED, "watched by the expert, which closes at market when the price is reached")
_PRICED = (_EMULATED, "it has limit orders only: the expert sends one at the best price, immediate or cancel")


def _cells(
    segments: tuple[Segment, ...], features: tuple[Feature, ...] | Feature, support: Support, why: str
) -> _Cells:
    each = (features,) if isinstance(features, Feature) else features
    return {(one, feature): (support, why) for one in segments for feature in each}


_EVERYWHERE: _Cells = {
    **_cells((_SPOT,), Feature.REDUCE_ONLY, _EMULATED, "a sale can only reduce; of a purchase it is refused"),
    **_cells((_SPOT,), Feature.HEDGE, _REFUSED, "spot has no positions"),
    **_cells((_OPTION,), Feature.HEDGE, _REFUSED, "options are held net, long or short"),
    **_cells((_SPOT, _OPTION), _LEVELS, *_WATCHED),
    **_cells((_SPOT, _OPTION), (Feature.TAKE_PROFIT, Feature.TRAILING), *_WATCHED),
    **_cells(
        (*_CONTRACTS, _OPTION), Feature.MARKET_BY_COST, _REFUSED, "only spot purchases are sized by what they cost"
    ),
    **_cells(
        (_OPTION,), (Feature.STOP, Feature.STOP_LIMIT), _REFUSED,
        "it has no stop orders for options: watch the price",
    ),
    **_cells(
        (_SPOT, *_CONTRACTS, _OPTION), Feature.DEAD_MAN, _REFUSED,
        "it does not cancel orders by itself when nothing is heard of the account",
    ),
}  # fmt: skip
"""What holds of every exchange unless its own table says otherwise. A cell that is nowhere is native."""

_OWN: Mapping[str, _Cells] = {
    "binance": {
        **_cells(
            _CONTRACTS, _LEVELS, _EMULATED,
            "a closing stop order of its own behind a market order; for other orders watched by the expert",
        ),
        **_cells((_OPTION,), Feature.MARKET, *_PRICED),
        **_cells((_OPTION,), Feature.POST_ONLY, _REFUSED, "CCXT asks for it in a way that options do not know"),
        **_cells(
            (_SPOT, _OPTION), Feature.AMEND, _REFUSED,
            "there is no change in place: cancel the order and send a new one",
        ),
        **_cells(_CONTRACTS, Feature.DEAD_MAN, _NATIVE, f"for one market at a time; {_STOPS_UNTOLD}"),
        **_cells((_OPTION,), Feature.DEAD_MAN, _REFUSED, "it does so for market makers in options only"),
    },
    "bybit": {
        **_cells(
            (_SPOT,), _LEVELS, _EMULATED,
            "sent along with limit orders; for other orders watched by the expert",
        ),
        **_cells(
            _CONTRACTS, Feature.TRAILING, _EMULATED,
            "watched by the expert: the exchange trails whole positions by a distance, not orders by percent",
        ),
        **_cells((_LINEAR,), Feature.HEDGE, _NATIVE, "contracts settled in USDT; those in USDC are held net"),
        **_cells((_INVERSE,), Feature.HEDGE, _REFUSED, "inverse contracts are held net in a unified account"),
        **_cells(
            (_SPOT, *_CONTRACTS, _OPTION), Feature.DEAD_MAN, _REFUSED,
            "it cancels only when a websocket breaks, and only of accounts that were set up for it",
        ),
    },
    "okx": {
        **_cells((_SPOT,), _LEVELS, _NATIVE, "with market and limit orders; for stops watched by the expert"),
        **_cells(_CONTRACTS, _LEVELS, _NATIVE, "with market and limit orders; for stops watched by the expert"),
        **_cells((_SPOT,), Feature.TRAILING, _NATIVE, ""),
        **_cells((_OPTION,), Feature.MARKET, *_PRICED),
        **_cells(
            (_OPTION,), Feature.REDUCE_ONLY, _EMULATED,
            "it ignores the word: the expert sells or buys back no more than it holds",
        ),
        **_cells(
            (_SPOT, *_CONTRACTS, _OPTION), Feature.CANCEL_ALL, _EMULATED,
            "open orders are cancelled one after the other",
        ),
        **_cells(
            (_SPOT, *_CONTRACTS, _OPTION), Feature.DEAD_MAN, _NATIVE, f"for the whole account; {_STOPS_UNTOLD}"
        ),
    },
    "bitget": {
        **_cells(
            (_SPOT,), Feature.MARKET, _EMULATED,
            "a purchase asks for its cost: qty times the last price is sent, so the filled qty may differ",
        ),
        **_cells(
            (_SPOT,), Feature.STOP, _EMULATED,
            "a purchase asks for its cost: qty times the stop price is sent, so the filled qty may differ",
        ),
        **_cells(_CONTRACTS, _LEVELS, _NATIVE, "with market and limit orders; for stops watched by the expert"),
        **_cells(_CONTRACTS, Feature.TRAILING, _NATIVE, "from the activation price or else the last price on"),
        **_cells(
            (_SPOT, *_CONTRACTS), Feature.AMEND, _REFUSED,
            "it makes a new order with another id of it: cancel the order and send a new one",
        ),
    },
    "kucoin": {
        **_cells(_CONTRACTS, _LEVELS, _NATIVE, "with market and limit orders; for stops watched by the expert"),
        **_cells(_CONTRACTS, Feature.TRAILING, *_WATCHED),
        **_cells(_CONTRACTS, Feature.FOK, _REFUSED, "its contracts know GTC and IOC only"),
        **_cells(
            _CONTRACTS, Feature.AMEND, _REFUSED,
            "there is no change in place: cancel the order and send a new one",
        ),
        **_cells(
            (_SPOT,), Feature.AMEND, _REFUSED,
            "it makes a new order with another id of it: cancel the order and send a new one",
        ),
        **_cells((_SPOT,), Feature.DEAD_MAN, _NATIVE, "for one market at a time; stop orders stay"),
    },
}  # fmt: skip


class DeadMan(NamedTuple):
    """What an exchange cancels when it hears nothing: whoever placed it, of one market or of the whole account.

    `leaves_stops` is True only where it says that orders which wait for a price stay. Elsewhere the switch may
    take away what protects a position.
    """

    scope: Literal["market", "account"]
    leaves_stops: bool


_DEAD_MEN: Mapping[tuple[str, Segment], DeadMan] = {
    **{("binance", part): DeadMan("market", leaves_stops=False) for part in _CONTRACTS},
    **{("okx", part): DeadMan("account", leaves_stops=False) for part in (_SPOT, *_CONTRACTS, _OPTION)},
    ("kucoin", _SPOT): DeadMan("market", leaves_stops=True),
}


def dead_man_scope(exchange: str, segment: Segment) -> DeadMan | None:
    """How far the dead man's switch of a segment reaches; None where the exchange has none."""
    return _DEAD_MEN.get((exchange, segment))


def why_unarmed(exchange: str, segment: Segment) -> str:
    """Why the dead man's switch must stay off in a segment, "" if nothing of the exchange's stands against it.

    Positions in contracts are protected by stop orders on the exchange: it must be certain that those stay. And
    nobody looks whose orders there are in markets that a run does not trade.
    """
    scope = dead_man_scope(exchange, segment)
    if scope is None:
        return support(exchange, segment, Feature.DEAD_MAN)[1]
    if segment in _CONTRACTS and not scope.leaves_stops:
        return f"{venue_of(exchange).name} does not say that it leaves stop orders, which protect positions"
    if scope.scope == "account":
        return f"{venue_of(exchange).name} would cancel the orders of the whole account, whoever's they are"
    return ""


def support(exchange: str, segment: Segment, feature: Feature) -> tuple[Support, str]:
    """Who does `feature` in a segment of an exchange, and why it is so, or under which condition ("" if none).

    Raises:
        ConfigError: the exchange is unknown.
    """
    venue = venue_of(exchange)
    if segment not in venue.segments:
        return _REFUSED, f"{venue.name} has no {segment} markets here"
    cell = segment, feature
    return _OWN[exchange].get(cell) or _EVERYWHERE.get(cell) or (_NATIVE, "")
