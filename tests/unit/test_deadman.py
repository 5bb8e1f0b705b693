"""The dead man's switch: when it beats, when it stops, and what it says."""

from __future__ import annotations

import asyncio

import pytest
from pyleak import no_task_leaks

from metaexpert.courier import Patience
from metaexpert.courier.deadman import DeadMan
from metaexpert.courier.desk import Desk
from metaexpert.errors import NetworkError
from metaexpert.exchanges.capabilities import why_unarmed
from metaexpert.exchanges.venues import Segment
from metaexpert.models import Account, Order, OrderType, Side
from metaexpert.reports import AccountReport
from tests.clocks import SelfMovingClock
from tests.fakes import idle

START = 1_790_000_000_000
EXCHANGES = ("binance", "bybit", "okx", "bitget", "kucoin")
ONE, TWO = "BTC/USDT:USDT", "ETH/USDT:USDT"


class Wire:
    """An exchange that notes each beat: when, of which market, for how long."""

    def __init__(self, clock):
        self.clock, self.beats, self.deaf = clock, [], 0

    async def dead_man(self, symbols, seconds):
        self.beats.append(((self.clock.now() - START) / 1_000, *symbols, seconds))
        if self.deaf:
            self.deaf -= 1
            raise NetworkError("nobody hears")


class Switch:
    def __init__(self, *symbols):
        self.clock, self.told, self.failed = SelfMovingClock(START), [], []
        self.wire = Wire(self.clock)
        self.desk = Desk(self.wire, self.clock, self.told.append, self.failed.append, Patience())
        self.dead_man = DeadMan(self.desk, symbols, 60, lambda name: name.startswith("me"))

    def look(self, *orders, others=()):
        account = Account(
            currency="USDT", balance=1.0, equity=1.0, unrealized_pnl=0.0, margin_used=0.0, margin_free=1.0, time=0
        )
        self.dead_man.look(AccountReport(self.clock.now(), account, (), orders, others))

    @property
    def said(self):
        return [one.text.removeprefix("dead man's switch: ") for one in self.told]


def order(name, symbol=ONE):
    return Order(id=name, symbol=symbol, side=Side.BUY, type=OrderType.LIMIT, qty=1.0, price=1.0)


def played(work):
    async def play():
        async with no_task_leaks(action="raise"):
            await work()
            await idle()  # the clock's own task ends, too

    asyncio.run(play())


def test_it_beats_three_times_within_its_seconds_and_is_ended_by_an_orderly_end():
    """60 s: at 0, 20, 40 s for all markets, then 0 at the end."""

    async def work():
        switch = Switch(ONE, TWO)
        switch.look(order("me1"))
        await switch.clock.sleep_until(START + 50_000)
        assert switch.wire.beats == [(at, ONE, TWO, 60) for at in (0.0, 20.0, 40.0)]
        switch.wire.beats.clear()
        await switch.dead_man.close()
        await asyncio.wait(switch.desk.requests)
        assert switch.wire.beats == [(50.0, ONE, TWO, 0)]
        assert not switch.dead_man.is_armed
        assert switch.said == ["armed: 60 s after the last sign of life the exchange cancels resting orders"]

    played(work)


@pytest.mark.parametrize(("symbol", "is_armed"), [(ONE, False), (TWO, True)])
def test_it_never_cancels_what_is_not_ours(symbol, is_armed):
    """An order of others in a market of the run; those in other markets it does not reach."""

    async def work():
        switch = Switch(ONE)
        switch.look(order("x1", symbol))
        assert switch.dead_man.is_armed is is_armed
        assert switch.said[0].startswith("armed" if is_armed else f"off: it would cancel order x1 in {symbol}")
        await switch.dead_man.close()
        if is_armed:
            await asyncio.wait(switch.desk.requests)
        switch.look()
        assert not switch.dead_man.is_armed

    played(work)


def test_it_stops_when_others_come_and_goes_on_when_they_are_gone():
    async def work():
        switch = Switch(ONE)
        switch.look()
        await switch.clock.sleep_until(START + 10_000)
        switch.look(others=((ONE, None, 1.0),))
        switch.look(others=((ONE, None, 1.0),))
        await switch.clock.sleep_until(START + 70_000)
        assert switch.wire.beats == [(0.0, ONE, 60), (10.0, ONE, 0)]
        switch.look()
        await switch.clock.sleep_until(START + 71_000)
        assert switch.wire.beats[2:] == [(70.0, ONE, 60)]
        assert [one.split(":")[0] for one in switch.said] == ["armed", "off", "armed"]
        await switch.dead_man.close()
        await asyncio.wait(switch.desk.requests)

    played(work)


def test_a_beat_that_is_not_heard_is_repeated_after_five_seconds_and_told_of_once():
    async def work():
        switch = Switch(ONE)
        switch.wire.deaf = 2
        switch.look()
        await switch.clock.sleep_until(START + 35_000)
        assert [at for at, _, _ in switch.wire.beats] == [0.0, 5.0, 10.0, 30.0]
        assert [one for one in switch.said if "nobody hears" in one] == [
            "the exchange did not take the sign of life: nobody hears"
        ]
        assert switch.failed == []
        await switch.dead_man.close()
        await asyncio.wait(switch.desk.requests)

    played(work)


def test_it_is_used_only_where_it_reaches_no_further_and_leaves_the_stops_of_positions():
    """By what the exchanges say: KuCoin's spot alone."""
    assert [(one, part) for one in EXCHANGES for part in Segment if not why_unarmed(one, part)] == [
        ("kucoin", Segment.SPOT)
    ]
