"""The instrument of the crash tests: what it counts, and that a process without power does nothing more."""

from __future__ import annotations

import asyncio

from contract.gateways import order, request
from lives import MINUTE, PRICE, SECOND, START, settings_of, world
from warp import warped

from metaexpert import MetaExpert
from metaexpert.config import ExchangeSettings


def buyer(world):
    """Buys at the first close and at each one after it."""
    expert = MetaExpert(**settings_of(world.exchange, world.kind))

    @expert.on_init(symbol=world.symbol, timeframe="1m", lookback_bars=5, leverage=3, strategy_name="power")
    def init():
        pass

    @expert.on_bar
    def bar(rates):
        expert.buy(0.01)

    return expert


def on_paper(work, exchange="binance"):
    async def inside():
        async with world(exchange, "linear", buyer, trade_mode="paper") as made:
            await work(made)

    warped(inside())


async def _between(world, life, start, end):
    await world.until(START + start)
    life.power.is_counting = True
    await world.until(START + end)


def rows(world):
    with world.journal() as journal:
        return [list(journal.lines(run.id)) for run in journal.runs()], journal.last_state()


def test_every_await_and_every_write_of_a_stretch_is_counted():
    async def work(world):
        life = world.begin()
        await _between(world, life, 50 * SECOND, 65 * SECOND)
        moments = life.power.moments
        assert {one.kind for one in moments} == {"waits", "goes on", "writes"}
        waits, resumes = (sum(one.kind == kind for one in moments) for kind in ("waits", "goes on"))
        assert abs(waits - resumes) <= 10  # what was waiting at the beginning, or waits at the end
        assert {"BEGIN IMMEDIATE", "COMMIT", "COMMIT is done"} <= {one.place for one in moments}
        assert any(one.place.startswith("livefeed.py:") for one in moments)
        assert not any("site-packages" in one.place for one in moments)
        assert life.power.written >= 2
        await world.stop()

    on_paper(work)


def test_a_process_without_power_does_nothing_more_and_another_one_takes_over():
    async def work(world):
        life = world.begin(at=12)
        await _between(world, life, 50 * SECOND, 65 * SECOND)
        assert not life.power.is_on
        assert len(life.power.moments) == 13
        await world.fail()
        assert life.is_over
        seen, kept = len(world.venue.seen), rows(world)
        await asyncio.sleep(120)
        assert (len(world.venue.seen), rows(world)) == (seen, kept)
        again = world.begin()
        await world.until(START + 4 * MINUTE)
        assert again.expert.position().qty > 0
        assert await world.stop() == "user_stop"
        with world.journal() as journal:
            assert [run.reason for run in journal.runs()] == ["killed", "user_stop"]

    on_paper(work)


def test_the_power_fails_at_each_statement_to_the_journal_before_which_it_is_cut():
    async def work(world):
        for number in range(5):
            life = world.begin()
            begin = 4 * number * MINUTE
            await world.until(START + begin + 50 * SECOND)
            life.power.at = number
            passes = life.power.passes
            life.power.passes = lambda kind, place, passes=passes: kind != "writes" or passes(kind, place)
            life.power.is_counting = True
            await world.until(START + begin + 70 * SECOND)
            assert not life.power.is_on
            before = life.power.moments[-1].traces
            await world.fail()
            assert life.power.written == before[0]
            with world.journal() as journal:
                held = journal.last_state()["broker"]["ledger"]["holdings"][0]["qty"]
                assert [run.reason for run in journal.runs()][number:] == [None]
                fills = [one for run in journal.runs() for one in journal.lines(run.id) if '"kind":"fill"' in one]
            assert round(held, 9) == round(0.01 * len(fills), 9)

    on_paper(work)


async def _cut_in_a_submit(world, number, turns, *, arrives):
    """Cut the power some turns of the event loop after a request was begun; when has it arrived, if ever?"""
    life = world.begin()
    await world.until(world.clock.now() + MINUTE)
    told = settings_of(world.exchange, world.kind)
    del told["log_to_console"]
    gateway = world.gateway(ExchangeSettings(**told), life)
    market = await gateway.market(world.symbol)
    wanted = order(market, PRICE / 2, id=f"a1b2c{number}")
    arrived = world.arrived
    life.power.context().run(asyncio.create_task, gateway.submit(request(wanted, PRICE)))
    while not life.begun:  # noqa: ASYNC110 - turn by turn
        await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    before = world.arrived > arrived
    await world.fail(arrives=arrives)
    found = any(one.client_id == wanted.id for one in world.orders)
    return "never" if not found else "before" if before else "after"


def test_what_is_on_its_way_when_the_power_fails_arrives_or_does_not():
    async def work(world):
        turns, found = 0, "never"
        while found == "never":
            turns += 1
            found = await _cut_in_a_submit(world, turns, turns, arrives=True)
        assert found == "after"
        assert await _cut_in_a_submit(world, 0, turns, arrives=False) == "never"

    on_paper(work)
