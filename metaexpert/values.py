"""What the value of each setting may be: one rule a setting, and the wrapper that keeps a secret unseen.

A rule takes a setting's name and value and returns the value in its normal form, or raises a `ConfigError` of one
line that says what was wanted. `metaexpert.config` applies the rules.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import inf, isfinite, nan
from numbers import Integral, Real
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import SplitResult, urlsplit

from . import timeframe as timeframes
from .errors import ConfigError, did_you_mean
from .models import ContractType, MarginMode, MarketType, PositionMode, SizeType, TradeMode

if TYPE_CHECKING:
    from enum import StrEnum

__all__ = ["KNOWN_EXCHANGES", "LOG_LEVELS", "RULES", "Proxy", "Rule", "Secret", "instant"]

KNOWN_EXCHANGES = ("demo", "local", "binance", "bybit", "okx", "bitget", "kucoin")
"""``demo`` is the embedded exchange, ``local`` the candles that were imported without naming an exchange."""
LOG_LEVELS = {"DEBUG": 10, "INFO": 20, "TRADE": 25, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
"""The log levels with their numbers in the standard `logging`; TRADE lies between INFO and WARNING."""

type Rule = Callable[[str, Any], Any]
"""(name, value) -> the value in its normal form; raises `ConfigError`."""


class Secret:
    """Text that no repr, str, format, pickle or JSON shows; `reveal` gives it to the one place that needs it."""

    __slots__ = ("_text",)

    def __init__(self, text: str | None) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text.

        Raises:
            ConfigError: this is a copy that was made by pickling, which leaves the text out.
        """
        if self._text is None:
            raise ConfigError("a secret is never copied to another process: set it there, in the environment")
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> tuple[type[Secret], tuple[None]]:
        return Secret, (None,)


class Proxy(NamedTuple):
    """The proxy of each protocol, secret because its URL may hold a password."""

    http: Secret | None = None
    https: Secret | None = None
    ws: Secret | None = None


def shown(value: object) -> str:
    """What stands for `value` in a message: short, and in one line."""
    return " ".join(shortened(value).split())


# What a value may be. Each function returns a Rule.


