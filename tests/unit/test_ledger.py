"""The ledger: fills in; positions, trades and the account out. By hand, and against a book kept beside it."""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert import rules
from metaexpert.broker.costs import Costs
from metaexpert.broker.ledger import Ledger
from metaexpert.errors import ConfigError
from metaexpert.models import ContractType, ExitReason, MarginMode, Market, MarketType, Side

SPOT = Market(
    symbol="BTC/USDT",
    exchange="demo",
    type=MarketType.SPOT,
    base="BTC",
    quote="USDT",
    settle="USDT",
    qty_step=1e-8,
)
LINEAR = replace(
    SPOT,
    symbol="BTC/USDT:USDT",
    type=MarketType.FUTURES,
    contract_type=ContractType.LINEAR,
    qty_step=0.001,
    max_leverage=125.0,
)
OTHER = replace(LINEAR, symbol="ETH/USDT:USDT", base="ETH")
INVERSE = replace(
    LINEAR, symbol="BTC/USD:BTC", contract_type=ContractType.INVERSE, quote="USD", settle="BTC", qty_step=1.0
)
OTHER_INVERSE = replace(INVERSE, symbol="BTC/USD:BTC-251226")


def ledger(*markets: Market, capital: float = 10_000.0, leverage: float = 10.0, cross: bool = False) -> Ledger:
    mode = MarginMode.CROSS if cross else MarginMode.ISOLATED
    return Ledger(capital, {market.symbol: market for market in markets}, leverage, mode)


def fill(book: Ledger, market: Market, side: Side, qty: float, price: float, fee: float = 0.0, **changes) -> float:
    values = {"slippage": 0.0, "time": 0, "reason": ExitReason.ORDER, "tag": None} | changes
    return book.apply(book.holdings[market.symbol], side, qty, price, fee=fee, **values)


def near(value: float, rel: float = 1e-12, abs_: float = 0.0):
    return pytest.approx(value, rel=rel, abs=abs_)


# --- rules 12 to 14, 16: positions and balance --------------------------------------------------------------


def test_a_linear_long_from_flat_to_flat():
    """Buy 2 at 100, sell 2 at 110, fees 0.2 and 0.22: balance +20 - 0.42."""
    book = ledger(LINEAR)
    assert fill(book, LINEAR, Side.BUY, 2.0, 100.0, fee=0.2, time=5, tag="in", slippage=0.1) == 0.0
    assert book.balance == near(9_999.8)
    position = book.position(LINEAR.symbol)
    assert (position.qty, position.entry_price, position.side) == (2.0, 100.0, "long")
    assert (position.margin, position.opened) == (20.0, 5)  # 200 / 10
    assert fill(book, LINEAR, Side.SELL, 2.0, 110.0, fee=0.22, time=9, slippage=0.3) == 20.0
    assert book.balance == near(10_019.58)
    assert not book.position(LINEAR.symbol)
    (trade,) = book.trades
    assert (trade.id, trade.side, trade.qty, trade.tag) == (1, "long", 2.0, "in")
    assert (trade.entry_time, trade.entry_price, trade.exit_time, trade.exit_price) == (5, 100.0, 9, 110.0)
    assert (trade.pnl, trade.fees, trade.slippage) == (20.0, near(0.42), near(0.4))
    assert trade.net_pnl == near(19.58)
    assert trade.entry_notional == 200.0
    assert (trade.exit_reason, trade.ambiguous, trade.funding) == (ExitReason.ORDER, False, 0.0)


def test_a_linear_short_that_loses():
    """Sell 2 at 100, buy back at 110: -20."""
    book = ledger(LINEAR)
    fill(book, LINEAR, Side.SELL, 2.0, 100.0)
    assert book.position(LINEAR.symbol).side == "short"
    assert fill(book, LINEAR, Side.BUY, 2.0, 110.0, reason=ExitReason.STOP_LOSS, ambiguous=True) == -20.0
    (trade,) = book.trades
    assert (trade.side, trade.pnl, trade.exit_reason, trade.ambiguous) == ("short", -20.0, "stop_loss", True)


