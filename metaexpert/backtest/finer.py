"""The finer prices of a run: read for `detail_timeframe`, refused where it can't work, counted where they lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..bars import times
from ..config import check_finer
from ..detail import Detail
from ..errors import ConfigError
from ..models import PositionMode
from ..timeframe import TRADES, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from ..config import ExchangeSettings, StrategySettings
    from ..exchanges import MetaExchange
    from ..models import Market

__all__ = ["check_ticks", "details_of"]


def check_ticks(exchange: ExchangeSettings, strategy: StrategySettings) -> None:
    """Check that `on_tick` can be told the ticks of the settings.

    Raises:
        ConfigError: it can't.
    """
    ticks = strategy.ticks
    if exchange.position_mode is PositionMode.HEDGE and ticks in ("ohlc", "detail"):
        raise ConfigError(
            f"on_tick: tick_model={ticks!r} tells the prices of a bar in the order that is worst for the "
            "position, and position_mode='hedge' has two: set tick_model='open', or detail_timeframe='trades'"
        )


def details_of(
    source: MetaExchange, markets: Mapping[str, Market], tested: Mapping[str, pd.DataFrame], timeframe: str,
    detail: str | None, notes: list[str],
) -> dict[str, Detail]:  # fmt: skip
    """The finer bars, or trades, of each symbol for its `tested` candles; what they lack is said in `notes`.

    Raises:
        ConfigError: `detail` does not divide the bars, or the trades of an option are asked for.
        DataError: there are none of a symbol at all.
    """
    if detail is None:
        return {}
    check_finer(detail, timeframe)
    found: dict[str, Detail] = {}
    for symbol, bars in tested.items():
        if detail == TRADES and markets[symbol].is_option:
            raise ConfigError(
                f"{symbol}: detail_timeframe='trades' can't walk options, whose margin follows the price of the "
                "underlying: use a timeframe such as '1m'"
            )
        start, end = int(times(bars)[0]), int(times(bars)[-1]) + parse(timeframe)
        read = source.trades(symbol, start, end) if detail == TRADES else source.bars(symbol, detail, start, end)
        one = found[symbol] = Detail(symbol, detail, read, bars, timeframe)
        if one.left_out:
            what = TRADES if detail == TRADES else f"{detail} bars"
            notes.append(
                f"{symbol}: {one.left_out} of {len(bars)} {timeframe} bars are not made up by their {what}, which "
                "are missing or differ: they are walked as they are, worst price first"
            )
    return found
