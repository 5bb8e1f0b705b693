"""Runs that were kept: found by their id, or by the expert that ran."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .errors import JournalError, did_you_mean
from .files import home
from .journal import JournalReader

if TYPE_CHECKING:
    from .journal import Run

__all__ = ["Found", "find"]


class Found(NamedTuple):
    """A run and the journal that it stands in."""

    journal: Path
    run: Run


def find(text: str, mode: str | None = None) -> Found:
    """The run that `text` means.

    Args:
        text: its id or the beginning of it, or an expert's file or folder: the last run of that.
        mode: ``"paper"`` or ``"live"``: only runs of that mode; None: of any.

    Raises:
        JournalError: none, or several; or a journal that may hold it can't be read.
    """
    kept, unreadable = _kept(mode)
    path = Path(text)
    if path.exists():
        file = str((path / "main.py" if path.is_dir() else path).resolve())
        fitting = sorted((one for one in kept if one.run.manifest.get("file") == file), key=lambda one: one.run.id)
    else:
        fitting = [one for one in kept if one.run.id.startswith(text)]
        if len(fitting) > 1:
            ids = ", ".join(f"{one.run.id} ({one.run.manifest.get('name')})" for one in fitting[:5])
            raise JournalError(f"{len(fitting)} runs begin with {text!r}: {ids}; write more of it")
    if fitting:
        return fitting[-1]
    if unreadable:
        raise unreadable[0]
    if path.exists():
        where = "" if mode is None else f" in {mode} mode"
        raise JournalError(f"{text} has not run{where} yet: there is nothing to look at or to replay")
    raise JournalError(f"no run {text!r}{did_you_mean(text, [one.run.id for one in kept])}")


def _kept(mode: str | None) -> tuple[list[Found], list[JournalError]]:
    """Every run of every journal, and what is wrong with those that can't be read."""
    found: list[Found] = []
    unreadable: list[JournalError] = []
    for path in sorted((home() / "experts").glob("*.db")):
        try:
            with JournalReader.open(path) as journal:
                found += [Found(path, run) for run in journal.runs() if mode in (None, run.manifest.get("mode"))]
        except JournalError as error:
            unreadable.append(error)
    return found, unreadable
