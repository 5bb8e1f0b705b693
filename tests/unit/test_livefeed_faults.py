"""The live feed while the market breaks, lags, repeats and loses: nothing lost, doubled or out of order."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from clocks import StepClock
from fakes import FakeMarket, Faults, candles_of, drive, play, trade
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pyleak import no_task_leaks

from metaexpert.errors import DataError, MetaExpertError, NetworkError, RequestError
from metaexpert.events import Funding, Notice, PublicTrade, Quote, StreamKind
from metaexpert.feed import Step
from metaexpert.livefeed import LiveFeed

if TYPE_CHECKING:
    from metaexpert.models import Bar

SECOND, MINUTE = 1_000, 60_000
START = 1_704_067_200_000  # Monday, 2024-01-01 00:00 UTC
TRADES, CANDLES, QUOTES = StreamKind.TRADES, StreamKind.CANDLES, StreamKind.QUOTES


def every(seconds: int, minutes: int, symbol: str = "A") -> list[PublicTrade]:
    """A trade every so many seconds, its price telling its place."""
    count = -(-minutes * 60 // seconds)
    return [trade(START + n * seconds * SECOND, 100.0 + n * 7 % 31, 1.0 + n % 5, symbol) for n in range(count)]


async def run(market, minutes, kinds=(CANDLES,), wanted=None, history=0, since=None, seen=None, **options):
    """Open a feed, play `minutes` from the start, close it; returns what was told."""
    feed = LiveFeed(market, market.clock, wanted or {"A": ["1m"]}, kinds, random=lambda: 0.0, **options)
    await drive(feed.open(history, since, seen=seen), market.clock)
    try:
        return await play(feed, market.clock, START + round(minutes * MINUTE))
    finally:
        await feed.close()
        await market.close()


def bars_of(events, timeframe="1m", symbol="A") -> list[Bar]:
    return [
        one.bar(index)
        for step in events
        if isinstance(step, Step)
        for one, index in step.delivered
        if (one.timeframe, one.symbol) == (timeframe, symbol)
    ]


def trades_of(events, symbol="A") -> list[PublicTrade]:
    return [event for event in events if isinstance(event, PublicTrade) and event.symbol == symbol]


def notices(events) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


def plain(trades) -> list[PublicTrade]:
    return [one._replace(is_backfilled=False) for one in trades]


def in_order(events, *, late=False) -> bool:
    """Steps by time, and every trade between the steps that it lies between (`late`: or after them)."""
    told = START
    for event in events:
        if isinstance(event, Step):
            if event.time <= told and told > START:
                return False
            told = event.time
        elif isinstance(event, PublicTrade) and not (event.time >= told or late):
            return False
    later = [event.time for event in events if isinstance(event, Step | PublicTrade)]
    return late or later == sorted(later)


# --- breaks ---


@pytest.mark.asyncio
async def test_what_a_break_has_cost_is_fetched():
    """Down from 1:30 to 4:10: three closes are passed by asking, trades are asked for every ten seconds."""
    market = FakeMarket(StepClock(START), every(7, 8), Faults(breaks=[(START + 90_000, START + 250_000)]))
    events = await run(market, 6.5, (TRADES, CANDLES))
    assert bars_of(events) == candles_of(every(7, 6), "1m")
    assert plain(trades_of(events)) == [one for one in every(7, 8) if one.time < START + 390_000]
    assert in_order(events)
    missed = [one.time - START for one in trades_of(events) if one.is_backfilled]
    assert min(missed) >= 90_000
    assert max(missed) < 280_000  # pauses have grown to sixteen seconds
    assert all(step.matched == () for step in events if isinstance(step, Step))
    assert notices(events)[0] == "candles have stopped: the connection was lost"
    assert notices(events).count("all streams are well again") == 1


@pytest.mark.asyncio
async def test_bars_that_come_late_are_marked():
    """REST fails as well until 3:30: the bars of 1:00 and 2:00 come late, that of 3:00 in time."""
    faults = Faults(breaks=[(START + 90_000, START + 250_000)], rest_failures={START + 90_000: 8})
    market = FakeMarket(StepClock(START), every(7, 8), faults)
    events = await run(market, 5.5)
    assert bars_of(events) == candles_of(every(7, 5), "1m")
    marked = [bar.is_backfilled for bar in bars_of(events)]
    assert marked[0] is False
    assert any(marked)
    assert marked[-1] is False


@pytest.mark.asyncio
async def test_a_stretch_stands_for_trades_that_cannot_be_had():
    """REST tells no trades: the break from 1:10 to 1:40 hides the high 140 and the low 60 of that minute.

    Known before it: 101 at 1:05. Known after it: 100 at 1:55. The bar 1:00 closes at 100, and the stretch from
    1:05 on opens at 101, reaches 140 and 60, closes at 100, with 4 - 1 - 1 = 2 of the volume.
    """
    told = [(5, 100.0), (65, 101.0), (75, 140.0), (95, 60.0), (115, 100.0), (125, 99.0), (170, 100.0)]
    trades = [trade(START + second * SECOND, price) for second, price in told]
    faults = Faults(breaks=[(START + 70 * SECOND, START + 100 * SECOND)], kept=0)
    events = await run(FakeMarket(StepClock(START), trades, faults), 3.5, (TRADES, CANDLES))
    steps = [event for event in events if isinstance(event, Step)]
    assert [len(step.matched) for step in steps] == [0, 1, 0]
    assert steps[1].matched == ((START + 65 * SECOND, "A", "1m", 101.0, 140.0, 60.0, 100.0, 2.0),)
    assert [one.price for one in trades_of(events)] == [100.0, 101.0, 100.0, 99.0, 100.0]
    assert "trades are missing that can't be had: bars stand for them" in notices(events)


@pytest.mark.asyncio
async def test_a_stretch_is_not_walked_where_known_trades_account_for_the_bar():
    """The hidden trades lie within what is known, the last one is known: nothing can have traded beyond."""
    told = [(5, 100.0), (65, 140.0), (66, 60.0), (75, 90.0), (115, 100.0), (125, 99.0)]
    trades = [trade(START + second * SECOND, price) for second, price in told]
    faults = Faults(breaks=[(START + 70 * SECOND, START + 100 * SECOND)], kept=0)
    events = await run(FakeMarket(StepClock(START), trades, faults), 2.5, (TRADES, CANDLES))
    assert [event.matched for event in events if isinstance(event, Step)] == [(), ()]


@pytest.mark.asyncio
async def test_a_restart_goes_on_after_the_last_trade_that_was_handled():
    """The earlier run had handled the bar that closed at 2:00, and trades up to 2:21; now it is 4:30."""
    trades, seen = every(7, 8), every(7, 8)[20]
    assert seen.time == START + 140 * SECOND
    market = FakeMarket(StepClock(START + 270 * SECOND), trades)
    events = await run(market, 6.2, (TRADES, CANDLES), history=2, since=START + 2 * MINUTE, seen={"A": seen})
    assert bars_of(events) == candles_of(trades, "1m")[2:6]
    assert [bar.is_backfilled for bar in bars_of(events)] == [True, True, False, False]
    assert plain(trades_of(events)) == [one for one in trades if seen.time < one.time < START + 6.2 * MINUTE]
    assert [one.is_backfilled for one in trades_of(events)] == [
        one.time <= START + 270 * SECOND for one in trades_of(events)
    ]
    assert in_order(events)


@pytest.mark.asyncio
async def test_a_market_that_does_not_answer_holds_up_the_others_for_a_while_only():
    """B fails from 1:00 to 3:30 while A goes on: A's bar of 1:00 waits a minute; B's come in their order after."""

    class Half(FakeMarket):
        async def candles(self, symbol, timeframe, start, end):
            if symbol == "B" and START + MINUTE < self.now() < START + 210 * SECOND:
                raise NetworkError("no answer")
            return await super().candles(symbol, timeframe, start, end)

    market = Half(StepClock(START), sorted(every(7, 8) + every(7, 8, "B")), Faults())
    events = await run(market, 6.5, (QUOTES,), {"A": ["1m"], "B": ["1m"]})
    for symbol in "AB":
        assert bars_of(events, symbol=symbol) == candles_of(every(7, 6, symbol), "1m")
    times = [event.time for event in events if isinstance(event, Step)]
    assert times == sorted(times)
    (out,) = [event for event in events if isinstance(event, Notice) and "does not answer" in event.text]
    assert (out.symbol, type(out.error)) == ("B", NetworkError)
    assert "its market answers again" in notices(events)


@pytest.mark.asyncio
async def test_all_down_at_once_keeps_the_order_of_the_symbols():
    """Nothing answers for five minutes: afterwards each step has both symbols, as if nothing had been."""
    faults = Faults(breaks=[(START + 90_000, START + 390_000)], rest_failures={START + 90_000: 22})
    market = FakeMarket(StepClock(START), sorted(every(7, 12) + every(7, 12, "B")), faults)
    events = await run(market, 10.5, (CANDLES,), {"B": ["1m"], "A": ["1m", "5m"]})
    steps = [[f"{one.symbol}{one.timeframe}" for one, _ in e.delivered] for e in events if isinstance(e, Step)]
    assert steps == [["B1m", "A1m"] if n % 5 else ["B1m", "A1m", "A5m"] for n in range(1, 11)]


# --- silence ---


@pytest.mark.asyncio
async def test_a_dead_stream_is_begun_anew_and_a_quiet_one_is_believed():
    """Messages are lost from 1:00 to 2:30 while the market trades: noticed after a minute of silence.

    From 5:00 to 9:00 nothing trades at all: asked, and nothing is said of it.
    """
    trades = every(7, 5) + [trade(START + 9 * MINUTE + n * 7 * SECOND, 100.0) for n in range(20)]
    market = FakeMarket(StepClock(START), trades, Faults(silences=[(START + MINUTE, START + 150 * SECOND)]))
    events = await run(market, 10.2, (TRADES,))
    assert plain(trades_of(events)) == [one for one in trades if one.time < START + 10.2 * MINUTE]
    assert bars_of(events) == candles_of([one for one in trades if one.time < START + 10 * MINUTE], "1m")
    stopped = [text for text in notices(events) if "have stopped" in text]
    assert stopped == ["trades have stopped: silent for 64 s while the market traded"]


@pytest.mark.asyncio
async def test_quiet_intervals_cost_three_seconds_not_ten():
    """A trades each minute, B in its first one only: A's later bars come at three seconds past the minute."""
    market = FakeMarket(StepClock(START), sorted([*every(20, 4), trade(START + 1_000, 5.0, 1.0, "B")]), Faults())
    feed = LiveFeed(market, market.clock, {"A": ["1m"], "B": ["1m"]}, random=lambda: 0.0)
    await feed.open(0)
    try:
        await play(feed, market.clock, START + 183_200)
        assert len(feed.matching("A")) == 3
    finally:
        await feed.close()


