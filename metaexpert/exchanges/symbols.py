"""What a person types -> one market. Pure text work; nothing here knows an exchange's list by heart.

Unified symbols are CCXT's: ``BTC/USDT`` (spot), ``BTC/USDT:USDT`` (linear), ``BTC/USD:BTC`` (inverse),
``BTC/USDT:USDT-251226`` (dated), ``BTC/USDT:USDT-251226-100000-C`` (option).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ConfigError
from ..models import ContractType, MarketType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..models import Market

__all__ = ["BASES", "QUOTES", "STABLE", "Parsed", "expiry_ms", "parse_symbol", "resolve", "split_pair"]

STABLE = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDE", "DAI", "USD")
"""Currencies worth one US dollar, near enough."""

QUOTES = (
    *STABLE,
    "EUR",
    "GBP",
    "TRY",
    "BRL",
    "JPY",
    "AUD",
    "KRW",
    "RUB",
    "UAH",
    "BTC",
    "ETH",
    "BNB",
    "KCS",
    "OKB",
)
"""Currencies that a glued pair such as BTCUSDT may end with."""

BASES = (
    *("BTC", "ETH", "BNB", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "LTC", "DOT", "TRX", "BCH", "TON", "NEAR"),
    *(
        "ATOM",
        "UNI",
        "AAVE",
        "ETC",
        "XLM",
        "FIL",
        "SUI",
        "APT",
        "ARB",
        "OP",
        "MATIC",
        "SHIB",
        "PEPE",
        "XMR",
        "EOS",
    ),
)
"""Common base currencies: they settle how a glued pair is cut (BNBUSD is BNB and USD, not BN and BUSD)."""

_ALIASES = {"XBT": "BTC"}
_NAMED = 8  # markets that an ambiguous name lists
_NAME = r"[^\W_]+"  # letters and digits of any script: exchanges list bases such as 币安人生
_UNIFIED = re.compile(rf"({_NAME})/({_NAME})(?::({_NAME}))?(?:-(\d{{6}})(?:-([\d.]+)-([CP]))?)?")
_OPTION = re.compile(
    rf"({_NAME})(?:[-_]({_NAME}))??[-_](\d{{6}}|\d{{1,2}}[A-Z]{{3}}\d{{2}})[-_]([\d.]+)[-_]([CP])(?:[-_]({_NAME}))?"
)
_DATED = re.compile(r"(.+?)[-_](\d{6}|\d{1,2}[A-Z]{3}\d{2})")
_PERPETUAL = re.compile(r"(.+?)(?:[-_]SWAP|[-_]PERP|\.P)")


class Parsed(NamedTuple):
    """A symbol taken apart: the unified form, its currencies; expiry (YYMMDD), strike and call or put, if any."""

    symbol: str
    base: str
    quote: str
    settle: str
    expiry: str | None = None
    strike: float | None = None
    option_type: str | None = None


def parse_symbol(text: str, market_type: str = "spot", contract_type: str | None = "linear") -> Parsed:
    """Read a symbol as an exchange or CCXT writes it, as one of `market_type` and `contract_type`.

    ``BTCUSDT``, ``BTC-USDT``, ``btc_usdt``, ``BTC/USDT``, ``BTC/USDT:USDT``, ``BTC-USDT-SWAP``, ``XBTUSDTM``,
    ``BTCUSD_PERP``, ``BTCUSDT_251226``, ``BTC-USD-251226-100000-C`` and the like, in any case.

    Raises:
        ConfigError: the text is no symbol, or names another kind of market than the one asked for.
    """
    kind = MarketType(market_type)
    inverse = kind is MarketType.FUTURES and contract_type == ContractType.INVERSE
    word = text.strip().upper()
    unified = _UNIFIED.fullmatch(word)
    if unified:
        base, quote, settle, expiry, strike, option = unified.groups()
        parts = (_alias(base), quote, _alias(settle) if settle else None, expiry, strike, option)
    else:
        parts = _exchange_form(word, kind)
    if parts is None:
        raise ConfigError(f"{text!r} is no symbol; write it like BTCUSDT or BTC/USDT")
    base, quote, settle, expiry, strike, option = parts
    if settle is None and kind is not MarketType.SPOT:
        settle = base if inverse else quote
    elif settle == "":  # a contract for certain, whose settlement the exchange's form leaves open
        settle = base if quote == "USD" else quote
    parsed = Parsed(
        _unify(base, quote, settle, expiry, strike, option),
        base,
        quote,
        settle or quote,
        expiry,
        float(strike) if strike else None,
        {"C": "call", "P": "put"}.get(option or ""),
    )
    _refuse_other_kind(text, parsed, kind, inverse=inverse)
    return parsed


type _Parts = tuple[str, str, str | None, str | None, str | None, str | None]


def _exchange_form(word: str, kind: MarketType) -> _Parts | None:
    option = _OPTION.fullmatch(word)
    if option:
        base, quote, expiry, strike, letter, settle = option.groups()
        settle = settle or quote or "USDT"  # Binance leaves USDT out
        quote = quote or settle
        return _alias(base), quote, _alias(base) if quote == "USD" else settle, _yymmdd(expiry), strike, letter
    dated, perpetual = _DATED.fullmatch(word), _PERPETUAL.fullmatch(word)
    stem = dated[1] if dated else perpetual[1] if perpetual else word
    is_contract = bool(dated or perpetual)
    if not is_contract and kind is MarketType.FUTURES and re.fullmatch(r".+(USDT|USDC|USD)M", word):
        stem, is_contract = word[:-1], True  # KuCoin marks futures with a trailing M
    pair = split_pair(stem)
    if pair is None:
        return None
    return pair[0], pair[1], "" if is_contract else None, _yymmdd(dated[2]) if dated else None, None, None


def split_pair(text: str) -> tuple[str, str] | None:
    """Cut ``BTC-USDT``, ``BTC_USDT``, ``BTC/USDT`` or ``BTCUSDT`` (upper case) into base and quote, if it can."""
    parts = re.split(r"[-_/]", text)
    if len(parts) == 2:
        return (_alias(parts[0]), parts[1]) if all(re.fullmatch(_NAME, part) for part in parts) else None
    if len(parts) != 1 or not re.fullmatch(_NAME, text):
        return None
    cuts = [(_alias(text[: -len(q)]), q) for q in QUOTES if text.endswith(q) and len(text) > len(q)]
    known = [cut for cut in cuts if cut[0] in BASES]
    return max(known or cuts, key=lambda cut: len(cut[1]), default=None)


def _alias(currency: str) -> str:
    return _ALIASES.get(currency, currency)


def _yymmdd(expiry: str) -> str:
    if expiry.isdigit():
        return expiry
    try:
        return datetime.strptime(expiry, "%d%b%y").replace(tzinfo=UTC).strftime("%y%m%d")
    except ValueError:
        raise ConfigError(f"{expiry!r} is no expiry; write it like 251226 or 26DEC25") from None


def expiry_ms(expiry: str) -> int:
    """Return the moment of expiry of a contract dated `expiry` (YYMMDD): 08:00 UTC, as the exchanges have it."""
    try:
        day = datetime.strptime(expiry, "%y%m%d").replace(tzinfo=UTC, hour=8)
    except ValueError:
        raise ConfigError(f"{expiry!r} is no expiry; write the day as YYMMDD, e.g. 251226") from None
    return int(day.timestamp()) * 1000


def _unify(
    base: str, quote: str, settle: str | None, expiry: str | None, strike: str | None, option: str | None
) -> str:
    symbol = f"{base}/{quote}" + (f":{settle}" if settle else "")
    symbol += f"-{expiry}" if expiry else ""
    return symbol + (f"-{strike}-{option}" if option else "")


def _refuse_other_kind(text: str, parsed: Parsed, kind: MarketType, *, inverse: bool) -> None:
    if ":" not in parsed.symbol:
        found, is_inverse = MarketType.SPOT, False
    elif parsed.option_type:
        found, is_inverse = MarketType.OPTIONS, inverse
    else:
        found, is_inverse = MarketType.FUTURES, parsed.settle == parsed.base
    if kind is MarketType.OPTIONS and found is MarketType.FUTURES:
        raise ConfigError(f"{text!r} is no option symbol; write it like {parsed.symbol}-251226-100000-C")
    if found is not kind:
        named = "an options" if found is MarketType.OPTIONS else f"a {found.value}"
        raise ConfigError(f"{text!r} is {named} symbol but market_type is {kind.value!r}; change one of them")
    if kind is MarketType.FUTURES and is_inverse != inverse:
        names = ("inverse", "linear") if is_inverse else ("linear", "inverse")
        raise ConfigError(f"{text!r} is {names[0]} but contract_type is {names[1]!r}; change one of them")
    if inverse and parsed.quote != "USD":
        raise ConfigError(f"{text!r}: inverse contracts are quoted in USD, e.g. {parsed.base}/USD:{parsed.base}")
    if parsed.base == parsed.quote:
        raise ConfigError(f"{text!r} has the same currency on both sides; write it like BTC/USDT")


def resolve(
    text: str, markets: Iterable[Market], market_type: str, contract_type: str | None = "linear"
) -> Market:
    """Return the one of `markets` that `text` names: its id on the exchange, its unified symbol, or a usual form.

    One id may name a spot market and a contract: `market_type` and `contract_type` say which is meant.

    Raises:
        ConfigError: none or several are meant, or another kind of market; the nearest matches are named.
    """
    inverse = market_type == MarketType.FUTURES and contract_type == ContractType.INVERSE
    offered = [m for m in markets if m.type == market_type and (m.is_inverse == inverse or m.type != "futures")]
    found = _named(text.strip(), offered)
    if found is not None:
        return found
    try:
        parsed = parse_symbol(text, market_type, contract_type)
    except ConfigError as error:
        if "is no symbol" not in str(error):
            raise
        word = text.strip().upper()
        meant = [m.symbol for m in offered if word in (m.base, f"{m.base}{m.quote}", f"{m.base}-PERP")]
        if meant:
            more = ", ..." if len(meant) > _NAMED else ""
            raise ConfigError(f"{text!r} is ambiguous; use one of {_list(meant[:_NAMED])}{more}") from None
        raise ConfigError(f"unknown {market_type} symbol {text!r}{_nearest(word, offered)}") from None
    found = _named(parsed.symbol, offered) or _of_pair(text, parsed, offered)
    if found is not None:
        return found
    raise ConfigError(f"unknown {market_type} symbol {text!r}{_nearest(parsed.symbol, offered)}")


def _named(name: str, offered: Iterable[Market]) -> Market | None:
    """The market of exactly that id or symbol; letter case matters only where markets differ by it alone."""
    folded = name.upper()
    alike = [m for m in offered if folded in (m.id.upper(), m.symbol.upper())]
    if len(alike) > 1:
        alike = [m for m in alike if name in (m.id, m.symbol)] or alike
    if len(alike) > 1:
        raise ConfigError(f"{name!r} is ambiguous; use one of {_list(m.symbol for m in alike)}")
    return alike[0] if alike else None


def _of_pair(text: str, parsed: Parsed, offered: Iterable[Market]) -> Market | None:
    """The only contract of the pair, where the text leaves open what it settles in."""
    if ":" in text or parsed.expiry is not None:
        return None
    pair = parsed.base.upper(), parsed.quote.upper()
    alike = [m for m in offered if (m.base.upper(), m.quote.upper()) == pair and m.expiry is None]
    return alike[0] if len(alike) == 1 else None


def _nearest(wanted: str, offered: Sequence[Market]) -> str:
    """The nearest matches by symbol, by id, and by base, as the end of a message."""
    by_name = {market.symbol.upper(): market.symbol for market in offered}
    by_name |= {market.id.upper(): market.symbol for market in offered if market.id}
    symbol = wanted.upper()
    base = symbol.split("/", maxsplit=1)[0]
    same_base = [market.symbol for market in offered if market.base.upper() == base]
    close = [by_name[name] for name in get_close_matches(symbol, by_name, n=3, cutoff=0.6)]
    near = list(dict.fromkeys([*close, *same_base]))
    if near:
        return f"; nearest: {_list(near[:5])}"
    known = sorted(market.symbol for market in offered)
    return f"; use one of {_list(known)}" if 0 < len(known) <= 12 else ""


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
