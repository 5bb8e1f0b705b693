"""The account over time (rule 21): what it was worth at the close of every step of a run."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from . import rules

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .broker.ledger import Ledger
    from .feed import HistoryFeed

    type Floats = NDArray[np.float64]

__all__ = ["Curves", "Marks", "Notes", "Tally"]

_AT_ONCE = 1 << 15  # steps whose curves are made together: what is needed beside the result stays in the cache


class Curves(NamedTuple):
    """Equity, realised balance and exposure (signed notional over equity), one value a step, shape (n,)."""

    equity: Floats
    balance: Floats
    exposure: Floats


class Marks(Protocol):
    """How a run's curves come about."""

    def mark(self, step: int) -> None:
        """The account at the end of step number `step`, 0 for the first; the last step's can be marked again."""
        ...

    def curves(self, feed: HistoryFeed, steps: int) -> Curves:
        """The curves over the first `steps` steps of `feed`."""
        ...


class Tally:
    """Marks the account at every step as it stands."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._equity, self._balance, self._exposure = array("d"), array("d"), array("d")

    def mark(self, step: int) -> None:
        """Mark the account; see `Marks.mark`."""
        ledger = self._ledger
        equity = ledger.equity()
        for column in (self._equity, self._balance, self._exposure):
            del column[step:]
        self._equity.append(equity)
        self._balance.append(ledger.balance)
        self._exposure.append(ledger.exposure() / equity if equity > 0.0 else 0.0)

    def curves(self, feed: HistoryFeed, steps: int) -> Curves:
        """The curves; see `Marks.curves`."""
        import numpy as np

        del feed, steps  # every step was marked
        return Curves(*(np.array(column) for column in (self._equity, self._balance, self._exposure)))


class Notes:
    """Notes what the ledger holds where it may have changed, and makes the curves of that after the run.

    They are the same, to the last bit, as those of `Tally`: the same rules, over arrays of closes.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._steps = array("q")
        self._balance = array("d")
        self._held = [(held, array("d"), array("d")) for held in ledger.legs()]
        self.mark(0)

    def mark(self, step: int) -> None:
        """Note what is held from `step` on; see `Marks.mark`."""
        self._steps.append(step)
        self._balance.append(self._ledger.balance)
        for held, qty, entry in self._held:
            qty.append(held.qty)
            entry.append(held.entry if held.qty != 0.0 else 1.0)  # no price is divided by

    def curves(self, feed: HistoryFeed, steps: int) -> Curves:
        """The curves; see `Marks.curves`."""
        import numpy as np

        made = Curves(*(np.empty(steps) for _ in Curves._fields))
        closes = [feed.closes(held.market.symbol, steps) for held, _, _ in self._held]
        bounds = np.append(np.array(self._steps), steps)
        for start in range(0, steps, _AT_ONCE):
            stop = min(start + _AT_ONCE, steps)
            first, last = int(bounds.searchsorted(start, "right")) - 1, int(bounds.searchsorted(stop))
            counts = np.diff(np.clip(bounds[first : last + 1], start, stop))
            with np.errstate(
                over="ignore", invalid="ignore"
            ):  # whoever takes the curves refuses what is no number
                part = self._part(slice(first, last), counts, [close[start:stop] for close in closes])
            for whole, values in zip(made, part, strict=True):
                whole[start:stop] = values
        return made

    def _part(self, notes: slice, counts: NDArray[np.int64], closes: list[Any]) -> Curves:
        """The curves over some steps: for how many of them each of `notes` counts, the closes of each holding.

        The rules take floats; being plain arithmetic they take arrays of them as well.
        """
        import numpy as np

        balance = np.repeat(self._balance[notes], counts)
        unrealized, exposure = np.zeros_like(balance), np.zeros_like(balance)
        for (held, qties, entries), close in zip(self._held, closes, strict=True):
            qty: Any = np.repeat(qties[notes], counts)
            entry: Any = np.repeat(entries[notes], counts)
            unrealized += rules.pnl(held.kind, qty, entry, close)
            exposure += np.sign(qty) * rules.notional(held.kind, qty, close)
        equity = balance + unrealized
        share = np.divide(exposure, equity, out=np.zeros_like(equity), where=equity > 0.0)
        return Curves(equity, balance, share)
