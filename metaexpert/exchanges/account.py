"""What the exchanges answer about an account -> orders, fills, positions and balances, in our units.

Pure functions of what CCXT hands over. A field that CCXT loses or misreads is taken from the exchange's own answer
(`info`), as `wording` says where; what would have to be guessed is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..answers import Balance, ExchangeFill
from ..errors import ExchangeError, NetworkError
from ..models import (
    Account,
    ExitReason,
    MarginMode,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Side,
    TimeInForce,
)
from . import wording
from .fields import info_of, number, positive, said
from .markets import to_qty
from .venues import venue_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..models import Market

    type Raw = Mapping[str, Any]

__all__ = [
    "account_of",
    "added",
    "balances_of",
    "child_of",
    "fill_of",
    "forced",
    "id_of",
    "order_of",
    "orders_of",
    "positions_of",
]

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_LEGS = {"long": "long", "short": "short", "1": "long", "2": "short"}
_MODES = {mode.value: mode for mode in MarginMode}
_PRICELESS = ("market", "stop_market", "take_profit_market", "trailing_stop_market", "optimal_limit_ioc")


# --- orders ---------------------------------------------------------------------------------------------------


def order_of(raw: Raw, market: Market, asked: Order | None = None) -> Order:
    """The order that an answer tells of.

    Args:
        raw: CCXT's order.
        market: where it works.
        asked: what was sent, if it was sent by us: most exchanges answer with an id and nothing else. Its terms
            hold; the answer says how far it has come, and its qty and price where they were changed since. An
            answer without a quantity repeats what was sent.

    Returns:
        The order; `Order.id` is the client id where it has one, else the exchange's. `Order.fee` is what was paid
        in the settlement currency; `fill_of` tells of every other. A `qty` of 0 is that of an order to close
        whatever the position holds. A stop that was reached is open still, with the `exchange_id` of the order
        that it has become: its fills carry that one.

    Raises:
        NetworkError: the answer names no order, so whether there is one is not known.
        ExchangeError: its status, side or type is one that is not known.
    """
    name = raw.get("id")
    if not name:
        told = "" if asked is None else f" {asked.id}"
        raise NetworkError(
            f"{venue_of(market.exchange).name}: order{told} in {market.symbol} was answered without its id: look "
            "it up before anything else"
        )
    return _found(raw, market) if asked is None else _progress(raw, market, asked)


def orders_of(raws: Iterable[Raw], markets: Mapping[str, Market]) -> list[Order]:
    """The orders that work in `markets`, by unified symbol; those of other markets are left out."""
    return [order_of(raw, markets[raw["symbol"]]) for raw in raws if raw.get("symbol") in markets]


def _progress(raw: Raw, market: Market, asked: Order) -> Order:
    status = _status(raw, market, OrderStatus.OPEN)
    total = number(raw, "amount")
    in_base = market.amount_step is not None  # there it takes a price to compare them
    # by cost it tells what was bought so far; what reduces goes by quantity, and may shrink with its position
    known = asked.price is not None or asked.reduce_only or status is OrderStatus.FILLED
    qty = asked.qty if not total or in_base or not known else to_qty(market, total)
    return asked.changed(
        exchange_id=child_of(raw, market) or id_of(raw, market),
        status=status,
        qty=qty,
        price=None if asked.price is None else positive(raw, "price") or asked.price,
        filled=_filled(raw, market, qty, asked.filled),
        average_price=positive(raw, "average") or asked.average_price,
        fee=_fee(raw, market, asked.fee),
        message=_message(raw, market, status) or asked.message,
        created=asked.created or _time(raw, market),
        updated=max(asked.updated, _time(raw, market)),
    )


def _found(raw: Raw, market: Market) -> Order:
    status, (kind, reason) = _status(raw, market), _kind(raw, market)
    price, stop = positive(raw, "price"), _stop_price(raw) if kind in _WAITING else None
    price = price if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None
    average = positive(raw, "average")
    amount = number(raw, "amount") or number(raw, "filled") or 0.0
    qty = to_qty(market, amount, price or average or stop)
    side, leg = _side(raw, market), _leg(raw, market)
    tif, post_only = _tif(raw, market) if price is not None else (TimeInForce.GTC, False)
    closes = _reduces(raw) or (leg is not None and (side is Side.BUY) == (leg == "short"))
    ours = wording.CLIENT_IDS.get(market.exchange, ())
    return Order(
        id=raw.get("clientOrderId") or said(raw, *ours) or str(raw["id"]),
        exchange_id=child_of(raw, market) or id_of(raw, market),
        symbol=market.symbol,
        side=side,
        type=kind,
        qty=qty,
        price=price,
        stop_price=stop,
        status=status,
        filled=_filled(raw, market, qty, 0.0),
        average_price=average,
        fee=_fee(raw, market, 0.0),
        reduce_only=_reduces(raw),
        post_only=post_only,
        tif=tif,
        stop_loss=_attached(raw, "stopLossPrice", stop),
        take_profit=_attached(raw, "takeProfitPrice", stop),
        position_side=leg,
        reason=_cause(raw, market, side, reason) if closes else ExitReason.ORDER,
        message=_message(raw, market, status),
        created=int(raw.get("timestamp") or 0),
        updated=_time(raw, market),
    )


def id_of(raw: Raw, market: Market) -> str:
    """The exchange's id of an order; of one that a stop has become its own."""
    return said(raw, *wording.IDS.get(market.exchange, ())) or str(raw["id"])


