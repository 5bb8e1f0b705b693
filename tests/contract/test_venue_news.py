"""What a state tells its listeners, and when."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from venue.dialects import binance
from venue.instruments import Instrument, Kind
from venue.news import BalanceNews, Cause, Change, News, OrderNews, PositionNews, TradeNews
from venue.orders import Order, Status
from venue.prices import Prices
from venue.shapes import ask
from venue.state import Habits, State

from metaexpert.clock import SimClock

if TYPE_CHECKING:
    from venue import Venue

NOW = 1_790_000_000_000
MINUTE = 60_000
D = Decimal


def heard_of(clock: SimClock, habits: Habits = binance.HABITS) -> tuple[State, list[News]]:
    """Binance, and what it tells."""
    state, heard = State(binance.instruments(NOW), Prices(), clock.now, binance.wallet_of, habits), []
    state.listeners.append(heard.append)
    return state, heard


def order(item: Instrument, amount: str, price: str | None = None, **terms: object) -> Order:
    """Buy so much, or sell it if the amount is negative."""
    size = D(amount)
    return Order(instrument=item, buy=size > 0, amount=abs(size), price=D(price) if price else None, **terms)  # pyright: ignore[reportArgumentType]


def changes(heard: list[News]) -> list[tuple[Change, int]]:
    """What happened to which order."""
    return [(one.change, one.order.id) for one in heard if isinstance(one, OrderNews)]


def test_a_fill_is_told_as_order_position_and_money_in_that_order() -> None:
    """1.0 at 50,000: the fee is 25; all is as told by the time it is told."""
    state, heard = heard_of(SimClock(NOW))
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.pin(item, 50_000)
    seen: list[tuple[Decimal, Decimal]] = []
    state.listeners.append(
        lambda _: seen.append((state.position(item, "BOTH").amount, state.balances["linear", "USDT"]))
    )
    heard.clear()
    bought = state.place(order(item, "1"))
    accepted, filled, position, fee = heard
    assert accepted == OrderNews(bought, None, Change.ACCEPTED)
    assert filled == OrderNews(bought, bought.fills[0], Change.FILLED)
    assert position == PositionNews(state.position(item, "BOTH"))
    assert fee == BalanceNews("linear", "USDT", D(-25), Cause.FEE)
    assert seen == [(D(0), D(100_000))] + [(D(1), D(99_975))] * 3


def test_spot_money_moves_in_both_coins_and_the_fee() -> None:
    """0.5 at 50,000 costs 25,000; a fee of 0.05 % in what was bought is 0.00025."""
    state, heard = heard_of(SimClock(NOW))
    item = state.instrument("BTCUSDT", Kind.SPOT)
    state.pin(item, 50_000)
    state.place(order(item, "0.5"))
    fee = D("0.5") * item.taker
    moved = [(one.coin, one.change, one.cause) for one in heard if isinstance(one, BalanceNews)]
    assert moved == [("BTC", D("0.5"), Cause.FILL), ("USDT", D(-25_000), Cause.FILL), ("BTC", -fee, Cause.FEE)]


def test_a_transfer_is_told_and_listed() -> None:
    """500 USDT come in, 200 go; they can be spent, and Binance lists them as income of that kind."""
    state, heard = heard_of(SimClock(NOW))
    free = state.free("linear", "USDT")
    for change in (500, -200):
        state.transfer("linear", "USDT", D(change))
    assert heard == [BalanceNews("linear", "USDT", D(change), Cause.TRANSFER) for change in (500, -200)]
    assert state.free("linear", "USDT") - free == 300
    rows = ask(binance, state, "GET", "/fapi/v1/income")
    assert [(row["incomeType"], D(row["income"]), row["symbol"]) for row in rows] == [
        ("TRANSFER", 500, ""), ("TRANSFER", -200, ""),
    ]  # fmt: skip


def test_each_change_of_an_order_is_told_once() -> None:
    """Accepted, amended, canceled; expired; a stop that fires and sends its child; nothing for a refusal."""
    state, heard = heard_of(SimClock(NOW))
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.pin(item, 50_000)
    resting = state.place(order(item, "1", "40000"))
    state.amend(resting, price=D(41_000))
    state.cancel(resting)
    gone = state.place(order(item, "1", "40000", tif="IOC"))
    stop = state.place(order(item, "1", trigger=D(51_000), rises=True))
    state.pin(item, 51_000)
    assert changes(heard) == [
        (Change.ACCEPTED, resting.id), (Change.AMENDED, resting.id), (Change.CANCELED, resting.id),
        (Change.ACCEPTED, gone.id), (Change.EXPIRED, gone.id),
        (Change.ACCEPTED, stop.id), (Change.TRIGGERED, stop.id), (Change.ACCEPTED, stop.child),
        (Change.FILLED, stop.child),
    ]  # fmt: skip


def test_trades_are_told_one_by_one_only_while_they_are_watched() -> None:
    """Four trades a minute, in order and at their own time, as the exchange lists them afterwards."""
    clock = SimClock(NOW)
    state, heard = heard_of(clock)
    item, other = state.instrument("BTCUSDT", Kind.SPOT), state.instrument("ETHUSDT", Kind.SPOT)
    times: list[int] = []
    state.listeners.append(lambda _: times.append(state.now()))
    state.watch(item)
    state.watch(item)
    state.watch(other)
    clock.advance(NOW + 10 * MINUTE)
    state.advance()
    trades = [one.trade for one in heard if isinstance(one, TradeNews) and one.instrument == item]
    assert len(trades) == 40
    assert trades == state.trades(item, NOW + 1, NOW + 10 * MINUTE + 1)
    assert times == sorted(times)
    assert times == [one.trade.time for one in heard if isinstance(one, TradeNews)]
    state.unwatch(item)
    state.unwatch(other)
    heard.clear()
    clock.advance(NOW + 11 * MINUTE)
    state.advance()
    state.advance()
    assert len(heard) == 4  # somebody watches `item` still
    state.unwatch(item)
    clock.advance(NOW + 12 * MINUTE)
    state.advance()
    assert len(heard) == 4


def test_an_order_is_filled_when_the_tape_reaches_it_though_nobody_asks_meanwhile() -> None:
    """A limit above the lowest trade of an hour is filled at a trade's time, once the clock is looked at."""
    clock = SimClock(NOW)
    state, _ = heard_of(clock)
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    lowest = min(state.prices.trades(item, NOW + 1, NOW + 60 * MINUTE), key=lambda one: (one.price, one.time))
    assert lowest.price + item.tick < state.price(item)
    resting = state.place(order(item, "0.01", str(lowest.price + item.tick)))
    clock.advance(NOW + 60 * MINUTE)
    state.advance()
    assert resting.status is Status.FILLED
    assert resting.fills[0].time <= lowest.time


