"""Settings: what is accepted, what is refused and how it is said, where each value came from."""

import copy
import json
import pickle
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert.checks import check
from metaexpert.config import (
    KNOWN_EXCHANGES,
    ExchangeSettings,
    LogSettings,
    Proxy,
    RunSettings,
    Secret,
    Settings,
    StrategySettings,
    build,
    exchange_settings,
    split,
)
from metaexpert.errors import ConfigError
from metaexpert.models import ContractType, MarginMode, MarketType, PositionMode, SizeType, TradeMode

GROUPS = (ExchangeSettings, LogSettings, StrategySettings, RunSettings)
REQUIRED = {StrategySettings: {"symbol": "BTCUSDT"}}
KEYS = {"api_key": "k-3f9a1c77", "api_secret": "s-88b2e0d4"}


def strategy(**keywords: object) -> StrategySettings:
    return build(StrategySettings, {"symbol": "BTCUSDT", **keywords})


def exchange(**keywords: object) -> ExchangeSettings:
    return exchange_settings(keywords, environ={})


def refusal(cls: type[Settings], **keywords: object) -> str:
    with pytest.raises(ConfigError) as caught:
        build(cls, {**REQUIRED.get(cls, {}), **keywords})
    message = str(caught.value)
    assert "\n" not in message
    return message


# Defaults and normal forms


def test_defaults_of_an_expert_need_nothing_but_a_symbol():
    ex, log, strat, run = exchange(), build(LogSettings, {}), strategy(), build(RunSettings, {})
    assert (ex.exchange, ex.market_type, ex.testnet) == ("demo", MarketType.SPOT, False)
    assert (ex.contract_type, ex.margin_mode, ex.position_mode) == (None, None, None)
    assert (log.log_level, log.log_to_file, log.log_to_console) == ("INFO", False, True)
    assert (strat.symbols, strat.timeframe, strat.leverage) == (("BTCUSDT",), "1h", 1.0)
    assert (strat.size_type, strat.size_value) == (SizeType.PERCENT_EQUITY, 0.1)
    assert (run.trade_mode, run.initial_capital, run.close_at_end) == (TradeMode.BACKTEST, 10_000.0, False)


def test_futures_fill_in_linear_isolated_oneway():
    ex = exchange(market_type="futures")
    assert ex.contract_type is ContractType.LINEAR
    assert ex.margin_mode is MarginMode.ISOLATED
    assert ex.position_mode is PositionMode.ONEWAY


def test_options_have_margin_but_no_contract_type():
    ex = exchange(exchange="okx", market_type="options", margin_mode="cross")
    assert (ex.contract_type, ex.margin_mode) == (None, MarginMode.CROSS)


@pytest.mark.parametrize("spelling", ["oneway", "one_way", "one-way"])
def test_position_mode_takes_three_spellings_of_oneway(spelling: str):
    assert exchange(market_type="futures", position_mode=spelling).position_mode is PositionMode.ONEWAY


def test_words_become_enums_and_levels_upper_case():
    assert strategy(size_type="fixed_quote", size_value=100).size_type is SizeType.FIXED_QUOTE
    assert build(LogSettings, {"log_level": "debug"}).log_level == "DEBUG"


@pytest.mark.parametrize("three", [3, 3.0, Decimal(3), np.float64(3), np.int64(3), np.float32(3)])
def test_every_kind_of_number_is_accepted(three: object):
    value = strategy(stop_loss_pct=three).stop_loss_pct
    assert value == 3.0
    assert type(value) is float


def test_whole_numbers_of_numpy_become_int():
    value = strategy(lookback_bars=np.int32(250)).lookback_bars
    assert (value, type(value)) == (250, int)


def test_several_symbols_keep_their_order():
    assert strategy(symbol=["ETHUSDT", "BTCUSDT"]).symbols == ("ETHUSDT", "BTCUSDT")
    assert strategy(symbol=("ETHUSDT",)).symbols == ("ETHUSDT",)


