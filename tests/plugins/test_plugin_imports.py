"""What the plugins of this repository may import of charpipe, whichever plugins there are."""

from __future__ import annotations

from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py"))
ALLOWED = ("charpipe.plugin", "charpipe.models", "charpipe.kernels.rows")
"""The facade; the shell and the recurrences for architectures; the functions of compiled decoders."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("charpipe", "charpipe_pipelines", *PLUGINS, exclude_type_checking_imports=True)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugin_imports_only_the_public_interface(graph: grimp.ImportGraph, plugin: str) -> None:
    for module in {plugin, *graph.find_descendants(plugin)}:
        for imported in graph.find_modules_directly_imported_by(module):
            if imported.startswith(("charpipe.", "charpipe_")) and not imported.startswith(plugin):
                assert imported.startswith(ALLOWED), f"{module} imports {imported}"


@pytest.mark.parametrize("plugin", PLUGINS)
def test_no_package_imports_a_plugin(graph: grimp.ImportGraph, plugin: str) -> None:
    importers = graph.find_modules_that_directly_import(plugin)
    assert {module for module in importers if not module.startswith(plugin)} == set()
