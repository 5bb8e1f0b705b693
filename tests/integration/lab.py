"""A laboratory for whole runs: candles of one's own in the store, and an auditor that keeps books beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from metaexpert import MetaExpert
from metaexpert.bars import frame
from metaexpert.models import ContractType, ExitReason, Fill, Market, MarketType, OrderStatus
from metaexpert.store import CandleStore, Source
from metaexpert.timeframe import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from metaexpert.models import Bar, Order, Position, Rejection

START = 1_704_067_200_000  # 2024-01-01 00:00 UTC, a Monday
HOUR = 3_600_000

type Leg = tuple[str, str | None]  # symbol; in hedge mode its side
type Prices = tuple[float, float, float, float]  # open, high, low, close

KINDS = {
    "spot": {"market_type": "spot"},
    "linear": {"market_type": "futures", "contract_type": "linear"},
    "inverse": {"market_type": "futures", "contract_type": "inverse"},
    "option": {"market_type": "options"},
}
SYMBOLS = {
    "spot": ("BTC/USDT", "ETH/USDT"),
    "linear": ("BTC/USDT:USDT", "ETH/USDT:USDT"),
    "inverse": ("BTC/USD:BTC",),
    "option": ("BTC/USDT:USDT-240101-100-C", "BTC/USDT:USDT-240101-100-P"),  # they expire eight hours after START
}
FINAL = {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED}


def market(symbol: str, **rules: Any) -> Market:
    """The market of `symbol`: its kind can be read off the name."""
    base, _, rest = symbol.partition("/")
    quote, _, settle = rest.partition(":")
    settle, *option = settle.split("-")
    kind = None if not settle else ContractType.INVERSE if settle == base else ContractType.LINEAR
    plain: dict[str, Any] = {
        "type": MarketType.FUTURES if settle else MarketType.SPOT,
        "contract_type": kind,
        "qty_step": 1.0 if kind is ContractType.INVERSE else 0.0001,
        "max_leverage": 125.0,
    }
    if option:
        plain |= {
            "type": MarketType.OPTIONS,
            "contract_type": None,
            "max_leverage": 1.0,
            "strike": float(option[1]),
        }
        plain |= {"option_type": "call" if option[2] == "C" else "put", "expiry": START + 8 * HOUR}
    return Market(
        symbol=symbol, exchange="local", base=base, quote=quote, settle=settle or quote, **(plain | rules)
    )


def candles(
    bars: Sequence[Prices], *, timeframe: str = "1h", start: int = START, volume: float = 1.0
) -> pd.DataFrame:
    """Bars in a row as a frame."""
    time = start + parse(timeframe) * np.arange(len(bars))
    columns = [np.array(column, dtype=np.float64) for column in zip(*bars, strict=True)]
    return frame(time, [*columns, np.full(len(bars), volume)])


def flat(*prices: float) -> list[Prices]:
    """Bars without a range."""
    return [(price, price, price, price) for price in prices]


def keep(symbol: str, bars: Sequence[Prices] | pd.DataFrame, *, timeframe: str = "1h", **rules: Any) -> None:
    """Put the candles of a market into the user's store, in the place of what was there."""
    store = CandleStore()
    for info in store.series("local", symbol):
        info.path.unlink()
    made = candles(bars, timeframe=timeframe) if isinstance(bars, list) else bars
    store.append(market(symbol, **rules), timeframe, made, source=Source("by hand"))


def expert(kind: str = "linear", **settings: Any) -> MetaExpert:
    """An expert on the user's own candles that keeps quiet."""
    return MetaExpert(exchange="local", log_to_console=False, **(KINDS[kind] | settings))


class Heard(NamedTuple):
    """One event that a handler heard."""

    now: int
    event: str
    what: Any


