"""A broker that is saved, and restored into a new one, goes on as if nothing had happened: equal with ==."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from desk import INVERSE, LINEAR, OTHER, SPOT, market
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaexpert.broker.costs import Costs
from metaexpert.broker.data import FundingRate, FundingRates
from metaexpert.broker.ledger import Ledger
from metaexpert.broker.paper import PaperBroker
from metaexpert.broker.protection import Protection
from metaexpert.broker.state import restore, state_of
from metaexpert.clock import SimClock
from metaexpert.errors import ConfigError, JournalError
from metaexpert.events import Funding, MarkPrice, PublicTrade, Quote
from metaexpert.models import Bar, Fill, MarginMode, MarketType, Order, OrderBook, OrderType, Side, TimeInForce
from metaexpert.risk import LossLimits

MINUTE = 60_000
DAY = 86_400_000


class World:
    """One account and its paper broker, told events one by one."""

    def __init__(self, **setup: Any) -> None:
        self.symbols: tuple[str, ...] = setup.get("symbols", (LINEAR,))
        self.hedge, cross = setup.get("hedge", False), setup.get("cross", False)
        markets = {symbol: market(symbol, **setup.get("rules", {})) for symbol in self.symbols}
        self.clock = SimClock(setup.get("time", 1_000))
        mode = MarginMode.CROSS if cross else MarginMode.ISOLATED
        capital = setup.get("capital", 10.0 if INVERSE in self.symbols else 1_000.0)
        self.ledger = Ledger(capital, markets, setup.get("leverage", 1.0), mode, hedge=self.hedge)
        costs = Costs(
            fee_taker=0.001, fee_maker=0.0002, slippage_rate=0.0005, max_fill_volume_pct=setup.get("share")
        )
        protection = Protection(**setup.get("protection", {}))
        fills = setup.get("fills", "quotes")
        self.broker = PaperBroker(self.ledger, self.clock, costs, protection, fills=fills)

    def saved(self) -> dict[str, Any]:
        """The state, by way of a file."""
        return json.loads(json.dumps(state_of(self.broker)))

    def play(self, event: tuple[Any, ...]) -> list[Any]:
        """Let one event happen; returns the news."""
        what, *rest = event
        news = list(getattr(self, f"_{what}")(*rest) or ())
        while self.broker.news:
            news.append(self.broker.news.popleft())
        return news

    def _wait(self, time: int) -> None:
        self.clock.advance(self.clock.now() + time)

    def _bar(self, which: int, prices: tuple[float, ...], volume: float) -> Any:
        symbol = self.symbols[which % len(self.symbols)]
        bar = Bar(self.clock.now(), symbol, "1m", prices[0], max(prices), min(prices), prices[-1], volume)
        yield from self.broker.on_bar(bar)
        self.clock.advance(bar.time + MINUTE)

    def _trade(self, which: int, price: float, qty: float) -> Any:
        symbol = self.symbols[which % len(self.symbols)]
        return self.broker.on_trade(PublicTrade(self.clock.now(), symbol, "", price, qty, 1))

    def _quote(self, which: int, bid: float, ask: float) -> Any:
        return self.broker.on_quote(
            Quote(self.clock.now(), self.symbols[which % len(self.symbols)], bid, ask, 1.0, 1.0)
        )

    def _book(self, which: int, bid: float, ask: float) -> Any:
        bids, asks = ((bid, 0.5), (bid - 1.0, 2.0)), ((ask, 0.5), (ask + 1.0, 2.0))
        return self.broker.on_book(
            OrderBook(self.clock.now(), self.symbols[which % len(self.symbols)], bids, asks)
        )

    def _mark(self, which: int, price: float) -> Any:
        symbol = self.symbols[which % len(self.symbols)]
        return () if symbol == SPOT else self.broker.on_mark(MarkPrice(self.clock.now(), symbol, price))

    def _option(self, mark: float, spot: float) -> Any:
        return self.broker.on_mark(MarkPrice(self.clock.now(), self.symbols[0], mark, spot))

    def _expire(self, time: int) -> Any:
        return self.broker.expiry.end(time)

    def _funding(self, which: int, rate: float, mark: float | None) -> None:
        symbol = self.symbols[which % len(self.symbols)]
        if symbol != SPOT:
            self.broker.on_funding(Funding(self.clock.now(), symbol, rate, mark))

    def _order(
        self, which: int, side: Side, qty: float, price: float | None, stop: float | None, after: int,
        terms: dict[str, Any],
    ) -> None:  # fmt: skip
        kinds = {(False, False): OrderType.MARKET, (True, False): OrderType.LIMIT, (False, True): OrderType.STOP}
        leg = (
            ("long" if (side is Side.BUY) != terms.get("reduce_only", False) else "short") if self.hedge else None
        )
        shrinks = terms.get("shrinks", False)
        order = Order(
            id=self.broker.next_id(), symbol=self.symbols[which % len(self.symbols)], side=side, qty=qty,
            type=kinds.get((price is not None, stop is not None), OrderType.STOP_LIMIT), price=price,
            stop_price=stop, position_side=leg, created=self.clock.now(),
            **{name: value for name, value in terms.items() if name != "shrinks"},
        )  # fmt: skip
        self.broker.submit(order, active_from=self.clock.now() + after, shrinkable=shrinks)

    def _cancel(self, which: int) -> None:
        working = self.broker.working()
        if working:
            self.broker.cancel(working[which % len(working)].id)

    def _modify(self, which: int, price: float, qty: float) -> None:
        working = self.broker.working()
        if working:
            self.broker.modify(
                working[which % len(working)].id, price=price, qty=qty, active_from=self.clock.now()
            )

    def _protect(self, which: int, levels: dict[str, float | None]) -> None:
        legs = self.ledger.legs()
        held = legs[which % len(legs)]
        now = self.broker.protection(held.market.symbol, held.position_side)
        if now is not None:
            self.broker.protect(held.market.symbol, replace(now, **levels), held.position_side)


def cut(setup: dict[str, Any], events: list[tuple[Any, ...]], at: int) -> tuple[World, World, list[Any]]:
    """Play `events`, and once more with a restart before number `at`: both worlds, and the news after it."""
    whole, before = World(**setup), World(**setup)
    for event in events[:at]:
        assert whole.play(event) == before.play(event)
    for symbol in whole.symbols:
        whole.broker.forget_offers(symbol)
    restarted = World(**setup, time=before.clock.now())
    restore(restarted.broker, before.saved())
    assert restarted.saved() == before.saved()
    fills, trades, told = len(whole.broker.fills), len(whole.ledger.trades), []
    for event in events[at:]:
        news = whole.play(event)
        assert restarted.play(event) == news
        told += news
    assert restarted.saved() == whole.saved()
    assert restarted.broker.fills == whole.broker.fills[fills:]
    assert restarted.ledger.all_trades() == whole.ledger.all_trades()[trades:]
    assert restarted.broker.working() == whole.broker.working()
    assert restarted.broker.account() == whole.broker.account()
    for held in whole.ledger.legs():
        where = held.market.symbol, held.position_side
        assert restarted.broker.position(*where) == whole.broker.position(*where)
    return whole, restarted, told


# --- any run, cut anywhere ------------------------------------------------------------------------------------

SYMBOLS = {"spot": (SPOT,), "linear": (LINEAR,), "inverse": (INVERSE,), "two": (LINEAR, OTHER)}
LEVELS: tuple[dict[str, Any], ...] = (
    {},
    {"stop_loss_pct": 2.0, "take_profit_pct": 3.0},
    {"trailing_stop_pct": 1.0, "trailing_activation_pct": 0.5},
    {"breakeven_pct": 1.0, "stop_loss_pct": 3.0},
)


@st.composite
def setups(draw: st.DrawFn) -> dict[str, Any]:
    """An account and how it trades."""
    kind = draw(st.sampled_from(["spot", "linear", "linear", "inverse", "two"]))
    return {
        "symbols": SYMBOLS[kind],
        "hedge": kind != "spot" and draw(st.booleans()),
        "cross": kind != "spot" and draw(st.booleans()),
        "leverage": 1.0 if kind == "spot" else draw(st.sampled_from([1.0, 5.0, 50.0])),
        "protection": draw(st.sampled_from(LEVELS)),
        "share": draw(st.sampled_from([None, 5.0])),
        "fills": draw(st.sampled_from(["quotes", "book", "trades"])),
    }


def events(random: Random, count: int, *, inverse: bool) -> list[tuple[Any, ...]]:
    """What may happen, around a price that wanders."""
    made: list[tuple[Any, ...]] = []
    price, unit = 100.0, 100.0 if inverse else 1.0
    for _ in range(count):
        price = round(max(price * (1.0 + random.gauss(0.0, 0.008)), 50.0), 2)
        near = lambda spread=0.02: round(price * (1.0 + random.uniform(-spread, spread)), 2)  # noqa: B023, E731
        which, qty = random.randrange(4), round(random.choice([0.5, 1.0, 3.0, 20.0]) * unit, 3)
        side = random.choice([Side.BUY, Side.SELL])
        terms: dict[str, Any] = random.choice([
            {}, {}, {"reduce_only": True}, {"shrinks": True}, {"stop_loss": near(), "tag": "x"},
            {"tif": TimeInForce.IOC}, {"take_profit": near()},
        ])  # fmt: skip
        after = random.choice([0, 0, 0, 90_000])
        made.append(random.choice([
            ("wait", random.choice([1, 1_000, 60_000])),
            *[("bar", which, (price, near(), near(), near()), random.choice([10.0, 200.0]))] * 3,
            *[("trade", which, near(), random.choice([1.0, 50.0]) * unit)] * 3,
            *[("quote", which, price - 0.05, price + 0.05)] * 2,
            ("book", which, price - 0.05, price + 0.05),
            ("mark", which, near(0.03)), ("funding", which, random.choice([0.001, -0.002]), near()),
            *[("order", which, side, qty, None, None, after, terms)] * 3,
            ("order", which, side, qty, near(), None, after, terms),
            ("order", which, side, qty, None, near(), after, terms),
            ("order", which, side, qty, near(), near(), after, terms),
            ("cancel", which), ("modify", which, near(), qty),
            ("protect", which, random.choice([{"stop_loss": near()}, {"trailing_stop_pct": 1.5}])),
        ]))  # fmt: skip
    return made


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(setups(), st.integers(0, 2**32), st.integers(1, 60), st.integers(0, 59))
def test_a_run_that_was_cut_anywhere_goes_on_as_the_one_that_was_not(setup, seed, count, at):
    """Spot, linear, inverse, two symbols, hedge, cross, partial fills: the same news, fills, state and account."""
    cut(setup, events(Random(seed), count, inverse=INVERSE in setup["symbols"]), min(at, count))


# --- what the state must hold, one by one ---------------------------------------------------------------------

BUY: tuple[Any, ...] = ("order", 0, Side.BUY, 1.0, None, None, 0, {})


def flat(price: float, volume: float = 1e9) -> tuple[Any, ...]:
    return ("bar", 0, (price,), volume)


def reasons(told: list[Any]) -> list[tuple[float, str]]:
    """(price, reason) of each fill."""
    return [(one.result.price, one.result.reason) for one in told if isinstance(one.result, Fill)]


def test_a_trailing_stop_remembers_the_best_price():
    """Bought at 100.05, best 110: 2 % below is 107.8, less 0.05 % slippage 107.7461."""
    setup = {"protection": {"trailing_stop_pct": 2.0}}
    _, _, told = cut(setup, [BUY, flat(100.0), flat(110.0), flat(109.0), ("bar", 0, (109.0, 105.0), 1e9)], 4)
    assert reasons(told) == [(pytest.approx(107.8 * 0.9995), "trailing_stop")]


def test_an_exit_that_volume_has_filled_in_part_goes_on_alone():
    """1 held, 5 % of 10 a bar: the stop sells 0.5 and 0.5; no second exit is sent for what is left."""
    setup = {"share": 5.0, "protection": {"stop_loss_pct": 5.0}}
    falls = ("bar", 0, (100.0, 90.0), 10.0)
    whole, restarted, told = cut(setup, [BUY, flat(100.0), falls, flat(90.0, 10.0), flat(90.0, 10.0)], 3)
    assert [fill.qty for fill in whole.broker.fills] == [1.0, 0.5, 0.5]
    assert [fill.id for fill in restarted.broker.fills] == [3]
    assert len(told) == 1
    assert restarted.ledger.is_flat()


def test_a_stop_limit_that_was_triggered_stays_so():
    """Triggered at 105, its limit is 104: it rests there until the market comes back."""
    stop_limit = ("order", 0, Side.BUY, 1.0, 104.0, 105.0, 0, {})
    rises = ("bar", 0, (100.0, 106.0), 1e9)
    _, _, told = cut({}, [flat(100.0), stop_limit, rises, ("trade", 0, 103.0, 9.0)], 3)
    assert reasons(told) == [(104.0, "order")]


def test_a_limit_order_that_waits_for_volume_gets_no_better_price_after_a_restart():
    """5 % of 10 a bar. The bar ends at 98, beyond the limit of 99: the next open at 97 is no better for it."""
    limit = ("order", 0, Side.BUY, 1.0, 99.0, None, 0, {})
    first, second = ("bar", 0, (100.0, 97.0, 98.0), 10.0), ("bar", 0, (97.0, 100.0, 96.0, 98.0), 10.0)
    _, restarted, told = cut({"share": 5.0}, [flat(100.0), limit, first, second], 3)
    assert reasons(told) == [(99.0, "order")]
    assert [fill.qty for fill in restarted.broker.fills] == [0.5]


def test_an_order_that_is_on_its_way_arrives_when_it_was_due():
    late = ("order", 0, Side.BUY, 1.0, None, None, 90_000, {})
    _, restarted, told = cut({}, [flat(100.0), late, flat(101.0), flat(102.0), flat(103.0)], 2)
    assert reasons(told) == [
        (pytest.approx(103.0 * 1.0005), "order")
    ]  # sent at 60 s, due at 150 s, the bar at 181 s
    assert [fill.order_id for fill in restarted.broker.fills] == ["1"]


def test_a_funding_instant_is_paid_once():
    """It is told again after the restart: 1 at 100 pays 0.1 % of 100 = 0.1, once."""
    world = World()
    for event in (BUY, flat(100.0), ("funding", 0, 0.001, 100.0)):
        world.play(event)
    again = World(time=world.clock.now())
    restore(again.broker, world.saved())
    again.play(("funding", 0, 0.001, 100.0))
    assert again.broker.position(LINEAR).funding == world.broker.position(LINEAR).funding == -0.1
    again.clock.advance(again.clock.now() + 1)
    again.play(("funding", 0, 0.001, 100.0))
    assert again.broker.position(LINEAR).funding == -0.2


def test_the_instants_of_a_history_that_were_taken_are_not_taken_again():
    rates = FundingRates([FundingRate(time, 0.001, None) for time in (10, 20, 30)])
    assert [one.time for one in rates.take(20)] == [10, 20]
    fresh = FundingRates([FundingRate(time, 0.001, None) for time in (20, 30, 40)])
    fresh.resume(rates.taken)
    assert [one.time for one in fresh.take(100)] == [30, 40]
    fresh.resume(None)
    assert [one.time for one in fresh.take(100)] == [20, 30, 40]


def test_what_was_offered_before_a_restart_is_not_there_any_more():
    world = World()
    world.play(("quote", 0, 99.0, 101.0))
    again = World(time=world.clock.now())
    restore(again.broker, world.saved())
    again.play(BUY)
    assert again.broker.working()
    assert list(again.broker.meet(LINEAR)) == []


def test_loss_limits_remember_the_day_and_the_peak():
    """Peak 120: a fifth below is 96. The day began at 120: at 105 the limit of 15 is reached, and not twice."""
    first = LossLimits(15.0, 0.2, equity=100.0, time=0)
    assert first.update(DAY, 120.0) is None
    fresh = LossLimits(15.0, 0.2, equity=100.0, time=2 * DAY)
    fresh.restore(json.loads(json.dumps(first.state())))
    assert fresh.update(DAY + 1, 105.0) == "daily_loss_limit"
    again = LossLimits(15.0, 0.2, equity=100.0, time=2 * DAY)
    again.restore(json.loads(json.dumps(fresh.state())))
    assert again.update(DAY + 2, 104.0) is None
    assert again.refusal(DAY + 2) is not None
    assert again.update(DAY + 3, 96.0) == "max_drawdown"


OPTION = {
    "symbols": (LINEAR,),
    "rules": {
        "type": MarketType.OPTIONS, "contract_type": None, "option_type": "call", "strike": 100.0,
        "expiry": 10 * MINUTE,
    },
}  # fmt: skip
SOLD = [("option", 5.0, 100.0), ("order", 0, Side.SELL, 2.0, None, None, 0, {}), flat(5.0), ("option", 6.0, 104.0)]


def test_a_sold_option_keeps_its_margin_and_is_settled_once():
    """2 sold post 15 % of 100 each, 30; the underlying stood at 104 last: a call of 100 ends at 104 - 100 = 4."""
    whole, restarted, told = cut(OPTION, [*SOLD, flat(5.0), ("expire", 10 * MINUTE)], 4)
    assert whole.ledger.trades == restarted.ledger.trades
    assert reasons(told) == [(4.0, "expiry")]
    sold, _ = cut(OPTION, SOLD, 3)[:2]
    assert sold.ledger.margin_used() == 30.0
    assert sold.ledger.holdings[LINEAR].underlying == 104.0
    _, again, told = cut(OPTION, [*SOLD, ("expire", 10 * MINUTE), ("expire", 20 * MINUTE)], 5)
    assert (told, again.ledger.is_flat()) == ([], True)


# --- what can't be gone on from -------------------------------------------------------------------------------


def opened(*events: tuple[Any, ...], **setup: Any) -> dict[str, Any]:
    world = World(**setup)
    for event in events:
        world.play(event)
    return world.saved()


@pytest.mark.parametrize(
    ("state", "setup", "told"),
    [
        (opened(BUY, flat(100.0)), {"symbols": (OTHER,)}, "a position of 1 in BTC/USDT:USDT is open"),
        (opened(BUY, flat(100.0)), {"hedge": True}, "a position of 1 in BTC/USDT:USDT is open"),
        (opened(BUY, hedge=True), {}, "order 1 in BTC/USDT:USDT still works"),
        (opened(BUY), {"symbols": (OTHER,)}, "order 1 in BTC/USDT:USDT still works"),
        (opened(), {"symbols": (INVERSE,)}, "the account was in USDT and is to be in BTC now"),
    ],
)
def test_settings_that_leave_no_place_for_what_is_held_are_refused(state, setup, told):
    world = World(**setup)
    with pytest.raises(ConfigError, match=told) as refusal:
        restore(world.broker, state)
    assert "\n" not in str(refusal.value)


def test_symbols_may_come_and_flat_ones_may_go():
    state = opened(BUY, flat(100.0), symbols=(LINEAR, OTHER))
    world = World(symbols=(LINEAR,))
    restore(world.broker, state)
    assert world.broker.position(LINEAR).qty == 1.0
    more = World(symbols=(LINEAR, OTHER))
    restore(more.broker, world.saved())
    assert more.broker.position(LINEAR).qty == 1.0


def test_a_state_of_another_version_is_refused():
    with pytest.raises(JournalError, match="of version 99, which this metaexpert can't read"):
        restore(World().broker, opened() | {"version": 99})


def test_within_an_event_nothing_is_saved():
    world = World()
    world._order(0, Side.BUY, 1.0, None, None, 0, {})
    with pytest.raises(JournalError, match="news is not told yet"):
        state_of(world.broker)
