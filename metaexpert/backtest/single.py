"""One symbol's signals through the kernel: from checked input to what a `Record` holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..broker.setup import costs_of
from . import column, kernel
from .logbook import Logbook
from .record import refuse_overflow
from .terms import terms_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from ..config import StrategySettings
    from ..models import Market
    from ..risk import Refusal
    from .column import Funding, Signals, Terms
    from .terms import Candles

__all__ = ["Single", "fields_of", "played"]


@dataclass(frozen=True, kw_only=True)
class Single:
    """What is played: one market's candles and signals, under the settings of a strategy.

    `notes` say what is not known of the market in this span.
    """

    market: Market
    settings: StrategySettings
    frame: pd.DataFrame
    candles: Candles
    signals: Signals
    funding: Funding
    capital: float
    cross: bool
    close_at_end: bool
    gate: Callable[[int, int], Refusal]
    notes: tuple[str, ...] = ()

    @property
    def terms(self) -> Terms:
        """The numbers that the run is played by."""
        return terms_of(
            self.settings, self.market, cross=self.cross, bar_ms=self.candles.bar_ms,
            close_at_end=self.close_at_end,
        )  # fmt: skip


def played(one: Single) -> Logbook:
    """Play the kernel over the column, with its curves.

    Raises:
        DataError: the numbers overflow.
    """
    bars = one.candles.bars
    made = kernel.play(
        kernel.compiled().run_column, one.terms, bars, one.signals, one.funding, capital=one.capital,
        curves=np.empty((4, len(bars.close))), daily=np.empty(0),
    )  # fmt: skip
    done = int(made.state[column.S_BARS])
    curves = made.curves[:, :done]
    refuse_overflow(curves[0], one.frame.index)
    curves.flags.writeable = False
    settings = one.settings
    return Logbook(
        played=made._replace(curves=curves),
        market=one.market,
        times=np.asarray(bars.time),
        bar_ms=one.candles.bar_ms,
        tag=settings.comment or None,
        strategy_id=settings.strategy_id,
        leverage=settings.leverage,
        tiers=costs_of(settings).tiers(one.market),
        gate=one.gate,
    )


def fields_of(book: Logbook) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """What a `LazyRecord` takes from a played column: fields that are ready, and how the others are made."""
    state, curves = book.played.state, book.played.curves
    stopped = int(state[column.S_STOPPED])
    ready = {
        "time": book.times[: int(state[column.S_BARS])] + book.bar_ms,
        "equity": curves[0],
        "balance": curves[1],
        "exposure": curves[2],
        "drawdown": curves[3],
        "stop_reason": "max_drawdown" if stopped else "backtest_end",
    }
    return ready, {"fills": book.fills, "orders": book.orders, "trades": book.trades, "refusals": book.refusals}
