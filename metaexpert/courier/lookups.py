"""What is looked up: an order until it is known, the fills of a market."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from ..errors import MetaExpertError
from ..exchanges.fees import Fees, usual
from ..reports import FillReport, FillsFetched, OrderMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..answers import ExchangeFill
    from ..models import Order
    from .desk import Desk

__all__ = ["Lookups"]

_MISSES = 3  # look-ups that find nothing, before an order is missing


class Lookups:
    """Looks up, again and again, until there is an answer.

    Args:
        desk: what is shared.
        traded: is called after each fill of an order of ours.
    """

    def __init__(self, desk: Desk, traded: Callable[[], None]) -> None:
        self._desk, self._traded = desk, traded
        self._fees = Fees(desk.gateway, desk.clock)
        self._sought: dict[str, bool] = {}
        self._waiting: dict[str, deque[int]] = {}
        self.sent: dict[str, int] = {}
        """When orders were sent whose outcome is not known, ms UTC by id."""

    # -- orders ------------------------------------------------------------------------------------------------

    def seek(self, order: Order, after: int = 0) -> None:
        """Look an order up, first in `after` ms; what is asked meanwhile is looked up anew after that."""
        self._desk.keep(order)
        if order.id in self._sought:
            self._sought[order.id] = True
        else:
            self._sought[order.id] = False
            self._desk.start(self._seek(order, after), self._desk.work)

    async def _seek(self, order: Order, after: int) -> None:
        """Until it is found, or can't arrive any more."""
        desk, backoff, misses = self._desk, self._desk.backoff(), 0
        sent = self.sent.get(order.id, max(order.created, order.updated))
        try:
            await desk.pause(after)
            while True:
                self._sought[order.id] = False
                try:
                    found = await desk.gateway.find(desk.keep(order))
                except MetaExpertError as error:
                    desk.trouble(order.symbol, f"order {order.id} can't be looked up yet", error)
                else:
                    desk.count("read")
                    misses += found is None
                    if self._is_known(order, found, sent, misses) and not self._sought[order.id]:
                        return
                await desk.pause(backoff.pause())
        finally:
            del self._sought[order.id]

    def _is_known(self, order: Order, found: Order | None, sent: int, misses: int) -> bool:
        """Tell what a look-up came to, if that is certain."""
        now = self._desk.clock.now()
        if found is None and (misses < _MISSES or now - sent < self._desk.patience.arrival):
            return False
        self.sent.pop(order.id, None)
        if found is None:
            self._desk.tell(OrderMissing(now, order.symbol, order.id))
        else:
            self._desk.report(found)
        return True

    # -- fills -------------------------------------------------------------------------------------------------

    def fetch(self, symbol: str, since: int) -> None:
        """Fetch the fills of a market since a time (ms UTC)."""
        waiting = self._waiting.get(symbol)
        if waiting is not None:
            waiting.append(since)
            return
        self._waiting[symbol] = deque((since,))
        self._desk.start(self._fetch(symbol), self._desk.work)

    async def _fetch(self, symbol: str) -> None:
        """Until nobody waits for them."""
        desk, waiting, backoff = self._desk, self._waiting[symbol], self._desk.backoff()
        try:
            while waiting:
                asked = tuple(waiting)
                try:
                    fills = await desk.gateway.fills(symbol, min(asked))
                except MetaExpertError as error:
                    desk.trouble(symbol, "its fills can't be fetched yet", error)
                    await desk.pause(backoff.pause(error))
                    continue
                desk.count("read")
                for fill in fills:
                    self._tell(fill, await self._fees.value(fill))
                for since in asked:
                    waiting.popleft()
                    desk.tell(FillsFetched(desk.clock.now(), symbol, since))
        finally:
            del self._waiting[symbol]

    async def hear(self, fills: Sequence[ExchangeFill]) -> None:
        """Tell fills that a stream tells.

        Where it leaves the fee to the record, that is asked, for a moment; a fill that does not stand there yet
        costs what the market's own rates come to.
        """
        bare = [fill for fill in fills if _is_bare(fill)]
        record = await self._record(bare) if bare else {}
        for fill in fills:
            told = record.get(fill.id, fill)
            market = await self._desk.gateway.market(fill.symbol)
            self._tell(told, usual(told, market) if _is_bare(told) else await self._fees.value(told))

    async def _record(self, fills: Sequence[ExchangeFill]) -> dict[str, ExchangeFill]:
        since = min(fill.time for fill in fills)
        try:
            async with asyncio.timeout(self._desk.patience.record / 1000):
                found = await self._desk.gateway.fills(fills[0].symbol, since)
        except (MetaExpertError, TimeoutError):
            return {}
        return {one.id: one for one in found}

    def _tell(self, fill: ExchangeFill, fee: float | None) -> None:
        desk = self._desk
        if desk.is_ours(fill.order_id, fill.symbol):
            desk.moves += 1
            self._traded()
        desk.tell(FillReport(desk.clock.now(), fill, fee=fee))


def _is_bare(fill: ExchangeFill) -> bool:
    return fill.fee == 0.0 and fill.fee_currency is None
