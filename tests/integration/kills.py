"""Runs an expert on paper again and again, each time in a process that is killed; prints what it found as JSON.

A child stops at a statement to the journal that chance has chosen, says so through a pipe, and is killed there by
SIGKILL: before a transaction, in its middle, at its end or after it. Everything is imported once; children are
forked. Run by `test_kills.py`: ``python kills.py KILLS SEED``.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from random import Random
from typing import TYPE_CHECKING, Any

from metaexpert import paper
from metaexpert.journal import Journal, JournalReader
from tests.clocks import StepClock
from tests.papers import MINUTE, Papers, follower, scripted, walk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = 1_700_000_040_000 // MINUTE * MINUTE
MINUTES = 700
_MARKET = scripted(StepClock(START), walk(MINUTES, START - 10 * MINUTE))


def expert() -> Any:
    """What is run."""
    return follower(max_drawdown_pct=0.9)


def watched(*args: Any) -> Any:
    """Make the process of a run, and look whether what was restored is what the journal says."""
    process, state = paper_process(*args), args[-1]
    if state is not None:
        restored = json.loads(json.dumps(process.state()))
        for name in ("broker", "trader", "equity"):
            assert restored[name] == state[name], (name, restored[name], state[name])
    return process


paper_process, paper.process_of = paper.process_of, watched


def last_moment(path: Path) -> int:
    """When the last run was at its last commit."""
    if not path.exists():
        return START
    with JournalReader.open(path) as journal:
        state = journal.last_state()
    return START if state is None else state["time"]


def stopping(at: int, tell: Callable[[], None]) -> Callable[..., Journal]:
    """`Journal.open` for a journal that stops for ever at its statement number `at`."""
    opened, left = Journal.open, [at]

    def count(_: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            tell()
            signal.pause()

    def open_(path: Path, **options: Any) -> Journal:
        journal = opened(path, **options)
        journal._db.set_trace_callback(count)
        return journal

    return open_


def child(path: Path, at: int, away: int, say: int) -> None:
    """Go on with the run, in this process, for half an hour or to statement number `at`."""
    clock = StepClock(last_moment(path) + away)
    _MARKET.clock = clock
    Journal.open = stopping(at, lambda: os.write(say, b"here"))  # type: ignore[method-assign]
    asyncio.run(Papers(expert).stream(_MARKET, clock, clock.now() + 30 * MINUTE))
    os.write(say, b"end")


def killed(path: Path, at: int, away: int) -> str:
    """Let a child go on and kill it; returns what it said last: here, end, or nothing when it failed."""
    hear, say = os.pipe()
    number = os.fork()
    if number == 0:
        os.close(hear)
        try:
            child(path, at, away, say)
        finally:
            sys.stderr.flush()
            os._exit(0)
    os.close(say)
    told = os.read(hear, 10).decode()
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    os.close(hear)
    return told


def examined(path: Path) -> dict[str, Any]:
    """What stands in the journal of all runs together."""
    bars: list[int] = []
    fills: list[list[Any]] = []
    replays: list[str] = []
    with JournalReader.open(path) as journal:
        runs, state = journal.runs(), journal.last_state() or {}
        for run in runs:
            for line in journal.lines(run.id):
                one = json.loads(line)
                if one["kind"] == "call" and one["body"][0] == "on_bar":
                    bars.append(one["body"][2][0])
                elif one["kind"] == "fill":
                    fills.append(one["body"])
            replays.append(played(journal, run))
    holding = state["broker"]["ledger"]["holdings"][0]
    return {
        "runs": len(runs),
        "reasons": sorted({str(run.reason) for run in runs}),
        "bars": bars,
        "closed": state["closes"],
        "fills": fills,
        "balance": state["broker"]["ledger"]["balance"],
        "qty": holding["qty"],
        "replays": replays,
    }


def played(journal: JournalReader, run: Any) -> str:
    """What came of the replay of a run."""
    if sum(1 for _ in journal.events(run.id)) < 3:
        return "nothing"
    shown = Papers(expert).replay(run.id)
    return "equal" if shown.is_equal else repr(shown)


def main(kills: int, seed: int) -> None:
    path = Papers(expert).path
    random = Random(seed)
    told: list[str] = []
    for _ in range(kills):
        at = random.randint(1, random.choice([15, 300]))
        away = random.choice([0, 0, 5_000, 200_000])
        told.append(killed(path, at, away))
    told.append(killed(path, -1, 0))  # nobody stops the last one
    print(json.dumps({"told": told} | examined(path)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
