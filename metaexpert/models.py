"""The normalised model: what every mode, exchange and handler speaks.

Stream records are NamedTuples (there are millions of them), state records are frozen; all but `Order`, which a run
changes all the time, are slotted.
Times are int milliseconds UTC; `timestamp` gives the same moment as a pandas Timestamp. Symbols are
CCXT's unified ones (``BTC/USDT``, ``BTC/USDT:USDT``, ``BTC/USD:BTC``). `qty` is in base units for spot
and linear markets and face value in quote (USD) for inverse ones, always.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

__all__ = [
    "Account",
    "Bar",
    "ContractType",
    "ExitReason",
    "Fill",
    "MarginMode",
    "Market",
    "MarketType",
    "Order",
    "OrderBook",
    "OrderStatus",
    "OrderType",
    "Position",
    "PositionMode",
    "Rejection",
    "Side",
    "SizeType",
    "Tick",
    "Ticker",
    "Tier",
    "TimeInForce",
    "Trade",
    "TradeMode",
]


class Side(StrEnum):
    """The side of an order or fill."""

    BUY = "buy"
    SELL = "sell"

    sign: int
    """+1 for buy, -1 for sell."""

    def __init__(self, word: str) -> None:
        self.sign = 1 if word == "buy" else -1

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    """Market without a price, limit with one, stop with a stop price, stop-limit with both."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class OrderStatus(StrEnum):
    """Where an order stands: pending -> open -> filled | canceled | rejected | expired."""

    PENDING = "pending"
    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class TimeInForce(StrEnum):
    """How long an order works: good till cancelled, immediate or cancel, fill or kill."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class MarketType(StrEnum):
    """The kind of market an expert trades."""

    SPOT = "spot"
    FUTURES = "futures"
    OPTIONS = "options"


class ContractType(StrEnum):
    """What a futures contract settles in: quote (linear) or base (inverse)."""

    LINEAR = "linear"
    INVERSE = "inverse"


class MarginMode(StrEnum):
    """What is at stake: the position's own margin (isolated) or the whole balance (cross)."""

    ISOLATED = "isolated"
    CROSS = "cross"


class PositionMode(StrEnum):
    """One net position a symbol (oneway), or one long beside one short (hedge)."""

    ONEWAY = "oneway"
    HEDGE = "hedge"


class TradeMode(StrEnum):
    """Where an expert runs."""

    BACKTEST = "backtest"
    PAPER = "paper"
    LIVE = "live"


class SizeType(StrEnum):
    """How `size_value` becomes a quantity (see `metaexpert.risk`)."""

    FIXED_BASE = "fixed_base"
    FIXED_QUOTE = "fixed_quote"
    PERCENT_EQUITY = "percent_equity"
    RISK_BASED = "risk_based"


class ExitReason(StrEnum):
    """Why a position was left: by an order, by a protective level or limit, or because the contract ended."""

    ORDER = "order"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"
    BREAKEVEN = "breakeven"
    LIQUIDATION = "liquidation"
    EXPIRY = "expiry"
    DAILY_LOSS_LIMIT = "daily_loss_limit"
    MAX_DRAWDOWN = "max_drawdown"
    END = "end"


class Bar(NamedTuple):
    """One closed candle. `time` is its open time; it covers [time, time + timeframe).

    `volume` is in base units in every market, inverse ones too; of an option in units of its underlying.
    """

    time: int
    symbol: str
    timeframe: str
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def timestamp(self) -> pd.Timestamp:
        """The open time as a timezone-aware pandas Timestamp."""
        return _timestamp(self.time)

    @property
    def is_backfilled(self) -> bool:
        """True for a bar of a live market that is told late: it was missed, and fetched afterwards."""
        return False


class BackfilledBar(Bar):
    """A `Bar`, equal to one, that a live market tells late."""

    __slots__ = ()

    @property
    def is_backfilled(self) -> bool:
        """True."""
        return True


