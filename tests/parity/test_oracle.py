"""The outside oracle: other backtesters make the same trades and the same money from the same candles.

An EMA(12)/EMA(26) cross on real BTC candles, decided at the close and filled at the next open, 0.1 % a side, one
coin a trade. Ours runs through the public API, theirs by peers.py in an environment that run-oracle makes.
"""

import json
import math
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metaexpert import Backtest, MetaExchange, MetaExpert, crossover, crossunder
from metaexpert.backtest.record import Record
from metaexpert.backtest.result import Result
from metaexpert.bars import Quality
from metaexpert.importer import import_file
from metaexpert.models import ContractType, ExitReason, Market, MarketType
from metaexpert.store import CandleStore, Source

pytestmark = pytest.mark.oracle

PEERS = Path(__file__).with_name("peers.py")
FAST, SLOW, FEE, CASH = 12, 26, 0.001, 1_000_000.0
BINANCE = "data/ohlcv/binance_spot/BTCUSDT-1h.csv.gz"
LINEAR = "BTC/USDT:USDT"


@pytest.fixture
def peer(tmp_path):
    """A function that plays a job through a peer and returns its answer."""
    python = os.environ.get("METAEXPERT_ORACLE")
    if not python:
        pytest.skip("METAEXPERT_ORACLE names no Python that has the peers: run tests/parity/run-oracle")

    def play(what, job):
        source, target = tmp_path / "job.json", tmp_path / "answer.json"
        source.write_text(json.dumps(job), encoding="utf-8")
        subprocess.run([python, "-I", str(PEERS), what, str(source), str(target)], check=True, timeout=600)
        return json.loads(target.read_text(encoding="utf-8"))

    return play


def cross(symbol, *, both=False, **exchange):
    """Our run: long at a cross upwards; at one downwards flat, or short when `both`."""
    expert = MetaExpert(**exchange)

    @expert.on_init(
        symbol=symbol, timeframe="1h", size_type="fixed_base", size_value=1.0, fee_maker=FEE, fee_taker=FEE
    )
    def init():
        expert.fast = expert.indicator("ema", length=FAST)
        expert.slow = expert.indicator("ema", length=SLOW)

    @expert.on_bar
    def bar(_rates):
        if crossover(expert.fast, expert.slow):
            expert.open_position("long")
        elif crossunder(expert.fast, expert.slow):
            if both:
                expert.open_position("short")
            else:
                expert.close_position()

    return expert.backtest(capital=CASH)


def spot_sample(_request):
    """The embedded candles of Coinbase, spot, long only."""
    return cross("BTC/USD", exchange="demo"), False


def linear_sample(_request):
    """The same candles as a linear perpetual, long and short by turns."""
    market = Market(
        symbol=LINEAR, exchange="local", type=MarketType.FUTURES, base="BTC", quote="USDT", settle="USDT",
        contract_type=ContractType.LINEAR, max_leverage=10.0,
    )  # fmt: skip
    candles = MetaExchange("demo").bars("BTC/USD", "1h")
    CandleStore().append(market, "1h", candles, source=Source("the embedded sample"))
    run = cross(LINEAR, both=True, exchange="local", market_type="futures", contract_type="linear")
    return run, True


def binance_file(request):
    """Binance's own candles from August 2017 to December 2020, with its outages, spot, long only."""
    import_file(request.getfixturevalue("shared") / BINANCE, CandleStore(), exchange="binance")
    return cross("BTCUSDT", exchange="binance"), False


RUNS = [spot_sample, linear_sample, pytest.param(binance_file, marks=pytest.mark.shared)]


def job_of(result, both):
    """What a peer needs to play the same: candles and numbers."""
    (bars,) = result.record.bars.values()
    columns = {name: bars[name].tolist() for name in ("open", "high", "low", "close")}
    times = bars.index.as_unit("ms").asi8.tolist()
    return {"time": times, **columns, "fast": FAST, "slow": SLOW, "fee": FEE, "cash": CASH, "both": both}


def our_trades(result, times):
    """The closed trades with the indices of their bars."""
    bar_of = {time: i for i, time in enumerate(times)}
    return [
        {
            "entry": bar_of[trade.entry_time],
            "exit": bar_of[trade.exit_time],
            "size": trade.qty * (1 if trade.side == "long" else -1),
            "entry_price": trade.entry_price,
            "exit_price": trade.exit_price,
            "pnl": trade.net_pnl,
        }
        for trade in result.record.trades
        if trade.exit_time is not None
    ]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", ["backtesting", "vectorbt"])
