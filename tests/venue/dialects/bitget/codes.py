"""Bitget's error codes and words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...orders import Reason, Refusal

if TYPE_CHECKING:
    from ...routes import Call

COMMON = {
    Reason.SIGNATURE: (400, "40009", "sign signature error"),
    Reason.KEY: (400, "40037", "Apikey does not exist"),
    Reason.PASSPHRASE: (400, "40012", "apikey/password is incorrect"),
    Reason.TIMESTAMP: (400, "40008", "Request timestamp expired"),
    Reason.ADDRESS: (403, "40018", "Invalid IP"),
    Reason.RIGHTS: (403, "40014", "Incorrect permissions, need trade write permissions"),
    Reason.PATH: (404, "40404", "Request URL NOT FOUND"),
    Reason.PARAMETER: (400, "40017", "Parameter verification failed {what}"),
    Reason.SYMBOL: (400, "40034", "Parameter {what} does not exist"),
    Reason.STEP: (400, "40808", "Parameter verification exception size checkBDScale error {what}"),
    Reason.TICK: (400, "45115", "The price you enter should be a multiple of {what}"),
    Reason.SMALL: (400, "45111", "less than the minimum order quantity"),
    Reason.LARGE: (400, "45112", "more than the maximum order quantity"),
    Reason.NOTIONAL: (400, "45110", "less than the minimum amount 5 USDT"),
    Reason.FUNDS: (400, "40762", "The order amount exceeds the balance"),
    Reason.DUPLICATE: (400, "40786", "Duplicate clientOid"),
    Reason.NOT_FOUND: (400, "40768", "Order does not exist"),
    Reason.REDUCE_ONLY: (400, "22002", "No position to close"),
    Reason.POSITION_SIDE: (
        400, "40774", "The order type for unilateral position must also be the unilateral position type.",
    ),
    Reason.LEVERAGE: (400, "40797", "Exceeded the maximum settable leverage"),
    Reason.RATE_LIMIT: (429, "429", "Too Many Requests"),
    Reason.BAN: (429, "429", "Too Many Requests"),
    Reason.MAINTENANCE: (503, "40200", "Server upgrade, please try again later"),
    Reason.OVERLOAD: (500, "40725", "service return an error"),
    Reason.UNKNOWN: (400, "40010", "Request timed out"),
}  # fmt: skip
SPOT = {
    Reason.SMALL: (400, "43006", "The order quantity is less than the minimum transaction quantity"),
    Reason.LARGE: (400, "43007", "The order quantity is greater than the maximum transaction quantity"),
    Reason.NOTIONAL: (400, "45110", "less than the minimum amount 1 USDT"),
    Reason.FUNDS: (400, "43012", "Insufficient balance"),
    Reason.NOT_FOUND: (400, "43001", "The order does not exist"),
}
BUSY = {
    "position mode": ("40920", "Position or order exists, the position mode cannot be switched"),
    "margin mode": ("45117", "Currently holding positions or orders, the margin mode cannot be adjusted"),
}
EXITS = {
    "profit long": ("40915", "Long position take profit price please > mark price"),
    "loss long": ("40917", "Stop price for long positions please < mark price {price}"),
    "profit short": ("45061", "TP price of short position < Current price {price}"),
    "loss short": ("45122", "Short position stop loss price please > mark price {price}"),
    "none": ("43023", "Insufficient position, can not set profit or stop loss"),
}
"""Of an exit whose trigger the price has passed already, or that has no position."""


def code_of(call: Call, refusal: Refusal) -> tuple[int, str, str]:
    """HTTP status, code and message of a refusal, which differ between spot and contracts."""
    reason, what = refusal.reason, refusal.what
    if reason is Reason.BUSY:
        return 400, *BUSY[what]
    if reason is Reason.WOULD_TRIGGER:
        sort, _, price = what.partition("@")
        code, message = EXITS[sort]
        return 400, code, message.format(price=price)
    if reason is Reason.NOT_FOUND and call.path.endswith("/order/detail"):
        return 400, "40109", "The data of the order cannot be found, please confirm the order number"
    spot = "/spot/" in call.path
    status, code, message = (spot and SPOT.get(reason)) or COMMON[reason]
    return status, code, message.format(what=what)
