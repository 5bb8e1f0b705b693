"""How CCXT is told of an order, exchange by exchange.

`Dialect` holds what most exchanges share; its subclasses say what differs, and why. What is sent was rounded and
checked before (`orders.calls_of`), so numbers are texts of exactly what is meant. No parameter goes out that the
exchange would ignore or read in another way.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, override

from ..errors import ConfigError, OrderRejected
from ..models import ExitReason, MarginMode, OrderType, PositionMode, Side, TimeInForce
from .markets import price_text
from .plans import CONTRACTS, TRIGGERED, Call, Plan, Terms, is_target, is_trailing
from .venues import Segment, segment_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..models import Market, Order

__all__ = ["Dialect", "dialect_of"]

_AT_ONCE = frozenset({OrderType.MARKET, OrderType.LIMIT})
_ON_LAST_PRICE = {"workingType": "CONTRACT_PRICE"}  # Binance's word


def _named(word: str, order: Order) -> dict[str, Any]:
    """Our id of an order under the exchange's `word` for it; nothing where others sent it and it has none."""
    return {} if order.id == order.exchange_id else {word: order.id}


class Dialect:
    """What most exchanges are told in the same way."""

    attached: Mapping[Segment, frozenset[OrderType]] = {}
    """By segment the types of orders that take a stop-loss and a take-profit along."""
    separate: frozenset[Segment] = frozenset()
    """Where these are closing stop orders of their own, sent behind a market order."""
    apart: frozenset[Segment] = frozenset()
    """Where stop orders are kept apart from other orders: they are found and cancelled in another place."""
    sub_orders: Mapping[Segment, tuple[Any, ...]] = {}
    """Where a stop's record does not tell what it has become: path, group and kind of the request that does."""
    trailing_range: tuple[float, float] = (0.0, 100.0)
    """Percent that a trailing stop may trail by."""
    whole_leverage: bool = True
    """Does it take whole numbers as leverage only?"""
    margin_on_orders: bool = True
    """Does each order of contracts carry its margin mode?"""
    id_name: str = "clientOrderId"
    """What CCXT calls our id where an order is changed."""

    # -- placing -------------------------------------------------------------------------------------------------

    def place(self, plan: Plan) -> Call:
        """The call that places an order, with the stop and target that it takes along."""
        order, params = plan.order, self.id_params(plan)
        if order.type is OrderType.LIMIT:
            params |= self.time_in_force(plan)
        if plan.is_contract and self.margin_on_orders:
            params |= self.margin(plan)
        if order.position_side is not None:
            params |= self.leg(plan)
        elif order.reduce_only and plan.segment is not Segment.SPOT:
            params |= {"reduceOnly": True}
        if plan.is_trailing:
            params |= self.trailing(plan)
        elif plan.is_triggered:
            params |= self.trigger(plan)
        if order.type in self.attached.get(plan.segment, ()):
            params |= self.levels(plan)
        params |= self.spot_size(plan) if plan.segment is Segment.SPOT else {}
        kind = "limit" if plan.is_limit else "market"
        price = None if order.price is None else price_text(plan.market, order.price, order.side.sign)
        return Call("create_order", (order.symbol, kind, str(order.side), self.amount(plan), price, params))

    def amount(self, plan: Plan) -> str | int:
        """The amount, or what a purchase by cost has in its place."""
        cost = plan.request.cost
        return plan.amount() if cost is None else plan.cost_text(cost)

    def id_params(self, plan: Plan) -> dict[str, Any]:
        """Our id of the order."""
        return {"clientOrderId": plan.order.id}

    def time_in_force(self, plan: Plan) -> dict[str, Any]:
        """How long a limit order works; good till cancelled is what they all take for granted."""
        if plan.order.post_only:
            return {"postOnly": True}
        return {} if plan.order.tif is TimeInForce.GTC else {"timeInForce": str(plan.order.tif)}

    def margin(self, plan: Plan) -> dict[str, Any]:
        """The margin mode, where each order carries it."""
        return {"marginMode": str(plan.margin_mode)}

    def leg(self, plan: Plan) -> dict[str, Any]:
        """The leg of a hedge; `hedged` has CCXT derive it from the side and whether the order closes."""
        return {"hedged": True} | ({"reduceOnly": True} if plan.closes else {})

    def trigger(self, plan: Plan) -> dict[str, Any]:
        """What fires a stop order or a target: the last traded price."""
        return {"takeProfitPrice" if plan.is_target else "triggerPrice": plan.stop()}

    def trailing(self, plan: Plan) -> dict[str, Any]:
        """A trailing stop and the price from which it trails, where the exchange has one.

        Raises:
            OrderRejected: it has none.
        """
        raise OrderRejected(
            f"{plan.market.exchange} {plan.market.symbol}: it keeps no trailing stop: watch the price"
        )

    def levels(self, plan: Plan) -> dict[str, Any]:
        """The stop-loss and take-profit that go with an order."""
        named = (("stopLoss", "stop_loss"), ("takeProfit", "take_profit"))
        return {
            theirs: {"triggerPrice": plan.protective(ours)}
            for theirs, ours in named
            if getattr(plan.order, ours) is not None
        }

    def spot_size(self, plan: Plan) -> dict[str, Any]:
        """What tells a size in base from one in quote."""
        cost = plan.request.cost
        return {} if cost is None else {"cost": plan.cost_text(cost)}

    def protect(self, plan: Plan, name: str, client_id: str) -> Call:
        """A closing stop order at `stop_loss` or `take_profit` of the order."""
        order = plan.order
        theirs = "stopLossPrice" if name == "stop_loss" else "takeProfitPrice"
        params: dict[str, Any] = {"clientOrderId": client_id, theirs: plan.protective(name)}
        params |= {"reduceOnly": True} if order.position_side is None else self.leg(plan)
        arguments = (order.symbol, "market", str(order.side.opposite), plan.amount(), None, params)
        return Call("create_order", arguments)

    # -- found, cancelled ----------------------------------------------------------------------------------------

    def is_apart(self, order: Order, market: Market) -> bool:
        """Is the order kept apart from others?"""
        return order.type in TRIGGERED and segment_of(market) in self.apart

    def lookups(self, order: Order, market: Market) -> tuple[Call, ...]:
        """Where an order may be found by our id. A stop that has fired may be among the others."""
        by_id = _named("clientOrderId", order)
        plain = Call("fetch_order", (order.id, order.symbol, by_id))
        if not self.is_apart(order, market):
            return (plain,)
        return Call("fetch_order", (order.id, order.symbol, by_id | {"trigger": True})), plain

    def cancel(self, order: Order, market: Market) -> Call:
        """The call that cancels an order by our id, or by the exchange's if that is all it has."""
        apart = {"trigger": True} if self.is_apart(order, market) else {}
        return Call("cancel_order", (order.id, order.symbol, _named("clientOrderId", order) | apart))

    def amend(self, order: Order, amount: str, price: str) -> Call:
        """The call that changes amount and price of a limit order where it stands."""
        params = {self.id_name: order.id}
        return Call("edit_order", (order.id, order.symbol, "limit", str(order.side), amount, price, params))

    def cancel_all(self, market: Market) -> tuple[Call, ...]:
        """The calls that cancel all orders of a market."""
        plain = Call("cancel_all_orders", (market.symbol, {}))
        apart = Call("cancel_all_orders", (market.symbol, {"trigger": True}))
        return (plain, apart) if segment_of(market) in self.apart else (plain,)

    def dead_man(self, markets: Sequence[Market], seconds: int) -> tuple[Call, ...]:
        """The calls that have the exchange cancel orders unless they come again within `seconds`; 0 ends it.

        Raises:
            OrderRejected: it has no such call.
        """
        named = ", ".join(market.symbol for market in markets)
        raise OrderRejected(
            f"{markets[0].exchange}: it can't cancel orders of {named} by itself after {seconds} s"
        )

    # -- settings ------------------------------------------------------------------------------------------------

    def settings(self, market: Market, terms: Terms) -> tuple[Call, ...]:
        """The calls that bring a contract's position mode, margin mode and leverage to `terms`."""
        if segment_of(market) not in CONTRACTS:
            return ()
        found: list[Call] = []
        if terms.position_mode is not None:
            found.append(self.position_mode(market, hedged=terms.position_mode is PositionMode.HEDGE))
        if terms.margin_mode is not None:
            found.extend(self.margin_mode(market, terms.margin_mode))
        return (*found, *self.leverages(market, terms))

    def position_mode(self, market: Market, *, hedged: bool) -> Call:
        """One net position or two legs."""
        return Call("set_position_mode", (hedged, market.symbol))

    def margin_mode(self, market: Market, mode: MarginMode) -> tuple[Call, ...]:
        """Cross or isolated."""
        return (Call("set_margin_mode", (str(mode), market.symbol)),)

    def leverages(self, market: Market, terms: Terms) -> tuple[Call, ...]:
        """The leverage of both sides."""
        return (Call("set_leverage", (self.leverage(market, terms), market.symbol)),)

    def leverage(self, market: Market, terms: Terms) -> int | float:
        """The leverage as a number that the exchange takes."""
        if not 0.0 < terms.leverage < math.inf:
            raise ConfigError(f"leverage must be a positive number, got {terms.leverage!r}")
        if terms.leverage.is_integer():
            return int(terms.leverage)
        if self.whole_leverage:
            raise ConfigError(
                f"{market.exchange} takes leverage in whole numbers, not {terms.leverage:g}: round it"
            )
        return terms.leverage


