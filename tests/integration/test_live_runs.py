"""Live runs from end to end at the loopback exchange, in warped time: wired as users' are."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from lives import MINUTE, PRICE, SECOND, START, World, settings_of, world
from venue.faults import Fault
from warp import warped

from metaexpert import MetaExpert
from metaexpert.errors import AuthenticationError, ConfigError, JournalError, NetworkError
from metaexpert.exchanges.gateway import Gateway
from metaexpert.journal import JournalReader
from metaexpert.logger import MetaLogger
from metaexpert.models import Fill
from metaexpert.rerun import Rebuilt
from metaexpert.resume import resume

if TYPE_CHECKING:
    from metaexpert.models import Bar, Order
    from metaexpert.replay import Comparison


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


def replayed(place: World, number: int = -1) -> Comparison:
    """A run, played again."""
    with place.journal() as journal:
        kept = journal.runs()[number]

    def play() -> Comparison:
        job = buyer(place).start("live", no_limits=True).job
        with JournalReader.open(place.lives[-1].run.journal) as journal:
            return asyncio.run(Rebuilt(job, kept).replay(journal))

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(play).result()


def test_a_position_is_opened_protected_and_closed_over_a_restart():
    """And both runs, played again from what they heard, do the same once more."""
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
            for number in (0, 1):
                found = replayed(place, number)
                assert (found.is_equal, found.lines > 5) == (True, True), found

    warped(main())
    assert told == [
        *("init", ("buy", "open", 0.0), ("buy", "filled", 0.01)),
        *("init", ("sell", "open", 0.0), ("sell", "filled", 0.01)),
    ]


def holder(world: World, heard: list[Any], qty: float = 0.01, **settings: Any) -> MetaExpert:
    """Holds a long position whenever it can."""
    expert = MetaExpert(**settings_of(world.exchange, world.kind))
    terms: dict[str, Any] = {"leverage": 5.0, "strategy_name": "holder"} | settings

    @expert.on_init(symbol=world.symbol, timeframe="1m", lookback_bars=5, **terms)
    def init() -> None:
        heard.append("init")

    @expert.on_bar
    def bar(one: Bar) -> None:
        if one.time >= START and not expert.position():
            expert.buy(qty)
            expert.buy(qty, price=round(one.close * 0.9, 1))

    @expert.on_transaction
    def transaction(order: Order, result: Any) -> None:
        if isinstance(result, Fill):
            heard.append((result.side.value, result.qty))

    expert.on_deinit(heard.append)
    return expert


def test_a_run_that_is_told_so_closes_what_it_holds_at_its_end_and_another_after_a_crash():
    """Resting orders and stops go with the position; to close is all that the second run does."""
    heard: list[Any] = []
    make = partial(holder, heard=heard, stop_loss_pct=3.0, max_positions_per_symbol=2)

    async def main() -> None:
        async with world("binance", "linear", make) as place:
            place.begin(on_stop="flatten")
            await place.until(START + MINUTE + 30 * SECOND)
            assert (place.positions, len(place.orders)) == ({"BOTH": 0.01}, 2)
            assert await place.stop() == "user_stop"
            assert (place.positions, place.orders) == ({}, [])
            assert heard == ["init", ("buy", 0.01), ("sell", 0.01), "user_stop"]
            heard.clear()
            place.begin()
            await place.until(START + 2 * MINUTE + 30 * SECOND)
            assert heard == ["init", ("buy", 0.01)]
            await place.fail()
            heard.clear()
            assert (place.positions, len(place.orders)) == ({"BOTH": 0.01}, 2)
            life = place.begin(flatten=True)
            assert await life.task == "flattened"
            assert (place.positions, place.orders, heard) == ({}, [], [])

    warped(main())


def test_a_run_that_fails_cancels_its_entries_and_leaves_the_stop():
    """Its journal can't be written any more, and nobody will be there to protect what they open."""
    make = partial(holder, heard=[], stop_loss_pct=3.0, max_positions_per_symbol=2)

    async def main() -> None:
        async with world("binance", "linear", make) as place:
            life = place.begin()
            await place.until(START + MINUTE + 30 * SECOND)
            (stop,) = place.stops
            assert len(place.orders) == 2
            life.power._journals[0]._db.execute("PRAGMA query_only = 1")
            with pytest.raises(JournalError, match="readonly"):
                await place.until(START + 3 * MINUTE)
            assert (place.positions, place.orders) == ({"BOTH": 0.01}, [stop])

    warped(main())


