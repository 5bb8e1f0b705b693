"""Partial fills (rule 10): a bar fills its share of volume, and what is left of an order works on."""

from __future__ import annotations

from math import fsum
from random import Random

import pytest
from desk import INVERSE, LINEAR, OTHER, SPOT, Desk
from hypothesis import given, settings
from hypothesis import strategies as st

from metaexpert.models import ExitReason, OrderStatus, Side


def desk(*symbols, pct=10.0, capital=1e6, slippage=0.0, touch=False, **options):
    """A desk where a bar fills a tenth of its volume."""
    costs = {"max_fill_volume_pct": pct, "slippage_rate": slippage, "touch": touch}
    return Desk(*symbols, capital=capital, costs=costs, **options)


def flat(price):
    """A bar without a range."""
    return (price,) * 4


def sizes(fills):
    """(quantity, price) of each fill."""
    return [(fill.qty, fill.price) for fill in fills]


# -- market orders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "sign"), [("buy", 1), ("sell", -1)])
def test_a_market_order_takes_its_share_of_each_open_until_it_is_filled(side, sign):
    """10 wanted, a tenth of 40 a bar: 4 at 100, 4 at 101, 2 at 102. (400 + 404 + 204) / 10 = 100.8."""
    one = desk(taker=0.001)
    order = getattr(one, side)(10.0)
    assert sizes(one.bar(100, 105, 95, 101, volume=40)) == [(4.0, 100.0)]
    assert (one.order(order).status, one.order(order).filled, one.order(order).remaining) == ("open", 4.0, 6.0)
    assert sizes(one.bar(101, 105, 95, 102, volume=40)) == [(4.0, 101.0)]
    assert sizes(one.bar(102, 105, 95, 102, volume=40)) == [(2.0, 102.0)]
    done = one.order(order)
    assert (done.status, done.filled, done.average_price) == ("filled", 10.0, pytest.approx(100.8))
    assert done.fee == pytest.approx(0.4 + 0.404 + 0.204)  # 0.1 % of each fill
    assert one.qty == sign * 10.0
    assert one.ledger.holdings[LINEAR].entry == pytest.approx(100.8)
    assert [news.order.filled for news in one.news if news.result is not None] == [4.0, 8.0, 10.0]


def test_the_average_price_of_an_inverse_order_is_harmonic():
    """Volume is in base: a tenth of 20 BTC are 200 USD at 100 and 250 at 125: 450 / (2 + 2) = 112.5."""
    one = desk(INVERSE, capital=100.0)
    order = one.buy(450.0)
    assert sizes(one.bar(*flat(100), volume=20)) == [(200.0, 100.0)]
    assert sizes(one.bar(*flat(125), volume=20)) == [(250.0, 125.0)]
    assert one.order(order).average_price == pytest.approx(112.5)
    assert one.order(order).status is OrderStatus.FILLED


def test_without_volume_an_order_waits():
    one = desk()
    order = one.buy(1.0)
    assert one.bar(*flat(100), volume=0.0) == []
    assert (one.order(order).status, one.order(order).filled) == ("open", 0.0)
    assert sizes(one.bar(*flat(101), volume=10)) == [(1.0, 101.0)]


def test_the_share_is_rounded_down_to_the_step():
    """10 % of 0.0199 are 0.00199: one step of 0.001."""
    one = desk()
    one.buy(1.0)
    assert sizes(one.bar(*flat(100), volume=0.0199)) == [(0.001, 100.0)]
    assert one.bar(*flat(100), volume=0.0099) == []


def test_slippage_counts_in_the_base_volume_of_an_inverse_fill():
    """Sold at 100 less 1 % = 99: a tenth of 20 BTC are 198 USD."""
    one = desk(INVERSE, capital=100.0, slippage=0.01)
    one.sell(1000.0)
    ((qty, price),) = sizes(one.bar(*flat(100), volume=20))
    assert (qty, price) == (198.0, pytest.approx(99.0))


