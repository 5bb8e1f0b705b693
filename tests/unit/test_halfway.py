"""What a run was in the midst of when it was cut."""

import json

from metaexpert.answers import ExchangeFill
from metaexpert.events import PublicTrade, Quote
from metaexpert.halfway import body_of, halfway
from metaexpert.models import Order, OrderStatus, OrderType, Side
from metaexpert.reports import FillReport, OrderReport
from metaexpert.tape import row_of

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
STATE = {
    "closes": {BTC: 60_000, ETH: 60_000},
    "seen": {BTC: [59_000, BTC, "1", 100.0, 1.0, 1, False]},
    "equity": 5.0,
}


def order(name: str, **more: object) -> Order:
    return Order(id=name, symbol=BTC, side=Side.BUY, type=OrderType.MARKET, qty=1.0, **more)


def cut(*written: tuple[str, object]):
    """A run that was cut while it handled these, as the journal kept it."""
    bodies = [body_of(order(f"me{number}"), kind, body) for number, (kind, body) in enumerate(written)]
    return halfway(json.loads(json.dumps(bodies)))


def test_a_bar_that_brought_an_order_counts_as_heard_in_its_own_symbol():
    bar = [60_000, BTC, "1m", 1.0, 1.0, 1.0, 1.0, 1.0]
    found = cut(("Step", [120_000, [], [bar]]), ("Step", [120_000, [], [bar]]))
    assert found.past(STATE) == {**STATE, "closes": {BTC: 120_000, ETH: 60_000}}
    assert [one.id for one in found.orders] == ["me0", "me1"]
    assert found.lines() == [
        "the last run was cut while it handled a bar and ordered (me0, me1): that is not handled again"
    ]


def test_a_trade_that_brought_an_order_counts_as_heard():
    trade = PublicTrade(61_000, BTC, "7", 101.0, 2.0, 1)
    assert cut(row_of(trade)).past(STATE)["seen"] == {BTC: list(trade)}


def test_news_of_an_order_counts_as_told_by_our_id_and_by_the_exchange_s():
    report = OrderReport(1, order("me9", exchange_id="x9", status=OrderStatus.FILLED))
    fill = ExchangeFill(id="1", time=1, symbol=BTC, order_id="x8", side=Side.BUY, qty=1.0, price=100.0)
    found = cut(row_of(report), ("FillReport", list(FillReport(2, fill))))
    assert found.has_told(order("me9"))
    assert found.has_told(order("me8", exchange_id="x8"))
    assert not found.has_told(order("me7", exchange_id="x7"))


def test_what_is_not_heard_again_anyway_leaves_all_as_it_was():
    found = cut(row_of(Quote(1, BTC, 1.0, 2.0, 1.0, 1.0)), ("Wake", None))
    assert found.past(STATE) == STATE
    assert found.lines() == []
    assert len(found.orders) == 2
