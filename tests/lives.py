"""One expert at the loopback exchange in warped time, wired as users' are: begun, stopped, killed, begun again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import pytest
from contract.gateways import KEYS, KINDS, no_sleep, symbol_of
from power import Power, powered
from venue import Fault, Venue
from venue.instruments import Kind, day_code
from venue.news import TradeNews
from venue.tape import Recording, Tape
from warp import WarpClock

from metaexpert.exchanges import budget
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.gateway import Gateway
from metaexpert.journal import JournalReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from venue.instruments import Instrument
    from venue.orders import Fill, Order
    from venue.state import State

    from metaexpert import MetaExpert
    from metaexpert.config import ExchangeSettings
    from metaexpert.running import Run

__all__ = ["BEGUN", "CALM", "MINUTE", "PRICE", "SECOND", "START", "Done", "Life", "World", "settings_of", "world"]

SECOND, MINUTE = 1_000, 60_000
START = 1_790_000_040_000 // MINUTE * MINUTE
BEGUN = START - 30 * SECOND
BEAT = SECOND
"""How often the exchange pushes what has happened."""
CALM = 5 * SECOND
PRICE = 60_000.0
OPTIONS_END = 1_798_185_600_000
KIND = {"spot": Kind.SPOT, "linear": Kind.LINEAR, "inverse": Kind.INVERSE, "option": Kind.OPTION}


def settings_of(exchange: str, kind: str, **more: Any) -> dict[str, Any]:
    """What an expert is told of its exchange."""
    return {"exchange": exchange, "log_to_console": False, **KINDS[kind][0], **KEYS, **more}


class Traces(NamedTuple):
    """What a restart can tell apart: the journal, the exchange, and what is on its way between them."""

    written: int
    changes: int
    begun: int
    arrived: int


class Done(NamedTuple):
    """One execution as the exchange has it: whose order, its side, quantity and price, and the fee in its coin."""

    client_id: str
    buy: bool
    qty: float
    price: float
    fee: float
    fee_coin: str


@dataclass
class Life:
    """One process of the expert, from its start on."""

    power: Power
    expert: MetaExpert
    run: Run
    task: asyncio.Task[str]
    clients: list[Any] = field(default_factory=list)
    logs: list[Any] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """What it has logged, without particulars."""
    begun: int = 0
    """Requests that change something, which it has begun to send."""

    @property
    def is_over(self) -> bool:
        """Has it come to its end?"""
        return self.task.done()


class World:
    """An exchange with one account, a course of prices, and the experts that live there, one after another.

    Args:
        venue: the exchange.
        clock: its time and theirs.
        exchange: its name.
        kind: of the market: spot, linear, inverse or option.
        make: makes the expert.
        terms: of its runs.
    """

    def __init__(
        self, venue: Venue, clock: WarpClock, exchange: str, kind: str, make: Callable[[World], MetaExpert],
        terms: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.venue, self.clock, self.exchange, self.kind = venue, clock, exchange, kind
        self.symbol = symbol_of(exchange, kind)
        self.state: State = venue.states[exchange]
        self.lives: list[Life] = []
        self.changes = 0
        """How often something of the account has changed at the exchange."""
        self._make = make
        self._terms = {"trade_mode": "live", "no_limits": True, **terms}
        self.state.listeners.append(self._hear)
        self._coins = self.balance(self.item.base)

    # -- lives --------------------------------------------------------------------------------------------------

    def begin(self, at: int | None = None, **terms: Any) -> Life:
        """Begin a process; its power fails `at` one of the moments that are counted (None: never)."""
        assert not self.lives or self.lives[-1].is_over
        power = Power(at, lambda: self._traces(life))
        expert = self._make(self)
        life = Life(power, expert, expert.start(**(self._terms | terms)), asyncio.ensure_future(_nothing()))
        log = life.run.job.log

        def logged(now: Callable[[], int]) -> Any:
            life.logs.append(log(now))
            return _Listening(life.logs[-1], life.said)

        life.run.job = replace(
            life.run.job, clock=self.clock, log=logged, gateway=lambda told: self.gateway(told, life)
        )
        life.task = power.context().run(asyncio.create_task, _end_of(life.run))
        self.lives.append(life)
        return life

    async def until(self, time: int) -> None:
        """Wait until `time` (ms UTC), or until the process that lives now is no more.

        Raises:
            Exception: what it has failed with.
        """
        life = self.lives[-1]
        sleep = asyncio.ensure_future(self.clock.sleep_until(time))
        failed = asyncio.ensure_future(life.power.failed.wait())
        await asyncio.wait({sleep, failed, life.task}, return_when=asyncio.FIRST_COMPLETED)
        for one in (sleep, failed):
            one.cancel()
        if life.power.is_on and life.is_over:
            life.task.result()

    async def stop(self) -> str:
        """Stop the process that lives now in order; returns the reason why it ended."""
        life = self.lives[-1]
        life.run.stop()
        return await life.task

    async def fail(self, *, arrives: bool = True) -> None:
        """Cut the power, where it has not failed yet; what is on its way to the exchange arrives, or not."""
        life = self.lives[-1]
        if life.power.is_on:
            life.power.cut()
        rule = None if arrives else self.venue.faults.add(Fault.RESET, times=1_000_000)
        await asyncio.sleep(1.0)
        await life.power.bury()
        for client in life.clients:
            await client.close()
        self.venue.sockets.cut(self.exchange, "reset")
        for log in life.logs:
            log.close()
        await asyncio.sleep(1.0)
        if rule is not None:
            self.venue.faults.rules.remove(rule)

    def gateway(self, settings: ExchangeSettings, life: Life) -> Gateway:
        """A gateway that sends nothing once the power is off."""

        def client(told: Any) -> Any:
            made = self.venue.redirect(connect(told, sleep=no_sleep))
            fetch = made.fetch

            async def gated(url: str, method: str = "GET", *args: Any, **more: Any) -> Any:
                life.power.check()
                life.begun += method != "GET"
                return await fetch(url, method, *args, **more)

            made.fetch = gated
            life.clients.append(made)
            return made

        return Gateway(settings, client=client, sleep=asyncio.sleep, clock=self.clock)

    def _traces(self, life: Life) -> Traces:
        begun = sum(one.begun for one in self.lives)
        return Traces(life.power.written, self.changes, begun, self.arrived)

    def _hear(self, news: object) -> None:
        self.changes += not isinstance(news, TradeNews)

    # -- the exchange's own -------------------------------------------------------------------------------------

    @property
    def item(self) -> Instrument:
        """The instrument; of options the call in the money."""
        if self.kind == "option":
            calls = (one for one in self.state.listed(Kind.OPTION) if one.base == "BTC" and one.call)
            return min(calls, key=lambda one: one.strike or 0)
        names = {(one.kind, one.base, one.quote): one for one in self.state.instruments.values() if not one.expiry}
        return names[KIND[self.kind], "BTC", "USD" if self.kind == "inverse" else "USDT"]

    @property
    def arrived(self) -> int:
        """Requests that change something, which have come to the exchange."""
        return sum(one.method not in {"GET", "WS"} for one in self.venue.seen)

    @property
    def positions(self) -> dict[str, float]:
        """What is held there by side (BOTH, LONG, SHORT), signed, in our units; none that is flat.

        On spot, what has come to the coins that were there at first.
        """
        if self.kind == "spot":
            more = round(self.balance(self.item.base) - self._coins, 9)
            return {"BOTH": more} if more else {}
        return {
            one.side: float(one.amount * one.instrument.contract)
            for one in self.state.positions.values() if one.instrument == self.item and one.amount
        }  # fmt: skip

    @property
    def orders(self) -> list[Order]:
        """Its orders that are open or wait for their trigger, oldest first."""
        return self.state.open_orders(self.item)

    @property
    def all_orders(self) -> list[Order]:
        """Every order that it has ever taken in this instrument, oldest first."""
        return [one for one in self.state.orders.values() if one.instrument == self.item]

    @property
    def stops(self) -> list[Order]:
        """Those of the orders that wait for a trigger and only reduce."""
        return [one for one in self.orders if one.conditional and self.state.reduces(one)]

    @property
    def fills(self) -> list[Done]:
        """Every execution, in the order in which they happened."""
        done = [(fill, order) for order in self.all_orders for fill in order.fills]
        return [self._done(*one) for one in sorted(done, key=lambda one: one[0].id)]

    def _done(self, fill: Fill, order: Order) -> Done:
        qty = float(fill.amount * self.item.contract)
        return Done(order.client_id, order.buy, qty, float(fill.price), float(fill.fee), fill.fee_coin)

    def balance(self, coin: str) -> float:
        """The money in the wallet of the instrument."""
        return float(self.state.balances[self.state.wallet_of(self.item), coin])

    def pin(self, price: float) -> None:
        """Hold the price from now on."""
        self.state.pin(self.item, Decimal(str(price)))
        self.venue.pulse()

    def end(self, expires: int) -> None:
        """Have the option end then; before anybody has looked at it."""
        item = self.state.relist(self.item, expiry=expires)
        self.symbol = self.symbol.replace(day_code(OPTIONS_END), day_code(item.expiry or 0))

    # -- our own ------------------------------------------------------------------------------------------------

    def journal(self) -> JournalReader:
        """The journal of the expert, to be closed by the caller."""
        return JournalReader.open(self.lives[-1].run.journal)


class _Listening:
    """A logger of which it is kept what it was told."""

    def __init__(self, log: Any, said: list[str]) -> None:
        self._log, self._said = log, said

    def __getattr__(self, name: str) -> Any:
        own = getattr(self._log, name)
        if name not in {"debug", "info", "warning", "error", "critical"}:
            return own

        def say(text: str, *args: Any, **more: Any) -> None:
            self._said.append(text)
            own(text, *args, **more)

        return say


async def _nothing() -> str:
    return ""


async def _end_of(run: Run) -> str:
    return await run.begin()


def course(prices: Mapping[int, float], minutes: int) -> Recording:
    """Six trades a minute at prices that stand still but for `prices` from a minute on; two ticks up and down."""
    rows: list[tuple[int, float]] = []
    price = PRICE
    for minute in range(-40, minutes):
        price = prices.get(minute, price)
        rows += [
            (START + minute * MINUTE + number * 10 * SECOND + 137, round(price + (number % 3 - 1) * 0.2, 1))
            for number in range(6)
        ]
    time, told = (np.array(column) for column in zip(*rows, strict=True))
    return Recording(time, told, np.full(len(rows), 0.5), np.arange(len(rows)) % 2 == 0)


@asynccontextmanager
async def world(
    exchange: str, kind: str, make: Callable[[World], MetaExpert], *, prices: Mapping[int, float] | None = None,
    minutes: int = 60, expires: int | None = None, **terms: Any,
) -> AsyncIterator[World]:  # fmt: skip
    """A world in the event loop that runs, which must be a warped one; it begins half a minute before `START`.

    Args:
        exchange: the exchange's name.
        kind: of the market.
        make: makes the expert.
        prices: the price from a minute on, counted from `START`.
        minutes: how long the course goes.
        expires: when the option ends (ms UTC); None: in three months.
        **terms: of the runs, such as ``trade_mode``.
    """
    clock = WarpClock(BEGUN)
    base = KINDS[kind][1].split("/")
    pair = KIND[kind], base[0], base[1].split(":")[0]
    with pytest.MonkeyPatch.context() as patch, powered(patch):
        patch.setattr("ccxt.Exchange.milliseconds", staticmethod(clock.now))
        patch.setattr(budget, "_BUDGETS", WeakValueDictionary())
        patch.delenv("METAEXPERT_OFFLINE", raising=False)
        async with Venue(
            clock, prices=Tape({pair: course(prices or {}, minutes)}), exchanges=(exchange,)
        ) as venue:
            made = World(venue, clock, exchange, kind, make, terms)
            if expires is not None:
                made.end(expires)
            beat = asyncio.create_task(_beat(venue, clock))
            try:
                yield made
            finally:
                if made.lives and not made.lives[-1].is_over:
                    await made.fail()
                beat.cancel()
                with suppress(asyncio.CancelledError):
                    await beat


async def _beat(venue: Venue, clock: WarpClock) -> None:
    """Let the exchange do what there is to do, again and again."""
    while True:
        await clock.sleep_until(clock.now() // BEAT * BEAT + BEAT)
        venue.pulse()
