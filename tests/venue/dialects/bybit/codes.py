"""Bybit's error codes and words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...orders import Reason, Refusal

if TYPE_CHECKING:
    from ...routes import Call

COMMON = {
    Reason.SIGNATURE: (10004, "error sign! please check your signature generation algorithm."),
    Reason.KEY: (10003, "API key is invalid."),
    Reason.ADDRESS: (10010, "Unmatched IP, please check your API key's bound IP addresses."),
    Reason.RIGHTS: (10005, "Permission denied, please check your API key permissions."),
    Reason.TIMESTAMP: (
        10002, "invalid request, please check your server timestamp or recv_window param. {what}",
    ),
    Reason.PARAMETER: (10001, "Request parameter error: {what}"),
    Reason.SYMBOL: (10001, "params error: symbol invalid {what}"),
    Reason.STEP: (10001, "Qty invalid"),
    Reason.SMALL: (10001, "The number of contracts is below the minimum limit allowed"),
    Reason.LARGE: (10001, "The number of contracts exceeds maximum limit allowed"),
    Reason.TICK: (10001, "params error: price invalid"),
    Reason.NOTIONAL: (110094, "Order does not meet minimum order value 5USDT"),
    Reason.FUNDS: (110007, "ab not enough for new order"),
    Reason.DUPLICATE: (110072, "OrderLinkedID is duplicate"),
    Reason.NOT_FOUND: (110001, "order not exists or too late to cancel"),
    Reason.REDUCE_ONLY: (110017, "current position is zero, cannot fix reduce-only order qty"),
    Reason.POSITION_SIDE: (10001, "position idx not match position mode"),
    Reason.LEVERAGE: (110013, "cannot set leverage due to risk limit"),
    Reason.MAINTENANCE: (10016, "Service is restarting"),
    Reason.OVERLOAD: (10429, "System level frequency protection"),
    Reason.UNKNOWN: (10000, "Server Timeout"),
    Reason.RATE_LIMIT: (10006, "Too many visits. Exceeded the API Rate Limit."),
    Reason.BAN: (10018, "Exceeded the IP Rate Limit."),
}  # fmt: skip
SPOT = {
    Reason.SYMBOL: (170121, "Invalid symbol."),
    Reason.STEP: (170137, "Order quantity has too many decimals."),
    Reason.SMALL: (170136, "Order quantity exceeded lower limit."),
    Reason.LARGE: (170135, "Order quantity exceeded upper limit."),
    Reason.TICK: (170134, "Order price has too many decimals."),
    Reason.NOTIONAL: (170140, "Order value exceeded lower limit."),
    Reason.FUNDS: (170131, "Insufficient balance."),
    Reason.DUPLICATE: (170141, "Duplicate clientOrderId."),
    Reason.NOT_FOUND: (170213, "Order does not exist."),
}
CHANGES = {
    "leverage": (110043, "leverage not modified"),
    "margin mode": (110026, "Cross/isolated margin mode is not modified"),
    "position mode": (110025, "Position mode is not modified"),
}
BUSY = {
    "position mode": (110024, "You have an existing position, so position mode cannot be switched"),
}
STATUS = {Reason.BAN: 403, Reason.MAINTENANCE: 503}


def code_of(call: Call, refusal: Refusal) -> tuple[int, int, str]:
    """HTTP status, code and message of a refusal, which differ between spot and contracts."""
    reason, what = refusal.reason, refusal.what
    if reason is Reason.NO_CHANGE:
        return 200, *CHANGES[what]
    if reason is Reason.BUSY:
        return 200, *BUSY[what]
    if reason is Reason.WOULD_TRIGGER:
        rising = call.get("triggerDirection") == "1"
        words = ("expect Rising", "<=") if rising else ("expect Falling", ">=")
        return 200, 110092 if rising else 110093, f"{words[0]}, but trigger_price {words[1]} current"
    spot = call.get("category") == "spot"
    code, message = (spot and SPOT.get(reason)) or COMMON[reason]
    return STATUS.get(reason, 200), code, message.format(what=what)