def test_a_tape_told_by_hand_is_one_tape_to_trades_and_candles() -> None:
    """After pins at 100 and 130 and a trade of 2 at 90 the minute has them all, after what was there before."""
    clock = SimClock(NOW // MINUTE * MINUTE + 20_000)
    state, heard = heard_of(clock)
    item = state.instrument("BTCUSDT", Kind.SPOT)
    begin = clock.now() // MINUTE * MINUTE
    before = state.trades(item, begin, clock.now())
    state.pin(item, 100)
    state.pin(item, 130)
    state.trade(item, 90, 2)
    told = [one.trade for one in heard if isinstance(one, TradeNews)]
    assert [(one.price, one.amount, one.buy) for one in told][1:] == [(130, item.min_amount, True), (90, 2, False)]
    assert state.trades(item, begin, clock.now() + 1) == before + told
    (candle,) = state.candles(item, MINUTE, begin, begin + MINUTE)
    prices = [one.price for one in before + told]
    assert candle[1:5] == (prices[0], max(prices), D(90), D(90))
    assert (candle.volume, candle.trades) == (sum(one.amount for one in before + told), len(prices))
    assert len({one.id for one in before + told}) == len(prices)


@pytest.mark.asyncio
async def test_the_venue_pulses_all_its_states(venue: Venue) -> None:
    """A minute of the clock is four trades at each exchange."""
    heard: list[News] = []
    for state in venue.states.values():
        state.listeners.append(heard.append)
        state.watch(state.listed(Kind.SPOT)[0])
    await venue.advance(MINUTE)
    assert len(heard) == 4 * len(venue.states)
