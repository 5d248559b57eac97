"""`charpipe runs`: what was trained here, how it stands, filling MLflow's gaps, and keeping house."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from charpipe.champions import corpora
from charpipe.cli.arguments import JsonObject
from charpipe.cli.defaults import spelled
from charpipe.cli.environment import open_runs, open_workspace, settings
from charpipe.cli.output import for_output, print_json, print_pairs, print_table
from charpipe.cli.published import print_published, published_json
from charpipe.cli.runs_annotate import note, rename, tag
from charpipe.cli.runs_compare import compare
from charpipe.cli.runs_delete import delete
from charpipe.cli.runs_list import place, row_of, show_all, with_place
from charpipe.errors import StoreError
from charpipe.runs import Run
from charpipe.runs.annotations import read_annotations
from charpipe.runs.uniform_baseline import warn_about
from charpipe.store import Store
from charpipe.tracking import locate

HIDDEN = ("run", "note", "worse_than_guessing")
"""What is not among the pairs of a run."""
app = typer.Typer(no_args_is_help=True)
app.command("list")(show_all)
app.command("compare")(compare)
app.command("delete")(delete)
app.command("rename")(rename)
app.command("note")(note)
app.command("tag")(tag)


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
        row = row_of(found)
        shown["annotations"] = {key: row[key] for key in ("name", "note", "tags")}
        shown["perplexity"] = {key: value for key, value in row.items() if key.endswith("/perplexity")}
        if scores := published_json(found):
            shown["published"] = scores
        print_json(with_place(library, found, shown))
        return
    typer.echo(f"{found.name}\n")
    print_pairs(_status(found, warning))
    if library.shared is not None:
        print_pairs([("where", place(library, found))])
    if (text := read_annotations(found.folder).note) != "":
        typer.echo("\nnote")
        for line in for_output(text).splitlines():
            typer.echo(f"  {line}")
    print_published(found, _training_tokens(found), settings().origins)
    for title, table in (("lineage (content digests)", info.inputs), ("versions", info.versions)):
        typer.echo(f"\n{title}")
        print_pairs(table.items())
    typer.echo("\nsettings that are not defaults")
    changed = [key for key in sorted(info.origins) if info.concerns(key)]
    rows = [(key, spelled(info.settings[key]), info.origins[key]) for key in changed]
    print_table(("setting", "value", "from"), rows, "  none", drop=("from",))
    if found.samples_file.is_file():
        typer.echo(f"\nsamples by step: {found.samples_file}")


def _training_tokens(run: Run) -> int | None:
    """The length of the text that a run was trained on; None if its tokens are not in this workspace."""
    from charpipe.text.tokens import read_facts  # numpy

    folder = Store(open_workspace().store).object(run.info.inputs.get("tokens", ""))
    try:
        return int(read_facts(folder)["tokens"]["train"])
    except StoreError:
        return None


def _status(run: Run, warning: str | None) -> Iterator[tuple[str, Any]]:
    """How a run stands, without what is not known of it."""
    row = row_of(run)
    row["tags"] = ", ".join(row.get("tags", ())) or None
    row["seconds"] = f"{row['seconds']:.1f}"
    yield from ((key, value) for key, value in row.items() if key not in HIDDEN)
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