def _status(raw: Raw, market: Market, untold: OrderStatus | None = None) -> OrderStatus:
    exchange, own, word = market.exchange, _state(raw, market), raw.get("status")
    if exchange == "kucoin" and (said(raw, "isActive", "active") == "True"):
        return OrderStatus.OPEN  # that a part was cancelled (``cancelExist``) ends no order
    if child_of(raw, market) is not None:
        return OrderStatus.OPEN
    known = wording.MISFILED.get(exchange, {}).get(own) or wording.STATUSES.get(str(word))
    if known is None and word is None and untold is not None:
        return untold
    if known is None:
        raise _unknown(raw, market, "status", own or word)
    total, done = number(raw, "amount"), number(raw, "filled")
    if (
        known is OrderStatus.FILLED
        and not _in_quote(raw)
        and total is not None
        and done is not None
        and done < total
    ):
        return OrderStatus.CANCELED
    return known


def _state(raw: Raw, market: Market) -> str:
    """The exchange's own word for the status."""
    return said(raw, *wording.STATES.get(market.exchange, ())) or ""


def child_of(raw: Raw, market: Market) -> str | None:
    """The exchange's id of the order that a stop has become: "" if that is not told, None if it still waits."""
    paths = wording.FIRED.get(market.exchange, {}).get(_state(raw, market))
    return None if paths is None else said(raw, *paths) or ""


def _in_quote(raw: Raw) -> bool:
    """Is it a market order of Bybit by cost? What remains of it is counted in quote, and CCXT adds the two."""
    return said(raw, "marketUnit") == "quoteCoin"


def _works(status: OrderStatus) -> bool:
    return status in (OrderStatus.PENDING, OrderStatus.OPEN)


def _filled(raw: Raw, market: Market, qty: float, before: float) -> float:
    """How much of `qty` is done; of an order counted in base the same share of it as there."""
    done, total = number(raw, "filled"), number(raw, "amount")
    if done is None or child_of(raw, market) is not None:
        return before
    if market.amount_step is not None:
        return qty * done / total if total else before
    return to_qty(market, done)


_WAITING = (OrderType.STOP, OrderType.STOP_LIMIT)


def _kind(raw: Raw, market: Market) -> tuple[OrderType, ExitReason]:
    word = str(raw.get("type"))
    if word not in wording.TYPES:
        raise _unknown(raw, market, "type", word)
    waits, reason = wording.TYPES[word]
    told = said(raw, *wording.KINDS.get(market.exchange, ())) or ""
    own = wording.CAUSES.get(market.exchange, {}).get(told)
    waits = waits or own is not None or positive(raw, "triggerPrice") is not None
    if word in ("conditional", "oco") and positive(raw, "stopLossPrice") is None:
        reason = ExitReason.TAKE_PROFIT
    limited = word not in _PRICELESS and positive(raw, "price") is not None
    if waits:
        return OrderType.STOP_LIMIT if limited else OrderType.STOP, own or reason
    return OrderType.LIMIT if limited else OrderType.MARKET, reason


def _cause(raw: Raw, market: Market, side: Side, told: ExitReason) -> ExitReason:
    """What an order that closes is for; where only the way is told that the price must go, by that."""
    field, ways = wording.RISES.get(market.exchange, ("", {}))
    rises = ways.get(said(raw, field) or "")
    if told is not ExitReason.ORDER or rises is None:
        return told
    return ExitReason.STOP_LOSS if rises is (side is Side.BUY) else ExitReason.TAKE_PROFIT


