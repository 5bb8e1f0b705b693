"""Markets of the exchanges in our words, and quantities in theirs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert import rules
from metaexpert.errors import DataError, OrderRejected
from metaexpert.exchanges.markets import amount_text, market_of, price_text, to_amount, to_qty
from metaexpert.models import ContractType, MarketType


def raw(kind="swap", size=1.0, step=0.001, tick=0.1, inverse=False, **more):
    settle = {"spot": None}.get(kind, "BTC" if inverse else "USDT")
    quote = "USD" if inverse else "USDT"
    return {
        "id": "X", "symbol": f"BTC/{quote}" + (f":{settle}" if settle else ""), "base": "BTC", "quote": quote,
        "settle": settle, "type": kind, "inverse": inverse, "contractSize": None if kind == "spot" else size,
        "precision": {"amount": step, "price": tick}, "maker": 0.0002, "taker": 0.0005,
        "limits": {"amount": {"min": step, "max": 1000}, "cost": {"min": 5}, "leverage": {"max": 50}}, "info": {},
    } | more  # fmt: skip


OKX_OPTION = raw("option", 1, 1, 0.0001, inverse=True, strike="60000", optionType="put", expiry=1735286400000)

# 0.25 BTC, or 12,500 USD at 50,000, in the unit of each exchange
TABLE = [
    ("binance", raw("spot"), 0.25, "0.25"),
    ("binance", raw(), 0.25, "0.25"),
    ("binance", raw(size=100, step=1, inverse=True), 12_500, "125"),
    ("binance", raw("option", 1, 0.01), 0.25, "0.25"),
    ("bybit", raw("spot"), 0.25, "0.25"),
    ("bybit", raw(), 0.25, "0.25"),
    ("bybit", raw(size=1, step=1, inverse=True), 12_500, "12500"),
    ("bybit", raw("option", 1, 0.01), 0.25, "0.25"),
    ("okx", raw("spot"), 0.25, "0.25"),
    ("okx", raw(size=0.01, step=0.01), 0.25, "25"),
    ("okx", raw(size=100, step=0.1, inverse=True), 12_500, "125"),
    ("okx", {**OKX_OPTION, "info": {"ctMult": "0.01"}}, 0.25, "25"),
    ("bitget", raw("spot"), 0.25, "0.25"),
    ("bitget", raw(), 0.25, "0.25"),
    ("bitget", raw(step=0.0001, inverse=True), 12_500, "0.25"),
    ("kucoin", raw("spot"), 0.25, "0.25"),
    ("kucoin", raw(size=0.001, step=1), 0.25, "250"),
    ("kucoin", raw(size=1, step=1, inverse=True), 12_500, "12500"),
]
NAMES = [f"{exchange}-{one['type']}{'-inverse' if one['inverse'] else ''}" for exchange, one, *_ in TABLE]


@pytest.mark.parametrize(("exchange", "one", "qty", "amount"), TABLE, ids=NAMES)
def test_quantities_in_each_exchanges_unit_and_back(exchange, one, qty, amount):
    market = market_of(one, exchange)
    assert amount_text(market, qty, 50_000.0) == amount
    assert to_qty(market, float(amount), 50_000.0) == qty
    assert to_amount(market, qty, 50_000.0) == float(amount)


@pytest.mark.parametrize(("exchange", "one"), [row[:2] for row in TABLE], ids=NAMES)
@given(steps=st.integers(1, 10**7))
def test_whole_steps_survive_the_way_there_and_back(exchange, one, steps):
    market = market_of(one, exchange)
    qty = rules.round_down(steps * market.qty_step, market.qty_step)
    if market.amount_step is None:
        assert to_qty(market, float(amount_text(market, qty))) == qty
    else:  # counted in base: never more than was asked for, and less by less than one step
        sent = float(amount_text(market, max(qty, 10.0), 50_000.0))
        assert 0.0 <= max(qty, 10.0) / 50_000.0 - sent < market.amount_step * (1 + 1e-9)


def test_every_field_of_a_linear_swap():
    market = market_of(
        raw(size=0.01, step=0.01, info={"maxMktSz": "35000"}), "okx"
    )  # 0.01 BTC a contract, steps of 0.01 contracts
    assert (market.symbol, market.id, market.type) == ("BTC/USDT:USDT", "X", MarketType.FUTURES)
    assert (market.base, market.quote, market.settle) == ("BTC", "USDT", "USDT")
    assert market.contract_type is ContractType.LINEAR
    assert (market.contract_size, market.qty_step, market.price_tick) == (0.01, 0.0001, 0.1)
    assert (market.min_qty, market.max_qty, market.max_market_qty) == (0.0001, 10.0, 350.0)
    assert (market.min_notional, market.max_notional) == (5.0, None)
    assert (market.maker, market.taker, market.max_leverage) == (0.0002, 0.0005, 50.0)


def test_an_inverse_swap_counts_face_value():
    market = market_of(raw(size=100, step=1, inverse=True), "binance")
    assert (market.qty_step, market.min_qty, market.max_qty, market.settle) == (100.0, 100.0, 100_000.0, "BTC")


def test_an_okx_option_has_its_multiplier():
    market = market_of({**OKX_OPTION, "info": {"ctMult": "0.01"}}, "okx")
    assert (market.contract_size, market.qty_step) == (0.01, 0.01)
    assert (market.strike, market.option_type, market.expiry) == (60_000.0, "put", 1_735_286_400_000)
    assert market.contract_type is None


@pytest.mark.parametrize(
    ("exchange", "rates"), [("binance", (0.0003, 0.0003)), ("bybit", (0.0002, 0.0003)), ("okx", (0.0002, 0.0003))]
)
def test_options_have_the_rates_of_options(exchange, rates):
    """CCXT tells those of the spot market, or of contracts."""
    market = market_of(raw("option", 1, 0.01), exchange)
    assert (market.maker, market.taker) == rates


def test_what_the_exchange_says_beside_ccxts_fields():
    binance = market_of(raw(info={"liquidationFee": "0.0125"}), "binance")
    kucoin = market_of(raw(info={"maintainMargin": 0.004, "marketMaxOrderQty": 10}, size=0.001), "kucoin")
    bybit = market_of(raw(info={"lotSizeFilter": {"minNotionalValue": "5"}}, limits={}), "bybit")
    assert binance.liquidation_fee_rate == 0.0125
    assert (kucoin.maintenance_margin_rate, kucoin.max_market_qty) == (0.004, 0.01)
    assert bybit.min_notional == 5.0


@pytest.mark.parametrize(("quote", "most"), [("USDT", 20_000_000.0), ("BTC", None)])
def test_the_largest_notional_of_okx_spot_is_that_of_limit_orders_where_dollars_are_paid(quote, most):
    limits = {"amount": {"min": 0.1}, "cost": {"max": 1_000_000}}
    found = raw("spot", limits=limits, info={"maxMktAmt": "1000000", "maxLmtAmt": "20000000"}) | {"quote": quote}
    assert market_of(found, "okx").max_notional == most


def test_zero_stands_for_no_limit():
    limits = {"amount": {"min": 0, "max": 0}, "cost": {"min": None, "max": 0}, "market": {"max": 0}}
    market = market_of(raw("spot", limits=limits), "binance")
    assert (market.min_qty, market.max_qty, market.max_notional, market.max_market_qty) == (0.0, None, None, None)


def test_spot_has_no_leverage_whatever_its_margin_market_has():
    assert market_of(raw("spot"), "bybit").max_leverage == 1.0


@pytest.mark.parametrize(
    "broken", [{"type": "index"}, {"precision": {}}, {"precision": {"amount": "x", "price": 1}}]
)
def test_a_market_without_steps_or_type_is_refused(broken):
    with pytest.raises(DataError, match="BTC/USDT:USDT"):
        market_of(raw(**broken), "okx")


def test_prices_fall_on_the_tick_buys_down_and_sells_up():
    market = market_of(raw(tick=0.1), "okx")
    assert price_text(market, 100.07) == "100"
    assert price_text(market, 100.07, -1) == "100.1"
    with pytest.raises(OrderRejected, match="tick"):
        price_text(market, 0.01)


def test_amounts_are_plain_digits_rounded_down():
    market = market_of(raw(step=1e-8), "okx")
    assert amount_text(market, 1.239e-7) == "0.00000012"
    assert amount_text(market_of(raw(step=100), "okx"), 12_345.0) == "12300"
    with pytest.raises(OrderRejected, match="step"):
        amount_text(market, 1e-9)


def test_a_price_is_asked_for_where_inverse_is_counted_in_base():
    with pytest.raises(OrderRejected, match="price"):
        amount_text(market_of(raw(inverse=True), "bitget"), 100.0)
