"""Live runs that find the world changed when they begin again."""

from __future__ import annotations

import pytest
from cuts import Actor
from lives import MINUTE, SECOND, START, settings_of, world
from truth import differences
from warp import warped

from metaexpert import ConfigError, MetaExpert

EXCHANGES = ("binance", "bybit", "okx", "bitget", "kucoin")


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


@pytest.mark.parametrize("exchange", ["binance", "okx"])
def test_a_position_whose_journal_is_lost_keeps_its_stop_and_may_be_taken_over(exchange):
    """It is nobody's then; the orders that protect it are known by their ids alone."""
    actor = Actor()

    async def work():
        async with world(exchange, "linear", actor.make, no_limits=True) as place:
            life = place.begin()
            await actor.heard(place)
            actor.wish = lambda expert: expert.buy(0.02)
            await place.until(place.clock.now() + 8 * SECOND)
            stood = place.stops
            assert len(stood) == 2
            await place.stop()
            for file in life.run.journal.parent.glob(f"{life.run.journal.stem}*"):
                file.unlink()
            life = place.begin()
            await place.until(place.clock.now() + 40 * SECOND)
            assert (place.stops, place.positions, life.run.positions) == (stood, {"BOTH": 0.02}, [])
            assert sum("reduces a position that our journal does not know" in line for line in life.said) == 2
            await place.stop()
            for file in life.run.journal.parent.glob(f"{life.run.journal.stem}*"):
                file.unlink()
            life = place.begin(adopt=True)
            await place.until(place.clock.now() + 40 * SECOND)
            assert [one.qty for one in life.run.positions] == [0.02]
            assert len(place.stops) == 2
            assert differences(place) == []
            await place.stop()

    warped(work())


def test_what_an_expert_was_deciding_when_the_power_failed_is_not_decided_again():
    """It buys at every bar whatever it holds; the power fails with the second order written down, and not sent."""
    heard: list[int] = []

    def make(place):
        expert = MetaExpert(**settings_of(place.exchange, place.kind))

        @expert.on_init(
            symbol=place.symbol, timeframe="1m", lookback_bars=5, strategy_name="blind", stop_loss_pct=5.0,
            max_positions_per_symbol=50, leverage=3,
        )  # fmt: skip
        def init():
            pass

        @expert.on_bar
        def bar(told):
            heard.append(told.time)
            expert.buy(0.02)
            if len(heard) == 2:
                place.lives[-1].power.cut()

        return expert

    async def work():
        async with world("binance", "linear", make) as place:
            place.begin()
            await place.until(START + 2 * MINUTE + 10 * SECOND)
            assert len(heard) == 2
            await place.fail(arrives=False)
            place.begin()
            await place.until(place.clock.now() + 2 * MINUTE)
            assert heard == sorted(set(heard))
            assert len(heard) > 2
            assert any("is not handled again" in line for line in place.lives[-1].said)
            await place.stop()
            assert place.positions == {"BOTH": pytest.approx(0.02 * (len(heard) - 1))}  # the second one never left

    warped(work())


def test_a_market_without_legs_is_not_begun_in_hedge_mode():
    """Bybit's inverse contracts are held net in a unified account."""

    def make(place):
        expert = MetaExpert(**settings_of(place.exchange, place.kind, position_mode="hedge"))
        expert.on_init(symbol=place.symbol, timeframe="1m", strategy_name="legs", leverage=3)(lambda: None)
        return expert

    async def work():
        async with world("bybit", "inverse", make) as place:
            life = place.begin()
            with pytest.raises(
                ConfigError, match="position_mode='hedge' can't be had: inverse contracts are held net"
            ):
                await life.task
            assert place.all_orders == []

    warped(work())