class Binance(Dialect):
    """Stops of contracts are "algo orders" of their own; margin mode and leverage belong to the market."""

    separate = frozenset(CONTRACTS)
    apart = frozenset(CONTRACTS)
    trailing_range = (0.1, 10.0)
    margin_on_orders = False

    @override
    def leg(self, plan: Plan) -> dict[str, Any]:
        """With a leg it refuses reduceOnly."""
        return {"positionSide": str(plan.order.position_side).upper()}

    @override
    def trigger(self, plan: Plan) -> dict[str, Any]:
        """On the last price, not the mark price."""
        return super().trigger(plan) | (_ON_LAST_PRICE if plan.is_contract else {})

    @override
    def protect(self, plan: Plan, name: str, client_id: str) -> Call:
        """On the last price, not the mark price."""
        call = super().protect(plan, name, client_id)
        call.arguments[-1].update(_ON_LAST_PRICE)
        return call

    @override
    def trailing(self, plan: Plan) -> dict[str, Any]:
        """A rate in percent."""
        start = plan.request.trailing_activation_price
        params = {"trailingPercent": plan.percent(), **_ON_LAST_PRICE}
        return params | ({} if start is None else {"trailingTriggerPrice": price_text(plan.market, start)})

    @override
    def amend(self, order: Order, amount: str, price: str) -> Call:
        """Its own id must be there, since CCXT sends it anyway."""
        if order.exchange_id is None:
            raise OrderRejected(
                f"order {order.id} can't be changed before the exchange's id of it is known: look it up"
            )
        return Call("edit_order", (order.exchange_id, order.symbol, "limit", str(order.side), amount, price))

    @override
    def dead_man(self, markets: Sequence[Market], seconds: int) -> tuple[Call, ...]:
        """CCXT has no word of its own for it."""
        return tuple(
            Call(
                f"{'dapi' if market.is_inverse else 'fapi'}PrivatePostCountdownCancelAll",
                ({"symbol": market.id, "countdownTime": seconds * 1000},),
            )
            for market in markets
        )


