"""Random scenarios, played three ways: by the event engine, by the bar loop as it stands, and by the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from metaexpert.backtest import column, engine, kernel
from metaexpert.backtest.data import reference
from metaexpert.backtest.logbook import Logbook
from metaexpert.backtest.sample import Sample
from metaexpert.backtest.terms import candles_of, funding_of, signals_of, terms_of, with_marks
from metaexpert.bars import frame
from metaexpert.bars import times as times_of
from metaexpert.broker.data import FundingRate
from metaexpert.broker.setup import costs_of
from metaexpert.config import ExchangeSettings, LogSettings, RunSettings, StrategySettings
from metaexpert.errors import DataError
from metaexpert.handlers import Handlers
from metaexpert.logger import MetaLogger
from metaexpert.models import ContractType, Market, MarketType
from metaexpert.series import Kind

START = 1_704_067_200_000  # 2024-01-01 00:00 UTC
HOUR = 3_600_000
KINDS = ("spot", "linear", "inverse")


@dataclass(frozen=True)
class Scenario:
    """One run: its market and settings, candles, and a signal column each."""

    kind: str
    market: Market
    cross: bool
    capital: float
    close_at_end: bool
    settings: dict[str, Any]
    bars: Any
    columns: dict[str, Any]
    marks: Any
    rates: list[tuple[int, float]] | None


def scenario(seed: int, length: int = 60) -> Scenario:
    """The scenario that grows from `seed`."""
    dice = Random(seed)
    kind = dice.choice(KINDS)
    price = dice.choice([100.0, 30_000.0, 0.5])
    made = market(dice, kind, price)
    step = dice.choice([0, 0, 0, 1, 2])  # bars missing here and there
    bars = candles(dice, price, length, step)
    return Scenario(
        kind=kind,
        market=made,
        cross=kind != "spot" and dice.random() < 0.5,
        capital=dice.choice([1_000.0, 10_000.0]) / (price if kind == "inverse" else 1.0),
        close_at_end=dice.random() < 0.3,
        settings=settings(dice, kind, price),
        bars=bars,
        columns=columns(dice, kind, price, len(bars)),
        marks=mark_prices(dice, bars) if kind != "spot" and dice.random() < 0.4 else None,
        rates=funding(dice, bars) if kind != "spot" and made.expiry is None else None,
    )


def market(dice: Random, kind: str, price: float) -> Market:
    inverse = kind == "inverse"
    steps = [1.0, 10.0, 0.0, 1e6] if inverse else [0.001, 1e-8, 0.1, 1.0, 0.0]
    step = dice.choice(steps) * (1.0 if inverse else 100.0 / price)
    rules: dict[str, Any] = {
        "spot": {"symbol": "BTC/USDT", "type": MarketType.SPOT, "settle": "USDT"},
        "linear": {"symbol": "BTC/USDT:USDT", "settle": "USDT", "contract_type": ContractType.LINEAR},
        "inverse": {"symbol": "BTC/USD:BTC", "settle": "BTC", "contract_type": ContractType.INVERSE},
    }[kind]
    if kind != "spot":
        rules |= {"type": MarketType.FUTURES, "expiry": dice.choice([None, 4_000_000_000_000])}
        if dice.random() < 0.3:
            unit = 1.0 / price if inverse else 1.0
            rules["tiers"] = [
                (500.0 * unit, 0.004, 0.0, 125.0), (3_000.0 * unit, 0.006, 1.0 * unit, dice.choice([20.0, 50.0])),
                (50_000.0 * unit, 0.02, 43.0 * unit, dice.choice([5.0, 20.0])),
            ]  # fmt: skip
    if dice.random() < 0.4:
        rules["min_notional"] = dice.choice([5.0, 100.0])
    if dice.random() < 0.3:
        rules["min_qty"] = step * dice.choice([1, 5])
    if dice.random() < 0.2:
        rules["max_qty"] = max(step, 1.0) * dice.choice([10, 100]) * (1000.0 if inverse else 100.0 / price)
        if dice.random() < 0.5:
            rules["max_market_qty"] = rules["max_qty"] * dice.choice([0.1, 2.0])
    if dice.random() < 0.2:
        rules["max_notional"] = dice.choice([1_000.0, 20_000.0])
    return Market(
        exchange="local", base="BTC", quote="USD" if inverse else "USDT", qty_step=step,
        price_tick=dice.choice([0.0, 1e-4, 0.01]) * price / 100.0, maker=0.0002,
        taker=dice.choice([0.0, 0.0005, 0.001, 0.01]), max_leverage=125.0,
        maintenance_margin_rate=dice.choice([0.004, 0.005, 0.0075]),
        liquidation_fee_rate=dice.choice([0.0, 0.005]), **rules,
    )  # fmt: skip


def settings(dice: Random, kind: str, price: float) -> dict[str, Any]:
    def maybe(chance: float, *values: Any) -> Any:
        return dice.choice(values) if dice.random() < chance else None

    given: dict[str, Any] = {
        "leverage": 1.0 if kind == "spot" else dice.choice([1.0, 2.0, 5.0, 20.0, 100.0, 105.0]),
        "slippage_pct": maybe(0.4, 0.01, 0.1, 1.0),
        "stop_loss_pct": maybe(0.5, 0.2, 1.0, 5.0, 50.0),
        "take_profit_pct": maybe(0.5, 3.1, 5.0, 120.0),
        "trailing_stop_pct": maybe(0.3, 0.5, 2.0, 10.0),
        "breakeven_pct": maybe(0.3, 0.5, 3.0),
        "fee_taker": maybe(0.2, -0.0005, 0.0, 0.002),
        "max_position_size_quote": maybe(0.2, 50.0, 2_000.0),
        "daily_loss_limit": maybe(0.2, 20.0, 300.0),
        "max_drawdown_pct": maybe(0.2, 0.02, 0.3),
        "maintenance_margin_rate": maybe(0.1, 0.001, 0.009),
        "liquidation_fee_rate": maybe(0.1, 0.0, 0.02),
        "comment": maybe(0.2, "mine"),
        "strategy_id": maybe(0.2, 7),
    }
    if given["trailing_stop_pct"] is not None:
        given["trailing_activation_pct"] = maybe(0.5, 0.5, 2.5)
    kinds = ["fixed_base", "fixed_quote", "percent_equity", "percent_equity"]
    if given["stop_loss_pct"] is not None or given["trailing_stop_pct"] is not None:
        kinds.append("risk_based")
    given["size_type"] = dice.choice(kinds)
    given["size_value"] = {
        "fixed_base": dice.choice([0.01, 1.0, 5.0]) * 100.0 / price,
        "fixed_quote": dice.choice([10.0, 777.0, 50_000.0]),
        "percent_equity": dice.choice([0.01, 0.3, 1.0]),
        "risk_based": dice.choice([0.5, 2.0, 60.0]),
    }[given["size_type"]]
    return {name: value for name, value in given.items() if value is not None}


def candles(dice: Random, price: float, length: int, missing: int) -> Any:
    """Candles that hang together: quiet, flat, gappy and wild ones."""
    digits = 2 if price >= 100.0 else 5
    wild, rows, time, at = dice.choice([0.01, 0.03, 0.1]), [], [], START - dice.randrange(30) * HOUR
    for _ in range(length):
        kind = dice.random()
        gap = dice.gauss(0.0, wild) if kind < 0.2 else 0.0
        body, up, down = (
            (0.0, 0.0, 0.0) if kind > 0.9 else (dice.gauss(0.0, wild), *[abs(dice.gauss(0.0, wild))] * 2)
        )
        open_ = max(round(price * max(0.05, 1.0 + gap), digits), 10.0**-digits)
        close = max(round(open_ * max(0.05, 1.0 + body), digits), 10.0**-digits)
        high = max(open_, close, round(max(open_, close) * (1.0 + up), digits))
        low = min(open_, close, max(10.0**-digits, round(min(open_, close) * (1.0 - down), digits)))
        rows.append((open_, high, low, close, 1.0))
        time.append(at)
        at += HOUR * (1 + (dice.randrange(1, 9) if missing and dice.random() < 0.1 * missing else 0))
        price = close
    time[1:] = [one - time[1] + time[0] + HOUR for one in time[1:]]  # the first two tell the timeframe
    return frame(np.array(time), [np.array(column) for column in zip(*rows, strict=True)])


def mark_prices(dice: Random, bars: Any) -> Any:
    """Mark candles near the traded ones, some of them missing."""
    factor = np.array([1.0 + dice.gauss(0.0, 0.01) for _ in range(len(bars))])
    made = bars.mul(factor, axis=0)
    return made[[dice.random() < 0.9 for _ in range(len(bars))]]


def funding(dice: Random, bars: Any) -> list[tuple[int, float]]:
    """Rates every few hours, some of them within bars and in gaps."""
    first, last = (int(bars.index[place].timestamp() * 1000) for place in (0, -1))
    step = dice.choice([HOUR // 2, 4 * HOUR, 8 * HOUR])
    offset = dice.choice([0, 0, HOUR // 4])
    spread = dice.choice([0.001, 0.001, 0.03])  # now and then enough to liquidate by itself
    return [(time + offset, dice.gauss(0.0001, spread)) for time in range(first - HOUR, last + 2 * HOUR, step)]


def columns(dice: Random, kind: str, price: float, length: int) -> dict[str, Any]:
    often = dice.choice([0.05, 0.2, 0.6])
    made: dict[str, Any] = {}
    for name in ("long_entry", "long_exit", "short_entry", "short_exit"):
        made[name] = np.array([dice.random() < often for _ in range(length)])
    if dice.random() < 0.3:
        made["short_entry"][:] = False
    made["short_entry"] &= ~made["long_entry"]
    if dice.random() < 0.2:  # in and out on the same bars, the first and the last among them
        made["long_entry"][[0, -1]], made["short_entry"][[0, -1]] = True, False
        made["long_exit"], made["short_exit"] = made["long_entry"].copy(), made["short_entry"].copy()
    if dice.random() < 0.3:
        unit = 100.0 if kind == "inverse" else 100.0 / price
        made["size"] = np.array([dice.choice([np.nan, unit, unit * 3.7, unit * 1e3]) for _ in range(length)])
    return made


# -- the three ways ---------------------------------------------------------------------------------------------


def by_engine(one: Scenario) -> Any:
    """The record of the event engine."""
    exchange = {
        "spot": {"market_type": "spot"},
        "linear": {"market_type": "futures", "contract_type": "linear"},
        "inverse": {"market_type": "futures", "contract_type": "inverse"},
    }[one.kind]
    if one.kind != "spot":
        exchange["margin_mode"] = "cross" if one.cross else "isolated"
    symbol = one.market.symbol
    job = engine.Job(
        name="trial",
        exchange=ExchangeSettings(exchange="local", **exchange),
        strategy=StrategySettings(symbol=symbol, timeframe="1h", **one.settings),
        run=RunSettings(initial_capital=one.capital, close_at_end=one.close_at_end),
        handlers=Handlers(),
        log=_silent,
        bind=lambda process: None,
        signals=lambda bars: one.columns,
        engine="event",
    )
    with patch.object(engine, "MetaExchange", lambda *args, **kwargs: Shelf(one)):
        return engine.run(job)


def inside(frame: Any, start: int, end: int) -> Any:
    """Which rows lie within [start, end)."""
    return (times_of(frame) >= start) & (times_of(frame) < end)


class Shelf:
    """The candles of one scenario in the place of an exchange's."""

    def __init__(self, one: Scenario) -> None:
        self.one = one

    def market(self, symbol: str) -> Market:
        return self.one.market

    def kinds(self, symbol: str) -> tuple[Kind, ...]:
        held = {Kind.MARK: self.one.marks, Kind.FUNDING: self.one.rates}
        return tuple(kind for kind, what in held.items() if what is not None)

    def mark_bars(self, symbol: str, timeframe: str, start: int, end: int) -> Any:
        return self.one.marks

    def index_bars(self, symbol: str, timeframe: str, start: int, end: int) -> Any:
        raise DataError("there is no index")

    def funding_rates(self, symbol: str, start: int, end: int) -> Any:
        times, rates = zip(*self.one.rates, strict=True)
        index = pd.DatetimeIndex(np.array(times).astype("datetime64[ms]"), name="time").tz_localize("UTC")
        return pd.DataFrame({"rate": rates}, index=index).loc[lambda frame: inside(frame, start, end)]

    def source(self, symbol: str, timeframe: str) -> str:
        return "a scenario"

    def bars(self, symbol: str, timeframe: str, start: Any = None, end: Any = None) -> Any:
        if start is not None:
            raise DataError("there is no history")
        return self.one.bars


