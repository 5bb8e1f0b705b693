"""A live expert trades while everything on the way to its exchange breaks; in the end their books are equal.

By hand: ``PYTHONPATH=.:tests python -m tests.livestorm --schedules 1000``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from contract.gateways import EXCHANGES
from cuts import SIZES, Stage, on_stage
from lives import PRICE, SECOND
from venue.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from venue.faults import Rule

    from metaexpert import MetaExpert

__all__ = ["Schedule", "Weather", "sail", "schedule_of", "storm"]

REQUESTS = (
    Fault.LATENCY, Fault.RATE_LIMIT, Fault.SERVER_ERROR, Fault.HTML, Fault.TRUNCATED, Fault.EMPTY,
    Fault.REPLY_LOST, Fault.RESET, Fault.MAINTENANCE, Fault.OVERLOAD, Fault.UNKNOWN,
)  # fmt: skip
MESSAGES = (
    Fault.SILENCE, Fault.DISCONNECT, Fault.DUPLICATE, Fault.REORDER, Fault.MALFORMED, Fault.DROP, Fault.SLOW,
)  # fmt: skip
DEEDS: dict[str, Callable[[MetaExpert, float], object]] = {
    "buy": lambda e, q: e.buy(q),
    "sell": lambda e, q: e.sell(q),
    "close": lambda e, q: e.close_position(),
    "rest": lambda e, q: e.buy(q, price=PRICE / 2),
    "cancel": lambda e, q: e.cancel_all_orders(),
    "modify": lambda e, q: [e.modify_order(one, price=PRICE / 2 + 100) for one in e.orders],
    "protect": lambda e, q: (
        e.position() and e.modify_position(stop_loss=PRICE * (0.97 if e.position().qty > 0 else 1.03))
    ),
}
"""What the expert does; a "plunge" and a "rally" are the market's doing, and reach a stop or a target."""
COINS = "bitget", "inverse"
"""Contracts that are counted in coins, and not traded live."""
SPAN = 30 * SECOND
"""How long faults and deeds last."""


class Strike(NamedTuple):
    """A fault: its kind or "cut", what it befalls, with which terms, and when (ms from the beginning)."""

    after: int
    fault: str
    path: str
    terms: dict[str, Any]


class Schedule(NamedTuple):
    """What is done, and what goes wrong meanwhile; moments in ms from the beginning."""

    deeds: tuple[tuple[int, str], ...]
    strikes: tuple[Strike, ...]


@dataclass
class Weather:
    """What there was."""

    schedules: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    """Faults that have befallen something, by kind."""
    orders: int = 0
    fills: int = 0
    faults: list[str] = field(default_factory=list)
    """What was not equal in the end."""

    def line(self) -> str:
        """For people."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.struck.items()) if count)
        return (
            f"{self.schedules} schedules, {sum(self.struck.values())} faults ({kinds}), {self.orders} orders, "
            f"{self.fills} fills: {len(self.faults)} differences"
        )


def schedule_of(dice: Random, *, is_spot: bool = False) -> Schedule:
    """Two to five deeds, and one to four faults."""
    known = ["buy", "close", "rest", "cancel", "modify", "protect", "buy"]
    known += [] if is_spot else ["sell", "plunge", "rally"]
    moments = sorted(dice.sample(range(SECOND, SPAN - 5 * SECOND, 2 * SECOND), dice.randint(2, 5)))
    deeds = tuple((moment, dice.choice(known)) for moment in moments)
    return Schedule(((0, "buy"), *deeds), tuple(sorted(_strike(dice) for _ in range(dice.randint(1, 4)))))


def _strike(dice: Random) -> Strike:
    after, what = dice.randrange(0, SPAN - 5 * SECOND, 100), dice.choice((*REQUESTS, *REQUESTS, *MESSAGES, "cut"))
    if what == "cut":
        return Strike(after, "cut", dice.choice(("close", "reset")), {})
    terms = {"seconds": round(dice.uniform(0.2, 8.0), 1), "times": dice.randint(1, 3)}
    if what in MESSAGES:
        return Strike(after, what, "*", terms | {"how": dice.choice(("", "reset", "shape"))})
    method = dice.choice(("*", "POST", "POST", "DELETE", "GET"))
    return Strike(after, what, "*", terms | {"method": method, "after": dice.randrange(3)})


async def sail(stage: Stage, schedule: Schedule, weather: Weather) -> None:
    """Trade through one schedule, then let all be calm, and compare."""
    world = stage.world
    rules: list[tuple[Rule, int]] = []
    await stage.ready()
    begun, orders, fills = world.clock.now(), len(world.all_orders), len(world.fills)
    plan = [*((*one, None) for one in schedule.deeds), *((one.after, "", one) for one in schedule.strikes)]
    for at, deed, strike in sorted(plan, key=lambda one: one[0]):
        await world.until(begun + at)
        if strike is not None:
            if strike.fault == "cut":
                weather.struck["cut"] += world.venue.sockets.cut(world.exchange, strike.path) > 0
            else:
                rule = world.venue.faults.add(Fault(strike.fault), strike.path, **strike.terms)
                rules.append((rule, rule.times))
        elif deed in {"plunge", "rally"}:
            world.pin(PRICE * (0.94 if deed == "plunge" else 1.06))
        else:
            _ask(stage, deed)
    await world.until(begun + SPAN)
    for rule, times in rules:
        weather.struck[rule.fault] += rule.times < times
        world.venue.faults.lift(rule)
    world.venue.faults.rules.clear()
    world.pin(PRICE)
    weather.schedules += 1
    weather.faults += [f"{schedule}: {one}" for one in await stage.settled()]
    weather.orders += len(world.all_orders) - orders
    weather.fills += len(world.fills) - fills


def _ask(stage: Stage, deed: str) -> None:
    before, act = stage.actor.wish, DEEDS[deed]

    def wish(expert: MetaExpert) -> None:
        if before is not None:
            before(expert)
        act(expert, stage.size)

    stage.actor.wish = wish


def storm(exchange: str, kind: str, seeds: Sequence[int]) -> Weather:
    """Sail through the schedules of some seeds, in one world."""
    weather = Weather()

    async def work(stage: Stage) -> None:
        for seed in seeds:
            await sail(stage, schedule_of(Random(seed), is_spot=kind == "spot"), weather)

    on_stage(exchange, kind, work)
    return weather


def main() -> None:
    """Sail through many schedules, and say what there was."""
    parser = argparse.ArgumentParser(prog="python -m tests.livestorm", description=__doc__)
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exchange", nargs="*", default=EXCHANGES, choices=EXCHANGES)
    parser.add_argument("--kind", nargs="*", default=["linear"], choices=list(SIZES))
    told = parser.parse_args()
    cells = [(exchange, kind) for kind in told.kind for exchange in told.exchange if (exchange, kind) != COINS]
    total = Weather()
    for number, first in enumerate(range(told.seed, told.seed + told.schedules, 10)):
        exchange, kind = cells[number % len(cells)]
        found = storm(exchange, kind, range(first, min(first + 10, told.seed + told.schedules)))
        for fault in found.faults:
            print(exchange, kind, fault, flush=True)
        total = Weather(
            total.schedules + found.schedules, total.struck + found.struck, total.orders + found.orders,
            total.fills + found.fills, total.faults + found.faults,
        )  # fmt: skip
        print(exchange, kind, total.line(), flush=True)


if __name__ == "__main__":
    main()
