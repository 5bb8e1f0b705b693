"""Our orders as calls of CCXT: rounded, checked against the market and the capability table, and put into words.

What an exchange can't do is refused here, with the reason, before anything is sent. Pure functions.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from .. import risk
from ..errors import OrderRejected
from ..models import Order, OrderType, PositionMode, Side, TimeInForce
from .capabilities import Feature, Support, support
from .dialects import dialect_of
from .markets import price_text
from .plans import TRIGGERED, Call, OrderRequest, Plan, Terms
from .refusals import REJECTED
from .venues import VENUES, Segment, segment_of, venue_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..models import Market

__all__ = [
    "NO_SUCH",
    "Call",
    "OrderRequest",
    "Terms",
    "amend_of",
    "calls_of",
    "cancel_all_of",
    "cancel_of",
    "child_of",
    "dead_man_of",
    "kinds_of",
    "lacking_of",
    "lookups_of",
    "picked",
    "protection_of",
    "settings_of",
    "why_no_legs",
]

_ID = re.compile(r"[A-Za-z0-9]{1,32}")
NO_SUCH = "not_supported"
"""The reason of a refusal because the exchange takes no such orders."""
_SIDE = "wrong_position_side"  # likewise
_LEVELS = {"stop_loss": (Feature.ATTACHED_STOP, "SL"), "take_profit": (Feature.ATTACHED_TARGET, "TP")}
_TYPES = {
    OrderType.MARKET: Feature.MARKET,
    OrderType.LIMIT: Feature.LIMIT,
    OrderType.STOP: Feature.STOP,
    OrderType.STOP_LIMIT: Feature.STOP_LIMIT,
}
_OURS = (Feature.TAKE_PROFIT, Feature.TRAILING)  # what is watched where the exchange can't: no order is sent
_TIFS = {TimeInForce.IOC: Feature.IOC, TimeInForce.FOK: Feature.FOK}


def calls_of(request: OrderRequest, market: Market) -> tuple[Call, ...]:
    """What is sent for an order: the order, then the protective orders that stand by themselves.

    Raises:
        OrderRejected: the order breaks a rule of the market, or the exchange has nothing like it; the message says
            why. So it is with what somebody has to see to, unless `request.watched` says that it is.
        ConfigError: the exchange takes no orders here, or not at this leverage.
    """
    plan, dialect = _plan(request, market), dialect_of(market)
    _check_features(plan)
    carried = not _levels(plan) or plan.order.type in dialect.attached.get(plan.segment, ())
    if carried:
        return (dialect.place(plan),)
    if plan.segment in dialect.separate and plan.order.type is OrderType.MARKET:
        return dialect.place(plan), *protection_of(request, market)
    if not request.watched:
        name = _levels(plan)[0]
        why = support(market.exchange, plan.segment, _LEVELS[name][0])[1]
        raise _refusal(
            plan, f"it does not take a {_spoken(name)} along with a {plan.order.type} order: {why}", NO_SUCH
        )
    return (dialect.place(plan),)


def protection_of(request: OrderRequest, market: Market) -> tuple[Call, ...]:
    """Closing stop orders at the stop-loss and take-profit of an order that has been filled.

    Their ids are the order's with SL and TP behind it. Empty where the exchange has no such orders: there they go
    along with the order, or the caller watches them.

    Raises:
        OrderRejected: the order breaks a rule of the market.
    """
    plan, dialect = _plan(request, market), dialect_of(market)
    if plan.segment not in dialect.separate:
        return ()
    return tuple(
        dialect.protect(plan, name, _checked_id(f"{plan.order.id}{_LEVELS[name][1]}")) for name in _levels(plan)
    )


def lookups_of(order: Order, market: Market) -> tuple[Call, ...]:
    """The calls that look an order up by our id, to be made in turn until `picked` finds it in an answer."""
    return dialect_of(market).lookups(order, market)


def child_of(raw: Mapping[str, Any], market: Market) -> Call | None:
    """The call that tells what a stop has become, where its own record `raw` does not; None: there is none."""
    where = dialect_of(market).sub_orders.get(segment_of(market))
    return None if where is None else Call("request", (*where, {"planOrderId": str(raw["id"])}))


def picked(raw: object, order: Order) -> Mapping[str, Any] | None:
    """What of the answer to a lookup is this order: CCXT's order or list of orders; None if it is not in there."""
    if isinstance(raw, list):
        found = cast("Sequence[Mapping[str, Any]]", raw)
        name = "id" if order.id == order.exchange_id else "clientOrderId"
        return next((one for one in found if one.get(name) == order.id), None)
    one = cast("Mapping[str, Any] | None", raw)
    return None if one is None or one.get("id") is None else one


def cancel_of(order: Order, market: Market) -> Call:
    """The call that cancels an order by our id."""
    return dialect_of(market).cancel(order, market)


