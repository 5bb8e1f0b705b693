"""What an API key may do, as each exchange tells it of the key that asks."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .venues import Segment, segment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .caller import Caller

__all__ = ["HINTS", "KeyRights", "ask_rights", "rights_of", "rights_request"]

_CONTRACTS = frozenset((Segment.LINEAR, Segment.INVERSE))

_REQUESTS: Mapping[str, str] = {
    "binance": "sapiGetAccountApiRestrictions",
    "bybit": "privateGetV5UserQueryApi",
    "okx": "privateGetAccountConfig",
    "bitget": "privateSpotGetV2SpotAccountInfo",
    "kucoin": "privateGetUserApiKey",
}
_ON_TEST_NETWORK: Mapping[tuple[str, Segment], str] = {  # Binance's own endpoint of keys is not there
    ("binance", Segment.SPOT): "privateGetAccount",
    ("binance", Segment.LINEAR): "fapiPrivateV2GetAccount",
    ("binance", Segment.INVERSE): "dapiPrivateGetAccount",
}
HINTS: Mapping[str, str] = {
    "(code 40085)": "MetaExpert speaks to Bitget's classic account: use the key of a sub-account in classic mode",
}
"""What to do about refusals that have nothing to do with the key itself."""

_WHERE: Mapping[str, tuple[str, str]] = {
    "binance": ("", "enableWithdrawals"),
    "bybit": ("result", "permissions"),
    "okx": ("data", "perm"),
    "bitget": ("data", "authorities"),
    "kucoin": ("data", "permission"),
}
_BITGET_HARMLESS: Mapping[str, frozenset[Segment]] = {
    "trade": frozenset((Segment.SPOT, *_CONTRACTS)),
    "stow": frozenset((Segment.SPOT,)),
    "coow": _CONTRACTS,
    **dict.fromkeys(("cpow", "coor", "cpor", "stor", "readonly"), frozenset[Segment]()),
}
"""Words that are no right to withdraw, and what may be traded by them: orders of contracts, positions, spot."""
_BITGET_WITHDRAWS = frozenset(("withdraw", "wwow"))


class KeyRights(NamedTuple):
    """What a key may do; None where the exchange does not say.

    `trades` are the segments that it may trade, `withdraws` whether it may take funds out, `addresses` the IP
    addresses that it is bound to (empty: any may use it; ``"some"`` where they are not told), `expires` when it
    ends in ms UTC, and `words` what the exchange itself calls its rights.
    """

    trades: frozenset[Segment] | None
    withdraws: bool | None
    addresses: tuple[str, ...] | None
    expires: int | None = None
    words: str = ""

    def inside(self, part: Segment) -> frozenset[str] | None:
        """Of "read", "trade" and "withdraw" what the key surely may in a segment; None where it isn't told."""
        if self.trades is None:
            return None
        more = {"trade": part in self.trades, "withdraw": self.withdraws is True}
        return frozenset({"read", *(name for name, has in more.items() if has)})


async def ask_rights(caller: Caller) -> KeyRights:
    """What the key of `caller` may do.

    Raises:
        AuthenticationError: the key is not accepted.
    """
    settings = caller.settings
    part = segment(settings.market_type, settings.contract_type)
    method = rights_request(settings.exchange, part, testnet=settings.testnet)
    raw = await caller.read("ask what the key may do", method, private=True)
    return rights_of(settings.exchange, raw, part)


def rights_request(exchange: str, segment: Segment, *, testnet: bool) -> str:
    """The CCXT method that asks for the rights of the key in use."""
    return (testnet and _ON_TEST_NETWORK.get((exchange, segment))) or _REQUESTS[exchange]


def rights_of(exchange: str, raw: Mapping[str, Any], segment: Segment) -> KeyRights:
    """Read the answer to `rights_request`."""
    if "canTrade" in raw:
        may = str(raw["canTrade"]).lower() == "true"
        told = _CONTRACTS if segment in _CONTRACTS else frozenset((segment,))  # contracts share an environment
        return KeyRights(told if may else frozenset(), None, None)
    told, field = _told(exchange, raw)
    return _READERS[exchange](told) if field in told else KeyRights(None, None, None)


