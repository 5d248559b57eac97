"""`charpipe ui` and `charpipe down`: the pages of the workspace's servers, and their end."""

from __future__ import annotations

import contextlib
import webbrowser
from typing import Annotated

import typer

from charpipe.cli.environment import open_runs, open_workspace, settings
from charpipe.runs import Run, list_runs
from charpipe.tracking import TrackingConfig, locate
from charpipe.tracking.pages import base_url, comparison_link, experiment_link, link, mlflow_server
from charpipe_pipelines.orphans import mark_killed_runs
from charpipe_pipelines.server import become_client, choose, managed_server


def ui(
    browser: Annotated[bool, typer.Option(help="Open the pages in a browser.")] = True,
    run: Annotated[
        list[str],
        typer.Option("--run", help="Open the page of this run; for several: the page that compares them."),
    ] = [],  # noqa: B006
    charts: Annotated[
        bool, typer.Option("--charts", help="Open the runs' charts instead of their table.")
    ] = False,
) -> None:
    """Start MLflow's and Prefect's servers if need be, and open their pages."""
    workspace, config = open_workspace(), settings().config
    location = locate(config.tracking, workspace.mlflow)
    runs = open_runs()
    chosen = [runs.find(name) for name in run]
    base = base_url(location, workspace.logs)
    last = _last_tracked(list_runs(workspace.runs))
    if len(chosen) > 1:
        mlflow = comparison_link(base, chosen)
    elif chosen:
        mlflow = link(base, chosen[0])
    else:
        mlflow = experiment_link(base, last, charts) if last is not None else link(base)
    api = choose(workspace, config.prefect.api_url, lambda event: None)
    prefect = api.server.start() if api.server is not None else api.page
    if api.server is not None:
        become_client(workspace)
        mark_killed_runs(f"{prefect}/api")
    for name, url in (("MLflow", mlflow), ("Prefect", f"{prefect}/runs")):
        typer.echo(f"{name:<8} {url}")
        if browser:
            with contextlib.suppress(webbrowser.Error):  # no browser here: the address is enough
                webbrowser.open(url)
    typer.echo("Both stop after 15 minutes without a visitor; to stop them now, type: charpipe down")


def down() -> None:
    """Stop the servers that charpipe started for this workspace."""
    workspace = open_workspace()
    location = locate(TrackingConfig(), workspace.mlflow, {})
    for server in (managed_server(workspace), mlflow_server(location, workspace.logs)):
        typer.echo(f"{server.name:<8} {'stopped' if server.stop() else 'was not running'}")


def _last_tracked(runs: list[Run]) -> Run | None:
    tracked = [run for run in runs if run.status.mlflow.get("experiment_id")]
    return tracked[-1] if tracked else None
