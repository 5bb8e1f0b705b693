"""Binance: spot (api, sapi), USDT-margined (fapi) and coin-margined (dapi) contracts, options (eapi)."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from ...instruments import Kind
from ...orders import Reason, Refusal
from ...routes import KEY, SECRET, Answer, Call
from ...state import Habits
from . import account, market, trading, user
from .codes import code_of
from .listing import instruments
from .market import ROUTES
from .streams import SPEECH

if TYPE_CHECKING:
    from ...instruments import Instrument

__all__ = [
    "HABITS",
    "HOSTS",
    "NAME",
    "ROUTES",
    "SPEECH",
    "authorise",
    "instruments",
    "refuse",
    "wallet_of",
    "wrap",
]

NAME = "binance"
HOSTS = ("binance.com", "binance.vision", "binancefuture.com")
HABITS = Habits(keeps_id=frozenset({Kind.SPOT}))
MODULES = (market, trading, account, user)
"""Their functions fill the one table of routes."""


def wallet_of(instrument: Instrument) -> str:
    """Each kind has a wallet of its own."""
    return instrument.kind.value


def authorise(call: Call) -> None:
    """The signature is an HMAC of the query string and the body, before `&signature=`."""
    if call.headers.get("X-MBX-APIKEY") != KEY:
        raise Refusal(Reason.KEY)
    message, _, signature = (call.query + call.body).rpartition("&signature=")
    if not hmac.compare_digest(hmac.new(SECRET.encode(), message.encode(), hashlib.sha256).hexdigest(), signature):
        raise Refusal(Reason.SIGNATURE)
    sent = call.whole("timestamp", 0)
    if sent > call.now + 1000 or call.now - sent > call.whole("recvWindow", 5000):
        raise Refusal(Reason.TIMESTAMP)


def wrap(call: Call, payload: Any) -> Answer:
    """There is no envelope; the weight used so far (one a request here) stands in the headers."""
    headers = {"X-MBX-USED-WEIGHT-1M": str(call.counts[1])}
    if call.method == "POST" and call.path.endswith("rder"):
        headers |= {"X-MBX-ORDER-COUNT-10S": "1", "X-MBX-ORDER-COUNT-1M": "1"}
    return Answer(payload, headers=headers)


def refuse(call: Call, refusal: Refusal) -> Answer:
    """A code below zero and a message."""
    status, code, message = code_of(call.path, refusal)
    return Answer({"code": code, "msg": message}, status)
