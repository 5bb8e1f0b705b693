"""Clocks: simulated time follows events and never goes back, the wall's is the system's."""

import asyncio
import time

import pytest

from metaexpert.clock import Clock, FastClock, SimClock, WallClock
from metaexpert.errors import MetaExpertError
from tests.clocks import StepClock


def test_simulated_time_moves_with_events_only():
    """It starts where it is told and stands still between events."""
    clock = SimClock(1_000)
    assert (clock.now(), clock.now()) == (1_000, 1_000)
    clock.advance(1_500)
    clock.advance(1_500)
    assert clock.now() == 1_500
    assert SimClock().now() == 0


def test_a_loop_over_sorted_steps_sets_the_time():
    """What it sets is the time from which the next event is judged."""
    clock = SimClock(1_000)
    clock.time = 2_000
    assert clock.now() == 2_000
    with pytest.raises(MetaExpertError, match="can't go back from 2000 to 1999"):
        clock.advance(1_999)


def test_simulated_time_never_goes_back():
    """Events out of order are a defect that must not go unseen; the time stays as it was."""
    clock = SimClock(1_000)
    with pytest.raises(MetaExpertError, match="can't go back from 1000 to 999"):
        clock.advance(999)
    assert clock.now() == 1_000


def test_the_wall_clock_is_the_systems_and_events_do_not_move_it(monkeypatch):
    """Milliseconds UTC, rounded down."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_704_067_200_123_999_999)
    clock = WallClock()
    clock.advance(5)
    assert clock.now() == 1_704_067_200_123


def test_a_wall_clock_that_is_set_back_goes_on_and_one_that_is_set_forward_follows(monkeypatch):
    """Seconds by the wall and in truth: an hour back at 110, then 40 s on; a day forward; half a second back."""
    moments = [(100.0, 5.0), (110.0, 15.0), (-3490.0, 15.0), (-3450.0, 55.0), (82950.0, 56.0), (82949.5, 56.0)]
    times = iter(moments)

    def told() -> tuple[int, int]:
        wall, run = next(times)
        return int(wall * 1e9), int(run * 1e9)

    monkeypatch.setattr("metaexpert.clock._times", told)
    clock = WallClock()
    assert [clock.now() for _ in moments[1:]] == [110_000, 110_000, 150_000, 86_550_000, 86_549_500]


@pytest.mark.parametrize("clock", [SimClock(), WallClock()])
def test_both_are_clocks(clock):
    """One protocol: whole milliseconds."""
    used: Clock = clock
    used.advance(10)
    assert isinstance(used.now(), int)


def test_a_fast_clock_goes_as_many_times_faster_as_it_is_told() -> None:
    clock = FastClock(1000.0, start=5_000)
    begun = clock.now()
    asyncio.run(asyncio.wait_for(clock.sleep_until(begun + 2_000), 30))
    assert clock.now() >= begun + 2_000
    clock.advance(0)
    assert clock.now() >= begun + 2_000


def test_waiting_for_what_is_past_returns_at_once() -> None:
    for clock in (WallClock(), FastClock(1.0)):
        asyncio.run(asyncio.wait_for(clock.sleep_until(clock.now() - 1), 30))


def test_a_step_clock_wakes_sleepers_in_order() -> None:
    async def main() -> list[int]:
        clock, woken = StepClock(100), list[int]()

        async def sleep(until: int) -> None:
            await clock.sleep_until(until)
            woken.append(until)

        tasks = [asyncio.create_task(sleep(until)) for until in (300, 200, 50)]
        await asyncio.sleep(0)
        assert clock.next_wake == 200
        clock.advance(400)
        await asyncio.gather(*tasks)
        return woken

    assert asyncio.run(main()) == [50, 200, 300]
