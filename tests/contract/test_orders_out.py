"""Orders as CCXT really sends them, to every exchange and in every segment, field by field."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from order_cells import CROSS, Sent, Wire, calls_of_cell, content_of, expected, order, request
from order_markets import INVERSE, LINEAR, OPTION, SPOT, raw_market

from metaexpert.errors import OrderRejected
from metaexpert.exchanges import orders
from metaexpert.exchanges.capabilities import Feature, Support, support
from metaexpert.exchanges.orders import Call, Terms
from metaexpert.exchanges.venues import VENUES, Segment
from metaexpert.models import ExitReason, MarginMode, Order, OrderType, PositionMode, Side

CELLS = [
    (venue.id, segment, feature) for venue in VENUES.values() for segment in venue.segments for feature in Feature
]
SEGMENTS = [(venue.id, segment) for venue in VENUES.values() for segment in venue.segments]
CONTRACTS = [cell for cell in SEGMENTS if cell[1] in (LINEAR, INVERSE)]
ALIVE = (Feature.CLIENT_ID, Feature.AMEND, Feature.CANCEL_ALL, Feature.DEAD_MAN)


def written():
    """The expectations by cell: a word, and the requests."""
    found, cell = {}, None
    for line in Path(__file__).with_name("order_requests.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            found[cell][1].append(expected(line.strip()))
        elif line and not line.startswith("#"):
            name, _, word = line.partition(":")
            exchange, segment, feature = name.split()
            cell = exchange, Segment(segment), Feature(feature)
            found[cell] = word.strip(), []
    return found


EXPECTED = written()


@pytest.fixture(scope="module")
def wires():
    """A client of each segment, made when it is asked for."""

    class Wires(dict):
        def __missing__(self, cell):
            self[cell] = Wire(cell[0], raw_market(*cell))
            return self[cell]

    return Wires()


def name_of(cell):
    return "-".join(cell)


def test_every_cell_of_the_table_has_an_expectation_and_there_are_no_others():
    assert set(EXPECTED) == set(CELLS)


def test_the_docs_show_the_table():
    script = Path(__file__).resolve().parents[2] / "scripts" / "capabilities.py"
    shown = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")


@pytest.mark.parametrize("cell", CELLS, ids=name_of)
def test_each_cell_does_what_it_says(wires, cell):
    exchange, segment, feature = cell
    word, requests = EXPECTED[cell]
    found, why = support(exchange, segment, feature)
    assert (word == "refused") is (found is Support.REFUSED)
    assert bool(why) or found is Support.NATIVE
    wire = wires[exchange, segment]
    if word:
        with pytest.raises(OrderRejected) as refusal:
            calls_of_cell(wire.market, feature)
        assert why in str(refusal.value)
    if requests or not word:
        assert wire.send(calls_of_cell(wire.market, feature, watched=True)) == requests


@pytest.mark.parametrize(("exchange", "segment"), SEGMENTS)
def test_every_order_carries_our_id_and_no_other(wires, exchange, segment):
    names = {
        "newClientOrderId",
        "clientAlgoId",
        "clientOrderId",
        "orderLinkId",
        "clOrdId",
        "algoClOrdId",
        "clientOid",
    }
    for feature in Feature:
        if feature in ALIVE or EXPECTED[exchange, segment, feature][0] == "refused":
            continue
        for sent in EXPECTED[exchange, segment, feature][1]:
            fields = sent.content[0] if isinstance(sent.content, list) else sent.content
            assert [value[:6] for name, value in fields.items() if name in names] == ["abc123"]
            assert "tag" not in fields


DOCUMENTED = {
    "binance": {"workingType", "reduceOnly", "callbackRate", "countdownTime"},
    "bybit": {"orderFilter", "triggerBy"},
    "okx": {"algoClOrdId", "triggerPxType", "callbackRatio"},
    "bitget": {"presetStopLossPrice", "presetStopSurplusPrice", "callbackRatio"},
    "kucoin": {
        "postOnly", "timeInForce", "newSize", "newPrice", "timeout", "positionSide", "triggerStopUpPrice",
    },
}  # fmt: skip
"""Fields of the exchanges' documentation that no recorded request has."""


@pytest.mark.shared
@pytest.mark.parametrize(("exchange", "segment"), SEGMENTS)
def test_no_field_goes_out_that_was_never_recorded_or_documented(shared, exchange, segment):
    known = recorded_fields(shared, exchange) | DOCUMENTED[exchange]
    for feature in Feature:
        for sent in EXPECTED[exchange, segment, feature][1]:
            fields = sent.content[0] if isinstance(sent.content, list) else sent.content
            assert set(fields) <= known, (feature, sent.address)


