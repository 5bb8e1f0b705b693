"""The arrays of one run that statistics are made of, each computed when it is first asked for.

A path has the initial capital at the run's start as its first point, so it is one longer than the marks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from .. import timeframe
from ..errors import DataError
from ..models import ExitReason, OrderStatus, Side
from . import kernel, stats
from .record import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from ..models import Fill, Trade
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
        self._length = timeframe.parse(record.timeframe)
        self.start = int(record.time[0]) - self._length
        self.end = int(record.time[-1])
        self.span = self.end - self.start

    def time_of(self, points: Ints) -> Ints:
        """Return the time of `points` of the paths, int64 ms."""
        return np.where(points > 0, self.record.time[points - 1], self.start)

    @cached_property
    def path(self) -> Floats:
        """Equity, shape (n + 1,)."""
        return np.concatenate(([self.record.initial_capital], self.record.equity))

    @cached_property
    def balances(self) -> Floats:
        """The initial capital and each balance that differs from the one before it, in order."""
        balance = self.record.balance
        moved = balance[1:][balance[1:] != balance[:-1]]
        return np.concatenate(([self.record.initial_capital], balance[:1], moved))

    @property
    def below(self) -> Floats:
        """Drawdown of equity at each point of the path, a fraction <= 0."""
        return self._falls[0]

    @property
    def fall(self) -> float:
        """Largest fall of equity under its running peak, in money, <= 0."""
        return self._falls[1]

    @cached_property
    def _falls(self) -> tuple[Floats, float]:
        return _falls(self.path)

    @cached_property
    def balance_drop(self) -> tuple[float, float]:
        """Largest fall of balance under its running peak: a fraction and in money, both <= 0."""
        below, fall = _falls(self.balances)
        return float(below.min()), fall

    @cached_property
    def spells(self) -> stats.Drawdowns:
        """The drawdowns of equity."""
        return stats.drawdowns(self.below)

    @cached_property
    def spell_ms(self) -> Ints:
        """From the peak to the recovery (or the end of the run) of each drawdown."""
        return self.time_of(self.spells.end) - self.time_of(self.spells.peak)

    @cached_property
    def trough(self) -> int:
        """The point at which equity was furthest below its peak; 0 when it never fell."""
        return int(self.below.argmin())

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
        return np.concatenate((self.path[:1], self.path[_until(self.record.time, self._day_ends)]))

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
        rows = self.record.trades
        exit_time = _array(rows, "exit_time", np.int64, missing=-1)
        entry_time = _array(rows, "entry_time", np.int64)
        sign = np.where(_is_word(rows, "side", "long"), 1, -1)
        notional = _array(rows, "entry_notional")
        net = _array(rows, "pnl") - _array(rows, "fees") + _array(rows, "funding")
        entry = _array(rows, "entry_price")
        exit_ = np.where(exit_time < 0, entry, _array(rows, "exit_price", missing=math.nan))
        mae, mfe = np.zeros_like(net), np.zeros_like(net)
        for symbol, of in self._by_symbol(rows):
            mae[of], mfe[of] = self._excursions(
                symbol, entry_time[of], exit_time[of], entry[of], exit_[of], sign[of]
            )
        returns = np.divide(net, notional, out=np.zeros_like(net), where=notional != 0.0)
        ambiguous = _array(rows, "ambiguous", np.bool_)
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
        return [self.record.trades[i] for i in np.flatnonzero(self.trades.exit_time < 0).tolist()]

    @cached_property
    def fills(self) -> FillArrays:
        """All fills, set against their candles."""
        rows = self.record.fills
        price, qty, time = _array(rows, "price"), _array(rows, "qty"), _array(rows, "time", np.int64)
        buys = _is_word(rows, "side", Side.BUY)
        notional, volume_share = np.zeros_like(price), np.zeros_like(price)
        at_extreme = np.zeros(price.size, dtype=np.bool_)
        for symbol, of in self._by_symbol(rows):
            notional[of], volume_share[of], at_extreme[of] = self._against_candles(
                symbol, time[of], price[of], qty[of], buys[of]
            )
        return FillArrays(
            notional=notional,
            fee=_array(rows, "fee"),
            slippage=_array(rows, "slippage"),
            is_maker=_array(rows, "is_maker", np.bool_),
            is_liquidation=_is_word(rows, "reason", ExitReason.LIQUIDATION),
            volume_share=volume_share,
            at_extreme=at_extreme,
        )

    @cached_property
    def costs(self) -> Costs:
        """The cost chain."""
        fills = self.fills
        maker, liquidation = fills.is_maker & ~fills.is_liquidation, fills.is_liquidation
        fee, slippage = fills.fee, float(fills.slippage.sum())
        funding = float(sum(_array(self.record.trades, "funding").tolist()))
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
        return stats.count(_is_word(self.record.orders, "status", status))

    @property
    def _day_ends(self) -> Ints:
        return (self.days + 1) * timeframe.DAY_MS

    def _by_symbol(self, rows: Sequence[Fill] | Sequence[Trade]) -> Iterator[tuple[str, Ints | slice]]:
        """Each symbol with the places of its `rows`, in order of first appearance."""
        if len(self.record.bars) == 1:  # then they are all of that symbol
            yield from ((symbol, slice(None)) for symbol in self.record.bars)
            return
        symbols = _array(rows, "symbol", np.object_)
        for symbol in dict.fromkeys(symbols):
            yield symbol, np.flatnonzero(symbols == symbol)

    def _held(self, symbol: str) -> Floats:
        bars = self.record.bars[symbol]
        if not len(bars) or self.record.markets[symbol].is_inverse:
            return np.ones(self.days.size + 1)
        first = _column(bars, "open")[0]
        closed = _until(_open_times(bars), self._day_ends - self._length)
        path = np.where(closed > 0, _column(bars, "close")[closed - 1], first)
        return np.concatenate(([first], path)) / first

    def _excursions(
        self, symbol: str, entry_time: Ints, exit_time: Ints, entry: Floats, exit_: Floats, sign: Ints
    ) -> tuple[Floats, Floats]:
        """MAE and MFE of the trades of one symbol.

        A trade holds the candles from its entry on; the candle of the exit counts only with the exit price, since
        what it did before the exit is not known.
        """
        bars = self.record.bars[symbol]
        times, length = _open_times(bars), self._length
        # held to the end of the run: the last candle was held as a whole
        to_the_end = (exit_time < 0) | (exit_time >= self.end)
        first = _candle(times, entry_time, length)
        last = np.where(to_the_end, times.size, _candle(times, exit_time, length))
        find = kernel.extremes if self.record.path == "kernel" else stats.extremes  # the first is loaded then
        prices = np.minimum(entry, exit_), np.maximum(entry, exit_)
        lowest, highest = find(_column(bars, "low"), _column(bars, "high"), first, last, *prices)
        return stats.excursions(lowest, highest, entry, sign)

    def _against_candles(
        self, symbol: str, time: Ints, price: Floats, qty: Floats, buys: Bools
    ) -> tuple[Floats, Floats, Bools]:
        """Notional, share of volume and whether at the favourable extreme, of the fills of one symbol."""
        bars = self.record.bars[symbol]
        at = _candle(_open_times(bars), time, self._length)
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


def _array(
    rows: Sequence[Any], field: str, kind: type[np.generic] = np.float64, *, missing: float | None = None
) -> NDArray[Any]:
    """One field of all `rows`; `missing` stands for None."""
    if isinstance(rows, Rows):
        return rows.array(field)
    values = map(attrgetter(field), rows)
    if missing is not None:
        values = (missing if value is None else value for value in values)
    return np.fromiter(values, kind, len(rows))


def _is_word(rows: Sequence[Any], field: str, word: str) -> Bools:
    """Which of `rows` hold `word` in a field."""
    if isinstance(rows, Rows):
        return rows.is_word(field, word)
    return np.fromiter((value == word for value in map(attrgetter(field), rows)), np.bool_, len(rows))


def _until(times: Ints, ends: Ints) -> Ints:
    """How many of `times` lie at or before each of `ends`."""
    return np.searchsorted(times, ends, side="right")


def _falls(path: Floats) -> tuple[Floats, float]:
    """How far each point lies under the running peak, a fraction <= 0, and the largest fall in money, <= 0."""
    peak = np.maximum.accumulate(path)
    below = stats.drawdown(path, peak)
    return below, float(np.subtract(path, peak, out=peak).min())


def _candle(open_times: Ints, times: Ints, length: int) -> Ints:
    """Index of the candle of `length` ms that covers each of `times`; the first one for what lies before it."""
    n = open_times.size
    if open_times[-1] - open_times[0] == (n - 1) * length:  # none is missing
        return np.clip((times - open_times[0]) // length, 0, n - 1)
    return np.maximum(_until(open_times, times) - 1, 0)


def _same(a: Floats, b: Floats) -> Bools:
    return np.abs(a - b) <= _SAME_PRICE * np.abs(b)


def _column(bars: pd.DataFrame, name: str) -> Floats:
    return cast("Floats", bars[name].to_numpy())


def _open_times(bars: pd.DataFrame) -> Ints:
    index = cast("Any", bars.index)
    return cast("Ints", (index if index.unit == "ms" else index.as_unit("ms")).asi8)