class Bybit(Dialect):
    """CCXT looks up by its own ids only; the margin mode belongs to the whole account."""

    attached: Mapping[Segment, frozenset[OrderType]] = {
        Segment.SPOT: frozenset({OrderType.LIMIT}),
        **dict.fromkeys(CONTRACTS, frozenset(OrderType)),
    }
    apart = frozenset({Segment.SPOT})
    whole_leverage = False
    margin_on_orders = False
    id_name = "orderLinkId"

    @override
    def leg(self, plan: Plan) -> dict[str, Any]:
        """By number."""
        found = {"positionIdx": 1 if plan.order.position_side == "long" else 2}
        return found | ({"reduceOnly": True} if plan.closes else {})

    @override
    def trigger(self, plan: Plan) -> dict[str, Any]:
        """Contracts are told the direction; spot takes it from the last price."""
        told = {"triggerPrice": plan.stop()}
        if plan.segment is Segment.SPOT:
            return told
        upwards = "ascending" if plan.rises else "descending"
        return told | {"triggerDirection": upwards, "triggerBy": "LastPrice"}

    @override
    def spot_size(self, plan: Plan) -> dict[str, Any]:
        """By default a purchase at market would count quote."""
        cost = plan.request.cost
        return {} if cost is None else {"cost": plan.cost_text(cost), "marketUnit": "quoteCoin"}

    @override
    def lookups(self, order: Order, market: Market) -> tuple[Call, ...]:
        """Among open orders, then among past ones, stops included."""
        arguments = (order.symbol, None, None, _named("orderLinkId", order) or {"orderId": order.id})
        return Call("fetch_open_orders", arguments), Call("fetch_canceled_and_closed_orders", arguments)

    @override
    def cancel(self, order: Order, market: Market) -> Call:
        """An id of its own would be sent beside ours."""
        apart = {"trigger": True} if self.is_apart(order, market) else {}
        ours = _named("orderLinkId", order)
        return Call("cancel_order", (None if ours else order.id, order.symbol, ours | apart))

    @override
    def margin_mode(self, market: Market, mode: MarginMode) -> tuple[Call, ...]:
        """Of the whole account."""
        return (Call("set_margin_mode", (str(mode),)),)