def test_several_orders_share_the_volume_of_a_bar_in_their_order():
    """4 in all: 3 for the first, 1 for the second, nothing for the limit order that is traded through later."""
    one = desk()
    first, second, limit = one.buy(3.0), one.buy(3.0), one.buy(1.0, 99.0)
    assert [fill.order_id for fill in one.bar(100, 101, 98, 100, volume=40)] == [first, second]
    assert [one.order(id_).filled for id_ in (first, second, limit)] == [3.0, 1.0, 0.0]
    assert one.qty == 4.0


def test_each_symbol_has_its_own_volume():
    one = desk(LINEAR, OTHER)
    one.buy(3.0, symbol=LINEAR)
    one.buy(3.0, symbol=OTHER)
    assert sizes(one.bar(*flat(100), LINEAR, volume=20)) == [(2.0, 100.0)]
    assert sizes(one.bar(*flat(50), OTHER, volume=20)) == [(2.0, 50.0)]


def test_both_legs_of_a_hedge_share_the_volume():
    one = desk(hedge=True)
    one.buy(3.0, position_side="long")
    one.sell(3.0, position_side="short")
    assert sizes(one.bar(*flat(100), volume=40)) == [(3.0, 100.0), (1.0, 100.0)]
    assert sizes(one.bar(*flat(100), volume=40)) == [(2.0, 100.0)]
    assert (one.ledger.leg(LINEAR, "long").qty, one.ledger.leg(LINEAR, "short").qty) == (3.0, -3.0)


# -- limit orders -------------------------------------------------------------------------------------------------


def test_a_resting_limit_order_fills_in_parts_at_its_price():
    one = desk(maker=0.001)
    order = one.buy(5.0, 99.0)
    assert sizes(one.bar(100, 101, 98, 100, volume=20)) == [(2.0, 99.0)]
    assert one.bar(100, 101, 99.5, 100, volume=20) == []
    fills = one.bar(100, 101, 98, 100, volume=40)
    assert sizes(fills) == [(3.0, 99.0)]
    assert fills[0].is_maker
    assert one.order(order).average_price == 99.0


def test_the_rest_of_a_limit_order_gets_no_better_price_than_its_limit():
    """The bar before had closed at 97, beyond the limit: 96 is no gap. A bar below it all fills at its high."""
    one = desk()
    one.buy(6.0, 99.0)
    assert sizes(one.bar(100, 100, 97, 97, volume=20)) == [(2.0, 99.0)]
    assert sizes(one.bar(96, 100, 95, 96, volume=20)) == [(2.0, 99.0)]
    assert sizes(one.bar(96, 98, 95, 96, volume=20)) == [(2.0, 98.0)]


def test_the_rest_of_a_limit_sell_mirrors_it():
    one = desk()
    one.sell(6.0, 101.0)
    assert sizes(one.bar(100, 103, 100, 103, volume=20)) == [(2.0, 101.0)]
    assert sizes(one.bar(104, 105, 102, 104, volume=20)) == [(2.0, 102.0)]
    assert sizes(one.bar(104, 105, 100, 104, volume=20)) == [(2.0, 101.0)]


def test_a_gap_after_the_market_had_come_back_is_one():
    one = desk()
    one.buy(4.0, 99.0)
    one.bar(100, 101, 98, 100, volume=20)
    assert sizes(one.bar(97, 98, 96, 97, volume=20)) == [(2.0, 97.0)]


def test_a_limit_order_that_was_passed_without_volume_fills_at_its_limit():
    one = desk()
    one.buy(2.0, 99.0)
    assert one.bar(100, 100, 97, 97, volume=0) == []
    fills = one.bar(96, 100, 95, 96, volume=20)
    assert sizes(fills) == [(2.0, 99.0)]
    assert fills[0].is_maker


