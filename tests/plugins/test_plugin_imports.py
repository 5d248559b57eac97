"""What the plugins of this repository may import of charpipe, whichever plugins there are."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from charpipe.plugins.registry import Registry

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py"))
WITH_PIPELINES = [name for name in PLUGINS if hasattr(importlib.import_module(name), "charpipe_pipelines")]
ALLOWED = ("charpipe.plugin", "charpipe.models", "charpipe.kernels.rows")
"""The facade; the shell and the recurrences for architectures; the functions of compiled decoders."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("charpipe", "charpipe_pipelines", *PLUGINS, exclude_type_checking_imports=True)


@pytest.mark.parametrize("plugin", [name for name in PLUGINS if name not in WITH_PIPELINES])
def test_plugin_imports_only_the_public_interface(graph: grimp.ImportGraph, plugin: str) -> None:
    for module in {plugin, *graph.find_descendants(plugin)}:
        for imported in graph.find_modules_directly_imported_by(module):
            if imported.startswith(("charpipe.", "charpipe_")) and not imported.startswith(plugin):
                assert imported.startswith(ALLOWED), f"{module} imports {imported}"


@pytest.mark.parametrize("plugin", WITH_PIPELINES)
def test_plugin_with_a_pipeline_imports_public_names_of_packages(plugin: str) -> None:
    """A recipe calls stages: it may import what a package of charpipe lists in `__all__`, and no module below it."""
    for path in sorted((ROOT / "plugins" / plugin).rglob("*.py")):
        for module, name in imported_names(path):
            if module.partition(".")[0].startswith("charpipe") and module.partition(".")[0] != plugin:
                assert module.startswith("charpipe.") and module.count(".") == 1, f"{path} imports {module}"
                assert name in public_names(module), f"{path} imports {name} of {module}"


@pytest.mark.parametrize("plugin", PLUGINS)
def test_no_package_imports_a_plugin(graph: grimp.ImportGraph, plugin: str) -> None:
    importers = graph.find_modules_that_directly_import(plugin)
    assert {module for module in importers if not module.startswith(plugin)} == set()


def test_engine_names_no_architecture_and_no_plugins_pipeline() -> None:
    """Neither in a text nor as a variable, argument or attribute; docstrings may have examples. Kernels and models are
    about cells."""
    registry = Registry()
    own = [one.spec.name for one in registry.provided("pipeline") if one.provider.module in PLUGINS]
    words = re.compile(rf"(?<![\w-])({'|'.join([*registry.all('architecture'), *own])})(?![\w-])", re.I)
    for path in sorted((ROOT / "core" / "charpipe").rglob("*.py")):
        if path.relative_to(ROOT).parts[2] not in ("kernels", "models"):
            found = [text for text in names_and_texts(path) if words.search(text)]
            assert not found, f"{path}: {found}"


def names_and_texts(path: Path) -> Iterator[str]:
    """The names and string constants of a file, without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value
        for field in ("id", "attr", "arg", "name"):
            if isinstance(name := getattr(node, field, None), str):
                yield name


def imported_names(path: Path) -> Iterator[tuple[str, str]]:
    """What a file imports: a module, and a name in it; `import x.y` imports the name y of x."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                module, _, name = alias.name.rpartition(".")
                yield module or name, name


def public_names(module: str) -> set[str]:
    """What a package lists in `__all__`; all names of a module that is no package and lists none."""
    found = importlib.import_module(module)
    if hasattr(found, "__path__") or hasattr(found, "__all__"):
        return set(found.__all__)
    return {name for name in vars(found) if not name.startswith("_")}
