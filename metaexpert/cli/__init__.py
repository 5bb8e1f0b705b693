"""The `metaexpert` command: parse, call one library function, print. This module turns errors into exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, TextIO, cast

import typer

from ..errors import ConfigError, MetaExpertError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_DONE, _FAILED, _USAGE, _INTERRUPTED = 0, 1, 2, 130


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line `args` (default: the process's own) and leave with its exit code.

    Raises:
        SystemExit: always; 0 done, 1 the work failed, 2 wrong usage, 130 interrupted by Ctrl-C.
    """
    words = list(sys.argv[1:] if args is None else args)
    _speak_utf8(sys.stdout, sys.stderr)
    # --debug may stand before or after the command, so it is read here and not by the command.
    code = _run([word for word in words if word != "--debug"], debug="--debug" in words)
    raise SystemExit(code)


def _run(words: Sequence[str], *, debug: bool) -> int:
    try:
        _invoke(words)
        if _can_print():
            sys.stdout.flush()
    except typer.Exit as end:
        return end.exit_code
    except BrokenPipeError:  # the reader has seen enough, as in `metaexpert ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _DONE
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("error: interrupted", err=True)
        return _INTERRUPTED
    except BaseException as error:  # noqa: BLE001 - the last line of defence turns every error into one line
        if _is_help(error):  # a group without a command, as in `metaexpert data`
            typer.echo(str(error))
            return _DONE
        if debug:
            typer.echo(_traceback(), err=True)
        message, code = _explained(error)
        typer.echo(f"error: {_printable(message)}", err=True)
        return code
    return _DONE


def _can_print() -> bool:
    """False when the process was started with its standard output closed, as by ``>&-``."""
    return cast("TextIO | None", sys.stdout) is not None


def _traceback() -> str:
    """The traceback of the error at hand; its source lines may hold a key: ``MetaExpert(api_key="...")``."""
    from ..logger import Redactor

    return Redactor().text(traceback.format_exc().rstrip())


def _printable(text: str) -> str:
    """`text` without control characters: a file's name or a strange error can't steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _invoke(words: Sequence[str]) -> None:
    from .app import app

    command = typer.main.get_command(app)
    with command.make_context("metaexpert", list(words)) as context:
        command.invoke(context)


def _is_help(error: BaseException) -> bool:
    context = getattr(error, "ctx", None)
    return context is not None and str(error) == context.get_help()


def _explained(error: BaseException) -> tuple[str, int]:
    """Return the one line to print about `error`, and the exit code."""
    if isinstance(error, typer.TyperException):
        return _usage(error), _USAGE
    if isinstance(error, MetaExpertError):
        return " ".join(str(error).split()), _USAGE if isinstance(error, ConfigError) else _FAILED
    said = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror is not None:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror}", _FAILED
    if isinstance(error, SystemExit):
        return f"the expert ended the process (SystemExit: {said}); use expert.stop() instead", _FAILED
    return f"unexpected {type(error).__name__}: {said}; run again with --debug to see where", _FAILED


def _usage(error: typer.TyperException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    if hasattr(error, "possibilities"):
        option = str(getattr(error, "option_name", ""))
        names = [name for param in context.command.params for name in param.opts] if context else []
        message = f"no such option {option!r}{did_you_mean(option, names)}"
    message = message[:1].lower() + message[1:].rstrip(".")
    if context is None or message.endswith("?"):
        return message
    return f"{message}; see: {context.command_path} --help"


def _speak_utf8(*streams: TextIO) -> None:
    """Write UTF-8 into files and pipes on every system, and never fail on a character that a terminal lacks."""
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")
