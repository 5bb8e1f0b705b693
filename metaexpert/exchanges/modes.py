"""How an account is set up where that decides what can be traded: account level, margin and position mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .venues import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Mode", "Request", "modes_of", "modes_requests"]

_CONTRACTS = (Segment.LINEAR, Segment.INVERSE)
_ACCOUNT = {"symbol": "BTCUSDT", "productType": "USDT-FUTURES", "marginCoin": "USDT"}
_COIN_ACCOUNT = {"symbol": "BTCUSD", "productType": "COIN-FUTURES", "marginCoin": "BTC"}


class Request(NamedTuple):
    """A CCXT method and its arguments; its answer is read by the function called `reader`."""

    method: str
    arguments: tuple[Any, ...] = ()
    reader: str = ""


class Mode(NamedTuple):
    """One mode of the account; `hindrance` says what can't be done so, `advice` what to do about it."""

    text: str
    hindrance: str = ""
    advice: str = ""


def modes_requests(exchange: str, segment: Segment) -> tuple[Request, ...]:
    """What to ask for the modes of the account in a segment; nothing where there are none."""
    return _REQUESTS[exchange].get(segment, ())


def modes_of(reader: str, raw: Mapping[str, Any], segment: Segment) -> list[Mode]:
    """Read the answer to a request."""
    return _READERS[reader](raw, segment)


_REQUESTS: Mapping[str, Mapping[Segment, tuple[Request, ...]]] = {
    "binance": {
        Segment.LINEAR: (
            Request("fetch_position_mode", (None, {"subType": "linear"}), "hedged"),
            Request("fapiPrivateGetMultiAssetsMargin", (), "multi_assets"),
        ),
        Segment.INVERSE: (Request("fetch_position_mode", (None, {"subType": "inverse"}), "hedged"),),
    },
    "bybit": dict.fromkeys(Segment, (Request("privateGetV5AccountInfo", (), "bybit"),)),
    "okx": dict.fromkeys(Segment, (Request("privateGetAccountConfig", (), "okx"),)),
    "bitget": {
        Segment.LINEAR: (Request("privateMixGetV2MixAccountAccount", (_ACCOUNT,), "bitget"),),
        Segment.INVERSE: (Request("privateMixGetV2MixAccountAccount", (_COIN_ACCOUNT,), "bitget"),),
    },
    "kucoin": dict.fromkeys(_CONTRACTS, (Request("fetch_position_mode", (None, {}), "hedged"),)),
}


def _hedged(raw: Mapping[str, Any], _: Segment) -> list[Mode]:
    return [_position(hedged=raw.get("hedged") is True)]


def _position(*, hedged: bool) -> Mode:
    return Mode("positions: hedge, a long beside a short" if hedged else "positions: one-way")


def _multi_assets(raw: Mapping[str, Any], _: Segment) -> list[Mode]:
    if str(raw.get("multiAssetsMargin")).lower() != "true":
        return [Mode("margin: single-asset mode")]
    hindrance = "margin: multi-assets mode, in which margin_mode='isolated' is refused"
    return [Mode("", hindrance, "switch it to single-asset mode on its site, or write margin_mode='cross'")]


def _bybit(raw: Mapping[str, Any], _: Segment) -> list[Mode]:
    told = cast("Mapping[str, Any]", raw.get("result") or {})
    if str(told.get("unifiedMarginStatus")) == "1":
        hindrance = "account: classic, which MetaExpert doesn't speak to"
        return [Mode("", hindrance, "upgrade it to a unified trading account on its site")]
    names = {"REGULAR_MARGIN": "cross", "ISOLATED_MARGIN": "isolated", "PORTFOLIO_MARGIN": "portfolio"}
    margin = names.get(str(told.get("marginMode")), str(told.get("marginMode")))
    return [
        Mode("account: unified"),
        Mode(f"margin: {margin}, for the whole account; position modes are kept by contract"),
    ]


def _okx(raw: Mapping[str, Any], segment: Segment) -> list[Mode]:
    told = cast("list[Mapping[str, Any]]", raw.get("data") or [{}])[0]
    level = str(told.get("acctLv"))
    names = {"1": "spot", "2": "futures", "3": "multi-currency margin", "4": "portfolio margin"}
    if level == "1" and segment is not Segment.SPOT:
        hindrance = "account mode: spot, in which no contracts are traded"
        return [Mode("", hindrance, "switch the account mode to futures on its site")]
    found = [Mode(f"account mode: {names.get(level, level)}")]
    if segment is Segment.OPTION and str(told.get("opAuth")) == "0":
        found.append(Mode("", "options: not activated for this account", "activate them on its site"))
    if segment in _CONTRACTS:
        found.append(_position(hedged=told.get("posMode") == "long_short_mode"))
    return found


def _bitget(raw: Mapping[str, Any], _: Segment) -> list[Mode]:
    told = cast("Mapping[str, Any]", raw.get("data") or {})
    margin = "cross" if told.get("marginMode") in ("crossed", "cross") else str(told.get("marginMode"))
    return [_position(hedged=told.get("posMode") == "hedge_mode"), Mode(f"margin: {margin}, of BTC")]


_READERS: Mapping[str, Callable[[Mapping[str, Any], Segment], list[Mode]]] = {
    "hedged": _hedged,
    "multi_assets": _multi_assets,
    "bybit": _bybit,
    "okx": _okx,
    "bitget": _bitget,
}