def _stop_price(raw: Raw) -> float | None:
    names = ("triggerPrice", "stopLossPrice", "takeProfitPrice")
    return next((found for name in names if (found := positive(raw, name)) is not None), None)


def _attached(raw: Raw, name: str, stop: float | None) -> float | None:
    """A level that the exchange will guard once the order has filled; CCXT gives it for the order's own, too."""
    level = positive(raw, name)
    return None if level == stop else level


def _side(raw: Raw, market: Market) -> Side:
    """Buy or sell; of a Bitget leg in hedge mode, where the word names the leg, what it comes to."""
    side = _SIDES.get(str(raw.get("side")))
    if side is None:
        raise _unknown(raw, market, "side", raw.get("side"))
    if market.exchange == "bitget" and said(raw, "posMode") == "hedge_mode":
        word, action = said(raw, "side") or str(side), said(raw, "tradeSide") or ""
        if action.endswith(("_long", "_short")):  # what the exchange closed itself
            return Side.SELL if action.endswith("_long") else Side.BUY
        held = _SIDES.get(word.lower(), side)
        return held.opposite if action == "close" else held
    return side


def _leg(raw: Raw, market: Market) -> str | None:
    """The leg of hedge mode; None in one-way mode."""
    found = _LEGS.get((said(raw, *wording.LEGS.get(market.exchange, ())) or "").lower())
    if market.exchange == "bitget":
        if said(raw, "posMode") != "hedge_mode":
            return None
        action = said(raw, "tradeSide") or ""
        if found is None and action in ("open", "close"):
            found = "long" if (said(raw, "side") or "").lower() == "buy" else "short"
        return found or (action.rpartition("_")[2] if action.endswith(("_long", "_short")) else None)
    return found


def _reduces(raw: Raw) -> bool:
    return raw.get("reduceOnly") in (True, "true") or (said(raw, "closePosition") or "").lower() == "true"


def _tif(raw: Raw, market: Market) -> tuple[TimeInForce, bool]:
    word = raw.get("timeInForce") or "GTC"
    if word not in wording.TIFS:
        raise _unknown(raw, market, "time in force", word)
    tif, post_only = wording.TIFS[word]
    return tif, post_only or raw.get("postOnly") is True


def _fee(raw: Raw, market: Market, untold: float) -> float:
    """What was paid in the settlement currency."""
    several: Sequence[Raw] = raw.get("fees") or [raw.get("fee") or {}]
    fees = [fee for fee in several if fee.get("cost") is not None]
    own = said(raw, "cumExecFee") if market.exchange == "bybit" and not market.is_spot else None
    if not fees:
        return untold if own is None else float(own)
    return sum((float(fee["cost"]) for fee in fees if fee.get("currency") == market.settle), 0.0)


def _message(raw: Raw, market: Market, status: OrderStatus) -> str | None:
    child = child_of(raw, market)
    if child is not None:
        return f"its stop was reached: it works as order {child}" if child else "its stop was reached"
    if _works(status) or status is OrderStatus.FILLED:
        return None
    why = said(raw, *wording.REFUSALS.get(market.exchange, ()))
    return None if why in ("EC_NoError", "0") else why  # Bybit's and OKX's words for no reason


def _time(raw: Raw, market: Market) -> int:
    """When it changed last."""
    names = ("lastUpdateTimestamp", "lastTradeTimestamp", "timestamp")
    own = said(raw, *wording.UPDATED.get(market.exchange, ()))
    return max(int(own or 0), *(int(raw.get(name) or 0) for name in names))


# --- fills ----------------------------------------------------------------------------------------------------


def fill_of(raw: Raw, market: Market) -> ExchangeFill:
    """One execution of the account.

    Raises:
        ExchangeError: it lacks its id, time, side, price or amount.
    """
    price, amount = positive(raw, "price"), number(raw, "amount")
    if price is None or amount is None or not raw.get("id") or raw.get("timestamp") is None:
        raise ExchangeError(f"{market.exchange}: a fill of {market.symbol} lacks its id, time, price or amount")
    profit = said(raw, *wording.PROFIT.get(market.exchange, ()))
    fee, currency = _paid(raw, market)
    return ExchangeFill(
        id=str(raw["id"]),
        time=int(raw["timestamp"]),
        symbol=market.symbol,
        order_id=said(raw, *wording.IDS.get(market.exchange, ())) or str(raw.get("order") or ""),
        side=_side(raw, market),
        qty=to_qty(market, abs(amount), price),
        price=price,
        fee=fee,
        fee_currency=currency,
        is_maker=raw.get("takerOrMaker") == "maker",
        pnl=None if profit is None else float(profit),
        reason=_forced(raw, market),
        position_side=_leg(raw, market),
    )


