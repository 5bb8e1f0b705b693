"""The contract of `metaexpert.broker.Broker`, run on every implementation.

An implementation joins by a `Bench` of its own in `BENCHES`: the tests speak to the broker through the protocol
alone, and move the market through the bench.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from contract.benches import SimulatedBench
from contract.gateways import EXCHANGES
from contract.live_benches import stages

from metaexpert import options, rules
from metaexpert.broker.protection import Protection
from metaexpert.exchanges.capabilities import Feature
from metaexpert.models import ExitReason, Fill, Order, OrderStatus, OrderType, Position, Rejection, Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract.benches import Bench
    from contract.live_benches import LiveBench

    from metaexpert.broker import News

FINAL = {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED}
SHORTS = ("linear", "inverse", "option")
KINDS = ("spot", *SHORTS)
MARKETS = [*((kind, False) for kind in KINDS), ("linear", True), ("inverse", True)]
NOT_THERE = {
    ("bybit", "inverse", True),  # held net in a unified account
    ("bitget", "inverse", False), ("bitget", "inverse", True),  # counted in coins: their face is no constant
    ("bitget", "option", False), ("kucoin", "option", False),
}  # fmt: skip
BENCHES = [
    (who, *market) for who in ("simulated", *EXCHANGES) for market in MARKETS if (who, *market) not in NOT_THERE
]


@pytest.fixture(scope="module")
def live() -> Iterator[Callable[..., LiveBench]]:
    """Makes benches of the live broker."""
    with stages() as make:
        yield make


def _benches(*kinds: str, hedge: bool = True, oneway: bool = True) -> Any:
    """A fixture of benches on which the price is 100, one of each implementation and market of these kinds."""
    wanted = [one for one in BENCHES if one[1] in (kinds or KINDS) and (hedge if one[2] else oneway)]

    @pytest.fixture(params=wanted, ids=["-".join((*one[:2], *["hedge"] * one[2])) for one in wanted])
    def bench(request: pytest.FixtureRequest, live: Callable[..., LiveBench]) -> Iterator[Bench]:
        who, kind, hedge = request.param
        if who == "simulated":
            made: Bench = SimulatedBench(kind, hedge=hedge)
            made.hour(100.0)
            yield made
            return
        lives = live(who, kind, hedge=hedge)
        lives.hour(100.0)
        yield lives
        lives.close()

    return bench


bench = _benches()
contracts = _benches(*SHORTS)
"""Those on which there are shorts."""
oneway = _benches(*SHORTS, hedge=False)
"""Those of contracts that hold the net."""
sold = _benches("option")
"""Those of options, on which shorts post margin."""
hedge = _benches(oneway=False)
"""Those that hold a long and a short."""


def send(bench: Bench, side: Side, sizes: float, *, active_from: int | None = None, **terms: Any) -> Order:
    """Send an order that may trade from now on; prices and quantity are those of the tests."""
    kinds = {(False, False): OrderType.MARKET, (True, False): OrderType.LIMIT, (False, True): OrderType.STOP}
    kind = kinds.get(("price" in terms, "stop_price" in terms), OrderType.STOP_LIMIT)
    levels = {name: terms.pop(name) for name in tuple(terms) if isinstance(terms[name], float)}
    terms |= {name: bench.at(price) for name, price in levels.items()}
    order = made(bench, side, bench.size(sizes), type=kind, **terms)
    bench.broker.submit(order, active_from=bench.now if active_from is None else active_from)
    return order


def made(bench: Bench, side: Side, qty: float, **terms: Any) -> Order:
    """An order of so much of the market's quantity, at market unless told."""
    plain = {"type": OrderType.MARKET, "position_side": bench.leg} | terms
    return Order(id=bench.broker.next_id(), symbol=bench.market.symbol, side=side, qty=qty, **plain)


def position(bench: Bench) -> Position:
    """The position that orders work on."""
    return bench.broker.position(bench.market.symbol, bench.leg)


def working(bench: Bench) -> list[str]:
    """The ids of the orders that work."""
    return [one.id for one in bench.broker.working(bench.market.symbol)]


def fills(news: list[News]) -> list[Fill]:
    """The executions among news."""
    return [one.result for one in news if isinstance(one.result, Fill)]


def told(news: list[News], order: Order) -> list[OrderStatus]:
    """The states that `order` was told to be in."""
    return [one.order.status for one in news if one.order.id == order.id]


