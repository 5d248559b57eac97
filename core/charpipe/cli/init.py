"""`charpipe init`: make a project in a folder."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from charpipe.cli.corpora_add import add_and_show
from charpipe.cli.output import for_output
from charpipe.config.files import VARIABLE
from charpipe.config.names import LONGEST
from charpipe.errors import UsageError
from charpipe.projects.creation import Project, create_project
from charpipe.store.paths import shell_word


def init(
    folder: Annotated[
        str, typer.Argument(help="The folder; it is made if need be.", show_default="the working directory")
    ] = ".",
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Ask nothing; only a terminal is asked anyway.")
    ] = False,
) -> None:
    """Make a project: a commented pipelines.toml, and a folder plugins with a README. Overwrites nothing.

    On a terminal it asks for a text to train on, which may be left open.
    """
    if not folder.strip():
        raise UsageError("the path of the folder is empty; name one: charpipe init FOLDER")
    project = create_project(Path(folder).expanduser())
    for path in project.written:
        typer.echo(for_output(f"wrote {path}"))
    if project.around is not None:
        typer.echo(
            for_output(
                f"the settings of {project.around} do not apply in this folder: the nearest file counts"
            )
        )
    if (elsewhere := os.environ.get(VARIABLE)) is not None:
        typer.echo(
            f"{VARIABLE} is set to {elsewhere}: commands use the project there, not this one", err=True
        )
    asked = not no_input and sys.stdin.isatty() and sys.stdout.isatty() and elsewhere is None
    if asked and (source := _ask()):
        _add(project, source)
        return
    enter = "" if Path(folder) == Path() else f"cd {shell_word(str(project.folder))} && "
    typer.echo(
        for_output(
            f"\nTo add a text of your own, type: {enter}charpipe corpora add NAME PATH"
            f"\nTo train without one, type:      {enter}charpipe run train-and-sample --corpus hello"
        )
    )


def _ask() -> str:
    answer: str = typer.prompt(
        "\nA text to train on: a file, folder or URL (Enter: none)", default="", show_default=False
    )
    return answer.strip()


def _add(project: Project, source: str) -> None:
    """Add the text, under a name made from its path, as seen from the folder in which the user is."""
    where = source if "://" in source else os.path.abspath(os.path.expanduser(source))  # noqa: PTH100, PTH111
    os.chdir(project.folder)
    add_and_show(_name_of(source), where)


def _name_of(source: str) -> str:
    stem = source.rstrip("/").rpartition("/")[2].partition(".")[0]
    return re.sub(r"[^\w-]+", "_", stem).strip("_-")[:LONGEST] or "text"
