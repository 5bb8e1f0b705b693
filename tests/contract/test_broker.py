"""The contract of `metaexpert.broker.Broker`, run on every implementation.

A second implementation joins by a `Bench` of its own in `BENCHES`: the tests speak to the broker through the
protocol alone, and move the market through the bench.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from metaexpert.broker.costs import Costs
from metaexpert.broker.ledger import Ledger
from metaexpert.broker.protection import Protection
from metaexpert.broker.simulated import SimulatedBroker
from metaexpert.clock import SimClock
from metaexpert.models import (
    Bar,
    ContractType,
    ExitReason,
    Fill,
    MarginMode,
    Market,
    MarketType,
    Order,
    OrderStatus,
    OrderType,
    Rejection,
    Side,
)

if TYPE_CHECKING:
    from metaexpert.broker import Broker, News

HOUR = 3_600_000
SYMBOL = "BTC/USDT:USDT"
MARKET = Market(
    symbol=SYMBOL, exchange="demo", type=MarketType.FUTURES, contract_type=ContractType.LINEAR, base="BTC",
    quote="USDT", settle="USDT", price_tick=0.5, qty_step=0.01, min_qty=0.1, max_qty=100.0, min_notional=20.0,
    maker=0.0002, taker=0.0005, max_leverage=50.0,
)  # fmt: skip
FINAL = {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED}


class Bench(Protocol):
    """A broker over one market, with 1,000 of money at leverage 2, and a market that moves as it is told."""

    broker: Broker

    @property
    def now(self) -> int:
        """The time now, ms UTC: the open of the next hour."""
        ...

    def hour(self, *prices: float) -> list[News]:
        """Let the market go through `prices` within the next hour; returns all news since the last look."""
        ...


class SimulatedBench:
    """The simulated broker, moved by bars: within an hour the lowest price comes before the highest."""

    def __init__(self) -> None:
        self.clock = SimClock(0)
        ledger = Ledger(1000.0, {SYMBOL: MARKET}, 2.0, MarginMode.ISOLATED)
        self.broker = SimulatedBroker(ledger, self.clock, Costs())

    @property
    def now(self) -> int:
        return self.clock.now()

    def hour(self, *prices: float) -> list[News]:
        news = [self.broker.news.popleft() for _ in range(len(self.broker.news))]
        bar = Bar(self.now, SYMBOL, "1h", prices[0], max(prices), min(prices), prices[-1], 1.0)
        news.extend(self.broker.on_bar(bar))
        self.clock.advance(self.now + HOUR)
        return news


BENCHES = {"simulated": SimulatedBench}


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest) -> Bench:
    """A fresh bench of each implementation, on which the price is 100."""
    made = BENCHES[request.param]()
    made.hour(100.0)
    return made


def send(bench: Bench, side: Side, qty: float, *, active_from: int | None = None, **terms: Any) -> Order:
    """Send an order that may trade from now on."""
    kinds = {(False, False): OrderType.MARKET, (True, False): OrderType.LIMIT, (False, True): OrderType.STOP}
    kind = kinds.get(("price" in terms, "stop_price" in terms), OrderType.STOP_LIMIT)
    order = Order(id=bench.broker.next_id(), symbol=SYMBOL, side=side, type=kind, qty=qty, **terms)
    bench.broker.submit(order, active_from=bench.now if active_from is None else active_from)
    return order


def told(news: list[News], order: Order) -> list[OrderStatus]:
    """The states that `order` was told to be in."""
    return [one.order.status for one in news if one.order.id == order.id]


def reasons(news: list[News], order: Order) -> list[str]:
    """The reasons for which `order` was refused."""
    return [one.result.reason for one in news if one.order.id == order.id and isinstance(one.result, Rejection)]


# -- calls return at once -----------------------------------------------------------------------------------------


def test_submit_returns_before_anything_fills(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0)
    assert not bench.broker.position(SYMBOL)
    assert [one.id for one in bench.broker.working(SYMBOL)] == [order.id]
    assert told(bench.hour(100.0), order) == [OrderStatus.OPEN, OrderStatus.FILLED]
    assert bench.broker.position(SYMBOL).qty == 1.0
    assert list(bench.broker.working()) == []


def test_ids_are_never_given_twice(bench: Bench) -> None:
    ids = {bench.broker.next_id() for _ in range(100)}
    assert len(ids) == 100


def test_an_order_does_not_trade_before_its_moment(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0, active_from=bench.now + HOUR)
    assert told(bench.hour(100.0, 90.0, 100.0), order) == [OrderStatus.OPEN]
    (news,) = bench.hour(102.0)
    assert isinstance(news.result, Fill)
    assert (news.order.id, news.result.price) == (order.id, 102.0)


# -- news ---------------------------------------------------------------------------------------------------------


def test_every_order_ends_once_and_its_news_come_in_order(bench: Bench) -> None:
    filled = send(bench, Side.BUY, 1.0)
    rests = send(bench, Side.BUY, 1.0, price=50.0)
    dropped = send(bench, Side.BUY, 1.0, price=60.0)
    refused = send(bench, Side.BUY, 0.01)
    assert bench.broker.cancel(dropped.id)
    news = bench.hour(100.0) + bench.hour(100.0)
    assert told(news, filled) == [OrderStatus.OPEN, OrderStatus.FILLED]
    assert told(news, rests) == [OrderStatus.OPEN]
    assert told(news, dropped) == [OrderStatus.OPEN, OrderStatus.CANCELED]
    assert told(news, refused) == [OrderStatus.REJECTED]


def test_the_news_of_a_fill_carry_the_order_afterwards_and_the_fill(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0, tag="mine")
    news = bench.hour(104.0)[-1]
    fill = news.result
    assert isinstance(fill, Fill)
    assert (fill.order_id, fill.side, fill.qty, fill.price) == (order.id, Side.BUY, 1.0, 104.0)
    assert (fill.fee, fill.is_maker, fill.tag, fill.reason) == (
        pytest.approx(0.052),
        False,
        "mine",
        ExitReason.ORDER,
    )
    after = news.order
    assert (after.status, after.filled, after.average_price, after.fee) == (
        OrderStatus.FILLED,
        1.0,
        104.0,
        fill.fee,
    )


def test_cancelling_what_does_not_work_says_so_and_is_no_news(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0)
    bench.hour(100.0)
    assert not bench.broker.cancel(order.id)
    assert not bench.broker.cancel("no such order")
    assert not bench.broker.modify(order.id, price=90.0, qty=None, active_from=bench.now)
    assert bench.hour(100.0) == []


def test_a_modified_order_trades_as_it_was_told(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0, price=90.0)
    bench.hour(100.0)
    assert bench.broker.modify(order.id, price=95.0, qty=2.0, active_from=bench.now)
    news = bench.hour(100.0, 94.0, 100.0)
    assert told(news, order) == [OrderStatus.OPEN, OrderStatus.FILLED]
    assert isinstance(news[-1].result, Fill)
    assert (news[-1].result.price, news[-1].result.qty, news[-1].result.is_maker) == (95.0, 2.0, True)


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("qty", "terms", "reason"),
    [
        (0.05, {}, "below_min_qty"),
        (0.15, {}, "below_min_notional"),
        (101.0, {}, "above_max_qty"),
        (50.0, {}, "insufficient_margin"),  # 5,000 of notional at leverage 2, with 1,000 of money
        (float("nan"), {}, "invalid_qty"),
        (-1.0, {}, "invalid_qty"),
        (1.0, {"price": 95.0, "stop_loss": 96.0}, "invalid_stop_loss"),
        (1.0, {"price": 95.0, "take_profit": 94.0}, "invalid_take_profit"),
    ],
)
def test_an_order_that_can_not_be_is_refused_with_its_reason(
    bench: Bench, qty: float, terms: dict[str, Any], reason: str
) -> None:
    order = send(bench, Side.BUY, qty, **terms)
    news = bench.hour(100.0, 94.0, 100.0)
    assert reasons(news, order) == [reason]
    assert told(news, order)[-1] is OrderStatus.REJECTED
    assert not bench.broker.position(SYMBOL)


def test_an_order_is_never_shrunk_unless_it_may(bench: Bench) -> None:
    order = send(bench, Side.BUY, 19.9)
    assert reasons(bench.hour(102.0), order) == ["insufficient_margin"]  # 19.9 * 102 / 2 = 1,014.9
    sized = Order(id=bench.broker.next_id(), symbol=SYMBOL, side=Side.BUY, type=OrderType.MARKET, qty=19.9)
    bench.broker.submit(sized, active_from=bench.now, shrinkable=True)
    news = bench.hour(102.0)[-1]
    assert news.order.message == "shrunk to the free margin"
    assert news.order.qty == bench.broker.position(SYMBOL).qty == 19.58  # 1,000 / (102 * (1/2 + 0.0005)) = 19.588


def test_reject_books_what_was_never_sent(bench: Bench) -> None:
    order = Order(id=bench.broker.next_id(), symbol=SYMBOL, side=Side.BUY, type=OrderType.MARKET, qty=1.0)
    bench.broker.reject(order, "trade_hours", "no entries now")
    (news,) = bench.hour(100.0)
    assert (news.order.status, news.order.message) == (OrderStatus.REJECTED, "trade_hours: no entries now")
    assert isinstance(news.result, Rejection)
    assert (news.result.reason, news.result.message) == ("trade_hours", "no entries now")


def test_post_only_never_takes(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0, price=105.0, post_only=True)
    assert reasons(bench.hour(100.0), order) == ["post_only_would_cross"]


# -- positions ----------------------------------------------------------------------------------------------------


def test_reduce_only_never_opens_grows_or_reverses(bench: Bench) -> None:
    opening = send(bench, Side.SELL, 1.0, reduce_only=True)
    assert told(bench.hour(100.0), opening)[-1] is OrderStatus.CANCELED
    send(bench, Side.BUY, 1.0)
    bench.hour(100.0)
    growing = send(bench, Side.BUY, 1.0, reduce_only=True)
    assert told(bench.hour(100.0), growing)[-1] is OrderStatus.CANCELED
    too_large = send(bench, Side.SELL, 3.0, reduce_only=True)
    news = bench.hour(100.0)
    assert told(news, too_large)[-1] is OrderStatus.FILLED
    assert [one.result.qty for one in news if isinstance(one.result, Fill)] == [1.0]
    assert not bench.broker.position(SYMBOL)


def test_an_opposite_order_reduces_then_reverses(bench: Bench) -> None:
    send(bench, Side.BUY, 1.0)
    bench.hour(100.0)
    send(bench, Side.SELL, 3.0)
    bench.hour(110.0)
    position = bench.broker.position(SYMBOL)
    assert (position.qty, position.entry_price, position.side) == (-2.0, 110.0, "short")


def test_levels_act_from_the_entry_until_the_position_is_flat(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0, stop_loss=95.0, take_profit=120.0)
    news = bench.hour(100.0, 94.0, 100.0)
    fills = [one.result for one in news if isinstance(one.result, Fill)]
    assert [(fill.price, fill.reason) for fill in fills] == [
        (100.0, ExitReason.ORDER),
        (95.0, ExitReason.STOP_LOSS),
    ]
    assert fills[0].order_id == order.id
    assert bench.hour(100.0, 90.0, 130.0) == []
    assert bench.broker.protection(SYMBOL) is None


def test_levels_can_be_read_and_replaced(bench: Bench) -> None:
    assert not bench.broker.protect(SYMBOL, Protection(stop_loss=90.0))
    send(bench, Side.BUY, 1.0, stop_loss=95.0)
    bench.hour(100.0)
    protection = bench.broker.protection(SYMBOL)
    assert protection is not None
    assert protection.stop_loss == 95.0
    assert bench.broker.protect(SYMBOL, replace(protection, stop_loss=90.0, take_profit=110.0))
    position = bench.broker.position(SYMBOL)
    assert (position.stop_loss, position.take_profit) == (90.0, 110.0)
    assert bench.hour(100.0, 94.0, 100.0) == []
    (news,) = bench.hour(100.0, 111.0)
    assert isinstance(news.result, Fill)
    assert (news.result.price, news.result.reason) == (110.0, ExitReason.TAKE_PROFIT)


def test_the_account_holds_what_the_fills_made_of_it(bench: Bench) -> None:
    send(bench, Side.BUY, 2.0)
    bench.hour(100.0, 110.0)
    account = bench.broker.account()
    assert account.currency == "USDT"
    assert account.balance == pytest.approx(1000 - 0.1)  # 2 * 100 * 0.0005
    assert account.equity == pytest.approx(1000 - 0.1 + 20)
    assert (account.margin_used, account.time) == (100.0, bench.now)
    assert account.margin_free == pytest.approx(1000 - 0.1 - 100)


def test_working_orders_are_listed_oldest_first(bench: Bench) -> None:
    orders = [send(bench, Side.BUY, 1.0, price=price) for price in (90.0, 95.0, 85.0)]
    bench.hour(100.0)
    assert [one.id for one in bench.broker.working()] == [one.id for one in orders]
    assert bench.broker.working(SYMBOL) == bench.broker.working()
    assert all(one.is_working and one.status not in FINAL for one in bench.broker.working())
