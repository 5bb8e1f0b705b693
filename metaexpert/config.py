"""Settings: frozen, validated once, each with the place that it came from.

Four groups: `ExchangeSettings` and `LogSettings` are the keywords of ``MetaExpert(...)``, `StrategySettings` those
of ``@expert.on_init(...)`` and `RunSettings` those of ``expert.run(...)``. A value of None means "not given".
Every refusal is a `ConfigError` of one line. What contradicts itself across the groups says `metaexpert.checks`.
The meaning, unit and default of every setting stand in ``docs/guides/settings.md``.
"""

from __future__ import annotations

import os
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from .errors import ConfigError, did_you_mean
from .models import ContractType, MarginMode, MarketType, PositionMode, SizeType, TradeMode
from .timeframe import TRADES, parse
from .values import KNOWN_EXCHANGES, LOG_LEVELS, RULES, Proxy, Secret, instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

__all__ = [
    "KNOWN_EXCHANGES",
    "LIVE_ONLY",
    "LOG_LEVELS",
    "OFFLINE",
    "ExchangeSettings",
    "LogSettings",
    "Proxy",
    "RunSettings",
    "Secret",
    "Settings",
    "StrategySettings",
    "build",
    "check_finer",
    "exchange_settings",
    "split",
]

OFFLINE = ("demo", "local")
"""What has no network and no account."""
_WITH_OPTIONS = ("demo", "local", "binance", "bybit", "okx")
_SECRET = ("api_key", "api_secret", "api_passphrase", "proxy")
_FROM_ENVIRONMENT = (*_SECRET, "subaccount", "base_url", "testnet")
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
LIVE_ONLY = (
    "on_stop", "on_stop_failure", "max_slippage_pct", "max_entries_per_minute", "account_daily_loss_limit",
    "account_max_drawdown_pct", "dead_man_s", "adopt", "flatten", "no_limits",
)  # fmt: skip
"""The settings of a run that only mean something in live mode."""
_SHORTEST_DEAD_MAN_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the groups have in common. `sources` says where each value came from.

    The sources are ``"override"`` (the command line), ``"keyword"``, ``"env"`` (environment variable),
    ``".env"`` (the file beside the expert) and ``"default"``.
    """

    sources: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sources: dict[str, str] = {}
        for name, default in self.defaults().items():
            value = getattr(self, name)
            if value is not None or default is not None:
                value = RULES[name](name, value)
                object.__setattr__(self, name, value)
            sources[name] = "default" if value == default else "keyword"
        object.__setattr__(self, "sources", sources)
        self._check()

    def _check(self) -> None:
        """Refuse what contradicts itself, and fill in what follows from other settings."""

    @classmethod
    @cache
    def defaults(cls) -> Mapping[str, Any]:
        """The settings of this group in order, each with its default; MISSING where there is none."""
        return MappingProxyType({each.name: each.default for each in fields(cls) if each.init})

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: words as text, sets sorted, functions by qualified name, secrets left out."""
        return {name: _plain(getattr(self, name)) for name in self.defaults() if name not in _SECRET}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[int]", value))
    if isinstance(value, tuple):
        return list(cast("tuple[str, ...]", value))
    if hasattr(value, "isoformat"):
        return value.isoformat()
    named: Any = value if hasattr(value, "__qualname__") else cast("Any", type(value))
    return f"{named.__module__}.{named.__qualname__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings(Settings):
    """Which exchange, which account there, which kind of market: the keywords of ``MetaExpert(...)``."""

    exchange: str = "demo"
    """The exchange, or ``demo`` (embedded) or ``local`` (imported candles)."""
    api_key: Secret | None = None
    """The key of the account; needed in live mode."""
    api_secret: Secret | None = None
    """The secret that belongs to `api_key`."""
    api_passphrase: Secret | None = None
    """The passphrase that okx, bitget and kucoin ask for beside the key."""
    subaccount: str | None = None
    """The sub-account to trade on."""
    base_url: str | None = None
    """Another address of the exchange's REST interface."""
    testnet: bool = False
    """Use the exchange's test network."""
    proxy: Proxy | None = None
    """The proxy: one URL for all protocols, or a mapping of http, https and ws."""
    market_type: MarketType = MarketType.SPOT
    """spot, futures or options."""
    contract_type: ContractType | None = None
    """linear or inverse; futures only, where None becomes linear."""
    margin_mode: MarginMode | None = None
    """isolated or cross; None becomes isolated, and stays None on spot."""
    position_mode: PositionMode | None = None
    """oneway or hedge; None becomes oneway, and stays None on spot."""

    def _check(self) -> None:
        spot = self.market_type is MarketType.SPOT
        if self.contract_type is not None and self.market_type is not MarketType.FUTURES:
            raise ConfigError(
                f"contract_type={str(self.contract_type)!r} contradicts market_type={str(self.market_type)!r}: "
                "only futures have one; leave it out or write market_type='futures'"
            )
        for name in ("margin_mode", "position_mode"):
            if spot and getattr(self, name) is not None:
                raise ConfigError(f"{name} contradicts market_type='spot', which has no margin: leave it out")
        if self.market_type is MarketType.OPTIONS and self.exchange not in _WITH_OPTIONS:
            raise ConfigError(
                f"market_type='options' is not to be had on {self.exchange}: use one of {', '.join(_WITH_OPTIONS)}"
            )
        if self.testnet and self.exchange in OFFLINE:
            raise ConfigError(f"testnet=True contradicts exchange={self.exchange!r}, which has no network")
        if not spot:
            object.__setattr__(self, "margin_mode", self.margin_mode or MarginMode.ISOLATED)
            object.__setattr__(self, "position_mode", self.position_mode or PositionMode.ONEWAY)
        if self.market_type is MarketType.FUTURES:
            object.__setattr__(self, "contract_type", self.contract_type or ContractType.LINEAR)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret that is set, for the logger to redact."""
        values = (self.api_key, self.api_secret, self.api_passphrase, *(self.proxy or ()))
        return tuple(value for value in values if value is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings(Settings):
    """What is logged and where to: keywords of ``MetaExpert(...)``, beside those of the exchange."""

    log_level: str = "INFO"
    """The least level that the console and `log_file` show."""
    log_file: str = "expert.log"
    """The main log; relative to the expert's folder."""
    log_trade_file: str = "trades.log"
    """The log of level TRADE alone, whatever `log_level` is."""
    log_error_file: str = "errors.log"
    """The log of levels ERROR and CRITICAL, whatever `log_level` is."""
    log_to_file: bool = False
    """Write the three files."""
    log_to_console: bool = True
    """Write to standard error."""
    json_logging: bool = False
    """One JSON object a line, in the files and on the console."""

    def _check(self) -> None:
        files = [os.path.normpath(name) for name in (self.log_file, self.log_trade_file, self.log_error_file)]
        if len(set(files)) < len(files):
            raise ConfigError("log_file, log_trade_file and log_error_file must be three different files")


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySettings(Settings):
    """What is traded, how large, and within which limits: the keywords of ``@expert.on_init(...)``.

    ``_pct`` means percent (2.0 = 2 %) but for `max_drawdown_pct`, which is a fraction (0.2 = 20 %).
    """

    symbol: str | tuple[str, ...]
    """One symbol or several, as the exchange or CCXT writes them; `symbols` is always a tuple."""
    timeframe: str = "1h"
    """The length of the bars that the strategy runs on."""
    lookback_bars: int = 100
    """How many closed bars `expert.rates()` gives when it is not told."""
    warmup_bars: int = 0
    """How many bars only feed the indicators before the first handler runs."""
    strategy_id: int = 0
    """The number that marks this expert's orders (MetaTrader's magic number)."""
    strategy_name: str | None = None
    """The name in reports and logs; None: the name of the expert's file."""
    comment: str = ""
    """A remark that every order carries."""
    leverage: float = 1.0
    """Notional over margin; 1 on spot."""
    max_drawdown_pct: float | None = None
    """The loss from the highest equity, as a fraction, at which the expert stops."""
    daily_loss_limit: float | None = None
    """The loss in one UTC day, in settlement currency, after which nothing is opened until the next."""
    limit_action: str = "flatten"
    """What happens to open positions when a loss limit is reached: flatten closes them, reduce halves them, block
    keeps them with their levels. Nothing new is opened in any case."""
    size_type: SizeType = SizeType.PERCENT_EQUITY
    """What `size_value` counts."""
    size_value: float = 0.1
    """Base units, quote notional, fraction of equity (0.1 = 10 %) or percent of equity at risk (1.0 = 1 %)."""
    max_position_size_quote: float | None = None
    """The largest notional of one position, in quote currency."""
    stop_loss_pct: float | None = None
    """The distance of the stop-loss from the entry price, in percent."""
    take_profit_pct: float | None = None
    """The distance of the take-profit from the entry price, in percent."""
    trailing_stop_pct: float | None = None
    """The distance of the trailing stop from the best price since entry, in percent."""
    trailing_activation_pct: float | None = None
    """The profit, in percent of the entry price, from which the stop trails; None: at once."""
    breakeven_pct: float | None = None
    """The profit, in percent of the entry price, at which the stop moves to the entry price."""
    slippage_pct: float = 0.0
    """What market and stop orders lose on the price in a simulation, in percent."""
    max_spread_pct: float | None = None
    """The widest spread, in percent of the mid price, at which an entry is made."""
    max_open_positions: int | None = None
    """How many positions may be open at a time, over all symbols."""
    max_positions_per_symbol: int = 1
    """How many entries may be stacked in one symbol."""
    trade_hours: frozenset[int] | None = None
    """The UTC hours in which entries are made; None: all."""
    allowed_days: frozenset[int] | None = None
    """The UTC days of the week on which entries are made, 1 = Monday; None: all."""
    min_volume: float | None = None
    """The least volume of the last closed bar, in base units, at which an entry is made."""
    volatility_filter: bool | Callable[..., object] = False
    """True: the built-in filter; or a function (bars) -> bool that lets an entry pass."""
    trend_filter: bool | Callable[..., object] = False
    """True: the built-in filter; or a function (bars) -> bool that lets an entry pass."""
    fee_maker: float | None = None
    """The maker fee as a rate (0.001 = 0.1 %), negative for a rebate; None: the market's."""
    fee_taker: float | None = None
    """The taker fee as a rate; None: the market's."""
    limit_fill: str = "through"
    """Whether a bar must trade through a limit price to fill it in a simulation, or only touch it."""
    max_fill_volume_pct: float | None = None
    """The share of a bar's volume, in percent, that it can fill of all orders together; None: any quantity."""
    maintenance_margin_rate: float | None = None
    """The maintenance margin as a rate of the notional; None: the market's."""
    liquidation_fee_rate: float | None = None
    """The fee of a liquidation as a rate of the notional; None: the market's."""
    funding_rate: float | None = None
    """What longs of a perpetual pay every 8 hours where no history is known, as a rate of the notional."""

    detail_timeframe: str | None = None
    """The timeframe of the finer bars that a simulation walks each bar by, or ``trades``; None: none."""
    tick_model: str | None = None
    """Which ticks a backtest tells `on_tick`: open, ohlc, detail or trades; None: the finest there are."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, always as a tuple."""
        return (self.symbol,) if isinstance(self.symbol, str) else self.symbol

    def _check(self) -> None:
        size = self.size_value
        if self.size_type is SizeType.PERCENT_EQUITY and size > 1:
            right = f": write {size / 100:g} for {size:g} %" if size <= 100 else " and at most 1"
            raise ConfigError(f"size_value is a fraction of equity for size_type='percent_equity'{right}")
        if self.size_type is SizeType.RISK_BASED:
            if size >= 100:
                raise ConfigError(f"size_value must be below 100 percent for size_type='risk_based', got {size:g}")
            if self.stop_loss_pct is None and self.trailing_stop_pct is None:
                raise ConfigError("size_type='risk_based' needs a stop: set stop_loss_pct or trailing_stop_pct")
        if self.trailing_activation_pct is not None and self.trailing_stop_pct is None:
            raise ConfigError("trailing_activation_pct needs trailing_stop_pct: set it too")
        self._check_detail()
        target, breakeven, rate = self.take_profit_pct, self.breakeven_pct, self.maintenance_margin_rate
        if target is not None and breakeven is not None and target <= breakeven:
            raise ConfigError(
                f"take_profit_pct={target:g} is reached before breakeven_pct={breakeven:g}: make it the larger one"
            )
        if rate is not None and rate * self.leverage >= 1:
            raise ConfigError(
                f"maintenance_margin_rate={rate:g} leaves no room at leverage={self.leverage:g}: "
                f"a position would be liquidated at once; the rate must be below {1 / self.leverage:g}"
            )

    @property
    def ticks(self) -> str:
        """The tick model in force."""
        finest = "ohlc" if self.detail_timeframe is None else "detail"
        return self.tick_model or (TRADES if self.detail_timeframe == TRADES else finest)

    def _check_detail(self) -> None:
        detail, ticks = self.detail_timeframe, self.tick_model
        if detail is not None:
            check_finer(detail, self.timeframe)
        if ticks == "ohlc" and detail is not None:
            raise ConfigError(
                f"tick_model='ohlc' contradicts detail_timeframe={detail!r}, which knows better in which order "
                "prices came: leave tick_model out"
            )
        if ticks == TRADES and detail != TRADES:
            raise ConfigError("tick_model='trades' needs the recorded trades: set detail_timeframe='trades' too")
        if ticks == "detail" and detail in (None, TRADES):
            raise ConfigError("tick_model='detail' needs finer bars: set detail_timeframe, such as '1m'")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings(Settings):
    """How one run goes: the keywords of ``expert.run(...)``."""

    trade_mode: TradeMode = TradeMode.BACKTEST
    """backtest, paper or live."""
    backtest_start: str | int | datetime | None = None
    """The first moment of the test (UTC): ISO date or time, datetime or int ms; None: the first candle."""
    backtest_end: str | int | datetime | None = None
    """The last moment of the test; a date without a time includes that day; None: the last candle."""
    initial_capital: float = 10_000.0
    """The balance at the start, in settlement currency (inverse: the base currency)."""
    close_at_end: bool = False
    """Close what is open at the end of a backtest, with fees, instead of only marking it."""
    paper_fills: str = "quotes"
    """What market orders get in paper mode: the best bid or ask (quotes), the levels of the order book (book), or
    the next public trade (trades), as a backtest over recorded trades does."""
    latency_ms: int = 0
    """How long an order is on its way in paper mode, in milliseconds."""
    speed: float = 1.0
    """How many times as fast as the world the market of the demo exchange goes in paper mode."""
    fresh: bool = False
    """Begin paper trading anew, with `initial_capital`, instead of where the last run stopped."""
    on_stop: str = "leave"
    """What a live run does with its positions when it is stopped: leave them with their stops, or flatten them."""
    on_stop_failure: str = "close"
    """What a live run does with a position whose stop order is refused or lost: close it, retry the order, or only
    alert."""
    max_slippage_pct: float | None = None
    """How far beyond the best quote a live market entry may fill, in percent; the rest is cancelled. None: any."""
    max_entries_per_minute: int = 300
    """How many entries, and changes of entries, a live run sends within any minute; 0: as many as the expert asks
    for."""
    account_daily_loss_limit: float | None = None
    """Like `daily_loss_limit`, of the equity of the whole live account."""
    account_max_drawdown_pct: float | None = None
    """Like `max_drawdown_pct`, of the equity of the whole live account."""
    dead_man_s: int = 60
    """After how many seconds without a sign of life the exchange itself cancels a live run's resting entries,
    where it can without cancelling stops; 0: never."""
    adopt: bool = False
    """Take over positions in the run's symbols that stand on the live account and are nobody's."""
    flatten: bool = False
    """Only cancel the expert's own orders, close its own positions and end."""
    no_limits: bool = False
    """Trade live without any loss limit."""

    def _check(self) -> None:
        if self.adopt and self.flatten:
            raise ConfigError("adopt takes positions over and flatten only closes one's own: choose one of them")
        if 0 < self.dead_man_s < _SHORTEST_DEAD_MAN_S:
            raise ConfigError(f"dead_man_s must be 0 or {_SHORTEST_DEAD_MAN_S} to 120, got {self.dead_man_s}")
        start, end = self.backtest_start, self.backtest_end
        if start is None or end is None:
            return
        if instant("backtest_start", start, end=False) >= instant("backtest_end", end, end=True):
            raise ConfigError(f"backtest_start {start} is not before backtest_end {end}: swap or mend them")


