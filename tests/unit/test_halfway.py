"""What a run was in the midst of when it was cut."""

import json

from metaexpert.answers import ExchangeFill
from metaexpert.events import PublicTrade, Quote
from metaexpert.halfway import body_of, halfway
from metaexpert.models import ExitReason, Fill, Order, OrderStatus, OrderType, Rejection, Side
from metaexpert.reports import FillReport, OrderRefused, OrderReport
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


def done(number: int, price: float, *, time: int) -> Fill:
    return Fill(number, time, BTC, "me9", Side.BUY, 0.5, price, 0.0, False, 0.0, 0.0, ExitReason.ORDER)


OPEN = (order("me9", exchange_id="x9", status=OrderStatus.OPEN), None)
FIRST = (order("me9", exchange_id="x9", status=OrderStatus.OPEN, filled=0.5), done(1, 100.0, time=2))
REST = (order("me9", exchange_id="x9", status=OrderStatus.FILLED, filled=1.0), done(2, 101.0, time=9))
OTHER = (order("me7", exchange_id="x7", status=OrderStatus.OPEN), None)
NEWS = (OPEN, OTHER, FIRST, REST)


def filled(exchange_id: str, price: float) -> tuple[str, object]:
    fill = ExchangeFill(id="1", time=2, symbol=BTC, order_id=exchange_id, side=Side.BUY, qty=0.5, price=price)
    return "FillReport", list(FillReport(2, fill))


def test_news_are_told_from_the_change_on_that_was_being_told():
    """A first part was filled and its stop written down; the rest was filled while nobody ran."""
    assert cut(filled("x9", 100.0)).told(NEWS) == ((OPEN, FIRST), (OTHER, REST))


def test_a_report_counts_as_told_by_our_id_up_to_the_status_that_it_told():
    report = OrderReport(1, order("me9", status=OrderStatus.OPEN))
    assert cut(row_of(report)).told(NEWS) == ((OPEN,), (OTHER, FIRST, REST))


def test_where_the_change_itself_is_not_found_all_of_its_order_counts_as_told():
    assert cut(filled("x9", 55.0)).told(NEWS) == ((OPEN, FIRST, REST), (OTHER,))


def test_a_refusal_counts_as_told():
    refused = (order("me5", status=OrderStatus.REJECTED), Rejection(1, BTC, "me5", "rejected", "no"))
    found = cut(row_of(OrderRefused(1, BTC, "me5", "rejected", "no")))
    assert found.told((refused, OTHER)) == ((refused,), (OTHER,))


def test_what_is_not_heard_again_anyway_leaves_all_as_it_was():
    found = cut(row_of(Quote(1, BTC, 1.0, 2.0, 1.0, 1.0)), ("Wake", None))
    assert found.past(STATE) == STATE
    assert found.lines() == []
    assert len(found.orders) == 2
    assert found.told(NEWS) == ((), NEWS)
