"""The exchanges' own words, as data: where they say what CCXT loses or misreads, and what their codes mean.

`info` is what CCXT keeps of an exchange's own answer. A path is the names of fields in it of which the first that
holds something counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..models import ExitReason, OrderStatus, TimeInForce

if TYPE_CHECKING:
    from collections.abc import Mapping

    type Paths = Mapping[str, tuple[str, ...]]

__all__ = [
    "CAUSES",
    "CLIENT_IDS",
    "FIRED",
    "FORCED",
    "FORCED_IDS",
    "FORWARD",
    "GREEKS",
    "IDS",
    "KINDS",
    "LEGS",
    "MISFILED",
    "ORDERED_BY",
    "POSITION",
    "PROFIT",
    "REFUSALS",
    "RISES",
    "STATES",
    "STATUSES",
    "TIFS",
    "TRADE_IDS",
    "TYPES",
    "UPDATED",
    "VOLUME",
]

# --- orders ---------------------------------------------------------------------------------------------------

STATUSES: Mapping[str, OrderStatus] = {
    "open": OrderStatus.OPEN,
    "canceling": OrderStatus.OPEN,
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "cancelled": OrderStatus.CANCELED,  # KuCoin's stop orders
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
    "triggered": OrderStatus.OPEN,  # KuCoin's stop orders, which keep their id; it fills or ends under it
}
"""CCXT's words. What is ``"closed"`` and not filled to the end was cancelled with the rest."""

STATES: Paths = {
    "binance": ("algoStatus", "strategyStatus", "status", "X"),
    "bybit": ("orderStatus",),
    "okx": ("state",),
    "bitget": ("planStatus", "status", "state", "orderStatus"),
    "kucoin": ("status",),
}
"""Where an order's status stands in `info`."""

MISFILED: Mapping[str, Mapping[str, OrderStatus]] = {
    "okx": {"order_failed": OrderStatus.REJECTED},  # CCXT: canceled
}
"""States that CCXT takes for others."""

FIRED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "binance": dict.fromkeys(("TRIGGERED", "FINISHED"), ("actualOrderId", "ai")),
    "okx": {"effective": ("ordId",), "partially_effective": ("ordId",)},
    "bitget": dict.fromkeys(("triggered", "executing", "executed"), ("executeOrderId",)),
    "kucoin": {"TRIGGERED": ()},  # on spot: the order has our id as well
}
"""States of a stop order that has become another order, and where its id is; CCXT takes them for filled."""

TYPES: Mapping[str, tuple[bool, ExitReason]] = {
    "market": (False, ExitReason.ORDER),
    "limit": (False, ExitReason.ORDER),
    "limit_maker": (False, ExitReason.ORDER),
    "optimal_limit_ioc": (False, ExitReason.ORDER),  # OKX: a market order
    "liquidation": (False, ExitReason.LIQUIDATION),  # Binance's own
    "stop": (True, ExitReason.ORDER),
    "stop_limit": (True, ExitReason.ORDER),
    "stop_market": (True, ExitReason.ORDER),
    "stop_loss": (True, ExitReason.STOP_LOSS),
    "stop_loss_limit": (True, ExitReason.STOP_LOSS),
    "take_profit": (True, ExitReason.TAKE_PROFIT),
    "take_profit_limit": (True, ExitReason.TAKE_PROFIT),
    "take_profit_market": (True, ExitReason.TAKE_PROFIT),
    "trailing_stop_market": (True, ExitReason.TRAILING_STOP),
    "trigger": (True, ExitReason.ORDER),
    "conditional": (True, ExitReason.STOP_LOSS),
    "oco": (True, ExitReason.STOP_LOSS),
    "move_order_stop": (True, ExitReason.TRAILING_STOP),
}
"""The types that CCXT hands on: does the order wait for a price, and what it is for if it leaves a position."""

