"""The simulated broker in a market that goes on: what orders get of quotes, of the book, of public trades."""

from __future__ import annotations

from typing import Any

import pytest

from metaexpert.broker import paper
from metaexpert.broker.costs import Costs
from metaexpert.broker.ledger import Ledger
from metaexpert.broker.offer import Offer
from metaexpert.broker.paper import PaperBroker
from metaexpert.broker.protection import Protection
from metaexpert.clock import SimClock
from metaexpert.events import Funding, MarkPrice, PublicTrade, Quote
from metaexpert.models import MarginMode, MarketType, Order, OrderBook, OrderStatus, OrderType, Side, TimeInForce
from metaexpert.rules import INVERSE, LINEAR
from tests.unit.desk import INVERSE as INVERSE_SYMBOL
from tests.unit.desk import LINEAR as SYMBOL
from tests.unit.desk import market


class Desk:
    """A paper broker of one market, told what happens."""

    def __init__(self, symbol: str = SYMBOL, fills: str = "quotes", capital: float = 10_000.0) -> None:
        self.clock = SimClock(1_000)
        self.ledger = Ledger(capital, {symbol: market(symbol)}, 10.0, MarginMode.ISOLATED)
        self.broker = PaperBroker(
            self.ledger, self.clock, Costs(fee_taker=0.001, fee_maker=0.0002), Protection(), fills=fills
        )
        self.held = self.ledger.holdings[symbol]
        self.held.mark = 100.0
        self.symbol = symbol

    def send(self, side: Side, qty: float, price: float | None = None, after: int = 0, **terms: Any) -> str:
        order = Order(
            id=self.broker.next_id(), symbol=self.symbol, side=side, qty=qty, price=price,
            type=OrderType.MARKET if price is None else OrderType.LIMIT, **terms,
        )  # fmt: skip
        self.broker.submit(order, active_from=self.clock.now() + after)
        list(self.broker.book.flush())
        list(self.broker.meet(self.symbol))
        return order.id

    def quote(self, bid: float, ask: float) -> None:
        list(self.broker.on_quote(Quote(self.clock.now(), self.symbol, bid, ask, 1.0, 1.0)))

    def book(self, bids: tuple[tuple[float, float], ...], asks: tuple[tuple[float, float], ...]) -> None:
        list(self.broker.on_book(OrderBook(self.clock.now(), self.symbol, bids, asks)))

    def trade(self, price: float, qty: float = 1.0, after: int = 1) -> None:
        self.clock.advance(self.clock.now() + after)
        list(self.broker.on_trade(PublicTrade(self.clock.now(), self.symbol, "", price, qty, 0)))

    def order(self, order_id: str) -> Order:
        return self.broker.orders[order_id]


def test_a_market_order_takes_the_best_price_of_its_side_at_once():
    desk = Desk()
    desk.quote(99.0, 101.0)
    bought, sold = desk.send(Side.BUY, 1.0), desk.send(Side.SELL, 1.0)
    assert (desk.order(bought).average_price, desk.order(sold).average_price) == (101.0, 99.0)
    assert desk.ledger.balance == 10_000.0 - 2.0 - 0.101 - 0.099  # the spread, and the taker's fee twice


def test_before_there_is_a_quote_it_takes_the_next_public_trade():
    desk = Desk()
    order = desk.send(Side.BUY, 1.0)
    assert desk.order(order).status is OrderStatus.OPEN
    desk.trade(100.5)
    assert desk.order(order).average_price == 100.5


def test_an_order_on_its_way_meets_nothing():
    desk = Desk()
    desk.quote(99.0, 101.0)
    order = desk.send(Side.BUY, 1.0, after=200)
    desk.trade(100.0, after=100)
    assert desk.order(order).status is OrderStatus.OPEN
    assert desk.broker.next_arrival == 1_200
    desk.clock.advance(1_200)
    desk.quote(102.0, 103.0)
    assert desk.order(order).average_price == 103.0