def recorded_fields(shared, exchange):
    """The names of all fields that CCXT was recorded to send to an exchange."""
    found = set()
    methods = json.loads((shared / "data/ccxt_static/request" / f"{exchange}.json").read_text())["methods"]
    for case in (case for cases in methods.values() for case in cases):
        body = case.get("output") or urlsplit(case.get("url", "")).query
        content = content_of(body) if isinstance(body, str) else body
        for one in content if isinstance(content, list) else [content]:
            found |= set(one)
    return found


@pytest.mark.shared
@pytest.mark.parametrize("exchange", VENUES)
def test_of_real_markets_amount_and_price_go_out_as_they_were_rounded(shared, exchange):
    """CCXT rounds again, and cuts off what does not fit: there must be nothing left for it to do."""
    raws = json.loads((shared / "data/ccxt_static/markets" / f"{exchange}.json").read_text())
    tried = 0
    for raw in (raw for raw in raws.values() if raw["type"] in ("spot", "swap", "option") and raw["active"]):
        wire = Wire(exchange, raw)
        market = wire.market
        step = market.qty_step if market.amount_step is None else market.amount_step * 50_000.0
        price = 12_345.67 * market.price_tick
        least = max(market.min_notional / (1.0 if market.is_inverse else price), market.min_qty, step)
        asked = Order(id="abc123", symbol=market.symbol, side=Side.BUY, type=OrderType.LIMIT, qty=7.77 * least)
        calls = orders.calls_of(request(asked.changed(price=price), reference_price=price), market)
        fields = only(wire.send(calls))
        sent = [str(fields[name]) for name in ("quantity", "qty", "sz", "size") if name in fields]
        sent += [fields[name] for name in ("price", "px") if name in fields]
        assert sent == [str(value) for value in calls[0].arguments[3:5]], market.symbol
        tried += 1
    assert tried >= 10


# --- what goes beyond one cell ----------------------------------------------------------------------------------


def only(sent):
    (one,) = sent
    return one.content[0] if isinstance(one.content, list) else one.content


ISOLATED = Terms(5.0, MarginMode.ISOLATED)
MARGIN_FIELDS = {
    "binance": {},  # they belong to the market
    "bybit": {},
    "okx": {"tdMode": "isolated"},
    "bitget": {"marginMode": "isolated"},
    "kucoin": {"marginMode": "ISOLATED", "leverage": 5},
}


@pytest.mark.parametrize(("exchange", "segment"), CONTRACTS)
def test_orders_carry_the_margin_mode_where_exchanges_ask_for_it(wires, exchange, segment):
    wire = wires[exchange, segment]
    fields = only(wire.send(orders.calls_of(request(order(wire.market), terms=ISOLATED), wire.market)))
    names = ("tdMode", "marginMode", "leverage")
    assert {name: fields[name] for name in names if name in fields} == MARGIN_FIELDS[exchange]


def test_options_of_okx_carry_the_margin_mode_too(wires):
    wire = wires["okx", OPTION]
    asked = request(order(wire.market, "buy", "limit", price=500.0), terms=ISOLATED)
    assert only(wire.send(orders.calls_of(asked, wire.market)))["tdMode"] == "isolated"


HEDGED_STOPS = {
    "binance": {"side": "SELL", "positionSide": "LONG", "type": "STOP_MARKET", "triggerPrice": "49000"},
    "bybit": {
        "side": "Sell",
        "positionIdx": 1,
        "reduceOnly": True,
        "triggerPrice": "49000",
        "triggerDirection": 2,
    },
    "okx": {"side": "sell", "posSide": "long", "ordType": "conditional", "slTriggerPx": "49000", "slOrdPx": "-1"},
    "bitget": {"side": "buy", "tradeSide": "Close", "planType": "normal_plan", "triggerPrice": "49000"},
    "kucoin": {"side": "sell", "positionSide": "LONG", "reduceOnly": True, "stop": "down", "stopPrice": "49000"},
}
"""A stop that closes the long leg. Bitget names the side of the leg, not that of the order."""


@pytest.mark.parametrize("exchange", VENUES)
def test_a_stop_closes_its_leg_in_hedge_mode(wires, exchange):
    wire = wires[exchange, LINEAR]
    asked = request(order(wire.market, "sell", "stop", stop_price=49_000.0, position_side="long"))
    fields = only(wire.send(orders.calls_of(asked, wire.market)))
    assert HEDGED_STOPS[exchange].items() <= fields.items()
    assert exchange in ("bybit", "kucoin") or "reduceOnly" not in fields  # Binance refuses it, others ignore it


