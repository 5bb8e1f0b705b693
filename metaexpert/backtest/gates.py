"""Entry filters beside the kernel: which entries the settings keep from being made, asked beforehand (rule 24)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .. import risk
from ..filters import entry_filters, filter_refusal
from . import column

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..config import StrategySettings
    from ..feed import Series
    from .column import Signals

__all__ = ["Gates"]

_REASONS = ("trade_hours", "allowed_days", "min_volume", "trend_filter", "volatility_filter")
_SHORTS = 10  # the numbers of short entries stand in the tens; see `column.Signals`


class Gates:
    """The entry filters of a strategy over one series.

    In one symbol, one position at a time and no quotes, `max_open_positions`, `max_positions_per_symbol` and
    `max_spread_pct` keep nothing from being made.

    Args:
        settings: the strategy's settings.
        series: makes the candles, their history before the tested span included.
    """

    def __init__(self, settings: StrategySettings, series: Callable[[], Series]) -> None:
        self._settings = settings
        self._make = series
        self._filters = entry_filters(settings)

    @cached_property
    def _series(self) -> Series:
        return self._make()

    @property
    def are_set(self) -> bool:
        """Is there a filter at all?"""
        return any(getattr(self._settings, name) not in (None, False) for name in _REASONS)

    def refusal(self, bar: int, side: int) -> risk.Refusal | None:
        """Why no entry on `side` is made at the close of `bar` of the tested span; None when one is."""
        series = self._series
        cursor, series.cursor.i = series.cursor.i, series.first + bar
        try:
            last = series.bar(series.cursor.i)
            time = last.time + series.length_ms
            state = risk.EntryState(time=time, volume=last.volume, open_positions=0, entries=0)
            refusal = risk.entry_refusal(state, self._filters)
            return refusal or filter_refusal(series, self._settings, side)
        finally:
            series.cursor.i = cursor

    def why(self, bar: int, side: int) -> risk.Refusal:
        """Like `refusal`, where there is one."""
        refusal = self.refusal(bar, side)
        assert refusal is not None  # noqa: S101 - the kernel was told so
        return refusal

    def kept(self, signals: Signals) -> Signals:
        """`signals` with what the filters keep from being made."""
        return signals._replace(gate=self._over(signals)) if self.are_set else signals

    def _over(self, signals: Signals) -> NDArray[np.uint8]:
        """The number of the filter that keeps an entry from being made at each bar (`column.Signals.gate`)."""
        at, wish = np.asarray(signals.at), np.asarray(signals.wish)
        gate = np.zeros(len(at), dtype=np.uint8)
        for bit, side, unit in ((column.LONG_ENTRY, 1, 1), (column.SHORT_ENTRY, -1, _SHORTS)):
            for place in np.flatnonzero(wish & bit).tolist():
                refusal = self.refusal(int(at[place]), side)
                if refusal is not None:
                    gate[place] = unit * (_REASONS.index(refusal.reason) + 1)
        return gate