class Tick(NamedTuple):
    """One trade or change of the best bid and ask; `qty` is the traded quantity (0 for a quote).

    In a backtest no spread is known: `bid` and `ask` are `last`. A price of a candle has the quantity 0.
    """

    time: int
    symbol: str
    bid: float
    ask: float
    last: float
    qty: float

    @property
    def timestamp(self) -> pd.Timestamp:
        """The moment as a timezone-aware pandas Timestamp."""
        return _timestamp(self.time)


class Ticker(NamedTuple):
    """Prices of a market at one moment (ms UTC; 0 where the exchange does not say), in quote per base.

    `mark_price` is what contracts are valued at, `index_price` the price that they follow. None: not told.
    """

    time: int
    symbol: str
    bid: float | None
    ask: float | None
    last: float | None
    mark_price: float | None = None
    index_price: float | None = None


class OrderBook(NamedTuple):
    """The book as (price, qty) levels, best first."""

    time: int
    symbol: str
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]


class Fill(NamedTuple):
    """One execution.

    `fee`, `slippage` and `pnl` are in the settlement currency. `slippage` is what the fill lost against the
    price it was matched at (>= 0); `pnl` is the realised profit, before fees, of the part that closed a
    position. `time` is the moment of the fill; inside a bar, the open time of the finest one
    that it is walked by, or the tick behind it.
    """

    id: int
    time: int
    symbol: str
    order_id: str
    side: Side
    qty: float
    price: float
    fee: float
    is_maker: bool
    slippage: float
    pnl: float
    reason: ExitReason
    tag: str | None = None

    @property
    def timestamp(self) -> pd.Timestamp:
        """The moment as a timezone-aware pandas Timestamp."""
        return _timestamp(self.time)


class Rejection(NamedTuple):
    """Why an order was refused: a stable `reason` code and a `message` for people."""

    time: int
    symbol: str
    order_id: str
    reason: str
    message: str


