"""The account as the exchange tells of it against our own books."""

import json
from typing import Any

import pytest
from desk import LINEAR, SPOT
from keep import Keep

from metaexpert.broker.differences import ADOPTED, RECONCILED, Differences
from metaexpert.broker.sentries import Standing
from metaexpert.exchanges.capabilities import Support
from metaexpert.models import Account, ExitReason, Order, OrderStatus, OrderType, Position, Side
from metaexpert.reports import AccountReport, Cancel, Check, Fetch, Find, HeldByOther

MINE = "mine7"


class Books(Keep):
    """A keep with an account that is compared. `known` are the orders of the book that work, by id."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.known: dict[str, Order] = {}
        self.differences = self.compare_anew()

    def compare_anew(self) -> Differences:
        """Books of a run that has seen no report yet."""
        return Differences(
            self.execution, self.shield, is_mine=lambda name: name == MINE or name.isdigit(),
            knows=lambda order: order.id in self.known,
            standing=lambda: [(order, ["x" + order.id]) for order in self.known.values()],
            ask=self.asked.append, notify=self.notices.append, settlement=lambda held: held.mark,
        )  # fmt: skip

    def told(
        self, qty: float = 0.0, *orders: Order, leg: str | None = None, balance: float | None = None,
        used: float = 0.0, others: float = 0.0, first: float = 0.0, mark: float | None = 101.0,
        calm: bool = True, entry: float | None = 90.0,
    ) -> None:  # fmt: skip
        """The exchange tells of the account: a position of signed `qty`, and the protective orders that stand."""
        standing = [one.working.order for one in self.shield.sentries if one.standing is Standing.STANDS]
        money = self.ledger.balance - self.differences._bought() if balance is None else balance
        position = Position(symbol=self.symbol, position_side=leg, qty=qty, entry_price=entry, mark_price=mark)
        report = AccountReport(
            self.clock.now(),
            Account(currency=self.ledger.currency, balance=money, equity=money, margin_used=used),
            (position,) if qty else (),
            (*standing, *self.known.values(), *orders),
            tuple(
                HeldByOther(self.symbol, leg, held, is_first)
                for held, is_first in ((others, False), (first, True))
                if held
            ),
        )
        self.differences.hear(report, is_calm=calm)
        self.shield.sync()

    def twice(self, qty: float, **more: Any) -> None:
        """The same is told twice, with the fills fetched between and time enough."""
        self.told(qty, **more)
        self.differences.fetched(self.symbol)
        self.clock.advance(self.clock.now() + 2_000)
        self.told(qty, **more)

    @property
    def texts(self) -> list[str]:
        """What was told, without the symbol before it; asked for once."""
        found = [one.text.removeprefix(f"{self.symbol}: ") for one in self.notices]
        self.notices.clear()
        return found

    @property
    def qty(self) -> float:
        """What is ours."""
        return self.ledger.leg(self.symbol).qty


def books(qty: float = 1.0, **more: Any) -> Books:
    """A position of ours from 100, and a first report that agrees."""
    made = Books(**more)
    made.told()
    if qty:
        made.trade(qty, 100.0)
    made.told(qty)
    assert made.texts == []
    return made


# --- positions -------------------------------------------------------------------------------------------------


def test_books_that_agree_say_nothing():
    one = books()
    assert (one.asked, one.differences.is_settled, one.differences.next_time) == ([], True, float("inf"))


def test_what_was_on_the_account_before_the_run_is_left_alone():
    one = Books()
    one.told(-3.0)
    assert one.texts == ["-3 on the account is not ours: it is left alone"]
    assert (one.qty, one.differences.foreign) == (0.0, {(LINEAR, None): -3.0})
    one.trade(-1.0, 100.0)
    one.told(-4.0)
    assert one.texts == []


def test_a_difference_is_looked_into_before_it_is_believed():
    """Fills are fetched, orders are looked up, and two seconds later the account is asked again."""
    one = books(stop_loss_pct=2.0)
    one.stands()
    stop = one.shield.sentries[0].working.order
    one.told(0.0)
    assert [type(asked) for asked in one.asked] == [Find, Fetch]
    assert one.asked[0] == Find(stop)
    assert (one.qty, one.texts, one.differences.is_settled) == (1.0, [], False)
    due = one.clock.now() + 2_000
    assert one.differences.next_time == float("inf")
    one.clock.advance(due)
    one.asked.clear()
    one.differences.run()
    assert one.asked == []  # the fills are not there yet
    one.differences.fetched(one.symbol)
    assert one.differences.next_time == due
    one.differences.run()
    one.differences.run()
    assert one.asked == [Check()]


def test_a_position_that_somebody_else_has_closed_is_booked_as_left_at_the_mark():
    """Long 1 from 100, gone, at 101: a profit of 1, booked once it was seen twice."""
    one = books()
    one.ledger.leg(one.symbol).mark = 101.0
    one.twice(0.0)
    assert [notice.warns for notice in one.notices] == [True]
    fill = one.execution.fills[-1]
    assert (fill.side, fill.qty, fill.price, fill.pnl) == (Side.SELL, 1.0, 101.0, 1.0)
    assert (fill.reason, fill.tag) == (ExitReason.ORDER, RECONCILED)
    assert one.book.news[-1].order.status is OrderStatus.FILLED
    assert one.qty == 0.0
    assert one.texts == [
        "we held 1 by our books and the account has 0 in all: 1 of ours were closed by somebody else, and are "
        "booked as left at 101 (reconciled)"
    ]
    one.told(0.0)
    assert one.differences.is_settled


def test_the_mark_of_the_exchange_counts_before_our_own():
    one = books()
    one.twice(0.4, mark=103.0)
    assert (one.qty, one.execution.fills[-1].qty, one.execution.fills[-1].price) == (0.4, 0.6, 103.0)


def test_a_difference_that_goes_away_was_none():
    """The fill was told late."""
    one = books()
    one.told(0.5)
    one.trade(-0.5, 101.0)
    one.told(0.5)
    assert (one.texts, one.differences.is_settled, one.qty) == ([], True, 0.5)


@pytest.mark.parametrize("how", ["too soon", "no fills", "another", "not calm"])
def test_a_difference_is_believed_only_when_it_was_truly_seen_twice(how):
    one = books()
    one.told(0.5)
    if how != "no fills":
        one.differences.fetched(one.symbol)
    one.clock.advance(one.clock.now() + (1_999 if how == "too soon" else 2_000))
    if how == "not calm":
        one.told(0.5, calm=False)
    one.told(0.4 if how == "another" else 0.5)
    assert (one.qty, one.texts, one.differences.is_settled) == (1.0, [], False)


def test_what_others_hold_on_our_side_goes_before_ours():
    """3 of theirs beside 1 of ours: when 2 are left, theirs are 1; when 0.5 are left, ours are."""
    one = Books()
    one.told(3.0)
    one.trade(1.0, 100.0)
    one.told(4.0)
    one.notices.clear()
    one.twice(2.0)
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (1.0, 1.0)
    assert one.texts == ["others held 3 by our books and hold 1: 2 in all"]
    one.twice(0.5)
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (0.5, 0.0)
    assert len(one.texts) == 2


def test_what_lies_beyond_our_position_is_somebody_elses():
    """Long 1 of ours, and the account is short 2: ours is gone and they are short 2."""
    one = books()
    one.twice(-2.0)
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (0.0, -2.0)


def test_what_grows_on_our_side_is_somebody_elses():
    one = books()
    one.twice(5.0)
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (1.0, 4.0)
    assert one.texts == ["others held 0 by our books and hold 4: 5 in all"]


def test_a_short_is_reconciled_as_a_long_is():
    one = books(-1.0)
    one.twice(-0.25)
    assert one.qty == -0.25
    one.twice(1.0)
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (0.0, 1.0)


def test_other_experts_of_ours_are_no_difference():
    one = books()
    one.told(3.0, others=2.0)
    assert (one.texts, one.differences.is_settled) == ([], True)


def test_what_experts_hold_who_come_before_us_is_missed_before_ours():
    """2 of ours, 1 of an expert who does not run: 2 are left. It was his, and he finds that out when he begins."""
    one = books(2.0)
    one.told(3.0, first=1.0)
    one.twice(2.0, first=1.0)
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (2.0, -1.0)
    one.differences.adopt(LINEAR)
    assert one.qty == 2.0
    one.twice(2.0)  # he has found out
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (2.0, 0.0)


def test_what_is_missing_beyond_theirs_is_ours():
    one = books(2.0)
    one.told(3.0, first=1.0)
    one.twice(1.5, first=1.0)
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (1.5, -1.0)


def test_experts_who_come_after_us_have_time_to_hear_of_it():
    """2 of ours beside 1 of theirs, of which one is missing: ours, unless theirs turns out to be gone in time."""
    one = books(2.0)
    one.told(3.0, others=1.0)
    one.twice(2.0, others=1.0)
    assert (one.qty, one.differences.is_settled) == (2.0, False)
    one.clock.advance(one.clock.now() + 28_000)
    one.told(2.0, others=1.0)
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (1.0, 0.0)


def test_experts_who_went_against_each_other_have_both_nothing_left():
    """Long 1 of ours and short 1 of theirs, begun at one moment: the account has nothing that could be closed."""
    one = books(1.0)
    one.twice(0.0, others=-1.0)
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (0.0, 1.0)
    one.twice(0.0)  # they have found out
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (0.0, 0.0)


def test_of_experts_who_went_against_each_other_the_larger_one_keeps_what_is_left():
    one = books(3.0)
    one.twice(2.0, others=-1.0)
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (2.0, 1.0)
    one.twice(2.0)
    assert (one.qty, one.differences.foreign[LINEAR, None]) == (2.0, 0.0)


def test_each_leg_is_compared_for_itself():
    one = Books(hedge=True)
    one.told()
    one.trade(1.0, 100.0, "long")
    one.trade(-1.0, 100.0, "short")
    report = AccountReport(
        0, Account(currency="USDT", balance=one.ledger.balance, equity=1.0),
        (
            Position(symbol=LINEAR, position_side="long", qty=1.0),
            Position(symbol=LINEAR, position_side="short", qty=-3.0),
        ), (),
    )  # fmt: skip
    one.differences.hear(report, is_calm=True)
    one.differences.fetched(LINEAR)
    one.clock.advance(one.clock.now() + 2_000)
    one.differences.hear(report, is_calm=True)
    assert one.differences.foreign == {(LINEAR, "short"): -2.0}
    assert one.texts == ["short leg: others held 0 by our books and hold -2: -3 in all"]


def test_after_a_restart_what_others_hold_is_known_still():
    one = Books()
    one.told(3.0)
    saved = json.loads(json.dumps(one.differences.state()))
    one.notices.clear()
    one.differences = one.compare_anew()
    one.differences.restore(saved)
    one.told(3.0)
    assert (one.texts, one.differences.is_settled) == ([], True)
    one.told(2.0)  # what is missing on a second start is not just there
    assert not one.differences.is_settled


# --- adopted ---------------------------------------------------------------------------------------------------


def test_what_others_hold_becomes_ours_at_its_entry_price_and_is_protected():
    """2 from 90 while the mark is at 101: the profit of 22 so far is not the strategy's."""
    one = Books(stop_loss_pct=10.0)
    one.told(2.0)
    before = one.ledger.equity()
    one.differences.adopt(one.symbol)
    one.shield.sync()
    held = one.ledger.leg(one.symbol)
    assert (held.qty, held.entry, held.mark, held.tag) == (2.0, 90.0, 101.0, ADOPTED)
    assert one.ledger.equity() - before == 22.0
    assert one.differences.external == 22.0
    assert [(order.qty, order.stop_price) for order in one.new()] == [(2.0, 81.0)]
    one.notices.clear()
    one.told(2.0)
    assert (one.texts, one.differences.foreign) == ([], {})


