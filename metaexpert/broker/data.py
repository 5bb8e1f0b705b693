"""What is known of a market beside its candles: funding, mark price, the underlying's price, finer prices."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import DataError
from ..timeframe import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..models import Market

__all__ = ["FundingRate", "FundingRates", "Latest", "MarketData", "Reference", "Span", "live_data"]

_FUNDING_INTERVAL = parse("8h")
_FIRST_LOOK = 1024  # candles; a search looks at twice as many each time


class FundingRate(NamedTuple):
    """One funding instant (ms UTC): what a long pays as a fraction of its notional at `mark` (None: not known)."""

    time: int
    rate: float
    mark: float | None


class FundingRates:
    """The funding instants of one market in order; each is taken once, as time passes (rule 19).

    Raises:
        DataError: the times do not ascend.
    """

    __slots__ = ("_next", "_rates", "taken")

    def __init__(self, rates: Sequence[FundingRate]) -> None:
        for first, second in pairwise(rates):
            if first.time >= second.time:
                raise DataError(f"funding rates must ascend in time: {first.time} is not before {second.time}")
        self._rates = rates
        self._next = 0
        self.taken: int | None = None
        """The last instant that was taken, ms UTC."""

    @staticmethod
    def constant(rate: float, start: int, end: int) -> list[FundingRate]:
        """The same `rate` at 00:00, 08:00 and 16:00 UTC of every day within [start, end)."""
        first = -(-start // _FUNDING_INTERVAL) * _FUNDING_INTERVAL
        return [FundingRate(time, rate, None) for time in range(first, end, _FUNDING_INTERVAL)]

    @property
    def all(self) -> Sequence[FundingRate]:
        """Every instant, those that were taken too."""
        return self._rates

    @property
    def next_time(self) -> int | None:
        """The next instant that was not taken yet."""
        return self._rates[self._next].time if self._next < len(self._rates) else None

    def add(self, rate: FundingRate) -> None:
        """One more instant, later than all others; those that were taken are forgotten, and never taken again."""
        if self.taken is None or rate.time > self.taken:
            self._rates, self._next = [*self._rates[self._next :], rate], 0

    def resume(self, taken: int | None) -> None:
        """The instants up to `taken` were taken before."""
        self.taken = taken
        self._next = 0 if taken is None else bisect_right(self._rates, taken, key=lambda one: one.time)

    def fingerprint(self) -> bytes:
        """All rates as bytes."""
        return repr(self._rates).encode()

    def is_due(self, until: int) -> bool:
        """Is there an instant up to `until`, itself included, that was not taken yet?"""
        return self._next < len(self._rates) and self._rates[self._next].time <= until

    def take(self, until: int) -> Iterator[FundingRate]:
        """The instants up to `until`, itself included, that were not taken yet."""
        while self.is_due(until):
            one = self._rates[self._next]
            self._next, self.taken = self._next + 1, one.time
            yield one


class Span(NamedTuple):
    """The prices of a reference within a span of time."""

    open: float
    high: float
    low: float
    close: float


class Reference:
    """Candles of another price of a market: its mark price, or the price of its underlying.

    Args:
        length: of a candle, ms.
        times: open times, ms UTC, ascending, shape (n,).
        prices: open, high, low and close, shape (n,) each.
    """

    __slots__ = ("_arrays", "_close", "_high", "_low", "_open", "_times", "length")

    def __init__(self, length: int, times: Sequence[int], prices: Sequence[Sequence[float]]) -> None:
        self.length = length
        self._times = times
        self._open, self._high, self._low, self._close = prices
        self._arrays: tuple[Any, Any] | None = None  # lowest and highest prices, made when somebody searches

    @property
    def columns(self) -> tuple[Sequence[float], ...]:
        """Open times, opens, highs and lows."""
        return self._times, self._open, self._high, self._low

    def fingerprint(self) -> bytes:
        """All candles as bytes."""
        prices = (self._open, self._high, self._low, self._close)
        return array("q", self._times).tobytes() + b"".join(array("d", column).tobytes() for column in prices)

    def within(self, start: int, end: int) -> Span | None:
        """The prices of the candles within [start, end); None when there are none."""
        first = bisect_left(self._times, start)
        last = bisect_left(self._times, end - self.length + 1, lo=first)
        if first == last:
            return None
        high, low = max(self._high[first:last]), min(self._low[first:last])
        return Span(self._open[first], high, low, self._close[last - 1])

    def first_reach(self, level: float, side: int, start: int) -> int | None:
        """The open time of the first candle from `start` on that reaches `level`, from below when `side` is +1."""
        if self._arrays is None:
            import numpy as np

            self._arrays = np.array(self._low), np.array(self._high)
        low, high = self._arrays
        at, size = bisect_left(self._times, start), _FIRST_LOOK
        while at < len(self._times):
            reached = high[at : at + size] >= level if side > 0 else low[at : at + size] <= level
            if reached.any():
                return self._times[at + int(reached.argmax())]
            at, size = at + size, 2 * size
        return None

    def opening(self, time: int) -> float | None:
        """The open of the candle that opens at `time`; None when there is none."""
        at = bisect_left(self._times, time)
        return self._open[at] if at < len(self._times) and self._times[at] == time else None

    def closing(self, time: int) -> float | None:
        """The close of the candle that ends at `time`; None when there is none."""
        at = bisect_left(self._times, time - self.length)
        return self._close[at] if at < len(self._times) and self._times[at] == time - self.length else None


class Latest(Reference):
    """The price of a market that goes on, as it is known now: it stands for every moment."""

    __slots__ = ("price",)

    def __init__(self) -> None:
        super().__init__(1, (), ((), (), (), ()))
        self.price: float | None = None

    def within(self, start: int, end: int) -> Span | None:
        """The price, four times."""
        del start, end
        return None if self.price is None else Span(self.price, self.price, self.price, self.price)

    def opening(self, time: int) -> float | None:
        """The price."""
        del time
        return self.price

    def closing(self, time: int) -> float | None:
        """The price."""
        del time
        return self.price


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketData:
    """What a run knows of one market beside its candles; None where nothing is known.

    `settlement` is the price at expiry: the index or mark price of a future, that of an option's underlying.
    """

    funding: FundingRates | None = None
    marks: Reference | None = None
    underlying: Reference | None = None
    settlement: float | None = None

    def fingerprint(self) -> bytes:
        """All of it as bytes, to tell one run's data from another's."""
        parts = [repr(self.settlement).encode()]
        parts += [part.fingerprint() for part in (self.funding, self.marks, self.underlying) if part is not None]
        return b"|".join(parts)


def live_data(market: Market) -> MarketData:
    """What is known of a market that goes on beside its prices: filled in as it is told."""
    if market.is_spot:
        return MarketData()
    if market.is_option:
        return MarketData(marks=Latest(), underlying=Latest())
    return MarketData(marks=Latest(), funding=FundingRates(()) if market.expiry is None else None)
