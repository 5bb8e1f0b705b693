"""Settings held against each other: what contradicts itself is refused, what is legal but doubtful told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .config import LIVE_ONLY, OFFLINE
from .errors import ConfigError
from .models import MarketType, SizeType, TradeMode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .config import ExchangeSettings, RunSettings, StrategySettings

__all__ = ["check"]

_NOT_LIVE = ("paper_fills", "latency_ms", "speed", "fresh")
_DISTANCES = ("stop_loss_pct", "take_profit_pct", "trailing_stop_pct", "trailing_activation_pct", "breakeven_pct")
_NEAR_COSTS = 0.2  # percent: what a round trip costs at common taker fees
_WITH_PASSPHRASE = ("okx", "bitget", "kucoin")
_KEYS = ("api_key", "api_secret", "api_passphrase")


def check(
    exchange: ExchangeSettings, strategy: StrategySettings, run: RunSettings | None = None
) -> tuple[str, ...]:
    """Refuse what contradicts itself across the groups; return what is legal but doubtful, as warnings.

    With `run`, the settings are taken as complete (environment and ``.env`` included): keys are looked at too.

    Raises:
        ConfigError: the settings contradict each other, or the run needs what is not set.
    """
    if exchange.market_type is MarketType.SPOT and strategy.leverage != 1:
        raise ConfigError(
            f"leverage={strategy.leverage:g} contradicts market_type='spot', which has no margin: "
            "leave it out or write market_type='futures'"
        )
    if exchange.market_type is not MarketType.FUTURES and strategy.funding_rate is not None:
        raise ConfigError(
            f"funding_rate={strategy.funding_rate:g} contradicts market_type={str(exchange.market_type)!r}, which "
            "has no funding: leave it out or write market_type='futures'"
        )
    if run is not None:
        _check_keys(exchange, live=run.trade_mode is TradeMode.LIVE)
        _check_live(strategy, run)
    warnings = [*_doubtful_percents(strategy), *_doubtful_levels(strategy)]
    if exchange.api_passphrase is not None and exchange.exchange not in _WITH_PASSPHRASE:
        warnings.append(f"api_passphrase is not used by {exchange.exchange}: leave it out")
    if run is not None and run.trade_mode is not TradeMode.BACKTEST:
        warnings += _written_keys(exchange)
    if run is not None:
        warnings += [*_doubtful_capital(strategy, run), *_unused(run)]
    return tuple(warnings)


def _doubtful_capital(strategy: StrategySettings, run: RunSettings) -> Iterable[str]:
    capital, limit = run.initial_capital, strategy.daily_loss_limit
    if run.trade_mode is TradeMode.LIVE:
        if run.sources["initial_capital"] != "default":
            yield f"initial_capital={capital:g} means nothing in live mode: the account's own money counts"
    elif limit is not None and not capital / 1000 <= limit < capital:
        yield f"daily_loss_limit={limit:g} is an amount of money, and initial_capital is {capital:g}"


def _check_keys(exchange: ExchangeSettings, *, live: bool) -> None:
    name = exchange.exchange
    if (exchange.api_key is None) != (exchange.api_secret is None):
        there, missing = ("api_secret", "api_key") if exchange.api_key is None else ("api_key", "api_secret")
        raise ConfigError(f"{there} is set but {missing} is not: set both or neither")
    if live and name in OFFLINE:
        raise ConfigError(f"trade_mode='live' needs a real exchange, and exchange={name!r} is none")
    needed = ["api_key", "api_secret", *(["api_passphrase"] if name in _WITH_PASSPHRASE else [])]
    for each in needed:
        if live and getattr(exchange, each) is None:
            raise ConfigError(
                f"trade_mode='live' on {name} needs {each}: put {name.upper()}_{each.upper()}=... "
                "into the file .env beside the expert, or into the environment"
            )


def _check_live(strategy: StrategySettings, run: RunSettings) -> None:
    """Refuse a live run without a loss limit, and what only a simulation can do."""
    if run.trade_mode is not TradeMode.LIVE:
        return
    for name in _NOT_LIVE:
        value = getattr(run, name)
        if value != run.defaults()[name]:
            raise ConfigError(f"{name}={value!r} is for trade_mode='paper', not 'live': leave it out")
    limits = (
        strategy.daily_loss_limit, strategy.max_drawdown_pct, run.account_daily_loss_limit,
        run.account_max_drawdown_pct,
    )  # fmt: skip
    if all(limit is None for limit in limits) and not (run.no_limits or run.flatten):
        raise ConfigError(
            "trade_mode='live' without a loss limit: set daily_loss_limit or max_drawdown_pct in on_init(...), or "
            "say that you want none: no_limits=True (--no-limits)"
        )


def _unused(run: RunSettings) -> Iterable[str]:
    """A warning of settings that say nothing about a run in this mode."""
    defaults = run.defaults()
    given = [f"{name}={getattr(run, name)!r}" for name in LIVE_ONLY if getattr(run, name) != defaults[name]]
    if given and run.trade_mode is not TradeMode.LIVE:
        yield f"{', '.join(given)}: only in live mode"


def _written_keys(exchange: ExchangeSettings) -> Iterable[str]:
    """A warning of keys that stand where others read them."""
    if any(exchange.sources[name] == "keyword" for name in _KEYS):
        name = exchange.exchange.upper()
        yield f"keys are given in the code: put {name}_API_KEY and so on into .env or the environment instead"


def _doubtful_percents(strategy: StrategySettings) -> Iterable[str]:
    for name in _DISTANCES:
        value = getattr(strategy, name)
        if value is not None and value <= _NEAR_COSTS:
            yield (
                f"{name}={value:g} means {value:g} %, which the costs of a trade can eat; "
                f"if you meant {value * 100:g} %, write {value * 100:g}"
            )
    risk = strategy.size_value
    if strategy.size_type is SizeType.RISK_BASED and risk < 0.1:
        meant = risk * 100
        yield f"size_value={risk:g} risks {risk:g} % of equity; if you meant {meant:g} %, write {meant:g}"


def _doubtful_levels(strategy: StrategySettings) -> Iterable[str]:
    target, activation = strategy.take_profit_pct, strategy.trailing_activation_pct
    if target is not None and activation is not None and activation >= target:
        yield f"trailing_activation_pct={activation:g} never acts: take_profit_pct={target:g} is reached first"
    for name in ("fee_maker", "fee_taker"):
        fee = getattr(strategy, name)
        if fee is not None and fee >= 0.005:
            yield f"{name}={fee:g} is {fee * 100:g} %; if you meant {fee:g} %, write {fee / 100:g}"
