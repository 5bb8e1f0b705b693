"""The venue's order books: what an order takes, what it waits for, and what follows from its trigger."""

from __future__ import annotations

from decimal import Decimal

import pytest
from venue.dialects import binance
from venue.instruments import Instrument, Kind
from venue.news import Change, OrderNews
from venue.orders import Order, Reason, Refusal, Status
from venue.prices import Prices
from venue.state import Habits, State

from metaexpert.clock import SimClock

NOW = 1_790_000_000_000
D = Decimal


def state_of(habits: Habits = binance.HABITS) -> State:
    """Binance, of which the last trade of BTC/USDT was one of nearly nothing at 50,000; spot and contract."""
    state = State(binance.instruments(NOW), Prices(), SimClock(NOW).now, binance.wallet_of, habits)
    for kind in (Kind.SPOT, Kind.LINEAR):
        state.trade(state.instrument("BTCUSDT", kind), 50_000, state.instrument("BTCUSDT", kind).step)
    return state


def order(item: Instrument, amount: str, price: str | None = None, **terms: object) -> Order:
    """Buy so much, or sell it if the amount is negative."""
    size = D(amount)
    return Order(instrument=item, buy=size > 0, amount=abs(size), price=D(price) if price else None, **terms)  # pyright: ignore[reportArgumentType]


def filled(order: Order) -> list[tuple[Decimal, Decimal, bool]]:
    """Its fills: price, amount, whether it had rested."""
    return [(fill.price, fill.amount, fill.maker) for fill in order.fills]


# --- taking


def test_the_public_offers_a_ladder_a_tick_apart() -> None:
    """10,000 dollars at 60,000 a coin are 0.167 at the best price, twice that at the next, and so on."""
    state = state_of()
    bids, asks = state.book(state.instrument("BTCUSDT", Kind.LINEAR), 3)
    unit = D("0.167")
    assert bids == [(D(50_000), unit), (D("49999.9"), 2 * unit), (D("49999.8"), 3 * unit)]
    assert asks == [(D("50000.1"), unit), (D("50000.2"), 2 * unit), (D("50000.3"), 3 * unit)]


def test_a_market_order_walks_the_book() -> None:
    """0.6 takes 0.167, 0.334 and of the third level 0.099; the average is the mean of these."""
    state = state_of()
    bought = state.place(order(state.instrument("BTCUSDT", Kind.LINEAR), "0.6"))
    assert bought.status is Status.FILLED
    assert filled(bought) == [
        (D("50000.1"), D("0.167"), False), (D("50000.2"), D("0.334"), False), (D("50000.3"), D("0.099"), False),
    ]  # fmt: skip
    total = D("50000.1") * D("0.167") + D("50000.2") * D("0.334") + D("50000.3") * D("0.099")
    assert bought.average == total / D("0.6")


def test_what_was_taken_is_back_with_the_next_trade() -> None:
    """0.2 takes the first ask and 0.033 of the second, which then has 0.301 and is the best one."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.place(order(item, "0.2"))
    assert state.book(item, 1)[1] == [(D("50000.2"), D("0.301"))]
    state.trade(item, 50_000, "0.001")
    assert state.book(item, 1)[1] == [(D("50000.1"), D("0.167"))]


def test_a_limit_that_crosses_takes_up_to_its_price_and_rests_with_what_is_left() -> None:
    """Of 1.0 up to 50,000.2 there are 0.167 + 0.334; 0.499 rest there and are the best bid."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    bought = state.place(order(item, "1", "50000.2"))
    assert filled(bought) == [(D("50000.1"), D("0.167"), False), (D("50000.2"), D("0.334"), False)]
    assert (bought.status, bought.remaining) == (Status.OPEN, D("0.499"))
    bids, asks = state.book(item, 2)
    assert bids[0] == (D("50000.2"), D("0.499"))
    assert asks[0][0] == D("50000.3")


def test_times_in_force() -> None:
    """IOC drops what it does not get, FOK takes all or nothing, a post-only order that would take is refused."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    part = state.place(order(item, "0.2", "50000.1", tif="IOC"))
    assert (part.status, part.filled) == (Status.EXPIRED, D("0.167"))
    none = state.place(order(item, "0.4", "50000.2", tif="FOK"))  # 0.334 are there
    assert (none.status, none.fills) == (Status.EXPIRED, [])
    whole = state.place(order(item, "0.3", "50000.2", tif="FOK"))
    assert whole.status is Status.FILLED
    with pytest.raises(Refusal) as refusal:
        state.place(order(item, "0.1", "50000.3", post_only=True))
    assert refusal.value.reason is Reason.WOULD_TAKE
    assert state.place(order(item, "0.1", "50000", post_only=True)).status is Status.OPEN


def test_an_order_by_cost_spends_no_more_than_that() -> None:
    """10,020 buy 0.16667 at 50,000.01 for 8,333.5016667, and of what is left 0.03372 at 50,000.02."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.SPOT)
    bought = state.place(Order(instrument=item, buy=True, amount=D(0), cost=D(10_020)))
    assert filled(bought) == [(D("50000.01"), D("0.16667"), False), (D("50000.02"), D("0.03372"), False)]
    assert D(10_020) - D("50000.02") * item.step < bought.quote <= D(10_020)
    assert (bought.status, bought.amount) == (Status.FILLED, D("0.20039"))


