"""The power fails at every moment of the way of an order; the expert begins again, and all is as it should be.

A moment is an await of the library or a statement to the journal, told by the instrument of `tests/power.py`.
Between two moments that leave the same behind (the journal, the exchange, what is on its way) a restart can't tell
any difference: of such a row the first one is cut, unless all are asked for. Where a request is on its way at that
moment, it is cut twice: it arrives, or it does not.

By hand: ``python tests/cuts.py --exchange binance``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from contract.gateways import EXCHANGES
from lives import PRICE, SECOND, settings_of, world
from truth import differences, unprotected
from warp import warped

from metaexpert import MetaExpert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lives import World
    from power import Moment

__all__ = [
    "ACTIONS",
    "SIZES",
    "Actor",
    "Case",
    "Crash",
    "Figures",
    "Stage",
    "crash",
    "enumerated",
    "figures_of",
    "on_stage",
]

SIZES = {"spot": 0.02, "linear": 0.02, "inverse": 600.0}
WINDOW = 3 * SECOND
"""How long an action takes at most, with all that follows it."""
PATIENCE = 90
"""Seconds within which an expert that has begun again must have found out how all stands."""


class Action(NamedTuple):
    """Something that an expert does: `act` after `prepare`, and what it may have come to, in sizes and orders."""

    prepare: Callable[[MetaExpert, float], object]
    act: Callable[[MetaExpert, float], object]
    held: tuple[float, ...]
    """The positions, in sizes, that may be there once all is settled."""
    working: tuple[int, ...] = (0,)
    """How many orders may work then."""


def _rest(expert: MetaExpert, size: float) -> None:
    expert.buy(size, price=PRICE / 2)


def _modify(expert: MetaExpert, _: float) -> None:
    for order in expert.orders:
        expert.modify_order(order, price=PRICE / 2 + 100)


def _stop(expert: MetaExpert, _: float) -> None:
    expert.modify_position(stop_loss=PRICE * 0.98)


ACTIONS = {
    "open": Action(lambda e, q: None, lambda e, q: e.buy(q), (0, 1)),
    "close": Action(lambda e, q: e.buy(q), lambda e, q: e.close_position(), (0, 1)),
    "grow": Action(lambda e, q: e.buy(q), lambda e, q: e.buy(q), (1, 2)),
    "reduce": Action(lambda e, q: e.buy(2 * q), lambda e, q: e.close_position(qty=q), (1, 2)),
    "reverse": Action(lambda e, q: e.buy(q), lambda e, q: e.sell(2 * q), (-1, 1)),
    "rest": Action(lambda e, q: None, _rest, (0,), (0, 1)),
    "modify": Action(_rest, _modify, (0,), (0, 1)),
    "cancel": Action(_rest, lambda e, q: e.cancel_all_orders(), (0,), (0, 1)),
    "protect": Action(lambda e, q: e.buy(q), _stop, (1,)),
}
CONTRACTS_ONLY = {"reverse"}


class Case(NamedTuple):
    """The power fails at the moment `at` of an action; what is on its way `arrives`, or not."""

    action: str
    at: int
    arrives: bool = True


@dataclass
class Crash:
    """What came of one case."""

    case: Case
    moment: Moment | None
    """Where the power failed; None: the action was through before."""
    faults: list[str]
    orders: int


@dataclass
class Figures:
    """What was found out."""

    moments: Counter[str] = field(default_factory=Counter)
    """How many there were of each kind."""
    places: set[str] = field(default_factory=set)
    crashes: list[Crash] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        cut = [one for one in self.crashes if one.moment is not None]
        return [
            "moments: " + ", ".join(f"{count} {kind}" for kind, count in sorted(self.moments.items()))
            + f" at {len(self.places)} places",
            f"cut: {len(cut)}, of which {sum(not one.case.arrives for one in cut)} lost what was on its way; "
            f"{sum(one.orders for one in cut)} orders at the exchange",
            f"faults: {sum(bool(one.faults) for one in self.crashes)}",
        ]  # fmt: skip


class Actor:
    """An expert that does what it is asked for, once, within a second."""

    def __init__(self) -> None:
        self.wish: Callable[[MetaExpert], object] | None = None
        self.first: list[str] | None = None
        """What was not protected when it first could decide anything; None before that."""

    async def heard(self, world: World) -> None:
        """Wait until it has looked, and done what it was asked for."""
        self.first = None
        while self.first is None or self.wish is not None:
            await world.until(world.clock.now() + SECOND)

    def make(self, world: World) -> MetaExpert:
        """Make it anew, as a process does that begins."""
        expert = MetaExpert(**settings_of(world.exchange, world.kind))
        leverage = {} if world.kind == "spot" else {"leverage": 3}

        @expert.on_init(
            symbol=world.symbol, timeframe="1m", lookback_bars=5, strategy_name="cuts", stop_loss_pct=5.0,
            take_profit_pct=5.0, max_positions_per_symbol=5, **leverage,
        )  # fmt: skip
        def init() -> None:
            self.first = None

        @expert.on_timer(1)
        def act() -> None:
            if self.first is None:
                self.first = unprotected(world, expert.positions)
            wish, self.wish = self.wish, None
            if wish is not None:
                wish(expert)

        return expert


def _flatten(expert: MetaExpert, _: float) -> None:
    expert.cancel_all_orders()
    expert.close_all_positions()


class Stage:
    """One world in which actions are performed, one after another."""

    def __init__(self, made: World, actor: Actor) -> None:
        self.world, self.actor, self.size = made, actor, SIZES[made.kind]

    async def ready(self, action: Action | None = None) -> None:
        """An expert that is alive, flat, and then prepared."""
        if not self.world.lives or self.world.lives[-1].is_over:
            self.world.begin()
            await self.actor.heard(self.world)
        if self.world.positions or self.world.orders:
            await self.do(_flatten)
        if action is not None:
            await self.do(action.prepare)

    async def do(self, wish: Callable[[MetaExpert, float], object]) -> None:
        """Have something done to its end."""
        self.actor.wish = lambda expert: wish(expert, self.size)
        await self.actor.heard(self.world)
        faults = await self.settled()
        assert not faults, faults

    async def wait(self, ms: int) -> None:
        """Let time pass."""
        await self.world.until(self.world.clock.now() + ms)

    async def settled(self) -> list[str]:
        """What still differs when nothing is on its way any more, or when it was waited for long enough."""
        found = ["nothing was looked at"]
        for _ in range(PATIENCE // 2):
            await self.wait(2 * SECOND)
            found = differences(self.world)
            if not found:
                await self.wait(2 * SECOND)  # what comes after all
                found = differences(self.world)
            if not found:
                return found
        return found

    async def moments(self, name: str) -> list[Moment]:
        """Those of an action that nothing disturbs."""
        action = ACTIONS[name]
        await self.ready(action)
        power = self.world.lives[-1].power
        power.moments.clear()
        await self._perform(action)
        power.is_counting = False
        faults = await self.settled()
        assert not faults, (name, faults)
        return list(power.moments)

    async def _perform(self, action: Action) -> None:
        """Do it, with counting from the call on."""
        power = self.world.lives[-1].power

        def act(expert: MetaExpert) -> None:
            power.is_counting = True
            action.act(expert, self.size)

        self.actor.wish = act
        await self.wait(WINDOW)

    async def crash(self, case: Case) -> Crash:
        """Perform an action, cut the power in it, begin again, and look."""
        action = ACTIONS[case.action]
        await self.ready(action)
        before = {one.id for one in self.world.all_orders}
        power = self.world.lives[-1].power
        power.at = case.at
        power.moments.clear()
        await self._perform(action)
        if power.is_on:
            power.is_counting = False
            return Crash(case, None, await self.settled(), 0)
        await self.world.fail(arrives=case.arrives)
        self.world.begin()
        await self.actor.heard(self.world)
        faults = [f"at the first decision: {one}" for one in self.actor.first or ()] + await self.settled()
        held = sum(self.world.positions.values()) / self.size
        if not any(abs(held - one) < 0.01 for one in action.held):
            faults.append(f"it holds {held:g} sizes")
        working = len([one for one in self.world.orders if one not in self.world.stops])
        if working not in action.working:
            faults.append(f"{working} orders work")
        orders = sum(one.id not in before for one in self.world.all_orders)
        return Crash(case, power.moments[-1], faults, orders)


def cases_of(action: str, moments: Sequence[Moment], *, whole: bool = False) -> Iterator[Case]:
    """The cases of an action: of moments that leave the same behind the first, or all of them.

    Where a request is on its way in such a row, the last one too: it may have left by then.
    """
    for traces, row in groupby(enumerate(moments), lambda one: one[1].traces):
        numbers = [number for number, _ in row]
        is_sent = traces.begun != traces.arrived
        chosen = numbers if whole else sorted({numbers[0], numbers[-1]}) if is_sent else numbers[:1]
        for number in chosen:
            yield Case(action, number)
            if is_sent:
                yield Case(action, number, arrives=False)


def on_stage(exchange: str, kind: str, work: Callable[[Stage], Any]) -> Any:
    """Work on a stage in a world of its own, in warped time."""

    async def inside() -> Any:
        actor = Actor()
        async with world(exchange, kind, actor.make, minutes=600, no_limits=True) as made:
            return await work(Stage(made, actor))

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("METAEXPERT_HOME", folder)
        return warped(inside())


def enumerated(exchange: str, kind: str, actions: Iterable[str]) -> dict[str, list[Moment]]:
    """The moments of each action."""

    async def work(stage: Stage) -> dict[str, list[Moment]]:
        return {name: await stage.moments(name) for name in actions}

    return on_stage(exchange, kind, work)


def crash(
    exchange: str, kind: str, cases: Iterable[Case], tell: Callable[[Crash], None] = lambda one: None
) -> list[Crash]:
    """Let the power fail in each of the cases, one after another in one world."""

    async def work(stage: Stage) -> list[Crash]:
        done: list[Crash] = []
        for case in cases:
            done.append(await stage.crash(case))
            tell(done[-1])
        return done

    return on_stage(exchange, kind, work)


def figures_of(exchange: str, kind: str, actions: Sequence[str], *, whole: bool, every: int = 1) -> Figures:
    """The whole matrix of some actions, or one in `every` of its cases."""
    found, cases = Figures(), list[Case]()
    for name, moments in enumerated(exchange, kind, actions).items():
        found.moments.update(one.kind for one in moments)
        found.places.update(one.place for one in moments)
        cases.extend(cases_of(name, moments, whole=whole))

    def tell(one: Crash) -> None:
        for fault in one.faults:
            print(f"{one.case}, {one.moment}: {fault}", flush=True)

    found.crashes = crash(exchange, kind, cases[::every], tell)
    return found


def main() -> None:
    """Cut the power everywhere, and say what there was."""
    parser = argparse.ArgumentParser(prog="python tests/cuts.py", description=__doc__)
    parser.add_argument("--exchange", nargs="*", default=EXCHANGES, choices=EXCHANGES)
    parser.add_argument("--kind", default="linear", choices=list(SIZES))
    parser.add_argument("--action", nargs="*", default=list(ACTIONS), choices=list(ACTIONS))
    parser.add_argument("--all", action="store_true", help="cut at moments that leave the same behind, too")
    parser.add_argument("--every", type=int, default=1, help="take one case in so many")
    told = parser.parse_args()
    actions = [one for one in told.action if told.kind != "spot" or one not in CONTRACTS_ONLY]
    for exchange in told.exchange:
        found = figures_of(exchange, told.kind, actions, whole=told.all, every=told.every)
        print(exchange, told.kind, *found.lines(), sep="\n  ", flush=True)


if __name__ == "__main__":
    main()