def reasons(news: list[News], order: Order) -> list[str]:
    """The reasons for which `order` was refused."""
    return [one.result.reason for one in news if one.order.id == order.id and isinstance(one.result, Rejection)]


def near(value: float) -> Any:
    """As near as prices on the market's ticks can be."""
    return pytest.approx(value, rel=1e-6)


# -- calls return at once -----------------------------------------------------------------------------------------


def test_submit_returns_before_anything_fills(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0)
    assert not position(bench)
    assert working(bench) == [order.id]
    assert told(bench.hour(100.0), order) == [OrderStatus.OPEN, OrderStatus.FILLED]
    assert position(bench).qty == near(bench.bought(1.0))
    assert list(bench.broker.working()) == []


def test_ids_are_never_given_twice(bench: Bench) -> None:
    ids = {bench.broker.next_id() for _ in range(100)}
    assert len(ids) == 100


def test_an_order_does_not_trade_before_its_moment(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0, active_from=bench.now + bench.step)
    early = bench.hour(100.0, 90.0, 100.0)
    assert fills(early) == []
    news = bench.hour(102.0)
    assert told(early + news, order) == [OrderStatus.OPEN, OrderStatus.FILLED]
    assert [(fill.order_id, fill.price) for fill in fills(news)] == [(order.id, near(bench.at(102.0)))]


# -- news ---------------------------------------------------------------------------------------------------------


def test_every_order_ends_once_and_its_news_come_in_order(bench: Bench) -> None:
    filled = send(bench, Side.BUY, 1.0)
    rests = send(bench, Side.BUY, 1.0, price=50.0)
    dropped = send(bench, Side.BUY, 1.0, price=60.0)
    refused = made(bench, Side.BUY, bench.market.min_qty / 10)
    bench.broker.submit(refused, active_from=bench.now)
    news = bench.hour(100.0)
    assert bench.broker.cancel(dropped.id)
    news += bench.hour(100.0)
    assert told(news, filled) == [OrderStatus.OPEN, OrderStatus.FILLED]
    assert told(news, rests) == [OrderStatus.OPEN]
    assert told(news, dropped) == [OrderStatus.OPEN, OrderStatus.CANCELED]
    assert told(news, refused) == [OrderStatus.REJECTED]


def test_an_order_that_is_cancelled_as_soon_as_it_was_sent_ends_once(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0, price=60.0)
    assert bench.broker.cancel(order.id)
    news = bench.hour(100.0) + bench.hour(100.0)
    assert told(news, order) == [OrderStatus.OPEN, OrderStatus.CANCELED]
    assert working(bench) == []


def test_the_news_of_a_fill_carry_the_order_afterwards_and_the_fill(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0, tag="mine")
    news = bench.hour(104.0)[-1]
    fill, price = news.result, bench.at(104.0)
    assert isinstance(fill, Fill)
    assert (fill.order_id, fill.side, fill.tag) == (order.id, Side.BUY, "mine")
    assert (fill.qty, fill.price) == (near(bench.size(1.0)), near(price))
    assert (fill.is_maker, fill.reason) == (False, ExitReason.ORDER)
    assert fill.fee == pytest.approx(taken(bench, 1.0, price), rel=1e-6, abs=1e-8)  # as exchanges round it
    after = news.order
    assert (after.status, after.filled) == (OrderStatus.FILLED, near(bench.size(1.0)))
    assert (after.average_price, after.fee) == (near(price), fill.fee)


def test_cancelling_what_does_not_work_says_so_and_is_no_news(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0)
    bench.hour(100.0)
    assert not bench.broker.cancel(order.id)
    assert not bench.broker.cancel("no such order")
    assert not bench.broker.modify(order.id, price=bench.at(90.0), qty=None, active_from=bench.now)
    assert bench.hour(100.0) == []


