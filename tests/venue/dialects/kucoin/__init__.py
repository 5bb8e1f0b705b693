"""KuCoin's classic interface: spot with high-frequency accounts, and contracts at a host of their own."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from ...instruments import Kind
from ...orders import Reason, Refusal
from ...routes import KEY, PASSPHRASE, SECRET, Answer, Call
from ...state import Habits
from . import account, contracts, market, spot
from .codes import code_of
from .listing import instruments, wallet_of
from .market import ROUTES

__all__ = ["HABITS", "HOSTS", "NAME", "ROUTES", "authorise", "instruments", "refuse", "wallet_of", "wrap"]

NAME = "kucoin"
HOSTS = ("kucoin.com", "kucoin.eu")
HABITS = Habits(
    fee_in_quote=True, keeps_id=frozenset({Kind.LINEAR, Kind.INVERSE}), cancels_post_only=True,
    client_ids_are_spent=True,
)  # fmt: skip
MODULES = (market, spot, contracts, account)
"""Their functions fill the one table of routes."""
WINDOW = 5_000
"""How old a request may be, ms."""


def authorise(call: Call) -> None:
    """The signature is an HMAC of time, method, path with its query, and body; the passphrase is one too."""
    stamp = call.headers.get("KC-API-TIMESTAMP", "")
    if call.headers.get("KC-API-KEY") != KEY:
        raise Refusal(Reason.KEY)
    if not stamp.isdigit() or abs(call.now - int(stamp)) > WINDOW:
        raise Refusal(Reason.TIMESTAMP)
    target = f"{call.path}?{call.query}" if call.query else call.path
    if not hmac.compare_digest(
        _signed(f"{stamp}{call.method}{target}{call.body}"), call.headers.get("KC-API-SIGN", "")
    ):
        raise Refusal(Reason.SIGNATURE)
    if not hmac.compare_digest(_signed(PASSPHRASE), call.headers.get("KC-API-PASSPHRASE", "")):
        raise Refusal(Reason.PASSPHRASE)


def _signed(message: str) -> str:
    return base64.b64encode(hmac.new(SECRET.encode(), message.encode(), hashlib.sha256).digest()).decode()


def wrap(call: Call, payload: Any) -> Answer:
    """Every answer has the same envelope; what remains of the rate limit stands in the headers of private ones."""
    headers = _limits(max(4000 - call.counts[1], 0)) if call.private else {}
    return Answer({"code": "200000", "data": payload}, headers=headers)


def refuse(call: Call, refusal: Refusal) -> Answer:
    """A code in the envelope; most refusals of orders come with HTTP 200."""
    status, code, message = code_of(call, refusal)
    headers = {}
    if refusal.reason is Reason.RATE_LIMIT:
        headers = _limits(0, int(float(refusal.what or 0) * 1000))
    return Answer({"code": code, "msg": message}, status, headers)


def _limits(left: int, reset: int = 30_000) -> dict[str, str]:
    return {"gw-ratelimit-limit": "4000", "gw-ratelimit-remaining": str(left), "gw-ratelimit-reset": str(reset)}
