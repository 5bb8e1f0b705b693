"""`metaexpert data download`: history from an exchange into the candle store."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from ..exchanges.download import Downloaded, Progress

__all__ = ["download"]


def download(
    exchange: Annotated[str, typer.Argument(help="Such as binance; metaexpert exchanges lists them.")],
    symbols: Annotated[list[str], typer.Argument(help="Such as BTCUSDT ETHUSDT.", metavar="SYMBOL...")],
    timeframe: Annotated[str | None, typer.Option(help="Such as 1m; funding and trades have none.")] = None,
    start: Annotated[str | None, typer.Option(help="First day or time (UTC); default: a year back.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day, or time to end before; default: now.")] = None,
    kind: Annotated[str, typer.Option(help="candles, mark, index, funding or trades.")] = "candles",
    market_type: Annotated[
        str, typer.Option("--type", "--market-type", help="spot, futures or options.")
    ] = "spot",
    contract_type: Annotated[
        str, typer.Option("--contract", "--contract-type", help="For futures: linear or inverse.")
    ] = "linear",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Download candles, mark or index prices, funding rates or trades.

    Only what the store lacks is asked for. After an interruption the same command goes on where it was.
    """
    from ..exchanges import MetaExchange

    try:
        with (
            _Bars() as bars,
            MetaExchange(
                exchange, market_type=market_type, contract_type=contract_type, progress=bars.update
            ) as source,
        ):
            done = source.download(symbols, timeframe, start, end, kind=kind)
    except KeyboardInterrupt:
        typer.echo("interrupted: what came is stored; the same command goes on from there", err=True)
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in done], indent=2))
    else:
        _print(done)


def _print(done: Sequence[Downloaded]) -> None:
    from ..importer import when
    from ..kinds import parse_name

    for one in done:
        kind, _ = parse_name(one.name)
        span = f"{when(one.start)} to {when(one.end)} UTC"
        rows = f"{one.added} new {kind.plural}" if one.rows else f"no new {kind.plural}"
        typer.echo(f"{one.symbol} {one.name}: {rows}, {span} ({one.requests} requests)")
        for note in one.notes:
            typer.echo(f"  {note}")


class _Bars:
    """One progress bar a series on stderr, on a terminal only."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, told: Progress) -> None:
        """Show how far a series is."""
        if not self._is_terminal:
            return
        bar, key = self._bar or self._begin(), (told.symbol, told.name)
        if key not in self._tasks:
            self._tasks[key] = bar.add_task(f"{told.symbol} {told.name}", total=told.total)
        bar.update(self._tasks[key], completed=told.done)

    def _begin(self) -> Bar:
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), transient=True)
        self._bar.start()
        return self._bar
