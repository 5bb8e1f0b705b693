"""OKX's websockets: what is to be had at which address, the login, subscriptions, and the messages."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any

from ...books import CHECKED, checksum
from ...instruments import Kind
from ...orders import Reason, Refusal
from ...routes import KEY, PASSPHRASE, signature
from ...streams import CandleNews, Speech, Stream, Topic, Wrong
from . import pushes
from .account import WALLET
from .listing import family_of, type_of
from .market import BARS, candle_of, funding_of, mark_of, ticker_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...books import BookChange
    from ...instruments import Instrument
    from ...news import BalanceNews, OrderNews, PositionNews, TradeNews
    from ...sockets import Socket

    type Arg = dict[str, str]

CONNECTION = "a4d3ae55"
WINDOW = 30
"""How old a login may be, s."""
PUBLIC = {
    "trades": Topic("", Stream.TRADES), "tickers": Topic("", Stream.TICKER, interval=100),
    "bbo-tbt": Topic("", Stream.BOOK, depth=1), "books5": Topic("", Stream.BOOK, depth=5),
    "books": Topic("", Stream.BOOK), "mark-price": Topic("", Stream.MARK, interval=200),
    "funding-rate": Topic("", Stream.MARK, interval=60_000),
}  # fmt: skip
PRIVATE = {
    "orders": Stream.ORDERS, "fills": Stream.FILLS, "positions": Stream.POSITIONS, "account": Stream.BALANCE,
}  # fmt: skip
CANDLES = {"candle": "last", "mark-price-candle": "mark", "index-candle": "index"}
TIERS = {"books-l2-tbt", "books50-l2-tbt"}
"""Channels for those who trade much."""
PLACES = {"public", "private", "business"}


def place_of(socket: Socket) -> str:
    """The part of the interface that a client has dialled."""
    return socket.path.rpartition("/")[2]


def connect(socket: Socket) -> None:
    """There are three addresses."""
    if place_of(socket) not in PLACES:
        raise Refusal(Reason.PATH, socket.path)


def hear(socket: Socket, message: Any) -> None:
    """A ping, a login, subscriptions."""
    if message == "ping":
        socket.send("pong")
        return
    try:
        _obey(socket, message)
    except Wrong as wrong:
        socket.send({"event": "error", "msg": wrong.message, "code": wrong.code, "connId": CONNECTION})


def _obey(socket: Socket, message: Any) -> None:
    args = message.get("args") if isinstance(message, dict) else None
    if not isinstance(args, list) or not all(isinstance(one, dict) for one in args):
        told = message if isinstance(message, str) else json.dumps(message)
        raise Wrong("60012", f"Illegal request: {told}")
    if message.get("op") == "login":
        for arg in args:
            _log_in(socket, arg)
        socket.send({"event": "login", "code": "0", "msg": "", "connId": CONNECTION})
    elif message.get("op") == "subscribe":
        for arg in args:
            topic = topic_of(socket, arg)
            _answer(socket, "subscribe", arg)
            socket.subscribe(topic)
    elif message.get("op") == "unsubscribe":
        for arg in args:
            socket.unsubscribe(topic_of(socket, arg).name)
            _answer(socket, "unsubscribe", arg)
    else:
        raise Wrong("60019", f"Invalid op: {message.get('op')}")


def _answer(socket: Socket, event: str, arg: Arg) -> None:
    socket.send({"event": event, "arg": arg, "connId": CONNECTION})


def _log_in(socket: Socket, arg: Arg) -> None:
    """The signature is an HMAC of the time and of the request that a check of one's account would be."""
    if place_of(socket) == "public":
        raise Wrong("60008", "Login is not supported for public channels.")
    stamp = str(arg.get("timestamp", ""))
    if arg.get("apiKey") != KEY:
        raise Wrong("60005", "Invalid apiKey")
    if not stamp.isdigit() or abs(socket.state.now() // 1000 - int(stamp)) > WINDOW:
        raise Wrong("60006", "Timestamp request expired")
    if not hmac.compare_digest(signature(f"{stamp}GET/users/self/verify"), str(arg.get("sign", ""))):
        raise Wrong("60007", "Invalid sign")
    if arg.get("passphrase") != PASSPHRASE:
        raise Wrong("60024", "Wrong passphrase")
    if socket.state.addresses and socket.state.address not in socket.state.addresses:
        raise Wrong("60009", "Login failed.")
    socket.login = True


def topic_of(socket: Socket, arg: Arg) -> Topic:
    """What an argument of a subscription means."""
    channel, place = str(arg.get("channel", "")), place_of(socket)
    name = json.dumps(arg, sort_keys=True)
    if channel in PRIVATE or channel == "orders-algo":
        return _private(socket, arg, channel, name)
    stem = channel.rstrip("0123456789mHDWMutc")
    if (stem in CANDLES or channel in PUBLIC) and place == "private":
        raise _missing(arg)
    if stem in CANDLES:
        if place != "business":
            raise Wrong("64001", "This channel has been migrated to the business URL.")
        if (interval := BARS.get(channel.removeprefix(stem))) is None:
            raise _missing(arg)
        return Topic(name, Stream.CANDLE, _item(socket, arg, stem), interval, what=CANDLES[stem], terms=arg)
    if channel in TIERS:
        raise Wrong("64003", "Your trading fee tier doesn't meet the requirement to access this channel.")
    if channel not in PUBLIC:
        raise _missing(arg)
    if place == "business":
        raise Wrong("64002", "This channel is not supported by business URL.")
    return PUBLIC[channel]._replace(name=name, item=_item(socket, arg, channel), terms=arg)


def _missing(arg: Arg) -> Wrong:
    told = ",".join(f"{key}:{value}" for key, value in arg.items())
    return Wrong(
        "60018", f"Wrong URL or {told} doesn't exist. Please use the correct URL, channel and parameters "
        "referring to API document.",
    )  # fmt: skip


def _item(socket: Socket, arg: Arg, channel: str) -> Instrument:
    name = str(arg.get("instId", ""))
    items = socket.state.listed(*Kind)
    for item in items:
        if name == (family_of(item) if channel == "index-candle" else item.id):
            fits = item.perpetual if channel == "funding-rate" else channel != "mark-price" or item.kind != "spot"
            if fits:
                return item
    raise _missing(arg)


def _private(socket: Socket, arg: Arg, channel: str, name: str) -> Topic:
    if place_of(socket) != ("business" if channel == "orders-algo" else "private"):
        raise _missing(arg)
    if not socket.login:
        raise Wrong("60011", "Please log in")
    if channel in {"orders", "orders-algo", "positions"}:
        if arg.get("instType") not in {"ANY", "SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION"}:
            raise _missing(arg)
        if arg.get("instId") and arg["instId"] not in {item.id for item in socket.state.listed(*Kind)}:
            raise _missing(arg)
    return Topic(name, PRIVATE.get(channel, Stream.ORDERS), terms=arg)


# --- messages


def _told(topic: Topic, rows: Iterable[Any], **more: Any) -> list[Any]:
    """One message of rows, none without any."""
    data = list(rows)
    return [{"arg": topic.terms, **more, "data": data}] if data else []


def _of(topic: Topic) -> Instrument:
    assert topic.item is not None
    return topic.item


def trades(_: Socket, topic: Topic, news: TradeNews) -> list[Any]:
    """Trade by trade."""
    return _told(topic, [pushes.trade(news.instrument, news.trade)])


def candle(socket: Socket, topic: Topic, news: CandleNews) -> list[Any]:
    """The running candle, and once more when it has ended."""
    now = socket.state.now()
    return _told(topic, [candle_of(_of(topic), news.candle, topic.interval, now, topic.what)])


def ticker(socket: Socket, topic: Topic, _: bool | None) -> list[Any]:
    """The day and the best of the book."""
    return _told(topic, [ticker_of(socket.state, _of(topic))])


def mark(socket: Socket, topic: Topic, _: bool | None) -> list[Any]:
    """Two channels are told by time: the mark price and the funding rate."""
    row = funding_of if topic.terms["channel"] == "funding-rate" else mark_of
    return _told(topic, [row(socket.state, _of(topic))])


def book(socket: Socket, topic: Topic, change: BookChange) -> list[Any]:
    """`books` is a snapshot and then changes, numbered and with a checksum; the short ones are whole each time."""
    item, now = _of(topic), str(socket.state.now())
    whole = socket.state.books.look(item).top(topic.depth or CHECKED).whole()
    best = {"asks": pushes.levels(item, whole.asks), "bids": pushes.levels(item, whole.bids)}
    moved = {"asks": pushes.levels(item, change.asks), "bids": pushes.levels(item, change.bids)}
    row: dict[str, Any] = (best if topic.depth else moved) | {"ts": now, "seqId": change.sequence}
    if topic.depth:
        return _told(topic, [row | ({"instId": item.id} if topic.depth == 5 else {})])
    row |= {
        "checksum": checksum(best["bids"], best["asks"]),
        "prevSeqId": -1 if change.before is None else change.before,
    }  # fmt: skip
    return _told(topic, [row], action="snapshot" if change.before is None else "update")


def _asked(arg: Arg, item: Instrument) -> bool:
    """Whether a private subscription means this instrument."""
    family = arg.get("instFamily", "")
    return (
        arg.get("instType", "ANY") in {"ANY", type_of(item)} and arg.get("instId", "") in {"", item.id}
        and family in {"", family_of(item)}
    )  # fmt: skip


def orders(socket: Socket, topic: Topic, news: OrderNews) -> list[Any]:
    """Orders, or algo orders; trailing ones have a channel of their own, which is not offered here."""
    one, algo = news.order, topic.terms["channel"] == "orders-algo"
    if one.conditional != algo or not _asked(topic.terms, one.instrument) or (algo and one.trigger is None):
        return []
    row = pushes.algo(socket.state, one) if algo else pushes.order(socket.state, one, news.fill)
    return _told(topic, [row])


def fills(_: Socket, topic: Topic, news: OrderNews) -> list[Any]:
    """Executions alone."""
    if news.fill is None or not _asked(topic.terms, news.order.instrument):
        return []
    return _told(topic, [pushes.fill(news.order, news.fill)])


def positions(socket: Socket, topic: Topic, news: list[PositionNews] | None) -> list[Any]:
    """All of them with the subscription, then those that change, closed ones too."""
    state = socket.state
    held = state.held() if news is None else list({id(one.position): one.position for one in news}.values())
    rows = [pushes.position(state, one) for one in held if _asked(topic.terms, one.instrument)]
    page = {"eventType": "snapshot" if news is None else "event_update", "curPage": 1, "lastPage": True}
    return [{"arg": topic.terms, **page, "data": []}] if news is None and not rows else _told(topic, rows, **page)


def account(socket: Socket, topic: Topic, news: list[BalanceNews | OrderNews] | None) -> list[Any]:
    """All coins with the subscription, then those of which there is more, less or another part free."""
    state = socket.state
    coins = state.coins(WALLET) if news is None else sorted({state.purse(one)[1] for one in news})
    asked = [coin for coin in coins if topic.terms.get("ccy", "") in {"", coin}]
    page = {"eventType": "snapshot" if news is None else "event_update", "curPage": 1, "lastPage": True}
    return _told(topic, [pushes.account(state, asked)] if asked else [], **page)


SPEECH = Speech(
    hear=hear, connect=connect, idle=30_000,
    formats={
        Stream.TRADES: trades, Stream.CANDLE: candle, Stream.TICKER: ticker, Stream.MARK: mark, Stream.BOOK: book,
        Stream.ORDERS: orders, Stream.FILLS: fills, Stream.POSITIONS: positions, Stream.BALANCE: account,
    },
    at_once=frozenset({
        Stream.CANDLE, Stream.TICKER, Stream.MARK, Stream.BOOK, Stream.POSITIONS, Stream.BALANCE,
    }),
)  # fmt: skip
