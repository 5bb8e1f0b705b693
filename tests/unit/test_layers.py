"""Imports go only downward through the layers and form no cycle, deferred imports included."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "metaexpert"

LAYERS = (
    ("__version__", "errors"),
    ("spans", "timeframe", "models", "answers", "kinds", "events", "reports"),
    ("bars",),
    ("building", "series"),
    ("rules", "options", "tiers", "indicators", "_catalogue", "_compute"),
    ("files", "journalfile", "parquet"),
    (
        *("checks", "clock", "config", "envfile", "inputs", "journal", "kept", "logger", "risk", "script"),
        *("store", "values"),
    ),
    ("exchanges",),
    ("broker", "doctor", "importer"),
    ("detail", "feed", "gaps", "inbox", "lanes", "livefeed", "liveseries", "pumps", "sound", "tails"),
    ("courier",),
    ("recovery",),
    (
        *(
            "calls",
            "closer",
            "filters",
            "halfway",
            "handlers",
            "history",
            "inside",
            "keeper",
            "launch",
            "live",
            "marks",
            "process",
        ),
        *("recorded", "replay", "signals", "tape", "trader"),
    ),
    ("backtest", "liverun", "paper", "plan", "running", "siblings", "wiring"),
    ("expert",),
    ("loading",),
    ("research", "rerun", "resume", "status"),
    ("cli",),
    ("__main__",),
    ("",),  # the root itself, which re-exports everything and which nothing imports
)
RANK = {unit: rank for rank, units in enumerate(LAYERS) for unit in units}


class Import(NamedTuple):
    """`source` imports `target` (dotted, relative to the package; "" is the root) on `line`."""

    source: str
    target: str
    line: int
    runtime: bool


def modules_of(package: Path) -> dict[str, Path]:
    """Return the package's modules by dotted name relative to it; a package goes by its own name."""
    found: dict[str, Path] = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(package: Path) -> list[Import]:
    """Return every import inside the package: at the top, deferred, and under TYPE_CHECKING."""
    modules = modules_of(package)
    found: list[Import] = []
    for name, path in modules.items():
        is_package = path.name == "__init__.py"
        for node, runtime in _walk(ast.parse(path.read_text(encoding="utf-8")), runtime=True):
            for dotted in _targets(node, name, package.name, is_package=is_package):
                line = getattr(node, "lineno", 0)
                found += [Import(name, target, line, runtime) for target in _resolve(dotted, name, modules)]
    return found


