"""The live feed: bars once, in order and in time, whatever the market does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from clocks import StepClock
from fakes import FakeMarket, candles_of, idle, play, trade

from metaexpert.errors import ConfigError, MetaExpertError
from metaexpert.events import PublicTrade, Quote, StreamKind
from metaexpert.feed import Step
from metaexpert.livefeed import LiveFeed
from metaexpert.reports import Gap

if TYPE_CHECKING:
    from metaexpert.models import Bar

MINUTE, HOUR = 60_000, 3_600_000
START = 1_704_067_200_000  # Monday, 2024-01-01 00:00 UTC


def at(minutes: float, price: float = 100.0, qty: float = 1.0, symbol: str = "A") -> PublicTrade:
    return trade(START + round(minutes * MINUTE), price, qty, symbol)


def bars_of(events, timeframe="1m", symbol="A") -> list[Bar]:
    return [
        one.bar(index)
        for step in events
        if isinstance(step, Step)
        for one, index in step.delivered
        if one.timeframe == timeframe and one.symbol == symbol
    ]


def told(events, clock_start=START) -> list[str]:
    """The events as words: steps by minute and what they deliver, others by kind and minute."""
    words = []
    for event in events:
        minute = (event.time - START) / MINUTE
        if isinstance(event, Step):
            names = [f"{one.symbol}{one.timeframe}" for one, _ in event.delivered]
            words.append(f"{minute:g}: {' '.join(names)}")
        else:
            words.append(f"{minute:g} {type(event).__name__} {event.symbol}")
    return words


async def run(market, wanted, minutes, kinds=(StreamKind.CANDLES,), history=0, since=None, **options):
    """Open a feed at the clock's moment, play `minutes` from the start, close it."""
    feed = LiveFeed(market, market.clock, wanted, kinds, random=lambda: 0.0, **options)
    await feed.open(history, since)
    try:
        return feed, await play(feed, market.clock, START + round(minutes * MINUTE))
    finally:
        await feed.close()


@pytest.mark.asyncio
async def test_a_bar_is_told_when_the_stream_shows_a_later_one():
    """Trades at 0:30 and 1:10: the bar of 0:00 is told at 1:10 when later than the REST delay, else at 1:01."""
    clock = StepClock(START)
    market = FakeMarket(clock, [at(0.5, 101.0, 2.0), at(1.001, 102.0), at(1.5, 99.0), at(2.9, 100.0)])
    feed, events = await run(market, {"A": ["1m"]}, 3.5)
    assert told(events) == ["1: A1m", "2: A1m", "3: A1m"]
    assert bars_of(events) == candles_of(market._of["A"], "1m")
    assert [event.matched for event in events] == [(bar,) for bar in bars_of(events)]
    asked = [(when - START) / MINUTE for name, when in market.asked if name == "candles"]
    assert asked == pytest.approx([2 + 1 / 60, 3 + 1 / 60])
    assert feed.matching("A").known == 0  # the loop moves the cursor


@pytest.mark.asyncio
async def test_longer_bars_close_with_the_shorter_ones():
    """Shorter first, then as declared; a longer bar is what a backtest makes of the shorter ones."""
    clock = StepClock(START)
    trades = [at(n + 0.2, 100.0 + n % 7, 1.0, symbol) for n in range(12) for symbol in ("B", "A")]
    market = FakeMarket(clock, trades)
    _, events = await run(market, {"B": ["5m", "1m"], "A": ["1m", "5m"]}, 10.5)
    words = told(events)
    assert words[4] == "5: B1m A1m B5m A5m"
    assert words[0] == "1: B1m A1m"
    assert bars_of(events, "5m", "B") == candles_of([one for one in trades if one.symbol == "B"], "5m")[:2]


@pytest.mark.asyncio
async def test_an_interval_without_trades_gives_no_bar_and_a_longer_one_closes_on_time():
    """Nothing between 3:00 and 5:00: at 5:00 the five minutes close all the same."""
    clock = StepClock(START)
    market = FakeMarket(clock, [at(0.5), at(1.5), at(2.5), at(5.5), at(6.5)])
    _, events = await run(market, {"A": ["1m", "5m"]}, 7.2)
    assert told(events) == ["1: A1m", "2: A1m", "3: A1m", "5: A5m", "6: A1m", "7: A1m"]
    assert events[3].matched == ()


@pytest.mark.asyncio
async def test_trades_from_a_close_on_wait_for_its_bar():
    """The trade of 1:00.5 comes after the bar that closed at 1:00, those before it before."""
    clock = StepClock(START)
    market = FakeMarket(clock, [at(0.5), at(1.0), at(1.5)])
    _, events = await run(market, {"A": ["1m"]}, 2.5, (StreamKind.TRADES,))
    assert told(events) == ["0.5 PublicTrade A", "1: A1m", "1 PublicTrade A", "1.5 PublicTrade A", "2: A1m"]


