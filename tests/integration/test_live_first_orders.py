"""What a live run decides in its first moments: it begins when prices are known."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from lives import BEGUN, PRICE, SECOND, World, settings_of, world
from venue import Fault
from warp import warped

from metaexpert import MetaExpert
from metaexpert.journal import JournalReader
from metaexpert.rerun import Rebuilt

if TYPE_CHECKING:
    from metaexpert.models import Order
    from metaexpert.replay import Comparison


def hasty(world: World, told: list[Any], **more: Any) -> MetaExpert:
    """Buys as soon as it is begun."""
    expert = MetaExpert(**settings_of(world.exchange, world.kind, **more))

    @expert.on_init(symbol=world.symbol, timeframe="1m", lookback_bars=5, stop_loss_pct=2.0, strategy_name="hasty")
    def init() -> None:
        told.append("init")
        expert.buy(0.01)

    @expert.on_order
    def order(one: Order) -> None:
        told.append((one.status.value, one.message))

    return expert


@pytest.mark.parametrize(("exchange", "kind"), [("bybit", "linear"), ("okx", "spot")])
def test_an_entry_of_the_first_moment_finds_a_price(exchange, kind):
    told: list[Any] = []

    async def main() -> None:
        async with world(exchange, kind, lambda one: hasty(one, told)) as place:
            place.begin()
            await place.until(BEGUN + 20 * SECOND)
            (fill,) = place.fills
            assert abs(fill.price - PRICE) < 0.01 * PRICE

    warped(main())
    assert told[0] == "init"
    assert [one[0] for one in told[1:]] == ["open", "filled"]


def test_a_run_without_prices_begins_after_ten_seconds_and_enters_nothing():
    """Its entry is refused; played again, it is refused once more."""
    told: list[Any] = []

    async def main() -> None:
        async with world("bybit", "linear", lambda one: hasty(one, told)) as place:
            place.venue.faults.add(Fault.DROP, "book", times=1_000_000)
            place.begin()
            await place.until(BEGUN + 8 * SECOND)
            assert told == []
            await place.until(BEGUN + 20 * SECOND)
            assert place.fills == []
            await place.stop()
            told.append("again")
            assert replayed(place, told).is_equal

    warped(main())
    refused = [
        "init",
        ("rejected", "stale_price: no price of BTC/USDT:USDT is known that is younger than 10 seconds"),
    ]
    assert told == [*refused, "again", *refused]


def test_a_run_that_began_with_prices_is_played_again_with_them():
    told: list[Any] = []

    async def main() -> None:
        async with world("bybit", "linear", lambda one: hasty(one, told)) as place:
            place.begin()
            await place.until(BEGUN + 20 * SECOND)
            await place.stop()
            assert replayed(place, told).is_equal

    warped(main())
    assert [one if one == "init" else one[0] for one in told] == ["init", "open", "filled"] * 2


def test_what_others_hold_is_logged_once_as_found_and_no_line_names_an_empty_symbol(tmp_path):
    """A run that goes on does not say when it ended; one that has ended does."""
    logs = {"log_to_file": True, "log_file": str(tmp_path / "all.log")}

    async def main() -> None:
        async with world("okx", "spot", lambda one: hasty(one, [], **logs)) as place:
            life = place.begin()
            await place.until(BEGUN + 20 * SECOND)
            assert "ended" not in life.run.summary()
            await place.stop()
            assert "ended" in life.run.summary()

    warped(main())
    lines = (tmp_path / "all.log").read_text().splitlines()
    assert len([one for one in lines if "on the account is not ours" in one]) == 1
    assert [one for one in lines if 'symbol=""' in one] == []
    assert any("will not cancel resting orders" in one for one in lines)


def replayed(place: World, told: list[Any]) -> Comparison:
    """The last run, played again."""
    with place.journal() as journal:
        kept = journal.runs()[-1]

    def play() -> Comparison:
        job = hasty(place, told).start("live", no_limits=True).job
        with JournalReader.open(place.lives[-1].run.journal) as journal:
            return asyncio.run(Rebuilt(job, kept).replay(journal))

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(play).result()
