"""`charpipe pipelines`: what `charpipe run` can run."""

from __future__ import annotations

import typer

from charpipe.cli.arguments import JsonArray
from charpipe.cli.environment import open_registry
from charpipe.cli.output import print_json, print_table

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_pipelines(json: JsonArray = False) -> None:
    """List the pipelines that `charpipe run` can run."""
    found = open_registry().all("pipeline")
    if json:
        print_json([{"name": name, "summary": spec.summary} for name, spec in found.items()])
        return
    print_table(
        ("pipeline", "what it does"),
        [(name, spec.summary) for name, spec in found.items()],
        "There are none.",
    )
