"""`charpipe report`: a run as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from charpipe.cli.arguments import JsonObject, RunName
from charpipe.cli.browser import Open, open_page
from charpipe.cli.environment import settings
from charpipe.cli.output import print_json


def report(
    run: RunName = "last",
    output: Annotated[
        Path | None, typer.Option(help="Where to write the page.  [default: the run's folder]")
    ] = None,
    open_: Open = False,
    json: JsonObject = False,
) -> None:
    """Write a run's report: curves, samples by step, baselines, settings and lineage on one HTML page."""
    from charpipe.api.report import FOLDER, write

    page, missing = write(run, output, settings())
    if open_:
        open_page(page)
    if json:
        print_json({"page": str(page), "notice": missing})
        return
    typer.echo(f"page    {page}")
    if missing:
        typer.echo(f"note: {missing}")
    else:
        typer.echo(f"MLflow  {FOLDER}/{page.name}, among the run's artifacts if the run is tracked")