def test_a_second_signal_ends_a_run_at_once_though_requests_are_under_way():
    """The exchange takes ten seconds to answer; the next start finds out what became of it."""
    heard: list[Any] = []
    make = partial(holder, heard=heard, stop_loss_pct=3.0, max_positions_per_symbol=2)

    async def main() -> None:
        async with world("binance", "linear", make) as place:
            life = place.begin(on_stop="flatten")
            await place.until(START + MINUTE + 30 * SECOND)
            slow = place.venue.faults.add(Fault.LATENCY, method="[PD]*", times=1_000, seconds=10.0)
            begun, task = place.clock.now(), life.run._task
            assert task is not None
            life.run._hear_signal(task)
            await place.until(begun + 2 * SECOND)
            assert not life.is_over
            life.run._hear_signal(task)
            assert await life.task == "signal"
            assert place.clock.now() - begun < 3 * SECOND
            assert "a position is left that had to go" in life.said
            slow.times = 0
            await place.clock.sleep_until(begun + 30 * SECOND)
            place.begin(flatten=True)
            assert await place.lives[-1].task == "flattened"
            assert (place.positions, place.orders) == ({}, [])
            assert [one.qty for one in place.fills] == [0.01, 0.01]

    warped(main())


def test_a_start_warns_of_a_position_that_has_no_stop_though_the_settings_give_one():
    """It was opened without, and keeps what it has."""
    settings: dict[str, Any] = {}
    warning = "a position has no stop though the settings give one"

    async def main() -> None:
        async with world("binance", "linear", lambda place: holder(place, [], **settings)) as place:
            place.begin()
            await place.until(START + MINUTE + 10 * SECOND)
            await place.stop()
            for stop, is_warned in ((2.0, True), (None, False)):
                settings["stop_loss_pct"] = stop
                life = place.begin()
                await place.until(place.clock.now() + 10 * SECOND)
                assert [one.stop_loss for one in life.run.positions] == [None]
                assert any(line.startswith(warning) for line in life.said) is is_warned
                await place.stop()

    warped(main())


def test_a_signal_while_a_run_begins_lets_the_stop_go_that_is_on_its_way(monkeypatch):
    """The stop was cancelled by hand after a crash; the one that replaces it takes five seconds to leave."""
    make, sending = partial(holder, heard=[], stop_loss_pct=3.0), asyncio.Event()
    submit = Gateway.submit

    async def slow(gateway: Gateway, request: Any) -> Any:
        sending.set()
        await asyncio.sleep(5.0)
        return await submit(gateway, request)

    async def main() -> None:
        async with world("binance", "linear", make) as place:
            place.begin()
            await place.until(START + MINUTE + 30 * SECOND)
            await place.fail()
            for stop in place.stops:
                place.state.cancel(stop)
            monkeypatch.setattr(Gateway, "submit", slow)
            life = place.begin()
            await sending.wait()
            assert life.run._task is not None
            life.run._hear_signal(life.run._task)
            assert await life.task == "signal"
            assert len(place.stops) == 1

    warped(main())


def test_a_run_that_its_drawdown_has_ended_begins_again_only_once_that_is_allowed():
    """1 BTC at 60,000 falls by 10,000: a tenth of the account of 100,000, of which it may lose a twentieth."""
    heard: list[Any] = []
    make = partial(holder, heard=heard, qty=1.0, max_drawdown_pct=0.05)

    async def main() -> None:
        async with world("bybit", "linear", make, prices={3: 50_000.0}) as place:
            life = place.begin()
            await place.until(START + 4 * MINUTE)
            assert life.is_over
            assert life.task.result() == "max_drawdown"
            assert (place.positions, place.orders) == ({}, [])
            assert heard[-1] == "max_drawdown"
            with pytest.raises(ConfigError, match=r"holder was ended by max_drawdown: .* metaexpert resume"):
                await place.begin().task
            assert resume(journal_run(place)).limits == ("max_drawdown",)
            place.begin()
            await place.until(place.clock.now() + MINUTE + 30 * SECOND)
            assert place.positions == {"BOTH": 1.0}  # the drawdown counts from 90,000 now
            await place.stop()

    warped(main())


def journal_run(place: World) -> str:
    with place.journal() as journal:
        return journal.runs()[-1].id


def test_two_experts_on_one_account_keep_their_own_positions_and_stops():
    """One leaves 0.01 with its stop; another trades 0.02 beside it and is flat again: the first one's stay."""
    first: list[Any] = []
    second: list[Any] = []
    makes = iter([
        partial(holder, heard=first, stop_loss_pct=3.0, strategy_name="first"),
        partial(holder, heard=second, qty=0.02, stop_loss_pct=2.0, strategy_name="second"),
        partial(holder, heard=first, stop_loss_pct=3.0, strategy_name="first"),
    ])  # fmt: skip

    def make(place: World) -> MetaExpert:
        return next(makes)(place)

    async def main() -> None:
        async with world("binance", "linear", make) as place:
            place.begin()
            await place.until(START + MINUTE + 30 * SECOND)
            await place.stop()
            (own,) = place.stops
            place.begin(on_stop="flatten")
            await place.until(START + 3 * MINUTE + 30 * SECOND)
            assert place.positions == {"BOTH": 0.03}
            assert sorted(float(one.amount) for one in place.stops) == [0.01, 0.02]
            await place.stop()
            assert (place.positions, place.stops) == ({"BOTH": 0.01}, [own])
            assert second == ["init", ("buy", 0.02), ("sell", 0.02), "user_stop"]
            life = place.begin(flatten=True)
            await life.task
            assert (place.positions, place.orders) == ({}, [])

    warped(main())