HEDGED_LEVELS = HEDGED_STOPS | {"bitget": {"holdSide": "long", "planType": "loss_plan", "triggerPrice": "49000"}}
HEDGED_TARGETS = {
    "binance": {"side": "BUY", "positionSide": "SHORT", "type": "TAKE_PROFIT_MARKET", "triggerPrice": "48000"},
    "bybit": {
        "side": "Buy",
        "positionIdx": 2,
        "reduceOnly": True,
        "triggerPrice": "48000",
        "triggerDirection": 2,
    },
    "okx": {"side": "buy", "posSide": "short", "ordType": "conditional", "tpTriggerPx": "48000", "tpOrdPx": "-1"},
    "bitget": {"holdSide": "short", "planType": "profit_plan", "triggerPrice": "48000"},
    "kucoin": {"side": "buy", "positionSide": "SHORT", "reduceOnly": True, "stop": "down", "stopPrice": "48000"},
}


@pytest.mark.parametrize("exchange", VENUES)
def test_the_levels_of_legs_close_them_and_are_of_so_much(wires, exchange):
    """The stop of a long leg and the target of a short one."""
    wire = wires[exchange, LINEAR]
    closing = {"reduce_only": True, "qty": 0.1}
    stop = order(
        wire.market, "sell", "stop", stop_price=49_000.0, position_side="long", reason=ExitReason.STOP_LOSS
    ).changed(**closing)
    target = order(
        wire.market, "buy", "stop", stop_price=48_000.0, position_side="short", reason=ExitReason.TAKE_PROFIT
    ).changed(**closing)
    for level, wanted in ((stop, HEDGED_LEVELS), (target, HEDGED_TARGETS)):
        fields = only(wire.send(orders.calls_of(request(level, terms=HEDGE), wire.market)))
        assert wanted[exchange].items() <= fields.items()
        assert "closePosition" not in fields
        amounts = [float(fields[name]) for name in ("quantity", "qty", "sz", "size") if name in fields]
        assert amounts == [{"okx": 10.0, "kucoin": 100.0}.get(exchange, 0.1)]  # 0.01 and 0.001 BTC a contract


@pytest.mark.parametrize(("exchange", "segment"), CONTRACTS)
def test_a_level_is_rounded_away_from_the_market(wires, exchange, segment):
    """By a tick of 0.1: stops of longs down and their targets up, those of shorts the other way."""
    wire = wires[exchange, segment]
    for side, reason, asked, sent in (
        ("sell", ExitReason.STOP_LOSS, 49_000.07, "49000"),
        ("sell", ExitReason.TAKE_PROFIT, 51_000.02, "51000.1"),
        ("buy", ExitReason.STOP_LOSS, 51_000.02, "51000.1"),
        ("buy", ExitReason.TAKE_PROFIT, 49_000.07, "49000"),
    ):
        level = order(wire.market, side, "stop", stop_price=asked, reduce_only=True, reason=reason)
        fields = only(wire.send(orders.calls_of(request(level), wire.market)))
        names = ("triggerPrice", "slTriggerPx", "tpTriggerPx", "stopPrice")
        assert [fields[name] for name in names if name in fields] == [sent]


@pytest.mark.parametrize("exchange", VENUES)
def test_levels_that_the_price_has_reached_are_refused_and_so_are_targets_that_open(wires, exchange):
    market = wires[exchange, LINEAR].market
    for side, reason, level in (
        ("sell", ExitReason.STOP_LOSS, 50_000.0),
        ("sell", ExitReason.TAKE_PROFIT, 50_000.0),
        ("buy", ExitReason.BREAKEVEN, 49_999.0),
        ("buy", ExitReason.TAKE_PROFIT, 50_001.0),
    ):
        asked = order(market, side, "stop", stop_price=level, reduce_only=True, reason=reason)
        with pytest.raises(OrderRejected, match="is reached already at 50000") as refusal:
            orders.calls_of(request(asked), market)
        assert refusal.value.reason == "stop_reached"
    opening = order(market, "sell", "stop", stop_price=51_000.0, reason=ExitReason.TAKE_PROFIT)
    with pytest.raises(OrderRejected, match="a take-profit can only close"):
        orders.calls_of(request(opening), market)


