"""The normalised model: values, signs, and the numbers that records derive."""

import dataclasses
from enum import StrEnum

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert import models
from metaexpert.errors import ConfigError
from metaexpert.models import (
    Account,
    Bar,
    ContractType,
    ExitReason,
    Fill,
    Market,
    MarketType,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Side,
    Tick,
    Tier,
    Trade,
)

EXPORTED = [getattr(models, name) for name in models.__all__]
NOON = 1_704_110_400_000  # 2024-01-01 12:00 UTC


def order(**changes) -> Order:
    values = {
        "id": "1",
        "symbol": "BTC/USDT",
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "qty": 2.0,
        "price": 100.0,
    }
    return Order(**(values | changes))


def trade(**changes) -> Trade:
    values = {
        "id": 1,
        "symbol": "BTC/USDT",
        "side": "long",
        "qty": 2.0,
        "entry_time": NOON,
        "entry_price": 100.0,
        "exit_time": NOON + 1,
        "exit_price": 110.0,
        "pnl": 20.0,
        "fees": 0.42,
        "slippage": 0.1,
        "funding": -0.5,
        "entry_notional": 200.0,
        "exit_reason": ExitReason.ORDER,
        "tag": None,
        "ambiguous": False,
    }
    return Trade(**(values | changes))


def market(**changes) -> Market:
    values = {
        "symbol": "BTC/USDT",
        "exchange": "demo",
        "type": MarketType.SPOT,
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
    }
    return Market(**(values | changes))


def test_buy_and_sell_are_opposite():
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert Side.BUY.opposite is Side.SELL
    assert Side.SELL.opposite is Side.BUY


@pytest.mark.parametrize("enum", [e for e in EXPORTED if issubclass(e, StrEnum)])
def test_words_equal_their_strings(enum):
    assert all(word == word.value == str(word) for word in enum)
    assert len({word.value.lower() for word in enum}) == len(enum)


def test_words_are_those_of_ccxt():
    assert [*Side] == ["buy", "sell"]
    assert {OrderStatus.OPEN, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED} == {
        "open",
        "canceled",
        "rejected",
        "expired",
    }
    assert [*models.TimeInForce] == ["GTC", "IOC", "FOK"]
    assert [*models.MarginMode] == ["isolated", "cross"]


@pytest.mark.parametrize("record", [e for e in EXPORTED if dataclasses.is_dataclass(e)])
def test_state_records_are_frozen_and_named_by_keyword(record):
    parameters = record.__dataclass_params__
    assert (parameters.frozen, parameters.kw_only) == (True, True)
    assert parameters.slots == (record is not Order), "an order is changed too often for slots"


@pytest.mark.parametrize("record", [e for e in EXPORTED if issubclass(e, tuple) and e is not models.Tier])
def test_stream_records_are_tuples_that_open_with_their_time_or_id(record):
    assert record._fields[0] in ("time", "id")


@pytest.mark.parametrize(
    "record",
    [
        Bar(NOON, "BTC/USDT", "1h", 1.0, 2.0, 0.5, 1.5, 10.0),
        Tick(NOON, "BTC/USDT", 1.0, 1.1, 1.0, 0.0),
        Fill(1, NOON, "BTC/USDT", "1", Side.BUY, 1.0, 1.0, 0.0, False, 0.0, 0.0, ExitReason.ORDER),
    ],
)
def test_a_time_is_also_a_utc_timestamp(record):
    assert record.timestamp == pd.Timestamp("2024-01-01 12:00", tz="UTC")
    assert str(record.timestamp.tz) == "UTC"


def test_net_profit_is_profit_less_fees_plus_funding():
    assert trade().net_pnl == pytest.approx(20.0 - 0.42 - 0.5)
    assert trade(funding=0.5).net_pnl == pytest.approx(20.0 - 0.42 + 0.5)


def test_return_is_net_profit_in_percent_of_the_entry_notional():
    assert trade().return_pct == pytest.approx(100.0 * 19.08 / 200.0)
    assert trade(entry_notional=0.0).return_pct == 0.0


@given(st.floats(0, 1e9), st.floats(0, 1e6), st.floats(-1e6, 1e6))
def test_slippage_is_in_the_prices_and_not_taken_twice(pnl, fees, funding):
    values = {"pnl": pnl, "fees": fees, "funding": funding}
    assert trade(**values, slippage=0.0).net_pnl == trade(**values, slippage=7.0).net_pnl