def test_keys_that_are_refused_end_the_run_and_leave_the_stop_where_it_is():
    told: list[Any] = []

    def make(place: World) -> MetaExpert:
        expert = buyer(place)
        expert.on_error(lambda error: told.append(type(error).__name__))
        expert.on_deinit(told.append)
        return expert

    async def main() -> None:
        async with world("okx", "linear", make) as place:
            life = place.begin()
            await place.until(START + MINUTE + 30 * SECOND)
            place.venue.faults.add(Fault.DENIED, times=1_000_000)
            with pytest.raises(AuthenticationError, match="mend the API key of OKX"):
                await place.until(START + 5 * MINUTE)
            assert life.is_over
            assert (place.positions, len(place.stops)) == ({"BOTH": 0.01}, 1)
            with place.journal() as journal:
                assert journal.runs()[-1].reason == "error"

    warped(main())
    assert set(told[:-1]) == {"AuthenticationError"}
    assert told[-1] == "error"


def test_a_restart_waits_for_an_exchange_that_is_away_and_a_first_start_does_not():
    """It is away for four minutes after a crash: a read is given up after five tries, the start is not."""

    async def main() -> None:
        async with world("kucoin", "linear", lambda place: holder(place, [])) as place:
            away = place.venue.faults.add(Fault.MAINTENANCE, times=1_000_000)
            life = place.begin()
            with pytest.raises(NetworkError):
                await place.until(START + 10 * MINUTE)
            place.venue.faults.lift(away)
            place.begin()
            begun = place.clock.now()
            await place.until(begun + 2 * MINUTE)
            assert place.positions
            await place.fail()
            away = place.venue.faults.add(Fault.MAINTENANCE, times=1_000_000)
            life = place.begin()
            await place.until(place.clock.now() + 4 * MINUTE)
            assert not life.is_over
            assert "live trading" not in life.said
            place.venue.faults.lift(away)
            await place.until(place.clock.now() + MINUTE)
            assert "live trading" in life.said
            assert len([text for text in life.said if text.startswith("the run can't begin yet")]) > 1
            await place.stop()

    warped(main())


def test_what_befell_an_expert_who_did_not_run_costs_another_on_the_account_nothing():
    """Both hold 0.01. The stop of the one fires while that is dead: the other keeps its position and its stop."""
    heard: dict[str, list[Any]] = {"one": [], "two": []}

    def make(name: str, stop: float) -> Any:
        return partial(
            holder, heard=heard[name], strategy_name=name, stop_loss_pct=stop, max_positions_per_symbol=1
        )

    async def main() -> None:
        async with world("bybit", "linear", make("one", 5.0), prices={2: 59_000.0}) as place:
            other = World(place.venue, place.clock, "bybit", "linear", make("two", 1.0), {})
            place.begin()
            other.begin()
            await place.until(START + MINUTE + 30 * SECOND)
            assert place.positions == {"BOTH": 0.02}
            await other.fail()
            await place.until(START + 4 * MINUTE)
            (stop,) = place.stops
            assert (place.positions, float(stop.amount)) == ({"BOTH": 0.01}, 0.01)
            assert heard["one"] == ["init", ("buy", 0.01)]
            other.begin(flatten=True)
            assert await other.lives[-1].task == "flattened"
            await place.until(START + 6 * MINUTE)
            assert (place.positions, place.stops) == ({"BOTH": 0.01}, [stop])
            await place.stop()

    warped(main())
    assert heard["one"] == ["init", ("buy", 0.01), "user_stop"]


def test_a_run_that_is_given_up_names_the_position_that_it_leaves_without_a_stop(monkeypatch):
    """The key may trade no more from the stop on: neither that nor an order that closes is taken."""
    said: list[tuple[str, Any]] = []
    monkeypatch.setattr(MetaLogger, "warning", lambda _, text, **more: said.append((text, more.get("qty"))))
    make = partial(holder, heard=[], stop_loss_pct=3.0, max_positions_per_symbol=1)

    async def main() -> None:
        async with world("bybit", "linear", make) as place:
            life = place.begin()
            await place.until(START + 30 * SECOND)
            place.venue.faults.add(Fault.DENIED, method="POST", times=1_000, after=1)
            with pytest.raises(AuthenticationError):
                await place.until(START + 5 * MINUTE)
            assert life.is_over
            assert (place.positions, place.stops) == ({"BOTH": 0.01}, [])

    warped(main())
    assert said[-1] == ("a position is left without its stop or target on the exchange", 0.01)