@pytest.mark.asyncio
async def test_only_what_is_asked_for_is_watched():
    """Quotes alone: no other subscription, and bars by asking."""
    clock = StepClock(START)
    market = FakeMarket(clock, [at(0.5), at(1.5)])
    _, events = await run(market, {"A": ["1m"]}, 2.5, (StreamKind.QUOTES,))
    assert {stream.kind for stream in market.watched} == {StreamKind.QUOTES}
    assert [type(event) for event in events] == [Quote, Step, Quote, Step]


@pytest.mark.asyncio
async def test_history_is_known_before_the_first_event():
    """An hour of minutes, and a 5m series as deep: two bars of each are asked for, ten minutes are loaded."""
    clock = StepClock(START + 60 * MINUTE)
    market = FakeMarket(clock, [at(n + 0.5, 100.0 + n) for n in range(70)])
    feed = LiveFeed(market, clock, {"A": ["1m", "5m"]})
    await feed.open(2)
    try:
        one, five = feed.matching("A"), feed.find("A", "5m")
        assert (one.known, five.known) == (10, 2)
        assert one.last().time == START + 59 * MINUTE
        assert five.last() == candles_of(market._of["A"][:60], "5m")[-1]
        fifteen = feed.find("A", "15m")
        assert fifteen is feed.series["A", "15m"]
        assert fifteen.known == 0
        assert feed.find("A", "7m") is None
        assert feed.find("A", "30s") is None
        average = fifteen.indicator("sma", length=2)
        assert await play(feed, clock, START + 60 * MINUTE + 2_000) == []
        assert fifteen.known == 2
        assert fifteen.last() == candles_of(market._of["A"][:60], "15m")[-1]
        assert average[-1] == (144.0 + 159.0) / 2.0
    finally:
        await feed.close()


@pytest.mark.asyncio
async def test_what_closed_since_an_earlier_run_comes_first_and_is_marked():
    """The earlier run had handled 10:00; opened at 13:30, the bars of 10:00 to 13:00 come at once, backfilled."""
    clock = StepClock(START + round(13.5 * MINUTE))
    market = FakeMarket(clock, [at(n + 0.2, 100.0 + n) for n in range(16)])
    _, events = await run(market, {"A": ["1m", "5m"]}, 15.5, history=1, since=START + 10 * MINUTE)
    assert told(events) == ["11: A1m", "12: A1m", "13: A1m", "14: A1m", "15: A1m A5m"]
    assert [bar.is_backfilled for bar in bars_of(events)] == [True, True, True, False, False]


@pytest.mark.asyncio
async def test_a_feed_says_none_when_the_clock_has_come_to_the_moment():
    """For timers: nothing happens until 0:20."""
    clock = StepClock(START)
    feed = LiveFeed(FakeMarket(clock, [at(0.5)]), clock, {"A": ["1m"]}, random=lambda: 0.0)
    await feed.open(0)
    assert await play(feed, clock, START + 20_000) == []
    assert clock.now() == START + 20_000
    await feed.close()


@pytest.mark.asyncio
async def test_a_feed_that_is_not_open_says_so():
    clock = StepClock(START)
    with pytest.raises(MetaExpertError, match="opened before"):
        await LiveFeed(FakeMarket(clock, []), clock, {"A": ["1m"]}).next()


@pytest.mark.asyncio
async def test_a_timeframe_that_the_shortest_does_not_divide_is_refused():
    clock = StepClock(START)
    with pytest.raises(ConfigError, match="A: 3m bars can't make up 5m ones; ask for a multiple of 3m"):
        await LiveFeed(FakeMarket(clock, []), clock, {"A": ["5m", "3m"]}).open(0)


@pytest.mark.asyncio
async def test_a_report_of_the_account_waits_for_nothing():
    """Not for the bar whose close holds the trades back, and it comes in the order in which it was told."""
    market = FakeMarket(StepClock(START), [at(0.5), at(1.01), at(1.02), at(2.5)])
    feed = LiveFeed(market, market.clock, {"A": ["1m"]}, (StreamKind.TRADES,), random=lambda: 0.0)
    await feed.open(0)
    try:
        first, second = Gap(1, "first"), Gap(2, "second")
        before = await play(feed, market.clock, START + MINUTE + 1000)
        assert [type(one).__name__ for one in before] == ["PublicTrade"]  # the others wait for the bar's close
        feed.tell(first)
        feed.tell(second)
        after = await play(feed, market.clock, START + 3 * MINUTE)
        assert after[:2] == [first, second]
        assert [type(one).__name__ for one in after[2:5]] == ["Step", "PublicTrade", "PublicTrade"]
    finally:
        await feed.close()


@pytest.mark.asyncio
async def test_a_report_wakes_who_waits_for_the_market():
    market = FakeMarket(StepClock(START), [at(0.5)])
    feed = LiveFeed(market, market.clock, {"A": ["1m"]}, (StreamKind.TRADES,), random=lambda: 0.0)
    await feed.open(0)
    try:
        waiting = asyncio.create_task(feed.next())
        await idle()
        assert not waiting.done()
        feed.tell(Gap(1, "told"))
        await idle()
        assert waiting.result() == Gap(1, "told")
    finally:
        await feed.close()
