"""What goes wrong at the venue, as CCXT sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import ccxt  # noqa: TID251
import numpy as np
import pytest
import pytest_asyncio
from pyleak import no_task_leaks
from venue import Fault, Venue, VenueThread
from venue.instruments import Kind, quarters
from venue.prices import Prices
from venue.routes import KEY, SECRET
from venue.server import credentials

from metaexpert.clock import SimClock
from metaexpert.config import ExchangeSettings
from metaexpert.exchanges.connection import connect
from metaexpert.values import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = 1_790_000_000_000
ORDER = ("BTC/USDT", "limit", "buy", 0.1, 1000.0)


@pytest_asyncio.fixture
async def binance(venue: Venue) -> AsyncIterator[Any]:
    types = {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False}
    client = venue.client("binance")(credentials("binance") | {"options": types})
    await client.load_markets()
    yield client
    await client.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "error", "done"),
    [
        (Fault.RATE_LIMIT, ccxt.DDoSProtection, False),
        (Fault.BAN, ccxt.DDoSProtection, False),
        (Fault.SERVER_ERROR, ccxt.ExchangeNotAvailable, False),
        (Fault.RESET, ccxt.ExchangeNotAvailable, False),
        (Fault.MAINTENANCE, ccxt.OnMaintenance, False),
        (Fault.OVERLOAD, ccxt.OperationFailed, False),
        (Fault.GEO_BLOCK, ccxt.ExchangeNotAvailable, False),
        (Fault.DENIED, ccxt.AuthenticationError, False),
        (Fault.REPLY_LOST, ccxt.ExchangeNotAvailable, True),
        (Fault.TRUNCATED, ccxt.ExchangeError, True),
        (Fault.UNKNOWN, ccxt.RequestTimeout, True),
    ],
)
async def test_a_fault_raises_once_and_does_what_it_says(
    binance: Any, venue: Venue, fault: Fault, error: type[Exception], done: bool
) -> None:
    """Each fault has its error; the order exists afterwards exactly where the fault comes after the deed."""
    venue.faults.add(fault, "*/order")
    with pytest.raises(error):
        await binance.create_order(*ORDER, {"clientOrderId": "mine"})
    assert [order.client_id for order in venue.states["binance"].orders.values()] == (["mine"] if done else [])
    assert (await binance.create_order(*ORDER))["status"] == "open"


@pytest.mark.asyncio
@pytest.mark.parametrize(("fault", "done"), [(Fault.HTML, False), (Fault.EMPTY, True)])
async def test_an_answer_without_content_is_no_error_to_ccxt(
    binance: Any, venue: Venue, fault: Fault, done: bool
) -> None:
    """An empty body and a page of HTML with status 200 come back as an order without an id."""
    venue.faults.add(fault, "*/order")
    assert (await binance.create_order(*ORDER))["id"] is None
    assert len(venue.states["binance"].orders) == done


@pytest.mark.asyncio
async def test_retry_after(binance: Any, venue: Venue) -> None:
    """A rate limit tells when to come back."""
    venue.faults.add(Fault.RATE_LIMIT, seconds=30)
    with pytest.raises(ccxt.DDoSProtection, match="-1003"):
        await binance.fetch_ticker("BTC/USDT")
    assert binance.last_response_headers["Retry-After"] == "30"


@pytest.mark.asyncio
async def test_a_late_answer_times_out(binance: Any, venue: Venue) -> None:
    """An order whose answer comes late has been taken."""
    binance.timeout = 200
    venue.faults.add(Fault.LATENCY, "*/order", seconds=30)
    with pytest.raises(ccxt.RequestTimeout):
        await binance.create_order(*ORDER)
    assert len(venue.states["binance"].orders) == 1


@pytest.mark.asyncio
async def test_a_late_answer_to_a_client_that_has_gone_ends_with_the_venue() -> None:
    """Nothing of it is left over."""
    async with no_task_leaks(action="raise"), Venue(SimClock(NOW), exchanges=("binance",)) as venue:
        venue.faults.add(Fault.LATENCY, "*", seconds=60)
        asked = asyncio.ensure_future(venue.client_session().get("https://api.binance.com/api/v3/time"))
        while not venue.seen:  # noqa: ASYNC110 - the venue tells nobody
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])


@pytest.mark.asyncio
async def test_a_rule_waits_and_repeats(binance: Any, venue: Venue) -> None:
    """A rule passes over `after` requests, then befalls `times`, of its path and method alone."""
    venue.faults.add(Fault.SERVER_ERROR, "*/klines", method="GET", after=1, times=2, status=502)
    outcomes: list[bool] = []
    for _ in range(5):
        try:
            await binance.fetch_ohlcv("BTC/USDT", "1h")
        except ccxt.ExchangeNotAvailable:
            outcomes.append(False)
        else:
            outcomes.append(True)
        await binance.fetch_ticker("BTC/USDT")
    assert outcomes == [True, False, False, True, True]


@pytest.mark.asyncio
async def test_no_other_host_is_served(venue: Venue) -> None:
    """The session leads every host name here; one that is no exchange gets a plain 404."""
    async with venue.client_session().get("https://example.org/x") as response:
        assert response.status == 404


@pytest.mark.asyncio
async def test_the_librarys_own_client_is_led_here(venue: Venue) -> None:
    """What the library makes of its settings can be redirected as it is; its proxies, keys and urls stay."""
    settings = ExchangeSettings(exchange="bybit", api_key=Secret(KEY), api_secret=Secret(SECRET))
    client = venue.redirect(connect(settings))
    assert (await client.fetch_balance())["USDT"]["free"] == 100_000.0
    await client.close()
    assert {seen.host for seen in venue.seen} == {"api.bybit.com"}
    assert venue.seen[-1].path == "/v5/account/wallet-balance"


def test_a_venue_of_its_own_thread() -> None:
    """A caller with an event loop of its own can use a venue that runs in a thread."""

    async def price(venue: Venue) -> float:
        client = venue.client("binance")({"options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False}})
        try:
            return (await client.fetch_ticker("BTC/USDT"))["last"]
        finally:
            await client.close()

    with VenueThread(Venue(SimClock(NOW))) as venue:
        assert asyncio.run(price(venue)) > 0


def test_prices_are_a_function_of_the_minute() -> None:
    """However a span is asked for, its minutes are the same; a longer candle is made of its minutes."""
    venue, prices = Venue(SimClock(NOW)), Prices(seed=3)
    item = venue.states["binance"].instrument("BTCUSDT", Kind.LINEAR)
    start, hour = NOW // 3_600_000 * 60 - 6000, 3_600_000
    whole = prices.minutes(item, start, start + 600)
    part = prices.minutes(item, start + 200, start + 300)
    assert all(np.array_equal(a[200:300], b) for a, b in zip(whole, part, strict=True))
    assert np.array_equal(whole.open[1:], whole.close[:-1])
    candles = prices.candles(item, hour, start * 60_000, (start + 600) * 60_000, NOW)
    highs, volumes = whole.high.reshape(10, 60).max(axis=1), whole.volume.reshape(10, 60).sum(axis=1)
    assert [candle.high for candle in candles] == [ticks * item.tick for ticks in highs.tolist()]
    assert [candle.volume for candle in candles] == [steps * item.step for steps in volumes.tolist()]


def test_an_outage_leaves_no_candles() -> None:
    """In a gap nothing trades: its minutes are missing, and the price is the last one before it."""
    start = NOW // 60_000 * 60_000
    prices = Prices(gaps=[(start - 600_000, start - 300_000)])
    item = Venue(SimClock(NOW)).states["binance"].instrument("BTCUSDT", Kind.SPOT)
    rows = prices.candles(item, 60_000, start - 900_000, start, NOW)
    assert [(start - row.time) // 60_000 for row in rows] == [15, 14, 13, 12, 11, 5, 4, 3, 2, 1]
    assert prices.at(item, start - 400_000) == rows[4].close


def test_quarterly_expiries() -> None:
    """After 2026-09-21 come the last Fridays of December and March; September's is too near."""
    assert quarters(1_789_948_800_000, 2) == [1_798_185_600_000, 1_806_048_000_000]
