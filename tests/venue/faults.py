"""What goes wrong at the venue, as a script: which requests, how often, in which way."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatch


class Fault(StrEnum):
    """One way to go wrong."""

    LATENCY = "latency"
    """The answer comes `seconds` late."""
    RATE_LIMIT = "rate limit"
    """HTTP 429 with Retry-After of `seconds`; nothing is done."""
    BAN = "ban"
    """HTTP 418 (binance) or its like, with Retry-After."""
    SERVER_ERROR = "server error"
    """HTTP `status`, 503 unless told, without JSON; nothing is done."""
    HTML = "html"
    """HTTP 200 with a page of HTML; nothing is done."""
    TRUNCATED = "truncated"
    """The request is done, its answer breaks off midway."""
    EMPTY = "empty"
    """The request is done, its answer is HTTP 200 without a body."""
    REPLY_LOST = "reply lost"
    """The request is done, then the connection is reset."""
    RESET = "reset"
    """The connection is reset before anything is done."""
    MAINTENANCE = "maintenance"
    """The exchange's own code for it; nothing is done."""
    OVERLOAD = "overload"
    """The exchange's own code for too much to do; nothing is done."""
    UNKNOWN = "unknown"
    """The exchange's own code for an outcome that it can't tell; the request is done."""
    GEO_BLOCK = "geo block"
    """HTTP 451, or `status`, with the exchange's words; nothing is done."""
    DENIED = "denied"
    """The exchange's own code for a right that the key lacks; nothing is done."""


DONE = {Fault.LATENCY, Fault.TRUNCATED, Fault.EMPTY, Fault.REPLY_LOST, Fault.UNKNOWN}
"""The faults after which the request has had its effect."""


@dataclass
class Rule:
    """The `fault` befalls the next `times` requests of `method` to `path`, once `after` of them have passed."""

    fault: Fault
    path: str = "*"
    method: str = "*"
    times: int = 1
    after: int = 0
    seconds: float = 0.0
    status: int = 0


@dataclass
class Plan:
    """The faults to come, in the order of adding; `skew` is how far the venue's clock is ahead, ms."""

    rules: list[Rule] = field(default_factory=list[Rule])
    skew: int = 0

    def add(self, fault: Fault, path: str = "*", **terms: int | float | str) -> Rule:
        """Plan `fault` for requests whose path matches the pattern; see `Rule` for the terms."""
        rule = Rule(fault, path, **terms)  # pyright: ignore[reportArgumentType]
        self.rules.append(rule)
        return rule

    def take(self, method: str, path: str) -> Rule | None:
        """The rule that befalls this request, which counts as one of its times."""
        for rule in self.rules:
            if rule.times > 0 and fnmatch(path, rule.path) and fnmatch(method, rule.method):
                if rule.after > 0:
                    rule.after -= 1
                    continue
                rule.times -= 1
                return rule
        return None
