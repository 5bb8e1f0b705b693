"""CCXT's websockets, put right on a subclass, and one blind eye of its requests; the rest of CCXT stays as it is.

They spend the rate limit of the account. A message that can't be read ends its connection, where CCXT would read
no more and let everybody wait. Who asks for a connection can see later whether it is still the same one.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["mended"]


def mended(exchange: str, base: type[Any]) -> type[Any]:
    """A subclass of CCXT's client of `exchange`."""
    mend = _EXCHANGES.get(exchange)
    return _tracked(_timed(base if mend is None else mend(base)))


def _timed(base: Any) -> type[Any]:
    class Timed(base):
        def __init__(self, config: Mapping[str, Any]) -> None:
            base.__init__(self, config)
            self._timers: list[asyncio.TimerHandle] = []

        def delay(self, timeout: float, method: Any, *args: Any) -> None:
            """Begin a task in `timeout` ms, unless this is closed by then."""
            self.open()
            loop = self.asyncio_loop
            self._timers = [one for one in self._timers if one.when() > loop.time()]
            self._timers.append(loop.call_later(timeout / 1000, self.spawn, method, *args))

        async def close(self, *args: Any, **named: Any) -> None:
            """Close it, with what was to be done later."""
            for timer in self._timers:
                timer.cancel()
            self._timers.clear()
            await base.close(self, *args, **named)

    return Timed


def _tracked(base: Any) -> type[Any]:
    class Tracked(base):
        def __init__(self, config: Mapping[str, Any]) -> None:
            base.__init__(self, config)
            self._used: WeakKeyDictionary[asyncio.Task[Any], Any] = WeakKeyDictionary()

        def spawn(self, method: Any, *args: Any) -> Any:
            """Begin a task; KuCoin does so before there is a session, which CCXT takes the loop from."""
            self.open()
            return base.spawn(self, method, *args)

        def client(self, url: str) -> Any:
            """The connection to `url`."""
            is_new = url not in (self.clients or {})
            connection = base.client(self, url)
            if is_new:
                connection.throttle = self.throttle
                connection.handle_message = _guarded(connection)
                connection.future = _heard(connection)
            task = asyncio.current_task()
            if task is not None:
                self._used[task] = connection
            return connection

        @property
        def connection(self) -> Any:
            """The connection that this task has asked for last; None before the first."""
            task = asyncio.current_task()
            return None if task is None else self._used.get(task)

        def is_open(self, connection: Any) -> bool:
            """Is it still the one that is used?"""
            return connection in (self.clients or {}).values()

        def drop(self, connection: Any) -> None:
            """End a connection: whoever waits for something on it gets an error, and the next call dials."""
            if self.is_open(connection):
                connection.on_error(_error("the connection was given up"))

    return Tracked


def _guarded(connection: Any) -> Callable[[Any], None]:
    """Read a message of `connection`; one that can't be read ends it. A ping is answered as far as that goes."""
    handle: Callable[[Any], None] = connection.handle_message

    def guarded(message: Any) -> None:
        try:
            if message.type.name == "PING":  # of CCXT's own answer nobody would hear that it failed, but asyncio
                asyncio.ensure_future(connection.connection.pong(message.data)).add_done_callback(_look)
            else:
                handle(message)
        except Exception as error:  # noqa: BLE001 - whatever a malformed message does to CCXT
            connection.on_error(_error(f"a message can't be read ({type(error).__name__})"))

    return guarded


def _heard(connection: Any) -> Callable[[str], Any]:
    """What is awaited on `connection`; where nobody awaits it any more its failure is not told to the world."""
    future_of: Callable[[str], Any] = connection.future

    def future(name: str) -> Any:
        made = future_of(name)
        made.remove_done_callback(_look)
        made.add_done_callback(_look)
        return made

    return future


def _look(future: asyncio.Future[Any]) -> None:
    """Look at what it failed with, so that asyncio does not complain that nobody did."""
    if not future.cancelled():
        future.exception()


def _error(text: str) -> Exception:
    errors: Any = import_module("ccxt")
    return errors.NetworkError(text)


def _binance(base: Any) -> type[Any]:
    class Binance(base):
        def handle_ohlcv(self, client: Any, message: Mapping[str, Any]) -> None:
            """Candles of COIN-M contracts count contracts in `v`, and base in `q`, as fetched ones do."""
            if "dstream" in client.url:
                candle = message["k"]
                message = {**message, "k": {**candle, "v": candle["q"]}}
            base.handle_ohlcv(self, client, message)

        def handle_my_trade(self, client: Any, message: Mapping[str, Any]) -> None:
            """An execution of a liquidation is one, too; an option's fee is paid in what the option settles in."""
            if message.get("x") == "CALCULATED" and float(message.get("l") or 0.0) > 0.0:
                message = {**message, "x": "TRADE"}
            if message.get("n") and "N" not in message:
                market = self.markets_by_id.get(message.get("s"), [{}])[0]
                message = {**message, "N": market.get("settle")}
            base.handle_my_trade(self, client, message)

    return Binance


def _bitget(base: Any) -> type[Any]:
    class Bitget(base):
        def handle_errors(self, *args: Any) -> Any:
            """A request for a list of things, such as plans to cancel, has failed where all of them have."""
            found = base.handle_errors(self, *args)
            told = cast("dict[str, Any]", args[6]).get("data") if isinstance(args[6], dict) else None
            rows = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
            if rows.get("failureList") and not rows.get("successList"):
                feedback, code = f"{self.id} {args[5]}", rows["failureList"][0].get("errorCode")
                self.throw_exactly_matched_exception(self.exceptions["exact"], code, feedback)
                errors: Any = import_module("ccxt")
                raise errors.ExchangeError(feedback)
            return found

    return Bitget


def _kucoin(base: Any) -> type[Any]:
    class KuCoin(base):
        def get_current_position(self, symbol: str) -> Mapping[str, Any]:
            """What is known of a position: nothing of the first one in a contract, which CCXT makes None of."""
            return base.get_current_position(self, symbol) or {}

    return KuCoin


_EXCHANGES = {"binance": _binance, "bitget": _bitget, "kucoin": _kucoin}