def test_a_pinned_price_is_good_for_any_amount_on_both_sides() -> None:
    """One level each, at the price itself."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.pin(item, 40_000)
    assert [price for side in state.book(item, 5) for price, _ in side] == [D(40_000), D(40_000)]
    assert filled(state.place(order(item, "20"))) == [(D(40_000), D(20), False)]
    assert filled(state.place(order(item, "-20"))) == [(D(40_000), D(20), False)]


def test_own_orders_don_t_trade_with_one_another_unless_the_exchange_lets_them() -> None:
    """A sale down to the own bid: that one expires, or both are filled."""
    for habits, outcome in ((Habits(), (Status.EXPIRED, [])), (Habits(self_trades=True), (Status.FILLED, [True]))):
        state = state_of(habits)
        item = state.instrument("BTCUSDT", Kind.LINEAR)
        bid = state.place(order(item, "0.1", "50000"))
        sold = state.place(order(item, "-0.267", "50000"))
        assert (bid.status, [fill.maker for fill in bid.fills]) == outcome
        assert sold.filled == D("0.167") + bid.filled


# --- resting


def test_a_trade_at_its_price_eats_the_queue_first_and_then_fills_in_part() -> None:
    """0.167 stand before it: a trade of 0.1 leaves 0.067 of them, one of 0.1 more fills 0.033 of it."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    resting = state.place(order(item, "0.05", "50000"))
    state.trade(item, 50_000, "0.1")
    assert (resting.ahead, resting.filled) == (D("0.067"), 0)
    state.trade(item, 50_000, "0.1")
    assert filled(resting) == [(D(50_000), D("0.033"), True)]
    state.trade(item, 50_000, "0.5")
    assert (resting.status, resting.filled) == (Status.FILLED, D("0.05"))


def test_a_trade_beyond_its_price_fills_all_of_it_and_one_before_nothing() -> None:
    """A bid at 49,999 is passed by at 49,999.1 and filled whole, at its own price, by 49,998.9."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    resting = state.place(order(item, "3", "49999"))
    state.trade(item, "49999.1", 50)
    assert not resting.fills
    state.trade(item, "49998.9", "0.001")
    assert filled(resting) == [(D(49_999), D(3), True)]


def test_price_goes_before_time_and_time_before_size() -> None:
    """Sales at 50,001 (first), 50,000.5 and 50,001: a trade of 10 at 50,001 fills the second, then the first."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    first, best, last = (state.place(order(item, f"-{size}", price)) for size, price in
                         (("1", "50001"), ("1", "50000.5"), ("2", "50001")))  # fmt: skip
    queue = D("0.167") * 10  # the tenth ask of the ladder
    assert (first.ahead, last.ahead) == (queue, queue)
    heard: list[int] = []
    state.listeners.append(lambda news: heard.append(news.order.id) if isinstance(news, OrderNews) else None)
    state.trade(item, 50_001, queue + D("1.5"))
    assert heard == [best.id, first.id, last.id]
    assert (best.filled, first.filled, last.filled) == (1, 1, D("0.5"))


def test_more_or_another_price_loses_the_place_and_less_keeps_it() -> None:
    """Of two at one price the first is reduced and stays first, then enlarged and is last."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    first, second = (state.place(order(item, "-1", "50001")) for _ in range(2))
    state.amend(first, amount=D("0.5"))
    assert state.resting(item, buy=False) == [first, second]
    state.amend(first, amount=D("0.6"))
    assert state.resting(item, buy=False) == [second, first]
    state.amend(second, price=D("50000.9"))
    assert second.ahead == D("0.167") * 9
    state.amend(second, price=D("50000"))
    assert (second.filled, second.fills[0].maker) == (D("0.167"), False)  # now it crosses


def test_own_orders_are_shown_behind_the_public_and_hold_it_off() -> None:
    """0.3 at the third bid and 0.2 at one that the ladder has not; a bid above the price pushes the asks up."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.place(order(item, "0.3", "49999.8"))
    bids, _ = state.book(item, 3)
    assert bids[2] == (D("49999.8"), D("0.501") + D("0.3"))
    state.place(order(item, "-0.3", "50000.2"))
    state.trade(item, "50000.2", "0.001")  # the ask there has been touched, not eaten: nobody bids as much
    bids, asks = state.book(item, 2)
    assert asks[0] == (D("50000.2"), D("0.3"))
    assert bids[0] == (D("50000.1"), D("0.334"))


def test_good_till_date_ends_at_its_time() -> None:
    """At NOW + 30 s a minute's trades can fill it no longer."""
    clock = SimClock(NOW)
    state = State(binance.instruments(NOW), Prices(), clock.now, binance.wallet_of, binance.HABITS)
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    resting = state.place(order(item, "0.01", "20000", tif="GTD", expires=NOW + 30_000))
    clock.advance(NOW + 29_999)
    state.advance()
    assert resting.status is Status.OPEN
    clock.advance(NOW + 60_000)
    state.advance()
    assert resting.status is Status.EXPIRED


