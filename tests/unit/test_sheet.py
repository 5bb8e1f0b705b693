"""Records kept as rows of one list, and made when somebody looks."""

from typing import NamedTuple

import pytest

from metaexpert.broker.book import Working
from metaexpert.broker.holding import Holding
from metaexpert.broker.sheet import Sheet
from metaexpert.models import (
    ExitReason,
    Fill,
    Market,
    MarketType,
    Order,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    maker,
)  # fmt: skip


class Pair(NamedTuple):
    """Two fields."""

    word: str
    number: float


def pairs(*rows: tuple[str, float]) -> Sheet[Pair]:
    """A sheet of pairs."""
    sheet = Sheet(maker(Pair), 2)
    for row in rows:
        sheet.write(row)
    return sheet


def test_a_sheet_is_a_sequence_of_the_records_that_were_written():
    """Three rows, looked at in every way."""
    sheet = pairs(("a", 1.0), ("b", 2.0), ("c", 3.0))
    a, b, c = Pair("a", 1.0), Pair("b", 2.0), Pair("c", 3.0)
    assert (len(sheet), sheet[0], sheet[-1], sheet[1:], sheet[::-2]) == (3, a, c, [b, c], [c, a])
    assert list(sheet) == [a, b, c] == sheet == pairs(a, b, c)
    assert sheet != [a, b]
    assert isinstance(sheet[1], Pair)
    assert b in sheet
    with pytest.raises(IndexError):
        _ = sheet[3]


def test_an_empty_sheet_has_nothing_to_show():
    """No row was written."""
    assert (len(pairs()), list(pairs()), bool(pairs()), pairs()[:]) == (0, [], False, [])


def test_a_sheet_lets_go_of_old_records_once_there_are_twice_as_many_as_are_kept():
    """Two are kept: four are still there, of five the last two are."""
    sheet = pairs(*((str(k), float(k)) for k in range(4)))
    sheet.let_go(2)
    assert len(sheet) == 4
    sheet.write(("4", 4.0))
    sheet.let_go(2)
    assert sheet == [Pair("3", 3.0), Pair("4", 4.0)]


def test_the_row_of_an_order_has_every_field_of_it_in_its_place():
    """Each field has a value of its own; the row is its number and then all of them."""
    order = Order(
        id="7", symbol="BTC/USDT", side=Side.SELL, type=OrderType.STOP_LIMIT, qty=2.0, price=3.0, stop_price=4.0,
        status=OrderStatus.EXPIRED, filled=5.0, average_price=6.0, fee=7.0, reduce_only=True, post_only=True,
        tif=TimeInForce.IOC, stop_loss=8.0, take_profit=9.0, tag="tag", strategy_id=10, position_side="short",
        reason=ExitReason.END, message="message", created=11, updated=12, exchange_id="13",
    )  # fmt: skip
    market = Market(symbol="BTC/USDT", exchange="x", type=MarketType.SPOT, base="BTC", quote="USDT", settle="USDT")
    working = Working(order, Holding(market, 1.0))
    working.number = 14
    assert working.row() == (14, *vars(order).values())


def test_fills_are_made_of_rows():
    """The fields of a fill, and the fill."""
    fill = Fill(1, 2, "BTC/USDT", "3", Side.BUY, 1.0, 2.0, 3.0, False, 4.0, 5.0, ExitReason.ORDER, "tag")
    fills = Sheet(maker(Fill), len(Fill._fields))
    fills.write(tuple(fill))
    assert fills == [fill]
    assert fills[0].timestamp == fill.timestamp
