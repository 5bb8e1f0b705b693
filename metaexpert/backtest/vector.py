"""`Backtest`: research with signals. A DataFrame of candles and boolean columns go in, a `Result` comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from .. import config
from .desk import SignalSettings, desk_of, histories_of, record_of, single_of
from .result import Result
from .terms import candles_of

if TYPE_CHECKING:
    import pandas as pd

    from ..models import Market

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
            size: quantities a bar; NaN or None: sized by `size_type` and `size_value`.
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
