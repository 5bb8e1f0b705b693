"""An expert's file as a script: ``python FILE``."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import MetaExpertError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["is_script", "say_errors_plainly"]


def is_script(file: Path | None) -> bool:
    """Is `file` what ``python FILE`` was told to run?"""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return file is not None and main is not None and Path(main).resolve() == file.resolve()


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
