"""A paper run played again from its journal does the same, and a difference is shown."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from unittest.mock import patch

import pytest

from metaexpert import MetaExpert
from metaexpert.errors import JournalError
from metaexpert.journal import Journal, JournalReader
from metaexpert.replay import Comparison, compared
from tests.clocks import StepClock
from tests.papers import LINEAR, MINUTE, OTHER, Papers, follower, scripted, walk

START = 1_700_000_040_000 // MINUTE * MINUTE


@pytest.fixture(autouse=True)
def path(home):
    return Papers(follower).path


def played(minutes=40, stops=(), **faults):
    """Runs in one market, restarted at each of `stops` (minutes); returns their ids."""
    clock = StepClock(START)
    market = scripted(clock, walk(minutes, START - 10 * MINUTE), **faults)

    async def main():
        ends = (START + end * MINUTE + 20_000 for end in (*stops, minutes - 12))
        return [await Papers(follower).stream(market, clock, end) for end in ends]

    return asyncio.run(main())


def again(run, make=follower):
    return Papers(make).replay(run)


def kinds(path, run):
    with JournalReader.open(path) as journal:
        return [json.loads(line)["kind"] for line in journal.lines(run)]


def test_a_replay_does_what_the_run_did(path):
    (run,) = played()
    done = kinds(path, run)
    assert min(done.count("fill"), done.count("order") // 3, done.count("call") // 100) >= 3, done
    assert again(run) == Comparison(run, len(done))


def leaky():
    """An expert whose errors tell a secret of its settings."""
    keys = {"api_key": "key-1234567", "api_secret": "hush-1234567"}
    expert = MetaExpert(exchange="demo", market_type="futures", log_to_console=False, **keys)

    @expert.on_init(symbol=LINEAR, timeframe="1m", strategy_name="papers")
    def init():
        pass

    @expert.on_bar
    def on_bar(bar):
        raise ValueError("hush-1234567 was refused")

    @expert.on_error
    def on_error(error):
        pass

    return expert


def test_a_secret_is_masked_in_a_replay_as_in_the_journal():
    """Else the first line with one would differ, and be shown."""
    clock = StepClock(START)
    market = scripted(clock, walk(4, START))
    run = asyncio.run(Papers(leaky).stream(market, clock, START + 3 * MINUTE))
    with JournalReader.open(Papers(leaky).path) as journal:
        lines = list(journal.lines(run))
    assert any("was refused" in line for line in lines)
    assert not any("hush" in line for line in lines)
    assert again(run, leaky) == Comparison(run, len(lines))


def test_every_run_of_a_chain_of_restarts_can_be_replayed():
    runs = played(stops=(7, 13, 20))
    assert len(runs) == 4
    assert [again(run).is_equal for run in runs] == [True] * 4


def test_trouble_of_the_feed_is_replayed_too(path):
    (run,) = played(breaks=[(START + 9 * MINUTE, START + 11 * MINUTE)], twice=7)
    assert again(run).is_equal


def test_another_expert_does_something_else_and_the_first_difference_is_shown(path):
    (run,) = played()

    def other():
        expert = follower()
        expert.on_timer(300.0)(lambda: None)
        return expert

    shown = again(run, other)
    assert not shown.is_equal
    assert 50 < shown.number < shown.lines
    assert shown.recorded != shown.replayed
    assert "on_timer" in shown.replayed


@pytest.mark.parametrize("reason", ["killed", None])
def test_a_run_that_was_killed_or_goes_on_is_compared_as_far_as_it_came(path, reason):
    (run,) = played()
    db = sqlite3.connect(path)
    with db:
        (middle,) = db.execute("SELECT seq FROM log WHERE kind = 'fill' ORDER BY seq LIMIT 1 OFFSET 2").fetchone()
        for table in ("market", "log"):
            db.execute(f"DELETE FROM {table} WHERE seq > ?", (middle,))
        db.execute("UPDATE runs SET reason = ?", (reason,))
    db.close()
    shown = again(run)
    assert shown.is_equal
    assert shown.lines == len(kinds(path, run)) > 50


def test_a_run_whose_first_events_are_gone_is_refused(path):
    (run,) = played(minutes=16)
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE runs SET is_trimmed = 1")
    db.close()
    with pytest.raises(JournalError, match=f"run {run} can't be replayed: its first events were let go"):
        again(run)


def test_logs_are_compared_line_by_line():
    class Killed:
        id, reason = "a", "killed"

    class Ended:
        id, reason = "a", "user_stop"

    assert compared(Ended, ["1", "2"], ["1", "2"]) == Comparison("a", 2)
    assert compared(Ended, ["1", "2", "3"], ["1", "x", "3"]) == Comparison("a", 3, 2, "2", "x")
    assert compared(Ended, ["1", "2"], ["1"]) == Comparison("a", 2, 2, "2", "")
    assert compared(Ended, ["1"], ["1", "2"]) == Comparison("a", 1, 2, "", "2")
    assert compared(Killed, ["1"], ["1", "2"]) == Comparison("a", 1)
    assert compared(Killed, ["1", "2"], ["1"]) == Comparison("a", 2, 2, "2", "")


def test_bars_of_a_symbol_that_is_often_silent_come_once_over_restarts():
    """The other one trades every minute; each restart is away for a while, and after some nothing is new."""

    def expert():
        made = MetaExpert(exchange="demo", market_type="futures", log_to_console=False)
        made.on_init(symbol=[LINEAR, OTHER], timeframe="1m", strategy_name="two", lookback_bars=5)(lambda: None)
        made.on_bar(lambda bar: heard.append((bar.symbol, bar.time)))
        return made

    heard, clock = list[tuple[str, int]](), StepClock(START)
    busy = walk(60, START - 10 * MINUTE)
    silent = [one for one in walk(60, START - 10 * MINUTE, OTHER) if (one.time // MINUTE) % 7 in (1, 2)]
    market = scripted(clock, sorted([*busy, *silent]))
    papers = Papers(expert)
    for end, away in ((3.5, 0), (5.2, 0), (9.1, 2.5), (16.0, 0.3), (24.4, 4.0), (30.5, 0), (44.5, 0)):
        asyncio.run(papers.stream(market, clock, START + int(end * MINUTE)))
        clock.advance(clock.now() + int(away * MINUTE))
    for symbol, trades in ((LINEAR, busy), (OTHER, silent)):
        bars = [time for name, time in heard if name == symbol]
        there = sorted({one.time // MINUTE * MINUTE for one in trades})
        assert bars == [time for time in there if START <= time < START + 44 * MINUTE]


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on_from_the_last_whole_state(path):
    """There is room for eight more pages: the run ends with one line, its expert is told, nothing is half."""
    heard = []

    def expert():
        made = follower()
        made.on_deinit(heard.append)
        return made

    papers = Papers(expert)
    clock = StepClock(START)
    market = scripted(clock, walk(40, START - 10 * MINUTE))
    opened = Journal.open

    def full(path, **options):
        journal = opened(path, **options)
        journal._db.execute(f"PRAGMA max_page_count = {journal._one('PRAGMA page_count') + 8}")
        return journal

    with (
        patch.object(Journal, "open", full),
        pytest.raises(JournalError, match=r"database or disk is full.*see to the disk and start again"),
    ):
        asyncio.run(papers.stream(market, clock, START + 28 * MINUTE))
    assert heard == ["error"]
    with JournalReader.open(path) as journal:
        (broken,), left = journal.runs(), journal.last_state()
        last = [json.loads(line)["body"][2][0] for line in journal.lines(broken.id) if "on_bar" in line][-1]
    assert left["closes"] == {LINEAR: last + MINUTE}
    run = asyncio.run(papers.stream(market, clock, START + 35 * MINUTE))
    with JournalReader.open(path) as journal:
        kept = {one.id: one for one in journal.runs()}
        assert kept[run].first == left
        first = next(json.loads(line)["body"] for line in journal.lines(run) if "on_bar" in line)
    assert first[2][0] == last + MINUTE
    assert again(broken.id, expert).is_equal
