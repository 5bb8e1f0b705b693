"""What Binance and Bybit push at the venue beside documented and recorded messages: keys and kinds of values."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from venue import Venue
from venue.dialects.binance import streams as binance
from venue.dialects.bybit import streams as bybit
from venue.instruments import Kind
from venue.news import BalanceNews, Change, OrderNews, PositionNews, TradeNews
from venue.orders import Order
from venue.shapes import differences, documented
from venue.streams import CandleNews, Stream, Topic

from metaexpert.clock import SimClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from venue.streams import Speech

NOW = 1_790_000_000_000
HOSTS = {
    Kind.SPOT: ("stream.binance.com", "/ws/0"), Kind.LINEAR: ("fstream.binance.com", "/market/ws/0"),
    Kind.INVERSE: ("dstream.binance.com", "/ws/0"),
}  # fmt: skip


class Listener:
    """Somebody who is connected to an exchange, on whose account a few things happened."""

    def __init__(self, exchange: str, name: str, kind: Kind) -> None:
        state = Venue(SimClock(NOW)).states[exchange]
        self.item, self.state, self.news = state.instrument(name, kind), state, list[Any]()
        state.pin(self.item, 50_000)
        state.listeners.append(self.news.append)
        host, path = HOSTS[kind] if exchange == "binance" else ("stream.bybit.com", f"/v5/public/{kind}")
        self.socket: Any = SimpleNamespace(
            host=host, path=path, state=state, notes={"kind": kind}, feeds={}, login=True
        )
        self.speech: Speech = binance.SPEECH if exchange == "binance" else bybit.SPEECH
        told = {"instrument": self.item, "amount": Decimal("0.1") if self.item.step < 1 else Decimal(10)}
        state.place(Order(**told, buy=True, client_id="filled"))
        rests = state.place(Order(**told, buy=True, price=Decimal(40_000), client_id="rests"))
        state.place(Order(**told, buy=False, trigger=Decimal(45_000), rises=False, client_id="stop"))
        state.cancel(rests)

    def hears(self, stream: Stream, topic: Topic, what: Any) -> Any:
        """The message of something that happened, as it goes over the wire."""
        (told,) = self.speech.formats[stream](self.socket, topic, what)
        return json.loads(json.dumps(told))

    def public(self, name: str) -> Any:
        """The message of a public topic, by the exchange's name of it."""
        if self.speech is binance.SPEECH:
            if any(word in name for word in ("trade", "depth", "bookTicker")):
                self.socket.path = self.socket.path.replace("/market", "/public")
            (topic,) = binance.topics_of(self.socket, name)
        else:
            topic = bybit.topics_of(self.socket, name, twice=True)[0]
        row = self.state.trades(self.item, NOW - 120_000, NOW + 1)[-1]
        candle = self.state.candles(self.item, 60_000, NOW - 60_000, NOW + 1)[-1]
        book = self.state.books.look(self.item).whole()
        what: dict[Stream, Any] = {
            Stream.TRADES: TradeNews(self.item, row), Stream.BOOK: book._replace(before=book.sequence - 7),
            Stream.CANDLE: CandleNews(candle, closed=False),
        }  # fmt: skip
        return self.hears(topic.stream, topic, what.get(topic.stream))

    def order(self, change: Change, *, conditional: bool = False) -> OrderNews:
        """A change of one of the orders."""
        return next(
            one for one in self.news
            if isinstance(one, OrderNews) and one.change is change and one.order.conditional is conditional
        )  # fmt: skip

    def batch(self, *kinds: type) -> list[Any]:
        """What was told of the account."""
        return [one for one in self.news if isinstance(one, kinds)]


def private(stream: Stream, what: Callable[[Listener], Any], name: str = "") -> Callable[[Listener], Any]:
    """A message of the account."""
    return lambda one: one.hears(stream, Topic(name or stream, stream, terms=""), what(one))


def public(name: str) -> Callable[[Listener], Any]:
    return lambda one: one.public(name)


