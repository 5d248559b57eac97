"""Patterns choose files by name, or by path where they hold a slash."""

import pytest

from charpipe.corpus.selection import Selection


@pytest.mark.parametrize(
    ("include", "exclude", "path", "selected"),
    [
        ([], [], "a/b.txt", True),
        (["*.c", "*.h"], [], "linux/kernel/fork.c", True),
        (["*.c"], [], "linux/kernel.c/README", False),
        (["*/kernel/*.c"], [], "linux/kernel/sched/core.c", True),
        (["*.py"], ["test"], "lib/test/a.py", False),
        (["*.py"], ["test/"], "test/a.py", False),
        (["*.py"], ["test"], "lib/latest/a.py", True),
        ([], ["lib/old"], "lib/old/a.py", False),
        ([], ["*.pyc"], "a.pyc", False),
    ],
)
def test_selects(include: list[str], exclude: list[str], path: str, selected: bool) -> None:
    assert Selection(include, exclude).selects(path) is selected


def test_prunes_folders_that_are_excluded_themselves_or_from_above() -> None:
    selection = Selection(["*.py"], ["__pycache__"])
    assert selection.prunes("a/__pycache__")
    assert selection.prunes("a/__pycache__/deeper")
    assert not selection.prunes("a")
