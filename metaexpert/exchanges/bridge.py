"""Coroutines for callers that are not async: a notebook cell, a script, the command line.

They run in a loop of their own in a thread of its own, so this works where a loop is running already.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Event, Lock, Thread, current_thread
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, finalize

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["Bridge"]

_PATIENCE = 10.0  # seconds that a cancelled coroutine gets
_BLINK = 0.2  # seconds; Windows lets no Ctrl-C through while a thread waits


class Bridge:
    """A thread with an event loop; it starts with the first `run` and ends with `close` or its owner.

    A process that was forked starts a thread of its own.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._begun: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._end: Any = None

    def run[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` in the thread and wait for its result; Ctrl-C cancels it there and waits for its end.

        Raises:
            RuntimeError: this is the bridge's own thread, which would wait for itself: await the coroutine there.
        """
        if current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("a coroutine can't wait for the bridge that runs it: await what it calls")
        work = _Work(coroutine)
        try:
            with self._lock:
                work.loop = self._running()
                # before any `close`, which would leave it waiting for ever
                work.loop.call_soon_threadsafe(work.begin, self._begun)
            while not work.ended.wait(_BLINK):
                pass
        except BaseException:
            work.give_up()
            raise
        return work.result()

    def close(self) -> None:
        """End the thread, once what runs there has been cancelled; the next `run` starts another."""
        with self._lock:
            if self._end is not None:
                self._end()
            self._loop = self._thread = self._end = None

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._thread is None or not self._thread.is_alive():
            self._begun = WeakSet()
            self._loop = asyncio.new_event_loop()
            self._thread = Thread(
                target=_serve, args=(self._loop, self._begun), name="metaexpert-exchange", daemon=True
            )
            if self._end is not None:
                self._end.detach()  # of a thread that is no more
            self._end = finalize(self, _stop, self._loop, self._thread)
            self._thread.start()
        return self._loop


class _Work[T]:
    """A coroutine on its way in `loop`, in whose thread it begins and is cancelled."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.ended = Event()
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None

    def begin(self, begun: WeakSet[asyncio.Task[Any]]) -> None:
        self._task = asyncio.ensure_future(self._coroutine)
        begun.add(self._task)
        self._task.add_done_callback(lambda _: self.ended.set())

    def give_up(self) -> None:
        """Cancel it, and wait until it has put away what it has."""
        if self.loop is None:
            self._coroutine.close()
            return
        with suppress(RuntimeError):  # its loop is closed, which has cancelled it
            self.loop.call_soon_threadsafe(self._cancel)
        self.ended.wait(_PATIENCE)

    def _cancel(self) -> None:
        if self._task is None:  # Ctrl-C came before it could begin
            self._coroutine.close()
            self.ended.set()
        else:
            self._task.cancel()

    def result(self) -> T:
        assert self._task is not None  # noqa: S101 - it has ended
        return self._task.result()


def _serve(loop: asyncio.AbstractEventLoop, begun: WeakSet[asyncio.Task[Any]]) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        _cancel(loop, set(begun))  # they see to the end of what they had begun themselves, such as an order
        _cancel(loop, asyncio.all_tasks(loop))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def _cancel(loop: asyncio.AbstractEventLoop, tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def _stop(loop: asyncio.AbstractEventLoop, thread: Thread) -> None:
    if thread.is_alive():
        loop.call_soon_threadsafe(loop.stop)
        if thread is not current_thread():  # where the bridge's owner was collected in it
            thread.join()
