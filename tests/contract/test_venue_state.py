"""The venue's own arithmetic: money, positions and margins."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from venue.dialects import binance
from venue.instruments import Instrument, Kind
from venue.orders import Order, Reason, Refusal, Status
from venue.prices import Prices
from venue.state import Habits, State

from metaexpert.clock import SimClock

NOW = 1_790_000_000_000
D = Decimal


def state_of(habits: Habits = binance.HABITS) -> State:
    """Binance's account, everything at 50,000."""
    clock = SimClock(NOW)
    state = State(binance.instruments(NOW), Prices(), clock.now, binance.wallet_of, habits)
    for item in state.instruments.values():
        state.pin(item, 50_000)
    return state


def order(item: Instrument, amount: str, price: str | None = None, **terms: object) -> Order:
    """Buy so much, or sell it if the amount is negative."""
    size = D(amount)
    return Order(instrument=item, buy=size > 0, amount=abs(size), price=D(price) if price else None, **terms)  # pyright: ignore[reportArgumentType]


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(-50, 50).filter(bool), st.integers(40_000, 60_000)), min_size=1, max_size=12
    )
)  # fmt: skip
@pytest.mark.parametrize("name", ["BTCUSDT", "BTCUSD_PERP"])
def test_a_round_trip_books_the_sum_of_its_parts(name: str, trades: list[tuple[int, int]]) -> None:
    """Whatever is traded, once all is closed the wallet has changed by proceeds less fees, and nothing else.

    Linear: minus the sum of amount * price. Inverse: the sum of face / price, a contract having a face of 100.
    """
    state = state_of()
    item = state.instrument(name, Kind.LINEAR, Kind.INVERSE)
    state.balances[state.wallet_of(item), item.settle] = D(10_000_000)
    unit = D("0.01") if item.kind is Kind.LINEAR else D(1)
    sizes = [(size * unit, D(price)) for size, price in trades]
    left = -sum(size for size, _ in sizes)
    expected, fees = D(0), D(0)
    for size, price in [*sizes, (left, D(50_000))]:
        if not size:
            continue
        state.pin(item, price)
        state.place(order(item, str(size)))
        expected += -size * price if item.kind is Kind.LINEAR else size * 100 / price
        fees += item.taker * item.value(abs(size), price)
    assert state.held() == []
    change = state.balances[state.wallet_of(item), item.settle] - 10_000_000
    assert float(change) == pytest.approx(float(expected - fees), abs=1e-9)


def test_partial_fills_and_amendment() -> None:
    """Of 1.0 at 49,000 0.4 is filled; it is amended to 0.9, so 0.5 is left: 24,500 at leverage 10."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    resting = state.place(order(item, "1", "49000"))
    state.fill(resting, D("0.4"), D(49_000), maker=True)
    assert (resting.status, resting.remaining, resting.average) == (Status.OPEN, D("0.6"), D(49_000))
    state.amend(resting, amount=D("0.9"))
    assert state.locked("linear", "USDT") == D(2450)
    assert resting.fee == D("0.4") * 49_000 * item.maker
    assert state.cancel(resting).status is Status.CANCELED
    assert state.locked("linear", "USDT") == 0


def test_what_is_reserved_cannot_be_spent_twice() -> None:
    """Of 100,000 USDT an order for 60,000 leaves 40,000."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.SPOT)
    state.place(order(item, "1.5", "40000"))
    assert state.free("spot", "USDT") == 40_000
    with pytest.raises(Refusal) as refusal:
        state.place(order(item, "1.1", "40000"))
    assert refusal.value.reason is Reason.FUNDS
    assert len(state.orders) == 1


def test_reduce_only_never_turns_a_position() -> None:
    """Of a sell of 1.0 against a long of 0.3 only 0.3 is filled."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.place(order(item, "0.3"))
    sold = state.place(order(item, "-1", reduce_only=True))
    assert (sold.filled, sold.status) == (D("0.3"), Status.CANCELED)
    assert state.held() == []


def test_a_turned_position_has_the_new_price() -> None:
    """A long of 0.2 at 50,000 sold 0.5 at 51,000: +200, and a short of 0.3 at 51,000."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.place(order(item, "0.2"))
    state.pin(item, 51_000)
    sold = state.place(order(item, "-0.5"))
    (held,) = state.held()
    assert (held.amount, held.entry, sold.fills[0].profit) == (D("-0.3"), D(51_000), D(200))


def test_habits() -> None:
    """A fee in quote; a post-only order that is taken and cancelled; a fired order under its own id."""
    state = state_of(Habits(fee_in_quote=True, keeps_id=frozenset(Kind), cancels_post_only=True))
    item = state.instrument("BTCUSDT", Kind.SPOT)
    (fill,) = state.place(order(item, "1")).fills
    assert (fill.fee, fill.fee_coin) == (D(50), "USDT")
    gone = state.place(order(item, "0.5", "60000", post_only=True))
    assert (gone.status, gone.reason) == (Status.CANCELED, Reason.WOULD_TAKE)
    stop = state.place(order(item, "-1", trigger=D(45_000), rises=False))
    state.pin(item, 44_000)
    assert (stop.status, stop.average) == (Status.FILLED, D(44_000))


def test_modes_change_only_while_nothing_is_held() -> None:
    """Position and margin mode are fixed by a position, and changing nothing is told apart."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.place(order(item, "0.1"))
    for change in (lambda: state.set_hedged("linear", True), lambda: state.set_isolated(item, True)):
        with pytest.raises(Refusal) as refusal:
            change()
        assert refusal.value.reason is Reason.BUSY
    with pytest.raises(Refusal) as refusal:
        state.set_hedged("inverse", False)
    assert refusal.value.reason is Reason.NO_CHANGE
