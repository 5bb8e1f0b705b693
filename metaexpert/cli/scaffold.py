"""Making a new expert's folder from the templates: what `metaexpert new` and `metaexpert demo` call.

The behaviour is specified in docs/specs/cli-new-command/spec.md.
"""

from __future__ import annotations

import keyword
import re
import sys
import tempfile
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from .. import timeframe as timeframes
from ..errors import ConfigError, did_you_mean
from ..exchanges.venues import VENUES
from ..loading import NEEDED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    from ..config import ExchangeSettings

__all__ = ["FILES", "STRATEGIES", "check_name", "create", "render"]

STRATEGIES = ("blank", "ema", "rsi", "macd", "signals")
"""`blank` is the authoritative template: every setting and handler."""

FILES = ("main.py", "pyproject.toml", ".env.example", ".gitignore", "README.md")
"""What a new expert's folder holds."""

_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def create(name: str, *, parent: Path | None = None, force: bool = False, **choices: str | None) -> Path:
    """Make the folder `name` in `parent` (default: the current folder) and return its path.

    Either the whole folder is there afterwards or nothing is. With `force`, the five files of an existing folder
    are replaced, and all others are left alone.

    Args:
        name: see `check_name`.
        parent: an existing folder.
        force: write over the files of an existing folder.
        choices: what `render` takes.

    Raises:
        ConfigError: the name, a choice or the place is unfit; nothing was written.
        OSError: the place can't be written to.
    """
    check_name(name)
    files = render(name, **choices)
    base = Path() if parent is None else parent
    folder = base / name
    _check_place(folder, force=force)
    try:
        _write(files, folder, base)
    except OSError as error:
        place = error.filename or folder  # a full disk names no file
        raise OSError(error.errno, error.strerror, str(place)) from error
    return folder


def _write(files: Mapping[str, str], folder: Path, base: Path) -> None:
    """Write `files` beside `folder` and put them in place together."""
    with tempfile.TemporaryDirectory(dir=base, prefix=f".{folder.name}-", ignore_cleanup_errors=True) as temporary:
        made = Path(temporary) / folder.name
        made.mkdir()
        for file, text in files.items():
            (made / file).write_text(text, encoding="utf-8", newline="\n")
        if folder.exists():
            for file in files:
                (made / file).replace(folder / file)
        else:
            made.rename(folder)


def check_name(name: str) -> None:
    """Refuse a name that is no safe folder name on every system, or would hide a Python module.

    Raises:
        ConfigError: with the reason.
    """
    if not name:
        raise ConfigError("the name is empty; write a name such as my_bot")
    if re.search(r"[/\\:]", name) or name.strip(".") == "":
        raise ConfigError(f"{name!r} is a path; go to the folder where the expert belongs and give a plain name")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
        raise ConfigError(
            f"{name!r} is no name for an expert; use 1 to 64 letters a-z, digits, _ and -, and begin with a letter"
        )
    normal = name.lower().replace("-", "_")
    if normal in _DEVICES:
        raise ConfigError(f"{name!r} is reserved by Windows for a device; choose another name")
    if keyword.iskeyword(normal) or keyword.issoftkeyword(normal):
        raise ConfigError(f"{name!r} is a keyword of Python; choose another name")
    if normal in {"metaexpert", "test", "tests"} | NEEDED | {module.lower() for module in sys.stdlib_module_names}:
        raise ConfigError(f"{name!r} would hide the Python module of that name; choose another name")


def _check_place(folder: Path, *, force: bool) -> None:
    if folder.is_symlink():
        raise ConfigError(f"{folder} is a link; remove it or choose another name")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; remove it or choose another name")
    if folder.exists() and not force:
        raise ConfigError(
            f"{folder} exists; choose another name, or --force to write over {', '.join(FILES)} in it"
        )
    for file in FILES:
        if (folder / file).is_dir():
            raise ConfigError(f"{folder / file} is a folder; move it away")


def render(
    name: str,
    *,
    strategy: str | None = None,
    exchange: str | None = None,
    market_type: str | None = None,
    contract_type: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
) -> dict[str, str]:
    """Return the files of a new expert, text by file name. None chooses the default: see the specification.

    Raises:
        ConfigError: a choice is unknown, or contradicts another one.
    """
    strategy = "blank" if strategy is None else strategy
    if strategy not in STRATEGIES:
        raise ConfigError(f"unknown strategy {strategy!r}{did_you_mean(strategy, STRATEGIES)}")
    settings = _exchange_settings(exchange, market_type, contract_type)
    inverse = settings.contract_type == "inverse"
    symbol = ("BTCUSD" if inverse else "BTCUSDT") if symbol is None else symbol.strip()
    timeframe = "1h" if timeframe is None else timeframe
    _check_market(symbol, timeframe, settings)
    words = {
        "name": name,
        "short_name": name[:32],
        "package": re.sub(r"[-_]+", "-", name.lower()).strip("-"),
        "symbol": symbol,
        "timeframe": timeframe,
        "higher_timeframe": _higher(timeframe),
        "capital": "1.0" if inverse else "10_000",
        "set_command": f"metaexpert backtest {name} --set {'length=10' if strategy == 'rsi' else 'fast=20'}",
        **_market_words(settings),
        **_run_words(name, symbol, timeframe, settings),
    }
    sources = {
        "main.py": f"{strategy}.py.tmpl",
        "pyproject.toml": "pyproject.toml.tmpl",
        ".env.example": "env.example.tmpl",
        ".gitignore": "gitignore.tmpl",
        "README.md": "README.md.tmpl",
    }
    folder = _templates()
    texts = {file: (folder / source).read_text(encoding="utf-8") for file, source in sources.items()}
    return {file: Template(text).substitute(words) for file, text in texts.items()}


