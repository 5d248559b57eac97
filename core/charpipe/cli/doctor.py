"""`charpipe doctor`: what is installed and reachable, and what mends the rest."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Annotated

import typer

from charpipe.cli.arguments import JsonArray
from charpipe.cli.environment import open_registry
from charpipe.cli.output import for_output, print_json, terminal_width
from charpipe.diagnostics import examine, look_around
from charpipe.plugin import Finding

NARROWEST = 40


def doctor(
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Also say which of a team's servers are not set up.")
    ] = False,
    json: JsonArray = False,
) -> None:
    """Examine the installation, the project, the workspace, and the servers that the settings name; changes nothing.

    Exits with 1 if there is a problem.
    """
    diagnosis = examine(look_around(cluster, open_registry()))
    if json:
        print_json([finding.to_json() for finding in diagnosis.findings])
    else:
        width = max((len(finding.check) for finding in diagnosis.findings), default=0)
        for finding in diagnosis.findings:
            for line in lines(finding, width, terminal_width()):
                typer.echo(for_output(line))
        problems, warnings = len(diagnosis.problems), len(diagnosis.warnings)
        typer.echo(f"\n{_counted(problems, 'problem')}, {_counted(warnings, 'warning')}")
    if diagnosis.problems:
        raise typer.Exit(1)


def lines(finding: Finding, width: int, columns: int | None) -> Iterator[str]:
    """A finding as text: its level, its check, its sentence wrapped beside them, and what mends it."""
    head = f"{finding.level:<8} {finding.check:<{width}}  "
    texts = [finding.message, *([f"to mend it: {finding.remedy}"] if finding.remedy else [])]
    for number, text in enumerate(texts):
        room = None if columns is None else max(NARROWEST, columns - len(head))
        parts = (
            [text]
            if room is None
            else textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
        )
        for place, part in enumerate(parts or [""]):
            yield (head if number == place == 0 else " " * len(head)) + part


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