# --- triggers and levels


def test_a_stop_limit_fires_and_rests() -> None:
    """A stop to buy at 50,010, limit 50,010.1: it takes what the ladder at 50,010 has there, and rests."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    stop = state.place(order(item, "0.3", "50010.1", trigger=D(50_010), rises=True))
    state.trade(item, 50_010, "0.001")
    child = state.orders[stop.child]
    assert filled(child) == [(D("50010.1"), D("0.167"), False)]
    assert (stop.status, child.status) == (Status.TRIGGERED, Status.OPEN)


def test_a_trailing_stop_follows_the_price_and_not_back() -> None:
    """1 % under the best price since 51,000: up to 52,000 it lies at 51,480."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.place(order(item, "0.1"))
    stop = state.place(order(item, "-0.1", trailing=D("0.01"), activation=D(51_000), reduce_only=True))
    for price in (49_000, 51_000, 52_000, 51_500):
        state.trade(item, price, "0.001")
        assert stop.status is Status.WAITING, price
    state.trade(item, 51_480, "0.001")
    assert stop.status is Status.TRIGGERED
    assert state.held() == []


def test_the_levels_that_came_with_an_order_cancel_one_another_and_go_with_the_position() -> None:
    """Bought 0.2 with 49,000 and 51,000: at 51,000 it is sold and the stop goes; a closed position takes both."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    for way in ("fires", "closed"):
        bought = state.place(order(item, "0.2", stop_loss=D(49_000), take_profit=D(51_000)))
        loss, profit = (one for one in state.open_orders(item) if one.parent == bought.id)
        assert (loss.trigger, profit.trigger, loss.amount, loss.rises) == (D(49_000), D(51_000), D("0.2"), False)
        if way == "fires":
            state.trade(item, 51_000, "0.001")
            assert profit.status is Status.TRIGGERED
        else:
            state.place(order(item, "-0.2"))
            assert profit.status is Status.CANCELED
        assert loss.status is Status.CANCELED
        assert state.held() == []
        state.trade(item, 50_000, "0.001")


def test_the_amount_of_a_level_follows_the_position_down() -> None:
    """Of 0.2 bought 0.15 are sold: the stop is for 0.05, and is told as amended."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.place(order(item, "0.2", stop_loss=D(49_000)))
    (loss,) = state.open_orders(item)
    heard: list[Change] = []
    state.listeners.append(
        lambda news: heard.append(news.change) if isinstance(news, OrderNews) and news.order is loss else None
    )
    state.place(order(item, "-0.15"))
    assert (loss.amount, heard) == (D("0.05"), [Change.AMENDED])


def test_levels_are_sent_for_what_was_filled() -> None:
    """Of 0.3 up to 50,000.1 there are 0.167; the rest is cancelled, and the stop is for 0.167."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    bought = state.place(order(item, "0.3", "50000.1", stop_loss=D(49_000)))
    assert state.open_orders(item) == [bought]
    state.cancel(bought)
    (loss,) = state.open_orders(item)
    assert (loss.amount, loss.parent) == (D("0.167"), bought.id)


def test_levels_of_a_position_cover_all_of_it_from_the_first_fill() -> None:
    """Where exchanges keep them by position: the last stop holds, for whatever is held when it fires."""
    state = state_of(Habits(exits_of_positions=True))
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    bought = state.place(order(item, "0.3", "50000.1", stop_loss=D(49_000)))
    old, first = state.open_orders(item)
    assert (old, bought.filled, first.amount, first.trigger) == (bought, D("0.167"), D("0.167"), D(49_000))
    state.trade(item, 50_000, "0.001")
    state.place(order(item, "0.1", stop_loss=D(49_500)))
    assert first.status is Status.CANCELED
    (second,) = [one for one in state.open_orders(item) if one.guards]
    assert (second.amount, second.trigger) == (D("0.4"), D(49_500))  # the trade has filled the rest of the first
    state.trade(item, 49_400, "0.001")
    assert state.held() == []


def test_closing_a_side_of_hedge_mode_never_turns_it() -> None:
    """A sale of 0.5 of a long of 0.3 sells 0.3, and leaves the short alone."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.set_hedged("linear", True)
    state.place(order(item, "0.3", side="LONG"))
    state.place(order(item, "-0.2", side="SHORT"))
    sold = state.place(order(item, "-0.5", side="LONG"))
    assert (sold.filled, sold.status) == (D("0.3"), Status.CANCELED)
    assert [(one.side, one.amount) for one in state.held()] == [("SHORT", D("-0.2"))]


def test_what_fires_without_the_money_for_it_is_cancelled() -> None:
    """A stop for 19 coins needs 95,000 at leverage 10, of which another position has used 10,000 by then."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    stop = state.place(order(item, "19", trigger=D(50_100), rises=True))
    state.place(order(item, "2"))
    state.trade(item, 50_100, "0.001")
    assert (stop.status, stop.reason) == (Status.CANCELED, Reason.FUNDS)
