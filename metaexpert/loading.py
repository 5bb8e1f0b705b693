"""Loading an expert's file: import it without running it, find its one MetaExpert, read how it runs itself."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import config
from .errors import ConfigError, MetaExpertError, StrategyError, did_you_mean
from .script import LOADED, RUNS_ON_IMPORT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from .backtest.result import Result
    from .expert import MetaExpert
    from .running import Run

__all__ = ["NEEDED", "Loaded", "load_expert"]

NEEDED = frozenset(
    {
        *("dotenv", "greenlet", "numpy", "pandas", "pandas_ta_classic", "platformdirs"),
        *("pyarrow", "rich", "structlog", "talib", "typer"),
    }
)
"""The packages that this library imports."""

_RUN_OPTIONS = {
    "start": "backtest_start", "end": "backtest_end", "capital": "initial_capital", "close_at_end": "close_at_end",
}  # fmt: skip
"""The arguments of `MetaExpert.backtest` by the settings of a run that they stand for."""

_OF_MODE = {
    "paper": frozenset({"initial_capital", "paper_fills", "latency_ms", "speed", "fresh"}),
    "live": frozenset(config.LIVE_ONLY),
}
"""The settings of a run in a mode that are taken from the file's own ``run(...)`` call."""

_OPAQUE = object()  # a value in the file's run(...) call that can't be known without running it


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """An expert as its file made it.

    `run_defaults` holds the keyword arguments of the file's own ``expert.run(...)``, by name, as far as they are
    literals or names of module-level values; `notes` says which could not be read, one line each. `calls` has
    those of every such call.
    """

    expert: MetaExpert
    path: Path
    run_defaults: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    calls: tuple[Mapping[str, Any], ...] = ()
    _siblings: dict[str, ModuleType] = field(default_factory=dict[str, ModuleType], repr=False)

    def backtest(self, **options: Any) -> Result:
        """Backtest the expert; `options` (see `MetaExpert.backtest`) win over the file's own ``run(...)`` call.

        Raises:
            ConfigError: as `MetaExpert.run`.
            DataError: as `MetaExpert.run`.
            StrategyError: as `MetaExpert.run`.
        """
        own = {name: self.run_defaults.get(setting) for name, setting in _RUN_OPTIONS.items()}
        given = {name: value for name, value in options.items() if value is not None}
        with self.importing():
            return self.expert.backtest(**(own | given), path=self.path)

    def start(self, trade_mode: str, **options: Any) -> Run:
        """A run of the expert that is not begun yet; `options` (see `MetaExpert.start`) win over the file's own.

        Raises:
            ConfigError: as `MetaExpert.start`.
        """
        own = next((call for call in self.calls if call.get("trade_mode") == trade_mode), self.run_defaults)
        known = {name: value for name, value in own.items() if name in _OF_MODE.get(trade_mode, frozenset())}
        given = {name: value for name, value in options.items() if value is not None}
        with self.importing():
            return self.expert.start(trade_mode, **(known | given), path=self.path)

    @contextmanager
    def importing(self) -> Generator[None]:
        """Let the expert import the modules beside its file, as it could while it was loaded."""
        with _beside(self.path.parent, self._siblings):
            yield


def load_expert(path: str | Path) -> Loaded:
    """Import the expert at `path` (a Python file, or a folder with a main.py) and find its MetaExpert.

    The file is executed under a name of its own, never as ``__main__``, so what it guards by ``__name__`` does not
    run. Modules beside it can be imported, and do not clash with those of another expert.

    Raises:
        ConfigError: there is no such file, or the file gives the library a setting that is wrong.
        StrategyError: the file fails to import, or does not hold exactly one MetaExpert with an `on_init`.
    """
    file = _find(Path(path))
    tree, code = _parse(file)
    _refuse_run_on_import(tree, file)
    _refuse_hidden(file.parent)
    siblings: dict[str, ModuleType] = {}
    module = _execute(code, file, siblings)
    expert = _the_expert(module, tree, file)
    calls, notes = _run_calls(tree, module, expert, file)
    return Loaded(
        expert=expert, path=file, run_defaults=calls[0] if calls else {}, notes=notes, calls=calls,
        _siblings=siblings,
    )  # fmt: skip


def _find(path: Path) -> Path:
    if path.is_dir():
        if not (path / "main.py").is_file():
            raise ConfigError(
                f"{path}: this folder has no main.py; name the expert's file, or make one: metaexpert new NAME"
            )
        return (path / "main.py").resolve()
    if not path.exists():
        parent = path.parent
        names = [entry.name for entry in parent.iterdir() if _may_be_expert(entry)] if parent.is_dir() else []
        raise ConfigError(f"{path}: no such file or folder{did_you_mean(path.name, names)}")
    if path.suffix != ".py" or not path.is_file():
        raise ConfigError(f"{path}: an expert is a Python file (.py), or a folder with a main.py")
    return path.resolve()


def _may_be_expert(entry: Path) -> bool:
    return (entry.suffix == ".py" and entry.is_file()) or (entry / "main.py").is_file()