def _told(exchange: str, raw: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The part of the answer that tells of the key, and the field without which it tells nothing."""
    wrapper, field = _WHERE[exchange]
    found: Any = raw.get(wrapper) if wrapper else raw
    if isinstance(found, list) and found:
        found = cast("list[Any]", found)[0]
    return cast("Mapping[str, Any]", found if isinstance(found, dict) else {}), field


def _binance(told: Mapping[str, Any]) -> KeyRights:
    flags: dict[str, frozenset[Segment]] = {
        "enableSpotAndMarginTrading": frozenset((Segment.SPOT,)),
        "enableFutures": _CONTRACTS,
        "enableVanillaOptions": frozenset((Segment.OPTION,)),
    }
    trades = frozenset[Segment]().union(*(parts for name, parts in flags.items() if told.get(name)))
    words = ", ".join(name for name, value in told.items() if value is True and name != "ipRestrict")
    addresses = ("some",) if told.get("ipRestrict") else ()
    expires = _ms(told.get("tradingAuthorityExpirationTime"))
    return KeyRights(trades, bool(told["enableWithdrawals"]), addresses, expires, words)


def _bybit(told: Mapping[str, Any]) -> KeyRights:
    rights = {name: tuple(words) for name, words in cast("Mapping[str, list[str]]", told["permissions"]).items()}
    trades: set[Segment] = set()
    if "SpotTrade" in rights.get("Spot", ()):
        trades.add(Segment.SPOT)
    if "Order" in rights.get("ContractTrade", ()) or "DerivativesTrade" in rights.get("Derivatives", ()):
        trades |= _CONTRACTS
    if "OptionsTrade" in rights.get("Options", ()) or "DerivativesTrade" in rights.get("Derivatives", ()):
        trades.add(Segment.OPTION)
    reads_only = str(told.get("readOnly")).lower() in ("1", "true")
    withdraws = not reads_only and "Withdraw" in rights.get("Wallet", ())
    words = ", ".join(word for words in rights.values() for word in words)
    allowed = frozenset[Segment]() if reads_only else frozenset(trades)
    return KeyRights(allowed, withdraws, _addresses(told.get("ips")), _iso(told.get("expiredAt")), words)


def _okx(told: Mapping[str, Any]) -> KeyRights:
    words = _words(told["perm"])
    trades = frozenset(Segment) if "trade" in words else frozenset[Segment]()
    return KeyRights(trades, "withdraw" in words, _addresses(told.get("ip")), None, ", ".join(words))


def _bitget(told: Mapping[str, Any]) -> KeyRights:
    words = set(_words(told["authorities"]))
    known = words & (_BITGET_HARMLESS.keys() | _BITGET_WITHDRAWS)
    trades = frozenset[Segment]().union(*(_BITGET_HARMLESS.get(word, ()) for word in words))
    withdraws = True if words & _BITGET_WITHDRAWS else None if words - known or not words else False
    names = ", ".join(sorted(words))
    return KeyRights(trades if known else None, withdraws, _addresses(told.get("ips")), None, names)


def _kucoin(told: Mapping[str, Any]) -> KeyRights:
    words = _words(told["permission"])
    trades: set[Segment] = set()
    if "Spot" in words or "Trade" in words:  # "Trade" on keys of the older kind
        trades.add(Segment.SPOT)
    if "Futures" in words:
        trades |= _CONTRACTS
    withdraws = bool({"Transfer", "Withdrawal"} & set(words))  # "Transfer" is the right to withdraw there
    addresses = _addresses(told.get("ipWhitelist", ""))  # absent where the key is bound to none
    return KeyRights(frozenset(trades), withdraws, addresses, _ms(told.get("expiredAt")), ", ".join(words))


_READERS: Mapping[str, Callable[[Mapping[str, Any]], KeyRights]] = {
    "binance": _binance,
    "bybit": _bybit,
    "okx": _okx,
    "bitget": _bitget,
    "kucoin": _kucoin,
}


def _words(told: Any) -> tuple[str, ...]:
    """The words of a list, or of a text with commas between."""
    each = cast("list[Any]", told) if isinstance(told, list) else str(told or "").split(",")
    return tuple(word for word in (str(one).strip() for one in each) if word)


def _addresses(told: Any) -> tuple[str, ...] | None:
    return None if told is None else tuple(one for one in _words(told) if one != "*")


def _ms(told: object) -> int | None:
    value = str(told or "")
    return int(value) if value.isdigit() else None


def _iso(text: object) -> int | None:
    """An ISO time in ms UTC; the year 1970 stands for none."""
    try:
        time = int(datetime.fromisoformat(str(text)).timestamp() * 1000)
    except ValueError:
        return None
    return time if time > 0 else None
