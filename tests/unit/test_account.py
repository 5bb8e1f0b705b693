"""What the exchanges answer about an account, in our models: each repair by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert.answers import Balance
from metaexpert.errors import ExchangeError, NetworkError
from metaexpert.exchanges import account
from metaexpert.exchanges.markets import to_amount
from metaexpert.models import (
    ContractType,
    ExitReason,
    MarginMode,
    Market,
    MarketType,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Side,
    TimeInForce,
)


def spot(exchange="binance"):
    return Market(
        symbol="BTC/USDT", exchange=exchange, type=MarketType.SPOT, base="BTC", quote="USDT", settle="USDT"
    )


def linear(exchange="okx", size=0.01):
    return Market(
        symbol="BTC/USDT:USDT", exchange=exchange, type=MarketType.FUTURES, base="BTC", quote="USDT",
        settle="USDT", contract_type=ContractType.LINEAR, contract_size=size,
    )  # fmt: skip


def inverse(exchange="binance", size=100.0, **more):
    return Market(
        symbol="BTC/USD:BTC", exchange=exchange, type=MarketType.FUTURES, base="BTC", quote="USD", settle="BTC",
        contract_type=ContractType.INVERSE, contract_size=size, **more,
    )  # fmt: skip


IN_BASE = inverse("bitget", 1.0, amount_step=0.0001)


def answer(**more):
    return {
        "id": "77", "clientOrderId": "abc1", "symbol": "BTC/USDT:USDT", "type": "limit", "side": "buy",
        "price": 50_000.0, "amount": 25.0, "filled": 5.0, "average": 49_990.0, "status": "open",
        "timeInForce": "GTC", "timestamp": 1_000, "lastUpdateTimestamp": 2_000, "info": {},
    } | more  # fmt: skip


def asked(**more):
    return Order(
        **{"id": "abc1", "symbol": "BTC/USDT:USDT", "side": Side.BUY, "type": OrderType.LIMIT, "qty": 0.25,
           "price": 50_000.0, "created": 500} | more
    )  # fmt: skip


# --- orders ---------------------------------------------------------------------------------------------------


def test_an_order_in_our_units_with_both_ids():
    found = account.order_of(answer(fee={"cost": 1.25, "currency": "USDT"}), linear())
    assert found == Order(  # 25 contracts of 0.01 BTC
        id="abc1", exchange_id="77", symbol="BTC/USDT:USDT", side=Side.BUY, type=OrderType.LIMIT, qty=0.25,
        price=50_000.0, status=OrderStatus.OPEN, filled=0.05, average_price=49_990.0, fee=1.25, created=1_000,
        updated=2_000,
    )  # fmt: skip


def test_an_order_placed_by_hand_goes_by_the_exchanges_id():
    assert account.order_of(answer(clientOrderId=None), linear()).id == "77"


def test_a_bare_acknowledgement_opens_what_was_asked():
    bare = {"id": "77", "symbol": None, "status": None, "amount": None, "filled": None, "info": {}}
    assert account.order_of(bare, linear(), asked()) == asked(exchange_id="77", status=OrderStatus.OPEN)


def test_an_answer_says_how_far_an_order_has_come():
    found = account.order_of(answer(amount=20.0, price=50_100.0), linear(), asked())
    assert found.price == 50_100.0
    assert (found.qty, found.filled, found.remaining) == (
        0.2,
        0.05,
        pytest.approx(0.15),
    )  # amended to 20 contracts
    assert (found.average_price, found.created, found.updated) == (49_990.0, 500, 2_000)


def test_what_is_bought_at_market_for_a_sum_keeps_its_qty_until_it_is_done():
    """Bitget's amount of such an order is what it has bought so far."""
    order = asked(type=OrderType.MARKET, qty=1.0, price=None, symbol="BTC/USDT")
    halfway = account.order_of(answer(amount=0.4, filled=0.4), spot("bitget"), order)
    assert (halfway.qty, halfway.filled, halfway.price) == (1.0, 0.4, None)
    ended = account.order_of(answer(amount=0.4, filled=0.4, status="canceled"), spot("bitget"), order)
    assert (ended.qty, ended.filled) == (1.0, 0.4)
    done = account.order_of(answer(amount=0.9995, filled=0.9995, status="closed"), spot("bitget"), order)
    assert (done.qty, done.filled, done.status) == (0.9995, 0.9995, OrderStatus.FILLED)