def test_the_rest_of_a_limit_order_that_crosses_meets_the_next_open_as_taker():
    one = desk()
    order = one.buy(4.0, 105.0)
    assert sizes(one.bar(100, 103, 99, 103, volume=20)) == [(2.0, 100.0)]
    (fill,) = one.bar(103, 104, 102, 104, volume=20)
    assert ((fill.qty, fill.price), fill.is_maker) == ((2.0, 103.0), False)
    assert one.order(order).average_price == 101.5


def test_the_rest_of_a_limit_order_that_crosses_no_more_rests():
    one = desk()
    one.buy(4.0, 105.0)
    one.bar(100, 108, 99, 107, volume=20)
    (fill,) = one.bar(107, 108, 103, 104, volume=20)
    assert ((fill.qty, fill.price), fill.is_maker) == ((2.0, 105.0), True)


def test_a_post_only_order_keeps_its_rest():
    one = desk()
    order = one.buy(4.0, 99.0, post_only=True)
    one.bar(100, 100, 97, 97, volume=20)
    one.bar(96, 100, 95, 96, volume=20)
    assert one.order(order).status is OrderStatus.FILLED


@pytest.mark.parametrize(("touch", "filled"), [(True, 2.0), (False, 0.0)])
def test_a_touch_fills_a_share_too(touch, filled):
    one = desk(touch=touch)
    order = one.buy(5.0, 99.0)
    one.bar(100, 101, 99, 100, volume=20)
    assert one.order(order).filled == filled


# -- stop orders --------------------------------------------------------------------------------------------------


def test_a_triggered_stop_takes_the_next_opens_with_slippage():
    one = desk(slippage=0.01)
    order = one.buy(4.0, None, 101.0)
    assert sizes(one.bar(100, 103, 99, 100, volume=20)) == [(2.0, pytest.approx(102.01))]
    assert sizes(one.bar(98, 99, 97, 98, volume=20)) == [(2.0, pytest.approx(98.98))]  # triggered once for all
    assert one.order(order).status is OrderStatus.FILLED


def test_a_triggered_stop_limit_rests_with_its_rest():
    one = desk()
    order = one.buy(4.0, 99.0, 101.0)
    assert sizes(one.bar(100, 102, 98, 99.5, volume=20)) == [(2.0, 99.0)]  # it falls: up to 102 first
    assert sizes(one.bar(99.5, 100, 99.2, 100, volume=20)) == []
    assert sizes(one.bar(100, 100, 98, 100, volume=20)) == [(2.0, 99.0)]
    assert one.order(order).status is OrderStatus.FILLED


# -- time in force ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [None, 105.0])
def test_ioc_keeps_what_fits(price):
    one = desk()
    order = one.buy(5.0, price, tif="IOC")
    assert sizes(one.bar(*flat(100), volume=20)) == [(2.0, 100.0)]
    assert (one.order(order).status, one.order(order).filled) == ("expired", 2.0)
    assert one.order(order).average_price == 100.0
    assert one.bar(*flat(100), volume=20) == []


@pytest.mark.parametrize("price", [None, 105.0])
def test_fok_is_filled_whole_or_not_at_all(price):
    one = desk()
    order = one.buy(5.0, price, tif="FOK")
    assert one.bar(*flat(100), volume=49) == []
    assert (one.order(order).status, one.order(order).filled) == ("expired", 0.0)
    one.buy(5.0, price, tif="FOK")
    assert sizes(one.bar(*flat(100), volume=50)) == [(5.0, 100.0)]


def test_fok_leaves_its_volume_to_others():
    one = desk()
    one.buy(5.0, tif="FOK")
    one.buy(2.0)
    assert sizes(one.bar(*flat(100), volume=20)) == [(2.0, 100.0)]


# -- positions ----------------------------------------------------------------------------------------------------


