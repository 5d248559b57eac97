"""`charpipe runs compare`: runs side by side in the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from charpipe.cli.arguments import JsonObject
from charpipe.cli.environment import open_runs
from charpipe.cli.output import GAP, PROSE, cell, cell_len, print_json, print_table, terminal_width, written
from charpipe.errors import UsageError
from charpipe.reports.side_by_side import CURVE, WIDTH, side_by_side, sparkline

if TYPE_CHECKING:
    from charpipe.reports.side_by_side import SideBySide


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(help="Two runs or more: names, unique prefixes, short names, `best:CORPUS`..."),
    ],
    json: JsonObject = False,
) -> None:
    """Compare runs: scores, the settings in which they differ, and learning curves."""
    library = open_runs()
    found = {run.name: run for run in (library.find(wanted, use="model") for wanted in runs)}
    if len(found) < 2:
        raise UsageError("comparing takes two runs or more; type: charpipe runs list")
    compared = side_by_side(list(found.values()))
    if json:
        print_json(compared.as_json())
    else:
        _show(compared)


def _show(compared: SideBySide) -> None:
    scores = compared.scores | {"seconds": [f"{value:.1f}" for value in compared.scores["seconds"]]}
    _table("", compared.titles, scores, "no scores yet")
    for warning in compared.warnings:
        typer.echo(f"\nwarning: {warning}")
    typer.echo("")
    settings = {name: [written(value) for value in row] for name, row in compared.settings.items()}
    _table("settings that differ", compared.titles, settings, "All their settings are the same.")
    _curves(compared)


def _table(head: str, titles: Sequence[str], rows: Mapping[str, Sequence[object]], empty: str) -> None:
    """A row a name and a column a run: as many runs beside each other as the terminal has room for, then the next."""
    cells = {name: [cell(value) for value in row] for name, row in rows.items()}
    if not cells:
        typer.echo(empty)
        return
    first = max(cell_len(name) for name in (head, *cells))
    columns = zip(titles, *cells.values(), strict=True)
    widths = [min(max(map(cell_len, column)), PROSE) for column in columns]
    for number, block in enumerate(_blocks(first, widths, terminal_width())):
        if number:
            typer.echo("")
        shown = [(name, *(row[run] for run in block)) for name, row in cells.items()]
        print_table((head, *(titles[run] for run in block)), shown, empty)


def _blocks(first: int, widths: Sequence[int], room: int | None) -> Iterator[list[int]]:
    """The columns by number, as many together as have room beside the `first`; at least one."""
    block: list[int] = []
    for number in range(len(widths)):
        wanted = first + sum(widths[run] + GAP for run in (*block, number))
        if block and room is not None and wanted > room:
            yield block
            block = []
        block.append(number)
    yield block


def _curves(compared: SideBySide) -> None:
    values = [point.value for curve in compared.curves for point in curve if math.isfinite(point.value)]
    if not values:
        return
    low, high = min(values), max(values)
    typer.echo(f"\n{CURVE} while training: {high:.3f} (█) to {low:.3f} (▁)")
    last = [
        f"{curve[-1].value:.3f} after {curve[-1].step:,} steps" if curve else "nothing measured"
        for curve in compared.curves
    ]
    named = max(map(cell_len, compared.titles))
    room = terminal_width()
    width = WIDTH if room is None else min(WIDTH, room - named - max(map(len, last)) - 2 * len("  "))
    for title, curve, words in zip(compared.titles, compared.curves, last, strict=True):
        line = sparkline(curve, low, high, width) if width > 1 else ""
        typer.echo(f"{title}{' ' * (named - cell_len(title))}  {line:<{max(width, 0)}}  {words}")
