"""Every Python block of the pages runs as it stands, in a project with a small run and the files that they name.

A block that cannot run has the line `<!-- not run: reason -->` before it; there are few of them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import charpipe
from charpipe.cli import main

import folders  # isort: skip
from documented import Block, all_blocks, blocks, blocks_of

pytestmark = pytest.mark.e2e

MOST_NOT_RUN = 2
CHAMPION = "mine.txt"
"""The corpus whose champion the blocks begin at."""


@pytest.fixture
def trained(project: Path) -> Iterator[Path]:
    """A project with the files of the blocks, a champion, and a run that `last` and `best:linux_src` find."""
    folders.make(project, "plugins.md")
    (project / "input.txt").write_text(folders.C, encoding="utf-8")
    before = set(sys.modules)
    promote(charpipe.train(CHAMPION, progress=False))
    charpipe.train("linux_src", arch="rnn", progress=False)
    yield project
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("minimal_gated", "minimal_gru", "frequencies", "without", "my_cell"):
            del sys.modules[name]


def promote(trained: charpipe.Trained) -> None:
    """Make a run the champion of its corpus."""
    assert main(["models", "promote", trained.name, "--anyway"]) == 0


def run(block: Block) -> dict[str, Any]:
    """Run a block as a script of its own, and then its tests, as pytest would."""
    names: dict[str, Any] = {"__name__": "block"}
    exec(compile(block.text, block.name, "exec"), names)
    for name in [name for name in names if name.startswith("test_")]:
        names[name]()
    return names


@pytest.mark.parametrize("block", [one for one in blocks("python") if not one.not_run], ids=lambda b: b.name)
def test_a_block_runs_as_it_stands(trained: Path, block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    run(block)
    printed = capsys.readouterr().out
    assert printed.strip() or "print(" not in block.text


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    left_out = [block for block in all_blocks() if block.not_run is not None]
    assert len(left_out) <= MOST_NOT_RUN, [block.name for block in left_out]
    assert all(re.search(r"\w+ \w+", block.not_run or "") for block in left_out)
    assert len(blocks("python")) - len(left_out) >= 5


def test_a_block_that_is_wrong_fails() -> None:
    page = "<!-- not run: it needs a phone -->\n```python\ncall()\n```\n\n```python\nimport charpipe.nothing\n```\n"
    left_out, wrong = blocks_of("page.md", page)
    assert (left_out.not_run, left_out.line, wrong.not_run) == ("it needs a phone", 2, None)
    with pytest.raises(ModuleNotFoundError):
        run(wrong)
    with pytest.raises(AssertionError):
        run(Block("page.md", 1, "python", "def test_it():\n    assert 1 == 2\n", None))
