"""`Backtest`: research with signals. A DataFrame of candles and boolean columns go in, a `Result` comes out."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from . import config
from .backtest.desk import SignalSettings, desk_of, histories_of, record_of, single_of
from .backtest.grid import sweep
from .backtest.plan import SWEEP, Plan, dealt, is_setting
from .backtest.result import Result
from .backtest.source import book_of, frames_of, source_of
from .backtest.terms import candles_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from .backtest.grid import Grid
    from .expert import MetaExpert
    from .models import Market

__all__ = ["Backtest"]


class Backtest:
    """Backtests of ready signals.

    They run through a compiled kernel that is made of the rules themselves, so that the result equals that of an
    expert with the same ``@expert.signals``. What the kernel can't model is refused.
    """

    @staticmethod
    def from_signals(
        bars: pd.DataFrame, long_entry: Any = None, long_exit: Any = None, short_entry: Any = None,
        short_exit: Any = None, size: Any = None, *, market: Market | None = None,
        initial_capital: float = 10_000.0, margin_mode: str | None = None, close_at_end: bool = False,
        funding: pd.Series[float] | float | None = None, mark: pd.DataFrame | None = None,
        timeframe: str | None = None, **settings: Unpack[SignalSettings],
    ) -> Result:  # fmt: skip
        """Trade signals: what a bar says at its close is done at the open of the next.

        On a bar exits come before entries; an entry is ignored while a position on its side is open, and reverses
        one on the other side (spot: closes it).

        Args:
            bars: candles in the schema of `metaexpert.bars`; naive times are UTC.
            long_entry: where a long is opened, a boolean a bar (Series over the same index, array or list).
            long_exit: where a long is closed.
            short_entry: where a short is opened.
            short_exit: where a short is closed.
            size: quantities a bar, or one for all bars; NaN or None: sized by `size_type` and `size_value`.
            market: the market and its rules; None: one without steps and limits, spot, or a linear contract where
                there are short entries, leverage or a margin mode.
            initial_capital: balance at the start, in the settlement currency.
            margin_mode: ``"isolated"`` (the default) or ``"cross"``.
            close_at_end: close what is open at the end, with fees, instead of only marking it.
            funding: rates by time (a Series), or one rate that is due every 8 hours.
            mark: mark-price candles, which decide on liquidation and value funding.
            timeframe: of the bars; None takes the shortest distance between two of them.
            **settings: settings of a strategy, as in ``@expert.on_init(...)``.

        Raises:
            ConfigError: a setting is wrong, or can't be modelled here.
            DataError: the candles are unsound, or the numbers overflow.
            StrategyError: the signals are no boolean columns of the bars' length.
        """
        where = "Backtest.from_signals(...)"
        answer = {
            "long_entry": long_entry, "long_exit": long_exit, "short_entry": short_entry, "short_exit": short_exit,
            "size": size,
        }  # fmt: skip
        run = config.build(
            config.RunSettings, {"initial_capital": initial_capital, "close_at_end": close_at_end}, where=where
        )
        candles = candles_of(bars, timeframe)
        shorts = short_entry is not None
        desk = desk_of(
            market, run, candles.timeframe, settings, shorts=shorts, margin_mode=margin_mode, where=where
        )
        histories = histories_of(bars, desk, candles, funding, mark)
        given = {name: values for name, values in answer.items() if values is not None}
        return Result(record_of(single_of(desk, histories, given), desk))

    @staticmethod
    def sweep(
        bars: pd.DataFrame | Mapping[str, pd.DataFrame], signals: Any, *,
        market: Market | Mapping[str, Market] | None = None, initial_capital: float = 10_000.0,
        margin_mode: str | None = None, close_at_end: bool = False,
        funding: pd.Series[float] | float | None = None, mark: pd.DataFrame | None = None,
        timeframe: str | None = None, **ranges: Any,
    ) -> Grid:  # fmt: skip
        """Trade the signals of every combination of parameters, each on an account of its own.

        ``Backtest.sweep(bars, signals, fast=range(5, 50, 5), slow=range(20, 200, 10), stop_loss_pct=[1.0, 2.0])``
        calls ``signals(bars, fast=..., slow=...)``. An indicator of the same name with the same arguments, asked
        for by ``bars.ta``, is computed once; only statistics are kept of each pass.

        Args:
            bars: candles, or candles by symbol, which are then traded one by one.
            signals: a function of the bars and its parameters that returns what `from_signals` takes (a dict or
                DataFrame of boolean columns), or None to leave the pass out; or an expert with
                ``@expert.signals``, whose inputs are swept under its own settings.
            market: the market and its rules, or one for each symbol; None: that of the expert, else a linear
                contract without steps and limits, whatever side the signals are on, so that all passes compare.
            initial_capital: as in `from_signals`.
            margin_mode: as in `from_signals`; None: that of the expert.
            close_at_end: as in `from_signals`.
            funding: as in `from_signals`, for candles of one symbol; None: an expert's `funding_rate`.
            mark: as in `from_signals`; for candles of one symbol.
            timeframe: as in `from_signals`.
            **ranges: the values of each parameter, or a setting of a strategy: one value, or several to be swept.

        Raises:
            ConfigError: a setting or parameter is wrong, nothing is swept, or only the event path can model it.
            DataError: the candles are unsound.
            StrategyError: the signals of a pass fail; the message names its parameters.
        """
        run = config.build(
            config.RunSettings, {"initial_capital": initial_capital, "close_at_end": close_at_end}, where=SWEEP
        )
        source = source_of(signals)
        fixed, swept = dealt(ranges, source.settings)
        source.check([name for name in swept if not is_setting(name)])
        books = {
            symbol: book_of(
                one, symbol, source, run, fixed, swept, market=market, timeframe=timeframe,
                margin_mode=margin_mode, funding=funding, mark=mark,
            )
            for symbol, one in frames_of(bars, market, alone=funding is not None or mark is not None).items()
        }  # fmt: skip
        names = tuple(name for name in swept if is_setting(name))
        return sweep(Plan(signals=source.function, ranges=swept, settings=names, books=books))

    @staticmethod
    def from_expert(expert: MetaExpert | str | Path, **changes: Any) -> Result:
        """Backtest the ``@expert.signals`` of an expert through the kernel.

        The result equals that of ``expert.backtest(...)``, which chooses the kernel by itself where it can model
        everything, and the event engine where it can't.

        Args:
            expert: the expert, or its file or folder, of which the file's own ``expert.run(...)`` is heeded.
            **changes: what is to be different: the arguments of ``expert.backtest(...)``.

        Raises:
            ConfigError: a setting is wrong, or only the event path can model the expert.
            DataError: there are no candles.
            StrategyError: the expert's own code failed.
        """
        if not isinstance(expert, (str, Path)):
            return expert.backtest(engine="kernel", **changes)
        from .loading import load_expert

        loaded = load_expert(expert)
        for note in loaded.notes:
            warnings.warn(note, stacklevel=2)
        return loaded.backtest(engine="kernel", **changes)
