"""Bybit's websockets: one address a category for everybody, and one for a user's account."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from ...instruments import Instrument, Kind, text
from ...news import BalanceNews, Change, OrderNews, PositionNews
from ...orders import Reason, Refusal
from ...routes import KEY, SECRET
from ...streams import Speech, Stream, Topic
from . import account, market, trading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...books import BookChange
    from ...news import News, TradeNews
    from ...orders import Order
    from ...sockets import Socket
    from ...streams import CandleNews

PRIVATE = "/v5/private"
DEPTHS = {Kind.OPTION: {25, 100}}
"""How many levels a book of options may have; others below."""
CONTRACTS = {1, 50, 200, 500, 1000}
ACCOUNT = {
    "order": Stream.ORDERS, "execution": Stream.FILLS, "execution.fast": Stream.FILLS,
    "position": Stream.POSITIONS, "wallet": Stream.BALANCE,
}  # fmt: skip


def connect(socket: Socket) -> None:
    """Look at the address."""
    if socket.path != PRIVATE and socket.path.rpartition("/")[0] != "/v5/public":
        raise Refusal(Reason.PATH, socket.path)


def kind_of(socket: Socket) -> Kind:
    return Kind(socket.path.rpartition("/")[2])


def hear(socket: Socket, message: Any) -> None:
    """Pings, logins, subscriptions."""
    op = message.get("op") if isinstance(message, dict) else None
    number = message.get("req_id") if op else None
    if op == "ping":
        _pong(socket, number)
    elif op == "auth" and socket.path == PRIVATE:
        _log_in(socket, message.get("args", []))
    elif op in {"subscribe", "unsubscribe"}:
        _subscribe(socket, op, number, message.get("args", []))
    else:
        _answer(socket, op or "", number, "error:invalid op")


def _pong(socket: Socket, number: Any) -> None:
    stamp = [str(socket.state.now())]
    if socket.path == PRIVATE:
        socket.send({"req_id": number or "", "op": "pong", "args": stamp, "conn_id": _name(socket)})
    elif kind_of(socket) is Kind.OPTION:
        socket.send({"args": stamp, "op": "pong"})
    else:
        told = {"success": True, "ret_msg": "pong", "conn_id": _name(socket), "req_id": number or "", "op": "ping"}
        socket.send(told)


def _name(socket: Socket) -> str:
    return f"venue-{id(socket):x}"


def _answer(socket: Socket, op: str, number: Any, refused: str = "") -> None:
    words = "subscribe" if op == "subscribe" and socket.path in {PRIVATE, "/v5/public/spot"} else ""
    told = {"success": not refused, "ret_msg": refused or words, "conn_id": _name(socket)}
    socket.send(told | ({} if number is None else {"req_id": str(number)}) | {"op": op})


def _log_in(socket: Socket, args: list[Any]) -> None:
    """Key, the moment until which it holds, and the HMAC of that moment; a refusal names no request."""
    key, until, signature = (str(one) for one in args) if len(args) == 3 else ("", "", "")
    right = hmac.new(SECRET.encode(), f"GET/realtime{until}".encode(), hashlib.sha256).hexdigest()
    if not until.isdecimal() or int(until) < socket.state.now():
        _answer(socket, "auth", None, "Params Error")
    elif key != KEY or not hmac.compare_digest(right, signature):
        reason = "API key is invalid." if key != KEY else "Error sign, please check your signature generation."
        _answer(socket, "auth", None, reason)
    else:
        socket.login = True
        _answer(socket, "auth", None)


def _subscribe(socket: Socket, op: str, number: Any, names: list[str]) -> None:
    """Options tell of each topic whether it was taken; elsewhere one wrong topic spoils all."""
    good, wrong, topics = [], "", list[Topic]()
    for name in names:
        try:
            topics += topics_of(socket, name, twice=op == "subscribe")
            good.append(name)
        except Refusal as refusal:
            wrong = wrong or refusal.what
    options = socket.path.endswith("/option")
    if options:
        told = {"failTopics": [name for name in names if name not in good], "successTopics": good}
        socket.send({"success": True, "conn_id": _name(socket), "data": told, "type": "COMMAND_RESP"})
    else:
        _answer(socket, op, number, wrong)
    for topic in topics if options or not wrong else []:
        if op == "unsubscribe":
            socket.unsubscribe(topic.name)
        else:
            socket.subscribe(topic)


def topics_of(socket: Socket, name: str, *, twice: bool) -> list[Topic]:
    """Read a name; subscribed `twice` is refused."""
    if twice and any(feed.topic.name.partition("#")[0] == name for feed in socket.feeds.values()):
        raise Refusal(Reason.DUPLICATE, f"error:already subscribed,topic:{name}")
    if socket.path == PRIVATE:
        return [_account_topic(socket, name)]
    channel, _, symbol = name.partition(".")
    detail, _, rest = symbol.partition(".")
    kind, state = kind_of(socket), socket.state
    try:
        if channel == "publicTrade" and kind is Kind.OPTION:  # of all options on a coin
            items = [item for item in state.listed(kind) if item.base == symbol]
            return [Topic(f"{name}#{item.id}", Stream.TRADES, item) for item in items] or _unknown(name)
        if channel == "publicTrade":
            return [Topic(name, Stream.TRADES, state.instrument(symbol, kind))]
        if channel == "tickers":
            return [Topic(name, Stream.TICKER, state.instrument(symbol, kind), 100)]
        if channel == "kline" and kind is not Kind.OPTION and detail in market.INTERVALS:
            item = state.instrument(rest, kind)
            return [Topic(name, Stream.CANDLE, item, market.INTERVALS[detail], terms=detail)]
        if channel == "orderbook" and detail.isdecimal() and int(detail) in DEPTHS.get(kind, CONTRACTS):
            return [Topic(name, Stream.BOOK, state.instrument(rest, kind), depth=int(detail))]
    except Refusal:
        raise Refusal(Reason.SYMBOL, f"Invalid symbol :[{name}]") from None
    return _unknown(name)


def _unknown(name: str) -> list[Topic]:
    raise Refusal(Reason.PARAMETER, f"error:handler not found,topic:{name}")


def _account_topic(socket: Socket, name: str) -> Topic:
    """Topics of an account, of one category perhaps."""
    base, _, category = name.rpartition(".")
    if not base or category == "fast":
        base, category = name, ""
    if base not in ACCOUNT or category not in {"", *Kind}:
        _unknown(name)
    if not socket.login:
        raise Refusal(Reason.RIGHTS, "Request not authorized")
    return Topic(name, ACCOUNT[base], terms=category)


def trade(socket: Socket, topic: Topic, news: TradeNews) -> list[Any]:
    item, row = news.instrument, news.trade
    told = {
        "T": row.time, "s": item.id, "S": "Buy" if row.buy else "Sell", "v": text(row.amount),
        "p": text(row.price, item.tick), "L": "PlusTick" if row.buy else "MinusTick",
        "i": market.trade_id(item, row), "BT": False,
    }  # fmt: skip
    return [_public(topic.name.partition("#")[0], "snapshot", [told], socket.state.now())]


def _public(name: str, type_: str, data: Any, now: int, **more: Any) -> dict[str, Any]:
    return {"topic": name, "type": type_, "ts": now, "data": data} | more


def candle(socket: Socket, topic: Topic, news: CandleNews) -> list[Any]:
    item, row, now = _of(topic), news.candle, socket.state.now()
    told = {
        "start": row.time, "end": row.time + topic.interval - 1, "interval": topic.terms,
        "open": text(row.open, item.tick), "close": text(row.close, item.tick), "high": text(row.high, item.tick),
        "low": text(row.low, item.tick), "volume": text(row.volume), "confirm": news.closed,
        "turnover": text(item.value(row.volume, row.close)), "timestamp": now,
    }  # fmt: skip
    return [_public(topic.name, "snapshot", [told], now)]


def ticker(socket: Socket, topic: Topic, changed: bool | None) -> list[Any]:
    """All of it for spot and options; for contracts at first, and then what changed."""
    item, state = _of(topic), socket.state
    now, row = state.now(), market.ticker(state, item, state.now())
    if item.kind is Kind.SPOT:
        row = {name: row[name] for name in row if not name.startswith(("bid", "ask"))}
        return [_public(topic.name, "snapshot", row, now, cs=now)]
    if item.kind is Kind.OPTION:
        names = {"bid1Price": "bidPrice", "bid1Size": "bidSize", "bid1Iv": "bidIv", "ask1Price": "askPrice",
                 "ask1Size": "askSize", "ask1Iv": "askIv", "markIv": "markPriceIv"}  # fmt: skip
        row = {names.get(name, name): value for name, value in row.items()}
        return [_public(topic.name, "snapshot", row, now, id=f"{topic.name}-{now}")]
    row = {"tickDirection": "PlusTick"} | {name: value for name, value in row.items() if value != ""}
    before = socket.notes[topic.name] if changed else {}
    socket.notes[topic.name] = row
    if not changed:
        return [_public(topic.name, "snapshot", row, now, cs=now)]
    row = {name: value for name, value in row.items() if before.get(name) != value}
    return [_public(topic.name, "delta", {"symbol": item.id} | row, now, cs=now)]


def book(socket: Socket, topic: Topic, change: BookChange) -> list[Any]:
    now = socket.state.now()
    type_ = "snapshot" if change.before is None else "delta"
    return [_public(topic.name, type_, market.levels(_of(topic), change), now, cts=now)]


def _of(topic: Topic) -> Instrument:
    assert topic.item is not None
    return topic.item


def _wanted(topic: Topic, item: Instrument) -> bool:
    return topic.terms in {"", item.kind.value}


def _account(socket: Socket, topic: Topic, rows: list[Any]) -> list[Any]:
    now = socket.state.now()
    told = {"id": f"{id(socket):x}-{topic.name}-{now}", "topic": topic.name, "creationTime": now, "data": rows}
    return [told] if rows else []


def order(socket: Socket, topic: Topic, news: OrderNews) -> list[Any]:
    """One change; what is filled at once is told as filled alone."""
    order, item = news.order, news.order.instrument
    if not _wanted(topic, item) or (news.change is Change.ACCEPTED and _at_once(order)):
        return []
    row = trading.shown(order) | {"category": item.kind.value, "feeCurrency": ""}
    if news.change is Change.TRIGGERED:
        row["orderStatus"] = "Triggered"
    return _account(socket, topic, [row])


def _at_once(order: Order) -> bool:
    return order.price is None and not order.conditional


def fill(socket: Socket, topic: Topic, news: OrderNews) -> list[Any]:
    item = news.order.instrument
    if news.fill is None or not _wanted(topic, item):
        return []
    row = trading.execution(news.order, news.fill) | {"category": item.kind.value, "isLeverage": "0"}
    if topic.name != "execution.fast":
        return _account(socket, topic, [row])
    names = ("category", "symbol", "execId", "execPrice", "execQty", "orderId", "isMaker", "orderLinkId", "side",
             "execTime", "seq")  # fmt: skip
    told = {name: row[name] for name in names}
    return [{"topic": topic.name, "creationTime": socket.state.now(), "data": [told]}]


def position(socket: Socket, topic: Topic, news: Sequence[PositionNews]) -> list[Any]:
    held = {(one.position.instrument.id, one.position.side): one.position for one in news}
    rows: list[dict[str, Any]] = []
    for one in held.values():
        if _wanted(topic, one.instrument):
            row = account.position_row(socket.state, one) | {"category": one.instrument.kind.value}
            row["entryPrice"] = row.pop("avgPrice")
            rows.append(row)
    return _account(socket, topic, rows)


def wallet(socket: Socket, topic: Topic, news: Sequence[News]) -> list[Any]:
    """The coins that were touched, and the totals of all."""
    coins: set[str] = set()
    for one in news:
        if isinstance(one, BalanceNews):
            coins.add(one.coin)
        elif isinstance(one, OrderNews):
            item = one.order.instrument
            coins |= {item.base, item.quote} if item.kind is Kind.SPOT else {item.settle}
    told = account.wallet(socket.state)
    told["coin"] = [row for row in told["coin"] if row["coin"] in coins]
    return _account(socket, topic, [told])


SPEECH = Speech(
    hear=hear, connect=connect, idle=600_000, at_once=frozenset({Stream.TICKER, Stream.BOOK}),
    formats={
        Stream.TRADES: trade, Stream.CANDLE: candle, Stream.TICKER: ticker, Stream.BOOK: book,
        Stream.ORDERS: order, Stream.FILLS: fill, Stream.POSITIONS: position, Stream.BALANCE: wallet,
    },
)  # fmt: skip
