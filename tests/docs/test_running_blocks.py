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

from documented import Block, blocks, blocks_of  # isort: skip

MOST_NOT_RUN = 2
TEXT = "static int add(int a, int b)\n{\n\treturn a + b; /* the sum */\n}\n\n" * 60
FILES = {"main.c": TEXT[: len(TEXT) // 2], "input.txt": TEXT}
"""Files that the blocks read."""
SETTINGS = {
    "tracking.enabled": False,
    "train.steps": 4,
    "train.batch_size": 4,
    "train.window": 8,
    "architectures.rnn.hidden_size": 8,
    "sample.length": 20,
}
PROJECT = """
[tracking]
enabled = false

[corpora.linux_src]
sources = ["input.txt"]
"""


def plugin_files(page: list[Block]) -> dict[str, str]:
    """Where docs/plugins.md says that its blocks go."""
    init, model = page[0].text, page[1].text
    return {"plugins/minimal_gru/__init__.py": init, "plugins/minimal_gru/model.py": model}


@pytest.fixture
def trained(project: Path) -> Iterator[Path]:
    """A project with the files of the blocks and a run that `last` and `best:linux_src` find."""
    (project / "pipelines.toml").write_text(PROJECT)
    of_guide = [block for block in blocks("python") if block.page == "plugins.md"]
    for name, text in {**FILES, **plugin_files(of_guide)}.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    before = set(sys.modules)
    charpipe.train("linux_src", arch="rnn", settings=SETTINGS, progress=False)
    yield project
    for name in set(sys.modules) - before:
        if name.startswith("minimal_gru"):
            del sys.modules[name]


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
    left_out = [
        block for language in ("python", "toml") for block in blocks(language) if block.not_run is not None
    ]
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
