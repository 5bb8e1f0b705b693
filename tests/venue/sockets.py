"""Websockets on the venue's port: who has connected, what is pushed to whom, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from metaexpert.timeframe import floor

from .faults import Fault
from .news import OrderNews, PositionNews, TradeNews
from .orders import Refusal
from .streams import CandleNews, Feed, Stream, Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .books import Book
    from .faults import Plan
    from .instruments import Instrument
    from .news import News
    from .state import State
    from .streams import Speech

SECOND = 1000
ACCOUNT = {Stream.POSITIONS, Stream.BALANCE, Stream.ACCOUNT}


class Socket:
    """One connection of a client to an exchange.

    `notes` is for the dialect, which keeps there what it must remember of a connection.
    """

    def __init__(self, hub: Sockets, exchange: str, speech: Speech, state: State, request: web.Request) -> None:
        self.exchange, self.speech, self.state = exchange, speech, state
        self.host = request.host.partition(":")[0].lower()
        self.path, self.query = request.path, dict(request.query)
        self.feeds: dict[str, Feed] = {}
        self.login = False
        self.notes: dict[str, Any] = {}
        self.heard = self.pinged = self.opened = state.now()
        self.sent: Counter[Stream] = Counter()
        self.wire = web.WebSocketResponse(autoping=False, autoclose=False, timeout=0.1)
        self.queue: asyncio.Queue[tuple[WSMsgType, Any]] = asyncio.Queue()
        self.late: deque[tuple[int, str]] = deque()
        self.swapped: list[str] = []
        self.news: list[News] = []
        self._hub = hub

    def send(self, payload: Any, stream: Stream = Stream.REPLY, item: Instrument | None = None) -> None:
        """Send a JSON value, or a text as it is; what the venue's plan has for it befalls it."""
        text = payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"))
        self._hub.deliver(self, stream, item, text)

    def subscribe(self, topic: Topic) -> None:
        """Begin to push a topic; where the exchange does so, with how things stand.

        Call it after the answer to the client's request has been sent.
        """
        if topic.name in self.feeds:
            return
        feed = Feed(topic, opened=floor(self.state.now(), topic.interval) if topic.stream is Stream.CANDLE else 0)
        if topic.item is not None and topic.stream is Stream.BOOK:
            feed.shown = self.state.books.look(topic.item).top(topic.depth)
        self.feeds[topic.name] = feed
        self._hub.follow(self, topic, on=True)
        if topic.stream in self.speech.at_once:
            self._hub.begin(self, feed)

    def unsubscribe(self, name: str) -> bool:
        """Stop pushing a topic; returns whether it was pushed."""
        feed = self.feeds.pop(name, None)
        if feed is not None:
            self._hub.follow(self, feed.topic, on=False)
        return feed is not None

    def show(self, topic: Topic, what: Any = None) -> None:
        """Push what happened, in the exchange's words."""
        for payload in self.speech.formats[topic.stream](self, topic, what):
            self.send(payload, topic.stream, topic.item)

    def close(self, how: str = "close") -> None:
        """End the connection: "close" says goodbye, "reset" does not."""
        self._hub.dismiss(self, how)


