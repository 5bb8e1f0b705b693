"""What an expert may call while it runs: look-ups and orders."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any

from .errors import StrategyError
from .models import Side, maker
from .trader import UNSET, OrderTerms

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from .indicators import Indicator
    from .logger import MetaLogger
    from .models import Account, Market, Order, Position
    from .process import MetaProcess
    from .trader import Trader

__all__ = ["TradingCalls"]


_terms = maker(OrderTerms)


class TradingCalls:
    """The calls of an expert that work only while it runs: `_process` is the loop that it runs in."""

    _process: MetaProcess | None = None

    @property
    def log(self) -> MetaLogger:
        """The run's logger."""
        return self._running("log").log

    @property
    def symbols(self) -> tuple[str, ...]:
        """The unified symbols of the run, in the order in which they were declared."""
        return tuple(self._trader("symbols").broker.ledger.holdings)

    @property
    def positions(self) -> list[Position]:
        """The open positions."""
        return self._trader("positions").positions()

    @property
    def orders(self) -> list[Order]:
        """The orders that can still trade, oldest first."""
        return list(self._trader("orders").broker.working())

    @property
    def account(self) -> Account:
        """The account now."""
        return self._trader("account").account()

    def position(self, symbol: str | None = None, side: str | None = None) -> Position:
        """The position in `symbol` (default: the first; hedge mode: on `side`), a flat one when there is none."""
        return self._trader("position").position(symbol, side)

    def market(self, symbol: str | None = None) -> Market:
        """The market of `symbol` (default: the first) and its rules."""
        return self._trader("market").market(symbol)

    def rates(
        self, symbol: str | None = None, timeframe: str | None = None, count: int | None = None
    ) -> pd.DataFrame:
        """The last `count` closed bars known now (default: `lookback_bars`), oldest first."""
        trader = self._trader("rates")
        return trader.series(symbol, timeframe).rates(trader.settings.lookback_bars if count is None else count)

    def indicator(
        self,
        what: str | Callable[..., Any],
        *,
        symbol: str | None = None,
        timeframe: str | None = None,
        **kwargs: Any,
    ) -> Indicator:
        """An indicator that follows the run: ``ind[-1]`` is its value at the last closed bar.

        Args:
            what: a pandas-ta name (``"ema"``), or a function of the bars that returns one value a bar.
            symbol: default the first symbol.
            timeframe: default the strategy's own.
            **kwargs: the indicator's parameters.
        """
        return self._trader("indicator").series(symbol, timeframe).indicator(what, **kwargs)

    def now(self) -> pd.Timestamp:
        """The run's time (simulated in a backtest), UTC."""
        import pandas as pd

        return pd.Timestamp(self._running("now").clock.now(), unit="ms", tz="UTC")

    # -- trading calls --------------------------------------------------------------------------------------------

    def buy(
        self, qty: float | None = None, price: float | None = None, stop_price: float | None = None, *,
        symbol: str | None = None, stop_loss: float | None = None, take_profit: float | None = None,
        reduce_only: bool = False, post_only: bool = False, tif: str = "GTC", tag: str | None = None,
    ) -> Order:  # fmt: skip
        """Send a buy order; returns at once, news of it comes through `on_order` and `on_transaction`.

        Market without a price, limit with `price`, stop with `stop_price`, stop-limit with both. In hedge mode it
        works on the long position, with `reduce_only` on the short one.

        Args:
            qty: base units (inverse: face value in quote); None sizes it by `size_type`.
            price: limit price.
            stop_price: the price at which it is triggered.
            symbol: default the first symbol.
            stop_loss: price of the stop-loss of the position that it opens.
            take_profit: price of the take-profit.
            reduce_only: never opens or grows a position.
            post_only: is refused rather than fill as taker.
            tif: ``"GTC"``, ``"IOC"`` or ``"FOK"``.
            tag: a word of yours that fills and trades carry; default `comment`.

        Raises:
            StrategyError: an argument makes no sense. An order that the market or the account can't take is no
                error: it comes back as rejected.
        """
        terms = _terms((price, stop_price, stop_loss, take_profit, reduce_only, post_only, tif, tag))
        return self._desk("buy").send(Side.BUY, qty, symbol, terms)

    def sell(
        self, qty: float | None = None, price: float | None = None, stop_price: float | None = None, *,
        symbol: str | None = None, stop_loss: float | None = None, take_profit: float | None = None,
        reduce_only: bool = False, post_only: bool = False, tif: str = "GTC", tag: str | None = None,
    ) -> Order:  # fmt: skip
        """Send a sell order; see `buy`. On spot, without `qty`, it sells what is held."""
        terms = _terms((price, stop_price, stop_loss, take_profit, reduce_only, post_only, tif, tag))
        return self._desk("sell").send(Side.SELL, qty, symbol, terms)

    def open_position(
        self, side: str, qty: float | None = None, price: float | None = None, stop_price: float | None = None, *,
        symbol: str | None = None, stop_loss: float | None = None, take_profit: float | None = None,
        post_only: bool = False, tif: str = "GTC", tag: str | None = None,
    ) -> Order:  # fmt: skip
        """Open a ``"long"`` or ``"short"`` position, sized by `size_type` unless `qty` is given.

        In one-way mode an opposite position is closed by the same order. The other arguments are those of `buy`.
        """
        terms = _terms((price, stop_price, stop_loss, take_profit, False, post_only, tif, tag))
        return self._desk("open_position").open(side, qty, symbol, terms)

    def close_position(
        self, symbol: str | None = None, side: str | None = None, qty: float | None = None
    ) -> Order | None:
        """Close the position (on `side`), or `qty` of it, at market; None when there is nothing to close."""
        return self._desk("close_position").close(symbol, side, qty)

    def close_all_positions(self) -> list[Order]:
        """Close every position at market."""
        return self._desk("close_all_positions").close_all()

    def modify_position(
        self, symbol: str | None = None, *, side: str | None = None, stop_loss: float | None = UNSET,
        take_profit: float | None = UNSET, trailing_stop: float | None = UNSET,
        trailing_activation: float | None = UNSET, breakeven: float | None = UNSET,
    ) -> Position:  # fmt: skip
        """Change the protective levels of the position in `symbol`; None removes one, not giving it keeps it.

        A level that the market has reached already is refused: a warning says why, and all stay as they were.

        Args:
            symbol: default the first symbol.
            side: in hedge mode which of two positions, ``"long"`` or ``"short"``.
            stop_loss: price.
            take_profit: price.
            trailing_stop: distance in percent.
            trailing_activation: profit in percent from which it trails.
            breakeven: profit in percent at which the stop moves to the entry price.

        Returns:
            The position afterwards; a flat one, and a warning in the log, when there is none.
        """
        given = {
            "stop_loss": stop_loss, "take_profit": take_profit, "trailing_stop_pct": trailing_stop,
            "trailing_activation_pct": trailing_activation, "breakeven_pct": breakeven,
        }  # fmt: skip
        trader = self._desk("modify_position")
        trader.protect(symbol, {name: value for name, value in given.items() if value is not UNSET}, side)
        return trader.position(symbol, side)

    def modify_order(self, order: Order | str, price: float | None = None, qty: float | None = None) -> bool:
        """Change price (stop orders: stop price) or quantity of a working order; False when it works no more."""
        return self._desk("modify_order").modify(order, price, qty)

    def cancel_order(self, order: Order | str) -> bool:
        """Cancel a working order; False when it works no more."""
        return self._desk("cancel_order").cancel(order)

    def cancel_all_orders(self, symbol: str | None = None) -> int:
        """Cancel the working orders of `symbol`, or all; returns how many."""
        return self._desk("cancel_all_orders").cancel_all(symbol)

    def stop(self, reason: object = "user_stop") -> None:
        """Stop the run after what is going on now; `on_deinit` gets the reason, a short word."""
        if not isinstance(reason, str) or not reason.isprintable() or not reason.strip():
            raise StrategyError(f"stop: reason must be a word, got {reason!r}")
        self._running("stop").stop(reason)

    def _running(self, call: str) -> MetaProcess:
        if self._process is None:
            raise StrategyError(f"expert.{call} works only while the expert runs: use it in a handler")
        return self._process

    def _trader(self, call: str) -> Trader:
        process = self._process
        return self._running(call).trader if process is None else process.trader

    def _desk(self, call: str) -> Trader:
        """What takes orders, from the thread alone that the expert runs in."""
        process = self._running(call) if self._process is None else self._process
        if process.thread is not None and process.thread != get_ident():
            raise StrategyError(
                f"expert.{call} was called from another thread: orders are sent by handlers; let the thread leave "
                "what it found where a handler or timer looks, or hand the call to loop.call_soon_threadsafe"
            )
        return process.trader
