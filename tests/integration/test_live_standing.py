"""How a live run stands: by its handle, and by its journal while it runs and after a kill."""

from __future__ import annotations

from typing import Any

from lives import MINUTE, SECOND, START, World, settings_of, world
from venue import Fault
from warp import warped

from metaexpert import MetaExpert
from metaexpert.journal import JournalReader
from metaexpert.status import Status, status_of


def holder(place: World) -> MetaExpert:
    """Buys at the close of the first bar, rests an order at that of the third, and holds on to both."""
    expert = MetaExpert(**settings_of(place.exchange, place.kind))

    @expert.on_init(
        symbol=place.symbol, timeframe="1m", strategy_name="holder", stop_loss_pct=2.0, max_drawdown_pct=0.5,
        max_positions_per_symbol=3,
    )  # fmt: skip
    def init() -> None: ...

    @expert.on_bar
    def bar(one: Any) -> None:
        if one.time == START:
            expert.buy(0.01)
        elif one.time == START + 2 * MINUTE:
            expert.buy(0.01, price=30_000.0)

    expert.on_error(lambda _: None)
    return expert


def looked(place: World) -> Status:
    with JournalReader.open(place.lives[-1].run.journal) as kept:
        run = kept.runs()[-1].id
    return status_of(run)


def test_a_live_run_tells_how_it_stands_while_it_runs_and_after_a_kill(home):
    async def main() -> None:
        async with world("binance", "linear", holder, account_daily_loss_limit=5_000.0) as place:
            run = place.begin().run
            await place.until(START + MINUTE + 30 * SECOND)
            found = looked(place)
            (stop,) = place.stops
            assert (found.mode, found.is_running, found.reason) == ("live", True, None)
            assert [one.qty for one in found.positions] == [0.01]
            assert [(one.part, one.status, one.order_id) for one in found.protection] == [
                ("stop", "stands", stop.client_id)
            ]
            assert "(on the exchange)" in "\n".join(found.lines())
            assert len(found.fills) == 1
            assert {one.name for one in found.limits} == {"max_drawdown_pct", "account_daily_loss_limit"}
            assert (run.unknown, run.unprotected) == ([], [])

            place.venue.faults.add(Fault.RESET, path="*order*", times=40)  # nor does a look-up get an answer
            await place.until(START + 3 * MINUTE + 5 * SECOND)
            found = looked(place)
            assert run.unknown == [place.symbol]
            (name,) = found.unknown
            assert [one.id for one in found.orders] == [name]
            assert "UNKNOWN whether it arrived" in "\n".join(found.lines())
            assert any("not known" in one.body[2] for one in found.notices)

            await place.fail()
            found = looked(place)
            assert (found.is_running, found.reason) == (False, None)
            assert "NOT running" in found.lines()[0]
            assert [one.qty for one in found.positions] == [0.01]

    warped(main())
