"""Orders out: what is refused before anything is sent, ids, and what of an answer is the order."""

from dataclasses import replace

import pytest

from metaexpert.errors import ConfigError, OrderRejected
from metaexpert.exchanges.capabilities import Feature, Support, support
from metaexpert.exchanges.dialects import dialect_of
from metaexpert.exchanges.orders import (
    OrderRequest,
    Terms,
    amend_of,
    calls_of,
    cancel_all_of,
    dead_man_of,
    lookups_of,
    picked,
    protection_of,
    settings_of,
)
from metaexpert.exchanges.venues import VENUES, Segment
from metaexpert.models import (
    ContractType,
    MarginMode,
    Market,
    MarketType,
    Order,
    OrderType,
    PositionMode,
    Side,
    TimeInForce,
)


def market(exchange="binance", segment=Segment.LINEAR, **more):
    kinds = {
        Segment.SPOT: ("BTC/USDT", MarketType.SPOT, None, "USDT"),
        Segment.LINEAR: ("BTC/USDT:USDT", MarketType.FUTURES, ContractType.LINEAR, "USDT"),
        Segment.INVERSE: ("BTC/USD:BTC", MarketType.FUTURES, ContractType.INVERSE, "BTC"),
    }
    symbol, kind, settled, settle = kinds[segment]
    rules = {"price_tick": 0.1, "qty_step": 0.001, "min_qty": 0.001, "max_qty": 100.0, "min_notional": 10.0}
    return Market(
        symbol=symbol, exchange=exchange, type=kind, base="BTC", quote="USDT", settle=settle,
        contract_type=settled, id="BTCUSDT", **(rules | more),
    )  # fmt: skip


def request(last=50_000.0, terms=None, watched=False, **order):
    given = {"id": "abc123", "symbol": "BTC/USDT:USDT", "side": Side.BUY, "type": OrderType.MARKET, "qty": 0.25}
    more = {name: order.pop(name) for name in ("trailing_stop_pct", "cost") if name in order}
    return OrderRequest(
        order=Order(**(given | order)), terms=terms or Terms(), reference_price=last, watched=watched, **more
    )


def params_of(call):
    return call.arguments[-1]


REFUSED = {
    "an id with a dash": ({"id": "abc-123"}, "letters and digits"),
    "an id of 33": ({"id": "a" * 33}, "letters and digits"),
    "an empty id": ({"id": ""}, "letters and digits"),
    "no quantity": ({"qty": 0.0}, "qty must be a positive number"),
    "less than the least": ({"qty": 0.0009}, "below the market's minimum of 0.001"),
    "more than the most": ({"qty": 100.5}, "above the maximum of orders, 100: split it"),
    "worth too little": ({"type": OrderType.LIMIT, "price": 9_000.0, "qty": 0.001}, "below the minimum of 10"),
    "a limit order without a price": ({"type": OrderType.LIMIT}, "do not belong to a limit order"),
    "a market order with a price": ({"price": 50_000.0}, "do not belong to a market order"),
    "a stop without a stop price": ({"type": OrderType.STOP}, "do not belong to a stop order"),
    "a stop that is reached": ({"type": OrderType.STOP, "stop_price": 49_000.0}, "is reached already at 50000"),
    "a market order FOK": ({"tif": TimeInForce.FOK}, "FOK goes with limit orders"),
    "a stop-limit post-only": (
        {"type": OrderType.STOP_LIMIT, "stop_price": 51_000.0, "price": 51_000.0, "post_only": True},
        "post-only goes with limit orders",
    ),
    "a stop IOC": (
        {"type": OrderType.STOP, "stop_price": 51_000.0, "tif": TimeInForce.IOC},
        "IOC goes with limit and market orders",
    ),
    "a trail of a limit order": (
        {"type": OrderType.LIMIT, "price": 49_000.0, "trailing_stop_pct": 1.0},
        "is an order of type stop",
    ),
    "a trail too wide": ({"type": OrderType.STOP, "trailing_stop_pct": 11.0}, "between 0.1 and 10, got 11"),
    "a trail that is no number": ({"type": OrderType.STOP, "trailing_stop_pct": float("nan")}, "got nan"),
    "a cost of contracts": ({"cost": 100.0}, "only spot purchases"),
    "a leg in one-way mode": (
        {"position_side": "long", "terms": Terms(position_mode=PositionMode.ONEWAY)},
        "the account is in one-way mode",
    ),
    "no leg in hedge mode": ({"terms": Terms(position_mode=PositionMode.HEDGE)}, "an order needs its leg"),
    "a leg that grows by reduce-only": (
        {"position_side": "long", "reduce_only": True},
        "a buy grows the long leg: it can't be reduce-only",
    ),
    "a stop on the wrong side": ({"stop_loss": 51_000.0}, "stop_loss 51000 of a buy must lie below"),
    "a stop beside a limit order": (
        {"type": OrderType.LIMIT, "price": 49_000.0, "stop_loss": 48_000.0},
        "does not take a stop-loss along with a limit order",
    ),
    "protection without room in the id": ({"id": "a" * 31, "stop_loss": 48_000.0}, "30 where protective orders"),
}


