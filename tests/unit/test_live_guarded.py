"""Whatever happens, once it is quiet each live position has the stop and the target that it needs, and no more."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from bourse import Bourse
from desk import LINEAR
from floor import Floor
from hypothesis import given, settings
from hypothesis import strategies as st

from metaexpert.broker.protection import Protection
from metaexpert.broker.sentries import pieces
from metaexpert.models import OrderStatus
from metaexpert.reports import Gap

LEVELS = {"stop_loss_pct": 2.0, "take_profit_pct": 5.0, "trailing_stop_pct": 3.0, "breakeven_pct": 1.0}
PRICES = (94.0, 97.0, 98.5, 99.5, 100.0, 100.5, 101.5, 103.0, 106.0)


class Life:
    """A live broker at a bourse, killed and restarted at will."""

    def __init__(self, rule: str, *, hedge: bool, most: float | None) -> None:
        self.settings: dict[str, Any] = {
            "protection": LEVELS, "on_stop_failure": rule, "hedge": hedge, "capital": 1e6,
            "rules": {"price_tick": 0.1, "max_market_qty": most},
        }  # fmt: skip
        self.bourse = Bourse(LINEAR, 100.0)
        self.runs = 1
        self.floor = Floor(**self.settings)
        self.legs = ("long", "short") if hedge else (None,)
        self.saved = self.before = self._state()
        self.written = 0
        self.through(lambda: self.floor.broker.hear(Gap(0, "")))
        self.calm(protect=False)

    def _state(self) -> Any:
        return json.loads(json.dumps(self.floor.broker.state()))

    # -- one event ------------------------------------------------------------------------------------------

    def through(self, act: Any, *, protect: bool = True) -> None:
        """One event, and what follows; then the state is kept and the commands go."""
        floor = self.floor
        self.bourse.time = floor.clock.now()
        floor._hear(act() or ())
        floor.broker.guard() if protect else floor.broker.inquire()
        floor._hear(())
        self.before, self.saved = self.saved, self._state()
        self.since, self.written = self.written, len(floor.written)
        for command in floor.new():
            self.bourse.take(command)

    def hear(self, *, fills: bool, protect: bool = True) -> bool:
        """The bourse says the next thing."""
        report = self.bourse.listen(fills=fills)
        if report is not None:
            self.through(lambda: self.floor.broker.hear(report), protect=protect)
        return report is not None

    def wait(self, ms: int, *, protect: bool = True) -> None:
        """Time passes."""
        self.floor.clock.advance(self.floor.clock.now() + ms)
        self.through(lambda: self.floor.broker.meet(LINEAR), protect=protect)

    def calm(self, *, protect: bool = True) -> None:
        """All is said, heard and done that anybody has to say or do."""
        for _ in range(400):
            while self.hear(fills=True, protect=protect) or self.hear(fills=False, protect=protect):
                pass
            broker = self.floor.broker
            if broker.is_settled if protect else broker.is_informed:
                return
            due = broker.next_arrival - self.floor.clock.now()
            self.wait(int(min(max(due, 1), 30_000)), protect=protect)
        raise AssertionError(f"it never comes to rest: {[one.text for one in self.floor.broker.notices][-5:]}")

    # -- what happens ---------------------------------------------------------------------------------------

    def trade(self, qty: float, index: int) -> None:
        """The expert trades: in hedge mode it adds to a leg or reduces it."""
        leg = self.legs[index % len(self.legs)]
        opens = leg is None or (qty > 0) == (leg == "long")
        self.through(lambda: self._send(qty, leg, reduce_only=not opens))

    def _send(self, qty: float, leg: str | None, *, reduce_only: bool) -> None:
        self.floor.send(qty, position_side=leg, reduce_only=reduce_only)

    def move(self, price: float) -> None:
        """The market moves; the bourse triggers before we hear of it."""
        self.bourse.move(price)
        self.floor.clock.advance(self.floor.clock.now() + 100)
        self.through(lambda: self.floor.trade(price))
        self.through(lambda: self.floor.quote(price - 0.1, price + 0.1))

    def protect(self, stop_pct: float, index: int) -> None:
        """The expert gives a position other levels."""
        leg = self.legs[index % len(self.legs)]
        levels = Protection(stop_loss_pct=stop_pct, take_profit_pct=5.0)
        self.through(lambda: self.floor.broker.protect(LINEAR, levels, leg) and None)

    def die(self, *, whole: bool) -> None:
        """The process is killed, in the midst of its last event unless that is `whole`, and starts again."""
        self.runs += 1
        state = self.saved if whole else self.before
        intents = () if whole else tuple(self.floor.written[self.since :])
        now = self.floor.clock.now()
        self.bourse.said.clear()
        self.bourse.filled.clear()
        self.floor = Floor(**self.settings, run=f"run{self.runs:05}", state=state, intents=intents)
        self.floor.clock.advance(now + 1_000)
        self.floor.trade(self.bourse.price)
        self.floor.quote(self.bourse.price - 0.1, self.bourse.price + 0.1)
        self.written = self.since = 0
        self.through(lambda: self.floor.broker.hear(Gap(0, "")), protect=False)
        self.calm(protect=False)
        self.through(lambda: None)

    def hand(self, qty: float, index: int) -> None:
        """Somebody else trades on the account."""
        leg = self.legs[index % len(self.legs)]
        held = self.bourse.position.get(leg, 0.0)
        if leg is None or (held + qty) * (1 if leg == "long" else -1) >= 0.0:
            self.bourse.trade_by_hand(qty, leg)

    def look(self) -> None:
        """The account is looked at, as it is from time to time, until all agrees."""
        self.through(self.floor.broker.errands.check)
        self.calm()

    # -- what must hold -------------------------------------------------------------------------------------

    def check(self) -> None:
        """Positions are the bourse's, and each has exactly what protects it."""
        broker, wanted = self.floor.broker, Counter[Any]()
        for held in broker.ledger.legs():
            leg, guard = held.position_side, broker.execution.guards.get(held)
            foreign = broker.differences.foreign.get((LINEAR, leg), 0.0)
            assert round(held.qty + foreign, 3) == self.bourse.position.get(leg, 0.0)
            if guard is not None:
                for level in (guard.stop_price, guard.target_price):
                    for qty in pieces(held) if level is not None else ():
                        wanted[leg, -guard.side, qty, level] += 1
        there = Counter(
            (one.position_side, one.side.sign, one.qty, one.stop_price) for one in self.bourse.standing
        )
        assert there == wanted
        assert broker.working() == []


