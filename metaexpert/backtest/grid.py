"""A sweep: one strategy over many parameters and markets, and the table of what came of it."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, StrategyError, did_you_mean
from ..indicators import register
from . import kernel
from .column import WIDTH
from .desk import record_of
from .memo import Memo
from .plan import named
from .result import Result
from .single import played
from .summary import METRICS, Summary, days_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    import pandas as pd
    from numpy.typing import NDArray

    from .catalogue import Value
    from .kernel import Played
    from .plan import Plan
    from .single import Single
    from .summary import Days

    type Floats = NDArray[np.float64]
    type Row = tuple[dict[str, Any], dict[str, Value]]
    type Pass = tuple[dict[str, Any], Single, Days]
    type Made = tuple[Played, Floats]

__all__ = ["Grid", "sweep"]

_AT_ONCE = 4  # passes that a thread plays before it takes the next ones
_AHEAD = 4  # such lots a thread that may wait for it, or for their statistics: bounds the memory


class Grid:
    """The passes of a sweep and their statistics.

    Args:
        plan: what was swept.
        rows: parameters and statistics of each pass.
    """

    def __init__(self, plan: Plan, rows: Sequence[Row]) -> None:
        import pandas as pd

        self._plan = plan
        self._passes = [{name: parameters[name] for name in plan.names} for parameters, _ in rows]
        columns = [[one[name] for one in self._passes] for name in plan.names]
        index = pd.MultiIndex.from_arrays(columns, names=plan.names)
        values = {name: [statistics[name] for _, statistics in rows] for name in METRICS}
        table = {name: _numbers(column) for name, column in values.items()}
        self.stats = pd.DataFrame(table, index=index if len(columns) > 1 else index.get_level_values(0))
        """Statistics of every pass (columns as in `Result.stats`), indexed by its parameters; NaN: undefined."""

    def __len__(self) -> int:
        return len(self.stats)

    def __repr__(self) -> str:
        return f"<Grid of {len(self):,} passes over {', '.join(self._plan.names)}>"

    def best(self, metric: str = "sharpe", *, lowest: bool = False) -> dict[str, Any]:
        """The parameters of the pass with the highest (or `lowest`) value of `metric`; the first of equals.

        Raises:
            ConfigError: there is no such metric, or it is undefined in every pass.
        """
        values = self._metric(metric).to_numpy(dtype=np.float64)
        if np.isnan(values).all():
            raise ConfigError(f"{metric} is undefined in all {len(self)} passes: choose another metric")
        return dict(self._passes[int(np.nanargmin(values) if lowest else np.nanargmax(values))])

    def pivot(
        self, metric: str = "sharpe", *, index: str | None = None, columns: str | None = None,
        lowest: bool = False,
    ) -> pd.DataFrame:  # fmt: skip
        """`metric` as a table over two parameters; the highest (or `lowest`) of the passes that share both.

        Args:
            metric: the statistic.
            index: the parameter down the side; default the first.
            columns: the parameter across the top; default the next.
            lowest: take the lowest value of passes that share both.

        Raises:
            ConfigError: there is no such metric or parameter, or there is only one parameter.
        """
        names = self._plan.names
        if len(names) < 2:
            raise ConfigError(f"a table needs two parameters, this sweep has {names[0]!r} alone: read grid.stats")
        for name in (index, columns):
            if name is not None and name not in names:
                raise ConfigError(f"this sweep has no parameter {name!r}{did_you_mean(name, names)}")
        down = index or next(name for name in names if name != columns)
        across = columns or next(name for name in names if name != down)
        if down == across:
            raise ConfigError(f"a table needs two parameters, {down!r} was given for both")
        groups = self._metric(metric).groupby(level=[down, across], sort=False, dropna=False)
        return (groups.min() if lowest else groups.max()).unstack(across, sort=False)

    def heatmap(
        self, metric: str = "sharpe", *, index: str | None = None, columns: str | None = None,
        lowest: bool = False,
    ) -> Any:  # fmt: skip
        """`pivot` in colours, as a plotly Figure: it shows itself in a notebook; ``.write_html("grid.html")``.

        Raises:
            ConfigError: as `pivot`, or plotly is not installed.
        """
        from .heatmap import heatmap

        return heatmap(self.pivot(metric, index=index, columns=columns, lowest=lowest), metric)

    def result(self, **parameters: Any) -> Result:
        """Play one pass again and return its whole result: ``grid.result(**grid.best("sharpe"))``.

        Raises:
            ConfigError: the parameters are none of this sweep, or its signals left the pass out.
        """
        plan = self._plan
        if set(parameters) != set(plan.names):
            raise ConfigError(f"give a value for each of {', '.join(plan.names)}")
        if parameters not in self._passes:
            raise ConfigError("this sweep has no such pass: take one from grid.best() or the index of grid.stats")
        chosen = self._passes[self._passes.index(parameters)].copy()
        symbol = chosen.pop("symbol", "") if "" not in plan.books else ""
        register()
        with Memo(plan.books[symbol].histories.frame).lent() as bars:
            one = plan.single(symbol, chosen, bars)
        if one is None:
            raise StrategyError(f"{named(symbol, chosen)}: its signals leave it out now, and did not before")
        return Result(record_of(one, plan.desk(symbol, chosen), inputs=chosen))

    def _metric(self, metric: str) -> pd.Series[float]:
        if metric not in self.stats.columns:
            raise ConfigError(f"a sweep keeps no {metric!r}{did_you_mean(metric, METRICS)}")
        return self.stats[metric]


def _numbers(values: Sequence[Value]) -> Any:
    """A column of the table: whole numbers, or floats with NaN for None."""
    if all(isinstance(value, int) for value in values):
        return np.array(values, dtype=np.int64)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


# --- the run --------------------------------------------------------------------------------------------------


def sweep(plan: Plan) -> Grid:
    """Play every pass of `plan`: signals and statistics in this thread, the kernel on the other cores meanwhile.

    Python runs in one thread at a time, so that others which want some of it would only make each other wait.

    Raises:
        DataError: the numbers overflow.
        StrategyError: the signals of a pass fail, or leave all passes out.
    """
    register()
    others = max(1, (os.cpu_count() or 1) - 1)
    rows: list[Row] = []
    logs: list[Any] = []
    waiting: deque[tuple[list[Pass], Future[list[Made]]]] = deque()
    with ThreadPoolExecutor(others) as pool:
        try:
            for lot in _lots(plan):
                waiting.append((lot, pool.submit(_played_lot, lot, logs)))
                if len(waiting) > others * _AHEAD:
                    rows += _rows(*waiting.popleft(), logs)
            while waiting:
                rows += _rows(*waiting.popleft(), logs)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # don't play what nobody will see
            raise
    if not rows:
        raise StrategyError("signals: every pass was left out")
    return Grid(plan, rows)


def _lots(plan: Plan) -> Iterator[list[Pass]]:
    """A few passes at a time: their parameters, what is to be played, and the days of its candles."""
    lot: list[Pass] = []
    for symbol, book in plan.books.items():
        memo, days = Memo(book.histories.frame), days_of(book.histories.candles)
        for parameters in plan.passes():
            with memo.lent() as bars:
                one = plan.single(symbol, parameters, bars)
            if one is None:
                continue
            lot.append(({"symbol": symbol, **parameters} if symbol else parameters, one, days))
            if len(lot) == _AT_ONCE:
                yield lot
                lot = []
    if lot:
        yield lot


def _played_lot(lot: Sequence[Pass], logs: list[Any]) -> list[Made]:
    """What the kernel leaves of each pass, in `logs` that were read already: fresh memory is slow."""
    run_column = kernel.compiled().run_column
    made: list[Made] = []
    for _, one, days in lot:
        daily = np.empty(len(days.marked))
        with np.errstate(all="ignore"):  # of numbers that overflow: see below
            played = kernel.play(
                run_column, one.terms, one.candles.bars, one.signals, one.funding, capital=one.capital,
                curves=np.empty((4, 0)), daily=daily, log=_log(logs, kernel.room(one.signals)),
            )  # fmt: skip
        made.append((played, daily))
    return made


def _log(logs: list[Any], orders: int) -> Any:
    """One of `logs` that has room for so many orders, or a new one."""
    try:
        log = logs.pop()
    except IndexError:  # none of them was read yet
        return np.empty((WIDTH, orders))
    return log if log.shape[1] >= orders else np.empty((WIDTH, orders))


def _rows(lot: Sequence[Pass], played: Future[list[Made]], logs: list[Any]) -> list[Row]:
    """Parameters and statistics of some passes, which are played here where no other thread has begun them."""
    done = _played_lot(lot, logs) if played.cancel() else played.result()
    rows = [
        (parameters, _statistics(one, days, *made))
        for (parameters, one, days), made in zip(lot, done, strict=True)
    ]
    logs += [made.log for made, _ in done]
    return rows


def _statistics(one: Single, days: Days, made: Played, daily: Floats) -> dict[str, Value]:
    with np.errstate(all="ignore"):
        summary = Summary(made, daily, days, one.candles, one.capital, inverse=one.market.is_inverse)
        if not summary.is_finite:
            played(one)  # which says where it overflows
        return summary.values()
