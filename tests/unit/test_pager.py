"""Cutting history into pages: any span, any gaps, any page limit give exactly the rows."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert.errors import DataError
from metaexpert.exchanges.pager import Backward, Forward, Last, Numbered, Rates, Windows, pager_of
from metaexpert.exchanges.venues import VENUES, Segment
from metaexpert.series import Kind
from metaexpert.timeframe import DAY_MS, parse

MINUTE, HOUR = 60_000, 3_600_000


def walked(pager, answer):
    """Let `answer` serve every ask; return the rows, the spans and the asks."""
    rows, spans, asks = [], [], []
    while (ask := pager.ask()) is not None:
        assert ask not in asks, "the same page was asked for twice"
        assert len(asks) < 2000
        asks.append(ask)
        page = pager.take(answer(ask))
        rows.append(page.rows)
        spans.append(page.span)
    return rows, spans, asks


def candle_server(opens, length, *, newest, inclusive=False, only_limit=True):
    """Serves open times as an exchange does: the oldest or newest rows of a window, maybe one past its end."""

    def answer(ask):
        step = DAY_MS if ask.days else length
        there = sorted({at // step * step for at in opens})
        end = ask.until + (1 if inclusive else 0)
        inside = [at for at in there if ask.since <= at < end]
        if not only_limit:  # no end is told: what comes next, wherever it is
            inside = [at for at in there if at >= ask.since]
        cut = inside[-ask.limit :] if newest else inside[: ask.limit]
        return [(at, 1.0) for at in reversed(cut)]

    return answer


@given(
    opens=st.sets(st.integers(0, 4000), max_size=300),
    start=st.integers(0, 3000), count=st.integers(0, 4000), limit=st.integers(1, 400),
    widest=st.none() | st.integers(1, 500), newest=st.booleans(), bounded=st.booleans(),
)  # fmt: skip
def test_windows_give_exactly_the_candles_whatever_the_server_prefers(
    opens, start, count, limit, widest, newest, bounded
):
    times = [at * MINUTE for at in opens]
    span = start * MINUTE, (start + count) * MINUTE
    server = candle_server(times, MINUTE, newest=newest and bounded, only_limit=bounded)
    pager = Windows(span, MINUTE, limit, None if widest is None else widest * MINUTE)
    if count > 1000 and min(limit, widest or limit) < 20:
        return  # thousands of requests prove nothing more
    rows, spans, asks = walked(pager, server)
    assert [row[0] for page in rows for row in page] == sorted(at for at in times if span[0] <= at < span[1])
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert not spans or (spans[0][0], spans[-1][1]) == span
    width = min(limit, widest or limit)
    assert len(asks) <= 2 * (-(-count // width)) + 1


def test_a_listing_years_after_the_start_costs_a_few_requests():
    """1m from 2017, listed 2023-01-01 14:00, pages of 1000: 2192 empty days are 3 pages of days (1000 each)."""
    start, listed = 1_483_228_800_000, 1_672_581_600_000
    end = listed + DAY_MS
    opens = range(listed, end, MINUTE)
    rows, spans, asks = walked(Windows((start, end), MINUTE, 1000), candle_server(opens, MINUTE, newest=True))
    assert sum(map(len, rows)) == 1440
    assert joined_ends(spans) == (start, end)
    # 3 x (a window, a page of days); then midnight to 14:00 is empty: one window and its day; 1440 rows from 14:00
    assert len(asks) <= 12


def joined_ends(spans):
    return spans[0][0], spans[-1][1]


def test_a_page_of_days_is_asked_for_whole_days():
    pager = Windows((DAY_MS + 5 * HOUR, 400 * DAY_MS), MINUTE, 100)
    first = pager.ask()
    assert (first.since, first.until, first.days) == (DAY_MS + 5 * HOUR, DAY_MS + 5 * HOUR + 100 * MINUTE, False)
    assert pager.take([]).span == (first.since, first.until)
    days = pager.ask()
    assert (days.since, days.until, days.days) == (DAY_MS, 101 * DAY_MS, True)
    assert pager.take([(7 * DAY_MS, 1.0), (9 * DAY_MS, 1.0)]) == ([], (first.until, 7 * DAY_MS))
    assert pager.ask().since == 7 * DAY_MS


def test_windows_of_weeks_begin_on_mondays_and_days_are_no_detour():
    week, monday = parse("1w"), 1_704_067_200_000  # 2024-01-01
    rows, _, asks = walked(Windows((monday, monday + 30 * week), week, 13, 90 * DAY_MS), lambda _: [])
    assert [(ask.since, ask.limit, ask.days) for ask in asks] == [
        (monday + at * week, min(12, 30 - at), False) for at in (0, 12, 24)
    ]
    assert sum(map(len, rows)) == 0


def rate_server(times, *, newest):
    def answer(ask):
        inside = [at for at in sorted(times) if ask.since <= at < ask.until]
        return [(at, 1e-4) for at in (inside[-ask.limit :] if newest else inside[: ask.limit])]

    return answer


@given(
    steps=st.lists(st.sampled_from([1, 2, 4, 8, 8, 8, 48]), max_size=200), limit=st.integers(2, 100),
    newest=st.booleans(), cut=st.integers(0, 50),
)  # fmt: skip
def test_rates_of_any_interval_come_whole_whichever_rows_win(steps, limit, newest, cut):
    times, at = [], 0
    for step in steps:
        at += step * HOUR
        times.append(at)
    span = cut * HOUR, at + 1
    rows, spans, asks = walked(Rates(span, limit), rate_server(times, newest=newest))
    assert [row[0] for page in rows for row in page] == [time for time in times if span[0] <= time < span[1]]
    known = [one for one in spans if one[0] < one[1]]
    assert all(one[1] == other[0] for one, other in pairwise(known))
    hours = max(0, span[1] - span[0]) // HOUR + 1
    # 8 -> 4 -> 2 -> 1 hours; at the end a window that is shorter than the others may be halved once more
    assert len(asks) <= 5 + 2 * -(-hours // max(1, limit - 1))


def test_a_full_page_of_rates_is_not_believed():
    """100 rates asked, 99 x 8 h wide; every 4 h there are 198: the page is full, so the next is half as wide."""
    pager = Rates((0, 10_000 * HOUR), 100)
    assert pager.ask().until == 99 * 8 * HOUR
    assert pager.take([(at * 4 * HOUR, 0.0) for at in range(100)]) == ([], (0, 0))
    assert pager.ask().until == 99 * 4 * HOUR


def test_rates_that_no_window_can_hold_are_refused():
    pager = Rates((0, HOUR), 2)
    with pytest.raises(DataError, match="2 funding rates or more within two minutes"):
        walked(pager, lambda ask: [(ask.since, 0.0)] * 2)


@given(count=st.integers(0, 350), limit=st.integers(1, 100), start=st.integers(0, 400), end=st.integers(0, 400))
def test_numbered_pages_are_walked_from_the_newest_to_the_start(count, limit, start, end):
    times = [at * 8 * HOUR for at in range(count)][::-1]
    grown = iter(range(3))

    def answer(ask):
        next(grown, None)
        at = (ask.number - 1) * limit
        return [(time, 0.0) for time in times[at : at + limit]]

    span = start * 8 * HOUR, max(start, end) * 8 * HOUR
    rows, spans, asks = walked(Numbered(span, limit), answer)
    assert sorted(row[0] for page in rows for row in page) == [
        time for time in reversed(times) if span[0] <= time < span[1]
    ]
    assert len(asks) <= count // limit + 2
    assert not spans or (min(spans)[0], max(one[1] for one in spans)) == span


def test_a_rate_that_comes_up_while_pages_are_turned_loses_none():
    times = [at * HOUR for at in range(10, 0, -1)]

    def answer(ask):
        found = times[(ask.number - 1) * 3 :][:3]
        times.insert(0, times[0] + HOUR)
        return [(time, 0.0) for time in found]

    rows, _, _ = walked(Numbered((HOUR, 11 * HOUR), 3), answer)
    assert sorted(row[0] for page in rows for row in page) == [at * HOUR for at in range(1, 11)]


def tape_server(times, *, newest):
    def answer(ask):
        inside = [(at, place) for place, at in enumerate(times) if ask.since <= at < ask.until]
        return inside[-ask.limit :] if newest else inside[: ask.limit]

    return answer


@given(
    crowd=st.lists(st.integers(1, 4), max_size=80), gaps=st.lists(st.integers(1, 90), min_size=80, max_size=80),
    limit=st.integers(5, 40), widest=st.none() | st.integers(20, 400),
    ends=st.tuples(st.integers(0, 3000), st.integers(0, 3000)), backward=st.booleans(),
)  # fmt: skip
def test_trades_come_each_once_and_in_order_from_either_end(crowd, gaps, limit, widest, ends, backward):
    times, at = [], 0
    for many, gap in zip(crowd, gaps, strict=False):
        at += gap
        times += [at] * many
    start, end = sorted(ends)
    pager = (Backward if backward else Forward)((start, end), limit, widest)
    rows, spans, asks = walked(pager, tape_server(times, newest=backward))
    pages = rows[::-1] if backward else rows
    assert [row for page in pages for row in page] == [
        (time, place) for place, time in enumerate(times) if start <= time < end
    ]
    assert sum(one[1] - one[0] for one in spans) == end - start
    # a page holds at least `limit` minus one millisecond's trades, which are 4 at most
    assert len(asks) <= 1 + len(times) // (limit - 4) + (0 if widest is None else (end - start) // widest + 1)


@pytest.mark.parametrize("walk", [Forward, Backward])
def test_a_millisecond_that_fills_a_page_is_refused(walk):
    with pytest.raises(DataError, match=r"5 trades or more in one millisecond \(7 ms UTC\)"):
        walked(walk((7, 8) if walk is Backward else (7, 100), 5), lambda _: [(7, n) for n in range(5)])


def test_of_the_last_trades_the_oldest_millisecond_is_left_out_since_it_may_be_cut():
    pager = Last((0, 100), 4)
    rows, spans, asks = walked(pager, lambda _: [(40, 1), (40, 2), (41, 3), (99, 4), (103, 5)])
    assert (rows, spans, len(asks)) == ([[(41, 3), (99, 4)]], [(41, 100)], 1)
    assert walked(Last((0, 100), 4), lambda _: [])[1] == [(100, 100)]


@pytest.mark.parametrize("name", VENUES)
def test_every_exchange_has_a_walk_for_what_it_serves(name):
    paging = VENUES[name].paging
    for part, limit in paging.candles.items():
        ask = pager_of(paging, part, Kind.CANDLES, "1m", (0, 10_000 * MINUTE)).ask()
        assert (ask.since, ask.limit, ask.until) == (0, limit, limit * MINUTE)
        assert set(paging.lacking.get(part, ())) <= {"2h", "3m", "6h", "8h", "3d"}
    for part in (Segment.LINEAR, Segment.INVERSE):
        for kind in (Kind.MARK, Kind.INDEX):
            assert pager_of(paging, part, kind, "1h", (0, 10 * HOUR)).ask().limit == 10
        assert pager_of(paging, part, Kind.FUNDING, None, (0, HOUR)).ask().limit == paging.funding
    for part in VENUES[name].segments:
        assert pager_of(paging, part, Kind.TRADES, None, (0, HOUR)).ask().limit == paging.trades[part]
    with pytest.raises(DataError, match="no mark-price candles of spot markets"):
        pager_of(paging, Segment.SPOT, Kind.MARK, "1h", (0, HOUR))
