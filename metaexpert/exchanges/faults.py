"""What went wrong at an exchange, in our words: CCXT's errors and the exchanges' own codes -> the error tree.

Our classes say what to do next, so two questions decide: was something done, and was it a read, an order or a
setting? Where the answer is not certain it is `NetworkError`: look the outcome up.

CCXT files some codes wrongly or not at all; `_CODES` comes first, then those of `refusals`, then CCXT's class. Its
texts hold whole URLs with signatures, so nothing of them is passed on but the exchange's own sentence.
"""

from __future__ import annotations

import json
import math
import re
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..errors import (
    AccessDenied,
    AuthenticationError,
    ClockError,
    ConfigError,
    ExchangeError,
    InsufficientFunds,
    MetaExpertError,
    NetworkError,
    OrderNotFound,
    OrderRejected,
    RequestError,
    UnavailableError,
)
from .refusals import FUNDS, REJECTED, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .venues import Venue

__all__ = ["Aim", "Answer", "Fault", "answer_of", "fault_of", "translate"]

_LONGEST = 200  # characters of the exchange's own text
_LONGEST_BAN = 3 * 86_400.0  # seconds, of the exchanges that we speak to
_PAUSE = 300.0  # what is waited where more than that is asked for
_BANS = (418, 429)
_BLOCKS = (403, 451)


class Aim(Enum):
    """What a request was for; a stream is watched."""

    READ = "read"
    WATCH = "watch"
    ORDER = "order"
    SETTING = "setting"


class Answer(NamedTuple):
    """What came back beside the error: the HTTP status, the headers and the text."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def retry_after(self) -> float | None:
        """The seconds of the header Retry-After: None where it is absent or a date, five minutes where absurd."""
        value = next((text for name, text in self.headers.items() if name.lower() == "retry-after"), "")
        try:
            seconds = float(value)
        except ValueError:
            return None
        if math.isnan(seconds):
            return None
        return max(0.0, seconds) if seconds <= _LONGEST_BAN else _PAUSE


class Fault(Enum):
    """What happened."""

    REFUSED = "refused"  # as asked it can't be done
    REJECTED = "rejected"  # the order can't be taken
    FUNDS = "not enough funds"
    NOT_FOUND = "no such order"
    TWICE = "the client order id is taken"  # so an earlier try may have arrived
    LIMITED = "too many requests"
    DOWN = "not available"  # and nothing was done
    CLOCK = "the clock differs"
    KEYS = "the keys or their rights"
    BARRED = "barred"
    CHANGED = "nothing to change"  # a setting is as it was asked for
    SETUP = "our own setup"
    UNSURE = "no certain answer"
    OTHER = "another refusal"


_CLASSES = {
    "BaseError": Fault.UNSURE,
    "ExchangeError": Fault.OTHER,
    "AuthenticationError": Fault.KEYS,
    "PermissionDenied": Fault.KEYS,
    "AccountNotEnabled": Fault.KEYS,
    "AccountSuspended": Fault.BARRED,
    "ArgumentsRequired": Fault.REFUSED,
    "BadRequest": Fault.REFUSED,
    "BadSymbol": Fault.REFUSED,
    "OperationRejected": Fault.REFUSED,
    "NoChange": Fault.CHANGED,
    "MarginModeAlreadySet": Fault.CHANGED,
    "MarketClosed": Fault.REJECTED,
    "ManualInteractionNeeded": Fault.BARRED,
    "RestrictedLocation": Fault.BARRED,
    "InsufficientFunds": Fault.FUNDS,
    "InvalidAddress": Fault.REFUSED,
    "AddressPending": Fault.REFUSED,
    "InvalidOrder": Fault.REJECTED,
    "OrderNotFound": Fault.NOT_FOUND,
    "OrderNotCached": Fault.NOT_FOUND,
    "OrderImmediatelyFillable": Fault.REJECTED,
    "OrderNotFillable": Fault.REJECTED,
    "DuplicateOrderId": Fault.TWICE,
    "ContractUnavailable": Fault.REJECTED,
    "NotSupported": Fault.REFUSED,
    "InvalidProxySettings": Fault.SETUP,
    "ExchangeClosedByUser": Fault.UNSURE,
    "OperationFailed": Fault.UNSURE,
    "NetworkError": Fault.UNSURE,
    "DDoSProtection": Fault.LIMITED,
    "RateLimitExceeded": Fault.LIMITED,
    "ExchangeNotAvailable": Fault.UNSURE,
    "OnMaintenance": Fault.DOWN,
    "InvalidNonce": Fault.CLOCK,
    "ChecksumError": Fault.UNSURE,
    "RequestTimeout": Fault.UNSURE,
    "BadResponse": Fault.UNSURE,
    "NullResponse": Fault.UNSURE,
    "CancelPending": Fault.UNSURE,
    "UnsubscribeError": Fault.UNSURE,
}
"""CCXT's error tree by name; a test holds it against the installed CCXT."""


