"""`charpipe runs`: what was trained here, how it stands, and filling MLflow's gaps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from charpipe.champions import corpora
from charpipe.cli.arguments import JsonArray, JsonObject
from charpipe.cli.defaults import spelled
from charpipe.cli.environment import open_runs, open_workspace, settings
from charpipe.cli.output import print_json, print_pairs, print_table
from charpipe.cli.runs_compare import compare
from charpipe.config.files import find_project_file
from charpipe.config.identity import spoken
from charpipe.errors import RunError
from charpipe.runs import Run
from charpipe.runs.library import RunLibrary
from charpipe.runs.uniform_baseline import warn_about
from charpipe.tracking import locate

app = typer.Typer(no_args_is_help=True)
app.command("compare")(compare)


@app.command("list")
def show_all(
    corpus: Annotated[str | None, typer.Option(help="Only runs of this corpus.  [default: of all]")] = None,
    json: JsonArray = False,
) -> None:
    """List the runs of this workspace and of the shared store, oldest first."""
    library = open_runs()
    rows = [_with_place(library, run, row) for run in library.all() if (row := _row(run)) is not None]
    if corpus is not None:
        known = [row["corpus"] for row in rows if row["corpus"]]
        corpus = spoken(corpus, known, open_workspace().root, find_project_file())
    rows = [row for row in rows if corpus is None or row["corpus"] == corpus]
    if json:
        print_json(rows)
        return
    columns: tuple[str, ...] = ("run", "state", "step", "val/loss", "val/bits_per_char", "test/bits_per_char")
    columns += ("where",) if library.shared is not None else ()
    cells = [[row.get(column) for column in columns] for row in rows]
    empty = "There are no runs yet; type: charpipe run train-and-sample --corpus hello"
    print_table(columns, cells, empty, drop=("val/loss", "val/bits_per_char", "step", "state"))
    for run in (row["run"] for row in rows if row.get("worse_than_guessing")):
        typer.echo(f"worse than guessing: {run}; for what to set, type: charpipe runs show {run}")


def _row(run: Run) -> dict[str, Any] | None:
    try:
        info, status = run.info, run.status
    except RunError as error:
        return {"run": run.name, "state": "damaged", "corpus": "", "error": str(error)}
    metrics = status.metrics or (status.best or status.last or {}).get("metrics", {})
    return {
        "run": run.name,
        "corpus": info.corpus,
        "arch": info.architecture,
        "created": info.created,
        "state": status.state,
        "step": status.step,
        "steps": status.steps,
        "seconds": round(status.seconds, 1),
        "parameters": status.parameters,
        **metrics,
        "worse_than_guessing": warn_about(info, status) is not None,
    }


@app.command("show")
def show(
    run: Annotated[
        str,
        typer.Argument(help="A run: name, unique prefix, short name, MLflow run id, `last`, `best:CORPUS`."),
    ] = "last",
    json: JsonObject = False,
) -> None:
    """Show a run: its status, scores, lineage and settings."""
    library = open_runs()
    found = library.find(run)
    info, status = found.info, found.status
    warning = warn_about(info, status)
    if json:
        shown = {**info.model_dump(by_alias=True), "status": status.model_dump(), "warning": warning}
        print_json(_with_place(library, found, shown))
        return
    typer.echo(f"{found.name}\n")
    print_pairs(_status(found, warning))
    if library.shared is not None:
        print_pairs([("where", place(library, found))])
    for title, table in (("lineage (content digests)", info.inputs), ("versions", info.versions)):
        typer.echo(f"\n{title}")
        print_pairs(table.items())
    typer.echo("\nsettings that are not defaults")
    changed = [key for key in sorted(info.origins) if info.concerns(key)]
    rows = [(key, spelled(info.settings[key]), info.origins[key]) for key in changed]
    print_table(("setting", "value", "from"), rows, "  none", drop=("from",))
    if found.samples_file.is_file():
        typer.echo(f"\nsamples by step: {found.samples_file}")


def _with_place(library: RunLibrary, run: Run, row: dict[str, Any]) -> dict[str, Any]:
    """The row, and where the run is if there is a shared store."""
    return row if library.shared is None else {**row, "where": place(library, run)}


def place(library: RunLibrary, run: Run) -> str:
    """Where a run is: its machine while it is trained, and whether the shared store has it."""
    record = library.record(run)
    if record is None or not record.attempt:
        return "here only"
    if record.holder is not None and record.is_leased:
        return f"in training: {record.holder}"
    if record.mine:
        return "here and in the store" if record.complete else "here, in part in the store"
    return "here and in the store" if run.has_checkpoint() else "in the store"


def _status(run: Run, warning: str | None) -> Iterator[tuple[str, Any]]:
    """How a run stands, without what is not known of it."""
    row = _row(run) or {}
    yield from ((key, value) for key, value in row.items() if key not in ("run", "worse_than_guessing"))
    status = run.status
    yield "device", status.device
    yield "precision", status.precision
    yield "engine", ": ".join(filter(None, (status.engine, status.engine_reason))) or None
    yield "error", status.error
    yield "warning", warning


@app.command("sync")
def sync(
    run: Annotated[str | None, typer.Argument(help="A run.  [default: all of them]")] = None,
) -> None:
    """Copy what the runs recorded to MLflow, and what the shared store lacks to it. Repeating it changes nothing."""
    from charpipe.tracking.registry import follow
    from charpipe.tracking.sync import sync as fill

    workspace, config = open_workspace(), settings().config
    library = open_runs()
    location = locate(config.tracking, workspace.mlflow)
    if location.notice:
        typer.echo(location.notice)
    runs = [library.find(run)] if run is not None else library.trained_here()
    for line in library.push(runs):
        typer.echo(line)
    for one in runs:
        added = fill(location, one, config.tracking.experiment)
        typer.echo(f"{one.name}  {added:,} metrics added")
    for corpus in corpora(workspace) if run is None else ():
        registered = follow(location, workspace, corpus, config.tracking.experiment)
        typer.echo(f"champion:{corpus}  {registered:,} models registered")
