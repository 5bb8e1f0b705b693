"""One stream of CCXT: the next answer, or an error that says that something may have been missed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ..errors import MetaExpertError, NetworkError, RequestError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .caller import Caller

__all__ = ["Channel", "Line", "Waiters"]

_UNWATCH = 5.0  # seconds to wait until the exchange says that a subscription has ended


class Channel(NamedTuple):
    """The method of CCXT that watches, with its arguments, and the one that ends it; "" where there is none."""

    watch: str
    args: tuple[Any, ...]
    unwatch: str = ""
    unwatch_args: tuple[Any, ...] = ()


class Line:
    """A subscription. Nothing comes while a connection is broken, so every break is told, once.

    Args:
        caller: asks CCXT.
        doing: what is tried, as a message says it: ``"watch the orders of BTC/USDT"``.
        channel: what is asked.
        private: True where the keys are needed.
    """

    def __init__(self, caller: Caller, doing: str, channel: Channel, *, private: bool = False) -> None:
        self.doing, self.channel = doing, channel
        self._caller, self._private = caller, private
        self._connection: Any = None  # the one that the last answer came by

    @property
    def is_new(self) -> bool:
        """Will the next answer be the first, or the first after a break?"""
        return self._connection is None

    async def answer(self, seconds: float | None = None) -> Any:
        """CCXT's next answer.

        Args:
            seconds: how long to wait for it; None: for ever.

        Raises:
            NetworkError: the connection broke, now or since the last answer, or nothing came in time.
            MetaExpertError: as `Caller.watch` has it.
        """
        if self._connection is not None and not self._caller.client.is_open(self._connection):
            self.fail("the connection was lost")
        try:
            raw = await (self._ask() if seconds is None else self._ask_within(seconds))
        except MetaExpertError:
            self._connection = None
            raise
        self._connection = self._caller.client.connection
        return raw

    def _ask(self) -> Coroutine[Any, Any, Any]:
        return self._caller.watch(self.doing, self.channel.watch, *self.channel.args, private=self._private)

    async def _ask_within(self, seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await self._ask()
        except TimeoutError:
            self._caller.client.drop(self._caller.client.connection)
            self.fail(f"nothing came within {seconds:g} s")

    def fail(self, what: str) -> NoReturn:
        """Say that something may have been missed.

        Raises:
            NetworkError: always.
        """
        self._connection = None
        raise NetworkError(f"{self._caller.venue.name}: could not {self.doing}: {what}; try again")

    def renew(self, what: str) -> NoReturn:
        """Give the connection up, since what it tells is wrong, and say that something may have been missed.

        Raises:
            NetworkError: always.
        """
        self._caller.client.drop(self._connection)
        self.fail(what)

    async def end(self) -> None:
        """End the subscription within seconds; where the exchange does not say that it has, its connection too."""
        connection, self._connection = self._connection, None
        if connection is None or not self.channel.unwatch:
            return
        try:
            async with asyncio.timeout(_UNWATCH):
                await self._caller.watch(
                    f"end to {self.doing}", self.channel.unwatch, *self.channel.unwatch_args, private=self._private
                )
        except RequestError:
            return  # CCXT has no such call: what comes goes unheard
        except (TimeoutError, MetaExpertError):
            self._caller.client.drop(connection)


class Waiters:
    """Those who wait for an answer, so that a close wakes them."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()

    async def wait[T](self, doing: str, answer: Coroutine[Any, Any, T]) -> T:
        """Wait for `answer`, of which `doing` says what is tried.

        Raises:
            NetworkError: `wake` was called meanwhile.
        """
        limit = asyncio.timeout(None)
        self._limits.add(limit)
        try:
            async with limit:
                return await answer
        except TimeoutError:
            raise NetworkError(f"could not {doing}: the connection was closed") from None
        finally:
            self._limits.discard(limit)

    def wake(self) -> None:
        """Wake all of them."""
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(now)
