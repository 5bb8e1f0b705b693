"""Bitget's v2 interface with a classic account: spot, and contracts of three product types with a wallet each."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from ...orders import Reason, Refusal
from ...routes import KEY, PASSPHRASE, Answer, Call, signature
from ...state import Habits
from . import account, contracts, market, spot
from .codes import code_of
from .listing import instruments, product_of
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

NAME = "bitget"
HOSTS = ("bitget.com",)
HABITS = Habits(cancels_post_only=True, client_ids_are_spent=True, self_trades=True)
MODULES = (market, spot, contracts, account)
"""Their functions fill the one table of routes."""
WINDOW = 30_000
"""How old a request may be, ms."""


def wallet_of(item: Instrument) -> str:
    """Spot has a wallet, and each product type."""
    return product_of(item)


def authorise(call: Call) -> None:
    """The signature is an HMAC of time, method, path with its query, and body."""
    stamp = call.headers.get("ACCESS-TIMESTAMP", "")
    if call.headers.get("ACCESS-KEY") != KEY:
        raise Refusal(Reason.KEY)
    if not stamp.isdigit() or abs(call.now - int(stamp)) > WINDOW:
        raise Refusal(Reason.TIMESTAMP)
    target = f"{call.path}?{call.query}" if call.query else call.path
    message = f"{stamp}{call.method}{target}{call.body}"
    if not hmac.compare_digest(signature(message), call.headers.get("ACCESS-SIGN", "")):
        raise Refusal(Reason.SIGNATURE)
    if call.headers.get("ACCESS-PASSPHRASE") != PASSPHRASE:
        raise Refusal(Reason.PASSPHRASE)


def wrap(call: Call, payload: Any) -> Answer:
    """Every answer has the same envelope."""
    return Answer({"code": "00000", "msg": "success", "requestTime": call.now, "data": payload})


def refuse(call: Call, refusal: Refusal) -> Answer:
    """A code in the envelope, and HTTP 400 where nothing else fits."""
    if refusal.reason is Reason.GEO_BLOCK:
        return Answer("<html><head><title>Access denied | Cloudflare</title></head></html>", 403)
    status, code, message = code_of(call, refusal)
    return Answer({"code": code, "msg": message, "requestTime": call.now, "data": None}, status)
