"""Whole runs over contracts that end: options and dated futures, of the embedded exchange and by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lab import HOUR, START, candles, expert, flat, keep, market

from metaexpert import MetaExchange, MetaExpert
from metaexpert.models import ExitReason
from metaexpert.store import CandleStore, Source

CALL, PUT = "BTC/USDT:USDT-240101-100-C", "BTC/USDT:USDT-240101-100-P"
FREE = {"fee_maker": 0.0, "fee_taker": 0.0}


def listed(symbol, side, *, start="2024-12-26", end="2024-12-28", capital=100_000.0, **settings):
    """Hold one unit of a contract of the embedded exchange from its first bar on."""
    kind = "options" if symbol.endswith(("-C", "-P")) else "futures"
    contract = {"contract_type": "inverse" if ":BTC" in symbol else "linear"} if kind == "futures" else {}
    run = MetaExpert(exchange="demo", market_type=kind, log_to_console=False, **contract)
    run.on_init(symbol=symbol, timeframe="1h", **settings)(lambda: None)
    qty = 1000.0 if contract.get("contract_type") == "inverse" else 1.0
    sent = []

    @run.on_bar
    def bar(rates):
        if not sent:
            sent.append(getattr(run, side)(qty))

    return run.backtest(start, end, capital)


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("kind", ["C", "P"])
def test_an_option_of_the_embedded_exchange_is_settled_against_its_spot_candles(kind, side):
    """At 2024-12-27 08:00, at max(0, S - K) or max(0, K - S), S being the last spot price before it."""
    strike = 72_000.0
    record = listed(f"BTC/USDT:USDT-241227-{strike:.0f}-{kind}", side).record
    spot = MetaExchange("demo").bars("BTC/USDT", "1m", "2024-12-27T07:59", "2024-12-27T08:00")["close"].iloc[-1]
    worth = max(0.0, spot - strike if kind == "C" else strike - spot)
    (trade,) = record.trades
    sign = 1 if side == "buy" else -1
    assert (trade.exit_reason, trade.exit_price) == (ExitReason.EXPIRY, pytest.approx(worth))
    assert trade.exit_time == record.markets[trade.symbol].expiry
    assert trade.pnl == pytest.approx(sign * (worth - trade.entry_price))
    assert record.equity[-1] == pytest.approx(100_000 + trade.pnl - trade.fees)
    assert [note for note in record.notes if "BTC/USDT on spot" in note]


def test_an_inverse_option_is_settled_in_base():
    record = listed("BTC/USD:BTC-241227-60000-C", "buy", capital=10.0).record
    futures = MetaExchange("demo", market_type="futures", contract_type="inverse")
    index = futures.index_bars("BTC/USD:BTC", "1m", "2024-12-27T07:59", "2024-12-27T08:00")["close"].iloc[-1]
    (trade,) = record.trades
    assert record.currency == "BTC"
    assert trade.exit_price == pytest.approx((index - 60_000) / index)
    assert trade.pnl == pytest.approx(trade.exit_price - trade.entry_price)


def test_an_option_that_has_not_expired_yet_stays_open():
    record = listed("BTC/USDT:USDT-241227-72000-C", "buy", end="2024-12-26").record
    assert [trade.exit_time for trade in record.trades] == [None]


def test_bars_that_end_before_the_expiry_do_not_keep_it_from_being_settled():
    """Daily candles end at midnight, the contract eight hours later."""
    run = MetaExpert(exchange="demo", market_type="options", log_to_console=False)
    run.on_init(symbol="BTC/USDT:USDT-241227-72000-C", timeframe="1d")(lambda: None)
    run.on_bar(lambda bar: None if run.position() else run.buy(1.0))
    record = run.backtest("2024-12-20", None).record
    (trade,) = record.trades
    assert (trade.exit_reason, trade.exit_time) == (ExitReason.EXPIRY, record.markets[trade.symbol].expiry)
    assert record.equity[-1] == pytest.approx(10_000 + trade.net_pnl)


@pytest.mark.parametrize(("symbol", "side"), [("BTC/USDT:USDT-241227", "buy"), ("BTC/USD:BTC-241227", "sell")])
def test_a_dated_future_is_settled_at_its_last_price(symbol, side):
    record = listed(symbol, side, capital=100_000.0 if "USDT" in symbol else 10.0).record
    (trade,) = record.trades
    last = record.bars[symbol]["close"].iloc[-1]
    assert (trade.exit_reason, trade.exit_price) == (ExitReason.EXPIRY, pytest.approx(last))
    assert [note for note in record.notes if "settled at its last price" in note]


# -- by hand ------------------------------------------------------------------------------------------------------


def options(*, spot=True, **settings):
    """A call and a put of strike 100 that expire after eight bars, the underlying rising from 100 to 110."""
    keep(CALL, flat(*[5.0] * 8))
    keep(PUT, flat(*[4.0] * 8))
    keep("BTC/USDT", flat(*[100.0 + one for one in (0, 2, 4, 6, 8, 9, 10, 10, 10, 10)] if spot else [100.0]))
    run = expert("option")
    run.on_init(symbol=[CALL, PUT], timeframe="1h", **(FREE | settings))(lambda: None)
    return run


def test_a_straddle_is_settled_leg_by_leg():
    """Sold for 5 and 4 at 102; the call is worth 10 at 110, the put nothing: -5 + 4."""
    run = options(max_open_positions=2)

    @run.on_bar
    def bar(rates):
        if rates.time == START and not run.position(rates.symbol):
            run.sell(1.0, symbol=rates.symbol)

    record = run.backtest(capital=100.0).record
    assert {trade.symbol: trade.pnl for trade in record.trades} == {CALL: -5.0, PUT: 4.0}
    assert {trade.exit_time for trade in record.trades} == {START + 8 * HOUR}
    assert record.equity[-1] == 99.0
    assert record.equity[4] == 100.0  # premiums have not moved


def test_sizes_of_sold_options_count_their_margin():
    """10 % of 1000 at 15.3 a unit (15 % of 102): 6.5359."""
    run = options(size_value=0.1)
    seen = []

    @run.on_bar
    def bar(rates):
        if rates.time == START + HOUR and rates.symbol == CALL:
            seen.append(run.sell())

    record = run.backtest(capital=1000.0).record
    assert record.fills[0].qty == pytest.approx(100 / 15.3, abs=1e-4)
    assert record.orders[0].status.value == "filled"


def test_sizes_of_bought_options_count_their_premium():
    run = options(size_value=0.1)

    @run.on_bar
    def bar(rates):
        if rates.time == START and rates.symbol == CALL:
            run.buy()

    assert run.backtest(capital=1000.0).record.fills[0].qty == 20.0  # 100 / 5


def test_an_order_after_the_expiry_is_refused():
    keep(CALL, flat(*[5.0] * 8))
    keep("BTC/USDT", flat(*[100.0] * 12))
    run = expert("option")
    run.on_init(symbol=CALL, timeframe="1h")(lambda: None)
    run.on_bar(lambda bar: run.buy(1.0) if bar.time == START + 7 * HOUR else None)
    (order,) = run.backtest().record.orders
    assert (order.status.value, (order.message or "").split(":")[0]) == ("rejected", "expired")


def test_without_the_underlying_selling_is_refused_and_expiry_is_not_guessed():
    keep(CALL, flat(*[5.0] * 8))
    run = expert("option")
    run.on_init(symbol=CALL, timeframe="1h", **FREE)(lambda: None)

    @run.on_bar
    def bar(rates):
        if rates.time == START:
            run.sell(1.0)
            run.buy(2.0)

    record = run.backtest().record
    assert record.orders[0].message.startswith("no_underlying")
    assert record.trades[0].exit_price == 5.0
    said = " ".join(record.notes)
    assert "no price of its underlying is known" in said
    assert "at expiry is not known: settled at its last price, 5" in said


@pytest.mark.parametrize(("known", "gain"), [(("mark",), 3.0), (("mark", "index"), 4.0)])
def test_the_index_at_expiry_settles_a_dated_future_else_its_mark_price(known, gain):
    """Bought at 100; the mark price ends at 103, the index at 104."""
    future = "BTC/USDT:USDT-240102"
    store = CandleStore()
    dated = replace(market("BTC/USDT:USDT"), symbol=future, expiry=START + 8 * HOUR)
    store.append(dated, "1h", candles(flat(*[100.0] * 8)), source=Source("by hand"))
    for kind, last in zip(known, (103.0, 104.0), strict=False):
        prices = candles(flat(*[100.0] * 7, last), volume=0.0)
        store.append(dated, f"{kind}-1h", prices, source=Source("by hand"))
    run = expert("linear")
    run.on_init(symbol=future, timeframe="1h", **FREE)(lambda: None)
    run.on_bar(lambda bar: None if run.position() else run.buy(1.0))
    record = run.backtest().record
    assert [(trade.pnl, trade.exit_reason) for trade in record.trades] == [(gain, ExitReason.EXPIRY)]
    assert not [note for note in record.notes if "expiry" in note or "funding" in note]