@pytest.mark.parametrize(("amount", "qty"), [(20.0, 0.2), (None, 0.25), (0.0, 0.25)])
def test_a_stop_that_the_exchange_shrank_with_its_position_is_told_as_it_is_there(amount, qty):
    """20 contracts of 0.01; an answer without a quantity repeats what was sent."""
    order = asked(type=OrderType.STOP, price=None, stop_price=49_000.0, side=Side.SELL, reduce_only=True)
    assert account.order_of(answer(amount=amount, filled=0.0, side="sell"), linear(), order).qty == qty


@pytest.mark.parametrize("name", [None, ""])
def test_an_answer_without_an_id_is_an_unknown_outcome(name):
    with pytest.raises(NetworkError, match=r"abc1 .* without its id: look it up"):
        account.order_of(answer(id=name), linear(), asked())


@pytest.mark.parametrize(
    ("exchange", "status", "filled", "info", "expected"),
    [
        ("okx", "open", 0.0, {"state": "live"}, "open"),
        ("okx", "closed", 25.0, {"state": "filled"}, "filled"),
        ("okx", "canceled", 5.0, {"state": "canceled"}, "canceled"),
        ("okx", "canceled", 0.0, {"state": "order_failed"}, "rejected"),
        ("okx", "closed", 25.0, {"state": "effective", "ordId": "9"}, "open"),
        ("binance", "closed", 25.0, {"algoStatus": "TRIGGERED"}, "open"),
        ("binance", "closed", 25.0, {"X": "TRIGGERED", "ai": "9"}, "open"),  # of its stream
        ("binance", "open", 0.0, {"X": "TRIGGERING", "ai": ""}, "open"),
        ("binance", "rejected", 0.0, {"algoStatus": "REJECTED"}, "rejected"),  # when its stop was reached
        ("binance", "expired", 0.0, {"status": "EXPIRED_IN_MATCH"}, "expired"),
        ("binance", "canceling", 0.0, {"status": "PENDING_CANCEL"}, "open"),
        ("bybit", "closed", 5.0, {"orderStatus": "PartiallyFilledCanceled"}, "canceled"),
        ("bybit", "closed", 5.0, {"orderStatus": "PartiallyFilledCanceled", "marketUnit": "quoteCoin"}, "filled"),
        ("bitget", "rejected", 0.0, {"planStatus": "fail_trigger"}, "rejected"),
        ("bitget", "executing", 0.0, {"status": "executing"}, "open"),
        ("kucoin", "triggered", 0.0, {"type": "triggered", "triggerSuccess": True}, "open"),
        ("kucoin", "closed", 0.0, {"status": "TRIGGERED"}, "open"),
        ("kucoin", "cancelled", 0.0, {"isActive": False}, "canceled"),
        ("kucoin", "canceled", 5.0, {"isActive": True, "cancelExist": True}, "open"),
        ("kucoin", "closed", 5.0, {"isActive": False}, "canceled"),
    ],
)
def test_statuses(exchange, status, filled, info, expected):
    found = account.order_of(answer(status=status, filled=filled, info=info), linear(exchange, 1.0))
    assert found.status == expected


def test_a_stop_that_has_fired_is_not_filled_for_that():
    """CCXT calls it closed and takes its whole amount for filled."""
    info = {"state": "effective", "ordId": "9"}
    found = account.order_of(answer(status="closed", filled=25.0, triggerPrice=49_000.0, info=info), linear())
    assert (found.status, found.filled, found.exchange_id) == (OrderStatus.OPEN, 0.0, "9")
    assert found.message == "its stop was reached: it works as order 9"
    untold = account.order_of(
        answer(status="closed", filled=25.0, info={"algoStatus": "TRIGGERED"}), linear("binance")
    )
    assert (untold.status, untold.filled, untold.exchange_id) == (OrderStatus.OPEN, 0.0, "77")


