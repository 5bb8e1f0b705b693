"""The one bounded queue between the streams of a live market and its consumer."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .events import PublicTrade

if TYPE_CHECKING:
    from .events import MarkPrice, Quote
    from .models import OrderBook

    type Event = PublicTrade | Quote | OrderBook | MarkPrice
    type Cell = list[Event | None]

__all__ = ["Inbox"]


class Inbox:
    """What has come and was not taken yet, in the order in which it came; at most about `limit` events.

    When it is full the oldest quote, book or mark price of the symbol gives way: a later one says more. The newest
    one always gets in, one that is older than the last is left out. Trades are never dropped in silence: `put`
    refuses them.

    Args:
        limit: how many events it holds.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.dropped = 0
        """How many quotes, books and mark prices have given way to later ones."""
        self._cells: deque[Cell] = deque()
        self._held: deque[Cell] = deque()
        self._states: dict[tuple[type, str], deque[Cell]] = {}
        self._latest: dict[tuple[type, str], int] = {}
        self._gone = 0

    def __len__(self) -> int:
        return len(self._cells) + len(self._held) - self._gone

    def put(self, event: Event) -> bool:
        """Take `event` in; False for a trade that there is no room for."""
        is_full = len(self) >= self.limit
        cell: Cell = [event]
        if isinstance(event, PublicTrade):
            if is_full and not self._make_room(event.symbol):
                return False
        else:
            key = (type(event), event.symbol)
            if event.time < self._latest.get(key, event.time):
                return True
            self._latest[key] = event.time
            if is_full:
                self._give_way(key)
            self._states.setdefault(key, deque()).append(cell)
        self._cells.append(cell)
        return True

    def pop(self, before: float) -> Event | None:
        """The next event whose time is before `before` (ms); those at or after it wait until `release`.

        Call that whenever `before` has grown.
        """
        while self._cells:
            cell = self._cells.popleft()
            event = cell[0]
            if event is None:
                self._gone -= 1
            elif event.time >= before:
                self._held.append(cell)
            else:
                if not isinstance(event, PublicTrade):
                    self._states[type(event), event.symbol].popleft()
                return event
        return None

    def last(self, kind: type[Event], symbol: str) -> Event | None:
        """The newest of the quotes, books or mark prices of a symbol that wait here; None where none does."""
        waiting = self._states.get((kind, symbol))
        return waiting[-1][0] if waiting else None

    def release(self) -> None:
        """Let what had to wait be looked at again, before what came after it."""
        self._held.extend(self._cells)
        self._cells, self._held = self._held, self._cells
        self._held.clear()

    def _make_room(self, symbol: str) -> bool:
        """Drop one state of `symbol`; False when there is none."""
        return any(self._give_way(key) for key in self._states if key[1] == symbol)

    def _give_way(self, key: tuple[type, str]) -> bool:
        """Drop the oldest state of one kind and symbol; False when there is none."""
        if not self._states.get(key):
            return False
        self._states[key].popleft()[0] = None
        self._gone += 1
        self.dropped += 1
        self._compact()
        return True

    def _compact(self) -> None:
        """Forget the cells of what was dropped, now and then."""
        if self._gone > self.limit:
            self._cells = deque(cell for cell in self._cells if cell[0] is not None)
            self._held = deque(cell for cell in self._held if cell[0] is not None)
            self._gone = 0