def _silent(now: Any) -> MetaLogger:
    return MetaLogger("trial", LogSettings(log_to_console=False), now=now)


def play(one: Scenario, run_column: Any, *, curves: bool = True) -> tuple[kernel.Played, Any, Any, Any]:
    """What a column leaves behind, equity at the end of each day (without `curves`), its candles and settings."""
    marks = None if one.marks is None else reference(one.marks, "1h")
    made = with_marks(candles_of(one.bars), marks)
    rates = [] if one.rates is None else [FundingRate(time, rate, None) for time, rate in one.rates]
    strategy = StrategySettings(symbol=one.market.symbol, timeframe="1h", **one.settings)
    terms = terms_of(strategy, one.market, cross=one.cross, bar_ms=made.bar_ms, close_at_end=one.close_at_end)
    signals = signals_of(one.columns | {"size": one.columns.get("size")})
    daily = np.zeros(0 if curves else len(made.bars.day_ends))
    with np.errstate(all="ignore"):
        played = kernel.play(
            run_column, terms, made.bars, signals, funding_of(rates, marks, made), capital=one.capital,
            curves=np.zeros((4, len(one.bars) if curves else 0)), daily=daily,
        )  # fmt: skip
    return played, daily, made, strategy


def by_loop(one: Scenario, run_column: Any) -> dict[str, Any]:
    """What the bar loop makes of it: the loop itself, or the kernel."""
    played, _, made, strategy = play(one, run_column)
    book = Logbook(
        played, one.market, made.bars.time, made.bar_ms, strategy.comment or None, strategy.strategy_id,
        strategy.leverage, costs_of(strategy).tiers(one.market), _no_gate,
    )  # fmt: skip
    bars = int(played.state[column.S_BARS])
    equity, balance, exposure, drawdown = (curve[:bars].tolist() for curve in played.curves)
    return {
        "fills": list(book.fills()), "trades": list(book.trades()), "orders": list(book.orders()),
        "equity": equity, "balance": balance, "exposure": exposure, "drawdown": drawdown,
        "refusals": book.refusals(),
    }  # fmt: skip


def _no_gate(bar: int, side: int) -> Any:
    raise AssertionError("no filter is set")


def as_dict(record: Any) -> dict[str, Any]:
    """The parts of an engine's record that are compared."""
    return {
        "fills": record.fills, "trades": record.trades, "orders": record.orders, "equity": record.equity.tolist(),
        "balance": record.balance.tolist(), "exposure": record.exposure.tolist(),
        "drawdown": Sample(record).below[1:].tolist(),
        "refusals": dict(record.refusals),
    }  # fmt: skip


def difference(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """The first thing in which two answers differ, None when they are equal."""
    for part, values in one.items():
        if values == other[part]:
            continue
        if isinstance(values, dict):
            return f"{part}: {values} against {other[part]}"
        for place, (left, right) in enumerate(zip(values, other[part], strict=False)):
            if left != right:
                return f"{part}[{place}]: {left} against {right}"
        return f"{part}: {len(values)} against {len(other[part])}"
    return None