@pytest.mark.parametrize(
    ("field", "word", "said"),
    [("status", "suspended", "status"), ("type", "twap", "type"), ("side", "borrow", "side")],
)
def test_unknown_words_are_refused_and_named(field, word, said):
    with pytest.raises(ExchangeError, match=f"OKX: BTC/USDT:USDT, abc1: the {said} '{word}' is not known"):
        account.order_of(answer(**{field: word}), linear())


@pytest.mark.parametrize(
    ("exchange", "fields", "expected"),
    [
        ("binance", {"type": "market", "price": 49_990.0}, (OrderType.MARKET, None, None)),
        ("binance", {"type": "limit_maker"}, (OrderType.LIMIT, 50_000.0, None)),
        ("binance", {"type": "stop_market", "price": 0.0, "triggerPrice": 48e3}, (OrderType.STOP, None, 48e3)),
        ("binance", {"type": "stop", "triggerPrice": 48e3}, (OrderType.STOP_LIMIT, 50e3, 48e3)),
        ("bybit", {"type": "market", "price": None, "triggerPrice": 48e3}, (OrderType.STOP, None, 48e3)),
        ("bybit", {"type": "limit", "triggerPrice": 48e3}, (OrderType.STOP_LIMIT, 50e3, 48e3)),
        ("okx", {"type": "conditional", "price": None, "stopLossPrice": 48e3}, (OrderType.STOP, None, 48e3)),
        ("okx", {"type": "trigger", "price": -1.0, "triggerPrice": 48e3}, (OrderType.STOP, None, 48e3)),
        ("kucoin", {"type": "limit", "triggerPrice": 48e3}, (OrderType.STOP_LIMIT, 50e3, 48e3)),
    ],
)
def test_types_and_prices(exchange, fields, expected):
    found = account.order_of(answer(**fields), linear(exchange, 1.0))
    assert (found.type, found.price, found.stop_price) == expected


@pytest.mark.parametrize(
    ("exchange", "fields", "reason"),
    [
        ("binance", {"type": "take_profit_market", "reduceOnly": True}, ExitReason.TAKE_PROFIT),
        ("binance", {"type": "stop_market", "info": {"closePosition": True}}, ExitReason.ORDER),
        ("bybit", {"type": "market", "reduceOnly": True, "info": {"stopOrderType": "StopLoss"}}, "stop_loss"),
        ("okx", {"type": "conditional", "reduceOnly": True, "takeProfitPrice": 6e4}, ExitReason.TAKE_PROFIT),
        ("okx", {"type": "move_order_stop", "reduceOnly": True}, ExitReason.TRAILING_STOP),
        ("bitget", {"type": "market", "reduceOnly": True, "info": {"planType": "pos_loss"}}, "stop_loss"),
        ("bybit", {"type": "market", "info": {"stopOrderType": "Stop"}}, ExitReason.ORDER),
        ("binance", {"type": "take_profit_market"}, ExitReason.ORDER),  # it opens a position
    ],
)
def test_what_a_stop_order_is_for(exchange, fields, reason):
    raw = answer(triggerPrice=48_000.0) | fields
    assert account.order_of(raw, linear(exchange, 1.0)).reason == reason


def test_an_order_that_closes_all_of_a_position_has_no_qty_of_its_own():
    raw = answer(type="stop_market", amount=None, filled=0.0, triggerPrice=48e3, info={"closePosition": True})
    found = account.order_of(raw, linear("binance", 1.0))
    assert (found.qty, found.reduce_only) == (0.0, True)


