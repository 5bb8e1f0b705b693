"""Options in live trading: where an exchange has limit orders only, market orders are made of them."""

from __future__ import annotations

import pytest
from floor import CANCELED, EXPIRED, FILLED, START, Floor

from metaexpert.answers import ExchangeFill
from metaexpert.errors import UnprotectedError
from metaexpert.events import MarkPrice
from metaexpert.models import Account, ExitReason, MarketType, OrderType, Position, Side, TimeInForce
from metaexpert.reports import AccountReport, Check, Fetch, FillReport, Send

CALL = {
    "type": MarketType.OPTIONS, "contract_type": None, "option_type": "call", "strike": 60_000.0,
    "price_tick": 0.5, "max_leverage": None,
}  # fmt: skip
PRICED = pytest.mark.parametrize("exchange", ["binance", "okx"])


def option(exchange: str = "okx", expiry: int = 2**42, **more: object) -> Floor:
    """A call at a premium of 100; bid 99.5, ask 100.5."""
    floor = Floor("BTC/USDT:USDT", exchange=exchange, leverage=1.0, rules=CALL | {"expiry": expiry}, **more)
    floor.quote(99.5, 100.5)
    return floor


def went(floor: Floor) -> list[tuple[OrderType, Side, float | None, TimeInForce, bool]]:
    """What was sent since the last look."""
    sent = [one.order for one in floor.new() if isinstance(one, Send)]
    return [(one.type, one.side, one.price, one.tif, one.reduce_only) for one in sent]


@PRICED
def test_market_orders_go_as_limit_orders_at_the_best_price(exchange: str) -> None:
    floor = option(exchange)
    floor.send(1.0)
    assert went(floor) == [(OrderType.LIMIT, Side.BUY, 100.5, TimeInForce.IOC, False)]
    floor = option(exchange)
    floor.held(1.0)
    floor.send(-1.0, reduce_only=True)
    assert went(floor) == [(OrderType.LIMIT, Side.SELL, 99.5, TimeInForce.IOC, True)]


def test_where_there_are_market_orders_they_are_sent_as_they_are() -> None:
    floor = option("bybit")
    floor.send(1.0)
    assert went(floor) == [(OrderType.MARKET, Side.BUY, None, TimeInForce.GTC, False)]


def test_a_bound_to_the_slippage_says_how_far_beyond_the_best_price_they_trade() -> None:
    """An entry at 100.5 + 2 % = 102.51, on the tick 102.5; an exit at 99.5 - 2 % = 97.51, on the tick 98."""
    floor = option(max_slippage_pct=2.0)
    floor.send(1.0)
    assert [one[2] for one in went(floor)] == [102.5]
    floor = option(max_slippage_pct=2.0)
    floor.held(1.0)
    floor.send(-1.0, reduce_only=True)
    assert [one[2] for one in went(floor)] == [98.0]


def test_no_slippage_takes_a_price_below_one_tick() -> None:
    """99.5 less 100 % is nothing, and no price: 0.5."""
    floor = option(max_slippage_pct=100.0)
    floor.held(1.0)
    floor.send(-1.0, reduce_only=True)
    assert [one[2] for one in went(floor)] == [0.5]


@PRICED
def test_nothing_is_sent_while_no_price_is_known(exchange: str) -> None:
    floor = option(exchange)
    floor.held(1.0)
    floor.later(10_001)
    name = floor.send(-1.0, reduce_only=True)
    assert (went(floor), floor.refused()) == ([], ["stale_price"])
    assert "younger than 10 seconds" in (floor.order(name).message or "")


def test_a_level_that_is_reached_is_left_by_one_limit_order_after_another() -> None:
    """Of 2 bought at 100.5 with a stop at 95: 1.5 go at 94.5, nothing at the next try, the rest at 94."""
    floor = option()
    entry = floor.send(2.0, stop_loss=95.0)
    floor.fill(entry, price=100.5)
    floor.report(entry, FILLED)
    floor.new()
    floor.quote(94.5, 95.5)
    floor.trade(94.5)
    floor.broker.guard()
    (first,) = [one.order for one in floor.new() if isinstance(one, Send)]
    assert (first.type, first.price, first.qty, first.reason) == (
        OrderType.LIMIT, 94.5, 2.0, ExitReason.STOP_LOSS,
    )  # fmt: skip
    floor.fill(first.id, 1.5, price=94.5)
    floor.report(first.id, CANCELED, filled=1.5)
    (second,) = [one.order for one in floor.new() if isinstance(one, Send)]
    assert (second.price, second.qty) == (94.5, 0.5)
    assert [one.text for one in floor.broker.notices if one.error is not None] == []
    floor.report(second.id, CANCELED)
    (failed,) = [one for one in floor.broker.notices if one.error is not None]
    assert isinstance(failed.error, UnprotectedError)
    assert "(the stop 95 was reached; IOC: there was nothing to fill all of it with): it is tried" in failed.text
    floor.new()
    floor.quote(94.0, 95.0)
    floor.later(1_000)
    (third,) = [one.order for one in floor.new() if isinstance(one, Send)]
    assert (third.price, third.qty) == (94.0, 0.5)
    floor.fill(third.id, price=94.0)
    floor.report(third.id, FILLED)
    assert floor.qty == 0.0
    assert [one.reason for one in floor.fills()] == [ExitReason.ORDER, ExitReason.STOP_LOSS, ExitReason.STOP_LOSS]


