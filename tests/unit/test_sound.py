"""What a market tells that can't be true is left out, and said."""

from __future__ import annotations

from math import inf, nan

import pytest
from clocks import StepClock
from fakes import FakeMarket, drive, play, trade

from metaexpert.events import Funding, MarkPrice, Notice, PublicTrade, Quote, StreamKind
from metaexpert.feed import Step
from metaexpert.livefeed import LiveFeed
from metaexpert.models import Bar, OrderBook
from metaexpert.sound import is_sound

DAY, MINUTE = 86_400_000, 60_000
TRADE = PublicTrade(0, "A", "1", 100.0, 1.0, 1)
QUOTE = Quote(0, "A", 99.0, 101.0, 1.0, 1.0)
BAR = Bar(0, "A", "1m", 100.0, 102.0, 99.0, 101.0, 5.0)
MARK = MarkPrice(0, "A", 100.0, 100.5)
BOOK = OrderBook(0, "A", ((99.0, 1.0), (98.0, 2.0)), ((101.0, 1.0), (102.0, 2.0)))
FUNDING = Funding(0, "A", -0.001)


@pytest.mark.parametrize("event", [
    TRADE, QUOTE, BAR, MARK, BOOK, FUNDING, TRADE._replace(time=DAY), QUOTE._replace(bid=101.0),
    QUOTE._replace(bid_qty=0.0), BAR._replace(open=101.0, high=101.0, low=101.0, volume=0.0),
    MARK._replace(index_price=None), BOOK._replace(bids=()), BOOK._replace(bids=(), asks=()),
])  # fmt: skip
def test_what_can_be_true_is_sound(event):
    assert is_sound(event, 0)


@pytest.mark.parametrize("event", [
    *(TRADE._replace(price=price) for price in (0.0, -1.0, nan, inf)), TRADE._replace(qty=-1.0),
    TRADE._replace(qty=nan), TRADE._replace(time=DAY + 1), QUOTE._replace(bid=101.5), QUOTE._replace(bid=0.0),
    QUOTE._replace(ask=nan), QUOTE._replace(ask_qty=inf), BAR._replace(high=100.5), BAR._replace(low=100.5),
    BAR._replace(close=nan), BAR._replace(low=0.0), BAR._replace(volume=nan), MARK._replace(mark=0.0),
    MARK._replace(index_price=nan), BOOK._replace(asks=((102.0, 1.0), (101.0, 1.0))),
    BOOK._replace(bids=((101.0, 1.0),)), BOOK._replace(bids=((nan, 1.0),)),
    BOOK._replace(bids=((nan, 1.0),), asks=()), BOOK._replace(bids=((99.0, -1.0),)),
    BOOK._replace(asks=((inf, 1.0),)), FUNDING._replace(rate=nan),
])  # fmt: skip
def test_what_can_not_be_true_is_not_sound(event):
    assert not is_sound(event, 0)


class Lying(FakeMarket):
    """From 1:00 to 2:00 everything is told twice, the second time wrong."""

    async def watch(self, stream):
        events = list(await super().watch(stream))
        if not MINUTE <= self.now() < 2 * MINUTE:
            return events
        match stream.kind:
            case StreamKind.TRADES:
                return [*events, *(one._replace(id="x", price=nan) for one in events)]
            case StreamKind.CANDLES:
                return [*events, *(one._replace(time=10**15) for one in events)]
            case _:
                return [*events, *(one._replace(time=10**15) for one in events)]


@pytest.mark.asyncio
async def test_a_feed_tells_the_same_of_a_market_that_lies_and_says_so_once():
    """Quotes of the far future would hide all later ones, candles of it would close the bar that runs."""
    told = []
    for kind in (FakeMarket, Lying):
        clock = StepClock()
        market = kind(clock, [trade(n * 7_000, 100.0 + n % 5) for n in range(40)])
        feed = LiveFeed(market, clock, {"A": ["1m"]}, set(StreamKind), random=lambda: 0.0)
        await drive(feed.open(0), clock)
        events = await play(feed, clock, 4 * MINUTE)
        await feed.close()
        await market.close()
        told.append(events)
    honest, lying = told
    notices = [event.text for event in lying if isinstance(event, Notice)]
    assert len(notices) == 1
    assert notices[0].startswith("what can't be true is left out, such as ")

    def plain(events):
        kept = [event for event in events if not isinstance(event, Notice)]
        return [(event.time, len(event.delivered)) if isinstance(event, Step) else event for event in kept]

    assert plain(lying) == plain(honest)
    assert sum(isinstance(event, Quote) for event in lying) == 35  # every 7 s, from 0 to 238