class Sockets:
    """All connections of a venue.

    A public stream costs nothing while nobody listens. `limit` is how many messages may wait for one client before
    it is thrown out as too slow; `timeouts` says whether those are who are silent, or connected, for longer than
    the exchange allows.
    """

    def __init__(self, states: Mapping[str, State], plan: Plan, broken: list[Exception]) -> None:
        self.limit = 100_000
        self.timeouts = False
        self._plan, self._broken = plan, broken
        self._sockets: list[Socket] = []
        self._requests: dict[Socket, web.Request] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        for exchange, state in states.items():
            state.listeners.append(partial(self._told, exchange))
            state.books.listeners.append(partial(self._booked, exchange))

    def of(self, exchange: str = "") -> list[Socket]:
        """The open connections, to one exchange or all."""
        return [one for one in self._sockets if exchange in {"", one.exchange}]

    def listens(self, exchange: str, *streams: Stream) -> bool:
        """Whether clients of an exchange are subscribed to all these streams."""
        there = {feed.topic.stream for one in self.of(exchange) for feed in one.feeds.values()}
        return there.issuperset(streams)

    async def until(self, ready: Callable[[], bool]) -> None:
        """Wait until something holds that connections, logins or subscriptions bring about."""
        while True:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)  # before the look: the venue may be in another thread
            if ready():
                future.cancel()
                return
            await future

    async def drain(self) -> None:
        """Wait until all messages have left; a second at most for a client that takes none."""
        await asyncio.sleep(0)
        waits = [one.queue.join() for one in self._sockets]
        if waits:
            _, late = await asyncio.wait([asyncio.ensure_future(one) for one in waits], timeout=1)
            for task in late:
                task.cancel()

    def cut(self, exchange: str = "", how: str = "close") -> int:
        """Disconnect the clients of an exchange, or all; returns how many there were."""
        gone = self.of(exchange)
        for one in gone:
            one.close(how)
        return len(gone)

    # --- one connection

    async def serve(self, request: web.Request, exchange: str, speech: Speech, state: State) -> web.StreamResponse:
        """Let a client in and listen to it until it goes."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        if rule := self._plan.take_handshake(request.path):
            headers = {"Retry-After": f"{rule.seconds:g}"} if rule.seconds else {}
            return web.Response(status=rule.status or 503, headers=headers)
        socket = Socket(self, exchange, speech, state, request)
        try:
            speech.connect(socket)
        except Refusal as refusal:
            return web.Response(status=400, text=str(refusal))
        await socket.wire.prepare(request)
        self._sockets.append(socket)
        self._requests[socket] = request
        writer = asyncio.ensure_future(self._write(socket))
        try:
            speech.opened(socket)
            self._wake()
            await self._listen(socket)
        finally:
            self._leave(socket)
            writer.cancel()
            while not socket.queue.empty():
                socket.queue.get_nowait()
                socket.queue.task_done()
        return socket.wire

    async def _listen(self, socket: Socket) -> None:
        async for message in socket.wire:
            socket.heard = socket.state.now()
            if message.type is WSMsgType.PING:
                self.deliver(socket, Stream.PING, None, message.data, WSMsgType.PONG)
            elif message.type is WSMsgType.TEXT:
                socket.speech.hear(socket, _value(message.data))
            self._wake()

    async def _write(self, socket: Socket) -> None:
        """Send what waits, one after the other."""
        while True:
            kind, data = await socket.queue.get()
            try:
                if kind is WSMsgType.TEXT:
                    await socket.wire.send_str(data)
                elif kind is WSMsgType.CLOSE:
                    await _say_goodbye(socket.wire, data)
                else:
                    await (socket.wire.ping if kind is WSMsgType.PING else socket.wire.pong)(data)
            except ConnectionError:  # the client has gone
                self._leave(socket)
            finally:
                socket.queue.task_done()

    def _leave(self, socket: Socket) -> None:
        if socket in self._sockets:
            self._sockets.remove(socket)
        self._requests.pop(socket, None)
        for name in list(socket.feeds):
            socket.unsubscribe(name)
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in (one for one in waiting if not one.done()):
            future.get_loop().call_soon_threadsafe(_finish, future)

    def dismiss(self, socket: Socket, how: str) -> None:
        """End a connection: nothing is sent any more but a goodbye, unless `how` is "reset"."""
        request = self._requests.get(socket)
        if request is not None and how != "reset":
            socket.queue.put_nowait((WSMsgType.CLOSE, 1001))
        elif request is not None and request.transport is not None:
            request.transport.abort()
        self._leave(socket)

    # --- what is sent

    def deliver(
        self, socket: Socket, stream: Stream, item: Instrument | None, data: Any, kind: WSMsgType = WSMsgType.TEXT
    ) -> None:
        """Put a message into a client's queue, or do with it what the plan says."""
        if threading.get_ident() != self._thread and self._loop is not None:
            self._loop.call_soon_threadsafe(self.deliver, socket, stream, item, data, kind)
            return
        if socket not in self._requests:
            return
        socket.sent[stream] += 1
        where = f"{socket.exchange}/{stream}/{item.id if item is not None else ''}"
        frame = kind is not WSMsgType.TEXT
        rule = self._plan.take_message(stream, where, socket.state.now(), frame=frame)
        for text in self._spoiled(socket, rule.fault, rule.how, rule.seconds, data) if rule else [data]:
            self._queue(socket, text, kind)

    def _spoiled(self, socket: Socket, fault: Fault, how: str, seconds: float, data: Any) -> list[Any]:
        """What is sent in place of a message."""
        if fault is Fault.DISCONNECT:
            socket.close(how or "close")
        elif fault is Fault.DUPLICATE:
            return [data, data]
        elif fault is Fault.REORDER:
            socket.swapped.append(data)
        elif fault is Fault.MALFORMED:
            return [_malformed(data, how)]
        elif fault is Fault.SLOW:
            socket.late.append((socket.state.now() + int(seconds * SECOND), data))
        return []

    def _queue(self, socket: Socket, data: Any, kind: WSMsgType) -> None:
        """Queue a message behind those that are late, and before the one that it overtakes."""
        if kind is not WSMsgType.TEXT:
            socket.queue.put_nowait((kind, data))
            return
        swapped, socket.swapped = socket.swapped, []
        for text in (data, *swapped):
            if socket.late:
                socket.late.append((socket.late[-1][0], text))
            elif socket.queue.qsize() >= self.limit:
                self.dismiss(socket, "reset")
            else:
                socket.queue.put_nowait((kind, text))

    # --- what has happened

    def follow(self, socket: Socket, topic: Topic, *, on: bool) -> None:
        """Have the state tell the trades of what somebody follows."""
        if topic.item is not None:
            (socket.state.watch if on else socket.state.unwatch)(topic.item)
        self._wake()

    def _feeds(self, exchange: str, item: Instrument, *streams: Stream) -> Iterator[tuple[Socket, Feed]]:
        for socket in self.of(exchange):
            for feed in list(socket.feeds.values()):
                if feed.topic.item is item and (not streams or feed.topic.stream in streams):
                    yield socket, feed

    def _told(self, exchange: str, news: News) -> None:
        """Pass on what the state tells: trades and orders at once, positions and money together."""
        if isinstance(news, TradeNews):
            for socket, feed in self._feeds(exchange, news.instrument):
                feed.moved = True
                if feed.topic.stream is Stream.CANDLE:  # before the trade, which is of the next one
                    _close_candles(socket, feed, news.trade.time)
            for socket, feed in self._feeds(exchange, news.instrument, Stream.TRADES):
                socket.show(feed.topic, news)
            return
        if isinstance(news, OrderNews):
            for _, feed in self._feeds(exchange, news.order.instrument):
                feed.moved = True
        for socket in self.of(exchange):
            streams = [feed.topic.stream for feed in socket.feeds.values()]
            if isinstance(news, OrderNews):
                for feed in list(socket.feeds.values()):
                    stream = feed.topic.stream
                    if stream is Stream.ORDERS or (stream is Stream.FILLS and news.fill is not None):
                        socket.show(feed.topic, news)
            if not ACCOUNT.isdisjoint(streams):
                self._gather(socket, news)

    def _gather(self, socket: Socket, news: News) -> None:
        """Keep what changes at once for one message."""
        socket.news.append(news)
        if len(socket.news) == 1 and self._loop is not None:
            self._loop.call_soon_threadsafe(self._account, socket)

    def _account(self, socket: Socket) -> None:
        """Tell what has gathered; what breaks here has no caller but the loop."""
        news, socket.news = socket.news, []
        parts = {
            Stream.POSITIONS: [one for one in news if isinstance(one, PositionNews)],
            Stream.BALANCE: [one for one in news if not isinstance(one, PositionNews)],
            Stream.ACCOUNT: news,
        }
        try:
            for feed in list(socket.feeds.values()):
                if part := parts.get(feed.topic.stream):
                    socket.show(feed.topic, part)
        except Exception as error:  # noqa: BLE001 - whatever it is, the venue is at fault
            self._broken.append(error)

    def _booked(self, exchange: str, item: Instrument, book: Book) -> None:
        for socket, feed in self._feeds(exchange, item, Stream.BOOK):
            top = book.top(feed.topic.depth)
            change, feed.shown = top.since(feed.shown), top
            if change.bids or change.asks:
                socket.show(feed.topic, change)

    def begin(self, socket: Socket, feed: Feed) -> None:
        """Push how a topic stands."""
        topic, state = feed.topic, socket.state
        feed.last = state.now()
        if topic.stream is Stream.BOOK:
            socket.show(topic, feed.shown.whole())
        elif topic.stream is Stream.CANDLE:
            _show_running(socket, feed)
        else:
            feed.shown = _digest(state, topic)
            socket.show(topic)

    def pulse(self) -> None:
        """Push what has changed by now; the venue calls it after the states were brought up to now."""
        for socket in self.of():
            self._release(socket)
            socket.speech.pulse(socket)
            for feed in list(socket.feeds.values()):
                _refresh(socket, feed)
            now, speech = socket.state.now(), socket.speech
            if speech.ping and now - socket.pinged >= speech.ping:
                socket.pinged = now
                self.deliver(socket, Stream.PING, None, str(now).encode(), WSMsgType.PING)
            silent, old = now - socket.heard, now - socket.opened
            if self.timeouts and (0 < speech.idle <= silent or 0 < speech.lifetime <= old):
                socket.close()

    def _release(self, socket: Socket) -> None:
        while socket.late and socket.late[0][0] <= socket.state.now():
            socket.queue.put_nowait((WSMsgType.TEXT, socket.late.popleft()[1]))


