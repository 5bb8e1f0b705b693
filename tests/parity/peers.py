"""Plays one job through another backtester: ``python peers.py PLAY JOB.json ANSWER.json``, PLAY as in `PLAYS`.

Runs in an environment of its own (see run-oracle) and knows nothing of MetaExpert. The job holds candles and the
strategy's numbers, or daily curves; the answer holds trades, equity and the peer's own figures.

The rules are those on which these tools agree: EMAs seeded with the mean of their first values, a cross decided at
the close, a market order at the next open, a fee on the notional of each side, one size for every entry, and what
is open at the end is marked at the last close.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd


def ema(close, length):
    """Exponential mean with alpha 2 / (length + 1), begun with the mean of the first `length` closes."""
    seeded = pd.Series(close, dtype=float)
    seeded.iloc[length - 1] = seeded.iloc[:length].mean()
    seeded.iloc[: length - 1] = np.nan
    return seeded.ewm(span=length, adjust=False, ignore_na=True).mean().to_numpy()


def crosses(job):
    """(up, down): true on the bar whose close completes a cross."""
    fast, slow = ema(job["close"], job["fast"]), ema(job["close"], job["slow"])
    known = ~np.isnan(slow[:-1])
    up = np.append(False, known & (fast[:-1] <= slow[:-1]) & (fast[1:] > slow[1:]))
    down = np.append(False, known & (fast[:-1] >= slow[:-1]) & (fast[1:] < slow[1:]))
    return up, down


def frame(job):
    index = pd.to_datetime(job["time"], unit="ms")
    return pd.DataFrame({name: job[name.lower()] for name in ("Open", "High", "Low", "Close")}, index=index)


def plain(value):
    """Numbers for JSON; what is no finite number becomes null."""
    number = float(value)
    return number if np.isfinite(number) else None


def backtesting(job):
    from backtesting import Backtest, Strategy
    from backtesting import backtesting as core

    core._tqdm = lambda steps=None, **_: steps
    up, down = crosses(job)

    class Cross(Strategy):
        def init(self):
            self.up = self.I(lambda: up.astype(float), plot=False)
            self.down = self.I(lambda: down.astype(float), plot=False)

        def next(self):
            if self.up[-1] and not self.position.is_long:
                self.position.close()
                self.buy(size=1)
            elif self.down[-1] and self.position.is_long:
                self.position.close()
                if job["both"]:
                    self.sell(size=1)
            elif self.down[-1] and job["both"] and not self.position.is_short:
                self.sell(size=1)

    found = Backtest(frame(job), Cross, cash=job["cash"], commission=job["fee"]).run()
    figures = {name: plain(found[name]) for name in found.index if isinstance(found[name], int | float)}
    return {"trades": backtesting_trades(found), "equity": equity_of(found), "figures": figures}


def backtesting_stops(job):
    """Entries on one side where it is flat, each with a stop and a target off the open at which it fills."""
    from backtesting import Backtest, Strategy
    from backtesting import backtesting as core

    core._tqdm = lambda steps=None, **_: steps
    side, opens, entries = job["side"], job["open"], set(job["entries"])

    class Stops(Strategy):
        def init(self):
            pass

        def next(self):
            last = len(self.data) - 1
            if last in entries and not self.position:
                price = opens[last + 1]
                levels = {"sl": price * (1 - side * job["stop"]), "tp": price * (1 + side * job["target"])}
                (self.buy if side > 0 else self.sell)(size=1, **levels)

    found = Backtest(frame(job), Stops, cash=job["cash"], commission=job["fee"]).run()
    return {"trades": backtesting_trades(found), "equity": equity_of(found)}


def equity_of(found):
    return found["_equity_curve"]["Equity"].tolist()


def backtesting_trades(found):
    return [
        {
            "entry": row.EntryBar,
            "exit": row.ExitBar,
            "size": row.Size,
            "entry_price": row.EntryPrice,
            "exit_price": row.ExitPrice,
            "pnl": row.PnL,
        }
        for row in found["_trades"].itertuples()
    ]


def vectorbt(job):
    import vectorbt as vbt

    candles = frame(job)
    up, down = (pd.Series(np.append(False, signal[:-1]), index=candles.index) for signal in crosses(job))
    money = {"size": 1.0, "size_type": "amount", "fees": job["fee"], "init_cash": job["cash"], "freq": "1h"}
    sides = {"short_entries": down, "upon_opposite_entry": "reverse"} if job["both"] else {"exits": down}
    played = vbt.Portfolio.from_signals(candles["Close"], up, price=candles["Open"], **sides, **money)
    closed = played.trades.closed
    figures = {
        "win_rate": plain(closed.win_rate()),
        "profit_factor": plain(closed.profit_factor()),
        "expectancy": plain(closed.expectancy()),
        "sqn": plain(closed.sqn()),
        "total_return": plain(played.total_return()),
        "fees": plain(played.orders.fees.sum()),
        "max_drawdown": plain(played.max_drawdown()),
    }
    return {"trades": vectorbt_trades(played), "equity": played.value().tolist(), "figures": figures}


def vectorbt_stops(job):
    """As `backtesting_stops`, but for the bar of the entry, in which no level is looked at."""
    import vectorbt as vbt

    candles = frame(job)
    enter = np.zeros(len(candles), dtype=bool)
    enter[np.array(job["entries"]) + 1] = True
    played = vbt.Portfolio.from_signals(
        candles["Close"],
        entries=pd.Series(enter, index=candles.index),
        price=candles["Open"],
        open=candles["Open"],
        high=candles["High"],
        low=candles["Low"],
        direction="longonly" if job["side"] > 0 else "shortonly",
        sl_stop=job["stop"],
        tp_stop=job["target"],
        stop_entry_price="fillprice",
        stop_exit_price="stoplimit",
        size=1.0,
        size_type="amount",
        fees=job["fee"],
        init_cash=job["cash"],
        freq="1h",
    )
    return {"trades": vectorbt_trades(played), "equity": played.value().tolist()}


def vectorbt_trades(played):
    return [
        {
            "entry": int(row["entry_idx"]),
            "exit": int(row["exit_idx"]),
            "size": float(row["size"]) * (1 if row["direction"] == 0 else -1),
            "entry_price": float(row["entry_price"]),
            "exit_price": float(row["exit_price"]),
            "pnl": float(row["pnl"]),
        }
        for row in played.trades.values
        if row["status"] == 1
    ]


def curves(jobs):
    """The figures that vectorbt gives for daily curves and their benchmarks, 365 days a year."""
    return [curve(job) for job in jobs]


def curve(job):
    import vectorbt as vbt

    vbt.settings.returns["year_freq"] = "365 days"
    dates = pd.date_range("2020-01-01", periods=len(job["values"]) - 1, freq="D")
    returns, market = (
        pd.Series(np.diff(job[name]) / np.array(job[name])[:-1], index=dates) for name in ("values", "market")
    )
    of = returns.vbt.returns(freq="1D")
    figures = {
        "sharpe": of.sharpe_ratio(),
        "sortino": of.sortino_ratio(),
        "calmar": of.calmar_ratio(),
        "omega": of.omega_ratio(),
        "volatility": of.annualized_volatility(),
        "max_drawdown": of.max_drawdown(),
        "value_at_risk": of.value_at_risk(),
        "conditional_value_at_risk": of.cond_value_at_risk(),
        "tail_ratio": of.tail_ratio(),
        "beta": of.beta(market),
        "skew": returns.skew(),
        "kurtosis": returns.kurtosis(),
    }
    return {name: plain(value) for name, value in figures.items()}


PLAYS = {
    "backtesting": backtesting,
    "vectorbt": vectorbt,
    "backtesting_stops": backtesting_stops,
    "vectorbt_stops": vectorbt_stops,
    "curves": curves,
}

if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    _, what, source, target = sys.argv
    answer = PLAYS[what](json.loads(Path(source).read_text(encoding="utf-8")))
    Path(target).write_text(json.dumps(answer, allow_nan=False), encoding="utf-8")
