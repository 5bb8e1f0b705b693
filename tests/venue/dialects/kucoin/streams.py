"""KuCoin's websockets: topics of spot and of contracts, each at an address to which a token leads.

Of the unified account's feed there is what CCXT uses of it for every account: positions, mark price, funding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaexpert.timeframe import floor

from ...instruments import Instrument, Kind
from ...news import BalanceNews, Change, OrderNews, PositionNews
from ...orders import Refusal
from ...streams import CandleNews, Speech, Stream, Topic, Wrong
from . import pushes, reports
from .account import SPOT, WALLET
from .market import CONTRACTS, TYPES, contract_ticker_of
from .signing import PING, access_of

if TYPE_CHECKING:
    from ...books import BookChange
    from ...news import TradeNews
    from ...sockets import Socket

    type Message = dict[str, Any]

MINUTE = 60_000
SPOT_TOPICS = {
    "/market/match": Topic("", Stream.TRADES), "/market/candles": Topic("", Stream.CANDLE),
    "/market/ticker": Topic("", Stream.TICKER, interval=100),
    "/market/snapshot": Topic("", Stream.TICKER, interval=2000), "/market/level2": Topic("", Stream.BOOK),
    "/spotMarket/level2Depth5": Topic("", Stream.BOOK, depth=5),
    "/spotMarket/level2Depth50": Topic("", Stream.BOOK, depth=50),
    "/spotMarket/level1": Topic("", Stream.QUOTE),
}  # fmt: skip
CONTRACT_TOPICS = {
    "/contractMarket/execution": Topic("", Stream.TRADES), "/contractMarket/limitCandle": Topic("", Stream.CANDLE),
    "/contractMarket/ticker": Topic("", Stream.TICKER), "/contractMarket/tickerV2": Topic("", Stream.QUOTE),
    "/contractMarket/level2": Topic("", Stream.BOOK),
    "/contractMarket/level2Depth5": Topic("", Stream.BOOK, depth=5),
    "/contractMarket/level2Depth50": Topic("", Stream.BOOK, depth=50),
    "/contract/instrument": Topic("", Stream.MARK, interval=1000),
}  # fmt: skip
OWN_SPOT_TOPICS = {
    "/spotMarket/tradeOrders": Stream.ORDERS, "/spotMarket/tradeOrdersV2": Stream.ORDERS,
    "/spotMarket/advancedOrders": Stream.ORDERS, "/account/balance": Stream.BALANCE,
}  # fmt: skip
OWN_CONTRACT_TOPICS = {
    "/contractMarket/tradeOrders": Stream.ORDERS, "/contractMarket/advancedOrders": Stream.ORDERS,
    "/contractAccount/wallet": Stream.BALANCE, "/contract/positionAll": Stream.POSITIONS,
    "/contract/position": Stream.POSITIONS,
}  # fmt: skip
UNIFIED = {"mark-price": (Stream.MARK, 1000), "funding-fee": (Stream.MARK, MINUTE)}
SUBJECTS = {
    "/market/match": "trade.l3match", "/market/ticker": "trade.ticker", "/market/snapshot": "trade.snapshot",
    "/spotMarket/level1": "level1", "/contractMarket/execution": "match", "/contractMarket/ticker": "ticker",
    "/contractMarket/tickerV2": "tickerV2",
}  # fmt: skip
USER = "1001"


def unified(socket: Socket) -> bool:
    """Whether a client has dialled the unified account's feed."""
    return not socket.host.startswith("ws-api-")


def opened(socket: Socket) -> None:
    """Say welcome to those who have a token for this place; public data of the unified feed needs none."""
    access = access_of(socket.state, socket.query.get("token", ""))
    if unified(socket):
        if socket.host.startswith("wsapi-push"):
            socket.login = access == "unified"
        socket.send({"sessionId": socket.host, "message": "welcome", "pingInterval": PING})
        return
    number, place = socket.query.get("connectId", ""), socket.host.removeprefix("ws-api-").partition(".")[0]
    if access not in {f"public {place}", f"private {place}"}:
        socket.send({"id": number, "type": "error", "code": 401, "data": "token is expired"})
        socket.close()
        return
    socket.login = access.startswith("private")
    socket.send({"id": number, "type": "welcome"})


def hear(socket: Socket, message: Any) -> None:
    """A ping, subscriptions."""
    if not isinstance(message, dict):
        socket.send({"type": "error", "code": 400, "data": "invalid json"})
        return
    number = str(message.get("id", ""))
    if message.get("type") == "ping":
        socket.send({"id": number, "type": "pong", "timestamp": socket.state.now() * 1000})
    elif unified(socket):
        _hear_unified(socket, message, number)
    else:
        _hear(socket, message, number)