def test_a_reversal_first_reduces_then_turns_over_several_bars():
    """From 3 long, 8 sold, 2 a bar: 1 long, 1 short, 3, 5 short; two trades, the second one entry."""
    one = desk()
    one.buy(3.0)
    one.bar(*flat(100), volume=30)
    one.sell(8.0)
    held = []
    for price in (101, 102, 103, 104):
        one.bar(*flat(price), volume=20)
        held.append(one.qty)
    assert held == [1.0, -1.0, -3.0, -5.0]
    (trade,) = one.ledger.trades
    assert trade.pnl == pytest.approx(2 * 1 + 1 * 2)
    holding = one.ledger.holdings[LINEAR]
    assert holding.entry == pytest.approx((102 + 2 * 103 + 2 * 104) / 5)
    assert holding.entries == 1


def test_reduce_only_reduces_in_parts_and_never_turns():
    one = desk()
    one.buy(3.0)
    one.bar(*flat(100), volume=30)
    order = one.sell(9.0, reduce_only=True)
    assert sizes(one.bar(*flat(100), volume=20)) == [(2.0, 100.0)]
    assert sizes(one.bar(*flat(100), volume=20)) == [(1.0, 100.0)]
    assert one.qty == 0.0
    assert not one.order(order).is_working


def test_spot_is_sold_in_parts():
    one = desk(SPOT)
    one.buy(3.0)
    one.bar(*flat(100), volume=30)
    one.sell(3.0)
    one.bar(*flat(110), volume=20)
    one.bar(*flat(120), volume=20)
    assert (one.qty, one.ledger.balance) == (0.0, 1e6 + 2 * 10 + 20)


def test_the_rest_that_the_account_can_not_carry_is_cancelled():
    """500 are there: 2 at 100 leave 300, and the other 3 cost 330 at 110."""
    one = desk(capital=500.0)
    order = one.buy(5.0)
    one.bar(*flat(100), volume=20)
    assert one.bar(*flat(110), volume=100) == []
    assert (one.order(order).status, one.order(order).filled) == ("canceled", 2.0)
    assert one.reason(order) == "insufficient_margin"


def test_the_rest_of_a_resting_order_binds_margin():
    """1000: 2 of 5 filled at 99 bind 198, the rest 297; 505 are free."""
    one = desk(capital=1000.0)
    one.buy(5.0, 99.0)
    one.bar(100, 100, 98, 99, volume=20)
    assert one.reason(one.buy(5.11, 99.0)) == "insufficient_margin"
    assert one.order(one.buy(5.1, 99.0)).status is OrderStatus.OPEN


# -- changing and ending ------------------------------------------------------------------------------------------


def test_the_rest_can_be_cancelled_and_what_has_filled_stays():
    one = desk()
    order = one.buy(5.0)
    one.bar(*flat(100), volume=20)
    assert one.broker.cancel(order)
    assert one.bar(*flat(100), volume=20) == []
    assert (one.order(order).status, one.order(order).filled, one.qty) == ("canceled", 2.0, 2.0)


def test_the_rest_can_be_changed_but_not_below_what_has_filled():
    one = desk()
    order = one.buy(5.0, 99.0)
    one.bar(100, 100, 98, 99, volume=20)
    one.broker.modify(order, price=None, qty=2.0, active_from=one.clock.now())
    one.listen()
    assert one.reason(order) == "invalid_qty"
    one.broker.modify(order, price=95.0, qty=3.0, active_from=one.clock.now())
    assert one.bar(99, 100, 96, 97, volume=20) == []
    assert sizes(one.bar(97, 97, 94, 95, volume=20)) == [(1.0, 95.0)]
    assert one.order(order).average_price == 97.0 + 2 / 3  # (2 * 99 + 95) / 3


@pytest.mark.parametrize("stop", [None, 101.0])
def test_an_order_that_takes_the_market_has_no_price_to_change(stop):
    one = desk()
    order = one.buy(4.0, None, stop)
    one.bar(100, 103, 99, 100, volume=20)
    one.broker.modify(order, price=150.0, qty=None, active_from=one.clock.now())
    one.listen()
    assert one.reason(order) == "invalid_price"
    one.bar(100, 103, 99, 100, volume=20)
    assert one.order(order).status is OrderStatus.FILLED


