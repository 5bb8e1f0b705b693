"""vectorbt, with its Rust engine where that can: ready signals to equity, orders and trades; and the sweep."""

import pandas as pd
import vectorbt as vbt
from serve import CASH, FEE, SIZE, STOP, TARGET, crosses, delayed, pairs, serve

COLUMNS_AT_ONCE = 50  # a broadcast over all pairs would take 7 GB
MONEY = {"size": SIZE, "fees": FEE, "init_cash": CASH, "freq": "1min"}


def frame(candles):
    index = pd.DatetimeIndex(candles["time"].astype("datetime64[ms]").astype("datetime64[ns]"))
    return pd.DataFrame({name: candles[name] for name in ("open", "high", "low", "close")}, index=index)


def vector(job, candles):
    bars = frame(candles)
    up, down = (pd.Series(delayed(signal), index=bars.index) for signal in crosses(candles["close"]))
    sides = {"short_entries": down, "upon_opposite_entry": "reverse"} if job["both"] else {"exits": down}
    levels = {"open": bars["open"], "high": bars["high"], "low": bars["low"], "sl_stop": STOP, "tp_stop": TARGET}
    levels = levels | {"stop_entry_price": "fillprice"} if job["stops"] else {}

    def run():
        played = vbt.Portfolio.from_signals(bars["close"], up, price=bars["open"], **sides, **levels, **MONEY)
        curve, _, trades = played.value(), played.orders.records, played.trades.records
        return len(trades), curve.iloc[-1]

    return run


def sweep(job, candles):
    bars = frame(candles)
    every = pairs(job)

    def chunk(part):
        fast, slow = (
            vbt.MA.run(
                bars["close"], [pair[side] for pair in part], ewm=True, run_unique=True, silence_warnings=True
            )
            for side in (0, 1)
        )
        up, down = (
            crossed.vbt.signals.fshift(1) for crossed in (fast.ma_crossed_above(slow), fast.ma_crossed_below(slow))
        )
        played = vbt.Portfolio.from_signals(bars["close"], up, down, price=bars["open"], **MONEY)
        return int(played.trades.count().sum()), float(played.final_value().max())

    def run():
        done = [chunk(every[first : first + COLUMNS_AT_ONCE]) for first in range(0, len(every), COLUMNS_AT_ONCE)]
        return sum(trades for trades, _ in done), max(equity for _, equity in done)

    return run


vbt.settings["engine"] = "auto"
serve(vbt.__version__, {"vector": vector, "sweep": sweep})
