"""KuCoin's classic interface: spot with high-frequency accounts, and contracts at a host of their own."""

from __future__ import annotations

from typing import Any

from ...instruments import Kind
from ...orders import Reason, Refusal
from ...routes import Answer, Call
from ...state import Habits
from . import account, contracts, market, signing, spot
from .codes import code_of
from .listing import instruments, wallet_of
from .market import ROUTES
from .signing import authorise
from .streams import SPEECH

__all__ = [
    "HABITS", "HOSTS", "NAME", "ROUTES", "SPEECH", "authorise", "instruments", "refuse", "wallet_of", "wrap",
]  # fmt: skip

NAME = "kucoin"
HOSTS = ("kucoin.com", "kucoin.eu")
HABITS = Habits(
    fee_in_quote=True, keeps_id=frozenset({Kind.LINEAR, Kind.INVERSE}), cancels_post_only=True,
    client_ids_are_spent=True, self_trades=True, isolated_at_first=True,
)  # fmt: skip
MODULES = (market, spot, contracts, account, signing)
"""Their functions fill the one table of routes."""


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