class Okx(Dialect):
    """Stops are "algo orders" with a client id of another name; every order carries its margin mode."""

    attached: Mapping[Segment, frozenset[OrderType]] = dict.fromkeys((Segment.SPOT, *CONTRACTS), _AT_ONCE)
    apart = frozenset({Segment.SPOT, *CONTRACTS})
    whole_leverage = False
    id_name = "clOrdId"

    @override
    def id_params(self, plan: Plan) -> dict[str, Any]:
        """CCXT gives algo orders the id of other orders, which they ignore."""
        return {"algoClOrdId" if plan.is_triggered else "clientOrderId": plan.order.id}

    @override
    def place(self, plan: Plan) -> Call:
        """Options carry the margin mode too, and no reduce-only, which would be ignored."""
        call = super().place(plan)
        if plan.segment is Segment.OPTION:
            call.arguments[-1].update(self.margin(plan))
            call.arguments[-1].pop("reduceOnly", None)
        return call

    @override
    def leg(self, plan: Plan) -> dict[str, Any]:
        """With a leg it ignores reduceOnly."""
        return {"positionSide": plan.order.position_side}

    @override
    def trigger(self, plan: Plan) -> dict[str, Any]:
        """A trigger order knows no reduceOnly, a conditional order can open nothing beside a leg."""
        if plan.closes and plan.is_contract:
            return {"takeProfitPrice" if plan.is_target else "stopLossPrice": plan.stop()}
        return super().trigger(plan) | {"triggerPxType": "last"}

    @override
    def trailing(self, plan: Plan) -> dict[str, Any]:
        """CCXT makes a ratio of the percent."""
        start = plan.request.trailing_activation_price
        params = {"trailingPercent": plan.percent()}
        return params | ({} if start is None else {"activePx": price_text(plan.market, start)})

    @override
    def spot_size(self, plan: Plan) -> dict[str, Any]:
        """Base, unless a cost is given."""
        cost = plan.request.cost
        return {"tgtCcy": "base_ccy"} if cost is None else {"tgtCcy": "quote_ccy", "cost": plan.cost_text(cost)}

    @override
    def cancel_all(self, market: Market) -> tuple[Call, ...]:
        """There is no such call."""
        return ()

    @override
    def dead_man(self, markets: Sequence[Market], seconds: int) -> tuple[Call, ...]:
        """For the whole account."""
        return (Call("cancel_all_orders_after", (seconds * 1000,)),)

    @override
    def position_mode(self, market: Market, *, hedged: bool) -> Call:
        """Of the whole account."""
        return Call("set_position_mode", (hedged,))

    @override
    def margin_mode(self, market: Market, mode: MarginMode) -> tuple[Call, ...]:
        """Each order and each leverage carries it."""
        return ()

    @override
    def leverages(self, market: Market, terms: Terms) -> tuple[Call, ...]:
        """By margin mode; the legs of an isolated hedge have their own."""
        mode, leverage = terms.margin_mode or MarginMode.CROSS, self.leverage(market, terms)
        two = mode is MarginMode.ISOLATED and terms.position_mode is PositionMode.HEDGE
        legs: list[dict[str, str]] = [{"posSide": "long"}, {"posSide": "short"}] if two else [{}]
        return tuple(
            Call("set_leverage", (leverage, market.symbol, {"marginMode": str(mode), **leg})) for leg in legs
        )


