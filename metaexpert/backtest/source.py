"""Where the signals of a sweep come from: a function, or an expert with its settings, market and inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, cast

from ..errors import ConfigError
from ..exchanges import MetaExchange
from ..models import MarketType, PositionMode
from .desk import desk_of, histories_of
from .plan import SWEEP, Book, check_names, is_setting, refuse_unknown
from .terms import candles_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from ..config import ExchangeSettings, RunSettings
    from ..inputs import Inputs
    from ..models import Market
    from ..signals import SignalSource
    from .desk import Desk

__all__ = ["Source", "book_of", "frames_of", "source_of"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A function of bars and parameters; of an expert also what it is traded with."""

    function: Callable[..., Any]
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    symbol: object = None
    funding_rate: float | None = None
    exchange: ExchangeSettings | None = None
    inputs: Inputs | None = None

    @property
    def margin_mode(self) -> str | None:
        """That of the expert."""
        return None if self.exchange is None else self.exchange.margin_mode

    def check(self, parameters: list[str]) -> None:
        """Refuse parameters that the signals don't take, and ask for those that they can't do without."""
        if self.inputs is None:
            check_names(self.function, parameters)
        else:
            refuse_unknown(parameters, self.inputs)

    def market(self, given: Market | Mapping[str, Market] | None, symbol: str) -> Market | None:
        """The market of `symbol` ("": the only one): as it was given, else the expert's.

        Raises:
            ConfigError: there are markets by symbol, and none for this one; or the expert names no single symbol.
        """
        if isinstance(given, Mapping):
            if symbol not in given:
                name = repr(symbol) if symbol else "one DataFrame of bars: give it without a symbol"
                has = ", ".join(given) or "none"
                raise ConfigError(f"{SWEEP}: there is no market for {name}; market={{...}} has {has}")
            return given[symbol]
        if given is not None or self.exchange is None:
            return given
        if not symbol and not isinstance(self.symbol, str):
            raise ConfigError(
                f"{SWEEP}: the expert names no single symbol: say with market=... whose bars these are"
            )
        with MetaExchange(self.exchange) as exchange:
            return exchange.market(symbol or cast("str", self.symbol))


def source_of(signals: Any) -> Source:
    """What `signals` are: a function, or an expert with ``@expert.signals``.

    Raises:
        ConfigError: neither, or an expert of which only the event path knows what it wants.
    """
    if not hasattr(signals, "signal_source"):
        if not callable(signals):
            raise ConfigError(
                f"{SWEEP}: signals must be a function of the bars, or an expert, not {signals!r:.60}"
            )
        return Source(function=signals)
    source: SignalSource = signals.signal_source()
    function, inputs = source.function, source.inputs
    if function is None:
        raise ConfigError(f"{SWEEP}: the expert has no @expert.signals: only a function of bars can be swept here")
    if source.exchange.position_mode is PositionMode.HEDGE:
        raise ConfigError(f"{SWEEP}: hedge mode is modelled by the event path alone: run expert.backtest()")

    def ask(bars: pd.DataFrame, **values: Any) -> Any:
        with inputs.changed(values):
            return function(bars)

    settings = {name: value for name, value in source.settings.items() if name != "timeframe"}
    return Source(
        function=ask, symbol=settings.pop("symbol", None), funding_rate=settings.pop("funding_rate", None),
        settings=settings, exchange=source.exchange, inputs=inputs,
    )  # fmt: skip


def frames_of(bars: Any, market: object, *, alone: bool) -> Mapping[str, pd.DataFrame]:
    """The candles by symbol, "" where there is only one.

    Raises:
        ConfigError: there are none, or several where the `market` or something else belongs to one `alone`.
    """
    if not isinstance(bars, Mapping):
        return {"": bars}
    frames = cast("Mapping[str, pd.DataFrame]", bars)
    if not frames or "" in frames:
        raise ConfigError(f"{SWEEP}: bars by symbol need at least one symbol, and a name for each")
    if len(frames) > 1 and market is not None and not isinstance(market, Mapping):
        raise ConfigError(f"{SWEEP}: one market can't be that of several symbols: give market={{symbol: ...}}")
    if alone and len(frames) > 1:
        raise ConfigError(f"{SWEEP}: funding and mark are of one symbol; sweep symbols with their own apart")
    return frames


def book_of(
    bars: pd.DataFrame, symbol: str, source: Source, run: RunSettings, fixed: Mapping[str, Any],
    swept: Mapping[str, Sequence[Any]], *, market: Market | Mapping[str, Market] | None, timeframe: str | None,
    margin_mode: str | None, funding: pd.Series[float] | float | None, mark: pd.DataFrame | None,
) -> Book:  # fmt: skip
    """One symbol, checked, with a desk for each combination of swept settings.

    Raises:
        ConfigError: a setting is wrong, or only the event path can model it.
        DataError: the candles are unsound.
    """
    candles = candles_of(bars, timeframe, name=f"bars of {symbol}" if symbol else "bars")
    traded = source.market(market, symbol)
    ranges = {name: values for name, values in swept.items() if is_setting(name)}
    desks: dict[tuple[Any, ...], Desk] = {}
    for values in product(*ranges.values()):
        chosen = {**fixed, **dict(zip(ranges, values, strict=True))}
        desks[values] = desk_of(
            traded, run, candles.timeframe, chosen, shorts=True,
            margin_mode=margin_mode or source.margin_mode, where=SWEEP,
        )  # fmt: skip
    desk = next(iter(desks.values()))
    if funding is None and desk.market.type is MarketType.FUTURES and desk.market.expiry is None:
        funding = source.funding_rate
    return Book(histories=histories_of(bars, desk, candles, funding, mark), desks=desks)
