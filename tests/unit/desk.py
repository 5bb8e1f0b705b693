"""A simulated broker to try orders on by hand: one account, bars as four prices, news as a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaexpert.broker.costs import Costs
from metaexpert.broker.ledger import Ledger
from metaexpert.broker.protection import Protection
from metaexpert.broker.simulated import SimulatedBroker
from metaexpert.clock import SimClock
from metaexpert.models import Bar, ContractType, Fill, MarginMode, Market, MarketType, Order, OrderType, Side
from metaexpert.models import TimeInForce as Tif

if TYPE_CHECKING:
    from metaexpert.broker import News
    from metaexpert.broker.data import MarketData

HOUR = 3_600_000
SPOT = "BTC/USDT"
LINEAR = "BTC/USDT:USDT"
OTHER = "ETH/USDT:USDT"
INVERSE = "BTC/USD:BTC"


def market(symbol: str = LINEAR, **rules: Any) -> Market:
    """A market without fees; its kind can be read off `symbol`."""
    base, _, rest = symbol.partition("/")
    quote, _, settle = rest.partition(":")
    kind = None if not settle else ContractType.INVERSE if settle == base else ContractType.LINEAR
    plain: dict[str, Any] = {
        "type": MarketType.FUTURES if settle else MarketType.SPOT,
        "contract_type": kind,
        "qty_step": 1.0 if kind is ContractType.INVERSE else 0.001,
        "maker": 0.0,
        "taker": 0.0,
        "liquidation_fee_rate": 0.0,
        "max_leverage": 125.0,
    }
    return Market(
        symbol=symbol, exchange="demo", base=base, quote=quote, settle=settle or quote, **(plain | rules)
    )


class Desk:
    """One account and its broker. `bar` plays the next hour of a symbol, `buy` and `sell` send orders.

    Orders are sent at the close of the last bar and act from the next one, as they do in a run.
    """

    def __init__(
        self, *symbols: str, capital: float = 10_000.0, leverage: float = 1.0, cross: bool = False,
        protection: dict[str, float] | None = None, costs: dict[str, Any] | None = None,
        data: dict[str, MarketData] | None = None, hedge: bool = False, **rules: Any,
    ) -> None:  # fmt: skip
        self.symbols = symbols or (LINEAR,)
        markets = {symbol: market(symbol, **rules) for symbol in self.symbols}
        mode = MarginMode.CROSS if cross else MarginMode.ISOLATED
        self.clock = SimClock(0)
        self.ledger = Ledger(capital, markets, leverage, mode, hedge=hedge)
        self.broker = SimulatedBroker(
            self.ledger, self.clock, Costs(**(costs or {})), Protection(**(protection or {})), data=data
        )
        self.news: list[News] = []

    def bar(
        self, open_: float, high: float, low: float, close: float, symbol: str | None = None, *, skip: int = 0,
        volume: float = 1.0,
    ) -> list[Fill]:  # fmt: skip
        """Play one bar, `skip` hours after the last one; returns its fills."""
        start = self.clock.now() + skip * HOUR
        self.clock.advance(start)
        before = len(self.broker.fills)
        self.listen()
        bar = Bar(start, symbol or self.symbols[0], "1h", open_, high, low, close, volume)
        for one in self.broker.on_bar(bar):
            self.hear(one)
        self.clock.advance(start + HOUR)
        return self.broker.fills[before:]

    def together(self, **bars: tuple[float, float, float, float]) -> list[Fill]:
        """Play one bar of each symbol, given by its base currency, at one moment, as the loop does."""
        start, before = self.clock.now(), len(self.broker.fills)
        self.listen()
        played = [
            Bar(start, symbol, "1h", *bars[self.ledger.holdings[symbol].market.base], 1.0)
            for symbol in self.symbols
        ]
        for match in (self.broker.on_open, self.broker.on_bar):
            for bar in played:
                for one in match(bar):
                    self.hear(one)
        self.clock.advance(start + HOUR)
        return self.broker.fills[before:]

    def listen(self) -> None:
        """Take what the broker has to say."""
        while self.broker.news:
            self.hear(self.broker.news.popleft())

    def hear(self, news: News) -> None:
        """Note one piece of news; tests put a handler here."""
        self.news.append(news)

    def send(
        self, side: Side, qty: float, price: float | None = None, stop: float | None = None, *,
        symbol: str | None = None, active_from: int | None = None, shrinkable: bool = False, tif: str = "GTC",
        **terms: Any,
    ) -> str:  # fmt: skip
        """Send an order; returns its id."""
        kinds = {(False, False): OrderType.MARKET, (True, False): OrderType.LIMIT, (False, True): OrderType.STOP}
        order = Order(
            id=self.broker.next_id(),
            symbol=symbol or self.symbols[0],
            side=side,
            type=kinds.get((price is not None, stop is not None), OrderType.STOP_LIMIT),
            qty=qty,
            price=price,
            stop_price=stop,
            tif=Tif(tif),
            created=self.clock.now(),
            **terms,
        )
        when = self.clock.now() if active_from is None else active_from
        self.broker.submit(order, active_from=when, shrinkable=shrinkable)
        self.listen()
        return order.id

    def buy(self, qty: float, *args: Any, **kwargs: Any) -> str:
        """Send a buy order."""
        return self.send(Side.BUY, qty, *args, **kwargs)

    def sell(self, qty: float, *args: Any, **kwargs: Any) -> str:
        """Send a sell order."""
        return self.send(Side.SELL, qty, *args, **kwargs)

    def order(self, order_id: str) -> Order:
        """The order as it stands now."""
        return self.broker.orders[order_id]

    def reason(self, order_id: str) -> str:
        """The reason code of an order that was refused."""
        (reason,) = [
            one.result.reason
            for one in self.news
            if one.order.id == order_id and one.result is not None and not isinstance(one.result, Fill)
        ]
        return reason

    @property
    def qty(self) -> float:
        """The signed quantity held in the first symbol."""
        return self.ledger.holdings[self.symbols[0]].qty
