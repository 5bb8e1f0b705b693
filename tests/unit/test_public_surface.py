"""The root: every exported name exists, and what people, editors and type checkers see agrees."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

import metaexpert
from metaexpert import errors, models

ROOT = Path(metaexpert.__file__)


def names_for_type_checkers() -> dict[str, str]:
    """Return name -> module of the root's TYPE_CHECKING block."""
    (block,) = [node for node in ast.parse(ROOT.read_text(encoding="utf-8")).body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names}


def test_all_dir_and_type_checkers_see_the_same_names():
    seen = names_for_type_checkers()
    assert seen == metaexpert._HOME
    assert sorted([*seen, "__version__"]) == sorted(metaexpert.__all__) == dir(metaexpert)


def test_no_name_hides_a_module():
    modules = {path.stem for path in ROOT.parent.iterdir()}
    assert not modules & (set(metaexpert.__all__) - {"__version__"})


@pytest.mark.parametrize("name", [name for name in metaexpert.__all__ if name != "__version__"])
def test_each_name_is_the_object_of_its_module(name):
    module = import_module(f"metaexpert.{metaexpert._HOME[name]}")
    assert getattr(metaexpert, name) is getattr(module, name)
    assert name in module.__all__


def test_every_error_and_every_model_is_at_the_root():
    assert {*errors.__all__, *models.__all__} - {"did_you_mean"} <= set(metaexpert.__all__)


def test_an_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="module 'metaexpert' has no attribute 'MetaExprt'"):
        metaexpert.MetaExprt  # noqa: B018


def test_an_unknown_name_is_an_import_error():
    with pytest.raises(ImportError, match="cannot import name 'Strategy'"):
        exec("from metaexpert import Strategy")


def test_the_version_is_semantic():
    parts = metaexpert.__version__.split(".")
    assert len(parts) == 3
    assert all(part.isdigit() for part in parts)


def test_the_package_is_typed():
    assert (ROOT.parent / "py.typed").is_file()