def _walk(node: ast.AST, *, runtime: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for inner in child.body:
                yield inner, False
                yield from _walk(inner, runtime=False)
            for inner in child.orelse:
                yield inner, runtime
                yield from _walk(inner, runtime=runtime)
        else:
            yield child, runtime
            yield from _walk(child, runtime=runtime)


def _targets(node: ast.AST, name: str, package: str, *, is_package: bool) -> list[str]:
    """Return what one statement imports, as dotted names relative to the package."""
    if isinstance(node, ast.Import):
        return [alias.name[len(package) + 1 :] for alias in node.names if _inside(alias.name, package)]
    if isinstance(node, ast.ImportFrom):
        base = _base(node.module or "", node.level, name, package, is_package=is_package)
        return [] if base is None else [f"{base}.{alias.name}".strip(".") for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        dotted = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
        level = len(dotted) - len(dotted.lstrip("."))
        base = _base(dotted.lstrip("."), level, name, package, is_package=is_package)
        return [] if base is None or not dotted else [base]
    return []


def _base(dotted: str, level: int, name: str, package: str, *, is_package: bool) -> str | None:
    if level == 0:
        return dotted[len(package) + 1 :] if _inside(dotted, package) else None
    parts = name.split(".") if name else []
    up = level - 1 if is_package else level
    return ".".join([*parts[: len(parts) - up], *([dotted] if dotted else [])])


def _inside(dotted: str, package: str) -> bool:
    return dotted == package or dotted.startswith(f"{package}.")


def _resolve(dotted: str, source: str, modules: dict[str, Path]) -> list[str]:
    """Return the module that `dotted` lies in, after the packages that importing it runs on the way.

    What lies in no module (a name of the root, a missing module) is returned as it is.
    """
    parts = dotted.split(".")
    names = [".".join(parts[: i + 1]) for i in range(len(parts))]
    known = [name for name in names if name in modules]
    if not known:
        return [dotted]
    *parents, target = known
    return [*(name for name in parents if not f"{source}.".startswith(f"{name}.")), target]


def unit_of(module: str) -> str:
    """Return the top-level module or package that `module` belongs to."""
    return module.partition(".")[0]


def upward(imports: list[Import]) -> list[Import]:
    """Return the imports of a unit that lies higher than the importing one, or of the root or nothing at all."""
    return [i for i in imports if _rank(i.target) > _rank(i.source)]


def _rank(module: str) -> int:
    return RANK.get(unit_of(module), len(LAYERS))


def cycles(imports: list[Import]) -> list[list[str]]:
    """Return one path for each group of modules that import one another at run time, ends equal."""
    graph: dict[str, list[str]] = {}
    for item in imports:
        if item.runtime:
            graph.setdefault(item.source, []).append(item.target)
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in done:
            for target in sorted(set(graph.get(module, []))):
                visit(target, [*path, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return found


def drawing(imports: list[Import]) -> str:
    """Draw the layers, highest first, and what breaks them."""
    bad = upward(imports)
    lines = ["imports may only point down this drawing:"]
    for units in reversed(LAYERS):
        present = [u for u in units if any(unit_of(i.source) == u or unit_of(i.target) == u for i in imports)]
        if present:
            lines.append("  " + "  ".join(unit or "(root)" for unit in present))
    lines += [f"upward: {i.source}:{i.line} imports {i.target or '(root)'}" for i in bad]
    lines += ["cycle: " + " -> ".join(path) for path in cycles(imports)]
    return "\n".join(lines)


def plant(root: Path, **files: str) -> Path:
    """Write a small package under `root`; `a__b` names the module a/b."""
    package = root / "metaexpert"
    for name, text in files.items():
        path = package / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        for folder in (path.parent, package):
            (folder / "__init__.py").touch()
    return package


def test_imports_point_downward_and_form_no_cycle():
    imports = imports_of(PACKAGE)
    assert imports
    assert not upward(imports), drawing(imports)
    assert not cycles(imports), drawing(imports)


def test_every_module_has_its_layer():
    units = {unit_of(module) for module in modules_of(PACKAGE)}
    assert units == RANK.keys(), f"LAYERS and modules differ: {', '.join(sorted(units ^ RANK.keys()))}"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("from .process import Loop", "process"),
        ("from . import process", "process"),
        ("from metaexpert.process import Loop", "process"),
        ("import metaexpert.process as loop", "process"),
        ("def f():\n    from .process import Loop", "process"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .process import Loop", "process"),
        ("from importlib import import_module\nimport_module('.process', __package__)", "process"),
        ("from . import MetaExpert", "MetaExpert"),
        ("import metaexpert", ""),
    ],
)
def test_an_upward_import_is_found_in_every_disguise(tmp_path, text, target):
    imports = imports_of(plant(tmp_path, rules=text, process=""))
    assert [(i.source, i.target) for i in upward(imports)] == [("rules", target)]
    assert "upward: rules:" in drawing(imports)


@pytest.mark.parametrize("deferred", [False, True])
def test_a_cycle_is_found_even_when_deferred(tmp_path, deferred):
    back = "def f():\n    from .clock import now" if deferred else "from .clock import now"
    imports = imports_of(
        plant(tmp_path, clock="from .config import load", config="from .logger import log", logger=back)
    )
    assert cycles(imports) == [["clock", "config", "logger", "clock"]]
    assert "cycle: clock -> config -> logger -> clock" in drawing(imports)


def test_a_cycle_through_a_package_is_found(tmp_path):
    package = plant(tmp_path, broker__ledger="from ..exchanges.demo import x", exchanges__demo="")
    (package / "exchanges" / "__init__.py").write_text("from ..broker.ledger import y", encoding="utf-8")
    assert ["broker.ledger", "exchanges", "broker.ledger"] in cycles(imports_of(package))


def test_imports_for_types_alone_make_no_cycle(tmp_path):
    back = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .clock import now"
    imports = imports_of(plant(tmp_path, clock="from .config import load", config=back))
    assert cycles(imports) == []
    assert upward(imports) == []


def test_a_package_may_import_its_own_modules(tmp_path):
    package = plant(tmp_path, backtest__stats="", backtest__result="from . import stats\nfrom .stats import x")
    assert cycles(imports_of(package)) == []
    assert {(i.source, i.target) for i in imports_of(package)} == {("backtest.result", "backtest.stats")}


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the length of a function without its signature and docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_modules_and_functions_stay_short():
    long: list[str] = []
    for name, path in modules_of(PACKAGE).items():
        text = path.read_text(encoding="utf-8")
        lengths = {name: (len(text.splitlines()), 600)}
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths[f"{name}.{node.name}:{node.lineno}"] = (body_lines(node), 60)
        long += [
            f"{what}: {lines} lines, at most {most}" for what, (lines, most) in lengths.items() if lines > most
        ]
    assert not long, "\n".join(long)


def test_a_body_is_counted_without_signature_and_docstring():
    function = ast.parse('def f(\n    a,\n):\n    """Doc.\n\n    More.\n    """\n    b = a\n    return b\n').body[
        0
    ]
    assert isinstance(function, ast.FunctionDef)
    assert body_lines(function) == 2


def test_ccxt_is_imported_by_exchanges_alone():
    guilty: list[str] = []
    for name, path in modules_of(PACKAGE).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            if any(_inside(each, "ccxt") for each in names) and unit_of(name) != "exchanges":
                guilty.append(name)
    assert not guilty, f"only metaexpert/exchanges imports ccxt: {', '.join(guilty)}"
