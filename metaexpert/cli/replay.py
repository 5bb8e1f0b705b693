"""`metaexpert replay RUN`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..rerun import Rerun

__all__ = ["replay"]

_DIFFERS = 1


def replay(
    run: Annotated[
        str, typer.Argument(help="The run's id or its beginning, or an expert: its last run.", metavar="RUN")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Play a run again from its journal and compare what it does with what it did.

    The expert's file is loaded as it is now. The exit code is 1 where something differs.
    """
    from ..rerun import rerun

    made = rerun(run)
    typer.echo(json.dumps(_plain(made)) if as_json else _told(made))
    if not made.comparison.is_equal:
        raise typer.Exit(_DIFFERS)


def _plain(made: Rerun) -> dict[str, Any]:
    kept, shown = made.found.run, made.comparison
    return {
        "run": kept.id,
        "expert": kept.manifest.get("name"),
        "file": kept.manifest.get("file"),
        "journal": str(made.found.journal),
        "reason": kept.reason,
        "lines": shown.lines,
        "equal": shown.is_equal,
        "number": shown.number,
        "recorded": shown.recorded,
        "replayed": shown.replayed,
        "notes": made.notes,
    }


def _told(made: Rerun) -> str:
    kept, shown = made.found.run, made.comparison
    head = f"run {kept.id} of {kept.manifest.get('name')} ({kept.reason or 'still running'})"
    notes = [f"note: {note}" for note in made.notes]
    if shown.is_equal:
        return "\n".join([f"{head}: the replay is equal in all {shown.lines} entries of its log", *notes])
    return "\n".join(
        [
            f"{head}: the replay differs, first in entry {shown.number} of {shown.lines}",
            f"  recorded: {shown.recorded or '(no more)'}",
            f"  replayed: {shown.replayed or '(no more)'}",
            *notes,
        ]
    )
