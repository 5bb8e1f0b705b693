"""The file ``.env`` of keys beside an expert: what stands in it, and who else may see that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from .errors import ConfigError

__all__ = ["Exposure", "exposures", "load_env"]

_GIT_S = 5.0


class Exposure(NamedTuple):
    """A way in which others come by the keys in a ``.env`` file, and what to do about it."""

    text: str
    advice: str


def load_env(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Read the file ``.env`` in `folder` without touching the process's environment; {} when there is none.

    Values are taken literally: ``${NAME}`` is not replaced.

    Raises:
        ConfigError: the file can't be read, or a line of it makes no sense. No value is ever shown.
    """
    path = Path(folder) / ".env"
    if not path.is_file():
        return {}
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read as UTF-8 text ({type(error).__name__}): mend the file") from None
    for binding in bindings:
        if binding.error:
            raise ConfigError(f"{path}, line {binding.original.line}: write NAME=value, one a line")
    return {binding.key: binding.value for binding in bindings if binding.key and binding.value is not None}


def exposures(folder: str | os.PathLike[str]) -> tuple[Exposure, ...]:
    """Who else may see the file ``.env`` in `folder`: other users of this computer, readers of its git repository.

    () when nobody is known to, or there is no such file. On Windows nothing is said about users.
    """
    path = Path(folder).absolute() / ".env"
    if not path.is_file():
        return ()
    found: list[Exposure] = []
    if os.name == "posix" and path.stat().st_mode & 0o077:
        found.append(Exposure(f"{path} can be read by other users of this computer", f"chmod 600 {path}"))
    if _is_tracked(path):
        advice = f"git rm --cached {path}, and give the exchange new keys: these stay in its history"
        found.append(Exposure(f"{path} is tracked by git: whoever gets the repository gets the keys", advice))
    return tuple(found)


def _is_tracked(path: Path) -> bool:
    """Is a file in the index of a git repository? Not known, so False, where there is no git."""
    import shutil
    import subprocess

    git = shutil.which("git")
    if git is None:
        return False
    asked = [git, "-C", str(path.parent), "ls-files", "--error-unmatch", "--", path.name]
    try:
        return subprocess.run(asked, capture_output=True, timeout=_GIT_S, check=False).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