KINDS: Paths = {"binance": ("orderType", "o"), "bybit": ("stopOrderType",), "bitget": ("planType",)}
"""Where the kind of a stop order stands in `info`."""

CAUSES: Mapping[str, Mapping[str, ExitReason]] = {
    "binance": {
        "STOP": ExitReason.STOP_LOSS,
        "STOP_MARKET": ExitReason.STOP_LOSS,
        "TAKE_PROFIT": ExitReason.TAKE_PROFIT,
        "TAKE_PROFIT_MARKET": ExitReason.TAKE_PROFIT,
        "TRAILING_STOP_MARKET": ExitReason.TRAILING_STOP,
    },
    "bybit": {
        "StopLoss": ExitReason.STOP_LOSS,
        "PartialStopLoss": ExitReason.STOP_LOSS,
        "TakeProfit": ExitReason.TAKE_PROFIT,
        "PartialTakeProfit": ExitReason.TAKE_PROFIT,
        "TrailingStop": ExitReason.TRAILING_STOP,
    },
    "bitget": {
        **dict.fromkeys(("loss_plan", "pos_loss", "sl", "psl"), ExitReason.STOP_LOSS),
        **dict.fromkeys(("profit_plan", "pos_profit", "tp", "ptp"), ExitReason.TAKE_PROFIT),
        **dict.fromkeys(("track_plan", "moving_plan", "track", "mtpsl"), ExitReason.TRAILING_STOP),
    },
}
"""What a stop order of such a kind is for, if it leaves a position; Bitget has other words for it in streams."""

RISES: Mapping[str, tuple[str, Mapping[str, bool]]] = {
    "bybit": ("triggerDirection", {"1": True, "2": False}),
    "kucoin": ("stop", {"up": True, "down": False}),
}
"""Where they say only which way the price must go, upwards or not: the field, and its words."""

TIFS: Mapping[str, tuple[TimeInForce, bool]] = {
    "GTC": (TimeInForce.GTC, False),
    "GTD": (TimeInForce.GTC, False),  # with a last day
    "GTT": (TimeInForce.GTC, False),
    "GTE_GTC": (TimeInForce.GTC, False),  # as long as there is a position
    "IOC": (TimeInForce.IOC, False),
    "FOK": (TimeInForce.FOK, False),
    "PO": (TimeInForce.GTC, True),
    "GTX": (TimeInForce.GTC, True),
    "RPI": (TimeInForce.GTC, True),  # fills with retail orders only, and as a maker
}
"""How long an order works, and is it post-only."""

IDS: Paths = {"okx": ("ordId",)}
"""The id of an order where CCXT takes that of the stop order which has become it."""

CLIENT_IDS: Paths = {"okx": ("algoClOrdId",)}
"""Our id where CCXT does not look: OKX names a stop order, and the order that it becomes, by it."""

UPDATED: Paths = {"kucoin": ("lastUpdatedAt",)}
"""When an order changed last (ms UTC), where CCXT does not look: KuCoin's spot orders."""

REFUSALS: Paths = {
    "bybit": ("rejectReason",),
    "okx": ("sMsg", "failCode", "cancelSourceReason"),
    "bitget": ("errorMsg", "cancelReason"),
}
"""Why an order was refused, in the exchange's words."""

LEGS: Paths = {
    "binance": ("positionSide", "ps"),
    "bybit": ("positionIdx",),
    "okx": ("posSide",),
    "bitget": ("posSide", "holdSide"),
    "kucoin": ("positionSide",),
}
"""The leg of hedge mode that an order, fill or position belongs to."""

# --- fills ----------------------------------------------------------------------------------------------------

PROFIT: Paths = {
    "binance": ("realizedPnl",),
    "bybit": ("execPnl",),
    "okx": ("fillPnl",),
    "bitget": ("profit",),
}
"""The profit that a fill took, before fees."""

ORDERED_BY: Paths = {"binance": ("c",)}
"""Where a fill tells the client id of its order."""

