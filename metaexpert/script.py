"""An expert's file as a script: ``python FILE``."""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import MetaExpertError, StrategyError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "LOADED",
    "RUNS_ON_IMPORT",
    "digest_of",
    "is_script",
    "name_of",
    "refuse_run_on_import",
    "say_errors_plainly",
]

LOADED = "metaexpert_file_"
"""What the names of modules begin with that are made of experts' files."""
RUNS_ON_IMPORT = 'this runs the expert whenever the file is imported; put it under: if __name__ == "__main__":'


def is_script(file: Path | None) -> bool:
    """Is `file` what ``python FILE`` was told to run?"""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return file is not None and main is not None and Path(main).resolve() == file.resolve()


def name_of(file: Path | None) -> str:
    """The expert's name: that of its file, or of its folder when the file is main.py."""
    if file is None:
        return "expert"
    return file.resolve().parent.name if file.stem == "main" else file.stem


def digest_of(file: Path | None) -> str:
    """The SHA-256 of an expert's file, in hex; empty where there is none."""
    return "" if file is None else hashlib.sha256(file.read_bytes()).hexdigest()


def refuse_run_on_import() -> None:
    """Refuse to run an expert from the top level of a file that is being loaded.

    Raises:
        StrategyError: that is where the call comes from.
    """
    frame = inspect.currentframe()
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if frame.f_code.co_name == "<module>" and isinstance(name, str) and name.startswith(LOADED):
            raise StrategyError(RUNS_ON_IMPORT)
        frame = frame.f_back


def say_errors_plainly() -> None:
    """In a script an error that is the user's to mend is one line; a traceback, when there is one, hides keys."""
    in_script = hasattr(sys.modules.get("__main__"), "__file__") and not sys.flags.interactive
    if in_script and sys.excepthook is sys.__excepthook__:
        sys.excepthook = _say


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        print("error: interrupted", file=sys.stderr)  # noqa: T201
    elif isinstance(error, MetaExpertError) and "--debug" not in sys.argv:
        main = getattr(sys.modules["__main__"], "__file__", None)
        lines = [frame.lineno for frame in traceback.extract_tb(trace) if frame.filename == main]
        where = f"{Path(str(main)).name}:{lines[-1]}: " if lines else ""
        print(f"error: {where}{error}", file=sys.stderr)  # noqa: T201
    else:
        from .logger import Redactor

        text = "".join(traceback.format_exception(kind, error, trace))
        print(Redactor().text(text), end="", file=sys.stderr)  # noqa: T201
