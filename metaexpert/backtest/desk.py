"""What signals are traded on in research: a market, the settings of a strategy, and what becomes of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np

from .. import config
from ..bars import COLUMNS, detached, inspect
from ..bars import frame as frame_of
from ..broker.data import FundingRate, FundingRates
from ..broker.setup import check_leverage
from ..checks import check
from ..errors import ConfigError, DataError
from ..feed import Series
from ..models import ContractType, MarginMode, Market, MarketType
from ..signals import columns_of
from .data import reference, unmarked
from .gates import Gates
from .manifest import data_digest
from .record import LazyRecord
from .single import Single, fields_of, played
from .terms import candles_of, funding_of, numbers_of, signals_of, times_of, with_marks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import pandas as pd

    from ..broker.data import Reference
    from ..config import ExchangeSettings, RunSettings, StrategySettings
    from .column import Funding
    from .terms import Candles

__all__ = [
    "EVENT_ONLY",
    "Desk",
    "Histories",
    "SignalSettings",
    "desk_of",
    "histories_of",
    "record_of",
    "single_of",
]

_EVENT_PATH = "write an expert with @expert.on_bar and run expert.backtest()"
_MAX_LEVERAGE = 125.0
_MARKET_NUMBERS = ("price_tick", "qty_step", "min_qty", "min_notional", "liquidation_fee_rate")


class SignalSettings(TypedDict, total=False):
    """The settings of a strategy that signals can be played with; see ``docs/guides/settings.md``."""

    leverage: float
    size_type: str
    size_value: float
    max_position_size_quote: float | None
    stop_loss_pct: float | None
    take_profit_pct: float | None
    trailing_stop_pct: float | None
    trailing_activation_pct: float | None
    breakeven_pct: float | None
    slippage_pct: float
    fee_maker: float | None
    fee_taker: float | None
    maintenance_margin_rate: float | None
    liquidation_fee_rate: float | None
    max_drawdown_pct: float | None
    daily_loss_limit: float | None
    trade_hours: Collection[int] | None
    allowed_days: Collection[int] | None
    min_volume: float | None
    trend_filter: bool
    volatility_filter: bool
    lookback_bars: int
    comment: str
    strategy_id: int
    strategy_name: str | None


_ELSEWHERE = {"symbol": "market=...", "funding_rate": "funding=..."}
_MODELLED = frozenset(SignalSettings.__annotations__) | {*_ELSEWHERE, "timeframe"}
EVENT_ONLY = (frozenset(config.StrategySettings.defaults()) | {"position_mode"}) - _MODELLED
"""The settings of a strategy that the kernel does not know."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A market and the settings that it is traded with; `notes` say what is doubtful about them."""

    market: Market
    exchange: ExchangeSettings
    strategy: StrategySettings
    run: RunSettings
    notes: tuple[str, ...]

    @property
    def cross(self) -> bool:
        """Does the whole balance stand for a position?"""
        return self.exchange.margin_mode is MarginMode.CROSS


@dataclass(frozen=True, kw_only=True)
class Histories:
    """What is known of one market: its candles as a frame and as the kernel takes them, and its funding.

    `notes` say what is not known of it.
    """

    frame: pd.DataFrame
    candles: Candles
    funding: Funding
    notes: tuple[str, ...]


def desk_of(
    market: Market | None, run: RunSettings, timeframe: str, settings: Mapping[str, Any], *, shorts: bool,
    margin_mode: str | None, where: str,
) -> Desk:  # fmt: skip
    """Check the settings of research against each other and the market.

    Without a `market` there are no steps and limits: spot, or a linear contract where there are `shorts`, leverage
    or a margin mode.

    Raises:
        ConfigError: a setting is wrong, or only the event path can model it.
    """
    for name in settings:
        if name in _ELSEWHERE:
            raise ConfigError(f"{where}: {name} is no setting here: give {_ELSEWHERE[name]}")
        if name in EVENT_ONLY or callable(settings[name]):
            raise ConfigError(f"{where}: {name} is modelled by the event path alone: {_EVENT_PATH}")
    if market is None:
        margined = shorts or margin_mode is not None or settings.get("leverage", 1) != 1
        market = _plain_market(margined=margined)
    _check_market(market, where)
    known = market.exchange if market.exchange in config.KNOWN_EXCHANGES else "local"
    exchange = config.build(
        config.ExchangeSettings,
        {
            "exchange": known, "market_type": market.type, "margin_mode": margin_mode,
            "contract_type": market.contract_type if market.type is MarketType.FUTURES else None,
        },
        where=where,
    )  # fmt: skip
    strategy = config.build(
        config.StrategySettings, {"symbol": market.symbol, "timeframe": timeframe, **settings}, where=where
    )
    notes = check(exchange, strategy, run)
    check_leverage(strategy, market)
    return Desk(market=market, exchange=exchange, strategy=strategy, run=run, notes=notes)


