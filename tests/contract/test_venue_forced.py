"""What the exchange does by itself, as its answers tell it: liquidations, settlements, funding payments."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from gateways import EXCHANGES, gateway_to
from venue.dialects import binance, bybit
from venue.instruments import Instrument, Kind
from venue.orders import Order
from venue.prices import Prices
from venue.shapes import ask
from venue.state import State

from metaexpert.clock import SimClock
from metaexpert.models import ExitReason

if TYPE_CHECKING:
    from venue import Venue

D = Decimal
NOW = 1_790_000_000_000
HOUR = 3_600_000


def bought(state: State, *, dated: bool = False) -> Instrument:
    """A coin of BTC/USDT, bought at 50,000 with a margin of its own."""
    item = next(
        one for one in state.listed(Kind.LINEAR)
        if (one.base, one.quote) == ("BTC", "USDT") and bool(one.expiry) is dated
    )  # fmt: skip
    state.pin(item, 50_000)
    if not state.is_isolated(item):
        state.set_isolated(item, True)
    state.place(Order(instrument=item, buy=True, amount=1 / item.contract))
    return item


@pytest.mark.asyncio
@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_liquidation_and_a_settlement_are_told_as_such(venue: Venue, exchange: str) -> None:
    """At 40,000 the perpetual is gone with its margin of 5,000; the dated one ends at expiry, free of fees."""
    state = venue.states[exchange]
    async with gateway_to(venue, exchange, "linear") as gateway:
        item = bought(state)
        (held,) = await gateway.positions()
        assert (held.qty, held.margin) == (1.0, pytest.approx(5_000))
        assert held.liquidation_price == pytest.approx(45_226, abs=50)  # 45,000 / 0.995, or by its tiers
        state.pin(item, 40_000)
        assert await gateway.positions() == ()
        fill = (await gateway.fills("BTC/USDT:USDT"))[-1]
        assert (fill.price, fill.qty) == (40_000.0, 1.0)
        assert fill.reason is ExitReason.LIQUIDATION
        assert state.balances[state.wallet_of(item), "USDT"] == 100_000 - 50_000 * item.taker - 5_000
        dated = bought(state, dated=True)
        expiry = dated.expiry or 0
        (symbol,) = [one.symbol for one in await gateway.markets() if one.symbol.startswith("BTC/USDT:USDT-")]
        state.pin(dated, 51_000)
        state._upto = expiry - HOUR  # the weeks until then in one step
        venue.clock.advance(expiry)
        state.advance()
        fill = (await gateway.fills(symbol, expiry - HOUR))[-1]
        assert (fill.price, fill.qty, fill.fee) == (51_000.0, 1.0, 0.0)
        assert fill.reason is ExitReason.EXPIRY


@pytest.mark.parametrize("dialect", [binance, bybit], ids=lambda one: one.NAME)
def test_funding_payments_are_listed(dialect: Any) -> None:
    """A long of one coin pays the rate on 50,000, as Binance counts it negative and Bybit positive."""
    instant = -(-NOW // (8 * HOUR)) * 8 * HOUR
    clock = SimClock(instant - HOUR)
    state = State(dialect.instruments(NOW), Prices(), clock.now, dialect.wallet_of, dialect.HABITS)
    item = bought(state)
    clock.advance(instant + HOUR)
    state.advance()
    rate = state.prices.funding_rate(item, instant)
    if dialect is binance:
        (row,) = ask(binance, state, "GET", "/fapi/v1/income", incomeType="FUNDING_FEE")
        assert (D(row["income"]), row["time"], row["asset"]) == (-50_000 * rate, instant, "USDT")
        kinds = {one["incomeType"] for one in ask(binance, state, "GET", "/fapi/v1/income")}
        assert kinds == {"FUNDING_FEE", "COMMISSION"}
    else:
        told = ask(bybit, state, "GET", "/v5/execution/list", category="linear", execType="Funding")
        (row,) = told["result"]["list"]
        assert (D(row["execFee"]), D(row["feeRate"])) == (50_000 * rate, rate)
        assert (row["execTime"], row["execQty"], row["side"]) == (str(instant), "1", "Buy")


def test_binance_tells_a_liquidation_by_the_client_id() -> None:
    """It begins with autoclose-."""
    state = State(binance.instruments(NOW), Prices(), SimClock(NOW).now, binance.wallet_of, binance.HABITS)
    state.pin(bought(state), 40_000)
    orders = ask(binance, state, "GET", "/fapi/v1/allOrders", symbol="BTCUSDT")
    assert orders[-1]["clientOrderId"].startswith("autoclose-")