def test_what_remains_of_an_order_is_not_filled_yet():
    assert order().remaining == 2.0
    assert order(filled=0.5).remaining == 1.5
    assert order(filled=2.0).remaining == 0.0


@pytest.mark.parametrize("status", list(OrderStatus))
def test_only_pending_and_open_orders_work(status):
    assert order(status=status).is_working == (status in ("pending", "open"))


@pytest.mark.parametrize(
    ("qty", "side", "is_long", "is_short", "truth"),
    [(1.5, "long", True, False, True), (-1e-9, "short", False, True, True), (0.0, "flat", False, False, False)],
)
def test_the_sign_of_a_position_is_its_side(qty, side, is_long, is_short, truth):
    position = Position(symbol="BTC/USDT", qty=qty)
    assert (position.side, position.is_long, position.is_short, bool(position)) == (side, is_long, is_short, truth)


def test_a_record_is_changed_by_replacing_it():
    before = order()
    after = dataclasses.replace(before, filled=1.0)
    assert (before.filled, after.filled) == (0.0, 1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.filled = 1.0  # pyright: ignore[reportAttributeAccessIssue]


def test_records_take_no_attribute_that_they_do_not_declare():
    with pytest.raises((AttributeError, TypeError)):
        Account(currency="USDT", balance=1.0, equity=1.0).margin = 1.0  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("kind", "contract", "is_spot", "is_inverse"),
    [
        (MarketType.SPOT, None, True, False),
        (MarketType.FUTURES, ContractType.LINEAR, False, False),
        (MarketType.FUTURES, ContractType.INVERSE, False, True),
        (MarketType.OPTIONS, ContractType.INVERSE, False, True),
    ],
)
def test_a_market_knows_its_kind(kind, contract, is_spot, is_inverse):
    found = market(type=kind, contract_type=contract)
    assert (found.is_spot, found.is_inverse) == (is_spot, is_inverse)


def test_where_a_markets_rules_come_from_makes_no_other_market():
    assert market(source="import") == market(source="built in")
    assert market(taker=0.0) != market()


# -- margin tiers -------------------------------------------------------------------------------------------------


def test_margin_tiers_may_be_bare_lists_as_json_gives_them():
    made = market(tiers=[[50_000.0, 0.004, 0.0, 125.0], [250_000.0, 0.005, 50.0, 100.0]])
    assert made.tiers == (Tier(50_000.0, 0.004, 0.0, 125.0), Tier(250_000.0, 0.005, 50.0, 100.0))


def test_margin_tiers_must_ascend():
    with pytest.raises(ConfigError, match="must ascend"):
        market(tiers=[Tier(250_000.0, 0.005), Tier(50_000.0, 0.004)])


def test_an_option_is_booked_in_the_currency_of_its_premium():
    option = market(type=MarketType.OPTIONS, contract_type=ContractType.INVERSE, option_type="call")
    assert (option.is_option, option.is_inverse, option.is_spot) == (True, False, False)


def test_a_changed_order_is_another_value_with_the_rest_as_it_was():
    """Against `dataclasses.replace`, which it stands for."""
    first = order(price=9.0, tag="t")
    changed = first.changed(qty=2.0, status=OrderStatus.FILLED)
    expected = dataclasses.replace(first, qty=2.0, status=OrderStatus.FILLED)
    assert changed == expected
    assert hash(changed) == hash(expected)
    assert first == order(price=9.0, tag="t") == first.changed()
    with pytest.raises(dataclasses.FrozenInstanceError):
        changed.qty = 3.0
    with pytest.raises(AttributeError):
        first.changed(quantity=2.0)


def test_the_fields_of_an_order_make_an_equal_one_and_are_a_dict_of_their_own():
    first = order(price=9.0, tag="t")
    fields = first.fields()
    assert Order.of(fields) == first
    assert set(fields) == {one.name for one in dataclasses.fields(Order)}
    other = first.fields()
    other["qty"] = 2.0
    assert Order.of(other) == first.changed(qty=2.0)
    assert first == order(price=9.0, tag="t")


def test_records_that_are_made_at_once_are_what_the_constructor_makes():
    bar = models.Bar(1, "BTC/USDT", "1h", 1.0, 2.0, 0.5, 1.5, 10.0)
    made = models.maker(models.Bar)(tuple(bar))
    assert (made, type(made), made.high) == (bar, models.Bar, 2.0)