type Shape = tuple[str, Callable[[Listener], Any], set[str]]
"""A documented case, what the venue pushes, and which keys are newer than the case, or only there at times."""
SPOT: list[Shape] = [
    ("Spot/ExchangeData/Trades", public("btcusdt@trade"), set()),
    ("Spot/ExchangeData/AggregatedTrades", public("btcusdt@aggTrade"), set()),
    ("Spot/ExchangeData/BookTicker", public("btcusdt@bookTicker"), set()),
    ("Spot/ExchangeData/Klines", public("btcusdt@kline_1m"), set()),
    ("Spot/ExchangeData/MiniTicker", public("btcusdt@miniTicker"), set()),
    ("Spot/ExchangeData/Ticker", public("btcusdt@ticker"), set()),
    ("Spot/Account/Order", private(Stream.ORDERS, lambda one: one.order(Change.CANCELED)), set()),
    ("Spot/Account/Order", private(Stream.ORDERS, lambda one: one.order(Change.FILLED)), set()),
    ("Spot/Account/AccountPosition", private(Stream.ACCOUNT, lambda one: one.batch(BalanceNews)), set()),
]
CONDITIONAL = {"AP", "cr"}  # of trailing stops
LINEAR: list[Shape] = [
    ("UsdFutures/AggTrades", public("btcusdt@aggTrade"), set()),
    ("UsdFutures/Book", public("btcusdt@depth@100ms"), set()),
    ("UsdFutures/BookTicker", public("btcusdt@bookTicker"), set()),
    ("UsdFutures/Klines", public("btcusdt@kline_1m"), set()),
    ("UsdFutures/MarkPrice", public("btcusdt@markPrice@1s"), set()),
    ("UsdFutures/MiniTicker", public("btcusdt@miniTicker"), set()),
    ("UsdFutures/Ticker", public("btcusdt@ticker"), set()),
    ("UsdFutures/OrderUpdate", private(Stream.ORDERS, lambda one: one.order(Change.FILLED)), CONDITIONAL),
    (
        "UsdFutures/AlgoOrderUpdate",
        private(Stream.ORDERS, lambda one: one.order(Change.ACCEPTED, conditional=True)),
        set(),
    ),
    (
        "UsdFutures/AccountUpdate",
        private(Stream.ACCOUNT, lambda one: one.batch(BalanceNews, PositionNews)),
        {"ma"},
    ),
]
NEWER = {
    "closeOnTrigger", "createType", "cumFeeDetail", "lastPriceOnCreated", "marketUnit", "tpslMode", "isLeverage",
    "feeCurrency", "slLimitPrice", "tpLimitPrice", "spotBorrow", "leverageSysUpdatedTime", "mmrSysUpdatedTime",
    "positionIMByMp", "positionMMByMp", "liqPriceByMp", "breakEvenPrice", "basis", "basisRate", "deliveryFeeRate",
    "deliveryTime", "predictedDeliveryPrice", "curPreListingPhase", "preOpenPrice", "preQty",
}  # fmt: skip
"""Of Bybit: what is younger than the collection, or not there for every category."""
BYBIT: list[Shape] = [
    ("V5/Linear/Ticker", public("tickers.BTCUSDT"), NEWER),
    ("V5/Linear/Trades", public("publicTrade.BTCUSDT"), set()),
    ("V5/Option/Book", public("orderbook.50.BTCUSDT"), set()),
    ("V5/Option/Klines", public("kline.1.BTCUSDT"), set()),
    ("V5/Private/Order", private(Stream.ORDERS, lambda one: one.order(Change.FILLED)), NEWER),
    ("V5/Private/UserTrades", private(Stream.FILLS, lambda one: one.order(Change.FILLED)), NEWER),
    (
        "V5/Private/MinimalUserTrades",
        private(Stream.FILLS, lambda one: one.order(Change.FILLED), "execution.fast"),
        {"isMaker"},
    ),
    ("V5/Private/Position", private(Stream.POSITIONS, lambda one: one.batch(PositionNews)), NEWER),
    ("V5/Private/Balance", private(Stream.BALANCE, lambda one: one.batch(BalanceNews)), NEWER),
]
BYBIT_SPOT: list[Shape] = [("V5/Spot/Ticker", public("tickers.BTCUSDT"), set())]
CASES = [
    pytest.param(exchange, name, kind, *shape, id=f"{exchange} {shape[0]} {place}")
    for exchange, name, kind, shapes in (
        ("binance", "BTCUSDT", Kind.SPOT, SPOT), ("binance", "BTCUSDT", Kind.LINEAR, LINEAR),
        ("bybit", "BTCUSDT", Kind.LINEAR, BYBIT), ("bybit", "BTCUSDT", Kind.SPOT, BYBIT_SPOT),
    )
    for place, shape in enumerate(shapes)
]  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize(("exchange", "name", "kind", "case", "pushed", "known"), CASES)
def test_messages_are_as_documented(
    shared: Path,
    exchange: str,
    name: str,
    kind: Kind,
    case: str,
    pushed: Callable[[Listener], Any],
    known: set[str],
) -> None:
    """Every message has the keys and the kinds of values of the documentation's."""
    real: Sequence[Any] = documented(shared, exchange, case)
    if exchange == "binance":  # there by an address that wraps them
        real = [one.get("data", one) for one in real]
    assert real
    assert differences(pushed(Listener(exchange, name, kind)), real, known) == []


@pytest.mark.shared
@pytest.mark.parametrize("name", ["depth@100ms", "bookTicker", "kline_1m", "aggTrade"])
def test_binance_messages_are_as_recorded(shared: Path, name: str) -> None:
    """A session of 2021 has the same messages."""
    with gzip.open(shared / "data/ws_raw/binance_spot_2021-10.jsonl.gz", "rt", encoding="utf-8") as lines:
        told = [json.loads(line)["data"] for line in lines if f'usdt@{name}"' in line and '"recv"' in line]
    assert told
    ours = Listener("binance", "BTCUSDT", Kind.SPOT).public(f"btcusdt@{name}")
    assert differences(ours, [one["data"] for one in told]) == []
