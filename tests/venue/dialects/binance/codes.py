"""Binance's error codes and words."""

from __future__ import annotations

from ...orders import Reason, Refusal

COMMON = {
    Reason.SIGNATURE: (400, -1022, "Signature for this request is not valid."),
    Reason.KEY: (401, -2015, "Invalid API-key, IP, or permissions for action."),
    Reason.ADDRESS: (401, -2015, "Invalid API-key, IP, or permissions for action, request ip: {what}"),
    Reason.RIGHTS: (401, -2015, "Invalid API-key, IP, or permissions for action."),
    Reason.LISTEN_KEY: (400, -1125, "This listenKey does not exist."),
    Reason.TIMESTAMP: (400, -1021, "Timestamp for this request is outside of the recvWindow."),
    Reason.PARAMETER: (400, -1102, "Mandatory parameter '{what}' was not sent, was empty/null, or malformed."),
    Reason.SYMBOL: (400, -1121, "Invalid symbol."),
    Reason.STEP: (400, -1013, "Filter failure: LOT_SIZE"),
    Reason.SMALL: (400, -1013, "Filter failure: LOT_SIZE"),
    Reason.LARGE: (400, -1013, "Filter failure: LOT_SIZE"),
    Reason.TICK: (400, -1013, "Filter failure: PRICE_FILTER"),
    Reason.NOTIONAL: (400, -1013, "Filter failure: NOTIONAL"),
    Reason.FUNDS: (400, -2010, "Account has insufficient balance for requested action."),
    Reason.DUPLICATE: (400, -2010, "Duplicate order sent."),
    Reason.WOULD_TAKE: (400, -2010, "Order would immediately match and take."),
    Reason.WOULD_TRIGGER: (400, -2010, "Stop price would trigger immediately."),
    Reason.NOT_FOUND: (400, -2013, "Order does not exist."),
    Reason.PATH: (404, -5000, "Path {what}, Method is invalid"),
    Reason.MAINTENANCE: (503, 1, "System is under maintenance."),
    Reason.OVERLOAD: (503, -1008,
    "Server is currently overloaded with other requests. Please try again in a few minutes."),
    Reason.UNKNOWN: (
        503, -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    ),
    Reason.RATE_LIMIT: (429, -1003, "Too many requests; current limit is 6000 request weight per 1 MINUTE."),
    Reason.BAN: (418, -1003, "Way too many requests; IP banned until 1893456000000."),
    Reason.GEO_BLOCK: (
        451, 0,
        "Service unavailable from a restricted location according to 'b. Eligibility' in https://www.binance.com/en/terms.",
    ),
}  # fmt: skip
FUTURES = {
    Reason.STEP: (400, -1111, "Precision is over the maximum defined for this asset."),
    Reason.SMALL: (400, -4003, "Quantity less than or equal to zero."),
    Reason.LARGE: (400, -4005, "Quantity greater than max quantity."),
    Reason.TICK: (400, -4014, "Price not increased by tick size."),
    Reason.NOTIONAL: (400, -4164, "Order's notional must be no smaller than 50 (unless you choose reduce only)."),
    Reason.FUNDS: (400, -2019, "Margin is insufficient."),
    Reason.DUPLICATE: (400, -4116, "ClientOrderId is duplicated."),
    Reason.WOULD_TAKE: (
        400, -5022, "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    ),
    Reason.WOULD_TRIGGER: (400, -2021, "Order would immediately trigger."),
    Reason.REDUCE_ONLY: (400, -2022, "ReduceOnly Order is rejected."),
    Reason.POSITION_SIDE: (400, -4061, "Order's position side does not match user's setting."),
    Reason.LEVERAGE: (400, -4028, "Leverage is not valid."),
}  # fmt: skip
CHANGES = {
    "margin mode": (400, -4046, "No need to change margin type."),
    "position mode": (400, -4059, "No need to change position side."),
}
BUSY = {
    "margin mode": (400, -4048, "Margin type cannot be changed if there exists position."),
    "position mode": (400, -4068, "Position side cannot be changed if there exists position."),
}


def code_of(path: str, refusal: Refusal) -> tuple[int, int, str]:
    """HTTP status, code and message of a refusal, which differ between spot and contracts."""
    reason, what = refusal.reason, refusal.what
    if reason in {Reason.NO_CHANGE, Reason.BUSY}:
        return (CHANGES if reason is Reason.NO_CHANGE else BUSY)[what]
    if what == "cancel":
        return 400, -2011, "Unknown order sent."
    contract = path.startswith(("/fapi", "/dapi", "/eapi"))
    status, code, message = (contract and FUTURES.get(reason)) or COMMON[reason]
    return status, code, message.format(what=what)
