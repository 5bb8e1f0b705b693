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
    "FORWARD",
    "GREEKS",
    "LEGS",
    "MISFILED",
    "POSITION",
    "PROFIT",
    "REFUSALS",
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
}
"""CCXT's words. What is ``"closed"`` and not filled to the end was cancelled with the rest."""

STATES: Paths = {
    "binance": ("algoStatus", "strategyStatus", "status"),
    "bybit": ("orderStatus",),
    "okx": ("state",),
    "bitget": ("planStatus", "status", "state", "orderStatus"),
}
"""Where an order's status stands in `info`."""

MISFILED: Mapping[str, Mapping[str, OrderStatus]] = {
    "okx": {"order_failed": OrderStatus.REJECTED},  # CCXT: canceled
}
"""States that CCXT takes for others."""

FIRED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "binance": {"TRIGGERED": ("actualOrderId",), "FINISHED": ("actualOrderId",)},
    "okx": {"effective": ("ordId",), "partially_effective": ("ordId",)},
    "bitget": {"triggered": ("executeOrderId",), "executed": ("executeOrderId",)},
}
"""States of a stop order that has become another order, and where its id is; CCXT takes them for filled."""

TYPES: Mapping[str, tuple[bool, ExitReason]] = {
    "market": (False, ExitReason.ORDER),
    "limit": (False, ExitReason.ORDER),
    "limit_maker": (False, ExitReason.ORDER),
    "optimal_limit_ioc": (False, ExitReason.ORDER),  # OKX: a market order
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

CAUSES: Mapping[str, Mapping[str, ExitReason]] = {
    "bybit": {
        "StopLoss": ExitReason.STOP_LOSS,
        "PartialStopLoss": ExitReason.STOP_LOSS,
        "TakeProfit": ExitReason.TAKE_PROFIT,
        "PartialTakeProfit": ExitReason.TAKE_PROFIT,
        "TrailingStop": ExitReason.TRAILING_STOP,
    },
    "bitget": {
        "pos_loss": ExitReason.STOP_LOSS,
        "loss_plan": ExitReason.STOP_LOSS,
        "pos_profit": ExitReason.TAKE_PROFIT,
        "profit_plan": ExitReason.TAKE_PROFIT,
        "track_plan": ExitReason.TRAILING_STOP,
        "moving_plan": ExitReason.TRAILING_STOP,
    },
}
"""What a stop order is for, in the words of ``stopOrderType`` and ``planType`` of `info`."""

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
    "binance": ("positionSide",),
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

FORCED: Mapping[str, tuple[str, Mapping[str, ExitReason]]] = {
    "bybit": (
        "execType",
        {
            "BustTrade": ExitReason.LIQUIDATION,
            "AdlTrade": ExitReason.LIQUIDATION,
            "Delivery": ExitReason.EXPIRY,
            "Settle": ExitReason.EXPIRY,
        },
    ),
    "okx": (
        "subType",
        {
            **dict.fromkeys(map(str, range(100, 108)), ExitReason.LIQUIDATION),
            **dict.fromkeys(map(str, range(125, 129)), ExitReason.LIQUIDATION),  # deleveraged
            **dict.fromkeys(("112", "113", "170", "171", "172"), ExitReason.EXPIRY),
        },
    ),
    "kucoin": (
        "tradeType",
        {
            "liquid": ExitReason.LIQUIDATION,
            "adl": ExitReason.LIQUIDATION,
            "settlement": ExitReason.EXPIRY,
        },
    ),
}
"""Fills that nobody ordered: the field that tells of them, and its words."""

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
