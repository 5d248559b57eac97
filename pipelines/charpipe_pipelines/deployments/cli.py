"""`charpipe serve`, `charpipe deploy` and `charpipe deployments`: runs that come by themselves."""

from __future__ import annotations

import json as jsons
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charpipe.cli.arguments import JsonArray, JsonLines, JsonObject
from charpipe.cli.environment import open_registry, open_workspace, settings
from charpipe.cli.output import print_json, print_table
from charpipe.errors import CharpipeError, UsageError
from charpipe.events import Notice
from charpipe_pipelines.heartbeats import create_automations
from charpipe_pipelines.server import Api, become_client, choose

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from charpipe_pipelines.deployments.catalogue import Deployment

RETRIES = 3
app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A deployment of pipelines.toml.")]


def serve(
    limit: Annotated[int, typer.Option(min=1, help="Runs at a time; others wait.")] = 1,
    json: JsonLines = False,
) -> None:
    """Run the deployments of pipelines.toml on schedule, each in a process of its own, until Ctrl-C or SIGTERM.

    Runs in progress are saved first, and resume at the next start; the schedules stay active.
    """
    from charpipe.cli.signals import until_done
    from charpipe.stages import Stop
    from charpipe_pipelines.deployments import serving
    from charpipe_pipelines.deployments.catalogue import entrypoint
    from charpipe_pipelines.deployments.console import Console

    workspace = open_workspace()
    with serving.held(workspace):
        deployments = _read()
        if not deployments:
            from charpipe_pipelines.deployments.catalogue import NONE_YET

            raise UsageError(NONE_YET)
        api, console, stop = _api(), Console(json=json), Stop()
        pipelines = open_registry().all("pipeline")
        flows = {name: entrypoint(pipeline) for name, pipeline in pipelines.items()}
        console.introduce(deployments)
        until_done(
            lambda: serving.serve(workspace, deployments, flows, api, limit, console.report, stop),
            stop,
            lambda event: None,
        )
        console.report("stopped")


def deploy(
    pool: Annotated[str, typer.Option(help="The work pool whose workers execute the runs.")],
    name: Annotated[str | None, typer.Argument(help="One deployment.  [default: all of them]")] = None,
    job_variables: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Overrides of the pool's job variables.  [default: nothing]"),
    ] = None,
) -> None:
    """Register the deployments of pipelines.toml with a Prefect server's work pool, instead of serving them here.

    Its workers need charpipe, a copy of this project and CHARPIPE_PROJECT set to its folder; see docs/cluster.md.
    """
    from charpipe_pipelines.deployments.catalogue import pick
    from charpipe_pipelines.deployments.registration import check_pool, register_with_pool

    deployments, registry = _read(), open_registry()
    chosen = deployments if name is None else [pick(deployments, name)]
    variables = _object(job_variables)
    with _client() as client:
        check_pool(client, pool)
        _create_automations(client)
        for one in chosen:
            register_with_pool(client, one, registry, pool, variables)
            typer.echo(f"{one.pipeline.name}/{one.name}  registered with the work pool {pool}")


@app.command("list")
def list_deployments(json: JsonArray = False) -> None:
    """List the deployments of pipelines.toml: when each runs next, and how its last run ended."""
    from charpipe_pipelines.deployments.serving import is_served
    from charpipe_pipelines.deployments.status import status_of

    deployments, workspace = _read(), open_workspace()
    served = is_served(workspace)
    api = _api()
    there = api.server is None or api.server.running() is not None
    rows = []
    if there and deployments:
        with _client() as client:
            rows = [status_of(client, one) for one in deployments]
    else:
        rows = [status_of(None, one) for one in deployments]
    if json:
        print_json([{**row, "served": served} for row in rows])
        return
    columns = ("deployment", "pipeline", "works on", "schedule", "state", "next", "last run")
    keys = ("deployment", "pipeline", "subject", "schedule", "state", "next", "last")
    cells = [[row[key] for key in keys] for row in rows]
    empty = "There are no deployments in pipelines.toml."
    drop, whole = ("works on", "schedule", "pipeline", "last run"), ("works on", "pipeline")
    print_table(columns, cells, empty, drop=drop, whole=whole)
    if not served and any(not row.get("work_pool") for row in rows):
        typer.echo("\nNo process serves this workspace; type: charpipe serve")


