"""Closes everything, and again what could not be closed: when a loss limit or the end of a run wants it gone."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from .models import ExitReason, Side

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .broker.holding import Holding
    from .clock import Clock
    from .trader import Trader

__all__ = ["Closer"]

_AGAIN_MS = (1_000, 30_000)  # after which a position is closed again; twice as long each time


class Closer:
    """Sees to it that what has to go goes, until nothing is held.

    An order may be refused, such as while an exchange has no time for it; a position that has none that closes all
    of it gets another one, after a pause.

    Args:
        trader: closes.
        clock: the run's.
    """

    def __init__(self, trader: Trader, clock: Clock) -> None:
        self.reason: ExitReason | None = None
        """Why everything has to go; None while nothing has to."""
        self._trader, self._clock = trader, clock
        self._pause, self._not_before = _AGAIN_MS[0], 0
        self._tried: dict[Holding, float] = {}  # what was held when it was to be closed last
        self._since = clock.now()

    def want(self, reason: ExitReason) -> None:
        """Everything has to go, also what entries come to that were made before now."""
        self.reason, self._since = reason, self._clock.now()

    def watch(self, reason: ExitReason) -> None:
        """Everything was just closed for a `reason`: see to it that it goes."""
        self.want(reason)
        self._rest(self._trader.broker.ledger.legs())

    @property
    def due(self) -> float:
        """When something is to be closed again, ms UTC."""
        waits = self.reason is not None and self._not_before > self._clock.now()
        return self._not_before if waits and not self._trader.broker.ledger.is_flat() else inf

    def run(self) -> None:
        """Close what has no order that does so, unless that was tried in vain a moment ago."""
        ledger = self._trader.broker.ledger
        if self.reason is None or (self._clock.now() < self._not_before and not self._has_shrunk()):
            return
        if ledger.is_flat():
            if not self._is_expecting():
                self.reason, self._pause = None, _AGAIN_MS[0]
                self._tried.clear()
            return
        if self._has_shrunk():
            self._pause = _AGAIN_MS[0]
        bare = [held for held in ledger.legs() if held.qty != 0.0 and not self._is_leaving(held)]
        for held in bare:
            self._trader.close(held.market.symbol, "long" if held.qty > 0.0 else "short", None, self.reason)
        if bare:
            self._rest(bare)

    def _rest(self, tried: Iterable[Holding]) -> None:
        """These were just closed: what is left of them is to be closed again after a pause."""
        self._tried.update((held, abs(held.qty)) for held in tried)
        self._not_before = self._clock.now() + self._pause
        self._pause = min(2 * self._pause, _AGAIN_MS[1])

    def _has_shrunk(self) -> bool:
        """Has the market taken part of what was to be closed last? Then the rest may go at once."""
        return any(0.0 < abs(held.qty) < qty and not self._is_leaving(held) for held, qty in self._tried.items())

    def _is_expecting(self) -> bool:
        """May an entry still fill that was made before: unknown yet whether it arrived, or being cancelled?"""
        working = self._trader.broker.working()
        return any(not order.reduce_only and order.created <= self._since for order in working)

    def _is_leaving(self, held: Holding) -> bool:
        """Do orders work that take the whole of a position off, whatever the price?"""
        away = Side.SELL if held.qty > 0.0 else Side.BUY
        closing = [
            order.remaining for order in self._trader.broker.working(held.market.symbol)
            if order.price is None and order.stop_price is None and order.side is away
            and order.position_side == held.position_side
        ]  # fmt: skip
        return sum(closing) >= abs(held.qty)
