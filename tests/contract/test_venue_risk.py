"""What the venue does to an account by itself: margin calls, funding payments, settlement."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from venue.dialects import DIALECTS, binance, okx
from venue.instruments import FLAT, Instrument, Kind, Tier, Tiers, quarters
from venue.news import BalanceNews, Cause, Change, News, OrderNews, PositionNews
from venue.orders import Order, Reason, Refusal, Status
from venue.prices import Prices
from venue.state import State

from metaexpert.clock import SimClock

NOW = 1_790_000_000_000
HOUR = 3_600_000
EXPIRY = quarters(NOW)[0]
D = Decimal


def state_of(clock: SimClock | None = None, tiers: Tiers = FLAT) -> State:
    """Binance, everything at 50,000 and with the same tiers."""
    clock = clock or SimClock(NOW)
    items = [replace(item, tiers=tiers) for item in binance.instruments(NOW)]
    state = State(items, Prices(), clock.now, binance.wallet_of, binance.HABITS)
    for item in state.instruments.values():
        state.pin(item, 50_000)
    return state


def order(item: Instrument, amount: str, price: str | None = None, **terms: object) -> Order:
    """Buy so much, or sell it if the amount is negative."""
    size = D(amount)
    return Order(instrument=item, buy=size > 0, amount=abs(size), price=D(price) if price else None, **terms)  # pyright: ignore[reportArgumentType]


# --- liquidation


@pytest.mark.parametrize(
    ("name", "amount", "level"),
    [
        ("BTCUSDT", "1", "45226.1"),  # (50,000 - 5,000) / (1 - 0.005)
        ("BTCUSDT", "-1", "54726.4"),  # (-50,000 - 5,000) / (-1 - 0.005)
        ("BTCUSD_PERP", "1000", "45681.8"),  # 100,000 * 1.005 / (0.2 + 2)
        ("BTCUSD_PERP", "-1000", "55277.8"),  # -100,000 * 0.995 / (0.2 - 2)
    ],
)
def test_an_isolated_position_is_liquidated_at_its_level_and_loses_its_margin(
    name: str, amount: str, level: str
) -> None:
    """Leverage 10, maintenance 0.5 %: a tick before the level nothing happens, at it the margin is gone."""
    state = state_of()
    item = state.instrument(name, Kind.LINEAR, Kind.INVERSE)
    state.set_isolated(item, True)
    state.place(order(item, amount))
    (position,) = state.held()
    before = state.balances[state.wallet_of(item), item.settle]
    assert position.margin == item.value(abs(D(amount)), D(50_000)) / 10
    assert state.liquidation(position) == D(level)
    away = item.tick if D(amount) > 0 else -item.tick
    margin = position.margin
    state.pin(item, D(level) + away)
    assert state.held() == [position]
    state.pin(item, D(level) - away)
    assert state.held() == []
    assert state.balances[state.wallet_of(item), item.settle] == before - margin
    assert state.free(state.wallet_of(item), item.settle) == before - margin


def test_beyond_its_margin_an_isolated_position_loses_nothing() -> None:
    """From 50,000 to 44,000 it loses 6,000, of which its margin of 5,000 is its own."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.set_isolated(item, True)
    state.place(order(item, "1"))
    heard: list[News] = []
    state.listeners.append(heard.append)
    state.pin(item, 44_000)
    assert state.balances["linear", "USDT"] == 100_000 - 25 - 5_000
    moved = [(one.change, one.cause) for one in heard if isinstance(one, BalanceNews)]
    assert moved == [(D(-6_000), Cause.FILL), (D(1_000), Cause.LIQUIDATION)]


