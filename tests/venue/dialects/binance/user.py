"""Binance's user streams: listen keys, the websocket API of spot, and what is told of orders and the account."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from ...instruments import Instrument, Kind, fixed, text
from ...news import BalanceNews, Cause, Change, PositionNews
from ...orders import Order, Reason, Refusal, Status
from ...routes import KEY, SECRET
from ...streams import Stream, Topic
from .codes import code_of
from .listing import kind_of
from .market import ROUTES
from .trading import client_id_of, is_algo, status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...news import News, OrderNews
    from ...orders import Fill, Position
    from ...routes import Call
    from ...sockets import Socket
    from ...state import State

HOUR = 3_600_000
LISTEN = ("/fapi/v1/listenKey", "/dapi/v1/listenKey", "/eapi/v1/listenKey")
EXECUTION = {
    Change.ACCEPTED: "NEW", Change.FILLED: "TRADE", Change.AMENDED: "AMENDMENT", Change.CANCELED: "CANCELED",
    Change.EXPIRED: "EXPIRED", Change.TRIGGERED: "NEW",
}  # fmt: skip
REASONS = {
    Cause.FILL: "ORDER", Cause.FEE: "ORDER", Cause.FUNDING: "FUNDING_FEE", Cause.LIQUIDATION: "ORDER",
    Cause.SETTLEMENT: "ORDER", Cause.TRANSFER: "DEPOSIT",
}  # fmt: skip


@ROUTES.on("POST", *LISTEN)
def create_key(call: Call) -> Any:
    """A key for an hour; asked for again, the same with a new hour."""
    _known(call)
    kind = kind_of(call.path)
    if _ends(call.state, kind) <= call.now:
        made = hashlib.sha256(f"{kind}/{call.now}".encode()).hexdigest()
        call.state.settings[f"listen key {kind}"] = made[:64]
    return _renewed(call)


@ROUTES.on("PUT", *LISTEN)
def renew_key(call: Call) -> Any:
    _known(call)
    if _ends(call.state, kind_of(call.path)) <= call.now:
        raise Refusal(Reason.LISTEN_KEY)
    return _renewed(call)


@ROUTES.on("DELETE", *LISTEN)
def delete_key(call: Call) -> Any:
    _known(call)
    call.state.settings.pop(f"listen key {kind_of(call.path)}", None)
    return {}


def _known(call: Call) -> None:
    """These need the key, but no signature."""
    if call.headers.get("X-MBX-APIKEY") != KEY:
        raise Refusal(Reason.KEY)


def _ends(state: State, kind: Kind) -> int:
    there = f"listen key {kind}" in state.settings
    return int(state.settings.get(f"listen key {kind} ends", "0")) if there else 0


def _renewed(call: Call) -> Any:
    kind = kind_of(call.path)
    call.state.settings[f"listen key {kind} ends"] = str(call.now + HOUR)
    key = call.state.settings[f"listen key {kind}"]
    return {} if kind is Kind.OPTION and call.method == "PUT" else {"listenKey": key}


def listen_key(socket: Socket) -> str:
    """The listen key in the address, if that is one of a user's stream."""
    last = socket.path.rpartition("/")[2]
    if socket.path.startswith("/private/ws"):  # linear contracts name it in the query, options in the path
        return socket.query.get("listenKey") or last
    return last if socket.host.startswith("dstream") and not last.isdecimal() else ""


def check_key(socket: Socket, key: str) -> None:
    """Refuse a key that nobody was given, or that has expired."""
    for kind in (Kind.LINEAR, Kind.INVERSE, Kind.OPTION):
        known = socket.state.settings.get(f"listen key {kind}") == key
        if known and _ends(socket.state, kind) > socket.state.now():
            socket.notes["kind"] = kind
            return
    raise Refusal(Reason.KEY)


def begin(socket: Socket) -> None:
    """Tell everything of a user's account of one kind."""
    socket.login = True
    socket.subscribe(Topic("user/orders", Stream.ORDERS))
    socket.subscribe(Topic("user/account", Stream.ACCOUNT))