def _parse(file: Path) -> tuple[ast.Module, Any]:
    try:
        source = importlib.util.decode_source(file.read_bytes())
        tree = ast.parse(source, filename=str(file))
        return tree, compile(tree, str(file), "exec", dont_inherit=True)
    except SyntaxError as error:
        line = error.lineno if error.lineno is not None else 1
        raise StrategyError(f"{_shown(file)}:{line}: {type(error).__name__}: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise StrategyError(f"{_shown(file)}: an expression in it is nested too deeply for Python") from error
    except (UnicodeDecodeError, ValueError) as error:
        raise StrategyError(f"{_shown(file)}: this is no Python source: {error}") from error
    except OSError as error:
        raise ConfigError(f"{_shown(file)}: can't be read: {error.strerror}") from error


def _refuse_run_on_import(tree: ast.Module, file: Path) -> None:
    """Refuse a file that would start trading by being imported."""
    names = {name for name, _ in _assigned_experts(tree)}
    functions: dict[str, ast.AST] = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in _on_import(tree, functions):
        if isinstance(node, ast.Call) and _is_run(node, names):
            raise StrategyError(f"{_shown(file)}:{node.lineno}: {RUNS_ON_IMPORT}")


def _refuse_hidden(folder: Path) -> None:
    """Refuse a module beside the expert that this library would import in the place of a package that it needs."""
    for name in sorted(NEEDED):
        module = folder / f"{name}.py"
        if module.is_file():
            raise StrategyError(f"{_shown(module)} hides the package {name}: give the file another name")


def _assigned_experts(tree: ast.Module) -> list[tuple[str, int]]:
    """Names that are assigned a `MetaExpert(...)`, each with its line."""
    found: list[tuple[str, int]] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Call):
            continue
        function = node.value.func
        made = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if made == "MetaExpert":
            found.extend((target.id, node.lineno) for target in targets if isinstance(target, ast.Name))
    return found


def _on_import(node: ast.AST, functions: dict[str, ast.AST]) -> Iterator[ast.AST]:
    """Nodes that are executed when the module is imported, through calls of its own functions too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _is_main_guard(child):
            continue
        yield child
        yield from _on_import(child, functions)
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Name):
            called = functions.pop(child.func.id, None)
            if called is not None:
                yield from _on_import(called, functions)


def _is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
    )


def _is_run(call: ast.Call, names: set[str]) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr in ("run", "arun")
        and isinstance(function.value, ast.Name)
        and function.value.id in names
    )


def _execute(code: Any, file: Path, siblings: dict[str, ModuleType]) -> ModuleType:
    name = f"{LOADED}{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # dataclasses and pickle look the module up
    try:
        with _beside(file.parent, siblings):
            # Compiled here and not by the import system: its cache can't tell two edits within one second apart.
            exec(code, module.__dict__)  # noqa: S102
    except MetaExpertError as error:
        raise type(error)(f"{_line_of(error, file)}: {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise StrategyError(f"{_line_of(error, file)}: {_one_line(error)}") from error
    return module


@contextmanager
def _beside(folder: Path, own: dict[str, ModuleType]) -> Generator[None]:
    """Make the modules in `folder` importable, and keep what was imported of them in `own`, out of sys.modules."""
    tops = {entry.stem for entry in folder.iterdir() if entry.suffix == ".py" or any(entry.glob("*.py"))}
    tops -= {"metaexpert", *sys.stdlib_module_names}

    def taken() -> dict[str, ModuleType]:
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in tops}

    others = taken()
    sys.modules.update(own)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        own.update(taken())
        sys.modules.update(others)


def _line_of(error: BaseException, file: Path) -> str:
    """The deepest line of the expert's own code that `error` came through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        source = Path(frame.filename)
        if source.is_relative_to(file.parent) and "site-packages" not in source.parts:
            return f"{_shown(source)}:{frame.lineno}"
    return _shown(file)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SystemExit):
        return f"the file ends the process when it is imported ({said})"
    if isinstance(error, ModuleNotFoundError):
        return f"{said}; install it into the environment that runs metaexpert"
    return said


def _shown(file: Path) -> str:
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def _the_expert(module: ModuleType, tree: ast.Module, file: Path) -> MetaExpert:
    from .expert import MetaExpert

    lines = dict(_assigned_experts(tree))
    named = {id(value): (name, value) for name, value in vars(module).items() if isinstance(value, MetaExpert)}
    if not named:
        raise StrategyError(
            f"{_shown(file)}:1: makes no MetaExpert; an expert's file has one: expert = MetaExpert()"
        )
    if len(named) > 1:
        places = " and ".join(f"{name!r} in line {lines.get(name, '?')}" for name, _ in named.values())
        raise StrategyError(f"{_shown(file)}: makes {len(named)} MetaExperts, {places}; one file holds one expert")
    ((name, expert),) = named.values()
    if not expert.is_ready:
        raise StrategyError(
            f"{_shown(file)}:{lines.get(name, 1)}: {name} has no on_init; "
            f'decorate a function: @{name}.on_init(symbol="BTCUSDT", timeframe="1h")'
        )
    return expert


def _run_calls(
    tree: ast.Module, module: ModuleType, expert: MetaExpert, file: Path
) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """Read the file's own run(...) calls, those that backtest first, and say what could not be read.

    Raises:
        ConfigError: one names a setting that a run doesn't have.
    """
    names = {name for name, value in vars(module).items() if value is expert}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_run(node, names)]
    read = [(call, {word.arg: _value(word.value, module) for word in call.keywords}) for call in calls]
    read.sort(key=lambda item: (item[1].get("trade_mode", "backtest") != "backtest", item[0].lineno))
    found: list[dict[str, Any]] = []
    notes: list[str] = []
    for call, words in read:
        where = f"{_shown(file)}:{call.lineno}"
        try:
            config.split({word: value for word, value in words.items() if word is not None}, config.RunSettings)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        notes += [
            f"{where}: {word or '**'} is not a plain value and was not read; give it as an option"
            for word, value in words.items()
            if value is _OPAQUE
        ]
        found.append({word: value for word, value in words.items() if word is not None and value is not _OPAQUE})
    return tuple(found), tuple(notes)


def _value(node: ast.expr, module: ModuleType) -> Any:
    if isinstance(node, ast.Name):
        return vars(module).get(node.id, _OPAQUE)
    try:
        return ast.literal_eval(node)
    except ValueError:
        return _OPAQUE