def test_hours_and_days_may_be_any_collection():
    settings = strategy(trade_hours=range(8, 11), allowed_days=[1, 5])
    assert settings.trade_hours == frozenset({8, 9, 10})
    assert settings.allowed_days == frozenset({1, 5})


def test_a_filter_may_be_a_function():
    settings = strategy(trend_filter=callable, volatility_filter=True)
    assert settings.trend_filter is callable
    assert settings.volatility_filter is True


def test_none_means_not_given():
    settings = build(StrategySettings, {"symbol": "BTCUSDT", "leverage": None, "size_type": None})
    assert (settings.leverage, settings.size_type) == (1.0, SizeType.PERCENT_EQUITY)
    assert settings.sources["leverage"] == "default"


def test_settings_are_frozen():
    with pytest.raises(AttributeError):
        strategy().leverage = 2.0  # type: ignore[misc]


# Unknown, misplaced, missing


def test_an_unknown_setting_names_the_nearest():
    message = refusal(ExchangeSettings, exchnage="binance")
    assert message == "MetaExpert(...): unknown setting 'exchnage'; did you mean 'exchange'?"


def test_a_setting_of_another_place_is_sent_there():
    message = refusal(ExchangeSettings, leverage=3)
    assert message == "MetaExpert(...): misplaced setting 'leverage': it belongs in @expert.on_init(...)"
    assert "MetaExpert(...)" in refusal(StrategySettings, api_key="x").split(":", 1)[1]


def test_where_is_said_as_the_caller_wants():
    with pytest.raises(ConfigError, match=r"^main\.py, line 3: unknown setting 'foo'"):
        build(RunSettings, {"foo": 1}, where="main.py, line 3")


def test_a_missing_symbol_is_said():
    with pytest.raises(ConfigError, match="symbol is missing"):
        build(StrategySettings, {})


def test_split_deals_keywords_out_to_their_groups():
    ex, log = split({"exchange": "okx", "log_level": "INFO"}, ExchangeSettings, LogSettings)
    assert (ex, log) == ({"exchange": "okx"}, {"log_level": "INFO"})


@given(st.text(min_size=1, max_size=30), st.sampled_from(GROUPS))
def test_no_unknown_name_is_ever_accepted(name: str, cls: type[Settings]):
    if name not in cls.defaults():
        with pytest.raises(ConfigError, match="setting"):
            build(cls, {**REQUIRED.get(cls, {}), name: 1})


def test_no_name_is_in_two_groups():
    names = [name for cls in GROUPS for name in cls.defaults()]
    assert len(names) == len(set(names))


# Wrong values


