"""Contracts that ended while nobody ran, and that the next run does not trade: what a state has of them goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .expiry import settlement_price
from .holding import Holding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..models import Market

__all__ = ["settled"]


def settled(state: Mapping[str, Any], markets: Mapping[str, Market]) -> tuple[dict[str, Any], list[str]]:
    """Settle what a run left open in contracts that have ended since.

    Args:
        state: of a broker, on paper or live.
        markets: the contracts that have ended, by symbol, none of which the next run trades.

    Returns:
        The state without them, the profit of their positions in its balance, and what there is to say. Positions
        count what `settlement_price` makes of the prices that were known last; live, the account tells the truth.
    """

    def stays(symbol: str) -> bool:
        return symbol not in markets

    ledger, notes, profit = state["ledger"], list[str](), 0.0
    for one in ledger["holdings"]:
        if one["qty"] == 0.0 or stays(one["symbol"]):
            continue
        held = Holding(markets[one["symbol"]], 1.0, one["position_side"])
        held.restore(one)
        known = state["data"].get(one["symbol"], {}).get("underlying" if held.is_option else "mark")
        price = held.mark if known is None else settlement_price(held, known)
        gained = held.close(abs(held.qty), price, 0.0, 0.0)
        profit += gained
        notes.append(
            f"{one['symbol']} has ended, and its position of {one['qty']:.12g} was settled while nobody ran: it "
            f"counts as left at {price:.12g}, by the prices that were known last, for {gained:+.12g}"
        )
    holdings = _kept(ledger["holdings"], stays)
    left = {
        **state,
        "ledger": {**ledger, "balance": ledger["balance"] + profit, "holdings": holdings},
        "working": [one for one in state["working"] if stays(one["order"]["symbol"])],
        "guards": _kept(state["guards"], stays),
        "unsettled": [symbol for symbol in state["unsettled"] if stays(symbol)],
        "data": {symbol: known for symbol, known in state["data"].items() if stays(symbol)},
    }
    if "live" in state:
        left["live"] = _live(state["live"], stays)
    return left, notes


def _live(state: Mapping[str, Any], stays: Callable[[str], bool]) -> dict[str, Any]:
    """What a live broker keeps beside the rest."""
    dealings, shield, differences = state["dealings"], state["shield"], state["differences"]
    return {
        **state,
        "dealings": {**dealings, "sent": [one for one in dealings["sent"] if stays(one["order"]["symbol"])]},
        "shield": {"wards": _kept(shield["wards"], stays), "past": _kept(shield["past"], stays)},
        "differences": {**differences, "foreign": [one for one in differences["foreign"] if stays(one[0])]},
    }


def _kept(rows: list[dict[str, Any]], stays: Callable[[str], bool]) -> list[dict[str, Any]]:
    return [one for one in rows if stays(one["symbol"])]