def test_a_peer_makes_the_same_trades_and_the_same_money(name, run, peer, request):
    """Every closed trade by bar, size, prices and net profit; equity at every bar; to 1e-6 relative."""
    result, both = run(request)
    job = job_of(result, both)
    theirs = peer(name, job)
    ours = our_trades(result, job["time"])
    assert len(ours) == len(theirs["trades"]) > 300
    for mine, other in zip(ours, sorted(theirs["trades"], key=lambda trade: trade["entry"]), strict=True):
        assert mine == pytest.approx(other, rel=1e-6)
    assert result.record.equity == pytest.approx(np.array(theirs["equity"]), rel=1e-6)
    assert result.stats["final_equity"] == pytest.approx(theirs["equity"][-1], rel=1e-6)
    assert result.stats["final_equity"] != pytest.approx(CASH, rel=1e-3), "the comparison would prove nothing"


STOP, TARGET = 0.02, 0.03


def stopped_sample(side, *, within_entry_bar):
    """The embedded candles, entered on one side where flat, every seventh bar; only a stop or a target leaves.

    Without `within_entry_bar` entries whose first bar reaches a level are left out.
    """
    market = Market(
        symbol=LINEAR, exchange="local", type=MarketType.FUTURES, base="BTC", quote="USDT", settle="USDT",
        contract_type=ContractType.LINEAR, price_tick=0.0,
    )  # fmt: skip
    bars = MetaExchange("demo").bars("BTC/USD", "1h")
    down, up = (STOP, TARGET) if side > 0 else (TARGET, STOP)
    reached = (bars["low"] <= bars["open"] * (1 - down)) | (bars["high"] >= bars["open"] * (1 + up))
    signals = np.arange(len(bars)) % 7 == 3
    if not within_entry_bar:
        signals &= ~reached.shift(-1, fill_value=False).to_numpy()
    signals[-1] = False
    result = Backtest.from_signals(
        bars, **{"long_entry" if side > 0 else "short_entry": signals}, market=market, initial_capital=CASH,
        size_type="fixed_base", size_value=1.0, stop_loss_pct=100 * STOP, take_profit_pct=100 * TARGET,
        fee_maker=FEE, fee_taker=FEE,
    )  # fmt: skip
    plain = {name: bars[name].tolist() for name in ("open", "high", "low", "close")}
    plan = {"entries": np.flatnonzero(signals).tolist(), "side": side, "stop": STOP, "target": TARGET}
    times = bars.index.as_unit("ms").asi8.tolist()
    return result, {"time": times, **plain, **plan, "fee": FEE, "cash": CASH}


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("name", ["backtesting", "vectorbt"])
def test_a_peer_leaves_by_the_same_stops_and_targets(name, side, peer):
    """Bar, price and profit of each exit; equity at every bar.

    The rules coincide: levels in percent of the price of the fill, reached at a touch, left at the level or at the
    open of a bar that gaps over it; where one bar reaches both, the stop counts. They differ in two:

    - vectorbt doesn't look at the bar of the entry, as backtesting.py and we do (rule 7): for it, entries whose
      first bar reaches a level are left out.
    - Our levels are rounded to the market's tick, never closer to the price (rule 11); theirs are not. The market
      here has no tick.
    """
    result, job = stopped_sample(side, within_entry_bar=name == "backtesting")
    theirs = peer(f"{name}_stops", job)
    ours = our_trades(result, job["time"])
    assert len(ours) == len(theirs["trades"]) > 300
    for mine, other in zip(ours, sorted(theirs["trades"], key=lambda trade: trade["entry"]), strict=True):
        assert mine == pytest.approx(other, rel=1e-6)
    assert result.record.equity == pytest.approx(np.array(theirs["equity"]), rel=1e-6)
    reasons = {trade.exit_reason for trade in result.record.trades}
    assert {ExitReason.STOP_LOSS, ExitReason.TAKE_PROFIT} <= reasons
    at_once = sum(trade["entry"] == trade["exit"] for trade in ours)
    assert at_once > 5 if name == "backtesting" else at_once == 0
    assert any(trade.ambiguous for trade in result.record.trades), "no bar reaches both: nothing is shown of that"


