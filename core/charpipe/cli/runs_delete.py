"""`charpipe runs delete`: delete runs, and say what is freed."""

from __future__ import annotations

from typing import Annotated

import typer

from charpipe.cli.arguments import JsonObject
from charpipe.cli.environment import open_runs, settings
from charpipe.cli.output import print_json


def delete(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs: name, unique prefix, short name, `last`.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Also a run that is a champion, or that another one starts from.")
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Only this workspace's copy: not the shared store, not MLflow.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    json: JsonObject = False,
) -> None:
    """Delete runs: their folders, what the shared store has of them, and in MLflow. It cannot be undone.

    The models of champions are kept apart, and stay. Either all of the runs can be deleted, or none is.
    """
    from charpipe.retention.run_deletion import DeletedRun, delete_runs
    from charpipe.stages.units import size

    config = settings().config
    library = open_runs()
    chosen = [library.find(run) for run in runs]

    def show(one: DeletedRun) -> None:
        if not json:
            shared = f", {size(one.shared_bytes, 'B')} in the shared store" if one.shared_bytes else ""
            there = f"; in MLflow too ({one.mlflow})" if one.mlflow else ""
            typer.echo(
                f"{'would delete' if dry_run else 'deleted'} {one.run}: {size(one.bytes, 'B')}{shared}{there}"
            )

    deleted = delete_runs(
        library, chosen, config.tracking, force=force, local=local, dry_run=dry_run, report=show
    )
    total, shared = sum(one.bytes for one in deleted), sum(one.shared_bytes for one in deleted)
    if json:
        found = [vars(one) for one in deleted]
        print_json({"dry_run": dry_run, "bytes": total, "shared_bytes": shared, "deleted": found})
        return
    verb = "would be freed" if dry_run else "freed"
    typer.echo(f"{size(total + shared, 'B')} {verb}; tokens and texts that no run needs go with: charpipe gc")
