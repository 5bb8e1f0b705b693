"""A week through feed, loop, broker and journal: memory stays what it was after the first days."""

from __future__ import annotations

import asyncio
import gc
from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import patch

from metaexpert.journal import Journal
from tests.clocks import StepClock
from tests.fakes import trade
from tests.papers import LINEAR, MINUTE, Papers, follower, scripted

if TYPE_CHECKING:
    from pathlib import Path

    from metaexpert.process import MetaProcess

START = 1_790_000_040_000 // MINUTE * MINUTE
DAY = 1440 * MINUTE
DAYS = 7


def test_a_week_leaves_no_more_behind_than_two_days(home: Path) -> None:
    clock = StepClock(START)
    prices = (100.0 + 4.0 * abs((number % 132) / 66.0 - 1.0) for number in range(DAYS * 1440))
    tape = [trade(START + number * MINUTE + 137, price, 1.0, LINEAR) for number, price in enumerate(prices)]
    counts: list[int] = []
    done: list[tuple[int, int]] = []

    def count(process: MetaProcess) -> None:
        gc.collect()
        counts.append(len(gc.get_objects()))
        done.append((process.steps, process.broker.execution.filled))

    papers = Papers(lambda: follower(timeframe="5m", trailing_stop_pct=2.0))
    with patch.object(Journal, "open", partial(Journal.open, max_bytes=4_000_000)):
        days = (START + day * DAY for day in range(1, DAYS + 1))
        asyncio.run(papers.stream(scripted(clock, tape), clock, *days, look=count))
    assert done[-1][0] >= DAYS * 288 - 3
    assert done[-1][1] > 20
    assert papers.path.stat().st_size < 12_000_000
    assert max(counts[2:]) - counts[1] < 3_000, counts
