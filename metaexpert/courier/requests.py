"""What changes something at the exchange: orders, cancellations, changes. In turn within a symbol, each once."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import (
    AccessDenied,
    AuthenticationError,
    ClockError,
    ConfigError,
    MetaExpertError,
    OrderNotFound,
    OrderRejected,
    RequestError,
    UnavailableError,
)
from ..exchanges.orders import OrderRequest
from ..models import OrderType, TimeInForce
from ..reports import Amend, Cancel, ChangeRefused, OrderRefused, OrderUnknown, Send
from .desk import BARRED, line

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..exchanges.orders import Terms
    from ..models import Order
    from .desk import Desk
    from .lookups import Lookups

    type Asked = Send | Cancel | Amend

__all__ = ["Requests"]

_PASSING = (UnavailableError, ClockError)
"""Nothing was done, and the same may succeed a moment later."""
_REFUSED = (OrderRejected, OrderNotFound, RequestError, ConfigError, *_PASSING, *BARRED)
"""Nothing was done: that is certain."""
_REASONS: dict[type[MetaExpertError], str] = {
    UnavailableError: "unavailable",
    ClockError: "clock",
    AuthenticationError: "not_allowed",
    AccessDenied: "access_denied",
}


class Requests:
    """The lanes of requests, one a symbol.

    Args:
        desk: what is shared.
        lookups: looks up what is not known.
        terms: what positions are held on.
        price_of: the last known price of a symbol, None where none is known.
    """

    def __init__(
        self, desk: Desk, lookups: Lookups, terms: Terms, price_of: Callable[[str], float | None]
    ) -> None:
        self._desk, self._lookups, self._terms, self._price_of = desk, lookups, terms, price_of
        self._lanes: dict[str, deque[Asked]] = {}
        self._is_closed = False

    @property
    def are_under_way(self) -> bool:
        """Is there one that has been sent or waits for its turn?"""
        return bool(self._lanes)

    def add(self, command: Asked) -> None:
        """Send it when its turn has come."""
        symbol = command.order.symbol
        lane = self._lanes.get(symbol)
        if lane is not None:
            lane.append(command)
            return
        self._lanes[symbol] = deque((command,))
        self._desk.start(self._drive(symbol), self._desk.requests)

    def stop(self) -> None:
        """Begin no other; those under way go on."""
        self._is_closed = True

    async def _drive(self, symbol: str) -> None:
        """One after the other, until none waits."""
        lane = self._lanes[symbol]
        try:
            while lane and not self._is_closed:
                command = lane.popleft()
                self._desk.moves += 1
                if isinstance(command, Send):
                    await self._send(command.order)
                else:
                    await self._change(command)
                self._desk.moves += 1
        finally:
            del self._lanes[symbol]

    # -- orders ------------------------------------------------------------------------------------------------

    async def _send(self, order: Order) -> None:
        desk = self._desk
        desk.keep(order)
        begun = self._lookups.sent[order.id] = desk.clock.now()
        try:
            found = await self._submit(order, begun)
        except _REFUSED as error:
            self._lookups.sent.pop(order.id, None)  # it may have been found meanwhile
            reason = error.reason if isinstance(error, OrderRejected) else _REASONS.get(type(error), "rejected")
            desk.tell(OrderRefused(desk.clock.now(), order.symbol, order.id, reason, str(error)))
            desk.count("order", error)
        except Exception as error:  # noqa: BLE001 - nothing else proves that it was not sent, whatever it is
            desk.tell(OrderUnknown(desk.clock.now(), order.symbol, order.id, line(error)))
            self._lookups.seek(order, desk.patience.first)
        else:
            self._lookups.sent.pop(order.id, None)  # it may have been found meanwhile
            desk.count("order")
            desk.report(found)
            if found.is_working and _ends_at_once(order):
                desk.start(self._confirm(order), desk.work)

    async def _submit(self, order: Order, begun: int) -> Order:
        """Send it; a closing order that the exchange has no time for again for a moment, once it is not there."""
        bare = order.changed(stop_loss=None, take_profit=None)
        backoff = self._desk.backoff()
        while True:
            price = await self._price(order.symbol)
            request = OrderRequest(order=bare, terms=self._terms, reference_price=price, watched=True)
            try:
                return await self._desk.gateway.submit(request)
            except _PASSING as error:
                pause = backoff.pause(error)
                left = begun + self._desk.patience.closing - self._desk.clock.now() - pause
                if not order.reduce_only or left <= 0 or self._is_closed:
                    raise
                await self._desk.pause(pause)
                if (found := await self._glance(order, left, error)) is not None:
                    return found

    async def _price(self, symbol: str) -> float | None:
        price = self._price_of(symbol)
        if price is None:
            with suppress(MetaExpertError):  # an order that needs one is refused without
                price = (await self._desk.gateway.ticker(symbol)).last
        return price

    async def _glance(self, order: Order, left: int, before: MetaExpertError) -> Order | None:
        """Is it there after all? Raises `before` where that is not known within `left` ms."""
        try:
            async with asyncio.timeout(left / 1000):
                return await self._desk.gateway.find(order)
        except (MetaExpertError, TimeoutError):
            raise before from None

    # -- changes -----------------------------------------------------------------------------------------------

    async def _change(self, command: Cancel | Amend) -> None:
        desk, order = self._desk, self._desk.keep(command.order)
        try:
            if isinstance(command, Cancel):
                await desk.gateway.cancel(order)
            else:
                await desk.gateway.amend(order, command.price, command.qty)
        except MetaExpertError as error:
            self._failed(command, order, error)
        else:
            desk.count("order")
            desk.start(self._confirm(order, command), desk.work)

    def _failed(self, command: Cancel | Amend, order: Order, error: MetaExpertError) -> None:
        """A cancellation may be sent again, so it is, until it is certain; a change is looked up."""
        desk, is_refused = self._desk, isinstance(error, _REFUSED)
        if isinstance(command, Cancel) and (isinstance(error, _PASSING) or not is_refused):
            desk.start(self._again(command, error), desk.work)
        elif is_refused:
            what = "cancel" if isinstance(command, Cancel) else "amend"
            desk.tell(ChangeRefused(desk.clock.now(), order.symbol, order.id, what, str(error)))
            desk.count("order", error)
        else:
            self._lookups.seek(order, desk.patience.first)

    async def _again(self, command: Cancel, error: MetaExpertError | None = None) -> None:
        """Cancel it anew after a pause, unless it has ended meanwhile."""
        asked = getattr(error, "retry_after", None) or 0.0
        await self._desk.pause(max(self._desk.patience.confirm, int(asked * 1000)))
        if self._desk.keep(command.order).is_working:
            self.add(command)

    async def _confirm(self, order: Order, command: Cancel | Amend | None = None) -> None:
        """Look up what became of a request, unless a stream tells that the order has ended."""
        await self._desk.pause(self._desk.patience.confirm)
        if self._desk.keep(order).is_working:
            self._lookups.seek(order)
            if isinstance(command, Cancel):
                await self._again(command)


def _ends_at_once(order: Order) -> bool:
    return order.type is OrderType.MARKET or order.tif in (TimeInForce.IOC, TimeInForce.FOK)