def _paid(raw: Raw, market: Market) -> tuple[float, str | None]:
    fee: Raw = raw.get("fee") or {}
    own = said(raw, "fillFee", "fee") if market.exchange == "okx" else None
    cost = fee.get("cost") if own is None else -float(own)  # OKX counts what it takes as negative; CCXT not always
    return (0.0, None) if cost is None else (float(cost), fee.get("currency"))


def _forced(raw: Raw, market: Market) -> ExitReason:
    """Why it was closed, where nobody had ordered it; nothing but its end trades a contract that has ended."""
    if market.expiry is not None and int(raw["timestamp"]) >= market.expiry:
        return ExitReason.EXPIRY
    if market.exchange == "bitget":
        word = said(raw, "tradeSide") or ""
        if word.startswith(("burst_", "reduce_", "dte_sys_adl_")):
            return ExitReason.LIQUIDATION
        return ExitReason.EXPIRY if word.startswith("delivery_") else ExitReason.ORDER
    name = said(raw, *wording.ORDERED_BY.get(market.exchange, ())) or ""
    theirs = (reason for begin, reason in wording.FORCED_IDS.items() if name.startswith(begin))
    fields, words = wording.FORCED.get(market.exchange, ((), {}))
    return next(theirs, None) or words.get(said(raw, *fields) or "", ExitReason.ORDER)


def forced(fills: Iterable[ExchangeFill], orders: Iterable[Raw]) -> tuple[ExchangeFill, ...]:
    """The fills, with the reason of those that belong to `orders`, an exchange's list of its own liquidations."""
    names = {str(one.get("orderId")) for one in orders}
    return tuple(one._replace(reason=ExitReason.LIQUIDATION) if one.order_id in names else one for one in fills)


# --- positions ------------------------------------------------------------------------------------------------


def positions_of(raws: Iterable[Raw], markets: Mapping[str, Market]) -> list[Position]:
    """The open positions in `markets`, by unified symbol; flat ones and those of other markets are left out.

    `realized_pnl` and `funding` are 0 where the exchange does not tell them apart from fees. `opened` is None
    where it does not say, `liquidation_price` where there is none.

    Raises:
        ExchangeError: a position's size or side is not known.
    """
    found = (_position(raw, markets[raw["symbol"]]) for raw in raws if raw.get("symbol") in markets)
    return [position for position in found if position]


def _position(raw: Raw, market: Market) -> Position:
    def told(name: str) -> float | None:
        return number(info_of(raw), *wording.POSITION.get(market.exchange, {}).get(name, ()))

    def level(name: str) -> float | None:
        return positive(info_of(raw), *wording.POSITION.get(market.exchange, {}).get(name, ()))

    amount, signed = number(raw, "contracts"), told("qty")
    amount = signed if signed is not None else amount
    if amount is None:
        raise _unknown(raw, market, "size of a position", None)
    if amount == 0.0:
        return Position(symbol=market.symbol)
    side = raw.get("side") or (None if signed is None else "long" if signed > 0.0 else "short")
    if side not in ("long", "short"):
        raise _unknown(raw, market, "side of a position", side)
    entry, mark = positive(raw, "entryPrice"), positive(raw, "markPrice")
    qty = to_qty(market, abs(amount), entry or mark)
    margin = told("margin") or positive(raw, "initialMargin") or 0.0
    mode, opened = raw.get("marginMode"), told("opened")
    return Position(
        symbol=market.symbol,
        position_side=side if _is_hedged(raw, market) else None,
        qty=qty if side == "long" else -qty,
        entry_price=entry,
        mark_price=mark,
        unrealized_pnl=number(raw, "unrealizedPnl") or 0.0,
        realized_pnl=told("realized") or 0.0,
        funding=told("funding") or 0.0,
        margin=margin,
        leverage=told("leverage") or positive(raw, "leverage") or _leverage(raw, margin),
        liquidation_price=level("liquidation"),
        stop_loss=level("stop_loss"),
        take_profit=level("take_profit"),
        opened=None if opened is None else int(opened),
        margin_mode=_MODES.get(str(mode)),
    )