@pytest.mark.asyncio
async def test_a_bar_that_comes_too_late_is_left_out_and_told():
    """Messages are lost and REST lags by fifteen seconds: the second minute counts as empty at ten."""
    faults = Faults(silences=[(START + MINUTE, START + 2 * MINUTE)], rest_delay=15 * SECOND)
    events = await run(FakeMarket(StepClock(START), every(7, 6), faults), 4.5)
    assert bars_of(events) == [bar for bar in candles_of(every(7, 4), "1m") if bar.time != START + MINUTE]
    (late,) = [event for event in events if isinstance(event, Notice) and "too late" in event.text]
    assert late.text == "the bar of 2024-01-01 00:01 came too late, and is left out"
    assert isinstance(late.error, DataError)


# --- clocks and funding ---


@pytest.mark.asyncio
@pytest.mark.parametrize("skew", [-7_000, 7_000])
async def test_bars_close_by_the_clock_of_the_market(skew):
    """Ours is seven seconds off: it is said once, and the bars come when they close there."""
    clock = StepClock(START - skew)
    market = FakeMarket(clock, every(7, 4), skew=skew)
    events = await run(market, 3.5)
    assert bars_of(events) == candles_of(every(7, 3), "1m")
    assert not any(bar.is_backfilled for bar in bars_of(events))
    side = "behind" if skew > 0 else "ahead of"
    assert notices(events) == [f"this computer's clock is 7.0 s {side} the market's: set it"]