@pytest.mark.parametrize(
    ("cls", "name", "value", "said"),
    [
        (ExchangeSettings, "exchange", "binnance", "did you mean 'binance'?"),
        (ExchangeSettings, "exchange", "Binance", "did you mean 'binance'?"),
        (ExchangeSettings, "exchange", 3, "must be one of"),
        (ExchangeSettings, "market_type", "future", "did you mean 'futures'?"),
        (ExchangeSettings, "market_type", "swap", "use one of futures, options, spot"),
        (ExchangeSettings, "testnet", 1, "must be True or False"),
        (ExchangeSettings, "testnet", "yes", "must be True or False"),
        (ExchangeSettings, "base_url", "ftp://x", "must start with https://"),
        (ExchangeSettings, "base_url", "http://[", "must start with https://"),
        (ExchangeSettings, "base_url", "https://me:pw@x.test", "no user name or password"),
        (ExchangeSettings, "proxy", "localhost:80", "must be a URL"),
        (ExchangeSettings, "proxy", {"ftp": "http://h:1"}, "knows no protocol 'ftp'"),
        (ExchangeSettings, "proxy", {}, "is empty"),
        (ExchangeSettings, "subaccount", "", "is empty"),
        (ExchangeSettings, "api_key", "  ", "api_key is empty"),
        (LogSettings, "log_level", "WARN", "did you mean 'WARNING'?"),
        (LogSettings, "log_file", "logs/", "must name a file"),
        (LogSettings, "log_file", "trades.log", "three different files"),
        (LogSettings, "log_file", "./trades.log", "three different files"),
        (StrategySettings, "symbol", "", "is empty"),
        (StrategySettings, "symbol", [], "empty list"),
        (StrategySettings, "symbol", ["A", "B", "A"], "names 'A' twice"),
        (StrategySettings, "symbol", {"A", "B"}, "list of texts"),
        (StrategySettings, "symbol", 5, "list of texts"),
        (StrategySettings, "timeframe", "10m", "unknown timeframe '10m'"),
        (StrategySettings, "timeframe", "60m", "did you mean '1h'?"),
        (StrategySettings, "timeframe", 60, "must be text such as '1h'"),
        (StrategySettings, "lookback_bars", 0, "whole number from 1"),
        (StrategySettings, "lookback_bars", 10.5, "whole number"),
        (StrategySettings, "lookback_bars", True, "whole number"),
        (StrategySettings, "warmup_bars", -1, "whole number from 0"),
        (StrategySettings, "strategy_id", 2**31, "whole number from 0 to 2147483647"),
        (StrategySettings, "comment", "x" * 33, "33 characters: at most 32"),
        (StrategySettings, "comment", "a\nb", "unprintable"),
        (StrategySettings, "strategy_name", "", "is empty"),
        (StrategySettings, "leverage", 0.5, "from 1 to 1000"),
        (StrategySettings, "leverage", "3", "from 1 to 1000, got '3'"),
        (StrategySettings, "leverage", True, "from 1 to 1000, got True"),
        (StrategySettings, "leverage", float("nan"), "got nan"),
        (StrategySettings, "leverage", float("inf"), "got inf"),
        (StrategySettings, "leverage", 10**400, "got inf"),
        (StrategySettings, "daily_loss_limit", 0, "above 0"),
        (StrategySettings, "size_type", "percent", "did you mean 'percent_equity'?"),
        (StrategySettings, "size_value", -1, "above 0"),
        (StrategySettings, "stop_loss_pct", 100, "below 100"),
        (StrategySettings, "trailing_stop_pct", 0, "above 0"),
        (StrategySettings, "slippage_pct", -0.1, "from 0"),
        (StrategySettings, "max_open_positions", 0, "whole number from 1"),
        (StrategySettings, "trade_hours", {24}, "whole number from 0 to 23"),
        (StrategySettings, "trade_hours", set(), "nothing would ever be traded"),
        (StrategySettings, "trade_hours", "9-17", "set of UTC hours"),
        (StrategySettings, "trade_hours", 9, "set of UTC hours"),
        (StrategySettings, "allowed_days", {0}, "whole number from 1 to 7"),
        (StrategySettings, "trend_filter", "yes", "or a function of the bars"),
        (StrategySettings, "limit_fill", "cross", "use one of through, touch"),
        (StrategySettings, "max_fill_volume_pct", 0, "above 0, at most 100"),
        (StrategySettings, "max_fill_volume_pct", 100.5, "above 0, at most 100"),
        (RunSettings, "trade_mode", "papper", "did you mean 'paper'?"),
        (RunSettings, "initial_capital", 0, "above 0"),
        (RunSettings, "backtest_start", "yesterday", "must be a date such as"),
        (RunSettings, "backtest_start", "2024-13", "must be a date such as"),
        (RunSettings, "backtest_start", "2024-02-30", "must be a date such as"),
        (RunSettings, "backtest_start", 1_700_000_000, "looks like seconds"),
        (RunSettings, "backtest_start", True, "must be a date such as"),
        (RunSettings, "backtest_end", "9999-12-31", None),
        (RunSettings, "close_at_end", 0, "must be True or False"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_wanted(
    cls: type[Settings], name: str, value: object, said: str | None
):
    if said is None:
        build(cls, {name: value})
        return
    message = refusal(cls, **{name: value})
    assert said in message
    assert name in message


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"max_drawdown_pct": 20}, "max_drawdown_pct is a fraction: write 0.2 for 20 %"),
        ({"max_drawdown_pct": 1.0}, "max_drawdown_pct is a fraction: write 0.01 for 1 %"),
        ({"max_drawdown_pct": -0.2}, "must be a fraction above 0 and below 1"),
        (
            {"size_value": 5},
            "size_value is a fraction of equity for size_type='percent_equity': write 0.05 for 5 %",
        ),
        ({"size_value": 500}, "and at most 1"),
        ({"fee_taker": 0.1}, "fee_taker is a rate: write 0.001 for 0.1 %"),
        ({"fee_maker": 0.02}, "fee_maker is a rate: write 0.0002 for 0.02 %"),
        ({"fee_taker": 30}, "must be a rate from -0.02"),
        ({"maintenance_margin_rate": 0.5}, "write 0.005 for 0.5 %"),
        ({"liquidation_fee_rate": 1.5}, "write 0.015 for 1.5 %"),
        ({"size_type": "risk_based", "size_value": 100, "stop_loss_pct": 1}, "below 100 percent"),
    ],
)
def test_percent_where_a_fraction_is_meant_is_refused_with_the_right_number(
    keywords: dict[str, object], said: str
):
    assert said in refusal(StrategySettings, **keywords)


