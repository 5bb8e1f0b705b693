"""MetaExpert: signals to result, an expert with `on_bar` on candles of the local store, and the sweep."""

import pandas as pd
from serve import CASH, FAST, FEE, FIELDS, SIZE, SLOW, STOP, TARGET, crosses, serve

import metaexpert
from metaexpert import MetaExpert, cross_above, cross_below, crossover, crossunder
from metaexpert.models import ContractType, Market, MarketType
from metaexpert.store import CandleStore, Source

SETTINGS = {"size_type": "fixed_base", "size_value": SIZE, "fee_maker": FEE, "fee_taker": FEE}
LEVELS = {"stop_loss_pct": 100.0 * STOP, "take_profit_pct": 100.0 * TARGET}
SPOT = {"symbol": "BTC/USDT", "exchange": "local", "base": "BTC", "quote": "USDT", "settle": "USDT"}
SWAP = SPOT | {"symbol": "BTC/USDT:USDT", "contract_type": ContractType.LINEAR}
FINE = {"price_tick": 1e-8}  # the peers don't round prices


def market(both):
    """Spot for the long side only, a linear swap for both."""
    if both:
        return Market(**SWAP, **FINE, type=MarketType.FUTURES)
    return Market(**SPOT, **FINE, type=MarketType.SPOT)


def frame(candles):
    index = pd.DatetimeIndex(candles["time"].astype("datetime64[ms]"), name="time").tz_localize("UTC")
    return pd.DataFrame({name: candles[name] for name in FIELDS}, index=index)


def settings(job):
    return SETTINGS | (LEVELS if job["stops"] else {})


def vector(job, candles):
    bars = frame(candles)
    up, down = (pd.Series(signal, index=bars.index) for signal in crosses(candles["close"]))
    signals = {"long_entry": up, "short_entry" if job["both"] else "long_exit": down}
    rules = {"market": market(job["both"]), "initial_capital": CASH} | settings(job)

    def run():
        result = metaexpert.Backtest.from_signals(bars, **signals, **rules)
        equity, _, trades = result.equity, result.orders, result.trades
        return len(trades), equity["equity"].iloc[-1]

    return run


def event(job, candles):
    bars, traded = frame(candles), market(job["both"])
    CandleStore().append(traded, "1m", bars, source=Source("benchmark"))
    kind = {"market_type": "futures", "contract_type": "linear"} if job["both"] else {"market_type": "spot"}
    expert = MetaExpert(exchange="local", log_to_console=False, **kind)

    @expert.on_init(symbol=traded.symbol, timeframe="1m", **settings(job))
    def init():
        expert.fast = expert.indicator("ema", length=FAST)
        expert.slow = expert.indicator("ema", length=SLOW)

    @expert.on_bar
    def bar(_rates):
        if crossover(expert.fast, expert.slow):
            expert.open_position("long")
        elif crossunder(expert.fast, expert.slow):
            if job["both"]:
                expert.open_position("short")
            else:
                expert.close_position()

    def run():
        last = bars.index[-1] + pd.Timedelta(minutes=1)
        result = expert.backtest(start=bars.index[0], end=last, capital=CASH)
        return len(result.record.trades), result.record.equity[-1]

    return run


def signals(bars, fast, slow):
    quick, calm = bars.ta.ema(fast), bars.ta.ema(slow)
    return {"long_entry": cross_above(quick, calm), "long_exit": cross_below(quick, calm)}


def sweep(job, candles):
    bars = frame(candles)
    ranges = {"fast": range(*job["fast"]), "slow": range(*job["slow"])}

    def run():
        rules = {"market": market(both=False), "initial_capital": CASH} | SETTINGS
        grid = metaexpert.Backtest.sweep(bars, signals, **rules, **ranges)
        return grid.stats["trades"].sum() + grid.stats["open_trades"].sum(), grid.stats["final_equity"].max()

    return run


serve(metaexpert.__version__, {"vector": vector, "event": event, "sweep": sweep})
