"""KuCoin's error codes and words; 400100 is its code for any bad parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...orders import Reason, Refusal

if TYPE_CHECKING:
    from ...routes import Call

BAD = "400100"
COMMON = {
    Reason.SIGNATURE: (401, "400005", "Invalid KC-API-SIGN"),
    Reason.KEY: (401, "400003", "KC-API-KEY not exists"),
    Reason.PASSPHRASE: (401, "400004", "Invalid KC-API-PASSPHRASE"),
    Reason.TIMESTAMP: (401, "400002", "Invalid KC-API-TIMESTAMP"),
    Reason.ADDRESS: (401, "400006", "The requested ip address is not in the api whitelist: {what}"),
    Reason.RIGHTS: (403, "400007", "Access denied, require more permission."),
    Reason.PATH: (404, "404000", "Url Not Found"),
    Reason.PARAMETER: (400, BAD, "Parameter Error: {what}"),
    Reason.SYMBOL: (200, BAD, "Unsupported trading pair."),
    Reason.STEP: (200, "600100", "Order size increment invalid."),
    Reason.TICK: (200, "600100", "Price increment invalid."),
    Reason.SMALL: (200, BAD, "Order size below the minimum requirement."),
    Reason.LARGE: (200, BAD, "Order size above the maximum requirement."),
    Reason.NOTIONAL: (200, "600101", "The order funds should more then 0.1 USDT."),
    Reason.FUNDS: (200, "200004", "Balance insufficient!"),
    Reason.DUPLICATE: (200, "126044", "clientOid duplicate"),
    Reason.NOT_FOUND: (200, BAD, "order not exist."),
    Reason.WOULD_TRIGGER: (200, BAD, "The stop price has been reached already."),
    Reason.GEO_BLOCK: (
        200, "400500", "Your located country/region is currently not supported for the trading of this token",
    ),
    Reason.RATE_LIMIT: (429, "429000", "Too many requests in a short period of time, please retry later"),
    Reason.BAN: (429, "429000", "Too many requests in a short period of time, please retry later"),
    Reason.MAINTENANCE: (503, "503", "Service Unavailable"),
    Reason.OVERLOAD: (500, "500000", "Internal Server Error"),
    Reason.UNKNOWN: (200, "408000", "Network timeout, please try again later"),
}  # fmt: skip
CONTRACTS = {
    Reason.FUNDS: (200, "300003", "Balance insufficient. The order would cost more than the available {what}."),
    Reason.SMALL: (200, BAD, "The quantity is below the minimum requirement."),
    Reason.LARGE: (200, BAD, "The quantity is above the maximum requirement."),
    Reason.REDUCE_ONLY: (200, "300009", "No open positions to close."),
    Reason.POSITION_SIDE: (
        200, "330012",
        "Your order is in One-Way Mode, while your account is set to Hedge Mode, or the other way round.",
    ),
    Reason.NOT_FOUND: (200, "100001", "error.getOrder.orderNotExist"),
    Reason.LEVERAGE: (200, BAD, "Leverage exceeds the maximum of the contract."),
}  # fmt: skip
BUSY = {
    "order": ("330005", "The order's margin mode does not match the selected one. Please switch and try again."),
    "margin mode": (BAD, "The margin mode can not be switched with open positions or orders."),
    "position mode": (BAD, "The position mode can not be switched with open positions or orders."),
}


def is_contracts(call: Call) -> bool:
    """Whether a request came to the host of contracts."""
    return call.host.startswith("api-futures")


def code_of(call: Call, refusal: Refusal) -> tuple[int, str, str]:
    """HTTP status, code and message of a refusal, which differ between spot and contracts."""
    reason, what = refusal.reason, refusal.what
    if reason is Reason.BUSY:
        return 200, *BUSY[what]
    if reason is Reason.NOT_FOUND and call.method == "DELETE":
        if is_contracts(call):
            return 200, "100004", "The order cannot be canceled."
        return 200, BAD, "order_not_exist_or_not_allow_to_cancel"
    status, code, message = (is_contracts(call) and CONTRACTS.get(reason)) or COMMON[reason]
    return status, code, message.format(what=what)