def test_a_whole_equity_and_a_rebate_are_legal():
    settings = strategy(size_value=1.0, fee_maker=-0.0001, fee_taker=0.0)
    assert (settings.size_value, settings.fee_maker, settings.fee_taker) == (1.0, -0.0001, 0.0)


# Contradictions


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"contract_type": "inverse"}, "contract_type='inverse' contradicts market_type='spot'"),
        ({"contract_type": "linear"}, "only futures have one"),
        ({"contract_type": "linear", "market_type": "options"}, "contradicts market_type='options'"),
        ({"margin_mode": "cross"}, "margin_mode contradicts market_type='spot'"),
        ({"position_mode": "oneway"}, "position_mode contradicts market_type='spot'"),
        ({"testnet": True}, "testnet=True contradicts exchange='demo'"),
        ({"testnet": True, "exchange": "local"}, "contradicts exchange='local'"),
        ({"exchange": "bitget", "market_type": "options"}, "not to be had on bitget"),
        ({"exchange": "kucoin", "market_type": "options"}, "not to be had on kucoin"),
    ],
)
def test_exchange_settings_that_contradict_each_other(keywords: dict[str, object], said: str):
    assert said in refusal(ExchangeSettings, **keywords)


@pytest.mark.parametrize("name", [name for name in KNOWN_EXCHANGES if name not in ("bitget", "kucoin")])
def test_options_are_known_on_the_exchanges_that_have_them(name: str):
    assert exchange(exchange=name, market_type="options").market_type is MarketType.OPTIONS


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"size_type": "risk_based", "size_value": 1.0}, "needs a stop"),
        ({"trailing_activation_pct": 1.0}, "needs trailing_stop_pct"),
        ({"take_profit_pct": 1.0, "breakeven_pct": 1.0}, "reached before breakeven_pct"),
        ({"maintenance_margin_rate": 0.02, "leverage": 50}, "liquidated at once; the rate must be below 0.02"),
    ],
)
def test_strategy_settings_that_contradict_each_other(keywords: dict[str, object], said: str):
    assert said in refusal(StrategySettings, **keywords)


def test_risk_based_is_content_with_a_trailing_stop():
    settings = strategy(size_type="risk_based", size_value=1.0, trailing_stop_pct=3.0)
    assert settings.trailing_stop_pct == 3.0


def test_breakeven_alone_is_legal():
    assert strategy(breakeven_pct=1.0).breakeven_pct == 1.0


def test_direct_construction_is_validated_too():
    with pytest.raises(ConfigError, match="leverage must be"):
        StrategySettings(symbol="BTCUSDT", leverage=0.0)


def test_leverage_on_spot_is_refused_across_the_groups():
    with pytest.raises(ConfigError, match="leverage=3 contradicts market_type='spot'"):
        check(exchange(), strategy(leverage=3))
    assert check(exchange(market_type="futures"), strategy(leverage=3)) == ()
    assert check(exchange(), strategy(leverage=1.0)) == ()