def _codes(**faults: str) -> dict[str, Fault]:
    return {code: Fault[name.upper()] for name, codes in faults.items() for code in codes.split()}


_CODES: Mapping[str, Mapping[str, Fault]] = {
    "binance": _codes(
        unsure="-1000 -1001 -1006 -1007",
        down="-1008",
        limited="-1003 -1015 -1034",
        clock="-1021",
        keys="-1002 -1022 -2014 -2015",
        not_found="-2011 -2013",
        twice="-4111 -4116",
        changed="-4046 -4059",
    ),
    "bybit": _codes(
        unsure="10000 10016",
        limited="10006 10018 10429",
        clock="10002",
        keys="10003 10004 10005 10007 10010 33004",
        barred="10008 10009 10024 10027",
        not_found="110001 170213",
        twice="110072 170141",
        changed="110025 110026 110043",
    ),
    "okx": _codes(
        unsure="50004 50026",
        down="50001 50013",
        limited="50011 50040 50061",
        clock="50102 50112",
        keys="50100 50101 50103 50104 50105 50110 50111 50113 50114 50120",
        not_found="51400 51401 51402 51503 51603",
        twice="51016",
    ),
    "bitget": _codes(
        unsure="40010 40015 40725 45001",
        down="40200",
        limited="429",
        clock="40005 40008",
        keys="40001 40002 40003 40006 40009 40011 40012 40014 40018 40037",
        not_found="40109 43001 40768",
        twice="40786 45034",
    ),
    "kucoin": _codes(
        unsure="500000 408000",
        limited="429000 1015",
        clock="400002",
        keys="400001 400003 400004 400005 400006 400007",
        barred="400500",
        twice="126044",
    ),
}
_SENTENCES: Mapping[tuple[str, str], tuple[tuple[str, Fault], ...]] = {
    ("binance", "-2010"): (("Duplicate", Fault.TWICE),),
    ("kucoin", "100001"): (("order", Fault.NOT_FOUND), ("", Fault.REFUSED)),
    ("kucoin", "100004"): (("cancel", Fault.NOT_FOUND), ("", Fault.REFUSED)),
    ("kucoin", "400100"): (("not exist", Fault.NOT_FOUND), ("not_exist", Fault.NOT_FOUND), ("", Fault.REFUSED)),
}
"""Codes that mean several things: the sentence beside them decides, "" is any."""


def answer_of(error: BaseException) -> Answer | None:
    """What the exchange sent with the error, where our client kept it."""
    found = getattr(error, "answer", None)
    return found if isinstance(found, Answer) else None


def fault_of(error: BaseException, exchange: str) -> Fault:
    """What happened, from the exchange's code, the HTTP status and CCXT's class, in this order."""
    answer = answer_of(error)
    code, sentence = _said(answer.text if answer else str(error))
    told = _coded(exchange, code, sentence)
    if told is not None:
        return told
    if answer is not None and answer.status in _BANS:
        return Fault.LIMITED
    if answer is not None and answer.status in _BLOCKS and code in ("", "0"):
        return Fault.BARRED
    if answer is None and type(error.__cause__).__module__.startswith("aiohttp"):
        return Fault.UNSURE  # the connection broke, in the middle of an answer too, where CCXT says ExchangeError
    named = (_CLASSES.get(one.__name__) for one in type(error).__mro__)
    return next((fault for fault in named if fault is not None), Fault.UNSURE)


def _coded(exchange: str, code: str, sentence: str) -> Fault | None:
    """What the exchange's own code says; None of one that is not known."""
    for words, fault in _SENTENCES.get((exchange, code), ()):
        if words.lower() in sentence.lower():
            return fault
    reason = reason_of(exchange, code, sentence)
    refused = None if reason is None else Fault.FUNDS if reason == FUNDS else Fault.REJECTED
    return _CODES[exchange].get(code, refused)


def translate(
    error: BaseException, venue: Venue, aim: Aim, doing: str, secrets: Iterable[str] = ()
) -> MetaExpertError:
    """The error to raise instead of `error`, in one line.

    Args:
        error: what CCXT raised.
        venue: where.
        aim: what the request was for.
        doing: what was tried, as a message says it: ``"fetch the balance"``.
        secrets: texts that must not be shown, whoever said them.
    """
    fault, answer = fault_of(error, venue.id), answer_of(error)
    made, advice = _meaning(fault, aim, venue)
    hidden = tuple(secrets)
    told = _redacted(f"{venue.name}: could not {doing}: {_reason(error, answer, fault, aim, hidden)}", hidden)
    message = f"{told}; {advice}" if advice else told
    if made is UnavailableError:
        return UnavailableError(message, answer.retry_after if answer else None)
    if made is OrderRejected:
        reason = reason_of(venue.id, *_said(answer.text if answer else str(error)))
        return OrderRejected(message, reason or REJECTED)
    return made(message)