def test_backtesting_py_gives_the_same_statistics(peer, request):
    """Those of its figures that are defined as ours are; its span lacks the last bar, which CAGR shows."""
    result, both = spot_sample(request)
    found = peer("backtesting", job_of(result, both))["figures"]
    stats, bars = result.stats, result.stats["bars"]
    same = {
        "# Trades": "trades",
        "Win Rate [%]": "win_rate_pct",
        "Max. Drawdown [%]": "max_drawdown_pct",
        "Equity Final [$]": "final_equity",
        "Equity Peak [$]": "equity_peak",
        "Return [%]": "total_return_pct",
        "Commissions [$]": "fees",
        "SQN": "sqn",
        "Kelly Criterion": "kelly_pct",
    }
    expected = {ours: found[theirs] * (100.0 if ours == "kelly_pct" else 1.0) for theirs, ours in same.items()}
    assert {key: stats[key] for key in expected} == pytest.approx(expected, rel=1e-6)
    growth = math.log1p(stats["cagr_pct"] / 100.0) * bars / (bars - 1)
    assert math.log1p(found["CAGR [%]"] / 100.0) == pytest.approx(growth, rel=1e-6)


def test_vectorbt_gives_the_same_trade_statistics(peer, request):
    """Win rate, profit factor and expectancy in money, SQN, fees, drawdown of equity at every bar."""
    result, both = spot_sample(request)
    found = peer("vectorbt", job_of(result, both))["figures"]
    stats = result.stats
    ours = {
        "win_rate": stats["win_rate_pct"] / 100.0,
        "profit_factor": stats["profit_factor"],
        "expectancy": stats["expectancy"],
        "sqn": stats["sqn"],
        "total_return": stats["total_return_pct"] / 100.0,
        "fees": stats["fees"],
        "max_drawdown": stats["max_drawdown_pct"] / 100.0,
    }
    assert ours == pytest.approx(found, rel=1e-6)


def test_vectorbt_gives_the_same_figures_for_daily_curves(peer):
    """Sharpe, Sortino, Calmar, Omega, tails and beta of random years, 365 days, ddof 1."""
    curves = [random_curve(seed) for seed in range(5)]
    jobs = [
        {"values": [1000.0, *values.tolist()], "market": [100.0, *market.tolist()]} for values, market in curves
    ]
    for (values, market), found in zip(curves, peer("curves", jobs), strict=True):
        assert figures_of(Result(daily_record(values, market)).stats) == pytest.approx(found, rel=1e-9)


def random_curve(seed):
    """(equity, market) at the ends of 730 days: fat-tailed prices, and a strategy that follows half of them."""
    random = np.random.default_rng(seed)
    moves = random.standard_t(4, 730) * 0.03
    steps = 0.5 * moves + random.normal(0.001, 0.01, 730)
    return 1000.0 * np.exp(np.cumsum(steps)), 100.0 * np.exp(np.cumsum(moves))


def figures_of(stats):
    """Our figures under vectorbt's names, as fractions; its year of growth has 365 days, ours 365.25."""
    growth = (1.0 + stats["cagr_pct"] / 100.0) ** (365 / 365.25) - 1.0
    plain = ("sharpe", "sortino", "omega", "tail_ratio", "beta", "skew", "kurtosis")
    fractions = ("volatility", "max_drawdown", "value_at_risk", "conditional_value_at_risk")
    return {
        **{name: stats[name] for name in plain},
        **{name: stats[f"{name}_pct"] / 100.0 for name in fractions},
        "calmar": growth / -(stats["max_drawdown_pct"] / 100.0),
    }


def daily_record(values, market):
    """A record whose equity is `values` and whose one market closed at `market`, opened at 100."""
    bars = MetaExchange("demo").bars("BTC/USD", "1d").iloc[: len(values)].copy()
    bars["close"] = market
    bars["open"] = np.concatenate(([100.0], market[:-1]))
    rules = replace(MetaExchange("demo").market("BTC/USD"), synthetic=True)
    times = bars.index.as_unit("ms").asi8 + 86_400_000
    return Record(
        name="curve", exchange="demo", timeframe="1d", currency="USD", initial_capital=1000.0,
        markets={rules.symbol: rules}, settings={}, inputs={}, time=times, equity=values, balance=values,
        exposure=np.ones(len(values)), fills=[], orders=[], trades=[], bars={rules.symbol: bars},
        quality={rules.symbol: Quality(rows=len(values), timeframe="1d", synthetic=True)},
    )  # fmt: skip