class Trade(NamedTuple):
    """A round trip in one symbol (hedge mode: in one leg of it), from flat to flat; a reversal ends one.

    `qty` is the largest quantity held; `entry_price` and `exit_price` are averages over the fills (inverse:
    harmonic). `pnl` is before costs, with `fees`, `slippage` and `funding` beside it, all in the settlement
    currency: the fills' prices already hold the slippage, so net profit = pnl - fees + funding. A trade that is
    still open has no exit and its pnl is marked at the last close. `ambiguous` says that one bar reached both
    the stop and the target, and the stop was taken.
    """

    id: int
    symbol: str
    side: str
    qty: float
    entry_time: int
    entry_price: float
    exit_time: int | None
    exit_price: float | None
    pnl: float
    fees: float
    slippage: float
    funding: float
    entry_notional: float
    exit_reason: ExitReason | None
    tag: str | None
    ambiguous: bool

    @property
    def net_pnl(self) -> float:
        """Profit after fees and funding, in the settlement currency."""
        return self.pnl - self.fees + self.funding

    @property
    def return_pct(self) -> float:
        """Net profit in percent of the notional at entry (both in the settlement currency)."""
        return 100.0 * self.net_pnl / self.entry_notional if self.entry_notional else 0.0


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order as it stood at one moment; news of it arrives as new values through `on_order`.

    `qty`, `filled` in base units (inverse: face value in quote); `price`, `stop_price`, `stop_loss`,
    `take_profit` in quote per base; `fee` in the settlement currency; `strategy_id` marks whose order it is
    (MetaTrader's magic number). `position_side` is the leg that it works on in hedge mode, ``"long"`` or
    ``"short"``, None in one-way mode. `id` is ours and goes to the exchange as the client order id; `exchange_id`
    is what the exchange calls it, None where there is none.
    """

    id: str
    symbol: str
    side: Side
    type: OrderType
    qty: float
    price: float | None = None
    stop_price: float | None = None
    status: OrderStatus = OrderStatus.PENDING
    filled: float = 0.0
    average_price: float | None = None
    fee: float = 0.0
    reduce_only: bool = False
    post_only: bool = False
    tif: TimeInForce = TimeInForce.GTC
    stop_loss: float | None = None
    take_profit: float | None = None
    tag: str | None = None
    strategy_id: int = 0
    position_side: str | None = None
    reason: ExitReason = ExitReason.ORDER
    message: str | None = None
    created: int = 0
    updated: int = 0
    exchange_id: str | None = None

    @property
    def remaining(self) -> float:
        """The quantity that is not filled yet."""
        return self.qty - self.filled

    @property
    def is_working(self) -> bool:
        """True while the order can still trade."""
        return self.status in (OrderStatus.PENDING, OrderStatus.OPEN)

    def as_dict(self) -> dict[str, Any]:
        """What JSON can hold of it: the fields that differ from their defaults."""
        return {name: value for name, value in self.__dict__.items() if value != _ORDER_DEFAULTS[name]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Order:
        """The order that `as_dict` described.

        Raises:
            ValueError: a word is unknown.
            TypeError: a field is unknown or missing.
        """
        return cls(**{name: _ORDER_WORDS.get(name, _as_is)(value) for name, value in values.items()})

    def changed(self, **values: Any) -> Order:
        """The same order but for `values` by field: `dataclasses.replace`, which takes five times as long."""
        content = self.__dict__ | values
        if len(content) > len(self.__dict__):
            raise AttributeError(f"an order has no {min(values.keys() - self.__dict__.keys())!r}")
        return Order.of(content)

    def fields(self) -> dict[str, Any]:
        """All fields by name, for `of`: the quickest way to an order that differs in many of them."""
        return self.__dict__.copy()

    @staticmethod
    def of(fields: dict[str, Any]) -> Order:
        """The order of these fields, which must be all there are; the dict becomes its own."""
        made = _new(Order)
        _take(made, fields)
        return made


_new: Any = object.__new__
_take: Any = vars(Order)["__dict__"].__set__  # an order is frozen: nothing else can set its fields
_ORDER_DEFAULTS: dict[str, Any] = {one.name: one.default for one in fields(Order)}
_ORDER_WORDS: dict[str, Callable[[Any], Any]] = {
    "side": Side, "type": OrderType, "status": OrderStatus, "tif": TimeInForce, "reason": ExitReason,
}  # fmt: skip


def _as_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The net position in one symbol, or one leg of it in hedge mode; `qty` is signed (long > 0, short < 0).

    A flat one is falsy. `margin` (initial margin held), `unrealized_pnl`, `realized_pnl` (of this position so far,
    before fees) and `funding` (received so far, negative when paid) are in the settlement currency.
    `position_side` names the leg in hedge mode, ``"long"`` or ``"short"``, flat or not. `margin_mode` is told by
    exchanges only, where they do.
    """

    symbol: str
    position_side: str | None = None
    qty: float = 0.0
    entry_price: float | None = None
    mark_price: float | None = None
    unrealized_pnl: float = 0.0
    realized_pnl: float = 0.0
    funding: float = 0.0
    margin: float = 0.0
    leverage: float = 1.0
    liquidation_price: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None
    opened: int | None = None
    margin_mode: MarginMode | None = None

    def __bool__(self) -> bool:
        return self.qty != 0.0

    @property
    def side(self) -> str:
        """``"long"``, ``"short"`` or ``"flat"``."""
        return "long" if self.qty > 0 else "short" if self.qty < 0 else "flat"

    @property
    def is_long(self) -> bool:
        """True when `qty` > 0."""
        return self.qty > 0

    @property
    def is_short(self) -> bool:
        """True when `qty` < 0."""
        return self.qty < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account in its settlement `currency`; `balance` is realised, `equity` adds unrealised pnl."""

    currency: str
    balance: float
    equity: float
    unrealized_pnl: float = 0.0
    margin_used: float = 0.0
    margin_free: float = 0.0
    time: int = 0


class Tier(NamedTuple):
    """The margin rules of positions whose notional is at most `max_notional` (settlement currency).

    Maintenance margin = notional * `rate` - `deduction` (Binance's maintenance amount, "cum"). Positions opened in
    this tier may use at most `max_leverage`.
    """

    max_notional: float
    rate: float
    deduction: float = 0.0
    max_leverage: float = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One tradable instrument and its rules.

    `qty_step`, `min_qty`, `max_qty` are in the unit of `Order.qty` (base; inverse: face value in quote).
    `min_notional` is in quote. `maker` and `taker` are fee rates (0.001 = 0.1 %). `contract_size` is how many
    `qty` units one contract of the exchange holds. None means: no such limit. `tiers` ascend by notional and by
    rate; where there are none, `maintenance_margin_rate` holds for every position. `id` is the exchange's own
    name of the market, `max_market_qty` its limit for orders without a price: market orders and stops.
    `amount_step` is set where the exchange counts inverse contracts in base: its step there, in base.

    Raises:
        ConfigError: `tiers` do not ascend.
    """

    symbol: str
    exchange: str
    type: MarketType
    base: str
    quote: str
    settle: str
    contract_type: ContractType | None = None
    contract_size: float = 1.0
    price_tick: float = 0.01
    qty_step: float = 1e-8
    min_qty: float = 0.0
    max_qty: float | None = None
    min_notional: float = 0.0
    max_notional: float | None = None
    maker: float = 0.001
    taker: float = 0.001
    max_leverage: float = 1.0
    maintenance_margin_rate: float = 0.005
    liquidation_fee_rate: float = 0.005
    expiry: int | None = None
    strike: float | None = None
    option_type: str | None = None
    synthetic: bool = False
    source: str = field(default="", compare=False)
    tiers: tuple[Tier, ...] = ()
    id: str = ""
    max_market_qty: float | None = None
    amount_step: float | None = None

    def __post_init__(self) -> None:
        tiers = tuple(Tier(*values) for values in self.tiers)  # read back from JSON they are bare lists
        for lower, upper in pairwise(tiers):
            if not (lower.max_notional < upper.max_notional and lower.rate <= upper.rate):
                raise ConfigError(
                    f"{self.symbol}: margin tiers must ascend by notional and rate: {lower}, {upper}"
                )
        object.__setattr__(self, "tiers", tiers)

    def as_dict(self) -> dict[str, Any]:
        """What JSON can hold of it: all but `source`."""
        return {name: value for name, value in asdict(self).items() if name != "source"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Market:
        """The market that `as_dict` described.

        Raises:
            ValueError: these are no fields of a market, or a word in them is unknown.
            TypeError, KeyError: a field is missing.
        """
        if not set(values) <= {field.name for field in fields(cls)} - {"source"}:
            raise ValueError("not the fields of a market")
        settled = values["contract_type"]
        known: dict[str, Any] = {
            "type": MarketType(values["type"]),
            "contract_type": None if settled is None else ContractType(settled),
        }
        return cls(**{**values, **known})

    @property
    def is_inverse(self) -> bool:
        """True for a future that settles in base. Options are booked in their premium's currency, as linear."""
        return self.contract_type is ContractType.INVERSE and not self.is_option

    @property
    def is_option(self) -> bool:
        """True for an option."""
        return self.option_type is not None

    def has_ended(self, time: int) -> bool:
        """True from the expiry of the contract on; `time` in ms UTC."""
        return self.expiry is not None and not self.is_spot and self.expiry <= time

    @property
    def is_spot(self) -> bool:
        """True for a spot market."""
        return self.type is MarketType.SPOT


def maker[T](kind: type[T]) -> Callable[[Iterable[Any]], T]:
    """What makes records of a NamedTuple from all their fields, in a third of the time of its constructor."""
    plain: Any = tuple
    return partial(plain.__new__, kind)


def _timestamp(time_ms: int) -> pd.Timestamp:
    import pandas as pd

    return pd.Timestamp(time_ms, unit="ms", tz="UTC")
