"""What a dialect is made of: a table of requests, and how its exchange signs, wraps and refuses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl

from .orders import Reason, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .instruments import Instrument
    from .state import Habits, State
    from .streams import Speech

    type Handler = Callable[["Call"], Any]

KEY = "venueKey0123456789"
SECRET = "venueSecret0123456789"
PASSPHRASE = "venuePassphrase"
"""The credentials that the venue knows, on every exchange."""


def signature(message: str) -> str:
    """The HMAC of a message by the secret, as OKX, Bitget and KuCoin write it."""
    return base64.b64encode(hmac.new(SECRET.encode(), message.encode(), hashlib.sha256).digest()).decode()


@dataclass
class Call:
    """One request, as a dialect's functions see it."""

    state: State
    method: str
    host: str
    path: str
    query: str
    body: str
    headers: Mapping[str, str]
    now: int
    args: dict[str, Any] = field(default_factory=dict[str, Any])
    private: bool = False
    counts: tuple[int, int] = (0, 0)
    """The requests of this second and of this minute, this one included."""

    def __post_init__(self) -> None:
        """Read the parameters of the query and the body, whether a form or JSON, into `args`."""
        self.args |= dict(parse_qsl(self.query, keep_blank_values=True))
        if self.body[:1] in {"{", "["}:
            told = json.loads(self.body)
            self.args |= told if isinstance(told, dict) else {"list": told}
        else:
            self.args |= dict(parse_qsl(self.body, keep_blank_values=True))

    def need(self, name: str) -> str:
        """A parameter that the exchange demands."""
        value = self.args.get(name)
        if value is None or value == "":
            raise Refusal(Reason.PARAMETER, name)
        return str(value)

    def get(self, name: str, default: str = "") -> str:
        """A parameter that may be absent."""
        value = self.args.get(name)
        return default if value is None else str(value)

    def rows(self, name: str, default: int, most: int) -> int:
        """How many fills a page has: what the parameter asks for, no more than there may be."""
        return min(self.whole(name, default), most, self.state.page or most)

    def within(self, begin: str, end: str, widest: int) -> tuple[int, int]:
        """A span of time, whose end follows from its beginning where it is not told; refused if too wide."""
        start = self.whole(begin, 0)
        until = self.whole(end, min(start + widest, self.now) if start else self.now)
        if start and until - start > widest:
            raise Refusal(Reason.PARAMETER, f"{begin} and {end}: the span is too wide")
        return start, until

    def whole(self, name: str, default: int) -> int:
        """A whole number that may be absent."""
        value = self.get(name)
        try:
            return int(value) if value else default
        except ValueError:
            raise Refusal(Reason.PARAMETER, name) from None


@dataclass
class Answer:
    """What goes back."""

    payload: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def body(self) -> str:
        """The payload as JSON, close-packed as the exchanges send it; a string is a page as it is."""
        return self.payload if isinstance(self.payload, str) else json.dumps(self.payload, separators=(",", ":"))


class Routes:
    """Functions by method and path; `{name}` in a path is a parameter."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], tuple[Handler, bool]] = {}
        self._patterns: list[tuple[str, list[str], Handler, bool]] = []

    def on(self, method: str, *paths: str, signed: bool = False) -> Callable[[Handler], Handler]:
        """Name the requests that a function answers; `signed` ones need a key."""

        def enter(handler: Handler) -> Handler:
            for path in paths:
                if "{" in path:
                    self._patterns.append((method, path.split("/"), handler, signed))
                else:
                    self._exact[method, path] = handler, signed
            return handler

        return enter

    def find(self, method: str, path: str) -> tuple[Handler, bool, dict[str, str]]:
        """The function that answers, whether the request must be signed, and what stands in the path."""
        if found := self._exact.get((method, path)):
            return *found, {}
        parts = path.split("/")
        for verb, pattern, handler, signed in self._patterns:
            if verb == method and len(pattern) == len(parts):
                named = {a[1:-1]: b for a, b in zip(pattern, parts, strict=True) if a.startswith("{")}
                if all(a.startswith("{") or a == b for a, b in zip(pattern, parts, strict=True)):
                    return handler, signed, named
        raise Refusal(Reason.PATH, f"{method} {path}")


class Dialect(Protocol):
    """One exchange's way to speak: a module of tests/venue/dialects has these names."""

    NAME: str
    HOSTS: tuple[str, ...]
    """The ends of its host names."""
    ROUTES: Routes
    HABITS: Habits
    """In what it differs beyond words."""
    SPEECH: Speech
    """Its websockets: see `streams.py`."""

    def instruments(self, now: int) -> Iterable[Instrument]:
        """What it lists."""
        ...

    def wallet_of(self, instrument: Instrument) -> str:
        """The wallet in which an instrument settles."""
        ...

    def authorise(self, call: Call) -> None:
        """Check key, passphrase, timestamp and signature; raises Refusal."""
        ...

    def wrap(self, call: Call, payload: Any) -> Answer:
        """Put a result into the exchange's envelope, with its headers."""
        ...

    def refuse(self, call: Call, refusal: Refusal) -> Answer:
        """Say no in the exchange's codes and words."""
        ...


def answer(dialect: Dialect, call: Call) -> Answer:
    """Answer a request, or refuse it."""
    call.counts = call.state.count()
    try:
        handler, call.private, named = dialect.ROUTES.find(call.method, call.path)
        call.args |= named
        if call.private:
            dialect.authorise(call)
            check_rights(call)
        call.state.advance()
        return dialect.wrap(call, handler(call))
    except Refusal as refusal:
        return dialect.refuse(call, refusal)


def check_rights(call: Call) -> None:
    """Refuse what the key may not do, and addresses to which it isn't bound."""
    if call.state.addresses and call.state.address not in call.state.addresses:
        raise Refusal(Reason.ADDRESS, call.state.address)
    if ("read" if call.method == "GET" else "trade") not in call.state.rights:
        raise Refusal(Reason.RIGHTS)


def newest[T](rows: list[T], limit: int) -> list[T]:
    """The newest rows, as most exchanges cut a window."""
    return rows[-limit:] if limit else []