def test_where_nobody_holds_anything_there_is_nothing_to_adopt():
    one = books()
    one.differences.adopt(one.symbol)
    assert (one.qty, one.texts) == (1.0, [])


def test_coins_are_adopted_at_the_last_price_and_are_money_from_outside():
    """2 coins at 50: the quote balance stays 1000, equity grows by 100 which is external."""
    one = Books(symbol=SPOT, home=Support.EMULATED)
    one.ledger.leg(SPOT).mark = 50.0
    one.told(2.0, balance=1_000.0, mark=None, entry=None)
    one.differences.external = 0.0
    one.differences.adopt(SPOT)
    one.told(2.0, balance=1_000.0, mark=None, entry=None)
    assert (one.ledger.equity(), one.differences.external) == (1_100.0, 100.0)


# --- orders ----------------------------------------------------------------------------------------------------


def working(**terms: Any) -> Order:
    plain: dict[str, Any] = {
        "id": MINE, "symbol": LINEAR, "side": Side.BUY, "type": OrderType.LIMIT, "qty": 1.0, "price": 90.0,
        "status": OrderStatus.OPEN, "exchange_id": f"x{MINE}",
    }  # fmt: skip
    return Order(**(plain | terms))


def test_an_order_of_ours_that_nobody_knows_is_cancelled():
    one = books(0.0)
    one.told(0.0, working())
    assert one.asked == [Cancel(working())]
    assert one.texts == ["limit order mine7 to buy 1 at 90 is ours and nothing needs it: it is cancelled"]


