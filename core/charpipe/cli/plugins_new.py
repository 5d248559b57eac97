"""`charpipe plugins new`: write a small plugin that works, with its test."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from charpipe.cli.environment import open_registry, settings
from charpipe.cli.output import for_output
from charpipe.projects.plugin_templates import KINDS, NewPlugin, write_plugin

TRY = {
    "cell": "charpipe run train-and-sample --corpus hello --arch {name}",
    "architecture": "charpipe run train-and-sample --corpus hello --arch {name}",
    "tokenizer": "charpipe run train-and-sample --corpus hello --set corpus.tokenizer.name={name}",
    "source": "charpipe run train-and-sample --corpus {name}:1000",
    "decoder": "charpipe sample last --set sample.decoders.{name}.distance=3",
    "metric": "charpipe run train-and-sample --corpus hello",
    "pipeline": "charpipe run {name} --corpus hello",
}


def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}.")],
    name: Annotated[str, typer.Argument(help="Its name: small letters, digits, - and _.")],
) -> None:
    """Write a new plugin into the project's folder for plugins: a small one that works, with a test."""
    made = write_plugin(kind, name, settings(), open_registry())
    for path in made.files:
        typer.echo(for_output(f"wrote {os.path.relpath(path)}"))
    for line in _next(made):
        typer.echo(line)


def _next(made: NewPlugin) -> list[str]:
    name = made.folder.name if made.kind == "metric" else made.name
    return [
        "",
        f"To check it, type: charpipe plugins check {name}",
        f"To use it, type:   {TRY[made.kind].format(name=name)}",
    ]
