"""Paper runs over the loopback exchange while it breaks: what struck, what was heard, what was done.

By hand, more of them than the suite has time for: ``python tests/storm.py --schedules 1000``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import pytest
from contract.gateways import KINDS, gateway_to
from pyleak import no_task_leaks
from venue import Venue
from venue.faults import Fault
from venue.instruments import Kind
from venue.tape import Recording, Tape
from warp import WarpClock, warped

from metaexpert import MetaExpert
from metaexpert.exchanges import budget
from metaexpert.journal import JournalReader
from metaexpert.rerun import Rebuilt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from venue.faults import Rule

    from metaexpert.journal import Entry
    from metaexpert.running import Run

__all__ = ["ALONE", "Log", "Strike", "Voyage", "check", "random_strikes", "sail", "trading"]

SECOND, MINUTE = 1_000, 60_000
START = 1_790_000_040_000 // MINUTE * MINUTE
CYCLE = 4
"""Minutes of one schedule: orders at the first close, then faults, then calm."""
BEAT = 2 * SECOND
"""How often the exchange pushes what has happened."""
STRIKE, CALM = 80 * SECOND, 150 * SECOND
"""From when to when of its cycle a fault may be in force."""


class Strike(NamedTuple):
    """A fault of one cycle: `fault` is one of the plan's, or "cut", "skew", "slow" and "burst"."""

    fault: str
    path: str = "*"
    terms: Mapping[str, Any] = MappingProxyType({})
    after: int = 0
    """How long after the first moment at which faults may be, ms."""


WHOLE = "*"
TERMS = {
    "binance": ("spot", "trades"), "bybit": ("linear", "quotes"), "okx": ("linear", "trades"),
    "bitget": ("spot", "quotes"), "kucoin": ("spot", "quotes"),
}  # fmt: skip
"""Of each exchange the market, and how orders fill."""
EXCHANGES = list(TERMS)
ALONE: tuple[tuple[Strike, ...], ...] = (
    (Strike(Fault.SILENCE, "trades", {"seconds": 65}),),
    (Strike(Fault.SILENCE, "candle", {"seconds": 65}),),
    (Strike(Fault.SILENCE, WHOLE, {"seconds": 65}),),
    (Strike(Fault.DISCONNECT, "trades", {"how": "close"}),),
    (Strike(Fault.DISCONNECT, WHOLE, {"how": "reset", "times": 3}),),
    (Strike("cut", "close"),),
    (Strike("cut", "reset"),),
    (Strike(Fault.DUPLICATE, WHOLE, {"times": 5}),),
    (Strike(Fault.REORDER, WHOLE, {"times": 4}),),
    (Strike(Fault.MALFORMED, "trades", {"times": 2}),),
    (Strike(Fault.MALFORMED, "candle", {"how": "shape"}),),
    (Strike(Fault.MALFORMED, "trades", {"how": "shape"}),),
    (Strike(Fault.DROP, "candle", {"times": 3}),),
    (Strike(Fault.DROP, "trades", {"times": 2}),),
    (Strike(Fault.SLOW, "trades", {"seconds": 8}),),
    (Strike(Fault.SLOW, WHOLE, {"seconds": 20}),),
    (Strike("cut", "reset"), Strike(Fault.HANDSHAKE, WHOLE, {"times": 3, "seconds": 2})),
    *(
        (Strike("cut", "reset"), Strike(fault, WHOLE, {"seconds": 4, "times": 2}))
        for fault in (
            Fault.LATENCY, Fault.RATE_LIMIT, Fault.BAN, Fault.SERVER_ERROR, Fault.HTML, Fault.TRUNCATED,
            Fault.EMPTY, Fault.RESET, Fault.MAINTENANCE, Fault.OVERLOAD,
        )
    ),
    (Strike(Fault.LATENCY, WHOLE, {"seconds": 14}),),
    (Strike("skew", terms={"ms": 3_000}),),
    (Strike("slow", terms={"seconds": 3.0}),),
    (Strike("burst"),),
)  # fmt: skip
"""Each fault alone; those of requests with a break, after which there are some."""