def expire(socket: Socket) -> None:
    """Say that the listen key has had its hour, and tell nothing more."""
    kind = socket.notes.get("kind")
    if not socket.login or kind is Kind.SPOT or _ends(socket.state, kind) > socket.state.now():
        return
    socket.login = False
    socket.send({"e": "listenKeyExpired", "E": socket.state.now(), "listenKey": listen_key(socket)})
    for name in list(socket.feeds):
        socket.unsubscribe(name)


def request(socket: Socket, message: dict[str, Any]) -> None:
    """A request of the websocket API: its user's stream, and what needs no account."""
    method, told, number = message.get("method", ""), message.get("params") or {}, message.get("id")
    try:
        result = _answer(socket, method, told)
    except Refusal as refusal:
        status, code, words = code_of("/api/v3", refusal)
        socket.send({"id": number, "status": status, "error": {"code": code, "msg": words}})
        return
    limits = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 2}
    socket.send({"id": number, "status": 200, "result": result, "rateLimits": [limits]})
    if method.endswith("signature"):
        begin(socket)


def _answer(socket: Socket, method: str, told: dict[str, Any]) -> dict[str, Any]:
    if method == "userDataStream.subscribe.signature":
        _check(socket, told)
        socket.notes["kind"] = Kind.SPOT
        return {"subscriptionId": 0}
    if method == "userDataStream.unsubscribe":
        for name in list(socket.feeds):
            socket.unsubscribe(name)
        return {}
    if method in {"ping", "time"}:
        return {} if method == "ping" else {"serverTime": socket.state.now()}
    raise Refusal(Reason.PARAMETER, "method")


def _check(socket: Socket, told: dict[str, Any]) -> None:
    """The signature is an HMAC of all other parameters, sorted by name."""
    if told.get("apiKey") != KEY:
        raise Refusal(Reason.KEY)
    signed = "&".join(f"{name}={told[name]}" for name in sorted(told) if name != "signature")
    right = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(right, str(told.get("signature"))):
        raise Refusal(Reason.SIGNATURE)
    late = socket.state.now() - int(told.get("timestamp", 0))
    if late < -1000 or late > int(told.get("recvWindow", 5000)):
        raise Refusal(Reason.TIMESTAMP)


def order(socket: Socket, topic: Topic, news: OrderNews) -> list[Any]:
    """One change of an order of the stream's kind."""
    item, now = news.order.instrument, socket.state.now()
    if item.kind is not socket.notes["kind"]:
        return []
    if item.kind is Kind.SPOT:
        return [{"subscriptionId": 0, "event": _execution(news, now)}]
    if item.kind is Kind.OPTION:
        return [{"e": "ORDER_TRADE_UPDATE", "E": now, "o": [_option(news)]}]
    head = {"T": now, "E": now}
    if is_algo(news.order):
        return [{"e": "ALGO_UPDATE", **head, "o": _algo(news)}]
    pair = {"i": "venueAlias"} if item.kind is Kind.INVERSE else {}
    return [{"e": "ORDER_TRADE_UPDATE", **head, **pair, "o": _contract(news, now)}]


def _execution(news: OrderNews, now: int) -> dict[str, Any]:
    """Spot."""
    order, fill, item = news.order, news.fill, news.order.instrument
    gone = news.change is Change.CANCELED
    return {
        "e": "executionReport", "E": now, "s": item.id, "c": f"c{order.id}" if gone else order.client_id,
        "S": "BUY" if order.buy else "SELL", "o": order.raw.get("type", "MARKET"), "f": order.tif,
        "q": fixed(order.amount), "p": fixed(order.price or 0), "P": fixed(order.trigger or 0), "F": fixed(0),
        "g": -1, "C": order.client_id if gone else "",
        "x": "REPLACED" if news.change is Change.AMENDED else EXECUTION[news.change], "X": status_of(order),
        "r": "NONE", "i": order.id, "l": fixed(fill.amount if fill else 0), "z": fixed(order.filled),
        "L": fixed(fill.price if fill else 0), "n": fixed(fill.fee) if fill else "0",
        "N": fill.fee_coin if fill else None, "T": order.updated, "t": fill.id if fill else -1, "I": order.id * 2,
        "w": order.status is Status.OPEN, "m": bool(fill and fill.maker), "M": False, "O": order.created,
        "Z": fixed(order.quote), "Y": fixed(item.notional(fill.amount, fill.price) if fill else 0),
        "Q": fixed(order.cost or 0), "W": order.created, "V": "EXPIRE_MAKER",
    }  # fmt: skip


