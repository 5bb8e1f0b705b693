"""backtesting.py: a class whose `next` is called a bar.

Its stop and target are shares of the close that signalled, and a trade still open is not counted.
"""

import warnings

import backtesting
import pandas as pd
from backtesting import Backtest, Strategy
from backtesting import backtesting as core
from serve import CASH, FAST, FEE, FIELDS, SLOW, STOP, TARGET, ema, serve


class Cross(Strategy):
    both, stops = False, False

    def init(self):
        self.fast, self.slow = self.I(ema, self.data.Close, FAST), self.I(ema, self.data.Close, SLOW)

    def next(self):
        fast, slow = self.fast, self.slow
        if fast[-1] > slow[-1] and fast[-2] <= slow[-2]:
            self.position.close()
            self.buy(size=1, **self.levels(1))
        elif fast[-1] < slow[-1] and fast[-2] >= slow[-2]:
            self.position.close()
            if self.both:
                self.sell(size=1, **self.levels(-1))

    def levels(self, side):
        close = self.data.Close[-1]
        return {"sl": close * (1 - side * STOP), "tp": close * (1 + side * TARGET)} if self.stops else {}


def event(job, candles):
    index = pd.DatetimeIndex(candles["time"].astype("datetime64[ms]"))
    bars = pd.DataFrame({name.title(): candles[name] for name in FIELDS}, index=index)

    def run():
        found = Backtest(bars, Cross, cash=CASH, commission=FEE).run(both=job["both"], stops=job["stops"])
        return found["# Trades"], found["Equity Final [$]"]

    return run


warnings.filterwarnings("ignore")
vars(core)["_tqdm"] = lambda steps=None, **_: steps  # no progress bar
serve(backtesting.__version__, {"event": event})
