"""A sweep: one strategy over many parameters and markets, and the table of what came of it."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, StrategyError, did_you_mean
from ..indicators import register
from ..signals import ask
from . import kernel
from .desk import record_of, single_of
from .memo import Memo, with_memo
from .result import Result
from .summary import METRICS, Summary, days_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    import pandas as pd

    from .catalogue import Value
    from .desk import Desk, Histories
    from .single import Single

__all__ = ["Book", "Grid", "Plan", "sweep"]

_AT_ONCE = 8  # passes that a thread plays before it takes the next ones
_AHEAD = 4  # such lots whose signals may wait for a thread: bounds the memory


@dataclass(frozen=True, kw_only=True)
class Book:
    """One symbol of a sweep: its candles and the desks that it is traded on, by the values of swept settings."""

    histories: Histories
    desks: Mapping[tuple[Any, ...], Desk]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is swept.

    `signals` is called with the bars and the parameters that are no settings; it may return None to leave a pass
    out. `ranges` holds the values of every parameter in order; `settings` names those that are settings. `books`
    holds the symbols by the name that the table shows, "" alone when there is only one.
    """

    signals: Callable[..., Any]
    ranges: Mapping[str, Sequence[Any]]
    settings: tuple[str, ...]
    books: Mapping[str, Book]

    def passes(self) -> Iterator[dict[str, Any]]:
        """The parameters of every pass."""
        for values in product(*self.ranges.values()):
            yield dict(zip(self.ranges, values, strict=True))

    def desk(self, symbol: str, parameters: Mapping[str, Any]) -> Desk:
        """The desk of one pass."""
        return self.books[symbol].desks[tuple(parameters[name] for name in self.settings)]

    def answer(self, bars: pd.DataFrame, parameters: Mapping[str, Any]) -> Any:
        """The signals of one pass."""
        own = {name: value for name, value in parameters.items() if name not in self.settings}
        return ask(self.signals, bars, **own)


class Grid:
    """The passes of a sweep and their statistics.

    Args:
        plan: what was swept.
        rows: parameters and statistics of each pass.
    """

    def __init__(self, plan: Plan, rows: Sequence[tuple[dict[str, Any], dict[str, Value]]]) -> None:
        import pandas as pd

        self._plan = plan
        names = [*(["symbol"] if _has_symbols(plan) else []), *plan.ranges]
        index = pd.MultiIndex.from_tuples([tuple(row[name] for name in names) for row, _ in rows], names=names)
        self.stats = pd.DataFrame([values for _, values in rows], index=index, columns=list(METRICS), dtype=object)
        self.stats = self.stats.apply(pd.to_numeric)
        """Statistics of every pass (columns as in `Result.stats`), indexed by its parameters; NaN: undefined."""

    def __len__(self) -> int:
        return len(self.stats)

    def __repr__(self) -> str:
        return f"<Grid of {len(self):,} passes over {', '.join(map(str, self.stats.index.names))}>"

    def best(self, metric: str = "sharpe", *, lowest: bool = False) -> dict[str, Any]:
        """The parameters of the pass with the highest (or `lowest`) value of `metric`; the first of equals.

        Raises:
            ConfigError: there is no such metric, or it is undefined in every pass.
        """
        values = self._metric(metric).to_numpy(dtype=np.float64)
        if np.isnan(values).all():
            raise ConfigError(f"{metric} is undefined in all {len(self)} passes: choose another metric")
        at = int(np.nanargmin(values) if lowest else np.nanargmax(values))
        return dict(zip(map(str, self.stats.index.names), self.stats.index[at], strict=True))

    def pivot(
        self, metric: str = "sharpe", *, index: str | None = None, columns: str | None = None
    ) -> pd.DataFrame:
        """`metric` as a table over two parameters, for a heat map; the best of the passes that share both.

        Args:
            metric: the statistic.
            index: the parameter down the side; default the first.
            columns: the parameter across the top; default the second.

        Raises:
            ConfigError: there is no such metric or parameter, or there is only one parameter.
        """
        names = [str(name) for name in self.stats.index.names]
        if len(names) < 2:
            raise ConfigError(f"a table needs two parameters, this sweep has {names[0]!r} alone: read grid.stats")
        rows, across = index or names[0], columns or next(name for name in names if name != (index or names[0]))
        for name in (rows, across):
            if name not in names:
                raise ConfigError(f"this sweep has no parameter {name!r}{did_you_mean(name, names)}")
        values = self._metric(metric)
        return values.groupby(level=[rows, across], sort=False).max().unstack(across)

    def result(self, **parameters: Any) -> Result:
        """Play one pass again and return its whole result: ``grid.result(**grid.best("sharpe"))``.

        Raises:
            ConfigError: the parameters are none of this sweep.
        """
        symbol = parameters.pop("symbol", "") if _has_symbols(self._plan) else ""
        if set(parameters) != set(self._plan.ranges) or symbol not in self._plan.books:
            raise ConfigError(f"give a value for each of {', '.join(map(str, self.stats.index.names))}")
        try:
            desk = self._plan.desk(symbol, parameters)
        except KeyError:
            raise ConfigError("a setting has none of the values of this sweep") from None
        register()
        histories = self._plan.books[symbol].histories
        answer = self._plan.answer(with_memo(histories.frame, Memo(histories.frame)), parameters)
        record = record_of(single_of(desk, histories, answer), desk, inputs=parameters)
        return Result(record)

    def _metric(self, metric: str) -> pd.Series[float]:
        if metric not in self.stats.columns:
            raise ConfigError(f"a sweep keeps no {metric!r}{did_you_mean(metric, METRICS)}")
        return self.stats[metric]