def test_a_cross_position_has_the_whole_balance_at_stake() -> None:
    """10 at 50,000 on 99,750: (500,000 - 99,750) / 9.95 = 40,226.1; at 40,226 the fee takes the 2,010 left."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.place(order(item, "10"))
    (position,) = state.held()
    assert state.liquidation(position) == D("40226.1")
    resting = state.place(order(item, "0.01", "30000"))
    state.pin(item, "40226.2")
    assert state.held() == [position]
    state.pin(item, 40_226)
    assert state.held() == []
    assert state.balances["linear", "USDT"] == 0
    assert resting.status is Status.CANCELED


def test_of_cross_positions_the_worst_goes_first_and_the_rest_stays_if_it_can() -> None:
    """Maintenance 1 %: 4,039 are left of a long of 10 BTC and a short of 1 ETH when 4,032.90 + 10 are needed.

    The long goes, at 40,329 with a loss of 96,710 and a fee of 0.5 %, 2,016.45; the short has gained 1,000.
    """
    state = state_of(tiers=Tiers((Tier(D("Infinity"), D("0.01"), 100),)))
    btc, eth = (state.instrument(name, Kind.LINEAR) for name in ("BTCUSDT", "ETHUSDT"))
    state.pin(eth, 2_000)
    state.place(order(btc, "10"))
    state.place(order(eth, "-1"))
    state.pin(eth, 1_000)
    state.pin(btc, 40_329)
    assert [(one.instrument.id, one.amount) for one in state.held()] == [("ETHUSDT", D(-1))]
    assert state.balances["linear", "USDT"] == D(100_000) - 250 - 1 - 96_710 - D("2016.45")
    assert state.gains("linear", "USDT") == 1_000


def test_a_liquidation_is_told_as_an_order_of_the_exchange_s_own() -> None:
    """Accepted, filled at the mark price, position, money."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.set_isolated(item, True)
    state.place(order(item, "1"))
    heard: list[News] = []
    state.listeners.append(heard.append)
    state.pin(item, 45_226)
    _, accepted, filled, position, profit, fee = heard
    assert isinstance(accepted, OrderNews)
    assert (accepted.change, accepted.order.cause, accepted.order.buy) == (Change.ACCEPTED, "liquidation", False)
    assert isinstance(filled, OrderNews)
    assert filled.fill is not None
    assert (filled.fill.price, filled.fill.profit) == (D(45_226), D(-4_774))
    assert isinstance(position, PositionNews)
    assert isinstance(profit, BalanceNews)
    assert (profit.change, profit.cause) == (D(-4_774), Cause.FILL)
    assert isinstance(fee, BalanceNews)
    assert (fee.change, fee.cause) == (D(-226), Cause.FEE)  # 0.5 % would be 226.13: no more than is left