def _exchange_settings(
    exchange: str | None, market_type: str | None, contract_type: str | None
) -> ExchangeSettings:
    from ..config import ExchangeSettings, build

    given = {"exchange": exchange, "market_type": market_type, "contract_type": contract_type}
    settings = build(ExchangeSettings, given, where="metaexpert new")
    if settings.market_type == "options":
        raise ConfigError(
            "the templates are for spot and futures: make one of those, then set market_type='options' and the "
            "symbol of an option, such as BTC/USDT:USDT-241227-72000-C, in its main.py"
        )
    return settings


def _check_market(symbol: str, timeframe: str, settings: ExchangeSettings) -> None:
    from ..exchanges.symbols import parse_symbol

    timeframes.parse(timeframe)
    parse_symbol(symbol, settings.market_type, settings.contract_type)


def _higher(timeframe: str) -> str:
    """The next timeframe that bars of `timeframe` fill exactly, at least four to one; else `timeframe` itself."""
    length = timeframes.parse(timeframe)
    fitting = (name for name, ms in timeframes.TIMEFRAMES.items() if ms >= 4 * length and ms % length == 0)
    return next(fitting, timeframe)


def _market_words(settings: ExchangeSettings) -> dict[str, str]:
    def literal(word: str | None) -> str:
        return "None" if word is None else f'"{word}"'

    named = {"market_type": settings.market_type, "contract_type": settings.contract_type}
    return {
        "exchange": settings.exchange,
        "market_type": settings.market_type,
        "contract_type": literal(settings.contract_type),
        "margin_mode": literal(settings.margin_mode),
        "position_mode": literal(settings.position_mode),
        "market": " ".join(str(word) for word in reversed(named.values()) if word is not None),
        "market_arguments": ", ".join(f'{key}="{word}"' for key, word in named.items() if word is not None),
    }


def _run_words(name: str, symbol: str, timeframe: str, settings: ExchangeSettings) -> dict[str, str]:
    """The commands of the README, and the variables of .env.example."""
    exchange = settings.exchange
    demo = "" if exchange == "demo" else " --exchange demo"
    run = (
        f"\nOn the embedded `demo` exchange, whose prices are synthetic:\n\n    metaexpert backtest {name}{demo}\n"
    )
    if demo:
        file = f"{re.sub(r'[^A-Za-z0-9]', '', symbol)}-{timeframe}.csv"
        run += (
            "\nOn candles of your own (CSV or Parquet), once they are imported:\n\n"
            f"    metaexpert data import {file} --exchange {exchange}\n    metaexpert backtest {name}\n"
        )
    if exchange in VENUES:
        test = " --testnet" if VENUES[exchange].testnet else ""
        run += (
            f"\nOn paper, with the prices of {VENUES[exchange].name}; then live, with real orders. That needs\n"
            "keys in `.env` and a loss limit (`daily_loss_limit` or `max_drawdown_pct`); it shows what it is\n"
            "about to do, and asks:\n\n"
            f"    metaexpert run {name}\n    metaexpert run {name} --mode live{test}\n"
        )
    return {"env_lines": "\n".join(_env_lines(exchange)), "run_section": run}


def _env_lines(exchange: str) -> list[str]:
    """The variables that connect to `exchange`; those that are rarely needed as comments."""
    venue = VENUES.get(exchange)
    if venue is None:
        return [f"# The exchange {exchange!r} has no account, so there is nothing to fill in."]
    prefix = exchange.upper()
    keys = ["API_KEY", "API_SECRET", *(["API_PASSPHRASE"] if venue.passphrase else [])]
    test = [
        "# The test network, with a key that is made there; take the # away:",
        f"# {prefix}_TESTNET=true",
    ]
    return [
        "# Let the key read and trade, never withdraw, and bind it to this computer's address. To check it:",
        f"# metaexpert doctor {exchange}",
        *(f"{prefix}_{key}=" for key in keys),
        *(test if venue.testnet else []),
        "# A proxy; take the # away:",
        f"# {prefix}_PROXY=http://host:port",
    ]


def _templates() -> Traversable:
    """The folder of templates: in the installed package, or beside it in a checkout."""
    package = resources.files(__name__.partition(".")[0])
    installed = package / "templates"
    return installed if installed.is_dir() else Path(str(package)).parent / "templates"