async def _say_goodbye(wire: web.WebSocketResponse, code: int) -> None:
    """Send the frame alone; `wire.close` would end the connection before the client's own goodbye."""
    if (writer := wire._writer) is not None:
        await writer.close(code)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _malformed(data: Any, how: str) -> Any:
    """Broken off midway, or ("shape") an object of which the first member alone is left."""
    if how != "shape":
        return data[: len(data) // 2]
    told = _value(data)
    return json.dumps(dict(list(told.items())[:1]) if isinstance(told, dict) else [], separators=(",", ":"))


def _close_candles(socket: Socket, feed: Feed, until: int) -> None:
    """Push the last state of the candles that ended by `until`."""
    topic = feed.topic
    begin = floor(until, topic.interval)
    if topic.item is None or feed.opened >= begin:
        return
    for candle in socket.state.candles(topic.item, topic.interval, feed.opened, begin, topic.what):
        socket.show(topic, CandleNews(candle, closed=True))
    feed.opened = begin


def _show_running(socket: Socket, feed: Feed) -> None:
    topic, now = feed.topic, socket.state.now()
    if topic.item is not None:
        rows = socket.state.candles(topic.item, topic.interval, feed.opened, now + 1, topic.what)
        for candle in rows[-1:]:
            socket.show(topic, CandleNews(candle, closed=False))


def _refresh(socket: Socket, feed: Feed) -> None:
    """Push a public topic at a pulse, where there is something new."""
    topic, state, stream = feed.topic, socket.state, feed.topic.stream
    if topic.item is None:
        return
    if stream is Stream.CANDLE:
        _close_candles(socket, feed, state.now())
        if feed.moved or topic.what != "last":
            _show_running(socket, feed)
        feed.moved = False
    elif stream in {Stream.MARK, Stream.TICKER}:
        _show_state(socket, feed)
    elif stream in {Stream.BOOK, Stream.QUOTE} and _touched(state, topic.item, feed):
        state.books.look(topic.item)
        if stream is Stream.QUOTE:
            _show_state(socket, feed)


def _touched(state: State, item: Instrument, feed: Feed) -> bool:
    """Whether a trade, an order or a test may have changed the book since it was last asked."""
    pinned = state.pinned.get((item.kind, item.id))
    touched = feed.moved or pinned != feed.pinned
    feed.moved, feed.pinned = False, pinned
    return touched


def _show_state(socket: Socket, feed: Feed) -> None:
    """Push how something stands: a mark in its rhythm, others when they differ from what was told."""
    topic, now = feed.topic, socket.state.now()
    if now - feed.last < (topic.interval or 1):
        feed.moved = True  # the next pulse will do
        return
    digest = _digest(socket.state, topic)
    if digest != feed.shown or topic.stream is Stream.MARK:
        feed.shown, feed.last = digest, now
        socket.show(topic, what=True)


def _digest(state: State, topic: Topic) -> Any:
    """What must change so that it is worth a message."""
    if topic.item is None or topic.stream is Stream.MARK:
        return None
    bids, asks = state.book(topic.item, 1)
    if topic.stream is Stream.QUOTE:
        return bids, asks
    mark = state.price(topic.item, "mark") if topic.item.margined else None
    return bids, asks, state.day(topic.item)[1:], mark