def _meaning(fault: Fault, aim: Aim, venue: Venue) -> tuple[type[MetaExpertError], str]:
    """The class that says what to do, and the same in words."""
    keys = f"mend the API key of {venue.name} or its rights"
    order = aim is Aim.ORDER
    table: dict[Fault, tuple[type[MetaExpertError], str]] = {
        Fault.REFUSED: (OrderRejected, "") if order else (RequestError, ""),
        Fault.CHANGED: (RequestError, ""),
        Fault.REJECTED: (OrderRejected, "") if order else (RequestError, ""),
        Fault.FUNDS: (InsufficientFunds, "make it smaller or add funds"),
        Fault.NOT_FOUND: (OrderNotFound, ""),
        Fault.TWICE: (NetworkError, "an earlier try may have arrived: look the order up"),
        Fault.LIMITED: (UnavailableError, "nothing was done; try again later"),
        Fault.DOWN: (UnavailableError, "nothing was done; try again later"),
        Fault.CLOCK: (ClockError, "set this computer's clock (it should follow a time server)"),
        Fault.KEYS: (AuthenticationError, keys),
        Fault.BARRED: (AccessDenied, "stop: it serves nobody from here, or this account no more"),
        Fault.SETUP: (ConfigError, "mend the proxy settings"),
    }
    if fault in table:
        return table[fault]
    if aim in (Aim.ORDER, Aim.SETTING):
        return NetworkError, "whether it was done is not known: look it up"
    is_refused = fault is Fault.OTHER and aim is Aim.READ  # of a stream CCXT says so of its own troubles, too
    return (ExchangeError, "") if is_refused else (NetworkError, "try again")


def _reason(error: BaseException, answer: Answer | None, fault: Fault, aim: Aim, secrets: tuple[str, ...]) -> str:
    code, sentence = _said(answer.text if answer else "")
    sentence = _plain(sentence, secrets)
    if code or sentence:
        said = " ".join(part for part in (sentence, f"(code {code})" if code else "") if part)
        return f"{fault.value}: {said}"
    status = f"HTTP {answer.status}" if answer else ""
    if answer is not None and answer.text.lstrip().startswith("<"):
        return f"{fault.value}: it answered with a web page instead of data, {status}"
    if answer is not None:
        what = "an empty answer" if not answer.text.strip() else "an answer that is no whole JSON"
        return f"{fault.value}: {what}, {status}"
    if aim in (Aim.READ, Aim.WATCH) and type(error.__cause__).__name__.startswith("ClientConnector"):
        return f"it can't be reached from here, is there a network or a proxy? ({_bare(error, secrets)})"
    return f"{fault.value}: {_bare(error, secrets)}"


def _said(text: str) -> tuple[str, str]:
    """The exchange's own code and sentence in its answer; "" where there are none."""
    start = text.find("{")
    try:
        found: Any = json.loads(text[start:]) if start >= 0 else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return "", ""
    told = cast("dict[str, Any]", found)
    data: Any = told.get("data")
    rows = cast("dict[str, Any]", data).get("failureList") if isinstance(data, dict) else data
    row = cast("list[Any]", rows)[0] if isinstance(rows, list) and rows else None
    first = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
    if first.get("sCode", "0") != "0" or first.get("errorCode"):
        told = first  # here OKX and Bitget say what became of the order
    codes, sentences = ("sCode", "errorCode", "retCode", "code"), ("sMsg", "errorMsg", "retMsg", "msg", "message")
    code = next((str(told[name]) for name in codes if told.get(name) is not None), "")
    return code, next((str(told[name]) for name in sentences if told.get(name)), "")


def _bare(error: BaseException, secrets: tuple[str, ...]) -> str:
    """The kind of a failure that no exchange told of, and what of its text is no address."""
    cause = error.__cause__
    kind = type(cause or error).__name__
    words = re.sub(r"\S*(://|[?&=])\S*", "", str(error))
    return _plain(f"{kind} {words}" if cause is None else kind, secrets)


def _plain(text: str, secrets: tuple[str, ...]) -> str:
    line = " ".join(re.sub(r"https?://\S+", "", _redacted(text, secrets)).split())  # before a cut halves a secret
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _redacted(text: str, secrets: tuple[str, ...]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
