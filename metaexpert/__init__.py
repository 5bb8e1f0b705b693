"""MetaExpert: crypto trading experts in one readable Python file.

Names are loaded on first use, so that `import metaexpert` costs next to nothing. `_EXPORTS` says where each one
lives; the TYPE_CHECKING block says the same to type checkers and editors.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .__version__ import __version__

if TYPE_CHECKING:
    from .answers import Balance, ExchangeFill, Greeks, OptionQuote
    from .backtest.result import Result
    from .building import BarBuilder
    from .errors import (
        AccessDenied,
        AuthenticationError,
        ClockError,
        ConfigError,
        DataError,
        ExchangeError,
        InsufficientFunds,
        JournalError,
        MetaExpertError,
        NetworkError,
        OrderNotFound,
        OrderRejected,
        RequestError,
        StrategyError,
        UnavailableError,
        UnprotectedError,
    )
    from .exchanges import MetaExchange
    from .expert import MetaExpert
    from .indicators import Indicator, cross_above, cross_below, crossover, crossunder
    from .inputs import Input
    from .logger import MetaLogger
    from .models import (
        Account,
        Bar,
        ContractType,
        ExitReason,
        Fill,
        MarginMode,
        Market,
        MarketType,
        Order,
        OrderBook,
        OrderStatus,
        OrderType,
        Position,
        PositionMode,
        Rejection,
        Side,
        SizeType,
        Tick,
        Ticker,
        Tier,
        TimeInForce,
        Trade,
        TradeMode,
    )
    from .process import MetaProcess
    from .research import Backtest

__all__ = [
    "AccessDenied",
    "Account",
    "AuthenticationError",
    "Backtest",
    "Balance",
    "Bar",
    "BarBuilder",
    "ClockError",
    "ConfigError",
    "ContractType",
    "DataError",
    "ExchangeError",
    "ExchangeFill",
    "ExitReason",
    "Fill",
    "Greeks",
    "Indicator",
    "Input",
    "InsufficientFunds",
    "JournalError",
    "MarginMode",
    "Market",
    "MarketType",
    "MetaExchange",
    "MetaExpert",
    "MetaExpertError",
    "MetaLogger",
    "MetaProcess",
    "NetworkError",
    "OptionQuote",
    "Order",
    "OrderBook",
    "OrderNotFound",
    "OrderRejected",
    "OrderStatus",
    "OrderType",
    "Position",
    "PositionMode",
    "Rejection",
    "RequestError",
    "Result",
    "Side",
    "SizeType",
    "StrategyError",
    "Tick",
    "Ticker",
    "Tier",
    "TimeInForce",
    "Trade",
    "TradeMode",
    "UnavailableError",
    "UnprotectedError",
    "__version__",
    "cross_above",
    "cross_below",
    "crossover",
    "crossunder",
]

_EXPORTS = {
    "answers": ("Balance", "ExchangeFill", "Greeks", "OptionQuote"),
    "backtest.result": ("Result",),
    "errors": (
        "AuthenticationError",
        "ConfigError",
        "DataError",
        "ExchangeError",
        "InsufficientFunds",
        "JournalError",
        "MetaExpertError",
        "NetworkError",
        "OrderNotFound",
        "RequestError",
        "UnavailableError",
        "UnprotectedError",
        "ClockError",
        "AccessDenied",
        "OrderRejected",
        "StrategyError",
    ),
    "building": ("BarBuilder",),
    "exchanges": ("MetaExchange",),
    "expert": ("MetaExpert",),
    "inputs": ("Input",),
    "indicators": ("Indicator", "cross_above", "cross_below", "crossover", "crossunder"),
    "logger": ("MetaLogger",),
    "models": (
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
    ),
    "process": ("MetaProcess",),
    "research": ("Backtest",),
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
