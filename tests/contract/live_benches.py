"""The live broker on its bench: with its courier, a true gateway, and an exchange of the venue at its price."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import pytest
from contract.gateways import gateway_to, symbol_of
from lives import KIND
from venue import Venue
from venue.orders import ZERO
from warp import WarpClock, WarpLoop

from metaexpert.broker.costs import Costs
from metaexpert.broker.homes import homes_of
from metaexpert.broker.ledger import Ledger
from metaexpert.broker.live import LiveBroker
from metaexpert.broker.names import Names
from metaexpert.broker.protection import Protection
from metaexpert.courier import Courier
from metaexpert.events import MarkPrice, PublicTrade, Quote
from metaexpert.exchanges import budget
from metaexpert.exchanges.orders import Terms, lacking_of
from metaexpert.exchanges.private import AccountStreams
from metaexpert.models import MarginMode, PositionMode

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from venue.instruments import Instrument
    from venue.state import State

    from metaexpert.broker import News
    from metaexpert.exchanges.capabilities import Feature
    from metaexpert.models import Market
    from metaexpert.reports import Report

__all__ = ["LiveBench", "Stage", "stages"]

START = 1_790_000_000_000
BASE = 60_000
"""The price at first; that of an option is a tenth of it, which its underlying then costs."""
LIMITS_ONLY = ("binance", "okx")
"""Whose options have no market orders."""
RUNS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Stage:
    """One market of one exchange, with a gateway to it; benches use it one after another.

    Its time is that of an event loop of its own, which goes on while a bench waits for something.
    """

    def __init__(self, exchange: str, kind: str, *, hedge: bool) -> None:
        self.exchange, self.kind, self.hedge = exchange, kind, hedge
        self.runs = 0
        self._runner = asyncio.Runner(loop_factory=WarpLoop)
        self.run(self._open())

    @property
    def has_leverage(self) -> bool:
        """Are positions held on margin?"""
        return self.kind in {"linear", "inverse"}

    @property
    def base(self) -> float:
        """The price at first."""
        if self.kind != "option":
            return BASE
        return 0.1 if self.item.settle == self.item.base else BASE / 10

    def _pin(self) -> None:
        """Hold the price where it is at first."""
        if self.kind == "option":
            self.state.pin(self.state.followed(self.item), BASE)
        self.state.pin(self.item, self.base)

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the loop."""
        with pytest.MonkeyPatch.context() as patch:
            if self.runs:
                patch.setattr("ccxt.Exchange.milliseconds", staticmethod(self.clock.now))
            patch.delenv("METAEXPERT_OFFLINE", raising=False)
            return self._runner.run(work)

    async def _open(self) -> None:
        self.clock = WarpClock(START)
        self.runs = 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ccxt.Exchange.milliseconds", staticmethod(self.clock.now))
            self.venue = await Venue(self.clock, exchanges=(self.exchange,)).__aenter__()
            mode = {"position_mode": "hedge" if self.hedge else "oneway"} if self.has_leverage else {}
            self.gateway = gateway_to(
                self.venue, self.exchange, self.kind, sleep=asyncio.sleep, clock=self.clock, **mode
            )
            self.market: Market = await self.gateway.market(symbol_of(self.exchange, self.kind))
            self.state: State = self.venue.states[self.exchange]
            self.item: Instrument = self.state.instrument(self.market.id, KIND[self.kind])
            self._pin()
            self.terms = Terms()
            if self.has_leverage:
                side = PositionMode.HEDGE if self.hedge else PositionMode.ONEWAY
                self.terms = Terms(margin_mode=MarginMode.ISOLATED, leverage=2, position_mode=side)
            await self.gateway.set_up(self.market.symbol, self.terms)

    def close(self) -> None:
        """End it all."""
        self.run(self._close())
        self._runner.close()

    async def _close(self) -> None:
        await self.gateway.close()
        await self.venue.__aexit__()

    def clear(self, money: float) -> None:
        """An account as it was at first, with so much money in it."""
        state = self.state
        for order in state.open_orders():
            state.cancel(order)
        state.orders.clear()
        state.positions.clear()
        for key in state.balances:
            state.balances[key] = ZERO
        state.balances[state.wallet_of(self.item), self.item.settle] = Decimal(str(money))
        self._pin()