_PLACES: dict[type[Settings], str] = {
    ExchangeSettings: "MetaExpert(...)",
    LogSettings: "MetaExpert(...)",
    StrategySettings: "@expert.on_init(...)",
    RunSettings: "expert.run(...)",
}


def check_finer(detail: str, timeframe: str) -> None:
    """Check that bars of `timeframe` can be walked by those of `detail`.

    Raises:
        ConfigError: they can't.
    """
    if detail == TRADES:
        return
    length, whole = parse(detail), parse(timeframe)
    if length >= whole or whole % length:
        raise ConfigError(
            f"detail_timeframe={detail!r} does not divide {timeframe} bars: use a shorter one that does, as 1m"
        )


def split(
    keywords: Mapping[str, object], *groups: type[Settings], where: str | None = None
) -> list[dict[str, Any]]:
    """Deal `keywords` out to the `groups` that have a setting of that name.

    Raises:
        ConfigError: a keyword belongs to none of them; the message names the nearest, or where it belongs.
    """
    place = where or _PLACES[groups[0]]
    known = {name: group for group in groups for name in group.defaults()}
    for name in keywords:
        if name in known:
            continue
        home = next((_PLACES[group] for group in _PLACES if name in group.defaults()), None)
        hint = f": it belongs in {home}" if home else did_you_mean(name, known)
        raise ConfigError(f"{place}: {'misplaced' if home else 'unknown'} setting {name!r}{hint}")
    return [{name: value for name, value in keywords.items() if known[name] is group} for group in groups]


