"""Live runs that find the world changed when they begin again."""

from __future__ import annotations

import pytest
from cuts import Actor
from lives import SECOND, world
from truth import differences
from warp import warped

EXCHANGES = ("binance", "bybit", "okx", "bitget", "kucoin")


# what a dead process leaves to the garbage collector
@pytest.mark.filterwarnings("ignore:Exception ignored in. <coroutine:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_stop_that_was_cancelled_by_hand_is_named_and_stands_again_before_any_decision(exchange):
    """A position is opened, the process killed, its stop cancelled on the exchange; then it begins again."""
    actor = Actor()

    async def work():
        async with world(exchange, "linear", actor.make, no_limits=True) as place:
            place.begin()
            await actor.heard(place)
            actor.wish = lambda expert: expert.buy(0.02)
            await place.until(place.clock.now() + 8 * SECOND)
            (stop,) = [one for one in place.stops if not one.rises]
            assert len(place.stops) == 2
            await place.fail()
            place.state.cancel(stop)
            place.begin()
            await actor.heard(place)
            (again,) = [one for one in place.stops if not one.rises]
            report = "\n".join(place.lives[-1].said)
            assert f"stop of {place.symbol} at {stop.trigger}: missing, now stands as" in report
            assert actor.first == []
            assert (again.trigger, again.amount, again.id != stop.id) == (stop.trigger, stop.amount, True)
            assert differences(place) == []
            assert await place.stop() == "user_stop"

    warped(work())