class Auditor:
    """Keeps the books of a run from its fills alone and compares them with the account at every event.

    `sends` holds, by order id, from when the order may trade; whoever sends orders tells it (`sent`).
    """

    def __init__(self, run: MetaExpert, capital: float, leverage: float, *, isolated: bool) -> None:
        self.run = run
        self.capital = capital
        self.leverage = leverage
        self.isolated = isolated
        self.heard: list[Heard] = []
        self.fills: list[Fill] = []
        self.checks = 0
        self.turnover = capital
        self.hedge = False
        self.qty: dict[Leg, float] = {}
        self.entry: dict[Leg, float] = {}
        self.flow = 0.0  # equity = capital + flow + worth of what is held
        self.balance = capital
        self.sends: dict[str, int] = {}
        self.within: int | None = None  # close of the bar that is being matched
        self.last: dict[str, float] = {}
        for register, handler in (
            (run.on_order, self.on_order),
            (run.on_transaction, self.on_transaction),
            (run.on_position, self.on_position),
            (run.on_account, self.on_account),
            (run.on_bar, self.on_bar),
        ):
            register(handler)

    def hear(self, event: str, what: Any) -> None:
        """Note an event."""
        self.heard.append(Heard(int(self.run.now().value // 1_000_000), event, what))

    def sent(self, order: Order | None) -> None:
        """An order was sent now: from within a bar it may trade only in the next."""
        if order is not None:
            now = int(self.run.now().value // 1_000_000)
            self.sends[order.id] = now if self.within is None else self.within

    def on_order(self, order: Order) -> None:
        self.hear("order", order)

    def on_transaction(self, order: Order, result: Fill | Rejection) -> None:
        self.hear("transaction", result)
        if isinstance(result, Fill):
            self.book(order, result)
        self.check()

    def on_position(self, position: Position) -> None:
        self.hear("position", position)
        leg = position.symbol, position.position_side
        assert (leg[1] is not None) == self.hedge
        assert position.qty == pytest.approx(self.qty.get(leg, 0.0), abs=1e-9)
        if position:
            assert position.entry_price == pytest.approx(self.entry[leg])
        self.check()

    def on_account(self, account: Any) -> None:
        self.hear("account", account)
        assert account == self.run.account
        self.check()

    def on_bar(self, bar: Bar) -> None:
        self.hear("bar", bar)
        self.within = None
        self.last[bar.symbol] = bar.close
        expiry = self.run.market(bar.symbol).expiry
        for side in ("long", "short") if self.hedge else (None,):
            if expiry is not None and expiry <= bar.time + HOUR:
                break  # it has been settled
            assert self.run.position(bar.symbol, side).mark_price == bar.close
        self.check()

    def book(self, order: Order, fill: Fill) -> None:
        """Enter a fill: what was held, what it closed, and the cash that it moved."""
        assert fill.time >= self.sends.get(fill.order_id, 0), "an order traded before it could"
        inverse = self.run.market(fill.symbol).is_inverse
        worth = fill.qty / fill.price if inverse else fill.qty * fill.price
        leg = fill.symbol, order.position_side
        held, sign = self.qty.get(leg, 0.0), fill.side.sign
        entry = self.entry.get(leg, fill.price)
        closed = min(abs(held), fill.qty) if held * sign < 0 else 0.0
        opened = round(fill.qty - closed, 9)
        loss = closed / entry / self.leverage if inverse else closed * entry / self.leverage
        if self.isolated and not self.run.market(fill.symbol).is_option:
            assert fill.pnl >= -loss * (1 + 1e-9), "an isolated position lost more than its margin"
        if order.reduce_only:
            assert opened == 0.0, "reduce_only opened something"
        if opened:
            before = abs(held) - closed
            mean = (before / entry + opened / fill.price) if inverse else (before * entry + opened * fill.price)
            self.entry[leg] = (before + opened) / mean if inverse else mean / (before + opened)
        self.qty[leg] = round(held + sign * fill.qty, 9)
        if self.hedge:
            assert self.qty[leg] * (1 if leg[1] == "long" else -1) >= 0.0, "a leg stands on the wrong side"
        self.flow += (sign if inverse else -sign) * worth - fill.fee
        self.balance += fill.pnl - fill.fee
        self.turnover += worth
        self.within = fill.time + HOUR
        self.fills.append(fill)

    def held(self) -> float:
        """What is held, at its marks, by the same cash arithmetic."""
        total = 0.0
        for (symbol, side), qty in self.qty.items():
            if qty == 0.0:
                continue
            mark = self.run.position(symbol, side).mark_price
            assert mark is not None
            total += -qty / mark if self.run.market(symbol).is_inverse else qty * mark
        return total

    def check(self) -> None:
        """Cash + positions - fees + funding = equity, and profits - fees + funding = balance."""
        self.checks += 1
        account, near = self.run.account, 1e-9 * self.turnover
        funding = sum(trade.funding for trade in self.run._trader("audit").broker.ledger.all_trades())
        assert abs(account.equity - (self.capital + self.flow + funding + self.held())) <= near
        assert abs(account.balance - self.balance - funding) <= near
        assert abs(account.equity - account.balance - account.unrealized_pnl) <= near
        assert account.margin_used >= 0.0

    # -- after the run --------------------------------------------------------------------------------------

    def conclude(self, result: Any, bars: Mapping[str, pd.DataFrame]) -> None:
        """What must hold of a whole run."""
        self._every_order_ends_once(result)
        assert self.fills == result.record.fills
        for fill in self.fills:
            if fill.reason not in (ExitReason.END, ExitReason.EXPIRY):
                self._within_its_bar(fill, bars[fill.symbol])
        gained = sum(trade.net_pnl for trade in result.record.trades)
        assert result.record.equity[-1] - self.capital == pytest.approx(gained, abs=1e-9 * self.turnover)

    def _every_order_ends_once(self, result: Any) -> None:
        told: dict[str, list[Order]] = {}
        for event in self.heard:
            if event.event == "order":
                told.setdefault(event.what.id, []).append(event.what)
        for orders in told.values():
            assert [order for order in orders[:-1] if order.status in FINAL] == []
        assert [told[order.id][-1] for order in result.record.orders] == result.record.orders
        told_fills = [event.what for event in self.heard if isinstance(event.what, Fill)]
        assert [fill.id for fill in told_fills] == list(range(1, len(told_fills) + 1))

    def _within_its_bar(self, fill: Fill, bars: pd.DataFrame) -> None:
        row = bars.loc[np.datetime64(fill.time, "ms")] if bars.index.tz is None else bars.loc[fill.timestamp]
        per_unit = fill.side.sign * fill.slippage / fill.qty
        inverse = self.run_markets[fill.symbol].is_inverse
        matched = 1.0 / (1.0 / fill.price + per_unit) if inverse else fill.price - per_unit
        inside = row["low"] * (1 - 1e-9) <= matched <= row["high"] * (1 + 1e-9)
        assert inside or fill.reason is ExitReason.LIQUIDATION, f"{fill} is outside of its bar {row.to_dict()}"

    @property
    def run_markets(self) -> Mapping[str, Market]:
        """The markets of the run, also when it is over."""
        return {symbol: market(symbol) for symbols in SYMBOLS.values() for symbol in symbols}