@pytest.mark.asyncio
async def test_a_slow_answer_shows_no_difference_of_clocks():
    """Our clock goes on by nine seconds while the market is asked for its time: that is no skew."""

    class Slow(FakeMarket):
        async def time(self):
            told = await super().time()
            self.clock.advance(self.clock.now() + 9 * SECOND)
            return told + 1

    events = await run(Slow(StepClock(START), every(7, 4)), 3.5)
    assert notices(events) == []
    assert bars_of(events) == candles_of(every(7, 3), "1m")


@pytest.mark.asyncio
async def test_funding_is_told_at_its_instant_after_the_bar_that_closes_then():
    """At 2:00: first what closed, then the funding, then what trades; a rate that was another one is told."""

    class Changing(FakeMarket):
        async def funding(self, symbol):
            coming = await super().funding(symbol)
            sure = coming is None or self.now() > coming.time - 15 * SECOND
            return coming if sure else coming._replace(rate=0.5)

    market = Changing(
        StepClock(START), every(7, 6), funding=[(START + 2 * MINUTE, 1e-4), (START + 9 * MINUTE, 2e-4)]
    )
    events = await run(market, 5.5, (TRADES, CANDLES))
    place = next(n for n, event in enumerate(events) if isinstance(event, Funding))
    assert events[place] == (START + 2 * MINUTE, "A", 1e-4, None)
    assert isinstance(events[place - 1], Step)
    assert events[place - 1].time == START + 2 * MINUTE
    assert all(event.time < START + 2 * MINUTE for event in events[: place - 1])
    assert all(event.time >= START + 2 * MINUTE for event in events[place:])
    assert notices(events) == []


