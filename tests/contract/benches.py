"""Brokers for the contract tests, each over one market that moves as it is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from metaexpert.broker.costs import Costs
from metaexpert.broker.data import live_data
from metaexpert.broker.ledger import Ledger
from metaexpert.broker.simulated import SimulatedBroker
from metaexpert.clock import SimClock
from metaexpert.events import MarkPrice
from metaexpert.exchanges.orders import lacking_of
from metaexpert.models import Bar, ContractType, MarginMode, Market, MarketType

if TYPE_CHECKING:
    from metaexpert.broker import Broker, News
    from metaexpert.exchanges.capabilities import Feature

__all__ = ["Bench", "SimulatedBench"]

HOUR = 3_600_000
LINEAR = Market(
    symbol="BTC/USDT:USDT", exchange="demo", type=MarketType.FUTURES, contract_type=ContractType.LINEAR,
    base="BTC", quote="USDT", settle="USDT", price_tick=0.5, qty_step=0.01, min_qty=0.1, max_qty=100.0,
    min_notional=20.0, maker=0.0002, taker=0.0005, max_leverage=50.0,
)  # fmt: skip
MARKETS = {
    "linear": LINEAR,
    "inverse": replace(
        LINEAR, symbol="BTC/USD:BTC", contract_type=ContractType.INVERSE, quote="USD", settle="BTC", qty_step=1.0,
        min_qty=10.0, max_qty=10_000.0, min_notional=20.0,
    ),
    "spot": replace(LINEAR, symbol="BTC/USDT", type=MarketType.SPOT, contract_type=None, max_leverage=None),
    "option": replace(
        LINEAR, symbol="BTC/USDT:USDT-261225-900-C", exchange="bybit", type=MarketType.OPTIONS, contract_type=None,
        max_leverage=None, min_notional=0.0, option_type="call", strike=900.0, expiry=1_798_185_600_000,
    ),
}  # fmt: skip
UNDERLYING = 1_000.0


class Bench(Protocol):
    """A broker over one market, with money for 20 sizes at the price 100.

    Tests count prices in hundredths of what the market begins with, and quantities in sizes; `at` and `size` make
    the market's own of them. In hedge mode orders work on the long position. The option is a call, in the money by
    its premium at first: its underlying costs ten times the price 100 and stays there.
    """

    broker: Broker
    market: Market
    step: int
    """How long an hour of this bench takes, ms."""
    leg: str | None
    """The position that orders work on: long in hedge mode, else None."""
    taker: float
    """The fee of a taker, as a share."""
    leverage: float
    """2; on spot and of options 1."""
    underlying: float
    """What the underlying of the option costs."""
    beyond: float | None
    """How far beyond the best price market orders may trade, in percent; None: at any price."""

    @property
    def now(self) -> int:
        """The time now, ms UTC: the open of the next hour."""
        ...

    def hour(self, *prices: float) -> list[News]:
        """Let the market go through `prices` within the next hour; returns all news since the last look."""
        ...

    def has(self, feature: Feature) -> bool:
        """Does the market take such orders, in whichever way?"""
        ...

    def at(self, price: float) -> float:
        """The market's price for a price of the tests."""
        ...

    def size(self, sizes: float) -> float:
        """The market's quantity of so many sizes."""
        ...

    def bought(self, sizes: float) -> float:
        """What is held once so many sizes were bought at the market's price."""
        ...


class SimulatedBench:
    """The simulated broker, moved by bars: within an hour the lowest price comes before the highest."""

    step = HOUR

    def __init__(self, kind: str, *, hedge: bool = False) -> None:
        self.clock = SimClock(0)
        self.market = MARKETS[kind]
        self.leg = "long" if hedge else None
        self._kind = kind
        self.taker = self.market.taker or 0.0
        self.underlying, self.beyond = UNDERLYING, None
        money = {"linear": 1_000.0, "inverse": 10.0, "spot": 2_000.0, "option": 2_000.0}[kind]
        self.leverage = 2.0 if self.market.contract_type else 1.0
        symbol, data = self.market.symbol, live_data(self.market)
        ledger = Ledger(money, {symbol: self.market}, self.leverage, MarginMode.ISOLATED, hedge=hedge)
        self.broker = SimulatedBroker(ledger, self.clock, Costs(), data={symbol: data})
        if self.market.is_option:
            self.broker.note_mark(MarkPrice(0, symbol, 100.0, UNDERLYING))

    @property
    def now(self) -> int:
        return self.clock.now()

    def hour(self, *prices: float) -> list[News]:
        news = [self.broker.news.popleft() for _ in range(len(self.broker.news))]
        bar = Bar(self.now, self.market.symbol, "1h", prices[0], max(prices), min(prices), prices[-1], 1.0)
        news.extend(self.broker.on_bar(bar))
        self.clock.advance(self.now + HOUR)
        return news

    def has(self, feature: Feature) -> bool:
        return feature not in lacking_of(self.market)

    def at(self, price: float) -> float:
        return price

    def size(self, sizes: float) -> float:
        return sizes * 100 if self._kind == "inverse" else sizes

    def bought(self, sizes: float) -> float:
        return self.size(sizes)
