"""Coroutines for callers that are not async: a notebook cell, a script, the command line.

They run in a loop of their own in a thread of its own, so this works where a loop is running already.
"""

from __future__ import annotations

import asyncio
import contextlib
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any
from weakref import finalize

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["Bridge"]

_PATIENCE = 10.0  # seconds that a cancelled coroutine gets
_BLINK = 0.2  # seconds; Windows lets no Ctrl-C through while a thread waits


class Bridge:
    """A thread with an event loop; it starts with the first `run` and ends with `close` or its owner."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: Any = None

    def run[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` in the thread and wait for its result; Ctrl-C cancels it there and waits for its end."""
        loop, work = self._running(), _Work(coroutine)
        try:
            loop.call_soon_threadsafe(work.begin)
            while not work.ended.wait(_BLINK):
                pass
        except BaseException:
            loop.call_soon_threadsafe(work.cancel)
            work.ended.wait(_PATIENCE)  # what it has to put away, it puts away now
            raise
        return work.result()

    def close(self) -> None:
        """End the thread; the next `run` starts another."""
        with self._lock:
            if self._end is not None:
                self._end()
            self._loop = self._end = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                started = Event()
                thread = Thread(target=_serve, args=(self._loop, started), name="metaexpert-exchange", daemon=True)
                thread.start()
                started.wait()
                self._end = finalize(self, _stop, self._loop, thread)
            return self._loop


class _Work[T]:
    """A coroutine on its way; all but `ended` and `result` belong to the loop's thread."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.ended = Event()
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None

    def begin(self) -> None:
        self._task = asyncio.ensure_future(self._coroutine)
        self._task.add_done_callback(lambda _: self.ended.set())

    def cancel(self) -> None:
        if self._task is None:  # Ctrl-C came before it could begin
            self._coroutine.close()
            self.ended.set()
        else:
            self._task.cancel()

    def result(self) -> T:
        assert self._task is not None  # noqa: S101 - it has ended
        return self._task.result()


def _serve(loop: asyncio.AbstractEventLoop, started: Event) -> None:
    asyncio.set_event_loop(loop)
    loop.call_soon(started.set)
    try:
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
    finally:
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