STOP_ON_LONG: dict[str, Any] = {
    "side": Side.SELL, "type": OrderType.STOP, "price": None, "stop_price": 98.0, "reduce_only": True,
}  # fmt: skip


def test_a_stop_of_ours_stays_where_its_position_is_not_in_the_journal():
    """A journal that is lost: without the stop the position had none. Both stay, and that is said once."""
    one, stop = Books(), working(**STOP_ON_LONG)
    one.told(2.0, stop)
    assert one.asked == []
    assert one.notices[0].warns
    assert one.texts == [
        "stop order mine7 to sell 1 at 98 has an id of ours, and reduces a position that our journal does not "
        "know: both are left alone (adopt=True, --adopt, takes the position over)",
        "+2 on the account is not ours: it is left alone",
    ]
    kept = json.loads(json.dumps(one.differences.state()))
    one.differences = one.compare_anew()
    one.differences.restore(kept)
    one.told(2.0, stop)
    assert (one.asked, one.texts) == ([], [])
    one.told(0.0, stop)  # its position has gone
    assert [asked for asked in one.asked if isinstance(asked, Cancel)] == [Cancel(stop)]


@pytest.mark.parametrize(
    "changes",
    [{"side": Side.BUY}, {"reduce_only": False}, {"type": OrderType.LIMIT, "price": 97.0, "reduce_only": False}],
)
def test_an_order_of_ours_that_protects_nothing_is_cancelled_beside_what_others_hold(changes):
    one, order = Books(), working(**STOP_ON_LONG | changes)
    one.told(2.0, order)
    assert one.asked == [Cancel(order)]


