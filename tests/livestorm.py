"""Live runs over the loopback exchange while it breaks: after each schedule both must have the same books.

An expert enters, grows, reduces, closes, rests and cancels while requests are lost, messages repeated, connections
cut and its own power fails. Then there is calm, and what the expert has is held against what the exchange has.

By hand: ``python tests/livestorm.py --schedules 1000``.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from lives import PRICE, SECOND, START, settings_of, world
from pyleak import no_task_leaks
from truth import differences, journaled
from venue import Fault
from venue.orders import Reason, Refusal
from warp import warped

from metaexpert import MetaExpert
from metaexpert.errors import StrategyError
from metaexpert.models import OrderType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lives import Life, World
    from venue.faults import Rule


__all__ = ["CELLS", "FAULTS", "Storm", "schedules_of", "through"]

CELLS = (
    ("binance", "linear"), ("bybit", "inverse"), ("okx", "linear"), ("bitget", "linear"), ("kucoin", "inverse"),
    ("binance", "inverse"), ("bybit", "linear"), ("okx", "inverse"), ("kucoin", "linear"), ("bitget", "spot"),
    ("okx", "spot"), ("binance", "spot"), ("kucoin", "spot"), ("bybit", "spot"),
)  # fmt: skip
SIZES = {"spot": 0.02, "linear": 0.02, "inverse": 1_200.0}
SPAN = 20
"""Seconds of one schedule in which something happens."""
PATIENCE = 240
"""Seconds of calm within which the expert must have found out how all stands."""
MOST = 5
"""Sizes beyond which nothing more is entered."""

REQUESTS = (
    Fault.LATENCY, Fault.RATE_LIMIT, Fault.BAN, Fault.SERVER_ERROR, Fault.HTML, Fault.TRUNCATED, Fault.EMPTY,
    Fault.REPLY_LOST, Fault.RESET, Fault.MAINTENANCE, Fault.OVERLOAD, Fault.UNKNOWN,
)  # fmt: skip
MESSAGES = (
    Fault.SILENCE, Fault.DISCONNECT, Fault.DUPLICATE, Fault.REORDER, Fault.MALFORMED, Fault.DROP, Fault.SLOW,
    Fault.HANDSHAKE,
)  # fmt: skip
OTHERS = ("cut", "skew", "slow handler", "reduce only", "stop gone", "power", "power")
FAULTS = (*(str(one) for one in (*REQUESTS, *MESSAGES)), *dict.fromkeys(OTHERS))
"""Every kind of what may befall a run."""
STREAMS = ("orders", "orders", "fills", "positions", "balance", "trades", "quote", "*", "*", "*")


class Strike(NamedTuple):
    """A fault from the second `at` of a schedule on."""

    fault: str
    at: int
    path: str = "*"
    method: str = "*"
    times: int = 1
    seconds: float = 0.0
    how: str = ""


class Deed(NamedTuple):
    """What the expert does at the second `at` of a schedule; `dice` decides what is open about it."""

    name: str
    at: int
    dice: float


class Schedule(NamedTuple):
    """What is done and what befalls it."""

    seed: int
    deeds: tuple[Deed, ...]
    strikes: tuple[Strike, ...]


def schedule(seed: int) -> Schedule:
    """A schedule, the same for the same seed."""
    dice = Random(seed)
    names = [dice.choice(list(DEEDS)) for _ in range(dice.randint(3, 6))]
    deeds = [Deed(name, dice.randrange(SPAN - 5), dice.random()) for name in ("enter", *names)]
    strikes = [_strike(dice, [deed.at for deed in deeds]) for _ in range(dice.randint(2, 5))]
    return Schedule(seed, tuple(sorted(deeds, key=_at)), tuple(sorted(strikes, key=_at)))


def _at(one: Deed | Strike) -> int:
    return one.at


def _strike(dice: Random, deeds: Sequence[int]) -> Strike:
    """A fault, mostly just before something is done."""
    fault = dice.choice((*REQUESTS, *MESSAGES, *OTHERS))
    at = dice.choice(deeds) if dice.random() < 0.7 else dice.randrange(SPAN - 5)
    times = dice.randint(1, 3)
    seconds = round(dice.uniform(0.2, 12.0), 1)
    if fault in REQUESTS:
        return Strike(fault, at, "*", dice.choice(("*", "POST", "GET")), times, seconds)
    if fault in MESSAGES:
        return Strike(fault, at, dice.choice(STREAMS), "*", times, seconds, dice.choice(("", "reset", "shape")))
    return Strike(fault, at, "*", "*", dice.randint(1, 60), seconds, dice.choice(("close", "reset")))


# -- the expert --------------------------------------------------------------------------------------------------


def _enter(expert: MetaExpert, size: float, dice: float) -> None:
    held = expert.position().qty
    is_short = held < 0 if held else dice < 0.5 and not expert.market().is_spot
    if abs(held) >= MOST * size:
        expert.close_position()
    elif is_short:
        expert.sell(size)
    else:
        expert.buy(size)


def _reduce(expert: MetaExpert, size: float, dice: float) -> None:
    if abs(expert.position().qty) > size:
        expert.close_position(qty=size)


def _close(expert: MetaExpert, size: float, dice: float) -> None:
    if expert.position():
        expert.close_position()


def _reverse(expert: MetaExpert, size: float, dice: float) -> None:
    held = expert.position().qty
    if expert.market().is_spot:
        _close(expert, size, dice)
    elif held:
        (expert.sell if held > 0 else expert.buy)(abs(held) + size)


def _rest(expert: MetaExpert, size: float, dice: float) -> None:
    if len(expert.orders) < MOST:
        expert.buy(size, price=round(PRICE * (0.9999 - 0.004 * dice), 0))


def _modify(expert: MetaExpert, size: float, dice: float) -> None:
    for order in expert.orders:
        if order.type is OrderType.LIMIT and order.price is not None:
            expert.modify_order(order, price=round(PRICE * (0.9999 - 0.004 * dice), 0))


def _cancel(expert: MetaExpert, size: float, dice: float) -> None:
    expert.cancel_all_orders()


def _level(expert: MetaExpert, size: float, dice: float) -> None:
    held = expert.position()
    if held:
        sign = 1 if held.qty > 0 else -1
        expert.modify_position(stop_loss=round(PRICE * (1 - sign * (0.006 + 0.004 * dice)), 0))


DEEDS: dict[str, Callable[[MetaExpert, float, float], None]] = {
    "enter": _enter, "reduce": _reduce, "close": _close, "reverse": _reverse, "rest": _rest, "modify": _modify,
    "cancel": _cancel, "level": _level,
}  # fmt: skip


@dataclass
class Actor:
    """An expert that does each deed when its second has come, in whichever of its lives that is."""

    due: list[tuple[int, Deed]] = field(default_factory=list)
    """The deeds to come with their moments, ms UTC."""
    pause: float = 0.0
    """How long a handler takes, in seconds."""
    errors: list[str] = field(default_factory=list)
    """Handlers that failed."""

    def make(self, place: World) -> MetaExpert:
        """Make it, as a process does that begins."""
        expert = MetaExpert(**settings_of(place.exchange, place.kind))
        leverage = {} if place.kind == "spot" else {"leverage": 3}
        size = SIZES[place.kind]

        @expert.on_init(
            symbol=place.symbol, timeframe="1m", lookback_bars=5, strategy_name="storm", stop_loss_pct=0.4,
            take_profit_pct=0.3, max_positions_per_symbol=20, **leverage,
        )  # fmt: skip
        def init() -> None: ...

        @expert.on_timer(1)
        async def act() -> None:
            now = place.clock.now()
            while self.due and self.due[0][0] <= now:
                _, deed = self.due.pop(0)
                DEEDS[deed.name](expert, size, deed.dice)
            if self.pause:
                await asyncio.sleep(self.pause)

        @expert.on_error
        def error(error: Exception) -> None:
            if isinstance(error, StrategyError) and place.lives[-1].power.is_on:
                self.errors.append(str(error))

        return expert


# -- the weather -------------------------------------------------------------------------------------------------


class Storm:
    """Schedules in one world, one after another.

    `struck` counts the faults that have befallen something, by kind; `schedules` those that are over.
    """

    def __init__(self, made: World, actor: Actor) -> None:
        self.world, self.actor = made, actor
        self.struck: Counter[str] = Counter()
        self.schedules = 0
        self._rules: list[tuple[Rule, int]] = []
        self._fuse: tuple[Life, bool] | None = None  # a life whose power is to fail, and what arrives then
        self._refusals = 0
        check = made.state._check_side
        made.state._check_side = lambda order: self._refuse(order, check)  # type: ignore[method-assign]

    @property
    def life(self) -> Life:
        """The expert's last process."""
        return self.world.lives[-1]

    def _refuse(self, order: Any, check: Callable[[Any], None]) -> None:
        """Refuse an order that only reduces, for once."""
        if self._refusals and not order.id and self.world.state.reduces(order):
            self._refusals -= 1
            self.struck["reduce only"] += 1
            raise Refusal(Reason.REDUCE_ONLY, order.instrument.id)
        check(order)

    async def pass_through(self, one: Schedule) -> list[str]:
        """Live through a schedule and the calm after it; returns what differs then."""
        begun = self.world.clock.now()
        self.actor.due += [(begun + deed.at * SECOND, deed) for deed in one.deeds]
        for strike in one.strikes:
            await self._wait(begun + strike.at * SECOND)
            self._strike(strike)
        await self._wait(begun + SPAN * SECOND)
        await self._calm()
        self.schedules += 1
        return await self._settled()

    async def _wait(self, time: int) -> None:
        """Wait until a moment; a process whose power fails is followed by another one."""
        while True:
            await self.world.until(time)
            if not self.life.power.is_on:
                await self._again()
            elif self.life.is_over:
                raise AssertionError(f"the run has ended by itself: {self.life.task.result()}")
            if self.world.clock.now() >= time:
                return

    async def _again(self) -> None:
        self.struck["power"] += 1
        await self.world.fail(arrives=self._fuse is None or self._fuse[1])
        self._fuse = None
        self.world.begin()

    def _strike(self, one: Strike) -> None:
        """Let a fault begin."""
        venue = self.world.venue
        if one.fault == "cut":
            self.struck["cut"] += venue.sockets.cut(how=one.how) > 0
        elif one.fault == "skew":
            venue.faults.skew = 1_500
            self.struck["skew"] += 1
        elif one.fault == "slow handler":
            self.actor.pause = one.seconds / 4
            self.struck["slow handler"] += 1
        elif one.fault == "reduce only":
            self._refusals = 1 + one.times % 2
        elif one.fault == "stop gone":
            for stop in self.world.stops[:1]:
                self.world.state.cancel(stop)
                self.struck["stop gone"] += 1
        elif one.fault == "power":
            power = self.life.power
            power.at, power.is_counting = len(power.moments) + 5 * one.times, True
            self._fuse = self.life, one.how == "close"
        else:
            terms = {"method": one.method, "times": one.times, "seconds": one.seconds, "how": one.how}
            self._rules.append((venue.faults.add(Fault(one.fault), one.path, **terms), one.times))

    async def _calm(self) -> None:
        """Let all faults end, and count those that have befallen something."""
        venue = self.world.venue
        for rule, times in self._rules:
            self.struck[rule.fault] += rule.times < times
            venue.faults.lift(rule)
        self._rules.clear()
        venue.faults.rules.clear()
        venue.faults.skew, self.actor.pause, self._refusals = 0, 0.0, 0
        self.life.power.at = None
        if not self.life.power.is_on:
            await self._again()

    async def _settled(self) -> list[str]:
        """What still differs when nothing is on its way any more, or after long waiting."""
        found = ["nothing was looked at"]
        until = self.world.clock.now() + PATIENCE * SECOND
        while found and self.world.clock.now() < until:
            for _ in range(2):  # what is well must stay so
                await self._wait(self.world.clock.now() + 2 * SECOND)
                found = self.faults()
                if found:
                    break
        return found

    def faults(self) -> list[str]:
        """What the expert has otherwise than the exchange."""
        if self.actor.due:
            return [f"still to be done: {self.actor.due}"]
        return self.actor.errors + differences(self.world) + self._each_fill() + self._cash()

    def _cash(self) -> list[str]:
        """The money beside the coins, on spot: in our books those are worth what they were bought at."""
        account = self.life.run.account
        if self.world.kind != "spot" or account is None:
            return []
        ours = account.balance - sum(one.qty * one.entry_price for one in self.life.run.positions)
        theirs = self.world.balance(self.world.item.quote)
        return [] if abs(ours - theirs) <= 1e-6 * theirs else [f"cash: ours {ours}, at the exchange {theirs}"]

    def _each_fill(self) -> list[str]:
        """Every fill must stand in the journal once."""
        booked = journaled(self.world, "fill")
        ours = Counter((one[4] == "buy", round(one[5], 9), round(one[6], 6)) for one in booked)
        theirs = Counter((one.buy, round(one.qty, 9), round(one.price, 6)) for one in self.world.fills)
        if ours == theirs:
            return []
        return [f"fills: only ours {ours - theirs}, only at the exchange {theirs - ours}"]


