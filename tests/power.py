"""The power of one process that runs in the event loop of a test: it can fail at any await and any journal write.

What runs in `Power.context()` is one process. When its power fails, nothing of it runs on: its tasks rest for
ever, its journal is closed as it lies on the disk, and it can send nothing more. What it had sent is on its way.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import sys
from collections.abc import Coroutine
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import metaexpert
from metaexpert.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable
    from types import CodeType

    import pytest

__all__ = ["Moment", "Power", "PowerCut", "powered", "put_away"]

_PACKAGE = str(Path(metaexpert.__file__).parent)
_COROUTINE = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_ASYNC_GENERATOR
_TOOL = 4  # of sys.monitoring: a number that coverage, profilers and debuggers leave alone
_ENDS = 100  # awaits at which a task that is taken down may hold on
_POWER: contextvars.ContextVar[Power] = contextvars.ContextVar("power")
_GRAVES: list[None] = []  # one for each power that has failed since `put_away`


class PowerCut(BaseException):
    """The power has failed: whoever hears this is no more."""


class Moment(NamedTuple):
    """One moment at which the power may fail."""

    kind: str
    """An await that begins ("waits") or is over ("goes on"), or a statement to the journal ("writes")."""
    place: str
    """The file and line that waits, or the statement."""
    traces: Hashable
    """What would be left of the process if it ended now; equal ones are one and the same to a restart."""


class Power:
    """The power of one process.

    Args:
        at: at which of the moments that are counted it fails; None: never.
        traces: tells what would be left of the process.
    """

    def __init__(self, at: int | None = None, traces: Callable[[], Hashable] = lambda: None) -> None:
        self.at = at
        self.is_on = True
        self.is_counting = False
        self.failed = asyncio.Event()
        self.moments: list[Moment] = []
        """Those that were counted."""
        self.written = 0
        """Transactions that its journals have committed and from which a restart goes on: states and intents."""
        self.where: tuple[CodeType, int] | None = None  # the innermost of our coroutines that waits
        self._traces = traces
        self._journals: list[_Watched] = []
        self._tasks: list[tuple[asyncio.Task[Any], _Fused, contextvars.Context]] = []

    def context(self) -> contextvars.Context:
        """The context of the process: every task that begins in it, or in a task of it, is its own."""
        context = contextvars.copy_context()
        context.run(_POWER.set, self)
        return context

    def passes(self, kind: str, place: str) -> bool:
        """Count a moment; returns whether there is power after it."""
        if self.is_counting and self.is_on:
            self.moments.append(Moment(kind, place, self._traces()))
            if len(self.moments) - 1 == self.at:
                self.cut()
        return self.is_on

    def cut(self) -> None:
        """Let it fail now."""
        self.is_on = False
        _GRAVES.append(None)
        self.failed.set()
        for journal in self._journals:
            journal.fail()

    def check(self) -> None:
        """Let nobody pass who has no power."""
        if not self.is_on:
            raise PowerCut

    async def bury(self) -> None:
        """Take down what is left of the process, once its power is off; none of it runs on."""
        assert not self.is_on
        while self._tasks:
            tasks, self._tasks = self._tasks, []
            for task, *_ in tasks:
                task.cancel()
            await asyncio.gather(*(task for task, *_ in tasks), return_exceptions=True)
            for _, fused, context in tasks:
                context.run(fused.end)

    def task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Begin a task of the process."""
        fused = _Fused(coro, self)
        context = options.pop("context", None) or contextvars.copy_context()
        task = asyncio.Task(fused, loop=loop, context=context, **options)
        self._tasks = [one for one in self._tasks if not one[1].is_over]
        self._tasks.append((task, fused, context))
        return task


class _Fused(Coroutine[Any, Any, Any]):
    """A coroutine that goes on while there is power, and rests for ever where there is none."""

    def __init__(self, inner: Coroutine[Any, Any, Any], power: Power) -> None:
        self._inner = inner
        self._power = power
        self._place = ""  # where it waits, if it is we who wait
        self.is_over = False
        """Has it come to an end of its own?"""
        self.__name__ = getattr(inner, "__name__", "coroutine")
        self.__qualname__ = getattr(inner, "__qualname__", self.__name__)

    def send(self, value: Any) -> Any:
        """Go on."""
        return self._step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        """Go on with an error."""
        if not self._power.is_on:
            raise asyncio.CancelledError
        return self._step(self._inner.throw, *error)

    def _step(self, go: Callable[..., Any], *args: Any) -> Any:
        power = self._power
        if not power.is_on or (self._place and not power.passes("goes on", self._place)):
            return _rest()
        power.where, self._place = None, ""
        try:
            told = go(*args)
        except BaseException:
            self.is_over = True
            if power.is_on:
                raise
            return _rest()
        if power.where is not None:
            self._place = _place_of(*power.where)
        if not power.is_on or (self._place and not power.passes("waits", self._place)):
            return _rest()
        return told

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._inner.__await__())

    def close(self) -> None:
        """Give up."""
        if self._power.is_on:
            self._inner.close()

    def end(self) -> None:
        """Take it down; whatever it still waits for in doing so does not come."""
        for _ in range(_ENDS):
            try:
                self._inner.throw(PowerCut())  # `close` would leave asynchronous generators as they are
            except BaseException:  # noqa: BLE001 - it is no more
                return