def test_levels_that_an_order_brings_along_and_its_own():
    found = account.order_of(answer(stopLossPrice=48e3, takeProfitPrice=55e3), linear())
    assert (found.type, found.stop_loss, found.take_profit) == (OrderType.LIMIT, 48e3, 55e3)
    raw = answer(type="market", triggerPrice=48e3, stopLossPrice=48e3, takeProfitPrice=0.0)
    found = account.order_of(raw, linear("bybit", 1.0))
    assert (found.stop_price, found.stop_loss, found.take_profit) == (48e3, None, None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"timeInForce": "PO", "postOnly": True}, (TimeInForce.GTC, True)),
        ({"timeInForce": "GTX"}, (TimeInForce.GTC, True)),
        ({"timeInForce": None, "postOnly": True}, (TimeInForce.GTC, True)),
        ({"timeInForce": "IOC"}, (TimeInForce.IOC, False)),
        ({"timeInForce": "FOK"}, (TimeInForce.FOK, False)),
        ({"timeInForce": "GTT"}, (TimeInForce.GTC, False)),
        ({"type": "market", "timeInForce": "IOC"}, (TimeInForce.GTC, False)),
    ],
)
def test_how_long_an_order_works(fields, expected):
    found = account.order_of(answer(**fields), linear())
    assert (found.tif, found.post_only) == expected


@pytest.mark.parametrize(
    ("said", "action", "side", "leg"),
    [
        ("buy", "open", Side.BUY, "long"),
        ("buy", "close", Side.SELL, "long"),
        ("sell", "open", Side.SELL, "short"),
        ("sell", "close", Side.BUY, "short"),
        ("sell", "reduce_close_long", Side.SELL, "long"),
        ("buy", "burst_close_short", Side.BUY, "short"),
    ],
)
def test_bitget_names_the_leg_where_others_name_the_side(said, action, side, leg):
    info = {"posMode": "hedge_mode", "side": said, "tradeSide": action}
    found = account.order_of(answer(side=said, info=info), linear("bitget", 1.0))
    assert (found.side, found.position_side) == (side, leg)
    fill = account.fill_of(trade(side=said, info=info), linear("bitget", 1.0))
    assert (fill.side, fill.position_side) == (side, leg)


@pytest.mark.parametrize(
    ("exchange", "info", "leg"),
    [
        ("binance", {"positionSide": "SHORT"}, "short"),
        ("binance", {"positionSide": "BOTH"}, None),
        ("bybit", {"positionIdx": 1}, "long"),
        ("bybit", {"positionIdx": "0"}, None),
        ("okx", {"posSide": "net"}, None),
        ("okx", {"posSide": "long"}, "long"),
        ("bitget", {"posMode": "one_way_mode", "posSide": "net"}, None),
        ("kucoin", {"positionSide": "LONG"}, "long"),
        ("kucoin", {}, None),
    ],
)
def test_legs_of_hedge_mode(exchange, info, leg):
    assert account.order_of(answer(info=info), linear(exchange, 1.0)).position_side == leg


def test_the_order_that_a_stop_became_carries_our_id():
    raw = answer(clientOrderId=None, info={"algoClOrdId": "stop1"})
    assert account.order_of(raw, linear("okx")).id == "stop1"


@pytest.mark.parametrize(
    ("exchange", "info", "child"),
    [
        ("binance", {"algoStatus": "NEW", "actualOrderId": ""}, None),
        ("binance", {"algoStatus": "FINISHED", "actualOrderId": "9"}, "9"),
        ("binance", {"X": "FILLED", "i": 9}, None),  # an order, not a stop
        ("okx", {"state": "effective", "ordId": "9"}, "9"),
        ("bitget", {"planStatus": "executed", "executeOrderId": "9"}, "9"),
        ("bitget", {"status": "executed"}, ""),
        ("kucoin", {"status": "TRIGGERED"}, ""),
        ("kucoin", {"status": "done"}, None),
    ],
)
def test_what_a_stop_has_become(exchange, info, child):
    """None while it waits, "" where that is not told."""
    assert account.child_of(answer(info=info), linear(exchange)) == child


def test_okx_names_an_order_that_was_a_stop_by_its_own_id():
    """CCXT takes the stop's, of its fills too."""
    info = {"algoId": "7", "ordId": "9", "algoClOrdId": "abc123", "state": "filled"}
    raw = answer(id="7", status="closed", filled=25.0, info=info)
    assert account.order_of(raw, linear()).exchange_id == account.id_of(raw, linear()) == "9"
    assert account.fill_of(trade(order="7", info=info), linear()).order_id == "9"
    assert account.id_of(answer(id="7", info={"algoId": "7", "ordId": ""}), linear()) == "7"


