"""The arrays of one run that statistics are made of, each computed when it is first asked for.

A path has the initial capital at the run's start as its first point, so it is one longer than the marks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from .. import timeframe
from ..errors import DataError
from ..models import ExitReason, Fill, OrderStatus, Side, Trade
from . import stats

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from .record import Record

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

__all__ = ["Costs", "FillArrays", "Sample", "TradeArrays"]

_SAME_PRICE = 1e-12  # relative: prices that differ by less are one


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """From gross to net, in the settlement currency: gross - fees - slippage + funding = net.

    `gross` is the profit before all costs, `net` the change of equity, open positions marked at the last close.
    `turnover` is the notional of all fills, `maker_turnover` that of the maker fills.
    """

    gross: float
    fees_maker: float
    fees_taker: float
    fees_liquidation: float
    slippage: float
    funding: float
    net: float
    turnover: float
    maker_turnover: float

    @property
    def fees(self) -> float:
        """All fees: maker, taker and liquidation."""
        return self.fees_maker + self.fees_taker + self.fees_liquidation

    @property
    def paid_bps(self) -> float | None:
        """Fees and slippage in basis points (0.01 %) of turnover; None without a fill."""
        return _times(1e4, stats.ratio(self.fees + self.slippage, self.turnover))

    @property
    def break_even_bps(self) -> float | None:
        """The cost in basis points of turnover at which net would be 0; negative: no cost is low enough."""
        return _times(1e4, stats.ratio(self.gross + self.funding, self.turnover))

    @property
    def maker_share(self) -> float | None:
        """Maker fills as a fraction of turnover; None without a fill."""
        return stats.ratio(self.maker_turnover, self.turnover)


class TradeArrays(NamedTuple):
    """One element a trade, in the order of `Record.trades`; an open trade has exit_time -1.

    `net` is in the settlement currency, `returns`, `mae` and `mfe` are fractions of the entry.
    """

    net: Floats
    returns: Floats
    notional: Floats
    sign: Ints
    entry_time: Ints
    exit_time: Ints
    mae: Floats
    mfe: Floats
    ambiguous: Bools


class FillArrays(NamedTuple):
    """One element a fill.

    `notional` is in the settlement currency: qty * price, inverse qty / price. `volume_share` is the quantity in
    base units over the volume of the candle (inf when it has none). `at_extreme` says that the price was the
    candle's most favourable one: a buy at the low or a sell at the high, other than the open.
    """

    notional: Floats
    fee: Floats
    slippage: Floats
    is_maker: Bools
    is_liquidation: Bools
    volume_share: Floats
    at_extreme: Bools


class Sample:
    """What the statistics of one `Record` are computed from."""

    def __init__(self, record: Record) -> None:
        """Wrap `record`.

        Raises:
            DataError: the record holds no bar.
        """
        if not len(record.time):
            raise DataError(f"{record.name}: the backtest saw no bar; choose a span that holds candles")
        self.record = record
        self.start = int(record.time[0]) - timeframe.parse(record.timeframe)
        self.end = int(record.time[-1])
        self.span = self.end - self.start

    @cached_property
    def times(self) -> Ints:
        """Time of each point of the paths, int64 ms, shape (n + 1,)."""
        return np.concatenate(([self.start], self.record.time))

    @cached_property
    def path(self) -> Floats:
        """Equity, shape (n + 1,)."""
        return np.concatenate(([self.record.initial_capital], self.record.equity))

    @cached_property
    def balance_path(self) -> Floats:
        """Balance, shape (n + 1,)."""
        return np.concatenate(([self.record.initial_capital], self.record.balance))

    @cached_property
    def below(self) -> Floats:
        """Drawdown of equity at each point of the path, a fraction <= 0."""
        return stats.drawdown(self.path, self._peak)

    @cached_property
    def fall(self) -> float:
        """Largest fall of equity under its running peak, in money, <= 0."""
        return float((self.path - self._peak).min())

    @cached_property
    def balance_drop(self) -> tuple[float, float]:
        """Largest fall of balance under its running peak: a fraction and in money, both <= 0."""
        peak = np.maximum.accumulate(self.balance_path)
        return float(stats.drawdown(self.balance_path, peak).min()), float((self.balance_path - peak).min())

    @cached_property
    def _peak(self) -> Floats:
        return np.maximum.accumulate(self.path)

    @cached_property
    def spells(self) -> stats.Drawdowns:
        """The drawdowns of equity."""
        return stats.drawdowns(self.below)

    @cached_property
    def spell_ms(self) -> Ints:
        """From the peak to the recovery (or the end of the run) of each drawdown."""
        return self.times[self.spells.end] - self.times[self.spells.peak]

    @cached_property
    def deepest(self) -> int | None:
        """Which of the `spells` is the deepest; None when equity never fell."""
        depth = self.spells.depth
        return int(depth.argmin()) if depth.size else None

    @cached_property
    def days(self) -> Ints:
        """Number of each UTC day of the run since the epoch; days without a candle are there too."""
        return np.arange(self.start // timeframe.DAY_MS, (self.end - 1) // timeframe.DAY_MS + 1)

    @cached_property
    def daily_path(self) -> Floats:
        """The initial capital and the last equity of each UTC day, shape (days + 1,)."""
        return np.concatenate((self.path[:1], self.path[self._marked_by_day_end(self.record.time)]))

    @cached_property
    def returns(self) -> Floats:
        """Return of each UTC day, a fraction; 0 on a day without a candle. Empty once equity reached 0."""
        return _returns(self.daily_path)

    @cached_property
    def market_path(self) -> Floats:
        """Daily value of 1 unit split equally over all symbols and held, without costs, shape (days + 1,).

        Bought at the open of each symbol's first candle. An inverse contract's account is in the coin: holding
        the coin is 1.0 throughout.
        """
        held = [self._held(symbol) for symbol in self.record.bars]
        return np.mean(held, axis=0) if held else np.ones(self.days.size + 1)

    @cached_property
    def market_returns(self) -> Floats:
        """Daily returns of `market_path`."""
        return _returns(self.market_path)

    @cached_property
    def months(self) -> tuple[list[str], Floats]:
        """The UTC months as ``2024-01``, and equity at the start of the first and the end of each, one longer."""
        month = self.days.astype("datetime64[D]").astype("datetime64[M]")
        last = np.flatnonzero(np.append(month[1:] != month[:-1], True))
        path = self.daily_path[np.concatenate(([0], last + 1))]
        return np.datetime_as_string(month[last]).tolist(), path

    @cached_property
    def month_returns(self) -> Floats:
        """Return of each UTC month, a fraction; empty once equity reached 0."""
        return _returns(self.months[1])

    @cached_property
    def trades(self) -> TradeArrays:
        """All trades."""
        column = _transposed(self.record.trades, Trade)
        exit_time = np.array([-1 if time is None else time for time in column["exit_time"]], dtype=np.int64)
        entry_time = np.array(column["entry_time"], dtype=np.int64)
        sign = np.array([1 if side == "long" else -1 for side in column["side"]], dtype=np.int64)
        notional = np.array(column["entry_notional"], dtype=np.float64)
        pnl, fees, funding = (np.array(column[name], dtype=np.float64) for name in ("pnl", "fees", "funding"))
        net = pnl - fees + funding
        entry = np.array(column["entry_price"], dtype=np.float64)
        exit_ = np.where(exit_time < 0, entry, np.array(column["exit_price"], dtype=np.float64))
        mae, mfe = np.zeros_like(net), np.zeros_like(net)
        for symbol, of in _by_symbol(column["symbol"]).items():
            mae[of], mfe[of] = self._excursions(
                symbol, entry_time[of], exit_time[of], entry[of], exit_[of], sign[of]
            )
        returns = np.divide(net, notional, out=np.zeros_like(net), where=notional != 0.0)
        ambiguous = np.array(column["ambiguous"], dtype=np.bool_)
        return TradeArrays(net, returns, notional, sign, entry_time, exit_time, mae, mfe, ambiguous)

    @cached_property
    def closed(self) -> TradeArrays:
        """The closed trades, in the order of their exits."""
        return TradeArrays(*(cast("Any", column)[self._exits] for column in self.trades))

    @cached_property
    def closed_trades(self) -> list[Trade]:
        """The records of the closed trades, in the same order."""
        return [self.record.trades[i] for i in self._exits.tolist()]

    @cached_property
    def _exits(self) -> Ints:
        """Indices of the closed trades, by time of exit."""
        exit_time = self.trades.exit_time
        order = np.argsort(exit_time, kind="stable")
        return order[exit_time[order] >= 0]

    @cached_property
    def held_ms(self) -> Ints:
        """How long each closed trade was held."""
        return self.closed.exit_time - self.closed.entry_time

    @cached_property
    def open_trades(self) -> list[Trade]:
        """The trades still open at the end."""
        return [trade for trade in self.record.trades if trade.exit_time is None]

    @cached_property
    def fills(self) -> FillArrays:
        """All fills, set against their candles."""
        column = _transposed(self.record.fills, Fill)
        price, qty = np.array(column["price"], dtype=np.float64), np.array(column["qty"], dtype=np.float64)
        time = np.array(column["time"], dtype=np.int64)
        buys = np.array([side is Side.BUY for side in column["side"]], dtype=np.bool_)
        liquidated = [reason is ExitReason.LIQUIDATION for reason in column["reason"]]
        notional, volume_share = np.zeros_like(price), np.zeros_like(price)
        at_extreme = np.zeros(price.size, dtype=np.bool_)
        for symbol, of in _by_symbol(column["symbol"]).items():
            notional[of], volume_share[of], at_extreme[of] = self._against_candles(
                symbol, time[of], price[of], qty[of], buys[of]
            )
        return FillArrays(
            notional=notional,
            fee=np.array(column["fee"], dtype=np.float64),
            slippage=np.array(column["slippage"], dtype=np.float64),
            is_maker=np.array(column["is_maker"], dtype=np.bool_),
            is_liquidation=np.array(liquidated, dtype=np.bool_),
            volume_share=volume_share,
            at_extreme=at_extreme,
        )

    @cached_property
    def costs(self) -> Costs:
        """The cost chain."""
        fills = self.fills
        maker, liquidation = fills.is_maker & ~fills.is_liquidation, fills.is_liquidation
        fee, slippage = fills.fee, float(fills.slippage.sum())
        funding = float(sum(trade.funding for trade in self.record.trades))
        net = float(self.path[-1] - self.path[0])
        return Costs(
            gross=net + float(fee.sum()) + slippage - funding,
            fees_maker=float(fee[maker].sum()),
            fees_taker=float(fee[~maker & ~liquidation].sum()),
            fees_liquidation=float(fee[liquidation].sum()),
            slippage=slippage,
            funding=funding,
            net=net,
            turnover=float(fills.notional.sum()),
            maker_turnover=float(fills.notional[fills.is_maker].sum()),
        )

    def orders_with(self, status: OrderStatus) -> int:
        """Return how many orders ended with `status`."""
        return sum(order.status is status for order in self.record.orders)

    def _marked_by_day_end(self, close_times: Ints) -> Ints:
        """How many of `close_times` lie at or before the end of each day: an index into a path."""
        return np.searchsorted(close_times, (self.days + 1) * timeframe.DAY_MS, side="right")

    def _held(self, symbol: str) -> Floats:
        bars = self.record.bars[symbol]
        if not len(bars) or self.record.markets[symbol].is_inverse:
            return np.ones(self.days.size + 1)
        closes = _column(bars, "close")
        path = np.concatenate((_column(bars, "open")[:1], closes))
        close_times = _open_times(bars) + timeframe.parse(self.record.timeframe)
        return np.concatenate((path[:1], path[self._marked_by_day_end(close_times)])) / path[0]

    def _excursions(
        self, symbol: str, entry_time: Ints, exit_time: Ints, entry: Floats, exit_: Floats, sign: Ints
    ) -> tuple[Floats, Floats]:
        """MAE and MFE of the trades of one symbol."""
        bars = self.record.bars[symbol]
        times = _open_times(bars)
        # held to the end of the run: the last candle was held as a whole
        to_the_end = (exit_time < 0) | (exit_time >= self.end)
        last = np.where(to_the_end, times.size, _candle(times, exit_time))
        low, high = _column(bars, "low"), _column(bars, "high")
        return stats.excursions(low, high, _candle(times, entry_time), last, entry, exit_, sign)

    def _against_candles(
        self, symbol: str, time: Ints, price: Floats, qty: Floats, buys: Bools
    ) -> tuple[Floats, Floats, Bools]:
        """Notional, share of volume and whether at the favourable extreme, of the fills of one symbol."""
        bars = self.record.bars[symbol]
        at = _candle(_open_times(bars), time)
        inverse = self.record.markets[symbol].is_inverse
        notional, base = (qty / price, qty / price) if inverse else (qty * price, qty)
        best = np.where(buys, _column(bars, "low")[at], _column(bars, "high")[at])
        volume = _column(bars, "volume")[at]
        volume_share = np.divide(base, volume, out=np.full_like(base, np.inf), where=volume > 0.0)
        return notional, volume_share, _same(price, best) & ~_same(price, _column(bars, "open")[at])


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


def _returns(path: Floats) -> Floats:
    """Fractional returns of a path; empty when it touches 0 before its end, where no return is defined."""
    if (path[:-1] <= 0.0).any():
        return np.empty(0)
    return path[1:] / path[:-1] - 1.0


def _transposed(rows: list[Any], kind: type[Fill | Trade]) -> dict[str, tuple[Any, ...]]:
    """The fields of `rows` by name: ten times faster than asking each row for each field."""
    columns = zip(*rows, strict=True) if rows else [()] * len(kind._fields)
    return dict(zip(kind._fields, columns, strict=True))


def _by_symbol(symbols: tuple[str, ...]) -> dict[str, Ints]:
    """Indices into `symbols` of each symbol, in order of first appearance."""
    every = np.array(symbols, dtype=np.object_)
    return {symbol: np.flatnonzero(every == symbol) for symbol in dict.fromkeys(symbols)}


def _candle(open_times: Ints, times: Ints) -> Ints:
    """Index of the candle that covers each of `times`."""
    return np.maximum(np.searchsorted(open_times, times, side="right") - 1, 0)


def _same(a: Floats, b: Floats) -> Bools:
    return np.abs(a - b) <= _SAME_PRICE * np.abs(b)


def _column(bars: pd.DataFrame, name: str) -> Floats:
    return cast("Floats", bars[name].to_numpy())


def _open_times(bars: pd.DataFrame) -> Ints:
    index = cast("Any", bars.index)
    return cast("Ints", (index if index.unit == "ms" else index.as_unit("ms")).asi8)
