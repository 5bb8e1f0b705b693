"""Requests to one exchange: reads are retried, orders and settings are sent once, errors are ours.

Everything that is asked of CCXT goes through `Caller`; it is the only one that knows the client.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from ..errors import AuthenticationError, ClockError, MetaExpertError, NetworkError, UnavailableError
from .budget import URGENT, Budget, budget_of
from .connection import account_of, connect, missing_keys, secrets_of
from .faults import Aim, Fault, fault_of, translate
from .venues import venue_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

    from ..config import ExchangeSettings

__all__ = ["Caller", "is_offline"]

_TRIES = 5
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 15.0  # seconds, with jitter, doubling
_MOST_PATIENT = 60.0  # what an exchange may ask to wait for; more than that is told to the person
_ORDER_PATIENCE = 5.0  # an order that went out later would be another one: the price has moved on


def is_offline() -> bool:
    """Does ``METAEXPERT_OFFLINE`` forbid the network?"""
    return os.environ.get("METAEXPERT_OFFLINE", "").lower() not in ("", "0", "no", "false", "off")


class Caller:
    """Sends requests as one account of one exchange; use it within one event loop.

    Args:
        settings: exchange, kind of market and keys.
        client: makes the CCXT client; None: `connection.connect`.
        sleep: waits between tries, in seconds.
        tries: how often a read is sent at most.
    """

    def __init__(
        self, settings: ExchangeSettings, *,
        client: Callable[[ExchangeSettings], Any] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        tries: int = _TRIES,
    ) -> None:  # fmt: skip
        self.settings, self.venue = settings, venue_of(settings.exchange)
        self._connect, self.sleep, self._tries = client or connect, sleep, tries
        self._client: Any = None
        self._clock_known = False

    @property
    def client(self) -> Any:
        """The CCXT client, made when it is first needed.

        Raises:
            UnavailableError: the network is forbidden.
        """
        if self._client is None:
            if is_offline():
                raise UnavailableError(
                    f"{self.venue.name} can't be asked: METAEXPERT_OFFLINE is set; unset it to use the network"
                )
            self._client = self._connect(self.settings)
        return self._client

    async def close(self) -> None:
        """Close the connections."""
        client, self._client, self._clock_known = self._client, None, False
        if client is not None:
            await client.close()

    async def read(self, doing: str, method: str, *args: Any, private: bool = False) -> Any:
        """Ask for something; what fails in passing is tried again, four times unless told, with growing pauses.

        Args:
            doing: what is tried, as a message says it: ``"fetch the balance"``.
            method: CCXT's method.
            *args: its arguments.
            private: True where the keys are needed.

        Raises:
            MetaExpertError: as `faults.translate` has it.
        """
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        tries = AsyncRetrying(
            stop=stop_after_attempt(self._tries), wait=_pause, retry=retry_if_exception(_passes),
            sleep=self.sleep, reraise=True,
        )  # fmt: skip
        return await tries(self._once, Aim.READ, doing, method, args, private)

    async def order(self, doing: str, method: str, *args: Any) -> Any:
        """Send an order, a change or a cancellation: once, whatever happens.

        Raises:
            NetworkError: whether it was done is not known: look it up before anything else.
            MetaExpertError: as `faults.translate` has it; nothing was done.
        """
        return await self._once(Aim.ORDER, doing, method, args, True)  # noqa: FBT003

    async def set(self, doing: str, method: str, *args: Any) -> None:
        """Change a setting of the account, once; what is so already is fine."""
        await self._once(Aim.SETTING, doing, method, args, True)  # noqa: FBT003

    async def watch(self, doing: str, method: str, *args: Any, private: bool = False) -> Any:
        """Wait for the next answer of a stream; the first call subscribes. Arguments are as in `read`.

        Raises:
            NetworkError: the connection broke, or was closed by `close`; another call dials anew.
            MetaExpertError: as `faults.translate` has it.
        """
        try:
            return await self._once(Aim.WATCH, doing, method, args, private)
        except asyncio.CancelledError:  # CCXT cancels what waits for a connection that is closed
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
        raise NetworkError(f"{self.venue.name}: could not {doing}: the connection was closed; try again")

    async def _once(self, aim: Aim, doing: str, method: str, args: tuple[Any, ...], private: bool) -> Any:
        if private:
            self._need_keys(doing)
            await self._know_the_clock()
        if aim is not Aim.WATCH:  # what a stream sends waits its turn, and what it hears needs none
            self._refuse_late(aim, doing)
        failure: MetaExpertError
        urgent = URGENT.set(aim is Aim.ORDER)
        try:
            return await getattr(self.client, method)(*args)
        except MetaExpertError:
            raise
        except Exception as error:  # noqa: BLE001 - CCXT's own bugs on odd answers included
            if aim is Aim.SETTING and fault_of(error, self.venue.id) is Fault.CHANGED:
                return None
            failure = translate(error, self.venue, aim, doing, secrets_of(self.settings))
        finally:
            URGENT.reset(urgent)
        if isinstance(failure, ClockError):
            self._clock_known = False
        if isinstance(failure, UnavailableError) and failure.retry_after is not None:
            self._hold_back(failure.retry_after)
        raise failure  # outside of the handler: CCXT's error, which holds keys, is no context of it

    def _refuse_late(self, aim: Aim, doing: str) -> None:
        """Send nothing that would have to wait for the end of a ban longer than it is wanted."""
        patience = _ORDER_PATIENCE if aim is Aim.ORDER else _MOST_PATIENT
        seconds = self._budget().closed(asyncio.get_running_loop().time())
        if seconds > patience:
            raise UnavailableError(
                f"{self.venue.name}: could not {doing}: too many requests, it takes the next in "
                f"{seconds:.0f} s; nothing was done",
                seconds,
            )

    def _budget(self) -> Budget:
        return budget_of(*account_of(self.settings))

    def _need_keys(self, doing: str) -> None:
        missing = missing_keys(self.settings)
        if missing:
            names = " and ".join(f"{self.venue.id.upper()}_{name.upper()}" for name in missing)
            raise AuthenticationError(
                f"{self.venue.name}: an API key is needed to {doing}: put {names} into the environment or the "
                "file .env beside the expert"
            )

    async def _know_the_clock(self) -> None:
        """Measure how far this computer's clock is off, once, and again when the exchange complains."""
        if not self._clock_known:
            await self.read("measure the clock", "load_time_difference")
            self._clock_known = True

    def _hold_back(self, seconds: float) -> None:
        """Let no other request of this account out either."""
        now = asyncio.get_running_loop().time()
        self._budget().close_until(now + seconds)


def _passes(error: BaseException) -> bool:
    """Will it work if it is tried again?"""
    if isinstance(error, UnavailableError):
        return not is_offline() and (error.retry_after or 0.0) <= _MOST_PATIENT
    return isinstance(error, (NetworkError, ClockError))


def _pause(state: RetryCallState) -> float:
    """Seconds to wait before the next try: what the exchange asks for, else growing and jittered."""
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, UnavailableError) and error.retry_after is not None:
        return error.retry_after
    return wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT)(state)