def test_a_stop_of_ours_that_turns_up_later_is_cancelled_beside_what_others_hold():
    """The journal knows all that it sent since it began: that one has been given up."""
    one, order = Books(), working(**STOP_ON_LONG)
    one.told(2.0)
    one.told(2.0, order)
    assert one.asked == [Cancel(order)]


def test_a_stop_that_was_left_is_taken_over_with_its_position():
    """Entered at 100: the stop 2 % below is the one that stands."""
    one, order = Books(stop_loss_pct=2.0), working(**STOP_ON_LONG)
    one.told(1.0, order, entry=100.0)
    one.differences.adopt(one.symbol)
    one.told(1.0, order, entry=100.0)
    assert [sentry.id for sentry in one.shield.sentries] == [MINE]
    assert not [asked for asked in one.asked if isinstance(asked, Cancel)]


def test_a_stop_on_a_leg_stays_by_its_side():
    """In hedge mode no order says that it only reduces: that it sells on the long leg does."""
    one = Books(hedge=True)
    order = working(**STOP_ON_LONG | {"reduce_only": False, "position_side": "long"})
    one.told(2.0, order, leg="long")
    assert one.asked == []
    one = Books(hedge=True)
    entry = order.changed(side=Side.BUY)
    one.told(2.0, entry, leg="long")
    assert one.asked == [Cancel(entry)]


def test_orders_of_others_and_orders_that_are_known_are_left_alone():
    one = books(0.0)
    one.known["8"] = working(id="8")
    one.told(0.0, working(id="theirs"), working(id="", exchange_id="77"), working(symbol="ETH/USDT:USDT"))
    assert (one.asked, one.texts) == ([], [])


def test_a_stop_of_ours_that_is_found_is_taken_over_where_it_is_what_lacks():
    one = books(stop_loss_pct=2.0)
    one.refuses(one.new()[0])  # while that is judged, nothing is sent
    stop = working(side=Side.SELL, type=OrderType.STOP, price=None, stop_price=98.0, reduce_only=True)
    one.asked.clear()
    one.told(1.0, stop, stop.changed(id="99", stop_price=97.0, exchange_id="x99"))
    assert [asked.order.id for asked in one.asked if isinstance(asked, Cancel)] == ["99"]
    assert [sentry.id for sentry in one.shield.sentries] == [MINE]
    assert one.texts[0] == "stop order mine7 to sell 1 at 98 is ours and protects our position"