def test_an_inverse_long_grows_by_the_harmonic_mean():
    """100 USD at 50 and 300 at 100 are 2 + 3 BTC: entry 80; all sold at 160: 400 * (1/80 - 1/160) = 2.5 BTC."""
    book = ledger(INVERSE, capital=10.0)
    fill(book, INVERSE, Side.BUY, 100.0, 50.0)
    fill(book, INVERSE, Side.BUY, 300.0, 100.0)
    position = book.position(INVERSE.symbol)
    assert (position.qty, position.entry_price, position.margin) == (400.0, 80.0, 0.5)  # 400 / 80 / 10
    assert position.unrealized_pnl == near(1.0)  # at the mark of 100: 5 - 4
    assert fill(book, INVERSE, Side.SELL, 400.0, 160.0) == near(2.5)
    assert book.balance == near(12.5)
    (trade,) = book.trades
    assert (trade.entry_price, trade.exit_price) == (near(80.0), near(160.0))
    assert trade.entry_notional == near(5.0)
    assert trade.return_pct == near(50.0)  # 2.5 of 5 BTC


def test_an_inverse_short_wins_on_a_fall():
    """1000 USD short from 50 to 40: 1000 * (1/40 - 1/50) = 5 BTC."""
    book = ledger(INVERSE, capital=10.0)
    fill(book, INVERSE, Side.SELL, 1_000.0, 50.0)
    assert fill(book, INVERSE, Side.BUY, 1_000.0, 40.0) == near(5.0)


def test_spot_is_cash_and_coins():
    """10 coins at 100 cost 1000 and a fee of 1; at 120 the account is worth 199 more."""
    book = ledger(SPOT, capital=5_000.0, leverage=1.0)
    fill(book, SPOT, Side.BUY, 10.0, 100.0, fee=1.0)
    assert book.margin_free() == near(3_999.0)  # the cash that is left
    book.holdings[SPOT.symbol].mark = 120.0
    assert book.equity() == near(3_999.0 + 10 * 120.0)
    assert book.margin_free() == near(3_999.0)
    assert book.liquidation_price(book.holdings[SPOT.symbol]) is None


def test_a_position_is_reduced_in_parts():
    """4 at 100: 1 sold at 104, 3 at 96. The trade is one, with the mean exit of 98."""
    book = ledger(LINEAR)
    fill(book, LINEAR, Side.BUY, 4.0, 100.0, fee=0.4)
    assert fill(book, LINEAR, Side.SELL, 1.0, 104.0, fee=0.1) == 4.0
    position = book.position(LINEAR.symbol)
    assert (position.qty, position.realized_pnl, position.entry_price) == (3.0, 4.0, 100.0)
    assert book.trades == []
    assert fill(book, LINEAR, Side.SELL, 3.0, 96.0, fee=0.3) == -12.0
    (trade,) = book.trades
    assert (trade.qty, trade.pnl, trade.exit_price, trade.fees) == (4.0, -8.0, 98.0, near(0.8))


def test_an_opposite_fill_reduces_then_reverses():
    """Rule 20: 5 sold against 3 held close 3 at a fee of 3/5 and open 2 at 2/5."""
    book = ledger(LINEAR)
    fill(book, LINEAR, Side.BUY, 3.0, 100.0, time=1, tag="a")
    assert fill(book, LINEAR, Side.SELL, 5.0, 110.0, fee=1.0, slippage=0.5, time=2, tag="b") == 30.0
    (trade,) = book.trades
    assert (trade.tag, trade.fees, trade.slippage) == ("a", near(0.6), near(0.3))
    position = book.position(LINEAR.symbol)
    assert (position.qty, position.entry_price, position.opened, position.realized_pnl) == (-2.0, 110.0, 2, 0.0)
    fill(book, LINEAR, Side.BUY, 2.0, 110.0, time=3)
    assert (book.trades[1].id, book.trades[1].side, book.trades[1].tag) == (2, "short", "b")
    assert (book.trades[1].fees, book.trades[1].slippage) == (near(0.4), near(0.2))


