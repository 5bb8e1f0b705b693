"""Order books whose changes are numbered, so that a snapshot by request and the deltas on sockets agree."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .instruments import Instrument

    type Levels = list[tuple[Decimal, Decimal]]
    type Side = dict[Decimal, Decimal]

DEPTH = 100
"""Levels on a side: there are no deeper ones, in no answer and no message."""
CHECKED = 25
"""The levels of each side that a checksum covers."""
FIRST = 1_000_000
"""The number of a book that was never looked at."""


def checksum(bids: Sequence[Sequence[str]], asks: Sequence[Sequence[str]]) -> int:
    """The CRC-32, signed, of the best 25 levels: bid and ask in turn, price and amount between colons.

    So OKX and Bitget have it, of levels as they write them.
    """
    sides = bids[:CHECKED], asks[:CHECKED]
    words = [word for place in range(CHECKED) for side in sides if place < len(side) for word in side[place][:2]]
    value = zlib.crc32(":".join(words).encode())
    return value - (1 << 32) if value >= 1 << 31 else value


class BookChange(NamedTuple):
    """What changed since the book numbered `before`: levels with their new size, 0 where there is none any more.

    `before` None is the whole book, which comes first.
    """

    before: int | None
    sequence: int
    bids: Levels
    asks: Levels


@dataclass(slots=True)
class Book:
    """A book as it was last looked at: sizes by price, best first."""

    sequence: int = FIRST
    bids: Side = field(default_factory=dict[Decimal, Decimal])
    asks: Side = field(default_factory=dict[Decimal, Decimal])

    def top(self, depth: int) -> Book:
        """The best levels alone; all with a depth of 0."""
        count = depth or DEPTH
        return Book(self.sequence, dict(islice(self.bids.items(), count)), dict(islice(self.asks.items(), count)))

    def whole(self) -> BookChange:
        """All of it."""
        return BookChange(None, self.sequence, list(self.bids.items()), list(self.asks.items()))

    def since(self, old: Book) -> BookChange:
        """What differs from an older state of it."""
        bids, asks = _changed(old.bids, self.bids), _changed(old.asks, self.asks)
        return BookChange(old.sequence, self.sequence, bids, asks)


class Books:
    """The books of one exchange; whoever asks for one sees it as it is now, and listeners hear of its change."""

    def __init__(self, levels: Callable[[Instrument, int], tuple[Levels, Levels]]) -> None:
        self._levels = levels
        self._books: dict[tuple[str, str], Book] = {}
        self.listeners: list[Callable[[Instrument, Book], None]] = []

    def look(self, instrument: Instrument) -> Book:
        """The book of this moment; its number grows with each level that has changed."""
        key = (instrument.kind, instrument.id)
        old = self._books.get(key, Book())
        bids, asks = self._levels(instrument, DEPTH)
        new = Book(old.sequence, dict(bids), dict(asks))
        change = new.since(old)
        if not change.bids and not change.asks:
            return old
        new.sequence += len(change.bids) + len(change.asks)
        self._books[key] = new
        for listener in self.listeners:
            listener(instrument, new)
        return new


def _changed(old: Side, new: Side) -> Levels:
    gone = [(price, Decimal(0)) for price in old if price not in new]
    return gone + [(price, size) for price, size in new.items() if old.get(price) != size]
