"""What a market's positions are held on: read from the exchange, and brought to what is asked for.

Only what differs is changed, and it is believed when the exchange tells of it afterwards. Two things stand nowhere
until an order brings them, and are taken from the terms that orders are sent with: OKX's margin mode, and KuCoin's
leverage of isolated margin. Where a position is open, its own count.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import (
    AccessDenied,
    AuthenticationError,
    ClockError,
    ConfigError,
    ExchangeError,
    UnavailableError,
)
from ..models import MarginMode, PositionMode
from .fields import info_of, said
from .orders import settings_of
from .plans import CONTRACTS, Terms
from .venues import segment_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ..models import Market
    from .caller import Caller
    from .plans import Call

    type Rows = Sequence[Mapping[str, Any]]

__all__ = ["Legs", "legs_of", "set_up", "terms_of"]

_PARTS = ("position_mode", "margin_mode", "leverage")
"""In the order in which they are changed: leverages belong to a margin mode."""
_READS = 2  # more of a change, before it is believed that it did not come about
_PAUSE = 0.5  # seconds between them
_MARGINS = {
    **dict.fromkeys(("cross", "crossed", "regular_margin"), MarginMode.CROSS),
    **dict.fromkeys(("isolated", "isolated_margin"), MarginMode.ISOLATED),
}
_STOPS = (AuthenticationError, AccessDenied, UnavailableError, ClockError)
"""Errors that have nothing to do with what is to be changed."""


class Legs(NamedTuple):
    """The terms of both legs; of a net position the same twice."""

    long: Terms
    short: Terms


async def terms_of(caller: Caller, market: Market, side: str | None, carried: Terms) -> Terms:
    """What `Gateway.terms` tells."""
    legs = await legs_of(caller, market, carried)
    if side is None and legs.long != legs.short:
        values = f"{legs.long.leverage:g} and {legs.short.leverage:g}"
        raise ConfigError(f"{_where(caller, market)}: its legs have the leverages {values}: ask for one of them")
    return legs.short if side == "short" else legs.long


async def set_up(caller: Caller, market: Market, terms: Terms) -> Terms:
    """What `Gateway.set_up` does."""
    segment = segment_of(market)
    if segment not in CONTRACTS:  # there are no modes
        if terms.leverage != 1.0:
            told = f"{segment} is traded without leverage: write leverage=1, not {terms.leverage:g}"
            raise ConfigError(f"{_where(caller, market)}: {told}")
        return Terms()
    calls = settings_of(market, terms)  # before anything is changed: a leverage may be refused here
    legs = await legs_of(caller, market, terms)
    for part in _PARTS:
        if not _agree(legs, terms, part):
            own = [call for call in calls if call.method == f"set_{part}"]
            legs = await _change(caller, market, terms, part, own)
    return legs.long


async def legs_of(caller: Caller, market: Market, carried: Terms) -> Legs:
    """The terms of both legs now; `carried` are those that orders bring along.

    Raises:
        ConfigError: the account is in a mode that is not traded in here.
    """
    if segment_of(market) not in CONTRACTS:
        return Legs(Terms(), Terms())
    return await _READERS[market.exchange](caller, market, carried)


async def _change(caller: Caller, market: Market, terms: Terms, part: str, calls: Sequence[Call]) -> Legs:
    """Change one part, and read it back.

    Raises:
        ConfigError: it is not as asked afterwards.
    """
    hindrance, reason = await _hindrance(caller, market, part), None
    try:
        for call in () if hindrance else calls:
            doing = f"set the {part.replace('_', ' ')} of {market.symbol}"
            await caller.set(doing, call.method, *call.arguments)
    except _STOPS:
        raise
    except ExchangeError as error:  # whether it was done or not is what is read now
        hindrance, reason = str(error), error
    legs = await legs_of(caller, market, terms)
    for _ in range(0 if hindrance or not calls else _READS):
        if _agree(legs, terms, part):
            break
        await caller.sleep(_PAUSE)
        legs = await legs_of(caller, market, terms)
    if _agree(legs, terms, part):
        return legs
    raise ConfigError(_mismatch(caller, market, legs, terms, part, hindrance)) from reason


async def _hindrance(caller: Caller, market: Market, part: str) -> str:
    """Why a part must not be changed even if the exchange lets it, "" if nothing stands against it.

    Bybit's margin mode is that of the whole account: open positions in any market would be held otherwise.
    """
    if market.exchange != "bybit" or part != "margin_mode":
        return ""
    for asked in _BYBIT_POSITIONS:
        raw = await caller.read("ask for open positions", "privateGetV5PositionList", asked, private=True)
        held = [row for row in raw["result"]["list"] if float(row.get("size") or 0.0) != 0.0]
        if held:
            return f"it holds for the whole account, and there is a position in {held[0]['symbol']}"
    return ""


_BYBIT_POSITIONS: Sequence[Mapping[str, str]] = (
    {"category": "linear", "settleCoin": "USDT"},
    {"category": "linear", "settleCoin": "USDC"},
    {"category": "inverse"},
    {"category": "option"},
)


def _agree(legs: Legs, terms: Terms, part: str) -> bool:
    wanted = getattr(terms, part)
    if part == "leverage":
        return all(math.isclose(leg.leverage, wanted, rel_tol=1e-9) for leg in legs)
    return wanted is None or all(getattr(leg, part) == wanted for leg in legs)


def _mismatch(caller: Caller, market: Market, legs: Legs, terms: Terms, part: str, hindrance: str) -> str:
    name, wanted = part.replace("_", " "), _shown(getattr(terms, part))
    found = list(dict.fromkeys(_shown(getattr(leg, part)) for leg in legs))
    why = f" ({hindrance})" if hindrance else ""
    value = found[0] if part == "leverage" else repr(found[0])
    return (
        f"{_where(caller, market)}: its {name} is {' and '.join(found)}, not {wanted} as asked, and can't be "
        f"changed now{why}: close the positions and orders there, or write {part}={value}"
    )


def _shown(value: float | MarginMode | PositionMode) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _where(caller: Caller, market: Market) -> str:
    return f"{caller.venue.name} {market.symbol}"


# --- read -----------------------------------------------------------------------------------------------------


async def _binance(caller: Caller, market: Market, _: Terms) -> Legs:
    """Inverse contracts have no list of settings; their positions are told where they are flat, too."""
    part = segment_of(market).value
    hedged = (await _asked(caller, market, "fetch_position_mode", None, {"subType": part}))["hedged"]
    if market.is_inverse:
        pair = {"pair": market.id.partition("_")[0]}
        rows: Rows = await _asked(caller, market, "dapiPrivateGetPositionRisk", pair)
    else:
        rows = await _asked(caller, market, "fapiPrivateGetSymbolConfig", {"symbol": market.id})
    row = _first(caller, market, [one for one in rows if one["symbol"] == market.id])
    return _both(float(row["leverage"]), _margin(caller, market, row["marginType"]), hedged=hedged)


async def _bybit(caller: Caller, market: Market, _: Terms) -> Legs:
    """The margin mode of the account, and by contract a row a leg, of flat ones too."""
    account = await _asked(caller, market, "privateGetV5AccountInfo")
    margin = _margin(caller, market, account["result"]["marginMode"])
    asked = {"category": segment_of(market).value, "symbol": market.id}
    rows: Rows = (await _asked(caller, market, "privateGetV5PositionList", asked))["result"]["list"]
    legs = {str(row["positionIdx"]): float(row["leverage"]) for row in rows if row.get("leverage")}
    if "0" in legs:
        return _both(legs["0"], margin, hedged=False)
    if not {"1", "2"} <= legs.keys():
        raise ConfigError(f"{_where(caller, market)}: the exchange tells no leverage of it")
    return Legs(*(Terms(legs[leg], margin, PositionMode.HEDGE) for leg in ("1", "2")))


async def _okx(caller: Caller, market: Market, carried: Terms) -> Legs:
    """Orders bring the margin mode along; a position in another one would stay beside what they trade."""
    account = _first(caller, market, (await _asked(caller, market, "privateGetAccountConfig"))["data"])
    held: Rows = await _asked(caller, market, "fetch_positions", [market.symbol])
    words = [str(one["marginMode"]) for one in held if one.get("contracts")]
    wanted = carried.margin_mode or (MarginMode(words[0]) if words else MarginMode.CROSS)
    margin = next((MarginMode(word) for word in words if word != wanted), wanted)
    asked = {"instId": market.id, "mgnMode": str(margin)}
    rows: Rows = (await _asked(caller, market, "privateGetAccountLeverageInfo", asked))["data"]
    legs = {str(row["posSide"]): float(row["lever"]) for row in rows}
    net = legs.get("net")
    mode = PositionMode.HEDGE if account["posMode"] == "long_short_mode" else PositionMode.ONEWAY
    told = [legs.get(leg, net) for leg in ("long", "short")]
    if None in told:
        raise ConfigError(f"{_where(caller, market)}: the exchange tells no leverage of it")
    return Legs(*(Terms(leverage, margin, mode) for leverage in told if leverage is not None))


async def _bitget(caller: Caller, market: Market, _: Terms) -> Legs:
    """All in one answer; CCXT keeps it, and cuts the leverage to whole numbers."""
    raw = await _asked(caller, market, "fetch_leverage", market.symbol)
    row = info_of(raw)
    margin, mode = _margin(caller, market, row["marginMode"]), PositionMode.ONEWAY
    if row["posMode"] == "hedge_mode":
        mode = PositionMode.HEDGE
    names = ("crossedMarginLeverage",) * 2
    if margin is MarginMode.ISOLATED:
        names = ("isolatedLongLever", "isolatedShortLever")
    return Legs(*(Terms(float(row[name]), margin, mode) for name in names))


async def _kucoin(caller: Caller, market: Market, carried: Terms) -> Legs:
    """Of isolated margin the leverage of what is held, else that which orders bring."""
    hedged = (await _asked(caller, market, "fetch_position_mode"))["hedged"]
    told = await _asked(caller, market, "fetch_margin_mode", market.symbol)
    margin = _margin(caller, market, told["marginMode"])
    if margin is MarginMode.CROSS:
        raw = await _asked(caller, market, "fetch_leverage", market.symbol)
        return _both(float(said(raw, "leverage") or raw["longLeverage"]), margin, hedged=hedged)
    rows: Rows = await _asked(caller, market, "fetch_positions", [market.symbol])
    held = {str(one["side"]): said(one, "leverage") for one in rows if one.get("contracts")}
    mode = PositionMode.HEDGE if hedged else PositionMode.ONEWAY
    own = next(iter(held.values()), None) if not hedged else None
    legs = [held.get(leg) or own for leg in ("long", "short")]
    return Legs(*(Terms(carried.leverage if leg is None else float(leg), margin, mode) for leg in legs))


_READERS: Mapping[str, Callable[[Caller, Market, Terms], Awaitable[Legs]]] = {
    "binance": _binance,
    "bybit": _bybit,
    "okx": _okx,
    "bitget": _bitget,
    "kucoin": _kucoin,
}


async def _asked(caller: Caller, market: Market, method: str, *arguments: Any) -> Any:
    return await caller.read(f"ask how {market.symbol} is set up", method, *arguments, private=True)


def _both(leverage: float, margin: MarginMode, *, hedged: bool) -> Legs:
    terms = Terms(leverage, margin, PositionMode.HEDGE if hedged else PositionMode.ONEWAY)
    return Legs(terms, terms)


def _first(caller: Caller, market: Market, rows: Rows) -> Mapping[str, Any]:
    if not rows:
        raise ConfigError(f"{_where(caller, market)}: the exchange does not tell how it is set up")
    return rows[0]


def _margin(caller: Caller, market: Market, word: str) -> MarginMode:
    """The margin mode that an exchange's `word` means."""
    if word.lower() not in _MARGINS:
        raise ConfigError(
            f"{_where(caller, market)}: the account is in margin mode {word!r}, which isn't traded in here: "
            "switch it to cross or isolated on its site"
        )
    return _MARGINS[word.lower()]