def test_a_funding_rate_is_of_futures_alone():
    for kind in ("spot", "options"):
        with pytest.raises(ConfigError, match=f"funding_rate=0 contradicts market_type='{kind}', which has no"):
            check(exchange(market_type=kind), strategy(funding_rate=0.0))
    assert check(exchange(market_type="futures"), strategy(funding_rate=0.0001)) == ()


# The span of a run


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2024-01-02", "2024-01-01"),
        ("2024-01-01T12:00", "2024-01-01T12:00"),
        ("2024-01-01T00:00+00:00", "2024-01-01T01:00+02:00"),
        (datetime(2024, 1, 2, tzinfo=UTC), date(2024, 1, 1)),
        (1_704_067_200_000, 1_704_067_199_999),
        ("2025", "2024"),
    ],
)
def test_a_span_that_ends_before_it_starts_is_refused(start: object, end: object):
    assert "is not before" in refusal(RunSettings, backtest_start=start, backtest_end=end)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2024-01-01", "2024-01-01"),  # the whole day
        ("2024-12-15", "2024"),  # to the end of the year
        ("2024-12-15", "2024-12"),
        ("2024-01-01 00:00", datetime(2024, 1, 1, 1, tzinfo=UTC)),
        (1_704_067_200_000, "2024-01-01T00:01Z"),
        (None, "2024-01-01"),
    ],
)
def test_a_span_with_time_in_it_is_accepted(start: object, end: object):
    assert build(RunSettings, {"backtest_start": start, "backtest_end": end}).backtest_end is not None


# Warnings


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"stop_loss_pct": 0.02}, "if you meant 2 %, write 2"),
        ({"size_type": "risk_based", "size_value": 0.01, "stop_loss_pct": 2}, "if you meant 1 %, write 1"),
        ({"take_profit_pct": 2, "trailing_stop_pct": 1, "trailing_activation_pct": 3}, "never acts"),
        ({"fee_taker": 0.01}, "write 0.0001"),
    ],
)
def test_doubtful_settings_are_warned_of(keywords: dict[str, object], said: str):
    (warning,) = check(exchange(), strategy(**keywords))
    assert said in warning


@pytest.mark.parametrize(("limit", "count"), [(500, 0), (0.05, 1), (10_000, 1)])
def test_a_loss_limit_that_is_no_sum_of_money_is_warned_of(limit: float, count: int):
    warnings = check(exchange(), strategy(daily_loss_limit=limit), build(RunSettings, {}))
    assert len(warnings) == count


def test_a_passphrase_that_nobody_asks_for_is_warned_of():
    (warning,) = check(exchange(exchange="binance", api_passphrase="abc", **KEYS), strategy())
    assert "api_passphrase is not used by binance" in warning


# Live


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({}, "needs a real exchange"),
        ({"exchange": "local"}, "needs a real exchange"),
        ({"exchange": "binance"}, "BINANCE_API_KEY=..."),
        ({"exchange": "okx", **KEYS}, "OKX_API_PASSPHRASE=..."),
        ({"exchange": "kucoin", **KEYS}, "needs api_passphrase"),
        ({"exchange": "bitget", **KEYS}, "needs api_passphrase"),
    ],
)
def test_live_trading_needs_an_exchange_and_its_keys(keywords: dict[str, object], said: str):
    live = build(RunSettings, {"trade_mode": "live"})
    with pytest.raises(ConfigError, match=re.escape(said)):
        check(exchange(**keywords), strategy(), live)
    assert check(exchange(**keywords), strategy(), build(RunSettings, {})) == ()


@pytest.mark.parametrize(("there", "missing"), [("api_key", "api_secret"), ("api_secret", "api_key")])
@pytest.mark.parametrize("mode", ["backtest", "live"])
def test_half_a_pair_of_keys_is_refused_once_a_run_begins(there: str, missing: str, mode: str):
    half = exchange(exchange="binance", **{there: "abc"})
    assert check(half, strategy()) == ()  # the other half may still come from .env
    with pytest.raises(ConfigError, match=f"{there} is set but {missing} is not"):
        check(half, strategy(), build(RunSettings, {"trade_mode": mode}))