def _contract(news: OrderNews, now: int) -> dict[str, Any]:
    order, fill, item = news.order, news.fill, news.order.instrument
    forced = order.cause == Cause.LIQUIDATION
    kind = "LIQUIDATION" if forced else "MARKET" if order.price is None else "LIMIT"
    told: dict[str, Any] = {
        "s": item.id, "c": client_id_of(order), "S": "BUY" if order.buy else "SELL", "o": kind,
        "f": order.tif, "q": text(order.amount, item.step),
        "p": text(order.price or 0, item.tick), "ap": fixed(order.average, 5), "sp": text(0, item.tick),
        "x": "CALCULATED" if forced and fill else EXECUTION[news.change], "X": status_of(order), "i": order.id,
        "l": text(fill.amount if fill else 0, item.step), "z": text(order.filled, item.step),
        "L": text(fill.price if fill else 0, item.tick), "T": now, "t": fill.id if fill else 0, "b": "0", "a": "0",
        "m": bool(fill and fill.maker), "R": order.reduce_only,
        "wt": order.raw.get("workingType", "CONTRACT_PRICE"),
        "ot": order.raw.get("type", kind), "ps": order.side, "cp": order.close_all, "pP": False, "si": 0,
        "ss": 0, "rp": fixed(fill.profit if fill else 0), "V": "EXPIRE_MAKER", "pm": "NONE",
        "gtd": order.expires or 0,
    }  # fmt: skip
    if item.kind is Kind.INVERSE:
        told["ma"] = item.settle
    return told | ({"n": fixed(fill.fee), "N": fill.fee_coin} if fill else {})


def _algo(news: OrderNews) -> dict[str, Any]:
    """A conditional order, until it has sent the one that acts."""
    order, item = news.order, news.order.instrument
    fired = news.change is Change.TRIGGERED
    return {
        "caid": order.client_id, "aid": order.id, "at": "CONDITIONAL", "o": order.raw.get("type", "STOP_MARKET"),
        "s": item.id, "S": "BUY" if order.buy else "SELL", "ps": order.side, "f": order.tif,
        "q": text(order.amount, item.step), "X": "TRIGGERED" if fired else status_of(order),
        "ai": str(order.child) if order.child else "", "ap": "0.00000", "aq": "0.00000", "act": "0",
        "tp": text(order.trigger or 0, item.tick), "p": text(order.price or 0, item.tick), "V": "EXPIRE_MAKER",
        "wt": order.raw.get("workingType", "CONTRACT_PRICE"), "pm": "NONE", "cp": order.close_all, "pP": False,
        "R": order.reduce_only, "tt": order.updated if fired else 0, "gtd": order.expires or 0,
    }  # fmt: skip


def _option(news: OrderNews) -> dict[str, Any]:
    """An order with all of its fills; its amount has the sign of its side."""
    order, item = news.order, news.order.instrument
    sign = 1 if order.buy else -1
    return {
        "T": order.created, "t": order.updated, "s": item.id, "c": order.client_id, "oid": str(order.id),
        "p": text(order.price or 0), "q": text(sign * order.amount), "stp": 0, "r": order.reduce_only,
        "po": order.post_only, "S": status_of(order), "e": text(order.filled), "ec": text(order.value),
        "f": text(order.fee), "tif": order.tif, "oty": order.raw.get("type", "LIMIT"),
        "fi": [_option_fill(fill) for fill in order.fills],
    }  # fmt: skip


