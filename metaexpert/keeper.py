"""The keeper of a live run that writes its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .halfway import body_of
from .tape import BEGINNING, START

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .journal import Journal
    from .live import LiveProcess
    from .models import Order

__all__ = ["JournalKeeper", "since_of"]


class Beginning(Protocol):
    """What is asked of a feed."""

    def beginning(self) -> Any:
        """What it began with."""
        ...


class JournalKeeper:
    """Writes a run into its journal, with what its feed began with before the first event; see `live.Keeper`."""

    def __init__(self, journal: Journal, feed: Beginning) -> None:
        self._journal = journal
        self._feed: Beginning | None = feed  # until its beginning is written
        self._intended = False
        self._handled: tuple[str, Any] = (START, None)

    def event(self, time: int, kind: str, body: Any) -> None:
        """Note an event that is about to be handled."""
        if self._feed is not None and kind != START:
            self._journal.event(time, BEGINNING, self._feed.beginning())
            self._feed = None
        self._handled = kind, body
        self._journal.event(time, kind, body)

    def log(self, time: int, kind: str, body: Any) -> None:
        """Note what was done."""
        self._journal.log(time, kind, body)

    def commit(self, process: LiveProcess, *, changed: bool) -> None:
        """Write what was noted, with the state to go on from, where the event has changed that."""
        if changed or self._intended:
            self._journal.commit(process.state())
            self._intended = False

    def intent(self, order: Order) -> None:
        """Write, at once, an order that is about to be sent, and what brought it.

        Raises:
            JournalError: it can't be written: it must not be sent.
        """
        self._journal.intent(order.id, body_of(order, *self._handled))
        self._intended = True


def since_of(state: Mapping[str, Any]) -> dict[str, int]:
    """From which moments on (ms UTC), by symbol, a run that goes on from `state` has to hear of closed bars."""
    return dict(state["closes"])