def test_a_modified_order_trades_as_it_was_told(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0, price=90.0)
    news = bench.hour(100.0)
    assert bench.broker.modify(order.id, price=bench.at(95.0), qty=bench.size(2.0), active_from=bench.now)
    news += bench.hour(100.0, 94.0, 100.0)
    assert told(news, order)[0] is OrderStatus.OPEN
    assert told(news, order)[-1] is OrderStatus.FILLED
    done = fills(news)
    for fill in done:
        assert (fill.order_id, fill.price, fill.is_maker) == (order.id, near(bench.at(95.0)), True)
    assert sum(fill.qty for fill in done) == near(bench.size(2.0))


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "terms", "reason"),
    [
        (50.0, {}, "insufficient_"),  # two and a half times what there is money for
        (float("nan"), {}, "invalid_qty"),
        (-1.0, {}, "invalid_qty"),
        (1.0, {"price": 95.0, "stop_loss": 96.0}, "invalid_stop_loss"),
        (1.0, {"price": 95.0, "take_profit": 94.0}, "invalid_take_profit"),
    ],
)
def test_an_order_that_can_not_be_is_refused_with_its_reason(
    bench: Bench, sizes: float, terms: dict[str, Any], reason: str
) -> None:
    order = send(bench, Side.BUY, sizes, **terms)
    news = bench.hour(100.0, 94.0, 100.0)
    (found,) = reasons(news, order)
    assert found.startswith(reason)
    assert told(news, order)[-1] is OrderStatus.REJECTED
    assert not position(bench)


def test_an_order_beyond_the_limits_of_the_market_is_refused_with_its_reason(bench: Bench) -> None:
    market = bench.market
    wrong = {"below_min_qty": market.min_qty / 2, "above_max_qty": (market.max_qty or 0.0) * 2}
    if (
        rules.notional(rules.LINEAR, market.min_qty, 1.0 if market.is_inverse else bench.at(100.0))
        < market.min_notional
    ):
        wrong["below_min_notional"] = market.min_qty
    for reason, qty in wrong.items():
        if qty > 0.0:
            order = made(bench, Side.BUY, qty)
            bench.broker.submit(order, active_from=bench.now)
            assert reasons(bench.hour(100.0), order) == [reason]
    assert not position(bench)


def test_an_order_is_never_shrunk_unless_it_may(bench: Bench) -> None:
    dearer = 98.0 if bench.market.is_inverse else 102.0  # 19.9 sizes take more than all the money there
    order = send(bench, Side.BUY, 19.9)
    (reason,) = reasons(bench.hour(dearer), order)
    assert reason.startswith("insufficient_")
    money = bench.broker.account().margin_free
    sized = made(bench, Side.BUY, bench.size(19.9))
    bench.broker.submit(sized, active_from=bench.now, shrinkable=True)
    last = bench.hour(dearer)[-1]
    assert last.order.message == "shrunk to the free margin"
    assert last.order.qty == near(bench.size(last.order.qty / bench.size(1.0)))
    worst = bench.at(dearer) * (1.0 + (bench.beyond or 0.0) / 100.0)
    rates = bench.taker, bench.market.taker or 0.0  # the exchange's own, and what it lists
    most, least = (
        money / (rules.initial_margin(kind(bench), 1.0, worst, bench.leverage) + fee(bench, 1.0, worst, rate))
        for rate in (min(rates), max(rates))
    )
    least = least * 0.9999 - 2 * bench.market.qty_step  # margin and fee of more are not there
    assert least <= last.order.qty <= most
    assert position(bench).qty == near(bench.bought(last.order.qty / bench.size(1.0)))


def test_reject_books_what_was_never_sent(bench: Bench) -> None:
    order = made(bench, Side.BUY, bench.size(1.0))
    bench.broker.reject(order, "trade_hours", "no entries now")
    (news,) = bench.hour(100.0)
    assert (news.order.status, news.order.message) == (OrderStatus.REJECTED, "trade_hours: no entries now")
    assert isinstance(news.result, Rejection)
    assert (news.result.reason, news.result.message) == ("trade_hours", "no entries now")


def test_post_only_never_takes(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0, price=105.0, post_only=True)
    news = bench.hour(100.0)
    assert told(news, order)[-1] in {OrderStatus.REJECTED, OrderStatus.CANCELED}  # some exchanges accept it first
    reason = "post_only_would_cross" if bench.has(Feature.POST_ONLY) else "not_supported"
    assert reasons(news, order) == [reason] * (told(news, order)[-1] is OrderStatus.REJECTED)
    assert (fills(news), working(bench)) == ([], [])


def test_a_stop_order_trades_once_its_price_is_reached_or_is_refused_at_once(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0, stop_price=105.0)
    news = bench.hour(100.0, 104.0, 100.0)
    assert fills(news) == []
    assert reasons(news, order) == ([] if bench.has(Feature.STOP) else ["not_supported"])
    done = fills(bench.hour(100.0, 106.0))
    found = [(order.id, near(bench.at(105.0)))] if bench.has(Feature.STOP) else []
    assert [(one.order_id, one.price) for one in done] == found
    assert working(bench) == []


