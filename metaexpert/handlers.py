"""The handlers of an expert, by event."""

from __future__ import annotations

import inspect
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Handler", "Handlers", "is_interactive"]

type Handler = Callable[..., Any]


class Handlers:
    """The handlers of one expert, by event. Two experts share nothing."""

    def __init__(self) -> None:
        self.by_event: dict[str, list[Handler]] = defaultdict(list)
        self.bars: list[tuple[str | None, Handler]] = []
        self.timers: list[tuple[float, Handler]] = []

    def __contains__(self, event: str) -> bool:
        return bool(self.by_event.get(event))

    def add(self, event: str, handler: Handler) -> None:
        """Register a handler of `event`."""
        _put(self.by_event[event], handler, lambda one: one)

    def add_bar(self, timeframe: str | None, handler: Handler) -> None:
        """Register a handler of the closed bars of `timeframe`."""
        _put(self.bars, (timeframe, handler), lambda one: one[1] if one[0] == timeframe else None)

    def add_timer(self, interval: float, handler: Handler) -> None:
        """Register a handler that runs every `interval` seconds."""
        _put(self.timers, (interval, handler), lambda one: one[1] if one[0] == interval else None)

    def all(self) -> Iterable[Handler]:
        """Every registered handler."""
        for handlers in self.by_event.values():
            yield from handlers
        yield from (handler for _, handler in self.bars)
        yield from (handler for _, handler in self.timers)

    @property
    def is_async(self) -> bool:
        """True when a handler is an ``async def``."""
        return any(inspect.iscoroutinefunction(handler) for handler in self.all())


def _put[T](places: list[T], new: T, handler_of: Callable[[T], Handler | None]) -> None:
    """Append `new`; in a notebook or prompt it takes the place of the handler of the same name.

    There a cell that is run again would otherwise register its handlers twice, and every order would be doubled.

    Raises:
        ConfigError: the handler is a generator, whose body a call does not run.
    """
    handler = handler_of(new)
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise ConfigError(
            f"{getattr(handler, '__name__', handler)}: a handler with yield in it never runs: return"
        )
    if handler is not None and is_interactive():
        for at, one in enumerate(places):
            old = handler_of(one)
            if old is not None and _full_name(old) == _full_name(handler):
                places[at] = new
                return
    places.append(new)


def is_interactive() -> bool:
    """Is this a notebook or a prompt, where code is typed in and run again?"""
    return not hasattr(sys.modules["__main__"], "__file__")


def _full_name(handler: Handler) -> tuple[str, str]:
    return getattr(handler, "__module__", ""), getattr(handler, "__qualname__", repr(handler))
