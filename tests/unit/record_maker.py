"""Small `Record`s built by hand, for the tests of the result."""

from dataclasses import replace

import numpy as np
import pandas as pd

from metaexpert.backtest.record import Record
from metaexpert.bars import Quality
from metaexpert.models import ContractType, ExitReason, Fill, Market, MarketType, Side, Trade
from metaexpert.timeframe import parse

DAY = 86_400_000
START = 1_704_067_200_000  # 2024-01-01 00:00 UTC, a Monday
SYMBOL = "BTC/USDT"
INVERSE = "BTC/USD:BTC"


def market(symbol=SYMBOL):
    """The market rules of `symbol`: inverse when it settles in its base, else spot."""
    base, _, rest = symbol.partition("/")
    quote, _, settle = rest.partition(":")
    inverse = settle == base
    return Market(
        symbol=symbol,
        exchange="demo",
        type=MarketType.FUTURES if inverse else MarketType.SPOT,
        base=base,
        quote=quote,
        settle=settle or quote,
        contract_type=ContractType.INVERSE if inverse else None,
    )


def candles(closes, *, timeframe="1d", start=START, opens=None, spread=1.0, volume=1000.0):
    """Candles that open at the last close (the first at its own) and reach `spread` beyond both."""
    closes = np.asarray(closes, dtype=np.float64)
    opens = np.concatenate((closes[:1], closes[:-1])) if opens is None else np.asarray(opens, dtype=np.float64)
    time = start + parse(timeframe) * np.arange(closes.size)
    return pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, closes) + spread,
            "low": np.minimum(opens, closes) - spread,
            "close": closes,
            "volume": np.full(closes.size, volume),
        },
        index=pd.DatetimeIndex(pd.to_datetime(time, unit="ms", utc=True).as_unit("ms"), name="time"),
    )


def trade(number=1, *, entry=START, exit_=START + DAY, pnl=0.0, symbol=SYMBOL, side="long", **fields):
    """A closed trade (open with exit_=None) of one coin bought at 100."""
    plain = Trade(
        id=number,
        symbol=symbol,
        side=side,
        qty=1.0,
        entry_time=entry,
        entry_price=100.0,
        exit_time=exit_,
        exit_price=None if exit_ is None else 100.0 + pnl * (1 if side == "long" else -1),
        pnl=pnl,
        fees=0.0,
        slippage=0.0,
        funding=0.0,
        entry_notional=100.0,
        exit_reason=None if exit_ is None else ExitReason.ORDER,
        tag=None,
        ambiguous=False,
    )
    return plain._replace(**fields)


def fill(number=1, *, time=START, side=Side.BUY, qty=1.0, price=100.0, symbol=SYMBOL, **fields):
    """A taker fill without costs."""
    plain = Fill(
        id=number,
        time=time,
        symbol=symbol,
        order_id=str(number),
        side=side,
        qty=qty,
        price=price,
        fee=0.0,
        is_maker=False,
        slippage=0.0,
        pnl=0.0,
        reason=ExitReason.ORDER,
    )
    return plain._replace(**fields)


def record(equity=(110.0, 99.0, 120.0), *, initial=100.0, timeframe="1d", start=START, **fields):
    """A record whose equity is given, one value a bar; balance follows it and nothing is traded unless given."""
    equity = np.asarray(equity, dtype=np.float64)
    time = start + parse(timeframe) * np.arange(1, equity.size + 1)
    plain = Record(
        name="trial",
        exchange="demo",
        timeframe=timeframe,
        currency="USDT",
        initial_capital=initial,
        markets={SYMBOL: market()},
        settings={"symbol": SYMBOL, "leverage": 1.0},
        inputs={"fast": 12},
        time=time,
        equity=equity,
        balance=equity.copy(),
        exposure=np.zeros(equity.size),
        fills=[],
        orders=[],
        trades=[],
        bars={SYMBOL: candles(np.linspace(100.0, 110.0, equity.size), timeframe=timeframe, start=start)},
        quality={SYMBOL: Quality(rows=equity.size, timeframe=timeframe, source="a file")},
        code="c0de",
        data="da7a",
        seed=7,
    )
    return replace(plain, **fields)