def test_a_market_order_trades_at_any_price_unless_that_is_bounded(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0)
    news = bench.hour(107.0)
    if bench.beyond is None:
        assert [one.price for one in fills(news)] == [near(bench.at(107.0))]
    else:  # up to 105
        assert (fills(news), told(news, order)[-1] in FINAL) == ([], True)
    assert working(bench) == []


# -- positions ----------------------------------------------------------------------------------------------------


def test_reduce_only_never_opens_grows_or_reverses(contracts: Bench) -> None:
    bench = contracts
    opening = send(bench, Side.SELL, 1.0, reduce_only=True)
    assert told(bench.hour(100.0), opening)[-1] is OrderStatus.CANCELED
    send(bench, Side.BUY, 1.0)
    bench.hour(100.0)
    if bench.leg is None:  # in hedge mode a purchase for the long position never reduces
        growing = send(bench, Side.BUY, 1.0, reduce_only=True)
        assert told(bench.hour(100.0), growing)[-1] is OrderStatus.CANCELED
    too_large = send(bench, Side.SELL, 3.0, reduce_only=True)
    news = bench.hour(100.0)
    assert told(news, too_large)[-1] is OrderStatus.FILLED
    assert sum(fill.qty for fill in fills(news)) == near(bench.size(1.0))
    assert not position(bench)


def test_an_opposite_order_reduces_then_reverses(oneway: Bench) -> None:
    bench = oneway
    send(bench, Side.BUY, 1.0)
    bench.hour(100.0)
    send(bench, Side.SELL, 3.0)
    bench.hour(110.0)
    held = position(bench)
    assert (held.qty, held.entry_price, held.side) == (near(-bench.size(2.0)), near(bench.at(110.0)), "short")


def test_hedge_mode_holds_a_long_and_a_short(hedge: Bench) -> None:
    bench = hedge
    send(bench, Side.BUY, 2.0)
    short = send(bench, Side.SELL, 1.0, position_side="short")
    bench.hour(100.0)
    symbol = bench.market.symbol
    held = [bench.broker.position(symbol, side).qty for side in ("long", "short")]
    assert held == [near(bench.size(2.0)), near(-bench.size(1.0))]
    send(bench, Side.BUY, 1.0, position_side="short", reduce_only=True)
    bench.hour(100.0)
    held = [bench.broker.position(symbol, side).qty for side in ("long", "short")]
    assert held == [near(bench.size(2.0)), 0.0]
    assert bench.broker.orders[short.id].status is OrderStatus.FILLED  # type: ignore[attr-defined]


def test_levels_act_from_the_entry_until_the_position_is_flat(bench: Bench) -> None:
    order = send(bench, Side.BUY, 1.0, stop_loss=95.0, take_profit=120.0)
    news = bench.hour(100.0, 94.0, 100.0)
    bought, sold = fills(news)
    assert (bought.order_id, bought.price, bought.reason) == (order.id, near(bench.at(100.0)), ExitReason.ORDER)
    assert (sold.price, sold.reason) == (near(bench.at(95.0)), ExitReason.STOP_LOSS)
    assert sold.qty == near(bench.bought(1.0))
    assert fills(bench.hour(100.0, 90.0, 130.0)) == []
    assert bench.broker.protection(bench.market.symbol, bench.leg) is None


def test_levels_can_be_read_and_replaced(bench: Bench) -> None:
    symbol, leg = bench.market.symbol, bench.leg
    assert not bench.broker.protect(symbol, Protection(stop_loss=bench.at(90.0)), leg)
    send(bench, Side.BUY, 1.0, stop_loss=95.0)
    bench.hour(100.0)
    protection = bench.broker.protection(symbol, leg)
    assert protection is not None
    assert protection.stop_loss == bench.at(95.0)
    moved = replace(protection, stop_loss=bench.at(90.0), take_profit=bench.at(110.0))
    assert bench.broker.protect(symbol, moved, leg)
    held = position(bench)
    assert (held.stop_loss, held.take_profit) == (bench.at(90.0), bench.at(110.0))
    assert fills(bench.hour(100.0, 94.0, 100.0)) == []
    (fill,) = fills(bench.hour(100.0, 111.0))
    assert (fill.price, fill.reason) == (near(bench.at(110.0)), ExitReason.TAKE_PROFIT)
    assert not position(bench)


