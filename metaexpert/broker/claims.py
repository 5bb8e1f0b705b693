"""Which fills of the account are ours: each is booked once, whatever is told twice, late or out of order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..answers import ExchangeFill
    from ..reports import FillReport

__all__ = ["Claims"]

_KEPT = 300  # ids of fills by symbol, and up to twice as many
_OVERLAP_MS = 60_000  # fills are asked for from so long before the last one: they come in no strict order


class Claims:
    """The fills that were booked, and those that wait until it is known whose they are.

    Args:
        begun: when the run began (ms UTC): no fill before it is ours.
    """

    def __init__(self, begun: int) -> None:
        self._begun = begun
        self._seen: dict[str, dict[str, int]] = {}
        self._from: dict[str, int] = {}  # by symbol: since when all that were booked are remembered
        self._waiting: list[tuple[FillReport, set[str]]] = []
        self._left: dict[str, int] = {}  # by symbol: the oldest fill that waited when the last run ended

    @property
    def are_waiting(self) -> bool:
        """Does a fill wait for whose it is?"""
        return bool(self._waiting)

    def has(self, fill: ExchangeFill) -> bool:
        """Was it booked already, or is it too old for that to be known?"""
        return fill.id in self._seen.get(fill.symbol, ()) or fill.time < self._from.get(fill.symbol, 0)

    def note(self, fill: ExchangeFill) -> None:
        """It is booked."""
        seen = self._seen.setdefault(fill.symbol, {})
        seen[fill.id] = fill.time
        if len(seen) > 2 * _KEPT:
            oldest = sorted(seen.items(), key=lambda one: one[1])[:-_KEPT]
            for name, _ in oldest:
                del seen[name]
            self._from[fill.symbol] = oldest[-1][1] + 1

    def since(self, symbol: str) -> int:
        """From when on the fills of a symbol have to be asked for, so that none is missed (ms UTC)."""
        last = max(self._seen.get(symbol, {}).values(), default=self._begun + _OVERLAP_MS)
        waiting = [one.fill.time for one, _ in self._waiting if one.fill.symbol == symbol]
        return max(min(last - _OVERLAP_MS, self._left.get(symbol, last), *waiting), self._from.get(symbol, 0))

    # -- whose is it? -------------------------------------------------------------------------------------------

    def wait(self, report: FillReport, asked: Iterable[str]) -> None:
        """A fill waits until it is known how the orders of those ids stand."""
        self.taken(report)
        self._waiting.append((report, set(asked)))

    def heard(self, order_id: str) -> list[tuple[FillReport, bool]]:
        """It is known how an order stands: the fills that waited for it, each with whether that was the last one.

        Those for which it was wait no more; the others do, unless somebody claims them (`taken`).
        """
        found: list[tuple[FillReport, bool]] = []
        for report, asked in self._waiting:
            if order_id in asked:
                asked.discard(order_id)
                found.append((report, not asked))
        self._waiting = [one for one in self._waiting if one[1]]
        return found

    def taken(self, report: FillReport) -> None:
        """A fill waits no more."""
        fill = report.fill
        self._waiting = [
            one for one in self._waiting if (one[0].fill.symbol, one[0].fill.id) != (fill.symbol, fill.id)
        ]

    # -- a restart ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What was booked of late, as JSON can hold it; what waits is asked for again."""
        return {
            "begun": self._begun,
            "seen": {name: dict(one) for name, one in self._seen.items()},
            "from": dict(self._from),
            "left": {one.fill.symbol: self.since(one.fill.symbol) for one, _ in self._waiting},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take on what `state` told."""
        self._begun, self._from = state["begun"], dict(state["from"])
        self._seen = {name: dict(one) for name, one in state["seen"].items()}
        self._left = dict(state["left"])