def _is_hedged(raw: Raw, market: Market) -> bool:
    if market.exchange in ("binance", "kucoin"):
        return _leg(raw, market) is not None
    return raw.get("hedged") is True


def _leverage(raw: Raw, margin: float) -> float:
    """What notional and margin come to, where it is not told; margins are rounded to 8 digits."""
    notional = positive(raw, "notional")
    return 1.0 if notional is None or margin == 0.0 else round(notional / margin, 2)


# --- balances -------------------------------------------------------------------------------------------------


def balances_of(raw: Raw, exchange: str) -> list[Balance]:
    """What one answer says of the account's currencies: CCXT's balance, or Binance's margin account of options.

    Raises:
        ExchangeError: what is free of a currency is not known.
    """
    if "asset" in raw:
        return [_balance(exchange, one["asset"], one["available"], None, one["equity"]) for one in raw["asset"]]
    if exchange == "bybit":
        return [_unified(coin) for one in raw["info"]["result"]["list"] for coin in one["coin"]]
    if exchange == "bitget" and any("marginCoin" in one for one in raw["info"]):
        return [_margin(one) for one in raw["info"]]
    return [
        _balance(exchange, name, raw["free"].get(name), raw["used"].get(name), total)
        for name, total in raw["total"].items()
    ]


def _unified(coin: Raw) -> Balance:
    """Of Bybit, with open profit, and free of what orders and positions hold: CCXT has it otherwise."""
    used = sum(number(coin, name) or 0.0 for name in ("locked", "totalPositionIM", "totalOrderIM"))
    return _balance("bybit", coin["coin"], None, used, number(coin, "equity"))


def _margin(one: Raw) -> Balance:
    """Of Bitget's contracts, with what can be traded with: CCXT takes what can be transferred for it."""
    held = [number(one, name) for name in ("locked", "crossedMargin", "isolatedMargin")]
    used = None if None in held else sum(value or 0.0 for value in held)
    return _balance(
        "bitget", one["marginCoin"], number(one, "crossedMaxAvailable"), used, number(one, "accountEquity")
    )


def _balance(exchange: str, currency: str, free: Any, used: Any, total: Any) -> Balance:
    """One of the three follows from the others where it is not told."""
    told = [None if value is None else float(value) for value in (free, used, total)]
    match told:
        case [float(free), None, float(total)]:
            told[1] = total - free
        case [None, float(used), float(total)]:
            told[0] = total - used
        case [float(free), float(used), None]:
            told[2] = free + used
        case _:
            pass
    if None in told:
        raise ExchangeError(f"{venue_of(exchange).name}: what is free of {currency} is not in its answer")
    return Balance(
        currency=currency, **dict(zip(("free", "used", "total"), cast("list[float]", told), strict=True))
    )


def added(balances: Iterable[Balance]) -> tuple[Balance, ...]:
    """One balance a currency, by its name; currencies of which nothing is held are left out."""
    sums: dict[str, Balance] = {}
    for one in balances:
        known = sums.get(one.currency, Balance(currency=one.currency, free=0.0, used=0.0, total=0.0))
        sums[one.currency] = Balance(
            currency=one.currency,
            free=known.free + one.free,
            used=known.used + one.used,
            total=known.total + one.total,
        )
    return tuple(one for _, one in sorted(sums.items()) if (one.free, one.used, one.total) != (0.0, 0.0, 0.0))


def account_of(
    currency: str, balances: Iterable[Balance], positions: Sequence[Position], markets: Mapping[str, Market],
    time: int,
) -> Account:  # fmt: skip
    """The account in one settlement `currency`; `positions` of other ones don't count. `time` in ms UTC."""
    own = [one for one in balances if one.currency == currency]
    total, used, free = (sum(getattr(one, name) for one in own) for name in ("total", "used", "free"))
    profit = sum(one.unrealized_pnl for one in positions if markets[one.symbol].settle == currency)
    return Account(
        currency=currency,
        balance=total - profit,
        equity=total,
        unrealized_pnl=profit,
        margin_used=used,
        margin_free=free,
        time=time,
    )


def _unknown(raw: Raw, market: Market, what: str, word: Any) -> ExchangeError:
    name, where = raw.get("clientOrderId") or raw.get("id"), f"{venue_of(market.exchange).name}: {market.symbol}"
    found = f"{where}, {name}" if name else where
    return ExchangeError(f"{found}: the {what} {word!r} is not known: look at it on the exchange")