def test_levels_follow_the_quantity_of_the_position(contracts: Bench) -> None:
    bench = contracts
    send(bench, Side.BUY, 2.0, stop_loss=95.0)
    bench.hour(100.0)
    send(bench, Side.SELL, 1.0, reduce_only=True)
    bench.hour(100.0)
    (fill,) = fills(bench.hour(100.0, 94.0))
    assert (fill.qty, fill.reason) == (near(bench.size(1.0)), ExitReason.STOP_LOSS)


def test_the_account_holds_what_the_fills_made_of_it(bench: Bench) -> None:
    before = bench.broker.account().balance
    send(bench, Side.BUY, 2.0)
    bench.hour(100.0, 110.0)
    account, begun, price = bench.broker.account(), bench.at(100.0), bench.at(110.0)
    qty, fee = position(bench).qty, taken(bench, 2.0, begun)
    assert account.currency == bench.market.settle
    assert account.balance == near(before - fee)
    assert account.equity == near(before - fee + rules.pnl(kind(bench), qty, begun, price))
    assert (account.margin_used, account.time) == (
        near(rules.initial_margin(kind(bench), qty, begun, bench.leverage)), bench.now,
    )  # fmt: skip
    assert account.margin_free == near(account.balance - account.margin_used)


def margin(bench: Bench, sizes: float) -> float:
    """What the short side of the option posts: it is in the money, so 15 % of its underlying."""
    in_base = bench.market.settle == bench.market.base
    return 0.15 * bench.size(sizes) * (1.0 if in_base else bench.underlying)


def test_a_sold_option_posts_margin_and_keeps_its_premium(sold: Bench) -> None:
    bench = sold
    before = bench.broker.account().balance
    send(bench, Side.SELL, 2.0)
    bench.hour(100.0, 110.0)
    account, begun, price = bench.broker.account(), bench.at(100.0), bench.at(110.0)
    qty, fee = position(bench).qty, taken(bench, 2.0, begun)
    assert qty == near(-bench.size(2.0))
    assert account.balance == near(before - fee)
    assert account.equity == near(before - fee + qty * (price - begun))
    assert (account.margin_used, position(bench).margin) == (near(margin(bench, 2.0)),) * 2
    assert account.margin_free == near(account.balance - account.margin_used)
    send(bench, Side.BUY, 2.0)
    bench.hour(90.0)
    account, fee = bench.broker.account(), fee + taken(bench, 2.0, bench.at(90.0))
    assert account.balance == near(before - fee + bench.size(2.0) * (begun - bench.at(90.0)))
    assert (account.equity, account.margin_used) == (account.balance, 0.0)


def test_a_sale_to_open_needs_the_margin_of_a_sold_option(sold: Bench) -> None:
    """There is money for 20 sizes that are bought; 14 that are sold bind 14 * 15 of the 20 * 10 % of S."""
    order = send(sold, Side.SELL, 14.0)
    assert reasons(sold.hour(100.0), order) == ["insufficient_margin"]
    order = send(sold, Side.SELL, 13.0)
    assert told(sold.hour(100.0), order)[-1] is OrderStatus.FILLED
    assert sold.broker.account().margin_used == near(margin(sold, 13.0))


def test_working_orders_are_listed_oldest_first(bench: Bench) -> None:
    orders = [send(bench, Side.BUY, 1.0, price=price) for price in (90.0, 95.0, 85.0)]
    bench.hour(100.0)
    assert working(bench) == [one.id for one in orders]
    assert bench.broker.working(bench.market.symbol) == bench.broker.working()
    assert all(one.is_working and one.status not in FINAL for one in bench.broker.working())


def kind(bench: Bench) -> int:
    """The kind of contract in the words of the rules."""
    return rules.INVERSE if bench.market.is_inverse else rules.LINEAR


def taken(bench: Bench, sizes: float, price: float) -> float:
    """The fee of a taker."""
    return fee(bench, bench.size(sizes), price, bench.taker)


def fee(bench: Bench, qty: float, price: float, rate: float) -> float:
    """The fee of a fill; of an option a part of its underlying."""
    if bench.market.is_option:
        return options.fee(qty, price, bench.underlying, rate, bench.market.settle == bench.market.base)
    return rules.fee(kind(bench), qty, price, rate)
