"""What goes wrong at the venue, as a script: which requests, how often, in which way."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatch
from math import inf
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    HANDSHAKE = "handshake"
    """A client that dials is sent away with HTTP `status`, 503 unless told, and Retry-After of `seconds`."""
    SILENCE = "silence"
    """Nothing of this is sent for `seconds` of the venue's time, or until the rule is lifted; also no pongs."""
    DISCONNECT = "disconnect"
    """The connection ends in place of the message: with a goodbye, or `how` "reset"."""
    DUPLICATE = "duplicate"
    """The message comes twice."""
    REORDER = "reorder"
    """The message comes after the next one of its connection."""
    MALFORMED = "malformed"
    """The message is broken off midway; with `how` "shape", it is JSON with all but its first member left out."""
    DROP = "drop"
    """The message never comes."""
    SLOW = "slow"
    """The message comes `seconds` of the venue's time late, and all that follow it wait behind it."""


DONE = {Fault.LATENCY, Fault.TRUNCATED, Fault.EMPTY, Fault.REPLY_LOST, Fault.UNKNOWN}
"""The faults after which the request has had its effect."""
STREAM = (
    Fault.SILENCE, Fault.DISCONNECT, Fault.DUPLICATE, Fault.REORDER, Fault.MALFORMED, Fault.DROP, Fault.SLOW,
)  # fmt: skip
"""The faults that befall messages on websockets."""
PUBLIC = ("trades", "candle", "ticker", "quote", "book", "mark")


@dataclass
class Rule:
    """The `fault` befalls the next `times` requests of `method` to `path`, once `after` of them have passed.

    For faults of websockets, `path` is a pattern of the stream ("trades", "*") or of exchange, stream and
    instrument ("okx/book/BTC-USDT"), and what is counted are messages.
    """

    fault: Fault
    path: str = "*"
    method: str = "*"
    times: int = 1
    after: int = 0
    seconds: float = 0.0
    status: int = 0
    how: str = ""
    until: float | None = None
    """When a silence that has begun ends, ms."""

    def due(self) -> bool:
        """Count one more that matches; returns whether the fault befalls it."""
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Plan:
    """The faults to come, in the order of adding; `skew` is how far the venue's clock is ahead, ms."""

    rules: list[Rule] = field(default_factory=list[Rule])
    skew: int = 0

    @classmethod
    def random(
        cls, seed: int, count: int = 6, faults: Sequence[Fault] = STREAM, streams: Sequence[str] = PUBLIC,
        span: int = 40, seconds: float = 30.0,
    ) -> Plan:  # fmt: skip
        """A plan of `count` faults of messages, the same for the same seed.

        Args:
            seed: Whence it comes.
            count: How many faults.
            faults: Of which kinds.
            streams: What befalls them: names of streams, or patterns.
            span: How many messages of its stream pass before a fault at most.
            seconds: How long a silence or a delay lasts at most.
        """
        dice = Random(seed)
        return cls([
            Rule(
                dice.choice(faults), dice.choice(streams), times=dice.randint(1, 3), after=dice.randrange(span),
                seconds=round(dice.uniform(0.1, seconds), 1), how=dice.choice(("", "reset", "shape")),
            )
            for _ in range(count)
        ])  # fmt: skip

    def add(self, fault: Fault, path: str = "*", **terms: int | float | str) -> Rule:
        """Plan `fault` for requests or messages that match the pattern; see `Rule` for the terms."""
        rule = Rule(fault, path, **terms)  # pyright: ignore[reportArgumentType]
        self.rules.append(rule)
        return rule

    def lift(self, rule: Rule) -> None:
        """Have a rule befall nothing any more: a silence ends."""
        rule.times, rule.until = 0, None

    def take(self, method: str, path: str) -> Rule | None:
        """The rule that befalls this request, which counts as one of its times."""
        for rule in self.rules:
            if rule.fault in STREAM or rule.fault is Fault.HANDSHAKE:
                continue
            if rule.times > 0 and fnmatch(path, rule.path) and fnmatch(method, rule.method) and rule.due():
                return rule
        return None

    def take_handshake(self, path: str) -> Rule | None:
        """The rule that befalls a client that dials."""
        for rule in self.rules:
            if rule.fault is Fault.HANDSHAKE and rule.times > 0 and fnmatch(path, rule.path) and rule.due():
                return rule
        return None

    def take_message(self, stream: str, where: str, now: int, *, frame: bool = False) -> Rule | None:
        """The rule that befalls a message at `now` ms; a ping or pong (`frame`) knows silence alone."""
        for rule in self.rules:
            if rule.fault not in STREAM or not (fnmatch(stream, rule.path) or fnmatch(where, rule.path)):
                continue
            if rule.until is not None:
                if now < rule.until:
                    return rule
                rule.until = None
            if rule.times > 0 and (rule.fault is Fault.SILENCE or not frame) and rule.due():
                if rule.fault is Fault.SILENCE:
                    rule.until = now + rule.seconds * 1000 if rule.seconds else inf
                return rule
        return None
