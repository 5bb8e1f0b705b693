"""What holds at the venue whatever is asked of it and whatever the public trades."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from venue.dialects import binance, bitget
from venue.instruments import Kind
from venue.news import Cause, News, OrderNews
from venue.orders import LIVE, Order, Refusal, Status
from venue.prices import Prices
from venue.state import Habits, State

from metaexpert.clock import SimClock

NOW = 1_790_000_000_000
D = Decimal
type Step = tuple[str, int, int, bool, str, str, bool]


def steps_of(seed: int) -> list[Step]:
    """What is done, how far from the price, how much, and how an order is meant; evenly, so that much trades."""
    draw = Random(seed)
    return [
        (
            draw.choice(["trade", "trade", "place", "place", "place", "cancel", "amend", "wait"]),
            draw.randint(-8, 8), draw.randint(1, 400), draw.random() < 0.5,
            draw.choice(["limit", "limit", "limit", "market", "stop", "trail"]),
            draw.choice(["GTC", "GTC", "IOC", "FOK", "post"]), draw.random() < 0.3,
        )
        for _ in range(40)
    ]  # fmt: skip


CASES = ("spot", "linear", "inverse", "coin-sized", "hedge", "isolated")


@dataclass
class World:
    """One instrument at about 50,000, what was told of it."""

    case: str
    clock: SimClock = field(default_factory=lambda: SimClock(NOW))

    def __post_init__(self) -> None:
        dialect = bitget if self.case == "coin-sized" else binance
        kind = {"spot": Kind.SPOT, "inverse": Kind.INVERSE, "coin-sized": Kind.INVERSE}.get(self.case, Kind.LINEAR)
        items = [item for item in dialect.instruments(NOW) if item.base == "BTC" and not item.expiry]
        habits = Habits(
            self_trades=self.case in {"hedge", "inverse"}, keeps_id=frozenset({Kind.SPOT}),
            exits_of_positions=self.case == "isolated",
        )  # fmt: skip
        self.state = State(items, Prices(), self.clock.now, dialect.wallet_of, habits)
        self.item = next(one for one in self.state.listed(kind) if one.quote in {"USDT", "USD"})
        if self.case == "hedge":
            self.state.set_hedged(self.state.wallet_of(self.item), True)
        if self.case == "isolated":
            self.state.set_isolated(self.item, True)
        self.state.leverages[self.item.kind, self.item.id] = D(50)
        self.state.trade(self.item, 50_000, self.item.step)
        self.before = dict(self.state.balances)
        self.state.listeners.append(self.hear)

    def hear(self, news: News) -> None:
        """No fill is beyond its order's price; of what rests, nothing better and nothing older is left behind."""
        if not isinstance(news, OrderNews) or news.fill is None:
            return
        mine, sign = news.order, -1 if news.order.buy else 1
        assert mine.price is None or sign * (news.fill.price - mine.price) >= 0
        if not news.fill.maker:
            return
        place = (sign * (mine.price or 0), mine.rank)
        for other in self.state.resting(self.item, buy=mine.buy):
            assert other is mine or place < (sign * (other.price or 0), other.rank)

    def do(self, what: str, far: int, size: int, buy: bool, kind: str, tif: str, reduce: bool) -> None:
        """One step; a refusal is an answer too."""
        state, live = self.state, list(self.state.live.values())
        price = state.price(self.item) + far * self.item.tick
        amount = size * self.item.step * (10 if self.item.kind is not Kind.INVERSE else 1)
        try:
            if what == "trade":
                state.trade(self.item, price, amount * 4)
            elif what == "wait":
                self.clock.advance(self.clock.now() + size * 60_000)
                state.advance()
            elif what == "place":
                state.place(self.order(price, amount, buy, kind, tif, reduce))
            elif live and what == "cancel":
                state.cancel(live[size % len(live)])
            elif live:
                state.amend(live[size % len(live)], amount if buy else None, price if reduce else None)
        except Refusal:
            pass

    def order(self, price: Decimal, amount: Decimal, buy: bool, kind: str, tif: str, reduce: bool) -> Order:
        """An order as the step says."""
        order = Order(
            instrument=self.item, buy=buy, amount=amount, price=None if kind in {"market", "trail"} else price,
            reduce_only=reduce and self.case != "spot", tif="GTC" if tif == "post" else tif,
            side=("LONG" if reduce != buy else "SHORT") if self.case == "hedge" else "BOTH",
        )  # fmt: skip
        order.post_only = tif == "post" and kind == "limit"
        if kind == "stop":
            order.trigger, order.rises = price, price > self.state.price(self.item)
            order.close_all = reduce and self.case != "spot"
            order.stop_loss = price * (D("0.99") if buy else D("1.01")) // self.item.tick * self.item.tick
        if kind == "trail":
            order.trailing = D("0.001")
        return order