def test_live_trading_with_its_keys_is_accepted():
    live = build(RunSettings, {"trade_mode": "live", "no_limits": True})
    keys = {f"{name}_{word.upper()}": value for name in ("BYBIT", "OKX") for word, value in KEYS.items()}
    keys["OKX_API_PASSPHRASE"] = "p"
    assert check(exchange_settings({"exchange": "bybit"}, environ=keys), strategy(), live) == ()
    assert check(exchange_settings({"exchange": "okx"}, environ=keys), strategy(), live) == ()


# Precedence and sources


def test_keyword_beats_environment_beats_file_beats_default():
    environ = {"BINANCE_SUBACCOUNT": "from-env", "BINANCE_TESTNET": "true", "OKX_SUBACCOUNT": "other"}
    dotenv = {"BINANCE_SUBACCOUNT": "x", "BINANCE_TESTNET": "false", "BINANCE_BASE_URL": "https://file.test/"}
    keywords = {"exchange": "binance", "subaccount": "from-keyword"}
    settings = exchange_settings(keywords, environ=environ, dotenv=dotenv)
    assert (settings.subaccount, settings.testnet, settings.base_url) == (
        "from-keyword",
        True,
        "https://file.test",
    )
    found = {name: settings.sources[name] for name in ("subaccount", "testnet", "base_url", "market_type")}
    assert found == {"subaccount": "keyword", "testnet": "env", "base_url": ".env", "market_type": "default"}


def test_overrides_beat_keywords_and_choose_whose_variables_are_read():
    settings = exchange_settings(
        {"exchange": "demo"}, overrides={"exchange": "okx"}, environ={"OKX_SUBACCOUNT": "a"}
    )
    assert (settings.exchange, settings.sources["exchange"], settings.subaccount) == ("okx", "override", "a")
    assert build(StrategySettings, {"symbol": "A"}, overrides={"symbol": "B"}).sources["symbol"] == "override"


def test_none_as_a_keyword_leaves_the_place_to_the_environment():
    settings = exchange_settings(
        {"exchange": "bybit", "api_key": None, "api_secret": None},
        environ={"BYBIT_API_KEY": "abcd", "BYBIT_API_SECRET": "efgh", "BYBIT_API_PASSPHRASE": ""},
    )
    assert settings.api_key is not None
    assert settings.api_key.reveal() == "abcd"
    assert settings.api_passphrase is None


def test_without_an_environment_argument_that_of_the_process_counts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEMO_SUBACCOUNT", "mine")
    assert exchange_settings({}).subaccount == "mine"


def test_a_wrong_variable_is_named():
    with pytest.raises(
        ConfigError, match=r"BINANCE_TESTNET in the environment must be True or False, got 'maybe'"
    ):
        exchange_settings({"exchange": "binance"}, environ={"BINANCE_TESTNET": "maybe"})


def test_direct_construction_tells_sources_by_comparing_with_the_default():
    settings = StrategySettings(symbol="A", leverage=2.0)
    assert (settings.sources["leverage"], settings.sources["timeframe"]) == ("keyword", "default")


def keyed() -> ExchangeSettings:
    """The settings of an exchange whose keys stand in the environment."""
    return exchange_settings({"exchange": "bybit"}, environ={f"BYBIT_{k.upper()}": v for k, v in KEYS.items()})


