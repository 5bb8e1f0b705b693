"""What is asked of each cell of the capability table, and what CCXT then sends, caught before it leaves."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from order_markets import INVERSE, LINEAR, OPTION, SPOT

from metaexpert.config import ExchangeSettings
from metaexpert.exchanges import orders
from metaexpert.exchanges.capabilities import Feature
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.convert import segment_of_raw
from metaexpert.exchanges.markets import market_of
from metaexpert.exchanges.orders import OrderRequest, Terms
from metaexpert.models import ExitReason, MarginMode, Order, OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from collections.abc import Iterable

    from metaexpert.exchanges.orders import Call
    from metaexpert.models import Market

KINDS = {
    SPOT: {"market_type": "spot"},
    LINEAR: {"market_type": "futures", "contract_type": "linear"},
    INVERSE: {"market_type": "futures", "contract_type": "inverse"},
    OPTION: {"market_type": "options"},
}
VOLATILE = {"timestamp", "signature", "recvWindow", "startTime", "endTime"}
LAST = 50_000.0
CROSS = Terms(3.0, MarginMode.CROSS)


class Sent(NamedTuple):
    """A request as it goes out, without what differs each time."""

    method: str
    address: str
    content: Any


class _Caught(Exception):
    """Thrown instead of sending."""


class Wire:
    """CCXT, as the library makes it, with the network taken away."""

    def __init__(self, exchange: str, raw: dict[str, Any]) -> None:
        keys = {"api_key": "key", "api_secret": "c2VjcmV0", "api_passphrase": "words"}
        self.client = connect(ExchangeSettings(exchange=exchange, **KINDS[segment_of_raw(raw)], **keys))
        self.client.set_markets([raw])
        self.client.enableRateLimit = False
        self.client.fetch = self._fetch
        self.market: Market = market_of(raw, exchange)
        self._seen: list[Sent] = []

    async def _fetch(self, url: str, method: str = "GET", headers: Any = None, body: str | None = None) -> None:
        parts = urlsplit(url)
        self._seen.append(Sent(method, f"{parts.netloc}{parts.path}", content_of(body or parts.query)))
        raise _Caught

    def send(self, calls: Iterable[Call]) -> list[Sent]:
        """What goes out for these calls."""

        async def each() -> None:
            for call in calls:
                try:
                    await getattr(self.client, call.method)(*call.arguments)
                except _Caught:
                    continue
                raise AssertionError(f"{call.method} sent nothing")

        self._seen = []
        asyncio.run(each())
        return self._seen


def content_of(text: str) -> Any:
    """The fields of a body or query."""
    try:
        return json.loads(text)
    except ValueError:
        return {name: value for name, value in parse_qsl(text) if name not in VOLATILE}


def expected(line: str) -> Sent:
    """`POST host/path content` as a person writes it."""
    method, address, *content = line.split(" ", 2)
    return Sent(method, address, content_of(content[0] if content else ""))


def order(market: Market, side: str = "buy", kind: str = "market", **more: Any) -> Order:
    """An order of 0.25 BTC, or of 1,000 USD face value, or of one option's."""
    qty = 1_000.0 if market.is_inverse else 1.0 if market.is_option else 0.25
    return Order(id="abc123", symbol=market.symbol, side=Side(side), type=OrderType(kind), qty=qty, **more)


def request(asked: Order, **more: Any) -> OrderRequest:
    """A request at a last price of 50,000 with leverage 3 on cross margin."""
    return OrderRequest(order=asked, **({"terms": CROSS, "reference_price": LAST} | more))


def calls_of_cell(market: Market, feature: Feature, *, watched: bool = False) -> list[Call]:
    """What a test of the cell asks for: a representative order, or what is done with it."""
    at, above = (500.0, 505.0) if market.is_option else (49_000.0, 51_000.0)
    limit = order(market, "buy", "limit", price=at)
    done: dict[Feature, Any] = {
        Feature.CLIENT_ID: lambda: [
            call
            for one in (
                [limit] if market.is_option else [limit, order(market, "buy", "stop", stop_price=51_000.0)]
            )
            for call in (*orders.lookups_of(one, market), orders.cancel_of(one, market))
        ],
        Feature.AMEND: lambda: [
            orders.amend_of(replace(limit, exchange_id="77"), market, price=above, qty=2 * limit.qty)
        ],
        Feature.CANCEL_ALL: lambda: list(orders.cancel_all_of(market)),
        Feature.DEAD_MAN: lambda: list(orders.dead_man_of([market], 30)),
    }
    if feature in done:
        return done[feature]()
    short = "buy" if market.is_spot else "sell"
    stop = 45_000.0 if market.is_spot else 55_000.0
    closing = {"reduce_only": True, "reason": ExitReason.TAKE_PROFIT}
    given: dict[Feature, list[OrderRequest]] = {
        Feature.MARKET: [request(order(market))],
        Feature.LIMIT: [request(limit)],
        Feature.STOP: [request(order(market, "buy", "stop", stop_price=51_000.0))],
        Feature.STOP_LIMIT: [request(order(market, "sell", "stop_limit", stop_price=49_000.0, price=48_900.0))],
        Feature.TAKE_PROFIT: [
            request(order(market, "sell", "stop", stop_price=55_000.0, **closing)),
            request(order(market, "buy", "stop", stop_price=45_000.0, **closing)),
        ],
        Feature.POST_ONLY: [request(order(market, "sell", "limit", price=above, post_only=True))],
        Feature.IOC: [request(replace(limit, tif=TimeInForce.IOC))],
        Feature.FOK: [request(replace(limit, tif=TimeInForce.FOK))],
        Feature.REDUCE_ONLY: [
            request(order(market, "sell", "limit", price=above, reduce_only=True), watched=watched)
        ],
        Feature.HEDGE: [
            request(order(market, "sell", "limit", price=above, position_side="short")),
            request(order(market, "sell", "limit", price=above, position_side="long", reduce_only=True)),
        ],
        Feature.ATTACHED_STOP: [
            request(replace(order(market, short, "limit", price=at), stop_loss=stop), watched=watched),
            request(order(market, short, stop_loss=stop), watched=watched),
        ],
        Feature.ATTACHED_TARGET: [
            request(replace(limit, take_profit=55_000.0), watched=watched),
            request(order(market, take_profit=55_000.0), watched=watched),
        ],
        Feature.TRAILING: [
            request(order(market, "sell", "stop", reduce_only=True), trailing_stop_pct=1.5),
        ],
        Feature.MARKET_BY_COST: [request(order(market), cost=100.0)],
    }
    if market.is_option and feature in (Feature.ATTACHED_STOP, Feature.ATTACHED_TARGET):
        level = {"stop_loss": 300.0} if feature is Feature.ATTACHED_STOP else {"take_profit": 900.0}
        given[feature] = [request(replace(limit, **level), watched=watched)]
    return [call for one in given[feature] for call in orders.calls_of(one, market)]