actions = st.one_of(
    st.tuples(st.just("trade"), st.sampled_from([1.0, 0.3, -0.3, -1.0, -2.5, 2.5]), st.integers(0, 1)),
    st.tuples(st.just("move"), st.sampled_from(PRICES)),
    st.tuples(st.just("hear"), st.booleans()),
    st.tuples(st.just("hear"), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([10, 500, 2_000, 31_000])),
    st.tuples(st.just("protect"), st.sampled_from([1.0, 3.0]), st.integers(0, 1)),
    st.tuples(st.just("fault"), st.sampled_from(["refuse", "reached", "hide", "drop"])),
    st.tuples(st.just("halve")),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
    st.tuples(st.just("die"), st.booleans()),
    st.tuples(st.just("hand"), st.sampled_from([1.0, -0.5, -1.0, -3.0]), st.integers(0, 1)),
    st.tuples(st.just("calm")),
)


def play(life: Life, action: tuple[Any, ...]) -> None:
    """One thing happens."""
    name, *terms = action
    if name == "fault":
        life.bourse.faults.append(*terms)
    elif name == "halve":
        life.bourse.is_halving = True
    elif name == "cancel":
        life.bourse.cancel_by_hand(*terms)
    elif name == "hear":
        life.hear(fills=terms[0])
    elif name == "die":
        life.die(whole=terms[0])
    else:
        getattr(life, name)(*terms)


@settings(max_examples=200)
@given(
    st.sampled_from(["close", "retry"]),
    st.booleans(),
    st.sampled_from([None, 1.2]),
    st.lists(actions, max_size=25),
)
def test_whatever_happens_positions_are_protected_once_it_is_quiet(rule, hedge, most, told):
    life = Life(rule, hedge=hedge, most=most)
    for action in told:
        play(life, action)
    life.bourse.faults.clear()
    life.calm()
    life.look()
    life.check()
    assert all(one.status is not OrderStatus.PENDING for one in life.floor.broker.orders.values())
