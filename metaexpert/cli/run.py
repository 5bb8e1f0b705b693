"""`metaexpert run PATH`."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .backtest import parse_changes

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..loading import Loaded
    from ..running import Run

__all__ = ["run"]

_REFRESH_S = 0.5


def run(
    path: Annotated[
        str, typer.Argument(help="The expert: a Python file, or a folder with main.py.", metavar="PATH")
    ],
    mode: Annotated[str, typer.Option(help="paper: live prices, simulated money; live: real orders.")] = "paper",
    symbol: Annotated[str | None, typer.Option(help="Another symbol; several with commas between.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Other bars, such as 1m or 1h.")] = None,
    capital: Annotated[float | None, typer.Option(help="Initial capital of a fresh paper account.")] = None,
    exchange: Annotated[str | None, typer.Option(help="The live market of another exchange.")] = None,
    market_type: Annotated[str | None, typer.Option(help="spot, futures or options.")] = None,
    contract_type: Annotated[str | None, typer.Option(help="For futures: linear or inverse.")] = None,
    fills: Annotated[
        str | None, typer.Option(help="What market orders get: quotes, book, or the next of the trades.")
    ] = None,
    latency: Annotated[int | None, typer.Option(help="How long an order is on its way, in ms.")] = None,
    speed: Annotated[float | None, typer.Option(help="On demo: how many times as fast as the world.")] = None,
    fresh: Annotated[
        bool | None, typer.Option("--fresh", help="Begin anew, not where the last run stopped.")
    ] = None,
    testnet: Annotated[bool | None, typer.Option("--testnet", help="Use the exchange's test network.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Live: begin without asking.")] = False,
    no_limits: Annotated[
        bool | None, typer.Option("--no-limits", help="Live: trade without a loss limit.")
    ] = None,
    adopt: Annotated[
        bool | None, typer.Option("--adopt", help="Live: take over positions in its symbols that are nobody's.")
    ] = None,
    flatten: Annotated[
        bool | None, typer.Option("--flatten", help="Live: only close what is its own, and end.")
    ] = None,
    on_stop: Annotated[
        str | None, typer.Option(help="Live: what a stop does with positions: leave or flatten.")
    ] = None,
    on_stop_failure: Annotated[
        str | None, typer.Option(help="Live: when a stop order is refused: close, retry or alert.")
    ] = None,
    max_slippage: Annotated[
        float | None, typer.Option(help="Live: how far a market entry may fill from the best quote, in percent.")
    ] = None,
    max_entries: Annotated[
        int | None, typer.Option(help="Live: entries that are sent within a minute at most; 0: any number.")
    ] = None,
    account_daily_loss: Annotated[
        float | None, typer.Option(help="Live: daily_loss_limit of the whole account, in its currency.")
    ] = None,
    account_drawdown: Annotated[
        float | None, typer.Option(help="Live: max_drawdown_pct of the whole account, a fraction.")
    ] = None,
    dead_man: Annotated[
        int | None, typer.Option(help="Live: seconds without a sign of life until entries are cancelled; 0: off.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", min=0.001, metavar="SECONDS", help="Stop after so many seconds.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change an input or a strategy setting; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only, at the end.")] = False,
) -> None:
    """Run an expert on a live market until Ctrl-C, and go on where its last run stopped.

    What isn't given is taken from the file's own expert.run(...) call. Before a live run begins it shows what it
    is about to do, and asks.
    """
    from ..loading import load_expert

    loaded = load_expert(path)
    for note in loaded.notes:
        typer.echo(f"note: {note}", err=True)
    inputs, settings = parse_changes(changes or (), loaded.expert.input_names)
    started = loaded.start(
        mode,
        symbol=symbol.split(",") if symbol is not None and "," in symbol else symbol,
        timeframe=timeframe,
        exchange=exchange,
        market_type=market_type,
        contract_type=contract_type,
        initial_capital=capital,
        paper_fills=fills,
        latency_ms=latency,
        speed=speed,
        fresh=fresh,
        testnet=testnet,
        no_limits=no_limits,
        adopt=adopt,
        flatten=flatten,
        on_stop=on_stop,
        on_stop_failure=on_stop_failure,
        max_slippage_pct=max_slippage,
        max_entries_per_minute=max_entries,
        account_daily_loss_limit=account_daily_loss,
        account_max_drawdown_pct=account_drawdown,
        dead_man_s=dead_man,
        settings=settings,
        inputs=inputs,
    )
    if started.job.run.trade_mode == "live":
        _agree(started, assumed=yes)
    asyncio.run(_watched(loaded, started, seconds))
    _show(started, as_json=as_json)


def _agree(run: Run, *, assumed: bool) -> None:
    """Show what a live run is about to do, and have somebody's word that it may.

    Raises:
        ConfigError: nobody is there to ask.
    """
    from ..plan import plan_of

    if not assumed and not sys.stdin.isatty():
        raise ConfigError("a live run begins with your word, and nobody is there to ask: give --yes")
    for line in plan_of(run.job).lines():
        typer.echo(line, err=True)
    if not assumed and not typer.confirm("Begin?", err=True):
        typer.echo("Not begun; nothing was sent or changed.", err=True)
        raise typer.Exit(1)
    run.job = replace(run.job, is_shown=True)


async def _watched(loaded: Loaded, run: Run, seconds: float | None) -> None:
    """Run it to its end, with a status line on a terminal."""
    with loaded.importing():
        run.begin()
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, run.stop)
        if not sys.stderr.isatty():
            await run
            return
        from rich.console import Console
        from rich.live import Live

        task = asyncio.ensure_future(_end_of(run))
        with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as line:
            while not task.done():
                line.update(_status(run), refresh=True)
                await asyncio.wait({task}, timeout=_REFRESH_S)
        await task


async def _end_of(run: Run) -> str:
    return await run


def _status(run: Run) -> RenderableType:
    """One line: time, equity, what is open, what works; of a live run also what is wrong."""
    from rich.text import Text

    account = run.account
    if account is None:
        return Text("connecting ...", style="dim")
    held = "  ".join(f"{one.symbol} {one.qty:+g} ({one.unrealized_pnl:+.2f})" for one in run.positions) or "flat"
    parts = [run.time, f"equity {account.equity:,.2f} {account.currency}", held, f"{len(run.orders)} orders"]
    wrong = [
        f"{what}: {', '.join(symbols)}"
        for what, symbols in (("UNKNOWN orders", run.unknown), ("NO stop", run.unprotected))
        if symbols
    ]
    style = "bold red" if wrong else "bold"
    return Text("  |  ".join([*wrong, *parts]), style=style, no_wrap=True, overflow="ellipsis")


def _show(run: Run, *, as_json: bool) -> None:
    summary: dict[str, Any] = run.summary()
    if as_json:
        typer.echo(json.dumps(summary))
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("", Column(overflow="fold"), show_header=False, box=None)
    for name, value in summary.items():
        table.add_row(name.replace("_", " "), str(value))
    Console(highlight=False).print(table)
