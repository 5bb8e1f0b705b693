"""Experts that trade by signals alone run through the kernel: the outcome is the event engine's, to the bit."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lab import HOUR, START, SYMBOLS, expert, flat, keep
from test_short_way import same

from metaexpert import Backtest, ConfigError, MetaExpert, StrategyError
from metaexpert.backtest import engine
from metaexpert.backtest.record import LazyRecord, Record

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from metaexpert import Result

ROOT = Path(__file__).resolve().parents[2]
BTC, ETH = SYMBOLS["linear"]
SPAN = {"start": "2024-01-05", "end": "2024-02-10"}
KINDS = {
    "spot": {"market_type": "spot"},
    "linear": {"market_type": "futures", "contract_type": "linear"},
    "inverse": {"market_type": "futures", "contract_type": "inverse"},
}

SHARED = {field.name for field in fields(Record)} - {"path", "drawdown"}  # what both must agree on


@pytest.fixture(autouse=True)
def short_runs_take_the_kernel_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "KERNEL_FROM", 1)


def both(run: MetaExpert, **changes: Any) -> tuple[Result, Result]:
    """The same backtest by the engine that is chosen, which must be the kernel, and by the event engine."""
    chosen, event = run.backtest(**changes), run.backtest(engine="event", **changes)
    assert (chosen.record.path, event.record.path) == ("kernel", "event")
    assert chosen.manifest["path"] == "kernel"
    return chosen, event


def equal(one: Result, other: Result) -> None:
    """Are two results equal in everything, but for the path that was taken?"""
    ours, theirs = (result.record for result in (one, other))
    assert ours.drawdown is not None
    same(*(LazyRecord(**{name: getattr(record, name) for name in SHARED}) for record in (ours, theirs)))
    assert np.array_equal(one.equity["drawdown"], other.equity["drawdown"])
    assert one.to_json().replace('"path": "kernel"', '"path": "event"') == other.to_json()


def tossed(seed: int, often: float, *, sized: float | None = None) -> Callable[[pd.DataFrame], dict[str, Any]]:
    """Signals by the dice: the same for the same bars, whatever comes before them."""

    def signals(bars: pd.DataFrame) -> dict[str, Any]:
        made = {name: [] for name in ("long_entry", "long_exit", "short_entry", "short_exit", "size")}
        for time in bars.index:
            dice = Random(f"{seed} {time.value}")
            for name in ("long_entry", "long_exit", "short_exit"):
                made[name].append(dice.random() < often)
            made["short_entry"].append(dice.random() < often and not made["long_entry"][-1])
            made["size"].append(sized * dice.choice([1.0, 3.0]) if sized and dice.random() < 0.5 else np.nan)
        return made if sized else {name: values for name, values in made.items() if name != "size"}

    return signals


LEVELS = [
    {},
    {"stop_loss_pct": 1.0, "take_profit_pct": 1.5, "slippage_pct": 0.02},
    {"trailing_stop_pct": 1.5, "trailing_activation_pct": 0.5, "breakeven_pct": 0.7},
    {
        "daily_loss_limit": 0.02,
        "max_drawdown_pct": 0.15,
        "trade_hours": range(4, 20),
        "allowed_days": [1, 2, 3, 5],
    },
    {"trend_filter": True, "volatility_filter": True, "min_volume": 1.0, "lookback_bars": 30},
    {"warmup_bars": 120, "size_type": "risk_based", "size_value": 2.0, "stop_loss_pct": 0.5, "comment": "mine"},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_kernel_s_run_is_the_event_engine_s(kind: str, levels: dict[str, Any], seed: int) -> None:
    """Demo candles with their funding, mark prices and rules, and the history before the span."""
    given = dict(levels)
    if kind != "inverse" and "daily_loss_limit" in given:
        given["daily_loss_limit"] = 150.0  # in USDT, not in bitcoin
    if kind != "spot":
        given |= {"leverage": (3, 40)[seed - 1]}
    run = MetaExpert("demo", log_to_console=False, **KINDS[kind])
    run.on_init(symbol="BTCUSD" if kind == "inverse" else "BTCUSDT", timeframe="1h", **given)(lambda: None)
    run.signals(tossed(seed, 0.1, sized=None if "size_type" in given else 500.0 if kind == "inverse" else 0.02))
    chosen, event = both(run, **SPAN, capital=1.0 if kind == "inverse" else 5_000.0, close_at_end=seed == 2)
    equal(chosen, event)
    assert len(chosen.record.trades) > 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("levels", LEVELS[:3])
@pytest.mark.parametrize("seed", [3, 4])
def test_signals_and_the_same_logic_bar_by_bar_are_equal(kind: str, levels: dict[str, Any], seed: int) -> None:
    """What a person would write as `on_bar` makes the same trades and curves."""
    symbol = "BTCUSD" if kind == "inverse" else "BTCUSDT"
    settings = {"symbol": symbol, "timeframe": "1h", "size_value": 0.5, **levels}
    vector, handler = (MetaExpert("demo", log_to_console=False, **KINDS[kind]) for _ in range(2))
    signals = tossed(seed, 0.1)
    vector.on_init(**settings)(lambda: None)
    vector.signals(signals)
    handler.on_init(**settings)(lambda: None)

    @handler.on_bar
    def on_bar(bar: Any) -> None:
        said = {name: values[-1] for name, values in signals(handler.rates(count=1)).items()}
        held = handler.position().qty
        if said["long_entry"] and held <= 0.0:
            handler.open_position("long")
        elif said["short_entry"] and held >= 0.0 and kind != "spot":
            handler.open_position("short")
        elif said["long_exit" if held > 0.0 else "short_exit"] or (kind == "spot" and said["short_entry"]):
            handler.close_position()

    one, other = vector.backtest(**SPAN), handler.backtest(**SPAN)
    assert one.record.path == "kernel"
    assert one.record.fills == other.record.fills
    assert one.record.trades == other.record.trades
    assert one.record.equity.tolist() == other.record.equity.tolist()
    assert len(one.record.trades) > 10


def test_inputs_and_settings_that_are_changed_reach_the_kernel() -> None:
    keep(BTC, flat(*(100.0 + i % 7 for i in range(60))))
    run = expert()
    run.on_init(symbol=BTC, timeframe="1h")(lambda: None)
    inputs = run.inputs(level=103.0)
    run.signals(
        lambda bars: {"long_entry": bars["close"] < inputs.level, "long_exit": bars["close"] > inputs.level}
    )
    changes = {"inputs": {"level": 105.0}, "settings": {"leverage": 2, "size_value": 0.5}}
    chosen, event = both(run, **changes)
    equal(chosen, event)
    assert chosen.record.inputs == {"level": 105.0}
    assert chosen.record.settings["leverage"] == 2
    assert inputs.level == 103.0
    assert chosen.record.trades != run.backtest().record.trades


@pytest.mark.parametrize("limit", [{"daily_loss_limit": 30.0}, {"max_drawdown_pct": 0.01}])
def test_both_warn_of_a_loss_limit_alike(limit: dict[str, float], capfd: pytest.CaptureFixture[str]) -> None:
    """At the close of bar 2 the loss is 10 % of 1000: one line on the console, with the time of the run."""
    keep(BTC, flat(100.0, 100.0, 90.0, 90.0, 90.0, 90.0))
    run = MetaExpert("local", **KINDS["linear"])
    run.on_init(symbol=BTC, timeframe="1h", size_type="fixed_quote", size_value=1_000.0, **limit)(lambda: None)
    run.signals(lambda bars: {"long_entry": np.arange(len(bars)) == 0})
    told = []
    for path in ("kernel", "event"):
        run.backtest(capital=2_000.0, engine=path)
        told.append([line for line in capfd.readouterr().err.splitlines() if "loss limit" in line])
    assert told[0] == told[1]
    assert len(told[0]) == 1
    assert "2024-01-01 03:00" in told[0][0].replace("T", " ")


# -- what the event engine alone can do ---------------------------------------------------------------------------


def signalled(**settings: Any) -> MetaExpert:
    run = expert(**{name: settings.pop(name) for name in ("position_mode", "log_to_file") if name in settings})
    run.on_init(**({"symbol": BTC, "timeframe": "1h"} | settings))(lambda: None)
    run.signals(lambda bars: {"long_entry": bars["close"] < 102.0, "long_exit": bars["close"] > 104.0})
    return run


def listening(event: str) -> MetaExpert:
    run = signalled()
    getattr(run, event)(lambda *args: None)
    return run


def timed() -> MetaExpert:
    run = signalled()
    run.on_timer(interval=3600)(lambda: None)
    return run


def acting(act: Callable[[MetaExpert], Any]) -> MetaExpert:
    run = expert()
    run.on_init(symbol=BTC, timeframe="1h")(lambda: act(run))
    run.signals(lambda bars: {"long_entry": bars["close"] < 102.0})
    return run


@pytest.mark.parametrize(
    ("make", "why"),
    [
        *(
            (lambda event=event: listening(event), f"@expert.{event} hears of what happens")
            for event in (
                "on_bar", "on_order", "on_transaction", "on_position", "on_account", "on_deinit", "on_error",
                "on_tick", "on_book", "on_backtest", "on_backtest_init", "on_backtest_deinit",
            )
        ),
        (timed, "@expert.on_timer hears of what happens"),
        (lambda: signalled(symbol=[BTC, ETH]), "several symbols share one account"),
        (lambda: signalled(position_mode="hedge"), "position_mode='hedge'"),
        (lambda: signalled(limit_fill="touch"), "limit_fill is set"),
        (lambda: signalled(trend_filter=lambda bars: True), "trend_filter is a function"),
        (lambda: acting(lambda run: run.buy(0.1, price=99.0)), "on_init has sent orders or stopped the run"),
        (lambda: acting(lambda run: run.rates(timeframe="4h")), "there are bars of several timeframes"),
    ],
)  # fmt: skip
def test_what_the_kernel_can_t_play_takes_the_event_path_and_says_so(make, why: str) -> None:
    """`from_expert` refuses the same by one line."""
    for symbol in (BTC, ETH):
        keep(symbol, flat(*(100.0 + i % 7 for i in range(60))))
    result = make().backtest()
    assert result.record.path == "event"
    assert f"played by the event engine, not by the kernel: {why}" in result.record.notes
    assert why in " ".join(str(result).split())
    with pytest.raises(ConfigError) as refused:
        Backtest.from_expert(make())
    assert str(refused.value) == f"the kernel can't play this: {why}; expert.backtest() takes the event path"


def test_a_log_of_every_trade_takes_the_event_path(tmp_path: Path) -> None:
    keep(BTC, flat(*(100.0 + i % 7 for i in range(60))))
    run = MetaExpert("local", log_to_console=False, log_to_file=True, log_file=str(tmp_path / "a.log"),
                     log_trade_file=str(tmp_path / "b.log"), log_error_file=str(tmp_path / "c.log"),
                     **KINDS["linear"])  # fmt: skip
    run.on_init(symbol=BTC, timeframe="1h")(lambda: None)
    run.signals(lambda bars: {"long_entry": bars["close"] < 102.0})
    result = run.backtest()
    assert "the log tells of each trade as it happens" in str(result.record.notes)
    assert (tmp_path / "b.log").read_text()


def test_settings_that_refuse_nothing_to_one_symbol_s_signals_keep_the_kernel() -> None:
    keep(BTC, flat(*(100.0 + i % 7 for i in range(60))))
    equal(*both(signalled(max_open_positions=1, max_positions_per_symbol=3, max_spread_pct=0.1, warmup_bars=10)))


def test_a_contract_that_expires_within_the_run_takes_the_event_path() -> None:
    """It is settled at the end of the 30th bar; one that expires after the run is the kernel's."""
    prices = flat(*(100.0 + i % 7 for i in range(60)))
    keep(BTC, prices, expiry=START + 30 * HOUR)
    result = signalled().backtest()
    assert f"{BTC} expires within the run" in str(result.record.notes)
    keep(BTC, prices, expiry=START + 300 * HOUR)
    equal(*both(signalled()))


