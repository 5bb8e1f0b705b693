"""Vectorised strategies in event form: a function of closed bars says when to trade, a plan acts on it."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import MetaExpertError, StrategyError, did_you_mean
from .models import Side
from .trader import OrderTerms

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from .config import ExchangeSettings
    from .feed import Series
    from .inputs import Inputs
    from .models import Order
    from .trader import Trader

__all__ = ["COLUMNS", "LivePlan", "SignalPlan", "SignalSource", "answer", "ask", "columns_of"]

COLUMNS = ("long_entry", "long_exit", "short_entry", "short_exit", "size")
"""What a signals function may return: boolean columns, and `size`, a quantity (NaN: sized by the settings)."""

_LARGEST = 1e150  # a number whose square a float still holds: beyond it quantities and values overflow


class _Said(NamedTuple):
    """The columns as plain lists, in the order of `COLUMNS`: quick to read one by one."""

    long_entry: list[bool]
    long_exit: list[bool]
    short_entry: list[bool]
    short_exit: list[bool]
    size: list[float] | None


class SignalSource(NamedTuple):
    """An expert's ``@expert.signals`` (None: it has none), the inputs it reads, and the settings around it."""

    function: Callable[[Any], Any] | None
    inputs: Inputs
    settings: Mapping[str, Any]
    exchange: ExchangeSettings


class SignalPlan:
    """What `function` says about the candles of `series`, acted on bar by bar.

    On a bar exits come before entries; an entry is ignored while a position on its side is open, and reverses one
    on the other side (spot: closes it). An exit is made also where the entry that would reverse is refused.
    In hedge mode longs and shorts are entered and left each for themselves. With the exit or the reversal the rest
    of an entry that bars had no volume for is given up (`max_fill_volume_pct`).

    `columns` holds what it says; see `columns_of`.

    Raises:
        StrategyError: the function fails, or its answer is none that `columns_of` takes.
    """

    def __init__(self, function: Callable[[Any], Any], series: Series) -> None:
        self._entries: dict[Side, str] = {}
        self._function = function
        self.series = series
        self.columns = self._ask()

    def _ask(self) -> dict[str, Any]:
        return columns_of(answer(self._function, self.series.candles), self.series.candles.index)

    @cached_property
    def _said(self) -> _Said:
        return _plain(self.columns)

    def state(self) -> dict[str, str]:
        """The ids of the last entries by side, as JSON can hold them."""
        return {str(side): order for side, order in self._entries.items()}

    def restore(self, state: Mapping[str, str]) -> None:
        """Take on what `state` told."""
        self._entries = {Side(side): order for side, order in state.items()}

    def act(self, index: int, trader: Trader) -> None:
        """Do what the signals of bar `index` say."""
        symbol, said = self.series.symbol, self._said
        self._give_up(index, trader)
        if trader.hedge:
            self._act_on_legs(symbol, index, trader)
            return
        held = trader.held(symbol)
        leaves = (held > 0.0 and said.long_exit[index]) or (held < 0.0 and said.short_exit[index])
        if said.long_entry[index] and held <= 0.0:
            leaves = not self._enter("long", index, trader) and leaves
        elif said.short_entry[index] and held >= 0.0:
            spot = trader.market(symbol).is_spot
            leaves = spot or (not self._enter("short", index, trader) and leaves)
        if leaves:
            trader.close(symbol, None, None)

    def _give_up(self, index: int, trader: Trader) -> None:
        """Cancel entries that still wait for volume when their side is to be left."""
        said, turns = self._said, not trader.hedge
        no_longs = said.long_exit[index] or (turns and said.short_entry[index])
        no_shorts = said.short_exit[index] or (turns and said.long_entry[index])
        for side, ends in ((Side.BUY, no_longs), (Side.SELL, no_shorts)):
            order = self._waiting(side, trader) if ends else None
            if order is not None:
                trader.cancel(order)

    def _waiting(self, side: Side, trader: Trader) -> Order | None:
        """The last entry on `side` while it still works, in part or whole."""
        last = self._entries.get(side)
        if last is None:
            return None
        return next((order for order in trader.broker.working(self.series.symbol) if order.id == last), None)

    def _act_on_legs(self, symbol: str, index: int, trader: Trader) -> None:
        said = self._said
        for side, enters, leaves in (
            ("long", said.long_entry, said.long_exit), ("short", said.short_entry, said.short_exit),
        ):  # fmt: skip
            is_held = trader.held(symbol, side) != 0.0
            if is_held and leaves[index]:
                trader.close(symbol, side, None)
            elif enters[index] and not is_held:
                self._enter(side, index, trader)

    def _enter(self, direction: str, index: int, trader: Trader) -> bool:
        """Open, reversing what stands against it; False when the entry was refused."""
        side, sizes = Side.BUY if direction == "long" else Side.SELL, self._said.size
        if self._waiting(side, trader) is not None:
            return True  # an entry that waits for volume is as good as a position
        size = None if sizes is None or math.isnan(sizes[index]) else sizes[index]
        order = trader.open(direction, size, self.series.symbol, OrderTerms())
        self._entries[side] = order.id
        return self._waiting(side, trader) is not None


class LivePlan(SignalPlan):
    """A `SignalPlan` over the window of a live series: asked anew at each close, of which the last row counts."""

    def __init__(self, function: Callable[[Any], Any], series: Series) -> None:
        self._entries = {}
        self._function = function
        self.series = series

    def act(self, index: int, trader: Trader) -> None:
        """Do what the signals of bar `index` say.

        Raises:
            StrategyError: the function fails, or its answer is none that `columns_of` takes.
        """
        self.columns = self._ask()
        self._said = _plain(self.columns)
        super().act(index, trader)


