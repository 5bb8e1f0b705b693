"""Vectorised strategies in event form: a function of closed bars says when to trade, a plan acts on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import StrategyError, did_you_mean
from .trader import OrderTerms

if TYPE_CHECKING:
    from collections.abc import Callable

    from .feed import Series
    from .trader import Trader

__all__ = ["COLUMNS", "SignalPlan"]

COLUMNS = ("long_entry", "long_exit", "short_entry", "short_exit", "size")
"""What a signals function may return: boolean columns, and `size`, a quantity (NaN: sized by the settings)."""


class SignalPlan:
    """What `function` says about the candles of `series`, acted on bar by bar.

    On a bar exits come before entries; an entry is ignored while a position on its side is open, and reverses one
    on the other side (spot: closes it).

    Raises:
        StrategyError: the function returns something else than boolean columns of the bars' length, or wants to be
            long and short at once.
    """

    def __init__(self, function: Callable[[Any], Any], series: Series) -> None:
        self.series = series
        columns = _columns(function(series.candles), len(series))
        self._long_entry, self._long_exit = columns["long_entry"], columns["long_exit"]
        self._short_entry, self._short_exit = columns["short_entry"], columns["short_exit"]
        self._size: list[float] | None = columns["size"]
        for index, (long, short) in enumerate(zip(self._long_entry, self._short_entry, strict=True)):
            if long and short:
                raise StrategyError(
                    f"signals: long_entry and short_entry are both true at {series.candles.index[index]}"
                )

    def act(self, index: int, trader: Trader) -> None:
        """Do what the signals of bar `index` say."""
        symbol = self.series.symbol
        held = trader.held(symbol)
        if (held > 0.0 and self._long_exit[index]) or (held < 0.0 and self._short_exit[index]):
            reverses = self._short_entry[index] if held > 0.0 else self._long_entry[index]
            if not reverses:
                trader.close(symbol, None, None)
        size = None if self._size is None or math.isnan(self._size[index]) else self._size[index]
        if self._long_entry[index] and held <= 0.0:
            trader.open("long", size, symbol, OrderTerms())
        elif self._short_entry[index] and held >= 0.0:
            if trader.market(symbol).is_spot:
                trader.close(symbol, None, None)
            else:
                trader.open("short", size, symbol, OrderTerms())


def _columns(answer: Any, length: int) -> dict[str, Any]:
    """The signals as lists of `length`, the missing ones all false."""
    import numpy as np
    import pandas as pd

    if isinstance(answer, pd.DataFrame):
        answer = {str(name): answer[name] for name in answer.columns}
    if not isinstance(answer, Mapping):
        raise StrategyError(f"signals: return a dict or DataFrame of boolean columns, not {type(answer).__name__}")
    given: dict[str, Any] = dict(answer)  # type: ignore[arg-type]
    for name, values in given.items():
        if name not in COLUMNS:
            raise StrategyError(f"signals: unknown column {name!r}{did_you_mean(str(name), COLUMNS)}")
        array = np.asarray(values)
        if array.shape != (length,):
            raise StrategyError(f"signals: {name} has shape {array.shape}, the bars have ({length},)")
        if name == "size":
            given[name] = array.astype(float).tolist()
        elif array.dtype == bool or (array.dtype == object and all(x in (True, False) for x in array)):
            given[name] = array.astype(bool).tolist()
        else:
            raise StrategyError(f"signals: {name} must be boolean, not {array.dtype}")
    if not any(name.endswith("_entry") for name in given):
        raise StrategyError("signals: return at least long_entry or short_entry")
    nothing = [False] * length
    return {name: given.get(name, None if name == "size" else nothing) for name in COLUMNS}