@pytest.mark.asyncio
async def test_funding_that_the_market_still_tells_afterwards_is_told_once_and_asked_for_a_minute_later():
    """What came at 2:00 is told as the next one for ever: one more question a minute, and no funding but that."""

    class Stuck(FakeMarket):
        async def funding(self, symbol):
            await self._call("funding")
            return Funding(START + 2 * MINUTE, symbol, 1e-4)

    market = Stuck(StepClock(START), every(7, 9))
    events = await run(market, 8.5, (TRADES, CANDLES))
    assert [event.time - START for event in events if isinstance(event, Funding)] == [2 * MINUTE]
    asked = [time - START for name, time in market.asked if name == "funding"]
    assert asked == [0, 110_000, *(n * MINUTE for n in range(3, 9))]


@pytest.mark.asyncio
async def test_funding_of_long_ago_is_not_what_comes_next():
    """A contract that is no more still tells the instant of the day before: nothing is paid for it."""

    class Old(FakeMarket):
        async def funding(self, symbol):
            return Funding(START - 1440 * MINUTE, symbol, 1e-4)

    events = await run(Old(StepClock(START), every(7, 3)), 2.5, (TRADES, CANDLES), since=START - MINUTE)
    assert not [event for event in events if isinstance(event, Funding)]


@pytest.mark.asyncio
async def test_funding_of_the_time_between_two_runs_is_told_in_its_place():
    """The earlier run ended at 2:00; funding was paid at 3:00; the rate of 6:00 turns out another."""

    class Wrong(FakeMarket):
        async def funding(self, symbol):
            coming = await super().funding(symbol)
            return coming and coming._replace(rate=0.5)

    paid = [(START + n * MINUTE, n * 1e-4) for n in (1, 3, 6, 60)]
    market = Wrong(StepClock(START + 270 * SECOND), every(7, 9), funding=paid)
    events = await run(market, 8.5, (TRADES, CANDLES), history=1, since=START + 2 * MINUTE)
    fundings = [(event.time, event.rate) for event in events if isinstance(event, Funding)]
    assert fundings == [(START + 3 * MINUTE, 3 * 1e-4), (START + 6 * MINUTE, 0.5)]
    times = [event.time for event in events if not isinstance(event, Notice)]
    assert times == sorted(times)
    assert "the funding of 2024-01-01 00:06 was 0.060000%, not 50.000000%" in notices(events)


# --- the queue ---


@pytest.mark.asyncio
async def test_trades_that_there_is_no_room_for_are_fetched_later():
    """Nobody takes anything for a minute, and ten events have room: all trades come all the same, in order."""
    market = FakeMarket(StepClock(START), every(2, 5))
    feed = LiveFeed(market, market.clock, {"A": ["1m"]}, (TRADES, QUOTES), random=lambda: 0.0, limit=10)
    await feed.open(0)
    try:
        first = await play(feed, market.clock, START + SECOND)
        for second in range(1, 60):
            market.clock.advance(START + second * SECOND)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        events = first + await play(feed, market.clock, START + 200 * SECOND)
        assert plain(trades_of(events)) == [one for one in every(2, 5) if one.time < START + 200 * SECOND]
        assert bars_of(events) == candles_of(every(2, 3), "1m")
        assert feed.dropped > 0
        quotes = [event for event in events if isinstance(event, Quote)]
        assert all(one.time < other.time for one, other in pairwise(quotes))
    finally:
        await feed.close()
        await market.close()


@pytest.mark.asyncio
async def test_a_stream_that_cannot_be_watched_fails_the_feed():
    """An error that won't pass is raised, not tried again."""

    class Refusing(FakeMarket):
        async def watch(self, stream):
            raise RequestError("no such market")

    with pytest.raises(RequestError, match="no such market"):
        await run(Refusing(StepClock(START), every(7, 2)), 1.5)


