"""Why an exchange refuses an order, in the words that `Rejection.reason` has in every mode: codes as data.

Who meets a code that stands here knows for certain that nothing was traded. Sources: the exchanges' lists of
errors, and the sentences that they send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FUNDS", "REJECTED", "reason_of"]

FUNDS = "insufficient_margin"
"""The account can't carry the order."""
REJECTED = "rejected"
"""For a reason that has no word of its own."""


def reason_of(exchange: str, code: str, sentence: str) -> str | None:
    """The reason of a refusal by its code, or by the sentence beside it; None where neither is known."""
    told = sentence.lower()
    for words, reason in _SENTENCES.get((exchange, code), ()):
        if words in told:
            return reason
    return _CODES.get(exchange, {}).get(code)


def _codes(**reasons: str) -> dict[str, str]:
    return {code: reason for reason, codes in reasons.items() for code in codes.split()}


_CODES: Mapping[str, Mapping[str, str]] = {
    "binance": _codes(
        insufficient_margin="-2018 -2019 -2028 -4050 -4051",
        post_only_would_cross="-5022",
        reduce_only="-2022 -4118",
        stop_reached="-2021",
        price_out_of_band="-4016 -4024 -4131",
        below_min_qty="-4003",
        above_max_qty="-4005",
        below_min_notional="-4164",
        above_max_position="-2027",
        too_many_orders="-2025 -4045",
        wrong_position_side="-4061",
        invalid_price="-4014",
        rejected="-1013 -1111 -2010",
    ),
    "bybit": _codes(
        insufficient_margin="110004 110006 110007 110012 110044 110045 110051 110052 110053 170033 170131",
        post_only_would_cross="170218",
        reduce_only="110017",
        stop_reached="110092 110093",
        price_out_of_band="110003 170132 170133 170192 170193 170194 170204 170206 170371 170372",
        below_min_qty="170136",
        above_max_qty="170124 170135",
        below_min_notional="110094 170140",
        above_max_position="110016",
        too_many_orders="110009 110020",
        invalid_qty="170137",
        invalid_price="170134",
        rejected="170130",
    ),
    "okx": _codes(
        insufficient_margin="51008 51119 51127 51131",
        reduce_only="51023 51112 51169 51205",
        stop_reached="51277 51278 51279 51280",
        price_out_of_band="51006 51116 51122 51135 51136 51137 51138",
        below_min_qty="51007 51020 51100 51120",
        above_max_qty="51005 51101 51105 51202 51203",
        above_max_notional="51201",
        above_max_position="51004",
        too_many_orders="51025 51102 51103 51174 51261",
        invalid_qty="51121",
        market_closed="51021 51022 51027 51028 51029 51030",
    ),
    "bitget": _codes(
        insufficient_margin="40711 40712 40754 40762 43012",
        reduce_only="22002 43023",
        stop_reached="40915 40917 45061 45122",
        price_out_of_band="41117",
        below_min_qty="43006 45111",
        above_max_qty="43007 45112",
        below_min_notional="45110",
        wrong_position_side="40774",
        invalid_qty="40808",
        invalid_price="41103 45115",
        rejected="40034",
    ),
    "kucoin": _codes(
        insufficient_margin="126013 200004 230003 300003 330008",
        reduce_only="300009",
        price_out_of_band="126022 126029 126030 400330 400370 400760",
        below_min_notional="126003 600101",
        above_max_position="126042 400350",
        wrong_position_side="330012",
        wrong_margin_mode="330005",
        rejected="600100",
    ),
}
_SENTENCES: Mapping[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("binance", "-2010"): (
        ("insufficient balance", FUNDS),
        ("immediately match", "post_only_would_cross"),
        ("trigger immediately", "stop_reached"),
    ),
    ("binance", "-1013"): (
        ("notional", "below_min_notional"),
        ("percent_price", "price_out_of_band"),
        ("price_filter", "invalid_price"),
        ("lot_size", "invalid_qty"),
        ("max_position", "above_max_position"),
        ("max_num", "too_many_orders"),
    ),
    ("binance", "-2027"): (("margin", FUNDS),),  # of options
    ("bybit", "10001"): (
        ("position idx", "wrong_position_side"),
        ("below the minimum", "below_min_qty"),
        ("exceeds maximum", "above_max_qty"),
        ("qty invalid", "invalid_qty"),
        ("price invalid", "invalid_price"),
    ),
    ("okx", "51000"): (
        ("posside", "wrong_position_side"),
        ("parameter sz", "invalid_qty"),
        ("parameter px", "invalid_price"),
    ),
    ("kucoin", "600100"): (
        ("funds below", "below_min_notional"),
        ("price increment", "invalid_price"),
        ("size increment", "invalid_qty"),
    ),
    ("kucoin", "400100"): (
        ("stop price", "stop_reached"),
        ("below the minimum", "below_min_qty"),
        ("above the maximum", "above_max_qty"),
    ),
}
"""Codes that mean several things: what stands in the sentence beside them, in small letters, decides."""
