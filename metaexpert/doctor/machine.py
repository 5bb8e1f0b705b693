"""This computer: Python, packages, the data folder, the file of keys, and whether the network may be used."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from importlib import metadata
from typing import TYPE_CHECKING

from ..__version__ import __version__
from ..envfile import exposures
from ..errors import ConfigError
from ..exchanges.caller import is_offline
from ..files import home
from .findings import Finding, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "PACKAGES",
    "TESTED_CCXT",
    "data_folder",
    "env_file",
    "machine",
    "network_allowed",
    "packages",
    "python",
]

PACKAGES = (
    "ccxt", "greenlet", "numba", "numpy", "pandas", "pandas-ta-classic", "platformdirs", "pyarrow",
    "python-dotenv", "rich", "structlog", "tenacity", "TA-Lib", "typer",
)  # fmt: skip
"""What MetaExpert can't do without; a test holds it against the package's own dependencies."""
TESTED_CCXT = "4.5.90"
"""The release that the tests run with; CCXT changes what it sends between releases."""

_LITTLE, _TOO_LITTLE = 2**30, 50 * 2**20  # bytes: a year of minute candles takes some 25 MB before packing


def machine(folder: Path) -> list[Finding]:
    """Every check that needs no network.

    Args:
        folder: where the file ``.env`` may be.
    """
    return [python(), packages(), data_folder(), *env_file(folder), network_allowed()]


def python() -> Finding:
    """Which Python this is, and where."""
    version = ".".join(map(str, sys.version_info[:3]))
    text = f"{version} on {platform.system()} {platform.machine()}, MetaExpert {__version__}"
    return Finding("python", Status.OK, text)


def packages(version: Callable[[str], str] = metadata.version) -> Finding:
    """Which versions are installed of what MetaExpert needs."""
    found: dict[str, str] = {}
    missing: list[str] = []
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        advice = f"python -m pip install {' '.join(missing)}"
        return Finding("packages", Status.FAIL, f"missing: {', '.join(missing)}", advice)
    tested = "" if found["ccxt"] == TESTED_CCXT else f" (tested with {TESTED_CCXT})"
    texts = [f"{name} {number}{tested if name == 'ccxt' else ''}" for name, number in found.items()]
    return Finding("packages", Status.OK, ", ".join(texts))


def data_folder() -> Finding:
    """Where data is kept, whether it can be written there, and how much room there is."""
    try:
        folder = home()
    except ConfigError as error:
        return Finding("data folder", Status.FAIL, str(error))
    there = next(one for one in (folder, *folder.parents) if one.exists())
    advice = "give yourself the right to write there, or name another folder by METAEXPERT_HOME"
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("data folder", Status.FAIL, f"{folder} can't be written to ({error.strerror})", advice)
    text = f"{folder}, {'writable' if there == folder else 'made when it is first needed'}, {_size(free)} free"
    status = Status.FAIL if free < _TOO_LITTLE else Status.WARN if free < _LITTLE else Status.OK
    return Finding("data folder", status, text, "" if status is Status.OK else "free some room on that disk")


def env_file(folder: Path) -> list[Finding]:
    """Whether there is a file of keys, and who else may see it."""
    path = folder.absolute() / ".env"
    if not path.is_file():
        text = f"none in {path.parent}; keys are looked for in the environment"
        return [Finding("env file", Status.OK, text)]
    exposed = [Finding("env file", Status.WARN, text, advice) for text, advice in exposures(folder)]
    return exposed or [Finding("env file", Status.OK, str(path))]


def network_allowed() -> Finding:
    """Whether exchanges may be asked at all."""
    if is_offline():
        text = "METAEXPERT_OFFLINE is set: nothing is asked of any exchange"
        return Finding("network", Status.SKIPPED, text, "unset METAEXPERT_OFFLINE to use the network")
    return Finding("network", Status.OK, "may be used")


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"
