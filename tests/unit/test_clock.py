"""Clocks: simulated time follows events and never goes back, the wall's is the system's."""

import time

import pytest

from metaexpert.clock import Clock, SimClock, WallClock
from metaexpert.errors import MetaExpertError


def test_simulated_time_moves_with_events_only():
    """It starts where it is told and stands still between events."""
    clock = SimClock(1_000)
    assert (clock.now(), clock.now()) == (1_000, 1_000)
    clock.advance(1_500)
    clock.advance(1_500)
    assert clock.now() == 1_500
    assert SimClock().now() == 0


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


@pytest.mark.parametrize("clock", [SimClock(), WallClock()])
def test_both_are_clocks(clock):
    """One protocol: whole milliseconds."""
    used: Clock = clock
    used.advance(10)
    assert isinstance(used.now(), int)
