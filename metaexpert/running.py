"""A run that goes on: begun here, stopped by Ctrl-C, by a signal or by hand."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

from .broker.live import LiveBroker
from .broker.sentries import Part
from .errors import ConfigError
from .models import TradeMode
from .process import iso
from .wiring import LiveJob, journal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from .models import Account, Order, Position
    from .process import MetaProcess

__all__ = ["Run"]


_KEPT = ("stands", "moving", "leaving", "watched")


class Run:
    """One run of an expert on a live market.

    `begin` starts it. In a script it returns at the end; inside a running event loop it returns at once, and
    ``await run`` waits for the end and gives the reason.

    Args:
        job: what is run.
        inputs: makes the inputs of the run those of the expert while it lasts.

    `job` and `inputs` are there for those who play a run again.
    """

    def __init__(self, job: LiveJob, inputs: Callable[[], AbstractContextManager[Any]]) -> None:
        self.job = replace(job, bind=self._bind)
        """What is run."""
        self._bind_expert = job.bind
        self.inputs = inputs
        self._process: MetaProcess | None = None
        self._task: asyncio.Task[str] | None = None
        self._stop: str | None = None
        self._signals: list[None] = []  # those that were heard
        self._is_cut = False  # by a signal that lets nothing come to its end
        self._last: dict[str, Any] = {}
        self.reason: str | None = None
        """Why it ended; None before the end."""
        self.error: Exception | None = None
        """What it failed with; None where it did not."""

    def _repr_html_(self) -> str:
        rows = {"state": self._state(), "time": self.time, **self.summary()}
        shown = {name: value for name, value in rows.items() if value not in (None, "")}
        lines = "".join(f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in shown.items())
        return f"<table><caption>{escape(self.job.name)}, {self.job.run.trade_mode}</caption>{lines}</table>"

    def __repr__(self) -> str:
        return f"<Run {self.job.name}: {self._state()}>"

    def _state(self) -> str:
        if self.error is not None:
            return f"failed: {self.error}"
        if self.reason is not None:
            return f"ended ({self.reason})"
        process = self._process
        if process is None:
            return "starting" if self._task is not None else "not begun"
        account = process.broker.account()
        return f"running, equity {account.equity:.12g} {account.currency}, {len(self.positions)} positions"

    def __await__(self) -> Generator[Any, None, str]:
        if self._task is None:
            raise ConfigError("the run has not begun: call its begin() first")
        return self._task.__await__()

    @property
    def is_running(self) -> bool:
        """Is it begun and not at its end?"""
        return self._process is not None or (self._task is not None and not self._task.done())

    @property
    def journal(self) -> Path:
        """The journal that it writes."""
        return journal_of(self.job)

    @property
    def account(self) -> Account | None:
        """The account now; None while it does not run."""
        return None if self._process is None else self._process.broker.account()

    @property
    def positions(self) -> list[Position]:
        """The open positions; none while it does not run."""
        return [] if self._process is None else self._process.trader.positions()

    @property
    def orders(self) -> list[Order]:
        """The orders that can still trade, oldest first; none while it does not run."""
        return [] if self._process is None else list(self._process.broker.working())

    @property
    def unknown(self) -> list[str]:
        """The symbols in which it is not known of a live order whether it arrived."""
        broker = None if self._process is None else self._process.broker
        return sorted(broker.unknown) if isinstance(broker, LiveBroker) else []

    @property
    def unprotected(self) -> list[str]:
        """The symbols of live positions whose stop should stand, on the exchange or watched, and does not yet."""
        broker = None if self._process is None else self._process.broker
        told = broker.shield.report() if isinstance(broker, LiveBroker) else ()
        return sorted({one.symbol for one in told if one.part is Part.STOP and one.status not in _KEPT})

    @property
    def time(self) -> str:
        """The run's time, UTC; "" before it runs."""
        return "" if self._process is None else iso(self._process.clock.now())

    def summary(self) -> dict[str, Any]:
        """Why and when it ended, where its journal lies, and the account as it stands or stood at the end."""
        last = self._last
        if self._process is not None:
            last = {name: value for name, value in _particulars(self._process).items() if name != "ended"}
        return {"reason": self.reason, "journal": str(self.journal), **last}

    def stop(self, reason: str = "user_stop") -> None:
        """Stop it after what is going on now; `on_deinit` is told the reason. From any thread."""
        self._stop = self._stop or reason
        process = self._process  # which may be gone in a moment
        if process is not None:
            process.stop(reason)

    def begin(self) -> Run:
        """Start it; see the class.

        Raises:
            ConfigError: it has begun already, a setting can't be had, or the expert runs elsewhere.
            ExchangeError: the market can't be reached.
            StrategyError: the expert's own code failed.
        """
        if self._task is not None or self.reason is not None:
            raise ConfigError("a run begins once: call expert.run(...) again for another one")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(self._go())
            return self
        self._task = loop.create_task(self._go(), name=f"expert {self.job.name}")
        return self

    async def _go(self) -> str:
        try:
            with self.inputs(), _signals(self._hear_signal):
                self.reason = await _trade(self.job)
        except asyncio.CancelledError:
            self.reason = "signal"
            if not self._is_cut:
                raise
        except Exception as error:
            self.reason, self.error = "error", error
            raise
        return self.reason

    def _hear_signal(self, task: asyncio.Task[Any]) -> None:
        """Stop in order; at once where nothing runs yet, and when it is heard again, be it while this runs."""
        self._signals.append(None)
        loop, is_first = task.get_loop(), len(self._signals) == 1
        self.stop("signal")
        if is_first and self._process is not None:
            return
        if not is_first and asyncio.current_task(loop) is task:
            raise KeyboardInterrupt  # out of a handler that does not return
        self._is_cut = True
        loop.call_soon_threadsafe(task.cancel)

    def _bind(self, process: MetaProcess | None) -> None:
        if process is None and self._process is not None:
            self._last = _particulars(self._process)
        self._process = process
        self._bind_expert(process)
        if process is not None and self._stop is not None:
            process.stop(self._stop)


async def _trade(job: LiveJob) -> str:
    """Run it in its mode; returns why it ended."""
    if job.run.trade_mode is TradeMode.LIVE:
        from .liverun import trade
    else:
        from .paper import trade
    return await trade(job)


def _particulars(process: MetaProcess) -> dict[str, Any]:
    """The account as it stands, and what was done."""
    account, trader = process.broker.account(), process.trader
    return {
        "ended": iso(process.clock.now()),
        "bars": process.steps,
        "currency": account.currency,
        "balance": account.balance,
        "equity": account.equity,
        "positions": {one.symbol: one.qty for one in trader.positions()},
        "working_orders": len(process.broker.working()),
        "fills": process.broker.execution.filled,
        "refusals": dict(trader.refusals),
    }


@contextmanager
def _signals(heard: Callable[[asyncio.Task[Any]], None]) -> Generator[None]:
    """Tell `heard` of each SIGINT and SIGTERM, in the main thread only, also while a handler keeps it."""
    task = asyncio.current_task()

    def hear(number: int, frame: object) -> None:
        del number, frame
        if task is not None:
            heard(task)

    own = [signal.SIGINT, signal.SIGTERM] if _may_hear() else []
    before = {number: signal.signal(number, hear) for number in own}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _may_hear() -> bool:
    """Signals are ours in a process of our own: not in a notebook, which uses them itself, nor in a thread."""
    import threading

    main = threading.current_thread() is threading.main_thread()
    return main and sys.platform != "win32" and "ipykernel" not in sys.modules
