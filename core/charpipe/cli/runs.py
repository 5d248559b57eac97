"""`charpipe runs`: what was trained here, how it stands, and filling MLflow's gaps."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from charpipe.cli.comparing import compare
from charpipe.cli.environment import open_workspace, settings
from charpipe.cli.output import print_json, print_table
from charpipe.config.files import find_project_file
from charpipe.errors import RunError
from charpipe.guessing import warn_about
from charpipe.identity import spoken
from charpipe.runs import Run, find_run, list_runs

app = typer.Typer(no_args_is_help=True)
app.command("compare")(compare)


@app.command("list")
def show_all(
    corpus: Annotated[str | None, typer.Option(help="Only runs of this corpus.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """All runs of this workspace, oldest first."""
    rows = [row for run in list_runs(open_workspace().root / "runs") if (row := _row(run)) is not None]
    if corpus is not None:
        known = [row["corpus"] for row in rows if row["corpus"]]
        corpus = spoken(corpus, known, open_workspace().root, find_project_file())
    rows = [row for row in rows if corpus is None or row["corpus"] == corpus]
    if json:
        print_json(rows)
        return
    columns = ("run", "state", "step", "val/loss", "val/bits_per_char", "test/bits_per_char")
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
        typer.Argument(
            help="A run: name, unique beginning, short name, MLflow run id, `last`, `best:CORPUS`."
        ),
    ] = "last",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Everything about one run: how it stands, its scores, lineage, settings."""
    found = find_run(open_workspace().root / "runs", run, use="any")
    info, status = found.info, found.status
    warning = warn_about(info, status)
    if json:
        print_json({**info.model_dump(by_alias=True), "status": status.model_dump(), "warning": warning})
        return
    row = _row(found) or {}
    typer.echo(f"{found.name}\n")
    for key, value in row.items():
        if key not in ("run", "worse_than_guessing") and value is not None:
            typer.echo(f"  {key:<24} {f'{value:.4f}' if isinstance(value, float) else value}")
    engine = ": ".join(filter(None, (status.engine, status.engine_reason)))
    for key, value in (("device", status.device), ("precision", status.precision), ("engine", engine)):
        if value:
            typer.echo(f"  {key:<24} {value}")
    if status.error:
        typer.echo(f"  {'error':<24} {status.error}")
    if warning is not None:
        typer.echo(f"  {'warning':<24} {warning}")
    for title, table in (("lineage (content digests)", info.inputs), ("versions", info.versions)):
        typer.echo(f"\n{title}")
        for key, value in table.items():
            typer.echo(f"  {key:<24} {value}")
    typer.echo("\nsettings that are not defaults")
    for key, origin in sorted(info.origins.items()):
        if key in info.settings:
            typer.echo(f"  {key:<32} {info.settings[key]!r:<20} {origin}")
    if found.samples_file.is_file():
        typer.echo(f"\nsamples by step: {found.samples_file}")


@app.command("sync")
def sync(
    run: Annotated[str | None, typer.Argument(help="A run; without it, all of them.")] = None,
) -> None:
    """Fill MLflow from what the runs recorded. Doing it twice is the same as doing it once."""
    from charpipe.champions import corpora
    from charpipe.tracking import locate
    from charpipe.tracking.registered import follow
    from charpipe.tracking.sync import sync as fill

    workspace, config = open_workspace(), settings().config
    location = locate(config.tracking, workspace.mlflow)
    if location.notice:
        typer.echo(location.notice)
    runs = [find_run(workspace.runs, run, use="any")] if run is not None else list_runs(workspace.runs)
    for one in runs:
        added = fill(location, one, config.tracking.experiment)
        typer.echo(f"{one.name}  {added:,} metrics added")
    for corpus in corpora(workspace) if run is None else ():
        told = follow(location, workspace, corpus, config.tracking.experiment)
        typer.echo(f"champion:{corpus}  {told:,} models registered")
