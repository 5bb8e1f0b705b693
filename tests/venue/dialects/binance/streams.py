"""Binance's websockets: who hears what at which address, and the public messages."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import Instrument, Kind, fixed, text
from ...orders import Reason, Refusal
from ...streams import CandleNews, Speech, Stream, Topic
from . import market, user

if TYPE_CHECKING:
    from ...books import BookChange
    from ...news import TradeNews
    from ...sockets import Socket

PUBLIC = {"trade", "depth", "bookTicker", "rpiDepth", "optionTrade", "optionTicker"}
"""What is to be had at /public of the linear contracts and options; the rest is at /market."""
STREAMS = {
    "trade": Stream.TRADES, "aggTrade": Stream.TRADES, "optionTrade": Stream.TRADES, "ticker": Stream.TICKER,
    "miniTicker": Stream.TICKER, "optionTicker": Stream.TICKER, "bookTicker": Stream.QUOTE, "depth": Stream.BOOK,
    "markPrice": Stream.MARK, "optionMarkPrice": Stream.MARK,
}  # fmt: skip
KLINES = {"kline": "last", "markPriceKline": "mark", "indexPriceKline": "index"}


def connect(socket: Socket) -> None:
    """Look at the address: a user's stream has its listen key there."""
    if key := user.listen_key(socket):
        user.check_key(socket, key)


def opened(socket: Socket) -> None:
    if user.listen_key(socket):
        user.begin(socket)


def kinds_of(socket: Socket) -> tuple[Kind, ...]:
    """What is traded at a host."""
    if socket.host.startswith("dstream"):
        return (Kind.INVERSE,)
    return (Kind.LINEAR, Kind.OPTION) if socket.host.startswith("fstream") else (Kind.SPOT,)


def hear(socket: Socket, message: Any) -> None:
    """Subscriptions; the requests of the websocket API; nothing else."""
    if not isinstance(message, dict):
        socket.send({"error": {"code": 1, "msg": "Invalid JSON: expected value"}, "id": None})
    elif socket.host.startswith("ws-api"):
        user.request(socket, message)
    else:
        _subscribe(socket, message)


def _subscribe(socket: Socket, message: dict[str, Any]) -> None:
    method, names, number = message.get("method"), message.get("params", []), message.get("id")
    try:
        topics = [topic for name in names for topic in topics_of(socket, name)]
    except Refusal:
        socket.send({"error": {"code": 2, "msg": "Invalid request: invalid stream"}, "id": number})
        return
    if method == "LIST_SUBSCRIPTIONS":
        socket.send({"result": list(socket.feeds), "id": number})
        return
    if method not in {"SUBSCRIBE", "UNSUBSCRIBE"}:
        socket.send({"error": {"code": 2, "msg": f"Invalid request: unknown variant `{method}`"}, "id": number})
        return
    if method == "UNSUBSCRIBE":
        for topic in topics:
            socket.unsubscribe(topic.name)
    socket.send({"result": None, "id": number})
    if method == "SUBSCRIBE":
        for topic in topics:
            socket.subscribe(topic)


def topics_of(socket: Socket, name: str) -> list[Topic]:
    """Read a stream's name; those of options may mean several instruments."""
    symbol, _, rest = name.partition("@")
    channel, _, speed = rest.partition("@")
    base, _, interval = channel.partition("_")
    if "/ws" in socket.path and socket.host.startswith("fstream") and not _at_its_place(socket, base):
        raise Refusal(Reason.PATH, name)
    if base in KLINES and interval:
        item = _item(socket, symbol if base != "indexPriceKline" else f"{symbol}_perp")
        length = market.interval_of(interval)
        return [Topic(name, Stream.CANDLE, item, length, what=KLINES[base], terms=interval)]
    if (stream := STREAMS.get(channel)) is None:
        raise Refusal(Reason.PARAMETER, name)
    if channel.startswith("option"):
        return _of_options(socket, name, stream, symbol.upper(), speed)
    spacing = {Stream.TICKER: 1000, Stream.MARK: 1000 if speed == "1s" else 3000}.get(stream, 0)
    return [Topic(name, stream, _item(socket, symbol), spacing, terms=channel)]