def _check_orders(world: World) -> None:
    """No fill beyond an order's amount; parts sum up; what is done is not live; no book is crossed."""
    for order in world.state.orders.values():
        assert order.filled == sum(fill.amount for fill in order.fills) <= order.amount
        assert all(fill.amount > 0 for fill in order.fills)
        assert (order.status is Status.FILLED) == (order.remaining == 0 and bool(order.fills))
        assert (order.status in LIVE) == (order.id in world.state.live)
    (bid, *_), (ask, *_) = world.state.book(world.item, 1)
    assert bid < ask or world.item in world.state.deep


def _check_positions(world: World) -> None:
    """A position is the sum of its fills; isolated, it has a margin exactly while it is held."""
    held: defaultdict[str, Decimal] = defaultdict(Decimal)
    for order in world.state.orders.values():
        held[order.side] += order.filled if order.buy else -order.filled
    if world.case != "spot":
        assert {side: amount for side, amount in held.items() if amount} == {
            one.side: one.amount for one in world.state.held()
        }
        sides = {"LONG": 1, "SHORT": -1}
        assert all(one.amount * sides.get(one.side, one.amount) > 0 for one in world.state.held())
        assert all((one.margin != 0) == (world.case == "isolated") for one in world.state.held())


def _check_money(world: World) -> None:
    """The ledger explains every balance, and equity is what the fills come to at the price, less fees and funding.

    Linear: minus the sum of what was bought at its price, plus what is held at the mark; inverse: of face / price.
    """
    state, item = world.state, world.item
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for entry in state.ledger:
        sums[entry.wallet, entry.coin] += entry.change
    for key, amount in state.balances.items():
        assert amount == pytest.approx(world.before.get(key, 0) + sums[key], abs=D("1e-12"))
    fills = [(1 if one.buy else -1, fill) for one in state.orders.values() for fill in one.fills]
    wallet, mark = state.wallet_of(item), state.price(item, "mark")
    if world.case == "coin-sized":
        return  # its face follows the price at which it was bought
    if item.kind is Kind.INVERSE:
        held = sum((sign * fill.amount for sign, fill in fills), D(0))
        profit = sum((sign * item.value(fill.amount, fill.price) for sign, fill in fills), -item.value(held, mark))
    else:
        profit = sum((sign * fill.amount * (mark - fill.price) for sign, fill in fills), D(0))
    other = sum((one.change for one in state.ledger if one.cause is not Cause.FILL), D(0))
    if item.kind is Kind.SPOT:
        equity = {coin: state.balances[wallet, coin] - world.before[wallet, coin] for coin in ("BTC", "USDT")}
        fees = {coin: sum((fill.fee for _, fill in fills if fill.fee_coin == coin), D(0)) for coin in equity}
        worth = equity["USDT"] + fees["USDT"] + (equity["BTC"] + fees["BTC"]) * mark
        assert worth == pytest.approx(profit, abs=D("1e-12"))
        assert all(state.balances[wallet, coin] >= -fees[coin] for coin in equity)
        assert all(state.locked(wallet, coin) <= state.balances[wallet, coin] + fees[coin] for coin in equity)
    else:
        change = state.balances[wallet, item.settle] - world.before[wallet, item.settle]
        equity = change + state.gains(wallet, item.settle)
        assert equity == pytest.approx(profit + other, abs=D("1e-12"))


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32))
@pytest.mark.parametrize("case", CASES)
def test_whatever_happens_the_books_are_in_order(case: str, seed: int) -> None:
    """After each step: orders, positions and money; and price-time priority at each fill of what rested."""
    steps = steps_of(seed)
    world = World(case)
    for step in steps:
        world.do(*step)
        _check_orders(world)
        _check_positions(world)
    _check_money(world)


@pytest.mark.parametrize("case", ["linear", "inverse", "hedge", "isolated"])
def test_the_account_can_be_lost_and_no_more_than_that(case: str) -> None:
    """All the way down, and up, with all of the money at leverage 50: liquidated, with no balance below zero."""
    for far in (-20_000, 20_000):
        world = World(case)
        state, item = world.state, world.item
        wallet = state.wallet_of(item)
        for coin in state.coins(wallet):
            state.balances[wallet, coin] = D(10_000 if item.settle == "USDT" else D("0.2"))
        world.before = dict(state.balances)
        state.pin(item, 50_000)
        worth = state.balances[wallet, item.settle] * 48
        amount = worth // item.value(item.step, D(50_000)) * item.step
        state.place(
            Order(
                instrument=item,
                buy=far < 0,
                amount=amount,
                side=("LONG" if far < 0 else "SHORT") if case == "hedge" else "BOTH",
            )
        )
        state.pin(item, 50_000 + far)
        assert state.held() == []
        assert 0 <= state.balances[wallet, item.settle] < state.ledger[0].change + 10_000
        _check_orders(world)
        _check_positions(world)
        _check_money(world)