@app.command("run")
def run(name: Name, json: JsonObject = False) -> None:
    """Start a run of a deployment now, in addition to its schedule."""
    from charpipe_pipelines.deployments.catalogue import pick
    from charpipe_pipelines.deployments.serving import is_served

    deployment = pick(_read(), name)
    served = is_served(open_workspace())
    nobody = _nobody(deployment)
    with _client(absent=None if served else nobody) as client:
        registered = _registered(client, deployment)
        if not served and registered.work_pool_name is None:
            raise nobody
        flow_run = client.create_flow_run_from_deployment(registered.id)
    if json:
        print_json({"deployment": name, "flow_run": flow_run.name, "id": str(flow_run.id)})
    else:
        typer.echo(
            f"{name}: the run {flow_run.name} starts soon; to follow it, type: charpipe deployments list"
        )


@app.command("pause")
def pause(name: Name) -> None:
    """Pause a deployment's schedule; a run in progress continues."""
    from charpipe_pipelines.deployments.catalogue import pick

    deployment = pick(_read(), name)
    with _client() as client:
        client.pause_deployment(_registered(client, deployment).id)
    typer.echo(f"{name} is paused; to resume it, type: charpipe deployments resume {name}")


@app.command("resume")
def resume(name: Name) -> None:
    """Resume a paused deployment's schedule."""
    from charpipe_pipelines.deployments.catalogue import pick

    deployment = pick(_read(), name)
    if deployment.config.paused:
        raise UsageError(f"deployments.{name}.paused = true in pipelines.toml; remove it there first")
    with _client() as client:
        client.resume_deployment(_registered(client, deployment).id)
    typer.echo(f"{name} is scheduled again")


def _read() -> list[Deployment]:
    from charpipe_pipelines.deployments.catalogue import read_deployments

    workspace = open_workspace()
    become_client(workspace)
    return read_deployments(workspace, open_registry())


def _api() -> Api:
    def tell(event: Any) -> None:
        if isinstance(event, Notice):
            typer.echo(event.message, err=True)

    return choose(open_workspace(), settings().config.prefect.api_url, tell)


@contextmanager
def _client(absent: CharpipeError | None = None) -> Iterator[SyncPrefectClient]:
    """A client of the server that the settings name; its troubles become sentences. The workspace's own is started,
    unless there is something to say where it is `absent`."""
    import httpx
    from prefect.exceptions import PrefectHTTPStatusError

    from charpipe_pipelines.deployments.registration import connect

    api = _api()
    if absent is not None and api.server is not None and api.server.running() is None:
        raise absent
    url = api.reach()
    try:
        with connect(url, retries=RETRIES) as client:
            yield client
    except PrefectHTTPStatusError as error:
        raise CharpipeError(
            f"the Prefect server at {url} refused: {error.response.text[:300]}; nothing was changed"
        ) from error
    except httpx.HTTPError as error:
        raise CharpipeError(
            f"the Prefect server at {url} did not answer ({type(error).__name__}); run the command again"
        ) from error


def _create_automations(client: SyncPrefectClient) -> None:
    """Let the server mark runs whose worker died as crashed, where it permits that."""
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        create_automations(client)
    except PrefectHTTPStatusError as error:
        typer.echo(
            f"the Prefect server refused automations (HTTP {error.response.status_code}): a run whose "
            "worker dies stays Running there until you cancel it",
            err=True,
        )


def _registered(client: Any, deployment: Deployment) -> Any:
    from charpipe_pipelines.deployments.registration import find, register

    found = find(client, deployment)
    if found is None:
        register(client, deployment, open_workspace())
        found = find(client, deployment)
    return found


def _nobody(deployment: Deployment) -> CharpipeError:
    return CharpipeError(
        f"no process serves this workspace, so {deployment.name} would not start; type `charpipe serve` in another "
        f"terminal, or run it here: {deployment.command}"
    )


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = {} if text is None else jsons.loads(text)
    except ValueError as error:
        raise UsageError(f"--job-variables is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError('--job-variables is not a JSON object, as in \'{"env": {"OMP_NUM_THREADS": "2"}}\'')
    return value
