"""OKX's v5 interface in futures mode: spot, linear and inverse contracts, options settled in coins."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...orders import Reason, Refusal
from ...routes import KEY, PASSPHRASE, Answer, Call, signature
from ...state import Habits
from . import account, market, trading
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

NAME = "okx"
HOSTS = ("okx.com", "okex.com", "okx.cab")
HABITS = Habits(cancels_post_only=True)
MODULES = (market, trading, account)
"""Their functions fill the one table of routes."""
WINDOW = 30_000
"""How old a request may be, ms."""


def wallet_of(_: Instrument) -> str:
    """A trading account is one wallet."""
    return account.WALLET


def authorise(call: Call) -> None:
    """The signature is an HMAC of time, method, path with its query, and body."""
    stamp = call.headers.get("OK-ACCESS-TIMESTAMP", "")
    if call.headers.get("OK-ACCESS-KEY") != KEY:
        raise Refusal(Reason.KEY)
    target = f"{call.path}?{call.query}" if call.query else call.path
    message = f"{stamp}{call.method}{target}{call.body}"
    if not hmac.compare_digest(signature(message), call.headers.get("OK-ACCESS-SIGN", "")):
        raise Refusal(Reason.SIGNATURE)
    if call.headers.get("OK-ACCESS-PASSPHRASE") != PASSPHRASE:
        raise Refusal(Reason.PASSPHRASE)
    try:
        sent = int(datetime.fromisoformat(stamp).timestamp() * 1000)
    except ValueError:
        raise Refusal(Reason.TIMESTAMP) from None
    if abs(call.now - sent) > WINDOW:
        raise Refusal(Reason.TIMESTAMP)


def wrap(call: Call, payload: Any) -> Answer:
    """Every answer is a list; where orders are refused one by one, the code tells whether all were."""
    failed = [isinstance(row, dict) and row.get("sCode", "0") != "0" for row in payload]
    code, message = "0", ""
    if any(failed):
        code, message = ("1", "All operations failed") if all(failed) else ("2", "Bulk operation partially failed")
    told = {"code": code, "data": payload, "msg": message}
    if call.private and call.method == "POST" and "/trade/" in call.path:
        told |= {"inTime": str(call.now * 1000), "outTime": str(call.now * 1000 + 1500)}
    return Answer(told)


def refuse(call: Call, refusal: Refusal) -> Answer:
    """A code in the envelope, beside an HTTP status that fits; a page where the request did not get so far."""
    if refusal.reason is Reason.GEO_BLOCK:
        return Answer("<html><head><title>Attention Required! | Cloudflare</title></head></html>", 403)
    status, code, message = code_of(call, refusal)
    return Answer({"code": code, "data": [], "msg": message}, status)