def test_an_expert_without_signals_is_no_kernel_s() -> None:
    run = expert()
    run.on_init(symbol=BTC, timeframe="1h")(lambda: None)
    keep(BTC, flat(*[100.0] * 9))
    assert run.backtest().record.notes == expert_notes(run)
    with pytest.raises(ConfigError, match=r"the expert has no @expert\.signals"):
        Backtest.from_expert(run)


def expert_notes(run: MetaExpert) -> tuple[str, ...]:
    return run.backtest(engine="event").record.notes


def test_the_length_of_a_run_chooses_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 bars: the kernel's from a limit of 60, not of 61, where no note is made; unless it is asked for."""
    keep(BTC, flat(*(100.0 + i % 7 for i in range(60))))
    taken = {}
    for least in (60, 61):
        monkeypatch.setattr(engine, "KERNEL_FROM", least)
        taken[least] = signalled(warmup_bars=0).backtest()
    assert [one.manifest["path"] for one in taken.values()] == ["kernel", "event"]
    assert taken[60].record.notes == taken[61].record.notes
    equal(taken[60], taken[61])
    assert signalled(warmup_bars=0).backtest(engine="kernel").manifest["path"] == "kernel"


SHORT_RUN = """
import sys
from metaexpert import MetaExpert
expert = MetaExpert("demo", log_to_console=False)
expert.on_init(symbol="BTCUSDT", timeframe="1h")(lambda: None)
expert.signals(lambda bars: {"long_entry": bars["close"] > bars["open"]})
print(expert.backtest("2024-01-01", "2024-01-31").manifest["path"], "numba" in sys.modules)
"""