def test_positions_leave_no_dust():
    """0.1 + 0.2 bought, 0.3 sold: flat, and the trade is over."""
    market = replace(LINEAR, qty_step=0.1)
    book = ledger(market)
    fill(book, market, Side.BUY, 0.1, 100.0)
    fill(book, market, Side.BUY, 0.2, 100.0)
    assert book.position(market.symbol).qty == 0.3
    fill(book, market, Side.SELL, 0.3, 100.0)
    assert not book.position(market.symbol)
    assert len(book.trades) == 1
    fill(book, market, Side.SELL, 0.3, 100.0)
    fill(book, market, Side.BUY, 0.1, 100.0)
    fill(book, market, Side.BUY, 0.2, 100.0)
    assert len(book.trades) == 2


def test_what_is_held_off_the_step_can_be_closed():
    """An account that brought 0.15 along, on a step of 0.1."""
    market = replace(LINEAR, qty_step=0.1)
    book = ledger(market)
    fill(book, market, Side.BUY, 0.15, 100.0)
    assert book.position(market.symbol).qty == 0.15
    fill(book, market, Side.SELL, 0.15, 100.0)
    assert not book.position(market.symbol)


def test_open_trades_are_marked_and_numbered_last():
    """Closed ones first; what is open has no exit and its profit at the last mark."""
    book = ledger(LINEAR, OTHER)
    fill(book, LINEAR, Side.BUY, 3.0, 100.0)
    fill(book, OTHER, Side.BUY, 1.0, 50.0)
    fill(book, OTHER, Side.SELL, 1.0, 55.0)
    fill(book, LINEAR, Side.SELL, 1.0, 104.0)
    book.holdings[LINEAR.symbol].mark = 110.0
    closed, still_open = book.all_trades()
    assert (closed.id, closed.symbol, closed.pnl) == (1, OTHER.symbol, 5.0)
    assert (still_open.id, still_open.symbol, still_open.exit_time) == (2, LINEAR.symbol, None)
    assert (still_open.exit_price, still_open.exit_reason) == (None, None)
    assert still_open.pnl == 4.0 + 20.0
    assert book.trades == [closed]


# --- rules 17, 21: the account ------------------------------------------------------------------------------


@pytest.mark.parametrize("cross", [False, True])
def test_the_account_by_hand(cross):
    """10000, long 10 at 100 with leverage 10, marked at 90: equity 9900, margin 100."""
    book = ledger(LINEAR, cross=cross)
    fill(book, LINEAR, Side.BUY, 10.0, 100.0)
    book.holdings[LINEAR.symbol].mark = 90.0
    account = book.account(77)
    assert (account.currency, account.time) == ("USDT", 77)
    assert (account.balance, account.equity, account.unrealized_pnl) == (10_000.0, 9_900.0, -100.0)
    assert account.margin_used == 100.0
    assert account.margin_free == (9_800.0 if cross else 9_900.0)  # an isolated loss is covered by its margin
    assert book.exposure() == 900.0


def test_exposure_is_signed_and_adds_up():
    """Long 10 at 100, short 4 at 50: 1000 - 200."""
    book = ledger(LINEAR, OTHER)
    assert book.exposure() == 0.0
    fill(book, LINEAR, Side.BUY, 10.0, 100.0)
    fill(book, OTHER, Side.SELL, 4.0, 50.0)
    assert book.exposure() == 800.0


def test_room_is_what_the_free_margin_carries_with_its_fee():
    """1000 free at leverage 10, price 50, fee 1 %: 1000 / (50 * (0.1 + 0.01)) = 181.81..."""
    book = ledger(LINEAR, capital=1_000.0)
    room = book.room(book.holdings[LINEAR.symbol], 1, 0.0, 50.0, fee_rate=0.01, reserved=0.0)
    assert room == near(1_000.0 / 5.5)
    assert book.room(book.holdings[LINEAR.symbol], 1, 0.0, 50.0, fee_rate=0.01, reserved=450.0) == near(100.0)
    assert book.room(book.holdings[LINEAR.symbol], 1, 0.0, 50.0, fee_rate=0.01, reserved=2_000.0) < 0.0
    inverse = ledger(INVERSE, capital=1.0)  # 1 BTC / (1/50000 * 0.11)
    assert inverse.room(inverse.holdings[INVERSE.symbol], 1, 0.0, 50_000.0, fee_rate=0.01, reserved=0.0) == near(
        454_545.4545454545
    )


