"""Live runs on options: levels that the expert watches, restarts, flattening, and what the expiry brings."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from lives import MINUTE, SECOND, START, settings_of, world
from truth import differences
from warp import warped

from metaexpert import ConfigError, MetaExpert
from metaexpert.models import ExitReason, Fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lives import World
    from venue.instruments import Instrument

EXCHANGES = pytest.mark.parametrize("exchange", ["binance", "okx"])
ENDS = START + MINUTE


class Holder:
    """An expert that does what it is told, at an option whose price trembles around a premium of a tenth.

    `fills` are those that it has heard of, `base` is the lower one of the two prices.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.wish: Callable[[MetaExpert], object] | None = None
        self.fills: list[Fill] = []
        self.base = 0.0

    def make(self, place: World) -> MetaExpert:
        """The expert, anew."""
        expert = MetaExpert(**settings_of(place.exchange, place.kind))
        expert.on_init(
            symbol=place.symbol, timeframe="1m", lookback_bars=5, strategy_name="holder", **self.settings
        )(lambda: None)

        @expert.on_timer(1)
        def timer() -> None:
            wish, self.wish = self.wish, None
            if wish is not None:
                wish(expert)

        @expert.on_transaction
        def transaction(_: object, result: object) -> None:
            if isinstance(result, Fill):
                self.fills.append(result)

        return expert

    def price(self, place: World, share: float = 1.0) -> None:
        """The option costs that share of what it did at first, and its underlying 60,000."""
        self.base = share * (0.1 if place.exchange == "okx" else 6_000.0)
        place.state.pin(place.state.followed(place.item), 60_000)
        place.pin(self.base)

    async def live(self, place: World, seconds: float, wish: Callable[[MetaExpert], object] | None = None) -> None:
        """Let time pass."""
        self.wish = wish
        tick, end, up = float(place.item.tick), place.clock.now() + int(seconds * SECOND), False
        while place.clock.now() < end:
            up = not up
            place.pin(round(self.base + tick * up, 8))
            moment = min(end, place.clock.now() + 1_700)
            await (place.clock.sleep_until(moment) if place.lives[-1].is_over else place.until(moment))


class Bids:
    """What the public bids for an option: so much at the price and nothing below it; None is any amount."""

    def __init__(self, place: World) -> None:
        self.size: int | None = None
        """In units of the exchange's own."""
        self._item, self._levels = place.item, place.state.levels
        place.state.levels = self.levels

    def levels(self, instrument: Instrument, *, asks: bool) -> Iterator[tuple[Decimal, Decimal]]:
        """Instead of the exchange's own."""
        for price, size in self._levels(instrument, asks=asks):
            is_thin = not asks and instrument == self._item and self.size is not None
            if not is_thin:
                yield price, size
            elif self.size:
                yield price, Decimal(self.size)


def test_an_exit_that_found_no_bid_goes_on_at_once_after_a_restart() -> None:
    """Until the first price is heard nothing is sent, and the run does not wait for what needs one to begin."""
    holder = Holder(stop_loss_pct=5.0)

    async def work() -> None:
        async with world("okx", "option", holder.make, max_slippage_pct=1.0) as place:
            bids = Bids(place)
            holder.price(place)
            place.begin()
            await holder.live(place, 20)
            await holder.live(place, 8, lambda expert: expert.buy(1.0))
            bids.size = 0
            holder.price(place, 0.9)
            await holder.live(place, 6)
            assert place.positions == {"BOTH": 1.0}
            assert any("could not be closed" in line for line in place.lives[-1].said)
            await place.fail()
            bids.size = None
            place.begin()
            await holder.live(place, 12)
            assert place.positions == {}
            assert not any("could not be closed" in line for line in place.lives[-1].said)
            assert (holder.fills[-1].reason, holder.fills[-1].qty) == (ExitReason.STOP_LOSS, 1.0)
            assert differences(place) == []
            assert await place.stop() == "user_stop"

    warped(work())


def test_what_the_market_takes_in_parts_is_flattened_without_a_pause() -> None:
    """100 contracts, of which 10 find a bid at a time: ten orders, of 100, 90 ... 10, within 8 seconds."""
    holder = Holder()

    async def work() -> None:
        async with world("okx", "option", holder.make, max_slippage_pct=1.0) as place:
            bids = Bids(place)
            holder.price(place)
            place.begin()
            await holder.live(place, 20)
            await holder.live(place, 8, lambda expert: expert.buy(1.0))
            await place.stop()
            bids.size = 10
            life = place.begin(flatten=True)
            await holder.live(place, 8)
            assert await life.task == "flattened"
            assert place.positions == {}
            taken = [one for one in place.all_orders if not one.buy and one.filled]
            assert [int(one.amount) for one in taken] == list(range(100, 0, -10))
            assert [int(one.filled) for one in taken] == [10] * 10

    warped(work())