def test_hedged_positions_of_a_cross_account_carry_one_another() -> None:
    """A long and a short of 10 have no risk but their maintenance: at half and at twice the price both stay."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.set_hedged("linear", True)
    state.leverages[item.kind, item.id] = D(20)
    for side, amount in (("LONG", "10"), ("SHORT", "-10")):
        state.place(order(item, amount, side=side))
    for price in (25_000, 100_000):
        state.pin(item, price)
        assert len(state.held()) == 2


TIERS = (Tier(D(50_000), D("0.004"), 100), Tier(D(500_000), D("0.01"), 50))


def test_tiers() -> None:
    """Of 200,000: sliced 50,000 * 0.4 % + 150,000 * 1 % = 1,700, else 1 % of all; a tier holds up to its end."""
    assert Tiers(TIERS, sliced=True).maintenance(D(4), D(200_000)) == 1_700
    assert Tiers(TIERS).maintenance(D(4), D(200_000)) == 2_000
    assert Tiers(TIERS).maintenance(D(1), D(50_000)) == 200
    assert Tiers(TIERS, by_amount=True).maintenance(D(50_001), D(200_000)) == 2_000
    assert Tiers(TIERS, sliced=True).maintenance(D(9), D(900_000)) == 9_000 - 300  # above the last: as in it


def test_the_level_follows_the_tier() -> None:
    """4 at 50,000, isolated at 10: (200,000 - 20,000 - 300) / (4 * 0.99) = 45,378.8."""
    state = state_of(tiers=Tiers(TIERS, sliced=True))
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.set_isolated(item, True)
    state.place(order(item, "4"))
    (position,) = state.held()
    assert state.maintenance(position) == 1_700
    assert state.liquidation(position) == D("45378.8")


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.NAME)
def test_every_exchange_liquidates_by_its_own_tiers(dialect) -> None:
    """The level is where the margin that is left is that of maintenance, to two ticks, on each contract."""
    state = State(dialect.instruments(NOW), Prices(), SimClock(NOW).now, dialect.wallet_of, dialect.HABITS)
    for item in state.listed(Kind.LINEAR, Kind.INVERSE):
        state.pin(item, 1_000)
        if not state.is_isolated(item):
            state.set_isolated(item, True)
        state.balances[state.wallet_of(item), item.settle] = D(10_000)
        amount = max(item.min_amount, (500 / item.notional(D(1), D(1_000))) // item.step * item.step)
        state.place(Order(instrument=item, buy=True, amount=amount))
        (position,) = state.held(item)
        state.pinned[item.kind, item.id] = state.liquidation(position)
        left = position.margin + state.profit(position) - state.maintenance(position)
        assert abs(left) <= abs(item.profit(amount, D(1_000), D(1_000) + item.tick)) * 2, item.id


def test_another_leverage_changes_the_margin_of_an_isolated_position() -> None:
    """50,000 at 10 have a margin of 5,000, at 20 one of 2,500; told, and free again."""
    state = state_of()
    item = state.instrument("BTCUSDT", Kind.LINEAR)
    state.set_isolated(item, True)
    state.place(order(item, "1"))
    (position,) = state.held()
    heard: list[News] = []
    state.listeners.append(heard.append)
    free = state.free("linear", "USDT")
    state.set_leverage(item, D(20))
    assert (position.margin, state.free("linear", "USDT") - free) == (2_500, 2_500)
    assert heard == [PositionNews(position)]


# --- funding


@pytest.mark.parametrize("isolated", [True, False])
def test_a_long_pays_a_positive_rate_at_the_instant_and_a_short_gets_it(isolated: bool) -> None:
    """1.0 at a mark price of 50,000 pays 50,000 times the rate that the exchange tells; only at the instant."""
    every = 8 * HOUR
    clock = SimClock(NOW // every * every + HOUR)
    for amount, sign in (("1", -1), ("-1", 1)):
        clock = SimClock(NOW // every * every + HOUR)
        state = state_of(clock)
        item = state.instrument("BTCUSDT", Kind.LINEAR)
        if isolated:
            state.set_isolated(item, True)
        state.place(order(item, amount))
        before, (position,) = state.balances["linear", "USDT"], state.held()
        margin = position.margin
        instant = NOW // every * every + every
        paid = sign * 50_000 * state.prices.funding_rate(item, instant)
        clock.advance(instant - 1)
        state.advance()
        assert state.balances["linear", "USDT"] == before
        clock.advance(instant + every - 1)
        state.advance()
        state.advance()
        assert state.balances["linear", "USDT"] == before + paid
        assert (position.funding, position.margin - margin) == (paid, paid if isolated else 0)
        entry = state.ledger[-1]
        assert (entry.time, entry.change, entry.cause) == (instant, paid, Cause.FUNDING)


# --- expiry


def test_a_dated_contract_is_settled_at_the_index_price() -> None:
    """Bought 1 at 50,000, pinned at 52,000 at expiry: 2,000 without a fee; orders end, new ones are refused."""
    clock = SimClock(EXPIRY - HOUR)
    state = state_of(clock)
    item = next(one for one in state.listed(Kind.LINEAR) if one.expiry)
    state.place(order(item, "1"))
    resting = state.place(order(item, "1", "40000"))
    before = state.balances["linear", "USDT"]
    state.pin(item, 52_000)
    clock.advance(item.expiry or 0)
    state.advance()
    assert state.held() == []
    assert state.balances["linear", "USDT"] == before + 2_000
    assert resting.status is Status.EXPIRED
    last = list(state.orders.values())[-1]
    assert (last.cause, last.fills[0].time, last.fills[0].fee) == ("settlement", item.expiry, 0)
    with pytest.raises(Refusal) as refusal:
        state.place(order(item, "1"))
    assert refusal.value.reason is Reason.SYMBOL


@pytest.mark.parametrize(
    ("call", "index", "worth"), [(True, 60_000, 6_000), (True, 50_000, 0), (False, 50_000, 4_000)]
)
def test_an_option_is_settled_at_what_it_is_worth(call: bool, index: int, worth: int) -> None:
    """Strike 54,000: a call at 60,000 is worth 6,000 of each coin, at 50,000 nothing; a put there 4,000."""
    clock = SimClock(EXPIRY - HOUR)
    state = state_of(clock)
    item = next(
        one for one in state.listed(Kind.OPTION) if (one.base, one.strike, one.call) == ("BTC", D(54_000), call)
    )
    state.pin(item, 1_000)
    state.place(order(item, "0.5"))
    before = state.balances["option", "USDT"]
    state.pin(state.instrument("BTCUSDT", Kind.SPOT), index)
    clock.advance(item.expiry or 0)
    state.advance()
    assert state.held() == []
    assert state.balances["option", "USDT"] == before + D("0.5") * worth


@pytest.mark.parametrize(("spot", "unit"), [(60_000, 9_000), (52_000, 5_800), (40_000, 4_000)])
def test_a_sold_option_binds_its_worth_and_a_part_of_its_underlying(spot: int, unit: int) -> None:
    """A call of 54,000 a coin: at 60,000 15 % of that; at 52,000 2,000 less than 7,800; at 40,000 a tenth."""
    state = state_of(SimClock(NOW))
    item = next(
        one for one in state.listed(Kind.OPTION) if (one.base, one.strike, one.call) == ("BTC", D(54_000), True)
    )
    state.pin(state.followed(item), spot)
    state.pin(item, 1_000)
    before = state.free("option", "USDT")
    resting = state.place(order(item, "-0.5", "2000"))
    assert state.free("option", "USDT") == before - unit * D("0.5")
    state.cancel(resting)
    sold = state.place(order(item, "-0.5"))
    fee = sold.fills[0].fee  # 0.024 % of half the underlying, a tenth of the premium at most
    assert fee == min(D("0.00024") * spot * D("0.5"), D(50))
    assert state.balances["option", "USDT"] - state.used("option", "USDT") == before - unit * D("0.5") - fee
    assert state.used("option", "USDT") == (unit + 1_000) * D("0.5")
    state.balances["option", "USDT"] = state.used("option", "USDT")  # nothing is free
    with pytest.raises(Refusal) as refusal:
        state.place(order(item, "-0.01"))
    assert refusal.value.reason is Reason.FUNDS
    state.place(order(item, "0.5"))  # what is bought back needs nothing
    assert state.held() == []


def test_a_coin_settled_option_pays_coins() -> None:
    """OKX: a call of 54,000 at 60,000 pays 6,000 / 60,000 = 0.1 of each coin; a contract is 0.01 coins."""
    clock = SimClock(EXPIRY - HOUR)
    state = State(okx.instruments(NOW), Prices(), clock.now, okx.wallet_of, okx.HABITS)
    item = next(
        one for one in state.listed(Kind.OPTION) if (one.base, one.strike, one.call) == ("BTC", 54_000, True)
    )
    state.pin(item, "0.02")
    state.place(order(item, "10"))
    before = state.balances["trading", "BTC"]
    state.pin(state.instrument("BTC-USD-SWAP", Kind.INVERSE), 60_000)
    clock.advance(item.expiry or 0)
    state.advance()
    assert state.balances["trading", "BTC"] == before + D("0.01")  # 10 * 0.01 * 0.1