def test_levels_of_bitget_are_found_in_their_list_and_cancelled_by_their_kind(wires):
    wire = wires["bitget", LINEAR]
    closing = {"reduce_only": True, "stop_price": 49_000.0}
    for reason, kind in (
        (ExitReason.STOP_LOSS, "loss_plan"),
        (ExitReason.BREAKEVEN, "loss_plan"),
        (ExitReason.TRAILING_STOP, "loss_plan"),
        (ExitReason.TAKE_PROFIT, "profit_plan"),
        (ExitReason.ORDER, None),
    ):
        level = order(wire.market, "buy", "stop", reason=reason, **closing)
        found, past = wire.send(orders.lookups_of(level, wire.market))
        assert found.content["planType"] == past.content["planType"] == ("profit_loss" if kind else "normal_plan")
        cancelled = only(wire.send([orders.cancel_of(level, wire.market)]))
        assert (cancelled.get("planType"), cancelled["orderIdList"]) == (kind, [{"clientOid": "abc123"}])
    whole = order(wire.market, "sell", "stop", reason=ExitReason.STOP_LOSS, **closing).changed(qty=0.0)
    assert only(wire.send([orders.cancel_of(whole, wire.market)]))["planType"] == "pos_loss"


def test_binance_protects_a_leg_without_reduce_only(wires):
    wire = wires["binance", LINEAR]
    asked = request(order(wire.market, position_side="long", stop_loss=48_000.0))
    entry, stop = wire.send(orders.calls_of(asked, wire.market))
    assert (entry.content["side"], entry.content["positionSide"]) == ("BUY", "LONG")
    assert (stop.content["side"], stop.content["positionSide"]) == ("SELL", "LONG")
    assert "reduceOnly" not in stop.content


def test_a_closing_stop_limit_on_okx_can_open_nothing(wires):
    wire = wires["okx", INVERSE]
    asked = request(
        order(wire.market, "sell", "stop_limit", stop_price=49_000.0, price=48_900.0, reduce_only=True)
    )
    fields = only(wire.send(orders.calls_of(asked, wire.market)))
    closing = {"ordType": "conditional", "slTriggerPx": "49000", "slOrdPx": "48900", "reduceOnly": True}
    assert closing.items() <= fields.items()


def test_kucoin_is_told_upper_and_lower_level_whatever_the_side(wires):
    wire = wires["kucoin", LINEAR]
    for side, stop, target in (("buy", 45_000.0, 55_000.0), ("sell", 55_000.0, 45_000.0)):
        asked = request(order(wire.market, side, stop_loss=stop, take_profit=target))
        fields = only(wire.send(orders.calls_of(asked, wire.market)))
        assert (fields["triggerStopDownPrice"], fields["triggerStopUpPrice"]) == ("45000", "55000")
        assert fields["stopPriceType"] == "TP"


def test_a_trailing_stop_starts_where_it_is_told(wires):
    names = {"binance": "activatePrice", "okx": "activePx", "bitget": "triggerPrice"}
    for exchange, name in names.items():
        wire = wires[exchange, LINEAR]
        asked = order(wire.market, "sell", "stop", reduce_only=True)
        more = {"trailing_stop_pct": 2.0, "trailing_activation_price": 52_000.0}
        fields = only(wire.send(orders.calls_of(request(asked, **more), wire.market)))
        assert fields[name] == "52000"


def test_a_trailing_stop_of_bitget_is_found_and_cancelled_among_trailing_ones(wires):
    wire = wires["bitget", LINEAR]
    trailing = order(wire.market, "sell", "stop", reduce_only=True)
    found, past = wire.send(orders.lookups_of(trailing, wire.market))
    assert found.content["planType"] == past.content["planType"] == "track_plan"
    cancelled = only(wire.send([orders.cancel_of(trailing, wire.market)]))
    assert (cancelled["planType"], cancelled["orderIdList"]) == ("track_plan", [{"clientOid": "abc123"}])


def test_a_stop_of_kucoin_s_contracts_is_cancelled_by_its_own_id(wires):
    wire = wires["kucoin", LINEAR]
    stop = order(wire.market, "buy", "stop", stop_price=51_000.0, exchange_id="77")
    assert wire.send([orders.cancel_of(stop, wire.market)]) == [
        Sent("DELETE", "api-futures.kucoin.com/api/v1/orders/77", {})
    ]