class LiveBench:
    """The live broker; an hour takes 15 seconds, and every price is reached on the way from one to the next.

    Orders that were sent since the last look come to the exchange when the first price of the hour stands there.
    """

    step = 15_000

    def __init__(self, stage: Stage) -> None:
        self.stage, self.market = stage, stage.market
        self.leg = "long" if stage.hedge else None
        self.leverage = 2.0 if stage.has_leverage else 1.0
        self.taker, self.underlying = float(stage.item.taker), float(BASE)
        self.beyond = 5.0 if stage.kind == "option" and stage.exchange in LIMITS_ONLY else None
        self._unit = {"inverse": 600.0, "option": 0.1}.get(stage.kind, 0.01)
        worth = self._unit / BASE if stage.kind == "inverse" else self._unit * stage.base
        money = 20 * worth / self.leverage
        stage.clear(money)
        symbol = self.market.symbol
        self.ledger = Ledger(money, {symbol: self.market}, self.leverage, MarginMode.ISOLATED, hedge=stage.hedge)
        stage.runs += 1
        run = "".join(RUNS[stage.runs // 36**n % 36] for n in range(8))
        self.broker = LiveBroker(
            self.ledger, stage.clock, Costs(), Protection(), names=Names("bench", 1, run),
            homes=homes_of([self.market]), intend=lambda order: None, max_slippage_pct=self.beyond,
        )  # fmt: skip
        self._reports: deque[Report] = deque()
        self._news: list[News] = []
        self._price = float(stage.base)
        self._next = 0
        self.stage.run(self._begin())

    async def _begin(self) -> None:
        self.streams = AccountStreams(self.stage.gateway)
        self.courier = Courier(
            self.stage.gateway, self.streams, (self.market.symbol,), self.stage.clock, tell=self._reports.append,
            outbox=self.broker.outbox, terms=self.stage.terms, price_of=lambda symbol: self._price, fail=_raise,
        )  # fmt: skip
        self.courier.open()
        await self._calm()

    def close(self) -> None:
        """End it; no money has moved on the account that the books know nothing of."""
        self.stage.run(self._end())
        assert self.broker.external == pytest.approx(0.0, abs=1e-7 * self.ledger.equity())

    async def _end(self) -> None:
        await self.courier.close()
        await self.streams.close()

    @property
    def now(self) -> int:
        return self.stage.clock.now()

    def at(self, price: float) -> float:
        tick = self.market.price_tick
        return round(round(price * self.stage.base / 100 / tick) * tick, 8)

    def has(self, feature: Feature) -> bool:
        return feature not in lacking_of(self.market)

    def size(self, sizes: float) -> float:
        return sizes * self._unit

    def bought(self, sizes: float) -> float:
        pays_in_base = self.market.is_spot and not self.stage.state.habits.fee_in_quote
        return self.size(sizes) * (1.0 - self.taker * pays_in_base)

    def hour(self, *prices: float) -> list[News]:
        """See `Bench.hour`."""
        self.stage.run(self._hour([self.at(price) for price in prices]))
        news, self._news = self._news, []
        return news

    async def _hour(self, prices: list[float]) -> None:
        await self.stage.clock.sleep_until(self._next)
        self._next = self.now + self.step
        self._take()
        for number, price in enumerate(prices):
            for stop in ([] if number == 0 else self._on_the_way(self._price, price)) + [price]:
                self._price = stop
                await self._move(stop)
        assert self.now < self._next - 1_000
        await self.stage.clock.sleep_until(self._next - 1_000)
        self._hear_market(self._price)
        await self._calm()

    def _on_the_way(self, last: float, price: float) -> list[float]:
        """What orders wait for between two prices."""
        levels = [float(one.trigger or one.price or 0) for one in self.stage.state.open_orders(self.stage.item)]
        for held in self.ledger.legs():
            position = self.broker.position(self.market.symbol, self.leg)
            levels += [level for level in (position.stop_loss, position.take_profit) if level and held.qty]
        between = sorted({one for one in levels if min(last, price) < one < max(last, price)})
        return between if price > last else between[::-1]

    async def _move(self, price: float) -> None:
        """The market comes to a price; all that follows of it."""
        self.stage.state.pin(self.stage.item, Decimal(str(price)))
        self.stage.venue.pulse()
        self._hear_market(price)
        self._news += self.broker.meet(self.market.symbol)
        self.broker.guard()
        await self._calm()

    def _hear_market(self, price: float) -> None:
        now, symbol = self.now, self.market.symbol
        if self.market.is_option:
            self._news += self.broker.on_mark(MarkPrice(now, symbol, price, self.underlying))
        self._news += self.broker.on_quote(Quote(now, symbol, price, price, 1.0, 1.0))
        self._news += self.broker.on_trade(PublicTrade(now, symbol, str(now), price, 1.0, 1))

    async def _calm(self) -> None:
        """Until nothing is under way any more."""
        quiet = 0
        while quiet < 2:
            self._take()
            self.courier.wake()
            await asyncio.sleep(0.4)
            self.stage.venue.pulse()
            is_calm = self.courier.is_idle and not self._reports and not self.broker.outbox
            quiet = quiet + 1 if is_calm else 0

    def _take(self) -> None:
        """What has come back is heard."""
        while self.broker.news:
            self._news.append(self.broker.news.popleft())
        while self._reports:
            self._news += self.broker.hear(self._reports.popleft())
            self.broker.guard()


def _raise(error: BaseException) -> None:
    raise error


@contextmanager
def stages() -> Generator[Any]:
    """Makes benches, each on a stage that those before it on the same market have left."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "_BUDGETS", WeakValueDictionary())
        known: dict[tuple[str, str, bool], Stage] = {}

        def make(exchange: str, kind: str, *, hedge: bool = False) -> LiveBench:
            key = exchange, kind, hedge
            if key not in known:
                known[key] = Stage(exchange, kind, hedge=hedge)
                stack.callback(known[key].close)
            return LiveBench(known[key])

        yield make
