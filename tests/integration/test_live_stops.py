"""Stops, targets and books of live runs at the loopback exchange, in warped time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lives import MINUTE, PRICE, SECOND, START, World, settings_of, world
from venue.orders import Order as Taken
from warp import warped

from metaexpert import MetaExpert

if TYPE_CHECKING:
    from metaexpert.models import Bar, Order

CELLS = [(one, "linear") for one in ("binance", "bybit", "okx", "bitget", "kucoin")]
CELLS += [(one, "inverse") for one in ("binance", "bybit", "okx", "kucoin")]
QTY = {"spot": 0.01, "linear": 0.01, "inverse": 600.0}
OPENED = ["init", ("buy", "open", "order"), ("buy", "filled", "order")]


def holder(world: World, told: list[Any], **settings: Any) -> MetaExpert:
    """Buys at the close of the first bar, and holds."""
    expert = MetaExpert(**settings_of(world.exchange, world.kind))
    terms: dict[str, Any] = {"stop_loss_pct": 2.0, "take_profit_pct": 5.0, "leverage": 5.0} | settings

    @expert.on_init(symbol=world.symbol, timeframe="1m", lookback_bars=5, strategy_name="holder", **terms)
    def init() -> None:
        told.append("init")

    @expert.on_bar
    def bar(one: Bar) -> None:
        if one.time == START:
            expert.buy(QTY[world.kind])

    @expert.on_order
    def order(one: Order) -> None:
        told.append((one.side.value, one.status.value, one.reason.value))

    @expert.on_error
    def error(error: Exception) -> None:
        told.append(str(error))

    return expert


def hedger(world: World, told: list[Any]) -> MetaExpert:
    """Buys and sells at the close of the first bar, and holds both."""
    expert = MetaExpert(**settings_of(world.exchange, world.kind, position_mode="hedge"))

    @expert.on_init(
        symbol=world.symbol, timeframe="1m", lookback_bars=5, strategy_name="hedger", leverage=5.0,
        stop_loss_pct=2.0,
    )  # fmt: skip
    def init() -> None: ...

    @expert.on_bar
    def bar(one: Bar) -> None:
        if one.time == START:
            expert.buy(0.02)
            expert.sell(0.01)

    @expert.on_order
    def order(one: Order) -> None:
        told.append((one.position_side, one.side.value, one.status.value, one.reason.value))

    return expert


def levels(place: World) -> list[tuple[bool, float, float]]:
    """(buys, quantity, share of the price it began at) of each protective order at the exchange."""
    unit = place.item.contract
    return sorted(
        (one.buy, float(one.amount * unit), round(float(one.trigger or 0) / PRICE, 4)) for one in place.stops
    )


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
def test_a_stop_that_fires_ends_its_position_and_the_target_goes(exchange, kind):
    told: list[Any] = []

    async def main() -> None:
        async with world(exchange, kind, lambda one: holder(one, told)) as place:
            place.begin()
            await place.until(START + MINUTE + 10 * SECOND)
            held = place.positions["BOTH"]
            assert levels(place) == [(False, held, 0.98), (False, held, 1.05)]
            place.pin(0.97 * PRICE)
            await place.until(START + MINUTE + 40 * SECOND)
            assert (place.positions, place.orders, len(place.fills)) == ({}, [], 2)
            await place.stop()

    warped(main())
    assert told == [*OPENED, ("sell", "filled", "stop_loss")]


@pytest.mark.parametrize("exchange", ["binance", "okx"])
def test_a_target_that_fires_ends_its_position_and_the_stop_goes(exchange):
    told: list[Any] = []

    async def main() -> None:
        async with world(exchange, "linear", lambda one: holder(one, told)) as place:
            place.begin()
            await place.until(START + MINUTE + 10 * SECOND)
            place.pin(1.06 * PRICE)
            await place.until(START + MINUTE + 40 * SECOND)
            assert (place.positions, place.orders, len(place.fills)) == ({}, [], 2)
            await place.stop()

    warped(main())
    assert told == [*OPENED, ("sell", "filled", "take_profit")]


@pytest.mark.parametrize("exchange", ["bybit", "kucoin"])
def test_a_trailing_stop_follows_the_price_with_one_order_on_the_exchange(exchange):
    """2 % behind 60000, 61200 and 62400, then back to 61000: below 61152."""
    told: list[Any] = []
    terms = {"stop_loss_pct": None, "take_profit_pct": None, "trailing_stop_pct": 2.0}

    async def main() -> None:
        async with world(exchange, "linear", lambda one: holder(one, told, **terms)) as place:
            place.begin()
            for number, share in enumerate((1.0, 1.02, 1.04), 1):
                if number > 1:
                    place.pin(share * PRICE)
                await place.until(START + MINUTE + number * 15 * SECOND)
                assert levels(place) == [(False, 0.01, pytest.approx(0.98 * share, abs=1e-3))]
            place.pin(61_000.0)
            await place.until(START + 2 * MINUTE + 40 * SECOND)
            assert (place.positions, place.orders) == ({}, [])
            await place.stop()

    warped(main())
    assert told == [*OPENED, ("sell", "filled", "trailing_stop")]


@pytest.mark.parametrize("exchange", ["okx", "bitget", "kucoin"])
def test_a_position_that_is_closed_by_hand_is_booked_as_left_and_its_orders_go(exchange):
    told: list[Any] = []

    async def main() -> None:
        async with world(exchange, "linear", lambda one: holder(one, told)) as place:
            place.begin()
            await place.until(START + MINUTE + 10 * SECOND)
            held = next(one for one in place.state.held(place.item))
            place.state.place(Taken(instrument=place.item, buy=False, amount=held.amount, price=None, side="BOTH"))
            place.venue.pulse()
            await place.until(START + 3 * MINUTE)
            assert (place.positions, place.orders) == ({}, [])
            assert not place.lives[-1].run.positions
            await place.stop()

    warped(main())
    assert told == [*OPENED, ("sell", "filled", "order")]


@pytest.mark.parametrize("exchange", ["okx", "bybit"])
def test_spot_levels_are_watched_and_closed_at_market(exchange):
    """What was paid as a fee in coins is not sold: it is not there."""
    told: list[Any] = []

    async def main() -> None:
        async with world(exchange, "spot", lambda one: holder(one, told, leverage=1.0)) as place:
            before = place.balance("BTC")
            place.begin()
            await place.until(START + MINUTE + 10 * SECOND)
            assert place.orders == []
            place.pin(0.97 * PRICE)
            await place.until(START + MINUTE + 40 * SECOND)
            assert len(place.fills) == 2
            assert place.balance("BTC") == before
            await place.stop()

    warped(main())
    assert told == [*OPENED, ("sell", "open", "stop_loss"), ("sell", "filled", "stop_loss")]


@pytest.mark.parametrize("exchange", ["binance", "bitget"])
def test_each_leg_of_a_hedge_is_protected_for_itself(exchange):
    told: list[Any] = []

    async def main() -> None:
        async with world(exchange, "linear", lambda one: hedger(one, told)) as place:
            place.begin()
            await place.until(START + MINUTE + 10 * SECOND)
            assert place.positions == {"LONG": 0.02, "SHORT": -0.01}
            assert levels(place) == [(False, 0.02, 0.98), (True, 0.01, 1.02)]
            place.pin(0.97 * PRICE)
            await place.until(START + MINUTE + 40 * SECOND)
            assert place.positions == {"SHORT": -0.01}
            assert levels(place) == [(True, 0.01, 1.02)]
            await place.stop()

    warped(main())
    assert told[-1] == ("long", "sell", "filled", "stop_loss")
    assert len(told) == 5