def _at_its_place(socket: Socket, base: str) -> bool:
    return socket.path.startswith("/public/ws" if base in PUBLIC else "/market/ws")


def _item(socket: Socket, symbol: str) -> Instrument:
    return socket.state.instrument(symbol.upper(), *kinds_of(socket))


def _of_options(socket: Socket, name: str, stream: Stream, underlying: str, expiry: str) -> list[Topic]:
    items = [
        item for item in socket.state.listed(Kind.OPTION)
        if item.base + item.quote == underlying and f"-{expiry}" in item.id
    ]  # fmt: skip
    if not items:
        raise Refusal(Reason.SYMBOL, name)
    if stream is Stream.MARK:
        return [Topic(name, stream, items[0], 1000, terms=items)]
    return [Topic(f"{name}#{item.id}", stream, item, 1000, terms="ticker") for item in items]


def trade(socket: Socket, topic: Topic, news: TradeNews) -> list[Any]:
    item, row, now = news.instrument, news.trade, socket.state.now()
    told: dict[str, Any] = {"e": topic.terms, "E": now}
    if topic.terms == "aggTrade":
        return [told | {"s": item.id} | market.agg_trade(item, row)]
    price, amount = market.price_text(item, row.price), market.amount_text(item, row.amount)
    if item.kind is Kind.SPOT:
        order = row.id * 2
        ends = {"b": order, "a": order + 1, "T": row.time, "m": not row.buy, "M": True}
        return [told | {"s": item.id, "t": row.id, "p": price, "q": amount} | ends]
    told |= {"T": row.time, "s": item.id, "t": row.id, "p": price, "q": amount, "X": "MARKET", "m": not row.buy}
    if item.kind is Kind.OPTION:
        told |= {"e": "optionTrade", "S": "BUY" if row.buy else "SELL"}
    return [told]


def candle(socket: Socket, topic: Topic, news: CandleNews) -> list[Any]:
    """The columns of a kline, by their letters."""
    item, now = _of(topic), socket.state.now()
    row = market.kline(item, news.candle, topic.interval, topic.what)
    opened, *prices, volume, ended, worth, count, half, other, _ = row
    first = news.candle.time // 15_000
    told = {
        "t": opened, "T": ended, "s": item.id, "i": topic.terms, "f": first, "L": first + max(count - 1, 0),
        "o": prices[0], "c": prices[3], "h": prices[1], "l": prices[2], "v": volume, "n": count, "x": news.closed,
        "q": worth, "V": half, "Q": other, "B": "0",
    }  # fmt: skip
    if topic.what == "last":
        return [{"e": "kline", "E": now, "s": item.id, "k": told}]
    name = {"ps": item.base + item.quote} if topic.what == "index" else {"s": item.id}
    return [{"e": f"{topic.what}Price_kline", "E": now, **name, "k": told}]


def ticker(socket: Socket, topic: Topic, _: bool | None) -> list[Any]:
    item, now = _of(topic), socket.state.now()
    row = market.ticker_row(socket.state, item, now)
    if item.kind is Kind.OPTION:
        return [[_option_ticker(row, now)]]
    short = {
        "E": now, "s": item.id, "c": row["lastPrice"], "o": row["openPrice"], "h": row["highPrice"],
        "l": row["lowPrice"], "v": row["volume"], "q": row.get("quoteVolume") or row["baseVolume"],
    }  # fmt: skip
    pair = {"ps": item.base + item.quote} if item.kind is Kind.INVERSE else {}
    if topic.terms == "miniTicker":
        return [{"e": "24hrMiniTicker"} | short | pair]
    told = {"e": "24hrTicker"} | short | pair | {
        "p": row["priceChange"], "P": row["priceChangePercent"], "w": row["weightedAvgPrice"], "Q": row["lastQty"],
        "O": row["openTime"], "C": row["closeTime"], "F": row["firstId"], "L": row["lastId"], "n": row["count"],
    }  # fmt: skip
    if item.kind is Kind.SPOT:
        told |= {"x": row["prevClosePrice"], "b": row["bidPrice"], "B": row["bidQty"], "a": row["askPrice"],
                 "A": row["askQty"]}  # fmt: skip
    return [told]


