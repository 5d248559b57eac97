"""Every shell command of the pages runs as it stands: page by page, in order, in one folder that holds what the page
says it has. What is not run stands in `not_run.py`, with the reason.

The commands run in this process, and the pipelines without Prefect: that they are flows there too is tested in
tests/pipelines."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from charpipe.cli import main
from charpipe.stages import recipes

import folders  # isort: skip
from documented import ROOT, Block, ShownCommand, commands, commands_of

from not_run import NOT_RUN, reason  # isort: skip

pytestmark = pytest.mark.e2e

PAGES = list(dict.fromkeys(command.page for command in commands() if reason(command.text) is None))


@pytest.fixture
def without_prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Recipes are carried out in this process, without Prefect; modules of plugins are forgotten afterwards."""

    monkeypatch.setattr(recipes, "run", recipes.run_directly)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("minimal_gated", "minimal_gru", "frequencies", "without", "my_cell"):
            del sys.modules[name]


def run(text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command as a shell would, `charpipe` in this process; its exit code."""
    before, _, last = text.rpartition(" | ")
    given = b""
    if before:
        given = subprocess.run(["sh", "-c", before], stdout=subprocess.PIPE, check=True).stdout
    program, *words = shlex.split(last)
    if program == "export":
        name, _, value = words[0].partition("=")
        monkeypatch.setenv(name, value)
        return 0
    if program != "charpipe":
        raise AssertionError(f"no test runs {program}; add it to not_run.py with the reason: {text}")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    return main(words)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_in_order(
    page: str,
    project: Path,
    without_prefect: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders.make(project, page)
    before = [ShownCommand(page, 0, text) for text in folders.BEFORE.get(page, ())]
    for command in [*before, *(one for one in commands() if one.page == page)]:
        if reason(command.text) is None:
            code = run(command.text, monkeypatch)
            told = capsys.readouterr()
            assert code == 0, f"{page}:{command.line}: {command.text}\n{told.out[-1500:]}\n{told.err[-1500:]}"


def test_each_exception_has_a_command_and_a_reason() -> None:
    texts = [command.text for command in commands()]
    for start, why in NOT_RUN.items():
        assert any(text.startswith(start) for text in texts), f"no page has {start}: take it out"
        assert len(why.split()) >= 3
    run_ones = [text for text in texts if reason(text) is None]
    assert len(run_ones) >= 30
    assert sum(text.startswith("charpipe ") for text in texts) - len(run_ones) <= 12


def test_the_scripts_of_commands_that_are_not_run_are_there() -> None:
    for command in commands():
        program, *words = shlex.split(command.text)
        if program in ("python", "pytest"):
            script = next(word for word in words if "/" in word)
            assert (ROOT / script).exists(), f"{command.page}:{command.line}: there is no {script}"


def test_a_block_is_read_as_a_shell_reads_it() -> None:
    text = 'a --b \\\n    c   # what it does\n\n# only this\ncurl -d \'\n  {"x": "# 1"}\' # x\n'
    found = [command.text for command in commands_of(Block("page.md", 4, "sh", text, None))]
    assert found == ["a --b     c", 'curl -d \'\n  {"x": "# 1"}\'']
    with pytest.raises(ValueError, match="no whole command"):
        list(commands_of(Block("page.md", 4, "sh", "echo 'never closed\n", None)))


def test_a_command_that_fails_is_seen(
    project: Path, without_prefect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.make(project, "README.md")
    assert run("charpipe run train-and-sample --corpus linxu_src", monkeypatch) != 0
    with pytest.raises(AssertionError, match="not_run"):
        run("frobnicate it", monkeypatch)
