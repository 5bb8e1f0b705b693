"""CCXT's client of one exchange, with what we add: the shared rate limit, and errors that keep the answer.

This is the one place that makes a CCXT client. An answer that is no JSON, empty or cut off, is an error here; CCXT
takes it for success. A redirect is an error as well, and no request is sent again below us. `mended` has what is
done to its websockets.
"""

from __future__ import annotations

import asyncio
import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .budget import URGENT
from .faults import Answer
from .mended import mended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .budget import Budget

__all__ = ["client_class", "quiet_logger"]


def client_class(exchange: str, budget: Budget, sleep: Callable[[float], Awaitable[None]]) -> type[Any]:
    """CCXT's class of `exchange`, REST and websockets, that spends `budget` and waits for room by `sleep`."""
    base: Any = mended(exchange, getattr(import_module("ccxt.pro"), exchange))
    errors: Any = import_module("ccxt")
    tracing: Any = import_module("aiohttp").TraceConfig()

    async def refuse(_session: object, _context: object, _params: object) -> None:
        raise errors.ExchangeNotAvailable("it answered with a redirect, which is not followed")

    tracing.on_request_redirect.append(refuse)

    def harden(session: Any) -> Any:
        """Have aiohttp send nothing twice, nor to where a redirect leads: keys and orders would go along."""
        if tracing not in session.trace_configs:
            session._retry_connection = False  # noqa: SLF001 - of a PUT or DELETE; there is no other way to say so
            tracing.freeze()
            session.trace_configs.append(tracing)
        return session

    class Client(base):
        def open(self, lazy: bool = False) -> None:
            """Make the session."""
            base.open(self, lazy)
            harden(self.session)

        def get_socks_proxy_session(self, proxy: str) -> Any:
            """The session of requests through a SOCKS proxy."""
            return harden(base.get_socks_proxy_session(self, proxy))

        async def throttle(self, cost: float | None = None) -> None:
            """Wait until the account's budget has room for a request of `cost`."""
            seconds = self.rateLimit / 1000 * (1 if cost is None else cost)
            now = asyncio.get_running_loop().time()
            if (wait := budget.reserve(now, seconds, is_urgent=URGENT.get())) > 0.0:
                await sleep(wait)

        def handle_errors(
            self, code: int, reason: str, url: str, method: str, headers: Mapping[str, str], body: str,
            response: object, request_headers: object, request_body: object,
        ) -> Any:  # fmt: skip
            """Raise what CCXT makes of an answer, and of one that is no JSON, with the answer beside it."""
            try:
                found: Any = base.handle_errors(
                    self, code, reason, url, method, headers, body, response, request_headers, request_body
                )
                self.handle_http_status_code(code, reason, url, method, body)
                if response is None:
                    raise errors.BadResponse(f"{self.id}: no JSON")
            except errors.BaseError as error:
                error.answer = Answer(code, dict(headers), body)
                raise
            return found

    return Client


def quiet_logger() -> logging.Logger:
    """A logger for CCXT that never passes on its debug messages, which hold keys and signatures."""
    logger = logging.Logger("metaexpert.ccxt", level=logging.WARNING)
    logger.parent = logging.getLogger("ccxt")
    return logger
