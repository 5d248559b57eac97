"""Writes docs/commands.md and docs/settings.md from the code itself; a test fails when they are out of date.

python docs/reference.py
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from charpipe.cli import main
from charpipe.cli.app import build_app
from charpipe.config.schema import Config
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.plugins import hookspecs
from charpipe.plugins.registry import Registry
from charpipe_pipelines.deployments.settings import DeploymentConfig, Schedule

HERE = Path(__file__).parent
NOTE = "<!-- Written by docs/reference.py; do not edit. -->\n"
OUTPUT = """\
A table is fitted to the terminal's width. In a file or a pipe it has all columns, as wide as they are. `--json` is for
programs.
"""


def commands() -> str:
    """Every command's help, as the terminal shows it."""
    lines = ["# Commands", "", NOTE, OUTPUT]
    for words in _words(typer.main.get_command(build_app(Registry())), ()):
        lines += ["## `" + " ".join(("charpipe", *words)) + "`", "", "```"]
        lines += [_help(words), "```", ""]
    return "\n".join(lines)


def _words(command: Any, before: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """What to type for every command, however deep, but for groups, whose commands say it all."""
    inner = {name: one for name, one in getattr(command, "commands", {}).items() if not one.hidden}
    if not inner or not before:
        yield before
    for name, one in inner.items():
        yield from _words(one, (*before, name))


def _help(words: tuple[str, ...]) -> str:
    output = io.StringIO()
    width = mock.patch.dict(os.environ, {"COLUMNS": "100", "TERMINAL_WIDTH": "100"})
    with width, contextlib.redirect_stdout(output):
        main([*words, "--help"])
    return "\n".join(line.rstrip() for line in output.getvalue().strip().splitlines())


def settings() -> str:
    """Every setting with its default and what it means, table by table, and every hook."""
    lines = ["# Settings", "", NOTE]
    tables: list[tuple[str, type[BaseModel]]] = [("corpora.NAME", CorpusConfig)]
    for name in (
        "plugins",
        "train",
        "sample",
        "tracking",
        "prefect",
        "store",
        "cluster",
        "promotion",
        "retention",
    ):
        tables.append((name, Config.model_fields[name].annotation))  # type: ignore[arg-type]
    tables += [
        (f"architectures.{name}", spec.config) for name, spec in Registry().all("architecture").items()
    ]
    tables += [("deployments.NAME", DeploymentConfig), ("deployments.NAME.schedule", Schedule)]
    for name, model in tables:
        lines += [f"## `[{name}]`", "", "| setting | default | meaning |", "| --- | --- | --- |"]
        lines += [f"| `{key}` | {default} | {meaning} |" for key, default, meaning in _rows(model)]
        lines.append("")
    lines += ["# Hooks", "", "| hook | for |", "| --- | --- |"]
    for name, hook in vars(hookspecs).items():
        if name.startswith("charpipe_"):
            lines.append(f"| `{name}` | {(hook.__doc__ or '').strip()} |")
    return "\n".join([*lines, ""])


def _rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _rows(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _default(field), (field.description or "").replace("|", "\\|")


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "needed"
    return "unset" if value is None else f"`{list(value) if isinstance(value, tuple) else value!r}`"


if __name__ == "__main__":
    (HERE / "commands.md").write_text(commands(), encoding="utf-8")
    (HERE / "settings.md").write_text(settings(), encoding="utf-8")