def _check_market(market: object, where: str) -> None:
    if not isinstance(market, Market):
        raise ConfigError(
            f"{where}: market must be a Market, as MetaExchange(...).market(symbol) gives, not {market!r}"
        )
    if market.is_option:
        raise ConfigError(f"{where}: options are modelled by the event path alone: {_EVENT_PATH}")
    for name in _MARKET_NUMBERS:
        value = getattr(market, name)
        if not 0.0 <= value < math.inf:
            raise ConfigError(f"{where}: {name} of {market.symbol} must be 0 or more, got {value!r}")


def _plain_market(*, margined: bool) -> Market:
    """A market without steps and limits."""
    kind: dict[str, Any] = {"symbol": "ASSET/QUOTE", "type": MarketType.SPOT}
    if margined:
        kind = {"symbol": "ASSET/QUOTE:QUOTE", "type": MarketType.FUTURES, "contract_type": ContractType.LINEAR}
    return Market(
        exchange="local", base="ASSET", quote="QUOTE", settle="QUOTE", price_tick=0.0, qty_step=0.0,
        max_leverage=_MAX_LEVERAGE if margined else 1.0, **kind,
    )  # fmt: skip


def histories_of(
    bars: pd.DataFrame, desk: Desk, candles: Candles, funding: pd.Series[float] | float | None,
    mark: pd.DataFrame | None,
) -> Histories:  # fmt: skip
    """The candles with what decides on funding and liquidation beside them.

    Raises:
        ConfigError: funding or marks are given for a market that has none, or a contract expires within the bars.
        DataError: funding or marks are unsound.
    """
    market, end = desk.market, int(candles.bars.time[-1]) + candles.bar_ms
    for name, given in (("funding", funding), ("mark", mark)):
        if given is not None and (market.is_spot or (name == "funding" and market.expiry is not None)):
            raise ConfigError(f"{name} contradicts {market.symbol}, which has none: leave it out")
    if market.expiry is not None and market.expiry <= end:
        raise ConfigError(
            f"{market.symbol} expires within the bars, and settlement is modelled by the event path alone: "
            f"end the bars before, or {_EVENT_PATH}"
        )
    marks = None if mark is None else _marks(mark, candles)
    candles = with_marks(candles, marks)
    return Histories(
        frame=_in_schema(bars, candles),
        candles=candles,
        funding=funding_of(_rates(funding, candles), marks, candles),
        notes=tuple(_unknown(market, candles, marks, has_funding=funding is not None)),
    )


def _unknown(market: Market, candles: Candles, marks: Reference | None, *, has_funding: bool) -> Iterator[str]:
    """What was not given, and what that means."""
    if market.type is MarketType.FUTURES and market.expiry is None and not has_funding:
        yield (
            f"{market.symbol}: no funding was given and none is paid: give funding=exchange.funding_rates(symbol)"
            "['rate'], or one rate"
        )
    if marks is not None:
        yield from unmarked(market.symbol, marks, np.asarray(candles.bars.time), candles.bar_ms)


def _marks(mark: pd.DataFrame, candles: Candles) -> Reference:
    """Mark prices as the broker reads them, which must tell something of the candles."""
    own = candles_of(mark, name="mark")
    if own.bar_ms > candles.bar_ms:
        raise DataError(
            f"mark: its candles of {own.timeframe} do not tell where in them a bar of {candles.timeframe} was: "
            "give finer ones"
        )
    time = np.asarray(candles.bars.time)
    if own.bars.time[-1] < time[0] or own.bars.time[0] >= time[-1] + candles.bar_ms:
        raise DataError("mark: none of its candles lies within the bars")
    return reference(mark, own.timeframe)