def _hear(socket: Socket, message: Message, number: str) -> None:
    kind = message.get("type")
    try:
        topics = topics_of(socket, message)
    except Wrong as wrong:
        socket.send({"id": number, "type": "error", "code": wrong.code, "data": wrong.message})
        return
    if kind == "unsubscribe":
        for topic in topics:
            socket.unsubscribe(topic.name)
            socket.notes.pop(topic.name, None)
    if message.get("response"):
        socket.send({"id": number, "type": "ack"})
    if kind == "subscribe":
        for topic in topics:
            socket.notes.setdefault(topic.name, floor(socket.state.now(), topic.interval or 1))
            socket.subscribe(topic)


def topics_of(socket: Socket, message: Message) -> list[Topic]:
    """What a request is about; a topic's name may list several instruments, or mean all."""
    if message.get("type") not in {"subscribe", "unsubscribe"}:
        raise Wrong(415, "type is not supported")
    told = str(message.get("topic", ""))
    stem, _, names = told.partition(":")
    futures = socket.host.startswith("ws-api-futures")
    own = (OWN_CONTRACT_TOPICS if futures else OWN_SPOT_TOPICS).get(stem)
    if own is not None:
        if not socket.login:
            raise Wrong(403, "login is required")
        if names or stem == "/contract/position":
            _item(socket, told, names, CONTRACTS)
        return [Topic(told, own, terms=stem)]
    base = (CONTRACT_TOPICS if futures else SPOT_TOPICS).get(stem)
    if base is None:
        raise _missing(told)
    kinds = CONTRACTS if futures else (Kind.SPOT,)
    if names == "all" and stem == "/market/ticker":
        return [
            base._replace(name=f"{told} {item.id}", item=item, terms=told) for item in socket.state.listed(*kinds)
        ]
    return [_topic(socket, base, stem, name, kinds) for name in names.split(",")]


def _topic(socket: Socket, base: Topic, stem: str, name: str, kinds: tuple[Kind, ...]) -> Topic:
    told, interval = f"{stem}:{name}", base.interval
    if base.stream is Stream.CANDLE:
        name, _, length = name.rpartition("_")
        if length not in TYPES:
            raise _missing(told)
        interval = TYPES[length]
    return base._replace(name=told, item=_item(socket, told, name, kinds), interval=interval, terms=stem)


def _item(socket: Socket, told: str, name: str, kinds: tuple[Kind, ...]) -> Instrument:
    try:
        return socket.state.instrument(name, *kinds)
    except Refusal:
        raise _missing(told) from None


def _missing(told: str) -> Wrong:
    return Wrong(404, f"topic {told} is not found")


def _hear_unified(socket: Socket, message: Message, number: str) -> None:
    channel, name, action = (str(message.get(word, "")) for word in ("channel", "symbol", "action"))
    item = next((one for one in socket.state.listed(*CONTRACTS) if one.id == name), None)
    if channel == "positionAll" and socket.login:
        topic = Topic(channel, Stream.POSITIONS, terms=channel)
    elif channel in UNIFIED and item is not None and socket.host.startswith("x-push-futures"):
        stream, interval = UNIFIED[channel]
        topic = Topic(f"{channel} {name}", stream, item, interval, terms=channel)
    else:
        socket.send({"id": number, "result": False, "reason": f"no such topic: {channel} {name}"})
        return
    if action == "unsubscribe":
        socket.unsubscribe(topic.name)
    socket.send({"id": number, "result": True})
    if action == "subscribe":
        socket.subscribe(topic)


# --- messages of markets


def _told(name: str, subject: str, data: Message) -> Message:
    return {"topic": name, "type": "message", "subject": subject, "data": data}


def _of(topic: Topic) -> Instrument:
    assert topic.item is not None
    return topic.item


def trades(_: Socket, topic: Topic, news: TradeNews) -> list[Message]:
    """Trade by trade."""
    return [_told(topic.name, SUBJECTS[topic.terms], pushes.trade(news.instrument, news.trade))]


def candle(socket: Socket, topic: Topic, news: CandleNews) -> list[Message]:
    """Of a pair the first message of a candle has another subject than those that follow."""
    item, row = _of(topic), pushes.candle(_of(topic), news.candle, socket.state.now())
    if item.kind is not Kind.SPOT:
        return [_told(topic.name, "candle.stick", row)]
    fresh, socket.notes[topic.name] = news.candle.time > socket.notes[topic.name], news.candle.time
    subjects = (["trade.candles.add"] if fresh else []) + (
        ["trade.candles.update"] if not fresh or news.candle.trades > 1 else []
    )
    return [_told(topic.name, subject, row) for subject in subjects]


def ticker(socket: Socket, topic: Topic, _: bool | None) -> list[Message]:
    """Three kinds: the short one of pairs, also of all at once, that of their day, that of contracts."""
    state, item, stem = socket.state, _of(topic), topic.terms
    if stem == "/contractMarket/ticker":
        return [_told(topic.name, "ticker", contract_ticker_of(state, item))]
    sequence = state.books.look(item).sequence
    if stem == "/market/snapshot":
        return [_told(topic.name, "trade.snapshot", pushes.snapshot(state, item, sequence))]
    every = stem.endswith(":all")
    row = pushes.ticker(state, item, sequence)
    return [_told(stem if every else topic.name, item.id if every else "trade.ticker", row)]