@pytest.mark.parametrize(
    ("exchange", "side", "info", "reason"),
    [
        ("bybit", "sell", {"triggerDirection": 2}, ExitReason.STOP_LOSS),  # falls
        ("bybit", "sell", {"triggerDirection": 1}, ExitReason.TAKE_PROFIT),
        ("bybit", "buy", {"triggerDirection": 1}, ExitReason.STOP_LOSS),
        ("bybit", "buy", {"triggerDirection": 0}, ExitReason.ORDER),
        ("kucoin", "buy", {"stop": "down"}, ExitReason.TAKE_PROFIT),
        ("kucoin", "sell", {"stop": "down"}, ExitReason.STOP_LOSS),
        ("binance", "sell", {"orderType": "TAKE_PROFIT_MARKET"}, ExitReason.TAKE_PROFIT),
        ("binance", "sell", {"o": "STOP_MARKET"}, ExitReason.STOP_LOSS),
    ],
)
def test_a_closing_stop_order_is_a_stop_or_a_target_by_the_way_that_fires_it(exchange, side, info, reason):
    raw = answer(type="market", side=side, price=None, triggerPrice=49_000.0, reduceOnly=True, info=info)
    assert account.order_of(raw, linear(exchange)).reason is reason
    assert account.order_of(raw | {"reduceOnly": False}, linear(exchange)).reason is ExitReason.ORDER


def test_when_kucoins_spot_orders_changed():
    assert (
        account.order_of(answer(lastUpdateTimestamp=None, info={"lastUpdatedAt": 1_500}), spot("kucoin")).updated
        == 1_500
    )


def test_why_an_order_was_refused():
    info = {"orderStatus": "Rejected", "rejectReason": "EC_PostOnlyWillTakeLiquidity"}
    assert account.order_of(answer(status="rejected", info=info), linear("bybit")).message == info["rejectReason"]
    assert (
        account.order_of(answer(status="canceled", info={"rejectReason": "EC_NoError"}), linear("bybit")).message
        is None
    )


def test_fees_in_another_currency_are_no_fees_in_the_settlement_currency():
    fees = [{"cost": 0.002, "currency": "BNB"}, {"cost": 1.5, "currency": "USDT"}]
    assert account.order_of(answer(fees=fees), spot()).fee == 1.5
    assert account.order_of(answer(info={"cumExecFee": "0.75"}), linear("bybit", 1.0)).fee == 0.75


def test_orders_of_other_segments_are_left_out():
    raws = [answer(), answer(symbol="BTC/USD:BTC")]
    assert [one.symbol for one in account.orders_of(raws, {"BTC/USDT:USDT": linear()})] == ["BTC/USDT:USDT"]


def test_an_inverse_order_counted_in_base_is_filled_by_the_same_share():
    """0.5 BTC of which 0.2 are done: 40 % of 25,000 USD."""
    found = account.order_of(answer(amount=0.5, filled=0.2, average=49_000.0), IN_BASE)
    assert (found.qty, found.filled) == (25_000.0, 10_000.0)
    order = asked(qty=25_010.0)
    found = account.order_of(answer(amount=0.5, filled=0.5, status="closed"), IN_BASE, order)
    assert (found.qty, found.filled, found.status) == (25_010.0, 25_010.0, OrderStatus.FILLED)


@given(st.integers(1, 10**6), st.sampled_from([linear("okx", 0.01), linear("kucoin", 0.001), inverse()]))
def test_orders_come_back_in_the_qty_that_they_were_sent_with(steps, market):
    qty = steps * market.contract_size
    amount = to_amount(market, qty)
    found = account.order_of(answer(amount=amount, filled=amount, status="closed"), market)
    assert found.qty == found.filled == pytest.approx(qty, rel=1e-12)
    assert found.status is OrderStatus.FILLED


