"""What the parts around the engine cost on a million bars: medians, beside a sort of as many floats.

Run it as `.venv/bin/python benchmarks/components.py [--runs N] [--bars N] [--json FILE]`. A trade comes every
hundred bars.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from common import save

from metaexpert.backtest.catalogue import Statistics
from metaexpert.backtest.record import Record
from metaexpert.backtest.sample import Sample
from metaexpert.bars import inspect, resample
from metaexpert.models import ExitReason, Fill, Market, MarketType, Side, Trade

MINUTE = 60_000
MARKET = Market(symbol="BTC/USDT", exchange="demo", type=MarketType.SPOT, base="BTC", quote="USDT", settle="USDT")


def candles(rows: int) -> pd.DataFrame:
    """A random walk of one-minute bars."""
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 1e-4, rows)))
    index = pd.date_range("2020-01-01", periods=rows, freq="min", tz="UTC", unit="ms", name="time")
    frame = {"open": close, "high": close * 1.0001, "low": close * 0.9999, "close": close, "volume": 1.0}
    return pd.DataFrame(frame, index=index)


def record(bars: pd.DataFrame) -> Record:
    """A run over `bars` with a trade for every hundred of them."""
    times, close = bars.index.asi8 + MINUTE, bars["close"].to_numpy()
    turns = (
        np.sort(np.random.default_rng(2).choice(len(bars) - 1, len(bars) // 50, replace=False))
        .reshape(-1, 2)
        .tolist()
    )
    fills: list[Fill] = []
    trades: list[Trade] = []
    for number, (first, last) in enumerate(turns, 1):
        profit = float(close[last] - close[first])
        for at, side in ((first, Side.BUY), (last, Side.SELL)):
            fills.append(
                Fill(
                    id=len(fills) + 1,
                    time=int(times[at]),
                    symbol=MARKET.symbol,
                    order_id=str(len(fills) + 1),
                    side=side,
                    qty=1.0,
                    price=float(close[at]),
                    fee=0.0,
                    is_maker=False,
                    slippage=0.0,
                    pnl=profit if side is Side.SELL else 0.0,
                    reason=ExitReason.ORDER,
                )
            )
        trades.append(
            Trade(
                id=number,
                symbol=MARKET.symbol,
                side="long",
                qty=1.0,
                entry_time=int(times[first]),
                entry_price=float(close[first]),
                exit_time=int(times[last]),
                exit_price=float(close[last]),
                pnl=profit,
                fees=0.0,
                slippage=0.0,
                funding=0.0,
                entry_notional=float(close[first]),
                exit_reason=ExitReason.ORDER,
                tag=None,
                ambiguous=False,
            )
        )
    equity, balance, exposure = curves(close, turns)
    return Record(
        name="benchmark", exchange="demo", timeframe="1m", currency="USDT", initial_capital=10_000.0,
        markets={MARKET.symbol: MARKET}, settings={}, inputs={}, time=times, equity=equity, balance=balance,
        exposure=exposure, fills=fills, orders=[], trades=trades, bars={MARKET.symbol: bars},
        quality={MARKET.symbol: inspect(bars, "1m")},
    )  # fmt: skip


def curves(close: np.ndarray, turns: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Equity, balance and exposure of trades of one coin from 10,000 of money."""
    realised, held, open_profit = (np.zeros(close.size) for _ in range(3))
    for first, last in turns:
        realised[last] = close[last] - close[first]
        held[first:last] = 1.0
        open_profit[first:last] = close[first:last] - close[first]
    balance = 10_000.0 + np.cumsum(realised)
    equity = balance + open_profit
    return equity, balance, held * close / equity


def timed(work: Callable[[], object], runs: int) -> float:
    """The median wall time of `work` in seconds."""
    spent = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return median(spent)


def main() -> None:
    """Measure each part and print the medians and their ratios to the yardstick."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="measurements of each part (default: 7)")
    parser.add_argument("--bars", type=int, default=1_000_000, help="how many (default: a million)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    rows, runs = options.bars, options.runs
    bars = candles(rows)
    run = record(bars)
    values = np.random.default_rng(3).random(rows)
    yardstick = timed(lambda: np.sort(values), runs)
    parts = {
        f"sort {rows:,} floats (yardstick)": yardstick,
        f"inspect {rows:,} bars": timed(lambda: inspect(bars, "1m"), runs),
        "resample them to 1h": timed(lambda: resample(bars, "1h", source="1m"), runs),
        f"all statistics, {len(run.trades):,} trades": timed(lambda: dict(Statistics(Sample(run))), runs),
    }
    for name, seconds in parts.items():
        print(f"{name:36}{seconds * 1000:9.1f} ms{seconds / yardstick:8.2f} x")
    save([{"of": "parts", "who": name, "seconds": seconds} for name, seconds in parts.items()], options.json)


if __name__ == "__main__":
    main()
