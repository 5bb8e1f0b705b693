"""A courier at the venue in warped time: commands go in, what it tells is kept."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import pytest
from contract.gateways import KINDS, gateway_to
from contract.streaming import instrument_of
from pyleak import no_task_leaks
from venue import Venue
from warp import WarpClock, warped

from metaexpert.broker.costs import Costs
from metaexpert.broker.homes import homes_of
from metaexpert.broker.ledger import Ledger
from metaexpert.broker.live import LiveBroker
from metaexpert.broker.names import Names
from metaexpert.broker.protection import Protection
from metaexpert.courier import Courier
from metaexpert.events import Notice, PublicTrade, Quote
from metaexpert.exchanges import budget
from metaexpert.exchanges.orders import Terms
from metaexpert.exchanges.private import AccountStreams
from metaexpert.models import MarginMode, Order, OrderType, Side
from metaexpert.reports import Command, FillReport, OrderReport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from metaexpert.broker import News

__all__ = ["Post", "posted"]

START = 1_790_000_000_000


class Post:
    """An account at the venue and the courier that goes there.

    `told` has all that was told, in order; `failed` what nothing could be done about.
    """

    def __init__(self, venue: Venue, clock: WarpClock, exchange: str, kind: str, **more: Any) -> None:
        self.venue, self.clock, self.exchange, self.kind = venue, clock, exchange, kind
        self.symbol = KINDS[kind][1]
        self.gateway = gateway_to(venue, exchange, kind, sleep=asyncio.sleep, clock=clock)
        self.streams = AccountStreams(self.gateway)
        self.terms = Terms() if kind == "spot" else Terms(margin_mode=MarginMode.CROSS, leverage=10)
        self._names = 0
        self.outbox: deque[Command] = deque()
        self.told: list[Any] = []
        self.failed: list[BaseException] = []
        self.written: list[Order] = []
        self.courier = Courier(
            self.gateway, self.streams, [self.symbol], clock, tell=self.told.append, outbox=self.outbox,
            terms=self.terms, price_of=lambda _: self.price, fail=self.failed.append, random=lambda: 0.0, **more,
        )  # fmt: skip

    async def begin(self) -> None:
        """Know the market, hold its price, set the account up."""
        self.market = await self.gateway.known(self.symbol)
        self.state = self.venue.states[self.exchange]
        self.item = instrument_of(self.venue, self.gateway.caller.client, self.symbol)
        self.price = float(self.state.price(self.item))
        self.state.pin(self.item, self.state.price(self.item))
        await self.gateway.set_up(self.symbol, self.terms)
        await self.gateway.find(self.order("zz"))  # so that the clock is known, and no fault befalls its measuring

    def order(self, name: str = "a1", **more: Any) -> Order:
        """A purchase at market of a size that every market takes; with a price a limit order."""
        qty = 20 * max(self.market.qty_step, 100.0 if self.market.is_inverse else 0.001)
        kind = OrderType.MARKET if more.get("price") is None else OrderType.LIMIT
        plain = {"id": name, "symbol": self.symbol, "side": Side.BUY, "type": kind, "qty": qty}
        return Order(**(plain | {"created": self.clock.now()} | more))

    def resting(self, name: str = "a1", **more: Any) -> Order:
        """A limit purchase that rests."""
        return self.order(name, price=float(round(0.9 * self.price)), **more)

    def broker(self, state: Any = None, intents: tuple[Order, ...] = (), **levels: float) -> LiveBroker:
        """A live broker whose commands the courier carries, of a run of its own; what it writes down is lost."""
        self._names += 1
        ledger = Ledger(0.0, {self.symbol: self.market}, self.terms.leverage, MarginMode.CROSS)
        protection = Protection(**levels)
        made = LiveBroker(
            ledger, self.clock, Costs(), protection, names=Names("post", 1, f"run{self._names:05}"),
            homes=homes_of([self.market]), intend=self.written.append,
        )  # fmt: skip
        made.outbox, made.on_command = self.outbox, self.courier.wake
        if state is not None:
            made.restore(json.loads(json.dumps(state)), intents)
        return made

    def trade(self, broker: LiveBroker) -> None:
        """The broker hears of the market's price."""
        broker.on_quote(Quote(self.clock.now(), self.symbol, self.price, self.price, 1.0, 1.0))
        for _ in broker.on_trade(PublicTrade(self.clock.now(), self.symbol, "", self.price, 1.0, 0)):
            pass

    def hear(self, broker: LiveBroker) -> list[News]:
        """The broker hears what was told since the last time."""
        told, self.told[:] = list(self.told), []
        news: list[News] = []
        for report in told:
            news += [] if isinstance(report, Notice) else broker.hear(report)
            broker.guard()
        return news

    async def calm(self, broker: LiveBroker) -> list[News]:
        """What the broker makes of all that is told until it is settled."""
        news: list[News] = []
        for _ in range(240):
            broker.guard()
            self.courier.wake()
            await self.seconds(0.25)
            news += self.hear(broker)
            if broker.is_settled and self.courier.is_idle:
                return news
        raise AssertionError("the broker does not come to rest")

    def ask(self, *commands: Command) -> None:
        """Give commands to the courier, as a broker does."""
        self.outbox.extend(commands)
        self.courier.wake()

    async def asked(self, *commands: Command) -> list[Any]:
        """What is told until nothing is under way."""
        begun = len(self.told)
        self.ask(*commands)
        await self.courier.idle()
        return self.told[begun:]

    def of(self, kind: type, told: list[Any] | None = None) -> list[Any]:
        """What was told of one kind."""
        return [one for one in (self.told if told is None else told) if isinstance(one, kind)]

    @property
    def statuses(self) -> list[str]:
        """How orders stood, each time that it was told, without repetitions."""
        found = [one.order.status.value for one in self.of(OrderReport)]
        return [one for n, one in enumerate(found) if n == 0 or found[n - 1] != one]

    @property
    def fills(self) -> dict[str, FillReport]:
        """The fills that were told, by id."""
        return {one.fill.id: one for one in self.of(FillReport)}

    def orders(self) -> list[Any]:
        """All orders that the exchange ever took."""
        return [one for one in self.state.orders.values() if one.instrument is self.item]

    async def seconds(self, seconds: float) -> None:
        """Let time pass, at the exchange too."""
        for _ in range(max(1, round(seconds))):
            await asyncio.sleep(min(1.0, seconds))
            self.venue.pulse()


def posted(
    work: Callable[[Post], Awaitable[None]], exchange: str, kind: str, *, is_open: bool = False, **more: Any
) -> Post:
    """Do `work` with a courier that has begun, in warped time; with `is_open` it listens as well."""
    return warped(_post(work, exchange, kind, is_open=is_open, **more))


async def _post(
    work: Callable[[Post], Awaitable[None]], exchange: str, kind: str, *, is_open: bool, **more: Any
) -> Post:
    clock = WarpClock(START)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ccxt.Exchange.milliseconds", staticmethod(clock.now))
        patch.setattr(budget, "_BUDGETS", WeakValueDictionary())
        patch.delenv("METAEXPERT_OFFLINE", raising=False)
        async with no_task_leaks(action="raise"), Venue(clock, exchanges=(exchange,)) as venue:
            post = Post(venue, clock, exchange, kind, **more)
            await post.begin()
            try:
                if is_open:
                    post.courier.open()
                    await post.seconds(4)
                await work(post)
            finally:
                await post.courier.close()
                await post.streams.close()
                await post.gateway.close()
    return post