_EXITS = (ExitReason.STOP_LOSS, ExitReason.BREAKEVEN, ExitReason.TRAILING_STOP)


def _level_of(order: Order) -> str | None:
    """Bitget's kind of a level of a position: of so much of it, without a qty of all; None: it is no level."""
    closes = order.reduce_only or order.position_side is not None
    if order.type not in TRIGGERED or is_trailing(order) or not closes:
        return None
    if is_target(order):
        return "profit_plan" if order.qty else "pos_profit"
    return ("loss_plan" if order.qty else "pos_loss") if order.reason in _EXITS else None


class Bitget(Dialect):
    """Stops are "plan orders" in lists of their own; spot purchases at market are sized by cost."""

    attached: Mapping[Segment, frozenset[OrderType]] = dict.fromkeys(CONTRACTS, _AT_ONCE)
    apart = frozenset({Segment.SPOT, *CONTRACTS})
    sub_orders: Mapping[Segment, tuple[Any, ...]] = {
        Segment.SPOT: ("v2/spot/trade/plan-sub-order", ["private", "spot"], "GET"),  # CCXT has no name for it
    }
    trailing_range = (0.0, 10.0)

    @override
    def trigger(self, plan: Plan) -> dict[str, Any]:
        """On the last price, not the mark price.

        A level of a position says by its kind on which side of the price it lies, and is refused where that is
        past; of other plans the exchange takes the side from where the price is when they come in.
        """
        kind = _level_of(plan.order)
        if kind is None:
            return {"triggerPrice": plan.stop(), "triggerType": "fill_price"}
        theirs = "takeProfitPrice" if plan.is_target else "stopLossPrice"  # CCXT's are of the whole position
        return {theirs: plan.stop(), "planType": kind, "triggerType": "fill_price"}

    @override
    def trailing(self, plan: Plan) -> dict[str, Any]:
        """It must be told from where on it trails."""
        given, last = plan.request.trailing_activation_price, plan.request.reference_price
        start = last if given is None else given
        if start is None:
            raise OrderRejected(f"{plan.market.symbol}: a trailing stop needs an activation price or the last one")
        return {
            "trailingPercent": plan.percent(),
            "trailingTriggerPrice": price_text(plan.market, start),
            "triggerType": "fill_price",
        }

    @override
    def spot_size(self, plan: Plan) -> dict[str, Any]:
        """A purchase at market has a cost and no quantity."""
        if plan.order.side is Side.SELL or plan.is_limit:
            return {}
        if plan.request.cost is not None:
            return super().spot_size(plan)
        if plan.priced_at is None:
            raise OrderRejected(
                f"{plan.market.symbol}: a purchase at market is sized by its cost there: its price must be known"
            )
        return {"cost": plan.cost_text(plan.order.qty * plan.priced_at)}

    def _plan_params(self, order: Order, market: Market) -> dict[str, Any]:
        if segment_of(market) is Segment.SPOT:
            return {"trigger": True}
        return _named("clientOrderId", order) | {"trailing" if is_trailing(order) else "trigger": True}

    @override
    def lookups(self, order: Order, market: Market) -> tuple[Call, ...]:
        """Plan orders can only be listed, open and past ones; all levels of positions are one list."""
        if not self.is_apart(order, market):
            return super().lookups(order, market)
        levels = {} if _level_of(order) is None else {"planType": "profit_loss"}
        arguments = (order.symbol, None, None, self._plan_params(order, market) | levels)
        return Call("fetch_open_orders", arguments), Call("fetch_canceled_and_closed_orders", arguments)

    @override
    def cancel(self, order: Order, market: Market) -> Call:
        """Plan orders by their kind."""
        apart = self._plan_params(order, market) if self.is_apart(order, market) else {}
        kind = _level_of(order)
        apart |= {} if kind is None else {"planType": kind}
        return Call("cancel_order", (order.id, order.symbol, _named("clientOrderId", order) | apart))

    @override
    def cancel_all(self, market: Market) -> tuple[Call, ...]:
        """Each kind of plan order by itself."""
        plain, apart = super().cancel_all(market)
        if segment_of(market) is Segment.SPOT:
            return plain, apart
        kinds = ("normal_plan", "track_plan", "profit_loss")
        return plain, *(
            Call("cancel_all_orders", (market.symbol, {"trigger": True, "planType": kind})) for kind in kinds
        )

    @override
    def leverages(self, market: Market, terms: Terms) -> tuple[Call, ...]:
        """The legs of an isolated hedge have their own."""
        leverage = self.leverage(market, terms)
        if terms.margin_mode is MarginMode.ISOLATED and terms.position_mode is PositionMode.HEDGE:
            return tuple(
                Call("set_leverage", (leverage, market.symbol, {"holdSide": leg})) for leg in ("long", "short")
            )
        return (Call("set_leverage", (leverage, market.symbol)),)


