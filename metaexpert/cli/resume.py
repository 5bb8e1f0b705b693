"""`metaexpert resume PATH`."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["resume"]


def resume(
    path: Annotated[
        str, typer.Argument(help="The expert: a Python file or its folder; or a run's id.", metavar="PATH")
    ],
    mode: Annotated[str | None, typer.Option(help="paper or live; default: what it ran last.")] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Count the limits anew though none was reached, as after moving money.")
    ] = False,
) -> None:
    """Let an expert trade again that a loss limit has ended, from its next start on.

    Its limits then count anew, from the equity that it begins with.
    """
    from ..resume import resume as allow
    from ..status import status_of

    found = allow(path, mode, anew=anew)
    who = f"{found.name} ({found.mode})"
    if found.limits:
        typer.echo(f"{who} was ended by {', '.join(found.limits)} and may trade again when it is next started.")
    elif found.is_changed:
        typer.echo(f"{who}: its limits count anew from its next start on.")
    elif (limit := status_of(path, mode).halted) is not None:
        typer.echo(f"{who} had reached {limit}, which ends by itself at 00:00 UTC: nothing was changed.")
    else:
        typer.echo(f"{who} is not held back by any limit: nothing was changed.")
