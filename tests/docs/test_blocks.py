"""Python blocks of the pages compile and import what charpipe has; TOML blocks are TOML."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (page.name, text)
        for page in PAGES
        for kind, text in FENCED.findall(page.read_text(encoding="utf-8"))
        if kind == language
    ]


def test_the_pages_have_blocks_of_each_kind() -> None:
    assert len(blocks("python")) >= 5 and len(blocks("toml")) >= 2


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_every_python_block_compiles_and_what_it_imports_of_charpipe_is_there(page: str, text: str) -> None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("charpipe"):
            module = importlib.import_module(str(node.module))
            for name in node.names:
                assert hasattr(module, name.name), f"{page}: {node.module} has no {name.name}"


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_every_toml_block_is_toml(page: str, text: str) -> None:
    assert tomllib.loads(text), page