# --- fills ----------------------------------------------------------------------------------------------------


def trade(**more):
    return {
        "id": "5", "order": "77", "timestamp": 3_000, "symbol": "BTC/USDT:USDT", "side": "sell", "price": 50_000.0,
        "amount": 3.0, "takerOrMaker": "taker", "fee": {"cost": 0.9, "currency": "USDT"}, "info": {},
    } | more  # fmt: skip


def test_a_fill_in_our_units():
    fill = account.fill_of(trade(info={"fillPnl": "12.5"}), linear())
    assert (fill.id, fill.order_id, fill.time, fill.side) == ("5", "77", 3_000, Side.SELL)
    assert (fill.qty, fill.price, fill.fee, fill.fee_currency) == (0.03, 50_000.0, 0.9, "USDT")
    assert (fill.is_maker, fill.pnl, fill.reason) == (False, 12.5, ExitReason.ORDER)
    assert account.fill_of(trade(takerOrMaker="maker"), linear()).is_maker


def test_fills_of_inverse_contracts_are_face_value():
    assert account.fill_of(trade(), inverse()).qty == 300.0  # 3 contracts of 100 USD
    assert account.fill_of(trade(amount=0.5), IN_BASE).qty == 25_000.0  # 0.5 BTC at 50,000


def test_a_sold_option_has_no_negative_quantity():
    assert account.fill_of(trade(amount=-0.5), linear("binance", 1.0)).qty == 0.5


@pytest.mark.parametrize("field", ["fee", "fillFee"])
@pytest.mark.parametrize(("own", "paid"), [("-0.25", 0.25), ("0.1", -0.1)])
def test_okx_counts_fees_as_negative_whatever_ccxt_makes_of_it(field, own, paid):
    fill = account.fill_of(trade(fee={"cost": float(own), "currency": "USDT"}, info={field: own}), linear())
    assert fill.fee == paid


def test_fees_keep_their_currency():
    fill = account.fill_of(trade(fee={"cost": 0.0003, "currency": "BNB"}), spot())
    assert (fill.fee, fill.fee_currency) == (0.0003, "BNB")
    assert account.fill_of(trade(fee=None), spot())[7:9] == (0.0, None)


@pytest.mark.parametrize(
    ("exchange", "info", "reason"),
    [
        ("bybit", {"execType": "BustTrade"}, ExitReason.LIQUIDATION),
        ("bybit", {"execType": "Trade"}, ExitReason.ORDER),
        ("okx", {"subType": "104"}, ExitReason.LIQUIDATION),
        ("okx", {"subType": "112"}, ExitReason.EXPIRY),
        ("okx", {"category": "adl"}, ExitReason.LIQUIDATION),  # of its stream
        ("okx", {"category": "normal"}, ExitReason.ORDER),
        ("binance", {"c": "autoclose-1790000000000123"}, ExitReason.LIQUIDATION),
        ("binance", {"c": "adl_autoclose"}, ExitReason.LIQUIDATION),
        ("binance", {"c": "settlement_autoclose-17"}, ExitReason.EXPIRY),
        ("binance", {"c": "me1autoclose"}, ExitReason.ORDER),
        ("bitget", {"tradeSide": "burst_close_long"}, ExitReason.LIQUIDATION),
        ("bitget", {"tradeSide": "delivery_close_long"}, ExitReason.EXPIRY),
        ("kucoin", {"tradeType": "liquid"}, ExitReason.LIQUIDATION),
    ],
)
def test_fills_that_nobody_ordered(exchange, info, reason):
    assert account.fill_of(trade(info=info), linear(exchange, 1.0)).reason is reason


def test_fills_of_orders_that_binance_lists_as_liquidations():
    fills = [account.fill_of(trade(id=name, order=name), linear("binance")) for name in ("1", "2")]
    marked = account.forced(fills, [{"orderId": 2, "clientOrderId": "autoclose-1"}])
    assert [fill.reason for fill in marked] == [ExitReason.ORDER, ExitReason.LIQUIDATION]


