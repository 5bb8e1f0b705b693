"""The loop over an account at an exchange: reports, protection after each event, how a run comes to its end."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from metaexpert.broker import News
from metaexpert.errors import AuthenticationError, JournalError, StrategyError, UnprotectedError
from metaexpert.events import Notice
from metaexpert.live import LiveProcess
from metaexpert.logger import MetaLogger
from metaexpert.models import Order, OrderStatus, OrderType, Rejection, Side
from metaexpert.reports import Away, Gap
from metaexpert.risk import LossLimits
from metaexpert.trader import OrderTerms
from tests.unit.desk import LINEAR as SYMBOL
from tests.unit.test_live import MINUTE, Desk, quote, trade

ENTRY, EXIT = OrderTerms(), OrderTerms(reduce_only=True)


class Exchange:
    """Makes a paper broker look like one whose orders trade elsewhere: nothing fills unless the test says so."""

    fills_by = "exchange"

    def __init__(self, desk: Desk) -> None:
        self.desk, self.broker = desk, desk.broker
        self.guarded: list[int] = []
        self.heard: list[Any] = []
        self.is_settled = True
        self.account_equity = 10_000.0
        self.notices: deque[Notice] = deque()
        self.refuses = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.broker, name)

    def guard(self) -> None:
        self.guarded.append(self.desk.clock.now())

    def hear(self, report: Any) -> Any:
        self.heard.append(report)
        return iter(())

    def meet(self, symbol: str) -> Any:
        return iter(())

    def on_quote(self, quote: Any) -> Any:
        self.broker.quotes[quote.symbol] = quote
        return iter(())

    def submit(self, order: Order, **options: Any) -> None:
        if self.refuses:
            self.refuses -= 1
            self.broker.reject(order, "unavailable", "not now")
        else:
            self.broker.submit(order, **options)

    def fill(self) -> Any:
        """All that works is filled at 100."""
        for working in list(self.broker.book):
            self.broker.execution.fill(working, 100.0, maker=False, slip=False)
        return self.broker.book.flush()


class Trading(Desk):
    """An expert on an account."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(max_positions_per_symbol=3, **settings)
        self.exchange = Exchange(self)
        self.trader.broker = self.exchange
        self.flattens = False

    def process(self) -> LiveProcess:
        self.running = LiveProcess(
            handlers=self.handlers, feed=self.feed, broker=self.exchange, trader=self.trader, clock=self.clock,
            log=self.log, keeper=self.notes, flattens=self.flattens,
        )  # fmt: skip
        return self.running

    def hold(self, qty: float) -> None:
        self.trader.send(Side.BUY, qty, None, ENTRY)
        for _ in self.exchange.fill():
            pass

    def kinds(self) -> list[str]:
        return [kind for _, kind in self.notes.events]


def test_reports_are_heard_and_what_protects_is_seen_to_after_every_event():
    desk = Trading()
    desk.feed.at(10, Gap(9, "lost"))
    desk.feed.at(20, trade(20, 100.0))
    desk.run()
    assert desk.exchange.heard == [Gap(9, "lost")]
    assert desk.exchange.guarded[:3] == [0, 10, 20]  # on_init, the report, the trade
    assert desk.notes.commits[1] is True  # what a report says is kept, whether or not it was news


def test_what_happened_away_is_told_after_on_init_and_before_the_market():
    desk, heard = Trading(), list[Any]()
    order = Order(id="me1", symbol=SYMBOL, side=Side.BUY, type=OrderType.LIMIT, qty=1.0, status=OrderStatus.FILLED)
    refused = Rejection(1, SYMBOL, "me2", "not_received", "it never arrived")
    desk.on("init")(lambda: heard.append("init"))
    desk.on("order")(lambda order: heard.append((order.id, order.status)))
    desk.on("transaction")(lambda order, result: heard.append(result.reason))
    desk.on("tick")(lambda tick: heard.append("tick"))
    lost = replace(order, id="me2", status=OrderStatus.REJECTED)
    desk.feed.at(1, Away(1, (News(order), News(lost, refused))))
    desk.feed.at(2, trade(2, 100.0))
    desk.run()
    assert heard == ["init", ("me1", "filled"), ("me2", "rejected"), "not_received", "tick"]


def test_a_notice_of_the_broker_reaches_on_error_and_the_market_is_believed_still():
    desk, heard = Trading(), list[str]()
    desk.on("error")(lambda error: heard.append(str(error)))
    desk.feed.at(5, quote(5, 99.0, 101.0))
    desk.feed.at(6, trade(6, 100.0))
    bare = Notice(6, SYMBOL, "without a stop", UnprotectedError("without a stop"), is_of_account=True)
    hear = desk.exchange.broker.on_trade

    def on_trade(one: Any) -> Any:
        desk.exchange.notices.append(bare)
        return hear(one)

    desk.exchange.on_trade = on_trade
    desk.run()
    assert heard == ["without a stop"]
    assert SYMBOL in desk.broker.quotes  # trouble with the market's own stream would have it forgotten
    assert desk.exchange.guarded.count(6) == 2  # again, after the handler