def _option_fill(fill: Fill) -> dict[str, Any]:
    return {
        "t": str(fill.id), "p": text(fill.price), "q": text(fill.amount), "T": fill.time,
        "m": "MAKER" if fill.maker else "TAKER", "f": text(fill.fee),
    }  # fmt: skip


def account(socket: Socket, topic: Topic, news: Sequence[News]) -> list[Any]:
    """What changed at once: money, and positions."""
    kind, state, now = socket.notes["kind"], socket.state, socket.state.now()
    money = [one for one in news if isinstance(one, BalanceNews) and one.wallet == kind.value]
    if kind is Kind.SPOT:
        return _spot_balances(state, news, now)
    held = {
        (one.position.instrument.id, one.position.side): one.position
        for one in news if isinstance(one, PositionNews) and one.position.instrument.kind is kind
    }  # fmt: skip
    if not money and not held:
        return []
    coins = list(dict.fromkeys([one.coin for one in money] or [one.instrument.settle for one in held.values()]))
    reason = REASONS[money[0].cause] if money else "ORDER"
    if kind is Kind.OPTION:
        return [{
            "e": "BALANCE_POSITION_UPDATE", "E": now, "T": now, "m": reason,
            "B": [{"a": coin, "b": fixed(state.balances["option", coin]), "bc": "0"} for coin in coins],
            "P": [_option_position(state, one) for one in held.values()],
        }]  # fmt: skip
    balances: list[dict[str, str]] = []
    for coin in coins:
        moved = sum(one.change for one in money if one.coin == coin and REASONS[one.cause] != "ORDER")
        whole = fixed(state.balances[kind.value, coin])
        cross = fixed(state.cross_balance(kind.value, coin))
        balances.append({"a": coin, "wb": whole, "cw": cross, "bc": fixed(moved)})
    told = {"m": reason, "B": balances, "P": [_position(state, one) for one in held.values()]}
    return [{"e": "ACCOUNT_UPDATE", "T": now, "E": now, "a": told}]


def _spot_balances(state: State, news: Sequence[News], now: int) -> list[Any]:
    """The coins that a purchase or an order has touched, as they stand now."""
    coins: dict[str, None] = {}
    for one in news:
        if isinstance(one, BalanceNews) and one.wallet == "spot":
            coins[one.coin] = None
        elif not isinstance(one, BalanceNews | PositionNews) and (item := _spot_of(one)) is not None:
            coins |= dict.fromkeys((item.base, item.quote))
    if not coins:
        return []
    rows = [
        {
            "a": coin, "f": fixed(state.balances["spot", coin] - state.locked("spot", coin)),
            "l": fixed(state.locked("spot", coin)),
        }
        for coin in coins
    ]  # fmt: skip
    told = {"e": "outboundAccountPosition", "E": now, "u": now, "B": rows}
    return [{"subscriptionId": 0, "event": told}]


def _spot_of(news: News) -> Instrument | None:
    order: Order | None = getattr(news, "order", None)
    return order.instrument if order is not None and order.instrument.kind is Kind.SPOT else None


def _position(state: State, position: Position) -> dict[str, Any]:
    item = position.instrument
    isolated = (item.kind, item.id) in state.isolated
    return {
        "s": item.id, "pa": text(position.amount, item.step), "ep": fixed(position.entry, 5),
        "bep": fixed(position.entry, 5), "cr": fixed(position.realized),
        "up": fixed(state.profit(position) if position.amount else 0), "mt": "isolated" if isolated else "cross",
        "iw": fixed(state.margin(position)) if isolated and position.amount else "0", "ps": position.side,
        "ma": item.settle,
    }  # fmt: skip


def _option_position(state: State, position: Position) -> dict[str, Any]:
    item = position.instrument
    worth = item.value(position.amount, state.price(item, "mark"))
    return {"s": item.id, "c": fixed(position.amount, 4), "p": fixed(worth), "a": fixed(position.entry)}