# -- expiry -----------------------------------------------------------------------------------------------------


def ending() -> Floor:
    """2 calls of strike 60,000, bought at 100, whose contract has just ended; the underlying cost 60,150 then."""
    floor = option(expiry=START + 60_000)
    floor.held(2.0)
    floor.quote(99.5, 100.5)
    floor.send(-1.0, price=150.0)
    floor.report(floor.broker.working()[0].id)
    list(floor.broker.on_mark(MarkPrice(START, floor.symbols[0], 100.0, 60_150.0)))
    floor.new()
    floor.later(60_000)
    floor.news += list(floor.broker.expiry.end(floor.clock.now()))
    return floor


def account(floor: Floor, qty: float) -> AccountReport:
    """The account as the exchange tells it, with that position."""
    position = Position(symbol=floor.symbols[0], qty=qty, entry_price=100.0, mark_price=150.0)
    money = floor.ledger.balance
    told = Account(currency="USDT", balance=money, equity=money)
    return AccountReport(floor.clock.now(), told, (position,) if qty else (), (), ())


def test_a_position_waits_for_the_exchange_to_settle_it_when_its_contract_ends() -> None:
    floor = ending()
    assert (floor.qty, floor.broker.working()) == (2.0, [])
    assert {type(one) for one in floor.broker.outbox} >= {Fetch, Check}
    floor.new()
    name = floor.send(-2.0, reduce_only=True)
    assert (went(floor), floor.order(name).message) == ([], "expired: the contract has ended")


def test_the_exchange_says_at_which_price_a_contract_was_settled() -> None:
    """2 at 148 instead of 100: 96 more."""
    floor = ending()
    before = floor.ledger.balance
    fill = ExchangeFill(
        "f9", START + 60_000, floor.symbols[0], "theirs", Side.SELL, 2.0, 148.0, 0.0, "USDT",
        reason=ExitReason.EXPIRY,
    )  # fmt: skip
    floor.hear(FillReport(floor.clock.now(), fill, "", 0.0))
    assert (floor.qty, floor.ledger.balance - before) == (0.0, 96.0)
    assert [(one.price, one.reason) for one in floor.fills()][1:] == [(148.0, ExitReason.EXPIRY)]


def test_where_it_does_not_say_that_the_last_price_of_the_underlying_does() -> None:
    """The account holds nothing any more, and no fill is told: 60,150 - 60,000 = 150 for each."""
    floor = ending()
    floor.report(next(one.order.id for one in floor.broker.dealings.open), CANCELED)
    floor.new()
    floor.hear(account(floor, 0.0))
    floor.fetched()
    floor.later(2_000)
    floor.new()
    floor.hear(account(floor, 0.0))
    assert floor.qty == 0.0
    assert [(one.price, one.reason) for one in floor.fills()][1:] == [(150.0, ExitReason.EXPIRY)]
    assert any("settled when the contract ended" in one.text for one in floor.broker.notices)


def test_nobody_protects_what_has_ended() -> None:
    """A dated future with a stop on the exchange, which goes with the contract: none is sent for it again."""
    floor = Floor(rules={"expiry": START + 60_000})
    name = floor.send(1.0, stop_loss=95.0)
    floor.fill(name)
    floor.report(name, FILLED)
    (stop,) = [one.order for one in floor.new() if isinstance(one, Send) and one.order.stop_price is not None]
    floor.report(stop.id)
    floor.later(60_000)
    floor.report(stop.id, EXPIRED)
    floor.trade(90.0)
    floor.later(1_000)
    assert went(floor) == []
    assert [one.text for one in floor.broker.notices if one.error is not None] == []