@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("market", [LINEAR, INVERSE])
@pytest.mark.parametrize("part", [1.0, 0.25])
def test_the_room_of_a_reversal_is_the_room_after_closing(market, cross, part):
    """Asking before is the same as closing first, all or a part, and asking then."""
    qty, fee_rate = (1.5, 0.001) if market is LINEAR else (3_000.0, 0.001)
    book = ledger(market, capital=1_000.0, cross=cross)
    fill(book, market, Side.BUY, qty, 100.0)
    book.holdings[market.symbol].mark = 95.0
    closed = qty * part
    before = book.room(book.holdings[market.symbol], 1, closed, 90.0, fee_rate=fee_rate, reserved=0.0)
    kind = book.holdings[market.symbol].kind
    fill(book, market, Side.SELL, closed, 90.0, fee=rules.fee(kind, closed, 90.0, fee_rate))
    book.holdings[market.symbol].mark = 95.0
    assert before == near(
        book.room(book.holdings[market.symbol], 1, 0.0, 90.0, fee_rate=fee_rate, reserved=0.0), 1e-9
    )


def test_one_account_settles_in_one_currency():
    """Linear and inverse can't share it; the message names both."""
    with pytest.raises(ConfigError, match=r"BTC, USDT.*one account"):
        ledger(LINEAR, INVERSE)


# --- rule 18: liquidation -----------------------------------------------------------------------------------


def test_isolated_stakes_are_the_positions_own_margin():
    """Whatever the balance and the others: long 10 at 100 with leverage 10 stakes 100."""
    book = ledger(LINEAR, OTHER)
    fill(book, LINEAR, Side.BUY, 10.0, 100.0)
    fill(book, OTHER, Side.SELL, 10.0, 100.0)
    assert book.stake(book.holdings[LINEAR.symbol], kept=True) == 100.0
    assert book.liquidation_price(book.holdings[LINEAR.symbol]) == near(
        90.0 / 0.995
    )  # (1000 - 100) / (10 * 0.995)
    assert book.bankruptcy_price(book.holdings[LINEAR.symbol]) == near(90.0)
    assert book.bankruptcy_price(book.holdings[OTHER.symbol]) == near(110.0)


def test_cross_stakes_are_the_balance_and_the_others_profit_less_their_maintenance():
    """1000 with BTC long 10 at 100, and ETH long 20 at 50 marked at 45: 1000 - 100 - 0.005 * 900 = 895.5."""
    book = ledger(LINEAR, OTHER, capital=1_000.0, cross=True)
    fill(book, LINEAR, Side.BUY, 10.0, 100.0)
    assert book.liquidation_price(book.holdings[LINEAR.symbol]) == rules.NONE_LOW  # 1000 carry the whole fall
    fill(book, OTHER, Side.BUY, 20.0, 50.0)
    book.holdings[OTHER.symbol].mark = 45.0
    assert book.stake(book.holdings[LINEAR.symbol], kept=True) == near(895.5)
    assert book.stake(book.holdings[LINEAR.symbol], kept=False) == near(900.0)
    assert book.liquidation_price(book.holdings[LINEAR.symbol]) == near((10 * 100 - 895.5) / (10 * 0.995))


def test_flat_positions_have_no_liquidation_price():
    """Nor a profit, margin or entry."""
    book = ledger(LINEAR)
    assert book.liquidation_price(book.holdings[LINEAR.symbol]) is None
    position = book.position(LINEAR.symbol)
    assert (position.qty, position.entry_price, position.mark_price, position.leverage) == (0.0, None, None, 10.0)
    book.holdings[LINEAR.symbol].mark = 99.0
    assert book.position(LINEAR.symbol).mark_price == 99.0
    assert book.unrealized() == book.margin_used() == 0.0