@pytest.mark.parametrize(
    ("strategic", "own"),
    [
        ({"daily_loss_limit": 50.0}, {}),
        ({"max_drawdown_pct": 0.2}, {}),
        ({}, {"account_daily_loss_limit": 50.0}),
        ({}, {"account_max_drawdown_pct": 0.2}),
        ({}, {"no_limits": True}),
        ({}, {"flatten": True}),  # it only closes
    ],
)
def test_a_live_run_needs_a_loss_limit_or_the_word_that_none_is_wanted(
    strategic: dict[str, Any], own: dict[str, Any]
):
    live = {"trade_mode": "live"}
    with pytest.raises(ConfigError, match=r"without a loss limit.*no_limits=True \(--no-limits\)"):
        check(keyed(), strategy(), build(RunSettings, live))
    assert check(keyed(), strategy(**strategic), build(RunSettings, live | own)) == ()


def test_settings_of_live_runs_are_told_to_mean_nothing_elsewhere():
    given = {"on_stop": "flatten", "dead_man_s": 0}
    for mode in ("backtest", "paper"):
        (note,) = check(keyed(), strategy(), build(RunSettings, {"trade_mode": mode, **given}))
        assert note == "on_stop='flatten', dead_man_s=0: only in live mode"
    assert check(keyed(), strategy(), build(RunSettings, {"trade_mode": "live", "no_limits": True, **given})) == ()


@pytest.mark.parametrize(
    ("name", "value"), [("fresh", True), ("latency_ms", 50), ("paper_fills", "book"), ("speed", 2.0)]
)
def test_settings_of_a_simulated_market_are_refused_in_live_mode(name: str, value: object):
    live = build(RunSettings, {"trade_mode": "live", "no_limits": True, name: value})
    with pytest.raises(ConfigError, match=f"{name}={value!r} is for trade_mode='paper', not 'live'"):
        check(keyed(), strategy(), live)


def test_what_else_a_live_run_can_not_have():
    with pytest.raises(ConfigError, match="choose one of them"):
        build(RunSettings, {"trade_mode": "live", "adopt": True, "flatten": True})
    with pytest.raises(ConfigError, match="dead_man_s must be 0 or 10 to 120, got 9"):
        build(RunSettings, {"trade_mode": "live", "dead_man_s": 9})
    live = build(RunSettings, {"trade_mode": "live", "no_limits": True, "initial_capital": 500.0})
    (note,) = check(keyed(), strategy(), live)
    assert note == "initial_capital=500 means nothing in live mode: the account's own money counts"


def test_keys_that_stand_in_the_code_are_warned_of_where_they_trade():
    strategy, own = StrategySettings(symbol="A"), exchange_settings({"exchange": "binance", **KEYS}, environ={})
    (note,) = check(own, strategy, RunSettings(trade_mode="paper"))
    assert note == (
        "keys are given in the code: put BINANCE_API_KEY and so on into .env or the environment instead"
    )
    assert check(own, strategy, RunSettings()) == ()
    found = {"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": "s"}
    elsewhere = exchange_settings({"exchange": "binance"}, environ=found)
    assert check(elsewhere, strategy, RunSettings(trade_mode="paper")) == ()


# Secrets


SECRETS = st.text(alphabet="0123456789!$%&", min_size=8, max_size=40)


@given(SECRETS, SECRETS, SECRETS)
def test_nothing_that_shows_settings_shows_a_secret(key: str, secret: str, password: str):
    proxy = f"http://me:{password}@host:1"
    settings = exchange(exchange="okx", api_key=key, api_secret=secret, proxy=proxy)
    hidden = (key, secret, password)
    seen = [repr(settings), str(settings), f"{settings}", json.dumps(settings.as_dict())]
    seen += [repr(pickle.dumps(settings)), repr(settings.sources)]
    assert not any(text in place for text in hidden for place in seen)
    assert settings.api_key == Secret(key)
    assert {each.reveal() for each in settings.secrets} >= {key, secret}


def test_a_secret_hides_from_every_way_of_printing():
    secret = Secret("hunter2-hunter2")
    for text in (repr(secret), str(secret), f"{secret}", f"{secret:>20}".strip(), repr([secret])):
        assert "hunter2" not in text
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_a_pickled_secret_arrives_without_its_text():
    arrived = pickle.loads(pickle.dumps(Secret("hunter2")))
    with pytest.raises(ConfigError, match="never copied to another process"):
        arrived.reveal()
    assert copy.deepcopy(Secret("hunter2")).reveal() == "hunter2"