class Outcome(NamedTuple):
    """What a row of schedules has come to."""

    faults: list[str]
    counts: Counter[str]
    struck: Counter[str]

    def line(self) -> str:
        """For people."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.struck.items()) if count)
        sums = ", ".join(f"{count} {what}" for what, count in self.counts.items())
        return f"{sums}: {len(self.faults)} differences ({kinds})"


def walk(seed: int, minutes: int) -> dict[int, float]:
    """A price by minute that goes to and fro, far enough to fire stops now and then."""
    dice = Random(seed)
    return {minute: round(PRICE * (1 + dice.uniform(-0.004, 0.004)), 1) for minute in range(minutes)}


def schedules_of(first: int, count: int) -> list[Schedule]:
    """A row of schedules by their seeds."""
    return [schedule(seed) for seed in range(first, first + count)]


def through(exchange: str, kind: str, schedules: Sequence[Schedule]) -> Outcome:
    """Have an expert live through schedules, with nothing left over afterwards."""
    minutes = 6 * len(schedules) + 10
    prices = walk(schedules[0].seed, minutes)

    async def inside() -> Outcome:
        actor = Actor()
        async with (
            no_task_leaks(action="raise"),
            world(exchange, kind, actor.make, prices=prices, minutes=minutes, no_limits=True) as made,
        ):
            made.begin()
            storm = Storm(made, actor)
            await made.until(START + 5 * SECOND)
            faults: list[str] = []
            for one in schedules:
                found = await storm.pass_through(one)
                faults += [f"{exchange} {kind} schedule {one.seed}: {text}" for text in found]
                if found:
                    break
            if not faults:
                await made.stop()
            counts = Counter(
                schedules=storm.schedules, faults=storm.struck.total(), orders=len(made.all_orders),
                fills=len(made.fills), lives=len(made.lives),
            )  # fmt: skip
            return Outcome(faults, counts, storm.struck)

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("METAEXPERT_HOME", folder)
        return warped(inside())


def main() -> None:
    """Live through many schedules, and say what there was."""
    parser = argparse.ArgumentParser(prog="python tests/livestorm.py", description=__doc__)
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--row", type=int, default=10, help="how many schedules one world lives through")
    told = parser.parse_args()
    total = Outcome([], Counter(), Counter())
    for number, first in enumerate(range(told.seed, told.seed + told.schedules, told.row)):
        exchange, kind = CELLS[number % len(CELLS)]
        count = min(told.row, told.seed + told.schedules - first)
        try:
            found = through(exchange, kind, schedules_of(first, count))
        except Exception as error:  # noqa: BLE001 - the next row is to follow
            traceback.print_exc()
            found = Outcome([f"{exchange} {kind} schedules from {first}: {error!r}"], Counter(), Counter())
        for fault in found.faults:
            print(fault, flush=True)
        total = Outcome(total.faults + found.faults, total.counts + found.counts, total.struck + found.struck)
        print(exchange, kind, total.line(), flush=True)


if __name__ == "__main__":
    main()
