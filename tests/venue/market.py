"""What is traded at one exchange, what it costs, and who is told about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

from metaexpert.timeframe import floor

from .instruments import DAY, Instrument, Kind
from .orders import ZERO, Reason, Refusal
from .prices import MINUTE, TRADES, Candle, Trade, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .news import News
    from .prices import Source

    type Levels = list[tuple[Decimal, Decimal]]

PLENTY = Decimal(1_000_000_000)
DEEPEST = 20
"""From this level on, the public's offers grow no more."""


class Market:
    """Instruments and their prices, the time, and the listeners.

    A listener is called for every piece of news, in the order in which things happen, each time after the state
    has changed; it may look at the state, but change nothing. `watched` counts those who want to hear the trades
    of an instrument, which are told from then on.
    """

    def __init__(self, instruments: Iterable[Instrument], prices: Source, clock: Callable[[], int]) -> None:
        self.instruments = {(item.kind, item.id): item for item in instruments}
        self.prices = prices
        self.pinned: dict[tuple[Kind, str], Decimal] = {}
        """The prices of what is told by hand; of those in `deep` any amount can be had at it."""
        self.deep: set[Instrument] = set()
        self._seen: dict[Instrument, Decimal] = {}
        """The prices of the last trades that were told, while `advance` catches up with the clock."""
        self._taken: dict[Instrument, dict[Decimal, Decimal]] = {}
        self._printed: dict[tuple[Kind, str], list[Trade]] = {}
        self.listeners: list[Callable[[News], None]] = []
        self.watched: Counter[Instrument] = Counter()
        self._clock = clock
        self._moment: int | None = None
        """The time of what happens, while `advance` catches up with the clock."""

    def now(self) -> int:
        """The time in ms; to a listener that of the news."""
        return self._clock() if self._moment is None else self._moment

    def tell(self, news: News) -> None:
        """Let the listeners know."""
        for listener in tuple(self.listeners):
            listener(news)

    def watch(self, instrument: Instrument) -> None:
        """Follow its trades; once more for everybody who does."""
        self.watched[instrument] += 1

    def unwatch(self, instrument: Instrument) -> None:
        """One less follows its trades."""
        self.watched[instrument] -= 1
        if not self.watched[instrument]:
            del self.watched[instrument]

    def instrument(self, name: str, *kinds: Kind) -> Instrument:
        """The instrument of that name.

        Raises:
            Refusal: there is none of these kinds.
        """
        for kind in kinds or tuple(Kind):
            if found := self.instruments.get((kind, name)):
                return found
        raise Refusal(Reason.SYMBOL, name)

    def relist(self, instrument: Instrument, **terms: Any) -> Instrument:
        """List an instrument on other terms (tick, step, contract…), before anybody has looked at it."""
        changed = replace(instrument, **terms)
        self.instruments[instrument.kind, instrument.id] = changed
        return changed

    def listed(self, *kinds: Kind) -> list[Instrument]:
        """All instruments of these kinds."""
        return [item for item in self.instruments.values() if item.kind in kinds]

    def price(self, instrument: Instrument, what: str = "last") -> Decimal:
        """The price now: last, mark or index."""
        pinned = self.pinned.get((instrument.kind, instrument.id))
        if pinned is None and what == "last":
            pinned = self._seen.get(instrument)
        return pinned if pinned is not None else self.prices.at(instrument, self.now(), what)

    def print(self, instrument: Instrument, price: Decimal, amount: Decimal) -> Trade:
        """Put a trade on the tape, which is told by hand from then on; the price is that of its last trade."""
        key, now = (instrument.kind, instrument.id), self.now()
        before = self.price(instrument)
        tape = self._printed.setdefault(key, [])
        last = tape[-1].id if tape else now * TRADES // MINUTE
        tape.append(Trade(last + 1, now, price, amount, price >= before))
        self.pinned[key] = price
        return tape[-1]

    def candles(
        self, instrument: Instrument, interval: int, start: int, end: int, what: str = "last"
    ) -> list[Candle]:
        """The candles that open in [start, end) ms, oldest first, the running one included."""
        now, printed = self.now(), self._printed.get((instrument.kind, instrument.id), [])
        source = printed[0].time - 1 if printed else now
        rows = self.prices.candles(instrument, interval, start, min(end, source + 1), source, what)
        for trade in printed:
            if start <= floor(trade.time, interval) < end:
                price = trade.price
                join(rows, Candle(trade.time, price, price, price, price, trade.amount, 1), interval)
        return rows

    def trades(self, instrument: Instrument, start: int, end: int) -> list[Trade]:
        """The public trades of [start, end) ms."""
        end, printed = min(end, self.now() + 1), self._printed.get((instrument.kind, instrument.id), [])
        if not printed:
            return list(self.prices.trades(instrument, start, end))
        source = self.prices.trades(instrument, start, max(min(end, printed[0].time), start))
        return [*source, *(trade for trade in printed if start <= trade.time < end)]

    def day(self, instrument: Instrument) -> Candle:
        """The last 24 hours as one candle."""
        rows = self.candles(instrument, 3_600_000, self.now() - DAY + 1, self.now() + 1)
        price = self.price(instrument)
        if not rows:
            return Candle(self.now() - DAY, price, price, price, price, ZERO, 0)
        return Candle(
            self.now() - DAY, rows[0].open, max(price, *(row.high for row in rows)),
            min(price, *(row.low for row in rows)), price,
            sum((row.volume for row in rows), ZERO), sum(row.trades for row in rows),
        )  # fmt: skip

    def followed(self, option: Instrument) -> Instrument:
        """The instrument whose index lies under an option."""
        same = (one for one in self.instruments.values() if (one.base, one.quote) == (option.base, option.quote))
        return next(one for one in same if one.kind is not Kind.OPTION)

    def underlying(self, option: Instrument) -> Decimal:
        """The index under an option, in the currency of its strike."""
        return self.price(self.followed(option), "index")

    def levels(self, instrument: Instrument, *, asks: bool) -> Iterator[tuple[Decimal, Decimal]]:
        """What the public offers on one side, best first, one tick apart.

        The best bid is the last price, the best ask a tick above; what was taken is back with the next trade. Of a
        pinned instrument any amount can be had at the price itself, on both sides, and nothing beyond.
        """
        price = self.price(instrument)
        if instrument in self.deep:
            yield price, PLENTY
            return
        for level in count():
            at = price + instrument.tick * (level + 1) if asks else price - instrument.tick * level
            if at <= 0:
                return
            if (size := self._offered(instrument, at, level)) > 0:
                yield at, size

    def queue(self, instrument: Instrument, price: Decimal, *, asks: bool) -> Decimal:
        """What the public has at one price, before which an order that joins now must wait."""
        gap = (price - self.price(instrument)) / instrument.tick
        level = int(gap) - 1 if asks else -int(gap)
        return ZERO if level < 0 or instrument in self.deep else self._offered(instrument, price, level)

    def _offered(self, instrument: Instrument, price: Decimal, level: int) -> Decimal:
        taken = self._taken.get(instrument, {}).get(price, ZERO)
        return instrument.depth * min(level + 1, DEEPEST) - taken

    def take(self, instrument: Instrument, price: Decimal, amount: Decimal) -> None:
        """Somebody has taken `amount` from the public; the next trade brings it back."""
        taken = self._taken.setdefault(instrument, {})
        taken[price] = taken.get(price, ZERO) + amount