def quote(socket: Socket, topic: Topic, _: bool | None) -> list[Message]:
    """The best bid and ask."""
    return [_told(topic.name, SUBJECTS[topic.terms], pushes.quote(socket.state, _of(topic)))]


def book(socket: Socket, topic: Topic, change: BookChange) -> list[Message]:
    """Changes alone, which follow a snapshot by request; with a depth the best levels each time."""
    item, now = _of(topic), socket.state.now()
    if topic.depth:
        whole = socket.state.books.look(item).top(topic.depth).whole()
        return [_told(topic.name, "level2", pushes.depth(item, whole.bids, whole.asks, change.sequence, now))]
    before = change.before or 0
    if item.kind is Kind.SPOT:
        row = pushes.changes(item, change.bids, change.asks, before, now)
        return [_told(topic.name, "trade.l2update", row)]
    levels = [("sell", level) for level in change.asks] + [("buy", level) for level in change.bids]
    rows = [pushes.change(item, side, level, before + place, now) for place, (side, level) in enumerate(levels, 1)]
    return [_told(topic.name, "level2", row) | {"sn": row["sequence"]} for row in rows]


def mark(socket: Socket, topic: Topic, _: bool | None) -> list[Message]:
    """Mark and index price each second, the funding rate each minute; of the unified feed by themselves."""
    state, item, now = socket.state, _of(topic), socket.state.now()
    if topic.terms in UNIFIED:
        row = pushes.unified_mark if topic.terms == "mark-price" else pushes.unified_funding
        return [{"T": topic.terms, "P": str(now * pushes.NANO), "d": row(state, item)}]
    rows = [_told(topic.name, "mark.index.price", pushes.mark(state, item))]
    if item.perpetual and now - socket.notes[topic.name] >= MINUTE:
        socket.notes[topic.name] = now
        rows.append(_told(topic.name, "funding.rate", pushes.funding(state, item)))
    return rows


# --- messages of an account


def _own(topic: Topic, subject: str, data: Message) -> Message:
    return _told(topic.name, subject, data) | {"channelType": "private", "userId": USER}


def orders(_: Socket, topic: Topic, news: OrderNews) -> list[Message]:
    """Orders; or stop orders, until they fire."""
    one, stem, spot = news.order, topic.terms, news.order.instrument.kind is Kind.SPOT
    stops, symbol = stem.endswith("advancedOrders"), topic.name.partition(":")[2]
    if spot != stem.startswith("/spotMarket") or symbol not in {"", one.instrument.id}:
        return []
    if stops:
        return [_own(topic, "stopOrder", reports.stop_order(news))] if _waited(news) else []
    if _waited(news) and (spot or news.change is not Change.TRIGGERED):
        return []
    rows = reports.pair_order(news, second=stem.endswith("V2")) if spot else reports.contract_order(news)
    return [_own(topic, "symbolOrderChange" if symbol else "orderChange", row) for row in rows]


def _waited(news: OrderNews) -> bool:
    """Whether a stop order waits, or did until now: of contracts it lives on under its id once it has fired."""
    one = news.order
    return one.conditional and (not one.fired or news.change is Change.TRIGGERED)


def positions(socket: Socket, topic: Topic, news: list[PositionNews]) -> list[Message]:
    """Each that changes, closed ones too."""
    state, symbol = socket.state, topic.name.partition(":")[2]
    held = {id(one.position): one.position for one in news}.values()
    asked = [one for one in held if one.instrument.margined and symbol in {"", one.instrument.id}]
    if unified(socket):
        now = str(state.now() * pushes.NANO)
        return [{"T": "positionAll.FUTURES", "P": now, "d": reports.unified_position(state, one)} for one in asked]
    return [_own(topic, "position.change", reports.position(state, one)) for one in asked]


def balance(socket: Socket, topic: Topic, news: list[BalanceNews | OrderNews]) -> list[Message]:
    """One coin at a time."""
    state, spot = socket.state, topic.terms == "/account/balance"
    moved: dict[str, BalanceNews | None] = {}
    for one in news:
        wallet, coin = state.purse(one)
        if wallet == (SPOT if spot else WALLET):
            moved[coin] = one if isinstance(one, BalanceNews) else moved.get(coin)
    if not spot:
        return [_own(topic, "walletBalance.change", reports.wallet(state, coin)) for coin in sorted(moved)]
    return [_own(topic, "account.balance", reports.balance(state, coin, moved[coin])) for coin in sorted(moved)]


SPEECH = Speech(
    hear=hear, opened=opened, idle=60_000,
    formats={
        Stream.TRADES: trades, Stream.CANDLE: candle, Stream.TICKER: ticker, Stream.QUOTE: quote,
        Stream.BOOK: book, Stream.MARK: mark, Stream.ORDERS: orders, Stream.POSITIONS: positions,
        Stream.BALANCE: balance,
    },
)  # fmt: skip