def test_closing_at_the_end_is_not_limited_and_ends_the_rest():
    one = desk()
    order = one.buy(5.0)
    one.bar(*flat(100), volume=20)
    for news in one.broker.close_at_mark():
        one.hear(news)
    assert one.qty == 0.0
    assert (one.order(order).status, one.order(order).filled) == ("canceled", 2.0)


# -- protective exits ---------------------------------------------------------------------------------------------


def test_what_has_filled_is_protected_at_once_and_the_rest_as_it_fills():
    """10 % below 100, then below the mean of 100 and 110."""
    one = desk(protection={"stop_loss_pct": 10.0})
    one.buy(4.0)
    one.bar(*flat(100), volume=20)
    assert one.broker.position(LINEAR).stop_loss == 90.0
    one.bar(*flat(110), volume=20)
    assert one.broker.position(LINEAR).stop_loss == 94.5


def test_a_stop_leaves_in_parts_and_goes_on_at_the_next_opens():
    """Stopped at 95 with 3 held, 2 a bar: the last one goes at the next open, 90."""
    one = desk(protection={"stop_loss_pct": 5.0})
    one.buy(3.0)
    one.bar(*flat(100), volume=30)
    assert sizes(one.bar(98, 99, 94, 94, volume=20)) == [(2.0, 95.0)]
    assert one.qty == 1.0
    (fill,) = one.bar(90, 99, 89, 98, volume=20)
    assert ((fill.qty, fill.price), fill.reason) == ((1.0, 90.0), ExitReason.STOP_LOSS)
    (trade,) = one.ledger.trades
    assert (trade.pnl, trade.exit_reason) == (-2 * 5 - 10, ExitReason.STOP_LOSS)


def test_a_target_that_was_reached_leaves_at_market_like_a_stop():
    one = desk(protection={"take_profit_pct": 5.0})
    one.buy(3.0)
    one.bar(*flat(100), volume=30)
    assert sizes(one.bar(100, 106, 100, 104, volume=20)) == [(2.0, 105.0)]
    assert sizes(one.bar(103, 104, 102, 103, volume=20)) == [(1.0, 103.0)]


def test_an_exit_without_volume_waits_for_the_next_open():
    one = desk(protection={"stop_loss_pct": 5.0})
    one.buy(3.0)
    one.bar(*flat(100), volume=30)
    assert one.bar(98, 99, 94, 94, volume=0) == []
    assert sizes(one.bar(93, 99, 89, 98, volume=30)) == [(3.0, 93.0)]


def test_the_rest_of_an_entry_ends_when_its_position_is_stopped_out():
    one = desk(protection={"stop_loss_pct": 5.0})
    order = one.buy(5.0)
    one.bar(*flat(100), volume=20)
    one.bar(100, 100, 94, 94, volume=60)  # 3 more at the open, then all 5 out, of which 3 fit
    assert one.order(order).status is OrderStatus.FILLED
    one = desk(protection={"stop_loss_pct": 5.0})
    order = one.buy(9.0)
    one.bar(*flat(100), volume=20)
    one.bar(100, 100, 94, 94, volume=0)
    assert (one.order(order).status, one.order(order).filled) == ("canceled", 2.0)
    assert sizes(one.bar(93, 99, 89, 98, volume=90)) == [(2.0, 93.0)]
    assert one.qty == 0.0


def test_levels_that_were_moved_meanwhile_are_not_put_back_by_the_rest():
    one = desk()
    one.buy(4.0, stop_loss=90.0)
    one.bar(*flat(100), volume=20)
    guard = one.broker.protection(LINEAR)
    one.broker.protect(LINEAR, type(guard)(stop_loss=95.0))
    one.bar(*flat(100), volume=20)
    assert (one.qty, one.broker.position(LINEAR).stop_loss) == (4.0, 95.0)


