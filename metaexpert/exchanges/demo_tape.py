"""What happens within a minute on the demo exchange: trades, quotes, books and mark prices.

A minute of which `Demo` has a candle is told out in trades: the first at its open, one at its high, one at its
low, the last at its close, none beyond, and the quantities add up to its volume. All is drawn from generators
keyed by (symbol, minute), so whoever asks again is told the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..events import MarkPrice, PublicTrade, Quote
from ..kinds import Kind
from ..models import OrderBook
from .demo import MINUTE_MS, decimals_of, generator, seed_of, volume_decimals

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..models import Market

    type Floats = npt.NDArray[np.float64]
    type Ints = npt.NDArray[np.int64]
    type Prices = tuple[float, float, float, float]

__all__ = ["MARK_MS", "Tape", "book_of", "mark_prices", "tape_of"]

MARK_MS = 3_000
"""How often a mark price is told."""
DEPTH = 20
"""How many levels the book shows on each side."""

_FEWEST, _MORE = 6, 18  # trades a minute: at least, and on the average beyond that
_SPREAD = 1e-4  # of the price, on the average; never less than a tick
_NOISE = 0.12  # of the minute's range, about the way from one extreme to the next


class Tape(NamedTuple):
    """A minute's trades, and after each the quote, oldest first."""

    trades: tuple[PublicTrade, ...]
    quotes: tuple[Quote, ...]


def tape_of(market: Market, minute: int, prices: Prices, volume: float) -> Tape:
    """Tell a minute's candle out.

    Args:
        market: whose candle.
        minute: its open time, ms UTC.
        prices: open, high, low and close, on the tick.
        volume: in base. Where it is too small for the market's step each trade has an equal part of it. Of inverse
            contracts each trade has a round part in base, so its quantity (face value) is none of whole contracts.
    """
    rng = generator(seed_of(f"{market.symbol} trades"), minute // MINUTE_MS)
    count = _FEWEST + int(rng.poisson(_MORE))
    course = _course(rng, count, prices, decimals_of(market.price_tick))
    volumes = _volumes(rng, count, volume, volume_decimals(market))
    times = minute + np.sort(rng.integers(0, MINUTE_MS, count))
    sides = _sides(rng, course)
    quantities = volumes * course if market.is_inverse else volumes
    rows = zip(times.tolist(), course.tolist(), quantities.tolist(), sides.tolist(), strict=True)
    trades = tuple(
        PublicTrade(time, market.symbol, f"{minute // MINUTE_MS}{number:03}", price, qty, side)
        for number, (time, price, qty, side) in enumerate(rows)
    )
    tick, mean = market.price_tick, max(quantities.mean(), market.qty_step)
    width = tick * max(1, round(prices[0] * _SPREAD * rng.uniform(0.3, 1.7) / tick))
    sizes = _rounded(rng.exponential(mean, (count, 2)), market.qty_step).tolist()
    quotes = (_quote(market, trade, width, size) for trade, size in zip(trades, sizes, strict=True))
    return Tape(trades, tuple(quotes))


def _course(rng: np.random.Generator, count: int, prices: Prices, decimals: int) -> Floats:
    """The prices of `count` trades, shape (count,): from open to close by way of both extremes."""
    first, high, low, last = prices
    inner = np.sort(rng.choice(np.arange(1, count - 1), 2, replace=False))
    turns = (high, low) if rng.random() < 0.5 else (low, high)
    at, values = np.array([0, *inner, count - 1]), np.array([first, *turns, last])
    way = np.interp(np.arange(count), at, values) + rng.normal(0.0, _NOISE * (high - low), count)
    found = np.round(np.clip(way, low, high), decimals)
    found[at] = values
    return found


def _volumes(rng: np.random.Generator, count: int, volume: float, decimals: int) -> Floats:
    """The parts of `volume` in `count` trades: whole units of the last decimal where it holds enough of them."""
    units = round(volume * 10**decimals)
    if units < count:
        return np.full(count, volume / count)
    shares = rng.exponential(1.0, count)
    return (1 + rng.multinomial(units - count, shares / shares.sum())) / 10**decimals


def _sides(rng: np.random.Generator, course: Floats) -> Ints:
    """Who took: a buyer where the price rose, a seller where it fell."""
    moved = np.sign(np.diff(course, prepend=course[0])).astype(np.int64)
    return np.where(moved == 0, rng.choice([-1, 1], course.size), moved)


def _quote(market: Market, trade: PublicTrade, width: float, sizes: list[float]) -> Quote:
    """The quote after a trade: a buyer took from the ask, a seller from the bid."""
    decimals = decimals_of(market.price_tick)
    lower = trade.price - width if trade.side > 0 else trade.price
    bid = trade.price if lower < market.price_tick / 2 else lower  # so that it stays a price
    return Quote(trade.time, market.symbol, round(bid, decimals), round(bid + width, decimals), *sizes)


def book_of(market: Market, quote: Quote) -> OrderBook:
    """The book at a quote: its best levels, and as many ticks between the further ones as between those two."""
    decimals, width = decimals_of(market.price_tick), quote.ask - quote.bid
    rng = generator(seed_of(f"{market.symbol} book"), quote.time)
    grown = 1.0 + np.arange(1, DEPTH) / 4.0  # deeper levels hold more
    sizes = _rounded(rng.exponential((quote.bid_qty + quote.ask_qty) / 2 * grown, (2, DEPTH - 1)), market.qty_step)
    steps = np.arange(1, DEPTH) * width
    bids, asks = (np.round(price, decimals).tolist() for price in (quote.bid - steps, quote.ask + steps))
    lower = zip([quote.bid, *bids], [quote.bid_qty, *sizes[0].tolist()], strict=True)
    upper = zip([quote.ask, *asks], [quote.ask_qty, *sizes[1].tolist()], strict=True)
    return OrderBook(quote.time, market.symbol, tuple(one for one in lower if one[0] > 0.0), tuple(upper))


def mark_prices(market: Market, minute: int, mark: Prices, index: Prices) -> list[MarkPrice]:
    """A minute's mark and index prices, one every `MARK_MS`, that make up its candles of both."""
    count, decimals = MINUTE_MS // MARK_MS, decimals_of(market.price_tick) + 2
    courses: list[list[float]] = []
    for kind, prices in ((Kind.MARK, mark), (Kind.INDEX, index)):
        rng = generator(seed_of(f"{market.symbol} {kind}"), minute // MINUTE_MS)
        courses.append(_course(rng, count, prices, decimals).tolist())
    times = range(minute, minute + MINUTE_MS, MARK_MS)
    return [MarkPrice(time, market.symbol, *both) for time, *both in zip(times, *courses, strict=True)]


def _rounded(values: Floats, step: float) -> Floats:
    """Up to whole steps."""
    return np.round(np.ceil(values / step) * step, decimals_of(step))
