"""Open orders come in pages: none is overlooked."""

import asyncio

import pytest

from metaexpert.config import ExchangeSettings
from metaexpert.errors import ExchangeError, OrderRejected
from metaexpert.exchanges import listing
from metaexpert.exchanges.gateway import Gateway
from metaexpert.exchanges.venues import VENUES, Segment

NOW = 1_700_000_000_000
MARKET = {
    "id": "BTC-USDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "type": "spot", "active": True,
    "precision": {"amount": 0.001, "price": 0.1}, "limits": {}, "info": {},
}  # fmt: skip


class Clock:
    def now(self):
        return NOW


class Fake:
    """An exchange with so many open orders, which it tells of page by page."""

    def __init__(self, exchange, count):
        self.pages = VENUES[exchange].order_pages
        self.orders = [self.order(number) for number in range(count)]
        self.asked = []

    def order(self, number):
        return {
            "id": f"x{number}", "clientOrderId": f"c{number}", "symbol": "BTC/USDT", "status": "open",
            "side": "buy", "type": "limit", "price": 10.0, "amount": 1.0, "filled": 0.0,
            "timestamp": NOW, "info": {},
        }  # fmt: skip

    async def fetch_open_orders(self, symbol, since, limit, params):
        self.asked.append((symbol, dict(params)))
        if params.get("trigger") or params.get("trailing"):
            return []
        start = 0
        cursor = params.get(self.pages.cursor) if self.pages and self.pages.cursor else None
        if cursor is not None:
            start = int(str(cursor).lstrip("x")) + (0 if self.pages.has_token else 1)
        page = self.orders[start : start + (limit or len(self.orders) or 1)]
        if page and self.pages and self.pages.has_token and start + len(page) < len(self.orders):
            page[0]["info"]["nextPageCursor"] = str(start + len(page))
        return page

    async def privateGetHfOrdersActiveSymbols(self):
        return {"data": {"symbols": ["BTC-USDT", "GONE-USDT"]}}

    async def load_time_difference(self):
        return 0

    def set_markets(self, raw):
        return None

    async def close(self):
        return None


def open_orders(exchange, count, symbol=None):
    listing.save(exchange, Segment.SPOT, [MARKET], NOW)
    fake = Fake(exchange, count)
    keys = {"api_key": "k", "api_secret": "s", "api_passphrase": "p"}
    gateway = Gateway(ExchangeSettings(exchange=exchange, **keys), clock=Clock(), client=lambda _: fake)
    return asyncio.run(gateway.open_orders(symbol)), fake


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.delenv("METAEXPERT_OFFLINE")


@pytest.mark.parametrize("exchange", VENUES)
@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 100, 101, 250])
def test_every_open_order_is_told(exchange, count):
    found, _ = open_orders(exchange, count)
    assert [order.exchange_id for order in found] == [f"x{number}" for number in range(count)]


def test_more_orders_than_can_be_told_are_refused_rather_than_overlooked():
    with pytest.raises(ExchangeError, match="more open orders than the 500"):
        open_orders("kucoin", 600)


def test_kucoin_is_asked_for_each_market_with_orders():
    _, fake = open_orders("kucoin", 3)
    assert [symbol for symbol, params in fake.asked if not params.get("trigger")] == ["BTC/USDT"]
    _, fake = open_orders("kucoin", 3, "BTCUSDT")
    assert {symbol for symbol, _ in fake.asked} == {"BTC/USDT"}


def test_the_dead_man_s_switch_is_set_once_or_refused():
    class Switched(Fake):
        async def privatePostHfOrdersDeadCancelAll(self, params):
            self.asked.append(params)

    def switched(exchange):
        listing.save(exchange, Segment.SPOT, [MARKET], NOW)
        fake = Switched(exchange, 0)
        keys = {"api_key": "k", "api_secret": "s", "api_passphrase": "p"}
        gateway = Gateway(ExchangeSettings(exchange=exchange, **keys), clock=Clock(), client=lambda _: fake)
        asyncio.run(gateway.dead_man(["BTCUSDT"], 30))
        return fake.asked

    assert switched("kucoin") == [{"timeout": 30, "symbols": "BTC-USDT"}]
    with pytest.raises(OrderRejected, match="Binance"):
        switched("binance")
