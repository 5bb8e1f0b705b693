"""What a live broker asks of its exchange: commands on their way, none twice at once, some of them later."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from ..reports import Check, Fetch, Find

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..clock import Clock
    from ..models import Order
    from ..reports import Command

__all__ = ["Errands"]


class Errands:
    """Asks, and remembers what was asked and not answered yet.

    Args:
        clock: the run's clock.
        put: lets a command go.
    """

    def __init__(self, clock: Clock, put: Callable[[Command], None]) -> None:
        self.put = put
        self._clock = clock
        self._sought: set[str] = set()
        self._fetching: set[str] = set()
        self._later: dict[str, tuple[int, int]] = {}  # by symbol: when to fetch its fills (ms UTC), since when

    @property
    def next_time(self) -> float:
        """When something is to be asked that waits now, ms UTC."""
        waiting = (due for symbol, (due, _) in self._later.items() if symbol not in self._fetching)
        return min(waiting, default=inf)

    @property
    def are_done(self) -> bool:
        """Is everything answered?"""
        return not (self._sought or self._fetching or self._later)

    def find(self, order: Order, *, again: bool = False) -> None:
        """Look an order up, `again` even if that is under way."""
        if again or order.id not in self._sought:
            self._sought.add(order.id)
            self.put(Find(order))

    def found(self, order_id: str) -> None:
        """It is known how an order stands."""
        self._sought.discard(order_id)

    def fetch(self, symbol: str, since: int, *, at: int | None = None) -> None:
        """Fetch the fills of a market from `since` (ms UTC) on: now, or `at` a later time."""
        now = self._clock.now()
        due = now if at is None else at
        if symbol in self._later:
            due, since = (min(pair) for pair in zip(self._later[symbol], (due, since), strict=True))
        if due > now or symbol in self._fetching:
            self._later[symbol] = due, since
            return
        self._later.pop(symbol, None)
        self._fetching.add(symbol)
        self.put(Fetch(symbol, since))

    def fetched(self, symbol: str) -> None:
        """The fills of a market were fetched."""
        self._fetching.discard(symbol)

    def ask(self, command: Command) -> None:
        """Ask for whatever it is, unless it is under way."""
        if isinstance(command, Find):
            self.find(command.order)
        elif isinstance(command, Fetch):
            self.fetch(command.symbol, command.since)
        else:
            self.put(command)

    def check(self) -> None:
        """Ask how the account stands."""
        self.put(Check())

    def run(self) -> None:
        """Ask for what is due by now."""
        now = self._clock.now()
        for symbol, (due, since) in list(self._later.items()):
            if due <= now and symbol not in self._fetching:
                del self._later[symbol]
                self.fetch(symbol, since)
