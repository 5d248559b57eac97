"""`charpipe runs list`: the runs, filtered, sorted, with the columns that are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from charpipe.cli.arguments import JsonArray
from charpipe.cli.environment import open_runs, open_workspace
from charpipe.cli.output import print_json, print_table, written
from charpipe.config.files import find_project_file
from charpipe.config.identity import spoken
from charpipe.errors import RunError
from charpipe.runs import Run
from charpipe.runs.annotations import read_annotations
from charpipe.runs.library import RunLibrary
from charpipe.runs.selection import RunFilter, check_keys, select, sort_rows
from charpipe.runs.uniform_baseline import warn_about

COLUMNS = ("run", "state", "step", "val/loss", "val/bits_per_char", "test/bits_per_char")
KEYS = (
    "run",
    "name",
    "corpus",
    "arch",
    "state",
    "created",
    "step",
    "steps",
    "seconds",
    "parameters",
    "tags",
    "note",
)
EMPTY = "There are no runs yet; type: charpipe run train-and-sample --corpus hello"
MAX_EXPONENT = 700.0


def show_all(
    corpus: Annotated[str | None, typer.Option(help="Only runs of this corpus.  [default: of all]")] = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Sort by this value, lowest first.  [default: by time]"),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    filter_: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="FILTER",
            help="Only runs that fit: KEY=VALUE, or !=, <, <=, >, >= or ~ (has this part); may be repeated.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="KEYS", help="Values to show, separated by commas.  [default: scores]"),
    ] = None,
    json: JsonArray = False,
) -> None:
    """List the runs of this workspace and of the shared store, oldest first.

    A KEY is run, corpus, arch, state, created, step, seconds, parameters, name, tags, note, the name of a metric
    (val/loss), or a setting (train.seed).
    """
    library = open_runs()
    rows = [with_place(library, run, row) for run in library.all() if (row := row_of(run)) is not None]
    if corpus is not None:
        known = [row["corpus"] for row in rows if row["corpus"]]
        corpus = spoken(corpus, known, open_workspace().root, find_project_file())
    rows = [row for row in rows if corpus is None or row["corpus"] == corpus]
    filters, wanted = [RunFilter.parse(text) for text in filter_ or ()], _columns(columns)
    keys = {*(one.key for one in filters), *(wanted or ()), *([sort] if sort else ())}
    rows = _chosen(library, rows, filters, sort, reverse, keys)
    if json:
        print_json(rows)
        return
    shown = wanted or _default_columns(rows, library)
    cells = [[_cell(row, column) for column in shown] for row in rows]
    empty = "No run fits." if filters or corpus is not None else EMPTY
    drop = () if wanted else ("val/loss", "val/bits_per_char", "step", "state")
    print_table(shown, cells, empty, drop=drop)
    for run in (row["run"] for row in rows if row.get("worse_than_guessing")):
        typer.echo(f"worse than guessing: {run}; for what to set, type: charpipe runs show {run}")


def _chosen(
    library: RunLibrary,
    rows: list[dict[str, Any]],
    filters: Sequence[RunFilter],
    sort: str | None,
    reverse: bool,
    keys: set[str],
) -> list[Any]:
    """The rows that fit, sorted, with the settings among `keys`."""
    settings = {key for key in keys if "." in key}
    if settings:
        by_name = {run.name: run for run in library.all()}
        for row in rows:
            found = _settings(by_name[row["run"]])
            row.update({key: found[key] for key in settings & found.keys()})
    if rows:
        check_keys(keys, rows, KEYS)
    chosen = select(rows, filters)
    if sort is not None:
        return sort_rows(chosen, sort, reverse)
    return chosen[::-1] if reverse else chosen


def _settings(run: Run) -> dict[str, Any]:
    try:
        info = run.info
    except RunError:
        return {}
    model = {
        f"architectures.{info.architecture}.{key}": value for key, value in info.architecture_config.items()
    }
    return info.settings | model


def _columns(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    given = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    return given if not given or "run" in given else ("run", *given)


def _default_columns(rows: Sequence[Any], library: RunLibrary) -> tuple[str, ...]:
    tags = ("tags",) if any(row.get("tags") for row in rows) else ()
    return (*COLUMNS, *tags, *(("where",) if library.shared is not None else ()))


def _cell(row: dict[str, Any], column: str) -> Any:
    """A value as the table shows it: a run by the name that it was given, a setting as it was written."""
    if column == "run":
        return row.get("name") or row["run"]
    if column == "tags":
        return ", ".join(row.get("tags") or ()) or None
    if column == "seconds" and column in row:
        return f"{row[column]:.1f}"
    return written(row[column]) if "." in column and column in row else row.get(column)


def row_of(run: Run) -> dict[str, Any]:
    """What a list shows of a run."""
    try:
        info, status, given = run.info, run.status, read_annotations(run.folder)
    except RunError as error:
        return {"run": run.name, "state": "damaged", "corpus": "", "error": str(error)}
    metrics = status.metrics or (status.best or status.last or {}).get("metrics", {})
    return {
        "run": run.name,
        "name": given.name,
        "corpus": info.corpus,
        "arch": info.architecture,
        "created": info.created,
        "state": status.state,
        "step": status.step,
        "steps": status.steps,
        "seconds": round(status.seconds, 1),
        "parameters": status.parameters,
        **metrics,
        **_perplexities(metrics),
        "tags": [f"{key}={value}" if value else key for key, value in sorted(given.tags.items())],
        "note": given.note or None,
        "worse_than_guessing": warn_about(info, status) is not None,
    }


def _perplexities(metrics: dict[str, float]) -> dict[str, float]:
    """exp of the losses, for runs whose metrics do not have it, as those of earlier releases."""
    losses = {split: metrics.get(f"{split}/loss") for split in ("val", "test")}
    return {
        f"{split}/perplexity": math.exp(loss)
        for split, loss in losses.items()
        if loss is not None and loss < MAX_EXPONENT
    }


def with_place(library: RunLibrary, run: Run, row: dict[str, Any]) -> dict[str, Any]:
    """The row, and where the run is if there is a shared store."""
    return row if library.shared is None else {**row, "where": place(library, run)}


def place(library: RunLibrary, run: Run) -> str:
    """Where a run is: its machine while it is trained, and whether the shared store has it."""
    record = library.record(run)
    if record is None or not record.attempt or record.deleted:
        return "here only"
    if record.holder is not None and record.is_leased:
        return f"in training: {record.holder}"
    if record.mine:
        return "here and in the store" if record.complete else "here, in part in the store"
    return "here and in the store" if run.has_checkpoint() else "in the store"
