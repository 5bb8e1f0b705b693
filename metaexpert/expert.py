"""MetaExpert: what a person types. Decorators register handlers, trading calls go to the run, `run` starts one."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from . import config
from .calls import TradingCalls
from .checks import check
from .envfile import exposures, load_env
from .errors import ConfigError, did_you_mean
from .handlers import Handlers, is_interactive
from .inputs import Inputs
from .models import TradeMode
from .script import digest_of, is_script, name_of, refuse_run_on_import, say_errors_plainly
from .signals import SignalSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .backtest.result import Result
    from .logger import MetaLogger
    from .process import MetaProcess
    from .recorded import Recorder
    from .running import Run

__all__ = ["HANDLERS", "MetaExpert"]

HANDLERS = (
    "on_init", "on_deinit", "on_tick", "on_bar", "on_timer", "on_order", "on_transaction", "on_position",
    "on_account", "on_book", "on_error", "on_backtest_init", "on_backtest", "on_backtest_pass",
    "on_backtest_deinit", "signals",
)  # fmt: skip
"""The decorators of `MetaExpert`."""


class MetaExpert(TradingCalls):
    """One trading expert: its settings, its handlers, and, while it runs, its trading calls.

    Args:
        exchange: where it trades; ``"demo"`` needs nothing.
        **settings: exchange and logging settings (see the settings guide).

    Raises:
        ConfigError: a setting is unknown, of the wrong kind, or contradicts another.
    """

    def __init__(self, exchange: str = "demo", **settings: Any) -> None:
        say_errors_plainly()
        keywords = {"exchange": exchange, **settings}
        own, logging = config.split(keywords, config.ExchangeSettings, config.LogSettings)
        self._exchange_keywords = own
        self._log_settings = config.build(config.LogSettings, logging)
        checked = config.exchange_settings(own)  # what is wrong is said where it was written
        for name in ("api_key", "api_secret", "api_passphrase", "proxy"):
            if own.get(name) is not None:
                own[name] = getattr(checked, name)  # from here on it is hidden
        self._strategy_keywords: dict[str, Any] = {}
        self._handlers = Handlers()
        self._signals: Callable[[Any], Any] | None = None
        self._inputs = Inputs({})
        self._process: MetaProcess | None = None
        self._begun: Run | None = None
        self._is_cut = False

    def __getattr__(self, name: str) -> Any:
        """What experts keep on themselves (``expert.fast = ...``) and is not there yet, or a name mistyped."""
        known = [word for word in dir(type(self)) if not word.startswith("_")]
        hint = did_you_mean(name, [*known, *vars(self)])
        raise AttributeError(f"expert has no {name!r}{hint}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and hasattr(type(self), name):
            raise AttributeError(f"expert.{name} is the library's own: choose another name for yours")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        symbol = self._strategy_keywords.get("symbol")
        return f"MetaExpert(exchange={self._exchange_keywords['exchange']!r}, symbol={symbol!r})"

    # -- decorators -----------------------------------------------------------------------------------------------

    def on_init[F: Callable[..., Any]](self, **settings: Any) -> Callable[[F], F]:
        """Register the function that runs once before any event, with the strategy's settings.

        Raises:
            ConfigError: a setting is unknown, of the wrong kind, or contradicts another; or there is one already.
        """
        if len(settings) == 1 and callable(next(iter(settings.values()))):
            raise ConfigError("@expert.on_init needs its settings: @expert.on_init(symbol=..., timeframe=...)")
        if self.is_ready and not is_interactive():
            raise ConfigError("@expert.on_init is used twice: an expert has one")
        check(config.exchange_settings(self._exchange_keywords), config.build(config.StrategySettings, settings))
        self._strategy_keywords = dict(settings)
        self._handlers.by_event.pop("init", None)
        return self._register("init")

    def on_deinit[F: Callable[..., Any]](self, handler: F) -> F:
        """Register the function that runs once at the end; it gets the reason."""
        if "deinit" in self._handlers and not is_interactive():
            raise ConfigError("@expert.on_deinit is used twice: an expert has one")
        self._handlers.by_event.pop("deinit", None)
        return self._register("deinit")(handler)

    def on_bar[F: Callable[..., Any]](
        self, handler: F | None = None, *, timeframe: str | None = None
    ) -> F | Callable[[F], F]:
        """Register a function that gets each closed `Bar`, of the strategy's timeframe or of `timeframe`."""
        from .timeframe import parse

        if timeframe is not None:
            parse(timeframe)

        def register(function: F) -> F:
            self._handlers.add_bar(timeframe, function)
            return function

        return register if handler is None else register(handler)

    def on_timer[F: Callable[..., Any]](self, interval: object) -> Callable[[F], F]:
        """Register a function that runs every `interval` seconds of the run's clock."""
        if callable(interval):
            raise ConfigError("@expert.on_timer needs its interval: @expert.on_timer(interval=60)")
        if isinstance(interval, bool) or not isinstance(interval, (int, float)) or not 0.001 <= interval <= 1e9:
            raise ConfigError(f"@expert.on_timer: interval must be seconds, at least 0.001, got {interval!r}")
        seconds = float(interval)

        def register(function: F) -> F:
            self._handlers.add_timer(seconds, function)
            return function

        return register

    def on_tick[F: Callable[..., Any]](self, handler: F) -> F:
        """Register a function that gets each `Tick`; in a backtest those of the setting `tick_model`."""
        return self._register("tick")(handler)

    def on_order[F: Callable[..., Any]](self, handler: F) -> F:
        """Register a function that gets the `Order` after each change of its state."""
        return self._register("order")(handler)

    def on_transaction[F: Callable[..., Any]](self, handler: F) -> F:
        """Register a function that gets the `Order` and the `Fill` or `Rejection`, for each of these."""
        return self._register("transaction")(handler)

    def on_position[F: Callable[..., Any]](self, handler: F) -> F:
        """Register a function that gets the `Position` after each change of it."""
        return self._register("position")(handler)

    def on_account[F: Callable[..., Any]](self, handler: F) -> F:
        """Register a function that gets the `Account` after each change of balance, equity or margin."""
        return self._register("account")(handler)

    def on_book[F: Callable[..., Any]](self, handler: F) -> F:
        """Register a function that gets each `OrderBook`. Only live data has books: a backtest never calls it."""
        return self._register("book")(handler)

    def on_error[F: Callable[..., Any]](self, handler: F) -> F:
        """Register a function that gets each error, so that the expert goes on; without one an error stops it."""
        return self._register("error")(handler)

    def on_backtest_init[F: Callable[..., Any]](self, handler: F) -> F:
        """Register a function that runs before the first pass of a backtest."""
        return self._register("backtest_init")(handler)

    def on_backtest[F: Callable[..., Any]](self, handler: F) -> F:
        """Register a function that runs at the end of each pass and returns its criterion, a number."""
        return self._register("backtest")(handler)

    def on_backtest_pass[F: Callable[..., Any]](self, handler: F) -> F:
        """Register a function that runs after each pass of an optimisation."""
        return self._register("backtest_pass")(handler)

    def on_backtest_deinit[F: Callable[..., Any]](self, handler: F) -> F:
        """Register a function that runs after the last pass of a backtest."""
        return self._register("backtest_deinit")(handler)

    def signals[F: Callable[..., Any]](self, function: F) -> F:
        """Register a vectorised strategy: closed bars in, boolean columns out (see `metaexpert.signals`)."""
        if self._signals is not None and not is_interactive():
            raise ConfigError("@expert.signals is used twice: an expert has one")
        self._signals = function
        return function

    def signal_source(self) -> SignalSource:
        """What `Backtest.sweep` needs to know of the expert."""
        own = config.exchange_settings(self._exchange_keywords)
        return SignalSource(self._signals, self._inputs, self._strategy_keywords, own)

    def _register(self, event: str) -> Callable[[Any], Any]:
        def register(handler: Any) -> Any:
            if not callable(handler):
                raise ConfigError(f"@expert.on_{event} decorates a function, not {handler!r}")
            self._handlers.add(event, handler)
            return handler

        return register

    # -- inputs and look-ups --------------------------------------------------------------------------------------

    def inputs(self, **declared: Any) -> Inputs:
        """Declare the inputs, each a default value or an `Input` with a range; returns them for reading."""
        if self.input_names and not is_interactive():
            raise ConfigError("expert.inputs(...) is called twice: declare all inputs in one call")
        self._inputs = Inputs(declared)
        return self._inputs

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return tuple(self._inputs.declared)

    @property
    def is_ready(self) -> bool:
        """True once `on_init` is registered."""
        return "init" in self._handlers

    # -- runs -----------------------------------------------------------------------------------------------------

    @overload
    def run(self, *, trade_mode: Literal["paper", "live"], **settings: Any) -> Run: ...
    @overload
    def run(self, *, trade_mode: Literal["backtest"] = "backtest", **settings: Any) -> Result: ...
    def run(self, *, trade_mode: str = "backtest", **settings: Any) -> Result | Run:
        """Run the expert: ``expert.run(trade_mode="backtest", backtest_start="2024-01-01", ...)``.

        A backtest prints its result in a script. In paper and live mode it returns when the run has stopped
        (Ctrl-C, ``expert.stop()``); inside a running event loop (Jupyter) it returns at once, and the run goes on
        there: ``run.stop()`` stops it, ``await run`` waits for its end. In live mode orders are real.

        Returns:
            The result of the backtest; the `Run` of other modes.

        Raises:
            ConfigError: a setting is wrong or can't be had, or a loss limit has ended the expert.
            DataError: there are no candles.
            ExchangeError: the market can't be reached.
            StrategyError: the expert's own code failed.
        """
        refuse_run_on_import()
        run = config.build(config.RunSettings, {"trade_mode": trade_mode, **settings})
        if run.trade_mode is not TradeMode.BACKTEST:
            return self._start(run).begin()
        result = self._backtest(run)
        if is_script(self._file()):
            print(result)  # noqa: T201 - what the user of a script waits for
            print(f"Saved in {result.save()}")  # noqa: T201
        return result

    async def arun(self, **settings: Any) -> Result | Run:
        """Like `run`, for those who are in a coroutine: the event loop goes on until it returns, at the end."""
        refuse_run_on_import()
        run = config.build(config.RunSettings, settings)
        if run.trade_mode is not TradeMode.BACKTEST:
            started = self._start(run).begin()
            await started
            return started
        try:
            return await asyncio.to_thread(self._backtest, run)
        except asyncio.CancelledError:
            self._cut()
            raise

    def start(
        self, trade_mode: str = "paper", *, symbol: str | list[str] | None = None, timeframe: str | None = None,
        exchange: str | None = None, market_type: str | None = None, contract_type: str | None = None,
        testnet: bool | None = None, settings: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None, path: Path | None = None, **run: Any,
    ) -> Run:  # fmt: skip
        """A run in paper or live mode with some of the file's settings replaced, to be begun by its `begin`.

        Args:
            trade_mode: ``"paper"`` or ``"live"``.
            symbol: other symbol or symbols; None, here and below: as the file says.
            timeframe: other timeframe.
            exchange: other exchange.
            market_type: other market type.
            contract_type: other contract type.
            testnet: use the exchange's test network, or not.
            settings: other strategy settings by name.
            inputs: other inputs by name.
            path: the expert's file, where the code's digest and the ``.env`` file come from.
            **run: settings of the run, such as ``initial_capital``.

        Raises:
            ConfigError: as `run`.
        """
        own = config.build(config.RunSettings, {"trade_mode": trade_mode, **run})
        if own.trade_mode is TradeMode.BACKTEST:
            raise ConfigError(
                "trade_mode='backtest' goes over history: use metaexpert backtest, or expert.backtest(...)"
            )
        strategy = dict(settings or {}) | _given(symbol=symbol, timeframe=timeframe)
        moved = _given(exchange=exchange, market_type=market_type, contract_type=contract_type, testnet=testnet)
        return self._start(own, strategy, moved, dict(inputs or {}), path)

    def _start(
        self, run: config.RunSettings, strategy: Mapping[str, Any] | None = None,
        exchange: Mapping[str, Any] | None = None, inputs: Mapping[str, Any] | None = None,
        path: Path | None = None,
    ) -> Run:  # fmt: skip
        from .running import Run
        from .wiring import LiveJob

        with self._inputs.changed(inputs or {}):
            job = LiveJob(**self._job(run, strategy, exchange, path), file=path or self._file())
        self._begun = Run(job, partial(self._inputs.changed, inputs or {}))
        return self._begun

    def _job(
        self, run: config.RunSettings, strategy: Mapping[str, Any] | None, exchange: Mapping[str, Any] | None,
        path: Path | None,
    ) -> dict[str, Any]:  # fmt: skip
        """What a run of any mode is given."""
        if not self.is_ready:
            raise ConfigError("the expert has no @expert.on_init(symbol=..., timeframe=...): add one")
        if self._process is not None or (self._begun is not None and self._begun.is_running):
            raise ConfigError("the expert is running: wait until it has stopped")
        self._is_cut = False
        file = path or self._file()
        env = load_env(file.parent) if file is not None else None
        own_exchange = config.exchange_settings(self._exchange_keywords, overrides=exchange, dotenv=env)
        own_strategy = config.build(config.StrategySettings, self._strategy_keywords, overrides=strategy)
        name = own_strategy.strategy_name or name_of(file)
        return {
            "name": name,
            "exchange": own_exchange,
            "strategy": own_strategy,
            "run": run,
            "handlers": self._handlers,
            "log": self._logger(name, own_exchange, file, run.trade_mode),
            "bind": self._bind,
            "signals": self._signals,
            "inputs": self._inputs.as_dict(),
            "code": digest_of(file),
            "notes": (*check(own_exchange, own_strategy, run), *_exposed(file, run)),
        }

    def backtest(
        self, start: Any = None, end: Any = None, capital: float | None = None, *,
        symbol: str | list[str] | None = None, timeframe: str | None = None, exchange: str | None = None,
        market_type: str | None = None, contract_type: str | None = None, close_at_end: bool | None = None,
        settings: Mapping[str, Any] | None = None, inputs: Mapping[str, Any] | None = None,
        progress: Callable[[float], None] | None = None, path: Path | None = None, engine: str | None = None,
        recorder: Recorder | None = None, **unknown: Any,
    ) -> Result:  # fmt: skip
        """Backtest with some of the file's settings replaced; what is None stays as the file says.

        Args:
            start: first moment (ISO date or time, datetime, int ms), UTC.
            end: last moment; a date includes that day.
            capital: balance at the start, in the settlement currency.
            symbol: other symbol or symbols.
            timeframe: other timeframe.
            exchange: other exchange.
            market_type: other market type.
            contract_type: other contract type.
            close_at_end: close what is open at the end.
            settings: other strategy settings by name.
            inputs: other inputs by name.
            progress: called with the share done, 0 to 1, now and then.
            path: the expert's file, where the code's digest and the ``.env`` file come from.
            engine: ``"event"`` or ``"kernel"``: play it by this one, which may refuse; None takes the kernel from
                50,000 bars on where the expert trades by ``@expert.signals`` alone and nothing is set that the
                kernel can't model. The result is the same.
            recorder: told every handler call, order and fill, as the journal of a paper run is; see `Recorder`.
            **unknown: anything else, which is refused.

        Raises:
            ConfigError: as `run`; an argument is unknown; or `engine` can't play it.
            DataError: as `run`.
            StrategyError: as `run`.
        """
        if unknown:
            raise _unknown_argument(next(iter(unknown)))
        run = config.build(config.RunSettings, _given(
            backtest_start=start, backtest_end=end, initial_capital=capital, close_at_end=close_at_end
        ))  # fmt: skip
        strategy = dict(settings or {}) | _given(symbol=symbol, timeframe=timeframe)
        moved = _given(exchange=exchange, market_type=market_type, contract_type=contract_type)
        if engine not in (None, "event", "kernel"):
            raise ConfigError(f"unknown engine {engine!r}{did_you_mean(str(engine), ('event', 'kernel'))}")
        return self._backtest(run, strategy, moved, dict(inputs or {}), progress, path, engine, recorder)

    def _backtest(
        self, run: config.RunSettings, strategy: Mapping[str, Any] | None = None,
        exchange: Mapping[str, Any] | None = None, inputs: Mapping[str, Any] | None = None,
        progress: Callable[[float], None] | None = None, path: Path | None = None, engine: str | None = None,
        recorder: Recorder | None = None,
    ) -> Result:  # fmt: skip
        """Build the job, run it, wrap the record; in a thread of its own where a loop already runs here."""
        from .backtest.engine import Job
        from .backtest.engine import run as run_job
        from .backtest.result import Result

        with self._inputs.changed(inputs or {}):
            job = Job(
                **self._job(run, strategy, exchange, path), progress=progress, engine=engine, recorder=recorder
            )
            if self._handlers.is_async and _loop_is_running():
                with ThreadPoolExecutor(1) as pool:
                    try:
                        return Result(pool.submit(run_job, job).result())
                    except KeyboardInterrupt:
                        self._cut()
                        raise
            return Result(run_job(job))

    def _bind(self, process: MetaProcess | None) -> None:
        self._process = process
        if process is not None and self._is_cut:
            process.stop("signal")

    def _cut(self) -> None:
        """Stop what runs in another thread, or will soon."""
        self._is_cut = True  # before the process is looked for: one that is bound meanwhile sees it
        process = self._process
        if process is not None:
            process.stop("signal")

    def _file(self) -> Path | None:
        """The file of the expert's `on_init`, None when it was typed into a notebook or prompt."""
        handlers = self._handlers.by_event.get("init")
        code = getattr(inspect.unwrap(handlers[0]), "__code__", None) if handlers else None
        file = Path(code.co_filename) if code is not None else None
        return file if file is not None and file.is_file() else None

    def _logger(
        self, name: str, exchange: config.ExchangeSettings, file: Path | None, mode: TradeMode
    ) -> Callable[..., MetaLogger]:
        """How the run gets its logger: it is told the run's clock.

        In a backtest the console shows warnings and worse, or everything at ``log_level="DEBUG"``.
        """
        shows_all = mode is not TradeMode.BACKTEST or self._log_settings.log_level == "DEBUG"

        def make(now: Callable[[], int]) -> MetaLogger:
            from .logger import MetaLogger

            return MetaLogger(
                name, self._log_settings, now=now, folder=None if file is None else file.parent,
                secrets=exchange.secrets, console_level=None if shows_all else "WARNING",
            )  # fmt: skip

        return make


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _exposed(file: Path | None, run: config.RunSettings) -> Iterator[str]:
    """Who else may see the keys that a run trades with."""
    if file is not None and run.trade_mode is not TradeMode.BACKTEST:
        yield from (f"{text}: {advice}" for text, advice in exposures(file.parent))


def _unknown_argument(name: str) -> ConfigError:
    """The refusal of an argument that `MetaExpert.backtest` does not have."""
    if name in config.StrategySettings.defaults():
        return ConfigError(f"expert.backtest(...): {name!r} is a setting: give it as settings={{{name!r}: ...}}")
    known = [word for word in inspect.signature(MetaExpert.backtest).parameters if word not in ("self", "unknown")]
    return ConfigError(f"expert.backtest(...): unknown argument {name!r}{did_you_mean(name, known)}")


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