_REQUESTS = (
    Fault.LATENCY, Fault.RATE_LIMIT, Fault.SERVER_ERROR, Fault.HTML, Fault.TRUNCATED, Fault.EMPTY, Fault.RESET,
    Fault.MAINTENANCE, Fault.OVERLOAD,
)  # fmt: skip
_MESSAGES = (
    Fault.SILENCE, Fault.DISCONNECT, Fault.DUPLICATE, Fault.REORDER, Fault.MALFORMED, Fault.DROP, Fault.SLOW,
    Fault.HANDSHAKE,
)  # fmt: skip


_UNSEEN = (Fault.DROP, Fault.SILENCE, Fault.REORDER, Fault.MALFORMED)


def random_strikes(dice: Random) -> tuple[Strike, ...]:
    """Two to five faults at moments of their own."""
    made: list[Strike] = []
    for _ in range(dice.randint(2, 5)):
        after = dice.randrange(STRIKE, CALM, SECOND) - STRIKE
        left = (CALM - STRIKE - after) / SECOND
        what = dice.choice((*_MESSAGES, *_REQUESTS, "cut", "slow"))
        seconds = round(dice.uniform(0.2, max(0.5, min(left, 20.0))), 1)
        terms = {"seconds": seconds, "times": dice.randint(1, 3), "how": dice.choice(("", "reset", "shape"))}
        if what == "cut":
            made.append(Strike("cut", dice.choice(("close", "reset")), {}, after))
        elif what == "slow":
            made.append(Strike("slow", WHOLE, {"seconds": seconds / 4}, after))
        else:
            path = dice.choice(("trades", "candle", WHOLE)) if what in _MESSAGES[:-1] else WHOLE
            made.append(Strike(what, path, terms, after))
    return tuple(sorted(made, key=lambda one: one.after))


@dataclass
class Voyage:
    """One session: an exchange, a market, how orders fill, and the faults of each cycle."""

    exchange: str
    kind: str = "spot"
    fills: str = "trades"
    cycles: Sequence[tuple[Strike, ...]] = ()
    seed: int = 1
    strategy: str = "storm"
    is_rough: bool = False
    """Faults come while orders are on their way, too."""

    @property
    def minutes(self) -> int:
        """How long it goes, with a last minute of calm."""
        return CYCLE * len(self.cycles) + 1


@dataclass
class Log:
    """What a session has come to."""

    voyage: Voyage
    lines: list[dict[str, Any]]
    """What the expert did: the lines of the journal."""
    heard: list[tuple[str, Any]]
    """Kind and content of what the feed told, in order."""
    trades: list[tuple[int, float, float]]
    """The exchange's own: time, price, amount."""
    candles: list[list[float]]
    struck: Counter[str]
    """How many faults have befallen something, by kind."""
    is_replayed: bool
    reason: str
    left: int
    """Connections that were still open after the end."""
    blind: list[tuple[int, int]]
    """Within which moments messages were lost, or overtaken by others, on a connection that lived."""

    def is_blind(self, time: int) -> bool:
        """Did a trade of then possibly get lost without a sign?"""
        return any(start <= time < end for start, end in self.blind)

    def of(self, kind: str) -> list[Any]:
        """The content of the events of a kind."""
        return [body for name, body in self.heard if name == kind]


def tape_of(voyage: Voyage) -> Tape:
    """A dozen trades a minute, some minutes without any, and bursts."""
    dice = Random(voyage.seed)
    rows: list[tuple[int, float, float, bool]] = []
    price = 60_000.0
    for minute in range(-30, voyage.minutes + 2):
        opened = START + minute * MINUTE
        cycle, place = divmod(minute, CYCLE)
        moments = [opened + dice.randrange(MINUTE) for _ in range(dice.randint(6, 16))]
        if place == 2 and dice.random() < 0.3:
            moments = []
        bursts = 0 <= cycle < len(voyage.cycles) and any(one.fault == "burst" for one in voyage.cycles[cycle])
        if bursts and place == 1:
            moments += [opened + 40_000 + number for number in range(1_500)]
        for time in sorted(moments):
            price = round(price * (1.0 + dice.uniform(-4e-4, 4e-4)), 1)
            rows.append((time, price, round(dice.uniform(0.01, 0.5), 3), dice.random() < 0.5))
    time, prices, amounts, buy = zip(*rows, strict=True)
    told = Recording(np.array(time), np.array(prices), np.array(amounts), np.array(buy))
    kind = Kind.SPOT if voyage.kind == "spot" else Kind.LINEAR
    return Tape({(kind, "BTC", "USDT"): told})


