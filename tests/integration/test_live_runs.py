"""Live runs from end to end at the loopback exchange, in warped time: wired as users' are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lives import MINUTE, PRICE, SECOND, START, World, settings_of, world
from warp import warped

from metaexpert import MetaExpert

if TYPE_CHECKING:
    from metaexpert.models import Bar, Order


def buyer(world: World, told: list[Any] | None = None, **settings: Any) -> MetaExpert:
    """Buys at the close of the first bar, and sells at the fifth from then on."""
    expert = MetaExpert(**settings_of(world.exchange, world.kind))
    heard = [] if told is None else told
    terms: dict[str, Any] = {"stop_loss_pct": 2.0, "leverage": 5.0} | settings

    @expert.on_init(symbol=world.symbol, timeframe="1m", lookback_bars=5, strategy_name="buyer", **terms)
    def init() -> None:
        heard.append("init")

    @expert.on_bar
    def bar(one: Bar) -> None:
        if one.time < START:
            return
        if one.time == START:
            expert.buy(0.01)
        if one.time == START + 5 * MINUTE:
            expert.close_position()

    @expert.on_order
    def order(one: Order) -> None:
        heard.append((one.side.value, one.status.value, one.filled))

    return expert


def test_a_position_is_opened_protected_and_closed_over_a_restart():
    told: list[Any] = []

    async def main() -> None:
        async with world("binance", "linear", lambda one: buyer(one, told)) as place:
            place.begin()
            await place.until(START + MINUTE + 30 * SECOND)
            assert place.positions == {"BOTH": 0.01}
            (stop,) = place.stops
            assert (stop.buy, float(stop.amount)) == (False, 0.01)
            assert abs(float(stop.trigger) - 0.98 * PRICE) < 1.0  # 2 % below what was paid
            await place.stop()
            assert place.positions == {"BOTH": 0.01}
            assert place.stops == [stop]
            place.begin()
            await place.until(START + 6 * MINUTE + 30 * SECOND)
            assert (place.positions, place.orders) == ({}, [])
            assert [one.qty for one in place.fills] == [0.01, 0.01]
            assert await place.stop() == "user_stop"

    warped(main())
    assert told == [
        *("init", ("buy", "open", 0.0), ("buy", "filled", 0.01)),
        *("init", ("sell", "open", 0.0), ("sell", "filled", 0.01)),
    ]
