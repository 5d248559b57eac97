"""Messages name the options of the command line; the help of each says what holds without it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

import charpipe
from charpipe.cli import main
from charpipe.cli.app import build_app
from charpipe.config.schema import Config
from charpipe.config.validation import FLAGS
from charpipe.errors import UsageError
from charpipe.plugins.registry import Registry

RUN = ["run", "train-and-sample", "--corpus", "hello"]


def commands() -> Iterator[tuple[str, click.Command]]:
    def inner(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
        if not getattr(command, "commands", None):
            yield " ".join(words), command
        for name, one in getattr(command, "commands", {}).items():
            yield from inner(one, (*words, name))

    yield from inner(typer.main.get_command(build_app(Registry())), ())


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda value: str(value)[:40])
def test_help_of_every_option_says_its_default(name: str, command: click.Command) -> None:
    context = click.Context(command)
    for option in command.params:
        if not isinstance(option, click.Option) or option.is_flag or option.multiple:
            continue  # a switch is off, and nothing is repeated, unless given
        record = option.get_help_record(context)
        assert record is None or re.search(r"\[(default: .+|required|needed)\]", record[1]), (name, record)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["sample", "--temperature", "-1"], "--temperature"),
        (["sample", "--length", "-1"], "--length"),
        (["sample", "--top-k", "0"], "--top-k"),
        (["sample", "--top-p", "2"], "--top-p"),
        (["sample", "--min-p", "2"], "--min-p"),
        (["sample", "--stop", ""], "--stop"),
        (["sample", "--seed", "-1"], "--seed"),
        (["sample", "--precision", "int9"], "--precision"),
        (["sample", "--engine", "quick"], "--engine"),
        ([*RUN, "--budget", "soon"], "--budget"),
        ([*RUN, "--device", "tpu"], "--device"),
        ([*RUN, "--engine", "quick"], "--engine"),
        (["run", "compare-architectures", "--corpus", "hello", "--sizes", "x"], "--sizes"),
        (["run", "compare-architectures", "--corpus", "hello", "--layers", "0"], "--layers"),
        (["run", "compare-architectures", "--corpus", "hello", "--seeds", "0"], "--seeds"),
        (["run", "compare-architectures", "--corpus", "hello", "--arch", "rnn,,"], "--arch"),
        (["run", "reproduce-2015", "--experiments", "blig"], "--experiments"),
        (["run", "reproduce-2015", "--corpora", "x"], "--corpora"),
        (["models", "promote", "last", "--device", "tpu"], "--device"),
    ],
)
def test_wrong_value_is_told_by_the_name_of_the_option(
    words: list[str], option: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"charpipe: {option}: " in said
    assert "sample." not in said and "train." not in said and "pipelines." not in said


def test_flags_are_settings_and_options_of_commands() -> None:
    options = {flag for _, command in commands() for one in command.params for flag in one.opts}
    for key, flag in FLAGS.items():
        table, name = key.split(".")
        assert name in type(getattr(Config(), table)).model_fields
        assert flag in options


def test_python_is_told_the_name_of_the_setting(project: Path) -> None:
    with pytest.raises(UsageError, match=r"^train\.steps: "):
        charpipe.train("hello", settings={"train.steps": -1})


def test_set_is_told_as_it_was_given(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--set", "sample.temperature=-1"]) == 2
    assert "charpipe: --set: sample.temperature: " in capsys.readouterr().err


def test_values_in_messages_are_not_pythons(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--set", "sample.length=[true]"]) == 2
    assert "(it is [true])" in capsys.readouterr().err
