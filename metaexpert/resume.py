"""Letting an expert trade again that a loss limit has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .journal import Journal
from .kept import find

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Resumed", "resume"]


_HALTS = ("stopped", "blocked")


class Resumed(NamedTuple):
    """An expert by name, mode and journal, and the limits that kept it from trading, () where none did.

    `is_changed`: its limits count anew.
    """

    name: str
    mode: str
    journal: Path
    limits: tuple[str, ...]
    is_changed: bool


def resume(text: str, mode: str | None = None, *, anew: bool = False) -> Resumed:
    """Let an expert that its loss limits have ended, or blocked, trade again at its next start.

    From then on the limits count anew, from the equity that it begins with. Where no limit keeps it from trading,
    nothing is changed unless `anew`.

    Args:
        text: the expert's file or folder: what it ran last; or a run's id, or the beginning of it.
        mode: ``"paper"`` or ``"live"``: in that mode; None: in whichever it ran last.
        anew: let them count anew in any case, as after money was moved; a day that is lost is over with it.

    Raises:
        ConfigError: it is running.
        JournalError: it has not run, or its journal can't be read or written.
    """
    found = find(text, mode)
    with Journal.open(found.journal) as journal:
        state = journal.last_state()
        halted: tuple[str, ...] = ()
        if state is not None:
            halted = tuple(why for name in _HALTS if (why := state["trader"][name]) is not None)
        is_changed = state is not None and (anew or bool(halted))
        if state is not None and is_changed:
            free = dict.fromkeys((*_HALTS, "limits", "account_limits"))
            journal.revise({**state, "trader": {**state["trader"], **free}})
    return Resumed(found.run.manifest["name"], found.run.manifest["mode"], found.journal, halted, is_changed)