HEDGE = Terms(5.0, MarginMode.ISOLATED, PositionMode.HEDGE)
SETTINGS = {
    ("binance", LINEAR): """
        POST fapi.binance.com/fapi/v1/positionSide/dual dualSidePosition=true
        POST fapi.binance.com/fapi/v1/marginType symbol=BTCUSDT&marginType=ISOLATED
        POST fapi.binance.com/fapi/v1/leverage symbol=BTCUSDT&leverage=5""",
    ("binance", INVERSE): """
        POST dapi.binance.com/dapi/v1/positionSide/dual dualSidePosition=true
        POST dapi.binance.com/dapi/v1/marginType symbol=BTCUSD_PERP&marginType=ISOLATED
        POST dapi.binance.com/dapi/v1/leverage symbol=BTCUSD_PERP&leverage=5""",
    ("bybit", LINEAR): """
        POST api.bybit.com/v5/position/switch-mode {"mode":3,"symbol":"BTCUSDT","category":"linear"}
        POST api.bybit.com/v5/account/set-margin-mode {"setMarginMode":"ISOLATED_MARGIN"}
        POST api.bybit.com/v5/position/set-leverage
            {"symbol":"BTCUSDT","buyLeverage":"5","sellLeverage":"5","category":"linear"}""",
    ("okx", LINEAR): """
        POST www.okx.com/api/v5/account/set-position-mode {"posMode":"long_short_mode"}
        POST www.okx.com/api/v5/account/set-leverage
            {"lever":5,"mgnMode":"isolated","instId":"BTC-USDT-SWAP","posSide":"long"}
        POST www.okx.com/api/v5/account/set-leverage
            {"lever":5,"mgnMode":"isolated","instId":"BTC-USDT-SWAP","posSide":"short"}""",
    ("bitget", LINEAR): """
        POST api.bitget.com/api/v2/mix/account/set-position-mode
            {"posMode":"hedge_mode","productType":"USDT-FUTURES"}
        POST api.bitget.com/api/v2/mix/account/set-margin-mode
            {"symbol":"BTCUSDT","marginCoin":"USDT","marginMode":"isolated","productType":"USDT-FUTURES"}
        POST api.bitget.com/api/v2/mix/account/set-leverage
            {"symbol":"BTCUSDT","leverage":"5","marginCoin":"USDT","productType":"USDT-FUTURES","holdSide":"long"}
        POST api.bitget.com/api/v2/mix/account/set-leverage
            {"symbol":"BTCUSDT","leverage":"5","marginCoin":"USDT","productType":"USDT-FUTURES","holdSide":"short"}""",
    ("kucoin", LINEAR): """
        POST api-futures.kucoin.com/api/v2/position/switchPositionMode {"positionMode":"1"}
        POST api-futures.kucoin.com/api/v2/position/changeMarginMode
            {"symbol":"XBTUSDTM","marginMode":"ISOLATED"}""",
}


@pytest.mark.parametrize("cell", SETTINGS, ids=name_of)
def test_position_mode_margin_mode_and_leverage_are_set(wires, cell):
    wire = wires[cell]
    lines = SETTINGS[cell].replace("\n            ", " ").strip().splitlines()
    assert wire.send(orders.settings_of(wire.market, HEDGE)) == [expected(line.strip()) for line in lines]


@pytest.mark.parametrize(("exchange", "segment"), CONTRACTS)
def test_one_way_cross_margin_is_one_leverage_for_both_sides(wires, exchange, segment):
    wire = wires[exchange, segment]
    sent = wire.send(orders.settings_of(wire.market, CROSS))
    last = sent[-1].content
    assert str(last.get("leverage", last.get("lever", last.get("buyLeverage")))) == "3"
    assert len(sent) == (1 if exchange == "okx" else 2)


@pytest.mark.parametrize(("exchange", "segment"), SEGMENTS)
def test_open_orders_are_asked_for_in_every_list(wires, exchange, segment):
    wire, market = wires[exchange, segment], wires[exchange, segment].market
    for params in VENUES[exchange].open_orders[segment]:
        asked = {name: market.settle if value == "{settle}" else value for name, value in params.items()}
        one_at_a_time = (exchange, segment) == ("kucoin", SPOT) and "trigger" not in params
        symbol = market.symbol if one_at_a_time else None
        (sent,) = wire.send([Call("fetch_open_orders", (symbol, None, None, asked))])
        assert sent.method == "GET"
        apart = {"trigger", "trailing", "planType"} & set(params)
        words = ("algo", "plan", "stop")
        assert bool(apart) is any(word in sent.address.lower() for word in words)
        assert not {"trigger", "trailing", "subType", "hf"} & set(sent.content)
