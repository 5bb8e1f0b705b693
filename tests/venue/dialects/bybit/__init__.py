"""Bybit's v5 interface with a unified account: spot, linear, inverse, options."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from ...instruments import Kind
from ...orders import Reason, Refusal
from ...routes import KEY, SECRET, Answer, Call
from ...state import Habits
from . import account, market, trading
from .codes import code_of
from .listing import instruments
from .market import ROUTES
from .streams import SPEECH

if TYPE_CHECKING:
    from ...instruments import Instrument

__all__ = [
    "HABITS", "HOSTS", "NAME", "ROUTES", "SPEECH", "authorise", "instruments", "refuse", "wallet_of", "wrap",
]  # fmt: skip

NAME = "bybit"
HOSTS = ("bybit.com", "bytick.com", "bybit.eu", "bybit.nl")
HABITS = Habits(
    keeps_id=frozenset(Kind),
    cancels_post_only=True,
    client_ids_are_spent=True,
    self_trades=True,
    exits_of_positions=True,
)
MODULES = (market, trading, account)
"""Their functions fill the one table of routes."""


def wallet_of(_: Instrument) -> str:
    """A unified account is one wallet."""
    return "unified"


def authorise(call: Call) -> None:
    """The signature is an HMAC of timestamp, key, window and what was sent."""
    key, stamp = call.headers.get("X-BAPI-API-KEY", ""), call.headers.get("X-BAPI-TIMESTAMP", "0")
    if key != KEY:
        raise Refusal(Reason.KEY)
    window = call.headers.get("X-BAPI-RECV-WINDOW", "5000")
    message = f"{stamp}{key}{window}{call.body if call.method == 'POST' else call.query}"
    signature = hmac.new(SECRET.encode(), message.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature, call.headers.get("X-BAPI-SIGN", "")):
        raise Refusal(Reason.SIGNATURE)
    if not call.now - int(window) <= int(stamp) < call.now + 1000:
        raise Refusal(
            Reason.TIMESTAMP, f"req_timestamp[{stamp}],server_timestamp[{call.now}],recv_window[{window}]"
        )


def wrap(call: Call, payload: Any) -> Answer:
    """Every answer has the same envelope; what remains of the rate limit stands in the headers of private ones."""
    extra = payload.pop("retExtInfo", {})
    told = {"retCode": 0, "retMsg": "OK", "result": payload, "retExtInfo": extra, "time": call.now}
    return Answer(told, headers=_limits(call, max(50 - call.counts[0], 0)) if call.private else {})


def refuse(call: Call, refusal: Refusal) -> Answer:
    """A code in the envelope; HTTP says something only where the request did not reach Bybit's own code."""
    if refusal.reason is Reason.PATH:
        return Answer("404 page not found", 404)
    if refusal.reason is Reason.GEO_BLOCK:
        page = "The Amazon CloudFront distribution is configured to block access from your country."
        return Answer(f"<html><body>{page}</body></html>", 403)
    status, code, message = code_of(call, refusal)
    told = {"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}, "time": call.now}
    if refusal.reason is not Reason.RATE_LIMIT:
        return Answer(told, status)
    return Answer(told, status, _limits(call, 0, int(float(refusal.what or 0) * 1000)))


def _limits(call: Call, left: int, wait: int = 0) -> dict[str, str]:
    return {
        "X-Bapi-Limit": "50", "X-Bapi-Limit-Status": str(left),
        "X-Bapi-Limit-Reset-Timestamp": str(call.now + wait),
    }  # fmt: skip
