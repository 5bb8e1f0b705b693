"""OKX's error codes and words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...orders import Reason, Refusal

if TYPE_CHECKING:
    from ...routes import Call

COMMON = {
    Reason.SIGNATURE: (401, "50113", "Invalid Sign"),
    Reason.KEY: (401, "50111", "Invalid OK-ACCESS-KEY"),
    Reason.PASSPHRASE: (401, "50105", "Request header OK-ACCESS-PASSPHRASE incorrect."),
    Reason.TIMESTAMP: (401, "50102", "Timestamp request expired"),
    Reason.ADDRESS: (401, "50110", "Your IP {what} is not included in your API key's IP whitelist."),
    Reason.RIGHTS: (403, "50120", "This API key doesn't have permission to use this function."),
    Reason.PATH: (404, "404", "Not Found"),
    Reason.PARAMETER: (400, "51000", "Parameter {what} error"),
    Reason.SYMBOL: (200, "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist."),
    Reason.STEP: (200, "51121", "Order quantity must be a multiple of the lot size."),
    Reason.TICK: (200, "51000", "Parameter px error"),
    Reason.SMALL: (200, "51020", "Your order should meet or exceed the minimum order amount."),
    Reason.LARGE: (200, "51101", "Entered amount exceeds the max pending order amount (Cont)."),
    Reason.FUNDS: (200, "51008", "Order failed. Insufficient {what} balance in account."),
    Reason.DUPLICATE: (200, "51016", "Client order ID already exists."),
    Reason.NOT_FOUND: (200, "51603", "Order does not exist"),
    Reason.REDUCE_ONLY: (
        200, "51169", "Order failed because you don't have any positions in this direction to reduce or close.",
    ),
    Reason.POSITION_SIDE: (200, "51000", "Parameter posSide error "),
    Reason.LEVERAGE: (200, "59102", "Leverage exceeds the maximum limit. Please lower the leverage."),
    Reason.RATE_LIMIT: (429, "50011", "Too Many Requests"),
    Reason.BAN: (429, "50011", "Too Many Requests"),
    Reason.MAINTENANCE: (503, "50001", "Service temporarily unavailable. Try again later."),
    Reason.OVERLOAD: (429, "50013", "Systems are busy. Please try again later."),
    Reason.UNKNOWN: (
        400, "50004",
        "API endpoint request timeout (does not mean that the request was successful or failed, please check).",
    ),
}  # fmt: skip
BUSY = {
    "position mode": "Setting failed. Cancel any open orders, close positions, and stop trading bots first.",
    "account mode": "The current account mode does not support this API interface.",
}
WRONG_SIDE = {
    ("sl", "sell"): ("51280", "SL trigger price must be less than the last price."),
    ("sl", "buy"): ("51278", "SL trigger price cannot be lower than the last price."),
    ("tp", "sell"): ("51279", "TP trigger price cannot be lower than the last price."),
    ("tp", "buy"): ("51277", "TP trigger price cannot be higher than the last price."),
}
"""Of an exit whose trigger the price has passed already, by its sort and side."""


def code_of(call: Call, refusal: Refusal) -> tuple[int, str, str]:
    """HTTP status, code and message of a refusal; a missing order is another one to each request."""
    reason, what = refusal.reason, refusal.what
    if reason is Reason.BUSY:
        return 200, "51010" if what == "account mode" else "59000", BUSY[what]
    if reason is Reason.WOULD_TRIGGER:
        sort, _, side = what.partition(" ")
        return 200, *WRONG_SIDE[sort, side]
    if reason is Reason.NOT_FOUND and "cancel" in call.path:
        return 200, "51400", "Cancellation failed as the order has been filled, canceled or does not exist."
    if reason is Reason.NOT_FOUND and "amend" in call.path:
        return 200, "51503", "Your order has already been filled or canceled."
    status, code, message = COMMON[reason]
    return status, code, message.format(what=what)
