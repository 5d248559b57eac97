"""`charpipe runs compare`: runs side by side in the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from charpipe.cli.environment import open_workspace
from charpipe.cli.models import Json
from charpipe.cli.output import print_json, print_table
from charpipe.errors import UsageError
from charpipe.runs import find_run

if TYPE_CHECKING:
    from charpipe.reporting.side_by_side import SideBySide


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(help="Two runs or more: names, unique beginnings, short names, `best:CORPUS`..."),
    ],
    json: Json = False,
) -> None:
    """Set runs side by side: scores, the settings in which they differ, and how each learnt."""
    from charpipe.reporting.side_by_side import side_by_side

    folder = open_workspace().runs
    found = {run.name: run for run in (find_run(folder, wanted, use="model") for wanted in runs)}
    if len(found) < 2:
        raise UsageError("comparing takes two runs or more; type: charpipe runs list")
    compared = side_by_side(list(found.values()))
    if json:
        print_json(compared.as_json())
    else:
        _show(compared)


def _show(compared: SideBySide) -> None:
    from charpipe.reporting.side_by_side import CURVE, sparkline

    columns = ("", *compared.titles)
    print_table(columns, [(name, *row) for name, row in compared.scores.items()], "no scores yet")
    for warning in compared.warnings:
        typer.echo(f"\nwarning: {warning}")
    typer.echo("")
    rows = [(name, *map(str, row)) for name, row in compared.settings.items()]
    print_table(("settings that differ", *compared.titles), rows, "All their settings are the same.")
    values = [point.value for curve in compared.curves for point in curve if math.isfinite(point.value)]
    if not values:
        return
    low, high = min(values), max(values)
    typer.echo(f"\n{CURVE} while training, from {high:.3f} (█) to {low:.3f} (▁)")
    for title, curve in zip(compared.titles, compared.curves, strict=True):
        last = f"{curve[-1].value:.3f} after {curve[-1].step:,} steps" if curve else "nothing measured"
        typer.echo(f"  {title:<28} {sparkline(curve, low, high)}  {last}")