def build[S: Settings](
    cls: type[S],
    keywords: Mapping[str, object],
    *,
    where: str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> S:
    """Make the settings of group `cls` from what the user wrote; `overrides` (the command line) win.

    Raises:
        ConfigError: an unknown name or an unfit value; the message begins with `where`.
    """
    return _assemble(cls, (("override", overrides or {}), ("keyword", keywords)), where)


def exchange_settings(
    keywords: Mapping[str, object],
    *,
    where: str | None = None,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    dotenv: Mapping[str, str] | None = None,
) -> ExchangeSettings:
    """Like `build` for `ExchangeSettings`, filled up from the environment, then from a ``.env`` file.

    The names are the exchange's in capitals before the setting's: ``BINANCE_API_KEY``, ``_API_SECRET``,
    ``_API_PASSPHRASE``, ``_SUBACCOUNT``, ``_BASE_URL``, ``_TESTNET``, ``_PROXY``. An empty one is not given.

    Args:
        keywords: what the user wrote.
        where: how a message names the place of the keywords.
        overrides: what wins over the keywords.
        environ: the environment; None: that of the process.
        dotenv: what `metaexpert.envfile.load_env` returned.
    """
    exchange = str((overrides or {}).get("exchange") or keywords.get("exchange") or "demo")
    layers = (
        ("override", overrides or {}),
        ("keyword", keywords),
        ("env", _from_environment(exchange, os.environ if environ is None else environ, "the environment")),
        (".env", _from_environment(exchange, dotenv or {}, ".env")),
    )
    return _assemble(ExchangeSettings, layers, where)


def _from_environment(exchange: str, names: Mapping[str, str], place: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for setting in _FROM_ENVIRONMENT:
        name = f"{exchange.upper()}_{setting.upper()}"
        text = names.get(name, "").strip()
        if text:
            value = _TRUTH.get(text.lower(), text) if setting == "testnet" else text
            found[setting] = RULES[setting](f"{name} in {place}", value)
    return found


def _assemble[S: Settings](
    cls: type[S], layers: Iterable[tuple[str, Mapping[str, object]]], where: str | None
) -> S:
    place = where or _PLACES[cls]
    values: dict[str, Any] = {}
    sources = dict.fromkeys(cls.defaults(), "default")
    for source, layer in layers:
        for name, value in split(layer, cls, where=place)[0].items():
            if value is not None and name not in values:
                values[name], sources[name] = value, source
    for name, default in cls.defaults().items():
        if default is MISSING and name not in values:
            raise ConfigError(f"{place}: {name} is missing: write {name}=...")
    try:
        settings = cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    object.__setattr__(settings, "sources", sources)
    return settings