def test_what_trades_a_contract_that_has_ended_is_its_end():
    """Of a fill at the very moment as well; a millisecond before it is an order's."""
    time = trade()["timestamp"]
    for expiry, reason in ((time, ExitReason.EXPIRY), (time + 1, ExitReason.ORDER)):
        assert account.fill_of(trade(), replace(linear("binance"), expiry=expiry)).reason is reason


@pytest.mark.parametrize("gone", ["id", "timestamp", "price", "amount"])
def test_a_fill_that_lacks_something_is_refused(gone):
    with pytest.raises(ExchangeError, match="a fill of BTC/USDT:USDT lacks"):
        account.fill_of(trade(**{gone: None}), linear())


# --- positions ------------------------------------------------------------------------------------------------


def holding(**more):
    return {
        "symbol": "BTC/USDT:USDT", "contracts": 25.0, "side": "short", "entryPrice": 50_000.0,
        "markPrice": 49_000.0, "unrealizedPnl": 250.0, "initialMargin": 1_250.0, "leverage": 10.0,
        "marginMode": "isolated", "hedged": False, "notional": 12_250.0, "info": {},
    } | more  # fmt: skip


def positions(raw, market):
    return account.positions_of([raw], {market.symbol: market})


def test_a_position_in_our_units():
    info = {"liqPx": "54000", "pnl": "3.5", "fundingFee": "-0.25", "cTime": "1700000000000"}
    assert positions(holding(info=info), linear()) == [
        Position(
            symbol="BTC/USDT:USDT",
            qty=-0.25,
            entry_price=50_000.0,
            mark_price=49_000.0,
            unrealized_pnl=250.0,
            realized_pnl=3.5,
            funding=-0.25,
            margin=1_250.0,
            leverage=10.0,
            liquidation_price=54_000.0,
            opened=1_700_000_000_000,
            margin_mode=MarginMode.ISOLATED,
        )
    ]


def test_flat_positions_and_those_of_other_segments_are_left_out():
    assert positions(holding(contracts=0.0, side=None), linear()) == []
    assert positions(holding(symbol="BTC/USD:BTC"), linear()) == []


def test_positions_of_inverse_contracts_are_face_value():
    assert positions(holding(symbol="BTC/USD:BTC"), inverse())[0].qty == -2_500.0  # 25 contracts of 100 USD
    assert positions(holding(symbol="BTC/USD:BTC", contracts=0.5), IN_BASE)[0].qty == -25_000.0  # 0.5 BTC at entry


def test_a_liquidation_price_that_ccxt_calculated_is_not_taken():
    assert positions(holding(liquidationPrice=51_000.0), linear())[0].liquidation_price is None
    assert (
        positions(holding(liquidationPrice=51_000.0, info={"liqPx": "0"}), linear())[0].liquidation_price is None
    )


def test_binances_own_sign_and_the_leverage_that_it_no_longer_tells():
    """CCXT takes the side from the notional, which is 0 in a market that has no mark price yet."""
    info = {"positionAmt": "-0.5", "positionInitialMargin": "1225", "positionSide": "SHORT"}
    raw = holding(side=None, contracts=0.5, leverage=None, notional=24_500.0, info=info)
    found = positions(raw, linear("binance", 1.0))[0]
    assert (found.qty, found.leverage, found.margin, found.position_side) == (-0.5, 20.0, 1_225.0, "short")


def test_kucoins_leverage_is_the_one_that_was_set():
    found = positions(holding(leverage=9.7, info={"leverage": 10, "currentQty": -25}), linear("kucoin", 0.001))[0]
    assert (found.leverage, found.qty) == (10.0, -0.025)


@pytest.mark.parametrize("exchange", ["bybit", "okx", "bitget"])
def test_a_leg_of_hedge_mode(exchange):
    assert positions(holding(hedged=True), linear(exchange, 1.0))[0].position_side == "short"


def test_a_position_of_unknown_side_or_size_is_refused():
    with pytest.raises(ExchangeError, match="the side of a position 'net' is not known"):
        positions(holding(side="net"), linear("bybit"))
    with pytest.raises(ExchangeError, match="the size of a position None is not known"):
        positions(holding(contracts=None), linear("bybit"))