def test_liquidation_is_not_limited_by_volume_and_uses_none():
    """10 at leverage 10 with nothing else kept are gone at 90; the order sent before has all of the volume."""
    one = desk(leverage=10.0, capital=200.0, maintenance_margin_rate=0.0)
    one.buy(10.0)
    one.bar(*flat(100), volume=100)
    limit = one.buy(1.0, 80.0)
    fills = one.bar(95, 95, 79, 80, volume=10)
    assert [(fill.qty, fill.reason) for fill in fills] == [(10.0, "liquidation"), (1.0, "order")]
    assert one.order(limit).status is OrderStatus.FILLED


# -- for all numbers ----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from([LINEAR, INVERSE, SPOT]), st.sampled_from([1.0, 10.0, 33.3, 100.0]))
def test_no_bar_fills_more_than_its_share_and_every_order_adds_up(seed, symbol, pct):
    """The fills of a bar, but for liquidations, are at most its share; those of an order make up its filled."""
    dice = Random(seed)
    kind = {} if symbol == SPOT else {"leverage": dice.choice([1.0, 5.0])}
    levels = dice.choice([None, {"stop_loss_pct": 3.0, "take_profit_pct": 4.0}])
    one = desk(
        symbol, pct=pct, capital=100.0 if symbol == INVERSE else 10_000.0, protection=levels,
        slippage=dice.choice([0.0, 0.01]), touch=dice.random() < 0.5, taker=0.001, maker=0.0002, **kind,
    )  # fmt: skip
    price = 100.0
    for _ in range(25):
        for _ in range(dice.randrange(3)):
            terms = {"tif": dice.choice(["GTC", "GTC", "IOC", "FOK"]), "reduce_only": dice.random() < 0.2}
            size = dice.choice([0.5, 3.0, 20.0]) * (100.0 if symbol == INVERSE else 1.0)
            limit, stop = (dice.choice([None, price * dice.uniform(0.97, 1.03)]) for _ in range(2))
            one.send(dice.choice([Side.BUY, Side.SELL]), size, limit, stop, **terms)
        open_, close = price * dice.uniform(0.98, 1.02), price * dice.uniform(0.95, 1.05)
        high, low = max(open_, close) * dice.uniform(1, 1.03), min(open_, close) * dice.uniform(0.97, 1)
        volume, price = dice.choice([0.0, 1.0, 30.0, 500.0]), close
        fills = [fill for fill in one.bar(open_, high, low, close, volume=volume) if fill.reason != "liquidation"]
        base = fsum(fill.qty / fill.price if symbol == INVERSE else fill.qty for fill in fills)
        assert base <= volume * pct / 100.0 * (1 + 1e-9)
        for order in one.broker.working():
            assert order.filled < order.qty
    for order in one.broker.orders.values():
        own = [fill for fill in one.broker.fills if fill.order_id == order.id]
        assert fsum(fill.qty for fill in own) == pytest.approx(order.filled, abs=1e-9)
        assert fsum(fill.fee for fill in own) == pytest.approx(order.fee, abs=1e-9)
        assert (order.status is OrderStatus.FILLED) == (order.filled >= order.qty)
    flow = fsum(_cash(fill, symbol == INVERSE) for fill in one.broker.fills)
    held = one.qty if symbol != INVERSE else -one.qty
    worth = held * (1 / price if symbol == INVERSE else price)
    start = 100.0 if symbol == INVERSE else 10_000.0
    assert one.ledger.equity() == pytest.approx(start + flow + worth, rel=1e-9)


def _cash(fill, inverse):
    """What a fill moves: quote out for a buy, and in base the other way round; its fee."""
    worth = fill.qty / fill.price if inverse else fill.qty * fill.price
    return (fill.side.sign if inverse else -fill.side.sign) * worth - fill.fee