def test_a_limit_order_crosses_rests_and_fills_when_it_is_traded_through():
    desk = Desk()
    desk.quote(99.0, 101.0)
    crossing, resting = desk.send(Side.BUY, 1.0, 101.0), desk.send(Side.BUY, 1.0, 100.0)
    assert (desk.order(crossing).average_price, desk.order(crossing).fee) == (101.0, 0.101)  # taker
    desk.trade(100.0)
    assert desk.order(resting).filled == 0.0  # touched, not traded through
    desk.trade(99.9)
    assert (desk.order(resting).average_price, desk.order(resting).fee) == (100.0, 0.02)  # maker


def test_what_would_cross_is_refused_to_post_only():
    desk = Desk()
    desk.quote(99.0, 101.0)
    refused, kept = (desk.send(Side.BUY, 1.0, price, post_only=True) for price in (101.0, 100.9))
    assert desk.order(refused).message == "post_only_would_cross: it would cross on arrival"
    assert desk.order(kept).status is OrderStatus.OPEN


def test_a_market_order_walks_the_book_and_waits_with_the_rest():
    desk = Desk(fills="book")
    desk.book(((99.0, 1.0),), ((101.0, 1.0), (102.0, 2.0)))
    order = desk.send(Side.BUY, 4.0)
    assert desk.order(order).filled == 3.0
    assert desk.order(order).average_price == pytest.approx((101.0 + 2 * 102.0) / 3)
    desk.book(((99.0, 1.0),), ((103.0, 9.0),))
    assert desk.order(order).status is OrderStatus.FILLED
    assert desk.order(order).average_price == pytest.approx((101.0 + 2 * 102.0 + 103.0) / 4)


def test_a_limit_order_takes_what_the_book_has_within_its_limit_and_rests_with_the_rest():
    desk = Desk(fills="book")
    desk.book(((99.0, 1.0),), ((101.0, 1.0), (102.0, 2.0), (103.0, 9.0)))
    order = desk.send(Side.BUY, 4.0, 102.0)
    assert desk.order(order).filled == 3.0
    desk.book(((99.0, 1.0),), ((103.0, 9.0),))
    desk.trade(101.9)
    assert desk.order(order).status is OrderStatus.FILLED
    assert desk.order(order).average_price == pytest.approx((101.0 + 2 * 102.0 + 102.0) / 4)


def test_fill_or_kill_takes_all_or_nothing_of_the_book():
    desk = Desk(fills="book")
    desk.book(((99.0, 1.0),), ((101.0, 1.0),))
    killed = desk.send(Side.BUY, 2.0, 105.0, tif=TimeInForce.FOK)
    assert (desk.order(killed).status, desk.order(killed).filled) == (OrderStatus.EXPIRED, 0.0)
    rest = desk.send(Side.BUY, 2.0, 105.0, tif=TimeInForce.IOC)
    assert (desk.order(rest).status, desk.order(rest).filled) == (OrderStatus.EXPIRED, 1.0)


def test_with_trades_quotes_fill_nothing():
    desk = Desk(fills="trades")
    desk.quote(99.0, 101.0)
    order = desk.send(Side.BUY, 1.0)
    desk.trade(100.0)
    assert desk.order(order).average_price == 100.0


def test_a_mark_price_liquidates_without_a_trade():
    desk = Desk()
    desk.quote(99.9, 100.0)
    desk.send(Side.BUY, 10.0)
    level = desk.broker.position(SYMBOL).liquidation_price
    assert level is not None
    list(desk.broker.on_mark(MarkPrice(desk.clock.now(), SYMBOL, level + 0.1)))
    assert desk.held.qty == 10.0
    list(desk.broker.on_mark(MarkPrice(desk.clock.now(), SYMBOL, level)))
    assert desk.held.qty == 0.0