class Kucoin(Dialect):
    """Contracts are counted in whole lots; their orders carry leverage and margin mode."""

    attached: Mapping[Segment, frozenset[OrderType]] = dict.fromkeys(CONTRACTS, _AT_ONCE)
    apart = frozenset({Segment.SPOT})
    id_name = "clientOid"

    @override
    def amount(self, plan: Plan) -> str | int:
        """CCXT compares a contract's amount with 1, so it must be a number."""
        return int(plan.amount()) if plan.is_contract else super().amount(plan)

    @override
    def margin(self, plan: Plan) -> dict[str, Any]:
        """CCXT would set the leverage to 1."""
        return super().margin(plan) | {"leverage": self.leverage(plan.market, plan.request.terms)}

    @override
    def trigger(self, plan: Plan) -> dict[str, Any]:
        """Contracts on the last price, not the mark price; of spot CCXT tells no direction for a triggerPrice."""
        if plan.is_contract:
            return super().trigger(plan) | {"stopPriceType": "TP"}
        return {"stopLossPrice": plan.stop()}

    @override
    def levels(self, plan: Plan) -> dict[str, Any]:
        """CCXT takes the stop for the lower price, which it is not for a sale."""
        found = super().levels(plan)
        if plan.order.side is Side.SELL:
            other = {"stopLoss": "takeProfit", "takeProfit": "stopLoss"}
            found = {other[name]: level for name, level in found.items()}
        return found | ({"stopPriceType": "TP"} if found else {})

    @override
    def cancel(self, order: Order, market: Market) -> Call:
        """Stop orders of contracts are cancelled by its id alone, where it is known."""
        if order.type in TRIGGERED and segment_of(market) in CONTRACTS and order.exchange_id is not None:
            return Call("cancel_order", (order.exchange_id, order.symbol))
        return super().cancel(order, market)

    @override
    def cancel_all(self, market: Market) -> tuple[Call, ...]:
        """Stop orders of contracts are a second list as well."""
        return tuple(Call("cancel_all_orders", (market.symbol, params)) for params in ({}, {"trigger": True}))

    @override
    def leverages(self, market: Market, terms: Terms) -> tuple[Call, ...]:
        """Of cross margin; in isolated margin each order carries it."""
        return () if terms.margin_mode is MarginMode.ISOLATED else super().leverages(market, terms)

    @override
    def dead_man(self, markets: Sequence[Market], seconds: int) -> tuple[Call, ...]:
        """CCXT has no word of its own for it; -1 ends it. A call forgets the markets of the one before."""
        params = {"timeout": seconds or -1, "symbols": ",".join(market.id for market in markets)}
        return (Call("privatePostHfOrdersDeadCancelAll", (params,)),)


_DIALECTS: Mapping[str, Dialect] = {
    "binance": Binance(),
    "bybit": Bybit(),
    "okx": Okx(),
    "bitget": Bitget(),
    "kucoin": Kucoin(),
}


def dialect_of(market: Market) -> Dialect:
    """How orders of a market are put.

    Raises:
        ConfigError: its exchange takes no orders here.
    """
    if market.exchange not in _DIALECTS:
        raise ConfigError(f"{market.exchange} takes no orders: trade it in backtests or on paper")
    return _DIALECTS[market.exchange]
