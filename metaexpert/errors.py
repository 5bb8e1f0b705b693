"""The error tree, cut by what the caller can do about it.

MetaExpertError
├── ConfigError          a setting, name or file is wrong: mend it and start again
├── DataError            candles are missing or unsound: import or download them
├── JournalError         the record of a run can't be read or kept: mend the file or the disk
├── StrategyError        the expert's own code failed or called the library wrongly: mend the expert
└── ExchangeError        the exchange said no
    ├── RequestError     it can't be done as asked: mend the request
    ├── OrderRejected    nothing was traded: mend the order
    │   └── InsufficientFunds
    ├── OrderNotFound    it knows no such order
    ├── UnprotectedError the order stands, its stop or target does not: protect its position or close it
    ├── UnavailableError nothing was done: try again later, after `retry_after` seconds where it says so
    ├── ClockError       nothing was done: this computer's clock is off; measure the difference and send again
    ├── AuthenticationError   mend the keys or their rights
    ├── AccessDenied     it serves nobody from here, or this account no more: stop
    └── NetworkError     outcome unknown: look it up before doing anything else; a read may be repeated

Every message is one line that says what is wrong, where, and what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "AccessDenied",
    "AuthenticationError",
    "ClockError",
    "ConfigError",
    "DataError",
    "ExchangeError",
    "InsufficientFunds",
    "JournalError",
    "MetaExpertError",
    "NetworkError",
    "OrderNotFound",
    "OrderRejected",
    "RequestError",
    "StrategyError",
    "UnavailableError",
    "UnprotectedError",
    "did_you_mean",
]


class MetaExpertError(Exception):
    """Base of every error that this library raises on purpose."""


class ConfigError(MetaExpertError):
    """A setting, name or file is wrong: mend it and start again."""


class DataError(MetaExpertError):
    """Candles are missing or unsound: import or download them."""


class JournalError(MetaExpertError):
    """The record of a run can't be read or kept: mend the file or the disk. No run goes on without it."""


class StrategyError(MetaExpertError):
    """The expert's own code failed, or called the library wrongly: mend the expert."""


class ExchangeError(MetaExpertError):
    """The exchange said no."""


class RequestError(ExchangeError):
    """It can't be done as asked, and nothing was: mend the request."""


class OrderRejected(ExchangeError):
    """The order was refused and nothing was traded: mend the order.

    Args:
        message: what happened.
        reason: why, as a stable code: that of `Rejection.reason`, such as ``"post_only_would_cross"``.
    """

    def __init__(self, message: str, reason: str = "rejected") -> None:
        super().__init__(message)
        self.reason = reason


class InsufficientFunds(OrderRejected):
    """The account can't carry the order: make it smaller or add funds."""

    def __init__(self, message: str, reason: str = "insufficient_margin") -> None:
        super().__init__(message, reason)


class OrderNotFound(ExchangeError):
    """The exchange knows no such order."""


class UnprotectedError(ExchangeError):
    """The order stands, and a stop or target that belongs to it does not: protect the position or close it."""


class UnavailableError(ExchangeError):
    """Nothing was done, for now: a limit of requests, maintenance or overload. Try again later.

    Args:
        message: what happened.
        retry_after: seconds that the exchange asks to wait, None where it says nothing.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClockError(ExchangeError):
    """Nothing was done, because this computer's clock differs: measure the difference and send it again."""


class AuthenticationError(ExchangeError):
    """The keys are wrong or lack the right: mend the keys."""


class AccessDenied(ExchangeError):
    """The exchange serves nobody from here, or this account no more: stop."""


class NetworkError(ExchangeError):
    """No certain answer came: look the outcome up before doing anything else."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of `known`, or the list of all when none is near.

    The comparison ignores case. Lists of more than 12 names are not spelled out.
    """
    names = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {names[near[0]]!r}?"
    if 0 < len(names) <= 12:
        return f"; use one of {', '.join(sorted(names.values()))}"
    return ""