def _rates(funding: pd.Series[float] | float | None, candles: Candles) -> Sequence[FundingRate]:
    """Funding as the ledger takes it."""
    import pandas as pd

    if funding is None:
        return ()
    start, end = int(candles.bars.time[0]), int(candles.bars.time[-1]) + candles.bar_ms
    if not isinstance(funding, pd.Series):
        return FundingRates.constant(_rate(funding), start, end)
    at, values = times_of(funding.to_frame(), "funding"), numbers_of(funding, "funding")
    bad = ~(np.abs(values) < 1.0) | (np.append(1, np.diff(at)) <= 0)
    if bad.any():
        place = int(bad.argmax())
        raise DataError(
            f"funding: row {place}, {funding.index[place]}, is no rate, or not later than the one before: "
            f"{values[place]:g} (0.0001 = 0.01 %)"
        )
    return [FundingRate(time, rate, None) for time, rate in zip(at.tolist(), values.tolist(), strict=True)]


def _rate(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1.0:
        said = repr(value) if isinstance(value, (bool, int, float, str)) else type(value).__name__
        raise ConfigError(f"funding must be a rate (0.0001 = 0.01 %) or a Series of rates by time, got {said}")
    return float(value)


def _in_schema(bars: pd.DataFrame, candles: Candles) -> pd.DataFrame:
    """The candles in the schema of `metaexpert.bars`, safe from what is done to `bars` later."""
    index, kinds = cast("Any", bars.index), dict(zip(bars.columns, bars.dtypes.tolist(), strict=True))
    sound = index.tz is not None and str(index.tz) == "UTC" and index.unit == "ms"
    if sound and all(kinds[name] == np.float64 for name in COLUMNS):
        return detached(bars)
    values = [bars[name].to_numpy(dtype=np.float64) for name in COLUMNS]
    return frame_of(np.asarray(candles.bars.time), values)


def single_of(desk: Desk, histories: Histories, answer: Any) -> Single:
    """What is played for the signals of `answer`, as `metaexpert.signals.columns_of` takes them.

    Raises:
        StrategyError: they are no boolean columns of the bars' length.
    """
    frame, market = histories.frame, desk.market
    gates = Gates(desk.strategy, lambda: Series(market.symbol, histories.candles.timeframe, frame, first=0))
    signals = gates.kept(signals_of(columns_of(answer, frame.index)))
    return Single(
        market=market, settings=desk.strategy, frame=frame, candles=histories.candles, signals=signals,
        funding=histories.funding, capital=desk.run.initial_capital, cross=desk.cross,
        close_at_end=desk.run.close_at_end, gate=gates.why, notes=histories.notes,
    )  # fmt: skip


def record_of(one: Single, desk: Desk, inputs: Mapping[str, Any] | None = None) -> LazyRecord:
    """Play the kernel; what nobody looks at is not made.

    Raises:
        DataError: the numbers overflow.
    """
    ready, makers = fields_of(played(one))
    market, frame, timeframe = one.market, one.frame, one.candles.timeframe
    return LazyRecord(
        makers
        | {
            "quality": lambda: {
                market.symbol: inspect(frame, timeframe, synthetic=market.synthetic, source="given as a DataFrame")
            },
            "settings": lambda: {**desk.exchange.as_dict(), **desk.strategy.as_dict(), **desk.run.as_dict()},
            "data": lambda: data_digest([(market.symbol, timeframe, frame)]),
        },
        name=one.settings.strategy_name or "signals",
        exchange=desk.exchange.exchange,
        timeframe=timeframe,
        currency=market.settle,
        initial_capital=one.capital,
        markets={market.symbol: market},
        inputs=dict(inputs or {}),
        bars={market.symbol: frame},
        notes=(*desk.notes, *one.notes),
        path="kernel",
        **ready,
    )
