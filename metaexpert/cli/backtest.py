"""`metaexpert backtest PATH`."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from ..errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress

    from ..backtest.result import Result
    from ..clock import Clock
    from ..loading import Loaded

__all__ = ["backtest", "parse_changes", "run_file", "show"]

_LONG_MS = 1000  # a run that takes longer than this gets a progress bar


def backtest(
    path: Annotated[
        str, typer.Argument(help="The expert: a Python file, or a folder with main.py.", metavar="PATH")
    ],
    start: Annotated[str | None, typer.Option(help="First day or moment, UTC, such as 2024-01-01.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day (all of it) or moment, UTC.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Another symbol; several with commas between.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Other bars, such as 15m, 1h or 1d.")] = None,
    capital: Annotated[float | None, typer.Option(help="Initial capital, in the account's currency.")] = None,
    exchange: Annotated[str | None, typer.Option(help="Candles and market rules of another exchange.")] = None,
    market_type: Annotated[str | None, typer.Option(help="spot, futures or options.")] = None,
    contract_type: Annotated[str | None, typer.Option(help="For futures: linear or inverse.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change an input or a strategy setting; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
    save: Annotated[bool, typer.Option(help="Keep the result and its manifest in the data folder.")] = True,
) -> None:
    """Backtest an expert and print the result.

    What isn't given is taken from the file's own expert.run(...) call.
    """
    from ..loading import load_expert

    loaded = load_expert(path)
    for note in loaded.notes:
        typer.echo(f"note: {note}", err=True)
    options = {
        "start": start,
        "end": end,
        "capital": capital,
        "symbol": symbol.split(",") if symbol is not None and "," in symbol else symbol,
        "timeframe": timeframe,
        "exchange": exchange,
        "market_type": market_type,
        "contract_type": contract_type,
    }
    result = run_file(loaded, changes or (), **options)
    show(result, as_json=as_json)
    if save:
        folder = result.save()
        if not as_json:
            typer.echo(f"Saved in {folder}")


def run_file(loaded: Loaded, changes: Sequence[str] = (), **options: Any) -> Result:
    """Backtest a loaded expert: `options` win over the file's own run(...) call, `changes` over its settings."""
    from ..clock import WallClock

    inputs, settings = parse_changes(changes, loaded.expert.input_names)
    with _LateProgress(WallClock()) as progress:
        return loaded.backtest(**options, inputs=inputs, settings=settings, progress=progress.update)


def parse_changes(changes: Sequence[str], input_names: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Deal ``name=value`` texts out to (inputs, strategy settings); values are Python literals, else text.

    Raises:
        ConfigError: a text has no ``=``, or its name is neither an input nor a strategy setting.
    """
    from ..config import StrategySettings

    inputs: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for change in changes:
        name, equals, text = (part.strip() for part in change.partition("="))
        if not equals or not name:
            raise ConfigError(f"--set {change}: write NAME=VALUE, such as --set fast=20")
        if name in input_names:
            inputs[name] = _literal(text)
        elif name in StrategySettings.defaults():
            settings[name] = _literal(text)
        else:
            known = (*input_names, *StrategySettings.defaults())
            raise ConfigError(f"--set {change}: no input or strategy setting {name!r}{did_you_mean(name, known)}")
    return inputs, settings


def _literal(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # the last two: nested too deeply
        return text


def show(result: Result, *, as_json: bool) -> None:
    """Print `result` as a table, in colour on a terminal only, or as JSON."""
    if as_json:
        typer.echo(result.to_json())
        return
    from rich.console import Console

    Console(highlight=False).print(result)


class _LateProgress:
    """A progress bar on stderr that appears only on a terminal, and only when a run turns out to be long."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()
        self._bar: Progress | None = None
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, fraction: float) -> None:
        """Show that `fraction` (0 to 1) of the run is done."""
        if not self._is_terminal:
            return
        if self._bar is None:
            if self._clock.now() - self._began < _LONG_MS:
                return
            self._bar = self._begin()
        self._bar.update(self._bar.task_ids[0], completed=fraction)

    def _begin(self) -> Progress:
        from rich.console import Console
        from rich.progress import Progress

        bar = Progress(console=Console(stderr=True), transient=True)
        bar.add_task("backtest", total=1.0)
        bar.start()
        return bar
