"""Every `charpipe` command that the pages show has the commands, options and values that there are."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import pytest
import typer

from charpipe.cli.app import build_app
from charpipe.plugins.registry import Registry
from documented import commands

PROGRAM = "charpipe "


def of_charpipe() -> list[tuple[str, str]]:
    """`(page, words)` of each `charpipe` command, also of those that no test runs."""
    found = [(one.page, one.text.rpartition(" | ")[2]) for one in commands()]
    return [(page, text.removeprefix(PROGRAM)) for page, text in found if text.startswith(PROGRAM)]


def parse(command: Any, words: Sequence[str], parent: Any = None) -> None:
    """Read the words as the command line does, without doing anything. Raises what it would."""
    context = command.make_context(command.name or "charpipe", list(words), parent=parent)
    if hasattr(command, "resolve_command"):
        _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        parse(inner, rest, context)


@pytest.fixture(scope="module")
def command_line() -> Any:
    return typer.main.get_command(build_app(Registry()))


@pytest.mark.parametrize(("page", "words"), of_charpipe())
def test_a_command_of_the_pages_is_one(command_line: Any, page: str, words: str) -> None:
    parse(command_line, shlex.split(words))


def test_there_are_commands_and_a_wrong_one_fails(command_line: Any) -> None:
    assert len(of_charpipe()) >= 35
    for wrong in ("inspect last --searched 5", "rnu train-and-sample", "report last --output"):
        with pytest.raises(Exception, match=r"[Nn]o such|no command|requires"):
            parse(command_line, shlex.split(wrong))