def _option_ticker(row: dict[str, Any], now: int) -> dict[str, Any]:
    return {
        "e": "24hrTicker", "E": now, "T": row["closeTime"], "s": row["symbol"], "o": row["open"], "h": row["high"],
        "l": row["low"], "c": row["lastPrice"], "V": row["volume"], "A": row["amount"], "p": row["priceChange"],
        "P": row["priceChangePercent"], "Q": row["lastQty"], "F": row["firstTradeId"], "L": row["tradeCount"],
        "n": row["tradeCount"],
    }  # fmt: skip


def quote(socket: Socket, topic: Topic, _: bool | None) -> list[Any]:
    item, now = _of(topic), socket.state.now()
    book = socket.state.books.look(item)
    sides: dict[str, str] = {}
    for side, letter in ((book.bids, "b"), (book.asks, "a")):
        price, size = next(iter(side.items()), (Decimal(0), Decimal(0)))
        sides |= {letter: market.price_text(item, price), letter.upper(): market.amount_text(item, size)}
    told = {"u": book.sequence, "s": item.id} | sides
    if item.kind is Kind.SPOT:
        return [told]
    pair = {"ps": item.base + item.quote} if item.kind is Kind.INVERSE else {}
    return [{"e": "bookTicker"} | told | pair | {"T": now, "E": now}]


def depth(socket: Socket, topic: Topic, change: BookChange) -> list[Any]:
    """Only deltas; whoever listens fetches the snapshot. Contracts name the number before, spot counts on."""
    if change.before is None:
        return []
    item, now = _of(topic), socket.state.now()
    sides = {
        letter: [[market.price_text(item, price), market.amount_text(item, size)] for price, size in levels]
        for letter, levels in (("b", change.bids), ("a", change.asks))
    }
    told: dict[str, Any] = {"e": "depthUpdate", "E": now}
    numbers = {"U": change.before + 1, "u": change.sequence}
    if item.kind is Kind.SPOT:
        return [told | {"s": item.id} | numbers | sides]
    pair = {"ps": item.base + item.quote} if item.kind is Kind.INVERSE else {}
    return [told | {"T": now, "s": item.id} | pair | numbers | {"pu": change.before} | sides]


def mark(socket: Socket, topic: Topic, _: bool | None) -> list[Any]:
    item, state, now = _of(topic), socket.state, socket.state.now()
    if item.kind is Kind.OPTION:
        return [[_option_mark(socket, one) for one in topic.terms]]
    row = market.premium(state, item, now)
    return [{
        "e": "markPriceUpdate", "E": now, "s": item.id, "p": row["markPrice"], "P": row["estimatedSettlePrice"],
        "i": row["indexPrice"], "r": row["lastFundingRate"], "T": row["nextFundingTime"],
    }]  # fmt: skip


def _option_mark(socket: Socket, item: Instrument) -> dict[str, Any]:
    now = socket.state.now()
    row = market.greeks_row(socket.state, item, now)
    bids, asks = socket.state.book(item, 1)
    sides = {
        "bo": text(bids[0][0] if bids else 0, item.tick), "ao": text(asks[0][0], item.tick),
        "bq": text(bids[0][1] if bids else 0), "aq": text(asks[0][1]),
    }  # fmt: skip
    return {
        "e": "markPrice", "E": now, "s": item.id, "mp": row["markPrice"],
        "i": fixed(market.underlying(socket.state, item)), "d": row["delta"], "t": row["theta"], "g": row["gamma"],
        "v": row["vega"], "vo": row["markIV"], "b": row["bidIV"], "a": row["askIV"], "hl": row["highPriceLimit"],
        "ll": row["lowPriceLimit"], "rf": "0",
    } | sides  # fmt: skip


def _of(topic: Topic) -> Instrument:
    assert topic.item is not None
    return topic.item


SPEECH = Speech(
    hear=hear, connect=connect, opened=opened, ping=20_000, idle=60_000, lifetime=86_400_000,
    pulse=user.expire,
    formats={
        Stream.TRADES: trade, Stream.CANDLE: candle, Stream.TICKER: ticker, Stream.QUOTE: quote,
        Stream.BOOK: depth, Stream.MARK: mark, Stream.ORDERS: user.order, Stream.ACCOUNT: user.account,
    },
)  # fmt: skip
