"""What a run leaves behind: plain arrays and records, nothing derived. `Result` derives the rest, lazily."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd

    from ..bars import Quality
    from ..models import Fill, Market, Order, Trade

__all__ = ["Record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The bare outcome of one backtest, as the engine hands it over.

    `time` (int64 ms, the close times at which equity was marked, ascending), `equity` (balance + unrealised pnl),
    `balance` (realised) and `exposure` (signed notional over equity) have one shape, (n,). `bars` holds for each
    symbol the candles of the tested span (schema of `metaexpert.bars`), warm-up excluded; `orders` the last state
    of every order in order of creation; `refusals` how often each reason kept an entry from being made.
    `code` and `data` are SHA-256 hex digests of the expert's file and of all candles used; `seed` is what
    synthetic prices grew from, None where nothing was made up.
    """

    name: str
    exchange: str
    timeframe: str
    currency: str
    initial_capital: float
    markets: Mapping[str, Market]
    settings: Mapping[str, Any]
    inputs: Mapping[str, Any]
    time: np.ndarray
    equity: np.ndarray
    balance: np.ndarray
    exposure: np.ndarray
    fills: list[Fill]
    orders: list[Order]
    trades: list[Trade]
    bars: Mapping[str, pd.DataFrame]
    quality: Mapping[str, Quality]
    refusals: Mapping[str, int] = field(default_factory=dict[str, int])
    notes: tuple[str, ...] = ()
    stop_reason: str = "backtest_end"
    warmup_bars: int = 0
    code: str = ""
    data: str = ""
    seed: int | None = None
    criterion: float | None = None
