"""The rate limit of an exchange, shared by all who use one account from this process.

CCXT limits each of its clients by itself, so two of them would send twice what the exchange allows. Here a budget
belongs to the account: it is the one thing in this package that lives in a module, because it is a fact of the
process and not of an expert.
"""

from __future__ import annotations

from contextvars import ContextVar
from threading import Lock
from weakref import WeakValueDictionary

__all__ = ["URGENT", "Budget", "budget_of"]

URGENT: ContextVar[bool] = ContextVar("URGENT", default=False)
"""Is what is asked for now an order, a change or a cancellation, which no read may hold up?"""


class Budget:
    """A leaky bucket without a clock of its own; safe to share between threads.

    Args:
        burst: seconds of requests that may go out at once after a pause.
    """

    def __init__(self, burst: float = 0.5) -> None:
        self._burst = burst
        self._paid_until = self._urgent_until = float("-inf")
        self._closed_until = float("-inf")
        self._lock = Lock()

    def reserve(self, now: float, cost: float, *, is_urgent: bool = False) -> float:
        """Take room for one request and return how many seconds it must wait.

        Args:
            now: a monotonic time in seconds.
            cost: how many seconds of the limit the request takes.
            is_urgent: it waits for other urgent ones alone, and all others wait longer for it.
        """
        with self._lock:
            start = max(self._paid_until, now - self._burst)
            self._paid_until = start + cost
            if is_urgent:
                start = max(self._urgent_until, now - self._burst)
                self._urgent_until = start + cost
            return max(0.0, start - now, self._closed_until - now)

    def closed(self, now: float) -> float:
        """For how many seconds yet the exchange has said that nothing may go out."""
        with self._lock:
            return max(0.0, self._closed_until - now)

    def close_until(self, time: float) -> None:
        """Let nothing out before `time`: the exchange said so."""
        with self._lock:
            self._closed_until = max(self._closed_until, time)


_BUDGETS: WeakValueDictionary[tuple[str, ...], Budget] = WeakValueDictionary()
_LOCK = Lock()


def budget_of(*account: str) -> Budget:
    """The one budget of an account in this process, named by anything that tells accounts apart."""
    with _LOCK:
        found = _BUDGETS.get(account)
        if found is None:
            found = _BUDGETS[account] = Budget()
        return found
