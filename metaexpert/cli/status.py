"""`metaexpert status PATH`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

__all__ = ["status"]


def status(
    path: Annotated[
        str, typer.Argument(help="The expert: a Python file or its folder; or a run's id.", metavar="PATH")
    ],
    mode: Annotated[str | None, typer.Option(help="paper or live; default: what it ran last.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Show how an expert stands by its journal, while it runs or after: account, positions, orders, limits.

    Nothing is changed and no exchange is asked.
    """
    from ..status import status_of

    found = status_of(path, mode)
    typer.echo(json.dumps(found.as_dict()) if as_json else "\n".join(found.lines()))