def test_a_notice_that_warns_is_logged_as_a_warning_and_is_no_error(monkeypatch: pytest.MonkeyPatch):
    desk, said = Trading(), list[tuple[str, str]]()
    for level in ("info", "warning"):
        monkeypatch.setattr(MetaLogger, level, lambda _, text, level=level, **__: said.append((level, text)))
    desk.on("error")(lambda error: said.append(("error", str(error))))
    desk.feed.at(1, Notice(1, SYMBOL, "money is missing", is_of_account=True, warns=True))
    desk.feed.at(2, Notice(2, SYMBOL, "all is well", is_of_account=True))
    desk.run()
    assert said == [("warning", "money is missing"), ("info", "all is well")]


def test_orders_go_at_once_where_the_exchange_fills_them():
    """On paper an order that answers a trade acts from the instant after it."""
    desk, moments = Trading(), list[int | None]()
    desk.on("tick")(lambda _: moments.append(desk.trader.active_from))
    desk.feed.at(7, trade(9, 100.0))
    desk.run()
    assert moments == [7]


def test_nothing_is_entered_on_what_is_long_past():
    """After an outage: the bar of 0:00 when that of 0:01 has closed too, and a trade of a minute ago."""
    desk, heard = Trading(), list[Any]()

    def enter(what: Any) -> None:
        heard.append((what.time, desk.trader.send(Side.BUY, 0.5, None, ENTRY).id))

    desk.on("bar")(enter)
    desk.on("tick")(enter)
    refused = list[Any]()
    desk.on("transaction")(lambda order, result: refused.append((order.id, result.reason)))
    desk.feed.close_bar(0, time=2 * MINUTE + 500)
    desk.feed.close_bar(1, time=2 * MINUTE + 501)
    desk.feed.at(2 * MINUTE + 502, trade(MINUTE, 100.0)._replace(is_backfilled=True))
    desk.feed.at(2 * MINUTE + 503, trade(2 * MINUTE + 500, 100.0)._replace(is_backfilled=True))
    desk.run()
    late = {name for name, reason in refused if reason == "late"}
    assert [(time, name in late) for time, name in heard] == [
        (0, True), (MINUTE, False), (MINUTE, True), (2 * MINUTE + 500, False),
    ]  # fmt: skip


# --- the end --------------------------------------------------------------------------------------------------


def test_at_the_end_entries_are_cancelled_exits_and_positions_stay():
    desk, heard = Trading(), list[Any]()
    desk.on("deinit")(heard.append)

    @desk.on("init")
    def init() -> None:
        desk.hold(2.0)
        desk.trader.send(Side.BUY, 1.0, None, OrderTerms(price=90.0))
        desk.trader.send(Side.SELL, 1.0, None, OrderTerms(price=110.0, reduce_only=True))

    desk.on("order")(lambda order: heard.append((order.side, order.status)) if order.price else None)
    desk.feed.at(5, trade(5, 100.0))
    assert desk.run() == "user_stop"
    assert heard == [("buy", "open"), ("sell", "open"), ("buy", "canceled"), "user_stop"]
    assert desk.ledger.holdings[SYMBOL].qty == 2.0
    assert desk.kinds()[-2:] == ["Leave", "End"]


def test_the_end_waits_until_nothing_is_under_way():
    """What is filled meanwhile is told; nothing new is begun."""
    desk, heard = Trading(), list[Any]()
    desk.on("deinit")(lambda _: heard.append(desk.clock.now()))
    desk.on("tick")(lambda _: heard.append("tick"))
    hear = desk.exchange.hear

    def settle(report: Any) -> Any:
        desk.exchange.is_settled = True
        return hear(report)

    desk.exchange.hear, desk.exchange.is_settled = settle, False
    desk.feed.at(5, trade(5, 100.0))
    process = desk.process()
    desk.process = lambda: process
    desk.on("timer:1")(lambda: process.stop("signal"))
    desk.feed.at(3_000, trade(3_000, 100.0))
    desk.feed.at(9_000, Gap(9_000, "told"))
    assert desk.run() == "signal"
    assert heard == ["tick", 9_000]
    assert [kind for kind in desk.kinds() if kind in ("Leave", "Gap", "End")] == ["Leave", "Gap", "End"]