# --- balances -------------------------------------------------------------------------------------------------


def held(currency, free, used, total):
    return Balance(currency=currency, free=free, used=used, total=total)


def test_what_is_missing_of_a_balance_follows_from_the_rest():
    raw = {
        "free": {"BTC": 1.0, "ETH": None, "USDT": 5.0},
        "used": {"BTC": 0.5, "ETH": 0.25, "USDT": None},
        "total": {"BTC": None, "ETH": 2.0, "USDT": 7.0},
        "info": {},
    }
    assert account.balances_of(raw, "kucoin") == [
        held("BTC", 1.0, 0.5, 1.5),
        held("ETH", 1.75, 0.25, 2.0),
        held("USDT", 5.0, 2.0, 7.0),
    ]
    raw["free"]["USDT"], raw["used"]["USDT"] = 4.0, 1.0  # open profit that is not free is no margin either
    assert account.balances_of(raw, "binance")[2] == held("USDT", 4.0, 1.0, 7.0)
    raw["free"]["ETH"] = raw["used"]["ETH"] = None
    with pytest.raises(ExchangeError, match="free of ETH"):
        account.balances_of(raw, "kucoin")


def test_bybits_balance_has_open_profit_and_is_free_of_what_orders_and_positions_hold():
    coin = {"coin": "USDT", "walletBalance": "1000", "equity": "1100", "locked": "5", "totalPositionIM": "40",
            "totalOrderIM": "10", "availableToWithdraw": ""}  # fmt: skip
    raw = {"free": {}, "used": {}, "total": {}, "info": {"result": {"list": [{"coin": [coin]}]}}}
    assert account.balances_of(raw, "bybit") == [held("USDT", 1_045.0, 55.0, 1_100.0)]


def test_bitgets_contracts_are_free_of_what_is_held_and_not_of_open_profit():
    """Of 1,100 with 100 of open profit 60 are held; 940 can be traded with, and 900 transferred."""
    one = {"marginCoin": "USDT", "accountEquity": "1100", "crossedMaxAvailable": "940", "maxTransferOut": "900",
           "locked": "10", "crossedMargin": "50", "isolatedMargin": "0"}  # fmt: skip
    raw = {"free": {"USDT": 900.0}, "used": {"USDT": 200.0}, "total": {"USDT": 1100.0}, "info": [one]}
    assert account.balances_of(raw, "bitget") == [held("USDT", 940.0, 60.0, 1_100.0)]
    del one["crossedMargin"]
    assert account.balances_of(raw, "bitget") == [held("USDT", 940.0, 160.0, 1_100.0)]


def test_binances_margin_account_of_options():
    raw = {"asset": [{"asset": "USDT", "equity": "10094.5", "available": "8725.5", "marginBalance": "10099.4"}]}
    assert account.balances_of(raw, "binance") == [held("USDT", 8_725.5, 1_369.0, 10_094.5)]


def test_balances_of_several_wallets_are_added_and_nothing_is_left_out_but_nothing():
    found = account.added([held("USDT", 1.0, 2.0, 3.0), held("BTC", 0.0, 0.0, 0.0), held("USDT", 10.0, 0.0, 10.0)])
    assert found == (held("USDT", 11.0, 2.0, 13.0),)
    assert account.added([held("BTC", 0.0, 0.0, -0.5)]) == (held("BTC", 0.0, 0.0, -0.5),)


def test_the_account_in_one_currency():
    """Equity 1,000 with 250 of open profit: 750 are realised."""
    market = linear()
    own = positions(holding(), market)
    found = account.account_of("USDT", [held("USDT", 400.0, 600.0, 1_000.0)], own, {market.symbol: market}, 9)
    assert (found.balance, found.equity, found.unrealized_pnl) == (750.0, 1_000.0, 250.0)
    assert (found.margin_used, found.margin_free, found.time) == (600.0, 400.0, 9)
    assert account.account_of("BTC", [], own, {market.symbol: market}, 9).equity == 0.0