def test_a_short_run_does_not_load_the_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", SHORT_RUN], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["event", "False"]


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown engine 'kernal'; did you mean 'kernel'"):
        signalled().backtest(engine="kernal")


def test_on_init_runs_once_and_its_failure_is_told_alike() -> None:
    """Whether the kernel plays, or turns out not to be able to after `on_init`."""
    keep(BTC, flat(*(100.0 + i % 7 for i in range(60))))
    calls = []
    for act in (lambda run: calls.append(run.now()), lambda run: calls.append(run.buy(0.1, price=99.0))):
        acting(act).backtest()
    assert len(calls) == 2
    errors = set()
    for path in ("kernel", "event"):
        with pytest.raises(StrategyError) as failed:
            acting(lambda run: 1 / 0).backtest(engine=path)
        errors.add(str(failed.value))
    assert len(errors) == 1
    with pytest.raises(StrategyError, match="stopped before its first bar"):
        acting(lambda run: run.stop("enough")).backtest()


def test_an_expert_that_has_run_can_run_again() -> None:
    keep(BTC, flat(*(100.0 + i % 7 for i in range(60))))
    run = signalled()
    assert run.backtest().to_json() == run.backtest().to_json()


# -- Backtest.from_expert -----------------------------------------------------------------------------------------


def test_from_expert_takes_an_expert_or_its_file(cli: Any) -> None:
    """A file's own run(...) call holds unless something else is given, as on the command line."""
    example = ROOT / "examples/expert_okx_macd"
    changes = {"exchange": "demo", "start": "2024-01-01", "end": "2024-03-31"}
    result = Backtest.from_expert(example, **changes, settings={"leverage": 3}, inputs={"fast": 10})
    words = ("--exchange", "demo", "--end", "2024-03-31", "--set", "leverage=3", "--set", "fast=10", "--no-save")
    done = cli("backtest", str(example), "--json", *words)
    assert json.loads(done.out) == json.loads(result.to_json())
    assert result.manifest["path"] == "kernel"
    assert result.record.initial_capital == 10_000
    assert len(result.record.trades) > 10


def test_from_expert_tells_what_it_can_t_read_of_a_file(tmp_path: Path) -> None:
    keep(BTC, flat(*(100.0 + i % 7 for i in range(60))))
    file = tmp_path / "mine.py"
    file.write_text(
        f"""from metaexpert import MetaExpert
expert = MetaExpert("local", market_type="futures", contract_type="linear", log_to_console=False)
@expert.on_init(symbol="{BTC}", timeframe="1h")
def init(): ...
@expert.signals
def signals(bars):
    return {{"long_entry": bars["close"] < 102.0}}
if __name__ == "__main__":
    expert.run(trade_mode="backtest", initial_capital=float("500"))
"""
    )
    with pytest.warns(UserWarning, match="initial_capital is not a plain value"):
        result = Backtest.from_expert(file)
    assert result.manifest["name"] == "mine"
