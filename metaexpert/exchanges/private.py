"""What happens on an account, as it happens: orders and fills as the exchange pushes them, positions and money.

A push of a position or a balance leaves out what has not changed or is never told (margin, leverage, what is
free), in ways of its own on each exchange. So it says only that something changed, and how things stand is asked
for. Nothing is pushed while a connection is broken: after a `NetworkError` look everything up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from ..errors import MetaExpertError, OrderRejected
from ..models import Position
from . import account
from .fields import said
from .lines import Channel, Line, Waiters
from .venues import Segment
from .wording import CLIENT_IDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..answers import Balance, ExchangeFill
    from ..models import Market, Order
    from .gateway import Gateway

    type Raw = Mapping[str, Any]

__all__ = ["AccountStreams"]

_WITH_STOPS = ("okx", "bitget", "kucoin")
"""Exchanges that push stop orders apart from the others."""

_USDC = {"type": "swap", "instType": "USDC-FUTURES"}
_WALLETS: Mapping[str, Mapping[Segment, tuple[Mapping[str, Any], ...]]] = {
    "binance": {
        Segment.SPOT: ({"type": "spot"},),
        Segment.LINEAR: ({"type": "swap", "subType": "linear"},),
        Segment.INVERSE: ({"type": "swap", "subType": "inverse"},),
        Segment.OPTION: ({"type": "option"},),
    },
    "bitget": {
        Segment.SPOT: ({"type": "spot"},),
        Segment.LINEAR: ({"type": "swap"}, _USDC),
        Segment.INVERSE: ({"type": "swap", "instType": "COIN-FUTURES"},),
    },
    "kucoin": {
        Segment.SPOT: ({"type": "spot"},),
        Segment.LINEAR: ({"type": "swap"},),
        Segment.INVERSE: ({"type": "swap"},),
    },
}
"""The parameters of each call of CCXT's `watch_balance` that together tell of a segment; others need none."""

_TOLD = 1000  # orders of which it is remembered how they were told last
_WAITING = 1000  # answers that may wait until somebody asks


