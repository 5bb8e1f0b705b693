"""A week through feed, loop, broker and journal: memory stays what it was after the first days."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

from metaexpert.journal import Journal
from metaexpert.keeper import JournalKeeper
from metaexpert.livefeed import LiveFeed
from tests.clocks import StepClock
from tests.fakes import trade
from tests.papers import KINDS, LINEAR, MINUTE, Papers, drive, follower, scripted

if TYPE_CHECKING:
    from pathlib import Path

START = 1_790_000_040_000 // MINUTE * MINUTE
DAY = 1440 * MINUTE
DAYS = 7


def test_a_week_leaves_no_more_behind_than_two_days(tmp_path: Path) -> None:
    clock = StepClock(START)
    prices = (100.0 + 4.0 * abs((number % 132) / 66.0 - 1.0) for number in range(DAYS * 1440))
    tape = [trade(START + number * MINUTE + 137, price, 1.0, LINEAR) for number, price in enumerate(prices)]
    counts: list[int] = []

    async def week() -> None:
        papers = Papers(follower, timeframe="5m", trailing_stop_pct=2.0)
        feed = LiveFeed(scripted(clock, tape), clock, {LINEAR: ("5m",)}, KINDS, lookback=5, random=lambda: 0.5)
        with Journal.open(tmp_path / "week.db", max_bytes=4_000_000) as journal:
            await feed.open(5)
            journal.begin(feed.now(), {"name": "week"}, None)
            process = papers.build(feed, JournalKeeper(journal, feed), None)
            running = asyncio.create_task(process.stream())
            for day in range(1, DAYS + 1):
                await drive(running, clock, START + day * DAY)
                gc.collect()
                counts.append(len(gc.get_objects()))
            assert process.steps >= DAYS * 288 - 3
            assert process.broker.execution.filled > 20
            process.stop("user_stop")
            await running
            await feed.close()
            papers.close()

    asyncio.run(week())
    assert (tmp_path / "week.db").stat().st_size < 12_000_000
    assert max(counts[2:]) - counts[1] < 3_000, counts
