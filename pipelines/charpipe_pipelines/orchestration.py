"""Runs a recipe as a Prefect flow, or without Prefect where Prefect is unavailable."""

from __future__ import annotations

import dataclasses
import threading
from contextlib import suppress
from typing import Any

from charpipe.errors import InterruptedRun
from charpipe.plugin import Options, Pipeline, PipelineResult
from charpipe.stages import Context
from charpipe.stages.recipes import check_request, load, title_of
from charpipe_pipelines.deployments.registration import connect
from charpipe_pipelines.early_stages import EarlyStages
from charpipe_pipelines.heartbeats import create_automations, heartbeats
from charpipe_pipelines.orphans import mark_killed_runs
from charpipe_pipelines.server import Api, become_client, choose, point_client_at

SETTLE_SECONDS = 10.0
POLL_SECONDS = 0.1
SOON_SECONDS = 1.0
"""How long a server that runs already may take to answer before the work begins without it."""
WITHOUT = "the run continues without Prefect's page; nothing else changes"


def run(pipeline: Pipeline, options: Options, context: Context) -> PipelineResult:
    """Run a recipe as its Prefect flow; without Prefect in a dry run, and where Prefect is unavailable."""
    check_request(pipeline, options, context)
    recipe = load(pipeline)
    if context.dry_run:
        return recipe(context, options)
    ahead = EarlyStages(recipe, options, context)
    try:
        api = _open_prefect(context, ahead)
    except InterruptedRun:
        raise
    except Exception as error:  # includes a Prefect that cannot be imported
        context.notice(f"Prefect is unavailable ({_first_line(error)}); {WITHOUT}", level="warning")
        ahead.start()
        return ahead.result()
    return _as_flow(pipeline, options, context, api, ahead)


def _open_prefect(context: Context, ahead: EarlyStages) -> Api:
    """Connect this process to a running server.

    Prefect is imported while the server starts; until it answers, `ahead` runs the first stages.
    Raises InterruptedRun if they were stopped before that.
    """
    become_client(context.workspace)
    api = choose(context.workspace, context.config.prefect.api_url, context.emit)
    runs = api.server is None or api.server.running() is not None
    if not runs:
        context.notice("starting this workspace's Prefect server; the first stages run meanwhile")
    outcome: list[str | Exception] = []
    starting = threading.Thread(target=lambda: outcome.append(_answering(api)), daemon=True)
    starting.start()
    import prefect.flow_engine
    import prefect.task_engine  # noqa: F401

    starting.join(SOON_SECONDS if runs else 0)
    if starting.is_alive():
        ahead.start()
    while starting.is_alive():
        starting.join(POLL_SECONDS)
        if (stopped := ahead.was_stopped()) is not None:
            raise stopped
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    point_client_at(outcome[0])
    if api.server is not None:
        mark_killed_runs(outcome[0])
    else:
        _create_automations(outcome[0])
    ahead.hand_over()  # last: after it, a flow must take over
    return dataclasses.replace(api, url=outcome[0])


def _create_automations(url: str) -> None:
    with suppress(Exception), connect(url) as client:  # best effort: no run depends on them
        create_automations(client)


def _answering(api: Api) -> str | Exception:
    try:
        return api.reach()
    except Exception as error:  # raised in the waiting thread
        return error


def _as_flow(
    pipeline: Pipeline, options: Options, context: Context, api: Api, ahead: EarlyStages
) -> PipelineResult:
    from charpipe_pipelines.flow_context import FlowContext, linked, waiting
    from charpipe_pipelines.progress import FlowProgress

    progress = FlowProgress(context.stop)
    found = FlowContext(linked(context, progress), progress, api, ahead)
    token = waiting.set(found)
    try:
        _call_flow(pipeline, options, context, at_a_team=api.server is None)
    except BaseException as error:
        if found.error is not None:
            raise found.error from None  # the engine's own error: Prefect's account of it adds nothing
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        context.notice(
            f"Prefect became unavailable during the run ({_first_line(error)}); {WITHOUT}", level="warning"
        )
    finally:
        ahead.wait()
        waiting.reset(token)
        _flush_events(api)
    if found.error is not None:
        raise found.error
    return found.result or load(pipeline)(context, options)


def _call_flow(pipeline: Pipeline, options: Options, context: Context, at_a_team: bool) -> None:
    from charpipe_pipelines.flows import flow_of

    title = title_of(pipeline, options)
    # a plain string would be a template: names contain braces
    named: Any = flow_of(pipeline).with_options(flow_run_name=lambda: title)
    settings = {key: _plain(context, key) for key in context.resolved.origins}
    asked = options.model_dump(mode="json")
    with heartbeats(on=at_a_team):
        named(options=asked, settings=settings, workspace=str(context.workspace.root))


def _flush_events(api: Api) -> None:
    """Flush what Prefect has queued for its server now, not at process exit; drop it if the server is gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    there = api.is_there()
    services: tuple[Any, ...] = (EventsWorker, APILogWorker)
    for service in services:
        if there:
            service.drain_all(timeout=SETTLE_SECONDS, at_exit=False)
            continue
        for worker in list(service._instances.values()):
            with suppress(Exception):  # it would try to reach the server for a minute at process exit
                worker._loop.call_soon_threadsafe(worker._task.cancel)


def _plain(context: Context, key: str) -> Any:
    value: Any = context.config.model_dump(mode="json")
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