def amend_of(order: Order, market: Market, price: float | None = None, qty: float | None = None) -> Call:
    """The call that gives a resting limit order another price or quantity, where it stands.

    Raises:
        OrderRejected: the exchange has no such call, the order is no limit order, or breaks a rule of the market.
    """
    if order.type is not OrderType.LIMIT:
        raise OrderRejected(
            f"order {order.id}: only limit orders can be changed; cancel it and send a new one", NO_SUCH
        )
    changed = order.changed(price=order.price if price is None else price, qty=order.qty if qty is None else qty)
    plan = _plan(OrderRequest(order=changed, terms=Terms()), market)
    _check(plan, Feature.AMEND)
    text = price_text(market, cast("float", plan.order.price), order.side.sign)
    return dialect_of(market).amend(plan.order, plan.amount(), text)


def cancel_all_of(market: Market) -> tuple[Call, ...]:
    """The calls that cancel all orders of a market; empty where each must be cancelled by itself."""
    return dialect_of(market).cancel_all(market)


def dead_man_of(markets: Sequence[Market], seconds: int) -> tuple[Call, ...]:
    """The calls that have the exchange cancel open orders by itself unless they are made again within `seconds`.

    `markets` are all that it is to watch, of one segment: at KuCoin the next call forgets those of the one before.

    Raises:
        OrderRejected: the exchange has no such call.
    """
    first = markets[0]
    found, why = support(first.exchange, segment_of(first), Feature.DEAD_MAN)
    if found is Support.REFUSED:
        raise OrderRejected(f"{venue_of(first.exchange).name}: {why}", NO_SUCH)
    return dialect_of(first).dead_man(markets, seconds)


def settings_of(market: Market, terms: Terms) -> tuple[Call, ...]:
    """The calls that bring position mode, margin mode and leverage of a market to `terms`, in this order.

    Some change the whole account: Bybit's margin mode, and every position mode but Bybit's. Spot and options have
    none of them.

    Raises:
        ConfigError: the exchange does not take this leverage.
    """
    return dialect_of(market).settings(market, terms)


def why_no_legs(market: Market) -> str | None:
    """Why a market has no long beside a short position; None where it has."""
    found, why = support(market.exchange, segment_of(market), Feature.HEDGE)
    if found is Support.REFUSED:
        return why
    if market.exchange == "bybit" and market.settle != "USDT":
        return "only contracts settled in USDT have legs there"
    return None


# --- checks ---------------------------------------------------------------------------------------------------


def _plan(request: OrderRequest, market: Market) -> Plan:
    """The request on the market's steps, or a refusal."""
    order = request.order
    _checked_id(order.id)
    if request.cost is not None:
        _check_cost(request, request.cost, market)
        return Plan(request, market)
    found = risk.conform(order, market, request.reference_price, order.qty if order.reduce_only else 0.0)
    if not isinstance(found, Order):
        raise OrderRejected(f"{market.symbol}: {found.message}", found.reason)
    plan = Plan(replace(request, order=found), market)
    most = market.max_market_qty
    if most is not None and not plan.is_limit and found.qty > most:
        raise _refusal(
            plan, f"a market order may have {most:.12g} at most, not {found.qty:.12g}: split it", "above_max_qty"
        )
    _check_prices(plan)
    return plan


def _checked_id(name: str) -> str:
    if not _ID.fullmatch(name):
        raise OrderRejected(
            f"order id {name!r}: an id has 1 to 32 letters and digits, 30 where protective orders take it over"
        )
    return name


def _check_cost(request: OrderRequest, cost: float, market: Market) -> None:
    order = request.order
    if order.type is not OrderType.MARKET or order.side is not Side.BUY:
        raise OrderRejected(f"{market.symbol}: only purchases at market are sized by what they cost")
    if not (math.isfinite(cost) and cost > 0.0):
        raise OrderRejected(f"{market.symbol}: cost must be a positive number, got {cost!r}", "invalid_cost")
    if cost < market.min_notional:
        least = f"{market.min_notional:.12g} {market.quote}"
        raise OrderRejected(
            f"{market.symbol}: a cost of {cost:.12g} is below the minimum of {least}", "below_min_notional"
        )


def _check_prices(plan: Plan) -> None:
    """Each type of order has its prices, and a stop one that the market has not reached."""
    order, pct = plan.order, plan.request.trailing_stop_pct
    has_price = order.type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    has_stop = order.type in TRIGGERED and pct is None
    if (order.price is not None, order.stop_price is not None) != (has_price, has_stop):
        given = f"price={order.price}, stop_price={order.stop_price}"
        raise _refusal(plan, f"{given} do not belong to a {order.type} order")
    if pct is not None:
        _check_trailing(plan, pct)
    last, stop = plan.request.reference_price, order.stop_price
    if last is not None and stop is not None and (last >= stop if plan.rises else last <= stop):
        what = "target" if plan.is_target else "stop price"
        why = f"the {what} {stop:.12g} of a {order.side} is reached already at {last:.12g}"
        raise _refusal(plan, why, "stop_reached")