def test_the_end_waits_half_a_minute_at_most_and_names_what_is_not_known(monkeypatch: pytest.MonkeyPatch):
    desk, warned = Trading(), list[dict[str, Any]]()
    monkeypatch.setattr(MetaLogger, "warning", lambda _, text, **more: warned.append({"text": text, **more}))
    desk.exchange.is_settled = False
    desk.hold(1.0)
    pending = desk.trader.send(Side.SELL, 1.0, None, OrderTerms(price=110.0, reduce_only=True))
    desk.broker.book.find(pending.id).status = OrderStatus.PENDING
    desk.broker.book.find(pending.id).is_changed = True
    desk.feed.at(1_000, trade(1_000, 100.0))
    desk.run()
    (_, ended) = desk.notes.events[-1]
    assert ended == "End"
    assert desk.clock.now() == 1_001 + 30_000
    assert warned[-1] == {
        "text": "what became of an order is not known yet", "order": pending.id, "symbol": SYMBOL,
    }  # fmt: skip


def test_a_flattening_end_closes_what_is_held_and_again_where_that_is_refused():
    """Refused three times: closed at the end, 1, 2 and 4 s after the one before."""
    desk, heard = Trading(), list[Any]()
    desk.flattens = True
    desk.on("init")(lambda: desk.hold(2.0))
    desk.feed.at(5, trade(5, 100.0))

    @desk.on("order")
    def order(told: Order) -> None:
        if told.reduce_only:
            heard.append((desk.clock.now(), told.status, told.qty))
            if told.status is OrderStatus.OPEN:
                desk.feed.script.insert(0, (desk.clock.now() + 50, Gap(0, "filled")))

    desk.exchange.hear = lambda report: desk.exchange.fill()
    take = desk.feed.next

    async def refuse(until: float) -> Any:
        if desk.running.stop_reason is None and not desk.feed.script[1:]:
            desk.exchange.refuses = 3
        return await take(until)

    desk.feed.next = refuse
    assert desk.run() == "user_stop"
    assert heard == [
        (6, "rejected", 2.0),
        (1_006, "rejected", 2.0),
        (3_006, "rejected", 2.0),
        (7_006, "open", 2.0),
        (7_056, "filled", 2.0),
    ]
    assert desk.ledger.is_flat()


def test_nothing_is_entered_while_a_run_ends():
    desk, heard = Trading(), list[Any]()

    @desk.on("order")
    def order(told: Order) -> None:
        if told.status is OrderStatus.CANCELED:
            heard.append(desk.trader.send(Side.BUY, 1.0, None, ENTRY).id)
        elif told.id in heard or told.message:
            heard.append(told.message)

    desk.on("init")(lambda: desk.trader.send(Side.BUY, 1.0, None, OrderTerms(price=90.0)))
    desk.feed.at(5, trade(5, 100.0))
    desk.run()
    assert "user_stop: the expert is stopping" in heard


# --- what ends a run by force ---------------------------------------------------------------------------------


def test_a_feed_that_fails_is_told_to_on_error_before_the_end():
    desk, heard = Trading(), list[Any]()
    desk.on("error")(lambda error: heard.append(type(error).__name__))
    desk.on("deinit")(heard.append)

    async def fail(until: float) -> Any:
        raise AuthenticationError("the keys are refused: mend them")

    desk.feed.next = fail

    async def main() -> None:
        await desk.process().stream()

    with pytest.raises(AuthenticationError):
        asyncio.run(main())
    assert heard == ["AuthenticationError", "error"]
    assert desk.kinds() == ["Start", "Failure", "End"]
    desk.log.close()


def test_an_order_that_can_not_be_written_down_ends_the_run_whatever_the_expert_does_with_errors():
    desk, heard = Trading(), list[Any]()
    desk.on("error")(heard.append)
    desk.on("deinit")(heard.append)

    def submit(order: Order, **_: Any) -> None:
        raise JournalError("the disk is full")

    desk.exchange.submit = submit
    desk.on("tick")(lambda _: desk.trader.send(Side.BUY, 1.0, None, ENTRY))
    desk.feed.at(5, trade(5, 100.0))
    with pytest.raises(JournalError, match="the disk is full"):
        desk.run()
    assert heard == ["error"]


# --- limits ---------------------------------------------------------------------------------------------------