def _text(longest: int = 200) -> Rule:
    def parse(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise ConfigError(f"{name} must be text, got {shown(value)}")
        if len(value) > longest:
            raise ConfigError(f"{name} has {len(value)} characters: at most {longest} are allowed")
        if not value.isprintable():
            raise ConfigError(f"{name} holds a line break or another unprintable character: {shown(value)}")
        return value.strip()

    return parse


def _filled(longest: int = 200) -> Rule:
    parse = _text(longest)

    def parse_filled(name: str, value: Any) -> str:
        text = parse(name, value)
        if not text:
            raise ConfigError(f"{name} is empty: fill it in or leave it out")
        return text

    return parse_filled


def _secret(name: str, value: Any) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be text, got {type(value).__name__}")
    if not value.strip():
        raise ConfigError(f"{name} is empty: fill it in or leave it out")
    return Secret(value.strip())


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ConfigError(f"{name} must be True or False, got {shown(value)}")


def _word(*known: str, upper: bool = False) -> Rule:
    def parse(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise ConfigError(f"{name} must be one of {', '.join(known)}; got {shown(value)}")
        word = value.upper() if upper else value
        if word not in known:
            raise ConfigError(f"unknown {name} {shown(value)}{did_you_mean(word, known)}")
        return str(word)

    return parse


def _enum(kind: type[StrEnum], aliases: Mapping[str, str] | None = None) -> Rule:
    word = _word(*(each.value for each in kind))
    other = aliases or {}
    return lambda name, value: kind(word(name, other.get(value, value) if isinstance(value, str) else value))


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _to_float(name: str, value: Any, wanted: str) -> float:
    if _is_bool(value) or not isinstance(value, (Real, Decimal)):
        raise ConfigError(f"{name} must be {wanted}, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = inf
    except ValueError:  # a Decimal's signalling NaN
        number = nan
    if not isfinite(number):
        raise ConfigError(f"{name} must be {wanted}, got {number}")
    return number


def _number(wanted: str, fits: Callable[[float], bool]) -> Rule:
    """A number; `wanted` says in words what `fits` tests."""

    def parse(name: str, value: Any) -> float:
        number = _to_float(name, value, wanted)
        if not fits(number):
            raise ConfigError(f"{name} must be {wanted}, got {number:g}")
        return number

    return parse


def _share(kind: str, wanted: str, fits: Callable[[float], bool]) -> Rule:
    """A fraction or rate: what is plainly meant in percent is refused with the right number."""

    def parse(name: str, value: Any) -> float:
        number = _to_float(name, value, wanted)
        if not fits(number):
            if number >= 0 and fits(number / 100):
                raise ConfigError(f"{name} is a {kind}: write {number / 100:g} for {number:g} %")
            raise ConfigError(f"{name} must be {wanted}, got {number:g}")
        return number

    return parse


def _whole(low: int, high: int) -> Rule:
    def parse(name: str, value: Any) -> int:
        if isinstance(value, Integral) and low <= int(value) <= high and not _is_bool(value):
            return int(value)
        raise ConfigError(f"{name} must be a whole number from {low} to {high}, got {shown(value)}")

    return parse


def _items(value: object) -> list[object] | None:
    """What is in `value`; None when it holds no items, like an array without a dimension."""
    try:
        return list(cast("Iterable[object]", value))
    except TypeError:
        return None


def _wholes(low: int, high: int, meaning: str) -> Rule:
    one = _whole(low, high)

    def parse(name: str, value: Any) -> frozenset[int]:
        items = None if isinstance(value, str) else _items(value)
        if items is None:
            raise ConfigError(f"{name} must be a set of {meaning}, got {shown(value)}")
        chosen = frozenset(one(name, item) for item in items)
        if not chosen:
            raise ConfigError(f"{name} is empty, so nothing would ever be traded: name {meaning} or leave it out")
        return chosen

    return parse


def _symbols(name: str, value: Any) -> str | tuple[str, ...]:
    one = _filled(60)
    if isinstance(value, str):
        return str(one(name, value))
    items = None if isinstance(value, (set, frozenset, Mapping)) else _items(value)
    if items is None:
        raise ConfigError(f"{name} must be a text or a list of texts, got {shown(cast('object', value))}")
    symbols = tuple(str(one(name, item)) for item in items)
    if not symbols:
        raise ConfigError(f"{name} is an empty list: name at least one")
    twice = [item for i, item in enumerate(symbols) if item in symbols[:i]]
    if twice:
        raise ConfigError(f"{name} names {twice[0]!r} twice")
    return symbols


def _timeframe(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be text such as '1h', got {shown(value)}")
    timeframes.parse(value)
    return value


def _detail_timeframe(name: str, value: Any) -> str:
    return value if value == timeframes.TRADES else _timeframe(name, value)


def _filter(name: str, value: Any) -> bool | Callable[..., object]:
    return value if callable(value) else _flag(f"{name} (or a function of the bars)", value)


def _file(name: str, value: Any) -> str:
    path = os.fspath(cast("os.PathLike[str]", value)) if isinstance(value, os.PathLike) else value
    text = str(_filled(500)(name, path))
    if text.endswith(("/", "\\")):
        raise ConfigError(f"{name} must name a file, got the folder {text!r}")
    return text


def _url(text: str, schemes: tuple[str, ...]) -> SplitResult | None:
    """The parts of a sound URL with a host, else None."""
    try:
        url = urlsplit(text)
        sound = url.scheme in schemes and url.hostname and (url.port is None or url.port > 0)
    except ValueError:
        return None
    return url if sound else None


def _base_url(name: str, value: Any) -> str:
    text = str(_filled(500)(name, value))
    url = _url(text, ("http", "https"))
    if url is None:
        raise ConfigError(f"{name} must start with https:// or http:// and name a host")
    if url.username is not None or url.password is not None:
        raise ConfigError(f"{name} must hold no user name or password")
    return text.rstrip("/")


def _proxy(name: str, value: Any) -> Proxy:
    if isinstance(value, Proxy):
        return value
    given = cast("Mapping[Any, Any]", value) if isinstance(value, Mapping) else dict.fromkeys(Proxy._fields, value)
    urls: dict[str, Secret] = {}
    for protocol, url in given.items():
        if protocol not in Proxy._fields:
            raise ConfigError(f"{name} knows no protocol {protocol!r}; use http, https and ws")
        urls[protocol] = _secret(name, url)
        if _url(urls[protocol].reveal(), ("http", "https", "socks4", "socks5", "socks5h")) is None:
            raise ConfigError(f"{name} must be a URL such as http://host:port or socks5://host:port")
    if not urls:
        raise ConfigError(f"{name} is empty: fill it in or leave it out")
    return Proxy(**urls)


def _moment(name: str, value: Any) -> str | int | datetime:
    moment = value.strip() if isinstance(value, str) else value
    if isinstance(value, date) and not isinstance(value, datetime):
        moment = value.isoformat()
    elif isinstance(value, Integral) and not _is_bool(value):
        moment = int(value)
    instant(name, moment, end=False)
    return moment


_LAST_MS = 253_402_300_800_000  # the end of the year 9999


def instant(name: str, value: object, *, end: bool) -> float:
    """Return the seconds since the epoch of setting `name`, UTC unless `value` carries a zone.

    A day, month or year stands for its beginning, as an `end` for the beginning of the next one.

    Raises:
        ConfigError: `value` is no ISO date or time, datetime, or int in milliseconds.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 < value < 10**11:
            raise ConfigError(f"{name}={value} looks like seconds: whole numbers are milliseconds")
        if abs(value) < _LAST_MS:
            return value / 1000
    try:
        moment = _datetime(value.strip(), end=end) if isinstance(value, str) else value
        if isinstance(moment, datetime):
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
            if isfinite(seconds):  # pandas' NaT is a datetime without a time
                return seconds
    except (ValueError, OverflowError):
        pass
    raise ConfigError(
        f"{name} must be a date such as '2024-01-31' or '2024-01-31T12:00' (UTC), got {shown(value)}"
    )


def _datetime(text: str, *, end: bool) -> datetime:
    """Parse a year, a month, a day or a moment; with `end`, step to the end of a year, month or day."""
    part = re.fullmatch(r"(\d{4})(?:-(\d{2}))?", text)
    if part is not None:
        months = int(part[1]) * 12 + int(part[2] or 1) - 1 + end * (1 if part[2] else 12)
        datetime.fromisoformat(f"{part[1]}-{part[2] or '01'}-01")  # refuses month 13
        return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}|\d{8}", text):
        return datetime.fromisoformat(text) + timedelta(days=end)
    return datetime.fromisoformat(text)


_POSITIVE = _number("a number above 0", lambda x: x > 0)
_PERCENT = _number("a percentage above 0 (2.0 = 2 %)", lambda x: 0 < x <= 100_000)
_PERCENT_BELOW_100 = _number("a percentage above 0 and below 100 (2.0 = 2 %)", lambda x: 0 < x < 100)
_FEE = _share("rate", "a rate from -0.02 to below 0.02 (0.001 = 0.1 %)", lambda x: -0.02 <= x < 0.02)
_FRACTION = _share("fraction", "a fraction above 0 and below 1 (0.2 = 20 %)", lambda x: 0 < x < 1)
_FUNDING = _share("rate", "a rate between -0.05 and 0.05 (0.0001 = 0.01 %)", lambda x: -0.05 < x < 0.05)
_MARGIN_RATE = _share("rate", "a rate above 0 and below 0.5 (0.005 = 0.5 %)", lambda x: 0 < x < 0.5)
_LIQUIDATION_FEE = _share("rate", "a rate from 0 to below 0.1 (0.005 = 0.5 %)", lambda x: 0 <= x < 0.1)

RULES: Mapping[str, Rule] = {
    "exchange": _word(*KNOWN_EXCHANGES),
    "api_key": _secret,
    "api_secret": _secret,
    "api_passphrase": _secret,
    "subaccount": _filled(100),
    "base_url": _base_url,
    "testnet": _flag,
    "proxy": _proxy,
    "market_type": _enum(MarketType),
    "contract_type": _enum(ContractType),
    "margin_mode": _enum(MarginMode),
    "position_mode": _enum(PositionMode, {"one_way": "oneway", "one-way": "oneway"}),
    "log_level": _word(*LOG_LEVELS, upper=True),
    "log_file": _file,
    "log_trade_file": _file,
    "log_error_file": _file,
    "log_to_file": _flag,
    "log_to_console": _flag,
    "json_logging": _flag,
    "symbol": _symbols,
    "timeframe": _timeframe,
    "lookback_bars": _whole(1, 1_000_000),
    "warmup_bars": _whole(0, 1_000_000),
    "strategy_id": _whole(0, 2**31 - 1),
    "strategy_name": _filled(100),
    "comment": _text(32),
    "leverage": _number("a number from 1 to 1000", lambda x: 1 <= x <= 1000),
    "max_drawdown_pct": _FRACTION,
    "daily_loss_limit": _POSITIVE,
    "limit_action": _word("flatten", "reduce", "block"),
    "size_type": _enum(SizeType),
    "size_value": _POSITIVE,
    "max_position_size_quote": _POSITIVE,
    "stop_loss_pct": _PERCENT_BELOW_100,
    "take_profit_pct": _PERCENT,
    "trailing_stop_pct": _PERCENT_BELOW_100,
    "trailing_activation_pct": _PERCENT,
    "breakeven_pct": _PERCENT,
    "slippage_pct": _number("a percentage from 0 to below 50", lambda x: 0 <= x < 50),
    "max_spread_pct": _PERCENT_BELOW_100,
    "max_open_positions": _whole(1, 100_000),
    "max_positions_per_symbol": _whole(1, 100_000),
    "trade_hours": _wholes(0, 23, "UTC hours from 0 to 23"),
    "allowed_days": _wholes(1, 7, "days from 1 (Monday) to 7 (Sunday)"),
    "min_volume": _POSITIVE,
    "volatility_filter": _filter,
    "trend_filter": _filter,
    "fee_maker": _FEE,
    "fee_taker": _FEE,
    "limit_fill": _word("through", "touch"),
    "max_fill_volume_pct": _number("a percentage above 0, at most 100 (10.0 = 10 %)", lambda x: 0 < x <= 100),
    "maintenance_margin_rate": _MARGIN_RATE,
    "liquidation_fee_rate": _LIQUIDATION_FEE,
    "funding_rate": _FUNDING,
    "detail_timeframe": _detail_timeframe,
    "tick_model": _word("open", "ohlc", "detail", "trades"),
    "trade_mode": _enum(TradeMode),
    "backtest_start": _moment,
    "backtest_end": _moment,
    "initial_capital": _number("an amount above 0, at most 1e15", lambda x: 0 < x <= 1e15),
    "close_at_end": _flag,
    "paper_fills": _word("quotes", "book", "trades"),
    "latency_ms": _whole(0, 600_000),
    "speed": _number("a number from 1 to 100000", lambda x: 1 <= x <= 100_000),
    "fresh": _flag,
    "on_stop": _word("leave", "flatten"),
    "on_stop_failure": _word("close", "retry", "alert"),
    "max_slippage_pct": _POSITIVE,
    "max_entries_per_minute": _whole(0, 100_000),
    "account_daily_loss_limit": _POSITIVE,
    "account_max_drawdown_pct": _FRACTION,
    "dead_man_s": _whole(0, 120),
    "adopt": _flag,
    "flatten": _flag,
    "no_limits": _flag,
}
"""The rule of each setting by name, unique over all groups. No rule sees None: it means "not given"."""