@pytest.mark.parametrize(("asked", "why"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_done_is_refused_with_the_reason(asked, why):
    with pytest.raises(OrderRejected, match=why):
        calls_of(request(**asked), market())


def test_a_market_order_larger_than_market_orders_may_be_is_refused_and_a_limit_order_is_not():
    limited = market(max_market_qty=0.2)
    with pytest.raises(OrderRejected, match=r"0\.25 BTC is above the maximum of market orders, 0\.2: split it"):
        calls_of(request(), limited)
    assert calls_of(request(type=OrderType.LIMIT, price=49_000.0), limited)


def test_quantities_and_prices_are_rounded_as_the_rule_book_has_it():
    (call,) = calls_of(request(type=OrderType.LIMIT, qty=0.2519, price=49_000.19), market())
    assert call.arguments[3:5] == ("0.251", "49000.1")  # a purchase for less
    (call,) = calls_of(request(side=Side.SELL, type=OrderType.LIMIT, price=51_000.11), market())
    assert call.arguments[4] == "51000.2"  # a sale for more
    (call,) = calls_of(request(type=OrderType.STOP, stop_price=51_000.11), market())
    assert params_of(call)["triggerPrice"] == "51000.2"  # never nearer to the market


def test_a_position_may_be_closed_below_the_minimum():
    (call,) = calls_of(request(side=Side.SELL, qty=0.001, reduce_only=True, last=5_000.0), market())
    assert call.arguments[3] == "0.001"
    with pytest.raises(OrderRejected, match="below the minimum of 10"):
        calls_of(request(side=Side.SELL, qty=0.001, last=5_000.0), market())


def test_protection_follows_a_market_order_with_ids_of_its_own():
    entry, stop, target = calls_of(request(stop_loss=48_000.06, take_profit=52_000.04), market())
    assert "stopLoss" not in params_of(entry)
    assert [params_of(one)["clientOrderId"] for one in (entry, stop, target)] == ["abc123", "abc123SL", "abc123TP"]
    assert params_of(stop)["stopLossPrice"] == "48000"  # never nearer than asked
    assert params_of(target)["takeProfitPrice"] == "52000.1"
    assert all(one.arguments[1:3] == ("market", "sell") for one in (stop, target))
    assert all(params_of(one)["reduceOnly"] is True for one in (stop, target))


def test_of_what_is_watched_the_order_alone_is_sent_and_protection_comes_when_it_is_filled():
    asked = request(type=OrderType.LIMIT, price=49_000.0, stop_loss=48_000.0, watched=True)
    (entry,) = calls_of(asked, market())
    assert entry.arguments[1] == "limit"
    (stop,) = protection_of(asked, market())
    assert params_of(stop)["clientOrderId"] == "abc123SL"
    spot = request(symbol="BTC/USDT", stop_loss=48_000.0, watched=True)
    (entry,) = calls_of(spot, market(segment=Segment.SPOT))
    assert protection_of(spot, market(segment=Segment.SPOT)) == ()
    with pytest.raises(OrderRejected, match="watched by the expert"):
        calls_of(replace(spot, watched=False), market(segment=Segment.SPOT))


def test_a_purchase_by_cost_is_checked_by_its_cost():
    spot = market("okx", Segment.SPOT)
    (call,) = calls_of(request(symbol="BTC/USDT", cost=100.07), spot)
    assert (call.arguments[3], params_of(call)["cost"]) == ("100", "100")  # counted in ticks of 0.1
    for cost, why in ((9.0, "below the minimum of 10"), (0.0, "positive"), (float("inf"), "positive")):
        with pytest.raises(OrderRejected, match=why):
            calls_of(request(symbol="BTC/USDT", cost=cost), spot)
    with pytest.raises(OrderRejected, match="only purchases at market"):
        calls_of(request(symbol="BTC/USDT", side=Side.SELL, cost=100.0), spot)


def test_a_size_that_needs_a_price_is_refused_without_one():
    with pytest.raises(OrderRejected, match="its price must be known"):
        calls_of(request(symbol="BTC/USDT", last=None), market("bitget", Segment.SPOT))
    with pytest.raises(OrderRejected, match="needs an activation price or the last one"):
        calls_of(request(type=OrderType.STOP, trailing_stop_pct=1.0, last=None), market("bitget"))


def test_legs_on_bybit_belong_to_contracts_settled_in_usdt():
    assert calls_of(request(position_side="long"), market("bybit"))
    with pytest.raises(OrderRejected, match="only contracts settled in USDT"):
        calls_of(request(position_side="long"), replace(market("bybit"), settle="USDC"))


def test_a_sale_of_coins_is_reduce_only_by_itself_and_a_purchase_never():
    (call,) = calls_of(request(symbol="BTC/USDT", side=Side.SELL, reduce_only=True), market("okx", Segment.SPOT))
    assert "reduceOnly" not in params_of(call)
    with pytest.raises(OrderRejected, match="a spot purchase can't be reduce-only"):
        calls_of(request(symbol="BTC/USDT", reduce_only=True), market("okx", Segment.SPOT))


def test_an_order_is_picked_out_of_an_answer_by_our_id():
    order = request().order
    mine, other = {"id": "1", "clientOrderId": "abc123"}, {"id": "2", "clientOrderId": "abc124"}
    assert picked([other, mine], order) is mine
    assert picked([other], order) is None
    assert picked([], order) is None
    assert picked(mine, order) is mine
    assert picked({"id": None, "clientOrderId": None}, order) is None
    assert picked(None, order) is None


def test_only_limit_orders_are_changed_and_within_the_market_s_rules():
    order = request(type=OrderType.LIMIT, price=49_000.0).order
    for wrong, why in (
        (replace(order, type=OrderType.STOP, price=None, stop_price=51_000.0), "only limit orders"),
        (replace(order, qty=0.0001), "below the market's minimum"),
        (order, "before the exchange's id of it is known"),
    ):
        with pytest.raises(OrderRejected, match=why):
            amend_of(wrong, market(), price=48_000.0)
    call = amend_of(replace(order, exchange_id="77"), market(), price=48_000.19)
    assert call.arguments == ("77", "BTC/USDT:USDT", "limit", "buy", "0.25", "48000.1")
    with pytest.raises(OrderRejected, match="cancel the order and send a new one"):
        amend_of(replace(order, symbol="BTC/USDT"), market(segment=Segment.SPOT), price=48_000.0)


def test_settings_come_in_order_and_only_what_is_asked_for():
    terms = Terms(3.0, MarginMode.ISOLATED, PositionMode.HEDGE)
    assert [call.method for call in settings_of(market(), terms)] == [
        "set_position_mode", "set_margin_mode", "set_leverage",
    ]  # fmt: skip
    assert [call.method for call in settings_of(market(), Terms(3.0))] == ["set_leverage"]
    assert settings_of(market(segment=Segment.SPOT), terms) == ()
    with pytest.raises(ConfigError, match=r"whole numbers, not 2\.5"):
        settings_of(market(), Terms(2.5))
    assert settings_of(market("bybit"), Terms(2.5))[0].arguments[0] == 2.5


@pytest.mark.parametrize("leverage", [0.0, -2.0, float("nan"), float("inf")])
def test_a_leverage_that_is_none_is_never_sent(leverage):
    for exchange in VENUES:
        with pytest.raises(ConfigError, match="leverage must be a positive number"):
            settings_of(market(exchange), Terms(leverage=leverage))


def test_an_exchange_without_orders_is_refused():
    with pytest.raises(ConfigError, match="demo takes no orders"):
        lookups_of(request().order, market("demo"))


@pytest.mark.parametrize("exchange", VENUES)
@pytest.mark.parametrize("segment", [Segment.SPOT, Segment.LINEAR, Segment.INVERSE])
def test_what_the_table_says_is_what_is_done(exchange, segment):
    found, why = support(exchange, segment, Feature.DEAD_MAN)
    if found is Support.REFUSED:
        with pytest.raises(OrderRejected, match=why):
            dead_man_of([market(exchange, segment)], 30)
    else:
        assert dead_man_of([market(exchange, segment)], 30)[0].arguments
    emulated = support(exchange, segment, Feature.CANCEL_ALL)[0] is Support.EMULATED
    assert (cancel_all_of(market(exchange, segment)) == ()) is emulated


def test_a_dialect_without_such_a_call_refuses_also_without_the_table():
    here = market("bitget", Segment.LINEAR)
    with pytest.raises(OrderRejected, match="by itself after 30 s"):
        dialect_of(here).dead_man([here], 30)


def test_no_segment_that_an_exchange_has_not_is_supported():
    assert support("bitget", Segment.OPTION, Feature.LIMIT) == (
        Support.REFUSED,
        "Bitget has no option markets here",
    )