@given(
    leverage=st.floats(1.01, 125.0), side=st.sampled_from(Side), market=st.sampled_from([LINEAR, INVERSE]),
    price=st.floats(1e-6, 1e6),
)  # fmt: skip
def test_closing_at_the_bankruptcy_price_loses_the_margin(leverage, side, market, price):
    """An isolated loss is the margin, exactly; at the liquidation price it is less by the maintenance margin."""
    qty = 1_000.0
    capital = 10.0 * rules.notional(rules.INVERSE if market.is_inverse else rules.LINEAR, qty, price)
    for rate in (0.0, 0.004):
        market = replace(market, maintenance_margin_rate=rate)
        book = ledger(market, capital=capital, leverage=leverage)
        fill(book, market, side, qty, price)
        margin = book.margin_used()
        at = book.liquidation_price(book.holdings[market.symbol])
        assert at is not None
        fill(book, market, side.opposite, qty, at, reason=ExitReason.LIQUIDATION)
        kept = rate * rules.notional(book.holdings[market.symbol].kind, qty, at)
        assert book.balance == near(capital - margin + kept, 1e-9)


# --- properties over any sequence of fills ------------------------------------------------------------------

FILLS = st.lists(
    st.tuples(
        st.integers(0, 1),  # which market
        st.sampled_from(Side),
        st.integers(1, 5_000),  # steps
        st.integers(1, 1_000_000),  # ticks of 0.01
        st.integers(0, 100),  # fee in cents, or in 1e-6 BTC
    ),
    max_size=40,
)


def exact_pnl(inverse: bool, fills: list[tuple[Fraction, Fraction]], mark: Fraction) -> Fraction:
    """What signed fills (qty, price) are worth at `mark`, without any notion of a position."""
    if inverse:
        return sum((qty / price - qty / mark for qty, price in fills), Fraction(0))
    return sum((qty * (mark - price) for qty, price in fills), Fraction(0))


@given(fills=FILLS, inverse=st.booleans(), cross=st.booleans(), leverage=st.sampled_from([1.0, 3.0, 125.0]))
def test_balance_and_open_profit_are_capital_and_all_fills_at_the_mark(fills, inverse, cross, leverage):
    """At every event, in exact arithmetic beside it: equity = capital + sum of fills at the mark - sum of fees.

    Trades add up to the change of the balance, margins are never negative, and a flat book binds nothing.
    """
    markets = (INVERSE, OTHER_INVERSE) if inverse else (LINEAR, OTHER)
    book = ledger(*markets, capital=1_000.0, leverage=leverage, cross=cross)
    seen: list[list[tuple[Fraction, Fraction]]] = [[], []]
    held, fees, scale = [0, 0], Fraction(0), 1_000.0
    for which, side, steps, ticks, cents in fills:
        market, step = markets[which], Fraction(1) if inverse else Fraction(1, 1_000)
        qty, price, fee = steps * step, Fraction(ticks, 100), Fraction(cents, 1_000_000 if inverse else 100)
        realized = fill(book, market, side, float(qty), float(price), float(fee))
        seen[which].append((side.sign * qty, price))
        held[which] += side.sign * steps
        fees += fee
        scale += rules.notional(book.holdings[market.symbol].kind, float(qty), float(price)) + abs(realized)
        marks = [Fraction(book.holdings[each.symbol].mark).limit_denominator(100) for each in markets]
        profit = sum(exact_pnl(inverse, seen[i], marks[i]) for i in (0, 1) if seen[i])
        assert book.equity() == near(float(1_000 + profit - fees), abs_=1e-9 * scale)
        assert [book.holdings[each.symbol].qty for each in markets] == [float(count * step) for count in held]
        assert book.margin_used() >= 0.0
        assert all(one.margin() >= 0.0 for one in book.holdings.values())
        trades = book.all_trades()
        assert sum(trade.net_pnl for trade in trades) == near(book.equity() - 1_000.0, abs_=1e-9 * scale)
        assert [trade.id for trade in trades] == list(range(1, len(trades) + 1))
    if held == [0, 0]:
        assert book.margin_used() == book.unrealized() == book.exposure() == 0.0
        assert sum(trade.net_pnl for trade in book.trades) == near(book.balance - 1_000.0, abs_=1e-9 * scale)