def test_funding_is_paid_at_its_instant_on_the_mark_price():
    desk = Desk()
    desk.quote(100.0, 100.0)
    desk.send(Side.BUY, 10.0)
    balance = desk.ledger.balance
    desk.broker.on_funding(Funding(desk.clock.now(), SYMBOL, 0.0001, 110.0))
    assert desk.ledger.balance == pytest.approx(balance - 10.0 * 110.0 * 0.0001)


def test_the_price_of_a_share_is_the_markets_own_mean():
    offer = Offer((), ((100.0, 100.0), (200.0, 100.0)))
    assert offer.share(LINEAR, 1, 150.0).price == pytest.approx((100 * 100 + 50 * 200) / 150)
    assert offer.share(INVERSE, 1, 150.0).price == pytest.approx(150 / (100 / 100 + 50 / 200))
    assert offer.share(LINEAR, 1, 150.0, limit=150.0) == (100.0, 100.0)
    assert offer.share(LINEAR, -1, 1.0).qty == 0.0


def test_the_volume_of_a_trade_of_an_inverse_contract_counts_in_base():
    desk = Desk(INVERSE_SYMBOL, fills="trades", capital=1.0)
    order = desk.send(Side.BUY, 100.0)
    desk.trade(50_000.0, qty=1_000.0)
    assert desk.order(order).status is OrderStatus.FILLED


def test_what_was_done_long_ago_is_forgotten_and_what_works_is_not(monkeypatch: pytest.MonkeyPatch):
    """Two of each kind are kept, and up to four, of 12 fills and 6 round trips; the bid at 50 works on."""
    monkeypatch.setattr(paper, "_KEPT", 2)
    desk = Desk()
    desk.quote(99.0, 101.0)
    resting = desk.send(Side.BUY, 1.0, 50.0)
    kept = []
    for _ in range(6):
        for side in (Side.BUY, Side.SELL):
            desk.send(side, 1.0)
            desk.broker.let_go()
            kept.append((len(desk.broker.fills), len(desk.ledger.trades), len(desk.broker.orders)))
    assert [max(column) for column in zip(*kept, strict=True)] == [4, 4, 5]
    assert desk.broker.fills[-1].id == desk.broker.execution.filled == 12
    assert desk.ledger.ended == 6
    assert desk.order(resting).status is OrderStatus.OPEN
    assert list(desk.broker.orders)[-1] == "13"


@pytest.mark.parametrize(
    ("symbol", "mark", "index", "settled"),
    [
        (
            "BTC/USDT:USDT-240101-100-C",
            9.0,
            130.0,
            30.0,
        ),  # a call on 100 is worth 30 where its underlying ends at 130
        ("BTC/USDT:USDT-240101", 125.0, None, 125.0),
    ],
)
def test_a_contract_that_ends_is_settled_at_what_the_market_told_last(symbol, mark, index, settled):
    """Not at its last trade, which was at 10."""
    call = {"type": MarketType.OPTIONS, "strike": 100.0, "option_type": "call", "contract_type": None}
    desk = Desk.__new__(Desk)
    desk.clock, desk.symbol = SimClock(1_000), symbol
    one = market(symbol, expiry=5_000, max_leverage=1.0, **(call if index else {}))
    desk.ledger = Ledger(10_000.0, {symbol: one}, 1.0, MarginMode.ISOLATED)
    desk.broker = PaperBroker(desk.ledger, desk.clock, Costs(), Protection())
    desk.held = desk.ledger.holdings[symbol]
    desk.held.mark = 10.0
    list(desk.broker.on_mark(MarkPrice(1_000, symbol, mark, index)))
    desk.quote(10.0, 10.0)
    desk.send(Side.BUY, 1.0)
    desk.trade(10.0)
    assert desk.held.qty == 1.0
    desk.clock.advance(5_000)
    list(desk.broker.expiry.end(5_000))
    assert desk.held.qty == 0.0
    assert desk.broker.fills[-1].price == settled
    assert desk.broker.expiry.notes == []