def test_a_refused_secret_is_not_shown():
    assert "hunter2" not in refusal(ExchangeSettings, api_key=["hunter2"])
    assert "hunter2" not in refusal(ExchangeSettings, proxy="socks9://me:hunter2@host")
    assert "hunter2" not in refusal(ExchangeSettings, base_url="https://me:hunter2@host")


def test_secrets_are_stripped_of_what_pasting_adds():
    settings = exchange(exchange="binance", api_key=" abc\n", api_secret=Secret("x"))
    assert settings.api_key is not None
    assert settings.api_key.reveal() == "abc"


def test_a_proxy_is_one_url_or_one_for_each_protocol():
    assert exchange(proxy="http://h:1").proxy == Proxy(*[Secret("http://h:1")] * 3)
    assert exchange(proxy={"ws": "socks5://h:2"}).proxy == Proxy(ws=Secret("socks5://h:2"))


# as_dict, pickling


def _rising(bars: object) -> bool:
    return bars is not None


def test_as_dict_is_plain_json():
    settings = strategy(symbol=["A", "B"], trade_hours={9, 8}, trend_filter=_rising, size_type="fixed_base")
    plain = json.loads(json.dumps(settings.as_dict()))
    assert plain["symbol"] == ["A", "B"]
    assert plain["trade_hours"] == [8, 9]
    assert plain["trend_filter"].endswith("test_config._rising")
    assert plain["size_type"] == "fixed_base"
    assert list(plain) == list(StrategySettings.defaults())
    run = build(RunSettings, {"backtest_start": datetime(2024, 1, 1, tzinfo=UTC)})
    assert run.as_dict()["backtest_start"] == "2024-01-01T00:00:00+00:00"


def test_as_dict_leaves_secrets_out_whether_set_or_not():
    assert exchange(exchange="okx", **KEYS).as_dict() == exchange(exchange="okx").as_dict()


@pytest.mark.parametrize("cls", GROUPS)
def test_settings_survive_pickling_with_their_sources(cls: type[Settings]):
    settings = build(cls, REQUIRED.get(cls, {}))
    arrived = pickle.loads(pickle.dumps(settings))
    assert arrived == settings
    assert arrived.sources == settings.sources
    assert hash(arrived) == hash(settings)


# The guide and the imports


def test_the_guide_lists_exactly_the_settings_with_their_defaults():
    guide = (Path(__file__).parents[2] / "docs/guides/settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*?\| `([^|]*)` \|[^|]*\|$", guide, flags=re.MULTILINE)
    wanted = [(name, default) for cls in GROUPS for name, default in cls.defaults().items()]
    assert [name for name, _ in rows] == [name for name, _ in wanted]
    for (name, told), (_, default) in zip(rows, wanted, strict=True):
        actual = repr(str(default)) if isinstance(default, str) else repr(default)
        assert told.replace('"', "'") == ("required" if name == "symbol" else actual), name


def test_settings_load_nothing_heavy():
    heavy = ("numpy", "pandas", "dotenv", "structlog")
    code = f"import sys, metaexpert.config; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("leverage", Decimal("sNaN")),
        ("trade_hours", np.array(1)),
        ("symbol", np.array(1)),
        ("comment", pd.DataFrame({"a": [1, 2]})),
        ("size_type", "x" * 100_000),
    ],
)
def test_strange_values_are_refused_in_one_short_line(name: str, value: object):
    with pytest.raises(ConfigError) as caught:
        build(StrategySettings, {"symbol": "BTCUSDT", name: value})
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_a_moment_beyond_every_calendar_is_refused(value: int):
    with pytest.raises(ConfigError, match="backtest_start must be a date"):
        build(RunSettings, {"backtest_start": value})


def test_a_capital_that_no_sum_could_hold_is_refused():
    with pytest.raises(ConfigError, match="initial_capital must be an amount above 0, at most 1e15"):
        build(RunSettings, {"initial_capital": 1e200})
