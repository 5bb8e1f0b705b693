"""The commands and their help."""

from __future__ import annotations

from typing import Annotated

import typer

from ..__version__ import __version__
from . import backtest, data, demo, doctor, exchanges, new, replay, resume, run, status

__all__ = ["app"]

_HELP = """Crypto trading experts in one readable Python file.

Begin with `metaexpert demo`, or with `metaexpert new my_bot` and `metaexpert backtest my_bot`."""

app = typer.Typer(
    name="metaexpert",
    help=_HELP,
    epilog="Exit codes: 0 done, 1 the work failed, 2 wrong usage, 130 interrupted.",
    add_completion=False,
    rich_markup_mode=None,  # drawing help with rich would cost half of the time of `metaexpert --help`
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"metaexpert {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; before or after the command.")
    ] = False,
) -> None:
    """Print the help when no command is given; `version` and `debug` are served before this runs."""
    del version, debug
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def help_(
    context: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(help="The command, such as: backtest, or: data import.")
    ] = None,
) -> None:
    """Show the help of a command."""
    top = context.find_root().command
    with top.make_context("metaexpert", [*(command or []), "--help"]) as inner:
        top.invoke(inner)


app.command("new")(new.new)
app.command("backtest")(backtest.backtest)
app.command("run")(run.run)
app.command("resume")(resume.resume)
app.command("status")(status.status)
app.command("replay")(replay.replay)
app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.command("exchanges")(exchanges.exchanges)
app.command("markets")(exchanges.markets)
app.command("doctor")(doctor.doctor)
app.command("help")(help_)