def test_a_limit_on_the_account_counts_what_others_lose():
    """Ours lost nothing; the account is 600 of 10,000 down: entries end for the day, what we hold goes."""
    desk, heard = Trading(), list[Any]()
    desk.trader.account_limits = LossLimits(500.0, None, equity=10_000.0, time=0)
    desk.on("order")(lambda order: heard.append((order.reduce_only, order.status, order.reason)))
    desk.on("init")(lambda: desk.hold(1.0))

    def lose(report: Any) -> Any:
        desk.exchange.account_equity = 9_400.0
        return iter(())

    desk.exchange.hear = lose
    desk.feed.at(5, Gap(5, "the account is looked at"))
    desk.on("timer:10")(lambda: desk.trader.send(Side.BUY, 1.0, None, ENTRY))
    desk.feed.at(10_500, trade(10_500, 100.0))
    desk.run()
    lost = "daily_loss_limit"
    assert heard == [(True, "open", lost), (False, "rejected", "order"), (True, "filled", lost)]
    assert desk.trader.refusals["daily_loss_limit"] == 1


def test_a_day_that_is_lost_closes_what_is_held_again_where_that_is_refused():
    """2 held at 100; 8 lost at 96: closed at once, and a second later, since the first time it is refused."""
    desk, heard = Trading(), list[Any]()
    desk.trader.limits = LossLimits(8.0, None, equity=10_000.0, time=0)
    desk.on("init")(lambda: desk.hold(2.0))
    desk.exchange.hear = lambda report: desk.exchange.fill()

    @desk.on("order")
    def order(told: Order) -> None:
        if told.reduce_only:
            heard.append((desk.clock.now(), told.status, told.reason))

    take = desk.feed.next

    async def refuse(until: float) -> Any:
        desk.exchange.refuses = 1 if desk.clock.now() < 5 else desk.exchange.refuses
        return await take(until)

    desk.feed.next = refuse
    desk.feed.at(5, trade(5, 96.0))
    desk.feed.at(2_000, Gap(2_000, "filled"))
    desk.feed.at(9_000, trade(9_000, 96.0))
    desk.run()
    lost = "daily_loss_limit"
    assert heard == [(5, "rejected", lost), (1_005, "open", lost), (2_000, "filled", lost)]
    assert desk.ledger.is_flat()
    assert desk.running.state()["closing"] is None


def test_an_entry_that_fills_after_a_lost_day_has_closed_all_is_closed_too():
    """Nobody knows yet whether it arrived, or its cancelling comes too late: the day is lost all the same."""
    desk, filled = Trading(), list[tuple[int, str, float]]()
    desk.trader.limits = LossLimits(8.0, None, equity=10_000.0, time=0)
    desk.exchange.cancel = lambda name: True  # asked for, and nothing comes of it
    desk.on("transaction")(lambda order, fill: filled.append((desk.clock.now(), fill.side, fill.qty)))

    @desk.on("init")
    def init() -> None:
        desk.hold(2.0)
        desk.trader.send(Side.BUY, 1.0, None, OrderTerms(price=90.0))

    def hear(report: Any) -> Any:
        """What has no price fills, or the entry that has one."""
        for working in list(desk.broker.book):
            if (working.price is None) is (report.text == "closed"):
                desk.broker.execution.fill(working, 96.0, maker=False, slip=False)
        return desk.broker.book.flush()

    desk.exchange.hear = hear
    desk.feed.at(5, trade(5, 96.0))
    for time, text in ((2_000, "closed"), (4_000, "entered"), (6_000, "closed")):
        desk.feed.at(time, Gap(time, text))
    desk.feed.at(9_000, trade(9_000, 96.0))
    desk.run()
    assert filled == [(2_000, "sell", 2.0), (4_000, "buy", 1.0), (6_000, "sell", 1.0)]
    assert desk.ledger.is_flat()
    assert desk.running.state()["closing"] is None


def test_limits_of_the_account_are_kept_over_a_restart():
    first, second = Trading(), Trading()
    first.trader.account_limits = LossLimits(None, 0.2, equity=10_000.0, time=0)
    first.trader.account_limits.update(5, 12_000.0)
    second.trader.account_limits = LossLimits(None, 0.2, equity=9_000.0, time=0)
    second.trader.restore(first.trader.state())
    assert second.trader.account_limits.peak == 12_000.0
    for desk in (first, second):
        desk.log.close()


# --- threads --------------------------------------------------------------------------------------------------


def test_orders_of_another_thread_are_refused_in_one_line():
    from metaexpert import MetaExpert

    desk, found = Trading(), list[str]()
    expert = MetaExpert(exchange="demo", log_to_console=False)

    def elsewhere() -> None:
        try:
            expert.buy(1.0)
        except StrategyError as error:
            found.append(str(error))
        found.append(str(expert.position().qty))  # to look is free

    @desk.on("tick")
    def tick(_: Any) -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    process = desk.process()
    desk.process = lambda: process
    expert._process = process
    desk.feed.at(5, trade(5, 100.0))
    desk.run()
    assert found[0].startswith("expert.buy was called from another thread: orders are sent by handlers")
    assert found[1] == "0.0"
