"""An import inside a function defers something: a library that its module does not import, or many modules of ours."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOTS = [Path(__file__).parents[1] / name for name in ("core", "plugins", "pipelines")]
FEW = 5
"""So many modules of charpipe are not worth deferring."""
DECORATORS = {"compiled": "numba"}
"""Functions of ours that import a library when they decorate a function, at the import of its module."""
Import = ast.Import | ast.ImportFrom
Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


TREES = {
    module_name(path, root): ast.parse(path.read_text("utf-8"))
    for root in ROOTS
    for path in sorted(root.rglob("*.py"))
}


def lazy_names(tree: ast.Module) -> dict[str, str]:
    """The names that a package imports on first use, with their modules: the argument of `charpipe.lazy.names`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "names":
            return ast.literal_eval(node.args[1])
    return {}


LAZY = {name: lazy_names(tree) for name, tree in TREES.items()}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(node: ast.AST, inside: bool = False) -> Iterator[tuple[bool, Import]]:
    """Every import that is executed, and whether it is inside a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Import):
            yield inside, child
        elif not is_type_checking(child):
            yield from imports(child, inside or isinstance(child, Function))


def targets(node: Import) -> set[str]:
    """The modules that an import statement loads; of a library, its top package."""
    if isinstance(node, ast.Import):
        wanted = {alias.name for alias in node.names}
    else:
        package = str(node.module)
        wanted = {package}
        for alias in node.names:
            wanted |= {DECORATORS[alias.name]} if alias.name in DECORATORS else set()
            lazy = LAZY.get(package, {}).get(alias.name)
            found = f"{package}.{lazy or alias.name}"
            wanted |= {found} & TREES.keys()
    return {name if name in TREES else name.partition(".")[0] for name in wanted}


TOP = {
    name: set().union(*(targets(node) for inside, node in imports(tree) if not inside))
    for name, tree in TREES.items()
}


def loaded(modules: set[str]) -> set[str]:
    """All that importing these modules loads, by the imports at the top of modules."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        parts = name.split(".")
        waiting += [".".join(parts[:end]) for end in range(1, len(parts))]
        waiting += TOP.get(name, ())
    return found - sys.stdlib_module_names


def needless(name: str) -> Iterator[str]:
    """The imports inside functions of a module that could as well stand at its top."""
    own = loaded({name})
    for inside, node in imports(TREES[name]):
        if inside:
            deferred = loaded(targets(node)) - own
            libraries = deferred - TREES.keys()
            if not libraries and len(deferred) <= FEW and name not in loaded(targets(node)):
                yield f"{name}:{node.lineno}: {ast.unparse(node)}"


def test_imports_inside_functions_defer_something() -> None:
    assert [line for name in TREES for line in needless(name)] == []


@pytest.mark.parametrize("line", ["from charpipe.errors import UsageError", "import json"])
def test_an_import_that_defers_nothing_is_found(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TREES, "charpipe.cli.gc", ast.parse(f"import typer\ndef gc():\n    {line}\n"))
    assert list(needless("charpipe.cli.gc")) == [f"charpipe.cli.gc:3: {line}"]