def _has_symbols(plan: Plan) -> bool:
    return "" not in plan.books


# --- the run --------------------------------------------------------------------------------------------------


def sweep(plan: Plan) -> Grid:
    """Play every pass of `plan`: signals one after the other, the kernel on all cores meanwhile.

    Raises:
        ConfigError: nothing is swept.
        StrategyError: the signals of a pass fail.
    """
    if not prod(len(values) for values in plan.ranges.values()):
        raise ConfigError("there is nothing to sweep: give each parameter at least one value")
    run_column = kernel.compiled().run_column
    register()
    rows: list[tuple[dict[str, Any], dict[str, Value]]] = []
    waiting: deque[Future[list[dict[str, Value]]]] = deque()
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        told: list[dict[str, Any]] = []
        for parameters, lot in _lots(plan):
            told.extend(parameters)
            waiting.append(pool.submit(_play_lot, run_column, lot))
            while len(waiting) > workers * _AHEAD or (waiting and waiting[0].done()):
                rows.extend(zip(told[len(rows) :], waiting.popleft().result(), strict=False))
        while waiting:
            rows.extend(zip(told[len(rows) :], waiting.popleft().result(), strict=False))
    if not rows:
        raise StrategyError("signals: every pass was left out")
    return Grid(plan, rows)


def _lots(plan: Plan) -> Iterator[tuple[list[dict[str, Any]], list[Single]]]:
    """A few passes at a time: their parameters, and what is to be played."""
    told: list[dict[str, Any]] = []
    lot: list[Single] = []
    for symbol, book in plan.books.items():
        frame = book.histories.frame
        memo = Memo(frame)
        for parameters in plan.passes():
            answer = plan.answer(with_memo(frame, memo), parameters)
            if answer is None:
                continue
            told.append({"symbol": symbol, **parameters})
            lot.append(single_of(plan.desk(symbol, parameters), book.histories, answer))
            if len(lot) == _AT_ONCE:
                yield told, lot
                told, lot = [], []
    if lot:
        yield told, lot


def _play_lot(run_column: Callable[..., int], lot: Sequence[Single]) -> list[dict[str, Value]]:
    """The statistics of some passes."""
    return [_play(run_column, one) for one in lot]


def _play(run_column: Callable[..., int], one: Single) -> dict[str, Value]:
    candles = one.candles
    days = days_of(candles)
    daily = np.empty(len(days.marked))
    played = kernel.play(
        run_column, one.terms, candles.bars, one.signals, one.funding, capital=one.capital,
        curves=np.empty((4, 0)), daily=daily,
    )  # fmt: skip
    return Summary(played, daily, days, candles, one.capital, inverse=one.market.is_inverse).values()
