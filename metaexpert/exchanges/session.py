"""The gateway for callers that are not async: one connection that lasts until it is closed or nobody holds it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import finalize

from .bridge import Bridge
from .gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ..config import ExchangeSettings

__all__ = ["Session"]


class Session:
    """One account of one exchange, asked synchronously; nothing is opened before the first `ask`.

    Args:
        settings: exchange, kind of market, keys.
        gateway: makes the gateway; None: `Gateway` itself.
    """

    def __init__(
        self, settings: ExchangeSettings, gateway: Callable[[ExchangeSettings], Gateway] | None = None
    ) -> None:
        self.settings = settings
        self._make = gateway or Gateway
        self._end: Any = None

    def ask[T](self, question: Callable[[Gateway], Coroutine[Any, Any, T]]) -> T:
        """Run `question` on the gateway and wait for the answer."""
        if self._end is None:
            self._bridge, self._gateway = Bridge(), self._make(self.settings)
            self._bridge.run(_begin())
            self._end = finalize(self, _close, self._bridge, self._gateway)
        return self._bridge.run(question(self._gateway))

    def close(self) -> None:
        """Close the connection; the next `ask` opens another."""
        if self._end is not None:
            self._end()
            self._end = None


async def _begin() -> None:
    """Let the thread start, so that at the exit of the process it ends after the connection."""


def _close(bridge: Bridge, gateway: Gateway) -> None:
    with suppress(RuntimeError):  # the process is ending, and takes no more work
        bridge.run(gateway.close())
    bridge.close()
