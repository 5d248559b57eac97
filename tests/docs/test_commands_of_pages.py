"""Every `charpipe` command that the pages show has the commands, options and values that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

import pytest
import typer

from charpipe.cli.app import build_app
from charpipe.registry import Registry

from documented import PAGES  # isort: skip

_COMMAND = re.compile(r"^ {4,}(?:\$ )?(?:[A-Z_]+=\S+ )*charpipe +(\S.*)$", re.MULTILINE)
_REST = re.compile(r"\s{2,}|\s#| && | > | < | \| ")
"""What follows the words of a command: its description, a comment, another command."""
SYNOPSIS = re.compile(r"\[[-A-Z]")


def commands() -> list[tuple[str, str]]:
    """`(page, words)` of each command that is not the synopsis of one, as `models promote RUN [--anyway]` is."""
    found = []
    for page in PAGES:
        text = re.sub(r" \\\n +", " ", page.read_text(encoding="utf-8"))
        found += [(page.name, _REST.split(words)[0]) for words in _COMMAND.findall(text)]
    return [(page, words) for page, words in found if not SYNOPSIS.search(words)]


def parse(command: Any, words: Sequence[str], parent: Any = None) -> None:
    """Read the words as the command line does, without doing anything. Raises what it would."""
    context = command.make_context(command.name or "charpipe", list(words), parent=parent)
    if hasattr(command, "resolve_command"):
        _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        parse(inner, rest, context)


@pytest.fixture(scope="module")
def command_line() -> Any:
    return typer.main.get_command(build_app(Registry()))


@pytest.mark.parametrize(("page", "words"), commands())
def test_a_command_of_the_pages_is_one(command_line: Any, page: str, words: str) -> None:
    parse(command_line, shlex.split(words))


def test_there_are_commands_and_a_wrong_one_fails(command_line: Any) -> None:
    assert len(commands()) >= 35
    for wrong in ("inspect last --searched 5", "rnu train-and-sample", "report last --output"):
        with pytest.raises(Exception, match=r"[Nn]o such|no command|requires"):
            parse(command_line, shlex.split(wrong))
