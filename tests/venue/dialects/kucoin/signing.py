"""How KuCoin knows who asks: the signature of a request, and the tokens with which websockets are dialled."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from ...instruments import DAY
from ...orders import Reason, Refusal
from ...routes import KEY, PASSPHRASE, SECRET, signature
from .codes import is_contracts
from .market import ROUTES

if TYPE_CHECKING:
    from ...routes import Call
    from ...state import State

WINDOW = 5_000
"""How old a request may be, ms."""
PING = 18_000
"""How often a client is to ping, ms."""


def authorise(call: Call) -> None:
    """The signature is an HMAC of time, method, path with its query, and body; the passphrase is one too."""
    stamp = call.headers.get("KC-API-TIMESTAMP", "")
    if call.headers.get("KC-API-KEY") != KEY:
        raise Refusal(Reason.KEY)
    if not stamp.isdigit() or abs(call.now - int(stamp)) > WINDOW:
        raise Refusal(Reason.TIMESTAMP)
    target = f"{call.path}?{call.query}" if call.query else call.path
    message = f"{stamp}{call.method}{target}{call.body}"
    if not hmac.compare_digest(signature(message), call.headers.get("KC-API-SIGN", "")):
        raise Refusal(Reason.SIGNATURE)
    if not hmac.compare_digest(signature(PASSPHRASE), call.headers.get("KC-API-PASSPHRASE", "")):
        raise Refusal(Reason.PASSPHRASE)
    if call.state.addresses and call.state.address not in call.state.addresses:
        raise Refusal(Reason.ADDRESS, call.state.address)


@ROUTES.on("POST", "/api/v1/bullet-public")
def bullet_public(call: Call) -> Any:
    """A token, and where to dial with it."""
    return _bullet(call, "public")


@ROUTES.on("POST", "/api/v1/bullet-private")
def bullet_private(call: Call) -> Any:
    """The same for the streams of an account; a key that may only read is enough."""
    authorise(call)
    return _bullet(call, "private")


@ROUTES.on("POST", "/api/v2/bullet-private")
def bullet_unified(call: Call) -> Any:
    """A token alone, for the streams of a unified account."""
    authorise(call)
    return {"token": _token(call, "unified")}


def _bullet(call: Call, access: str) -> dict[str, Any]:
    place = "futures" if is_contracts(call) else "spot"
    return {
        "token": _token(call, f"{access} {place}"),
        "instanceServers": [{
            "endpoint": f"wss://ws-api-{place}.kucoin.com/", "encrypt": True, "protocol": "websocket",
            "pingInterval": PING, "pingTimeout": 10_000,
        }],
    }  # fmt: skip


def _token(call: Call, access: str) -> str:
    token = hmac.new(SECRET.encode(), f"{access} {call.now}".encode(), hashlib.sha256).hexdigest()
    call.state.settings[f"token {token}"] = f"{access} {call.now + DAY}"
    return token


def access_of(state: State, token: str) -> str:
    """What a token opens, such as "private spot"; nothing if it is unknown or a day old."""
    access, _, ends = state.settings.get(f"token {token}", " 0").rpartition(" ")
    return access if int(ends) > state.now() else ""