def expert_of(voyage: Voyage, sea: Sea) -> MetaExpert:
    """Opens and closes at the first bar of every other cycle, with a stop; a limit order that a timer cancels."""
    expert = MetaExpert(exchange=voyage.exchange, log_to_console=False, **KINDS[voyage.kind][0])
    leverage = {} if voyage.kind == "spot" else {"leverage": 3}

    @expert.on_init(
        symbol=KINDS[voyage.kind][1], timeframe="1m", lookback_bars=5, stop_loss_pct=0.4,
        strategy_name=voyage.strategy,
        size_type="percent_equity", size_value=0.2, max_positions_per_symbol=2, **leverage,
    )  # fmt: skip
    def init() -> None:
        expert.cycle = -1

    @expert.on_bar
    def bar(rates: Any) -> None:
        cycle = (rates.time - START) // (CYCLE * MINUTE)
        if cycle == expert.cycle or rates.time < START:
            return
        expert.cycle = cycle
        if expert.position():
            expert.close_position()
        else:
            expert.open_position("long")
            expert.buy(0.01, price=round(rates.close * 0.9992, 1), tag="dip")

    @expert.on_tick
    async def tick(_: Any) -> None:
        if sea.seconds:
            await asyncio.sleep(sea.seconds)

    @expert.on_timer(CYCLE * MINUTE // SECOND)
    def timer() -> None:
        for order in expert.orders:
            expert.cancel_order(order)

    expert.on_error(lambda error: None)
    expert.on_deinit(lambda reason: None)
    return expert


@dataclass
class Sea:
    """What strikes the expert and not the exchange."""

    seconds: float = 0.0
    """How long a handler takes."""
    rules: list[Rule] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    blind: list[tuple[int, int]] = field(default_factory=list)

    def strike(self, venue: Venue, one: Strike) -> None:
        """Let a fault begin."""
        if one.fault == "cut":
            self.struck["cut"] += venue.sockets.cut(how=one.path) > 0
        elif one.fault == "skew":
            venue.faults.skew = one.terms["ms"]
            self.struck["skew"] += 1
        elif one.fault == "slow":
            self.seconds = one.terms["seconds"]
            self.struck["slow"] += 1
        elif one.fault == "burst":
            self.struck["burst"] += 1
        else:
            self.rules.append(venue.faults.add(Fault(one.fault), one.path, **{"times": 1, **one.terms}))

    def calm(self, venue: Venue, cycle: Sequence[Strike]) -> None:
        """Let all faults end, and count those that have befallen something."""
        planned = [one.terms.get("times", 1) for one in cycle if one.fault in set(Fault)]
        for rule, times in zip(self.rules, planned, strict=False):
            if (
                rule.fault in _UNSEEN
                and rule.path != "candle"
                and (rule.fault != Fault.MALFORMED or rule.how == "shape")
            ):
                self.blind.append((venue.now() - CALM + STRIKE - MINUTE, venue.now()))
            self.struck[rule.fault] += rule.times < times
            venue.faults.lift(rule)
        venue.faults.rules.clear()
        self.rules.clear()
        venue.faults.skew, self.seconds = 0, 0.0


async def sail(voyage: Voyage) -> Log:
    """Run an expert on paper through it all."""
    clock, sea = WarpClock(START - 30 * SECOND), Sea()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ccxt.Exchange.milliseconds", staticmethod(clock.now))
        patch.setattr(budget, "_BUDGETS", WeakValueDictionary())
        patch.delenv("METAEXPERT_OFFLINE", raising=False)
        return await _sail(voyage, clock, sea)


async def _sail(voyage: Voyage, clock: WarpClock, sea: Sea) -> Log:
    async with (
        no_task_leaks(action="raise"),
        Venue(clock, prices=tape_of(voyage), exchanges=(voyage.exchange,)) as venue,
    ):
        beat = asyncio.create_task(_beat(venue, clock))
        run = expert_of(voyage, sea).start("paper", paper_fills=voyage.fills, initial_capital=10_000.0)
        run.job = replace(run.job, clock=clock, gateway=lambda _: _gateway(venue, voyage, clock))
        task = asyncio.ensure_future(_end_of(run.begin()))
        await asyncio.wait(
            [task, asyncio.ensure_future(_weather(venue, voyage, sea, clock))], return_when=asyncio.FIRST_COMPLETED
        )
        run.stop()
        reason = await task
        await asyncio.sleep(1)
        left = len(venue.sockets.of())
        beat.cancel()
        trades, candles = await _truth(venue, voyage, clock)
    entries, lines, is_equal = await _kept(voyage, run)
    heard = [(entry.kind, entry.body) for entry in entries]
    return Log(voyage, lines, heard, trades, candles, sea.struck, is_equal, reason, left, sea.blind)


def _gateway(venue: Venue, voyage: Voyage, clock: WarpClock) -> Any:
    return gateway_to(venue, voyage.exchange, voyage.kind, sleep=asyncio.sleep, clock=clock)


async def _beat(venue: Venue, clock: WarpClock) -> None:
    """Let the exchange do what there is to do, again and again."""
    while True:
        await clock.sleep_until(clock.now() // BEAT * BEAT + BEAT)
        venue.pulse()


async def _weather(venue: Venue, voyage: Voyage, sea: Sea, clock: WarpClock) -> None:
    """Cycle after cycle, its faults."""
    for number, cycle in enumerate(voyage.cycles):
        begun = START + number * CYCLE * MINUTE
        first = begun + (55 * SECOND if voyage.is_rough else STRIKE)
        for one in cycle:
            await clock.sleep_until(first + one.after)
            sea.strike(venue, one)
        await clock.sleep_until(begun + CALM)
        sea.calm(venue, cycle)
        await clock.sleep_until(begun + CYCLE * MINUTE)
    await clock.sleep_until(START + voyage.minutes * MINUTE - 30 * SECOND)


async def _truth(
    venue: Venue, voyage: Voyage, clock: WarpClock
) -> tuple[list[tuple[int, float, float]], list[list[float]]]:
    """What the exchange itself knows in the end."""
    symbol = KINDS[voyage.kind][1]
    async with _gateway(venue, voyage, clock) as gateway:
        rows = await gateway.candles(symbol, "1m", START - MINUTE, voyage.minutes + 2)
        market = await gateway.market(symbol)
    state = venue.states[voyage.exchange]
    item = state.instrument(market.id, Kind.SPOT if voyage.kind == "spot" else Kind.LINEAR)
    unit = float(item.contract)
    trades = [
        (one.time, float(one.price), float(one.amount) * unit) for one in state.trades(item, START, clock.now())
    ]
    return trades, [list(row) for row in rows if row[0] + MINUTE <= clock.now()]


async def _kept(voyage: Voyage, run: Run) -> tuple[list[Entry], list[dict[str, Any]], bool]:
    """What the journal has, and whether the replay does the same."""
    again = expert_of(voyage, Sea()).start("paper", paper_fills=voyage.fills, initial_capital=10_000.0)
    with JournalReader.open(run.journal) as journal:
        (record,) = journal.runs()
        entries, lines = list(journal.events(record.id)), [json.loads(one) for one in journal.lines(record.id)]
        with again.inputs():
            comparison = await Rebuilt(again.job, record).replay(journal)
    return entries, lines, comparison.is_equal


async def _end_of(run: Run) -> str:
    return await run


def check(log: Log) -> None:
    """Hold what was heard and done against what the exchange knows.

    Raises:
        AssertionError: something was lost, doubled, out of order or done wrongly.
    """
    assert (log.reason, log.left, log.is_replayed) == ("user_stop", 0, True)
    _check_bars(log)
    _check_trades(log)
    _check_order(log)
    _check_fills(log)


def _check_bars(log: Log) -> None:
    """Every closed candle was told once, as it is."""
    told = [[bar[0], *bar[3:8]] for step in log.of("Step") for bar in step[2]]
    assert told == log.candles, _first(told, log.candles)


def _check_trades(log: Log) -> None:
    """Every trade was told once, in order, between the bars that it lies between; or a stretch stands for it.

    What is lost or late in silence, on a connection that lives, nobody can know: there no trade may come twice.
    """
    last = log.of("Step")[-1][0]
    told = [(one[0], one[3], round(one[4], 9)) for one in log.of("PublicTrade") if one[0] >= START]
    walked = [(bar[0], bar[0] // MINUTE * MINUTE + MINUTE) for step in log.of("Step") for bar in step[1]]
    twice = Counter(told) - Counter(one for own in log.trades for one in _as_told(own))
    assert not twice, f"{twice} are told and not known, or told twice"
    left = iter([one for one in told if not log.is_blind(one[0])])
    known = next(left, None)
    for one in log.trades:
        if known in _as_told(one):
            known = next(left, None)
        elif not log.is_blind(one[0]):
            is_walked = any(since <= one[0] < until for since, until in walked)
            assert is_walked or one[0] >= last, f"{one} is lost, or out of order before {known}"
    assert known is None, f"{known} is out of order"


def _check_order(log: Log) -> None:
    """Nothing comes after a close that was before it, nor before a bar that closed by then."""
    closes, passed = [row[0] + MINUTE for row in log.candles], 0
    for kind, body in log.heard:
        if kind == "Step":
            assert body[0] > passed
            passed = body[0]
        elif kind in {"PublicTrade", "Funding"} and not log.is_blind(body[0]):
            assert body[0] >= passed, f"{kind} of {body[0]} after the close at {passed}"
            due = [close for close in closes if passed < close <= body[0]]
            assert not due, f"{kind} of {body[0]} before the bar that closes at {due[:1]}"


def _check_fills(log: Log) -> None:
    """No order is filled twice, or beyond its amount or price."""
    orders: dict[str, dict[str, Any]] = {}
    filled: Counter[str] = Counter()
    for line in log.lines:
        if line["kind"] == "order":
            orders[line["body"]["id"]] = line["body"]
        elif line["kind"] == "fill":
            _, _, _, name, side, qty, price, *_ = line["body"]
            filled[name] += qty
            limit = orders[name].get("price") if orders[name]["type"] == "limit" else None
            assert limit is None or (price <= limit if side == "buy" else price >= limit)
    for name, qty in filled.items():
        assert qty <= orders[name]["qty"] * (1 + 1e-9), f"order {name} has filled {qty}"


def trading(log: Log) -> list[Any]:
    """What was ordered and filled, without the moments at which it was heard."""
    told: list[Any] = []
    for line in log.lines:
        body = line["body"]
        if line["kind"] == "fill":
            told.append([line["kind"], *body[2:]])
        elif line["kind"] == "order":
            told.append({name: body.get(name) for name in ("id", "type", "qty", "price", "status", "filled")})
    return told


def _as_told(one: tuple[int, float, float]) -> list[tuple[int, float, float]]:
    """A trade as it may be told: where times are in ns, CCXT rounds them down to a ms less now and then."""
    time, price, amount = one
    amount = round(amount, 9)
    return [(time, price, amount), (time - 1, price, amount)]


def _first(told: list[Any], known: list[Any]) -> str:
    """Where two lists begin to differ."""
    pairs = enumerate(zip(told, known, strict=False))
    number = next((n for n, (one, other) in pairs if one != other), min(len(told), len(known)))
    there = slice(number, number + 1)
    return f"{len(told)} told, {len(known)} known, at {number}: {told[there]} {known[there]}"


def main() -> None:
    """Sail through many schedules, and say what there was."""
    parser = argparse.ArgumentParser(prog="python tests/storm.py", description=__doc__)
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    counts: Counter[str] = Counter()
    plans = [*ALONE, *(random_strikes(Random(told.seed + number)) for number in range(told.schedules))]
    for first in range(0, told.schedules, 10):
        exchange = EXCHANGES[first // 10 % len(EXCHANGES)]
        begin = first // 50 * 10 if first // 50 * 10 < len(ALONE) else len(ALONE) + first
        voyage = Voyage(exchange, *TERMS[exchange], plans[begin : begin + 10], seed=told.seed + first)
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setenv("METAEXPERT_HOME", folder)
            log = warped(sail(voyage))
        check(log)
        counts.update(
            schedules=len(voyage.cycles), faults=sum(log.struck.values()), bars=len(log.candles),
            trades=len(log.trades), orders=sum(line["kind"] == "order" for line in log.lines),
        )  # fmt: skip
        print(exchange, dict(counts), flush=True)


if __name__ == "__main__":
    main()