class AccountStreams:
    """The private streams of one account, for one kind of market; use it within one event loop.

    Args:
        gateway: asks the exchange; its owner closes it.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._waiters = Waiters()
        self._bundles: dict[tuple[str, ...], _Bundle] = {}
        self._orders: dict[str, Order] = {}
        self._held: dict[str, Position] = {}

    async def watch_orders(self, symbol: str, sent: Mapping[str, Order] | None = None) -> list[Order]:
        """Wait for news of orders in a market, stop orders included; the first call subscribes.

        Several changes of an order that come at once are told as the last of them: `watch_fills` tells each fill.

        Args:
            symbol: as in `Gateway.market`.
            sent: orders of ours by client id, with their `exchange_id`: their terms hold, and the news tells how
                far they have come.

        Raises:
            NetworkError: the connection broke, now or since the last answer.
            MetaExpertError: as `Caller.watch` has it.
        """
        market = await self._gateway.known(symbol)
        known: Mapping[str, Order] = {} if sent is None else sent  # an empty one may be filled later
        calls: list[tuple[Any, ...]] = [(market.symbol,)]
        if market.exchange in _WITH_STOPS:
            calls.append((market.symbol, None, None, {"trigger": True}))
        while True:
            raws = await self._next("orders", market.symbol, "watch_orders", calls)
            found = [(order, one) for raw in raws for one in raw if (order := self._order(one, market, known))]
            if found:
                return [await self._whole(order, one, market) for order, one in found]

    async def _whole(self, order: Order, raw: Raw, market: Market) -> Order:
        """The order; of a stop that was reached, where the push lacks the id of what it has become, looked up."""
        if account.child_of(raw, market) != "":
            return order
        try:
            return await self._gateway.find(order) or order
        except MetaExpertError:  # whoever misses its fills looks it up again
            return order

    def _order(self, raw: Raw, market: Market, sent: Mapping[str, Order]) -> Order | None:
        """The order, if it is not as it was told last; None as well while its quantity can't be known."""
        own = str(raw.get("clientOrderId") or said(raw, *CLIENT_IDS.get(market.exchange, ())) or "")
        theirs = account.id_of(raw, market)  # which is all that KuCoin tells of a stop order on futures
        asked = sent.get(own) or next((one for one in sent.values() if one.exchange_id == theirs), None)
        try:
            order = account.order_of(raw, market, asked)
        except OrderRejected:  # a market order of others, counted in base, before it has a price
            return None
        if self._orders.get(order.id) == order:
            return None
        self._orders[order.id] = order
        if len(self._orders) > _TOLD:
            del self._orders[next(iter(self._orders))]
        return order

    async def watch_fills(self, symbol: str) -> list[ExchangeFill]:
        """Wait for executions of the account in a market, oldest first; the first call subscribes.

        Raises:
            NetworkError, MetaExpertError: as in `watch_orders`.
        """
        market = await self._gateway.known(symbol)
        raws = await self._next("fills", market.symbol, "watch_my_trades", [(market.symbol,)])
        fills = {fill.id: fill for raw in raws for fill in (account.fill_of(one, market) for one in raw)}
        return sorted(fills.values(), key=lambda fill: fill.time)

    async def watch_positions(self, symbols: Sequence[str]) -> tuple[Position, ...]:
        """Wait until a position in one of these markets changes; the first call subscribes.

        Returns:
            How all of them stand then, those included that have been closed since the last answer: they are flat.

        Raises:
            NetworkError, MetaExpertError: as in `watch_orders`.
        """
        names = await self.position_change(symbols)
        held = {
            f"{one.symbol} {one.position_side}": one
            for one in await self._gateway.positions()
            if one.symbol in names
        }
        gone = [one for name, one in self._held.items() if name not in held]
        self._held = held
        flat = (Position(symbol=one.symbol, position_side=one.position_side) for one in gone)
        return (*held.values(), *flat)

    async def position_change(self, symbols: Sequence[str]) -> list[str]:
        """Wait until a position in one of these markets changes, whatever it is then; returns their names."""
        names = [(await self._gateway.known(symbol)).symbol for symbol in symbols]
        await self._next("positions", ", ".join(names), "watch_positions", [([name],) for name in names])
        return names

    async def watch_balances(self) -> tuple[Balance, ...]:
        """Wait until a balance of the segment changes, and tell how they stand; the first call subscribes.

        Raises:
            NetworkError, MetaExpertError: as in `watch_orders`.
        """
        await self.balance_change()
        return await self._gateway.balances()

    async def balance_change(self) -> None:
        """Wait until a balance of the segment changes, whatever it is then."""
        venue = self._gateway.caller.venue
        wallets = _WALLETS.get(venue.id, {}).get(self._gateway.segment, ({},))
        await self._gateway.known((await self._gateway.markets())[0].symbol)
        await self._next("balances", venue.name, "watch_balance", [(dict(one),) for one in wallets])

    async def close(self) -> None:
        """End every subscription; who waits gets a `NetworkError`."""
        self._waiters.wake()
        bundles, self._bundles = self._bundles, {}
        for bundle in bundles.values():
            await bundle.close()

    async def _next(self, what: str, where: str, method: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What came of one kind: the answers of those of the calls that have one."""
        doing = f"watch the {what} of {where}"
        bundle = self._bundles.get((method, where))
        if bundle is None:
            lines = [Line(self._gateway.caller, doing, Channel(method, call), private=True) for call in calls]
            bundle = self._bundles[method, where] = _Bundle(lines)
        return await self._waiters.wait(doing, bundle.next())


class _Bundle:
    """Lines that are watched together, each by a task that does nothing else: what comes in between is lost."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._tasks: list[asyncio.Task[None]] = []
        self._come: deque[Any] = deque()
        self._news = asyncio.Event()

    async def next(self) -> list[Any]:
        """All answers since the last call, one at least."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._pump(line)) for line in self._lines]
        await self._news.wait()
        if isinstance(self._come[0], MetaExpertError):
            error = self._come[0]
            await self.close()
            raise error
        found: list[Any] = []
        while self._come and not isinstance(self._come[0], MetaExpertError):
            found.append(self._come.popleft())
        if not self._come:
            self._news.clear()
        return found

    async def _pump(self, line: Line) -> None:
        try:
            while True:
                self._tell(await line.answer())
                if len(self._come) > _WAITING:
                    line.fail("more came than is kept")
        except MetaExpertError as error:
            self._tell(error)

    def _tell(self, what: Any) -> None:
        self._come.append(what)
        self._news.set()

    async def close(self) -> None:
        """End the tasks; the next call begins anew."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._come.clear()
        self._news.clear()