def _rest() -> Any:
    """What a task is given that is to wait for ever."""
    return asyncio.get_running_loop().create_future().__await__().send(None)


def _place_of(code: CodeType, offset: int) -> str:
    """The file and line of an instruction, from the package on."""
    line = next((line for start, end, line in code.co_lines() if start <= offset < end), None)
    return f"{code.co_filename.removeprefix(_PACKAGE)[1:]}:{line} {code.co_qualname}"


class _Watched:
    """The connection of a journal whose power may fail before each statement and after each commit."""

    def __init__(self, journal: Journal, power: Power) -> None:
        self._journal = journal
        self._db = journal._db
        self._power = power
        self._counts = False

    def execute(self, statement: str, *args: Any) -> Any:
        """Execute a statement."""
        return self._do(self._db.execute, statement, *args)

    def executemany(self, statement: str, *args: Any) -> Any:
        """Execute a statement for many rows."""
        return self._do(self._db.executemany, statement, *args)

    def _do(self, do: Callable[..., Any], statement: str, *args: Any) -> Any:
        self._pass(statement)
        made = do(statement, *args)
        self._counts = self._counts or any(table in statement for table in ("state", "intents"))
        if statement == "COMMIT":
            self._power.written += self._counts
            self._pass("COMMIT is done")
        if statement in {"COMMIT", "ROLLBACK"}:
            self._counts = False
        return made

    def _pass(self, statement: str) -> None:
        if statement.startswith(("SELECT", "PRAGMA")):
            self._power.check()
        elif not self._power.passes("writes", " ".join(statement.split()[:3])):
            raise PowerCut

    def fail(self) -> None:
        """Leave the file as it lies on the disk, and free for others."""
        self._db.close()
        self._journal._lock.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


@contextmanager
def _in_silence() -> Generator[None]:
    """What the coroutines of dead processes have to say as they are collected is heard by nobody."""
    hook = sys.unraisablehook

    def hear(told: Any) -> None:
        if not (_GRAVES and inspect.iscoroutine(told.object)):
            hook(told)

    sys.unraisablehook = hear
    try:
        yield
    finally:
        sys.unraisablehook = hook


def put_away() -> None:
    """Collect what dead processes have left, so that no later test hears of it."""
    if _GRAVES:
        with _in_silence():
            gc.collect()
        _GRAVES.clear()


@contextmanager
def powered(patch: pytest.MonkeyPatch) -> Generator[None]:
    """Have every `Power` count in the event loop that runs."""
    loop, opened = asyncio.get_running_loop(), Journal.open

    def task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        power = _POWER.get(None)
        return asyncio.Task(coro, loop=loop, **options) if power is None else power.task(loop, coro, **options)

    def open_(path: Path, **options: Any) -> Journal:
        journal, power = opened(path, **options), _POWER.get(None)
        if power is not None:
            journal._db.execute("PRAGMA synchronous=OFF")  # the power of the machine stays on
            watched = _Watched(journal, power)
            power._journals.append(watched)
            journal._db = watched  # type: ignore[assignment]
        return journal

    patch.setattr(Journal, "open", open_)
    loop.set_task_factory(task)
    sys.monitoring.use_tool_id(_TOOL, "power")
    sys.monitoring.register_callback(_TOOL, sys.monitoring.events.PY_YIELD, _hear)
    sys.monitoring.set_events(_TOOL, sys.monitoring.events.PY_YIELD)
    try:
        with _in_silence():
            yield
    finally:
        sys.monitoring.set_events(_TOOL, 0)
        sys.monitoring.free_tool_id(_TOOL)
        loop.set_task_factory(None)


def _hear(code: CodeType, offset: int, _: Any) -> Any:
    """A coroutine waits: where it is ours, keep the innermost."""
    if not (code.co_flags & _COROUTINE and code.co_filename.startswith(_PACKAGE)):
        return sys.monitoring.DISABLE
    power = _POWER.get(None)
    if power is not None and power.where is None:
        power.where = code, offset
    return None