def _plain(columns: Mapping[str, Any]) -> _Said:
    """The columns as plain lists."""
    plain: list[Any] = [None if values is None else values.tolist() for values in columns.values()]
    return _Said(*plain)


def answer(function: Callable[[Any], Any], candles: pd.DataFrame) -> Any:
    """What `function` says about a copy of the bars, which it may write to.

    Raises:
        StrategyError: the function fails.
    """
    return ask(function, candles.copy())


def ask(function: Callable[..., Any], bars: pd.DataFrame, **parameters: Any) -> Any:
    """What `function` says about `bars`.

    Raises:
        StrategyError: the function fails.
    """
    try:
        return function(bars, **parameters)
    except MetaExpertError:
        raise
    except Exception as error:
        frame = None if error.__traceback__ is None else error.__traceback__.tb_next  # the function's own
        line = "" if frame is None else f" ({Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno})"
        raise StrategyError(f"signals failed: {type(error).__name__}: {error}{line}") from error


def columns_of(answer: Any, index: pd.Index[Any]) -> dict[str, Any]:
    """The signals as arrays over the bars' `index`: `COLUMNS` by name; all False, `size` None, where not given.

    Raises:
        StrategyError: the answer is something else than boolean columns of the bars' length, wants to be long and
            short at once, or to enter with a size that is no positive number.
    """
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
        given[name] = _column(name, values, index)
    if not any(name.endswith("_entry") for name in given):
        raise StrategyError("signals: return at least long_entry or short_entry")
    nothing = np.zeros(len(index), dtype=np.bool_)
    columns = {name: given.get(name, None if name == "size" else nothing) for name in COLUMNS}
    both = columns["long_entry"] & columns["short_entry"]
    if both.any():
        raise StrategyError(
            f"signals: long_entry and short_entry are both true at {_place(index, both)}: choose one"
        )
    if columns["size"] is not None:
        _refuse_sizes(columns["size"], columns["long_entry"] | columns["short_entry"], index)
    return columns


def _refuse_sizes(size: Any, enters: Any, index: pd.Index[Any]) -> None:
    """Refuse a size of an entry that can't be one; what stands on other bars is not looked at."""
    bad = enters & ~((size > 0.0) & (size <= _LARGEST)) & (size == size)  # noqa: PLR0124 - NaN is left out
    if bad.any():
        raise StrategyError(
            f"signals: size at {_place(index, bad)} must be a positive number, got {size[int(bad.argmax())]:g}; "
            "NaN where the settings size"
        )


def _place(index: pd.Index[Any], wrong: Any) -> str:
    """The first bar that is `wrong`."""
    row = int(wrong.argmax())
    return f"{index[row]} (row {row})"


def _first(array: Any, wrong: Any) -> str:
    """The first value that is `wrong`."""
    row = int(wrong.argmax())
    return reprlib.repr(array[row : row + 1].tolist()[0])


def _column(name: str, values: Any, index: pd.Index[Any]) -> Any:
    """One column as an array: numbers for `size`, booleans for the others."""
    import numpy as np
    import pandas as pd

    array: Any = np.asarray(values)
    if name == "size" and array.shape == ():
        array = np.full(len(index), array)
    if array.shape != (len(index),):
        raise StrategyError(f"signals: {name} has shape {array.shape}, the bars have ({len(index)},)")
    if isinstance(values, pd.Series):
        _refuse_other_bars(name, values.index, index)
    if name == "size":
        return _sizes(array, index)
    if array.dtype == object:
        wrong = np.array([not isinstance(one, bool | np.bool_) for one in array])
        if wrong.any():
            raise StrategyError(
                f"signals: {name} at {_place(index, wrong)} is {_first(array, wrong)}, not True or False; "
                "fill missing ones with False"
            )
    elif array.dtype != bool and array.size:
        raise StrategyError(f"signals: {name} must be boolean, not {array.dtype}")
    return array.astype(np.bool_, copy=False)


def _sizes(array: Any, index: pd.Index[Any]) -> Any:
    """Sizes as float64, missing ones NaN."""
    import numpy as np
    import pandas as pd

    wrong: Any
    if array.dtype == object:
        missing: Any = pd.Series(array).isna().to_numpy()
        wrong = ~missing & np.array([isinstance(one, bool) or not isinstance(one, Real) for one in array])
        if not wrong.any():
            return np.where(missing, np.nan, array).astype(np.float64)
    elif array.dtype.kind in "iuf":
        return array.astype(np.float64, copy=False)
    else:
        wrong = np.ones(len(array), dtype=np.bool_)
    raise StrategyError(
        f"signals: size at {_place(index, wrong)} is {_first(array, wrong)}: size must be numbers, NaN where the "
        "settings size"
    )


def _refuse_other_bars(name: str, own: pd.Index[Any], bars: pd.Index[Any]) -> None:
    """Refuse an index that is neither the bars' (naive times are UTC) nor merely counts them."""
    import numpy as np
    import pandas as pd

    if own.equals(bars) or own.equals(pd.RangeIndex(len(bars))):
        return
    wrong = np.ones(len(bars), dtype=np.bool_)
    if isinstance(own, pd.DatetimeIndex) and isinstance(bars, pd.DatetimeIndex):
        wrong = own.as_unit("ns").asi8 != bars.as_unit("ns").asi8
    if wrong.any():
        raise StrategyError(
            f"signals: {name} has another index than the bars: {own[int(wrong.argmax())]} at "
            f"{_place(bars, wrong)}; return one value a bar, in order"
        )
