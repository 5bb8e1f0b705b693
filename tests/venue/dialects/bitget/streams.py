"""Bitget's websockets: a public and a private address, the login, subscriptions, and the messages."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any

from metaexpert.timeframe import TIMEFRAMES, floor

from ...books import CHECKED, checksum
from ...instruments import Kind
from ...orders import Reason, Refusal
from ...routes import KEY, PASSPHRASE, signature
from ...streams import CandleNews, Speech, Stream, Topic, Wrong
from . import pushes
from .listing import PRODUCTS, product_of
from .market import BARS, UTC

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...books import BookChange
    from ...instruments import Instrument
    from ...news import BalanceNews, OrderNews, PositionNews, TradeNews
    from ...sockets import Socket

    type Arg = dict[str, str]

WINDOW = 30
"""How old a login may be, s."""
PUBLIC, PRIVATE = "/v2/ws/public", "/v2/ws/private"
CHANNELS = {
    "trade": Topic("", Stream.TRADES), "ticker": Topic("", Stream.TICKER, interval=100),
    "books": Topic("", Stream.BOOK), "books1": Topic("", Stream.BOOK, depth=1),
    "books5": Topic("", Stream.BOOK, depth=5), "books15": Topic("", Stream.BOOK, depth=15),
    "books50": Topic("", Stream.BOOK, depth=50),
}  # fmt: skip
OWN = {
    "orders": Stream.ORDERS, "orders-algo": Stream.ORDERS, "fill": Stream.FILLS, "positions": Stream.POSITIONS,
    "account": Stream.BALANCE,
}  # fmt: skip
TRADES, CANDLES = 50, 500
"""How many come with a subscription."""


def connect(socket: Socket) -> None:
    """Classic accounts have two addresses."""
    if socket.path not in {PUBLIC, PRIVATE}:
        raise Refusal(Reason.PATH, socket.path)


def hear(socket: Socket, message: Any) -> None:
    """A ping, a login, subscriptions."""
    if message == "ping":
        socket.send("pong")
        return
    try:
        _obey(socket, message)
    except Wrong as wrong:
        told: dict[str, Any] = {"event": "error", "code": wrong.code, "msg": wrong.message, "op": "subscribe"}
        socket.send(told | ({"arg": wrong.arg} if wrong.arg is not None else {}))


def _obey(socket: Socket, message: Any) -> None:
    args = message.get("args") if isinstance(message, dict) else None
    if not isinstance(args, list) or not all(isinstance(one, dict) for one in args):
        raise Wrong(30002, "illegal request")
    if message.get("op") == "login":
        for arg in args:
            _log_in(socket, arg)
        socket.send({"event": "login", "code": "0", "msg": ""})
    elif message.get("op") == "subscribe":
        for arg in args:
            topic = topic_of(socket, arg)
            socket.send({"event": "subscribe", "arg": arg})
            socket.subscribe(topic)
    elif message.get("op") == "unsubscribe":
        for arg in args:
            topic = topic_of(socket, arg)
            socket.unsubscribe(topic.name)
            socket.notes.pop(topic.name, None)
            socket.send({"event": "unsubscribe", "arg": arg})
    else:
        raise Wrong(30003, "Invalid op")


def _log_in(socket: Socket, arg: Arg) -> None:
    """The signature is an HMAC of the time and of the request that a check of the user would be."""
    stamp = str(arg.get("timestamp", ""))
    if arg.get("apiKey") != KEY:
        raise Wrong(30011, "Invalid ACCESS_KEY")
    if not stamp.isdigit():
        raise Wrong(30013, "Invalid ACCESS_TIMESTAMP")
    if abs(socket.state.now() // 1000 - int(stamp)) > WINDOW:
        raise Wrong(30014, "Request timestamp expired")
    if not hmac.compare_digest(signature(f"{stamp}GET/user/verify"), str(arg.get("sign", ""))):
        raise Wrong(30015, "Invalid sign")
    if arg.get("passphrase") != PASSPHRASE:
        raise Wrong(30012, "Invalid ACCESS_PASSPHRASE")
    if socket.state.addresses and socket.state.address not in socket.state.addresses:
        raise Wrong(30005, "login failed")
    socket.login = True


def topic_of(socket: Socket, arg: Arg) -> Topic:
    """What an argument of a subscription means."""
    channel, name = str(arg.get("channel", "")), json.dumps(arg, sort_keys=True)
    if arg.get("instType") not in {"SPOT", *PRODUCTS}:
        raise _missing(arg)
    if channel in OWN:
        if not socket.login:
            raise Wrong(30004, "User needs to log in", arg)
        return _own(socket, arg, channel, name)
    if socket.path != PUBLIC:
        raise _missing(arg)
    item = _item(socket, arg)
    if channel in CHANNELS:
        return CHANNELS[channel]._replace(name=name, item=item, terms=arg)
    bar = channel.removeprefix("candle")
    interval = TIMEFRAMES[UTC[bar]] if bar in UTC else BARS.get(bar)
    if not channel.startswith("candle") or interval is None:
        raise _missing(arg)
    return Topic(name, Stream.CANDLE, item, interval, terms=arg)


def _missing(arg: Arg) -> Wrong:
    told = ",".join(f"{key}:{value}" for key, value in arg.items())
    return Wrong(30001, f"{told} doesn't exist", arg)


def _item(socket: Socket, arg: Arg) -> Instrument:
    kind = PRODUCTS.get(arg["instType"], Kind.SPOT)
    item = socket.state.instruments.get((kind, str(arg.get("instId", ""))))
    if item is None or product_of(item) != arg["instType"]:
        raise _missing(arg)
    return item


def _own(socket: Socket, arg: Arg, channel: str, name: str) -> Topic:
    """The account is asked for by coin, all else by instrument; "default" is everything."""
    if channel == "positions" and arg["instType"] == "SPOT":
        raise _missing(arg)
    if channel == "account":
        if not arg.get("coin"):
            raise Wrong(30016, "Param error", arg)
    elif arg.get("instId") != "default":
        _item(socket, arg)
    return Topic(name, OWN[channel], terms=arg)


# --- messages


def _told(socket: Socket, topic: Topic, rows: Iterable[Any], action: str = "snapshot") -> list[Any]:
    return [{"action": action, "arg": topic.terms, "data": list(rows), "ts": socket.state.now()}]


def _of(topic: Topic) -> Instrument:
    assert topic.item is not None
    return topic.item


def trades(socket: Socket, topic: Topic, news: TradeNews | None) -> list[Any]:
    """The last ones with the subscription, the newest first, then each one."""
    item, now = _of(topic), socket.state.now()
    if news is not None:
        return _told(socket, topic, [pushes.trade(item, news.trade)], "update")
    rows = socket.state.trades(item, now - (TRADES + 8) * 15_000, now + 1)[-TRADES:]
    return _told(socket, topic, [pushes.trade(item, row) for row in reversed(rows)])


def candle(socket: Socket, topic: Topic, news: CandleNews) -> list[Any]:
    """The last ones with the subscription, then the running one, and once more when it has ended."""
    item, state, begun = _of(topic), socket.state, topic.name in socket.notes
    if begun:
        return _told(socket, topic, [pushes.candle(item, news.candle)], "update")
    socket.notes[topic.name] = True
    begin = floor(state.now(), topic.interval) - (CANDLES - 1) * topic.interval
    rows = state.candles(item, topic.interval, begin, state.now() + 1)
    return _told(socket, topic, [pushes.candle(item, row) for row in rows])


def ticker(socket: Socket, topic: Topic, _: bool | None) -> list[Any]:
    """The day, the best of the book, and of contracts their mark price and funding."""
    return _told(socket, topic, [pushes.ticker(socket.state, _of(topic))])


def book(socket: Socket, topic: Topic, change: BookChange) -> list[Any]:
    """`books` is a snapshot and then changes with a checksum; those with a depth are whole each time."""
    item = _of(topic)
    whole = socket.state.books.look(item).top(topic.depth or CHECKED).whole()
    best = {"asks": pushes.levels(item, whole.asks), "bids": pushes.levels(item, whole.bids)}
    moved = {"asks": pushes.levels(item, change.asks), "bids": pushes.levels(item, change.bids)}
    row: dict[str, Any] = (best if topic.depth else moved) | {
        "checksum": 0 if topic.depth else checksum(best["bids"], best["asks"]), "seq": change.sequence,
        "ts": str(socket.state.now()),
    }  # fmt: skip
    return _told(socket, topic, [row], "snapshot" if topic.depth or change.before is None else "update")


def _asked(arg: Arg, item: Instrument) -> bool:
    """Whether a private subscription means this instrument."""
    return arg["instType"] == product_of(item) and arg.get("instId", "default") in {"default", item.id}


def orders(socket: Socket, topic: Topic, news: OrderNews) -> list[Any]:
    """Orders, or plans."""
    one, plans = news.order, topic.terms["channel"] == "orders-algo"
    if one.conditional != plans or not _asked(topic.terms, one.instrument):
        return []
    return _told(socket, topic, [pushes.plan(one) if plans else pushes.order(socket.state, one, news.fill)])


def fills(socket: Socket, topic: Topic, news: OrderNews) -> list[Any]:
    """Executions."""
    if news.fill is None or not _asked(topic.terms, news.order.instrument):
        return []
    return _told(socket, topic, [pushes.fill(news.order, news.fill)])


def positions(socket: Socket, topic: Topic, news: list[PositionNews] | None) -> list[Any]:
    """All that are held of a product type, whenever one of them changes: those that are closed are missing."""
    if news is not None and not any(_asked(topic.terms, one.position.instrument) for one in news):
        return []
    held = [one for one in socket.state.held() if _asked(topic.terms, one.instrument)]
    return _told(socket, topic, [pushes.position(socket.state, one) for one in held])


def account(socket: Socket, topic: Topic, news: list[BalanceNews | OrderNews] | None) -> list[Any]:
    """All coins of a wallet with the subscription, then those that change."""
    state, wallet = socket.state, str(topic.terms["instType"])
    moved = None if news is None else {state.purse(one) for one in news}
    coins = [coin for coin in state.coins(wallet) if moved is None or (wallet, coin) in moved]
    asked = [coin for coin in coins if topic.terms["coin"] in {"default", coin}]
    return _told(socket, topic, [pushes.money(state, wallet, coin) for coin in asked]) if asked else []


SPEECH = Speech(
    hear=hear, connect=connect, idle=120_000,
    formats={
        Stream.TRADES: trades, Stream.CANDLE: candle, Stream.TICKER: ticker, Stream.BOOK: book,
        Stream.ORDERS: orders, Stream.FILLS: fills, Stream.POSITIONS: positions, Stream.BALANCE: account,
    },
    at_once=frozenset({
        Stream.TRADES, Stream.CANDLE, Stream.TICKER, Stream.BOOK, Stream.POSITIONS, Stream.BALANCE,
    }),
)  # fmt: skip
