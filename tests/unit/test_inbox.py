"""The queue of a live feed: in order, bounded, and what gives way."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metaexpert.events import MarkPrice, PublicTrade, Quote
from metaexpert.inbox import Inbox


def trade(time: int, symbol: str = "A") -> PublicTrade:
    return PublicTrade(time, symbol, str(time), 1.0, 1.0, 1)


def quote(time: int, symbol: str = "A") -> Quote:
    return Quote(time, symbol, 1.0, 2.0, 1.0, 1.0)


def taken(inbox: Inbox, before: float = 10**18) -> list[object]:
    found = []
    while (event := inbox.pop(before)) is not None:
        found.append(event)
    return found


def test_events_come_as_they_came_and_later_ones_wait_until_released():
    """Before 5: 1 and 3; 7 and 6 wait, in the order in which they came, and come before what came after."""
    inbox = Inbox(10)
    for event in (trade(1), trade(7), quote(3), trade(6)):
        assert inbox.put(event)
    assert taken(inbox, 5) == [trade(1), quote(3)]
    inbox.put(trade(8))
    assert taken(inbox, 5) == []
    assert len(inbox) == 3
    inbox.release()
    assert taken(inbox) == [trade(7), trade(6), trade(8)]


def test_a_full_queue_drops_the_oldest_quote_of_the_symbol():
    """Three have room: the quote of 2 gives way to that of 4, that of 4 to the trade; then no trade gets in."""
    inbox = Inbox(3)
    for event in (trade(1), quote(2), quote(3, "B"), quote(4)):
        assert inbox.put(event)
    assert inbox.dropped == 1
    assert inbox.put(trade(5))
    assert (inbox.dropped, len(inbox)) == (2, 3)
    assert not inbox.put(trade(6))
    assert taken(inbox) == [trade(1), quote(3, "B"), trade(5)]


def test_the_newest_quote_always_gets_in_and_an_older_one_never():
    """Full of trades, there is room for one state of each kind all the same."""
    inbox = Inbox(2)
    for event in (trade(1), trade(2), quote(3), MarkPrice(3, "A", 1.0), quote(4), quote(2)):
        assert inbox.put(event)
    assert taken(inbox) == [trade(1), trade(2), MarkPrice(3, "A", 1.0), quote(4)]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("AB"), st.sampled_from(["put", "pop", "release"]))))
def test_it_stays_bounded_and_loses_no_trade_that_it_took(steps):
    """Whatever comes: at most the limit and one state a symbol; trades in their order, quotes in theirs."""
    inbox, put, got, before = Inbox(5), [], [], 0
    for time, (is_trade, symbol, what) in enumerate(steps):
        if what == "pop":
            event = inbox.pop(before)
            got += [] if event is None else [event]
        elif what == "release":
            before = time - 3
            inbox.release()
        elif inbox.put(trade(time, symbol) if is_trade else quote(time, symbol)) and is_trade:
            put.append(trade(time, symbol))
        assert len(inbox) <= 7
        assert len(inbox._cells) + len(inbox._held) <= 5 + 2 + 6
    inbox.release()
    got += taken(inbox)
    for symbol in "AB":
        assert [one for one in got if isinstance(one, PublicTrade) and one.symbol == symbol] == [
            one for one in put if one.symbol == symbol
        ]
        quotes = [one.time for one in got if isinstance(one, Quote) and one.symbol == symbol]
        assert all(one < other for one, other in pairwise(quotes))
