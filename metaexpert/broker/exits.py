"""Positions that are being closed at market, by one order after another until they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..models import ExitReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .book import Working
    from .holding import Holding
    from .protection import Guard

__all__ = ["Closing", "Exits", "backoff_ms"]

_REMIND_MS = 30_000  # how often it is told that a position waits for a price


def backoff_ms(failures: int) -> int:
    """How long to wait after that many failures in a row: 1, 2, 4 ... 30 seconds."""
    return min(1_000 << min(max(failures - 1, 0), 5), 30_000)


class Closing:
    """The position on `side` is being closed at market: why, how often it was tried, and when it may be again.

    `is_sent`: an order that is to close it was sent, and its end was not seen yet. One that `waits` has no price.
    """

    __slots__ = ("due", "is_sent", "message", "reason", "side", "told", "tries", "waits")

    def __init__(self, side: int, reason: ExitReason, message: str) -> None:
        self.side = side
        self.reason = reason
        self.message = message
        self.tries = self.due = self.told = 0
        self.is_sent = self.waits = False

    def state(self) -> dict[str, Any]:
        """What it goes on from after a restart, as JSON can hold it."""
        return {"side": self.side, "reason": self.reason, "message": self.message}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Closing:
        """The closing that `state` told of."""
        return cls(state["side"], ExitReason(state["reason"]), state["message"])


class Exits:
    """Closes positions, and never gives up.

    Args:
        now: the run's time, ms UTC.
        close: closes a position at market for a reason, with a message, by an order of the book.
        doubts: does the account seem to hold something else than a position of ours? Then nothing is closed.
        is_priced: is there a price, where an order needs one? Until there is, nothing is sent.
        failed: is told of each order that did not close its position, and why that was to be closed.
        unpriced: is told the same of what waits for a price, again and again.
    """

    def __init__(
        self, now: Callable[[], int], close: Callable[[Holding, ExitReason, str], Working],
        doubts: Callable[[Holding], bool], is_priced: Callable[[Holding], bool],
        failed: Callable[[Holding, str], None], unpriced: Callable[[Holding, str], None],
    ) -> None:  # fmt: skip
        self._now = now
        self._close = close
        self._doubts = doubts
        self._is_priced = is_priced
        self._failed = failed
        self._unpriced = unpriced

    def press(self, held: Holding, closing: Closing, guard: Guard) -> None:
        """Bring the closing of a position on, as far as that can be done now."""
        now, leaving = self._now(), guard.leaving
        if guard.is_leaving:
            return
        if closing.is_sent:  # that order has ended, and the position has not
            closing.is_sent = False
            if leaving is not None and leaving.filled > 0.0:  # all that the market took at once
                closing.tries = 0
            else:
                closing.due = now + backoff_ms(closing.tries)
                ended = None if leaving is None or leaving.message == closing.message else leaving.message
                self._failed(held, closing.message if ended is None else f"{closing.message}; {ended}")
        if closing.due > now or self._doubts(held):
            return
        closing.waits = not self._is_priced(held)
        if not closing.waits:
            closing.is_sent, closing.tries = True, closing.tries + 1
            guard.leaving = self._close(held, closing.reason, closing.message)
        elif now >= closing.told + _REMIND_MS:
            closing.told = now
            self._unpriced(held, closing.message)