FORCED_IDS: Mapping[str, ExitReason] = {
    "autoclose-": ExitReason.LIQUIDATION,
    "adl_autoclose": ExitReason.LIQUIDATION,
    "settlement_autoclose-": ExitReason.EXPIRY,
    "delivery_autoclose-": ExitReason.EXPIRY,
}
"""How the client ids begin that Binance gives to orders of its own."""

FORCED: Mapping[str, tuple[tuple[str, ...], Mapping[str, ExitReason]]] = {
    "bybit": (
        ("execType",),
        {
            "BustTrade": ExitReason.LIQUIDATION,
            "AdlTrade": ExitReason.LIQUIDATION,
            "Delivery": ExitReason.EXPIRY,
            "Settle": ExitReason.EXPIRY,
        },
    ),
    "okx": (
        ("subType", "category"),  # of fills, and of the orders that streams tell them with
        {
            **dict.fromkeys(("full_liquidation", "partial_liquidation", "adl"), ExitReason.LIQUIDATION),
            "delivery": ExitReason.EXPIRY,
            **dict.fromkeys(map(str, range(100, 108)), ExitReason.LIQUIDATION),
            **dict.fromkeys(map(str, range(125, 129)), ExitReason.LIQUIDATION),  # deleveraged
            **dict.fromkeys(("112", "113", "170", "171", "172"), ExitReason.EXPIRY),
        },
    ),
    "kucoin": (
        ("tradeType",),
        {
            "liquid": ExitReason.LIQUIDATION,
            "adl": ExitReason.LIQUIDATION,
            "settlement": ExitReason.EXPIRY,
        },
    ),
}
"""Fills that nobody ordered: the fields that tell of them, and their words."""

# --- positions ------------------------------------------------------------------------------------------------

POSITION: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "binance": {
        "qty": ("positionAmt",),
        "margin": ("positionInitialMargin",),
        "liquidation": ("liquidationPrice",),
    },
    "bybit": {"liquidation": ("liqPrice",), "stop_loss": ("stopLoss",), "take_profit": ("takeProfit",)},
    "okx": {"liquidation": ("liqPx",), "realized": ("pnl",), "funding": ("fundingFee",), "opened": ("cTime",)},
    "bitget": {
        "liquidation": ("liquidationPrice", "liqPrice"),
        "realized": ("achievedProfits",),
        "stop_loss": ("stopLoss",),
        "take_profit": ("takeProfit",),
        "opened": ("cTime", "createdTime"),
    },
    "kucoin": {
        "qty": ("currentQty",),
        "realized": ("realisedGrossPnl",),
        "funding": ("fundingFee",),
        "leverage": ("leverage",),  # CCXT takes the effective one, which moves with the price
        "liquidation": ("liquidationPrice",),
        "opened": ("openingTimestamp",),
    },
}
"""Where the exchanges say of a position what CCXT leaves out, calculates itself, or takes from another field.

A liquidation price is only taken from here: what CCXT calculates knows nothing of the rest of a cross account.
Profit is only taken where it is told apart from fees, funding only where its sign is known.
"""

# --- options --------------------------------------------------------------------------------------------------

GREEKS: Mapping[str, Mapping[str, str]] = {
    "okx": {"delta": "deltaBS", "gamma": "gammaBS", "theta": "thetaBS", "vega": "vegaBS"},
}
"""Greeks in quote where CCXT takes those in base."""

FORWARD = ("fwdPx",)
"""The price of the underlying that an option follows, where CCXT does not look."""

VOLUME: Paths = {"binance": ("volume",), "bybit": ("volume24h",), "okx": ("volCcy24h",)}
"""An option's volume of 24 hours in units of its underlying; CCXT takes Bybit's of all time."""

# --- public trades --------------------------------------------------------------------------------------------

TRADE_IDS: Paths = {"kucoin": ("sequence",)}
"""Where a public trade's name stands in `info`, if CCXT takes another one of streams than of requests."""