def _check_trailing(plan: Plan, pct: float) -> None:
    least, most = dialect_of(plan.market).trailing_range
    if plan.order.type is not OrderType.STOP:
        raise _refusal(plan, f"a trailing stop is an order of type stop, not {plan.order.type}")
    if not (0.0 < pct <= most and pct >= least):
        raise _refusal(plan, f"trailing_stop_pct must lie between {least:g} and {most:g}, got {pct:g}")


def _check_features(plan: Plan) -> None:
    order = plan.order
    for feature in _features(plan):
        _check(plan, feature)
    if order.reduce_only and plan.segment is Segment.SPOT and order.side is Side.BUY:
        raise _refusal(plan, "a spot purchase can't be reduce-only")
    if order.type is not OrderType.LIMIT and (order.post_only or order.tif is TimeInForce.FOK):
        word = "post-only" if order.post_only else "FOK"
        raise _refusal(plan, f"{word} goes with limit orders, not with a {order.type} order")
    if order.type in TRIGGERED and order.tif is TimeInForce.IOC:
        raise _refusal(plan, f"IOC goes with limit and market orders, not with a {order.type} order")
    if plan.is_target and not plan.closes:
        raise _refusal(plan, "a take-profit can only close: it must be reduce-only, or close its leg")
    _check_leg(plan)


def _check_leg(plan: Plan) -> None:
    mode, leg = plan.request.terms.position_mode, plan.order.position_side
    if mode is PositionMode.HEDGE and leg is None and plan.is_contract:
        raise _refusal(plan, "in hedge mode an order needs its leg, position_side 'long' or 'short'", _SIDE)
    if mode is PositionMode.ONEWAY and leg is not None:
        raise _refusal(plan, "position_side is for hedge mode, and the account is in one-way mode", _SIDE)
    if leg is not None and plan.order.reduce_only and not plan.closes:
        raise _refusal(plan, f"a {plan.order.side} grows the {leg} leg: it can't be reduce-only", _SIDE)
    why = None if leg is None else why_no_legs(plan.market)
    if why is not None:
        raise _refusal(plan, why, _SIDE)


def kinds_of(order: Order) -> Iterator[Feature]:
    """What an order asks for by its type, and by the way in which it rests."""
    yield _TYPES[order.type]
    if order.post_only:
        yield Feature.POST_ONLY
    if order.type is OrderType.LIMIT and order.tif in _TIFS:
        yield _TIFS[order.tif]


def lacking_of(market: Market) -> dict[Feature, str]:
    """The kinds of orders that a market does not take, each with the reason; none where no exchange is known."""
    if market.exchange not in VENUES:
        return {}
    segment, found = segment_of(market), dict[Feature, str]()
    for feature in (*_TYPES.values(), Feature.POST_ONLY, *_TIFS.values()):
        there, why = support(market.exchange, segment, feature)
        if there is Support.REFUSED:
            found[feature] = f"{venue_of(market.exchange).name} {market.symbol}: no {_spoken(feature)}: {why}"
    return found


def _features(plan: Plan) -> Iterator[Feature]:
    order = plan.order
    if plan.request.cost is not None:
        yield Feature.MARKET_BY_COST
    if plan.is_target:
        yield Feature.TAKE_PROFIT
    if plan.is_trailing:
        yield Feature.TRAILING
    else:
        yield from kinds_of(order)
    if order.reduce_only:
        yield Feature.REDUCE_ONLY
    if order.position_side is not None:
        yield Feature.HEDGE


def _check(plan: Plan, feature: Feature) -> None:
    found, why = support(plan.market.exchange, plan.segment, feature)
    if found is Support.REFUSED or (found is Support.EMULATED and _is_ours(plan, feature)):
        raise _refusal(plan, f"no {_spoken(feature)}: {why}", NO_SUCH)


def _is_ours(plan: Plan, feature: Feature) -> bool:
    """Is it for whoever sends the order to bring about, so that the order can't go as it is?"""
    if feature in _OURS or plan.segment is not Segment.OPTION:
        return feature in _OURS
    return feature is Feature.MARKET or (feature is Feature.REDUCE_ONLY and not plan.request.watched)


def _levels(plan: Plan) -> list[str]:
    return [name for name in _LEVELS if getattr(plan.order, name) is not None]


def _refusal(plan: Plan, why: str, reason: str = REJECTED) -> OrderRejected:
    return OrderRejected(f"{venue_of(plan.market.exchange).name} {plan.market.symbol}: {why}", reason)


def _spoken(name: str) -> str:
    return name.replace("_", "-")