def test_a_stop_that_is_listed_at_another_quantity_is_replaced():
    one = books(stop_loss=98.0)
    one.stands()
    (stop,) = one.shield.orders
    one.new()
    one.differences.hear(_listing(one, stop.changed(qty=0.4)), is_calm=True)
    assert one.standing == [("stop", "sell", 0.4, 98.0)]
    one.wait(1_000)
    assert [(new.qty, new.stop_price) for new in one.new()] == [(1.0, 98.0)]
    one.stands()
    assert one.cancelled == [stop.id]


def _listing(one: Books, *orders: Order) -> AccountReport:
    account = Account(currency=one.ledger.currency, balance=one.ledger.balance, equity=one.ledger.balance)
    position = Position(symbol=one.symbol, position_side=None, qty=one.qty, entry_price=100.0, mark_price=100.0)
    return AccountReport(one.clock.now(), account, (position,), orders)


def test_a_protective_order_is_known_by_the_exchanges_id_alone():
    """As on an exchange that tells of stop orders without our id."""
    one = books(stop_loss_pct=2.0)
    one.stands()
    stop = one.shield.sentries[0]
    report = AccountReport(
        0, Account(currency="USDT", balance=one.ledger.balance, equity=1.0),
        (Position(symbol=LINEAR, qty=1.0),), (stop.working.order.changed(id=""),),
    )  # fmt: skip
    one.differences.hear(report, is_calm=True)
    assert (one.asked, one.texts) == ([], [])


def test_an_order_that_is_not_on_the_exchange_is_looked_up():
    one = books(stop_loss_pct=2.0)
    one.stands()
    stop = one.shield.sentries[0].working.order
    one.known["8"] = working(id="8")
    report = AccountReport(
        0,
        Account(currency="USDT", balance=one.ledger.balance, equity=1.0),
        (Position(symbol=LINEAR, qty=1.0),),
        (),
    )
    one.differences.hear(report, is_calm=False)
    assert one.asked == [Find(one.known["8"]), Find(stop)]


# --- money -----------------------------------------------------------------------------------------------------


def test_the_balance_follows_the_exchange_and_what_is_not_ours_is_counted_apart():
    """500 were put in: equity grows, what the strategy made does not."""
    one = books()
    own = one.ledger.equity() - one.differences.external
    one.told(1.0, balance=one.ledger.balance + 500_000.0)
    assert one.differences.external == 500_000.0
    assert one.ledger.equity() - one.differences.external == own
    assert [notice.warns for notice in one.notices] == [True]
    assert one.texts == [
        "the balance is 1000500000 USDT and was 1000000000 by our books: "
        "+500000 moved by no fill or funding of ours"
    ]


def test_money_that_moves_where_others_trade_too_is_no_warning():
    """It may well be what they won or lost."""
    one = books()
    one.differences.foreign[LINEAR, None] = 2.0
    one.told(3.0, balance=one.ledger.balance + 500_000.0)
    assert [notice.warns for notice in one.notices] == [False]


def test_small_change_is_booked_without_a_word():
    """1e-6 of 1e9 is 1000."""
    one = books()
    one.told(1.0, balance=one.ledger.balance - 999.0)
    assert (one.differences.external, one.texts) == (-999.0, [])


def test_money_waits_while_a_position_differs():
    one = books()
    one.told(0.0, balance=one.ledger.balance + 5_000.0)
    assert one.differences.external == 0.0


def test_what_coins_have_cost_is_not_missing():
    """2 coins for 100 each out of 1000: 800 of quote are left, and the books stand at 1000."""
    one = Books(symbol=SPOT, home=Support.EMULATED)
    one.told(balance=1_000.0)
    one.notices.clear()
    one.differences.external = 0.0
    one.trade(2.0, 100.0)
    one.told(2.0, balance=800.0)
    assert (one.ledger.balance, one.differences.external, one.texts) == (1_000.0, 0.0, [])


def test_margin_that_others_bind_is_held_back():
    """Ours is 1 at 100 without leverage; the account uses 250, and somebody's order rests on it."""
    one = books()
    theirs = Order(id="by hand", symbol=LINEAR, side=Side.BUY, type=OrderType.LIMIT, qty=1.5, price=100.0)
    one.told(1.0, theirs, used=250.0)
    assert one.ledger.held_back == 150.0
    one.told(1.0, theirs, used=80.0)
    assert one.ledger.held_back == 0.0


def test_nothing_is_held_back_where_all_is_ours():
    """The exchange counts the margin of our position at its mark price, 110; we count it at the entry, 100."""
    one = books()
    one.told(1.0, used=110.0)
    assert one.ledger.held_back == 0.0
