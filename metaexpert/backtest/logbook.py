"""What the kernel wrote, as the records and curves of a run: columns at once, objects when somebody looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import risk, rules, tiers
from ..broker.simulated import ENDED, NOTHING_TO_REDUCE, SHRUNK
from ..models import ExitReason, Fill, Order, OrderStatus, OrderType, Side, TimeInForce, Trade
from . import column
from .record import Coded, Numbered, Optional, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..models import Market, Tier
    from .kernel import Played

    type Floats = NDArray[np.float64]
    type Ints = NDArray[np.int64]

__all__ = ["Logbook", "filled_of"]

_REASONS = (
    ExitReason.ORDER, ExitReason.STOP_LOSS, ExitReason.BREAKEVEN, ExitReason.TRAILING_STOP, ExitReason.TAKE_PROFIT,
    ExitReason.LIQUIDATION, ExitReason.DAILY_LOSS_LIMIT, ExitReason.MAX_DRAWDOWN, ExitReason.END,
)  # fmt: skip
"""The reasons as `column` counts them."""
_STATUSES = (
    OrderStatus.OPEN, OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED,
)  # fmt: skip
_UNSENT = (
    column.WHY_NO_STOP,
    column.WHY_ZERO,
    column.WHY_DAY,
)  # entries that were not even sent; and the filters'


@dataclass(frozen=True)
class Logbook:
    """The log of one played column.

    Args:
        played: what the kernel left.
        market: the market that was traded.
        times: open times of the bars, int64 ms, shape (n,).
        bar_ms: their length.
        tag: the word that fills and trades carry.
        strategy_id: the number that orders carry.
        leverage: of every position.
        tiers: the margin tiers in force.
        gate: why the filters kept an entry from being made: (bar, side) to the refusal.
    """

    played: Played
    market: Market
    times: Ints
    bar_ms: int
    tag: str | None
    strategy_id: int
    leverage: float
    tiers: tuple[Tier, ...]
    gate: Callable[[int, int], risk.Refusal]

    # -- records --------------------------------------------------------------------------------------------

    def orders(self) -> Rows[Order]:
        """Every order in its last state."""
        log, n = self.played.orders, int(self.played.state[column.S_ORDERS])
        filled: NDArray[np.bool_] = log[column.F_NUMBER] > 0.0
        never = Optional(np.full(n, np.nan), np.zeros(n, dtype=np.bool_))
        columns: dict[str, Any] = {
            "id": Numbered(range(1, n + 1)),
            "symbol": self.market.symbol,
            "side": _sides(log[column.O_SIDE]),
            "type": OrderType.MARKET,
            "qty": log[column.O_QTY],
            "price": never,
            "stop_price": never,
            "status": Coded(log[column.O_STATUS].astype(np.int8), _STATUSES),
            "filled": np.where(filled, log[column.O_QTY], 0.0),
            "average_price": Optional(log[column.F_PRICE], filled),
            "fee": log[column.F_FEE],
            "reduce_only": log[column.O_REDUCE] != 0.0,
            "post_only": never.present,
            "tif": TimeInForce.GTC,
            "stop_loss": never,
            "take_profit": never,
            "tag": self.tag,
            "strategy_id": np.full(n, self.strategy_id),
            "position_side": None,
            "reason": Coded(log[column.O_REASON].astype(np.int8), _REASONS),
            "message": self._messages(),
            "created": _whole(log[column.O_CREATED]),
            "updated": _whole(log[column.O_UPDATED]),
            "exchange_id": None,
        }
        return Rows(lambda *row: Order(**dict(zip(columns, row, strict=True))), columns, n)

    def fills(self) -> Rows[Fill]:
        """Every fill."""
        orders = self.played.orders
        filled = filled_of(orders)
        log: Floats = orders[:, filled]
        n = int(log.shape[1])
        sent = range(1, orders.shape[1] + 1)
        columns: dict[str, Any] = {
            "id": np.arange(1, n + 1),
            "time": _whole(log[column.O_UPDATED]),
            "symbol": self.market.symbol,
            "order_id": Numbered(sent[filled] if isinstance(filled, slice) else filled + 1),
            "side": _sides(log[column.O_SIDE]),
            "qty": log[column.O_QTY],
            "price": log[column.F_PRICE],
            "fee": log[column.F_FEE],
            "is_maker": np.zeros(n, dtype=np.bool_),
            "slippage": log[column.F_SLIPPAGE],
            "pnl": log[column.F_PNL],
            "reason": Coded(log[column.O_REASON].astype(np.int8), _REASONS),
            "tag": self.tag,
        }
        return Rows(Fill, columns, n)

    def trades(self) -> Rows[Trade]:
        """Every round trip; one that is still open comes last, marked at the last close."""
        log, ended = self.played.trades, int(self.played.state[column.S_TRADES])
        if self.played.state[column.S_QTY] != 0.0:
            log = self.played.log[:, : ended + 1]  # its entry has taken a place among the orders
            log[column.T_SIDE :, ended] = self._open_trade()[column.T_SIDE :]
        n = int(log.shape[1])
        exits: NDArray[np.bool_] = np.arange(n) < ended
        kind = rules.INVERSE if self.market.is_inverse else rules.LINEAR
        average: Any = rules.average_price  # plain arithmetic: it takes arrays as well
        columns: dict[str, Any] = {
            "id": np.arange(1, n + 1),
            "symbol": self.market.symbol,
            "side": Coded((log[column.T_SIDE] < 0.0).view(np.int8), ("long", "short")),
            "qty": log[column.T_QTY],
            "entry_time": _whole(log[column.T_OPENED]),
            "entry_price": average(kind, log[column.T_ENTERED], log[column.T_ENTERED_VALUE]),
            "exit_time": Optional(_whole(log[column.T_LEFT]), exits),
            "exit_price": Optional(average(kind, log[column.T_EXITED], log[column.T_EXITED_VALUE]), exits),
            "pnl": log[column.T_PNL],
            "fees": log[column.T_FEES],
            "slippage": log[column.T_SLIPPAGE],
            "funding": log[column.T_FUNDING],
            "entry_notional": log[column.T_ENTERED_VALUE],
            "exit_reason": Coded(log[column.T_REASON].astype(np.int8), (*_REASONS, None)),
            "tag": self.tag,
            "ambiguous": log[column.T_AMBIGUOUS] != 0.0,
        }
        return Rows(Trade, columns, n)

    def _open_trade(self) -> Floats:
        """The round trip that is still open, as the log would hold it: without an exit."""
        s, trade = self.played.state, np.zeros(column.WIDTH)
        kind = rules.INVERSE if self.market.is_inverse else rules.LINEAR
        trade[column.T_SIDE], trade[column.T_LEFT], trade[column.T_REASON] = (
            np.sign(s[column.S_QTY]), -1.0, len(_REASONS),
        )  # fmt: skip
        trade[column.T_OPENED : column.T_FUNDING + 1] = s[column.S_OPENED : column.S_FUNDING + 1]
        trade[column.T_EXITED] = trade[column.T_EXITED_VALUE] = np.nan
        trade[column.T_PNL] += rules.pnl(
            kind, float(s[column.S_QTY]), float(s[column.S_ENTRY]), float(s[column.S_MARK])
        )
        return trade

    # -- words ----------------------------------------------------------------------------------------------

    def refusals(self) -> dict[str, int]:
        """How often each reason kept an entry from being made, or made it smaller."""
        log, found = self.played.orders, dict[str, int]()
        why = log[column.O_WHY]
        for code in np.unique(why).astype(np.int64).tolist():
            if code in _UNSENT or code >= column.WHY_GATE:
                one = np.flatnonzero(why == code)
                reason = self._refusal(int(one[0])).reason
                found[reason] = found.get(reason, 0) + len(one)
        counts = {
            f"size capped by {risk.CAPS[rules.CAPPED_BY_SETTING]}": self.played.state[column.S_CAPPED_BY_SETTING],
            f"size capped by {risk.CAPS[rules.CAPPED_BY_MARGIN]}": self.played.state[column.S_CAPPED_BY_MARGIN],
            "size shrunk to the free margin at the fill": np.count_nonzero(why == column.WHY_SHRUNK),
        }
        found |= {reason: int(count) for reason, count in counts.items() if count}
        return dict(sorted(found.items()))

    def _messages(self) -> Coded | None:
        """What is said of each order; orders that went as they were sent have nothing. None: all went so."""
        why = self.played.orders[column.O_WHY]
        told = np.flatnonzero(why != 0.0)
        if not told.size:
            return None
        codes = np.zeros(len(why), dtype=np.int64)
        codes[told] = np.arange(1, len(told) + 1)
        return Coded(codes, (None, *(self._message(k) for k in told.tolist())))

    def _message(self, k: int) -> str:
        words = {
            column.WHY_SHRUNK: SHRUNK, column.WHY_NOTHING_LEFT: NOTHING_TO_REDUCE, column.WHY_ENDED: ENDED,
        }  # fmt: skip
        code = int(self.played.orders[column.O_WHY, k])
        if code in words:
            return words[code]
        refusal = self._refusal(k)
        return f"{refusal.reason}: {refusal.message}"

    def _refusal(self, k: int) -> risk.Refusal:
        """Why order `k` was refused."""
        log, market = self.played.orders, self.market
        code, a, b = (int(log[column.O_WHY, k]), float(log[column.O_A, k]), float(log[column.O_B, k]))
        made: dict[int, Callable[[], risk.Refusal]] = {
            column.WHY_QTY: lambda: risk.bad_number("qty", a),
            column.WHY_MARGIN: lambda: risk.insufficient_margin(a, b, market),
            column.WHY_NO_STOP: lambda: risk.no_stop(a),
            column.WHY_ZERO: lambda: risk.size_is_zero(a, int(b), market),
            column.WHY_DAY: lambda: risk.DAY_IS_LOST,
            column.WHY_TIER: lambda: self._tier_refusal(int(b), a),
        }
        if code >= column.WHY_GATE:
            bar = int(self.times.searchsorted(int(log[column.O_CREATED, k]) - self.bar_ms))
            return self.gate(bar, int(log[column.O_SIDE, k]))
        return made[code]() if code in made else risk.limit_refusal(code, a, b, market, at_market=True)

    def _tier_refusal(self, broken: int, worth: float) -> risk.Refusal:
        tier = self.tiers[tiers.tier_at(worth, self.tiers)]
        return risk.tier_refusal(broken, worth, self.leverage, tier, self.market)


def filled_of(orders: Floats) -> Ints | slice:
    """Which orders of a log were filled, in the order of their fills; a slice where that is all, as they stand."""
    number = orders[column.F_NUMBER]
    filled = np.flatnonzero(number > 0.0)
    numbers = number[filled]
    if not (numbers[1:] > numbers[:-1]).all():
        return filled[np.argsort(numbers, kind="stable")]
    return slice(None) if len(filled) == len(number) else filled


def _sides(values: Floats) -> Coded:
    return Coded((values < 0.0).view(np.int8), (Side.BUY, Side.SELL))


def _whole(values: Floats) -> Ints:
    return values.astype(np.int64)