@EXCHANGES
def test_a_stop_of_an_option_is_watched_again_after_a_restart(exchange: str) -> None:
    """Bought for 5 % of equity with a stop 5 % below; the power fails; at 90 % of the premium it is left."""
    holder = Holder(stop_loss_pct=5.0, size_type="percent_equity", size_value=0.05)

    async def work() -> None:
        async with world(exchange, "option", holder.make, max_slippage_pct=1.0) as place:
            holder.price(place)
            place.begin()
            await holder.live(place, 20)
            await holder.live(place, 8, lambda expert: expert.buy())
            (bought,) = holder.fills
            assert place.positions == {"BOTH": pytest.approx(bought.qty)}
            equity = 100_000.0 if exchange == "binance" else 2.0
            assert 0.045 * equity < bought.qty * bought.price <= 0.05 * equity
            assert differences(place) == []
            await place.fail()
            await holder.live(place, 5)
            place.begin()
            await holder.live(place, 20)
            assert any(f"stop of {place.symbol} at" in line and "watched" in line for line in place.lives[-1].said)
            assert len(holder.fills) == 1
            holder.price(place, 0.9)
            await holder.live(place, 12)
            assert (holder.fills[-1].reason, holder.fills[-1].qty) == (ExitReason.STOP_LOSS, bought.qty)
            assert place.positions == {}
            assert differences(place) == []
            assert await place.stop() == "user_stop"

    warped(work())


@EXCHANGES
def test_a_sold_option_is_flattened(exchange: str) -> None:
    holder = Holder()

    async def work() -> None:
        async with world(exchange, "option", holder.make, max_slippage_pct=1.0) as place:
            holder.price(place)
            place.begin()
            await holder.live(place, 20)
            await holder.live(place, 8, lambda expert: expert.sell(0.1))
            account, unit = place.lives[-1].run.account, 1.0 if exchange == "okx" else 60_000.0
            assert account is not None
            assert account.margin_used == pytest.approx(0.1 * 0.15 * unit)
            assert differences(place) == []
            await place.stop()
            life = place.begin(flatten=True)
            await holder.live(place, 30)
            assert await life.task == "flattened"
            assert place.positions == {}
            assert [(one.buy, one.qty) for one in place.fills] == [(False, 0.1), (True, 0.1)]

    warped(work())


@EXCHANGES
@pytest.mark.parametrize("runs", [True, False], ids=["running", "not running"])
def test_an_option_that_ends_is_settled_as_the_exchange_says(exchange: str, runs: bool) -> None:
    """A call of 54,000 at 61,000 in the end: 7,000 for each, or 7,000 / 61,000 coins; without a fee."""
    holder = Holder()

    async def work() -> None:
        async with world(exchange, "option", holder.make, max_slippage_pct=1.0, expires=ENDS) as place:
            holder.price(place)
            place.begin()
            await holder.live(place, 20)
            await holder.live(place, 8, lambda expert: (expert.buy(0.1), expert.buy(0.1, price=holder.base / 2)))
            if not runs:
                await place.fail()
            place.state.pin(place.state.followed(place.item), 61_000)
            await holder.live(place, (ENDS - place.clock.now()) / SECOND + 12)
            if not runs:
                place.begin()
                await holder.live(place, 20)
            settled = holder.fills[-1]
            assert (settled.reason, settled.time, settled.fee) == (ExitReason.EXPIRY, ENDS, 0.0)
            assert settled.price == pytest.approx(7_000 / (61_000 if exchange == "okx" else 1))
            assert (place.positions, place.orders, place.lives[-1].run.orders) == ({}, [], [])
            assert differences(place) == []
            await holder.live(place, 3, lambda expert: expert.buy(0.1))
            assert len(holder.fills) == 2
            assert await place.stop() == "user_stop"

    warped(work())


def test_a_run_goes_on_with_another_contract_where_the_one_that_it_held_has_ended() -> None:
    """Bought at 6,005; what is not listed any more counts as left at 60,000 - 54,000, and 61,000 was the truth."""
    holder = Holder()

    async def work() -> None:
        async with world("binance", "option", holder.make, max_slippage_pct=1.0, expires=ENDS) as place:
            holder.price(place)
            place.begin()
            await holder.live(place, 20)
            await holder.live(place, 8, lambda expert: expert.buy(0.1))
            (bought,) = holder.fills
            await place.fail()
            place.state.pin(place.state.followed(place.item), 61_000)
            await holder.live(place, (ENDS - place.clock.now()) / SECOND + 2)
            begun = 100_000.0 - bought.fee
            del place.state.instruments[place.item.kind, place.item.id]
            with pytest.raises(
                ConfigError, match=r"has ended .* and is not listed any more: name the contract that"
            ):
                await place.begin().task
            place.symbol = place.symbol.replace("260921-54000", "261225-66000")
            place.begin()
            await place.until(place.clock.now() + 20 * SECOND)
            life = place.lives[-1]
            gain = 0.1 * (6_000.0 - bought.price)
            assert any(f"counts as left at 6000, by the prices that were known last, for {gain:+.12g}" in one
                       for one in life.said)  # fmt: skip
            assert life.run.positions == []
            assert life.run.account is not None
            assert life.run.account.balance == pytest.approx(begun + 0.1 * (7_000.0 - bought.price))
            assert await place.stop() == "user_stop"

    warped(work())