class Odd(FakeMarket):
    """A market whose quotes can't be read from one moment to another."""

    odd = (START + 10_000, START + 20_000)

    async def watch(self, stream):
        told = await super().watch(stream)
        if stream.kind is QUOTES and self.odd[0] <= self.now() < self.odd[1]:
            raise KeyError("bids")
        return told


@pytest.mark.asyncio
async def test_a_stream_that_tells_what_nobody_can_read_is_begun_anew_and_the_others_go_on():
    market = Odd(StepClock(START), every(1, 1))
    events = await run(market, 1, (TRADES, QUOTES))
    notices = [one.text for one in events if isinstance(one, Notice)]
    assert notices[0] == "quotes have stopped: what its quotes tell can't be read (KeyError: 'bids')"
    assert notices[-1] == "all streams are well again"
    assert len([one for one in events if isinstance(one, PublicTrade)]) == 60


@pytest.mark.asyncio
async def test_a_stream_that_cannot_be_read_for_a_minute_fails_the_feed():
    market = Odd(StepClock(START), every(1, 4))
    market.odd = (START + 10_000, START + 240_000)
    with pytest.raises(MetaExpertError, match=r"A: what its quotes tell can't be read for a minute .KeyError"):
        await run(market, 4, (QUOTES,))
    assert START + 70_000 <= market.now() <= START + 130_000


@pytest.mark.asyncio
async def test_no_task_survives_a_feed():
    """Closed in the middle of a break, with timers, funding and all streams."""
    async with no_task_leaks(action="raise"):
        faults = Faults(breaks=[(START + 90_000, START + 250_000)])
        market = FakeMarket(StepClock(START), every(7, 8), faults, funding=[(START + 4 * MINUTE, 1e-4)])
        await run(market, 2.2, tuple(StreamKind))


# --- any schedule ---

moments = st.integers(1, 5 * 60).map(lambda second: START + second * SECOND)
spans = st.lists(st.tuples(moments, st.integers(1, 100)).map(lambda s: (s[0], s[0] + s[1] * SECOND)), max_size=3)
slow = st.sampled_from([0, 400, 1_500, 2_500])


@st.composite
def schedules(draw) -> Faults:
    delays = [(start, end, draw(slow)) for start, end in draw(spans)]
    return Faults(
        breaks=sorted(draw(spans)),
        delays=delays,
        twice=draw(st.sampled_from([0, 1, 2, 5])),
        rest_failures=draw(st.dictionaries(moments, st.integers(1, 4), max_size=2)),
        rest_delay=draw(st.sampled_from([0, 700, 3_000, 8_000])),
    )


@st.composite
def tapes(draw, symbol) -> list[PublicTrade]:
    """Trades over ten minutes, with minutes in which there is none."""
    seconds = sorted(draw(st.lists(st.integers(0, 600), min_size=8, max_size=40, unique=True)))
    calm = [1, *range(480, 600, 15)]  # candles begin with the first 5m; trades at the end show what became of it
    return [
        trade(START + one * SECOND + 137, 100.0 + one * 7 % 31, 1.0 + one % 3, symbol)
        for one in sorted({*seconds, *calm})
    ]


@settings(max_examples=100, phases=(Phase.explicit, Phase.generate))
@given(
    first=tapes("A"), second=tapes("B"), faults=schedules(), kinds=st.sampled_from([(CANDLES,), (CANDLES, TRADES)])
)
def test_any_schedule_of_faults_gives_what_none_gives(first, second, faults, kinds):
    """Breaks, delays, repetitions, REST that fails and lags: the same bars and trades, in the same order."""

    async def told():
        market = FakeMarket(StepClock(START), sorted(first + second), faults)
        async with no_task_leaks(action="raise"):
            return await run(market, 9.5, kinds, {"B": ["1m"], "A": ["5m", "1m"]})

    events = asyncio.run(told())
    for symbol, trades in (("A", first), ("B", second)):
        closed = [one for one in trades if one.time < START + 9 * MINUTE]
        assert bars_of(events, symbol=symbol) == candles_of(closed, "1m")
        got = plain(trades_of(events, symbol))
        arrived = [one for one in trades if one.time + 2_500 < START + 9.5 * MINUTE] if TRADES in kinds else []
        assert got[: len(arrived)] == arrived
        assert got == trades[: len(got)]
    assert bars_of(events, "5m") == candles_of([one for one in first if one.time < START + 5 * MINUTE], "5m")
    assert in_order([event for event in events if isinstance(event, Step)])
    for step in (event for event in events if isinstance(event, Step)):
        names = [(one.length_ms, "BA".index(one.symbol)) for one, _ in step.delivered]
        assert names == sorted(names)