@given(
    qty=st.integers(2, 10**6), part=st.floats(0.01, 0.99), ticks=st.integers(1, 10**6), out=st.integers(1, 10**6),
    side=st.sampled_from(Side), inverse=st.booleans(),
)  # fmt: skip
def test_split_fills_equal_one_fill(qty, part, ticks, out, side, inverse):
    """Two fills at one price are one, in and out, but for the noise of floats."""
    market, step = (INVERSE, 1.0) if inverse else (LINEAR, 0.001)
    first = min(max(1, int(qty * part)), qty - 1)
    whole, split = ledger(market), ledger(market)
    for book, parts in ((whole, [qty]), (split, [first, qty - first])):
        for direction, price in ((side, ticks / 100.0), (side.opposite, out / 100.0)):
            for count in parts:
                fill(book, market, direction, rules.round_down(count * step, step), price, fee=count * 1e-6)
    kind = rules.INVERSE if inverse else rules.LINEAR
    scale = 10_000.0 + sum(rules.notional(kind, qty * step, each / 100.0) for each in (ticks, out))
    assert split.balance == near(whole.balance, abs_=1e-12 * scale)
    (one,), (two,) = whole.trades, split.trades
    assert (two.qty, two.side) == (one.qty, one.side)
    assert (two.entry_price, two.exit_price) == (near(one.entry_price, 1e-9), near(one.exit_price, 1e-9))
    assert two.fees == near(one.fees, 1e-9)


@given(
    qty=st.integers(1, 10**6), price=st.floats(1e-6, 1e6), fee=st.floats(0.0, 100.0), side=st.sampled_from(Side)
)
def test_a_round_trip_at_one_price_loses_exactly_the_fees(qty, price, fee, side):
    """Linear and inverse, long and short: no profit at all, not even a last digit's."""
    for market in (LINEAR, INVERSE):
        book = ledger(market, capital=1_000.0)
        fill(book, market, side, float(qty), price, fee=fee)
        assert fill(book, market, side.opposite, float(qty), price, fee=fee) == 0.0
        assert book.balance == 1_000.0 - fee - fee
        assert book.trades[0].pnl == 0.0


@given(
    path=st.lists(
        st.tuples(st.integers(1, 1_000), st.integers(1, 10**6), st.sampled_from(Side)), min_size=1, max_size=20
    )
)
def test_a_linear_short_book_mirrors_a_long_one(path):
    """The same fills on the other side at the same prices: the profit changes its sign, exactly."""
    books = ledger(LINEAR), ledger(LINEAR)
    for count, ticks, side in path:
        qty, price = rules.round_down(count * 0.001, 0.001), ticks / 100.0
        realized = [
            fill(book, LINEAR, each, qty, price) for book, each in zip(books, (side, side.opposite), strict=True)
        ]
        assert realized[0] == -realized[1]
        assert books[0].unrealized() == -books[1].unrealized()
        assert books[0].margin_used() == books[1].margin_used()


def test_extreme_prices_and_sizes():
    """A coin of 1e-12 and a position of 1e12 are booked like any other."""
    market = replace(LINEAR, qty_step=1.0)
    book = ledger(market)
    fill(book, market, Side.BUY, 1e12, 1e-12)
    assert book.position(market.symbol).margin == near(0.1)
    assert fill(book, market, Side.SELL, 1e12, 3e-12) == near(2.0)
    assert fill(book, market, Side.SELL, 1.0, 1e12) == 0.0
    assert book.bankruptcy_price(book.holdings[market.symbol]) == near(1.1e12)
    assert math.isfinite(book.equity())


# --- costs (rules 4, 16, 18) --------------------------------------------------------------------------------


def test_costs_are_the_markets_unless_told():
    """A rate of 0 is a rate, not a missing one."""
    market = replace(
        LINEAR, maker=0.0002, taker=0.0005, maintenance_margin_rate=0.004, liquidation_fee_rate=0.0125
    )
    own = Costs()
    assert [own.maker(market), own.taker(market)] == [0.0002, 0.0005]
    assert [own.maintenance(market), own.liquidation_fee(market)] == [0.004, 0.0125]
    free = Costs(fee_maker=0.0, fee_taker=0.0, maintenance_margin_rate=0.0, liquidation_fee_rate=0.0)
    assert [free.maker(market), free.taker(market)] == [0.0, 0.0]
    assert [free.maintenance(market), free.liquidation_fee(market)] == [0.0, 0.0]
